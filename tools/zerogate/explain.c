/* SPDX-License-Identifier: Apache-2.0 */
/*
 * explain.c - zerogate policy explain: one envelope, or one a line, through
 * the decision function. Loads once, then streams. Trust: envelopes may be
 * anything; a bad line is answered as such and does not end the stream.
 */
#include <errno.h>

#include "constraints.h"
#include "load.h"
#include "policy.h"
#include "trace.h"
#include "who.h"

struct explain {
	struct zg_policy policy;
	struct zg_slice profiles;
	char snapshot[65];
	struct zg_buf out;
	struct zg_buf conds; /* of the rule in hand */
	bool json;
	bool trace;
	bool denied; /* some answer was DENY */
	bool failed; /* some envelope could not be read */
	size_t line; /* of the one in hand, with --lines */
};

static struct zg_slice text_of(const json_t *j)
{
	return (struct zg_slice){json_string_value(j), json_string_length(j)};
}

/* "all but server optional": null is absent. */
static const json_t *optional(const json_t *j, const char *key)
{
	const json_t *v = json_object_get(j, key);

	return json_is_null(v) ? NULL : v;
}

static int read_texts(struct zg_envelope *env, const json_t *j, struct zg_err *e)
{
	const struct {
		const char *key;
		struct zg_slice *into;
	} texts[] = {{"server", &env->server}, {"tool", &env->tool}, {"method", &env->method}};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		const json_t *v = json_object_get(j, texts[i].key);

		if (v && !json_is_null(v) && !json_is_string(v))
			return zg_err_set(e, EINVAL, "'%s' must be a string", texts[i].key);
		if (json_is_string(v))
			*texts[i].into = text_of(v);
	}
	if (!json_is_string(json_object_get(j, "server")))
		return zg_err_set(e, EINVAL, "the envelope has no 'server'");
	if (!env->method.len)
		env->method = ZG_SLICE("tools/call");
	if (optional(j, "direction")) {
		struct zg_slice direction = text_of(json_object_get(j, "direction"));

		env->from_server = zg_slice_eq(direction, ZG_SLICE("server"));
		if (!env->from_server && !zg_slice_eq(direction, ZG_SLICE("client")))
			return zg_err_set(e, EINVAL, "'direction' is \"client\" or \"server\"");
	}
	return 0;
}

/* Labels given here replace the derived ones of the same name. */
static int replace_labels(struct zg_envelope *env, const json_t *labels, struct zg_err *e)
{
	const char *key;
	json_t *v;

	if (!json_is_object(labels))
		return zg_err_set(e, EINVAL, "'labels' must be an object");
	json_object_foreach((json_t *)(uintptr_t)labels, key, v)
	{
		if (!json_is_string(v))
			return zg_err_set(e, EINVAL, "label '%.128s' must be a string", key);
		zg_envelope_label(env, zg_slice_str(key), text_of(v));
	}
	return 0;
}

static int replace_tags(struct zg_envelope *env, const json_t *tags, struct zg_err *e)
{
	size_t i;
	json_t *v;

	if (!json_is_array(tags))
		return zg_err_set(e, EINVAL, "'risk_tags' must be an array");
	env->risk_tag_count = 0;
	json_array_foreach((json_t *)(uintptr_t)tags, i, v)
	{
		if (!json_is_string(v))
			return zg_err_set(e, EINVAL, "a risk tag must be a string");
		if (env->risk_tag_count == ZG_RISK_TAGS_MAX) {
			env->overflow = true;
			break;
		}
		env->risk_tags[env->risk_tag_count++] = text_of(v);
	}
	return 0;
}

