/* SPDX-License-Identifier: Apache-2.0 */
/*
 * registry_here.c - servers of the configuration in force, when they were used
 * last, and a server as people are shown it. Trust: the snapshot is root's word and
 * the ledger's own. Decides nothing.
 */
#include <errno.h>

#include "log.h"
#include "servers_impl.h"
#include "snapshot.h"

static int by_id(const void *key, const void *here)
{
	return strcmp(key, ((const struct zg_server_here *)here)->shown.id);
}

const struct zg_server_here *zg_servers_here(const struct zg_servers *s, const char *id)
{
	return s->here_count ? bsearch(id, s->here, s->here_count, sizeof(*s->here), by_id) : NULL;
}

static void describe_here(struct zg_server_row *out, const struct zg_server_def *def)
{
	static const char *const transport[] = {
		[ZG_T_STREAMABLE_HTTP] = "streamable-http",
		[ZG_T_SSE] = "sse",
		[ZG_T_STDIO] = "stdio",
	};

	*out = (struct zg_server_row){.live = zg_entry_none};
	memcpy(out->id, def->id, sizeof(out->id));
	memcpy(out->live.owner, def->owner, sizeof(out->live.owner));
	memcpy(out->live.version, def->version, sizeof(out->live.version));
	(void)zg_str_cut(out->live.transport, sizeof(out->live.transport),
			 zg_slice_str(def->transport < sizeof(transport) / sizeof(transport[0]) &&
						      transport[def->transport]
					      ? transport[def->transport]
					      : ""));
	(void)zg_str_cut(out->live.endpoint, sizeof(out->live.endpoint), zg_slice_str(def->url));
}

int zg_servers_snapshot(struct zg_servers *s, const struct zg_snapshot *snap)
{
	struct zg_server_here *here = calloc(snap->server_count + 1, sizeof(*here));

	if (!here)
		return -ENOMEM;
	for (size_t i = 0; i < snap->server_count; i++) { /* sorted by id as they are */
		const struct zg_server_here *was = zg_servers_here(s, snap->servers[i].id);

		describe_here(&here[i].shown, &snap->servers[i]);
		here[i].used_ms = was	  ? was->used_ms
				  : s->db ? zg_servers_use(s, here[i].shown.id)
					  : 0;
		here[i].unstored = was && was->unstored;
	}
	free(s->here);
	s->here = here;
	s->here_count = snap->server_count;
	memcpy(s->owner, snap->settings->owner, sizeof(s->owner));
	s->owner_count = snap->settings->owner_count;
	return 0;
}

void zg_servers_used(struct zg_servers *s, const struct zg_record *r)
{
	struct zg_server_here *here;

	if ((r->kind != ZG_RK_CALL_INTENT && r->kind != ZG_RK_CALL_OUTCOME) ||
	    !ZG_REC_HAS(r, server)) /* then what stands there is another record's */
		return;
	here = s->here_count ? bsearch(r->server, s->here, s->here_count, sizeof(*s->here), by_id)
			     : NULL;
	if (!here)
		return;
	here->used_ms = r->time_ns / 1000000;
	here->unstored = true;
}

void zg_servers_store_uses(struct zg_servers *s)
{
	bool any = false;
	int rc = 0;

	for (size_t i = 0; i < s->here_count && rc == 0; i++) {
		if (!s->here[i].unstored)
			continue;
		if (!any)
			rc = zg_servers_begin(s);
		any = true;
		if (rc == 0)
			rc = zg_servers_put_use(s, s->here[i].shown.id, s->here[i].used_ms);
	}
	if (!any)
		return;
	if (rc == 0)
		rc = zg_servers_commit(s);
	else
		zg_servers_rollback(s);
	for (size_t i = 0; i < s->here_count && rc == 0; i++)
		s->here[i].unstored = false;
	if (rc < 0)
		zg_log(ZG_LOG_WARN, "when servers were used last could not be stored: %s",
		       strerror(-rc));
}

void zg_servers_show(struct zg_servers *s, struct zg_pins *pins, const struct zg_server_row *row,
		     struct zg_msg_ctl_server *out)
{
	const struct zg_server_here *here = zg_servers_here(s, row->id);
	const struct zg_server_entry *e = row->pending	       ? &row->next
					  : row->live.owner[0] ? &row->live
					  : here	       ? &here->shown.live
							       : &row->next;
	uint64_t pinned = 0, withheld = 0;

	*out = (struct zg_msg_ctl_server){.state = row->state,
					  .pending = row->pending,
					  .in_force = here != NULL,
					  .from_file = here && !zg_entry_there(&row->live),
					  .submitter_uid = e->submitter_uid,
					  .security_uid = e->security_uid,
					  .owner_uid = e->owner_uid,
					  .changed_ms = row->changed_ms,
					  .used_ms = here ? here->used_ms
							  : zg_servers_use(s, row->id)};
	memcpy(out->id, row->id, sizeof(out->id));
	memcpy(out->owner, e->owner, sizeof(out->owner));
	memcpy(out->version, e->version, sizeof(out->version));
	memcpy(out->transport, e->transport, sizeof(out->transport));
	memcpy(out->endpoint, e->endpoint, sizeof(out->endpoint));
	memcpy(out->sha256, e->sha256, sizeof(out->sha256));
	memcpy(out->problem, row->problem, sizeof(out->problem));
	if (zg_pins_tally(pins, row->id, &pinned, &withheld) == 0) {
		out->pins = (uint32_t)pinned;
		out->withheld = (uint32_t)withheld;
	}
}
