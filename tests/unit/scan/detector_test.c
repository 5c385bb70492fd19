/* SPDX-License-Identifier: Apache-2.0 */
/*
 * detector_test.c - what counts as a secret and what only looks like one. Each
 * secret is written in two pieces, so that this file holds none.
 */
#include <errno.h>

#include "samples.h"
#include "scan_fixture.h"

struct row {
	const char *kind; /* NULL: nothing must be found */
	const char *before, *head, *tail, *after;
};

#define JWT_HEAD "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpX"
#define JWT_MID	 "VCJ9.eyJpc3MiOiJ6ZyIsInN1YiI6IjQyIn0."
#define JWT_SIG	 "dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"
#define KEY_BODY "MC4CAQAwBQYDK2VwBCIEIJ+DYvh6SEqVTm50DFtMDoQikTmiCqirVv9mWG9qfSnF"

static const struct row secrets[] = {
	{"aws-access-key", "id: ", "AKI", "A2QRSTUVWXYZ23456", ""},
	{"aws-access-key", "", "ASI", "AQWERTYUIOPASDFGH", "\n"},
	{"aws-access-key", "x=\\n", "ABI", "AQWERTYUIOPASDFGH", "\\n"},
	{"aws-access-key", "%20", "ACC", "AQWERTYUIOPASDFGH", "%20"},
	{"aws-secret-key", "AWS_SECRET_ACCESS_KEY=", "wJalrXUtnF4MIqK7M", "DENGibPxRfiCY9zRkeyQ0bT",
	 "\n"},
	{"aws-secret-key", "{\"SecretAccessKey\": \"", "wJal/XUtnF4MIqK7M",
	 "DENGibPxRfiCY9z+keyQ0bT", "\"}"},
	{"gcp-api-key", "key=", "AIz", "aSyD3x9fK2mQ8pL5vB7nR1tY4uW6zA0cE8gH", "&q=1"},
	{"azure-key",
	 "AccountKey=", "grcO7n8aUDm+8H7CNH8GbtCPXcdRJEfjQEMAAmtuVFWUoGVoXWTEmAu41FRKhyGpmg",
	 "GtIZ61nPah+ASte/3fqw==", ";EndpointSuffix=core.windows.net"},
	{"azure-key", "SharedAccessKey=", "Wh2DC7fOCda7wATnF1xkPH3ssLWA7De8l+", "ASbCdpqEM=", ""},
	{"azure-key", "", "HTzMRAXdLqH6+rS/HEaWTZRwhiB4gpFEe+", "AEhC8W6oU=", ""},
	{"azure-key", "", "aq65S66NL5+inFooTJ73UhgpzxB5sIDp10ocEPyrak", "AzSeDtmI1+", " "},
	{"azure-key", "code=", "Vt6-TB7XlkjoVuj5ovWMlfDOSznBW_-tXC37i7ggthGc", "AzFu4udDTA==", "&"},
	{"azure-key", "",
	 "h5auWwXygKaM7ZO2soyw0bNY5rqrSFVlufSQKNVX15qKDmRR4VxwXBXxc1QbRDiiXPdjEtTus8",
	 "IkACDbYP9Brw==", ""},
	{"azure-key", "", "ALPPjtE6vxKaMJetlrRC1tG970hQw/RlR", "AzCaFoTQVE=", ""},
	{"azure-key", "", "wzemSKbA291z/JX1wsRRhZr+gNQKo537kkn0DD7jfZ+", "ACRCaypMW", "\""},
	{"azure-key", "", "BvWMfPISffqJT5KW/PM8CECZkKyXDe2zu", "AIoTCSjULc=", ""},
	{"azure-key", "",
	 "gek3YQfb2vbF88hkl+4hmwHdkvGfSVT0/qlO2RgjdYgrIA2q2yPP+Rk/PnA4RJXgTF1e01IibRY3",
	 "APIMXHHizA==", ""},
	{"github-token", "token ", "gh", "p_zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ0mLq17", "."},
	{"github-token", "GH_TOKEN_", "gh", "o_zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ0mLq17", "\""},
	{"github-token", "https://x:", "gh", "s_zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ0mLq17",
	 "@github.com/o/r"},
	{"github-token", "", "gh", "s_1234567_" JWT_HEAD JWT_MID JWT_SIG, ""},
	{"github-token", "", "github_",
	 "pat_11ABCDEFG0aBcDeFgHiJkL_q7sT9vX1zA3cE5gI7kM9oQ1sU3wY5bD7fH9jL1nP3rT5vX7zB9dF1hJ3lN5",
	 " "},
	{"slack-token", "", "xo", "xb-123456789012-1234567890123-AbCdEfGhIjKlMnOpQrStUvWx", ""},
	{"slack-token", "", "xo", "xb-12345678901-AbCdEfGhIjKlMnOpQrStUvWx", ","},
	{"slack-token", "", "xo",
	 "xp-123456789012-123456789012-123456789012-0123456789abcdef0123456789abcdef", ""},
	{"slack-token", "", "xap",
	 "p-1-A012BCDEFGH-1234567890123-"
	 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
	 ""},
	{"slack-token", "", "xox",
	 "e.xoxp-1-Mi0yLTk1NTc0NjY4MDE2MzctOTYwOTA2MDM0MTM4NS05NjA5MDYwMzQxMzg1LTk2MDkwNjAz", " "},
	/* its checksum proves it, whatever it is glued to */
	{"github-token", "id 8822", "gh", "p_zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ0mLq17", "a9"},
	{"npm-token", "x", "np", "m_zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ0mLq17", "z"},
	{"npm-token", "//registry.npmjs.org/:_authToken=", "np",
	 "m_zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ0mLq17", "\n"},
	{"private-key", "x\n", "-----BEGIN PRIV",
	 "ATE KEY-----\n" KEY_BODY "\n-----END PRIVATE KEY-----", "\ny"},
	{"private-key", "\"", "-----BEGIN OPENSSH PRIV",
	 "ATE KEY-----\\n" KEY_BODY "\\n" KEY_BODY "\\n-----END OPENSSH PRIVATE KEY-----", "\\n\""},
	{"private-key", "", "-----BEGIN RSA PRIV",
	 "ATE KEY----- " KEY_BODY " -----END RSA PRIVATE KEY-----", " tail"},
	{"private-key", "", "-----BEGIN RSA PRIV",
	 "ATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,0123456789ABCDEF\n\n" KEY_BODY
	 "\n-----END RSA PRIVATE KEY-----",
	 ""},
	{"private-key", "", "-----BEGIN PGP PRIV",
	 "ATE KEY BLOCK-----\nVersion: GnuPG v2\n\n" KEY_BODY
	 "\n=abcd\n-----END PGP PRIVATE KEY BLOCK-----",
	 "\n"},
	/* cut off: what is there goes */
	{"private-key", "log: ", "-----BEGIN EC PRIV", "ATE KEY-----\n" KEY_BODY "\n" KEY_BODY,
	 "\n"},
	{"jwt", "Bearer ", JWT_HEAD, JWT_MID JWT_SIG, ""},
	{"jwt", "\"token\":\"", JWT_HEAD, JWT_MID JWT_SIG, "\""},
	{"jwt", "see ", JWT_HEAD, JWT_MID JWT_SIG, ". Next"},
	{"credit-card", "card ", "4012 8888 ", "8888 1881", " 12/27"},
	{"credit-card", "", "4111111", "111111111", ","},
	{"credit-card", "pay: ", "5555-5555-", "5555-4444", "."},
	{"credit-card", "", "3782 822", "463 10005", ""},
	{"credit-card", "", "60111111", "11111117", "\n"},
	{"credit-card", "", "35301113", "33300000", ""},
	{"credit-card", "", "3056 930", "902 5904", ""},
	{"credit-card", "", "62000000", "00000005", ""},
	{"credit-card",
	 "n 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 ", "4012 8888 ",
	 "8888 1881", ""},
	{"email", "mail ", "jane.doe@", "corp-mail.io", ", please"},
	{"email", "<", "o'hara+tag@", "mail.example-company.co.uk", ">"},
	{"email", "mailto:", "x_1@", "y.de", "?subject=a"},
	{"email", "a line\\n", "jane@", "corp.io", "\\n"},
};

