/* SPDX-License-Identifier: Apache-2.0 */
/*
 * configure.c - see configure.h. Trust: root, opening files that policy
 * depends on. It never looks into them; it does look at who can write them.
 */
#include "configure.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "ipc.h"
#include "log.h"
#include "spawn.h"

#define NOBODY	    65534
#define RESOLV_CONF "/etc/resolv.conf"

struct zg_configure_file {
	enum zg_config_file kind;
	char name[ZG_PATH_LEN];
	int text; /* a memfd of its bytes; -1 until it was read */
};

static int fail(struct zg_configure *c, int rc, const struct zg_err *e)
{
	if (c->errors++ == 0)
		c->first = *e;
	c->in.report(c->in.arg, e);
	return rc;
}

/* files ------------------------------------------------------------------- */

static int owner_of(const char *path, uid_t *uid)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return -errno;
	*uid = st.st_uid;
	return 0;
}

/* Who else could change it? 0 or -EPERM. */
static int writers_ok(const struct stat *st, const char *path, uid_t config_owner, struct zg_err *e)
{
	int rc;

	if (st->st_uid != 0 && st->st_uid != config_owner) {
		rc = zg_err_at(e, EPERM, path, 0, 0,
			       "it belongs to uid %u, neither to root nor to the owner of the "
			       "configuration",
			       (unsigned)st->st_uid);
		zg_err_hint(e, "chown root %s", path);
		return rc;
	}
	if (st->st_mode & (S_IWGRP | S_IWOTH)) {
		rc = zg_err_at(e, EPERM, path, 0, 0, "others than its owner can write to it");
		zg_err_hint(e, "chmod go-w %s", path);
		return rc;
	}
	return 0;
}

/* Last component without following a link: what is checked is what is read. */
static int open_checked(const char *path, bool folder, uid_t config_owner, struct zg_err *e)
{
	zg_autofd int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	int rc;

	if (fd < 0 || fstat(fd, &st) < 0)
		return zg_err_at(e, errno, path, 0, 0, "cannot open it: %s",
				 errno == ELOOP ? "it is a symbolic link" : strerror(errno));
	if (folder ? !S_ISDIR(st.st_mode) : !S_ISREG(st.st_mode))
		return zg_err_at(e, EINVAL, path, 0, 0, "it is not a %s",
				 folder ? "folder" : "regular file");
	if (!folder && st.st_size > ZG_CONFIG_FILE_BYTES)
		return zg_err_at(e, EFBIG, path, 0, 0, "it is larger than %d bytes",
				 ZG_CONFIG_FILE_BYTES);
	rc = writers_ok(&st, path, config_owner, e);
	return rc < 0 ? rc : zg_take_fd(&fd);
}

static bool has_suffix(const char *name, const char *suffix)
{
	size_t n = strlen(name), m = strlen(suffix);

	return name[0] != '.' && n > m && strcmp(name + n - m, suffix) == 0;
}

/* resolv.conf is a link on most machines, to a file of the service that keeps
 * it. Missing: names are asked for nowhere. */
static int open_resolv(const char *path, struct zg_err *e)
{
	zg_autofd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return zg_err_at(e, errno, path, 0, 0, "cannot open it: %m");
	if (!S_ISREG(st.st_mode) || st.st_size > ZG_RESOLV_BYTES)
		return zg_err_at(e, EINVAL, path, 0, 0, "it is not a file of at most %d bytes",
				 ZG_RESOLV_BYTES);
	return zg_take_fd(&fd);
}

static int add_file(struct zg_configure *c, enum zg_config_file kind, const char *folder,
		    const char *name, struct zg_err *e)
{
	struct zg_configure_file *more;
	int n;

	if (c->files >= ZG_CONFIG_FILES_MAX)
		return zg_err_at(e, E2BIG, folder, 0, 0, "more than %d files", ZG_CONFIG_FILES_MAX);
	more = reallocarray(c->file, c->files + 1, sizeof(*more));
	if (!more)
		return zg_err_set(e, ENOMEM, "no memory for the list of files");
	c->file = more;
	more[c->files].kind = kind;
	more[c->files].text = -1;
	n = snprintf(more[c->files].name, ZG_PATH_LEN, "%s%s%s", folder, folder[0] ? "/" : "",
		     name);
	if (n < 0 || n >= ZG_PATH_LEN)
		return zg_err_at(e, ENAMETOOLONG, folder, 0, 0, "the path of %s is too long", name);
	c->files++;
	return 0;
}

