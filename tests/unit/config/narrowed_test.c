/* SPDX-License-Identifier: Apache-2.0 */
/*
 * narrowed_test.c - what a local server may reach under network_allowlists: never
 * more than its own entries, never more than each list, and by no other's name.
 */
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/mman.h>

#include "narrow.h"
#include "namerule.h"
#include "policy/world.h"
#include "snapshot.h"

#define SERVER(id, network)                                                                        \
	"{\"name\":\"a.b/" id "\",\"description\":\"d\",\"version\":\"1\",\"_meta\":{"             \
	"\"dev.zerogate/registry\":{\"id\":\"" id "\",\"command\":\"/bin/true\"" network "}}}"

static const char *const servers[] = {
	SERVER("two", ",\"network\":["
		      "{\"cidr\":\"10.1.0.0/16\",\"port\":443},"
		      "{\"cidr\":\"10.2.0.1/32\",\"port\":[80,853]},"
		      "{\"cidr\":\"169.254.0.0/16\",\"port\":80},"
		      "{\"host\":\"localhost\",\"port\":9000},"
		      "{\"host\":\"api.co.example\",\"port\":443},"
		      "{\"host\":\"*.wide.co.example\",\"port\":443,\"local\":true},"
		      "{\"host\":\"*.cloudflare-dns.com\",\"port\":443},"
		      "{\"unix\":\"/run/db.sock\"}]"),
	SERVER("none", ""),
	SERVER("other", ",\"network\":[{\"cidr\":\"10.1.0.0/16\",\"port\":443}]"),
	NULL,
};

static void open_world(struct world *w, struct zg_snapshot *s, const char *rules)
{
	char text[8192];
	const char *policies[] = {text, NULL};
	struct zg_err e = {0};
	zg_autofd int fd = memfd_create("test", MFD_ALLOW_SEALING | MFD_CLOEXEC);

	(void)snprintf(text, sizeof(text), "version: v1\nrules:\n%s", rules);
	world_make(w, NULL, policies, servers);
	if (!w->ok)
		print_error("%s\n", first_error(w));
	assert_true(w->ok);
	assert_int_equal(write(fd, w->snapshot.ptr, w->snapshot.len), w->snapshot.len);
	assert_int_equal(
		fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL),
		0);
	assert_int_equal(zg_snapshot_open(s, fd, &e), 0);
}

static void close_world(struct world *w, struct zg_snapshot *s)
{
	zg_snapshot_close(s);
	world_end(w);
}

/* The profile under the lists of a call of that tool, as the gateway finds it. */
static uint32_t narrowed(const struct world *w, const struct zg_snapshot *s, const char *server,
			 const char *tool)
{
	const struct zg_decision d = judge(w, server, "tools/call", tool);
	struct zg_list_digest list[ZG_ALLOWLISTS_MAX] = {0};
	const struct zg_stdio_def *def = zg_snapshot_stdio(s, server);
	char name[ZG_NAME_LEN];
	struct zg_slice host;

	assert_int_not_equal(d.constraints.allowlist_count, 0);
	for (uint16_t i = 0; i < d.constraints.allowlist_count; i++)
		for (size_t k = 0;
		     (host = zg_policy_allowlist_entry(&w->policy, d.constraints.allowlist[i], k))
			     .len;
		     k++)
			zg_list_add(&list[i], host);
	zg_narrow_name(server, list, d.constraints.allowlist_count, name);
	return zg_snapshot_narrowed(s, def->profile, name);
}

