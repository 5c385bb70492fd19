/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kernel_member_test.c - who stays governed after leaving a governed cgroup,
 * and cgroups that are governed as they are made, on the real kernel. Root
 * moves the processes here, as a service manager or an administrator would.
 */
#include "kernel_lab.h"

#include <linux/sched.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <time.h>

#include <bpf/bpf.h>

/* A process that dials when it is told to. */
struct actor {
	pid_t pid;
	int ask;
	int answer;
};

enum order { DIAL, DIAL_IN_CHILD, DIAL_IN_GRANDCHILD, END };

struct play {
	struct dial dial;
	int ask[2];
	int answer[2];
};

/* In a descendant, as many births away as asked for. */
static int dial_in_descendant(struct dial *d, int births)
{
	pid_t pid;
	int status;

	if (births == 0)
		return dial(d);
	pid = fork();
	if (pid == 0)
		_exit(dial_in_descendant(d, births - 1));
	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : 119;
}

static int act(void *arg)
{
	struct play *p = arg;
	unsigned char order;

	while (read(p->ask[0], &order, 1) == 1 && order != END) {
		unsigned char r = (unsigned char)dial_in_descendant(&p->dial, order);

		if (write(p->answer[1], &r, 1) != 1)
			return 1;
	}
	return 0;
}

static struct actor actor_start(const struct lab *lab, const char *cgroup, const struct dial *d)
{
	struct play p = {.dial = *d};
	struct actor a;

	assert_int_equal(pipe2(p.ask, O_CLOEXEC), 0);
	assert_int_equal(pipe2(p.answer, O_CLOEXEC), 0);
	a.pid = lab_start(lab, cgroup, act, &p);
	(void)close(p.ask[0]);
	(void)close(p.answer[1]);
	a.ask = p.ask[1];
	a.answer = p.answer[0];
	return a;
}

static int actor_tell(const struct actor *a, enum order order)
{
	unsigned char c = (unsigned char)order;

	assert_int_equal(write(a->ask, &c, 1), 1);
	assert_int_equal(read(a->answer, &c, 1), 1);
	return c;
}

static void actor_end(struct actor *a)
{
	unsigned char end = END;

	assert_int_equal(write(a->ask, &end, 1), 1);
	assert_int_equal(lab_wait(a->pid), 0);
	(void)close(a->ask);
	(void)close(a->answer);
}

static void move(const struct lab *lab, pid_t pid, const char *to)
{
	struct lab_path p = lab_path(lab, to);
	zg_autofd int dir = open(p.text, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	zg_autofd int fd = openat(dir, "cgroup.procs", O_WRONLY | O_CLOEXEC);
	char text[24];
	int n = snprintf(text, sizeof(text), "%d", (int)pid);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, (size_t)n), n);
}

static struct zg_ctl ctl_of(const struct lab *lab)
{
	char path[LAB_PATH + 16];
	zg_autofd int fd = -1;
	uint32_t zero = 0;
	struct zg_ctl ctl;

	(void)snprintf(path, sizeof(path), "%s/zg_ctl", lab->pins);
	fd = bpf_obj_get(path);
	assert_true(fd >= 0);
	assert_int_equal(bpf_map_lookup_elem(fd, &zero, &ctl), 0);
	return ctl;
}

/* P_A reaches nothing, P_B all of loopback. */
static void plan_two(struct lab *lab, bool swapped)
{
	struct plan p;

	plan_init(&p);
	plan_profile(&p, swapped ? "b" : "a", ZG_MODE_ENFORCE);
	plan_profile(&p, swapped ? "a" : "b", ZG_MODE_ENFORCE);
	plan_prefix(&p, "127.0.0.0", 8, 7);
	(void)plan_rule(&p, swapped ? P_A : P_B, 7, IPPROTO_TCP, 1, UINT16_MAX, ZG_V_ALLOW);
	lab_apply(lab, &p);
}

struct stage {
	struct lab *lab;
	struct sink sink;
	struct dial dial;
};

static struct stage stage_open(void)
{
	struct stage s = {.lab = lab_open()};

	if (zg_kernel_layer_state(s.lab->kernel, ZG_KL_MEMBER, NULL) != ZG_LAYER_ATTACHED)
		fail_msg("the member layer is not attached");
	s.sink = sink_open(false, "127.0.0.1", 0);
	s.dial = (struct dial){.how = TCP_CONNECT, .addr = "127.0.0.1", .port = s.sink.port};
	(void)lab_cgroup(s.lab, "free");
	lab_govern(s.lab, "agent", P_A);
	lab_govern(s.lab, "open", P_B);
	plan_two(s.lab, false);
	(void)lab_events(s.lab);
	return s;
}

