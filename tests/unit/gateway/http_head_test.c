/* SPDX-License-Identifier: Apache-2.0 */
/* http_head_test.c - heads that two parsers could read differently are refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <errno.h>

#include "http_head.h"

#define POST  "POST /s/mcp HTTP/1.1\r\nHost: localhost:1\r\n"
#define LEN   "Content-Length: 2\r\n"
#define CT    "Content-Type: application/json\r\n"
#define OTHER "Host: h\r\nContent-Length: 2\r\n\r\n"

static const struct {
	const char *head;
	int status; /* 0: accepted, -1: refused before its end */
} cases[] = {
	{POST CT LEN "\r\n", 0},
	{POST "content-LENGTH:2\r\n\r\n", 0},
	{"GET /s/mcp HTTP/1.1\r\nHost: h\r\nAccept: text/event-stream\r\n\r\n", 0},
	{"DELETE /s/mcp HTTP/1.1\r\nHost: h\r\nMcp-Session-Id: x\r\n\r\n", 0},
	{POST "X-Unknown: \xc3\xa9\r\nX-Unknown: 2\r\n" LEN "\r\n", 0},
	/* framing: one length, plainly written */
	{POST "\r\n", 411},
	{POST "Transfer-Encoding: chunked\r\n\r\n", 0},
	{POST "transfer-encoding:Chunked\r\n\r\n", 0},
	{POST "Transfer-Encoding: gzip, chunked\r\n\r\n", 400},
	{POST "Transfer-Encoding: chunked, chunked\r\n\r\n", 400},
	{POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
	{POST "Transfer-Encoding: \r\n\r\n", 400},
	{POST "Transfer-Encoding: xchunked\r\n\r\n", 400},
	{"GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
	{POST LEN "Transfer-Encoding: chunked\r\n\r\n", 400},
	{POST "Transfer-Encoding: identity\r\n" LEN "\r\n", 400},
	{POST LEN LEN "\r\n", 400},
	{POST LEN "content-length: 3\r\n\r\n", 400},
	{POST "Content-Length: 2, 2\r\n\r\n", 400},
	{POST "Content-Length: +2\r\n\r\n", 400},
	{POST "Content-Length: -2\r\n\r\n", 400},
	{POST "Content-Length: 0x2\r\n\r\n", 400},
	{POST "Content-Length: 2 2\r\n\r\n", 400},
	{POST "Content-Length:\r\n\r\n", 400},
	{POST "Content-Length: 18446744073709551618\r\n\r\n", 400},
	{POST "Content-Length: 99999999\r\n\r\n", 413},
	{"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n", 400},
	/* lines */
	{POST "Content-Length: 2\n\r\n", -1},
	{POST LEN "\n", -1},
	{POST "A: b\rc\r\n" LEN "\r\n", -1},
	{POST "Content-Length : 2\r\n\r\n", 400},
	{POST " " LEN "\r\n", 400},
	{POST LEN " folded\r\n\r\n", 400},
	{POST LEN "\tfolded: x\r\n\r\n", 400},
	{POST "NoColon\r\n" LEN "\r\n", 400},
	{POST ": empty\r\n" LEN "\r\n", 400},
	{POST "Bad\"Name: x\r\n" LEN "\r\n", 400},
	{POST "X: a\x01\r\n" LEN "\r\n", 400},
	{POST "Host: other\r\n" LEN "\r\n", 400},
	{"POST / HTTP/1.1\r\n" LEN "\r\n", 400},
	{"POST / HTTP/1.1\r\nHost:\r\n" LEN "\r\n", 400},
	{POST "Mcp-Session-Id: a\r\nMcp-Session-Id: b\r\n" LEN "\r\n", 400},
	{POST "Mcp-Param-X: a\r\nmcp-param-x: b\r\n" LEN "\r\n", 400},
	{POST "Mcp-Session-Id: \xff\r\n" LEN "\r\n", 400},
	/* request line */
	{"POST  / HTTP/1.1\r\n" OTHER, 400},
	{"POST / HTTP/1.0\r\n" OTHER, 505},
	{"POST / HTTP/1.1 \r\n" OTHER, 505},
	{"POST /\r\nHost: h\r\n\r\n", 400},
	{"POST /\x80 HTTP/1.1\r\n" OTHER, 400},
	{" POST / HTTP/1.1\r\n" OTHER, 400},
	{"\r\nPOST / HTTP/1.1\r\n" OTHER, 400},
	/* what this front does not do */
	{POST LEN "Expect: 200-maybe\r\n\r\n", 417},
	{POST LEN "Content-Encoding: gzip\r\n\r\n", 415},
};

static void test_cases(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct zg_slice text = zg_slice_str(cases[i].head);
		ssize_t end = zg_http_head_end(text);
		struct zg_http_pair room[ZG_HTTP_EXTRA_MAX];
		struct zg_http_head h;
		const char *why = NULL;

		print_message("%s", cases[i].head);
		if (cases[i].status == -1) {
			assert_int_equal(end, -EBADMSG);
			continue;
		}
		/* an empty first line is a whole head, and a malformed one */
		assert_true(end > 0);
		text.len = (size_t)end;
		assert_int_equal(zg_http_head_parse(&h, text, room, &why), cases[i].status);
		if (cases[i].status)
			assert_non_null(why);
	}
}

/* no prefix of a head is taken for a whole one */
static void test_incomplete(void **state)
{
	struct zg_slice text = ZG_SLICE(POST CT LEN "\r\n");

	(void)state;
	for (size_t n = 0; n < text.len; n++)
		assert_int_equal(zg_http_head_end((struct zg_slice){text.ptr, n}), 0);
	assert_int_equal(zg_http_head_end(text), text.len);
}

static void test_values(void **state)
{
	struct zg_http_pair room[ZG_HTTP_EXTRA_MAX];
	struct zg_http_head h;
	const char *why;

	(void)state;
	assert_int_equal(
		zg_http_head_parse(&h,
				   ZG_SLICE(POST "Content-Length: 17\r\nConnection: close\r\n"
						 "Mcp-Param-Region:  eu \r\n"
						 "Expect: 100-Continue\r\n\r\n"),
				   room, &why),
		0);
	assert_int_equal(h.method, ZG_HM_POST);
	assert_int_equal(h.content_length, 17);
	assert_true(h.close);
	assert_true(h.expect_100);
	assert_int_equal(h.extra_count, 1);
	assert_true(zg_slice_eq(h.extra[0].value, ZG_SLICE("eu")));
	assert_true(zg_slice_eq(h.target, ZG_SLICE("/s/mcp")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_incomplete),
		cmocka_unit_test(test_values),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
