/* SPDX-License-Identifier: Apache-2.0 */
/*
 * answer.c - see answer.h. Trust: the message is whatever the network brought;
 * ldns takes it apart, inside the sandbox. No I/O.
 */
#include "answer.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#define RECORDS_MAX 512 /* of a message: what is beyond is not an answer of ours */
#define QUESTION    4	/* type and class behind the name */

static uint16_t get16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

/* Is it an answer to what we asked, by its first bytes? */
static bool header_fits(uint16_t id, const uint8_t *bytes, size_t len)
{
	return len >= ZG_DNS_HEADER && get16(bytes) == id && (bytes[2] & 0xf8) == 0x80 &&
	       get16(bytes + 4) == 1 && get16(bytes + 6) <= RECORDS_MAX &&
	       get16(bytes + 8) <= RECORDS_MAX && get16(bytes + 10) <= RECORDS_MAX;
}

static ldns_rdf *name_of(const struct zg_dns_question *q)
{
	return ldns_rdf_new_frm_data(LDNS_RDF_TYPE_DNAME, q->wire_len, q->wire);
}

static bool question_fits(const struct zg_found *f, const struct zg_dns_question *q,
			  const ldns_rdf *name)
{
	const ldns_rr *rr = ldns_rr_list_rr(ldns_pkt_question(f->pkt), 0);

	return rr && ldns_rr_get_type(rr) == (ldns_rr_type)q->type &&
	       ldns_rr_get_class(rr) == (ldns_rr_class)q->class &&
	       ldns_dname_compare(ldns_rr_owner(rr), name) == 0;
}

static bool belongs(const ldns_rr *rr, const ldns_rdf *owner, ldns_rr_type type)
{
	return ldns_rr_get_type(rr) == type && ldns_rr_get_class(rr) == LDNS_RR_CLASS_IN &&
	       ldns_dname_compare(ldns_rr_owner(rr), owner) == 0;
}

static void note_ttl(struct zg_found *f, const ldns_rr *rr)
{
	if (ldns_rr_ttl(rr) < f->ttl)
		f->ttl = ldns_rr_ttl(rr);
}

static void take_address(struct zg_found *f, ldns_rr *rr)
{
	static const uint8_t mapped[12] = {[10] = 0xff, 0xff};
	const ldns_rdf *data = ldns_rr_rdf(rr, 0);
	bool v4 = ldns_rr_get_type(rr) == LDNS_RR_TYPE_A;
	size_t bytes = v4 ? 4 : 16;

	if (f->count == ZG_DNS_ADDRESSES_MAX || !data || ldns_rdf_size(data) != bytes)
		return;
	memcpy(f->addr[f->count], mapped, sizeof(mapped));
	memcpy(f->addr[f->count] + 16 - bytes, ldns_rdf_data(data), bytes);
	f->record[f->count++] = rr;
	note_ttl(f, rr);
}

static ldns_rr *alias_of(const ldns_rr_list *answer, const ldns_rdf *owner)
{
	for (size_t i = 0; i < ldns_rr_list_rr_count(answer); i++) {
		ldns_rr *rr = ldns_rr_list_rr(answer, i);

		if (belongs(rr, owner, LDNS_RR_TYPE_CNAME) && ldns_rr_rdf(rr, 0))
			return rr;
	}
	return NULL;
}

/* From the question along its aliases. False: the chain has no end. */
static bool follow(struct zg_found *f, const struct zg_dns_question *q, const ldns_rdf *name)
{
	const ldns_rr_list *answer = ldns_pkt_answer(f->pkt);
	const ldns_rdf *owner = name;

	for (;;) {
		ldns_rr *alias;

		for (size_t i = 0; i < ldns_rr_list_rr_count(answer); i++)
			if (belongs(ldns_rr_list_rr(answer, i), owner, (ldns_rr_type)q->type))
				take_address(f, ldns_rr_list_rr(answer, i));
		alias = f->count ? NULL : alias_of(answer, owner);
		if (!alias)
			return true;
		if (f->chained == ZG_DNS_CHAIN_MAX)
			return false;
		f->chain[f->chained++] = alias;
		note_ttl(f, alias);
		owner = ldns_rr_rdf(alias, 0);
	}
}

