/* SPDX-License-Identifier: Apache-2.0 */
/*
 * listing.c - see listing.h. Trust: the list is a hostile server's, strict JSON
 * by now and with its secrets taken out; that text is what is hashed, kept and
 * shown. Where a question cannot be answered, nothing of the list is shown.
 */
#include "listing.h"

#include <errno.h>

#include "confusable.h"
#include "definition.h"
#include "digest.h"
#include "ipc.h"
#include "list_filter.h"
#include "request.h"

static const struct {
	enum zg_pin_kind kind; /* ZG_PIN_KINDS: data, not pinned */
	const char *use;       /* the method that uses it */
} sections[ZG_LS_MAX] = {
	[ZG_LS_TOOLS] = {ZG_PIN_TOOL, "tools/call"},
	[ZG_LS_PROMPTS] = {ZG_PIN_PROMPT, "prompts/get"},
	[ZG_LS_TEMPLATES] = {ZG_PIN_TEMPLATE, "resources/read"},
	[ZG_LS_RESOURCES] = {ZG_PIN_KINDS, "resources/read"},
	[ZG_LS_INSTRUCTIONS] = {ZG_PIN_INSTRUCTIONS, NULL},
};

#define LISTS_MAX 16 /* that wait at once on one stream; a client asks for five */
#define IDENTITY  ZG_SLICE("serverInfo")

struct item {
	uint32_t kind; /* ZG_PIN_KINDS: not pinned */
	uint32_t name; /* where its name begins in `names` */
	struct zg_slice raw;
	struct zg_pin_word word;
	bool known;
	bool listed; /* not a definition: a kind whose list is complete */
	bool policy; /* the caller may use it */
	uint32_t section;
};

struct zg_listing {
	struct zg_request *request;
	struct zg_listing *after; /* another that came meanwhile, on the same stream */
	struct zg_buf text;	  /* the message, as it may be released */
	struct zg_buf names;	  /* decoded, each with a NUL */
	struct zg_buf items;	  /* struct item */
	struct zg_buf out;
	struct zg_buf canon; /* text of the definition that is being told */
	struct zg_names own;
	struct zg_msg_pin_seen question;
	size_t next; /* item that is being asked for */
	size_t cursor;
	bool waits;
	bool ready;
	bool changed;
	struct event timer;
	int error;
};

static struct item *items(const struct zg_listing *l, size_t *count)
{
	*count = l->items.len / sizeof(struct item);
	return (struct item *)(void *)l->items.ptr;
}

static void listing_free(struct zg_listing *l)
{
	if (event_initialized(&l->timer))
		(void)event_del(&l->timer);
	zg_buf_release(&l->text);
	zg_buf_release(&l->names);
	zg_buf_release(&l->items);
	zg_buf_release(&l->out);
	zg_buf_release(&l->canon);
	zg_buf_release(&l->own.text);
	free(l);
}

void zg_listing_free(struct zg_request *r)
{
	struct zg_listing *l;

	while ((l = r->listing)) {
		r->listing = l->after;
		listing_free(l);
	}
}

bool zg_listing_waits(const struct zg_request *r)
{
	return r->listing && r->listing->waits;
}

struct zg_slice zg_listing_text(const struct zg_request *r)
{
	if (!r->listing || !r->listing->ready)
		return (struct zg_slice){0};
	return zg_buf_slice(r->listing->changed ? &r->listing->out : &r->listing->text);
}

/* reading the list ---------------------------------------------------------------- */

static struct zg_slice name_of(const struct zg_listing *l, const struct item *it)
{
	return zg_slice_str(l->names.ptr + it->name);
}

static void add_item(struct zg_listing *l, struct item it)
{
	zg_buf_add(&l->items, &it, sizeof(it));
}

