/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trail.c - see trail.h. Trust: a ring's producer may be a compromised
 * gateway: it may only bring the kinds of record that its role makes, and a
 * ring that breaks the contract is not read again. Nothing is committed in a
 * ring before the log holds it; nothing is dropped for want of room.
 */
#include "trail.h"

#include <errno.h>
#include <sys/stat.h>

#include "log.h"

int zg_trail_init(struct zg_trail *t, struct zg_audit *audit, const char *journal)
{
	int rc;

	*t = (struct zg_trail){.audit = audit};
	rc = zg_journal_init(&t->journal, journal);
	if (rc < 0)
		t->audit = NULL;
	return rc;
}

void zg_trail_release(struct zg_trail *t)
{
	for (size_t i = 0; i < t->ring_count; i++)
		zg_ring_release(&t->rings[i].ring);
	zg_journal_release(&t->journal);
	zg_audit_free(t->audit);
	*t = (struct zg_trail){.journal.sock = -1};
}

/* --- rings -------------------------------------------------------------------- */

static enum zg_ring_state state_of(const struct zg_trail *t)
{
	if (!t->open)
		return ZG_RING_DOWN;
	return t->failed ? ZG_RING_FAILED : ZG_RING_OK;
}

static void set_states(struct zg_trail *t)
{
	for (size_t i = 0; i < t->ring_count; i++)
		if (!t->rings[i].broken)
			zg_ring_set_state(&t->rings[i].ring, state_of(t));
}

static void remove_ring(struct zg_trail *t, size_t i)
{
	zg_ring_release(&t->rings[i].ring);
	t->rings[i] = t->rings[--t->ring_count];
}

int zg_trail_add_ring(struct zg_trail *t, int fd, uint32_t index, uint64_t boot)
{
	struct zg_trail_ring r = {.index = index};
	struct stat st;
	int rc;

	if (index > ZG_WORKERS_MAX)
		return -EINVAL;
	if (t->ring_count == ZG_TRAIL_RINGS_MAX)
		return -ENOSPC;
	if (fstat(fd, &st) < 0)
		return -errno;
	rc = zg_ring_attach(&r.ring, fd, -1);
	if (rc < 0)
		return rc;
	r.taken = r.ring.position;
	/* inode numbers tell the rings of one start of the agent apart */
	(void)snprintf(r.name, sizeof(r.name), "%u-%08x%08x", index, (unsigned)(boot ^ boot >> 32),
		       (unsigned)st.st_ino);
	for (size_t i = 0; i < t->ring_count; i++)
		if (t->rings[i].index == index)
			t->rings[i].retired = true;
	t->rings[t->ring_count++] = r;
	set_states(t);
	return 0;
}

void zg_trail_start(struct zg_trail *t)
{
	t->open = true;
	set_states(t);
}

void zg_trail_stop(struct zg_trail *t)
{
	t->open = false;
	set_states(t);
}

/* What a role may say happened: a gateway cannot forge a decision of a person
 * or of the agent, nobody but the ledger can sign. */
