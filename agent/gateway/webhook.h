/* SPDX-License-Identifier: Apache-2.0 */
/*
 * webhook.h - notifications are posted to the registered place that zerogate.yaml names
 * (agent/ledger/notify.h). The ledger says what and when; each attempt is one request
 * of the gateway's own, and the ledger is told how it ended.
 */
#ifndef ZG_WEBHOOK_H
#define ZG_WEBHOOK_H

#include "slice.h"
#include "zg_wire.h"

struct zg_worker;

#define ZG_NOTIFY_SIGNATURE_LEN 128

/* From the ledger: post this once. */
void zg_notify_message(struct zg_worker *w, struct zg_msg_notify *m);

/* "t=<unix>,v1=<hex>": HMAC-SHA256 with the secret over "<unix>.<body>". */
void zg_notify_sign(char out[ZG_NOTIFY_SIGNATURE_LEN], struct zg_slice secret, uint64_t unix_sec,
		    struct zg_slice body);

#endif
