/* SPDX-License-Identifier: Apache-2.0 */
/*
 * servers_add.c - zerogate servers add: an entry on its way to the agent's book.
 * Trust: the file is the caller's. It is read here as the agent will read it, so
 * that what is wrong is said at once; the agent believes none of it.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <string.h>

#include "digest.h"
#include "registry.h"
#include "servers.h"

int zg_servers_read(const char *path, struct zg_buf *out)
{
	zg_autofd int fd = strcmp(path, "-") == 0 ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0)
						  : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	int rc = fd < 0 ? -errno : zg_buf_read(out, fd);

	if (rc == 0)
		return ZG_EXIT_OK;
	fprintf(stderr, "zerogate: cannot read %s: %s\n", path, strerror(-rc));
	return ZG_EXIT_USAGE;
}

static void print_errors(const struct zg_diag *diag)
{
	char text[ZG_PATH_LEN + 2 * ZG_REASON_LEN];

	for (size_t i = 0; i < diag->kept; i++) {
		zg_print_safe(stderr, zg_err_text(&diag->item[i], text, sizeof(text)));
		fputc('\n', stderr);
	}
}

/* What the agent would say of it: file, line and column. */
static int validate(const char *name, struct zg_slice text, struct zg_msg_ctl_server_submit *m)
{
	struct zg_diag diag = {0};
	struct zg_arena arena;
	struct zg_registry_src r = {0};
	int status = ZG_EXIT_OK;

	zg_arena_init(&arena, ZG_BUILD_BYTES);
	zg_registry_parse(&(struct zg_yaml_ctx){name, &arena, &diag}, text, &r);
	if (!diag.errors && !r.servers->def.owner[0])
		zg_diag_error(&diag, name, 0, 0,
			      "_meta names no owner: who answers for this server?");
	if (!diag.errors && text.len > ZG_ENTRY_BYTES)
		zg_diag_error(&diag, name, 0, 0, "larger than %d bytes", ZG_ENTRY_BYTES);
	print_errors(&diag);
	if (diag.errors)
		status = ZG_EXIT_USAGE;
	else
		zg_registry_describe(m, r.servers);
	zg_diag_release(&diag);
	zg_arena_release(&arena);
	return status;
}

static int send_text(int sock, struct zg_slice text)
{
	struct zg_msg_ctl_server_text piece;
	int rc = 0;

	while (text.len && rc == 0) {
		piece = (struct zg_msg_ctl_server_text){0};
		piece.bytes =
			(uint32_t)(text.len < sizeof(piece.text) ? text.len : sizeof(piece.text));
		memcpy(piece.text, text.ptr, piece.bytes);
		text.ptr += piece.bytes;
		text.len -= piece.bytes;
		piece.last = !text.len;
		rc = zg_ctl_request(sock, ZG_MSG_CTL_SERVER_TEXT, &piece);
	}
	return rc;
}

static void say(const struct zg_cli *cli, const struct zg_msg_ctl_server_submit *m)
{
	zg_autobuf b = ZG_BUF(4096);
	char hex[65];

	zg_hex(hex, m->sha256, 32);
	if (cli->json) {
		zg_buf_str(&b, "{\"id\":");
		zg_buf_json(&b, zg_slice_str(m->id));
		zg_buf_fmt(&b, ",\"state\":\"submitted\",\"sha256\":\"%s\"}", hex);
		printf("%.*s\n", (int)b.len, b.ptr);
		return;
	}
	fputs(m->id, stdout);
	printf(" is submitted, sha256 %.16s\n  it is live when two people have approved it, one of "
	       "security and one of its owner's:\n  zerogate servers approve %s --sha256 %.16s "
	       "--reason ...\n",
	       hex, m->id, hex);
}

int zg_servers_submit_text(struct zg_cli *cli, const char *name, struct zg_slice text,
			   const char *reason)
{
	struct zg_msg_ctl_server_submit m = {0};
	struct zg_msg answer = {.fd = -1};
	int status = validate(name, text, &m), rc = 1;
	zg_autofd int sock = -1;

	if (status != ZG_EXIT_OK)
		return status;
	(void)zg_str_cut(m.reason, sizeof(m.reason), zg_slice_str(reason));
	status = ZG_EXIT_DAEMON;
	sock = zg_ctl_connect(cli);
	if (sock < 0 || zg_ctl_request(sock, ZG_MSG_CTL_SERVER_SUBMIT, &m) < 0 ||
	    send_text(sock, text) < 0)
		return ZG_EXIT_DAEMON;
	while (rc > 0) {
		rc = zg_ctl_next(sock, &answer, &status);
		zg_msg_release(&answer);
	}
	if (rc < 0)
		return ZG_EXIT_DAEMON;
	if (status == ZG_EXIT_OK)
		say(cli, &m);
	return status;
}

int zg_servers_add(struct zg_cli *cli, int argc, char **argv)
{
	static const struct option options[] = {{"reason", required_argument, NULL, 'r'},
						{NULL, 0, NULL, 0}};
	zg_autobuf text = ZG_BUF(ZG_CONFIG_FILE_BYTES + 1);
	const char *reason = "";
	int c, status;

	optind = 0;
	while ((c = getopt_long(argc, argv, "r:", options, NULL)) != -1) {
		if (c != 'r')
			return zg_servers_usage();
		reason = optarg;
	}
	if (argc - optind != 1 || strlen(reason) >= ZG_REASON_LEN)
		return zg_servers_usage();
	if (!zg_servers_reason("add", reason))
		return ZG_EXIT_USAGE;
	status = zg_servers_read(argv[optind], &text);
	if (status != ZG_EXIT_OK)
		return status;
	return zg_servers_submit_text(cli, argv[optind], zg_buf_slice(&text), reason);
}
