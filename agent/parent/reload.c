/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reload.c - see reload.h. Trust: the snapshot's writer is unprivileged; it is
 * checked (zg_snapshot_open) before the kernel gate or a child sees it.
 */
#include "reload.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>

#include "connection.h"
#include "log.h"
#include "prepare.h"
#include "secrets.h"
#include "secret_files.h"
#include "local.h"
#include "watch.h"
#include "withdraw.h"

/* Grows over restarts as well: by the wall clock, or by one. */
static uint64_t next_generation(const struct zg_parent *p)
{
	struct timespec now;
	uint64_t ms;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
	return ms > p->generation ? ms : p->generation + 1;
}

static int adopt(uint64_t id, uint32_t profile, void *arg)
{
	return zg_cgroups_adopt(&((struct zg_parent *)arg)->cgroups, id, profile);
}

/* Attached only while a profile asks: it costs (SECURITY.md). Where the kernel
 * cannot, the rest is in force all the same, and enforcement says so. */
static void watch_stdio(struct zg_parent *p, const struct zg_snapshot *s)
{
	struct zg_err e = {0};
	char text[ZG_REASON_LEN];
	bool wanted = false;

	for (size_t i = 0; i < s->profile_count; i++)
		wanted = wanted || s->profiles[i].shadow_stdio != ZG_SHADOW_OFF;
	if (zg_kernel_layer_want(p->kernel, ZG_KL_STDIO, wanted, &e) < 0)
		zg_log(ZG_LOG_WARN, "shadow_mcp stdio is not watched: %s",
		       zg_err_text(&e, text, sizeof(text)));
}

int zg_reload_adopt(struct zg_parent *p)
{
	return zg_kernel_members(p->kernel, adopt, p);
}

static int apply(struct zg_parent *p, const struct zg_snapshot *s, uint64_t generation,
		 struct zg_err *e)
{
	int rc = zg_names_stage(p->names, s, e);

	if (rc == 0)
		rc = zg_kernel_apply(p->kernel, s, generation, e);
	if (rc < 0)
		return rc;
	watch_stdio(p, s);
	rc = zg_reload_adopt(p);
	if (rc < 0)
		return zg_err_set(e, -rc, "cannot read who is governed: %s", strerror(-rc));
	return zg_cgroups_follow(&p->cgroups, s->cgroups, s->cgroup_count, e);
}

#define IN_FORCE  "a configuration is in force"
#define UNCHANGED "the configuration was read again and is unchanged"

static void record(struct zg_parent *p, enum zg_record_kind kind, const char *message,
		   const struct zg_err *e)
{
	struct zg_record r;
	char text[ZG_PATH_LEN + 2 * ZG_REASON_LEN];

	zg_record_init(&r, kind);
	if (e) {
		zg_record_str(&r, ZG_RF_message, zg_slice_str(zg_err_text(e, text, sizeof(text))));
		zg_record_str(&r, ZG_RF_reason, zg_slice_str(e->what));
		zg_record_str(&r, ZG_RF_file, zg_slice_str(e->file));
		if (e->line) {
			ZG_REC_NUM(&r, line, e->line);
			ZG_REC_NUM(&r, column, e->column);
		}
		ZG_REC_NUM(&r, count, p->configure.errors ? p->configure.errors : 1);
	} else {
		zg_record_str(&r, ZG_RF_message, zg_slice_str(message));
	}
	/* of what is in force, before or after */
	zg_record_bytes(&r, ZG_RF_snapshot, p->snapshot.header->id);
	(void)zg_events_record(p, &r);
}

/* Servers that are given what clients prove themselves with: told at each load. */
static void record_passthrough(struct zg_parent *p)
{
	for (size_t i = 0; i < p->snapshot.server_count; i++) {
		const struct zg_server_def *s = &p->snapshot.servers[i];
		char text[ZG_REASON_LEN + 128];
		struct zg_record r;

		if (!s->passthrough)
			continue;
		(void)snprintf(text, sizeof(text), "%s is given its clients' Authorization: %s",
			       s->id, s->passthrough_reason);
		zg_record_init(&r, ZG_RK_POLICY_LOAD);
		zg_record_str(&r, ZG_RF_message, zg_slice_str(text));
		zg_record_str(&r, ZG_RF_server, zg_slice_str(s->id));
		zg_record_str(&r, ZG_RF_reason, zg_slice_str(s->passthrough_reason));
		zg_record_bytes(&r, ZG_RF_snapshot, p->snapshot.header->id);
		(void)zg_events_record(p, &r);
	}
}

