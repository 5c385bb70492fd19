/* SPDX-License-Identifier: Apache-2.0 */
/*
 * approvals_show.c - `zerogate approvals show`: all that a person should know
 * before deciding. Trust: arguments, descriptions and reasons were written by
 * others, also by those who want a yes: nothing of them reaches the terminal
 * raw, and what was cut is said to be cut.
 */
#include "approvals.h"

#include "digest.h"

#define INDENT_MAX 32
#define VOTES_MAX  (2 * ZG_APPROVERS_MAX)
#define TEXT_BYTES (2 * ZG_PIN_TEXT_BYTES)

struct shown {
	struct zg_msg_ctl_approval a;
	struct zg_msg_ctl_approval_vote votes[VOTES_MAX];
	struct zg_msg_ctl_approval past[ZG_HISTORY_MAX];
	size_t vote_count, past_count;
	struct zg_msg_ctl_pin pin; /* .name "" = none is known */
	struct zg_buf definition;
};

/* --- arguments, with line breaks ----------------------------------------------------- */

static void indent(int depth)
{
	printf("\n  %*s", 2 * (depth < INDENT_MAX ? depth : INDENT_MAX), "");
}

/* The end of a string that begins at its quote; its NUL if it was cut. */
static const char *string_end(const char *at)
{
	for (at++; *at && *at != '"'; at++)
		if (*at == '\\' && at[1])
			at++;
	return *at ? at + 1 : at;
}

/* JSON as it came, one member a line; it may end anywhere. False: it was cut. */
static bool print_arguments(const char *at)
{
	char part[ZG_ARGS_TEXT_LEN];
	bool ended = true;
	int depth = 0;

	fputs("  ", stdout);
	while (*at) {
		const char *end = *at == '"' ? string_end(at) : at + strcspn(at, "{}[],:\" \n\t\r");

		if (end > at) {
			(void)zg_str_cut(part, sizeof(part),
					 (struct zg_slice){at, (size_t)(end - at)});
			zg_print_safe(stdout, part);
			ended = *end != '\0' || *at != '"' || (end - at > 1 && end[-1] == '"');
			at = end;
			continue;
		}
		if (*at == '}' || *at == ']') {
			depth -= depth > 0;
			indent(depth);
			putchar(*at);
		} else if (!strchr(" \n\t\r", *at)) {
			putchar(*at);
			if (*at == ':')
				putchar(' ');
			depth += *at == '{' || *at == '[';
			if ((*at == '{' || *at == '[') && (at[1] == '}' || at[1] == ']')) {
				putchar(*++at);
				depth--;
			} else if (*at != ':') {
				indent(depth);
			}
		}
		at++;
	}
	putchar('\n');
	return ended && depth == 0;
}

/* --- for people -------------------------------------------------------------------- */

static void line(const char *name, const char *value)
{
	if (!value[0])
		return;
	printf("%-12s", name);
	zg_print_safe(stdout, value);
	putchar('\n');
}

/* Text of several lines, each under the name's column. */
static void lines(const char *name, const char *text)
{
	char part[ZG_WHY_LEN];

	while (*text) {
		size_t n = strcspn(text, "\n");

		(void)zg_str_cut(part, sizeof(part), (struct zg_slice){text, n});
		line(name, part);
		name = "";
		text += n + (text[n] == '\n');
	}
}

/* How long the string is that begins at text's first quote, with both. */
static size_t string_length(struct zg_slice text)
{
	size_t n = 1;

	while (n < text.len && text.ptr[n] != '"')
		n += text.ptr[n] == '\\' ? 2 : 1;
	return n < text.len ? n + 1 : text.len;
}

/*
 * The description in the canonical text of a definition, with its quotes; len 0: it has
 * none there. The tool's own: its _meta and annotations may have members of that name.
 */
static struct zg_slice description(struct zg_slice text)
{
	static const struct zg_slice key = {"\"description\":\"", 15};
	int depth = 0;

	while (text.len) {
		size_t n = text.ptr[0] == '"' ? string_length(text) : 1;

		if (depth == 1 && zg_slice_starts(text, key)) {
			text = (struct zg_slice){text.ptr + key.len - 1, text.len - key.len + 1};
			return (struct zg_slice){text.ptr, string_length(text)};
		}
		depth += (text.ptr[0] == '{' || text.ptr[0] == '[') -
			 (text.ptr[0] == '}' || text.ptr[0] == ']');
		text = (struct zg_slice){text.ptr + n, text.len - n};
	}
	return (struct zg_slice){0};
}

static void print_description(struct zg_slice definition)
{
	struct zg_slice found = description(definition);
	char text[ZG_PIN_SHORT_TEXT];

	if (!found.len)
		return;
	(void)zg_str_cut(text, sizeof(text), found); /* what was cut ends in dots */
	line("description", text);
}

