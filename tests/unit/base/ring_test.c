/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ring_test.c - records survive their producer, none is lost, doubled or torn,
 * and neither side can hurt the other with the numbers it writes.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include <cmocka.h>

#include "record.h"
#include "ring.h"

#define LAPS 3

struct pair {
	int fd;
	int event;
	struct zg_ring producer;
	struct zg_ring consumer;
};

static int setup(void **state)
{
	static struct pair p;

	p.fd = zg_ring_create();
	p.event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	assert_true(p.fd >= 0 && p.event >= 0);
	assert_int_equal(zg_ring_attach(&p.producer, p.fd, p.event), 0);
	assert_int_equal(zg_ring_attach(&p.consumer, p.fd, -1), 0);
	zg_ring_set_state(&p.consumer, ZG_RING_OK);
	*state = &p;
	return 0;
}

static int teardown(void **state)
{
	struct pair *p = *state;

	zg_ring_release(&p->producer);
	zg_ring_release(&p->consumer);
	(void)close(p->event);
	(void)close(p->fd);
	return 0;
}

/* Every field is set and each of its bytes follows from n, so that a torn record
 * shows. No byte is zero, or a text would end there. */
static void fill(struct zg_record *r, uint64_t n)
{
	memset(r, (int)(n % 255 + 1), sizeof(*r));
	memset(r->present, 0, sizeof(r->present));
	for (int f = 0; f < ZG_RF_MAX; f++)
		ZG_REC_MARK_N(r, f);
	r->call = n;
}

static void assert_whole(const struct zg_record *r, uint64_t n)
{
	struct zg_record want;

	fill(&want, n);
	assert_memory_equal(r->present, want.present, sizeof(want.present));
	assert_int_equal(r->kind, want.kind);
	assert_int_equal(r->time_ns, want.time_ns);
	for (int f = 0; f < ZG_RF_MAX; f++)
		assert_memory_equal((const char *)r + zg_record_columns[f].offset,
				    (const char *)&want + zg_record_columns[f].offset,
				    zg_record_columns[f].bytes);
}

static void take_one(struct pair *p, uint64_t n)
{
	struct zg_record r;
	uint64_t seq = 0;

	assert_int_equal(zg_ring_peek(&p->consumer, &r, &seq), 0);
	assert_int_equal(seq, n);
	assert_whole(&r, n);
}

static void order_and_wrap_around(void **state)
{
	struct pair *p = *state;
	struct zg_record r;
	uint64_t n = 0, seq;

	for (uint64_t lap = 0; lap < LAPS * ZG_RECORD_SLOTS; lap += 7) {
		for (int i = 0; i < 7; i++) {
			fill(&r, n + 1 + (uint64_t)i);
			assert_int_equal(zg_ring_push(&p->producer, &r), 0);
		}
		for (int i = 0; i < 7; i++)
			take_one(p, ++n);
		assert_int_equal(zg_ring_peek(&p->consumer, &r, &seq), -EAGAIN);
		zg_ring_commit(&p->consumer, n);
	}
}

static void state_decides_who_may_push(void **state)
{
	struct pair *p = *state;
	struct zg_record r;

	fill(&r, 1);
	zg_ring_set_state(&p->consumer, ZG_RING_DOWN);
	assert_int_equal(zg_ring_push(&p->producer, &r), -ENOTCONN);
	zg_ring_set_state(&p->consumer, ZG_RING_FAILED);
	assert_int_equal(zg_ring_state(&p->producer), ZG_RING_FAILED);
	assert_int_equal(zg_ring_push(&p->producer, &r), -ENOTCONN);
	assert_int_equal(zg_ring_push_always(&p->producer, &r), 0);
	take_one(p, 1);
	zg_ring_set_state(&p->consumer, (enum zg_ring_state)77);
	assert_int_equal(zg_ring_state(&p->producer), ZG_RING_DOWN);
}

static void full_ring_refuses_then_has_room(void **state)
{
	struct pair *p = *state;
	struct zg_record r;

	for (uint64_t n = 1; n <= ZG_RECORD_SLOTS; n++) {
		fill(&r, n);
		assert_int_equal(zg_ring_push(&p->producer, &r), 0);
	}
	fill(&r, ZG_RECORD_SLOTS + 1);
	assert_int_equal(zg_ring_push(&p->producer, &r), -ETIMEDOUT);
	/* looked at is not taken: still no room */
	take_one(p, 1);
	assert_int_equal(zg_ring_push(&p->producer, &r), -ETIMEDOUT);
	zg_ring_commit(&p->consumer, 1);
	assert_int_equal(zg_ring_push(&p->producer, &r), 0);
	for (uint64_t n = 2; n <= ZG_RECORD_SLOTS + 1; n++)
		take_one(p, n);
}

