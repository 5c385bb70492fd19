/* SPDX-License-Identifier: Apache-2.0 */
/*
 * decide_bench.c - how long one decision takes, classification included, for
 * 10, 1,000 and 10,000 rules in one run. The rules are what a large company
 * would write: a few for everybody, and some twenty for each server, exact and
 * with patterns, with risk tags, exceptions and constraints.
 */
#include <time.h>

#include "compile.h"
#include "decide.h"
#include "parse.h"

#define ROUNDS	   200000
#define PER_SERVER 20

static const char *const common_rules =
	"version: v1\nrules:\n"
	"  - id: unregistered\n    match: {labels: {mcp.server: '*'}}\n"
	"    mcp: {deny_servers_not_in: [%s]}\n    decision: DENY\n"
	"  - id: reads\n    match: {labels: {mcp.action: read, mcp.server: [s0, s1, s2]}}\n"
	"    decision: ALLOW\n"
	"  - id: prod-writes\n    match: {labels: {mcp.action: write}, risk_tags: [prod]}\n"
	"    decision: REQUIRE_APPROVAL\n    constraints: {max_runtime_sec: 60, max_retries: 1}\n"
	"  - id: no-deletes\n    match: {labels: {mcp.tool: 'delete_*'}}\n    decision: DENY\n";

static void one_rule(struct zg_buf *text, unsigned i)
{
	unsigned server = i / PER_SERVER;

	zg_buf_fmt(text, "  - id: r%u\n    match:\n      labels:\n        mcp.server: s%u\n", i,
		   server);
	switch (i % 4) {
	case 0:
		zg_buf_fmt(text, "        mcp.tool: tool_%u\n    decision: ALLOW\n",
			   i % PER_SERVER);
		break;
	case 1:
		zg_buf_fmt(text,
			   "        mcp.tool: ['get_%u_*', list_%u]\n    unless: {labels: {env: "
			   "prod}}\n    decision: ALLOW\n",
			   i % PER_SERVER, i % PER_SERVER);
		break;
	case 2:
		zg_buf_fmt(text,
			   "        team: t%u\n      risk_tags: [non_prod]\n    decision: "
			   "ALLOW_WITH_CONSTRAINTS\n    constraints: {max_runtime_sec: %u, "
			   "network_allowlist: [api%u.example.com]}\n",
			   server % 7, 10 + i % 50, server);
		break;
	default:
		zg_buf_fmt(text, "        mcp.tool: drop_%u\n    decision: DENY\n", i % PER_SERVER);
	}
}

static void policy_text(struct zg_buf *text, unsigned rules)
{
	zg_autobuf ids = ZG_BUF(1 << 20);

	for (unsigned s = 0; s <= rules / PER_SERVER; s++)
		zg_buf_fmt(&ids, "%ss%u", s ? ", " : "", s);
	zg_buf_char(&ids, '\0');
	zg_buf_fmt(text, "%.*s", (int)(strstr(common_rules, "%s") - common_rules), common_rules);
	zg_buf_str(text, ids.ptr);
	zg_buf_str(text, strstr(common_rules, "%s") + 2);
	for (unsigned i = 0; i + 4 < rules; i++)
		one_rule(text, i);
}

static void servers(struct zg_arena *a, struct zg_server_src *s, unsigned count)
{
	static struct zg_tool_src tools[] = {
		{.pattern = {"get_*", 5}, .action = ZG_ACTION_READ},
		{.pattern = {"list_*", 6}, .action = ZG_ACTION_READ},
		{.pattern = {"tool_4", 6}, .action = ZG_ACTION_WRITE},
	};
	static struct zg_slice tag = {"non_prod", 8};
	static struct zg_label_src labels[] = {{{"env", 3}, {"test", 4}}, {{"team", 4}, {"t3", 2}}};
	char name[32];

	for (unsigned i = 0; i < count; i++) {
		(void)snprintf(name, sizeof(name), "s%u", i);
		s[i] = (struct zg_server_src){
			.id = {zg_arena_copy(a, zg_slice_str(name)), strlen(name)},
			.labels = {labels, 2},
			.risk_tags = {&tag, 1},
			.tools = tools,
			.tool_count = ZG_COUNT(tools),
		};
	}
}

static int by_ns(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static uint64_t now(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void measure(const struct zg_policy *p, unsigned rules, unsigned server_count)
{
	static uint32_t ns[ROUNDS];
	static const char *const tools[] = {"get_5_x", "tool_4", "drop_7", "list_9",
					    "create_thing"};
	uint64_t seed = 88172645463325252u, matched = 0;

	for (unsigned i = 0; i < ROUNDS; i++) {
		struct zg_envelope env = {.method = ZG_SLICE("tools/call")};
		struct zg_decision d;
		char server[32];
		uint64_t start;

		seed ^= seed << 13;
		seed ^= seed >> 7;
		seed ^= seed << 17;
		(void)snprintf(server, sizeof(server), "s%u", (unsigned)(seed % server_count));
		env.server = zg_slice_str(server);
		env.tool = zg_slice_str(tools[(seed >> 32) % ZG_COUNT(tools)]);
		start = now();
		if (zg_envelope_classify(p, &env) < 0)
			abort(); /* the server is registered: see servers() */
		zg_decide(p, &env, &d);
		ns[i] = (uint32_t)(now() - start);
		matched += d.matched;
	}
	qsort(ns, ROUNDS, sizeof(ns[0]), by_ns);
	printf("%8u %10u %10u %10u %12.2f\n", rules, ns[ROUNDS / 2], ns[ROUNDS / 100 * 99],
	       ns[ROUNDS / 1000 * 999], (double)matched / ROUNDS);
}

static int one_size(unsigned rules)
{
	const unsigned server_count = rules / PER_SERVER + 1;
	zg_autobuf text = ZG_BUF(1 << 24), section = ZG_BUF(1 << 28);
	zg_autofree struct zg_server_src *s = calloc(server_count, sizeof(*s));
	struct zg_policy_src source = {0};
	struct zg_arena arena;
	struct zg_diag diag = {0};
	struct zg_yaml_ctx ctx = {"bench", &arena, &diag};
	struct zg_policy p;
	struct zg_err e;
	int r = 1;

	zg_arena_init(&arena, 1u << 30);
	policy_text(&text, rules);
	zg_policy_parse(&ctx, zg_buf_slice(&text), &source);
	servers(&arena, s, server_count);
	if (diag.errors)
		fprintf(stderr, "decide_bench: line %u: %s\n", diag.item[0].line,
			diag.item[0].what);
	else if (zg_policy_compile(&source, s, server_count, &arena, &section, &e) < 0 ||
		 zg_policy_open(&p, section.ptr, section.len, &e) < 0)
		fprintf(stderr, "decide_bench: %s\n", e.what);
	else {
		measure(&p, rules, server_count);
		r = 0;
	}
	zg_diag_release(&diag);
	zg_arena_release(&arena);
	return r;
}

int main(void)
{
	static const unsigned sizes[] = {10, 1000, 10000};

	printf("one decision in ns, classification included (%d calls each)\n", ROUNDS);
	printf("%8s %10s %10s %10s %12s\n", "rules", "p50", "p99", "p99.9", "matched/call");
	for (size_t i = 0; i < ZG_COUNT(sizes); i++)
		if (one_size(sizes[i]))
			return 1;
	return 0;
}
