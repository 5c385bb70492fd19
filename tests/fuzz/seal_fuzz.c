/* SPDX-License-Identifier: Apache-2.0 */
/*
 * seal_fuzz.c - tokens that come back. What must hold: no input opens as a
 * token; what was sealed opens with its payload and, changed in one place, does
 * not. The first byte says where, the second how; the rest is both a token and
 * a payload.
 */
#include "seal.h"

#define CHECK(what)                                                                                \
	do {                                                                                       \
		if (!(what)) {                                                                     \
			fprintf(stderr, "does not hold: %s\n", #what);                             \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	static const struct zg_principal p = {.uid = 1, .profile = "agent", .cgroup = "a/b"};
	const struct zg_seal_owner o = {ZG_SLICE("server"), &p};
	zg_autobuf plain = ZG_BUF(2 * ZG_SEAL_PAYLOAD), token = ZG_BUF(2 * ZG_SEAL_PAYLOAD);
	struct zg_seal_keys k;
	struct zg_sealed s;
	struct zg_slice text;

	if (size < 2)
		return 0;
	text = (struct zg_slice){(const char *)bytes + 2, size - 2};
	zg_seal_keys(&k, ZG_SLICE("0123456789abcdef0123456789abcdef"));
	CHECK(zg_seal_open(&k, ZG_SEAL_STATE, &o, 1000, 60, text, &plain, &s) != ZG_SEAL_OPEN);
	if (zg_seal(&k, ZG_SEAL_STATE, &o, 1000, 60, text, &token) < 0)
		return 0;
	CHECK(zg_seal_open(&k, ZG_SEAL_STATE, &o, 1000, 60, zg_buf_slice(&token), &plain, &s) ==
	      ZG_SEAL_OPEN);
	CHECK(zg_slice_eq(s.payload, text));
	if (!bytes[1])
		return 0;
	token.ptr[bytes[0] * token.len / 256] ^= (char)bytes[1];
	CHECK(zg_seal_open(&k, ZG_SEAL_STATE, &o, 1000, 60, zg_buf_slice(&token), &plain, &s) !=
	      ZG_SEAL_OPEN);
	return 0;
}
