/* SPDX-License-Identifier: Apache-2.0 */
/*
 * registry_state_test.c - what the ledger says of servers, read as the config role
 * reads it: an entry counts only as it was approved, and which word counts when a
 * file, a live entry and one on trial say different things.
 */
#include "digest.h"
#include "policy/world.h"
#include "registry.h"

#define ENTRY(id, owner, url)                                                                      \
	"{\"name\": \"a/b\", \"description\": \"\", \"version\": \"1\", \"remotes\": [{\"type\": " \
	"\"streamable-http\", \"url\": \"" url "\"}], \"_meta\": {\"dev.zerogate/registry\": "     \
	"{\"id\": \"" id "\", \"owner\": \"" owner "\"}}}"
#define WIKI  ENTRY("wiki", "Tests", "http://127.0.0.1:5/")
#define OTHER ENTRY("wiki", "Tests", "http://127.0.0.1:6/")
#define SHOWN ", \"version\": \"1\", \"transport\": \"streamable-http\", \"endpoint\": "
#define HERE  SHOWN "\"http://127.0.0.1:5/\""

struct desk {
	struct zg_diag diag;
	struct zg_arena arena;
	struct zg_registry_src r;
};

static int setup(void **state)
{
	static struct desk d;

	d = (struct desk){0};
	zg_arena_init(&d.arena, ZG_BUILD_BYTES);
	*state = &d;
	return 0;
}

static int teardown(void **state)
{
	struct desk *d = *state;

	zg_diag_release(&d->diag);
	zg_arena_release(&d->arena);
	return 0;
}

/* A file of registry/; digest: of what, if not of the entry. */
static void say(struct desk *d, const char *state, const char *id, const char *owner,
		const char *more, const char *entry, const char *digest)
{
	zg_autobuf b = ZG_BUF(16384);
	uint8_t sha256[32];
	char hex[65], *text;

	zg_sha256(sha256, digest, strlen(digest));
	zg_hex(hex, sha256, 32);
	zg_buf_fmt(&b, "{\"state\":\"%s\",\"id\":\"%s\",\"owner\":\"%s\",\"sha256\":\"%s\"%s}\n%s",
		   state, id, owner, hex, more, entry);
	assert_true(zg_buf_ok(&b));
	text = zg_arena_copy(&d->arena, zg_buf_slice(&b));
	assert_non_null(text);
	zg_registry_state_parse(&(struct zg_yaml_ctx){state, &d->arena, &d->diag},
				(struct zg_slice){text, b.len}, &d->r);
}

static void file_of_root(struct desk *d, const char *entry)
{
	zg_registry_parse(&(struct zg_yaml_ctx){"servers/wiki.json", &d->arena, &d->diag},
			  zg_slice_str(entry), &d->r);
	assert_int_equal(d->diag.errors, 0);
}

static void says(struct desk *d, const char *error)
{
	char text[1024] = "";

	if (d->diag.kept)
		(void)zg_err_text(&d->diag.item[0], text, sizeof(text));
	if (!error[0] ? d->diag.errors != 0 : !strstr(text, error))
		fail_msg("'%s' instead of '%s'", text, error);
}

static uint16_t port_in_force(struct desk *d, bool submit)
{
	zg_registry_settle(&d->r, submit, &d->diag);
	assert_true(d->r.count <= 1);
	assert_int_equal(d->r.servers != NULL, d->r.count == 1);
	return d->r.servers ? d->r.servers->def.port : 0;
}

/* -------------------------------------------------------------------------------- */

static const struct {
	const char *state, *id, *owner, *more, *entry, *digest, *error;
} rows[] = {
	{"live", "wiki", "Tests", "", WIKI, WIKI, ""},
	{"approved", "wiki", "Tests", HERE, WIKI, WIKI, ""},
	{"suspended", "wiki", "", "", "", "", ""},
	{"revoked", "wiki", "", "", "what it was does not matter", "", ""},
	{"live", "wiki", "Tests", "", OTHER, WIKI, "not the one of its digest"},
	{"live", "wiki", "Tests", "", WIKI " ", WIKI, "not the one of its digest"},
	{"live", "wiki", "Tests", "", "", WIKI, "not the one of its digest"},
	{"live", "wikj", "Tests", "", WIKI, WIKI, "the entry's id is not 'wikj'"},
	{"live", "WIKI", "Tests", "", WIKI, WIKI, "the entry's id is not 'WIKI'"},
	{"live", "wiki", "Others", "", WIKI, WIKI, "the entry's owner is not 'Others'"},
	{"approved", "wiki", "Tests", "", WIKI, WIKI, "the entry's version is '1', and people"},
	{"approved", "wiki", "Tests", SHOWN "\"http://good.example/\"", WIKI, WIKI,
	 "the entry's endpoint is 'http://127.0.0.1:5/', and people were shown another"},
	{"approved", "wiki", "Tests",
	 ", \"version\": \"1\", \"transport\": \"stdio\", \"endpoint\": \"http://127.0.0.1:5/\"",
	 WIKI, WIKI, "the entry's transport is 'streamable-http'"},
	{"live", "wiki", "Tests", "", "[]", "[]", "a registry file holds one JSON object"},
	{"dead", "wiki", "Tests", "", WIKI, WIKI, "not a file of the ledger's"},
	{"", "wiki", "Tests", "", WIKI, WIKI, "not a file of the ledger's"},
	{"live", "", "Tests", "", WIKI, WIKI, "not a file of the ledger's"},
	{"live", "wiki", "Tests", ", \"state\": \"revoked\"", WIKI, WIKI,
	 "not a file of the ledger's"},
};

