/* SPDX-License-Identifier: Apache-2.0 */
/* hold_test.c - approvals as gateways and people meet them, over real sockets. */
#include "harness.h"

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

/* The end of a request refused for this reason, recorded as such. */
static void refused(const struct role *r, struct zg_msg_ctl_end end, const char *why)
{
	char *log;

	assert_true(end.error < 0);
	assert_int_equal(end.exit, 1);
	assert_memory_equal(end.what, why, strlen(why));
	log = log_with(r, "\"kind\":\"approval.refuse\"", 1);
	assert_non_null(strstr(log, why));
	free(log);
}

static void approve_executes_once(void **state)
{
	struct role *r = *state;
	struct zg_msg_hold first = held(r, 1, 5), second = held(r, 2, 5);
	struct zg_msg_hold_state s = hold_gets(r, 0, &first, ZG_HOLD_PENDING), t;
	struct zg_msg_ctl_end end;
	char *log;

	assert_int_equal(strlen(s.approval), 13);
	/* the same call from another worker joins the same approval */
	t = hold_gets(r, 1, &second, ZG_HOLD_PENDING);
	assert_string_equal(s.approval, t.approval);
	end = decide_as(r, s.approval, true, APPROVER);
	assert_int_equal(end.error, 0);
	t = answer(r, 1);
	assert_int_equal(t.state, ZG_HOLD_GRANTED);
	assert_int_equal(t.approver_uid, PERSON_UID);
	assert_int_equal(answer(r, 0).state, ZG_HOLD_SUPERSEDED);
	assert_int_equal(show(r, s.approval).state, ZG_AS_CONSUMED);
	/* once: the next same call asks anew */
	first.call = 3;
	t = hold_gets(r, 0, &first, ZG_HOLD_PENDING);
	assert_string_not_equal(s.approval, t.approval);
	assert_memory_equal(decide_as(r, s.approval, true, APPROVER).what, "consumed", 8);
	log = log_with(r, "\"kind\":\"approval.consume\"", 1);
	assert_int_equal(occurrences(log, "\"kind\":\"approval.approve\""), 1);
	assert_non_null(strstr(log, "\"approver_uid\":1000,\"approver_pid\":99"));
	/* what the model sent is for the approver, not for the log */
	assert_null(strstr(log, "hello"));
	free(log);
}

static void approved_before_the_retry(void **state)
{
	struct role *r = *state;
	struct zg_msg_hold h = held(r, 1, 5);
	const struct zg_msg_hold_release gone = {.call = 1};
	struct zg_msg_hold_state s = hold_gets(r, 0, &h, ZG_HOLD_PENDING);

	assert_int_equal(zg_msg_send(r->gateway[0], ZG_MSG_HOLD_RELEASE, &gone, -1), 0);
	assert_int_equal(answer(r, 0).state, ZG_HOLD_RELEASED); /* nobody said yes meanwhile */
	assert_int_equal(decide_as(r, s.approval, true, APPROVER).error, 0);
	assert_int_equal(show(r, s.approval).state, ZG_AS_APPROVED);
	h = held(r, 2, 5);
	assert_string_equal(hold_gets(r, 1, &h, ZG_HOLD_GRANTED).approval, s.approval);
	h.call = 3;
	assert_string_not_equal(hold_gets(r, 1, &h, ZG_HOLD_PENDING).approval, s.approval);
}

/* A call that names its approval gets that one or hears why not; to look uses nothing up. */
static void named_approvals(void **state)
{
	struct role *r = *state;
	struct zg_msg_hold h = held(r, 1, 5), other = held(r, 2, 6);
	struct zg_msg_hold_state s;

	h.question = ZG_HQ_LOOK;
	s = hold_gets(r, 0, &h, ZG_HOLD_PENDING);
	assert_int_equal(decide_as(r, s.approval, true, APPROVER).error, 0);
	assert_int_equal(show(r, s.approval).state, ZG_AS_APPROVED); /* nobody waited */
	(void)hold_gets(r, 0, &h, ZG_HOLD_READY);
	memcpy(h.approval, s.approval, sizeof(h.approval));
	memcpy(other.approval, s.approval, sizeof(other.approval));
	assert_true(hold_gets(r, 0, &other, ZG_HOLD_EXPIRED).conflict != ZG_CONFLICT_NONE);
	h.question = ZG_HQ_USE;
	(void)hold_gets(r, 1, &h, ZG_HOLD_GRANTED);
	assert_int_equal(hold_gets(r, 0, &h, ZG_HOLD_SUPERSEDED).conflict, ZG_CONFLICT_CONSUMED);
	other.approval[0] = '\0';
	other.question = ZG_HQ_LOOK;
	s = hold_gets(r, 0, &other, ZG_HOLD_PENDING);
	memcpy(other.approval, s.approval, sizeof(other.approval));
	other.question = ZG_HQ_WITHDRAW;
	assert_int_equal(hold_gets(r, 0, &other, ZG_HOLD_EXPIRED).conflict, ZG_CONFLICT_CANCELLED);
	assert_int_not_equal(decide_as(r, s.approval, true, APPROVER).error, 0);
}

