/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pin_test.c - definitions in the ledger: what first use accepts and what it
 * does not, who may accept the rest, what a crash leaves, and how much of it a
 * server can make us keep. The log and the database are real files.
 */
#include <sqlite3.h>

#include "approval.h"
#include "digest.h"
#include "harness.h"
#include "pin.h"
#include "snapshot.h"

#define LONG_LIST 40

struct desk {
	char dir[64];
	int state_dir;
	struct zg_audit *audit;
	struct zg_trail trail;
	struct zg_pins pins;
};

/* by id, as a snapshot has them */
static const struct zg_server_def registry[] = {
	{.id = "github", .name = "example.org/github", .pinning = ZG_PINNING_FIRST_USE},
	{.id = "jira", .name = "example.org/jira", .pinning = ZG_PINNING_FIRST_USE},
	{.id = "prefixed", .name = "p", .pinning = ZG_PINNING_FIRST_USE, .prefix = "p_"},
	{.id = "strict", .name = "example.org/strict", .pinning = ZG_PINNING_APPROVAL},
};

static const struct zg_ctl_peer approver = {.uid = 1000, .pid = 7, .roles = ZG_ROLE_APPROVER};

static void open_desk(struct desk *d)
{
	const struct zg_snapshot s = {.servers = registry,
				      .server_count = sizeof(registry) / sizeof(registry[0])};
	struct zg_err e = {0};
	char path[96];

	(void)snprintf(path, sizeof(path), "%s/pins.db", d->dir);
	d->pins = (struct zg_pins){0};
	assert_int_equal(zg_pins_registry(&d->pins, &s), 0);
	if (zg_audit_open(&d->audit, d->state_dir, &e) < 0 ||
	    zg_trail_init(&d->trail, d->audit, "/nonexistent") < 0 ||
	    zg_pins_open(&d->pins, path, &d->trail, &e) < 0)
		fail_msg("%s", e.what);
}

static void close_desk(struct desk *d)
{
	zg_pins_close(&d->pins);
	zg_trail_release(&d->trail);
}

static void reopen(struct desk *d)
{
	close_desk(d);
	open_desk(d);
}

