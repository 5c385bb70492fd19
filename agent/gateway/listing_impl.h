/* SPDX-License-Identifier: Apache-2.0 */
/*
 * listing_impl.h - one list under way, shared by listing.c (it waits for the
 * ledger's word), listing_read.c (what it holds) and listing_show.c (what of it
 * is released). Nobody else includes this.
 */
#ifndef ZG_GATEWAY_LISTING_IMPL_H
#define ZG_GATEWAY_LISTING_IMPL_H

#include "definition.h"
#include "list_filter.h"
#include "listing.h"
#include "request.h"

#define ZG_LIST_IDENTITY "serverInfo" /* the name that a server's own name is pinned under */

/* What the entries of a section are: by enum zg_list_section (listing_read.c). */
extern const struct zg_list_use {
	enum zg_pin_kind kind; /* ZG_PIN_KINDS: data, not pinned */
	const char *use;       /* the method that uses it */
} zg_list_uses[ZG_LS_MAX];

struct zg_list_item {
	uint32_t kind; /* ZG_PIN_KINDS: not pinned */
	uint32_t name; /* where its name begins in `names` */
	struct zg_slice raw;
	struct zg_pin_word word;
	bool known;
	bool listed; /* not a definition: a kind whose list is complete */
	uint32_t section;
};

struct zg_listing {
	struct zg_request *request;
	struct zg_listing *after; /* another that came meanwhile, on the same stream */
	struct zg_buf text;	  /* the message, as it may be released */
	struct zg_buf names;	  /* decoded, each with a NUL */
	struct zg_buf items;	  /* struct zg_list_item */
	struct zg_buf out;
	struct zg_buf canon; /* text of the definition that is being told */
	struct zg_names own;
	struct zg_msg_pin_seen question;
	size_t next; /* item that is being asked for */
	size_t cursor;
	bool waits;
	bool ready;
	bool changed;
	struct event timer;
	int error;
};

static inline struct zg_list_item *zg_listing_items(const struct zg_listing *l, size_t *count)
{
	*count = l->items.len / sizeof(struct zg_list_item);
	return (struct zg_list_item *)(void *)l->items.ptr;
}

static inline struct zg_slice zg_list_item_name(const struct zg_listing *l,
						const struct zg_list_item *it)
{
	return zg_slice_str(l->names.ptr + it->name);
}

/* The items of l->text. 0, -ENOMEM, -EFBIG. */
int zg_listing_read(struct zg_listing *l) ZG_MUST_CHECK;

/* The digest of an item, and what there is to say of it, into l->question; its
 * text into l->canon. 0, -ENOMEM, -EFBIG. */
int zg_listing_definition(struct zg_listing *l, const struct zg_list_item *it) ZG_MUST_CHECK;

/* All items are known: make what the client sees. NULL, or why nothing of it is shown. */
const char *zg_listing_filter(struct zg_listing *l) ZG_MUST_CHECK;

#endif
