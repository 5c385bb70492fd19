/* SPDX-License-Identifier: Apache-2.0 */
/*
 * issuer_keys.h - keys of issuers that gateways fetch from registered places: the
 * parent keeps each document as it came and compiles it in; it never looks into it.
 */
#ifndef ZG_PARENT_ISSUER_KEYS_H
#define ZG_PARENT_ISSUER_KEYS_H

#include "cleanup.h"
#include "zg_wire.h"

struct zg_parent;
struct zg_issuer_keys;

/* A gateway fetched this, or a part of it. If the whole is news, the configuration is
 * compiled again. -EPROTO: no gateway of ours says such a thing. */
int zg_issuer_keys_take(struct zg_parent *p, uint32_t worker,
			struct zg_msg_keys_fetched *m) ZG_MUST_CHECK;
/* All of them, for the config role (ZG_CF_FETCHED), in a file that is the caller's; or -errno. */
int zg_issuer_keys_file(const struct zg_parent *p) ZG_MUST_CHECK;
void zg_issuer_keys_free(struct zg_issuer_keys *k);

#endif
