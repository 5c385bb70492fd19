/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json_test.c - messages: what is refused, what is learnt on the way, and that
 * redaction changes secrets and nothing else, whatever the escapes.
 */
#include <errno.h>

#include <jansson.h>

#include "samples.h"
#include "scan_fixture.h"

static struct zg_buf out = ZG_BUF(1 << 26);
static struct zg_json_facts facts;
static struct zg_err error;
static bool changed;

static int scan(struct zg_slice raw)
{
	memset(&error, 0, sizeof(error));
	return zg_scan_json(scanner, raw, &found, &out, &changed, &facts, &error);
}

static int scan_str(const char *raw)
{
	return scan(zg_slice_str(raw));
}

static void test_strict(void **state)
{
	static const struct {
		const char *raw;
		uint32_t column; /* of the error; 0: accepted */
	} rows[] = {
		{"{}", 0},
		{" [ ] ", 0},
		{"\t\"a\"\r\n", 0},
		{"-0.5e+10", 0},
		{"[true,false,null,0,-1,1E-400]", 0},
		{"{\"a\":{\"a\":[{\"a\":1},{\"a\":2}]},\"b\":\"\"}", 0},
		{"\"\\u0041\\ud83d\\ude00\\b\\f\\n\\r\\t\\/\\\\\\\"\"", 0},
		{"\"\xf0\x9f\x98\x80\xc3\xa9\"", 0},
		{"[123456789012345678901234567890]", 0},
		{"", 1},
		{" ", 2},
		{"{} {}", 4},
		{"[1]]", 4},
		{"[1", 3},
		{"[1,]", 4},
		{"[,1]", 2},
		{"[1 2]", 4},
		{"{\"a\" 1}", 6},
		{"{\"a\":1,}", 8},
		{"{a:1}", 2},
		{"{1:1}", 2},
		{"{\"a\":}", 6},
		{"]", 1},
		{"[}", 2},
		{"nul", 1},
		{"True", 1},
		{"NaN", 1},
		{"01", 1},
		{"-", 1},
		{"+1", 1},
		{".5", 1},
		{"[1.]", 2},
		{"1e", 1},
		{"0x10", 2},
		{"[1e999]", 2},
		{"'a'", 1},
		{"\"a", 1},
		{"\"a\\", 3},
		{"\"\\x41\"", 2},
		{"\"\\u12g4\"", 2},
		{"\"\\u0000\"", 2},
		{"\"\\ud800\"", 2},
		{"\"\\ud800\\u0041\"", 2},
		{"\"\\udc00\"", 2},
		{"\"a\nb\"", 3},
		{"\"\x7f\"", 0},
		{"\"\x1f\"", 2},
		{"\"\xff\"", 3},
		{"\"\xc0\x80\"", 4},
		{"\"\xed\xa0\x80\"", 5},
		{"\"\xc3\"", 3},
		{"\xef\xbb\xbf{}", 1},
		{"{} // comment", 4},
		{"{\"a\":1,\"a\":2}", 8},
		{"{\"a\":1,\"\\u0061\":2}", 8},
		{"{\"a\":1,\"b\":{\"c\":1,\"c\":2}}", 19},
		{"{\"\":1,\"\":2}", 7},
		{"[{\"1\":1,\"2\":1,\"3\":1,\"4\":1,\"5\":1,\"6\":1,\"7\":1,\"8\":1,\"9\":1,\"4\":"
		 "1}]",
		 57},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int r = scan_str(rows[i].raw);

		if (rows[i].column ? r != -EBADMSG || error.column != rows[i].column : r != 0)
			fail_msg("%s: %d at %u: %s", rows[i].raw, r, error.column, error.what);
		assert_true(r == 0 || error.what[0]);
	}
	assert_int_equal(scan((struct zg_slice){"\"a\0b\"", 5}), -EBADMSG);
	assert_int_equal(scan((struct zg_slice){"[]\0", 3}), -EBADMSG);
	assert_int_equal(scan((struct zg_slice){NULL, 0}), -EBADMSG);
}

static void fill(struct zg_buf *b, const char *s, size_t times)
{
	while (times--)
		zg_buf_str(b, s);
}

