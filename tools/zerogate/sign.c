/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sign.c - zerogate policy keygen|sign|verify: a person stands for a policy with a
 * key of their own (Ed25519), offline. Trust: as policy.c; a private key is read
 * only from a file that nobody else can read, and never printed.
 */
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <sys/stat.h>
#include <time.h>

#include "load.h"
#include "policy.h"
#include "policy_signature.h"
#include "snapshot.h"

static int complain(const char *path, const char *what, const char *hint)
{
	fprintf(stderr, "zerogate: %s: %s%s%s%s\n", path, what, hint ? " (" : "", hint ? hint : "",
		hint ? ")" : "");
	return ZG_EXIT_USAGE;
}

/* keygen ---------------------------------------------------------------------- */

static FILE *create(const char *path, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
	FILE *f = fd < 0 ? NULL : fdopen(fd, "w");

	if (fd >= 0 && !f)
		(void)close(fd);
	return f;
}

static bool public_of(const EVP_PKEY *key, uint8_t out[ZG_SIGN_KEY])
{
	size_t n = ZG_SIGN_KEY;

	return EVP_PKEY_get_raw_public_key(key, out, &n) == 1 && n == ZG_SIGN_KEY;
}

static void tell_key(const uint8_t key[ZG_SIGN_KEY])
{
	char id[ZG_SIGN_KEY_ID], text[2 * ZG_SIGN_KEY];

	zg_sign_key_id(key, id);
	(void)EVP_EncodeBlock((unsigned char *)text, key, ZG_SIGN_KEY);
	printf("key id      %s\npublic key  %s\n", id, text);
}

int zg_policy_keygen(const struct zg_policy_args *a)
{
	EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	zg_autofile FILE *secret = NULL, *public = NULL;
	uint8_t raw[ZG_SIGN_KEY];
	char path[ZG_PATH_LEN];
	int status = ZG_EXIT_OK;

	if (!a->key)
		return complain("policy keygen", "--key FILE says where the key goes", NULL);
	if (snprintf(path, sizeof(path), "%s.pub", a->key) >= (int)sizeof(path)) {
		status = complain(a->key, "the path is too long", NULL);
	} else if (!key || !public_of(key, raw)) {
		status = complain(a->key, "no key can be made", NULL);
	} else if (!(secret = create(a->key, 0600))) {
		status = complain(a->key, strerror(errno),
				  errno == EEXIST ? "a key is never overwritten" : NULL);
	} else if (!(public = create(path, 0644))) {
		status = complain(path, strerror(errno), NULL);
	} else if (PEM_write_PrivateKey(secret, key, NULL, NULL, 0, NULL, NULL) != 1 ||
		   fflush(secret) != 0 || PEM_write_PUBKEY(public, key) != 1 ||
		   fflush(public) != 0) {
		status = complain(a->key, "cannot be written", NULL);
	} else {
		printf("private key %s\n", a->key);
		tell_key(raw);
		printf("            %s, for policy_signers in zerogate.yaml\n", path);
	}
	EVP_PKEY_free(key);
	return status;
}

/* sign -------------------------------------------------------------------------- */

static int no_passphrase(char *buf, int size, int rw, void *arg)
{
	(void)buf;
	(void)size;
	(void)rw;
	(void)arg;
	return -1;
}

/* NULL after saying why. */
static EVP_PKEY *open_key(const char *path)
{
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY);
	zg_autofile FILE *f = fd < 0 ? NULL : fdopen(fd, "r");
	EVP_PKEY *key = NULL;
	struct stat st;

	if (!f || fstat(fd, &st) < 0) {
		(void)complain(path, strerror(errno), NULL);
	} else if (!S_ISREG(st.st_mode) || (st.st_mode & (S_IRWXG | S_IRWXO))) {
		(void)complain(path, "others than its owner can reach this private key",
			       "chmod 600 it, and make a new one if it was read");
	} else {
		key = PEM_read_PrivateKey(f, NULL, no_passphrase, NULL);
		if (key && EVP_PKEY_get_base_id(key) == EVP_PKEY_ED25519)
			return key;
		(void)complain(path, "it is not an Ed25519 private key",
			       "zerogate policy keygen makes one");
	}
	EVP_PKEY_free(key);
	return NULL;
}

static bool make(EVP_PKEY *key, struct zg_policy_signature *s)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	char text[ZG_SIGN_MESSAGE_LEN];
	size_t n = zg_sign_message(s, text), bytes = sizeof(s->bytes);
	bool good = ctx && EVP_DigestSignInit(ctx, NULL, NULL, NULL, key) == 1 &&
		    EVP_DigestSign(ctx, s->bytes, &bytes, (unsigned char *)text, n) == 1;

	EVP_MD_CTX_free(ctx);
	return good;
}

