/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lint_calls.c - what calls there can be, as the registry and the classify rules have
 * it, and whether any of them meets a rule. Trust: parsed rules and entries. Where it
 * cannot be told (arguments, times, users) a condition counts as possible, so that
 * what is found holds.
 */
#include "lint_impl.h"
#include "lookup.h"

enum about { ABOUT_NONE = 0, ABOUT_TOOL, ABOUT_RESOURCE, ABOUT_PROMPT };

/* One sort of call to one server. */
struct call {
	const struct zg_lint_input *in;
	const struct zg_server_src *server;
	struct zg_slice method; /* a pattern, of an extension */
	bool from_server;
	enum about about;
	const struct zg_tool_src *class; /* NULL = nobody classified it */
	enum zg_action action;
	bool any_action;
	bool classify; /* classify rules have had their word */
};

static const struct {
	struct zg_slice text;
	bool from_server;
	enum zg_method_class class;
} methods[] = {
#define CLIENT			   false
#define BOTH			   false
#define SERVER			   true
#define X(text, asker, class, era) {{"" text, sizeof(text) - 1}, asker, ZG_METHOD_##class},
#include "tbl/mcp_method.h"
#undef X
#undef SERVER
#undef BOTH
#undef CLIENT
};

static const struct {
	const char *method;
	enum about about;
} abouts[] = {
	{"tools/call", ABOUT_TOOL},
	{"resources/read", ABOUT_RESOURCE},
	{"resources/subscribe", ABOUT_RESOURCE},
	{"resources/unsubscribe", ABOUT_RESOURCE},
	{"prompts/get", ABOUT_PROMPT},
};

static bool any_meets(const struct zg_texts *values, struct zg_slice with)
{
	for (size_t i = 0; i < values->count; i++)
		if (zg_patterns_meet(values->item[i], with))
			return true;
	return false;
}

static const struct zg_tool_src *classes_of(const struct zg_server_src *s, enum about about,
					    size_t *count)
{
	*count = about == ABOUT_TOOL	   ? s->tool_count
		 : about == ABOUT_RESOURCE ? s->resource_count
		 : about == ABOUT_PROMPT   ? s->prompt_count
					   : 0;
	return about == ABOUT_TOOL ? s->tools : about == ABOUT_RESOURCE ? s->resources : s->prompts;
}

/* The class of a name: exact, else the longest pattern. */
static const struct zg_tool_src *resolve(const struct zg_server_src *s, enum about about,
					 struct zg_slice name)
{
	const struct zg_tool_src *best = NULL;
	size_t count;
	const struct zg_tool_src *class = classes_of(s, about, &count);

	for (size_t i = 0; i < count; i++) {
		if (!zg_star_match(class[i].pattern, name))
			continue;
		if (!zg_is_glob(class[i].pattern))
			return &class[i];
		if (!best || class[i].pattern.len > best->pattern.len)
			best = &class[i];
	}
	return best;
}

/* Does some registered server have a tool that this may name? */
static bool is_tool(const struct zg_lint_input *in, struct zg_slice value)
{
	for (size_t i = 0; i < in->server_count; i++)
		for (size_t j = 0; j < in->server[i].entry->tool_count; j++)
			if (zg_patterns_meet(value, in->server[i].entry->tools[j].pattern))
				return true;
	return false;
}

/* mcp.tool, mcp.resource, mcp.prompt: may what the call is about have such a name? */
static bool name_possible(const struct call *c, const struct zg_texts *values, bool tool_label)
{
	size_t count;
	const struct zg_tool_src *class = classes_of(c->server, c->about, &count);

	for (size_t i = 0; i < values->count; i++) {
		const struct zg_slice v = values->item[i];
		bool covered = false;

		/* whoever names a tool does not mean a prompt that is called like it */
		if (tool_label && c->about != ABOUT_TOOL && v.ptr[0] != '*' && is_tool(c->in, v))
			continue;
		if (!zg_is_glob(v)) {
			if (resolve(c->server, c->about, v) == c->class)
				return true;
			continue;
		}
		if (c->class && zg_patterns_meet(v, c->class->pattern))
			return true;
		for (size_t j = 0; j < count; j++)
			covered = covered || zg_star_match(class[j].pattern, v);
		if (!c->class && !covered)
			return true;
	}
	return false;
}

static const struct zg_label_src *label_of(const struct zg_labels_src *l, struct zg_slice key)
{
	for (size_t i = 0; i < l->count; i++)
		if (zg_slice_eq(l->item[i].key, key))
			return &l->item[i];
	return NULL;
}

