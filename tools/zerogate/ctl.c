/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ctl.c - the CLI's end of the control socket (cli.h). Trust: the agent is
 * root's, but texts that it passes on come from workloads and servers, so
 * nothing reaches the terminal raw.
 */
#include <errno.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "cli.h"
#include "slice.h"

int zg_ctl_connect(const struct zg_cli *cli)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	zg_autofd int sock = -1;

	if (!zg_str_cut(at.sun_path, sizeof(at.sun_path), zg_slice_str(cli->socket_path))) {
		fprintf(stderr, "zerogate: the socket path is longer than %zu bytes: %s\n",
			sizeof(at.sun_path) - 1, cli->socket_path);
		return -1;
	}
	sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (sock >= 0 && connect(sock, (struct sockaddr *)&at, sizeof(at)) == 0)
		return zg_take_fd(&sock);
	fprintf(stderr,
		"zerogate: cannot reach the agent at %s: %s\n"
		"  Is it running? See 'systemctl status zerogate', or name its socket with "
		"--socket.\n",
		cli->socket_path, strerror(errno));
	return -1;
}

int zg_ctl_request(int sock, enum zg_msg_type type, const void *body)
{
	int rc = zg_msg_send(sock, type, body, -1);

	if (rc < 0)
		fprintf(stderr, "zerogate: cannot send to the agent: %s\n", strerror(-rc));
	return rc;
}

static void print_end(struct zg_msg_ctl_end *end)
{
	ZG_MSG_TEXT(end->what);
	ZG_MSG_TEXT(end->hint);
	if (!end->what[0])
		return;
	fputs("zerogate: ", stderr);
	zg_print_safe(stderr, end->what);
	if (end->hint[0]) {
		fputs("\n  ", stderr);
		zg_print_safe(stderr, end->hint);
	}
	fputc('\n', stderr);
}

int zg_ctl_next(int sock, struct zg_msg *m, int *exit_status)
{
	struct zg_msg_ctl_end end;
	int rc = zg_msg_recv(sock, m);

	if (rc < 0) {
		fprintf(stderr, "zerogate: the agent's answer broke off: %s\n",
			rc == -EPIPE ? "it closed the connection" : strerror(-rc));
		return rc;
	}
	if (m->type != ZG_MSG_CTL_END)
		return 1;
	memcpy(&end, m->body, sizeof(end));
	print_end(&end);
	*exit_status = end.exit <= ZG_EXIT_DAEMON ? (int)end.exit : ZG_EXIT_NO;
	return 0;
}

int zg_ctl_simple(const struct zg_cli *cli, enum zg_msg_type type, const void *body)
{
	int sock = zg_ctl_connect(cli), status = ZG_EXIT_DAEMON, rc = 1;
	struct zg_msg m = {.fd = -1};

	if (sock < 0)
		return ZG_EXIT_DAEMON;
	if (zg_ctl_request(sock, type, body) < 0)
		rc = -1;
	while (rc > 0) {
		rc = zg_ctl_next(sock, &m, &status);
		zg_msg_release(&m);
	}
	(void)close(sock);
	return rc < 0 ? ZG_EXIT_DAEMON : status;
}

/* Code points that a terminal does not show, or that change what it shows of others. */
static const struct {
	uint32_t first, last;
} unseen[] = {
	{0x00, 0x1f},	  {0x7f, 0x9f},
	{0xad, 0xad},	  {0x34f, 0x34f}, /* controls */
	{0x61c, 0x61c},	  {0x115f, 0x1160},
	{0x180b, 0x180f}, {0x200b, 0x200f}, /* marks, fillers */
	{0x2028, 0x202e}, {0x2060, 0x206f},
	{0x3164, 0x3164}, {0xfe00, 0xfe0f}, /* bidi, selectors */
	{0xfeff, 0xfeff}, {0xffa0, 0xffa0},
	{0xfff0, 0xfffb}, {0xe0000, 0xe0fff}, /* tags */
};

/* Length of a printable UTF-8 sequence at s, 0 if its first byte must be shown as an
 * escape: what a terminal would not show, or is not valid. */
static size_t printable(const char *s, size_t left)
{
	unsigned char c = (unsigned char)s[0];
	size_t n = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
	uint32_t point = n == 1 ? c : c & (0xffU >> (n + 1));

	if (n > left || !zg_utf8_valid((struct zg_slice){s, n}))
		return 0;
	for (size_t i = 1; i < n; i++)
		point = point << 6 | ((unsigned char)s[i] & 0x3f);
	for (size_t i = 0; i < sizeof(unseen) / sizeof(unseen[0]); i++)
		if (point >= unseen[i].first && point <= unseen[i].last)
			return 0;
	return n;
}

void zg_print_safe(FILE *out, const char *text)
{
	size_t left = strlen(text);

	while (left) {
		size_t n = printable(text, left);

		if (n)
			(void)fwrite(text, 1, n, out);
		else
			fprintf(out, "\\x%02x", (unsigned char)text[0]);
		n = n ? n : 1;
		text += n;
		left -= n;
	}
}
