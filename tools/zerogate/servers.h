/* SPDX-License-Identifier: Apache-2.0 */
/* servers.h - what the parts of `zerogate servers` share. */
#ifndef ZG_CLI_SERVERS_H
#define ZG_CLI_SERVERS_H

#include "buf.h"
#include "cli.h"
#include "slice.h"

/* The lines that differ between two canonical JSON texts, laid out over lines,
 * to stdout; what is no printable ASCII is written as an escape. */
void zg_diff_print(struct zg_slice old, struct zg_slice new);

int zg_servers_usage(void); /* says how; ZG_EXIT_USAGE */
/* Is there a why? Says so if not. */
bool zg_servers_reason(const char *verb, const char *reason);

/* Verbs, one file a group. */
int zg_servers_list(struct zg_cli *cli, int argc, char **argv);	    /* servers_list.c */
int zg_servers_show_one(struct zg_cli *cli, int argc, char **argv); /* servers_show.c */
int zg_servers_add(struct zg_cli *cli, int argc, char **argv);	    /* servers_add.c */
int zg_servers_life(struct zg_cli *cli, int argc, char **argv);	    /* servers_life.c */

int zg_servers_import(struct zg_cli *cli, int argc, char **argv);   /* servers_import.c */
int zg_servers_discover(struct zg_cli *cli, int argc, char **argv); /* servers_discover.c */

/* servers_add.c: check an entry by the agent's own reader, errors to stderr with
 * their places, and submit it. name is for people. */
int zg_servers_submit_text(struct zg_cli *cli, const char *name, struct zg_slice text,
			   const char *reason);
/* A file, or stdin for "-", of at most max bytes. 0, or the exit status. */
int zg_servers_read(const char *path, struct zg_buf *out);

/* servers_list.c */
const char *zg_server_state_text(const struct zg_msg_ctl_server *s);
void zg_server_terminate(struct zg_msg_ctl_server *s);
/* The members of a row, without braces. */
void zg_server_json(struct zg_buf *b, const struct zg_msg_ctl_server *s);
void zg_server_time(uint64_t ms, char out[32]); /* local; "never" for 0 */

#endif
