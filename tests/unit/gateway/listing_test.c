/* SPDX-License-Identifier: Apache-2.0 */
/*
 * listing_test.c - what a client sees of a server's lists: what was accepted
 * and what it may use, all other bytes as they came; and what the ledger is
 * told of them, page by page.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "lab.h"
#include "list_filter.h"

#define RESULT(inner) "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{" inner "}}"

/* taking entries out ---------------------------------------------------------------- */

/* Entries whose name has an x are not kept. */
static bool without_x(void *arg, enum zg_list_section s, struct zg_slice entry,
		      struct zg_slice name)
{
	(void)arg;
	(void)s;
	return !memchr(name.ptr ? name.ptr : entry.ptr, 'x', name.ptr ? name.len : entry.len);
}

static const struct {
	const char *before, *prefix, *after; /* NULL: as it was */
} rows[] = {
	{RESULT("\"tools\":[]"), "", NULL},
	{RESULT("\"tools\":[{\"name\":\"a\"} , {\"name\":\"b\"}]"), "", NULL},
	{RESULT("\"tools\":[{\"name\":\"x\"},{\"name\":\"b\"}]"), "",
	 RESULT("\"tools\":[{\"name\":\"b\"}]")},
	{RESULT("\"tools\":[{\"name\":\"a\"}, {\"name\":\"x\"}]"), "",
	 RESULT("\"tools\":[{\"name\":\"a\"}]")},
	{RESULT("\"tools\":[{\"name\":\"a\"},{\"name\":\"x\"},{\"name\":\"x\"},{\"name\":\"b\"}]"),
	 "", RESULT("\"tools\":[{\"name\":\"a\"},{\"name\":\"b\"}]")},
	{RESULT("\"tools\":[{\"name\":\"x\"}]"), "", RESULT("\"tools\":[]")},
	{RESULT("\"tools\":[ {\"name\":\"x\"} , {\"name\":\"x\"} ]"), "", RESULT("\"tools\":[ ]")},
	/* what stands beside it stays as it is, spaces and odd numbers too */
	{RESULT("\"_meta\" : {\"k\":1e0,\"x\":\"x\"},\"tools\":[{\"name\":\"x\"}],"
		"\"nextCursor\":\"x\\u0041\", \"ttlMs\": 5.0"),
	 "",
	 RESULT("\"_meta\" : {\"k\":1e0,\"x\":\"x\"},\"tools\":[],"
		"\"nextCursor\":\"x\\u0041\", \"ttlMs\": 5.0")},
	/* the name wherever it stands in the entry, escapes in it and in its key */
	{RESULT("\"tools\":[{\"d\":{\"name\":\"x\"},\"n\\u0061me\":\"b\"},{\"d\":1,\"name\":\"x\"}"
		"]"),
	 "", RESULT("\"tools\":[{\"d\":{\"name\":\"x\"},\"n\\u0061me\":\"b\"}]")},
	{RESULT("\"t\\u006fols\":[{\"name\":\"x\"}]"), "", RESULT("\"t\\u006fols\":[]")},
	{RESULT("\"prompts\":[{\"name\":\"x\"}],\"resources\":[{\"uri\":\"x:1\"},{\"uri\":\"a:1\"}]"
		","
		"\"resourceTemplates\":[{\"uriTemplate\":\"x:{a}\"}]"),
	 "", RESULT("\"prompts\":[],\"resources\":[{\"uri\":\"a:1\"}],\"resourceTemplates\":[]")},
	{RESULT("\"instructions\":\"x\",\"capabilities\":{}"), "",
	 RESULT("\"instructions\":\"\",\"capabilities\":{}")},
	/* brackets in strings are no brackets */
	{RESULT("\"tools\":[{\"name\":\"x\",\"d\":\"]}\\\"],[\"},{\"name\":\"a\",\"d\":\"}]\"}]"),
	 "", RESULT("\"tools\":[{\"name\":\"a\",\"d\":\"}]\"}]")},
	/* a prefix is for tools and prompts, not for URIs */
	{RESULT("\"tools\":[{\"name\":\"a\"},{\"name\":\"x\"},{\"name\":\"b\"}],\"resources\":[{"
		"\"uri\":\"a:1\",\"name\":\"n\"}]"),
	 "p_",
	 RESULT("\"tools\":[{\"name\":\"p_a\"},{\"name\":\"p_b\"}],\"resources\":[{\"uri\":\"a:1\","
		"\"name\":\"n\"}]")},
	/* what is no list is none */
	{RESULT("\"tools\":{\"name\":\"x\"},\"content\":[{\"tools\":[{\"name\":\"x\"}]}]"), "",
	 NULL},
	{"{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"tools\":[{\"name\":\"x\"}]}}", "", NULL},
	{"{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":[{\"tools\":[{\"name\":\"x\"}]}]}", "", NULL},
	{"{\"tools\":[{\"name\":\"x\"}]}", "", NULL},
};

static void entries_go_and_all_else_stays(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		zg_autobuf out = ZG_BUF(4096);
		bool changed;

		assert_int_equal(zg_list_filter(zg_slice_str(rows[i].before), without_x, NULL,
						rows[i].prefix, &out, &changed),
				 0);
		assert_int_equal(changed, rows[i].after != NULL);
		assert_int_equal(out.len, rows[i].after ? strlen(rows[i].after) : 0);
		if (rows[i].after)
			assert_memory_equal(out.ptr, rows[i].after, out.len);
	}
}

static void without_room_there_is_no_list(void **state)
{
	const char *before = RESULT("\"tools\":[{\"name\":\"x\"},{\"name\":\"b\"}]");

	(void)state;
	for (size_t room = 0; room < strlen(before) - strlen("{\"name\":\"x\"},"); room++) {
		zg_autobuf out = ZG_BUF(room);
		bool changed;

		assert_int_equal(
			zg_list_filter(zg_slice_str(before), without_x, NULL, "", &out, &changed),
			-EFBIG);
	}
}

/* through a worker ------------------------------------------------------------------- */

static struct lab lab;
static char out[65536], told[4096]; /* what the ledger was told: "S:name " and "L:kind " */

static enum zg_pin_state word(const struct zg_msg_pin_seen *q)
{
	size_t n = strlen(told);

	if (q->question == ZG_PQ_LISTED) {
		(void)snprintf(told + n, sizeof(told) - n, "L%u ", q->kind);
		return ZG_PS_LISTED;
	}
	(void)snprintf(told + n, sizeof(told) - n, "%u:%s ", q->kind, q->name);
	return strstr(q->name, "new")	    ? ZG_PS_NEW
	       : strstr(q->name, "changed") ? ZG_PS_CHANGED
	       : strstr(q->name, "flagged") ? ZG_PS_FLAGGED
	       : strstr(q->name, "excess")  ? ZG_PS_EXCESS
					    : ZG_PS_PINNED;
}

static enum zg_pin_state silence(const struct zg_msg_pin_seen *q)
{
	(void)q;
	return ZG_PS_UNAVAILABLE;
}

static int setup(void **state)
{
	(void)state;
	lab_start(&lab);
	lab.pin_word = word;
	told[0] = '\0';
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	lab_stop(&lab);
	return 0;
}

static void ask(const char *method, const char *answer)
{
	struct zg_origin o = lab_origin();
	int fd = lab_connect(&lab, &o);
	char body[256];

	lab.answer = answer;
	(void)snprintf(body, sizeof(body),
		       "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"%s\",\"params\":{}}", method);
	lab_post_with(fd, "/s/mcp",
		      "MCP-Protocol-Version: 2025-11-25\r\nAccept: application/json, "
		      "text/event-stream\r\n",
		      body);
	lab_read(&lab, fd, out, sizeof(out));
	close(fd);
}

static const char *body_of(const char *answer)
{
	const char *body = strstr(answer, "\r\n\r\n");

	assert_non_null(body);
	return body + 4;
}

static bool outcome(struct zg_record *r)
{
	while (lab_record(&lab, r))
		if (r->kind == ZG_RK_CALL_OUTCOME)
			return true;
	return false;
}

#define TOOL(name) "{\"name\":\"" name "\",\"inputSchema\":{\"type\":\"object\"}}"
#define CHANGED	   TOOL("get_new") "," TOOL("get_a") "," TOOL("get_changed") "," TOOL("get_flagged")
#define META	   ",\"_meta\":{\"get_new\":1}"

static void a_list_holds_what_is_accepted(void **state)
{
	struct zg_record r;

	(void)state;
	ask("tools/list", RESULT("\"tools\":[" CHANGED "]" META));
	assert_string_equal(body_of(out), RESULT("\"tools\":[" TOOL("get_a") "]" META));
	assert_true(outcome(&r));
	assert_string_equal(r.withheld, "new:1,changed:1,flagged:1");
	assert_string_equal(told, "0:get_new 0:get_a 0:get_changed 0:get_flagged L0 ");
}

static void a_list_in_a_stream_likewise(void **state)
{
	(void)state;
	lab.type = "text/event-stream";
	ask("tools/list", "id: 7\ndata: " RESULT("\"tools\":[" CHANGED "]" META) "\n\n");
	assert_non_null(strstr(out, RESULT("\"tools\":[" TOOL("get_a") "]" META)));
	assert_null(strstr(out, "get_changed"));
	assert_null(strstr(out, "get_flagged"));
}

static void what_is_accepted_comes_as_it_was(void **state)
{
	static const char list[] =
		RESULT("\"tools\" : [ " TOOL("get_a") " ,\t" TOOL("get_b") "\n],\"x\":1.50");

	(void)state;
	ask("tools/list", list);
	assert_string_equal(body_of(out), list);
	/* and is known now: the ledger is not asked again */
	told[0] = '\0';
	ask("tools/list", list);
	assert_string_equal(body_of(out), list);
	assert_string_equal(told, "");
}

/* The first list is over with its last page, not before. */
static void pages_are_one_list(void **state)
{
	(void)state;
	ask("tools/list", RESULT("\"tools\":[" TOOL("get_a") "],\"nextCursor\":\"2\""));
	assert_string_equal(body_of(out),
			    RESULT("\"tools\":[" TOOL("get_a") "],\"nextCursor\":\"2\""));
	assert_string_equal(told, "0:get_a ");
	ask("tools/list", RESULT("\"tools\":[" TOOL("get_new") "],\"nextCursor\":\"3\""));
	assert_string_equal(body_of(out), RESULT("\"tools\":[],\"nextCursor\":\"3\""));
	ask("tools/list", RESULT("\"tools\":[" TOOL("get_b") "]"));
	assert_string_equal(told, "0:get_a 0:get_new 0:get_b L0 ");
}

static void what_needs_a_person_is_shown(void **state)
{
	struct zg_record r;

	(void)state;
	/* allowed within constraints; allowed once a person says so; allowed */
	ask("tools/list",
	    RESULT("\"tools\":[" TOOL("np_x") "," TOOL("put_x") "," TOOL("get_x") "]"));
	assert_non_null(strstr(out, "np_x"));
	assert_non_null(strstr(out, "put_x"));
	assert_non_null(strstr(out, "get_x"));
	assert_true(outcome(&r));
	assert_string_equal(r.withheld, "");
}

static void what_has_no_usable_name_is_not_shown(void **state)
{
	(void)state;
	ask("tools/list",
	    RESULT("\"tools\":[{\"title\":\"get_none\"},{\"name\":7},{\"name\":\"\"},[],\"get_s\","
		   "null," TOOL("get_a") "]"));
	assert_string_equal(body_of(out), RESULT("\"tools\":[" TOOL("get_a") "]"));
}

static void a_digest_is_not_accepted_for_another(void **state)
{
	(void)state;
	ask("tools/list", RESULT("\"tools\":[" TOOL("get_a") "]"));
	told[0] = '\0';
	ask("tools/list", RESULT("\"tools\":[{\"name\":\"get_a\",\"inputSchema\":{}}]"));
	assert_string_equal(told, "0:get_a ");
}

static void without_the_ledgers_word_nothing_is_shown(void **state)
{
	(void)state;
	lab.pin_word = silence;
	ask("tools/list", RESULT("\"tools\":[" TOOL("get_a") "]"));
	assert_null(strstr(out, "get_a"));
	assert_non_null(strstr(out, "could not be stored"));
}

/* tools where nobody looks for them, in the answer to something else */
static void lists_in_other_answers_are_lists(void **state)
{
	(void)state;
	ask("ping", RESULT("\"tools\":[" TOOL("get_new") "]"));
	assert_null(strstr(out, "get_new"));
	ask("resources/list", RESULT("\"resources\":[],\"prompts\":[{\"name\":\"new_p\"}]"));
	assert_null(strstr(out, "new_p"));
	/* data that is called so is data */
	ask("resources/read", RESULT("\"contents\":[],\"tools\":[" TOOL("get_new") "]"));
	assert_true(strstr(out, "get_new") || strstr(out, "\"error\""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(entries_go_and_all_else_stays),
		cmocka_unit_test(without_room_there_is_no_list),
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		T(a_list_holds_what_is_accepted),
		T(a_list_in_a_stream_likewise),
		T(what_is_accepted_comes_as_it_was),
		T(pages_are_one_list),
		T(what_needs_a_person_is_shown),
		T(what_has_no_usable_name_is_not_shown),
		T(a_digest_is_not_accepted_for_another),
		T(without_the_ledgers_word_nothing_is_shown),
		T(lists_in_other_answers_are_lists),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
