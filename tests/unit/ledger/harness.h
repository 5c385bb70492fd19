/* SPDX-License-Identifier: Apache-2.0 */
/*
 * harness.h - a real ledger role in a process of its own, with the tests as
 * its parent, its gateways and its control clients.
 */
#ifndef ZG_LEDGER_HARNESS_H
#define ZG_LEDGER_HARNESS_H

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

#include <openssl/pem.h>

#include "chain.h"
#include "ipc.h"
#include "ledger.h"
#include "record.h"
#include "ring.h"
#include "slice.h"
#include "zg_snapshot.h"

#define RINGS	      3	     /* the parent's and two workers' */
#define WAIT_MS	      120000 /* patience for what must come */
#define FIRST_SEGMENT "audit/000000000001.jsonl"
#define AGENT_UID     65533
#define PERSON_UID    1000

struct role {
	char dir[64];
	int state_dir;
	int channel;
	int wake;
	int ring_fd[RINGS]; /* kept, as the parent keeps them */
	struct zg_ring ring[RINGS];
	int gateway[2];
	pid_t pid;
	uint8_t snapshot[32];
	uint32_t ttl_sec;
	char high_risk_tags[ZG_FINDINGS_LEN];
	enum zg_durability durability;
	rlim_t file_limit;
	uid_t uid; /* run the role as this user; 0 = as we are */
};

static inline int memfd_snapshot(const uint8_t id[32], uint32_t ttl_sec, enum zg_durability d,
				 const char *high_risk_tags)
{
	struct {
		struct zg_snapshot_header head;
		struct zg_settings settings;
	} s = {.head = {.magic = ZG_SNAPSHOT_MAGIC,
			.header_bytes = sizeof(struct zg_snapshot_header),
			.bytes = sizeof(s)},
	       .settings = {.approval_ttl_sec = ttl_sec, .durability = d}};
	(void)zg_str_cut(s.settings.high_risk_tags, sizeof(s.settings.high_risk_tags),
			 zg_slice_str(high_risk_tags));
	int fd = memfd_create("snapshot", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	memcpy(s.head.id, id, 32);
	for (int i = 0; i < ZG_S_MAX; i++)
		s.head.section[i].offset = sizeof(s);
	s.head.section[ZG_S_SETTINGS] = (struct zg_section_ref){sizeof(s.head), sizeof(s.settings)};
	assert_int_equal(write(fd, &s, sizeof(s)), sizeof(s));
	assert_int_equal(
		fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL),
		0);
	return fd;
}

static inline void give(const struct role *r, enum zg_fd_kind kind, uint32_t index, int fd)
{
	const struct zg_msg_give_fd m = {kind, index};

	assert_int_equal(zg_msg_send(r->channel, ZG_MSG_GIVE_FD, &m, fd), 0);
}

/* The next message on a socket, or fail when none comes. */
static inline void receive(int sock, struct zg_msg *m, enum zg_msg_type want)
{
	struct pollfd p = {.fd = sock, .events = POLLIN};

	assert_int_equal(poll(&p, 1, WAIT_MS), 1);
	assert_int_equal(zg_msg_recv(sock, m), 0);
	assert_string_equal(zg_msg_name(m->type), zg_msg_name(want));
}

static inline void send_snapshot(const struct role *r, uint64_t generation)
{
	struct zg_msg_snapshot m = {.generation = generation};
	zg_autofd int fd =
		memfd_snapshot(r->snapshot, r->ttl_sec, r->durability, r->high_risk_tags);

	memcpy(m.id, r->snapshot, 32);
	assert_int_equal(zg_msg_send(r->channel, ZG_MSG_SNAPSHOT, &m, fd), 0);
}

/* The policy of r->snapshot is in force. */
static inline void change_policy(const struct role *r, uint64_t generation)
{
	struct zg_msg_snapshot_ok ok;
	struct zg_msg m;

	send_snapshot(r, generation);
	receive(r->channel, &m, ZG_MSG_SNAPSHOT_OK);
	memcpy(&ok, m.body, sizeof(ok));
	assert_int_equal(ok.generation, generation);
}

