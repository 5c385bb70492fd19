/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ca.c - see ca.h. Trust: reads its own key file and nothing else; hosts come
 * from a checked snapshot. Certificates are only written here, never read.
 */
#include "ca.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>

#define KEY_FILE  "ca.key"
#define KEY_BYTES 512 /* PKCS #8 of a P-256 key has 138 */
#define DAY	  86400

struct zg_ca {
	EVP_PKEY *key;
	X509_NAME *name;
	X509 *issuer; /* unsigned: for the key's identifier in what it signs */
};

/* the key -------------------------------------------------------------------- */

static EVP_PKEY *read_key(int dir, int *error)
{
	zg_autofd int fd = openat(dir, KEY_FILE, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	unsigned char der[KEY_BYTES];
	const unsigned char *at = der;
	EVP_PKEY *key = NULL;
	struct stat st = {0};
	ssize_t n;

	*error = fd < 0 ? -errno : fstat(fd, &st) < 0 ? -errno : 0;
	if (*error)
		return NULL;
	*error = -EPERM;
	if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 077))
		return NULL;
	*error = -EBADMSG;
	n = read(fd, der, sizeof(der));
	if (n > 0 && n < (ssize_t)sizeof(der))
		key = d2i_AutoPrivateKey(NULL, &at, n);
	if (key && (EVP_PKEY_get_id(key) != EVP_PKEY_EC || EVP_PKEY_get_bits(key) != 256)) {
		EVP_PKEY_free(key);
		key = NULL;
	}
	explicit_bzero(der, sizeof(der));
	*error = key ? 0 : *error;
	return key;
}

/* Complete before it has its name. */
static int write_key(int dir, EVP_PKEY *key)
{
	unsigned char *der = NULL;
	int n = i2d_PrivateKey(key, &der), rc = 0;
	zg_autofd int fd = openat(dir, KEY_FILE ".new",
				  O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0)
		rc = -errno;
	else if (n <= 0)
		rc = -EIO;
	else if (write(fd, der, (size_t)n) != n || fsync(fd) < 0 ||
		 renameat(dir, KEY_FILE ".new", dir, KEY_FILE) < 0 || fsync(dir) < 0)
		rc = errno ? -errno : -EIO;
	if (n > 0)
		OPENSSL_clear_free(der, (size_t)n);
	return rc;
}

/* The same for a key's whole life: it is part of every chain that holds. */
static X509_NAME *name_of(EVP_PKEY *key)
{
	unsigned char digest[32], *der = NULL;
	int n = i2d_PUBKEY(key, &der);
	X509_NAME *name = X509_NAME_new();
	char text[64];

	if (n <= 0 || !name || EVP_Digest(der, (size_t)n, digest, NULL, EVP_sha256(), NULL) != 1)
		goto failed;
	OPENSSL_free(der);
	der = NULL;
	(void)snprintf(text, sizeof(text), "zerogate local CA %02x%02x%02x%02x", digest[0],
		       digest[1], digest[2], digest[3]);
	if (X509_NAME_add_entry_by_txt(name, "O", MBSTRING_ASC, (const unsigned char *)"zerogate",
				       -1, -1, 0) != 1 ||
	    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)text, -1,
				       -1, 0) != 1)
		goto failed;
	return name;
failed:
	OPENSSL_free(der);
	X509_NAME_free(name);
	return NULL;
}

/* certificates --------------------------------------------------------------- */

static bool set_serial(X509 *x)
{
	unsigned char bytes[16];
	BIGNUM *bn;
	bool ok;

	if (RAND_bytes(bytes, sizeof(bytes)) != 1)
		return false;
	bytes[0] = (unsigned char)((bytes[0] & 0x7f) | 0x40); /* positive, of one length */
	bn = BN_bin2bn(bytes, sizeof(bytes), NULL);
	ok = bn && BN_to_ASN1_INTEGER(bn, X509_get_serialNumber(x));
	BN_free(bn);
	return ok;
}

/* Everything but what makes it an authority's or a server's. */
static X509 *draft(const struct zg_ca *ca, EVP_PKEY *key, X509_NAME *subject, time_t now, int days)
{
	X509 *x = X509_new();

	if (x && X509_set_version(x, X509_VERSION_3) == 1 && set_serial(x) &&
	    ASN1_TIME_set(X509_getm_notBefore(x), now - ZG_CA_BACKDATE_SEC) &&
	    ASN1_TIME_set(X509_getm_notAfter(x), now + (time_t)days * DAY) &&
	    X509_set_issuer_name(x, ca->name) == 1 && X509_set_subject_name(x, subject) == 1 &&
	    X509_set_pubkey(x, key) == 1)
		return x;
	X509_free(x);
	return NULL;
}

