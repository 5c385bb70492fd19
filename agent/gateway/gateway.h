/* SPDX-License-Identifier: Apache-2.0 */
/* gateway.h - entry of the gateway role; sock is its channel to the parent. */
#ifndef ZG_GATEWAY_H
#define ZG_GATEWAY_H

int zg_gateway_main(int sock); /* exit status */

#endif
