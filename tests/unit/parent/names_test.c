/* SPDX-License-Identifier: Apache-2.0 */
/*
 * names_test.c - what the parent makes of a resolver's reports, with the real
 * gate behind it: a resolver that lies opens nothing, and every table has an end.
 */
#include "kernel_lab.h"
#include "names.h"

static struct zg_name_def defs[ZG_PORT_RULES_MAX + 8];
static struct zg_settings settings = {.dns_ttl_min_sec = 30, .dns_grace_sec = 60};

static void add_def(struct plan *p, const char *pattern, uint16_t port, bool local)
{
	struct zg_name_def *d = &defs[p->s.name_count++];

	*d = (struct zg_name_def){.profile = P_A, .proto = IPPROTO_TCP, .local = local};
	(void)snprintf(d->pattern, sizeof(d->pattern), "%s", pattern);
	d->val.count = 1;
	d->val.port[0] = (struct zg_port_rule){port, port, ZG_V_ALLOW, {0}};
}

static struct zg_names *open_names(struct lab *lab, struct plan *p)
{
	struct zg_names *n;
	struct zg_err e;

	assert_int_equal(zg_names_open(&n, lab->kernel, &e), 0);
	assert_int_equal(zg_names_stage(n, &p->s, &e), 0);
	lab_apply(lab, p);
	zg_names_settle(n);
	return n;
}

static struct zg_names *begin(struct plan *p)
{
	struct lab *lab = lab_open();

	plan_init(p);
	plan_profile(p, "a", ZG_MODE_ENFORCE);
	p->s.settings = &settings;
	p->s.names = defs;
	add_def(p, "*.wild.example", 443, false);
	add_def(p, "api.example", 443, false);
	add_def(p, "near.example", 443, true);
	return open_names(lab, p);
}

static struct zg_msg_name_learned report(struct zg_names *n, const struct plan *p,
					 const char *profile, const char *name, const char *addr,
					 uint32_t count, int want)
{
	struct zg_msg_name_learn m = {.query = 7, .ttl = 60, .count = count};
	struct zg_msg_name_learned out;
	uint32_t fresh;

	(void)snprintf(m.profile, sizeof(m.profile), "%s", profile);
	(void)snprintf(m.name, sizeof(m.name), "%s", name);
	for (uint32_t i = 0; i < count && i < ZG_DNS_ADDRESSES_MAX; i++) {
		assert_int_equal(zg_addr_parse(zg_slice_str(addr), m.addr[i]), 0);
		m.addr[i][15] = (uint8_t)(m.addr[i][15] + i);
	}
	assert_int_equal(zg_names_learn(n, &p->s, &m, &out, &fresh), want);
	assert_int_equal(out.query, 7);
	return out;
}

static uint8_t verdict_of(uint32_t profile, const char *addr, uint16_t port)
{
	struct zg_question q = {.profile = profile,
				.port_be = htons(port),
				.proto = IPPROTO_TCP,
				.direction = ZG_DIR_OUT};

	assert_int_equal(zg_addr_parse(zg_slice_str(addr), q.addr), 0);
	assert_int_equal(zg_kernel_ask(lab_current->kernel, &q), 0);
	return q.verdict;
}

static uint8_t verdict(const char *addr, uint16_t port)
{
	return verdict_of(P_A, addr, port);
}