static void print_tool(const struct shown *s)
{
	static const uint8_t none[32] = {0};
	char hex[65];
	bool bound = memcmp(s->a.definition_sha256, none, sizeof(none)) != 0;

	if (!s->pin.name[0]) {
		line("definition", bound ? "not known any more" : "never seen in a list");
		return;
	}
	print_description(zg_buf_slice(&s->definition));
	zg_hex(hex, s->pin.pinned_sha256, 32);
	line("pin", s->pin.pinned_ms ? hex : "none: nobody accepted a definition");
	if (memcmp(s->pin.pinned_sha256, s->pin.seen_sha256, 32) != 0)
		line("", "the server shows another definition now: zerogate servers diff");
	else if (bound && memcmp(s->pin.pinned_sha256, s->a.definition_sha256, 32) != 0)
		line("", "this was asked for under another definition");
	lines("note", s->pin.note);
}

static void print_past(const struct shown *s)
{
	char age[32];
	uint64_t now = zg_approvals_now_ms();

	for (size_t i = 0; i < s->past_count; i++) {
		const struct zg_msg_ctl_approval *p = &s->past[i];

		printf("%-12s%s  %s", i ? "" : "history", p->approval,
		       zg_approval_state_text(p->state));
		if (p->decided_ms)
			printf(" by uid %u, %s ago", p->approver_uid,
			       zg_approvals_span(age, sizeof(age), p->decided_ms, now));
		if (p->break_glass)
			fputs(", break-glass", stdout);
		if (p->outcome[0]) {
			fputs(", outcome ", stdout);
			zg_print_safe(stdout, p->outcome);
		}
		if (p->reason[0]) {
			fputs(": ", stdout);
			zg_print_safe(stdout, p->reason);
		}
		putchar('\n');
	}
	if (!s->past_count)
		line("history", "none: nobody decided on this tool before");
}

static void print_votes(const struct shown *s)
{
	char text[ZG_REASON_LEN + 96], age[32];
	uint64_t now = zg_approvals_now_ms();

	if (s->a.approvers > 1) {
		(void)snprintf(text, sizeof(text), "%u of %u people agreed", s->a.agreed,
			       s->a.approvers);
		line("approvers", text);
	}
	for (size_t i = 0; i < s->vote_count; i++) {
		const struct zg_msg_ctl_approval_vote *v = &s->votes[i];

		(void)snprintf(text, sizeof(text), "uid %u %s%s, %s ago%s%s", v->uid,
			       v->approve ? "agreed" : "denied",
			       v->break_glass ? " alone (break-glass)" : "",
			       zg_approvals_span(age, sizeof(age), v->time_ms, now),
			       v->reason[0] ? ": " : "", v->reason);
		line(i ? "" : "votes", text);
	}
}

static void print_who(const struct zg_msg_ctl_approval *a)
{
	char text[128];

	(void)snprintf(text, sizeof(text), "uid %u, pid %u, profile %s", a->principal.uid,
		       a->principal.pid, a->principal.profile);
	line("asked by", text);
	line("command", a->principal.comm);
	line("cgroup", a->principal.cgroup);
}

static void print_whole(const struct shown *s)
{
	const struct zg_msg_ctl_approval *a = &s->a;
	char text[128], age[32], hex[65];
	uint64_t now = zg_approvals_now_ms();

	line("approval", a->approval);
	line("state", zg_approval_state_text(a->state));
	line("asked", zg_approvals_span(age, sizeof(age), a->created_ms, now));
	if (a->state <= ZG_AS_APPROVED)
		line("expires in", zg_approvals_span(age, sizeof(age), now, a->expires_ms));
	line("server", a->server);
	line("method", a->method);
	line("tool", a->tool);
	print_tool(s);
	line("action", a->action ? "read" : "write");
	line("risk tags", a->risk_tags);
	line("rules", a->rules);
	lines("because", a->why);
	print_who(a);
	print_votes(s);
	if (a->decided_ms) {
		(void)snprintf(text, sizeof(text), "uid %u%s", a->approver_uid,
			       a->break_glass ? ", alone (break-glass)" : "");
		line("decided by", text);
	}
	line("reason", a->reason);
	line("outcome", a->outcome);
	print_past(s);
	zg_hex(hex, a->snapshot, 32);
	line("policy", hex);
	zg_hex(hex, a->args_sha256, 32);
	line("args sha256", hex);
	(void)snprintf(text, sizeof(text),
		       "%llu bytes, secrets masked:", (unsigned long long)a->args_bytes);
	line("arguments", text);
	if (!print_arguments(a->args_text))
		puts("  (cut here: this is not all of them)");
}

/* --- JSON ------------------------------------------------------------------------- */

