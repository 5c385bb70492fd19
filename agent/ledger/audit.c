/* SPDX-License-Identifier: Apache-2.0 */
/*
 * audit.c - see audit.h: batches, segments, checkpoints. Trust: records may
 * come from compromised roles, the disk may be full or fail at any call.
 * Either a batch is wholly in the file, or the file is as it was; a line is
 * never changed once it is written.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "audit_impl.h"
#include "chain.h"
#include "digest.h"

#define AUDIT_DIR	"audit"
#define LOCK_WAIT_MS	10000
#define LOCK_PAUSE_MS	20
#define BATCH_BYTES_MAX 4194304 /* the loop commits long before */

void zg_audit_segment_name(char out[ZG_SEGMENT_NAME_LEN], uint64_t number)
{
	(void)snprintf(out, ZG_SEGMENT_NAME_LEN, "%012llu.jsonl",
		       (unsigned long long)(number % 1000000000000u));
}

static int open_dir(int parent, const char *name)
{
	int fd;

	if (mkdirat(parent, name, 0700) < 0 && errno != EEXIST)
		return -errno;
	fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* The predecessor may still be emptying its rings: wait for its lock, bounded. */
static int take_lock(struct zg_audit *a)
{
	const struct timespec pause = {.tv_nsec = LOCK_PAUSE_MS * 1000000};

	a->lock = openat(a->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (a->lock < 0)
		return -errno;
	for (int waited = 0; flock(a->lock, LOCK_EX | LOCK_NB) < 0; waited += LOCK_PAUSE_MS) {
		if (errno != EWOULDBLOCK || waited >= LOCK_WAIT_MS)
			return -errno;
		(void)clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
	}
	return 0;
}

int zg_audit_open(struct zg_audit **out, int state_dir, struct zg_err *e)
{
	struct zg_audit *a = calloc(1, sizeof(*a));
	int rc;

	if (!a)
		return zg_err_set(e, ENOMEM, "out of memory");
	a->segment = a->lock = -1;
	a->batch = ZG_BUF(BATCH_BYTES_MAX);
	a->synced = true;
	a->dir = open_dir(state_dir, AUDIT_DIR);
	if (a->dir < 0) {
		rc = zg_err_at(e, -a->dir, AUDIT_DIR, 0, 0, "cannot open the audit folder: %s",
			       strerror(-a->dir));
		goto fail;
	}
	rc = take_lock(a);
	if (rc < 0) {
		(void)zg_err_at(e, -rc, AUDIT_DIR, 0, 0,
				"another ledger is writing to this folder");
		goto fail;
	}
	rc = zg_audit_key(&a->key, state_dir, a->dir, e);
	if (rc == 0)
		rc = zg_audit_recover(a, e);
	if (rc < 0)
		goto fail;
	*out = a;
	return 0;
fail:
	zg_audit_free(a);
	return rc;
}

void zg_audit_free(struct zg_audit *a)
{
	if (!a)
		return;
	zg_close_(&a->segment);
	zg_close_(&a->dir);
	zg_close_(&a->lock);
	zg_buf_release(&a->batch);
	EVP_PKEY_free(a->key);
	free(a);
}

void zg_audit_set_durability(struct zg_audit *a, enum zg_durability d)
{
	a->durability = d;
}

void zg_audit_set_snapshot(struct zg_audit *a, const uint8_t snapshot[32])
{
	memcpy(a->snapshot, snapshot, sizeof(a->snapshot));
	a->stamps = true;
}

void zg_audit_stamp(const struct zg_audit *a, struct zg_record *r)
{
	if (a->stamps && !ZG_REC_HAS(r, snapshot))
		zg_record_bytes(r, ZG_RF_snapshot, a->snapshot);
}

/* --- the batch -------------------------------------------------------------- */

static int add_line(struct zg_audit *a, const struct zg_record *r,
		    const struct zg_record_origin *from)
{
	size_t start = a->batch.len;
	uint8_t hash[32];

	zg_record_json(&a->batch, r, a->batched.seq + 1, from, a->batched.prev);
	if (zg_buf_ok(&a->batch))
		zg_sha256(hash, a->batch.ptr + start, a->batch.len - start);
	zg_buf_char(&a->batch, '\n');
	if (!zg_buf_ok(&a->batch)) {
		a->batch.len = start;
		a->batch.error = 0;
		return -ENOMEM;
	}
	memcpy(a->batched.prev, hash, sizeof(hash));
	a->batched.seq++;
	a->batched.since_sign++;
	return 0;
}

int zg_audit_add_checkpoint(struct zg_audit *a, struct zg_record *out)
{
	const struct zg_record_origin own = {0};
	char text[ZG_CHAIN_SIGNED_MAX], sig[89];
	struct zg_record r;
	int rc;

	if (a->batched.since_sign == 0)
		return -ENODATA;
	rc = zg_audit_sign(a->key, text, zg_chain_signed(text, a->batched.seq + 1, a->batched.prev),
			   sig);
	if (rc < 0)
		return rc;
	zg_record_init(&r, ZG_RK_AUDIT_CHECKPOINT);
	ZG_REC_NUM(&r, count, a->batched.since_sign);
	zg_record_str(&r, ZG_RF_signature, zg_slice_str(sig));
	zg_audit_stamp(a, &r);
	rc = add_line(a, &r, &own);
	if (rc < 0)
		return rc;
	a->batched.since_sign = 0;
	a->batch_signed = true;
	*out = r;
	return 0;
}

static bool seen_before(const struct zg_audit *a, const struct zg_record_origin *from)
{
	for (size_t i = 0; i < a->mark_count; i++)
		if (strcmp(a->marks[i].ring, from->ring) == 0)
			return from->seq <= a->marks[i].seq;
	return false;
}

int zg_audit_add(struct zg_audit *a, const struct zg_record *r, const struct zg_record_origin *from)
{
	if (!zg_record_kind_text(r->kind))
		return -EINVAL;
	if (from->ring[0] && seen_before(a, from))
		return -EALREADY;
	if (a->batched.since_sign >= ZG_AUDIT_CHECKPOINT_RECORDS)
		return -EAGAIN;
	return add_line(a, r, from);
}

/* --- the file --------------------------------------------------------------- */

static int write_all(int fd, const char *bytes, size_t n)
{
	while (n) {
		ssize_t done = write(fd, bytes, n);

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return -errno;
		bytes += done;
		n -= (size_t)done;
	}
	return 0;
}

static int next_segment(struct zg_audit *a)
{
	char name[ZG_SEGMENT_NAME_LEN];
	int fd, rc = zg_audit_sync(a);

	if (rc < 0)
		return rc;
	zg_audit_segment_name(name, a->number + 1);
	fd = openat(a->dir, name, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	if (fsync(a->dir) < 0) {
		rc = -errno;
		(void)close(fd);
		return rc;
	}
	zg_close_(&a->segment);
	a->segment = fd;
	a->number++;
	a->bytes = 0;
	return 0;
}

/* Cut off what a failed write left behind. */
static int mend(struct zg_audit *a)
{
	if (!a->torn)
		return 0;
	if (ftruncate(a->segment, (off_t)a->bytes) < 0)
		return -errno;
	a->torn = false;
	return 0;
}

void zg_audit_abandon(struct zg_audit *a)
{
	zg_buf_reset(&a->batch);
	a->batch_signed = false;
	a->batched = a->written;
}

int zg_audit_commit(struct zg_audit *a)
{
	size_t n = a->batch.len;
	int rc = mend(a);

	if (rc == 0 && n && (a->segment < 0 || (a->bytes && a->bytes + n > ZG_AUDIT_SEGMENT_BYTES)))
		rc = next_segment(a);
	if (rc == 0 && n) {
		a->torn = true;
		rc = write_all(a->segment, a->batch.ptr, n);
		a->synced = false;
		if (rc == 0 && (a->durability == ZG_DURABILITY_SYNC || a->batch_signed))
			rc = zg_audit_sync(a);
	}
	if (rc < 0) {
		zg_audit_abandon(a);
		/* now, so that nobody reads half a batch; else before the next write */
		(void)mend(a);
		return rc;
	}
	a->torn = false;
	a->bytes += n;
	a->written = a->batched;
	zg_audit_abandon(a);
	return 0;
}

int zg_audit_sync(struct zg_audit *a)
{
	if (a->synced || a->segment < 0)
		return 0;
	if (fdatasync(a->segment) < 0)
		return -errno;
	a->synced = true;
	return 0;
}

uint64_t zg_audit_batched(const struct zg_audit *a)
{
	return a->batched.seq;
}

bool zg_audit_synced(const struct zg_audit *a)
{
	return a->synced;
}

uint64_t zg_audit_unsigned(const struct zg_audit *a)
{
	return a->written.since_sign;
}

/* --- readers ------------------------------------------------------------------ */

struct zg_audit_place zg_audit_end(const struct zg_audit *a)
{
	return (struct zg_audit_place){a->number, a->bytes};
}

int zg_audit_segment(const struct zg_audit *a, uint64_t number)
{
	char name[ZG_SEGMENT_NAME_LEN];
	int fd;

	zg_audit_segment_name(name, number);
	fd = openat(a->dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* Offset where the last *n lines before end begin; *n is what is still missing. */
static int last_in_segment(int fd, uint64_t end, uint64_t *n, uint64_t *offset)
{
	char chunk[65536];
	uint64_t at = end;

	while (at) {
		size_t take = at < sizeof(chunk) ? (size_t)at : sizeof(chunk);
		ssize_t got = pread(fd, chunk, take, (off_t)(at - take));

		if (got != (ssize_t)take)
			return got < 0 ? -errno : -EIO;
		for (size_t i = take; i > 0; i--) {
			/* the newline that ends the last line ends no line before it */
			if (chunk[i - 1] != '\n' || at - take + i == end)
				continue;
			if (--*n == 0) {
				*offset = at - take + i;
				return 0;
			}
		}
		at -= take;
	}
	if (end)
		--*n; /* the segment's first line */
	*offset = 0;
	return 0;
}

int zg_audit_last(const struct zg_audit *a, uint64_t n, struct zg_audit_place *out)
{
	struct zg_audit_place at = zg_audit_end(a);

	while (n && at.segment) {
		zg_autofd int fd = zg_audit_segment(a, at.segment);
		struct stat st;
		uint64_t end;
		int rc;

		if (fd < 0)
			break; /* moved to an archive: begin with what is here */
		if (fstat(fd, &st) < 0)
			return -errno;
		end = at.segment == a->number ? a->bytes : (uint64_t)st.st_size;
		rc = last_in_segment(fd, end, &n, &at.offset);
		if (rc < 0)
			return rc;
		*out = at;
		at.segment--;
	}
	return 0;
}
