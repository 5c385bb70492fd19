/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whole configurations: the snapshot opens, the order of things means nothing,
 * and a DENY more never allows more.
 */
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/mman.h>

#include "hosts.h"
#include "policy/world.h"
#include "snapshot.h"

static int sealed(const struct zg_buf *b)
{
	int fd = memfd_create("test", MFD_ALLOW_SEALING | MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, b->ptr, b->len), b->len);
	assert_int_equal(
		fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL),
		0);
	return fd;
}

static void open_snapshot(const struct world *w, struct zg_snapshot *s)
{
	zg_autofd int fd = sealed(&w->snapshot);
	struct zg_err e = {0};

	assert_int_equal(zg_snapshot_open(s, fd, &e), 0);
}

/* The verdict of the kernel gate, from the snapshot's tables; no address: bind(). */
static int gate_in(const struct zg_snapshot *s, enum zg_direction direction, uint32_t profile,
		   const char *address, uint16_t port, uint32_t proto)
{
	static const struct zg_prefix_def nobody;
	const struct zg_prefix_def *best = address ? NULL : &nobody;
	uint8_t addr[16];

	if (address)
		assert_int_equal(zg_addr_parse(zg_slice_str(address), addr), 0);
	for (size_t i = 0; address && i < s->prefix_count; i++) {
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
			    s->rules[i].direction == direction && s->rules[i].profile == profile &&
			    s->rules[i].proto == proto && port >= s->rules[i].val.port[j].lo &&
			    port <= s->rules[i].val.port[j].hi)
				return s->rules[i].val.port[j].verdict;
	return ZG_V_DENY;
}

static int gate(const struct zg_snapshot *s, uint32_t profile, const char *address, uint16_t port,
		uint32_t proto)
{
	return gate_in(s, ZG_DIR_OUT, profile, address, port, proto);
}

/* Of a profile; NULL = none that is written exactly so. */
static const struct zg_unix_def *unix_def(const struct zg_snapshot *s, uint32_t profile,
					  const char *path, bool prefix)
{
	for (size_t i = 0; i < s->unix_count; i++)
		if (s->unixes[i].profile == profile && s->unixes[i].prefix == prefix &&
		    strcmp(s->unixes[i].path, path) == 0)
			return &s->unixes[i];
	return NULL;
}

static const char *const main_text =
	"version: v1\n"
	"listen: ['127.0.0.1:7411', '[::1]:7411']\n"
	"workers: 2\n"
	"approvals: {hold_sec: 5, ttl_sec: 60, high_risk_tags: [prod, secret]}\n"
	"approvers: {group: adm, security_group: sec, break_glass_group: glass}\n"
	"owners: {Platform: {group: platform}, Team A: {group: a}}\n"
	"audit: {durability: sync}\n"
	"user: nobody\nledger_user: daemon\n"
	"profiles:\n"
	"  agent:\n"
	"    cgroups: [agents.slice, 'x/*']\n"
	"    servers: ['git*']\n"
	"    allow:\n"
	"      - {cidr: '10.20.0.0/16', port: [5432, '8000-8099']}\n"
	"      - {cidr: '10.30.0.1/32', port: 123, proto: udp}\n"
	"      - {cidr: '169.254.0.0/16', port: '1-65535', proto: [tcp, udp]}\n"
	"      - {host: localhost, port: 9000}\n"
	"      - {host: 192.0.2.7, port: 22}\n"
	"      - {host: api.example.com, port: 443}\n"
	"      - {unix: /run/x.sock}\n"
	"    deny:\n"
	"      - {cidr: '10.20.9.0/24', port: 5432}\n"
	"  other:\n"
	"    mode: audit\n"
	"    allow:\n"
	"      - {cidr: '127.0.0.0/8', port: '1-65535'}\n"
	"      - {host: 169.254.169.254, port: 80}\n";

