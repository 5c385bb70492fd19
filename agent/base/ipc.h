/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ipc.h - messages of zg_wire.h over SOCK_SEQPACKET. The receiver trusts
 * nothing: magic, type, length and the presence of a descriptor are checked
 * here, and strings inside the body are terminated by the reader with
 * ZG_MSG_TEXT before use.
 */
#ifndef ZG_IPC_H
#define ZG_IPC_H

#include <stdbool.h>
#include <stddef.h>

#include "cleanup.h"
#include "zg_wire.h"

struct zg_msg {
	enum zg_msg_type type;
	int fd; /* -1 = none; owned by whoever holds the struct */
	_Alignas(8) uint8_t body[ZG_MSG_MAX_BYTES];
};

/* Both ends close-on-exec, non-blocking as asked. */
int zg_ipc_pair(int fds[2], bool nonblock) ZG_MUST_CHECK;

/* Send one message; fd -1 = none. body's size is fixed by its type.
 * 0, -EAGAIN (non-blocking, peer slow), -EPIPE (gone), -errno. */
int zg_msg_send(int sock, enum zg_msg_type type, const void *body, int fd) ZG_MUST_CHECK;

/* Receive one. 0; -EAGAIN; -EPIPE at end; -EPROTO when the packet breaks the
 * contract (the caller must drop the connection). On failure no descriptor is
 * left open. A previous m->fd is not closed. */
int zg_msg_recv(int sock, struct zg_msg *m) ZG_MUST_CHECK;

/* Size of the body of a type, 0 for an unknown one; its name for logs. */
size_t zg_msg_bytes(enum zg_msg_type type);
const char *zg_msg_name(enum zg_msg_type type);
bool zg_msg_wants_fd(enum zg_msg_type type);

/* Terminate a received fixed-size text in place. */
#define ZG_MSG_TEXT(field) ((void)((field)[sizeof(field) - 1] = '\0'))

static inline void zg_msg_release(struct zg_msg *m)
{
	zg_close_(&m->fd);
	m->fd = -1;
}

#endif
