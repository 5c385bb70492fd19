/* SPDX-License-Identifier: Apache-2.0 */
/* ca_test.c - the local CA: what its certificates are good for, and for what not. */
#include <errno.h>
#include <fcntl.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "ca.h"

#define DAY 86400
#define NOW ((time_t)1800000000)

struct lab {
	char path[64];
	int dir;
	struct zg_ca *ca;
};

static int setup(void **state)
{
	struct lab *l = calloc(1, sizeof(*l));
	struct zg_err e;

	snprintf(l->path, sizeof(l->path), "/tmp/zg-ca-XXXXXX");
	assert_non_null(mkdtemp(l->path));
	l->dir = open(l->path, O_DIRECTORY | O_RDONLY | O_CLOEXEC);
	assert_return_code(zg_ca_open(&l->ca, l->dir, &e), 0);
	*state = l;
	return 0;
}

static int teardown(void **state)
{
	struct lab *l = *state;

	zg_ca_free(l->ca);
	(void)unlinkat(l->dir, "ca.key", 0);
	close(l->dir);
	rmdir(l->path);
	free(l);
	return 0;
}

static X509 *authority_for(struct lab *l, const char *const *hosts, size_t n, time_t now)
{
	zg_autobuf pem = ZG_BUF(1 << 20);
	struct zg_slice host[8];
	BIO *bio;
	X509 *x;

	for (size_t i = 0; i < n; i++)
		host[i] = zg_slice_str(hosts[i]);
	assert_return_code(zg_ca_certificate(l->ca, host, n, now, &pem), 0);
	bio = BIO_new_mem_buf(pem.ptr, (int)pem.len);
	x = PEM_read_bio_X509(bio, NULL, NULL, NULL);
	BIO_free(bio);
	assert_non_null(x);
	return x;
}

static X509 *leaf_for(struct lab *l, const char *host, time_t now)
{
	zg_autobuf cert = ZG_BUF(1 << 16), key = ZG_BUF(1 << 16);
	const unsigned char *at;
	EVP_PKEY *own;
	X509 *x;

	assert_return_code(zg_ca_leaf(l->ca, zg_slice_str(host), now, &cert, &key), 0);
	at = (const unsigned char *)cert.ptr;
	x = d2i_X509(NULL, &at, (long)cert.len);
	assert_non_null(x);
	at = (const unsigned char *)key.ptr;
	own = d2i_AutoPrivateKey(NULL, &at, (long)key.len);
	assert_non_null(own);
	assert_int_equal(X509_check_private_key(x, own), 1);
	EVP_PKEY_free(own);
	return x;
}

/* As a client that dials host: 0 or an X509_V_ERR. */
static int verify(X509 *ca, X509 *leaf, const char *host, time_t when)
{
	X509_STORE *store = X509_STORE_new();
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	X509_VERIFY_PARAM *p;
	int rc;

	X509_STORE_add_cert(store, ca);
	X509_STORE_CTX_init(ctx, store, leaf, NULL);
	p = X509_STORE_CTX_get0_param(ctx);
	X509_VERIFY_PARAM_set_time(p, when);
	X509_VERIFY_PARAM_set_flags(p, X509_V_FLAG_X509_STRICT);
	X509_VERIFY_PARAM_set_purpose(p, X509_PURPOSE_SSL_SERVER);
	if (X509_VERIFY_PARAM_set1_ip_asc(p, host) != 1)
		X509_VERIFY_PARAM_set1_host(p, host, 0);
	rc = X509_verify_cert(ctx) == 1 ? 0 : X509_STORE_CTX_get_error(ctx);
	X509_STORE_CTX_free(ctx);
	X509_STORE_free(store);
	return rc;
}

static int check(struct lab *l, const char *const *hosts, size_t n, const char *leaf_host,
		 const char *dialled, time_t when)
{
	X509 *ca = authority_for(l, hosts, n, NOW), *leaf = leaf_for(l, leaf_host, NOW);
	int rc = verify(ca, leaf, dialled, when);

	X509_free(leaf);
	X509_free(ca);
	return rc;
}

static const char *const mixed[] = {"api.example.com", "127.0.0.1", "fd00::1"};
static const char *const names[] = {"api.example.com"};
static const char *const addresses[] = {"127.0.0.1"};

static void registered_hosts_are_believed(void **state)
{
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(check(*state, mixed, 3, mixed[i], mixed[i], NOW), 0);
	assert_int_equal(check(*state, names, 1, names[0], names[0], NOW), 0);
	assert_int_equal(check(*state, addresses, 1, addresses[0], addresses[0], NOW), 0);
}

