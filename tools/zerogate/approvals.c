/* SPDX-License-Identifier: Apache-2.0 */
/*
 * approvals.c - zerogate approvals: what waits for a person, and the person's
 * answer. Trust: tools, arguments and reasons were written by workloads; they
 * reach the terminal with their control characters made visible. Who may
 * decide is the agent's business; nothing is checked here.
 */
#include <getopt.h>
#include <unistd.h>

#include "buf.h"
#include "cli.h"
#include "digest.h"

#define JSON_BYTES_MAX 262144 /* a row with all texts escaped */

static int usage(void)
{
	fputs("usage: zerogate approvals list [--all]\n"
	      "       zerogate approvals show ID\n"
	      "       zerogate approvals approve|deny ID [--reason TEXT]\n",
	      stderr);
	return ZG_EXIT_USAGE;
}

static const char *state_text(uint32_t state)
{
	switch ((enum zg_approval_state)state) {
	case ZG_AS_PENDING:
		return "pending";
	case ZG_AS_APPROVED:
		return "approved";
	case ZG_AS_DENIED:
		return "denied";
	case ZG_AS_CONSUMED:
		return "consumed";
	case ZG_AS_EXPIRED:
		return "expired";
	}
	return "unknown";
}

static void terminate(struct zg_msg_ctl_approval *a)
{
	ZG_MSG_TEXT(a->approval);
	ZG_MSG_TEXT(a->principal.profile);
	ZG_MSG_TEXT(a->principal.cgroup);
	ZG_MSG_TEXT(a->principal.comm);
	ZG_MSG_TEXT(a->server);
	ZG_MSG_TEXT(a->method);
	ZG_MSG_TEXT(a->tool);
	ZG_MSG_TEXT(a->rules);
	ZG_MSG_TEXT(a->risk_tags);
	ZG_MSG_TEXT(a->reason);
	ZG_MSG_TEXT(a->args_text);
}

static uint64_t now_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* "3m", "2h": as long as from a to b; "-" if b came first. */
static const char *span(char *out, size_t size, uint64_t a, uint64_t b)
{
	static const struct {
		uint64_t seconds;
		char unit;
	} units[] = {{86400, 'd'}, {3600, 'h'}, {60, 'm'}, {1, 's'}};
	uint64_t s = b > a ? (b - a) / 1000 : 0;
	size_t i = 0;

	if (b < a)
		return "-";
	while (i < 3 && s < units[i].seconds)
		i++;
	(void)snprintf(out, size, "%llu%c", (unsigned long long)(s / units[i].seconds),
		       units[i].unit);
	return out;
}

/* --- JSON: one object a line ----------------------------------------------------- */

static void json_text(struct zg_buf *b, const char *name, const char *value)
{
	zg_buf_fmt(b, ",\"%s\":", name);
	zg_buf_json(b, zg_slice_str(value));
}

static void json_number(struct zg_buf *b, const char *name, uint64_t value)
{
	zg_buf_fmt(b, ",\"%s\":%llu", name, (unsigned long long)value);
}

