/* SPDX-License-Identifier: Apache-2.0 */
/*
 * parse_constraints.c - see parse_constraints.h. Trust: policy files belong to
 * the operator; what cannot be enforced exactly as written is an error. Never
 * opens a file.
 */
#include "parse_constraints.h"

static void parse_runtime(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	struct zg_constraints_src *c = into;

	(void)zg_yaml_uint(ctx, y, 1, ZG_POLICY_RUNTIME_MAX, &c->max_runtime_sec);
}

static void parse_retries(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	struct zg_constraints_src *c = into;

	c->has_max_retries = zg_yaml_uint(ctx, y, 0, ZG_POLICY_RETRIES_MAX, &c->max_retries);
}

static void parse_allowlist(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	struct zg_constraints_src *c = into;
	struct zg_texts hosts;

	if (!zg_yaml_texts(ctx, y, &hosts))
		return;
	for (size_t i = 0; i < hosts.count; i++) {
		struct zg_slice host = zg_lower_trimmed(ctx->arena, hosts.item[i]);

		if (!zg_host_ok(host, true)) {
			zg_yaml_error(ctx, y, "'%.*s' is not a host", ZG_FMT(hosts.item[i]));
			zg_diag_hint(ctx->diag, "a name or an address without scheme, port or "
						"path; '*.' may stand in front of a name");
			return;
		}
		hosts.item[i] = host;
	}
	c->allowlist = hosts;
}

static void parse_output(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	struct zg_constraints_src *c = into;

	(void)zg_yaml_uint(ctx, y, 1, ZG_POLICY_OUTPUT_MAX, &c->max_output_bytes);
}

static void parse_redact(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	struct zg_constraints_src *c = into;
	struct zg_slice s;

	if (!zg_yaml_text(ctx, y, &s))
		return;
	for (int i = 0; i < ZG_REDACT_MAX; i++) {
		if (!zg_slice_eq(s, zg_slice_str(zg_redact_text_of((enum zg_redact)i))))
			continue;
		c->redact = (enum zg_redact)i;
		return;
	}
	zg_yaml_error(ctx, y, "'%.*s' is not a redact level", ZG_FMT(s));
	zg_diag_hint(ctx->diag, "default, strict or withhold");
}

/* limits -------------------------------------------------------------------------- */

struct limit_ctx {
	struct zg_limit limit;
	bool good;
};

static void parse_calls(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	struct limit_ctx *l = into;

	l->good &= zg_yaml_uint(ctx, y, 1, ZG_QUOTA_CALLS_MAX, &l->limit.calls);
}

static void parse_per(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	static const struct {
		const char *text;
		uint32_t sec;
	} rows[] = {
#define X(NAME, text, seconds) {text, seconds},
		ZG_LIMIT_PER(X)
#undef X
	};
	struct limit_ctx *l = into;
	struct zg_slice s;

	l->limit.sec = 0;
	if (zg_yaml_text(ctx, y, &s)) {
		for (size_t i = 0; i < ZG_COUNT(rows); i++)
			if (zg_slice_eq(s, zg_slice_str(rows[i].text)))
				l->limit.sec = rows[i].sec;
		if (!l->limit.sec) {
			zg_yaml_error(ctx, y, "'%.*s' is not a window", ZG_FMT(s));
			zg_diag_hint(ctx->diag, "second, minute, hour or day");
		}
	}
	l->good &= l->limit.sec != 0;
}

static void parse_by(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	static const char *const names[ZG_LB_MAX] = {
#define X(NAME, text) [ZG_LB_N_##NAME] = (text),
		ZG_LIMIT_BY(X)
#undef X
	};
	struct limit_ctx *l = into;
	struct zg_texts by;

	if (!zg_yaml_texts(ctx, y, &by)) {
		l->good = false;
		return;
	}
	for (size_t i = 0; i < by.count; i++) {
		uint32_t bit = 0;

		while (bit < ZG_LB_MAX && !zg_slice_eq(by.item[i], zg_slice_str(names[bit])))
			bit++;
		if (bit < ZG_LB_MAX) {
			l->limit.by |= 1u << bit;
			continue;
		}
		zg_yaml_error(ctx, y, "calls are not counted by '%.*s'", ZG_FMT(by.item[i]));
		zg_diag_hint(ctx->diag, "principal, cgroup, server, tool; without 'by' all calls "
					"of the rule are counted together");
		l->good = false;
	}
}

static const struct zg_yaml_field rate_fields[] = {
	{"calls", parse_calls, true},
	{"per", parse_per, true},
	{"by", parse_by, false},
};

static const struct zg_yaml_field concurrent_fields[] = {
	{"calls", parse_calls, true},
	{"by", parse_by, false},
};