static void any_other_host_is_refused_whoever_has_the_key(void **state)
{
	static const struct {
		const char *const *hosts;
		size_t n;
		const char *host;
		int error;
	} rows[] = {
		{mixed, 3, "evil.example.com", X509_V_ERR_PERMITTED_VIOLATION},
		{mixed, 3, "example.com", X509_V_ERR_PERMITTED_VIOLATION},
		{mixed, 3, "xapi.example.com", X509_V_ERR_PERMITTED_VIOLATION},
		{mixed, 3, "127.0.0.2", X509_V_ERR_PERMITTED_VIOLATION},
		{mixed, 3, "fd00::2", X509_V_ERR_PERMITTED_VIOLATION},
		{names, 1, "127.0.0.1", X509_V_ERR_EXCLUDED_VIOLATION},
		{names, 1, "::1", X509_V_ERR_EXCLUDED_VIOLATION},
		{addresses, 1, "api.example.com", X509_V_ERR_EXCLUDED_VIOLATION},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(
			check(*state, rows[i].hosts, rows[i].n, rows[i].host, rows[i].host, NOW),
			rows[i].error);
}

static void a_leaf_is_for_its_own_host(void **state)
{
	assert_int_equal(check(*state, mixed, 3, "api.example.com", "127.0.0.1", NOW),
			 X509_V_ERR_IP_ADDRESS_MISMATCH);
	assert_int_equal(check(*state, mixed, 3, "127.0.0.1", "api.example.com", NOW),
			 X509_V_ERR_HOSTNAME_MISMATCH);
	assert_int_equal(check(*state, mixed, 3, "api.example.com", "x.api.example.com", NOW),
			 X509_V_ERR_HOSTNAME_MISMATCH);
}

static void clocks_may_differ_by_a_day_and_leaves_end_after_a_week(void **state)
{
	const char *host = names[0];

	assert_int_equal(check(*state, names, 1, host, host, NOW - DAY + 60), 0);
	assert_int_equal(check(*state, names, 1, host, host, NOW - DAY - 60),
			 X509_V_ERR_CERT_NOT_YET_VALID);
	assert_int_equal(check(*state, names, 1, host, host, NOW + ZG_LEAF_DAYS * DAY - 60), 0);
	assert_int_equal(check(*state, names, 1, host, host, NOW + ZG_LEAF_DAYS * DAY + 60),
			 X509_V_ERR_CERT_HAS_EXPIRED);
}

static void a_clock_before_1970s_end_or_far_ahead_still_gives_certificates(void **state)
{
	static const time_t when[] = {DAY + 1, (time_t)4102444800};

	for (size_t i = 0; i < 2; i++) {
		X509 *ca = authority_for(*state, names, 1, when[i]);
		X509 *leaf = leaf_for(*state, names[0], when[i]);

		assert_int_equal(verify(ca, leaf, names[0], when[i]), 0);
		X509_free(leaf);
		X509_free(ca);
	}
}

/* What a client loaded before the registry grew, and before the agent restarted. */
static void an_older_certificate_goes_on_holding_for_its_hosts(void **state)
{
	struct lab *l = *state;
	X509 *old = authority_for(l, names, 1, NOW), *leaf;
	struct zg_err e;

	zg_ca_free(l->ca);
	assert_return_code(zg_ca_open(&l->ca, l->dir, &e), 0);
	leaf = leaf_for(l, names[0], NOW + 30 * DAY);
	assert_int_equal(verify(old, leaf, names[0], NOW + 30 * DAY), 0);
	X509_free(leaf);
	leaf = leaf_for(l, "new.example.com", NOW + 30 * DAY);
	assert_int_equal(verify(old, leaf, "new.example.com", NOW + 30 * DAY),
			 X509_V_ERR_PERMITTED_VIOLATION);
	X509_free(leaf);
	X509_free(old);
}

static void serials_differ_and_constraints_are_critical(void **state)
{
	X509 *a = authority_for(*state, names, 1, NOW), *b = authority_for(*state, names, 1, NOW);
	int at = X509_get_ext_by_NID(a, NID_name_constraints, -1);

	assert_int_not_equal(ASN1_INTEGER_cmp(X509_get_serialNumber(a), X509_get_serialNumber(b)),
			     0);
	assert_true(at >= 0);
	assert_int_equal(X509_EXTENSION_get_critical(X509_get_ext(a, at)), 1);
	assert_int_equal(X509_get_pathlen(a), 0);
	X509_free(a);
	X509_free(b);
}

static void a_key_that_cannot_be_used_is_not_replaced(void **state)
{
	struct lab *l = *state;
	struct zg_ca *other;
	struct zg_err e;
	struct stat before, after;
	int fd;

	assert_return_code(fchmodat(l->dir, "ca.key", 0640, 0), errno);
	assert_int_equal(zg_ca_open(&other, l->dir, &e), -EPERM);
	assert_return_code(fchmodat(l->dir, "ca.key", 0600, 0), errno);
	fd = openat(l->dir, "ca.key", O_WRONLY | O_TRUNC);
	assert_int_equal(write(fd, "rubbish", 7), 7);
	close(fd);
	assert_return_code(fstatat(l->dir, "ca.key", &before, 0), errno);
	assert_int_equal(zg_ca_open(&other, l->dir, &e), -EBADMSG);
	assert_return_code(fstatat(l->dir, "ca.key", &after, 0), errno);
	assert_int_equal(before.st_ino, after.st_ino);
	assert_true(strstr(e.hint, "backup") != NULL);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(registered_hosts_are_believed),
		T(any_other_host_is_refused_whoever_has_the_key),
		T(a_leaf_is_for_its_own_host),
		T(clocks_may_differ_by_a_day_and_leaves_end_after_a_week),
		T(a_clock_before_1970s_end_or_far_ahead_still_gives_certificates),
		T(an_older_certificate_goes_on_holding_for_its_hosts),
		T(serials_differ_and_constraints_are_critical),
		T(a_key_that_cannot_be_used_is_not_replaced),
	};
#undef T

	return cmocka_run_group_tests(tests, NULL, NULL);
}