static bool classify_labels(const struct call *c, const struct zg_cond_src *cond)
{
	const struct zg_label_src *l;

	for (const struct zg_class_src *k = c->in->policy->classes; c->classify && k; k = k->next) {
		l = label_of(&k->labels, cond->key);
		if (l && any_meets(&cond->values, l->value))
			return true;
	}
	return false;
}

static bool action_possible(const struct call *c, const struct zg_cond_src *cond)
{
	static const struct zg_slice text[] = {
		[ZG_ACTION_WRITE] = {"write", 5}, [ZG_ACTION_READ] = {"read", 4}};

	for (const struct zg_class_src *k = c->in->policy->classes; c->classify && k; k = k->next)
		if (k->has_action && any_meets(&cond->values, text[k->action]))
			return true;
	return any_meets(&cond->values, text[c->action]) ||
	       (c->any_action && any_meets(&cond->values, text[ZG_ACTION_READ]));
}

static bool label_possible(const struct call *c, const struct zg_cond_src *cond)
{
	const struct zg_slice key = cond->key;
	const struct zg_label_src *l;

	if (zg_slice_eq(key, ZG_SLICE("mcp.server")))
		return any_meets(&cond->values, c->server->id);
	if (zg_slice_eq(key, ZG_SLICE("mcp.method")))
		return any_meets(&cond->values, c->method);
	if (zg_slice_eq(key, ZG_SLICE("mcp.action")))
		return action_possible(c, cond);
	if (zg_slice_eq(key, ZG_SLICE("mcp.direction")))
		return c->from_server;
	if (zg_slice_eq(key, ZG_SLICE("mcp.subject")))
		return true;
	if (zg_slice_eq(key, ZG_SLICE("mcp.tool")))
		return name_possible(c, &cond->values, true);
	if (zg_slice_eq(key, ZG_SLICE("mcp.resource")))
		return c->about == ABOUT_RESOURCE && name_possible(c, &cond->values, false);
	if (zg_slice_eq(key, ZG_SLICE("mcp.prompt")))
		return c->about == ABOUT_PROMPT && name_possible(c, &cond->values, false);
	if (classify_labels(c, cond))
		return true;
	l = c->class ? label_of(&c->class->labels, key) : NULL;
	if (!l)
		l = label_of(&c->server->labels, key);
	return l && any_meets(&cond->values, l->value);
}

static bool tag_in(const struct zg_texts *tags, const struct zg_cond_src *cond)
{
	for (size_t i = 0; i < tags->count; i++)
		for (size_t j = 0; j < cond->values.count; j++)
			if (zg_slice_eq(tags->item[i], cond->values.item[j]))
				return true;
	return false;
}

static bool tag_possible(const struct call *c, const struct zg_cond_src *cond)
{
	for (const struct zg_class_src *k = c->in->policy->classes; c->classify && k; k = k->next)
		if (tag_in(&k->risk_tags, cond))
			return true;
	return tag_in(c->class && c->class->has_risk_tags ? &c->class->risk_tags
							  : &c->server->risk_tags,
		      cond);
}

static bool profile_possible(const struct call *c, const struct zg_cond_src *cond)
{
	for (size_t i = 0; i < c->server->profile_count; i++) {
		const size_t n = c->server->profiles[i] - ZG_PROFILE_FIRST;

		if (n < c->in->profile_count && any_meets(&cond->values, c->in->profile[n]))
			return true;
	}
	return false;
}

static bool possible(const struct call *c, const struct zg_cond_src *cond)
{
	if (cond->kind == ZG_CK_LABEL)
		return label_possible(c, cond);
	if (cond->kind == ZG_CK_RISK_TAG)
		return tag_possible(c, cond);
	return cond->kind != ZG_CK_FACT || cond->fact != ZG_FACT_PROFILE ||
	       profile_possible(c, cond);
}

/* All of the conditions, or the one of them that is asked for. */
struct question {
	const struct zg_conds_src *conds;
	size_t only; /* SIZE_MAX = all */
};

static bool answers(const struct call *c, const struct question *q)
{
	for (size_t i = 0; i < q->conds->count; i++)
		if ((q->only == SIZE_MAX || q->only == i) && !possible(c, &q->conds->item[i]))
			return false;
	return true;
}

/* A method, with each class that what it is about may have. */
static bool ask_method(struct call *c, bool trusts, enum zg_method_class class,
		       const struct question *q)
{
	const struct zg_tool_src *known;
	size_t count;

	c->about = ABOUT_NONE;
	for (size_t i = 0; i < ZG_COUNT(abouts); i++)
		if (zg_slice_eq(c->method, zg_slice_str(abouts[i].method)))
			c->about = abouts[i].about;
	known = classes_of(c->server, c->about, &count);
	c->class = NULL;
	c->action = class == ZG_METHOD_READ ? ZG_ACTION_READ : ZG_ACTION_WRITE;
	c->any_action = class == ZG_METHOD_TOOL && trusts;
	if (answers(c, q))
		return true;
	c->any_action = false;
	for (size_t i = 0; i < count; i++) {
		c->class = &known[i];
		c->action = known[i].action;
		if (answers(c, q))
			return true;
	}
	return false;
}

