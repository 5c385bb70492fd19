/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kernel_option_test.c - socket options that a governed process may not set,
 * and that nobody else loses any, on the real kernel.
 */
#include "kernel_lab.h"

#include <netinet/tcp.h>
#include <stdio.h>

struct option {
	const char *name;
	int family, type;
	int level, number;
	const char *value;
	socklen_t bytes;
	int outside; /* what the kernel itself says to root */
};

/* Values that the kernel takes, where it needs one. */
static const char hop[8] = {0, 0, 1, 4}; /* PadN */
static const char source_route[8] = {1, (char)131, 7, 4, 127, 7, 7, 7};
static const char join4[8] = {(char)224, 0, 0, 99, 127, 0, 0, 1};
static const char one[4] = {1};
static const char zero[4];
static const char join6[20] = {(char)0xff, 2, [15] = 99, [16] = 1};

static const struct option refused[] = {
	{"IP_OPTIONS", AF_INET, SOCK_DGRAM, 0, 4, source_route, 8, 0},
	{"IP_ADD_MEMBERSHIP", AF_INET, SOCK_DGRAM, 0, 35, join4, 8, 0},
	{"IP_TRANSPARENT", AF_INET, SOCK_STREAM, 0, 19, one, 4, 0},
	{"IP_MSFILTER", AF_INET, SOCK_DGRAM, 0, 41, zero, 4, EINVAL},
	{"MCAST_JOIN_GROUP", AF_INET, SOCK_DGRAM, 0, 42, zero, 4, EINVAL},
	{"IPV6_HOPOPTS", AF_INET6, SOCK_DGRAM, 41, 54, hop, 8, 0},
	{"IPV6_DSTOPTS", AF_INET6, SOCK_DGRAM, 41, 59, hop, 8, 0},
	{"IPV6_RTHDRDSTOPTS", AF_INET6, SOCK_DGRAM, 41, 55, hop, 8, 0},
	{"IPV6_RTHDR", AF_INET6, SOCK_DGRAM, 41, 57, zero, 4, EINVAL},
	{"IPV6_2292PKTOPTIONS", AF_INET6, SOCK_DGRAM, 41, 6, NULL, 0, 0},
	{"IPV6_FLOWLABEL_MGR", AF_INET6, SOCK_DGRAM, 41, 32, zero, 4, EINVAL},
	{"IPV6_JOIN_GROUP", AF_INET6, SOCK_DGRAM, 41, 20, join6, 20, 0},
	{"IPV6_TRANSPARENT", AF_INET6, SOCK_STREAM, 41, 75, one, 4, 0},
	{"TCP_REPAIR", AF_INET, SOCK_STREAM, IPPROTO_TCP, 19, one, 4, 0},
	{"TCP_ULP", AF_INET, SOCK_STREAM, IPPROTO_TCP, 31, "smc", 3, ENOENT},
	{"UDP_ENCAP", AF_INET, SOCK_DGRAM, IPPROTO_UDP, 100, zero, 4, 0},
};

static const struct option untouched[] = {
	{"SO_KEEPALIVE", AF_INET, SOCK_STREAM, SOL_SOCKET, SO_KEEPALIVE, one, 4, 0},
	{"TCP_NODELAY", AF_INET6, SOCK_STREAM, IPPROTO_TCP, TCP_NODELAY, one, 4, 0},
	{"IP_TOS", AF_INET, SOCK_DGRAM, 0, IP_TOS, zero, 4, 0},
	{"IP_FREEBIND", AF_INET, SOCK_STREAM, 0, IP_FREEBIND, one, 4, 0},
	{"IPV6_V6ONLY", AF_INET6, SOCK_STREAM, 41, IPV6_V6ONLY, one, 4, 0},
	{"IPV6_RECVRTHDR", AF_INET6, SOCK_DGRAM, 41, 56, one, 4, 0},
	/* the kernel looks for the module, or says that the socket is not connected */
	{"TCP_ULP tls", AF_INET, SOCK_STREAM, IPPROTO_TCP, 31, "tls", 3, -1},
};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static int set_option(void *arg)
{
	const struct option *o = arg;
	zg_autofd int s = socket(o->family, o->type | SOCK_CLOEXEC, 0);

	if (s < 0)
		return 119;
	return setsockopt(s, o->level, o->number, o->value, o->bytes) < 0 ? errno : 0;
}

