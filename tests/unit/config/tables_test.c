/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks that overlap, and what a lookup by longest prefix then answers. */
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <time.h>

#include <cmocka.h>

#include "slice.h"
#include "tables.h"

static struct zg_grant grant(const char *cidr, uint32_t profile, uint8_t proto, uint16_t lo,
			     uint16_t hi, enum zg_verdict verdict)
{
	const char *slash = strchr(cidr, '/');
	struct zg_grant g = {.profile = profile,
			     .proto = proto,
			     .lo = lo,
			     .hi = hi,
			     .verdict = (uint8_t)verdict};
	uint64_t bits = 0;

	assert_int_equal(zg_addr_parse((struct zg_slice){cidr, (size_t)(slash - cidr)}, g.addr), 0);
	assert_int_equal(zg_slice_u64(zg_slice_str(slash + 1), 128, &bits), 0);
	g.prefixlen = (uint32_t)bits + (strchr(cidr, ':') ? 0 : 96);
	return g;
}

#define TCP(cidr, port, verdict) grant(cidr, 2, IPPROTO_TCP, port, port, ZG_V_##verdict)

static bool covers(const struct zg_prefix_def *p, const uint8_t addr[16])
{
	for (uint32_t bit = 0; bit < p->prefixlen; bit++)
		if ((p->addr[bit / 8] ^ addr[bit / 8]) & (0x80 >> bit % 8))
			return false;
	return true;
}

/* As the kernel does it. */
static enum zg_verdict look(const struct zg_gate_tables *t, const char *address, uint32_t profile,
			    uint8_t proto, uint16_t port)
{
	const struct zg_prefix_def *best = NULL;
	uint8_t addr[16];

	assert_int_equal(zg_addr_parse(zg_slice_str(address), addr), 0);
	for (size_t i = 0; i < t->prefix_count; i++)
		if (covers(&t->prefixes[i], addr) &&
		    (!best || t->prefixes[i].prefixlen > best->prefixlen))
			best = &t->prefixes[i];
	for (size_t i = 0; best && i < t->rule_count; i++) {
		const struct zg_rule_def *r = &t->rules[i];

		if (r->identity != best->identity || r->profile != profile || r->proto != proto)
			continue;
		for (uint32_t j = 0; j < r->val.count; j++)
			if (port >= r->val.port[j].lo && port <= r->val.port[j].hi)
				return (enum zg_verdict)r->val.port[j].verdict;
	}
	return ZG_V_DENY;
}

static struct zg_gate_tables build(struct zg_grant *g, size_t n)
{
	struct zg_gate_tables t = {0};
	struct zg_err e = {0};
	uint32_t entry;

	assert_int_equal(zg_gate_tables_build(&t, g, n, &entry, &e), 0);
	return t;
}

static void nothing_granted_is_nothing(void **state)
{
	struct zg_gate_tables t = build(NULL, 0);

	(void)state;
	assert_int_equal(t.prefix_count, 0);
	assert_int_equal(look(&t, "127.0.0.1", 2, IPPROTO_TCP, 80), ZG_V_DENY);
	zg_gate_tables_release(&t);
}

static void a_block_inherits_from_what_covers_it(void **state)
{
	struct zg_grant g[] = {TCP("10.0.0.0/8", 443, ALLOW), TCP("10.1.0.0/16", 80, ALLOW),
			       TCP("10.1.1.0/24", 22, ALLOW), TCP("10.2.0.0/16", 443, ALLOW)};
	struct zg_gate_tables t = build(g, 4);

	(void)state;
	assert_int_equal(look(&t, "10.9.9.9", 2, IPPROTO_TCP, 443), ZG_V_ALLOW);
	assert_int_equal(look(&t, "10.9.9.9", 2, IPPROTO_TCP, 80), ZG_V_DENY);
	assert_int_equal(look(&t, "10.1.1.9", 2, IPPROTO_TCP, 443), ZG_V_ALLOW);
	assert_int_equal(look(&t, "10.1.1.9", 2, IPPROTO_TCP, 80), ZG_V_ALLOW);
	assert_int_equal(look(&t, "10.1.1.9", 2, IPPROTO_TCP, 22), ZG_V_ALLOW);
	assert_int_equal(look(&t, "10.1.2.9", 2, IPPROTO_TCP, 22), ZG_V_DENY);
	assert_int_equal(look(&t, "11.0.0.1", 2, IPPROTO_TCP, 443), ZG_V_DENY);
	assert_int_equal(look(&t, "10.1.1.9", 3, IPPROTO_TCP, 443), ZG_V_DENY);
	assert_int_equal(look(&t, "10.1.1.9", 2, IPPROTO_UDP, 443), ZG_V_DENY);
	assert_int_equal(t.prefix_count, 3); /* 10.2.0.0/16 says nothing new */
	zg_gate_tables_release(&t);
}

