/* SPDX-License-Identifier: Apache-2.0 */
/*
 * simulate_judge.c - a record of a call as the envelope that it was, judged by another
 * configuration. Trust: records may hold anything. Labels, tags and the action are not
 * taken from them but derived anew; what no record holds (arguments above all) is not
 * known, and every answer that it could make a difference to is found.
 */
#include <time.h>

#include "policy.h"
#include "simulate.h"
#include "snapshot.h"
#include "who.h"

static const char *text_of(const json_t *o, const char *name)
{
	const char *text = json_string_value(json_object_get(o, name));

	return text ? text : "";
}

int zg_replay_open(struct zg_replay *r, const char *config)
{
	struct zg_diag diag = {0};
	struct zg_err e = {0};
	int status = ZG_EXIT_USAGE;

	*r = (struct zg_replay){0};
	if (zg_load(&r->loaded, config, &diag) < 0) {
		zg_policy_print_diag(stderr, &diag);
	} else {
		struct zg_slice section = zg_loaded_section(&r->loaded, ZG_S_POLICY);

		if (zg_policy_open(&r->policy, section.ptr, section.len, &e) == 0)
			status = ZG_EXIT_OK;
		else
			fprintf(stderr, "zerogate: %s\n", e.what);
	}
	zg_diag_release(&diag);
	return status;
}

void zg_replay_close(struct zg_replay *r)
{
	zg_policy_close(&r->policy);
	zg_loaded_release(&r->loaded);
}

uint64_t zg_record_sec(const char *time)
{
	static const struct {
		size_t at, len;
	} part[] = {{0, 4}, {5, 2}, {8, 2}, {11, 2}, {14, 2}, {17, 2}};
	uint64_t v[ZG_COUNT(part)];
	struct tm tm;
	time_t sec;

	if (strlen(time) < 20)
		return 0;
	for (size_t i = 0; i < ZG_COUNT(part); i++)
		if (zg_slice_u64((struct zg_slice){time + part[i].at, part[i].len}, 9999, &v[i]) <
		    0)
			return 0;
	tm = (struct tm){.tm_year = (int)v[0] - 1900,
			 .tm_mon = (int)v[1] - 1,
			 .tm_mday = (int)v[2],
			 .tm_hour = (int)v[3],
			 .tm_min = (int)v[4],
			 .tm_sec = (int)v[5]};
	sec = timegm(&tm);
	return sec > 0 ? (uint64_t)sec : 0;
}

/* Who it was. A profile that the configuration has not may use no server. */
static void fill_principal(const struct zg_replay *r, const json_t *record, struct zg_principal *p)
{
	struct zg_slice defs = zg_loaded_section(&r->loaded, ZG_S_PROFILES);

	(void)zg_str_cut(p->profile, sizeof(p->profile), zg_slice_str(text_of(record, "profile")));
	(void)zg_str_cut(p->cgroup, sizeof(p->cgroup), zg_slice_str(text_of(record, "cgroup")));
	p->uid = (uint32_t)json_integer_value(json_object_get(record, "uid"));
	p->profile_id = zg_profile_number(defs, p->profile);
}

static bool trusts(const struct zg_replay *r, const char *server)
{
	struct zg_slice defs = zg_loaded_section(&r->loaded, ZG_S_SERVERS);
	const struct zg_server_def *def = (const void *)defs.ptr;

	for (size_t i = 0; i < defs.len / sizeof(*def); i++)
		if (strcmp(def[i].id, server) == 0)
			return def[i].trust_annotations;
	return false;
}

void zg_replay_judge(const struct zg_replay *r, const json_t *record, struct zg_outcomes *out)
{
	struct zg_principal who = {0};
	struct zg_envelope given = {
		.server = zg_slice_str(text_of(record, "server")),
		.method = zg_slice_str(text_of(record, "method")),
		.tool = zg_slice_str(text_of(record, "tool")),
		.subject = zg_slice_str(text_of(record, "subject")),
		.time_sec = zg_record_sec(text_of(record, "time")),
		.from_server = strcmp(text_of(record, "direction"), "server") == 0,
		.principal = &who,
		.uid_unknown = !json_object_get(record, "uid"),
		.arguments_unknown = true,
		/* then its definition said so, if nothing else did */
		.read_only = strcmp(text_of(record, "action"), "read") == 0 &&
			     trusts(r, text_of(record, "server")),
	};

	fill_principal(r, record, &who);
	out->least = ZG_D_ALLOW;
	out->most = ZG_D_DENY;
	for (int i = 0; i < ZG_REPLAY_WAYS; i++) {
		struct zg_envelope env = given;
		struct zg_decision d;

		env.classes_met = i & 1;
		env.preview = i & 2;
		/* what it cannot classify, zg_decide denies */
		if (zg_envelope_classify(&r->policy, &env) < 0)
			env.action = ZG_ACTION_WRITE;
		zg_decide(&r->policy, &env, &d);
		zg_decision_rules_text(&r->policy, &d, out->way[i].rules,
				       sizeof(out->way[i].rules));
		out->way[i].kind = d.kind;
		out->least = d.kind < out->least ? d.kind : out->least;
		out->most = d.kind > out->most ? d.kind : out->most;
		if (i == 0)
			out->action = env.action;
	}
}
