/* SPDX-License-Identifier: Apache-2.0 */
/*
 * servers.h - the life of registered servers: submitted, approved by two people,
 * live, suspended, revoked. Kept in servers.db (SQLite, WAL) in the ledger's
 * folder, with the entries, and mirrored as files in registry/ beside it, which
 * the parent gives to the config role:
 *
 *   <id>.json   one line of JSON that says what the server is (state, who
 *               approved, digest, what they were shown), then the entry as submitted
 *   <id>.trial  the same, of what is to be live next: one server at a time, read
 *               only when the ledger asks for it, so that an entry that cannot be
 *               in force beside the others never stands in their way
 *
 * Evidence is on disk before a step holds, the step is stored before the file
 * says it, and a person is told when the configuration with it is in force.
 * Entries are opaque here: the config role reads them, and holds id, owner and
 * what was shown of one against what was submitted.
 */
#ifndef ZG_LEDGER_SERVERS_H
#define ZG_LEDGER_SERVERS_H

#include "pin.h"
#include "trail.h"

struct sqlite3;
struct sqlite3_stmt;
struct zg_snapshot;

struct zg_server_entry { /* what is said of an entry beside its text */
	char owner[ZG_OWNER_LEN];
	char version[64];
	char transport[ZG_NAME_LEN];
	char endpoint[ZG_REASON_LEN];
	uint8_t sha256[32];
	uint32_t security_uid; /* who approved it; UINT32_MAX = nobody */
	uint32_t owner_uid;
	uint32_t submitter_uid;
};

struct zg_server_row {
	char id[ZG_SERVER_LEN];
	uint32_t state;	   /* enum zg_server_state */
	uint32_t pending;  /* enum zg_server_pending, of next */
	uint32_t resuming; /* suspended, and to be live again as soon as it can be */
	uint64_t changed_ms;
	struct zg_server_entry live; /* sha256 zeros = there is none */
	struct zg_server_entry next;
	char problem[ZG_REASON_LEN];
	int64_t row;
};

enum zg_server_statement {
	ZG_SQ_BEGIN = 0,
	ZG_SQ_COMMIT,
	ZG_SQ_ROLLBACK,
	ZG_SQ_GET,
	ZG_SQ_PUT,
	ZG_SQ_NEXT_TEXT,
	ZG_SQ_PROMOTE,
	ZG_SQ_TEXT,
	ZG_SQ_PAGE,
	ZG_SQ_COUNT,
	ZG_SQ_TRIAL,
	ZG_SQ_STEP,
	ZG_SQ_FORGET_STEPS,
	ZG_SQ_STEPS,
	ZG_SQ_USE,
	ZG_SQ_USED,
	ZG_SQ_STATEMENTS
};

/* A server of the configuration in force. */
struct zg_server_here {
	struct zg_server_row shown; /* id and .live */
	uint64_t used_ms;
	bool unstored; /* used_ms */
};

struct zg_servers {
	struct sqlite3 *db;
	struct sqlite3_stmt *statement[ZG_SQ_STATEMENTS];
	struct zg_trail *trail;
	int dir;		     /* registry/ */
	char trial[ZG_SERVER_LEN];   /* whose .trial is there; "" = none */
	uint64_t trial_change;	     /* the change it came with */
	uint64_t change;	     /* of the mirror */
	uint64_t told;		     /* the parent was told of it */
	uint64_t taken;		     /* and has answered for it */
	uint64_t failed_ms;	     /* when it last said no */
	uint64_t good;		     /* the last that is in force */
	bool unsynced;		     /* the mirror could not be written */
	struct zg_server_here *here; /* sorted by id */
	size_t here_count;
	struct zg_owner owner[ZG_OWNERS_MAX];
	uint32_t owner_count;
};

/* registry_store.c; s is zeroed, or has its snapshot already. dir: the folder
 * that registry/ is made in. */
int zg_servers_open(struct zg_servers *s, const char *path, int dir, struct zg_trail *trail,
		    struct zg_err *e) ZG_MUST_CHECK;
