/* SPDX-License-Identifier: Apache-2.0 */
/* list_filter.c - see list_filter.h. Trust: the message is a server's. */
#include "list_filter.h"

static const struct {
	const char *member;
	const char *name; /* NULL: the value itself is the entry */
	bool prefixed;
} sections[ZG_LS_MAX] = {
	[ZG_LS_TOOLS] = {"tools", "name", true},
	[ZG_LS_PROMPTS] = {"prompts", "name", true},
	[ZG_LS_TEMPLATES] = {"resourceTemplates", "uriTemplate", false},
	[ZG_LS_RESOURCES] = {"resources", "uri", false},
	[ZG_LS_INSTRUCTIONS] = {"instructions", NULL, false},
};

/* Which section a member of the result is; ZG_LS_MAX = none. */
static enum zg_list_section section_of(const struct zg_json_item *m)
{
	for (unsigned i = 0; i < ZG_LS_MAX; i++)
		if (zg_json_is(m->name, sections[i].member) &&
		    m->value.ptr[0] == (sections[i].name ? '[' : '"'))
			return (enum zg_list_section)i;
	return ZG_LS_MAX;
}

void zg_list_each(struct zg_slice message, zg_list_fn *fn, void *arg)
{
	struct zg_slice result = zg_json_member(message, "result");
	struct zg_json_item member, entry;
	size_t at = 0;

	if (!result.len || result.ptr[0] != '{')
		return;
	while (zg_json_next(result, &at, &member)) {
		enum zg_list_section s = section_of(&member);
		size_t in = 0;

		if (s == ZG_LS_MAX)
			continue;
		if (!sections[s].name) {
			if (!fn(arg, s, member.value, (struct zg_slice){0}))
				return;
			continue;
		}
		while (zg_json_next(member.value, &in, &entry))
			if (!fn(arg, s, entry.value, zg_json_member(entry.value, sections[s].name)))
				return;
	}
}

struct work {
	zg_list_fn *keep;
	void *arg;
	struct zg_slice prefix;
	struct zg_buf *out;
	const char *done; /* the message up to here is in out */
	bool changed;
};

static void copy_to(struct work *w, const char *to)
{
	zg_buf_add(w->out, w->done, (size_t)(to - w->done));
	w->done = to;
}

static void put_prefix(struct work *w, struct zg_slice name)
{
	if (!w->prefix.len || name.len < 2 || name.ptr[0] != '"')
		return;
	copy_to(w, name.ptr + 1);
	zg_buf_add(w->out, w->prefix.ptr, w->prefix.len); /* needs no escape: see the registry */
	w->changed = true;
}

/* An array of entries: those that stay are joined anew, each as it is. */
static void filter_array(struct work *w, enum zg_list_section s, struct zg_slice array)
{
	struct zg_json_item entry;
	const char *end = NULL; /* of the last entry that stays */
	size_t at = 0;
	bool first = true, gap = false;

	while (zg_json_next(array, &at, &entry)) {
		struct zg_slice name = zg_json_member(entry.value, sections[s].name);
		const char *after = entry.value.ptr + entry.value.len;

		if (!w->keep(w->arg, s, entry.value, name)) {
			/* up to the entry before, or the bracket: the rest goes with it */
			if (!gap)
				copy_to(w, first ? array.ptr + 1 : end);
			w->done = after;
			w->changed = gap = true;
			continue;
		}
		if (gap) {
			if (!first)
				zg_buf_char(w->out, ',');
			w->done = entry.value.ptr;
			gap = false;
		}
		if (sections[s].prefixed)
			put_prefix(w, name);
		end = after;
		first = false;
		if (end > w->done)
			copy_to(w, end);
	}
}

int zg_list_filter(struct zg_slice message, zg_list_fn *keep, void *arg, const char *prefix,
		   struct zg_buf *out, bool *changed)
{
	struct work w = {.keep = keep,
			 .arg = arg,
			 .prefix = zg_slice_str(prefix),
			 .out = out,
			 .done = message.ptr};
	struct zg_slice result = zg_json_member(message, "result");
	struct zg_json_item member;
	size_t at = 0, start = out->len;

	*changed = false;
	if (!result.len || result.ptr[0] != '{')
		return 0;
	while (zg_json_next(result, &at, &member)) {
		enum zg_list_section s = section_of(&member);

		if (s == ZG_LS_MAX)
			continue;
		if (sections[s].name) {
			filter_array(&w, s, member.value);
		} else if (!keep(arg, s, member.value, (struct zg_slice){0})) {
			copy_to(&w, member.value.ptr);
			zg_buf_str(out, "\"\"");
			w.done = member.value.ptr + member.value.len;
			w.changed = true;
		}
	}
	if (!w.changed) {
		out->len = start;
		return out->error;
	}
	copy_to(&w, message.ptr + message.len);
	*changed = true;
	return out->error;
}
