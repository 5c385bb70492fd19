/* SPDX-License-Identifier: Apache-2.0 */
/*
 * enforcement.c - see enforcement.h. Decides nothing: it reads back and reports.
 */
#include "enforcement.h"

#include "buf.h"
#include "kernel.h"
#include "state.h"

static void add_missing(const struct zg_kernel *k, struct zg_buf *text)
{
	for (unsigned int i = 0; i < ZG_KL_MAX; i++) {
		enum zg_kernel_layer layer = (enum zg_kernel_layer)i;
		const char *reason;

		(void)zg_kernel_layer_state(k, layer, &reason);
		if (!reason[0])
			continue;
		zg_buf_str(text, text->len ? "; " : "degraded: ");
		zg_buf_str(text, zg_kernel_layer_name(layer));
		zg_buf_str(text, ": ");
		zg_buf_str(text, reason);
	}
}

enum zg_enforcement zg_enforcement_text(const struct zg_parent *p, char *out, size_t size)
{
	zg_autobuf text = ZG_BUF(ZG_KL_MAX * 2 * ZG_REASON_LEN);
	enum zg_enforcement state = ZG_ENFORCEMENT_FULL;
	struct zg_err e = {0};

	if (zg_kernel_verify(p->kernel, &e) < 0) {
		zg_buf_str(&text, "broken: ");
		zg_buf_str(&text, e.what);
		state = ZG_ENFORCEMENT_BROKEN;
	} else {
		add_missing(p->kernel, &text);
		if (text.len)
			state = ZG_ENFORCEMENT_DEGRADED;
		else
			zg_buf_str(&text, "full");
	}
	if (!zg_buf_ok(&text)) {
		(void)zg_str_cut(out, size, ZG_SLICE("broken: no memory to say what is enforced"));
		return ZG_ENFORCEMENT_BROKEN;
	}
	(void)zg_str_cut(out, size, zg_buf_slice(&text));
	return state;
}