/* For how long it does not exist: the zone's word, if it is a zone of the name. */
static void find_soa(struct zg_found *f, const ldns_rdf *name)
{
	const ldns_rdf *end = f->chained ? ldns_rr_rdf(f->chain[f->chained - 1], 0) : name;
	const ldns_rr_list *authority = ldns_pkt_authority(f->pkt);

	for (size_t i = 0; i < ldns_rr_list_rr_count(authority); i++) {
		ldns_rr *rr = ldns_rr_list_rr(authority, i);
		const ldns_rdf *zone = ldns_rr_owner(rr);

		if (ldns_rr_get_type(rr) != LDNS_RR_TYPE_SOA ||
		    ldns_rr_get_class(rr) != LDNS_RR_CLASS_IN)
			continue;
		if (ldns_dname_compare(zone, end) == 0 || ldns_dname_is_subdomain(end, zone)) {
			f->soa = rr;
			return;
		}
	}
}

static void read_records(struct zg_found *f, const struct zg_dns_question *q, const ldns_rdf *name)
{
	ldns_pkt_rcode rcode = ldns_pkt_get_rcode(f->pkt);

	f->kind = ZG_FOUND_FAILED;
	if ((rcode != LDNS_RCODE_NOERROR && rcode != LDNS_RCODE_NXDOMAIN) || !follow(f, q, name))
		return;
	if (f->count && rcode == LDNS_RCODE_NOERROR) {
		f->kind = ZG_FOUND_ADDRESSES;
		return;
	}
	f->kind = ZG_FOUND_NOTHING;
	f->rcode = rcode == LDNS_RCODE_NXDOMAIN ? ZG_DNS_NXDOMAIN : ZG_DNS_NOERROR;
	f->count = 0;
	find_soa(f, name);
}

void zg_found_read(struct zg_found *f, const struct zg_dns_question *q, uint16_t id,
		   const uint8_t *bytes, size_t len)
{
	ldns_rdf *name;

	*f = (struct zg_found){.ttl = ZG_DNS_TTL_MAX_SEC};
	if (!header_fits(id, bytes, len) || len < ZG_DNS_HEADER + q->wire_len + QUESTION)
		return;
	/* a cut message need not be whole enough to be read: its question is there */
	if (bytes[2] & 0x02) {
		if (strncasecmp((const char *)bytes + ZG_DNS_HEADER, (const char *)q->wire,
				q->wire_len) == 0)
			f->kind = ZG_FOUND_TRUNCATED;
		return;
	}
	if (ldns_wire2pkt(&f->pkt, bytes, len) != LDNS_STATUS_OK)
		return;
	name = name_of(q);
	if (name && question_fits(f, q, name))
		read_records(f, q, name);
	ldns_rdf_deep_free(name);
}

void zg_found_release(struct zg_found *f)
{
	ldns_pkt_free(f->pkt);
	*f = (struct zg_found){0};
}

/* One record, which the packet owns. */
static bool make_record(struct zg_found *f, const struct zg_dns_question *q, const uint8_t addr[16],
			uint32_t ttl)
{
	const bool v4 = q->type == ZG_DNS_A;
	ldns_rr *rr = ldns_rr_new();
	ldns_rdf *data = ldns_rdf_new_frm_data(v4 ? LDNS_RDF_TYPE_A : LDNS_RDF_TYPE_AAAA,
					       v4 ? 4 : 16, addr + (v4 ? 12 : 0));

	if (!rr || !data || !ldns_rr_push_rdf(rr, data)) {
		ldns_rdf_deep_free(data);
		ldns_rr_free(rr);
		return false;
	}
	ldns_rr_set_owner(rr, name_of(q));
	ldns_rr_set_type(rr, (ldns_rr_type)q->type);
	ldns_rr_set_class(rr, LDNS_RR_CLASS_IN);
	ldns_rr_set_ttl(rr, ttl);
	if (!ldns_rr_owner(rr) || !ldns_pkt_push_rr(f->pkt, LDNS_SECTION_ANSWER, rr)) {
		ldns_rr_free(rr);
		return false;
	}
	memcpy(f->addr[f->count], addr, 16);
	f->record[f->count++] = rr;
	return true;
}

int zg_found_make(struct zg_found *f, const struct zg_dns_question *q, uint8_t (*addr)[16],
		  size_t count, uint32_t ttl)
{
	static const uint8_t mapped[12] = {[10] = 0xff, 0xff};

	*f = (struct zg_found){.kind = ZG_FOUND_ADDRESSES, .ttl = ttl, .pkt = ldns_pkt_new()};
	if (!f->pkt)
		return -ENOMEM;
	for (size_t i = 0; i < count && f->count < ZG_DNS_ADDRESSES_MAX; i++) {
		bool v4 = memcmp(addr[i], mapped, sizeof(mapped)) == 0;

		if (v4 == (q->type == ZG_DNS_A) && !make_record(f, q, addr[i], ttl))
			return -ENOMEM;
	}
	return 0;
}

