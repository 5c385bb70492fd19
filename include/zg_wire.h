/* SPDX-License-Identifier: Apache-2.0 */
/*
 * zg_wire.h - every message between roles, and between the CLI and the agent.
 *
 * Transport: SOCK_SEQPACKET. One packet is one message: struct zg_msg_header,
 * then the body, whose size is fixed by its type (tbl/message.h). A receiver
 * drops the connection on a wrong magic, type, length or direction, and treats
 * every string as possibly unterminated until zg_msg_recv has checked it.
 * File descriptors travel beside a message (SCM_RIGHTS), at most one each.
 */
#ifndef ZG_WIRE_H
#define ZG_WIRE_H

#include <stdint.h>

#include "zg_limits.h"
#include "zg_abi.h"

#define ZG_MSG_MAGIC	 0x315a
#define ZG_MSG_MAX_BYTES 16384 /* largest body; checked against tbl/message.h */

struct zg_msg_header {
	uint16_t magic;
	uint16_t type;	/* enum zg_msg_type */
	uint32_t bytes; /* of the body */
};

/* Who calls, as the kernel attests it. */
struct zg_principal {
	uint64_t cgroup_id;
	uint64_t start_ns;
	uint32_t pid;
	uint32_t uid;
	uint32_t gid;
	uint32_t profile_id;
	char profile[ZG_NAME_LEN];
	char cgroup[ZG_CGROUP_LEN]; /* below the cgroup root; "" if it is gone */
	char comm[ZG_COMM_LEN];
};

/* records ----------------------------------------------------------------- */

enum zg_record_kind {
	ZG_RK_NONE = 0,
#define X(name, text, id, prio) ZG_RK_##name,
#include "tbl/record_kind.h"
#undef X
	ZG_RK_MAX
};

enum zg_record_field {
#define STR(name, journal, size) ZG_RF_##name,
#define NUM(name, journal)	 ZG_RF_##name,
#define HEX(name, journal, size) ZG_RF_##name,
#define ADR(name, journal)	 ZG_RF_##name,
#include "tbl/record_field.h"
#undef STR
#undef NUM
#undef HEX
#undef ADR
	ZG_RF_MAX
};
_Static_assert(ZG_RF_MAX <= 128, "the presence mask has 128 bits");

/* One audit record on its way to the ledger: a slot of a ring (base/ring.h). */
struct zg_record {
	uint64_t present[2]; /* bit n: field n (enum zg_record_field) is set */
	uint64_t time_ns;    /* CLOCK_REALTIME when it happened */
	uint32_t kind;	     /* enum zg_record_kind */
	uint32_t pad;
#define STR(name, journal, size) char name[size];
#define NUM(name, journal)	 uint64_t name;
#define HEX(name, journal, size) uint8_t name[size];
#define ADR(name, journal)	 uint8_t name[16];
#include "tbl/record_field.h"
#undef STR
#undef NUM
#undef HEX
#undef ADR
};

#define ZG_REC_BIT(n)	    (UINT64_C(1) << ((n) % 64))
#define ZG_REC_HAS_N(r, n)  (((r)->present[(n) / 64] & ZG_REC_BIT(n)) != 0)
#define ZG_REC_MARK_N(r, n) ((r)->present[(n) / 64] |= ZG_REC_BIT(n))
#define ZG_REC_HAS(r, f)    ZG_REC_HAS_N(r, ZG_RF_##f)
#define ZG_REC_MARK(r, f)   ZG_REC_MARK_N(r, ZG_RF_##f)
#define ZG_REC_NUM(r, f, v) ((r)->f = (v), ZG_REC_MARK(r, f))
/* text: zg_record_str(r, ZG_RF_x, slice) in base/record.h cuts and marks */

/* messages ---------------------------------------------------------------- */

enum zg_msg_type {
	ZG_MSG_NONE = 0,
#define X(NAME, name, from, to, fd) ZG_MSG_##NAME,
#include "tbl/message.h"
#undef X
	ZG_MSG_MAX
};

/* parent -> any child: one inherited thing, and "go" */
enum zg_fd_kind {
	ZG_FD_NONE = 0,
	ZG_FD_LISTENER,	  /* index: of settings.listen */
	ZG_FD_RING,	  /* index: producer; 0 = parent, 1.. = gateway worker + 1 */
	ZG_FD_RING_EVENT, /* eventfd that wakes the ledger */
	ZG_FD_LEDGER,	  /* SEQPACKET: gateway <-> ledger; index: worker */
	ZG_FD_STATE_DIR,  /* the ledger's folder, O_DIRECTORY */
	ZG_FD_DNS,	  /* index: enum zg_dns_socket; profile: whose questions */
	ZG_FD_SECRETS,	  /* gateway: of the snapshot that follows; zg_secrets.h */
};

enum zg_dns_socket { /* of one profile, on loopback */
		     ZG_DNS_UDP4 = 0,
		     ZG_DNS_UDP6,
		     ZG_DNS_TCP4,
		     ZG_DNS_TCP6,
		     ZG_DNS_SOCKETS,
};

/* The parent's own index among the links of ZG_FD_LEDGER. It asks about
 * connections alone, under this name, which no server has. */
#define ZG_LINK_PARENT	     ZG_WORKERS_MAX
#define ZG_CONNECTION_SERVER "(network)"

struct zg_msg_give_fd {
	uint32_t kind; /* enum zg_fd_kind */
	uint32_t index;
	char profile[ZG_NAME_LEN]; /* ids move with reloads, names do not; else "" */
};

