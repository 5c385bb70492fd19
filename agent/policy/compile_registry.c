/* SPDX-License-Identifier: Apache-2.0 */
/*
 * compile_registry.c - what classification needs of the registry, into the
 * section. Trust: input was parsed and checked. Pure but for memory.
 */
#include "compile_impl.h"

struct zg_row_span zg_put_labels(struct zg_compiler *c, const struct zg_labels_src *l)
{
	struct zg_row_span span = {zg_rows(c, ZG_PT_LABELS, sizeof(struct zg_row_label)),
				   (uint32_t)l->count};

	for (size_t i = 0; i < l->count; i++) {
		struct zg_row_label row = {zg_put_text(c, l->item[i].key),
					   zg_put_text(c, l->item[i].value)};

		zg_buf_add(&c->table[ZG_PT_LABELS], &row, sizeof(row));
	}
	return span;
}

struct zg_row_span zg_put_tags(struct zg_compiler *c, const struct zg_texts *tags)
{
	struct zg_row_span span = {zg_rows(c, ZG_PT_TAGS, sizeof(struct zg_row_text)),
				   (uint32_t)tags->count};

	zg_put_texts(c, ZG_PT_TAGS, tags->item, tags->count);
	return span;
}

/* Exact names first, by name. Then patterns, the most specific first: the
 * longer one; of equal length the one that says write; then by text. */
static int by_tool(const void *a, const void *b)
{
	const struct zg_tool_src *x = *(const struct zg_tool_src *const *)a;
	const struct zg_tool_src *y = *(const struct zg_tool_src *const *)b;
	bool gx = zg_is_glob(x->pattern), gy = zg_is_glob(y->pattern);

	if (gx != gy)
		return gx - gy;
	if (gx && x->pattern.len != y->pattern.len)
		return x->pattern.len > y->pattern.len ? -1 : 1;
	if (gx && x->action != y->action)
		return (int)x->action - (int)y->action;
	return zg_slice_order(x->pattern, y->pattern);
}

/* Classes of tools, or of methods: the exact names, then the patterns. */
static void put_tools(struct zg_compiler *c, const struct zg_tool_src *src, size_t n,
		      struct zg_row_span *exact, struct zg_row_span *globs)
{
	const struct zg_tool_src **tool =
		zg_compile_alloc(c, n, sizeof(const struct zg_tool_src *));

	*exact = *globs =
		(struct zg_row_span){zg_rows(c, ZG_PT_TOOLS, sizeof(struct zg_row_tool)), 0};
	if (!tool)
		return;
	for (size_t i = 0; i < n; i++)
		tool[i] = &src[i];
	qsort(tool, n, sizeof(const struct zg_tool_src *), by_tool);
	for (size_t i = 0; i < n; i++) {
		struct zg_row_tool t = {
			.pattern = zg_put_text(c, tool[i]->pattern),
			.labels = zg_put_labels(c, &tool[i]->labels),
			.tags = zg_put_tags(c, &tool[i]->risk_tags),
			.action = (uint8_t)tool[i]->action,
			.has_tags = tool[i]->has_risk_tags,
		};

		exact->count += !zg_is_glob(tool[i]->pattern);
		zg_buf_add(&c->table[ZG_PT_TOOLS], &t, sizeof(t));
	}
	globs->first = exact->first + exact->count;
	globs->count = (uint32_t)n - exact->count;
}

static uint32_t hash_server(const struct zg_compiler *c, size_t row)
{
	const struct zg_row_server *s = (const void *)c->table[ZG_PT_SERVERS].ptr;

	return zg_row_hash(
		0, (struct zg_slice){c->table[ZG_PT_TEXT].ptr + s[row].id.offset, s[row].id.len});
}

static int by_server(const void *a, const void *b)
{
	return zg_slice_order((*(const struct zg_server_src *const *)a)->id,
			      (*(const struct zg_server_src *const *)b)->id);
}

void zg_put_servers(struct zg_compiler *c, const struct zg_server_src *servers, size_t n)
{
	const struct zg_server_src **server =
		zg_compile_alloc(c, n, sizeof(const struct zg_server_src *));

	if (!server)
		return;
	for (size_t i = 0; i < n; i++)
		server[i] = &servers[i];
	qsort(server, n, sizeof(const struct zg_server_src *), by_server);
	for (size_t i = 0; i < n; i++) {
		const struct zg_server_src *s = server[i];
		struct zg_row_server row = {
			.id = zg_put_text(c, s->id),
			.labels = zg_put_labels(c, &s->labels),
			.tags = zg_put_tags(c, &s->risk_tags),
			.profiles = {zg_rows(c, ZG_PT_PROFILES, sizeof(uint32_t)),
				     (uint32_t)s->profile_count},
		};

		zg_buf_add(&c->table[ZG_PT_PROFILES], s->profiles,
			   s->profile_count * sizeof(uint32_t));
		put_tools(c, s->tools, s->tool_count, &row.tools, &row.globs);
		put_tools(c, s->resources, s->resource_count, &row.resources, &row.resource_globs);
		put_tools(c, s->prompts, s->prompt_count, &row.prompts, &row.prompt_globs);
		put_tools(c, s->methods, s->method_count, &row.methods, &row.method_globs);
		zg_buf_add(&c->table[ZG_PT_SERVERS], &row, sizeof(row));
	}
	if (zg_buf_ok(&c->table[ZG_PT_SERVERS]) && zg_buf_ok(&c->table[ZG_PT_TEXT]))
		zg_put_slots(c, ZG_PT_SERVER_SLOTS, n, hash_server);
}
