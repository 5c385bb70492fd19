/* SPDX-License-Identifier: Apache-2.0 */
/*
 * zg_snapshot.h - one compiled, immutable configuration: what the one-shot
 * config process writes and every other role maps read-only. Position
 * independent, host byte order, never stored on disk. Its writer is less
 * trusted than its reader (the parent is root), so nothing may be used before
 * zg_snapshot_open (base/snapshot.c) has checked the header, every section's
 * bounds, alignment and element size, and that every string ends in a NUL.
 *
 * The id is SHA-256 over the canonical (RFC 8785) *effective* policy and
 * registry: comments, order and file names do not change it.
 */
#ifndef ZG_SNAPSHOT_H
#define ZG_SNAPSHOT_H

#include <stddef.h>
#include <stdint.h>

#include "zg_abi.h"
#include "zg_limits.h"
#include "zg_secrets.h"

#define ZG_SNAPSHOT_MAGIC 0x31535a47u /* "GZS1" little-endian */

/* Beside the policies: who signed the snapshot that they make. */
#define ZG_SIGNATURE_FILE "policy.sig"

enum zg_section {
	ZG_S_SETTINGS = 0,  /* one struct zg_settings */
	ZG_S_PROFILES,	    /* struct zg_profile_def[] */
	ZG_S_CGROUPS,	    /* struct zg_cgroup_def[] */
	ZG_S_PREFIXES,	    /* struct zg_prefix_def[], sorted by (addr, prefixlen) */
	ZG_S_RULES,	    /* struct zg_rule_def[] */
	ZG_S_SERVERS,	    /* struct zg_server_def[], sorted by id */
	ZG_S_ENDPOINTS,	    /* struct zg_endpoint_def[], sorted by (addr, port) */
	ZG_S_POLICY,	    /* bytes; only agent/policy reads them, and checks them */
	ZG_S_SCANDB,	    /* bytes; a serialised pattern database of agent/scan */
	ZG_S_UNIX,	    /* struct zg_unix_def[], sorted by (profile, path) */
	ZG_S_NAMES,	    /* struct zg_name_def[], sorted by (profile, pattern) */
	ZG_S_EXECS,	    /* struct zg_exec_def[] */
	ZG_S_STDIO,	    /* struct zg_stdio_def[], in the order of their servers */
	ZG_S_TEXT,	    /* bytes: texts of ZG_S_STDIO, each with its NUL */
	ZG_S_CREDENTIALS,   /* struct zg_credential_def[] */
	ZG_S_AUTH_KEYS,	    /* struct zg_auth_key[], in the order of listeners and issuers */
	ZG_S_SHADOW_POLICY, /* bytes, as ZG_S_POLICY: tried out, never obeyed */
	ZG_S_SHADOW,	    /* struct zg_shadow_def[]: one, if there is a candidate */
	ZG_S_MAX,
};

struct zg_section_ref {
	uint64_t offset; /* from the start of the snapshot, multiple of 8 */
	uint64_t bytes;	 /* a multiple of the element size */
};

struct zg_snapshot_header {
	uint32_t magic;
	uint32_t header_bytes;
	uint64_t bytes; /* of the whole */
	uint8_t id[32];
	struct zg_section_ref section[ZG_S_MAX];
};

struct zg_listen {
	uint8_t addr[16];
	uint16_t port; /* host order, never 0 */
	uint16_t pad[3];
};

/* One issuer of access tokens that a listener takes. */
struct zg_issuer {
	char issuer[ZG_PATH_LEN];    /* exactly as tokens name it */
	char jwks_file[ZG_PATH_LEN]; /* its keys; as written in zerogate.yaml */
	char server[ZG_SERVER_LEN];  /* or the registered place from which they are fetched */
};

/* A listener that is an OAuth protected resource; resource "" = it is none. */
struct zg_auth {
	char resource[ZG_PATH_LEN]; /* URL that servers' paths follow; ends in a slash */
	char scopes[ZG_REASON_LEN]; /* all of them are required; blanks between */
	struct zg_issuer issuer[ZG_ISSUERS_MAX];
	uint32_t issuer_count;
	uint32_t pad;
};

