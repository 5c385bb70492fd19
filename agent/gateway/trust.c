/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trust.c - see trust.h. Trust: bundles and keys are root's; certificates that
 * servers show are judged by OpenSSL, with nothing but what stands here: no
 * file, no folder and no default of the library.
 */
#include "trust.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "worker.h"

#define TAG_LEN 64

struct server_trust {
	struct zg_proof item[ZG_CREDENTIALS_SERVER_MAX];
	size_t count;
	X509_STORE *store; /* of its own CA, if it has one */
	char tag[TAG_LEN];
};

struct zg_trust {
	struct zg_slice ca;
	X509_STORE *store;
	size_t count;
	struct server_trust *server; /* by index; filled at the first connection */
};

/* stores -------------------------------------------------------------------- */

/* What is no certificate is skipped, as everybody does; no certificate at all
 * is a store that trusts nobody. */
static X509_STORE *parse(struct zg_slice pem)
{
	X509_STORE *store = X509_STORE_new();
	BIO *in = BIO_new_mem_buf(pem.ptr ? pem.ptr : "", (int)pem.len);
	STACK_OF(X509_INFO) *found = in ? PEM_X509_INFO_read_bio(in, NULL, NULL, NULL) : NULL;

	for (int i = 0; store && found && i < sk_X509_INFO_num(found); i++) {
		const X509_INFO *info = sk_X509_INFO_value(found, i);

		if (info->x509)
			(void)X509_STORE_add_cert(store, info->x509);
		if (info->crl)
			(void)X509_STORE_add_crl(store, info->crl);
	}
	/* a private CA is often an intermediate one */
	if (store)
		(void)X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN);
	sk_X509_INFO_pop_free(found, X509_INFO_free);
	BIO_free(in);
	ERR_clear_error();
	return store;
}

static X509_STORE *store_of(X509_STORE **at, struct zg_slice ca)
{
	if (!*at)
		*at = parse(ca);
	return *at;
}

static void inherit(X509_STORE **to, struct zg_slice ca, X509_STORE *from, struct zg_slice was)
{
	if (from && zg_slice_eq(ca, was) && X509_STORE_up_ref(from))
		*to = from;
}

static struct zg_slice find(const struct server_trust *at, enum zg_secret_kind kind)
{
	for (size_t i = 0; i < at->count; i++)
		if (at->item[i].kind == (uint32_t)kind)
			return at->item[i].value;
	return (struct zg_slice){0};
}

/* The bundle holds them in the snapshot's order: one walk finds all. */
static void collect(struct zg_trust *t, const struct zg_live *l)
{
	const struct zg_secrets *secrets = &l->secrets;
	uint32_t at = 0;

	for (size_t i = 0; i < l->snap.credential_count; i++) {
		const struct zg_credential_def *c = &l->snap.credentials[i];
		struct server_trust *to = &t->server[c->server];

		while (at < secrets->header->count &&
		       (secrets->entry[at].kind != c->kind ||
			strcmp(secrets->entry[at].name, l->snap.servers[c->server].id) != 0))
			at++;
		if (at == secrets->header->count)
			return;
		if (to->count < ZG_CREDENTIALS_SERVER_MAX)
			to->item[to->count++] = (struct zg_proof){
				c->kind,
				{(const char *)secrets->header + secrets->entry[at].offset,
				 secrets->entry[at].bytes}};
		at++;
	}
}

struct zg_trust *zg_trust_new(const struct zg_live *l, const struct zg_live *former)
{
	const struct zg_trust *old = former ? former->trust : NULL;
	struct zg_trust *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->count = l->snap.server_count;
	t->server = calloc(t->count + 1, sizeof(*t->server));
	if (!t->server) {
		free(t);
		return NULL;
	}
	t->ca = zg_secrets_find(&l->secrets, ZG_SK_CA_BUNDLE, ZG_SLICE(""), 0);
	collect(t, l);
	if (!old)
		return t;
	inherit(&t->store, t->ca, old->store, old->ca);
	for (size_t i = 0; i < t->count; i++) {
		struct zg_slice ca = find(&t->server[i], ZG_SK_CA_BUNDLE);
		const struct zg_server_def *was =
			ca.ptr ? zg_snapshot_server(&former->snap,
						    zg_slice_str(l->snap.servers[i].id))
			       : NULL;
		const struct server_trust *from =
			was ? &old->server[was - former->snap.servers] : NULL;

		if (from)
			inherit(&t->server[i].store, ca, from->store, find(from, ZG_SK_CA_BUNDLE));
	}
	return t;
}

void zg_trust_free(struct zg_trust *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < t->count; i++)
		X509_STORE_free(t->server[i].store);
	X509_STORE_free(t->store);
	free(t->server);
	free(t);
}

/* transfers ----------------------------------------------------------------- */

/* Per connection: one reference instead of a bundle that is parsed anew. libcurl may
 * set up its own store after this, and would put a cached one, of whatever server
 * was dialled first, in its place: so it caches none (CURLOPT_CA_CACHE_TIMEOUT). */
static CURLcode on_context(CURL *easy ZG_UNUSED, void *context, void *arg)
{
	SSL_CTX_set1_cert_store(context, arg);
	return CURLE_OK;
}

/*
 * libcurl uses a connection again, and a TLS session, where host and options of
 * TLS are the same; of what we verify by and of headers it knows nothing. The
 * list of ciphers is compared, and names in it that OpenSSL does not know are
 * skipped: so a digest of all secrets of a server stands there.
 */