static void add_limit(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y,
		      struct zg_constraints_src *c, const struct zg_limit *l)
{
	for (size_t i = 0; i < c->limit_count; i++) {
		if (c->limit[i].kind != l->kind || c->limit[i].sec != l->sec ||
		    c->limit[i].by != l->by)
			continue;
		zg_yaml_error(ctx, y, "the same limit is given twice");
		zg_diag_hint(ctx->diag, "keep the smaller one");
		return;
	}
	if (c->limit_count == ZG_LIMITS_MAX) {
		zg_yaml_error(ctx, y, "more than %d limits", ZG_LIMITS_MAX);
		zg_diag_hint(ctx->diag, "keep those that bound most");
	} else
		c->limit[c->limit_count++] = *l;
}

static void parse_limit(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y,
			struct zg_constraints_src *c, enum zg_quota_kind kind)
{
	struct limit_ctx l = {.limit = {.kind = kind, .sec = 1}, .good = true};

	if (kind == ZG_QK_RATE)
		l.good = zg_yaml_map(ctx, y, "a rate", rate_fields, ZG_COUNT(rate_fields), &l) &&
			 l.good;
	else if (y->kind == ZG_Y_SCALAR)
		parse_calls(ctx, y, &l);
	else
		l.good = zg_yaml_map(ctx, y, "max_concurrent", concurrent_fields,
				     ZG_COUNT(concurrent_fields), &l) &&
			 l.good;
	if (l.good)
		add_limit(ctx, y, c, &l.limit);
}

/* One, or a list of them. */
static void parse_limits(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y,
			 struct zg_constraints_src *c, enum zg_quota_kind kind)
{
	if (y->kind != ZG_Y_LIST) {
		parse_limit(ctx, y, c, kind);
		return;
	}
	if (!y->count) {
		zg_yaml_error(ctx, y, "a list without a limit");
		zg_diag_hint(ctx->diag, "remove it, or {calls: 10, per: minute}");
	}
	for (const struct zg_yaml *item = y->first; item; item = item->next)
		parse_limit(ctx, item, c, kind);
}

static void parse_rate(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	parse_limits(ctx, y, into, ZG_QK_RATE);
}

static void parse_concurrent(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	parse_limits(ctx, y, into, ZG_QK_CONCURRENT);
}

static const struct zg_yaml_field constraint_fields[] = {
	{"max_runtime_sec", parse_runtime, false},
	{"max_retries", parse_retries, false},
	{"network_allowlist", parse_allowlist, false},
	{"max_output_bytes", parse_output, false},
	{"redact", parse_redact, false},
	{"rate", parse_rate, false},
	{"max_concurrent", parse_concurrent, false},
};

void zg_constraints_parse(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y,
			  struct zg_constraints_src *c)
{
	if (zg_yaml_map(ctx, y, "constraints", constraint_fields, ZG_COUNT(constraint_fields), c) &&
	    !y->count) {
		zg_yaml_error(ctx, y, "constraints without a constraint");
		zg_diag_hint(ctx->diag, "max_runtime_sec: 60, or another of zerogate-policy(5)");
	}
}

void zg_constraints_approvers(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y,
			      struct zg_constraints_src *c)
{
	(void)zg_yaml_uint(ctx, y, 1, ZG_POLICY_APPROVERS_MAX, &c->approvers);
}

/* Is the rule about what servers ask alone? */
static bool of_servers(const struct zg_rule_src *rule)
{
	for (size_t i = 0; i < rule->match.count; i++)
		if (rule->match.item[i].kind == ZG_CK_LABEL &&
		    zg_slice_eq(rule->match.item[i].key, ZG_SLICE("mcp.direction")))
			return true;
	return false;
}

void zg_constraints_check(const struct zg_yaml_ctx *ctx, const struct zg_rule_src *rule,
			  const struct zg_yaml *constraints, const struct zg_yaml *approvers)
{
	const struct zg_constraints_src *c = &rule->constraints;

	if (rule->decision == ZG_D_DENY && constraints) {
		zg_yaml_error(ctx, constraints, "a DENY cannot have constraints");
		zg_diag_hint(ctx->diag, "remove them, or decide ALLOW_WITH_CONSTRAINTS");
	}
	if (rule->decision != ZG_D_REQUIRE_APPROVAL && approvers) {
		zg_yaml_error(ctx, approvers, "approvers in a rule that says %s",
			      zg_decision_text(rule->decision));
		zg_diag_hint(ctx->diag, "decide REQUIRE_APPROVAL, or remove them");
	}
	if (constraints && of_servers(rule) &&
	    (c->limit_count || c->has_max_retries || c->max_output_bytes || c->max_runtime_sec ||
	     c->redact)) {
		zg_yaml_error(ctx, constraints,
			      "what a server asks can be held to network_allowlist alone");
		zg_diag_hint(ctx->diag, "constrain the calls in which it asks");
	}
}