static const struct row looks[] = {
	{NULL, "documented: ", "AKIAIOSFODNN7", "EXAMPLE", ""},
	{NULL, "", "AKI", "A2QRSTUVWXYZ2345", " one short"},
	{NULL, "", "AKI", "A2QRSTUVWXYZ234567", " one long"},
	{NULL, "", "AKI", "A2QRSTUVWXYZ2345O1", " not base32"},
	{NULL, "x", "AKI", "A2QRSTUVWXYZ23456", ""},
	{NULL, "MY_", "AKI", "A2QRSTUVWXYZ23456", "_NAME"},
	{NULL, "", "AKI", "AXXXXXXXXXXXXXXXX", ""},
	{NULL, "secret_access_key = ", "wJalrXUtnFEMI/K7MDENG/", "bPxRfiCYEXAMPLEKEY", ""},
	{NULL, "secret_access_key = ", "da39a3ee5e6b4b0d3255", "bfef95601890afd80709", " SHA-1"},
	{NULL, "sha1: ", "wJalrXUtnF4MIqK7M", "DENGibPxRfiCY9zRkeyQ0bT", " no context"},
	{NULL, "", "AIz", "aSyD3x9fK2mQ8pL5vB7nR1tY4uW6zA0cE8g", " short"},
	{NULL, "", "AIz", "aSyD3x9fK2mQ8pL5vB7nR1tY4uW6zA0cE8gHi", " long"},
	{NULL, "", "AIz", "aXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXX", ""},
	{NULL, "wrong checksum ", "Wh2DC7fOCda7wATnF1xkPH3ssLWA7De8l+", "ASbCdpqEN=", ""},
	{NULL, "one bit off ", "Wh2DC7fOCda7wATnF1xkPH3ssLWA7De8k+", "ASbCdpqEM=", ""},
	{NULL, "inside base64 QUJD", "Wh2DC7fOCda7wATnF1xkPH3ssLWA7De8l+", "ASbCdpqEM=", ""},
	{NULL, "wrong checksum ", "gh", "p_zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ0mLq18", ""},
	{NULL, "glued, wrong checksum 8822", "gh", "p_zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ0mLq18a", ""},
	{NULL, "", "gh", "p_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", ""},
	{NULL, "", "gh", "s_1234567_" JWT_HEAD, " no token"},
	{NULL, "", "github_", "pat_11ABCDEFG0aBcDeFgHiJkL_q7sT9vX1", " short"},
	{NULL, "", "xo", "xb-your-token-here", ""},
	{NULL, "", "xo", "xb-123456789012-1234567890123-XXXXXXXXXXXXXXXXXXXXXXXX", ""},
	{NULL, "", "xo", "xb-123456789012-1234567890123", ""},
	{NULL, "", "np", "m_config_registry", ""},
	{NULL, "", "np", "m_zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ0mLq18", ""},
	{NULL, "", "-----BEGIN CERTIF", "ICATE-----\n" KEY_BODY "\n-----END CERTIFICATE-----", ""},
	{NULL, "", "-----BEGIN PUB", "LIC KEY-----\n" KEY_BODY "\n-----END PUBLIC KEY-----", ""},
	{NULL, "", "-----BEGIN PRIV", "ATE KEY-----\n...\n-----END PRIVATE KEY-----", ""},
	{NULL, "the line starts with ", "-----BEGIN PRIV", "ATE KEY-----", " and so on"},
	{NULL, "no alg ", "eyJ0eXAiOiJK", "V1QifQ.eyJpc3MiOiJ6ZyJ9." JWT_SIG, ""},
	{NULL, "not JSON ", "eyJhbGciOiJI", "UzI1NiIs.eyJpc3MiOiJ6ZyJ9." JWT_SIG, ""},
	{NULL, "no signature ", JWT_HEAD, "VCJ9.eyJpc3MiOiJ6ZyJ9", ""},
	{NULL, "jwt.io ", JWT_HEAD,
	 "VCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6IkpvaG4gRG9lIiwiaWF0IjoxNTE2MjM5MDIyfQ." JWT_SIG,
	 ""},
	{NULL, "order ", "4012 8888 ", "8888 1882", " fails Luhn"},
	{NULL, "order ", "4111111", "111111112", ""},
	{NULL, "no issuer ", "1234567", "812345670", ""},
	{NULL, "id ", "41111111", "1111111100", " longer number"},
	{NULL, "hex a", "41111111", "11111111", "f"},
	{NULL, "0.", "41111111", "11111111", ""},
	{NULL, "table 1111 ", "4012 8888 ", "8888 1881", " 2222"},
	{NULL, "code points 51F1 ", "5272 5274", " 5275 5269", " 52DE 52DD"},
	{NULL, "code points\n", "5414 5415", " 5416 5417", " 20BBF 20B"},
	{NULL, "uuid 12345678-", "4111-1111-", "1111-1111", "11111111"},
	{NULL, "time ", "1700000", "000000", "000000"},
	{NULL, "uuid ", "550e8400-e29b-41d4", "-a716-446655440000", ""},
	{NULL, "sha256 ", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b93", "4ca495991b7852b855",
	 ""},
	{NULL, "data:image/png;base64,",
	 "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9Q",
	 "DwADhgGAWjR9awAAAABJRU5ErkJggg==", ""},
	{NULL, "versions ", "1.2.3-beta.4 10.20.30.40 2024-01-02T03:04:05.678901234Z", " 5.4.3.2",
	 ""},
	{NULL, "", "function(a,b){return a?b:eyJ(a)}var c=\"AKIA\",d=\"ghp_\",e=[1,2,3];", "x@y",
	 ""},
	{NULL, "", "@types/node@18", ".0.1 and icon@2x.png react@latest", ""},
	{NULL, "", "user@example", ".com a@sub.example.org", ""},
	{NULL, "", "git@github", ".com:org/repo.git", ""},
	{NULL, "", "noreply@github", ".com", ""},
	{NULL, "", "getty@tty1", ".service", ""},
	{NULL, "", "root@web1", ".internal", ""},
	{NULL, "postgres://user:", "password@db", ".corp.io", "/x"},
	{NULL, "postgres://user:", "password@", "localhost", "/x"},
	{NULL, "scp f ", "deploy@host", ".corp.io", ":/srv/f"},
	{NULL, "", ".@a", ".io @b.io a..@", ""},
};

