/* SPDX-License-Identifier: Apache-2.0 */
/* registry_tools.c - labels, risk tags, tool classes and pinning of an entry
 * (registry_impl.h). */
#include "registry_impl.h"

static void read_labels(struct zg_registry_reader *r, const json_t *j,
			const struct zg_json_path *at, struct zg_labels_src *out)
{
	size_t n = json_object_size(j);
	const char *key;
	json_t *value;

	if (n > ZG_LABELS_MAX - 5) {
		zg_registry_bad(r, at, "more than %d labels", ZG_LABELS_MAX - 5);
		zg_diag_hint(r->ctx->diag, "keep those that policies name");
		return;
	}
	out->item = zg_arena_alloc(r->ctx->arena, (n + 1) * sizeof(*out->item));
	if (!out->item) {
		zg_registry_bad(r, at, "the file needs too much memory");
		return;
	}
	json_object_foreach((json_t *)(uintptr_t)j, key, value)
	{
		const struct zg_json_path here = {.up = at, .key = key};
		struct zg_slice k = zg_slice_str(key);

		if (!json_is_string(value)) {
			zg_registry_bad(r, &here, "the value of a label must be a string");
			zg_diag_hint(r->ctx->diag, "{\"env\": \"prod\"}");
			continue;
		}
		if (!zg_word_ok(k, 128) || zg_slice_starts(k, ZG_SLICE("mcp."))) {
			zg_registry_bad(r, &here, "'%.128s' is not a label that a registry may set",
					key);
			zg_diag_hint(r->ctx->diag, "letters, digits and . _ - / :; mcp.* is the "
						   "agent's own");
			continue;
		}
		out->item[out->count].key = zg_registry_keep(r, k, &here);
		out->item[out->count++].value = zg_registry_keep(r, zg_registry_text(value), &here);
	}
}

static void read_tags(struct zg_registry_reader *r, const json_t *j, const struct zg_json_path *at,
		      struct zg_texts *out)
{
	size_t n = json_array_size(j), i;
	json_t *value;

	if (n > ZG_RISK_TAGS_MAX) {
		zg_registry_bad(r, at, "more than %d risk tags", ZG_RISK_TAGS_MAX);
		zg_diag_hint(r->ctx->diag, "keep those that policies name");
		return;
	}
	out->item = zg_arena_alloc(r->ctx->arena, (n + 1) * sizeof(*out->item));
	if (!out->item) {
		zg_registry_bad(r, at, "the file needs too much memory");
		return;
	}
	json_array_foreach((json_t *)(uintptr_t)j, i, value)
	{
		const struct zg_json_path here = {.up = at, .index = i};

		if (!json_is_string(value) || !zg_word_ok(zg_registry_text(value), 128)) {
			zg_registry_bad(r, &here,
					"a risk tag is a string of letters, digits and . _ - / :");
			zg_diag_hint(r->ctx->diag, "[\"prod\"]");
			continue;
		}
		out->item[out->count++] = zg_registry_keep(r, zg_registry_text(value), &here);
	}
}

void zg_registry_take_labels(struct zg_registry_reader *r, const json_t *j,
			     const struct zg_json_path *at)
{
	read_labels(r, j, at, &r->entry->policy.labels);
}

void zg_registry_take_tags(struct zg_registry_reader *r, const json_t *j,
			   const struct zg_json_path *at)
{
	read_tags(r, j, at, &r->entry->policy.risk_tags);
}

/* One tool's class; jansson gives them in file order, compile.c sorts them. */
static void take_tool(struct zg_registry_reader *r, struct zg_tool_src *tool, const json_t *j,
		      const struct zg_json_path *at)
{
	const char *key;
	json_t *value;

	if (!json_is_object(j)) {
		zg_registry_bad(r, at, "a class must be an object");
		zg_diag_hint(r->ctx->diag, "{\"action\": \"read\"}, or \"write\"");
		return;
	}
	json_object_foreach((json_t *)(uintptr_t)j, key, value)
	{
		const struct zg_json_path here = {.up = at, .key = key};
		struct zg_slice text =
			json_is_string(value) ? zg_registry_text(value) : ZG_SLICE("");

		if (strcmp(key, "action") == 0) {
			if (zg_slice_eq(text, ZG_SLICE("read")))
				tool->action = ZG_ACTION_READ;
			else if (!zg_slice_eq(text, ZG_SLICE("write"))) {
				zg_registry_bad(r, &here, "an action is \"read\" or \"write\"");
				zg_diag_hint(r->ctx->diag, "{\"action\": \"read\"}, or \"write\"");
			}
		} else if (strcmp(key, "risk_tags") == 0 && json_is_array(value)) {
			tool->has_risk_tags = true;
			read_tags(r, value, &here, &tool->risk_tags);
		} else if (strcmp(key, "labels") == 0 && json_is_object(value)) {
			read_labels(r, value, &here, &tool->labels);
		} else {
			zg_registry_bad(r, &here, "unknown or misshapen member '%.128s' in a class",
					key);
			zg_diag_hint(r->ctx->diag, "action, risk_tags [..], labels {..}");
		}
	}
	if (!json_object_get(j, "action")) {
		zg_registry_bad(r, at, "a class has no 'action'");
		zg_diag_hint(r->ctx->diag, "{\"action\": \"read\"}, or \"write\"");
	}
}

