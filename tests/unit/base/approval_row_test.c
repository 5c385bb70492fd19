/* SPDX-License-Identifier: Apache-2.0 */
/* approval_row_test.c - rows of a list: what comes out is what went in, whatever its
 * length; a broken message is refused, not read past its end. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "approval_row.h"

/* All texts n characters long, or as many as they hold. */
static struct zg_msg_ctl_approval sample(size_t n, char c)
{
	struct zg_msg_ctl_approval a = {.state = ZG_AS_DENIED,
					.approver_uid = 1,
					.created_ms = 2,
					.decided_ms = 3,
					.expires_ms = UINT64_MAX,
					.principal = {.cgroup_id = 5,
						      .start_ns = 6,
						      .pid = 7,
						      .uid = 8,
						      .gid = 9,
						      .profile_id = 10},
					.args_bytes = 11,
					.approvers = 12,
					.agreed = 13,
					.action = 1,
					.break_glass = 1,
					.change = 14};
#define FILL(field) memset(a.field, c, n < sizeof(a.field) ? n : sizeof(a.field) - 1)
	FILL(approval);
	FILL(principal.profile);
	FILL(principal.cgroup);
	FILL(principal.comm);
	FILL(server);
	FILL(method);
	FILL(tool);
	FILL(rules);
	FILL(risk_tags);
	FILL(reason);
	FILL(outcome);
	memset(a.args_sha256, 15, 32);
	memset(a.snapshot, 16, 32);
	memset(a.definition_sha256, 17, 32);
	return a;
}

static void rows_come_out_as_they_went_in(void **state)
{
	static const size_t lengths[] = {0, 1, 12, 100, 100000};
	struct zg_msg_ctl_approval_rows m = {0};
	struct zg_msg_ctl_approval a, out;
	size_t at = 0;

	(void)state;
	for (size_t i = 0; i < 5; i++) {
		a = sample(lengths[i], (char)('a' + i));
		assert_true(zg_approval_rows_add(&m, &a));
	}
	assert_int_equal(m.count, 5);
	for (size_t i = 0; i < 5; i++) {
		a = sample(lengths[i], (char)('a' + i));
		assert_int_equal(zg_approval_rows_next(&m, &at, &out), 1);
		assert_memory_equal(&a, &out, sizeof(a));
	}
	assert_int_equal(zg_approval_rows_next(&m, &at, &out), 0);
}

static void what_only_show_tells_stays_behind(void **state)
{
	struct zg_msg_ctl_approval_rows m = {0};
	struct zg_msg_ctl_approval a = sample(3, 'x'), out;
	size_t at = 0;

	(void)state;
	memset(a.args_text, 's', sizeof(a.args_text) - 1);
	memset(a.why, 's', sizeof(a.why) - 1);
	assert_true(zg_approval_rows_add(&m, &a));
	assert_int_equal(zg_approval_rows_next(&m, &at, &out), 1);
	assert_string_equal(out.args_text, "");
	assert_string_equal(out.why, "");
	assert_null(memchr(m.row, 's', sizeof(m.row)));
}

/* A row that finds no room leaves the message as it was. */
static void a_full_message_takes_no_more(void **state)
{
	struct zg_msg_ctl_approval_rows m = {0}, before;
	const struct zg_msg_ctl_approval a = sample(12, 'x');
	struct zg_msg_ctl_approval out;
	size_t at = 0, n = 0;

	(void)state;
	do
		before = m;
	while (zg_approval_rows_add(&m, &a));
	assert_int_equal(m.count, before.count);
	assert_int_equal(m.bytes, before.bytes);
	assert_true(m.count >= 30); /* what makes a list of 10,000 cheap */
	while (zg_approval_rows_next(&m, &at, &out) == 1) {
		assert_memory_equal(&a, &out, sizeof(a));
		n++;
	}
	assert_int_equal(n, m.count);
}

static void broken_messages_are_refused(void **state)
{
	const struct zg_msg_ctl_approval a = sample(40, 'x');
	struct zg_msg_ctl_approval_rows good = {0}, m;
	struct zg_msg_ctl_approval out;
	size_t at;
	int rc;

	(void)state;
	assert_true(zg_approval_rows_add(&good, &a));
	for (uint32_t n = 1; n < good.bytes; n++) { /* cut at every byte */
		m = good;
		m.bytes = n;
		at = 0;
		assert_int_equal(zg_approval_rows_next(&m, &at, &out), -EPROTO);
		assert_int_equal(at, 0);
	}
	m = good;
	m.bytes = sizeof(m.row) + 1;
	at = 0;
	assert_int_equal(zg_approval_rows_next(&m, &at, &out), -EPROTO);
	for (size_t i = 0; i < good.bytes; i++) { /* any length may stand there */
		m = good;
		m.row[i] ^= 0xff;
		at = 0;
		while ((rc = zg_approval_rows_next(&m, &at, &out)) == 1)
			assert_true(at <= m.bytes);
		assert_true(rc == 0 || rc == -EPROTO);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rows_come_out_as_they_went_in),
		cmocka_unit_test(what_only_show_tells_stays_behind),
		cmocka_unit_test(a_full_message_takes_no_more),
		cmocka_unit_test(broken_messages_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
