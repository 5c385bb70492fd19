/* SPDX-License-Identifier: Apache-2.0 */
/*
 * servers_list.c - zerogate servers list: every server the agent knows of, one a
 * line. Trust: texts were handed in by people; none reaches the terminal raw.
 */
#include <string.h>
#include <time.h>

#include "servers.h"

#define JSON_BYTES_MAX 65536

void zg_server_terminate(struct zg_msg_ctl_server *s)
{
	ZG_MSG_TEXT(s->id);
	ZG_MSG_TEXT(s->owner);
	ZG_MSG_TEXT(s->version);
	ZG_MSG_TEXT(s->transport);
	ZG_MSG_TEXT(s->endpoint);
	ZG_MSG_TEXT(s->problem);
}

const char *zg_server_state_text(const struct zg_msg_ctl_server *s)
{
	switch ((enum zg_server_state)s->state) {
	case ZG_SS_LIVE:
		return "live";
	case ZG_SS_SUSPENDED:
		return "suspended";
	case ZG_SS_REVOKED:
		return "revoked";
	case ZG_SS_NONE:
		break;
	}
	return s->in_force ? "live" : s->pending == ZG_SP_APPROVED ? "approved" : "submitted";
}

static const char *pending_text(const struct zg_msg_ctl_server *s)
{
	if (s->pending == ZG_SP_NONE)
		return "";
	if (s->pending == ZG_SP_APPROVED)
		return s->problem[0] ? "approved, cannot be in force" : "approved";
	return s->security_uid != UINT32_MAX ? "approved by security"
	       : s->owner_uid != UINT32_MAX  ? "approved by its owner"
					     : "submitted";
}

static void add_uid(struct zg_buf *b, const char *name, uint32_t uid)
{
	if (uid != UINT32_MAX)
		zg_buf_fmt(b, ",\"%s\":%u", name, uid);
}

void zg_server_json(struct zg_buf *b, const struct zg_msg_ctl_server *s)
{
	const struct {
		const char *name, *text;
	} texts[] = {
		{"id", s->id},
		{"state", zg_server_state_text(s)},
		{"pending", pending_text(s)},
		{"origin", s->from_file ? "file" : "registry"},
		{"owner", s->owner},
		{"version", s->version},
		{"transport", s->transport},
		{"endpoint", s->endpoint},
		{"problem", s->problem},
	};
	char hex[65];

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		zg_buf_fmt(b, "%s\"%s\":", i ? "," : "", texts[i].name);
		zg_buf_json(b, zg_slice_str(texts[i].text));
	}
	zg_hex(hex, s->sha256, 32);
	zg_buf_fmt(b, ",\"waits\":%s", s->pending == ZG_SP_SUBMITTED ? "true" : "false");
	zg_buf_fmt(b,
		   ",\"in_force\":%s,\"sha256\":\"%s\",\"pinned\":%u,\"withheld\":%u,"
		   "\"changed_ms\":%llu,\"used_ms\":%llu",
		   s->in_force ? "true" : "false", hex, s->pins, s->withheld,
		   (unsigned long long)s->changed_ms, (unsigned long long)s->used_ms);
	add_uid(b, "submitter_uid", s->submitter_uid);
	add_uid(b, "security_uid", s->security_uid);
	add_uid(b, "owner_uid", s->owner_uid);
}

void zg_server_time(uint64_t ms, char out[32])
{
	time_t t = (time_t)(ms / 1000);
	struct tm tm;

	if (!ms || !localtime_r(&t, &tm) || !strftime(out, 32, "%Y-%m-%d %H:%M:%S", &tm))
		(void)zg_str_cut(out, 32, ZG_SLICE("never"));
}

/* What is submitted, and whose approval it waits for. */
static void print_waiting(const struct zg_msg_ctl_server *s)
{
	const bool security = s->security_uid == UINT32_MAX, owner = s->owner_uid == UINT32_MAX;
	const char *what = s->state != ZG_SS_NONE || s->in_force ? "another version " : "";

	if (s->pending == ZG_SP_SUBMITTED)
		printf("    + %swaits for the approval of %s\n", what,
		       security && owner ? "security and its owner"
		       : security	 ? "security"
					 : "its owner");
	else if (s->pending == ZG_SP_APPROVED)
		printf("    + %s%s\n", what, pending_text(s));
}

static void print_row(const struct zg_msg_ctl_server *s)
{
	char used[32];

	zg_server_time(s->used_ms, used);
	printf("%-10s ", zg_server_state_text(s));
	zg_print_safe(stdout, s->id);
	fputs("  ", stdout);
	zg_print_safe(stdout, s->owner[0] ? s->owner : "-");
	fputs("  ", stdout);
	zg_print_safe(stdout, s->version[0] ? s->version : "-");
	fputs("  ", stdout);
	zg_print_safe(stdout, s->transport[0] ? s->transport : "-");
	fputs("  ", stdout);
	zg_print_safe(stdout, s->endpoint[0] ? s->endpoint : "-");
	printf("  %u/%u  %s\n", s->pins, s->withheld, used);
	print_waiting(s);
	if (s->problem[0]) {
		fputs("    ! ", stdout);
		zg_print_safe(stdout, s->problem);
		putchar('\n');
	}
}

static int print_json(const struct zg_msg_ctl_server *s)
{
	zg_autobuf b = ZG_BUF(JSON_BYTES_MAX);

	zg_buf_char(&b, '{');
	zg_server_json(&b, s);
	zg_buf_str(&b, "}\n");
	return zg_buf_ok(&b) && fwrite(b.ptr, 1, b.len, stdout) == b.len ? 0 : -1;
}

int zg_servers_list(struct zg_cli *cli, int argc, char **argv)
{
	const struct zg_msg_ctl_servers_list want = {0};
	struct zg_msg m = {.fd = -1};
	struct zg_msg_ctl_server s;
	int status = ZG_EXIT_DAEMON, rc, rows = 0;
	zg_autofd int sock = -1;

	(void)argv;
	if (argc != 1)
		return zg_servers_usage();
	sock = zg_ctl_connect(cli);
	if (sock < 0 || zg_ctl_request(sock, ZG_MSG_CTL_SERVERS_LIST, &want) < 0)
		return ZG_EXIT_DAEMON;
	while ((rc = zg_ctl_next(sock, &m, &status)) > 0) {
		if (m.type == ZG_MSG_CTL_SERVER) {
			memcpy(&s, m.body, sizeof(s));
			zg_server_terminate(&s);
			if (!cli->json && !rows++)
				puts("STATE      ID  OWNER  VERSION  TRANSPORT  ENDPOINT  "
				     "PINNED/WITHHELD  LAST USED");
			if (!cli->json)
				print_row(&s);
			else if (print_json(&s) < 0)
				return ZG_EXIT_NO;
		}
		zg_msg_release(&m);
	}
	if (rc == 0 && !cli->json && !rows && status == ZG_EXIT_OK)
		puts("no server is registered or submitted");
	return rc < 0 ? ZG_EXIT_DAEMON : status;
}
