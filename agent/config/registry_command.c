/* SPDX-License-Identifier: Apache-2.0 */
/*
 * registry_command.c - how a local server is started (registry_impl.h). Trust:
 * the command is often pasted from a web page, so all of it is shown, nothing
 * of it is ever read by a shell, and what would let a client choose the code
 * that runs is refused. Opens nothing.
 */
#include "registry_impl.h"

#include <ctype.h>

#include "buf.h"

#define SHOWN 160 /* bytes of a command in one notice */

/* What the loader, a runtime or a shell takes code, or the place of code, from.
 * A fixed value is the operator's; a client must not choose one. */
static const char *const loads_code[] = {
	"BASH_ENV",   "CLASSPATH",     "ENV",	      "GCONV_PATH", "GLIBC_TUNABLES", "HOSTALIASES",
	"IFS",	      "LOCPATH",       "NLSPATH",     "JAVA_*",	    "_JAVA_OPTIONS",  "JDK_*",
	"LD_*",	      "NODE_*",	       "npm_*",	      "NPM_*",	    "PATH",	      "PERL*",
	"PYTHON*",    "RUBY*",	       "GEM_*",	      "LUA_*",	    "DENO_*",	      "BUN_*",
	"UV_*",	      "SSLKEYLOGFILE", "OPENSSL_*",   "SSL_CERT_*", "GIT_*",	      "HOME",
	"TMPDIR",     "SHELLOPTS",     "BASHOPTS",    "PS4",	    "PROMPT_COMMAND", "DOTNET_*",
	"COREHOST_*", "MALLOC_*",      "RES_OPTIONS", "XDG_*",
};

static struct zg_command_src *command_of(struct zg_registry_reader *r,
					 const struct zg_json_path *at)
{
	struct zg_entry_src *e = r->entry;

	if (!e->command) {
		e->command = zg_arena_alloc(r->ctx->arena, sizeof(*e->command));
		if (!e->command) {
			zg_registry_bad(r, at, "the file needs too much memory");
			return NULL;
		}
		*e->command = (struct zg_command_src){
			.memory = ZG_STDIO_MEMORY, .pids = ZG_STDIO_PIDS, .private_tmp = true};
	}
	return e->command;
}

/* No NUL can be in it: the JSON reader refuses that. */
static bool take_path(struct zg_registry_reader *r, const json_t *j, const struct zg_json_path *at,
		      const char *what, struct zg_slice *out)
{
	struct zg_slice s = zg_registry_text(j);

	if (!s.len || s.ptr[0] != '/' || s.len >= ZG_PATH_LEN) {
		zg_registry_bad(r, at, "%s must be an absolute path of less than %d bytes", what,
				ZG_PATH_LEN);
		return false;
	}
	*out = zg_registry_keep(r, s, at);
	return true;
}

void zg_registry_take_command(struct zg_registry_reader *r, const json_t *j,
			      const struct zg_json_path *at)
{
	struct zg_command_src *c = command_of(r, at);

	r->command = true;
	if (c && !take_path(r, j, at, "the command", &c->path))
		zg_diag_hint(r->ctx->diag,
			     "/usr/bin/node, with the script in args: no shell reads it and no "
			     "PATH is searched");
}

void zg_registry_take_packages(struct zg_registry_reader *r, const json_t *j,
			       const struct zg_json_path *at)
{
	(void)at;
	r->packages = json_array_size(j) > 0;
}

/* Of a lower-case hex digit. */
static int nibble(char c)
{
	return c <= '9' ? c - '0' : c - 'a' + 10;
}

void zg_registry_take_sha256(struct zg_registry_reader *r, const json_t *j,
			     const struct zg_json_path *at)
{
	struct zg_command_src *c = command_of(r, at);
	const char *s = json_string_value(j);

	if (strlen(s) != 64 || strspn(s, "0123456789abcdef") != 64) {
		zg_registry_bad(r, at, "sha256 must be 64 lower-case hex digits");
		return;
	}
	for (size_t i = 0; c && i < 32; i++)
		c->sha256[i] = (uint8_t)(nibble(s[2 * i]) << 4 | nibble(s[2 * i + 1]));
	if (c)
		c->has_sha256 = true;
}

