/* SPDX-License-Identifier: Apache-2.0 */
/* The proxy of zerogate.yaml: who is dialled by way of it, and whom the gate lets
 * to it. */
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/mman.h>

#include "policy/world.h"
#include "snapshot.h"

#define MAIN                                                                                       \
	"version: v1\n"                                                                            \
	"profiles:\n"                                                                              \
	"  wide: {cgroups: [a], servers: ['*'], allow: [{cidr: '10.0.0.0/8', port: '1-65535'}]}\n" \
	"  exact: {cgroups: [b], servers: ['*'], allow: [{host: 10.9.9.9, port: 3128}]}\n"
#define PROXY                                                                                      \
	"proxy: {url: 'http://10.9.9.9:3128', no_proxy: ['*.internal', near.example, "             \
	"'192.0.2.0/24', '2001:db8::1']}\n"

/* An entry's URL and what else it says; does it go by way of the proxy? */
static const struct {
	const char *url, *more;
	bool proxied;
} ways[] = {
	{"https://far.example/", "", true},
	{"https://203.0.113.1/", "", true},
	{"https://far.example/", ", \"addresses\": [\"203.0.113.1\"]", true},
	{"https://a.internal/", "", false},
	{"https://internal/", "", true},
	{"https://near.example/", "", false},
	{"https://not-near.example/", "", true},
	{"https://far.example/", ", \"addresses\": [\"203.0.113.1\", \"192.0.2.9\"]", false},
	{"https://[2001:db8::1]/", "", false},
	{"https://[2001:db8::2]/", "", true},
	{"https://10.1.2.3/", "", false},
	{"https://169.254.169.254/", "", false},
	{"https://localhost/", "", false},
	{"https://far.example/", ", \"addresses\": [\"10.1.2.3\"]", false},
	{"https://far.example/", ", \"local\": true", false},
	{"http://far.example/", "", false},
	{"http://far.example/", ", \"proxy\": true", true},
	{"https://10.1.2.3/", ", \"proxy\": true", true},
	{"https://a.internal/", ", \"proxy\": true", true},
	{"https://far.example/", ", \"proxy\": false", false},
};

static void make(struct world *w, const char *main_text, const char *url, const char *more)
{
	char text[1024];
	const char *servers[] = {text, NULL};

	assert_true(snprintf(text, sizeof(text),
			     "{\"name\": \"a/b\", \"description\": \"\", \"version\": \"1\", "
			     "\"remotes\": [{\"type\": \"streamable-http\", \"url\": \"%s\"}], "
			     "\"_meta\": {\"dev.zerogate/registry\": {\"id\": \"x\"%s}}}",
			     url, more) < (int)sizeof(text));
	world_make(w, main_text, NULL, servers);
}

static void open_snapshot(const struct world *w, struct zg_snapshot *s)
{
	zg_autofd int fd = memfd_create("test", MFD_ALLOW_SEALING | MFD_CLOEXEC);
	struct zg_err e = {0};

	assert_true(fd >= 0);
	assert_int_equal(write(fd, w->snapshot.ptr, w->snapshot.len), w->snapshot.len);
	assert_int_equal(
		fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL),
		0);
	assert_int_equal(zg_snapshot_open(s, fd, &e), 0);
}

/* What the gate says to one TCP socket, which has a prefix of its own. */
static int gate(const struct zg_snapshot *s, uint32_t profile, const uint8_t addr[16],
		uint16_t port)
{
	for (size_t i = 0; i < s->prefix_count; i++) {
		if (s->prefixes[i].prefixlen != 128 || memcmp(s->prefixes[i].addr, addr, 16) != 0)
			continue;
		for (size_t r = 0; r < s->rule_count; r++)
			for (uint32_t j = 0; j < s->rules[r].val.count; j++)
				if (s->rules[r].identity == s->prefixes[i].identity &&
				    s->rules[r].direction == ZG_DIR_OUT &&
				    s->rules[r].profile == profile &&
				    s->rules[r].proto == IPPROTO_TCP &&
				    port >= s->rules[r].val.port[j].lo &&
				    port <= s->rules[r].val.port[j].hi)
					return s->rules[r].val.port[j].verdict;
	}
	return ZG_V_DENY;
}

