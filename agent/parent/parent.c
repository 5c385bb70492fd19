/* SPDX-License-Identifier: Apache-2.0 */
/*
 * parent.c - the order in which the agent starts, lives and stops (parent.h).
 * Trust: root with few capabilities. Nothing is served before the kernel gate
 * holds the snapshot and knows its members; when the parent ends, the gate
 * stays as it is.
 */
#include "parent.h"

#include <errno.h>
#include <signal.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <systemd/sd-daemon.h>

#include "enforcement.h"
#include "contain.h"
#include "listen.h"
#include "log.h"
#include "notify_command.h"
#include "prepare.h"
#include "proof.h"
#include "proof.h"
#include "reconcile.h"
#include "reload.h"
#include "secret_files.h"
#include "state.h"
#include "local.h"
#include "watch.h"
#include "withdraw.h"

uint64_t zg_parent_now_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

int zg_parent_watch(struct zg_parent *p, int fd, short what, const struct timeval *every,
		    event_callback_fn fn)
{
	struct event *ev;

	if (p->events == sizeof(p->event) / sizeof(p->event[0]))
		return -ENOSPC;
	ev = event_new(p->loop, fd, what, fn, p);
	if (!ev)
		return -ENOMEM;
	if (event_add(ev, every) < 0) {
		event_free(ev);
		return -ENOMEM;
	}
	p->event[p->events++] = ev;
	return 0;
}

/* what others ask ------------------------------------------------------------- */

void zg_parent_status(struct zg_parent *p, struct zg_msg_ctl_status *out)
{
	zg_proof_look(p);
	zg_events_drain(p);
	*out = (struct zg_msg_ctl_status){
		.abi = ZG_ABI_VERSION,
		.workers = p->children.workers,
		.workers_ready = zg_children_workers_ready(p),
		.ledger_ready = p->children.ledger.ready,
		.generation = p->generation,
		.started_ns = p->started_ns,
		.denials = p->denials,
		.events_lost = zg_events_lost(p),
		.governed_cgroups = (uint32_t)zg_cgroups_living(&p->cgroups),
		.profiles = (uint32_t)p->snapshot.profile_count,
		.servers = (uint32_t)p->snapshot.server_count,
		.restarts = p->children.restarts,
		.prefixes = p->snapshot.prefix_count,
		.rules = p->snapshot.rule_count,
		.proofs = p->proofs,
		.proofs_failed = p->proofs_failed,
		.proved_ns = p->proved_ns,
		.unknown_servers = p->unknown_servers,
	};
	memcpy(out->snapshot, p->snapshot.header->id, sizeof(out->snapshot));
	memcpy(out->last_reload_error, p->last_reload_error, sizeof(out->last_reload_error));
	zg_contain_list(p, out->contained, sizeof(out->contained));
	zg_reload_shadow_status(p, out);
	(void)zg_str_cut(out->enforcement, sizeof(out->enforcement),
			 zg_slice_str(zg_enforcement_text(p)));
}

int zg_parent_detach(struct zg_parent *p, struct zg_err *e)
{
	int rc = zg_kernel_detach(p->pin_dir, e);

	if (rc < 0)
		return rc;
	p->detached = true;
	/* after this answer is sent; an agent that enforces nothing must not run */
	return event_base_loopexit(p->loop, NULL) < 0 ? zg_err_set(e, EIO, "cannot stop") : 0;
}

void zg_parent_announce(struct zg_parent *p)
{
	zg_log(ZG_LOG_NOTICE, "ready: %u gateways, %zu profiles, %zu servers, %zu governed cgroups",
	       p->children.workers, p->snapshot.profile_count, p->snapshot.server_count,
	       zg_cgroups_living(&p->cgroups));
	(void)sd_notify(0, "READY=1");
}

/* the loop ---------------------------------------------------------------------- */

static void on_stop(evutil_socket_t sig, short what, void *arg)
{
	struct zg_parent *p = arg;

	(void)sig;
	(void)what;
	(void)event_base_loopbreak(p->loop);
}

static void on_hup(evutil_socket_t sig, short what, void *arg)
{
	(void)sig;
	(void)what;
	zg_parent_reload(arg);
}

static void on_child(evutil_socket_t sig, short what, void *arg)
{
	(void)sig;
	(void)what;
	zg_children_reap(arg);
}

