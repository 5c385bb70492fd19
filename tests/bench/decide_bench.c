/* SPDX-License-Identifier: Apache-2.0 */
/*
 * decide_bench.c - how long one decision takes, classification included, for
 * 10, 1,000 and 10,000 rules in one run. The rules are what a large company
 * would write: a few for everybody, and some twenty for each server, exact and
 * with patterns, with risk tags, exceptions and constraints; a quarter of them
 * ask what a call's arguments are, who calls and when.
 */
#include <time.h>

#include "compile.h"
#include "decide.h"
#include "parse.h"

#define ROUNDS	   20000 /* of each size, PASSES times in turn */
#define PASSES	   9
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

/* Of every call of the server they must be evaluated. */
static void one_condition(struct zg_buf *text, unsigned i)
{
	switch (i / 4 % 3) {
	case 0:
		zg_buf_fmt(text,
			   "      args: {/path: {regex: '^/srv/%u/[a-z]+\\z'}, /n: {max: 99}}\n",
			   i);
		break;
	case 1:
		zg_buf_fmt(text,
			   "      principal: {uid: ['7%u', '2000-2999'], cgroup: 'batch/*'}\n", i);
		break;
	default:
		zg_buf_fmt(text,
			   "      args: {/kind: ['k%u', 'bulk*']}\n      time: {days: [mon, tue], "
			   "from: '22:00', to: '06:00'}\n",
			   i);
	}
	zg_buf_str(text, "    decision: DENY\n");
}

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
		one_condition(text, i);
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
	static uint32_t profiles[] = {1};
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
			.profiles = profiles,
			.profile_count = 1,
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

struct size {
	unsigned rules, servers;
	struct zg_policy policy;
	struct zg_arena arena;
	struct zg_buf section;
	uint32_t p50[PASSES], p99[PASSES];
	uint64_t matched;
};

static void measure(struct size *z, int pass, uint64_t *random, const json_t *arguments)
{
	static const char *const tools[] = {"get_5_x", "tool_4", "drop_7", "list_9",
					    "create_thing"};
	static const struct zg_principal who = {
		.uid = 1000, .profile_id = 1, .profile = "agent", .cgroup = "agents/one"};
	static uint32_t ns[ROUNDS];
	uint64_t seed = *random;

	for (unsigned i = 0; i < ROUNDS; i++) {
		struct zg_envelope env = {.method = ZG_SLICE("tools/call"),
					  .arguments = arguments,
					  .principal = &who,
					  .time_sec = 1700000000 + i};
		struct zg_decision d;
		char server[32];
		uint64_t start;

		seed ^= seed << 13;
		seed ^= seed >> 7;
		seed ^= seed << 17;
		(void)snprintf(server, sizeof(server), "s%u", (unsigned)(seed % z->servers));
		env.server = zg_slice_str(server);
		env.tool = zg_slice_str(tools[(seed >> 32) % ZG_COUNT(tools)]);
		start = now();
		if (zg_envelope_classify(&z->policy, &env) < 0)
			abort(); /* the server is registered: see servers() */
		zg_decide(&z->policy, &env, &d);
		ns[i] = (uint32_t)(now() - start);
		z->matched += d.matched;
	}
	*random = seed;
	qsort(ns, ROUNDS, sizeof(ns[0]), by_ns);
	z->p50[pass] = ns[ROUNDS / 2];
	z->p99[pass] = ns[ROUNDS / 100 * 99];
}

static int prepare(struct size *z)
{
	zg_autobuf text = ZG_BUF(1 << 24);
	zg_autofree struct zg_server_src *s = calloc(z->servers, sizeof(*s));
	struct zg_policy_src source = {0};
	struct zg_diag diag = {0};
	struct zg_yaml_ctx ctx = {"bench", &z->arena, &diag};
	struct zg_err e;
	int r = 1;

	zg_arena_init(&z->arena, 1u << 30);
	z->section = ZG_BUF(1 << 28);
	policy_text(&text, z->rules);
	zg_policy_parse(&ctx, zg_buf_slice(&text), &source);
	servers(&z->arena, s, z->servers);
	if (!diag.errors)
		zg_policy_check(&source, &z->arena, &diag);
	if (diag.errors)
		fprintf(stderr, "decide_bench: line %u: %s\n", diag.item[0].line,
			diag.item[0].what);
	else if (zg_policy_compile(&source, s, z->servers, &z->arena, &z->section, &e) < 0 ||
		 zg_policy_open(&z->policy, z->section.ptr, z->section.len, &e) < 0)
		fprintf(stderr, "decide_bench: %s\n", e.what);
	else
		r = 0;
	zg_diag_release(&diag);
	return r;
}

static void report(struct size *z)
{
	qsort(z->p50, PASSES, sizeof(z->p50[0]), by_ns);
	qsort(z->p99, PASSES, sizeof(z->p99[0]), by_ns);
	printf("%8u %10u %10u %12.2f\n", z->rules, z->p50[PASSES / 2], z->p99[PASSES / 2],
	       (double)z->matched / ROUNDS / PASSES);
}

int main(void)
{
	static struct size sizes[] = {{.rules = 10}, {.rules = 1000}, {.rules = 10000}};
	struct size *last = &sizes[ZG_COUNT(sizes) - 1];
	json_t *arguments = json_loads("{\"path\":\"/home/user/project/file\",\"n\":7,"
				       "\"kind\":\"single\"}",
				       0, NULL);
	uint64_t random = 88172645463325252u;
	int r = 0;

	for (size_t i = 0; i < ZG_COUNT(sizes) && r == 0; i++) {
		sizes[i].servers = sizes[i].rules / PER_SERVER + 1;
		r = prepare(&sizes[i]);
	}
	for (int pass = 0; pass < PASSES && r == 0; pass++)
		for (size_t i = 0; i < ZG_COUNT(sizes); i++)
			measure(&sizes[i], pass, &random, arguments);
	if (r == 0) {
		printf("one decision in ns, classification included (medians of %d runs of %d)\n",
		       PASSES, ROUNDS);
		printf("%8s %10s %10s %12s\n", "rules", "p50", "p99", "matched/call");
		for (size_t i = 0; i < ZG_COUNT(sizes); i++)
			report(&sizes[i]);
		printf("from %u to %u rules: p50 x%.2f, p99 x%.2f\n", sizes[0].rules, last->rules,
		       (double)last->p50[PASSES / 2] / sizes[0].p50[PASSES / 2],
		       (double)last->p99[PASSES / 2] / sizes[0].p99[PASSES / 2]);
	}
	for (size_t i = 0; i < ZG_COUNT(sizes); i++) {
		zg_policy_close(&sizes[i].policy);
		zg_buf_release(&sizes[i].section);
		zg_arena_release(&sizes[i].arena);
	}
	json_decref(arguments);
	return r;
}