static void test_limits(void **state)
{
	zg_autobuf b = ZG_BUF(1 << 25);

	(void)state;
	fill(&b, "[", ZG_JSON_DEPTH);
	fill(&b, "]", ZG_JSON_DEPTH);
	assert_int_equal(scan(zg_buf_slice(&b)), 0);
	zg_buf_reset(&b);
	fill(&b, "[", ZG_JSON_DEPTH + 1);
	fill(&b, "]", ZG_JSON_DEPTH + 1);
	assert_int_equal(scan(zg_buf_slice(&b)), -EFBIG);

	zg_buf_reset(&b);
	fill(&b, "7", ZG_JSON_NUMBER_LEN + 1);
	assert_int_equal(scan(zg_buf_slice(&b)), -EFBIG);

	zg_buf_reset(&b);
	zg_buf_char(&b, '"');
	fill(&b, "0123456789abcdef", ZG_JSON_STRING_BYTES / 16);
	zg_buf_char(&b, '"');
	assert_int_equal(scan(zg_buf_slice(&b)), 0);
	b.len--;
	zg_buf_str(&b, "x\"");
	assert_int_equal(scan(zg_buf_slice(&b)), -EFBIG);
}

/* As many names as a message can hold: accepted, and one duplicate is found. */
static void test_many_names(void **state)
{
	zg_autobuf b = ZG_BUF(1 << 25);
	size_t n = 0;

	(void)state;
	zg_buf_char(&b, '{');
	while (b.len < 4000000)
		zg_buf_fmt(&b, "%s\"name-%08zu\":0", n ? "," : "", (n * 7919) % 1000003), n++;
	zg_buf_char(&b, '}');
	assert_int_equal(scan(zg_buf_slice(&b)), 0);
	b.len--;
	zg_buf_str(&b, ",\"name-00007919\":1}");
	assert_int_equal(scan(zg_buf_slice(&b)), -EBADMSG);
	assert_int_equal(error.column, b.len - strlen("\"name-00007919\":1}") + 1);

	zg_buf_reset(&b);
	zg_buf_char(&b, '{');
	for (n = 0; n <= ZG_JSON_MEMBERS; n++)
		zg_buf_fmt(&b, "%s\"%zx\":0", n ? "," : "", n);
	zg_buf_char(&b, '}');
	assert_int_equal(scan(zg_buf_slice(&b)), -EFBIG);
}

static void expect_slice(struct zg_slice s, const char *want)
{
	if (!want) {
		assert_null(s.ptr);
		return;
	}
	assert_int_equal(s.len, strlen(want));
	assert_memory_equal(s.ptr, want, s.len);
}

static void test_facts(void **state)
{
	static const struct {
		const char *raw, *id, *method, *result, *error;
		bool is_error, is_object;
	} rows[] = {
		{"{\"jsonrpc\":\"2.0\", \"id\" : 7 , \"method\":\"tools/call\"}", "7",
		 "\"tools/call\"", NULL, NULL, false, true},
		{"{\"result\":{\"content\":[],\"isError\":true},\"id\":\"x\"}", "\"x\"", NULL,
		 "{\"content\":[],\"isError\":true}", NULL, true, true},
		{"{\"result\":{\"isError\": false}}", NULL, NULL, "{\"isError\": false}", NULL,
		 false, true},
		{"{\"result\":{\"a\":{\"isError\":true}},\"isError\":true}", NULL, NULL,
		 "{\"a\":{\"isError\":true}}", NULL, false, true},
		{"{\"result\":{\"isError\":[true]}}", NULL, NULL, "{\"isError\":[true]}", NULL,
		 false, true},
		{"{\"\\u0069d\":[1],\"error\":{\"code\":-1,\"id\":2}}", "[1]", NULL, NULL,
		 "{\"code\":-1,\"id\":2}", false, true},
		{"{\"params\":{\"id\":1,\"method\":\"m\"}}", NULL, NULL, NULL, NULL, false, true},
		{"[{\"id\":1,\"result\":{\"isError\":true}}]", NULL, NULL, NULL, NULL, false,
		 false},
		{"3", NULL, NULL, NULL, NULL, false, false},
		{"{}", NULL, NULL, NULL, NULL, false, true},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(scan_str(rows[i].raw), 0);
		expect_slice(facts.id, rows[i].id);
		expect_slice(facts.method, rows[i].method);
		expect_slice(facts.result, rows[i].result);
		expect_slice(facts.error, rows[i].error);
		assert_int_equal(facts.is_error, rows[i].is_error);
		assert_int_equal(facts.is_object, rows[i].is_object);
	}
}