static int gate(const struct zg_snapshot *s, uint32_t profile, const char *address, uint16_t port)
{
	const struct zg_prefix_def *best = NULL;
	uint8_t addr[16];

	assert_int_equal(zg_addr_parse(zg_slice_str(address), addr), 0);
	for (size_t i = 0; i < s->prefix_count; i++) {
		const struct zg_prefix_def *p = &s->prefixes[i];
		uint32_t bit = 0;

		while (bit < p->prefixlen &&
		       !((p->addr[bit / 8] ^ addr[bit / 8]) & (0x80 >> bit % 8)))
			bit++;
		if (bit == p->prefixlen && (!best || best->prefixlen < bit))
			best = p;
	}
	for (size_t i = 0; best && i < s->rule_count; i++)
		for (uint32_t j = 0; j < s->rules[i].val.count; j++)
			if (s->rules[i].identity == best->identity &&
			    s->rules[i].direction == ZG_DIR_OUT && s->rules[i].profile == profile &&
			    s->rules[i].proto == IPPROTO_TCP &&
			    port >= s->rules[i].val.port[j].lo &&
			    port <= s->rules[i].val.port[j].hi)
				return s->rules[i].val.port[j].verdict;
	return ZG_V_DENY;
}

static bool resolves(const struct zg_snapshot *s, uint32_t profile, const char *name)
{
	return zg_namerule_of(zg_namerules_of(s, profile), zg_slice_str(name)).reason == ZG_NR_NONE;
}

#define RULE(id, tool, list)                                                                       \
	"  - id: " id "\n    match: {labels: {mcp.tool: " tool "}}\n"                              \
	"    decision: ALLOW_WITH_CONSTRAINTS\n    constraints: {network_allowlist: " list "}\n"

static const char rules[] = RULE(
	"wide", "[wide, both]",
	"['10.1.2.3', '10.2.0.1', '169.254.169.254', localhost, api.co.example, "
	"'*.wide.co.example', chrome.cloudflare-dns.com]")
	RULE("parts", "[parts, both]",
	     "['10.1.2.3', '10.1.2.4', '10.3.0.1', one.wide.co.example, '*.sub.wide.co.example', "
	     "'*.co.example', '127.0.0.1']") RULE("foreign", "[foreign]", "[elsewhere.test]");

static void a_list_leaves_what_it_covers(void **state)
{
	static const struct {
		const char *address;
		uint16_t port;
		bool own, wide, parts, both;
	} addresses[] = {
		{"10.1.2.3", 443, true, true, true, true},
		{"10.1.2.3", 80, false, false, false, false},
		{"10.1.2.4", 443, true, false, true, false},
		{"10.1.9.9", 443, true, false, false, false},
		{"10.2.0.1", 80, true, true, false, false},
		{"10.2.0.1", 853, true, true, false, false},
		{"10.3.0.1", 443, false, false, false, false},
		{"169.254.1.1", 80, true, false, false, false},
		{"169.254.169.254", 80, false, false, false, false}, /* a part names nothing */
		{"127.0.0.1", 9000, true, true, true, true},
		{"::1", 9000, true, true, false, false},
	};
	static const struct {
		const char *name;
		bool own, wide, parts, both;
	} names[] = {
		{"api.co.example", true, true, true, true},
		{"one.wide.co.example", true, true, true, true},
		{"x.wide.co.example", true, true, true, true}, /* *.co.example covers the entry */
		{"x.sub.wide.co.example", true, true, true, true},
		{"chrome.cloudflare-dns.com", false, false, false,
		 false}, /* as no wildcard opens it */
		{"elsewhere.test", false, false, false, false},
	};
	uint32_t own, wide, parts, both, foreign;
	struct zg_snapshot s;
	struct world w;

	(void)state;
	open_world(&w, &s, rules);
	own = zg_snapshot_stdio(&s, "two")->profile;
	wide = narrowed(&w, &s, "two", "wide");
	parts = narrowed(&w, &s, "two", "parts");
	both = narrowed(&w, &s, "two", "both");
	foreign = narrowed(&w, &s, "two", "foreign");
	assert_true(wide && parts && both && foreign);
	assert_true(wide != parts && both != wide && both != parts);
	for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
		const bool want[] = {addresses[i].own, addresses[i].wide, addresses[i].parts,
				     addresses[i].both, false};
		const uint32_t profile[] = {own, wide, parts, both, foreign};

		for (size_t p = 0; p < 5; p++)
			if ((gate(&s, profile[p], addresses[i].address, addresses[i].port) ==
			     ZG_V_ALLOW) != want[p])
				fail_msg("%s %u, profile %zu", addresses[i].address,
					 addresses[i].port, p);
	}
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const bool want[] = {names[i].own, names[i].wide, names[i].parts, names[i].both,
				     false};
		const uint32_t profile[] = {own, wide, parts, both, foreign};

		for (size_t p = 0; p < 5; p++)
			if (resolves(&s, profile[p], names[i].name) != want[p])
				fail_msg("%s, profile %zu", names[i].name, p);
	}
	/* a unix socket is no host */
	for (size_t i = 0; i < s.unix_count; i++)
		assert_false(s.unixes[i].profile == wide || s.unixes[i].profile == both);
	close_world(&w, &s);
}

