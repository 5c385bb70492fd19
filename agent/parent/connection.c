/* SPDX-License-Identifier: Apache-2.0 */
/*
 * connection.c - see connection.h. Trust: the kernel's word for who dialled what
 * and with which file; the ledger's for what a person decided. comm is the
 * workload's own, and only a hint where to look for the file.
 */
#include "connection.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/queue.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "digest.h"
#include "executable.h"
#include "hostname.h"
#include "log.h"
#include "withdraw.h"

#define SECOND_NS   UINT64_C(1000000000)
#define QUIET_NS    (30 * SECOND_NS) /* after a no, before the ledger is asked once more */
#define MAJOR_SHIFT 20		     /* of the kernel's own device numbers */

enum state { ASKED = 0, REFUSED, GRANTED };

/* One destination of one executable, from its first refusal to its end. */
struct connection {
	TAILQ_ENTRY(connection) link;
	enum state state;
	uint64_t call;	   /* its number towards the ledger */
	uint64_t until_ns; /* CLOCK_BOOTTIME: REFUSED is forgotten, GRANTED ends */
	struct zg_grant_key key;
	int file;		 /* holds the inode: its number is nobody else's meanwhile */
	struct timespec changed; /* the file, when it was asked about */
	struct zg_msg_hold hold;
	char approval[ZG_NAME_LEN];
	char path[ZG_PATH_LEN];
	char names[ZG_REASON_LEN];
	uint32_t approver_uid;
};
TAILQ_HEAD(list, connection);

struct zg_connections {
	struct zg_parent *parent;
	int sock; /* to the ledger; -1 = none */
	struct event *reads;
	struct event *timer;
	struct list list;
	size_t count;
	uint64_t calls;
	uint64_t second; /* of the rate */
	uint32_t asked;	 /* in it */
};

static uint64_t boot_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_BOOTTIME, &t);
	return (uint64_t)t.tv_sec * SECOND_NS + (uint64_t)t.tv_nsec;
}

/* the gate ------------------------------------------------------------------------ */

static bool same_destination(const struct zg_grant_key *a, const struct zg_grant_key *b)
{
	return memcmp(a->addr, b->addr, sizeof(a->addr)) == 0 && a->port_be == b->port_be &&
	       a->proto == b->proto && a->profile == b->profile;
}

static bool same_key(const struct zg_grant_key *a, const struct zg_grant_key *b)
{
	return same_destination(a, b) && a->exe_ino == b->exe_ino && a->exe_dev == b->exe_dev;
}

/* The row of any executable lives as long as the longest of its destination. */
static int put_any(struct zg_connections *c, const struct zg_grant_key *key)
{
	struct zg_grant_key any = *key;
	const struct connection *one;
	uint64_t until = 0;

	any.exe_ino = 0;
	any.exe_dev = 0;
	TAILQ_FOREACH(one, &c->list, link)
	if (one->state == GRANTED && same_destination(&one->key, key) && one->until_ns > until)
		until = one->until_ns;
	return zg_kernel_grant(c->parent->kernel, &any, until);
}

static int open_gate(struct zg_connections *c, const struct connection *one)
{
	int rc = zg_kernel_grant(c->parent->kernel, &one->key, one->until_ns);

	return rc < 0 ? rc : put_any(c, &one->key);
}

/* Both rows end by themselves where they cannot be removed. */
static void close_gate(struct zg_connections *c, const struct connection *one)
{
	int rc = zg_kernel_grant(c->parent->kernel, &one->key, 0);

	if (rc == 0)
		rc = put_any(c, &one->key);
	if (rc < 0)
		zg_log(ZG_LOG_ERR, "a granted connection's row cannot be removed: %s",
		       strerror(-rc));
}

/* records --------------------------------------------------------------------------- */

