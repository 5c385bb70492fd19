/* SPDX-License-Identifier: Apache-2.0 */
/*
 * audit.c - zerogate audit: follow the records as the ledger writes them, or
 * check them (verify.c). Trust: texts in records come from workloads and
 * servers; for a person they are shown with control characters made visible,
 * with --json the line goes out as it was written.
 */
#include <getopt.h>
#include <jansson.h>

#include "buf.h"
#include "chain.h"
#include "cli.h"
#include "verify.h"

#define TAIL_DEFAULT 20

static int usage(void)
{
	fputs("usage: zerogate audit tail [-n N] [-f]\n"
	      "       zerogate audit verify [--pubkey FILE] [--config FILE | DIR | FILE...]\n",
	      stderr);
	return ZG_EXIT_USAGE;
}

/* Members that say where a record stands, not what happened. */
static bool bookkeeping(const char *name)
{
	static const char *const names[] = {"seq",  "time",	"kind", "message",
					    "ring", "ring_seq", "prev", "signature"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	return false;
}

static const char *text_of(const json_t *o, const char *name)
{
	const char *text = json_string_value(json_object_get(o, name));

	return text ? text : "";
}

static void print_for_people(struct zg_slice line)
{
	json_t *o = json_loadb(line.ptr, line.len, 0, NULL);
	const char *name;
	json_t *value;

	if (!o) {
		fputs("(a line that is not JSON)\n", stdout);
		return;
	}
	zg_print_safe(stdout, text_of(o, "time"));
	putchar(' ');
	zg_print_safe(stdout, text_of(o, "kind"));
	if (text_of(o, "message")[0]) {
		fputs(": ", stdout);
		zg_print_safe(stdout, text_of(o, "message"));
	}
	json_object_foreach(o, name, value)
	{
		if (bookkeeping(name))
			continue;
		printf(" %s=", name);
		if (json_is_string(value))
			zg_print_safe(stdout, json_string_value(value));
		else
			printf("%lld", (long long)json_integer_value(value));
	}
	putchar('\n');
	json_decref(o);
}

static bool print_line(void *arg, struct zg_slice line)
{
	const struct zg_cli *cli = arg;

	if (cli->json)
		printf("%.*s\n", (int)line.len, line.ptr);
	else
		print_for_people(line);
	/* someone may be reading the pipe as it comes */
	(void)fflush(stdout);
	return !ferror(stdout);
}

int zg_audit_follow(const struct zg_cli *cli, const struct zg_msg_ctl_audit_tail *ask,
		    bool (*each)(void *arg, struct zg_slice text), void *arg)
{
	zg_autobuf line = ZG_BUF(ZG_CHAIN_LINE_MAX);
	struct zg_msg_ctl_audit_line part;
	struct zg_msg m = {.fd = -1};
	int status = ZG_EXIT_DAEMON, rc;
	zg_autofd int sock = zg_ctl_connect(cli);

	if (sock < 0 || zg_ctl_request(sock, ZG_MSG_CTL_AUDIT_TAIL, ask) < 0)
		return ZG_EXIT_DAEMON;
	while ((rc = zg_ctl_next(sock, &m, &status)) > 0) {
		if (m.type != ZG_MSG_CTL_AUDIT_LINE) {
			zg_msg_release(&m);
			continue;
		}
		memcpy(&part, m.body, sizeof(part));
		if (part.bytes > sizeof(part.text))
			return ZG_EXIT_DAEMON;
		zg_buf_add(&line, part.text, part.bytes);
		if (!part.last)
			continue;
		if (zg_buf_ok(&line) && !each(arg, zg_buf_slice(&line)))
			return ZG_EXIT_NO;
		zg_buf_reset(&line);
	}
	return rc < 0 ? ZG_EXIT_DAEMON : status;
}

static int tail(struct zg_cli *cli, int argc, char **argv)
{
	static const struct option options[] = {{"lines", required_argument, NULL, 'n'},
						{"follow", no_argument, NULL, 'f'},
						{NULL, 0, NULL, 0}};
	struct zg_msg_ctl_audit_tail ask = {.records = TAIL_DEFAULT};
	uint64_t n;
	int c;

	optind = 0; /* main() stopped at the verb; here options may follow operands */
	while ((c = getopt_long(argc, argv, "n:f", options, NULL)) != -1) {
		if (c == 'f') {
			ask.follow = 1;
		} else if (c == 'n' && zg_slice_u64(zg_slice_str(optarg), UINT32_MAX, &n) == 0) {
			ask.records = (uint32_t)n;
		} else {
			return usage();
		}
	}
	return optind == argc ? zg_audit_follow(cli, &ask, print_line, cli) : usage();
}

int zg_verb_audit(struct zg_cli *cli, int argc, char **argv)
{
	const char *verb = argc > 1 ? argv[1] : "";

	if (strcmp(verb, "tail") == 0)
		return tail(cli, argc - 1, argv + 1);
	if (strcmp(verb, "verify") == 0)
		return zg_audit_verify(cli, argc - 1, argv + 1);
	return usage();
}