static void a_configuration_becomes_a_snapshot(void **state)
{
	const uint32_t agent = ZG_PROFILE_FIRST, other = ZG_PROFILE_FIRST + 1;
	struct zg_snapshot s;
	struct world w;

	(void)state;
	world_make(&w, main_text, NULL, world_servers);
	if (!w.ok)
		print_error("%s\n", first_error(&w));
	assert_true(w.ok);
	assert_int_equal(w.diag.notices, 0);
	open_snapshot(&w, &s);
	assert_string_equal(s.settings->user, "nobody");
	assert_int_equal(s.settings->listen_count, 2);
	assert_int_equal(s.settings->hold_sec, 5);
	assert_int_equal(s.settings->durability, ZG_DURABILITY_SYNC);
	assert_string_equal(s.settings->approver_group, "adm");
	assert_string_equal(s.settings->security_group, "sec");
	assert_string_equal(s.settings->break_glass_group, "glass");
	assert_string_equal(s.settings->high_risk_tags, "prod,secret");
	assert_int_equal(s.settings->owner_count, 2);
	assert_string_equal(s.settings->owner[1].name, "Team A");
	assert_string_equal(s.settings->owner[1].group, "a");
	assert_int_equal(s.profile_count, 2);
	assert_string_equal(zg_snapshot_profile(&s, other), "other");
	assert_int_equal(s.profiles[1].mode, ZG_MODE_AUDIT);
	assert_int_equal(s.cgroup_count, 2);
	assert_string_equal(zg_snapshot_server(&s, ZG_SLICE("slack"))->host, "127.0.0.1");
	assert_null(zg_snapshot_server(&s, ZG_SLICE("Slack")));
	/* entries */
	assert_int_equal(gate(&s, agent, "10.20.1.1", 8050, IPPROTO_TCP), ZG_V_ALLOW);
	assert_int_equal(gate(&s, agent, "10.20.1.1", 8100, IPPROTO_TCP), ZG_V_DENY);
	assert_int_equal(gate(&s, agent, "10.20.9.1", 5432, IPPROTO_TCP), ZG_V_DENY);
	assert_int_equal(gate(&s, agent, "10.20.9.1", 8050, IPPROTO_TCP), ZG_V_ALLOW);
	assert_int_equal(gate(&s, agent, "10.30.0.1", 123, IPPROTO_UDP), ZG_V_ALLOW);
	assert_int_equal(gate(&s, agent, "10.30.0.1", 123, IPPROTO_TCP), ZG_V_DENY);
	assert_int_equal(gate(&s, agent, "::1", 9000, IPPROTO_TCP), ZG_V_ALLOW);
	assert_int_equal(gate(&s, agent, "192.0.2.7", 22, IPPROTO_TCP), ZG_V_ALLOW);
	assert_int_equal(gate(&s, other, "192.0.2.7", 22, IPPROTO_TCP), ZG_V_DENY);
	/* cloud metadata: not by a block, only by name */
	assert_int_equal(gate(&s, agent, "169.254.1.1", 80, IPPROTO_TCP), ZG_V_ALLOW);
	assert_int_equal(gate(&s, agent, "169.254.169.254", 80, IPPROTO_TCP), ZG_V_DENY);
	assert_int_equal(gate(&s, other, "169.254.169.254", 80, IPPROTO_TCP), ZG_V_ALLOW);
	/* the gateway's door, and the servers behind it */
	assert_int_equal(gate(&s, agent, "127.0.0.1", 7411, IPPROTO_TCP), ZG_V_REDIRECT);
	assert_int_equal(gate(&s, other, "::1", 7411, IPPROTO_TCP), ZG_V_REDIRECT);
	assert_int_equal(gate(&s, agent, "127.0.0.1", 7001, IPPROTO_TCP), ZG_V_REDIRECT);
	assert_int_equal(gate(&s, agent, "127.0.0.1", 7002, IPPROTO_TCP), ZG_V_DENY);
	assert_int_equal(gate(&s, other, "127.0.0.1", 7003, IPPROTO_TCP), ZG_V_ALLOW);
	assert_int_equal(gate(&s, other, "127.0.0.1", 7002, IPPROTO_TCP), ZG_V_DENY);
	assert_int_equal(gate(&s, ZG_PROFILE_GATEWAY, "127.0.0.1", 7002, IPPROTO_TCP), ZG_V_ALLOW);
	assert_int_equal(gate(&s, ZG_PROFILE_GATEWAY, "127.0.0.1", 7003, IPPROTO_TCP), ZG_V_DENY);
	zg_snapshot_close(&s);
	world_end(&w);
}

static void who_may_dial_which_port(void **state)
{
	static const char text[] = "version: v1\n"
				   "profiles:\n"
				   "  agent:\n"
				   "    allow: [{cidr: '10.1.0.0/16', port: 443}]\n"
				   "    listen:\n"
				   "      - {port: '8000-8099', from: ['10.0.0.0/8', 'fd00::/8']}\n"
				   "      - {port: 5353, proto: [tcp, udp]}\n"
				   "  other: {}\n";
	const uint32_t agent = ZG_PROFILE_FIRST, other = ZG_PROFILE_FIRST + 1;
	struct zg_snapshot s;
	struct world w;

	(void)state;
	world_make(&w, text, NULL, NULL);
	if (!w.ok)
		print_error("%s\n", first_error(&w));
	assert_true(w.ok);
	open_snapshot(&w, &s);
	assert_int_equal(gate_in(&s, ZG_DIR_IN, agent, "10.2.3.4", 8000, IPPROTO_TCP), ZG_V_ALLOW);
	assert_int_equal(gate_in(&s, ZG_DIR_IN, agent, "10.1.3.4", 8099, IPPROTO_TCP), ZG_V_ALLOW);
	assert_int_equal(gate_in(&s, ZG_DIR_IN, agent, "fd00::1", 8050, IPPROTO_TCP), ZG_V_ALLOW);
	assert_int_equal(gate_in(&s, ZG_DIR_IN, agent, "10.2.3.4", 8100, IPPROTO_TCP), ZG_V_DENY);
	assert_int_equal(gate_in(&s, ZG_DIR_IN, agent, "10.2.3.4", 8000, IPPROTO_UDP), ZG_V_DENY);
	assert_int_equal(gate_in(&s, ZG_DIR_IN, agent, "11.2.3.4", 8000, IPPROTO_TCP), ZG_V_DENY);
	assert_int_equal(gate_in(&s, ZG_DIR_IN, agent, "127.0.0.1", 8000, IPPROTO_TCP), ZG_V_DENY);
	assert_int_equal(gate_in(&s, ZG_DIR_IN, other, "10.2.3.4", 8000, IPPROTO_TCP), ZG_V_DENY);
	/* without a word of others: whoever is on this machine */
	assert_int_equal(gate_in(&s, ZG_DIR_IN, agent, "127.9.9.9", 5353, IPPROTO_UDP), ZG_V_ALLOW);
	assert_int_equal(gate_in(&s, ZG_DIR_IN, agent, "::1", 5353, IPPROTO_TCP), ZG_V_ALLOW);
	assert_int_equal(gate_in(&s, ZG_DIR_IN, agent, "10.2.3.4", 5353, IPPROTO_TCP), ZG_V_DENY);
	/* neither way opens the other */
	assert_int_equal(gate(&s, agent, "10.1.3.4", 443, IPPROTO_TCP), ZG_V_ALLOW);
	assert_int_equal(gate(&s, agent, "10.1.3.4", 8000, IPPROTO_TCP), ZG_V_DENY);
	assert_int_equal(gate_in(&s, ZG_DIR_IN, agent, "10.1.3.4", 443, IPPROTO_TCP), ZG_V_DENY);
	/* bind() knows no remote address */
	assert_int_equal(gate_in(&s, ZG_DIR_IN, agent, NULL, 8099, IPPROTO_TCP), ZG_V_ALLOW);
	assert_int_equal(gate_in(&s, ZG_DIR_IN, agent, NULL, 5353, IPPROTO_UDP), ZG_V_ALLOW);
	assert_int_equal(gate_in(&s, ZG_DIR_IN, agent, NULL, 8099, IPPROTO_UDP), ZG_V_DENY);
	assert_int_equal(gate_in(&s, ZG_DIR_IN, agent, NULL, 443, IPPROTO_TCP), ZG_V_DENY);
	assert_int_equal(gate_in(&s, ZG_DIR_IN, other, NULL, 8099, IPPROTO_TCP), ZG_V_DENY);
	zg_snapshot_close(&s);
	world_end(&w);
}