static void shadow_text(const struct zg_parent *p, char *out, size_t size)
{
	const struct zg_shadow_def *d = p->snapshot.shadow;
	struct zg_err e = p->configure.shadow_left_out;
	char text[ZG_PATH_LEN + 2 * ZG_REASON_LEN];

	if (d && d->broken) {
		e = (struct zg_err){.line = d->line, .column = d->column};
		memcpy(e.file, d->file, sizeof(e.file));
		memcpy(e.what, d->what, sizeof(e.what));
	}
	if (d && !d->broken)
		(void)snprintf(out, size, "on trial: %u rules", d->rules);
	else if (e.what[0])
		(void)snprintf(out, size, "broken: %s", zg_err_text(&e, text, sizeof(text)));
	else
		(void)snprintf(out, size, "%s", "");
}

/* Once for each thing that there is to say of it. */
static void record_shadow(struct zg_parent *p)
{
	const struct zg_shadow_def *d = p->snapshot.shadow;
	char text[sizeof(p->shadow_told) - 80], told[sizeof(p->shadow_told)], hex[65] = "";
	struct zg_record r;

	shadow_text(p, text, sizeof(text));
	if (d)
		zg_hex(hex, d->id, sizeof(d->id));
	(void)snprintf(told, sizeof(told), "%s %s", hex, text);
	if (strcmp(told, p->shadow_told) == 0)
		return;
	memcpy(p->shadow_told, told, sizeof(told));
	zg_log(strncmp(text, "broken", 6) == 0 ? ZG_LOG_WARN : ZG_LOG_NOTICE, "shadow policy %s",
	       text[0] ? text : "none");
	zg_record_init(&r, ZG_RK_POLICY_SHADOW);
	zg_record_str(&r, ZG_RF_message,
		      text[0] ? zg_slice_str(text) : ZG_SLICE("no policy is on trial any more"));
	if (d && d->broken) {
		zg_record_str(&r, ZG_RF_file, zg_slice_str(d->file));
		zg_record_str(&r, ZG_RF_reason, zg_slice_str(d->what));
		ZG_REC_NUM(&r, line, d->line);
		ZG_REC_NUM(&r, column, d->column);
	}
	(void)zg_events_record(p, &r);
}

void zg_reload_shadow_status(const struct zg_parent *p, struct zg_msg_ctl_status *out)
{
	uint64_t *const sum[ZG_RC_MAX] = {
		[ZG_RC_SHADOW_CALLS] = &out->shadow_calls,
		[ZG_RC_SHADOW_STRICTER] = &out->shadow_stricter,
		[ZG_RC_SHADOW_LOOSER] = &out->shadow_looser,
		[ZG_RC_SHADOW_OTHER] = &out->shadow_other,
	};
	char text[ZG_PATH_LEN + 2 * ZG_REASON_LEN];

	shadow_text(p, text, sizeof(text));
	(void)zg_str_cut(out->shadow, sizeof(out->shadow), zg_slice_str(text));
	for (uint32_t i = 1; i <= p->children.workers; i++)
		for (int n = 0; p->children.ring[i].shared && n < ZG_RC_MAX; n++)
			*sum[n] += zg_ring_counted(&p->children.ring[i], (enum zg_ring_counter)n);
}

int zg_reload_apply(struct zg_parent *p, struct zg_err *e)
{
	uint64_t generation = next_generation(p);
	int rc = apply(p, &p->snapshot, generation, e);

	if (rc < 0)
		return rc;
	p->generation = generation;
	zg_names_settle(p->names);
	record(p, ZG_RK_POLICY_LOAD, IN_FORCE, NULL);
	record_passthrough(p);
	record_shadow(p);
	return 0;
}

