/* SPDX-License-Identifier: Apache-2.0 */
/*
 * executable.h - which file the caller executes, where the policy in force asks
 * for that: the parent's word, for the process and the file that the kernel
 * attested when it connected. Not known: no text and no digest, so that a rule
 * that allows by them does not.
 */
#ifndef ZG_GATEWAY_EXECUTABLE_H
#define ZG_GATEWAY_EXECUTABLE_H

#include <stdbool.h>

#include "cleanup.h"
#include "zg_wire.h"

struct zg_request;
struct zg_worker;
struct zg_envelope;

struct zg_exe_name {
	bool asked; /* the parent's answer is on its way */
	struct zg_msg_exe_answer is;
};

/* A small cache, by what was attested: the same process with another file is
 * another entry. Made when it is first needed. */
struct zg_exe_names {
	struct zg_exe_name *entry; /* ZG_EXE_NAMES, or NULL */
};

void zg_exe_names_release(struct zg_exe_names *n);

/* The parent has answered: whoever waits goes on. */
void zg_executable_answer(struct zg_worker *w, struct zg_msg_exe_answer *m);

/* What the step has found, for a decision. */
void zg_executable_fill(const struct zg_request *r, struct zg_envelope *env);

#endif
