/* SPDX-License-Identifier: Apache-2.0 */
/*
 * people.c - who decides: the groups of approvers, of the second pair of eyes,
 * and of the owners of servers. Trust: as settings.c. Groups are names here; the
 * parent looks them up, and the kernel says who is in them.
 */
#include "settings.h"

#define COPY(field)                                                                                \
	static void parse_##field(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y,          \
				  void *into)                                                      \
	{                                                                                          \
		struct zg_settings *s = into;                                                      \
                                                                                                   \
		(void)zg_yaml_copy(ctx, y, s->field, sizeof(s->field));                            \
	}
COPY(approver_group)
COPY(security_group)
COPY(break_glass_group)
#undef COPY

void zg_approvers_parse(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	static const struct zg_yaml_field fields[] = {
		{"group", parse_approver_group, true},
		{"security_group", parse_security_group, false},
		{"break_glass_group", parse_break_glass_group, false},
	};

	(void)zg_yaml_map(ctx, y, "approvers", fields, ZG_COUNT(fields),
			  &((struct zg_settings_src *)into)->settings);
}

static void parse_group(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	struct zg_owner *o = into;

	(void)zg_yaml_copy(ctx, y, o->group, sizeof(o->group));
}

void zg_owners_parse(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	static const struct zg_yaml_field fields[] = {{"group", parse_group, true}};
	struct zg_settings *s = &((struct zg_settings_src *)into)->settings;

	if (y->kind != ZG_Y_MAP) {
		zg_yaml_error(ctx, y, "owners must be a map: name: {group: ...}");
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
