/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Laws of the decision, on random policies and calls: the order of rules and files
 * means nothing, another DENY never allows more, an ALLOW less never allows more, an
 * exception to an ALLOW neither, and a tighter constraint never loosens.
 *
 * What is drawn is in tables of YAML, so that a part of the language joins all laws
 * with one row. The seed is fixed; a law that breaks prints both policies.
 */
#include "limit.h"
#include "policy/world.h"

#define POLICIES 400
#define RULES	 8

static uint64_t seed = 88172645463325252u;

static unsigned draw(unsigned n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (unsigned)(seed % n);
}

static const char *const conditions[] = {
	"labels: {mcp.action: read}",
	"labels: {mcp.action: write}",
	"labels: {mcp.server: github}",
	"labels: {mcp.server: [slack, github]}",
	"labels: {mcp.tool: 'get_*'}",
	"labels: {mcp.tool: [push, merge]}",
	"labels: {env: prod}",
	"labels: {env: '*', mcp.action: write}",
	"labels: {mcp.method: 'tools/*'}",
	"risk_tags: [prod]",
	"risk_tags: [secret, non_prod]",
	"labels: {mcp.tool: 'p*'}, risk_tags: prod",
	"",
};

/* Each constraint, and the same one tighter. */
static const struct {
	const char *loose, *tight;
} constraints[] = {
	{"max_runtime_sec: 60", "max_runtime_sec: 59"},
	{"max_runtime_sec: 7", "max_runtime_sec: 1"},
	{"max_retries: 3", "max_retries: 0"},
	{"network_allowlist: [a.example, '*.b.example', c.example]",
	 "network_allowlist: [c.example]"},
	{"network_allowlist: ['*.b.example']", "network_allowlist: [x.b.example]"},
	{"max_output_bytes: 100000", "max_output_bytes: 10"},
	{"redact: default", "redact: strict"},
	{"redact: strict", "redact: withhold"},
	{"max_concurrent: 8", "max_concurrent: 2"},
	{"rate: {calls: 10, per: minute, by: [principal]}",
	 "rate: {calls: 9, per: minute, by: [principal]}"},
};

static const char *const hosts[] = {"a.example", "x.b.example", "y.b.example", "c.example",
				    "d.example"};

struct rule {
	const char *match, *unless;
	enum zg_decision_kind decision;
	int constraint; /* -1 = none */
	bool tight;
};

struct draft {
	struct rule rule[RULES + 1];
	unsigned count;
};

static struct rule draw_rule(void)
{
	struct rule r = {.match = conditions[draw(ZG_COUNT(conditions))],
			 .unless = draw(4) ? "" : conditions[draw(ZG_COUNT(conditions) - 1)],
			 .decision = (enum zg_decision_kind)draw(ZG_D_MAX),
			 .constraint = -1};

	if (r.decision == ZG_D_ALLOW_WITH_CONSTRAINTS || (r.decision != ZG_D_DENY && !draw(3)))
		r.constraint = (int)draw(ZG_COUNT(constraints));
	return r;
}

static struct draft draw_policy(void)
{
	struct draft d = {.count = 1 + draw(RULES)};

	for (unsigned i = 0; i < d.count; i++)
		d.rule[i] = draw_rule();
	return d;
}

/* Rule i is r<i>, wherever it stands. */
static void put_rule(struct zg_buf *out, const struct draft *d, unsigned i)
{
	const struct rule *r = &d->rule[i];

	zg_buf_fmt(out, "  - id: r%u\n    match: {%s}\n    decision: %s\n", i, r->match,
		   zg_decision_text(r->decision));
	if (r->unless[0])
		zg_buf_fmt(out, "    unless: {%s}\n", r->unless);
	if (r->constraint >= 0)
		zg_buf_fmt(out, "    constraints: {%s}\n",
			   r->tight ? constraints[r->constraint].tight
				    : constraints[r->constraint].loose);
}

/* In the order given, over two files; order NULL: as they come, in one. */
static void compile(struct world *w, const struct draft *d, const unsigned *order)
{
	zg_autobuf one = ZG_BUF(65536), two = ZG_BUF(65536);
	const char *files[3] = {NULL};

	zg_buf_str(&one, "version: v1\nrules:\n");
	zg_buf_str(&two, "version: v1\nrules:\n");
	for (unsigned i = 0; i < d->count; i++)
		put_rule(order && i >= d->count / 2 ? &two : &one, d, order ? order[i] : i);
	zg_buf_str(&two, order ? "" : "  []\n");
	if (order && d->count / 2 == 0)
		zg_buf_str(&one, "  []\n");
	zg_buf_char(&one, '\0');
	zg_buf_char(&two, '\0');
	assert_true(zg_buf_ok(&one) && zg_buf_ok(&two));
	files[0] = one.ptr;
	files[1] = two.ptr;
	world_make(w, NULL, files, world_servers);
	if (!w->ok)
		fail_msg("%s\n%s", first_error(w), one.ptr);
}

