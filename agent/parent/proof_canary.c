/* SPDX-License-Identifier: Apache-2.0 */
/*
 * proof_canary.c - see proof.h: the canary's supervision, its sinks, and the
 * judgement of a round. A door counts as shut only when three agree: the
 * canary was refused with the right errno, no sink received its token, and the
 * kernel gate's own event of that refusal came back through the ring. Trust:
 * the canary is unprivileged and may be wrong; anybody on the machine can
 * reach the sinks, so only what carries the round's nonce counts.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "enforcement.h"
#include "log.h"
#include "proof.h"
#include "spawn.h"

#define DRAIN_MAX 256	/* messages taken from one sink at once: others send too */
#define WAIT_USEC 20000 /* for events that a full ring holds back */

enum stage {
	OFF,   /* no process */
	FIRST, /* control rounds: nothing governs it yet */
	SECOND,
	GOVERNED,
};

enum sink { TCP4, TCP6, UDP4, UDP6, LOCAL, SINKS };

struct zg_canary {
	pid_t pid; /* -1 = not running */
	int sock;
	struct event *readable;
	struct event *timer;
	enum stage stage;
	bool busy; /* a round is under way */
	uint64_t cgroup_id;
	struct zg_msg_canary_round round;
	struct zg_msg_canary_result result;
	bool answered;
	uint64_t deadline_ms;
	int sink[SINKS];		/* -1 = this machine has none */
	struct sockaddr_storage ear[2]; /* where the canary hears */
	uint32_t open;			/* doors that were open in the control round */
	uint32_t arrived;		/* bits of doors: their token came to a sink */
	uint32_t told;			/* the gate's event came through the ring */
};

static const struct {
	const char *text;
	uint8_t layer;
	uint8_t family;
	int refused;
} doors[ZG_CD_MAX] = {
#define X(NAME, text, layer, family, refused)                                                      \
	[ZG_CD_##NAME] = {(text), ZG_L_##layer, family, refused},
#include "tbl/canary.h"
#undef X
};

/* sinks --------------------------------------------------------------------- */

static const struct {
	int family, type;
} sinks[SINKS] = {
	[TCP4] = {AF_INET, SOCK_STREAM},  [TCP6] = {AF_INET6, SOCK_STREAM},
	[UDP4] = {AF_INET, SOCK_DGRAM},	  [UDP6] = {AF_INET6, SOCK_DGRAM},
	[LOCAL] = {AF_UNIX, SOCK_STREAM},
};

static socklen_t sink_address(struct zg_canary *c, enum sink which, struct sockaddr_storage *out)
{
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_addr = in6addr_loopback};
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	struct sockaddr_un un = {.sun_family = AF_UNIX};

	*out = (struct sockaddr_storage){0};
	switch (sinks[which].family) {
	case AF_INET:
		memcpy(out, &in, sizeof(in));
		return sizeof(in);
	case AF_INET6:
		memcpy(out, &in6, sizeof(in6));
		return sizeof(in6);
	default:
		memcpy(un.sun_path + 1, c->round.unix_name, strlen(c->round.unix_name));
		memcpy(out, &un, sizeof(un));
		return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 +
				   strlen(c->round.unix_name));
	}
}

