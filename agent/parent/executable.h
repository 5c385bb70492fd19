/* SPDX-License-Identifier: Apache-2.0 */
/*
 * executable.h - which file a process executes: its path and its SHA-256. The
 * process is the one that the kernel attested (number, start, and for those
 * that dialled the file itself), or the answer is "not known": both empty.
 *
 * The path counts only where it leads to that very file for everybody (the
 * mount namespace of the machine's first process): in one of its own a process
 * can give a file any name. Hashing never holds up the loop: one file at a
 * time, a bounded piece a turn.
 */
#ifndef ZG_EXECUTABLE_H
#define ZG_EXECUTABLE_H

#include <event2/event.h>

#include "cleanup.h"
#include "zg_wire.h"

struct zg_executables;

typedef void zg_executable_fn(void *arg, uint32_t worker, const struct zg_msg_exe_answer *a);

/* fn gets each answer, from the loop or from within zg_executables_ask. */
int zg_executables_new(struct zg_executables **out, struct event_base *loop, zg_executable_fn *fn,
		       void *arg) ZG_MUST_CHECK;
void zg_executables_free(struct zg_executables *x);

/* Answer, now or later; one that finds no room is answered at once: not known. */
void zg_executables_ask(struct zg_executables *x, uint32_t worker,
			const struct zg_msg_exe_query *q);

/* The path alone, at once: "" = not known. Is it still that process, and does it
 * still execute that file? -ESRCH. */
int zg_executable_path(const struct zg_msg_exe_query *q, char path[ZG_PATH_LEN]) ZG_MUST_CHECK;

#endif
