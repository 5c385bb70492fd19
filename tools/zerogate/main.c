/* SPDX-License-Identifier: Apache-2.0 */
/*
 * main.c - zerogate(1): the command table. Trust: runs as any user; whatever
 * it asks for, the agent decides by the kernel's word for who asks.
 */
#include <getopt.h>
#include <stdio.h>

#include "cli.h"

struct verb {
	const char *name;
	const char *usage;
	int (*run)(struct zg_cli *cli, int argc, char **argv);
};

static const struct verb verbs[] = {
	/* one row a verb, by name */
	{"approvals",
	 "list [--all] | show ID | watch | approve ID [--break-glass] [--reason TEXT] | deny ID "
	 "[--reason TEXT]",
	 zg_verb_approvals},
	{"audit", "tail [-n N] [-f] | verify [--pubkey FILE] [--config FILE | DIR | FILE...]",
	 zg_verb_audit},
	{"contain", "PROFILE [--reason TEXT]", zg_verb_contain},
	{"detach", "", zg_verb_detach},
	{"doctor", "", zg_verb_doctor},
	{"gates", "[list] | lift NAME --reason TEXT", zg_verb_gates},
	{"init", "[--file FILE]... [--write-registry FOLDER] [--apply|--undo]", zg_verb_init},
	{"network", "learn [--profile NAME] [--since 2h|7d|TIME] [--audit DIR]", zg_verb_network},
	{"policy", "check|test|explain|diff|simulate|keygen|sign|verify [--config FILE] ...",
	 zg_verb_policy},
	{"reload", "", zg_verb_reload},
	{"resume", "PROFILE [--reason TEXT]", zg_verb_contain},
	{"run", "[--profile NAME] -- COMMAND...", zg_verb_run},
	{"scan", "[--json] [--lines] FILE|-", zg_verb_scan},
	{"servers",
	 "list | show ID | add FILE|- | import FILE|DIR|- --owner NAME | approve ID --reason TEXT "
	 "| "
	 "suspend ID | resume ID --reason TEXT | revoke ID | discover [--emit N] | pins [ID] | "
	 "diff ID [NAME] | trust ID NAME|--all [--sha256 HEX] [--reason TEXT]",
	 zg_verb_servers},
	{"status", "", zg_verb_status},
	{"stdio", "SERVER", zg_verb_stdio},
	{NULL, NULL, NULL},
};

static int usage(FILE *out, int status)
{
	fputs("usage: zerogate [--socket PATH] [--json] VERB ...\n", out);
	for (const struct verb *v = verbs; v->name; v++)
		fprintf(out, "  %s %s\n", v->name, v->usage);
	fputs("See zerogate(1).\n", out);
	return status;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"socket", required_argument, NULL, 's'},
		{"json", no_argument, NULL, 'j'},
		{"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'V'},
		{NULL, 0, NULL, 0},
	};
	struct zg_cli cli = {.socket_path = getenv("ZEROGATE_SOCKET")};
	int c;

	if (!cli.socket_path)
		cli.socket_path = "/run/zerogate/control.sock";
	while ((c = getopt_long(argc, argv, "+s:jhV", options, NULL)) != -1) {
		switch (c) {
		case 's':
			cli.socket_path = optarg;
			break;
		case 'j':
			cli.json = true;
			break;
		case 'h':
			return usage(stdout, ZG_EXIT_OK);
		case 'V':
			puts("zerogate " ZG_VERSION);
			return ZG_EXIT_OK;
		default:
			return usage(stderr, ZG_EXIT_USAGE);
		}
	}
	if (optind == argc)
		return usage(stderr, ZG_EXIT_USAGE);
	for (const struct verb *v = verbs; v->name; v++) {
		if (strcmp(v->name, argv[optind]) == 0) {
			argc -= optind;
			argv += optind;
			optind = 0; /* glibc: forget that this stopped at the first operand */
			return v->run(&cli, argc, argv);
		}
	}
	fprintf(stderr, "zerogate: unknown verb '%s'\n", argv[optind]);
	return usage(stderr, ZG_EXIT_USAGE);
}
