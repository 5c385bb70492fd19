/* SPDX-License-Identifier: Apache-2.0 */
/* http_reply_test.c - heads of responses, whole and line by line as libcurl gives them, are
 * read alike. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "http_line.h"
#include "http_reply.h"
#include "zg_limits.h"

#define OK "HTTP/1.1 200 OK\r\n"

static void count_field(void *arg, struct zg_slice name, struct zg_slice value)
{
	size_t *n = arg;

	assert_true(name.len && value.ptr);
	(*n)++;
}

static int by_line(struct zg_http_reply *r, struct zg_slice text, size_t *fields)
{
	*r = (struct zg_http_reply){0};
	while (text.len) {
		struct zg_slice line = zg_http_next_line(&text), name, value;
		int rc = line.len ? zg_http_reply_line(r, line, &name, &value) : 0;

		if (!line.len)
			return zg_http_reply_end(r);
		if (rc < 0)
			return rc;
		*fields += rc > 0;
	}
	return -EBADMSG;
}

static void test_heads(void **state)
{
	static const struct {
		const char *head;
		int rc;
		enum zg_reply_body body;
		uint64_t length;
		bool close;
		size_t fields;
	} rows[] = {
		{OK "Content-Length: 5\r\nX-A: b\r\n\r\n", 0, ZG_BODY_LENGTH, 5, false, 1},
		{OK "Transfer-Encoding: chunked\r\n\r\n", 0, ZG_BODY_CHUNKED, 0, false, 0},
		{OK "Content-Length: 0\r\nConnection: close\r\n\r\n", 0, ZG_BODY_NONE, 0, true, 0},
		{OK "X-A: b\r\n\r\n", 0, ZG_BODY_UNTIL_CLOSE, 0, true, 1},
		{"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n", 0, ZG_BODY_LENGTH, 5, true, 0},
		{"HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\n", 0, ZG_BODY_NONE, 5, false, 0},
		{"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", -EBADMSG, 0, 0, 0, 0},
		{OK "Content-Length: 5\r\nContent-Length: 5\r\n\r\n", -EBADMSG, 0, 0, 0, 0},
		{OK "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", -EBADMSG, 0, 0, 0,
		 0},
		{OK "Content-Length: +5\r\n\r\n", -EBADMSG, 0, 0, 0, 0},
		{OK "Content-Length: 5, 5\r\n\r\n", -EBADMSG, 0, 0, 0, 0},
		{OK "Content-Length:\r\n\r\n", -EBADMSG, 0, 0, 0, 0},
		{OK "Transfer-Encoding: gzip, chunked\r\n\r\n", -EBADMSG, 0, 0, 0, 0},
		{OK "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", -EBADMSG, 0,
		 0, 0, 0},
		{OK "Connection: close\r\nConnection: close\r\n\r\n", -EBADMSG, 0, 0, 0, 0},
		{OK "X-A : b\r\n\r\n", -EBADMSG, 0, 0, 0, 0},
		{OK " folded: b\r\n\r\n", -EBADMSG, 0, 0, 0, 0},
		{OK "X-A: \001\r\n\r\n", -EBADMSG, 0, 0, 0, 0},
		{"HTTP/2.0 200 OK\r\n\r\n", -EBADMSG, 0, 0, 0, 0},
		{"HTTP/1.1 20 OK\r\n\r\n", -EBADMSG, 0, 0, 0, 0},
		{"X-A: b\r\n\r\n", -EBADMSG, 0, 0, 0, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct zg_slice head = zg_slice_str(rows[i].head);
		struct zg_http_reply whole, lines;
		size_t a = 0, b = 0;

		print_message("%s", rows[i].head);
		assert_int_equal(zg_http_reply_parse(&whole, head, count_field, &a), rows[i].rc);
		assert_int_equal(by_line(&lines, head, &b), rows[i].rc);
		if (rows[i].rc < 0)
			continue;
		assert_int_equal(whole.body, rows[i].body);
		assert_int_equal(whole.length, rows[i].length);
		assert_int_equal(whole.close, rows[i].close);
		assert_int_equal(a, rows[i].fields);
		assert_int_equal(b, a);
		assert_int_equal(lines.status, whole.status);
		assert_int_equal(lines.body, whole.body);
		assert_int_equal(lines.length, whole.length);
		assert_int_equal(lines.close, whole.close);
	}
}

static void test_no_more_fields_than_fit(void **state)
{
	struct zg_http_reply r = {0};
	struct zg_slice name, value;

	(void)state;
	assert_int_equal(zg_http_reply_end(&r), -EBADMSG);
	assert_int_equal(zg_http_reply_line(&r, ZG_SLICE("HTTP/1.1 200 OK"), &name, &value), 0);
	for (int i = 0; i < ZG_HTTP_HEADERS_MAX; i++)
		assert_int_equal(zg_http_reply_line(&r, ZG_SLICE("X-A: b"), &name, &value), 1);
	assert_int_equal(zg_http_reply_line(&r, ZG_SLICE("X-A: b"), &name, &value), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_heads),
		cmocka_unit_test(test_no_more_fields_than_fit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
