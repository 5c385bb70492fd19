/* SPDX-License-Identifier: Apache-2.0 */
/* local_log.c - see local_log.h. Trust: the text is a hostile server's. */
#include "local_log.h"

#include "log.h"
#include "worker.h"

void zg_local_log_init(struct zg_local_log *l)
{
	*l = (struct zg_local_log){0};
	zg_lines_init(&l->lines, ZG_STDIO_LOG_LEN);
}

void zg_local_log_release(struct zg_local_log *l)
{
	zg_lines_release(&l->lines);
}

static void visible(struct zg_slice s, struct zg_buf *out)
{
	bool utf8 = zg_utf8_valid(s);

	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.ptr[i];

		if (c < 0x20 || c == 0x7f || (c >= 0x80 && !utf8))
			zg_buf_fmt(out, "\\x%02x", c);
		else
			zg_buf_char(out, (char)c);
	}
}

void zg_local_log_say(struct zg_local_log *l, struct zg_worker *w, const char *server,
		      struct zg_slice line)
{
	zg_autobuf masked = ZG_BUF(8 * ZG_STDIO_LOG_LEN);
	zg_autobuf text = ZG_BUF(32 * ZG_STDIO_LOG_LEN);
	uint64_t second = zg_now_ns() / UINT64_C(1000000000);

	if (second != l->second) {
		l->second = second;
		l->said = 0;
	}
	if (l->said >= ZG_STDIO_LOG_SEC) {
		l->muted++;
		return;
	}
	l->said++;
	if (line.len > ZG_STDIO_LOG_LEN)
		line.len = ZG_STDIO_LOG_LEN;
	zg_findings_reset(&w->findings);
	if (zg_scan_text(w->live->scanner, line, &w->findings) < 0)
		return;
	zg_redact_text(line, &w->findings, &masked);
	visible(zg_buf_slice(&masked), &text);
	if (zg_buf_ok(&masked) && zg_buf_ok(&text))
		zg_log(ZG_LOG_INFO, "server %s: %.*s", server, (int)text.len, text.ptr);
}
