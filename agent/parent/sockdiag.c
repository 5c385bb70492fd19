/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sockdiag.c - see sockdiag.h. Trust: the kernel's word, whose messages are
 * still checked for their length. The messages are built by hand: libnl's own
 * idiag objects know neither the cgroup condition nor the cgroup attribute.
 */
#include "sockdiag.h"

#include <errno.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

#include <netlink/msg.h>
#include <netlink/netlink.h>

#define FLOW_SOCKETS_MAX 1024 /* of one cgroup with one peer, ended at a time */

/* What has a process behind it. */
#define STATES                                                                                     \
	(~((1u << TCP_TIME_WAIT) | (1u << TCP_SYN_RECV) | (1u << 12 /* TCP_NEW_SYN_RECV     \
									    */)))

struct zg_sockdiag {
	struct nl_sock *sock;
	int error; /* what the kernel answered, -errno */
};

struct each {
	struct zg_sockdiag *d;
	uint8_t proto;
	int (*fn)(const struct zg_socket *s, void *arg);
	void *arg;
	int result;
};

static int on_error(struct sockaddr_nl *from ZG_UNUSED, struct nlmsgerr *answer, void *arg)
{
	struct zg_sockdiag *d = arg;

	d->error = answer->error;
	return NL_STOP;
}

int zg_sockdiag_open(struct zg_sockdiag **out)
{
	struct zg_sockdiag *d = calloc(1, sizeof(*d));

	if (!d)
		return -ENOMEM;
	d->sock = nl_socket_alloc();
	if (!d->sock || nl_connect(d->sock, NETLINK_SOCK_DIAG) < 0 ||
	    nl_socket_modify_err_cb(d->sock, NL_CB_CUSTOM, on_error, d) < 0) {
		zg_sockdiag_close(d);
		return -EIO;
	}
	/* answers are matched by hand: a dump that fn ended leaves some behind */
	nl_socket_disable_seq_check(d->sock);
	*out = d;
	return 0;
}

void zg_sockdiag_close(struct zg_sockdiag *d)
{
	if (!d)
		return;
	nl_socket_free(d->sock);
	free(d);
}

static void copy_address(uint8_t out[16], uint8_t family, const __be32 from[4])
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

	if (family == AF_INET6) {
		memcpy(out, from, 16);
	} else if (from[0]) {
		memcpy(out, mapped, sizeof(mapped));
		memcpy(out + sizeof(mapped), from, 4);
	}
}

/* False: nobody's, or not of a form that we know. */
static bool read_socket(struct nlmsghdr *h, uint8_t proto, struct zg_socket *out)
{
	const struct inet_diag_msg *m = nlmsg_data(h);
	const struct nlattr *cgroup;

	if (!nlmsg_valid_hdr(h, sizeof(*m)) ||
	    (m->idiag_family != AF_INET && m->idiag_family != AF_INET6))
		return false;
	cgroup = nlmsg_find_attr(h, sizeof(*m), INET_DIAG_CGROUP_ID);
	if (!cgroup || nla_len(cgroup) != sizeof(out->cgroup_id))
		return false;
	*out = (struct zg_socket){
		.local_port = ntohs(m->id.idiag_sport),
		.remote_port = ntohs(m->id.idiag_dport),
		.uid = m->idiag_uid,
		.proto = proto,
		.family = m->idiag_family,
		.listening = proto == IPPROTO_TCP && m->idiag_state == TCP_LISTEN,
		.connected = m->id.idiag_dport != 0,
		.id = m->id,
	};
	memcpy(&out->cgroup_id, nla_data(cgroup), sizeof(out->cgroup_id));
	copy_address(out->local, m->idiag_family, m->id.idiag_src);
	copy_address(out->remote, m->idiag_family, m->id.idiag_dst);
	return true;
}

static int on_socket(struct nl_msg *msg, void *arg)
{
	struct each *each = arg;
	struct zg_socket s;

	if (each->result == 0 && read_socket(nlmsg_hdr(msg), each->proto, &s))
		each->result = each->fn(&s, each->arg);
	return NL_OK; /* the rest of the dump must be read all the same */
}

