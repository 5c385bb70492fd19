/* SPDX-License-Identifier: Apache-2.0 */
/*
 * connect_bench.c - what the kernel gate costs a connect(): bare, with the gate
 * and a small policy, and with an allowlist of a million prefixes over a hundred
 * profiles, in one run; and what it costs to load that and to replace a part.
 * UDP, because its connect() is the system call and nothing else: the cost of
 * a TCP handshake would hide what is measured. Needs root.
 *
 * The rounds of the cases are interleaved, and of each case the round that a
 * tenth of them beat is reported: what others do on the machine only adds.
 */
#include "../unit/parent/kernel_lab.h"

#define ROUNDS	 101
#define CALLS	 8000 /* of one round */
#define PREFIXES 1000000
#define PROFILES 100
#define IDENTITY 10 /* of profile P_A; the others' follow */

enum where { BARE, UNGOVERNED, GOVERNED, NESTED, WHERES };

static const char *const where_text[WHERES] = {
	[BARE] = "bare (outside the attach root)",
	[UNGOVERNED] = "with the gate, not governed",
	[GOVERNED] = "with the gate, governed",
	[NESTED] = "the same, in a cgroup below",
};

static const struct {
	const char *text;
	uint32_t prefixlen;
	uint32_t count;
} tables[] = {
	{"allowlist of one address", 128, 1},
	{"allowlist of 1,000,000 addresses", 128, PREFIXES},
	{"allowlist of 1,000,000 networks", 126, PREFIXES},
};

static uint64_t now_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* One round, from a cgroup; 0 when a connect() failed. */
static uint64_t dial_often(const char *cgroup)
{
	struct endpoint to = endpoint_of("127.0.0.1", 9);
	int s = lab_enter(cgroup) ? socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0) : -1;
	uint64_t start = now_ns();

	for (int i = 0; i < CALLS; i++)
		if (connect(s, (struct sockaddr *)&to.ss, to.bytes) < 0)
			return 0;
	return now_ns() - start;
}

/* In a process of its own: one that had left a governed cgroup would stay
 * governed. */
static uint64_t one_round(const char *cgroup, uint64_t *shared)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		*shared = dial_often(cgroup);
		_exit(*shared == 0);
	}
	assert_int_equal(lab_wait(pid), 0);
	return *shared;
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static double tenth_ns(uint64_t *rounds, size_t count)
{
	qsort(rounds, count, sizeof(*rounds), by_value);
	return (double)rounds[count / 10] / CALLS;
}

static void measure(struct lab *lab, double ns[WHERES])
{
	/* outside the attach root no program runs at all */
	struct lab_path place[WHERES] = {lab_path(lab, "../zg-bench-outside"),
					 lab_path(lab, "free"), lab_path(lab, "agent"),
					 lab_path(lab, "agent/inner")};
	uint64_t *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
				MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	uint64_t rounds[WHERES][ROUNDS];

	assert_ptr_not_equal(shared, MAP_FAILED);
	for (size_t i = 0; i < ROUNDS; i++)
		for (size_t k = 0; k < WHERES; k++) {
			size_t w = (i + k) % WHERES; /* none is always the first */

			rounds[w][i] = one_round(place[w].text, shared);
		}
	(void)munmap(shared, sizeof(*shared));
	for (int w = 0; w < WHERES; w++)
		ns[w] = tenth_ns(rounds[w], ROUNDS);
}

struct million {
	struct zg_profile_def profile[PROFILES];
	struct zg_rule_def rule[PROFILES];
	struct zg_prefix_def prefix[PREFIXES];
	struct zg_snapshot s;
};

static void set_prefix(struct million *m, uint32_t i, uint32_t prefixlen, uint32_t v4)
{
	struct zg_prefix_def *d = &m->prefix[i];

	*d = (struct zg_prefix_def){.prefixlen = prefixlen, .identity = IDENTITY + i % PROFILES};
	v4 = htonl(v4);
	memset(d->addr + 10, 0xff, 2);
	memcpy(d->addr + 12, &v4, sizeof(v4));
}

/* The first is or holds 127.0.0.1; between two there is room for another. */
static uint32_t address(uint32_t prefixlen, uint32_t i)
{
	return prefixlen == 128 ? 0x7f000001 + 3 * i : 0x7f000000 + 8 * i;
}

static void fill(struct million *m, uint32_t prefixlen, uint32_t count)
{
	*m = (struct million){0};
	for (uint32_t i = 0; i < PROFILES; i++) {
		(void)snprintf(m->profile[i].name, sizeof(m->profile[i].name), "p%u", i);
		m->rule[i] = (struct zg_rule_def){
			.profile = P_A + i, .identity = IDENTITY + i, .proto = IPPROTO_UDP};
		m->rule[i].val.count = 1;
		m->rule[i].val.port[0] = (struct zg_port_rule){1, UINT16_MAX, ZG_V_ALLOW, {0}};
	}
	for (uint32_t i = 0; i < count; i++)
		set_prefix(m, i, prefixlen, address(prefixlen, i));
	m->s.profiles = m->profile;
	m->s.profile_count = PROFILES;
	m->s.rules = m->rule;
	m->s.rule_count = PROFILES;
	m->s.prefixes = m->prefix;
	m->s.prefix_count = count;
}

static double apply(struct lab *lab, const struct million *m)
{
	uint64_t start = now_ns();
	struct zg_err e;

	if (zg_kernel_apply(lab->kernel, &m->s, ++lab->generation, &e) < 0)
		fail_msg("%s", e.what);
	return (double)(now_ns() - start) / 1e9;
}

/* One in a hundred goes, and another comes. */
static double replace(struct lab *lab, struct million *m, uint32_t prefixlen)
{
	for (uint32_t i = 50; i < PREFIXES; i += 100)
		set_prefix(m, i, prefixlen, address(prefixlen, i) + (prefixlen == 128 ? 1 : 4));
	return apply(lab, m);
}

static void bench(void **state ZG_UNUSED)
{
	struct million *m = calloc(1, sizeof(*m));
	struct lab *lab = lab_open();
	struct lab_path outside = lab_path(lab, "../zg-bench-outside");

	assert_non_null(m);
	(void)mkdir(outside.text, 0755);
	(void)lab_cgroup(lab, "free");
	lab_govern(lab, "agent", P_A);
	(void)lab_cgroup(lab, "agent/inner");
	(void)printf(
		"connect() of a UDP socket to 127.0.0.1, best tenth of %d rounds of %d calls\n",
		ROUNDS, CALLS);
	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
		double ns[WHERES];

		double loaded;

		fill(m, tables[i].prefixlen, tables[i].count);
		loaded = apply(lab, m);
		measure(lab, ns);
		(void)printf(" %s\n", tables[i].text);
		for (int w = 0; w < WHERES; w++)
			(void)printf("  %-32s %8.0f ns  %5.2fx\n", where_text[w], ns[w],
				     ns[w] / ns[BARE]);
		if (tables[i].count == PREFIXES)
			(void)printf("  loading them %.2f s, replacing 1 %% of them %.2f s\n",
				     loaded, replace(lab, m, tables[i].prefixlen));
	}
	(void)rmdir(outside.text);
	free(m);
}

static const struct CMUnitTest tests[] = {LAB_TEST(bench)};

LAB_MAIN(tests)
