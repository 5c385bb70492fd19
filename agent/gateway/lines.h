/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lines.h - messages of a pipe: one JSON text a line (MCP's stdio transport).
 * Bytes in any portions go in, whole lines come out. And a look at the members
 * of a line that say whose it is, without believing anything of it: a full
 * reader judges the line afterwards.
 */
#ifndef ZG_GATEWAY_LINES_H
#define ZG_GATEWAY_LINES_H

#include "buf.h"
#include "cleanup.h"

struct zg_lines {
	struct zg_buf line; /* the one that is not whole yet; capped */
	bool skip;	    /* it was too long, and has been told */
};

/* A line without its end (LF, or CRLF); empty ones do not come. cut: it is longer
 * than the cap, and only its beginning is here. 0 to go on, or -errno, which
 * zg_lines_feed returns at once. */
typedef int zg_lines_fn(void *arg, struct zg_slice line, bool cut);

void zg_lines_init(struct zg_lines *l, size_t max);
void zg_lines_release(struct zg_lines *l);
/* 0; -ENOMEM; fn's error. */
int zg_lines_feed(struct zg_lines *l, struct zg_slice bytes, zg_lines_fn *fn,
		  void *arg) ZG_MUST_CHECK;

struct zg_peek {
	struct zg_slice id;	/* raw bytes of the values; .ptr NULL = absent */
	struct zg_slice method; /* with its quotes */
	bool answer;		/* it has a result or an error */
};

/* The top-level members of one object; the first of a name counts. False: it is no
 * object, or not well formed as far as was looked. */
bool zg_peek(struct zg_slice line, struct zg_peek *out);

#endif