enum zg_auth_alg {
	ZG_AA_NONE = 0,
	ZG_AA_RS256,
	ZG_AA_PS256,
	ZG_AA_ES256,
	ZG_AA_EDDSA,
	ZG_AA_MAX,
};

/* A key fixes its algorithm; tokens have no say in it. */
struct zg_auth_key {
	uint32_t listener; /* index */
	uint32_t issuer;   /* index in the listener's */
	uint32_t alg;	   /* enum zg_auth_alg */
	uint32_t bytes;
	char kid[ZG_KID_LEN];		 /* "" = it has none */
	uint8_t spki[ZG_AUTH_KEY_BYTES]; /* DER */
};

enum zg_durability {
	ZG_DURABILITY_ORDERED = 0, /* written in order, synced at checkpoints */
	ZG_DURABILITY_SYNC = 1,	   /* fdatasync before a batch counts as taken */
};

/* The proxy that stands between this machine and servers elsewhere; host "" = none */
struct zg_proxy {
	char host[ZG_HOST_LEN];		    /* lower case, no brackets */
	char credentials_file[ZG_PATH_LEN]; /* "user:password"; "" = none */
	uint8_t addr[ZG_ENDPOINTS_PER_SERVER][16];
	uint32_t address_count; /* 0 = unreachable until its name resolves */
	uint16_t port;		/* host order */
	uint8_t by_name;	/* its addresses are the resolver's to find */
	uint8_t pad;
};

/* Whose servers: members of the group approve them. */
struct zg_owner {
	char name[ZG_OWNER_LEN]; /* as registry entries name it */
	char group[ZG_NAME_LEN];
};

/* What people are told of, and how: agent/ledger/notify.h */
enum zg_notify_event {
#define X(NAME, text, by_default) ZG_NE_##NAME,
#include "tbl/notify_event.h"
#undef X
	ZG_NE_MAX
};

struct zg_notify_def {
	uint32_t events; /* bits of enum zg_notify_event */
	uint32_t timeout_sec;
	char command[ZG_PATH_LEN]; /* absolute; "" = none */
	char user[ZG_NAME_LEN];	   /* "" = zg_settings.user */
	uint32_t arg_count;
	uint32_t pad;
	char arg[ZG_NOTIFY_ARGS_MAX][ZG_NOTIFY_ARG_LEN];
	char server[ZG_SERVER_LEN];    /* the place of the webhook; "" = none */
	char secret_file[ZG_PATH_LEN]; /* as written in zerogate.yaml */
};

/* zerogate.yaml; paths are as written there, relative ones to its folder */
struct zg_settings {
	char policies[ZG_PATH_LEN];
	char servers[ZG_PATH_LEN];
	char state_dir[ZG_PATH_LEN];
	char runtime_dir[ZG_PATH_LEN];
	char pin_dir[ZG_PATH_LEN];
	char cgroup_root[ZG_PATH_LEN]; /* "" = the cgroup2 mount point */
	char user[ZG_NAME_LEN];
	char ledger_user[ZG_NAME_LEN];
	char approver_group[ZG_NAME_LEN];     /* "" = root only */
	char security_group[ZG_NAME_LEN];     /* "" = root only */
	char break_glass_group[ZG_NAME_LEN];  /* "" = root only */
	char high_risk_tags[ZG_FINDINGS_LEN]; /* by comma */
	struct zg_listen listen[ZG_LISTEN_MAX];
	uint32_t listen_count;
	uint32_t workers; /* 0 = one per CPU, 4 at most */
	uint32_t hold_sec;
	uint32_t approval_ttl_sec;
	uint32_t durability; /* enum zg_durability */
	uint32_t dns_count;
	struct zg_listen dns[ZG_DNS_UPSTREAM_MAX]; /* where the resolver asks */
	uint32_t dns_ttl_min_sec;
	uint32_t dns_grace_sec;
	char ca_file[ZG_PATH_LEN];	    /* "" = the distribution's */
	struct zg_auth auth[ZG_LISTEN_MAX]; /* of the listener with that index */
	struct zg_proxy proxy;
	struct zg_owner owner[ZG_OWNERS_MAX]; /* bit n of zg_ctl_peer.owners is owner[n] */
	uint32_t owner_count;
	uint32_t files_submit;	   /* a file in servers/ needs two approvals */
	uint32_t reload_on_change; /* files that change are loaded without being told */
	uint32_t require_signed;   /* so many of the signers; 0 = none */
	uint32_t signer_count;
	uint32_t pad;
	char signer[ZG_SIGNERS_MAX][ZG_PATH_LEN]; /* a key in base64, or its file */
	char shadow_policies[ZG_PATH_LEN];	  /* "" = none */
	struct zg_notify_def notify;
};

