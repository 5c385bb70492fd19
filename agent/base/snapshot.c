/* SPDX-License-Identifier: Apache-2.0 */
/*
 * snapshot.c - see snapshot.h. Trust: the writer is an unprivileged process
 * that has read what people wrote; every number is checked before use.
 */
#include "snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

static const size_t element[ZG_S_MAX] = {
	[ZG_S_SETTINGS] = sizeof(struct zg_settings),
	[ZG_S_PROFILES] = sizeof(struct zg_profile_def),
	[ZG_S_CGROUPS] = sizeof(struct zg_cgroup_def),
	[ZG_S_PREFIXES] = sizeof(struct zg_prefix_def),
	[ZG_S_RULES] = sizeof(struct zg_rule_def),
	[ZG_S_SERVERS] = sizeof(struct zg_server_def),
	[ZG_S_ENDPOINTS] = sizeof(struct zg_endpoint_def),
	[ZG_S_POLICY] = 1,
	[ZG_S_SCANDB] = 1,
	[ZG_S_UNIX] = sizeof(struct zg_unix_def),
	[ZG_S_EXECS] = sizeof(struct zg_exec_def),
	[ZG_S_NAMES] = sizeof(struct zg_name_def),
	[ZG_S_STDIO] = sizeof(struct zg_stdio_def),
	[ZG_S_TEXT] = 1,
	[ZG_S_CREDENTIALS] = sizeof(struct zg_credential_def),
	[ZG_S_AUTH_KEYS] = sizeof(struct zg_auth_key),
	[ZG_S_SHADOW_POLICY] = 1,
	[ZG_S_SHADOW] = sizeof(struct zg_shadow_def),
};

static bool sections_ok(const struct zg_snapshot_header *h, size_t bytes)
{
	if (bytes < sizeof(*h) || h->magic != ZG_SNAPSHOT_MAGIC || h->header_bytes != sizeof(*h) ||
	    h->bytes != bytes)
		return false;
	for (int i = 0; i < ZG_S_MAX; i++) {
		const struct zg_section_ref *r = &h->section[i];

		if (r->offset % 8 || r->offset < sizeof(*h) || r->offset > bytes ||
		    r->bytes > bytes - r->offset || r->bytes % element[i])
			return false;
	}
	return h->section[ZG_S_SETTINGS].bytes == sizeof(struct zg_settings);
}

#define ENDS(text) (memchr((text), '\0', sizeof(text)) != NULL)

static bool auth_ok(const struct zg_auth *a)
{
	if (!ENDS(a->resource) || !ENDS(a->scopes) || a->issuer_count > ZG_ISSUERS_MAX ||
	    (a->resource[0] && !a->issuer_count))
		return false;
	for (uint32_t i = 0; i < a->issuer_count; i++)
		if (!ENDS(a->issuer[i].issuer) || !a->issuer[i].issuer[0] ||
		    !ENDS(a->issuer[i].jwks_file) || !ENDS(a->issuer[i].server))
			return false;
	return true;
}

static bool auth_key_ok(const struct zg_snapshot *s, const struct zg_auth_key *k)
{
	return k->listener < s->settings->listen_count &&
	       k->issuer < s->settings->auth[k->listener].issuer_count && k->alg > ZG_AA_NONE &&
	       k->alg < ZG_AA_MAX && k->bytes > 0 && k->bytes <= sizeof(k->spki) && ENDS(k->kid);
}

static bool all_auth_ok(const struct zg_settings *s)
{
	for (size_t i = 0; i < ZG_LISTEN_MAX; i++)
		if (!auth_ok(&s->auth[i]))
			return false;
	return true;
}

static bool proxy_ok(const struct zg_proxy *p)
{
	return ENDS(p->host) && ENDS(p->credentials_file) && p->by_name <= 1 &&
	       p->address_count <= ZG_ENDPOINTS_PER_SERVER && (!p->host[0] || p->port);
}

static bool owners_ok(const struct zg_settings *s)
{
	if (s->owner_count > ZG_OWNERS_MAX)
		return false;
	for (uint32_t i = 0; i < s->owner_count; i++)
		if (!ENDS(s->owner[i].name) || !ENDS(s->owner[i].group))
			return false;
	return true;
}

