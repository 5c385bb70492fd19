/* SPDX-License-Identifier: Apache-2.0 */
/*
 * snapshot.h - opening a compiled configuration (zg_snapshot.h). The mapping
 * is private and read-only; the memfd must be sealed against change first.
 */
#ifndef ZG_BASE_SNAPSHOT_H
#define ZG_BASE_SNAPSHOT_H

#include "cleanup.h"
#include "err.h"
#include "slice.h"
#include "zg_snapshot.h"

struct zg_snapshot {
	const struct zg_snapshot_header *header;
	size_t bytes;
	const struct zg_settings *settings;
	const struct zg_profile_def *profiles;
	const struct zg_cgroup_def *cgroups;
	const struct zg_prefix_def *prefixes;
	const struct zg_rule_def *rules;
	const struct zg_server_def *servers;
	const struct zg_endpoint_def *endpoints;
	size_t profile_count, cgroup_count, prefix_count, rule_count, server_count, endpoint_count;
	const void *policy;
	size_t policy_bytes;
	const void *scandb;
	size_t scandb_bytes;
	const struct zg_exec_def *execs;
	size_t exec_count;
	const struct zg_unix_def *unixes;
	size_t unix_count;
	const struct zg_name_def *names;
	size_t name_count;
	const struct zg_stdio_def *stdios;
	size_t stdio_count;
	const char *text;
	size_t text_bytes;
	const struct zg_credential_def *credentials;
	size_t credential_count;
	const struct zg_auth_key *auth_keys;
	size_t auth_key_count;
	const void *shadow_policy;
	size_t shadow_policy_bytes;
	const struct zg_shadow_def *shadow; /* NULL = none is tried out */
};

/* Map and check fd, which must carry F_SEAL_SHRINK|GROW|WRITE|SEAL; it may be
 * closed afterwards. -EBADMSG when the content breaks the contract. */
int zg_snapshot_open(struct zg_snapshot *s, int fd, struct zg_err *e) ZG_MUST_CHECK;
void zg_snapshot_close(struct zg_snapshot *s);

/* By registry id (exact) or by destination; NULL = not registered. */
const struct zg_server_def *zg_snapshot_server(const struct zg_snapshot *s, struct zg_slice id);
const struct zg_server_def *zg_snapshot_endpoint(const struct zg_snapshot *s,
						 const uint8_t addr[16], uint16_t port);
/* How a local server is started; NULL = it is none. */
const struct zg_stdio_def *zg_snapshot_stdio(const struct zg_snapshot *s, const char *server);
/* May a profile start it? */
bool zg_stdio_may(const struct zg_stdio_def *d, uint32_t profile);
/* The text after `at` of a reference; the first is zg_snapshot_text(s, ref). */
const char *zg_snapshot_text(const struct zg_snapshot *s, const struct zg_texts_ref *ref);
const char *zg_snapshot_text_next(const char *at);
/* All of one destination: more than one where names share an address. */
const struct zg_endpoint_def *zg_snapshot_endpoints(const struct zg_snapshot *s,
						    const uint8_t addr[16], uint16_t port,
						    size_t *count);
/* The profile of that name, if it is what a local server's may be narrowed to: its
 * kernel profile id, or ZG_PROFILE_NONE. */
uint32_t zg_snapshot_narrowed(const struct zg_snapshot *s, uint32_t server, const char *name);
/* A narrowed profile's server's; any other's is itself. */
uint32_t zg_snapshot_wide(const struct zg_snapshot *s, uint32_t profile);
/* Profile name of a kernel profile id, "" if there is none. */
const char *zg_snapshot_profile(const struct zg_snapshot *s, uint32_t profile);
/* Kernel profile id of a name, ZG_PROFILE_NONE if there is none. */
uint32_t zg_snapshot_profile_id(const struct zg_snapshot *s, struct zg_slice name);

/* A signer is a public key of 32 bytes in base64, or else the path of one. */
static inline bool zg_signer_is_key(const char *signer)
{
	return strlen(signer) == 44 && signer[43] == '=';
}

#endif
