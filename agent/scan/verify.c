/* SPDX-License-Identifier: Apache-2.0 */
/*
 * verify.c - tokens of one piece: from a candidate to a yes or no by length,
 * boundaries, checksum, and what stands for a token instead of being one.
 * Trust: the text is hostile; each verifier reads a bounded window.
 * Formats are written from the vendors' documentation; each function names it.
 */
#include "engine.h"

const uint8_t zg_cclass[256] = {
	['0' ... '9'] = ZG_CC_DIGIT, ['A' ... 'Z'] = ZG_CC_UPPER, ['a' ... 'z'] = ZG_CC_LOWER,
	['-'] = ZG_CC_DASH,	     ['_'] = ZG_CC_UNDERLINE,	  ['+'] = ZG_CC_B64,
	['/'] = ZG_CC_B64,
};

size_t zg_span_of(const struct zg_probe *p, size_t at, unsigned cc, size_t max)
{
	size_t n = 0;

	while (n < max && at + n < p->len && zg_is(p->text[at + n], cc))
		n++;
	return n;
}

static bool is_hex(char c)
{
	return zg_is(c, ZG_CC_DIGIT) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');
}

/* What stands before `at` is the end of \n, \t, \r, \xHH, \uHHHH or %HH: text
 * that was escaped once more than it was decoded. */
static bool after_escape(const struct zg_probe *p, size_t at)
{
	const char *t = p->text + at;

	if (at >= 2 && t[-2] == '\\' && strchr("ntrfb", t[-1]) && t[-1])
		return true;
	if (at >= 3 && t[-3] == '%')
		return is_hex(t[-2]) && is_hex(t[-1]);
	if (at >= 4 && t[-4] == '\\' && t[-3] == 'x')
		return is_hex(t[-2]) && is_hex(t[-1]);
	return at >= 6 && t[-6] == '\\' && t[-5] == 'u' && is_hex(t[-4]) && is_hex(t[-3]) &&
	       is_hex(t[-2]) && is_hex(t[-1]);
}

bool zg_token_begins(const struct zg_probe *p, size_t at, unsigned cc)
{
	return at == 0 || at == p->found_end || !zg_is(p->text[at - 1], cc) || after_escape(p, at);
}

bool zg_token_ends(const struct zg_probe *p, size_t at, unsigned cc)
{
	return at >= p->len || !zg_is(p->text[at], cc);
}

bool zg_placeholder(const char *s, size_t n, unsigned distinct)
{
	uint8_t seen[256] = {0};
	unsigned different = 0;

	for (size_t i = 0; i < n; i++) {
		if (!seen[(unsigned char)s[i]]) {
			seen[(unsigned char)s[i]] = 1;
			different++;
		}
		if (n - i >= 7 && strncasecmp(s + i, "EXAMPLE", 7) == 0)
			return true;
	}
	return different < distinct;
}

/* Access key ids: four letters and 16 of base32 (IAM, "unique identifiers"). */
bool zg_verify_aws_access(const struct zg_probe *p, struct zg_span match, struct zg_span *out)
{
	const unsigned word = ZG_CC_ALNUM | ZG_CC_UNDERLINE;

	*out = match;
	return zg_token_begins(p, match.start, word) && zg_token_ends(p, match.end, word) &&
	       !zg_placeholder(p->text + match.start + 4, 16, 6);
}

/* A secret access key is 40 of base64 and nothing else marks it, so it counts
 * only right after its name; the two may be a JSON member's name and value. */
bool zg_verify_aws_secret(const struct zg_probe *p, struct zg_span match, struct zg_span *out)
{
	const unsigned b64 = ZG_CC_ALNUM | ZG_CC_B64;
	size_t at = match.end, n;
	unsigned kinds = 0;

	for (n = 0; n < 16 && at < p->len; n++, at++)
		if (p->text[at] == '\0' || !strchr(" \t\r\n\"':=>\\,()[]\xff", p->text[at]))
			break;
	if (n == 0 || zg_span_of(p, at, b64, 41) != 40 ||
	    (at + 40 < p->len && p->text[at + 40] == '='))
		return false;
	for (size_t i = 0; i < 40; i++)
		kinds |= zg_cclass[(unsigned char)p->text[at + i]];
	*out = (struct zg_span){at, at + 40};
	return (kinds & ZG_CC_ALNUM) == ZG_CC_ALNUM && !zg_placeholder(p->text + at, 40, 16);
}