static void a_resolver_that_lies_opens_nothing(void **state)
{
	struct plan p;
	struct zg_names *n = begin(&p);

	(void)state;
	assert_int_equal(report(n, &p, "a", "evil.example", "192.0.2.1", 1, 0).reason,
			 ZG_NR_NOT_ALLOWED);
	assert_int_equal(report(n, &p, "b", "api.example", "192.0.2.1", 1, 0).reason,
			 ZG_NR_NOT_ALLOWED);
	assert_int_equal(report(n, &p, "a", "api.example", "127.0.0.1", 1, 0).reason, ZG_NR_LOCAL);
	assert_int_equal(report(n, &p, "a", "near.example", "169.254.169.254", 1, 0).reason,
			 ZG_NR_ADDRESS);
	(void)report(n, &p, "a", "api.example", "192.0.2.1", ZG_DNS_ADDRESSES_MAX + 1, -EPROTO);
	(void)report(n, &p, "a", "API.example", "192.0.2.1", 1, -EPROTO);
	assert_int_equal(verdict("192.0.2.1", 443), ZG_V_DENY);
	assert_int_equal(report(n, &p, "a", "near.example", "127.0.0.9", 1, 0).held, 1);
	assert_int_equal(verdict("127.0.0.9", 443), ZG_V_ALLOW);
	assert_int_equal(verdict("127.0.0.9", 444), ZG_V_DENY);
	zg_names_free(n);
}

static void tables_have_an_end(void **state)
{
	struct plan p;
	struct zg_names *n = begin(&p);
	char name[64];

	(void)state;
	for (int i = 0; i < ZG_DNS_NAME_ADDRESSES / 32; i++) {
		(void)snprintf(name, sizeof(name), "198.51.%d.1", i);
		assert_int_equal(report(n, &p, "a", "api.example", name, 32, 0).held, UINT32_MAX);
	}
	assert_int_equal(report(n, &p, "a", "api.example", "192.0.2.1", 1, 0).reason, ZG_NR_FULL);
	assert_int_equal(verdict("192.0.2.1", 443), ZG_V_DENY);
	for (int i = 0; i < ZG_DNS_WILDCARD_NAMES; i++) {
		(void)snprintf(name, sizeof(name), "n%d.wild.example", i);
		assert_int_equal(report(n, &p, "a", name, "203.0.113.1", 1, 0).held, 1);
	}
	assert_int_equal(report(n, &p, "a", "more.wild.example", "192.0.2.1", 1, 0).reason,
			 ZG_NR_WILDCARD);
	assert_int_equal(report(n, &p, "a", "n7.wild.example", "192.0.2.7", 1, 0).held, 1);
	zg_names_free(n);
}

static void more_ports_than_fit_are_refused_whole(void **state)
{
	struct zg_names *n;
	struct plan p;

	(void)state;
	n = begin(&p);
	zg_names_free(n);
	for (uint16_t i = 0; i < ZG_PORT_RULES_MAX; i++)
		add_def(&p, "ports.example", (uint16_t)(1000 + i), false);
	n = open_names(lab_current, &p);
	assert_int_equal(report(n, &p, "a", "ports.example", "192.0.2.8", 1, 0).held, 1);
	assert_int_equal(verdict("192.0.2.8", 1015), ZG_V_ALLOW);
	assert_int_equal(report(n, &p, "a", "api.example", "192.0.2.8", 1, 0).reason, ZG_NR_PORTS);
	assert_int_equal(verdict("192.0.2.8", 443), ZG_V_DENY);
	assert_int_equal(verdict("192.0.2.8", 1015), ZG_V_ALLOW);
	zg_names_free(n);
}

static void the_next_parent_goes_on(void **state)
{
	struct zg_names *n;
	struct plan p;
	char names[64];
	uint8_t addr[16];

	(void)state;
	n = begin(&p);
	assert_int_equal(report(n, &p, "a", "api.example", "192.0.2.9", 1, 0).held, 1);
	assert_int_equal(report(n, &p, "a", "x.wild.example", "192.0.2.9", 1, 0).held, 1);
	zg_names_free(n);
	n = open_names(lab_current, &p);
	assert_int_equal(zg_addr_parse(ZG_SLICE("192.0.2.9"), addr), 0);
	zg_names_of(n, "a", addr, names, sizeof(names));
	assert_true(strstr(names, "api.example") && strstr(names, "x.wild.example"));
	assert_int_equal(verdict("192.0.2.9", 443), ZG_V_ALLOW);
	zg_names_free(n);
	p.s.name_count = 1; /* the wildcard alone is left */
	n = open_names(lab_current, &p);
	zg_names_of(n, "a", addr, names, sizeof(names));
	assert_string_equal(names, "x.wild.example");
	zg_names_free(n);
}

