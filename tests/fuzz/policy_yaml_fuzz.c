/* SPDX-License-Identifier: Apache-2.0 */
/*
 * policy_yaml_fuzz.c - any bytes as a policy: refused with a place, or compiled
 * to a section that its own reader accepts and that judges without a fault.
 * What stands behind a NUL is the arguments of the call, as JSON.
 */
#include "compile.h"
#include "decide.h"
#include "parse.h"

static void judge(const struct zg_policy *p, const char *method, const char *tool,
		  const json_t *arguments)
{
	struct zg_envelope env = {.server = ZG_SLICE("github"),
				  .method = zg_slice_str(method),
				  .tool = zg_slice_str(tool),
				  .arguments = arguments,
				  .time_sec = 1795392000};
	char text[ZG_REASON_LEN];
	struct zg_decision d;

	if (zg_envelope_classify(p, &env) < 0)
		abort(); /* it is registered, and the methods are known */
	zg_decide(p, &env, &d);
	zg_decision_reason_text(p, &env, &d, text, sizeof(text));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *nul = size ? memchr(data, 0, size) : NULL;
	const size_t end = nul ? (size_t)(nul - data) : size;
	json_t *arguments = nul ? json_loadb((const char *)nul + 1, size - end - 1,
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
		judge(&p, "tools/call", "create_issue", arguments);
		judge(&p, "tools/list", "", arguments);
		zg_policy_close(&p);
	}
	json_decref(arguments);
	zg_diag_release(&diag);
	zg_arena_release(&arena);
	return 0;
}
