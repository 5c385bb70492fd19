/* SPDX-License-Identifier: Apache-2.0 */
/* vote_test.c - people who decide: several of them, one alone, and those whose word
 * does not hold; over real sockets. */
#include "harness.h"

#include "approval_row.h"

#define PERSON(n, bits)                                                                            \
	((struct zg_ctl_peer){                                                                     \
		.pid = 90 + (n), .uid = 1000 + (n), .gid = 1000 + (n), .roles = (bits)})

static int setup(void **state)
{
	static struct role r;

	role_init(&r);
	role_start(&r);
	*state = &r;
	return 0;
}

static int teardown(void **state)
{
	role_release(*state);
	return 0;
}

static struct zg_msg_ctl_end decide_with(const struct role *r, const char *id, bool glass,
					 const char *reason, struct zg_ctl_peer peer)
{
	struct zg_msg_ctl_approval_decide d = {.approve = 1, .break_glass = glass};

	(void)zg_str_cut(d.approval, sizeof(d.approval), zg_slice_str(id));
	(void)zg_str_cut(d.reason, sizeof(d.reason), zg_slice_str(reason));
	return ends(control_as(r, ZG_MSG_CTL_APPROVAL_DECIDE, &d, peer));
}

static void conflict_is(struct zg_msg_ctl_end end, enum zg_conflict which, const char *text)
{
	assert_true(end.error < 0);
	assert_int_equal(end.exit, 1);
	assert_int_equal(end.conflict, which);
	assert_memory_equal(end.what, text, strlen(text));
	assert_int_equal(end.what[strlen(text)], ':');
}

static struct zg_msg_ctl_gate gate(const struct role *r)
{
	const struct zg_msg_ctl_gates_list all = {0};
	struct zg_msg_ctl_gate g;
	struct zg_msg m;
	int sock = control_as(r, ZG_MSG_CTL_GATES_LIST, &all, PERSON(7, 0));

	receive(sock, &m, ZG_MSG_CTL_GATE);
	memcpy(&g, m.body, sizeof(g));
	assert_int_equal(ends(sock).error, 0);
	return g;
}

static void two_people_must_agree(void **state)
{
	struct role *r = *state;
	struct zg_msg_hold h = held(r, 1, 5);
	struct zg_msg_ctl_approval a;
	struct zg_msg_hold_state s;
	char *log;

	h.approvers = 2;
	s = hold_gets(r, 0, &h, ZG_HOLD_PENDING);
	assert_int_equal(s.approvers, 2);
	assert_int_equal(decide_as(r, s.approval, true, PERSON(1, ZG_ROLE_APPROVER)).error, 0);
	a = show(r, s.approval);
	assert_int_equal(a.state, ZG_AS_PENDING);
	assert_int_equal(a.agreed, 1);
	/* the same person twice is one person */
	conflict_is(decide_as(r, s.approval, true, PERSON(1, ZG_ROLE_APPROVER)),
		    ZG_CONFLICT_ALREADY_DECIDED, "already_decided");
	assert_int_equal(show(r, s.approval).state, ZG_AS_PENDING);
	/* nor is one after a restart */
	role_kill(r);
	role_start(r);
	h.call = 2;
	assert_int_equal(hold_gets(r, 0, &h, ZG_HOLD_PENDING).agreed, 1);
	conflict_is(decide_as(r, s.approval, true, PERSON(1, ZG_ROLE_APPROVER)),
		    ZG_CONFLICT_ALREADY_DECIDED, "already_decided");
	assert_int_equal(decide_as(r, s.approval, true, PERSON(2, ZG_ROLE_APPROVER)).error, 0);
	assert_int_equal(answer(r, 0).state, ZG_HOLD_GRANTED);
	a = show(r, s.approval);
	assert_int_equal(a.state, ZG_AS_CONSUMED);
	assert_int_equal(a.agreed, 2);
	log = log_with(r, "\"kind\":\"approval.approve\"", 1);
	assert_int_equal(occurrences(log, "\"kind\":\"approval.vote\""), 1);
	assert_non_null(strstr(log, "\"conflict\":\"already_decided\""));
	assert_int_equal(gate(r).tripped, 0);
	free(log);
}

static void one_no_is_no(void **state)
{
	struct role *r = *state;
	struct zg_msg_hold h = held(r, 1, 5);
	struct zg_msg_hold_state s;

	h.approvers = 3;
	s = hold_gets(r, 0, &h, ZG_HOLD_PENDING);
	assert_int_equal(decide_as(r, s.approval, true, PERSON(1, ZG_ROLE_APPROVER)).error, 0);
	assert_int_equal(decide_as(r, s.approval, false, PERSON(2, ZG_ROLE_APPROVER)).error, 0);
	assert_int_equal(answer(r, 0).state, ZG_HOLD_DENIED);
	conflict_is(decide_as(r, s.approval, true, PERSON(3, ZG_ROLE_APPROVER)),
		    ZG_CONFLICT_ALREADY_DECIDED, "already_decided");
}

