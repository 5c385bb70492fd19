/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kernel_unix_test.c - which unix sockets a governed process reaches, on the
 * real kernel: servers that echo, in folders that anybody may enter, and
 * clients that try each way to name them.
 */
#include "kernel_lab.h"

#include <stdio.h>
#include <sys/un.h>

static char dir[64]; /* of this test's sockets; the plan knows it */

struct target {
	int type;
	const char *name; /* "@..." = abstract */
	size_t extra;	  /* bytes behind the name that belong to it */
	bool var;	  /* its whole name, and not below dir */
	const char *cwd;  /* go there first */
};

static socklen_t address_of(const struct target *t, struct sockaddr_un *at)
{
	size_t n;

	*at = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (t->name[0] == '@' || t->var || t->cwd)
		n = (size_t)snprintf(at->sun_path, sizeof(at->sun_path), "%s", t->name);
	else
		n = (size_t)snprintf(at->sun_path, sizeof(at->sun_path), "%s/%s", dir, t->name);
	if (t->name[0] == '@')
		at->sun_path[0] = '\0';
	else
		n++;
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + t->extra);
}

static int serve(int type, const char *name, bool var)
{
	struct target t = {.type = type, .name = name, .var = var};
	struct sockaddr_un at;
	socklen_t bytes = address_of(&t, &at);
	int s = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	assert_true(s >= 0);
	if (at.sun_path[0])
		(void)unlink(at.sun_path);
	assert_int_equal(bind(s, (struct sockaddr *)&at, bytes), 0);
	if (at.sun_path[0])
		assert_int_equal(chmod(at.sun_path, 0777), 0);
	if (type != SOCK_DGRAM)
		assert_int_equal(listen(s, 8), 0);
	return s;
}

/* In the child: 0 or errno. */
static int reach(void *arg)
{
	const struct target *t = arg;
	struct sockaddr_un at;
	socklen_t bytes = address_of(t, &at);
	zg_autofd int s = socket(AF_UNIX, t->type | SOCK_CLOEXEC, 0);

	if (t->cwd && chdir(t->cwd) < 0)
		return errno;
	if (t->type == SOCK_DGRAM)
		return sendto(s, "x", 1, 0, (struct sockaddr *)&at, bytes) == 1 ? 0 : errno;
	if (connect(s, (struct sockaddr *)&at, bytes) < 0)
		return errno;
	return send(s, "x", 1, 0) == 1 ? 0 : errno;
}

/* What has come: connections, or datagrams. */
static size_t arrived(int s, int type)
{
	size_t n = 0;
	char byte;

	for (;; n++) {
		if (type == SOCK_DGRAM) {
			if (recv(s, &byte, 1, 0) < 0)
				break;
		} else {
			zg_autofd int c = accept(s, NULL, NULL);

			if (c < 0)
				break;
			assert_int_equal(recv(c, &byte, 1, 0), 1);
		}
	}
	assert_int_equal(errno, EAGAIN);
	return n;
}

/* plans ------------------------------------------------------------------------ */

struct unix_plan {
	struct plan plan;
	struct zg_unix_def def[16];
};

static void unix_init(struct unix_plan *p, enum zg_mode mode)
{
	memset(p->def, 0, sizeof(p->def));
	plan_init(&p->plan);
	plan_profile(&p->plan, "a", mode);
	plan_profile(&p->plan, "b", ZG_MODE_ENFORCE);
	p->plan.s.unixes = p->def;
}

static void unix_entry(struct unix_plan *p, uint32_t profile, const char *path, bool prefix,
		       enum zg_gate_reason deny)
{
	struct zg_unix_def *d = &p->def[p->plan.s.unix_count++];

	if (path[0] == '@' || path[0] == '/')
		(void)snprintf(d->path, sizeof(d->path), "%s", path);
	else
		(void)snprintf(d->path, sizeof(d->path), "%s/%s", dir, path);
	d->profile = profile;
	d->prefix = prefix;
	d->verdict = deny ? ZG_V_DENY : ZG_V_ALLOW;
	d->reason = (uint8_t)deny;
}

static struct lab *lab_with_folder(void)
{
	struct lab *lab = lab_open();
	const char *why;

