/* SPDX-License-Identifier: Apache-2.0 */
/*
 * detach.c - `zerogate detach`: root ends all enforcement, and the agent with
 * it. Without an agent that runs, zerogated --detach does the same.
 */
#include "cli.h"

int zg_verb_detach(struct zg_cli *cli, int argc, char **argv)
{
	const struct zg_msg_ctl_detach request = {0};
	int rc;

	(void)argv;
	if (argc != 1) {
		fputs("usage: zerogate detach\n", stderr);
		return ZG_EXIT_USAGE;
	}
	rc = zg_ctl_simple(cli, ZG_MSG_CTL_DETACH, &request);
	if (rc == ZG_EXIT_DAEMON)
		fputs("  If the agent does not run: zerogated --detach --config FILE\n", stderr);
	return rc;
}
