/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * zg_limits.h - every cap on what a peer, a file or the kernel can make us
 * hold, each with one line of reason. Shared by BPF and C: numbers only.
 */
#ifndef ZG_LIMITS_H
#define ZG_LIMITS_H

/* kernel gate */
#define ZG_CGROUP_DEPTH_MAX  24	     /* ancestors walked per hook; deeper ones inherit */
#define ZG_PROFILES_MAX	     1024    /* one array slot each; 100 is a large host */
#define ZG_CHANNEL_BYTES     4194304 /* to a child at once: 4 sockets of each profile, 1 KB each */
#define ZG_GOVERNED_MAX	     65536   /* cgroups named by profiles, runs included */
#define ZG_STICKY_MAX	     65536   /* processes that left their cgroup; full: they are killed */
#define ZG_NURSERY_MAX	     4096    /* globs below watched folders, each once a folder */
#define ZG_NURSERY_RULES     16	     /* of one folder, tried in line as a cgroup is made */
#define ZG_NURSERY_PREFIX    64	     /* of a glob's last part; longer ones wait for the parent */
#define ZG_NURSERY_SUFFIX    32
#define ZG_STDIO_BYTES	     1048576 /* of one stdout: a handshake comes first; more is data */
#define ZG_CGROUP_LINGER_SEC 900     /* a closed connection gives up sending again by then */
#define ZG_PREFIXES_MAX	     2097152 /* trie entries: 1,000,000 in use, twice for a swap */
#define ZG_RULES_MAX	     1048576 /* (profile, identity, protocol), two generations */
#define ZG_UNIX_MAX	     65536   /* unix socket entries of all profiles, two generations */
#define ZG_EVENT_PATH	     112     /* sun_path has 108 */
#define ZG_EXECS_MAX	     8192    /* denied executables of all profiles, two generations */
#define ZG_GRANTS_MAX	     1024 /* connections granted by people at a time; each takes two rows */
#define ZG_PORT_RULES_MAX    16	  /* disjoint port ranges of one rule, scanned in line */
#define ZG_FLOWS_MAX	     65536 /* redirected connections between SYN and close */
#define ZG_QUIET_MAX	     8192  /* flows whose refusal was just told; forgetting one is safe */
#define ZG_QUIET_NS	     1000000000ULL  /* a refused flow retransmits several times a second */
#define ZG_QUIET_AUDIT_NS    60000000000ULL /* in audit mode it goes on, packet after packet */
#define ZG_NAMES_MAX	     16384	    /* (profile, name, address) learned and alive */
#define ZG_NAME_TOUCH_NS     1000000000ULL  /* how exactly the use of a learned address is known */
#define ZG_LOOK_BYTES	     4096    /* of a message: MCP shows itself in the first few hundred */
#define ZG_LOOK_PIECE	     128     /* looked at in one go, on the stack of a program */
#define ZG_LOOK_STEPS	     1024    /* pieces and skips of one packet; the largest has 64 kB */
#define ZG_RING_DENY_BYTES   2097152 /* about 6,000 denials between two wake-ups */
#define ZG_RING_INFO_BYTES   262144  /* redirects and notices: fewer, less urgent */

/* executables of principals */
#define ZG_EXECUTABLE_BYTES  536870912 /* hashed at most; Node and browsers have 100 to 250 MB */
#define ZG_EXECUTABLES_KNOWN 256       /* digests remembered; a machine runs few that ask */
#define ZG_EXECUTABLES_ASKED 64	       /* questions that wait for a digest */
#define ZG_EXE_NAMES	     256       /* processes whose executable one worker knows */

/* connections that people grant */
#define ZG_ASKS_PROFILE_MAX 32	  /* of one profile that wait, or were denied a moment ago */
#define ZG_ASKS_SEC	    10	  /* new questions of all profiles in a second */
#define ZG_GRANT_SEC	    3600  /* a grant holds so long, unless told */
#define ZG_GRANT_MAX_SEC    86400 /* a day; what is needed longer belongs into a profile */

