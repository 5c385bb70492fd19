/* SPDX-License-Identifier: Apache-2.0 */
/*
 * auth.h - listeners that are OAuth protected resources: what zerogate.yaml says
 * of them, and the keys of their issuers (RFC 7517). Pure but for memory.
 */
#ifndef ZG_CONFIG_AUTH_H
#define ZG_CONFIG_AUTH_H

#include "buf.h"
#include "document.h"
#include "zg_snapshot.h"
#include "zg_wire.h"

/* The value of a listener's "auth:". Errors go to ctx->diag. */
void zg_auth_parse(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, struct zg_auth *out);

/* How many files of keys the listeners name. */
uint32_t zg_auth_files(const struct zg_settings *s);

/*
 * Append the keys of the nth file (counted over listeners, then issuers) to out,
 * as struct zg_auth_key. Keys for other uses and of other kinds are left out;
 * one that is private, malformed, too short or contradicts its own "alg" is an
 * error, as is a file without any that remains.
 */
void zg_jwks_parse(const struct zg_settings *s, uint32_t nth, const char *file,
		   struct zg_slice text, struct zg_diag *diag, struct zg_buf *out);

/* The same of what was fetched from registered places, for whoever names them. One
 * that is wrong is a notice: its issuer has no keys, so its tokens are refused. */
void zg_jwks_fetched(const struct zg_settings *s, const struct zg_fetched_keys *keys, size_t count,
		     struct zg_diag *diag, struct zg_buf *out);

#endif
