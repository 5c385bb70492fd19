/* SPDX-License-Identifier: Apache-2.0 */
/*
 * learn.c - see learn.h. Trust: records are the ledger's, but paths, names and
 * process names in them are a workload's choice. Each is written as a quoted
 * string or with control characters made visible, so that none of them can
 * become an entry of its own.
 */
#include "learn.h"

#include <errno.h>
#include <jansson.h>

#include "buf.h"
#include "cli.h"
#include "hostname.h"
#include "zg_wire.h"

#define WHAT_LEN   256		       /* a host name, a path or a sentence */
#define GUESS_PORT 443		       /* of a name that was refused before anybody could dial */
#define NEED_ROOM  (UINT64_C(1) << 12) /* needs kept before the first look for equal ones */

enum list { LIST_ALLOW, LIST_LISTEN, LIST_NOTE };

enum kind { KIND_CIDR, KIND_HOST, KIND_UNIX, KIND_LISTEN, KIND_NOTE };

/* What makes an entry one that a person must think about first. */
enum care { CARE_NONE, CARE_CLOSED, CARE_PROCESS, CARE_LOCAL, CARE_DENIED, CARE_GUESS };

static const char *const cares[] = {
	[CARE_NONE] = "",
	[CARE_CLOSED] = "WARNING: hands out credentials or resolves names past the gate",
	[CARE_PROCESS] =
		"WARNING: whoever reaches this socket can start processes outside the gate",
	[CARE_LOCAL] = "WARNING: the name stood for a local address",
	[CARE_DENIED] = "a deny entry covers this: it wins until it is removed",
	[CARE_GUESS] = "asked for by name only: the port is a guess",
};

/* Compared member by member, in this order: equal ones are counted as one. */
struct need {
	char profile[ZG_NAME_LEN];
	enum list list;
	enum care care;
	enum kind kind;
	char what[WHAT_LEN];
	char proto[8];
	uint16_t port;
	uint16_t local_port; /* of a packet, until settle() */
	uint64_t count;
	char comm[ZG_COMM_LEN]; /* of the first */
};

struct zg_learn {
	const char *profile, *since;
	struct need *need;
	size_t count, room;
	char first[40], last[40]; /* times of the records that counted */
	uint64_t records;
};

static const char *const reasons[ZG_GR_MAX] = {
#define X(NAME, text) [ZG_GR_##NAME] = (text),
#include "tbl/gate_reason.h"
#undef X
};

enum name_reason {
#define X(NAME, text) NAME_##NAME,
#include "tbl/name_reason.h"
#undef X
	NAME_MAX_
};

static const char *const name_reasons[NAME_MAX_] = {
#define X(NAME, text) [NAME_##NAME] = (text),
#include "tbl/name_reason.h"
#undef X
};

struct zg_learn *zg_learn_new(const char *profile, const char *since)
{
	struct zg_learn *l = calloc(1, sizeof(*l));

	if (l) {
		l->profile = profile;
		l->since = since;
	}
	return l;
}

void zg_learn_free(struct zg_learn *l)
{
	if (l)
		free(l->need);
	free(l);
}

/* collecting ------------------------------------------------------------------- */

static int order(const void *a, const void *b)
{
	const struct need *x = a, *y = b;
	int c = strcmp(x->profile, y->profile);

	c = c ? c : (int)x->list - (int)y->list;
	c = c ? c : (int)x->care - (int)y->care;
	c = c ? c : (int)x->kind - (int)y->kind;
	c = c ? c : strcmp(x->what, y->what);
	c = c ? c : strcmp(x->proto, y->proto);
	c = c ? c : (int)x->port - (int)y->port;
	return c ? c : (int)x->local_port - (int)y->local_port;
}

/* Sorted, and each once. */
static void compact(struct zg_learn *l)
{
	size_t kept = 0;

	if (l->count)
		qsort(l->need, l->count, sizeof(*l->need), order);
	for (size_t i = 0; i < l->count; i++) {
		if (kept && order(&l->need[kept - 1], &l->need[i]) == 0)
			l->need[kept - 1].count += l->need[i].count;
		else
			l->need[kept++] = l->need[i];
	}
	l->count = kept;
}

static int add(struct zg_learn *l, const struct need *n)
{
	if (l->count == l->room) {
		compact(l);
		if (l->count >= l->room / 2) {
			size_t more = l->room ? 2 * l->room : NEED_ROOM;
			struct need *grown = reallocarray(l->need, more, sizeof(*grown));

			if (!grown)
				return -ENOMEM;
			l->need = grown;
			l->room = more;
		}
	}
	l->need[l->count++] = *n;
	return 0;
}

static const char *text_of(const json_t *o, const char *name)
{
	const char *text = json_string_value(json_object_get(o, name));

	return text ? text : "";
}

static size_t find_text(const char *const *table, size_t count, const char *text)
{
	size_t i = 0;

	while (i < count && strcmp(table[i], text) != 0)
		i++;
	return i;
}