/* self-proof */
#define ZG_PROOF_SEC	  60   /* between two rounds */
#define ZG_PROOF_TELL_SEC 3600 /* a state that does not change is recorded so often */
#define ZG_PROOF_MS	  3000 /* one round of the canary; its doors answer at once */
#define ZG_PROOF_PAUSE_MS 1200 /* between two rounds: packets are told once a second */
#define ZG_READBACK_MS	  4    /* of the loop's time at once; so a million prefixes take seconds */
#define ZG_RECONCILE_SEC  5    /* live connections are held against the verdict so often */
#define ZG_UNKNOWN_TOLD	  256  /* unknown connections that stay, remembered to be told once */
#define ZG_CANARY_DOORS	  16   /* attempts of one round */

/* text that travels in fixed-size messages and records (NUL included) */
#define ZG_HOST_LEN	 256  /* a host name: 253 characters at most */
#define ZG_NAME_LEN	 32   /* user, group, profile, approval id */
#define ZG_COMM_LEN	 16   /* TASK_COMM_LEN */
#define ZG_SERVER_LEN	 64   /* registry id: a URL path segment */
#define ZG_OWNER_LEN	 64   /* who answers for a server */
#define ZG_METHOD_LEN	 64   /* longest of the specification has 35 */
#define ZG_TOOL_LEN	 192  /* the specification allows 128 characters; URIs are cut */
#define ZG_RULES_LEN	 256  /* comma list of rule ids, cut with "..." */
#define ZG_REFUSAL_LEN	 160  /* what was refused: a few words and a socket's path */
#define ZG_REASON_LEN	 256  /* one sentence for a person or a model */
#define ZG_CGROUP_LEN	 256  /* path below the cgroup root, cut from the left */
#define ZG_PATH_LEN	 512  /* a configured path */
#define ZG_FINDINGS_LEN	 192  /* "kind:count,..." */
#define ZG_WHY_LEN	 1024 /* reasons of the rules that ask for a person */
#define ZG_ARGS_TEXT_LEN 8192 /* masked arguments shown to an approver */

/* configuration */
#define ZG_LISTEN_MAX		8	  /* listeners of the gateway */
#define ZG_WORKERS_MAX		16	  /* gateway processes */
#define ZG_CONFIG_FILES_MAX	4096	  /* policies and servers together */
#define ZG_CONFIG_FILE_BYTES	4194304	  /* one policy or registry file */
#define ZG_CONFIGURE_SEC	60	  /* compiling a million prefixes takes a few */
#define ZG_SIGNERS_MAX		8	  /* keys that a policy may be signed with */
#define ZG_SIGNATURE_BYTES	16384	  /* policy.sig: one signature takes 250 */
#define ZG_WATCH_ROWS		64	  /* names and folders that are looked at for changes */
#define ZG_WATCH_WRITERS	64	  /* files that are being written at once */
#define ZG_WATCH_QUIET_MS	250	  /* a change is loaded when no other followed so long, */
#define ZG_WATCH_LATEST_MS	2000	  /* or when the first of them is so old, */
#define ZG_WATCH_WRITER_MS	10000	  /* or, of a file that is being written, this old, */
#define ZG_WATCH_PAUSE_MS	1000	  /* and not sooner after the last load than this */
#define ZG_SNAPSHOT_BYTES	268435456 /* compiled; 1,000,000 prefixes take 24 MB */
#define ZG_SERVERS_MAX		4096	  /* registered servers */
#define ZG_OWNERS_MAX		64	  /* owners of servers: bits of one word */
#define ZG_ENDPOINTS_PER_SERVER 16	  /* addresses of one server */
#define ZG_POLICY_RULES_MAX	65535	  /* rule index is 16 bits */
#define ZG_POLICY_RUNTIME_MAX	86400	  /* max_runtime_sec: a day */
#define ZG_POLICY_RETRIES_MAX	1000	  /* max_retries: above it is no bound */
#define ZG_PATTERN_LEN		512	  /* of a regex, pattern, pointer or value in a condition */
#define ZG_URI_PATTERN_LEN	1024	  /* of a registered resource, or a pattern of them */
#define ZG_URI_BYTES		8192   /* of a resource that is asked for; longer ones are denied */
#define ZG_USER_LEN		256    /* of a user's name and NUL: LOGIN_NAME_MAX of Linux */
#define ZG_POLICY_USERS_MAX	4096   /* different users of all policies: each is looked up */
#define ZG_POINTER_STEPS	16     /* of one JSON pointer; arguments are rarely that deep */
#define ZG_REGEX_MAX		1024   /* different ones of all policies: each is an automaton */
#define ZG_REGEX_BYTES		262144 /* of one, compiled; \p{L} has 128 KB */
#define ZG_MATCH_TEXT_BYTES	65536  /* of an argument that a regex or '*' pattern reads */
#define ZG_MATCH_BYTES		1048576	  /* the same, of one decision: a few milliseconds */
#define ZG_YAML_DEPTH		16	  /* nested lists and maps; ours need six */
#define ZG_YAML_KEYS		1024	  /* of one map: duplicates are found by comparing */
#define ZG_YAML_BYTES		268435456 /* memory of one document's tree */
#define ZG_BUILD_BYTES		536870912 /* what all parsed files may hold together */
#define ZG_DIAG_MAX		64	  /* errors and notices kept; more are counted */
#define ZG_LINT_MAX		1024	  /* findings of a policy that are kept; more are counted */
#define ZG_LINT_BYTES		67108864  /* their texts, and the index of rules */
#define ZG_ALLOW_ENTRIES_MAX	2097152	  /* allow and deny entries of all profiles */