struct zg_msg_start {
	uint32_t worker;  /* gateway: which */
	uint32_t workers; /* ledger: how many rings beside the parent's */
	uint64_t boot_id; /* random, new with every start of the agent */
};

struct zg_msg_ready { /* any child -> parent: initialised, sandboxed */
	uint32_t pid;
	uint32_t pad;
};

/* fd: a sealed memfd, see zg_snapshot.h */
struct zg_msg_snapshot {
	uint8_t id[32];
	uint64_t generation;
};

/* child -> parent: this generation is in force here */
struct zg_msg_snapshot_ok {
	uint64_t generation;
};

/* parent -> config: one file (fd), then compile */
enum zg_config_file {
	ZG_CF_MAIN = 0,
	ZG_CF_POLICY,
	ZG_CF_SERVER,
	ZG_CF_RESOLV,	 /* resolv.conf: where names are asked for, if the main file does not say */
	ZG_CF_ADDRESSES, /* struct zg_host_address[]: where servers' names lead to now */
	ZG_CF_JWKS,	 /* keys of an issuer: in the order of the listeners that name one */
	ZG_CF_FETCHED,	 /* struct zg_fetched_keys[]: keys of issuers as they were fetched last */
	ZG_CF_REGISTRY,	 /* what the ledger says of a server: config/registry_state.c */
	ZG_CF_SHADOW,	 /* a policy that is tried out beside the one in force */
	ZG_CF_SIGNER,	 /* a public key: in the order of the settings that name one */
	ZG_CF_SIGNATURE, /* who signed it all: policy.sig */
	ZG_CF_KINDS,
};

struct zg_fetched_keys {
	char server[ZG_SERVER_LEN];
	uint32_t bytes;
	char text[ZG_JWKS_BYTES];
};

struct zg_host_address {
	char host[ZG_HOST_LEN];
	uint8_t addr[16];
};

struct zg_msg_config_file {
	uint32_t kind; /* enum zg_config_file */
	uint32_t pad;
	char name[ZG_PATH_LEN]; /* for messages to people */
};

struct zg_msg_config_compile {
	uint32_t settings_only; /* only ZG_CF_MAIN was given: answer with settings */
	uint32_t pad;
};

/* config -> parent; more than one may come, then exit status 1 */
struct zg_msg_config_error {
	char file[ZG_PATH_LEN];
	uint32_t line;
	uint32_t column;
	char what[ZG_REASON_LEN];
	char hint[ZG_REASON_LEN];
};

/* config -> parent, while it compiles: whose uid is this? One after the other. */
struct zg_msg_config_user {
	char name[ZG_USER_LEN];
};

struct zg_msg_config_uid {
	uint32_t known; /* 0: there is no such user, or nobody can tell */
	uint32_t uid;
};

/* config -> parent: done, fd = the snapshot */
struct zg_msg_config_done {
	uint8_t id[32];
};

/* the canary's doors: attempts that must be refused */
enum zg_canary_door {
#define X(NAME, text, layer, family, refused) ZG_CD_##NAME,
#include "tbl/canary.h"
#undef X
	ZG_CD_MAX
};
_Static_assert(ZG_CD_MAX <= ZG_CANARY_DOORS, "one round has room for all doors");

/* What the canary sends where it gets through: nobody else can know it. */
struct zg_canary_token {
	uint8_t nonce[16];
	uint32_t door;
};

/* parent -> canary: try every door once */
struct zg_msg_canary_round {
	uint64_t round;
	uint8_t nonce[16];
	uint16_t tcp_port[2]; /* of the sinks on 127.0.0.1 and ::1, host order; 0 = none */
	uint16_t udp_port[2];
	char unix_name[ZG_NAME_LEN]; /* abstract, without the NUL before it */
};

/* canary -> parent */
struct zg_msg_canary_result {
	uint64_t round;
	int32_t error[ZG_CANARY_DOORS]; /* by enum zg_canary_door; 0 = it is open, else errno */
};

/* gateway <-> parent: names for a cgroup id that the kernel attested */
struct zg_msg_cgroup_query {
	uint64_t cgroup_id;
};

struct zg_msg_cgroup_path {
	uint64_t cgroup_id;
	char path[ZG_CGROUP_LEN]; /* "" = not found */
};

/* gateway -> parent: did this name, which a client says in its TLS, open this
 * address to its profile? */
struct zg_msg_sni_query {
	uint64_t query;
	uint64_t cgroup_id;
	char profile[ZG_NAME_LEN];
	char name[ZG_HOST_LEN]; /* lower case */
	uint8_t addr[16];
	uint16_t port; /* host order */
	uint16_t pad[3];
};

struct zg_msg_sni_answer {
	uint64_t query;
	uint32_t allowed;
	uint32_t pad;
	char cgroup[ZG_CGROUP_LEN]; /* for the record; "" = not found */
};

/* gateway -> parent: which file does this process execute? As attested in its
 * origin; the answer is "not known" unless all of it still holds. */
struct zg_msg_exe_query {
	uint64_t start_ns;
	uint64_t exe_ino;
	uint32_t exe_dev;
	uint32_t pid;
};

struct zg_msg_exe_answer {
	struct zg_msg_exe_query of;
	char path[ZG_PATH_LEN]; /* "" = not known */
	uint8_t sha256[32];
	uint32_t hashed; /* 0 = sha256 is not known */
	uint32_t pad;
};

/* resolver -> parent: these are the addresses of a name that was asked for. The
 * answer is withheld until the parent says which of them the gate now holds. */