/* What became of the policy that is tried out. */
struct zg_shadow_def {
	uint8_t id[32]; /* of the effective candidate and the registry in force */
	uint32_t rules;
	uint32_t broken; /* it is not asked; the rest says why */
	uint32_t line, column;
	char file[ZG_PATH_LEN];
	char what[ZG_REASON_LEN];
};

struct zg_profile_def { /* index = kernel profile id - ZG_PROFILE_FIRST */
	char name[ZG_NAME_LEN];
	uint8_t mode;	      /* enum zg_mode */
	uint8_t shadow_wire;  /* enum zg_shadow */
	uint8_t shadow_stdio; /* enum zg_shadow */
	uint8_t asks;	      /* people may grant it connections */
	uint32_t narrows;     /* a local server's profile: this is it under network_allowlists */
};

struct zg_cgroup_def {
	char glob[ZG_CGROUP_LEN]; /* relative to the cgroup root, fnmatch FNM_PATHNAME */
	uint32_t profile;	  /* kernel profile id */
	uint32_t pad;
};

/* prefix -> identity; an identity's number depends on its rules only, so an
 * unchanged prefix keeps it across snapshots */
struct zg_prefix_def {
	uint8_t addr[16];
	uint32_t prefixlen; /* 0..128 */
	uint32_t identity;  /* never 0 */
};

struct zg_rule_def { /* for the gateway, the resolver and every configured profile */
	uint32_t profile;
	uint32_t identity;
	uint32_t proto;
	uint32_t direction; /* enum zg_direction */
	struct zg_rule_val val;
};

/* A unix socket that a profile may or may not reach; the longest match counts.
 * Those of all profiles may have "*" for the user in /run/user. */
struct zg_unix_def {
	/* as in sun_path, without the "*"; "@..." = abstract; /run for /var/run */
	char path[ZG_EVENT_PATH];
	uint32_t profile; /* ZG_PROFILE_NONE: of all, denied unless named exactly */
	uint8_t prefix;	  /* it ended in "*": any rest without a slash */
	uint8_t verdict;  /* enum zg_verdict */
	uint8_t reason;	  /* enum zg_gate_reason of a deny */
	uint8_t pad;
};

/* A host name, or "*." and one, that a profile may resolve and then reach; or,
 * of a deny entry, one that it may not resolve, whatever else covers it. */
struct zg_name_def {
	char pattern[ZG_HOST_LEN]; /* lower case, no dot at the end */
	uint32_t profile;
	uint8_t proto;
	uint8_t local; /* it may resolve to loopback, link-local and private addresses */
	uint8_t deny;
	uint8_t server; /* a registered server's: answered with its endpoints, opens nothing */
	struct zg_rule_val val;
};

/* An executable that a profile may not run. */
struct zg_exec_def {
	char path[ZG_PATH_LEN]; /* absolute */
	uint32_t profile;
	uint32_t pad;
};

enum zg_transport {
	ZG_T_STREAMABLE_HTTP = 0,
	ZG_T_SSE = 1,
	ZG_T_STDIO = 2,
};

enum zg_pinning {
	ZG_PINNING_APPROVAL = 0, /* a person accepts every definition */
	ZG_PINNING_FIRST_USE,	 /* those of a server's first list are accepted as they are */
};

enum zg_use { /* of a registry entry */
	      ZG_USE_MCP = 0,
	      ZG_USE_KEYS,    /* a document of an issuer's keys, for the gateway */
	      ZG_USE_WEBHOOK, /* where notifications are posted, by the gateway */
};

