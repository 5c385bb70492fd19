/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Laws of the decision, on random policies and calls: the order of rules and files
 * means nothing, another DENY never allows more, an ALLOW less never allows more, an
 * exception to an ALLOW neither, a tighter constraint never loosens, and what is not
 * known of a call never allows more than what is.
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

/* Of the call first, then what may be unknown, then none at all. */
#define MAY_BE_UNKNOWN 6
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
	"args: {/n: {min: 3}}",
	"args: {/n: {max: 7}, /force: {present: false}}",
	"args: {/path: ['/srv/*', null]}",
	"args: {/path: {regex: '^/(etc|srv)/'}}",
	"args: {/force: true}",
	"args: {/list/0: a}, labels: {mcp.action: write}",
	"labels: {lane: fast}",
	"risk_tags: [money, prod]",
	"principal: {uid: [1000, '2000-2999']}",
	"principal: {uid: 1000, executable: '/usr/*'}",
	"principal: {unit: 'run-*.scope'}",
	"principal: {user: alice}",
	"time: {days: [mon, fri], from: '09:00', to: '17:00'}",
	"time: {from: '22:00', to: '06:00', zone: '+02:00'}",
	"",
};

/* Classify rules that stand before all rules of a policy, in any order. */
static const char *const classes[] = {
	"{id: c0, match: {labels: {mcp.tool: 'p*'}}, set: {action: read}}",
	"{id: c1, match: {labels: {mcp.tool: push}, args: {/force: true}}, set: {action: write}}",
	"{id: c2, match: {args: {/n: {min: 5}}}, set: {risk_tags: [money]}}",
	"{id: c3, match: {labels: {mcp.server: slack}}, set: {labels: {lane: fast}}}",
	"{id: c4, match: {args: {/path: {regex: 'etc'}}}, unless: {risk_tags: [prod]}, set: "
	"{labels: {lane: slow}}}",
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
	{"rate: {calls: 5, per: day}", "rate: {calls: 1, per: day}"},
	{"max_concurrent: {calls: 4, by: [server, tool]}",
	 "max_concurrent: {calls: 1, by: [server, tool]}"},
	{"max_retries: 9, max_output_bytes: 9, max_runtime_sec: 9",
	 "max_retries: 8, max_output_bytes: 8, max_runtime_sec: 8"},
};

static const char *const hosts[] = {"a.example", "x.b.example", "y.b.example", "c.example",
				    "d.example"};

struct rule {
	const char *match, *unless;
	enum zg_decision_kind decision;
	int constraint; /* -1 = none */
	bool tight;
	unsigned approvers; /* 0 = not set */
};

struct draft {
	struct rule rule[RULES + 1];
	unsigned count;
	unsigned classes; /* bit i: the classify rule of that number */
};

static struct rule draw_rule(void)
{
	struct rule r = {.match = conditions[draw(ZG_COUNT(conditions))],
			 .unless = draw(4) ? "" : conditions[draw(ZG_COUNT(conditions) - 1)],
			 .decision = (enum zg_decision_kind)draw(ZG_D_MAX),
			 .constraint = -1};

	if (r.decision == ZG_D_ALLOW_WITH_CONSTRAINTS || (r.decision != ZG_D_DENY && !draw(3)))
		r.constraint = (int)draw(ZG_COUNT(constraints));
	if (r.decision == ZG_D_REQUIRE_APPROVAL)
		r.approvers = draw(3);
	return r;
}

static struct draft draw_policy(void)
{
	struct draft d = {.count = 1 + draw(RULES), .classes = draw(1u << ZG_COUNT(classes))};

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
	if (r->approvers && r->decision == ZG_D_REQUIRE_APPROVAL)
		zg_buf_fmt(out, "    approvers: %u\n", r->tight ? 8 : r->approvers);
	if (r->constraint >= 0)
		zg_buf_fmt(out, "    constraints: {%s}\n",
			   r->tight ? constraints[r->constraint].tight
				    : constraints[r->constraint].loose);
}

/* Backwards, if the rules are out of order, too. */
static void put_classes(struct zg_buf *out, unsigned bits, bool backwards)
{
	zg_buf_str(out, bits ? "classify:\n" : "");
	for (unsigned i = 0; i < ZG_COUNT(classes); i++) {
		unsigned c = backwards ? (unsigned)ZG_COUNT(classes) - 1 - i : i;

		if (bits & 1u << c)
			zg_buf_fmt(out, "  - %s\n", classes[c]);
	}
}

