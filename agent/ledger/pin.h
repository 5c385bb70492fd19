/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pin.h - definitions of tools, prompts, resource templates, instructions and
 * servers' own names, hashed whole by the gateways and kept here: pins.db
 * (SQLite, WAL) in the ledger's folder.
 *
 * A definition is PINNED once it is accepted: by a person, or by first use,
 * which is what a server's first complete list of that kind holds (registry:
 * "pinning"). Whatever comes later, or differs, or was flagged, is withheld
 * until a person accepts what was seen. Evidence is on disk before a state is
 * in force; a step that cannot be stored leaves the definition withheld.
 */
#ifndef ZG_PIN_H
#define ZG_PIN_H

#include "trail.h"

struct sqlite3;
struct sqlite3_stmt;
struct zg_snapshot;

struct zg_pin {
	struct zg_msg_ctl_pin m;
	uint32_t seen_hints;
	uint32_t pinned_hints;
	char skeleton[ZG_TOOL_LEN];
	int64_t row;
};

enum zg_pin_statement {
	ZG_PT_BEGIN = 0,
	ZG_PT_COMMIT,
	ZG_PT_ROLLBACK,
	ZG_PT_GET,
	ZG_PT_PUT,
	ZG_PT_SEEN_TEXT,
	ZG_PT_ACCEPT_TEXT,
	ZG_PT_TEXT,
	ZG_PT_PAGE,
	ZG_PT_COUNT,
	ZG_PT_TALLY,
	ZG_PT_SAME_NAME,
	ZG_PT_SAME_LOOK,
	ZG_PT_LISTING,
	ZG_PT_LIST,
	ZG_PT_STATEMENTS
};

/* What the registry says of a server; others are unknown here. */
struct zg_pin_server {
	char id[ZG_SERVER_LEN];
	uint8_t pinning; /* enum zg_pinning */
	bool prefixed;	 /* its names are shown under a prefix of its own */
};

struct zg_pins {
	struct sqlite3 *db;
	struct sqlite3_stmt *statement[ZG_PT_STATEMENTS];
	struct zg_trail *trail;
	struct zg_pin_server *servers; /* sorted by id */
	size_t server_count;
};

/* pin_store.c; p is zeroed, or has its registry already */
int zg_pins_open(struct zg_pins *p, const char *path, struct zg_trail *trail,
		 struct zg_err *e) ZG_MUST_CHECK;
void zg_pins_close(struct zg_pins *p);
int zg_pins_begin(struct zg_pins *p) ZG_MUST_CHECK;
int zg_pins_commit(struct zg_pins *p) ZG_MUST_CHECK; /* rolls back if it fails */
void zg_pins_rollback(struct zg_pins *p);
/* -ENOENT: no such row */
int zg_pins_get(struct zg_pins *p, const char *server, uint32_t kind, const char *name,
		struct zg_pin *out) ZG_MUST_CHECK;
int zg_pins_put(struct zg_pins *p, const struct zg_pin *pin) ZG_MUST_CHECK;
int zg_pins_seen_text(struct zg_pins *p, const struct zg_pin *pin, struct zg_slice text,
		      bool cut) ZG_MUST_CHECK;
/* The seen text becomes the pinned one. */
int zg_pins_accept_text(struct zg_pins *p, const struct zg_pin *pin) ZG_MUST_CHECK;
/* Up to size bytes of a text from an offset on. Bytes, 0 at the end, or -errno. */
long zg_pins_text(struct zg_pins *p, int64_t row, bool seen, size_t offset, char *out, size_t size,
		  bool *cut) ZG_MUST_CHECK;
/* The next after a row number, of one server or of all ("") . */
int zg_pins_page(struct zg_pins *p, int64_t after, const char *server,
		 struct zg_pin *out) ZG_MUST_CHECK;
int zg_pins_count(struct zg_pins *p, const char *server, uint64_t *out) ZG_MUST_CHECK;
/* Of one server: how many are pinned, and how many are withheld. */
int zg_pins_tally(struct zg_pins *p, const char *server, uint64_t *pinned,
		  uint64_t *withheld) ZG_MUST_CHECK;
/* Another server's tool of that name, or (look) one that looks the same: its
 * server and name. -ENOENT: none, or it is also a tool of this server. */
int zg_pins_namesake(struct zg_pins *p, const char *server, const char *name, bool look,
		     char other[ZG_SERVER_LEN], char tool[ZG_TOOL_LEN]) ZG_MUST_CHECK;
/* The first list of a kind: when it began (0 = never), and whether it is over. */
int zg_pins_listing(struct zg_pins *p, const char *server, uint32_t kind, uint64_t *began_ms,
		    bool *over) ZG_MUST_CHECK;
int zg_pins_list(struct zg_pins *p, const char *server, uint32_t kind, uint64_t began_ms,
		 bool over) ZG_MUST_CHECK;

/* pin.c: the rules. */
/* The registry in force; names beside it are denied everything but a look. */
int zg_pins_registry(struct zg_pins *p, const struct zg_snapshot *s) ZG_MUST_CHECK;

/* A gateway's question; text is whole. *news: other gateways must hear it. */
void zg_pins_question(struct zg_pins *p, const struct zg_msg_pin_seen *q, struct zg_slice text,
		      struct zg_msg_pin_state *out, bool *news);

/* A person accepts what was seen. 0 and out; or -errno and end says why, first
 * word not_authorised, not_found, changed, already or storage. */
int zg_pins_trust(struct zg_pins *p, const struct zg_msg_ctl_pin_trust *t,
		  const struct zg_ctl_peer *peer, struct zg_msg_pin_state *out,
		  struct zg_msg_ctl_end *end) ZG_MUST_CHECK;

/* What a person should know of it beside the row: interference. */
void zg_pins_describe(struct zg_pins *p, struct zg_pin *pin);

const char *zg_pin_kind_text(uint32_t kind);

#endif
