/* SPDX-License-Identifier: Apache-2.0 */
/*
 * secret_files.c - see secret_files.h. Trust: files of root's alone. Nothing of them is
 * ever part of a message to people, a record or a snapshot.
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
	if (rc == 0) {
		rc = zg_secrets_make(&d);
		if (rc < 0)
			rc = zg_err_set(e, -rc, "cannot bundle the secrets: %s", strerror(-rc));
	}
	zg_secrets_draft_release(&d);
	return rc;
}