struct zg_server_def {
	char id[ZG_SERVER_LEN]; /* what policies call mcp.server */
	char name[256];		/* the registry's reverse-DNS name */
	char version[64];
	char owner[ZG_OWNER_LEN];
	char url[ZG_PATH_LEN];	       /* "" for stdio */
	char host[256];		       /* of the url, lower case, no brackets */
	char path[ZG_PATH_LEN];	       /* path and query of the url, at least "/" */
	uint16_t port;		       /* host order */
	uint8_t tls;		       /* https */
	uint8_t transport;	       /* enum zg_transport */
	uint32_t endpoint_count;       /* addresses known; 0 = unreachable until a name resolves */
	uint8_t sha256[32];	       /* of its canonical registry entry */
	char prefix[ZG_NAMESPACE_LEN]; /* of its names in lists; "" = none */
	uint8_t pinning;	       /* enum zg_pinning */
	uint8_t trust_annotations;
	uint8_t by_name;     /* its addresses are the resolver's to find */
	uint8_t local;	     /* they may be of this machine or its networks */
	uint8_t passthrough; /* the client's Authorization goes on to it */
	uint8_t proxied;     /* it is dialled by way of zg_settings.proxy */
	uint8_t use;	     /* enum zg_use; no profile may use what is no MCP server */
	uint8_t pad;
	char pins[ZG_PINS_LEN]; /* "sha256//...;sha256//...": keys it may show; "" = any */
	char passthrough_reason[ZG_REASON_LEN];
};

enum zg_stdio_user {
	ZG_SU_OWN = 0, /* a uid that nobody else has, for as long as it runs */
	ZG_SU_NAMED,   /* .user */
	ZG_SU_CALLER,  /* whoever started the client; never root */
};

enum zg_stdio_restart { ZG_SR_NEVER = 0, ZG_SR_ON_FAILURE };

/* Consecutive texts in ZG_S_TEXT */
struct zg_texts_ref {
	uint32_t offset; /* of the first */
	uint32_t count;
};

/* How a local server is started. */
struct zg_stdio_def {
	char server[ZG_SERVER_LEN];
	char command[ZG_PATH_LEN]; /* absolute */
	char cwd[ZG_PATH_LEN];	   /* absolute, or "" */
	char user[ZG_NAME_LEN];	   /* of ZG_SU_NAMED */
	uint32_t profile;	   /* kernel profile id of "server:<id>" */
	struct zg_texts_ref args;  /* without argv[0] */
	struct zg_texts_ref env;   /* "NAME=value" */
	struct zg_texts_ref pass;  /* names that a client may set */
	uint64_t memory;	   /* bytes */
	uint32_t pids;
	uint32_t cpu;	     /* per cent of one processor; 0 = no limit */
	uint8_t who;	     /* enum zg_stdio_user */
	uint8_t restart;     /* enum zg_stdio_restart */
	uint8_t private_tmp; /* else the machine's */
	uint8_t has_sha256;
	uint8_t offline; /* it may reach nothing: no list narrows that */
	uint8_t pad[3];
	uint8_t sha256[32];	 /* of the executable */
	uint8_t args_sha256[32]; /* of command and arguments, each with its NUL */
	uint8_t digest[32];	 /* of all that decides how it is started and what it may reach */
	uint8_t may[ZG_PROFILES_MAX / 8]; /* bit n: kernel profile n may start it */
};

/* What goes along to a server, or where it is: a file's content is never here,
 * but in the bundle of zg_secrets.h. */
struct zg_credential_def {
	uint32_t server; /* index into ZG_S_SERVERS */
	uint32_t kind;	 /* ZG_SK_AUTHORIZATION, _HEADER, _CLIENT_CERT, _CLIENT_KEY, _CA_BUNDLE */
	char header[ZG_HEADER_NAME_LEN]; /* of ZG_SK_HEADER */
	/* "" = value; absolute, or of the folder of servers, or "credential:NAME" */
	char path[ZG_PATH_LEN];
	char value[ZG_HEADER_VALUE_LEN]; /* no secret */
};

struct zg_endpoint_def {
	uint8_t addr[16];
	uint16_t port;	 /* host order */
	uint16_t server; /* index into ZG_S_SERVERS */
	uint32_t pad;
};

#endif
