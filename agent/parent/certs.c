/* SPDX-License-Identifier: Apache-2.0 */
/*
 * certs.c - see certs.h. Trust: hosts of a checked snapshot; the system's CA
 * bundle is root's file, handed on as bytes.
 */
#include "certs.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "ca.h"
#include "log.h"
#include "secret_files.h"
#include "state.h"

#define RENEW_SEC 86400
#define RETRY_SEC 3600
#define LOOK_SEC  60
#define DER_BYTES 16384

/* Where distributions keep the CAs that their programs trust. */
static const char *const system_bundles[] = {
	"/etc/ssl/certs/ca-certificates.crt", /* Debian, Arch, Alpine */
	"/etc/pki/tls/certs/ca-bundle.crt",   /* Fedora, RHEL */
	"/etc/ssl/ca-bundle.pem",	      /* SUSE */
	"/etc/ssl/cert.pem",
};

/* hosts ---------------------------------------------------------------------- */

static int by_text(const void *a, const void *b)
{
	return strcmp(((const struct zg_slice *)a)->ptr, ((const struct zg_slice *)b)->ptr);
}

/* Of registered https servers, each once; the caller frees *out. */
static int hosts_of(const struct zg_snapshot *s, struct zg_slice **out, size_t *count)
{
	struct zg_slice *host = calloc(s->server_count + 1, sizeof(*host));
	size_t n = 0, kept = 0;

	if (!host)
		return -ENOMEM;
	for (size_t i = 0; i < s->server_count; i++)
		if (s->servers[i].tls && s->servers[i].transport != ZG_T_STDIO &&
		    s->servers[i].host[0])
			host[n++] = zg_slice_str(s->servers[i].host);
	qsort(host, n, sizeof(*host), by_text);
	for (size_t i = 0; i < n; i++)
		if (!kept || !zg_slice_eq(host[kept - 1], host[i]))
			host[kept++] = host[i];
	*out = host;
	*count = kept;
	return 0;
}

static int mint(struct zg_ca *ca, struct zg_slice host, time_t now, struct zg_secrets_draft *d)
{
	zg_autobuf cert = ZG_BUF(DER_BYTES), key = ZG_BUF(DER_BYTES);
	int rc;

	/* all of it at once: growing would leave copies of the key */
	if (!zg_buf_room(&key, DER_BYTES))
		return -ENOMEM;
	rc = zg_ca_leaf(ca, host, now, &cert, &key);
	if (rc == 0) {
		zg_secrets_add(d, ZG_SK_LEAF_CERT, host, zg_buf_slice(&cert));
		zg_secrets_add(d, ZG_SK_LEAF_KEY, host, zg_buf_slice(&key));
	}
	explicit_bzero(key.ptr, key.cap);
	return rc;
}

int zg_certs_secrets(struct zg_parent *p, const struct zg_snapshot *s, struct zg_secrets_draft *d,
		     struct zg_err *e)
{
	zg_autofree struct zg_slice *host = NULL;
	time_t now = time(NULL);
	size_t count = 0;
	int rc = hosts_of(s, &host, &count);

	if (rc == 0 && count && !p->certs.ca) {
		rc = zg_ca_open(&p->certs.ca, p->keys_dir, e);
		if (rc < 0)
			return rc;
	}
	for (size_t i = 0; rc == 0 && i < count; i++)
		rc = mint(p->certs.ca, host[i], now, d);
	if (rc < 0)
		return zg_err_set(e, -rc, "cannot make the gateway's certificates: %s",
				  strerror(-rc));
	p->certs.minted = count ? now : 0;
	return 0;
}

/* files ---------------------------------------------------------------------- */

static int put(int dir, const char *name, const struct zg_buf *b)
{
	char draft[32];
	zg_autofd int fd = -1;

	(void)snprintf(draft, sizeof(draft), "%s.new", name);
	fd = openat(dir, draft, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0 || fchmod(fd, 0644) < 0)
		return -errno;
	if (write(fd, b->ptr, b->len) != (ssize_t)b->len || renameat(dir, draft, dir, name) < 0)
		return errno ? -errno : -EIO;
	return 0;
}

