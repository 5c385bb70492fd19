/* SPDX-License-Identifier: Apache-2.0 */
/*
 * request.h - the life of one request. request.c is the table of its steps;
 * each other file here holds one of them. A step returns NEXT, or WAIT (it has
 * arranged for zg_request_run to be called again, which calls the same step),
 * or ANSWER (r->answer says what the client is told; nothing more is done).
 */
#ifndef ZG_GATEWAY_REQUEST_H
#define ZG_GATEWAY_REQUEST_H

#include "arena.h"
#include "batch.h"
#include "decision.h"
#include "envelope.h"
#include "era.h"
#include "http.h"
#include "quota.h"
#include "record.h"
#include "route.h"
#include "rpc.h"
#include "sse.h"
#include "trial.h"
#include "worker.h"

#define ZG_TEXT_LEN (2 * ZG_REASON_LEN + ZG_RULES_LEN)

enum zg_next { ZG_NEXT = 0, ZG_WAIT, ZG_ANSWER };

enum zg_answer_kind {
	ZG_A_REFUSE = 0, /* the request itself is wrong: HTTP status and JSON-RPC error */
	ZG_A_DENY,	 /* policy, a person or a constraint said no: the model is told */
	ZG_A_FAIL,	 /* it could not be done (server, ledger): JSON-RPC error */
	ZG_A_FORWARD,	 /* what the server said: r->output.body, status as it came */
	ZG_A_STREAMED,	 /* an event stream has already been sent */
	ZG_A_BATCH,	 /* the answers of its members, which were recorded by themselves */
};

/* Our own JSON-RPC codes lie outside the range that the specification keeps. */
enum zg_rpc_code {
	ZG_C_DENIED = -31001,  /* by policy, a person or a constraint */
	ZG_C_PENDING = -31002, /* waits for approval: retry */
	ZG_C_NOT_REGISTERED = -31003,
	ZG_C_NO_ORIGIN = -31004,       /* nobody attests the caller */
	ZG_C_UPSTREAM = -31005,	       /* the server failed */
	ZG_C_UNAVAILABLE = -31006,     /* the agent cannot do its part now */
	ZG_C_WITHHELD = -31007,	       /* the output was not safe to release */
	ZG_C_BUSY = -31008,	       /* too many at once */
	ZG_C_HTTP = -31009,	       /* refused before there was a message */
	ZG_C_TOKEN = -31010,	       /* a session, state or event id that does not open */
	ZG_C_CANCELLED = -31011,       /* by its client, before it was dispatched */
	ZG_C_LIMIT = -31012,	       /* a rate, calls at once or retries are used up */
	ZG_C_HEADER_MISMATCH = -32020, /* these three are the specification's */
	ZG_C_CAPABILITY = -32021,
	ZG_C_VERSION = -32022,
};

struct zg_answer {
	enum zg_answer_kind kind;
	int status; /* HTTP */
	int code;   /* JSON-RPC */
	bool close;
	struct zg_slice challenge; /* WWW-Authenticate, in the arena */
	struct zg_slice result;	   /* a JSON-RPC result of ours, in the arena: instead of text */
	const char *text;
};

/* What came of it, as records name it; X(NAME, "text") */
#define ZG_OUTCOMES(X)                                                                             \
	X(UPSTREAM_ERROR, "upstream_error")                                                        \
	X(OK, "ok")                                                                                \
	X(TOOL_ERROR, "tool_error")                                                                \
	X(RPC_ERROR, "rpc_error")                                                                  \
	X(TIMEOUT, "timeout")                                                                      \
	X(CANCELLED, "cancelled")                                                                  \
	X(QUARANTINED, "quarantined")                                                              \
	X(ASK_DENIED, "ask_denied") /* what the server asked for in return was denied */           \
	X(DEFERRED, "deferred")	    /* its answer comes on another stream */                       \
	X(TOO_LARGE, "too_large")   /* more than max_output_bytes: withheld */

enum zg_outcome {
#define X(NAME, text) ZG_O_##NAME,
	ZG_OUTCOMES(X)
#undef X
};

struct zg_way;

/* What a client asks of a task of ours (hold_task.c); the request is then the call. */
enum zg_task_op { ZG_TO_NONE = 0, ZG_TO_GET, ZG_TO_RESULT, ZG_TO_CANCEL, ZG_TO_UPDATE };

