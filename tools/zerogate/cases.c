/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cases.c - zerogate policy test: tables of calls and what must come of them,
 * kept beside the policies (*.cases). Trust: as policy.c.
 *
 *   - name: a read on an approved server is allowed
 *     envelope: {server: github, tool: get_me}
 *     expect: {decision: ALLOW, rules: [allow-read-approved-servers]}
 */
#include <dirent.h>
#include <errno.h>
#include <sys/stat.h>

#include "constraints.h"
#include "document.h"
#include "load.h"
#include "policy.h"

struct run {
	struct zg_policy policy;
	struct zg_slice profiles;
	struct zg_arena arena;
	struct zg_diag *diag;
	size_t passed, failed;
};

/* Members of an envelope whose values have types, as in the policy's args. */
static bool typed_member(struct zg_slice key)
{
	return zg_slice_eq(key, ZG_SLICE("arguments")) || zg_slice_eq(key, ZG_SLICE("time")) ||
	       zg_slice_eq(key, ZG_SLICE("uid"));
}

static json_t *scalar_json(const struct zg_yaml *y, bool typed)
{
	json_t *j = typed && y->plain ? json_loadb(y->text.ptr, y->text.len, JSON_DECODE_ANY, NULL)
				      : NULL;

	if (j)
		return j;
	return y->plain && !y->text.len ? json_null() : json_stringn(y->text.ptr, y->text.len);
}

/* YAML to JSON: text stays text, an empty value is null; with typed, what is not
 * quoted and reads like a JSON value is that value. */
static json_t *to_json(const struct zg_yaml *y, bool typed)
{
	json_t *j;

	if (y->kind == ZG_Y_SCALAR)
		return scalar_json(y, typed);
	j = y->kind == ZG_Y_LIST ? json_array() : json_object();
	for (const struct zg_yaml *m = y->first; m; m = m->next) {
		/* depth is bounded by the reader of the document */
		json_t *value = to_json(m, typed || (y->kind == ZG_Y_MAP && typed_member(m->key)));
		int r = y->kind == ZG_Y_LIST ? json_array_append_new(j, value)
					     : json_object_set_new(j, m->key.ptr, value);

		if (r < 0) {
			json_decref(j);
			return NULL;
		}
	}
	return j;
}

/* The expected rules, as a set: as many as matched, and each of those is among them. */
static bool rules_match(const struct run *run, const json_t *want, const struct zg_decision *d)
{
	json_t *id;
	size_t i;

	if (json_array_size(want) != d->matched)
		return false;
	for (uint16_t r = 0; r < d->rule_count; r++) {
		bool found = false;

		json_array_foreach((json_t *)(uintptr_t)want, i, id) found |=
			zg_slice_eq(zg_policy_rule_id(&run->policy, d->rule[r]),
				    zg_slice_str(json_string_value(id)));
		if (!found)
			return false;
	}
	return true;
}

/* "key=value" for a map of values or lists of them, in the order given. */
static void put_labels(const json_t *map, struct zg_buf *out)
{
	const json_t *value, *item;
	const char *key;
	size_t i;

	json_object_foreach((json_t *)(uintptr_t)map, key, value)
	{
		if (json_is_string(value))
			zg_buf_fmt(out, "%s%s=%s", out->len ? "," : "", key,
				   json_string_value(value));
		json_array_foreach((json_t *)(uintptr_t)value, i, item) zg_buf_fmt(
			out, "%s%s=%s", out->len ? "," : "", key, json_string_value(item));
	}
}

static bool labels_match(const struct run *run, const json_t *want, const struct zg_decision *d)
{
	zg_autobuf wanted = ZG_BUF(65536);
	char got[ZG_RULES_LEN];

	zg_decision_labels_text(&run->policy, d, got, sizeof(got));
	put_labels(want, &wanted);
	return zg_buf_ok(&wanted) && zg_slice_eq(zg_buf_slice(&wanted), zg_slice_str(got));
}

static bool reason_has(const struct run *run, const json_t *want, const struct zg_envelope *env,
		       const struct zg_decision *d)
{
	char reason[ZG_REASON_LEN];

	zg_decision_reason_text(&run->policy, env, d, reason, sizeof(reason));
	return strstr(reason, json_string_value(want)) != NULL;
}