static bool set_what(struct need *n, const char *text)
{
	return zg_str_cut(n->what, sizeof(n->what), zg_slice_str(text));
}

static void note(struct need *n, const char *text)
{
	n->list = LIST_NOTE;
	n->kind = KIND_NOTE;
	n->port = n->local_port = 0;
	n->proto[0] = '\0';
	(void)set_what(n, text);
}

static bool is_closed(const char *addr)
{
	for (size_t i = 0; i < zg_closed_addr_count; i++)
		if (strcmp(zg_closed_addrs[i].addr, addr) == 0)
			return true;
	return false;
}

static void need_address(struct need *n, const json_t *o)
{
	const char *addr = text_of(o, "address"), *names = text_of(o, "names");
	const char *end = strchrnul(names, ',');

	if (is_closed(addr))
		n->care = CARE_CLOSED;
	if (names[0] && n->care == CARE_NONE && (size_t)(end - names) < sizeof(n->what)) {
		n->kind = KIND_HOST;
		(void)zg_str_cut(n->what, sizeof(n->what),
				 (struct zg_slice){names, (size_t)(end - names)});
		return;
	}
	n->kind = KIND_CIDR;
	(void)snprintf(n->what, sizeof(n->what), "%s/%d", addr, strchr(addr, ':') ? 128 : 32);
}

static void need_unix(struct need *n, const json_t *o)
{
	const char *path = text_of(o, "path");
	size_t len = strlen(path);

	n->kind = KIND_UNIX;
	n->port = 0;
	n->proto[0] = '\0';
	if (!len || path[len - 1] == '*' || !set_what(n, path))
		note(n, "a unix socket whose name no entry can hold");
}

static void need_listen(struct need *n, const json_t *o, bool from_peer)
{
	const char *addr = text_of(o, "address");

	n->list = LIST_LISTEN;
	n->kind = KIND_LISTEN;
	if (from_peer) {
		n->port = n->local_port;
		(void)snprintf(n->what, sizeof(n->what), "%s/%d", addr,
			       strchr(addr, ':') ? 128 : 32);
	} else {
		n->what[0] = '\0'; /* the default: this machine */
	}
}

static void refused_by_gate(struct need *n, const json_t *o)
{
	size_t reason = find_text(reasons, ZG_GR_MAX, text_of(o, "reason"));
	bool tcp_or_udp = strcmp(n->proto, "tcp") == 0 || strcmp(n->proto, "udp") == 0;

	switch (reason) {
	case ZG_GR_RULE_DENY:
		n->care = CARE_DENIED;
		/* fall through */
	case ZG_GR_NO_IDENTITY:
	case ZG_GR_NO_RULE:
	case ZG_GR_PORT:
		if (tcp_or_udp && n->port)
			need_address(n, o);
		else
			note(n, "a protocol other than TCP and UDP");
		return;
	case ZG_GR_BIND:
	case ZG_GR_INBOUND:
		need_listen(n, o, reason == ZG_GR_INBOUND);
		return;
	case ZG_GR_UNIX_CONTROL:
		n->care = CARE_PROCESS;
		/* fall through */
	case ZG_GR_UNIX:
		need_unix(n, o);
		return;
	case ZG_GR_RESOLVER:
		note(n, "DNS: it is answered as soon as the profile has a host entry");
		return;
	default:
		note(n, text_of(o, "reason"));
		return;
	}
}

static void refused_name(struct need *n, const json_t *o)
{
	size_t reason = find_text(name_reasons, NAME_MAX_, text_of(o, "reason"));
	const char *name = text_of(o, "names");

	n->kind = KIND_HOST;
	n->port = GUESS_PORT;
	(void)zg_str_cut(n->proto, sizeof(n->proto), ZG_SLICE("tcp"));
	n->care = reason == NAME_DOH	  ? CARE_CLOSED
		  : reason == NAME_LOCAL  ? CARE_LOCAL
		  : reason == NAME_DENIED ? CARE_DENIED
					  : CARE_GUESS;
	if (reason != NAME_NOT_ALLOWED && n->care == CARE_GUESS)
		note(n, text_of(o, "reason"));
	else if (!zg_hostname_ok(zg_slice_str(name)) || !set_what(n, name))
		note(n, "a host name that is not an ordinary one");
}

static bool wanted(const struct zg_learn *l, const json_t *o)
{
	const char *profile = text_of(o, "profile");

	return profile[0] && profile[0] != '(' && (!l->profile || !strcmp(l->profile, profile)) &&
	       strcmp(text_of(o, "time"), l->since) >= 0;
}