/* In the order of their names, so that messages come in a stable order. */
static int add_folder(struct zg_configure *c, enum zg_config_file kind, const char *path,
		      const char *suffix, uid_t config_owner, struct zg_err *e)
{
	struct dirent **list = NULL;
	int fd = open_checked(path, true, config_owner, e);
	int n, rc = 0;

	if (fd < 0)
		return fd;
	(void)close(fd);
	n = scandir(path, &list, NULL, alphasort);
	if (n < 0)
		return zg_err_at(e, errno, path, 0, 0, "cannot list it: %m");
	for (int i = 0; i < n; i++) {
		if (rc == 0 && has_suffix(list[i]->d_name, suffix))
			rc = add_file(c, kind, path, list[i]->d_name, e);
		free(list[i]);
	}
	free(list);
	return rc;
}

/* The files of keys that a listener's issuers name, relative to the main file. */
static int add_keys(struct zg_configure *c, const struct zg_auth *a, struct zg_err *e)
{
	char folder[ZG_PATH_LEN];
	char *slash;
	int rc = 0;

	(void)zg_str_cut(folder, sizeof(folder), zg_slice_str(c->in.main));
	slash = strrchr(folder, '/');
	*(slash ? slash : folder) = '\0';
	for (uint32_t i = 0; rc == 0 && i < a->issuer_count; i++) {
		const char *path = a->issuer[i].jwks_file;

		if (path[0])
			rc = add_file(c, ZG_CF_JWKS, path[0] == '/' ? "" : folder, path, e);
	}
	return rc;
}

/* What is compiled is kept: what is compiled again is the same, whatever
 * becomes of the file. */
static int copy_text(int from, const char *name, struct zg_err *e)
{
	zg_autofd int to = memfd_create("zerogate-config", MFD_CLOEXEC);
	size_t left = ZG_CONFIG_FILE_BYTES + 1; /* of one that grows meanwhile; it is refused */
	ssize_t n = 1;

	if (to < 0)
		return zg_err_at(e, errno, name, 0, 0, "cannot keep it: %m");
	for (; n > 0 && left; left -= n > 0 ? (size_t)n : 0)
		n = sendfile(to, from, NULL, left);
	return n < 0 ? zg_err_at(e, errno, name, 0, 0, "cannot read it: %m") : zg_take_fd(&to);
}

static int read_text(struct zg_configure *c, struct zg_configure_file *f, struct zg_err *e)
{
	zg_autofd int fd = -1;
	uid_t owner = 0;
	int rc = owner_of(c->in.main, &owner);

	if (rc < 0)
		return zg_err_at(e, -rc, c->in.main, 0, 0, "it vanished");
	fd = f->kind == ZG_CF_RESOLV ? open_resolv(f->name, e)
				     : open_checked(f->name, false, owner, e);
	if (fd < 0)
		return fd;
	f->text = copy_text(fd, f->name, e);
	return f->text < 0 ? f->text : 0;
}

/* Public keys of signers, and what they signed. */
static int add_signatures(struct zg_configure *c, const struct zg_settings *s, struct zg_err *e)
{
	char path[2 * ZG_PATH_LEN], folder[ZG_PATH_LEN];
	char *slash;
	int rc = 0;

	(void)zg_str_cut(folder, sizeof(folder), zg_slice_str(c->in.main));
	slash = strrchr(folder, '/');
	*(slash ? slash : folder) = '\0';
	for (uint32_t i = 0; rc == 0 && i < s->signer_count; i++)
		if (!zg_signer_is_key(s->signer[i]))
			rc = add_file(c, ZG_CF_SIGNER, s->signer[i][0] == '/' ? "" : folder,
				      s->signer[i], e);
	(void)snprintf(path, sizeof(path), "%s/" ZG_SIGNATURE_FILE, c->in.policies);
	if (rc == 0 && access(path, F_OK) == 0)
		rc = add_file(c, ZG_CF_SIGNATURE, c->in.policies, ZG_SIGNATURE_FILE, e);
	return rc;
}

/* All of it or nothing, read before anything is sent: whatever is wrong with a
 * policy that is only tried out, the one in force is loaded. */
static void add_shadow(struct zg_configure *c, uid_t owner)
{
	const size_t before = c->files;
	struct zg_err *e = &c->shadow_left_out;
	int rc = add_folder(c, ZG_CF_SHADOW, c->in.shadow, ".yaml", owner, e);

	for (size_t i = before; rc == 0 && i < c->files; i++)
		rc = read_text(c, &c->file[i], e);
	if (rc == 0 && c->files == before)
		rc = zg_err_at(e, ENOENT, c->in.shadow, 0, 0, "it holds no *.yaml");
	while (rc < 0 && c->files > before)
		zg_close_(&c->file[--c->files].text);
}