	if (zg_kernel_layer_state(lab->kernel, ZG_KL_UNIX, &why) != ZG_LAYER_ATTACHED) {
		print_message("SKIP: %s\n", why);
		assert_null(getenv("ZG_REQUIRE"));
		skip();
	}
	(void)snprintf(dir, sizeof(dir), "/tmp/zg-unix-XXXXXX");
	assert_non_null(mkdtemp(dir));
	assert_int_equal(chmod(dir, 0777), 0);
	lab_govern(lab, "agent", P_A);
	lab_govern(lab, "other", P_B);
	(void)lab_cgroup(lab, "free");
	return lab;
}

static void folder_end(void)
{
	char command[128];

	(void)snprintf(command, sizeof(command), "rm -rf '%s'", dir);
	assert_int_equal(system(command), 0);
}

static void refused(struct lab *lab, struct target t, enum zg_gate_reason reason, const char *path)
{
	struct seen seen;

	(void)lab_events(lab);
	if (lab_run(lab, "agent", reach, &t) != EPERM)
		fail_msg("%s was not refused", t.name);
	seen = lab_events(lab);
	assert_int_equal(seen.count[ZG_E_DENY], 1);
	assert_int_equal(seen.last.layer, ZG_L_UNIX);
	if (seen.last.reason != reason)
		fail_msg("%s: reason %d", t.name, seen.last.reason);
	assert_int_equal(seen.last.family, AF_UNIX);
	assert_int_equal(seen.last.profile, P_A);
	assert_int_equal(seen.last.uid, LAB_UID);
	assert_string_equal(seen.last.path, path);
}

/* tests ---------------------------------------------------------------------------- */

static const int types[] = {SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET};

static void test_what_is_named_is_reached(void **state ZG_UNUSED)
{
	struct lab *lab = lab_with_folder();
	char whole[128];
	struct unix_plan p;

	unix_init(&p, ZG_MODE_ENFORCE);
	unix_entry(&p, P_A, "one", false, ZG_GR_NONE);
	unix_entry(&p, P_A, "pg.", true, ZG_GR_NONE);
	unix_entry(&p, P_A, "@zg-test-", true, ZG_GR_NONE);
	lab_apply(lab, &p.plan);
	for (size_t i = 0; i < 3; i++) {
		static const char *const names[] = {"one", "pg.5432", "@zg-test-abc"};
		int type = types[i];

		for (size_t j = 0; j < 3; j++) {
			int s = serve(type, names[j], false);
			struct target t = {.type = type, .name = names[j]};

			assert_int_equal(lab_run(lab, "agent", reach, &t), 0);
			assert_int_equal(arrived(s, type), 1);
			assert_int_equal(lab_events(lab).count[ZG_E_DENY], 0);
			assert_int_equal(lab_run(lab, "other", reach, &t), EPERM);
			assert_int_equal(lab_events(lab).count[ZG_E_DENY], 1);
			assert_int_equal(lab_run(lab, "free", reach, &t), 0);
			assert_int_equal(arrived(s, type), 1);
			(void)close(s);
		}
	}
	(void)snprintf(whole, sizeof(whole), "%s/two", dir);
	refused(lab, (struct target){.type = SOCK_STREAM, .name = "two"}, ZG_GR_UNIX, whole);
	folder_end();
}

