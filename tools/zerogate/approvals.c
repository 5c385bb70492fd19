/* SPDX-License-Identifier: Apache-2.0 */
/*
 * approvals.c - zerogate approvals: what waits for a person, and the person's
 * answer. Trust: tools, arguments and reasons were written by workloads; they
 * reach the terminal with their control characters made visible. Who may
 * decide is the agent's business; nothing is checked here.
 */
#include "approvals.h"

#include <getopt.h>

#include "approval_row.h"
#include "digest.h"

static int usage(void)
{
	fputs("usage: zerogate approvals list [--all]\n"
	      "       zerogate approvals show ID\n"
	      "       zerogate approvals watch\n"
	      "       zerogate approvals approve ID [--reason TEXT] [--break-glass] [--for 10m]\n"
	      "       zerogate approvals deny ID [--reason TEXT]\n",
	      stderr);
	return ZG_EXIT_USAGE;
}

const char *zg_approval_state_text(uint32_t state)
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

void zg_approval_take(struct zg_msg_ctl_approval *a, const struct zg_msg *m)
{
	memcpy(a, m->body, sizeof(*a));
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
	ZG_MSG_TEXT(a->outcome);
	ZG_MSG_TEXT(a->why);
	ZG_MSG_TEXT(a->args_text);
}

uint64_t zg_approvals_now_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

const char *zg_approvals_span(char *out, size_t size, uint64_t a, uint64_t b)
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

void zg_approvals_text(struct zg_buf *b, const char *name, const char *value)
{
	zg_buf_fmt(b, ",\"%s\":", name);
	zg_buf_json(b, zg_slice_str(value));
}

void zg_approvals_number(struct zg_buf *b, const char *name, uint64_t value)
{
	zg_buf_fmt(b, ",\"%s\":%llu", name, (unsigned long long)value);
}

int zg_approvals_print(const struct zg_buf *b)
{
	if (zg_buf_ok(b) && fwrite(b->ptr, 1, b->len, stdout) == b->len && fflush(stdout) == 0)
		return ZG_EXIT_OK;
	fputs("zerogate: the answer cannot be printed\n", stderr);
	return ZG_EXIT_NO;
}

static void json_hex(struct zg_buf *b, const char *name, const uint8_t digest[32])
{
	char hex[65];

	zg_hex(hex, digest, 32);
	zg_approvals_text(b, name, hex);
}

void zg_approval_json(struct zg_buf *b, const struct zg_msg_ctl_approval *a, bool arguments)
{
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

	zg_buf_str(b, "\"approval\":");
	zg_buf_json(b, zg_slice_str(a->approval));
	zg_approvals_text(b, "state", zg_approval_state_text(a->state));
	zg_approvals_number(b, "created_ms", a->created_ms);
	zg_approvals_number(b, "expires_ms", a->expires_ms);
	if (a->decided_ms) {
		zg_approvals_number(b, "decided_ms", a->decided_ms);
		zg_approvals_number(b, "approver_uid", a->approver_uid);
	}
	if (a->reason[0])
		zg_approvals_text(b, "reason", a->reason);
	if (a->outcome[0])
		zg_approvals_text(b, "outcome", a->outcome);
	zg_approvals_number(b, "approvers", a->approvers);
	zg_approvals_number(b, "agreed", a->agreed);
	if (a->break_glass)
		zg_buf_str(b, ",\"break_glass\":true");
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		zg_approvals_text(b, names[i], values[i]);
	zg_approvals_text(b, "action", a->action ? "read" : "write");
	zg_approvals_number(b, "uid", a->principal.uid);
	zg_approvals_number(b, "pid", a->principal.pid);
	zg_approvals_number(b, "args_bytes", a->args_bytes);
	json_hex(b, "args_sha256", a->args_sha256);
	json_hex(b, "definition_sha256", a->definition_sha256);
	json_hex(b, "snapshot", a->snapshot);
	if (!arguments)
		return;
	if (a->why[0])
		zg_approvals_text(b, "why", a->why);
	zg_approvals_text(b, "arguments", a->args_text);
}