static void deny_wins_among_unix_sockets(void **state)
{
	static const char text[] = "version: v1\n"
				   "profiles:\n"
				   "  agent:\n"
				   "    allow:\n"
				   "      - {unix: '/var/run/pg/*'}\n"
				   "      - {unix: /run/pg/secret-1}\n"
				   "      - {unix: '/run/pg/sub/*'}\n"
				   "      - {unix: '@app-*'}\n"
				   "      - {unix: /var/run/docker.sock}\n"
				   "      - {unix: /run/user/1000/bus}\n"
				   "    deny:\n"
				   "      - {unix: '/run/pg/sec*'}\n"
				   "      - {unix: '@app-x'}\n";
	const uint32_t agent = ZG_PROFILE_FIRST;
	struct zg_snapshot s;
	struct world w;

	(void)state;
	world_make(&w, text, NULL, NULL);
	if (!w.ok)
		print_error("%s\n", first_error(&w));
	assert_true(w.ok);
	assert_int_equal(w.diag.notices, 2); /* Docker's and D-Bus's */
	assert_non_null(strstr(w.diag.item[0].hint, "can start processes outside the gate"));
	open_snapshot(&w, &s);
	assert_int_equal(unix_def(&s, agent, "/run/pg/", true)->verdict, ZG_V_ALLOW);
	assert_int_equal(unix_def(&s, agent, "/run/pg/sec", true)->verdict, ZG_V_DENY);
	assert_int_equal(unix_def(&s, agent, "/run/pg/secret-1", false)->verdict, ZG_V_DENY);
	assert_int_equal(unix_def(&s, agent, "/run/pg/secret-1", false)->reason, ZG_GR_RULE_DENY);
	assert_int_equal(unix_def(&s, agent, "/run/pg/sub/", true)->verdict, ZG_V_ALLOW);
	assert_int_equal(unix_def(&s, agent, "@app-", true)->verdict, ZG_V_ALLOW);
	assert_int_equal(unix_def(&s, agent, "@app-x", false)->verdict, ZG_V_DENY);
	assert_int_equal(unix_def(&s, agent, "/run/docker.sock", false)->verdict, ZG_V_ALLOW);
	assert_int_equal(unix_def(&s, agent, "/run/user/1000/bus", false)->verdict, ZG_V_ALLOW);
	/* of all profiles */
	assert_int_equal(unix_def(&s, ZG_PROFILE_NONE, "/run/docker.sock", false)->reason,
			 ZG_GR_UNIX_CONTROL);
	assert_int_equal(unix_def(&s, ZG_PROFILE_NONE, "/run/user/*/bus", false)->verdict,
			 ZG_V_DENY);
	assert_int_equal(unix_def(&s, ZG_PROFILE_NONE, "/run/dbus/", true)->verdict, ZG_V_DENY);
	for (size_t i = 1; i < s.unix_count; i++)
		assert_true(s.unixes[i - 1].profile < s.unixes[i].profile ||
			    (s.unixes[i - 1].profile == s.unixes[i].profile &&
			     strcmp(s.unixes[i - 1].path, s.unixes[i].path) <= 0));
	zg_snapshot_close(&s);
	world_end(&w);
}

static void shadow_servers_are_killed_on_the_wire_unless_told(void **state)
{
	static const char text[] = "version: v1\n"
				   "profiles:\n"
				   "  a: {}\n"
				   "  b: {shadow_mcp: {wire: audit}}\n"
				   "  c: {shadow_mcp: {wire: off, stdio: kill}}\n";
	static const uint8_t want[][2] = {{ZG_SHADOW_KILL, ZG_SHADOW_OFF},
					  {ZG_SHADOW_AUDIT, ZG_SHADOW_OFF},
					  {ZG_SHADOW_OFF, ZG_SHADOW_KILL}};
	struct zg_snapshot s;
	struct world w;

	(void)state;
	world_make(&w, text, NULL, NULL);
	assert_true(w.ok);
	open_snapshot(&w, &s);
	for (size_t i = 0; i < ZG_COUNT(want); i++) {
		assert_int_equal(s.profiles[i].shadow_wire, want[i][0]);
		assert_int_equal(s.profiles[i].shadow_stdio, want[i][1]);
	}
	zg_snapshot_close(&s);
	world_end(&w);
}

