/* SPDX-License-Identifier: Apache-2.0 */
/*
 * diag.c - see diag.h. Trust: texts come from files that people wrote; their
 * length is cut by zg_err. Out of memory loses a text, never the count.
 */
#include "diag.h"

#include <stdarg.h>

#include "slice.h"

void zg_diag_release(struct zg_diag *d)
{
	free(d->item);
	free(d->notice);
	*d = (struct zg_diag){0};
}

static struct zg_err *append(struct zg_diag *d, bool notice)
{
	if (notice)
		d->notices++;
	else
		d->errors++;
	d->last_kept = false;
	if (!d->item) {
		d->item = calloc(ZG_DIAG_MAX, sizeof(*d->item));
		d->notice = calloc(ZG_DIAG_MAX, sizeof(*d->notice));
	}
	if (!d->item || !d->notice || d->kept == ZG_DIAG_MAX)
		return NULL;
	d->last_kept = true;
	d->notice[d->kept] = notice;
	return &d->item[d->kept++];
}

static void add(struct zg_diag *d, bool notice, const char *file, uint32_t line, uint32_t column,
		const char *fmt, va_list ap)
{
	struct zg_err *e = append(d, notice);
	char what[ZG_REASON_LEN * 2];

	if (!e)
		return;
	if (vsnprintf(what, sizeof(what), fmt, ap) < 0)
		what[0] = '\0';
	(void)zg_err_at(e, 0, file, line, column, "%s", what);
}

void zg_diag_error(struct zg_diag *d, const char *file, uint32_t line, uint32_t column,
		   const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	add(d, false, file, line, column, fmt, ap);
	va_end(ap);
}

void zg_diag_notice(struct zg_diag *d, const char *file, uint32_t line, uint32_t column,
		    const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	add(d, true, file, line, column, fmt, ap);
	va_end(ap);
}

void zg_diag_hint(struct zg_diag *d, const char *fmt, ...)
{
	char hint[ZG_REASON_LEN * 2];
	va_list ap;

	if (!d->last_kept)
		return;
	va_start(ap, fmt);
	if (vsnprintf(hint, sizeof(hint), fmt, ap) < 0)
		hint[0] = '\0';
	va_end(ap);
	zg_err_hint(&d->item[d->kept - 1], "%s", hint);
}

void zg_diag_add(struct zg_diag *d, const struct zg_err *e)
{
	struct zg_err *kept = append(d, false);

	if (kept)
		*kept = *e;
}