static int collect(struct zg_configure *c, struct zg_err *e)
{
	uid_t owner = 0;
	int rc = owner_of(c->in.main, &owner);

	if (rc < 0)
		return zg_err_at(e, -rc, c->in.main, 0, 0, "cannot open it: %s", strerror(-rc));
	rc = add_file(c, ZG_CF_MAIN, "", c->in.main, e);
	if (rc == 0 && c->in.policies)
		rc = add_folder(c, ZG_CF_POLICY, c->in.policies, ".yaml", owner, e);
	if (rc == 0 && c->in.servers)
		rc = add_folder(c, ZG_CF_SERVER, c->in.servers, ".json", owner, e);
	for (uint32_t i = 0; rc == 0 && c->in.settings && i < c->in.settings->listen_count; i++)
		rc = add_keys(c, &c->in.settings->auth[i], e);
	if (rc == 0 && c->in.policies && c->in.settings)
		rc = add_signatures(c, c->in.settings, e);
	if (rc == 0 && c->in.policies && c->in.shadow && c->in.shadow[0])
		add_shadow(c, owner);
	if (rc == 0 && c->in.policies && access(RESOLV_CONF, F_OK) == 0)
		rc = add_file(c, ZG_CF_RESOLV, "", RESOLV_CONF, e);
	return rc;
}

/* What the ledger says of servers. It may be writing: a file that has gone since
 * is not of the state that was asked for. */
static int open_registry(const struct zg_configure *c, int folder, const char *name)
{
	zg_autofd int fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_size > ZG_CONFIG_FILE_BYTES)
		return -EINVAL;
	if (c->in.registry_uid != (uid_t)-1 && st.st_uid != c->in.registry_uid)
		return -EPERM;
	return zg_take_fd(&fd);
}

static bool ends_in(const char *name, const char *suffix)
{
	size_t n = strlen(name), m = strlen(suffix);

	return n > m && strcmp(name + n - m, suffix) == 0;
}

static int add_registered(struct zg_configure *c, int folder, const char *name, struct zg_err *e)
{
	zg_autofd int fd = open_registry(c, folder, name);
	int rc;

	if (fd == -ENOENT)
		return 0;
	if (fd < 0)
		return zg_err_at(e, -fd, c->in.registry, 0, 0,
				 "%s is not a file of the ledger's that can be read: %s", name,
				 strerror(-fd));
	rc = add_file(c, ZG_CF_REGISTRY, c->in.registry, name, e);
	if (rc == 0)
		rc = c->file[c->files - 1].text = copy_text(fd, c->file[c->files - 1].name, e);
	return rc < 0 ? rc : 0;
}

