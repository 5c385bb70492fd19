/* SPDX-License-Identifier: Apache-2.0 */
/*
 * greet.c - see greet.h. Trust: the client's first bytes are any bytes at all;
 * whose connection it is and where it was to go is the kernel's word, which
 * name opened an address the parent's.
 */
#include "greet.h"

#include <arpa/inet.h>
#include <errno.h>
#include <sys/socket.h>

#include "client_hello.h"
#include "flow_record.h"
#include "http.h"
#include "ipc.h"
#include "splice.h"
#include "tls.h"

struct zg_greet {
	LIST_ENTRY(zg_greet) link;
	struct zg_worker *worker;
	int fd; /* -1: somebody else has it now */
	struct zg_origin origin;
	struct event readable;
	struct event timer;
	size_t seen;		 /* bytes that were there when it was looked at last */
	uint64_t query;		 /* that the parent was asked; 0 = none */
	bool beside;		 /* a registered server has this address, under another name */
	char why[ZG_REASON_LEN]; /* it is denied whatever the parent says; "" = not so far */
	char name[ZG_HOST_LEN];
};

static void forget(struct zg_greet *g)
{
	LIST_REMOVE(g, link);
	(void)event_del(&g->readable);
	(void)event_del(&g->timer);
	if (g->fd >= 0) {
		zg_admit_end(&g->worker->admission, g->origin.cgroup_id, ZG_ADMIT_CONNECTION);
		(void)close(g->fd);
	}
	free(g);
}

/* It is told as a network tells it: nothing is said that it might take for an
 * answer of the one whom it called. */
