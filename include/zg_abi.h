/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * zg_abi.h - what the BPF programs and the parent share: map keys and values,
 * events, and the answer of the private socket option. The only header that
 * both sides include. Integers are host order unless a name ends in _be;
 * addresses are 16 bytes in network order, IPv4 as v4-mapped (::ffff:a.b.c.d).
 * Padding is explicit and always zero: it is part of a hash key.
 */
#ifndef ZG_ABI_H
#define ZG_ABI_H

#ifndef __bpf__
#include <linux/types.h>
#endif
#include "zg_limits.h"

/* Changes whenever a pinned map changes shape: other pins are not taken over. */
#define ZG_ABI_VERSION 7

enum zg_verdict {
	ZG_V_DENY = 0, /* zero is deny: an unset verdict never opens a door */
	ZG_V_ALLOW = 1,
	ZG_V_REDIRECT = 2, /* TCP only: to the gateway's listener */
	ZG_V_RESOLVE = 3,  /* DNS: to the profile's resolver; stands in no rule */
};

enum zg_mode {
	ZG_MODE_ENFORCE = 0,
	ZG_MODE_AUDIT = 1, /* record what would be denied, let it pass */
};

/* What happens to an MCP server that nobody registered; zero is the strictest. */
enum zg_shadow {
	ZG_SHADOW_KILL = 0,
	ZG_SHADOW_AUDIT = 1, /* record it, let it serve */
	ZG_SHADOW_OFF = 2,   /* do not look */
};

enum zg_direction {
	ZG_DIR_OUT = 0, /* the remote address and port, dialled */
	ZG_DIR_IN = 1,	/* the remote address, and the local port that it dials */
};

/* Why the kernel gate said what it said; texts in tbl/gate_reason.h. */
enum zg_gate_reason {
	ZG_GR_NONE = 0,
	ZG_GR_NO_IDENTITY,  /* no prefix covers the address */
	ZG_GR_NO_RULE,	    /* the profile has no rule for the address and protocol */
	ZG_GR_PORT,	    /* it has one, but not for this port */
	ZG_GR_RULE_DENY,    /* an explicit deny */
	ZG_GR_CONTAINED,    /* the profile is contained */
	ZG_GR_NETNS,	    /* redirect impossible: another network namespace */
	ZG_GR_NO_GATEWAY,   /* redirect impossible: no listener of that family */
	ZG_GR_STATE,	    /* the gate could not keep the state it needs */
	ZG_GR_FAMILY,	    /* an address family that the hook does not judge */
	ZG_GR_PROTOCOL,	    /* a socket that is neither TCP nor UDP */
	ZG_GR_BIND,	    /* a port that the profile does not listen on */
	ZG_GR_GATEWAY,	    /* the port of the gateway's listener */
	ZG_GR_INBOUND,	    /* a connection that the profile does not accept */
	ZG_GR_DIRECT,	    /* a packet to a registered server, not to the gateway */
	ZG_GR_PACKET,	    /* it may go elsewhere than it says, or hides its ports */
	ZG_GR_UNIX,	    /* a unix socket that no entry allows */
	ZG_GR_UNIX_CONTROL, /* one through which others are told to start processes */
	ZG_GR_OPTION,	    /* a socket option that sends or routes by itself */
	ZG_GR_RESOLVER,	    /* DNS, where the profile has no names to resolve */
	ZG_GR_SHADOW,	    /* it speaks MCP and is not registered */
	ZG_GR_SOCKET,	    /* a socket of a family that no layer below judges */
	ZG_GR_PASSED,	    /* a connected socket from outside the profile */
	ZG_GR_EXEC,	    /* an executable that the profile denies */
	ZG_GR_PTRACE,	    /* another process outside the profile */
	ZG_GR_TAMPER,	    /* the agent's own maps, programs and links */
	ZG_GR_LEFT,	    /* a process that was moved out of its cgroup */
	ZG_GR_MAX,
};