static void deny_wins_over_redirect_over_allow(void **state)
{
	struct zg_grant g[] = {
		grant("10.0.0.0/8", 2, IPPROTO_TCP, 1, 65535, ZG_V_ALLOW),
		TCP("10.0.0.1/32", 80, REDIRECT),
		TCP("10.0.0.1/32", 81, DENY),
		TCP("10.0.0.1/32", 81, REDIRECT),
		grant("10.5.0.0/16", 2, IPPROTO_TCP, 0, 65535, ZG_V_DENY),
		TCP("10.5.5.5/32", 443, ALLOW),
	};
	struct zg_gate_tables t = build(g, 6);

	(void)state;
	assert_int_equal(look(&t, "10.0.0.1", 2, IPPROTO_TCP, 79), ZG_V_ALLOW);
	assert_int_equal(look(&t, "10.0.0.1", 2, IPPROTO_TCP, 80), ZG_V_REDIRECT);
	assert_int_equal(look(&t, "10.0.0.1", 2, IPPROTO_TCP, 81), ZG_V_DENY);
	assert_int_equal(look(&t, "10.0.0.1", 2, IPPROTO_TCP, 65535), ZG_V_ALLOW);
	assert_int_equal(look(&t, "10.5.5.5", 2, IPPROTO_TCP, 443), ZG_V_DENY);
	zg_gate_tables_release(&t);
}

static void ranges_become_disjoint(void **state)
{
	struct zg_grant g[] = {
		grant("10.0.0.1/32", 2, IPPROTO_TCP, 100, 200, ZG_V_ALLOW),
		grant("10.0.0.1/32", 2, IPPROTO_TCP, 150, 300, ZG_V_ALLOW),
		grant("10.0.0.1/32", 2, IPPROTO_TCP, 301, 400, ZG_V_ALLOW),
		grant("10.0.0.1/32", 2, IPPROTO_TCP, 120, 130, ZG_V_DENY),
		grant("10.0.0.1/32", 2, IPPROTO_TCP, 65535, 65535, ZG_V_ALLOW),
	};
	static const struct zg_port_rule want[] = {{100, 119, ZG_V_ALLOW, {0}},
						   {120, 130, ZG_V_DENY, {0}},
						   {131, 400, ZG_V_ALLOW, {0}},
						   {65535, 65535, ZG_V_ALLOW, {0}}};
	struct zg_gate_tables t = build(g, 5);

	(void)state;
	assert_int_equal(t.rule_count, 1);
	assert_int_equal(t.rules[0].val.count, 4);
	assert_memory_equal(t.rules[0].val.port, want, sizeof(want));
	zg_gate_tables_release(&t);
}

static void too_many_ranges_name_the_entry(void **state)
{
	struct zg_grant g[ZG_PORT_RULES_MAX + 1];
	struct zg_gate_tables t = {0};
	struct zg_err e = {0};
	uint32_t entry = 0;

	(void)state;
	for (int i = 0; i <= ZG_PORT_RULES_MAX; i++) {
		g[i] = TCP("10.0.0.1/32", (uint16_t)(10 + 2 * i), ALLOW);
		g[i].entry = 7;
	}
	assert_int_equal(zg_gate_tables_build(&t, g, ZG_PORT_RULES_MAX + 1, &entry, &e), -E2BIG);
	assert_int_equal(entry, 7);
	assert_non_null(strstr(e.what, "more than 16 separate port ranges"));
	assert_null(t.prefixes);
	t = build(g, ZG_PORT_RULES_MAX);
	assert_int_equal(t.rules[0].val.count, ZG_PORT_RULES_MAX);
	zg_gate_tables_release(&t);
}