static int print_json(const struct zg_msg_ctl_approval *a, bool arguments)
{
	zg_autobuf b = ZG_BUF(JSON_BYTES_MAX);
	const char *names[] = {"profile", "cgroup", "comm",  "server",
			       "method",  "tool",   "rules", "risk_tags"};
	const char *values[] = {a->principal.profile,
				a->principal.cgroup,
				a->principal.comm,
				a->server,
				a->method,
				a->tool,
				a->rules,
				a->risk_tags};
	char hex[65];

	zg_buf_str(&b, "{\"approval\":");
	zg_buf_json(&b, zg_slice_str(a->approval));
	json_text(&b, "state", state_text(a->state));
	json_number(&b, "created_ms", a->created_ms);
	json_number(&b, "expires_ms", a->expires_ms);
	if (a->decided_ms) {
		json_number(&b, "decided_ms", a->decided_ms);
		json_number(&b, "approver_uid", a->approver_uid);
	}
	if (a->reason[0])
		json_text(&b, "reason", a->reason);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		json_text(&b, names[i], values[i]);
	json_number(&b, "uid", a->principal.uid);
	json_number(&b, "pid", a->principal.pid);
	json_number(&b, "args_bytes", a->args_bytes);
	zg_hex(hex, a->args_sha256, 32);
	json_text(&b, "args_sha256", hex);
	zg_hex(hex, a->snapshot, 32);
	json_text(&b, "snapshot", hex);
	if (arguments)
		json_text(&b, "arguments", a->args_text);
	zg_buf_str(&b, "}\n");
	if (!zg_buf_ok(&b) || fwrite(b.ptr, 1, b.len, stdout) != b.len) {
		fputs("zerogate: the answer cannot be printed\n", stderr);
		return ZG_EXIT_NO;
	}
	return ZG_EXIT_OK;
}

/* --- for people -------------------------------------------------------------------- */

static void cell(const char *text, int width)
{
	int n = (int)strlen(text);

	zg_print_safe(stdout, text);
	printf("%*s", width > n ? width - n : 1, "");
}

static void print_header(void)
{
	puts("APPROVAL       STATE     AGE   LEFT  UID    SERVER            TOOL");
}

static void print_row(const struct zg_msg_ctl_approval *a)
{
	char age[32], left[32];
	uint64_t now = now_ms();

	cell(a->approval, 15);
	cell(state_text(a->state), 10);
	cell(span(age, sizeof(age), a->created_ms, now), 6);
	cell(a->state <= ZG_AS_APPROVED ? span(left, sizeof(left), now, a->expires_ms) : "-", 6);
	printf("%-6u ", a->principal.uid);
	cell(a->server, 18);
	zg_print_safe(stdout, a->tool[0] ? a->tool : a->method);
	putchar('\n');
}

static void line(const char *name, const char *value)
{
	if (!value[0])
		return;
	printf("%-12s", name);
	zg_print_safe(stdout, value);
	putchar('\n');
}

static void print_whole(const struct zg_msg_ctl_approval *a)
{
	char text[128], age[32], hex[65];
	uint64_t now = now_ms();

	line("approval", a->approval);
	line("state", state_text(a->state));
	line("asked", span(age, sizeof(age), a->created_ms, now));
	if (a->state <= ZG_AS_APPROVED)
		line("expires in", span(age, sizeof(age), now, a->expires_ms));
	line("server", a->server);
	line("method", a->method);
	line("tool", a->tool);
	line("risk tags", a->risk_tags);
	line("rules", a->rules);
	(void)snprintf(text, sizeof(text), "uid %u, pid %u, profile %s", a->principal.uid,
		       a->principal.pid, a->principal.profile);
	line("asked by", text);
	line("command", a->principal.comm);
	line("cgroup", a->principal.cgroup);
	if (a->decided_ms) {
		(void)snprintf(text, sizeof(text), "uid %u", a->approver_uid);
		line("decided by", text);
	}
	line("reason", a->reason);
	zg_hex(hex, a->snapshot, 32);
	line("policy", hex);
	zg_hex(hex, a->args_sha256, 32);
	line("args sha256", hex);
	(void)snprintf(text, sizeof(text),
		       "%llu bytes, secrets masked:", (unsigned long long)a->args_bytes);
	line("arguments", text);
	/* line breaks that the agent put in are layout, the rest is content */
	for (const char *at = a->args_text; *at;) {
		size_t n = strcspn(at, "\n");
		char part[ZG_ARGS_TEXT_LEN];

		(void)zg_str_cut(part, sizeof(part), (struct zg_slice){at, n});
		fputs("  ", stdout);
		zg_print_safe(stdout, part);
		putchar('\n');
		at += n + (at[n] == '\n');
	}
}

