/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kernel_reload_test.c - what changes while it is in force: reloads, takeover
 * after the owner's death, detach.
 */
#include "kernel_lab.h"

/* 127.0.0.0/8 is identity 10; ports tell grants apart. Nobody listens there, so
 * an open gate is ECONNREFUSED and a closed one EPERM. */
#define OPEN   ECONNREFUSED
#define CLOSED EPERM

static int knock(struct lab *lab, const char *cgroup, const char *addr, uint16_t port)
{
	struct dial d = {.how = TCP_CONNECT, .addr = addr, .port = port};

	return lab_run(lab, cgroup, dial, &d);
}

static void plan_one(struct plan *p, uint32_t profile, const char *addr, uint32_t prefixlen,
		     uint32_t identity)
{
	plan_prefix(p, addr, prefixlen, identity);
	(void)plan_rule(p, profile, identity, IPPROTO_TCP, 1, UINT16_MAX, ZG_V_ALLOW);
}

static void test_removed_prefixes(void **state ZG_UNUSED)
{
	struct lab *lab = lab_open();
	struct plan wide, hole, none;

	lab_govern(lab, "agent", P_A);
	plan_init(&wide);
	plan_profile(&wide, "a", ZG_MODE_ENFORCE);
	plan_one(&wide, P_A, "127.0.0.0", 8, 10);
	plan_init(&hole);
	plan_profile(&hole, "a", ZG_MODE_ENFORCE);
	plan_one(&hole, P_A, "127.0.0.0", 8, 10);
	plan_prefix(&hole, "127.5.0.0", 16, 11); /* an identity without a rule */
	plan_one(&hole, P_A, "127.5.5.0", 24, 12);
	plan_init(&none);
	plan_profile(&none, "a", ZG_MODE_ENFORCE);

	for (int round = 0; round < 2; round++) {
		lab_apply(lab, &wide);
		assert_int_equal(knock(lab, "agent", "127.5.5.5", 1), OPEN);
		assert_int_equal(knock(lab, "agent", "127.5.6.6", 1), OPEN);
		lab_apply(lab, &hole);
		assert_int_equal(knock(lab, "agent", "127.5.5.5", 1), OPEN);
		assert_int_equal(knock(lab, "agent", "127.5.6.6", 1), CLOSED);
		assert_int_equal(knock(lab, "agent", "127.6.6.6", 1), OPEN);
		lab_apply(lab, &none);
		assert_int_equal(knock(lab, "agent", "127.5.5.5", 1), CLOSED);
		assert_int_equal(knock(lab, "agent", "127.6.6.6", 1), CLOSED);
	}
}

static void test_rules_change_under_the_same_identity(void **state ZG_UNUSED)
{
	struct lab *lab = lab_open();
	struct plan p;

	lab_govern(lab, "agent", P_A);
	plan_init(&p);
	plan_profile(&p, "a", ZG_MODE_ENFORCE);
	plan_one(&p, P_A, "127.0.0.0", 8, 10);
	for (uint16_t port = 100; port < 104; port++) {
		p.rules[0].val.port[0].lo = p.rules[0].val.port[0].hi = port;
		lab_apply(lab, &p);
		assert_int_equal(knock(lab, "agent", "127.1.1.1", port), OPEN);
		assert_int_equal(knock(lab, "agent", "127.1.1.1", (uint16_t)(port - 1)), CLOSED);
	}
}

