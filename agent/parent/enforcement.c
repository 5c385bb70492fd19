/* SPDX-License-Identifier: Apache-2.0 */
/*
 * enforcement.c - see enforcement.h: one sentence for where enforcement stands, and
 * the list behind it. Broken: something that should hold does not. Degraded:
 * this kernel lacks a layer, or something could not be proved. Full: neither.
 * Trust: composes what the parent's other parts found; decides nothing.
 */
#include "enforcement.h"

#include <errno.h>
#include <systemd/sd-daemon.h>

#include "buf.h"
#include "log.h"
#include "proof.h"

struct zg_enforcement {
	char text[ZG_REASON_LEN];
	uint64_t told_ms;
};

/* What the gate's own object holds: without it the agent does not start. */
#define GATE_LAYERS                                                                                \
	(1u << ZG_L_CONNECT | 1u << ZG_L_SENDMSG | 1u << ZG_L_SOCKOPS | 1u << ZG_L_CREATE |        \
	 1u << ZG_L_BIND | 1u << ZG_L_SETSOCKOPT | 1u << ZG_L_EGRESS | 1u << ZG_L_INGRESS)

static const uint32_t layer_bits[ZG_KL_MAX] = {
#define X(NAME, object, demand, enforces, needs) [ZG_KL_##NAME] = 1u << ZG_L_##NAME,
#include "tbl/kernel_layer.h"
#undef X
};

static const struct {
	const char *name;
	const char *holds;
} looks[ZG_LOOKS] = {
	[ZG_LOOK_PROGRAMS] = {"programs", "attached where they should be"},
	[ZG_LOOK_MAPS] = {"maps", "hold what was put in force"},
	[ZG_LOOK_CANARY] = {"canary", "refused at every door, and each refusal reported"},
};

uint32_t zg_enforcement_layers(const struct zg_parent *p)
{
	uint32_t bits = GATE_LAYERS;

	for (size_t i = 0; i < ZG_KL_MAX; i++)
		if (zg_kernel_layer_state(p->kernel, (enum zg_kernel_layer)i, NULL) ==
		    ZG_LAYER_ATTACHED)
			bits |= layer_bits[i];
	return bits;
}

static void add(struct zg_buf *text, const char *lead, const char *name, const char *what)
{
	zg_buf_str(text, text->len ? "; " : lead);
	zg_buf_str(text, name);
	zg_buf_str(text, ": ");
	zg_buf_str(text, what);
}

static void add_looks(const struct zg_parent *p, enum zg_finding_state state, const char *lead,
		      struct zg_buf *text)
{
	for (size_t i = 0; i < ZG_LOOKS; i++) {
		const struct zg_looked *look = zg_proof_last(p, (enum zg_look)i);

		if (look->state == state)
			add(text, lead, looks[i].name, look->text);
	}
}

static void add_missing(const struct zg_kernel *k, const char *lead, struct zg_buf *text)
{
	for (size_t i = 0; i < ZG_KL_MAX; i++) {
		enum zg_kernel_layer layer = (enum zg_kernel_layer)i;
		const char *reason;

		/* what nobody asks for is not missed */
		if (zg_kernel_layer_state(k, layer, &reason) != ZG_LAYER_IDLE && reason[0])
			add(text, lead, zg_kernel_layer_name(layer), reason);
	}
}

/* What does not fit is cut. */
static void compose(const struct zg_parent *p, char out[ZG_REASON_LEN])
{
	zg_autobuf text = ZG_BUF((ZG_LOOKS + ZG_KL_MAX) * 2 * ZG_REASON_LEN);

	add_looks(p, ZG_FS_BROKEN, "broken: ", &text);
	if (!text.len) {
		add_looks(p, ZG_FS_ABSENT, "degraded: ", &text);
		add_missing(p->kernel, "degraded: ", &text);
	}
	if (!text.len)
		zg_buf_str(&text, "full");
	if (zg_buf_ok(&text))
		(void)zg_str_cut(out, ZG_REASON_LEN, zg_buf_slice(&text));
	else
		(void)zg_str_cut(out, ZG_REASON_LEN, ZG_SLICE("degraded: no memory to say why"));
}

