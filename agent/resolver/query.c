/* SPDX-License-Identifier: Apache-2.0 */
/*
 * query.c - one question from its arrival to its answer (server.h): may it be
 * asked, ask it, have the parent confirm that the gate holds the addresses,
 * answer. Whatever goes wrong on the way is SERVFAIL, and no address leaves.
 */
#include <errno.h>

#include "log.h"
#include "server.h"

/* answers --------------------------------------------------------------------- */

static void send_answer(const struct zg_client *c, const struct zg_dns_question *question,
			enum zg_dns_rcode rcode, const struct zg_found *f, uint32_t held,
			bool prohibited)
{
	size_t max = c->stream ? ZG_DNS_TCP_BYTES : question->udp_bytes;
	uint8_t *wire;
	size_t len;

	if (!c->stream && max > ZG_DNS_UDP_BYTES)
		max = ZG_DNS_UDP_BYTES;
	if (zg_answer_build(question, rcode, f, held, prohibited, max, &wire, &len) < 0)
		return; /* the client asks again */
	if (c->stream)
		zg_asker_send(c->stream, wire, len);
	else
		(void)!sendto(c->fd, wire, len, 0, (const struct sockaddr *)&c->peer,
			      c->peer_bytes);
	free(wire);
}

static void answer_plain(const struct zg_client *c, const struct zg_dns_question *question,
			 enum zg_dns_rcode rcode)
{
	send_answer(c, question, rcode, NULL, 0, false);
}

/* For the record: so many a second one by one, the rest as a number. */
static void tell_refused(struct zg_desk *d, const struct zg_dns_question *question, uint32_t reason,
			 bool audit)
{
	struct zg_msg_name_refused m = {.reason = reason, .type = question->type, .audit = audit};

	if (!zg_allowance_take(&d->refusals, ZG_DNS_REFUSALS_SEC)) {
		d->untold++;
		return;
	}
	(void)zg_str_cut(m.profile, sizeof(m.profile), zg_slice_str(d->profile));
	(void)zg_str_cut(m.name, sizeof(m.name), zg_slice_str(question->name));
	m.count = 1 + d->untold;
	if (zg_msg_send(d->resolver->channel, ZG_MSG_NAME_REFUSED, &m, -1) == 0)
		d->untold = 0;
	else
		d->untold++;
}

/* life -------------------------------------------------------------------------- */

static struct zg_query **place_of(struct zg_resolver *r, const struct zg_query *q)
{
	for (size_t i = 0; i < ZG_DNS_INFLIGHT_MAX; i++)
		if (r->query[i] == q)
			return &r->query[i];
	return NULL;
}

static void end(struct zg_query *q)
{
	struct zg_query **place = place_of(q->resolver, q);

	zg_upstream_end(q);
	if (q->learn)
		event_free(q->learn);
	zg_found_release(&q->found);
	if (q->client.desk)
		q->client.desk->inflight--;
	q->resolver->inflight--;
	if (place)
		*place = NULL;
	free(q);
}

static void finish(struct zg_query *q, enum zg_dns_rcode rcode, const struct zg_found *f,
		   uint32_t held)
{
	send_answer(&q->client, &q->question, rcode, f, held, false);
	end(q);
}

/* The agent's own question is over. */
static void tell_host(struct zg_query *q, const struct zg_found *f)
{
	struct zg_host *h = q->host;

	zg_host_answered(h, f);
	end(q);
}

void zg_query_failed(struct zg_query *q)
{
	if (q->host) {
		tell_host(q, NULL);
		return;
	}
	finish(q, ZG_DNS_SERVFAIL, NULL, 0);
}

static void on_learn_late(evutil_socket_t fd ZG_UNUSED, short what ZG_UNUSED, void *arg)
{
	zg_query_failed(arg);
}

/* The answer waits until the gate holds it. */
static int learn(struct zg_query *q)
{
	static const struct timeval limit = {.tv_sec = ZG_DNS_LEARN_MS / 1000,
					     .tv_usec = ZG_DNS_LEARN_MS % 1000 * 1000};
	struct zg_resolver *r = q->resolver;
	struct zg_msg_name_learn m = {
		.query = ++r->learns, .ttl = q->found.ttl, .count = (uint32_t)q->found.count};

	(void)zg_str_cut(m.profile, sizeof(m.profile), zg_slice_str(q->client.desk->profile));
	(void)zg_str_cut(m.name, sizeof(m.name), zg_slice_str(q->question.name));
	memcpy(m.addr, q->found.addr, q->found.count * sizeof(m.addr[0]));
	q->learn = event_new(r->base, -1, 0, on_learn_late, q);
	if (!q->learn || event_add(q->learn, &limit) < 0)
		return -ENOMEM;
	q->number = m.query;
	return zg_msg_send(r->channel, ZG_MSG_NAME_LEARN, &m, -1);
}

void zg_query_found(struct zg_query *q)
{
	const struct zg_found *f = &q->found;

	zg_upstream_end(q);
	if (q->host)
		tell_host(q, f);
	else if (f->kind == ZG_FOUND_NOTHING)
		finish(q, f->rcode, f, 0);
	else if (q->unchecked)
		finish(q, ZG_DNS_NOERROR, f, UINT32_MAX);
	else if (learn(q) < 0)
		zg_query_failed(q);
}

