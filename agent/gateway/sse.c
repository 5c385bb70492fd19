/* SPDX-License-Identifier: Apache-2.0 */
/* sse.c - see sse.h. Trust: every byte is the server's. */
#include "sse.h"

#include <errno.h>

#define BOM "\xef\xbb\xbf"

void zg_sse_init(struct zg_sse *s)
{
	*s = (struct zg_sse){.raw = ZG_BUF(ZG_RESPONSE_BYTES), .data = ZG_BUF(ZG_RESPONSE_BYTES)};
}

void zg_sse_release(struct zg_sse *s)
{
	zg_buf_release(&s->raw);
	zg_buf_release(&s->data);
}

/* The value if the line is that field, else ptr NULL. Its name must match exactly. */
static struct zg_slice value_of(struct zg_slice line, struct zg_slice field)
{
	struct zg_slice none = {0};

	if (!zg_slice_starts(line, field))
		return none;
	if (line.len == field.len)
		return (struct zg_slice){line.ptr + field.len, 0};
	/* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): it starts with the field */
	if (line.ptr[field.len] != ':')
		return none;
	line.ptr += field.len + 1;
	line.len -= field.len + 1;
	if (line.len && line.ptr[0] == ' ') {
		line.ptr++;
		line.len--;
	}
	return line;
}

static struct zg_slice data_of(struct zg_slice line)
{
	return value_of(line, ZG_SLICE("data"));
}

static struct zg_slice id_of(struct zg_slice line)
{
	return value_of(line, ZG_SLICE("id"));
}

static void reset_event(struct zg_sse *s)
{
	zg_buf_reset(&s->raw);
	zg_buf_reset(&s->data);
	s->line = 0;
	s->id_at = s->id_len = 0;
	s->type_at = s->type_len = 0;
	s->has_data = false;
}

/* A line is complete: s->raw[s->line..) without its end. */
static int take_line(struct zg_sse *s, struct zg_slice line, bool *empty)
{
	struct zg_slice data, id, type;

	if (!s->started && zg_slice_starts(line, ZG_SLICE(BOM))) {
		line.ptr += sizeof(BOM) - 1;
		line.len -= sizeof(BOM) - 1;
	}
	s->started = true;
	*empty = line.len == 0;
	id = id_of(line);
	if (id.ptr && !memchr(id.ptr, '\0', id.len)) { /* one with a NUL is ignored */
		s->id_at = (size_t)(id.ptr - s->raw.ptr);
		s->id_len = id.len;
	}
	type = value_of(line, ZG_SLICE("event"));
	if (type.ptr) {
		s->type_at = (size_t)(type.ptr - s->raw.ptr);
		s->type_len = type.len;
	}
	data = data_of(line);
	if (!data.ptr)
		return 0;
	if (s->has_data)
		zg_buf_char(&s->data, '\n');
	zg_buf_add(&s->data, data.ptr, data.len);
	s->has_data = true;
	return s->data.error;
}

static int end_line(struct zg_sse *s, zg_sse_fn *fn, void *arg)
{
	struct zg_slice line = {s->raw.ptr + s->line, s->raw.len - s->line - 1};
	bool empty;
	int rc = take_line(s, line, &empty);

	if (rc < 0)
		return rc;
	if (empty) {
		struct zg_sse_event ev;

		/* parsers wait for the byte after a CR: give them the LF at once */
		if (s->after_cr)
			zg_buf_char(&s->raw, '\n');
		if (!zg_buf_ok(&s->raw))
			return s->raw.error;
		ev = (struct zg_sse_event){zg_buf_slice(&s->raw),
					   zg_buf_slice(&s->data),
					   s->has_data,
					   {s->raw.ptr + s->type_at, s->type_len},
					   {s->raw.ptr + s->id_at, s->id_len}};
		rc = fn(arg, &ev);
		reset_event(s);
	}
	s->line = s->raw.len;
	return rc;
}

int zg_sse_feed(struct zg_sse *s, struct zg_slice bytes, zg_sse_fn *fn, void *arg)
{
	s->total += bytes.len;
	if (s->total > ZG_STREAM_BYTES)
		return -EFBIG;
	while (bytes.len) {
		size_t n = 0;
		int rc;

		if (s->after_cr && bytes.ptr[0] == '\n') {
			/* second half of a CRLF: kept with its line if that is still here */
			if (s->raw.len) {
				zg_buf_char(&s->raw, '\n');
				s->line = s->raw.len;
			}
			s->after_cr = false;
			bytes.ptr++;
			bytes.len--;
			continue;
		}
		s->after_cr = false;
		while (n < bytes.len && bytes.ptr[n] != '\n' && bytes.ptr[n] != '\r')
			n++;
		zg_buf_add(&s->raw, bytes.ptr, n < bytes.len ? n + 1 : n);
		if (!zg_buf_ok(&s->raw))
			return s->raw.error;
		if (n == bytes.len)
			return 0;
		s->after_cr = bytes.ptr[n] == '\r';
		rc = end_line(s, fn, arg);
		if (rc < 0)
			return rc;
		bytes.ptr += n + 1;
		bytes.len -= n + 1;
	}
	return s->raw.error;
}

static size_t until_line_end(struct zg_slice s)
{
	size_t n = 0;

	while (n < s.len && s.ptr[n] != '\n' && s.ptr[n] != '\r')
		n++;
	return n;
}

/* A carriage return ends a line, too: what stands behind it in JSON must not be
 * lost as a field that nobody knows. */
static void put_data(struct zg_slice data, struct zg_buf *out)
{
	for (;;) {
		size_t n = until_line_end(data);

		zg_buf_str(out, "data: ");
		zg_buf_add(out, data.ptr, n);
		zg_buf_char(out, '\n');
		if (n == data.len)
			return;
		data.ptr += n + 1;
		data.len -= n + 1;
	}
}

static void put_id(struct zg_slice id, struct zg_buf *out)
{
	zg_buf_str(out, "id: ");
	zg_buf_add(out, id.ptr, id.len);
	zg_buf_char(out, '\n');
}

void zg_sse_rewrite(const struct zg_sse_event *ev, const struct zg_slice *id,
		    const struct zg_slice *data, struct zg_buf *out)
{
	struct zg_slice raw = ev->raw;
	bool data_done = false, id_done = false;

	if (zg_slice_starts(raw, ZG_SLICE(BOM))) {
		raw.ptr += sizeof(BOM) - 1;
		raw.len -= sizeof(BOM) - 1;
	}
	while (raw.len) {
		size_t n = until_line_end(raw);
		struct zg_slice line;
		bool is_data, is_id;

		line = (struct zg_slice){raw.ptr, n};
		n = n < raw.len ? n + 1 : n;
		raw.ptr += n;
		raw.len -= n;
		if (!line.len)
			continue; /* the LF of a CRLF, or the event's end */
		is_data = data && data_of(line).ptr;
		is_id = id && id_of(line).ptr;
		if (is_data && !data_done)
			put_data(*data, out);
		else if (is_id && !id_done)
			put_id(*id, out);
		else if (!is_data && !is_id) {
			zg_buf_add(out, line.ptr, line.len);
			zg_buf_char(out, '\n');
		}
		data_done |= is_data;
		id_done |= is_id;
	}
	zg_buf_char(out, '\n');
}

void zg_sse_rebuild(const struct zg_sse_event *ev, struct zg_slice data, struct zg_buf *out)
{
	zg_sse_rewrite(ev, NULL, &data, out);
}
