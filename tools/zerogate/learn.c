/* SPDX-License-Identifier: Apache-2.0 */
/*
 * learn.c - see learn.h: what was refused, counted. Trust: records are the
 * ledger's; what a workload chose in them is only ever compared and kept.
 */
#include "learn_impl.h"

#include <errno.h>
#include <jansson.h>

#include "hostname.h"

#define GUESS_PORT 443		       /* of a name that was refused before anybody could dial */
#define NEED_ROOM  (UINT64_C(1) << 12) /* needs kept before the first look for equal ones */

static const char *const reasons[ZG_GR_MAX] = {
#define X(NAME, text) [ZG_GR_##NAME] = (text),
#include "tbl/gate_reason.h"
#undef X
};

static const char *const name_reasons[ZG_NR_MAX] = {
	[ZG_NR_NONE] = "",
#define X(NAME, text) [ZG_NR_##NAME] = (text),
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
	size_t reason = find_text(name_reasons, ZG_NR_MAX, text_of(o, "reason"));
	const char *name = text_of(o, "names");

	n->kind = KIND_HOST;
	n->port = GUESS_PORT;
	/* those that were not told one by one */
	n->count += (uint64_t)json_integer_value(json_object_get(o, "count"));
	(void)zg_str_cut(n->proto, sizeof(n->proto), ZG_SLICE("tcp"));
	n->care = reason == ZG_NR_DOH	   ? CARE_CLOSED
		  : reason == ZG_NR_LOCAL  ? CARE_LOCAL
		  : reason == ZG_NR_DENIED ? CARE_DENIED
					   : CARE_GUESS;
	if (reason != ZG_NR_NOT_ALLOWED && n->care == CARE_GUESS)
		note(n, text_of(o, "reason"));
	else if (!zg_hostname_ok(zg_slice_str(name)) || !set_what(n, name))
		note(n, "a host name that is not an ordinary one");
}

/* What was let pass and recorded: of the gate, or a name that was answered. */
static bool would_refuse(const json_t *o)
{
	const char *kind = text_of(o, "kind");

	return strcmp(kind, "kernel.would_deny") == 0 ||
	       (strcmp(kind, "name.refuse") == 0 && strcmp(text_of(o, "outcome"), "answered") == 0);
}

static bool wanted(const struct zg_learn *l, const json_t *o)
{
	const char *profile = text_of(o, "profile");

	return profile[0] && profile[0] != '(' && (!l->profile || !strcmp(l->profile, profile)) &&
	       strcmp(text_of(o, "time"), l->since) >= 0;
}

static int take(struct zg_learn *l, const json_t *o)
{
	struct need n = {.list = LIST_ALLOW, .count = 1};

	if (!would_refuse(o) || !wanted(l, o))
		return 0;
	(void)zg_str_cut(n.profile, sizeof(n.profile), zg_slice_str(text_of(o, "profile")));
	(void)zg_str_cut(n.comm, sizeof(n.comm), zg_slice_str(text_of(o, "comm")));
	(void)zg_str_cut(n.proto, sizeof(n.proto), zg_slice_str(text_of(o, "protocol")));
	n.port = (uint16_t)json_integer_value(json_object_get(o, "port"));
	if (!json_object_get(o, "pid")) /* a packet: either end may have dialled */
		n.local_port = (uint16_t)json_integer_value(json_object_get(o, "local_port"));
	if (strcmp(text_of(o, "kind"), "name.refuse") == 0)
		refused_name(&n, o);
	else
		refused_by_gate(&n, o);
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

/* Was the name dialled too, so that its ports are known? */
static bool is_dialled(const struct zg_learn *l, const struct need *name)
{
	for (size_t i = 0; i < l->count; i++)
		if (l->need[i].kind == KIND_HOST && l->need[i].care == CARE_NONE &&
		    strcmp(l->need[i].what, name->what) == 0 &&
		    strcmp(l->need[i].profile, name->profile) == 0)
			return true;
	return false;
}

void zg_learn_settle(struct zg_learn *l)
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
		bool vague = (n->kind == KIND_LISTEN && !n->what[0] &&
			      find_listen(l, n, n->port, true)) ||
			     (n->care == CARE_GUESS && is_dialled(l, n));

		if (!vague)
			l->need[kept++] = *n;
	}
	l->count = kept;
	compact(l);
}
