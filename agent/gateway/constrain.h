/* SPDX-License-Identifier: Apache-2.0 */
/*
 * constrain.h - what a decision's constraints ask of a call. Hosts are judged
 * as a lenient URL parser would find them; a host that cannot be told counts
 * as one that no list has.
 */
#ifndef ZG_GATEWAY_CONSTRAIN_H
#define ZG_GATEWAY_CONSTRAIN_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "cleanup.h"
#include "slice.h"
#include "zg_limits.h"

/* If text is a URL: true, and its host in out (lower case, no port, brackets,
 * user or final dot; "" if it cannot be told). Size of out: 256. */
bool zg_url_host(struct zg_slice text, char out[256]);

struct zg_decision;
struct zg_live;

/* May all URLs among the strings below params be used under d's allowlists?
 * False: host is that of the first that may not ("" if it cannot be told). */
bool zg_hosts_allowed(const struct zg_live *l, const struct zg_decision *d, const json_t *params,
		      char host[256]);

#endif
