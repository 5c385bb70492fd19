/* SPDX-License-Identifier: Apache-2.0 */
/*
 * compile.c - see compile.h. Trust: input was parsed and checked; sizes are
 * bounded by what the files could hold. Pure but for memory.
 */
#include "compile.h"

#include <errno.h>

#include "section.h"

/* An exact value that some condition names. */
struct atom {
	uint32_t key;
	struct zg_slice value;
	uint32_t uses; /* by conditions that could be a pivot */
};

struct compiler {
	struct zg_arena *arena;
	const struct zg_rule_src **rule;
	size_t rule_count;
	struct zg_slice *key; /* sorted names of labels; key id = place + ZG_KEY_LABELS */
	size_t key_count;
	struct atom *atom; /* sorted by (key, value) */
	size_t atom_count;
	uint32_t *pivot; /* per rule */
	struct zg_buf table[ZG_PT_MAX];
	bool failed;
};

static void *alloc(struct compiler *c, size_t n, size_t size)
{
	void *p = n <= SIZE_MAX / size ? zg_arena_alloc(c->arena, n ? n * size : 1) : NULL;

	if (!p)
		c->failed = true;
	return p;
}

static uint32_t rows(const struct compiler *c, enum zg_policy_table t, size_t row)
{
	return (uint32_t)(c->table[t].len / row);
}

static struct zg_row_text put_text(struct compiler *c, struct zg_slice s)
{
	struct zg_row_text t = {(uint32_t)c->table[ZG_PT_TEXT].len, (uint32_t)s.len};

	zg_buf_add(&c->table[ZG_PT_TEXT], s.ptr, s.len);
	return t;
}

static void put_texts(struct compiler *c, enum zg_policy_table t, const struct zg_slice *s,
		      size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct zg_row_text text = put_text(c, s[i]);

		zg_buf_add(&c->table[t], &text, sizeof(text));
	}
}

static int by_text(const void *a, const void *b)
{
	return zg_slice_order(*(const struct zg_slice *)a, *(const struct zg_slice *)b);
}

/* Sort, drop what is equal; the new count. */
static size_t unique(struct zg_slice *s, size_t n)
{
	size_t kept = 0;

	qsort(s, n, sizeof(*s), by_text);
	for (size_t i = 0; i < n; i++)
		if (!kept || !zg_slice_eq(s[kept - 1], s[i]))
			s[kept++] = s[i];
	return kept;
}

static int by_id(const void *a, const void *b)
{
	return zg_slice_order((*(const struct zg_rule_src *const *)a)->id,
			      (*(const struct zg_rule_src *const *)b)->id);
}

const struct zg_rule_src **zg_policy_order(const struct zg_policy_src *p, struct zg_arena *arena)
{
	const struct zg_rule_src **rule =
		zg_arena_alloc(arena, (p->rule_count + 1) * sizeof(struct zg_rule_src *));
	size_t n = 0;

	if (!rule)
		return NULL;
	for (const struct zg_rule_src *r = p->rules; r; r = r->next)
		rule[n++] = r;
	qsort(rule, n, sizeof(struct zg_rule_src *), by_id);
	return rule;
}

/* Call fn for every condition; unless' come with can_pivot false. */
static void each_cond(struct compiler *c,
		      void (*fn)(struct compiler *, const struct zg_cond_src *, bool can_pivot))
{
	for (size_t i = 0; i < c->rule_count; i++) {
		for (size_t j = 0; j < c->rule[i]->match.count; j++)
			fn(c, &c->rule[i]->match.item[j], true);
		for (size_t j = 0; j < c->rule[i]->unless.count; j++)
			fn(c, &c->rule[i]->unless.item[j], false);
	}
}

static uint32_t key_id(const struct compiler *c, const struct zg_cond_src *cond)
{
	const struct zg_slice *found;

	if (cond->kind == ZG_CK_RISK_TAG)
		return ZG_KEY_RISK_TAG;
	if (cond->kind == ZG_CK_SERVER_NOT_IN)
		return ZG_KEY_SERVER_FOLDED;
	found = bsearch(&cond->key, c->key, c->key_count, sizeof(*c->key), by_text);
	return (uint32_t)(found - c->key) + ZG_KEY_LABELS;
}