/* Long ones (URI templates) are known by their beginning and a digest. */
static void end_name(struct zg_listing *l, size_t start)
{
	const size_t keep = ZG_TOOL_LEN - 34;
	uint8_t digest[32];
	char hex[65];

	if (zg_buf_ok(&l->names) && l->names.len - start >= ZG_TOOL_LEN) {
		zg_sha256(digest, l->names.ptr + start, l->names.len - start);
		zg_hex(hex, digest, 32);
		l->names.len = start + keep;
		zg_buf_char(&l->names, '#');
		zg_buf_add(&l->names, hex, 32);
	}
	zg_buf_char(&l->names, '\0');
}

static bool take_entry(void *arg, enum zg_list_section s, struct zg_slice entry,
		       struct zg_slice name)
{
	struct zg_listing *l = arg;
	struct item it = {.kind = sections[s].kind,
			  .section = s,
			  .raw = entry,
			  .name = (uint32_t)l->names.len};
	size_t count, start = l->names.len;

	(void)items(l, &count);
	if (count == ZG_LIST_ENTRIES_MAX)
		l->error = -EFBIG;
	if (s == ZG_LS_INSTRUCTIONS)
		zg_buf_str(&l->names, "instructions");
	else if (!name.ptr || !zg_json_text(name, &l->names) || l->names.len == start)
		it.known = true; /* nobody can call it: word is UNKNOWN, so it is not shown */
	if (s == ZG_LS_TOOLS) {
		zg_buf_char(&l->own.text, ' ');
		zg_buf_add(&l->own.text, l->names.ptr ? l->names.ptr + start : "",
			   l->names.len - start);
	}
	end_name(l, start);
	add_item(l, it);
	return l->error == 0;
}

static void take_identity(struct zg_listing *l, struct zg_slice info)
{
	struct zg_slice name = zg_json_member(info, "name");
	struct item it = {.kind = ZG_PIN_IDENTITY,
			  .section = ZG_LS_MAX,
			  .raw = info,
			  .name = (uint32_t)l->names.len};

	if (!name.ptr)
		return;
	zg_buf_str(&l->names, IDENTITY.ptr);
	zg_buf_char(&l->names, '\0');
	add_item(l, it);
}

/* A kind whose list ends here: what comes later is new. */
static void take_end(struct zg_listing *l, enum zg_pin_kind kind)
{
	struct item it = {.kind = kind, .listed = true, .name = (uint32_t)l->names.len};

	zg_buf_char(&l->names, '\0');
	add_item(l, it);
}

static int read_list(struct zg_listing *l)
{
	struct zg_slice text = zg_buf_slice(&l->text), info, result, value;
	static const char *const member[] = {"tools", "prompts", "resourceTemplates"};

	result = zg_json_member(text, "result");
	zg_list_each(text, take_entry, l);
	info = zg_json_member(result, "serverInfo");
	if (!info.ptr) /* where server/discover says it */
		info = zg_json_member(zg_json_member(result, "_meta"),
				      "io.modelcontextprotocol/serverInfo");
	if (info.ptr)
		take_identity(l, info);
	value = zg_json_member(result, "nextCursor");
	for (int i = 0; i < 3 && (!value.ptr || zg_slice_eq(value, ZG_SLICE("null"))); i++)
		if (zg_json_member(result, member[i]).ptr)
			take_end(l, (enum zg_pin_kind)i);
	if (info.ptr && zg_json_member(result, "capabilities").ptr) {
		take_end(l, ZG_PIN_INSTRUCTIONS);
		take_end(l, ZG_PIN_IDENTITY);
	}
	if (!zg_buf_ok(&l->names) || !zg_buf_ok(&l->items) || !zg_buf_ok(&l->own.text))
		return -ENOMEM;
	return l->error;
}

/* what a definition is --------------------------------------------------------------- */

static bool same_looks(struct zg_slice a, const char *b)
{
	char x[ZG_TOOL_LEN], y[ZG_TOOL_LEN];

	zg_skeleton(x, sizeof(x), a);
	zg_skeleton(y, sizeof(y), zg_slice_str(b));
	return x[0] && strcmp(x, y) == 0;
}