void zg_parent_cgroups(struct zg_parent *p)
{
	int rc = zg_cgroups_event(&p->cgroups);

	if (rc < 0)
		zg_log(ZG_LOG_ERR, "cannot follow the cgroups: %s", strerror(-rc));
}

static void on_cgroups(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	zg_parent_cgroups(arg);
}

static void on_sweep(evutil_socket_t fd, short what, void *arg)
{
	struct zg_parent *p = arg;

	(void)fd;
	(void)what;
	zg_names_sweep(p->names, &p->snapshot);
	zg_server_names_sweep(p);
}

static void on_watchdog(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	(void)sd_notify(0, "WATCHDOG=1");
}

static int watch_all(struct zg_parent *p, struct zg_err *e)
{
	static const struct {
		int signal;
		event_callback_fn fn;
	} signals[] = {
		{SIGTERM, on_stop}, {SIGINT, on_stop}, {SIGHUP, on_hup}, {SIGCHLD, on_child}};
	static const struct timeval sweep = {.tv_sec = 5};
	uint64_t usec = 0;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < sizeof(signals) / sizeof(signals[0]); i++)
		rc = zg_parent_watch(p, signals[i].signal, EV_SIGNAL | EV_PERSIST, NULL,
				     signals[i].fn);
	if (rc == 0)
		rc = zg_parent_watch(p, p->cgroups.inotify, EV_READ | EV_PERSIST, NULL, on_cgroups);
	if (rc == 0)
		rc = zg_parent_watch(p, -1, EV_PERSIST, &sweep, on_sweep);
	if (rc == 0 && sd_watchdog_enabled(0, &usec) > 0) {
		const struct timeval every = {.tv_sec = (time_t)(usec / 2 / 1000000),
					      .tv_usec = (suseconds_t)(usec / 2 % 1000000)};

		rc = zg_parent_watch(p, -1, EV_PERSIST, &every, on_watchdog);
	}
	return rc < 0 ? zg_err_set(e, -rc, "cannot watch signals: %s", strerror(-rc)) : 0;
}

/* start -------------------------------------------------------------------------- */

static int gate_govern(void *arg, uint64_t id, uint32_t profile)
{
	return zg_kernel_govern(((struct zg_parent *)arg)->kernel, id, profile);
}

static int gate_release(void *arg, uint64_t id)
{
	return zg_kernel_release(((struct zg_parent *)arg)->kernel, id);
}

static int gate_settled(void *arg, const struct zg_nursery_key *keys,
			const struct zg_nursery *values, size_t count)
{
	struct zg_parent *p = arg;
	int rc = zg_kernel_nursery(p->kernel, keys, values, count);

	return rc < 0 ? rc : zg_kernel_census(p->kernel);
}

static int gate_sweep(void *arg)
{
	return zg_reload_adopt(arg);
}

/* The address that redirected connections are sent to: the first of a family. */
static void gateway_addresses(const struct zg_settings *s, struct zg_listen *v4,
			      struct zg_listen *v6)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

	for (uint32_t i = 0; i < s->listen_count; i++) {
		const struct zg_listen *at = &s->listen[i];
		struct zg_listen *out = memcmp(at->addr, mapped, sizeof(mapped)) == 0 ? v4 : v6;

		if (!out->port)
			*out = *at;
	}
}

/* Roles that talk to the network are governed too, each by a profile of its own. */
static int govern_roles(struct zg_parent *p, struct zg_err *e)
{
	static const struct {
		const char *role;
		uint32_t profile;
	} roles[] = {{"gateway", ZG_PROFILE_GATEWAY}, {"resolver", ZG_PROFILE_RESOLVER}};

	for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++) {
		char path[ZG_CGROUP_LEN];
		uint64_t id = 0;
		zg_autofd int dir = zg_cgroups_role(&p->cgroups, roles[i].role, &id);
		int rc = dir;

		(void)snprintf(path, sizeof(path), "%.240s/%s", p->cgroups.own, roles[i].role);
		if (dir >= 0)
			rc = zg_cgroups_govern(&p->cgroups, id, path, roles[i].profile);
		if (rc < 0)
			return zg_err_set(e, -rc, "cannot govern the %s: %s", roles[i].role,
					  strerror(-rc));
	}
	return 0;
}