struct zg_msg_name_learn {
	uint64_t query;
	char profile[ZG_NAME_LEN];
	char name[ZG_HOST_LEN]; /* lower case, no dot at the end */
	uint32_t ttl;		/* seconds */
	uint32_t count;		/* 0, of the agent's own: all was asked; again after ttl */
	uint8_t addr[ZG_DNS_ADDRESSES_MAX][16];
};

/* parent -> gateways: nowhere that may be dialled, as of now; the next answer is
 * not expected for so long. A configuration with an address of it says more; 0: one
 * is on its way. */
struct zg_msg_name_nowhere {
	char name[ZG_HOST_LEN];
	uint32_t sec;
	uint32_t pad;
};

struct zg_msg_name_learned {
	uint64_t query;
	uint32_t held;	 /* bit n: addr[n] */
	uint32_t reason; /* enum zg_name_reason of what is not held */
};

/* resolver -> parent: for the record */
struct zg_msg_name_refused {
	char profile[ZG_NAME_LEN];
	char name[ZG_HOST_LEN]; /* printable: whatever else is escaped */
	uint32_t reason;	/* enum zg_name_reason */
	uint32_t type;		/* of the question */
	uint32_t count;		/* that were not told one by one since the last message */
	uint32_t audit;		/* it was answered all the same */
};

enum zg_name_reason {
	ZG_NR_NONE = 0,
#define X(NAME, text) ZG_NR_##NAME,
#include "tbl/name_reason.h"
#undef X
	ZG_NR_MAX
};

/* gateway -> ledger: hold this call for a person */
struct zg_msg_hold {
	uint64_t call;
	struct zg_principal principal;
	char server[ZG_SERVER_LEN];
	char method[ZG_METHOD_LEN];
	char tool[ZG_TOOL_LEN];
	char rules[ZG_RULES_LEN];
	char risk_tags[ZG_FINDINGS_LEN];
	/* what the approval is bound to: SHA-256 over profile, uid, cgroup path,
	 * server, method, tool, args_sha256, the tool definition's digest, snapshot */
	uint8_t binding[32];
	uint8_t args_sha256[32]; /* canonical JSON of the arguments */
	uint8_t snapshot[32];
	uint8_t definition_sha256[32]; /* of the tool as it is pinned; zeros = has none */
	uint64_t args_bytes;
	uint32_t approvers;   /* different people who must agree; 0 and 1 are the same */
	uint32_t action;      /* enum zg_action: 0 = a write */
	char why[ZG_WHY_LEN]; /* "rule: its reason", a line each; may be cut */
	char args_text[ZG_ARGS_TEXT_LEN]; /* secrets masked, may be cut */
	/* the approval that its caller waits for, by a token of the gateway's; "" = none: it
	 * is found by the binding, or asked for. With one, nothing is ever asked anew. */
	char approval[ZG_NAME_LEN];
	uint32_t question; /* enum zg_hold_question */
	uint32_t pad;
};

enum zg_hold_question {
	ZG_HQ_USE = 0,	/* execute, as soon as it is approved */
	ZG_HQ_LOOK,	/* how does it stand? asked for, if need be; nothing is used or waits */
	ZG_HQ_WITHDRAW, /* its caller does not want the approval any more: it is void */
};

/* Why a decision or a retry does not hold; the first word of what people are told */
enum zg_conflict {
	ZG_CONFLICT_NONE = 0,
#define X(NAME, text, hint) ZG_CONFLICT_##NAME,
#include "tbl/conflict.h"
#undef X
	ZG_CONFLICT_MAX
};

enum zg_hold_state {
	ZG_HOLD_REFUSED = 0, /* the ledger cannot or will not hold it; reason says why */
	ZG_HOLD_PENDING,     /* waits; another message follows when it is decided */
	ZG_HOLD_GRANTED,     /* approved and consumed, once, for this call: execute now */
	ZG_HOLD_DENIED,	     /* a person said no */
	ZG_HOLD_EXPIRED,
	ZG_HOLD_SUPERSEDED, /* another request took this approval */
	ZG_HOLD_READY,	    /* to ZG_HQ_LOOK: approved, and not used yet */
	ZG_HOLD_RELEASED, /* nothing was decided before it was let go: it does not wait any more */
};

struct zg_msg_hold_state {
	uint64_t call;
	uint32_t state; /* enum zg_hold_state */
	uint32_t approver_uid;
	char approval[ZG_NAME_LEN];
	char reason[ZG_REASON_LEN];
	/* enum zg_conflict: why what was approved, or asked for, does not hold; with
	 * PENDING: why this call is asked for anew though there is another */
	uint32_t conflict;
	uint32_t for_sec;	 /* of a granted connection; 0 = not told */
	char other[ZG_NAME_LEN]; /* that approval; "" = the one above */
	uint32_t approvers;	 /* different people who must agree */
	uint32_t agreed;	 /* who did so far */
};

/* gateway -> ledger: nobody waits for this call any more; the approval stays. Answered
 * with RELEASED, unless another answer was on its way */
struct zg_msg_hold_release {
	uint64_t call;
};

/* definitions of tools and of what stands beside them (agent/ledger/pin.h) */
enum zg_pin_kind {
	ZG_PIN_TOOL = 0,
	ZG_PIN_PROMPT,
	ZG_PIN_TEMPLATE,     /* of a resource; its name is the URI template */
	ZG_PIN_INSTRUCTIONS, /* one a server */
	ZG_PIN_IDENTITY,     /* likewise: the name in serverInfo */
	ZG_PIN_KINDS
};

