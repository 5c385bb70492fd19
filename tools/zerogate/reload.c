/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reload.c - `zerogate reload`: root asks the agent to read its configuration
 * again. Exit 1 with the first error when the former one stays in force.
 */
#include "cli.h"

int zg_verb_reload(struct zg_cli *cli, int argc, char **argv)
{
	const struct zg_msg_ctl_reload request = {0};

	(void)argv;
	if (argc != 1) {
		fputs("usage: zerogate reload\n", stderr);
		return ZG_EXIT_USAGE;
	}
	return zg_ctl_simple(cli, ZG_MSG_CTL_RELOAD, &request);
}
