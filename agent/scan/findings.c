/* SPDX-License-Identifier: Apache-2.0 */
/*
 * findings.c - the list of what was found, and what each kind is called.
 * Trust: offsets are ours; how many there are is a peer's doing, so capped.
 */
#include <errno.h>

#include "engine.h"

static const struct {
	const char *name;
	const char *validator;
	uint8_t class;
	uint8_t verdict;
} detectors[] = {
#define X(NAME, name, class, validator, verdict) {name, validator, ZG_SC_##class, ZG_SV_##verdict},
#include "tbl/detector.h"
#undef X
};

const char *zg_detector_name(uint16_t detector)
{
	return detector < ZG_DETECTORS ? detectors[detector].name : "unknown";
}

const char *zg_detector_class(uint16_t detector)
{
	return detector < ZG_DETECTORS && detectors[detector].class == ZG_SC_PII ? "pii" : "secret";
}

const char *zg_detector_validator(uint16_t detector)
{
	return detector < ZG_DETECTORS ? detectors[detector].validator : "none";
}

const char *zg_scan_verdict_name(enum zg_scan_verdict verdict)
{
	switch (verdict) {
	case ZG_SV_ALLOW:
		return "ALLOW";
	case ZG_SV_REDACT:
		return "REDACT";
	case ZG_SV_QUARANTINE:
		break;
	}
	return "QUARANTINE";
}

void zg_findings_reset(struct zg_findings *f)
{
	f->count = 0;
	f->overflow = false;
	memset(f->per_detector, 0, sizeof(f->per_detector));
}

void zg_findings_release(struct zg_findings *f)
{
	free(f->item);
	*f = (struct zg_findings){0};
}

enum zg_scan_verdict zg_findings_verdict(const struct zg_findings *f)
{
	enum zg_scan_verdict worst = f->overflow ? ZG_SV_QUARANTINE : ZG_SV_ALLOW;

	for (size_t i = 0; i < f->count; i++)
		if (f->item[i].verdict < worst)
			worst = f->item[i].verdict;
	return worst;
}

void zg_findings_text(const struct zg_findings *f, char *out, size_t size)
{
	size_t at = 0;

	if (size)
		out[0] = '\0';
	for (unsigned d = 0; d < ZG_DETECTORS; d++) {
		int n;

		if (!f->per_detector[d])
			continue;
		n = snprintf(out + at, size - at, "%s%s:%u", at ? "," : "", detectors[d].name,
			     f->per_detector[d]);
		if (n < 0 || (size_t)n >= size - at) {
			out[at] = '\0'; /* whole entries only */
			return;
		}
		at += (size_t)n;
	}
}

static int grow(struct zg_findings *f)
{
	size_t cap = f->cap ? f->cap * 2 : 16;
	struct zg_finding *item;

	if (f->count < f->cap)
		return 0;
	item = realloc(f->item, cap * sizeof(*item));
	if (!item)
		return -ENOMEM;
	f->item = item;
	f->cap = cap;
	return 0;
}

int zg_findings_add(struct zg_findings *f, uint16_t detector, struct zg_span at)
{
	struct zg_finding found = {.detector = detector,
				   .verdict = detectors[detector].verdict,
				   .start = at.start,
				   .end = at.end};
	size_t last = f->count, first;

	if (f->strict && found.verdict == ZG_SV_ALLOW)
		found.verdict = ZG_SV_REDACT;
	while (last && f->item[last - 1].start >= at.end)
		last--;
	for (first = last; first && f->item[first - 1].end > at.start; first--) {
		const struct zg_finding *old = &f->item[first - 1];

		/* a secret's name says more than that of personal data */
		if (detectors[old->detector].class <= detectors[found.detector].class)
			found.detector = old->detector;
		if (old->verdict < found.verdict)
			found.verdict = old->verdict;
		if (old->start < found.start)
			found.start = old->start;
		if (old->end > found.end)
			found.end = old->end;
		f->per_detector[old->detector]--;
	}
	if (first == last) {
		if (f->count == ZG_FINDINGS_MAX) {
			f->overflow = true;
			return 0;
		}
		if (grow(f) < 0)
			return -ENOMEM;
	}
	memmove(&f->item[first + 1], &f->item[last], (f->count - last) * sizeof(*f->item));
	f->item[first] = found;
	f->count = f->count - (last - first) + 1;
	f->per_detector[found.detector]++;
	return 0;
}
