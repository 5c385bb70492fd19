/* SPDX-License-Identifier: Apache-2.0 */
/* secrets_test.c - a bundle comes back as it was written; a broken one is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "secrets.h"

static int make(void)
{
	struct zg_secrets_draft d;
	int fd;

	zg_secrets_draft_init(&d);
	zg_secrets_add(&d, ZG_SK_AUTHORIZATION, ZG_SLICE("github"), ZG_SLICE("Bearer a"));
	zg_secrets_add(&d, ZG_SK_HEADER, ZG_SLICE("github"), ZG_SLICE("X-One: 1"));
	zg_secrets_add(&d, ZG_SK_HEADER, ZG_SLICE("jira"), ZG_SLICE("X-Other: 2"));
	zg_secrets_add(&d, ZG_SK_HEADER, ZG_SLICE("github"), ZG_SLICE("X-Two: 2"));
	fd = zg_secrets_make(&d);
	zg_secrets_draft_release(&d);
	return fd;
}

static void test_found_by_kind_name_and_number(void **state)
{
	struct zg_secrets s;
	int fd = make();

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(zg_secrets_open(&s, fd), 0);
	close(fd);
	assert_true(zg_slice_eq(zg_secrets_find(&s, ZG_SK_AUTHORIZATION, ZG_SLICE("github"), 0),
				ZG_SLICE("Bearer a")));
	assert_true(zg_slice_eq(zg_secrets_find(&s, ZG_SK_HEADER, ZG_SLICE("github"), 1),
				ZG_SLICE("X-Two: 2")));
	assert_null(zg_secrets_find(&s, ZG_SK_HEADER, ZG_SLICE("github"), 2).ptr);
	assert_null(zg_secrets_find(&s, ZG_SK_AUTHORIZATION, ZG_SLICE("jira"), 0).ptr);
	zg_secrets_close(&s);
}

static void test_too_much_is_an_error(void **state)
{
	static char big[ZG_SECRETS_BYTES + 1];
	struct zg_secrets_draft d;

	(void)state;
	zg_secrets_draft_init(&d);
	zg_secrets_add(&d, ZG_SK_CA_BUNDLE, ZG_SLICE(""), (struct zg_slice){big, sizeof(big)});
	assert_int_equal(zg_secrets_make(&d), -EFBIG);
	zg_secrets_draft_release(&d);
}

/* A copy with one word changed, sealed or not. */
static int forged(size_t at, uint64_t value, size_t n, bool seal)
{
	int fd = memfd_create("forged", MFD_ALLOW_SEALING | MFD_CLOEXEC), from = make();
	char bytes[8192];
	ssize_t len = pread(from, bytes, sizeof(bytes), 0);

	assert_true(len > 0 && at + n <= (size_t)len);
	memcpy(bytes + at, &value, n);
	assert_int_equal(write(fd, bytes, (size_t)len), len);
	if (seal)
		assert_int_equal(fcntl(fd, F_ADD_SEALS,
				       F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL),
				 0);
	close(from);
	return fd;
}

static void test_broken_bundles_are_refused(void **state)
{
	const size_t entry = sizeof(struct zg_secrets_header);
	const struct {
		size_t at;
		uint64_t value;
		size_t bytes;
	} wrong[] = {
		{offsetof(struct zg_secrets_header, magic), 1, 4},
		{offsetof(struct zg_secrets_header, count), 0xffffffff, 4},
		{offsetof(struct zg_secrets_header, count), 4096, 4},
		{offsetof(struct zg_secrets_header, bytes), 1, 8},
		{entry + offsetof(struct zg_secret, kind), 0, 4},
		{entry + offsetof(struct zg_secret, kind), ZG_SK_MAX, 4},
		{entry + offsetof(struct zg_secret, bytes), 1 << 20, 4},
		{entry + offsetof(struct zg_secret, offset), 0, 8},
		{entry + offsetof(struct zg_secret, offset), UINT64_MAX - 2, 8},
	};
	struct zg_secrets s;

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		int fd = forged(wrong[i].at, wrong[i].value, wrong[i].bytes, true);

		assert_int_equal(zg_secrets_open(&s, fd), -EBADMSG);
		close(fd);
	}
	/* whole, but its writer could still change it */
	int fd = forged(0, ZG_SECRETS_MAGIC, 4, false);

	assert_int_equal(zg_secrets_open(&s, fd), -EBADMSG);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_found_by_kind_name_and_number),
		cmocka_unit_test(test_too_much_is_an_error),
		cmocka_unit_test(test_broken_bundles_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