/* The only condition: of this very cgroup. A "no" jumps behind the end. */
static int add_cgroup(struct nl_msg *msg, uint64_t cgroup_id)
{
	struct __attribute__((packed)) {
		struct inet_diag_bc_op op;
		uint64_t cgroup_id;
	} code = {
		.op = {.code = INET_DIAG_BC_CGROUP_COND,
		       .yes = sizeof(code),
		       .no = sizeof(code) + sizeof(code.op)},
		.cgroup_id = cgroup_id,
	};

	return nla_put(msg, INET_DIAG_REQ_BYTECODE, sizeof(code), &code);
}

static int request(struct zg_sockdiag *d, int type, int flags, const struct inet_diag_req_v2 *req,
		   uint64_t cgroup_id)
{
	struct nl_msg *msg = nlmsg_alloc_simple(type, flags);
	int rc = -ENOMEM;

	if (!msg)
		return -ENOMEM;
	d->error = 0;
	if (nlmsg_append(msg, (void *)(uintptr_t)req, sizeof(*req), NLMSG_ALIGNTO) == 0 &&
	    (!cgroup_id || add_cgroup(msg, cgroup_id) == 0))
		rc = nl_send_auto(d->sock, msg) < 0 ? -EIO : 0;
	nlmsg_free(msg);
	return rc;
}

static int dump(struct each *each, uint8_t family, uint64_t cgroup_id)
{
	const struct inet_diag_req_v2 req = {
		.sdiag_family = family, .sdiag_protocol = each->proto, .idiag_states = STATES};
	struct zg_sockdiag *d = each->d;
	int rc = nl_socket_modify_cb(d->sock, NL_CB_VALID, NL_CB_CUSTOM, on_socket, each);

	if (rc < 0)
		return -EIO;
	rc = request(d, SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, &req, cgroup_id);
	if (rc < 0)
		return rc;
	rc = nl_recvmsgs_default(d->sock);
	if (d->error)
		return d->error;
	return rc < 0 ? -EIO : each->result;
}

int zg_sockdiag_each(struct zg_sockdiag *d, uint64_t cgroup_id,
		     int (*fn)(const struct zg_socket *s, void *arg), void *arg)
{
	static const uint8_t families[] = {AF_INET, AF_INET6},
			     protos[] = {IPPROTO_TCP, IPPROTO_UDP};

	for (size_t f = 0; f < sizeof(families); f++)
		for (size_t p = 0; p < sizeof(protos); p++) {
			struct each each = {.d = d, .proto = protos[p], .fn = fn, .arg = arg};
			int rc = dump(&each, families[f], cgroup_id);

			if (rc != 0)
				return rc;
		}
	return 0;
}

int zg_sockdiag_destroy(struct zg_sockdiag *d, const struct zg_socket *s)
{
	const struct inet_diag_req_v2 req = {.sdiag_family = s->family,
					     .sdiag_protocol = s->proto,
					     .idiag_states = STATES,
					     .id = s->id};
	int rc = request(d, SOCK_DESTROY, NLM_F_ACK, &req, 0);

	if (rc < 0)
		return rc;
	rc = nl_recvmsgs_default(d->sock);
	return d->error ? d->error : rc < 0 ? -EIO : 0;
}

struct flow {
	uint8_t proto;
	uint16_t port;
	const uint8_t *remote;
	struct zg_socket *found;
	size_t count;
};

static int match_flow(const struct zg_socket *s, void *arg)
{
	struct flow *f = arg;

	if (s->proto == f->proto && s->connected && s->remote_port == f->port &&
	    memcmp(s->remote, f->remote, sizeof(s->remote)) == 0 && f->count < FLOW_SOCKETS_MAX)
		f->found[f->count++] = *s;
	return 0;
}

int zg_sockdiag_destroy_flow(struct zg_sockdiag *d, uint64_t cgroup_id, uint8_t proto,
			     const uint8_t remote[16], uint16_t remote_port)
{
	zg_autofree struct zg_socket *found = calloc(FLOW_SOCKETS_MAX, sizeof(*found));
	struct flow f = {.proto = proto, .port = remote_port, .remote = remote, .found = found};
	int ended = 0, rc;

	if (!found)
		return -ENOMEM;
	rc = zg_sockdiag_each(d, cgroup_id, match_flow, &f);
	for (size_t i = 0; rc == 0 && i < f.count; i++) {
		rc = zg_sockdiag_destroy(d, &found[i]);
		ended += rc == 0;
		rc = rc == -ENOENT ? 0 : rc;
	}
	return rc < 0 ? rc : ended;
}