static int setup(void **state)
{
	static struct desk d;

	d = (struct desk){.dir = "/tmp/zg-pins.XXXXXX"};
	assert_non_null(mkdtemp(d.dir));
	d.state_dir = open(d.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(d.state_dir >= 0);
	open_desk(&d);
	*state = &d;
	return 0;
}

static int teardown(void **state)
{
	struct desk *d = *state;
	char command[128];

	close_desk(d);
	(void)close(d->state_dir);
	(void)snprintf(command, sizeof(command), "rm -rf %s", d->dir);
	return system(command);
}

/* what a gateway says ---------------------------------------------------------- */

static struct zg_msg_pin_seen question(const char *server, const char *name, const char *text)
{
	struct zg_msg_pin_seen q = {.question = ZG_PQ_SEEN, .call = 5};

	(void)zg_str_cut(q.server, sizeof(q.server), zg_slice_str(server));
	(void)zg_str_cut(q.name, sizeof(q.name), zg_slice_str(name));
	q.bytes = (uint32_t)strlen(text);
	zg_sha256(q.sha256, text, strlen(text));
	return q;
}

static enum zg_pin_state put(struct desk *d, const struct zg_msg_pin_seen *q, const char *text,
			     bool *news)
{
	struct zg_msg_pin_state out;

	zg_pins_question(&d->pins, q, zg_slice_str(text), &out, news);
	assert_int_equal(out.call, q->call);
	assert_string_equal(out.name, q->name);
	return (enum zg_pin_state)out.state;
}

static enum zg_pin_state see(struct desk *d, const char *server, const char *name, const char *text)
{
	const struct zg_msg_pin_seen q = question(server, name, text);
	bool news;

	return put(d, &q, text, &news);
}

static enum zg_pin_state see_bad(struct desk *d, const char *name, const char *text,
				 uint32_t findings)
{
	struct zg_msg_pin_seen q = question("github", name, text);
	bool news;

	q.findings = findings;
	return put(d, &q, text, &news);
}

static enum zg_pin_state see_mention(struct desk *d, const char *name, const char *text,
				     const char *mentions)
{
	struct zg_msg_pin_seen q = question("github", name, text);
	bool news;

	(void)zg_str_cut(q.mentions, sizeof(q.mentions), zg_slice_str(mentions));
	return put(d, &q, text, &news);
}

static enum zg_pin_state ask(struct desk *d, const char *server, const char *name)
{
	struct zg_msg_pin_seen q = question(server, name, "");
	bool news;

	q.question = ZG_PQ_ASK;
	return put(d, &q, "", &news);
}

static void complete(struct desk *d, const char *server)
{
	struct zg_msg_pin_seen q = question(server, "", "");
	bool news;

	q.question = ZG_PQ_LISTED;
	assert_int_equal(put(d, &q, "", &news), ZG_PS_LISTED);
}

static int trust(struct desk *d, const char *server, const char *name, const char *text,
		 struct zg_ctl_peer peer, struct zg_msg_ctl_end *end)
{
	struct zg_msg_ctl_pin_trust t = {.reason = "read it"};
	struct zg_msg_pin_state out;

	(void)zg_str_cut(t.server, sizeof(t.server), zg_slice_str(server));
	(void)zg_str_cut(t.name, sizeof(t.name), zg_slice_str(name));
	zg_sha256(t.sha256, text, strlen(text));
	return zg_pins_trust(&d->pins, &t, &peer, &out, end);
}

/* Lines of the log with this text. */
static unsigned records(const struct desk *d, const char *text)
{
	struct role r = {.state_dir = d->state_dir};
	unsigned n = 0;
	char *log = slurp(&r, FIRST_SEGMENT);

	for (const char *at = log; (at = strstr(at, text)); at++)
		n++;
	free(log);
	return n;
}

#define KIND(name) "\"kind\":\"" name "\""

/* tests --------------------------------------------------------------------------- */

static void first_use_accepts_the_first_complete_list(void **state)
{
	struct desk *d = *state;

	assert_int_equal(ask(d, "github", "one"), ZG_PS_UNLISTED);
	assert_int_equal(see(d, "github", "one", "{1}"), ZG_PS_PINNED);
	assert_int_equal(see(d, "github", "two", "{2}"), ZG_PS_PINNED);
	complete(d, "github");
	assert_int_equal(see(d, "github", "three", "{3}"), ZG_PS_NEW);
	assert_int_equal(ask(d, "github", "four"), ZG_PS_UNKNOWN);
	assert_int_equal(ask(d, "github", "one"), ZG_PS_PINNED);
	assert_int_equal(records(d, KIND("tool.pin")), 2);
	assert_int_equal(records(d, KIND("tool.change")), 1);
	/* names are the server's, and a list of one server says nothing of another's */
	assert_int_equal(ask(d, "jira", "one"), ZG_PS_UNLISTED);
}

static void other_kinds_have_lists_of_their_own(void **state)
{
	struct desk *d = *state;
	struct zg_msg_pin_seen q = question("github", "one", "{p}");
	bool news;

	assert_int_equal(see(d, "github", "one", "{1}"), ZG_PS_PINNED);
	complete(d, "github");
	q.kind = ZG_PIN_PROMPT;
	assert_int_equal(put(d, &q, "{p}", &news), ZG_PS_PINNED);
	assert_true(news);
	assert_int_equal(ask(d, "github", "one"), ZG_PS_PINNED);
	q.kind = ZG_PIN_KINDS;
	assert_int_equal(put(d, &q, "{p}", &news), ZG_PS_UNAVAILABLE);
}

static void without_first_use_a_person_accepts_everything(void **state)
{
	struct desk *d = *state;
	struct zg_msg_ctl_end end;

	assert_int_equal(ask(d, "strict", "one"), ZG_PS_UNKNOWN);
	assert_int_equal(see(d, "strict", "one", "{1}"), ZG_PS_NEW);
	assert_int_equal(see(d, "unregistered", "one", "{1}"), ZG_PS_NEW);
	assert_int_equal(trust(d, "strict", "one", "{1}", approver, &end), 0);
	assert_int_equal(ask(d, "strict", "one"), ZG_PS_PINNED);
	assert_int_equal(records(d, KIND("tool.trust")), 1);
}

static void a_changed_one_is_withheld_until_it_is_accepted_or_back(void **state)
{
	struct desk *d = *state;
	struct zg_msg_ctl_end end;

	assert_int_equal(see(d, "github", "one", "{1}"), ZG_PS_PINNED);
	assert_int_equal(see(d, "github", "one", "{2}"), ZG_PS_CHANGED);
	assert_int_equal(ask(d, "github", "one"), ZG_PS_CHANGED);
	/* as it was: nothing changed but the wind */
	assert_int_equal(see(d, "github", "one", "{1}"), ZG_PS_PINNED);
	assert_int_equal(see(d, "github", "one", "{3}"), ZG_PS_CHANGED);
	/* what is accepted is what was looked at */
	assert_int_equal(trust(d, "github", "one", "{2}", approver, &end), -ESTALE);
	assert_int_equal(ask(d, "github", "one"), ZG_PS_CHANGED);
	assert_int_equal(trust(d, "github", "one", "{3}", approver, &end), 0);
	assert_int_equal(trust(d, "github", "one", "{3}", approver, &end), -EALREADY);
	assert_int_equal(see(d, "github", "one", "{1}"), ZG_PS_CHANGED);
}

static void one_that_never_rests_does_not_fill_the_log(void **state)
{
	struct desk *d = *state;
	char text[32];

	assert_int_equal(see(d, "github", "one", "{1}"), ZG_PS_PINNED);
	for (int i = 0; i < 50; i++) {
		(void)snprintf(text, sizeof(text), "{other %d}", i);
		assert_int_equal(see(d, "github", "one", text), ZG_PS_CHANGED);
	}
	assert_int_equal(records(d, KIND("tool.change")), 1);
}

static void a_flagged_one_is_never_accepted_by_first_use(void **state)
{
	struct desk *d = *state;
	struct zg_msg_ctl_end end;
	struct zg_pin pin;

	assert_int_equal(see_bad(d, "one", "{1}", ZG_POISON_BIT(OVERRIDE)), ZG_PS_FLAGGED);
	assert_int_equal(records(d, "tells the model to drop its instructions"), 1);
	/* the registered name and version are no reason to withhold */
	assert_int_equal(see_bad(d, "two", "{2}", ZG_POISON_NOTES), ZG_PS_PINNED);
	assert_int_equal(records(d, KIND("server.mismatch")), 1);
	/* a person may know better */
	assert_int_equal(trust(d, "github", "one", "{1}", approver, &end), 0);
	assert_int_equal(see_bad(d, "one", "{1}", ZG_POISON_BIT(OVERRIDE)), ZG_PS_PINNED);
	assert_int_equal(zg_pins_get(&d->pins, "github", ZG_PIN_TOOL, "one", &pin), 0);
	assert_int_equal(pin.m.accepted_uid, 1000);
	assert_int_equal(pin.m.findings, ZG_POISON_BIT(OVERRIDE));
}

static void only_approvers_outside_accept(void **state)
{
	struct desk *d = *state;
	const struct {
		struct zg_ctl_peer peer;
		const char *name;
		int error;
		const char *word;
	} row[] = {
		{{.uid = 1000}, "one", -EPERM, "not_authorised"},
		{{.uid = 0, .roles = ZG_ROLE_APPROVER, .governed = 1},
		 "one",
		 -EPERM,
		 "not_authorised"},
		{approver, "none", -ENOENT, "not_found"},
	};
	struct zg_msg_ctl_end end;

	assert_int_equal(see(d, "strict", "one", "{1}"), ZG_PS_NEW);
	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		assert_int_equal(trust(d, "strict", row[i].name, "{1}", row[i].peer, &end),
				 row[i].error);
		assert_int_equal(strncmp(end.what, row[i].word, strlen(row[i].word)), 0);
		assert_int_equal(end.exit, 1);
	}
	assert_int_equal(ask(d, "strict", "one"), ZG_PS_NEW);
	assert_int_equal(records(d, KIND("tool.trust")), 3);
	assert_int_equal(records(d, "\"decision\":\"DENY\""), 3);
}