static void people_are_asked_only_where_a_profile_says_so(void **state)
{
	static const char text[] = "version: v1\n"
				   "profiles:\n"
				   "  a: {}\n"
				   "  b: {ask: true}\n"
				   "  c: {ask: false}\n";
	struct zg_snapshot s;
	struct world w;

	(void)state;
	world_make(&w, text, NULL, NULL);
	assert_true(w.ok);
	open_snapshot(&w, &s);
	assert_false(s.profiles[0].asks);
	assert_true(s.profiles[1].asks);
	assert_false(s.profiles[2].asks);
	zg_snapshot_close(&s);
	world_end(&w);
	world_make(&w, "version: v1\nprofiles: {a: {ask: often}}\n", NULL, NULL);
	assert_false(w.ok);
	world_end(&w);
}

static void denied_executables_belong_to_their_profile(void **state)
{
	static const char text[] = "version: v1\n"
				   "profiles:\n"
				   "  a: {}\n"
				   "  b: {exec: {deny: [/usr/bin/docker, /usr/bin/at]}}\n";
	struct zg_snapshot s;
	struct world w;

	(void)state;
	world_make(&w, text, NULL, NULL);
	assert_true(w.ok);
	open_snapshot(&w, &s);
	assert_int_equal(s.exec_count, 2);
	for (size_t i = 0; i < s.exec_count; i++)
		assert_int_equal(s.execs[i].profile, ZG_PROFILE_FIRST + 1);
	assert_string_equal(s.execs[0].path, "/usr/bin/docker");
	assert_string_equal(s.execs[1].path, "/usr/bin/at");
	zg_snapshot_close(&s);
	world_end(&w);
}

/* Host names, and what else DNS changes. */
static void names_and_dns(void **state)
{
	static const char text[] =
		"version: v1\n"
		"dns: {upstream: ['192.0.2.53', '[2001:db8::53]:5353'], grace_sec: 5}\n"
		"profiles:\n"
		"  agent:\n"
		"    allow:\n"
		"      - {host: '*.b.example', port: ['900-1000', 443, '990-1010'], local: true}\n"
		"      - {host: a.example, port: '800-900', proto: [tcp, udp]}\n"
		"      - {cidr: '0.0.0.0/0', port: '1-65535'}\n"
		"      - {cidr: '198.51.100.0/24', port: 853}\n"
		"    deny:\n"
		"      - {host: x.b.example, port: 443}\n"
		"  other:\n"
		"    allow:\n"
		"      - {cidr: '0.0.0.0/0', port: '1-65535'}\n"
		"      - {host: dns.google, port: 443}\n";
	const uint32_t agent = ZG_PROFILE_FIRST, other = ZG_PROFILE_FIRST + 1;
	struct zg_snapshot s;
	struct world w;

	(void)state;
	world_make(&w, text, NULL, world_servers);
	if (!w.ok)
		print_error("%s\n", first_error(&w));
	assert_true(w.ok);
	open_snapshot(&w, &s);
	assert_int_equal(s.name_count, 5);
	assert_string_equal(s.names[0].pattern, "*.b.example");
	assert_true(s.names[0].local && !s.names[0].deny);
	assert_int_equal(s.names[0].proto, IPPROTO_TCP);
	assert_int_equal(s.names[0].val.count, 2); /* 443, 900-1010 */
	assert_int_equal(s.names[0].val.port[1].hi, 1010);
	assert_string_equal(s.names[2].pattern, "a.example");
	assert_int_equal(s.names[2].proto, IPPROTO_UDP);
	assert_int_equal(s.names[2].val.count, 2); /* without 853 */
	assert_true(s.names[3].deny);
	assert_int_equal(s.names[4].profile, other);
	/* the resolver reaches its servers, and nobody else */
	assert_int_equal(s.settings->dns_count, 2);
	assert_int_equal(s.settings->dns[1].port, 5353);
	assert_int_equal(s.settings->dns_grace_sec, 5);
	assert_int_equal(s.settings->dns_ttl_min_sec, ZG_DNS_TTL_MIN_SEC);
	for (int i = 0; i < 2; i++) {
		uint8_t proto = i ? IPPROTO_TCP : IPPROTO_UDP;

		assert_int_equal(gate(&s, ZG_PROFILE_RESOLVER, "192.0.2.53", 53, proto),
				 ZG_V_ALLOW);
		assert_int_equal(gate(&s, ZG_PROFILE_RESOLVER, "2001:db8::53", 5353, proto),
				 ZG_V_ALLOW);
	}
	assert_int_equal(gate(&s, ZG_PROFILE_RESOLVER, "192.0.2.53", 443, IPPROTO_TCP), ZG_V_DENY);
	/* DNS over TLS and HTTPS, by what names it alone */
	assert_int_equal(gate(&s, agent, "203.0.113.1", 852, IPPROTO_TCP), ZG_V_ALLOW);
	assert_int_equal(gate(&s, agent, "203.0.113.1", 853, IPPROTO_TCP), ZG_V_DENY);
	assert_int_equal(gate(&s, agent, "198.51.100.1", 853, IPPROTO_TCP), ZG_V_ALLOW);
	assert_int_equal(gate(&s, agent, "203.0.113.1", 443, IPPROTO_UDP), ZG_V_DENY);
	assert_int_equal(gate(&s, agent, "8.8.8.8", 443, IPPROTO_TCP), ZG_V_DENY);
	assert_int_equal(gate(&s, agent, "8.8.8.8", 80, IPPROTO_TCP), ZG_V_ALLOW);
	assert_int_equal(gate(&s, other, "8.8.8.8", 443, IPPROTO_TCP), ZG_V_ALLOW);
	assert_int_equal(gate(&s, other, "1.1.1.1", 443, IPPROTO_TCP), ZG_V_DENY);
	zg_snapshot_close(&s);
	world_end(&w);
}