enum zg_pin_state {		       /* all but PINNED and UNLISTED: withheld */
		    ZG_PS_UNKNOWN = 0, /* never seen in a list, and its server was listed */
		    ZG_PS_NEW,	       /* seen, never accepted */
		    ZG_PS_CHANGED,     /* not what was accepted */
		    ZG_PS_FLAGGED,     /* it holds what a definition should not */
		    ZG_PS_EXCESS,      /* its server has more than are kept */
		    ZG_PS_UNAVAILABLE, /* could not be stored */
		    ZG_PS_UNLISTED,    /* its server was never listed: nothing to compare with */
		    ZG_PS_PINNED,      /* accepted, as it is */
		    ZG_PS_MORE,	       /* not a state: the rest of the text is awaited */
		    ZG_PS_LISTED,      /* not a state: what UNLISTED rested on is over */
};

/* What a definition should not hold. */
enum zg_poison {
#define X(NAME, text, patterns) ZG_PO_##NAME,
#include "tbl/poison.h"
#undef X
	ZG_POISONS
};
_Static_assert(ZG_POISONS <= 32, "findings are bits of 32");

#define ZG_POISON_BIT(name) (1u << ZG_PO_##name)
/* these are shown, and withhold nothing */
#define ZG_POISON_NOTES (ZG_POISON_BIT(NAME) | ZG_POISON_BIT(VERSION))

#define ZG_PIN_READ_ONLY 1u /* hint: annotations.readOnlyHint is true */

enum zg_pin_question {
	ZG_PQ_ASK = 0, /* what is known of this name? */
	ZG_PQ_SEEN,    /* this is in a list */
	ZG_PQ_LISTED,  /* the list is complete */
};

/* gateway -> ledger; each is answered before its sender goes on */
struct zg_msg_pin_seen {
	uint64_t call;
	uint32_t question; /* enum zg_pin_question */
	uint32_t kind;	   /* enum zg_pin_kind */
	char server[ZG_SERVER_LEN];
	char name[ZG_TOOL_LEN];
	uint8_t sha256[32];
	uint32_t findings; /* bits of enum zg_poison */
	uint32_t hints;	   /* ZG_PIN_READ_ONLY */
	uint32_t bytes;	   /* of the canonical text, cut at ZG_PIN_TEXT_BYTES */
	uint32_t offset;   /* of this chunk */
	uint32_t chunk;
	uint32_t pad;
	char mentions[ZG_PIN_MENTIONS]; /* names in its prose, by blanks */
	char text[ZG_PIN_CHUNK];
};

struct zg_msg_pin_state {
	uint64_t call; /* 0: told unasked, to all gateways */
	uint32_t kind;
	uint32_t state; /* enum zg_pin_state */
	char server[ZG_SERVER_LEN];
	char name[ZG_TOOL_LEN];
	uint8_t sha256[32]; /* of what was seen last */
	uint32_t hints;	    /* of what is pinned */
	uint32_t pad;
};

/* gateway -> ledger: a sealed token that may be used once is about to be */
struct zg_msg_token_use {
	uint64_t call;
	uint64_t expires; /* CLOCK_REALTIME, seconds; it is remembered until then */
	uint8_t id[16];
};

enum zg_token_state {
	ZG_TOKEN_REFUSED = 0, /* it cannot be remembered: storage, or too many */
	ZG_TOKEN_USED_UP,     /* it was used before */
	ZG_TOKEN_FRESH,	      /* this was its use, and it is on disk */
};

struct zg_msg_token_used {
	uint64_t call;
	uint32_t state; /* enum zg_token_state */
	uint32_t pad;
};

/* limits that span workers (agent/ledger/quotas.h) */
enum zg_quota_kind {
	ZG_QK_RATE = 0,	  /* calls in any sec seconds */
	ZG_QK_CONCURRENT, /* calls under way at once */
	ZG_QK_RETRIES,	  /* times that the same call may be issued again after it failed */
	ZG_QK_MAX
};

struct zg_quota_limit {
	uint8_t key[32]; /* SHA-256 of what is counted together (gateway/quota.c) */
	uint32_t kind;	 /* enum zg_quota_kind */
	uint32_t calls;
	uint32_t sec; /* the window; how long a failure is remembered; CONCURRENT: 1 */
	uint32_t pad;
};

enum zg_quota_mode {
	ZG_QM_TAKE = 0, /* all of them, or none */
	ZG_QM_PROBE,	/* would they be granted? */
	ZG_QM_CLAIM,	/* of a call that runs already, for a ledger that came after it */
};

/* gateway -> ledger: may this call be made? */
struct zg_msg_quota_ask {
	uint64_t call;
	uint64_t owner;	    /* the caller, as a number: counters that it begins are bounded */
	uint32_t mode;	    /* enum zg_quota_mode */
	uint32_t count;	    /* of limit */
	uint32_t lease_sec; /* the call is over by then, whatever becomes of its worker */
	uint32_t pad;
	struct zg_quota_limit limit[ZG_QUOTA_ASKED];
};

enum zg_quota_state {
	ZG_QS_REFUSED = 0, /* it cannot be counted: which says nothing */
	ZG_QS_FULL,	   /* no room for another counter */
	ZG_QS_EXCEEDED,	   /* limit[which] has no room */
	ZG_QS_GRANTED,
};

