/* SPDX-License-Identifier: Apache-2.0 */
/*
 * poison.h - what the text of a tool definition should not hold: characters
 * that hide something, and words that are meant for the model rather than to
 * say what the tool does (tbl/poison.h). Pure and linear but for a small
 * factor; English only; a finding asks for a person, it proves nothing.
 */
#ifndef ZG_POISON_H
#define ZG_POISON_H

#include "buf.h"
#include "cleanup.h"
#include "slice.h"
#include "zg_wire.h"

/* Bits of what one string of a definition, decoded, holds; work is scratch. */
int zg_poison_text(struct zg_slice text, struct zg_buf *work, uint32_t *bits) ZG_MUST_CHECK;

#endif