static struct zg_slice *texts_for(struct zg_registry_reader *r, struct zg_texts *t, size_t n,
				  size_t max, const char *what, const struct zg_json_path *at)
{
	if (n > max) {
		zg_registry_bad(r, at, "more than %zu %s", max, what);
		return NULL;
	}
	t->item = zg_arena_alloc(r->ctx->arena, (n + 1) * sizeof(*t->item));
	if (!t->item)
		zg_registry_bad(r, at, "the file needs too much memory");
	return t->item;
}

void zg_registry_take_args(struct zg_registry_reader *r, const json_t *j,
			   const struct zg_json_path *at)
{
	struct zg_command_src *c = command_of(r, at);
	json_t *value;
	size_t i;

	if (!c || !texts_for(r, &c->args, json_array_size(j), ZG_STDIO_ARGS_MAX, "arguments", at))
		return;
	json_array_foreach((json_t *)(uintptr_t)j, i, value)
	{
		const struct zg_json_path here = {.up = at, .index = i};

		if (!json_is_string(value)) {
			zg_registry_bad(r, &here, "an argument is a string");
			zg_diag_hint(r->ctx->diag, "\"args\": [\"--port\", \"80\"]");
		} else
			c->args.item[c->args.count++] =
				zg_registry_keep(r, zg_registry_text(value), &here);
	}
}

/* environment --------------------------------------------------------------- */

static bool name_ok(const char *name)
{
	size_t n = 0;

	for (; name[n]; n++)
		if (!(isalpha((unsigned char)name[n]) || name[n] == '_' ||
		      (n && isdigit((unsigned char)name[n]))))
			return false;
	return n && n < ZG_METHOD_LEN;
}

void zg_registry_take_env(struct zg_registry_reader *r, const json_t *j,
			  const struct zg_json_path *at)
{
	struct zg_command_src *c = command_of(r, at);
	const char *key;
	json_t *value;

	if (!c || !texts_for(r, &c->env, json_object_size(j), ZG_STDIO_ENV_MAX, "variables", at))
		return;
	json_object_foreach((json_t *)(uintptr_t)j, key, value)
	{
		const struct zg_json_path here = {.up = at, .key = key};
		size_t n = strlen(key) + json_string_length(value) + 2;
		char *text;

		if (!name_ok(key) || !json_is_string(value)) {
			zg_registry_bad(r, &here, "'%.128s' is not a variable with a text", key);
			zg_diag_hint(r->ctx->diag, "{\"NAME\": \"value\"}");
			continue;
		}
		text = zg_arena_alloc(r->ctx->arena, n);
		if (!text) {
			zg_registry_bad(r, &here, "the file needs too much memory");
			return;
		}
		(void)snprintf(text, n, "%s=%s", key, json_string_value(value));
		c->env.item[c->env.count++] = (struct zg_slice){text, n - 1};
	}
}

void zg_registry_take_env_pass(struct zg_registry_reader *r, const json_t *j,
			       const struct zg_json_path *at)
{
	struct zg_command_src *c = command_of(r, at);
	json_t *value;
	size_t i;

	if (!c || !texts_for(r, &c->pass, json_array_size(j), ZG_STDIO_ENV_MAX, "variables", at))
		return;
	json_array_foreach((json_t *)(uintptr_t)j, i, value)
	{
		const struct zg_json_path here = {.up = at, .index = i};
		const char *name = json_is_string(value) ? json_string_value(value) : "";
		bool code = false;

		if (!name_ok(name)) {
			zg_registry_bad(r, &here, "the name of a variable, please");
			continue;
		}
		for (size_t k = 0; k < ZG_COUNT(loads_code) && !code; k++)
			code = zg_star_match(zg_slice_str(loads_code[k]), zg_slice_str(name));
		if (code) {
			zg_registry_bad(r, &here,
					"a client could choose by %s which code the server runs",
					name);
			zg_diag_hint(r->ctx->diag, "give it a fixed value under \"env\"");
			continue;
		}
		c->pass.item[c->pass.count++] = zg_registry_keep(r, zg_slice_str(name), &here);
	}
}

/* who, where, how much ------------------------------------------------------- */

