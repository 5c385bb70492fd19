/* SPDX-License-Identifier: Apache-2.0 */
/*
 * prefix_diff_test.c - random tables over a small address space, and a shared
 * table that is taken from one to the other change by change: after every
 * single write, the generation in force must resolve every address as its own
 * table does.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "prefix_diff.h"

#define SPACE  256 /* addresses: eight bits of them */
#define TABLE  40
#define SHARED 128
#define ROUNDS 2000

struct shared {
	struct {
		struct zg_addr_key key;
		uint32_t identity[2];
	} entry[SHARED];
	size_t count;
};

static uint32_t window; /* the bit at which those eight begin */

static void set_byte(uint8_t addr[16], uint32_t byte)
{
	uint32_t two = byte << (8 - window % 8);

	addr[window / 8] = (uint8_t)(two >> 8);
	if (window % 8)
		addr[window / 8 + 1] = (uint8_t)two;
}

static uint32_t get_byte(const uint8_t addr[16])
{
	uint32_t two = (uint32_t)addr[window / 8] << 8;

	if (window % 8)
		two |= addr[window / 8 + 1];
	return two >> (8 - window % 8) & 0xff;
}

static int order(const void *a, const void *b)
{
	return zg_prefix_order(a, b);
}

static size_t random_table(struct zg_prefix_def *table)
{
	size_t n = (size_t)rand() % TABLE, kept = 0;

	for (size_t i = 0; i < n; i++) {
		uint32_t len = (uint32_t)rand() % 9;

		table[i] = (struct zg_prefix_def){.prefixlen = window + len,
						  .identity = 1 + (uint32_t)rand() % 4};
		set_byte(table[i].addr, (uint32_t)rand() & (0xff00 >> len) & 0xff);
	}
	qsort(table, n, sizeof(*table), order);
	for (size_t i = 0; i < n; i++)
		if (!kept || zg_prefix_order(&table[kept - 1], &table[i]) != 0)
			table[kept++] = table[i];
	return kept;
}

static int covers(const uint8_t addr[16], uint32_t len, unsigned int address)
{
	return ((get_byte(addr) ^ address) & (0xff00 >> (len - window)) & 0xff) == 0;
}

static uint32_t table_resolve(const struct zg_prefix_def *t, size_t n, unsigned int address)
{
	uint32_t identity = 0, best = 0;

	for (size_t i = 0; i < n; i++)
		if (covers(t[i].addr, t[i].prefixlen, address) && t[i].prefixlen + 1 > best) {
			best = t[i].prefixlen + 1;
			identity = t[i].identity;
		}
	return identity;
}

static uint32_t shared_resolve(const struct shared *s, int slot, unsigned int address)
{
	uint32_t identity = 0, best = 0;

	for (size_t i = 0; i < s->count; i++)
		if (covers(s->entry[i].key.addr, s->entry[i].key.prefixlen, address) &&
		    s->entry[i].key.prefixlen + 1 > best) {
			best = s->entry[i].key.prefixlen + 1;
			identity = s->entry[i].identity[slot];
		}
	return identity;
}

static void shared_put(struct shared *s, const struct zg_addr_key *key, uint32_t a, uint32_t b)
{
	size_t i = 0;

	while (i < s->count && memcmp(&s->entry[i].key, key, sizeof(*key)) != 0)
		i++;
	assert_true(i < SHARED);
	if (i == s->count)
		s->count++;
	s->entry[i].key = *key;
	s->entry[i].identity[0] = a;
	s->entry[i].identity[1] = b;
}

static void shared_delete(struct shared *s, const struct zg_addr_key *key)
{
	for (size_t i = 0; i < s->count; i++)
		if (memcmp(&s->entry[i].key, key, sizeof(*key)) == 0) {
			s->entry[i] = s->entry[--s->count];
			return;
		}
	fail_msg("a prefix that is to be deleted is not there");
}

static void check(const struct shared *s, int slot, const struct zg_prefix_def *t, size_t n)
{
	for (unsigned int address = 0; address < SPACE; address++)
		assert_int_equal(shared_resolve(s, slot, address), table_resolve(t, n, address));
}

static void shuffle(struct zg_prefix_change *c, size_t n)
{
	for (size_t i = n; i > 1; i--) {
		size_t j = (size_t)rand() % i;
		struct zg_prefix_change t = c[i - 1];

		c[i - 1] = c[j];
		c[j] = t;
	}
}

