/* SPDX-License-Identifier: Apache-2.0 */
/*
 * local_begin.c - who may have a session with a local server (local.h), and with
 * which variables. Trust: any governed process may ask for a server that its
 * profile lists; from the client come two descriptors, which must be pipes, and
 * the values of variables that the entry names. Nothing of it is read here.
 */
#include "local_impl.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>

static struct zg_stdio *free_slot(struct zg_parent *p, uid_t uid)
{
	struct zg_stdio *at = NULL;
	size_t same = 0;

	for (size_t i = 0; i < ZG_STDIO_MAX; i++) {
		if (p->stdio->s[i].state == STDIO_FREE)
			at = at ? at : &p->stdio->s[i];
		else
			same += p->stdio->s[i].caller.uid == uid;
	}
	return uid != 0 && same >= ZG_STDIO_CALLER_MAX ? NULL : at;
}

bool zg_stdio_is_pipe(int fd)
{
	socklen_t len = sizeof(int);
	int domain = 0, type = 0;
	struct stat st;

	if (fstat(fd, &st) < 0)
		return false;
	if (S_ISFIFO(st.st_mode))
		return true;
	return S_ISSOCK(st.st_mode) && getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 &&
	       domain == AF_UNIX && getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 &&
	       type == SOCK_STREAM;
}

static int take_groups(struct zg_stdio *s, int sock)
{
	socklen_t len = 0;

	if (getsockopt(sock, SOL_SOCKET, SO_PEERGROUPS, NULL, &len) == 0)
		return 0; /* it has none */
	if (errno != ERANGE || len > 65536 * sizeof(gid_t))
		return -EIO;
	s->groups = malloc(len);
	if (!s->groups || getsockopt(sock, SOL_SOCKET, SO_PEERGROUPS, s->groups, &len) < 0)
		return -ENOMEM;
	s->group_count = len / sizeof(gid_t);
	return 0;
}

static void read_comm(pid_t pid, char out[ZG_COMM_LEN])
{
	char path[32];
	zg_autofd int fd = -1;
	ssize_t n;

	(void)snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? 0 : read(fd, out, ZG_COMM_LEN - 1);
	out[n > 0 ? n : 0] = '\0';
	out[strcspn(out, "\n")] = '\0';
}

static int may_begin(struct zg_parent *p, const struct zg_stdio_caller *who, const char *id,
		     const struct zg_stdio_def **def, struct zg_err *e)
{
	int rc = 0;

	if (who->profile < ZG_PROFILE_FIRST) {
		rc = zg_err_set(e, EPERM, "only a governed process may use server '%s'", id);
		zg_err_hint(e, "start the client with: zerogate run -- COMMAND");
		return rc;
	}
	*def = zg_snapshot_stdio(&p->snapshot, id);
	if (!*def && zg_snapshot_server(&p->snapshot, zg_slice_str(id))) {
		rc = zg_err_set(e, EINVAL, "server '%s' is not started by a command", id);
		zg_err_hint(e, "a remote server is reached at its URL, or at the gateway's");
		return rc;
	}
	if (!*def) {
		rc = zg_err_set(e, ENOENT, "server '%s' is not registered", id);
		zg_err_hint(e, "registered servers stand in %s", p->servers);
		return rc;
	}
	if (!zg_stdio_may(*def, who->profile) ||
	    zg_kernel_contained(p->kernel, zg_snapshot_profile(&p->snapshot, who->profile)))
		return zg_err_set(e, EPERM, "profile %s may not use server '%s'",
				  zg_snapshot_profile(&p->snapshot, who->profile), id);
	if ((*def)->who == ZG_SU_CALLER && who->uid == 0)
		return zg_err_set(e, EPERM, "server '%s' runs as its caller, and never as root",
				  id);
	return 0;
}

static int ask_client(struct zg_stdio *s, const struct zg_stdio_def *def)
{
	const char *name = zg_snapshot_text(&s->parent->snapshot, &def->pass);
	struct zg_msg_ctl_stdio_ask ask = {0};

	for (uint32_t i = 0; i < def->pass.count; i++, name = zg_snapshot_text_next(name)) {
		(void)zg_str_cut(ask.name, sizeof(ask.name), zg_slice_str(name));
		if (!zg_control_tell(s->client, ZG_MSG_CTL_STDIO_ASK, &ask))
			return -EPIPE;
	}
	ask = (struct zg_msg_ctl_stdio_ask){.last = 1};
	return zg_control_tell(s->client, ZG_MSG_CTL_STDIO_ASK, &ask) ? 0 : -EPIPE;
}

