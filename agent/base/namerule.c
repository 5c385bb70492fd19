/* SPDX-License-Identifier: Apache-2.0 */
/* namerule.c - see namerule.h. Trust: checked snapshot, any name. Pure. */
#include "namerule.h"

struct zg_namerules zg_namerules_of(const struct zg_snapshot *s, uint32_t profile)
{
	size_t lo = 0, hi = s->name_count, first;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (s->names[mid].profile < profile)
			lo = mid + 1;
		else
			hi = mid;
	}
	first = lo;
	while (lo < s->name_count && s->names[lo].profile == profile)
		lo++;
	return (struct zg_namerules){s->names + first, lo - first};
}

static bool covers(const struct zg_name_def *d, struct zg_slice host)
{
	return zg_hostname_matches(zg_slice_str(d->pattern), host);
}

struct zg_namerule zg_namerule_of(struct zg_namerules r, struct zg_slice host)
{
	struct zg_namerule out = {.reason = ZG_NR_NOT_ALLOWED};
	bool exact = false;

	for (size_t i = 0; i < r.count; i++) {
		const struct zg_name_def *d = &r.def[i];

		if (!covers(d, host))
			continue;
		if (d->deny)
			return (struct zg_namerule){.reason = ZG_NR_DENIED};
		out.reason = ZG_NR_NONE;
		out.local |= d->local;
		out.server |= d->server;
		if (d->pattern[0] == '*')
			out.wildcard = d->pattern;
		else
			exact = true;
	}
	if (out.reason == ZG_NR_NONE && !exact && zg_hostname_is_doh(host))
		return (struct zg_namerule){.reason = ZG_NR_DOH};
	if (exact)
		out.wildcard = NULL;
	return out;
}

const struct zg_name_def *zg_namerule_next(struct zg_namerules r, struct zg_slice host, size_t *at)
{
	while (*at < r.count) {
		const struct zg_name_def *d = &r.def[(*at)++];

		if (!d->deny && covers(d, host))
			return d;
	}
	return NULL;
}
