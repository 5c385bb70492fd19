/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kernel_ask.c - see kernel_ask.h. Trust: runs as root; asks on the agent's
 * behalf and changes nothing. Never decides: the answer is the kernel's.
 */
#include "kernel_ask.h"

#include <errno.h>
#include <string.h>

#include <bpf/bpf.h>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wcast-qual"
#include "ask.skel.h"
#pragma GCC diagnostic pop

static int share_maps(struct bpf_object *ask, const struct bpf_object *gate, struct zg_err *e)
{
	struct bpf_map *m;

	bpf_object__for_each_map (m, ask) {
		const char *name = bpf_map__name(m);
		const struct bpf_map *shared = bpf_object__find_map_by_name(gate, name);
		int r = shared ? bpf_map__reuse_fd(m, bpf_map__fd(shared)) : -ENOENT;

		if (r < 0)
			return zg_err_set(e, -r, "sharing the gate's map %s: %s", name,
					  strerror(-r));
	}
	return 0;
}

int zg_ask_open(struct zg_ask **out, const struct bpf_object *gate, struct zg_err *e)
{
	struct zg_ask *a = zg_ask__open();
	int r;

	if (!a)
		return zg_err_set(e, errno, "opening the gate's question: %s", strerror(errno));
	r = share_maps(a->obj, gate, e);
	if (r == 0) {
		r = zg_ask__load(a);
		if (r < 0)
			(void)zg_err_set(e, -r, "loading the gate's question: %s", strerror(-r));
	}
	if (r < 0) {
		zg_ask__destroy(a);
		return r;
	}
	*out = a;
	return 0;
}

void zg_ask_close(struct zg_ask *a)
{
	zg_ask__destroy(a);
}

int zg_ask(const struct zg_ask *a, struct zg_question *q)
{
	struct zg_question answer;
	LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = q, .data_size_in = sizeof(*q),
		    .data_out = &answer, .data_size_out = sizeof(answer));
	int r = bpf_prog_test_run_opts(bpf_program__fd(a->progs.zg_ask), &run);

	if (r < 0)
		return r;
	if (run.retval != 0 || run.data_size_out != sizeof(answer))
		return -EBADMSG;
	*q = answer;
	return 0;
}
