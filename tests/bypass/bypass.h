/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bypass.h - attempts to get past the gate, and the stage they are made on.
 *
 * An attempt is a real process that does what an attacker would do. It is made
 * twice: by a process that nobody governs, where it must arrive (or the attempt
 * itself is broken), and by a governed one, where nothing may. What arrived is
 * what the other side received: sinks at each address, unix sockets, a process
 * outside, and the wire.
 *
 * To add one: a function and a row in the file of its kind (attempt_lists in
 * bypass.c), and a row in include/tbl/bypass.h if it is a technique of its own.
 */
#ifndef ZG_BYPASS_H
#define ZG_BYPASS_H

#include "kernel_lab.h"

enum technique {
#define X(name, text, layers) T_##name,
#include "tbl/bypass.h"
#undef X
	TECHNIQUES,
};

#define MARK	  "zerogate-bypass-mark" /* what must not arrive */
#define MARK_LEN  (sizeof(MARK) - 1)
#define NET_DEV	  "zgbypass0"	/* a device that has multicast and leads nowhere */
#define NET_ADDR4 "198.18.66.1" /* its address; the rest of its /24 is beyond it */
#define BEYOND4	  "198.18.66.2"

/* Nobody at these is allowed, at none of the ports. */
#define OUT4	    "127.66.0.1"
#define OUT6	    "fd66::1"
#define LOCAL4	    "127.0.0.1"
#define LOCAL6	    "::1"
#define META4	    "169.254.169.254"
#define META6	    "fd00:ec2::254"
#define NAT64	    "64:ff9b::7f42:1" /* 127.66.0.1 inside */
#define SIXTO4	    "2002:7f42:1::1"  /* 127.66.0.1 inside */
#define PORT	    4444
#define SERVER4	    "127.66.0.9" /* a registered MCP server */
#define SERVER_PORT 6666
#define GRANTED4    "127.66.0.5" /* at PORT: granted to others, see grant.c */

/* The profile allows this one at LOCAL4 and LOCAL6, TCP and UDP. */
#define PORT_OK	     5555
#define PORT_MCP     5556 /* allowed as well, and an MCP server that nobody registered */
#define GATEWAY_PORT 7411

/* Unix sockets of processes outside, one of each kind; nobody is allowed any
 * but those in UNIX_OK. /run is the stage's own. */
#define UNIX_STREAM	    "/run/zg-stream"
#define UNIX_DGRAM	    "/run/zg-dgram"
#define UNIX_SEQ	    "/run/zg-seq"
#define UNIX_ABSTRACT	    "@zg-bypass-stream"
#define UNIX_ABSTRACT_DGRAM "@zg-bypass-dgram"
#define UNIX_OK		    "/run/ok"

/* In shared memory: what processes of one attempt tell each other. */
struct told {
	uint8_t run;		 /* differs between two runs: the last byte of their groups */
	volatile int arrived;	 /* the receiver, whoever it is, has the mark */
	volatile pid_t outside;	 /* the process outside */
	volatile pid_t governed; /* who is to be governed, if not who began */
	volatile uint16_t port;
	char loose[32]; /* a cgroup that nobody governs and the workload may write to */
};

struct stage {
	struct lab *lab;
	struct told *told;
	int link[2]; /* a unix pair: [0] the attempt's, [1] the process' outside */
	int ready;   /* write end: see step_ready */
	int fd;	     /* what before() made */
};

/* 0, or the errno that the attempt met. */
typedef int attempt_fn(struct stage *st);

struct attempt {
	const char *id;
	enum technique technique;
	const char *what;
	attempt_fn *run;
	attempt_fn *before;  /* the same process, while nobody governs it */
	attempt_fn *outside; /* another process, which nobody governs; calls step_ready */
	bool root;	     /* keeps uid 0 */
	bool later;	     /* its cgroup becomes governed after before() */
	bool removed;	     /* its cgroup is removed when its process has ended */
	bool inbound;	     /* only told->arrived counts: the mark is sent from outside */
	bool optional;	     /* needs what a kernel may lack */
	bool tampers;	     /* the gate is repaired afterwards */
};

struct attempt_list {
	const struct attempt *attempt;
	size_t count;
};
#define ATTEMPTS(name)                                                                             \
	const struct attempt_list name = {name##_rows, sizeof(name##_rows) / sizeof(name##_rows[0])}

extern const struct attempt_list dial_attempts, datagram_attempts, uring_attempts, fd_attempts,
	unix_attempts, namespace_attempts, socket_attempts, option_attempts, listen_attempts,
	shadow_attempts, outside_attempts, tamper_attempts, grant_attempts;

/* stage.c ------------------------------------------------------------------- */

#define IN_AGENT "agent" /* the governed cgroup below the root */

/* Targets, receivers and the gate with its policy; everything ends with the process. */
void stage_open(struct stage *st);
void stage_close(struct stage *st);
/* Let processes of the workload's user move what is theirs into a cgroup. */
void stage_delegate(const struct stage *st, const char *below);
/* The gate as it was at first, after an attempt that broke it. */
void stage_repair(struct stage *st);
/* receive.c: forget what came so far; connections that were made stay and are
 * watched. */
void receive_open(void);
void receive_settle(const struct stage *st);
/* ... and forget those too. */
void receive_forget(const struct stage *st);
/* Has anything come that may not, within ms? */
bool receive_arrived(const struct stage *st, bool inbound, int ms);
/* Layers of the running gate: bits of enum zg_layer. */
uint32_t stage_layers(const struct stage *st);
extern const char *const layer_names[ZG_L_MAX];

/* ms for an attempt's own blocking calls; more of it where an attempt is made again */
extern int patience_ms;
struct timeval patience(void);

/* steps.c: what many attempts do. All: 0 or errno unless said otherwise ------ */

int step_socket(const char *addr, int type); /* fd; ends the process when it fails */
int step_connect(int fd, const char *addr, uint16_t port);
int step_send(int fd);
int step_sendto(int fd, int flags, const char *addr, uint16_t port);
int step_dial(const char *addr, uint16_t port); /* TCP: connect and send */
int step_datagram(const char *addr, uint16_t port);
/* Read from fd until the mark was there (told->arrived) or nothing comes. */
int step_receive(struct stage *st, int fd);
/* Data in an address, told to the network in IGMP and MLD: a group of this run
 * alone, because such reports are repeated. */
struct in_addr step_group4(const struct stage *st);
struct in_addr step_source4(const struct stage *st);
struct in6_addr step_group6(const struct stage *st);
/* The process outside has done what must be done before the attempt is made. */
void step_ready(struct stage *st);
/* Pass a descriptor over a unix socket; take one (fd, or -1). */
int step_pass(int over, int fd);
int step_take(int over);

#endif