static void deny_reaches_all_and_is_remembered(void **state)
{
	struct role *r = *state;
	struct zg_msg_hold h = held(r, 1, 5);
	struct zg_msg_hold_state s = hold_gets(r, 0, &h, ZG_HOLD_PENDING);

	h.call = 2;
	(void)hold_gets(r, 1, &h, ZG_HOLD_PENDING);
	assert_int_equal(decide_as(r, s.approval, false, APPROVER).error, 0);
	s = answer(r, 0);
	assert_int_equal(s.state, ZG_HOLD_DENIED);
	assert_string_equal(s.reason, "because");
	assert_int_equal(answer(r, 1).state, ZG_HOLD_DENIED);
	h.call = 3;
	s = hold_gets(r, 0, &h, ZG_HOLD_DENIED);
	assert_string_equal(s.reason, "because");
	assert_memory_equal(decide_as(r, s.approval, true, APPROVER).what, "already_decided", 15);
}

static void who_may_not_decide(void **state)
{
	struct role *r = *state;
	struct zg_msg_hold h = held(r, 1, 5);
	struct zg_msg_hold_state s = hold_gets(r, 0, &h, ZG_HOLD_PENDING);
	struct zg_ctl_peer peer = APPROVER;

	peer.roles = 0;
	refused(r, decide_as(r, s.approval, true, peer), "not_authorised");
	peer = APPROVER;
	peer.uid = AGENT_UID;
	refused(r, decide_as(r, s.approval, true, peer), "self_approval");
	peer = APPROVER;
	peer.governed = 1;
	peer.uid = 0;
	refused(r, decide_as(r, s.approval, true, peer), "not_authorised");
	refused(r, decide_as(r, s.approval, false, peer), "not_authorised");
	assert_int_equal(show(r, s.approval).state, ZG_AS_PENDING);
	assert_memory_equal(decide_as(r, "ap-0000000000", true, APPROVER).what, "not_found", 9);
}

static void strangers_see_nothing(void **state)
{
	static const enum zg_msg_type types[] = {ZG_MSG_CTL_APPROVALS_LIST,
						 ZG_MSG_CTL_APPROVAL_SHOW, ZG_MSG_CTL_AUDIT_TAIL};
	struct role *r = *state;
	struct zg_msg_hold h = held(r, 1, 5);
	struct zg_msg_hold_state s = hold_gets(r, 0, &h, ZG_HOLD_PENDING);
	uint8_t body[64] = {0};
	struct zg_ctl_peer peers[2] = {APPROVER, APPROVER};

	peers[0].roles = 0;
	peers[1].governed = 1;
	memcpy(body, s.approval, sizeof(s.approval));
	for (int p = 0; p < 2; p++) {
		for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
			int sock = control_as(r, types[i], body, peers[p]);
			struct zg_msg m;

			receive(sock, &m, ZG_MSG_CTL_END);
			assert_int_equal(((struct zg_msg_ctl_end *)m.body)->error, -EPERM);
			assert_int_equal(zg_msg_recv(sock, &m), -EPIPE);
			(void)close(sock);
		}
	}
}

