/* SPDX-License-Identifier: Apache-2.0 */
/* names_sockets.c - where the questions of each profile arrive (names.h). */
#include <errno.h>
#include <string.h>

#include "listen.h"
#include "names_impl.h"

void zg_name_sockets_close(struct zg_name_sockets *s)
{
	for (size_t i = 0; i < ZG_DNS_SOCKETS; i++)
		zg_close_(&s->fd[i]);
}

/* A machine without IPv6 has no resolver on ::1. */
static int open_sockets(struct zg_names *n, struct zg_name_sockets *s, struct zg_err *e)
{
	int r;

	for (size_t i = 0; i < ZG_DNS_SOCKETS; i++)
		s->fd[i] = -1;
	r = zg_listen_dns(false, &s->fd[ZG_DNS_UDP4], &s->fd[ZG_DNS_TCP4], &s->port.port4, e);
	if (r < 0)
		return r;
	r = zg_listen_dns(true, &s->fd[ZG_DNS_UDP6], &s->fd[ZG_DNS_TCP6], &s->port.port6, e);
	if (r == -EADDRNOTAVAIL || r == -EAFNOSUPPORT)
		r = 0;
	if (r == 0)
		r = zg_kernel_mark_answers(n->kernel, s->fd[ZG_DNS_UDP4]);
	if (r == 0 && s->fd[ZG_DNS_UDP6] >= 0)
		r = zg_kernel_mark_answers(n->kernel, s->fd[ZG_DNS_UDP6]);
	if (r < 0) {
		zg_name_sockets_close(s);
		return zg_err_set(e, -r, "cannot serve DNS: %s", strerror(-r));
	}
	return 0;
}

static int stage_profile(struct zg_names *n, const char *profile, uint32_t id, struct zg_err *e)
{
	struct zg_name_sockets *s = NULL;
	int r = 0;

	for (size_t i = 0; i < n->profiles && !s; i++)
		if (strcmp(n->sockets[i].profile, profile) == 0)
			s = &n->sockets[i];
	if (!s && n->profiles == ZG_PROFILES_MAX)
		return zg_err_set(e, E2BIG, "too many profiles with host names");
	if (!s) {
		s = &n->sockets[n->profiles];
		*s = (struct zg_name_sockets){0};
		(void)zg_str_cut(s->profile, sizeof(s->profile), zg_slice_str(profile));
		r = open_sockets(n, s, e);
		if (r < 0)
			return r;
		n->profiles++;
	}
	s->staged = true;
	n->dns[id] = s->port;
	return 0;
}

int zg_names_stage_sockets(struct zg_names *n, const struct zg_snapshot *s, struct zg_err *e)
{
	memset(n->dns, 0, sizeof(n->dns));
	for (size_t i = 0; i < n->profiles; i++)
		n->sockets[i].staged = false;
	for (size_t i = 0; i < s->name_count; i++) {
		uint32_t id = s->names[i].profile;
		int r = id < ZG_PROFILES_MAX && !n->dns[id].port4 && !s->names[i].deny
				? stage_profile(n, zg_snapshot_profile(s, id), id, e)
				: 0;

		if (r < 0)
			return r;
	}
	return 0;
}

void zg_names_sockets(const struct zg_names *n,
		      void (*fn)(void *arg, const char *profile, enum zg_dns_socket which, int fd),
		      void *arg)
{
	for (size_t i = 0; i < n->profiles; i++)
		for (uint32_t which = 0; which < ZG_DNS_SOCKETS; which++)
			if (n->sockets[i].staged && n->sockets[i].fd[which] >= 0)
				fn(arg, n->sockets[i].profile, which, n->sockets[i].fd[which]);
}
