/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kernel.h - the kernel gate as the parent sees it. kernel*.c are the only
 * files that see libbpf, kernel.c the only one that sees the skeleton. Maps and
 * links are pinned, so that what was enforced goes on being enforced when this
 * process is gone.
 */
#ifndef ZG_KERNEL_H
#define ZG_KERNEL_H

#include <stdbool.h>

#include "cleanup.h"
#include "err.h"
#include "snapshot.h"
#include "zg_abi.h"

struct zg_kernel;

struct zg_kernel_options {
	int cgroup_root;     /* O_DIRECTORY fd of the cgroup2 folder to attach at */
	const char *pin_dir; /* on a bpffs; created 0700 if it is missing */
	const char *control; /* the agent's control socket: every profile may reach it; or NULL */
};

/* Load, or take over what is pinned: maps are reused, programs are replaced
 * link by link (bpf_link_update), never a moment without rules. Pins of another
 * ABI version are an error that names the remedy. First start: everything is
 * loaded and default-deny for governed cgroups before anything is attached. */
int zg_kernel_open(struct zg_kernel **out, const struct zg_kernel_options *o,
		   struct zg_err *e) ZG_MUST_CHECK;

/* Close descriptors; pins stay. */
void zg_kernel_close(struct zg_kernel *k);

/* Remove links and pins: nothing is enforced any more. Works without an open
 * handle; 0 also when there was nothing. */
int zg_kernel_detach(const char *pin_dir, struct zg_err *e) ZG_MUST_CHECK;

/* Where the gateway listens (one address per family; all zero = none). */
int zg_kernel_set_gateway(struct zg_kernel *k, const struct zg_listen *v4,
			  const struct zg_listen *v6, struct zg_err *e) ZG_MUST_CHECK;

/* The listening socket of the gateway, of its family: until it is known, nobody
 * may be where the gateway listens, and then nobody else. */
int zg_kernel_own_listener(struct zg_kernel *k, int listener, struct zg_err *e) ZG_MUST_CHECK;

/* Put a snapshot's profiles, prefixes and rules in force: fill the idle slot
 * with what differs, flip zg_ctl.epoch (the one write), then clean up. On
 * failure (map full, ...) the old generation stays in force.
 *
 * Profile ids may differ between snapshots; memberships follow by name. Each
 * holds one id per slot, and before the flip every governed cgroup is given
 * the new id of the profile that it has, or ZG_PROFILE_GONE, which is denied
 * everything. So no cgroup is ever judged by another profile's rules; the
 * caller re-governs those whose profile itself changes after this returns.
 * Containment follows by name too. */
int zg_kernel_apply(struct zg_kernel *k, const struct zg_snapshot *s, uint64_t generation,
		    struct zg_err *e) ZG_MUST_CHECK;

/* Deny everything to a profile, whatever its mode, with one write; or lift that.
 * By name, so that it holds in every generation to come, also for a profile
 * that is in none yet. */
int zg_kernel_contain(struct zg_kernel *k, const char *profile, bool contained) ZG_MUST_CHECK;
bool zg_kernel_contained(const struct zg_kernel *k, const char *profile);

/* Ask the verdict that all layers share, for whoever and whatever q names, and
 * have the answer written into it. Changes nothing and tells no event. The
 * question's own fields are left as they were. */
int zg_kernel_ask(const struct zg_kernel *k, struct zg_question *q) ZG_MUST_CHECK;

/* What the client of a connection to the gateway had asked for, by the client's
 * own view of it; -ENOENT. */
int zg_kernel_origin(const struct zg_kernel *k, const uint8_t src[16], uint16_t src_port,
		     const uint8_t dst[16], uint16_t dst_port, struct zg_origin *out) ZG_MUST_CHECK;

/* Host names. What stands beside the next snapshot that is applied: borrowed
 * until zg_kernel_apply has returned, which forgets it. Without it no profile
 * has a resolver, and nothing learned stays. */
struct zg_gate_names {
	const struct zg_gate_dns {
		uint16_t port4, port6; /* host order; 0 = none */
	} * dns;		       /* by profile id, ZG_PROFILES_MAX of them */
	const struct zg_name_key *key; /* each once */
	const struct zg_name_val *val;
	size_t count;
};
void zg_kernel_set_names(struct zg_kernel *k, const struct zg_gate_names *names);

/* What one address stands for in the generation in force: replaced, removed,
 * last used (CLOCK_BOOTTIME ns, 0 = never). */
int zg_kernel_learn(struct zg_kernel *k, const struct zg_name_key *key,
		    const struct zg_name_val *val) ZG_MUST_CHECK;
int zg_kernel_unlearn(struct zg_kernel *k, const struct zg_name_key *key) ZG_MUST_CHECK;
uint64_t zg_kernel_name_used(struct zg_kernel *k, const struct zg_name_key *key);

/* The pinned memory of names, for whoever takes over: each is told, added,
 * taken away (0 also when it was not there). */
int zg_kernel_remembered(struct zg_kernel *k,
			 int (*fn)(const struct zg_learned_key *key, uint64_t expires_ns,
				   void *arg),
			 void *arg) ZG_MUST_CHECK;
int zg_kernel_remember(struct zg_kernel *k, const struct zg_learned_key *key,
		       uint64_t expires_ns) ZG_MUST_CHECK;
int zg_kernel_forget(struct zg_kernel *k, const struct zg_learned_key *key) ZG_MUST_CHECK;

/* One row of zg_grant, until then (CLOCK_BOOTTIME; 0: removed, also when it was
 * not there). key->epoch is not read: it holds until the next zg_kernel_apply. */