static bool signers_ok(const struct zg_settings *s)
{
	if (s->signer_count > ZG_SIGNERS_MAX || s->require_signed > s->signer_count)
		return false;
	for (uint32_t i = 0; i < s->signer_count; i++)
		if (!ENDS(s->signer[i]) || !s->signer[i][0])
			return false;
	return true;
}

static bool notify_ok(const struct zg_notify_def *n)
{
	if (n->events >> ZG_NE_MAX || n->arg_count > ZG_NOTIFY_ARGS_MAX ||
	    n->timeout_sec > ZG_NOTIFY_TIMEOUT_MAX)
		return false;
	for (uint32_t i = 0; i < n->arg_count; i++)
		if (!ENDS(n->arg[i]))
			return false;
	return ENDS(n->command) && ENDS(n->user) && ENDS(n->server) && ENDS(n->secret_file);
}

static bool settings_ok(const struct zg_settings *s)
{
	return ENDS(s->policies) && ENDS(s->servers) && ENDS(s->state_dir) &&
	       ENDS(s->runtime_dir) && ENDS(s->pin_dir) && ENDS(s->cgroup_root) && ENDS(s->user) &&
	       ENDS(s->ledger_user) && ENDS(s->approver_group) && ENDS(s->security_group) &&
	       ENDS(s->break_glass_group) && ENDS(s->high_risk_tags) && owners_ok(s) &&
	       ENDS(s->ca_file) && s->listen_count <= ZG_LISTEN_MAX &&
	       s->workers <= ZG_WORKERS_MAX && s->hold_sec <= ZG_HOLD_MAX_SEC &&
	       s->durability <= ZG_DURABILITY_SYNC && s->dns_count <= ZG_DNS_UPSTREAM_MAX &&
	       s->dns_ttl_min_sec <= ZG_DNS_TTL_MAX_SEC && s->dns_grace_sec <= ZG_DNS_TTL_MAX_SEC &&
	       s->reload_on_change <= 1 && signers_ok(s) && ENDS(s->shadow_policies) &&
	       all_auth_ok(s) && proxy_ok(&s->proxy) && notify_ok(&s->notify);
}

static bool profile_known(const struct zg_snapshot *s, uint32_t id)
{
	return id == ZG_PROFILE_GATEWAY || id == ZG_PROFILE_RESOLVER ||
	       (id >= ZG_PROFILE_FIRST && id - ZG_PROFILE_FIRST < s->profile_count);
}

static bool profile_ok(const struct zg_snapshot *s, const struct zg_profile_def *p)
{
	return ENDS(p->name) && p->mode <= ZG_MODE_AUDIT && p->shadow_wire <= ZG_SHADOW_OFF &&
	       p->shadow_stdio <= ZG_SHADOW_OFF &&
	       (p->narrows == ZG_PROFILE_NONE ||
		(p->narrows >= ZG_PROFILE_FIRST && profile_known(s, p->narrows)));
}

static bool ports_ok(const struct zg_rule_val *v)
{
	if (v->count > ZG_PORT_RULES_MAX)
		return false;
	for (uint32_t i = 0; i < v->count; i++)
		if (v->port[i].lo > v->port[i].hi || v->port[i].verdict > ZG_V_REDIRECT)
			return false;
	return true;
}

static bool rule_ok(const struct zg_snapshot *s, const struct zg_rule_def *r)
{
	/* identity 0 is what a profile may listen on, whoever dials */
	if (!profile_known(s, r->profile) || r->direction > ZG_DIR_IN ||
	    (!r->identity && r->direction != ZG_DIR_IN) || r->proto > UINT8_MAX)
		return false;
	return ports_ok(&r->val);
}

static bool unix_ok(const struct zg_snapshot *s, const struct zg_unix_def *d)
{
	bool of_all = d->profile == ZG_PROFILE_NONE && d->verdict == ZG_V_DENY;

	return (of_all || profile_known(s, d->profile)) && ENDS(d->path) && d->path[0] &&
	       d->prefix <= 1 && d->verdict <= ZG_V_ALLOW && d->reason < ZG_GR_MAX;
}

