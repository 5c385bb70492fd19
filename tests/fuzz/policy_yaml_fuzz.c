/* SPDX-License-Identifier: Apache-2.0 */
/*
 * policy_yaml_fuzz.c - any bytes as a policy: refused with a place, or compiled
 * to a section that its own reader accepts and that judges without a fault.
 * What stands behind a NUL is the call, as a JSON object: tool, arguments,
 * time, and who calls.
 */
#include "compile.h"
#include "decide.h"
#include "parse.h"
#include "trace.h"

static const char *text_of(const json_t *call, const char *key, const char *otherwise)
{
	const char *text = json_string_value(json_object_get(call, key));

	return text ? text : otherwise;
}

static void ignore(void *arg, const struct zg_trace_cond *c)
{
	(void)arg;
	(void)c;
}

static void judge(const struct zg_policy *p, const char *method, const json_t *call, bool preview)
{
	static const uint8_t sha256[32] = {1};
	const json_t *uid = json_object_get(call, "uid");
	struct zg_principal who = {.uid = (uint32_t)json_integer_value(uid)};
	struct zg_envelope env = {
		.server = ZG_SLICE("github"),
		.method = zg_slice_str(method),
		.tool = zg_slice_str(text_of(call, "tool", "create_issue")),
		.arguments = json_object_get(call, "arguments"),
		.time_sec = (uint64_t)json_integer_value(json_object_get(call, "time")),
		.principal = json_is_object(call) ? &who : NULL,
		.uid_unknown = !uid,
		.profile_unknown = true,
		.executable = zg_slice_str(text_of(call, "executable", "")),
		.executable_sha256 = uid ? sha256 : NULL,
		.user = zg_slice_str(text_of(call, "user", "")),
		.preview = preview};
	char text[ZG_RULES_LEN];
	struct zg_decision d;

	(void)zg_str_cut(who.profile, sizeof(who.profile),
			 zg_slice_str(text_of(call, "profile", "")));
	(void)zg_str_cut(who.cgroup, sizeof(who.cgroup), zg_slice_str(text_of(call, "cgroup", "")));
	if (zg_envelope_classify(p, &env) < 0)
		abort(); /* it is registered, and the methods are known */
	zg_decide(p, &env, &d);
	zg_decision_reason_text(p, &env, &d, text, sizeof(text));
	zg_decision_labels_text(p, &d, text, sizeof(text));
	for (size_t i = 0; !preview && i < zg_trace_rules(p); i++)
		(void)zg_trace_rule(p, &env, (uint16_t)i, true, ignore, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *nul = size ? memchr(data, 0, size) : NULL;
	const size_t end = nul ? (size_t)(nul - data) : size;
	json_t *call = nul ? json_loadb((const char *)nul + 1, size - end - 1,
					JSON_REJECT_DUPLICATES, NULL)
			   : NULL;
	struct zg_slice tag = ZG_SLICE("prod");
	struct zg_server_src server = {.id = ZG_SLICE("github"), .risk_tags = {&tag, 1}};
	struct zg_policy_src source = {0};
	struct zg_diag diag = {0};
	struct zg_arena arena;
	struct zg_yaml_ctx ctx = {"fuzz", &arena, &diag};
	zg_autobuf section = ZG_BUF(ZG_SNAPSHOT_BYTES);
	struct zg_policy p;

	zg_arena_init(&arena, 64u << 20);
	zg_policy_parse(&ctx, (struct zg_slice){(const char *)data, end}, &source);
	zg_policy_check(&source, &arena, &diag);
	if (!diag.errors && zg_policy_compile(&source, &server, 1, &arena, &section, NULL) == 0) {
		if (zg_policy_open(&p, section.ptr, section.len, NULL) < 0)
			abort(); /* what we wrote, we must be able to read */
		judge(&p, "tools/call", call, false);
		judge(&p, "tools/call", call, true);
		judge(&p, "resources/read", call, false);
		zg_policy_close(&p);
	}
	json_decref(call);
	zg_diag_release(&diag);
	zg_arena_release(&arena);
	return 0;
}
