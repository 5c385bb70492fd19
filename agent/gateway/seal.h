/* SPDX-License-Identifier: Apache-2.0 */
/*
 * seal.h - tokens that a client keeps for us: what must outlive a request goes
 * to the client under AES-256-GCM and comes back from it, so that any worker
 * can take any request and a restarted agent loses nothing. Pure but for
 * random numbers; the caller says what time it is.
 *
 * A token is base64url (RFC 4648 5, no padding: visible ASCII, fits a header)
 * of: version (1 byte), 28 random bytes, ciphertext, tag (16). The key is
 * HMAC-SHA-256(purpose key, first 16 random bytes), the nonce the other 12, so
 * that no number of tokens wears a key out. The purpose key is HKDF-SHA-256 of
 * the bundle's ZG_SK_SEAL with the purpose as info. Version and purpose are
 * additional data. Under the cipher stand the expiry, SHA-256 of whom the token
 * belongs to, and the payload: bound as firmly as by additional data, and a
 * stolen token can be told from a damaged one.
 */
#ifndef ZG_GATEWAY_SEAL_H
#define ZG_GATEWAY_SEAL_H

#include "buf.h"
#include "cleanup.h"
#include "slice.h"
#include "zg_limits.h"
#include "zg_wire.h"

enum zg_seal_purpose {
	ZG_SEAL_SESSION = 1, /* an Mcp-Session-Id of the server */
	ZG_SEAL_STATE,	     /* a requestState */
	ZG_SEAL_ENDPOINT,    /* the POST endpoint of an HTTP+SSE stream */
	ZG_SEAL_EVENT,	     /* an event id of a server without sessions */
	ZG_SEAL_HOLD,	     /* a requestState of ours: a call that waits for a person */
	ZG_SEAL_TASK,	     /* likewise, a task's id: it holds the call */
	ZG_SEAL_PURPOSES,
};

enum zg_seal_verdict {
	ZG_SEAL_MALFORMED = 0, /* no token of ours */
	ZG_SEAL_TAMPERED,      /* or of another purpose or key */
	ZG_SEAL_FOREIGN,       /* genuine, of another client, run or server */
	ZG_SEAL_EXPIRED,
	ZG_SEAL_OPEN,
};

#define ZG_SEAL_ID_BYTES 16

struct zg_seal_keys { /* one per purpose */
	uint8_t key[ZG_SEAL_PURPOSES][32];
};

/* Whose a token is. A client that `zerogate run` starts again has another
 * cgroup: what it was given belongs to that run. */
struct zg_seal_owner {
	struct zg_slice server; /* id */
	const struct zg_principal *principal;
	struct zg_slice subject; /* of its access token; empty = it has none */
};

struct zg_sealed {
	uint8_t id[ZG_SEAL_ID_BYTES]; /* no other token has it */
	uint64_t expires;	      /* CLOCK_REALTIME, seconds */
	struct zg_slice payload;      /* in the buffer that was given */
};

/* root: the bytes of ZG_SK_SEAL. */
void zg_seal_keys(struct zg_seal_keys *k, struct zg_slice root);

/*
 * Append a token to out that opens for ttl seconds from now. At most
 * ZG_SEAL_PAYLOAD bytes of payload. 0; -EFBIG; -EIO: the library failed.
 */
int zg_seal(const struct zg_seal_keys *k, enum zg_seal_purpose purpose,
	    const struct zg_seal_owner *owner, uint64_t now, uint32_t ttl, struct zg_slice payload,
	    struct zg_buf *out) ZG_MUST_CHECK;

/*
 * Open one; plain is overwritten and holds the payload. ttl: the longest that
 * purpose is given. A clock that is set back by more than ZG_SEAL_SKEW_SEC
 * expires what was sealed before: no token ever lives longer than ttl and that.
 */
enum zg_seal_verdict zg_seal_open(const struct zg_seal_keys *k, enum zg_seal_purpose purpose,
				  const struct zg_seal_owner *owner, uint64_t now, uint32_t ttl,
				  struct zg_slice token, struct zg_buf *plain,
				  struct zg_sealed *out) ZG_MUST_CHECK;

/* For records: "it was tampered with". */
const char *zg_seal_text(enum zg_seal_verdict v);

#endif
