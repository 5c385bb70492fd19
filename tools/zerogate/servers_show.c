/* SPDX-License-Identifier: Apache-2.0 */
/*
 * servers_show.c - zerogate servers show: all of one server: what is submitted and
 * what is live, tool classes with it, who did what and why. Trust: entries are
 * what people handed in; what is no printable ASCII is shown as an escape.
 */
#include <string.h>

#include <jansson.h>

#include "servers.h"

#define META	       "dev.zerogate/registry"
#define JSON_BYTES_MAX 1048576

struct shown {
	struct zg_msg_ctl_server row;
	struct zg_buf text[2]; /* live, submitted */
	struct zg_buf steps;   /* struct zg_msg_ctl_server_step[] */
	bool found;
};

static void take(struct shown *s, const struct zg_msg *m)
{
	struct zg_msg_ctl_server_text t;
	struct zg_msg_ctl_server_step step;

	if (m->type == ZG_MSG_CTL_SERVER) {
		memcpy(&s->row, m->body, sizeof(s->row));
		zg_server_terminate(&s->row);
		s->found = true;
	} else if (m->type == ZG_MSG_CTL_SERVER_TEXT) {
		memcpy(&t, m->body, sizeof(t));
		zg_buf_add(&s->text[t.pending ? 1 : 0], t.text,
			   t.bytes < sizeof(t.text) ? t.bytes : sizeof(t.text));
	} else if (m->type == ZG_MSG_CTL_SERVER_STEP) {
		memcpy(&step, m->body, sizeof(step));
		ZG_MSG_TEXT(step.id);
		ZG_MSG_TEXT(step.what);
		ZG_MSG_TEXT(step.acted_as);
		ZG_MSG_TEXT(step.reason);
		zg_buf_add(&s->steps, &step, sizeof(step));
	}
}

static void print_line(const char *name, const char *text)
{
	if (!text[0])
		return;
	printf("  %-11s", name);
	zg_print_safe(stdout, text);
	putchar('\n');
}

static void print_tools(const json_t *entry)
{
	const json_t *meta = json_object_get(json_object_get(entry, "_meta"), META);
	const char *name;
	json_t *tool;

	json_object_foreach(json_object_get(meta, "tools"), name, tool)
	{
		const char *action = json_string_value(json_object_get(tool, "action"));

		fputs("  tool       ", stdout);
		zg_print_safe(stdout, name);
		fputs(": ", stdout);
		zg_print_safe(stdout, action ? action : "write");
		putchar('\n');
	}
}

static void print_entry(const char *title, const struct zg_buf *text)
{
	json_t *entry;

	if (!text->len)
		return;
	printf("%s:\n", title);
	zg_diff_print(ZG_SLICE(""), zg_buf_slice(text));
	entry = json_loadb(text->ptr, text->len, 0, NULL);
	print_tools(entry);
	json_decref(entry);
}

static void print_steps(const struct zg_buf *steps)
{
	const struct zg_msg_ctl_server_step *s = (const void *)steps->ptr;
	char when[32];

	for (size_t i = 0; i < steps->len / sizeof(*s); i++) {
		zg_server_time(s[i].time_ms, when);
		printf("%s  %-15s ", when, s[i].what);
		if (s[i].uid == UINT32_MAX)
			fputs("the agent", stdout);
		else
			printf("uid %u, as %s", s[i].uid, s[i].acted_as);
		if (s[i].reason[0]) {
			fputs(": ", stdout);
			zg_print_safe(stdout, s[i].reason);
		}
		putchar('\n');
	}
}

static void print(const struct shown *s)
{
	char used[32], hex[65];

	zg_print_safe(stdout, s->row.id);
	printf(": %s%s\n", zg_server_state_text(&s->row),
	       s->row.from_file ? ", by its file in servers/" : "");
	zg_server_time(s->row.used_ms, used);
	print_line("owner", s->row.owner);
	print_line("version", s->row.version);
	print_line("transport", s->row.transport);
	print_line("endpoint", s->row.endpoint);
	print_line("problem", s->row.problem);
	printf("  %-11s%u pinned, %u withheld (zerogate servers pins %s)\n", "definitions",
	       s->row.pins, s->row.withheld, s->row.id);
	print_line("last used", used);
	print_entry("live", &s->text[0]);
	print_entry("submitted", &s->text[1]);
	if (s->row.pending != ZG_SP_NONE) {
		zg_hex(hex, s->row.sha256, 32);
		fputs("  to approve exactly this: zerogate servers approve ", stdout);
		zg_print_safe(stdout, s->row.id);
		printf(" --sha256 %.16s --reason ...\n", hex);
	}
	if (s->steps.len)
		puts("history:");
	print_steps(&s->steps);
}

