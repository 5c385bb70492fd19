/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reason.c - a decision in words, for the person or the model that must act
 * on it. Trust: envelope text may be hostile; it is cut, and whoever prints or
 * encodes the sentence escapes it.
 */
#include "buf.h"
#include "section.h"

#define NAME_MAX_TEXT 64 /* of a server or tool inside one sentence */

const char *zg_decision_text(enum zg_decision_kind kind)
{
	static const char *const text[ZG_D_MAX] = {
#define X(NAME, words) [ZG_D_##NAME] = (words),
#include "tbl/decision.h"
#undef X
	};

	return kind < ZG_D_MAX ? text[kind] : text[ZG_D_DENY];
}

const char *zg_redact_text_of(enum zg_redact level)
{
	static const char *const text[ZG_REDACT_MAX] = {
		[ZG_REDACT_DEFAULT] = "default",
		[ZG_REDACT_STRICT] = "strict",
		[ZG_REDACT_WITHHOLD] = "withhold",
	};

	return level < ZG_REDACT_MAX ? text[level] : text[ZG_REDACT_WITHHOLD];
}

static void rule_text(const struct zg_policy *p, const struct zg_decision *d, char *out,
		      size_t size)
{
	struct zg_slice id = zg_policy_rule_id(p, d->decisive);
	struct zg_slice why = zg_policy_rule_reason(p, d->decisive);
	static const char *const says[ZG_D_MAX] = {
		[ZG_D_DENY] = "denies this call",
		[ZG_D_REQUIRE_APPROVAL] = "requires the approval of a person",
		[ZG_D_ALLOW_WITH_CONSTRAINTS] = "allows this call with constraints",
		[ZG_D_ALLOW] = "allows this call",
	};
	char text[ZG_REASON_LEN * 2];

	(void)snprintf(text, sizeof(text), "policy rule '%.*s' %s%s%.*s", (int)id.len, id.ptr,
		       says[d->kind], why.len ? ": " : "", (int)why.len, why.ptr);
	(void)zg_str_cut(out, size, zg_slice_str(text));
}

void zg_decision_reason_text(const struct zg_policy *p, const struct zg_envelope *env,
			     const struct zg_decision *d, char *out, size_t size)
{
	char server[NAME_MAX_TEXT], what[NAME_MAX_TEXT], text[ZG_REASON_LEN * 2] = "";

	(void)zg_str_cut(server, sizeof(server), env->server);
	(void)zg_str_cut(what, sizeof(what), env->tool.len ? env->tool : env->method);
	switch (d->reason) {
	case ZG_DR_RULE:
		rule_text(p, d, out, size);
		return;
	case ZG_DR_DEFAULT:
		(void)snprintf(text, sizeof(text),
			       "no policy rule matches '%s' on server '%s' (%s); "
			       "the default is %s",
			       what, server, env->action == ZG_ACTION_READ ? "read" : "write",
			       zg_decision_text(d->kind));
		break;
	case ZG_DR_UNREGISTERED:
		(void)snprintf(text, sizeof(text), "server '%s' is not registered", server);
		break;
	case ZG_DR_OVERFLOW:
		(void)snprintf(text, sizeof(text),
			       "the call has more labels, risk tags, network "
			       "allowlists or limits than can be judged");
		break;
	case ZG_DR_UNKNOWN_METHOD:
		(void)zg_str_cut(what, sizeof(what), env->method);
		(void)snprintf(text, sizeof(text), "method '%s' is unknown", what);
		break;
	case ZG_DR_UNCLEAR:
		(void)snprintf(text, sizeof(text),
			       "the classify rules contradict each other about '%s' on server "
			       "'%s', or cannot be judged",
			       what, server);
		break;
	case ZG_DR_FORM:
		(void)snprintf(text, sizeof(text),
			       "the URI '%s' is too long or not in normal form, and in that form "
			       "other rules match it",
			       what);
		break;
	case ZG_DR_PROFILE:
		(void)snprintf(text, sizeof(text), "the caller's profile may not use server '%s'",
			       server);
		break;
	}
	(void)zg_str_cut(out, size, zg_slice_str(text));
}

void zg_envelope_tags_text(const struct zg_envelope *env, char *out, size_t size)
{
	struct zg_buf b = {.ptr = out, .cap = size - 1, .max = size - 1};

	for (size_t i = 0; i < env->risk_tag_count; i++) {
		if (i)
			zg_buf_char(&b, ',');
		zg_buf_add(&b, env->risk_tags[i].ptr, env->risk_tags[i].len);
	}
	out[b.len] = '\0';
}

void zg_decision_rules_text(const struct zg_policy *p, const struct zg_decision *d, char *out,
			    size_t size)
{
	char text[ZG_MATCHED_MAX * 132];
	size_t used = 0;

	text[0] = '\0';
	for (uint16_t i = 0; i < d->rule_count; i++) {
		struct zg_slice id = zg_policy_rule_id(p, d->rule[i]);
		int n = snprintf(text + used, sizeof(text) - used, "%s%.*s", i ? "," : "",
				 (int)id.len, id.ptr);

		if (n < 0 || (size_t)n >= sizeof(text) - used)
			break;
		used += (size_t)n;
	}
	(void)zg_str_cut(out, size, zg_slice_str(text));
}

void zg_decision_why_text(const struct zg_policy *p, const struct zg_decision *d, char *out,
			  size_t size)
{
	char text[ZG_MATCHED_MAX * (ZG_REASON_LEN + 132)];
	struct zg_buf b = {.ptr = text, .cap = sizeof(text) - 1, .max = sizeof(text) - 1};

	for (uint16_t i = 0; i < d->rule_count; i++) {
		struct zg_slice id = zg_policy_rule_id(p, d->rule[i]);
		struct zg_slice why = zg_policy_rule_reason(p, d->rule[i]);

		if (why.len)
			zg_buf_fmt(&b, "%s%.*s: %.*s", b.len ? "\n" : "", (int)id.len, id.ptr,
				   (int)why.len, why.ptr);
	}
	(void)zg_str_cut(out, size, (struct zg_slice){text, b.len});
}

struct zg_slice zg_decision_remediation(const struct zg_policy *p, const struct zg_decision *d)
{
	return d->reason == ZG_DR_RULE ? zg_policy_rule_remediation(p, d->decisive)
				       : (struct zg_slice){"", 0};
}

static int by_label(const void *a, const void *b)
{
	const struct zg_label *x = a, *y = b;
	int c = zg_slice_order(x->key, y->key);

	return c ? c : zg_slice_order(x->value, y->value);
}

void zg_decision_labels_text(const struct zg_policy *p, const struct zg_decision *d, char *out,
			     size_t size)
{
	struct zg_label label[ZG_ANNOTATIONS_MAX];
	struct zg_buf b = {.ptr = out, .cap = size - 1, .max = size - 1};
	size_t n = 0;

	for (uint16_t i = 0; i < d->rule_count; i++)
		for (size_t j = 0;
		     n < ZG_ANNOTATIONS_MAX && zg_policy_rule_label(p, d->rule[i], j, &label[n]);
		     j++)
			n++;
	qsort(label, n, sizeof(label[0]), by_label);
	for (size_t i = 0; i < n; i++) {
		if (i && by_label(&label[i - 1], &label[i]) == 0)
			continue;
		zg_buf_fmt(&b, "%s%.*s=%.*s", b.len ? "," : "", (int)label[i].key.len,
			   label[i].key.ptr, (int)label[i].value.len, label[i].value.ptr);
	}
	out[b.len] = '\0';
}
