/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pin.c - see pin.h: the rules of pinning. Trust: names, texts and findings
 * are what a gateway says of a server's words; whether first use counts is the
 * registry's word, who accepts is the kernel's. Never parses a definition.
 */
#include "pin.h"

#include <errno.h>

#include "confusable.h"
#include "log.h"
#include "snapshot.h"

static uint64_t now_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

const char *zg_pin_kind_text(uint32_t kind)
{
	static const char *const text[ZG_PIN_KINDS] = {
		[ZG_PIN_TOOL] = "tool",		[ZG_PIN_PROMPT] = "prompt",
		[ZG_PIN_TEMPLATE] = "template", [ZG_PIN_INSTRUCTIONS] = "instructions",
		[ZG_PIN_IDENTITY] = "identity",
	};

	return kind < ZG_PIN_KINDS ? text[kind] : "unknown";
}

int zg_pins_registry(struct zg_pins *p, const struct zg_snapshot *s)
{
	struct zg_pin_server *servers = calloc(s->server_count + 1, sizeof(*servers));

	if (!servers)
		return -ENOMEM;
	for (size_t i = 0; i < s->server_count; i++) { /* sorted by id as they are */
		memcpy(servers[i].id, s->servers[i].id, sizeof(servers[i].id));
		servers[i].pinning = s->servers[i].pinning;
		servers[i].prefixed = s->servers[i].prefix[0] != '\0';
	}
	free(p->servers);
	p->servers = servers;
	p->server_count = s->server_count;
	return 0;
}

static int by_id(const void *key, const void *row)
{
	return strcmp(key, ((const struct zg_pin_server *)row)->id);
}

static const struct zg_pin_server *find_server(const struct zg_pins *p, const char *id)
{
	return p->server_count
		       ? bsearch(id, p->servers, p->server_count, sizeof(*p->servers), by_id)
		       : NULL;
}

/* evidence --------------------------------------------------------------------- */

static void describe(struct zg_record *r, enum zg_record_kind kind, const struct zg_pin *pin,
		     const char *what, const char *why)
{
	char message[ZG_TOOL_LEN + ZG_SERVER_LEN + 128];

	zg_record_init(r, kind);
	(void)snprintf(message, sizeof(message), "%s %s of %s %s", zg_pin_kind_text(pin->m.kind),
		       pin->m.name, pin->m.server, what);
	zg_record_str(r, ZG_RF_message, zg_slice_str(message));
	zg_record_str(r, ZG_RF_server, zg_slice_str(pin->m.server));
	zg_record_str(r, ZG_RF_tool, zg_slice_str(pin->m.name));
	zg_record_str(r, ZG_RF_definition, zg_slice_str(zg_pin_kind_text(pin->m.kind)));
	zg_record_bytes(r, ZG_RF_definition_sha256, pin->m.seen_sha256);
	zg_record_str(r, ZG_RF_reason, zg_slice_str(why));
}

static const char *const poison_text[] = {
#define X(NAME, text, patterns) text,
#include "tbl/poison.h"
#undef X
};

static void findings_text(uint32_t bits, const char *note, char *out, size_t size)
{
	zg_autobuf b = ZG_BUF(4096);

	for (unsigned i = 0; i < ZG_POISONS; i++)
		if (bits >> i & 1)
			zg_buf_fmt(&b, "%sit %s", b.len ? "; " : "", poison_text[i]);
	if (note[0])
		zg_buf_fmt(&b, "%s%s", b.len ? "; " : "", note);
	(void)zg_str_cut(out, size, zg_buf_slice(&b));
}

/* Evidence first, then the transaction. */
static int conclude(struct zg_pins *p, const struct zg_record *records, size_t n)
{
	int rc = n ? zg_trail_emit(p->trail, records, n) : 0;

	if (rc < 0) {
		zg_pins_rollback(p);
		return rc;
	}
	return zg_pins_commit(p);
}

/* other servers ---------------------------------------------------------------- */

