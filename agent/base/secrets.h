/* SPDX-License-Identifier: Apache-2.0 */
/*
 * secrets.h - making and reading a bundle of secrets (zg_secrets.h). Memory
 * that held a secret is wiped before it is given back.
 */
#ifndef ZG_BASE_SECRETS_H
#define ZG_BASE_SECRETS_H

#include "buf.h"
#include "cleanup.h"
#include "slice.h"
#include "zg_secrets.h"

/* Writing. Zero it, add, then make the memfd; release in any case. */
struct zg_secrets_draft {
	struct zg_buf entry; /* struct zg_secret[] */
	struct zg_buf bytes;
	int error; /* sticky: -EFBIG, -ENOMEM, -ENAMETOOLONG */
};

void zg_secrets_draft_init(struct zg_secrets_draft *d);
void zg_secrets_add(struct zg_secrets_draft *d, enum zg_secret_kind kind, struct zg_slice name,
		    struct zg_slice bytes);
/* A sealed memfd, or -errno (of an add, too). */
int zg_secrets_make(const struct zg_secrets_draft *d) ZG_MUST_CHECK;
void zg_secrets_draft_release(struct zg_secrets_draft *d);

/* Reading. */
struct zg_secrets {
	const struct zg_secrets_header *header;
	const struct zg_secret *entry;
	size_t bytes;
};

/* Map and check fd, which must be sealed; it may be closed afterwards.
 * -EBADMSG when the content breaks the contract. */
int zg_secrets_open(struct zg_secrets *s, int fd) ZG_MUST_CHECK;
void zg_secrets_close(struct zg_secrets *s);
/* The nth entry of that kind and name, counted from 0; ptr NULL = none. */
struct zg_slice zg_secrets_find(const struct zg_secrets *s, enum zg_secret_kind kind,
				struct zg_slice name, uint32_t nth);

#endif
