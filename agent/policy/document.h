/* SPDX-License-Identifier: Apache-2.0 */
/*
 * document.h - a strict reader of the small YAML that we let people write: one
 * document of maps, lists and text. Refused, with a place: duplicate keys,
 * anchors, aliases, tags, several documents, keys that are not text, control
 * characters, excess depth. No type is guessed: a scalar stays the text that
 * was written (`no` is "no"), and only the one who asks for a number or a
 * boolean gets one.
 */
#ifndef ZG_DOCUMENT_H
#define ZG_DOCUMENT_H

#include "arena.h"
#include "diag.h"
#include "slice.h"

enum zg_yaml_kind { ZG_Y_SCALAR, ZG_Y_LIST, ZG_Y_MAP };

struct zg_yaml {
	enum zg_yaml_kind kind;
	bool plain;	 /* scalar written without quotes */
	uint32_t line;	 /* 1-based */
	uint32_t column; /* 1-based, in characters */
	size_t count;	 /* of items or members */
	struct zg_slice text;
	struct zg_yaml *first; /* item, or value of the first member */
	struct zg_yaml *next;  /* item, or value of the next member */
	/* of a map's member */
	struct zg_slice key;
	uint32_t key_line;
	uint32_t key_column;
};

/* Where errors go and memory comes from, while one file is read. */
struct zg_yaml_ctx {
	const char *file; /* borrowed, must outlive what is parsed */
	struct zg_arena *arena;
	struct zg_diag *diag;
};

/* A list of texts, in the arena. */
struct zg_texts {
	struct zg_slice *item;
	size_t count;
};

/* Read a document. NULL after adding an error to ctx->diag; an empty document
 * is an error too. Texts are copies in the arena, NUL-terminated. */
const struct zg_yaml *zg_yaml_read(const struct zg_yaml_ctx *ctx, struct zg_slice text);

/* Errors and hints at a node. */
void zg_yaml_error(const struct zg_yaml_ctx *ctx, const struct zg_yaml *at, const char *fmt, ...)
	ZG_PRINTF(3, 4);
/* Likewise of a value, by the key that it stands under (an item of a list: the list's),
 * with the next step. */
void zg_yaml_wrong(const struct zg_yaml_ctx *ctx, const struct zg_yaml *at, const char *hint,
		   const char *fmt, ...) ZG_PRINTF(4, 5);

/* Each: true and *out filled, or false after an error was added. */
bool zg_yaml_text(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, struct zg_slice *out);
bool zg_yaml_uint(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, uint32_t min,
		  uint32_t max, uint32_t *out);
/* A scalar, or a list of at least one scalar. */
bool zg_yaml_texts(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, struct zg_texts *out);
/* Copy into a fixed text; too long is an error. */
bool zg_yaml_copy(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, char *out, size_t size);
/* A field's parser: the value must be 'v1'. */
void zg_yaml_version(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into);

/* One known key of a map. */
struct zg_yaml_field {
	const char *key;
	/* called with the member's value; NULL: the key is part of the language
	 * but this version cannot enforce it, so it is refused */
	void (*parse)(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, void *into);
	bool required;
};

/* Give each member of a map to its field's parser; unknown, unenforceable and
 * missing keys are errors. what: "a rule", for messages. */
bool zg_yaml_map(const struct zg_yaml_ctx *ctx, const struct zg_yaml *y, const char *what,
		 const struct zg_yaml_field *fields, size_t count, void *into);

/* The member of a map, or NULL. */
const struct zg_yaml *zg_yaml_member(const struct zg_yaml *map, const char *key);

/* For "%.*s" */
#define ZG_FMT(s) (int)((s).len > 128 ? 128 : (s).len), (s).ptr

#define ZG_COUNT(array) (sizeof(array) / sizeof((array)[0]))

#endif
