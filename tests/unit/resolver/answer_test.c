/* SPDX-License-Identifier: Apache-2.0 */
/* answer_test.c - what is taken from a server's message, and what is told of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "answer.h"

#define ID 0x4711

struct message {
	uint8_t bytes[4096];
	size_t len;
};

static void put(struct message *m, const void *bytes, size_t n)
{
	assert_true(m->len + n <= sizeof(m->bytes));
	memcpy(m->bytes + m->len, bytes, n);
	m->len += n;
}

static void put_name(struct message *m, const char *name)
{
	while (*name) {
		size_t n = strcspn(name, ".");
		uint8_t len = (uint8_t)n;

		put(m, &len, 1);
		put(m, name, n);
		name += n + (name[n] == '.');
	}
	put(m, "", 1);
}

static void begin(struct message *m, const char *name, uint8_t type, uint8_t rcode)
{
	const uint8_t head[] = {ID >> 8, ID & 0xff, 0x81, (uint8_t)(0x80 | rcode), 0, 1};
	const uint8_t tail[] = {0, type, 0, 1};

	m->len = 0;
	put(m, head, sizeof(head));
	put(m, "\0\0\0\0\0\0", 6);
	put_name(m, name);
	put(m, tail, sizeof(tail));
}

/* count: the header's 7 for answers, 9 for authority */
static void put_record(struct message *m, uint8_t count, const char *owner, uint8_t type,
		       uint32_t ttl, const void *data, size_t bytes)
{
	const uint8_t fixed[] = {0,
				 type,
				 0,
				 1,
				 (uint8_t)(ttl >> 24),
				 (uint8_t)(ttl >> 16),
				 (uint8_t)(ttl >> 8),
				 (uint8_t)ttl,
				 (uint8_t)(bytes >> 8),
				 (uint8_t)bytes};

	put_name(m, owner);
	put(m, fixed, sizeof(fixed));
	put(m, data, bytes);
	m->bytes[count]++;
}

static void put_a(struct message *m, const char *owner, uint32_t ttl, uint8_t last)
{
	const uint8_t addr[] = {192, 0, 2, last};

	put_record(m, 7, owner, ZG_DNS_A, ttl, addr, sizeof(addr));
}

static void put_alias(struct message *m, const char *owner, uint32_t ttl, const char *to)
{
	struct message name = {0};

	put_name(&name, to);
	put_record(m, 7, owner, 5, ttl, name.bytes, name.len);
}

static void put_soa(struct message *m, const char *owner)
{
	struct message data = {0};

	put_name(&data, "ns.example");
	put_name(&data, "root.example");
	put(&data, "\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\1", 20);
	put_record(m, 9, owner, 6, 30, data.bytes, data.len);
}

static struct zg_dns_question question(const char *name, uint8_t type)
{
	const uint8_t head[] = {0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0};
	const uint8_t tail[] = {0, type, 0, 1};
	struct zg_dns_question q;
	struct message m = {0};

	put(&m, head, sizeof(head));
	put_name(&m, name);
	put(&m, tail, sizeof(tail));
	assert_int_equal(zg_dns_question_read(&q, m.bytes, m.len), 0);
	return q;
}

static struct zg_found read_it(const struct message *m, const struct zg_dns_question *q)
{
	struct zg_found f;

	zg_found_read(&f, q, ID, m->bytes, m->len);
	return f;
}

static void only_the_chain_is_taken(void **state)
{
	struct zg_dns_question q = question("api.example", ZG_DNS_A);
	struct message m;
	struct zg_found f;

	(void)state;
	begin(&m, "api.example", ZG_DNS_A, 0);
	put_a(&m, "evil.example", 60, 66);
	put_a(&m, "two.cdn.example", 90, 2);
	put_alias(&m, "one.cdn.example", 40, "TWO.cdn.example");
	put_alias(&m, "API.example", 300, "one.cdn.example");
	put_alias(&m, "evil.example", 1, "api.example");
	f = read_it(&m, &q);
	assert_int_equal(f.kind, ZG_FOUND_ADDRESSES);
	assert_int_equal(f.count, 1);
	assert_int_equal(f.addr[0][15], 2);
	assert_int_equal(f.addr[0][10], 0xff); /* v4-mapped */
	assert_int_equal(f.chained, 2);
	assert_int_equal(f.ttl, 40);
	zg_found_release(&f);
}

static void chain_of(struct message *m, int links)
{
	char owner[32], to[32];

	begin(m, "c0.example", ZG_DNS_A, 0);
	for (int i = 0; i < links; i++) {
		(void)snprintf(owner, sizeof(owner), "c%d.example", i);
		(void)snprintf(to, sizeof(to), "c%d.example", i + 1);
		put_alias(m, owner, 60, to);
	}
	(void)snprintf(owner, sizeof(owner), "c%d.example", links);
	put_a(m, owner, 60, 1);
}