static int known_members(const json_t *j, struct zg_err *e)
{
	static const char *const known[] = {"server",	 "tool",      "method",
					    "arguments", "labels",    "risk_tags",
					    "principal", "direction", "time"};
	const char *key;
	json_t *v;

	json_object_foreach((json_t *)(uintptr_t)j, key, v)
	{
		size_t i = 0;

		while (i < sizeof(known) / sizeof(known[0]) && strcmp(known[i], key) != 0)
			i++;
		if (i == sizeof(known) / sizeof(known[0]))
			return zg_err_set(e, EINVAL, "unknown member '%.128s'", key);
	}
	return 0;
}

/* As zg_policy_judge; env borrows from who too. */
static int judge(const struct zg_policy *p, struct zg_slice profiles, const json_t *j,
		 struct zg_who *who, struct zg_envelope *env, struct zg_decision *d,
		 struct zg_err *e)
{
	const json_t *labels = optional(j, "labels"), *tags = optional(j, "risk_tags");
	int r;

	*env = (struct zg_envelope){0};
	if (!json_is_object(j))
		return zg_err_set(e, EINVAL, "an envelope must be a JSON object");
	r = known_members(j, e);
	if (r == 0)
		r = read_texts(env, j, e);
	if (r == 0)
		r = zg_who_read(j, profiles, who, env, e);
	if (r < 0)
		return r;
	env->arguments = optional(j, "arguments");
	/* what it cannot classify, zg_decide denies and says so */
	if (zg_envelope_classify(p, env) < 0)
		env->action = ZG_ACTION_WRITE;
	if (labels)
		r = replace_labels(env, labels, e);
	if (r == 0 && tags)
		r = replace_tags(env, tags, e);
	if (r == 0)
		zg_decide(p, env, d);
	return r;
}

int zg_policy_judge(const struct zg_policy *p, struct zg_slice profiles, const json_t *j,
		    struct zg_envelope *env, struct zg_decision *d, struct zg_err *e)
{
	struct zg_who who;
	int r = judge(p, profiles, j, &who, env, d, e);

	/* these were this function's own; no text about d needs them */
	env->principal = NULL;
	env->executable_sha256 = NULL;
	return r;
}

static const char *const holds_text[] = {
	[ZG_TRACED_NO] = "no", [ZG_TRACED_UNKNOWN] = "unknown", [ZG_TRACED_YES] = "yes"};

static void put_cond(void *arg, const struct zg_trace_cond *c)
{
	struct explain *x = arg;

	zg_buf_fmt(&x->conds,
		   "%s{\"holds\":\"%s\",\"unless\":%s,\"what\":", x->conds.len ? "," : "",
		   holds_text[c->holds], c->unless ? "true" : "false");
	zg_buf_json(&x->conds, c->what);
	zg_buf_str(&x->conds, ",\"expected\":");
	zg_buf_json(&x->conds, c->expected);
	zg_buf_str(&x->conds, ",\"found\":");
	zg_buf_json(&x->conds, c->found);
	zg_buf_char(&x->conds, '}');
}

static void put_cond_line(void *arg, const struct zg_trace_cond *c)
{
	struct explain *x = arg;

	zg_buf_fmt(&x->conds, "    %-7s %s%.*s: expected %.*s; found ", holds_text[c->holds],
		   c->unless ? "unless " : "", (int)c->what.len, c->what.ptr, (int)c->expected.len,
		   c->expected.ptr);
	zg_buf_json(&x->conds, c->found); /* it may hold anything */
	zg_buf_char(&x->conds, '\n');
}

