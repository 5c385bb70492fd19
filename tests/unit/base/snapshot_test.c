/* SPDX-License-Identifier: Apache-2.0 */
/*
 * snapshot_test.c - what root maps was written by an unprivileged process:
 * nothing of it is used before it is checked.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "snapshot.h"

#define ALL (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL)

struct sample {
	struct zg_snapshot_header head;
	struct zg_settings settings;
	struct zg_profile_def profile[1];
	struct zg_cgroup_def cgroup[1];
	struct zg_prefix_def prefix[1];
	struct zg_rule_def rule[1];
	struct zg_server_def server[3];
	struct zg_endpoint_def endpoint[2];
	struct zg_credential_def credential[1];
	struct zg_auth_key key[1];
	struct zg_shadow_def shadow[1];
	struct zg_stdio_def stdio[1];
	char text[8];
};

#define SECTION(which, member)                                                                     \
	s->head.section[which] = (struct zg_section_ref)                                           \
	{                                                                                          \
		offsetof(struct sample, member), sizeof(s->member)                                 \
	}

static void good(struct sample *s)
{
	memset(s, 0, sizeof(*s));
	s->head.magic = ZG_SNAPSHOT_MAGIC;
	s->head.header_bytes = sizeof(s->head);
	s->head.bytes = sizeof(*s);
	SECTION(ZG_S_SETTINGS, settings);
	SECTION(ZG_S_PROFILES, profile);
	SECTION(ZG_S_CGROUPS, cgroup);
	SECTION(ZG_S_PREFIXES, prefix);
	SECTION(ZG_S_RULES, rule);
	SECTION(ZG_S_SERVERS, server);
	SECTION(ZG_S_ENDPOINTS, endpoint);
	s->head.section[ZG_S_POLICY].offset = sizeof(*s);
	s->head.section[ZG_S_SCANDB].offset = sizeof(*s);
	s->head.section[ZG_S_UNIX].offset = sizeof(*s);
	s->head.section[ZG_S_NAMES].offset = sizeof(*s);
	s->head.section[ZG_S_EXECS].offset = sizeof(*s);
	SECTION(ZG_S_AUTH_KEYS, key);
	s->head.section[ZG_S_SHADOW_POLICY].offset = sizeof(*s);
	SECTION(ZG_S_SHADOW, shadow);
	s->settings.listen_count = 1;
	s->settings.auth[0].issuer_count = 1;
	memcpy(s->settings.auth[0].issuer[0].issuer, "joe", 4);
	s->key[0] = (struct zg_auth_key){.alg = ZG_AA_ES256, .bytes = 1};
	SECTION(ZG_S_CREDENTIALS, credential);
	s->credential[0] = (struct zg_credential_def){.server = 2, .kind = ZG_SK_HEADER};
	SECTION(ZG_S_STDIO, stdio);
	SECTION(ZG_S_TEXT, text);
	s->stdio[0] = (struct zg_stdio_def){.server = "ab",
					    .command = "/bin/ab",
					    .profile = ZG_PROFILE_FIRST,
					    .args = {0, 2},
					    .env = {4, 1},
					    .memory = ZG_STDIO_MEMORY,
					    .pids = 1};
	s->stdio[0].may[ZG_PROFILE_FIRST / 8] = 1u << ZG_PROFILE_FIRST % 8;
	memcpy(s->text, "x\0y\0A=b", sizeof(s->text));
	(void)snprintf(s->profile[0].name, sizeof(s->profile[0].name), "agent");
	s->cgroup[0].profile = ZG_PROFILE_FIRST;
	s->prefix[0].identity = 7;
	s->prefix[0].prefixlen = 128;
	s->rule[0] = (struct zg_rule_def){.profile = ZG_PROFILE_FIRST, .identity = 7, .proto = 6};
	(void)snprintf(s->server[0].id, sizeof(s->server[0].id), "a");
	(void)snprintf(s->server[1].id, sizeof(s->server[1].id), "ab");
	(void)snprintf(s->server[2].id, sizeof(s->server[2].id), "b");
	s->endpoint[0] = (struct zg_endpoint_def){.addr = {1}, .port = 80, .server = 2};
	s->endpoint[1] = (struct zg_endpoint_def){.addr = {1}, .port = 443, .server = 1};
}

static int sealed(const void *bytes, size_t n, int seals)
{
	int fd = memfd_create("snapshot", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, n), n);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
	return fd;
}

static int open_it(const struct sample *s, struct zg_snapshot *out)
{
	zg_autofd int fd = sealed(s, sizeof(*s), ALL);
	struct zg_err e = {0};

	return zg_snapshot_open(out, fd, &e);
}

static void lookups(void **state)
{
	const uint8_t addr[16] = {1}, other[16] = {2};
	struct zg_snapshot snap;
	struct sample s;

	(void)state;
	good(&s);
	assert_int_equal(open_it(&s, &snap), 0);
	assert_string_equal(zg_snapshot_server(&snap, ZG_SLICE("ab"))->id, "ab");
	assert_null(zg_snapshot_server(&snap, ZG_SLICE("abc")));
	assert_null(zg_snapshot_server(&snap, ZG_SLICE("")));
	assert_null(zg_snapshot_server(&snap, ZG_SLICE("A")));
	assert_string_equal(zg_snapshot_endpoint(&snap, addr, 443)->id, "ab");
	assert_string_equal(zg_snapshot_endpoint(&snap, addr, 80)->id, "b");
	assert_null(zg_snapshot_endpoint(&snap, addr, 81));
	assert_null(zg_snapshot_endpoint(&snap, other, 80));
	assert_string_equal(zg_snapshot_profile(&snap, ZG_PROFILE_FIRST), "agent");
	assert_string_equal(zg_snapshot_profile(&snap, ZG_PROFILE_FIRST + 1), "");
	assert_string_equal(zg_snapshot_profile(&snap, 0), "");
	assert_int_equal(zg_snapshot_profile_id(&snap, ZG_SLICE("agent")), ZG_PROFILE_FIRST);
	assert_int_equal(zg_snapshot_profile_id(&snap, ZG_SLICE("agents")), ZG_PROFILE_NONE);
	assert_int_equal(zg_snapshot_profile_id(&snap, ZG_SLICE("")), ZG_PROFILE_NONE);
	assert_null(zg_snapshot_stdio(&snap, "a"));
	assert_string_equal(zg_snapshot_stdio(&snap, "ab")->command, "/bin/ab");
	assert_true(zg_stdio_may(snap.stdios, ZG_PROFILE_FIRST));
	assert_false(zg_stdio_may(snap.stdios, ZG_PROFILE_FIRST + 1));
	assert_false(zg_stdio_may(snap.stdios, UINT32_MAX));
	assert_string_equal(zg_snapshot_text_next(zg_snapshot_text(&snap, &snap.stdios->args)),
			    "y");
	zg_snapshot_close(&snap);
}

static void unsealed_is_refused(void **state)
{
	static const int seals[] = {F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_WRITE, F_SEAL_SEAL};
	struct zg_snapshot snap;
	struct sample s;

	(void)state;
	good(&s);
	for (size_t i = 0; i < sizeof(seals) / sizeof(seals[0]); i++) {
		zg_autofd int fd = sealed(&s, sizeof(s), ALL & ~seals[i]);

		assert_int_equal(zg_snapshot_open(&snap, fd, NULL), -EBADMSG);
	}
}

static void broken_contracts_are_refused(void **state)
{
	struct zg_snapshot snap;
	struct sample s;

	(void)state;
#define BREAK(what)                                                                                \
	do {                                                                                       \
		good(&s);                                                                          \
		what;                                                                              \
		if (open_it(&s, &snap) != -EBADMSG)                                                \
			fail_msg("accepted: %s", #what);                                           \
	} while (0)
	BREAK(s.head.magic++);
	BREAK(s.head.header_bytes = 8);
	BREAK(s.head.bytes--);
	BREAK(s.head.bytes = UINT64_MAX);
	BREAK(s.head.section[ZG_S_RULES].offset++);
	BREAK(s.head.section[ZG_S_RULES].offset = 0);
	BREAK(s.head.section[ZG_S_RULES].offset = UINT64_MAX - 7);
	BREAK(s.head.section[ZG_S_RULES].bytes++);
	BREAK(s.head.section[ZG_S_RULES].bytes = UINT64_MAX);
	BREAK(s.head.section[ZG_S_SERVERS].bytes *= 2);
	BREAK(s.head.section[ZG_S_SETTINGS].bytes = 0);
	BREAK(memset(s.settings.state_dir, 'x', sizeof(s.settings.state_dir)));
	BREAK(s.settings.listen_count = ZG_LISTEN_MAX + 1);
	BREAK(s.settings.workers = ZG_WORKERS_MAX + 1);
	BREAK(s.settings.durability = 2);
	BREAK(memset(s.profile[0].name, 'x', sizeof(s.profile[0].name)));
	BREAK(s.profile[0].mode = 9);
	BREAK(memset(s.cgroup[0].glob, 'x', sizeof(s.cgroup[0].glob)));
	BREAK(s.cgroup[0].profile = ZG_PROFILE_FIRST + 1);
	BREAK(s.prefix[0].prefixlen = 129);
	BREAK(s.prefix[0].identity = 0);
	BREAK(s.rule[0].identity = 0);
	BREAK(s.rule[0].profile = 99);
	BREAK(s.rule[0].proto = 256);
	BREAK(s.rule[0].val.count = ZG_PORT_RULES_MAX + 1);
	BREAK((s.rule[0].val.count = 1, s.rule[0].val.port[0].lo = 2));
	BREAK((s.rule[0].val.count = 1, s.rule[0].val.port[0].verdict = 200));
	BREAK(memset(s.server[1].url, 'x', sizeof(s.server[1].url)));
	BREAK(s.server[1].transport = 3);
	BREAK(s.endpoint[1].server = 3);
	BREAK(s.text[7] = 'x');
	BREAK(s.stdio[0].args.offset = 8);
	BREAK(s.stdio[0].args.count = 4);
	BREAK(s.stdio[0].pass = ((struct zg_texts_ref){UINT32_MAX, 1}));
	BREAK(s.stdio[0].env.count = ZG_STDIO_ENV_MAX + 1);
	BREAK(s.stdio[0].command[0] = 'x');
	BREAK(s.stdio[0].profile = ZG_PROFILE_FIRST + 1);
	BREAK(s.stdio[0].memory = 0);
	BREAK(s.stdio[0].pids = 0);
	BREAK(s.stdio[0].who = 3);
}

static void every_length_is_safe(void **state)
{
	struct zg_snapshot snap;
	struct sample s;

	(void)state;
	good(&s);
	for (size_t n = 0; n < sizeof(s); n += 97) {
		zg_autofd int fd = sealed(&s, n, ALL);

		assert_int_equal(zg_snapshot_open(&snap, fd, NULL), -EBADMSG);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lookups),
		cmocka_unit_test(unsealed_is_refused),
		cmocka_unit_test(broken_contracts_are_refused),
		cmocka_unit_test(every_length_is_safe),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