static void breaking_the_glass_has_a_price(void **state)
{
	struct role *r = *state;
	struct zg_msg_hold h = held(r, 1, 5);
	struct zg_msg_ctl_gate_lift lift = {.gate = ZG_GATE_GOVERNANCE, .reason = "reviewed"};
	const struct zg_ctl_peer one = PERSON(1, ZG_ROLE_BREAK_GLASS | ZG_ROLE_SECURITY);
	struct zg_msg_hold_state s;
	char *log;

	(void)snprintf(r->high_risk_tags, sizeof(r->high_risk_tags), "secret,prod");
	change_policy(r, 2);
	h.approvers = 2;
	s = hold_gets(r, 0, &h, ZG_HOLD_PENDING);
	conflict_is(decide_with(r, s.approval, true, "it burns", PERSON(1, ZG_ROLE_APPROVER)),
		    ZG_CONFLICT_NOT_AUTHORISED, "not_authorised");
	assert_int_equal(decide_with(r, s.approval, true, "", one).error, -EINVAL);
	assert_int_equal(show(r, s.approval).state, ZG_AS_PENDING);
	assert_int_equal(decide_with(r, s.approval, true, "it burns", one).error, 0);
	assert_int_equal(answer(r, 0).state, ZG_HOLD_GRANTED);
	role_kill(r);
	role_start(r);
	assert_int_equal(gate(r).tripped, 1);
	assert_string_equal(gate(r).reason, "it burns");
	assert_string_equal(gate(r).approval, s.approval);
	/* who lifts it: of security, outside, and another than who tripped it */
	conflict_is(ends(control_as(r, ZG_MSG_CTL_GATE_LIFT, &lift, PERSON(2, ZG_ROLE_APPROVER))),
		    ZG_CONFLICT_NOT_AUTHORISED, "not_authorised");
	conflict_is(ends(control_as(r, ZG_MSG_CTL_GATE_LIFT, &lift, one)),
		    ZG_CONFLICT_SELF_APPROVAL, "self_approval");
	assert_int_equal(gate(r).tripped, 1);
	assert_int_equal(
		ends(control_as(r, ZG_MSG_CTL_GATE_LIFT, &lift, PERSON(3, ZG_ROLE_SECURITY))).error,
		0);
	assert_int_equal(gate(r).tripped, 0);
	log = log_with(r, "\"kind\":\"gate.lift\"", 3);
	assert_int_equal(occurrences(log, "\"kind\":\"approval.break_glass\""), 1);
	assert_int_equal(occurrences(log, "\"kind\":\"approval.approve\""), 0);
	assert_int_equal(occurrences(log, "\"kind\":\"gate.trip\""), 1);
	free(log);
}

/* A second person, or no high risk: nothing to account for. */
static void no_gate_where_two_agreed_or_nothing_is_at_stake(void **state)
{
	struct role *r = *state;
	const struct zg_ctl_peer glass = PERSON(1, ZG_ROLE_BREAK_GLASS);
	struct zg_msg_hold h = held(r, 1, 5);
	struct zg_msg_hold_state s;

	(void)snprintf(r->high_risk_tags, sizeof(r->high_risk_tags), "prod");
	change_policy(r, 2);
	h.approvers = 3;
	s = hold_gets(r, 0, &h, ZG_HOLD_PENDING);
	assert_int_equal(decide_as(r, s.approval, true, PERSON(2, ZG_ROLE_APPROVER)).error, 0);
	assert_int_equal(decide_with(r, s.approval, true, "now", glass).error, 0);
	assert_int_equal(answer(r, 0).state, ZG_HOLD_GRANTED);
	assert_int_equal(gate(r).tripped, 0);
	h = held(r, 2, 6);
	(void)snprintf(h.risk_tags, sizeof(h.risk_tags), "production");
	s = hold_gets(r, 0, &h, ZG_HOLD_PENDING);
	assert_int_equal(decide_with(r, s.approval, true, "now", glass).error, 0);
	assert_int_equal(gate(r).tripped, 0);
	assert_int_equal(answer(r, 0).state, ZG_HOLD_GRANTED);
	h = held(r, 3, 7);
	h.action = 1; /* a read */
	s = hold_gets(r, 0, &h, ZG_HOLD_PENDING);
	assert_int_equal(decide_with(r, s.approval, true, "now", glass).error, 0);
	assert_int_equal(gate(r).tripped, 0);
}