static void scan(const struct row *r, char *text, size_t size)
{
	snprintf(text, size, "%s%s%s%s", r->before, r->head, r->tail, r->after);
	assert_int_equal(zg_scan_text(scanner, zg_slice_str(text), &found), 0);
}

static void test_secrets(void **state)
{
	char text[2048];

	(void)state;
	for (size_t i = 0; i < sizeof(secrets) / sizeof(secrets[0]); i++) {
		const struct row *r = &secrets[i];
		size_t start = strlen(r->before), end = start + strlen(r->head) + strlen(r->tail);

		scan(r, text, sizeof(text));
		if (found.count != 1 || found.item[0].start != start || found.item[0].end != end ||
		    strcmp(zg_detector_name(found.item[0].detector), r->kind) != 0)
			fail_msg("%s: %s: %zu findings, first %s [%zu, %zu) instead of [%zu, %zu)",
				 r->kind, text, found.count,
				 found.count ? zg_detector_name(found.item[0].detector) : "-",
				 found.count ? found.item[0].start : 0,
				 found.count ? found.item[0].end : 0, start, end);
		assert_int_equal(found.item[0].verdict, ZG_SV_REDACT);
	}
}

static void test_looks(void **state)
{
	char text[2048];

	(void)state;
	for (size_t i = 0; i < sizeof(looks) / sizeof(looks[0]); i++) {
		scan(&looks[i], text, sizeof(text));
		if (found.count)
			fail_msg("a false alarm: %s: %s", text,
				 zg_detector_name(found.item[0].detector));
	}
}

