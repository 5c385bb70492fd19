/* SPDX-License-Identifier: Apache-2.0 */
/*
 * approvals.h - what the verbs of `zerogate approvals` share: approvals.c (list,
 * approve, deny), approvals_show.c and approvals_watch.c.
 */
#ifndef ZG_APPROVALS_H
#define ZG_APPROVALS_H

#include "buf.h"
#include "cli.h"

#define ZG_APPROVALS_JSON_MAX                                                                      \
	1048576 /* a row with all texts escaped, votes and history; a message of rows */

/* A row from a message: every text ends. */
void zg_approval_take(struct zg_msg_ctl_approval *out, const struct zg_msg *m);

const char *zg_approval_state_text(uint32_t state);
uint64_t zg_approvals_now_ms(void);

/* "3m", "2h": as long as from a to b; "-" if b came first. */
const char *zg_approvals_span(char *out, size_t size, uint64_t a, uint64_t b);

/* The members of a JSON object, without its braces. */
void zg_approval_json(struct zg_buf *b, const struct zg_msg_ctl_approval *a, bool arguments);
void zg_approvals_text(struct zg_buf *b, const char *name, const char *value); /* after a member */
void zg_approvals_number(struct zg_buf *b, const char *name, uint64_t value);
/* Print it; an exit status. */
int zg_approvals_print(const struct zg_buf *b);

void zg_approvals_header(void);
void zg_approval_row(const struct zg_msg_ctl_approval *a);

/* Decide; *now is the approval then, or untouched. An exit status; why not stands on
 * stderr already. */
int zg_approval_decide(struct zg_cli *cli, const struct zg_msg_ctl_approval_decide *m,
		       struct zg_msg_ctl_approval *now);
/* What came of a decision, in words. */
void zg_approval_said(const struct zg_msg_ctl_approval *now);

int zg_approval_show(struct zg_cli *cli, const char *id); /* approvals_show.c */
int zg_approvals_watch(struct zg_cli *cli);		  /* approvals_watch.c */

#endif