/* The gate, complete: objects, snapshot, members. */
static int open_gate(struct zg_parent *p, struct zg_err *e)
{
	char control[ZG_PATH_LEN + sizeof("/control.sock")];
	const struct zg_kernel_options o = {
		.cgroup_root = p->cgroups.root, .pin_dir = p->pin_dir, .control = control};
	const struct zg_cgroup_gate gate = {gate_govern, gate_release, p, gate_settled, gate_sweep};
	struct zg_listen v4 = {0}, v6 = {0};
	int rc;

	(void)snprintf(control, sizeof(control), "%s/control.sock", p->runtime_dir);
	rc = zg_kernel_open(&p->kernel, &o, e);
	if (rc == 0)
		rc = zg_names_open(&p->names, p->kernel, e);
	if (rc < 0)
		return rc;
	rc = zg_contain_restore(p, e);
	if (rc < 0)
		return rc;
	zg_cgroups_set_gate(&p->cgroups, &gate);
	gateway_addresses(&p->settings, &v4, &v6);
	rc = zg_kernel_set_gateway(p->kernel, &v4, &v6, e);
	if (rc == 0)
		rc = govern_roles(p, e);
	return rc < 0 ? rc : zg_reload_apply(p, e);
}

static bool same_listen(const struct zg_listen *a, const struct zg_listen *b)
{
	return a->port == b->port && memcmp(a->addr, b->addr, sizeof(a->addr)) == 0;
}