/* Settings that only a restart can change. */
static void warn_of_restart(const struct zg_settings *was, const struct zg_settings *now)
{
	const struct {
		const char *what;
		bool differs;
	} rows[] = {
		{"listen.auth", memcmp(was->auth, now->auth, sizeof(was->auth)) != 0},
		{"policies", strcmp(was->policies, now->policies) != 0},
		{"servers", strcmp(was->servers, now->servers) != 0},
		{"state_dir", strcmp(was->state_dir, now->state_dir) != 0},
		{"runtime_dir", strcmp(was->runtime_dir, now->runtime_dir) != 0},
		{"pin_dir", strcmp(was->pin_dir, now->pin_dir) != 0},
		{"cgroup_root", strcmp(was->cgroup_root, now->cgroup_root) != 0},
		{"user", strcmp(was->user, now->user) != 0},
		{"ledger_user", strcmp(was->ledger_user, now->ledger_user) != 0},
		{"workers", was->workers != now->workers},
		{"listen", was->listen_count != now->listen_count ||
				   memcmp(was->listen, now->listen, sizeof(was->listen)) != 0},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (rows[i].differs)
			zg_log(ZG_LOG_WARN, "'%s' changes with the next restart only",
			       rows[i].what);
}

static bool same_bytes(int a, int b)
{
	struct stat of_a, of_b;
	void *x, *y;
	bool same;
	size_t n;

	if (fstat(a, &of_a) < 0 || fstat(b, &of_b) < 0 || of_a.st_size != of_b.st_size ||
	    !of_a.st_size)
		return false;
	n = (size_t)of_a.st_size;
	x = mmap(NULL, n, PROT_READ, MAP_PRIVATE, a, 0);
	y = mmap(NULL, n, PROT_READ, MAP_PRIVATE, b, 0);
	same = x != MAP_FAILED && y != MAP_FAILED && memcmp(x, y, n) == 0;
	if (x != MAP_FAILED)
		(void)munmap(x, n);
	if (y != MAP_FAILED)
		(void)munmap(y, n);
	return same;
}

/* Certificates of our own are made anew each time: that is no change. */
static bool same_secret(const struct zg_secrets *a, const struct zg_secrets *b, uint32_t i)
{
	const struct zg_secret *x = &a->entry[i], *y = &b->entry[i];
	bool minted = x->kind == ZG_SK_LEAF_CERT || x->kind == ZG_SK_LEAF_KEY;

	if (x->kind != y->kind || strcmp(x->name, y->name) != 0)
		return false;
	return minted ||
	       (x->bytes == y->bytes && memcmp((const char *)a->header + x->offset,
					       (const char *)b->header + y->offset, x->bytes) == 0);
}

static bool same_secrets(int a, int b)
{
	struct zg_secrets x, y;
	bool same;

	if (zg_secrets_open(&x, a) < 0)
		return false;
	if (zg_secrets_open(&y, b) < 0) {
		zg_secrets_close(&x);
		return false;
	}
	same = x.header->count == y.header->count;
	for (uint32_t i = 0; same && i < x.header->count; i++)
		same = same_secret(&x, &y, i);
	zg_secrets_close(&x);
	zg_secrets_close(&y);
	return same;
}

/* Whoever can change the files must not choose whose word for them is needed. */
static bool same_signers(const struct zg_settings *a, const struct zg_settings *b)
{
	return a->require_signed == b->require_signed && a->signer_count == b->signer_count &&
	       memcmp(a->signer, b->signer, sizeof(a->signer)) == 0;
}

/* The new snapshot everywhere; the old one goes only when the new one holds. 1:
 * it says what is in force already, which stays. */
static int take(struct zg_parent *p, struct zg_err *e)
{
	uint64_t generation = next_generation(p);
	struct zg_snapshot s;
	zg_autofd int secrets = -1;
	struct zg_people people;
	int rc = zg_snapshot_open(&s, p->configure.snapshot, e);

	if (rc < 0)
		return rc;
	rc = zg_people_find(&people, s.settings, e);
	if (rc < 0) {
		zg_snapshot_close(&s);
		return rc;
	}
	if (p->snapshot.settings->require_signed &&
	    !same_signers(p->snapshot.settings, s.settings)) {
		zg_snapshot_close(&s);
		rc = zg_err_set(e, EPERM,
				"policy_signers and require_signed have changed, "
				"and signatures are required");
		zg_err_hint(e, "restart zerogated");
		return rc;
	}
	/* of the same files: credentials are read again by a reload alone */
	secrets = p->recompiling ? fcntl(p->secrets_fd, F_DUPFD_CLOEXEC, 0)
				 : zg_parent_secrets(p, &s, e);
	if (p->recompiling && secrets < 0)
		(void)zg_err_set(e, errno, "cannot keep the secrets: %m");
	if (secrets < 0) {
		zg_snapshot_close(&s);
		return -EIO;
	}
	if (same_bytes(p->snapshot_fd, p->configure.snapshot) &&
	    same_secrets(p->secrets_fd, secrets)) {
		zg_snapshot_close(&s);
		zg_configure_keep(&p->configure, &p->texts);
		p->people = people;
		return 1;
	}
	rc = apply(p, &s, generation, e);
	if (rc < 0) {
		struct zg_err again;

		zg_snapshot_close(&s);
		if (apply(p, &p->snapshot, next_generation(p), &again) < 0)
			zg_log_err(ZG_LOG_ERR, "cannot restore the former configuration", &again);
		zg_connections_applied(p);
		return rc;
	}
	zg_snapshot_close(&p->snapshot);
	zg_close_(&p->snapshot_fd);
	p->snapshot = s;
	p->people = people;
	p->snapshot_fd = zg_take_fd(&p->configure.snapshot);
	zg_configure_keep(&p->configure, &p->texts);
	zg_close_(&p->secrets_fd);
	p->secrets_fd = zg_take_fd(&secrets);
	p->generation = generation;
	zg_names_settle(p->names);
	zg_connections_applied(p);
	zg_children_snapshot(p);
	zg_stdio_reconsider(p);
	zg_certs_publish(p);
	(void)zg_withdraw(p); /* what is left open is judged by packet */
	return 0;
}

static void load(struct zg_parent *p);

static void go_on_with_next(struct zg_parent *p)
{
	zg_reload_release(p);
	p->recompiling = p->registering = false;
	if (p->reload_again) {
		p->reload_again = p->recompile_again = false;
		p->reload_asked = p->reload_asked_again;
		p->reload_asked_again = false;
		load(p);
	} else if (p->recompile_again) {
		p->recompile_again = false;
		zg_parent_recompile(p);
	}
}

/* It was as it is: that is news only to somebody who asked, or after an error. */
static void finish_unchanged(struct zg_parent *p)
{
	if (p->reload_asked || p->last_reload_error[0]) {
		zg_log(ZG_LOG_NOTICE, "%s", UNCHANGED);
		record(p, ZG_RK_POLICY_LOAD, UNCHANGED, NULL);
	}
	p->last_reload_error[0] = '\0';
}

static void registered(struct zg_parent *p, const struct zg_err *e, bool unchanged)
{
	struct zg_msg_registry_taken m = {.change = p->registry_change, .error = e ? EINVAL : 0};
	char text[ZG_PATH_LEN + 2 * ZG_REASON_LEN];

	if (e) {
		zg_log_err(ZG_LOG_ERR, "what the registry says is not in force", e);
		(void)zg_str_cut(m.what, sizeof(m.what),
				 zg_slice_str(zg_err_text(e, text, sizeof(text))));
	} else if (!unchanged) {
		record(p, ZG_RK_POLICY_LOAD, "the registry as of now is in force", NULL);
		record_passthrough(p);
	}
	zg_children_tell_ledger(p, ZG_MSG_REGISTRY_TAKEN, &m, -1);
	go_on_with_next(p);
}

static void finish(struct zg_parent *p, const struct zg_err *e, bool unchanged)
{
	if (p->registering) {
		registered(p, e, unchanged);
		return;
	}
	if (p->recompiling) {
		if (e)
			zg_log_err(ZG_LOG_ERR, "new addresses of servers are not in force", e);
		go_on_with_next(p);
		return;
	}
	if (e) {
		zg_log_err(ZG_LOG_ERR, "reload: the former configuration stays", e);
		(void)zg_err_text(e, p->last_reload_error, sizeof(p->last_reload_error));
		record(p, ZG_RK_POLICY_REJECT, NULL, e);
	} else if (unchanged) {
		finish_unchanged(p);
	} else {
		zg_log(ZG_LOG_NOTICE, "reloaded");
		p->last_reload_error[0] = '\0';
		warn_of_restart(&p->settings, p->snapshot.settings);
		record(p, ZG_RK_POLICY_LOAD, IN_FORCE, NULL);
		record_passthrough(p);
	}
	if (!e)
		record_shadow(p);
	(void)sd_notify(0, "READY=1");
	if (!p->reload_asked_again)
		zg_control_reloaded(p, e, p->configure.errors);
	p->reload_asked = false;
	go_on_with_next(p);
}

static void go_on(struct zg_parent *p);

static void on_ready(evutil_socket_t sock, short what, void *arg)
{
	struct zg_parent *p = arg;
	struct zg_err e;

	(void)sock;
	if (what & EV_TIMEOUT) {
		(void)zg_err_set(&e, ETIMEDOUT, "no answer from the config role in %d s",
				 ZG_CONFIGURE_SEC);
		finish(p, &e, false);
		return;
	}
	go_on(p);
}

static void go_on(struct zg_parent *p)
{
	const struct timeval limit = {.tv_sec = ZG_CONFIGURE_SEC};
	struct zg_configure *c = &p->configure;
	struct zg_err e;
	short wants;
	int rc = zg_configure_step(c);

	if (p->configure_event)
		event_free(p->configure_event);
	p->configure_event = NULL;
	if (rc > 0) {
		rc = take(p, &e);
		finish(p, rc < 0 ? &e : NULL, rc > 0);
		return;
	}
	if (rc == 0) {
		wants = zg_configure_wants(c);
		p->configure_event = event_new(
			p->loop, c->sock, (short)(wants & POLLOUT ? EV_READ | EV_WRITE : EV_READ),
			on_ready, p);
		if (p->configure_event && event_add(p->configure_event, &limit) == 0)
			return;
		(void)zg_err_set(&c->first, ENOMEM, "no memory for a reload");
	}
	e = c->first;
	finish(p, &e, false);
}

static void report(void *arg, const struct zg_err *e)
{
	(void)arg;
	zg_log_err(ZG_LOG_ERR, "configuration", e);
}

static void submitted(void *arg, const struct zg_msg_ctl_server_submit *entry, int text)
{
	const struct zg_msg_registry_file m = {.entry = *entry};

	zg_children_tell_ledger(arg, ZG_MSG_REGISTRY_FILE, &m, text);
}

static void begin(struct zg_parent *p, const struct zg_configure_texts *texts)
{
	zg_autofd int dir = zg_cgroups_role(&p->cgroups, "config", NULL);
	zg_autofd int addresses = zg_server_names_file(p->server_names);
	zg_autofd int keys = zg_issuer_keys_file(p);
	struct zg_configure_input in = {.main = p->config,
					.policies = p->policies,
					.servers = p->servers,
					.registry = p->recompiling ? NULL : p->registry,
					.registry_uid = p->ledger_uid,
					.trials = p->registering,
					.shadow = p->shadow_policies,
					.settings = &p->settings,
					.drop = true,
					.cgroup = dir,
					.texts = texts,
					.addresses = addresses < 0 ? NULL : &addresses,
					.keys = keys < 0 ? NULL : &keys,
					.submitted = submitted,
					.report = report,
					.arg = p};
	int rc = zg_configure_start(&p->configure, &in);

	p->configure.in.addresses = p->configure.in.keys = NULL;
	if (rc < 0) {
		struct zg_err e = p->configure.first;

		finish(p, &e, false);
		return;
	}
	go_on(p);
}

void zg_parent_recompile(struct zg_parent *p)
{
	if (p->configure.pid > 0) {
		p->recompile_again = true;
		return;
	}
	p->recompiling = true;
	begin(p, &p->texts);
}

void zg_parent_registry(struct zg_parent *p, uint64_t change)
{
	if (p->configure.pid > 0 && p->recompiling) {
		p->recompile_again = true;
	} else if (p->configure.pid > 0 && !p->registering) {
		p->reload_again = true;
		p->reload_asked_again = p->reload_asked_again || p->reload_asked;
	}
	zg_reload_release(p);
	p->recompiling = false;
	p->registering = true;
	p->registry_change = change;
	begin(p, &p->texts);
}

/* From the files. */
static void load(struct zg_parent *p)
{
	struct timespec now;
	struct zg_err e;
	char text[64];

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	(void)snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%llu",
		       (unsigned long long)now.tv_sec * 1000000 +
			       (unsigned long long)now.tv_nsec / 1000);
	(void)sd_notify(0, text);
	p->configure.errors = 0;
	if (zg_prepare_sources(p, &e) < 0) {
		finish(p, &e, false);
		return;
	}
	zg_watch_look(p); /* what changes while we read is read again */
	begin(p, NULL);
}

void zg_parent_reload_changed(struct zg_parent *p)
{
	if (p->configure.pid > 0)
		p->reload_again = true;
	else
		load(p);
}

void zg_parent_reload(struct zg_parent *p)
{
	if (p->configure.pid > 0)
		p->reload_asked_again = true;
	else
		p->reload_asked = true;
	zg_parent_reload_changed(p);
}

void zg_reload_init(struct zg_parent *p)
{
	p->configure = (struct zg_configure){.pid = -1, .sock = -1, .snapshot = -1};
}

void zg_reload_release(struct zg_parent *p)
{
	if (p->configure_event)
		event_free(p->configure_event);
	p->configure_event = NULL;
	zg_configure_release(&p->configure);
}
