/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tls.h - this end of TLS: a client that dialled a registered https server is
 * answered with the certificate that the parent made for that server's host
 * (a leaf in the secrets of the configuration). TLS 1.2 or newer, http/1.1, no
 * renegotiation, no resumption: nothing is kept of a connection that ended.
 */
#ifndef ZG_GATEWAY_TLS_H
#define ZG_GATEWAY_TLS_H

#include <openssl/ssl.h>

#include "worker.h"

/* Before the sandbox is entered: OpenSSL loads what it needs. 0 or -errno. */
int zg_tls_init(struct zg_worker *w) ZG_MUST_CHECK;
void zg_tls_release(struct zg_worker *w);

/* For one connection, which answers as this host; NULL: the secrets hold no
 * leaf for it, or there is no memory. */
SSL *zg_tls_new(struct zg_worker *w, const struct zg_live *live, struct zg_slice host);

/* The last thing said on a connection that is refused before it began; the
 * socket stays the caller's. */
enum zg_tls_alert {
	ZG_TA_HANDSHAKE_FAILURE = 40,
	ZG_TA_PROTOCOL_VERSION = 70,
	ZG_TA_UNRECOGNIZED_NAME = 112,
	ZG_TA_NO_APPLICATION_PROTOCOL = 120,
};
void zg_tls_alert(int fd, enum zg_tls_alert alert);

/* Why OpenSSL gave up, in words of its own; takes its queue of errors. */
void zg_tls_failure(unsigned long error, char *out, size_t size);

#endif
