/* SPDX-License-Identifier: Apache-2.0 */
/*
 * servers.c - zerogate servers: what servers said of their tools, what has
 * changed, and a person's word on it. Trust: names and texts were written by
 * servers; they reach the terminal with their control characters and all that
 * is not ASCII made visible. Who may accept is the agent's business.
 */
#include <getopt.h>
#include <string.h>
#include <unistd.h>

#include "servers.h"

#define JSON_BYTES_MAX 65536 /* a row with all texts escaped */

static const char *const kinds[ZG_PIN_KINDS] = {
	[ZG_PIN_TOOL] = "tool",		[ZG_PIN_PROMPT] = "prompt",
	[ZG_PIN_TEMPLATE] = "template", [ZG_PIN_INSTRUCTIONS] = "instructions",
	[ZG_PIN_IDENTITY] = "identity",
};

static const char *const poison_text[ZG_POISONS] = {
#define X(NAME, text, patterns) text,
#include "tbl/poison.h"
#undef X
};

int zg_servers_usage(void)
{
	fputs("usage: zerogate servers pins [ID]\n"
	      "       zerogate servers diff ID [NAME]\n"
	      "       zerogate servers list | show ID\n"
	      "       zerogate servers add FILE|- --reason TEXT\n"
	      "       zerogate servers import FILE|DIR|- --owner NAME [--id ID] --reason TEXT | "
	      "--print\n"
	      "       zerogate servers discover [--emit N] [--file CLIENT-CONFIG]... [--log FILE]\n"
	      "       zerogate servers approve ID --sha256 HEX --reason TEXT [--as "
	      "security|owner]\n"
	      "       zerogate servers suspend|resume|revoke ID --reason TEXT\n"
	      "       zerogate servers trust ID NAME|--all [--sha256 HEX] [--reason TEXT]\n",
	      stderr);
	return ZG_EXIT_USAGE;
}

bool zg_servers_reason(const char *verb, const char *reason)
{
	if (reason[strspn(reason, " \t")])
		return true;
	fprintf(stderr, "zerogate: %s needs --reason: it is recorded with the step\n", verb);
	return false;
}

static const char *kind_text(uint32_t kind)
{
	return kind < ZG_PIN_KINDS ? kinds[kind] : "unknown";
}

static const char *state_text(uint32_t state)
{
	return state == ZG_PS_PINNED	? "pinned"
	       : state == ZG_PS_CHANGED ? "changed"
	       : state == ZG_PS_FLAGGED ? "flagged"
					: "new";
}

static void terminate(struct zg_msg_ctl_pin *p)
{
	ZG_MSG_TEXT(p->server);
	ZG_MSG_TEXT(p->name);
	ZG_MSG_TEXT(p->reason);
	ZG_MSG_TEXT(p->note);
}

/* Each reason by itself; fn(NULL) never. */
static void each_finding(const struct zg_msg_ctl_pin *p, void (*fn)(void *arg, const char *text),
			 void *arg)
{
	for (unsigned i = 0; i < ZG_POISONS; i++)
		if (p->findings >> i & 1)
			fn(arg, poison_text[i]);
	if (p->note[0])
		fn(arg, p->note);
}

static void print_finding(void *arg, const char *text)
{
	(void)arg;
	fputs("    ! ", stdout);
	zg_print_safe(stdout, text);
	putchar('\n');
}

static void add_finding(void *arg, const char *text)
{
	struct zg_buf *b = arg;

	if (b->ptr[b->len - 1] != '[')
		zg_buf_char(b, ',');
	zg_buf_json(b, zg_slice_str(text));
}

