/* SPDX-License-Identifier: Apache-2.0 */
/* headers.c - see headers.h. Trust: headers and message are the client's. */
#include "headers.h"

#include <openssl/evp.h>

#include "request.h"

static const struct zg_slice coded_begin = {"=?base64?", 9};
static const struct zg_slice coded_end = {"?=", 2};

static bool is_coded(struct zg_slice value)
{
	return value.len >= coded_begin.len + coded_end.len &&
	       zg_slice_starts(value, coded_begin) &&
	       memcmp(value.ptr + value.len - coded_end.len, coded_end.ptr, coded_end.len) == 0;
}

/* Encoding is compared with encoding, so that there is one way to say a text
 * and nothing lenient decoders differ in. */
bool zg_header_says(struct zg_slice value, struct zg_slice text)
{
	unsigned char coded[4 * ((ZG_HTTP_HEADER_BYTES + 2) / 3) + 1];
	struct zg_slice inner;
	int n;

	if (!is_coded(value))
		return zg_slice_eq(value, text);
	inner.ptr = value.ptr + coded_begin.len;
	inner.len = value.len - coded_begin.len - coded_end.len;
	if (text.len > ZG_HTTP_HEADER_BYTES)
		return false; /* no header could hold it */
	n = EVP_EncodeBlock(coded, (const unsigned char *)text.ptr, (int)text.len);
	return n >= 0 && zg_slice_eq(inner, (struct zg_slice){(const char *)coded, (size_t)n});
}

int zg_headers_judge(const struct zg_http_head *h, const struct zg_rpc *m, enum zg_era era,
		     const char **why)
{
	struct zg_slice method = h->field[ZG_HF_MCP_METHOD], name = h->field[ZG_HF_MCP_NAME];
	bool needed = zg_era_modern(era) && m->kind == ZG_RPC_REQUEST;

	*why = "there is no Mcp-Method header";
	if (needed && !method.ptr)
		return ZG_C_HEADER_MISMATCH;
	*why = "Mcp-Method contradicts the message";
	if (method.ptr && !zg_slice_eq(method, m->method))
		return ZG_C_HEADER_MISMATCH;
	*why = "there is no Mcp-Name header";
	if (needed && m->named && !name.ptr)
		return ZG_C_HEADER_MISMATCH;
	*why = "Mcp-Name contradicts the message";
	if (name.ptr && !zg_header_says(name, m->tool))
		return ZG_C_HEADER_MISMATCH;
	return 0;
}

enum zg_next zg_step_headers(struct zg_request *r)
{
	const char *why = "";
	int code;

	if (r->head.method != ZG_HM_POST || r->local)
		return ZG_NEXT; /* a pipe has none */
	code = zg_headers_judge(&r->head, &r->rpc, r->era, &why);
	return code ? zg_refuse(r, 400, code, "%s", why) : ZG_NEXT;
}
