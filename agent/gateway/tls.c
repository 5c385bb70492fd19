/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tls.c - see tls.h. Trust: the peer is any process that was redirected here;
 * certificates and keys are the parent's.
 */
#include "tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509.h>
#include <sys/socket.h>

/* A client that lists protocols without http/1.1 is told so, and no guess made. */
static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
		   const unsigned char *in, unsigned int in_len, void *arg)
{
	static const unsigned char http1[] = "\x08http/1.1";
	unsigned char *chosen = NULL;

	(void)ssl;
	(void)arg;
	if (SSL_select_next_proto(&chosen, out_len, http1, sizeof(http1) - 1, in, in_len) !=
	    OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	*out = chosen;
	return SSL_TLSEXT_ERR_OK;
}

int zg_tls_init(struct zg_worker *w)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

	if (!ctx)
		return -ENOMEM;
	(void)SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET |
					       SSL_OP_NO_COMPRESSION |
					       SSL_OP_IGNORE_UNEXPECTED_EOF);
	(void)SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
	(void)SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_alpn_select_cb(ctx, on_alpn, NULL);
	if (SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) != 1 ||
	    SSL_CTX_set_num_tickets(ctx, 0) != 1) {
		SSL_CTX_free(ctx);
		return -EIO;
	}
	w->tls = ctx;
	return 0;
}

void zg_tls_release(struct zg_worker *w)
{
	SSL_CTX_free(w->tls);
	w->tls = NULL;
}

static bool use_leaf(SSL *ssl, struct zg_slice cert, struct zg_slice key)
{
	const unsigned char *at = (const unsigned char *)cert.ptr;
	X509 *x = cert.ptr ? d2i_X509(NULL, &at, (long)cert.len) : NULL;
	EVP_PKEY *own;
	bool ok;

	at = (const unsigned char *)key.ptr;
	own = key.ptr ? d2i_AutoPrivateKey(NULL, &at, (long)key.len) : NULL;
	ok = x && own && SSL_use_certificate(ssl, x) == 1 && SSL_use_PrivateKey(ssl, own) == 1;
	X509_free(x);
	EVP_PKEY_free(own);
	return ok;
}

SSL *zg_tls_new(struct zg_worker *w, const struct zg_live *live, struct zg_slice host)
{
	SSL *ssl = SSL_new(w->tls);

	if (ssl && use_leaf(ssl, zg_secrets_find(&live->secrets, ZG_SK_LEAF_CERT, host, 0),
			    zg_secrets_find(&live->secrets, ZG_SK_LEAF_KEY, host, 0))) {
		SSL_set_accept_state(ssl);
		return ssl;
	}
	ERR_clear_error();
	SSL_free(ssl);
	return NULL;
}

void zg_tls_alert(int fd, enum zg_tls_alert alert)
{
	const unsigned char record[] = {21, 3, 1, 0, 2, 2, (unsigned char)alert};

	(void)!send(fd, record, sizeof(record), MSG_NOSIGNAL | MSG_DONTWAIT);
}

void zg_tls_failure(unsigned long error, char *out, size_t size)
{
	const char *why = error ? ERR_reason_error_string(error) : NULL;

	(void)zg_str_cut(out, size, zg_slice_str(why ? why : "the client left"));
	ERR_clear_error();
}
