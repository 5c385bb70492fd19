/* SPDX-License-Identifier: Apache-2.0 */
/* lines_test.c - messages of a pipe: framing, caps, and whose a line is. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lines.h"

static int note(void *arg, struct zg_slice line, bool cut)
{
	struct zg_buf *all = arg;

	zg_buf_fmt(all, cut ? "<%.*s...>" : "<%.*s>", (int)line.len, line.ptr);
	return line.len == 4 && memcmp(line.ptr, "stop", 4) == 0 ? -ECANCELED : 0;
}

static void frames(void **state)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
		{"a\nb\n", "<a><b>"},
		{"a\r\n\r\n\nb", "<a>"},
		{"12345678\n", "<12345678>"},
		{"123456789\nb\n", "<12345678...><b>"},
		{"12345678901234567890\r\n\nc\n", "<12345678...><c>"},
		{"x\rz\n", "<x\rz>"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		for (size_t piece = 1; piece < 24; piece++) {
			zg_autobuf all = ZG_BUF(4096);
			const char *at = cases[i].in;
			size_t left = strlen(at);
			struct zg_lines l;

			zg_lines_init(&l, 8);
			for (; left; at += left < piece ? left : piece,
				     left -= left < piece ? left : piece) {
				struct zg_slice part = {at, left < piece ? left : piece};

				assert_int_equal(zg_lines_feed(&l, part, note, &all), 0);
				if (left <= piece)
					break;
			}
			zg_buf_char(&all, '\0');
			assert_string_equal(all.ptr ? all.ptr : "", cases[i].out);
			zg_lines_release(&l);
		}
	}
}

static void an_error_ends_it_at_once(void **state)
{
	zg_autobuf all = ZG_BUF(4096);
	struct zg_lines l;

	(void)state;
	zg_lines_init(&l, 8);
	assert_int_equal(zg_lines_feed(&l, ZG_SLICE("a\nstop\nb\n"), note, &all), -ECANCELED);
	zg_buf_char(&all, '\0');
	assert_string_equal(all.ptr, "<a><stop>");
	zg_lines_release(&l);
}

static void whose_a_line_is(void **state)
{
	static const struct {
		const char *line, *id, *method;
		bool good, answer;
	} cases[] = {
		{"{\"id\":1,\"method\":\"m\"}", "1", "\"m\"", true, false},
		{" { \"result\" : {\"id\": 7, \"method\": \"no\"} , \"id\" : \"a\\\"}\" } ",
		 "\"a\\\"}\"", NULL, true, true},
		{"{\"id\":1,\"id\":2,\"error\":{}}", "1", NULL, true, true},
		{"{}", NULL, NULL, true, false},
		{"[{\"id\":1,\"result\":1}]", NULL, NULL, false, false},
		{"{\"id\":1", "1", NULL, false, false},
		{"{\"id\":1}x", "1", NULL, false, false},
		{"{\"id\" 1}", NULL, NULL, false, false},
		{"{\"id", NULL, NULL, false, false},
		{"no json", NULL, NULL, false, false},
		{"", NULL, NULL, false, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct zg_peek p;

		if (zg_peek(zg_slice_str(cases[i].line), &p) != cases[i].good)
			fail_msg("%s", cases[i].line);
		if (!cases[i].good)
			continue;
		assert_true(zg_slice_eq(p.id, zg_slice_str(cases[i].id)));
		assert_true(zg_slice_eq(p.method, zg_slice_str(cases[i].method)));
		assert_int_equal(p.answer, cases[i].answer);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames),
		cmocka_unit_test(an_error_ends_it_at_once),
		cmocka_unit_test(whose_a_line_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
