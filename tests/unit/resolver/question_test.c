/* SPDX-License-Identifier: Apache-2.0 */
/* question_test.c - a client's question, read to the last byte or not at all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "question.h"

#define HEAD(flags, qd, an, ns, ar) "\x12\x34" flags "\0" qd "\0" an "\0" ns "\0" ar
#define PLAIN			    HEAD("\x01\x00", "\1", "\0", "\0", "\0")
#define OPT(v)			    "\0\0\x29\x10\0\0" v "\0\0\0\0"
#define API			    "\3api\7example\0"
#define IN_A			    "\0\1\0\1"
#define L63			    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
#define L61			    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"

struct sample {
	const char *what;
	const char *bytes;
	size_t len;
	int answer;
	const char *name; /* NULL: not looked at */
	int odd;
};

#define S(what, bytes, answer, name, odd)                                                          \
	{                                                                                          \
		what, bytes, sizeof(bytes) - 1, answer, name, odd                                  \
	}

static const struct sample samples[] = {
	S("a question", PLAIN API IN_A, 0, "api.example", 0),
	S("upper case", PLAIN "\3ApI\7eXample\0" IN_A, 0, "api.example", 0),
	S("underscores are real", PLAIN "\5_http\7example\0" IN_A, 0, "_http.example", 0),
	S("the root", PLAIN "\0" IN_A, 0, "", 1),
	S("a NUL in a label", PLAIN "\4a\0pi\7example\0" IN_A, 0, "a?pi.example", 1),
	S("a dot in a label", PLAIN "\3a.b\7example\0" IN_A, 0, "a?b.example", 1),
	S("a blank", PLAIN "\3a b\7example\0" IN_A, 0, "a?b.example", 1),
	S("UTF-8", PLAIN "\3\xc3\xa4x\7example\0" IN_A, 0, "??x.example", 1),
	S("a hyphen first", PLAIN "\4-api\7example\0" IN_A, 0, "-api.example", 1),
	S("253 characters", PLAIN "\x3f" L63 "\x3f" L63 "\x3f" L63 "\x3d" L61 "\0" IN_A, 0, NULL,
	  0),
	S("254 characters", PLAIN "\x3f" L63 "\x3f" L63 "\x3f" L63 "\x3e" L61 "x\0" IN_A, 1, NULL,
	  0),
	S("a label of 64", PLAIN "\x40" L63 "x\0" IN_A, 1, NULL, 0),
	S("a pointer", PLAIN "\xc0\x0c" IN_A, 1, NULL, 0),
	S("a label beyond the end",
	  PLAIN "\x20"
		"api",
	  1, NULL, 0),
	S("no end of the name", PLAIN "\3api", 1, NULL, 0),
	S("no type", PLAIN API "\0\1", 1, NULL, 0),
	S("bytes behind it", PLAIN API IN_A "x", 1, NULL, 0),
	S("two questions", HEAD("\1\0", "\2", "\0", "\0", "\0") API IN_A API IN_A, 1, NULL, 0),
	S("no question", HEAD("\1\0", "\0", "\0", "\0", "\0"), 1, NULL, 0),
	S("an answer in it", HEAD("\1\0", "\1", "\1", "\0", "\0") API IN_A, 1, NULL, 0),
	S("an authority in it", HEAD("\1\0", "\1", "\0", "\1", "\0") API IN_A, 1, NULL, 0),
	S("EDNS", HEAD("\1\0", "\1", "\0", "\0", "\1") API IN_A OPT("\0"), 0, "api.example", 0),
	S("EDNS of another version", HEAD("\1\0", "\1", "\0", "\0", "\1") API IN_A OPT("\1"), 1,
	  NULL, 0),
	S("EDNS that is cut", HEAD("\1\0", "\1", "\0", "\0", "\1") API IN_A "\0\0\x29", 1, NULL, 0),
	S("EDNS that lies about its length",
	  HEAD("\1\0", "\1", "\0", "\0", "\1") API IN_A "\0\0\x29\x10\0\0\0\0\0\0\5", 1, NULL, 0),
	S("another record for EDNS",
	  HEAD("\1\0", "\1", "\0", "\0", "\1") API IN_A API "\0\1\0\1\0\0\0\0\0\0", 1, NULL, 0),
	S("EDNS announced and missing", HEAD("\1\0", "\1", "\0", "\0", "\1") API IN_A, 1, NULL, 0),
	S("an update", HEAD("\x28\0", "\1", "\0", "\0", "\0") API IN_A, 4, NULL, 0),
	S("an answer", HEAD("\x81\x80", "\1", "\0", "\0", "\0") API IN_A, -1, NULL, 0),
	S("half a header", "\x12\x34\1\0\0\1", -1, NULL, 0),
};