static void names_that_can_be_taken_for_one_another_are_told(void **state)
{
	struct desk *d = *state;
	struct zg_pin pin;

	assert_int_equal(see(d, "github", "create_issue", "{1}"), ZG_PS_PINNED);
	assert_int_equal(see(d, "jira", "create_issue", "{2}"), ZG_PS_PINNED);
	assert_int_equal(records(d, KIND("tool.interference")), 1);
	assert_int_equal(records(d, "server github has a tool of the same name"), 1);
	/* Cyrillic letters, other separators, digits for letters */
	assert_int_equal(see(d, "jira", "cre\xd0\xb0te-issue", "{3}"), ZG_PS_PINNED);
	assert_int_equal(see(d, "jira", "CreateIssue", "{4}"), ZG_PS_PINNED);
	assert_int_equal(records(d, KIND("tool.interference")), 3);
	/* under a prefix nobody takes them for one another */
	assert_int_equal(see(d, "prefixed", "create_issue", "{5}"), ZG_PS_PINNED);
	assert_int_equal(records(d, KIND("tool.interference")), 3);
	assert_int_equal(zg_pins_get(&d->pins, "jira", ZG_PIN_TOOL, "CreateIssue", &pin), 0);
	zg_pins_describe(&d->pins, &pin);
	assert_non_null(strstr(pin.m.note, "github"));
}