/* Offline, so that arguments are shown as the file has them. */
static void put_trace(struct explain *x, const struct zg_envelope *env)
{
	const size_t n = zg_trace_rules(&x->policy);

	zg_buf_str(&x->out, x->json ? ",\"trace\":[" : "");
	for (size_t i = 0; i < n; i++) {
		const uint16_t rule = (uint16_t)i;
		struct zg_slice id = zg_policy_rule_id(&x->policy, rule);
		struct zg_slice at = zg_policy_rule_place(&x->policy, rule);
		enum zg_traced t;

		zg_buf_reset(&x->conds);
		t = zg_trace_rule(&x->policy, env, rule, true, x->json ? put_cond : put_cond_line,
				  x);
		if (x->json) {
			zg_buf_str(&x->out, i ? ",{\"rule\":" : "{\"rule\":");
			zg_buf_json(&x->out, id);
			zg_buf_str(&x->out, ",\"place\":");
			zg_buf_json(&x->out, at);
			zg_buf_fmt(&x->out, ",\"matches\":\"%s\",\"conditions\":[", holds_text[t]);
		} else {
			zg_buf_fmt(&x->out, "  %-7s %.*s (%.*s)\n", holds_text[t], (int)id.len,
				   id.ptr, (int)at.len, at.ptr);
		}
		zg_buf_add(&x->out, x->conds.ptr, x->conds.len);
		zg_buf_str(&x->out, x->json ? "]}" : "");
		if (!zg_buf_ok(&x->conds))
			x->out.error = x->conds.error;
	}
	zg_buf_str(&x->out, x->json ? "]" : "");
}

static void put_answer(struct explain *x, const struct zg_envelope *env,
		       const struct zg_decision *d)
{
	char reason[ZG_REASON_LEN];

	zg_decision_reason_text(&x->policy, env, d, reason, sizeof(reason));
	zg_buf_fmt(&x->out, "{\"decision\":\"%s\",\"rules\":[", zg_decision_text(d->kind));
	for (uint16_t i = 0; i < d->rule_count; i++) {
		zg_buf_str(&x->out, i ? "," : "");
		zg_buf_json(&x->out, zg_policy_rule_id(&x->policy, d->rule[i]));
	}
	zg_buf_str(&x->out, "],\"constraints\":");
	zg_constraints_put(&x->policy, &d->constraints, &x->out);
	zg_buf_str(&x->out, ",\"reason\":");
	zg_buf_json(&x->out, zg_slice_str(reason));
	if (zg_decision_remediation(&x->policy, d).len) {
		zg_buf_str(&x->out, ",\"remediation\":");
		zg_buf_json(&x->out, zg_decision_remediation(&x->policy, d));
	}
	if (x->trace)
		put_trace(x, env);
	zg_buf_fmt(&x->out, ",\"snapshot\":\"%s\"}\n", x->snapshot);
}

static void put_people(struct explain *x, const struct zg_envelope *env,
		       const struct zg_decision *d)
{
	char reason[ZG_REASON_LEN];

	zg_decision_reason_text(&x->policy, env, d, reason, sizeof(reason));
	zg_buf_fmt(&x->out, "%s: %s\n", zg_decision_text(d->kind), reason);
	if (zg_decision_remediation(&x->policy, d).len)
		zg_buf_fmt(&x->out, "  what can be done: %.*s\n",
			   (int)zg_decision_remediation(&x->policy, d).len,
			   zg_decision_remediation(&x->policy, d).ptr);
	for (uint16_t i = 0; i < d->rule_count; i++) {
		struct zg_slice id = zg_policy_rule_id(&x->policy, d->rule[i]);
		struct zg_slice at = zg_policy_rule_place(&x->policy, d->rule[i]);

		zg_buf_fmt(&x->out, "  matched %.*s (%.*s)\n", (int)id.len, id.ptr, (int)at.len,
			   at.ptr);
	}
	zg_constraints_put_lines(&x->policy, &d->constraints, &x->out);
	if (x->trace)
		put_trace(x, env);
}

static int flush(struct explain *x)
{
	bool good = zg_buf_ok(&x->out) && fwrite(x->out.ptr, 1, x->out.len, stdout) == x->out.len;

	zg_buf_reset(&x->out);
	return good ? 0 : -EIO;
}

