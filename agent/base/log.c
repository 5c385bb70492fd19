/* SPDX-License-Identifier: Apache-2.0 */
/* log.c - see log.h. Trust: texts may hold peer bytes; controls are masked. */
#include "log.h"

#include <stdarg.h>

static const char *role_name = "zerogate";
static int journal_prefix;

void zg_log_init(const char *role)
{
	role_name = role;
	/* systemd sets JOURNAL_STREAM when stderr is the journal's */
	journal_prefix = getenv("JOURNAL_STREAM") != NULL;
}

void zg_log(enum zg_log_level level, const char *fmt, ...)
{
	char line[1024];
	int at = 0, n;
	va_list ap;

	if (journal_prefix)
		at = snprintf(line, sizeof(line), "<%d>", (int)level);
	at += snprintf(line + at, sizeof(line) - (size_t)at, "zerogated[%s]: ", role_name);
	va_start(ap, fmt);
	n = vsnprintf(line + at, sizeof(line) - (size_t)at - 1, fmt, ap);
	va_end(ap);
	if (n < 0)
		return;
	n = at + n > (int)sizeof(line) - 2 ? (int)sizeof(line) - 2 : at + n;
	for (int i = at; i < n; i++)
		if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
			line[i] = '?';
	line[n] = '\n';
	/* one write, so that lines of several roles do not mix */
	if (write(STDERR_FILENO, line, (size_t)n + 1) < 0)
		return; /* nowhere left to say it */
}

void zg_log_err(enum zg_log_level level, const char *doing, const struct zg_err *e)
{
	char text[ZG_PATH_LEN + 2 * ZG_REASON_LEN + 64];

	zg_log(level, "%s: %s", doing, zg_err_text(e, text, sizeof(text)));
}
