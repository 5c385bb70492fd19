/* SPDX-License-Identifier: Apache-2.0 */
/*
 * issuer.h - keys of issuers that are fetched from registered places: one worker
 * does it from time to time, any worker when a token names a key that nobody has.
 * The document goes to the parent as it came; the keys come back in a configuration.
 */
#ifndef ZG_GATEWAY_ISSUER_H
#define ZG_GATEWAY_ISSUER_H

#include <event2/event_struct.h>

#include "snapshot.h"

struct zg_worker;
struct zg_issuer_fetch;

struct zg_issuers {
	struct event due;
	struct zg_issuer_fetch *fetch; /* one for each place that is named, in no order */
};

/* Another configuration is in force. */
void zg_issuers_live(struct zg_worker *w);
void zg_issuers_release(struct zg_worker *w);

/* A token of this issuer cannot be checked with the keys that are there. True: they
 * are being fetched, or were moments ago; it may be worth another try. */
bool zg_issuers_wanted(struct zg_worker *w, const struct zg_issuer *is);

#endif
