/* SPDX-License-Identifier: Apache-2.0 */
/* client_hello.c - see client_hello.h. Trust: any bytes at all. */
#include "client_hello.h"

#include "hostname.h"

#define RECORD_HEAD	 5
#define RECORD_HANDSHAKE 22
#define RECORD_MAX	 16384
#define MESSAGE_HEAD	 4
#define MESSAGE_HELLO	 1

enum extension {
	EXT_SERVER_NAME = 0,
	EXT_ALPN = 16,
	EXT_ECH = 0xfe0d,
	EXT_ESNI = 0xffce, /* its first drafts */
};

/* What is left to read; bad is sticky, and nothing is read any more then. */
struct reader {
	const uint8_t *at;
	size_t left;
	bool bad;
};

static uint32_t number(struct reader *r, size_t bytes)
{
	uint32_t n = 0;

	if (r->bad || r->left < bytes) {
		r->bad = true;
		return 0;
	}
	for (size_t i = 0; i < bytes; i++)
		n = n << 8 | r->at[i];
	r->at += bytes;
	r->left -= bytes;
	return n;
}

static struct reader part(struct reader *r, size_t bytes)
{
	struct reader sub = {r->at, bytes, false};

	if (r->bad || r->left < bytes) {
		r->bad = true;
		return (struct reader){.bad = true};
	}
	r->at += bytes;
	r->left -= bytes;
	return sub;
}

/* A vector whose length stands before it, between min and max. */
static struct reader vector(struct reader *r, size_t length_bytes, size_t min, size_t max)
{
	uint32_t n = number(r, length_bytes);

	if (n < min || n > max)
		r->bad = true;
	return part(r, n);
}

/* extensions ----------------------------------------------------------------- */

static const char *read_name(struct reader ext, struct zg_client_hello *out)
{
	struct reader list = vector(&ext, 2, 1, UINT16_MAX);
	uint32_t type = number(&list, 1);
	struct reader name = vector(&list, 2, 1, UINT16_MAX);
	size_t n = name.left;

	/* one host name: more would be a choice, and no client sends it */
	if (ext.bad || ext.left || list.bad || list.left || type != 0 || n >= sizeof(out->name))
		return "its server name is not one host name";
	for (size_t i = 0; i < n; i++) {
		char c = (char)name.at[i];

		out->name[i] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
	}
	out->name[n] = '\0';
	if (!zg_hostname_ok((struct zg_slice){out->name, n}))
		return "its server name is no host name";
	return NULL;
}

static const char *read_alpn(struct reader ext, struct zg_client_hello *out)
{
	struct reader list = vector(&ext, 2, 2, UINT16_MAX);

	out->alpn = true;
	while (!list.bad && list.left) {
		struct reader p = vector(&list, 1, 1, UINT8_MAX);
		struct zg_slice name = {(const char *)p.at, p.left};

		if (!p.bad && zg_slice_eq(name, ZG_SLICE("http/1.1")))
			out->http1 = true;
	}
	return ext.bad || ext.left || list.bad ? "its list of protocols is broken" : NULL;
}

static const char *read_extensions(struct reader r, struct zg_client_hello *out)
{
	struct reader all = vector(&r, 2, 0, UINT16_MAX);
	uint16_t seen[ZG_HELLO_EXTENSIONS];
	size_t count = 0;
	const char *why = NULL;

	if (r.bad || r.left)
		return "its extensions do not end with it";
	while (!why && !all.bad && all.left) {
		uint16_t type = (uint16_t)number(&all, 2);
		struct reader ext = vector(&all, 2, 0, UINT16_MAX);

		if (ext.bad)
			break;
		for (size_t i = 0; i < count; i++)
			if (seen[i] == type)
				return "it has an extension twice";
		if (count == ZG_HELLO_EXTENSIONS)
			return "it has too many extensions";
		seen[count++] = type;
		if (type == EXT_SERVER_NAME)
			why = read_name(ext, out);
		else if (type == EXT_ALPN)
			why = read_alpn(ext, out);
		else if (type == EXT_ECH || type == EXT_ESNI)
			out->encrypted = true;
	}
	return why ? why : all.bad ? "its extensions are broken" : NULL;
}