/* The first of the names in a definition's prose that is another server's tool. */
static bool mentions(struct zg_pins *p, const char *server, const char *names, char *note,
		     size_t size)
{
	struct zg_slice rest = zg_slice_str(names);
	char other[ZG_SERVER_LEN], tool[ZG_TOOL_LEN], name[ZG_TOOL_LEN];

	while (rest.len) {
		const char *end = memchr(rest.ptr, ' ', rest.len);
		struct zg_slice one = {rest.ptr, end ? (size_t)(end - rest.ptr) : rest.len};

		rest.ptr += one.len + (end != NULL);
		rest.len -= one.len + (end != NULL);
		if (!one.len || !zg_str_cut(name, sizeof(name), one))
			continue;
		if (zg_pins_namesake(p, server, name, false, other, tool) == 0) {
			zg_autobuf b = ZG_BUF(1024);

			zg_buf_fmt(&b, "it speaks of %s, a tool of server %s", tool, other);
			(void)zg_str_cut(note, size, zg_buf_slice(&b));
			return true;
		}
	}
	return false;
}

void zg_pins_describe(struct zg_pins *p, struct zg_pin *pin)
{
	const struct zg_pin_server *own = find_server(p, pin->m.server), *theirs;
	char other[ZG_SERVER_LEN], tool[ZG_TOOL_LEN];
	zg_autobuf b = ZG_BUF(1024);

	if (pin->m.kind != ZG_PIN_TOOL || (own && own->prefixed) ||
	    zg_pins_namesake(p, pin->m.server, pin->skeleton, true, other, tool) < 0)
		return;
	theirs = find_server(p, other);
	if (theirs && theirs->prefixed)
		return;
	if (strcmp(tool, pin->m.name) == 0)
		zg_buf_fmt(&b, "%s%sserver %s has a tool of the same name", pin->m.note,
			   pin->m.note[0] ? "; " : "", other);
	else
		zg_buf_fmt(&b, "%s%sserver %s has a tool that can be taken for it: %s", pin->m.note,
			   pin->m.note[0] ? "; " : "", other, tool);
	(void)zg_str_cut(pin->m.note, sizeof(pin->m.note), zg_buf_slice(&b));
}

/* questions of gateways ---------------------------------------------------------- */

static void answer(struct zg_msg_pin_state *out, const struct zg_pin *pin)
{
	out->state = pin->m.state;
	out->hints = pin->pinned_hints;
	memcpy(out->sha256, pin->m.seen_sha256, sizeof(out->sha256));
}

/* Is this server's first list of that kind still being read? */
static int first_use(struct zg_pins *p, const char *server, uint32_t kind, bool *open)
{
	const struct zg_pin_server *s = find_server(p, server);
	uint64_t began, now = now_ms();
	bool over;
	int rc = zg_pins_listing(p, server, kind, &began, &over);

	if (rc == 0 && !began)
		rc = zg_pins_list(p, server, kind, now, false);
	*open = s && s->pinning == ZG_PINNING_FIRST_USE && !over &&
		(!began || (now >= began && now - began < ZG_PIN_FIRST_SEC * 1000));
	return rc;
}

static void pin_it(struct zg_pin *pin, uint32_t uid, const char *reason)
{
	pin->m.state = ZG_PS_PINNED;
	pin->m.pinned_ms = now_ms();
	pin->m.accepted_uid = uid;
	pin->pinned_hints = pin->seen_hints;
	memcpy(pin->m.pinned_sha256, pin->m.seen_sha256, sizeof(pin->m.pinned_sha256));
	(void)zg_str_cut(pin->m.reason, sizeof(pin->m.reason), zg_slice_str(reason));
}

/* What is known of the server's text from now on. */
static void see(struct zg_pins *p, struct zg_pin *pin, const struct zg_msg_pin_seen *q)
{
	uint64_t began;
	bool tools_known = false;

	memcpy(pin->m.seen_sha256, q->sha256, sizeof(pin->m.seen_sha256));
	pin->seen_hints = q->hints;
	pin->m.findings = q->findings;
	pin->m.note[0] = '\0';
	/* instructions come before the list that says which names are its own */
	if (zg_pins_listing(p, q->server, ZG_PIN_TOOL, &began, &tools_known) < 0)
		tools_known = false;
	if ((q->kind != ZG_PIN_INSTRUCTIONS || tools_known) &&
	    mentions(p, q->server, q->mentions, pin->m.note, sizeof(pin->m.note)))
		pin->m.findings |= ZG_POISON_BIT(MENTIONS);
	pin->m.seen_ms = now_ms();
}