enum zg_layer {
	ZG_L_NONE = 0,
	ZG_L_CONNECT = 1,
	ZG_L_SENDMSG = 2,
	ZG_L_SOCKOPS = 3,
	ZG_L_CREATE = 4,
	ZG_L_BIND = 5,
	ZG_L_EGRESS = 6,
	ZG_L_INGRESS = 7,
	ZG_L_UNIX = 8,
	ZG_L_SETSOCKOPT = 9,
	ZG_L_LSM = 10,
	ZG_L_STDIO = 11,
	ZG_L_MEMBER = 12,
	ZG_L_MAX,
};

/* maps -------------------------------------------------------------------- */

/*
 * A policy change is one write: zg_ctl.epoch. Every value that policy decides
 * exists once per slot (0 and 1); an update fills the idle slot, then flips.
 */
struct zg_ctl {
	__u32 abi;
	__u32 sticky; /* processes that left their cgroup and are governed by pid */
	union {
		struct {
			__u32 epoch;   /* counts flips; the lowest bit is the slot in force */
			__u32 members; /* counts changes of membership, each after it was made */
		};
		__u64 stamp; /* both at once: while it is the same, who is governed is */
	};
	__u64 generation;   /* its number, for people; written after the flip */
	__u64 netns_cookie; /* where the gateway listens */
	__u8 gateway4[16];  /* v4-mapped; all zero = no listener of the family */
	__u8 gateway6[16];
	__u16 gateway4_port_be;
	__u16 gateway6_port_be;
	__u32 pad;
	__u64 gateway4_cookie; /* of the listeners' sockets: nobody else's may have the port */
	__u64 gateway6_cookie;
};
_Static_assert(sizeof(struct zg_ctl) == 88, "zg_ctl");

struct zg_addr_key {	 /* LPM trie */
	__u32 prefixlen; /* 0..128; IPv4 /n is 96 + n */
	__u8 addr[16];
};
_Static_assert(sizeof(struct zg_addr_key) == 20, "zg_addr_key");

struct zg_addr_val {
	__u32 identity[2]; /* per slot; 0 = none */
};

struct zg_rule_key { /* hash */
	__u32 profile;
	__u32 identity;
	__u8 proto; /* IPPROTO_TCP or IPPROTO_UDP */
	__u8 slot;
	__u8 direction; /* enum zg_direction */
	__u8 pad;
};
_Static_assert(sizeof(struct zg_rule_key) == 12, "zg_rule_key");

struct zg_port_rule { /* lo <= port <= hi, host order */
	__u16 lo;
	__u16 hi;
	__u8 verdict; /* enum zg_verdict */
	__u8 pad[3];
};

struct zg_rule_val { /* ranges are disjoint and sorted; deny already won */
	__u32 count;
	__u32 pad;
	struct zg_port_rule port[ZG_PORT_RULES_MAX];
};
_Static_assert(sizeof(struct zg_rule_val) == 8 + 8 * ZG_PORT_RULES_MAX, "zg_rule_val");

/*
 * LPM trie. path is a sun_path filled up with zeros, "@..." for an abstract
 * name, /run for /var/run. An entry for one path has a NUL at its end.
 */
struct zg_unix_key {
	__u32 prefixlen; /* in bits, of all that follows */
	__u32 profile;	 /* ZG_PROFILE_NONE: of all, with "*" for the user in /run/user */
	__u32 slot;
	char path[ZG_EVENT_PATH];
};
_Static_assert(sizeof(struct zg_unix_key) == 12 + ZG_EVENT_PATH, "zg_unix_key");

struct zg_unix_val {
	__u8 verdict; /* enum zg_verdict */
	__u8 reason;  /* enum zg_gate_reason of a deny */
	__u8 bytes;   /* of path in the key that was found */
	__u8 prefix;  /* behind them, anything without a slash */
};
_Static_assert(sizeof(struct zg_unix_val) == 4, "zg_unix_val");

