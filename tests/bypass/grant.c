/* SPDX-License-Identifier: Apache-2.0 */
/*
 * grant.c - a connection that a person has granted, used by somebody else. The
 * stage has granted GRANTED4 to another executable of this profile, and to this
 * very one in another profile: neither is who tries it here.
 */
#include "bypass.h"

static int make_stream(struct stage *st)
{
	st->fd = step_socket(GRANTED4, SOCK_STREAM);
	return 0;
}

static int make_datagram(struct stage *st)
{
	st->fd = step_socket(GRANTED4, SOCK_DGRAM);
	return 0;
}

static int pass_stream(struct stage *st)
{
	int r = step_pass(st->link[1], step_socket(GRANTED4, SOCK_STREAM));

	step_ready(st);
	return r;
}

static int dial_granted(struct stage *st ZG_UNUSED)
{
	return step_dial(GRANTED4, PORT);
}

static int send_granted(struct stage *st ZG_UNUSED)
{
	return step_datagram(GRANTED4, PORT);
}

static int use_stream(struct stage *st)
{
	int r = step_connect(st->fd, GRANTED4, PORT);

	return r ? r : step_send(st->fd);
}

static int use_datagram(struct stage *st)
{
	return step_sendto(st->fd, 0, GRANTED4, PORT);
}

static int take_stream(struct stage *st)
{
	st->fd = step_take(st->link[0]);
	return st->fd < 0 ? EPERM : use_stream(st);
}

static const struct attempt grant_attempts_rows[] = {
	{"grant-tcp", T_GRANT, "dial what another executable and profile may", dial_granted},
	{"grant-udp", T_GRANT, "a datagram to it", send_granted},
	{"grant-older", T_GRANT, "by a socket that was made outside", use_stream,
	 .before = make_stream},
	{"grant-older-udp", T_GRANT, "the same by datagram", use_datagram, .before = make_datagram},
	{"grant-passed", T_GRANT, "by a socket that was passed in", take_stream,
	 .outside = pass_stream},
};
ATTEMPTS(grant_attempts);
