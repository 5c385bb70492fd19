/* SPDX-License-Identifier: Apache-2.0 */
/*
 * parse_principal.c - conditions on who calls and when: principal: and time:.
 * Trust: policy files belong to the operator; what could never hold is an
 * error. Never opens a file: names of users are resolved by whoever can.
 */
#include "parse_impl.h"

#define DAY_MINUTES 1440
#define ZONE_MAX    840 /* minutes: +14:00 is the farthest */

static struct zg_cond_src *add_fact(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y,
				    void *into, enum zg_cond_kind kind, enum zg_fact fact)
{
	struct zg_texts values;
	struct zg_cond_src *c;

	if (!zg_yaml_texts(ctx, y, &values))
		return NULL;
	for (size_t i = 0; i < values.count; i++)
		if (!values.item[i].len || values.item[i].len > ZG_PATTERN_LEN) {
			zg_yaml_error(ctx, y, "a value here has 1 to %d bytes", ZG_PATTERN_LEN);
			zg_diag_hint(ctx->diag, "'*' stands for any run of bytes");
			return NULL;
		}
	c = zg_cond_add(ctx, into, y, kind);
	if (c) {
		c->fact = fact;
		c->values = values;
	}
	return c;
}

static void parse_profile(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	(void)add_fact(ctx, y, into, ZG_CK_FACT, ZG_FACT_PROFILE);
}

static void parse_cgroup(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	struct zg_cond_src *c = add_fact(ctx, y, into, ZG_CK_FACT, ZG_FACT_CGROUP);

	for (size_t i = 0; c && i < c->values.count; i++) {
		if (c->values.item[i].ptr[0] != '/')
			continue;
		zg_yaml_error(ctx, y, "a cgroup begins with '/'");
		zg_diag_hint(ctx->diag, "paths are relative to cgroup_root, as in profiles");
		return;
	}
}

static void parse_unit(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	(void)add_fact(ctx, y, into, ZG_CK_FACT, ZG_FACT_UNIT);
}

static void parse_user(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	struct zg_cond_src *c = add_fact(ctx, y, into, ZG_CK_USER, ZG_FACT_USER);

	for (size_t i = 0; c && i < c->values.count; i++) {
		if (!zg_is_glob(c->values.item[i]) && c->values.item[i].len < ZG_USER_LEN)
			continue;
		zg_yaml_error(ctx, y, "'%.*s' is not the name of a user",
			      ZG_FMT(c->values.item[i]));
		zg_diag_hint(ctx->diag, "names are compared exactly; uid takes ranges");
		return;
	}
}

static void parse_executable(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	struct zg_cond_src *c = add_fact(ctx, y, into, ZG_CK_FACT, ZG_FACT_EXECUTABLE);

	for (size_t i = 0; c && i < c->values.count; i++) {
		if (c->values.item[i].ptr[0] == '/' || c->values.item[i].ptr[0] == '*')
			continue;
		zg_yaml_error(ctx, y, "'%.*s' is not an absolute path", ZG_FMT(c->values.item[i]));
		zg_diag_hint(ctx->diag, "/usr/bin/node, or \"*/node\" for any folder");
		return;
	}
}

static void parse_sha256(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	struct zg_cond_src *c = add_fact(ctx, y, into, ZG_CK_FACT, ZG_FACT_SHA256);

	for (size_t i = 0; c && i < c->values.count; i++) {
		struct zg_slice s = zg_lower_trimmed(ctx->arena, c->values.item[i]);
		size_t hex = 0;

		while (hex < s.len && memchr("0123456789abcdef", s.ptr[hex], 16))
			hex++;
		if (s.len != 64 || hex != 64) {
			zg_yaml_error(ctx, y, "a SHA-256 has 64 hexadecimal digits");
			zg_diag_hint(ctx->diag, "as sha256sum prints it");
			return;
		}
		c->values.item[i] = s;
	}
}

