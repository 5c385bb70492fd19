/* SPDX-License-Identifier: Apache-2.0 */
/*
 * connection.h - connections that people grant. A refusal of a profile that may
 * ask (zerogate.yaml: ask) becomes a question for the ledger, one for each
 * executable and destination; what a person grants becomes a row of the gate
 * that ends by itself, with the policy that it was asked under, or when it is
 * taken back, and its live sockets with it.
 *
 * Never asked about: what an entry denies, metadata and DNS over HTTPS services,
 * the agent's own listeners, registered servers (the gateway is the way to them),
 * and processes whose executable cannot be told. A file that has changed since is
 * not the one that was asked about.
 */
#ifndef ZG_CONNECTION_H
#define ZG_CONNECTION_H

#include "state.h"

struct zg_connections;

int zg_connections_new(struct zg_parent *p, struct zg_err *e) ZG_MUST_CHECK;
void zg_connections_free(struct zg_connections *c);

/* A new channel to the ledger, which is taken: what waits is asked again. */
void zg_connections_link(struct zg_parent *p, int sock);

/* The gate has refused this. */
void zg_connections_refused(struct zg_parent *p, const struct zg_event *ev);

/* A configuration has come into force, and live sockets are judged next. */
void zg_connections_applied(struct zg_parent *p);

#endif
