/* SPDX-License-Identifier: Apache-2.0 */
/*
 * main.c - zerogated(8): one ELF, several roles. Started by people it is the
 * parent; the parent re-executes it with --role and a socket on descriptor 3.
 */
#include <getopt.h>
#include <stdio.h>
#include <sys/prctl.h>

#include "canary.h"
#include "config.h"
#include "gateway.h"
#include "ledger.h"
#include "parent.h"
#include "resolver.h"

#define CHANNEL 3

static const struct {
	const char *name;
	const char *comm; /* what ps shows; 15 bytes */
	int (*main)(int sock);
} roles[] = {
	{"canary", "zg-canary", zg_canary_main},       {"config", "zg-config", zg_config_main},
	{"gateway", "zg-gateway", zg_gateway_main},    {"ledger", "zg-ledger", zg_ledger_main},
	{"resolver", "zg-resolver", zg_resolver_main},
};

static int run_role(const char *name)
{
	for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++) {
		if (strcmp(roles[i].name, name) != 0)
			continue;
		(void)prctl(PR_SET_NAME, roles[i].comm, 0, 0, 0);
		return roles[i].main(CHANNEL);
	}
	fprintf(stderr, "zerogated: there is no role '%s'\n", name);
	return 2;
}

static int usage(FILE *out, int status)
{
	fputs("usage: zerogated [--config FILE] [--root DIR] [--check | --detach]\n"
	      "  --config FILE  default /etc/zerogate/zerogate.yaml\n"
	      "  --root DIR     put before the default and before absolute paths in it\n"
	      "  --check        validate configuration, policies and registry, and exit\n"
	      "  --detach       remove what an agent that is not running still enforces\n"
	      "See zerogated(8).\n",
	      out);
	return status;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"config", required_argument, NULL, 'c'}, {"root", required_argument, NULL, 'r'},
		{"check", no_argument, NULL, 'n'},	  {"detach", no_argument, NULL, 'd'},
		{"role", required_argument, NULL, 'R'},	  {"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'V'},	  {NULL, 0, NULL, 0},
	};
	struct zg_parent_options o = {.prefix = ""};
	char config[4096];
	int c;

	while ((c = getopt_long(argc, argv, "c:hV", options, NULL)) != -1) {
		switch (c) {
		case 'c':
			o.config = optarg;
			break;
		case 'r':
			o.prefix = optarg;
			break;
		case 'n':
			o.check = true;
			break;
		case 'd':
			o.detach = true;
			break;
		case 'R':
			return run_role(optarg);
		case 'h':
			return usage(stdout, 0);
		case 'V':
			puts("zerogated " ZG_VERSION);
			return 0;
		default:
			return usage(stderr, 2);
		}
	}
	if (optind != argc || (o.check && o.detach))
		return usage(stderr, 2);
	if (!o.config) {
		(void)snprintf(config, sizeof(config), "%s/etc/zerogate/zerogate.yaml", o.prefix);
		o.config = config;
	}
	return zg_parent_main(&o);
}
