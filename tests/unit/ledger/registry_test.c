/* SPDX-License-Identifier: Apache-2.0 */
/*
 * registry_test.c - the life of a server in the ledger: who may take which step,
 * what the files say then, and what a crash leaves. Log, database and files are
 * real; the parent's answers are given by hand.
 */
#include "digest.h"
#include "harness.h"
#include "servers.h"
#include "snapshot.h"

struct desk {
	char dir[64];
	int state_dir;
	struct zg_audit *audit;
	struct zg_trail trail;
	struct zg_servers servers;
};

static const struct zg_settings settings = {
	.owner = {{"Platform", "platform"}, {"Data", "data"}},
	.owner_count = 2,
};

static const struct zg_ctl_peer adm = {.uid = 1001, .pid = 7, .roles = ZG_ROLE_APPROVER};
static const struct zg_ctl_peer sec = {.uid = 1002, .pid = 7, .roles = ZG_ROLE_SECURITY};
static const struct zg_ctl_peer own = {.uid = 1003, .pid = 7, .owners = 1};
static const struct zg_ctl_peer other = {.uid = 1004, .pid = 7, .owners = 2};
static const struct zg_ctl_peer root = {
	.uid = 0, .pid = 7, .owners = 3, .roles = ZG_ROLE_APPROVER | ZG_ROLE_SECURITY};

static void open_desk(struct desk *d)
{
	const struct zg_snapshot s = {.settings = &settings};
	struct zg_err e = {0};
	char path[96];

	(void)snprintf(path, sizeof(path), "%s/servers.db", d->dir);
	d->servers = (struct zg_servers){0};
	assert_int_equal(zg_servers_snapshot(&d->servers, &s), 0);
	if (zg_audit_open(&d->audit, d->state_dir, &e) < 0 ||
	    zg_trail_init(&d->trail, d->audit, "/nonexistent") < 0 ||
	    zg_servers_open(&d->servers, path, d->state_dir, &d->trail, &e) < 0)
		fail_msg("%s", e.what);
	assert_int_equal(zg_servers_mirror_all(&d->servers), 0);
}

static void reopen(struct desk *d)
{
	zg_servers_close(&d->servers);
	zg_trail_release(&d->trail);
	open_desk(d);
}

static int setup(void **state)
{
	static struct desk d;

	d = (struct desk){.dir = "/tmp/zg-servers.XXXXXX"};
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

	zg_servers_close(&d->servers);
	zg_trail_release(&d->trail);
	(void)close(d->state_dir);
	(void)snprintf(command, sizeof(command), "rm -rf %s", d->dir);
	return system(command);
}

/* steps --------------------------------------------------------------------------- */

static int submit(struct desk *d, const char *id, const char *text, const struct zg_ctl_peer *who,
		  struct zg_msg_ctl_end *end)
{
	struct zg_msg_ctl_server_submit m = {.bytes = (uint32_t)strlen(text), .reason = "needed"};

	(void)zg_str_cut(m.id, sizeof(m.id), zg_slice_str(id));
	memcpy(m.owner, "Platform", sizeof("Platform"));
	memcpy(m.endpoint, "https://w.example/\"", sizeof("https://w.example/\""));
	zg_sha256(m.sha256, text, strlen(text));
	return zg_servers_submit(&d->servers, &m, zg_slice_str(text), who, end);
}

static int step(struct desk *d, enum zg_server_verb verb, const struct zg_ctl_peer *who,
		const char *text, struct zg_msg_ctl_end *end)
{
	struct zg_msg_ctl_server_decide m = {.id = "wiki", .verb = verb, .reason = "because"};
	uint64_t wait;

	zg_sha256(m.sha256, text, strlen(text));
	return zg_servers_decide(&d->servers, &m, who, &wait, end);
}

static void must(int rc, const struct zg_msg_ctl_end *end)
{
	if (rc < 0)
		fail_msg("%s", end->what);
}

static void refused(int rc, const struct zg_msg_ctl_end *end, const char *word)
{
	assert_true(rc < 0);
	if (strncmp(end->what, word, strlen(word)) != 0)
		fail_msg("'%s' does not begin with %s", end->what, word);
}

/* The parent's answer to all that was changed. */
static void parent_says(struct desk *d, const char *error)
{
	struct zg_msg_registry_taken m = {.change = d->servers.change, .error = error[0] ? 22 : 0};

	(void)zg_str_cut(m.what, sizeof(m.what), zg_slice_str(error));
	zg_servers_taken(&d->servers, &m);
}