static void ipv6_blocks_do_not_grant_ipv4(void **state)
{
	struct zg_grant g[] = {TCP("::/0", 443, ALLOW), TCP("10.0.0.0/8", 80, ALLOW)};
	struct zg_gate_tables t = build(g, 2);

	(void)state;
	assert_int_equal(look(&t, "2001:db8::1", 2, IPPROTO_TCP, 443), ZG_V_ALLOW);
	assert_int_equal(look(&t, "8.8.8.8", 2, IPPROTO_TCP, 443), ZG_V_DENY);
	assert_int_equal(look(&t, "10.0.0.1", 2, IPPROTO_TCP, 443), ZG_V_DENY);
	assert_int_equal(look(&t, "10.0.0.1", 2, IPPROTO_TCP, 80), ZG_V_ALLOW);
	zg_gate_tables_release(&t);
	/* nobody names an IPv4 block: the corner is shut all the same */
	t = build(g, 1);
	assert_int_equal(look(&t, "8.8.8.8", 2, IPPROTO_TCP, 443), ZG_V_DENY);
	zg_gate_tables_release(&t);
	g[0] = TCP("0.0.0.0/0", 443, ALLOW);
	g[1] = TCP("::/0", 80, ALLOW);
	t = build(g, 2);
	assert_int_equal(look(&t, "8.8.8.8", 2, IPPROTO_TCP, 443), ZG_V_ALLOW);
	assert_int_equal(look(&t, "8.8.8.8", 2, IPPROTO_TCP, 80), ZG_V_DENY);
	zg_gate_tables_release(&t);
}

static void order_does_not_matter_and_numbers_stay(void **state)
{
	struct zg_grant g[40], shuffled[40];
	struct zg_gate_tables a, b, fewer;
	uint64_t seed = 7;
	char cidr[32];

	(void)state;
	for (size_t i = 0; i < 40; i++) {
		(void)snprintf(cidr, sizeof(cidr), "10.%zu.0.0/%d", i % 8, 16 - (int)(i % 2) * 3);
		if (i % 2)
			(void)snprintf(cidr, sizeof(cidr), "10.%zu.0.0/13", (i % 2) * 8);
		g[i] = grant(cidr, 2 + (uint32_t)i % 3, IPPROTO_TCP, (uint16_t)(i % 5 * 10),
			     (uint16_t)(i % 5 * 10 + 15), i % 7 ? ZG_V_ALLOW : ZG_V_DENY);
	}
	memcpy(shuffled, g, sizeof(g));
	a = build(g, 40);
	for (int round = 0; round < 50; round++) {
		for (size_t i = 39; i > 0; i--) {
			struct zg_grant swap = shuffled[i];
			size_t j;

			seed = seed * 6364136223846793005u + 1442695040888963407u;
			j = (seed >> 33) % (i + 1);
			shuffled[i] = shuffled[j];
			shuffled[j] = swap;
		}
		b = build(shuffled, 40);
		assert_int_equal(a.prefix_count, b.prefix_count);
		assert_int_equal(a.rule_count, b.rule_count);
		assert_memory_equal(a.prefixes, b.prefixes, a.prefix_count * sizeof(*a.prefixes));
		assert_memory_equal(a.rules, b.rules, a.rule_count * sizeof(*a.rules));
		zg_gate_tables_release(&b);
	}
	/* a new block elsewhere leaves the others' identities alone */
	shuffled[0] = TCP("192.0.2.0/24", 1, ALLOW);
	memcpy(shuffled + 1, g, 39 * sizeof(g[0]));
	fewer = build(g, 39);
	b = build(shuffled, 40);
	assert_int_equal(b.prefix_count, fewer.prefix_count + 1);
	for (size_t i = 0; i < fewer.prefix_count; i++)
		assert_memory_equal(&fewer.prefixes[i], &b.prefixes[i], sizeof(*b.prefixes));
	zg_gate_tables_release(&a);
	zg_gate_tables_release(&b);
	zg_gate_tables_release(&fewer);
}