/* host names */
#define ZG_DNS_UPSTREAM_MAX	4     /* resolv.conf has three */
#define ZG_DNS_CHAIN_MAX	8     /* CNAMEs of one answer; real ones have up to five */
#define ZG_DNS_ADDRESSES_MAX	32    /* of one answer; more are left out */
#define ZG_DNS_NAME_ADDRESSES	64    /* of one name at a time: pools hand out others each time */
#define ZG_DNS_WILDCARD_NAMES	256   /* names that one wildcard may cover at a time */
#define ZG_DNS_UDP_BYTES	1232  /* what passes every network unfragmented, DNS flag day */
#define ZG_DNS_TCP_BYTES	65535 /* its length has 16 bits */
#define ZG_DNS_QUERY_BYTES	512   /* a question with its EDNS options */
#define ZG_DNS_QUERY_RATE	1000  /* questions of one profile a second, and at once */
#define ZG_DNS_INFLIGHT_PROFILE 256   /* questions of one profile that wait for an answer */
#define ZG_DNS_INFLIGHT_MAX	1024  /* and of all */
#define ZG_DNS_TCP_PROFILE	32    /* TCP clients of one profile */
#define ZG_DNS_TCP_IDLE_SEC	10    /* a TCP client that asks nothing */
#define ZG_DNS_UPSTREAM_MS	1500  /* one upstream server; then the next is asked */
#define ZG_DNS_LEARN_MS		2000  /* the parent's word; then the answer is SERVFAIL */
#define ZG_DNS_WRONG_MAX	16    /* datagrams that do not fit their question, per attempt */
#define ZG_DNS_REFUSALS_SEC	20    /* name.refuse records of one profile a second */
#define ZG_DNS_TTL_MAX_SEC	3600  /* an address is asked for again at least so often */
#define ZG_DNS_TTL_MIN_SEC	30    /* default: shorter lives are drawn out to it */
#define ZG_DNS_GRACE_SEC	60    /* default: clients use an answer a little longer than told */
#define ZG_SERVER_ADDRESSES_MAX 8192  /* of all servers that are dialled by name */
#define ZG_SERVER_LINGER_SEC	600   /* an address that its name no longer leads to */
#define ZG_SERVER_RECOMPILE_MS	2000  /* new addresses come into force so often at most */
#define ZG_SERVER_RETRY_SEC	5     /* a name that was not answered; and at least so rarely */
#define ZG_SERVER_ANSWER_SEC	30    /* how long clients may use an address of a server */
#define ZG_SERVER_NOWHERE_SEC                                                                      \
	10 /* a name without an address is so until asked again, and so long */
#define ZG_NOWHERE_NAMES      64    /* such names that one worker knows */
#define ZG_SERVER_RESOLVE_SEC 5	    /* a call waits so long for an address */
#define ZG_NAME_IDLE_SEC      10800 /* an open flow that is silent so long is cut; keepalive: 7200 */
#define ZG_RESOLV_BYTES	      65536 /* resolv.conf */

