/* SPDX-License-Identifier: Apache-2.0 */
/* seal_test.c - what a token is worth in other hands, damaged, late, or where
 * it does not belong. */
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include <errno.h>

#include "seal.h"

#define NOW 1000000
#define TTL 60

static struct zg_seal_keys keys;
static struct zg_principal alice = {.uid = 1000, .profile = "agent", .cgroup = "slice/run-1"};
static struct zg_buf plain = {.max = 2 * ZG_SEAL_PAYLOAD}, token = {.max = 2 * ZG_SEAL_PAYLOAD};
static struct zg_sealed opened;

static struct zg_seal_owner owner_of(const char *server, const struct zg_principal *p)
{
	return (struct zg_seal_owner){zg_slice_str(server), p};
}

static int setup(void **state)
{
	struct zg_seal_owner o = owner_of("github", &alice);

	(void)state;
	zg_seal_keys(&keys, ZG_SLICE("0123456789abcdef0123456789abcdef"));
	zg_buf_reset(&token);
	return zg_seal(&keys, ZG_SEAL_SESSION, &o, NOW, TTL, ZG_SLICE("from-server"), &token);
}

static int teardown(void **state)
{
	(void)state;
	zg_buf_release(&token);
	zg_buf_release(&plain);
	plain.max = token.max = 2 * ZG_SEAL_PAYLOAD;
	return 0;
}

static enum zg_seal_verdict open_as(enum zg_seal_purpose purpose, const char *server,
				    const struct zg_principal *p, uint64_t now)
{
	struct zg_seal_owner o = owner_of(server, p);

	return zg_seal_open(&keys, purpose, &o, now, TTL, zg_buf_slice(&token), &plain, &opened);
}

static enum zg_seal_verdict open_slice(struct zg_slice text)
{
	struct zg_seal_owner o = owner_of("github", &alice);

	return zg_seal_open(&keys, ZG_SEAL_SESSION, &o, NOW, TTL, text, &plain, &opened);
}

static void test_round_trip(void **state)
{
	struct zg_seal_owner o = owner_of("github", &alice);
	zg_autobuf again = ZG_BUF(4096);
	uint8_t first[ZG_SEAL_ID_BYTES];

	(void)state;
	for (size_t i = 0; i < token.len; i++)
		assert_true(token.ptr[i] > 0x20 && token.ptr[i] < 0x7f);
	assert_int_equal(open_as(ZG_SEAL_SESSION, "github", &alice, NOW), ZG_SEAL_OPEN);
	assert_true(zg_slice_eq(opened.payload, ZG_SLICE("from-server")));
	assert_int_equal(opened.expires, NOW + TTL);
	memcpy(first, opened.id, sizeof(first));
	/* the same content twice: neither the text nor the number repeats */
	assert_int_equal(
		zg_seal(&keys, ZG_SEAL_SESSION, &o, NOW, TTL, ZG_SLICE("from-server"), &again), 0);
	assert_false(zg_slice_eq(zg_buf_slice(&again), zg_buf_slice(&token)));
	assert_int_equal(open_slice(zg_buf_slice(&again)), ZG_SEAL_OPEN);
	assert_memory_not_equal(first, opened.id, sizeof(first));
}

static void test_sizes(void **state)
{
	struct zg_seal_owner o = owner_of("github", &alice);
	zg_autobuf big = ZG_BUF(ZG_SEAL_PAYLOAD + 1);
	char *room = zg_buf_room(&big, ZG_SEAL_PAYLOAD + 1);

	(void)state;
	memset(room, 'x', ZG_SEAL_PAYLOAD + 1);
	for (size_t n = 0; n <= ZG_SEAL_PAYLOAD; n = n ? n * 4 : 1) {
		zg_buf_reset(&token);
		assert_int_equal(zg_seal(&keys, ZG_SEAL_SESSION, &o, NOW, TTL,
					 (struct zg_slice){room, n}, &token),
				 0);
		assert_int_equal(open_slice(zg_buf_slice(&token)), ZG_SEAL_OPEN);
		assert_int_equal(opened.payload.len, n);
	}
	assert_int_equal(zg_seal(&keys, ZG_SEAL_SESSION, &o, NOW, TTL,
				 (struct zg_slice){room, ZG_SEAL_PAYLOAD + 1}, &token),
			 -EFBIG);
}