/* Every kind is found in the middle of text, once, and gone after redaction. */
static void test_samples(void **state)
{
	(void)state;
	for (size_t i = 0; i < SAMPLES; i++) {
		zg_autobuf text = ZG_BUF(4096), out = ZG_BUF(4096);

		zg_buf_fmt(&text, "before %s after", sample_secret(i));
		assert_int_equal(zg_scan_text(scanner, zg_buf_slice(&text), &found), 0);
		if (found.count != 1)
			fail_msg("%s: %zu findings", sample_list[i].kind, found.count);
		assert_string_equal(zg_detector_name(found.item[0].detector), sample_list[i].kind);
		zg_redact_text(zg_buf_slice(&text), &found, &out);
		zg_buf_char(&out, '\0');
		assert_true(zg_buf_ok(&out));
		assert_non_null(strstr(out.ptr, sample_list[i].kind));
		assert_int_equal(zg_scan_text(scanner, zg_slice_str(out.ptr), &found), 0);
		assert_int_equal(found.count, 0);
	}
}

/* Invisible characters do not hide a token, and go with it. */
static void test_invisible(void **state)
{
	static const char *const hidden[] = {"\xe2\x80\x8b", "\xc2\xad",	 "\xef\xbb\xbf",
					     "\xe2\x80\xae", "\xf3\xa0\x81\x81", "\xcd\x8f"};

	(void)state;
	for (size_t i = 0; i < sizeof(hidden) / sizeof(hidden[0]); i++) {
		zg_autobuf text = ZG_BUF(4096), out = ZG_BUF(4096);

		zg_buf_fmt(&text, "\xf0\x9f\x98\x80 key %sAKI%sA2QRSTU%s%sVWXYZ23456%s end",
			   hidden[i], hidden[i], hidden[i], hidden[i], hidden[i]);
		assert_int_equal(zg_scan_text(scanner, zg_buf_slice(&text), &found), 0);
		assert_int_equal(found.count, 1);
		zg_redact_text(zg_buf_slice(&text), &found, &out);
		zg_buf_char(&out, '\0');
		assert_null(strstr(out.ptr, "AKI"));
		assert_null(strstr(out.ptr, "XYZ"));
		assert_non_null(strstr(out.ptr, "[zerogate:aws-access-key:1]"));
		assert_memory_equal(out.ptr, "\xf0\x9f\x98\x80 key ", 9);
	}
}