static int by_atom(const void *a, const void *b)
{
	const struct atom *x = a, *y = b;

	if (x->key != y->key)
		return x->key < y->key ? -1 : 1;
	return zg_slice_order(x->value, y->value);
}

static struct atom *atom_of(const struct compiler *c, uint32_t key, struct zg_slice value)
{
	struct atom want = {.key = key, .value = value};

	return bsearch(&want, c->atom, c->atom_count, sizeof(want), by_atom);
}

/* "*" only means something in a label's value. */
static bool globbed(const struct zg_cond_src *cond, size_t i)
{
	return cond->kind == ZG_CK_LABEL && zg_is_glob(cond->values.item[i]);
}

static void count_cond(struct compiler *c, const struct zg_cond_src *cond, bool can_pivot)
{
	(void)can_pivot;
	c->key_count++;
	c->atom_count += cond->values.count;
}

static void collect_key(struct compiler *c, const struct zg_cond_src *cond, bool can_pivot)
{
	(void)can_pivot;
	if (cond->kind == ZG_CK_LABEL)
		c->key[c->key_count++] = cond->key;
}

static void collect_atoms(struct compiler *c, const struct zg_cond_src *cond, bool can_pivot)
{
	for (size_t i = 0; i < cond->values.count; i++)
		if (!globbed(cond, i))
			c->atom[c->atom_count++] =
				(struct atom){key_id(c, cond), cond->values.item[i], can_pivot};
}

/* Give every exact (key, value) of any condition its number. */
static bool number_atoms(struct compiler *c)
{
	size_t kept = 0;

	each_cond(c, count_cond);
	c->key = alloc(c, c->key_count + 1, sizeof(*c->key));
	c->atom = alloc(c, c->atom_count, sizeof(*c->atom));
	if (c->failed)
		return false;
	c->key_count = c->atom_count = 0;
	c->key[c->key_count++] = ZG_SLICE("mcp.server"); /* decide.c asks for it always */
	each_cond(c, collect_key);
	c->key_count = unique(c->key, c->key_count);
	each_cond(c, collect_atoms);
	qsort(c->atom, c->atom_count, sizeof(*c->atom), by_atom);
	for (size_t i = 0; i < c->atom_count; i++) {
		if (kept && by_atom(&c->atom[kept - 1], &c->atom[i]) == 0)
			c->atom[kept - 1].uses += c->atom[i].uses;
		else
			c->atom[kept++] = c->atom[i];
	}
	c->atom_count = kept;
	return true;
}

/* How many rules a call may have to visit if this condition is the pivot;
 * UINT32_MAX: it cannot be one. */
static uint32_t pivot_cost(const struct compiler *c, const struct zg_cond_src *cond)
{
	uint32_t worst = 0;

	if (cond->kind == ZG_CK_SERVER_NOT_IN)
		return UINT32_MAX;
	for (size_t i = 0; i < cond->values.count; i++) {
		const struct atom *a;

		if (globbed(cond, i))
			return UINT32_MAX;
		a = atom_of(c, key_id(c, cond), cond->values.item[i]);
		if (a->uses > worst)
			worst = a->uses;
	}
	return worst;
}

static bool choose_pivots(struct compiler *c)
{
	c->pivot = alloc(c, c->rule_count, sizeof(*c->pivot));
	if (!c->pivot)
		return false;
	for (size_t i = 0; i < c->rule_count; i++) {
		const struct zg_conds_src *m = &c->rule[i]->match;
		uint32_t best = UINT32_MAX;

		c->pivot[i] = ZG_NO_INDEX;
		for (size_t j = 0; j < m->count; j++) {
			uint32_t cost = pivot_cost(c, &m->item[j]);

			if (cost < best) {
				best = cost;
				c->pivot[i] = (uint32_t)j;
			}
		}
	}
	return true;
}

struct hang {
	uint32_t atom;
	uint16_t rule;
};

