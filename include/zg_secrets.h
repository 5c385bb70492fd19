/* SPDX-License-Identifier: Apache-2.0 */
/*
 * zg_secrets.h - what gateways need to know and nobody else may: one sealed
 * memfd (ZG_FD_SECRETS) that the parent sends to them before each snapshot.
 * The parent copies the bytes of files without looking into them. Host byte
 * order; checked by zg_secrets_open (base/secrets.c); never on disk, in a
 * record or in a log.
 */
#ifndef ZG_SECRETS_H
#define ZG_SECRETS_H

#include <stdint.h>

#include "zg_limits.h"

#define ZG_SECRETS_MAGIC 0x3153535au

enum zg_secret_kind {
	ZG_SK_NONE = 0,
	ZG_SK_SEAL,	     /* name "": 32 random bytes; tokens are sealed with keys from it */
	ZG_SK_CA_BUNDLE,     /* name "": PEM; whom https servers are verified against */
	ZG_SK_AUTHORIZATION, /* name = server id: value of the header, one line */
	ZG_SK_HEADER,	     /* name = server id: "Name: value"; one entry each */
	ZG_SK_CLIENT_CERT,   /* name = server id: PEM chain */
	ZG_SK_CLIENT_KEY,    /* name = server id: PEM */
	ZG_SK_LEAF_CERT,     /* name = host: DER or PEM chain that we show to clients */
	ZG_SK_LEAF_KEY,	     /* name = host */
	ZG_SK_PROXY,	     /* name "": "user:password" for the proxy, one line */
	ZG_SK_NOTIFY,	     /* name "": what notifications are signed with, one line */
	ZG_SK_MAX,
};

struct zg_secret {
	uint32_t kind; /* enum zg_secret_kind */
	uint32_t bytes;
	uint64_t offset; /* from the start */
	char name[ZG_HOST_LEN];
};

struct zg_secrets_header {
	uint32_t magic;
	uint32_t count;
	uint64_t bytes; /* of the whole */
			/* struct zg_secret[count], then the bytes */
};

#endif