static void a_definition_that_speaks_of_anothers_tool_is_flagged(void **state)
{
	struct desk *d = *state;
	struct zg_pin pin;

	assert_int_equal(see(d, "jira", "send_mail", "{1}"), ZG_PS_PINNED);
	assert_int_equal(see_mention(d, "one", "{2}", "some_word send_mail"), ZG_PS_FLAGGED);
	assert_int_equal(zg_pins_get(&d->pins, "github", ZG_PIN_TOOL, "one", &pin), 0);
	assert_true(pin.m.findings & ZG_POISON_BIT(MENTIONS));
	assert_string_equal(pin.m.note, "it speaks of send_mail, a tool of server jira");
	assert_int_equal(see_mention(d, "two", "{3}", "no_such_tool"), ZG_PS_PINNED);
	/* a name that is one's own as well is no mention of another's */
	assert_int_equal(see(d, "github", "send_mail", "{4}"), ZG_PS_PINNED);
	assert_int_equal(see_mention(d, "three", "{5}", "send_mail"), ZG_PS_PINNED);
}

static void hostile_names_are_names(void **state)
{
	static const char *const names[] = {
		"'; DROP TABLE pin; --",
		"\"",
		"%",
		"_",
		"a b",
		"\n",
		"\x1b[2J",
		"../../etc/passwd",
		"\xe2\x80\xae"
		"evil",
		"\xf0\x9f\x92\xa9",
		"one\xe2\x80\x8b",
		"?1",
		"NULL",
		" ",
	};
	struct desk *d = *state;
	char name[ZG_TOOL_LEN], text[16];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		(void)snprintf(text, sizeof(text), "{%zu}", i);
		assert_int_equal(see(d, "github", names[i], text), ZG_PS_PINNED);
	}
	memset(name, 'x', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	assert_int_equal(see(d, "github", name, "{long}"), ZG_PS_PINNED);
	name[sizeof(name) - 2] = 'y';
	assert_int_equal(ask(d, "github", name), ZG_PS_UNLISTED);
	reopen(d);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		(void)snprintf(text, sizeof(text), "{%zu}", i);
		assert_int_equal(see(d, "github", names[i], text), ZG_PS_PINNED);
		assert_int_equal(see(d, "github", names[i], "{other}"), ZG_PS_CHANGED);
	}
}

