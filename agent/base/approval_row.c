/* SPDX-License-Identifier: Apache-2.0 */
/* approval_row.c - see approval_row.h. Trust: a reader checks every length. */
#include "approval_row.h"

#include <errno.h>
#include <string.h>

enum part_kind { PART_TEXT = 0, PART_BYTES };

#define PART(kind, member)                                                                         \
	{                                                                                          \
		kind, offsetof(struct zg_msg_ctl_approval, member),                                \
			sizeof(((struct zg_msg_ctl_approval *)0)->member)                          \
	}

static const struct {
	enum part_kind kind;
	size_t offset, bytes;
} parts[] = {
	PART(PART_TEXT, approval),
	PART(PART_BYTES, state),
	PART(PART_BYTES, approver_uid),
	PART(PART_BYTES, created_ms),
	PART(PART_BYTES, decided_ms),
	PART(PART_BYTES, expires_ms),
	PART(PART_BYTES, principal.cgroup_id),
	PART(PART_BYTES, principal.start_ns),
	PART(PART_BYTES, principal.pid),
	PART(PART_BYTES, principal.uid),
	PART(PART_BYTES, principal.gid),
	PART(PART_BYTES, principal.profile_id),
	PART(PART_TEXT, principal.profile),
	PART(PART_TEXT, principal.cgroup),
	PART(PART_TEXT, principal.comm),
	PART(PART_TEXT, server),
	PART(PART_TEXT, method),
	PART(PART_TEXT, tool),
	PART(PART_TEXT, rules),
	PART(PART_TEXT, risk_tags),
	PART(PART_TEXT, reason),
	PART(PART_BYTES, args_sha256),
	PART(PART_BYTES, snapshot),
	PART(PART_BYTES, definition_sha256),
	PART(PART_BYTES, args_bytes),
	PART(PART_BYTES, approvers),
	PART(PART_BYTES, agreed),
	PART(PART_BYTES, action),
	PART(PART_BYTES, break_glass),
	PART(PART_BYTES, change),
	PART(PART_TEXT, outcome),
};

#define PARTS (sizeof(parts) / sizeof(parts[0]))

/* What a row takes at most: all that is before `why`, and a length for each part. */
_Static_assert(offsetof(struct zg_msg_ctl_approval, why) + PARTS * sizeof(uint16_t) <=
		       ZG_APPROVAL_ROWS_BYTES,
	       "an empty message holds any row");

bool zg_approval_rows_add(struct zg_msg_ctl_approval_rows *m, const struct zg_msg_ctl_approval *a)
{
	size_t at = m->bytes;

	for (size_t i = 0; i < PARTS; i++) {
		const char *from = (const char *)a + parts[i].offset;
		uint16_t n = (uint16_t)parts[i].bytes;

		if (parts[i].kind == PART_TEXT)
			n = (uint16_t)strnlen(from, parts[i].bytes - 1);
		if (sizeof(m->row) - at < sizeof(n) + n)
			return false;
		if (parts[i].kind == PART_TEXT) {
			memcpy(m->row + at, &n, sizeof(n));
			at += sizeof(n);
		}
		memcpy(m->row + at, from, n);
		at += n;
	}
	m->bytes = (uint32_t)at;
	m->count++;
	return true;
}

int zg_approval_rows_next(const struct zg_msg_ctl_approval_rows *m, size_t *at,
			  struct zg_msg_ctl_approval *out)
{
	struct zg_msg_ctl_approval a = {0};
	size_t here = *at;

	if (m->bytes > sizeof(m->row))
		return -EPROTO;
	if (here >= m->bytes)
		return 0;
	for (size_t i = 0; i < PARTS; i++) {
		char *to = (char *)&a + parts[i].offset;
		size_t most = parts[i].bytes;
		uint16_t n = (uint16_t)most;

		if (parts[i].kind == PART_TEXT) {
			if (m->bytes - here < sizeof(n))
				return -EPROTO;
			memcpy(&n, m->row + here, sizeof(n));
			here += sizeof(n);
			most--; /* its end is there already */
		}
		if (n > most || m->bytes - here < n)
			return -EPROTO;
		memcpy(to, m->row + here, n);
		here += n;
	}
	*at = here;
	*out = a;
	return 1;
}
