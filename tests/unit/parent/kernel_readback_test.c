/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kernel_readback_test.c - whatever a root changes in the gate's tables behind
 * the agent's back is found, named, and gone after the repair. Real maps, by
 * their pins.
 */
#include "kernel_lab.h"

#include <bpf/bpf.h>

#define CONTROL "/run/zg-test/control.sock"

enum what { REMOVE, ADD, CHANGE };

struct desk {
	struct lab *lab;
	struct plan plan;
	struct zg_unix_def unixes[3];
	struct zg_exec_def execs[3];
	struct zg_gate_dns dns[ZG_PROFILES_MAX];
	uint64_t member;
};

static void member_of(const void *arg, size_t i ZG_UNUSED, uint64_t *id, uint32_t *profile)
{
	*id = *(const uint64_t *)arg;
	*profile = P_A;
}

/* To the end, or to the first difference. */
static int look(const struct desk *d, struct zg_err *e)
{
	const struct zg_intent intent = {
		.snapshot = &d->plan.s, .members = 1, .member = member_of, .arg = &d->member};
	struct zg_readback at = {0};
	int r = 0;

	*e = (struct zg_err){0};
	while (r == 0)
		r = zg_kernel_readback(d->lab->kernel, &intent, &at, e);
	return r;
}

static void assert_holds(const struct desk *d)
{
	struct zg_err e;

	if (look(d, &e) != 1)
		fail_msg("%s", e.what);
}

static void apply(struct desk *d)
{
	const struct zg_gate_names names = {.dns = d->dns};

	zg_kernel_set_names(d->lab->kernel, &names);
	lab_apply(d->lab, &d->plan);
}