int zg_stdio_begin(struct zg_parent *p, const struct zg_stdio_caller *who, void *client,
		   const struct zg_msg_ctl_stdio *ask, int *fd, uint64_t *id, struct zg_err *e)
{
	struct zg_stdio *slot = free_slot(p, who->uid);
	struct zg_stdio s = {.parent = p,
			     .client = client,
			     .pid = -1,
			     .status = -1,
			     .caller_pidfd = -1,
			     .cgroup = {.dir = -1},
			     .end = {-1, -1, -1, -1, -1}};
	const struct zg_stdio_def *def = NULL;
	int rc;

	memcpy(s.server, ask->server, sizeof(s.server));
	s.caller = (struct zg_principal){.cgroup_id = who->cgroup_id,
					 .pid = (uint32_t)who->pid,
					 .uid = who->uid,
					 .gid = who->gid,
					 .profile_id = who->profile};
	(void)zg_str_cut(s.caller.profile, sizeof(s.caller.profile),
			 zg_slice_str(zg_snapshot_profile(&p->snapshot, who->profile)));
	(void)zg_str_cut(s.caller.cgroup, sizeof(s.caller.cgroup), zg_slice_str(who->cgroup));
	read_comm(who->pid, s.caller.comm);
	rc = may_begin(p, who, ask->server, &def, e);
	if (rc == 0 && !slot)
		rc = zg_err_set(e, EAGAIN, "too many local servers run");
	if (rc == 0 && !zg_stdio_is_pipe(*fd))
		rc = zg_err_set(e, EINVAL, "standard input is neither a pipe nor a unix socket");
	if (rc == 0 && take_groups(&s, who->sock) < 0)
		rc = zg_err_set(e, EIO, "the groups of the asking process cannot be told");
	if (rc < 0) {
		zg_stdio_record_refused(p, &s, e);
		free(s.groups);
		return rc;
	}
	assert(slot && def); /* or rc says what is missing */
	memcpy(s.digest, def->digest, sizeof(s.digest));
	s.state = STDIO_ASKING;
	s.id = ++p->stdio->next;
	s.caller_pidfd = fcntl(who->pidfd, F_DUPFD_CLOEXEC, 3);
	*slot = s;
	slot->timer = event_new(p->loop, -1, 0, zg_stdio_on_timer, slot);
	slot->caller_ended = slot->caller_pidfd < 0
				     ? NULL
				     : event_new(p->loop, slot->caller_pidfd, EV_READ,
						 zg_stdio_on_caller_ended, slot);
	if (!slot->timer || !slot->caller_ended || event_add(slot->caller_ended, NULL) < 0) {
		zg_stdio_free(slot);
		return zg_err_set(e, ENOMEM, "no memory for a session");
	}
	slot->end[ZG_SE_CLIENT_IN] = zg_take_fd(fd);
	zg_stdio_after(slot, ZG_STDIO_START_MS);
	*id = slot->id;
	/* a client that does not read is gone, and its session with it */
	if (ask_client(slot, def) < 0)
		return zg_err_set(e, EPIPE, "the client does not listen");
	return 0;
}

int zg_stdio_env(struct zg_parent *p, uint64_t id, const struct zg_msg_ctl_stdio_env *m,
		 struct zg_err *e)
{
	struct zg_stdio *s = zg_stdio_find(p, id);
	const struct zg_stdio_def *def = s ? zg_snapshot_stdio(&p->snapshot, s->server) : NULL;
	const char *name = def ? zg_snapshot_text(&p->snapshot, &def->pass) : "";
	bool asked = false;
	char *text;

	if (!def || s->state != STDIO_ASKING)
		return zg_err_set(e, EPROTO, "no session was asked for");
	for (uint32_t i = 0; i < def->pass.count && !asked; i++, name = zg_snapshot_text_next(name))
		asked = strcmp(name, m->name) == 0;
	for (size_t i = 0; i < s->envs && asked; i++)
		asked = strncmp(s->env[i], m->name, strlen(m->name)) != 0 ||
			s->env[i][strlen(m->name)] != '=';
	if (!asked || s->envs == ZG_STDIO_ENV_MAX)
		return zg_err_set(e, EPROTO, "a variable that was not asked for");
	if (asprintf(&text, "%s=%s", m->name, m->value) < 0)
		return zg_err_set(e, ENOMEM, "no memory for the environment");
	s->env[s->envs++] = text;
	return 0;
}
