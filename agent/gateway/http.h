/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http.h - one client connection: reads a head and a body within their caps
 * and times, runs one request at a time, writes its answer. Requests that
 * follow on the same connection wait in a bounded buffer. To its request it is
 * a struct zg_client.
 */
#ifndef ZG_GATEWAY_HTTP_H
#define ZG_GATEWAY_HTTP_H

#include "cleanup.h"
#include "client.h"
#include "http_head.h"
#include "zg_abi.h"

struct zg_conn;
struct zg_worker;
struct ssl_st; /* OpenSSL's SSL */

/* Take over a connected socket. origin NULL = nobody attests it (it will be
 * told so); cgroup_id counts it in the worker's admission. tls: it is spoken
 * here, and ended with the connection; NULL = plain. -errno: the caller still
 * owns fd and the admission, tls is gone. */
int zg_conn_new(struct zg_worker *w, int fd, const struct zg_origin *origin,
		struct ssl_st *tls) ZG_MUST_CHECK;

/* Drop every connection of the worker, without a word. */
void zg_conns_release(struct zg_worker *w);

#endif
