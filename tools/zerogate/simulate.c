/* SPDX-License-Identifier: Apache-2.0 */
/*
 * simulate.c - zerogate policy simulate: the calls of the audit log, judged by a
 * candidate, and what would come out otherwise. Trust: records may hold anything; for
 * a person they are shown with control characters made visible. Reads, and changes
 * nothing. Whether the log is whole is asked of zerogate audit verify.
 */
#include "simulate.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "chain.h"
#include "policy.h"
#include "segments.h"
#include "verify.h"

#define LAST_DEFAULT 10000 /* records to ask the agent for */

struct simulate {
	struct zg_replay candidate;
	struct zg_replay now; /* to tell what depends on arguments as it does today */
	bool has_now;
	const char *unknown; /* what an answer may depend on, in words */
	json_t *groups;	     /* by their own text */
	json_t *seen;	     /* calls that were counted */
	uint64_t calls, stricter, looser, depends, lines, bad;
	bool failed;
};

static const char *text_of(const json_t *o, const char *name)
{
	const char *text = json_string_value(json_object_get(o, name));

	return text ? text : "";
}

/* --- which records count --------------------------------------------------------- */

static bool is_call(const json_t *record)
{
	static const char *const kinds[] = {"call.intent", "call.deny", "approval.request",
					    "server.request"};
	bool known = false;

	for (size_t i = 0; i < ZG_COUNT(kinds); i++)
		known = known || strcmp(text_of(record, "kind"), kinds[i]) == 0;
	/* a connection that waits for approval has an address; what the protocol does not
	 * have in the client's version is refused whatever policy says */
	return known && text_of(record, "server")[0] && text_of(record, "method")[0] &&
	       !json_object_get(record, "address") &&
	       json_integer_value(json_object_get(record, "status")) != 404;
}

/* Each once: a call that waited for people has several records. */
static bool is_new(struct simulate *s, const json_t *record)
{
	char key[ZG_NAME_LEN + ZG_METHOD_LEN + 32];
	const char *approval = text_of(record, "approval");
	json_int_t call = json_integer_value(json_object_get(record, "call"));

	if (approval[0])
		(void)snprintf(key, sizeof(key), "a %.64s", approval);
	else if (text_of(record, "direction")[0])
		return true; /* a server may ask several times during one call */
	else
		(void)snprintf(key, sizeof(key), "c %lld", (long long)call);
	if (json_object_get(s->seen, key))
		return false;
	s->failed = s->failed || json_object_set_new(s->seen, key, json_true()) < 0;
	return true;
}

static enum zg_decision_kind decision_of(const json_t *record)
{
	const char *text = text_of(record, "decision");

	for (int i = 0; i < ZG_D_MAX; i++)
		if (strcmp(text, zg_decision_text((enum zg_decision_kind)i)) == 0)
			return (enum zg_decision_kind)i;
	return strcmp(text_of(record, "kind"), "approval.request") == 0 ? ZG_D_REQUIRE_APPROVAL
									: ZG_D_DENY;
}

/* --- what would come of them ------------------------------------------------------- */

static bool same_outcomes(const struct zg_outcomes *a, const struct zg_outcomes *b)
{
	for (int i = 0; i < ZG_REPLAY_WAYS; i++)
		if (a->way[i].kind != b->way[i].kind)
			return false;
	return true;
}

static void add_group(struct simulate *s, const json_t *record, const struct zg_outcomes *o,
		      enum zg_decision_kind was, const char *effect)
{
	bool depends = o->least != o->most;
	json_t *g = json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s}", "effect", effect, "server",
			      text_of(record, "server"), "method", text_of(record, "method"),
			      "tool", text_of(record, "tool"), "action",
			      o->action == ZG_ACTION_READ ? "read" : "write", "from",
			      zg_decision_text(was), "to", zg_decision_text(o->least), "from_rules",
			      text_of(record, "rules"), "to_rules", o->way[0].rules);
	zg_autofree char *key = NULL;
	json_t *old;

	if (g && depends)
		s->failed =
			json_object_set_new(g, "or", json_string(zg_decision_text(o->most))) < 0 ||
			json_object_set_new(g, "depends_on", json_string(s->unknown)) < 0 ||
			s->failed;
	key = g ? json_dumps(g, JSON_COMPACT) : NULL;
	old = key ? json_object_get(s->groups, key) : NULL;
	s->failed = s->failed || !key;
	if (old) {
		json_t *count = json_object_get(old, "count");

		s->failed = json_integer_set(count, json_integer_value(count) + 1) < 0 || s->failed;
	} else if (key) {
		s->failed = json_object_set_new(g, "count", json_integer(1)) < 0 ||
			    json_object_set(s->groups, key, g) < 0 || s->failed;
	}
	json_decref(g);
}

