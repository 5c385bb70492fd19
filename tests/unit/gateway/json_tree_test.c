/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json_tree_test.c - the reader of clients' messages takes and refuses exactly
 * what jansson does, and means the same by it; what is written of a tree for a
 * digest are jansson's bytes. Tried on texts that are nearly right.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "canonical_json.h"
#include "json_tree.h"
#include "zg_limits.h"

#define MUTATIONS 4000 /* of each text */

static const char *const texts[] = {
	"",
	" ",
	"null",
	" true\n",
	"false",
	"truex",
	"nul",
	"0",
	"-0",
	"-",
	"01",
	"-01",
	"1.5",
	"-1.5e3",
	"1e400",
	"1.",
	".5",
	"1e",
	"+1",
	"999999999999999999",
	"-999999999999999999",
	"9223372036854775807",
	"-9223372036854775808",
	"9223372036854775808",
	"123456789012345678901234567890",
	"\"\"",
	"\"plain\"",
	"\"tab\t\"",
	"\"\\t\\n\\\"\\\\\\/\\u00e9\\ud83d\\ude00\"",
	"\"\\u0000\"",
	"\"\\ud83d\"",
	"\"\\q\"",
	"\"\\",
	"\"\xc3\xa9\xf0\x9f\x98\x80\"",
	"\"\xc0\xaf\"",
	"\"\xed\xa0\x80\"",
	"\"del\x7f\"",
	"[]",
	"[ ]",
	"[1,]",
	"[1 2]",
	"[,]",
	"[[[[]]],{}]",
	"{}",
	"{ }",
	"{\"a\":1}",
	"{\"a\":1,}",
	"{\"a\" 1}",
	"{a:1}",
	"{\"b\":1,\"a\":2,\"aa\":3,\"\":4,\"B\":-5}",
	"{\"a\":1,\"a\":1}",
	"{\"a\":1,\"\\u0061\":1}",
	"{\"caf\xc3\xa9\":1,\"caf\\u00e9\":2}",
	"{\"\\u0000\":1}",
	"{\"a\":{\"b\":[1,2,{\"c\":\"d\"}]},\"e\":[true,false,null,1.25,\"x\\ny\"]}",
	"{\"k01\":1,\"k17\":2,\"k02\":3,\"k16\":4,\"k03\":5,\"k15\":6,\"k04\":7,\"k14\":8,"
	"\"k05\":9,\"k13\":10,\"k06\":11,\"k12\":12,\"k07\":13,\"k11\":14,\"k08\":15,\"k10\":16,"
	"\"k09\":17}",
	"{\"a name that is longer than the place for short ones, so that jansson reads it\":1,"
	"\"a name that is longer than the place for short ones, so that jansson reads it\":2}",
	"{\"jsonrpc\":\"2.0\",\"id\":17,\"method\":\"tools/"
	"call\",\"params\":{\"name\":\"read_issue\","
	"\"arguments\":{\"owner\":\"example\",\"number\":-3,\"text\":\"a \\\"b\\\" "
	"\xe2\x82\xac\"}}}",
	"{} x",
	"/**/{}",
	"\xef\xbb\xbf{}",
};

static void same(const char *text, size_t len)
{
	json_t *want = json_loadb(text, len, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL);
	json_t *got = zg_json_tree((struct zg_slice){text, len});
	zg_autobuf canonical = ZG_BUF(65536);
	char *dumped;

	if (!want != !got || (want && !json_equal(want, got)))
		fail_msg("read differently (%s): %.*s", want ? "jansson takes it" : "refused",
			 (int)len, text);
	if (want) {
		dumped = json_dumps(want, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY);
		assert_int_equal(zg_canonical_json(got, &canonical), 0);
		zg_buf_char(&canonical, '\0');
		assert_string_equal(canonical.ptr, dumped);
		free(dumped);
	}
	json_decref(want);
	json_decref(got);
}

static void reads_and_writes_as_jansson_does(void **state)
{
	static const char odd[] = "{}[],:\"\\0123456789-+.eEtrufalsn \n\t\x01\x7f\x80\xc3\xa9\xed";
	char text[512];

	(void)state;
	srand(1);
	for (size_t t = 0; t < sizeof(texts) / sizeof(texts[0]); t++) {
		size_t len = strlen(texts[t]);

		assert_true(len < sizeof(text));
		same(texts[t], len);
		for (int i = 0; len && i < MUTATIONS; i++) {
			memcpy(text, texts[t], len);
			for (int n = 1 + rand() % 2; n > 0; n--)
				text[(size_t)rand() % len] =
					odd[(size_t)rand() % (sizeof(odd) - 1)];
			same(text, i % 4 ? len : (size_t)rand() % (len + 1));
		}
	}
}

/* Neither memory nor the stack is the client's to choose. */
static void refuses_what_is_too_deep(void **state)
{
	char text[2 * ZG_JSON_DEPTH + 2];
	json_t *tree;

	(void)state;
	for (size_t depth = ZG_JSON_DEPTH; depth <= ZG_JSON_DEPTH + 1; depth++) {
		memset(text, '[', depth);
		memset(text + depth, ']', depth);
		tree = zg_json_tree((struct zg_slice){text, 2 * depth});
		assert_int_equal(tree != NULL, depth == ZG_JSON_DEPTH);
		json_decref(tree);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_and_writes_as_jansson_does),
		cmocka_unit_test(refuses_what_is_too_deep),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
