/* SPDX-License-Identifier: Apache-2.0 */
/*
 * listen.c - the ports that a profile serves on, and who may dial them. Trust:
 * as settings.c. Each address block of an entry becomes an entry of its own.
 */
#include "settings.h"

#include <errno.h>

struct listen_ctx {
	struct zg_entry *e;	    /* ports and protocols */
	const struct zg_yaml *from; /* NULL: loopback */
};

static void parse_port(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	(void)zg_entry_ports(ctx, y, ((struct listen_ctx *)into)->e);
}

static void parse_proto(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	(void)zg_entry_protos(ctx, y, ((struct listen_ctx *)into)->e);
}

static void parse_from(const struct zg_yaml_ctx *ctx ZG_UNUSED, const struct zg_yaml *y, void *into)
{
	((struct listen_ctx *)into)->from = y;
}

static const struct zg_yaml_field fields[] = {
	{"port", parse_port, true},
	{"proto", parse_proto, false},
	{"from", parse_from, false},
};

static void parse_one(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y,
		      struct zg_profile_src *p)
{
	static struct zg_slice loopback[] = {{"127.0.0.0/8", 11}, {"::1/128", 7}};
	struct zg_entry shared = {
		.inbound = true, .tcp = true, .line = y->line, .column = y->column};
	struct zg_texts from = {loopback, ZG_COUNT(loopback)};
	struct listen_ctx in = {.e = &shared};
	struct zg_entry *e;

	if (!zg_yaml_map(ctx, y, "a listen entry", fields, ZG_COUNT(fields), &in) ||
	    (in.from && !zg_yaml_texts(ctx, in.from, &from)))
		return;
	e = zg_arena_alloc(ctx->arena, from.count * sizeof(*e));
	if (!e) {
		zg_yaml_error(ctx, y, "the file needs too much memory");
		return;
	}
	for (size_t i = 0; i < from.count; i++, e++) {
		*e = shared;
		if (!zg_entry_block(ctx, in.from ? in.from : y, from.item[i], e->addr,
				    &e->prefixlen))
			return;
		e->next = p->listens;
		p->listens = e;
	}
}

void zg_listen_parse(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	if (y->kind != ZG_Y_LIST) {
		zg_yaml_error(ctx, y, "listen must be a list of entries");
		zg_diag_hint(ctx->diag, "- {port: 8000, from: \"10.0.0.0/8\"}");
		return;
	}
	for (const struct zg_yaml *item = y->first; item; item = item->next)
		parse_one(ctx, item, into);
}

/* The gateway's port that an entry covers; 0 = none. */
static uint16_t gateway_port(const struct zg_settings *s, const struct zg_entry *e)
{
	for (uint32_t i = 0; e->tcp && i < s->listen_count; i++)
		for (size_t j = 0; j < e->port_count; j++)
			if (s->listen[i].port >= e->ports[j].lo &&
			    s->listen[i].port <= e->ports[j].hi)
				return s->listen[i].port;
	return 0;
}

void zg_listen_check(const struct zg_yaml_ctx *ctx, const struct zg_settings_src *s)
{
	for (size_t i = 0; i < s->profile_count; i++) {
		const struct zg_entry *last = NULL;

		for (const struct zg_entry *e = s->profiles[i].listens; e; e = e->next) {
			uint16_t port = gateway_port(&s->settings, e);

			/* the blocks of one entry stand together */
			if (!port || (last && last->ports == e->ports))
				continue;
			last = e;
			zg_diag_error(ctx->diag, ctx->file, e->line, e->column,
				      "port %u is the gateway's", port);
			zg_diag_hint(ctx->diag, "whoever had it would be given other clients' "
						"calls; leave it out of the range");
		}
	}
}