struct zg_hold {
	bool sent;	/* the ledger knows of it */
	bool counted;	/* in admission */
	bool expired;	/* the hold time is over */
	bool streaming; /* the client has been sent the head of a stream of ours */
	bool released;	/* the ledger was told that it is let go */
	const struct zg_way *way;
	uint64_t until_ns;
	uint32_t ticks;		 /* words that it still waits */
	char claim[ZG_NAME_LEN]; /* the approval that its token names; "" = it has none */
	uint32_t leg;		 /* rounds before this one */
	enum zg_hold_question question;
	uint32_t conflict;  /* enum zg_conflict */
	uint32_t approvers; /* who must agree, */
	uint32_t agreed;    /* and did so far */
	enum zg_task_op task;
	struct zg_slice task_id;
	uint64_t created; /* CLOCK_REALTIME, seconds */
	uint8_t binding[32];
	enum zg_hold_state state;
	uint32_t approver_uid;
	char approval[ZG_NAME_LEN];
	/* in the arena, or constant; never NULL */
	const char *reason;
	const char *other; /* the approval that does not hold; "" = this one */
};

struct zg_expected;

/* HTTP+SSE of 2024-11-05 (endpoint.h): of a POST, and of the stream. */
struct zg_endpoint {
	struct zg_slice token; /* of a POST, sealed */
	struct zg_slice path;  /* where the server wants its messages */
	uint64_t stream;       /* of a POST: the request that holds the stream, */
	uint32_t worker;       /* and in which worker */
	uint32_t expecting;
	LIST_HEAD(, zg_expected) expected; /* of a stream */
	uint64_t early[ZG_EARLY_ANSWERS];
};

/* A requestState that came back (state.c). */
struct zg_state {
	bool opened;
	bool sent; /* the ledger was asked */
	bool told;
	uint8_t id[ZG_SEAL_ID_BYTES];
	uint64_t expires;
	enum zg_token_state word;
};

enum zg_media { ZG_MEDIA_NONE = 0, ZG_MEDIA_JSON, ZG_MEDIA_SSE, ZG_MEDIA_OTHER };

/* Does the call wait for the address of its server? */
enum zg_resolving { ZG_RS_NONE = 0, ZG_RS_WAITS, ZG_RS_OVER };

/* What the server says, from upstream_answer.c to output.c. */
struct zg_output {
	int status; /* HTTP; 0 = no head yet */
	enum zg_media media;
	bool encoded;		 /* Content-Encoding other than identity */
	struct zg_slice session; /* Mcp-Session-Id, in the arena */
	struct zg_slice allow;	 /* Allow of a 405 */
	struct zg_buf body;	 /* JSON; ZG_RESPONSE_BYTES */
	struct zg_buf released;	 /* what goes to the client instead, if it was changed */
	bool changed;
	struct zg_sse sse;
	bool streaming;	      /* the client has been sent the head of a stream */
	bool answered;	      /* the stream held the response */
	bool resumable;	      /* it held event ids: a client can go on from there */
	bool broken;	      /* it did not end as its server meant it to */
	const char *withheld; /* why the output was not released */
	const char *hidden;   /* entries of lists that are not shown: "why:count,..." */
	bool denied;	      /* policy refused what it asks for: r->answer says so */
	bool too_large;	      /* withheld because of max_output_bytes */
	uint32_t asks;	      /* requests of the server in it */
	uint32_t dropped;     /* messages that nobody was shown */
	uint64_t bytes;	      /* from the server */
	uint32_t found[32];   /* findings per detector */
};

struct zg_transfer;
struct zg_local_call;
struct zg_listing;