void zg_servers_close(struct zg_servers *s);
int zg_servers_begin(struct zg_servers *s) ZG_MUST_CHECK;
int zg_servers_commit(struct zg_servers *s) ZG_MUST_CHECK; /* rolls back if it fails */
void zg_servers_rollback(struct zg_servers *s);
/* -ENOENT: no such row. Case does not count in an id. */
int zg_servers_get(struct zg_servers *s, const char *id, struct zg_server_row *out) ZG_MUST_CHECK;
int zg_servers_put(struct zg_servers *s, const struct zg_server_row *row) ZG_MUST_CHECK;
int zg_servers_put_text(struct zg_servers *s, const char *id, struct zg_slice text) ZG_MUST_CHECK;
/* The text of next becomes that of live. */
int zg_servers_promote(struct zg_servers *s, const char *id) ZG_MUST_CHECK;
/* Append a text to out. */
int zg_servers_text(struct zg_servers *s, const char *id, bool next,
		    struct zg_buf *out) ZG_MUST_CHECK;
/* The next after a row number. */
int zg_servers_page(struct zg_servers *s, int64_t after, struct zg_server_row *out) ZG_MUST_CHECK;
int zg_servers_count(struct zg_servers *s, uint64_t *out) ZG_MUST_CHECK;
/* The first that is to be live, and can be as far as is known. */
int zg_servers_candidate(struct zg_servers *s, struct zg_server_row *out) ZG_MUST_CHECK;
int zg_servers_step(struct zg_servers *s, const struct zg_msg_ctl_server_step *m) ZG_MUST_CHECK;
/* The step after a row number; *row becomes its own. */
int zg_servers_steps(struct zg_servers *s, const char *id, int64_t *row,
		     struct zg_msg_ctl_server_step *out) ZG_MUST_CHECK;
int zg_servers_put_use(struct zg_servers *s, const char *id, uint64_t ms) ZG_MUST_CHECK;
uint64_t zg_servers_use(struct zg_servers *s, const char *id);

/* registry_mirror.c */
/* The files as the rows say; strays go. */
int zg_servers_mirror_all(struct zg_servers *s) ZG_MUST_CHECK;
/* Of one row. */
int zg_servers_mirror(struct zg_servers *s, const struct zg_server_row *row) ZG_MUST_CHECK;
/* Put the next candidate on trial, if none is. */
int zg_servers_try_next(struct zg_servers *s) ZG_MUST_CHECK;
int zg_servers_end_trial(struct zg_servers *s) ZG_MUST_CHECK;

/* registry_here.c */
/* What is in force: which servers, and who owns. */
int zg_servers_snapshot(struct zg_servers *s, const struct zg_snapshot *snap) ZG_MUST_CHECK;

/* registry_submit.c and registry.c: the rules. */
/* Each: 0; or -errno, and end says why, its first word of tbl/conflict.h or
 * not_found, invalid, full, already, storage. *wait: the change to wait for, 0 = none. */
int zg_servers_submit(struct zg_servers *s, const struct zg_msg_ctl_server_submit *m,
		      struct zg_slice text, const struct zg_ctl_peer *peer,
		      struct zg_msg_ctl_end *end) ZG_MUST_CHECK;
int zg_servers_decide(struct zg_servers *s, const struct zg_msg_ctl_server_decide *m,
		      const struct zg_ctl_peer *peer, uint64_t *wait,
		      struct zg_msg_ctl_end *end) ZG_MUST_CHECK;
/* A file of servers/ that needs approval; one that is known is passed over. */
void zg_servers_file(struct zg_servers *s, const struct zg_msg_ctl_server_submit *m,
		     struct zg_slice text);

/* registry_step.c */
/* The parent's answer. */
void zg_servers_taken(struct zg_servers *s, const struct zg_msg_registry_taken *m);
/* Is there something to tell the parent? then told = change once it was. */
bool zg_servers_tell(const struct zg_servers *s);
/* Every second: what could not be written before. */
void zg_servers_tick(struct zg_servers *s);

/* registry_here.c */
/* Calls of this record: the last use of its server. */
void zg_servers_used(struct zg_servers *s, const struct zg_record *r);
/* Store them. */
void zg_servers_store_uses(struct zg_servers *s);
/* A row as people are shown it; here_index: a server without a row. */
void zg_servers_show(struct zg_servers *s, struct zg_pins *pins, const struct zg_server_row *row,
		     struct zg_msg_ctl_server *out);
const struct zg_server_here *zg_servers_here(const struct zg_servers *s, const char *id);

#endif
