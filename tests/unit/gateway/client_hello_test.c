/* SPDX-License-Identifier: Apache-2.0 */
/* client_hello_test.c - the hellos of real clients, whole, in pieces and spoilt. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "buf.h"
#include "client_hello.h"

#define CORPUS "tests/fuzz/corpus/client_hello/"
#define NAME   "good.tls.example"

static void load(struct zg_buf *b, const char *file)
{
	char path[256];
	int fd;

	*b = ZG_BUF(ZG_HELLO_WIRE_BYTES);
	snprintf(path, sizeof(path), CORPUS "%s", file);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_return_code(zg_buf_read(b, fd), 0);
	close(fd);
}

static enum zg_hello_state read_bytes(const void *bytes, size_t n, struct zg_client_hello *out)
{
	return zg_client_hello_read((struct zg_slice){bytes, n}, out);
}

static const struct {
	const char *file;
	const char *name;
	bool encrypted, alpn, http1;
} clients[] = {
	{"openssl_good", NAME, false, false, false},  {"openssl_tls12", NAME, false, false, false},
	{"openssl_no_name", "", false, false, false}, {"curl_h2", NAME, false, true, true},
	{"curl_http1", NAME, false, true, true},      {"node", NAME, false, true, true},
	{"python", NAME, false, false, false},	      {"go_like", NAME, false, true, true},
	{"ech_good", NAME, true, false, false},
};

#define CLIENTS (sizeof(clients) / sizeof(clients[0]))

static void real_clients_are_understood(void **state)
{
	(void)state;
	for (size_t i = 0; i < CLIENTS; i++) {
		struct zg_client_hello h;
		zg_autobuf b;

		load(&b, clients[i].file);
		assert_int_equal(read_bytes(b.ptr, b.len, &h), ZG_HELLO_COMPLETE);
		assert_string_equal(h.name, clients[i].name);
		assert_int_equal(h.encrypted, clients[i].encrypted);
		assert_int_equal(h.alpn, clients[i].alpn);
		assert_int_equal(h.http1, clients[i].http1);
	}
}

/* As the bytes come: never complete before the last one, never wrong. */
static void every_beginning_of_one_waits_for_more(void **state)
{
	(void)state;
	for (size_t i = 0; i < CLIENTS; i++) {
		zg_autobuf b;

		load(&b, clients[i].file);
		for (size_t n = 0; n < b.len; n++) {
			/* a copy of this size: reading beyond it is seen by the sanitizer */
			zg_autofree char *copy = malloc(n ? n : 1);
			struct zg_client_hello h;

			memcpy(copy, b.ptr, n);
			assert_int_equal(read_bytes(copy, n, &h), ZG_HELLO_MORE);
		}
	}
}

/* The message of a hello, in records of the given size. */
static void in_records(const struct zg_buf *hello, size_t piece, struct zg_buf *out)
{
	const char *message = hello->ptr + 5;
	size_t left = hello->len - 5;

	zg_buf_reset(out);
	while (left) {
		size_t n = left < piece ? left : piece;
		const char head[] = {22, 3, 1, (char)(n >> 8), (char)n};

		zg_buf_add(out, head, sizeof(head));
		zg_buf_add(out, message, n);
		message += n;
		left -= n;
	}
	assert_true(zg_buf_ok(out));
}

static void a_hello_may_be_spread_over_records_at_any_byte(void **state)
{
	zg_autobuf b, wire = ZG_BUF(1 << 20);
	struct zg_client_hello h;

	(void)state;
	load(&b, "openssl_good");
	for (size_t piece = 1; piece < b.len; piece++) {
		in_records(&b, piece, &wire);
		assert_int_equal(read_bytes(wire.ptr, wire.len, &h), ZG_HELLO_COMPLETE);
		assert_string_equal(h.name, NAME);
		assert_int_equal(read_bytes(wire.ptr, wire.len - 1, &h), ZG_HELLO_MORE);
	}
}

