/* SPDX-License-Identifier: Apache-2.0 */
/*
 * key.c - the Ed25519 key that signs checkpoints. Trust: the folder is the
 * ledger's own (0700). A key that cannot be read is an error, never a reason
 * to make another: that would hide an exchange. The key never leaves here.
 */
#include <errno.h>
#include <fcntl.h>
#include <openssl/pem.h>
#include <sys/stat.h>

#include "audit_impl.h"

#define KEY_FILE "audit.key"
#define PUB_FILE "audit.pub"

static int write_pem(int dir, const char *name, mode_t mode, EVP_PKEY *key, bool private)
{
	char tmp[32];
	zg_autofile FILE *f = NULL;
	int fd, ok;

	(void)snprintf(tmp, sizeof(tmp), "%s.tmp", name);
	(void)unlinkat(dir, tmp, 0);
	fd = openat(dir, tmp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
	if (fd < 0)
		return -errno;
	f = fdopen(fd, "w");
	if (!f) {
		(void)close(fd);
		return -ENOMEM;
	}
	ok = private ? PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL)
		     : PEM_write_PUBKEY(f, key);
	if (ok != 1 || fflush(f) != 0 || fsync(fd) < 0 || renameat(dir, tmp, dir, name) < 0)
		return errno ? -errno : -EIO;
	return fsync(dir) < 0 ? -errno : 0;
}

static EVP_PKEY *read_key(int dir, int *error)
{
	zg_autofile FILE *f = NULL;
	EVP_PKEY *key;
	int fd = openat(dir, KEY_FILE, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

	*error = fd < 0 ? -errno : 0;
	if (fd < 0)
		return NULL;
	f = fdopen(fd, "r");
	if (!f) {
		(void)close(fd);
		*error = -ENOMEM;
		return NULL;
	}
	key = PEM_read_PrivateKey(f, NULL, NULL, NULL);
	if (key && EVP_PKEY_get_id(key) == EVP_PKEY_ED25519)
		return key;
	EVP_PKEY_free(key);
	*error = -EBADMSG;
	return NULL;
}

int zg_audit_key(EVP_PKEY **out, int state_dir, int audit_dir, struct zg_err *e)
{
	EVP_PKEY *key;
	int rc;

	key = read_key(state_dir, &rc);
	if (!key && rc == -ENOENT) {
		key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
		rc = key ? write_pem(state_dir, KEY_FILE, 0600, key, true) : -ENOMEM;
	}
	if (rc == 0 && faccessat(audit_dir, PUB_FILE, F_OK, 0) < 0)
		rc = write_pem(audit_dir, PUB_FILE, 0644, key, false);
	if (rc < 0) {
		EVP_PKEY_free(key);
		(void)zg_err_at(e, -rc, KEY_FILE, 0, 0, "the audit key cannot be used: %s",
				rc == -EBADMSG ? "not an Ed25519 key" : strerror(-rc));
		zg_err_hint(e, "restore it from a backup, or move it away to start a new key");
		return rc;
	}
	*out = key;
	return 0;
}

int zg_audit_sign(EVP_PKEY *key, const char *text, size_t n, char *out)
{
	uint8_t sig[64];
	size_t bytes = sizeof(sig);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	int ok = ctx && EVP_DigestSignInit(ctx, NULL, NULL, NULL, key) == 1 &&
		 EVP_DigestSign(ctx, sig, &bytes, (const unsigned char *)text, n) == 1 &&
		 bytes == sizeof(sig);

	EVP_MD_CTX_free(ctx);
	if (!ok)
		return -EIO;
	(void)EVP_EncodeBlock((unsigned char *)out, sig, sizeof(sig));
	return 0;
}