static void a_server_is_kept_up_to_a_limit(void **state)
{
	struct desk *d = *state;
	char name[32];
	uint64_t count;

	/* the rows alone: a log entry each would take a minute of fsync */
	assert_int_equal(zg_pins_begin(&d->pins), 0);
	for (unsigned i = 0; i < ZG_PINS_SERVER_MAX - 1; i++) {
		struct zg_pin pin = {.m.state = ZG_PS_PINNED, .m.server = "github"};

		(void)snprintf(pin.m.name, sizeof(pin.m.name), "row%u", i);
		assert_int_equal(zg_pins_put(&d->pins, &pin), 0);
	}
	assert_int_equal(zg_pins_commit(&d->pins), 0);
	assert_int_equal(see(d, "github", "last", "{1}"), ZG_PS_PINNED);
	for (unsigned i = 0; i < 3; i++) {
		(void)snprintf(name, sizeof(name), "more%u", i);
		assert_int_equal(see(d, "github", name, "{1}"), ZG_PS_EXCESS);
	}
	assert_int_equal(zg_pins_count(&d->pins, "github", &count), 0);
	assert_int_equal(count, ZG_PINS_SERVER_MAX);
	/* no other server pays for that, and known ones go on */
	assert_int_equal(see(d, "jira", "one", "{1}"), ZG_PS_PINNED);
	assert_int_equal(see(d, "github", "last", "{2}"), ZG_PS_CHANGED);
}

static void texts_are_kept_cut_and_say_so(void **state)
{
	struct desk *d = *state;
	char *text = malloc(ZG_PIN_TEXT_BYTES + 1), out[64];
	struct zg_pin pin;
	bool cut = false;

	assert_non_null(text);
	memset(text, 'x', ZG_PIN_TEXT_BYTES);
	text[ZG_PIN_TEXT_BYTES] = '\0';
	assert_int_equal(see(d, "github", "long", text), ZG_PS_PINNED);
	assert_int_equal(see(d, "github", "short", "{1}"), ZG_PS_PINNED);
	assert_int_equal(see(d, "github", "short", "{2}"), ZG_PS_CHANGED);
	assert_int_equal(zg_pins_get(&d->pins, "github", ZG_PIN_TOOL, "long", &pin), 0);
	assert_int_equal(zg_pins_text(&d->pins, pin.row, true, ZG_PIN_TEXT_BYTES - 8, out,
				      sizeof(out), &cut),
			 8);
	assert_true(cut);
	assert_int_equal(zg_pins_get(&d->pins, "github", ZG_PIN_TOOL, "short", &pin), 0);
	assert_int_equal(zg_pins_text(&d->pins, pin.row, true, 0, out, sizeof(out), &cut), 3);
	assert_memory_equal(out, "{2}", 3);
	assert_false(cut);
	assert_int_equal(zg_pins_text(&d->pins, pin.row, false, 0, out, sizeof(out), &cut), 3);
	assert_memory_equal(out, "{1}", 3);
	assert_int_equal(zg_pins_text(&d->pins, pin.row, false, 3, out, sizeof(out), &cut), 0);
	free(text);
}

static void only_news_are_news(void **state)
{
	struct desk *d = *state;
	struct zg_msg_pin_seen q = question("github", "one", "{1}");
	bool news;

	assert_int_equal(put(d, &q, "{1}", &news), ZG_PS_PINNED);
	assert_true(news);
	assert_int_equal(put(d, &q, "{1}", &news), ZG_PS_PINNED);
	assert_false(news);
	q.question = ZG_PQ_LISTED;
	(void)put(d, &q, "", &news);
	assert_true(news);
	(void)put(d, &q, "", &news);
	assert_false(news);
}

static void what_cannot_be_recorded_is_withheld(void **state)
{
	struct desk *d = *state;

	assert_int_equal(see(d, "github", "one", "{1}"), ZG_PS_PINNED);
	d->trail.failed = ENOSPC;
	assert_int_equal(see(d, "github", "two", "{2}"), ZG_PS_UNAVAILABLE);
	assert_int_equal(ask(d, "github", "one"), ZG_PS_UNAVAILABLE);
	d->trail.failed = 0;
	assert_int_equal(ask(d, "github", "two"), ZG_PS_UNLISTED);
	assert_int_equal(see(d, "github", "two", "{2}"), ZG_PS_PINNED);
}