static void record(struct zg_connections *c, const struct connection *one, enum zg_record_kind kind,
		   const char *reason)
{
	bool begins = kind == ZG_RK_CONNECTION_GRANT;
	char text[ZG_REASON_LEN];
	struct zg_record r;

	(void)snprintf(text, sizeof(text), "%.80s may%s connect to %.96s%s%.48s", one->path,
		       begins ? "" : " no longer", one->hold.tool, begins ? "" : ": ",
		       begins ? "" : reason);
	zg_record_init(&r, kind);
	zg_record_str(&r, ZG_RF_message, zg_slice_str(text));
	zg_record_principal(&r, &one->hold.principal);
	zg_record_str(&r, ZG_RF_path, zg_slice_str(one->path));
	zg_record_bytes(&r, ZG_RF_address, one->key.addr);
	ZG_REC_NUM(&r, port, ntohs(one->key.port_be));
	zg_record_str(&r, ZG_RF_protocol,
		      one->key.proto == IPPROTO_TCP ? ZG_SLICE("tcp") : ZG_SLICE("udp"));
	if (one->names[0])
		zg_record_str(&r, ZG_RF_names, zg_slice_str(one->names));
	zg_record_str(&r, ZG_RF_approval, zg_slice_str(one->approval));
	ZG_REC_NUM(&r, approver_uid, one->approver_uid);
	zg_record_str(&r, ZG_RF_reason, zg_slice_str(reason));
	zg_record_bytes(&r, ZG_RF_snapshot, one->hold.snapshot);
	if (!zg_events_record(c->parent, &r))
		c->parent->records_lost++;
}

/* life ---------------------------------------------------------------------------- */

static void forget(struct zg_connections *c, struct connection *one)
{
	TAILQ_REMOVE(&c->list, one, link);
	c->count--;
	(void)close(one->file);
	free(one);
}

/* Its rows, its record, and itself; live sockets are the caller's to end. */
static void end(struct zg_connections *c, struct connection *one, const char *why)
{
	one->state = REFUSED;
	close_gate(c, one);
	record(c, one, ZG_RK_CONNECTION_END, why);
	forget(c, one);
}

/* The timer is set to whatever ends next. */
static void arm(struct zg_connections *c)
{
	uint64_t now = boot_ns(), next = UINT64_MAX, left;
	const struct connection *one;
	struct timeval tv;

	TAILQ_FOREACH(one, &c->list, link)
	if (one->state != ASKED && one->until_ns < next)
		next = one->until_ns;
	if (next == UINT64_MAX)
		return;
	left = next > now ? (next - now) / 1000 + 1 : 1;
	tv = (struct timeval){.tv_sec = (time_t)(left / 1000000),
			      .tv_usec = (suseconds_t)(left % 1000000)};
	if (event_add(c->timer, &tv) < 0)
		zg_log(ZG_LOG_ERR, "no timer for granted connections: the gate ends them alone");
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct zg_connections *c = arg;
	uint64_t now = boot_ns();
	struct connection *one, *next;
	bool ended = false;

	(void)fd;
	(void)what;
	for (one = TAILQ_FIRST(&c->list); one; one = next) {
		next = TAILQ_NEXT(one, link);
		if (one->state == ASKED || one->until_ns > now)
			continue;
		ended |= one->state == GRANTED;
		if (one->state == GRANTED)
			end(c, one, "its time is over");
		else
			forget(c, one);
	}
	if (ended)
		(void)zg_withdraw(c->parent);
	arm(c);
}

/* the file --------------------------------------------------------------------------- */

static bool is_file(const struct zg_event *ev, int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_ino == ev->exe_ino &&
	       (major(st.st_dev) << MAJOR_SHIFT | minor(st.st_dev)) == ev->exe_dev;
}

/* A process that was refused has often ended by now. What is called like it, and
 * is the very file that the gate saw, is it. */
static int find_file(const struct zg_event *ev, char path[ZG_PATH_LEN])
{
	static const char *const folders[] = {"/usr/local/bin", "/usr/bin",	   "/bin",
					      "/usr/sbin",	"/usr/local/sbin", "/sbin"};
	char comm[sizeof(ev->comm) + 1] = "";
	int fd = -1;

	memcpy(comm, ev->comm, sizeof(ev->comm));
	if (!comm[0] || strchr(comm, '/'))
		return -ENOENT;
	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
		char link[32];
		ssize_t n;

		(void)snprintf(path, ZG_PATH_LEN, "%s/%s", folders[i], comm);
		fd = open(path, O_PATH | O_CLOEXEC);
		if (fd < 0)
			continue;
		(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
		n = is_file(ev, fd) ? readlink(link, path, ZG_PATH_LEN - 1) : -1;
		if (n > 0) {
			path[n] = '\0';
			return fd;
		}
		(void)close(fd);
	}
	return -ENOENT;
}

/* A name that would not be read as it is, is none. */
static bool is_plain(const char *path)
{
	for (; *path; path++)
		if ((unsigned char)*path < 0x20 || *path == 0x7f)
			return false;
	return true;
}