/* Which ports of a name go through the gateway. */
static void tls_is_sent_to_the_gateway_where_a_profile_asks(void **state)
{
	static const char text[] =
		"version: v1\n"
		"profiles:\n"
		"  a:\n"
		"    allow:\n"
		"      - {host: a.example, port: ['400-500', 443]}\n"
		"      - {host: b.example, port: 8443, tls: true}\n"
		"      - {host: c.example, port: 443, tls: false, proto: [tcp, udp]}\n"
		"      - {host: d.example, port: 22}\n"
		"    deny:\n"
		"      - {host: e.example, port: 443}\n"
		"    tls: {sni: verify}\n"
		"  b:\n"
		"    allow:\n"
		"      - {host: a.example, port: 443}\n"
		"    tls: {sni: off}\n";
	static const struct {
		size_t name;
		uint32_t count;
		struct zg_port_rule port[3];
	} want[] = {
		{0, 3, {{400, 442, ZG_V_ALLOW}, {443, 443, ZG_V_REDIRECT}, {444, 500, ZG_V_ALLOW}}},
		{1, 1, {{8443, 8443, ZG_V_REDIRECT}}},
		{2, 1, {{443, 443, ZG_V_ALLOW}}}, /* tcp */
		{3, 1, {{443, 443, ZG_V_ALLOW}}}, /* udp */
		{4, 1, {{22, 22, ZG_V_ALLOW}}},
		{6, 1, {{443, 443, ZG_V_ALLOW}}}, /* of b; 5 is the deny entry */
	};
	struct zg_snapshot s;
	struct world w;

	(void)state;
	world_make(&w, text, NULL, NULL);
	if (!w.ok)
		print_error("%s\n", first_error(&w));
	assert_true(w.ok);
	open_snapshot(&w, &s);
	assert_int_equal(s.name_count, 7);
	for (size_t i = 0; i < ZG_COUNT(want); i++) {
		const struct zg_rule_val *v = &s.names[want[i].name].val;

		assert_int_equal(v->count, want[i].count);
		assert_memory_equal(v->port, want[i].port, want[i].count * sizeof(v->port[0]));
	}
	zg_snapshot_close(&s);
	world_end(&w);
}

static void resolv_conf_is_for_those_who_say_nothing(void **state)
{
	static const char text[] =
		"# nameserver 192.0.2.9\nsearch example\n"
		"nameserver 192.0.2.1\nnameserver\t2001:db8::1 \r\n"
		"nameserver fe80::1%eth0\nnameservers 192.0.2.8\nnameserver\n"
		"nameserver 192.0.2.3\nnameserver 192.0.2.4\nnameserver 192.0.2.5";
	struct zg_settings s = {0};

	(void)state;
	zg_resolv_parse(zg_slice_str(text), &s);
	assert_int_equal(s.dns_count, ZG_DNS_UPSTREAM_MAX);
	assert_int_equal(s.dns[0].addr[15], 1);
	assert_int_equal(s.dns[1].addr[0], 0x20);
	assert_int_equal(s.dns[2].addr[15], 3);
	assert_int_equal(s.dns[3].addr[15], 4);
	assert_int_equal(s.dns[3].port, 53);
}

static void settings_alone_can_be_asked_for(void **state)
{
	struct zg_buf out = ZG_BUF(ZG_SNAPSHOT_BYTES);
	struct zg_diag diag = {0};
	struct zg_build *b = zg_build_new(&diag);
	struct world w = {0};
	struct zg_snapshot s;

	(void)state;
	zg_build_add(b, ZG_CF_MAIN, "main", zg_slice_str(main_text));
	assert_int_equal(zg_build_finish(b, ZG_BUILD_SETTINGS, &out, w.id, NULL), 0);
	w.snapshot = out;
	open_snapshot(&w, &s);
	assert_string_equal(s.settings->ledger_user, "daemon");
	assert_int_equal(s.profile_count + s.rule_count + s.server_count, 0);
	zg_snapshot_close(&s);
	zg_build_free(b);
	zg_diag_release(&diag);
	zg_buf_release(&out);
}