/* A retry that comes near to another approval learns why it is asked for anew. */
static void near_misses_are_told(void **state)
{
	struct role *r = *state;
	struct zg_msg_hold h = held(r, 1, 5), other;
	struct zg_msg_hold_state s = hold_gets(r, 0, &h, ZG_HOLD_PENDING), t;
	static const struct {
		size_t offset;
		enum zg_conflict why;
	} parts[] = {
		{offsetof(struct zg_msg_hold, args_sha256), ZG_CONFLICT_ARGS_CHANGED},
		{offsetof(struct zg_msg_hold, definition_sha256), ZG_CONFLICT_TOOL_CHANGED},
	};

	assert_int_equal(s.conflict, ZG_CONFLICT_NONE);
	let_go(r, 0, 1);
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		other = held(r, 10 + i, (uint8_t)(20 + i));
		memset((char *)&other + parts[i].offset, 0x77, 32);
		t = hold_gets(r, 0, &other, ZG_HOLD_PENDING);
		assert_int_equal(t.conflict, parts[i].why);
		assert_string_equal(t.other, s.approval);
		assert_string_not_equal(t.approval, s.approval);
		other.call = 30 + i;
	}
	/* of another principal nothing is told */
	other = held(r, 20, 40);
	other.principal.uid++;
	memset(other.args_sha256, 0x77, 32);
	t = hold_gets(r, 0, &other, ZG_HOLD_PENDING);
	assert_int_equal(t.conflict, ZG_CONFLICT_NONE);
	assert_string_equal(t.other, "");
	/* used up */
	assert_int_equal(decide_as(r, s.approval, true, APPROVER).error, 0);
	h.call = 50;
	(void)hold_gets(r, 0, &h, ZG_HOLD_GRANTED);
	h.call = 51;
	t = hold_gets(r, 0, &h, ZG_HOLD_PENDING);
	assert_true(t.conflict == ZG_CONFLICT_CONSUMED || t.conflict == ZG_CONFLICT_TOOL_CHANGED);
	/* under another policy */
	memset(r->snapshot, 0xbb, 32);
	change_policy(r, 2);
	other = held(r, 60, 5);
	other.binding[0] ^= 1;
	t = hold_gets(r, 1, &other, ZG_HOLD_PENDING);
	assert_int_equal(t.conflict, ZG_CONFLICT_POLICY_CHANGED);
}

/* The only row of the next message. */
static struct zg_msg_ctl_approval row(int sock)
{
	struct zg_msg_ctl_approval_rows rows;
	struct zg_msg_ctl_approval a;
	struct zg_msg m;
	size_t at = 0;

	receive(sock, &m, ZG_MSG_CTL_APPROVAL_ROWS);
	memcpy(&rows, m.body, sizeof(rows));
	assert_int_equal(rows.count, 1);
	assert_int_equal(zg_approval_rows_next(&rows, &at, &a), 1);
	assert_int_equal(at, rows.bytes);
	return a;
}

/* Who follows the list sees what stood there, then each change, and nothing else. */
static void the_list_can_be_followed(void **state)
{
	struct role *r = *state;
	const struct zg_msg_ctl_approvals_list all = {.follow = 1};
	struct zg_msg_hold h = held(r, 1, 5);
	struct zg_msg_hold_state first = hold_gets(r, 0, &h, ZG_HOLD_PENDING), second;
	struct zg_msg_ctl_approval a;
	struct zg_msg m;
	int sock = control_as(r, ZG_MSG_CTL_APPROVALS_LIST, &all, APPROVER);

	a = row(sock);
	assert_string_equal(a.approval, first.approval);
	assert_string_equal(a.tool, h.tool);
	assert_string_equal(a.args_text, "");
	receive(sock, &m, ZG_MSG_CTL_APPROVALS_NOW);
	h = held(r, 2, 6);
	second = hold_gets(r, 0, &h, ZG_HOLD_PENDING);
	a = row(sock);
	assert_string_equal(a.approval, second.approval);
	assert_int_equal(decide_as(r, first.approval, false, APPROVER).error, 0);
	a = row(sock);
	assert_string_equal(a.approval, first.approval);
	assert_int_equal(a.state, ZG_AS_DENIED);
	(void)close(sock);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(two_people_must_agree),
		T(one_no_is_no),
		T(breaking_the_glass_has_a_price),
		T(no_gate_where_two_agreed_or_nothing_is_at_stake),
		T(near_misses_are_told),
		T(the_list_can_be_followed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