/* The file cannot grow: no state that a restart would not know of. */
static void a_full_disk_withholds_and_forgets_nothing(void **state)
{
	struct desk *d = *state;
	struct rlimit old, tight = {1, 1};
	struct sigaction ignore = {.sa_handler = SIG_IGN}, before;

	assert_int_equal(see(d, "github", "one", "{1}"), ZG_PS_PINNED);
	assert_int_equal(sigaction(SIGXFSZ, &ignore, &before), 0);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	tight.rlim_max = old.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
	assert_int_equal(see(d, "github", "one", "{2}"), ZG_PS_UNAVAILABLE);
	assert_int_equal(see(d, "github", "two", "{2}"), ZG_PS_UNAVAILABLE);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal(sigaction(SIGXFSZ, &before, NULL), 0);
	assert_int_equal(zg_trail_retry(&d->trail), 0);
	assert_int_equal(ask(d, "github", "one"), ZG_PS_PINNED);
	assert_int_equal(ask(d, "github", "two"), ZG_PS_UNLISTED);
	reopen(d);
	assert_int_equal(ask(d, "github", "one"), ZG_PS_PINNED);
	assert_int_equal(see(d, "github", "two", "{2}"), ZG_PS_PINNED);
}

/* A ledger that sees definitions and changes until it is killed; after each
 * answer it says so on the pipe. */
static void work(struct desk *d, int say)
{
	open_desk(d);
	for (unsigned i = 0;; i++) {
		char name[32], text[32];

		(void)snprintf(name, sizeof(name), "tool%u", i / 2);
		(void)snprintf(text, sizeof(text), "{%u %u}", i / 2, i % 2);
		if (see(d, "github", name, text) != (i % 2 ? ZG_PS_CHANGED : ZG_PS_PINNED) ||
		    write(say, "", 1) != 1)
			_exit(1);
	}
}

