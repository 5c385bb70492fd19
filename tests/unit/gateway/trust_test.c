/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trust_test.c - which secrets go to which server, and what people are told of a
 * server that was not believed. Who is believed is shown with real handshakes in
 * tests/e2e/https.test.mjs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>
#include <unistd.h>

#include "secrets.h"
#include "trust.h"
#include "worker.h"

/* The snapshot's servers are sorted by id; credentials and bundle are in its order. */
struct place {
	struct zg_server_def server[3];
	struct zg_credential_def credential[4];
	struct zg_live live;
};

static void make(struct place *p, const char *token)
{
	static const char *const ids[] = {"a", "b", "c"};
	static const struct {
		uint32_t server, kind;
	} rows[] = {{0, ZG_SK_AUTHORIZATION},
		    {2, ZG_SK_AUTHORIZATION},
		    {2, ZG_SK_HEADER},
		    {2, ZG_SK_HEADER}};
	struct zg_secrets_draft d;
	int fd;

	*p = (struct place){0};
	for (size_t i = 0; i < 3; i++) {
		(void)snprintf(p->server[i].id, sizeof(p->server[i].id), "%s", ids[i]);
		p->server[i].tls = 1;
	}
	for (size_t i = 0; i < 4; i++)
		p->credential[i] =
			(struct zg_credential_def){.server = rows[i].server, .kind = rows[i].kind};
	p->live.snap = (struct zg_snapshot){.servers = p->server,
					    .server_count = 3,
					    .credentials = p->credential,
					    .credential_count = 4};
	zg_secrets_draft_init(&d);
	zg_secrets_add(&d, ZG_SK_SEAL, ZG_SLICE(""), ZG_SLICE("0123456789abcdef0123456789abcdef"));
	zg_secrets_add(&d, ZG_SK_CA_BUNDLE, ZG_SLICE(""), ZG_SLICE("no certificate at all"));
	zg_secrets_add(&d, ZG_SK_AUTHORIZATION, ZG_SLICE("a"), zg_slice_str(token));
	zg_secrets_add(&d, ZG_SK_AUTHORIZATION, ZG_SLICE("c"), ZG_SLICE("Bearer of-c"));
	zg_secrets_add(&d, ZG_SK_HEADER, ZG_SLICE("c"), ZG_SLICE("X-One: 1"));
	zg_secrets_add(&d, ZG_SK_HEADER, ZG_SLICE("c"), ZG_SLICE("X-Two: 2"));
	fd = zg_secrets_make(&d);
	zg_secrets_draft_release(&d);
	assert_true(fd >= 0);
	assert_int_equal(zg_secrets_open(&p->live.secrets, fd), 0);
	close(fd);
}

static void end(struct place *p)
{
	zg_trust_free(p->live.trust);
	zg_secrets_close(&p->live.secrets);
}

static void each_server_gets_its_own(void **state)
{
	static const struct {
		size_t server, nth;
		const char *value;
	} rows[] = {{0, 0, "Bearer of-a"},
		    {2, 0, "Bearer of-c"},
		    {2, 1, "X-One: 1"},
		    {2, 2, "X-Two: 2"}};
	static const size_t counts[] = {1, 0, 3};
	struct place p;
	size_t count;

	(void)state;
	make(&p, "Bearer of-a");
	p.live.trust = zg_trust_new(&p.live, NULL);
	assert_non_null(p.live.trust);
	for (size_t i = 0; i < 3; i++) {
		(void)zg_trust_proofs(&p.live, &p.server[i], &count);
		assert_int_equal(count, counts[i]);
	}
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct zg_proof *proof =
			zg_trust_proofs(&p.live, &p.server[rows[i].server], &count);

		assert_true(zg_slice_eq(proof[rows[i].nth].value, zg_slice_str(rows[i].value)));
	}
	end(&p);
}

/* A store is inherited, so it must outlive whoever parsed it. */
static void what_was_parsed_outlives_its_configuration(void **state)
{
	CURL *easy = curl_easy_init();
	struct place was, now;
	size_t count;

	(void)state;
	assert_non_null(easy);
	make(&was, "Bearer old");
	was.live.trust = zg_trust_new(&was.live, NULL);
	assert_true(zg_trust_apply(&was.live, &was.server[0], easy));
	make(&now, "Bearer new");
	now.live.trust = zg_trust_new(&now.live, &was.live);
	assert_non_null(now.live.trust);
	assert_true(zg_trust_clear(easy));
	end(&was);
	assert_true(zg_trust_apply(&now.live, &now.server[0], easy));
	assert_true(zg_slice_eq(zg_trust_proofs(&now.live, &now.server[0], &count)->value,
				ZG_SLICE("Bearer new")));
	assert_true(zg_trust_clear(easy));
	end(&now);
	curl_easy_cleanup(easy);
}

static void people_are_told_why(void **state)
{
	static const struct {
		CURLcode code;
		const char *says; /* NULL: it is no matter of trust */
	} rows[] = {
		{CURLE_PEER_FAILED_VERIFICATION, "for another name"},
		{CURLE_SSL_PINNEDPUBKEYNOTMATCH, "another key than those that are pinned"},
		{CURLE_SSL_CERTPROBLEM, "our own certificate"},
		{CURLE_SSL_CONNECT_ERROR, "no TLS could be agreed on"},
		{CURLE_OK, NULL},
		{CURLE_RECV_ERROR, NULL},
		{CURLE_COULDNT_CONNECT, NULL},
	};
	CURL *easy = curl_easy_init();

	(void)state;
	assert_non_null(easy);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char text[256] = "";

		assert_int_equal(zg_trust_failure(easy, rows[i].code, text, sizeof(text)),
				 rows[i].says != NULL);
		if (!rows[i].says)
			continue;
		assert_non_null(strstr(text, "nothing was sent"));
		assert_non_null(strstr(text, rows[i].says));
	}
	curl_easy_cleanup(easy);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_server_gets_its_own),
		cmocka_unit_test(what_was_parsed_outlives_its_configuration),
		cmocka_unit_test(people_are_told_why),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
