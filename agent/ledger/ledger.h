/* SPDX-License-Identifier: Apache-2.0 */
/* ledger.h - entry of the ledger role; sock is its channel to the parent. */
#ifndef ZG_LEDGER_H
#define ZG_LEDGER_H

int zg_ledger_main(int sock); /* exit status */

#endif
