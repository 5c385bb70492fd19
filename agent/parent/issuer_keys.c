/* SPDX-License-Identifier: Apache-2.0 */
/*
 * issuer_keys.c - see issuer_keys.h. Trust: the document is the network's and comes
 * by way of a gateway, which checks tokens with it: a compromised one gains nothing
 * here that it does not have. Size and place are checked; the config role reads it.
 */
#include "issuer_keys.h"

#include <errno.h>
#include <sys/mman.h>

#include "log.h"
#include "state.h"

#define PLACES (ZG_LISTEN_MAX * ZG_ISSUERS_MAX)

struct zg_issuer_keys {
	struct zg_fetched_keys at[PLACES];
	size_t count;
	struct zg_fetched_keys draft[ZG_WORKERS_MAX]; /* of which parts have come */
};

static bool is_wanted(const struct zg_settings *s, const char *server)
{
	for (uint32_t l = 0; l < s->listen_count; l++)
		for (uint32_t i = 0; i < s->auth[l].issuer_count; i++)
			if (server[0] && strcmp(s->auth[l].issuer[i].server, server) == 0)
				return true;
	return false;
}

static struct zg_fetched_keys *place_of(struct zg_issuer_keys *k, const char *server)
{
	size_t i = 0;

	while (i < k->count && strcmp(k->at[i].server, server) != 0)
		i++;
	if (i == PLACES)
		return NULL;
	if (i == k->count)
		(void)zg_str_cut(k->at[k->count++].server, ZG_SERVER_LEN, zg_slice_str(server));
	return &k->at[i];
}

static void record(struct zg_parent *p, const char *server, size_t bytes)
{
	struct zg_record r;
	char text[ZG_REASON_LEN];

	zg_record_init(&r, ZG_RK_ISSUER_KEYS);
	(void)snprintf(text, sizeof(text), "new keys of an issuer were fetched from %s: %zu bytes",
		       server, bytes);
	zg_record_str(&r, ZG_RF_message, zg_slice_str(text));
	zg_record_str(&r, ZG_RF_server, zg_slice_str(server));
	ZG_REC_NUM(&r, result_bytes, bytes);
	if (!zg_events_record(p, &r))
		zg_log(ZG_LOG_WARN, "%s", text);
}

static void put(struct zg_parent *p, const struct zg_fetched_keys *d)
{
	struct zg_fetched_keys *at = place_of(p->issuer_keys, d->server);

	if (!at || (at->bytes == d->bytes && memcmp(at->text, d->text, d->bytes) == 0))
		return;
	*at = *d;
	record(p, d->server, d->bytes);
	zg_parent_recompile(p);
}

int zg_issuer_keys_take(struct zg_parent *p, uint32_t worker, struct zg_msg_keys_fetched *m)
{
	struct zg_fetched_keys *d;

	ZG_MSG_TEXT(m->server);
	if (!m->chunk || m->chunk > sizeof(m->text) || m->bytes > ZG_JWKS_BYTES ||
	    m->offset > m->bytes || m->chunk > m->bytes - m->offset)
		return -EPROTO;
	if (!is_wanted(p->snapshot.settings, m->server))
		return 0; /* a reload came in between */
	if (!p->issuer_keys)
		p->issuer_keys = calloc(1, sizeof(*p->issuer_keys));
	if (!p->issuer_keys) {
		zg_log(ZG_LOG_ERR, "no memory for the keys from %s", m->server);
		return 0;
	}
	d = &p->issuer_keys->draft[worker];
	if (!m->offset)
		*d = (struct zg_fetched_keys){0};
	if (d->bytes != m->offset)
		return 0; /* its beginning was not wanted yet */
	memcpy(d->server, m->server, sizeof(d->server));
	memcpy(d->text + d->bytes, m->text, m->chunk);
	d->bytes += m->chunk;
	if (d->bytes == m->bytes)
		put(p, d);
	return 0;
}

int zg_issuer_keys_file(const struct zg_parent *p)
{
	const struct zg_issuer_keys *k = p->issuer_keys;
	zg_autofd int fd = memfd_create("zerogate-keys", MFD_CLOEXEC);
	const size_t bytes = k ? k->count * sizeof(k->at[0]) : 0;

	if (fd < 0)
		return -errno;
	if (bytes && pwrite(fd, k->at, bytes, 0) != (ssize_t)bytes)
		return -EIO;
	return zg_take_fd(&fd);
}

void zg_issuer_keys_free(struct zg_issuer_keys *k)
{
	free(k);
}