/* Hold the file that the gate saw, and say its name. -ENOENT: it cannot be told. */
static int open_file(const struct zg_event *ev, char path[ZG_PATH_LEN])
{
	const struct zg_msg_exe_query q = {.start_ns = ev->start_ns,
					   .exe_ino = ev->exe_ino,
					   .exe_dev = ev->exe_dev,
					   .pid = ev->pid};
	int fd;

	if (zg_executable_path(&q, path) < 0 || !path[0])
		return find_file(ev, path);
	fd = is_plain(path) ? open(path, O_PATH | O_CLOEXEC) : -1;
	if (fd >= 0 && is_file(ev, fd))
		return fd;
	zg_close_(&fd);
	return -ENOENT;
}

/* asking ----------------------------------------------------------------------------- */

static bool may_ask(const struct zg_parent *p, const struct zg_event *ev)
{
	const struct zg_settings *s = p->snapshot.settings;
	uint32_t at = ev->profile - ZG_PROFILE_FIRST;

	if (ev->kind != ZG_E_DENY || (ev->layer != ZG_L_CONNECT && ev->layer != ZG_L_SENDMSG) ||
	    (ev->reason != ZG_GR_NO_IDENTITY && ev->reason != ZG_GR_NO_RULE &&
	     ev->reason != ZG_GR_PORT) ||
	    ev->profile < ZG_PROFILE_FIRST || at >= p->snapshot.profile_count ||
	    !p->snapshot.profiles[at].asks || !ev->exe_ino || !ev->port_be ||
	    zg_hostname_addr(ev->addr, true) != ZG_NR_NONE ||
	    /* a registered server is reached through the gateway, or not at all */
	    zg_snapshot_endpoint(&p->snapshot, ev->addr, ntohs(ev->port_be)) ||
	    zg_names_listens(p->names, ev->addr, ntohs(ev->port_be)))
		return false;
	for (uint32_t i = 0; i < s->listen_count; i++)
		if (s->listen[i].port == ntohs(ev->port_be) &&
		    memcmp(s->listen[i].addr, ev->addr, sizeof(ev->addr)) == 0)
			return false;
	return true;
}

/* Is there room for one more question: at all, of this profile, in this second? */
static bool has_room(struct zg_connections *c, uint32_t profile)
{
	uint64_t second = boot_ns() / SECOND_NS;
	const struct connection *one;
	size_t same = 0;

	TAILQ_FOREACH(one, &c->list, link)
	same += one->state != GRANTED && one->key.profile == profile;
	if (second != c->second)
		c->asked = 0;
	c->second = second;
	return c->count < ZG_GRANTS_MAX && same < ZG_ASKS_PROFILE_MAX && c->asked++ < ZG_ASKS_SEC;
}

static void fill_hold(const struct zg_parent *p, const struct zg_event *ev, struct connection *one,
		      const struct stat *file)
{
	char addr[INET6_ADDRSTRLEN];
	struct zg_msg_hold *h = &one->hold;
	zg_autobuf args = ZG_BUF(sizeof(h->args_text) - 1);
	struct {
		struct zg_grant_key key; /* without ids that move */
		char profile[ZG_NAME_LEN];
		uint8_t snapshot[32];
		struct timespec changed;
	} bound = {.key = one->key, .changed = one->changed};

	h->call = one->call;
	h->principal = (struct zg_principal){.cgroup_id = ev->cgroup_id,
					     .start_ns = ev->start_ns,
					     .pid = ev->pid,
					     .uid = ev->uid,
					     .gid = ev->gid,
					     .profile_id = ev->profile};
	(void)zg_str_cut(h->principal.profile, sizeof(h->principal.profile),
			 zg_slice_str(zg_snapshot_profile(&p->snapshot, ev->profile)));
	(void)!zg_cgroups_path(&p->cgroups, ev->cgroup_id, h->principal.cgroup);
	memcpy(h->principal.comm, ev->comm, sizeof(h->principal.comm));
	ZG_MSG_TEXT(h->principal.comm);
	zg_names_of(p->names, h->principal.profile, ev->addr, one->names, sizeof(one->names));
	zg_addr_text(addr, sizeof(addr), ev->addr);
	(void)snprintf(h->server, sizeof(h->server), ZG_CONNECTION_SERVER);
	(void)snprintf(h->method, sizeof(h->method), "connect");
	(void)snprintf(h->tool, sizeof(h->tool), "%s %s port %u%s%.80s%s",
		       ev->proto == IPPROTO_TCP ? "tcp" : "udp", addr, ntohs(ev->port_be),
		       one->names[0] ? " (" : "", one->names, one->names[0] ? ")" : "");
	/* shown as arguments are: as JSON, in which a path stands as it is */
	zg_buf_str(&args, "{\"executable\":");
	zg_buf_json(&args, zg_slice_str(one->path));
	zg_buf_fmt(&args,
		   ",\"inode\":%llu,\"device\":\"%u:%u\",\"owner_uid\":%u,\"mode\":\"%04o\"}",
		   (unsigned long long)ev->exe_ino, ev->exe_dev >> MAJOR_SHIFT,
		   ev->exe_dev & ((1u << MAJOR_SHIFT) - 1), file->st_uid,
		   (unsigned)file->st_mode & 07777);
	(void)zg_str_cut(h->args_text, sizeof(h->args_text), zg_buf_slice(&args));
	h->args_bytes = strlen(h->args_text);
	zg_sha256(h->args_sha256, h->args_text, h->args_bytes);
	memcpy(h->snapshot, p->snapshot.header->id, sizeof(h->snapshot));
	bound.key.profile = 0;
	memcpy(bound.profile, h->principal.profile, sizeof(bound.profile));
	memcpy(bound.snapshot, h->snapshot, sizeof(bound.snapshot));
	zg_sha256(h->binding, &bound, sizeof(bound));
}

