/* SPDX-License-Identifier: Apache-2.0 */
/*
 * secret_files.c - see secret_files.h. Trust: files of root's alone. Nothing of them is
 * ever part of a message to people, a record or a snapshot; of those that become
 * a header it is checked that they are one line, no more.
 */
#include "secret_files.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "secrets.h"
#include "state.h"

#define SEAL_KEY   "seal.key"
#define SEAL_BYTES 32

/*
 * The key outlives the agent, so that sessions survive its restart: a file in
 * root's folder of the state. A new one is complete before it has its name.
 */
static int read_seal(int dir, uint8_t key[SEAL_BYTES])
{
	zg_autofd int fd = openat(dir, SEAL_KEY, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 077) ||
	    st.st_size != SEAL_BYTES)
		return -EPERM;
	return read(fd, key, SEAL_BYTES) == SEAL_BYTES ? 0 : -EIO;
}

static int make_seal(int dir, uint8_t key[SEAL_BYTES])
{
	zg_autofd int fd = openat(dir, SEAL_KEY ".new",
				  O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0)
		return -errno;
	if (getrandom(key, SEAL_BYTES, 0) != SEAL_BYTES ||
	    write(fd, key, SEAL_BYTES) != SEAL_BYTES || fsync(fd) < 0 ||
	    renameat(dir, SEAL_KEY ".new", dir, SEAL_KEY) < 0)
		return errno ? -errno : -EIO;
	return 0;
}

static int add_seal(struct zg_parent *p, struct zg_secrets_draft *d)
{
	uint8_t key[SEAL_BYTES];
	int rc = read_seal(p->keys_dir, key);

	if (rc == -ENOENT)
		rc = make_seal(p->keys_dir, key);
	if (rc == 0)
		zg_secrets_add(d, ZG_SK_SEAL, ZG_SLICE(""),
			       (struct zg_slice){(const char *)key, sizeof(key)});
	explicit_bzero(key, sizeof(key));
	return rc;
}

/* files ------------------------------------------------------------------- */

/* Where certificates of the public CAs are: Debian, SUSE; Fedora, RHEL; Alpine. */
static const char *const ca_bundles[] = {
	"/etc/ssl/certs/ca-certificates.crt",
	"/etc/pki/tls/certs/ca-bundle.crt",
	"/etc/ssl/cert.pem",
};

/* Of a file of the configuration: absolute, below folder, or a credential that
 * systemd keeps for the service. */
static int path_of(char out[2 * ZG_PATH_LEN], const char *folder, const char *path,
		   bool *credential, struct zg_err *e)
{
	static const char named[] = "credential:";
	const char *dir = folder;

	*credential = strncmp(path, named, sizeof(named) - 1) == 0;
	if (*credential) {
		dir = getenv("CREDENTIALS_DIRECTORY");
		path += sizeof(named) - 1;
		if (!dir) {
			(void)zg_err_at(e, ENOENT, path, 0, 0,
					"no credential of that name: the service has none");
			zg_err_hint(e, "LoadCredential=%s:/path in the unit of the service", path);
			return -ENOENT;
		}
	}
	if (snprintf(out, 2 * ZG_PATH_LEN, "%s%s%s", path[0] == '/' ? "" : dir,
		     path[0] == '/' ? "" : "/", path) >= 2 * ZG_PATH_LEN)
		return zg_err_at(e, ENAMETOOLONG, path, 0, 0, "the path is too long");
	return 0;
}

static int may_be_read(const struct stat *st, const char *path, bool secret, bool credential,
		       struct zg_err *e)
{
	const mode_t others = secret ? 077 : 022;

	if (!S_ISREG(st->st_mode))
		return zg_err_at(e, EINVAL, path, 0, 0, "it is not a regular file");
	if (st->st_size > ZG_SECRET_FILE_BYTES)
		return zg_err_at(e, EFBIG, path, 0, 0, "it is larger than %d bytes",
				 ZG_SECRET_FILE_BYTES);
	/* the folder of credentials is the manager's own */
	if (credential || (st->st_uid == geteuid() && !(st->st_mode & others)))
		return 0;
	(void)zg_err_at(e, EPERM, path, 0, 0,
			secret ? "others than root can read it or own it"
			       : "others than root can write it or own it");
	zg_err_hint(e, "chown root %s; chmod %s %s", path, secret ? "0600" : "go-w", path);
	return -EPERM;
}

