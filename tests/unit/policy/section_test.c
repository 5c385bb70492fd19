/* SPDX-License-Identifier: Apache-2.0 */
/* A compiled section that somebody broke: refused, or harmless to read. */
#include "policy/world.h"

static void use(const struct zg_policy *p)
{
	static const char *const methods[] = {"tools/call", "tools/list", "x"};
	static const char *const tools[] = {"get_me", "push", ""};
	char text[ZG_REASON_LEN];

	for (size_t m = 0; m < ZG_COUNT(methods); m++) {
		for (size_t t = 0; t < ZG_COUNT(tools); t++) {
			struct zg_envelope env = {.server = ZG_SLICE("github"),
						  .method = zg_slice_str(methods[m]),
						  .tool = zg_slice_str(tools[t])};
			struct zg_decision d;

			if (zg_envelope_classify(p, &env) < 0)
				assert_true(env.label_count <= ZG_LABELS_MAX);
			zg_decide(p, &env, &d);
			assert_true(d.kind < ZG_D_MAX);
			zg_decision_reason_text(p, &env, &d, text, sizeof(text));
			zg_decision_rules_text(p, &d, text, sizeof(text));
			for (uint16_t l = 0; l < d.constraints.allowlist_count; l++)
				(void)zg_policy_allowlist_has(p, d.constraints.allowlist[l],
							      ZG_SLICE("a.example"));
		}
	}
}

static void world_with_everything(struct world *w)
{
	world_rules(w,
		    "  - id: a\n    match: {labels: {mcp.tool: ['g*', push]}, risk_tags: [prod]}\n"
		    "    unless: {labels: {env: test}}\n    decision: ALLOW\n"
		    "    constraints: {network_allowlist: [a.example, b.example], max_retries: 1}\n"
		    "  - id: b\n    match: {labels: {mcp.server: '*'}}\n    decision: DENY\n"
		    "    mcp: {deny_servers_not_in: [github]}\n    reason: no\n");
}

/* Exact size on the heap, so that a sanitizer sees a read beyond it. */
static void *section_copy(const struct world *w, size_t size)
{
	void *copy = malloc(size ? size : 1);

	assert_non_null(copy);
	memcpy(copy, w->policy.bytes, size);
	return copy;
}

static void truncated_sections_are_refused(void **state)
{
	struct world w;

	(void)state;
	world_with_everything(&w);
	for (size_t n = 0; n < w.policy.size; n++) {
		struct zg_policy p = {0};
		void *copy = section_copy(&w, n);

		assert_int_equal(zg_policy_open(&p, copy, n, NULL), -EBADMSG);
		assert_null(p.bytes);
		free(copy);
	}
	world_end(&w);
}

static void flipped_bytes_are_refused_or_harmless(void **state)
{
	static const uint8_t flips[] = {0x01, 0x80, 0xff, 0x7f};
	size_t refused = 0;
	struct world w;

	(void)state;
	world_with_everything(&w);
	for (size_t i = 0; i < w.policy.size; i++) {
		for (size_t f = 0; f < sizeof(flips); f++) {
			uint8_t *copy = section_copy(&w, w.policy.size);
			struct zg_policy p;

			copy[i] ^= flips[f];
			if (zg_policy_open(&p, copy, w.policy.size, NULL) == 0)
				use(&p);
			else
				refused++;
			free(copy);
		}
	}
	assert_true(refused > w.policy.size);
	world_end(&w);
}

static void random_damage_is_refused_or_harmless(void **state)
{
	uint64_t seed = 42;
	struct world w;

	(void)state;
	world_with_everything(&w);
	for (int round = 0; round < 20000; round++) {
		uint8_t *copy = section_copy(&w, w.policy.size);
		struct zg_policy p;

		for (int i = 0; i < 4; i++) {
			seed = seed * 6364136223846793005u + 1442695040888963407u;
			copy[(seed >> 33) % w.policy.size] = (uint8_t)(seed >> 56) & 15;
		}
		if (zg_policy_open(&p, copy, w.policy.size, NULL) == 0)
			use(&p);
		free(copy);
	}
	world_end(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(truncated_sections_are_refused),
		cmocka_unit_test(flipped_bytes_are_refused_or_harmless),
		cmocka_unit_test(random_damage_is_refused_or_harmless),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