/* One envelope's text to one answer. Only a failure to write is returned. */
static int answer(struct explain *x, const char *text, size_t n)
{
	struct zg_err e = {0};
	struct zg_envelope env = {0};
	struct zg_decision d = {0};
	struct zg_who who;
	json_error_t error;
	json_t *j = json_loadb(text, n, JSON_REJECT_DUPLICATES, &error);
	int r = j ? judge(&x->policy, x->profiles, j, &who, &env, &d, &e)
		  : zg_err_set(&e, EINVAL, "not JSON: %s (column %d)", error.text, error.column);

	if (r < 0) {
		x->failed = true;
		if (x->json) {
			zg_buf_str(&x->out, "{\"error\":");
			zg_buf_json(&x->out, zg_slice_str(e.what));
			zg_buf_fmt(&x->out, ",\"line\":%zu}\n", x->line);
		} else {
			zg_buf_fmt(&x->out, "error: %s\n", e.what);
		}
	} else {
		x->denied = x->denied || d.kind == ZG_D_DENY;
		if (x->json)
			put_answer(x, &env, &d);
		else
			put_people(x, &env, &d);
	}
	json_decref(j);
	return flush(x);
}

static int answer_lines(struct explain *x, FILE *in)
{
	zg_autofree char *line = NULL;
	size_t cap = 0;
	ssize_t n;
	int r = 0;

	x->line = 0;
	while (r == 0 && (n = getline(&line, &cap, in)) >= 0) {
		x->line++;
		while (n && (line[n - 1] == '\n' || line[n - 1] == '\r'))
			n--;
		if (n)
			r = answer(x, line, (size_t)n);
	}
	return r == 0 && ferror(in) ? -EIO : r;
}

static int answer_whole(struct explain *x, FILE *in)
{
	zg_autobuf text = ZG_BUF(ZG_CONFIG_FILE_BYTES);
	int r = zg_buf_read(&text, fileno(in));

	return r < 0 ? r : answer(x, text.ptr, text.len);
}

static int run(struct explain *x, const struct zg_policy_args *a)
{
	const char *name = a->argv[0];
	zg_autofile FILE *file = NULL;
	FILE *in = stdin;
	int r;

	if (strcmp(name, "-") != 0) {
		in = file = fopen(name, "re");
		if (!file) {
			fprintf(stderr, "zerogate: %s: %s\n", name, strerror(errno));
			return ZG_EXIT_USAGE;
		}
	}
	r = a->lines ? answer_lines(x, in) : answer_whole(x, in);
	if (r == 0 && fflush(stdout) != 0)
		r = -errno;
	if (r < 0)
		fprintf(stderr, "zerogate: %s: %s\n", name, strerror(-r));
	if (r < 0 || x->failed)
		return ZG_EXIT_USAGE;
	return x->denied ? ZG_EXIT_NO : ZG_EXIT_OK;
}

int zg_policy_explain(const struct zg_policy_args *a)
{
	struct explain x = {.json = a->json || a->lines,
			    .trace = a->trace,
			    .conds = ZG_BUF(ZG_SNAPSHOT_BYTES),
			    .line = 1,
			    .out = ZG_BUF(ZG_SNAPSHOT_BYTES)};
	struct zg_diag diag = {0};
	struct zg_loaded l = {0};
	struct zg_slice section;
	struct zg_err e;
	int status = ZG_EXIT_USAGE;

	if (zg_load(&l, a->config, &diag) == 0) {
		section = zg_loaded_section(&l, ZG_S_POLICY);
		x.profiles = zg_loaded_section(&l, ZG_S_PROFILES);
		zg_hex(x.snapshot, l.id, sizeof(l.id));
		if (zg_policy_open(&x.policy, section.ptr, section.len, &e) == 0)
			status = run(&x, a);
		else
			fprintf(stderr, "zerogate: %s\n", e.what);
	} else {
		zg_policy_print_diag(stderr, &diag);
	}
	zg_buf_release(&x.out);
	zg_buf_release(&x.conds);
	zg_policy_close(&x.policy);
	zg_loaded_release(&l);
	zg_diag_release(&diag);
	return status;
}
