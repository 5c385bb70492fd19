/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pure_test.c - a decision allocates nothing, whatever it is about: every
 * allocation of this binary is counted, those of libraries too.
 */
#include "world.h"

#define DECISIONS 10000

static size_t allocations;

#if defined(__SANITIZE_ADDRESS__)
/* of the sanitizers' runtime; gcc has no header for it */
int __sanitizer_install_malloc_and_free_hooks(void (*on_malloc)(const volatile void *, size_t),
					      void (*on_free)(const volatile void *));

static void on_malloc(const volatile void *p, size_t size)
{
	(void)p;
	(void)size;
	allocations++;
}

static void on_free(const volatile void *p)
{
	(void)p;
}

static void count_from_now(void)
{
	assert_true(__sanitizer_install_malloc_and_free_hooks(on_malloc, on_free) > 0);
}
#else
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t size);

void *malloc(size_t size)
{
	allocations++;
	return __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
	allocations++;
	return __libc_calloc(n, size);
}

void *realloc(void *p, size_t size)
{
	allocations++;
	return __libc_realloc(p, size);
}

static void count_from_now(void)
{
}
#endif

/* Something of everything that a condition can read. */
static const char *const policies[] = {
	"version: v1\nrules:\n"
	"  - {id: all, match: {}, decision: ALLOW, constraints: {max_runtime_sec: 9}}\n"
	"  - {id: labels, match: {labels: {mcp.tool: 'p*', env: prod}}, decision: ALLOW}\n"
	"  - {id: tags, match: {risk_tags: [prod, secret]}, decision: ALLOW}\n"
	"  - {id: is, match: {args: {/a/0: [x, 7, null]}}, decision: DENY}\n"
	"  - {id: glob, match: {args: {/path: '/etc/*'}}, decision: DENY}\n"
	"  - {id: regex, match: {args: {/sql: {regex: ['(?i)drop\\s+table', '^.{3}\\x{fc}+x']}}},\n"
	"     unless: {args: {/n: {min: 5, max: 8}}}, decision: REQUIRE_APPROVAL}\n"
	"  - {id: who, match: {principal: {uid: ['5-7', 9], cgroup: 'a/*', user: x, executable:\n"
	"     '/usr/*'}}, decision: DENY}\n"
	"  - {id: when, match: {time: [{days: [mon]}, {from: '22:00', to: '06:00'}]}, decision: "
	"DENY}\n"
	"  - {id: uri, match: {labels: {mcp.resource: 'file:///etc/*'}}, decision: DENY}\n"
	"classify:\n"
	"  - {id: c, match: {args: {/sql: {regex: '^select'}}}, set: {action: read, labels: {a: "
	"b},\n"
	"     risk_tags: [money]}}\n",
	NULL};

static const char *const arguments[] = {
	"{\"sql\":\"select * from t\",\"n\":6}",
	"{\"sql\":\"DROP  TABLE \xc3\xbc\",\"n\":1e3}",
	"{\"a\":[\"x\"],\"path\":\"/etc/passwd\"}",
	"{}",
};

static const struct {
	const char *server, *method, *tool;
} calls[] = {
	{"github", "tools/call", "push"},
	{"github", "tools/call", "get_secret_name"},
	{"github", "resources/read", "file:///%65tc/passwd"},
	{"github", "prompts/get", "p"},
	{"nobody", "tools/call", "push"},
	{"github", "no/such", ""},
};

static void a_decision_allocates_nothing(void **state)
{
	json_t *json[ZG_COUNT(arguments)];
	struct zg_principal who = {.uid = 6, .profile_id = ZG_PROFILE_FIRST, .cgroup = "a/b"};
	size_t decided[ZG_D_MAX] = {0};
	struct world w;
	size_t before;

	(void)state;
	world_make(&w, NULL, policies, world_servers);
	if (!w.ok)
		fail_msg("%s", first_error(&w));
	for (size_t i = 0; i < ZG_COUNT(arguments); i++)
		assert_non_null(json[i] = json_loads(arguments[i], 0, NULL));
	count_from_now();
	before = allocations;
	for (size_t i = 0; i < DECISIONS; i++) {
		size_t call = i % ZG_COUNT(calls);
		struct zg_envelope env = {
			.server = zg_slice_str(calls[call].server),
			.method = zg_slice_str(calls[call].method),
			.tool = zg_slice_str(calls[call].tool),
			.arguments = json[i / ZG_COUNT(calls) % ZG_COUNT(arguments)],
			.principal = i % 5 ? &who : NULL,
			.executable = i % 3 ? ZG_SLICE("/bin/sh") : ZG_SLICE(""),
			.time_sec = i % 7 * 40000,
			.preview = i % 11 == 0,
		};
		struct zg_decision d;

		who.uid = (uint32_t)(i % 13);
		(void)!zg_envelope_classify(&w.policy, &env);
		zg_decide(&w.policy, &env, &d);
		decided[d.kind]++;
	}
	assert_int_equal(allocations, before);
	assert_true(decided[ZG_D_DENY] && decided[ZG_D_REQUIRE_APPROVAL] && decided[ZG_D_ALLOW]);
	/* it does count */
	json_decref(json_string("x"));
	assert_true(allocations > before);
	for (size_t i = 0; i < ZG_COUNT(arguments); i++)
		json_decref(json[i]);
	world_end(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_decision_allocates_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