static void test_numbers(void **state)
{
	zg_autobuf text = ZG_BUF(4096), out = ZG_BUF(4096);
	char summary[ZG_FINDINGS_LEN];

	(void)state;
	zg_buf_str(&text, "a@corp.io b@corp.io a@corp.io ");
	zg_buf_str(&text, sample_secret(0));
	assert_int_equal(zg_scan_text(scanner, zg_buf_slice(&text), &found), 0);
	zg_redact_text(zg_buf_slice(&text), &found, &out);
	zg_buf_char(&out, '\0');
	assert_string_equal(out.ptr, "[zerogate:email:1] [zerogate:email:2] [zerogate:email:1] "
				     "[zerogate:aws-access-key:1]");
	zg_findings_text(&found, summary, sizeof(summary));
	assert_string_equal(summary, "aws-access-key:1,email:3");
	zg_findings_text(&found, summary, 20);
	assert_string_equal(summary, "aws-access-key:1");
	assert_int_equal(zg_findings_verdict(&found), ZG_SV_REDACT);
}

/* What was found is a wall: what stands beside it is judged as if it were gone. */
static void test_neighbours(void **state)
{
	zg_autobuf text = ZG_BUF(4096);

	(void)state;
	zg_buf_str(&text, "a@corp.io--");
	zg_buf_str(&text, sample_secret(4));
	zg_buf_str(&text, "@corp.io 4012888888881881@corp.io");
	assert_int_equal(zg_scan_text(scanner, zg_buf_slice(&text), &found), 0);
	assert_int_equal(found.count, 3);
	assert_string_equal(zg_detector_name(found.item[0].detector), "email");
	assert_int_equal(found.item[0].end, 9);
	assert_string_equal(zg_detector_name(found.item[1].detector), "github-token");
	assert_string_equal(zg_detector_class(found.item[1].detector), "secret");
	assert_string_equal(zg_detector_validator(found.item[1].detector), "crc32");
	assert_int_equal(found.item[1].end, 11 + 40);
	/* a card that is somebody's name: one finding, nothing of it stays */
	assert_int_equal(found.item[2].end, text.len);
}

