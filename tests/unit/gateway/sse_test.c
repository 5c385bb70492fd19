/* SPDX-License-Identifier: Apache-2.0 */
/* sse_test.c - an event stream means the same however it is cut into pieces. */
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <errno.h>

#include "sse.h"

#define BOM "\xef\xbb\xbf"

struct seen {
	struct zg_buf data; /* of each event, "+" or "-" in front, "|" at the end */
	struct zg_buf raw;
	int stop_at;
	int count;
};

static int on_event(void *arg, const struct zg_sse_event *ev)
{
	struct seen *s = arg;

	if (++s->count == s->stop_at)
		return -EPERM;
	zg_buf_add(&s->raw, ev->raw.ptr, ev->raw.len);
	zg_buf_char(&s->data, ev->has_data ? '+' : '-');
	zg_buf_add(&s->data, ev->data.ptr, ev->data.len);
	zg_buf_char(&s->data, '|');
	return 0;
}

static void feed(struct seen *out, struct zg_slice text, size_t piece)
{
	struct zg_sse s;

	zg_sse_init(&s);
	*out = (struct seen){.data = ZG_BUF(4096), .raw = ZG_BUF(4096)};
	while (text.len) {
		size_t n = text.len < piece ? text.len : piece;

		assert_int_equal(zg_sse_feed(&s, (struct zg_slice){text.ptr, n}, on_event, out), 0);
		text.ptr += n;
		text.len -= n;
	}
	zg_buf_char(&out->data, '\0');
	zg_sse_release(&s);
}

static void release(struct seen *s)
{
	zg_buf_release(&s->data);
	zg_buf_release(&s->raw);
}

static const struct {
	const char *stream;
	const char *data;
} cases[] = {
	{"data: a\n\n", "+a|"},
	{"data:a\r\n\r\ndata: b\r\n\r\n", "+a|+b|"},
	{"data: a\r\rdata: b\n\n", "+a|+b|"},
	{"event: message\nid: 7\ndata: {\"x\":\ndata: 1}\n\n", "+{\"x\":\n1}|"},
	{": keep-alive\n\ndata: a\n\n", "-|+a|"},
	{"data\n\n", "+|"},
	{"data\ndata\n\n", "+\n|"},
	{"id: 1\ndata:\n\n", "+|"},
	{"data:  two\n\n", "+ two|"},
	{"database: no\nxdata: no\n data: no\ndata: yes\n\n", "+yes|"},
	{BOM "data: bom\n\n", "+bom|"},
	{"data: a\n\n" BOM "data: not at the start\n\n", "+a|-|"},
	{"\n\n\ndata: a\n\n", "-|-|-|+a|"},
	{"data: cut", ""},
	{"data: cut\n", ""},
};

static void test_every_cut(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct zg_slice text = zg_slice_str(cases[i].stream);

		for (size_t piece = 1; piece <= text.len; piece++) {
			struct seen s;

			feed(&s, text, piece);
			assert_string_equal(s.data.ptr, cases[i].data);
			release(&s);
		}
	}
}

/* what was not changed goes on byte for byte */
static void test_bytes_stay(void **state)
{
	struct zg_slice text = ZG_SLICE(": c\r\n\r\nevent: x\r\ndata: 1\r\n\r\nid: 2\ndata: 3\n\n");

	(void)state;
	for (size_t piece = 1; piece <= text.len; piece++) {
		struct seen s;

		feed(&s, text, piece);
		assert_true(zg_slice_eq(zg_buf_slice(&s.raw), text));
		release(&s);
	}
}

static void test_rebuild(void **state)
{
	struct zg_sse_event ev = {
		.raw = ZG_SLICE("event: message\r\ndata: {\"k\":\r\nid: 4\r\ndata: \"s\"}\r\n\r\n"),
		.has_data = true,
	};
	struct seen s;
	zg_autobuf out = ZG_BUF(4096);

	(void)state;
	zg_sse_rebuild(&ev, ZG_SLICE("{\"k\":\n\"*\"}"), &out);
	assert_true(
		zg_slice_eq(zg_buf_slice(&out),
			    ZG_SLICE("event: message\ndata: {\"k\":\ndata: \"*\"}\nid: 4\n\n")));
	feed(&s, zg_buf_slice(&out), 3);
	assert_string_equal(s.data.ptr, "+{\"k\":\n\"*\"}|");
	release(&s);
}

/* what was judged is what arrives: nothing of it hides behind a carriage return */
static void test_carriage_returns_in_data(void **state)
{
	const struct zg_sse_event none = {.raw = ZG_SLICE("data:\n\n")};
	zg_autobuf out = ZG_BUF(4096);
	struct seen s;

	(void)state;
	zg_sse_rebuild(&none, ZG_SLICE("{\r\"id\":1,\"result\":{\"a\":0,\n\"method\":\"x\"\r}\n}"),
		       &out);
	feed(&s, zg_buf_slice(&out), 3);
	assert_string_equal(s.data.ptr,
			    "+{\n\"id\":1,\"result\":{\"a\":0,\n\"method\":\"x\"\n}\n}|");
	release(&s);
}

static void test_callback_stops(void **state)
{
	struct seen s = {.data = ZG_BUF(64), .raw = ZG_BUF(64), .stop_at = 2};
	struct zg_sse p;

	(void)state;
	zg_sse_init(&p);
	assert_int_equal(
		zg_sse_feed(&p, ZG_SLICE("data: a\n\ndata: b\n\ndata: c\n\n"), on_event, &s),
		-EPERM);
	assert_int_equal(s.count, 2);
	zg_sse_release(&p);
	release(&s);
}

/* an event without an end is given up at its cap, not held for ever */
static void test_cap(void **state)
{
	static char block[1 << 20];
	struct seen s = {.data = ZG_BUF(64), .raw = ZG_BUF(64)};
	struct zg_sse p;
	int rc = 0;

	(void)state;
	memset(block, 'a', sizeof(block));
	zg_sse_init(&p);
	for (int i = 0; rc == 0 && i < 64; i++)
		rc = zg_sse_feed(&p, (struct zg_slice){block, sizeof(block)}, on_event, &s);
	assert_int_equal(rc, -EFBIG);
	zg_sse_release(&p);
	release(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_cut),
		cmocka_unit_test(test_bytes_stay),
		cmocka_unit_test(test_rebuild),
		cmocka_unit_test(test_carriage_returns_in_data),
		cmocka_unit_test(test_callback_stops),
		cmocka_unit_test(test_cap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
