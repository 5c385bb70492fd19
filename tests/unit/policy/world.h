/* SPDX-License-Identifier: Apache-2.0 */
/*
 * world.h - a whole configuration from texts in memory, as the config role
 * compiles it, for tests of policy and config.
 */
#ifndef ZG_TEST_WORLD_H
#define ZG_TEST_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <errno.h>
#include <stddef.h>

#include <cmocka.h>

#include "build.h"
#include "decide.h"
#include "model.h"

struct world {
	struct zg_diag diag;
	struct zg_buf snapshot;
	struct zg_build_counts counts;
	uint8_t id[32];
	struct zg_policy policy;
	bool ok;
};

#define WORLD_MAIN "version: v1\nprofiles: {agent: {cgroups: [a], servers: ['*']}}\n"

static const char *const world_servers[] = {
	"{\"name\":\"a.b/github\",\"description\":\"d\",\"version\":\"1\",\"remotes\":[{\"type\":"
	"\"streamable-http\",\"url\":\"http://127.0.0.1:7001/mcp\"}],\"_meta\":{\"dev.zerogate/"
	"registry\":{\"id\":\"github\",\"labels\":{\"env\":\"prod\",\"team\":\"core\"},"
	"\"risk_tags\":[\"prod\"],\"tools\":{\"get_*\":{\"action\":\"read\"},\"get_secret*\":{"
	"\"action\":\"write\",\"risk_tags\":[\"secret\"]},\"get_secret_name\":{\"action\":\"read\","
	"\"labels\":{\"env\":\"none\"}},\"create_issue\":{\"action\":\"write\",\"risk_tags\":["
	"\"non_prod\"]},\"push\":{\"action\":\"write\",\"risk_tags\":[\"prod\",\"non_prod\"]},"
	"\"plain\":{\"action\":\"write\",\"risk_tags\":[]}}}}}",
	"{\"name\":\"a.b/slack\",\"description\":\"d\",\"version\":\"1\",\"remotes\":[{\"type\":"
	"\"streamable-http\",\"url\":\"http://127.0.0.1:7002/mcp\"}],\"_meta\":{\"dev.zerogate/"
	"registry\":{\"id\":\"slack\"}}}",
	NULL,
};

/* Who has which uid, for worlds to come; NULL: nobody can tell. */
static zg_user_fn *world_user;

/* Policies end with NULL; main NULL = WORLD_MAIN. */
static inline void world_make(struct world *w, const char *main_text, const char *const *policies,
			      const char *const *servers)
{
	struct zg_build *b;
	char name[32];

	*w = (struct world){.snapshot = ZG_BUF(ZG_SNAPSHOT_BYTES)};
	b = zg_build_new(&w->diag);
	assert_non_null(b);
	zg_build_add(b, ZG_CF_MAIN, "main", zg_slice_str(main_text ? main_text : WORLD_MAIN));
	for (int i = 0; policies && policies[i]; i++) {
		(void)snprintf(name, sizeof(name), "p%d", i);
		zg_build_add(b, ZG_CF_POLICY, name, zg_slice_str(policies[i]));
	}
	for (int i = 0; servers && servers[i]; i++) {
		(void)snprintf(name, sizeof(name), "s%d", i);
		zg_build_add(b, ZG_CF_SERVER, name, zg_slice_str(servers[i]));
	}
	if (world_user)
		assert_int_equal(zg_build_users(b, world_user, NULL), 0);
	w->ok = zg_build_finish(b, ZG_BUILD_POLICY, &w->snapshot, w->id, &w->counts) == 0;
	zg_build_free(b);
	if (w->ok) {
		const struct zg_snapshot_header *h = (const void *)w->snapshot.ptr;

		assert_int_equal(zg_policy_open(&w->policy,
						w->snapshot.ptr + h->section[ZG_S_POLICY].offset,
						h->section[ZG_S_POLICY].bytes, NULL),
				 0);
	}
}

static inline void world_end(struct world *w)
{
	zg_policy_close(&w->policy);
	zg_diag_release(&w->diag);
	zg_buf_release(&w->snapshot);
}

/* Rules as the text below "rules:" to a world with the usual servers. */
static inline void world_rules(struct world *w, const char *rules)
{
	char text[8192];
	const char *policies[] = {text, NULL};

	assert_true(snprintf(text, sizeof(text), "version: v1\nrules:\n%s", rules) <
		    (int)sizeof(text));
	world_make(w, NULL, policies, world_servers);
	if (!w->ok)
		print_message("line %u: %s\n", w->diag.item[0].line, w->diag.item[0].what);
	assert_true(w->ok);
}

/* Judge a call; "" = no tool. */
static inline struct zg_decision judge(const struct world *w, const char *server,
				       const char *method, const char *tool)
{
	struct zg_envelope env = {.server = zg_slice_str(server),
				  .method = zg_slice_str(method),
				  .tool = zg_slice_str(tool)};
	struct zg_decision d;

	if (zg_envelope_classify(&w->policy, &env) < 0)
		assert_int_equal(env.action, ZG_ACTION_WRITE);
	zg_decide(&w->policy, &env, &d);
	return d;
}

/* What the first error says can be done, or "". */
static inline const char *first_hint(const struct world *w)
{
	for (size_t i = 0; i < w->diag.kept; i++)
		if (!w->diag.notice[i])
			return w->diag.item[i].hint;
	return "";
}

/* "file:line:column: what" of the first error, or "". */
static inline const char *first_error(const struct world *w)
{
	static char text[2 * ZG_PATH_LEN];

	text[0] = '\0';
	for (size_t i = 0; i < w->diag.kept && !text[0]; i++)
		if (!w->diag.notice[i])
			(void)snprintf(text, sizeof(text), "%s:%u:%u: %s", w->diag.item[i].file,
				       w->diag.item[i].line, w->diag.item[i].column,
				       w->diag.item[i].what);
	return text;
}

#endif
