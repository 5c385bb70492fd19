/* SPDX-License-Identifier: Apache-2.0 */
/* route_test.c - which Host, Origin and path lead to a server, and which lead
 * nowhere (DNS rebinding, foreign pages, other paths of a registered host). */
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "lab.h"
#include "route.h"

static struct zg_snapshot snap;

static int setup(void **state)
{
	int fd = lab_snapshot(9000);

	(void)state;
	LAB_REQUIRE(zg_snapshot_open(&snap, fd, NULL) == 0);
	close(fd);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	zg_snapshot_close(&snap);
	return 0;
}

struct example {
	const char *target;
	const char *host;
	const char *origin; /* NULL = none */
	int status;	    /* 0 = found */
};

static void check(const struct example *x, bool transparent)
{
	struct zg_origin o = lab_origin();
	struct zg_http_head h = {.method = ZG_HM_POST, .target = zg_slice_str(x->target)};
	struct zg_route route;
	const char *why = NULL;

	if (transparent) {
		o.transparent = 1;
		o.dst_port_be = htons(9000);
	}
	h.field[ZG_HF_HOST] = zg_slice_str(x->host);
	if (x->origin)
		h.field[ZG_HF_ORIGIN] = zg_slice_str(x->origin);
	print_message("%s | %s | %s\n", x->target, x->host, x->origin ? x->origin : "-");
	assert_int_equal(zg_route_find(&route, &h, &o, &snap, &why), x->status);
	if (x->status) {
		assert_non_null(why);
	} else {
		assert_non_null(route.server);
		assert_string_equal(route.server->id, "s");
	}
}

static void test_explicit(void **state)
{
	static const struct example examples[] = {
		{"/s/mcp", "localhost:7411", NULL, 0},
		{"/s/mcp", "LOCALHOST:7411", NULL, 0},
		{"/s/mcp", "127.0.0.1:7411", NULL, 0},
		{"/s/mcp", "[::1]:7411", NULL, 0},
		{"/s/mcp", "[0:0::1]:7411", NULL, 0},
		{"/s/mcp", "localhost", NULL, 403},
		{"/s/mcp", "localhost:7412", NULL, 403},
		{"/s/mcp", "localhost:07411x", NULL, 403},
		{"/s/mcp", "127.0.0.2:7411", NULL, 403},
		{"/s/mcp", "evil.example", NULL, 403},
		{"/s/mcp", "evil.example:7411", NULL, 403},
		{"/s/mcp", "localhost.evil.example:7411", NULL, 403},
		{"/s/mcp", "localhost:7411@evil.example", NULL, 403},
		{"/s/mcp", "[::1", NULL, 403},
		{"/s/mcp", "localhost:7411", "http://localhost:7411", 0},
		{"/s/mcp", "localhost:7411", "http://[::1]:7411", 0},
		{"/s/mcp", "localhost:7411", "http://127.0.0.1:9000", 0}, /* the server's own */
		{"/s/mcp", "localhost:7411", "http://localhost:3000", 403},
		{"/s/mcp", "localhost:7411", "https://localhost:7411", 403},
		{"/s/mcp", "localhost:7411", "http://evil.example", 403},
		{"/s/mcp", "localhost:7411", "http://localhost:7411.evil.example", 403},
		{"/s/mcp", "localhost:7411", "null", 403},
		{"/s/mcp", "localhost:7411", "", 403},
		{"/s/mcp/", "localhost:7411", NULL, 404},
		{"/mcp", "localhost:7411", NULL, 404},
		{"//mcp", "localhost:7411", NULL, 404},
		{"/", "localhost:7411", NULL, 404},
		{"/../s/mcp", "localhost:7411", NULL, 404},
		{"/s%2fmcp/mcp", "localhost:7411", NULL, 404},
		{"/s/mcp?x=1", "localhost:7411", NULL, 404},
		{"http://localhost:7411/s/mcp", "localhost:7411", NULL, 404},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(examples) / sizeof(examples[0]); i++)
		check(&examples[i], false);
}

static void test_transparent(void **state)
{
	static const struct example examples[] = {
		{"/mcp", "127.0.0.1:9000", NULL, 0},
		{"/mcp", "localhost:9000", NULL, 0},
		{"/mcp", "[::ffff:127.0.0.1]:9000", NULL, 0},
		{"/mcp", "[::ffff:7f00:1]:9000", NULL, 0},
		{"/mcp", "127.0.0.1:9000", "http://127.0.0.1:9000", 0},
		{"/mcp", "127.0.0.1:9000", "http://127.0.0.1:9001", 403},
		{"/mcp", "127.0.0.1:9001", NULL, 403},
		{"/mcp", "127.0.0.1", NULL, 403},
		{"/mcp", "evil.example:9000", NULL, 403},
		{"/other", "127.0.0.1:9000", NULL, 404},
		{"/mcp/../admin", "127.0.0.1:9000", NULL, 404},
		{"/s/mcp", "127.0.0.1:9000", NULL, 404},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(examples) / sizeof(examples[0]); i++)
		check(&examples[i], true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_explicit),
		cmocka_unit_test(test_transparent),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
