/* SPDX-License-Identifier: Apache-2.0 */
/*
 * listing_read.c - what a list holds: its entries by name, the server's own
 * name, where a kind ends; and what one definition is. Trust: the list is a
 * hostile server's, strict JSON by now. Decides nothing.
 */
#include <errno.h>

#include "confusable.h"
#include "digest.h"
#include "listing_impl.h"

const struct zg_list_use zg_list_uses[ZG_LS_MAX] = {
	[ZG_LS_TOOLS] = {ZG_PIN_TOOL, "tools/call"},
	[ZG_LS_PROMPTS] = {ZG_PIN_PROMPT, "prompts/get"},
	[ZG_LS_TEMPLATES] = {ZG_PIN_TEMPLATE, "resources/read"},
	[ZG_LS_RESOURCES] = {ZG_PIN_KINDS, "resources/read"},
	[ZG_LS_INSTRUCTIONS] = {ZG_PIN_INSTRUCTIONS, NULL},
};

/* reading the list ---------------------------------------------------------------- */

static void add_item(struct zg_listing *l, struct zg_list_item it)
{
	zg_buf_add(&l->items, &it, sizeof(it));
}

/* Long ones (URI templates) are known by their beginning and a digest. */
static void end_name(struct zg_listing *l, size_t start)
{
	const size_t keep = ZG_TOOL_LEN - 34;
	uint8_t digest[32];
	char hex[65];

	if (zg_buf_ok(&l->names) && l->names.len - start >= ZG_TOOL_LEN) {
		zg_sha256(digest, l->names.ptr + start, l->names.len - start);
		zg_hex(hex, digest, 32);
		l->names.len = start + keep;
		zg_buf_char(&l->names, '#');
		zg_buf_add(&l->names, hex, 32);
	}
	zg_buf_char(&l->names, '\0');
}

static bool take_entry(void *arg, enum zg_list_section s, struct zg_slice entry,
		       struct zg_slice name)
{
	struct zg_listing *l = arg;
	struct zg_list_item it = {.kind = zg_list_uses[s].kind,
				  .section = s,
				  .raw = entry,
				  .name = (uint32_t)l->names.len};
	size_t count, start = l->names.len;

	(void)zg_listing_items(l, &count);
	if (count == ZG_LIST_ENTRIES_MAX)
		l->error = -EFBIG;
	if (s == ZG_LS_INSTRUCTIONS)
		zg_buf_str(&l->names, "instructions");
	else if (!name.ptr || !zg_json_text(name, &l->names) || l->names.len == start)
		it.known = true; /* nobody can call it: word is UNKNOWN, so it is not shown */
	if (s == ZG_LS_TOOLS) {
		zg_buf_char(&l->own.text, ' ');
		zg_buf_add(&l->own.text, l->names.ptr ? l->names.ptr + start : "",
			   l->names.len - start);
	}
	end_name(l, start);
	add_item(l, it);
	return l->error == 0;
}

static void take_identity(struct zg_listing *l, struct zg_slice info)
{
	struct zg_slice name = zg_json_member(info, "name");
	struct zg_list_item it = {.kind = ZG_PIN_IDENTITY,
				  .section = ZG_LS_MAX,
				  .raw = info,
				  .name = (uint32_t)l->names.len};

	if (!name.ptr)
		return;
	zg_buf_str(&l->names, ZG_LIST_IDENTITY);
	zg_buf_char(&l->names, '\0');
	add_item(l, it);
}

/* A kind whose list ends here: what comes later is new. */
static void take_end(struct zg_listing *l, enum zg_pin_kind kind)
{
	struct zg_list_item it = {.kind = kind, .listed = true, .name = (uint32_t)l->names.len};

	zg_buf_char(&l->names, '\0');
	add_item(l, it);
}

int zg_listing_read(struct zg_listing *l)
{
	struct zg_slice text = zg_buf_slice(&l->text), info, result, value;
	static const char *const member[] = {"tools", "prompts", "resourceTemplates"};

	result = zg_json_member(text, "result");
	zg_list_each(text, take_entry, l);
	info = zg_json_member(result, "serverInfo");
	if (!info.ptr) /* where server/discover says it */
		info = zg_json_member(zg_json_member(result, "_meta"),
				      "io.modelcontextprotocol/serverInfo");
	if (info.ptr)
		take_identity(l, info);
	value = zg_json_member(result, "nextCursor");
	for (int i = 0; i < 3 && (!value.ptr || zg_slice_eq(value, ZG_SLICE("null"))); i++)
		if (zg_json_member(result, member[i]).ptr)
			take_end(l, (enum zg_pin_kind)i);
	if (info.ptr && zg_json_member(result, "capabilities").ptr) {
		take_end(l, ZG_PIN_INSTRUCTIONS);
		take_end(l, ZG_PIN_IDENTITY);
	}
	if (!zg_buf_ok(&l->names) || !zg_buf_ok(&l->items) || !zg_buf_ok(&l->own.text))
		return -ENOMEM;
	return l->error;
}

/* what a definition is --------------------------------------------------------------- */

static bool same_looks(struct zg_slice a, const char *b)
{
	char x[ZG_TOOL_LEN], y[ZG_TOOL_LEN];

	zg_skeleton(x, sizeof(x), a);
	zg_skeleton(y, sizeof(y), zg_slice_str(b));
	return x[0] && strcmp(x, y) == 0;
}

/* Is the server's own name the registered one, its last part, or its id? */
static uint32_t compare_identity(const struct zg_server_def *def, const json_t *info)
{
	struct zg_slice name = zg_slice_str(json_string_value(json_object_get(info, "name")));
	const char *version = json_string_value(json_object_get(info, "version"));
	const char *slash = strrchr(def->name, '/');
	uint32_t bits = 0;

	if (!same_looks(name, def->name) && !same_looks(name, slash ? slash + 1 : def->name) &&
	    !same_looks(name, def->id))
		bits |= ZG_POISON_BIT(NAME);
	if (!version || strcmp(version, def->version) != 0)
		bits |= ZG_POISON_BIT(VERSION);
	return bits;
}

/* The digest, and what there is to say of it; its text in l->canon. */
int zg_listing_definition(struct zg_listing *l, const struct zg_list_item *it)
{
	struct zg_msg_pin_seen *q = &l->question;
	json_t *v = zg_definition_parse(it->raw), *only = NULL;
	int rc = v ? 0 : -ENOMEM;

	*q = (struct zg_msg_pin_seen){
		.call = l->request->call, .question = ZG_PQ_SEEN, .kind = it->kind};
	(void)zg_str_cut(q->server, sizeof(q->server), zg_slice_str(l->request->server->id));
	(void)zg_str_cut(q->name, sizeof(q->name), zg_list_item_name(l, it));
	zg_buf_reset(&l->canon);
	if (v && it->kind == ZG_PIN_IDENTITY) {
		only = json_object();
		if (!only || json_object_set(only, "name", json_object_get(v, "name")) < 0)
			rc = -ENOMEM;
		else
			rc = zg_definition_read(only, &l->own, &l->canon, q);
		q->findings |= compare_identity(l->request->server, v);
	} else if (v) {
		rc = zg_definition_read(v, &l->own, &l->canon, q);
	}
	json_decref(only);
	json_decref(v);
	q->bytes = (uint32_t)(l->canon.len < ZG_PIN_TEXT_BYTES ? l->canon.len : ZG_PIN_TEXT_BYTES);
	return rc;
}
