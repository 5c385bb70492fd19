/* SPDX-License-Identifier: Apache-2.0 */
/* token_fuzz.c - any bytes as an access token: never taken, never a crash. */
#include <stdint.h>
#include <string.h>

#include "token.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	/* an Ed25519 key of RFC 8037 */
	static const uint8_t spki[] = {0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70,
				       0x03, 0x21, 0x00, 0xd7, 0x5a, 0x98, 0x01, 0x82, 0xb1,
				       0x0a, 0xb7, 0xd5, 0x4b, 0xfe, 0xd3, 0xc9, 0x64, 0x07,
				       0x3a, 0x0e, 0xe1, 0x72, 0xf3, 0xda, 0xa6, 0x23, 0x25,
				       0xaf, 0x02, 0x1a, 0x68, 0xf7, 0x07, 0x51, 0x1a};
	static struct zg_settings settings = {.listen_count = 1};
	static struct zg_auth_key key = {.alg = ZG_AA_EDDSA, .bytes = sizeof(spki)};
	const struct zg_snapshot snap = {
		.settings = &settings, .auth_keys = &key, .auth_key_count = 1};
	struct zg_token_claims claims;
	const char *why = "";

	memcpy(key.spki, spki, sizeof(spki));
	settings.auth[0].issuer_count = 1;
	memcpy(settings.auth[0].issuer[0].issuer, "joe", 4);
	if (zg_token_check(&snap, 0, (struct zg_slice){(const char *)bytes, size},
			   ZG_SLICE("https://gw.example/a/mcp"), 1300819000, &claims,
			   &why) != ZG_TOKEN_INVALID)
		__builtin_trap();
	return 0;
}
