/* SPDX-License-Identifier: Apache-2.0 */
/* confusable.c - see confusable.h. Trust: names are a server's own choice. */
#include "confusable.h"

uint32_t zg_next_char(struct zg_slice *s)
{
	const unsigned char *p = (const unsigned char *)s->ptr;
	size_t n;
	uint32_t c;

	if (!s->len)
		return 0;
	c = p[0];
	n = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : c >= 0xc2 ? 2 : 1;
	if (n > s->len)
		n = 1;
	if (n > 1) {
		c &= 0xffU >> (n + 1);
		for (size_t i = 1; i < n; i++)
			c = c << 6 | (p[i] & 0x3f);
	}
	s->ptr += n;
	s->len -= n;
	return c;
}

/* sorted by code */
static const struct {
	uint16_t code;
	char looks;
} alike[] = {
	{0x0131, 'i'}, {0x0261, 'g'}, {0x0391, 'a'}, {0x0392, 'b'}, {0x0395, 'e'}, {0x0396, 'z'},
	{0x0397, 'h'}, {0x0399, 'i'}, {0x039a, 'k'}, {0x039c, 'm'}, {0x039d, 'n'}, {0x039f, 'o'},
	{0x03a1, 'p'}, {0x03a4, 't'}, {0x03a5, 'y'}, {0x03a7, 'x'}, {0x03b1, 'a'}, {0x03b9, 'i'},
	{0x03bd, 'v'}, {0x03bf, 'o'}, {0x03c1, 'p'}, {0x03c5, 'u'}, {0x03c7, 'x'}, {0x03f2, 'c'},
	{0x0405, 's'}, {0x0406, 'i'}, {0x0408, 'j'}, {0x0410, 'a'}, {0x0412, 'b'}, {0x0415, 'e'},
	{0x041a, 'k'}, {0x041c, 'm'}, {0x041d, 'h'}, {0x041e, 'o'}, {0x0420, 'p'}, {0x0421, 'c'},
	{0x0422, 't'}, {0x0423, 'y'}, {0x0425, 'x'}, {0x0430, 'a'}, {0x0435, 'e'}, {0x043e, 'o'},
	{0x0440, 'p'}, {0x0441, 'c'}, {0x0443, 'y'}, {0x0445, 'x'}, {0x0455, 's'}, {0x0456, 'i'},
	{0x0458, 'j'}, {0x04bb, 'h'}, {0x04c0, 'l'}, {0x04cf, 'l'}, {0x0501, 'd'}, {0x051b, 'q'},
	{0x051d, 'w'}, {0x0555, 'o'}, {0x0570, 'h'}, {0x0578, 'n'}, {0x057d, 'u'}, {0x0585, 'o'},
};

char zg_looks_like(uint32_t c)
{
	size_t lo = 0, hi = sizeof(alike) / sizeof(alike[0]);

	if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'))
		return (char)c;
	if (c >= 'A' && c <= 'Z')
		return (char)(c | 0x20);
	if (c >= 0xff21 && c <= 0xff3a)
		return (char)(c - 0xff21 + 'a');
	if (c >= 0xff41 && c <= 0xff5a)
		return (char)(c - 0xff41 + 'a');
	/* mathematical alphabets: 13 of them, upper and lower case in turn */
	if (c >= 0x1d400 && c <= 0x1d6a3)
		return (char)((c - 0x1d400) % 26 + 'a');
	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (alike[mid].code == c)
			return alike[mid].looks;
		if (alike[mid].code < c)
			lo = mid + 1;
		else
			hi = mid;
	}
	return 0;
}

bool zg_is_invisible(uint32_t c)
{
	/* DerivedCoreProperties.txt, Unicode 15, Default_Ignorable_Code_Point */
	static const struct {
		uint32_t lo, hi;
	} range[] = {
		{0xad, 0xad},	    {0x34f, 0x34f},   {0x61c, 0x61c},	  {0x115f, 0x1160},
		{0x17b4, 0x17b5},   {0x180b, 0x180f}, {0x200b, 0x200f},	  {0x202a, 0x202e},
		{0x2060, 0x206f},   {0x3164, 0x3164}, {0xfe00, 0xfe0f},	  {0xfeff, 0xfeff},
		{0xffa0, 0xffa0},   {0xfff0, 0xfff8}, {0x1bca0, 0x1bca3}, {0x1d173, 0x1d17a},
		{0xe0000, 0xe0fff},
	};

	for (size_t i = 0; i < sizeof(range) / sizeof(range[0]) && c >= range[i].lo; i++)
		if (c <= range[i].hi)
			return true;
	return false;
}

void zg_skeleton(char *out, size_t size, struct zg_slice name)
{
	size_t n = 0;
	uint32_t c;

	while (n + 1 < size && name.len) {
		const char *at = name.ptr;
		char like;

		c = zg_next_char(&name);
		like = zg_looks_like(c);
		if (like) {
			out[n++] = like == '0' ? 'o' : like == '1' ? 'l' : like;
		} else if (c != '_' && c != '-' && c != '.' && c != ' ' && c != '/' &&
			   !zg_is_invisible(c)) {
			size_t bytes = (size_t)(name.ptr - at);

			if (bytes >= size - n)
				break;
			memcpy(out + n, at, bytes);
			n += bytes;
		}
	}
	out[n] = '\0';
}