static const struct {
	const char *text;
	const char *error;
} wrong_main[] = {
	{"version: v1\n", "main:1:1: the configuration has no 'profiles'"},
	{"version: v1\nprofiles: {}\n",
	 "main:2:11: profiles must be a map: name: {...}, with at least one"},
	{"version: v1\nlisten: ['0.0.0.0:1']\nprofiles: {a: {}}\n",
	 "main:2:10: '0.0.0.0:1' is not a loopback address"},
	{"version: v1\nlisten: ['127.0.0.1:0']\nprofiles: {a: {}}\n",
	 "main:2:10: '127.0.0.1:0' is not an address and port"},
	{"version: v1\nlisten: ['::1:80']\nprofiles: {a: {}}\n",
	 "main:2:10: '::1:80' is not an address and port"},
	{"version: v1\nworkers: 0\nprofiles: {a: {}}\n", "main:2:10: workers: 0 is out of range"},
	{"version: v1\nowners: {}\nprofiles: {a: {}}\n",
	 "main:2:9: owners must be a map: name: {group: G}, with at least one"},
	{"version: v1\nowners: {A: {}}\nprofiles: {a: {}}\n", "main:2:13: an owner has no 'group'"},
	{"version: v1\napprovers: {group: ''}\nprofiles: {a: {}}\n",
	 "main:2:20: the name of a group is empty"},
	{"version: v1\nregistry: submit\nprofiles: {a: {}}\n",
	 "main:2:11: registry must be a map (key: value)"},
	{"version: v1\nregistry: {files: maybe}\nprofiles: {a: {}}\n",
	 "main:2:19: 'maybe' says not what a file in servers/ is"},
	{"version: v1\nregistry: {files: [submit]}\nprofiles: {a: {}}\n",
	 "main:2:19: files: expected text, found a list"},
	{"version: v1\nregistry: {file: submit}\nprofiles: {a: {}}\n",
	 "main:2:12: unknown key 'file' in registry"},
	{"version: v1\nregistry: {files: live, files: submit}\nprofiles: {a: {}}\n",
	 "main:2:25: duplicate key 'files'"},
	{"version: v1\napprovals: {high_risk_tags: ['a b']}\nprofiles: {a: {}}\n",
	 "main:2:29: 'a b' is not a risk tag"},
	{"version: v1\nuser: a\nledger_user: a\nprofiles: {a: {}}\n",
	 "main:1:1: user and ledger_user are the same"},
	{"version: v1\ncgroup_root: x\nprofiles: {a: {}}\n",
	 "main:2:14: cgroup_root must be 'auto' or an absolute path"},
	{"version: v1\nprofiles:\n  a: {mode: off}\n", "main:3:13: 'off' is not a mode"},
	{"version: v1\nprofiles:\n  a: {cgroups: ['../x']}\n",
	 "main:3:16: '../x' is not a cgroup below cgroup_root"},
	{"version: v1\nprofiles:\n  a: {cgroups: [x, '']}\n",
	 "main:3:16: '' is not a cgroup below cgroup_root"},
	{"version: v1\nprofiles:\n  a: {cgroups: ['zerogate.slice/']}\n",
	 "main:3:16: 'zerogate.slice/' is not a cgroup below cgroup_root"},
	{"version: v1\nprofiles:\n  a: {cgroups: ['a//b']}\n",
	 "main:3:16: 'a//b' is not a cgroup below cgroup_root"},
	{"version: v1\nprofiles:\n  a:\n    allow:\n      - {cidr: 10.0.0.1/8, port: 1}\n",
	 "main:5:16: '10.0.0.1/8' has address bits beyond its prefix"},
	{"version: v1\nprofiles:\n  a:\n    allow:\n      - {cidr: 10.0.0.0/33, port: 1}\n",
	 "main:5:16: '10.0.0.0/33' is not an address block"},
	{"version: v1\nprofiles:\n  a:\n    allow:\n      - {cidr: 10.0.0.0, port: 1}\n",
	 "main:5:16: '10.0.0.0' is not an address block"},
	{"version: v1\nprofiles:\n  a:\n    allow:\n      - {cidr: 10.0.0.0/8}\n",
	 "main:5:9: an entry needs a port"},
	{"version: v1\nprofiles:\n  a:\n    allow:\n      - {cidr: 10.0.0.0/8, port: 8-7}\n",
	 "main:5:34: '8-7' is not a port"},
	{"version: v1\nprofiles:\n  a:\n    allow:\n      - {cidr: 10.0.0.0/8, port: 0}\n",
	 "main:5:34: '0' is not a port"},
	{"version: v1\nprofiles:\n  a:\n    allow:\n      - {cidr: 10.0.0.0/8, port: 1, proto: "
	 "icmp}\n",
	 "main:5:44: 'icmp' is not a protocol"},
	{"version: v1\nprofiles:\n  a:\n    allow:\n      - {port: 1}\n",
	 "main:5:9: an entry names exactly one of cidr, host, unix"},
	{"version: v1\nprofiles:\n  a:\n    allow:\n      - {host: a.example, cidr: 10.0.0.0/8, "
	 "port: 1}\n",
	 "main:5:9: an entry names exactly one of cidr, host, unix"},
	{"version: v1\nprofiles:\n  a:\n    allow:\n      - {host: 'http://x', port: 1}\n",
	 "main:5:16: 'http://x' is not a host"},
	{"version: v1\nprofiles:\n  a:\n    allow:\n      - {cidr: 10.0.0.0/8, port: "
	 "[1,3,5,7,9,11,13,15,17,19,21,23,25,27,29,31,33]}\n",
	 "main:5:9: more than 16 separate port ranges for one address, overlapping entries "
	 "included"},
	{"version: v1\nprofiles:\n  a: {shadow_mcp: {wire: no}}\n",
	 "main:3:26: 'no' says not what happens to shadow servers"},
	{"version: v1\nprofiles:\n  a: {shadow_mcp: {pipe: off}}\n",
	 "main:3:20: unknown key 'pipe' in shadow_mcp"},
	{"version: v1\nprofiles:\n  a: {tls: {sni: maybe}}\n",
	 "main:3:18: 'maybe' says not what happens to server names"},
	{"version: v1\nprofiles:\n  a:\n    allow:\n      - {host: a.example, port: 443, tls: "
	 "true}\n",
	 "main:5:9: tls counts only in a profile with tls: {sni: verify}"},
	{"version: v1\nprofiles:\n  a:\n    allow:\n      - {cidr: 10.0.0.0/8, port: 443, tls: "
	 "true}"
	 "\n    tls: {sni: verify}\n",
	 "main:5:44: tls is for allow entries that name a host"},
	{"version: v1\nprofiles:\n  a:\n    allow:\n      - {host: a.example, port: 443, tls: 1}\n"
	 "    tls: {sni: verify}\n",
	 "main:5:43: tls is true or false"},
	{"version: v1\nprofiles:\n  a:\n    allow:\n      - {host: a.example, port: 443, proto: "
	 "udp}\n    tls: {sni: verify}\n",
	 "main:5:9: QUIC hides its server name: udp cannot be verified"},
	{"version: v1\nprofiles:\n  a: {exec: {deny: [docker]}}\n",
	 "main:3:20: 'docker' is not the path of an executable"},
	{"version: v1\nprofiles:\n  a: {exec: {allow: [/bin/sh]}}\n",
	 "main:3:14: unknown key 'allow' in exec"},
	{"version: v1\nprofiles:\n  a: {listen: 8000}\n",
	 "main:3:15: listen must be a list of entries"},
	{"version: v1\nprofiles:\n  a:\n    listen:\n      - {from: 10.0.0.0/8}\n",
	 "main:5:9: a listen entry has no 'port'"},
	{"version: v1\nprofiles:\n  a:\n    listen:\n      - {port: 80, from: 10.0.0.1}\n",
	 "main:5:26: '10.0.0.1' is not an address block"},
	{"version: v1\nprofiles:\n  a:\n    listen:\n      - {port: '7000-8000', from: "
	 "[10.0.0.0/8, 11.0.0.0/8]}\n",
	 "main:5:9: port 7411 is the gateway's"},
	{"version: v1\nprofiles:\n  a:\n    listen:\n      - {port: 9000}\nlisten: "
	 "['127.0.0.1:9000']\n",
	 "main:5:9: port 9000 is the gateway's"},
	{"version: v1\nprofiles:\n  a:\n    allow:\n      - {unix: run/x}\n",
	 "main:5:16: 'run/x' is not a socket path"},
	{"version: v1\nprofiles:\n  a:\n    allow:\n      - {unix: '/run/*/x'}\n",
	 "main:5:16: '/run/*/x' has a '*' before its end"},
	{"version: v1\nprofiles:\n  a:\n    allow:\n      - {unix: /run/../x}\n",
	 "main:5:16: '/run/../x' is not a plain path"},
	{"version: v1\nprofiles:\n  a:\n    deny:\n      - {unix: /run//x}\n",
	 "main:5:16: '/run//x' is not a plain path"},
	{"version: v1\nprofiles:\n  a:\n    deny:\n      - {unix: /run/x/}\n",
	 "main:5:16: '/run/x/' is not a plain path"},
	{"version: v1\nprofiles:\n  a:\n    allow:\n      - {unix: "
	 "/1234567890123456789012345678901234567890123456789012345678901234567890123456789012345678"
	 "9012345678901234567}\n",
	 "main:5:16: "
	 "'/"
	 "1234567890123456789012345678901234567890123456789012345678901234567890123456789012345678"
	 "9012345678901234567' is longer than a socket's path can be"},
	{"version: v1\nprofiles:\n  a:\n    allow:\n      - {unix: /run/x, port: 1}\n",
	 "main:5:9: a unix socket has no port"},
};