static void reset(struct zg_greet *g)
{
	const struct linger now = {.l_onoff = 1};

	(void)setsockopt(g->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	forget(g);
}

static void deny(struct zg_greet *g, const char *cgroup, const char *why)
{
	zg_flow_denied(g->worker, &g->origin, g->name, cgroup, why);
	reset(g);
}

/* TLS with one who cannot be served: a word that every client understands. */
static void refuse(struct zg_greet *g, enum zg_tls_alert alert, const char *why)
{
	zg_tls_alert(g->fd, alert);
	zg_flow_refused(g->worker, &g->origin, why);
	/* what it sent is read first: a reset would overtake the alert */
	(void)shutdown(g->fd, SHUT_WR);
	(void)!recv(g->fd, NULL, ZG_HELLO_WIRE_BYTES, MSG_DONTWAIT | MSG_TRUNC);
	forget(g);
}

static void to_http(struct zg_greet *g, SSL *tls)
{
	if (zg_conn_new(g->worker, g->fd, &g->origin, tls) == 0)
		g->fd = -1;
	forget(g);
}

/* The parent is asked in any case: the record names the caller's cgroup. */
static void ask(struct zg_greet *g)
{
	struct zg_msg_sni_query q = {.query = ++g->worker->sni_queries,
				     .cgroup_id = g->origin.cgroup_id,
				     .port = ntohs(g->origin.dst_port_be)};

	(void)zg_str_cut(q.profile, sizeof(q.profile), zg_slice_str(g->origin.profile_name));
	(void)zg_str_cut(q.name, sizeof(q.name), zg_slice_str(g->name));
	memcpy(q.addr, g->origin.dst, sizeof(q.addr));
	(void)event_del(&g->readable);
	g->query = q.query;
	if (zg_msg_send(g->worker->channel, ZG_MSG_SNI_QUERY, &q, -1) < 0)
		deny(g, "", "the parent cannot be asked whether the name may be reached");
}

/* registered servers ------------------------------------------------------------ */

/* An address literal is never sent as a name (RFC 6066); a name always is. */
static bool is_named(const struct zg_client_hello *hello, const struct zg_server_def *server)
{
	uint8_t addr[16];

	if (hello->name[0])
		return strcmp(hello->name, server->host) == 0;
	return zg_addr_parse(zg_slice_str(server->host), addr) == 0;
}

/* Where several servers' names lead to one address, the one that is named; any
 * of them if none is. NULL: no server is there. */
static const struct zg_server_def *server_of(const struct zg_greet *g, enum zg_hello_state state,
					     const struct zg_client_hello *hello)
{
	const struct zg_snapshot *s = &g->worker->live->snap;
	size_t count;
	const struct zg_endpoint_def *at =
		zg_snapshot_endpoints(s, g->origin.dst, ntohs(g->origin.dst_port_be), &count);

	for (size_t i = 0; i < count && state == ZG_HELLO_COMPLETE; i++)
		if (s->servers[at[i].server].tls && is_named(hello, &s->servers[at[i].server]))
			return &s->servers[at[i].server];
	return count ? &s->servers[at->server] : NULL;
}

static void refuse_name(struct zg_greet *g, const char *name)
{
	char text[ZG_REASON_LEN];

	(void)snprintf(text, sizeof(text),
		       "the client's TLS names \"%.120s\", not the registered server", name);
	refuse(g, ZG_TA_UNRECOGNIZED_NAME, text);
}

static void to_server(struct zg_greet *g, enum zg_hello_state state,
		      const struct zg_client_hello *hello, const struct zg_server_def *server)
{
	char text[ZG_REASON_LEN];
	SSL *tls;

	if (state == ZG_HELLO_PLAIN) {
		to_http(g, NULL); /* route.c tells it if this server speaks https */
	} else if (!server->tls) {
		refuse(g, ZG_TA_HANDSHAKE_FAILURE, "the registered server speaks plain http");
	} else if (state != ZG_HELLO_COMPLETE) {
		(void)snprintf(text, sizeof(text), "the TLS of the client is not understood: %s",
			       hello->why);
		refuse(g, ZG_TA_HANDSHAKE_FAILURE, text);
	} else if (!is_named(hello, server)) {
		/* a name that is allowed for itself may share the server's address */
		g->beside = hello->name[0] && !hello->encrypted;
		(void)zg_str_cut(g->name, sizeof(g->name), zg_slice_str(hello->name));
		if (g->beside)
			ask(g);
		else
			refuse_name(g, hello->name);
	} else {
		tls = zg_tls_new(g->worker, g->worker->live, zg_slice_str(server->host));
		if (tls)
			to_http(g, tls);
		else
			refuse(g, ZG_TA_HANDSHAKE_FAILURE,
			       "there is no certificate for the registered server");
	}
}

/* passed on ---------------------------------------------------------------------- */

static void to_name(struct zg_greet *g, enum zg_hello_state state,
		    const struct zg_client_hello *hello)
{
	const char *why = NULL;

	if (state == ZG_HELLO_PLAIN)
		why = "it is not TLS";
	else if (state != ZG_HELLO_COMPLETE)
		why = hello->why;
	else if (hello->encrypted)
		why = "it may hide a server name in an encrypted one (ECH)";
	else if (!hello->name[0])
		why = "its TLS names no server";
	if (state == ZG_HELLO_COMPLETE)
		(void)zg_str_cut(g->name, sizeof(g->name), zg_slice_str(hello->name));
	if (why)
		(void)snprintf(g->why, sizeof(g->why), "%s%s",
			       state == ZG_HELLO_BAD ? "its TLS is not understood: " : "", why);
	ask(g);
}

void zg_greet_answer(struct zg_worker *w, struct zg_msg_sni_answer *m)
{
	struct zg_greet *g;

	ZG_MSG_TEXT(m->cgroup);
	LIST_FOREACH(g, &w->greets, link)
	if (g->query == m->query)
		break;
	if (!g)
		return; /* it took too long */
	if (g->why[0]) {
		deny(g, m->cgroup, g->why);
	} else if (!m->allowed && g->beside) {
		refuse_name(g, g->name);
	} else if (!m->allowed) {
		deny(g, m->cgroup, "the server name in its TLS did not open this address");
	} else if (zg_splice_new(w, g->fd, &g->origin, g->name, m->cgroup) < 0) {
		deny(g, m->cgroup, "it could not be passed on");
	} else {
		g->fd = -1;
		forget(g);
	}
}

/* looking ------------------------------------------------------------------------ */

/* Woken again only when there is more than was seen. */
static bool wait_for(struct zg_greet *g, size_t bytes)
{
	int low = (int)bytes;

	return setsockopt(g->fd, SOL_SOCKET, SO_RCVLOWAT, &low, sizeof(low)) == 0;
}

static void on_readable(evutil_socket_t fd, short what ZG_UNUSED, void *arg)
{
	struct zg_greet *g = arg;
	static const struct timeval whole = {ZG_HELLO_SEC, 0};
	char bytes[ZG_HELLO_WIRE_BYTES];
	ssize_t n = recv((int)fd, bytes, sizeof(bytes), MSG_PEEK | MSG_DONTWAIT);
	const struct zg_server_def *server;
	struct zg_client_hello hello;
	enum zg_hello_state state;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0 || (size_t)n <= g->seen) { /* it left, or will say no more */
		forget(g);
		return;
	}
	if (!g->seen)
		(void)event_add(&g->timer, &whole);
	g->seen = (size_t)n;
	state = zg_client_hello_read((struct zg_slice){bytes, (size_t)n}, &hello);
	if (state == ZG_HELLO_MORE) {
		if (!wait_for(g, g->seen + 1))
			forget(g);
		return;
	}
	if (!wait_for(g, 1)) {
		forget(g);
		return;
	}
	server = server_of(g, state, &hello);
	if (server)
		to_server(g, state, &hello, server);
	else
		to_name(g, state, &hello);
}

/* One that says nothing leaves no trace; one that begins and does not go on does. */
static void on_timer(evutil_socket_t fd ZG_UNUSED, short what ZG_UNUSED, void *arg)
{
	struct zg_greet *g = arg;

	if (g->seen)
		deny(g, "", "its TLS did not say in time where it goes");
	else
		forget(g);
}

int zg_greet_new(struct zg_worker *w, int fd, const struct zg_origin *origin)
{
	struct zg_greet *g = calloc(1, sizeof(*g));

	if (!g)
		return -ENOMEM;
	g->worker = w;
	g->fd = fd;
	g->origin = *origin;
	(void)event_assign(&g->readable, w->base, fd, EV_READ | EV_PERSIST, on_readable, g);
	(void)event_assign(&g->timer, w->base, -1, 0, on_timer, g);
	if (event_add(&g->readable, NULL) < 0 || event_add(&g->timer, w->idle) < 0) {
		(void)event_del(&g->readable);
		free(g);
		return -ENOMEM;
	}
	LIST_INSERT_HEAD(&w->greets, g, link);
	return 0;
}

void zg_greets_release(struct zg_worker *w)
{
	struct zg_greet *g;

	while ((g = LIST_FIRST(&w->greets)))
		forget(g);
}
