/* SPDX-License-Identifier: Apache-2.0 */
/*
 * status_people.c - what people have to do with: servers by the state of their
 * life, and what waits for somebody's approval. Trust: as status.c; counts what the
 * agent lists and prints no text of it.
 */
#include <string.h>

#include "approval_row.h"
#include "servers.h"
#include "status.h"

static const char *const states[ZG_SERVER_STATES] = {"submitted", "approved", "live", "suspended",
						     "revoked"};

static void add_server(struct zg_status_people *out, const struct zg_msg_ctl_server *s)
{
	const char *state = zg_server_state_text(s);

	for (size_t i = 0; i < ZG_SERVER_STATES; i++)
		out->servers[i] += strcmp(state, states[i]) == 0;
	out->servers_waiting += s->pending == ZG_SP_SUBMITTED;
}

static void add_approval(struct zg_status_people *out, const struct zg_msg_ctl_approval *a)
{
	if (a->state != ZG_AS_PENDING)
		return;
	if (strcmp(a->server, ZG_CONNECTION_SERVER) == 0)
		out->connections_waiting++;
	else
		out->calls_waiting++;
}

/* False: it is not what a list says. */
static bool add(struct zg_status_people *out, const struct zg_msg *m)
{
	struct zg_msg_ctl_approval_rows rows;
	struct zg_msg_ctl_approval a;
	struct zg_msg_ctl_server s;
	size_t at = 0;
	int rc = 0;

	if (m->type == ZG_MSG_CTL_SERVER) {
		memcpy(&s, m->body, sizeof(s));
		add_server(out, &s);
	} else if (m->type == ZG_MSG_CTL_APPROVAL_ROWS) {
		memcpy(&rows, m->body, sizeof(rows));
		while ((rc = zg_approval_rows_next(&rows, &at, &a)) > 0)
			add_approval(out, &a);
	}
	return rc == 0;
}

static bool ask(const struct zg_cli *cli, enum zg_msg_type type, const void *body,
		struct zg_status_people *out)
{
	zg_autofd int sock = zg_ctl_connect(cli);
	struct zg_msg m = {.fd = -1};
	int status = ZG_EXIT_DAEMON, rc;
	bool whole = true;

	if (sock < 0 || zg_ctl_request(sock, type, body) < 0)
		return false;
	while ((rc = zg_ctl_next(sock, &m, &status)) > 0) {
		whole = add(out, &m) && whole;
		zg_msg_release(&m);
	}
	return rc == 0 && whole && status == ZG_EXIT_OK;
}

void zg_status_people(const struct zg_cli *cli, struct zg_status_people *out)
{
	const struct zg_msg_ctl_servers_list servers = {0};
	const struct zg_msg_ctl_approvals_list approvals = {0};

	*out = (struct zg_status_people){0};
	out->known = ask(cli, ZG_MSG_CTL_SERVERS_LIST, &servers, out) &&
		     ask(cli, ZG_MSG_CTL_APPROVALS_LIST, &approvals, out);
}

void zg_status_people_print(const struct zg_status_people *p)
{
	if (!p->known) {
		puts("servers      unknown\nwaiting      unknown");
		return;
	}
	fputs("servers      ", stdout);
	for (size_t i = 0; i < ZG_SERVER_STATES; i++)
		printf("%s%llu %s", i ? ", " : "", (unsigned long long)p->servers[i], states[i]);
	printf("\nwaiting      %llu servers, %llu connections, %llu calls\n",
	       (unsigned long long)p->servers_waiting, (unsigned long long)p->connections_waiting,
	       (unsigned long long)p->calls_waiting);
}

void zg_status_people_json(struct zg_buf *b, const struct zg_status_people *p)
{
	if (!p->known) {
		zg_buf_str(b, ",\"servers_by_state\":null,\"waiting\":null");
		return;
	}
	zg_buf_str(b, ",\"servers_by_state\":{");
	for (size_t i = 0; i < ZG_SERVER_STATES; i++)
		zg_buf_fmt(b, "%s\"%s\":%llu", i ? "," : "", states[i],
			   (unsigned long long)p->servers[i]);
	zg_buf_fmt(b, "},\"waiting\":{\"servers\":%llu,\"connections\":%llu,\"calls\":%llu}",
		   (unsigned long long)p->servers_waiting,
		   (unsigned long long)p->connections_waiting,
		   (unsigned long long)p->calls_waiting);
}
