/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gates.c - `zerogate gates`: what must not happen and did, and lifting the gate
 * that it tripped. Trust: as any user; the agent decides who may.
 */
#include <getopt.h>

#include "buf.h"
#include "cli.h"
#include "slice.h"

static const struct {
	const char *text, *owner, *what;
} gates[] = {
#define X(NAME, text, owner, what) [ZG_GATE_##NAME] = {text, owner, what},
#include "tbl/gate.h"
#undef X
};

static int usage(void)
{
	fputs("usage: zerogate gates [list]\n"
	      "       zerogate gates lift NAME --reason TEXT\n",
	      stderr);
	return ZG_EXIT_USAGE;
}

int zg_cli_gates(struct zg_cli *cli, struct zg_msg_ctl_gate out[ZG_GATES])
{
	const struct zg_msg_ctl_gates_list all = {0};
	zg_autofd int sock = zg_ctl_connect(cli);
	struct zg_msg m = {.fd = -1};
	struct zg_msg_ctl_gate one;
	int status = ZG_EXIT_DAEMON, rc;

	if (sock < 0 || zg_ctl_request(sock, ZG_MSG_CTL_GATES_LIST, &all) < 0)
		return ZG_EXIT_DAEMON;
	while ((rc = zg_ctl_next(sock, &m, &status)) > 0) {
		memcpy(&one, m.body, sizeof(one));
		if (m.type == ZG_MSG_CTL_GATE && one.gate < ZG_GATES) {
			ZG_MSG_TEXT(one.approval);
			ZG_MSG_TEXT(one.reason);
			ZG_MSG_TEXT(one.lifted_reason);
			out[one.gate] = one;
		}
		zg_msg_release(&m);
	}
	return rc < 0 ? ZG_EXIT_DAEMON : status;
}

const char *zg_cli_gate_text(uint32_t gate)
{
	return gates[gate].text;
}

static void print_time(uint64_t ms)
{
	char text[32] = "never";
	time_t at = (time_t)(ms / 1000);
	struct tm tm;

	if (ms && localtime_r(&at, &tm))
		(void)strftime(text, sizeof(text), "%F %T %z", &tm);
	fputs(text, stdout);
}

static void print_text(const struct zg_msg_ctl_gate *g)
{
	printf("%-12s%s\n", gates[g->gate].text, g->tripped ? "TRIPPED" : "ok");
	printf("  %s; owner %s\n", gates[g->gate].what, gates[g->gate].owner);
	if (g->tripped_ms) {
		fputs("  tripped     ", stdout);
		print_time(g->tripped_ms);
		printf(" by uid %u, %s: ", g->uid, g->approval);
		zg_print_safe(stdout, g->reason);
		if (g->trips > 1)
			printf(" (%u times)", g->trips);
		putchar('\n');
	}
	if (g->lifted_ms) {
		fputs("  lifted      ", stdout);
		print_time(g->lifted_ms);
		printf(" by uid %u: ", g->lifted_uid);
		zg_print_safe(stdout, g->lifted_reason);
		putchar('\n');
	}
}

static int print_json(const struct zg_msg_ctl_gate *g)
{
	zg_autobuf b = ZG_BUF(16384);

	zg_buf_fmt(&b,
		   "{\"gate\":\"%s\",\"tripped\":%s,\"trips\":%u,\"tripped_ms\":%llu,\"uid\":%u",
		   gates[g->gate].text, g->tripped ? "true" : "false", g->trips,
		   (unsigned long long)g->tripped_ms, g->uid);
	zg_buf_str(&b, ",\"approval\":");
	zg_buf_json(&b, zg_slice_str(g->approval));
	zg_buf_str(&b, ",\"reason\":");
	zg_buf_json(&b, zg_slice_str(g->reason));
	zg_buf_fmt(&b, ",\"lifted_ms\":%llu,\"lifted_uid\":%u,\"lifted_reason\":",
		   (unsigned long long)g->lifted_ms, g->lifted_uid);
	zg_buf_json(&b, zg_slice_str(g->lifted_reason));
	zg_buf_str(&b, "}\n");
	if (zg_buf_ok(&b) && fwrite(b.ptr, 1, b.len, stdout) == b.len)
		return ZG_EXIT_OK;
	fputs("zerogate: the answer cannot be printed\n", stderr);
	return ZG_EXIT_NO;
}

/* Exit 1 when one is tripped. */
static int list(struct zg_cli *cli)
{
	struct zg_msg_ctl_gate all[ZG_GATES] = {0};
	int status = zg_cli_gates(cli, all);

	for (uint32_t i = 0; i < ZG_GATES && status != ZG_EXIT_DAEMON; i++) {
		if (status == ZG_EXIT_NO && !all[i].tripped)
			break;
		if (cli->json && print_json(&all[i]) != ZG_EXIT_OK)
			return ZG_EXIT_NO;
		if (!cli->json)
			print_text(&all[i]);
		if (all[i].tripped)
			status = ZG_EXIT_NO;
	}
	return status;
}

static int lift(struct zg_cli *cli, int argc, char **argv)
{
	static const struct option options[] = {{"reason", required_argument, NULL, 'r'},
						{NULL, 0, NULL, 0}};
	struct zg_msg_ctl_gate_lift m = {.gate = ZG_GATES};
	int c;

	optind = 0; /* main() stopped at the verb; here options may follow operands */
	while ((c = getopt_long(argc, argv, "r:", options, NULL)) != -1)
		if (c != 'r' || !zg_str_cut(m.reason, sizeof(m.reason), zg_slice_str(optarg)))
			return usage();
	if (optind + 1 != argc || !m.reason[0])
		return usage();
	for (uint32_t i = 0; i < ZG_GATES; i++)
		if (strcmp(argv[optind], gates[i].text) == 0)
			m.gate = i;
	return zg_ctl_simple(cli, ZG_MSG_CTL_GATE_LIFT, &m);
}

int zg_verb_gates(struct zg_cli *cli, int argc, char **argv)
{
	if (argc == 1 || (argc == 2 && strcmp(argv[1], "list") == 0))
		return list(cli);
	if (strcmp(argv[1], "lift") == 0)
		return lift(cli, argc - 1, argv + 1);
	return usage();
}