/* stdio servers */
#define ZG_STDIO_ID_LEN	     25	   /* of a server's id: "server:<id>" is a profile's name */
#define ZG_STDIO_ARGS_MAX    64	   /* arguments of one command */
#define ZG_STDIO_ENV_MAX     32	   /* fixed variables, and as many that a client may set */
#define ZG_STDIO_TEXT_BYTES  32768 /* of all of them together */
#define ZG_STDIO_ENV_LEN     4096  /* value of a variable that a client sets */
#define ZG_STDIO_MEMORY	     (UINT64_C(1) << 30) /* default; Node's servers take 60 to 200 MB */
#define ZG_STDIO_MEMORY_MIN  (UINT64_C(16) << 20)
#define ZG_STDIO_PIDS	     256 /* default: threads count, and Node has eleven */
#define ZG_STDIO_PIDS_MAX    32768
#define ZG_STDIO_CPU_MAX     6400  /* per cent of one processor */
#define ZG_STDIO_TMP_BYTES   "64m" /* of each private tmp; it counts as the server's memory */
#define ZG_STDIO_FILES	     4096  /* descriptors of one server */
#define ZG_STDIO_MAX	     256   /* servers that run at once, each under a uid of its own */
#define ZG_STDIO_CALLER_MAX  32	   /* of one uid that is not root */
#define ZG_STDIO_UID	     60800 /* the first of those: neither Debian nor systemd gives them out */
#define ZG_STDIO_HASH_BYTES  268435456 /* an executable with a sha256; Node has 100 MB */
#define ZG_STDIO_START_MS    20000     /* from the client's question to the running command */
#define ZG_STDIO_END_MS	     2000      /* to end when its input ends, then to end when told to */
#define ZG_STDIO_STALL_SEC   75	       /* a peer that takes nothing of what waits for it */
#define ZG_STDIO_LOG_LEN     512       /* one line of a server's stderr */
#define ZG_STDIO_LOG_SEC     20	       /* lines of one server's stderr a second */
#define ZG_STDIO_GARBAGE_MAX 1024      /* lines that are no message; then the server is ended */
#define ZG_STDIO_NARROW_MS   2000      /* for the parent to confirm; then the call is refused */
#define ZG_STDIO_RESTARTS    3	       /* of one session; then its end is the session's */

/* secrets (zg_secrets.h) */
#define ZG_SECRETS_MAX		  32768	   /* entries: six of each server, and some */
#define ZG_SECRETS_BYTES	  33554432 /* of all */
#define ZG_SECRET_FILE_BYTES	  1048576  /* one file; a distribution's CA bundle has 220 KB */
#define ZG_SECRET_LINE_BYTES	  8192	   /* one that becomes a header: tokens have up to 4 KB */
#define ZG_PINS_LEN		  512	   /* eight keys of a server, of 52 bytes each */
#define ZG_HEADER_NAME_LEN	  128	   /* of a registered header */
#define ZG_HEADER_VALUE_LEN	  1024	   /* and of its fixed value */
#define ZG_CREDENTIALS_SERVER_MAX 8	   /* headers and files of one server */
#define ZG_NO_PROXY_MAX		  256	   /* hosts and blocks that are dialled directly */

/* one envelope */
#define ZG_LABELS_MAX	   32 /* registry, classification and mcp.* together */
#define ZG_RISK_TAGS_MAX   16
#define ZG_MATCHED_MAX	   64 /* matching rules named in a decision; more are counted */
#define ZG_ANNOTATIONS_MAX 64 /* labels that the matching rules of one call set on its record */
#define ZG_LIMITS_MAX	   8  /* rates and concurrency that one call is under */
#define ZG_ALLOWLISTS_MAX  16 /* network allowlists in force at once; more: deny */