static bool file_says(struct desk *d, const char *name, const char *what)
{
	char path[64], text[4096] = "";
	int fd;
	bool says;

	(void)snprintf(path, sizeof(path), "registry/%s", name);
	fd = openat(d->state_dir, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	assert_true(read(fd, text, sizeof(text) - 1) > 0);
	says = strstr(text, what) != NULL;
	(void)close(fd);
	return says;
}

static void make_live(struct desk *d, const char *text)
{
	struct zg_msg_ctl_end end;

	must(submit(d, "wiki", text, &adm, &end), &end);
	must(step(d, ZG_SV_APPROVE, &sec, text, &end), &end);
	must(step(d, ZG_SV_APPROVE, &own, text, &end), &end);
	parent_says(d, "");
}

static struct zg_server_row row_of(struct desk *d)
{
	struct zg_server_row row;

	assert_int_equal(zg_servers_get(&d->servers, "wiki", &row), 0);
	return row;
}

/* tests ---------------------------------------------------------------------------- */

static void two_people_make_it_live(void **state)
{
	struct desk *d = *state;
	struct zg_msg_ctl_end end;

	must(submit(d, "wiki", "{one}", &adm, &end), &end);
	assert_false(file_says(d, "wiki.json", ""));
	must(step(d, ZG_SV_APPROVE, &own, "{one}", &end), &end);
	assert_false(file_says(d, "wiki.trial", ""));
	must(step(d, ZG_SV_APPROVE, &sec, "{one}", &end), &end);
	assert_true(file_says(d, "wiki.trial", "\"state\":\"approved\""));
	assert_true(file_says(d, "wiki.trial", "\n{one}"));
	assert_true(zg_servers_tell(&d->servers));
	assert_int_equal(row_of(d).state, ZG_SS_NONE); /* until the parent says so */
	parent_says(d, "");
	assert_int_equal(row_of(d).state, ZG_SS_LIVE);
	assert_true(file_says(d, "wiki.json", "\"state\":\"live\""));
	assert_true(file_says(d, "wiki.json", "\"security\":1002,\"owner\":1003"));
	assert_false(file_says(d, "wiki.trial", ""));
}

static void the_wrong_people(void **state)
{
	struct desk *d = *state;
	const struct zg_ctl_peer governed = {.uid = 0, .governed = 1, .roles = 7, .owners = 3};
	const struct zg_ctl_peer stranger = {.uid = 5000};
	const struct zg_ctl_peer both = {.uid = 1005, .roles = ZG_ROLE_SECURITY, .owners = 1};
	struct zg_msg_ctl_end end;

	refused(submit(d, "wiki", "{one}", &governed, &end), &end, "not_authorised");
	refused(submit(d, "wiki", "{one}", &stranger, &end), &end, "not_authorised");
	refused(submit(d, "../x", "{one}", &adm, &end), &end, "invalid");
	refused(submit(d, ".wiki", "{one}", &adm, &end), &end, "invalid");
	refused(step(d, ZG_SV_APPROVE, &sec, "{one}", &end), &end, "not_found");
	must(submit(d, "wiki", "{one}", &sec, &end), &end);
	refused(submit(d, "WIKI", "{one}", &sec, &end), &end, "already");
	refused(step(d, ZG_SV_APPROVE, &sec, "{one}", &end), &end, "self_approval");
	refused(step(d, ZG_SV_APPROVE, &adm, "{one}", &end), &end, "not_authorised");
	refused(step(d, ZG_SV_APPROVE, &other, "{one}", &end), &end, "not_authorised");
	refused(step(d, ZG_SV_APPROVE, &both, "{two}", &end), &end, "entry_changed");
	must(step(d, ZG_SV_APPROVE, &both, "{one}", &end), &end);
	refused(step(d, ZG_SV_APPROVE, &both, "{one}", &end), &end, "self_approval");
	assert_int_equal(row_of(d).pending, ZG_SP_SUBMITTED);
	assert_int_equal(row_of(d).next.owner_uid, UINT32_MAX);
}

static void root_is_one_person(void **state)
{
	struct desk *d = *state;
	struct zg_msg_ctl_end end;

	must(submit(d, "wiki", "{one}", &adm, &end), &end);
	must(step(d, ZG_SV_APPROVE, &root, "{one}", &end), &end);
	refused(step(d, ZG_SV_APPROVE, &root, "{one}", &end), &end, "self_approval");
	assert_int_equal(row_of(d).pending, ZG_SP_SUBMITTED);
	must(step(d, ZG_SV_APPROVE, &own, "{one}", &end), &end);
	assert_int_equal(row_of(d).pending, ZG_SP_APPROVED);
}

static void a_new_entry_voids_the_approvals_of_the_old(void **state)
{
	struct desk *d = *state;
	struct zg_msg_ctl_end end;

	make_live(d, "{one}");
	must(submit(d, "wiki", "{two}", &adm, &end), &end);
	must(step(d, ZG_SV_APPROVE, &sec, "{two}", &end), &end);
	must(submit(d, "wiki", "{three}", &adm, &end), &end);
	refused(step(d, ZG_SV_APPROVE, &own, "{two}", &end), &end, "entry_changed");
	must(step(d, ZG_SV_APPROVE, &own, "{three}", &end), &end);
	assert_int_equal(row_of(d).pending, ZG_SP_SUBMITTED);
	assert_true(file_says(d, "wiki.json", "\n{one}"));
}

static void what_cannot_be_in_force_is_taken_out_of_the_way(void **state)
{
	struct desk *d = *state;
	struct zg_msg_ctl_end end;

	must(submit(d, "wiki", "{one}", &adm, &end), &end);
	must(step(d, ZG_SV_APPROVE, &sec, "{one}", &end), &end);
	must(step(d, ZG_SV_APPROVE, &own, "{one}", &end), &end);
	parent_says(d, "its address is another's");
	assert_int_equal(row_of(d).state, ZG_SS_NONE);
	assert_string_equal(row_of(d).problem, "its address is another's");
	assert_false(file_says(d, "wiki.trial", ""));
	assert_true(zg_servers_tell(&d->servers)); /* the files without it */
	/* nobody tries it by themselves; a person may */
	zg_servers_tick(&d->servers);
	assert_false(file_says(d, "wiki.trial", ""));
	must(step(d, ZG_SV_APPROVE, &sec, "{one}", &end), &end);
	assert_true(file_says(d, "wiki.trial", "{one}"));
}

static void stopping_and_going_on(void **state)
{
	struct desk *d = *state;
	struct zg_msg_ctl_end end;

	make_live(d, "{one}");
	refused(step(d, ZG_SV_SUSPEND, &other, "", &end), &end, "not_authorised");
	refused(step(d, ZG_SV_RESUME, &own, "", &end), &end, "already_decided");
	must(step(d, ZG_SV_SUSPEND, &adm, "", &end), &end);
	assert_true(file_says(d, "wiki.json", "\"state\":\"suspended\""));
	refused(step(d, ZG_SV_RESUME, &adm, "", &end), &end, "not_authorised");
	must(step(d, ZG_SV_RESUME, &own, "", &end), &end);
	assert_true(file_says(d, "wiki.json", "\"state\":\"suspended\"")); /* until it is taken */
	parent_says(d, "");
	assert_true(file_says(d, "wiki.json", "\"state\":\"live\""));
	must(step(d, ZG_SV_REVOKE, &adm, "", &end), &end);
	assert_true(file_says(d, "wiki.json", "\"state\":\"revoked\""));
	refused(step(d, ZG_SV_RESUME, &sec, "", &end), &end, "already_decided");
	make_live(d, "{one}");
	assert_int_equal(row_of(d).state, ZG_SS_LIVE);
}

static void a_trial_does_not_outlive_a_stop(void **state)
{
	struct desk *d = *state;
	struct zg_msg_ctl_end end;

	make_live(d, "{one}");
	must(submit(d, "wiki", "{two}", &adm, &end), &end);
	must(step(d, ZG_SV_APPROVE, &sec, "{two}", &end), &end);
	must(step(d, ZG_SV_APPROVE, &own, "{two}", &end), &end);
	must(step(d, ZG_SV_SUSPEND, &adm, "", &end), &end);
	assert_false(file_says(d, "wiki.trial", ""));
	parent_says(d, "");
	assert_int_equal(row_of(d).state, ZG_SS_SUSPENDED);
	assert_string_equal(row_of(d).problem, "");
}

static void approvals_given_before_a_suspension_are_void(void **state)
{
	struct desk *d = *state;
	struct zg_msg_ctl_end end;

	make_live(d, "{one}");
	must(submit(d, "wiki", "{two}", &adm, &end), &end);
	must(step(d, ZG_SV_APPROVE, &sec, "{two}", &end), &end);
	must(step(d, ZG_SV_SUSPEND, &sec, "", &end), &end);
	must(step(d, ZG_SV_APPROVE, &own, "{two}", &end), &end);
	parent_says(d, "");
	assert_int_equal(row_of(d).state, ZG_SS_SUSPENDED);
	assert_false(file_says(d, "wiki.trial", ""));
	/* nor does the owner alone bring back what two had approved */
	must(step(d, ZG_SV_APPROVE, &sec, "{two}", &end), &end);
	assert_true(file_says(d, "wiki.trial", "{two}"));
	must(step(d, ZG_SV_REVOKE, &adm, "", &end), &end);
	refused(step(d, ZG_SV_APPROVE, &own, "{two}", &end), &end, "not_found");
	assert_int_equal(row_of(d).state, ZG_SS_REVOKED);
}

static void no_step_without_a_reason(void **state)
{
	static const char *const blank[] = {"", "  ", " \t "};
	struct desk *d = *state;
	struct zg_msg_ctl_server_submit m = {.id = "mute", .owner = "Platform", .bytes = 5};
	struct zg_msg_ctl_end end;
	uint64_t wait;

	make_live(d, "{one}");
	zg_sha256(m.sha256, "{one}", 5);
	for (size_t i = 0; i < sizeof(blank) / sizeof(blank[0]); i++) {
		memcpy(m.reason, blank[i], strlen(blank[i]) + 1);
		refused(zg_servers_submit(&d->servers, &m, ZG_SLICE("{one}"), &adm, &end), &end,
			"invalid: a step");
		for (uint32_t verb = ZG_SV_APPROVE; verb <= ZG_SV_REVOKE; verb++) {
			struct zg_msg_ctl_server_decide s = {.id = "wiki", .verb = verb};

			memcpy(s.reason, blank[i], strlen(blank[i]) + 1);
			refused(zg_servers_decide(&d->servers, &s, &root, &wait, &end), &end,
				"invalid: a step");
		}
	}
	assert_int_equal(row_of(d).state, ZG_SS_LIVE);
}

static void what_is_shown_is_text_and_the_file_says_it(void **state)
{
	struct desk *d = *state;
	struct zg_msg_ctl_server_submit m = {.id = "wiki",
					     .owner = "Platform",
					     .bytes = 5,
					     .reason = "needed",
					     .transport = "\033[2J"};
	struct zg_msg_ctl_end end;

	zg_sha256(m.sha256, "{one}", 5);
	refused(zg_servers_submit(&d->servers, &m, ZG_SLICE("{one}"), &adm, &end), &end, "invalid");
	m.transport[0] = '\0';
	memcpy(m.owner, "Plat\nform", sizeof("Plat\nform"));
	refused(zg_servers_submit(&d->servers, &m, ZG_SLICE("{one}"), &adm, &end), &end, "invalid");
	make_live(d, "{one}");
	assert_true(file_says(d, "wiki.json", "\"endpoint\":\"https://w.example/\\\"\""));
}

static void what_was_acknowledged_outlives_a_crash(void **state)
{
	struct desk *d = *state;
	struct zg_msg_ctl_end end;
	struct zg_msg_ctl_server_step first;
	int64_t at = 0;

	make_live(d, "{one}");
	must(step(d, ZG_SV_REVOKE, &sec, "", &end), &end);
	/* the files are the rows' shadow: whatever becomes of them */
	assert_int_equal(unlinkat(d->state_dir, "registry/wiki.json", 0), 0);
	assert_int_equal(mknodat(d->state_dir, "registry/ghost.json", S_IFREG | 0600, 0), 0);
	reopen(d);
	assert_true(file_says(d, "wiki.json", "\"state\":\"revoked\""));
	assert_int_equal(faccessat(d->state_dir, "registry/ghost.json", F_OK, 0), -1);
	assert_true(zg_servers_tell(&d->servers));
	assert_int_equal(row_of(d).state, ZG_SS_REVOKED);
	assert_int_equal(zg_servers_steps(&d->servers, "wiki", &at, &first), 0);
	assert_string_equal(first.what, "server.submit");
	assert_int_equal(first.uid, adm.uid);
	/* approved, and not taken yet: tried again */
	must(submit(d, "wiki", "{two}", &adm, &end), &end);
	must(step(d, ZG_SV_APPROVE, &sec, "{two}", &end), &end);
	must(step(d, ZG_SV_APPROVE, &own, "{two}", &end), &end);
	reopen(d);
	assert_true(file_says(d, "wiki.trial", "{two}"));
}

static void nothing_holds_that_cannot_be_recorded(void **state)
{
	struct desk *d = *state;
	struct zg_msg_ctl_end end;

	make_live(d, "{one}");
	d->trail.failed = ENOSPC;
	refused(step(d, ZG_SV_SUSPEND, &adm, "", &end), &end, "storage");
	refused(submit(d, "wiki", "{two}", &adm, &end), &end, "storage");
	d->trail.failed = 0;
	assert_int_equal(row_of(d).state, ZG_SS_LIVE);
	assert_int_equal(row_of(d).pending, ZG_SP_NONE);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(two_people_make_it_live),
		TEST(the_wrong_people),
		TEST(root_is_one_person),
		TEST(a_new_entry_voids_the_approvals_of_the_old),
		TEST(what_cannot_be_in_force_is_taken_out_of_the_way),
		TEST(stopping_and_going_on),
		TEST(a_trial_does_not_outlive_a_stop),
		TEST(approvals_given_before_a_suspension_are_void),
		TEST(no_step_without_a_reason),
		TEST(what_is_shown_is_text_and_the_file_says_it),
		TEST(what_was_acknowledged_outlives_a_crash),
		TEST(nothing_holds_that_cannot_be_recorded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