struct extension {
	int nid;
	const char *value;
};

/* issuer: any certificate of the authority, for its identifier of the key. */
static bool add_extensions(X509 *x, X509 *issuer, const struct extension *row, size_t count)
{
	X509V3_CTX ctx;

	X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
	for (size_t i = 0; i < count; i++) {
		X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, &ctx, row[i].nid, row[i].value);
		bool ok = ext && X509_add_ext(x, ext, -1) == 1;

		X509_EXTENSION_free(ext);
		if (!ok)
			return false;
	}
	return true;
}

static GENERAL_NAME *general_name(int type, const void *bytes, size_t n)
{
	GENERAL_NAME *g = GENERAL_NAME_new();
	ASN1_STRING *s = type == GEN_DNS ? ASN1_IA5STRING_new() : ASN1_OCTET_STRING_new();

	if (g && s && ASN1_STRING_set(s, bytes, (int)n) == 1) {
		GENERAL_NAME_set0_value(g, type, s);
		return g;
	}
	ASN1_STRING_free(s);
	GENERAL_NAME_free(g);
	return NULL;
}

/* The bytes of an address as certificates have them: IPv4 has four. */
static size_t address_bytes(struct zg_slice host, uint8_t out[16])
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

	if (zg_addr_parse(host, out) < 0)
		return 0;
	if (memcmp(out, mapped, sizeof(mapped)) != 0)
		return 16;
	memmove(out, out + 12, 4);
	return 4;
}

static bool add_tree(STACK_OF(GENERAL_SUBTREE) * *list, GENERAL_NAME *name)
{
	GENERAL_SUBTREE *tree = name ? GENERAL_SUBTREE_new() : NULL;

	if (!tree) {
		GENERAL_NAME_free(name);
		return false;
	}
	GENERAL_NAME_free(tree->base);
	tree->base = name;
	if (!*list)
		*list = sk_GENERAL_SUBTREE_new_null();
	if (*list && sk_GENERAL_SUBTREE_push(*list, tree) > 0)
		return true;
	GENERAL_SUBTREE_free(tree);
	return false;
}

static GENERAL_NAME *host_tree(struct zg_slice host, bool *address)
{
	uint8_t block[32];
	size_t n = address_bytes(host, block);

	*address = n != 0;
	if (!n)
		return general_name(GEN_DNS, host.ptr, host.len);
	memset(block + n, 0xff, n); /* the mask: this address alone */
	return general_name(GEN_IPADD, block, 2 * n);
}

/* A kind of name of which none is permitted would be free: it is excluded. */
static bool close_kinds(NAME_CONSTRAINTS *nc, bool names, bool addresses)
{
	static const uint8_t all[32];

	if (!names && !add_tree(&nc->excludedSubtrees, general_name(GEN_DNS, "", 0)))
		return false;
	return addresses || (add_tree(&nc->excludedSubtrees, general_name(GEN_IPADD, all, 8)) &&
			     add_tree(&nc->excludedSubtrees, general_name(GEN_IPADD, all, 32)));
}

static bool constrain(X509 *x, const struct zg_slice *host, size_t count)
{
	NAME_CONSTRAINTS *nc = NAME_CONSTRAINTS_new();
	bool ok = nc != NULL, names = false, addresses = false, address;

	for (size_t i = 0; ok && i < count; i++) {
		ok = add_tree(&nc->permittedSubtrees, host_tree(host[i], &address));
		names |= !address;
		addresses |= address;
	}
	ok = ok && close_kinds(nc, names, addresses) &&
	     X509_add1_ext_i2d(x, NID_name_constraints, nc, 1, 0) == 1;
	NAME_CONSTRAINTS_free(nc);
	return ok;
}

static int to_pem(X509 *x, struct zg_buf *out)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *text = NULL;
	long n = 0;

	if (bio && PEM_write_bio_X509(bio, x) == 1)
		n = BIO_get_mem_data(bio, &text);
	if (n > 0)
		zg_buf_add(out, text, (size_t)n);
	BIO_free(bio);
	return n > 0 ? out->error : -EIO;
}

static const struct extension authority[] = {
	{NID_basic_constraints, "critical,CA:TRUE,pathlen:0"},
	{NID_key_usage, "critical,keyCertSign"},
	{NID_ext_key_usage, "serverAuth"},
	{NID_subject_key_identifier, "hash"},
	{NID_authority_key_identifier, "keyid:always"},
};

