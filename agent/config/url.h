/* SPDX-License-Identifier: Apache-2.0 */
/*
 * url.h - a registered server's URL: http or https, host, port, path, query,
 * and nothing else. Stricter than RFC 3986, so that what is shown, what is
 * dialled and what policy compares are the same text.
 */
#ifndef ZG_URL_H
#define ZG_URL_H

#include "slice.h"
#include "zg_snapshot.h"

/* Fill url, host (lower case, no brackets), port, path (with query, at least
 * "/") and tls. NULL, or what is wrong; then *d is unchanged. */
const char *zg_url_parse(struct zg_slice url, struct zg_server_def *d);

#endif