static void *push_one(void *arg)
{
	struct pair *p = arg;
	struct zg_record r;

	fill(&r, ZG_RECORD_SLOTS + 1);
	return (void *)(intptr_t)zg_ring_push(&p->producer, &r);
}

static uint64_t now_ms(void)
{
	struct timespec now;

	assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &now), 0);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void waiting_producer_is_woken(void **state)
{
	struct pair *p = *state;
	struct zg_record r;
	uint64_t start, late;
	pthread_t thread;
	void *rc;

	for (uint64_t n = 1; n <= ZG_RECORD_SLOTS; n++) {
		fill(&r, n);
		assert_int_equal(zg_ring_push(&p->producer, &r), 0);
	}
	take_one(p, 1);
	do { /* again if we were held up ourselves for as long as a producer waits */
		start = now_ms();
		assert_int_equal(pthread_create(&thread, NULL, push_one, p), 0);
		zg_ring_commit(&p->consumer, 1);
		late = now_ms() - start;
		assert_int_equal(pthread_join(thread, &rc), 0);
	} while ((intptr_t)rc == -ETIMEDOUT && late >= ZG_RING_WAIT_MS);
	assert_int_equal((intptr_t)rc, 0);
}

static void failure_wakes_a_waiting_producer(void **state)
{
	struct pair *p = *state;
	struct zg_record r;
	uint64_t start, late;
	pthread_t thread;
	void *rc;

	for (uint64_t n = 1; n <= ZG_RECORD_SLOTS; n++) {
		fill(&r, n);
		assert_int_equal(zg_ring_push(&p->producer, &r), 0);
	}
	do {
		start = now_ms();
		assert_int_equal(pthread_create(&thread, NULL, push_one, p), 0);
		zg_ring_set_state(&p->consumer, ZG_RING_FAILED);
		late = now_ms() - start;
		assert_int_equal(pthread_join(thread, &rc), 0);
	} while ((intptr_t)rc == -ETIMEDOUT && late >= ZG_RING_WAIT_MS);
	assert_int_equal((intptr_t)rc, -ENOTCONN);
}

static bool rung(const struct pair *p)
{
	struct pollfd f = {.fd = p->event, .events = POLLIN};
	uint64_t n;

	return poll(&f, 1, 0) == 1 && read(p->event, &n, sizeof(n)) == sizeof(n);
}

static void rings_the_bell_only_for_a_sleeper(void **state)
{
	struct pair *p = *state;
	struct zg_record r;

	fill(&r, 1);
	assert_int_equal(zg_ring_push(&p->producer, &r), 0);
	assert_false(rung(p));
	assert_false(zg_ring_sleep(&p->consumer));
	take_one(p, 1);
	assert_true(zg_ring_sleep(&p->consumer));
	fill(&r, 2);
	assert_int_equal(zg_ring_push(&p->producer, &r), 0);
	assert_true(rung(p));
	fill(&r, 3);
	assert_int_equal(zg_ring_push(&p->producer, &r), 0);
	assert_false(rung(p));
}

/* What was handed over but not committed is seen again by the next consumer. */
static void uncommitted_records_come_again(void **state)
{
	struct pair *p = *state;
	struct zg_record r;

	for (uint64_t n = 1; n <= 5; n++) {
		fill(&r, n);
		assert_int_equal(zg_ring_push(&p->producer, &r), 0);
		take_one(p, n);
	}
	zg_ring_commit(&p->consumer, 2);
	zg_ring_release(&p->consumer);
	assert_int_equal(zg_ring_attach(&p->consumer, p->fd, -1), 0);
	for (uint64_t n = 3; n <= 5; n++)
		take_one(p, n);
}

static void produce_until_killed(const struct pair *p)
{
	struct zg_ring mine;
	struct zg_record r;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (zg_ring_attach(&mine, p->fd, p->event) < 0)
		_exit(1);
	for (;;) {
		int rc;

		fill(&r, mine.position + 1);
		rc = zg_ring_push(&mine, &r);
		/* it is killed, however slow the consumer is meanwhile */
		if (rc < 0 && rc != -ETIMEDOUT)
			_exit(2);
	}
}

