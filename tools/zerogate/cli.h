/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli.h - what every verb of zerogate(1) gets. A verb is one file with one
 * function; main.c is the table. Exit status: 0 done; 1 the answer is no;
 * 2 usage or configuration; 3 the daemon cannot be reached.
 */
#ifndef ZG_CLI_H
#define ZG_CLI_H

#include <stdbool.h>

#include "ipc.h"

enum zg_exit { ZG_EXIT_OK = 0, ZG_EXIT_NO = 1, ZG_EXIT_USAGE = 2, ZG_EXIT_DAEMON = 3 };

struct zg_cli {
	const char *socket_path;
	bool json;
};

/* argv[0] is the verb. Returns the exit status. */
int zg_verb_policy(struct zg_cli *cli, int argc, char **argv);
int zg_verb_scan(struct zg_cli *cli, int argc, char **argv);
int zg_verb_approvals(struct zg_cli *cli, int argc, char **argv);
int zg_verb_audit(struct zg_cli *cli, int argc, char **argv);
int zg_verb_run(struct zg_cli *cli, int argc, char **argv);
int zg_verb_servers(struct zg_cli *cli, int argc, char **argv);
int zg_verb_status(struct zg_cli *cli, int argc, char **argv);
int zg_verb_reload(struct zg_cli *cli, int argc, char **argv);
int zg_verb_contain(struct zg_cli *cli, int argc, char **argv); /* and resume */
int zg_verb_network(struct zg_cli *cli, int argc, char **argv);
int zg_verb_detach(struct zg_cli *cli, int argc, char **argv);
int zg_verb_init(struct zg_cli *cli, int argc, char **argv);
int zg_verb_stdio(struct zg_cli *cli, int argc, char **argv);
int zg_verb_gates(struct zg_cli *cli, int argc, char **argv);
int zg_verb_doctor(struct zg_cli *cli, int argc, char **argv);

/* Connect to the agent. A descriptor, or -1 after saying why and what to do
 * (then exit with ZG_EXIT_DAEMON). */
int zg_ctl_connect(const struct zg_cli *cli);

/* Send a request; then zg_ctl_next until it returns 0 (ctl_end was seen;
 * *exit_status holds its verdict, its text was printed to stderr) or < 0 (the
 * connection broke: said so). 1: m holds a row. */
int zg_ctl_request(int sock, enum zg_msg_type type, const void *body) ZG_MUST_CHECK;
int zg_ctl_next(int sock, struct zg_msg *m, int *exit_status) ZG_MUST_CHECK;

/* Request without rows: ask, print the end's text, return the exit status. */
int zg_ctl_simple(const struct zg_cli *cli, enum zg_msg_type type, const void *body);

/* The agent's status (status.c). 0, or the exit status after saying why. */
int zg_cli_status(const struct zg_cli *cli, struct zg_msg_ctl_status *out);

/* All gates (gates.c); out is zeroed by the caller. An exit status. */
int zg_cli_gates(struct zg_cli *cli, struct zg_msg_ctl_gate out[ZG_GATES]);
const char *zg_cli_gate_text(uint32_t gate);

/* Is the gate whole? An optional layer that this kernel has not does not count. */
bool zg_cli_enforces(const struct zg_msg_ctl_status *s);

/* Text from outside on a terminal: control characters made visible. */
void zg_print_safe(FILE *out, const char *text);

#endif