/* building ------------------------------------------------------------------- */

#define EDE_OPTION     15 /* RFC 8914 */
#define EDE_PROHIBITED 18

static bool push(ldns_pkt *pkt, ldns_pkt_section section, const ldns_rr *rr)
{
	ldns_rr *copy = ldns_rr_clone(rr);

	if (!copy)
		return false;
	if (ldns_rr_ttl(copy) > ZG_DNS_TTL_MAX_SEC)
		ldns_rr_set_ttl(copy, ZG_DNS_TTL_MAX_SEC);
	if (ldns_pkt_push_rr(pkt, section, copy))
		return true;
	ldns_rr_free(copy);
	return false;
}

static bool push_question(ldns_pkt *pkt, const struct zg_dns_question *q)
{
	ldns_rr *rr;

	if (!q->wire_len)
		return true;
	rr = ldns_rr_new();
	if (!rr)
		return false;
	ldns_rr_set_owner(rr, name_of(q));
	ldns_rr_set_type(rr, (ldns_rr_type)q->type);
	ldns_rr_set_class(rr, (ldns_rr_class)q->class);
	ldns_rr_set_question(rr, true);
	if (ldns_rr_owner(rr) && ldns_pkt_push_rr(pkt, LDNS_SECTION_QUESTION, rr))
		return true;
	ldns_rr_free(rr);
	return false;
}

static bool push_found(ldns_pkt *pkt, const struct zg_found *f, uint32_t held)
{
	for (size_t i = 0; i < f->chained; i++)
		if (!push(pkt, LDNS_SECTION_ANSWER, f->chain[i]))
			return false;
	for (size_t i = 0; i < f->count; i++)
		if ((held >> i & 1) && !push(pkt, LDNS_SECTION_ANSWER, f->record[i]))
			return false;
	return !f->soa || push(pkt, LDNS_SECTION_AUTHORITY, f->soa);
}

static bool push_edns(ldns_pkt *pkt, bool prohibited)
{
	static const uint8_t ede[] = {0, EDE_OPTION, 0, 2, 0, EDE_PROHIBITED};
	ldns_rdf *data;

	ldns_pkt_set_edns_udp_size(pkt, ZG_DNS_UDP_BYTES);
	if (!prohibited)
		return true;
	data = ldns_rdf_new_frm_data(LDNS_RDF_TYPE_UNKNOWN, sizeof(ede), ede);
	if (data)
		ldns_pkt_set_edns_data(pkt, data);
	return data != NULL;
}

static int write_out(const struct zg_dns_question *q, enum zg_dns_rcode rcode,
		     const struct zg_found *f, uint32_t held, bool prohibited, bool cut,
		     uint8_t **out, size_t *len)
{
	ldns_pkt *pkt = ldns_pkt_new();
	int r = -ENOMEM;

	if (!pkt)
		return r;
	ldns_pkt_set_id(pkt, q->id);
	ldns_pkt_set_qr(pkt, true);
	ldns_pkt_set_rd(pkt, q->rd);
	ldns_pkt_set_cd(pkt, q->cd);
	ldns_pkt_set_ra(pkt, true);
	ldns_pkt_set_tc(pkt, cut);
	ldns_pkt_set_rcode(pkt, (uint8_t)rcode);
	if (push_question(pkt, q) && (!f || cut || push_found(pkt, f, held)) &&
	    (!q->edns || push_edns(pkt, prohibited)) &&
	    ldns_pkt2wire(out, pkt, len) == LDNS_STATUS_OK)
		r = 0;
	ldns_pkt_free(pkt);
	return r;
}

int zg_answer_build(const struct zg_dns_question *q, enum zg_dns_rcode rcode,
		    const struct zg_found *f, uint32_t held, bool prohibited, size_t max,
		    uint8_t **out, size_t *len)
{
	uint8_t *wire = NULL;
	size_t bytes = 0;
	int r = write_out(q, rcode, f, held, prohibited, false, &wire, &bytes);

	if (r == 0 && bytes > max) {
		free(wire);
		r = write_out(q, rcode, f, held, prohibited, true, &wire, &bytes);
	}
	if (r < 0)
		return r;
	*out = wire;
	*len = bytes;
	return 0;
}