static int print_json(const struct zg_msg_ctl_pin *p)
{
	zg_autobuf b = ZG_BUF(JSON_BYTES_MAX);
	char hex[65];

	zg_buf_str(&b, "{\"server\":");
	zg_buf_json(&b, zg_slice_str(p->server));
	zg_buf_fmt(&b, ",\"kind\":\"%s\",\"name\":", kind_text(p->kind));
	zg_buf_json(&b, zg_slice_str(p->name));
	zg_hex(hex, p->seen_sha256, 32);
	zg_buf_fmt(&b, ",\"state\":\"%s\",\"seen_sha256\":\"%s\"", state_text(p->state), hex);
	if (p->pinned_ms) {
		zg_hex(hex, p->pinned_sha256, 32);
		zg_buf_fmt(&b, ",\"pinned_sha256\":\"%s\",\"pinned_ms\":%llu", hex,
			   (unsigned long long)p->pinned_ms);
		if (p->accepted_uid != UINT32_MAX)
			zg_buf_fmt(&b, ",\"accepted_uid\":%u", p->accepted_uid);
		zg_buf_str(&b, ",\"reason\":");
		zg_buf_json(&b, zg_slice_str(p->reason));
	}
	zg_buf_fmt(&b, ",\"first_ms\":%llu,\"seen_ms\":%llu,\"findings\":[",
		   (unsigned long long)p->first_ms, (unsigned long long)p->seen_ms);
	each_finding(p, add_finding, &b);
	zg_buf_str(&b, "]}\n");
	if (!zg_buf_ok(&b) || fwrite(b.ptr, 1, b.len, stdout) != b.len)
		return ZG_EXIT_NO;
	return ZG_EXIT_OK;
}

static void print_row(const struct zg_msg_ctl_pin *p)
{
	char hex[65];

	zg_hex(hex, p->seen_sha256, 32);
	printf("%-8s %.12s  %-12s ", state_text(p->state), hex, kind_text(p->kind));
	zg_print_safe(stdout, p->server);
	fputs("  ", stdout);
	zg_print_safe(stdout, p->name);
	if (p->state == ZG_PS_PINNED && p->accepted_uid != UINT32_MAX)
		printf("  (accepted by uid %u)", p->accepted_uid);
	putchar('\n');
	each_finding(p, print_finding, NULL);
}

/* --- verbs ------------------------------------------------------------------------- */

static int list(struct zg_cli *cli, int argc, char **argv)
{
	struct zg_msg_ctl_pins_list want = {0};
	struct zg_msg m = {.fd = -1};
	struct zg_msg_ctl_pin p;
	int status = ZG_EXIT_DAEMON, rc, rows = 0;
	zg_autofd int sock = -1;

	if (argc > 2)
		return zg_servers_usage();
	if (argc == 2)
		(void)zg_str_cut(want.server, sizeof(want.server), zg_slice_str(argv[1]));
	sock = zg_ctl_connect(cli);
	if (sock < 0 || zg_ctl_request(sock, ZG_MSG_CTL_PINS_LIST, &want) < 0)
		return ZG_EXIT_DAEMON;
	while ((rc = zg_ctl_next(sock, &m, &status)) > 0) {
		if (m.type != ZG_MSG_CTL_PIN) {
			zg_msg_release(&m);
			continue;
		}
		memcpy(&p, m.body, sizeof(p));
		terminate(&p);
		if (!cli->json && !rows++)
			puts("STATE    SHA-256       KIND         SERVER  NAME");
		if (!cli->json)
			print_row(&p);
		else if (print_json(&p) != ZG_EXIT_OK)
			return ZG_EXIT_NO;
	}
	if (rc == 0 && !cli->json && !rows && status == ZG_EXIT_OK)
		puts("no server has been listed yet");
	return rc < 0 ? ZG_EXIT_DAEMON : status;
}