/*
 * Profile ids: 0 = ungoverned, 1 = the gateway itself, 2 = the resolver, then
 * the configured, by their place in the configuration. A reload may give a
 * name another id, so everything that holds an id exists per slot and changes
 * with the flip.
 */
#define ZG_PROFILE_NONE	    0
#define ZG_PROFILE_GATEWAY  1
#define ZG_PROFILE_RESOLVER 2
#define ZG_PROFILE_FIRST    3
#define ZG_PROFILE_CANARY   (ZG_PROFILES_MAX - 1) /* the agent's own proof: no rule ever */
#define ZG_PROFILE_GONE	    0xffffffffu		  /* left the configuration: no rule, all denied */

struct zg_profile {	    /* array by slot * ZG_PROFILES_MAX + profile id */
	__u8 mode;	    /* enum zg_mode */
	__u8 contained;	    /* non-zero: deny everything */
	__u8 shadow_wire;   /* enum zg_shadow */
	__u8 shadow_stdio;  /* enum zg_shadow */
	__u16 dns4_port_be; /* its resolver on 127.0.0.1; 0 = it has none */
	__u16 dns6_port_be; /* and on ::1 */
	__u8 asks;	    /* people may grant it connections: zg_grant */
	__u8 pad[3];
	char name[ZG_NAME_LEN]; /* pairs the ids of two generations */
};
_Static_assert(sizeof(struct zg_profile) == 12 + ZG_NAME_LEN, "zg_profile");

struct zg_membership {	  /* hash by cgroup id (the directory's inode number) */
	__u32 profile[2]; /* per slot */
};

/*
 * What a host name was found to stand for. Rows need not be disjoint: each is
 * what one name, or several that agree, may reach, and lives as long as it. An
 * expired row opens nothing new; flows that are open keep the entry alive.
 */
struct zg_name_key { /* hash */
	__u32 profile;
	__u8 proto;
	__u8 slot;
	__u8 pad[2];
	__u8 addr[16];
};
_Static_assert(sizeof(struct zg_name_key) == 24, "zg_name_key");

struct zg_name_row {
	__u64 expires_ns; /* CLOCK_BOOTTIME */
	__u16 lo;	  /* host order */
	__u16 hi;
	__u8 verdict; /* ZG_V_ALLOW or ZG_V_REDIRECT, which wins where rows overlap */
	__u8 pad[3];
};

struct zg_name_val {
	__u64 used_ns; /* written by the gate: when a packet last needed it */
	__u32 count;
	__u32 pad;
	struct zg_name_row row[ZG_PORT_RULES_MAX];
};
_Static_assert(sizeof(struct zg_name_val) == 16 + 16 * ZG_PORT_RULES_MAX, "zg_name_val");

/* The parent's memory of the same, for the parent after it; no verdict rests on it. */
struct zg_learned_key { /* hash */
	char profile[ZG_NAME_LEN];
	char name[ZG_HOST_LEN];
	__u8 addr[16];
};
_Static_assert(sizeof(struct zg_learned_key) == 16 + ZG_NAME_LEN + ZG_HOST_LEN, "zg_learned_key");

struct zg_learned_val {
	__u64 expires_ns; /* CLOCK_BOOTTIME */
};

/* A process that was moved out of its governed cgroup, by its tgid (hash). The
 * start tells it from another of that number. */
struct zg_sticky {
	__u32 profile[2]; /* per slot */
	__u64 start_ns;
};

/* What a cgroup will be when it is made: hash by its folder's id, 0, 1, ... in
 * the order in which they are tried. */
struct zg_nursery_key {
	__u64 folder;
	__u32 index;
	__u32 pad;
};

