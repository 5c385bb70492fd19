/* SPDX-License-Identifier: Apache-2.0 */
/*
 * recover.c - finds the end of the audit chain when the ledger starts. Trust:
 * the last segment may end in half a line or in zeros after a crash. Such a
 * tail is kept in a file of its own and the loss is told in the log; lines
 * that were complete are never touched, even if somebody changed them: that is
 * for `zerogate audit verify` to name.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "audit_impl.h"
#include "chain.h"
#include "digest.h"

/* What one segment holds. */
struct scan {
	uint64_t end;	/* offset after its last good line, 0 = none */
	uint64_t bytes; /* of the file */
};

static void mark(struct zg_audit *a, const struct zg_chain_line *l)
{
	struct zg_record_origin *m = NULL;

	if (!l->ring.len || l->ring.len >= ZG_RING_NAME_LEN)
		return;
	for (size_t i = 0; i < a->mark_count && !m; i++)
		if (zg_slice_eq(l->ring, zg_slice_str(a->marks[i].ring)))
			m = &a->marks[i];
	if (!m) {
		/* the oldest gives way: only rings that still live matter */
		if (a->mark_count == ZG_RING_MARKS_MAX) {
			memmove(&a->marks[0], &a->marks[1],
				(ZG_RING_MARKS_MAX - 1) * sizeof(a->marks[0]));
			a->mark_count--;
		}
		m = &a->marks[a->mark_count++];
		(void)zg_str_cut(m->ring, sizeof(m->ring), l->ring);
	}
	m->seq = l->ring_seq;
}

static void scan_text(struct zg_audit *a, const char *text, size_t n, struct scan *s)
{
	const char *end = text + n, *at = text, *newline;

	for (; at < end && (newline = memchr(at, '\n', (size_t)(end - at))); at = newline + 1) {
		struct zg_slice line = {at, (size_t)(newline - at)};
		struct zg_chain_line l;

		if (zg_chain_parse(line, &l) < 0)
			continue; /* torn, or changed: only the last good line counts */
		a->written.seq = l.seq;
		zg_sha256(a->written.prev, line.ptr, line.len);
		if (zg_slice_eq(l.kind, ZG_SLICE("audit.checkpoint")))
			a->written.since_sign = 0;
		else
			a->written.since_sign++;
		mark(a, &l);
		s->end = (uint64_t)(newline + 1 - text);
	}
}

static int scan_segment(struct zg_audit *a, uint64_t number, struct scan *s)
{
	zg_autofd int fd = zg_audit_segment(a, number);
	struct stat st;
	char *map;

	*s = (struct scan){0};
	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_size == 0)
		return 0;
	s->bytes = (uint64_t)st.st_size;
	/* how many unsigned records stand before this segment is not known here:
	 * until a checkpoint is met, one is due */
	a->written.since_sign = number > 1 ? ZG_AUDIT_CHECKPOINT_RECORDS : 0;
	map = mmap(NULL, s->bytes, PROT_READ, MAP_PRIVATE, fd, 0);
	if (map == MAP_FAILED)
		return -errno;
	scan_text(a, map, s->bytes, s);
	(void)munmap(map, s->bytes);
	return 0;
}

/* The highest segment number, 0 if there is none. */
static int last_segment(int dir, uint64_t *out)
{
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;
	uint64_t last = 0;

	if (!d) {
		zg_close_(&fd);
		return -errno;
	}
	while ((entry = readdir(d))) {
		uint64_t n;

		if (strlen(entry->d_name) == 18 && strcmp(entry->d_name + 12, ".jsonl") == 0 &&
		    zg_slice_u64((struct zg_slice){entry->d_name, 12}, UINT64_MAX, &n) == 0 &&
		    n > last)
			last = n;
	}
	(void)closedir(d);
	*out = last;
	return 0;
}

/* Copy what stands after offset into its own file, then cut it off. */
static int move_tail(struct zg_audit *a, uint64_t from, uint64_t to, char *name, size_t size)
{
	zg_autofd int in = zg_audit_segment(a, a->number);
	zg_autofd int out = -1;

	if (in < 0)
		return in;
	(void)snprintf(name, size, "%012llu.torn-%llu", (unsigned long long)a->number,
		       (unsigned long long)a->written.seq);
	/* a crash during an earlier recovery left it: then nothing was cut off yet */
	out = openat(a->dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (out < 0)
		return -errno;
	while (from < to) {
		char chunk[65536];
		size_t want = to - from < sizeof(chunk) ? (size_t)(to - from) : sizeof(chunk);
		ssize_t got = pread(in, chunk, want, (off_t)from);

		if (got <= 0 || write(out, chunk, (size_t)got) != got)
			return errno ? -errno : -EIO;
		from += (uint64_t)got;
	}
	if (fsync(out) < 0 || fsync(a->dir) < 0 || ftruncate(a->segment, (off_t)a->bytes) < 0 ||
	    fdatasync(a->segment) < 0)
		return -errno;
	return 0;
}

static int tell(struct zg_audit *a, uint64_t bytes, const char *name)
{
	const struct zg_record_origin own = {0};
	struct zg_record r;
	int rc;

	zg_record_init(&r, ZG_RK_AUDIT_RECOVER);
	zg_record_str(&r, ZG_RF_message,
		      ZG_SLICE("an incomplete tail was moved out of the audit log"));
	zg_record_str(&r, ZG_RF_reason, ZG_SLICE("torn tail"));
	zg_record_str(&r, ZG_RF_file, zg_slice_str(name));
	ZG_REC_NUM(&r, count, bytes);
	rc = zg_audit_add(a, &r, &own);
	if (rc == -EAGAIN) {
		struct zg_record checkpoint;

		rc = zg_audit_add_checkpoint(a, &checkpoint);
		if (rc == 0)
			rc = zg_audit_add(a, &r, &own);
	}
	return rc < 0 ? rc : zg_audit_commit(a);
}

static int open_last(struct zg_audit *a)
{
	char name[ZG_SEGMENT_NAME_LEN];

	zg_audit_segment_name(name, a->number);
	a->segment = openat(a->dir, name, O_WRONLY | O_APPEND | O_NOFOLLOW | O_CLOEXEC);
	return a->segment < 0 ? -errno : 0;
}

static int recover(struct zg_audit *a)
{
	struct scan last, earlier = {0};
	char name[ZG_CGROUP_LEN];
	int rc = last_segment(a->dir, &a->number);

	if (rc < 0 || !a->number)
		return rc;
	rc = scan_segment(a, a->number, &last);
	/* a segment without a good line: the chain goes on from the one before */
	for (uint64_t n = a->number - 1; rc == 0 && !last.end && !earlier.end && n; n--)
		rc = scan_segment(a, n, &earlier);
	if (rc == 0)
		rc = open_last(a);
	if (rc < 0)
		return rc;
	a->bytes = last.end;
	a->batched = a->written;
	if (last.bytes == last.end)
		return 0;
	rc = move_tail(a, last.end, last.bytes, name, sizeof(name));
	return rc < 0 ? rc : tell(a, last.bytes - last.end, name);
}

int zg_audit_recover(struct zg_audit *a, struct zg_err *e)
{
	int rc = recover(a);

	if (rc < 0)
		return zg_err_at(e, -rc, "audit", 0, 0, "cannot find the end of the audit log: %s",
				 strerror(-rc));
	return 0;
}
