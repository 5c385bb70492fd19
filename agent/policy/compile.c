/* SPDX-License-Identifier: Apache-2.0 */
/*
 * compile.c - see compile.h. Trust: input was parsed and checked; sizes are
 * bounded by what the files could hold. Pure but for memory.
 */
#include <errno.h>

#include "compile_impl.h"

void *zg_compile_alloc(struct zg_compiler *c, size_t n, size_t size)
{
	void *p = n <= SIZE_MAX / size ? zg_arena_alloc(c->arena, n ? n * size : 1) : NULL;

	if (!p)
		c->failed = true;
	return p;
}

uint32_t zg_rows(const struct zg_compiler *c, enum zg_policy_table t, size_t row)
{
	return (uint32_t)(c->table[t].len / row);
}

struct zg_row_text zg_put_text(struct zg_compiler *c, struct zg_slice s)
{
	struct zg_row_text t = {(uint32_t)c->table[ZG_PT_TEXT].len, (uint32_t)s.len};

	zg_buf_add(&c->table[ZG_PT_TEXT], s.ptr, s.len);
	return t;
}

void zg_put_texts(struct zg_compiler *c, enum zg_policy_table t, const struct zg_slice *s, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct zg_row_text text = zg_put_text(c, s[i]);

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

static int by_class_id(const void *a, const void *b)
{
	return zg_slice_order((*(const struct zg_class_src *const *)a)->id,
			      (*(const struct zg_class_src *const *)b)->id);
}

const struct zg_class_src **zg_policy_class_order(const struct zg_policy_src *p,
						  struct zg_arena *arena)
{
	const struct zg_class_src **class =
		zg_arena_alloc(arena, (p->class_count + 1) * sizeof(struct zg_class_src *));
	size_t n = 0;

	if (!class)
		return NULL;
	for (const struct zg_class_src *c = p->classes; c; c = c->next)
		class[n++] = c;
	qsort(class, n, sizeof(struct zg_class_src *), by_class_id);
	return class;
}

static bool list_entries(struct zg_compiler *c)
{
	c->rule = zg_policy_order(c->policy, c->arena);
	c->class = zg_policy_class_order(c->policy, c->arena);
	c->entry_count = c->policy->rule_count + c->policy->class_count;
	c->entry = zg_compile_alloc(c, c->entry_count, sizeof(*c->entry));
	if (!c->rule || !c->class || !c->entry)
		return false;
	for (size_t i = 0; i < c->policy->rule_count; i++)
		c->entry[i] =
			(struct zg_entry){&c->rule[i]->match, &c->rule[i]->unless, ZG_NO_INDEX};
	for (size_t i = 0; i < c->policy->class_count; i++)
		c->entry[c->policy->rule_count + i] = (struct zg_entry){
			&c->class[i] -> match, &c -> class[i] -> unless, ZG_NO_INDEX};
	return true;
}

/* Call fn for every condition; unless' come with can_pivot false. */
static void each_cond(struct zg_compiler *c,
		      void (*fn)(struct zg_compiler *, const struct zg_cond_src *, bool can_pivot))
{
	for (size_t i = 0; i < c->entry_count; i++) {
		for (size_t j = 0; j < c->entry[i].match->count; j++)
			fn(c, &c->entry[i].match->item[j], true);
		for (size_t j = 0; j < c->entry[i].unless->count; j++)
			fn(c, &c->entry[i].unless->item[j], false);
	}
}

bool zg_has_atoms(const struct zg_cond_src *cond)
{
	switch (cond->kind) {
	case ZG_CK_LABEL:
	case ZG_CK_RISK_TAG:
	case ZG_CK_SERVER_NOT_IN:
	case ZG_CK_FACT:
	case ZG_CK_UID:
	case ZG_CK_USER:
		return true;
	case ZG_CK_TIME:
	case ZG_CK_ARG_IS:
	case ZG_CK_ARG_REGEX:
	case ZG_CK_ARG_RANGE:
	case ZG_CK_ARG_PRESENT:
	case ZG_CK_ARG_ABSENT:
	case ZG_CK_MAX:
		break;
	}
	return false;
}

/* Of a condition that has atoms. */
uint32_t zg_key_of(const struct zg_compiler *c, const struct zg_cond_src *cond)
{
	const struct zg_slice *found;

	if (cond->kind == ZG_CK_RISK_TAG)
		return ZG_KEY_RISK_TAG;
	if (cond->kind == ZG_CK_SERVER_NOT_IN)
		return ZG_KEY_SERVER_FOLDED;
	if (cond->kind != ZG_CK_LABEL)
		return ZG_KEY_FACTS + (uint32_t)cond->fact;
	found = bsearch(&cond->key, c->key, c->key_count, sizeof(*c->key), by_text);
	return (uint32_t)(found - c->key) + ZG_KEY_LABELS;
}

static int by_atom(const void *a, const void *b)
{
	const struct zg_atom *x = a, *y = b;

	if (x->key != y->key)
		return x->key < y->key ? -1 : 1;
	return zg_slice_order(x->value, y->value);
}

const struct zg_atom *zg_atom_find(const struct zg_compiler *c, uint32_t key, struct zg_slice value)
{
	struct zg_atom want = {.key = key, .value = value};

	return bsearch(&want, c->atom, c->atom_count, sizeof(want), by_atom);
}

bool zg_globbed(const struct zg_cond_src *cond, size_t i)
{
	return zg_cond_globs(cond) && zg_is_glob(cond->values.item[i]);
}

static void count_cond(struct zg_compiler *c, const struct zg_cond_src *cond, bool can_pivot)
{
	(void)can_pivot;
	c->key_count++;
	if (zg_has_atoms(cond))
		c->atom_count += cond->values.count;
}

static void collect_key(struct zg_compiler *c, const struct zg_cond_src *cond, bool can_pivot)
{
	(void)can_pivot;
	if (cond->kind == ZG_CK_LABEL)
		c->key[c->key_count++] = cond->key;
	if (cond->kind == ZG_CK_FACT || cond->kind == ZG_CK_UID || cond->kind == ZG_CK_USER)
		c->facts |= 1u << cond->fact;
}

static void collect_atoms(struct zg_compiler *c, const struct zg_cond_src *cond, bool can_pivot)
{
	for (size_t i = 0; zg_has_atoms(cond) && i < cond->values.count; i++)
		if (!zg_globbed(cond, i))
			c->atom[c->atom_count++] = (struct zg_atom){
				.key = zg_key_of(c, cond),
				.value = cond->values.item[i],
				.uses = can_pivot,
			};
}

/* Give every exact (key, value) of any condition its number. */
static bool number_atoms(struct zg_compiler *c)
{
	size_t kept = 0;

	each_cond(c, count_cond);
	c->key = zg_compile_alloc(c, c->key_count + 1, sizeof(*c->key));
	c->atom = zg_compile_alloc(c, c->atom_count, sizeof(*c->atom));
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

/* Facts that are known of every call of the gateway, and have one value. */
static bool fact_pivots(enum zg_fact f)
{
	return f == ZG_FACT_PROFILE || f == ZG_FACT_CGROUP || f == ZG_FACT_UID;
}

/* How many rules a call may have to visit if this condition is the pivot;
 * UINT32_MAX: it cannot be one. */
static uint32_t pivot_cost(const struct zg_compiler *c, const struct zg_cond_src *cond)
{
	uint32_t worst = 0;

	if (!zg_has_atoms(cond) || cond->kind == ZG_CK_SERVER_NOT_IN || cond->kind == ZG_CK_USER ||
	    cond->range_count || (cond->kind == ZG_CK_FACT && !fact_pivots(cond->fact)))
		return UINT32_MAX;
	for (size_t i = 0; i < cond->values.count; i++) {
		const struct zg_atom *a;

		if (zg_globbed(cond, i))
			return UINT32_MAX;
		a = zg_atom_find(c, zg_key_of(c, cond), cond->values.item[i]);
		if (a->uses > worst)
			worst = a->uses;
	}
	return worst;
}

static void choose_pivots(struct zg_compiler *c)
{
	for (size_t i = 0; i < c->entry_count; i++) {
		const struct zg_conds_src *m = c->entry[i].match;
		uint32_t best = UINT32_MAX;

		for (size_t j = 0; j < m->count; j++) {
			uint32_t cost = pivot_cost(c, &m->item[j]);

			if (cost < best) {
				best = cost;
				c->entry[i].pivot = (uint32_t)j;
			}
		}
	}
}

static const struct zg_cond_src *pivot_of(const struct zg_entry *e)
{
	return e->pivot == ZG_NO_INDEX ? NULL : &e->match->item[e->pivot];
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

static void put_posting(struct zg_compiler *c, struct zg_row_span *span, size_t number)
{
	const uint16_t row = (uint16_t)number;

	if (!span->count)
		span->first = zg_rows(c, ZG_PT_POSTINGS, sizeof(row));
	zg_buf_add(&c->table[ZG_PT_POSTINGS], &row, sizeof(row));
	span->count++;
}

/* The atoms' postings of n entries, which are either all rules or all classes. */
static void hang_entries(struct zg_compiler *c, const struct zg_entry *entry, size_t n, bool rules)
{
	struct hang *hang;
	size_t hangs = 0, at = 0;

	for (size_t i = 0; i < n; i++)
		hangs += pivot_of(&entry[i]) ? pivot_of(&entry[i])->values.count : 0;
	hang = zg_compile_alloc(c, hangs, sizeof(*hang));
	if (!hang)
		return;
	hangs = 0;
	for (size_t i = 0; i < n; i++) {
		const struct zg_cond_src *p = pivot_of(&entry[i]);

		for (size_t j = 0; p && j < p->values.count; j++)
			hang[hangs++] = (struct hang){
				(uint32_t)(zg_atom_find(c, zg_key_of(c, p), p->values.item[j]) -
					   c->atom),
				(uint16_t)i};
	}
	qsort(hang, hangs, sizeof(*hang), by_hang);
	for (uint32_t a = 0; a < c->atom_count; a++) {
		struct zg_row_span *span = rules ? &c->atom[a].rules : &c->atom[a].classes;

		for (; at < hangs && hang[at].atom == a; at++)
			/* a value listed twice in one condition hangs its rule once */
			if (!span->count || by_hang(&hang[at - 1], &hang[at]) != 0)
				put_posting(c, span, hang[at].rule);
	}
}

static struct zg_row_span put_residual(struct zg_compiler *c, const struct zg_entry *entry,
				       size_t n)
{
	struct zg_row_span span = {0};

	for (size_t i = 0; i < n; i++)
		if (!pivot_of(&entry[i]))
			put_posting(c, &span, i);
	return span;
}

/* Rules that hang at a fact: to be visited when that is not known. */
static struct zg_row_span put_unknown(struct zg_compiler *c, enum zg_fact fact)
{
	struct zg_row_span span = {0};

	for (size_t i = 0; i < c->policy->rule_count; i++) {
		const struct zg_cond_src *p = pivot_of(&c->entry[i]);

		if (p && (p->kind == ZG_CK_FACT || p->kind == ZG_CK_UID) && p->fact == fact)
			put_posting(c, &span, i);
	}
	return span;
}

/* POSTINGS and ATOMS: which rules hang where, and all other lists of rules. */
static void put_index(struct zg_compiler *c, struct zg_policy_header *h)
{
	const size_t rules = c->policy->rule_count, classes = c->policy->class_count;

	hang_entries(c, c->entry, rules, true);
	hang_entries(c, c->entry + rules, classes, false);
	h->residual = put_residual(c, c->entry, rules);
	h->class_residual = put_residual(c, c->entry + rules, classes);
	for (int f = 0; f < ZG_FACT_MAX; f++)
		h->unknown[f] = put_unknown(c, (enum zg_fact)f);
	h->facts = c->facts;
	for (uint32_t a = 0; a < c->atom_count; a++) {
		struct zg_row_atom row = {.key = c->atom[a].key,
					  .value = zg_put_text(c, c->atom[a].value),
					  .rules = c->atom[a].rules,
					  .classes = c->atom[a].classes};

		zg_buf_add(&c->table[ZG_PT_ATOMS], &row, sizeof(row));
	}
}

/* Equal lists share a row, so that a call under many rules carries few. */
static uint16_t put_allowlist(struct zg_compiler *c, const struct zg_texts *hosts)
{
	const size_t first = zg_rows(c, ZG_PT_HOSTS, sizeof(struct zg_row_text));
	const struct zg_buf *text = &c->table[ZG_PT_TEXT];
	struct zg_row_span row = {(uint32_t)first, 0};
	struct zg_slice *sorted;
	uint32_t lists = zg_rows(c, ZG_PT_LISTS, sizeof(row));

	if (!hosts->count)
		return ZG_NO_ALLOWLIST;
	sorted = zg_compile_alloc(c, hosts->count, sizeof(*sorted));
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
	zg_put_texts(c, ZG_PT_HOSTS, sorted, row.count);
	zg_buf_add(&c->table[ZG_PT_LISTS], &row, sizeof(row));
	return (uint16_t)lists;
}

static struct zg_row_span put_limits(struct zg_compiler *c, const struct zg_constraints_src *src,
				     uint32_t rule)
{
	struct zg_row_span span = {zg_rows(c, ZG_PT_LIMITS, sizeof(struct zg_limit)),
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

static struct zg_row_text put_place(struct zg_compiler *c, const char *file, uint32_t line)
{
	struct zg_buf *text = &c->table[ZG_PT_TEXT];
	struct zg_row_text t = {(uint32_t)text->len, 0};

	zg_buf_str(text, file);
	zg_buf_fmt(text, ":%u", line);
	t.len = (uint32_t)text->len - t.offset;
	return t;
}

static void put_rules(struct zg_compiler *c)
{
	for (size_t i = 0; i < c->policy->rule_count; i++) {
		const struct zg_rule_src *r = c->rule[i];
		struct zg_row_rule row = {
			.id = zg_put_text(c, r->id),
			.place = put_place(c, r->file, r->line),
			.reason = zg_put_text(c, r->reason),
			.remediation = zg_put_text(c, r->remediation),
			.annotate = zg_put_labels(c, &r->annotate),
			.match = zg_put_conds(c, &r->match),
			.unless = zg_put_conds(c, &r->unless),
			.pivot = c->entry[i].pivot,
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

		zg_buf_add(&c->table[ZG_PT_RULES], &row, sizeof(row));
	}
}

static void put_classes(struct zg_compiler *c)
{
	for (size_t i = 0; i < c->policy->class_count; i++) {
		const struct zg_class_src *s = c->class[i];
		struct zg_row_class row = {
			.id = zg_put_text(c, s->id),
			.place = put_place(c, s->file, s->line),
			.match = zg_put_conds(c, &s->match),
			.unless = zg_put_conds(c, &s->unless),
			.labels = zg_put_labels(c, &s->labels),
			.tags = zg_put_tags(c, &s->risk_tags),
			.pivot = c->entry[c->policy->rule_count + i].pivot,
			.action = s->has_action ? 1 + (uint32_t)s->action : 0,
		};

		zg_buf_add(&c->table[ZG_PT_CLASSES], &row, sizeof(row));
	}
}

/* A hash table of n rows; hash gives the place a row would like. */
void zg_put_slots(struct zg_compiler *c, enum zg_policy_table t, size_t n,
		  uint32_t (*hash)(const struct zg_compiler *, size_t row))
{
	uint32_t size = 4, *slot;

	while (size < 2 * n)
		size *= 2;
	slot = zg_compile_alloc(c, size, sizeof(*slot));
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

static uint32_t hash_key(const struct zg_compiler *c, size_t row)
{
	return zg_row_hash(0, c->key[row]);
}

static uint32_t hash_atom(const struct zg_compiler *c, size_t row)
{
	return zg_row_hash(c->atom[row].key, c->atom[row].value);
}

static void put_keys(struct zg_compiler *c)
{
	struct zg_row_key row = {0};
	struct zg_buf *slots = &c->table[ZG_PT_KEY_SLOTS];

	for (int i = 0; i < ZG_KEY_LABELS; i++)
		zg_buf_add(&c->table[ZG_PT_KEYS], &row, sizeof(row));
	for (size_t i = 0; i < c->key_count; i++) {
		row.name = zg_put_text(c, c->key[i]);
		zg_buf_add(&c->table[ZG_PT_KEYS], &row, sizeof(row));
	}
	zg_put_slots(c, ZG_PT_KEY_SLOTS, c->key_count, hash_key);
	for (size_t i = 0; zg_buf_ok(slots) && i < slots->len / sizeof(uint32_t); i++) {
		uint32_t *slot = (void *)slots->ptr;

		if (slot[i])
			slot[i] += ZG_KEY_LABELS;
	}
}

/* All tables behind one header. */
static int join(struct zg_compiler *c, struct zg_policy_header *h, struct zg_buf *out)
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
	struct zg_compiler c = {.arena = arena, .policy = p};
	int r = -ENOMEM;

	for (int i = 0; i < ZG_PT_MAX; i++)
		c.table[i] = ZG_BUF(ZG_SNAPSHOT_BYTES);
	if (list_entries(&c) && number_atoms(&c)) {
		choose_pivots(&c);
		put_index(&c, &h);
		put_keys(&c);
		zg_put_slots(&c, ZG_PT_ATOM_SLOTS, c.atom_count, hash_atom);
		zg_put_regexes(&c);
		put_rules(&c);
		put_classes(&c);
		zg_put_servers(&c, servers, server_count);
		r = c.failed ? -ENOMEM : join(&c, &h, out);
	}
	for (int i = 0; i < ZG_PT_MAX; i++)
		zg_buf_release(&c.table[i]);
	return r ? zg_err_set(e, -r, "the policy is too large to compile") : 0;
}
