/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dns_fuzz.c - a client's question, and a server's message for it. What must
 * hold: a question that is taken reads the same, in lower case, after it was
 * written for a server; an answer for the client is never longer than it may
 * be, carries its id, and holds no address that was not to be told. The input
 * is the question's length in one byte, the question, and the message.
 */
#include <ctype.h>
#include <string.h>

#include "answer.h"

#define CHECK(what)                                                                                \
	do {                                                                                       \
		if (!(what)) {                                                                     \
			fprintf(stderr, "does not hold: %s\n", #what);                             \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void tell(const struct zg_dns_question *q, const struct zg_found *f, uint32_t held)
{
	struct zg_found again;
	uint8_t *wire;
	size_t len;

	CHECK(zg_answer_build(q, ZG_DNS_NOERROR, f, held, held & 1, ZG_DNS_UDP_BYTES, &wire,
			      &len) == 0);
	CHECK(len <= ZG_DNS_UDP_BYTES && len >= ZG_DNS_HEADER);
	CHECK(wire[0] == q->id >> 8 && wire[1] == (q->id & 0xff) && (wire[2] & 0x80));
	zg_found_read(&again, q, q->id, wire, len);
	CHECK(again.count <= f->count);
	if (!held)
		CHECK(again.count == 0);
	zg_found_release(&again);
	free(wire);
}

static void answer(const struct zg_dns_question *q, const uint8_t *bytes, size_t size)
{
	uint8_t message[ZG_DNS_TCP_BYTES];
	struct zg_found f;

	if (size > sizeof(message))
		size = sizeof(message);
	memcpy(message, bytes, size);
	if (size >= 2) { /* the id is right, or nothing else is looked at */
		message[0] = 0x47;
		message[1] = 0x11;
	}
	zg_found_read(&f, q, 0x4711, message, size);
	CHECK(f.chained <= ZG_DNS_CHAIN_MAX && f.count <= ZG_DNS_ADDRESSES_MAX);
	CHECK((f.kind == ZG_FOUND_ADDRESSES) == (f.count > 0) || f.kind == ZG_FOUND_FAILED);
	if (f.kind == ZG_FOUND_ADDRESSES || f.kind == ZG_FOUND_NOTHING) {
		tell(q, &f, UINT32_MAX);
		tell(q, &f, 0);
	}
	zg_found_release(&f);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	uint8_t out[ZG_DNS_QUERY_BYTES];
	struct zg_dns_question q, again;
	size_t len, n;
	int rc;

	if (!size)
		return 0;
	len = bytes[0] < size ? bytes[0] : size - 1;
	rc = zg_dns_question_read(&q, bytes + 1, len);
	if (rc > 0)
		tell(&q, &(struct zg_found){0}, 0);
	if (rc)
		return 0;
	n = zg_dns_question_write(&q, q.id, out);
	CHECK(zg_dns_question_read(&again, out, n) == 0);
	CHECK(again.wire_len == q.wire_len); /* asked in lower case */
	for (size_t i = 0; i < q.wire_len; i++)
		CHECK(again.wire[i] == tolower(q.wire[i]));
	CHECK(strcmp(again.name, q.name) == 0 && again.odd == q.odd);
	answer(&q, bytes + 1 + len, size - 1 - len);
	return 0;
}