void zg_registry_take_user(struct zg_registry_reader *r, const json_t *j,
			   const struct zg_json_path *at)
{
	struct zg_command_src *c = command_of(r, at);
	struct zg_slice s = zg_registry_text(j);

	if (!c)
		return;
	if (zg_slice_eq(s, ZG_SLICE("caller"))) {
		c->who = ZG_SU_CALLER;
	} else if (!zg_word_ok(s, ZG_NAME_LEN - 1) || zg_slice_eq(s, ZG_SLICE("root"))) {
		zg_registry_bad(r, at, "'%.*s' is not a user that a server may run as", ZG_FMT(s));
		zg_diag_hint(r->ctx->diag, "\"caller\", or the name of a system user; without it "
					   "the server gets a uid of its own");
	} else {
		c->who = ZG_SU_NAMED;
		c->user = zg_registry_keep(r, s, at);
	}
}

void zg_registry_take_cwd(struct zg_registry_reader *r, const json_t *j,
			  const struct zg_json_path *at)
{
	struct zg_command_src *c = command_of(r, at);

	if (c)
		(void)take_path(r, j, at, "cwd", &c->cwd);
}

void zg_registry_take_private_tmp(struct zg_registry_reader *r, const json_t *j,
				  const struct zg_json_path *at)
{
	struct zg_command_src *c = command_of(r, at);

	if (c)
		c->private_tmp = json_is_true(j);
}

void zg_registry_take_restart(struct zg_registry_reader *r, const json_t *j,
			      const struct zg_json_path *at)
{
	struct zg_command_src *c = command_of(r, at);
	struct zg_slice s = zg_registry_text(j);

	if (!c)
		return;
	if (zg_slice_eq(s, ZG_SLICE("on-failure")))
		c->restart = ZG_SR_ON_FAILURE;
	else if (!zg_slice_eq(s, ZG_SLICE("never"))) {
		zg_registry_bad(r, at, "restart is \"never\" or \"on-failure\"");
		zg_diag_hint(r->ctx->diag, "\"never\" is the default");
	}
}

/* 268435456, "256M" or "1G" */
static void take_memory(struct zg_registry_reader *r, const json_t *j,
			const struct zg_json_path *at)
{
	static const char units[] = "KMGT";
	struct zg_command_src *c = command_of(r, at);
	struct zg_slice s = zg_registry_text(j);
	const char *unit = s.len ? strchr(units, s.ptr[s.len - 1]) : NULL;
	uint64_t n = 0;
	unsigned int shift = unit ? 10 * (unsigned int)(unit - units + 1) : 0;

	s.len -= unit ? 1 : 0;
	if (zg_slice_u64(s, UINT64_MAX >> shift, &n) < 0 || n << shift < ZG_STDIO_MEMORY_MIN) {
		zg_registry_bad(r, at, "memory is a text such as \"512M\", of at least 16M");
		zg_diag_hint(r->ctx->diag, "digits, then K, M or G");
	} else if (c)
		c->memory = n << shift;
}

static void take_number(struct zg_registry_reader *r, const json_t *j,
			const struct zg_json_path *at, uint32_t max, uint32_t *out)
{
	json_int_t n = json_integer_value(j);

	if (n < 1 || n > (json_int_t)max) {
		zg_registry_bad(r, at, "not a number from 1 to %u", max);
		zg_diag_hint(r->ctx->diag, "a JSON number, without quotes");
	} else
		*out = (uint32_t)n;
}

static void take_pids(struct zg_registry_reader *r, const json_t *j, const struct zg_json_path *at)
{
	take_number(r, j, at, ZG_STDIO_PIDS_MAX, &r->entry->command->pids);
}

static void take_cpu(struct zg_registry_reader *r, const json_t *j, const struct zg_json_path *at)
{
	take_number(r, j, at, ZG_STDIO_CPU_MAX, &r->entry->command->cpu);
}

void zg_registry_take_limits(struct zg_registry_reader *r, const json_t *j,
			     const struct zg_json_path *at)
{
	static const struct zg_registry_member known[] = {
		{"memory", JSON_STRING, false, take_memory},
		{"pids", JSON_INTEGER, false, take_pids},
		{"cpu", JSON_INTEGER, false, take_cpu},
	};

	if (command_of(r, at))
		(void)zg_registry_members(r, j, at, "limits", known, ZG_COUNT(known));
}

/* network: the entries of a profile's allow list, written as JSON ------------- */