/* Against the definition: a port is judged by all grants that cover it. */
static void random_tables_agree_with_the_definition(void **state)
{
	uint64_t seed = 99;

	(void)state;
	for (int round = 0; round < 300; round++) {
		struct zg_grant g[12];
		struct zg_gate_tables t;

		for (int i = 0; i < 12; i++) {
			char cidr[32];
			unsigned bits, base;

			seed = seed * 6364136223846793005u + 1442695040888963407u;
			bits = 26 + (unsigned)(seed >> 40) % 7;
			base = (unsigned)(seed >> 50) % 64 & ~((1u << (32 - bits)) - 1);
			(void)snprintf(cidr, sizeof(cidr), "10.0.0.%u/%u", base, bits);
			g[i] = grant(cidr, 2, IPPROTO_TCP, (uint16_t)((seed >> 20) % 8),
				     (uint16_t)((seed >> 20) % 8 + (seed >> 24) % 4),
				     (enum zg_verdict)((seed >> 30) % 3));
		}
		t = build(g, 12);
		for (unsigned host = 0; host < 64; host++) {
			for (uint16_t port = 0; port < 12; port++) {
				bool deny = false, redirect = false, allow = false;
				char address[32];
				uint8_t addr[16];

				(void)snprintf(address, sizeof(address), "10.0.0.%u", host);
				assert_int_equal(zg_addr_parse(zg_slice_str(address), addr), 0);
				for (int i = 0; i < 12; i++) {
					struct zg_prefix_def p = {.prefixlen = g[i].prefixlen};

					memcpy(p.addr, g[i].addr, 16);
					if (!covers(&p, addr) || port < g[i].lo || port > g[i].hi)
						continue;
					deny |= g[i].verdict == ZG_V_DENY;
					redirect |= g[i].verdict == ZG_V_REDIRECT;
					allow |= g[i].verdict == ZG_V_ALLOW;
				}
				assert_int_equal(look(&t, address, 2, IPPROTO_TCP, port),
						 deny	    ? ZG_V_DENY
						 : redirect ? ZG_V_REDIRECT
						 : allow    ? ZG_V_ALLOW
							    : ZG_V_DENY);
			}
		}
		zg_gate_tables_release(&t);
	}
}

#define UDP(cidr, verdict) grant(cidr, 2, IPPROTO_UDP, 1, 65535, ZG_V_##verdict)

static enum zg_verdict look_udp(const struct zg_gate_tables *t, const char *address)
{
	return look(t, address, 2, IPPROTO_UDP, 5353);
}

/* However wide a block is, it does not name the groups and the broadcast in it. */
static void multicast_is_opened_by_name_alone(void **state)
{
	static const char *const never[] = {"224.0.0.251", "239.255.255.255", "255.255.255.255",
					    "ff02::fb", "ff15::1"};
	struct zg_grant wide[] = {UDP("0.0.0.0/0", ALLOW), UDP("::/0", ALLOW)};
	struct zg_grant around[] = {UDP("224.0.0.0/3", ALLOW), UDP("fe00::/7", ALLOW)};
	struct zg_gate_tables t = build(wide, 2), u = build(around, 2);

	(void)state;
	for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); i++) {
		assert_int_equal(look_udp(&t, never[i]), ZG_V_DENY);
		assert_int_equal(look_udp(&u, never[i]), ZG_V_DENY);
	}
	assert_int_equal(look_udp(&t, "223.255.255.255"), ZG_V_ALLOW);
	assert_int_equal(look_udp(&t, "255.255.255.254"), ZG_V_ALLOW);
	assert_int_equal(look_udp(&u, "240.0.0.1"), ZG_V_ALLOW);
	assert_int_equal(look_udp(&u, "fe80::1"), ZG_V_ALLOW);
	zg_gate_tables_release(&t);
	zg_gate_tables_release(&u);
}

