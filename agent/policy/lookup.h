/* SPDX-License-Identifier: Apache-2.0 */
/* lookup.h - questions to a compiled section that decide.c and classify.c share. */
#ifndef ZG_LOOKUP_H
#define ZG_LOOKUP_H

#include "section.h"

enum zg_method_class {
	ZG_METHOD_UNKNOWN = 0, /* denied */
	ZG_METHOD_WRITE,
	ZG_METHOD_READ,
	ZG_METHOD_TOOL,	     /* the registry's class of the tool counts */
	ZG_METHOD_EXTENSION, /* the registry's class of the method counts */
};

/* The class of env's method, from whoever env says that it comes; server NULL =
 * not registered. For an EXTENSION *row is its class, else NULL. */
enum zg_method_class zg_method_class(const struct zg_policy_view *v,
				     const struct zg_row_server *server,
				     const struct zg_envelope *env, const struct zg_row_tool **row);

/* By registry id, exactly; NULL = not registered. */
const struct zg_row_server *zg_find_server(const struct zg_policy_view *v, struct zg_slice id);

/* Is the call about one resource, by its URI? */
bool zg_about_resource(const struct zg_envelope *env);

/* Of such a call: is the URI not in normal form (uri.h)? Then *plain is that form,
 * in text (ZG_URI_BYTES), or empty if it has none. */
bool zg_other_form(const struct zg_envelope *env, char *text, struct zg_slice *plain);

#endif