/* The last leave of what has been told. */
static int keep_leave(const struct zg_event *ev, void *arg)
{
	if (ev->kind == ZG_E_LEAVE)
		*(struct zg_event *)arg = *ev;
	return 0;
}

static struct zg_event last_leave(const struct stage *s)
{
	struct zg_event ev = {0};

	assert_true(zg_kernel_consume(s->lab->kernel, keep_leave, &ev) >= 0);
	return ev;
}

static void a_process_that_is_moved_out_stays_governed(void **state ZG_UNUSED)
{
	struct stage s = stage_open();
	struct actor a = actor_start(s.lab, "agent", &s.dial);
	struct actor other = actor_start(s.lab, "free", &s.dial);
	struct zg_event ev;

	assert_int_equal(actor_tell(&a, DIAL), EPERM);
	assert_int_equal(actor_tell(&other, DIAL), 0);
	(void)last_leave(&s);
	move(s.lab, a.pid, "free");
	ev = last_leave(&s);
	assert_int_equal(ev.pid, a.pid);
	assert_int_equal(ev.reason, ZG_GR_LEFT);
	assert_int_equal(ev.profile, P_A);
	assert_int_equal(ev.cgroup_id, lab_cgroup(s.lab, "agent"));
	assert_int_equal(ev.detail, getpid());
	assert_int_equal(ev.uid, LAB_UID);
	assert_non_null(strstr(ev.path, "/free"));
	(void)sink_drain(&s.sink);
	assert_int_equal(actor_tell(&a, DIAL), EPERM);
	assert_int_equal(actor_tell(&a, DIAL_IN_CHILD), EPERM);
	assert_int_equal(actor_tell(&a, DIAL_IN_GRANDCHILD), EPERM);
	assert_int_equal(sink_drain(&s.sink), 0);
	/* nobody else is touched, and nothing stays behind */
	assert_int_equal(actor_tell(&other, DIAL), 0);
	assert_int_equal(ctl_of(s.lab).sticky, 1);
	actor_end(&a);
	assert_int_equal(ctl_of(s.lab).sticky, 0);
	actor_end(&other);
}

/* Its cgroup is removed behind it, as a scope's is. */
static void the_cgroup_that_was_left_may_go(void **state ZG_UNUSED)
{
	struct stage s = stage_open();
	uint64_t id = lab_cgroup(s.lab, "agent/scope");
	struct actor a;

	lab_govern(s.lab, "agent/scope", P_A);
	a = actor_start(s.lab, "agent/scope", &s.dial);
	assert_int_equal(actor_tell(&a, DIAL), EPERM);
	move(s.lab, a.pid, "free");
	lab_remove(lab_path(s.lab, "agent/scope").text);
	(void)!zg_kernel_release(s.lab->kernel, id);
	assert_int_equal(actor_tell(&a, DIAL), EPERM);
	actor_end(&a);
}

static void another_profile_applies_and_the_move_is_told(void **state ZG_UNUSED)
{
	struct stage s = stage_open();
	struct actor a = actor_start(s.lab, "agent", &s.dial);
	struct zg_event ev;

	assert_int_equal(actor_tell(&a, DIAL), EPERM);
	move(s.lab, a.pid, "open");
	ev = last_leave(&s);
	assert_int_equal(ev.pid, a.pid);
	assert_int_equal(ev.reason, ZG_GR_NONE);
	assert_int_equal(ev.profile, P_A);
	assert_int_equal(actor_tell(&a, DIAL), 0);
	/* out, and back in: the cgroup counts again */
	move(s.lab, a.pid, "free");
	assert_int_equal(last_leave(&s).profile, P_B);
	assert_int_equal(actor_tell(&a, DIAL), 0);
	assert_int_equal(ctl_of(s.lab).sticky, 1);
	move(s.lab, a.pid, "agent");
	assert_int_equal(ctl_of(s.lab).sticky, 0);
	assert_int_equal(actor_tell(&a, DIAL), EPERM);
	actor_end(&a);
}