static void questions_are_read_strictly(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
		const struct sample *s = &samples[i];
		struct zg_dns_question q;
		int answer = zg_dns_question_read(&q, (const uint8_t *)s->bytes, s->len);

		if (answer != s->answer)
			fail_msg("%s: %d, not %d", s->what, answer, s->answer);
		if (answer == 0 && q.odd != s->odd)
			fail_msg("%s: odd %d", s->what, q.odd);
		if (s->name)
			assert_string_equal(q.name, s->name);
		if (answer >= 0)
			assert_int_equal(q.id, 0x1234);
	}
}

/* Cut anywhere, a question is refused, and never read beyond its end (ASan). */
static void a_cut_question_is_none(void **state)
{
	static const char whole[] = HEAD("\1\0", "\1", "\0", "\0", "\1") API IN_A OPT("\0");

	(void)state;
	for (size_t n = 0; n < sizeof(whole) - 1; n++) {
		uint8_t *cut = malloc(n + 1);
		struct zg_dns_question q;

		memcpy(cut, whole, n);
		assert_int_not_equal(zg_dns_question_read(&q, cut, n), 0);
		free(cut);
	}
}

static void what_goes_upstream_is_ours(void **state)
{
	static const char cookie[] =
		HEAD("\1\x10", "\1", "\0", "\0", "\1") API IN_A "\0\0\x29\x10\0\0\0\x80\0\0\x0c"
								"\0\x0a\0\x08"
								"12345678";
	uint8_t out[ZG_DNS_QUERY_BYTES];
	struct zg_dns_question q, again;
	size_t n;

	(void)state;
	assert_int_equal(zg_dns_question_read(&q, (const uint8_t *)cookie, sizeof(cookie) - 1), 0);
	assert_int_equal(q.udp_bytes, 0x1000);
	n = zg_dns_question_write(&q, 0x4711, out);
	assert_int_equal(zg_dns_question_read(&again, out, n), 0);
	assert_int_equal(again.id, 0x4711);
	assert_true(again.rd && again.cd && again.edns);
	assert_int_equal(again.udp_bytes, ZG_DNS_UDP_BYTES);
	assert_int_equal(again.wire_len, q.wire_len);
	assert_memory_equal(again.wire, q.wire, q.wire_len);
	assert_int_equal(n, 12 + q.wire_len + 4 + 11); /* no option of the client's */
}

/* Fifteen letters would be fifteen bits for whoever serves the name. */
static void the_case_of_letters_tells_upstream_nothing(void **state)
{
	static const char mixed[] = PLAIN "\3aPi\7eXAmple\0" IN_A;
	static const char plain[] = API;
	uint8_t out[ZG_DNS_QUERY_BYTES];
	struct zg_dns_question q;

	(void)state;
	assert_int_equal(zg_dns_question_read(&q, (const uint8_t *)mixed, sizeof(mixed) - 1), 0);
	(void)zg_dns_question_write(&q, 0x4711, out);
	assert_memory_equal(out + ZG_DNS_HEADER, plain, sizeof(plain) - 1);
	assert_memory_equal(q.wire, mixed + ZG_DNS_HEADER, q.wire_len); /* the client's own */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(questions_are_read_strictly),
		cmocka_unit_test(a_cut_question_is_none),
		cmocka_unit_test(what_goes_upstream_is_ours),
		cmocka_unit_test(the_case_of_letters_tells_upstream_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
