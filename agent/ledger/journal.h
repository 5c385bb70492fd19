/* SPDX-License-Identifier: Apache-2.0 */
/*
 * journal.h - every audit record, once it is in the log, goes to journald too,
 * as structured fields: MESSAGE, MESSAGE_ID, PRIORITY, SYSLOG_IDENTIFIER,
 * ZG_KIND, ZG_SEQ and the ZG_* of tbl/record_field.h.
 *
 * The native protocol (systemd.io/JOURNAL_NATIVE_PROTOCOL) is spoken here and
 * not through sd_journal_sendv, which blocks without a bound while nobody
 * reads the socket: a stopped journald must not stop the ledger, and with it
 * every governed call. The log file is the evidence; the journal is a copy.
 */
#ifndef ZG_JOURNAL_H
#define ZG_JOURNAL_H

#include "buf.h"
#include "record.h"

#define ZG_JOURNAL_SOCKET "/run/systemd/journal/socket"

struct zg_journal {
	int sock;
	const char *path;
	bool connected;
	uint64_t retry_ns; /* CLOCK_MONOTONIC: nothing is tried before */
	uint64_t lost;	   /* records that journald did not take */
	bool told;	   /* the current outage was logged */
	struct zg_buf text;
};

/* Never fails for want of journald; path must outlive it. */
int zg_journal_init(struct zg_journal *j, const char *path) ZG_MUST_CHECK;
void zg_journal_release(struct zg_journal *j);

/* True if journald took it. Waits a bounded time while its queue is full. */
bool zg_journal_send(struct zg_journal *j, const struct zg_record *r, uint64_t seq);

#endif