static int collect_registry(struct zg_configure *c, struct zg_err *e)
{
	zg_autofd int folder =
		open(c->in.registry, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct dirent **list = NULL;
	int n, rc = 0;

	/* who is not root checks what root wrote: see --check */
	if (folder < 0 && (errno == ENOENT || (errno == EACCES && geteuid() != 0)))
		return 0;
	n = folder < 0 ? -1 : scandir(c->in.registry, &list, NULL, alphasort);
	if (n < 0)
		return zg_err_at(e, errno, c->in.registry, 0, 0, "cannot list it: %m");
	for (int i = 0; i < n; i++) {
		if (rc == 0 && (ends_in(list[i]->d_name, ".json") ||
				(c->in.trials && ends_in(list[i]->d_name, ".trial"))))
			rc = add_registered(c, folder, list[i]->d_name, e);
		free(list[i]);
	}
	free(list);
	return rc;
}

/* As of a former run, but for what the network says. */
static int collect_texts(struct zg_configure *c, struct zg_err *e)
{
	int rc = 0;

	for (size_t i = 0; i < c->in.texts->files && rc == 0; i++) {
		const struct zg_configure_file *f = &c->in.texts->file[i];

		if (f->kind == ZG_CF_ADDRESSES || f->kind == ZG_CF_FETCHED ||
		    (f->kind == ZG_CF_REGISTRY && c->in.registry))
			continue;
		rc = add_file(c, f->kind, "", f->name, e);
		if (rc < 0)
			break;
		c->file[c->files - 1].text = fcntl(f->text, F_DUPFD_CLOEXEC, 0);
		if (c->file[c->files - 1].text < 0)
			rc = zg_err_set(e, errno, "cannot keep %s open: %m", f->name);
	}
	return rc;
}

/* What is no file: one of the parent's own making, which is taken over. */
static int add_own(struct zg_configure *c, enum zg_config_file kind, const char *name, int *fd,
		   struct zg_err *e)
{
	int rc = fd ? add_file(c, kind, "", name, e) : 0;

	if (rc == 0 && fd)
		c->file[c->files - 1].text = zg_take_fd(fd);
	return rc;
}

/* talk -------------------------------------------------------------------- */

int zg_configure_start(struct zg_configure *c, const struct zg_configure_input *in)
{
	struct zg_spawn spawn = {.role = "config",
				 .cgroup = in->cgroup,
				 .drop = in->drop,
				 .uid = NOBODY,
				 .gid = NOBODY,
				 .death_signal = SIGKILL};
	struct zg_err e;
	int rc;

	*c = (struct zg_configure){.in = *in, .pid = -1, .sock = -1, .snapshot = -1};
	rc = in->texts ? collect_texts(c, &e) : collect(c, &e);
	if (rc == 0 && in->registry)
		rc = collect_registry(c, &e);
	if (rc == 0)
		rc = add_own(c, ZG_CF_ADDRESSES, "(addresses of servers)", in->addresses, &e);
	if (rc == 0)
		rc = add_own(c, ZG_CF_FETCHED, "(keys of issuers)", in->keys, &e);
	if (rc == 0)
		rc = zg_spawn(&spawn, &c->pid, &c->sock, &e);
	if (rc < 0) {
		(void)fail(c, rc, &e);
		zg_configure_release(c);
	}
	return rc;
}

static int send_file(struct zg_configure *c)
{
	struct zg_configure_file *f = &c->file[c->next];
	struct zg_msg_config_file body = {.kind = f->kind};
	struct zg_err e;
	int rc = f->text < 0 ? read_text(c, f, &e) : 0;

	if (rc == 0 && lseek(f->text, 0, SEEK_SET) < 0)
		rc = zg_err_at(&e, errno, f->name, 0, 0, "cannot read it: %m");
	if (rc < 0)
		return fail(c, rc, &e);
	(void)zg_str_cut(body.name, sizeof(body.name), zg_slice_str(f->name));
	return zg_msg_send(c->sock, ZG_MSG_CONFIG_FILE, &body, f->text);
}

static int send_all(struct zg_configure *c)
{
	struct zg_msg_config_compile compile = {.settings_only = !c->in.policies};
	int rc = 0;

	for (; c->next < c->files; c->next++) {
		rc = send_file(c);
		if (rc < 0)
			return rc;
	}
	if (!c->compiling)
		rc = zg_msg_send(c->sock, ZG_MSG_CONFIG_COMPILE, &compile, -1);
	if (rc == 0)
		c->compiling = true;
	return rc;
}

static void take_error(struct zg_configure *c, struct zg_msg_config_error *m)
{
	struct zg_err e = {.line = m->line, .column = m->column};

	ZG_MSG_TEXT(m->file);
	ZG_MSG_TEXT(m->what);
	ZG_MSG_TEXT(m->hint);
	memcpy(e.file, m->file, sizeof(e.file));
	memcpy(e.what, m->what, sizeof(e.what));
	memcpy(e.hint, m->hint, sizeof(e.hint));
	(void)fail(c, 0, &e);
}

static void take_submitted(struct zg_configure *c, struct zg_msg_config_server *m)
{
	ZG_MSG_TEXT(m->file);
	for (size_t i = 0; c->in.submitted && i < c->files; i++)
		if (c->file[i].kind == ZG_CF_SERVER && strcmp(c->file[i].name, m->file) == 0)
			c->in.submitted(c->in.arg, &m->entry, c->file[i].text);
}

/* Whose uid is it? Asked one after the other: there is always room for the answer. */
static int take_user(struct zg_configure *c, struct zg_msg_config_user *m)
{
	struct zg_msg_config_uid is = {0};
	const struct passwd *pw;

	if (++c->users > 2 * ZG_POLICY_USERS_MAX) /* of the policy, and of the one on trial */
		return -EPROTO;
	ZG_MSG_TEXT(m->name);
	pw = getpwnam(m->name);
	if (pw)
		is = (struct zg_msg_config_uid){.known = 1, .uid = pw->pw_uid};
	else
		zg_log(ZG_LOG_WARN,
		       "a policy names the user '%s', who does not exist: nobody can tell whether "
		       "conditions on that name hold",
		       m->name);
	return zg_msg_send(c->sock, ZG_MSG_CONFIG_UID, &is, -1) == -EAGAIN ? -EPROTO : 0;
}

/* The channel ended: how did the child? */
static int ended(struct zg_configure *c)
{
	struct zg_err e;
	int status = 0;

	(void)waitpid(c->pid, &status, 0);
	c->pid = -1;
	if (c->snapshot >= 0)
		return 1;
	if (c->errors)
		return -EINVAL;
	if (WIFSIGNALED(status))
		(void)zg_err_set(&e, EIO, "the config role was killed by signal %d (%s)",
				 WTERMSIG(status), strsignal(WTERMSIG(status)));
	else
		(void)zg_err_set(&e, EIO, "the config role ended with status %d and no answer",
				 WEXITSTATUS(status));
	return fail(c, -EIO, &e);
}

int zg_configure_step(struct zg_configure *c)
{
	struct zg_err e;
	struct zg_msg m = {.fd = -1};
	int rc = send_all(c);

	/* a child that ended early has said why: read that first */
	if (rc < 0 && rc != -EAGAIN && rc != -EPIPE) {
		if (!c->errors)
			(void)fail(c, rc,
				   (zg_err_set(&e, -rc, "config role: %s", strerror(-rc)), &e));
		return rc;
	}
	while ((rc = zg_msg_recv(c->sock, &m)) == 0) {
		if (m.type == ZG_MSG_CONFIG_ERROR) {
			take_error(c, (struct zg_msg_config_error *)(void *)m.body);
		} else if (m.type == ZG_MSG_CONFIG_SERVER && c->compiling) {
			take_submitted(c, (struct zg_msg_config_server *)(void *)m.body);
		} else if (m.type == ZG_MSG_CONFIG_USER && c->compiling) {
			rc = take_user(c, (struct zg_msg_config_user *)(void *)m.body);
			if (rc < 0)
				break;
		} else if (m.type == ZG_MSG_CONFIG_DONE && c->compiling && c->snapshot < 0) {
			c->snapshot = zg_take_fd(&m.fd);
		} else {
			zg_msg_release(&m);
			rc = -EPROTO;
			break;
		}
	}
	if (rc == -EAGAIN)
		return 0;
	if (rc == -EPIPE)
		return ended(c);
	return fail(c, rc, (zg_err_set(&e, -rc, "the config role broke the protocol"), &e));
}

short zg_configure_wants(const struct zg_configure *c)
{
	return c->compiling ? POLLIN : POLLIN | POLLOUT;
}

int zg_configure_run(struct zg_configure *c, const struct zg_configure_input *in)
{
	struct zg_err e;
	struct timespec now;
	time_t deadline;
	int rc = zg_configure_start(c, in);

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	deadline = now.tv_sec + ZG_CONFIGURE_SEC;
	while (rc == 0) {
		struct pollfd p = {.fd = c->sock, .events = zg_configure_wants(c)};

		if (poll(&p, 1, 1000) < 0 && errno != EINTR)
			rc = -errno;
		if (rc == 0)
			rc = zg_configure_step(c);
		(void)clock_gettime(CLOCK_MONOTONIC, &now);
		if (rc == 0 && now.tv_sec >= deadline)
			rc = fail(
				c, -ETIMEDOUT,
				(zg_err_set(&e, ETIMEDOUT, "no answer from the config role in %d s",
					    ZG_CONFIGURE_SEC),
				 &e));
	}
	if (rc < 0)
		zg_configure_release(c);
	return rc < 0 ? rc : 0;
}

void zg_configure_texts_release(struct zg_configure_texts *t)
{
	for (size_t i = 0; i < t->files; i++)
		zg_close_(&t->file[i].text);
	free(t->file);
	*t = (struct zg_configure_texts){0};
}

void zg_configure_keep(struct zg_configure *c, struct zg_configure_texts *out)
{
	zg_configure_texts_release(out);
	*out = (struct zg_configure_texts){c->file, c->files};
	c->file = NULL;
	c->files = c->next = 0;
}

void zg_configure_release(struct zg_configure *c)
{
	struct zg_configure_texts texts = {c->file, c->files};

	if (c->pid > 0) {
		(void)kill(c->pid, SIGKILL);
		(void)waitpid(c->pid, NULL, 0);
	}
	c->pid = -1;
	zg_close_(&c->sock);
	zg_close_(&c->snapshot);
	c->sock = c->snapshot = -1;
	zg_configure_texts_release(&texts);
	c->file = NULL;
	c->files = c->next = 0;
}
