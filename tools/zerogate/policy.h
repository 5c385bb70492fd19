/* SPDX-License-Identifier: Apache-2.0 */
/* policy.h - what the files of the verb `policy` share. */
#ifndef ZG_CLI_POLICY_H
#define ZG_CLI_POLICY_H

#include <jansson.h>

#include "cli.h"
#include "decide.h"
#include "diag.h"

struct zg_policy_args {
	const struct zg_cli *cli;
	const char *config;
	bool json;
	bool lines;
	bool trace;	   /* explain: every rule and condition */
	bool strict;	   /* findings of check count as errors */
	bool pins;	   /* of check: ask the agent which tools servers have */
	const char *other; /* a second --config */
	const char *key, *pub, *out, *audit;
	uint32_t last; /* of simulate: records to ask the agent for; 0 = not given */
	int argc;      /* operands */
	char **argv;
};

int zg_policy_check_files(const struct zg_policy_args *a);
int zg_policy_explain(const struct zg_policy_args *a);
int zg_policy_test(const struct zg_policy_args *a);
int zg_policy_diff(const struct zg_policy_args *a);
int zg_policy_simulate(const struct zg_policy_args *a);
int zg_policy_keygen(const struct zg_policy_args *a);
int zg_policy_sign(const struct zg_policy_args *a);
int zg_policy_verify(const struct zg_policy_args *a);

void zg_policy_print_diag(FILE *out, const struct zg_diag *diag);

/* Judge one envelope as DESIGN fixes its JSON form, of a caller in one of profiles
 * (ZG_S_PROFILES) if it names one. Texts are borrowed from the JSON value. 0, or -EINVAL with e
 * saying what is wrong with it. */
int zg_policy_judge(const struct zg_policy *p, struct zg_slice profiles, const json_t *envelope,
		    struct zg_envelope *env, struct zg_decision *d, struct zg_err *e) ZG_MUST_CHECK;

#endif