static void compare(struct simulate *s, const json_t *record)
{
	enum zg_decision_kind was = decision_of(record);
	struct zg_outcomes o, now;
	bool depends;

	zg_replay_judge(&s->candidate, record, &o);
	depends = o.least != o.most;
	s->calls++;
	if (depends && s->has_now) {
		zg_replay_judge(&s->now, record, &now);
		if (same_outcomes(&o, &now))
			return;
	}
	if (o.most < was) {
		s->stricter++;
		add_group(s, record, &o, was, "stricter");
	} else if (o.least > was) {
		s->looser++;
		add_group(s, record, &o, was, "looser");
	} else if (depends) {
		s->depends++;
		add_group(s, record, &o, was, "depends");
	}
}

static bool take_line(void *arg, struct zg_slice line)
{
	struct simulate *s = arg;
	json_t *record = json_loadb(line.ptr, line.len, 0, NULL);

	s->lines++;
	if (!record)
		s->bad++;
	else if (is_call(record) && is_new(s, record))
		compare(s, record);
	json_decref(record);
	return !s->failed;
}

/* --- where they come from ------------------------------------------------------------- */

static int read_segment(void *arg, int dir, const char *name)
{
	struct simulate *s = arg;
	static char line[ZG_CHAIN_LINE_MAX + 2];
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	zg_autofile FILE *f = fd < 0 ? NULL : fdopen(fd, "r");
	bool inside = false; /* a line that is too long to be the ledger's */

	if (!f) {
		int err = errno;

		zg_close_(&fd);
		return -err;
	}
	while (!s->failed && fgets(line, sizeof(line), f)) {
		size_t n = strlen(line);
		bool ends = n && line[n - 1] == '\n';

		if (ends && !inside)
			(void)take_line(s, (struct zg_slice){line, n - 1});
		else if (ends)
			s->bad++;
		inside = !ends;
	}
	return ferror(f) ? -EIO : 0;
}

static int ask_agent(struct simulate *s, const struct zg_policy_args *a)
{
	const struct zg_msg_ctl_audit_tail ask = {.records = a->last ? a->last : LAST_DEFAULT};

	return zg_audit_follow(a->cli, &ask, take_line, s);
}

/* The folder that is named; that of the configuration; what the agent tells. */
static int read_all(struct simulate *s, const struct zg_policy_args *a)
{
	zg_autofree char *own = a->audit || a->last ? NULL : zg_audit_dir(a->config);
	const char *dir = a->audit ? a->audit : own;
	int rc;

	if (!dir)
		return a->last ? ask_agent(s, a) : ZG_EXIT_USAGE;
	rc = zg_segments_each(dir, read_segment, s);
	if (rc < 0 && own && (rc == -ENOENT || rc == -EACCES))
		return ask_agent(s, a);
	if (rc < 0)
		fprintf(stderr, "zerogate: no audit log in %s: %s\n", dir, strerror(-rc));
	return rc < 0 ? ZG_EXIT_USAGE : ZG_EXIT_OK;
}

/* --- the answer ---------------------------------------------------------------------------- */

