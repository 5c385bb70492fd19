/* SPDX-License-Identifier: Apache-2.0 */
/* question.c - see question.h. Trust: bytes of a workload. Pure. */
#include "question.h"

#include <string.h>

#include "hostname.h"

#define FLAG_QR	  0x8000
#define FLAG_RD	  0x0100
#define FLAG_CD	  0x0010
#define OPCODE	  0x7800
#define LABEL_MAX 63
#define TYPE_OPT  41
#define OPT_FIXED 11 /* root, type, size, extended flags, length */
#define UDP_BYTES 512

static uint16_t get16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

static void put16(uint8_t *at, uint16_t v)
{
	at[0] = (uint8_t)(v >> 8);
	at[1] = (uint8_t)v;
}

/* Of the record, not of the wire: a byte that no name has stands as '?'. */
static char shown(uint8_t c)
{
	if (c >= 'A' && c <= 'Z')
		return (char)(c + ('a' - 'A'));
	return c > ' ' && c < 0x7f && c != '.' && c != '\\' ? (char)c : '?';
}

/* Bytes of the name, 0 if it is none: pointers have no place in a question. */
static size_t read_name(struct zg_dns_question *q, const uint8_t *at, size_t len)
{
	size_t used = 0, text = 0;

	for (;;) {
		size_t label;

		if (used >= len || used >= ZG_DNS_NAME)
			return 0;
		label = at[used++];
		if (!label)
			break;
		/* the root's byte must still fit */
		if (label > LABEL_MAX || label >= len - used || used + label >= ZG_DNS_NAME)
			return 0;
		if (text)
			q->name[text++] = '.';
		for (size_t i = 0; i < label; i++, used++) {
			q->name[text] = shown(at[used]);
			q->odd |= q->name[text++] == '?';
		}
	}
	q->name[text] = '\0';
	memcpy(q->wire, at, used);
	q->wire_len = used;
	q->odd |= !zg_hostname_ok((struct zg_slice){q->name, text});
	return used;
}

static bool read_opt(struct zg_dns_question *q, const uint8_t *at, size_t len)
{
	if (len < OPT_FIXED || at[0] || get16(at + 1) != TYPE_OPT || at[6] /* version */ ||
	    get16(at + 9) != len - OPT_FIXED)
		return false;
	q->edns = true;
	if (get16(at + 3) > UDP_BYTES)
		q->udp_bytes = get16(at + 3);
	return true;
}

int zg_dns_question_read(struct zg_dns_question *q, const uint8_t *bytes, size_t len)
{
	uint16_t flags, extra;
	size_t at = ZG_DNS_HEADER, name;

	*q = (struct zg_dns_question){.udp_bytes = UDP_BYTES};
	if (len < ZG_DNS_HEADER)
		return -1;
	q->id = get16(bytes);
	flags = get16(bytes + 2);
	if (flags & FLAG_QR)
		return -1;
	q->rd = flags & FLAG_RD;
	q->cd = flags & FLAG_CD;
	extra = get16(bytes + 10);
	if (len > ZG_DNS_QUERY_BYTES || get16(bytes + 4) != 1 || get16(bytes + 6) ||
	    get16(bytes + 8) || extra > 1)
		return ZG_DNS_FORMERR;
	name = read_name(q, bytes + at, len - at);
	at += name;
	if (!name || len - at < 4) {
		q->wire_len = 0;
		return ZG_DNS_FORMERR;
	}
	q->type = get16(bytes + at);
	q->class = get16(bytes + at + 2);
	at += 4;
	if (extra ? !read_opt(q, bytes + at, len - at) : at != len)
		return ZG_DNS_FORMERR;
	if (flags & OPCODE)
		return ZG_DNS_NOTIMP;
	return 0;
}

size_t zg_dns_question_write(const struct zg_dns_question *q, uint16_t id, uint8_t *out)
{
	size_t at = ZG_DNS_HEADER;

	_Static_assert(ZG_DNS_HEADER + ZG_DNS_NAME + 4 + OPT_FIXED <= ZG_DNS_QUERY_BYTES, "fits");
	memset(out, 0, ZG_DNS_HEADER);
	put16(out, id);
	put16(out + 2, (uint16_t)(FLAG_RD | (q->cd ? FLAG_CD : 0)));
	put16(out + 4, 1);
	put16(out + 10, 1);
	/* no word to its servers in the letters' case; a label's length is no letter */
	for (size_t i = 0; i < q->wire_len; i++)
		out[at + i] = q->wire[i] | (q->wire[i] >= 'A' && q->wire[i] <= 'Z' ? 0x20 : 0);
	at += q->wire_len;
	put16(out + at, q->type);
	put16(out + at + 2, q->class);
	at += 4;
	memset(out + at, 0, OPT_FIXED);
	put16(out + at + 1, TYPE_OPT);
	put16(out + at + 3, ZG_DNS_UDP_BYTES);
	return at + OPT_FIXED;
}

void zg_dns_question_make(struct zg_dns_question *q, const char *name, uint16_t type)
{
	size_t len = strlen(name);

	*q = (struct zg_dns_question){.type = type,
				      .class = ZG_DNS_IN,
				      .rd = true,
				      .edns = true,
				      .udp_bytes = ZG_DNS_UDP_BYTES};
	if (!zg_str_cut(q->name, sizeof(q->name), (struct zg_slice){name, len}) ||
	    len + 2 > sizeof(q->wire))
		return;
	while (*name) {
		size_t label = strcspn(name, ".");

		q->wire[q->wire_len++] = (uint8_t)label;
		memcpy(q->wire + q->wire_len, name, label);
		q->wire_len += label;
		name += label + (name[label] == '.');
	}
	q->wire[q->wire_len++] = 0;
}
