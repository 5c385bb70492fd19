/* SPDX-License-Identifier: Apache-2.0 */
/*
 * notify.c - what people are told of, and how (zerogate.yaml(5), notify): a command,
 * a webhook. Trust: as settings.c. Names of files and places alone: the parent
 * looks at the command when it starts it, and reads the secret for gateways.
 */
#include "model.h"
#include "settings.h"

static const struct {
	const char *text;
	bool by_default;
} events[ZG_NE_MAX] = {
#define X(NAME, text, by_default) [ZG_NE_##NAME] = {text, by_default},
#include "tbl/notify_event.h"
#undef X
};

static void parse_events(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	struct zg_notify_def *n = into;
	struct zg_texts t;

	if (!zg_yaml_texts(ctx, y, &t))
		return;
	for (size_t i = 0; i < t.count; i++) {
		uint32_t e = 0;

		while (e < ZG_NE_MAX && !zg_slice_eq(t.item[i], zg_slice_str(events[e].text)))
			e++;
		if (e == ZG_NE_MAX) {
			zg_yaml_error(ctx, y, "'%.*s' is nothing to be told of", ZG_FMT(t.item[i]));
			zg_diag_hint(ctx->diag,
				     "request, vote, decision, expiry, break_glass, gate_trip");
			return;
		}
		n->events |= 1u << e;
	}
	if (!t.count)
		zg_yaml_error(ctx, y, "events is an empty list");
}

static void parse_path(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	struct zg_notify_def *n = into;

	if (zg_yaml_copy(ctx, y, n->command, sizeof(n->command)) && n->command[0] != '/') {
		zg_yaml_error(ctx, y, "the path of the command must be absolute");
		zg_diag_hint(ctx->diag, "no shell looks for it, nor reads its arguments");
	}
}

static void parse_args(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	struct zg_notify_def *n = into;
	struct zg_texts t;

	if (!zg_yaml_texts(ctx, y, &t))
		return;
	if (t.count > ZG_NOTIFY_ARGS_MAX) {
		zg_yaml_error(ctx, y, "more than %d arguments", ZG_NOTIFY_ARGS_MAX);
		return;
	}
	for (size_t i = 0; i < t.count; i++)
		if (!zg_str_cut(n->arg[i], sizeof(n->arg[i]), t.item[i]))
			zg_yaml_error(ctx, y, "an argument has more than %d bytes",
				      ZG_NOTIFY_ARG_LEN - 1);
	n->arg_count = (uint32_t)t.count;
}

static void parse_user(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	struct zg_notify_def *n = into;

	if (!zg_yaml_copy(ctx, y, n->user, sizeof(n->user)))
		return;
	if (!n->user[0] || strcmp(n->user, "root") == 0) {
		zg_yaml_error(ctx, y, "the command must not run as '%s'", n->user);
		zg_diag_hint(ctx->diag, "a user of its own; without any, the agent's");
	}
}

static void parse_timeout(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	(void)zg_yaml_uint(ctx, y, 1, ZG_NOTIFY_TIMEOUT_MAX,
			   &((struct zg_notify_def *)into)->timeout_sec);
}

static void parse_command(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	static const struct zg_yaml_field fields[] = {
		{"path", parse_path, true},
		{"args", parse_args, false},
		{"user", parse_user, false},
		{"timeout_sec", parse_timeout, false},
	};

	(void)zg_yaml_map(ctx, y, "command", fields, ZG_COUNT(fields), into);
}

static void parse_server(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	struct zg_notify_def *n = into;

	if (zg_yaml_copy(ctx, y, n->server, sizeof(n->server)) && !n->server[0])
		zg_yaml_error(ctx, y, "the id of a registry entry is empty");
}

static void parse_secret(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	struct zg_notify_def *n = into;

	if (zg_yaml_copy(ctx, y, n->secret_file, sizeof(n->secret_file)) && !n->secret_file[0])
		zg_yaml_error(ctx, y, "the name of a file is empty");
}

static void parse_webhook(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	static const struct zg_yaml_field fields[] = {
		{"server", parse_server, true},
		{"secret_file", parse_secret, true},
	};

	(void)zg_yaml_map(ctx, y, "webhook", fields, ZG_COUNT(fields), into);
}

void zg_notify_parse(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	static const struct zg_yaml_field fields[] = {
		{"events", parse_events, false},
		{"command", parse_command, false},
		{"webhook", parse_webhook, false},
	};
	struct zg_notify_def *n = &((struct zg_settings_src *)into)->settings.notify;

	n->timeout_sec = ZG_NOTIFY_TIMEOUT_SEC;
	if (!zg_yaml_map(ctx, y, "notify", fields, ZG_COUNT(fields), n))
		return;
	if (!zg_yaml_member(y, "command") && !zg_yaml_member(y, "webhook")) {
		zg_yaml_error(ctx, y, "notify says neither a command nor a webhook");
		zg_diag_hint(ctx->diag,
			     "command: {path: /usr/local/bin/tell}, or webhook: {server: "
			     "ID, secret_file: FILE}");
	}
	for (uint32_t e = 0; e < ZG_NE_MAX && !zg_yaml_member(y, "events"); e++)
		n->events |= (uint32_t)events[e].by_default << e;
}