static void multicast_that_is_named_is_open(void **state)
{
	struct zg_grant some[] = {UDP("0.0.0.0/0", ALLOW),    UDP("239.1.2.3/32", ALLOW),
				  UDP("239.9.0.0/16", ALLOW), UDP("255.255.255.255/32", ALLOW),
				  UDP("::/0", ALLOW),	      UDP("ff02::fb/128", ALLOW)};
	struct zg_grant all[] = {UDP("224.0.0.0/4", ALLOW), UDP("ff00::/8", ALLOW)};
	struct zg_gate_tables t = build(some, 6), u = build(all, 2);

	(void)state;
	assert_int_equal(look_udp(&t, "239.1.2.3"), ZG_V_ALLOW);
	assert_int_equal(look_udp(&t, "239.9.9.9"), ZG_V_ALLOW);
	assert_int_equal(look_udp(&t, "255.255.255.255"), ZG_V_ALLOW);
	assert_int_equal(look_udp(&t, "ff02::fb"), ZG_V_ALLOW);
	assert_int_equal(look_udp(&t, "239.1.2.4"), ZG_V_DENY);
	assert_int_equal(look_udp(&t, "ff02::fc"), ZG_V_DENY);
	assert_int_equal(look_udp(&u, "224.0.0.251"), ZG_V_ALLOW);
	assert_int_equal(look_udp(&u, "ff02::fb"), ZG_V_ALLOW);
	assert_int_equal(look_udp(&u, "255.255.255.255"), ZG_V_DENY);
	zg_gate_tables_release(&t);
	zg_gate_tables_release(&u);
}

/* A denial around a group holds for it, named or not. */
static void a_denial_reaches_into_multicast(void **state)
{
	struct zg_grant g[] = {UDP("192.0.0.0/2", DENY), UDP("0.0.0.0/0", ALLOW),
			       UDP("239.1.2.3/32", ALLOW), UDP("224.0.0.0/4", ALLOW)};
	struct zg_gate_tables t = build(g, 4);

	(void)state;
	assert_int_equal(look_udp(&t, "239.1.2.3"), ZG_V_DENY);
	assert_int_equal(look_udp(&t, "224.0.0.1"), ZG_V_DENY);
	assert_int_equal(look_udp(&t, "10.0.0.1"), ZG_V_ALLOW);
	zg_gate_tables_release(&t);
}

static void a_million_entries_are_compiled(void **state)
{
	const size_t n = 1000000;
	struct zg_grant *g = calloc(n, sizeof(*g));
	struct zg_gate_tables t;

	(void)state;
	assert_non_null(g);
	for (size_t i = 0; i < n; i++) {
		(void)zg_addr_parse(ZG_SLICE("10.0.0.0"), g[i].addr);
		g[i].addr[13] = (uint8_t)(i >> 16);
		g[i].addr[14] = (uint8_t)(i >> 8);
		g[i].addr[15] = (uint8_t)i;
		g[i].prefixlen = 128;
		g[i].profile = 2 + (uint32_t)(i % 100);
		g[i].proto = IPPROTO_TCP;
		g[i].lo = g[i].hi = (uint16_t)(1 + i % 1000);
		g[i].verdict = ZG_V_ALLOW;
	}
	t = build(g, n);
	assert_int_equal(t.prefix_count, n);
	assert_int_equal(t.rule_count, 1000);
	zg_gate_tables_release(&t);
	free(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_granted_is_nothing),
		cmocka_unit_test(a_block_inherits_from_what_covers_it),
		cmocka_unit_test(deny_wins_over_redirect_over_allow),
		cmocka_unit_test(ranges_become_disjoint),
		cmocka_unit_test(too_many_ranges_name_the_entry),
		cmocka_unit_test(ipv6_blocks_do_not_grant_ipv4),
		cmocka_unit_test(order_does_not_matter_and_numbers_stay),
		cmocka_unit_test(random_tables_agree_with_the_definition),
		cmocka_unit_test(multicast_is_opened_by_name_alone),
		cmocka_unit_test(multicast_that_is_named_is_open),
		cmocka_unit_test(a_denial_reaches_into_multicast),
		cmocka_unit_test(a_million_entries_are_compiled),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