/* Each is refused though something is there, or would be. */
static void test_other_ways_to_say_it(void **state ZG_UNUSED)
{
	static const char *const plain[] = {"pg/../secret", "pg/./a", "pg//a",	"./secret", "pg/",
					    "pg/sub/b",	    "one/",   "onetwo", "on"};
	struct lab *lab = lab_with_folder();
	struct unix_plan p;
	char path[128], folder[128];
	int s, secret;

	(void)snprintf(folder, sizeof(folder), "%s/pg", dir);
	assert_int_equal(mkdir(folder, 0777), 0);
	(void)snprintf(path, sizeof(path), "%s/pg/sub", dir);
	assert_int_equal(mkdir(path, 0777), 0);
	s = serve(SOCK_STREAM, "pg/a", false);
	secret = serve(SOCK_STREAM, "secret", false);
	unix_init(&p, ZG_MODE_ENFORCE);
	unix_entry(&p, P_A, "pg/", true, ZG_GR_NONE);
	unix_entry(&p, P_A, "one", false, ZG_GR_NONE);
	unix_entry(&p, P_A, "@zg-test-x", false, ZG_GR_NONE);
	lab_apply(lab, &p.plan);
	for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", dir, plain[i]);
		refused(lab, (struct target){.type = SOCK_STREAM, .name = plain[i]}, ZG_GR_UNIX,
			path);
	}
	/* relative, from the folder itself */
	refused(lab, (struct target){.type = SOCK_STREAM, .name = "a", .cwd = folder}, ZG_GR_UNIX,
		"a");
	/* a link elsewhere, that is not named itself */
	(void)snprintf(path, sizeof(path), "%s/link", dir);
	assert_int_equal(symlink("secret", path), 0);
	refused(lab, (struct target){.type = SOCK_STREAM, .name = "link"}, ZG_GR_UNIX, path);
	/* an abstract name is all of its bytes */
	refused(lab, (struct target){.type = SOCK_STREAM, .name = "@zg-test-x", .extra = 3},
		ZG_GR_UNIX, "@zg-test-x");
	refused(lab, (struct target){.type = SOCK_STREAM, .name = "@zg-test-xy"}, ZG_GR_UNIX,
		"@zg-test-xy");
	assert_int_equal(arrived(secret, SOCK_STREAM), 0);
	assert_int_equal(arrived(s, SOCK_STREAM), 0);
	/* what lies behind the NUL is not the path */
	assert_int_equal(lab_run(lab, "agent", reach,
				 &(struct target){.type = SOCK_STREAM, .name = "pg/a", .extra = 5}),
			 0);
	assert_int_equal(arrived(s, SOCK_STREAM), 1);
	(void)close(s);
	(void)close(secret);
	folder_end();
}

static void test_sockets_that_start_processes(void **state ZG_UNUSED)
{
	static const struct {
		const char *name, *path;
		enum zg_gate_reason reason;
	} rows[] = {
		{"/run/docker.sock", "/run/docker.sock", ZG_GR_UNIX_CONTROL},
		{"/var/run/docker.sock", "/run/docker.sock", ZG_GR_UNIX_CONTROL},
		{"/run/user/1000/bus", "/run/user/1000/bus", ZG_GR_UNIX_CONTROL},
		{"/var/run/user/4294967295/bus", "/run/user/4294967295/bus", ZG_GR_UNIX_CONTROL},
		{"/run/user/1000/busy", "/run/user/1000/busy", ZG_GR_UNIX},
		{"/run/user/1/2/bus", "/run/user/1/2/bus", ZG_GR_UNIX},
		{"/run/dbus/system_bus_socket", "/run/dbus/system_bus_socket", ZG_GR_UNIX_CONTROL},
		{"/run/dbus/a/b", "/run/dbus/a/b", ZG_GR_UNIX},
		{"@/tmp/dbus-XyZ", "@/tmp/dbus-XyZ", ZG_GR_UNIX_CONTROL},
	};
	struct lab *lab = lab_with_folder();
	struct target bus = {.type = SOCK_STREAM, .name = "/run/user/4294967000/bus", .var = true};
	struct unix_plan p;

	unix_init(&p, ZG_MODE_ENFORCE);
	unix_entry(&p, ZG_PROFILE_NONE, "/run/docker.sock", false, ZG_GR_UNIX_CONTROL);
	unix_entry(&p, ZG_PROFILE_NONE, "/run/user/*/bus", false, ZG_GR_UNIX_CONTROL);
	unix_entry(&p, ZG_PROFILE_NONE, "/run/dbus/", true, ZG_GR_UNIX_CONTROL);
	unix_entry(&p, ZG_PROFILE_NONE, "@/tmp/dbus-", true, ZG_GR_UNIX_CONTROL);
	/* folders do not open them */
	unix_entry(&p, P_A, "/run/", true, ZG_GR_NONE);
	unix_entry(&p, P_A, "/run/user/4294967001/", true, ZG_GR_NONE);
	unix_entry(&p, P_B, "/run/user/4294967000/bus", false, ZG_GR_NONE);
	lab_apply(lab, &p.plan);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		refused(lab,
			(struct target){.type = SOCK_STREAM, .name = rows[i].name, .var = true},
			rows[i].reason, rows[i].path);
	refused(lab,
		(struct target){
			.type = SOCK_STREAM, .name = "/run/user/4294967001/bus", .var = true},
		ZG_GR_UNIX_CONTROL, "/run/user/4294967001/bus");
	/* let through, and nothing is there */
	assert_int_equal(lab_run(lab, "agent", reach,
				 &(struct target){.type = SOCK_STREAM,
						  .name = "/run/user/4294967001/zg-none",
						  .var = true}),
			 ENOENT);
	assert_int_equal(lab_run(lab, "other", reach, &bus), ENOENT);
	folder_end();
}