/* HTTP and JSON */
#define ZG_HTTP_HEADER_BYTES	     16384	/* request line and headers */
#define ZG_REQUEST_BYTES	     4194304	/* one JSON-RPC message from a client */
#define ZG_RESPONSE_BYTES	     16777216	/* one JSON reply or one SSE event */
#define ZG_STREAM_BYTES		     1073741824 /* one SSE response in total */
#define ZG_JSON_DEPTH		     64		/* ordinary messages stay below 20 */
#define ZG_JSON_STRING_BYTES	     8388608	/* one decoded string */
#define ZG_INFLIGHT_MAX		     16384	/* requests of one worker; most are idle streams */
#define ZG_INFLIGHT_PRINCIPAL_MAX    2048	/* requests of one cgroup in one worker */
#define ZG_HTTP_IDLE_SEC	     75		/* keep-alive and slow request bound */
#define ZG_HTTP_HEADERS_MAX	     64		/* lines of one head; browsers send about 20 */
#define ZG_RPC_ID_BYTES		     264	/* a request id as JSON text */
#define ZG_HTTP_EXTRA_MAX	     16		/* Mcp-* headers passed on without being known */
#define ZG_JSON_VALUES_MAX	     100000	/* of one request: bounds the parsed tree */
#define ZG_REQUEST_ARENA_BYTES	     262144	/* all small things of one request */
#define ZG_BUFFERED_MAX		     1610612736 /* bytes of one worker; it may hold 4 GB in all */
#define ZG_BUFFERED_PRINCIPAL_MAX    268435456	/* of one cgroup in it: 16 large requests */
#define ZG_BUFFERED_FREE	     65536  /* of one request or connection: those are counted */
#define ZG_CONNECTIONS_MAX	     16384  /* clients of one worker */
#define ZG_CONNECTIONS_PRINCIPAL_MAX 4096   /* clients of one cgroup in one worker */
#define ZG_ADMISSION_SLOTS	     8192   /* cgroups counted at once; full: refused */
#define ZG_CGROUP_NAMES		     1024   /* cgroup paths one worker remembers */
#define ZG_CLIENT_BACKLOG_BYTES	     262144 /* a slow reader pauses its server beyond this */
#define ZG_LINGER_SEC		     2	    /* to read what a refused client still sends */
#define ZG_UPSTREAM_CONNECT_SEC	     10
#define ZG_UPSTREAM_POOL_MAX	     256  /* idle transfers and connections kept */
#define ZG_UPSTREAM_IDLE_SEC	     4	  /* Node's servers close idle connections at 5 s */
#define ZG_KEEPALIVE_SEC	     15	  /* of silence in a stream of ours: then a comment */
#define ZG_BATCH_MAX		     64	  /* messages of one batch */
#define ZG_BATCH_RUNNING	     8	  /* of them at once */
#define ZG_SERVER_ASKS_MAX	     1024 /* requests of a server in one stream: an hour of pings */
#define ZG_UPSTREAM_REDIRECTS_MAX    3	  /* one more or less slash, and some */
#define ZG_CANCEL_SEC		     5	  /* best effort of a notifications/cancelled */
#define ZG_STREAM_OPEN_SEC	     3600 /* a GET stream; clients open it again */
#define ZG_RETRY_WINDOW_SEC	     600  /* a failed call is remembered so long */
#define ZG_RUNTIME_DEFAULT_SEC	     300  /* a call that no rule bounds still ends */

/* what clients keep for us: sealed tokens (agent/gateway/seal.h) */
#define ZG_SEAL_PAYLOAD	    65536  /* of one token; a server's requestState is the largest */
#define ZG_SEAL_SKEW_SEC    300	   /* how far the clock may be set back under live tokens */
#define ZG_SESSION_TTL_SEC  604800 /* a session; then the client initialises anew */
#define ZG_SESSION_ID_BYTES 512	   /* a server's own session or event id; real ones have 36 */
#define ZG_STATE_TTL_SEC    900	   /* a person's answer to a server's question comes within it */
#define ZG_STATE_WAIT_MS    2000   /* for the ledger's word on its use; then it is refused */
#define ZG_STATES_MAX	    65536  /* request states that were used and have not expired */

/* HTTP+SSE of 2024-11-05 (agent/gateway/endpoint.h) */
#define ZG_SSE_OPEN_SEC	 86400 /* a stream is its session: clients do not open it again */
#define ZG_RELAY_BYTES	 8192  /* one message of ours for another worker's stream */
#define ZG_EXPECTED_MAX	 256   /* calls of one stream that the server has not answered */
#define ZG_EARLY_ANSWERS 8     /* answers that outran the word that they are expected */

