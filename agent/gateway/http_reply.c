/* SPDX-License-Identifier: Apache-2.0 */
/* http_reply.c - see http_reply.h. Trust: every byte is the server's. */
#include "http_reply.h"

#include <errno.h>

#include "http_line.h"
#include "zg_limits.h"

/* "HTTP/1.1 200 OK"; the words after the number say nothing. */
static int parse_status_line(struct zg_http_reply *r, struct zg_slice line)
{
	struct zg_slice version = zg_http_cut_at(&line, ' ');
	struct zg_slice number = zg_http_cut_at(&line, ' ');
	uint64_t status;

	/* one that does not speak 1.1 keeps no connection */
	r->close = r->old = zg_slice_eq(version, ZG_SLICE("HTTP/1.0"));
	if (!r->old && !zg_slice_eq(version, ZG_SLICE("HTTP/1.1")))
		return -EBADMSG;
	if (number.len != 3 || zg_slice_u64(number, 599, &status) < 0 || status < 100)
		return -EBADMSG;
	r->status = (int)status;
	return 0;
}

/* Each at most once. 1: it is none of them. */
static int take_framing(struct zg_http_reply *r, struct zg_slice name, struct zg_slice value)
{
	if (zg_slice_ieq(name, ZG_SLICE("content-length"))) {
		if (r->has_length || zg_slice_u64(value, INT64_MAX, &r->length) < 0)
			return -EBADMSG;
		r->has_length = true;
	} else if (zg_slice_ieq(name, ZG_SLICE("transfer-encoding"))) {
		if (r->has_coding || !zg_slice_ieq(value, ZG_SLICE("chunked")))
			return -EBADMSG;
		r->has_coding = true;
	} else if (zg_slice_ieq(name, ZG_SLICE("connection"))) {
		if (r->has_connection)
			return -EBADMSG;
		r->has_connection = true;
		r->close |= !zg_slice_ieq(value, ZG_SLICE("keep-alive"));
	} else {
		return 1;
	}
	return 0;
}

int zg_http_reply_line(struct zg_http_reply *r, struct zg_slice line, struct zg_slice *name,
		       struct zg_slice *value)
{
	if (r->lines++ == 0)
		return parse_status_line(r, line);
	if (r->lines > ZG_HTTP_HEADERS_MAX + 1 || zg_http_split_field(line, name, value))
		return -EBADMSG;
	return take_framing(r, *name, *value);
}

int zg_http_reply_end(struct zg_http_reply *r)
{
	if (!r->lines || (r->has_coding && (r->has_length || r->old)))
		return -EBADMSG;
	if (r->status < 200 || r->status == 204 || r->status == 304)
		r->body = ZG_BODY_NONE;
	else if (r->has_coding)
		r->body = ZG_BODY_CHUNKED;
	else if (r->has_length)
		r->body = r->length ? ZG_BODY_LENGTH : ZG_BODY_NONE;
	r->close |= r->body == ZG_BODY_UNTIL_CLOSE;
	return 0;
}

int zg_http_reply_parse(struct zg_http_reply *r, struct zg_slice text, zg_http_reply_field *fn,
			void *arg)
{
	struct zg_slice name, value;

	*r = (struct zg_http_reply){0};
	while (text.len) {
		struct zg_slice line = zg_http_next_line(&text);
		int rc;

		if (!line.len && r->lines)
			break;
		rc = zg_http_reply_line(r, line, &name, &value);
		if (rc < 0)
			return rc;
		if (rc > 0)
			fn(arg, name, value);
	}
	return zg_http_reply_end(r);
}
