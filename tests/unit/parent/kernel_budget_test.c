/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kernel_budget_test.c - what the verifier has to look at, program by program.
 * The kernel gives up at a million instructions, and other kernels follow other
 * ways than ours: each program stays below a budget that leaves room for that.
 */
#include "kernel_lab.h"

#include <dirent.h>

#include <bpf/bpf.h>

#define BUDGET 300000 /* instructions; the kernel's own bound is 1,000,000 */

static uint32_t verified(const char *pin, char name[BPF_OBJ_NAME_LEN])
{
	struct bpf_link_info link = {0};
	struct bpf_prog_info prog = {0};
	uint32_t bytes = sizeof(link);
	zg_autofd int fd = bpf_obj_get(pin), prog_fd = -1;

	assert_true(fd >= 0);
	assert_int_equal(bpf_obj_get_info_by_fd(fd, &link, &bytes), 0);
	prog_fd = bpf_prog_get_fd_by_id(link.prog_id);
	assert_true(prog_fd >= 0);
	bytes = sizeof(prog);
	assert_int_equal(bpf_obj_get_info_by_fd(prog_fd, &prog, &bytes), 0);
	memcpy(name, prog.name, BPF_OBJ_NAME_LEN);
	return prog.verified_insns;
}

static void every_attached_program_stays_within_its_budget(void **state)
{
	struct lab *lab = lab_open();
	struct dirent *entry;
	uint32_t programs = 0;
	DIR *d;

	(void)state;
	d = opendir(lab->pins);
	assert_non_null(d);
	while ((entry = readdir(d))) {
		char pin[LAB_PATH + 300], name[BPF_OBJ_NAME_LEN];
		uint32_t n;

		if (strncmp(entry->d_name, "link_", 5) != 0)
			continue;
		(void)snprintf(pin, sizeof(pin), "%.500s/%.255s", lab->pins, entry->d_name);
		n = verified(pin, name);
		print_message("%-16s %7u\n", name, n);
		assert_true(n > 0); /* 0: the kernel does not say */
		assert_in_range(n, 1, BUDGET);
		programs++;
	}
	(void)closedir(d);
	assert_true(programs >= 13); /* of the gate alone */
	if (getenv("ZG_REQUIRE_LSM"))
		assert_int_equal(zg_kernel_layer_state(lab->kernel, ZG_KL_LSM, NULL),
				 ZG_LAYER_ATTACHED);
}

static const struct CMUnitTest tests[] = {
	LAB_TEST(every_attached_program_stays_within_its_budget),
};

LAB_MAIN(tests)