static void tell(struct zg_parent *p, bool changed)
{
	const char *text = p->enforcement->text;
	char status[ZG_REASON_LEN + 32];
	struct zg_record r;

	if (changed) {
		zg_log(strncmp(text, "broken", 6) == 0 ? ZG_LOG_ERR : ZG_LOG_NOTICE,
		       "enforcement: %s", text);
		(void)snprintf(status, sizeof(status), "STATUS=enforcement: %s", text);
		(void)sd_notify(0, status);
	}
	zg_record_init(&r, ZG_RK_SELF_PROOF);
	(void)snprintf(status, sizeof(status), "enforcement: %s", text);
	zg_record_str(&r, ZG_RF_message, zg_slice_str(status));
	zg_record_str(&r, ZG_RF_role, ZG_SLICE("parent"));
	zg_record_str(&r, ZG_RF_reason, zg_slice_str(text));
	ZG_REC_NUM(&r, count, p->proofs);
	zg_record_bytes(&r, ZG_RF_snapshot, p->snapshot.header->id);
	if (zg_events_record(p, &r))
		p->enforcement->told_ms = zg_parent_now_ms();
}

void zg_enforcement_update(struct zg_parent *p)
{
	struct zg_enforcement *now = p->enforcement;
	char text[ZG_REASON_LEN];
	bool changed;

	compose(p, text);
	changed = strcmp(text, now->text) != 0;
	memcpy(now->text, text, sizeof(now->text));
	if (changed || zg_parent_now_ms() - now->told_ms >= ZG_PROOF_TELL_SEC * 1000)
		tell(p, changed);
}

const char *zg_enforcement_text(const struct zg_parent *p)
{
	return p->enforcement->text;
}

int zg_enforcement_start(struct zg_parent *p, struct zg_err *e)
{
	p->enforcement = calloc(1, sizeof(*p->enforcement));
	if (!p->enforcement)
		return zg_err_set(e, ENOMEM, "no memory for the self-proof");
	(void)zg_str_cut(p->enforcement->text, sizeof(p->enforcement->text),
			 ZG_SLICE("degraded: not proved yet"));
	return 0;
}

void zg_enforcement_release(struct zg_parent *p)
{
	free(p->enforcement);
	p->enforcement = NULL;
}

/* findings, for people ---------------------------------------------------------- */

static void put(char *to, size_t size, const char *text)
{
	(void)zg_str_cut(to, size, zg_slice_str(text));
}

static struct zg_msg_ctl_finding finding_of_layer(const struct zg_parent *p,
						  enum zg_kernel_layer layer)
{
	struct zg_msg_ctl_finding f = {.state = ZG_FS_OK};
	const char *reason = "";
	enum zg_layer_state state = zg_kernel_layer_state(p->kernel, layer, &reason);

	put(f.name, sizeof(f.name), zg_kernel_layer_name(layer));
	switch (state) {
	case ZG_LAYER_ABSENT:
		f.state = ZG_FS_ABSENT;
		put(f.detail, sizeof(f.detail), reason);
		(void)snprintf(f.remedy, sizeof(f.remedy), "needs %s",
			       zg_kernel_layer_needs(layer));
		return f;
	case ZG_LAYER_IDLE:
		put(f.detail, sizeof(f.detail), "ready; no profile asks for it");
		return f;
	case ZG_LAYER_ATTACHED:
		f.layers = layer_bits[layer];
		(void)snprintf(f.detail, sizeof(f.detail), "enforces %s%s%s",
			       zg_kernel_layer_enforces(layer), reason[0] ? "; " : "", reason);
		return f;
	}
	return f;
}

void zg_enforcement_findings(const struct zg_parent *p,
			     bool (*fn)(void *arg, const struct zg_msg_ctl_finding *f), void *arg)
{
	struct zg_msg_ctl_finding f = {.state = ZG_FS_OK, .layers = GATE_LAYERS, .name = "gate"};

	put(f.detail, sizeof(f.detail),
	    "enforces socket(), connect(), datagrams, bind() and every packet of a governed "
	    "cgroup");
	if (!fn(arg, &f))
		return;
	for (size_t i = 0; i < ZG_KL_MAX; i++) {
		f = finding_of_layer(p, (enum zg_kernel_layer)i);
		if (!fn(arg, &f))
			return;
	}
	for (size_t i = 0; i < ZG_LOOKS; i++) {
		const struct zg_looked *look = zg_proof_last(p, (enum zg_look)i);

		f = (struct zg_msg_ctl_finding){.state = look->state};
		put(f.name, sizeof(f.name), looks[i].name);
		put(f.detail, sizeof(f.detail), look->text[0] ? look->text : looks[i].holds);
		if (!fn(arg, &f))
			return;
	}
}
