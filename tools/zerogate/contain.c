/* SPDX-License-Identifier: Apache-2.0 */
/*
 * contain.c - `zerogate contain PROFILE` and `zerogate resume PROFILE`: deny
 * everything to a profile and end its sockets, or lift that. Trust: as any
 * user; the agent decides who may.
 */
#include <getopt.h>

#include "cli.h"
#include "slice.h"

static int usage(const char *verb)
{
	fprintf(stderr, "usage: zerogate [--json] %s PROFILE [--reason TEXT]\n", verb);
	return ZG_EXIT_USAGE;
}

static void print(const struct zg_cli *cli, const struct zg_msg_ctl_contain *ask,
		  const struct zg_msg_ctl_contained *done)
{
	if (cli->json) {
		printf("{\"profile\":\"%s\",\"contained\":%s,\"was_contained\":%s,"
		       "\"sockets_ended\":%u,\"sockets_left\":%u}\n",
		       ask->profile, ask->resume ? "false" : "true", done->was ? "true" : "false",
		       done->ended, done->left);
		return;
	}
	if (ask->resume) {
		printf("%s %s\n", ask->profile,
		       done->was ? "is no longer contained" : "was not contained");
		return;
	}
	printf("%s is contained: everything is denied to it; %u sockets ended\n", ask->profile,
	       done->ended);
	if (done->left)
		printf("%u sockets could not be ended: none of their packets passes\n", done->left);
}

static int parse(struct zg_msg_ctl_contain *ask, int argc, char **argv)
{
	static const struct option options[] = {{"reason", required_argument, NULL, 'r'},
						{NULL, 0, NULL, 0}};
	int c;

	optind = 0; /* main() stopped at the verb; here options may follow operands */
	while ((c = getopt_long(argc, argv, "r:", options, NULL)) != -1)
		if (c != 'r' || !zg_str_cut(ask->reason, sizeof(ask->reason), zg_slice_str(optarg)))
			return -1;
	if (optind != argc - 1)
		return -1;
	return zg_str_cut(ask->profile, sizeof(ask->profile), zg_slice_str(argv[optind])) ? 0 : -1;
}

int zg_verb_contain(struct zg_cli *cli, int argc, char **argv)
{
	struct zg_msg_ctl_contain ask = {.resume = strcmp(argv[0], "resume") == 0};
	int status = ZG_EXIT_DAEMON, rc;
	const char *verb = argv[0];
	struct zg_msg m = {.fd = -1};
	zg_autofd int sock = -1;

	if (parse(&ask, argc, argv) < 0)
		return usage(verb);
	sock = zg_ctl_connect(cli);
	if (sock < 0 || zg_ctl_request(sock, ZG_MSG_CTL_CONTAIN, &ask) < 0)
		return ZG_EXIT_DAEMON;
	while ((rc = zg_ctl_next(sock, &m, &status)) > 0) {
		struct zg_msg_ctl_contained done;

		if (m.type == ZG_MSG_CTL_CONTAINED) {
			memcpy(&done, m.body, sizeof(done));
			print(cli, &ask, &done);
		}
		zg_msg_release(&m);
	}
	return rc < 0 ? ZG_EXIT_DAEMON : status;
}
