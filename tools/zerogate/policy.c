/* SPDX-License-Identifier: Apache-2.0 */
/*
 * policy.c - zerogate policy: what a configuration says, offline; one file a verb. The same
 * compiler and the same decision function as in the agent. Trust: runs as the user who asks, on
 * files that this user may read.
 */
#include "policy.h"

#include <getopt.h>

#define DEFAULT_CONFIG "/etc/zerogate/zerogate.yaml"

static int usage(void)
{
	fputs("usage: zerogate policy check [--json] [--strict] [--pins] [--config FILE]\n"
	      "       zerogate policy test [--config FILE] [CASES...]\n"
	      "       zerogate policy explain [--json] [--lines] [--trace] [--config FILE] "
	      "ENVELOPE|-\n"
	      "       zerogate policy diff [--json] --config A --config B\n"
	      "       zerogate policy simulate [--json] --config FILE [--config NOW] "
	      "[--audit DIR | --last N]\n"
	      "       zerogate policy keygen --key FILE\n"
	      "       zerogate policy sign --key FILE [--out FILE] [--config FILE]\n"
	      "       zerogate policy verify [--pub FILE] [--out FILE] [--config FILE]\n"
	      "FILE is " DEFAULT_CONFIG " unless it is given. See zerogate-policy(5).\n",
	      stderr);
	return ZG_EXIT_USAGE;
}

void zg_policy_print_diag(FILE *out, const struct zg_diag *diag)
{
	for (size_t i = 0; i < diag->kept; i++) {
		char text[2 * ZG_PATH_LEN + 2 * ZG_REASON_LEN];

		fputs(diag->notice[i] ? "notice: " : "", out);
		zg_print_safe(out, zg_err_text(&diag->item[i], text, sizeof(text)));
		fputc('\n', out);
	}
	if (diag->errors + diag->notices > diag->kept)
		fprintf(out, "... and %zu more\n", diag->errors + diag->notices - diag->kept);
}

static const struct {
	const char *name;
	int (*run)(const struct zg_policy_args *a);
	int least, most; /* operands */
} subverbs[] = {
	{"check", zg_policy_check_files, 0, 0}, {"test", zg_policy_test, 0, ZG_CONFIG_FILES_MAX},
	{"explain", zg_policy_explain, 1, 1},	{"diff", zg_policy_diff, 0, 0},
	{"simulate", zg_policy_simulate, 0, 0}, {"keygen", zg_policy_keygen, 0, 0},
	{"sign", zg_policy_sign, 0, 0},		{"verify", zg_policy_verify, 0, 0},
};

int zg_verb_policy(struct zg_cli *cli, int argc, char **argv)
{
	static const struct option options[] = {
		{"config", required_argument, NULL, 'c'}, {"json", no_argument, NULL, 'j'},
		{"lines", no_argument, NULL, 'l'},	  {"trace", no_argument, NULL, 't'},
		{"strict", no_argument, NULL, 's'},	  {"key", required_argument, NULL, 'k'},
		{"pub", required_argument, NULL, 'p'},	  {"out", required_argument, NULL, 'o'},
		{"audit", required_argument, NULL, 'a'},  {"last", required_argument, NULL, 'n'},
		{"pins", no_argument, NULL, 'P'},	  {NULL, 0, NULL, 0},
	};
	struct zg_policy_args a = {.config = DEFAULT_CONFIG, .json = cli->json, .cli = cli};
	const char *name;
	uint64_t last;
	int configs = 0, c;

	optind = 0; /* glibc: forget that main stopped at the first operand */
	while ((c = getopt_long(argc, argv, "c:", options, NULL)) != -1) {
		switch (c) {
		case 'c':
			a.other = configs++ ? optarg : NULL;
			a.config = configs == 1 ? optarg : a.config;
			break;
		case 'j':
			a.json = true;
			break;
		case 'l':
			a.lines = true;
			break;
		case 't':
			a.trace = true;
			break;
		case 's':
			a.strict = true;
			break;
		case 'n':
			if (zg_slice_u64(zg_slice_str(optarg), UINT32_MAX, &last) < 0 || !last)
				return usage();
			a.last = (uint32_t)last;
			break;
		case 'P':
			a.pins = true;
			break;
		case 'k':
			a.key = optarg;
			break;
		case 'p':
			a.pub = optarg;
			break;
		case 'o':
			a.out = optarg;
			break;
		case 'a':
			a.audit = optarg;
			break;
		default:
			return usage();
		}
	}
	if (optind == argc)
		return usage();
	name = argv[optind++];
	a.argv = argv + optind;
	a.argc = argc - optind;
	for (size_t i = 0; i < sizeof(subverbs) / sizeof(subverbs[0]); i++)
		if (strcmp(subverbs[i].name, name) == 0 && a.argc >= subverbs[i].least &&
		    a.argc <= subverbs[i].most)
			return subverbs[i].run(&a);
	return usage();
}
