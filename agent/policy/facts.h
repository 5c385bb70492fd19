/* SPDX-License-Identifier: Apache-2.0 */
/*
 * facts.h - an envelope in the terms of a section: what decide.c, classify.c
 * and explain.c ask about one call. On the stack; nothing is allocated.
 */
#ifndef ZG_FACTS_H
#define ZG_FACTS_H

#include "section.h"

struct zg_fact_label {
	uint32_t key;
	uint32_t atom; /* ZG_NO_INDEX: no rule names this value exactly */
	struct zg_slice value;
};

struct zg_fact_text {
	bool known;
	bool none; /* known not to have one: nothing matches it */
	uint32_t atom;
	struct zg_slice value;
};

struct zg_facts {
	const struct zg_envelope *env;
	struct zg_regexes *regexes;
	struct zg_fact_label label[ZG_LABELS_MAX];
	size_t label_count;
	uint32_t tag[ZG_RISK_TAGS_MAX]; /* atoms only: tags have no globs */
	size_t tag_count;
	bool has_server;
	uint32_t server; /* atom of the folded name */
	bool twice;	 /* a label was given twice */
	struct zg_fact_text fact[ZG_FACT_MAX];
	char uid[16];
	char sha256[65];
	size_t budget; /* bytes of arguments that patterns may still read */
};

void zg_facts_gather(const struct zg_policy *p, const struct zg_policy_view *v,
		     const struct zg_envelope *env, struct zg_facts *f);

/* One condition; all of a span but one (ZG_NO_INDEX: all). Spends f->budget. */
enum zg_truth zg_cond_holds(const struct zg_policy_view *v, struct zg_facts *f,
			    const struct zg_row_cond *c);
enum zg_truth zg_conds_hold(const struct zg_policy_view *v, struct zg_facts *f,
			    struct zg_row_span span, uint32_t but);

/* match holds and unless does not. but: a condition of match known to hold. */
enum zg_truth zg_rule_holds(const struct zg_policy_view *v, struct zg_facts *f,
			    struct zg_row_span match, struct zg_row_span unless, uint32_t but);

/* Index of the first of the call's tags that is listed, or f->tag_count. */
size_t zg_first_tag(const struct zg_policy_view *v, const struct zg_facts *f,
		    const struct zg_row_cond *c);

/* args.c: an ARG_* condition; the value that its pointer leads to, or NULL. */
enum zg_truth zg_arg_holds(const struct zg_policy_view *v, struct zg_facts *f,
			   const struct zg_row_cond *c);
const json_t *zg_arg_find(const struct zg_policy_view *v, const struct zg_envelope *env,
			  uint32_t pointer);

/* window.c: is a moment (seconds since 1970) in it? */
bool zg_window_has(const struct zg_window *w, uint64_t time_sec);

/* The unit that a cgroup path belongs to, empty if to none: its last part that
 * ends in .service, .scope or .slice. */
struct zg_slice zg_unit_of(struct zg_slice cgroup);

#endif