/* Without a link, the next one is asked. */
static int ask(struct zg_connections *c, const struct connection *one)
{
	int rc = c->sock >= 0 ? zg_msg_send(c->sock, ZG_MSG_HOLD, &one->hold, -1) : 0;

	if (rc < 0)
		zg_log(ZG_LOG_WARN, "the ledger does not take a question about a connection now");
	return rc;
}

void zg_connections_refused(struct zg_parent *p, const struct zg_event *ev)
{
	struct zg_connections *c = p->connections;
	struct zg_grant_key key = {.exe_ino = ev->exe_ino,
				   .exe_dev = ev->exe_dev,
				   .profile = ev->profile,
				   .port_be = ev->port_be,
				   .proto = ev->proto};
	struct connection *one;
	char path[ZG_PATH_LEN];
	struct stat st;
	int file;

	if (!c || !may_ask(p, ev))
		return;
	memcpy(key.addr, ev->addr, sizeof(key.addr));
	TAILQ_FOREACH(one, &c->list, link)
	if (same_key(&one->key, &key))
		return;
	if (!has_room(c, ev->profile))
		return; /* the refusal itself is on record */
	file = open_file(ev, path);
	if (file < 0)
		return;
	one = fstat(file, &st) == 0 ? calloc(1, sizeof(*one)) : NULL;
	if (!one) {
		(void)close(file);
		return;
	}
	*one = (struct connection){
		.call = ++c->calls, .key = key, .file = file, .changed = st.st_ctim};
	memcpy(one->path, path, sizeof(one->path));
	fill_hold(p, ev, one, &st);
	TAILQ_INSERT_TAIL(&c->list, one, link);
	c->count++;
	if (ask(c, one) < 0)
		forget(c, one); /* the next refusal asks */
}

/* answers --------------------------------------------------------------------------- */

/* What was asked about is still there, and as it was. */
static bool is_unchanged(const struct connection *one)
{
	struct stat st;

	return fstat(one->file, &st) == 0 && st.st_nlink &&
	       st.st_ctim.tv_sec == one->changed.tv_sec &&
	       st.st_ctim.tv_nsec == one->changed.tv_nsec;
}

static void grant(struct zg_connections *c, struct connection *one,
		  const struct zg_msg_hold_state *m)
{
	uint32_t sec = m->for_sec ? m->for_sec : ZG_GRANT_SEC;
	const uint8_t *in_force = c->parent->snapshot.header->id;
	int rc;

	if (memcmp(one->hold.snapshot, in_force, 32) != 0 || !is_unchanged(one)) {
		forget(c, one); /* another policy or file: the next refusal asks */
		return;
	}
	one->state = GRANTED;
	one->approver_uid = m->approver_uid;
	one->until_ns = boot_ns() + (sec < ZG_GRANT_MAX_SEC ? sec : ZG_GRANT_MAX_SEC) * SECOND_NS;
	record(c, one, ZG_RK_CONNECTION_GRANT, m->reason);
	rc = open_gate(c, one);
	if (rc < 0)
		end(c, one, "the kernel's table has no room");
}

