/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server_message.h - one JSON-RPC message that a server sent, on whichever
 * channel: read strictly, scanned, and judged by a table of questions before
 * anybody sees it.
 */
#ifndef ZG_GATEWAY_SERVER_MESSAGE_H
#define ZG_GATEWAY_SERVER_MESSAGE_H

#include <stdbool.h>

#include "cleanup.h"
#include "scan.h"

struct zg_request;

struct zg_server_message {
	struct zg_slice text;  /* what is to be delivered: as it came, or in r->output.released */
	bool changed;	       /* it is not as it came */
	struct zg_slice state; /* a requestState, as the server wrote it; taken out for now */
	bool drop;	       /* it is not for this client; the rest of the stream goes on */
	struct zg_slice raw;   /* what was scanned, secrets included */
	struct zg_json_facts facts; /* of raw, and pointing into it */
};

/* Judge text, a message in the answer to r. 0: deliver m->text unless m->drop.
 * -errno: it and all that follows is withheld, r->output.withheld says why.
 * m->text is good until the next message of this worker. */
int zg_server_message(struct zg_request *r, struct zg_slice text,
		      struct zg_server_message *m) ZG_MUST_CHECK;

/* Is raw, an id as the server wrote it, the id of this request? */
bool zg_same_id(const struct zg_request *r, struct zg_slice raw);

/* Set r->output.withheld; returns error. */
int zg_withhold(struct zg_request *r, int error, const char *why);

#endif
