/* SPDX-License-Identifier: Apache-2.0 */
/* lookup.h - questions to a compiled section that decide.c and classify.c share. */
#ifndef ZG_LOOKUP_H
#define ZG_LOOKUP_H

#include "section.h"

enum zg_method_class {
	ZG_METHOD_UNKNOWN = 0, /* denied */
	ZG_METHOD_READ,
	ZG_METHOD_TOOL, /* the registry's class of the tool counts */
};

enum zg_method_class zg_method_class(struct zg_slice method);

/* By registry id, exactly; NULL = not registered. */
const struct zg_row_server *zg_find_server(const struct zg_policy_view *v, struct zg_slice id);

#endif