static int print_json(const struct zg_msg_ctl_approval *a)
{
	zg_autobuf b = ZG_BUF(ZG_APPROVALS_JSON_MAX);

	zg_buf_char(&b, '{');
	zg_approval_json(&b, a, false);
	zg_buf_str(&b, "}\n");
	return zg_approvals_print(&b);
}

/* --- for people -------------------------------------------------------------------- */

static void cell(const char *text, int width)
{
	int n = (int)strlen(text);

	zg_print_safe(stdout, text);
	printf("%*s", width > n ? width - n : 1, "");
}

void zg_approvals_header(void)
{
	fputs("APPROVAL       STATE         AGE   LEFT  UID    SERVER            TOOL", stdout);
}

void zg_approval_row(const struct zg_msg_ctl_approval *a)
{
	char age[32], left[32], state[32];
	uint64_t now = zg_approvals_now_ms();

	(void)snprintf(state, sizeof(state), "%s", zg_approval_state_text(a->state));
	if (a->state == ZG_AS_PENDING && a->approvers > 1)
		(void)snprintf(state, sizeof(state), "%u of %u", a->agreed, a->approvers);
	cell(a->approval, 15);
	cell(state, 14);
	cell(zg_approvals_span(age, sizeof(age), a->created_ms, now), 6);
	cell(a->state <= ZG_AS_APPROVED ? zg_approvals_span(left, sizeof(left), now, a->expires_ms)
					: "-",
	     6);
	printf("%-6u ", a->principal.uid);
	cell(a->server, 18);
	zg_print_safe(stdout, a->tool[0] ? a->tool : a->method);
}

void zg_approval_said(const struct zg_msg_ctl_approval *now)
{
	zg_print_safe(stdout, now->approval);
	if (now->state == ZG_AS_PENDING)
		printf(": agreed, %u of %u; others have to as well\n", now->agreed, now->approvers);
	else
		printf(": %s%s\n", now->state == ZG_AS_DENIED ? "denied" : "approved",
		       now->break_glass ? " (break-glass)" : "");
}

/* --- verbs ----------------------------------------------------------------------- */

int zg_approval_decide(struct zg_cli *cli, const struct zg_msg_ctl_approval_decide *m,
		       struct zg_msg_ctl_approval *now)
{
	zg_autofd int sock = zg_ctl_connect(cli);
	struct zg_msg answer = {.fd = -1};
	int status = ZG_EXIT_DAEMON, rc;

	if (sock < 0 || zg_ctl_request(sock, ZG_MSG_CTL_APPROVAL_DECIDE, m) < 0)
		return ZG_EXIT_DAEMON;
	while ((rc = zg_ctl_next(sock, &answer, &status)) > 0) {
		if (answer.type == ZG_MSG_CTL_APPROVAL)
			zg_approval_take(now, &answer);
		zg_msg_release(&answer);
	}
	return rc < 0 ? ZG_EXIT_DAEMON : status;
}

/* "90s", "10m", "2h": 1 to ZG_GRANT_MAX_SEC seconds; or 0, and said why. */
static uint32_t parse_span(const char *text)
{
	static const char units[] = "smh";
	static const uint32_t seconds[] = {1, 60, 3600};
	size_t n = strlen(text);
	const char *unit = n ? memchr(units, text[n - 1], sizeof(units) - 1) : NULL;
	uint64_t count = 0;

	if (unit && zg_slice_u64((struct zg_slice){text, n - 1}, ZG_GRANT_MAX_SEC, &count) == 0)
		count *= seconds[unit - units];
	if (count && count <= ZG_GRANT_MAX_SEC)
		return (uint32_t)count;
	fputs("zerogate: --for takes 1s to 24h: 90s, 10m, 2h\n", stderr);
	return 0;
}

