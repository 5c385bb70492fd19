/* SPDX-License-Identifier: Apache-2.0 */
/*
 * signers.c - policy_signers and require_signed of zerogate.yaml: whose signatures
 * count, and how many are needed. Trust: as settings.c; keys in files are the
 * parent's to open.
 */
#include "settings.h"
#include "policy_signature.h"
#include "snapshot.h"

void zg_signers_parse(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	struct zg_settings *s = &((struct zg_settings_src *)into)->settings;
	struct zg_texts t;

	if (!zg_yaml_texts(ctx, y, &t))
		return;
	if (t.count > ZG_SIGNERS_MAX) {
		zg_yaml_error(ctx, y, "more than %d signers", ZG_SIGNERS_MAX);
		return;
	}
	for (size_t i = 0; i < t.count; i++) {
		char *signer = s->signer[s->signer_count];
		uint8_t key[ZG_SIGN_KEY];

		if (!t.item[i].len || !zg_str_cut(signer, ZG_PATH_LEN, t.item[i])) {
			zg_yaml_error(ctx, y, "a signer is empty, or too long");
			return;
		}
		if (zg_signer_is_key(signer) && zg_sign_key(t.item[i], key) < 0) {
			zg_yaml_error(ctx, y, "'%.*s' is not a public key", ZG_FMT(t.item[i]));
			zg_diag_hint(ctx->diag, "32 bytes in base64, as zerogate policy keygen "
						"prints them, or the path of such a file");
		}
		s->signer_count++;
	}
}

/* true stands for one. */
void zg_require_signed_parse(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into)
{
	struct zg_settings *s = &((struct zg_settings_src *)into)->settings;
	bool on;

	if (y->kind == ZG_Y_SCALAR && y->text.len && y->text.ptr[0] >= '0' &&
	    y->text.ptr[0] <= '9') {
		(void)zg_yaml_uint(ctx, y, 0, ZG_SIGNERS_MAX, &s->require_signed);
		return;
	}
	if (zg_settings_flag(ctx, y, "require_signed", &on))
		s->require_signed = on;
}

void zg_signers_check(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y,
		      const struct zg_settings *s)
{
	if (s->require_signed <= s->signer_count)
		return;
	zg_yaml_error(ctx, y, "require_signed wants %u signers, and policy_signers names %u",
		      s->require_signed, s->signer_count);
	zg_diag_hint(ctx->diag, "policy_signers: [FILE, ...] names their public keys");
}