/* API keys: "AIza" and 35 of the URL alphabet. */
bool zg_verify_gcp(const struct zg_probe *p, struct zg_span match, struct zg_span *out)
{
	const unsigned word = ZG_CC_ALNUM | ZG_CC_UNDERLINE;

	*out = (struct zg_span){match.start, match.start + 39};
	return zg_span_of(p, match.start, ZG_CC_URL64, 39) == 39 &&
	       zg_token_begins(p, match.start, word) && zg_token_ends(p, out->end, word) &&
	       !zg_placeholder(p->text + match.start + 4, 35, 12);
}

/* Identifiable keys: a signature of four characters at a fixed place, and in
 * the last four bytes Marvin32 of all before them, seeded by the key's kind
 * (microsoft/security-utilities, IdentifiableMetadata). */
struct azure_kind {
	char signature[5];
	uint8_t chars;	   /* of the whole key, padding included */
	uint8_t at;	   /* where the signature stands */
	uint8_t bytes;	   /* decoded */
	const char *seeds; /* eight characters each, the first is the highest byte */
};

static const struct azure_kind azure_kinds[] = {
	{"+ASt", 88, 76, 64, "Default0"},
	{"+ABa", 88, 76, 64, "AbAcct00"},
	{"+AMC", 88, 76, 64, "Classic0"},
	{"ACDb", 88, 76, 64, "MastRO00MastRW00SystRO00SystRW00SysAll00Resour00Encryp00"},
	{"APIM", 88, 76, 64, "Tenant00IoTHub00Gatewy00GitKey00"},
	{"+AEh", 44, 33, 32, "Send0000Manage00Listen00System00Unknown0"},
	{"+ASb", 44, 33, 32, "Send0000Manage00Listen00System00Unknown0"},
	{"+ARm", 44, 33, 32, "Send0000Manage00Listen00System00Unknown0"},
	{"AIoT", 44, 33, 32, "IoTHub00DpsKey00Device00"},
	{"AzCa", 44, 33, 32, "Access00"},
	{"AzSe", 52, 42, 39, "Query000PAdmin00"},
	{"+ACR", 52, 42, 39, "ACRDflt0"},
	{"AzFu", 56, 44, 40, "Master00System00Functi00"},
};

static bool azure_checksum(const struct azure_kind *k, const char *key)
{
	uint8_t bytes[64];
	uint32_t want;

	if (zg_base64(bytes, sizeof(bytes), key, k->chars) != k->bytes)
		return false;
	want = (uint32_t)bytes[k->bytes - 4] | (uint32_t)bytes[k->bytes - 3] << 8 |
	       (uint32_t)bytes[k->bytes - 2] << 16 | (uint32_t)bytes[k->bytes - 1] << 24;
	for (const char *s = k->seeds; *s; s += 8) {
		uint64_t seed = 0;

		for (unsigned i = 0; i < 8; i++)
			seed = seed << 8 | (unsigned char)s[i];
		if (zg_marvin32(seed, bytes, k->bytes - 4U) == want)
			return true;
	}
	return false;
}

bool zg_verify_azure(const struct zg_probe *p, struct zg_span match, struct zg_span *out)
{
	for (size_t i = 0; i < sizeof(azure_kinds) / sizeof(azure_kinds[0]); i++) {
		const struct azure_kind *k = &azure_kinds[i];
		const unsigned alphabet = k->at == 44 ? ZG_CC_URL64 : ZG_CC_ALNUM | ZG_CC_B64;
		size_t start, end;

		if (memcmp(p->text + match.start, k->signature, 4) != 0)
			continue;
		if (match.start < k->at)
			return false;
		start = match.start - k->at;
		end = start + k->chars;
		*out = (struct zg_span){start, end};
		return start >= p->found_end && end <= p->len &&
		       zg_span_of(p, start, alphabet, match.start - start) == k->at &&
		       zg_token_begins(p, start, alphabet) &&
		       (p->text[end - 1] == '=' || zg_token_ends(p, end, alphabet)) &&
		       azure_checksum(k, p->text + start);
	}
	return false;
}

