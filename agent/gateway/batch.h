/* SPDX-License-Identifier: Apache-2.0 */
/*
 * batch.h - a POST that holds several messages (2025-03-26 alone): each becomes
 * a request of its own, judged, held, recorded, sent and scanned by itself, and
 * their answers are put together for the client. What becomes of one never
 * touches the others.
 */
#ifndef ZG_GATEWAY_BATCH_H
#define ZG_GATEWAY_BATCH_H

#include <stddef.h>

#include "cleanup.h"
#include "slice.h"

struct zg_batch;
struct zg_request;

/* Cut a JSON array that has been parsed before into its elements, as they are
 * written. Their number, of which the first max stand in out. */
size_t zg_batch_split(struct zg_slice text, struct zg_slice *out, size_t max);

/* r is the POST that came: its client left, or has room again; its answer. */
void zg_batch_client_gone(struct zg_request *r);
void zg_batch_drained(struct zg_request *r);
void zg_batch_reply(struct zg_request *r);
void zg_batch_free(struct zg_batch *b);

#endif