static int print_json(const struct shown *s)
{
	zg_autobuf b = ZG_BUF(4 * ZG_APPROVALS_JSON_MAX);

	zg_buf_char(&b, '{');
	zg_approval_json(&b, &s->a, true);
	zg_buf_str(&b, ",\"votes\":[");
	for (size_t i = 0; i < s->vote_count; i++) {
		const struct zg_msg_ctl_approval_vote *v = &s->votes[i];

		zg_buf_fmt(&b, "%s{\"uid\":%u", i ? "," : "", v->uid);
		zg_approvals_number(&b, "pid", v->pid);
		zg_approvals_number(&b, "time_ms", v->time_ms);
		zg_buf_str(&b, v->approve ? ",\"approve\":true" : ",\"approve\":false");
		zg_buf_str(&b, v->break_glass ? ",\"break_glass\":true" : ",\"break_glass\":false");
		zg_approvals_text(&b, "reason", v->reason);
		zg_buf_char(&b, '}');
	}
	zg_buf_str(&b, "],\"history\":[");
	for (size_t i = 0; i < s->past_count; i++) {
		zg_buf_str(&b, i ? ",{" : "{");
		zg_approval_json(&b, &s->past[i], false);
		zg_buf_char(&b, '}');
	}
	zg_buf_char(&b, ']');
	if (s->pin.name[0]) {
		char hex[65];

		zg_hex(hex, s->pin.pinned_sha256, 32);
		zg_approvals_text(&b, "pinned_sha256", hex);
		zg_hex(hex, s->pin.seen_sha256, 32);
		zg_approvals_text(&b, "seen_sha256", hex);
		zg_buf_str(&b, ",\"definition\":");
		zg_buf_json(&b, zg_buf_slice(&s->definition));
	}
	zg_buf_str(&b, "}\n");
	return zg_approvals_print(&b);
}

/* --- asking ------------------------------------------------------------------------ */

static void take(struct shown *s, const struct zg_msg *m)
{
	struct zg_msg_ctl_approval_vote *v = &s->votes[s->vote_count];

	if (m->type == ZG_MSG_CTL_APPROVAL && !s->a.approval[0]) {
		zg_approval_take(&s->a, m);
	} else if (m->type == ZG_MSG_CTL_APPROVAL && s->past_count < ZG_HISTORY_MAX) {
		zg_approval_take(&s->past[s->past_count++], m);
	} else if (m->type == ZG_MSG_CTL_APPROVAL_VOTE && s->vote_count < VOTES_MAX) {
		memcpy(v, m->body, sizeof(*v));
		ZG_MSG_TEXT(v->reason);
		s->vote_count++;
	}
}

/* One connection carries one request. An exit status; what went wrong is said. */
static int ask(struct zg_cli *cli, enum zg_msg_type type, const void *body, struct shown *s,
	       void (*each)(struct shown *s, const struct zg_msg *m))
{
	zg_autofd int sock = zg_ctl_connect(cli);
	struct zg_msg m = {.fd = -1};
	int status = ZG_EXIT_DAEMON, rc;

	if (sock < 0 || zg_ctl_request(sock, type, body) < 0)
		return ZG_EXIT_DAEMON;
	while ((rc = zg_ctl_next(sock, &m, &status)) > 0) {
		each(s, &m);
		zg_msg_release(&m);
	}
	return rc < 0 ? ZG_EXIT_DAEMON : status;
}

/* The row of the tool and its pinned text; a prompt of that name is not it. */
static void take_pin(struct shown *s, const struct zg_msg *m)
{
	struct zg_msg_ctl_pin_text t;
	struct zg_msg_ctl_pin pin;

	if (m->type == ZG_MSG_CTL_PIN) {
		memcpy(&pin, m->body, sizeof(pin));
		ZG_MSG_TEXT(pin.name);
		ZG_MSG_TEXT(pin.note);
		s->pin.kind = pin.kind;
		if (pin.kind == ZG_PIN_TOOL)
			s->pin = pin;
	} else if (m->type == ZG_MSG_CTL_PIN_TEXT && s->pin.kind == ZG_PIN_TOOL) {
		memcpy(&t, m->body, sizeof(t));
		if (!t.seen && t.bytes <= sizeof(t.text))
			zg_buf_add(&s->definition, t.text, t.bytes);
	}
}

int zg_approval_show(struct zg_cli *cli, const char *id)
{
	struct zg_msg_ctl_approval_show what = {0};
	struct zg_msg_ctl_pin_show tool = {0};
	zg_autofree struct shown *s = calloc(1, sizeof(*s));
	int status = ZG_EXIT_NO;

	if (!s)
		return ZG_EXIT_NO;
	s->definition = ZG_BUF(TEXT_BYTES);
	(void)zg_str_cut(what.approval, sizeof(what.approval), zg_slice_str(id));
	status = ask(cli, ZG_MSG_CTL_APPROVAL_SHOW, &what, s, take);
	if (status == ZG_EXIT_OK && s->a.tool[0]) {
		memcpy(tool.server, s->a.server, sizeof(tool.server));
		memcpy(tool.name, s->a.tool, sizeof(tool.name));
		status = ask(cli, ZG_MSG_CTL_PIN_SHOW, &tool, s, take_pin);
	}
	if (status == ZG_EXIT_OK)
		status = cli->json ? print_json(s) : (print_whole(s), ZG_EXIT_OK);
	zg_buf_release(&s->definition);
	return status;
}