/* Moves that are none of ours: into, within, and between what is not governed. */
static void other_moves_are_not_told(void **state ZG_UNUSED)
{
	struct stage s = stage_open();
	struct actor a = actor_start(s.lab, "free", &s.dial);

	(void)lab_cgroup(s.lab, "free2");
	(void)lab_cgroup(s.lab, "agent/deep");
	(void)last_leave(&s);
	move(s.lab, a.pid, "free2");
	assert_int_equal(actor_tell(&a, DIAL), 0);
	move(s.lab, a.pid, "agent");
	assert_int_equal(actor_tell(&a, DIAL), EPERM);
	move(s.lab, a.pid, "agent/deep");
	move(s.lab, a.pid, "agent");
	assert_int_equal(last_leave(&s).kind, 0);
	assert_int_equal(ctl_of(s.lab).sticky, 0);
	actor_end(&a);
}

/* Born in the cgroup, not moved into it: known from its birth. */
static void a_child_that_is_moved_out_stays_governed(void **state ZG_UNUSED)
{
	struct stage s = stage_open();
	int go[2], status;
	pid_t pid, child = 0;
	char byte = 0;

	assert_int_equal(pipe2(go, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		lab_join(s.lab, "agent");
		child = fork();
		if (child == 0)
			_exit(read(go[0], &byte, 1) == 1 ? dial(&s.dial) : 114);
		move(s.lab, child, "free");
		_exit(write(go[1], &byte, 1) == 1 && waitpid(child, &status, 0) == child
			      ? WEXITSTATUS(status)
			      : 113);
	}
	assert_int_equal(lab_wait(pid), EPERM);
	assert_int_equal(last_leave(&s).reason, ZG_GR_LEFT);
	assert_int_equal(ctl_of(s.lab).sticky, 0);
	(void)close(go[0]);
	(void)close(go[1]);
}

/* The thread takes the leader's place, with nothing of what was kept with it. */
static void *exec_dialler(void *arg)
{
	const struct stage *s = arg;
	char script[128];

	(void)snprintf(script, sizeof(script), "echo; read x; : >/dev/tcp/127.0.0.1/%u",
		       s->sink.port);
	(void)execl("/bin/bash", "bash", "-c", script, NULL);
	_exit(118);
}

static void a_thread_that_executes_stays_governed(void **state ZG_UNUSED)
{
	struct stage s = stage_open();
	int ask[2], answer[2];
	pthread_t thread;
	char byte = '\n';
	pid_t pid;

	assert_int_equal(pipe2(ask, O_CLOEXEC), 0);
	assert_int_equal(pipe2(answer, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		lab_join(s.lab, "agent");
		lab_drop();
		if (dup2(ask[0], 0) < 0 || dup2(answer[1], 1) < 0 ||
		    pthread_create(&thread, NULL, exec_dialler, &s) != 0)
			_exit(117);
		for (;;)
			(void)pause();
	}
	assert_int_equal(read(answer[0], &byte, 1), 1);
	(void)last_leave(&s);
	move(s.lab, pid, "free");
	assert_int_equal(last_leave(&s).reason, ZG_GR_LEFT);
	assert_int_equal(write(ask[1], &byte, 1), 1);
	assert_int_not_equal(lab_wait(pid), 0);
	assert_int_equal(sink_drain(&s.sink), 0);
	assert_int_equal(ctl_of(s.lab).sticky, 0);
	for (int i = 0; i < 2; i++) {
		(void)close(ask[i]);
		(void)close(answer[i]);
	}
}

/* A process never in it when it was born: put there before it was governed. */
static void a_census_finds_who_was_there_before(void **state ZG_UNUSED)
{
	struct stage s = stage_open();
	struct actor a;

	(void)lab_cgroup(s.lab, "late");
	a = actor_start(s.lab, "late", &s.dial);
	assert_int_equal(actor_tell(&a, DIAL), 0);
	lab_govern(s.lab, "late", P_A);
	assert_int_equal(zg_kernel_census(s.lab->kernel), 0);
	assert_int_equal(actor_tell(&a, DIAL), EPERM);
	move(s.lab, a.pid, "free");
	assert_int_equal(actor_tell(&a, DIAL), EPERM);
	actor_end(&a);
}

/* Nobody who may go is held: the cgroup is released first. */
static void what_is_no_longer_governed_may_go(void **state ZG_UNUSED)
{
	struct stage s = stage_open();
	struct actor a = actor_start(s.lab, "agent", &s.dial);

	assert_int_equal(actor_tell(&a, DIAL), EPERM);
	assert_int_equal(zg_kernel_release(s.lab->kernel, lab_cgroup(s.lab, "agent")), 0);
	move(s.lab, a.pid, "free");
	assert_int_equal(actor_tell(&a, DIAL), 0);
	actor_end(&a);
}

static void a_reload_renumbers_who_has_left(void **state ZG_UNUSED)
{
	struct stage s = stage_open();
	struct actor a = actor_start(s.lab, "agent", &s.dial);
	struct actor b = actor_start(s.lab, "open", &s.dial);
	struct plan p;

	assert_int_equal(actor_tell(&a, DIAL), EPERM);
	assert_int_equal(actor_tell(&b, DIAL), 0);
	move(s.lab, a.pid, "free");
	move(s.lab, b.pid, "free");
	for (int i = 0; i < 5; i++) {
		plan_two(s.lab, i % 2 == 0);
		assert_int_equal(actor_tell(&a, DIAL), EPERM);
		assert_int_equal(actor_tell(&b, DIAL), 0);
	}
	plan_init(&p); /* profiles that leave the configuration: all is denied */
	plan_profile(&p, "c", ZG_MODE_AUDIT);
	lab_apply(s.lab, &p);
	assert_int_equal(actor_tell(&a, DIAL), EPERM);
	assert_int_equal(actor_tell(&b, DIAL), EPERM);
	actor_end(&a);
	actor_end(&b);
}

/* The agent starts anew: who has left before is still held. */
static void a_new_agent_takes_over_who_has_left(void **state ZG_UNUSED)
{
	struct stage s = stage_open();
	struct actor a = actor_start(s.lab, "agent", &s.dial);
	struct actor b = actor_start(s.lab, "agent", &s.dial);

	assert_int_equal(actor_tell(&a, DIAL), EPERM);
	assert_int_equal(actor_tell(&b, DIAL), EPERM);
	move(s.lab, a.pid, "free");
	zg_kernel_close(s.lab->kernel);
	s.lab->kernel = NULL;
	move(s.lab, b.pid, "free"); /* while no agent runs */
	lab_open_gate(s.lab);
	assert_int_equal(actor_tell(&a, DIAL_IN_CHILD), EPERM);
	assert_int_equal(actor_tell(&b, DIAL_IN_CHILD), EPERM);
	assert_int_equal(ctl_of(s.lab).sticky, 2);
	actor_end(&a);
	actor_end(&b);
	assert_int_equal(ctl_of(s.lab).sticky, 0);
}

/* clone3() with a cgroup of its own: no move, but away. */
static void a_child_born_elsewhere_stays_governed(void **state ZG_UNUSED)
{
	struct stage s = stage_open();
	struct lab_path free = lab_path(s.lab, "free");
	int status;
	pid_t outer = fork();

	assert_true(outer >= 0);
	if (outer == 0) { /* root: the kernel asks for the right to move there */
		struct clone_args args = {.flags = CLONE_INTO_CGROUP, .exit_signal = SIGCHLD};
		pid_t pid;

		lab_join(s.lab, "agent");
		args.cgroup = (uint64_t)open(free.text, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
		if (pid == 0)
			_exit(dial(&s.dial));
		_exit(pid > 0 && waitpid(pid, &status, 0) == pid ? WEXITSTATUS(status) : 118);
	}
	assert_int_equal(lab_wait(outer), EPERM);
	assert_int_equal(last_leave(&s).reason, ZG_GR_LEFT);
	assert_int_equal(ctl_of(s.lab).sticky, 0);
	assert_int_equal(sink_drain(&s.sink), 0);
}

/* nursery -------------------------------------------------------------------- */

static struct zg_nursery rule_of(const char *prefix, const char *suffix, bool exact,
				 uint32_t profile)
{
	struct zg_nursery n = {.profile = {profile, profile}, .exact = exact};

	n.prefix_bytes = (uint8_t)strlen(prefix);
	n.suffix_bytes = (uint8_t)strlen(suffix);
	memcpy(n.prefix, prefix, n.prefix_bytes);
	memcpy(n.suffix, suffix, n.suffix_bytes);
	return n;
}

#define NURSERY 4

static void lab_nursery(struct lab *lab, const char *folder, const struct zg_nursery *rules,
			uint32_t count)
{
	struct zg_nursery_key key[NURSERY] = {0};

	for (uint32_t i = 0; i < count; i++)
		key[i] = (struct zg_nursery_key){.folder = lab_cgroup(lab, folder), .index = i};
	assert_int_equal(zg_kernel_nursery(lab->kernel, key, rules, count), 0);
}

/* Make it, enter it, dial: what came of it. As root, who may do that. */
static int be_born_in(const struct stage *s, const char *cgroup)
{
	struct lab_path p = lab_path(s->lab, cgroup);
	pid_t pid = fork();
	int r;

	assert_true(pid >= 0);
	if (pid == 0) {
		if (mkdir(p.text, 0755) < 0)
			_exit(117);
		lab_join(s->lab, cgroup);
		_exit(dial_keep(&s->dial, NULL));
	}
	r = lab_wait(pid);
	lab_remove(p.text);
	return r;
}

static int count_member(uint64_t id ZG_UNUSED, uint32_t profile ZG_UNUSED, void *arg)
{
	++*(size_t *)arg;
	return 0;
}

static size_t members(const struct stage *s)
{
	size_t n = 0;

	assert_int_equal(zg_kernel_members(s->lab->kernel, count_member, &n), 0);
	return n;
}

static void a_cgroup_is_governed_as_it_is_made(void **state ZG_UNUSED)
{
	static const struct {
		const char *name;
		int want;
	} cases[] = {
		{"box-1.scope", EPERM}, {"box-.scope", EPERM},	   {"box.scope", 0},
		{"box-1.scop", 0},	{"xbox-1.scope", 0},	   {"box-1.scopes", 0},
		{"agent.slice", EPERM}, {"agent.slice.x", 0},	   {"agent.slic", 0},
		{"ours.service", 0},	{"theirs.service", EPERM}, {".x.service", 0},
	};
	struct stage s = stage_open();
	const struct zg_nursery rules[] = {
		rule_of("ours.service", "", true, ZG_PROFILE_NONE),
		rule_of("box-", ".scope", false, P_A),
		rule_of("agent.slice", "", true, P_A),
		rule_of("", ".service", false, P_A),
	};
	size_t before = members(&s);

	lab_nursery(s.lab, "free", rules, NURSERY);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char path[64];
		int r;

		(void)snprintf(path, sizeof(path), "free/%s", cases[i].name);
		r = be_born_in(&s, path);
		if (r != cases[i].want)
			fail_msg("%s: %d", path, r);
	}
	/* only there; what is gone stays governed until the parent lets go of it,
	 * for the sake of packets that outlive their process */
	assert_int_equal(be_born_in(&s, "box-1.scope"), 0);
	assert_int_equal(members(&s), before + 4);
	lab_nursery(s.lab, "free", rules, 1);
	assert_int_equal(be_born_in(&s, "free/box-1.scope"), 0);
}

#define ROUNDS_MIN 40 /* with two reloads among them, however slow the machine */

/* Nothing but the kernel can be in time here. */
static void no_window_between_creation_and_enforcement(void **state ZG_UNUSED)
{
	struct stage s = stage_open();
	const struct zg_nursery rule = rule_of("box-", "", false, P_A);
	struct timespec now, end;
	int rounds = 0;

	lab_nursery(s.lab, "free", &rule, 1);
	assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &end), 0);
	end.tv_sec++;
	do {
		char path[64];

		/* a reload gives the profile another number on the way */
		if (rounds % 16 == 0)
			plan_two(s.lab, rounds % 32 == 0);
		(void)snprintf(path, sizeof(path), "free/box-%d", rounds++);
		assert_int_equal(be_born_in(&s, path), EPERM);
		(void)lab_events(s.lab);
		assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &now), 0);
	} while (rounds < ROUNDS_MIN || now.tv_sec < end.tv_sec ||
		 (now.tv_sec == end.tv_sec && now.tv_nsec < end.tv_nsec));
	assert_int_equal(sink_drain(&s.sink), 0);
}

static const struct CMUnitTest tests[] = {
	LAB_TEST(a_process_that_is_moved_out_stays_governed),
	LAB_TEST(the_cgroup_that_was_left_may_go),
	LAB_TEST(another_profile_applies_and_the_move_is_told),
	LAB_TEST(other_moves_are_not_told),
	LAB_TEST(a_child_that_is_moved_out_stays_governed),
	LAB_TEST(a_thread_that_executes_stays_governed),
	LAB_TEST(a_census_finds_who_was_there_before),
	LAB_TEST(what_is_no_longer_governed_may_go),
	LAB_TEST(a_reload_renumbers_who_has_left),
	LAB_TEST(a_new_agent_takes_over_who_has_left),
	LAB_TEST(a_child_born_elsewhere_stays_governed),
	LAB_TEST(a_cgroup_is_governed_as_it_is_made),
	LAB_TEST(no_window_between_creation_and_enforcement),
};

LAB_MAIN(tests)