int zg_kernel_grant(struct zg_kernel *k, const struct zg_grant_key *key,
		    uint64_t expires_ns) ZG_MUST_CHECK;

/* From this datagram socket the resolver may answer. */
int zg_kernel_mark_answers(struct zg_kernel *k, int sock) ZG_MUST_CHECK;

/* Membership: by cgroup id (inode number of its directory); profile is an id
 * of the generation in force, or before the first one, of that one. */
int zg_kernel_govern(struct zg_kernel *k, uint64_t cgroup_id, uint32_t profile) ZG_MUST_CHECK;
int zg_kernel_release(struct zg_kernel *k, uint64_t cgroup_id) ZG_MUST_CHECK;
/* What cgroups will be when they are made: keys[i].folder is the id of the
 * cgroup that they are made in. Replaces what was said before; profiles are ids
 * of the generation in force. */
int zg_kernel_nursery(struct zg_kernel *k, const struct zg_nursery_key *keys,
		      const struct zg_nursery *values, size_t count) ZG_MUST_CHECK;
/* Note who is in a governed cgroup now, so that leaving it is seen: after
 * membership has changed. 0 where the layer that watches is absent. */
int zg_kernel_census(struct zg_kernel *k) ZG_MUST_CHECK;
/* The pinned membership after a takeover: call fn for each. */
int zg_kernel_members(struct zg_kernel *k, int (*fn)(uint64_t id, uint32_t profile, void *arg),
		      void *arg);

/* Events. fd is an epoll descriptor for the loop; consume drains what is
 * there and calls fn per event, until fn returns < 0 (that event was taken;
 * the rest stays in the ring). */
int zg_kernel_event_fd(const struct zg_kernel *k);
int zg_kernel_consume(struct zg_kernel *k, int (*fn)(const struct zg_event *ev, void *arg),
		      void *arg);
/* Events lost for want of room, by enum zg_event_kind, since load. */
int zg_kernel_lost(struct zg_kernel *k, uint64_t lost[ZG_E_MAX]) ZG_MUST_CHECK;

/* Layers that not every kernel has; tbl/kernel_layer.h says what each enforces
 * and needs. One that is missing takes nothing from the others. */
enum zg_kernel_layer {
#define X(NAME, ...) ZG_KL_##NAME,
#include "tbl/kernel_layer.h"
#undef X
	ZG_KL_MAX,
};

enum zg_layer_state {
	ZG_LAYER_ABSENT = 0, /* it could not be loaded or attached */
	ZG_LAYER_IDLE,	     /* on demand, and nobody asked */
	ZG_LAYER_ATTACHED,
};

const char *zg_kernel_layer_name(enum zg_kernel_layer layer);
const char *zg_kernel_layer_enforces(enum zg_kernel_layer layer);
const char *zg_kernel_layer_needs(enum zg_kernel_layer layer);

/* *reason (may be NULL) lives as long as k: why it is absent, or attached
 * which hooks this kernel has not; "" when there is nothing to say. */
enum zg_layer_state zg_kernel_layer_state(const struct zg_kernel *k, enum zg_kernel_layer layer,
					  const char **reason);

/* Attach or detach a layer that is attached on demand only. -ENOTSUP with the
 * reason in e when it is absent. Nothing to do for one that is always attached. */
int zg_kernel_layer_want(struct zg_kernel *k, enum zg_kernel_layer layer, bool wanted,
			 struct zg_err *e) ZG_MUST_CHECK;

/* Read back: are all programs of the gate and of its attached layers where
 * they should be and the maps' ABI ours? 0, or -errno with e saying which is not. */
int zg_kernel_verify(struct zg_kernel *k, struct zg_err *e) ZG_MUST_CHECK;

/* What the maps should hold: the snapshot in force and who is governed. The
 * gate itself knows what else it was told: who is contained, the resolvers'
 * ports, where the gateway listens, what MCP looks like. Not compared is what
 * the kernel or time changes between two looks: learned names (zg_name: they
 * come, expire, and carry when a packet last needed them), what people granted
 * (zg_grant: likewise), processes that left
 * their cgroup (zg_sticky: the kernel adds and forgets them), and the nursery,
 * whose rows count only when a cgroup is made, which is then compared itself. */
struct zg_intent {
	const struct zg_snapshot *snapshot;
	size_t members;
	void (*member)(const void *arg, size_t i, uint64_t *id, uint32_t *profile);
	const void *arg;
};

#define ZG_READBACK_CURSOR sizeof(struct zg_unix_key) /* the longest key that is counted */

struct zg_readback { /* how far it got; all zero = at the start */
	uint32_t epoch, members;
	size_t table, next, map;
	size_t meant, counted; /* elements */
	bool counting;
	unsigned char cursor[ZG_READBACK_CURSOR];
};

/* Compare them, for ZG_READBACK_MS at most. 0: more is left, call again; 1:
 * they are the same; -EUCLEAN or -errno with e saying what differs: another
 * call reads the same table again, for what was changing just then. */
int zg_kernel_readback(const struct zg_kernel *k, const struct zg_intent *intent,
		       struct zg_readback *at, struct zg_err *e) ZG_MUST_CHECK;

/* Attach and pin anew what zg_kernel_verify misses, say again where the gateway
 * listens and what MCP looks like, and let the next
 * zg_kernel_apply trust the maps for nothing: it reads them first. */
int zg_kernel_repair(struct zg_kernel *k, struct zg_err *e) ZG_MUST_CHECK;

#endif
