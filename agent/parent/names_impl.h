/* SPDX-License-Identifier: Apache-2.0 */
/*
 * names_impl.h - the table of learned names, for the files of names.h only:
 * names_table.c holds it, names_gate.c writes it into the gate, names_sockets.c
 * the sockets beside it, names.c what is learned and dropped.
 */
#ifndef ZG_PARENT_NAMES_IMPL_H
#define ZG_PARENT_NAMES_IMPL_H

#include <sys/queue.h>

#include "namerule.h"
#include "names.h"

#define ZG_NAMES_BUCKETS 4096

struct zg_name_addr {
	LIST_ENTRY(zg_name_addr) of_name;
	LIST_ENTRY(zg_name_addr) bucket; /* by address, whatever the profile */
	struct zg_name *name;
	uint8_t addr[16];
	uint64_t expires_ns; /* CLOCK_BOOTTIME */
	uint64_t used_ns;    /* as of the last stage */
};

struct zg_name {
	TAILQ_ENTRY(zg_name) link;
	LIST_ENTRY(zg_name) bucket;
	LIST_HEAD(, zg_name_addr) addresses;
	size_t count;
	uint32_t id; /* its profile's, of what was staged last; NONE: not allowed there */
	char profile[ZG_NAME_LEN];
	char host[ZG_HOST_LEN];
};

struct zg_name_sockets {
	char profile[ZG_NAME_LEN];
	struct zg_gate_dns port;
	int fd[ZG_DNS_SOCKETS];
	bool staged;
};

struct zg_names {
	struct zg_kernel *kernel;
	struct zg_snapshot snapshot; /* what was staged last; its mapping is its owner's */
	TAILQ_HEAD(, zg_name) all;
	LIST_HEAD(, zg_name) by_name[ZG_NAMES_BUCKETS];
	LIST_HEAD(, zg_name_addr) by_addr[ZG_NAMES_BUCKETS];
	size_t addresses;
	uint64_t swept_ns;		 /* when room was made last; 0 = never */
	struct zg_name_sockets *sockets; /* ZG_PROFILES_MAX */
	size_t profiles;
	struct zg_gate_dns dns[ZG_PROFILES_MAX];
	struct zg_name_key *key;
	struct zg_name_val *val;
	struct zg_gate_names staged; /* of the three above */
};

/* Of a list of by_addr. */
size_t zg_names_addr_bucket(const uint8_t addr[16]);
uint64_t zg_names_now_ns(void); /* CLOCK_BOOTTIME */

/* NULL: it is not there; of the adding ones, there is no memory. */
struct zg_name *zg_names_find(const struct zg_names *n, const char *profile, const char *host);
struct zg_name_addr *zg_name_find_addr(const struct zg_name *name, const uint8_t addr[16]);
struct zg_name *zg_names_add(struct zg_names *n, const char *profile, const char *host,
			     uint32_t id);
struct zg_name_addr *zg_names_add_addr(struct zg_names *n, struct zg_name *name,
				       const uint8_t addr[16]);
struct zg_learned_key zg_name_memory(const struct zg_name_addr *a);
/* From the table and the pinned memory; the gate's rows are the caller's. */
void zg_names_drop_addr(struct zg_names *n, struct zg_name_addr *a);
void zg_names_drop_empty(struct zg_names *n, struct zg_name *name);

/* Make the gate hold what the table says about an address; a need not be in the
 * table (any more). -E2BIG: more port ranges than it can. */
int zg_names_write(struct zg_names *n, struct zg_namerules rules,
		   const struct zg_name_addr *a) ZG_MUST_CHECK;
/* When a packet last needed it; 0 = never. */
uint64_t zg_names_used(struct zg_names *n, const struct zg_name_addr *a);

int zg_names_stage_sockets(struct zg_names *n, const struct zg_snapshot *s,
			   struct zg_err *e) ZG_MUST_CHECK;
void zg_name_sockets_close(struct zg_name_sockets *s);

#endif