static struct zg_yaml *as_yaml(struct zg_registry_reader *r, const json_t *j,
			       const struct zg_json_path *at)
{
	struct zg_yaml *y = zg_arena_alloc(r->ctx->arena, sizeof(*y)), **last;
	const char *key;
	json_t *value;
	char number[32];
	size_t i;

	if (!y)
		return NULL;
	*y = (struct zg_yaml){.kind = ZG_Y_SCALAR, .plain = !json_is_string(j)};
	last = &y->first;
	zg_json_place(r->text, at, &y->line, &y->column);
	if (json_is_array(j)) {
		y->kind = ZG_Y_LIST;
		json_array_foreach((json_t *)(uintptr_t)j, i, value)
		{
			const struct zg_json_path here = {.up = at, .index = i};

			*last = as_yaml(r, value, &here);
			if (!*last)
				return NULL;
			last = &(*last)->next;
			y->count++;
		}
	} else if (json_is_object(j)) {
		y->kind = ZG_Y_MAP;
		json_object_foreach((json_t *)(uintptr_t)j, key, value)
		{
			const struct zg_json_path here = {.up = at, .key = key};

			*last = as_yaml(r, value, &here);
			if (!*last)
				return NULL;
			(*last)->key = zg_registry_keep(r, zg_slice_str(key), &here);
			(*last)->key_line = (*last)->line;
			(*last)->key_column = (*last)->column;
			last = &(*last)->next;
			y->count++;
		}
	} else if (json_is_string(j)) {
		y->text = zg_registry_keep(r, zg_registry_text(j), at);
	} else if (json_is_boolean(j)) {
		y->text = json_is_true(j) ? ZG_SLICE("true") : ZG_SLICE("false");
	} else {
		(void)snprintf(number, sizeof(number), "%lld", (long long)json_integer_value(j));
		y->text = zg_registry_keep(r, zg_slice_str(number), at);
	}
	return y;
}

void zg_registry_take_network(struct zg_registry_reader *r, const json_t *j,
			      const struct zg_json_path *at)
{
	struct zg_command_src *c = command_of(r, at);
	struct zg_yaml *y = c ? as_yaml(r, j, at) : NULL;

	if (y)
		zg_entries_parse(r->ctx, y, &c->profile, false);
}

/* --------------------------------------------------------------------------- */

/* In full, in as many notices as that takes. */
static void show(struct zg_registry_reader *r)
{
	const struct zg_command_src *c = r->entry->command;
	zg_autobuf text = ZG_BUF(ZG_CONFIG_FILE_BYTES);

	for (size_t i = 0; i <= c->args.count; i++) {
		zg_buf_str(&text, i ? " " : "");
		zg_buf_json(&text, i ? c->args.item[i - 1] : c->path);
	}
	for (size_t at = 0; zg_buf_ok(&text) && at < text.len; at += SHOWN)
		zg_diag_notice(r->ctx->diag, r->ctx->file, 0, 0, "server '%s' %s %.*s",
			       r->entry->def.id, at ? "..." : "runs",
			       (int)(text.len - at < SHOWN ? text.len - at : SHOWN), text.ptr + at);
}

void zg_registry_finish_command(struct zg_registry_reader *r)
{
	struct zg_entry_src *e = r->entry;
	struct zg_command_src *c = e->command;
	char *name;
	size_t n = strlen(e->def.id) + sizeof("server:");

	e->def.transport = ZG_T_STDIO;
	if (!r->command) {
		e->command = NULL;
		zg_diag_notice(r->ctx->diag, r->ctx->file, 0, 0,
			       "server '%s' is local (stdio) and has no command: it cannot be used",
			       e->def.id);
		zg_diag_hint(r->ctx->diag,
			     "packages are documentation: say under _meta what is run, as "
			     "\"command\" and \"args\"");
		return;
	}
	if (strlen(e->def.id) >= ZG_STDIO_ID_LEN) {
		zg_registry_bad(r, NULL, "the id of a local server has less than %d characters",
				ZG_STDIO_ID_LEN);
		return;
	}
	name = zg_arena_alloc(r->ctx->arena, n);
	if (!name) {
		zg_registry_bad(r, NULL, "the file needs too much memory");
		return;
	}
	(void)snprintf(name, n, "server:%s", e->def.id);
	c->profile.name = (struct zg_slice){name, n - 1};
	c->profile.mode = ZG_MODE_ENFORCE;
	c->profile.local_server = true;
	c->profile.shadow_wire = ZG_SHADOW_KILL;
	c->profile.shadow_stdio = ZG_SHADOW_OFF; /* it is a server, and may say so */
	show(r);
}