static void show(struct zg_cli *cli, const struct zg_msg_ctl_pin *p, const struct zg_buf text[2],
		 bool cut)
{
	char hex[65];

	if (cli->json) {
		(void)print_json(p);
		return;
	}
	print_row(p);
	if (p->pinned_ms)
		zg_diff_print(zg_buf_slice(&text[0]), zg_buf_slice(&text[1]));
	else
		zg_diff_print(ZG_SLICE(""), zg_buf_slice(&text[1]));
	if (cut)
		puts("    (only the beginning is kept; the digest covers all of it)");
	zg_hex(hex, p->seen_sha256, 32);
	if (p->state == ZG_PS_PINNED)
		return;
	fputs("  to accept exactly this: zerogate servers trust ", stdout);
	zg_print_safe(stdout, p->server);
	putchar(' ');
	zg_print_safe(stdout, p->name);
	printf(" --sha256 %.16s\n", hex);
}

static int diff(struct zg_cli *cli, int argc, char **argv)
{
	struct zg_msg_ctl_pin_show want = {0};
	struct zg_buf text[2] = {ZG_BUF(ZG_PIN_TEXT_BYTES), ZG_BUF(ZG_PIN_TEXT_BYTES)};
	struct zg_msg m = {.fd = -1};
	struct zg_msg_ctl_pin p = {0};
	struct zg_msg_ctl_pin_text t;
	int status = ZG_EXIT_DAEMON, rc = -1, rows = 0;
	bool cut = false;
	zg_autofd int sock = -1;

	if (argc < 2 || argc > 3)
		return zg_servers_usage();
	(void)zg_str_cut(want.server, sizeof(want.server), zg_slice_str(argv[1]));
	if (argc == 3)
		(void)zg_str_cut(want.name, sizeof(want.name), zg_slice_str(argv[2]));
	sock = zg_ctl_connect(cli);
	if (sock >= 0 && zg_ctl_request(sock, ZG_MSG_CTL_PIN_SHOW, &want) == 0)
		rc = 1;
	while (rc > 0 && (rc = zg_ctl_next(sock, &m, &status)) > 0) {
		if (m.type == ZG_MSG_CTL_PIN) {
			memcpy(&p, m.body, sizeof(p));
			terminate(&p);
			zg_buf_reset(&text[0]);
			zg_buf_reset(&text[1]);
			cut = false;
			rows++;
		} else if (m.type == ZG_MSG_CTL_PIN_TEXT) {
			memcpy(&t, m.body, sizeof(t));
			zg_buf_add(&text[t.seen ? 1 : 0], t.text,
				   t.bytes < sizeof(t.text) ? t.bytes : sizeof(t.text));
			cut = cut || t.cut;
			if (t.seen && t.last)
				show(cli, &p, text, cut);
		}
		zg_msg_release(&m);
	}
	zg_buf_release(&text[0]);
	zg_buf_release(&text[1]);
	if (rc == 0 && !rows && status == ZG_EXIT_OK && !cli->json)
		puts("nothing is withheld");
	return rc < 0 ? ZG_EXIT_DAEMON : status;
}

struct wish {
	const char *server;
	const char *name; /* NULL = all */
	const char *sha256;
	const char *reason;
};

static bool wished(const struct zg_msg_ctl_pin *p, const struct wish *w)
{
	char hex[65];

	zg_hex(hex, p->seen_sha256, 32);
	return p->state != ZG_PS_PINNED && (!w->name || strcmp(p->name, w->name) == 0) &&
	       (!w->sha256 || strncmp(hex, w->sha256, strlen(w->sha256)) == 0);
}

/* What is withheld now: each is accepted as it was listed, or not at all. */
static int collect(struct zg_cli *cli, const struct wish *w, struct zg_buf *out, int *status)
{
	struct zg_msg_ctl_pins_list want = {0};
	struct zg_msg m = {.fd = -1};
	struct zg_msg_ctl_pin p;
	int rc;
	zg_autofd int sock = zg_ctl_connect(cli);

	(void)zg_str_cut(want.server, sizeof(want.server), zg_slice_str(w->server));
	if (sock < 0 || zg_ctl_request(sock, ZG_MSG_CTL_PINS_LIST, &want) < 0)
		return -1;
	while ((rc = zg_ctl_next(sock, &m, status)) > 0) {
		memcpy(&p, m.body, sizeof(p));
		terminate(&p);
		if (m.type == ZG_MSG_CTL_PIN && wished(&p, w))
			zg_buf_add(out, &p, sizeof(p));
		zg_msg_release(&m);
	}
	return rc < 0 || !zg_buf_ok(out) ? -1 : 0;
}