/* A body of n that its checksum proves: then it does not matter what it is
 * glued to, on either side. */
static bool proven(const struct zg_probe *p, struct zg_span match, size_t n, struct zg_span *out)
{
	size_t body = match.start + 4;

	if (zg_span_of(p, body, ZG_CC_ALNUM, n) != n || !zg_crc32_base62(p->text + body, n))
		return false;
	*out = (struct zg_span){match.start, body + n};
	return true;
}

/* ghp_ gho_ ghu_ ghs_: 30 and the checksum's six; ghr_ also 70 and six. The
 * newer ghs_<app id>_<JWT> stands or falls with its JWT. */
bool zg_verify_github(const struct zg_probe *p, struct zg_span match, struct zg_span *out)
{
	size_t body = match.start + 4, n = zg_span_of(p, body, ZG_CC_ALNUM, 20);

	if (p->text[match.start + 2] == 's' && n < 20 &&
	    zg_span_of(p, body, ZG_CC_DIGIT, 20) == n && body + n + 8 < p->len &&
	    p->text[body + n] == '_') {
		struct zg_probe from = *p;
		struct zg_span jwt = {body + n + 1, body + n + 9};

		from.found_end = jwt.start; /* the prefix is part of the token */
		if (!zg_verify_jwt(&from, jwt, out))
			return false;
		out->start = match.start;
		return true;
	}
	return (p->text[match.start + 2] == 'r' && proven(p, match, 76, out)) ||
	       proven(p, match, 36, out);
}

/* Fine-grained personal tokens: 22, an underline, 59. */
bool zg_verify_github_pat(const struct zg_probe *p, struct zg_span match, struct zg_span *out)
{
	size_t body = match.start + 11;

	*out = (struct zg_span){match.start, body + 82};
	return zg_token_begins(p, match.start, ZG_CC_ALNUM) &&
	       zg_span_of(p, body, ZG_CC_ALNUM, 23) == 22 && body + 22 < p->len &&
	       p->text[body + 22] == '_' && zg_span_of(p, body + 23, ZG_CC_ALNUM, 60) == 59 &&
	       !zg_placeholder(p->text + body, 82, 16);
}

/* 30 and the checksum's six. */
bool zg_verify_npm(const struct zg_probe *p, struct zg_span match, struct zg_span *out)
{
	return proven(p, match, 36, out);
}

/* xox?- tokens: an optional version digit, numeric ids (workspace, user, bot),
 * a secret of 16 or more; xoxe.xox?- wraps one. xapp-: version, app id, number,
 * secret. Without the numbers it is documentation. */
bool zg_verify_slack(const struct zg_probe *p, struct zg_span match, struct zg_span *out)
{
	bool app = p->text[match.start + 1] == 'a';
	size_t at = match.start + 5, n, ids = 0;

	if (!zg_token_begins(p, match.start, ZG_CC_ALNUM))
		return false;
	if (p->text[match.start + 4] == '.') {
		if (p->len - match.start < 12 || memcmp(p->text + at, "xox", 3) != 0 ||
		    p->text[at + 4] != '-')
			return false;
		at += 5;
	}
	/* the first group that is no id is the secret */
	for (size_t group = 0; group < 6; group++, at += n + 1) {
		bool digits;

		n = zg_span_of(p, at, ZG_CC_ALNUM, 256);
		if (n == 0 || n == 256)
			return false;
		digits = zg_span_of(p, at, ZG_CC_DIGIT, n) == n;
		if (at + n >= p->len || p->text[at + n] != '-')
			break;
		if (digits && n >= 8 && n <= 16)
			ids++;
		else if (!(digits && n == 1 && group == 0) && !(app && group == 1))
			break;
	}
	*out = (struct zg_span){match.start, at + n};
	return (ids || n >= 40) && n >= 16 &&
	       zg_token_ends(p, at + n, ZG_CC_ALNUM | ZG_CC_UNDERLINE) &&
	       !zg_placeholder(p->text + at, n, 7);
}
