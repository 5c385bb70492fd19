/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pins.h - what this worker knows of the ledger's word on definitions
 * (ledger/pin.h): a bounded memory by (server, kind, name). What it does not
 * know, or has forgotten, is asked for; while there is no answer there is no
 * call. A lookup costs one digest and no memory.
 */
#ifndef ZG_GATEWAY_PINS_H
#define ZG_GATEWAY_PINS_H

#include "cleanup.h"
#include "slice.h"
#include "zg_wire.h"

struct zg_request;
struct zg_worker;
struct zg_pin_slot;

struct zg_pins_known {
	struct zg_pin_slot *slot; /* ZG_PIN_SLOTS, in sets of four */
	uint32_t era;		  /* what was learnt before does not count */
	uint32_t listed;	  /* nor does UNLISTED from before */
	uint32_t turn;
	uint8_t asked[ZG_PIN_ASKED_MAX][32]; /* keys whose answer is on its way; all zero = free */
};

struct zg_pin_word {
	enum zg_pin_state state;
	uint32_t hints;
	uint8_t sha256[32]; /* of the definition seen last */
};

int zg_pins_known_init(struct zg_pins_known *k) ZG_MUST_CHECK;
void zg_pins_known_release(struct zg_pins_known *k);
bool zg_pins_find(const struct zg_pins_known *k, struct zg_slice server, enum zg_pin_kind kind,
		  struct zg_slice name, struct zg_pin_word *out);
void zg_pins_learn(struct zg_pins_known *k, const struct zg_msg_pin_state *m);
/* Nothing of what was learnt counts any more: another ledger is there. */
void zg_pins_forget(struct zg_pins_known *k);

/* Is what is in that state shown and called? */
bool zg_pin_good(enum zg_pin_state state);
const char *zg_pin_why(enum zg_pin_state state); /* "has changed since ...", for a model */

/* A message of the ledger; a new ledger is there. */
void zg_pins_message(struct zg_worker *w, struct zg_msg_pin_state *m);
void zg_pins_resend(struct zg_worker *w);

/* Have r->pin filled for the tool or prompt that r calls: NEXT (r->pin_known
 * says if there is one), WAIT, or ANSWER: the ledger does not answer. */
int zg_pin_know(struct zg_request *r);

#endif
