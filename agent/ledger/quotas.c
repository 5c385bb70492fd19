/* SPDX-License-Identifier: Apache-2.0 */
/*
 * quotas.c - see quotas.h. Trust: a gateway may be compromised: it can ask for
 * limits that are none and end the calls of another, but it could leave the
 * question out as well; it cannot make the tables grow or the ledger stop.
 */
#include "quotas.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define NONE	  0 /* of a number + 1 */
#define BUCKETS	  32768
#define OWNERS	  1024
#define SECOND_NS UINT64_C(1000000000)
#define SWEEP_NS  SECOND_NS /* a full table is looked through so often at most */
#define SEC_MAX	  86400
#define LEASE_MAX (SEC_MAX + ZG_POLICY_RUNTIME_MAX)

struct zg_quota_slot {
	uint8_t key[32];
	uint32_t next; /* in its bucket, or of the free ones */
	uint32_t kind;
	uint32_t sec;
	uint32_t used; /* calls under way; failures */
	uint32_t pins; /* leases that hold it */
	uint32_t owner;
	uint64_t since_ns;	       /* RETRIES: the last failure */
	uint64_t newest;	       /* RATE: number of the newest part */
	uint32_t part[ZG_QUOTA_PARTS]; /* by number % ZG_QUOTA_PARTS */
};

/* What a call gives back when it is over. */
struct zg_lease {
	uint64_t call;
	uint64_t due_ns;
	uint32_t next;
	uint32_t link;
	uint32_t count;
	uint32_t slot[ZG_QUOTA_ASKED]; /* number + 1 */
	bool used;
};

static uint32_t *chain(uint32_t count)
{
	return calloc(count, sizeof(uint32_t));
}

int zg_quotas_init(struct zg_quotas *q)
{
	*q = (struct zg_quotas){.slot = calloc(ZG_QUOTA_SLOTS, sizeof(*q->slot)),
				.bucket = chain(BUCKETS),
				.lease = calloc(ZG_QUOTA_LEASES, sizeof(*q->lease)),
				.lease_bucket = chain(BUCKETS),
				.owned = chain(OWNERS),
				.free_slot = 1,
				.free_lease = 1};
	if (!q->slot || !q->bucket || !q->lease || !q->lease_bucket || !q->owned) {
		zg_quotas_release(q);
		return -ENOMEM;
	}
	for (uint32_t i = 0; i + 1 < ZG_QUOTA_SLOTS; i++)
		q->slot[i].next = i + 2;
	for (uint32_t i = 0; i + 1 < ZG_QUOTA_LEASES; i++)
		q->lease[i].next = i + 2;
	return 0;
}

void zg_quotas_release(struct zg_quotas *q)
{
	free(q->slot);
	free(q->bucket);
	free(q->lease);
	free(q->lease_bucket);
	free(q->owned);
	*q = (struct zg_quotas){0};
}

/* counters --------------------------------------------------------------------- */

/* Keys are digests: any of their bytes will do. */
static uint32_t *bucket_of(const struct zg_quotas *q, const uint8_t key[32])
{
	return &q->bucket[((uint32_t)key[0] << 8 | key[1] | (uint32_t)key[2] << 16) % BUCKETS];
}

static uint32_t find(const struct zg_quotas *q, const struct zg_quota_limit *l)
{
	uint32_t n = *bucket_of(q, l->key);

	while (n != NONE && (memcmp(q->slot[n - 1].key, l->key, sizeof(l->key)) != 0 ||
			     q->slot[n - 1].kind != l->kind || q->slot[n - 1].sec != l->sec))
		n = q->slot[n - 1].next;
	return n;
}

static uint64_t part_ns(const struct zg_quota_slot *s)
{
	/* rounded up; one part more, which is not over yet */
	return (s->sec * SECOND_NS + ZG_QUOTA_PARTS - 2) / (ZG_QUOTA_PARTS - 1);
}