static void a_chain_is_bounded(void **state)
{
	struct zg_dns_question q = question("c0.example", ZG_DNS_A);
	struct message m;
	struct zg_found f;

	(void)state;
	chain_of(&m, ZG_DNS_CHAIN_MAX);
	f = read_it(&m, &q);
	assert_int_equal(f.kind, ZG_FOUND_ADDRESSES);
	zg_found_release(&f);
	chain_of(&m, ZG_DNS_CHAIN_MAX + 1);
	f = read_it(&m, &q);
	assert_int_equal(f.kind, ZG_FOUND_FAILED);
	zg_found_release(&f);
	begin(&m, "c0.example", ZG_DNS_A, 0);
	put_alias(&m, "c0.example", 60, "c0.example");
	f = read_it(&m, &q);
	assert_int_equal(f.kind, ZG_FOUND_FAILED);
	zg_found_release(&f);
}

static void what_does_not_fit_the_question_is_no_answer(void **state)
{
	struct zg_dns_question q = question("api.example", ZG_DNS_A);
	struct message good, m;
	struct zg_found f;

	(void)state;
	begin(&good, "api.example", ZG_DNS_A, 0);
	put_a(&good, "api.example", 60, 1);
	for (int i = 0; i < 5; i++) {
		m = good;
		if (i == 0)
			m.bytes[1] ^= 1; /* id */
		else if (i == 1)
			m.bytes[2] = 0x01; /* a question */
		else if (i == 2)
			begin(&m, "other.example", ZG_DNS_A, 0);
		else if (i == 3)
			begin(&m, "api.example", ZG_DNS_AAAA, 0);
		else
			m.len -= 2; /* cut */
		f = read_it(&m, &q);
		if (f.kind != ZG_FOUND_WRONG)
			fail_msg("case %d: %d", i, f.kind);
		zg_found_release(&f);
	}
}

static void kinds_of_messages(void **state)
{
	struct zg_dns_question q = question("api.example", ZG_DNS_A);
	struct message m;
	struct zg_found f;

	(void)state;
	begin(&m, "api.example", ZG_DNS_A, ZG_DNS_NXDOMAIN);
	put_soa(&m, "example");
	f = read_it(&m, &q);
	assert_int_equal(f.kind, ZG_FOUND_NOTHING);
	assert_int_equal(f.rcode, ZG_DNS_NXDOMAIN);
	assert_non_null(f.soa);
	zg_found_release(&f);
	begin(&m, "api.example", ZG_DNS_A, 0);
	put_soa(&m, "elsewhere");
	f = read_it(&m, &q);
	assert_int_equal(f.kind, ZG_FOUND_NOTHING);
	assert_int_equal(f.rcode, ZG_DNS_NOERROR);
	assert_null(f.soa); /* not a zone of the name */
	zg_found_release(&f);
	begin(&m, "api.example", ZG_DNS_A, ZG_DNS_SERVFAIL);
	f = read_it(&m, &q);
	assert_int_equal(f.kind, ZG_FOUND_FAILED);
	zg_found_release(&f);
	begin(&m, "api.example", ZG_DNS_A, 0);
	m.bytes[2] |= 0x02;
	f = read_it(&m, &q);
	assert_int_equal(f.kind, ZG_FOUND_TRUNCATED);
	zg_found_release(&f);
}

static void an_answer_has_what_is_held_and_fits(void **state)
{
	struct zg_dns_question q = question("api.example", ZG_DNS_A);
	struct message m, told = {0};
	struct zg_found f, again;
	uint8_t *wire;
	size_t len;

	(void)state;
	begin(&m, "api.example", ZG_DNS_A, 0);
	for (uint8_t i = 0; i < 40; i++)
		put_a(&m, "api.example", 7200, i);
	f = read_it(&m, &q);
	assert_int_equal(f.count, ZG_DNS_ADDRESSES_MAX);
	assert_int_equal(zg_answer_build(&q, ZG_DNS_NOERROR, &f, 0x5, false, 512, &wire, &len), 0);
	put(&told, wire, len);
	free(wire);
	told.bytes[0] = ID >> 8;
	told.bytes[1] = ID & 0xff;
	again = read_it(&told, &q);
	assert_int_equal(again.count, 2);
	assert_int_equal(again.addr[0][15], 0);
	assert_int_equal(again.addr[1][15], 2);
	assert_int_equal(again.ttl, ZG_DNS_TTL_MAX_SEC);
	zg_found_release(&again);
	/* all of them do not fit 512 bytes: none is told */
	assert_int_equal(
		zg_answer_build(&q, ZG_DNS_NOERROR, &f, UINT32_MAX, false, 512, &wire, &len), 0);
	assert_true(len <= 512 && (wire[2] & 0x02) && wire[7] == 0);
	free(wire);
	zg_found_release(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_the_chain_is_taken),
		cmocka_unit_test(a_chain_is_bounded),
		cmocka_unit_test(what_does_not_fit_the_question_is_no_answer),
		cmocka_unit_test(kinds_of_messages),
		cmocka_unit_test(an_answer_has_what_is_held_and_fits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
