/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plain_test.c - exchanges with a server that says what the test wants it to
 * say, in the portions in which it wants it, over real sockets.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <errno.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "plain.h"
#include "zg_limits.h"

#define BYTES 65536

static const uint8_t loopback[16] = {[10] = 0xff, [11] = 0xff, 127, 0, 0, 1};

struct lab {
	struct event_base *base;
	struct zg_plain_pool *pool;
	int listener, peer; /* peer: the server's end of the last connection */
	int accepted;
	uint16_t port;
	struct zg_plain *x;
	/* what came of the exchange */
	int status, rc;
	bool done, sent;
	char fields[4096];
	char *content;
	size_t bytes, pause_at; /* pause_at 0 = never */
};

static void on_field(void *arg, struct zg_slice name, struct zg_slice value)
{
	struct lab *l = arg;
	size_t n = strlen(l->fields);

	snprintf(l->fields + n, sizeof(l->fields) - n, "%.*s=%.*s;", (int)name.len, name.ptr,
		 (int)value.len, value.ptr);
}

static void on_head(void *arg, int status)
{
	((struct lab *)arg)->status = status;
}

static int on_body(void *arg, struct zg_slice bytes)
{
	struct lab *l = arg;

	if (l->bytes + bytes.len > BYTES)
		return -ENOBUFS;
	memcpy(l->content + l->bytes, bytes.ptr, bytes.len);
	l->bytes += bytes.len;
	return l->pause_at && l->bytes >= l->pause_at;
}

static void on_done(void *arg, int rc, bool sent)
{
	struct lab *l = arg;

	assert_false(l->done);
	l->done = true;
	l->rc = rc;
	l->sent = sent;
	l->x = NULL;
}

static const struct zg_plain_calls calls = {on_field, on_head, on_body, on_done};

static int setup(void **state)
{
	struct lab *l = calloc(1, sizeof(*l));
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(in);

	assert_non_null(l);
	l->base = event_base_new();
	l->pool = zg_plain_pool_new(l->base);
	l->content = calloc(1, BYTES + 1);
	l->peer = -1;
	l->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_true(l->pool && l->content && l->listener >= 0);
	assert_int_equal(bind(l->listener, (struct sockaddr *)&in, len), 0);
	assert_int_equal(listen(l->listener, 16), 0);
	assert_int_equal(getsockname(l->listener, (struct sockaddr *)&in, &len), 0);
	l->port = ntohs(in.sin_port);
	*state = l;
	return 0;
}

static int teardown(void **state)
{
	struct lab *l = *state;

	zg_plain_pool_free(l->pool);
	event_base_free(l->base);
	close(l->listener);
	if (l->peer >= 0)
		close(l->peer);
	free(l->content);
	free(l);
	return 0;
}

static void turn(struct lab *l)
{
	struct timeval wait = {0, 20000};

	event_base_loopexit(l->base, &wait);
	event_base_loop(l->base, EVLOOP_ONCE);
}

static void begin(struct lab *l, const char *head, const char *body)
{
	l->done = l->sent = false;
	l->status = l->rc = 0;
	l->bytes = 0;
	l->fields[0] = '\0';
	l->x = zg_plain_start(l->pool, loopback, l->port, (struct zg_slice){head, strlen(head)},
			      (struct zg_slice){body, strlen(body)}, &calls, l);
	assert_non_null(l->x);
}

