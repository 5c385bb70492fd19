/* SPDX-License-Identifier: Apache-2.0 */
/*
 * unix_sockets.c - see unix_sockets.h. Trust: as settings.c. The kernel finds
 * the longest match in a trie, so here is where "deny wins" comes true: an
 * allow entry below a deny entry is turned around. Pure but for memory.
 */
#include "unix_sockets.h"

#include <errno.h>

#include "model.h"

#define SUN_PATH_MAX 107	       /* sun_path without its NUL */
#define UNIX_MAX     (ZG_UNIX_MAX / 2) /* two generations lie in the kernel's table */

static const struct {
	const char *owner;
	const char *path;
} control[] = {
#define X(owner, path) {owner, path},
#include "tbl/control_socket.h"
#undef X
};

/* checking ------------------------------------------------------------------- */

/* Each component of a path has a name, or the kernel gate refuses it anyway. */
static bool path_plain(struct zg_slice path)
{
	size_t from = 1;

	for (size_t i = 1; i <= path.len; i++) {
		struct zg_slice part = {path.ptr + from, i - from};

		if (i < path.len && path.ptr[i] != '/')
			continue;
		if (!part.len || zg_slice_eq(part, ZG_SLICE(".")) ||
		    zg_slice_eq(part, ZG_SLICE("..")))
			return false;
		from = i + 1;
	}
	return true;
}

void zg_unix_check(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, struct zg_slice text)
{
	const char *star = memchr(text.ptr, '*', text.len);

	if (text.len < 2 || (text.ptr[0] != '/' && text.ptr[0] != '@')) {
		zg_yaml_error(ctx, y, "'%.*s' is not a socket path", ZG_FMT(text));
		zg_diag_hint(ctx->diag, "an absolute path, or @name for an abstract socket");
	} else if (text.len > SUN_PATH_MAX) {
		zg_yaml_error(ctx, y, "'%.*s' is longer than a socket's path can be", ZG_FMT(text));
		zg_diag_hint(ctx->diag, "at most %d bytes", SUN_PATH_MAX);
	} else if (star && star != text.ptr + text.len - 1) {
		zg_yaml_error(ctx, y, "'%.*s' has a '*' before its end", ZG_FMT(text));
		zg_diag_hint(ctx->diag, "'*' stands for the rest of the last component: "
					"/run/postgresql/*");
	} else if (text.ptr[0] == '/' && !path_plain(text)) {
		zg_yaml_error(ctx, y, "'%.*s' is not a plain path", ZG_FMT(text));
		zg_diag_hint(ctx->diag, "without '//', '/./', '/../' or '/' at the end");
	}
}

/* compiling ------------------------------------------------------------------ */

static struct zg_slice path_of(const struct zg_unix_def *d)
{
	return zg_slice_str(d->path);
}

static int by_path(const void *a, const void *b)
{
	const struct zg_unix_def *x = a, *y = b;
	int c = zg_slice_order(path_of(x), path_of(y));

	return c ? c : (int)x->prefix - (int)y->prefix;
}

static struct zg_unix_def def_of(struct zg_slice text, uint32_t profile)
{
	struct zg_unix_def d = {.profile = profile, .reason = ZG_GR_RULE_DENY};

	d.prefix = text.ptr[text.len - 1] == '*';
	text.len -= d.prefix;
	if (zg_slice_starts(text, ZG_SLICE("/var/run/"))) /* a link, by the FHS */
		text = (struct zg_slice){text.ptr + 4, text.len - 4};
	(void)zg_str_cut(d.path, sizeof(d.path), text); /* checked: it fits */
	return d;
}

/* Does x match all that y matches? */
static bool covers(const struct zg_unix_def *x, const struct zg_unix_def *y)
{
	struct zg_slice at = path_of(x), below = path_of(y);

	if (!x->prefix)
		return !y->prefix && zg_slice_eq(at, below);
	return zg_slice_starts(below, at) && !memchr(below.ptr + at.len, '/', below.len - at.len);
}

