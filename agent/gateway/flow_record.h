/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flow_record.h - what is written of a connection that never carries a request
 * of ours: refused before there was one, or TLS that is passed on unopened.
 */
#ifndef ZG_GATEWAY_FLOW_RECORD_H
#define ZG_GATEWAY_FLOW_RECORD_H

#include "worker.h"

/* call.reject of a connection to a registered server. */
void zg_flow_refused(struct zg_worker *w, const struct zg_origin *o, const char *why);

/* tls.deny: name as the client said it, "" = it did not; cgroup may be "". */
void zg_flow_denied(struct zg_worker *w, const struct zg_origin *o, const char *name,
		    const char *cgroup, const char *why);

/* tls.pass, when it is over. */
struct zg_flow_passed {
	const char *name;
	const char *cgroup;
	uint64_t sent, received;
	uint64_t duration_us;
	const char *outcome; /* as record_field.h has them */
	const char *how;     /* it ended */
};
void zg_flow_passed(struct zg_worker *w, const struct zg_origin *o, const struct zg_flow_passed *f);

#endif