static const struct {
	const char *server, *method, *tool;
} calls[] = {
	{"github", "tools/call", "get_me"},
	{"github", "tools/call", "push"},
	{"github", "tools/call", "get_secret_key"},
	{"github", "tools/call", "create_issue"},
	{"github", "tools/call", "merge"},
	{"github", "tools/call", "plain"},
	{"github", "resources/read", "file:///x"},
	{"slack", "tools/call", "get_secret_name"},
	{"slack", "tools/call", "push"},
	{"slack", "tools/list", ""},
	{"nobody", "tools/call", "get_me"},
};

typedef void law(const struct world *before, const struct zg_decision *was,
		 const struct world *after, const struct zg_decision *is);

static void compare(const struct draft *a, const unsigned *order_a, const struct draft *b,
		    const unsigned *order_b, law *holds)
{
	struct world before, after;

	compile(&before, a, order_a);
	compile(&after, b, order_b);
	for (size_t i = 0; i < ZG_COUNT(calls); i++) {
		struct zg_decision was =
			judge(&before, calls[i].server, calls[i].method, calls[i].tool);
		struct zg_decision is =
			judge(&after, calls[i].server, calls[i].method, calls[i].tool);

		holds(&before, &was, &after, &is);
	}
	world_end(&before);
	world_end(&after);
}

static void broken(const struct world *before, const struct zg_decision *was,
		   const struct world *after, const struct zg_decision *is)
{
	char a[ZG_RULES_LEN], b[ZG_RULES_LEN];

	zg_decision_rules_text(&before->policy, was, a, sizeof(a));
	zg_decision_rules_text(&after->policy, is, b, sizeof(b));
	fail_msg("%s [%s] became %s [%s]", zg_decision_text(was->kind), a,
		 zg_decision_text(is->kind), b);
}

/* the laws ----------------------------------------------------------------------- */

static void same(const struct world *before, const struct zg_decision *was,
		 const struct world *after, const struct zg_decision *is)
{
	char a[ZG_RULES_LEN], b[ZG_RULES_LEN];

	zg_decision_rules_text(&before->policy, was, a, sizeof(a));
	zg_decision_rules_text(&after->policy, is, b, sizeof(b));
	if (was->kind != is->kind || strcmp(a, b) != 0 ||
	    memcmp(&was->constraints, &is->constraints, sizeof(is->constraints)) != 0 ||
	    memcmp(before->id, after->id, sizeof(after->id)) != 0)
		broken(before, was, after, is);
}

/* DENY is the lowest kind. */
static void never_more(const struct world *before, const struct zg_decision *was,
		       const struct world *after, const struct zg_decision *is)
{
	if (is->kind > was->kind)
		broken(before, was, after, is);
}

static bool host_passes(const struct world *w, const struct zg_constraints *c, const char *host)
{
	for (uint16_t i = 0; i < c->allowlist_count; i++)
		if (!zg_policy_allowlist_has(&w->policy, c->allowlist[i], zg_slice_str(host)))
			return false;
	return true;
}

/* The fewest calls that a limit of this kind leaves; UINT32_MAX: there is none. */
static uint32_t calls_left(const struct world *w, const struct zg_constraints *c, uint32_t kind)
{
	uint32_t least = UINT32_MAX;

	for (uint16_t i = 0; i < c->limit_count; i++) {
		struct zg_limit l = zg_policy_limit(&w->policy, c->limit[i]);

		if (l.kind == kind && l.calls < least)
			least = l.calls;
	}
	return least;
}

/* 0 stands for none */
static bool within(uint64_t is, uint64_t was)
{
	return !was || (is && is <= was);
}

static bool tighter(const struct world *before, const struct zg_constraints *a,
		    const struct world *after, const struct zg_constraints *b)
{
	bool holds =
		within(b->max_runtime_sec, a->max_runtime_sec) &&
		within(b->max_output_bytes, a->max_output_bytes) && b->redact >= a->redact &&
		b->approvers >= a->approvers &&
		(!a->has_max_retries || (b->has_max_retries && b->max_retries <= a->max_retries));

	for (size_t i = 0; i < ZG_COUNT(hosts); i++)
		holds = holds &&
			(!host_passes(after, b, hosts[i]) || host_passes(before, a, hosts[i]));
	for (uint32_t kind = 0; kind < ZG_QK_MAX; kind++)
		holds = holds && calls_left(after, b, kind) <= calls_left(before, a, kind);
	return holds;
}

static void never_looser(const struct world *before, const struct zg_decision *was,
			 const struct world *after, const struct zg_decision *is)
{
	if (is->kind != was->kind || !tighter(before, &was->constraints, after, &is->constraints))
		broken(before, was, after, is);
}

/* A call that is denied has no constraints. */
static void bound_by(const struct world *before, const struct zg_decision *was,
		     const struct world *after, const struct zg_decision *is)
{
	if (is->kind > was->kind ||
	    (is->kind != ZG_D_DENY && !tighter(before, &was->constraints, after, &is->constraints)))
		broken(before, was, after, is);
}