/* A reload that puts another profile in front: cgroups keep theirs by name. */
static void test_profile_ids_move(void **state ZG_UNUSED)
{
	struct lab *lab = lab_open();
	struct plan p;

	lab_govern(lab, "one", P_A);
	lab_govern(lab, "two", P_B);
	plan_init(&p);
	plan_profile(&p, "narrow", ZG_MODE_ENFORCE);
	plan_profile(&p, "wide", ZG_MODE_ENFORCE);
	plan_one(&p, P_B, "127.0.0.0", 8, 10);
	lab_apply(lab, &p);
	assert_int_equal(knock(lab, "one", "127.1.1.1", 1), CLOSED);
	assert_int_equal(knock(lab, "two", "127.1.1.1", 1), OPEN);

	plan_init(&p);
	plan_profile(&p, "wide", ZG_MODE_ENFORCE);
	plan_profile(&p, "narrow", ZG_MODE_ENFORCE);
	plan_one(&p, P_A, "127.0.0.0", 8, 10);
	lab_apply(lab, &p);
	assert_int_equal(knock(lab, "one", "127.1.1.1", 1), CLOSED);
	assert_int_equal(knock(lab, "two", "127.1.1.1", 1), OPEN);

	/* a profile that is gone leaves its cgroups with nothing, not ungoverned */
	plan_init(&p);
	plan_profile(&p, "narrow", ZG_MODE_ENFORCE);
	plan_one(&p, P_A, "127.0.0.0", 8, 10);
	lab_apply(lab, &p);
	assert_int_equal(knock(lab, "one", "127.1.1.1", 1), OPEN);
	assert_int_equal(knock(lab, "two", "127.1.1.1", 1), CLOSED);
}

/* Dial two addresses for ever: one that every generation allows, one that none
 * does. The first wrong answer ends it. */
struct loop {
	volatile bool stop;
	volatile uint64_t dials;
};

static int dial_both_for_ever(void *arg)
{
	struct endpoint good = endpoint_of("127.3.3.3", 9), bad = endpoint_of("127.4.4.4", 9);
	struct loop *loop = arg;
	int s = socket(AF_INET, SOCK_DGRAM, 0);

	while (!loop->stop) {
		if (connect(s, (struct sockaddr *)&good.ss, good.bytes) < 0)
			return 1;
		if (connect(s, (struct sockaddr *)&bad.ss, bad.bytes) == 0 || errno != EPERM)
			return 2;
		loop->dials++;
	}
	return 0;
}

static void plan_flip(struct plan *p, bool odd)
{
	uint32_t mine = odd ? P_B : P_A, other = odd ? P_A : P_B;

	plan_init(p);
	plan_profile(p, odd ? "other" : "mine", ZG_MODE_ENFORCE);
	plan_profile(p, odd ? "mine" : "other", ZG_MODE_ENFORCE);
	/* the same grant by other prefixes, identities and profile ids */
	plan_prefix(p, "127.0.0.0", 8, odd ? 10 : 11);
	if (odd)
		plan_prefix(p, "127.3.0.0", 16, 11);
	else
		plan_prefix(p, "127.3.3.3", 32, 10);
	plan_prefix(p, "127.4.4.4", 32, odd ? 12 : 13);
	(void)plan_rule(p, mine, odd ? 11 : 10, IPPROTO_UDP, 9, 9, ZG_V_ALLOW);
	(void)plan_rule(p, mine, 14, IPPROTO_UDP, 9, 9, ZG_V_ALLOW);
	/* what would be granted by a mixture of the two generations */
	(void)plan_rule(p, other, odd ? 12 : 13, IPPROTO_UDP, 9, 9, ZG_V_ALLOW);
	(void)plan_rule(p, mine, odd ? 13 : 12, IPPROTO_UDP, 9, 9, ZG_V_ALLOW);
}

