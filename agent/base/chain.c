/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chain.c - see chain.h. Trust: the file may have been rewritten by whoever
 * wants something forgotten; nothing of it is believed before it is checked,
 * and no line is too strange to be named. Never writes.
 */
#include "chain.h"

#include <errno.h>

#include "digest.h"

/* --- a flat JSON object ------------------------------------------------------ */

struct cursor {
	const char *at;
	const char *end;
};

static bool eat(struct cursor *c, char want)
{
	if (c->at == c->end || *c->at != want)
		return false;
	c->at++;
	return true;
}

static bool hex_digits(struct cursor *c, int n)
{
	for (; n > 0; n--, c->at++) {
		if (c->at == c->end ||
		    !((*c->at >= '0' && *c->at <= '9') || (*c->at >= 'a' && *c->at <= 'f') ||
		      (*c->at >= 'A' && *c->at <= 'F')))
			return false;
	}
	return true;
}

/* The raw text between the quotes, escapes as they stand. */
static bool string(struct cursor *c, struct zg_slice *out)
{
	static const char escapable[] = {'"', '\\', '/', 'b', 'f', 'n', 'r', 't', 'u'};
	const char *start;

	if (!eat(c, '"'))
		return false;
	start = c->at;
	while (c->at < c->end && *c->at != '"') {
		if ((unsigned char)*c->at < 0x20)
			return false;
		if (*c->at++ != '\\')
			continue;
		if (c->at == c->end || !memchr(escapable, *c->at, sizeof(escapable)))
			return false;
		if (*c->at++ == 'u' && !hex_digits(c, 4))
			return false;
	}
	*out = (struct zg_slice){start, (size_t)(c->at - start)};
	return eat(c, '"');
}

static bool number(struct cursor *c, uint64_t *out)
{
	const char *start = c->at;

	while (c->at < c->end && *c->at >= '0' && *c->at <= '9')
		c->at++;
	if (c->at - start > 1 && *start == '0')
		return false;
	return zg_slice_u64((struct zg_slice){start, (size_t)(c->at - start)}, UINT64_MAX, out) ==
	       0;
}

static bool unhex(struct zg_slice s, uint8_t out[32])
{
	if (s.len != 64)
		return false;
	for (size_t i = 0; i < 64; i++) {
		unsigned c = (unsigned char)s.ptr[i];
		unsigned v;

		if (c - '0' <= 9)
			v = c - '0';
		else if (c - 'a' <= 5)
			v = c - 'a' + 10;
		else
			return false;
		out[i / 2] = (uint8_t)(i % 2 ? out[i / 2] | v : v << 4);
	}
	return true;
}

enum member { M_SEQ, M_TIME, M_KIND, M_RING, M_RING_SEQ, M_PREV, M_SIGNATURE, M_OTHER };

static enum member member_of(struct zg_slice name)
{
	static const char *const names[M_OTHER] = {"seq",      "time", "kind",	   "ring",
						   "ring_seq", "prev", "signature"};

	for (int i = 0; i < M_OTHER; i++)
		if (zg_slice_eq(name, zg_slice_str(names[i])))
			return (enum member)i;
	return M_OTHER;
}

static bool take(struct zg_chain_line *l, enum member m, bool text, struct zg_slice s, uint64_t n)
{
	if (text != (m != M_SEQ && m != M_RING_SEQ) && m != M_OTHER)
		return false;
	switch (m) {
	case M_SEQ:
		l->seq = n;
		return n > 0;
	case M_RING_SEQ:
		l->ring_seq = n;
		return n > 0;
	case M_KIND:
		l->kind = s;
		return s.len > 0;
	case M_RING:
		l->ring = s;
		return s.len > 0;
	case M_PREV:
		return unhex(s, l->prev);
	case M_SIGNATURE:
		l->signature = s;
		return true;
	case M_TIME:
	case M_OTHER:
		return true;
	}
	return false;
}

int zg_chain_parse(struct zg_slice line, struct zg_chain_line *out)
{
	const unsigned need = 1u << M_SEQ | 1u << M_TIME | 1u << M_KIND | 1u << M_PREV;
	struct cursor c = {line.ptr, line.ptr + line.len};
	struct zg_chain_line l = {0};
	unsigned seen = 0;

	if (line.len > ZG_CHAIN_LINE_MAX || !eat(&c, '{'))
		return -EBADMSG;
	do {
		struct zg_slice name, text = {0};
		uint64_t value = 0;
		enum member m;
		bool is_text;

		if (!string(&c, &name) || !eat(&c, ':'))
			return -EBADMSG;
		is_text = c.at < c.end && *c.at == '"';
		if (is_text ? !string(&c, &text) : !number(&c, &value))
			return -EBADMSG;
		m = member_of(name);
		if ((m != M_OTHER && (seen & 1u << m)) || !take(&l, m, is_text, text, value))
			return -EBADMSG;
		seen |= 1u << m;
	} while (eat(&c, ','));
	if (!eat(&c, '}') || c.at != c.end || (seen & need) != need ||
	    !(seen & 1u << M_RING) != !(seen & 1u << M_RING_SEQ) || !zg_utf8_valid(line))
		return -EBADMSG;
	*out = l;
	return 0;
}

/* --- the chain ------------------------------------------------------------------ */

size_t zg_chain_signed(char out[ZG_CHAIN_SIGNED_MAX], uint64_t seq, const uint8_t prev[32])
{
	char hex[65];

	zg_hex(hex, prev, 32);
	return (size_t)snprintf(out, ZG_CHAIN_SIGNED_MAX, "zerogate audit v1\n%llu\n%s",
				(unsigned long long)seq, hex);
}

static bool signature_holds(EVP_PKEY *key, const struct zg_chain_line *l)
{
	char text[ZG_CHAIN_SIGNED_MAX];
	size_t n = zg_chain_signed(text, l->seq, l->prev);
	uint8_t sig[66]; /* 88 characters decode to 66 bytes, the last two padding */
	EVP_MD_CTX *ctx;
	bool good;

	if (!key || l->signature.len != 88 ||
	    EVP_DecodeBlock(sig, (const unsigned char *)l->signature.ptr, 88) != 66)
		return false;
	ctx = EVP_MD_CTX_new();
	good = ctx && EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, key) == 1 &&
	       EVP_DigestVerify(ctx, sig, 64, (const unsigned char *)text, n) == 1;
	EVP_MD_CTX_free(ctx);
	return good;
}

void zg_chain_start(struct zg_chain *c, EVP_PKEY *key, bool partial)
{
	*c = (struct zg_chain){.key = key, .partial = partial, .next = partial ? 0 : 1};
}

const char *zg_chain_next(struct zg_chain *c, struct zg_slice line)
{
	struct zg_chain_line l;

	if (zg_chain_parse(line, &l) < 0)
		return "bad-json: not a line that the ledger writes";
	if (c->next && l.seq != c->next)
		return "gap: the sequence number does not follow";
	if (c->next && memcmp(l.prev, c->prev, 32) != 0)
		return "hash-mismatch: the line before this one is not the one that was written";
	if (zg_slice_eq(l.kind, ZG_SLICE("audit.checkpoint"))) {
		if (!signature_holds(c->key, &l))
			return "bad-signature: the checkpoint was not signed with this key";
		c->unsigned_ = 0;
		c->checkpoints++;
	} else if (++c->unsigned_ > ZG_AUDIT_CHECKPOINT_RECORDS) {
		return "unsigned: a signed checkpoint should stand here";
	}
	zg_sha256(c->prev, line.ptr, line.len);
	c->next = l.seq + 1;
	c->lines++;
	return NULL;
}
