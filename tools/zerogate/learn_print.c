/* SPDX-License-Identifier: Apache-2.0 */
/*
 * learn_print.c - see learn.h: the YAML. Trust: paths, names and process names
 * are a workload's choice. Each is written as a quoted string or with control
 * characters made visible, so that none of them can become an entry of its own.
 */
#include "buf.h"
#include "cli.h"
#include "learn_impl.h"

static const char *const cares[] = {
	[CARE_NONE] = "",
	[CARE_CLOSED] = "WARNING: hands out credentials or resolves names past the gate",
	[CARE_PROCESS] =
		"WARNING: whoever reaches this socket can start processes outside the gate",
	[CARE_LOCAL] = "WARNING: the name stood for a local address",
	[CARE_DENIED] = "a deny entry covers this: it wins until it is removed",
	[CARE_RANGES] = "more port ranges than one address can have: widen one of those above",
	[CARE_GUESS] = "asked for by name only: the port is a guess",
};

static bool same_entry(const struct need *a, const struct need *b)
{
	return a->list == b->list && a->care == b->care && a->kind == b->kind &&
	       strcmp(a->profile, b->profile) == 0 && strcmp(a->what, b->what) == 0 &&
	       strcmp(a->proto, b->proto) == 0;
}

static void print_quoted(FILE *out, const char *text)
{
	zg_autobuf b = ZG_BUF(8 * WHAT_LEN);

	zg_buf_json(&b, zg_slice_str(text));
	if (zg_buf_ok(&b))
		(void)fwrite(b.ptr, 1, b.len, out);
}

/* The ports of one entry, neighbours as a range; how many needs it took: no
 * more than the ranges that one address can have. */
static size_t print_ports(FILE *out, const struct need *n, size_t count)
{
	const char *between = "";
	size_t at = 0;

	fputs("port: [", out);
	for (size_t ranges = 0; at < count && ranges < ZG_PORT_RULES_MAX; ranges++) {
		size_t first = at++;

		while (at < count && n[at].port == n[at - 1].port + 1)
			at++;
		if (at - first == 1)
			fprintf(out, "%s%u", between, n[first].port);
		else
			fprintf(out, "%s\"%u-%u\"", between, n[first].port, n[at - 1].port);
		between = ", ";
	}
	putc(']', out);
	return at;
}

/* Would pasting it allow something? */
static bool is_active(enum care care)
{
	return care == CARE_NONE || care == CARE_GUESS;
}

/* "allow:" or "listen:", as a comment if there are only comments below it. */
static void print_head(FILE *out, const struct need *n, size_t count)
{
	bool active = false;

	for (size_t i = 0; i < count && n[i].list == n->list; i++)
		active |= strcmp(n[i].profile, n->profile) == 0 && is_active(n[i].care);
	fprintf(out, "    %s%s:\n", active ? "" : "# ", n->list == LIST_ALLOW ? "allow" : "listen");
}

/* The entry that begins with n[0]; how many needs it took. */
static size_t print_entry(FILE *out, const struct need *n, size_t count, enum care care)
{
	static const char *const keys[] = {[KIND_CIDR] = "cidr",
					   [KIND_HOST] = "host",
					   [KIND_UNIX] = "unix",
					   [KIND_LISTEN] = "from"};
	bool off = !is_active(care);
	uint64_t times = 0;
	size_t used = 1;

	fprintf(out, "      %s- {", off ? "# " : "");
	if (n->what[0]) {
		fprintf(out, "%s: ", keys[n->kind]);
		print_quoted(out, n->what);
	}
	if (n->kind != KIND_UNIX) {
		fputs(n->what[0] ? ", " : "", out);
		used = print_ports(out, n, count);
	}
	if (strcmp(n->proto, "udp") == 0)
		fputs(", proto: udp", out);
	if (care == CARE_LOCAL)
		fputs(", local: true", out);
	for (size_t i = 0; i < used; i++)
		times += n[i].count;
	fprintf(out, "} # %llu times", (unsigned long long)times);
	if (n->comm[0]) {
		fputs(", by ", out);
		zg_print_safe(out, n->comm);
	}
	if (care != CARE_NONE)
		fprintf(out, "; %s", cares[care]);
	putc('\n', out);
	return used;
}

static void print_note(FILE *out, const struct need *n)
{
	fprintf(out, "    # no entry can allow %llu refusals", (unsigned long long)n->count);
	if (n->comm[0]) {
		fputs(" of ", out);
		zg_print_safe(out, n->comm);
	}
	fputs(": ", out);
	zg_print_safe(out, n->what);
	putc('\n', out);
}

void zg_learn_print(struct zg_learn *l, FILE *out)
{
	const struct need *before = NULL;

	zg_learn_settle(l);
	if (!l->count) {
		fputs("# nothing was recorded that a profile in audit mode would have been "
		      "refused\n",
		      out);
		return;
	}
	fprintf(out, "# What %llu recorded refusals of profiles in audit mode would need, from ",
		(unsigned long long)l->records);
	zg_print_safe(out, l->first);
	fputs(" to ", out);
	zg_print_safe(out, l->last);
	fputs(".\n"
	      "# Read it before you use it: whatever the profile did is in it. A line that\n"
	      "# begins with # is not allowed by pasting this.\n"
	      "profiles:\n",
	      out);
	for (size_t i = 0; i < l->count;) {
		const struct need *n = &l->need[i];
		bool other = !before || strcmp(before->profile, n->profile) != 0;
		size_t same = 1, used;

		if (other) {
			fputs("  ", out);
			print_quoted(out, n->profile);
			fputs(":\n", out);
		}
		if (n->list != LIST_NOTE && (other || before->list != n->list))
			print_head(out, n, l->count - i);
		while (i + same < l->count && same_entry(n, n + same))
			same++;
		before = n;
		if (n->list == LIST_NOTE) {
			print_note(out, n);
			i++;
		} else {
			used = print_entry(out, n, same, n->care);
			for (i += used, same -= used; same; i += used, same -= used)
				used = print_entry(out, &l->need[i], same, CARE_RANGES);
		}
	}
}