/* "1000" or "1000-1999" */
static bool range_of(struct zg_slice s, struct zg_range_src *out)
{
	const char *dash = s.len ? memchr(s.ptr, '-', s.len) : NULL;
	struct zg_slice low = {s.ptr, dash ? (size_t)(dash - s.ptr) : s.len};
	struct zg_slice high = dash ? (struct zg_slice){dash + 1, s.len - low.len - 1} : low;
	uint64_t min, max;

	if (zg_slice_u64(low, UINT32_MAX - 1, &min) < 0 ||
	    zg_slice_u64(high, UINT32_MAX - 1, &max) < 0 || min > max)
		return false;
	*out = (struct zg_range_src){(uint32_t)min, (uint32_t)max};
	return true;
}

static struct zg_slice decimal(const struct zg_yaml_ctx *ctx, uint32_t n)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%u", n);
	struct zg_slice s = {text, len > 0 ? (size_t)len : 0};

	s.ptr = zg_arena_copy(ctx->arena, s);
	return s.ptr ? s : ZG_SLICE(""); /* the arena's overflow ends the load */
}

/* Single numbers stay values, so that they can be looked up. */
static void parse_uid(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	struct zg_cond_src *c = add_fact(ctx, y, into, ZG_CK_UID, ZG_FACT_UID);
	size_t single = 0;

	if (!c)
		return;
	c->range = zg_parse_alloc(ctx, y, c->values.count, sizeof(*c->range));
	for (size_t i = 0; c->range && i < c->values.count; i++) {
		struct zg_slice s = c->values.item[i];
		struct zg_range_src r;

		if (!range_of(s, &r)) {
			zg_yaml_error(ctx, y, "'%.*s' is no uid and no range of uids", ZG_FMT(s));
			zg_diag_hint(ctx->diag, "a number, or \"1000-1999\", the lower one first");
			return;
		}
		if (r.min != r.max)
			c->range[c->range_count++] = r;
		else
			c->values.item[single++] = decimal(ctx, r.min);
	}
	c->values.count = single;
}

static const struct zg_yaml_field principal_fields[] = {
	{"profile", parse_profile, false},
	{"cgroup", parse_cgroup, false},
	{"unit", parse_unit, false},
	{"user", parse_user, false},
	{"uid", parse_uid, false},
	{"executable", parse_executable, false},
	{"executable_sha256", parse_sha256, false},
};

void zg_principal_parse(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	if (zg_yaml_map(ctx, y, "principal", principal_fields, ZG_COUNT(principal_fields), into) &&
	    !y->count) {
		zg_yaml_error(ctx, y, "principal without a condition");
		zg_diag_hint(ctx->diag,
			     "profile, cgroup, unit, user, uid, executable or executable_sha256");
	}
}

/* time ---------------------------------------------------------------------- */

static const char *const day_names[7] = {"mon", "tue", "wed", "thu", "fri", "sat", "sun"};

struct window_ctx {
	struct zg_window w;
	bool has_days, has_from, has_to;
};

static void parse_days(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	struct window_ctx *x = into;
	struct zg_texts days;

	if (!zg_yaml_texts(ctx, y, &days))
		return;
	x->has_days = true;
	for (size_t i = 0; i < days.count; i++) {
		size_t d = 0;

		while (d < 7 && !zg_slice_ieq(days.item[i], zg_slice_str(day_names[d])))
			d++;
		if (d == 7) {
			zg_yaml_error(ctx, y, "'%.*s' is not a day", ZG_FMT(days.item[i]));
			zg_diag_hint(ctx->diag, "mon, tue, wed, thu, fri, sat, sun");
			return;
		}
		x->w.days = (uint8_t)(x->w.days | 1u << d);
	}
}

