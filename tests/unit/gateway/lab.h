/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lab.h - one gateway worker in the test's own process: a real configuration,
 * a real ring, real sockets to a real HTTP server (evhttp on the same loop).
 * Only the parent and the ledger are played by the test, through their real
 * channels, and the origin is given instead of asked of the kernel.
 */
#ifndef ZG_TEST_GATEWAY_LAB_H
#define ZG_TEST_GATEWAY_LAB_H

#include <arpa/inet.h>
#include <errno.h>
#include <event2/buffer.h>
#include <event2/http.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "build.h"
#include "ipc.h"
#include "request.h"
#include "upstream.h"

#define LAB_CGROUP 77
#define LAB_PORT   7411

#define LAB_PATIENCE 2400 /* idle turns of 50 ms until what must come is given up */
#define LAB_CHAIN    32	  /* events of which each is caused by the one before */
#define LAB_LONG     45	  /* seconds: longer than any test that does not wait for its end */
#define LAB_SHORT    3	  /* and as long as one is that does */

#define LAB_REQUIRE(what)                                                                          \
	do {                                                                                       \
		if (!(what)) {                                                                     \
			fprintf(stderr, "%s:%d: lab: %s\n", __FILE__, __LINE__, #what);            \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

/* Of calls that are held and of calls of np_*: what a test that waits for the end
 * sets before lab_start. */
static unsigned int lab_limit_sec = LAB_LONG;

struct lab {
	struct zg_worker w;
	struct event *timer; /* of a turn */
	bool idle;
	int parent, ledger; /* the far ends */
	struct zg_ring consumer;
	struct evhttp *server;
	uint16_t port;
	/* what the server saw and says */
	int requests;
	char last[4096];	       /* body of the last request */
	const char *type;	       /* of the answer; NULL = JSON */
	const char *answer;	       /* NULL = never answers */
	int status;		       /* of the answer; 0 = 200 */
	bool echo;		       /* instead: a result for the id that it was asked with */
	struct evhttp_request *stream; /* an open GET */
	bool streams;		       /* GETs are kept open: see lab_event */
	char uri[512];		       /* of the last request */
	const char *session;	       /* Mcp-Session-Id that it gives */
	char echoed[256];
	char session_seen[64];
	char event_seen[64]; /* Last-Event-ID */

	char authorization_seen[64];
	/* the ledger's word on a definition; NULL = all are accepted */
	enum zg_pin_state (*pin_word)(const struct zg_msg_pin_seen *q);
};

static const char lab_policy[] =
	"version: v1\n"
	"rules:\n"
	"  - id: read-ok\n"
	"    match: {labels: {mcp.action: read}}\n"
	"    decision: ALLOW\n"
	"  - id: ask-a-person\n"
	"    match: {labels: {mcp.action: write, mcp.method: tools/call}, risk_tags: [prod]}\n"
	"    decision: REQUIRE_APPROVAL\n"
	"  - id: bounded\n"
	"    match: {labels: {mcp.action: write}, risk_tags: [non_prod]}\n"
	"    decision: ALLOW_WITH_CONSTRAINTS\n"
	"    constraints: {max_runtime_sec: %u, network_allowlist: [127.0.0.1, 127.0.0.2]}\n"
	"  - id: counted\n"
	"    match: {labels: {mcp.tool: np_counted}}\n"
	"    decision: ALLOW_WITH_CONSTRAINTS\n"
	"    constraints:\n"
	"      rate: {calls: 5, per: minute, by: [tool]}\n"
	"      max_concurrent: {calls: 2, by: [cgroup, server]}\n"
	"      max_retries: 0\n"
	"      max_output_bytes: 200\n"
	"  - id: people\n"
	"    match: {labels: {mcp.direction: server, mcp.method: elicitation/create}}\n"
	"    decision: ALLOW_WITH_CONSTRAINTS\n"
	"    constraints: {network_allowlist: [ok.example]}\n"
	"  - id: no-models\n"
	"    match: {labels: {mcp.direction: server, mcp.method: \"sampling/*\"}}\n"
	"    decision: DENY\n";

static const char lab_config[] = "version: v1\n"
				 "listen: [\"127.0.0.1:7411\", \"[::1]:7411\"]\n"
				 "policies: policies\n"
				 "servers: servers\n"
				 "state_dir: /var/lib/zerogate\n"
				 "runtime_dir: /run/zerogate\n"
				 "pin_dir: /sys/fs/bpf/zerogate\n"
				 "user: nobody\n"
				 "ledger_user: daemon\n"
				 "approvals: {hold_sec: %u}\n"
				 "profiles:\n"
				 "  agent: {cgroups: [agents], servers: [s, old, down, pipe]}\n"
				 "  other: {cgroups: [others], servers: [down]}\n";

/* A local server; of its network, lab_policy's list for np_* covers one address. */
static const char lab_pipe[] =
	"{\"name\":\"example.org/pipe\",\"description\":\"x\",\"version\":\"1\",\"_meta\":{"
	"\"dev.zerogate/registry\":{\"id\":\"pipe\",\"owner\":\"T\",\"command\":\"/bin/true\","
	"\"tools\":{\"get_*\":{\"action\":\"read\"},"
	"\"np_*\":{\"action\":\"write\",\"risk_tags\":[\"non_prod\"]}},"
	"\"network\":[{\"cidr\":\"127.0.0.0/24\",\"port\":80}]}}}";

static void lab_add_server(struct zg_build *b, const char *id, const char *type, const char *path,
			   uint16_t port)
{
	char text[1024];

	snprintf(text, sizeof(text),
		 "{\"name\":\"example.org/%s\",\"description\":\"x\",\"version\":\"1\",\"remotes\":"
		 "[{\"type\":\"%s\",\"url\":\"http://127.0.0.%d:%u%s\"}],\"_meta\":"
		 "{\"dev.zerogate/"
		 "registry\":{\"id\":\"%s\",\"owner\":\"T\",\"risk_tags\":[\"prod\"],"
		 "\"tools\":{\"get_*\":{\"action\":\"read\"},"
		 "\"np_*\":{\"action\":\"write\",\"risk_tags\":[\"non_prod\"]}}}}}",
		 id, type, strcmp(type, "sse") ? 1 : 2, port, path, id);
	zg_build_add(b, ZG_CF_SERVER, id, zg_slice_str(text));
}

static inline int lab_snapshot(uint16_t port)
{
	const int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL;
	zg_autobuf out = ZG_BUF(ZG_SNAPSHOT_BYTES);
	struct zg_diag diag = {0};
	struct zg_build *b = zg_build_new(&diag);
	int fd = memfd_create("lab", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	char config[sizeof(lab_config) + 16], policy[sizeof(lab_policy) + 16];
	uint8_t id[32];

	LAB_REQUIRE(b && fd >= 0);
	snprintf(config, sizeof(config), lab_config, lab_limit_sec);
	snprintf(policy, sizeof(policy), lab_policy, lab_limit_sec);
	zg_build_add(b, ZG_CF_MAIN, "zerogate.yaml", zg_slice_str(config));
	zg_build_add(b, ZG_CF_POLICY, "p.yaml", zg_slice_str(policy));
	lab_add_server(b, "s", "streamable-http", "/mcp", port);
	lab_add_server(b, "old", "sse", "/v1/sse?k=1", port);
	lab_add_server(b, "down", "streamable-http", "/mcp", 1);
	zg_build_add(b, ZG_CF_SERVER, "pipe", zg_slice_str(lab_pipe));
	LAB_REQUIRE(zg_build_finish(b, ZG_BUILD_ALL, &out, id, NULL) == 0);
	LAB_REQUIRE(write(fd, out.ptr, out.len) == (ssize_t)out.len);
	LAB_REQUIRE(fcntl(fd, F_ADD_SEALS, seals) == 0);
	zg_build_free(b);
	zg_diag_release(&diag);
	return fd;
}

static inline int lab_secrets(void)
{
	static const char key[] = "thirty-two bytes that seal tokens";
	struct zg_secrets_draft d;
	int fd;

	zg_secrets_draft_init(&d);
	zg_secrets_add(&d, ZG_SK_SEAL, ZG_SLICE(""), (struct zg_slice){key, 32});
	fd = zg_secrets_make(&d);
	zg_secrets_draft_release(&d);
	LAB_REQUIRE(fd >= 0);
	return fd;
}

static inline void lab_copy_header(struct evhttp_request *q, const char *name, char *to,
				   size_t size)
{
	const char *value = evhttp_find_header(evhttp_request_get_input_headers(q), name);

	snprintf(to, size, "%s", value ? value : "");
}

static inline void lab_serve(struct evhttp_request *q, void *arg)
{
	struct lab *l = arg;
	struct evbuffer *in = evhttp_request_get_input_buffer(q);
	struct evbuffer *out = evhttp_request_get_output_buffer(q);
	size_t n = evbuffer_get_length(in);

	l->requests++;
	n = n < sizeof(l->last) ? n : sizeof(l->last) - 1;
	l->last[evbuffer_copyout(in, l->last, n)] = '\0';
	lab_copy_header(q, "Mcp-Session-Id", l->session_seen, sizeof(l->session_seen));
	lab_copy_header(q, "Last-Event-ID", l->event_seen, sizeof(l->event_seen));
	lab_copy_header(q, "Authorization", l->authorization_seen, sizeof(l->authorization_seen));
	snprintf(l->uri, sizeof(l->uri), "%s", evhttp_request_get_uri(q));
	if (l->streams && evhttp_request_get_command(q) == EVHTTP_REQ_GET) {
		l->stream = q;
		evhttp_add_header(evhttp_request_get_output_headers(q), "Content-Type",
				  "text/event-stream");
		evhttp_send_reply_start(q, 200, "OK");
		return;
	}
	if (strstr(l->last, "notifications/")) {
		evhttp_send_reply(q, 202, "Accepted", NULL);
		return;
	}
	if (l->echo) {
		const char *id = strstr(l->last, "\"id\":");
		int len = id ? (int)strcspn(id + 5, ",}") : 0;

		snprintf(l->echoed, sizeof(l->echoed),
			 "%s{\"jsonrpc\":\"2.0\",\"id\":%.*s,\"result\":{}}%s",
			 l->type ? "data: " : "", len, id ? id + 5 : "", l->type ? "\n\n" : "");
		l->answer = l->echoed;
	}
	if (!l->answer)
		return; /* hangs */
	evhttp_add_header(evhttp_request_get_output_headers(q), "Content-Type",
			  l->type ? l->type : "application/json");
	if (l->session)
		evhttp_add_header(evhttp_request_get_output_headers(q), "Mcp-Session-Id",
				  l->session);
	evbuffer_add(out, l->answer, strlen(l->answer));
	evhttp_send_reply(q, l->status ? l->status : 200, "OK", NULL);
}

static inline void lab_on_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	*(bool *)arg = true;
}

static inline void lab_start(struct lab *l)
{
	struct evhttp_bound_socket *bound;
	struct sockaddr_in sin;
	socklen_t len = sizeof(sin);
	struct zg_err e = {0};
	int pair[2], fd, secrets = lab_secrets();

	*l = (struct lab){.w = {.channel = -1, .ledger = -1, .secrets = -1}};
	LAB_REQUIRE(zg_worker_init(&l->w) == 0);
	l->timer = evtimer_new(l->w.base, lab_on_timer, &l->idle);
	LAB_REQUIRE(l->timer);
	l->server = evhttp_new(l->w.base);
	LAB_REQUIRE(l->server);
	evhttp_set_allowed_methods(l->server, EVHTTP_REQ_GET | EVHTTP_REQ_POST | EVHTTP_REQ_DELETE);
	evhttp_set_gencb(l->server, lab_serve, l);
	bound = evhttp_bind_socket_with_handle(l->server, "127.0.0.1", 0);
	LAB_REQUIRE(bound);
	LAB_REQUIRE(getsockname(evhttp_bound_socket_get_fd(bound), (struct sockaddr *)&sin, &len) ==
		    0);
	l->port = ntohs(sin.sin_port);
	LAB_REQUIRE(evhttp_bind_socket(l->server, "127.0.0.2", l->port) == 0);
	fd = lab_snapshot(l->port);
	if (zg_live_new(&l->w.live, fd, secrets, 1, NULL, &e) < 0) {
		fprintf(stderr, "lab: %s\n", e.what);
		abort();
	}
	close(fd);
	close(secrets);
	LAB_REQUIRE(zg_ipc_pair(pair, true) == 0);
	l->w.channel = pair[0];
	l->parent = pair[1];
	LAB_REQUIRE(zg_ipc_pair(pair, true) == 0);
	l->w.ledger = pair[0];
	l->ledger = pair[1];
	fd = zg_ring_create();
	LAB_REQUIRE(fd >= 0);
	LAB_REQUIRE(zg_ring_attach(&l->w.ring, fd, eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) == 0);
	LAB_REQUIRE(zg_ring_attach(&l->consumer, fd, -1) == 0);
	close(fd);
	zg_ring_set_state(&l->consumer, ZG_RING_OK);
	zg_cgroup_names_put(&l->w.names, LAB_CGROUP, "agents/test");
}

static inline void lab_stop(struct lab *l)
{
	int event = l->w.ring.event;

	if (l->stream)
		evhttp_send_reply_end(l->stream); /* frees it, if its client is gone, too */
	evhttp_free(l->server);
	event_free(l->timer);
	lab_limit_sec = LAB_LONG;
	zg_worker_release(&l->w);
	zg_ring_release(&l->w.ring);
	zg_ring_release(&l->consumer);
	close(event);
	close(l->w.channel);
	close(l->parent);
	if (l->w.ledger >= 0)
		close(l->w.ledger);
	if (l->ledger >= 0)
		close(l->ledger);
}

static inline struct zg_origin lab_origin(void)
{
	struct zg_origin o = {
		.cgroup_id = LAB_CGROUP,
		.pid = 4242,
		.uid = 65533,
		.profile = ZG_PROFILE_FIRST,
		.dst = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127, 0, 0, 1},
		.dst_port_be = htons(LAB_PORT),
		.family = AF_INET,
		.comm = "client",
		.profile_name = "agent",
	};

	return o;
}

/* The client's end of a new connection; origin NULL = nobody attests it. */
static inline int lab_connect(struct lab *l, const struct zg_origin *origin)
{
	int pair[2];

	LAB_REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == 0);
	LAB_REQUIRE(zg_admit(&l->w.admission, origin ? origin->cgroup_id : 0, ZG_ADMIT_CONNECTION));
	LAB_REQUIRE(zg_conn_new(&l->w, pair[0], origin, NULL) == 0);
	return pair[1];
}

/* The ledger's word on definitions. What else it is asked is the test's. */
static inline void lab_accept_pins(struct lab *l)
{
	struct zg_msg_header h;
	struct zg_msg m = {.fd = -1};

	while (l->ledger >= 0 &&
	       recv(l->ledger, &h, sizeof(h), MSG_PEEK | MSG_DONTWAIT) == (ssize_t)sizeof(h) &&
	       h.type == ZG_MSG_PIN_SEEN && zg_msg_recv(l->ledger, &m) == 0) {
		const struct zg_msg_pin_seen *q = (const struct zg_msg_pin_seen *)m.body;
		struct zg_msg_pin_state said = {.call = q->call,
						.kind = q->kind,
						.state = l->pin_word ? l->pin_word(q)
								     : ZG_PS_PINNED};

		memcpy(said.server, q->server, sizeof(said.server));
		memcpy(said.name, q->name, sizeof(said.name));
		memcpy(said.sha256, q->sha256, sizeof(said.sha256));
		LAB_REQUIRE(zg_msg_send(l->ledger, ZG_MSG_PIN_STATE, &said, -1) == 0);
	}
}

/* What is due, and what the ledger's end said. */
static inline void lab_pass(struct lab *l, int flags)
{
	event_base_loop(l->w.base, flags);
	lab_accept_pins(l);
	zg_worker_read_ledger(&l->w);
}

/* One turn of the loop, for as long as there is something to do. false: nothing
 * happened for a while, or we were held up for as long; then what was due and what
 * follows from it has been done, too. */
static inline bool lab_turn(struct lab *l, int ms)
{
	struct timeval wait = {ms / 1000, (ms % 1000) * 1000};

	l->idle = false;
	LAB_REQUIRE(evtimer_add(l->timer, &wait) == 0);
	lab_pass(l, EVLOOP_ONCE);
	evtimer_del(l->timer);
	for (int i = 0; l->idle && i < LAB_CHAIN; i++)
		lab_pass(l, EVLOOP_NONBLOCK);
	return !l->idle;
}

/* Turn until it is so; a test that waits in vain fails. */
#define LAB_UNTIL(l, so)                                                                           \
	do {                                                                                       \
		for (int idle_ = 0; !(so); idle_ += !lab_turn(l, 50))                              \
			LAB_REQUIRE(idle_ < LAB_PATIENCE);                                         \
	} while (0)

/* Is a whole answer in text (Content-Length, or the last chunk)? */
static inline bool lab_complete(const char *text)
{
	const char *body = strstr(text, "\r\n\r\n");
	const char *length = strstr(text, "Content-Length: ");

	if (!body)
		return false;
	if (length && length < body)
		return strlen(body + 4) >= strtoull(length + 16, NULL, 10);
	if (strstr(text, "chunked"))
		return strstr(body, "\r\n0\r\n\r\n") != NULL;
	return true;
}

/* Read one answer (or what comes until the end) into out. */
static inline void lab_read(struct lab *l, int fd, char *out, size_t size)
{
	size_t n = 0;

	out[0] = '\0';
	for (int idle = 0; idle < LAB_PATIENCE && !lab_complete(out);) {
		ssize_t got = recv(fd, out + n, size - 1 - n, 0);

		if (got > 0) {
			n += (size_t)got;
			out[n] = '\0';
		} else if (got == 0) {
			return;
		} else {
			idle += !lab_turn(l, 50);
		}
	}
}

static inline void lab_send(int fd, const char *text)
{
	LAB_REQUIRE(send(fd, text, strlen(text), MSG_NOSIGNAL) == (ssize_t)strlen(text));
}

static inline void lab_post_with(int fd, const char *path, const char *headers, const char *body)
{
	char head[4096];

	snprintf(head, sizeof(head),
		 "POST %s HTTP/1.1\r\nHost: localhost:7411\r\nContent-Type: application/json\r\n"
		 "Authorization: Bearer of-the-client\r\n%s"
		 "Content-Length: %zu\r\n\r\n",
		 path, headers, strlen(body));
	lab_send(fd, head);
	lab_send(fd, body);
}

static inline void lab_post(int fd, const char *path, const char *body)
{
	lab_post_with(fd, path, "", body);
}

/* Send bytes on the stream that is open. */
static inline void lab_event(struct lab *l, const char *text)
{
	struct evbuffer *b = evbuffer_new();

	LAB_REQUIRE(b && l->stream && evbuffer_add(b, text, strlen(text)) == 0);
	evhttp_send_reply_chunk(l->stream, b);
	evbuffer_free(b);
}

/* Read what comes until it holds `text`; false: it does not come. */
static inline bool lab_await(struct lab *l, int fd, char *out, size_t size, const char *text)
{
	size_t n = strlen(out);

	for (int idle = 0; idle < LAB_PATIENCE && !strstr(out, text);) {
		ssize_t got = recv(fd, out + n, size - 1 - n, 0);

		if (got > 0) {
			n += (size_t)got;
			out[n] = '\0';
		} else if (got == 0) {
			break;
		} else {
			idle += !lab_turn(l, 50);
		}
	}
	return strstr(out, text) != NULL;
}

/* Read what comes until nothing happens for a while. */
static inline void lab_hear(struct lab *l, int fd, char *out, size_t size)
{
	size_t n = strlen(out);
	ssize_t got;

	while (lab_turn(l, 50))
		continue;
	while ((got = recv(fd, out + n, size - 1 - n, 0)) > 0)
		n += (size_t)got;
	out[n] = '\0';
}

/* The next record; false if there is none, and *r stays the one before. */
static inline bool lab_record(struct lab *l, struct zg_record *r)
{
	struct zg_record next = {0}; /* what a record does not set is left as it was */
	uint64_t seq;

	if (zg_ring_peek(&l->consumer, &next, &seq) != 0)
		return false;
	zg_ring_commit(&l->consumer, seq);
	*r = next;
	return true;
}

#endif
