/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server_names_test.c - what the resolver may make of a server's name: which
 * addresses are believed, how many, and that the rest is recorded and opens nothing.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server_names.h"
#include "state.h"

struct place {
	struct zg_parent *parent;
	struct zg_snapshot_header header;
	struct zg_settings settings;
	struct zg_server_def server[4];
};

static int set_up(void **state)
{
	static const struct {
		const char *host;
		bool by_name, local;
	} rows[] = {{"api.example", true, false},
		    {"tool.internal", true, true},
		    {"fixed.example", false, false},
		    {"tool.internal", true, true}};
	struct place *p = calloc(1, sizeof(*p));
	struct zg_err e;

	p->parent = calloc(1, sizeof(*p->parent));
	p->parent->loop = event_base_new();
	for (size_t i = 0; i < 4; i++) {
		(void)snprintf(p->server[i].host, sizeof(p->server[i].host), "%s", rows[i].host);
		p->server[i].by_name = rows[i].by_name;
		p->server[i].local = rows[i].local;
	}
	p->settings.proxy = (struct zg_proxy){.host = "proxy.example", .by_name = 1};
	p->parent->snapshot = (struct zg_snapshot){.header = &p->header,
						   .settings = &p->settings,
						   .servers = p->server,
						   .server_count = 4};
	*state = p;
	return zg_server_names_open(p->parent, &e);
}

static int tear_down(void **state)
{
	struct place *p = *state;

	zg_server_names_free(p->parent->server_names);
	event_base_free(p->parent->loop);
	free(p->parent);
	free(p);
	return 0;
}

static int learn(struct place *p, const char *name, const char *addr)
{
	struct zg_msg_name_learn m = {.ttl = 60, .count = addr ? 1 : 0};

	(void)snprintf(m.name, sizeof(m.name), "%s", name);
	if (addr)
		assert_int_equal(zg_addr_parse(zg_slice_str(addr), m.addr[0]), 0);
	return zg_server_names_learn(p->parent, &m);
}

/* Number of addresses that would be compiled. */
static size_t compiled(struct place *p, struct zg_host_address *out, size_t max)
{
	int fd = zg_server_names_file(p->parent->server_names);
	struct stat st;

	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	if (max)
		assert_true(pread(fd, out, max * sizeof(*out), 0) >= 0);
	close(fd);
	assert_int_equal(st.st_size % (off_t)sizeof(*out), 0);
	return (size_t)st.st_size / sizeof(*out);
}

static void only_what_may_be_dialled_is_kept(void **state)
{
	static const struct {
		const char *name, *addr;
		bool kept;
	} cases[] = {
		{"api.example", "203.0.113.1", true},
		{"api.example", "2001:db8::1", true},
		{"api.example", "127.0.0.1", false},
		{"api.example", "10.0.0.1", false},
		{"api.example", "100.64.0.1", false},
		{"api.example", "169.254.1.1", false},
		{"api.example", "fe80::1", false},
		{"api.example", "fd00::1", false},
		{"api.example", "64:ff9b::a00:1", false},
		{"api.example", "2002:a00:1::", false},
		{"api.example", "169.254.169.254", false},
		{"api.example", "0.0.0.0", false},
		{"api.example", "224.0.0.1", false},
		{"tool.internal", "10.0.0.1", true},
		{"tool.internal", "127.0.0.1", true},
		{"tool.internal", "169.254.169.254", false},
		{"tool.internal", "64:ff9b::a9fe:a9fe", false},
		{"tool.internal", "ff02::1", false},
		{"proxy.example", "10.0.0.1", true},
		{"proxy.example", "169.254.169.254", false},
		{"fixed.example", "203.0.113.1", false},
		{"other.example", "203.0.113.1", false},
	};
	struct place *p = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct zg_host_address at[64] = {0};
		size_t before = compiled(p, NULL, 0);
		uint64_t told = p->parent->records_lost;

		assert_int_equal(learn(p, cases[i].name, cases[i].addr), 0);
		if (compiled(p, NULL, 0) != before + cases[i].kept)
			print_error("%s %s\n", cases[i].name, cases[i].addr);
		assert_int_equal(compiled(p, at, 64), before + cases[i].kept);
		if (cases[i].kept)
			assert_string_equal(at[before].host, cases[i].name);
		/* kept or refused: recorded, unless nobody is of that name */
		assert_int_equal(p->parent->records_lost - told,
				 strcmp(cases[i].name, "fixed.example") != 0 &&
					 strcmp(cases[i].name, "other.example") != 0);
		/* said again, it is no news */
		assert_int_equal(learn(p, cases[i].name, cases[i].addr), 0);
		assert_int_equal(compiled(p, NULL, 0), before + cases[i].kept);
	}
}

static void a_name_has_so_many_addresses(void **state)
{
	struct place *p = *state;
	struct zg_host_address at[ZG_ENDPOINTS_PER_SERVER];
	bool newest = false;
	char addr[32];

	for (int i = 1; i <= ZG_ENDPOINTS_PER_SERVER + 5; i++) {
		(void)snprintf(addr, sizeof(addr), "203.0.113.%d", i);
		assert_int_equal(learn(p, "api.example", addr), 0);
	}
	assert_int_equal(compiled(p, at, ZG_ENDPOINTS_PER_SERVER), ZG_ENDPOINTS_PER_SERVER);
	for (size_t i = 0; i < ZG_ENDPOINTS_PER_SERVER; i++)
		newest = newest || at[i].addr[15] == ZG_ENDPOINTS_PER_SERVER + 5;
	assert_true(newest);
}

static void a_reload_forgets_what_it_no_longer_names(void **state)
{
	struct place *p = *state;

	assert_int_equal(learn(p, "api.example", "203.0.113.1"), 0);
	assert_int_equal(learn(p, "tool.internal", "10.0.0.1"), 0);
	zg_server_names_sweep(p->parent);
	assert_int_equal(compiled(p, NULL, 0), 2);
	/* no longer local: its private address is no longer good */
	p->server[3].local = 0;
	zg_server_names_sweep(p->parent);
	assert_int_equal(compiled(p, NULL, 0), 1);
	p->server[0].by_name = 0;
	zg_server_names_sweep(p->parent);
	assert_int_equal(compiled(p, NULL, 0), 0);
}

static void what_no_honest_resolver_says(void **state)
{
	struct place *p = *state;
	struct zg_msg_name_learn m = {.name = "api.example", .count = ZG_DNS_ADDRESSES_MAX + 1};

	assert_int_equal(zg_server_names_learn(p->parent, &m), -EPROTO);
	m.count = 1;
	memset(m.name, 'a', sizeof(m.name));
	assert_int_equal(zg_server_names_learn(p->parent, &m), -EPROTO);
	assert_int_equal(learn(p, "../etc/passwd", "203.0.113.1"), -EPROTO);
	assert_int_equal(learn(p, "", "203.0.113.1"), -EPROTO);
	assert_int_equal(compiled(p, NULL, 0), 0);
	/* an end of a round, however long it says */
	assert_int_equal(learn(p, "api.example", NULL), 0);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(only_what_may_be_dialled_is_kept),
		TEST(a_name_has_so_many_addresses),
		TEST(a_reload_forgets_what_it_no_longer_names),
		TEST(what_no_honest_resolver_says),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