static void a_long_hello_in_tiny_records_is_given_up(void **state)
{
	zg_autobuf wire = ZG_BUF(1 << 20);
	struct zg_client_hello h;

	(void)state;
	/* it says it has 16,000 bytes */
	zg_buf_add(&wire, "\x16\x03\x01\x00\x04\x01\x00\x3e\x80", 9);
	while (wire.len < ZG_HELLO_WIRE_BYTES)
		zg_buf_add(&wire, "\x16\x03\x01\x00\x01\x03", 6);
	assert_int_equal(read_bytes(wire.ptr, wire.len, &h), ZG_HELLO_BAD);
	assert_non_null(strstr(h.why, "pieces"));
}

static void what_follows_in_records_of_its_own_is_not_looked_at(void **state)
{
	struct zg_client_hello h;
	zg_autobuf b;

	(void)state;
	load(&b, "openssl_good");
	zg_buf_add(&b, "\x14\x03\x03\x00\x01\x01\x17\x03\x03\x40", 10); /* early data */
	assert_int_equal(read_bytes(b.ptr, b.len, &h), ZG_HELLO_COMPLETE);
	assert_string_equal(h.name, NAME);
}

static void what_is_not_tls_is_told_apart_at_once(void **state)
{
	static const char *const other[] = {
		"GET / HTTP/1.1\r\n",	"POST",	  "SSH-2.0-x", "\x80\x2e\x01",
		"\x15\x03\x01\x00\x02", "\x16GET"};
	struct zg_client_hello h;

	(void)state;
	for (size_t i = 0; i < sizeof(other) / sizeof(other[0]); i++)
		assert_int_equal(read_bytes(other[i], strlen(other[i]), &h), ZG_HELLO_PLAIN);
	assert_int_equal(read_bytes("", 0, &h), ZG_HELLO_MORE);
}

/* A hello by hand, so that each of its lengths can be made to lie. */
struct draft {
	const char *server_name; /* the extension's content, in hex */
	const char *more;	 /* further extensions, in hex */
	int extensions_more;	 /* added to the length that is said */
	int message_more;
	const char *tail; /* behind the extensions, in hex */
};

static void add_hex(struct zg_buf *b, const char *hex)
{
	for (; hex && *hex; hex += 2) {
		unsigned int byte;

		assert_int_equal(sscanf(hex, "%2x", &byte), 1);
		zg_buf_char(b, (char)byte);
	}
}

static void add16(struct zg_buf *b, size_t n)
{
	zg_buf_char(b, (char)(n >> 8));
	zg_buf_char(b, (char)n);
}

static void compose(const struct draft *d, struct zg_buf *wire)
{
	zg_autobuf ext = ZG_BUF(70000), name = ZG_BUF(70000), body = ZG_BUF(70000);
	size_t n;

	if (d->server_name) {
		add_hex(&name, d->server_name);
		add16(&ext, 0);
		add16(&ext, name.len);
		zg_buf_add(&ext, name.ptr, name.len);
	}
	add_hex(&ext, d->more);
	add_hex(&body, "0303");
	for (int i = 0; i < 32; i++)
		zg_buf_char(&body, (char)i);
	add_hex(&body, "00"
		       "0002"
		       "1301"
		       "0100");
	add16(&body, (size_t)((int)ext.len + d->extensions_more));
	if (ext.len)
		zg_buf_add(&body, ext.ptr, ext.len);
	add_hex(&body, d->tail);
	n = (size_t)((int)body.len + d->message_more);
	add_hex(wire, "160301");
	add16(wire, body.len + 4);
	zg_buf_char(wire, 1);
	zg_buf_char(wire, 0);
	add16(wire, n);
	zg_buf_add(wire, body.ptr, body.len);
}

static enum zg_hello_state of(struct draft d, struct zg_client_hello *h)
{
	zg_autobuf wire = ZG_BUF(70000);

	compose(&d, &wire);
	assert_true(zg_buf_ok(&wire));
	return read_bytes(wire.ptr, wire.len, h);
}

#define GOOD "000a0000076e2e612e622e63" /* n.a.b.c */

