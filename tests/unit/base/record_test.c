/* SPDX-License-Identifier: Apache-2.0 */
/* record_test.c - what may go into records and errors is cut, never lost or spilt. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "err.h"
#include "record.h"

/* journald fields and kinds are what people filter by: distinct, well-formed. */
static void names_are_fit_for_their_readers(void **state)
{
	(void)state;
	for (int i = 0; i < ZG_RF_MAX; i++) {
		const struct zg_record_column *c = &zg_record_columns[i];

		assert_memory_equal(c->journal, "ZG_", 3);
		assert_int_equal(strspn(c->journal, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_"),
				 strlen(c->journal));
		assert_int_equal(strspn(c->name, "abcdefghijklmnopqrstuvwxyz0123456789_"),
				 strlen(c->name));
		for (int k = 0; k < i; k++)
			assert_string_not_equal(c->journal, zg_record_columns[k].journal);
	}
	for (uint32_t i = 1; i < ZG_RK_MAX; i++) {
		assert_int_equal(strspn(zg_record_kind_id(i), "0123456789abcdef"), 32);
		assert_true(zg_record_kind_priority(i) <= 7);
		for (uint32_t k = 1; k < i; k++) {
			assert_string_not_equal(zg_record_kind_id(i), zg_record_kind_id(k));
			assert_string_not_equal(zg_record_kind_text(i), zg_record_kind_text(k));
		}
	}
	assert_null(zg_record_kind_text(ZG_RK_NONE));
	assert_null(zg_record_kind_text(ZG_RK_MAX));
	assert_null(zg_record_kind_id(UINT32_MAX));
}

static void every_text_is_cut_to_its_field(void **state)
{
	static char big[4096];
	struct zg_record r, before;

	(void)state;
	memset(big, 'x', sizeof(big) - 1);
	for (int f = 0; f < ZG_RF_MAX; f++) {
		const struct zg_record_column *c = &zg_record_columns[f];
		const char *field = (const char *)&r + c->offset;

		if (c->type != ZG_RT_STR)
			continue;
		zg_record_init(&r, ZG_RK_CALL_DENY);
		before = r;
		zg_record_str(&r, (enum zg_record_field)f, zg_slice_str(big));
		assert_true(ZG_REC_HAS_N(&r, f));
		assert_int_equal(r.present[f / 64], ZG_REC_BIT(f));
		assert_int_equal(r.present[1 - f / 64], 0);
		assert_int_equal(strnlen(field, c->bytes), c->bytes - 1);
		assert_string_equal(field + c->bytes - 4, "...");
		/* no byte outside the field changed */
		memset((char *)&r + c->offset, 0, c->bytes);
		r.present[0] = r.present[1] = 0;
		assert_memory_equal(&r, &before, sizeof(r));
	}
	zg_record_init(&r, ZG_RK_CALL_DENY);
	zg_record_str(&r, ZG_RF_tool, ZG_SLICE(""));
	assert_int_equal(r.present[0] | r.present[1], 0);
}

/* What a copy brings, and that nothing beyond the record is touched by a writer
 * that claims fields which do not exist and texts that do not end. */
static void copies_carry_what_is_set(void **state)
{
	struct zg_record from, to;

	(void)state;
	zg_record_init(&from, ZG_RK_CALL_DENY);
	zg_record_str(&from, ZG_RF_tool, ZG_SLICE("read_issue"));
	ZG_REC_NUM(&from, uid, 65533);
	ZG_REC_NUM(&from, received_bytes, UINT64_MAX);
	memset(from.snapshot, 0xab, sizeof(from.snapshot));
	ZG_REC_MARK(&from, snapshot);
	memset(&to, 'x', sizeof(to));
	zg_record_copy(&to, &from);
	assert_memory_equal(to.present, from.present, sizeof(to.present));
	assert_int_equal(to.kind, from.kind);
	assert_int_equal(to.time_ns, from.time_ns);
	assert_string_equal(to.tool, "read_issue");
	assert_int_equal(to.uid, 65533);
	assert_int_equal(to.received_bytes, UINT64_MAX);
	assert_memory_equal(to.snapshot, from.snapshot, sizeof(to.snapshot));
	assert_int_equal(to.server[0], 'x');

	memset(from.tool, 'y', sizeof(from.tool));
	memset(from.present, 0xff, sizeof(from.present));
	zg_record_copy(&to, &from);
	assert_int_equal(strnlen(to.tool, sizeof(to.tool)), sizeof(to.tool));
	assert_string_equal(to.server, "");
}

static void errors_say_where_and_what_next(void **state)
{
	static char big[4096];
	struct zg_err e;
	char text[200];

	(void)state;
	memset(big, 'x', sizeof(big) - 1);
	assert_int_equal(zg_err_at(&e, EINVAL, "a.yaml", 3, 7, "unknown key '%s'", "k"), -EINVAL);
	zg_err_hint(&e, "did you mean %s", "kind");
	assert_string_equal(zg_err_text(&e, text, sizeof(text)),
			    "a.yaml:3:7: unknown key 'k' (did you mean kind)");
	assert_int_equal(zg_err_set(&e, EIO, "%s", "plain"), -EIO);
	assert_string_equal(zg_err_text(&e, text, sizeof(text)), "plain");
	assert_int_equal(zg_err_at(&e, EIO, big, 1, 1, "%s", big), -EIO);
	assert_string_equal(e.what + sizeof(e.what) - 4, "...");
	assert_string_equal(e.file + sizeof(e.file) - 4, "...");
	assert_int_equal(strlen(zg_err_text(&e, text, sizeof(text))), sizeof(text) - 1);
	/* callers that do not care */
	assert_int_equal(zg_err_set(NULL, EPERM, "x"), -EPERM);
	zg_err_hint(NULL, "x");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_fit_for_their_readers),
		cmocka_unit_test(every_text_is_cut_to_its_field),
		cmocka_unit_test(copies_carry_what_is_set),
		cmocka_unit_test(errors_say_where_and_what_next),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