/* All bytes; path is where they are, as path_of has said. The caller wipes them. */
static int read_file(struct zg_buf *out, const char *path, bool secret, bool credential,
		     struct zg_err *e)
{
	/* public CAs are often a link to what the distribution made */
	zg_autofd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY |
					      (secret && !credential ? O_NOFOLLOW : 0));
	struct stat st;
	int rc;

	if (fd < 0 || fstat(fd, &st) < 0)
		return zg_err_at(e, errno, path, 0, 0, "cannot open it: %s",
				 errno == ELOOP ? "it is a symbolic link" : strerror(errno));
	rc = may_be_read(&st, path, secret, credential, e);
	if (rc < 0)
		return rc;
	rc = zg_buf_read(out, fd);
	return rc < 0 ? zg_err_at(e, -rc, path, 0, 0, "cannot read it: %s", strerror(-rc)) : 0;
}

static void wipe(struct zg_buf *b)
{
	if (b->ptr)
		explicit_bzero(b->ptr, b->cap);
	zg_buf_release(b);
}

/* One line that may stand in a header: the end of the line is not part of it. */
static int line_of(struct zg_slice *s, const char *path, struct zg_err *e)
{
	while (s->len && (s->ptr[s->len - 1] == '\n' || s->ptr[s->len - 1] == '\r'))
		s->len--;
	if (!s->len || s->len > ZG_SECRET_LINE_BYTES)
		return zg_err_at(e, EINVAL, path, 0, 0, "it is empty, or longer than %d bytes",
				 ZG_SECRET_LINE_BYTES);
	for (size_t i = 0; i < s->len; i++)
		if (s->ptr[i] < 0x20 || s->ptr[i] == 0x7f)
			return zg_err_at(e, EINVAL, path, 0, 0,
					 "it is not one line of printable text");
	return 0;
}

/* credentials ------------------------------------------------------------- */

/* What precedes the file's line in the bundle. */
static void begin_line(struct zg_buf *out, const struct zg_credential_def *c)
{
	if (c->kind == ZG_SK_AUTHORIZATION)
		zg_buf_str(out, "Bearer ");
	else
		zg_buf_fmt(out, "%s: ", c->header);
}

static int add_credential(struct zg_parent *p, struct zg_secrets_draft *d,
			  const struct zg_credential_def *c, struct zg_slice server,
			  struct zg_err *e)
{
	const enum zg_secret_kind kind = (enum zg_secret_kind)c->kind;
	const bool line = kind == ZG_SK_AUTHORIZATION || kind == ZG_SK_HEADER;
	const bool secret = line || kind == ZG_SK_CLIENT_KEY;
	struct zg_buf file = ZG_BUF(ZG_SECRET_FILE_BYTES + 1),
		      text = ZG_BUF(2 * ZG_SECRET_LINE_BYTES);
	char path[2 * ZG_PATH_LEN] = "";
	bool credential = false;
	struct zg_slice value;
	int rc = 0;

	/* all at once: growing would leave copies behind */
	if (!zg_buf_room(&file, ZG_SECRET_FILE_BYTES) || !zg_buf_room(&text, ZG_SECRET_LINE_BYTES))
		rc = zg_err_set(e, ENOMEM, "no memory for a secret");
	if (rc == 0 && c->path[0]) {
		rc = path_of(path, p->servers, c->path, &credential, e);
		rc = rc < 0 ? rc : read_file(&file, path, secret, credential, e);
	} else if (rc == 0) {
		zg_buf_str(&file, c->value);
	}
	value = zg_buf_slice(&file);
	if (rc == 0 && line) {
		rc = line_of(&value, path, e);
		begin_line(&text, c);
		zg_buf_add(&text, value.ptr, value.len);
		value = zg_buf_slice(&text);
	}
	if (rc == 0)
		zg_secrets_add(d, kind, server, value);
	wipe(&file);
	wipe(&text);
	return rc;
}

static int add_credentials(struct zg_parent *p, struct zg_secrets_draft *d,
			   const struct zg_snapshot *s, struct zg_err *e)
{
	int rc = 0;

	for (size_t i = 0; i < s->credential_count && rc == 0; i++)
		rc = add_credential(p, d, &s->credentials[i],
				    zg_slice_str(s->servers[s->credentials[i].server].id), e);
	return rc;
}

/* Where zerogate.yaml is. */
static void folder_of(char folder[ZG_PATH_LEN], const struct zg_parent *p)
{
	memcpy(folder, p->config, ZG_PATH_LEN);
	if (strrchr(folder, '/'))
		*strrchr(folder, '/') = '\0';
}