static bool may_bring(uint32_t index, uint32_t kind)
{
	switch ((enum zg_record_kind)kind) {
	case ZG_RK_CALL_REJECT:
	case ZG_RK_CALL_DENY:
	case ZG_RK_CALL_INTENT:
	case ZG_RK_CALL_OUTCOME:
	case ZG_RK_SERVER_REQUEST:
	case ZG_RK_TLS_PASS:
	case ZG_RK_TLS_DENY:
		return true;
	case ZG_RK_AGENT_START:
	case ZG_RK_AGENT_STOP:
	case ZG_RK_AGENT_CHILD_EXIT:
	case ZG_RK_POLICY_LOAD:
	case ZG_RK_POLICY_REJECT:
	case ZG_RK_POLICY_SHADOW:
	case ZG_RK_KERNEL_DENY:
	case ZG_RK_KERNEL_WOULD_DENY:
	case ZG_RK_KERNEL_LOST:
	case ZG_RK_RUN_START:
	case ZG_RK_RUN_END:
	case ZG_RK_SHADOW_MCP:
	case ZG_RK_CGROUP_LEAVE:
	case ZG_RK_NAME_RESOLVE:
	case ZG_RK_NAME_REFUSE:
	case ZG_RK_NAME_USE:
	case ZG_RK_PROFILE_CONTAIN:
	case ZG_RK_PROFILE_RESUME:
	case ZG_RK_SOCKET_DESTROY:
	case ZG_RK_SELF_PROOF:
	case ZG_RK_SERVER_UNKNOWN:
	case ZG_RK_SERVER_START:
	case ZG_RK_SERVER_EXIT:
	case ZG_RK_SERVER_REFUSE:
	case ZG_RK_ISSUER_KEYS:
	case ZG_RK_CONNECTION_GRANT:
	case ZG_RK_CONNECTION_END:
		return index == 0;
	case ZG_RK_NONE:
	case ZG_RK_APPROVAL_REQUEST:
	case ZG_RK_APPROVAL_APPROVE:
	case ZG_RK_APPROVAL_DENY:
	case ZG_RK_APPROVAL_REFUSE:
	case ZG_RK_APPROVAL_EXPIRE:
	case ZG_RK_APPROVAL_CONSUME:
	case ZG_RK_APPROVAL_VOTE:
	case ZG_RK_APPROVAL_BREAK_GLASS:
	case ZG_RK_GATE_TRIP:
	case ZG_RK_GATE_LIFT:
	case ZG_RK_NOTIFY_FAIL:
	case ZG_RK_AUDIT_RECOVER:
	case ZG_RK_AUDIT_CHECKPOINT:
	case ZG_RK_TOOL_PIN:
	case ZG_RK_TOOL_CHANGE:
	case ZG_RK_TOOL_TRUST:
	case ZG_RK_TOOL_INTERFERENCE:
	case ZG_RK_SERVER_MISMATCH:
	case ZG_RK_SERVER_SUBMIT:
	case ZG_RK_SERVER_APPROVE:
	case ZG_RK_SERVER_LIVE:
	case ZG_RK_SERVER_SUSPEND:
	case ZG_RK_SERVER_RESUME:
	case ZG_RK_SERVER_REVOKE:
	case ZG_RK_MAX:
		return false;
	}
	return false; /* not a kind at all */
}

static void break_ring(struct zg_trail_ring *r, const char *why)
{
	r->broken = true;
	zg_ring_set_state(&r->ring, ZG_RING_DOWN);
	zg_log(ZG_LOG_ERR, "ring %s broke its contract (%s); its records are refused", r->name,
	       why);
}

/* --- writing ------------------------------------------------------------------- */

static uint64_t monotonic_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static int fail(struct zg_trail *t, int rc)
{
	zg_audit_abandon(t->audit);
	for (size_t i = 0; i < t->ring_count; i++)
		t->rings[i].ring.position = t->rings[i].taken;
	t->failures++;
	if (!t->failed) {
		t->failed = -rc;
		t->failed_ms = monotonic_ms();
		set_states(t);
		zg_log(ZG_LOG_ERR,
		       "the audit log cannot be written: %s; calls are refused until it can",
		       strerror(-rc));
	}
	return rc;
}

static void to_journal(struct zg_trail *t)
{
	for (size_t i = 0; i < t->batch_count; i++) {
		if (zg_journal_send(&t->journal, &t->batch[i].record, t->batch[i].seq) ||
		    t->journal.told)
			continue;
		t->journal.told = true;
		zg_log(ZG_LOG_WARN,
		       "journald does not take records (%llu so far); the audit log has them",
		       (unsigned long long)t->journal.lost);
	}
	t->batch_count = 0;
}

static void batched(struct zg_trail *t, const struct zg_record *r)
{
	zg_record_copy(&t->batch[t->batch_count].record, r);
	t->batch[t->batch_count].seq = zg_audit_batched(t->audit);
	t->batch_count++;
}

static int sign(struct zg_trail *t)
{
	struct zg_record r;
	int rc = zg_audit_add_checkpoint(t->audit, &r);

	if (rc == 0)
		batched(t, &r);
	return rc == -ENODATA ? 0 : rc;
}

/* At most two places of the batch: the record, and a checkpoint before it. */
static int take(struct zg_trail *t, const struct zg_record *r, const struct zg_record_origin *from)
{
	struct zg_record stamped;
	int rc;

	if (!ZG_REC_HAS(r, snapshot)) {
		stamped = *r;
		zg_audit_stamp(t->audit, &stamped);
		r = &stamped;
	}
	rc = zg_audit_add(t->audit, r, from);
	if (rc == -EAGAIN) {
		rc = sign(t);
		if (rc == 0)
			rc = zg_audit_add(t->audit, r, from);
	}
	if (rc == 0)
		batched(t, r);
	return rc;
}

