/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server_request.h - what a server asks of its client: requests and
 * notifications on a stream, input requests inside a result, URLs inside an
 * error. All are decided as calls are, by the same rules, for the principal
 * whose exchange it is, and recorded before they are shown.
 */
#ifndef ZG_GATEWAY_SERVER_REQUEST_H
#define ZG_GATEWAY_SERVER_REQUEST_H

#include "trial.h"
#include "decision.h"
#include "envelope.h"
#include "server_message.h"

struct zg_ask { /* one request of a server */
	struct zg_envelope env;
	struct zg_decision decision;
	struct zg_trial trial;
	bool allowed;
	uint8_t args_sha256[32];
	size_t args_bytes;
	char rules[ZG_RULES_LEN];
	char reason[ZG_REASON_LEN]; /* if it is not allowed: why, for the record and the client */
};

/* Judges of server_message.c. A message with a method: a request that is denied
 * is dropped and the server told so, an unknown notification is dropped. */
int zg_judge_server_call(struct zg_request *r, struct zg_server_message *m) ZG_MUST_CHECK;
/* A result or an error: if what it asks for is denied, r->answer says so and
 * r->output.denied is set; -EACCES. */
int zg_judge_server_result(struct zg_request *r, struct zg_server_message *m) ZG_MUST_CHECK;

#endif
