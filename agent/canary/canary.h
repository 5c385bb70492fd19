/* SPDX-License-Identifier: Apache-2.0 */
/* canary.h - the canary role (zerogated --role=canary). */
#ifndef ZG_CANARY_H
#define ZG_CANARY_H

/* sock: the channel to the parent. Returns the exit status. */
int zg_canary_main(int sock);

#endif
