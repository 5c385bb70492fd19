/* SPDX-License-Identifier: Apache-2.0 */
/*
 * listing.c - see listing.h: a list's way, from the server's message past the
 * ledger to the client. Trust: the list is a hostile server's, strict JSON by
 * now and with its secrets taken out; that text is what is hashed, kept and
 * shown. Where a question cannot be answered, nothing of the list is shown.
 */
#include "listing.h"

#include <errno.h>

#include "ipc.h"
#include "listing_impl.h"

#define LISTS_MAX 16 /* that wait at once on one stream; a client asks for five */

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

static int find_end(struct zg_listing *l, struct zg_list_item *it)
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
static int find(struct zg_listing *l, struct zg_list_item *it)
{
	int rc;

	if (it->known || it->kind == ZG_PIN_KINDS) {
		it->known = true;
		return 0;
	}
	if (it->listed)
		return find_end(l, it);
	rc = zg_listing_definition(l, it);
	if (rc < 0)
		return rc;
	it->known = zg_pins_find(&l->request->worker->pins, zg_slice_str(l->request->server->id),
				 (enum zg_pin_kind)it->kind, zg_list_item_name(l, it), &it->word) &&
		    it->word.state != ZG_PS_UNLISTED && it->word.state != ZG_PS_UNKNOWN &&
		    memcmp(it->word.sha256, l->question.sha256, sizeof(it->word.sha256)) == 0;
	return 0;
}

/* 1: all is known; 0: it waits for the ledger; -errno. */
static int go_on(struct zg_listing *l)
{
	size_t count;
	struct zg_list_item *it = zg_listing_items(l, &count);

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
	struct zg_list_item *it = &zg_listing_items(l, &count)[l->next];
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
		withheld = zg_listing_filter(l);
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
	l->items = ZG_BUF((ZG_LIST_ENTRIES_MAX + 16) * sizeof(struct zg_list_item));
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
	return zg_buf_ok(&(*to)->text) ? zg_listing_read(*to) : (*to)->text.error;
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
	rc = zg_buf_ok(&l->text) ? zg_listing_read(l) : l->text.error;
	if (rc == 0)
		rc = go_on(l);
	if (rc == 0) { /* finish() goes on with it */
		m->drop = true;
		return 0;
	}
	if (rc > 0)
		withheld = zg_listing_filter(l);
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