static inline void link_gateway(struct role *r, uint32_t worker)
{
	int pair[2];

	assert_int_equal(zg_ipc_pair(pair, false), 0);
	give(r, ZG_FD_LEDGER, worker, pair[1]);
	(void)close(pair[1]);
	if (r->gateway[worker] >= 0)
		(void)close(r->gateway[worker]);
	r->gateway[worker] = pair[0];
}

/* Start the role over what r holds: folder and rings survive its death. */
static inline void role_start(struct role *r)
{
	const struct zg_msg_start start = {.workers = RINGS - 1, .boot_id = 0x1234};
	struct zg_msg m;
	int pair[2];

	assert_int_equal(zg_ipc_pair(pair, false), 0);
	r->pid = fork();
	assert_true(r->pid >= 0);
	if (r->pid == 0) {
		struct rlimit limit = {r->file_limit, RLIM_INFINITY};

		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		(void)close(pair[0]);
		if (r->file_limit && setrlimit(RLIMIT_FSIZE, &limit) < 0)
			_exit(9);
		if (r->uid && (setresgid(r->uid, r->uid, r->uid) < 0 ||
			       setresuid(r->uid, r->uid, r->uid) < 0))
			_exit(9);
		_exit(zg_ledger_main(pair[1]));
	}
	(void)close(pair[1]);
	r->channel = pair[0];
	give(r, ZG_FD_STATE_DIR, 0, r->state_dir);
	give(r, ZG_FD_RING_EVENT, 0, r->wake);
	for (uint32_t i = 0; i < RINGS; i++)
		give(r, ZG_FD_RING, i, r->ring_fd[i]);
	for (uint32_t i = 0; i < 2; i++)
		link_gateway(r, i);
	send_snapshot(r, 1);
	assert_int_equal(zg_msg_send(r->channel, ZG_MSG_START, &start, -1), 0);
	receive(r->channel, &m, ZG_MSG_READY);
}

static inline void new_ring(struct role *r, int i)
{
	zg_ring_release(&r->ring[i]);
	if (r->ring_fd[i] >= 0)
		(void)close(r->ring_fd[i]);
	r->ring_fd[i] = zg_ring_create();
	assert_true(r->ring_fd[i] >= 0);
	assert_int_equal(zg_ring_attach(&r->ring[i], r->ring_fd[i], r->wake), 0);
}

