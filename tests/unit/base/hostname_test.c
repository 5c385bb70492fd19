/* SPDX-License-Identifier: Apache-2.0 */
/* hostname_test.c - names, patterns, addresses that names may stand for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "namerule.h"

static void patterns(void **state)
{
	static const struct {
		const char *pattern, *name;
		bool matches;
	} rows[] = {
		{"api.example", "api.example", true},	{"api.example", "x.api.example", false},
		{"*.example", "api.example", true},	{"*.example", "a.b.example", true},
		{"*.example", "example", false},	{"*.example", ".example", false},
		{"*.example", "evilexample", false},	{"*.example", "api.example.evil", false},
		{"api.example", "api.example2", false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (zg_hostname_matches(zg_slice_str(rows[i].pattern),
					zg_slice_str(rows[i].name)) != rows[i].matches)
			fail_msg("%s %s", rows[i].pattern, rows[i].name);
}

static void addresses(void **state)
{
	static const struct {
		const char *addr;
		enum zg_name_reason far, local;
	} rows[] = {
		{"93.184.216.34", ZG_NR_NONE, ZG_NR_NONE},
		{"2606:2800:220:1::1", ZG_NR_NONE, ZG_NR_NONE},
		{"127.0.0.1", ZG_NR_LOCAL, ZG_NR_NONE},
		{"127.255.255.255", ZG_NR_LOCAL, ZG_NR_NONE},
		{"::1", ZG_NR_LOCAL, ZG_NR_NONE},
		{"10.0.0.1", ZG_NR_LOCAL, ZG_NR_NONE},
		{"64:ff9b:1::a9fe:a9fe", ZG_NR_LOCAL, ZG_NR_NONE},
		{"172.31.255.255", ZG_NR_LOCAL, ZG_NR_NONE},
		{"172.32.0.0", ZG_NR_NONE, ZG_NR_NONE},
		{"192.168.1.1", ZG_NR_LOCAL, ZG_NR_NONE},
		{"100.64.0.1", ZG_NR_LOCAL, ZG_NR_NONE},
		{"100.128.0.1", ZG_NR_NONE, ZG_NR_NONE},
		{"fe80::1", ZG_NR_LOCAL, ZG_NR_NONE},
		{"fd12::1", ZG_NR_LOCAL, ZG_NR_NONE},
		{"64:ff9b::7f00:1", ZG_NR_LOCAL, ZG_NR_NONE}, /* NAT64 of 127.0.0.1 */
		{"2002:a00:1::1", ZG_NR_LOCAL, ZG_NR_NONE},   /* 6to4 of 10.0.0.1 */
		{"169.254.169.254", ZG_NR_ADDRESS, ZG_NR_ADDRESS},
		{"64:ff9b::a9fe:a9fe", ZG_NR_ADDRESS, ZG_NR_ADDRESS},
		{"fd00:ec2::254", ZG_NR_ADDRESS, ZG_NR_ADDRESS},
		{"0.0.0.0", ZG_NR_ADDRESS, ZG_NR_ADDRESS},
		{"::", ZG_NR_ADDRESS, ZG_NR_ADDRESS},
		{"224.0.0.251", ZG_NR_ADDRESS, ZG_NR_ADDRESS},
		{"255.255.255.255", ZG_NR_ADDRESS, ZG_NR_ADDRESS},
		{"ff02::1", ZG_NR_ADDRESS, ZG_NR_ADDRESS},
	};
	uint8_t addr[16];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(zg_addr_parse(zg_slice_str(rows[i].addr), addr), 0);
		if (zg_hostname_addr(addr, false) != rows[i].far ||
		    zg_hostname_addr(addr, true) != rows[i].local)
			fail_msg("%s: %d %d", rows[i].addr, zg_hostname_addr(addr, false),
				 zg_hostname_addr(addr, true));
	}
}

static void every_closed_address_is_one(void **state)
{
	uint8_t addr[16];

	(void)state;
	for (size_t i = 0; i < zg_closed_addr_count; i++) {
		assert_int_equal(zg_addr_parse(zg_slice_str(zg_closed_addrs[i].addr), addr), 0);
		if (zg_closed_addrs[i].host)
			assert_true(zg_hostname_is_doh(zg_slice_str(zg_closed_addrs[i].host)));
	}
}

static void rules(void **state)
{
	static const struct zg_name_def defs[] = {
		{.pattern = "other.example", .profile = 3},
		{.pattern = "*.cloudflare-dns.com", .profile = 4},
		{.pattern = "*.example", .profile = 4},
		{.pattern = "api.example", .profile = 4, .local = 1},
		{.pattern = "dns.google", .profile = 4},
		{.pattern = "secret.example", .profile = 4, .deny = 1},
		{.pattern = "last.example", .profile = 5},
	};
	struct zg_snapshot s = {.names = defs, .name_count = sizeof(defs) / sizeof(defs[0])};
	struct zg_namerules r = zg_namerules_of(&s, 4);
	struct zg_namerule one;
	size_t at = 0;

	(void)state;
	assert_int_equal(r.count, 5);
	one = zg_namerule_of(r, ZG_SLICE("api.example"));
	assert_int_equal(one.reason, ZG_NR_NONE);
	assert_true(one.local);
	assert_null(one.wildcard);
	one = zg_namerule_of(r, ZG_SLICE("x.example"));
	assert_int_equal(one.reason, ZG_NR_NONE);
	assert_false(one.local);
	assert_string_equal(one.wildcard, "*.example");
	assert_int_equal(zg_namerule_of(r, ZG_SLICE("secret.example")).reason, ZG_NR_DENIED);
	assert_int_equal(zg_namerule_of(r, ZG_SLICE("mozilla.cloudflare-dns.com")).reason,
			 ZG_NR_DOH);
	assert_int_equal(zg_namerule_of(r, ZG_SLICE("dns.google")).reason, ZG_NR_NONE);
	assert_int_equal(zg_namerule_of(r, ZG_SLICE("other.test")).reason, ZG_NR_NOT_ALLOWED);
	assert_int_equal(zg_namerule_of(zg_namerules_of(&s, 6), ZG_SLICE("api.example")).reason,
			 ZG_NR_NOT_ALLOWED);
	assert_string_equal(zg_namerule_next(r, ZG_SLICE("api.example"), &at)->pattern,
			    "*.example");
	assert_string_equal(zg_namerule_next(r, ZG_SLICE("api.example"), &at)->pattern,
			    "api.example");
	assert_null(zg_namerule_next(r, ZG_SLICE("api.example"), &at));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(patterns),
		cmocka_unit_test(addresses),
		cmocka_unit_test(every_closed_address_is_one),
		cmocka_unit_test(rules),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
