/* SPDX-License-Identifier: Apache-2.0 */
/* digest.c - see digest.h. Trust: bytes are anybody's; the result is fixed. */
#include "digest.h"

#include <stdlib.h>

#include <openssl/evp.h>

/* Looked up once: SHA256() asks OpenSSL's provider for the algorithm and makes
 * a context each time, which costs more than the digest of a short text. */
static _Thread_local EVP_MD *sha256;
static _Thread_local EVP_MD_CTX *kept;

void zg_sha256(uint8_t out[32], const void *bytes, size_t n)
{
	if (!sha256)
		sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
	if (!kept)
		kept = EVP_MD_CTX_new();
	/* without memory there is no digest, and nothing may pass for one */
	if (!sha256 || !kept || EVP_DigestInit_ex(kept, sha256, NULL) != 1 ||
	    EVP_DigestUpdate(kept, bytes, n) != 1 || EVP_DigestFinal_ex(kept, out, NULL) != 1)
		abort();
}
