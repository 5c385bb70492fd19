/* SPDX-License-Identifier: Apache-2.0 */
/*
 * people.c - who decides, and how long a decision is waited for: the groups of
 * approvers, of the second pair of eyes, and of the owners of servers. Trust: as settings.c. Groups
 * are names here; the parent looks them up, and the kernel says who is in them.
 */
#include "model.h"
#include "settings.h"

static void group(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, char out[ZG_NAME_LEN])
{
	if (zg_yaml_copy(ctx, y, out, ZG_NAME_LEN) && !out[0])
		zg_yaml_error(ctx, y, "the name of a group is empty");
}

#define COPY(field)                                                                                \
	static void parse_##field(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y,          \
				  void *into)                                                      \
	{                                                                                          \
		struct zg_settings *s = into;                                                      \
                                                                                                   \
		group(ctx, y, s->field);                                                           \
	}
COPY(approver_group)
COPY(security_group)
COPY(break_glass_group)
#undef COPY

void zg_approvers_parse(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	static const struct zg_yaml_field fields[] = {
		{"group", parse_approver_group, false},
		{"security_group", parse_security_group, false},
		{"break_glass_group", parse_break_glass_group, false},
	};

	(void)zg_yaml_map(ctx, y, "approvers", fields, ZG_COUNT(fields),
			  &((struct zg_settings_src *)into)->settings);
}

static void parse_group(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	group(ctx, y, ((struct zg_owner *)into)->group);
}

void zg_owners_parse(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	static const struct zg_yaml_field fields[] = {{"group", parse_group, true}};
	struct zg_settings *s = &((struct zg_settings_src *)into)->settings;

	if (y->kind != ZG_Y_MAP || !y->count) {
		zg_yaml_error(ctx, y, "owners must be a map: name: {group: G}, with at least one");
		return;
	}
	if (y->count > ZG_OWNERS_MAX) {
		zg_yaml_error(ctx, y, "more than %d owners", ZG_OWNERS_MAX);
		return;
	}
	for (const struct zg_yaml *m = y->first; m; m = m->next) {
		struct zg_owner *o = &s->owner[s->owner_count];

		if (!m->key.len || !zg_str_cut(o->name, sizeof(o->name), m->key)) {
			zg_yaml_error(ctx, m, "an owner's name has 1 to %zu bytes",
				      sizeof(o->name) - 1);
			return;
		}
		if (zg_yaml_map(ctx, m, "an owner", fields, ZG_COUNT(fields), o))
			s->owner_count++;
	}
}

static void parse_files(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	struct zg_settings *s = into;
	struct zg_slice t;

	if (!zg_yaml_text(ctx, y, &t))
		return;
	s->files_submit = zg_slice_eq(t, ZG_SLICE("submit"));
	if (!s->files_submit && !zg_slice_eq(t, ZG_SLICE("live"))) {
		zg_yaml_error(ctx, y, "'%.*s' says not what a file in servers/ is", ZG_FMT(t));
		zg_diag_hint(ctx->diag, "live: root's word; submit: it needs two approvals");
	}
}

void zg_registry_settings_parse(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	static const struct zg_yaml_field fields[] = {{"files", parse_files, false}};

	(void)zg_yaml_map(ctx, y, "registry", fields, ZG_COUNT(fields),
			  &((struct zg_settings_src *)into)->settings);
}

static struct zg_settings *settings(void *into)
{
	return &((struct zg_settings_src *)into)->settings;
}

static void parse_hold(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	(void)zg_yaml_uint(ctx, y, 1, ZG_HOLD_MAX_SEC, &settings(into)->hold_sec);
}

static void parse_ttl(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	(void)zg_yaml_uint(ctx, y, 1, 30 * 86400, &settings(into)->approval_ttl_sec);
}

static void parse_high_risk(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	char *out = settings(into)->high_risk_tags;
	struct zg_texts t;
	size_t used = 0;

	if (!zg_yaml_texts(ctx, y, &t))
		return;
	for (size_t i = 0; i < t.count; i++) {
		if (!zg_word_ok(t.item[i], ZG_NAME_LEN - 1)) {
			zg_yaml_error(ctx, y, "'%.*s' is not a risk tag", ZG_FMT(t.item[i]));
			zg_diag_hint(ctx->diag, "letters, digits and . _ - / :");
			return;
		}
		if (used + (used != 0) + t.item[i].len >= ZG_FINDINGS_LEN) {
			zg_yaml_error(ctx, y, "the tags are longer than %d bytes together",
				      ZG_FINDINGS_LEN - 1);
			return;
		}
		if (used)
			out[used++] = ',';
		memcpy(out + used, t.item[i].ptr, t.item[i].len);
		used += t.item[i].len;
		out[used] = '\0';
	}
}

void zg_approvals_parse(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	static const struct zg_yaml_field fields[] = {{"hold_sec", parse_hold, false},
						      {"ttl_sec", parse_ttl, false},
						      {"high_risk_tags", parse_high_risk, false}};

	(void)zg_yaml_map(ctx, y, "approvals", fields, ZG_COUNT(fields), into);
}