static void killed_at_any_time_it_knows_what_it_answered(void **state)
{
	struct desk *d = *state;
	unsigned done = 0;
	int status, say[2];
	char byte, name[32], text[32], out[32];
	struct zg_pin pin;
	pid_t pid;
	bool cut;

	close_desk(d);
	assert_int_equal(pipe2(say, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		work(d, say[1]);
	}
	(void)close(say[1]);
	while (done < 2 * LONG_LIST + 1 && read(say[0], &byte, 1) == 1)
		done++;
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	while (read(say[0], &byte, 1) == 1)
		done++;
	(void)close(say[0]);
	assert_true(done > 2 * LONG_LIST);

	open_desk(d);
	assert_int_equal(sqlite3_exec(d->pins.db, "PRAGMA integrity_check", NULL, NULL, NULL),
			 SQLITE_OK);
	for (unsigned i = 0; i < done / 2; i++) {
		int n = snprintf(text, sizeof(text), "{%u 1}", i);

		(void)snprintf(name, sizeof(name), "tool%u", i);
		assert_int_equal(ask(d, "github", name), ZG_PS_CHANGED);
		assert_int_equal(zg_pins_get(&d->pins, "github", ZG_PIN_TOOL, name, &pin), 0);
		assert_int_equal(zg_pins_text(&d->pins, pin.row, true, 0, out, sizeof(out), &cut),
				 n);
		assert_memory_equal(out, text, (size_t)n);
		text[n - 2] = '0';
		assert_int_equal(zg_pins_text(&d->pins, pin.row, false, 0, out, sizeof(out), &cut),
				 n);
		assert_memory_equal(out, text, (size_t)n);
	}
	/* evidence comes first */
	assert_true(records(d, KIND("tool.pin")) >= (done + 1) / 2);
	assert_true(records(d, KIND("tool.change")) >= done / 2);
}

/* A file that another version wrote is not guessed at. */
static void another_versions_file_is_refused(void **state)
{
	struct desk *d = *state;
	struct zg_pins p = {0};
	struct zg_err e = {0};
	char path[96];

	assert_int_equal(sqlite3_exec(d->pins.db, "PRAGMA user_version = 77", NULL, NULL, NULL),
			 SQLITE_OK);
	(void)snprintf(path, sizeof(path), "%s/pins.db", d->dir);
	assert_int_equal(zg_pins_open(&p, path, &d->trail, &e), -EPROTO);
	assert_non_null(strstr(e.what, "another version"));
}

/* What is to be approved was bound to one definition; the server shows another since. */
static void a_call_of_a_changed_tool_cannot_be_approved(void **state)
{
	struct desk *d = *state;
	struct zg_msg_ctl_approval_decide yes = {.approve = 1}, no = {0};
	struct zg_approvals approvals;
	struct zg_msg_ctl_end end;
	struct zg_approval a;
	struct zg_msg_hold h = {.principal = {.uid = 65533, .profile = "agent"},
				.server = "github",
				.method = "tools/call",
				.tool = "one"};
	struct zg_err e;
	char path[96];

	(void)snprintf(path, sizeof(path), "%s/approvals.db", d->dir);
	assert_int_equal(zg_approvals_open(&approvals, path, &d->trail, &e), 0);
	approvals.pins = &d->pins;
	assert_int_equal(see(d, "github", "one", "{1}"), ZG_PS_PINNED);
	complete(d, "github");
	zg_sha256(h.definition_sha256, "{1}", 3);
	assert_int_equal(zg_approvals_hold(&approvals, &h, &a), ZG_HOLD_PENDING);
	memcpy(yes.approval, a.m.approval, sizeof(yes.approval));
	memcpy(no.approval, a.m.approval, sizeof(no.approval));
	assert_int_equal(see(d, "github", "one", "{2}"), ZG_PS_CHANGED);
	assert_int_equal(zg_approvals_decide(&approvals, &yes, &approver, true, &a, &end), -ESTALE);
	assert_int_equal(end.conflict, ZG_CONFLICT_TOOL_CHANGED);
	assert_int_equal(strncmp(end.what, "tool_changed", 12), 0);
	assert_int_equal(records(d, "\"conflict\":\"tool_changed\""), 1);
	/* as before: it can be approved again; and a no holds whatever the tool is */
	assert_int_equal(see(d, "github", "one", "{1}"), ZG_PS_PINNED);
	assert_int_equal(zg_approvals_decide(&approvals, &yes, &approver, true, &a, &end), 0);
	assert_int_equal(a.m.state, ZG_AS_CONSUMED);
	h.binding[0] = 1;
	assert_int_equal(zg_approvals_hold(&approvals, &h, &a), ZG_HOLD_PENDING);
	memcpy(no.approval, a.m.approval, sizeof(no.approval));
	assert_int_equal(see(d, "github", "one", "{2}"), ZG_PS_CHANGED);
	assert_int_equal(zg_approvals_decide(&approvals, &no, &approver, true, &a, &end), 0);
	assert_int_equal(a.m.state, ZG_AS_DENIED);
	zg_approvals_close(&approvals);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		T(first_use_accepts_the_first_complete_list),
		T(other_kinds_have_lists_of_their_own),
		T(without_first_use_a_person_accepts_everything),
		T(a_call_of_a_changed_tool_cannot_be_approved),
		T(a_changed_one_is_withheld_until_it_is_accepted_or_back),
		T(one_that_never_rests_does_not_fill_the_log),
		T(a_flagged_one_is_never_accepted_by_first_use),
		T(only_approvers_outside_accept),
		T(names_that_can_be_taken_for_one_another_are_told),
		T(a_definition_that_speaks_of_anothers_tool_is_flagged),
		T(hostile_names_are_names),
		T(a_server_is_kept_up_to_a_limit),
		T(texts_are_kept_cut_and_say_so),
		T(only_news_are_news),
		T(what_cannot_be_recorded_is_withheld),
		T(a_full_disk_withholds_and_forgets_nothing),
		T(killed_at_any_time_it_knows_what_it_answered),
		T(another_versions_file_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