static void a_worker_may_ask_for_its_servers_profiles_alone(void **state)
{
	uint32_t two, other;
	struct zg_snapshot s;
	struct world w;

	(void)state;
	open_world(&w, &s, rules);
	two = narrowed(&w, &s, "two", "wide");
	other = narrowed(&w, &s, "other", "wide");
	assert_true(two && other && two != other);
	assert_int_equal(zg_snapshot_wide(&s, two), zg_snapshot_stdio(&s, "two")->profile);
	assert_int_equal(zg_snapshot_narrowed(&s, zg_snapshot_stdio(&s, "other")->profile,
					      zg_snapshot_profile(&s, two)),
			 ZG_PROFILE_NONE);
	for (uint32_t id = ZG_PROFILE_FIRST; id < ZG_PROFILE_FIRST + 4; id++) /* as written */
		assert_int_equal(zg_snapshot_narrowed(&s, zg_snapshot_stdio(&s, "two")->profile,
						      zg_snapshot_profile(&s, id)),
				 ZG_PROFILE_NONE);
	/* what reaches nothing needs none */
	assert_true(zg_snapshot_stdio(&s, "none")->offline);
	assert_int_equal(narrowed(&w, &s, "none", "wide"), ZG_PROFILE_NONE);
	close_world(&w, &s);
}

static void only_rules_that_can_be_about_a_server_count(void **state)
{
	struct zg_snapshot s;
	struct world w;

	(void)state;
	open_world(&w, &s,
		   "  - id: one\n    match: {labels: {mcp.server: 'tw*'}}\n"
		   "    decision: ALLOW_WITH_CONSTRAINTS\n"
		   "    constraints: {network_allowlist: ['10.1.2.3']}\n");
	assert_int_not_equal(narrowed(&w, &s, "two", "x"), ZG_PROFILE_NONE);
	assert_int_equal(s.profile_count, 1 + 3 + 1);
	close_world(&w, &s);
}

/* More lists than can be held together: by themselves they all can, and the rest is said. */
static void many_lists_leave_room_for_each(void **state)
{
	char text[8000] = "", *at = text;
	struct zg_snapshot s;
	struct world w;

	(void)state;
	for (int i = 0; i < 40; i++)
		at += snprintf(at, sizeof(text) - (size_t)(at - text),
			       RULE("r%d", "[t%d, all, %s]", "['10.1.0.%d']"), i, i,
			       i < 2 ? "two" : "x", i + 1);
	open_world(&w, &s, text);
	assert_int_not_equal(narrowed(&w, &s, "two", "t0"), ZG_PROFILE_NONE);
	assert_int_not_equal(narrowed(&w, &s, "two", "t39"), ZG_PROFILE_NONE);
	assert_int_equal(narrowed(&w, &s, "two", "two"), ZG_PROFILE_NONE);
	assert_true(w.diag.notices > 0);
	close_world(&w, &s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_list_leaves_what_it_covers),
		cmocka_unit_test(a_worker_may_ask_for_its_servers_profiles_alone),
		cmocka_unit_test(only_rules_that_can_be_about_a_server_count),
		cmocka_unit_test(many_lists_leave_room_for_each),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