static int take(struct zg_learn *l, const json_t *o)
{
	bool gate = strcmp(text_of(o, "kind"), "kernel.would_deny") == 0;
	struct need n = {.list = LIST_ALLOW, .count = 1};

	if ((!gate && strcmp(text_of(o, "kind"), "name.refuse") != 0) || !wanted(l, o))
		return 0;
	(void)zg_str_cut(n.profile, sizeof(n.profile), zg_slice_str(text_of(o, "profile")));
	(void)zg_str_cut(n.comm, sizeof(n.comm), zg_slice_str(text_of(o, "comm")));
	(void)zg_str_cut(n.proto, sizeof(n.proto), zg_slice_str(text_of(o, "protocol")));
	n.port = (uint16_t)json_integer_value(json_object_get(o, "port"));
	if (!json_object_get(o, "pid")) /* a packet: either end may have dialled */
		n.local_port = (uint16_t)json_integer_value(json_object_get(o, "local_port"));
	if (gate)
		refused_by_gate(&n, o);
	else
		refused_name(&n, o);
	if (!l->records++)
		(void)zg_str_cut(l->first, sizeof(l->first), zg_slice_str(text_of(o, "time")));
	(void)zg_str_cut(l->last, sizeof(l->last), zg_slice_str(text_of(o, "time")));
	return add(l, &n);
}

int zg_learn_line(struct zg_learn *l, struct zg_slice line)
{
	json_t *o = json_loadb(line.ptr, line.len, JSON_REJECT_DUPLICATES, NULL);
	int rc = json_is_object(o) ? take(l, o) : 0;

	json_decref(o);
	return rc;
}

static bool serves(const struct need *n, const struct need *listen, uint16_t port)
{
	return listen->list == LIST_LISTEN && listen->port == port &&
	       strcmp(listen->proto, n->proto) == 0 && strcmp(listen->profile, n->profile) == 0;
}

static const struct need *find_listen(const struct zg_learn *l, const struct need *n, uint16_t port,
				      bool from)
{
	for (size_t i = 0; i < l->count; i++)
		if (serves(n, &l->need[i], port) && (!from || l->need[i].what[0]))
			return &l->need[i];
	return NULL;
}

/* When all is known: a packet of a flow that came to a served port is no
 * dialling, and who has a known peer does not need the default ones. */
static void settle(struct zg_learn *l)
{
	size_t kept = 0;

	compact(l);
	for (size_t i = 0; i < l->count; i++) {
		struct need *n = &l->need[i];

		if (n->kind == KIND_CIDR && n->local_port &&
		    find_listen(l, n, n->local_port, false)) {
			n->list = LIST_LISTEN;
			n->kind = KIND_LISTEN;
			n->care = CARE_NONE;
			n->port = n->local_port;
		}
		n->local_port = 0;
	}
	for (size_t i = 0; i < l->count; i++) {
		const struct need *n = &l->need[i];

		if (n->kind != KIND_LISTEN || n->what[0] || !find_listen(l, n, n->port, true))
			l->need[kept++] = *n;
	}
	l->count = kept;
	compact(l);
}

/* printing --------------------------------------------------------------------- */

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

/* The ports of one entry, neighbours as a range; how many needs it took. What
 * is beyond the ranges that one address can have makes an entry of its own. */
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
static bool is_active(const struct need *n)
{
	return n->care == CARE_NONE || n->care == CARE_GUESS;
}

/* "allow:" or "listen:", as a comment if there are only comments below it. */
static void print_head(FILE *out, const struct need *n, size_t count)
{
	bool active = false;

	for (size_t i = 0; i < count && n[i].list == n->list; i++)
		active |= strcmp(n[i].profile, n->profile) == 0 && is_active(&n[i]);
	fprintf(out, "    %s%s:\n", active ? "" : "# ", n->list == LIST_ALLOW ? "allow" : "listen");
}

/* The entry that begins with n[0]; how many needs it took. */
static size_t print_entry(FILE *out, const struct need *n, size_t count)
{
	static const char *const keys[] = {[KIND_CIDR] = "cidr",
					   [KIND_HOST] = "host",
					   [KIND_UNIX] = "unix",
					   [KIND_LISTEN] = "from"};
	bool off = !is_active(n);
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
	if (n->care == CARE_LOCAL)
		fputs(", local: true", out);
	for (size_t i = 0; i < used; i++)
		times += n[i].count;
	fprintf(out, "} # %llu times", (unsigned long long)times);
	if (n->comm[0]) {
		fputs(", by ", out);
		zg_print_safe(out, n->comm);
	}
	if (n->care != CARE_NONE)
		fprintf(out, "; %s", cares[n->care]);
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

	settle(l);
	if (!l->count) {
		fputs("# nothing was recorded that a profile in audit mode would have been "
		      "refused\n",
		      out);
		return;
	}
	fprintf(out,
		"# What %llu recorded refusals of profiles in audit mode would need, from %s to "
		"%s.\n"
		"# Read it before you use it: whatever the profile did is in it. A line that\n"
		"# begins with # is not allowed by pasting this.\n"
		"profiles:\n",
		(unsigned long long)l->records, l->first, l->last);
	for (size_t i = 0; i < l->count;) {
		const struct need *n = &l->need[i];
		bool other = !before || strcmp(before->profile, n->profile) != 0;
		size_t same = 1;

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
			i += print_entry(out, n, same);
		}
	}
}
