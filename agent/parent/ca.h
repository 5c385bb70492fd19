/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ca.h - the local certificate authority: what lets the gateway answer in the
 * place of a registered https server. Its key lives in root's folder of the
 * state and in the parent, nowhere else. Whatever it signs is worth nothing
 * but for the hosts of registered servers: its certificate says so (critical
 * name constraints, RFC 5280 4.2.1.10). The key and the subject stay the same,
 * so a certificate that a client has loaded goes on holding for the hosts that
 * it names.
 */
#ifndef ZG_PARENT_CA_H
#define ZG_PARENT_CA_H

#include <time.h>

#include "buf.h"
#include "err.h"

#define ZG_CA_BACKDATE_SEC 86400 /* clocks differ, and are set back */
#define ZG_CA_DAYS	   365	 /* a client may run for long with what it loaded */
#define ZG_LEAF_DAYS	   7

struct zg_ca;

/* The key in this folder; made if there is none. One that cannot be read is an
 * error, never a reason to make another. */
int zg_ca_open(struct zg_ca **out, int dir, struct zg_err *e) ZG_MUST_CHECK;
void zg_ca_free(struct zg_ca *ca);

/* The authority's certificate, PEM, for exactly these hosts (names in lower
 * case, or address literals), at least one; now: seconds of CLOCK_REALTIME.
 * 0, -EINVAL, or -EIO: the library failed. */
int zg_ca_certificate(const struct zg_ca *ca, const struct zg_slice *host, size_t count, time_t now,
		      struct zg_buf *pem) ZG_MUST_CHECK;

/* A server's certificate for one host and its key, both DER. The caller wipes
 * the key's memory. As above. */
int zg_ca_leaf(const struct zg_ca *ca, struct zg_slice host, time_t now, struct zg_buf *cert,
	       struct zg_buf *key) ZG_MUST_CHECK;

#endif