static bool ask_server(const struct zg_lint_input *in, const struct zg_lint_server *s,
		       bool classify, const struct question *q)
{
	struct call c = {.in = in, .server = s->entry, .classify = classify};

	for (size_t i = 0; i < ZG_COUNT(methods); i++) {
		c.method = methods[i].text;
		c.from_server = methods[i].from_server;
		if (ask_method(&c, s->trusts, methods[i].class, q))
			return true;
	}
	for (size_t i = 0; i < s->entry->method_count; i++) {
		c = (struct call){.in = in,
				  .server = s->entry,
				  .classify = classify,
				  .class = &s->entry->methods[i],
				  .method = s->entry->methods[i].pattern,
				  .action = s->entry->methods[i].action};
		if (answers(&c, q))
			return true;
	}
	return false;
}

static bool ask(const struct zg_lint_input *in, bool classify, const struct zg_conds_src *conds,
		size_t only)
{
	const struct question q = {conds, only};

	for (size_t i = 0; i < in->server_count; i++)
		if (in->server[i].called && ask_server(in, &in->server[i], classify, &q))
			return true;
	return false;
}

/* --- what is said of it ------------------------------------------------------- */

static void unreachable(struct zg_lint *l, const struct zg_lint_rule *of,
			const struct zg_cond_src *c)
{
	const struct zg_slice value = c->values.count ? c->values.item[0] : ZG_SLICE("");
	const char *more = c->values.count > 1 ? ", nor like the others" : "";
	char what[ZG_REASON_LEN], hint[ZG_REASON_LEN];

	(void)snprintf(hint, sizeof(hint),
		       "correct it, or say so in a registry entry or a classify rule");
	if (c->kind == ZG_CK_RISK_TAG) {
		(void)snprintf(what, sizeof(what), "no call has the risk tag '%.*s'%s",
			       ZG_FMT(value), c->values.count > 1 ? ", or one of the others" : "");
	} else if (c->kind == ZG_CK_FACT) {
		(void)snprintf(what, sizeof(what),
			       "no profile that may use a server is named '%.*s'%s", ZG_FMT(value),
			       more);
		(void)snprintf(hint, sizeof(hint),
			       "profiles and their servers stand in zerogate.yaml");
	} else if (zg_slice_eq(c->key, ZG_SLICE("mcp.server"))) {
		(void)snprintf(what, sizeof(what), "no registered server is named '%.*s'%s",
			       ZG_FMT(value), more);
		(void)snprintf(hint, sizeof(hint),
			       "correct it, or remove it: servers that nobody registered are "
			       "denied before any rule is read");
	} else {
		(void)snprintf(what, sizeof(what), "no call has the label '%.*s' with '%.*s'%s",
			       ZG_FMT(c->key), ZG_FMT(value),
			       c->values.count > 1 ? ", or another of its values" : "");
	}
	zg_lint_add(l, ZG_LINT_UNREACHABLE, of, c, what, hint);
}

static const struct zg_cond_src *label_cond(const struct zg_conds_src *conds, struct zg_slice key)
{
	for (size_t i = 0; i < conds->count; i++)
		if (conds->item[i].kind == ZG_CK_LABEL && zg_slice_eq(conds->item[i].key, key))
			return &conds->item[i];
	return NULL;
}

static bool known_to(const struct zg_lint_input *in, const struct zg_server_src *s,
		     struct zg_slice v)
{
	const enum about about[] = {ABOUT_TOOL, ABOUT_RESOURCE, ABOUT_PROMPT};

	for (size_t a = 0; a < ZG_COUNT(about); a++) {
		size_t count;
		const struct zg_tool_src *class = classes_of(s, about[a], &count);

		for (size_t i = 0; i < count; i++)
			if (zg_patterns_meet(class[i].pattern, v))
				return true;
	}
	for (size_t i = 0; i < in->seen_count; i++)
		if (zg_slice_eq(in->seen[i].server, s->id) && zg_patterns_meet(v, in->seen[i].tool))
			return true;
	return false;
}

/* Names of tools of which no entry has heard. A server whose tools nobody classified
 * may have any. */
