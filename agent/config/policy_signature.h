/* SPDX-License-Identifier: Apache-2.0 */
/*
 * policy_signature.h - who stands for a policy. policy.sig holds Ed25519 signatures over
 *
 *	zerogate policy v1\n<snapshot id, hex>\n<time>\n
 *
 * as {"version": "v1", "signatures": [{"alg": "Ed25519", "key": KEY-ID,
 * "snapshot": HEX, "time": RFC 3339, "signature": BASE64}]}. A key's id is the
 * first 16 hex digits of the SHA-256 of its 32 bytes.
 */
#ifndef ZG_POLICY_SIGNATURE_H
#define ZG_POLICY_SIGNATURE_H

#include "buf.h"
#include "diag.h"
#include "slice.h"
#include "zg_snapshot.h"

#define ZG_SIGN_KEY	    32
#define ZG_SIGN_BYTES	    64
#define ZG_SIGN_KEY_ID	    17 /* with its NUL */
#define ZG_SIGN_TIME	    32
#define ZG_SIGN_MESSAGE_LEN 160
#define ZG_SIGNATURES_MAX   32 /* of one file: those of signers and some that are old */

struct zg_policy_signature {
	char key[ZG_SIGN_KEY_ID];
	uint8_t snapshot[32];
	char time[ZG_SIGN_TIME];
	uint8_t bytes[ZG_SIGN_BYTES];
};

struct zg_signatures {
	struct zg_policy_signature item[ZG_SIGNATURES_MAX];
	size_t count;
};

/* A public key as people write one: base64 of its 32 bytes, or PEM. 0 or -EINVAL. */
int zg_sign_key(struct zg_slice text, uint8_t key[ZG_SIGN_KEY]) ZG_MUST_CHECK;
void zg_sign_key_id(const uint8_t key[ZG_SIGN_KEY], char out[ZG_SIGN_KEY_ID]);

/* What a signature is made over; its length. */
size_t zg_sign_message(const struct zg_policy_signature *s, char out[ZG_SIGN_MESSAGE_LEN]);

/* Read and write policy.sig. -EINVAL: e says what is wrong with it. */
int zg_signatures_read(struct zg_slice text, const char *file, struct zg_signatures *out,
		       struct zg_err *e) ZG_MUST_CHECK;
void zg_signatures_write(const struct zg_signatures *all, struct zg_buf *out);

/* Is it of this key, over this snapshot, and good? */
bool zg_signature_holds(const struct zg_policy_signature *s, const uint8_t key[ZG_SIGN_KEY],
			const uint8_t snapshot[32]);

/* How many of these different keys signed the snapshot. */
size_t zg_signatures_count(const struct zg_signatures *all, const uint8_t (*key)[ZG_SIGN_KEY],
			   size_t keys, const uint8_t snapshot[32]);

#endif
