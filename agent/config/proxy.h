/* SPDX-License-Identifier: Apache-2.0 */
/*
 * proxy.h - the proxy of zerogate.yaml: where it is, and which registered
 * servers are dialled by way of it. Pure but for memory.
 */
#ifndef ZG_CONFIG_PROXY_H
#define ZG_CONFIG_PROXY_H

#include "registry.h"
#include "settings.h"

/* The value of "proxy:". */
void zg_proxy_parse(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y,
		    struct zg_settings_src *s);

/* Another address of the host of that name, if it is the proxy. */
void zg_proxy_add_resolved(struct zg_proxy *p, const char *host, const uint8_t addr[16]);

/*
 * Fill .proxied of each server. An https server is dialled through the proxy unless
 * no_proxy covers its host or one of its fixed addresses, its entry says that it
 * is local, or one of those addresses is of this machine or its networks; a plain
 * one is not. What the entry says with "proxy" goes before all that. 0, or -EINVAL
 * after an error.
 */
int zg_proxy_check(const struct zg_settings_src *s, struct zg_entry_src *const *servers,
		   size_t count, struct zg_diag *diag) ZG_MUST_CHECK;

#endif