static void wrong_settings_say_where(void **state)
{
	size_t failed = 0;

	(void)state;
	for (size_t i = 0; i < ZG_COUNT(wrong_main); i++) {
		struct world w;

		world_make(&w, wrong_main[i].text, NULL, NULL);
		assert_false(w.ok);
		/* a notice about a name may stand before the error */
		if (strcmp(first_error(&w), wrong_main[i].error) != 0) {
			print_error("%s\nexpected %s\ngot      %s\n", wrong_main[i].text,
				    wrong_main[i].error, first_error(&w));
			failed++;
		}
		world_end(&w);
	}
	assert_int_equal(failed, 0);
}

/* property: order, comments and files mean nothing ------------------------------ */

static uint64_t seed = 1;

static unsigned chance(unsigned n)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)((seed >> 33) % n);
}

#define RULES 24

static void random_rule(char *out, size_t size, int id)
{
	static const char *const labels[] = {"mcp.action: read", "mcp.action: write",
					     "mcp.tool: 'g*'",	 "mcp.tool: [push, plain]",
					     "env: prod",	 "mcp.server: github"};
	static const char *const ends[] = {
		"decision: DENY", "decision: REQUIRE_APPROVAL", "decision: ALLOW",
		"decision: ALLOW\n    constraints: {max_runtime_sec: 9}",
		"decision: ALLOW_WITH_CONSTRAINTS\n    constraints: {max_retries: 1}"};

	(void)snprintf(out, size, "  - id: r%02d\n    match: {labels: {%s}%s}\n%s    %s\n", id,
		       labels[chance(6)], chance(3) ? "" : ", risk_tags: [prod, non_prod]",
		       chance(4) ? "" : "    unless: {risk_tags: [secret]}\n", ends[1 + chance(4)]);
}

static void join_rules(char *out, size_t size, char rule[][256], const int *order, int from, int to)
{
	size_t n = (size_t)snprintf(out, size, "version: v1\nrules:\n");

	for (int i = from; i < to; i++)
		n += (size_t)snprintf(out + n, size - n, "%s%s", chance(2) ? "# comment\n" : "",
				      rule[order[i]]);
	if (from == to)
		(void)snprintf(out, size, "version: v1\nrules: []\n");
}

