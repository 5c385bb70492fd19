/* SPDX-License-Identifier: Apache-2.0 */
/* resolver.h - entry of the resolver role; sock is its channel to the parent. */
#ifndef ZG_RESOLVER_H
#define ZG_RESOLVER_H

int zg_resolver_main(int sock); /* exit status */

#endif
