/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kernel_ask_test.c - a question to the verdict gets the answer that the
 * hooks give to real traffic, and moves nothing.
 */
#include "kernel_lab.h"

static struct zg_question question(uint32_t profile, uint8_t proto, const char *addr, uint16_t port)
{
	struct zg_question q = {.profile = profile, .proto = proto, .port_be = htons(port)};

	assert_int_equal(zg_addr_parse(zg_slice_str(addr), q.addr), 0);
	return q;
}

static void ask(struct lab *lab, struct zg_question *q)
{
	assert_int_equal(zg_kernel_ask(lab->kernel, q), 0);
}

/* "a" may dial 127.1.0.0/16 on TCP 1000-1999 and a registered server; "b" (audit) nothing. */
static struct lab *lab_with_rules(void)
{
	struct lab *lab = lab_open();
	struct plan p;

	plan_init(&p);
	plan_profile(&p, "a", ZG_MODE_ENFORCE);
	plan_profile(&p, "b", ZG_MODE_AUDIT);
	plan_prefix(&p, "127.1.0.0", 16, 10);
	plan_prefix(&p, "127.9.9.9", 32, 11);
	(void)plan_rule(&p, P_A, 10, IPPROTO_TCP, 1000, 1999, ZG_V_ALLOW);
	(void)plan_rule(&p, P_A, 11, IPPROTO_TCP, 80, 80, ZG_V_REDIRECT);
	lab_apply(lab, &p);
	return lab;
}

static void test_each_verdict_with_its_reason(void **state ZG_UNUSED)
{
	static const struct {
		uint32_t profile;
		uint8_t proto;
		const char *addr;
		uint16_t port;
		enum zg_verdict verdict;
		enum zg_gate_reason reason;
	} cases[] = {
		{P_A, IPPROTO_TCP, "127.1.2.3", 1000, ZG_V_ALLOW, ZG_GR_NONE},
		{P_A, IPPROTO_TCP, "127.1.2.3", 2000, ZG_V_DENY, ZG_GR_PORT},
		{P_A, IPPROTO_UDP, "127.1.2.3", 1000, ZG_V_DENY, ZG_GR_NO_RULE},
		{P_A, IPPROTO_TCP, "127.2.2.3", 1000, ZG_V_DENY, ZG_GR_NO_IDENTITY},
		{P_A, IPPROTO_TCP, "127.9.9.9", 80, ZG_V_REDIRECT, ZG_GR_NONE},
		{P_A, IPPROTO_TCP, "64:ff9b::127.1.2.3", 1000, ZG_V_ALLOW, ZG_GR_NONE},
		{P_B, IPPROTO_TCP, "127.1.2.3", 1000, ZG_V_DENY, ZG_GR_NO_RULE},
		{ZG_PROFILE_GONE, IPPROTO_TCP, "127.1.2.3", 1000, ZG_V_DENY, ZG_GR_NO_RULE},
	};
	struct lab *lab = lab_with_rules();

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct zg_question q =
			question(cases[i].profile, cases[i].proto, cases[i].addr, cases[i].port);

		ask(lab, &q);
		assert_int_equal(q.verdict, cases[i].verdict);
		assert_int_equal(q.reason, cases[i].reason);
		assert_int_equal(q.answered, cases[i].profile);
		assert_int_equal(q.audit, cases[i].profile == P_B);
	}
	assert_int_equal(lab_events(lab).count[ZG_E_DENY], 0);
}

/* A live flow may have been dialled by either end; a deny of the other end
 * holds for both. */