static int store(struct zg_pins *p, const struct zg_pin *pin, const struct zg_msg_pin_seen *q,
		 struct zg_slice text, size_t cap)
{
	bool cut = q->bytes > cap || text.len < q->bytes || q->bytes == ZG_PIN_TEXT_BYTES;
	int rc = zg_pins_put(p, pin);

	if (text.len > cap)
		text.len = cap;
	if (rc == 0)
		rc = zg_pins_seen_text(p, pin, text, cut);
	if (rc == 0 && pin->m.state == ZG_PS_PINNED)
		rc = zg_pins_accept_text(p, pin);
	return rc;
}

/* The records of a definition as it was just seen. */
static size_t tell(struct zg_pins *p, const struct zg_pin *pin, bool fresh, struct zg_record r[3])
{
	char why[ZG_REASON_LEN];
	struct zg_pin shown = *pin;
	size_t n = 0;

	findings_text(pin->m.findings, pin->m.note, why, sizeof(why));
	if (pin->m.state == ZG_PS_PINNED)
		describe(&r[n++], ZG_RK_TOOL_PIN, pin, "is pinned, by first use", why);
	else
		describe(&r[n++], ZG_RK_TOOL_CHANGE, pin,
			 pin->m.state == ZG_PS_CHANGED	 ? "has changed and is withheld"
			 : pin->m.state == ZG_PS_FLAGGED ? "is flagged and withheld"
							 : "is new and withheld",
			 why);
	shown.m.note[0] = '\0';
	zg_pins_describe(p, &shown);
	if (fresh && shown.m.note[0])
		describe(&r[n++], ZG_RK_TOOL_INTERFERENCE, pin, "can be taken for another",
			 shown.m.note);
	if (pin->m.findings & ZG_POISON_NOTES)
		describe(&r[n++], ZG_RK_SERVER_MISMATCH, pin, "is not what the registry says", why);
	return n;
}

static int first_sight(struct zg_pins *p, const struct zg_msg_pin_seen *q, struct zg_slice text,
		       struct zg_pin *pin)
{
	struct zg_record r[3];
	uint64_t count = 0;
	bool open = false;
	int rc = zg_pins_count(p, q->server, &count);

	if (rc < 0)
		return rc;
	*pin = (struct zg_pin){.m.kind = q->kind, .m.accepted_uid = UINT32_MAX};
	memcpy(pin->m.server, q->server, sizeof(pin->m.server));
	memcpy(pin->m.name, q->name, sizeof(pin->m.name));
	zg_skeleton(pin->skeleton, sizeof(pin->skeleton), zg_slice_str(q->name));
	pin->m.state = ZG_PS_EXCESS;
	if (count >= ZG_PINS_SERVER_MAX)
		return 0; /* withheld, and not kept */
	see(p, pin, q);
	pin->m.first_ms = pin->m.seen_ms;
	rc = zg_pins_begin(p);
	if (rc == 0)
		rc = first_use(p, q->server, q->kind, &open);
	pin->m.state = pin->m.findings & ~ZG_POISON_NOTES ? ZG_PS_FLAGGED : ZG_PS_NEW;
	if (open && pin->m.state == ZG_PS_NEW)
		pin_it(pin, UINT32_MAX, "first use");
	if (rc == 0)
		rc = store(p, pin, q, text,
			   count < ZG_PINS_FULL_TEXT ? ZG_PIN_TEXT_BYTES : ZG_PIN_SHORT_TEXT);
	if (rc < 0) {
		zg_pins_rollback(p);
		return rc;
	}
	return conclude(p, r, tell(p, pin, true, r));
}

