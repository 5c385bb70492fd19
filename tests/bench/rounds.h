/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rounds.h - how the kernel benches compare: the cases take turns, and each
 * round's ratio is that to the first case beside it in time. A machine that is
 * busy, or changes its pace, disturbs that least. Medians are reported.
 */
#ifndef ZG_BENCH_ROUNDS_H
#define ZG_BENCH_ROUNDS_H

#include <stdint.h>
#include <stdlib.h>
#include <time.h>

struct rounds_median {
	double ns;
	double ratio; /* to the first case */
};

static inline uint64_t rounds_clock(clockid_t clock)
{
	struct timespec t;

	(void)clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static inline int rounds_order(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static inline double rounds_middle(double *value, size_t count)
{
	qsort(value, count, sizeof(*value), rounds_order);
	return value[count / 2];
}

/* one: the time that one round of a case takes, in ns. */
static inline void rounds_compare(size_t cases, size_t rounds,
				  double (*one)(size_t which, void *arg), void *arg,
				  struct rounds_median *out)
{
	double *ns = calloc(cases * rounds, sizeof(*ns));
	double *ratio = calloc(cases * rounds, sizeof(*ratio));

	if (!ns || !ratio)
		abort();
	for (size_t i = 0; i < rounds; i++) {
		for (size_t k = 0; k < cases; k++) {
			size_t which = (i + k) % cases; /* none is always the first */

			ns[which * rounds + i] = one(which, arg);
		}
		for (size_t which = 0; which < cases; which++)
			ratio[which * rounds + i] = ns[which * rounds + i] / ns[i];
	}
	for (size_t which = 0; which < cases; which++) {
		out[which].ns = rounds_middle(ns + which * rounds, rounds);
		out[which].ratio = rounds_middle(ratio + which * rounds, rounds);
	}
	free(ns);
	free(ratio);
}

#endif
