/* SPDX-License-Identifier: Apache-2.0 */
/* err.c - see err.h. Trust: formats what callers give; never allocates. */
#include "err.h"

#include <stdarg.h>

#include "slice.h"

ZG_PRINTF(3, 0)
static void fill(char *out, size_t size, const char *fmt, va_list ap)
{
	int n = vsnprintf(out, size, fmt, ap);

	if (n < 0)
		out[0] = '\0';
	else if ((size_t)n >= size)
		memcpy(out + size - 4, "...", 4);
}

int zg_err_set(struct zg_err *e, int code, const char *fmt, ...)
{
	va_list ap;

	if (e) {
		*e = (struct zg_err){0};
		va_start(ap, fmt);
		fill(e->what, sizeof(e->what), fmt, ap);
		va_end(ap);
	}
	return -code;
}

int zg_err_at(struct zg_err *e, int code, const char *file, uint32_t line, uint32_t column,
	      const char *fmt, ...)
{
	va_list ap;

	if (e) {
		*e = (struct zg_err){.line = line, .column = column};
		zg_str_cut(e->file, sizeof(e->file), zg_slice_str(file));
		va_start(ap, fmt);
		fill(e->what, sizeof(e->what), fmt, ap);
		va_end(ap);
	}
	return -code;
}

void zg_err_hint(struct zg_err *e, const char *fmt, ...)
{
	va_list ap;

	if (!e)
		return;
	va_start(ap, fmt);
	fill(e->hint, sizeof(e->hint), fmt, ap);
	va_end(ap);
}

const char *zg_err_text(const struct zg_err *e, char *out, size_t size)
{
	char place[ZG_PATH_LEN + 32] = "";

	if (e->file[0] && e->line)
		(void)snprintf(place, sizeof(place), "%s:%u:%u: ", e->file, e->line, e->column);
	else if (e->file[0])
		(void)snprintf(place, sizeof(place), "%s: ", e->file);
	(void)snprintf(out, size, "%s%s%s%s%s", place, e->what, e->hint[0] ? " (" : "", e->hint,
		       e->hint[0] ? ")" : "");
	return out;
}
