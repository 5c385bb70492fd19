/* SPDX-License-Identifier: Apache-2.0 */
/* http_head.c - see http_head.h. Trust: every byte is the client's. */
#include "http_head.h"

#include <errno.h>

#include "http_line.h"

static const struct {
	struct zg_slice name;
	const char *forward;
} fields[ZG_HF_MAX] = {
#define X(NAME, text, fwd) [ZG_HF_##NAME] = {{(text), sizeof(text) - 1}, (fwd) ? (text) : NULL},
	ZG_HTTP_FIELDS(X)
#undef X
};

const char *zg_http_field_forward(enum zg_http_field f)
{
	return fields[f].forward;
}

ssize_t zg_http_head_end(struct zg_slice text)
{
	size_t line = 0; /* where the current line begins */

	for (size_t i = 0; i < text.len; i++) {
		char c = text.ptr[i];

		if (c == '\0' || (c == '\n' && (i == 0 || text.ptr[i - 1] != '\r')))
			return -EBADMSG;
		if (c == '\r' && i + 1 < text.len && text.ptr[i + 1] != '\n')
			return -EBADMSG;
		if (c != '\n')
			continue;
		if (i - line == 1)
			return (ssize_t)(i + 1);
		line = i + 1;
	}
	return 0;
}

/* visible ASCII, blanks allowed or not */
static bool is_visible(struct zg_slice s, bool blanks)
{
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.ptr[i];

		if ((c < 0x21 || c > 0x7e) && !(blanks && (c == ' ' || c == '\t')))
			return false;
	}
	return true;
}

static int parse_request_line(struct zg_http_head *h, struct zg_slice line, const char **why)
{
	static const struct {
		struct zg_slice text;
		enum zg_http_method method;
	} methods[] = {
		{{"POST", 4}, ZG_HM_POST},
		{{"GET", 3}, ZG_HM_GET},
		{{"DELETE", 6}, ZG_HM_DELETE},
	};
	struct zg_slice method = zg_http_cut_at(&line, ' ');
	struct zg_slice target = zg_http_cut_at(&line, ' ');

	*why = "the request line is malformed";
	if (!zg_http_is_token(method) || !target.len || !is_visible(target, false) ||
	    !zg_slice_starts(line, ZG_SLICE("HTTP/")))
		return 400;
	if (!zg_slice_eq(line, ZG_SLICE("HTTP/1.1"))) {
		*why = "only HTTP/1.1 is spoken here";
		return 505;
	}
	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
		if (zg_slice_eq(method, methods[i].text))
			h->method = methods[i].method;
	h->target = target;
	return 0;
}

static int keep_field(struct zg_http_head *h, struct zg_slice name, struct zg_slice value,
		      const char **why)
{
	for (int f = 0; f < ZG_HF_MAX; f++) {
		if (!zg_slice_ieq(name, fields[f].name))
			continue;
		if (h->field[f].ptr) {
			*why = "a header field is repeated";
			return 400;
		}
		if (!is_visible(value, true)) {
			*why = "a header value holds bytes that are not visible ASCII";
			return 400;
		}
		h->field[f] = value;
		return 0;
	}
	if (name.len < 4 || !zg_slice_ieq((struct zg_slice){name.ptr, 4}, ZG_SLICE("mcp-")))
		return 0; /* not ours and not passed on */
	for (size_t i = 0; i < h->extra_count; i++)
		if (zg_slice_ieq(h->extra[i].name, name)) {
			*why = "a header field is repeated";
			return 400;
		}
	if (h->extra_count == ZG_HTTP_EXTRA_MAX || !is_visible(value, true)) {
		*why = "too many or malformed Mcp-* header fields";
		return 400;
	}
	h->extra[h->extra_count++] = (struct zg_http_pair){name, value};
	return 0;
}

static int parse_field(struct zg_http_head *h, struct zg_slice line, const char **why)
{
	struct zg_slice name, value;

	*why = zg_http_split_field(line, &name, &value);
	return *why ? 400 : keep_field(h, name, value, why);
}

/* What the fields say about the message's length and the connection. */
static int judge_framing(struct zg_http_head *h, const char **why)
{
	const struct zg_slice *length = &h->field[ZG_HF_CONTENT_LENGTH];
	const struct zg_slice *connection = &h->field[ZG_HF_CONNECTION];
	const struct zg_slice *expect = &h->field[ZG_HF_EXPECT];
	uint64_t n = 0;

	if (!h->field[ZG_HF_HOST].ptr || !h->field[ZG_HF_HOST].len) {
		*why = "there is no Host";
		return 400;
	}
	if (h->field[ZG_HF_TRANSFER_ENCODING].ptr) {
		*why = "both Content-Length and Transfer-Encoding";
		if (length->ptr)
			return 400;
		*why = "the only Transfer-Encoding that is known is chunked";
		if (!zg_slice_ieq(h->field[ZG_HF_TRANSFER_ENCODING], ZG_SLICE("chunked")))
			return 400;
		h->chunked = true;
	}
	if (length->ptr && zg_slice_u64(*length, UINT64_MAX, &n) < 0) {
		*why = "Content-Length is not a number";
		return 400;
	}
	if (n > ZG_REQUEST_BYTES) {
		*why = "the message is larger than 4 MiB";
		return 413;
	}
	if (h->method == ZG_HM_POST && !length->ptr && !h->chunked) {
		*why = "a POST needs a Content-Length, or the chunked coding";
		return 411;
	}
	if (h->method != ZG_HM_POST && (n > 0 || h->chunked)) {
		*why = "only a POST may have a body";
		return 400;
	}
	if (h->field[ZG_HF_CONTENT_ENCODING].ptr) {
		*why = "compressed messages are not accepted";
		return 415;
	}
	if (expect->ptr && !zg_slice_ieq(*expect, ZG_SLICE("100-continue"))) {
		*why = "only 100-continue can be expected";
		return 417;
	}
	h->expect_100 = expect->ptr != NULL;
	h->close = connection->ptr && !zg_slice_ieq(*connection, ZG_SLICE("keep-alive"));
	h->content_length = (size_t)n;
	return 0;
}

int zg_http_head_parse(struct zg_http_head *h, struct zg_slice text,
		       struct zg_http_pair room[ZG_HTTP_EXTRA_MAX], const char **why)
{
	size_t lines = 0;
	int status;

	*h = (struct zg_http_head){.extra = room};
	status = parse_request_line(h, zg_http_next_line(&text), why);
	while (!status && text.len) {
		struct zg_slice line = zg_http_next_line(&text);

		if (!line.len)
			break;
		if (++lines > ZG_HTTP_HEADERS_MAX) {
			*why = "too many header lines";
			status = 431;
		} else {
			status = parse_field(h, line, why);
		}
	}
	return status ? status : judge_framing(h, why);
}