/* What is there already; 0 when there is nothing, -EINVAL after saying why. */
static int read_signatures(const char *path, struct zg_signatures *out)
{
	zg_autobuf text = ZG_BUF(ZG_SIGNATURE_BYTES + 1);
	zg_autofd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	char line[2 * ZG_PATH_LEN + 2 * ZG_REASON_LEN];
	struct zg_err e;
	int rc;

	*out = (struct zg_signatures){0};
	if (fd < 0 && errno == ENOENT)
		return 0;
	rc = fd < 0 ? zg_err_at(&e, errno, path, 0, 0, "%m") : zg_buf_read(&text, fd);
	if (fd >= 0)
		rc = rc < 0 ? zg_err_at(&e, -rc, path, 0, 0, "cannot be read")
			    : zg_signatures_read(zg_buf_slice(&text), path, out, &e);
	if (rc < 0)
		fprintf(stderr, "zerogate: %s\n", zg_err_text(&e, line, sizeof(line)));
	return rc < 0 ? -EINVAL : 0;
}

/* Those of others over the same snapshot stay. */
static bool add(struct zg_signatures *all, const struct zg_policy_signature *s)
{
	size_t kept = 0;

	for (size_t i = 0; i < all->count; i++)
		if (memcmp(all->item[i].snapshot, s->snapshot, sizeof(s->snapshot)) == 0 &&
		    strcmp(all->item[i].key, s->key) != 0)
			all->item[kept++] = all->item[i];
	all->count = kept;
	if (kept == ZG_SIGNATURES_MAX)
		return false;
	all->item[all->count++] = *s;
	return true;
}

/* Whole or not at all: the agent may be looking. */
static int write_signatures(const char *path, const struct zg_signatures *all)
{
	zg_autobuf text = ZG_BUF(4 * ZG_SIGNATURE_BYTES);
	char draft[2 * ZG_PATH_LEN + 8];
	FILE *f;
	bool good;

	zg_signatures_write(all, &text);
	(void)snprintf(draft, sizeof(draft), "%s.new", path);
	(void)unlink(draft);
	f = create(draft, 0644);
	good = f && zg_buf_ok(&text) && fwrite(text.ptr, 1, text.len, f) == text.len &&
	       fflush(f) == 0 && fsync(fileno(f)) == 0;
	if (f)
		(void)fclose(f);
	if (good && rename(draft, path) == 0)
		return ZG_EXIT_OK;
	return complain(path, strerror(errno ? errno : EIO), NULL);
}

static void signature_path(const struct zg_policy_args *a, const struct zg_loaded *l, char *out,
			   size_t size)
{
	if (a->out)
		(void)snprintf(out, size, "%s", a->out);
	else
		(void)snprintf(out, size, "%s/" ZG_SIGNATURE_FILE, l->policies);
}

static int sign(const struct zg_policy_args *a, const struct zg_loaded *l, EVP_PKEY *key)
{
	struct zg_policy_signature s = {0};
	struct zg_signatures all;
	char path[2 * ZG_PATH_LEN], hex[65];
	uint8_t raw[ZG_SIGN_KEY];
	time_t now = time(NULL);
	struct tm tm;
	int status;

	memcpy(s.snapshot, l->id, sizeof(s.snapshot));
	if (!public_of(key, raw) || !gmtime_r(&now, &tm) ||
	    !strftime(s.time, sizeof(s.time), "%FT%TZ", &tm))
		return complain(a->key, "it cannot sign", NULL);
	zg_sign_key_id(raw, s.key);
	if (!make(key, &s))
		return complain(a->key, "it cannot sign", NULL);
	signature_path(a, l, path, sizeof(path));
	if (read_signatures(path, &all) < 0)
		return ZG_EXIT_USAGE;
	if (!add(&all, &s))
		return complain(path, "it holds too many signatures", NULL);
	status = write_signatures(path, &all);
	zg_hex(hex, l->id, sizeof(l->id));
	if (status == ZG_EXIT_OK)
		printf("%s: snapshot %s signed by %s (%zu in all)\n", path, hex, s.key, all.count);
	return status;
}

int zg_policy_sign(const struct zg_policy_args *a)
{
	struct zg_diag diag = {0};
	struct zg_loaded l = {0};
	int status = ZG_EXIT_USAGE;
	EVP_PKEY *key;

	if (!a->key)
		return complain("policy sign", "--key FILE is needed", NULL);
	key = open_key(a->key);
	if (key && zg_load(&l, a->config, &diag) == 0)
		status = sign(a, &l, key);
	else
		zg_policy_print_diag(stderr, &diag);
	EVP_PKEY_free(key);
	zg_loaded_release(&l);
	zg_diag_release(&diag);
	return status;
}