static void take_back(struct zg_connections *c, struct connection *one,
		      const struct zg_msg_hold_state *m)
{
	one->approver_uid = m->approver_uid;
	end(c, one, m->reason[0] ? m->reason : "it was taken back");
	(void)zg_withdraw(c->parent);
}

static struct connection *find(struct zg_connections *c, const struct zg_msg_hold_state *m)
{
	struct connection *one;

	TAILQ_FOREACH(one, &c->list, link)
	if (m->call ? one->state == ASKED && one->call == m->call
		    : one->state == GRANTED && strcmp(one->approval, m->approval) == 0)
		return one;
	return NULL;
}

static void on_state(struct zg_connections *c, struct zg_msg_hold_state *m)
{
	struct connection *one;

	ZG_MSG_TEXT(m->approval);
	ZG_MSG_TEXT(m->reason);
	one = find(c, m);
	if (!one)
		return;
	if (one->state == GRANTED) {
		take_back(c, one, m);
		return;
	}
	memcpy(one->approval, m->approval, sizeof(one->approval));
	switch (m->state) {
	case ZG_HOLD_PENDING:
		return;
	case ZG_HOLD_GRANTED:
		grant(c, one, m);
		break;
	default: /* asked again, if it is tried again, after a while */
		one->state = REFUSED;
		one->until_ns = boot_ns() + QUIET_NS;
	}
	arm(c);
}

static void unlink_ledger(struct zg_connections *c)
{
	if (c->reads)
		event_free(c->reads);
	c->reads = NULL;
	zg_close_(&c->sock);
	c->sock = -1;
}

static void on_readable(evutil_socket_t sock, short what, void *arg)
{
	struct zg_connections *c = arg;
	struct zg_msg m = {.fd = -1};
	int rc = zg_msg_recv((int)sock, &m);

	(void)what;
	if (rc == 0) {
		if (m.type == ZG_MSG_HOLD_STATE)
			on_state(c, (void *)m.body);
		zg_msg_release(&m);
	} else if (rc != -EAGAIN) {
		unlink_ledger(c); /* it has ended: the next one is linked anew */
	}
}

void zg_connections_link(struct zg_parent *p, int sock)
{
	struct zg_connections *c = p->connections;
	struct connection *one, *next;

	unlink_ledger(c);
	c->sock = sock;
	c->reads = event_new(p->loop, sock, EV_READ | EV_PERSIST, on_readable, c);
	if (!c->reads || event_add(c->reads, NULL) < 0) {
		zg_log(ZG_LOG_ERR, "no memory to ask about connections");
		unlink_ledger(c);
		return;
	}
	for (one = TAILQ_FIRST(&c->list); one; one = next) {
		next = TAILQ_NEXT(one, link);
		if (one->state == ASKED && ask(c, one) < 0)
			forget(c, one);
	}
}

/* configurations ------------------------------------------------------------------------ */

void zg_connections_applied(struct zg_parent *p)
{
	struct zg_connections *c = p->connections;
	struct connection *one, *next;

	for (one = c ? TAILQ_FIRST(&c->list) : NULL; one; one = next) {
		const char *name = one->hold.principal.profile;

		next = TAILQ_NEXT(one, link);
		one->key.profile = zg_snapshot_profile_id(&p->snapshot, zg_slice_str(name));
		if (memcmp(one->hold.snapshot, p->snapshot.header->id, 32) != 0 ||
		    !one->key.profile) {
			if (one->state == GRANTED)
				end(c, one, "the policy has changed");
			else
				forget(c, one); /* the ledger voids what it asked */
		} else if (one->state == GRANTED && open_gate(c, one) < 0) {
			end(c, one, "the kernel's table has no room");
		}
	}
}

int zg_connections_new(struct zg_parent *p, struct zg_err *e)
{
	struct zg_connections *c = calloc(1, sizeof(*c));

	if (!c)
		return zg_err_set(e, ENOMEM, "no memory for connections");
	*c = (struct zg_connections){.parent = p, .sock = -1};
	TAILQ_INIT(&c->list);
	c->timer = event_new(p->loop, -1, 0, on_timer, c);
	if (!c->timer) {
		free(c);
		return zg_err_set(e, ENOMEM, "no memory for connections");
	}
	p->connections = c;
	return 0;
}

void zg_connections_free(struct zg_connections *c)
{
	if (!c)
		return;
	unlink_ledger(c);
	while (TAILQ_FIRST(&c->list))
		forget(c, TAILQ_FIRST(&c->list));
	event_free(c->timer);
	free(c);
}
