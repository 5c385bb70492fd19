/* SPDX-License-Identifier: Apache-2.0 */
/*
 * policy_decide.c - policy.mjs's measure of zerogate: decides the calls of a file
 * under a configuration, classification included, and prints one JSON object:
 * nanoseconds at the median and at the 99th percentile, the medians of some rounds
 * (what else the machine does falls into few of them), and each call's decision.
 */
#include <time.h>

#include "decide.h"
#include "load.h"

#define ROUNDS	  9
#define DECISIONS 20000
#define CALLS_MAX 10000

struct call {
	struct zg_slice server;
	struct zg_slice tool;
};

static uint64_t now(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int by_ns(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

/* "server tool" a line; kept until the end. */
static size_t read_calls(const char *file, struct call *call)
{
	FILE *in = fopen(file, "re");
	char server[128], tool[128];
	size_t n = 0;

	while (in && n < CALLS_MAX && fscanf(in, "%127s %127s", server, tool) == 2) {
		call[n].server = (struct zg_slice){strdup(server), strlen(server)};
		call[n].tool = (struct zg_slice){strdup(tool), strlen(tool)};
		n++;
	}
	if (in)
		(void)fclose(in);
	return n;
}

static enum zg_decision_kind decide(const struct zg_policy *p, const struct call *c)
{
	struct zg_envelope env = {
		.server = c->server, .tool = c->tool, .method = ZG_SLICE("tools/call")};
	struct zg_decision d;

	if (zg_envelope_classify(p, &env) < 0)
		return ZG_D_DENY;
	zg_decide(p, &env, &d);
	return d.kind;
}

static void measure(const struct zg_policy *p, const struct call *call, size_t n)
{
	static uint32_t ns[DECISIONS];
	uint32_t p50[ROUNDS], p99[ROUNDS];

	for (size_t round = 0; round < ROUNDS; round++) {
		for (size_t i = 0; i < DECISIONS; i++) {
			uint64_t start = now();

			(void)decide(p, &call[i % n]);
			ns[i] = (uint32_t)(now() - start);
		}
		qsort(ns, DECISIONS, sizeof(ns[0]), by_ns);
		p50[round] = ns[DECISIONS / 2];
		p99[round] = ns[DECISIONS / 100 * 99];
	}
	qsort(p50, ROUNDS, sizeof(p50[0]), by_ns);
	qsort(p99, ROUNDS, sizeof(p99[0]), by_ns);
	printf("{\"p50\":%u,\"p99\":%u,\"decisions\":[", p50[ROUNDS / 2], p99[ROUNDS / 2]);
	for (size_t i = 0; i < n; i++)
		printf("%s\"%s\"", i ? "," : "", zg_decision_text(decide(p, &call[i])));
	puts("]}");
}

int main(int argc, char **argv)
{
	static struct call call[CALLS_MAX];
	struct zg_diag diag = {0};
	struct zg_loaded loaded;
	struct zg_policy p;
	struct zg_slice section;
	struct zg_err e;
	size_t n;

	if (argc != 3 || !(n = read_calls(argv[2], call)))
		return 2;
	if (zg_load(&loaded, argv[1], &diag) < 0) {
		fprintf(stderr, "%s:%u: %s\n", diag.item[0].file, diag.item[0].line,
			diag.item[0].what);
		return 1;
	}
	section = zg_loaded_section(&loaded, ZG_S_POLICY);
	if (zg_policy_open(&p, section.ptr, section.len, &e) < 0)
		return 1;
	measure(&p, call, n);
	zg_loaded_release(&loaded);
	zg_diag_release(&diag);
	return 0;
}