/* Is the server's own name the registered one, its last part, or its id? */
static uint32_t compare_identity(const struct zg_server_def *def, const json_t *info)
{
	struct zg_slice name = zg_slice_str(json_string_value(json_object_get(info, "name")));
	const char *version = json_string_value(json_object_get(info, "version"));
	const char *slash = strrchr(def->name, '/');
	uint32_t bits = 0;

	if (!same_looks(name, def->name) && !same_looks(name, slash ? slash + 1 : def->name) &&
	    !same_looks(name, def->id))
		bits |= ZG_POISON_BIT(NAME);
	if (!version || strcmp(version, def->version) != 0)
		bits |= ZG_POISON_BIT(VERSION);
	return bits;
}

/* The digest, and what there is to say of it; its text in l->canon. */
static int read_definition(struct zg_listing *l, const struct item *it)
{
	struct zg_msg_pin_seen *q = &l->question;
	json_t *v = zg_definition_parse(it->raw), *only = NULL;
	int rc = v ? 0 : -ENOMEM;

	*q = (struct zg_msg_pin_seen){
		.call = l->request->call, .question = ZG_PQ_SEEN, .kind = it->kind};
	(void)zg_str_cut(q->server, sizeof(q->server), zg_slice_str(l->request->server->id));
	(void)zg_str_cut(q->name, sizeof(q->name), name_of(l, it));
	zg_buf_reset(&l->canon);
	if (v && it->kind == ZG_PIN_IDENTITY) {
		only = json_object();
		if (!only || json_object_set(only, "name", json_object_get(v, "name")) < 0)
			rc = -ENOMEM;
		else
			rc = zg_definition_read(only, &l->own, &l->canon, q);
		q->findings |= compare_identity(l->request->server, v);
	} else if (v) {
		rc = zg_definition_read(v, &l->own, &l->canon, q);
	}
	json_decref(only);
	json_decref(v);
	q->bytes = (uint32_t)(l->canon.len < ZG_PIN_TEXT_BYTES ? l->canon.len : ZG_PIN_TEXT_BYTES);
	return rc;
}

/* asking the ledger ------------------------------------------------------------------- */

static void finish(struct zg_listing *l, const char *withheld);

static void on_silence(evutil_socket_t fd ZG_UNUSED, short what ZG_UNUSED, void *arg)
{
	struct zg_listing *l = arg;

	finish(l, "whether its definitions are accepted cannot be checked now");
}

static void send_chunk(struct zg_listing *l)
{
	const struct timeval wait = {ZG_PIN_WAIT_MS / 1000, ZG_PIN_WAIT_MS % 1000 * 1000};
	struct zg_msg_pin_seen *q = &l->question;
	size_t left = q->bytes - q->offset;

	q->chunk = (uint32_t)(left < sizeof(q->text) ? left : sizeof(q->text));
	if (q->chunk)
		memcpy(q->text, l->canon.ptr + q->offset, q->chunk);
	/* if it does not go out, a new ledger is told, or time is up */
	if (l->request->worker->ledger >= 0 &&
	    zg_msg_send(l->request->worker->ledger, ZG_MSG_PIN_SEEN, q, -1) < 0)
		q->offset = 0;
	(void)event_add(&l->timer, &wait);
}

void zg_listing_resend(struct zg_request *r)
{
	r->listing->question.offset = 0;
	send_chunk(r->listing);
}

static int find_end(struct zg_listing *l, struct item *it)
{
	const char *id = l->request->server->id;

	l->question = (struct zg_msg_pin_seen){
		.call = l->request->call, .question = ZG_PQ_LISTED, .kind = it->kind};
	(void)zg_str_cut(l->question.server, sizeof(l->question.server), zg_slice_str(id));
	it->known = zg_pins_find(&l->request->worker->pins, zg_slice_str(id),
				 (enum zg_pin_kind)it->kind, ZG_SLICE(""), &it->word);
	return 0;
}

/* Is it one that this worker knows, with this very digest? Else l->question
 * holds what is to be told. */
