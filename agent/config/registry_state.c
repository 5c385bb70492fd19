/* SPDX-License-Identifier: Apache-2.0 */
/*
 * registry_state.c - what the ledger says of servers: files of one line of JSON,
 * then the entry as people handed it in and approved it. Trust: the line is the
 * ledger's; the entry was written by whoever submitted it, may not be JSON at all,
 * and must be what it was approved as: same text, same id, same owner, and what
 * the approvers were shown of it.
 */
#include "registry_impl.h"

#include <string.h>

#include "digest.h"

struct state {
	const char *name;
	bool has_entry, trial;
};

static const struct state states[] = {
	{"live", true, false},	     {"approved", true, true},	{"released", false, true},
	{"suspended", false, false}, {"revoked", false, false},
};

static const struct state *find_state(const char *name)
{
	for (size_t i = 0; name && i < ZG_COUNT(states); i++)
		if (strcmp(states[i].name, name) == 0)
			return &states[i];
	return NULL;
}

static bool same_digest(const char *hex, struct zg_slice text)
{
	uint8_t sha256[32];
	char is[65];

	zg_sha256(sha256, text.ptr, text.len);
	zg_hex(is, sha256, sizeof(sha256));
	return hex && strcmp(hex, is) == 0;
}

static struct zg_registry_mark *add_mark(const struct zg_yaml_ctx *ctx, const json_t *id,
					 const struct state *state, struct zg_registry_src *r)
{
	struct zg_registry_mark *m = zg_arena_alloc(ctx->arena, sizeof(*m));
	char *copy = m ? zg_arena_copy(ctx->arena, zg_registry_text(id)) : NULL;

	if (!copy) {
		zg_diag_error(ctx->diag, ctx->file, 0, 0, "the file needs too much memory");
		return NULL;
	}
	*m = (struct zg_registry_mark){.id = {copy, json_string_length(id)},
				       .file = ctx->file,
				       .live = state->has_entry,
				       .trial = state->trial,
				       .next = r->marks};
	r->marks = m;
	return m;
}

/* What people were shown is what it is, or it does not become live. */
static void check_shown(const struct zg_yaml_ctx *ctx, const json_t *line,
			const struct zg_entry_src *e)
{
	struct zg_msg_ctl_server_submit is;
	const struct {
		const char *name, *text;
	} shown[] = {
		{"version", is.version},
		{"transport", is.transport},
		{"endpoint", is.endpoint},
	};

	zg_registry_describe(&is, e);
	for (size_t i = 0; i < ZG_COUNT(shown); i++) {
		const char *said = json_string_value(json_object_get(line, shown[i].name));

		if (!said || strcmp(said, shown[i].text) != 0)
			zg_diag_error(ctx->diag, ctx->file, 2, 1,
				      "the entry's %s is '%s', and people were shown another",
				      shown[i].name, shown[i].text);
	}
}

/* The entry is read from the end of the line on, so that its places are the file's. */
static void read_entry(const struct zg_yaml_ctx *ctx, struct zg_slice text, const json_t *line,
		       const struct zg_registry_mark *mark, struct zg_registry_src *r)
{
	const char *owner = json_string_value(json_object_get(line, "owner"));
	const size_t before = ctx->diag->errors;
	const struct zg_slice entry = {text.ptr + 1, text.len - 1};
	struct zg_entry_src *e;

	if (!same_digest(json_string_value(json_object_get(line, "sha256")), entry)) {
		zg_diag_error(ctx->diag, ctx->file, 2, 1, "the entry is not the one of its digest");
		return;
	}
	zg_registry_parse(ctx, text, r);
	if (ctx->diag->errors != before)
		return;
	e = r->servers;
	e->mark = mark;
	if (!zg_slice_eq(e->policy.id, mark->id))
		zg_diag_error(ctx->diag, ctx->file, 2, 1,
			      "the entry's id is not '%.*s', which was approved", ZG_FMT(mark->id));
	if (!owner || strcmp(e->def.owner, owner) != 0)
		zg_diag_error(ctx->diag, ctx->file, 2, 1,
			      "the entry's owner is not '%s', for whom it was approved",
			      owner ? owner : "");
	if (mark->trial)
		check_shown(ctx, line, e);
}

void zg_registry_state_parse(const struct zg_yaml_ctx *ctx, struct zg_slice text,
			     struct zg_registry_src *r)
{
	const char *end = text.len ? memchr(text.ptr, '\n', text.len) : NULL;
	json_t *line =
		end ? json_loadb(text.ptr, (size_t)(end - text.ptr), JSON_REJECT_DUPLICATES, NULL)
		    : NULL;
	const struct state *state = find_state(json_string_value(json_object_get(line, "state")));
	const json_t *id = json_object_get(line, "id");
	const struct zg_registry_mark *mark;

	if (!state || !json_string_length(id)) {
		zg_diag_error(ctx->diag, ctx->file, 1, 1, "not a file of the ledger's");
		zg_diag_hint(ctx->diag, "zerogated writes it: stop the agent, remove it, and the "
					"ledger writes it anew");
		json_decref(line);
		return;
	}
	mark = add_mark(ctx, id, state, r);
	if (mark && state->has_entry)
		read_entry(ctx, (struct zg_slice){end, text.len - (size_t)(end - text.ptr)}, line,
			   mark, r);
	json_decref(line);
}

/* The word that counts for an id: of what is to be live next, if there is one. */
static const struct zg_registry_mark *find_mark(const struct zg_registry_src *r, struct zg_slice id)
{
	const struct zg_registry_mark *found = NULL;

	for (const struct zg_registry_mark *m = r->marks; m; m = m->next)
		if (zg_slice_ieq(m->id, id) && (!found || m->trial))
			found = m;
	return found;
}

static bool counts(const struct zg_entry_src *e, const struct zg_registry_mark *m, bool submit,
		   struct zg_diag *diag)
{
	if (e->mark)
		return e->mark == m;
	if (submit)
		return false;
	if (!m || (!m->live && m->trial)) /* nobody decided, or it was released */
		return true;
	zg_diag_notice(diag, e->file, 0, 0, "passed over: the registry decides on server '%s'",
		       e->def.id);
	zg_diag_hint(diag, "as %s says; see zerogate servers show", m->file);
	return false;
}

/* What nobody could approve is an error of the file. */
static void add_submitted(struct zg_registry_src *r, struct zg_entry_src *e, struct zg_diag *diag)
{
	if (!e->def.owner[0])
		zg_diag_error(diag, e->file, 0, 0,
			      "files need approval, and this one names no owner to give it");
	if (e->text_bytes > ZG_ENTRY_BYTES)
		zg_diag_error(diag, e->file, 0, 0,
			      "files need approval, and this one is larger "
			      "than %d bytes",
			      ZG_ENTRY_BYTES);
	e->next = r->submitted;
	r->submitted = e;
}

void zg_registry_settle(struct zg_registry_src *r, bool submit, struct zg_diag *diag)
{
	struct zg_entry_src **link = &r->servers;

	while (*link) {
		struct zg_entry_src *e = *link;

		if (counts(e, find_mark(r, e->policy.id), submit, diag)) {
			link = &e->next;
		} else {
			*link = e->next;
			r->count--;
			if (submit && !e->mark)
				add_submitted(r, e, diag);
		}
	}
}
