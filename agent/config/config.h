/* SPDX-License-Identifier: Apache-2.0 */
/* config.h - entry of the one-shot config role; sock is its channel to the parent. */
#ifndef ZG_CONFIG_H
#define ZG_CONFIG_H

int zg_config_main(int sock); /* exit status */

#endif