struct zg_nursery {
	__u32 profile[2]; /* per slot */
	__u8 prefix_bytes;
	__u8 suffix_bytes;
	__u8 exact; /* the name is the prefix, no more */
	__u8 pad;
	char prefix[ZG_NURSERY_PREFIX];
	char suffix[ZG_NURSERY_SUFFIX];
};
_Static_assert(sizeof(struct zg_nursery) == 12 + ZG_NURSERY_PREFIX + ZG_NURSERY_SUFFIX,
	       "zg_nursery");

/* An executable that a profile denies, by what the file is: a name may lead
 * anywhere. dev is the kernel's own number, major << 20 | minor. */
struct zg_exec_key { /* hash */
	__u64 ino;
	__u32 dev;
	__u32 profile;
	__u32 slot;
	__u32 pad;
};
_Static_assert(sizeof(struct zg_exec_key) == 24, "zg_exec_key");

/*
 * A connection that a person has granted to one executable, where the profile's
 * own rules say nothing. It holds in the epoch that it was made in, no longer:
 * with another policy the question is another. ino 0 and dev 0: of any
 * executable, which answers questions about live sockets and nothing else.
 */
struct zg_grant_key { /* hash */
	__u8 addr[16];
	__u64 exe_ino;
	__u32 exe_dev; /* as in zg_exec_key */
	__u32 profile;
	__u32 epoch;
	__u16 port_be;
	__u8 proto; /* IPPROTO_TCP or IPPROTO_UDP */
	__u8 pad;
};
_Static_assert(sizeof(struct zg_grant_key) == 40, "zg_grant_key");

struct zg_grant_val {
	__u64 expires_ns; /* CLOCK_BOOTTIME; of open flows too */
};

/* attested origin --------------------------------------------------------- */

/*
 * getsockopt(fd, ZG_SOL, ZG_SO_ORIGIN, &origin, &len) on a connection that the
 * gateway accepted. Answered by the kernel gate; any error (the kernel's own is
 * EOPNOTSUPP or ENOPROTOOPT) means that nobody attests this connection, and it
 * must be refused.
 */
#define ZG_SOL	     0x5a47
#define ZG_SO_ORIGIN 1

struct zg_origin {
	__u64 cgroup_id; /* of the task that called connect() */
	__u64 start_ns;	 /* task start, CLOCK_BOOTTIME: with pid, unique */
	__u64 netns_cookie;
	__u32 pid; /* thread group id in the initial pid namespace */
	__u32 uid; /* in the initial user namespace */
	__u32 gid;
	__u32 profile;
	__u8 dst[16]; /* where the client wanted to go */
	__u16 dst_port_be;
	__u8 family;	  /* AF_INET or AF_INET6, of the client's socket */
	__u8 transparent; /* 1: redirected, 0: it dialled the gateway */
	__u32 exe_dev;	  /* what that task executed, as in zg_exec_key */
	__u64 exe_ino;	  /* 0 = not to be told */
	char comm[16];
	char profile_name[ZG_NAME_LEN]; /* ids move with reloads, names do not */
};
_Static_assert(sizeof(struct zg_origin) == 120, "zg_origin");

/* (namespace, 4-tuple) as the client's socket sees it after the redirect */
struct zg_flow_key {
	__u64 netns_cookie;
	__u8 src[16];
	__u8 dst[16];
	__u16 src_port_be;
	__u16 dst_port_be;
	__u32 pad;
};
_Static_assert(sizeof(struct zg_flow_key) == 48, "zg_flow_key");

/* events ------------------------------------------------------------------ */

enum zg_event_kind {
	ZG_E_DENY = 1,	     /* ring "deny" */
	ZG_E_WOULD_DENY = 2, /* audit mode; ring "deny" */
	ZG_E_REDIRECT = 3,   /* ring "info" */
	ZG_E_LEAVE = 4,	     /* a process left its governed cgroup; ring "deny" */
	ZG_E_NAME = 5,	     /* allowed by a name's address only; ring "info" */
	ZG_E_MAX,
};