/* What the kernel will find is the longest match alone. */
static void let_deny_win(struct zg_unix_def *item, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct zg_unix_def *d = &item[i];

		for (size_t j = 0; j < count && d->verdict == ZG_V_ALLOW; j++)
			if (item[j].verdict == ZG_V_DENY && covers(&item[j], d))
				d->verdict = ZG_V_DENY;
		d->reason = d->verdict == ZG_V_ALLOW ? ZG_GR_NONE : ZG_GR_RULE_DENY;
	}
}

/* "/run/user/1000/bus" as the table writes it, or the path itself. */
static struct zg_unix_def any_user(const struct zg_unix_def *d)
{
	static const char home[] = "/run/user/";
	struct zg_slice path = path_of(d);
	struct zg_unix_def out = *d;
	const char *rest;

	if (!zg_slice_starts(path, ZG_SLICE("/run/user/")))
		return out;
	rest = memchr(path.ptr + sizeof(home) - 1, '/', path.len - (sizeof(home) - 1));
	if (rest)
		(void)snprintf(out.path, sizeof(out.path), "%s*%s", home, rest);
	return out;
}

static const char *owner_of(const struct zg_unix_def *d)
{
	struct zg_unix_def any = any_user(d);

	for (size_t i = 0; i < ZG_COUNT(control); i++) {
		struct zg_unix_def c = def_of(zg_slice_str(control[i].path), d->profile);

		if (covers(&c, d) || covers(&c, &any))
			return control[i].owner;
	}
	return NULL;
}

static void notice_control(const struct zg_entry *e, const struct zg_unix_def *d,
			   const struct zg_settings_src *s, struct zg_diag *diag)
{
	const char *owner = d->prefix ? NULL : owner_of(d);

	if (!owner || e->deny)
		return;
	zg_diag_notice(diag, s->file, e->line, e->column, "'%.*s' is %s's control socket",
		       ZG_FMT(e->text), owner);
	zg_diag_hint(diag, "whoever reaches it can start processes outside the gate");
}

static void put_sorted(struct zg_buf *out, struct zg_unix_def *item, size_t count)
{
	qsort(item, count, sizeof(*item), by_path);
	for (size_t i = 0; i < count; i++)
		if (!i || by_path(&item[i - 1], &item[i]) != 0)
			zg_buf_add(out, &item[i], sizeof(item[i]));
}

/* Once, for all profiles. */
static void put_control(struct zg_buf *out)
{
	struct zg_unix_def item[ZG_COUNT(control)];

	for (size_t i = 0; i < ZG_COUNT(control); i++) {
		item[i] = def_of(zg_slice_str(control[i].path), ZG_PROFILE_NONE);
		item[i].reason = ZG_GR_UNIX_CONTROL;
	}
	put_sorted(out, item, ZG_COUNT(control));
}

static int put_profile(struct zg_buf *out, const struct zg_settings_src *s, uint32_t number,
		       struct zg_diag *diag)
{
	const struct zg_profile_src *p = &s->profiles[number];
	zg_autofree struct zg_unix_def *item = calloc(p->entry_count + 1, sizeof(*item));
	size_t count = 0;

	if (!item)
		return -ENOMEM;
	for (const struct zg_entry *e = p->entries; e; e = e->next) {
		if (e->kind != ZG_EK_UNIX)
			continue;
		item[count] = def_of(e->text, ZG_PROFILE_FIRST + number);
		item[count].verdict = e->deny ? ZG_V_DENY : ZG_V_ALLOW;
		notice_control(e, &item[count++], s, diag);
	}
	if (count > UNIX_MAX) {
		zg_diag_error(diag, s->file, p->line, p->column,
			      "more than %d entries for unix sockets", UNIX_MAX);
		return -E2BIG;
	}
	let_deny_win(item, count);
	put_sorted(out, item, count);
	return out->error;
}

int zg_unix_build(struct zg_buf *out, const struct zg_settings_src *s, struct zg_diag *diag)
{
	int r = 0;

	put_control(out);
	for (uint32_t i = 0; i < s->profile_count && r == 0; i++)
		r = put_profile(out, s, i, diag);
	if (r == 0 && out->len / sizeof(struct zg_unix_def) > UNIX_MAX) {
		zg_diag_error(diag, s->file, 0, 0,
			      "more than %d entries for unix sockets in all profiles", UNIX_MAX);
		r = -E2BIG;
	}
	return r;
}