static void an_entry_is_what_was_approved(void **state)
{
	for (size_t i = 0; i < ZG_COUNT(rows); i++) {
		struct desk *d = *state;

		say(d, rows[i].state, rows[i].id, rows[i].owner, rows[i].more, rows[i].entry,
		    rows[i].digest);
		says(d, rows[i].error);
		(void)teardown(state);
		(void)setup(state);
	}
}

static void no_line_is_no_word(void **state)
{
	static const char *const texts[] = {
		"", "\n", "{}\n", "[]\n" WIKI, "{\"state\":\"live\"}", "nonsense\n" WIKI};

	for (size_t i = 0; i < ZG_COUNT(texts); i++) {
		struct desk *d = *state;

		zg_registry_state_parse(&(struct zg_yaml_ctx){"f", &d->arena, &d->diag},
					zg_slice_str(texts[i]), &d->r);
		says(d, "not a file of the ledger's");
		assert_null(d->r.servers);
		(void)teardown(state);
		(void)setup(state);
	}
}

static const struct {
	const char *name;
	const char *live, *trial; /* states of the ledger's files; NULL = none */
	bool file, submit;
	uint16_t
		port; /* whose entry is in force: the file's 7, live's 5, the trial's 6; 0 = none */
} words[] = {
	{"a file alone", NULL, NULL, true, false, 7},
	{"a file that needs approval", NULL, NULL, true, true, 0},
	{"live alone", "live", NULL, false, false, 5},
	{"live, and files need approval", "live", NULL, false, true, 5},
	{"live goes before a file", "live", NULL, true, false, 5},
	{"a file does not bring back what is suspended", "suspended", NULL, true, false, 0},
	{"nor what is revoked", "revoked", NULL, true, false, 0},
	{"a trial goes before live", "live", "approved", false, false, 6},
	{"a trial goes before a suspension", "suspended", "approved", true, false, 6},
	{"a file that is released counts again", "suspended", "released", true, false, 7},
	{"but not where files need approval", "suspended", "released", true, true, 0},
};

static void which_word_counts(void **state)
{
	for (size_t i = 0; i < ZG_COUNT(words); i++) {
		struct desk *d = *state;
		uint16_t port;

		if (words[i].file)
			file_of_root(d, ENTRY("wiki", "Tests", "http://127.0.0.1:7/"));
		if (words[i].live && strcmp(words[i].live, "live") == 0)
			say(d, "live", "wiki", "Tests", "", WIKI, WIKI);
		else if (words[i].live) /* case does not count */
			say(d, words[i].live, "Wiki", "Tests", "", "", "");
		if (words[i].trial)
			say(d, words[i].trial, "wiki", "Tests", SHOWN "\"http://127.0.0.1:6/\"",
			    OTHER, OTHER);
		says(d, "");
		port = port_in_force(d, words[i].submit);
		if (port != words[i].port)
			fail_msg("%s: %u", words[i].name, port);
		assert_int_equal(d->r.submitted != NULL, words[i].file && words[i].submit);
		(void)teardown(state);
		(void)setup(state);
	}
}

static void what_nobody_could_approve_is_an_error(void **state)
{
	struct desk *d = *state;

	file_of_root(d,
		     "{\"name\": \"a/b\", \"description\": \"\", \"version\": \"1\", \"remotes\": "
		     "[{\"type\": \"sse\", \"url\": \"http://127.0.0.1:5/\"}], \"_meta\": "
		     "{\"dev.zerogate/registry\": {\"id\": \"wiki\"}}}");
	assert_int_equal(port_in_force(d, true), 0);
	says(d, "names no owner to give it");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(an_entry_is_what_was_approved),
		TEST(no_line_is_no_word),
		TEST(which_word_counts),
		TEST(what_nobody_could_approve_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