struct zg_msg_quota_told {
	uint64_t call;
	uint64_t wait_ms; /* until it may be granted; 0 = that is not known */
	uint32_t state;	  /* enum zg_quota_state */
	uint32_t which;
};

enum zg_quota_end {
	ZG_QE_FAILED = 0, /* also: nobody knows */
	ZG_QE_DONE,
	ZG_QE_NEUTRAL, /* it was not made, or its answer comes elsewhere */
};

/* gateway -> ledger: a call that was granted is over */
struct zg_msg_quota_done {
	uint64_t call;
	uint32_t end; /* enum zg_quota_end */
	uint32_t pad;
};

/* gateway -> parent: a document of keys; its chunks follow each other */
struct zg_msg_keys_fetched {
	char server[ZG_SERVER_LEN];
	uint32_t bytes; /* of the whole */
	uint32_t offset;
	uint32_t chunk;
	uint32_t pad;
	char text[ZG_JWKS_CHUNK];
};

/* gateway -> ledger: a client cancelled a call, which any worker may hold */
struct zg_msg_call_cancel {
	uint8_t key[32]; /* SHA-256 of principal, server, session and id (gateway/cancel.c) */
};

/* ledger -> every other gateway */
struct zg_msg_call_cancelled {
	uint8_t key[32];
};

/* gateway -> parent -> gateway: for a client whose stream of HTTP+SSE another
 * worker holds. Dropped if nobody takes it. */
struct zg_msg_relay {
	uint64_t stream; /* number of the request that holds it */
	uint64_t call;
	uint32_t worker;  /* which holds it */
	uint32_t sec;	  /* 0: deliver the text; else unless id is answered by then;
			   * no text: its client does not want the answer to id */
	uint32_t bytes;	  /* of the text; set by whoever reads it */
	uint32_t limited; /* the ledger waits for its end (agent/ledger/quotas.h) */
	char id[ZG_RPC_ID_BYTES];
	char text[ZG_RELAY_BYTES]; /* one JSON-RPC message */
};

/* parent -> ledger: a control connection (fd) whose first request is the
 * ledger's; the parent has attested the peer */
struct zg_ctl_peer {
	uint32_t pid;
	uint32_t uid;
	uint32_t gid;
	uint32_t governed; /* in a governed cgroup (or not to be told): refuse */
	uint32_t roles;	   /* bits of enum zg_role_bit; root has all */
	uint32_t pad;
	uint64_t cgroup_id;
	uint64_t owners; /* bit n: member of the group of owner n in zerogate.yaml */
};

/* What a person may do at the control socket, by group (zerogate.yaml). */
enum zg_role_bit {
	ZG_ROLE_APPROVER = 1u << 0,
	ZG_ROLE_SECURITY = 1u << 1,    /* one of the two who approve a server */
	ZG_ROLE_BREAK_GLASS = 1u << 2, /* may approve alone, with a reason, at a price */
};

struct zg_msg_ctl_handover {
	struct zg_ctl_peer peer;
	uint32_t type; /* the request's enum zg_msg_type */
	uint32_t bytes;
	uint8_t body[1024]; /* its body */
};

/* control requests: CLI -> agent; each ends with one ctl_end */
struct zg_msg_ctl_status_get {
	uint32_t pad[2];
};

struct zg_msg_ctl_status {
	uint32_t abi;
	uint32_t workers_ready;
	uint32_t workers;
	uint32_t ledger_ready;
	uint64_t generation;
	uint8_t snapshot[32];
	uint64_t started_ns; /* CLOCK_REALTIME */
	uint64_t denials;
	uint64_t events_lost;
	uint32_t governed_cgroups;
	uint32_t profiles;
	uint32_t servers;
	uint32_t restarts;
	uint64_t prefixes;
	uint64_t rules;
	uint64_t proofs;		 /* rounds of self-proof */
	uint64_t proofs_failed;		 /* rounds that found enforcement broken */
	uint64_t proved_ns;		 /* CLOCK_REALTIME of the last whole round */
	uint64_t unknown_servers;	 /* connections that nothing allows, found established */
	uint64_t shadow_calls;		 /* that the shadow policy was asked about */
	uint64_t shadow_stricter;	 /* of them: it would decide so, */
	uint64_t shadow_looser;		 /* or so, */
	uint64_t shadow_other;		 /* or bind them otherwise */
	char shadow[ZG_REASON_LEN];	 /* "", "on trial: ..." or "broken: ..." */
	char enforcement[ZG_REASON_LEN]; /* "full", "degraded: ...", "broken: ..." */
	char last_reload_error[ZG_REASON_LEN];
	char contained[ZG_REASON_LEN]; /* profiles, by comma; cut at the end */
};

struct zg_msg_ctl_reload {
	uint32_t pad[2];
};

struct zg_msg_ctl_detach {
	uint32_t pad[2];
};

struct zg_msg_ctl_doctor { /* proves enforcement once more, then tells each finding */
	uint32_t pad[2];
};

enum zg_finding_state {
	ZG_FS_BROKEN = 0, /* needed, and missing or not working */
	ZG_FS_ABSENT,	  /* optional, and this kernel or configuration lacks it */
	ZG_FS_OK,
};

struct zg_msg_ctl_finding {
	uint32_t state;	 /* enum zg_finding_state */
	uint32_t layers; /* bits of enum zg_layer that are in force because of it */
	char name[ZG_NAME_LEN];
	char detail[ZG_REASON_LEN];
	char remedy[ZG_REASON_LEN]; /* "" = none is needed, or known */
};

