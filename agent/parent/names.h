/* SPDX-License-Identifier: Apache-2.0 */
/*
 * names.h - the parent's table of learned names: which addresses each profile
 * may reach because of a name it may resolve, and until when; and the sockets
 * on which its questions arrive. The resolver only reports: every name and
 * address is judged again here before the gate holds it.
 */
#ifndef ZG_PARENT_NAMES_H
#define ZG_PARENT_NAMES_H

#include "kernel.h"
#include "snapshot.h"
#include "zg_wire.h"

struct zg_names;
struct zg_parent;

/* With what the gate remembers of a former agent's. */
int zg_names_open(struct zg_names **out, struct zg_kernel *k, struct zg_err *e) ZG_MUST_CHECK;
void zg_names_free(struct zg_names *n);

/* Around zg_kernel_apply. Stage: sockets for every profile of s that has names
 * (those it had stay), and what is learned and still allowed, for the idle
 * slot. Settle, when s is in force: drop the rest. A failed application is
 * followed by another stage, of what stays in force. */
int zg_names_stage(struct zg_names *n, const struct zg_snapshot *s, struct zg_err *e) ZG_MUST_CHECK;
void zg_names_settle(struct zg_names *n);

/* Each socket of a staged profile: for the resolver. */
void zg_names_sockets(const struct zg_names *n,
		      void (*fn)(void *arg, const char *profile, enum zg_dns_socket which, int fd),
		      void *arg);

/* What a report of the resolver comes to. fresh: addresses that were not known
 * before. 0, or -EPROTO: no honest resolver says that. */
int zg_names_learn(struct zg_names *n, const struct zg_snapshot *s, struct zg_msg_name_learn *m,
		   struct zg_msg_name_learned *out, uint32_t *fresh) ZG_MUST_CHECK;

/* Did this name (lower case) open this address and TCP port to the profile, as
 * one that is reached through the gateway? As of now: it has not expired. */
bool zg_names_verify(const struct zg_names *n, const struct zg_snapshot *s, const char *profile,
		     const char *name, const uint8_t addr[16], uint16_t port);

/* Drop what has expired and carries no open flow; every few seconds. */
void zg_names_sweep(struct zg_names *n, const struct zg_snapshot *s);

/* All living names of a profile that stand for this address, as a list that
 * ends in "..." if it is cut; "" if there is none. */
void zg_names_of(const struct zg_names *n, const char *profile, const uint8_t addr[16], char *out,
		 size_t size);

/* Does the agent's resolver listen there, for any profile? */
bool zg_names_listens(const struct zg_names *n, const uint8_t addr[16], uint16_t port);

/* names_record.c: the audit records. */
void zg_names_record_learned(struct zg_parent *p, const struct zg_msg_name_learn *m,
			     uint32_t fresh);
void zg_names_record_refused(struct zg_parent *p, struct zg_msg_name_refused *m);
void zg_names_record_use(struct zg_parent *p, const struct zg_event *ev);

#endif
