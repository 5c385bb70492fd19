/* SPDX-License-Identifier: Apache-2.0 */
/*
 * redact.c - replace findings by typed placeholders. Trust: the text is a
 * peer's; a placeholder is plain ASCII without quote or backslash, so it can
 * stand inside a JSON string as it is. Everything else is copied untouched.
 */
#include "engine.h"

/* The placeholder's number: the same secret keeps its number in one message. */
static unsigned number(struct zg_slice text, const struct zg_findings *f, size_t i, unsigned *given,
		       unsigned next[32])
{
	const struct zg_finding *it = &f->item[i];
	struct zg_slice me = {text.ptr + it->start, it->end - it->start};

	for (size_t j = i; j > 0; j--) {
		const struct zg_finding *old = &f->item[j - 1];

		if (old->detector == it->detector && old->end - old->start == me.len &&
		    zg_slice_eq(me, (struct zg_slice){text.ptr + old->start, me.len}))
			return given[i] = given[j - 1];
	}
	return given[i] = ++next[it->detector];
}

void zg_redact_text(struct zg_slice text, const struct zg_findings *f, struct zg_buf *out)
{
	unsigned given[ZG_FINDINGS_MAX], next[32] = {0};
	size_t at = 0;

	for (size_t i = 0; i < f->count; i++) {
		const struct zg_finding *it = &f->item[i];
		unsigned n = number(text, f, i, given, next);

		if (it->verdict == ZG_SV_ALLOW)
			continue;
		zg_buf_add(out, text.ptr + at, it->start - at);
		zg_buf_fmt(out, "[zerogate:%s:%u]", zg_detector_name(it->detector), n);
		at = it->end;
	}
	if (at < text.len)
		zg_buf_add(out, text.ptr + at, text.len - at);
}