/* A refused message teaches nothing. */
static void test_untouched(void **state)
{
	(void)state;
	assert_int_equal(scan_str("{\"id\":1}"), 0);
	changed = true;
	assert_int_equal(scan_str("{\"id\":2,\"id\":3}"), -EBADMSG);
	expect_slice(facts.id, "1");
	assert_true(changed);
}

static void expect_redacted(const char *raw, const char *want)
{
	assert_int_equal(scan_str(raw), 0);
	assert_true(changed);
	zg_buf_char(&out, '\0');
	assert_string_equal(out.ptr, want);
}

static void test_redact(void **state)
{
	(void)state;
	assert_int_equal(scan_str("{\"a\":\"nothing\",\"n\":4012888888881881}"), 0);
	assert_false(changed);
	assert_int_equal(out.len, 0);
	expect_redacted("{\"to\" :\t\"\\u006aane\\u0040corp.io\\n\", \"b\":1e5}",
			"{\"to\" :\t\"[zerogate:email:1]\\n\", \"b\":1e5}");
	expect_redacted(
		"[\"\\ud83d\\ude00 a@corp.io\",\"\xc3\xa9 b@corp.io\\\\\"]",
		"[\"\\ud83d\\ude00 [zerogate:email:1]\",\"\xc3\xa9 [zerogate:email:2]\\\\\"]");
	expect_redacted("{\"a@corp.io\":{\"a@corp.io\":\"a@corp.io\"}}",
			"{\"[zerogate:email:1]\":{\"[zerogate:email:1]\":\"[zerogate:email:1]\"}}");
	/* JSON inside a string of JSON */
	expect_redacted(
		"{\"text\":\"{\\\"mail\\\":\\\"a@corp.io\\\",\\\"c\\\":\\\"4012\\\"}\"}",
		"{\"text\":\"{\\\"mail\\\":\\\"[zerogate:email:1]\\\",\\\"c\\\":\\\"4012\\\"}\"}");
}

/* Strings are apart: no finding joins two of them, none leaks out of its own. */
static void test_apart(void **state)
{
	(void)state;
	assert_int_equal(scan_str("[\"4012 8888\",\" 8888 1881\",\"a@\",\"corp.io\",\"@corp.io\"]"),
			 0);
	assert_false(changed);
	expect_redacted(
		"[\"-----BEGIN PRIV"
		"ATE KEY-----\\nMC4CAQAwBQYDK2VwBCIEIJ+DYvh6SEqVTm50DFtMDoQikTmiCqir\",\"MC4C\"]",
		"[\"[zerogate:private-key:1]\",\"MC4C\"]");
	expect_redacted("{\"SecretAccessKey\":\"wJalrXUtnF4MIqK7M"
			"DENGibPxRfiCY9zRkeyQ0bT\",\"x\":1}",
			"{\"SecretAccessKey\":\"[zerogate:aws-secret-key:1]\",\"x\":1}");
}

/* Redaction must not make two names of one object equal. */
static void test_names_collide(void **state)
{
	(void)state;
	assert_int_equal(scan_str("{\"a@corp.io\":1,\"[zerogate:email:1]\":2}"), -EBADMSG);
	assert_int_equal(scan_str("{\"a@corp.io\":1,\"b@corp.io\":2}"), 0);
}

/* --- random messages --- */

static uint64_t seed = 1;

static unsigned draw(unsigned n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (unsigned)(seed >> 33) % n;
}

/* One character the way a careless or a hostile writer would put it. */
static void put_escaped(struct zg_buf *b, char c)
{
	if (c == '"' || c == '\\')
		zg_buf_fmt(b, "\\%c", c);
	else if (draw(4) == 0)
		zg_buf_fmt(b, draw(2) ? "\\u%04x" : "\\u%04X", (unsigned)c);
	else if (c == '/' && draw(2))
		zg_buf_str(b, "\\/");
	else
		zg_buf_char(b, c);
}

static void put_string(struct zg_buf *b, unsigned *secrets)
{
	static const char *const plain[] = {
		"plain text",	  " ",	    "\\n",	"\\\"", "\xc3\xa9\xe2\x82\xac",
		"\\ud83d\\ude00", "{[:,]}", "\\t\\\\ ", "0 1 2"};

	zg_buf_char(b, '"');
	for (unsigned n = draw(4); n; n--)
		zg_buf_str(b, plain[draw(sizeof(plain) / sizeof(plain[0]))]);
	if (draw(3) == 0) {
		zg_buf_str(b, " ");
		for (const char *s = sample_secret(draw(SAMPLES)); *s; s++)
			put_escaped(b, *s);
		zg_buf_str(b, " ");
		++*secrets;
	}
	zg_buf_char(b, '"');
}

