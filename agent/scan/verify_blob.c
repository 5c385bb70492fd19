/* SPDX-License-Identifier: Apache-2.0 */
/*
 * verify_blob.c - secrets of many lines or parts: private key blocks (RFC 7468
 * and its PEM ancestors, OpenSSH, OpenPGP) and JOSE tokens (RFC 7515, 7516).
 * Trust: the text is hostile. A key block is read up to the next run of
 * dashes, where the next one could begin, so the whole text is read once; a
 * token's header is bounded, its other parts end where the next token begins.
 */
#include "engine.h"

/* Shorter bodies are placeholders: the smallest real key (Ed25519) has 64. */
#define PEM_BODY_MIN 40

static bool at_text(const struct zg_probe *p, size_t at, const char *text)
{
	size_t n = strlen(text);

	return p->len - at >= n && memcmp(p->text + at, text, n) == 0;
}

/* "RSA PRIVATE KEY-----" at `at`: the offset after it, or 0. */
static size_t key_label(const struct zg_probe *p, size_t at)
{
	size_t n = 0;
	const char *label = p->text + at;
	static const char *const kinds[] = {"PRIVATE KEY", "PRIVATE KEY BLOCK"};

	while (n < 64 && at + n < p->len &&
	       (zg_is(label[n], ZG_CC_UPPER | ZG_CC_DIGIT) || label[n] == ' '))
		n++;
	if (!at_text(p, at + n, "-----"))
		return 0;
	for (size_t i = 0; i < 2; i++) {
		size_t k = strlen(kinds[i]);

		if (n >= k && memcmp(label + n - k, kinds[i], k) == 0 &&
		    (n == k || label[n - k - 1] == ' '))
			return at + n + 5;
	}
	return 0;
}

/* What stands between the lines of a key: line ends (also escaped once more),
 * headers, quotes, and the comment signs or operators of a source file. */
static bool pem_filler(char c)
{
	return c && strchr(" \t\r\n\\\"'=:;,.#*|>-()@<", c) != NULL;
}

bool zg_verify_pem(const struct zg_probe *p, struct zg_span match, struct zg_span *out)
{
	size_t at = key_label(p, match.end), last = at, body = 0, end;

	if (!at)
		return false;
	while (at < p->len && !at_text(p, at, "-----")) {
		if (zg_is(p->text[at], ZG_CC_ALNUM | ZG_CC_B64)) {
			last = at + 1;
			body++;
		} else if (!pem_filler(p->text[at])) {
			break;
		}
		at++;
	}
	*out = (struct zg_span){match.start, last};
	if (body < PEM_BODY_MIN)
		return false;
	if (p->len - at >= 9 && at_text(p, at, "-----END ")) {
		end = key_label(p, at + 9);
		if (end)
			out->end = end;
	}
	return true;
}

struct jose {
	bool encrypted; /* five parts */
	bool unsigned_; /* "alg":"none": no third part */
};

/* The header of a token decodes to a JSON object that names its algorithm. */
static bool jose_header(const char *s, size_t n, struct jose *is)
{
	uint8_t bytes[ZG_JWT_HEADER_LEN];
	char *text = (char *)bytes, *alg;
	long len;

	if (n > ZG_JWT_HEADER_LEN)
		return false;
	len = zg_base64(bytes, sizeof(bytes) - 1, s, n);
	if (len < 8 || memchr(bytes, '\0', (size_t)len))
		return false;
	text[len] = '\0';
	if (!zg_utf8_valid((struct zg_slice){text, (size_t)len}) || text[0] != '{' ||
	    text[strlen(text) - 1] != '}')
		return false;
	alg = strstr(text, "\"alg\"");
	if (!alg)
		return false;
	alg += 5 + strspn(alg + 5, " \t\r\n");
	if (*alg != ':')
		return false;
	alg += 1 + strspn(alg + 1, " \t\r\n");
	if (*alg++ != '"')
		return false;
	n = strspn(alg, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+-");
	is->encrypted = strstr(text, "\"enc\"") != NULL;
	is->unsigned_ = n == 4 && strncasecmp(alg, "none", 4) == 0;
	return n >= 2 && alg[n] == '"';
}

/* The sample of jwt.io and of half the documentation there is: John Doe. */
static bool sample(const char *payload, size_t n)
{
	static const char john[] = "eyJzdWIiOiIxMjM0NTY3ODkwIiwi"
				   "bmFtZSI6IkpvaG4gRG9lI";

	return n >= sizeof(john) - 1 && memcmp(payload, john, sizeof(john) - 1) == 0;
}

bool zg_verify_jwt(const struct zg_probe *p, struct zg_span match, struct zg_span *out)
{
	size_t at = match.start, start[5], len[5], parts = 0;
	struct jose is = {0};

	if (!zg_token_begins(p, match.start, ZG_CC_URL64))
		return false;
	while (parts < 5) {
		start[parts] = at;
		len[parts] = zg_span_of(p, at, ZG_CC_URL64, p->len - at);
		at += len[parts];
		if (parts == 0 && !jose_header(p->text + start[0], len[0], &is))
			return false;
		parts++;
		if (at >= p->len || p->text[at] != '.')
			break;
		at++;
	}
	if (is.encrypted && parts == 5) {
		*out = (struct zg_span){match.start, start[4] + len[4]};
		return len[2] && len[3] && len[4];
	}
	if (parts < 3)
		return false;
	*out = (struct zg_span){match.start, start[2] + len[2]};
	return (len[2] >= 20 || (len[2] == 0 && len[1] >= 8)) &&
	       !sample(p->text + start[1], len[1]);
}