static bool verified(const struct zg_names *n, const struct plan *p, const char *name,
		     const char *addr, uint16_t port)
{
	uint8_t at[16];

	assert_int_equal(zg_addr_parse(zg_slice_str(addr), at), 0);
	return zg_names_verify(n, &p->s, "a", name, at, port);
}

/* Who is sent to the gateway gets there, and the gateway goes on, no further. */
static void what_a_name_sends_through_the_gateway(void **state)
{
	struct zg_names *n;
	struct plan p;

	(void)state;
	n = begin(&p);
	zg_names_free(n);
	for (uint32_t i = 0; i < p.s.name_count; i++)
		defs[i].val.port[0].verdict = ZG_V_REDIRECT;
	add_def(&p, "plain.example", 443, false);
	n = open_names(lab_current, &p);
	assert_int_equal(verdict_of(ZG_PROFILE_GATEWAY, "192.0.2.1", 443), ZG_V_DENY);
	assert_int_equal(report(n, &p, "a", "api.example", "192.0.2.1", 1, 0).held, 1);
	assert_int_equal(verdict("192.0.2.1", 443), ZG_V_REDIRECT);
	assert_int_equal(verdict("192.0.2.1", 444), ZG_V_DENY);
	assert_int_equal(verdict_of(ZG_PROFILE_GATEWAY, "192.0.2.1", 443), ZG_V_ALLOW);
	assert_int_equal(verdict_of(ZG_PROFILE_GATEWAY, "192.0.2.1", 444), ZG_V_DENY);
	assert_true(verified(n, &p, "api.example", "192.0.2.1", 443));
	assert_false(verified(n, &p, "api.example", "192.0.2.1", 444));
	assert_false(verified(n, &p, "api.example", "192.0.2.2", 443));
	assert_false(verified(n, &p, "x.wild.example", "192.0.2.1", 443));
	assert_false(verified(n, &p, "", "192.0.2.1", 443));
	/* a name that allows does not take from one that is stricter, nor is it TLS */
	assert_int_equal(report(n, &p, "a", "plain.example", "192.0.2.1", 1, 0).held, 1);
	assert_int_equal(verdict("192.0.2.1", 443), ZG_V_REDIRECT);
	assert_false(verified(n, &p, "plain.example", "192.0.2.1", 443));
	assert_int_equal(report(n, &p, "a", "plain.example", "192.0.2.3", 1, 0).held, 1);
	assert_int_equal(verdict("192.0.2.3", 443), ZG_V_ALLOW);
	assert_int_equal(verdict_of(ZG_PROFILE_GATEWAY, "192.0.2.3", 443), ZG_V_DENY);
	zg_names_free(n);
	/* the next parent holds the same; what loses its name, loses the way */
	n = open_names(lab_current, &p);
	assert_int_equal(verdict("192.0.2.1", 443), ZG_V_REDIRECT);
	assert_int_equal(verdict_of(ZG_PROFILE_GATEWAY, "192.0.2.1", 443), ZG_V_ALLOW);
	zg_names_free(n);
	p.s.name_count = 1;
	n = open_names(lab_current, &p);
	assert_int_equal(verdict("192.0.2.1", 443), ZG_V_DENY);
	assert_int_equal(verdict_of(ZG_PROFILE_GATEWAY, "192.0.2.1", 443), ZG_V_DENY);
	zg_names_free(n);
}

static const struct CMUnitTest tests[] = {
	LAB_TEST(what_a_name_sends_through_the_gateway),
	LAB_TEST(a_resolver_that_lies_opens_nothing),
	LAB_TEST(tables_have_an_end),
	LAB_TEST(more_ports_than_fit_are_refused_whole),
	LAB_TEST(the_next_parent_goes_on),
};

LAB_MAIN(tests)