static void own(const struct desk *d, const char *addr, struct zg_listen *out)
{
	struct endpoint at = endpoint_of(addr, 0);
	socklen_t bytes = sizeof(at.ss);
	zg_autofd int s = socket(at.ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct zg_err e;

	assert_int_equal(bind(s, (struct sockaddr *)&at.ss, at.bytes), 0);
	assert_int_equal(listen(s, 1), 0);
	assert_int_equal(getsockname(s, (struct sockaddr *)&at.ss, &bytes), 0);
	assert_int_equal(zg_kernel_own_listener(d->lab->kernel, s, &e), 0);
	assert_int_equal(zg_addr_parse(zg_slice_str(addr), out->addr), 0);
	out->port = ntohs(((struct sockaddr_in *)&at.ss)->sin_port); /* in6 has it there, too */
}

static void open_gate(struct desk *d)
{
	const struct zg_kernel_options o = {
		.cgroup_root = d->lab->root_fd, .pin_dir = d->lab->pins, .control = CONTROL};
	struct zg_listen v4 = {0}, v6 = {0};
	struct zg_err e = {0};

	zg_kernel_close(d->lab->kernel);
	d->lab->kernel = NULL;
	if (zg_kernel_open(&d->lab->kernel, &o, &e) < 0)
		fail_msg("zg_kernel_open: %s", e.what);
	own(d, "127.0.0.1", &v4);
	own(d, "::1", &v6);
	assert_int_equal(zg_kernel_set_gateway(d->lab->kernel, &v4, &v6, &e), 0);
	d->member = lab_cgroup(d->lab, "a");
	lab_govern(d->lab, "a", P_A);
	apply(d);
}

/* One entry names the control socket, one executable has two names, and one is
 * not installed. */
static void open_desk(struct desk *d)
{
	*d = (struct desk){.lab = lab_open(),
			   .unixes = {{.path = "/run/zg-test/",
				       .profile = P_A,
				       .prefix = 1,
				       .verdict = ZG_V_ALLOW},
				      {.path = CONTROL, .profile = P_A, .reason = ZG_GR_RULE_DENY},
				      {.path = "@zg-test", .profile = P_A, .verdict = ZG_V_ALLOW}},
			   .execs = {{.path = "/bin/sh", .profile = P_A},
				     {.path = "/bin/../bin/sh", .profile = P_A},
				     {.path = "/nonexistent/zg", .profile = P_A}},
			   .dns = {[P_A] = {.port4 = 5300, .port6 = 5301}}};
	plan_init(&d->plan);
	plan_profile(&d->plan, "a", ZG_MODE_ENFORCE);
	plan_profile(&d->plan, "b", ZG_MODE_AUDIT);
	plan_prefix(&d->plan, "10.0.0.0", 8, 7);
	plan_rule(&d->plan, P_A, 7, IPPROTO_TCP, 1, 2, ZG_V_ALLOW);
	d->plan.s.unixes = d->unixes;
	d->plan.s.unix_count = 3;
	d->plan.s.execs = d->execs;
	d->plan.s.exec_count = 3;
	open_gate(d);
}

static int table(const struct desk *d, const char *name)
{
	char path[LAB_PATH + 32];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/%s", d->lab->pins, name);
	fd = bpf_obj_get(path);
	assert_true(fd >= 0);
	return fd;
}

static uint32_t slot_in_force(const struct desk *d)
{
	zg_autofd int fd = table(d, "zg_ctl");
	const uint32_t key = 0;
	struct zg_ctl ctl;

	assert_int_equal(bpf_map_lookup_elem(fd, &key, &ctl), 0);
	return ctl.epoch & 1;
}

/* Of a table of profiles, one row of the slot in force; of others the first. */
static void tamper(const struct desk *d, const char *name, enum what what, size_t at,
		   uint32_t profile)
{
	unsigned char key[sizeof(struct zg_unix_key)] = {0}, value[sizeof(struct zg_automaton)];
	zg_autofd int fd = table(d, name);
	uint32_t index = slot_in_force(d) * ZG_PROFILES_MAX + profile;

	assert_int_equal(bpf_map_get_next_key(fd, NULL, key), 0);
	if (strcmp(name, "zg_profile") == 0)
		memcpy(key, &index, sizeof(index));
	assert_int_equal(bpf_map_lookup_elem(fd, key, value), 0);
	if (what == REMOVE) {
		assert_int_equal(bpf_map_delete_elem(fd, key), 0);
		return;
	}
	(what == ADD ? key : value)[at] ^= 1;
	assert_int_equal(bpf_map_update_elem(fd, key, value, BPF_ANY), 0);
}

#define PROFILE(member) "zg_profile", CHANGE, offsetof(struct zg_profile, member)
#define CTL(member)	"zg_ctl", CHANGE, offsetof(struct zg_ctl, member)

static void what_was_changed_is_named_and_repaired(void **state ZG_UNUSED)
{
	static const struct {
		const char *table;
		enum what what;
		size_t at;
		uint32_t profile;
		const char *says;
	} cases[] = {
		{"zg_addr", REMOVE, 0, 0, "address"},
		{"zg_rule", REMOVE, 0, 0, "rule is missing"},
		{"zg_member", REMOVE, 0, 0, "governed cgroup is missing"},
		{"zg_unix", REMOVE, 0, 0, "unix socket"},
		{"zg_unix", ADD, offsetof(struct zg_unix_key, path), 0, "unix sockets does not"},
		{"zg_unix", ADD, offsetof(struct zg_unix_key, slot), 0, "unix sockets does not"},
		{"zg_unix", CHANGE, 0, 0, "unix socket has another entry"},
		{"zg_exec", REMOVE, 0, 0, "denied executable is missing"},
		{"zg_exec", ADD, 0, 0, "denied executables does not"},
		{PROFILE(contained), P_B, "profile is contained"},
		{PROFILE(contained), P_A, "contained profile is open"},
		{PROFILE(dns4_port_be), P_A, "another resolver"},
		{PROFILE(dns6_port_be), P_B, "another resolver"},
		{PROFILE(mode), P_B, "profile is another one"},
		{PROFILE(mode), ZG_PROFILE_GATEWAY, "profile is another one"},
		{PROFILE(mode), ZG_PROFILE_CANARY, "profile is another one"},
		{"zg_automaton", CHANGE, offsetof(struct zg_automaton, next), 0, "what MCP looks"},
		{CTL(gateway4), 0, "gateway is elsewhere"},
		{CTL(gateway6), 0, "gateway is elsewhere"},
		{CTL(gateway4_port_be), 0, "gateway is elsewhere"},
		{CTL(gateway6_port_be), 0, "gateway is elsewhere"},
		{CTL(netns_cookie), 0, "gateway is elsewhere"},
		{CTL(gateway4_cookie), 0, "gateway is elsewhere"},
		{CTL(gateway6_cookie), 0, "gateway is elsewhere"},
	};
	struct desk d;
	struct zg_err e;

	open_desk(&d);
	assert_int_equal(zg_kernel_contain(d.lab->kernel, "a", true), 0);
	assert_holds(&d);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		tamper(&d, cases[i].table, cases[i].what, cases[i].at, cases[i].profile);
		if (look(&d, &e) != -EUCLEAN || !strstr(e.what, cases[i].says))
			fail_msg("%zu (%s): found '%s'", i, cases[i].says, e.what);
		if (zg_kernel_repair(d.lab->kernel, &e) < 0)
			fail_msg("repairing the gate: %s", e.what);
		lab_govern(d.lab, "a", P_A);
		apply(&d);
		if (look(&d, &e) != 1)
			fail_msg("%zu (%s): after the repair '%s'", i, cases[i].says, e.what);
	}
}

/* With nothing to remember it by but the kernel's table. */
static void containment_is_taken_over(void **state ZG_UNUSED)
{
	struct desk d;

	open_desk(&d);
	assert_int_equal(zg_kernel_contain(d.lab->kernel, "b", true), 0);
	open_gate(&d);
	assert_true(zg_kernel_contained(d.lab->kernel, "b"));
	assert_false(zg_kernel_contained(d.lab->kernel, "a"));
	assert_holds(&d);
	assert_int_equal(zg_kernel_contain(d.lab->kernel, "b", false), 0);
	assert_holds(&d);
	open_gate(&d);
	assert_false(zg_kernel_contained(d.lab->kernel, "b"));
	assert_holds(&d);
}

static const struct CMUnitTest tests[] = {
	LAB_TEST(what_was_changed_is_named_and_repaired),
	LAB_TEST(containment_is_taken_over),
};

LAB_MAIN(tests)