/* A family that the machine does not have is no error: its doors stay out. */
static void open_sink(struct zg_canary *c, enum sink which)
{
	struct sockaddr_storage at;
	socklen_t bytes = sink_address(c, which, &at);
	zg_autofd int s =
		socket(sinks[which].family, sinks[which].type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (s < 0 || bind(s, (struct sockaddr *)&at, bytes) < 0 ||
	    (sinks[which].type == SOCK_STREAM && listen(s, SOMAXCONN) < 0))
		return;
	bytes = sizeof(at);
	if (getsockname(s, (struct sockaddr *)&at, &bytes) < 0)
		return;
	if (which == TCP4 || which == UDP4)
		(which == TCP4 ? c->round.tcp_port : c->round.udp_port)[0] =
			ntohs(((struct sockaddr_in *)(void *)&at)->sin_port);
	if (which == TCP6 || which == UDP6)
		(which == TCP6 ? c->round.tcp_port : c->round.udp_port)[1] =
			ntohs(((struct sockaddr_in6 *)(void *)&at)->sin6_port);
	c->sink[which] = zg_take_fd(&s);
}

/* The door of a token of this round; ZG_CD_MAX for anything else. */
static uint32_t door_of(const struct zg_canary *c, const struct zg_canary_token *t, ssize_t n)
{
	if (n != sizeof(*t) || memcmp(t->nonce, c->round.nonce, sizeof(t->nonce)) != 0)
		return ZG_CD_MAX;
	return t->door < ZG_CD_MAX ? t->door : ZG_CD_MAX;
}

static bool take_stream(struct zg_canary *c, int sink)
{
	struct zg_canary_token t;
	zg_autofd int s = accept4(sink, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	uint32_t door;

	if (s < 0)
		return errno == ECONNABORTED;
	door = door_of(c, &t, recv(s, &t, sizeof(t), 0));
	if (door < ZG_CD_MAX)
		c->arrived |= 1u << door;
	return true;
}

static bool take_datagram(struct zg_canary *c, int sink)
{
	struct sockaddr_storage from;
	socklen_t bytes = sizeof(from);
	struct zg_canary_token t;
	ssize_t n = recvfrom(sink, &t, sizeof(t), 0, (struct sockaddr *)&from, &bytes);
	uint32_t door;

	if (n < 0)
		return errno == ECONNREFUSED;
	door = door_of(c, &t, n);
	if (door == ZG_CD_MAX)
		return true;
	c->arrived |= 1u << door;
	if (door == ZG_CD_IN4 || door == ZG_CD_IN6)
		c->ear[door == ZG_CD_IN6] = from;
	return true;
}

static void drain_sinks(struct zg_canary *c)
{
	for (int i = 0; i < SINKS; i++)
		for (int n = 0; c->sink[i] >= 0 && n < DRAIN_MAX; n++)
			if (!(sinks[i].type == SOCK_STREAM ? take_stream(c, c->sink[i])
							   : take_datagram(c, c->sink[i])))
				break;
}

/* What must not come in: a datagram to each ear, from a port of its own, so
 * that the gate does not take it for a packet of another door's flow. */
static void knock(struct zg_canary *c)
{
	for (int v6 = 0; v6 < 2; v6++) {
		struct zg_canary_token t = {.door = v6 ? ZG_CD_IN6 : ZG_CD_IN4};
		socklen_t bytes = v6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
		zg_autofd int s = -1;

		if (!c->ear[v6].ss_family)
			continue;
		memcpy(t.nonce, c->round.nonce, sizeof(t.nonce));
		s = socket(v6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		(void)!sendto(s, &t, sizeof(t), 0, (struct sockaddr *)&c->ear[v6], bytes);
	}
}

/* a round ----------------------------------------------------------------------- */

static void finish(struct zg_parent *p, enum zg_finding_state state, const char *text)
{
	struct zg_canary *c = p->canary;
	struct zg_looked found = {.state = state};

	c->busy = false;
	(void)event_del(c->timer);
	(void)zg_str_cut(found.text, sizeof(found.text), zg_slice_str(text));
	zg_proof_canary(p, &found);
}

static void forget(struct zg_canary *c)
{
	if (c->readable)
		event_free(c->readable);
	c->readable = NULL;
	zg_close_(&c->sock);
	c->sock = -1;
	c->stage = OFF;
}

/* Its end is seen by SIGCHLD; the next round starts another. */
static void give_up(struct zg_parent *p, const char *why)
{
	struct zg_canary *c = p->canary;

	forget(c);
	if (c->pid > 0)
		(void)kill(c->pid, SIGKILL);
	if (c->busy)
		finish(p, ZG_FS_ABSENT, why);
}

static void send_round(struct zg_parent *p)
{
	struct zg_canary *c = p->canary;
	struct timeval wait = {.tv_usec = WAIT_USEC};

	c->round.round++;
	c->answered = false;
	c->arrived = c->told = 0;
	if (getrandom(c->round.nonce, sizeof(c->round.nonce), 0) != sizeof(c->round.nonce)) {
		give_up(p, "no random bytes for the canary");
		return;
	}
	knock(c);
	if (zg_msg_send(c->sock, ZG_MSG_CANARY_ROUND, &c->round, -1) < 0 ||
	    event_add(c->timer, &wait) < 0)
		give_up(p, "the canary cannot be asked");
}

/* Doors that this round is to find shut. */
static uint32_t expected(const struct zg_parent *p)
{
	uint32_t layers = zg_enforcement_layers(p), bits = 0;

	for (uint32_t i = 0; i < ZG_CD_MAX; i++)
		if ((p->canary->open >> i & 1) && (layers >> doors[i].layer & 1))
			bits |= 1u << i;
	return bits;
}

static void judge(struct zg_parent *p)
{
	struct zg_canary *c = p->canary;
	uint32_t doors_open = expected(p);
	char text[ZG_REASON_LEN];

	for (uint32_t i = 0; i < ZG_CD_MAX; i++) {
		int error = c->result.error[i];

		if (!(doors_open >> i & 1))
			continue; /* nothing guards it here, and doctor says so */
		if (c->arrived >> i & 1) {
			(void)snprintf(text, sizeof(text), "%s arrived", doors[i].text);
			finish(p, ZG_FS_BROKEN, text);
			return;
		}
		if (error == doors[i].refused)
			continue;
		(void)snprintf(text, sizeof(text), "%s was not refused%s%s", doors[i].text,
			       error ? ": " : "", error ? strerror(error) : "");
		finish(p, ZG_FS_BROKEN, text);
		return;
	}
	for (uint32_t i = 0; i < ZG_CD_MAX; i++) {
		if (!(doors_open >> i & 1) || (c->told >> i & 1))
			continue;
		(void)snprintf(text, sizeof(text),
			       "%s was refused, but not reported by the layer that should",
			       doors[i].text);
		finish(p, ZG_FS_ABSENT, text);
		return;
	}
	finish(p, ZG_FS_OK, "");
}

/* The doors were there to be shut; now they are. */
static void govern(struct zg_parent *p)
{
	struct zg_canary *c = p->canary;
	const uint32_t least = 1u << ZG_CD_TCP4 | 1u << ZG_CD_UDP4;
	char path[ZG_CGROUP_LEN];
	int rc;

	c->open = 0;
	for (uint32_t i = 0; i < ZG_CD_MAX; i++)
		if (c->result.error[i] == 0)
			c->open |= 1u << i;
	if ((c->open & least) != least || (c->arrived & least) != least) {
		give_up(p, "the canary does not reach its sink while nothing governs it");
		return;
	}
	(void)snprintf(path, sizeof(path), "%.240s/canary", p->cgroups.own);
	rc = zg_cgroups_govern(&p->cgroups, c->cgroup_id, path, ZG_PROFILE_CANARY);
	if (rc < 0) {
		give_up(p, "the canary's cgroup cannot be governed");
		return;
	}
	c->stage = GOVERNED;
	send_round(p);
}

/* The answer is there: go on to the next stage, or judge it. */
static void advance(struct zg_parent *p)
{
	struct zg_canary *c = p->canary;

	drain_sinks(c);
	switch (c->stage) {
	case OFF:
		return;
	case FIRST:
		c->stage = SECOND;
		send_round(p);
		return;
	case SECOND:
		govern(p);
		return;
	case GOVERNED:
		zg_events_drain(p);
		if ((c->told & expected(p)) == expected(p) || zg_parent_now_ms() >= c->deadline_ms)
			judge(p);
		return;
	}
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	const struct timeval wait = {.tv_usec = WAIT_USEC};
	struct zg_parent *p = arg;
	struct zg_canary *c = p->canary;

	(void)fd;
	(void)what;
	if (!c->busy)
		return;
	if (c->answered)
		advance(p);
	else if (zg_parent_now_ms() >= c->deadline_ms)
		give_up(p, "the canary does not answer");
	if (c->busy && event_add(c->timer, &wait) < 0)
		give_up(p, "no timer for the canary");
}

static void on_readable(evutil_socket_t sock, short what, void *arg)
{
	struct zg_parent *p = arg;
	struct zg_canary *c = p->canary;
	struct zg_msg m = {.fd = -1};
	int rc = zg_msg_recv((int)sock, &m);

	(void)what;
	if (rc == 0 && m.type == ZG_MSG_CANARY_RESULT) {
		memcpy(&c->result, m.body, sizeof(c->result));
		c->answered = c->busy && c->result.round == c->round.round;
		if (c->answered)
			advance(p);
	} else if (rc < 0 ? rc != -EAGAIN : m.type != ZG_MSG_READY) {
		give_up(p, "the canary ended");
	}
	zg_msg_release(&m);
}

/* life ------------------------------------------------------------------------------ */

static int spawn(struct zg_parent *p)
{
	struct zg_canary *c = p->canary;
	zg_autofd int dir = zg_cgroups_role(&p->cgroups, "canary", &c->cgroup_id);
	const struct zg_spawn s = {.role = "canary",
				   .cgroup = dir,
				   .drop = true,
				   .uid = p->user_uid,
				   .gid = p->user_gid,
				   .death_signal = SIGKILL};
	struct zg_err e;
	int rc = dir < 0 ? zg_err_set(&e, -dir, "the canary's cgroup is gone") : 0;

	if (rc == 0) {
		rc = zg_cgroups_release(&p->cgroups, c->cgroup_id);
		if (rc < 0)
			(void)zg_err_set(&e, -rc, "its cgroup stays governed");
	}
	if (rc == 0)
		rc = zg_spawn(&s, &c->pid, &c->sock, &e);
	if (rc < 0) {
		zg_log_err(ZG_LOG_ERR, "cannot start the canary", &e);
		c->pid = -1;
		return rc;
	}
	c->stage = FIRST;
	memset(c->ear, 0, sizeof(c->ear));
	c->readable = event_new(p->loop, c->sock, EV_READ | EV_PERSIST, on_readable, p);
	return c->readable && event_add(c->readable, NULL) == 0 ? 0 : -ENOMEM;
}

void zg_canary_round(struct zg_parent *p)
{
	struct zg_canary *c = p->canary;

	c->busy = true;
	c->deadline_ms = zg_parent_now_ms() + ZG_PROOF_MS;
	if (c->stage == OFF && (c->pid > 0 || spawn(p) < 0)) {
		give_up(p, "the canary cannot be started");
		return;
	}
	send_round(p);
}

void zg_canary_event(struct zg_parent *p, const struct zg_event *ev)
{
	struct zg_canary *c = p->canary;

	for (uint32_t i = 0; c && i < ZG_CD_MAX; i++)
		if (ev->kind == ZG_E_DENY && ev->layer == doors[i].layer &&
		    (!doors[i].family || ev->family == doors[i].family))
			c->told |= 1u << i;
}

void zg_canary_reap(struct zg_parent *p)
{
	struct zg_canary *c = p->canary;
	int status;

	if (!c || c->pid <= 0 || waitpid(c->pid, &status, WNOHANG) != c->pid)
		return;
	c->pid = -1;
	give_up(p, "the canary ended");
}

int zg_canary_start(struct zg_parent *p, struct zg_err *e)
{
	struct zg_canary *c = calloc(1, sizeof(*c));
	uint64_t random;

	if (!c)
		return zg_err_set(e, ENOMEM, "no memory for the canary");
	p->canary = c;
	c->pid = c->sock = -1;
	for (int i = 0; i < SINKS; i++)
		c->sink[i] = -1;
	c->timer = event_new(p->loop, -1, 0, on_timer, p);
	if (!c->timer)
		return zg_err_set(e, ENOMEM, "no memory for the canary");
	if (getrandom(&random, sizeof(random), 0) != sizeof(random))
		return zg_err_set(e, EIO, "no random bytes");
	(void)snprintf(c->round.unix_name, sizeof(c->round.unix_name), "zg-canary-%016llx",
		       (unsigned long long)random);
	for (int i = 0; i < SINKS; i++)
		open_sink(c, (enum sink)i);
	return 0;
}

void zg_canary_release(struct zg_parent *p)
{
	struct zg_canary *c = p->canary;

	if (!c)
		return;
	forget(c);
	if (c->pid > 0) {
		(void)kill(c->pid, SIGKILL);
		(void)waitpid(c->pid, NULL, 0);
	}
	if (c->timer)
		event_free(c->timer);
	for (int i = 0; i < SINKS; i++)
		zg_close_(&c->sink[i]);
	free(c);
	p->canary = NULL;
}