static bool holds(const struct run *run, const json_t *expect, const struct zg_envelope *env,
		  const struct zg_decision *d)
{
	const char *decision = json_string_value(json_object_get(expect, "decision"));
	const json_t *rules = json_object_get(expect, "rules");
	const json_t *constraints = json_object_get(expect, "constraints");
	const json_t *labels = json_object_get(expect, "annotate");
	const json_t *reason = json_object_get(expect, "reason");
	const json_t *remediation = json_object_get(expect, "remediation");

	return strcmp(decision, zg_decision_text(d->kind)) == 0 &&
	       (!rules || rules_match(run, rules, d)) &&
	       (!constraints || zg_constraints_match(&run->policy, &d->constraints, constraints)) &&
	       (!labels || labels_match(run, labels, d)) &&
	       (!reason || reason_has(run, reason, env, d)) &&
	       (!remediation || zg_slice_eq(zg_decision_remediation(&run->policy, d),
					    zg_slice_str(json_string_value(remediation))));
}

static void report(struct run *run, const struct zg_yaml_ctx *ctx, const struct zg_yaml *y,
		   struct zg_slice name, const struct zg_envelope *env, const struct zg_decision *d)
{
	zg_autobuf got = ZG_BUF(65536);
	char rules[ZG_RULES_LEN], labels[ZG_RULES_LEN], reason[ZG_REASON_LEN];

	zg_decision_rules_text(&run->policy, d, rules, sizeof(rules));
	zg_decision_labels_text(&run->policy, d, labels, sizeof(labels));
	zg_decision_reason_text(&run->policy, env, d, reason, sizeof(reason));
	zg_constraints_put(&run->policy, &d->constraints, &got);
	printf("FAIL %s:%u: %.*s\n     got %s, rules [%s], constraints %.*s\n", ctx->file, y->line,
	       ZG_FMT(name), zg_decision_text(d->kind), rules, (int)got.len,
	       got.ptr ? got.ptr : "");
	printf("     %s%s%s\n", reason, labels[0] ? "; annotate " : "", labels);
}

static bool shape_ok(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y)
{
	static const struct {
		const char *key;
		enum zg_yaml_kind kind;
	} known[] = {{"decision", ZG_Y_SCALAR}, {"rules", ZG_Y_LIST},
		     {"constraints", ZG_Y_MAP}, {"annotate", ZG_Y_MAP},
		     {"reason", ZG_Y_SCALAR},	{"remediation", ZG_Y_SCALAR}};
	const struct zg_yaml *expect = zg_yaml_member(y, "expect"), *m;

	if (!zg_yaml_member(y, "name") || !zg_yaml_member(y, "envelope") || !expect ||
	    y->count != 3) {
		zg_yaml_error(ctx, y, "a case has name, envelope and expect");
		return false;
	}
	m = zg_yaml_member(expect, "decision");
	if (!m) {
		zg_yaml_error(ctx, expect, "expect names a decision");
		return false;
	}
	for (m = expect->first; m; m = m->next) {
		size_t i = 0;

		while (i < ZG_COUNT(known) && !zg_slice_eq(m->key, zg_slice_str(known[i].key)))
			i++;
		if (i == ZG_COUNT(known) || m->kind != known[i].kind) {
			zg_yaml_error(ctx, m, "unknown or misshapen '%.*s' in expect",
				      ZG_FMT(m->key));
			zg_diag_hint(ctx->diag, "decision, rules: [..], constraints: {..}, "
						"annotate: {..}, reason, remediation");
			return false;
		}
	}
	return true;
}

static void run_case(struct run *run, const struct zg_yaml_ctx *ctx, const struct zg_yaml *y)
{
	struct zg_envelope env;
	struct zg_decision d;
	struct zg_err e = {0};
	struct zg_slice name;
	json_t *envelope, *expect;

	if (!shape_ok(ctx, y) || !zg_yaml_text(ctx, zg_yaml_member(y, "name"), &name))
		return;
	envelope = to_json(zg_yaml_member(y, "envelope"), false);
	expect = to_json(zg_yaml_member(y, "expect"), false);
	if (!envelope || !expect) {
		zg_yaml_error(ctx, y, "out of memory");
	} else if (zg_policy_judge(&run->policy, run->profiles, envelope, &env, &d, &e) < 0) {
		zg_yaml_error(ctx, zg_yaml_member(y, "envelope"), "%s", e.what);
	} else if (holds(run, expect, &env, &d)) {
		run->passed++;
	} else {
		run->failed++;
		report(run, ctx, y, name, &env, &d);
	}
	json_decref(envelope);
	json_decref(expect);
}