static void same_but_id(const struct world *before, const struct zg_decision *was,
			const struct world *after, const struct zg_decision *is)
{
	if (was->kind != is->kind || was->matched != is->matched)
		broken(before, was, after, is);
}

static void order_means_nothing(void **state)
{
	(void)state;
	for (int n = 0; n < POLICIES; n++) {
		struct draft d = draw_policy();
		unsigned order[RULES];

		for (unsigned i = 0; i < d.count; i++)
			order[i] = i;
		for (unsigned i = d.count; i > 1; i--) {
			unsigned j = draw(i), kept = order[i - 1];

			order[i - 1] = order[j];
			order[j] = kept;
		}
		compare(&d, NULL, &d, order, same);
	}
}

static void another_deny_never_allows_more(void **state)
{
	(void)state;
	for (int n = 0; n < POLICIES; n++) {
		struct draft d = draw_policy(), more = d;

		more.rule[more.count] = draw_rule();
		more.rule[more.count].decision = ZG_D_DENY;
		more.rule[more.count++].constraint = -1;
		compare(&d, NULL, &more, NULL, never_more);
	}
}

/* One without constraints: those of others may go with it. The default is DENY. */
static bool drop_allow(struct draft *d)
{
	for (unsigned i = 0; i < d->count; i++)
		if (d->rule[i].decision == ZG_D_ALLOW && d->rule[i].constraint < 0) {
			/* never met: rules keep their numbers */
			d->rule[i].match = "labels: {mcp.server: no-such}";
			return true;
		}
	return false;
}

static void an_allow_less_never_allows_more(void **state)
{
	unsigned tried = 0;

	(void)state;
	for (int n = 0; n < POLICIES; n++) {
		struct draft d = draw_policy(), less = d;

		if (!drop_allow(&less))
			continue;
		compare(&d, NULL, &less, NULL, never_more);
		tried++;
	}
	assert_true(tried > POLICIES / 4);
}

static void an_exception_to_an_allow_never_allows_more(void **state)
{
	(void)state;
	for (int n = 0; n < POLICIES; n++) {
		struct draft d = draw_policy(), less;
		unsigned i = draw(d.count);

		d.rule[i].decision = ZG_D_ALLOW;
		d.rule[i].constraint = -1;
		d.rule[i].unless = "";
		less = d;
		less.rule[i].unless = conditions[draw(ZG_COUNT(conditions) - 1)];
		compare(&d, NULL, &less, NULL, never_more);
	}
}

static void a_tighter_constraint_never_loosens(void **state)
{
	(void)state;
	for (int n = 0; n < POLICIES; n++) {
		struct draft d = draw_policy(), tight;
		unsigned i = draw(d.count);

		if (d.rule[i].decision == ZG_D_DENY)
			d.rule[i].decision = ZG_D_ALLOW;
		d.rule[i].constraint = (int)draw(ZG_COUNT(constraints));
		tight = d;
		tight.rule[i].tight = true;
		compare(&d, NULL, &tight, NULL, never_looser);
	}
}

/* One more rule that matches adds its constraints, whatever the others say. */
static void another_constraint_never_loosens(void **state)
{
	(void)state;
	for (int n = 0; n < POLICIES; n++) {
		struct draft d = draw_policy(), more;
		unsigned i = draw(d.count);

		if (d.rule[i].decision == ZG_D_DENY)
			d.rule[i].decision = ZG_D_ALLOW;
		more = d;
		more.rule[more.count] = more.rule[i];
		more.rule[more.count++].constraint = (int)draw(ZG_COUNT(constraints));
		compare(&d, NULL, &more, NULL, never_looser);
	}
}

static void what_is_said_of_every_call_binds_every_call(void **state)
{
	(void)state;
	for (int n = 0; n < POLICIES; n++) {
		struct draft d = draw_policy(), alone = {.count = 1};

		alone.rule[0] = draw_rule();
		alone.rule[0].match = alone.rule[0].unless = "";
		d.rule[d.count++] = alone.rule[0];
		compare(&alone, NULL, &d, NULL, bound_by);
	}
}

static void a_rule_whose_exception_is_itself_never_matches(void **state)
{
	(void)state;
	for (int n = 0; n < POLICIES; n++) {
		struct draft d = draw_policy(), more = d;
		struct rule *r = &more.rule[more.count++];

		*r = draw_rule();
		r->match = r->unless = conditions[draw(ZG_COUNT(conditions) - 1)];
		compare(&d, NULL, &more, NULL, same_but_id);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(order_means_nothing),
		cmocka_unit_test(another_deny_never_allows_more),
		cmocka_unit_test(an_allow_less_never_allows_more),
		cmocka_unit_test(an_exception_to_an_allow_never_allows_more),
		cmocka_unit_test(a_tighter_constraint_never_loosens),
		cmocka_unit_test(another_constraint_never_loosens),
		cmocka_unit_test(what_is_said_of_every_call_binds_every_call),
		cmocka_unit_test(a_rule_whose_exception_is_itself_never_matches),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