struct zg_msg_ctl_contain {
	char profile[ZG_NAME_LEN];
	uint32_t resume; /* 0 = contain it */
	uint32_t pad;
	char reason[ZG_REASON_LEN]; /* the asker's, for the record; may be "" */
};

struct zg_msg_ctl_contained {
	uint32_t was;	/* it was contained before */
	uint32_t ended; /* sockets */
	uint32_t left;	/* sockets that could not be ended: judged by packet */
	uint32_t pad;
};

struct zg_msg_ctl_run {		   /* the sender is moved into a new governed cgroup */
	char profile[ZG_NAME_LEN]; /* "" = the only, or the first, profile */
	char comm[ZG_COMM_LEN];	   /* of the command, for the record */
};

struct zg_msg_ctl_run_started {
	uint64_t run; /* ticket for ctl_run_report */
	char cgroup[ZG_CGROUP_LEN];
	char profile[ZG_NAME_LEN];
	char ca_file[ZG_PATH_LEN];   /* the local CA; "" = no https server is registered */
	char ca_bundle[ZG_PATH_LEN]; /* and with the system's */
};

struct zg_msg_ctl_run_report {
	uint64_t run;
	uint32_t exit_status;
	uint32_t pad;
};

struct zg_msg_ctl_run_denial {
	uint32_t count;
	uint8_t reason; /* enum zg_gate_reason */
	uint8_t pad[3];
	char comm[ZG_COMM_LEN];
	char what[ZG_REFUSAL_LEN]; /* zg_refusal_what */
};

struct zg_msg_ctl_approvals_list {
	uint32_t all;	 /* 0 = pending and approved only */
	uint32_t follow; /* after ctl_approvals_now, each again when it changes */
};

struct zg_msg_ctl_approvals_now { /* all that stood there was sent */
	uint64_t pending;
};

struct zg_msg_ctl_approval_show {
	char approval[ZG_NAME_LEN];
};

enum zg_approval_state {
	ZG_AS_PENDING = 0,
	ZG_AS_APPROVED,
	ZG_AS_DENIED,
	ZG_AS_CONSUMED,
	ZG_AS_EXPIRED,
};

struct zg_msg_ctl_approval {
	char approval[ZG_NAME_LEN];
	uint32_t state; /* enum zg_approval_state */
	uint32_t approver_uid;
	uint64_t created_ms; /* CLOCK_REALTIME */
	uint64_t decided_ms;
	uint64_t expires_ms;
	struct zg_principal principal;
	char server[ZG_SERVER_LEN];
	char method[ZG_METHOD_LEN];
	char tool[ZG_TOOL_LEN];
	char rules[ZG_RULES_LEN];
	char risk_tags[ZG_FINDINGS_LEN];
	char reason[ZG_REASON_LEN];
	uint8_t args_sha256[32];
	uint8_t snapshot[32];
	uint8_t definition_sha256[32];
	uint64_t args_bytes;
	uint32_t approvers;		  /* different people who must agree, at least 1 */
	uint32_t agreed;		  /* who did so far */
	uint32_t action;		  /* enum zg_action */
	uint32_t break_glass;		  /* decided by one person, in an emergency */
	uint64_t change;		  /* number of its last change, in the order of all */
	char outcome[ZG_NAME_LEN];	  /* of the execution; "" = none is known */
	char why[ZG_WHY_LEN];		  /* as zg_msg_hold; "" in a list */
	char args_text[ZG_ARGS_TEXT_LEN]; /* "" in a list */
};

/* Rows of a list, as agent/base/approval_row.h packs them: 11 KB each would be most of
 * what 10,000 that wait cost. */
#define ZG_APPROVAL_ROWS_BYTES (ZG_MSG_MAX_BYTES - 2 * sizeof(uint32_t))

struct zg_msg_ctl_approval_rows {
	uint32_t count;
	uint32_t bytes; /* of row that are used */
	uint8_t row[ZG_APPROVAL_ROWS_BYTES];
};

/* after the approval that is shown: who said what; then others of the same tool */
struct zg_msg_ctl_approval_vote {
	uint32_t uid;
	uint32_t pid;
	uint32_t approve;
	uint32_t break_glass;
	uint64_t time_ms;
	char reason[ZG_REASON_LEN];
};

struct zg_msg_ctl_approval_decide { /* answered by the approval as it stands then */
	char approval[ZG_NAME_LEN];
	uint32_t approve;     /* 0 = deny */
	uint32_t break_glass; /* approve alone: takes the role, and a reason */
	uint32_t for_sec;     /* of a connection; 0 = the default */
	uint32_t pad;
	char reason[ZG_REASON_LEN];
};

enum zg_gate {
#define X(NAME, text, owner, what) ZG_GATE_##NAME,
#include "tbl/gate.h"
#undef X
	ZG_GATES
};

struct zg_msg_ctl_gates_list {
	uint32_t pad[2];
};

struct zg_msg_ctl_gate {
	uint32_t gate; /* enum zg_gate */
	uint32_t tripped;
	uint32_t trips; /* since it was lifted last */
	uint32_t uid;	/* of who tripped it last */
	uint64_t tripped_ms;
	uint64_t lifted_ms; /* 0 = never */
	uint32_t lifted_uid;
	uint32_t pad;
	char approval[ZG_NAME_LEN]; /* that tripped it last; "" = none */
	char reason[ZG_REASON_LEN];
	char lifted_reason[ZG_REASON_LEN];
};

