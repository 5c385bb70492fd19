/* SPDX-License-Identifier: Apache-2.0 */
/*
 * endpoint.h - the HTTP+SSE transport of 2024-11-05: a GET opens a stream whose
 * first event names the URL that messages are POSTed to; the answers come on
 * the stream. The client is given a URL of ours with a sealed token, which says
 * where the server's is and which worker holds the stream. A POST is judged as
 * any message; what we have to say about it goes onto the stream, through the
 * parent if it is another worker's.
 */
#ifndef ZG_GATEWAY_ENDPOINT_H
#define ZG_GATEWAY_ENDPOINT_H

#include <stdbool.h>

#include "buf.h"
#include "cleanup.h"
#include "scan.h"
#include "zg_snapshot.h"

struct zg_msg_relay;
struct zg_request;
struct zg_sse_event;
struct zg_worker;

/*
 * The path and query that a server's endpoint event names, appended to out: an
 * absolute URL of the registered origin (scheme, host and port, all three), or
 * a reference to it. NULL, or what is wrong with it.
 */
const char *zg_endpoint_path(const struct zg_server_def *s, struct zg_slice text,
			     struct zg_buf *out) ZG_MUST_CHECK;

/* endpoint.c: the event, with our URL in the place of the server's, into out. */
int zg_endpoint_event(struct zg_request *r, const struct zg_sse_event *ev,
		      struct zg_buf *out) ZG_MUST_CHECK;
/* Open the token of a POST into r->endpoint. */
enum zg_next zg_endpoint_open(struct zg_request *r);

/* relay.c: tell the stream of a POST what became of it: a whole message. */
void zg_relay_say(struct zg_request *post, struct zg_slice message);
/* The server has taken the POST: unless its stream answers it in time, message
 * is said there, and the server is told to stop. */
void zg_relay_expect(struct zg_request *post, struct zg_slice message);
/* The server has been told by the client that it does not want an answer. */
void zg_relay_cancelled(struct zg_request *post);
/* An answer passed on the stream. */
void zg_relay_answered(struct zg_request *stream, const struct zg_json_facts *answer);
/* The stream is over. */
void zg_relay_end(struct zg_request *stream);
/* What another worker has to say. */
void zg_relay_take(struct zg_worker *w, struct zg_msg_relay *m);

#endif
