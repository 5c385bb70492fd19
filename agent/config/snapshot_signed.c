/* SPDX-License-Identifier: Apache-2.0 */
/*
 * snapshot_signed.c - see snapshot_impl.h. Trust: signatures are text of whoever
 * can write the file; only keys that the settings name count, and what they signed
 * is computed here from the files alone.
 */
#include "snapshot_impl.h"

#include <errno.h>

#include "canonical.h"
#include "digest.h"

int zg_build_id(struct zg_build *b, uint8_t id[32])
{
	zg_autobuf text = ZG_BUF(ZG_SNAPSHOT_BYTES);
	struct zg_slice *names = zg_build_profile_names(b);
	int r;

	if (!names)
		return -ENOMEM;
	r = zg_canonical(&text, &b->policy, b->server, b->registry.count, names, &b->arena);
	if (r == 0)
		zg_sha256(id, text.ptr, text.len);
	if (r == 0 && b->canonical)
		zg_buf_add(b->canonical, text.ptr, text.len);
	return r;
}

/* People sign files. What the ledger has decided since, the revocation of a server
 * above all, is in force without another signature. */
static int signed_id(struct zg_build *b, const uint8_t id[32], uint8_t out[32])
{
	zg_autobuf ignored = ZG_BUF(ZG_SNAPSHOT_BYTES);
	struct zg_diag diag = {0};
	struct zg_build *alone;
	int r = -ENOMEM;

	if (!b->registry.marks) {
		memcpy(out, id, 32);
		return 0;
	}
	alone = zg_build_new(&diag);
	if (alone) {
		zg_build_unsigned(alone);
		for (const struct zg_build_file *f = b->files; f; f = f->next)
			zg_build_add(alone, f->kind, f->name, f->text);
		r = zg_build_finish(alone, ZG_BUILD_POLICY, &ignored, out, NULL);
	}
	zg_build_free(alone);
	zg_diag_release(&diag);
	return r;
}

void zg_build_check_signed(struct zg_build *b, const uint8_t id[32])
{
	const struct zg_settings *s = zg_build_settings(b);
	uint8_t key[ZG_SIGNERS_MAX][ZG_SIGN_KEY], of_files[32];
	uint32_t file = 0;
	size_t count;
	char hex[65];

	if (!s->require_signed || b->unsigned_will_do)
		return;
	for (uint32_t i = 0; i < s->signer_count; i++) {
		bool inline_key = zg_signer_is_key(s->signer[i]);

		if (inline_key && zg_sign_key(zg_slice_str(s->signer[i]), key[i]) == 0)
			continue;
		if (inline_key || file == b->signers) {
			file = UINT32_MAX;
			break;
		}
		memcpy(key[i], b->signer[file++], ZG_SIGN_KEY);
	}
	if (file != b->signers) {
		zg_diag_error(b->diag, b->settings.file, 0, 0,
			      "policy_signers has changed: restart zerogated");
		return;
	}
	if (signed_id(b, id, of_files) < 0) {
		zg_diag_error(b->diag, b->settings.file, 0, 0,
			      "what the files say without the registry cannot be told");
		return;
	}
	count = zg_signatures_count(&b->signatures, (const uint8_t(*)[ZG_SIGN_KEY])key,
				    s->signer_count, of_files);
	if (count >= s->require_signed)
		return;
	zg_hex(hex, of_files, 32);
	zg_diag_error(b->diag, b->signed_in ? b->signed_in : b->settings.file, 0, 0,
		      "snapshot %.16s... is signed by %zu of the %u signers that are required%s",
		      hex, count, s->require_signed,
		      b->signed_in ? "" : ": there is no " ZG_SIGNATURE_FILE);
	zg_diag_hint(b->diag, "review it, then: zerogate policy sign --key KEY --config %.128s",
		     b->settings.file);
}