/*
 * A packet has no task: cgroup_id and uid are its socket's, and pid, start_ns,
 * gid, netns_cookie, comm and the executable are zero. Refused packets of one flow are told
 * once a ZG_QUIET_NS.
 */
struct zg_event {
	__u64 time_ns; /* CLOCK_BOOTTIME */
	__u64 cgroup_id;
	__u64 start_ns;
	__u64 netns_cookie;
	__u32 pid;
	__u32 uid;
	__u32 gid;
	__u32 profile;
	__u32 identity;
	__u8 kind;   /* enum zg_event_kind */
	__u8 layer;  /* enum zg_layer */
	__u8 reason; /* enum zg_gate_reason */
	__u8 proto;  /* 0: its number has more than 8 bits */
	__u8 family;
	__u8 pad;
	__u16 port_be;
	__u8 addr[16];
	char comm[16];
	__u32 detail;		  /* option: level << 16 | name; shadow: the signatures' bits;
				   * leave: the pid that moved it */
	char cgroup_name[64];	  /* the last part of its path: it may be gone when this is read */
	char path[ZG_EVENT_PATH]; /* unix socket ("@" = abstract), executable; else "" */
	__u64 cookie;		  /* of a packet's socket, and its own end; else zero */
	__u8 local[16];
	__u16 local_port_be;
	__u8 pad2[2];
	__u32 exe_dev; /* what the task executed, as in zg_exec_key */
	__u64 exe_ino;
};
_Static_assert(sizeof(struct zg_event) == 312, "zg_event");

struct zg_quiet_key { /* LRU hash: what was told of packets, and when; events only */
	__u64 cgroup_id;
	__u8 addr[16];
	__u16 port_be;
	__u8 proto;
	__u8 reason;
	__u32 profile;
};
_Static_assert(sizeof(struct zg_quiet_key) == 32, "zg_quiet_key");

/* questions --------------------------------------------------------------- */

/*
 * What the agent asks about a destination, in one packet of BPF_PROG_TEST_RUN,
 * and what the verdict of all layers answers, in the same place. Who: a profile
 * id of the generation in force, or a cgroup with all its ancestors.
 */
struct zg_question {
	__u8 ethernet[16]; /* zero: the kernel looks for a header here */
	__u64 cgroup_id;
	__u64 ancestor[ZG_CGROUP_DEPTH_MAX]; /* from the root down to itself; 0 ends it */
	__u32 profile;			     /* instead of a cgroup, unless 0 */
	__u16 port_be;			     /* of the other end */
	__u16 local_port_be;
	__u8 addr[16]; /* of the other end, as on the wire */
	__u8 proto;
	__u8 direction; /* enum zg_direction: who dialled */
	__u8 live;	/* a packet of a live flow: it may go by either direction */
	__u8 pad;
	/* the answer */
	__u8 verdict;	/* enum zg_verdict */
	__u8 reason;	/* enum zg_gate_reason */
	__u8 audit;	/* a deny would be recorded and let pass */
	__u8 gateway;	/* the destination is the gateway's listener */
	__u32 answered; /* the profile that was judged; 0 = not governed */
	__u32 identity;
};
_Static_assert(sizeof(struct zg_question) == 256, "zg_question");

/* per-CPU counters, index = enum zg_event_kind: events that found no room */

/* what MCP looks like ------------------------------------------------------ */

#define SIGNATURE(NAME, place, level, key, value, text) ZG_SIG_##NAME,
#define RULE(mask)
/* a bit of zg_event.detail each */
enum zg_signature {
#include "tbl/mcp_signature.h"
	ZG_SIG_COUNT,
};
#undef SIGNATURE
#undef RULE
_Static_assert(ZG_SIG_COUNT <= 32, "zg_event.detail");

#define ZG_SIG_STATES  512
#define ZG_SIG_CLASSES 64
#define ZG_SIG_RULES   16
#define ZG_SIG_SHIFT   10 /* a cell: action << ZG_SIG_SHIFT | next state */