/* Forget the parts that have left the window. */
static void slide(struct zg_quota_slot *s, uint64_t now_ns)
{
	uint64_t now = now_ns / part_ns(s);
	uint64_t gone = now > s->newest ? now - s->newest : 0;

	for (uint64_t i = 1; i <= gone && i <= ZG_QUOTA_PARTS; i++)
		s->part[(s->newest + i) % ZG_QUOTA_PARTS] = 0;
	s->newest += gone;
}

static uint64_t sum(const struct zg_quota_slot *s)
{
	uint64_t n = 0;

	for (size_t i = 0; i < ZG_QUOTA_PARTS; i++)
		n += s->part[i];
	return n;
}

/* When the window will hold fewer than `calls`. */
static uint64_t rate_wait_ns(const struct zg_quota_slot *s, uint32_t calls, uint64_t now_ns)
{
	uint64_t left = sum(s), age = ZG_QUOTA_PARTS - 1;

	for (; age > 0; age--) {
		left -= s->part[(s->newest - age) % ZG_QUOTA_PARTS];
		if (left < calls)
			break;
	}
	return (s->newest - age + ZG_QUOTA_PARTS) * part_ns(s) - now_ns;
}

static bool is_remembered(const struct zg_quota_slot *s, uint64_t now_ns)
{
	return now_ns - s->since_ns <= s->sec * SECOND_NS;
}

/* Has l, of a counter that exists, room for one more? *wait_ns: else until when. */
static bool has_room(struct zg_quota_slot *s, const struct zg_quota_limit *l, uint64_t now_ns,
		     uint64_t *wait_ns)
{
	*wait_ns = 0;
	switch ((enum zg_quota_kind)s->kind) {
	case ZG_QK_RATE:
		slide(s, now_ns);
		if (sum(s) < l->calls)
			return true;
		*wait_ns = rate_wait_ns(s, l->calls, now_ns);
		return false;
	case ZG_QK_CONCURRENT:
		return s->used < l->calls;
	case ZG_QK_RETRIES:
		if (!is_remembered(s, now_ns))
			s->used = 0;
		if (s->used <= l->calls)
			return true;
		*wait_ns = s->since_ns + s->sec * SECOND_NS - now_ns;
		return false;
	case ZG_QK_MAX:
		break;
	}
	return false;
}

static void unlink_slot(struct zg_quotas *q, uint32_t n)
{
	struct zg_quota_slot *s = &q->slot[n - 1];
	uint32_t *at = bucket_of(q, s->key);

	while (*at != n)
		at = &q->slot[*at - 1].next;
	*at = s->next;
	q->owned[s->owner]--;
	q->slots--;
	*s = (struct zg_quota_slot){.next = q->free_slot};
	q->free_slot = n;
}

static bool is_idle(struct zg_quota_slot *s, uint64_t now_ns)
{
	if (s->pins)
		return false;
	if (s->kind == ZG_QK_RETRIES)
		return !s->used || !is_remembered(s, now_ns);
	if (s->kind == ZG_QK_RATE)
		slide(s, now_ns);
	return s->kind == ZG_QK_CONCURRENT || sum(s) == 0;
}

/* Forget counters that count nothing. */
static void sweep(struct zg_quotas *q, uint64_t now_ns)
{
	if (q->swept_ns && now_ns - q->swept_ns < SWEEP_NS)
		return;
	q->swept_ns = now_ns;
	for (uint32_t i = 0; i < ZG_QUOTA_SLOTS; i++)
		if (q->slot[i].sec && is_idle(&q->slot[i], now_ns))
			unlink_slot(q, i + 1);
}