static struct loop *loop_new(void)
{
	struct loop *l =
		mmap(NULL, sizeof(*l), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	assert_true(l != MAP_FAILED);
	return l;
}

/* So many more dials by the child, or its end. */
static void wait_for_dials(const struct loop *loop, pid_t pid, uint64_t more)
{
	uint64_t until = loop->dials + more;
	siginfo_t ended = {0};

	while (loop->dials < until && !ended.si_pid) {
		assert_int_equal(waitid(P_PID, (id_t)pid, &ended, WEXITED | WNOHANG | WNOWAIT), 0);
		(void)sched_yield();
	}
}

#define FLIPS 200

static void test_flip_is_atomic(void **state ZG_UNUSED)
{
	struct lab *lab = lab_open();
	struct loop *loop = loop_new();
	struct plan p;
	pid_t pid;

	lab_govern(lab, "agent", P_A);
	plan_flip(&p, false);
	lab_apply(lab, &p);
	pid = lab_start(lab, "agent", dial_both_for_ever, loop);
	for (int i = 1; i <= FLIPS; i++) {
		plan_flip(&p, i % 2);
		lab_apply(lab, &p);
		wait_for_dials(loop, pid, 1);
		if (waitpid(pid, NULL, WNOHANG) != 0)
			fail_msg("a wrong answer at flip %d", i);
	}
	wait_for_dials(loop, pid, 1);
	loop->stop = true;
	assert_int_equal(lab_wait(pid), 0);
	assert_true(loop->dials > FLIPS);
	assert_int_equal(munmap(loop, sizeof(*loop)), 0);
}

static void test_failed_apply_changes_nothing(void **state ZG_UNUSED)
{
	struct lab *lab = lab_open();
	struct zg_err e = {0};
	struct plan p;

	lab_govern(lab, "agent", P_A);
	plan_init(&p);
	plan_profile(&p, "a", ZG_MODE_ENFORCE);
	plan_one(&p, P_A, "127.1.0.0", 16, 10);
	lab_apply(lab, &p);
	plan_init(&p);
	plan_profile(&p, "a", ZG_MODE_ENFORCE);
	plan_one(&p, P_A, "127.2.0.0", 16, 11);
	plan_one(&p, P_A, "127.1.0.0", 16, 12);
	assert_int_equal(zg_kernel_apply(lab->kernel, &p.s, 99, &e), -EBADMSG); /* not sorted */
	assert_int_equal(knock(lab, "agent", "127.1.1.1", 1), OPEN);
	assert_int_equal(knock(lab, "agent", "127.2.2.2", 1), CLOSED);
	lab_apply(lab, &p);
	assert_int_equal(knock(lab, "agent", "127.2.2.2", 1), OPEN);
}

#define MANY 1100000

/* Every second prefix of a length from 127.0.0.0 up: the first, or the second. */
static void fill_many(struct zg_prefix_def *many, uint32_t prefixlen, uint32_t which)
{
	uint32_t size = 1u << (128 - prefixlen);

	for (uint32_t i = 0; i < MANY; i++) {
		uint32_t v4 = htonl(0x7f000000 + (2 * i + which) * size);

		many[i] = (struct zg_prefix_def){.prefixlen = prefixlen, .identity = 10};
		memset(many[i].addr + 10, 0xff, 2);
		memcpy(many[i].addr + 12, &v4, sizeof(v4));
	}
}

/* Two tables that do not fit side by side: the second is refused whole, and a
 * smaller one still fits afterwards. */
static void check_full(uint32_t prefixlen)
{
	struct lab *lab = lab_open();
	zg_autofree struct zg_prefix_def *many = calloc(MANY, sizeof(*many));
	struct zg_err e = {0};
	struct plan p;

	assert_non_null(many);
	lab_govern(lab, "agent", P_A);
	plan_init(&p);
	plan_profile(&p, "a", ZG_MODE_ENFORCE);
	(void)plan_rule(&p, P_A, 10, IPPROTO_TCP, 1, UINT16_MAX, ZG_V_ALLOW);
	p.s.prefixes = many;
	p.s.prefix_count = MANY;
	for (uint32_t which = 0; which < 2; which++) {
		fill_many(many, prefixlen, which);
		assert_int_equal(zg_kernel_apply(lab->kernel, &p.s, which + 1, &e),
				 which ? -ENOSPC : 0);
		assert_int_equal(knock(lab, "agent", "127.0.0.4", 1), OPEN);
		assert_int_equal(knock(lab, "agent", "127.0.0.3", 1), CLOSED);
	}
	assert_non_null(strstr(e.what, "full"));
	p.s.prefix_count = 100;
	assert_int_equal(zg_kernel_apply(lab->kernel, &p.s, 3, &e), 0);
	assert_int_equal(knock(lab, "agent", "127.0.0.4", 1), CLOSED);
	assert_int_equal(knock(lab, "agent", "127.0.0.3", 1), OPEN);
}

static void test_full_trie(void **state ZG_UNUSED)
{
	check_full(127);
}

static void test_full_hash(void **state ZG_UNUSED)
{
	check_full(128);
}

/* takeover -------------------------------------------------------------------- */

/* Another process owns the gate, applies what it is told to, and is killed. */
static pid_t owner_start(struct lab *lab, struct plan *plans, size_t count, bool for_ever)
{
	pid_t pid;
	int ready[2];
	char byte;

	zg_kernel_close(lab->kernel);
	lab->kernel = NULL;
	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (pid == 0) {
		lab_open_gate(lab);
		do {
			for (size_t i = 0; i < count; i++)
				lab_apply(lab, &plans[i]);
			(void)!write(ready[1], "r", 1);
		} while (for_ever);
		for (;;)
			(void)pause();
	}
	(void)close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	if (!for_ever)
		(void)close(ready[0]);
	return pid;
}

static void owner_kill(pid_t pid)
{
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

struct found {
	uint64_t id;
	uint32_t profile;
	int count;
};

static int on_member(uint64_t id, uint32_t profile, void *arg)
{
	struct found *f = arg;

	f->count++;
	if (id == f->id)
		f->profile = profile;
	return 0;
}

static void test_takeover(void **state ZG_UNUSED)
{
	struct lab *lab = lab_open();
	struct found found = {0};
	struct zg_err e = {0};
	struct plan p;
	pid_t owner;

	lab_govern(lab, "agent", P_A);
	plan_init(&p);
	plan_profile(&p, "a", ZG_MODE_ENFORCE);
	plan_one(&p, P_A, "127.1.0.0", 16, 10);
	plan_one(&p, P_A, "127.2.0.0", 16, 11);
	owner = owner_start(lab, &p, 1, false);
	owner_kill(owner);
	/* nobody is there, and it is still enforced */
	assert_int_equal(knock(lab, "agent", "127.1.1.1", 1), OPEN);
	assert_int_equal(knock(lab, "agent", "127.3.3.3", 1), CLOSED);
	lab_open_gate(lab);
	assert_int_equal(zg_kernel_verify(lab->kernel, &e), 0);
	/* the denial of the time between is not lost */
	assert_int_equal(lab_events(lab).count[ZG_E_DENY], 1);
	found.id = lab_cgroup(lab, "agent");
	assert_int_equal(zg_kernel_members(lab->kernel, on_member, &found), 0);
	assert_int_equal(found.count, 1);
	assert_int_equal(found.profile, P_A);
	assert_int_equal(knock(lab, "agent", "127.1.1.1", 1), OPEN);
	assert_int_equal(knock(lab, "agent", "127.3.3.3", 1), CLOSED);
	/* the new owner knows what it took over: what is gone is removed, and the
	 * name decides which profile is meant */
	plan_init(&p);
	plan_profile(&p, "b", ZG_MODE_ENFORCE);
	plan_profile(&p, "a", ZG_MODE_ENFORCE);
	plan_one(&p, P_B, "127.2.0.0", 16, 11);
	plan_one(&p, P_B, "127.3.0.0", 16, 12);
	lab->generation = 100;
	lab_apply(lab, &p);
	assert_int_equal(knock(lab, "agent", "127.1.1.1", 1), CLOSED);
	assert_int_equal(knock(lab, "agent", "127.2.2.2", 1), OPEN);
	assert_int_equal(knock(lab, "agent", "127.3.3.3", 1), OPEN);
}

/* The owner dies somewhere in the middle of applying, many times over, and at
 * no time is an answer wrong. */
static void test_killed_while_applying(void **state ZG_UNUSED)
{
	struct lab *lab = lab_open();
	struct loop *loop = loop_new();
	struct plan flip[2];
	pid_t dialler;

	lab_govern(lab, "agent", P_A);
	plan_flip(&flip[0], false);
	plan_flip(&flip[1], true);
	lab_apply(lab, &flip[0]);
	dialler = lab_start(lab, "agent", dial_both_for_ever, loop);
	for (int i = 0; i < 10; i++) {
		pid_t owner = owner_start(lab, flip, 2, true);

		wait_for_dials(loop, dialler, 50 + 37 * (uint64_t)i);
		owner_kill(owner);
		lab->generation += 1000;
		if (waitpid(dialler, NULL, WNOHANG) != 0)
			fail_msg("a wrong answer after kill %d", i);
	}
	lab_open_gate(lab);
	lab_apply(lab, &flip[1]);
	wait_for_dials(loop, dialler, 10);
	loop->stop = true;
	assert_int_equal(lab_wait(dialler), 0);
	assert_int_equal(munmap(loop, sizeof(*loop)), 0);
}

static void test_foreign_pins_are_refused(void **state ZG_UNUSED)
{
	struct lab *lab = lab_open();
	struct zg_kernel_options o = {.pin_dir = lab->pins};
	struct zg_kernel *k = NULL;
	struct zg_err e = {0};

	(void)lab_cgroup(lab, "elsewhere");
	o.cgroup_root = open(lab_path(lab, "elsewhere").text, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(zg_kernel_open(&k, &o, &e), -EEXIST);
	assert_null(k);
	assert_non_null(strstr(e.hint, "detach"));
	(void)close(o.cgroup_root);
	assert_int_equal(zg_kernel_verify(lab->kernel, &e), 0);
}

static void test_verify_notices(void **state ZG_UNUSED)
{
	struct lab *lab = lab_open();
	struct zg_err e = {0};
	char pin[LAB_PATH + 64];

	assert_int_equal(zg_kernel_verify(lab->kernel, &e), 0);
	(void)snprintf(pin, sizeof(pin), "%s/link_zg_connect6", lab->pins);
	assert_int_equal(unlink(pin), 0);
	assert_int_equal(zg_kernel_verify(lab->kernel, &e), -ENOENT);
	assert_non_null(strstr(e.what, "connect6"));
}

static void test_detach(void **state ZG_UNUSED)
{
	struct lab *lab = lab_open();
	struct zg_err e = {0};
	struct stat st;

	lab_govern(lab, "agent", P_A);
	assert_int_equal(stat(lab->pins, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_int_equal(knock(lab, "agent", "127.1.1.1", 1), CLOSED);
	/* even while somebody still holds the gate */
	assert_int_equal(zg_kernel_detach(lab->pins, &e), 0);
	assert_int_equal(knock(lab, "agent", "127.1.1.1", 1), OPEN);
	assert_int_equal(stat(lab->pins, &st), -1);
	assert_int_equal(zg_kernel_detach(lab->pins, &e), 0);
}

static void test_pin_dir_must_be_bpffs(void **state ZG_UNUSED)
{
	char no_bpffs[] = "/tmp/zg-no-bpffs-XXXXXX";
	struct lab *lab = lab_open();
	struct zg_kernel_options o = {.cgroup_root = lab->root_fd, .pin_dir = no_bpffs};
	struct zg_kernel *k = NULL;
	struct zg_err e = {0};

	assert_non_null(mkdtemp(no_bpffs)); /* a name that is free now */
	assert_int_equal(rmdir(no_bpffs), 0);
	assert_int_equal(zg_kernel_open(&k, &o, &e), -EINVAL);
	assert_non_null(strstr(e.hint, "mount -t bpf"));
	assert_int_equal(access(o.pin_dir, F_OK), -1);
}

static const struct CMUnitTest tests[] = {
	LAB_TEST(test_removed_prefixes),
	LAB_TEST(test_rules_change_under_the_same_identity),
	LAB_TEST(test_profile_ids_move),
	LAB_TEST(test_flip_is_atomic),
	LAB_TEST(test_failed_apply_changes_nothing),
	LAB_TEST(test_full_trie),
	LAB_TEST(test_full_hash),
	LAB_TEST(test_takeover),
	LAB_TEST(test_killed_while_applying),
	LAB_TEST(test_foreign_pins_are_refused),
	LAB_TEST(test_verify_notices),
	LAB_TEST(test_detach),
	LAB_TEST(test_pin_dir_must_be_bpffs),
};

LAB_MAIN(tests)
