/* SPDX-License-Identifier: Apache-2.0 */
/*
 * servers_diff.c - two definitions side by side. Trust: both texts are a
 * server's; nothing of them reaches the terminal but printable ASCII, so that
 * what hides in them shows.
 */
#include <stdio.h>
#include <stdlib.h>

#include <jansson.h>

#include "servers.h"

#define LINES_MAX 4096 /* of one text; 64 KB in short lines */

struct lines {
	struct zg_slice line[LINES_MAX];
	size_t count;
	char *text;
};

/* Over lines if it is whole, else as it stands. */
static void split(struct lines *l, struct zg_slice s)
{
	json_t *v = s.len ? json_loadb(s.ptr, s.len, JSON_DECODE_ANY, NULL) : NULL;
	const char *at, *end;

	l->text = v ? json_dumps(v, JSON_INDENT(2) | JSON_SORT_KEYS | JSON_ENCODE_ANY |
					    JSON_ENSURE_ASCII)
		    : NULL;
	json_decref(v);
	at = l->text ? l->text : s.ptr;
	end = l->text ? at + strlen(at) : at + s.len;
	l->count = 0;
	while (at < end && l->count < LINES_MAX) {
		const char *lf = memchr(at, '\n', (size_t)(end - at));
		size_t n = lf && l->count + 1 < LINES_MAX ? (size_t)(lf - at) : (size_t)(end - at);

		l->line[l->count++] = (struct zg_slice){at, n};
		at += n + 1;
	}
}

static void print(char mark, struct zg_slice line)
{
	printf("  %c ", mark);
	for (size_t i = 0; i < line.len; i++) {
		unsigned char c = (unsigned char)line.ptr[i];

		if (c >= 0x20 && c < 0x7f)
			putchar(c);
		else
			printf("\\x%02x", c);
	}
	putchar('\n');
}

void zg_diff_print(struct zg_slice old_text, struct zg_slice new_text)
{
	struct lines *a = calloc(1, sizeof(*a)), *b = calloc(1, sizeof(*b));
	uint16_t *common = NULL;
	size_t i = 0, j = 0, w;

	if (!a || !b)
		goto out;
	split(a, old_text);
	split(b, new_text);
	w = b->count + 1;
	/* the longest common lines from (i, j) on */
	common = calloc((a->count + 1) * w, sizeof(*common));
	if (!common)
		goto out;
	for (i = a->count; i-- > 0;) {
		for (j = b->count; j-- > 0;) {
			uint16_t down = common[(i + 1) * w + j], right = common[i * w + j + 1];

			common[i * w + j] = zg_slice_eq(a->line[i], b->line[j])
						    ? (uint16_t)(common[(i + 1) * w + j + 1] + 1)
					    : down > right ? down
							   : right;
		}
	}
	i = j = 0;
	while (i < a->count || j < b->count) {
		if (i < a->count && j < b->count && zg_slice_eq(a->line[i], b->line[j])) {
			print(' ', b->line[j++]);
			i++;
		} else if (j == b->count ||
			   (i < a->count && common[(i + 1) * w + j] >= common[i * w + j + 1])) {
			print('-', a->line[i++]);
		} else {
			print('+', b->line[j++]);
		}
	}
out:
	free(common);
	if (a)
		free(a->text);
	if (b)
		free(b->text);
	free(a);
	free(b);
}
