/* SPDX-License-Identifier: Apache-2.0 */
/*
 * snapshot_impl.h - a snapshot in the making, for the files of build.h only: what
 * was read and in which order it is put together (snapshot_build.c), what one file
 * says of another (snapshot_join.c), the sections (snapshot_sections.c), its id
 * and who signed it (snapshot_signed.c).
 */
#ifndef ZG_CONFIG_SNAPSHOT_IMPL_H
#define ZG_CONFIG_SNAPSHOT_IMPL_H

#include "build.h"
#include "parse.h"
#include "policy_signature.h"
#include "registry.h"
#include "settings.h"
#include "snapshot.h"

struct zg_build {
	struct zg_arena arena;
	struct zg_diag *diag;
	struct zg_settings_src settings;
	struct zg_policy_src policy;
	struct zg_registry_src registry;
	struct zg_entry_src **server; /* sorted by id */
	struct zg_settings resolv;    /* dns alone, as resolv.conf says */
	size_t mains;
	const struct zg_host_address *resolved; /* by whoever asked */
	size_t resolved_count;
	struct zg_buf auth_keys; /* struct zg_auth_key[] */
	uint32_t jwks;		 /* files of keys that were read */
	const struct zg_fetched_keys *fetched;
	size_t fetched_count;
	struct zg_policy_src shadow;
	struct zg_diag shadow_diag; /* its errors are nobody else's */
	size_t shadows;		    /* files of it */
	uint8_t signer[ZG_SIGNERS_MAX][ZG_SIGN_KEY];
	uint32_t signers; /* files of them */
	struct zg_signatures signatures;
	const char *signed_in; /* the file of those; NULL = none */
	bool unsigned_will_do;
	struct zg_buf *canonical;	     /* whoever wants to read what the id is of */
	struct zg_build_file *files, **last; /* in their order; the ledger's are not among them */
};

/* A file as it was read, for who must know what the files alone say. */
struct zg_build_file {
	enum zg_config_file kind;
	const char *name;
	struct zg_slice text;
	struct zg_build_file *next;
};

/* What is put together before the header is written. */
struct zg_build_sections {
	struct zg_buf buf[ZG_S_MAX];
};

/* snapshot_join.c ------------------------------------------------------------------ */

/* In the order of their ids, b->server from now on. False: no memory. */
bool zg_build_sort_servers(struct zg_build *b);
/* Each local server is governed by a profile of its own, behind those of the file. */
int zg_build_server_profiles(struct zg_build *b) ZG_MUST_CHECK;
/* Who may use which server; a name that matches none is worth a word. False: no memory. */
bool zg_build_join_profiles(struct zg_build *b);
/* Where the names of servers lead to; of the entry itself this is no part. */
void zg_build_add_resolved(struct zg_build *b);
/* An entry may have been withdrawn: its issuer has no keys then, and notifications
 * are not posted. A notice each. */
void zg_build_check_issuers(struct zg_build *b);
void zg_build_check_webhook(struct zg_build *b);

/* snapshot_sections.c -------------------------------------------------------------- */

/* What does not fit shows in the sections' buffers; what is wrong with the files
 * stands in the diagnosis. */
void zg_build_put_profiles(const struct zg_build *b, struct zg_build_sections *s);
void zg_build_put_servers(struct zg_build *b, struct zg_build_sections *s);
int zg_build_put_tables(struct zg_build *b, struct zg_build_sections *s,
			struct zg_build_counts *counts) ZG_MUST_CHECK;
int zg_build_put_names(struct zg_build *b, struct zg_build_sections *s) ZG_MUST_CHECK;
/* And the policy on trial. */
int zg_build_put_policy(struct zg_build *b, struct zg_build_sections *s) ZG_MUST_CHECK;
int zg_build_put_scandb(struct zg_build *b, struct zg_build_sections *s) ZG_MUST_CHECK;
/* By their number; of the arena's. NULL: no memory. */
struct zg_slice *zg_build_profile_names(struct zg_build *b);

/* snapshot_signed.c ---------------------------------------------------------------- */

/* The SHA-256 of the canonical effective policy and registry. */
int zg_build_id(struct zg_build *b, uint8_t id[32]) ZG_MUST_CHECK;
/* Is what these files say what the required signers signed? If not, an error. */
void zg_build_check_signed(struct zg_build *b, const uint8_t id[32]);

#endif