static void lengths_that_lie_and_names_that_are_none_are_refused(void **state)
{
	static const struct draft bad[] = {
		{.server_name = GOOD, .extensions_more = 1},
		{.server_name = GOOD, .extensions_more = -1},
		{.server_name = GOOD, .message_more = -1},
		{.server_name = GOOD, .tail = "00"},
		{.server_name = GOOD, .more = "0000000c" GOOD}, /* twice */
		{.server_name = GOOD,
		 .more = "00170000"
			 "00170000"}, /* another twice */
		{.server_name = GOOD, .more = "001700"},
		{.server_name = ""},
		{.server_name = "0000"},
		{.server_name = "000300000000"},
		{.server_name = "00030000"
				"00"},
		{.server_name = "000a0100076e2e612e622e63"}, /* of another type */
		{.server_name = "00090000076e2e612e622e63"},
		{.server_name = "000a0000066e2e612e622e63"},
		{.server_name = GOOD "00"},
		{.server_name = "00120000076e2e612e622e63"
				"000005612e622e63"},	     /* two */
		{.server_name = "000a0000076e2e612e622e2e"}, /* a dot at the end */
		{.server_name = "000a0000076e2e6100622e63"}, /* NUL */
		{.server_name = "000a0000076e2e6120622e63"},
		{.server_name = "000a0000072e6e2e61622e63"},
		{.server_name = GOOD,
		 .more = "00100003"
			 "000168"}, /* protocols */
		{.server_name = GOOD,
		 .more = "00100002"
			 "0000"},
		{.server_name = GOOD,
		 .more = "00100003"
			 "000100"},
	};
	struct zg_client_hello h;

	(void)state;
	assert_int_equal(of((struct draft){.server_name = GOOD}, &h), ZG_HELLO_COMPLETE);
	assert_string_equal(h.name, "n.a.b.c");
	assert_int_equal(of((struct draft){.server_name = "000a0000074e2e412E422e43"}, &h),
			 ZG_HELLO_COMPLETE);
	assert_string_equal(h.name, "n.a.b.c");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(of(bad[i], &h), ZG_HELLO_BAD);
		assert_non_null(h.why);
	}
}

static void hidden_names_are_seen_to_be_there(void **state)
{
	struct zg_client_hello h;

	(void)state;
	assert_int_equal(of((struct draft){.server_name = GOOD, .more = "fe0d000101"}, &h),
			 ZG_HELLO_COMPLETE);
	assert_true(h.encrypted);
	assert_int_equal(of((struct draft){.server_name = GOOD, .more = "ffce0000"}, &h),
			 ZG_HELLO_COMPLETE);
	assert_true(h.encrypted);
	assert_int_equal(of((struct draft){.server_name = GOOD, .more = "0a0a0000"}, &h),
			 ZG_HELLO_COMPLETE); /* GREASE of RFC 8701 hides nothing */
	assert_false(h.encrypted);
}

static void records_and_messages_of_other_kinds_are_refused(void **state)
{
	static const struct {
		const char *bytes;
		size_t n;
	} bad[] = {
		{"\x16\x03\x01\x00\x04\x02\x00\x00\x00", 9}, /* a ServerHello */
		{"\x16\x03\x01\x00\x00", 5},		     /* empty */
		{"\x16\x03\x01\x40\x01\x01\x00\x00\x10", 9}, /* too long a record */
		{"\x16\x03\x01\x00\x04\x01\x01\x00\x00", 9}, /* 64 kB */
		{"\x16\x03\x01\x00\x04\x01\x00\x00\x26\x17\x03\x03\x00", 14}, /* data within */
		{"\x16\x03\x01\x00\x05\x01\x00\x00\x00\x00", 10},	      /* more than itself */
		{"\x16\x03\x01\x00\x04\x01\x00\x00\x00", 9},		      /* nothing in it */
	};
	struct zg_client_hello h;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(read_bytes(bad[i].bytes, bad[i].n, &h), ZG_HELLO_BAD);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(real_clients_are_understood),
		cmocka_unit_test(every_beginning_of_one_waits_for_more),
		cmocka_unit_test(a_hello_may_be_spread_over_records_at_any_byte),
		cmocka_unit_test(a_long_hello_in_tiny_records_is_given_up),
		cmocka_unit_test(what_follows_in_records_of_its_own_is_not_looked_at),
		cmocka_unit_test(what_is_not_tls_is_told_apart_at_once),
		cmocka_unit_test(lengths_that_lie_and_names_that_are_none_are_refused),
		cmocka_unit_test(hidden_names_are_seen_to_be_there),
		cmocka_unit_test(records_and_messages_of_other_kinds_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