static int open_listeners(struct zg_parent *p, struct zg_err *e)
{
	struct zg_listen v4 = {0}, v6 = {0};

	gateway_addresses(&p->settings, &v4, &v6);
	for (uint32_t i = 0; i < p->settings.listen_count; i++) {
		const struct zg_listen *at = &p->settings.listen[i];
		int fd = zg_listen_tcp(at, e);
		int rc = fd;

		p->children.listener[i] = fd;
		if (fd >= 0 && (same_listen(at, &v4) || same_listen(at, &v6)))
			rc = zg_kernel_own_listener(p->kernel, fd, e);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static uint32_t worker_count(const struct zg_settings *s)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	if (s->workers)
		return s->workers;
	return cpus < 1 ? 1 : cpus > 4 ? 4 : (uint32_t)cpus;
}

static void record_life(struct zg_parent *p, enum zg_record_kind kind, const char *text)
{
	struct zg_record r;

	zg_record_init(&r, kind);
	zg_record_str(&r, ZG_RF_message, zg_slice_str(text));
	zg_record_str(&r, ZG_RF_role, ZG_SLICE("parent"));
	ZG_REC_NUM(&r, pid, (uint64_t)getpid());
	zg_record_bytes(&r, ZG_RF_snapshot, p->snapshot.header->id);
	(void)zg_events_record(p, &r);
}

static int start(struct zg_parent *p, struct zg_err *e)
{
	struct timespec now;
	int rc;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	p->started_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
	if (getrandom(&p->boot_id, sizeof(p->boot_id), 0) != sizeof(p->boot_id))
		return zg_err_set(e, EIO, "no random bytes");
	p->children.workers = worker_count(&p->settings);
	p->children.state_dir = zg_prepare_state(p, e);
	if (p->children.state_dir < 0)
		return p->children.state_dir;
	p->secrets_fd = zg_parent_secrets(p, &p->snapshot, e);
	if (p->secrets_fd < 0)
		return p->secrets_fd;
	rc = zg_server_names_open(p, e);
	if (rc == 0)
		rc = zg_children_prepare(p, e);
	if (rc == 0)
		rc = open_gate(p, e);
	if (rc == 0)
		rc = open_listeners(p, e);
	if (rc == 0)
		rc = watch_all(p, e);
	if (rc == 0)
		rc = zg_events_start(p, e);
	if (rc == 0)
		rc = zg_runs_start(p, e);
	if (rc == 0)
		rc = zg_stdio_start(p, e);
	if (rc == 0)
		rc = zg_notices_start(p, e);
	if (rc == 0)
		rc = zg_certs_start(p, e);
	if (rc == 0)
		rc = zg_control_start(p, e);
	if (rc == 0)
		rc = zg_watch_start(p, e);
	if (rc < 0)
		return rc;
	zg_cgroups_sweep(&p->cgroups, p->snapshot.cgroups, p->snapshot.cgroup_count, false);
	record_life(p, ZG_RK_AGENT_START, "zerogate " ZG_VERSION " started");
	(void)zg_withdraw(p); /* the configuration may have changed meanwhile */
	zg_children_start(p);
	rc = zg_reconcile_start(p, e);
	return rc < 0 ? rc : zg_proof_start(p, e);
}

static void stop(struct zg_parent *p)
{
	(void)sd_notify(0, "STOPPING=1");
	zg_control_stop(p);
	if (p->kernel && p->snapshot.header) {
		zg_events_drain(p);
		record_life(p, ZG_RK_AGENT_STOP,
			    p->detached ? "zerogate was detached: nothing is enforced any more"
					: "zerogate stopped; enforcement stays");
	}
	zg_stdio_release(p);
	zg_notices_release(p);
	zg_children_stop(p);
}

static void release(struct zg_parent *p)
{
	for (size_t i = 0; i < p->events; i++)
		event_free(p->event[i]);
	zg_reload_release(p);
	zg_watch_free(p);
	zg_proof_release(p);
	zg_runs_release(p);
	zg_children_release(p);
	if (p->detached && p->snapshot.header)
		zg_cgroups_sweep(&p->cgroups, p->snapshot.cgroups, p->snapshot.cgroup_count, true);
	zg_names_free(p->names);
	zg_server_names_free(p->server_names);
	zg_issuer_keys_free(p->issuer_keys);
	zg_configure_texts_release(&p->texts);
	zg_kernel_close(p->kernel);
	if (p->cgroups.root >= 0 && p->cgroups.own[0])
		zg_cgroups_leave(&p->cgroups);
	zg_cgroups_close(&p->cgroups);
	zg_snapshot_close(&p->snapshot);
	zg_close_(&p->snapshot_fd);
	zg_close_(&p->secrets_fd);
	zg_certs_release(p);
	zg_close_(&p->keys_dir);
	zg_close_(&p->runtime_lock);
	zg_close_(&p->pin_lock);
	zg_close_(&p->contained_dir);
	if (p->loop)
		event_base_free(p->loop);
}

static void report(void *arg, const struct zg_err *e)
{
	(void)arg;
	zg_log_err(ZG_LOG_ERR, "configuration", e);
}

/* The settings alone: they say where everything else is. */
static int learn_settings(struct zg_parent *p)
{
	const struct zg_configure_input in = {
		.main = p->config, .drop = geteuid() == 0, .cgroup = -1, .report = report};
	struct zg_configure c;
	struct zg_snapshot s;
	struct zg_err e;
	int rc = zg_configure_run(&c, &in);

	if (rc < 0)
		return rc;
	rc = zg_snapshot_open(&s, c.snapshot, &e);
	zg_configure_release(&c);
	if (rc == 0) {
		p->settings = *s.settings;
		zg_snapshot_close(&s);
		rc = zg_prepare_paths(p, &e);
	}
	if (rc < 0)
		report(NULL, &e);
	return rc;
}

static int load(struct zg_parent *p, int cgroup)
{
	const struct zg_configure_input in = {.main = p->config,
					      .policies = p->policies,
					      .servers = p->servers,
					      .registry = p->registry,
					      .registry_uid =
						      p->options->check ? (uid_t)-1 : p->ledger_uid,
					      .shadow = p->shadow_policies,
					      .settings = p->policies[0] ? &p->settings : NULL,
					      .drop = geteuid() == 0,
					      .cgroup = cgroup,
					      .report = report};
	struct zg_configure c;
	struct zg_err e;
	int rc = zg_configure_run(&c, &in);

	if (rc < 0)
		return rc;
	rc = zg_snapshot_open(&p->snapshot, c.snapshot, &e);
	if (rc == 0) {
		p->snapshot_fd = zg_take_fd(&c.snapshot);
		zg_configure_keep(&c, &p->texts);
		p->configure.shadow_left_out = c.shadow_left_out;
	} else
		report(NULL, &e);
	zg_configure_release(&c);
	return rc;
}

/* Pins and cgroups of an agent that does not run. */
static int detach_offline(struct zg_parent *p, struct zg_err *e)
{
	int rc = zg_prepare_locks(p, e);

	if (rc == 0)
		rc = zg_kernel_detach(p->pin_dir, e);
	if (rc < 0)
		return rc;
	if (zg_cgroups_open(&p->cgroups, p->settings.cgroup_root, e) == 0) {
		(void)zg_str_cut(p->cgroups.own, sizeof(p->cgroups.own),
				 ZG_SLICE("zerogate.agent"));
		p->cgroups.own_made = true;
	}
	/* what it made for its profiles can be told from the snapshot only */
	if (load(p, -1) == 0)
		p->detached = true;
	return 0;
}

static int serve(struct zg_parent *p, struct zg_err *e)
{
	zg_autofd int config = -1;
	int rc;

	rc = zg_prepare_users(p, e);
	if (rc == 0)
		rc = zg_prepare_locks(p, e);
	if (rc == 0)
		rc = zg_cgroups_open(&p->cgroups, p->settings.cgroup_root, e);
	if (rc == 0)
		rc = zg_cgroups_settle(&p->cgroups, e);
	if (rc == 0)
		rc = zg_cgroups_clear(&p->cgroups, e);
	if (rc == 0)
		rc = zg_prepare_privileges(e);
	if (rc < 0)
		return rc;
	config = zg_cgroups_role(&p->cgroups, "config", NULL);
	zg_watch_look(p); /* what changes from here on is seen */
	rc = load(p, config);
	if (rc < 0)
		return zg_err_set(e, -rc, "the configuration is not usable");
	p->loop = event_base_new();
	if (!p->loop)
		return zg_err_set(e, ENOMEM, "no event loop");
	rc = start(p, e);
	if (rc == 0)
		(void)event_base_dispatch(p->loop);
	stop(p);
	return rc;
}

/* Links of the path are followed anew with each load. */
static int find_config(struct zg_parent *p, const char *path)
{
	zg_autofree char *full = realpath(path, NULL);
	zg_autofree char *here = path[0] == '/' ? NULL : getcwd(NULL, 0);
	int n;

	if (!full || (path[0] != '/' && !here))
		return -errno;
	n = snprintf(p->config_named, sizeof(p->config_named), "%s%s%s", here ? here : "",
		     here ? "/" : "", path);
	return n < (int)sizeof(p->config_named) &&
			       zg_str_cut(p->config, sizeof(p->config), zg_slice_str(full))
		       ? 0
		       : -ENAMETOOLONG;
}

int zg_parent_main(const struct zg_parent_options *o)
{
	struct zg_parent *p = calloc(1, sizeof(*p));
	struct zg_err e;
	int rc;

	zg_log_init("parent");
	rc = p ? find_config(p, o->config) : -ENOMEM;
	if (rc < 0) {
		zg_log(ZG_LOG_ERR, "cannot open %s: %s", o->config, strerror(-rc));
		free(p);
		return 2;
	}
	p->options = o;
	p->snapshot_fd = p->secrets_fd = p->keys_dir = p->runtime_lock = p->pin_lock =
		p->contained_dir = p->run_inotify = -1;
	p->cgroups.root = p->cgroups.inotify = -1;
	p->children.ring_event = p->children.state_dir = -1;
	for (size_t i = 0; i <= ZG_WORKERS_MAX; i++)
		p->children.ring_fd[i] = -1;
	for (size_t i = 0; i < ZG_LISTEN_MAX; i++)
		p->children.listener[i] = -1;
	zg_reload_init(p);
	(void)signal(SIGPIPE, SIG_IGN);
	rc = learn_settings(p);
	if (o->check) {
		rc = rc < 0 || load(p, -1) < 0 ? 1 : 0;
	} else if (rc < 0) {
		rc = 2;
	} else if (geteuid() != 0) {
		zg_log(ZG_LOG_ERR, "zerogated needs root (only --check does not)");
		rc = 2;
	} else {
		rc = o->detach ? detach_offline(p, &e) : serve(p, &e);
		if (rc < 0)
			zg_log_err(ZG_LOG_ERR, o->detach ? "detach" : "start", &e);
		rc = rc < 0 ? 2 : 0;
	}
	release(p);
	free(p);
	return rc;
}
