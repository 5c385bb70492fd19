/* SPDX-License-Identifier: Apache-2.0 */
/*
 * servers_impl.h - what the rules of registered servers share: registry.c (steps of
 * people), registry_submit.c, registry_step.c and registry_here.c.
 */
#ifndef ZG_LEDGER_SERVERS_IMPL_H
#define ZG_LEDGER_SERVERS_IMPL_H

#include "servers.h"

/* The word and the hint of a conflict, as two arguments. */
#define CONFLICT(name)                                                                             \
	zg_step_conflict[ZG_CONFLICT_##name].text, zg_step_conflict[ZG_CONFLICT_##name].hint
struct zg_step_conflict {
	const char *text, *hint;
};
extern const struct zg_step_conflict zg_step_conflict[ZG_CONFLICT_MAX];

extern const struct zg_server_entry zg_entry_none; /* nobody approved it */

struct zg_step {
	enum zg_record_kind kind;
	const char *acted_as;
	uint32_t uid, pid;
	const char *reason;
	const char *what; /* for the message */
	const struct zg_server_entry *of;
	bool refused;
};

/* What comes with a row: a submitted text, or that what was submitted is live. */
enum zg_step_with { ALONE, WITH_TEXT, PROMOTED };

/* registry_step.c */
uint64_t zg_step_now_ms(void);
bool zg_entry_there(const struct zg_server_entry *e);
/* end says why not; -error. */
int zg_step_no(struct zg_msg_ctl_end *end, int error, const char *word, const char *hint,
	       const char *what);
/* Record that a step was not taken; end's error. */
int zg_step_refuse(struct zg_servers *s, const char *id, struct zg_step st,
		   const struct zg_msg_ctl_end *end);
/* Evidence first, then the transaction. On failure nothing was done. */
int zg_step_conclude(struct zg_servers *s, struct zg_server_row *row, const struct zg_step *st,
		     enum zg_step_with with, struct zg_slice text) ZG_MUST_CHECK;
/* The files follow the rows; what cannot be written now is tried each second. */
void zg_step_mirror(struct zg_servers *s, const struct zg_server_row *row);
bool zg_step_on_trial(const struct zg_servers *s, const struct zg_server_row *row);

/* Every step has a why. */
int zg_step_needs_reason(const char *reason, struct zg_msg_ctl_end *end);

/* registry.c: who */
bool zg_step_owns(const struct zg_servers *s, const struct zg_ctl_peer *peer, const char *owner);
int zg_step_governed(struct zg_msg_ctl_end *end);

#endif
