/* SPDX-License-Identifier: Apache-2.0 */
/*
 * journal.c - see journal.h. Trust: texts of records may hold anything, so
 * each goes in the protocol's length-prefixed form and cannot add a field.
 * Never waits longer than QUEUE_WAIT_MS, and then not again for RETRY_NS.
 */
#include "journal.h"

#include <endian.h>
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "record_json.h"

#define JOURNAL_BYTES_MAX 65536	  /* a record's texts together stay below 4 KB */
#define JOURNAL_SNDBUF	  1048576 /* a burst of records while journald is busy */
#define QUEUE_WAIT_MS	  200
#define RETRY_NS	  UINT64_C(5000000000)

int zg_journal_init(struct zg_journal *j, const char *path)
{
	const int bytes = JOURNAL_SNDBUF;
	int sock = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (sock < 0)
		return -errno;
	/* the default only makes bursts wait earlier */
	(void)setsockopt(sock, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
	*j = (struct zg_journal){.sock = sock, .path = path, .text = ZG_BUF(JOURNAL_BYTES_MAX)};
	return 0;
}

void zg_journal_release(struct zg_journal *j)
{
	zg_close_(&j->sock);
	zg_buf_release(&j->text);
	*j = (struct zg_journal){.sock = -1};
}

static uint64_t monotonic_ns(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void field(struct zg_buf *b, const char *name, struct zg_slice value)
{
	uint64_t bytes = htole64(value.len);

	zg_buf_str(b, name);
	zg_buf_char(b, '\n');
	zg_buf_add(b, &bytes, sizeof(bytes));
	zg_buf_add(b, value.ptr, value.len);
	zg_buf_char(b, '\n');
}

static void number(struct zg_buf *b, const char *name, uint64_t value)
{
	zg_buf_str(b, name);
	zg_buf_char(b, '=');
	zg_buf_u64(b, value);
	zg_buf_char(b, '\n');
}

static void compose(struct zg_buf *b, const struct zg_record *r, uint64_t seq)
{
	const struct zg_record_column *text = &zg_record_columns[ZG_RF_message];
	const char *kind = zg_record_kind_text(r->kind);

	zg_buf_reset(b);
	field(b, "MESSAGE", ZG_REC_HAS(r, message) ? zg_record_text(r, text) : zg_slice_str(kind));
	zg_buf_fmt(b, "MESSAGE_ID=%s\nPRIORITY=%d\nSYSLOG_IDENTIFIER=zerogate\nZG_KIND=%s\n",
		   zg_record_kind_id(r->kind), zg_record_kind_priority(r->kind), kind);
	number(b, "ZG_SEQ", seq);
	number(b, "ZG_TIME_NS", r->time_ns);
	for (int f = 0; f < ZG_RF_MAX; f++) {
		const struct zg_record_column *c = &zg_record_columns[f];

		if (!ZG_REC_HAS_N(r, f))
			continue;
		if (c->type == ZG_RT_STR) {
			field(b, c->journal, zg_record_text(r, c));
			continue;
		}
		zg_buf_str(b, c->journal);
		zg_buf_char(b, '=');
		zg_record_value(b, r, c);
		zg_buf_char(b, '\n');
	}
}

static bool reconnect(struct zg_journal *j)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};

	if (j->connected)
		return true;
	if (!zg_str_cut(to.sun_path, sizeof(to.sun_path), zg_slice_str(j->path)))
		return false;
	j->connected = connect(j->sock, (const struct sockaddr *)&to, sizeof(to)) == 0;
	return j->connected;
}

/* One datagram; a full queue is waited for once. */
static bool deliver(struct zg_journal *j)
{
	struct pollfd p = {.fd = j->sock, .events = POLLOUT};

	/* a restarted journald leaves the old connection dead: connect once more */
	for (int attempt = 0; attempt < 3; attempt++) {
		if (!reconnect(j))
			return false;
		if (send(j->sock, j->text.ptr, j->text.len, MSG_NOSIGNAL) >= 0)
			return true;
		if (errno == EAGAIN || errno == ENOBUFS || errno == EINTR) {
			if (poll(&p, 1, QUEUE_WAIT_MS) <= 0)
				return false;
			continue;
		}
		j->connected = false;
	}
	return false;
}

bool zg_journal_send(struct zg_journal *j, const struct zg_record *r, uint64_t seq)
{
	if (j->retry_ns && monotonic_ns() < j->retry_ns) {
		j->lost++;
		return false;
	}
	compose(&j->text, r, seq);
	if (zg_buf_ok(&j->text) && deliver(j)) {
		j->retry_ns = 0;
		j->told = false;
		return true;
	}
	j->retry_ns = monotonic_ns() + RETRY_NS;
	j->lost++;
	return false;
}
