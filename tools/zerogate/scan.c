/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scan.c - zerogate scan: the gateway's output scanner on a file or a stream
 * of lines, offline. Trust: the input is hostile text; it is only searched,
 * never run or opened by name. Says where a secret stands, never what it is.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>

#include <jansson.h>

#include "cli.h"
#include "scan.h"

struct scan_run {
	struct zg_scanner *scanner;
	struct zg_findings found;
	struct zg_buf out;
	bool json;
	bool any;    /* something must not pass */
	bool failed; /* a line could not be read */
};

static int open_scanner(struct zg_scanner **out)
{
	zg_autobuf db = ZG_BUF(ZG_SNAPSHOT_BYTES);
	struct zg_err e = {0};
	char text[ZG_PATH_LEN];

	if (zg_scandb_build(&db, &e) < 0 || zg_scanner_new(out, db.ptr, db.len, &e) < 0) {
		fprintf(stderr, "zerogate: %s\n", zg_err_text(&e, text, sizeof(text)));
		return -EINVAL;
	}
	return 0;
}

static void put_finding(struct zg_buf *out, const struct zg_finding *f)
{
	zg_buf_fmt(out,
		   "{\"kind\":\"%s\",\"class\":\"%s\",\"start\":%zu,\"end\":%zu,"
		   "\"verdict\":\"%s\",\"validator\":\"%s\"}",
		   zg_detector_name(f->detector), zg_detector_class(f->detector), f->start, f->end,
		   zg_scan_verdict_name(f->verdict), zg_detector_validator(f->detector));
}

/* Print and empty the buffer. */
static int flush(struct zg_buf *out)
{
	bool good = zg_buf_ok(out) && fwrite(out->ptr, 1, out->len, stdout) == out->len &&
		    fflush(stdout) == 0;

	zg_buf_reset(out);
	return good ? 0 : -EIO;
}

static int scan_whole(struct scan_run *run, FILE *in)
{
	zg_autobuf text = ZG_BUF(ZG_SCAN_BYTES);
	int r = zg_buf_read(&text, fileno(in));

	if (r == 0)
		r = zg_scan_text(run->scanner, zg_buf_slice(&text), &run->found);
	if (r < 0)
		return r;
	run->any = zg_findings_verdict(&run->found) != ZG_SV_ALLOW;
	if (!run->json && run->found.count)
		zg_buf_fmt(&run->out, "%-16s %-7s %10s %10s  %-10s %s\n", "KIND", "CLASS", "START",
			   "END", "VERDICT", "VALIDATOR");
	for (size_t i = 0; i < run->found.count; i++) {
		const struct zg_finding *f = &run->found.item[i];

		if (run->json) {
			put_finding(&run->out, f);
			zg_buf_char(&run->out, '\n');
			continue;
		}
		zg_buf_fmt(&run->out, "%-16s %-7s %10zu %10zu  %-10s %s\n",
			   zg_detector_name(f->detector), zg_detector_class(f->detector), f->start,
			   f->end, zg_scan_verdict_name(f->verdict),
			   zg_detector_validator(f->detector));
	}
	if (run->found.overflow)
		fprintf(stderr, "zerogate: more than %d findings: the whole text is QUARANTINE\n",
			ZG_FINDINGS_MAX);
	return flush(&run->out);
}

