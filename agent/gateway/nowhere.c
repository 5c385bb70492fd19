/* SPDX-License-Identifier: Apache-2.0 */
/* nowhere.c - see nowhere.h. Trust: names are the registry's, by way of the parent. */
#include "nowhere.h"

#include "ipc.h"
#include "upstream.h"
#include "worker.h"

/* In place of the same name, or of what is over first. */
void zg_nowhere_put(struct zg_nowhere_names *n, const char *name, uint64_t until_ns)
{
	struct zg_nowhere_name *to = &n->at[0];

	for (size_t i = 0; i < ZG_NOWHERE_NAMES; i++) {
		struct zg_nowhere_name *one = &n->at[i];

		if (strcmp(one->name, name) == 0) {
			to = one;
			break;
		}
		if (one->until_ns < to->until_ns)
			to = one;
	}
	(void)zg_str_cut(to->name, sizeof(to->name), zg_slice_str(name));
	to->until_ns = until_ns;
}

bool zg_nowhere_known(const struct zg_nowhere_names *n, const char *name, uint64_t now_ns)
{
	for (size_t i = 0; i < ZG_NOWHERE_NAMES; i++)
		if (strcmp(n->at[i].name, name) == 0)
			return now_ns < n->at[i].until_ns;
	return false;
}

void zg_nowhere_message(struct zg_worker *w, struct zg_msg_name_nowhere *m)
{
	ZG_MSG_TEXT(m->name);
	zg_nowhere_put(&w->nowhere, m->name, zg_now_ns() + m->sec * UINT64_C(1000000000));
	zg_upstream_nowhere(w);
}