/* approvals */
#define ZG_HOLD_DEFAULT_SEC	 45 /* SDK clients give up at 60 s */
#define ZG_HOLD_MAX_SEC		 50
#define ZG_HOLD_GRACE_SEC	 2    /* for the ledger's last word on a call that stops waiting */
#define ZG_HOLD_TICK_SEC	 5    /* between two words that a call still waits */
#define ZG_HOLD_PROGRESS_SEC	 300  /* that a call waits if its client hears them */
#define ZG_TASK_BYTES		 6144 /* a call inside a task's id: a header repeats the id */
#define ZG_TASK_POLL_MS		 1000 /* how often a client should ask for it */
#define ZG_HOLD_LEGS		 10   /* rounds of one call: SDK clients make so many */
#define ZG_APPROVAL_TTL_SEC	 3600 /* undecided or unused approvals expire */
#define ZG_APPROVALS_PENDING_MAX 100000
#define ZG_APPROVERS_MAX	 16   /* people who must agree; a policy says 2 or 3 */
#define ZG_HISTORY_MAX		 10   /* earlier decisions on the same tool that are shown */
#define ZG_HOLDS_MAX		 1024 /* waiting calls of one worker */
#define ZG_HOLDS_PRINCIPAL_MAX	 64   /* and of one cgroup in it */

/* notifications (agent/ledger/notify.h) */
#define ZG_NOTIFY_QUEUE	      256   /* events that are not delivered yet; more: the oldest go */
#define ZG_NOTIFY_BYTES	      12288 /* one of them as JSON; ordinary ones have 1 KB */
#define ZG_NOTIFY_AT_ONCE     4	    /* commands that run, and posts under way */
#define ZG_NOTIFY_ARGS_MAX    16    /* arguments of the command */
#define ZG_NOTIFY_ARG_LEN     256   /* one of them */
#define ZG_NOTIFY_TIMEOUT_SEC 10    /* default: then the command is killed */
#define ZG_NOTIFY_TIMEOUT_MAX 300
#define ZG_NOTIFY_POST_SEC    10   /* of one attempt */
#define ZG_NOTIFY_GRACE_SEC   10   /* beyond its time: then word of it was lost */
#define ZG_NOTIFY_FAIL_SEC    10   /* between two records of failures */
#define ZG_NOTIFY_LOG_BYTES   4096 /* of one command's output in the log */
#define ZG_NOTIFY_PIDS	      64   /* processes of one command */
#define ZG_NOTIFY_SECRET_MIN  16   /* bytes; a random one has 32 or more */

/* constraints (agent/policy/parse_constraints.c) */
#define ZG_POLICY_OUTPUT_MAX	ZG_STREAM_BYTES /* max_output_bytes: above it is no bound */
#define ZG_POLICY_APPROVERS_MAX 8		/* people of one approval: more are never found */

/* limits that span workers (agent/ledger/quotas.h) */
#define ZG_QUOTA_ASKED	   (ZG_LIMITS_MAX + 1) /* of one call: those of its rules, and its retries */
#define ZG_QUOTA_CALLS_MAX 1000000000	       /* of one limit: more is none */
#define ZG_QUOTA_SLOTS	   32768 /* counters in use at once; full: what needs another is refused */
#define ZG_QUOTA_OWNER_MAX 4096	 /* of them begun by one principal: others find room */
#define ZG_QUOTA_LEASES	   32768 /* calls under way that give something back */
#define ZG_QUOTA_PARTS	   64	 /* of a window; room comes back as much too late */
#define ZG_QUOTA_WAIT_MS   2000	 /* for the ledger's word; then the call is refused */
#define ZG_QUOTA_LEASE_SEC 60	 /* beyond its time: then its end was lost */

/* tool definitions */
#define ZG_PIN_TEXT_BYTES   65536 /* of one canonical text, kept for people; the digest has all */
#define ZG_PIN_CHUNK	    8192  /* of it in one message */
#define ZG_PIN_MENTIONS	    1024  /* names that one definition speaks of */
#define ZG_PINS_SERVER_MAX  2048  /* definitions of one server; large ones have about 100 */
#define ZG_PINS_FULL_TEXT   256	  /* so many of a server with all of their text, */
#define ZG_PIN_SHORT_TEXT   4096  /* of the others the beginning */
#define ZG_PIN_FIRST_SEC    600	  /* a first listing that does not end by then is over */
#define ZG_PIN_SLOTS	    16384 /* states one worker remembers; a forgotten one is asked for */
#define ZG_PIN_ASKED_MAX    64	  /* questions of one worker; more are asked twice */
#define ZG_PIN_WAIT_MS	    2000  /* for the ledger's word on a definition; then it is refused */
#define ZG_LIST_ENTRIES_MAX 20000 /* of one list; more: withheld whole */
#define ZG_NAMESPACE_LEN    32	  /* prefix of a server's names */