/* {"pattern": class, ...} of tools or of methods */
static void take_classes(struct zg_registry_reader *r, const json_t *j,
			 const struct zg_json_path *at, size_t max, struct zg_tool_src **out,
			 size_t *count)
{
	struct zg_tool_src *item =
		zg_arena_alloc(r->ctx->arena, (json_object_size(j) + 1) * sizeof(*item));
	const char *key;
	json_t *value;

	if (!item) {
		zg_registry_bad(r, at, "the file needs too much memory");
		return;
	}
	*out = item;
	json_object_foreach((json_t *)(uintptr_t)j, key, value)
	{
		const struct zg_json_path here = {.up = at, .key = key};
		struct zg_tool_src *class = &item[*count];

		if (!key[0] || strlen(key) >= max) {
			zg_registry_bad(r, &here, "a name here has 1 to %zu bytes", max - 1);
			zg_diag_hint(r->ctx->diag, "the name of a tool, prompt or method, a URI, "
						   "or a pattern with '*'");
			continue;
		}
		class->pattern = zg_registry_keep(r, zg_slice_str(key), &here);
		take_tool(r, class, value, &here);
		(*count)++;
	}
}

void zg_registry_take_tools(struct zg_registry_reader *r, const json_t *j,
			    const struct zg_json_path *at)
{
	struct zg_server_src *s = &r->entry->policy;

	take_classes(r, j, at, ZG_TOOL_LEN, &s->tools, &s->tool_count);
}

void zg_registry_take_resources(struct zg_registry_reader *r, const json_t *j,
				const struct zg_json_path *at)
{
	struct zg_server_src *s = &r->entry->policy;

	take_classes(r, j, at, ZG_URI_PATTERN_LEN, &s->resources, &s->resource_count);
}

void zg_registry_take_prompts(struct zg_registry_reader *r, const json_t *j,
			      const struct zg_json_path *at)
{
	struct zg_server_src *s = &r->entry->policy;

	take_classes(r, j, at, ZG_TOOL_LEN, &s->prompts, &s->prompt_count);
}

void zg_registry_take_extensions(struct zg_registry_reader *r, const json_t *j,
				 const struct zg_json_path *at)
{
	struct zg_server_src *s = &r->entry->policy;

	take_classes(r, j, at, ZG_METHOD_LEN, &s->methods, &s->method_count);
}

void zg_registry_take_trust(struct zg_registry_reader *r, const json_t *j,
			    const struct zg_json_path *at)
{
	(void)at;
	r->entry->def.trust_annotations = json_is_true(j);
}

void zg_registry_take_pinning(struct zg_registry_reader *r, const json_t *j,
			      const struct zg_json_path *at)
{
	struct zg_slice mode = zg_registry_text(j);

	if (zg_slice_eq(mode, ZG_SLICE("approval"))) {
		r->entry->def.pinning = ZG_PINNING_APPROVAL;
	} else if (zg_slice_eq(mode, ZG_SLICE("first-use"))) {
		r->entry->def.pinning = ZG_PINNING_FIRST_USE;
	} else {
		zg_registry_bad(r, at, "'%.64s' is no way of pinning", json_string_value(j));
		zg_diag_hint(r->ctx->diag, "\"first-use\" (the default) or \"approval\"");
	}
}

void zg_registry_take_namespace(struct zg_registry_reader *r, const json_t *j,
				const struct zg_json_path *at)
{
	const char *s = json_string_value(j);
	size_t n = strlen(s);

	if (n == 0 || n >= ZG_NAMESPACE_LEN ||
	    strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.") != n) {
		zg_registry_bad(r, at, "'%.64s' is no prefix of names", s);
		zg_diag_hint(r->ctx->diag,
			     "letters, digits and _ - . , at most %d, such as \"gh_\"",
			     ZG_NAMESPACE_LEN - 1);
		return;
	}
	(void)zg_str_cut(r->entry->def.prefix, sizeof(r->entry->def.prefix), zg_slice_str(s));
}
