/* SPDX-License-Identifier: Apache-2.0 */
/*
 * network.c - `zerogate network learn`: reads the audit log, through the agent
 * or from its folder, and prints what learn.c makes of it. Changes nothing.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <time.h>

#include "buf.h"
#include "chain.h"
#include "cli.h"
#include "learn.h"
#include "segments.h"

#define TIME_LEN 40 /* 2026-01-02T03:04:05.000000006Z */

static int usage(void)
{
	fputs("usage: zerogate network learn [--profile NAME] [--since 2h|7d|TIME] [--audit DIR]\n",
	      stderr);
	return ZG_EXIT_USAGE;
}

/* A UTC time as records have it, whole or its beginning, or how long ago. */
static bool read_since(const char *text, char out[TIME_LEN])
{
	static const struct {
		char unit;
		uint64_t sec;
	} units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
	size_t n = strlen(text);
	time_t now = time(NULL);
	uint64_t amount;
	struct tm tm;

	for (size_t i = 0; n && i < sizeof(units) / sizeof(units[0]); i++) {
		if (text[n - 1] != units[i].unit ||
		    zg_slice_u64((struct zg_slice){text, n - 1}, 36500, &amount) < 0)
			continue;
		now -= (time_t)(amount * units[i].sec);
		return gmtime_r(&now, &tm) && strftime(out, TIME_LEN, "%FT%T", &tm) > 0;
	}
	return n >= 4 && strspn(text, "0123456789-T:.Z") == n &&
	       zg_str_cut(out, TIME_LEN, zg_slice_str(text));
}

static int no_memory(void)
{
	fputs("zerogate: out of memory\n", stderr);
	return ZG_EXIT_NO;
}

/* Every line of one segment; a last one that is being written does not count. */
static int read_segment(void *arg, int dir, const char *name)
{
	struct zg_learn *l = arg;
	zg_autofree char *line = NULL;
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	zg_autofile FILE *f = fd < 0 ? NULL : fdopen(fd, "r");
	size_t room = 0;
	ssize_t n;
	int rc = 0;

	if (!f) {
		rc = -errno;
		zg_close_(&fd);
		return rc;
	}
	while (rc == 0 && (n = getline(&line, &room, f)) > 0)
		if (line[n - 1] == '\n')
			rc = zg_learn_line(l, (struct zg_slice){line, (size_t)n - 1});
	return rc == 0 && ferror(f) ? -EIO : rc;
}

static int read_folder(struct zg_learn *l, const char *path)
{
	int rc = zg_segments_each(path, read_segment, l);

	if (rc == 0)
		return ZG_EXIT_OK;
	fprintf(stderr, "zerogate: cannot read the audit log in %s: %s\n", path, strerror(-rc));
	return ZG_EXIT_USAGE;
}

static int take_part(struct zg_learn *l, struct zg_buf *line, const struct zg_msg *m)
{
	struct zg_msg_ctl_audit_line part;
	int rc = 0;

	memcpy(&part, m->body, sizeof(part));
	if (part.bytes > sizeof(part.text))
		return -EPROTO;
	zg_buf_add(line, part.text, part.bytes);
	if (!part.last)
		return 0;
	if (zg_buf_ok(line))
		rc = zg_learn_line(l, zg_buf_slice(line));
	zg_buf_reset(line);
	return rc;
}

static int read_agent(struct zg_cli *cli, struct zg_learn *l)
{
	const struct zg_msg_ctl_audit_tail ask = {.records = UINT32_MAX};
	zg_autobuf line = ZG_BUF(ZG_CHAIN_LINE_MAX);
	int status = ZG_EXIT_DAEMON, rc;
	struct zg_msg m = {.fd = -1};
	zg_autofd int sock = zg_ctl_connect(cli);

	if (sock < 0 || zg_ctl_request(sock, ZG_MSG_CTL_AUDIT_TAIL, &ask) < 0)
		return ZG_EXIT_DAEMON;
	while ((rc = zg_ctl_next(sock, &m, &status)) > 0) {
		int taken = m.type == ZG_MSG_CTL_AUDIT_LINE ? take_part(l, &line, &m) : 0;

		zg_msg_release(&m);
		if (taken < 0)
			return taken == -ENOMEM ? no_memory() : ZG_EXIT_DAEMON;
	}
	return rc < 0 ? ZG_EXIT_DAEMON : status;
}

static int learn(struct zg_cli *cli, int argc, char **argv)
{
	static const struct option options[] = {{"profile", required_argument, NULL, 'p'},
						{"since", required_argument, NULL, 's'},
						{"audit", required_argument, NULL, 'a'},
						{NULL, 0, NULL, 0}};
	const char *profile = NULL, *folder = NULL;
	char since[TIME_LEN] = "";
	struct zg_learn *l;
	int c, status;

	optind = 0; /* main() stopped at the verb; here options may follow operands */
	while ((c = getopt_long(argc, argv, "p:s:a:", options, NULL)) != -1) {
		if (c == 'p')
			profile = optarg;
		else if (c == 'a')
			folder = optarg;
		else if (c != 's' || !read_since(optarg, since))
			return usage();
	}
	if (optind != argc)
		return usage();
	l = zg_learn_new(profile, since);
	if (!l)
		return no_memory();
	status = folder ? read_folder(l, folder) : read_agent(cli, l);
	if (status == ZG_EXIT_OK)
		zg_learn_print(l, stdout);
	zg_learn_free(l);
	return status;
}

int zg_verb_network(struct zg_cli *cli, int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "learn") == 0)
		return learn(cli, argc - 1, argv + 1);
	return usage();
}
