/* SPDX-License-Identifier: Apache-2.0 */
/*
 * connect_bench.c - what the kernel gate costs a connect(): bare, with the gate
 * and a small policy, and with an allowlist of a million prefixes over a hundred
 * profiles, in one run; and what it costs to load that and to replace a part.
 * UDP, because its connect() is the system call and nothing else: the cost of
 * a TCP handshake would hide what is measured. Needs root.
 *
 * Of the rounds the caller's own processor time is taken (rounds.h).
 */
#include "../unit/parent/kernel_lab.h"
#include "rounds.h"

#define ROUNDS	 101
#define CALLS	 8000 /* of one round */
#define PREFIXES 1000000
#define PROFILES 100
#define REPLACED 9
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

/* One round, from a cgroup; 0 when a connect() failed. */
static uint64_t dial_often(const char *cgroup)
{
	struct endpoint to = endpoint_of("127.0.0.1", 9);
	int s = lab_enter(cgroup) ? socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0) : -1;
	uint64_t start = rounds_clock(CLOCK_THREAD_CPUTIME_ID);

	for (int i = 0; i < CALLS; i++)
		if (connect(s, (struct sockaddr *)&to.ss, to.bytes) < 0)
			return 0;
	return rounds_clock(CLOCK_THREAD_CPUTIME_ID) - start;
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

struct measured {
	struct lab_path place[WHERES];
	uint64_t *shared;
};

static double round_at(size_t at, void *arg)
{
	const struct measured *m = arg;

	return (double)one_round(m->place[at].text, m->shared) / CALLS;
}

static void measure(struct lab *lab, struct rounds_median median[WHERES])
{
	/* outside the attach root no program runs at all */
	struct measured m = {
		.place = {lab_path(lab, "../zg-bench-outside"), lab_path(lab, "free"),
			  lab_path(lab, "agent"), lab_path(lab, "agent/inner")},
		.shared = mmap(NULL, sizeof(*m.shared), PROT_READ | PROT_WRITE,
			       MAP_SHARED | MAP_ANONYMOUS, -1, 0),
	};

	assert_ptr_not_equal(m.shared, MAP_FAILED);
	rounds_compare(WHERES, ROUNDS, round_at, &m, median);
	(void)munmap(m.shared, sizeof(*m.shared));
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

struct took {
	double wall, processor; /* seconds */
};

static struct took apply(struct lab *lab, const struct million *m)
{
	uint64_t wall = rounds_clock(CLOCK_MONOTONIC);
	uint64_t processor = rounds_clock(CLOCK_THREAD_CPUTIME_ID);
	struct zg_err e;

	if (zg_kernel_apply(lab->kernel, &m->s, ++lab->generation, &e) < 0)
		fail_msg("%s", e.what);
	return (struct took){
		(double)(rounds_clock(CLOCK_MONOTONIC) - wall) / 1e9,
		(double)(rounds_clock(CLOCK_THREAD_CPUTIME_ID) - processor) / 1e9,
	};
}

/* One in a hundred goes, and another comes; medians. */
static struct took replace(struct lab *lab, struct million *m, uint32_t prefixlen)
{
	double wall[REPLACED], processor[REPLACED];

	for (uint32_t k = 0; k < REPLACED; k++) {
		struct took one;

		for (uint32_t i = k; i < PREFIXES; i += 100)
			set_prefix(m, i, prefixlen,
				   address(prefixlen, i) + (prefixlen == 128 ? 1 : 4));
		one = apply(lab, m);
		wall[k] = one.wall;
		processor[k] = one.processor;
	}
	return (struct took){rounds_middle(wall, REPLACED), rounds_middle(processor, REPLACED)};
}

/* A gate of its own: a table is loaded into an empty one, as on start. */
static void bench(size_t table)
{
	struct million *m = calloc(1, sizeof(*m));
	struct lab *lab = lab_open();
	struct lab_path outside = lab_path(lab, "../zg-bench-outside");
	struct rounds_median is[WHERES];
	struct took loaded, replaced;

	assert_non_null(m);
	(void)mkdir(outside.text, 0755);
	(void)lab_cgroup(lab, "free");
	lab_govern(lab, "agent", P_A);
	(void)lab_cgroup(lab, "agent/inner");
	fill(m, tables[table].prefixlen, tables[table].count);
	loaded = apply(lab, m);
	measure(lab, is);
	(void)printf("connect() of a UDP socket, medians of %d rounds of %d calls, %s\n", ROUNDS,
		     CALLS, tables[table].text);
	for (int w = 0; w < WHERES; w++)
		(void)printf("  %-32s %8.0f ns  %5.2fx\n", where_text[w], is[w].ns, is[w].ratio);
	if (tables[table].count == PREFIXES) {
		replaced = replace(lab, m, tables[table].prefixlen);
		(void)printf("  loading them %.2f s (of a processor %.2f s), replacing 1 %% of "
			     "them %.2f s (%.2f s), median of %d\n",
			     loaded.wall, loaded.processor, replaced.wall, replaced.processor,
			     REPLACED);
	}
	(void)rmdir(outside.text);
	free(m);
}

static void bench_one(void **state ZG_UNUSED)
{
	bench(0);
}

static void bench_addresses(void **state ZG_UNUSED)
{
	bench(1);
}

static void bench_networks(void **state ZG_UNUSED)
{
	bench(2);
}

static const struct CMUnitTest tests[] = {
	LAB_TEST(bench_one),
	LAB_TEST(bench_addresses),
	LAB_TEST(bench_networks),
};

LAB_MAIN(tests)