static void test_theft(void **state)
{
	static const struct {
		const char *server;
		struct zg_principal p;
	} thieves[] = {
		{"github", {.uid = 1000, .profile = "agent", .cgroup = "slice/run-2"}},
		{"github", {.uid = 1000, .profile = "agent", .cgroup = "slice/run-1/below"}},
		{"github", {.uid = 1001, .profile = "agent", .cgroup = "slice/run-1"}},
		{"github", {.uid = 1000, .profile = "other", .cgroup = "slice/run-1"}},
		{"github", {.uid = 1000, .profile = "agents", .cgroup = "lice/run-1"}},
		{"gitlab", {.uid = 1000, .profile = "agent", .cgroup = "slice/run-1"}},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(thieves) / sizeof(thieves[0]); i++)
		assert_int_equal(open_as(ZG_SEAL_SESSION, thieves[i].server, &thieves[i].p, NOW),
				 ZG_SEAL_FOREIGN);
}

static void test_other_purpose_or_key(void **state)
{
	struct zg_seal_keys mine = keys;

	(void)state;
	for (int p = ZG_SEAL_SESSION + 1; p < ZG_SEAL_PURPOSES; p++)
		assert_int_equal(open_as((enum zg_seal_purpose)p, "github", &alice, NOW),
				 ZG_SEAL_TAMPERED);
	zg_seal_keys(&keys, ZG_SLICE("0123456789abcdef0123456789abcdeF"));
	assert_int_equal(open_as(ZG_SEAL_SESSION, "github", &alice, NOW), ZG_SEAL_TAMPERED);
	keys = mine;
	assert_int_equal(open_as(ZG_SEAL_SESSION, "github", &alice, NOW), ZG_SEAL_OPEN);
}

/* Each bit of the text, not of the bytes under it: what a client can change. */
static void test_every_bit(void **state)
{
	(void)state;
	for (size_t i = 0; i < token.len; i++)
		for (int bit = 0; bit < 8; bit++) {
			enum zg_seal_verdict v;

			token.ptr[i] ^= (char)(1 << bit);
			v = open_slice(zg_buf_slice(&token));
			assert_true(v == ZG_SEAL_MALFORMED || v == ZG_SEAL_TAMPERED);
			token.ptr[i] ^= (char)(1 << bit);
		}
}

static void test_every_length(void **state)
{
	zg_autobuf longer = ZG_BUF(4096);

	(void)state;
	for (size_t n = 0; n < token.len; n++)
		assert_int_not_equal(open_slice((struct zg_slice){token.ptr, n}), ZG_SEAL_OPEN);
	zg_buf_add(&longer, token.ptr, token.len);
	for (int i = 0; i < 8; i++) {
		zg_buf_char(&longer, 'A');
		assert_int_not_equal(open_slice(zg_buf_slice(&longer)), ZG_SEAL_OPEN);
	}
	assert_int_equal(open_slice((struct zg_slice){NULL, 0}), ZG_SEAL_MALFORMED);
}

static void test_time(void **state)
{
	(void)state;
	assert_int_equal(open_as(ZG_SEAL_SESSION, "github", &alice, NOW + TTL - 1), ZG_SEAL_OPEN);
	assert_int_equal(open_as(ZG_SEAL_SESSION, "github", &alice, NOW + TTL), ZG_SEAL_EXPIRED);
	assert_int_equal(open_as(ZG_SEAL_SESSION, "github", &alice, UINT64_MAX), ZG_SEAL_EXPIRED);
	/* the clock is set back: a little is borne, more expires the token */
	assert_int_equal(open_as(ZG_SEAL_SESSION, "github", &alice, NOW - ZG_SEAL_SKEW_SEC),
			 ZG_SEAL_OPEN);
	assert_int_equal(open_as(ZG_SEAL_SESSION, "github", &alice, NOW - ZG_SEAL_SKEW_SEC - 1),
			 ZG_SEAL_EXPIRED);
	assert_int_equal(open_as(ZG_SEAL_SESSION, "github", &alice, 0), ZG_SEAL_EXPIRED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_round_trip, setup, teardown),
		cmocka_unit_test_setup_teardown(test_sizes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_theft, setup, teardown),
		cmocka_unit_test_setup_teardown(test_other_purpose_or_key, setup, teardown),
		cmocka_unit_test_setup_teardown(test_every_bit, setup, teardown),
		cmocka_unit_test_setup_teardown(test_every_length, setup, teardown),
		cmocka_unit_test_setup_teardown(test_time, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