static int accept_all(struct zg_cli *cli, const struct wish *w)
{
	zg_autobuf rows = ZG_BUF(ZG_PINS_SERVER_MAX * sizeof(struct zg_msg_ctl_pin));
	int status = ZG_EXIT_DAEMON, worst = ZG_EXIT_OK;
	const struct zg_msg_ctl_pin *p;

	if (collect(cli, w, &rows, &status) < 0)
		return ZG_EXIT_DAEMON;
	if (status != ZG_EXIT_OK)
		return status;
	p = (const void *)rows.ptr;
	for (size_t i = 0; i < rows.len / sizeof(*p); i++) {
		struct zg_msg_ctl_pin_trust t = {.kind = p[i].kind};

		memcpy(t.server, p[i].server, sizeof(t.server));
		memcpy(t.name, p[i].name, sizeof(t.name));
		memcpy(t.sha256, p[i].seen_sha256, sizeof(t.sha256));
		(void)zg_str_cut(t.reason, sizeof(t.reason), zg_slice_str(w->reason));
		status = zg_ctl_simple(cli, ZG_MSG_CTL_PIN_TRUST, &t);
		worst = status > worst ? status : worst;
		if (status != ZG_EXIT_OK || cli->json)
			continue;
		printf("%s ", kind_text(p[i].kind));
		zg_print_safe(stdout, p[i].name);
		puts(": accepted");
	}
	if (!rows.len) {
		fputs("zerogate: nothing that is withheld fits\n", stderr);
		return ZG_EXIT_NO;
	}
	return worst;
}

static int trust(struct zg_cli *cli, int argc, char **argv)
{
	static const struct option options[] = {{"all", no_argument, NULL, 'a'},
						{"sha256", required_argument, NULL, 's'},
						{"reason", required_argument, NULL, 'r'},
						{NULL, 0, NULL, 0}};
	struct wish w = {.reason = ""};
	bool all = false;
	int c;

	optind = 0; /* main() stopped at the verb; here options may follow operands */
	while ((c = getopt_long(argc, argv, "as:r:", options, NULL)) != -1) {
		switch (c) {
		case 'a':
			all = true;
			break;
		case 's':
			w.sha256 = optarg;
			break;
		case 'r':
			w.reason = optarg;
			break;
		default:
			return zg_servers_usage();
		}
	}
	if (argc - optind != (all ? 1 : 2) || strlen(w.reason) >= ZG_REASON_LEN)
		return zg_servers_usage();
	if (w.sha256 && strspn(w.sha256, "0123456789abcdef") < 8) {
		fputs("zerogate: --sha256 takes at least 8 hex digits\n", stderr);
		return ZG_EXIT_USAGE;
	}
	w.server = argv[optind];
	w.name = all ? NULL : argv[optind + 1];
	return accept_all(cli, &w);
}

static const struct {
	const char *name;
	int (*run)(struct zg_cli *cli, int argc, char **argv);
} verbs[] = {
	{"pins", list},
	{"diff", diff},
	{"trust", trust},
	{"list", zg_servers_list},
	{"show", zg_servers_show_one},
	{"add", zg_servers_add},
	{"import", zg_servers_import},
	{"discover", zg_servers_discover},
	{"approve", zg_servers_life},
	{"suspend", zg_servers_life},
	{"resume", zg_servers_life},
	{"revoke", zg_servers_life},
};

int zg_verb_servers(struct zg_cli *cli, int argc, char **argv)
{
	const char *verb = argc > 1 ? argv[1] : "";

	argc--;
	argv++;
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (strcmp(verb, verbs[i].name) == 0)
			return verbs[i].run(cli, argc, argv);
	return zg_servers_usage();
}