/* Until the server has read `text`, on a new connection if there is one. */
static void expect(struct lab *l, const char *text)
{
	char got[8192] = "";
	size_t n = 0;

	for (int i = 0; i < 500 && n < strlen(text); i++) {
		int fd = accept4(l->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		ssize_t r;

		if (fd >= 0) {
			if (l->peer >= 0)
				close(l->peer);
			l->peer = fd;
			l->accepted++;
		}
		r = l->peer >= 0 ? recv(l->peer, got + n, sizeof(got) - 1 - n, 0) : -1;
		if (r > 0)
			n += (size_t)r;
		else
			turn(l);
	}
	got[n] = '\0';
	assert_string_equal(got, text);
}

static void say(struct lab *l, const char *text, size_t len, size_t portion)
{
	for (size_t at = 0; at < len && !l->done; at += portion) {
		size_t n = len - at < portion ? len - at : portion;

		/* a server that was hung up on finds out here */
		if (send(l->peer, text + at, n, MSG_NOSIGNAL) != (ssize_t)n)
			break;
		turn(l);
	}
}

static void finish(struct lab *l)
{
	for (int i = 0; i < 500 && !l->done; i++)
		turn(l);
	assert_true(l->done);
}

static void hang_up(struct lab *l)
{
	close(l->peer);
	l->peer = -1;
}

#define REQUEST "POST /mcp HTTP/1.1\r\nHost: s\r\nContent-Length: 2\r\n\r\n"

static void exchange(struct lab *l, const char *answer, size_t portion, bool end)
{
	begin(l, REQUEST, "{}");
	expect(l, REQUEST "{}");
	say(l, answer, strlen(answer), portion);
	if (end)
		hang_up(l);
	finish(l);
}

static void test_answers_in_any_portions(void **state)
{
	static const struct {
		const char *text;
		int status;
		const char *fields, *content;
		bool until_close;
	} answers[] = {
		{"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: "
		 "7\r\n\r\n{\"a\":1}",
		 200, "Content-Type=application/json;", "{\"a\":1}", false},
		{"HTTP/1.1 200\r\nTransfer-Encoding: Chunked\r\nX:  y "
		 "\r\n\r\n3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n",
		 200, "X=y;", "abcd", false},
		{"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n", 202, "", "", false},
		{"HTTP/1.1 204 No Content\r\n\r\n", 204, "", "", false},
		{"HTTP/1.1 100 Continue\r\nX: not-this\r\n\r\nHTTP/1.1 103 Early\r\n\r\n"
		 "HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno",
		 404, "", "no", false},
		{"HTTP/1.0 200 OK\r\n\r\nall of it", 200, "", "all of it", true},
		{"HTTP/1.1 200 OK\r\n\r\n", 200, "", "", true},
	};
	struct lab *l = *state;

	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++)
		for (size_t portion = 1; portion < 200; portion = portion * 3 + 1) {
			exchange(l, answers[i].text, portion, answers[i].until_close);
			assert_int_equal(l->rc, 0);
			assert_true(l->sent);
			assert_int_equal(l->status, answers[i].status);
			l->content[l->bytes] = '\0';
			assert_string_equal(l->content, answers[i].content);
			assert_string_equal(l->fields, answers[i].fields);
		}
}

#define OK "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

static void test_connections_are_kept(void **state)
{
	struct lab *l = *state;

	for (int i = 0; i < 5; i++)
		exchange(l, OK, 1000, false);
	assert_int_equal(l->accepted, 1);
	/* one that says it will close, or says more than it should, is not used again */
	exchange(l, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", 1000,
		 false);
	exchange(l, OK "HTTP/1.1 200 OK\r\n", 1000, false);
	assert_int_equal(l->accepted, 2);
	exchange(l, OK, 1000, false);
	assert_int_equal(l->accepted, 3);
	/* nor is one that was closed, or spoke, while it was idle */
	hang_up(l);
	turn(l);
	exchange(l, OK, 1000, false);
	assert_int_equal(l->accepted, 4);
	assert_int_equal(send(l->peer, "x", 1, MSG_NOSIGNAL), 1);
	turn(l);
	exchange(l, OK, 1000, false);
	assert_int_equal(l->accepted, 5);
}

static void test_malformed_answers(void **state)
{
	static const char *const answers[] = {
		"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok",
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\nok",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
		"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok",
		"HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nok",
		"HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nok",
		"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 2\r\n\r\nok",
		"HTTP/1.1 200 OK\r\nX: a\x01\r\nContent-Length: 2\r\n\r\nok",
		"HTTP/1.1 099 OK\r\nContent-Length: 2\r\n\r\nok",
		"HTTP/1.1 2000 OK\r\nContent-Length: 2\r\n\r\nok",
		"HTTP/2 200 OK\r\nContent-Length: 2\r\n\r\nok",
		"ICY 200 OK\r\nContent-Length: 2\r\n\r\nok",
		"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nok\r\n0\r\n\r\n",
	};
	struct lab *l = *state;

	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		exchange(l, answers[i], 1000, false);
		assert_int_equal(l->rc, -EBADMSG);
	}
	assert_int_equal(l->accepted, sizeof(answers) / sizeof(answers[0]));
}

static void test_an_answer_cut_short(void **state)
{
	static const char *const answers[] = {
		"", "HTTP/1.1 200 OK\r\nContent", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n"};
	struct lab *l = *state;

	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		exchange(l, answers[i], 1000, true);
		assert_int_equal(l->rc, -ECONNRESET);
		assert_true(l->sent);
	}
}