static void check_tool(struct zg_lint *l, const struct zg_lint_input *in,
		       const struct zg_lint_rule *of)
{
	static const char *const others[] = {"mcp.method", "mcp.direction", "mcp.resource",
					     "mcp.prompt"};
	const struct zg_cond_src *tool = label_cond(of->match, ZG_SLICE("mcp.tool"));
	const struct zg_cond_src *server = label_cond(of->match, ZG_SLICE("mcp.server"));
	char what[ZG_REASON_LEN];

	for (size_t i = 0; i < ZG_COUNT(others); i++)
		if (label_cond(of->match, zg_slice_str(others[i])))
			return; /* then it need not be a tool */
	for (size_t v = 0; tool && v < tool->values.count; v++) {
		const struct zg_slice value = tool->values.item[v];

		if (value.ptr[0] == '*' || (value.len && memchr(value.ptr, ':', value.len)))
			return; /* of any name; a URI */
		for (size_t i = 0; i < in->server_count; i++) {
			const struct zg_server_src *s = in->server[i].entry;

			if (!in->server[i].called || (server && !any_meets(&server->values, s->id)))
				continue;
			if (!s->tool_count || known_to(in, s, value))
				return;
		}
	}
	if (!tool)
		return;
	(void)snprintf(what, sizeof(what), "no registered server has a tool named '%.*s'%s",
		       ZG_FMT(tool->values.item[0]),
		       tool->values.count > 1 ? ", nor like the others" : "");
	zg_lint_add(l, ZG_LINT_UNREACHABLE, of, tool, what,
		    "correct it, or classify the tool in the server's registry entry");
}

void zg_lint_reach(struct zg_lint *l, const struct zg_lint_input *in, const struct zg_lint_rule *of)
{
	const bool rule = of->rule != NULL;

	if (!in->server_count)
		return;
	if (ask(in, rule, of->match, SIZE_MAX)) {
		check_tool(l, in, of);
		return;
	}
	for (size_t i = 0; i < of->match->count; i++)
		if (!ask(in, rule, of->match, i)) {
			unreachable(l, of, &of->match->item[i]);
			return;
		}
	zg_lint_add(l, ZG_LINT_CONTRADICTORY, of, NULL,
		    "its conditions cannot hold together: as the registry has it, no call meets "
		    "them all",
		    "compare the actions, labels and tags of the servers and tools that it names "
		    "(zerogate servers show)");
}

/* --- tools that nobody classified ------------------------------------------------ */

/* May a classify rule say what this is? */
static bool classified(const struct zg_lint_input *in, const struct zg_server_src *s,
		       const struct zg_slice *tool)
{
	for (const struct zg_class_src *k = in->policy->classes; k; k = k->next) {
		const struct zg_cond_src *server = label_cond(&k->match, ZG_SLICE("mcp.server"));
		const struct zg_cond_src *name = label_cond(&k->match, ZG_SLICE("mcp.tool"));

		if (k->has_action && (!server || any_meets(&server->values, s->id)) &&
		    (!tool || !name || any_meets(&name->values, *tool)))
			return true;
	}
	return false;
}

static void check_server(struct zg_lint *l, const struct zg_lint_input *in,
			 const struct zg_lint_server *s)
{
	const struct zg_lint_rule at = {.file = s->file, .line = 1, .column = 1};
	char what[ZG_REASON_LEN];
	bool seen = false;

	for (size_t i = 0; i < in->seen_count; i++) {
		const struct zg_slice tool = in->seen[i].tool;

		if (!zg_slice_eq(in->seen[i].server, s->entry->id))
			continue;
		seen = true;
		if (resolve(s->entry, ABOUT_TOOL, tool) || classified(in, s->entry, &tool))
			continue;
		(void)snprintf(what, sizeof(what),
			       "nobody classified tool '%.*s' of server '%.*s': it counts as a "
			       "write",
			       ZG_FMT(tool), ZG_FMT(s->entry->id));
		zg_lint_add(l, ZG_LINT_UNCLASSIFIED, &at, NULL, what,
			    "say in the entry's \"tools\" whether it reads or writes");
	}
	if (seen || s->entry->tool_count || classified(in, s->entry, NULL))
		return;
	(void)snprintf(what, sizeof(what),
		       "nobody classified the tools of server '%.*s': all of them count as writes",
		       ZG_FMT(s->entry->id));
	zg_lint_add(l, ZG_LINT_UNCLASSIFIED, &at, NULL, what,
		    "say in the entry's \"tools\" which of them read");
}

void zg_lint_classes(struct zg_lint *l, const struct zg_lint_input *in)
{
	for (size_t i = 0; i < in->server_count; i++)
		if (in->server[i].called && !in->server[i].trusts)
			check_server(l, in, &in->server[i]);
}