/* Move what fits from one ring to the batch. */
static int collect(struct zg_trail *t, struct zg_trail_ring *r)
{
	struct zg_record_origin from = {0};
	struct zg_record record;
	int rc;

	(void)zg_str_cut(from.ring, sizeof(from.ring), zg_slice_str(r->name));
	while (!r->broken && t->batch_count < ZG_TRAIL_BATCH - 1) {
		rc = zg_ring_peek(&r->ring, &record, &from.seq);
		if (rc == -EAGAIN)
			return 0;
		if (rc < 0 || !may_bring(r->index, record.kind)) {
			break_ring(r, rc < 0 ? "positions" : "kind of record");
			return 0;
		}
		rc = take(t, &record, &from);
		if (rc < 0 && rc != -EALREADY)
			return rc;
	}
	return 0;
}

int zg_trail_drain(struct zg_trail *t)
{
	bool full;
	int rc = 0;

	t->batch_count = 0;
	for (size_t i = 0; i < t->ring_count && rc == 0; i++)
		rc = collect(t, &t->rings[i]);
	if (rc == 0)
		rc = zg_audit_commit(t->audit);
	if (rc < 0)
		return fail(t, rc);
	t->drained = t->batch_count;
	full = t->batch_count >= ZG_TRAIL_BATCH - 1;
	for (size_t i = t->ring_count; i > 0; i--) {
		struct zg_trail_ring *r = &t->rings[i - 1];
		/* a broken ring stands at the record it broke with */
		uint64_t safe = r->ring.position;

		if (safe != r->taken) {
			zg_ring_commit(&r->ring, safe);
			r->taken = safe;
		}
		if (r->retired && (r->broken || !full))
			remove_ring(t, i - 1);
	}
	to_journal(t);
	return full ? 1 : 0;
}

bool zg_trail_may_sleep(struct zg_trail *t)
{
	bool may = true;

	for (size_t i = 0; i < t->ring_count; i++)
		if (!t->rings[i].broken && !zg_ring_sleep(&t->rings[i].ring))
			may = false;
	return may;
}

int zg_trail_emit(struct zg_trail *t, const struct zg_record *records, size_t n)
{
	const struct zg_record_origin own = {0};
	int rc = 0;

	if (t->failed)
		return -t->failed;
	t->batch_count = 0;
	for (size_t i = 0; i < n && rc == 0; i++)
		rc = take(t, &records[i], &own);
	if (rc == 0)
		rc = zg_audit_commit(t->audit);
	if (rc == 0)
		rc = zg_audit_sync(t->audit);
	if (rc < 0)
		return fail(t, rc);
	to_journal(t);
	return 0;
}

int zg_trail_retry(struct zg_trail *t)
{
	const struct zg_record_origin own = {0};
	struct zg_record r;
	int rc;

	if (!t->failed)
		return 0;
	zg_record_init(&r, ZG_RK_AUDIT_RECOVER);
	zg_record_str(&r, ZG_RF_message,
		      ZG_SLICE("the audit log could not be written for a while"));
	zg_record_str(&r, ZG_RF_reason, zg_slice_str(strerror(t->failed)));
	ZG_REC_NUM(&r, waited_ms, monotonic_ms() - t->failed_ms);
	ZG_REC_NUM(&r, count, t->failures);
	t->batch_count = 0;
	rc = take(t, &r, &own);
	if (rc == 0)
		rc = zg_audit_commit(t->audit);
	if (rc < 0)
		return fail(t, rc);
	zg_log(ZG_LOG_NOTICE, "the audit log can be written again");
	t->failed = 0;
	t->failures = 0;
	set_states(t);
	to_journal(t);
	return 0;
}

int zg_trail_checkpoint(struct zg_trail *t)
{
	int rc;

	if (t->failed)
		return -t->failed;
	t->batch_count = 0;
	rc = sign(t);
	if (rc == 0)
		rc = zg_audit_commit(t->audit);
	if (rc == 0)
		rc = zg_audit_sync(t->audit);
	return rc < 0 ? fail(t, rc) : 0;
}

int zg_trail_sync(struct zg_trail *t)
{
	int rc = t->failed ? -t->failed : zg_audit_sync(t->audit);

	return rc < 0 && !t->failed ? fail(t, rc) : rc;
}