static void expired_in_time(void **state)
{
	struct role *r = *state;
	struct zg_msg_hold h;
	struct zg_msg_hold_state s;

	role_kill(r);
	r->ttl_sec = 1;
	role_start(r);
	h = held(r, 1, 5);
	s = hold_gets(r, 0, &h, ZG_HOLD_PENDING);
	/* the ledger's own clock ends it; nobody asks */
	assert_int_equal(answer(r, 0).state, ZG_HOLD_EXPIRED);
	assert_memory_equal(decide_as(r, s.approval, true, APPROVER).what, "expired", 7);
	free(log_with(r, "\"kind\":\"approval.expire\"", 1));
	h.call = 2;
	assert_string_not_equal(hold_gets(r, 0, &h, ZG_HOLD_PENDING).approval, s.approval);
}

static void another_policy_voids(void **state)
{
	struct role *r = *state;
	struct zg_msg_hold h = held(r, 1, 5);
	struct zg_msg_hold_state pending = hold_gets(r, 0, &h, ZG_HOLD_PENDING), approved, s;

	h = held(r, 2, 6);
	approved = hold_gets(r, 1, &h, ZG_HOLD_PENDING);
	link_gateway(r, 1);
	/* the old link is gone when the new one answers */
	h = held(r, 3, 7);
	(void)hold_gets(r, 1, &h, ZG_HOLD_PENDING);
	assert_int_equal(decide_as(r, approved.approval, true, APPROVER).error, 0);
	assert_int_equal(show(r, approved.approval).state, ZG_AS_APPROVED);

	memset(r->snapshot, 0xbb, 32);
	change_policy(r, 2);
	s = answer(r, 0);
	assert_int_equal(s.state, ZG_HOLD_EXPIRED);
	assert_string_equal(s.reason, "policy_changed");
	assert_memory_equal(decide_as(r, pending.approval, true, APPROVER).what, "policy_changed",
			    14);
	/* approved but unused is void as well */
	assert_int_equal(show(r, approved.approval).state, ZG_AS_EXPIRED);
	h = held(r, 4, 6);
	(void)hold_gets(r, 0, &h, ZG_HOLD_PENDING);
}

static void a_client_cannot_fill_the_queue(void **state)
{
	struct role *r = *state;
	struct zg_msg_hold h;

	for (uint8_t i = 0; i < ZG_HOLDS_PRINCIPAL_MAX; i++) {
		h = held(r, i, i);
		(void)hold_gets(r, i % 2, &h, ZG_HOLD_PENDING);
	}
	h = held(r, 1000, 200);
	assert_non_null(strstr(hold_gets(r, 0, &h, ZG_HOLD_REFUSED).reason, "too many"));
	/* others are not concerned */
	h.principal.cgroup_id = 78;
	(void)hold_gets(r, 0, &h, ZG_HOLD_PENDING);
	/* one call waits once */
	h.principal.cgroup_id = 79;
	assert_non_null(strstr(hold_gets(r, 0, &h, ZG_HOLD_REFUSED).reason, "already"));
}

static void a_dead_gateway_leaves_no_waiter(void **state)
{
	struct role *r = *state;
	struct zg_msg_hold h = held(r, 1, 5);
	struct zg_msg_hold_state s = hold_gets(r, 0, &h, ZG_HOLD_PENDING);

	link_gateway(r, 0);
	h = held(r, 2, 6);
	(void)hold_gets(r, 0, &h, ZG_HOLD_PENDING);
	/* nobody waits: approved, not used up */
	assert_int_equal(decide_as(r, s.approval, true, APPROVER).error, 0);
	assert_int_equal(show(r, s.approval).state, ZG_AS_APPROVED);
	h = held(r, 3, 5);
	(void)hold_gets(r, 1, &h, ZG_HOLD_GRANTED);
}

static void hostile_gateways_lose_their_link_only(void **state)
{
	struct role *r = *state;
	const struct zg_msg_ready wrong = {0};
	struct zg_msg_hold h = held(r, 1, 5);
	struct zg_msg m;
	struct pollfd p = {.fd = r->gateway[0], .events = POLLIN};

	assert_int_equal(zg_msg_send(r->gateway[0], ZG_MSG_READY, &wrong, -1), 0);
	assert_int_equal(poll(&p, 1, WAIT_MS), 1);
	assert_int_equal(zg_msg_recv(r->gateway[0], &m), -EPIPE);
	/* texts that never end stay inside their fields */
	memset(h.server, 'A', sizeof(h) - offsetof(struct zg_msg_hold, server));
	memset(&h.principal.profile, '\n', sizeof(h.principal.profile));
	memcpy(h.snapshot, r->snapshot, 32);
	(void)hold_gets(r, 1, &h, ZG_HOLD_REFUSED); /* nor is that a question */
	h.question = ZG_HQ_USE;
	(void)hold_gets(r, 1, &h, ZG_HOLD_EXPIRED); /* nor that an approval */
	h.approval[0] = '\0';
	(void)hold_gets(r, 1, &h, ZG_HOLD_PENDING);
	assert_int_equal(role_stop(r), 0);
	assert_true(verified(r) >= 1);
}