static void test_a_live_flow_goes_by_either_direction(void **state ZG_UNUSED)
{
	struct lab *lab = lab_open();
	struct zg_question q;
	struct plan p;

	plan_init(&p);
	plan_profile(&p, "a", ZG_MODE_ENFORCE);
	plan_prefix(&p, "127.1.0.0", 16, 10);
	plan_rule(&p, P_A, 10, IPPROTO_TCP, 8000, 8000, ZG_V_ALLOW)->direction = ZG_DIR_IN;
	lab_apply(lab, &p);
	q = question(P_A, IPPROTO_TCP, "127.1.2.3", 40000);
	q.local_port_be = htons(8000);
	ask(lab, &q);
	assert_int_equal(q.verdict, ZG_V_DENY);
	q.direction = ZG_DIR_IN;
	ask(lab, &q);
	assert_int_equal(q.verdict, ZG_V_ALLOW);
	q.direction = ZG_DIR_OUT;
	q.live = 1;
	ask(lab, &q);
	assert_int_equal(q.verdict, ZG_V_ALLOW);
	q.local_port_be = htons(8001);
	ask(lab, &q);
	assert_int_equal(q.verdict, ZG_V_DENY);
}

static void test_a_cgroup_is_judged_by_its_nearest_governed_ancestor(void **state ZG_UNUSED)
{
	struct lab *lab = lab_with_rules();
	struct zg_question q = question(0, IPPROTO_TCP, "127.1.2.3", 1000);
	struct stat root;

	assert_int_equal(fstat(lab->root_fd, &root), 0);
	lab_govern(lab, "a", P_A);
	lab_govern(lab, "a/b", P_B);
	q.ancestor[0] = 1; /* whatever lies above the root is not governed */
	q.ancestor[1] = root.st_ino;
	q.ancestor[2] = q.cgroup_id = lab_cgroup(lab, "free");
	ask(lab, &q);
	assert_int_equal(q.answered, ZG_PROFILE_NONE);

	q.ancestor[2] = lab_cgroup(lab, "a");
	q.ancestor[3] = q.cgroup_id = lab_cgroup(lab, "a/deep");
	ask(lab, &q);
	assert_int_equal(q.answered, P_A);
	assert_int_equal(q.verdict, ZG_V_ALLOW);

	q.ancestor[3] = lab_cgroup(lab, "a/b");
	q.ancestor[4] = q.cgroup_id = lab_cgroup(lab, "a/b/deep");
	ask(lab, &q);
	assert_int_equal(q.answered, P_B);
	assert_int_equal(q.verdict, ZG_V_DENY);
}

static void test_the_gateway_and_containment_are_told(void **state ZG_UNUSED)
{
	struct lab *lab = lab_with_rules();
	struct zg_listen v4 = {.port = 7411}, none = {0};
	struct zg_question q;
	struct zg_err e;

	assert_int_equal(zg_addr_parse(ZG_SLICE("127.0.0.1"), v4.addr), 0);
	assert_int_equal(zg_kernel_set_gateway(lab->kernel, &v4, &none, &e), 0);
	q = question(P_A, IPPROTO_TCP, "127.0.0.1", 7411);
	ask(lab, &q);
	assert_true(q.gateway);
	q = question(P_A, IPPROTO_TCP, "127.0.0.1", 7412);
	ask(lab, &q);
	assert_false(q.gateway);

	assert_int_equal(zg_kernel_contain(lab->kernel, "a", true), 0);
	q = question(P_A, IPPROTO_TCP, "127.1.2.3", 1000);
	ask(lab, &q);
	assert_int_equal(q.verdict, ZG_V_DENY);
	assert_int_equal(q.reason, ZG_GR_CONTAINED);
	assert_int_equal(zg_kernel_contain(lab->kernel, "a", false), 0);
	ask(lab, &q);
	assert_int_equal(q.verdict, ZG_V_ALLOW);
}

static const struct CMUnitTest tests[] = {
	LAB_TEST(test_each_verdict_with_its_reason),
	LAB_TEST(test_a_live_flow_goes_by_either_direction),
	LAB_TEST(test_a_cgroup_is_judged_by_its_nearest_governed_ancestor),
	LAB_TEST(test_the_gateway_and_containment_are_told),
};

LAB_MAIN(tests)