static bool name_ok(const struct zg_snapshot *s, const struct zg_name_def *d)
{
	return profile_known(s, d->profile) && ENDS(d->pattern) && d->pattern[0] && d->local <= 1 &&
	       d->deny <= 1 && d->server <= 1 && ports_ok(&d->val);
}

static bool server_ok(const struct zg_server_def *d)
{
	return ENDS(d->prefix) && d->pinning <= ZG_PINNING_FIRST_USE && ENDS(d->id) &&
	       ENDS(d->name) && ENDS(d->version) && ENDS(d->owner) && ENDS(d->url) &&
	       ENDS(d->host) && ENDS(d->path) && d->transport <= ZG_T_STDIO && ENDS(d->pins) &&
	       ENDS(d->passthrough_reason) && d->proxied <= 1 && d->use <= ZG_USE_WEBHOOK;
}

static bool credential_ok(const struct zg_snapshot *s, const struct zg_credential_def *d)
{
	return d->server < s->server_count && d->kind < ZG_SK_MAX && ENDS(d->header) &&
	       ENDS(d->path) && ENDS(d->value);
}

/* All its texts lie in the section, which ends in a NUL. */
static bool texts_ok(const struct zg_snapshot *s, const struct zg_texts_ref *ref, uint32_t max)
{
	size_t at = ref->offset;

	if (ref->count > max)
		return false;
	for (uint32_t i = 0; i < ref->count; i++) {
		if (at >= s->text_bytes)
			return false;
		at += strlen(s->text + at) + 1;
	}
	return true;
}

static bool stdio_ok(const struct zg_snapshot *s, const struct zg_stdio_def *d)
{
	return ENDS(d->server) && ENDS(d->command) && d->command[0] == '/' && ENDS(d->cwd) &&
	       ENDS(d->user) && profile_known(s, d->profile) &&
	       texts_ok(s, &d->args, ZG_STDIO_ARGS_MAX) && texts_ok(s, &d->env, ZG_STDIO_ENV_MAX) &&
	       texts_ok(s, &d->pass, ZG_STDIO_ENV_MAX) && d->memory >= ZG_STDIO_MEMORY_MIN &&
	       d->pids && d->pids <= ZG_STDIO_PIDS_MAX && d->cpu <= ZG_STDIO_CPU_MAX &&
	       d->who <= ZG_SU_CALLER && d->restart <= ZG_SR_ON_FAILURE && d->private_tmp <= 1 &&
	       d->has_sha256 <= 1 && d->offline <= 1;
}

static bool content_ok(const struct zg_snapshot *s)
{
	if (!settings_ok(s->settings) || s->profile_count > ZG_PROFILE_CANARY - ZG_PROFILE_FIRST ||
	    s->prefix_count > ZG_PREFIXES_MAX || s->rule_count > ZG_RULES_MAX ||
	    s->server_count > ZG_SERVERS_MAX)
		return false;
	for (size_t i = 0; i < s->profile_count; i++)
		if (!profile_ok(s, &s->profiles[i]))
			return false;
	for (size_t i = 0; i < s->cgroup_count; i++)
		if (!ENDS(s->cgroups[i].glob) || !profile_known(s, s->cgroups[i].profile))
			return false;
	for (size_t i = 0; i < s->prefix_count; i++)
		if (s->prefixes[i].prefixlen > 128 || !s->prefixes[i].identity)
			return false;
	for (size_t i = 0; i < s->rule_count; i++)
		if (!rule_ok(s, &s->rules[i]))
			return false;
	for (size_t i = 0; i < s->unix_count; i++)
		if (!unix_ok(s, &s->unixes[i]))
			return false;
	for (size_t i = 0; i < s->exec_count; i++)
		if (!profile_known(s, s->execs[i].profile) || !ENDS(s->execs[i].path) ||
		    s->execs[i].path[0] != '/')
			return false;
	for (size_t i = 0; i < s->name_count; i++)
		if (!name_ok(s, &s->names[i]))
			return false;
	for (size_t i = 0; i < s->server_count; i++)
		if (!server_ok(&s->servers[i]))
			return false;
	if (s->text_bytes && s->text[s->text_bytes - 1])
		return false;
	for (size_t i = 0; i < s->stdio_count; i++)
		if (!stdio_ok(s, &s->stdios[i]))
			return false;
	for (size_t i = 0; i < s->auth_key_count; i++)
		if (!auth_key_ok(s, &s->auth_keys[i]))
			return false;
	for (size_t i = 0; i < s->credential_count; i++)
		if (!credential_ok(s, &s->credentials[i]))
			return false;
	for (size_t i = 0; i < s->endpoint_count; i++)
		if (s->endpoints[i].server >= s->server_count)
			return false;
	return true;
}