static int by_hang(const void *a, const void *b)
{
	const struct hang *x = a, *y = b;

	if (x->atom != y->atom)
		return x->atom < y->atom ? -1 : 1;
	return (int)x->rule - (int)y->rule;
}

/* POSTINGS and ATOMS: which rules hang where; then the residual list. */
static struct zg_row_span put_postings(struct compiler *c)
{
	struct zg_buf *postings = &c->table[ZG_PT_POSTINGS];
	struct zg_row_span residual = {0};
	struct hang *hang;
	size_t n = 0, at = 0;

	for (size_t i = 0; i < c->rule_count; i++)
		n += c->pivot[i] == ZG_NO_INDEX ? 0
						: c->rule[i]->match.item[c->pivot[i]].values.count;
	hang = alloc(c, n, sizeof(*hang));
	if (!hang)
		return residual;
	n = 0;
	for (size_t i = 0; i < c->rule_count; i++) {
		const struct zg_cond_src *p;

		if (c->pivot[i] == ZG_NO_INDEX)
			continue;
		p = &c->rule[i]->match.item[c->pivot[i]];
		for (size_t j = 0; j < p->values.count; j++)
			hang[n++] = (struct hang){
				(uint32_t)(atom_of(c, key_id(c, p), p->values.item[j]) - c->atom),
				(uint16_t)i};
	}
	qsort(hang, n, sizeof(*hang), by_hang);
	for (uint32_t a = 0; a < c->atom_count; a++) {
		struct zg_row_atom row = {.key = c->atom[a].key,
					  .value = put_text(c, c->atom[a].value),
					  .rules.first = rows(c, ZG_PT_POSTINGS, 2)};

		for (; at < n && hang[at].atom == a; at++)
			/* a value listed twice in one condition hangs its rule once */
			if (!row.rules.count || by_hang(&hang[at - 1], &hang[at]) != 0) {
				zg_buf_add(postings, &hang[at].rule, sizeof(uint16_t));
				row.rules.count++;
			}
		zg_buf_add(&c->table[ZG_PT_ATOMS], &row, sizeof(row));
	}
	residual.first = rows(c, ZG_PT_POSTINGS, 2);
	for (size_t i = 0; i < c->rule_count; i++) {
		uint16_t number = (uint16_t)i;

		if (c->pivot[i] != ZG_NO_INDEX)
			continue;
		zg_buf_add(postings, &number, sizeof(number));
		residual.count++;
	}
	return residual;
}