static int find(struct zg_listing *l, struct item *it)
{
	int rc;

	if (it->known || it->kind == ZG_PIN_KINDS) {
		it->known = true;
		return 0;
	}
	if (it->listed)
		return find_end(l, it);
	rc = read_definition(l, it);
	if (rc < 0)
		return rc;
	it->known = zg_pins_find(&l->request->worker->pins, zg_slice_str(l->request->server->id),
				 (enum zg_pin_kind)it->kind, name_of(l, it), &it->word) &&
		    it->word.state != ZG_PS_UNLISTED && it->word.state != ZG_PS_UNKNOWN &&
		    memcmp(it->word.sha256, l->question.sha256, sizeof(it->word.sha256)) == 0;
	return 0;
}

/* 1: all is known; 0: it waits for the ledger; -errno. */
static int go_on(struct zg_listing *l)
{
	size_t count;
	struct item *it = items(l, &count);

	for (; l->next < count; l->next++) {
		int rc = find(l, &it[l->next]);

		if (rc < 0)
			return rc;
		if (it[l->next].known)
			continue;
		l->waits = true;
		send_chunk(l);
		return 0;
	}
	return 1;
}

void zg_listing_answer(struct zg_request *r, const struct zg_msg_pin_state *m)
{
	struct zg_listing *l = r->listing;
	size_t count;
	struct item *it = &items(l, &count)[l->next];
	int rc;

	if (m->state == ZG_PS_MORE) {
		l->question.offset += l->question.chunk;
		if (l->question.offset < l->question.bytes)
			send_chunk(l);
		return;
	}
	(void)event_del(&l->timer);
	if (m->state == ZG_PS_UNAVAILABLE) {
		finish(l, "its definitions could not be stored");
		return;
	}
	it->known = true;
	it->word = (struct zg_pin_word){.state = (enum zg_pin_state)m->state, .hints = m->hints};
	l->next++;
	rc = go_on(l);
	if (rc != 0)
		finish(l, rc < 0 ? "its definitions could not be read" : NULL);
}

/* what the client sees ------------------------------------------------------------------ */