static int by_count(const void *a, const void *b)
{
	const json_t *x = *(json_t *const *)a, *y = *(json_t *const *)b;
	json_int_t n = json_integer_value(json_object_get(x, "count")),
		   m = json_integer_value(json_object_get(y, "count"));
	int c = strcmp(text_of(x, "server"), text_of(y, "server"));

	if (n != m)
		return n > m ? -1 : 1;
	c = c ? c : strcmp(text_of(x, "tool"), text_of(y, "tool"));
	return c ? c : strcmp(text_of(x, "method"), text_of(y, "method"));
}

static void print_row(const json_t *g)
{
	printf("%6lld  %-8s  ", (long long)json_integer_value(json_object_get(g, "count")),
	       text_of(g, "effect"));
	zg_print_safe(stdout, text_of(g, "server"));
	putchar(' ');
	zg_print_safe(stdout, text_of(g, "method"));
	if (text_of(g, "tool")[0]) {
		putchar(' ');
		zg_print_safe(stdout, text_of(g, "tool"));
	}
	printf(" (%s): %s -> %s", text_of(g, "action"), text_of(g, "from"), text_of(g, "to"));
	if (text_of(g, "or")[0])
		printf(" or %s: depends on %s", text_of(g, "or"), text_of(g, "depends_on"));
	fputs("  [", stdout);
	zg_print_safe(stdout, text_of(g, "from_rules"));
	fputs("] -> [", stdout);
	zg_print_safe(stdout, text_of(g, "to_rules"));
	fputs("]\n", stdout);
}

static bool print_groups(const struct simulate *s, bool json)
{
	size_t n = json_object_size(s->groups), i = 0;
	zg_autofree json_t **row = calloc(n + 1, sizeof(json_t *));
	const char *key;
	json_t *g;

	if (!row)
		return false;
	json_object_foreach(s->groups, key, g) row[i++] = g;
	qsort(row, n, sizeof(json_t *), by_count);
	if (n && !json)
		puts(" COUNT  EFFECT    CALL: DECISION  [RULES]");
	for (i = 0; i < n; i++) {
		if (!json)
			print_row(row[i]);
		else if (json_dumpf(row[i], stdout, JSON_COMPACT) < 0 || putchar('\n') == EOF)
			return false;
	}
	return true;
}

static int report(const struct simulate *s, const struct zg_policy_args *a)
{
	const unsigned long long changed = s->stricter + s->looser;

	if (s->failed || !print_groups(s, a->json)) {
		fputs("zerogate: out of memory\n", stderr);
		return ZG_EXIT_USAGE;
	}
	if (s->bad)
		fprintf(stderr, "zerogate: %llu of %llu lines are no records\n",
			(unsigned long long)s->bad, (unsigned long long)s->lines);
	printf(a->json ? "{\"calls\":%llu,\"changed\":%llu,\"stricter\":%llu,\"looser\":%llu,"
			 "\"depends\":%llu}\n"
		       : "%llu calls, %llu would change: %llu stricter, %llu looser; %llu may "
			 "change\n",
	       (unsigned long long)s->calls, changed, (unsigned long long)s->stricter,
	       (unsigned long long)s->looser, (unsigned long long)s->depends);
	return changed || s->depends ? ZG_EXIT_NO : ZG_EXIT_OK;
}

int zg_policy_simulate(const struct zg_policy_args *a)
{
	struct simulate s = {.groups = json_object(), .seen = json_object()};
	int status = ZG_EXIT_USAGE;

	if (a->audit && a->last)
		fputs("zerogate: policy simulate reads --audit DIR or asks for --last N\n", stderr);
	else if (s.groups && s.seen)
		status = zg_replay_open(&s.candidate, a->config);
	if (status == ZG_EXIT_OK && a->other) {
		status = zg_replay_open(&s.now, a->other);
		s.has_now = true;
	}
	if (status == ZG_EXIT_OK) {
		s.unknown = zg_policy_asks_executable(&s.candidate.policy)
				    ? "arguments or the executable"
				    : "arguments";
		status = read_all(&s, a);
	}
	if (status == ZG_EXIT_OK || s.failed)
		status = report(&s, a);
	zg_replay_close(&s.candidate);
	zg_replay_close(&s.now);
	json_decref(s.groups);
	json_decref(s.seen);
	return status;
}
