/* SPDX-License-Identifier: Apache-2.0 */
/* stdio_build.c - see stdio_build.h. Trust: parsed and bounded input; pure but for memory. */
#include "stdio_build.h"

#include "digest.h"

static struct zg_texts_ref put_texts(struct zg_buf *out, const struct zg_texts *t)
{
	struct zg_texts_ref ref = {.offset = (uint32_t)out->len, .count = (uint32_t)t->count};

	for (size_t i = 0; i < t->count; i++) {
		zg_buf_add(out, t->item[i].ptr, t->item[i].len);
		zg_buf_char(out, '\0');
	}
	return ref;
}

static uint32_t profile_of(const struct zg_settings_src *s, struct zg_slice name)
{
	for (uint32_t i = 0; i < s->profile_count; i++)
		if (zg_slice_eq(s->profiles[i].name, name))
			return ZG_PROFILE_FIRST + i;
	return ZG_PROFILE_NONE;
}

static void digest_args(const struct zg_command_src *c, uint8_t out[32])
{
	zg_autobuf text = ZG_BUF(ZG_CONFIG_FILE_BYTES);
	const struct zg_texts one = {(struct zg_slice *)(uintptr_t)&c->path, 1};

	(void)put_texts(&text, &one);
	(void)put_texts(&text, &c->args);
	zg_sha256(out, text.ptr, text.len);
}

void zg_stdio_build(const struct zg_settings_src *s, struct zg_entry_src *const *servers,
		    size_t count, struct zg_buf *defs, struct zg_buf *texts)
{
	zg_autobuf text = ZG_BUF(ZG_SNAPSHOT_BYTES);

	for (size_t i = 0; i < count; i++) {
		const struct zg_command_src *c = servers[i]->command;
		const struct zg_server_src *p = &servers[i]->policy;
		struct zg_stdio_def d = {0};

		if (!c)
			continue;
		memcpy(d.server, servers[i]->def.id, sizeof(d.server));
		(void)zg_str_cut(d.command, sizeof(d.command), c->path);
		(void)zg_str_cut(d.cwd, sizeof(d.cwd), c->cwd);
		(void)zg_str_cut(d.user, sizeof(d.user), c->user);
		d.profile = profile_of(s, c->profile.name);
		d.args = put_texts(texts, &c->args);
		d.env = put_texts(texts, &c->env);
		d.pass = put_texts(texts, &c->pass);
		d.memory = c->memory;
		d.pids = c->pids;
		d.cpu = c->cpu;
		d.who = c->who;
		d.restart = c->restart;
		d.private_tmp = c->private_tmp;
		d.has_sha256 = c->has_sha256;
		d.offline = c->profile.entries == NULL;
		memcpy(d.sha256, c->sha256, sizeof(d.sha256));
		digest_args(c, d.args_sha256);
		zg_buf_reset(&text);
		zg_stdio_canonical(&text, c);
		zg_sha256(d.digest, text.ptr, text.len);
		for (size_t k = 0; k < p->profile_count; k++)
			d.may[p->profiles[k] / 8] |= (uint8_t)(1u << p->profiles[k] % 8);
		zg_buf_add(defs, &d, sizeof(d));
	}
}

static void put_list(struct zg_buf *out, const char *name, const struct zg_texts *t)
{
	zg_buf_fmt(out, "\"%s\":[", name);
	for (size_t i = 0; i < t->count; i++) {
		zg_buf_str(out, i ? "," : "");
		zg_buf_json(out, t->item[i]);
	}
	zg_buf_str(out, "],");
}

static void put_network(struct zg_buf *out, const struct zg_entry *first)
{
	zg_buf_str(out, "\"network\":[");
	for (const struct zg_entry *e = first; e; e = e->next) {
		char addr[64];

		zg_addr_text(addr, sizeof(addr), e->addr);
		zg_buf_fmt(out,
			   "%s{\"address\":\"%s/%u\",\"local\":%s,\"name\":", e == first ? "" : ",",
			   addr, e->prefixlen, e->local ? "true" : "false");
		zg_buf_json(out, e->text);
		zg_buf_fmt(out, ",\"ports\":\"%s%s", e->tcp ? "tcp" : "", e->udp ? "udp" : "");
		for (size_t i = 0; i < e->port_count; i++)
			zg_buf_fmt(out, " %u-%u", e->ports[i].lo, e->ports[i].hi);
		zg_buf_str(out, "\"}");
	}
	zg_buf_str(out, "],");
}

void zg_stdio_canonical(struct zg_buf *out, const struct zg_command_src *c)
{
	static const char *const who[] = {
		[ZG_SU_OWN] = "own", [ZG_SU_NAMED] = "named", [ZG_SU_CALLER] = "caller"};
	char hex[65] = "";

	if (c->has_sha256)
		zg_hex(hex, c->sha256, sizeof(c->sha256));
	zg_buf_str(out, ",\"stdio\":{");
	put_list(out, "args", &c->args);
	zg_buf_str(out, "\"command\":");
	zg_buf_json(out, c->path);
	zg_buf_fmt(out, ",\"cpu\":%u,\"cwd\":", c->cpu);
	zg_buf_json(out, c->cwd);
	zg_buf_char(out, ',');
	put_list(out, "env", &c->env);
	put_list(out, "env_pass", &c->pass);
	zg_buf_fmt(out, "\"memory\":%llu,", (unsigned long long)c->memory);
	put_network(out, c->profile.entries);
	zg_buf_fmt(out, "\"pids\":%u,\"private_tmp\":%s,\"restart\":%s,\"sha256\":\"%s\",\"user\":",
		   c->pids, c->private_tmp ? "true" : "false",
		   c->restart == ZG_SR_ON_FAILURE ? "\"on-failure\"" : "\"never\"", hex);
	zg_buf_json(out, c->user);
	zg_buf_fmt(out, ",\"who\":\"%s\"}", who[c->who]);
}