void zg_query_learned(struct zg_resolver *r, const struct zg_msg_name_learned *m)
{
	struct zg_query *q = NULL;

	for (size_t i = 0; i < ZG_DNS_INFLIGHT_MAX && !q; i++)
		if (r->query[i] && r->query[i]->number && r->query[i]->number == m->query)
			q = r->query[i];
	if (!q)
		return; /* it came too late, or its client is gone */
	if (m->reason != ZG_NR_NONE)
		tell_refused(q->client.desk, &q->question, m->reason, q->client.desk->audit);
	if (m->held)
		finish(q, ZG_DNS_NOERROR, &q->found, m->held);
	else if (q->client.desk->audit)
		finish(q, ZG_DNS_NOERROR, &q->found, UINT32_MAX);
	else
		zg_query_failed(q);
}

void zg_queries_drop(struct zg_resolver *r, const struct zg_desk *d, const struct zg_asker *s)
{
	for (size_t i = 0; i < ZG_DNS_INFLIGHT_MAX; i++)
		if (r->query[i] && r->query[i]->client.desk == d &&
		    (!s || r->query[i]->client.stream == s))
			end(r->query[i]);
}

/* A registered server is where the gate redirects its clients: the answer comes
 * from there, and nobody need be asked. Not known yet: they ask again. */
static void answer_server(const struct zg_client *c, const struct zg_dns_question *question)
{
	uint8_t addr[ZG_DNS_ADDRESSES_MAX][16];
	size_t count = zg_hosts_addresses(c->desk->resolver, zg_slice_str(question->name), addr,
					  ZG_DNS_ADDRESSES_MAX);
	struct zg_found f = {0};

	if (!count || zg_found_make(&f, question, addr, count, ZG_SERVER_ANSWER_SEC) < 0)
		answer_plain(c, question, ZG_DNS_SERVFAIL);
	else
		send_answer(c, question, ZG_DNS_NOERROR, &f, UINT32_MAX, false);
	zg_found_release(&f);
}

/* What may be asked: 0, and the question goes on; else it was answered. */
static bool judge(const struct zg_client *c, const struct zg_dns_question *question,
		  bool *unchecked)
{
	struct zg_desk *d = c->desk;
	enum zg_name_reason reason =
		question->odd ? ZG_NR_ODD
			      : zg_namerule_of(d->rules, zg_slice_str(question->name)).reason;

	*unchecked = false;
	if (question->class != ZG_DNS_IN || question->type == ZG_DNS_ANY) {
		answer_plain(c, question, ZG_DNS_REFUSED);
		return false;
	}
	if (reason != ZG_NR_NONE) {
		tell_refused(d, question, reason, d->audit);
		/* "does not exist" lets a search list go on to its next domain */
		if (!d->audit)
			send_answer(c, question, ZG_DNS_NXDOMAIN, NULL, 0, true);
		*unchecked = d->audit;
		if (!d->audit)
			return false;
	}
	if ((question->type == ZG_DNS_A || question->type == ZG_DNS_AAAA) && !*unchecked &&
	    zg_namerule_of(d->rules, zg_slice_str(question->name)).server) {
		answer_server(c, question);
		return false;
	}
	if (question->type == ZG_DNS_A || question->type == ZG_DNS_AAAA)
		return true;
	/* nothing but addresses: no service bindings, no keys to hide a name with */
	answer_plain(c, question, ZG_DNS_NOERROR);
	return false;
}

static struct zg_query *new_query(struct zg_resolver *r, const struct zg_client *c)
{
	static struct zg_query *const none;
	struct zg_query **place = place_of(r, none), *q;

	if (!place || (c->desk && c->desk->inflight >= ZG_DNS_INFLIGHT_PROFILE))
		return NULL;
	q = calloc(1, sizeof(*q));
	if (!q)
		return NULL;
	q->resolver = r;
	q->client = *c;
	q->sock = -1;
	*place = q;
	r->inflight++;
	if (c->desk)
		c->desk->inflight++;
	return q;
}

void zg_query_begin(struct zg_resolver *r, const struct zg_client *c, const uint8_t *bytes,
		    size_t len)
{
	struct zg_dns_question question;
	int answer = zg_dns_question_read(&question, bytes, len);
	struct zg_query *q;
	bool unchecked;

	if (answer < 0)
		return;
	if (!zg_allowance_take(&c->desk->questions, ZG_DNS_QUERY_RATE))
		answer = ZG_DNS_SERVFAIL;
	if (answer) {
		answer_plain(c, &question, (enum zg_dns_rcode)answer);
		return;
	}
	if (!judge(c, &question, &unchecked))
		return;
	q = new_query(r, c);
	if (!q) {
		answer_plain(c, &question, ZG_DNS_SERVFAIL);
		return;
	}
	q->question = question;
	q->unchecked = unchecked;
	zg_upstream_ask(q);
}

bool zg_query_own(struct zg_resolver *r, struct zg_host *h, const char *name, uint16_t type)
{
	const struct zg_client nobody = {.fd = -1};
	struct zg_query *q = new_query(r, &nobody);

	if (!q)
		return false;
	q->host = h;
	zg_dns_question_make(&q->question, name, type);
	zg_upstream_ask(q);
	return true;
}

void zg_queries_forget(struct zg_resolver *r, const struct zg_host *h)
{
	for (size_t i = 0; i < ZG_DNS_INFLIGHT_MAX; i++)
		if (r->query[i] && r->query[i]->host == h)
			end(r->query[i]);
}