static uint32_t create(struct zg_quotas *q, const struct zg_quota_limit *l, uint64_t owner,
		       uint64_t now_ns)
{
	uint32_t place = (uint32_t)(owner % OWNERS), n, *at = bucket_of(q, l->key);

	if (q->free_slot == NONE || q->owned[place] >= ZG_QUOTA_OWNER_MAX)
		sweep(q, now_ns);
	n = q->free_slot;
	if (n == NONE || q->owned[place] >= ZG_QUOTA_OWNER_MAX)
		return NONE;
	q->free_slot = q->slot[n - 1].next;
	q->slot[n - 1] = (struct zg_quota_slot){
		.next = *at, .kind = l->kind, .sec = l->sec, .owner = place, .since_ns = now_ns};
	memcpy(q->slot[n - 1].key, l->key, sizeof(l->key));
	*at = n;
	q->owned[place]++;
	q->slots++;
	return n;
}

/* leases ------------------------------------------------------------------------- */

static uint32_t *lease_bucket(const struct zg_quotas *q, uint64_t call)
{
	return &q->lease_bucket[(call >> 4) % BUCKETS]; /* the low bits are the worker's */
}

static uint32_t *find_lease(const struct zg_quotas *q, uint64_t call)
{
	uint32_t *at = lease_bucket(q, call);

	while (*at != NONE && q->lease[*at - 1].call != call)
		at = &q->lease[*at - 1].next;
	return at;
}

static struct zg_lease *new_lease(struct zg_quotas *q, uint64_t call)
{
	uint32_t n = q->free_lease, *at = lease_bucket(q, call);
	struct zg_lease *l = &q->lease[n - 1];

	q->free_lease = l->next;
	*l = (struct zg_lease){.call = call, .next = *at, .used = true};
	*at = n;
	q->leases++;
	return l;
}

static void give_back(struct zg_quota_slot *s, enum zg_quota_end end, uint64_t now_ns)
{
	if (s->kind == ZG_QK_CONCURRENT) {
		s->used--;
		return;
	}
	if (end == ZG_QE_NEUTRAL)
		return;
	if (end == ZG_QE_DONE || !is_remembered(s, now_ns))
		s->used = 0;
	s->used += end == ZG_QE_FAILED && s->used < UINT32_MAX;
	s->since_ns = now_ns;
}

static void end_lease(struct zg_quotas *q, uint32_t *at, enum zg_quota_end end, uint64_t now_ns)
{
	uint32_t n = *at;
	struct zg_lease *l = &q->lease[n - 1];

	for (uint32_t i = 0; i < l->count; i++) {
		give_back(&q->slot[l->slot[i] - 1], end, now_ns);
		q->slot[l->slot[i] - 1].pins--;
	}
	*at = l->next;
	*l = (struct zg_lease){.next = q->free_lease};
	q->free_lease = n;
	q->leases--;
}

static void end_leases(struct zg_quotas *q, const uint32_t *link, uint64_t now_ns)
{
	q->lease_due_ns = UINT64_MAX;
	for (uint32_t i = 0; i < ZG_QUOTA_LEASES; i++) {
		const struct zg_lease *l = &q->lease[i];

		if (!l->used)
			continue;
		if (link ? l->link == *link : l->due_ns <= now_ns)
			end_lease(q, find_lease(q, l->call), ZG_QE_FAILED, now_ns);
		else if (l->due_ns < q->lease_due_ns)
			q->lease_due_ns = l->due_ns;
	}
}

void zg_quotas_link_gone(struct zg_quotas *q, uint32_t link, uint64_t now_ns)
{
	if (q->leases)
		end_leases(q, &link, now_ns);
}

void zg_quotas_tick(struct zg_quotas *q, uint64_t now_ns)
{
	if (q->leases && now_ns >= q->lease_due_ns)
		end_leases(q, NULL, now_ns);
}

void zg_quotas_done(struct zg_quotas *q, const struct zg_msg_quota_done *m, uint64_t now_ns)
{
	uint32_t *at = find_lease(q, m->call);

	if (*at != NONE)
		end_lease(q, at,
			  m->end == ZG_QE_DONE	    ? ZG_QE_DONE
			  : m->end == ZG_QE_NEUTRAL ? ZG_QE_NEUTRAL
						    : ZG_QE_FAILED,
			  now_ns);
}

/* questions ------------------------------------------------------------------------ */

