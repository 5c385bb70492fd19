/* SPDX-License-Identifier: Apache-2.0 */
/*
 * registry.h - the files in servers/: the official registry's server.json plus our
 * facts under _meta["dev.zerogate/registry"]. Strict: an unknown key, a
 * duplicate or a value that cannot be enforced is an error with its place.
 */
#ifndef ZG_REGISTRY_H
#define ZG_REGISTRY_H

#include "model.h"
#include "settings.h"
#include "zg_snapshot.h"

struct zg_command_src { /* how a local server is started */
	struct zg_slice path, cwd, user;
	struct zg_texts args, env, pass; /* env: "NAME=value" */
	uint64_t memory;
	uint32_t pids, cpu;
	uint8_t who;	 /* enum zg_stdio_user */
	uint8_t restart; /* enum zg_stdio_restart */
	bool private_tmp;
	bool has_sha256;
	uint8_t sha256[32];
	struct zg_profile_src profile; /* "server:<id>": what it may reach */
};

/* Is it dialled by way of the proxy? Where nobody says it: https servers elsewhere. */
enum zg_proxy_wish { ZG_PW_UNSAID = 0, ZG_PW_NEVER, ZG_PW_ALWAYS };

struct zg_entry_src {		  /* one registered server */
	struct zg_server_def def; /* without sha256 and endpoint_count */
	struct zg_server_src policy;
	uint8_t address[ZG_ENDPOINTS_PER_SERVER][16]; /* where def.host is */
	size_t address_count;
	struct zg_command_src *command; /* NULL = it is dialled */
	size_t fixed_count;		/* of them, the entry's own; the rest was resolved */
	struct zg_credential_def credential[ZG_CREDENTIALS_SERVER_MAX]; /* without server */
	size_t credential_count;
	enum zg_proxy_wish proxy;
	const char *file;
	uint8_t text_sha256[32];
	size_t text_bytes;
	const struct zg_registry_mark *mark; /* NULL: a file of servers/ */
	struct zg_entry_src *next;
};

/* What the ledger says of a server. */
struct zg_registry_mark {
	struct zg_slice id;
	const char *file;
	bool live;
	bool trial; /* it is to be live next, and goes before what is now */
	struct zg_registry_mark *next;
};

struct zg_registry_src {
	struct zg_entry_src *servers;
	size_t count;
	struct zg_registry_mark *marks;
	struct zg_entry_src *submitted; /* files that are to be approved first */
};

/* Add the server of one file. Errors go to ctx->diag. */
void zg_registry_parse(const struct zg_yaml_ctx *ctx, struct zg_slice text,
		       struct zg_registry_src *r);

/* What the ledger says of one server (registry_state.c), and with it its entry. */
void zg_registry_state_parse(const struct zg_yaml_ctx *ctx, struct zg_slice text,
			     struct zg_registry_src *r);

/* What people are shown of an entry, and approve: all but its text and the reason. */
void zg_registry_describe(struct zg_msg_ctl_server_submit *out, const struct zg_entry_src *e);

/* Leave the entries that count: a server that the ledger decides on is what it
 * says, whatever a file says; with submit, files count only as submissions. */
void zg_registry_settle(struct zg_registry_src *r, bool submit, struct zg_diag *diag);

/* What only shows when all files are read: ids and endpoints used twice. */
void zg_registry_check(const struct zg_registry_src *r, struct zg_diag *diag);

#endif
