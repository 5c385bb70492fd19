/* SPDX-License-Identifier: Apache-2.0 */
/*
 * approval_recover.c - the evidence of a step is on disk before the step is
 * (approval.h), so a ledger that dies between the two leaves a record of what never
 * held. When it starts, the end of the log is compared with the store, and such a
 * record is taken back by the one that follows it. Trust: both files are the ledger's
 * own. Never changes an approval, or a line that stands in the log.
 */
#include <errno.h>

#include "approval_impl.h"
#include "audit.h"
#include "chain.h"
#include "log.h"

/* A step has three records, or one each for several approvals; a checkpoint and word of
 * a torn tail may follow. */
#define LINES_MAX  (ZG_VOID_AT_ONCE + 2)
#define LINES_TEXT (LINES_MAX * (ZG_CHAIN_LINE_MAX + 1))

#define IN(state) (1U << (state))
#define ANY	  UINT32_MAX

/* In which states of its approval a step holds. */
static const struct {
	const char *kind;
	uint32_t states;
} steps[] = {
	{"approval.request", ANY},
	{"approval.vote", ANY},
	{"approval.approve", IN(ZG_AS_APPROVED) | IN(ZG_AS_CONSUMED) | IN(ZG_AS_EXPIRED)},
	{"approval.break_glass", IN(ZG_AS_APPROVED) | IN(ZG_AS_CONSUMED) | IN(ZG_AS_EXPIRED)},
	{"approval.deny", IN(ZG_AS_DENIED)},
	{"approval.expire", IN(ZG_AS_EXPIRED)},
	{"approval.consume", IN(ZG_AS_CONSUMED)},
};

#define STEPS (sizeof(steps) / sizeof(steps[0]))

/* The last step of an approval that the log ends with. */
struct last {
	size_t step; /* STEPS = none */
	uint32_t uid;
	char approval[ZG_NAME_LEN];
};

struct end {
	struct last last[LINES_MAX];
	size_t count;
};

/* What follows a member's name in a line of ours: no string of it holds a bare quote. */
static struct zg_slice after(struct zg_slice line, const char *name)
{
	const char *at = memmem(line.ptr, line.len, name, strlen(name));
	const char *end = line.ptr + line.len;

	if (!at)
		return (struct zg_slice){line.ptr, 0};
	at += strlen(name);
	return (struct zg_slice){at, (size_t)(end - at)};
}

static size_t digits(struct zg_slice s)
{
	size_t n = 0;

	while (n < s.len && s.ptr[n] >= '0' && s.ptr[n] <= '9')
		n++;
	return n;
}

static void look(struct end *e, struct zg_slice line)
{
	struct zg_slice id = after(line, ",\"approval\":\""),
			uid = after(line, ",\"approver_uid\":");
	struct last l = {.step = 0};
	struct zg_chain_line c;
	uint64_t number = 0;
	size_t i = 0;

	if (zg_chain_parse(line, &c) < 0 || zg_slice_eq(c.kind, ZG_SLICE("audit.checkpoint")) ||
	    zg_slice_eq(c.kind, ZG_SLICE("audit.recover")) ||
	    zg_slice_eq(c.kind, ZG_SLICE("gate.trip"))) /* within a step, after its first */
		return;
	while (l.step < STEPS && !zg_slice_eq(c.kind, zg_slice_str(steps[l.step].kind)))
		l.step++;
	uid.len = digits(uid);
	if (zg_slice_u64(uid, UINT32_MAX, &number) == 0)
		l.uid = (uint32_t)number;
	for (size_t n = 0; n < id.len && id.ptr[n] != '"' && n + 1 < sizeof(l.approval); n++)
		l.approval[n] = id.ptr[n];
	if (!l.approval[0])
		return;
	while (i < e->count && strcmp(e->last[i].approval, l.approval) != 0)
		i++;
	if (i == LINES_MAX)
		return;
	e->count += i == e->count;
	e->last[i] = l;
}

static int read_segment(const struct zg_audit *a, struct zg_audit_place at, struct end *e)
{
	zg_autofd int fd = zg_audit_segment(a, at.segment);
	zg_autofree char *text = malloc(LINES_TEXT);
	const char *line = text, *newline;
	ssize_t n;

	if (fd < 0 || !text)
		return fd < 0 ? fd : -ENOMEM;
	n = pread(fd, text, LINES_TEXT, (off_t)at.offset);
	if (n < 0)
		return -errno;
	while ((newline = memchr(line, '\n', (size_t)(text + n - line)))) {
		look(e, (struct zg_slice){line, (size_t)(newline - line)});
		line = newline + 1;
	}
	return 0;
}

/* 1: the step holds, or was none; 0: it does not, and a is its approval as it stands. */
static int holds(struct zg_approvals *s, const struct last *l, struct zg_approval *a)
{
	uint64_t votes = 0;
	int rc;

	if (l->step == STEPS)
		return 1;
	rc = zg_store_get(&s->store, l->approval, a);
	if (rc == -ENOENT) {
		*a = (struct zg_approval){0};
		memcpy(a->m.approval, l->approval, sizeof(a->m.approval));
		return strcmp(steps[l->step].kind, "approval.request") != 0; /* or forgotten */
	}
	if (rc < 0 || !(steps[l->step].states & IN(a->m.state)))
		return rc;
	if (strcmp(steps[l->step].kind, "approval.vote") != 0)
		return 1;
	rc = zg_store_voted(&s->store, l->approval, l->uid, true, &votes);
	return rc < 0 ? rc : votes > 0;
}

static int take_back(struct zg_approvals *s)
{
	const struct zg_audit *audit = s->trail->audit;
	struct zg_audit_place at = {0}, stop = zg_audit_end(audit);
	struct end end = {.count = 0};
	struct zg_approval a;
	struct zg_record r;
	int rc = zg_audit_last(audit, LINES_MAX, &at);

	for (; rc == 0 && at.segment && at.segment <= stop.segment; at.offset = 0, at.segment++)
		rc = read_segment(audit, at, &end);
	for (size_t i = 0; i < end.count && rc >= 0; i++) {
		rc = holds(s, &end.last[i], &a);
		if (rc != 0)
			continue;
		zg_approvals_describe(&r, ZG_RK_APPROVAL_REFUSE, &a, "was not stored");
		zg_record_str(&r, ZG_RF_reason, ZG_SLICE(ZG_APPROVAL_TAKEN_BACK));
		rc = zg_trail_emit(s->trail, &r, 1);
	}
	return rc < 0 ? rc : 0;
}

void zg_approvals_recover(struct zg_approvals *s)
{
	int rc = take_back(s);

	if (rc < 0)
		zg_log(ZG_LOG_ERR, "whether the log's last step was stored cannot be told: %s",
		       strerror(-rc));
}