/* Every step that was answered holds after kill -9, and none is done twice. */
static void survives_kill(void **state)
{
	struct role *r = *state;
	struct zg_msg_hold pending = held(r, 1, 1), approved = held(r, 2, 2), used = held(r, 3, 3);
	struct zg_msg_hold_state p = hold_gets(r, 0, &pending, ZG_HOLD_PENDING), a, u;

	a = hold_gets(r, 0, &approved, ZG_HOLD_PENDING);
	u = hold_gets(r, 1, &used, ZG_HOLD_PENDING);
	assert_int_equal(decide_as(r, u.approval, true, APPROVER).error, 0);
	role_kill(r);
	role_start(r);
	assert_int_equal(show(r, u.approval).state, ZG_AS_CONSUMED);
	assert_int_equal(decide_as(r, a.approval, true, APPROVER).error, 0);
	role_kill(r);
	role_start(r);
	assert_string_equal(hold_gets(r, 0, &pending, ZG_HOLD_PENDING).approval, p.approval);
	assert_string_equal(hold_gets(r, 0, &approved, ZG_HOLD_GRANTED).approval, a.approval);
	role_kill(r);
	role_start(r);
	assert_string_not_equal(hold_gets(r, 0, &approved, ZG_HOLD_PENDING).approval, a.approval);
	assert_string_not_equal(hold_gets(r, 0, &used, ZG_HOLD_PENDING).approval, u.approval);
	assert_int_equal(role_stop(r), 0);
	(void)verified(r);
}

/* Kill while decisions are on their way: whatever the files say afterwards,
 * one approval is granted at most once. */
static void killed_in_the_middle_grants_at_most_once(void **state)
{
	struct role *r = *state;

	for (uint8_t seed = 1; seed <= 25; seed++) {
		struct zg_msg_hold h = held(r, seed, seed);
		struct zg_msg_ctl_approval_decide d = {.approve = 1};
		struct zg_msg_hold_state s = hold_gets(r, 0, &h, ZG_HOLD_PENDING), again;
		struct zg_msg m;
		unsigned grants = 0;
		int sock;

		memcpy(d.approval, s.approval, sizeof(d.approval));
		sock = control_as(r, ZG_MSG_CTL_APPROVAL_DECIDE, &d, APPROVER);
		/* a different number of instructions later each time */
		for (volatile int spin = 0; spin < seed * 20000; spin++)
			;
		role_kill(r);
		if (zg_msg_recv(r->gateway[0], &m) == 0)
			grants += ((struct zg_msg_hold_state *)m.body)->state == ZG_HOLD_GRANTED;
		(void)close(sock);
		role_start(r);
		h.call += 100;
		hold(r, 1, &h);
		again = answer(r, 1);
		grants += again.state == ZG_HOLD_GRANTED;
		assert_true(grants <= 1);
		/* told to execute means evidence of the approval and of its use */
		if (grants) {
			char *log = log_with(r, "\"kind\":\"approval.consume\"", 1);
			char want[64];

			(void)snprintf(want, sizeof(want), "\"approval\":\"%s\"", s.approval);
			assert_true(occurrences(log, want) >= 3);
			free(log);
		}
	}
	assert_int_equal(role_stop(r), 0);
	(void)verified(r);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(approve_executes_once),
		T(approved_before_the_retry),
		T(named_approvals),
		T(deny_reaches_all_and_is_remembered),
		T(who_may_not_decide),
		T(strangers_see_nothing),
		T(expired_in_time),
		T(another_policy_voids),
		T(a_client_cannot_fill_the_queue),
		T(a_dead_gateway_leaves_no_waiter),
		T(hostile_gateways_lose_their_link_only),
		T(survives_kill),
		T(killed_in_the_middle_grants_at_most_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
