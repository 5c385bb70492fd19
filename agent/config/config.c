/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config.c - the one-shot config role: takes open files from the parent, reads
 * what people wrote, and answers with one sealed snapshot or with everything
 * that is wrong. Trust: unprivileged, sandboxed before it reads the first
 * byte; its answer is checked again by whoever maps it. Opens no path.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <seccomp.h>
#include <sys/mman.h>

#include "build.h"
#include "ipc.h"
#include "log.h"
#include "sandbox.h"

#define FILES_OPEN   16
#define MEMORY_BYTES (UINT64_C(4) << 30) /* a million entries need about one */

static const int syscalls[] = {SCMP_SYS(memfd_create)};

static int sandbox(void)
{
	const struct zg_sandbox s = {
		.role = "config",
		.syscalls = syscalls,
		.syscall_count = sizeof(syscalls) / sizeof(syscalls[0]),
		.no_paths = true,
		.max_files = FILES_OPEN,
		.max_memory = MEMORY_BYTES,
	};
	struct zg_err e;
	int r = zg_sandbox_enter(&s, &e);

	if (r < 0)
		zg_log_err(ZG_LOG_ERR, "sandbox", &e);
	return r;
}

static void take_file(struct zg_build *b, struct zg_diag *diag, struct zg_msg *m)
{
	struct zg_msg_config_file *body = (void *)m->body;
	/* one byte more than is allowed: the reader of the text then refuses it */
	zg_autobuf text = ZG_BUF(ZG_CONFIG_FILE_BYTES + 1);
	int r;

	ZG_MSG_TEXT(body->name);
	r = zg_buf_read(&text, m->fd);
	if (r < 0 && r != -EFBIG)
		zg_diag_error(diag, body->name, 0, 0, "cannot be read: %s", strerror(-r));
	else if (body->kind >= ZG_CF_KINDS)
		zg_diag_error(diag, body->name, 0, 0, "unknown kind of file");
	else
		zg_build_add(b, (enum zg_config_file)body->kind, body->name, zg_buf_slice(&text));
}

static int send_errors(int sock, const struct zg_diag *diag)
{
	for (size_t i = 0; i < diag->kept; i++) {
		const struct zg_err *e = &diag->item[i];
		struct zg_msg_config_error m = {.line = e->line, .column = e->column};
		int r;

		_Static_assert(sizeof(m.file) == sizeof(e->file) &&
				       sizeof(m.what) == sizeof(e->what) &&
				       sizeof(m.hint) == sizeof(e->hint),
			       "an error travels whole");
		if (diag->notice[i])
			continue;
		memcpy(m.file, e->file, sizeof(m.file));
		memcpy(m.what, e->what, sizeof(m.what));
		memcpy(m.hint, e->hint, sizeof(m.hint));
		r = zg_msg_send(sock, ZG_MSG_CONFIG_ERROR, &m, -1);
		if (r < 0)
			return r;
	}
	return 0;
}

/* The snapshot in memory that nobody can change any more, we included. */
static int seal(const struct zg_buf *snapshot)
{
	const int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL;
	zg_autofd int fd = memfd_create("zerogate-snapshot", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	size_t done = 0;

	if (fd < 0)
		return -errno;
	while (done < snapshot->len) {
		ssize_t n = write(fd, snapshot->ptr + done, snapshot->len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		done += (size_t)n;
	}
	if (fcntl(fd, F_ADD_SEALS, seals) < 0)
		return -errno;
	return zg_take_fd(&fd);
}

static int send_submitted(int sock, const struct zg_build *b)
{
	struct zg_msg_config_server m;
	int rc = 0;

	for (size_t i = 0; rc == 0 && zg_build_submitted(b, i, &m); i++)
		rc = zg_msg_send(sock, ZG_MSG_CONFIG_SERVER, &m, -1);
	return rc;
}

/* The parent knows who is who; zg_user_fn. */
static int ask_user(void *arg, struct zg_slice name, uint32_t *uid)
{
	const int *sock = arg;
	struct zg_msg_config_user body = {0};
	struct zg_msg m = {.fd = -1};
	int rc;

	(void)zg_str_cut(body.name, sizeof(body.name), name); /* parsed: it fits */
	rc = zg_msg_send(*sock, ZG_MSG_CONFIG_USER, &body, -1);
	if (rc == 0)
		rc = zg_msg_recv(*sock, &m);
	if (rc == 0 && m.type != ZG_MSG_CONFIG_UID)
		rc = -EPROTO;
	if (rc == 0) {
		const struct zg_msg_config_uid *is = (const void *)m.body;

		*uid = is->uid;
		rc = is->known != 0;
	}
	zg_msg_release(&m);
	return rc;
}

/* Exit status: 0 a snapshot was sent, 1 errors were. */
static int answer(int sock, struct zg_build *b, struct zg_diag *diag, bool settings_only)
{
	zg_autobuf snapshot = ZG_BUF(ZG_SNAPSHOT_BYTES);
	struct zg_msg_config_done done = {0};
	zg_autofd int fd = -1;

	if (!settings_only && zg_build_users(b, ask_user, &sock) < 0)
		return 1;
	if (zg_build_finish(b, settings_only ? ZG_BUILD_SETTINGS : ZG_BUILD_ALL, &snapshot, done.id,
			    NULL) == 0) {
		fd = seal(&snapshot);
		if (fd < 0)
			zg_diag_error(diag, "", 0, 0, "cannot hand over the snapshot: %s",
				      strerror(-fd));
		else
			return send_submitted(sock, b) < 0 ||
			       zg_msg_send(sock, ZG_MSG_CONFIG_DONE, &done, fd) < 0;
	}
	(void)send_errors(sock, diag);
	return 1;
}

static int serve(int sock, struct zg_build *b, struct zg_diag *diag)
{
	for (;;) {
		struct zg_msg m = {.fd = -1};
		int r = zg_msg_recv(sock, &m);

		if (r < 0) {
			if (r != -EPIPE) /* the parent is gone: nobody wants an answer */
				zg_log(ZG_LOG_ERR, "channel: %s", strerror(-r));
			return 1;
		}
		if (m.type == ZG_MSG_CONFIG_FILE) {
			take_file(b, diag, &m);
			zg_msg_release(&m);
		} else if (m.type == ZG_MSG_CONFIG_COMPILE) {
			const struct zg_msg_config_compile *body = (const void *)m.body;

			return answer(sock, b, diag, body->settings_only != 0);
		} else {
			zg_msg_release(&m);
			zg_log(ZG_LOG_ERR, "channel: unexpected %s", zg_msg_name(m.type));
			return 1;
		}
	}
}

int zg_config_main(int sock)
{
	struct zg_diag diag = {0};
	struct zg_build *b;
	int status;

	zg_log_init("config");
	if (sandbox() < 0)
		return 1;
	b = zg_build_new(&diag);
	if (!b) {
		zg_log(ZG_LOG_ERR, "out of memory");
		return 1;
	}
	status = serve(sock, b, &diag);
	zg_build_free(b);
	zg_diag_release(&diag);
	return status;
}
