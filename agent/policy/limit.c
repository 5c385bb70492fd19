/* SPDX-License-Identifier: Apache-2.0 */
/* limit.c - see limit.h. */
#include "limit.h"

#include "buf.h"
#include "section.h"

struct zg_limit zg_policy_limit(const struct zg_policy *p, uint16_t limit)
{
	struct zg_policy_view v = zg_policy_view(p);

	/* one that is none has no room */
	return limit < v.header->table[ZG_PT_LIMITS].count ? v.limits[limit] : (struct zg_limit){0};
}

static const char *window_text(uint32_t sec)
{
#define X(NAME, text, seconds)                                                                     \
	if (sec == (seconds))                                                                      \
		return text;
	ZG_LIMIT_PER(X)
#undef X
	return "window";
}

void zg_limit_text(const struct zg_limit *l, char *out, size_t size)
{
	static const char *const by[ZG_LB_MAX] = {
#define X(NAME, text) [ZG_LB_N_##NAME] = (text),
		ZG_LIMIT_BY(X)
#undef X
	};
	struct zg_buf b = {.ptr = out, .cap = size - 1, .max = size - 1};
	const char *comma = " by ";

	zg_buf_fmt(&b, "%u call%s ", l->calls, l->calls == 1 ? "" : "s");
	if (l->kind == ZG_QK_CONCURRENT)
		zg_buf_str(&b, "at once");
	else
		zg_buf_fmt(&b, "per %s", window_text(l->sec));
	for (int i = 0; i < ZG_LB_MAX; i++) {
		if (!(l->by & 1u << i))
			continue;
		zg_buf_fmt(&b, "%s%s", comma, by[i]);
		comma = ", ";
	}
	out[b.len] = '\0';
}
