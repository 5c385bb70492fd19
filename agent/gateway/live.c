/* SPDX-License-Identifier: Apache-2.0 */
/*
 * live.c - one configuration in force, with what the gateway derives from it
 * once, so that no request has to search. Trust: the snapshot has been checked
 * by zg_snapshot_open, its policy by zg_policy_open.
 */
#include <errno.h>

#include "trust.h"
#include "worker.h"

static int group_endpoints(struct zg_live *l)
{
	const struct zg_snapshot *s = &l->snap;
	zg_autofree uint32_t *next = calloc(s->server_count + 1, sizeof(*next));

	l->endpoint_first = calloc(s->server_count + 1, sizeof(*l->endpoint_first));
	l->endpoint_order = calloc(s->endpoint_count + 1, sizeof(*l->endpoint_order));
	l->endpoint_good = calloc(s->server_count + 1, sizeof(*l->endpoint_good));
	if (!next || !l->endpoint_first || !l->endpoint_order || !l->endpoint_good)
		return -ENOMEM;
	for (size_t i = 0; i < s->endpoint_count; i++)
		l->endpoint_first[s->endpoints[i].server + 1]++;
	for (size_t i = 0; i < s->server_count; i++)
		l->endpoint_first[i + 1] += l->endpoint_first[i];
	for (size_t i = 0; i < s->endpoint_count; i++) {
		uint16_t server = s->endpoints[i].server;

		l->endpoint_order[l->endpoint_first[server] + next[server]++] = (uint32_t)i;
	}
	return 0;
}

static int make_keys(struct zg_live *l, struct zg_err *e)
{
	struct zg_slice root = zg_secrets_find(&l->secrets, ZG_SK_SEAL, ZG_SLICE(""), 0);

	if (root.len < 32)
		return zg_err_set(e, EBADMSG, "the secrets hold no key to seal with");
	zg_seal_keys(&l->seal, root);
	return 0;
}

static void live_free(struct zg_live *l)
{
	explicit_bzero(&l->seal, sizeof(l->seal));
	zg_policy_close(&l->policy);
	zg_policy_close(&l->trial);
	zg_scanner_free(l->scanner);
	zg_trust_free(l->trust);
	zg_snapshot_close(&l->snap);
	zg_secrets_close(&l->secrets);
	free(l->endpoint_first);
	free(l->endpoint_order);
	free(l->endpoint_good);
	free(l);
}

int zg_live_new(struct zg_live **out, int fd, int secrets, uint64_t generation,
		const struct zg_live *former, struct zg_err *e)
{
	struct zg_live *l = calloc(1, sizeof(*l));
	int rc;

	if (!l)
		return zg_err_set(e, ENOMEM, "no memory for a configuration");
	rc = zg_snapshot_open(&l->snap, fd, e);
	if (rc < 0) {
		free(l);
		return rc;
	}
	l->refs = 1;
	l->generation = generation;
	rc = zg_secrets_open(&l->secrets, secrets);
	if (rc < 0)
		rc = zg_err_set(e, -rc, "the secrets cannot be read: %s", strerror(-rc));
	if (rc == 0)
		rc = make_keys(l, e);
	if (rc == 0)
		rc = zg_policy_open(&l->policy, l->snap.policy, l->snap.policy_bytes, e);
	/* what is only tried out must not keep what is in force from it */
	if (rc == 0 && l->snap.shadow && !l->snap.shadow->broken &&
	    zg_policy_open(&l->trial, l->snap.shadow_policy, l->snap.shadow_policy_bytes, e) < 0)
		l->trial = (struct zg_policy){0};
	if (rc == 0)
		rc = zg_scanner_new(&l->scanner, l->snap.scandb, l->snap.scandb_bytes, e);
	if (rc == 0)
		l->trust = zg_trust_new(l, former);
	if (rc == 0 && (!l->trust || group_endpoints(l) < 0))
		rc = zg_err_set(e, ENOMEM, "no memory for a configuration");
	if (rc < 0) {
		live_free(l);
		return rc;
	}
	*out = l;
	return 0;
}

struct zg_live *zg_live_ref(struct zg_live *l)
{
	l->refs++;
	return l;
}

void zg_live_unref(struct zg_live *l)
{
	if (l && --l->refs == 0)
		live_free(l);
}

static uint32_t endpoint_count(const struct zg_live *l, size_t server)
{
	return l->endpoint_first[server + 1] - l->endpoint_first[server];
}

const struct zg_endpoint_def *zg_live_endpoint(const struct zg_live *l,
					       const struct zg_server_def *server, uint32_t first,
					       uint32_t nth)
{
	size_t index = (size_t)(server - l->snap.servers);
	uint32_t count = endpoint_count(l, index);

	if (nth >= count)
		return NULL;
	nth = (first + nth) % count;
	return &l->snap.endpoints[l->endpoint_order[l->endpoint_first[index] + nth]];
}

uint32_t zg_live_endpoint_good(const struct zg_live *l, const struct zg_server_def *server)
{
	return l->endpoint_good[server - l->snap.servers];
}

void zg_live_endpoint_answered(struct zg_live *l, const struct zg_server_def *server,
			       uint32_t which)
{
	size_t index = (size_t)(server - l->snap.servers);
	uint32_t count = endpoint_count(l, index);

	l->endpoint_good[index] = count ? which % count : 0;
}
