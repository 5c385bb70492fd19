/* SPDX-License-Identifier: Apache-2.0 */
/*
 * slice.h - (pointer, length) text from a peer: not NUL-terminated, not owned,
 * possibly not UTF-8. All comparisons are by bytes, ASCII case at most.
 */
#ifndef ZG_SLICE_H
#define ZG_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct zg_slice {
	const char *ptr;
	size_t len;
};

#define ZG_SLICE(lit) ((struct zg_slice){"" lit, sizeof(lit) - 1})

static inline struct zg_slice zg_slice_str(const char *s)
{
	return (struct zg_slice){s, s ? strlen(s) : 0};
}

static inline bool zg_slice_eq(struct zg_slice a, struct zg_slice b)
{
	/* NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker): what has a length is there */
	return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

bool zg_slice_folds(struct zg_slice a, struct zg_slice b); /* of one length */

static inline bool zg_slice_ieq(struct zg_slice a, struct zg_slice b) /* ASCII case folded */
{
	/* NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult): set whole */
	return a.len == b.len && zg_slice_folds(a, b);
}

struct zg_slice zg_slice_trim(struct zg_slice s); /* ASCII blanks, both ends */
bool zg_slice_starts(struct zg_slice s, struct zg_slice prefix);

/* '*' any run of bytes, all else literal. No recursion; at most
 * len(pattern) * len(text) steps. */
bool zg_star_match(struct zg_slice pattern, struct zg_slice text);

/* Valid UTF-8 by RFC 3629: no overlong forms, surrogates, or > U+10FFFF. */
bool zg_utf8_valid(struct zg_slice s);

/* Decimal, the whole slice, no sign, no blanks. 0 or -EINVAL/-ERANGE. */
int zg_slice_u64(struct zg_slice s, uint64_t max, uint64_t *out);

/* Copy into a fixed text; true if all of it fitted, else cut (with "..." at
 * the end where there is room) at a UTF-8 boundary. Always terminates. */
bool zg_str_cut(char *out, size_t size, struct zg_slice s);

/* Lower-case hex; out has 2 * n + 1 bytes. */
void zg_hex(char *out, const uint8_t *bytes, size_t n);

/* IP text <-> 16 bytes (IPv4 as v4-mapped). out has INET6_ADDRSTRLEN bytes;
 * v4-mapped is written dotted. Parsing takes no zone, no port, no brackets. */
void zg_addr_text(char *out, size_t size, const uint8_t addr[16]);
int zg_addr_parse(struct zg_slice s, uint8_t addr[16]);

#endif