/* --- verbs ----------------------------------------------------------------------- */

static int ask(struct zg_cli *cli, enum zg_msg_type type, const void *body, bool whole)
{
	struct zg_msg_ctl_approval a;
	struct zg_msg m = {.fd = -1};
	int status = ZG_EXIT_DAEMON, rc, printed = ZG_EXIT_OK;
	bool table = !cli->json && !whole;
	zg_autofd int sock = zg_ctl_connect(cli);

	if (sock < 0 || zg_ctl_request(sock, type, body) < 0)
		return ZG_EXIT_DAEMON;
	while ((rc = zg_ctl_next(sock, &m, &status)) > 0) {
		if (m.type != ZG_MSG_CTL_APPROVAL) {
			zg_msg_release(&m);
			continue;
		}
		memcpy(&a, m.body, sizeof(a));
		terminate(&a);
		if (cli->json)
			printed = print_json(&a, whole);
		else if (whole)
			print_whole(&a);
		else {
			if (table)
				print_header();
			table = false;
			print_row(&a);
		}
	}
	if (rc < 0)
		return ZG_EXIT_DAEMON;
	if (table && status == ZG_EXIT_OK)
		puts("nothing waits for approval");
	return status ? status : printed;
}

static int decide(struct zg_cli *cli, bool approve, int argc, char **argv)
{
	static const struct option options[] = {{"reason", required_argument, NULL, 'r'},
						{NULL, 0, NULL, 0}};
	struct zg_msg_ctl_approval_decide m = {.approve = approve};
	int c, status;

	optind = 0; /* main() stopped at the verb; here options may follow operands */
	while ((c = getopt_long(argc, argv, "r:", options, NULL)) != -1) {
		if (c != 'r')
			return usage();
		if (!zg_str_cut(m.reason, sizeof(m.reason), zg_slice_str(optarg))) {
			fprintf(stderr, "zerogate: the reason is longer than %zu bytes\n",
				sizeof(m.reason) - 1);
			return ZG_EXIT_USAGE;
		}
	}
	if (optind + 1 != argc)
		return usage();
	(void)zg_str_cut(m.approval, sizeof(m.approval), zg_slice_str(argv[optind]));
	status = ask(cli, ZG_MSG_CTL_APPROVAL_DECIDE, &m, true);
	if (status == ZG_EXIT_OK && !cli->json) {
		zg_print_safe(stdout, m.approval);
		puts(approve ? ": approved" : ": denied");
	}
	return status;
}

static int list(struct zg_cli *cli, int argc, char **argv)
{
	static const struct option options[] = {{"all", no_argument, NULL, 'a'},
						{NULL, 0, NULL, 0}};
	struct zg_msg_ctl_approvals_list m = {0};
	int c;

	optind = 0; /* main() stopped at the verb; here options may follow operands */
	while ((c = getopt_long(argc, argv, "a", options, NULL)) != -1) {
		if (c != 'a')
			return usage();
		m.all = 1;
	}
	return optind == argc ? ask(cli, ZG_MSG_CTL_APPROVALS_LIST, &m, false) : usage();
}

int zg_verb_approvals(struct zg_cli *cli, int argc, char **argv)
{
	struct zg_msg_ctl_approval_show show = {0};
	const char *verb = argc > 1 ? argv[1] : "";

	argc--;
	argv++;
	if (strcmp(verb, "list") == 0)
		return list(cli, argc, argv);
	if (strcmp(verb, "approve") == 0)
		return decide(cli, true, argc, argv);
	if (strcmp(verb, "deny") == 0)
		return decide(cli, false, argc, argv);
	if (strcmp(verb, "show") != 0 || argc != 2)
		return usage();
	(void)zg_str_cut(show.approval, sizeof(show.approval), zg_slice_str(argv[1]));
	return ask(cli, ZG_MSG_CTL_APPROVAL_SHOW, &show, true);
}