/* SIGKILL lands anywhere in a push: the next producer goes on without a gap. */
static void killed_producers_leave_whole_records(void **state)
{
	struct pair *p = *state;
	uint64_t next = 1, stop = 0;

	srand(1);
	for (int round = 0; round < 60; round++) {
		pid_t pid = fork();
		struct zg_record r;
		uint64_t seq;
		int status;

		assert_true(pid >= 0);
		if (pid == 0)
			produce_until_killed(p);
		stop += (uint64_t)(rand() % 700) + 1;
		while (next <= stop) {
			int rc = zg_ring_peek(&p->consumer, &r, &seq);

			assert_true(rc == 0 || rc == -EAGAIN);
			if (rc < 0)
				continue;
			assert_int_equal(seq, next);
			assert_whole(&r, next);
			if (next++ % 16 == 0)
				zg_ring_commit(&p->consumer, seq);
		}
		assert_int_equal(kill(pid, SIGKILL), 0);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status));
	}
}

/* The shared pages as an attacker sees them: words at every offset. */
static uint64_t *shared_words(struct pair *p, size_t *count)
{
	*count = p->producer.bytes / sizeof(uint64_t);
	return (uint64_t *)p->producer.shared;
}

static void hostile_numbers_are_errors(void **state)
{
	static const uint64_t evil[] = {UINT64_MAX, UINT64_MAX - 5, 1u << 20, ZG_RECORD_SLOTS + 1,
					INT64_MAX};
	struct pair *p = *state;
	struct zg_record r;
	size_t count;
	uint64_t *word = shared_words(p, &count);

	/* head and tail are among the first words; hit them all in turn */
	for (size_t at = 2; at < 64; at++) {
		for (size_t i = 0; i < sizeof(evil) / sizeof(evil[0]); i++) {
			uint64_t was = word[at], seq;
			int rc;

			word[at] = evil[i];
			rc = zg_ring_peek(&p->consumer, &r, &seq);
			assert_true(rc == -EAGAIN || rc == -EPROTO);
			fill(&r, 1);
			p->producer.position = 0;
			rc = zg_ring_push_always(&p->producer, &r);
			assert_true(rc == 0 || rc == -EPROTO || rc == -ETIMEDOUT);
			word[at] = was;
			/* as it was before the push */
			memset(word + 2, 0, (64 - 2) * sizeof(*word));
			p->consumer.position = 0;
		}
	}
}

static void hostile_head_and_stale_slot(void **state)
{
	struct pair *p = *state;
	struct zg_record r;
	uint64_t seq;
	struct zg_ring liar;

	fill(&r, 1);
	assert_int_equal(zg_ring_push(&p->producer, &r), 0);
	take_one(p, 1);
	/* a producer that claims records it never wrote */
	assert_int_equal(zg_ring_attach(&liar, p->fd, p->event), 0);
	liar.position = 10;
	assert_int_equal(zg_ring_push(&liar, &r), 0);
	assert_int_equal(zg_ring_peek(&p->consumer, &r, &seq), -EPROTO);
	/* one that goes back */
	liar.position = 0;
	assert_int_equal(zg_ring_push(&liar, &r), 0);
	assert_int_equal(zg_ring_peek(&p->consumer, &r, &seq), -EAGAIN);
	zg_ring_release(&liar);
}

static void refuses_what_is_not_a_ring(void **state)
{
	struct pair *p = *state;
	struct zg_ring r;
	zg_autofd int small = memfd_create("x", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	zg_autofd int unsealed = memfd_create("y", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	struct stat st;

	assert_int_equal(fstat(p->fd, &st), 0);
	assert_int_equal(ftruncate(small, 4096), 0);
	assert_int_equal(fcntl(small, F_ADD_SEALS, F_SEAL_SHRINK), 0);
	assert_int_equal(zg_ring_attach(&r, small, -1), -EPROTO);
	assert_int_equal(ftruncate(unsealed, st.st_size), 0);
	assert_int_equal(zg_ring_attach(&r, unsealed, -1), -EPROTO);
	assert_int_equal(fcntl(unsealed, F_ADD_SEALS, F_SEAL_SHRINK), 0);
	assert_int_equal(zg_ring_attach(&r, unsealed, -1), -EPROTO); /* no magic */
	/* nobody can make the pages go away under the other side */
	assert_int_equal(ftruncate(p->fd, 0), -1);
	assert_int_equal(errno, EPERM);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(order_and_wrap_around),
		T(state_decides_who_may_push),
		T(full_ring_refuses_then_has_room),
		T(waiting_producer_is_woken),
		T(failure_wakes_a_waiting_producer),
		T(rings_the_bell_only_for_a_sleeper),
		T(uncommitted_records_come_again),
		T(killed_producers_leave_whole_records),
		T(hostile_numbers_are_errors),
		T(hostile_head_and_stale_slot),
		T(refuses_what_is_not_a_ring),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