static bool shadow_ok(const struct zg_shadow_def *d, size_t count)
{
	return !count || (count == 1 && d->broken <= 1 && ENDS(d->file) && ENDS(d->what));
}

static const void *section(const struct zg_snapshot *s, enum zg_section which, size_t *count)
{
	const struct zg_section_ref *r = &s->header->section[which];

	*count = r->bytes / element[which];
	return (const char *)s->header + r->offset;
}

int zg_snapshot_open(struct zg_snapshot *out, int fd, struct zg_err *e)
{
	const int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL;
	struct zg_snapshot s = {0};
	struct stat st;
	size_t one;
	void *map;

	/* unsealed, its writer could change it after we checked it */
	if ((fcntl(fd, F_GET_SEALS) & seals) != seals || fstat(fd, &st) < 0)
		return zg_err_set(e, EBADMSG, "the compiled snapshot is not sealed");
	if (st.st_size < (off_t)sizeof(struct zg_snapshot_header) || st.st_size > ZG_SNAPSHOT_BYTES)
		return zg_err_set(e, EBADMSG, "the compiled snapshot has an impossible size");
	s.bytes = (size_t)st.st_size;
	map = mmap(NULL, s.bytes, PROT_READ, MAP_PRIVATE, fd, 0);
	if (map == MAP_FAILED)
		return zg_err_set(e, errno, "cannot map the compiled snapshot: %m");
	s.header = map;
	if (!sections_ok(s.header, s.bytes))
		goto broken;
	s.settings = section(&s, ZG_S_SETTINGS, &one);
	s.profiles = section(&s, ZG_S_PROFILES, &s.profile_count);
	s.cgroups = section(&s, ZG_S_CGROUPS, &s.cgroup_count);
	s.prefixes = section(&s, ZG_S_PREFIXES, &s.prefix_count);
	s.rules = section(&s, ZG_S_RULES, &s.rule_count);
	s.servers = section(&s, ZG_S_SERVERS, &s.server_count);
	s.endpoints = section(&s, ZG_S_ENDPOINTS, &s.endpoint_count);
	s.policy = section(&s, ZG_S_POLICY, &s.policy_bytes);
	s.scandb = section(&s, ZG_S_SCANDB, &s.scandb_bytes);
	s.unixes = section(&s, ZG_S_UNIX, &s.unix_count);
	s.execs = section(&s, ZG_S_EXECS, &s.exec_count);
	s.names = section(&s, ZG_S_NAMES, &s.name_count);
	s.stdios = section(&s, ZG_S_STDIO, &s.stdio_count);
	s.text = section(&s, ZG_S_TEXT, &s.text_bytes);
	s.credentials = section(&s, ZG_S_CREDENTIALS, &s.credential_count);
	s.auth_keys = section(&s, ZG_S_AUTH_KEYS, &s.auth_key_count);
	s.shadow_policy = section(&s, ZG_S_SHADOW_POLICY, &s.shadow_policy_bytes);
	s.shadow = section(&s, ZG_S_SHADOW, &one);
	if (!shadow_ok(s.shadow, one))
		goto broken;
	s.shadow = one ? s.shadow : NULL;
	if (!content_ok(&s))
		goto broken;
	*out = s;
	return 0;
broken:
	(void)munmap(map, s.bytes);
	return zg_err_set(e, EBADMSG, "the compiled snapshot breaks its own format");
}