static void put_id(struct zg_buf *out, const json_t *line)
{
	const json_t *id = json_is_object(line) ? json_object_get(line, "id") : NULL;
	char *text = id ? json_dumps(id, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;

	zg_buf_str(out, "{\"id\":");
	zg_buf_str(out, text ? text : "null");
	free(text);
}

static int bad_line(struct scan_run *run, const json_t *line, const char *what)
{
	run->failed = true;
	put_id(&run->out, line);
	zg_buf_str(&run->out, ",\"error\":");
	zg_buf_json(&run->out, zg_slice_str(what));
	zg_buf_str(&run->out, "}\n");
	return flush(&run->out);
}

/* One {"id","text"}. Only a failure to write ends the stream. */
static int scan_line(struct scan_run *run, const char *bytes, size_t n)
{
	zg_autobuf redacted = ZG_BUF(ZG_SCAN_BYTES);
	json_error_t error;
	json_t *line = json_loadb(bytes, n, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
	const json_t *text = json_object_get(line, "text");
	struct zg_slice s;
	int r;

	if (!line || !json_is_string(text)) {
		r = bad_line(run, line, line ? "not an object with a \"text\"" : error.text);
		json_decref(line);
		return r;
	}
	s = (struct zg_slice){json_string_value(text), json_string_length(text)};
	r = zg_scan_text(run->scanner, s, &run->found);
	if (r == 0) {
		zg_redact_text(s, &run->found, &redacted);
		r = redacted.error;
	}
	if (r < 0) {
		r = bad_line(run, line, strerror(-r));
		json_decref(line);
		return r;
	}
	run->any = run->any || zg_findings_verdict(&run->found) != ZG_SV_ALLOW;
	put_id(&run->out, line);
	zg_buf_fmt(&run->out, ",\"verdict\":\"%s\",\"findings\":[",
		   zg_scan_verdict_name(zg_findings_verdict(&run->found)));
	for (size_t i = 0; i < run->found.count; i++) {
		if (i)
			zg_buf_char(&run->out, ',');
		put_finding(&run->out, &run->found.item[i]);
	}
	zg_buf_str(&run->out, "],\"text\":");
	zg_buf_json(&run->out, zg_buf_slice(&redacted));
	zg_buf_str(&run->out, "}\n");
	json_decref(line);
	return flush(&run->out);
}

static int scan_lines(struct scan_run *run, FILE *in)
{
	zg_autofree char *line = NULL;
	size_t cap = 0;
	ssize_t n;
	int r = 0;

	while (r == 0 && (n = getline(&line, &cap, in)) >= 0) {
		while (n && (line[n - 1] == '\n' || line[n - 1] == '\r'))
			n--;
		if (n)
			r = scan_line(run, line, (size_t)n);
	}
	return r == 0 && ferror(in) ? -EIO : r;
}

static int usage(void)
{
	fputs("usage: zerogate scan [--json] [--lines] FILE|-\n", stderr);
	return ZG_EXIT_USAGE;
}

int zg_verb_scan(struct zg_cli *cli, int argc, char **argv)
{
	static const struct option options[] = {
		{"json", no_argument, NULL, 'j'},
		{"lines", no_argument, NULL, 'l'},
		{NULL, 0, NULL, 0},
	};
	struct scan_run run = {.json = cli->json, .out = ZG_BUF(SIZE_MAX)};
	zg_autofile FILE *file = NULL;
	bool lines = false;
	const char *name;
	int c, r;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'j')
			run.json = true;
		else if (c == 'l')
			lines = true;
		else
			return usage();
	}
	if (argc - optind != 1)
		return usage();
	name = argv[optind];
	if (strcmp(name, "-") != 0) {
		file = fopen(name, "re");
		if (!file) {
			fprintf(stderr, "zerogate: %s: %s\n", name, strerror(errno));
			return ZG_EXIT_USAGE;
		}
	}
	if (open_scanner(&run.scanner) < 0)
		return ZG_EXIT_USAGE;
	r = lines ? scan_lines(&run, file ? file : stdin) : scan_whole(&run, file ? file : stdin);
	if (r < 0)
		fprintf(stderr, "zerogate: %s: %s\n", name, strerror(-r));
	zg_scanner_free(run.scanner);
	zg_findings_release(&run.found);
	zg_buf_release(&run.out);
	if (r < 0 || run.failed)
		return ZG_EXIT_USAGE;
	return run.any ? ZG_EXIT_NO : ZG_EXIT_OK;
}
