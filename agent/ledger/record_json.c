/* SPDX-License-Identifier: Apache-2.0 */
/*
 * record_json.c - see record_json.h. Trust: a record may come from a
 * compromised gateway; every text is bounded by its field and escaped, so that
 * no record can end its line early or speak for another. Never parses.
 */
#include "record_json.h"

#include <arpa/inet.h>

/* n in the len places at at, zeros in front. */
static void digits(char *at, size_t len, uint64_t n)
{
	while (len > 0) {
		at[--len] = (char)('0' + n % 10);
		n /= 10;
	}
}

static void time_text(struct zg_buf *b, uint64_t ns)
{
	char text[] = "\"time\":\"0000-00-00T00:00:00.000000000Z\"";
	time_t sec = (time_t)(ns / 1000000000u);
	struct tm tm;

	/* 2^64 ns end in the year 2554, so this is for a broken C library */
	if (!gmtime_r(&sec, &tm)) {
		zg_buf_str(b, "\"time\":\"9999-12-31T23:59:59.999999999Z\"");
		return;
	}
	digits(text + 8, 4, (uint64_t)tm.tm_year + 1900);
	digits(text + 13, 2, (uint64_t)tm.tm_mon + 1);
	digits(text + 16, 2, (uint64_t)tm.tm_mday);
	digits(text + 19, 2, (uint64_t)tm.tm_hour);
	digits(text + 22, 2, (uint64_t)tm.tm_min);
	digits(text + 25, 2, (uint64_t)tm.tm_sec);
	digits(text + 28, 9, ns % 1000000000u);
	zg_buf_add(b, text, sizeof(text) - 1);
}

struct zg_slice zg_record_text(const struct zg_record *r, const struct zg_record_column *c)
{
	const char *text = (const char *)r + c->offset;

	return (struct zg_slice){text, strnlen(text, c->bytes)};
}

static void hex(struct zg_buf *b, const uint8_t *bytes, size_t n)
{
	char *room = zg_buf_room(b, 2 * n + 1);

	if (!room)
		return;
	zg_hex(room, bytes, n);
	zg_buf_wrote(b, 2 * n);
}

void zg_record_value(struct zg_buf *b, const struct zg_record *r, const struct zg_record_column *c)
{
	const uint8_t *bytes = (const uint8_t *)r + c->offset;
	char addr[INET6_ADDRSTRLEN];
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
		hex(b, bytes, c->bytes);
		return;
	case ZG_RT_ADR:
		zg_addr_text(addr, sizeof(addr), bytes);
		zg_buf_str(b, addr);
		return;
	}
}

static void member(struct zg_buf *b, const struct zg_record *r, const struct zg_record_column *c)
{
	bool quoted = c->type == ZG_RT_HEX || c->type == ZG_RT_ADR;

	zg_buf_add(b, c->json.ptr, c->json.len);
	if (c->type == ZG_RT_STR) {
		zg_buf_json(b, zg_record_text(r, c));
		return;
	}
	if (quoted)
		zg_buf_char(b, '"');
	zg_record_value(b, r, c);
	if (quoted)
		zg_buf_char(b, '"');
}

void zg_record_json(struct zg_buf *b, const struct zg_record *r, uint64_t seq,
		    const struct zg_record_origin *from, const uint8_t prev[32])
{
	zg_buf_str(b, "{\"seq\":");
	zg_buf_u64(b, seq);
	zg_buf_char(b, ',');
	time_text(b, r->time_ns);
	zg_buf_str(b, ",\"kind\":\"");
	zg_buf_str(b, zg_record_kind_text(r->kind));
	zg_buf_char(b, '"');
	for (int f = 0; f < ZG_RF_MAX; f++)
		if (ZG_REC_HAS_N(r, f))
			member(b, r, &zg_record_columns[f]);
	if (from->ring[0]) {
		zg_buf_str(b, ",\"ring\":\"");
		zg_buf_str(b, from->ring);
		zg_buf_str(b, "\",\"ring_seq\":");
		zg_buf_u64(b, from->seq);
	}
	zg_buf_str(b, ",\"prev\":\"");
	hex(b, prev, 32);
	zg_buf_str(b, "\"}");
}