void zg_snapshot_close(struct zg_snapshot *s)
{
	if (s->header)
		(void)munmap((void *)(uintptr_t)s->header, s->bytes);
	*s = (struct zg_snapshot){0};
}

const struct zg_server_def *zg_snapshot_server(const struct zg_snapshot *s, struct zg_slice id)
{
	size_t lo = 0, hi = s->server_count;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		struct zg_slice at = zg_slice_str(s->servers[mid].id);
		size_t n = at.len < id.len ? at.len : id.len;
		int c = memcmp(at.ptr, id.ptr, n);

		if (c == 0 && at.len == id.len)
			return &s->servers[mid];
		if (c < 0 || (c == 0 && at.len < id.len))
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

static int endpoint_order(const struct zg_endpoint_def *at, const uint8_t addr[16], uint16_t port)
{
	int c = memcmp(at->addr, addr, 16);

	return c ? c : (int)at->port - (int)port;
}

const struct zg_endpoint_def *zg_snapshot_endpoints(const struct zg_snapshot *s,
						    const uint8_t addr[16], uint16_t port,
						    size_t *count)
{
	size_t lo = 0, hi = s->endpoint_count, end;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (endpoint_order(&s->endpoints[mid], addr, port) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	end = lo;
	while (end < s->endpoint_count && endpoint_order(&s->endpoints[end], addr, port) == 0)
		end++;
	*count = end - lo;
	return s->endpoints + lo;
}

const struct zg_server_def *zg_snapshot_endpoint(const struct zg_snapshot *s,
						 const uint8_t addr[16], uint16_t port)
{
	size_t count;
	const struct zg_endpoint_def *first = zg_snapshot_endpoints(s, addr, port, &count);

	return count ? &s->servers[first->server] : NULL;
}

const struct zg_stdio_def *zg_snapshot_stdio(const struct zg_snapshot *s, const char *server)
{
	for (size_t i = 0; i < s->stdio_count; i++)
		if (strcmp(s->stdios[i].server, server) == 0)
			return &s->stdios[i];
	return NULL;
}

bool zg_stdio_may(const struct zg_stdio_def *d, uint32_t profile)
{
	return profile < ZG_PROFILES_MAX && (d->may[profile / 8] >> (profile % 8) & 1);
}

const char *zg_snapshot_text(const struct zg_snapshot *s, const struct zg_texts_ref *ref)
{
	return s->text + ref->offset;
}

const char *zg_snapshot_text_next(const char *at)
{
	return at + strlen(at) + 1;
}

const char *zg_snapshot_profile(const struct zg_snapshot *s, uint32_t profile)
{
	if (profile < ZG_PROFILE_FIRST || profile - ZG_PROFILE_FIRST >= s->profile_count)
		return "";
	return s->profiles[profile - ZG_PROFILE_FIRST].name;
}

uint32_t zg_snapshot_profile_id(const struct zg_snapshot *s, struct zg_slice name)
{
	for (size_t i = 0; name.len && i < s->profile_count; i++)
		if (zg_slice_eq(zg_slice_str(s->profiles[i].name), name))
			return (uint32_t)i + ZG_PROFILE_FIRST;
	return ZG_PROFILE_NONE;
}

uint32_t zg_snapshot_wide(const struct zg_snapshot *s, uint32_t profile)
{
	uint32_t wide = profile >= ZG_PROFILE_FIRST && profile - ZG_PROFILE_FIRST < s->profile_count
				? s->profiles[profile - ZG_PROFILE_FIRST].narrows
				: ZG_PROFILE_NONE;

	return wide == ZG_PROFILE_NONE ? profile : wide;
}

uint32_t zg_snapshot_narrowed(const struct zg_snapshot *s, uint32_t server, const char *name)
{
	uint32_t id = zg_snapshot_profile_id(s, zg_slice_str(name));

	return id != ZG_PROFILE_NONE && id != server && zg_snapshot_wide(s, id) == server
		       ? id
		       : ZG_PROFILE_NONE;
}