/* In the order given, over two files; order NULL: as they come, in one. */
static void compile(struct world *w, const struct draft *d, const unsigned *order)
{
	zg_autobuf one = ZG_BUF(65536), two = ZG_BUF(65536);
	const char *files[3] = {NULL};

	zg_buf_str(&one, "version: v1\n");
	put_classes(&one, d->classes, order != NULL);
	zg_buf_str(&one, "rules:\n");
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

struct call {
	const char *server, *method, *tool;
};

static const struct call calls[] = {
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

/* Of each call a few: arguments, who calls and when; some is not known. */
static const char *const arguments[] = {
	"{\"n\":2,\"force\":true}",
	"{\"n\":5.5,\"path\":\"/srv/x\",\"list\":[\"a\"]}",
	"{\"n\":\"9\",\"path\":null}",
	"{\"path\":\"/etc/x\",\"n\":7}",
	"[]",
};

static const struct {
	uint32_t uid; /* UINT32_MAX: nothing is known */
	const char *cgroup, *executable, *user;
} callers[] = {
	{1000, "a/run-1.scope", "/usr/bin/x", "alice"},
	{2500, "a/b.service", "", ""},
	{7, "a/b", "/opt/x", "bob"},
	{UINT32_MAX, "", "", ""},
};

/* Unknown; Monday 10:00, Monday 23:00, Tuesday 03:00 UTC. */
static const uint64_t times[] = {0, 1795428000, 1795474800, 1795489200};

struct context {
	json_t *arguments;
	struct zg_principal principal;
	const char *executable, *user;
	uint64_t time_sec;
};

static struct context draw_context(void)
{
	const unsigned who = draw(ZG_COUNT(callers)), a = draw(ZG_COUNT(arguments) + 1);
	struct context c = {.time_sec = times[draw(ZG_COUNT(times))],
			    .executable = callers[who].executable,
			    .user = callers[who].user,
			    .principal = {.uid = callers[who].uid}};

	(void)zg_str_cut(c.principal.cgroup, sizeof(c.principal.cgroup),
			 zg_slice_str(callers[who].cgroup));
	if (a < ZG_COUNT(arguments)) {
		c.arguments = json_loads(arguments[a], 0, NULL);
		assert_non_null(c.arguments);
	}
	return c;
}

static struct zg_decision judge_in(const struct world *w, const struct call *call,
				   const struct context *c)
{
	const bool known = c->principal.uid != UINT32_MAX;
	struct zg_envelope env = {.server = zg_slice_str(call->server),
				  .method = zg_slice_str(call->method),
				  .tool = zg_slice_str(call->tool),
				  .arguments = c->arguments,
				  .principal = known ? &c->principal : NULL,
				  .profile_unknown = true,
				  .executable = zg_slice_str(c->executable),
				  .user = zg_slice_str(c->user),
				  .time_sec = c->time_sec};
	struct zg_decision d;

	if (zg_envelope_classify(&w->policy, &env) < 0)
		assert_int_equal(env.action, ZG_ACTION_WRITE);
	zg_decide(&w->policy, &env, &d);
	return d;
}

typedef void law(const struct world *before, const struct zg_decision *was,
		 const struct world *after, const struct zg_decision *is);

static void compare(const struct draft *a, const unsigned *order_a, const struct draft *b,
		    const unsigned *order_b, law *holds)
{
	struct world before, after;

	compile(&before, a, order_a);
	compile(&after, b, order_b);
	for (size_t i = 0; i < ZG_COUNT(calls); i++) {
		struct context c = draw_context();
		struct zg_decision was = judge_in(&before, &calls[i], &c);
		struct zg_decision is = judge_in(&after, &calls[i], &c);

		holds(&before, &was, &after, &is);
		json_decref(c.arguments);
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

/* Likewise, but of what may match only the constraints hold: then it is an ALLOW with them. */
static void bound_at_least(const struct world *before, const struct zg_decision *was,
			   const struct world *after, const struct zg_decision *is)
{
	struct zg_decision with = *was;

	if (with.kind == ZG_D_ALLOW_WITH_CONSTRAINTS)
		with.kind = ZG_D_ALLOW;
	bound_by(before, &with, after, is);
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
		struct draft d = draw_policy(), alone = {.count = 1, .classes = d.classes};

		alone.rule[0] = draw_rule();
		alone.rule[0].match = alone.rule[0].unless = "";
		d.rule[d.count++] = alone.rule[0];
		compare(&alone, NULL, &d, NULL, bound_by);
	}
}

/* Of what is known: where it is not, neither holds, and a DENY counts. */
static void a_rule_whose_exception_is_itself_never_matches(void **state)
{
	(void)state;
	for (int n = 0; n < POLICIES; n++) {
		struct draft d = draw_policy(), more = d;
		struct rule *r = &more.rule[more.count++];

		*r = draw_rule();
		r->match = r->unless = conditions[draw(ZG_COUNT(conditions) - MAY_BE_UNKNOWN - 1)];
		compare(&d, NULL, &more, NULL, same_but_id);
	}
}

static void what_is_not_known_never_allows_more(void **state)
{
	unsigned differ = 0;

	(void)state;
	for (int n = 0; n < POLICIES; n++) {
		struct draft d = draw_policy();
		struct world w;

		compile(&w, &d, NULL);
		for (size_t i = 0; i < ZG_COUNT(calls); i++) {
			struct context c = draw_context(), less = c;
			struct zg_decision was, is;

			less.time_sec = draw(2) ? 0 : c.time_sec;
			less.executable = less.user = "";
			less.principal.uid = draw(2) ? UINT32_MAX : c.principal.uid;
			was = judge_in(&w, &calls[i], &c);
			is = judge_in(&w, &calls[i], &less);
			bound_at_least(&w, &was, &w, &is);
			differ += is.kind != was.kind;
			json_decref(c.arguments);
		}
		world_end(&w);
	}
	assert_true(differ > 0);
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
		cmocka_unit_test(what_is_not_known_never_allows_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
