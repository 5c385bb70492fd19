/* SPDX-License-Identifier: Apache-2.0 */
/*
 * listing.h - what a server says of itself: lists of tools, prompts, resources
 * and templates, its instructions, its name. Each definition is hashed whole
 * and held against the ledger's pin; the client sees those that are accepted
 * and that policy would let it use. All other bytes stay as they are.
 *
 * A definition that this worker does not know is told to the ledger, one after
 * the other; the list waits meanwhile, and is withheld if no answer comes.
 */
#ifndef ZG_GATEWAY_LISTING_H
#define ZG_GATEWAY_LISTING_H

#include "server_message.h"

struct zg_listing;
struct zg_msg_pin_state;

/* A judge of server_message.c. Drops the message while it waits. */
int zg_judge_listing(struct zg_request *r, struct zg_server_message *m) ZG_MUST_CHECK;

bool zg_listing_waits(const struct zg_request *r);
void zg_listing_answer(struct zg_request *r, const struct zg_msg_pin_state *m);
void zg_listing_resend(struct zg_request *r);

/* A list that waited is complete: its text. ptr NULL: none waited. */
struct zg_slice zg_listing_text(const struct zg_request *r);
void zg_listing_free(struct zg_request *r);

#endif