static bool may_use(const struct zg_request *r, const struct zg_listing *l, const struct item *it)
{
	struct zg_envelope env = {.server = zg_slice_str(r->server->id),
				  .tool = name_of(l, it),
				  .principal = &r->principal};
	struct zg_decision d;

	if (!sections[it->section].use)
		return true;
	env.method = zg_slice_str(sections[it->section].use);
	env.read_only = r->server->trust_annotations && it->word.state == ZG_PS_PINNED &&
			(it->word.hints & ZG_PIN_READ_ONLY);
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
	const struct item *it = &items(c->l, &count)[c->l->cursor++];

	if (sections[s].kind != ZG_PIN_KINDS && it->word.state != ZG_PS_PINNED) {
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

/* NULL, or why nothing of it is shown. */
static const char *filter(struct zg_listing *l)
{
	struct counts c = {.l = l};
	size_t count;
	const struct item *it = items(l, &count);

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

static void send_event(struct zg_request *r)
{
	static const struct zg_sse_event plain = {
		.raw = {"event: message\ndata:\n\n", 22}, .data = {"", 0}, .has_data = true};
	struct zg_buf *event = &r->worker->scratch;
	struct zg_slice text = zg_listing_text(r);

	zg_buf_reset(event);
	zg_sse_rewrite(&plain, NULL, &text, event);
	if (zg_buf_ok(event) && r->client)
		zg_client_stream_write(r->client, zg_buf_slice(event));
}

/* A list that waited has its answer. */
static void finish(struct zg_listing *l, const char *withheld)
{
	struct zg_request *r = l->request;

	(void)event_del(&l->timer);
	l->waits = false;
	if (!withheld)
		withheld = filter(l);
	if (withheld) {
		(void)zg_withhold(r, -EPERM, withheld);
		r->output.answered = false;
	} else if (r->output.streaming) {
		send_event(r);
	}
	if (!withheld && l->after) {
		int rc;

		r->listing = l->after;
		listing_free(l);
		rc = go_on(r->listing);
		if (rc != 0)
			finish(r->listing, rc < 0 ? "its definitions could not be read" : NULL);
		return;
	}
	zg_request_run(r);
}

static struct zg_listing *listing_new(struct zg_request *r)
{
	struct zg_listing *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	l->request = r;
	l->text = ZG_BUF(2 * ZG_RESPONSE_BYTES);
	l->out = ZG_BUF(4 * ZG_RESPONSE_BYTES);
	l->names = ZG_BUF(2 * ZG_RESPONSE_BYTES);
	l->items = ZG_BUF((ZG_LIST_ENTRIES_MAX + 16) * sizeof(struct item));
	l->canon = ZG_BUF(4 * ZG_RESPONSE_BYTES);
	l->own.text = ZG_BUF(2 * ZG_RESPONSE_BYTES);
	(void)event_assign(&l->timer, r->worker->base, -1, 0, on_silence, l);
	return l;
}

static bool is_list(const struct zg_request *r, const struct zg_server_message *m)
{
	/* answers that carry a server's data, whatever its members are called */
	static const char *const data[] = {"tools/call", "resources/read", "prompts/get",
					   "completion/complete"};
	static const char *const members[] = {"tools",	   "prompts",	   "resourceTemplates",
					      "resources", "instructions", "serverInfo",
					      "_meta"};
	struct zg_slice result;

	if (!m->facts.result.ptr || !r->server)
		return false;
	for (size_t i = 0; i < sizeof(data) / sizeof(data[0]); i++)
		if (zg_slice_eq(r->rpc.method, zg_slice_str(data[i])))
			return false;
	result = zg_json_member(m->text, "result");
	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++)
		if (zg_json_member(result, members[i]).ptr)
			return true;
	return false;
}

/* Several lists may be under way on one stream: one after the other. */
static int queue(struct zg_request *r, const struct zg_server_message *m)
{
	struct zg_listing **to = &r->listing;
	unsigned n = 0;

	for (; *to && n < LISTS_MAX; n++)
		to = &(*to)->after;
	if (n == LISTS_MAX || !r->output.streaming)
		return -EBUSY;
	*to = listing_new(r);
	if (!*to)
		return -ENOMEM;
	zg_buf_add(&(*to)->text, m->text.ptr, m->text.len);
	return zg_buf_ok(&(*to)->text) ? read_list(*to) : (*to)->text.error;
}

int zg_judge_listing(struct zg_request *r, struct zg_server_message *m)
{
	const char *withheld = "its definitions could not be read";
	struct zg_listing *l;
	int rc;

	if (!is_list(r, m))
		return 0;
	if (zg_listing_waits(r)) {
		rc = queue(r, m);
		m->drop = true;
		return rc < 0 ? zg_withhold(r, rc, "it lists too much at once") : 0;
	}
	zg_listing_free(r);
	l = r->listing = listing_new(r);
	if (!l)
		return zg_withhold(r, -ENOMEM, withheld);
	zg_buf_add(&l->text, m->text.ptr, m->text.len);
	rc = zg_buf_ok(&l->text) ? read_list(l) : l->text.error;
	if (rc == 0)
		rc = go_on(l);
	if (rc == 0) { /* finish() goes on with it */
		m->drop = true;
		return 0;
	}
	if (rc > 0)
		withheld = filter(l);
	if (withheld) {
		r->output.answered = false;
		return zg_withhold(r, -EPERM, withheld);
	}
	if (l->changed) {
		zg_buf_reset(&r->output.released);
		zg_buf_add(&r->output.released, l->out.ptr, l->out.len);
		if (!zg_buf_ok(&r->output.released))
			return zg_withhold(r, -EFBIG, "its list is too large");
		m->text = zg_buf_slice(&r->output.released);
		m->changed = true;
	}
	l->ready = false; /* it is delivered as any other message */
	return 0;
}