static int seen_again(struct zg_pins *p, const struct zg_msg_pin_seen *q, struct zg_slice text,
		      struct zg_pin *pin)
{
	const enum zg_pin_state before = (enum zg_pin_state)pin->m.state;
	bool accepted = pin->m.pinned_ms && memcmp(pin->m.pinned_sha256, q->sha256, 32) == 0;
	struct zg_record r[3];
	size_t n = 0;
	int rc;

	if (memcmp(pin->m.seen_sha256, q->sha256, sizeof(q->sha256)) == 0 &&
	    ((pin->m.findings ^ q->findings) & ZG_POISON_NOTES) == 0)
		return 0;
	see(p, pin, q);
	pin->m.state = accepted				    ? ZG_PS_PINNED
		       : pin->m.pinned_ms		    ? ZG_PS_CHANGED
		       : pin->m.findings & ~ZG_POISON_NOTES ? ZG_PS_FLAGGED
							    : ZG_PS_NEW;
	/* one that never rests is told of once: until it is accepted, or back */
	if (before == ZG_PS_PINNED && pin->m.state != ZG_PS_PINNED)
		n = tell(p, pin, false, r);
	else if (accepted && (pin->m.findings & ZG_POISON_NOTES))
		describe(&r[n++], ZG_RK_SERVER_MISMATCH, pin, "is not what the registry says", "");
	rc = zg_pins_begin(p);
	if (rc == 0)
		rc = store(p, pin, q, text, ZG_PIN_TEXT_BYTES);
	if (rc < 0) {
		zg_pins_rollback(p);
		return rc;
	}
	return conclude(p, r, n);
}

/* What is said of a name that was never in a list. */
static int unseen(struct zg_pins *p, const struct zg_msg_pin_seen *q, struct zg_msg_pin_state *out)
{
	const struct zg_pin_server *s = find_server(p, q->server);
	uint64_t began;
	bool over;
	int rc = zg_pins_listing(p, q->server, q->kind, &began, &over);

	out->state = rc == 0 && !over && s && s->pinning == ZG_PINNING_FIRST_USE ? ZG_PS_UNLISTED
										 : ZG_PS_UNKNOWN;
	return rc;
}

static int listed(struct zg_pins *p, const struct zg_msg_pin_seen *q, bool *news)
{
	uint64_t began;
	bool over;
	int rc = zg_pins_listing(p, q->server, q->kind, &began, &over);

	if (rc < 0 || over)
		return rc;
	rc = zg_pins_list(p, q->server, q->kind, began ? began : now_ms(), true);
	*news = rc == 0;
	return rc;
}

void zg_pins_question(struct zg_pins *p, const struct zg_msg_pin_seen *q, struct zg_slice text,
		      struct zg_msg_pin_state *out, bool *news)
{
	struct zg_pin pin;
	uint32_t before = ZG_PS_MORE;
	int rc;

	*out = (struct zg_msg_pin_state){.call = q->call, .kind = q->kind};
	memcpy(out->server, q->server, sizeof(out->server));
	memcpy(out->name, q->name, sizeof(out->name));
	*news = false;
	out->state = ZG_PS_UNAVAILABLE;
	if (p->trail->failed || q->kind >= ZG_PIN_KINDS)
		return;
	if (q->question == ZG_PQ_LISTED) {
		if (listed(p, q, news) == 0)
			out->state = ZG_PS_LISTED;
		return;
	}
	rc = zg_pins_get(p, q->server, q->kind, q->name, &pin);
	if (rc == 0)
		before = pin.m.state;
	if (q->question == ZG_PQ_ASK && rc == -ENOENT) {
		if (unseen(p, q, out) < 0)
			out->state = ZG_PS_UNAVAILABLE;
		return;
	}
	if (q->question == ZG_PQ_SEEN && rc == -ENOENT)
		rc = first_sight(p, q, text, &pin);
	else if (q->question == ZG_PQ_SEEN && rc == 0)
		rc = seen_again(p, q, text, &pin);
	if (rc < 0) {
		zg_log(ZG_LOG_ERR, "a definition could not be stored and is withheld: %s",
		       strerror(-rc));
		return;
	}
	answer(out, &pin);
	*news = before != pin.m.state;
}

