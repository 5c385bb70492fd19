/* SPDX-License-Identifier: Apache-2.0 */
/*
 * record_json.c - see record_json.h. Trust: a record may come from a
 * compromised gateway; every text is bounded by its field and escaped, so that
 * no record can end its line early or speak for another. Never parses.
 */
#include "record_json.h"

#include <arpa/inet.h>
#include <assert.h>

static void time_text(struct zg_buf *b, uint64_t ns)
{
	time_t sec = (time_t)(ns / 1000000000u);
	struct tm tm;
	char text[32];

	/* a year beyond what the C library can show: a producer lied about its clock */
	if (!gmtime_r(&sec, &tm) || !strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm)) {
		zg_buf_str(b, "\"time\":\"9999-12-31T23:59:59.999999999Z\"");
		return;
	}
	zg_buf_fmt(b, "\"time\":\"%s.%09uZ\"", text, (unsigned)(ns % 1000000000u));
}

struct zg_slice zg_record_text(const struct zg_record *r, const struct zg_record_column *c)
{
	const char *text = (const char *)r + c->offset;

	return (struct zg_slice){text, strnlen(text, c->bytes)};
}

void zg_record_value(struct zg_buf *b, const struct zg_record *r, const struct zg_record_column *c)
{
	const uint8_t *bytes = (const uint8_t *)r + c->offset;
	char hex[2 * 32 + 1], addr[INET6_ADDRSTRLEN];
	struct zg_slice text;
	uint64_t n;

	switch (c->type) {
	case ZG_RT_STR:
		text = zg_record_text(r, c);
		zg_buf_add(b, text.ptr, text.len);
		return;
	case ZG_RT_NUM:
		memcpy(&n, bytes, sizeof(n));
		zg_buf_u64(b, n);
		return;
	case ZG_RT_HEX:
		assert(2 * c->bytes < sizeof(hex));
		zg_hex(hex, bytes, c->bytes);
		zg_buf_str(b, hex);
		return;
	case ZG_RT_ADR:
		zg_addr_text(addr, sizeof(addr), bytes);
		zg_buf_str(b, addr);
		return;
	}
}

void zg_record_json(struct zg_buf *b, const struct zg_record *r, uint64_t seq,
		    const struct zg_record_origin *from, const uint8_t prev[32])
{
	char hex[65];

	zg_buf_str(b, "{\"seq\":");
	zg_buf_u64(b, seq);
	zg_buf_char(b, ',');
	time_text(b, r->time_ns);
	zg_buf_str(b, ",\"kind\":\"");
	zg_buf_str(b, zg_record_kind_text(r->kind));
	zg_buf_char(b, '"');
	for (int f = 0; f < ZG_RF_MAX; f++) {
		const struct zg_record_column *c = &zg_record_columns[f];

		if (!ZG_REC_HAS_N(r, f))
			continue;
		zg_buf_str(b, ",\"");
		zg_buf_str(b, c->name);
		zg_buf_str(b, "\":");
		if (c->type == ZG_RT_STR) {
			zg_buf_json(b, zg_record_text(r, c));
			continue;
		}
		zg_buf_str(b, c->type == ZG_RT_NUM ? "" : "\"");
		zg_record_value(b, r, c);
		zg_buf_str(b, c->type == ZG_RT_NUM ? "" : "\"");
	}
	if (from->ring[0])
		zg_buf_fmt(b, ",\"ring\":\"%s\",\"ring_seq\":%llu", from->ring,
			   (unsigned long long)from->seq);
	zg_hex(hex, prev, 32);
	zg_buf_str(b, ",\"prev\":\"");
	zg_buf_str(b, hex);
	zg_buf_str(b, "\"}");
}
