/* SPDX-License-Identifier: Apache-2.0 */
/*
 * journal_test.c - what journald gets, byte for byte by its native protocol,
 * and what becomes of the ledger when nobody takes it.
 */
#include <endian.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cmocka.h>

#include "journal.h"

struct here {
	char path[64];
	int sock;
	struct zg_journal journal;
};

static int listening(const char *path)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	int sock = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	(void)snprintf(at.sun_path, sizeof(at.sun_path), "%s", path);
	(void)unlink(path);
	assert_true(sock >= 0);
	assert_int_equal(bind(sock, (struct sockaddr *)&at, sizeof(at)), 0);
	return sock;
}

static int setup(void **state)
{
	static struct here h;

	(void)snprintf(h.path, sizeof(h.path), "/tmp/zg-journal.%d", (int)getpid());
	h.sock = listening(h.path);
	assert_int_equal(zg_journal_init(&h.journal, h.path), 0);
	*state = &h;
	return 0;
}

static int teardown(void **state)
{
	struct here *h = *state;

	zg_journal_release(&h->journal);
	if (h->sock >= 0)
		(void)close(h->sock);
	(void)unlink(h->path);
	return 0;
}

/* The value of a field as a journal would read the datagram; NULL = not there. */
static char *value_of(const char *bytes, size_t n, const char *name)
{
	static char out[1024];
	size_t at = 0;
	char *found = NULL;

	while (at < n) {
		size_t len = strcspn(bytes + at, "=\n");
		bool here = strlen(name) == len && memcmp(bytes + at, name, len) == 0;
		const char *value = bytes + at + len + 1;
		uint64_t size;

		if (bytes[at + len] == '=') {
			size = strcspn(value, "\n");
			at += len + 1 + size + 1;
		} else {
			memcpy(&size, value, sizeof(size));
			size = le64toh(size);
			value += sizeof(size);
			at += len + 1 + sizeof(size) + size + 1;
		}
		assert_true(at <= n && bytes[at - 1] == '\n' && size < sizeof(out));
		if (here) {
			assert_null(found); /* no field twice */
			memcpy(out, value, size);
			out[size] = '\0';
			found = out;
		}
	}
	return found;
}

static void a_record_becomes_fields(void **state)
{
	struct here *h = *state;
	struct zg_record r;
	char bytes[65536];
	uint8_t digest[32] = {0xab};
	ssize_t n;

	zg_record_init(&r, ZG_RK_CALL_DENY);
	zg_record_str(&r, ZG_RF_message, ZG_SLICE("refused"));
	zg_record_str(&r, ZG_RF_tool, ZG_SLICE("x\nZG_KIND=approval.approve\nPRIORITY=0"));
	zg_record_bytes(&r, ZG_RF_args_sha256, digest);
	ZG_REC_NUM(&r, uid, 1000);
	assert_true(zg_journal_send(&h->journal, &r, 42));
	n = recv(h->sock, bytes, sizeof(bytes) - 1, 0);
	assert_true(n > 0);
	bytes[n] = '\0';
	assert_string_equal(value_of(bytes, (size_t)n, "MESSAGE"), "refused");
	assert_string_equal(value_of(bytes, (size_t)n, "MESSAGE_ID"),
			    "5d0c3a5b2a6f4c0f9b5c5e1d0f3a710a");
	assert_string_equal(value_of(bytes, (size_t)n, "PRIORITY"), "4");
	assert_string_equal(value_of(bytes, (size_t)n, "SYSLOG_IDENTIFIER"), "zerogate");
	assert_string_equal(value_of(bytes, (size_t)n, "ZG_KIND"), "call.deny");
	assert_string_equal(value_of(bytes, (size_t)n, "ZG_SEQ"), "42");
	assert_string_equal(value_of(bytes, (size_t)n, "ZG_UID"), "1000");
	assert_memory_equal(value_of(bytes, (size_t)n, "ZG_ARGS_SHA256"), "ab000000", 8);
	/* a text cannot become a field of its own */
	assert_string_equal(value_of(bytes, (size_t)n, "ZG_TOOL"),
			    "x\nZG_KIND=approval.approve\nPRIORITY=0");
	assert_null(value_of(bytes, (size_t)n, "ZG_SERVER"));
}

static void a_restarted_journald_is_found_again(void **state)
{
	struct here *h = *state;
	struct zg_record r;
	char bytes[65536];

	zg_record_init(&r, ZG_RK_CALL_DENY);
	assert_true(zg_journal_send(&h->journal, &r, 1));
	(void)close(h->sock);
	h->sock = listening(h->path);
	assert_true(zg_journal_send(&h->journal, &r, 2));
	assert_true(recv(h->sock, bytes, sizeof(bytes), 0) > 0);
	assert_int_equal(h->journal.lost, 0);
}

/* How often this process has gone to sleep, which a busy machine does not change. */
static long sleeps(void)
{
	struct rusage u;

	assert_int_equal(getrusage(RUSAGE_SELF, &u), 0);
	return u.ru_nvcsw;
}

/* Nobody reads: the first record that does not fit waits a little, the rest not. */
static void a_stuck_journald_costs_bounded_time(void **state)
{
	struct here *h = *state;
	long before = sleeps();
	struct zg_record r;

	zg_record_init(&r, ZG_RK_CALL_DENY);
	for (uint64_t n = 1; n <= 5000; n++)
		(void)zg_journal_send(&h->journal, &r, n);
	assert_true(h->journal.lost > 1000);
	assert_in_range(sleeps() - before, 1, 100);
}

static void no_journald_is_counted(void **state)
{
	struct here *h = *state;
	struct zg_record r;

	(void)close(h->sock);
	h->sock = -1;
	(void)unlink(h->path);
	zg_record_init(&r, ZG_RK_CALL_DENY);
	assert_false(zg_journal_send(&h->journal, &r, 1));
	assert_false(zg_journal_send(&h->journal, &r, 2));
	assert_int_equal(h->journal.lost, 2);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(a_record_becomes_fields),
		T(a_restarted_journald_is_found_again),
		T(a_stuck_journald_costs_bounded_time),
		T(no_journald_is_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