/* what a cell of the automaton asks for */
enum zg_cue {
	ZG_CUE_NONE,
	ZG_CUE_MESSAGE, /* a request or status line ended */
	ZG_CUE_LENGTH,	/* Content-Length, and a digit of it */
	ZG_CUE_DIGIT,
	ZG_CUE_CHUNKED, /* Transfer-Encoding */
	ZG_CUE_BODY,	/* a head ended */
	ZG_CUE_HEX,	/* a digit of a chunk's size, and its line's end */
	ZG_CUE_CHUNK,
	ZG_CUE_FIELD, /* of an event stream */
	ZG_CUE_JSON,  /* the first brace or bracket of a message */
	ZG_CUE_BATCH,
	ZG_CUE_OPEN,
	ZG_CUE_CLOSE,
	ZG_CUE_OTHER, /* nothing that is looked at */
	ZG_CUE_SIGNATURE = 16,
};

/*
 * One automaton over the bytes of a stream; parent/signature.c builds it from
 * tbl/mcp_signature.h, bpf/signature.bpf.h runs it. State 0 is the start of a
 * message, of a line of an event stream, and of an HTTP body.
 */
struct zg_automaton {
	__u32 id;		  /* of its content; 0 = not there: nothing can be judged */
	__u16 status;		  /* the first state of those that a status line has, */
	__u16 status_count;	  /* and how many these are */
	__u16 head;		  /* at the start of a header line */
	__u16 chunk;		  /* at the start of a chunk's size */
	__u32 rule[ZG_SIG_RULES]; /* all bits of one of these: MCP; 0 = none */
	__u8 level[32];		  /* of each signature: depth in its message; 0 = any */
	__u8 class_of[256];
	__u16 next[ZG_SIG_STATES * ZG_SIG_CLASSES];
};
_Static_assert(sizeof(struct zg_automaton) ==
		       12 + 4 * ZG_SIG_RULES + 32 + 256 + 2 * ZG_SIG_STATES * ZG_SIG_CLASSES,
	       "zg_automaton");

enum zg_sight {
	ZG_SIGHT_ON = 0,
	ZG_SIGHT_SKIP, /* not before m->end */
	ZG_SIGHT_DONE, /* not before the direction turns */
};

enum zg_framing { ZG_FRAME_NONE = 0, ZG_FRAME_LENGTH, ZG_FRAME_CHUNKED };

struct zg_matcher {   /* all zero is the start of a stream */
	__u64 at;     /* bytes before the next one */
	__u64 end;    /* of the body or chunk; 0 = not known */
	__u64 number; /* being read */
	__u32 found;  /* signatures of this message */
	__u32 hit;    /* the same, once they fulfil a rule */
	__u32 spent;  /* bytes looked at since the message began or the direction turned */
	__u32 seq;    /* of TCP: the next one */
	__u16 state;
	__u16 resume; /* after a chunk's size */
	__u8 sight;   /* enum zg_sight */
	__u8 framing; /* enum zg_framing */
	__u8 depth;   /* of braces and brackets */
	__u8 base;    /* the depth of a message's own members: 2 in a batch */
	__u8 synced;  /* seq is right */
	__u8 cue;     /* enum zg_cue: what the last byte asked for */
	__u8 pad[2];
};
_Static_assert(sizeof(struct zg_matcher) == 56, "zg_matcher");

struct zg_stream {		  /* of a TCP socket; it lives and dies with it */
	struct zg_matcher dir[2]; /* out, in */
	__u32 automaton;	  /* whose states these are */
	__u8 turn;		  /* 1 + who spoke last; 0 = nobody yet */
	__u8 told;		  /* 1 << enum zg_event_kind */
	__u8 pad[2];
};
_Static_assert(sizeof(struct zg_stream) == 120, "zg_stream");

#endif
