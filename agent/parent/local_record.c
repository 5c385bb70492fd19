/* SPDX-License-Identifier: Apache-2.0 */
/*
 * local_record.c - what the audit log says of local servers (local.h): started,
 * ended, zg_stdio_record_refused, and what was not passed on. Nothing that a server or a client
 * has said is in it.
 */
#include "local_impl.h"

#include <sys/wait.h>

static void record(struct zg_stdio *s, enum zg_record_kind kind, const char *text, int status)
{
	const struct zg_stdio_def *def = zg_snapshot_stdio(&s->parent->snapshot, s->server);
	struct zg_record r;

	zg_record_init(&r, kind);
	zg_record_str(&r, ZG_RF_message, zg_slice_str(text));
	zg_record_principal(&r, &s->caller);
	zg_record_str(&r, ZG_RF_server, zg_slice_str(s->server));
	zg_record_bytes(&r, ZG_RF_snapshot, s->parent->snapshot.header->id);
	if (def) {
		zg_record_str(&r, ZG_RF_file, zg_slice_str(def->command));
		zg_record_bytes(&r, ZG_RF_args_sha256, def->args_sha256);
	}
	if (s->cgroup.path[0])
		zg_record_str(&r, ZG_RF_evidence, zg_slice_str(s->cgroup.limits));
	if (kind == ZG_RK_SERVER_EXIT) {
		ZG_REC_NUM(&r, duration_us, (zg_parent_now_ms() - s->started_ms) * 1000);
		if (WIFSIGNALED(status))
			ZG_REC_NUM(&r, signal, (uint64_t)WTERMSIG(status));
		else
			ZG_REC_NUM(&r, status, (uint64_t)WEXITSTATUS(status));
	}
	(void)zg_events_record(s->parent, &r);
}

void zg_stdio_record_start(struct zg_stdio *s)
{
	char text[2 * ZG_REASON_LEN];

	(void)snprintf(text, sizeof(text), "server %s started (pid %d) in %s for pid %u", s->server,
		       (int)s->pid, s->cgroup.path, s->caller.pid);
	record(s, ZG_RK_SERVER_START, text, 0);
}

void zg_stdio_record_exit(struct zg_stdio *s, int status)
{
	char text[2 * ZG_REASON_LEN];

	if (WIFSIGNALED(status))
		(void)snprintf(text, sizeof(text),
			       "server %s (pid %d) in %s was ended by signal %d (%s)", s->server,
			       (int)s->pid, s->cgroup.path, WTERMSIG(status),
			       strsignal(WTERMSIG(status)));
	else
		(void)snprintf(text, sizeof(text), "server %s (pid %d) in %s ended with status %d",
			       s->server, (int)s->pid, s->cgroup.path, WEXITSTATUS(status));
	record(s, ZG_RK_SERVER_EXIT, text, status);
}

void zg_stdio_record_odd(struct zg_stdio *s, const struct zg_msg_stdio_closed *m)
{
	char text[ZG_REASON_LEN];

	(void)snprintf(text, sizeof(text),
		       "server %s: %llu lines that were no message, %llu messages not passed on, "
		       "%llu lines of its log not shown",
		       s->server, (unsigned long long)m->garbage, (unsigned long long)m->withheld,
		       (unsigned long long)m->muted);
	record(s, ZG_RK_SERVER_REFUSE, text, 0);
}

void zg_stdio_record_refused(struct zg_parent *p, const struct zg_stdio *s, const struct zg_err *e)
{
	struct zg_stdio about = {.parent = p, .caller = s->caller};

	memcpy(about.server, s->server, sizeof(about.server));
	record(&about, ZG_RK_SERVER_REFUSE, e->what, 0);
}