static bool is_sane(const struct zg_msg_quota_ask *m)
{
	if (m->count == 0 || m->count > ZG_QUOTA_ASKED || m->mode > ZG_QM_CLAIM ||
	    m->lease_sec > LEASE_MAX)
		return false;
	for (uint32_t i = 0; i < m->count; i++) {
		const struct zg_quota_limit *l = &m->limit[i];

		if (l->kind >= ZG_QK_MAX || !l->sec || l->sec > SEC_MAX ||
		    (!l->calls && l->kind != ZG_QK_RETRIES) || l->calls > ZG_QUOTA_CALLS_MAX)
			return false;
	}
	return true;
}

/* The first limit that has no room, or count. */
static uint32_t first_exceeded(struct zg_quotas *q, const struct zg_msg_quota_ask *m,
			       uint64_t now_ns, uint64_t *wait_ns)
{
	for (uint32_t i = 0; i < m->count; i++) {
		uint32_t n = find(q, &m->limit[i]);

		if (n != NONE && !has_room(&q->slot[n - 1], &m->limit[i], now_ns, wait_ns))
			return i;
	}
	return m->count;
}

/* All counters of m, pinned. false: none is, for there is no room for one. */
static bool pin_all(struct zg_quotas *q, const struct zg_msg_quota_ask *m, uint64_t now_ns,
		    uint32_t n[ZG_QUOTA_ASKED])
{
	for (uint32_t i = 0; i < m->count; i++) {
		n[i] = find(q, &m->limit[i]);
		if (n[i] == NONE)
			n[i] = create(q, &m->limit[i], m->owner, now_ns);
		if (n[i] == NONE) {
			while (i > 0)
				q->slot[n[--i] - 1].pins--;
			return false;
		}
		q->slot[n[i] - 1].pins++;
	}
	return true;
}

static enum zg_quota_state take(struct zg_quotas *q, uint32_t link,
				const struct zg_msg_quota_ask *m, uint64_t now_ns)
{
	struct zg_lease *lease = NULL;
	uint32_t n[ZG_QUOTA_ASKED];

	if (*find_lease(q, m->call) != NONE)
		return ZG_QS_REFUSED; /* a number is one call's */
	if (q->free_lease == NONE || !pin_all(q, m, now_ns, n))
		return ZG_QS_FULL;
	for (uint32_t i = 0; i < m->count; i++) {
		struct zg_quota_slot *s = &q->slot[n[i] - 1];

		if (s->kind == ZG_QK_RATE) {
			slide(s, now_ns);
			s->part[s->newest % ZG_QUOTA_PARTS]++;
			s->pins--;
			continue;
		}
		if (!lease)
			lease = new_lease(q, m->call);
		s->used += s->kind == ZG_QK_CONCURRENT;
		lease->slot[lease->count++] = n[i];
	}
	if (lease) {
		lease->link = link;
		lease->due_ns = now_ns + m->lease_sec * SECOND_NS;
		if (q->leases == 1 || lease->due_ns < q->lease_due_ns)
			q->lease_due_ns = lease->due_ns;
	}
	return ZG_QS_GRANTED;
}

int zg_quotas_ask(struct zg_quotas *q, uint32_t link, const struct zg_msg_quota_ask *m,
		  uint64_t now_ns, struct zg_msg_quota_told *told)
{
	uint64_t wait_ns = 0;

	if (!is_sane(m))
		return -EPROTO;
	*told = (struct zg_msg_quota_told){.call = m->call, .state = ZG_QS_GRANTED};
	zg_quotas_tick(q, now_ns);
	if (m->mode != ZG_QM_CLAIM) {
		told->which = first_exceeded(q, m, now_ns, &wait_ns);
		told->wait_ms = (wait_ns + 999999) / 1000000;
		if (told->which < m->count)
			told->state = ZG_QS_EXCEEDED;
	}
	if (told->state == ZG_QS_GRANTED && m->mode != ZG_QM_PROBE)
		told->state = take(q, link, m, now_ns);
	return 0;
}
