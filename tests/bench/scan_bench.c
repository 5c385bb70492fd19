/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scan_bench.c - what scanning costs: ordinary tool results made from a fixed
 * seed (prose, source code, JSON in a string, log lines, UUIDs, base64), in
 * messages of several sizes, through the calls that the gateway makes. One
 * thread, its CPU time; the best of several rounds, GB of raw message a second. With an
 * argument, only the rows whose name holds it.
 */
#include <stdio.h>

#include "scan.h"

#define TOTAL  (32U << 20) /* bytes of messages a round */
#define ROUNDS 5

enum shape { PROSE, CODE, NESTED, LOG, BLOB, FOREIGN, MIXED };

static uint64_t seed = 42;

static unsigned draw(unsigned n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (unsigned)(seed >> 33) % n;
}

static const char *const words[] = {
	"the",	  "request", "server", "returned", "a",	     "list",  "of",	"open",
	"issues", "for",     "this",   "project",  "update", "value", "config", "and",
	"then",	  "retry",   "after",  "failure",  "with",   "id",    "in",	"review",
};

static void put_text(struct zg_buf *b, enum shape shape, size_t n)
{
	static const char base64[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	size_t end = b->len + n;

	while (b->len < end) {
		const char *w = words[draw(sizeof(words) / sizeof(words[0]))];

		switch (shape) {
		case PROSE:
			zg_buf_fmt(b, draw(12) ? "%s " : "%s.\\n", w);
			break;
		case CODE:
			zg_buf_fmt(b, "\\tif (%s[%u] == \\\"%s\\\") {\\n", w, draw(100), w);
			break;
		case NESTED:
			zg_buf_fmt(b, "{\\\"%s\\\":%u,\\\"url\\\":\\\"https://api.corp/%s/%u\\\"},",
				   w, draw(1000000), w, draw(9999));
			break;
		case LOG:
			zg_buf_fmt(b, "2026-01-%02uT10:%02u:%02u.%06uZ %s pid=%u %08x-%04x\\n",
				   1 + draw(28), draw(60), draw(60), draw(1000000), w, draw(32768),
				   draw(1U << 31), draw(65536));
			break;
		case BLOB:
			zg_buf_char(b, base64[draw(64)]);
			break;
		case FOREIGN:
			zg_buf_fmt(b, "\xe8\xaf\xb7\xe6\xb1\x82 %s \xc3\xa9\xc3\xa0 ", w);
			break;
		case MIXED:
			put_text(b, (enum shape)draw(5), 200 + draw(800));
			break;
		}
	}
}

static void put_message(struct zg_buf *b, enum shape shape, size_t n)
{
	zg_buf_fmt(b,
		   "{\"jsonrpc\":\"2.0\",\"id\":%u,\"result\":{\"content\":[{\"type\":\"text\","
		   "\"text\":\"",
		   draw(1000));
	put_text(b, shape, n);
	zg_buf_str(b, "\"}],\"isError\":false}}");
}

static double now(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static const char *only; /* rows whose name holds this */

static int measure(struct zg_scanner *s, const char *name, enum shape shape, size_t size)
{
	zg_autobuf messages = ZG_BUF(3 * TOTAL), out = ZG_BUF(3 * TOTAL);
	size_t count = 0, *end = calloc(TOTAL / size + 2, sizeof(*end)), hits = 0;
	struct zg_findings found = {0};
	double best_json = 1e9, best_text = 1e9;
	struct zg_err e;

	if (only && !strstr(name, only)) {
		free(end);
		return 0;
	}
	while (end && messages.len < TOTAL) {
		put_message(&messages, shape, size);
		end[count++] = messages.len;
	}
	for (int round = 0; end && round < ROUNDS; round++) {
		double start = now();
		size_t from = 0;
		bool changed;

		hits = 0;
		for (size_t i = 0; i < count; from = end[i++]) {
			struct zg_slice m = {messages.ptr + from, end[i] - from};

			if (zg_scan_json(s, m, &found, &out, &changed, NULL, &e) < 0)
				return 1;
			hits += found.count;
		}
		best_json = now() - start < best_json ? now() - start : best_json;
		start = now();
		from = 0;
		for (size_t i = 0; i < count; from = end[i++])
			if (zg_scan_text(s, (struct zg_slice){messages.ptr + from, end[i] - from},
					 &found) < 0)
				return 1;
		best_text = now() - start < best_text ? now() - start : best_text;
	}
	printf("  %-22s %8zu B  %6.2f GB/s  %6.2f GB/s  %8.2f us  %zu\n", name, size,
	       (double)messages.len / best_json / 1e9, (double)messages.len / best_text / 1e9,
	       best_json / (double)count * 1e6, hits);
	zg_findings_release(&found);
	free(end);
	return zg_buf_ok(&messages) ? 0 : 1;
}

int main(int argc, char **argv)
{
	zg_autobuf db = ZG_BUF(1 << 24);
	struct zg_scanner *s = NULL;
	struct zg_err e = {0};
	double start = now();
	int r = 0;

	only = argc > 1 ? argv[1] : NULL;
	if (zg_scandb_build(&db, &e) < 0)
		return 1;
	printf("scan: database %zu bytes, compiled in %.1f ms", db.len, (now() - start) * 1e3);
	start = now();
	if (zg_scanner_new(&s, db.ptr, db.len, &e) < 0)
		return 1;
	printf(", loaded in %.2f ms\n", (now() - start) * 1e3);
	printf("  %-22s %10s  %11s  %11s  %11s  %s\n", "messages", "size", "JSON walk", "text only",
	       "a message", "findings");
	r |= measure(s, "mixed", MIXED, 512);
	r |= measure(s, "mixed", MIXED, 4096);
	r |= measure(s, "mixed", MIXED, 65536);
	r |= measure(s, "mixed", MIXED, 1 << 20);
	r |= measure(s, "prose", PROSE, 16384);
	r |= measure(s, "source code", CODE, 16384);
	r |= measure(s, "JSON in a string", NESTED, 16384);
	r |= measure(s, "log lines", LOG, 16384);
	r |= measure(s, "base64", BLOB, 16384);
	r |= measure(s, "not ASCII", FOREIGN, 16384);
	zg_scanner_free(s);
	return r;
}