static int by_number(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static void put_cond(struct compiler *c, const struct zg_cond_src *cond)
{
	struct zg_buf *values = &c->table[ZG_PT_VALUES];
	struct zg_row_cond row = {.kind = cond->kind, .key = key_id(c, cond)};

	row.atoms.first = rows(c, ZG_PT_VALUES, sizeof(uint32_t));
	row.globs.first = rows(c, ZG_PT_GLOBS, sizeof(struct zg_row_text));
	for (size_t i = 0; i < cond->values.count; i++) {
		uint32_t number;

		if (globbed(cond, i)) {
			put_texts(c, ZG_PT_GLOBS, &cond->values.item[i], 1);
			row.globs.count++;
			continue;
		}
		number = (uint32_t)(atom_of(c, row.key, cond->values.item[i]) - c->atom);
		zg_buf_add(values, &number, sizeof(number));
		row.atoms.count++;
	}
	if (zg_buf_ok(values) && row.atoms.count)
		qsort(values->ptr + row.atoms.first * sizeof(uint32_t), row.atoms.count,
		      sizeof(uint32_t), by_number);
	zg_buf_add(&c->table[ZG_PT_CONDS], &row, sizeof(row));
}

static struct zg_row_span put_conds(struct compiler *c, const struct zg_conds_src *conds)
{
	struct zg_row_span span = {rows(c, ZG_PT_CONDS, sizeof(struct zg_row_cond)),
				   (uint32_t)conds->count};

	for (size_t i = 0; i < conds->count; i++)
		put_cond(c, &conds->item[i]);
	return span;
}

/* Equal lists share a row, so that a call under many rules carries few. */
static uint16_t put_allowlist(struct compiler *c, const struct zg_texts *hosts)
{
	const size_t first = rows(c, ZG_PT_HOSTS, sizeof(struct zg_row_text));
	const struct zg_buf *text = &c->table[ZG_PT_TEXT];
	struct zg_row_span row = {(uint32_t)first, 0};
	struct zg_slice *sorted;
	uint32_t lists = rows(c, ZG_PT_LISTS, sizeof(row));

	if (!hosts->count)
		return ZG_NO_ALLOWLIST;
	sorted = alloc(c, hosts->count, sizeof(*sorted));
	if (!sorted)
		return ZG_NO_ALLOWLIST;
	memcpy(sorted, hosts->item, hosts->count * sizeof(*sorted));
	row.count = (uint32_t)unique(sorted, hosts->count);
	for (uint32_t i = 0; zg_buf_ok(text) && i < lists; i++) {
		const struct zg_row_span *list = (const void *)c->table[ZG_PT_LISTS].ptr;
		const struct zg_row_text *host = (const void *)c->table[ZG_PT_HOSTS].ptr;
		uint32_t same = 0;

		if (list[i].count != row.count)
			continue;
		while (same < row.count) {
			struct zg_row_text t = host[list[i].first + same];

			if (!zg_slice_eq(sorted[same],
					 (struct zg_slice){text->ptr + t.offset, t.len}))
				break;
			same++;
		}
		if (same == row.count)
			return (uint16_t)i;
	}
	put_texts(c, ZG_PT_HOSTS, sorted, row.count);
	zg_buf_add(&c->table[ZG_PT_LISTS], &row, sizeof(row));
	return (uint16_t)lists;
}

static struct zg_row_span put_limits(struct compiler *c, const struct zg_constraints_src *src,
				     uint32_t rule)
{
	struct zg_row_span span = {rows(c, ZG_PT_LIMITS, sizeof(struct zg_limit)),
				   (uint32_t)src->limit_count};

	for (size_t i = 0; i < src->limit_count; i++) {
		struct zg_limit row = src->limit[i];

		row.rule = rule;
		zg_buf_add(&c->table[ZG_PT_LIMITS], &row, sizeof(row));
	}
	/* a decision carries their numbers in 16 bits */
	if (span.first + span.count > UINT16_MAX)
		c->table[ZG_PT_LIMITS].error = -EFBIG;
	return span;
}

static void put_rules(struct compiler *c)
{
	for (size_t i = 0; i < c->rule_count; i++) {
		const struct zg_rule_src *r = c->rule[i];
		struct zg_row_rule row = {
			.id = put_text(c, r->id),
			.reason = put_text(c, r->reason),
			.match = put_conds(c, &r->match),
			.unless = put_conds(c, &r->unless),
			.pivot = c->pivot[i],
			.max_runtime_sec = r->constraints.max_runtime_sec,
			.max_retries = r->constraints.max_retries,
			.has_max_retries = r->constraints.has_max_retries,
			.max_output_bytes = r->constraints.max_output_bytes,
			.limits = put_limits(c, &r->constraints, (uint32_t)i),
			.allowlist = put_allowlist(c, &r->constraints.allowlist),
			.redact = (uint8_t)r->constraints.redact,
			.approvers = (uint8_t)r->constraints.approvers,
			.decision = (uint8_t)r->decision,
		};

		row.place.offset = (uint32_t)c->table[ZG_PT_TEXT].len;
		zg_buf_str(&c->table[ZG_PT_TEXT], r->file);
		zg_buf_fmt(&c->table[ZG_PT_TEXT], ":%u", r->line);
		row.place.len = (uint32_t)c->table[ZG_PT_TEXT].len - row.place.offset;
		zg_buf_add(&c->table[ZG_PT_RULES], &row, sizeof(row));
	}
}

/* A hash table of n rows; hash gives the place a row would like. */
static void put_slots(struct compiler *c, enum zg_policy_table t, size_t n,
		      uint32_t (*hash)(const struct compiler *, size_t row))
{
	uint32_t size = 4, *slot;

	while (size < 2 * n)
		size *= 2;
	slot = alloc(c, size, sizeof(*slot));
	if (!slot)
		return;
	for (size_t i = 0; i < n; i++) {
		uint32_t at = hash(c, i) & (size - 1);

		while (slot[at])
			at = (at + 1) & (size - 1);
		slot[at] = (uint32_t)i + 1;
	}
	zg_buf_add(&c->table[t], slot, size * sizeof(*slot));
}

static uint32_t hash_key(const struct compiler *c, size_t row)
{
	return zg_row_hash(0, c->key[row]);
}

static uint32_t hash_atom(const struct compiler *c, size_t row)
{
	return zg_row_hash(c->atom[row].key, c->atom[row].value);
}

static uint32_t hash_server(const struct compiler *c, size_t row)
{
	const struct zg_row_server *s = (const void *)c->table[ZG_PT_SERVERS].ptr;

	return zg_row_hash(
		0, (struct zg_slice){c->table[ZG_PT_TEXT].ptr + s[row].id.offset, s[row].id.len});
}

static void put_keys(struct compiler *c)
{
	struct zg_row_key row = {0};
	struct zg_buf *slots = &c->table[ZG_PT_KEY_SLOTS];

	for (int i = 0; i < ZG_KEY_LABELS; i++)
		zg_buf_add(&c->table[ZG_PT_KEYS], &row, sizeof(row));
	for (size_t i = 0; i < c->key_count; i++) {
		row.name = put_text(c, c->key[i]);
		zg_buf_add(&c->table[ZG_PT_KEYS], &row, sizeof(row));
	}
	put_slots(c, ZG_PT_KEY_SLOTS, c->key_count, hash_key);
	for (size_t i = 0; zg_buf_ok(slots) && i < slots->len / sizeof(uint32_t); i++) {
		uint32_t *slot = (void *)slots->ptr;

		if (slot[i])
			slot[i] += ZG_KEY_LABELS;
	}
}

static struct zg_row_span put_labels(struct compiler *c, const struct zg_labels_src *l)
{
	struct zg_row_span span = {rows(c, ZG_PT_LABELS, sizeof(struct zg_row_label)),
				   (uint32_t)l->count};

	for (size_t i = 0; i < l->count; i++) {
		struct zg_row_label row = {put_text(c, l->item[i].key),
					   put_text(c, l->item[i].value)};

		zg_buf_add(&c->table[ZG_PT_LABELS], &row, sizeof(row));
	}
	return span;
}

static struct zg_row_span put_tags(struct compiler *c, const struct zg_texts *tags)
{
	struct zg_row_span span = {rows(c, ZG_PT_TAGS, sizeof(struct zg_row_text)),
				   (uint32_t)tags->count};

	put_texts(c, ZG_PT_TAGS, tags->item, tags->count);
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
static void put_tools(struct compiler *c, const struct zg_tool_src *src, size_t n,
		      struct zg_row_span *exact, struct zg_row_span *globs)
{
	const struct zg_tool_src **tool = alloc(c, n, sizeof(const struct zg_tool_src *));

	*exact = *globs = (struct zg_row_span){rows(c, ZG_PT_TOOLS, sizeof(struct zg_row_tool)), 0};
	if (!tool)
		return;
	for (size_t i = 0; i < n; i++)
		tool[i] = &src[i];
	qsort(tool, n, sizeof(const struct zg_tool_src *), by_tool);
	for (size_t i = 0; i < n; i++) {
		struct zg_row_tool t = {
			.pattern = put_text(c, tool[i]->pattern),
			.labels = put_labels(c, &tool[i]->labels),
			.tags = put_tags(c, &tool[i]->risk_tags),
			.action = (uint8_t)tool[i]->action,
			.has_tags = tool[i]->has_risk_tags,
		};

		exact->count += !zg_is_glob(tool[i]->pattern);
		zg_buf_add(&c->table[ZG_PT_TOOLS], &t, sizeof(t));
	}
	globs->first = exact->first + exact->count;
	globs->count = (uint32_t)n - exact->count;
}

static int by_server(const void *a, const void *b)
{
	return zg_slice_order((*(const struct zg_server_src *const *)a)->id,
			      (*(const struct zg_server_src *const *)b)->id);
}

static void put_servers(struct compiler *c, const struct zg_server_src *servers, size_t n)
{
	const struct zg_server_src **server = alloc(c, n, sizeof(const struct zg_server_src *));

	if (!server)
		return;
	for (size_t i = 0; i < n; i++)
		server[i] = &servers[i];
	qsort(server, n, sizeof(const struct zg_server_src *), by_server);
	for (size_t i = 0; i < n; i++) {
		const struct zg_server_src *s = server[i];
		struct zg_row_server row = {
			.id = put_text(c, s->id),
			.labels = put_labels(c, &s->labels),
			.tags = put_tags(c, &s->risk_tags),
			.profiles = {rows(c, ZG_PT_PROFILES, sizeof(uint32_t)),
				     (uint32_t)s->profile_count},
		};

		zg_buf_add(&c->table[ZG_PT_PROFILES], s->profiles,
			   s->profile_count * sizeof(uint32_t));
		put_tools(c, s->tools, s->tool_count, &row.tools, &row.globs);
		put_tools(c, s->methods, s->method_count, &row.methods, &row.method_globs);
		zg_buf_add(&c->table[ZG_PT_SERVERS], &row, sizeof(row));
	}
	if (zg_buf_ok(&c->table[ZG_PT_SERVERS]) && zg_buf_ok(&c->table[ZG_PT_TEXT]))
		put_slots(c, ZG_PT_SERVER_SLOTS, n, hash_server);
}

/* All tables behind one header. */
static int join(struct compiler *c, struct zg_policy_header *h, struct zg_buf *out)
{
	static const size_t row_bytes[ZG_PT_MAX] = {
#define X(NAME, name, type) [ZG_PT_##NAME] = sizeof(type),
		ZG_POLICY_TABLES(X)
#undef X
	};
	size_t offset = (sizeof(*h) + 7) & ~(size_t)7;

	for (int i = 0; i < ZG_PT_MAX; i++) {
		if (!zg_buf_ok(&c->table[i]))
			return c->table[i].error;
		h->table[i].first = (uint32_t)offset;
		h->table[i].count = (uint32_t)(c->table[i].len / row_bytes[i]);
		offset += (c->table[i].len + 7) & ~(size_t)7;
		if (offset > ZG_SNAPSHOT_BYTES)
			return -EFBIG;
	}
	h->bytes = (uint32_t)offset;
	zg_buf_add(out, h, sizeof(*h));
	for (int i = 0; i < ZG_PT_MAX; i++) {
		zg_buf_add(out, "\0\0\0\0\0\0\0", h->table[i].first - out->len);
		zg_buf_add(out, c->table[i].ptr, c->table[i].len);
	}
	zg_buf_add(out, "\0\0\0\0\0\0\0", offset - out->len);
	return out->error;
}

int zg_policy_compile(const struct zg_policy_src *p, const struct zg_server_src *servers,
		      size_t server_count, struct zg_arena *arena, struct zg_buf *out,
		      struct zg_err *e)
{
	struct zg_policy_header h = {.magic = ZG_POLICY_MAGIC,
				     .default_decision = p->default_decision};
	struct compiler c = {.arena = arena, .rule_count = p->rule_count};
	int r = -ENOMEM;

	for (int i = 0; i < ZG_PT_MAX; i++)
		c.table[i] = ZG_BUF(ZG_SNAPSHOT_BYTES);
	c.rule = zg_policy_order(p, arena);
	if (c.rule && number_atoms(&c) && choose_pivots(&c)) {
		h.residual = put_postings(&c);
		put_keys(&c);
		put_slots(&c, ZG_PT_ATOM_SLOTS, c.atom_count, hash_atom);
		put_rules(&c);
		put_servers(&c, servers, server_count);
		r = c.failed ? -ENOMEM : join(&c, &h, out);
	}
	for (int i = 0; i < ZG_PT_MAX; i++)
		zg_buf_release(&c.table[i]);
	return r ? zg_err_set(e, -r, "the policy is too large to compile") : 0;
}