/* verify ------------------------------------------------------------------------ */

static int read_key(const char *path, uint8_t out[ZG_SIGN_KEY])
{
	zg_autobuf text = ZG_BUF(ZG_SIGNATURE_BYTES);
	zg_autofd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);

	if (fd < 0)
		return complain(path, strerror(errno), NULL);
	if (zg_buf_read(&text, fd) < 0 || zg_sign_key(zg_buf_slice(&text), out) < 0)
		return complain(path, "it is not an Ed25519 public key", NULL);
	return ZG_EXIT_OK;
}

/* The keys of --pub, or those that the configuration lists. */
static int keys_of(const struct zg_policy_args *a, const struct zg_settings *s,
		   uint8_t key[ZG_SIGNERS_MAX][ZG_SIGN_KEY], uint32_t *count)
{
	const char *slash = strrchr(a->config, '/');
	char path[2 * ZG_PATH_LEN];
	int status = ZG_EXIT_OK;

	if (a->pub) {
		*count = 1;
		return read_key(a->pub, key[0]);
	}
	*count = s->signer_count;
	for (uint32_t i = 0; i < s->signer_count && status == ZG_EXIT_OK; i++) {
		const char *signer = s->signer[i];
		bool below = slash && signer[0] != '/';

		(void)snprintf(path, sizeof(path), "%.*s%s",
			       below ? (int)(slash - a->config) + 1 : 0, a->config, signer);
		if (zg_signer_is_key(signer))
			status = zg_sign_key(zg_slice_str(signer), key[i]) < 0 ? ZG_EXIT_USAGE
									       : ZG_EXIT_OK;
		else
			status = read_key(path, key[i]);
	}
	if (!s->signer_count)
		status = complain(a->config, "policy_signers names no key", "--pub FILE names one");
	return status;
}

static void print_one(const struct zg_policy_signature *s, const uint8_t (*key)[ZG_SIGN_KEY],
		      uint32_t keys, const uint8_t id[32])
{
	const char *what = "by a key that is not listed";
	char named[ZG_SIGN_KEY_ID];

	for (uint32_t i = 0; i < keys; i++) {
		zg_sign_key_id(key[i], named);
		if (strcmp(named, s->key) != 0)
			continue;
		what = zg_signature_holds(s, key[i], id)  ? "good"
		       : memcmp(s->snapshot, id, 32) != 0 ? "of another snapshot"
							  : "forged or damaged";
	}
	printf("  %s  %s  ", s->key, what);
	zg_print_safe(stdout, s->time);
	putchar('\n');
}

static int verify(const struct zg_policy_args *a, const struct zg_loaded *l)
{
	const struct zg_settings *s = (const void *)zg_loaded_section(l, ZG_S_SETTINGS).ptr;
	uint32_t need = a->pub || !s->require_signed ? 1 : s->require_signed, keys = 0;
	uint8_t key[ZG_SIGNERS_MAX][ZG_SIGN_KEY];
	struct zg_signatures all;
	char path[2 * ZG_PATH_LEN], hex[65];
	size_t good;
	int status = keys_of(a, s, key, &keys);

	signature_path(a, l, path, sizeof(path));
	if (status == ZG_EXIT_OK && read_signatures(path, &all) < 0)
		status = ZG_EXIT_NO;
	if (status != ZG_EXIT_OK)
		return status;
	good = zg_signatures_count(&all, (const uint8_t(*)[ZG_SIGN_KEY])key, keys, l->id);
	zg_hex(hex, l->id, sizeof(l->id));
	printf("%s: snapshot %s: %zu of %u signatures that are needed\n",
	       good >= need ? "signed" : "NOT SIGNED", hex, good, need);
	for (size_t i = 0; i < all.count; i++)
		print_one(&all.item[i], (const uint8_t(*)[ZG_SIGN_KEY])key, keys, l->id);
	return good >= need ? ZG_EXIT_OK : ZG_EXIT_NO;
}

int zg_policy_verify(const struct zg_policy_args *a)
{
	struct zg_diag diag = {0};
	struct zg_loaded l = {0};
	int status = ZG_EXIT_USAGE;

	if (zg_load(&l, a->config, &diag) == 0)
		status = verify(a, &l);
	else
		zg_policy_print_diag(stderr, &diag);
	zg_loaded_release(&l);
	zg_diag_release(&diag);
	return status;
}
