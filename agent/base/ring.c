/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ring.c - see ring.h. Trust: the other side may be a compromised role that
 * writes anything anywhere in the shared pages at any time. Each side keeps
 * its own position in private memory, reads the other's once per step and
 * checks it against the ring's size; a record is copied out before it is used.
 */
#include "ring.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "record.h"

#define RING_MAGIC UINT64_C(0x31474e495247475a) /* "ZGGRING1" little-endian */
#define CACHE_LINE 64

_Static_assert((ZG_RECORD_SLOTS & (ZG_RECORD_SLOTS - 1)) == 0, "positions are masked");
_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2 && ATOMIC_INT_LOCK_FREE == 2,
	       "shared between processes, so there is no lock to take");

struct slot {
	uint64_t seq; /* 1 for the first record of the ring, never reused */
	struct zg_record record;
};

/* Positions count records since the ring was made: head = handed over,
 * tail = safe with the consumer. Record n lies in slot (n - 1) % SLOTS. */
struct zg_ring_shared {
	uint64_t magic;
	uint64_t slot_bytes;
	_Alignas(CACHE_LINE) _Atomic uint64_t head;  /* the producer writes it */
	_Alignas(CACHE_LINE) _Atomic uint64_t tail;  /* the consumer writes it */
	_Alignas(CACHE_LINE) _Atomic uint32_t state; /* enum zg_ring_state */
	_Atomic uint32_t sleeping;		     /* the consumer wants the eventfd rung */
	_Atomic uint32_t waiting;		     /* the producer sleeps on room */
	_Atomic uint32_t room;			     /* futex: changes when there may be room */
	_Alignas(CACHE_LINE) _Atomic uint64_t counter[ZG_RC_MAX]; /* the producer's */
	_Alignas(CACHE_LINE) struct slot slot[ZG_RECORD_SLOTS];
};

int zg_ring_create(void)
{
	const struct {
		uint64_t magic, slot_bytes;
	} head = {RING_MAGIC, sizeof(struct slot)};
	zg_autofd int fd = memfd_create("zerogate-ring", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)sizeof(struct zg_ring_shared)) < 0 ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
		return -errno;
	if (pwrite(fd, &head, sizeof(head), 0) != (ssize_t)sizeof(head))
		return -EIO;
	return zg_take_fd(&fd);
}

int zg_ring_attach(struct zg_ring *r, int fd, int event)
{
	struct zg_ring_shared *s;
	uint64_t head, tail;
	struct stat st;
	int seals = fcntl(fd, F_GET_SEALS);

	/* a memfd that can shrink would let the other side kill us with SIGBUS */
	if (seals < 0 || !(seals & F_SEAL_SHRINK) || fstat(fd, &st) < 0 ||
	    st.st_size != (off_t)sizeof(*s))
		return -EPROTO;
	s = mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (s == MAP_FAILED)
		return -errno;
	head = atomic_load_explicit(&s->head, memory_order_acquire);
	tail = atomic_load_explicit(&s->tail, memory_order_acquire);
	if (s->magic != RING_MAGIC || s->slot_bytes != sizeof(struct slot) ||
	    head - tail > ZG_RECORD_SLOTS) {
		(void)munmap(s, sizeof(*s));
		return -EPROTO;
	}
	*r = (struct zg_ring){.shared = s,
			      .bytes = sizeof(*s),
			      .event = event,
			      .position = event >= 0 ? head : tail};
	return 0;
}

void zg_ring_release(struct zg_ring *r)
{
	if (r->shared)
		(void)munmap(r->shared, r->bytes);
	*r = (struct zg_ring){.event = -1};
}

size_t zg_ring_room(const struct zg_ring *r)
{
	uint64_t used = r->position - atomic_load_explicit(&r->shared->tail, memory_order_acquire);

	/* a consumer that breaks the ring makes it full, and the push says so */
	return used > ZG_RECORD_SLOTS ? 0 : (size_t)(ZG_RECORD_SLOTS - used);
}

void zg_ring_count(struct zg_ring *r, enum zg_ring_counter which)
{
	atomic_fetch_add_explicit(&r->shared->counter[which], 1, memory_order_relaxed);
}

void zg_ring_uncount(struct zg_ring *r)
{
	for (int i = 0; i < ZG_RC_MAX; i++)
		atomic_store_explicit(&r->shared->counter[i], 0, memory_order_relaxed);
}

uint64_t zg_ring_counted(const struct zg_ring *r, enum zg_ring_counter which)
{
	return atomic_load_explicit(&r->shared->counter[which], memory_order_relaxed);
}