static int decide(struct zg_cli *cli, bool approve, int argc, char **argv)
{
	static const struct option options[] = {{"reason", required_argument, NULL, 'r'},
						{"break-glass", no_argument, NULL, 'b'},
						{"for", required_argument, NULL, 'f'},
						{NULL, 0, NULL, 0}};
	struct zg_msg_ctl_approval_decide m = {.approve = approve};
	struct zg_msg_ctl_approval now = {0};
	int c, status;

	optind = 0; /* main() stopped at the verb; here options may follow operands */
	while ((c = getopt_long(argc, argv, "r:", options, NULL)) != -1) {
		if (c == 'b' && approve) {
			m.break_glass = 1;
			continue;
		}
		if (c == 'f' && approve) {
			m.for_sec = parse_span(optarg);
			if (!m.for_sec)
				return ZG_EXIT_USAGE;
			continue;
		}
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
	if (m.break_glass && !m.reason[0]) {
		fputs("zerogate: breaking the glass takes a reason: --reason TEXT\n", stderr);
		return ZG_EXIT_USAGE;
	}
	(void)zg_str_cut(m.approval, sizeof(m.approval), zg_slice_str(argv[optind]));
	status = zg_approval_decide(cli, &m, &now);
	if (status != ZG_EXIT_OK)
		return status;
	if (cli->json)
		return print_json(&now);
	zg_approval_said(&now);
	return ZG_EXIT_OK;
}

/* The rows of one message. ZG_EXIT_OK, or why there is no use in going on. */
static int print_rows(struct zg_cli *cli, const struct zg_msg *m, uint64_t *printed)
{
	struct zg_msg_ctl_approval_rows rows;
	struct zg_msg_ctl_approval a;
	zg_autobuf b = ZG_BUF(ZG_APPROVALS_JSON_MAX);
	size_t at = 0;
	int rc;

	memcpy(&rows, m->body, sizeof(rows));
	while ((rc = zg_approval_rows_next(&rows, &at, &a)) > 0) {
		if (cli->json) {
			zg_buf_char(&b, '{');
			zg_approval_json(&b, &a, false);
			zg_buf_str(&b, "}\n");
		} else {
			if (!*printed)
				zg_approvals_header();
			putchar('\n');
			zg_approval_row(&a);
		}
		++*printed;
	}
	if (rc < 0) {
		fputs("zerogate: the agent's answer is broken\n", stderr);
		return ZG_EXIT_DAEMON;
	}
	return cli->json ? zg_approvals_print(&b) : ZG_EXIT_OK;
}

static int list(struct zg_cli *cli, int argc, char **argv)
{
	static const struct option options[] = {{"all", no_argument, NULL, 'a'},
						{NULL, 0, NULL, 0}};
	struct zg_msg_ctl_approvals_list m = {0};
	struct zg_msg answer = {.fd = -1};
	int c, rc = 0, status = ZG_EXIT_DAEMON, printed = ZG_EXIT_OK;
	uint64_t rows = 0;
	zg_autofd int sock = -1;

	optind = 0; /* main() stopped at the verb; here options may follow operands */
	while ((c = getopt_long(argc, argv, "a", options, NULL)) != -1) {
		if (c != 'a')
			return usage();
		m.all = 1;
	}
	if (optind != argc)
		return usage();
	sock = zg_ctl_connect(cli);
	if (sock < 0 || zg_ctl_request(sock, ZG_MSG_CTL_APPROVALS_LIST, &m) < 0)
		return ZG_EXIT_DAEMON;
	while (printed == ZG_EXIT_OK && (rc = zg_ctl_next(sock, &answer, &status)) > 0) {
		if (answer.type == ZG_MSG_CTL_APPROVAL_ROWS)
			printed = print_rows(cli, &answer, &rows);
		zg_msg_release(&answer);
	}
	if (rows && !cli->json)
		putchar('\n');
	if (printed != ZG_EXIT_OK || rc < 0)
		return rc < 0 ? ZG_EXIT_DAEMON : printed;
	if (!rows && status == ZG_EXIT_OK && !cli->json)
		puts("nothing waits for approval");
	return status;
}

int zg_verb_approvals(struct zg_cli *cli, int argc, char **argv)
{
	const char *verb = argc > 1 ? argv[1] : "";

	argc--;
	argv++;
	if (strcmp(verb, "list") == 0)
		return list(cli, argc, argv);
	if (strcmp(verb, "approve") == 0)
		return decide(cli, true, argc, argv);
	if (strcmp(verb, "deny") == 0)
		return decide(cli, false, argc, argv);
	if (strcmp(verb, "show") == 0 && argc == 2)
		return zg_approval_show(cli, argv[1]);
	if (strcmp(verb, "watch") == 0 && argc == 1)
		return zg_approvals_watch(cli);
	return usage();
}
