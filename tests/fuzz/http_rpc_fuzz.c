/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_rpc_fuzz.c - a whole worker and an attested client that says anything.
 * The first byte chooses: 0, the rest is a message, framed well; else the rest
 * is the raw bytes of a connection, sent in pieces of that size. What must
 * hold: nothing crashes, leaks or hangs, and the server is reached only by what
 * was recorded as intended before.
 */
#include "gateway/lab.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static struct lab lab;
static int intents;

static void drain_records(void)
{
	struct zg_record r;

	while (lab_record(&lab, &r))
		intents += r.kind == ZG_RK_CALL_INTENT;
}

static void send_pieces(int fd, const uint8_t *bytes, size_t size, size_t piece)
{
	while (size) {
		size_t n = size < piece ? size : piece;
		ssize_t sent = send(fd, bytes, n, MSG_NOSIGNAL);

		if (sent < 0 && errno != EAGAIN)
			return; /* it has hung up on us, as it may */
		if (sent > 0) {
			bytes += sent;
			size -= (size_t)sent;
		}
		event_base_loop(lab.w.base, EVLOOP_NONBLOCK);
		drain_records();
	}
}

static void settle(void)
{
	struct zg_msg m;

	/* held calls are refused, running ones end: the server answers at once */
	for (int i = 0; i < 64; i++) {
		event_base_loop(lab.w.base, EVLOOP_NONBLOCK);
		zg_worker_read_ledger(&lab.w);
		while (zg_msg_recv(lab.ledger, &m) == 0) {
			struct zg_msg_hold_state no = {.state = ZG_HOLD_DENIED};

			if (m.type != ZG_MSG_HOLD)
				continue;
			no.call = ((struct zg_msg_hold *)m.body)->call;
			LAB_REQUIRE(zg_msg_send(lab.ledger, ZG_MSG_HOLD_STATE, &no, -1) == 0);
		}
		drain_records();
		if (i > 8 && TAILQ_EMPTY(&lab.w.requests))
			return;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	static bool started;
	struct zg_origin origin = lab_origin();
	int fd;

	if (!size)
		return 0;
	if (!started) {
		started = true;
		lab_start(&lab);
		lab.answer = "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}";
	}
	intents = lab.requests = 0;
	fd = lab_connect(&lab, &origin);
	if (bytes[0] == 0) {
		char head[256];
		int n = snprintf(head, sizeof(head),
				 "POST /s/mcp HTTP/1.1\r\nHost: localhost:7411\r\nContent-Type: "
				 "application/json\r\nContent-Length: %zu\r\n\r\n",
				 size - 1);

		send_pieces(fd, (const uint8_t *)head, (size_t)n, 512);
		send_pieces(fd, bytes + 1, size - 1, 4096);
	} else {
		send_pieces(fd, bytes + 1, size - 1, (size_t)bytes[0] * 8);
	}
	settle();
	close(fd);
	settle();
	LAB_REQUIRE(lab.requests <= intents);
	/* a GET stream to a server that closes it, or a call: all are over */
	LAB_REQUIRE(TAILQ_EMPTY(&lab.w.requests));
	return 0;
}
