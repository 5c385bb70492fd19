/* SPDX-License-Identifier: Apache-2.0 */
/*
 * check.c - zerogate policy check: is it valid, and what in it is most likely a
 * mistake (lint.h). Trust: as policy.c; with --pins, names of tools come from servers
 * and are shown with control characters made visible.
 */
#include "load.h"
#include "policy.h"

struct report {
	const struct zg_policy_args *args;
	struct zg_loaded loaded;
	struct zg_diag diag;
	struct zg_lint lint;
	struct zg_msg_ctl_pin *pin; /* the texts of seen */
	struct zg_lint_tool *seen;
	size_t seen_count;
	bool valid;
};

static void put_place(struct zg_buf *out, const char *file, uint32_t line, uint32_t column,
		      const char *what, const char *hint)
{
	zg_buf_str(out, "\"file\":");
	zg_buf_json(out, zg_slice_str(file));
	zg_buf_fmt(out, ",\"line\":%u,\"column\":%u,\"what\":", line, column);
	zg_buf_json(out, zg_slice_str(what));
	zg_buf_str(out, ",\"hint\":");
	zg_buf_json(out, zg_slice_str(hint));
	zg_buf_char(out, '}');
}

static void put_diag(struct zg_buf *out, const struct zg_diag *diag, bool notices)
{
	bool first = true;

	for (size_t i = 0; i < diag->kept; i++) {
		const struct zg_err *e = &diag->item[i];

		if (diag->notice[i] != notices)
			continue;
		zg_buf_str(out, first ? "{" : ",{");
		put_place(out, e->file, e->line, e->column, e->what, e->hint);
		first = false;
	}
}

static void put_findings(struct zg_buf *out, const struct zg_lint *l)
{
	for (size_t i = 0; i < l->kept; i++) {
		const struct zg_lint_item *f = &l->item[i];

		zg_buf_fmt(out, "%s{\"kind\":\"%s\",\"rule\":", i ? "," : "",
			   zg_lint_text(f->kind));
		zg_buf_json(out, zg_slice_str(f->rule));
		zg_buf_char(out, ',');
		put_place(out, f->file, f->line, f->column, f->what, f->hint);
	}
}

static bool print_json(const struct report *r)
{
	const struct zg_loaded *l = &r->loaded;
	zg_autobuf out = ZG_BUF(ZG_SNAPSHOT_BYTES);
	char id[65] = "";

	zg_buf_fmt(&out, "{\"valid\":%s", r->valid ? "true" : "false");
	if (r->valid) {
		zg_hex(id, l->id, sizeof(l->id));
		zg_buf_fmt(&out,
			   ",\"snapshot\":\"%s\",\"rules\":%zu,\"servers\":%zu,\"profiles\":%zu,"
			   "\"prefixes\":%zu,\"kernel_rules\":%zu",
			   id, l->counts.rules, l->counts.servers, l->counts.profiles,
			   l->counts.prefixes, l->counts.kernel_rules);
	}
	zg_buf_str(&out, ",\"errors\":[");
	put_diag(&out, &r->diag, false);
	zg_buf_str(&out, "],\"notices\":[");
	put_diag(&out, &r->diag, true);
	zg_buf_str(&out, "],\"findings\":[");
	put_findings(&out, &r->lint);
	zg_buf_str(&out, "]}\n");
	return zg_buf_ok(&out) && fwrite(out.ptr, 1, out.len, stdout) == out.len;
}

static void print_text(const struct report *r)
{
	const struct zg_loaded *l = &r->loaded;
	char id[65];

	zg_policy_print_diag(stderr, &r->diag);
	for (size_t i = 0; i < r->lint.kept; i++) {
		const struct zg_lint_item *f = &r->lint.item[i];

		fputs("notice: ", stderr);
		zg_print_safe(stderr, f->file);
		fprintf(stderr, ":%u:%u: %s", f->line, f->column, zg_lint_text(f->kind));
		fprintf(stderr, f->rule[0] ? " rule '%s': " : "%s: ", f->rule);
		zg_print_safe(stderr, f->what);
		fputs(" (", stderr);
		zg_print_safe(stderr, f->hint);
		fputs(")\n", stderr);
	}
	if (r->lint.count > r->lint.kept)
		fprintf(stderr, "... and %zu more\n", r->lint.count - r->lint.kept);
	if (!r->valid)
		return;
	zg_hex(id, l->id, sizeof(l->id));
	printf("%s: valid\n"
	       "  policy    %zu rules\n"
	       "  registry  %zu servers\n"
	       "  kernel    %zu profiles, %zu address blocks, %zu rules\n"
	       "  snapshot  %s\n",
	       r->args->config, l->counts.rules, l->counts.servers, l->counts.profiles,
	       l->counts.prefixes, l->counts.kernel_rules, id);
}

/* The tools that the agent has seen listed. 0, or an exit status after saying why. */
static int ask_pins(struct report *r)
{
	zg_autobuf rows = ZG_BUF(ZG_LINT_BYTES);
	struct zg_msg_ctl_pins_list want = {0};
	struct zg_msg m = {.fd = -1};
	struct zg_msg_ctl_pin p;
	int status = ZG_EXIT_DAEMON, rc;
	zg_autofd int sock = zg_ctl_connect(r->args->cli);

	if (sock < 0 || zg_ctl_request(sock, ZG_MSG_CTL_PINS_LIST, &want) < 0)
		return ZG_EXIT_DAEMON;
	while ((rc = zg_ctl_next(sock, &m, &status)) > 0) {
		memcpy(&p, m.body, sizeof(p));
		ZG_MSG_TEXT(p.server);
		ZG_MSG_TEXT(p.name);
		if (m.type == ZG_MSG_CTL_PIN && p.kind == ZG_PIN_TOOL)
			zg_buf_add(&rows, &p, sizeof(p));
		zg_msg_release(&m);
	}
	if (rc < 0 || status != ZG_EXIT_OK)
		return rc < 0 ? ZG_EXIT_DAEMON : status;
	r->seen_count = rows.len / sizeof(p);
	r->seen = calloc(r->seen_count + 1, sizeof(*r->seen));
	if (!r->seen || !zg_buf_ok(&rows)) {
		fputs("zerogate: out of memory\n", stderr);
		return ZG_EXIT_USAGE;
	}
	r->pin = (void *)rows.ptr;
	rows = ZG_BUF(0);
	for (size_t i = 0; i < r->seen_count; i++)
		r->seen[i] = (struct zg_lint_tool){zg_slice_str(r->pin[i].server),
						   zg_slice_str(r->pin[i].name)};
	return ZG_EXIT_OK;
}

int zg_policy_check_files(const struct zg_policy_args *a)
{
	struct report r = {.args = a};
	int status = a->pins ? ask_pins(&r) : ZG_EXIT_OK;

	if (status == ZG_EXIT_OK) {
		const struct zg_load_how how = {.is_signed = true,
						.lint = &r.lint,
						.seen = r.seen,
						.seen_count = r.seen_count};

		r.valid = zg_load_as(&r.loaded, a->config, &how, &r.diag) == 0;
		if (!r.valid || (a->strict && r.lint.count))
			status = ZG_EXIT_NO;
		if (!a->json)
			print_text(&r);
		else if (!print_json(&r))
			status = ZG_EXIT_USAGE;
	}
	free(r.seen);
	free(r.pin);
	zg_lint_release(&r.lint);
	zg_loaded_release(&r.loaded);
	zg_diag_release(&r.diag);
	return status;
}
