/* SPDX-License-Identifier: Apache-2.0 */
/*
 * servers_life.c - zerogate servers approve|suspend|resume|revoke: one person's
 * step in a server's life. Trust: who may take it is the agent's business. It is
 * answered when the step is in force.
 */
#include <getopt.h>
#include <string.h>

#include "servers.h"

static const struct verb {
	const char *name;
	enum zg_server_verb verb;
	const char *done;
} verbs[] = {
	{"approve", ZG_SV_APPROVE, "approved"},
	{"suspend", ZG_SV_SUSPEND, "suspended"},
	{"resume", ZG_SV_RESUME, "live again"},
	{"revoke", ZG_SV_REVOKE, "revoked"},
};

struct wish {
	const struct verb *verb;
	const char *id, *reason, *sha256, *as;
};

/* One row of the list. 0, or the exit status. */
static int ask_row(struct zg_cli *cli, const char *id, struct zg_msg_ctl_server *out)
{
	struct zg_msg_ctl_servers_list want = {0};
	struct zg_msg m = {.fd = -1};
	int status = ZG_EXIT_DAEMON, rc = 1;
	bool found = false;
	zg_autofd int sock = zg_ctl_connect(cli);

	(void)zg_str_cut(want.id, sizeof(want.id), zg_slice_str(id));
	if (sock < 0 || zg_ctl_request(sock, ZG_MSG_CTL_SERVERS_LIST, &want) < 0)
		return ZG_EXIT_DAEMON;
	while (rc > 0) {
		rc = zg_ctl_next(sock, &m, &status);
		if (rc > 0 && m.type == ZG_MSG_CTL_SERVER) {
			memcpy(out, m.body, sizeof(*out));
			zg_server_terminate(out);
			found = true;
		}
		zg_msg_release(&m);
	}
	if (rc < 0 || status != ZG_EXIT_OK)
		return rc < 0 ? ZG_EXIT_DAEMON : status;
	if (!found)
		fprintf(stderr, "zerogate: not_found: there is no such server\n");
	return found ? ZG_EXIT_OK : ZG_EXIT_NO;
}

/* The entry that is approved is the one that the caller has read. */
static int bind_entry(struct zg_cli *cli, const struct wish *w, struct zg_msg_ctl_server_decide *m)
{
	struct zg_msg_ctl_server row;
	int status = ask_row(cli, w->id, &row);
	char hex[65];

	if (status != ZG_EXIT_OK)
		return status;
	zg_hex(hex, row.sha256, 32);
	if (strncmp(hex, w->sha256, strlen(w->sha256)) != 0) {
		fprintf(stderr,
			"zerogate: entry_changed: what is submitted now has sha256 %.16s\n"
			"  look at it: zerogate servers show %s\n",
			hex, w->id);
		return ZG_EXIT_NO;
	}
	memcpy(m->sha256, row.sha256, sizeof(m->sha256));
	return ZG_EXIT_OK;
}

/* What came of an approval: the first of two, or live. */
static void say(struct zg_cli *cli, const struct wish *w)
{
	struct zg_msg_ctl_server row;
	zg_autobuf b = ZG_BUF(8192);
	const char *state = w->verb->done;

	if (ask_row(cli, w->id, &row) != ZG_EXIT_OK)
		return;
	if (cli->json) {
		zg_buf_char(&b, '{');
		zg_server_json(&b, &row);
		printf("%.*s}\n", (int)b.len, b.ptr);
		return;
	}
	if (w->verb->verb == ZG_SV_APPROVE)
		state = row.pending == ZG_SP_SUBMITTED && row.security_uid == UINT32_MAX
				? "approved by its owner; security's approval is missing"
			: row.pending == ZG_SP_SUBMITTED
				? "approved by security; its owner's approval is missing"
				: "approved by two people, and live";
	printf("%s is %s\n", row.id, state);
}

static int act(struct zg_cli *cli, const struct wish *w)
{
	struct zg_msg_ctl_server_decide m = {.verb = w->verb->verb};
	int status = ZG_EXIT_OK;

	(void)zg_str_cut(m.id, sizeof(m.id), zg_slice_str(w->id));
	(void)zg_str_cut(m.reason, sizeof(m.reason), zg_slice_str(w->reason));
	m.security = strcmp(w->as, "security") == 0 ? 1 : strcmp(w->as, "owner") == 0 ? 2 : 0;
	if (w->verb->verb == ZG_SV_APPROVE)
		status = bind_entry(cli, w, &m);
	if (status == ZG_EXIT_OK)
		status = zg_ctl_simple(cli, ZG_MSG_CTL_SERVER_DECIDE, &m);
	if (status == ZG_EXIT_OK)
		say(cli, w);
	return status;
}

int zg_servers_life(struct zg_cli *cli, int argc, char **argv)
{
	static const struct option options[] = {{"reason", required_argument, NULL, 'r'},
						{"sha256", required_argument, NULL, 's'},
						{"as", required_argument, NULL, 'a'},
						{NULL, 0, NULL, 0}};
	struct wish w = {.reason = "", .as = ""};
	int c;

	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (strcmp(verbs[i].name, argv[0]) == 0)
			w.verb = &verbs[i];
	optind = 0;
	while ((c = getopt_long(argc, argv, "r:s:a:", options, NULL)) != -1) {
		if (c != 'r' && c != 's' && c != 'a')
			return zg_servers_usage();
		*(c == 'r' ? &w.reason : c == 's' ? &w.sha256 : &w.as) = optarg;
	}
	if (!w.verb || argc - optind != 1 || strlen(w.reason) >= ZG_REASON_LEN ||
	    (w.as[0] && strcmp(w.as, "security") != 0 && strcmp(w.as, "owner") != 0))
		return zg_servers_usage();
	if (!zg_servers_reason(w.verb->name, w.reason))
		return ZG_EXIT_USAGE;
	if (w.verb->verb == ZG_SV_APPROVE &&
	    (!w.sha256 || strspn(w.sha256, "0123456789abcdef") < 16)) {
		fputs("zerogate: approve needs --sha256, of at least 16 hex digits: the entry that "
		      "you have read\n  zerogate servers show ID prints it\n",
		      stderr);
		return ZG_EXIT_USAGE;
	}
	w.id = argv[optind];
	return act(cli, &w);
}