struct zg_request {
	TAILQ_ENTRY(zg_request) link;
	LIST_ENTRY(zg_request) by_call;
	struct zg_worker *worker;
	struct zg_client *client; /* NULL: it is gone */
	struct zg_live *live;
	unsigned int step;
	bool running;
	uint64_t call;
	uint64_t started_ns;
	struct zg_arena arena;
	/* the client's bytes */
	struct zg_buf head_bytes;
	struct zg_http_head head;
	struct zg_buf body;
	bool body_complete;
	/* who and to where */
	bool attested;
	bool tls;		  /* the client speaks https with us, */
	struct zg_slice tls_name; /* and named this host, if any: the connection's memory */
	bool admitted;
	uint64_t buffered; /* of its buffers, in admission */
	struct zg_origin origin;
	struct zg_principal principal;
	bool executable_asked;	/* the parent's answer is awaited */
	bool executable_hashed; /* executable_sha256 is known */
	const char *executable; /* path, "" = not known; NULL = not asked */
	uint8_t executable_sha256[32];
	struct zg_slice server_id; /* as asked for */
	const char *subject;	   /* of its access token; "" = none was asked for */
	bool quiet;		   /* public metadata: nothing to record */
	bool fetch;		   /* zg_request_fetch */
	const struct zg_server_def *server;
	enum zg_door door;
	/* what, and the answer of policy */
	struct zg_rpc rpc;
	struct zg_batch *batch; /* it holds several messages, each a request of its own */
	enum zg_era era;	/* which version it speaks; from zg_step_era on */
	struct zg_slice requested_version; /* as the client named it */
	enum zg_action action;		   /* by the registry's word; from zg_step_judge on */
	/* its tokens, opened: the head's fields hold what the server knows */
	struct zg_slice session_token; /* Mcp-Session-Id as the client sent it */
	struct zg_state state;
	struct zg_endpoint endpoint;
	bool digested;
	uint8_t args_sha256[32];
	size_t args_bytes;
	bool judged;
	struct zg_decision decision;
	const struct zg_trial *trial; /* in the arena; NULL: the shadow policy says the same */
	uint64_t decide_ns;
	/* texts, like r->answer.text: in the arena, or constant; never NULL */
	const char *risk_tags;
	const char *rules;
	const char *reason;
	const char *labels;   /* what the matching rules annotate */
	const char *narrowed; /* profile that its local server is held to; "" = its own */
	const char *failure;  /* of the exchange with the server */
	const char *recorded; /* of a refusal, for the record alone */
	struct zg_hold hold;
	struct zg_pin_word pin; /* of the tool or prompt that it calls */
	bool pin_asked;
	bool pin_known;
	struct zg_listing *listing; /* what the server says of itself, while it is judged */
	uint32_t runtime_sec;
	bool cut;	   /* the time was over */
	bool cancel_asked; /* by a notification of its client */
	bool cancelled;	   /* nobody listens to this stream any more */
	struct zg_quota quota;
	/* the server's part */
	struct event timer; /* of the hold, then of the call */
	uint64_t dispatched_ns;
	struct zg_transfer *upstream;
	struct zg_local_call *local; /* of a session over pipes (local.h); NULL = over HTTP */
	bool upstream_done;
	enum zg_resolving resolving;
	uint64_t intent_since_ns; /* when its recording was first tried */
	bool intent;		  /* recorded: an outcome must follow */
	struct zg_output output;
	enum zg_outcome outcome;
	struct zg_answer answer;
};

/* A request whose head has been read into head_bytes; c runs it. NULL: no memory. */
struct zg_request *zg_request_new(struct zg_worker *w, struct zg_client *c);
void zg_request_run(struct zg_request *r);
/* A request of our own to s at its URL, told to r's client alone: by GET for the document
 * that is there, by POST with r's body, of which only the status is told. The caller
 * has set the header fields. */
void zg_request_fetch(struct zg_request *r, const struct zg_server_def *s,
		      enum zg_http_method method, uint32_t sec);
/* The request of that number, which the ledger or the parent answers; NULL = it is over. */
struct zg_request *zg_request_of(const struct zg_worker *w, uint64_t call);

/* The head's other fields move to memory of the request's own. */
bool zg_request_keep_extra(struct zg_request *r) ZG_MUST_CHECK;

/* From the connection: all of the body is there; the client has left. */
void zg_request_body_complete(struct zg_request *r);
void zg_request_client_gone(struct zg_request *r);
/* r->answer is set: answer and forget it. Not from a step of its own. */
void zg_request_end(struct zg_request *r);
/* From the connection: it has room again for a stream's bytes. */
void zg_request_client_drained(struct zg_request *r);
/* A new configuration is in force: what its registry no longer grants ends now. */
void zg_requests_reconsider(struct zg_worker *w);
/* From upstream.c: the exchange ended (0, or -errno by upstream.h). */
void zg_request_upstream_done(struct zg_request *r);

/* Give back what is not in use, before a long wait. */
void zg_request_slim(struct zg_request *r);

/* Are its cgroup's buffers within their cap? To be asked whenever they have grown,
 * before more is read; more: what is about to come. */
bool zg_request_afford(struct zg_request *r, uint64_t more) ZG_MUST_CHECK;

/* Forget all spare requests. */
void zg_requests_release(struct zg_worker *w);

/* A text of the request's own, for one of its fields; cut at ZG_TEXT_LEN. */
const char *zg_request_text(struct zg_request *r, const char *fmt, ...) ZG_PRINTF(2, 3);
const char *zg_request_keep(struct zg_request *r, const char *text); /* as it is, whole */

/* Set the answer; returns ZG_ANSWER. */
enum zg_next zg_refuse(struct zg_request *r, int status, int code, const char *fmt, ...)
	ZG_PRINTF(4, 5);
enum zg_next zg_answer_with(struct zg_request *r, enum zg_answer_kind kind, int code,
			    const char *fmt, ...) ZG_PRINTF(4, 5);