/* registry */
#define ZG_ENTRY_BYTES	    65536 /* one submitted server.json; large ones have 10 KB */
#define ZG_ENTRY_CHUNK	    8192  /* of it in one message */
#define ZG_STEPS_MAX	    1000  /* of one server's life, kept; older ones are in the log */
#define ZG_REGISTRY_TAKE_MS 10000 /* a person waits so long for a change to be in force */
#define ZG_REGISTRY_USES    4096  /* servers whose last use is not stored yet */

/* access tokens */
#define ZG_TOKEN_BYTES	     8192  /* one compact JWT; directories with many groups reach 4 KB */
#define ZG_TOKEN_LEEWAY_SEC  60	   /* clocks of issuers differ by so much */
#define ZG_TOKEN_LIFE_SEC    86400 /* one that is valid longer from now is refused */
#define ZG_TOKEN_AUDIENCES   16	   /* of one token */
#define ZG_ISSUERS_MAX	     4	   /* of one listener */
#define ZG_JWKS_BYTES	     65536 /* of one document of keys */
#define ZG_JWKS_CHUNK	     8192  /* of it in one message */
#define ZG_JWKS_FRESH_SEC    300   /* then it is fetched again */
#define ZG_JWKS_RETRY_SEC    15	   /* after a failure, or a token of an unknown key */
#define ZG_JWKS_FETCH_SEC    10	   /* for one attempt */
#define ZG_AUTH_KEYS_MAX     16	   /* of one issuer; two or three while it rotates them */
#define ZG_AUTH_KEY_BYTES    1024  /* SubjectPublicKeyInfo; RSA with 4096 bits has 550 */
#define ZG_AUTH_RSA_BITS_MIN 2048
#define ZG_KID_LEN	     128
#define ZG_SUBJECT_LEN	     256 /* with its issuer's number */

/* scanning */
#define ZG_FINDINGS_MAX	   1024	      /* findings of one message; more: quarantine */
#define ZG_SCAN_BYTES	   1073741824 /* one text; offsets stay within 32 bits */
#define ZG_JSON_MEMBERS	   1048576    /* of all objects open at once: 16 MB of bookkeeping */
#define ZG_JSON_NUMBER_LEN 512	      /* digits of one number; doubles need 17 */
#define ZG_JWT_HEADER_LEN  2048	      /* base64 of a JOSE header; ordinary ones have 40 to 300 */

/* records */
#define ZG_RECORD_SLOTS		    1024     /* of one ring; a full ring makes its producer wait */
#define ZG_RING_WAIT_MS		    2000     /* then the call is refused */
#define ZG_REJECT_RECORDS_SEC	    100	     /* malformed requests recorded per worker and second */
#define ZG_AUDIT_SEGMENT_BYTES	    67108864 /* rotate at 64 MB */
#define ZG_AUDIT_CHECKPOINT_RECORDS 1024     /* sign at least this often */

/* control socket */
#define ZG_CTL_CLIENTS_MAX     256
#define ZG_LEDGER_END_SEC      5  /* to write what full rings hold */
#define ZG_CTL_CLIENTS_UID_MAX 64 /* of one uid that is not root: others stay served */
#define ZG_CTL_IDLE_SEC	       10 /* a connection that asks nothing */
#define ZG_RUNS_MAX	       4096
#define ZG_RUNS_UID_MAX	       512  /* of one uid that is not root */
#define ZG_RUN_LINGER_SEC      60   /* a report is kept so long for a command that ended */
#define ZG_RUN_REPORT_MS       3000 /* it waits so long for refusals that are not counted yet */
#define ZG_RUN_DENIALS_MAX     64   /* distinct destinations a run report names */

/* TLS */
#define ZG_HELLO_BYTES	       16384 /* a ClientHello; post-quantum ones have about 1,800 */
#define ZG_HELLO_EXTENSIONS    128   /* browsers send about 20 */
#define ZG_HELLO_SEC	       10    /* for a client to say where it wants to go */
#define ZG_TLS_HANDSHAKE_SEC   10    /* and, of what ends here, to shake hands */
#define ZG_SPLICE_BUFFER_BYTES 65536 /* one way; beyond this the faster side waits */
#define ZG_SPLICE_IDLE_SEC     3600  /* a passed connection on which nothing moves */
#define ZG_SPLICE_HALF_SEC     120   /* the same, once one side has said all */

#endif
