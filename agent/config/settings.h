/* SPDX-License-Identifier: Apache-2.0 */
/*
 * settings.h - zerogate.yaml (zerogate.yaml(5)) as read: the settings that
 * travel in the snapshot, and profiles before tables.c turns them into
 * prefixes and rules.
 */
#ifndef ZG_SETTINGS_H
#define ZG_SETTINGS_H

#include "document.h"
#include "zg_snapshot.h"

enum zg_entry_kind {
	ZG_EK_CIDR = 0, /* addr/prefixlen; literal hosts and localhost become these */
	ZG_EK_NAME,	/* a host name, or "*." and one: for the resolver */
	ZG_EK_UNIX,	/* a socket path, the last byte may be "*" */
};

/* Is what is dialled there TLS? Where nobody says it, port 443 is. */
enum zg_entry_tls { ZG_ET_UNSAID = 0, ZG_ET_TLS, ZG_ET_OTHER };

struct zg_port_range {
	uint16_t lo, hi;
};

/* One line of allow:, deny: or, for each of its blocks, listen: */
struct zg_entry {
	enum zg_entry_kind kind;
	bool deny;
	bool inbound; /* of listen: */
	bool tcp, udp;
	bool local; /* a name that may stand for addresses of this machine or its networks */
	bool part;  /* what a list left of a wider one: as exact as that was */
	enum zg_entry_tls tls;
	uint8_t addr[16];
	uint32_t prefixlen;
	struct zg_port_range *ports;
	size_t port_count;
	struct zg_slice text; /* name or path */
	uint32_t line, column;
	struct zg_entry *next;
};

struct zg_profile_src {
	struct zg_slice name;
	uint8_t mode;
	struct zg_texts cgroups;
	struct zg_entry *entries;
	size_t entry_count;
	struct zg_entry *listens;  /* ports are its own, addr is who may dial them */
	uint8_t shadow_wire;	   /* enum zg_shadow */
	bool ask;		   /* people may grant it connections */
	uint8_t shadow_stdio;	   /* enum zg_shadow */
	bool local_server;	   /* of a server that we start: it uses no other */
	uint32_t narrows;	   /* kernel profile id of a local server (narrowed.h) */
	bool verify_sni;	   /* TLS to host names goes through the gateway */
	struct zg_texts exec_deny; /* absolute paths */
	struct zg_texts servers;   /* globs over registry ids */
	uint32_t line, column;
	uint32_t servers_line, servers_column;
};

/* One of proxy.no_proxy */
struct zg_no_proxy {
	struct zg_slice name; /* a host, or "*." and one; ptr NULL: the block below */
	uint8_t addr[16];
	uint32_t prefixlen;
};

struct zg_settings_src {
	const char *file;
	struct zg_settings settings;
	struct zg_profile_src *profiles;
	size_t profile_count;
	struct zg_no_proxy *no_proxy;
	size_t no_proxy_count;
};

/* A list of allow or deny entries (profiles.c). */
void zg_entries_parse(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y,
		      struct zg_profile_src *p, bool deny);

/* Parts of an entry, shared by those who read entries; each false after an
 * error was added. */
bool zg_entry_block(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, struct zg_slice text,
		    uint8_t addr[16], uint32_t *prefixlen);
bool zg_entry_ports(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, struct zg_entry *e);
/* true or false, unquoted; what: its name, for messages (profiles.c). */
bool zg_settings_flag(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, const char *what,
		      bool *out);
bool zg_entry_protos(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, struct zg_entry *e);

/* The value of a profile's "listen:" (listen.c); into is the zg_profile_src. */
void zg_listen_parse(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into);
/* No profile listens where the gateway does. */
void zg_listen_check(const struct zg_yaml_ctx *ctx, const struct zg_settings_src *s);

/* The value of a profile's "exec:" (exec.c); into is the zg_profile_src. */
void zg_exec_parse(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into);

/* The value of "profiles:" (profiles.c). */
void zg_profiles_parse(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y,
		       struct zg_settings_src *s);

/* The values of "approvers:", "owners:", "registry:" and "approvals:" (people.c);
 * into is the zg_settings_src. */
void zg_approvals_parse(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into);
void zg_approvers_parse(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into);
void zg_owners_parse(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into);
void zg_registry_settings_parse(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into);

/* The value of "notify:" (notify.c); into is the zg_settings_src. */
void zg_notify_parse(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into);

/* The values of "policy_signers:" and "require_signed:" (signers.c); into is the
 * zg_settings_src. Then what both say together. */
void zg_signers_parse(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into);
void zg_require_signed_parse(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into);
void zg_signers_check(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y,
		      const struct zg_settings *s);

/* Fill s from the text of zerogate.yaml; errors go to ctx->diag. */
void zg_settings_parse(const struct zg_yaml_ctx *ctx, struct zg_slice text,
		       struct zg_settings_src *s);

#endif
