/* SPDX-License-Identifier: Apache-2.0 */
/*
 * registry_mirror.c - the files of registry/, as servers.h lays them out. Trust:
 * the folder is the ledger's own; names are ids that were checked when they came.
 * A file is there whole or not at all: written aside, on disk, then renamed.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "log.h"
#include "servers.h"

#define ASIDE	     "new"
#define HEADER_BYTES 8192 /* each text escaped */

static const char *const live_state[] = {
	[ZG_SS_NONE] = NULL,
	[ZG_SS_LIVE] = "live",
	[ZG_SS_SUSPENDED] = "suspended",
	[ZG_SS_REVOKED] = "revoked",
};

static void header(struct zg_buf *b, const struct zg_server_row *row, const char *state,
		   const struct zg_server_entry *of)
{
	char hex[65];

	zg_hex(hex, of->sha256, 32);
	zg_buf_fmt(b, "{\"state\":\"%s\",\"id\":", state);
	zg_buf_json(b, zg_slice_str(row->id));
	zg_buf_str(b, ",\"owner\":");
	zg_buf_json(b, zg_slice_str(of->owner));
	zg_buf_str(b, ",\"version\":");
	zg_buf_json(b, zg_slice_str(of->version));
	zg_buf_str(b, ",\"transport\":");
	zg_buf_json(b, zg_slice_str(of->transport));
	zg_buf_str(b, ",\"endpoint\":");
	zg_buf_json(b, zg_slice_str(of->endpoint));
	zg_buf_fmt(b, ",\"sha256\":\"%s\",\"approved_by\":{\"security\":%lld,\"owner\":%lld}}\n",
		   hex, of->security_uid == UINT32_MAX ? -1LL : (long long)of->security_uid,
		   of->owner_uid == UINT32_MAX ? -1LL : (long long)of->owner_uid);
}

static int write_all(int fd, struct zg_slice s)
{
	while (s.len) {
		ssize_t n = write(fd, s.ptr, s.len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		s.ptr += n;
		s.len -= (size_t)n;
	}
	return 0;
}

static int replace_file(struct zg_servers *s, const char *name, struct zg_slice text)
{
	zg_autofd int fd =
		openat(s->dir, ASIDE, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	int rc;

	if (fd < 0)
		return -errno;
	rc = write_all(fd, text);
	if (rc == 0 && fsync(fd) < 0)
		rc = -errno;
	if (rc == 0 && renameat(s->dir, ASIDE, s->dir, name) < 0)
		rc = -errno;
	if (rc == 0 && fsync(s->dir) < 0)
		rc = -errno;
	s->change++;
	return rc;
}

static bool stands_already(const struct zg_servers *s, const char *name, struct zg_slice text)
{
	zg_autofd int fd = openat(s->dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	zg_autobuf now = ZG_BUF(HEADER_BYTES + ZG_ENTRY_BYTES);

	return fd >= 0 && zg_buf_read(&now, fd) == 0 && zg_slice_eq(zg_buf_slice(&now), text);
}

static int put_file(struct zg_servers *s, const char *name, struct zg_slice text)
{
	if (stands_already(s, name, text))
		return 0;
	return replace_file(s, name, text);
}

static int remove_file(struct zg_servers *s, const char *name)
{
	if (unlinkat(s->dir, name, 0) < 0)
		return errno == ENOENT ? 0 : -errno;
	s->change++;
	return fsync(s->dir) < 0 ? -errno : 0;
}

static int write_entry(struct zg_servers *s, const struct zg_server_row *row, const char *state,
		       const struct zg_server_entry *of, bool next, const char *name)
{
	zg_autobuf b = ZG_BUF(HEADER_BYTES + ZG_ENTRY_BYTES);
	int rc = 0;

	header(&b, row, state, of);
	if (of->sha256[0] || memcmp(of->sha256, of->sha256 + 1, 31) != 0)
		rc = zg_servers_text(s, row->id, next, &b);
	return rc < 0 ? rc : b.error ? b.error : put_file(s, name, zg_buf_slice(&b));
}

static void file_name(char out[ZG_SERVER_LEN + 8], const char *id, const char *suffix)
{
	(void)snprintf(out, ZG_SERVER_LEN + 8, "%s%s", id, suffix);
}

int zg_servers_mirror(struct zg_servers *s, const struct zg_server_row *row)
{
	char name[ZG_SERVER_LEN + 8];

	file_name(name, row->id, ".json");
	if (row->state == ZG_SS_NONE)
		return remove_file(s, name);
	return write_entry(s, row, live_state[row->state], &row->live, false, name);
}

int zg_servers_end_trial(struct zg_servers *s)
{
	char name[ZG_SERVER_LEN + 8];
	int rc = 0;

	if (s->trial[0]) {
		file_name(name, s->trial, ".trial");
		rc = remove_file(s, name);
	}
	if (rc == 0)
		s->trial[0] = '\0';
	return rc;
}

int zg_servers_try_next(struct zg_servers *s)
{
	char name[ZG_SERVER_LEN + 8];
	struct zg_server_row row;
	int rc = s->trial[0] ? -ENOENT : zg_servers_candidate(s, &row);

	if (rc < 0)
		return rc == -ENOENT ? 0 : rc;
	file_name(name, row.id, ".trial");
	if (!row.resuming)
		rc = write_entry(s, &row, "approved", &row.next, true, name);
	else
		rc = write_entry(s, &row, row.live.owner[0] ? "approved" : "released", &row.live,
				 false, name);
	if (rc == 0) {
		memcpy(s->trial, row.id, sizeof(s->trial));
		s->trial_change = s->change;
	}
	return rc;
}

/* Files that no row stands for: of a database that was moved away, or aside. */
static int remove_strays(struct zg_servers *s)
{
	int fd = openat(s->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;
	int rc = 0;

	if (!d) {
		rc = -errno;
		if (fd >= 0)
			(void)close(fd);
		return rc;
	}
	while (rc == 0 && (e = readdir(d))) {
		struct zg_slice name = zg_slice_str(e->d_name);
		struct zg_server_row row;
		char id[ZG_SERVER_LEN];
		bool known = false;

		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		if (name.len > 5 && strcmp(name.ptr + name.len - 5, ".json") == 0 &&
		    zg_str_cut(id, sizeof(id), (struct zg_slice){name.ptr, name.len - 5}))
			known = zg_servers_get(s, id, &row) == 0 && strcmp(row.id, id) == 0;
		if (!known)
			rc = remove_file(s, e->d_name);
	}
	(void)closedir(d);
	return rc;
}

int zg_servers_mirror_all(struct zg_servers *s)
{
	struct zg_server_row row = {0};
	int rc = remove_strays(s);

	s->trial[0] = '\0';
	while (rc == 0 && (rc = zg_servers_page(s, row.row, &row)) == 0)
		rc = zg_servers_mirror(s, &row);
	if (rc == -ENOENT)
		rc = 0;
	return rc == 0 ? zg_servers_try_next(s) : rc;
}