static const char *read_hello(struct reader r, struct zg_client_hello *out)
{
	uint32_t version = number(&r, 2);
	struct reader random = part(&r, 32);
	struct reader session = vector(&r, 1, 0, 32);
	struct reader ciphers = vector(&r, 2, 2, UINT16_MAX);
	struct reader compression = vector(&r, 1, 1, UINT8_MAX);

	(void)session;
	(void)compression;
	if (r.bad || random.bad || version >> 8 != 3 || ciphers.left % 2)
		return "it is broken";
	return r.left ? read_extensions(r, out) : NULL; /* of before 2006: none */
}

/* records -------------------------------------------------------------------- */

/* The message's bytes without the records around them. *need: of the whole, 0
 * while its own head is not there. */
static enum zg_hello_state unwrap(struct reader wire, uint8_t *to, size_t *have, size_t *need,
				  const char **why)
{
	*have = *need = 0;
	while (!*need || *have < *need) {
		uint32_t type, version, n, took;

		if (wire.left < RECORD_HEAD)
			return ZG_HELLO_MORE;
		type = number(&wire, 1);
		version = number(&wire, 2);
		n = number(&wire, 2);
		*why = "its records are not those of a handshake";
		if (type != RECORD_HANDSHAKE || version >> 8 != 3 || !n || n > RECORD_MAX)
			return ZG_HELLO_BAD;
		took = n < wire.left ? n : (uint32_t)wire.left;
		*why = "it is too long";
		if (*have + n > ZG_HELLO_BYTES)
			return ZG_HELLO_BAD;
		memcpy(to + *have, wire.at, took);
		*have += took;
		wire.at += took;
		wire.left -= took;
		if (!*need && *have >= MESSAGE_HEAD) {
			*need = MESSAGE_HEAD +
				((size_t)to[1] << 16 | (size_t)to[2] << 8 | (size_t)to[3]);
			*why = "it does not begin with a ClientHello";
			if (to[0] != MESSAGE_HELLO)
				return ZG_HELLO_BAD;
			*why = "it is too long";
			if (*need > ZG_HELLO_BYTES)
				return ZG_HELLO_BAD;
		}
		*why = "something follows the ClientHello in its record";
		if (*need && *have - took + n > *need)
			return ZG_HELLO_BAD;
		if (took < n)
			return ZG_HELLO_MORE;
	}
	return ZG_HELLO_COMPLETE;
}

enum zg_hello_state zg_client_hello_read(struct zg_slice bytes, struct zg_client_hello *out)
{
	const bool full = bytes.len >= ZG_HELLO_WIRE_BYTES;
	struct reader wire = {(const uint8_t *)bytes.ptr, full ? ZG_HELLO_WIRE_BYTES : bytes.len,
			      false};
	uint8_t message[ZG_HELLO_BYTES];
	enum zg_hello_state state;
	size_t have, need;

	*out = (struct zg_client_hello){0};
	if (!bytes.len)
		return ZG_HELLO_MORE;
	if (wire.at[0] != RECORD_HANDSHAKE || (bytes.len > 1 && wire.at[1] != 3))
		return ZG_HELLO_PLAIN;
	state = unwrap(wire, message, &have, &need, &out->why);
	if (state == ZG_HELLO_MORE && full) {
		out->why = "it is in too many pieces";
		return ZG_HELLO_BAD;
	}
	if (state != ZG_HELLO_COMPLETE)
		return state;
	out->why = read_hello((struct reader){message + MESSAGE_HEAD, need - MESSAGE_HEAD, false},
			      out);
	return out->why ? ZG_HELLO_BAD : ZG_HELLO_COMPLETE;
}