static const struct extension server[] = {
	{NID_basic_constraints, "critical,CA:FALSE"},
	{NID_key_usage, "critical,digitalSignature"},
	{NID_ext_key_usage, "serverAuth"},
	{NID_subject_key_identifier, "hash"},
	{NID_authority_key_identifier, "keyid:always"},
};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* Without constraints and signature; NULL: the library failed. */
static X509 *authority_draft(const struct zg_ca *ca, time_t now)
{
	X509 *x = draft(ca, ca->key, ca->name, now, ZG_CA_DAYS);

	if (x && add_extensions(x, x, authority, COUNT(authority)))
		return x;
	X509_free(x);
	return NULL;
}

int zg_ca_certificate(const struct zg_ca *ca, const struct zg_slice *host, size_t count, time_t now,
		      struct zg_buf *pem)
{
	X509 *x;
	int rc = -EIO;

	if (!count)
		return -EINVAL;
	x = authority_draft(ca, now);
	if (x && constrain(x, host, count) && X509_sign(x, ca->key, EVP_sha256()) > 0)
		rc = to_pem(x, pem);
	X509_free(x);
	return rc;
}

static bool add_host(X509 *x, struct zg_slice host)
{
	uint8_t addr[16];
	size_t n = address_bytes(host, addr);
	GENERAL_NAMES *names = GENERAL_NAMES_new();
	GENERAL_NAME *name =
		n ? general_name(GEN_IPADD, addr, n) : general_name(GEN_DNS, host.ptr, host.len);
	bool ok = names && name && sk_GENERAL_NAME_push(names, name) > 0;

	if (!ok)
		GENERAL_NAME_free(name);
	ok = ok && X509_add1_ext_i2d(x, NID_subject_alt_name, names, 0, 0) == 1;
	GENERAL_NAMES_free(names);
	return ok;
}

/* No host in it: names are read from the alternative names alone, and a host
 * may be longer than a common name. */
static X509_NAME *leaf_name(void)
{
	X509_NAME *name = X509_NAME_new();

	if (name &&
	    X509_NAME_add_entry_by_txt(name, "O", MBSTRING_ASC,
				       (const unsigned char *)"zerogate gateway", -1, -1, 0) == 1)
		return name;
	X509_NAME_free(name);
	return NULL;
}

static int to_der(unsigned char *der, int n, struct zg_buf *out)
{
	if (n > 0) {
		zg_buf_add(out, der, (size_t)n);
		OPENSSL_clear_free(der, (size_t)n);
	}
	return n > 0 ? out->error : -EIO;
}

int zg_ca_leaf(const struct zg_ca *ca, struct zg_slice host, time_t now, struct zg_buf *cert,
	       struct zg_buf *key)
{
	EVP_PKEY *own = EVP_EC_gen("P-256");
	X509_NAME *name = leaf_name();
	X509 *x = own && name ? draft(ca, own, name, now, ZG_LEAF_DAYS) : NULL;
	unsigned char *der = NULL;
	int rc = -EIO, n;

	if (x && add_extensions(x, ca->issuer, server, COUNT(server)) && add_host(x, host) &&
	    X509_sign(x, ca->key, EVP_sha256()) > 0) {
		n = i2d_X509(x, &der);
		rc = to_der(der, n, cert);
		der = NULL;
		n = rc == 0 ? i2d_PrivateKey(own, &der) : 0;
		rc = rc == 0 ? to_der(der, n, key) : rc;
	}
	X509_free(x);
	X509_NAME_free(name);
	EVP_PKEY_free(own);
	return rc;
}

/* opening ------------------------------------------------------------------ */

int zg_ca_open(struct zg_ca **out, int dir, struct zg_err *e)
{
	struct zg_ca *ca = calloc(1, sizeof(*ca));
	int rc = 0;

	if (!ca)
		return zg_err_set(e, ENOMEM, "no memory for the local CA");
	ca->key = read_key(dir, &rc);
	if (!ca->key && rc == -ENOENT) {
		ca->key = EVP_EC_gen("P-256");
		rc = ca->key ? write_key(dir, ca->key) : -EIO;
	}
	if (rc == 0) {
		ca->name = name_of(ca->key);
		ca->issuer = ca->name ? authority_draft(ca, time(NULL)) : NULL;
		rc = ca->issuer ? 0 : -EIO;
	}
	if (rc < 0) {
		zg_ca_free(ca);
		(void)zg_err_at(e, -rc, "keys/" KEY_FILE, 0, 0,
				"the local CA's key cannot be used: %s",
				rc == -EBADMSG ? "not a P-256 key" : strerror(-rc));
		zg_err_hint(e, "restore it from a backup, or move it away to start a new CA");
		return rc;
	}
	*out = ca;
	return 0;
}

void zg_ca_free(struct zg_ca *ca)
{
	if (!ca)
		return;
	X509_free(ca->issuer);
	X509_NAME_free(ca->name);
	EVP_PKEY_free(ca->key);
	free(ca);
}