/* As root: a few need it, and the gate makes no difference. */
static int as_root(const struct lab *lab, const char *cgroup, struct option o)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		lab_join(lab, cgroup);
		_exit(set_option(&o));
	}
	return lab_wait(pid);
}

static struct lab *lab_in(enum zg_mode mode)
{
	struct lab *lab = lab_open();
	struct plan p;

	(void)lab_cgroup(lab, "free");
	lab_govern(lab, "agent", P_A);
	plan_init(&p);
	plan_profile(&p, "a", mode);
	lab_apply(lab, &p);
	return lab;
}

static void test_refused_to_the_governed_alone(void **state ZG_UNUSED)
{
	struct lab *lab = lab_in(ZG_MODE_ENFORCE);

	for (size_t i = 0; i < COUNT(refused); i++) {
		const struct option *o = &refused[i];
		int outside = as_root(lab, "free", *o);
		int inside = as_root(lab, "agent", *o);
		struct seen seen = lab_events(lab);

		if (outside == EPERM || (!o->outside && outside))
			fail_msg("%s outside: %s", o->name, strerror(outside));
		if (inside != EPERM)
			fail_msg("%s inside: %s", o->name, strerror(inside));
		assert_int_equal(seen.count[ZG_E_DENY], 1);
		assert_int_equal(seen.last.layer, ZG_L_SETSOCKOPT);
		assert_int_equal(seen.last.reason, ZG_GR_OPTION);
		assert_int_equal(seen.last.detail, (uint32_t)o->level << 16 | (uint32_t)o->number);
	}
}

static void test_all_others_are_untouched(void **state ZG_UNUSED)
{
	struct lab *lab = lab_in(ZG_MODE_ENFORCE);

	for (size_t i = 0; i < COUNT(untouched); i++) {
		const struct option *o = &untouched[i];
		int outside = as_root(lab, "free", *o);
		int inside = as_root(lab, "agent", *o);

		if (inside != outside || (!o->outside && inside))
			fail_msg("%s: %s", o->name, strerror(inside));
	}
	assert_int_equal(lab_events(lab).count[ZG_E_DENY], 0);
}

/* More than the kernel copies for a program: the caller's own bytes count. */
static int set_large(void *arg ZG_UNUSED)
{
	static char filter[64 * 1024];
	zg_autofd int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int value = 1, got = 0;
	socklen_t bytes = sizeof(got);

	memcpy(filter, &value, sizeof(value));
	if (setsockopt(s, SOL_SOCKET, SO_KEEPALIVE, filter, sizeof(filter)) < 0)
		return errno;
	if (getsockopt(s, SOL_SOCKET, SO_KEEPALIVE, &got, &bytes) < 0)
		return errno;
	return got == 1 ? 0 : EIO;
}

static void test_large_values(void **state ZG_UNUSED)
{
	struct lab *lab = lab_in(ZG_MODE_ENFORCE);

	assert_int_equal(lab_run(lab, "free", set_large, NULL), 0);
	assert_int_equal(lab_run(lab, "agent", set_large, NULL), 0);
}

static void test_audit_mode(void **state ZG_UNUSED)
{
	struct lab *lab = lab_in(ZG_MODE_AUDIT);
	struct seen seen;

	assert_int_equal(as_root(lab, "agent", refused[0]), 0);
	seen = lab_events(lab);
	assert_int_equal(seen.count[ZG_E_WOULD_DENY], 1);
	assert_int_equal(seen.last.reason, ZG_GR_OPTION);
}

static const struct CMUnitTest tests[] = {
	LAB_TEST(test_refused_to_the_governed_alone),
	LAB_TEST(test_all_others_are_untouched),
	LAB_TEST(test_large_values),
	LAB_TEST(test_audit_mode),
};

LAB_MAIN(tests)