static void one_round(void)
{
	struct zg_prefix_def old[TABLE], new[TABLE];
	size_t old_count = random_table(old), new_count = random_table(new), count;
	struct zg_prefix_change *c;
	struct shared s = {0};

	assert_int_equal(zg_prefix_check(old, old_count), 0);
	for (size_t i = 0; i < old_count; i++) {
		struct zg_addr_key key = {.prefixlen = old[i].prefixlen};

		memcpy(key.addr, old[i].addr, sizeof(key.addr));
		shared_put(&s, &key, old[i].identity, old[i].identity);
	}
	assert_int_equal(zg_prefix_diff(old, old_count, new, new_count, &c, &count), 0);
	shuffle(c, count);
	for (size_t i = 0; i < count; i++) {
		shared_put(&s, &c[i].key, c[i].old_identity, c[i].new_identity);
		check(&s, 0, old, old_count);
	}
	check(&s, 1, new, new_count); /* the flip */
	shuffle(c, count);
	for (size_t i = 0; i < count; i++) {
		if (c[i].in_new)
			shared_put(&s, &c[i].key, c[i].new_identity, c[i].new_identity);
		else
			shared_delete(&s, &c[i].key);
		check(&s, 1, new, new_count);
	}
	assert_int_equal(s.count, new_count);
	check(&s, 0, new, new_count);
	free(c);
}

static void test_every_write_keeps_both_views(void **state ZG_UNUSED)
{
	static const uint32_t windows[] = {0, 60, 64, 120};

	srand(20251);
	for (size_t w = 0; w < sizeof(windows) / sizeof(windows[0]); w++) {
		window = windows[w];
		for (int i = 0; i < ROUNDS / 4; i++)
			one_round();
	}
	window = 0;
}

static void test_nothing_to_do(void **state ZG_UNUSED)
{
	struct zg_prefix_def t[TABLE];
	struct zg_prefix_change *c;
	size_t n = random_table(t), count;

	assert_int_equal(zg_prefix_diff(t, n, t, n, &c, &count), 0);
	assert_int_equal(count, 0);
	assert_null(c);
}

static void test_check(void **state ZG_UNUSED)
{
	const struct zg_prefix_def unmasked = {.addr = {0x7f, 1}, .prefixlen = 8};
	const struct zg_prefix_def part = {.addr = {0x7f, 0x81}, .prefixlen = 15};
	const struct zg_prefix_def too_long = {.prefixlen = 129};
	const struct zg_prefix_def half = {.addr = {[8] = 0x80}, .prefixlen = 64};
	const struct zg_prefix_def last = {.addr = {[15] = 0x01}, .prefixlen = 127};
	const struct zg_prefix_def fits = {.addr = {[8] = 0x80}, .prefixlen = 65};
	const struct zg_prefix_def whole = {.addr = {0x7f, 1, [15] = 0xff}, .prefixlen = 128};
	const struct zg_prefix_def twice[2] = {whole, whole};
	const struct zg_prefix_def down[2] = {whole, {.addr = {0x7f}, .prefixlen = 8}};
	const struct zg_prefix_def up[2] = {{.addr = {0x7f}, .prefixlen = 8}, whole};

	assert_int_equal(zg_prefix_check(&unmasked, 1), -EBADMSG);
	assert_int_equal(zg_prefix_check(&part, 1), -EBADMSG);
	assert_int_equal(zg_prefix_check(&too_long, 1), -EBADMSG);
	assert_int_equal(zg_prefix_check(&half, 1), -EBADMSG);
	assert_int_equal(zg_prefix_check(&last, 1), -EBADMSG);
	assert_int_equal(zg_prefix_check(&fits, 1), 0);
	assert_int_equal(zg_prefix_check(twice, 2), -EBADMSG);
	assert_int_equal(zg_prefix_check(down, 2), -EBADMSG);
	assert_int_equal(zg_prefix_check(&whole, 1), 0);
	assert_int_equal(zg_prefix_check(up, 2), 0);
	assert_int_equal(zg_prefix_check(NULL, 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_write_keeps_both_views),
		cmocka_unit_test(test_nothing_to_do),
		cmocka_unit_test(test_check),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
