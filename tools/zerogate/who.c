/* SPDX-License-Identifier: Apache-2.0 */
/* who.c - see who.h. Trust: envelopes may be anything. */
#include "who.h"

#include <errno.h>
#include <time.h>

#include "zg_snapshot.h"

uint32_t zg_profile_number(struct zg_slice profiles, const char *name)
{
	const struct zg_profile_def *def = (const void *)profiles.ptr;

	for (uint32_t i = 0; i < profiles.len / sizeof(*def); i++)
		if (strcmp(def[i].name, name) == 0)
			return ZG_PROFILE_FIRST + i;
	return 0;
}

static int bad(struct zg_err *e, const char *what)
{
	return zg_err_set(e, EINVAL, "'%s' of an envelope has the wrong form", what);
}

/* A text, or nothing. */
static int text_of(const json_t *j, const char *key, struct zg_slice *out, struct zg_err *e)
{
	const json_t *v = json_object_get(j, key);

	*out = (struct zg_slice){0};
	if (!v || json_is_null(v))
		return 0;
	if (!json_is_string(v))
		return bad(e, key);
	*out = (struct zg_slice){json_string_value(v), json_string_length(v)};
	return 0;
}

static int read_sha256(const json_t *j, struct zg_who *who, struct zg_envelope *env,
		       struct zg_err *e)
{
	static const char digits[] = "0123456789abcdef";
	struct zg_slice s;
	int r = text_of(j, "executable_sha256", &s, e);

	if (r < 0 || !s.len)
		return r;
	if (s.len != 64)
		return bad(e, "executable_sha256");
	for (size_t i = 0; i < 64; i++) {
		const char c =
			s.ptr[i] >= 'A' && s.ptr[i] <= 'F' ? (char)(s.ptr[i] | 0x20) : s.ptr[i];
		const char *at = c ? strchr(digits, c) : NULL;

		if (!at)
			return bad(e, "executable_sha256");
		who->sha256[i / 2] = (uint8_t)(who->sha256[i / 2] << 4 | (at - digits));
	}
	env->executable_sha256 = who->sha256;
	return 0;
}

static int read_uid(const json_t *j, struct zg_who *who, struct zg_envelope *env, struct zg_err *e)
{
	const json_t *v = json_object_get(j, "uid");

	env->uid_unknown = !v || json_is_null(v);
	if (env->uid_unknown)
		return 0;
	if (!json_is_integer(v) || json_integer_value(v) < 0 || json_integer_value(v) >= UINT32_MAX)
		return bad(e, "uid");
	who->principal.uid = (uint32_t)json_integer_value(v);
	return 0;
}

static int read_principal(const json_t *j, struct zg_slice profiles, struct zg_who *who,
			  struct zg_envelope *env, struct zg_err *e)
{
	struct zg_principal *p = &who->principal;
	struct zg_slice profile = {0}, cgroup = {0};
	int r = text_of(j, "profile", &profile, e);

	if (r == 0)
		r = text_of(j, "cgroup", &cgroup, e);
	if (r == 0)
		r = text_of(j, "unit", &env->unit, e);
	if (r == 0)
		r = text_of(j, "user", &env->user, e);
	if (r == 0)
		r = text_of(j, "executable", &env->executable, e);
	if (r == 0)
		r = read_sha256(j, who, env, e);
	if (r == 0)
		r = read_uid(j, who, env, e);
	if (r < 0)
		return r;
	if (profile.len >= sizeof(p->profile))
		return bad(e, "profile");
	if (cgroup.len >= sizeof(p->cgroup))
		return bad(e, "cgroup");
	memcpy(p->profile, profile.len ? profile.ptr : "", profile.len);
	memcpy(p->cgroup, cgroup.len ? cgroup.ptr : "", cgroup.len);
	env->principal = p;
	/* whoever names none asks for any that may use the server */
	env->profile_unknown = !profile.len;
	p->profile_id = zg_profile_number(profiles, p->profile);
	return 0;
}

/* Seconds since 1970, or "2026-11-23T09:00:00Z". */
static int read_time(const json_t *j, uint64_t *out, struct zg_err *e)
{
	struct tm tm = {0};
	const char *end = json_is_string(j)
				  ? strptime(json_string_value(j), "%Y-%m-%dT%H:%M:%SZ", &tm)
				  : NULL;
	int64_t sec = end && !*end ? timegm(&tm) : json_integer_value(j);

	if (sec <= 0)
		return bad(e, "time");
	*out = (uint64_t)sec;
	return 0;
}

int zg_who_read(const json_t *envelope, struct zg_slice profiles, struct zg_who *who,
		struct zg_envelope *env, struct zg_err *e)
{
	const json_t *principal = json_object_get(envelope, "principal");
	const json_t *time = json_object_get(envelope, "time");

	*who = (struct zg_who){0};
	if (time && !json_is_null(time) && read_time(time, &env->time_sec, e) < 0)
		return -EINVAL;
	if (!principal || json_is_null(principal))
		return 0;
	return json_is_object(principal) ? read_principal(principal, profiles, who, env, e)
					 : bad(e, "principal");
}
