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
	r->close = zg_slice_eq(version, ZG_SLICE("HTTP/1.0"));
	if (!r->close && !zg_slice_eq(version, ZG_SLICE("HTTP/1.1")))
		return -EBADMSG;
	if (number.len != 3 || zg_slice_u64(number, 599, &status) < 0 || status < 100)
		return -EBADMSG;
	r->status = (int)status;
	return 0;
}

struct framing {
	struct zg_slice length;
	struct zg_slice coding;
	struct zg_slice connection;
};

static struct zg_slice *framing_field(struct framing *f, struct zg_slice name)
{
	if (zg_slice_ieq(name, ZG_SLICE("content-length")))
		return &f->length;
	if (zg_slice_ieq(name, ZG_SLICE("transfer-encoding")))
		return &f->coding;
	return zg_slice_ieq(name, ZG_SLICE("connection")) ? &f->connection : NULL;
}

static int judge_framing(struct zg_http_reply *r, const struct framing *f)
{
	if (f->length.ptr && f->coding.ptr)
		return -EBADMSG;
	if (f->length.ptr && zg_slice_u64(f->length, INT64_MAX, &r->length) < 0)
		return -EBADMSG;
	if (f->coding.ptr && (r->close || !zg_slice_ieq(f->coding, ZG_SLICE("chunked"))))
		return -EBADMSG;
	r->close |= f->connection.ptr && !zg_slice_ieq(f->connection, ZG_SLICE("keep-alive"));
	if (r->status < 200 || r->status == 204 || r->status == 304)
		r->body = ZG_BODY_NONE;
	else if (f->coding.ptr)
		r->body = ZG_BODY_CHUNKED;
	else if (f->length.ptr)
		r->body = r->length ? ZG_BODY_LENGTH : ZG_BODY_NONE;
	r->close |= r->body == ZG_BODY_UNTIL_CLOSE;
	return 0;
}

int zg_http_reply_parse(struct zg_http_reply *r, struct zg_slice text, zg_http_reply_field *fn,
			void *arg)
{
	struct framing f = {0};
	size_t lines = 0;

	*r = (struct zg_http_reply){0};
	if (parse_status_line(r, zg_http_next_line(&text)) < 0)
		return -EBADMSG;
	while (text.len) {
		struct zg_slice line = zg_http_next_line(&text), name, value, *own;

		if (!line.len)
			break;
		if (++lines > ZG_HTTP_HEADERS_MAX || zg_http_split_field(line, &name, &value))
			return -EBADMSG;
		own = framing_field(&f, name);
		if (own && own->ptr)
			return -EBADMSG;
		if (own)
			*own = value;
		else
			fn(arg, name, value);
	}
	return judge_framing(r, &f);
}
