/* SPDX-License-Identifier: Apache-2.0 */
/* window.c - windows of time (facts.h). Pure arithmetic: no clock, no zone files. */
#include "facts.h"

#define DAY    86400
#define MONDAY 4 /* the first of 1970 was a Thursday: four days before a Monday */

static bool begins_on(const struct zg_window *w, int64_t day)
{
	const int64_t weekday = ((day - MONDAY) % 7 + 7) % 7;

	return (w->days >> weekday) & 1;
}

bool zg_window_has(const struct zg_window *w, uint64_t time_sec)
{
	int64_t local, day, minute;

	if (time_sec > (uint64_t)INT64_MAX / 2)
		return false;
	local = (int64_t)time_sec + w->offset * 60;
	day = local >= 0 ? local / DAY : -1;
	minute = (local - day * DAY) / 60;
	if (w->from < w->to)
		return begins_on(w, day) && minute >= w->from && minute < w->to;
	return (begins_on(w, day) && minute >= w->from) ||
	       (begins_on(w, day - 1) && minute < w->to);
}