/* The one line of a file that zerogate.yaml names; the caller wipes it. */
static int read_line(const struct zg_parent *p, const char *path, struct zg_buf *file,
		     char full[2 * ZG_PATH_LEN], struct zg_slice *out, struct zg_err *e)
{
	char folder[ZG_PATH_LEN];
	bool credential;
	int rc;

	/* all at once: growing would leave copies behind */
	if (!zg_buf_room(file, ZG_SECRET_FILE_BYTES))
		return zg_err_set(e, ENOMEM, "no memory for a secret");
	folder_of(folder, p);
	rc = path_of(full, folder, path, &credential, e);
	rc = rc < 0 ? rc : read_file(file, full, true, credential, e);
	*out = zg_buf_slice(file);
	return rc < 0 ? rc : line_of(out, full, e);
}

/* What the proxy is shown. */
static int add_proxy(struct zg_parent *p, struct zg_secrets_draft *d, const struct zg_snapshot *s,
		     struct zg_err *e)
{
	const char *path = s->settings->proxy.credentials_file;
	struct zg_buf file = ZG_BUF(ZG_SECRET_FILE_BYTES + 1);
	char full[2 * ZG_PATH_LEN];
	struct zg_slice value = ZG_SLICE("");
	int rc;

	if (!path[0])
		return 0;
	rc = read_line(p, path, &file, full, &value, e);
	if (rc == 0 && !memchr(value.ptr, ':', value.len))
		rc = zg_err_at(e, EINVAL, full, 0, 0, "it is not \"user:password\"");
	if (rc == 0)
		zg_secrets_add(d, ZG_SK_PROXY, ZG_SLICE(""), value);
	wipe(&file);
	return rc;
}

/* What notifications are signed with. */
static int add_notify(struct zg_parent *p, struct zg_secrets_draft *d, const struct zg_snapshot *s,
		      struct zg_err *e)
{
	char full[2 * ZG_PATH_LEN];
	struct zg_buf file = ZG_BUF(ZG_SECRET_FILE_BYTES + 1);
	struct zg_slice value = ZG_SLICE("");
	int rc;

	if (!s->settings->notify.secret_file[0])
		return 0;
	rc = read_line(p, s->settings->notify.secret_file, &file, full, &value, e);
	if (rc == 0 && value.len < ZG_NOTIFY_SECRET_MIN)
		rc = zg_err_at(e, EINVAL, full, 0, 0, "it has fewer than %d bytes",
			       ZG_NOTIFY_SECRET_MIN);
	if (rc == 0)
		zg_secrets_add(d, ZG_SK_NOTIFY, ZG_SLICE(""), value);
	wipe(&file);
	return rc;
}

/* Whom https servers are verified against, if there are any. */
static int add_bundle(struct zg_parent *p, struct zg_secrets_draft *d, const struct zg_snapshot *s,
		      struct zg_err *e)
{
	zg_autobuf file = ZG_BUF(ZG_SECRET_FILE_BYTES + 1);
	const char *path = s->settings->ca_file;
	char folder[ZG_PATH_LEN], full[2 * ZG_PATH_LEN];
	bool wanted = false, credential;
	int rc;

	for (size_t i = 0; i < s->server_count; i++)
		wanted = wanted || s->servers[i].tls;
	for (size_t i = 0; i < sizeof(ca_bundles) / sizeof(ca_bundles[0]) && !path[0]; i++)
		if (access(ca_bundles[i], R_OK) == 0)
			path = ca_bundles[i];
	if (!wanted || !path[0]) /* without any, no server can be verified */
		return 0;
	folder_of(folder, p);
	rc = path_of(full, folder, path, &credential, e);
	rc = rc < 0 ? rc : read_file(&file, full, false, credential, e);
	if (rc == 0)
		zg_secrets_add(d, ZG_SK_CA_BUNDLE, ZG_SLICE(""), zg_buf_slice(&file));
	return rc;
}

int zg_parent_secrets(struct zg_parent *p, const struct zg_snapshot *s, struct zg_err *e)
{
	struct zg_secrets_draft d;
	int rc;

	zg_secrets_draft_init(&d);
	rc = add_seal(p, &d);
	if (rc < 0)
		rc = zg_err_set(e, -rc, "keys/" SEAL_KEY " in the state folder: %s", strerror(-rc));
	if (rc == 0)
		rc = zg_certs_secrets(p, s, &d, e);
	if (rc == 0)
		rc = add_bundle(p, &d, s, e);
	if (rc == 0)
		rc = add_proxy(p, &d, s, e);
	if (rc == 0)
		rc = add_notify(p, &d, s, e);
	if (rc == 0)
		rc = add_credentials(p, &d, s, e);
	if (rc == 0) {
		rc = zg_secrets_make(&d);
		if (rc < 0)
			rc = zg_err_set(e, -rc, "cannot bundle the secrets: %s", strerror(-rc));
	}
	zg_secrets_draft_release(&d);
	return rc;
}
