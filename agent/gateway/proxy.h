/* SPDX-License-Identifier: Apache-2.0 */
/*
 * proxy.h - servers that are dialled by way of the configured proxy: by a tunnel
 * (CONNECT) to https ones, whose certificates are verified as if there were no
 * proxy, and by the proxy's own request to plain ones, which it can read.
 */
#ifndef ZG_GATEWAY_PROXY_H
#define ZG_GATEWAY_PROXY_H

#include <curl/curl.h>

#include "cleanup.h"
#include "worker.h"

/* The handle's next transfer goes by way of the nth address of l's proxy. False:
 * there are not so many, or no memory. What the handle is given are copies. */
bool zg_proxy_apply(CURL *easy, const struct zg_live *l, uint32_t nth) ZG_MUST_CHECK;
/* It dials directly again, and no credentials stay behind. */
bool zg_proxy_clear(CURL *easy) ZG_MUST_CHECK;

/* Why no server was reached, as far as the proxy is why: nothing was sent to the
 * server. Never a word of the proxy's own. False: it is another failure. */
bool zg_proxy_failure(CURL *easy, CURLcode code, char *out, size_t size);

#endif
