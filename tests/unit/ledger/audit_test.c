/* SPDX-License-Identifier: Apache-2.0 */
/*
 * audit_test.c - the files of the audit log: what a crash leaves behind, what
 * rotation does, and that no change to them goes unnoticed.
 */
#include <dirent.h>

#include "audit.h"
#include "digest.h"
#include "harness.h"

#define Z64 "0000000000000000000000000000000000000000000000000000000000000000"

static const struct zg_record_origin own = {0};

static int setup(void **state)
{
	static struct role r;

	role_init(&r);
	*state = &r;
	return 0;
}

static int teardown(void **state)
{
	role_release(*state);
	return 0;
}

static struct zg_audit *opened(const struct role *r)
{
	struct zg_audit *a = NULL;
	struct zg_err e = {0};

	if (zg_audit_open(&a, r->state_dir, &e) < 0)
		fail_msg("%s", e.what);
	return a;
}

/* Add one record, signing where it is due. */
static void add(struct zg_audit *a, const struct zg_record *rec)
{
	struct zg_record checkpoint;
	int rc = zg_audit_add(a, rec, &own);

	if (rc == -EAGAIN) {
		assert_int_equal(zg_audit_add_checkpoint(a, &checkpoint), 0);
		rc = zg_audit_add(a, rec, &own);
	}
	assert_int_equal(rc, 0);
}

static void write_records(const struct role *r, uint64_t count)
{
	struct zg_audit *a = opened(r);
	struct zg_record rec;

	for (uint64_t n = 1; n <= count; n++) {
		sample(&rec, n);
		add(a, &rec);
	}
	assert_int_equal(zg_audit_commit(a), 0);
	zg_audit_free(a);
}

static void overwrite(const struct role *r, const char *name, const char *text, size_t n)
{
	zg_autofd int fd =
		openat(r->state_dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, n), n);
}

/* Does the chain in r's folder hold? */
static bool holds(const struct role *r)
{
	zg_autofile FILE *pub = NULL;
	char *log = slurp(r, FIRST_SEGMENT), *at = log, *newline;
	struct zg_chain chain;
	const char *why = NULL;
	EVP_PKEY *key;

	pub = fdopen(openat(r->state_dir, "audit/audit.pub", O_RDONLY | O_CLOEXEC), "r");
	key = PEM_read_PUBKEY(pub, NULL, NULL, NULL);
	zg_chain_start(&chain, key, false);
	for (; !why && (newline = strchr(at, '\n')); at = newline + 1)
		why = zg_chain_next(&chain, (struct zg_slice){at, (size_t)(newline - at)});
	EVP_PKEY_free(key);
	free(log);
	return !why;
}

static void any_changed_byte_shows(void **state)
{
	struct role *r = *state;
	struct zg_audit *a;
	struct zg_record checkpoint;
	char *log, *end;
	size_t n;

	write_records(r, 4);
	a = opened(r);
	assert_int_equal(zg_audit_add_checkpoint(a, &checkpoint), 0);
	assert_int_equal(zg_audit_commit(a), 0);
	zg_audit_free(a);
	assert_true(holds(r));
	log = slurp(r, FIRST_SEGMENT);
	n = strlen(log);
	/* of the checkpoint itself, what is not signed is covered by the next line */
	end = strstr(log, "{\"seq\":5,");
	for (char *at = log; at < end; at++) {
		*at ^= 1;
		overwrite(r, FIRST_SEGMENT, log, n);
		assert_false(holds(r));
		*at ^= 1;
	}
	/* its signature and what it signs */
	for (char *at = strstr(end, "\"signature\""); *at != '\n'; at++) {
		*at ^= 1;
		overwrite(r, FIRST_SEGMENT, log, n);
		assert_false(holds(r));
		*at ^= 1;
	}
	free(log);
}

/* Rewriting history without the key: hashes fit, signatures do not. */
static void a_rewritten_chain_needs_the_key(void **state)
{
	struct role *r = *state;
	char *pub;

	write_records(r, ZG_AUDIT_CHECKPOINT_RECORDS + 10);
	assert_true(holds(r));
	pub = slurp(r, "audit/audit.pub");
	/* the forger's own log under the forger's own key, then our public key back */
	assert_int_equal(unlinkat(r->state_dir, FIRST_SEGMENT, 0), 0);
	assert_int_equal(unlinkat(r->state_dir, "audit.key", 0), 0);
	assert_int_equal(unlinkat(r->state_dir, "audit/audit.pub", 0), 0);
	write_records(r, ZG_AUDIT_CHECKPOINT_RECORDS + 10);
	assert_true(holds(r));
	overwrite(r, "audit/audit.pub", pub, strlen(pub));
	free(pub);
	assert_false(holds(r));
}