static void test_a_head_without_end(void **state)
{
	static char text[2 * ZG_HTTP_HEADER_BYTES] = "HTTP/1.1 200 OK\r\n";
	struct lab *l = *state;

	for (size_t n = strlen(text); n + 10 < sizeof(text); n += 8)
		memcpy(text + n, "X: abc\r\n", 9);
	exchange(l, text, 4000, false);
	assert_int_equal(l->rc, -EFBIG);
	/* the same in one piece, with an end */
	memcpy(text + sizeof(text) - 3, "\r\n", 3);
	exchange(l, text, sizeof(text), false);
	assert_true(l->rc == -EFBIG || l->rc == -EBADMSG);
	/* interim answers without end */
	for (size_t i = 0; i < 20; i++)
		memcpy(text + 25 * i, "HTTP/1.1 100 Continue\r\n\r\n", 26);
	exchange(l, text, 1000, false);
	assert_int_equal(l->rc, -EBADMSG);
}

static void test_nobody_listens(void **state)
{
	struct lab *l = *state;
	static const char head[] = REQUEST;

	close(l->listener);
	l->listener = -1;
	l->x = zg_plain_start(l->pool, loopback, l->port, (struct zg_slice){head, strlen(head)},
			      (struct zg_slice){0}, &calls, l);
	if (l->x) { /* else it was told at once */
		finish(l);
		assert_int_equal(l->rc, -ECONNREFUSED);
		assert_false(l->sent);
	} else {
		assert_int_equal(errno, ECONNREFUSED);
	}
}

/* The reader pauses: the server fills the socket and is not read on; then all arrives. */
static void test_pause_and_resume(void **state)
{
	struct lab *l = *state;
	static char content[40000];
	char head[128];

	memset(content, 'z', sizeof(content));
	begin(l, REQUEST, "{}");
	expect(l, REQUEST "{}");
	snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n",
		 sizeof(content));
	l->pause_at = 1;
	say(l, head, strlen(head), 1000);
	say(l, content, 10000, 10000);
	assert_int_equal(l->bytes, 10000);
	assert_int_equal(send(l->peer, content, 30000, MSG_NOSIGNAL), 30000);
	for (int i = 0; i < 5; i++)
		turn(l);
	assert_int_equal(l->bytes, 10000);
	l->pause_at = 0;
	zg_plain_resume(l->x);
	finish(l);
	assert_int_equal(l->rc, 0);
	assert_int_equal(l->bytes, sizeof(content));
}

/* A request larger than the socket takes; the server answers before it has read it all. */
static void test_large_requests_and_early_answers(void **state)
{
	struct lab *l = *state;
	static char body[4000000];
	static const char head[] = "POST / HTTP/1.1\r\nContent-Length: 4000000\r\n\r\n";
	size_t got = 0;
	char buf[65536];

	memset(body, 'b', sizeof(body));
	begin(l, head, "");
	zg_plain_abort(l->x); /* begin() fixes the state only */
	l->x = zg_plain_start(l->pool, loopback, l->port, (struct zg_slice){head, strlen(head)},
			      (struct zg_slice){body, sizeof(body)}, &calls, l);
	assert_non_null(l->x);
	for (int i = 0; i < 20000 && got < strlen(head) + sizeof(body); i++) {
		int fd = accept4(l->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		ssize_t n;

		if (fd >= 0) {
			if (l->peer >= 0)
				close(l->peer);
			l->peer = fd;
		}
		n = l->peer >= 0 ? recv(l->peer, buf, sizeof(buf), 0) : -1;
		if (n > 0)
			got += (size_t)n;
		event_base_loop(l->base, EVLOOP_NONBLOCK);
	}
	assert_int_equal(got, strlen(head) + sizeof(body));
	say(l, OK, strlen(OK), 1000);
	finish(l);
	assert_int_equal(l->rc, 0);
	l->accepted = 0;
	/* early: the answer counts, the connection does not */
	l->done = false;
	l->x = zg_plain_start(l->pool, loopback, l->port, (struct zg_slice){head, strlen(head)},
			      (struct zg_slice){body, sizeof(body)}, &calls, l);
	turn(l);
	say(l, "HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n", 45, 45);
	finish(l);
	assert_int_equal(l->rc, 0);
	assert_int_equal(l->status, 413);
	hang_up(l);
	turn(l); /* the sockets may have taken all of it: then it was kept until now */
	exchange(l, OK, 1000, false);
	assert_int_equal(l->accepted, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_answers_in_any_portions, setup, teardown),
		cmocka_unit_test_setup_teardown(test_connections_are_kept, setup, teardown),
		cmocka_unit_test_setup_teardown(test_malformed_answers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_an_answer_cut_short, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_head_without_end, setup, teardown),
		cmocka_unit_test_setup_teardown(test_nobody_listens, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pause_and_resume, setup, teardown),
		cmocka_unit_test_setup_teardown(test_large_requests_and_early_answers, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