/* "hh:mm", up to max minutes. */
static bool clock_of(struct zg_slice s, unsigned max, uint16_t *out)
{
	unsigned v;

	if (s.len != 5 || s.ptr[2] != ':')
		return false;
	for (size_t i = 0; i < 5; i++)
		if (i != 2 && (s.ptr[i] < '0' || s.ptr[i] > '9'))
			return false;
	v = (unsigned)(s.ptr[0] - '0') * 600 + (unsigned)(s.ptr[1] - '0') * 60 +
	    (unsigned)(s.ptr[3] - '0') * 10 + (unsigned)(s.ptr[4] - '0');
	if (s.ptr[3] > '5' || v > max)
		return false;
	*out = (uint16_t)v;
	return true;
}

static bool take_clock(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, unsigned max,
		       uint16_t *out)
{
	struct zg_slice s;

	if (!zg_yaml_text(ctx, y, &s))
		return false;
	if (clock_of(s, max, out))
		return true;
	zg_yaml_error(ctx, y, "'%.*s' is not a time of day", ZG_FMT(s));
	zg_diag_hint(ctx->diag, "\"hh:mm\", from \"00:00\" to \"24:00\"");
	return false;
}

static void parse_from(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	struct window_ctx *x = into;

	x->has_from = take_clock(ctx, y, DAY_MINUTES - 1, &x->w.from);
}

static void parse_to(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	struct window_ctx *x = into;

	x->has_to = take_clock(ctx, y, DAY_MINUTES, &x->w.to);
}

static void parse_zone(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	struct window_ctx *x = into;
	struct zg_slice s;
	uint16_t ahead;

	if (!zg_yaml_text(ctx, y, &s) || zg_slice_eq(s, ZG_SLICE("UTC")))
		return;
	if (s.len != 6 || (s.ptr[0] != '+' && s.ptr[0] != '-') ||
	    !clock_of((struct zg_slice){s.ptr + 1, 5}, ZONE_MAX, &ahead)) {
		zg_yaml_error(ctx, y, "'%.*s' is not a zone", ZG_FMT(s));
		zg_diag_hint(ctx->diag, "UTC or a fixed offset such as \"+01:00\"; names of zones "
					"would need a clock that jumps twice a year");
		return;
	}
	x->w.offset = (int16_t)(s.ptr[0] == '-' ? -(int)ahead : (int)ahead);
}

static const struct zg_yaml_field window_fields[] = {
	{"days", parse_days, false},
	{"from", parse_from, false},
	{"to", parse_to, false},
	{"zone", parse_zone, false},
};

static bool parse_window(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y,
			 struct zg_window *out)
{
	struct window_ctx x = {0};

	if (!zg_yaml_map(ctx, y, "time", window_fields, ZG_COUNT(window_fields), &x))
		return false;
	if (!x.has_days && !x.has_from && !x.has_to) {
		zg_yaml_error(ctx, y, "time without a condition");
		zg_diag_hint(ctx->diag, "days, from or to");
		return false;
	}
	if (!x.has_days)
		x.w.days = 0x7f;
	if (!x.has_to)
		x.w.to = DAY_MINUTES;
	if (x.w.from == x.w.to) {
		zg_yaml_error(ctx, y, "the window ends where it begins");
		zg_diag_hint(ctx->diag, "leave out from and to for whole days");
		return false;
	}
	*out = x.w;
	return true;
}

void zg_time_parse(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	const struct zg_yaml *item = y->kind == ZG_Y_LIST ? y->first : y;
	size_t n = y->kind == ZG_Y_LIST ? y->count : 1;
	struct zg_window *w;
	struct zg_cond_src *c;

	if (!n) {
		zg_yaml_wrong(ctx, y, "name one at least, or remove the key", "the list is empty");
		return;
	}
	w = zg_parse_alloc(ctx, y, n, sizeof(*w));
	if (!w)
		return;
	for (size_t i = 0; i < n; i++, item = item->next)
		if (!parse_window(ctx, item, &w[i]))
			return;
	c = zg_cond_add(ctx, into, y, ZG_CK_TIME);
	if (c) {
		c->window = w;
		c->window_count = n;
	}
}