struct zg_msg_ctl_gate_lift {
	uint32_t gate; /* enum zg_gate */
	uint32_t pad;
	char reason[ZG_REASON_LEN];
};

struct zg_msg_ctl_pins_list {
	char server[ZG_SERVER_LEN]; /* "" = of all */
};

struct zg_msg_ctl_pin {
	char server[ZG_SERVER_LEN];
	char name[ZG_TOOL_LEN];
	uint32_t kind;
	uint32_t state;
	uint32_t findings;
	uint32_t accepted_uid; /* of a person; UINT32_MAX = by first use, or not at all */
	uint64_t first_ms;
	uint64_t seen_ms;
	uint64_t pinned_ms; /* 0 = never */
	uint8_t seen_sha256[32];
	uint8_t pinned_sha256[32];
	char reason[ZG_REASON_LEN]; /* of who accepted it */
	char note[ZG_REASON_LEN];   /* of whom it speaks, with what it can be confused */
};

struct zg_msg_ctl_pin_show { /* rows as of the list, each followed by its texts */
	char server[ZG_SERVER_LEN];
	char name[ZG_TOOL_LEN]; /* "" = all that are withheld */
};

struct zg_msg_ctl_pin_text { /* a text may span messages */
	uint32_t seen;	     /* 0 = the pinned one */
	uint32_t bytes;
	uint32_t last;
	uint32_t cut; /* there was more than is kept */
	char text[ZG_PIN_CHUNK];
};

struct zg_msg_ctl_pin_trust { /* accept what was seen, if it is still this */
	char server[ZG_SERVER_LEN];
	char name[ZG_TOOL_LEN];
	uint32_t kind;
	uint32_t pad;
	uint8_t sha256[32];
	char reason[ZG_REASON_LEN];
};

struct zg_msg_ctl_audit_tail {
	uint32_t records; /* the last n first */
	uint32_t follow;
};

struct zg_msg_ctl_audit_line { /* a line may span messages */
	uint32_t bytes;
	uint32_t last; /* 1: ends the line */
	char text[4096];
};

/* A session with a local server: ctl_stdio (fd: where the client's messages come
 * from), then ctl_stdio_ask for each variable that the client may set and one with
 * last, ctl_stdio_env as often as the client has one, ctl_stdio_go (fd: where the
 * server's messages go), ctl_stdio_started; ctl_end when all is over. */
struct zg_msg_ctl_stdio {
	char server[ZG_SERVER_LEN];
};

struct zg_msg_ctl_stdio_ask {
	uint32_t last; /* 1: no name, go on */
	uint32_t pad;
	char name[ZG_METHOD_LEN];
};

struct zg_msg_ctl_stdio_env {
	char name[ZG_METHOD_LEN];
	char value[ZG_STDIO_ENV_LEN];
};

struct zg_msg_ctl_stdio_go {
	uint32_t pad[2];
};

struct zg_msg_ctl_stdio_started {
	uint32_t pid;
	uint32_t pad;
	char cgroup[ZG_CGROUP_LEN];
	char limits[ZG_REASON_LEN]; /* in force, and what this machine cannot bound */
};

/* parent -> gateway: the ends of one session, then its opening. The server's ends
 * may come again, after it was restarted. */
enum zg_stdio_end {
	ZG_SE_CLIENT_IN = 0, /* the client's messages */
	ZG_SE_CLIENT_OUT,
	ZG_SE_SERVER_IN,
	ZG_SE_SERVER_OUT,
	ZG_SE_SERVER_ERR, /* its log */
	ZG_SE_MAX,
};

struct zg_msg_stdio_fd {
	uint64_t session;
	uint32_t end; /* enum zg_stdio_end */
	uint32_t pad;
};

struct zg_msg_stdio_open {
	uint64_t session;
	uint32_t again; /* the server was restarted: say again what the client said first */
	uint32_t pad;
	struct zg_principal principal;
	char server[ZG_SERVER_LEN];
};

struct zg_msg_stdio_close {
	uint64_t session;
};

enum zg_stdio_cause {
	ZG_SC_NONE = 0,
	ZG_SC_CLIENT,  /* its input ended, or it takes nothing */
	ZG_SC_SERVER,  /* its output ended */
	ZG_SC_GARBAGE, /* it says what is no message */
	ZG_SC_REFUSED, /* the gateway cannot serve the session now */
};

/* gateway -> parent: no end of it is held any more; or, with lost, the server's are
 * not, and another one may be given. */
struct zg_msg_stdio_closed {
	uint64_t session;
	uint32_t cause; /* enum zg_stdio_cause */
	uint32_t lost;
	uint64_t garbage;  /* lines of the server that were no message, dropped */
	uint64_t withheld; /* messages of the server that were not passed on */
	uint64_t muted;	   /* lines of its log that were too many */
};

/* gateway -> parent: from now on the session's server may reach what that profile
 * may; "" = what its own may. Confirmed when the kernel has it. */
struct zg_msg_stdio_narrow {
	uint64_t session;
	uint64_t turn; /* the gateway's number of it */
	char profile[ZG_NAME_LEN];
};

struct zg_msg_stdio_narrowed {
	uint64_t session;
	uint64_t turn;
	uint32_t error; /* errno; 0 = it is so */
	uint32_t pad;
};

/* servers in the ledger's book (agent/ledger/servers.h) */
enum zg_server_state {
	ZG_SS_NONE = 0, /* never live from here: what is submitted, or a file's */
	ZG_SS_LIVE,
	ZG_SS_SUSPENDED,
	ZG_SS_REVOKED,
};

