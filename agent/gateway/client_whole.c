/* SPDX-License-Identifier: Apache-2.0 */
/* client_whole.c - see client_whole.h. Nothing of a stream is kept or passed on. */
#include "client_whole.h"

void zg_whole_want_body(struct zg_client *c)
{
	(void)c; /* it is there from the start */
}

void zg_whole_stream(struct zg_client *c, struct zg_slice s)
{
	(void)c;
	(void)s;
}

void zg_whole_stream_end(struct zg_client *c, bool cut)
{
	(void)cut;
	zg_client_finish(c, &(struct zg_http_answer){0});
}

size_t zg_whole_backlog(const struct zg_client *c)
{
	(void)c;
	return 0;
}