static inline void role_init(struct role *r)
{
	*r = (struct role){.ttl_sec = 3600, .gateway = {-1, -1}, .channel = -1};
	memset(r->snapshot, 0xaa, 32);
	(void)snprintf(r->dir, sizeof(r->dir), "/tmp/zg-ledger.XXXXXX");
	assert_non_null(mkdtemp(r->dir));
	r->state_dir = open(r->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	assert_true(r->state_dir >= 0 && r->wake >= 0);
	for (int i = 0; i < RINGS; i++) {
		r->ring_fd[i] = -1;
		new_ring(r, i);
	}
}

/* The parent goes away: the role finishes by itself. Returns its exit status. */
static inline int role_stop(struct role *r)
{
	int status = 0;

	(void)close(r->channel);
	r->channel = -1;
	assert_int_equal(waitpid(r->pid, &status, 0), r->pid);
	r->pid = 0;
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static inline void role_kill(struct role *r)
{
	int status;

	assert_int_equal(kill(r->pid, SIGKILL), 0);
	assert_int_equal(waitpid(r->pid, &status, 0), r->pid);
	r->pid = 0;
	(void)close(r->channel);
	r->channel = -1;
}

static inline void role_release(struct role *r)
{
	char command[128];

	if (r->pid)
		role_kill(r);
	for (int i = 0; i < RINGS; i++) {
		zg_ring_release(&r->ring[i]);
		(void)close(r->ring_fd[i]);
	}
	(void)close(r->gateway[0]);
	(void)close(r->gateway[1]);
	(void)close(r->wake);
	(void)close(r->state_dir);
	(void)snprintf(command, sizeof(command), "rm -rf %s", r->dir);
	assert_int_equal(system(command), 0);
}

/* A record that a gateway may bring; call is its number. */
static inline void sample(struct zg_record *rec, uint64_t call)
{
	zg_record_init(rec, ZG_RK_CALL_INTENT);
	zg_record_str(rec, ZG_RF_server, ZG_SLICE("github"));
	zg_record_str(rec, ZG_RF_tool, ZG_SLICE("create_issue"));
	ZG_REC_NUM(rec, call, call);
}

/* A call that asks for approval; same seed = same call. */
static inline struct zg_msg_hold held(const struct role *r, uint64_t call, uint8_t seed)
{
	struct zg_msg_hold h = {.call = call,
				.principal = {.cgroup_id = 77,
					      .pid = 4242,
					      .uid = AGENT_UID,
					      .profile = "agent",
					      .cgroup = "zerogate.slice/run-1"},
				.server = "github",
				.method = "tools/call",
				.tool = "create_issue",
				.rules = "require-approval-production-write",
				.risk_tags = "prod",
				.args_bytes = 17,
				.args_text = "{\"title\":\"hello\"}"};

	memset(h.binding, seed, sizeof(h.binding));
	memcpy(h.snapshot, r->snapshot, 32);
	return h;
}

static inline void hold(const struct role *r, int worker, const struct zg_msg_hold *h)
{
	assert_int_equal(zg_msg_send(r->gateway[worker], ZG_MSG_HOLD, h, -1), 0);
}

static inline struct zg_msg_hold_state answer(const struct role *r, int worker)
{
	struct zg_msg_hold_state s;
	struct zg_msg m;

	receive(r->gateway[worker], &m, ZG_MSG_HOLD_STATE);
	memcpy(&s, m.body, sizeof(s));
	return s;
}

/* Hold and expect an answer of this state. */
static inline struct zg_msg_hold_state
hold_gets(const struct role *r, int worker, const struct zg_msg_hold *h, enum zg_hold_state want)
{
	struct zg_msg_hold_state s;

	hold(r, worker, h);
	s = answer(r, worker);
	assert_int_equal(s.call, h->call);
	assert_int_equal(s.state, want);
	return s;
}

/* A call does not wait any more; the ledger says that nothing was decided before. */
static inline void let_go(const struct role *r, int worker, uint64_t call)
{
	const struct zg_msg_hold_release m = {.call = call};
	struct zg_msg_hold_state s;

	assert_int_equal(zg_msg_send(r->gateway[worker], ZG_MSG_HOLD_RELEASE, &m, -1), 0);
	s = answer(r, worker);
	assert_int_equal(s.call, call);
	assert_int_equal(s.state, ZG_HOLD_RELEASED);
}

/* A control connection with its first request, as the parent hands it over. */
static inline int control_as(const struct role *r, enum zg_msg_type type, const void *body,
			     struct zg_ctl_peer peer)
{
	struct zg_msg_ctl_handover h = {
		.peer = peer, .type = type, .bytes = (uint32_t)zg_msg_bytes(type)};
	int pair[2];

	memcpy(h.body, body, h.bytes);
	assert_int_equal(zg_ipc_pair(pair, false), 0);
	assert_int_equal(zg_msg_send(r->channel, ZG_MSG_CTL_HANDOVER, &h, pair[1]), 0);
	(void)close(pair[1]);
	return pair[0];
}

#define APPROVER                                                                                   \
	((struct zg_ctl_peer){                                                                     \
		.pid = 99, .uid = PERSON_UID, .gid = PERSON_UID, .roles = ZG_ROLE_APPROVER})

/* How a request ends, whatever rows come before. */
static inline struct zg_msg_ctl_end ends(int sock)
{
	struct zg_msg_ctl_end end;
	struct zg_msg m;

	do {
		struct pollfd p = {.fd = sock, .events = POLLIN};

		assert_int_equal(poll(&p, 1, WAIT_MS), 1);
		assert_int_equal(zg_msg_recv(sock, &m), 0);
	} while (m.type != ZG_MSG_CTL_END);
	(void)close(sock);
	memcpy(&end, m.body, sizeof(end));
	return end;
}

/* Decide; returns how the request ended. */
static inline struct zg_msg_ctl_end decide_as(const struct role *r, const char *id, bool approve,
					      struct zg_ctl_peer peer)
{
	struct zg_msg_ctl_approval_decide d = {.approve = approve, .reason = "because"};

	(void)zg_str_cut(d.approval, sizeof(d.approval), zg_slice_str(id));
	return ends(control_as(r, ZG_MSG_CTL_APPROVAL_DECIDE, &d, peer));
}

static inline struct zg_msg_ctl_approval show(const struct role *r, const char *id)
{
	struct zg_msg_ctl_approval_show ask = {0};
	struct zg_msg_ctl_approval a;
	struct zg_msg m;
	int sock;

	(void)zg_str_cut(ask.approval, sizeof(ask.approval), zg_slice_str(id));
	sock = control_as(r, ZG_MSG_CTL_APPROVAL_SHOW, &ask, APPROVER);
	receive(sock, &m, ZG_MSG_CTL_APPROVAL);
	memcpy(&a, m.body, sizeof(a));
	assert_int_equal(ends(sock).error, 0);
	return a;
}

/* A whole file of the state folder, NUL-terminated; the caller frees it. */
static inline char *slurp(const struct role *r, const char *name)
{
	char *text = NULL;
	struct stat st;
	int fd = openat(r->state_dir, name, O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	text = calloc(1, (size_t)st.st_size + 1);
	assert_non_null(text);
	assert_int_equal(read(fd, text, (size_t)st.st_size), st.st_size);
	(void)close(fd);
	return text;
}

static inline size_t occurrences(const char *text, const char *what)
{
	size_t n = 0;

	for (; (text = strstr(text, what)); text++)
		n++;
	return n;
}

/* The whole log of dir holds as a chain, as `zerogate audit verify` sees it;
 * returns its number of lines. */
static inline uint64_t verified_at(int state_dir)
{
	zg_autofile FILE *pub = NULL;
	struct zg_chain chain;
	EVP_PKEY *key;
	int fd = openat(state_dir, "audit/audit.pub", O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	pub = fdopen(fd, "r");
	key = PEM_read_PUBKEY(pub, NULL, NULL, NULL);
	assert_non_null(key);
	zg_chain_start(&chain, key, false);
	for (unsigned segment = 1;; segment++) {
		char name[40], *line = NULL;
		size_t size = 0;
		FILE *f;
		ssize_t n;

		(void)snprintf(name, sizeof(name), "audit/%012u.jsonl", segment);
		fd = openat(state_dir, name, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			break;
		f = fdopen(fd, "r");
		while ((n = getline(&line, &size, f)) > 0) {
			const char *why;

			assert_int_equal(line[n - 1], '\n');
			why = zg_chain_next(&chain, (struct zg_slice){line, (size_t)n - 1});
			if (why)
				fail_msg("%s line %.*s: %s", name, (int)n, line, why);
		}
		free(line);
		(void)fclose(f);
	}
	EVP_PKEY_free(key);
	return chain.lines;
}

static inline uint64_t verified(const struct role *r)
{
	return verified_at(r->state_dir);
}

/* Wait until the log holds n occurrences of text. The log has no reader to
 * wake, so it is looked at again; a log that never gets there fails the test. */
static inline char *log_with(const struct role *r, const char *text, size_t n)
{
	for (int i = 0; i < WAIT_MS / 5; i++) {
		char *log = NULL;

		if (faccessat(r->state_dir, FIRST_SEGMENT, F_OK, 0) == 0)
			log = slurp(r, FIRST_SEGMENT);
		if (log && occurrences(log, text) >= n)
			return log;
		free(log);
		(void)poll(NULL, 0, 5);
	}
	fail_msg("the log never held '%s' %zu times", text, n);
	return NULL;
}

#endif