enum zg_server_pending {
	ZG_SP_NONE = 0,
	ZG_SP_SUBMITTED, /* one or two approvals are missing */
	ZG_SP_APPROVED,	 /* by two people; in force as soon as it can be */
};

/* handed over; then ctl_server_text from the client until bytes are there */
struct zg_msg_ctl_server_submit {
	char id[ZG_SERVER_LEN];
	char owner[ZG_OWNER_LEN];
	char version[64];
	char transport[ZG_NAME_LEN];
	char endpoint[ZG_REASON_LEN]; /* URL or command; may be cut */
	uint8_t sha256[32];
	uint32_t bytes;
	uint32_t pad;
	char reason[ZG_REASON_LEN];
};

struct zg_msg_ctl_server_text {
	uint32_t bytes;
	uint32_t last;	  /* of this text */
	uint32_t pending; /* what is submitted, not what is in force */
	uint32_t pad;
	char text[ZG_ENTRY_CHUNK];
};

enum zg_server_verb {
	ZG_SV_NONE = 0,
	ZG_SV_APPROVE,
	ZG_SV_SUSPEND,
	ZG_SV_RESUME,
	ZG_SV_REVOKE,
	ZG_SV_MAX
};

struct zg_msg_ctl_server_decide {
	char id[ZG_SERVER_LEN];
	uint32_t verb;	    /* enum zg_server_verb */
	uint32_t security;  /* approve: 1 as security, 2 as owner, 0 as whichever is missing */
	uint8_t sha256[32]; /* approve: the entry that was looked at */
	char reason[ZG_REASON_LEN];
};

struct zg_msg_ctl_servers_list {
	char id[ZG_SERVER_LEN]; /* "" = all */
	uint32_t texts;		/* and entries and steps with them */
	uint32_t pad;
};

struct zg_msg_ctl_server {
	char id[ZG_SERVER_LEN];
	char owner[ZG_OWNER_LEN];
	char version[64];
	char transport[ZG_NAME_LEN];
	char endpoint[ZG_REASON_LEN];
	uint32_t state;	   /* enum zg_server_state */
	uint32_t pending;  /* enum zg_server_pending */
	uint32_t in_force; /* it is in the configuration that is in force */
	uint32_t from_file;
	uint32_t submitter_uid; /* of what is pending; UINT32_MAX = nobody */
	uint32_t security_uid;
	uint32_t owner_uid;
	uint32_t pins;	   /* definitions that are known, */
	uint32_t withheld; /* and of them those that are withheld */
	uint32_t pad;
	uint64_t changed_ms;	     /* CLOCK_REALTIME; the last step */
	uint64_t used_ms;	     /* the last call; 0 = none is known */
	uint8_t sha256[32];	     /* of the entry that is pending, else of the live one */
	char problem[ZG_REASON_LEN]; /* why what is approved is not in force */
};

struct zg_msg_ctl_server_step {
	char id[ZG_SERVER_LEN];
	char what[ZG_NAME_LEN]; /* kind of its record */
	char acted_as[ZG_NAME_LEN];
	uint32_t uid; /* UINT32_MAX = the agent itself */
	uint32_t pid;
	uint64_t time_ms;
	uint8_t sha256[32]; /* of the entry that the step is about; zeros = none */
	char reason[ZG_REASON_LEN];
};

/* ledger -> parent: files of registry/ differ from those in force */
struct zg_msg_registry_changed {
	uint64_t change; /* counts up; answered when it is in force, or cannot be */
};

struct zg_msg_registry_taken {
	uint64_t change;
	uint32_t error; /* 0, or errno: the former configuration stays */
	uint32_t pad;
	char what[ZG_REASON_LEN];
};

/* config -> parent: a file of servers/ that needs approval (registry: files: submit) */
struct zg_msg_config_server {
	struct zg_msg_ctl_server_submit entry;
	char file[ZG_PATH_LEN];
};

/* parent -> ledger, fd: its text */
struct zg_msg_registry_file {
	struct zg_msg_ctl_server_submit entry;
};

/* ledger -> parent: start the command; ledger -> gateway: post it. Known by its
 * delivery, which is the same whenever it is sent again. */
struct zg_msg_notify {
	char delivery[ZG_NAME_LEN];
	char event[ZG_NAME_LEN]; /* kind of its record */
	uint32_t bytes;
	uint32_t pad;
	char text[ZG_NOTIFY_BYTES]; /* JSON */
};

struct zg_msg_notify_done {
	char delivery[ZG_NAME_LEN];
	uint32_t delivered;
	uint32_t status;	  /* HTTP status, exit status; 0 = there is none */
	char what[ZG_REASON_LEN]; /* why not */
};

struct zg_msg_ctl_end {
	int32_t error;	   /* 0, or -errno */
	uint32_t exit;	   /* what the CLI should exit with: 0..3 */
	uint32_t conflict; /* enum zg_conflict, if that is why */
	uint32_t pad;
	char what[ZG_REASON_LEN]; /* for people; "" if all is well */
	char hint[ZG_REASON_LEN];
};

#define X(NAME, name, from, to, fd)                                                                \
	_Static_assert(sizeof(struct zg_msg_##name) <= ZG_MSG_MAX_BYTES, "message too large");     \
	_Static_assert(sizeof(struct zg_msg_##name) % 8 == 0 ||                                    \
			       _Alignof(struct zg_msg_##name) < 8,                                 \
		       "hidden padding");
#include "tbl/message.h"
#undef X

#endif
