/* SPDX-License-Identifier: Apache-2.0 */
/*
 * certs.h - how clients come to believe the gateway in the place of registered
 * https servers: the local CA (ca.h) over the hosts of a snapshot, the gateways'
 * certificates, and the files that clients read. Certificates are made anew
 * with every configuration and every day.
 */
#ifndef ZG_PARENT_CERTS_H
#define ZG_PARENT_CERTS_H

#include <time.h>

#include "secrets.h"
#include "snapshot.h"

#define ZG_CA_FILE   "ca.pem"	     /* in the runtime folder: our CA alone */
#define ZG_CA_BUNDLE "ca-bundle.pem" /* the system's CAs and ours */

struct zg_ca;
struct zg_parent;

struct zg_certs {
	struct zg_ca *ca; /* NULL until an https server is registered */
	time_t minted;	  /* CLOCK_REALTIME of the last leaves; 0 = none */
	bool published;	  /* the files are there, for what is in force */
};

/* A certificate and key for each host of s that gateways answer for. 0 or -errno. */
int zg_certs_secrets(struct zg_parent *p, const struct zg_snapshot *s, struct zg_secrets_draft *d,
		     struct zg_err *e) ZG_MUST_CHECK;

/* Write the files for the snapshot in force. What fails is logged, and no new
 * client is pointed at them. */
void zg_certs_publish(struct zg_parent *p);

/* Where they are; "" = no https server is registered, or they could not be written. */
void zg_certs_paths(const struct zg_parent *p, char file[ZG_PATH_LEN], char bundle[ZG_PATH_LEN]);

/* Renew in time, also when the clock jumps. */
int zg_certs_start(struct zg_parent *p, struct zg_err *e) ZG_MUST_CHECK;
void zg_certs_release(struct zg_parent *p);

#endif