static bool make_tag(const struct zg_trust *t, const struct zg_server_def *s,
		     struct server_trust *at)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	uint8_t digest[EVP_MAX_MD_SIZE];
	char hex[2 * 16 + 1];
	bool ok = ctx && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1 &&
		  EVP_DigestUpdate(ctx, s->id, sizeof(s->id)) == 1;

	for (size_t i = 0; ok && i < at->count; i++)
		ok = EVP_DigestUpdate(ctx, &at->item[i].kind, sizeof(at->item[i].kind)) == 1 &&
		     EVP_DigestUpdate(ctx, &at->item[i].value.len, sizeof(size_t)) == 1 &&
		     EVP_DigestUpdate(ctx, at->item[i].value.ptr, at->item[i].value.len) == 1;
	if (ok && t->ca.ptr)
		ok = EVP_DigestUpdate(ctx, t->ca.ptr, t->ca.len) == 1;
	ok = ok && EVP_DigestFinal_ex(ctx, digest, NULL) == 1;
	EVP_MD_CTX_free(ctx);
	if (!ok)
		return false;
	zg_hex(hex, digest, 16);
	(void)snprintf(at->tag, sizeof(at->tag), "DEFAULT:zerogate-%s", hex);
	return true;
}

const struct zg_proof *zg_trust_proofs(const struct zg_live *l, const struct zg_server_def *server,
				       size_t *count)
{
	const struct server_trust *at = &l->trust->server[server - l->snap.servers];

	*count = at->count;
	return at->item;
}

/* NOCOPY: the secrets are mapped for as long as the transfer. */
static bool set_blob(CURL *e, CURLoption option, struct zg_slice s)
{
	struct curl_blob blob = {(void *)(uintptr_t)s.ptr, s.len, CURL_BLOB_NOCOPY};

	return !s.ptr || curl_easy_setopt(e, option, &blob) == CURLE_OK;
}

bool zg_trust_apply(const struct zg_live *l, const struct zg_server_def *server, CURL *e)
{
	struct server_trust *at = &l->trust->server[server - l->snap.servers];
	struct zg_slice ca = find(at, ZG_SK_CA_BUNDLE);
	X509_STORE *store =
		ca.ptr ? store_of(&at->store, ca) : store_of(&l->trust->store, l->trust->ca);

	if (!store || (!at->tag[0] && !make_tag(l->trust, server, at)))
		return false;
	return curl_easy_setopt(e, CURLOPT_SSL_VERIFYPEER, 1L) == CURLE_OK &&
	       curl_easy_setopt(e, CURLOPT_SSL_VERIFYHOST, 2L) == CURLE_OK &&
	       curl_easy_setopt(e, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2) == CURLE_OK &&
	       curl_easy_setopt(e, CURLOPT_CAINFO, NULL) == CURLE_OK &&
	       curl_easy_setopt(e, CURLOPT_CAPATH, NULL) == CURLE_OK &&
	       curl_easy_setopt(e, CURLOPT_CA_CACHE_TIMEOUT, 0L) == CURLE_OK &&
	       curl_easy_setopt(e, CURLOPT_SSL_CTX_FUNCTION, on_context) == CURLE_OK &&
	       curl_easy_setopt(e, CURLOPT_SSL_CTX_DATA, store) == CURLE_OK &&
	       curl_easy_setopt(e, CURLOPT_SSL_CIPHER_LIST, at->tag) == CURLE_OK &&
	       curl_easy_setopt(e, CURLOPT_PINNEDPUBLICKEY,
				server->pins[0] ? server->pins : NULL) == CURLE_OK &&
	       set_blob(e, CURLOPT_SSLCERT_BLOB, find(at, ZG_SK_CLIENT_CERT)) &&
	       set_blob(e, CURLOPT_SSLKEY_BLOB, find(at, ZG_SK_CLIENT_KEY)) &&
	       curl_easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS) == CURLE_OK;
}

bool zg_trust_clear(CURL *e)
{
	return curl_easy_setopt(e, CURLOPT_SSL_CTX_DATA, NULL) == CURLE_OK &&
	       curl_easy_setopt(e, CURLOPT_PINNEDPUBLICKEY, NULL) == CURLE_OK &&
	       curl_easy_setopt(e, CURLOPT_SSLCERT_BLOB, NULL) == CURLE_OK &&
	       curl_easy_setopt(e, CURLOPT_SSLKEY_BLOB, NULL) == CURLE_OK &&
	       curl_easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1) == CURLE_OK;
}

bool zg_trust_failure(CURL *easy, CURLcode code, char *out, size_t size)
{
	const char *what;
	long result = X509_V_OK;

	switch ((int)code) {
	case CURLE_PEER_FAILED_VERIFICATION:
		(void)curl_easy_getinfo(easy, CURLINFO_SSL_VERIFYRESULT, &result);
		/* names are compared first, before libcurl has asked for the result */
		what = result == X509_V_OK || result == X509_V_ERR_UNSPECIFIED
			       ? "its certificate is for another name"
			       : X509_verify_cert_error_string(result);
		break;
	case CURLE_SSL_PINNEDPUBKEYNOTMATCH:
		what = "it showed another key than those that are pinned";
		break;
	case CURLE_SSL_CERTPROBLEM:
		what = "our own certificate or its key is broken";
		break;
	case CURLE_SSL_CONNECT_ERROR:
		what = "no TLS could be agreed on";
		break;
	default:
		return false;
	}
	(void)snprintf(out, size, "is not trusted, and nothing was sent: %s", what);
	return true;
}