static void leaving_signatures_out_shows(void **state)
{
	struct role *r = *state;
	char prev[65], line[512];
	uint8_t hash[32] = {0};
	FILE *f;

	write_records(r, 1);
	f = fdopen(openat(r->state_dir, FIRST_SEGMENT, O_WRONLY | O_TRUNC | O_CLOEXEC), "w");
	for (unsigned n = 1; n <= ZG_AUDIT_CHECKPOINT_RECORDS + 1; n++) {
		int len;

		zg_hex(prev, hash, 32);
		len = snprintf(line, sizeof(line),
			       "{\"seq\":%u,\"time\":\"2026-01-01T00:00:00.000000000Z\","
			       "\"kind\":\"call.intent\",\"prev\":\"%s\"}",
			       n, prev);
		zg_sha256(hash, line, (size_t)len);
		fprintf(f, "%s\n", line);
	}
	assert_int_equal(fclose(f), 0);
	assert_false(holds(r));
}

static char *torn_file(const struct role *r)
{
	DIR *d = fdopendir(openat(r->state_dir, "audit", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	struct dirent *entry;
	char name[300], *text = NULL;

	while ((entry = readdir(d)))
		if (strstr(entry->d_name, ".torn-")) {
			(void)snprintf(name, sizeof(name), "audit/%s", entry->d_name);
			text = slurp(r, name);
		}
	(void)closedir(d);
	return text;
}

/* Cut the file at every byte of its last lines: the chain always goes on. */
static void a_torn_tail_is_kept_and_told(void **state)
{
	struct role *r = *state;
	char *whole, *log, *torn;
	size_t n, last;

	write_records(r, 3);
	whole = slurp(r, FIRST_SEGMENT);
	n = strlen(whole);
	last = (size_t)(strstr(whole, "{\"seq\":3,") - whole);
	for (size_t cut = last; cut < n; cut += 7) {
		overwrite(r, FIRST_SEGMENT, whole, cut);
		write_records(r, 2);
		assert_true(holds(r));
		log = slurp(r, FIRST_SEGMENT);
		assert_int_equal(occurrences(log, "audit.recover"), cut > last);
		assert_int_equal(occurrences(log, "\"seq\":2,"), 1);
		free(log);
		torn = torn_file(r);
		if (cut > last) {
			assert_non_null(torn);
			assert_int_equal(strlen(torn), cut - last);
			assert_memory_equal(torn, whole + last, cut - last);
		}
		free(torn);
	}
	free(whole);
}

static void zeros_after_power_loss_are_a_torn_tail(void **state)
{
	struct role *r = *state;
	static const char zeros[5000];
	char *log;

	write_records(r, 3);
	log = slurp(r, FIRST_SEGMENT);
	{
		zg_autofd int fd =
			openat(r->state_dir, FIRST_SEGMENT, O_WRONLY | O_APPEND | O_CLOEXEC);

		assert_int_equal(write(fd, zeros, sizeof(zeros)), sizeof(zeros));
	}
	write_records(r, 1);
	assert_int_equal(verified(r), 5);
	free(log);
}

/* A changed line is for verify to name: it stays where it is. */
static void recovery_does_not_hide_a_changed_line(void **state)
{
	struct role *r = *state;
	char *log;
	size_t n;

	write_records(r, 3);
	log = slurp(r, FIRST_SEGMENT);
	n = strlen(log);
	*strstr(log, "\"seq\":2") = 'X';
	overwrite(r, FIRST_SEGMENT, log, n);
	write_records(r, 1);
	free(log);
	log = slurp(r, FIRST_SEGMENT);
	assert_non_null(strstr(log, "Xseq\":2"));
	assert_non_null(strstr(log, "\"seq\":4,"));
	assert_null(strstr(log, "audit.recover"));
	free(log);
	assert_false(holds(r));
}

static void fill_text(struct zg_record *rec)
{
	static char big[ZG_REASON_LEN];

	memset(big, 'x', sizeof(big) - 1);
	zg_record_init(rec, ZG_RK_CALL_DENY);
	for (int f = 0; f < ZG_RF_MAX; f++)
		if (zg_record_columns[f].type == ZG_RT_STR)
			zg_record_str(rec, (enum zg_record_field)f, zg_slice_str(big));
}

static void segments_rotate_and_chain(void **state)
{
	struct role *r = *state;
	struct zg_audit *a = opened(r);
	struct zg_record rec;
	uint64_t bytes = 0, lines = 0;
	struct stat st;

	fill_text(&rec);
	while (zg_audit_end(a).segment < 2 || zg_audit_end(a).offset < 1000000) {
		for (int i = 0; i < 64; i++, lines++)
			add(a, &rec);
		assert_int_equal(zg_audit_commit(a), 0);
		bytes += 64 * 1000;
		assert_true(bytes < 4 * (uint64_t)ZG_AUDIT_SEGMENT_BYTES);
	}
	zg_audit_free(a);
	assert_int_equal(fstatat(r->state_dir, FIRST_SEGMENT, &st, 0), 0);
	assert_true(st.st_size <= ZG_AUDIT_SEGMENT_BYTES);
	assert_true(st.st_size > ZG_AUDIT_SEGMENT_BYTES / 2);
	assert_int_equal(st.st_mode & 0777, 0600);
	/* goes on after a restart; checkpoints keep their distance over both */
	write_records(r, 5);
	assert_true(verified(r) >= lines + 5);
}

static void one_writer_at_a_time_and_one_key(void **state)
{
	struct role *r = *state;
	struct zg_audit *a = NULL;
	struct zg_err e = {0};
	struct stat st;

	write_records(r, 1);
	assert_int_equal(fstatat(r->state_dir, "audit.key", &st, 0), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	/* a key that is not one is not replaced in silence */
	overwrite(r, "audit.key", "nonsense", 8);
	assert_int_equal(zg_audit_open(&a, r->state_dir, &e), -EBADMSG);
	assert_non_null(strstr(e.hint, "backup"));
	assert_null(a);
}

static void lines_that_are_not_ours(void **state)
{
	static const char *const bad[] = {
		"",
		"{",
		"{}",
		"[]",
		"null",
		"{\"seq\":1}",
		/* a duplicate, a leading zero, a sign, a nested value, a tail */
		"{\"seq\":1,\"seq\":2,\"time\":\"\",\"kind\":\"x\",\"prev\":\"" Z64 "\"}",
		"{\"seq\":01,\"time\":\"\",\"kind\":\"x\",\"prev\":\"" Z64 "\"}",
		"{\"seq\":-1,\"time\":\"\",\"kind\":\"x\",\"prev\":\"" Z64 "\"}",
		"{\"seq\":1,\"time\":{},\"kind\":\"x\",\"prev\":\"" Z64 "\"}",
		"{\"seq\":1,\"time\":\"\",\"kind\":\"x\",\"prev\":\"" Z64 "\"} ",
		"{\"seq\":1,\"time\":\"\",\"kind\":\"x\",\"ring\":\"1-2\",\"prev\":\"" Z64 "\"}",
		"{\"seq\":1,\"time\":\"\",\"kind\":\"x\",\"prev\":\"0" Z64 "\"}",
		"{\"seq\":1,\"time\":\"\\q\",\"kind\":\"x\",\"prev\":\"" Z64 "\"}",
		"{\"seq\":1,\"time\":\"\xff\",\"kind\":\"x\",\"prev\":\"" Z64 "\"}",
		"{\"seq\":18446744073709551616,\"time\":\"\",\"kind\":\"x\",\"prev\":\"" Z64 "\"}",
	};
	static const char good[] = "{\"seq\":1,\"time\":\"\",\"kind\":\"x\",\"prev\":\"" Z64 "\"}";
	struct zg_chain_line l;

	(void)state;
	assert_int_equal(zg_chain_parse(zg_slice_str(good), &l), 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (zg_chain_parse(zg_slice_str(bad[i]), &l) != -EBADMSG)
			fail_msg("accepted: %s", bad[i]);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(any_changed_byte_shows),
		T(a_rewritten_chain_needs_the_key),
		T(leaving_signatures_out_shows),
		T(a_torn_tail_is_kept_and_told),
		T(zeros_after_power_loss_are_a_torn_tail),
		T(recovery_does_not_hide_a_changed_line),
		T(segments_rotate_and_chain),
		T(one_writer_at_a_time_and_one_key),
		cmocka_unit_test(lines_that_are_not_ours),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
