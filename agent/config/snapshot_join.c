/* SPDX-License-Identifier: Apache-2.0 */
/*
 * snapshot_join.c - see snapshot_impl.h: settings, registry and addresses say
 * things of each other by name. Trust: all of them are text of people; a name that
 * stands for nothing is told, and grants nothing.
 */
#include "snapshot_impl.h"

#include <errno.h>

#include "narrowed.h"
#include "proxy.h"

static int by_server(const void *a, const void *b)
{
	return strcmp((*(struct zg_entry_src *const *)a)->def.id,
		      (*(struct zg_entry_src *const *)b)->def.id);
}

bool zg_build_sort_servers(struct zg_build *b)
{
	size_t n = 0;

	b->server =
		zg_arena_alloc(&b->arena, (b->registry.count + 1) * sizeof(struct zg_entry_src *));
	if (!b->server)
		return false;
	for (struct zg_entry_src *s = b->registry.servers; s; s = s->next)
		b->server[n++] = s;
	qsort(b->server, n, sizeof(struct zg_entry_src *), by_server);
	return true;
}

void zg_build_add_resolved(struct zg_build *b)
{
	for (size_t i = 0; i < b->resolved_count; i++) {
		struct zg_host_address at;

		memcpy(&at, &b->resolved[i], sizeof(at));
		at.host[sizeof(at.host) - 1] = '\0';
		for (struct zg_entry_src *s = b->registry.servers; s; s = s->next)
			if (s->def.by_name && s->address_count < ZG_ENDPOINTS_PER_SERVER &&
			    strcmp(s->def.host, at.host) == 0)
				memcpy(s->address[s->address_count++], at.addr, sizeof(at.addr));
		zg_proxy_add_resolved(&b->settings.settings.proxy, at.host, at.addr);
	}
}

static bool profile_lists(const struct zg_profile_src *p, struct zg_slice id)
{
	for (size_t i = 0; i < p->servers.count; i++)
		if (zg_star_match(p->servers.item[i], id))
			return true;
	return false;
}

int zg_build_server_profiles(struct zg_build *b)
{
	struct zg_settings_src *s = &b->settings;
	struct zg_profile_src *all = zg_arena_alloc(
		&b->arena, (s->profile_count + b->registry.count + 1) * sizeof(*all));
	size_t n = s->profile_count;

	if (!all)
		return -ENOMEM;
	if (n)
		memcpy(all, s->profiles, n * sizeof(*all));
	for (size_t i = 0; i < b->registry.count; i++)
		if (b->server[i]->command)
			all[n++] = b->server[i]->command->profile;
	if (n > ZG_PROFILE_CANARY - ZG_PROFILE_FIRST) {
		zg_diag_error(b->diag, s->file, 0, 0, "more than %d profiles and local servers",
			      ZG_PROFILE_CANARY - ZG_PROFILE_FIRST);
		return -EINVAL;
	}
	s->profiles = all;
	s->profile_count = n;
	return zg_narrowed_build(s, &b->policy, b->server, b->registry.count, &b->arena, b->diag);
}

void zg_build_check_issuers(struct zg_build *b)
{
	const struct zg_settings *s = &b->settings.settings;

	for (uint32_t l = 0; l < s->listen_count; l++)
		for (uint32_t i = 0; i < s->auth[l].issuer_count; i++) {
			const struct zg_issuer *is = &s->auth[l].issuer[i];
			bool found = !is->server[0];

			for (size_t j = 0; j < b->registry.count && !found; j++)
				found = b->server[j]->def.use == ZG_USE_KEYS &&
					strcmp(b->server[j]->def.id, is->server) == 0;
			if (!found)
				zg_diag_notice(
					b->diag, b->settings.file, 0, 0,
					"no entry '%s' with \"use\": \"keys\" is registered: "
					"tokens of %s are refused",
					is->server, is->issuer);
		}
}

void zg_build_check_webhook(struct zg_build *b)
{
	const char *id = b->settings.settings.notify.server;
	bool found = !id[0];

	for (size_t i = 0; i < b->registry.count && !found; i++)
		found = b->server[i]->def.use == ZG_USE_WEBHOOK &&
			strcmp(b->server[i]->def.id, id) == 0;
	if (!found)
		zg_diag_notice(b->diag, b->settings.file, 0, 0,
			       "no entry '%s' with \"use\": \"webhook\" is registered: no "
			       "notification is posted",
			       id);
}

bool zg_build_join_profiles(struct zg_build *b)
{
	const struct zg_settings_src *s = &b->settings;

	for (size_t i = 0; i < b->registry.count; i++) {
		struct zg_server_src *server = &b->server[i]->policy;

		server->profiles = zg_arena_alloc(&b->arena, (s->profile_count + 1) *
								     sizeof(*server->profiles));
		if (!server->profiles)
			return false;
		for (uint32_t p = 0; p < s->profile_count; p++)
			if (b->server[i]->def.use == ZG_USE_MCP &&
			    profile_lists(&s->profiles[p], server->id))
				server->profiles[server->profile_count++] = ZG_PROFILE_FIRST + p;
	}
	for (size_t p = 0; p < s->profile_count; p++) {
		for (size_t i = 0; i < s->profiles[p].servers.count; i++) {
			struct zg_slice pattern = s->profiles[p].servers.item[i];
			bool any = zg_slice_eq(pattern, ZG_SLICE("*"));

			for (size_t j = 0; j < b->registry.count && !any; j++)
				any = zg_star_match(pattern, b->server[j]->policy.id);
			if (!any)
				zg_diag_notice(b->diag, s->file, s->profiles[p].servers_line,
					       s->profiles[p].servers_column,
					       "no registered server matches '%.*s'",
					       ZG_FMT(pattern));
		}
	}
	return true;
}