/* The steps, in order (see the table in request.c). */
enum zg_next zg_step_origin(struct zg_request *r);    /* origin.c: the principal */
enum zg_next zg_step_exe(struct zg_request *r);	      /* executable.c: what it executes */
enum zg_next zg_step_route(struct zg_request *r);     /* route.c: Host, Origin, path -> server */
enum zg_next zg_step_token(struct zg_request *r);     /* resource.c: if the listener asks for one */
enum zg_next zg_step_rpc(struct zg_request *r);	      /* envelope.c: body -> message */
enum zg_next zg_step_batch(struct zg_request *r);     /* batch.c: several messages */
enum zg_next zg_step_era(struct zg_request *r);	      /* era.c: the version it speaks */
enum zg_next zg_step_headers(struct zg_request *r);   /* headers.c: they repeat the message */
enum zg_next zg_step_resume(struct zg_request *r);    /* hold.c: what a token of ours holds */
enum zg_next zg_step_envelope(struct zg_request *r);  /* envelope.c: message -> envelope */
enum zg_next zg_step_session(struct zg_request *r);   /* session.c */
enum zg_next zg_step_state(struct zg_request *r);     /* state.c: open */
enum zg_next zg_step_judge(struct zg_request *r);     /* judge.c */
enum zg_next zg_step_namespace(struct zg_request *r); /* namespace.c: the server's own names */
enum zg_next zg_step_pin(struct zg_request *r);	      /* pins.c: is its definition accepted? */
enum zg_next zg_step_probe(struct zg_request *r);     /* quota.c: before a person is asked */
enum zg_next zg_step_hold(struct zg_request *r);      /* hold.c */
enum zg_next zg_step_constrain(struct zg_request *r); /* constrain.c */
enum zg_next zg_step_quota(struct zg_request *r);     /* quota.c: limits over all workers */
enum zg_next zg_step_spend(struct zg_request *r);     /* state.c: once */
enum zg_next zg_step_cancel(struct zg_request *r);    /* cancel.c: of another call */
enum zg_next
zg_step_intent(struct zg_request *r); /* cancel.c: the client of some worker cancelled a call */
void zg_cancel_message(struct zg_worker *w, const struct zg_msg_call_cancelled *m);

/* evidence.c */
struct zg_ask;
/* A request of the server, decided. -errno: it could not be recorded. */
int zg_evidence_server(struct zg_request *r, const struct zg_ask *a) ZG_MUST_CHECK;
enum zg_next zg_step_upstream(struct zg_request *r); /* upstream.c */
enum zg_next zg_step_output(struct zg_request *r);   /* output.c */

/* judge.c: what policy judges of a message, by whichever side sent it; to be classified */
struct zg_envelope zg_request_envelope(const struct zg_request *r, const struct zg_rpc *m);

/* hold.c: a message of the ledger; a new ledger; nobody waits any more */
void zg_hold_message(struct zg_worker *w, struct zg_msg_hold_state *m);
void zg_hold_resend(struct zg_worker *w);
void zg_hold_end(struct zg_request *r);
/* hold_task.c */
struct zg_server_message;
/* Judge of a server's message: its answer is a task's. */
int zg_task_result(struct zg_request *r, struct zg_server_message *m) ZG_MUST_CHECK;
/* The body that tells of r->answer to a task's client; false: it is an error. */
bool zg_task_body(const struct zg_request *r, struct zg_buf *out);
/* gateway.c: take what the ledger has sent so far */
void zg_worker_read_ledger(struct zg_worker *w);

/* envelope.c: canonical JSON of the arguments, into out */
int zg_arguments_text(const struct zg_rpc *m, struct zg_buf *out) ZG_MUST_CHECK;

/* session.c */
/* The server's session id becomes the client's token. -errno: it is unfit. */
int zg_session_seal(struct zg_request *r) ZG_MUST_CHECK;
/* The id under which an event goes to the client, until the next is sealed: a
 * server with sessions has it come back within one; else it is sealed. out is
 * left alone if it goes as it is. */
int zg_session_event_id(struct zg_request *r, struct zg_slice id,
			struct zg_slice *out) ZG_MUST_CHECK;
/* A token that did not open: the client is told the same whatever was wrong,
 * but for its age; the record says what. */
enum zg_next zg_refuse_token(struct zg_request *r, int status, const char *what,
			     enum zg_seal_verdict v);

/* output.c: the server's head is complete; bytes of its body, as they come.
 * -errno ends the exchange. */
void zg_output_head(struct zg_request *r);
int zg_output_feed(struct zg_request *r, struct zg_slice bytes) ZG_MUST_CHECK;

/* reply.c: write the answer and let go of the client. */
void zg_reply(struct zg_request *r);
/* reply.c: the body that tells a client of r->answer. */
void zg_reply_body(const struct zg_request *r, struct zg_buf *out);

/* evidence.c */
void zg_evidence_refusal(struct zg_request *r); /* call.reject or call.deny */
void zg_evidence_outcome(struct zg_request *r); /* call.outcome */
/* of a call whose answer came, or did not, on this stream of HTTP+SSE */
void zg_evidence_late(const struct zg_request *stream, uint64_t call, enum zg_outcome outcome,
		      size_t result_bytes);

#endif
