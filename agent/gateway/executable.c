/* SPDX-License-Identifier: Apache-2.0 */
/* executable.c - see executable.h. Trust: the kernel's and the parent's words only. */
#include "executable.h"

#include <errno.h>

#include "ipc.h"
#include "request.h"

void zg_exe_names_release(struct zg_exe_names *n)
{
	free(n->entry);
	n->entry = NULL;
}

static struct zg_msg_exe_query query_of(const struct zg_request *r)
{
	return (struct zg_msg_exe_query){.start_ns = r->origin.start_ns,
					 .exe_ino = r->origin.exe_ino,
					 .exe_dev = r->origin.exe_dev,
					 .pid = r->origin.pid};
}

static bool same(const struct zg_msg_exe_query *a, const struct zg_msg_exe_query *b)
{
	return a->pid == b->pid && a->start_ns == b->start_ns && a->exe_ino == b->exe_ino &&
	       a->exe_dev == b->exe_dev;
}

static struct zg_exe_name *place_of(struct zg_exe_names *n, const struct zg_msg_exe_query *q)
{
	if (!n->entry)
		n->entry = calloc(ZG_EXE_NAMES, sizeof(*n->entry));
	return n->entry ? &n->entry[q->pid % ZG_EXE_NAMES] : NULL;
}

static void take(struct zg_request *r, const struct zg_msg_exe_answer *a)
{
	r->executable = zg_request_text(r, "%s", a->path);
	r->executable_hashed = a->hashed;
	memcpy(r->executable_sha256, a->sha256, sizeof(r->executable_sha256));
	r->executable_asked = false;
}

/* Unknown is an answer too: who executes what cannot be told goes on without. */
enum zg_next zg_step_exe(struct zg_request *r)
{
	struct zg_worker *w = r->worker;
	struct zg_msg_exe_query q = query_of(r);
	struct zg_exe_name *e;

	if (r->executable || !q.exe_ino || !zg_policy_asks_executable(&r->live->policy))
		return ZG_NEXT;
	e = place_of(&w->executables, &q);
	if (!e)
		return ZG_NEXT;
	if (same(&e->is.of, &q) && !e->asked) {
		take(r, &e->is);
		return ZG_NEXT;
	}
	if (!same(&e->is.of, &q) || !e->asked) {
		if (zg_msg_send(w->channel, ZG_MSG_EXE_QUERY, &q, -1) < 0)
			return ZG_NEXT;
		*e = (struct zg_exe_name){.asked = true, .is.of = q};
	}
	r->executable_asked = true;
	return ZG_WAIT;
}

void zg_executable_answer(struct zg_worker *w, struct zg_msg_exe_answer *m)
{
	struct zg_exe_name *e = place_of(&w->executables, &m->of);
	struct zg_request *r, *next;

	ZG_MSG_TEXT(m->path);
	/* what is not known now may be asked for again: by the next request */
	if (e && (m->path[0] || m->hashed))
		*e = (struct zg_exe_name){.is = *m};
	else if (e && same(&e->is.of, &m->of))
		*e = (struct zg_exe_name){0};
	for (r = TAILQ_FIRST(&w->requests); r; r = next) {
		const struct zg_msg_exe_query q = query_of(r);

		next = TAILQ_NEXT(r, link);
		if (!r->executable_asked || !same(&q, &m->of))
			continue;
		take(r, m);
		zg_request_run(r);
	}
}

void zg_executable_fill(const struct zg_request *r, struct zg_envelope *env)
{
	env->executable = zg_slice_str(r->executable ? r->executable : "");
	env->executable_sha256 = r->executable_hashed ? r->executable_sha256 : NULL;
}
