/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client_whole.h - a client that is the gateway itself, and takes whole answers alone:
 * what its requests ask is not governed (keys of an issuer, word to a webhook). A
 * stream is no answer: its end comes as one without status.
 */
#ifndef ZG_CLIENT_WHOLE_H
#define ZG_CLIENT_WHOLE_H

#include "client.h"

void zg_whole_want_body(struct zg_client *c);
void zg_whole_stream(struct zg_client *c, struct zg_slice s);
void zg_whole_stream_end(struct zg_client *c, bool cut);
size_t zg_whole_backlog(const struct zg_client *c);

#define ZG_CLIENT_WHOLE(on_finish)                                                                 \
	{                                                                                          \
		.want_body = zg_whole_want_body, .finish = (on_finish),                            \
		.stream_begin = zg_whole_stream, .stream_write = zg_whole_stream,                  \
		.stream_end = zg_whole_stream_end, .backlog = zg_whole_backlog,                    \
	}

#endif