enum zg_ring_state zg_ring_state(const struct zg_ring *r)
{
	switch (atomic_load_explicit(&r->shared->state, memory_order_acquire)) {
	case ZG_RING_OK:
		return ZG_RING_OK;
	case ZG_RING_FAILED:
		return ZG_RING_FAILED;
	default: /* not an enum: shared memory holds any number */
		return ZG_RING_DOWN;
	}
}

static void wake_producer(struct zg_ring_shared *s)
{
	atomic_fetch_add(&s->room, 1);
	if (atomic_exchange(&s->waiting, 0))
		(void)syscall(SYS_futex, &s->room, FUTEX_WAKE, 1, NULL, NULL, 0);
}

void zg_ring_set_state(struct zg_ring *r, enum zg_ring_state state)
{
	atomic_store(&r->shared->state, state);
	wake_producer(r->shared);
}

static uint64_t monotonic_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Sleep until room changes from seen or the deadline passes; false then. */
static bool sleep_for_room(struct zg_ring_shared *s, uint32_t seen, uint64_t deadline)
{
	uint64_t now = monotonic_ms();
	struct timespec left;

	if (now >= deadline)
		return false;
	left = (struct timespec){.tv_sec = (time_t)((deadline - now) / 1000),
				 .tv_nsec = (long)((deadline - now) % 1000) * 1000000};
	/* woken, interrupted, too late or changed meanwhile: the caller looks again */
	(void)syscall(SYS_futex, &s->room, FUTEX_WAIT, seen, &left, NULL, 0);
	return true;
}

static int wait_for_room(struct zg_ring *r, bool any_state)
{
	struct zg_ring_shared *s = r->shared;
	uint64_t deadline = 0;

	for (;;) {
		uint32_t seen = atomic_load(&s->room);
		uint64_t used;

		if (!any_state && zg_ring_state(r) != ZG_RING_OK)
			return -ENOTCONN;
		used = r->position - atomic_load_explicit(&s->tail, memory_order_acquire);
		if (used > ZG_RECORD_SLOTS)
			return -EPROTO;
		if (used < ZG_RECORD_SLOTS)
			return 0;
		if (!deadline)
			deadline = monotonic_ms() + ZG_RING_WAIT_MS;
		/* announced before the second look at tail, or a wake-up could pass between */
		atomic_store(&s->waiting, 1);
		if (r->position - atomic_load(&s->tail) != ZG_RECORD_SLOTS)
			continue;
		if (!sleep_for_room(s, seen, deadline))
			return -ETIMEDOUT;
	}
}

static int push(struct zg_ring *r, const struct zg_record *rec, bool any_state)
{
	struct zg_ring_shared *s = r->shared;
	struct slot *slot = &s->slot[r->position % ZG_RECORD_SLOTS];
	const uint64_t one = 1;
	int rc = wait_for_room(r, any_state);

	if (rc < 0)
		return rc;
	slot->seq = r->position + 1;
	zg_record_copy(&slot->record, rec);
	r->position++;
	/* sequentially consistent against zg_ring_sleep: either the consumer sees
	 * the new head before it sleeps, or we see that it sleeps */
	atomic_store(&s->head, r->position);
	if (atomic_exchange(&s->sleeping, 0) && r->event >= 0) {
		/* EAGAIN means the counter is full, so the consumer wakes anyway */
		if (write(r->event, &one, sizeof(one)) < 0 && errno != EAGAIN)
			return 0; /* handed over; the consumer's own timer finds it */
	}
	return 0;
}

int zg_ring_push(struct zg_ring *r, const struct zg_record *rec)
{
	return push(r, rec, false);
}

int zg_ring_push_always(struct zg_ring *r, const struct zg_record *rec)
{
	return push(r, rec, true);
}

int zg_ring_peek(struct zg_ring *r, struct zg_record *out, uint64_t *seq)
{
	const struct zg_ring_shared *s = r->shared;
	const struct slot *slot = &s->slot[r->position % ZG_RECORD_SLOTS];
	uint64_t ready = atomic_load_explicit(&s->head, memory_order_acquire) - r->position;

	if (!ready)
		return -EAGAIN;
	/* a head behind us or too far ahead, or a slot of another lap */
	if (ready > ZG_RECORD_SLOTS || slot->seq != r->position + 1)
		return -EPROTO;
	zg_record_copy(out, &slot->record);
	*seq = ++r->position;
	return 0;
}

void zg_ring_commit(struct zg_ring *r, uint64_t seq)
{
	atomic_store(&r->shared->tail, seq);
	wake_producer(r->shared);
}

bool zg_ring_sleep(struct zg_ring *r)
{
	struct zg_ring_shared *s = r->shared;

	atomic_store(&s->sleeping, 1);
	if (atomic_load(&s->head) == r->position)
		return true;
	atomic_store(&s->sleeping, 0);
	return false;
}
