/* SPDX-License-Identifier: Apache-2.0 */
/*
 * match.c - one text through the database, the verifiers and the generic
 * finders, then through the layers that an evasion would need. Trust: the text
 * is hostile; every step is linear in it. Never changes the text.
 */
#include <errno.h>

#include "engine.h"

/* Above this, buffers of one message are not kept for the next. */
#define KEEP_BYTES 1048576
/* Tokens glued to one another whose ends only show from the last one on. */
#define GLUED_MAX 8

bool zg_report(struct zg_probe *p, uint16_t detector, struct zg_span at)
{
	p->found_end = at.end;
	at.start += p->base;
	at.end += p->base;
	p->error = zg_findings_add(p->findings, detector, at);
	return p->error == 0 && !p->findings->overflow;
}

static int on_match(unsigned id, unsigned long long from ZG_UNUSED, unsigned long long to,
		    unsigned flags ZG_UNUSED, void *context)
{
	const struct zg_pattern *pattern = &zg_patterns[id];
	struct zg_probe *p = context;
	struct zg_span match = {(size_t)to - pattern->width, (size_t)to};
	struct zg_span found;

	if (match.start < p->found_end)
		return 0; /* part of what was found already */
	if (!pattern->verify(p, match, &found))
		return 0;
	return !zg_report(p, pattern->detector, found);
}

/* The distinctive kinds in [start, end), as if nothing stood around it. */
static int scan_distinct(struct zg_scanner *s, struct zg_slice text, size_t start, size_t end,
			 struct zg_findings *f)
{
	struct zg_probe p = {
		.text = text.ptr + start, .len = end - start, .base = start, .findings = f};
	hs_error_t r = hs_scan(s->db, p.text, (unsigned)p.len, 0, s->scratch, on_match, &p);

	if (r != HS_SUCCESS && r != HS_SCAN_TERMINATED)
		return -ENOMEM; /* wrong arguments cannot be: scratch and database are a pair */
	return p.error;
}

/* The generic kinds. */
static int scan_generic(struct zg_scanner *s ZG_UNUSED, struct zg_slice text, size_t start,
			size_t end, struct zg_findings *f)
{
	struct zg_probe p = {
		.text = text.ptr + start, .len = end - start, .base = start, .findings = f};

	zg_find_cards(&p);
	if (!p.error && !f->overflow)
		zg_find_emails(&p);
	return p.error;
}

/* What lies between the findings: each of them is a wall, as its placeholder
 * will be. Backwards, so that what is added does not move what is still to be read. */
static int scan_gaps(struct zg_scanner *s, struct zg_slice text, struct zg_findings *f,
		     int (*scan)(struct zg_scanner *s, struct zg_slice text, size_t start,
				 size_t end, struct zg_findings *f))
{
	size_t end = text.len;
	int error = 0;

	for (size_t i = f->count; error == 0 && !f->overflow; i--) {
		size_t start = i ? f->item[i - 1].end : 0;

		if (start < end)
			error = scan(s, text, start, end, f);
		if (i == 0)
			break;
		end = f->item[i - 1].start;
	}
	return error;
}

/* A token glued to another is one only once that other is known, so the gaps
 * are searched until they hold nothing new. Text that is made to go on for
 * longer is not released. */
static int scan_one(struct zg_scanner *s, struct zg_slice text, struct zg_findings *f)
{
	int error = scan_distinct(s, text, 0, text.len, f);
	size_t known = 0;

	for (int round = 0; error == 0 && f->count > known && !f->overflow; round++) {
		known = f->count;
		f->overflow = round == GLUED_MAX;
		error = scan_gaps(s, text, f, scan_distinct);
	}
	return error ? error : scan_gaps(s, text, f, scan_generic);
}

/* Search the layer, and take what is found back to the text. */
static int scan_layer(struct zg_scanner *s, const struct zg_layer *l, struct zg_findings *f)
{
	int r;

	zg_findings_reset(&s->layer_found);
	r = scan_one(s, (struct zg_slice){l->text, l->len}, &s->layer_found);
	for (size_t i = 0; r == 0 && i < s->layer_found.count; i++) {
		const struct zg_finding *it = &s->layer_found.item[i];

		r = zg_findings_add(f, it->detector,
				    zg_layer_back(l, (struct zg_span){it->start, it->end}));
	}
	f->overflow = f->overflow || s->layer_found.overflow;
	return r;
}

int zg_scan_layers(struct zg_scanner *s, struct zg_slice text, bool ascii, struct zg_findings *f)
{
	int r;

	if (text.len == 0)
		return 0;
	if (text.len > ZG_SCAN_BYTES)
		return -EFBIG;
	r = scan_one(s, text, f);
	if (r < 0 || ascii || f->overflow)
		return r;
	r = zg_layer_strip(&s->layer, text);
	return r > 0 ? scan_layer(s, &s->layer, f) : r;
}

void zg_scanner_shrink(struct zg_scanner *s)
{
	if (s->layer.cap > KEEP_BYTES || s->layer.cuts_cap > KEEP_BYTES / sizeof(struct zg_cut))
		zg_layer_release(&s->layer);
	zg_scanner_shrink_json(s, KEEP_BYTES);
}

static bool is_ascii(struct zg_slice text)
{
	uint64_t word, any = 0;
	size_t i = 0;

	for (; i + sizeof(word) <= text.len; i += sizeof(word)) {
		memcpy(&word, text.ptr + i, sizeof(word));
		any |= word;
	}
	for (; i < text.len; i++)
		any |= (unsigned char)text.ptr[i];
	return (any & 0x8080808080808080ULL) == 0;
}

int zg_scan_text(struct zg_scanner *s, struct zg_slice text, struct zg_findings *f)
{
	int r;

	zg_findings_reset(f);
	r = zg_scan_layers(s, text, is_ascii(text), f);
	zg_scanner_shrink(s);
	return r;
}