static void put_value(struct zg_buf *b, unsigned depth, unsigned *secrets)
{
	static const char *const scalar[] = {"null", "true", "false", "0", "-1.5e3", "42"};
	static const char *const space[] = {"", " ", "\n\t", "  "};
	unsigned kind = depth ? draw(4) : draw(2);

	zg_buf_str(b, space[draw(4)]);
	if (kind == 0) {
		zg_buf_str(b, scalar[draw(6)]);
	} else if (kind == 1) {
		put_string(b, secrets);
	} else {
		zg_buf_char(b, kind == 2 ? '[' : '{');
		for (unsigned n = draw(5), i = 0; i < n; i++) {
			if (i)
				zg_buf_char(b, ',');
			if (kind == 3)
				zg_buf_fmt(b, "\"k%u\":", i);
			put_value(b, depth - 1, secrets);
		}
		zg_buf_char(b, kind == 2 ? ']' : '}');
	}
	zg_buf_str(b, space[draw(4)]);
}

/* Walk both texts: equal but for the findings, each a placeholder now. */
static void expect_identical_outside(struct zg_slice before, struct zg_slice after)
{
	size_t b = 0, a = 0;

	for (size_t i = 0; i < found.count; i++) {
		const struct zg_finding *f = &found.item[i];

		assert_true(f->start >= b && f->end > f->start && f->end <= before.len);
		assert_true(after.len - a > f->start - b);
		assert_memory_equal(before.ptr + b, after.ptr + a, f->start - b);
		a += f->start - b;
		assert_memory_equal(after.ptr + a, "[zerogate:", 10);
		a = (size_t)((char *)memchr(after.ptr + a, ']', after.len - a) - after.ptr) + 1;
		b = f->end;
	}
	assert_int_equal(before.len - b, after.len - a);
	assert_memory_equal(before.ptr + b, after.ptr + a, before.len - b);
}

static void test_random(void **state)
{
	unsigned messages = 0;

	(void)state;
	for (unsigned round = 0; round < 20000; round++) {
		zg_autobuf raw = ZG_BUF(1 << 20), redacted = ZG_BUF(1 << 20);
		unsigned secrets = 0;
		json_t *json;

		put_value(&raw, 4, &secrets);
		if (scan(zg_buf_slice(&raw)) != 0)
			fail_msg("%.*s: %s", (int)raw.len, raw.ptr, error.what);
		if (found.count != secrets)
			fail_msg("%.*s: %zu of %u", (int)raw.len, raw.ptr, found.count, secrets);
		assert_int_equal(changed, secrets > 0);
		if (!changed)
			continue;
		messages++;
		expect_identical_outside(zg_buf_slice(&raw), zg_buf_slice(&out));
		json = json_loadb(out.ptr, out.len, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL);
		assert_non_null(json);
		json_decref(json);
		zg_buf_add(&redacted, out.ptr, out.len);
		assert_int_equal(scan(zg_buf_slice(&redacted)), 0);
		assert_false(changed);
	}
	assert_true(messages > 1000);
}

/* Too small a buffer is an error, never half a message taken for a whole. */
static void test_small_output(void **state)
{
	static const char raw[] = "{\"a\":\"x a@corp.io y\",\"b\":\"c@corp.io\"}";
	size_t max;

	(void)state;
	for (max = 0; max < 200; max++) {
		zg_autobuf small = ZG_BUF(max);
		int r;

		changed = false;
		r = zg_scan_json(scanner, zg_slice_str(raw), &found, &small, &changed, NULL,
				 &error);
		if (r == 0)
			break;
		assert_int_equal(r, -EFBIG);
		assert_false(changed);
	}
	assert_true(max > 40 && max < 200);
}

static int finish(void **state)
{
	zg_buf_release(&out);
	return close_scanner(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_strict),	   cmocka_unit_test(test_limits),
		cmocka_unit_test(test_many_names), cmocka_unit_test(test_facts),
		cmocka_unit_test(test_untouched),  cmocka_unit_test(test_redact),
		cmocka_unit_test(test_apart),	   cmocka_unit_test(test_names_collide),
		cmocka_unit_test(test_random),	   cmocka_unit_test(test_small_output),
	};

	return cmocka_run_group_tests(tests, open_scanner, finish);
}
