/* SPDX-License-Identifier: Apache-2.0 */
/*
 * notify_text.c - one event as JSON (zerogate.yaml(5), notify): what a list of
 * approvals shows. Trust: names of tools are a client's, reasons are people's; all of
 * it is escaped, and of the arguments only size and digest are here to be told.
 */
#include "notify_impl.h"

static void text(struct zg_buf *out, const char *name, const char *value)
{
	if (!value[0])
		return;
	zg_buf_fmt(out, ",\"%s\":", name);
	zg_buf_json(out, zg_slice_str(value));
}

/* Words by comma. */
static void list(struct zg_buf *out, const char *name, const char *value)
{
	zg_buf_fmt(out, ",\"%s\":[", name);
	while (*value) {
		size_t n = strcspn(value, ",");

		zg_buf_json(out, (struct zg_slice){value, n});
		value += n + (value[n] == ',');
		zg_buf_str(out, *value ? "," : "");
	}
	zg_buf_char(out, ']');
}

static void number(struct zg_buf *out, const char *name, uint64_t value)
{
	zg_buf_fmt(out, ",\"%s\":%llu", name, (unsigned long long)value);
}

static void digest(struct zg_buf *out, const char *name, const uint8_t bytes[32])
{
	zg_buf_fmt(out, ",\"%s\":\"", name);
	for (size_t i = 0; i < 32; i++)
		zg_buf_fmt(out, "%02x", bytes[i]);
	zg_buf_char(out, '"');
}

static void put_approval(struct zg_buf *out, const struct zg_msg_ctl_approval *a, bool why)
{
	static const char *const states[] = {[ZG_AS_PENDING] = "pending",
					     [ZG_AS_APPROVED] = "approved",
					     [ZG_AS_DENIED] = "denied",
					     [ZG_AS_CONSUMED] = "consumed",
					     [ZG_AS_EXPIRED] = "expired"};

	text(out, "approval", a->approval);
	if (a->state <= ZG_AS_EXPIRED)
		text(out, "state", states[a->state]);
	text(out, "server", a->server);
	text(out, "method", a->method);
	text(out, "tool", a->tool);
	list(out, "risk_tags", a->risk_tags);
	list(out, "rules", a->rules);
	if (why)
		text(out, "why", a->why);
	number(out, "uid", a->principal.uid);
	text(out, "profile", a->principal.profile);
	text(out, "cgroup", a->principal.cgroup);
	digest(out, "args_sha256", a->args_sha256);
	number(out, "args_bytes", a->args_bytes);
	number(out, "created_ms", a->created_ms);
	number(out, "expires_ms", a->expires_ms);
	number(out, "approvers", a->approvers);
	number(out, "agreed", a->agreed);
}

static void put(struct zg_buf *out, const char *delivery, const char *host,
		const struct zg_record *r, const struct zg_approval *a, bool why)
{
	zg_buf_fmt(out, "{\"version\":1,\"event\":\"%s\"", zg_record_kind_text(r->kind));
	text(out, "delivery", delivery);
	text(out, "host", host);
	number(out, "time_ms", r->time_ns / 1000000);
	text(out, "message", r->message);
	if (a)
		put_approval(out, &a->m, why);
	if (ZG_REC_HAS(r, gate))
		text(out, "gate", r->gate);
	if (ZG_REC_HAS(r, approver_uid))
		number(out, "approver_uid", r->approver_uid);
	if (ZG_REC_HAS(r, reason))
		text(out, "reason", r->reason);
	zg_buf_char(out, '}');
}

int zg_notify_text(struct zg_buf *out, const char *delivery, const char *host,
		   const struct zg_record *r, const struct zg_approval *a)
{
	put(out, delivery, host, r, a, true);
	if (out->error == -EFBIG) { /* the rules' reasons are the longest of it */
		zg_buf_reset(out);
		put(out, delivery, host, r, a, false);
	}
	return out->error;
}
