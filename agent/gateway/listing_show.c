/* SPDX-License-Identifier: Apache-2.0 */
/*
 * listing_show.c - what the client sees of a list: what is accepted, and what
 * policy would let this caller use. Trust: the list is a hostile server's; the
 * states are the ledger's word, the decisions are policy's.
 */
#include "listing_impl.h"

static bool may_use(const struct zg_request *r, const struct zg_listing *l,
		    const struct zg_list_item *it)
{
	struct zg_envelope env = {.server = zg_slice_str(r->server->id),
				  .tool = zg_list_item_name(l, it),
				  .principal = &r->principal,
				  .subject = zg_slice_str(r->subject),
				  .time_sec = zg_real_sec(),
				  .preview = true};
	struct zg_decision d;

	if (!zg_list_uses[it->section].use)
		return true;
	env.method = zg_slice_str(zg_list_uses[it->section].use);
	env.read_only = r->server->trust_annotations && it->word.state == ZG_PS_PINNED &&
			(it->word.hints & ZG_PIN_READ_ONLY);
	zg_executable_fill(r, &env);
	if (zg_envelope_classify(&r->live->policy, &env) < 0)
		return false;
	zg_decide(&r->live->policy, &env, &d);
	return d.kind != ZG_D_DENY;
}

struct counts {
	struct zg_listing *l;
	uint32_t policy, fresh, changed, flagged, other;
};

static bool keep(void *arg, enum zg_list_section s, struct zg_slice entry ZG_UNUSED,
		 struct zg_slice name ZG_UNUSED)
{
	struct counts *c = arg;
	size_t count;
	const struct zg_list_item *it = &zg_listing_items(c->l, &count)[c->l->cursor++];

	if (zg_list_uses[s].kind != ZG_PIN_KINDS && it->word.state != ZG_PS_PINNED) {
		c->fresh += it->word.state == ZG_PS_NEW;
		c->changed += it->word.state == ZG_PS_CHANGED;
		c->flagged += it->word.state == ZG_PS_FLAGGED;
		c->other += it->word.state != ZG_PS_NEW && it->word.state != ZG_PS_CHANGED &&
			    it->word.state != ZG_PS_FLAGGED;
		return false;
	}
	if (may_use(c->l->request, c->l, it))
		return true;
	c->policy++;
	return false;
}

static void tell_counts(struct zg_request *r, const struct counts *c)
{
	const struct {
		const char *why;
		uint32_t n;
	} all[] = {{"policy", c->policy},
		   {"new", c->fresh},
		   {"changed", c->changed},
		   {"flagged", c->flagged},
		   {"unusable", c->other}};
	zg_autobuf b = ZG_BUF(ZG_FINDINGS_LEN);

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (all[i].n)
			zg_buf_fmt(&b, "%s%s:%u", b.len ? "," : "", all[i].why, all[i].n);
	if (b.len)
		r->output.hidden = zg_request_text(r, "%.*s", (int)b.len, b.ptr);
}

const char *zg_listing_filter(struct zg_listing *l)
{
	struct counts c = {.l = l};
	size_t count;
	const struct zg_list_item *it = zg_listing_items(l, &count);

	for (size_t i = 0; i < count; i++)
		if (it[i].kind == ZG_PIN_IDENTITY && !it[i].listed &&
		    it[i].word.state != ZG_PS_PINNED)
			return "the server's name for itself was not accepted "
			       "(zerogate servers pins)";
	l->cursor = 0;
	if (zg_list_filter(zg_buf_slice(&l->text), keep, &c, l->request->server->prefix, &l->out,
			   &l->changed) < 0)
		return "its list could not be rebuilt";
	tell_counts(l->request, &c);
	l->ready = true;
	return NULL;
}
