/* SPDX-License-Identifier: Apache-2.0 */
/*
 * canonical.h - the effective policy and registry as one JSON text by RFC 8785
 * (sorted members, no blanks, integers only), whose SHA-256 names a snapshot.
 * Whatever does not change a decision (comments, descriptions, order, file
 * names, values written twice) does not change the text.
 */
#ifndef ZG_CANONICAL_H
#define ZG_CANONICAL_H

#include "buf.h"
#include "registry.h"

/* The entry of one registered server, as its own file says it. */
void zg_canonical_server(struct zg_buf *out, const struct zg_entry_src *s, struct zg_arena *arena);

/* Everything; servers sorted by id, rule ids unique. 0 or -ENOMEM, -EFBIG. */
int zg_canonical(struct zg_buf *out, const struct zg_policy_src *p,
		 struct zg_entry_src *const *servers, size_t server_count,
		 const struct zg_slice *profile_names, struct zg_arena *arena) ZG_MUST_CHECK;

#endif