static void run_file(struct run *run, const char *path)
{
	struct zg_yaml_ctx ctx = {path, &run->arena, run->diag};
	zg_autobuf text = ZG_BUF(ZG_CONFIG_FILE_BYTES);
	zg_autofile FILE *in = fopen(path, "re");
	const struct zg_yaml *y;
	size_t n = 1;

	if (!in) {
		zg_diag_error(run->diag, path, 0, 0, "cannot be opened: %s", strerror(errno));
		return;
	}
	while (n) {
		char *room = zg_buf_room(&text, 65536);

		n = room ? fread(room, 1, 65536, in) : 0;
		zg_buf_wrote(&text, n);
	}
	if (ferror(in) || !zg_buf_ok(&text)) {
		zg_diag_error(run->diag, path, 0, 0, "cannot be read whole");
		return;
	}
	y = zg_yaml_read(&ctx, zg_buf_slice(&text));
	if (!y)
		return;
	if (y->kind != ZG_Y_LIST) {
		zg_yaml_error(&ctx, y, "cases are a list: '- name: ...'");
		return;
	}
	for (const struct zg_yaml *item = y->first; item; item = item->next)
		run_case(run, &ctx, item);
}

/* Every *.cases beside the policies. */
static void run_folder(struct run *run, const char *folder)
{
	struct dirent **list = NULL;
	char path[2 * ZG_PATH_LEN];
	int n = scandir(folder, &list, NULL, alphasort);
	size_t found = 0;

	for (int i = 0; i < n; i++) {
		size_t len = strlen(list[i]->d_name);

		if (len > 6 && strcmp(list[i]->d_name + len - 6, ".cases") == 0) {
			(void)snprintf(path, sizeof(path), "%s/%s", folder, list[i]->d_name);
			run_file(run, path);
			found++;
		}
		free(list[i]);
	}
	free(list);
	if (!found) {
		zg_diag_error(run->diag, folder, 0, 0, "no *.cases file stands here");
		zg_diag_hint(run->diag, "write one beside the policies, or name files");
	}
}

static int run_all(struct run *run, const struct zg_policy_args *a, const struct zg_loaded *l)
{
	for (int i = 0; i < a->argc; i++)
		run_file(run, a->argv[i]);
	if (!a->argc)
		run_folder(run, l->policies);
	if (run->diag->errors)
		return ZG_EXIT_USAGE;
	if (a->json)
		printf("{\"passed\":%zu,\"failed\":%zu}\n", run->passed, run->failed);
	else
		printf("%zu passed, %zu failed\n", run->passed, run->failed);
	return run->failed ? ZG_EXIT_NO : ZG_EXIT_OK;
}

int zg_policy_test(const struct zg_policy_args *a)
{
	struct zg_diag diag = {0};
	struct run run = {.diag = &diag};
	struct zg_loaded l = {0};
	struct zg_slice section;
	int status = ZG_EXIT_USAGE;
	struct zg_err e;

	zg_arena_init(&run.arena, ZG_YAML_BYTES);
	if (zg_load(&l, a->config, &diag) == 0) {
		section = zg_loaded_section(&l, ZG_S_POLICY);
		run.profiles = zg_loaded_section(&l, ZG_S_PROFILES);
		if (zg_policy_open(&run.policy, section.ptr, section.len, &e) < 0) {
			zg_diag_add(&diag, &e);
		} else {
			zg_diag_release(&diag); /* notices belong to policy check */
			status = run_all(&run, a, &l);
		}
	}
	zg_policy_print_diag(stderr, &diag);
	zg_arena_release(&run.arena);
	zg_policy_close(&run.policy);
	zg_loaded_release(&l);
	zg_diag_release(&diag);
	return status;
}