static void test_deny_among_allowed(void **state ZG_UNUSED)
{
	struct lab *lab = lab_with_folder();
	struct unix_plan p;
	char path[128];

	unix_init(&p, ZG_MODE_ENFORCE);
	unix_entry(&p, P_A, "pg", true, ZG_GR_NONE);
	unix_entry(&p, P_A, "pg-secret", false, ZG_GR_RULE_DENY);
	lab_apply(lab, &p.plan);
	(void)snprintf(path, sizeof(path), "%s/pg-secret", dir);
	refused(lab, (struct target){.type = SOCK_STREAM, .name = "pg-secret"}, ZG_GR_RULE_DENY,
		path);
	assert_int_equal(lab_run(lab, "agent", reach,
				 &(struct target){.type = SOCK_STREAM, .name = "pg-secret2"}),
			 ENOENT);
	folder_end();
}

static void test_audit_mode_reload_and_containment(void **state ZG_UNUSED)
{
	struct target t = {.type = SOCK_STREAM, .name = "one"};
	struct lab *lab = lab_with_folder();
	struct unix_plan p;
	struct seen seen;
	int s = serve(SOCK_STREAM, "one", false);

	unix_init(&p, ZG_MODE_AUDIT);
	lab_apply(lab, &p.plan);
	assert_int_equal(lab_run(lab, "agent", reach, &t), 0);
	assert_int_equal(arrived(s, SOCK_STREAM), 1);
	seen = lab_events(lab);
	assert_int_equal(seen.count[ZG_E_WOULD_DENY], 1);
	assert_int_equal(seen.last.reason, ZG_GR_UNIX);
	for (int round = 0; round < 4; round++) {
		unix_init(&p, ZG_MODE_ENFORCE);
		if (round % 2)
			unix_entry(&p, P_A, "one", false, ZG_GR_NONE);
		lab_apply(lab, &p.plan);
		assert_int_equal(lab_run(lab, "agent", reach, &t), round % 2 ? 0 : EPERM);
		assert_int_equal(arrived(s, SOCK_STREAM), round % 2);
	}
	(void)lab_events(lab);
	assert_int_equal(zg_kernel_contain(lab->kernel, "a", true), 0);
	assert_int_equal(lab_run(lab, "agent", reach, &t), EPERM);
	assert_int_equal(lab_events(lab).last.reason, ZG_GR_CONTAINED);
	(void)close(s);
	folder_end();
}

/* Pairs, and sockets that others made and passed on, have no name to judge. */
static int talk_in_a_pair(void *arg ZG_UNUSED)
{
	int pair[2];
	char byte;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0)
		return errno;
	return send(pair[0], "x", 1, 0) == 1 && recv(pair[1], &byte, 1, 0) == 1 ? 0 : EIO;
}

static void test_pairs_are_untouched(void **state ZG_UNUSED)
{
	struct lab *lab = lab_with_folder();
	struct unix_plan p;

	unix_init(&p, ZG_MODE_ENFORCE);
	lab_apply(lab, &p.plan);
	assert_int_equal(lab_run(lab, "agent", talk_in_a_pair, NULL), 0);
	folder_end();
}

static const struct CMUnitTest tests[] = {
	LAB_TEST(test_what_is_named_is_reached),	  LAB_TEST(test_other_ways_to_say_it),
	LAB_TEST(test_sockets_that_start_processes),	  LAB_TEST(test_deny_among_allowed),
	LAB_TEST(test_audit_mode_reload_and_containment), LAB_TEST(test_pairs_are_untouched),
};

LAB_MAIN(tests)
