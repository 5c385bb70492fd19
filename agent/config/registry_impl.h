/* SPDX-License-Identifier: Apache-2.0 */
/*
 * registry_impl.h - what the readers of one registry entry share. registry.c
 * reads the object, registry_remote.c where a server is dialled,
 * registry_auth.c what proves who is who there, registry_command.c how a local
 * one is started, registry_tools.c what its tools are.
 */
#ifndef ZG_REGISTRY_IMPL_H
#define ZG_REGISTRY_IMPL_H

#include <jansson.h>

#include "json_place.h"
#include "registry.h"

struct zg_registry_reader {
	const struct zg_yaml_ctx *ctx;
	struct zg_slice text;
	struct zg_entry_src *entry;
	bool remote; /* has a URL to dial */
	bool packages;
	bool command;
};

typedef void zg_registry_take(struct zg_registry_reader *r, const json_t *j,
			      const struct zg_json_path *at);

struct zg_registry_member {
	const char *key;
	json_type type; /* JSON_TRUE: either boolean; JSON_NULL: the handler says */
	bool required;
	zg_registry_take *take; /* NULL: documentation, of no effect here */
};

/* An error at a place of the file. */
ZG_PRINTF(3, 4)
void zg_registry_bad(struct zg_registry_reader *r, const struct zg_json_path *at, const char *fmt,
		     ...);
/* Every member of an object to its handler; the rest is an error. */
bool zg_registry_members(struct zg_registry_reader *r, const json_t *j,
			 const struct zg_json_path *at, const char *what,
			 const struct zg_registry_member *known, size_t count);
/* A copy in the arena, or into a field (too long: an error). */
struct zg_slice zg_registry_keep(struct zg_registry_reader *r, struct zg_slice s,
				 const struct zg_json_path *at);
void zg_registry_copy(struct zg_registry_reader *r, const json_t *j, const struct zg_json_path *at,
		      char *out, size_t size);

static inline struct zg_slice zg_registry_text(const json_t *j)
{
	return (struct zg_slice){json_string_value(j), json_string_length(j)};
}

/* registry_tools.c */
zg_registry_take zg_registry_take_labels, zg_registry_take_tags, zg_registry_take_tools,
	zg_registry_take_extensions, zg_registry_take_resources, zg_registry_take_prompts;
zg_registry_take zg_registry_take_trust, zg_registry_take_pinning, zg_registry_take_namespace;
/* registry_remote.c */
zg_registry_take zg_registry_take_remotes, zg_registry_take_addresses, zg_registry_take_local,
	zg_registry_take_proxy;
void zg_registry_finish_remote(struct zg_registry_reader *r);
/* registry_auth.c */
zg_registry_take zg_registry_take_use, zg_registry_take_auth, zg_registry_take_headers,
	zg_registry_take_ca_file, zg_registry_take_pins, zg_registry_take_passthrough;
void zg_registry_finish_auth(struct zg_registry_reader *r);
/* registry_command.c */
zg_registry_take zg_registry_take_command, zg_registry_take_packages, zg_registry_take_sha256;
zg_registry_take zg_registry_take_args, zg_registry_take_env, zg_registry_take_env_pass;
zg_registry_take zg_registry_take_user, zg_registry_take_cwd, zg_registry_take_private_tmp;
zg_registry_take zg_registry_take_restart, zg_registry_take_limits, zg_registry_take_network;
void zg_registry_finish_command(struct zg_registry_reader *r);

#endif