/* A system without any has programs that trust nobody: ours alone, then. */
static void add_system(struct zg_buf *out)
{
	for (size_t i = 0; i < sizeof(system_bundles) / sizeof(system_bundles[0]); i++) {
		zg_autofd int fd = open(system_bundles[i], O_RDONLY | O_CLOEXEC);

		if (fd < 0)
			continue;
		if (zg_buf_read(out, fd) == 0 && out->len) {
			zg_buf_char(out, '\n');
			return;
		}
		zg_buf_reset(out);
	}
}

static int publish(struct zg_parent *p, const struct zg_slice *host, size_t count)
{
	zg_autobuf ours = ZG_BUF(ZG_SECRETS_BYTES), all = ZG_BUF(ZG_SECRETS_BYTES);
	int rc = zg_ca_certificate(p->certs.ca, host, count, time(NULL), &ours);

	if (rc < 0)
		return rc;
	add_system(&all);
	zg_buf_add(&all, ours.ptr, ours.len);
	if (!zg_buf_ok(&all))
		return all.error;
	rc = put(p->runtime_lock, ZG_CA_BUNDLE, &all);
	return rc < 0 ? rc : put(p->runtime_lock, ZG_CA_FILE, &ours);
}

void zg_certs_publish(struct zg_parent *p)
{
	zg_autofree struct zg_slice *host = NULL;
	size_t count = 0;
	int rc = hosts_of(&p->snapshot, &host, &count);

	p->certs.published = false;
	if (rc == 0 && !count)
		return; /* what is there stays: clients that run may still read it */
	if (rc == 0)
		rc = publish(p, host, count);
	if (rc < 0)
		zg_log(ZG_LOG_ERR, "the local CA cannot be published in %s: %s", p->runtime_dir,
		       strerror(-rc));
	p->certs.published = rc == 0;
}

void zg_certs_paths(const struct zg_parent *p, char file[ZG_PATH_LEN], char bundle[ZG_PATH_LEN])
{
	int a, b;

	file[0] = bundle[0] = '\0';
	if (!p->certs.published)
		return;
	a = snprintf(file, ZG_PATH_LEN, "%s/" ZG_CA_FILE, p->runtime_dir);
	b = snprintf(bundle, ZG_PATH_LEN, "%s/" ZG_CA_BUNDLE, p->runtime_dir);
	if (a < 0 || a >= ZG_PATH_LEN || b < 0 || b >= ZG_PATH_LEN)
		file[0] = bundle[0] = '\0';
}

/* time ----------------------------------------------------------------------- */

static void renew(struct zg_parent *p, time_t now)
{
	struct zg_err e;
	int secrets = zg_parent_secrets(p, &p->snapshot, &e);

	if (secrets < 0) {
		zg_log_err(ZG_LOG_ERR, "the gateway's certificates are not renewed", &e);
		p->certs.minted = now - RENEW_SEC + RETRY_SEC;
		return;
	}
	zg_close_(&p->secrets_fd);
	p->secrets_fd = secrets;
	zg_children_snapshot(p);
	zg_certs_publish(p);
}

/* By the wall clock, which certificates are judged by: it may jump, so it is
 * looked at more often than anything ends. */
static void on_look(evutil_socket_t fd, short what, void *arg)
{
	struct zg_parent *p = arg;
	time_t now = time(NULL);

	(void)fd;
	(void)what;
	if (p->certs.minted &&
	    (now > p->certs.minted + RENEW_SEC || now < p->certs.minted - ZG_CA_BACKDATE_SEC / 2))
		renew(p, now);
}

int zg_certs_start(struct zg_parent *p, struct zg_err *e)
{
	static const struct timeval look = {.tv_sec = LOOK_SEC};
	int rc = zg_parent_watch(p, -1, EV_PERSIST, &look, on_look);

	zg_certs_publish(p);
	return rc < 0 ? zg_err_set(e, -rc, "no timer to renew certificates") : 0;
}

void zg_certs_release(struct zg_parent *p)
{
	zg_ca_free(p->certs.ca);
	p->certs.ca = NULL;
}