static const char *const tools[] = {"get_me",	    "get_secret_x", "push", "plain",
				    "create_issue", "other",	    ""};

static void order_and_files_mean_nothing(void **state)
{
	(void)state;
	for (int round = 0; round < 20; round++) {
		char rule[RULES][256], text[2][RULES * 300];
		const char *one[] = {text[0], NULL}, *two[] = {text[1], text[0], NULL};
		const char *servers[] = {world_servers[1], world_servers[0], NULL};
		int order[RULES];
		struct world a, b;

		for (int i = 0; i < RULES; i++) {
			random_rule(rule[i], sizeof(rule[i]), i);
			order[i] = i;
		}
		join_rules(text[0], sizeof(text[0]), rule, order, 0, RULES);
		world_make(&a, NULL, one, world_servers);
		assert_true(a.ok);
		for (int i = RULES - 1; i > 0; i--) {
			int j = (int)chance((unsigned)i + 1), swap = order[i];

			order[i] = order[j];
			order[j] = swap;
		}
		join_rules(text[0], sizeof(text[0]), rule, order, 0, RULES / 3);
		join_rules(text[1], sizeof(text[1]), rule, order, RULES / 3, RULES);
		world_make(&b, NULL, two, servers);
		assert_true(b.ok);
		assert_memory_equal(a.id, b.id, sizeof(a.id));
		for (size_t t = 0; t < ZG_COUNT(tools); t++) {
			struct zg_decision x = judge(&a, "github", "tools/call", tools[t]);
			struct zg_decision y = judge(&b, "github", "tools/call", tools[t]);

			assert_memory_equal(&x, &y, sizeof(x));
		}
		world_end(&a);
		world_end(&b);
	}
}

static void a_deny_more_never_allows_more(void **state)
{
	(void)state;
	for (int round = 0; round < 60; round++) {
		char rule[RULES][256], text[RULES * 300], deny[512];
		const char *before[] = {text, NULL}, *after[] = {text, deny, NULL};
		int order[RULES];
		struct world a, b;

		for (int i = 0; i < RULES; i++) {
			random_rule(rule[i], sizeof(rule[i]), i);
			order[i] = i;
		}
		join_rules(text, sizeof(text), rule, order, 0, RULES);
		(void)snprintf(deny, sizeof(deny),
			       "version: v1\nrules:\n  - id: deny\n    decision: DENY\n"
			       "    match: {labels: {mcp.tool: '%s*'}}\n",
			       (const char *[]){"", "g", "p", "get_s"}[chance(4)]);
		world_make(&a, NULL, before, world_servers);
		world_make(&b, NULL, after, world_servers);
		assert_true(a.ok && b.ok);
		assert_memory_not_equal(a.id, b.id, sizeof(a.id));
		for (size_t t = 0; t < ZG_COUNT(tools); t++)
			assert_true(judge(&b, "github", "tools/call", tools[t]).kind <=
				    judge(&a, "github", "tools/call", tools[t]).kind);
		world_end(&a);
		world_end(&b);
	}
}

/* Same meaning, same id; other meaning, other id. */
static void the_id_names_the_meaning(void **state)
{
#define BASE(match, tail)                                                                          \
	"version: v1\nrules:\n  - id: r\n    match: {" match "}\n    decision: ALLOW\n" tail
	static const struct {
		const char *text;
		bool same;
	} variants[] = {
		{BASE("labels: {env: [a, b], k: v}", ""), true},
		{BASE("labels: {k: 'v', env: [b, a, a]}", "    description: any\n"), true},
		{"# words\n" BASE("labels: {k: [v], env: [b, a]}", "default_decision: DENY\n"),
		 true},
		{BASE("labels: {env: [a, c], k: v}", ""), false},
		{BASE("labels: {env: [a, b]}", ""), false},
		{BASE("labels: {env: [a, b], k: v}", "    constraints: {max_retries: 0}\n"), false},
		{BASE("labels: {env: [a, b], k: v}", "    reason: because\n"), false},
		{BASE("labels: {env: [a, b], k: v}", "default_decision: ALLOW\n"), false},
	};
#undef BASE
	struct world first;
	const char *policies[] = {variants[0].text, NULL};

	(void)state;
	world_make(&first, NULL, policies, world_servers);
	for (size_t i = 0; i < ZG_COUNT(variants); i++) {
		struct world w;

		policies[0] = variants[i].text;
		world_make(&w, NULL, policies, world_servers);
		assert_true(w.ok);
		assert_int_equal(memcmp(w.id, first.id, sizeof(w.id)) == 0, variants[i].same);
		world_end(&w);
	}
	world_end(&first);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_configuration_becomes_a_snapshot),
		cmocka_unit_test(who_may_dial_which_port),
		cmocka_unit_test(deny_wins_among_unix_sockets),
		cmocka_unit_test(shadow_servers_are_killed_on_the_wire_unless_told),
		cmocka_unit_test(people_are_asked_only_where_a_profile_says_so),
		cmocka_unit_test(denied_executables_belong_to_their_profile),
		cmocka_unit_test(names_and_dns),
		cmocka_unit_test(tls_is_sent_to_the_gateway_where_a_profile_asks),
		cmocka_unit_test(resolv_conf_is_for_those_who_say_nothing),
		cmocka_unit_test(settings_alone_can_be_asked_for),
		cmocka_unit_test(wrong_settings_say_where),
		cmocka_unit_test(order_and_files_mean_nothing),
		cmocka_unit_test(a_deny_more_never_allows_more),
		cmocka_unit_test(the_id_names_the_meaning),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
