/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client_hello.h - the first message of TLS, read from the bytes of a
 * connection as they come (RFC 8446 4.1.2, RFC 5246 7.4.1.2, RFC 6066 3,
 * RFC 7301; draft-ietf-tls-esni for the number of its extension). Nothing is
 * decrypted. Pure. Stricter than servers are: what two readers might read
 * differently is refused, so that the name seen here is the one that is served.
 */
#ifndef ZG_GATEWAY_CLIENT_HELLO_H
#define ZG_GATEWAY_CLIENT_HELLO_H

#include <stdbool.h>

#include "slice.h"
#include "zg_limits.h"

/* What is looked at of a connection: the longest hello, in 200 records at most;
 * honest clients use one or two. */
#define ZG_HELLO_WIRE_BYTES (ZG_HELLO_BYTES + 1024)

enum zg_hello_state {
	ZG_HELLO_BAD = 0, /* no ClientHello, or none that is understood: why says it */
	ZG_HELLO_PLAIN,	  /* not TLS at all */
	ZG_HELLO_MORE,	  /* so far, so good */
	ZG_HELLO_COMPLETE,
};

struct zg_client_hello {
	const char *why;	/* of BAD */
	char name[ZG_HOST_LEN]; /* lower case; "" = it names no server */
	bool encrypted;		/* it has an encrypted_client_hello, real or not */
	bool alpn;		/* it lists application protocols, */
	bool http1;		/* http/1.1 among them */
};

/* bytes: all that the client has sent, from the first on. *out is filled for
 * COMPLETE; for BAD, why alone. */
enum zg_hello_state zg_client_hello_read(struct zg_slice bytes, struct zg_client_hello *out);

#endif