static void add_entry(struct zg_buf *b, const char *name, const struct zg_buf *text)
{
	json_t *entry = text->len ? json_loadb(text->ptr, text->len, 0, NULL) : NULL;
	char *dump = entry ? json_dumps(entry, JSON_COMPACT) : NULL;

	if (text->len) {
		zg_buf_fmt(b, ",\"%s\":", name);
		if (dump)
			zg_buf_str(b, dump);
		else
			zg_buf_json(b, zg_buf_slice(text));
	}
	free(dump);
	json_decref(entry);
}

static int print_json(const struct shown *s)
{
	const struct zg_msg_ctl_server_step *step = (const void *)s->steps.ptr;
	zg_autobuf b = ZG_BUF(JSON_BYTES_MAX);

	zg_buf_char(&b, '{');
	zg_server_json(&b, &s->row);
	add_entry(&b, "live", &s->text[0]);
	add_entry(&b, "submitted", &s->text[1]);
	zg_buf_str(&b, ",\"history\":[");
	for (size_t i = 0; i < s->steps.len / sizeof(*step); i++) {
		zg_buf_fmt(&b, "%s{\"what\":\"%s\",\"as\":\"%s\",\"time_ms\":%llu,\"reason\":",
			   i ? "," : "", step[i].what, step[i].acted_as,
			   (unsigned long long)step[i].time_ms);
		zg_buf_json(&b, zg_slice_str(step[i].reason));
		if (step[i].uid != UINT32_MAX)
			zg_buf_fmt(&b, ",\"uid\":%u,\"pid\":%u", step[i].uid, step[i].pid);
		zg_buf_char(&b, '}');
	}
	zg_buf_str(&b, "]}\n");
	return zg_buf_ok(&b) && fwrite(b.ptr, 1, b.len, stdout) == b.len ? ZG_EXIT_OK : ZG_EXIT_NO;
}

int zg_servers_show_one(struct zg_cli *cli, int argc, char **argv)
{
	struct shown s = {
		.text = {ZG_BUF(ZG_ENTRY_BYTES), ZG_BUF(ZG_ENTRY_BYTES)},
		.steps = ZG_BUF((ZG_STEPS_MAX + 1) * sizeof(struct zg_msg_ctl_server_step))};
	struct zg_msg_ctl_servers_list want = {.texts = 1};
	struct zg_msg m = {.fd = -1};
	int status = ZG_EXIT_DAEMON, rc = -1;
	zg_autofd int sock = -1;

	if (argc != 2)
		return zg_servers_usage();
	(void)zg_str_cut(want.id, sizeof(want.id), zg_slice_str(argv[1]));
	sock = zg_ctl_connect(cli);
	if (sock >= 0 && zg_ctl_request(sock, ZG_MSG_CTL_SERVERS_LIST, &want) == 0)
		rc = 1;
	while (rc > 0 && (rc = zg_ctl_next(sock, &m, &status)) > 0) {
		take(&s, &m);
		zg_msg_release(&m);
	}
	if (rc < 0) {
		status = ZG_EXIT_DAEMON;
	} else if (status == ZG_EXIT_OK && !s.found) {
		fputs("zerogate: not_found: there is no such server\n  zerogate servers list\n",
		      stderr);
		status = ZG_EXIT_NO;
	} else if (status == ZG_EXIT_OK) {
		if (cli->json)
			status = print_json(&s);
		else
			print(&s);
	}
	zg_buf_release(&s.text[0]);
	zg_buf_release(&s.text[1]);
	zg_buf_release(&s.steps);
	return status;
}