/* What is glued to a token is found as well, or the placeholder beside it would
 * show where it begins: redacted text holds nothing that scanning it again finds. */
static void test_glued(void **state)
{
	static const size_t kinds[] = {0, 2, 4, 5, 6, 8}; /* of sample_list: one-piece tokens */

	(void)state;
	for (size_t i = 0; i < 36 * 6; i++) {
		zg_autobuf text = ZG_BUF(4096), out = ZG_BUF(4096);

		zg_buf_str(&text, sample_secret(kinds[i % 6]));
		zg_buf_str(&text, sample_secret(kinds[i / 6 % 6]));
		zg_buf_str(&text, sample_secret(kinds[i / 36]));
		assert_int_equal(zg_scan_text(scanner, zg_buf_slice(&text), &found), 0);
		zg_redact_text(zg_buf_slice(&text), &found, &out);
		assert_int_equal(zg_scan_text(scanner, zg_buf_slice(&out), &found), 0);
		assert_int_equal(found.count, 0);
	}
	scan(&(struct row){NULL, sample_secret(0), "gh", "p_zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ0mLq17",
			   ""},
	     (char[256]){0}, 256);
	assert_int_equal(found.count, 2);
}

static void test_too_many(void **state)
{
	zg_autobuf text = ZG_BUF(1 << 20), out = ZG_BUF(1 << 20);

	(void)state;
	for (unsigned i = 0; i < ZG_FINDINGS_MAX; i++)
		zg_buf_fmt(&text, "u%u@corp.io ", i);
	assert_int_equal(zg_scan_text(scanner, zg_buf_slice(&text), &found), 0);
	assert_int_equal(found.count, ZG_FINDINGS_MAX);
	assert_false(found.overflow);
	assert_int_equal(zg_findings_verdict(&found), ZG_SV_REDACT);
	zg_buf_str(&text, "one-more@corp.io");
	assert_int_equal(zg_scan_text(scanner, zg_buf_slice(&text), &found), 0);
	assert_true(found.overflow);
	assert_int_equal(zg_findings_verdict(&found), ZG_SV_QUARANTINE);
	zg_redact_text(zg_buf_slice(&text), &found, &out);
	assert_true(zg_buf_ok(&out));
}

/* Damaged, foreign and cut databases are refused, never searched with. */
static void test_database(void **state)
{
	zg_autobuf db = ZG_BUF(1 << 24), small = ZG_BUF(100);
	struct zg_scanner *s = NULL;
	struct zg_err e = {0};

	(void)state;
	assert_int_equal(zg_scandb_build(&small, &e), -EFBIG);
	assert_int_equal(zg_scandb_build(&db, &e), 0);
	for (size_t n = 0; n < db.len; n += n < 64 ? 1 : 997) {
		assert_true(zg_scanner_new(&s, db.ptr, n, &e) < 0);
		assert_null(s);
		assert_true(e.what[0] != '\0');
	}
	for (size_t n = 0; n < db.len; n += n < 16 ? 1 : 1009) {
		db.ptr[n] = (char)(db.ptr[n] ^ 4);
		assert_true(zg_scanner_new(&s, db.ptr, db.len, &e) < 0);
		db.ptr[n] = (char)(db.ptr[n] ^ 4);
	}
	assert_int_equal(zg_scanner_new(&s, db.ptr, db.len, &e), 0);
	zg_scanner_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_secrets),	 cmocka_unit_test(test_looks),
		cmocka_unit_test(test_samples),	 cmocka_unit_test(test_invisible),
		cmocka_unit_test(test_numbers),	 cmocka_unit_test(test_neighbours),
		cmocka_unit_test(test_too_many), cmocka_unit_test(test_database),
		cmocka_unit_test(test_glued),
	};

	return cmocka_run_group_tests(tests, open_scanner, close_scanner);
}