static void the_way_of_a_server(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		struct zg_snapshot s;
		struct world w;

		make(&w, MAIN PROXY, ways[i].url, ways[i].more);
		if (!w.ok)
			print_error("%s: %s\n", ways[i].url, first_error(&w));
		assert_true(w.ok);
		open_snapshot(&w, &s);
		if (s.servers[0].proxied != ways[i].proxied)
			print_error("%s%s\n", ways[i].url, ways[i].more);
		assert_int_equal(s.servers[0].proxied, ways[i].proxied);
		for (size_t e = 0; e < s.endpoint_count; e++)
			assert_int_equal(gate(&s, ZG_PROFILE_GATEWAY, s.endpoints[e].addr,
					      s.endpoints[e].port),
					 ways[i].proxied ? ZG_V_DENY : ZG_V_ALLOW);
		/* workloads are redirected, whichever way the gateway takes */
		for (size_t e = 0; e < s.endpoint_count; e++)
			assert_int_equal(gate(&s, ZG_PROFILE_FIRST + 1, s.endpoints[e].addr,
					      s.endpoints[e].port) == ZG_V_REDIRECT,
					 strcmp(ways[i].url, "https://169.254.169.254/") != 0);
		zg_snapshot_close(&s);
		world_end(&w);
	}
}

static void the_proxy_is_the_gateways(void **state)
{
	struct zg_snapshot s;
	struct world w;
	uint8_t addr[16];

	(void)state;
	assert_int_equal(zg_addr_parse(ZG_SLICE("10.9.9.9"), addr), 0);
	make(&w, MAIN PROXY, "https://far.example/", "");
	assert_true(w.ok);
	open_snapshot(&w, &s);
	assert_int_equal(gate(&s, ZG_PROFILE_GATEWAY, addr, 3128), ZG_V_ALLOW);
	assert_int_equal(gate(&s, ZG_PROFILE_GATEWAY, addr, 3129), ZG_V_DENY);
	assert_int_equal(gate(&s, ZG_PROFILE_FIRST, addr, 3128), ZG_V_DENY);
	assert_int_equal(gate(&s, ZG_PROFILE_FIRST, addr, 3129), ZG_V_ALLOW);
	assert_int_equal(gate(&s, ZG_PROFILE_FIRST + 1, addr, 3128), ZG_V_ALLOW);
	zg_snapshot_close(&s);
	world_end(&w);
}

static void what_cannot_be_meant_is_an_error(void **state)
{
	static const struct {
		const char *proxy, *error;
	} wrong[] = {
		{"proxy: {no_proxy: [a]}\n", "main:5:8: proxy has no 'url'"},
		{"proxy: {url: 'https://p:1'}\n",
		 "main:5:14: url: the proxy itself is spoken to over http"},
		{"proxy: {url: 'http://u:p@p:1'}\n",
		 "main:5:14: url: a user or fragment has no place in it"},
		{"proxy: {url: 'http://p:1/x'}\n", "main:5:14: url: a path means nothing"},
		{"proxy: {url: p}\n", "main:5:14: url: the scheme must be http or https"},
		{"proxy: {url: 'http://10.0.0.1:1', addresses: [10.0.0.2]}\n",
		 "main:5:8: the URL's host is an address, so 'addresses' must go"},
		{"proxy: {url: 'http://p:1', addresses: [q]}\n",
		 "main:5:39: 'q' is not an address"},
		{"proxy: {url: 'http://p:1', no_proxy: ['a b']}\n",
		 "main:5:38: 'a b' is not a host or an address block"},
		{"proxy: {url: 'http://p:1', no_proxy: ['10.0.0.1/8']}\n",
		 "main:5:38: '10.0.0.1/8' has address bits beyond its prefix"},
		{"proxy: {url: 'http://p:1', user: x}\n", "main:5:28: unknown key 'user' in proxy"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		char text[2048];
		struct world w;

		assert_true(snprintf(text, sizeof(text), MAIN "%s", wrong[i].proxy) <
			    (int)sizeof(text));
		make(&w, text, "https://far.example/", "");
		assert_false(w.ok);
		assert_string_equal(first_error(&w), wrong[i].error);
		world_end(&w);
	}
}

static void an_entry_that_wants_a_proxy_that_is_not(void **state)
{
	struct world w;

	(void)state;
	make(&w, MAIN, "https://far.example/", ", \"proxy\": true");
	assert_false(w.ok);
	assert_string_equal(first_error(&w), "s0:0:0: server 'x' is to be dialled by way of a "
					     "proxy, and there is none");
	world_end(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_way_of_a_server),
		cmocka_unit_test(the_proxy_is_the_gateways),
		cmocka_unit_test(what_cannot_be_meant_is_an_error),
		cmocka_unit_test(an_entry_that_wants_a_proxy_that_is_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