/* people ------------------------------------------------------------------------- */

static int no(struct zg_msg_ctl_end *end, int error, const char *what, const char *hint)
{
	*end = (struct zg_msg_ctl_end){.error = -error, .exit = 1};
	(void)zg_str_cut(end->what, sizeof(end->what), zg_slice_str(what));
	(void)zg_str_cut(end->hint, sizeof(end->hint), zg_slice_str(hint));
	return -error;
}

static int may_trust(struct zg_pins *p, const struct zg_msg_ctl_pin_trust *t,
		     const struct zg_ctl_peer *peer, struct zg_pin *pin, struct zg_msg_ctl_end *end)
{
	int rc;

	if (peer->governed)
		return no(end, EPERM,
			  "not_authorised: a process in a governed cgroup cannot accept",
			  "accept from a session outside");
	if (!(peer->roles & ZG_ROLE_APPROVER))
		return no(end, EPERM, "not_authorised: only root and the approvers' group accept",
			  "ask to be added to the group that zerogate.yaml names under approvers");
	rc = zg_pins_get(p, t->server, t->kind, t->name, pin);
	if (rc == -ENOENT)
		return no(end, ENOENT, "not_found: no such definition was seen",
			  "zerogate servers pins");
	if (rc < 0)
		return no(end, -rc, "storage: the definitions cannot be read", "");
	if (memcmp(pin->m.seen_sha256, t->sha256, sizeof(t->sha256)) != 0)
		return no(end, ESTALE, "changed: the server has shown another one since",
			  "look at the difference again: zerogate servers diff");
	if (pin->m.state == ZG_PS_PINNED)
		return no(end, EALREADY, "already: it is accepted as it is", "");
	return 0;
}

int zg_pins_trust(struct zg_pins *p, const struct zg_msg_ctl_pin_trust *t,
		  const struct zg_ctl_peer *peer, struct zg_msg_pin_state *out,
		  struct zg_msg_ctl_end *end)
{
	struct zg_pin pin = {0};
	struct zg_record r;
	int rc = may_trust(p, t, peer, &pin, end);
	bool refused = rc < 0;

	if (refused) {
		pin.m.kind = t->kind;
		memcpy(pin.m.server, t->server, sizeof(pin.m.server));
		memcpy(pin.m.name, t->name, sizeof(pin.m.name));
		memcpy(pin.m.seen_sha256, t->sha256, sizeof(t->sha256));
	} else {
		pin_it(&pin, peer->uid, t->reason);
	}
	describe(&r, ZG_RK_TOOL_TRUST, &pin, refused ? "was not accepted" : "was accepted",
		 refused ? end->what : t->reason);
	zg_record_str(&r, ZG_RF_decision, refused ? ZG_SLICE("DENY") : ZG_SLICE("ALLOW"));
	ZG_REC_NUM(&r, approver_uid, peer->uid);
	ZG_REC_NUM(&r, approver_pid, peer->pid);
	if (refused) {
		if (zg_trail_emit(p->trail, &r, 1) < 0)
			zg_log(ZG_LOG_ERR, "a refused trust could not be recorded");
		return rc;
	}
	rc = zg_pins_begin(p);
	if (rc == 0)
		rc = zg_pins_put(p, &pin);
	if (rc == 0)
		rc = zg_pins_accept_text(p, &pin);
	if (rc < 0)
		zg_pins_rollback(p);
	else
		rc = conclude(p, &r, 1);
	if (rc < 0)
		return no(end, -rc, "storage: it could not be stored and does not hold",
			  "see zerogate status; is the disk full?");
	*out = (struct zg_msg_pin_state){.kind = pin.m.kind};
	memcpy(out->server, pin.m.server, sizeof(out->server));
	memcpy(out->name, pin.m.name, sizeof(out->name));
	answer(out, &pin);
	return 0;
}
