/* SPDX-License-Identifier: Apache-2.0 */
/*
 * envelope.h - one message in the form that policy judges. All text is
 * borrowed (from the request and the snapshot) and must outlive the call.
 * Labels and risk tags come from the registry, from classification and from
 * the kernel, never from the client.
 */
#ifndef ZG_ENVELOPE_H
#define ZG_ENVELOPE_H

#include <jansson.h>

#include "slice.h"
#include "zg_limits.h"
#include "zg_wire.h"

enum zg_action {
	ZG_ACTION_WRITE = 0, /* what nobody classified is a write */
	ZG_ACTION_READ = 1,
};

struct zg_label {
	struct zg_slice key;
	struct zg_slice value;
};

struct zg_envelope {
	struct zg_slice server; /* registry id as asked for; may be unregistered */
	struct zg_slice method;
	struct zg_slice tool; /* tool or prompt name, resource URI; may be empty */
	enum zg_action action;
	bool read_only; /* a trusted, accepted definition says so of what nobody classified */
	struct zg_label labels[ZG_LABELS_MAX]; /* includes mcp.server, mcp.tool, mcp.method,
				     mcp.action; of a server's request mcp.direction */
	size_t label_count;
	struct zg_slice risk_tags[ZG_RISK_TAGS_MAX];
	size_t risk_tag_count;
	const json_t
		*arguments; /* parsed; of tools/call its arguments, else its params; NULL = none */
	uint64_t time_sec;  /* CLOCK_REALTIME, for time windows; 0 = not known */
	const struct zg_principal *principal; /* NULL offline; its empty texts are not known */
	bool uid_unknown; /* offline: principal's uid, or its profile, was not given */
	bool profile_unknown;
	/* more about the principal's process, as the parent attests it; empty = not known */
	struct zg_slice unit;		  /* systemd's, from the cgroup path */
	struct zg_slice user;		  /* name of its uid */
	struct zg_slice executable;	  /* path */
	const uint8_t *executable_sha256; /* NULL = not known */
	struct zg_slice subject;	  /* of its access token, as label mcp.subject */
	bool from_server;		  /* the server asks the client, not the other way */
	bool overflow;			  /* more labels or tags than fit: must be denied */
	/* a list is filtered: would some call, whatever its arguments, be let through? */
	bool preview;
	/* a record is replayed, and no record holds arguments: whatever depends on them is not
	 * known, but for classify rules, which all apply or none of them */
	bool arguments_unknown;
	bool classes_met;
	bool other_form; /* its URI's normal form is classified otherwise: denied */
	bool unclear;	 /* classify rules contradict each other, or cannot be judged: denied */
};

#endif
