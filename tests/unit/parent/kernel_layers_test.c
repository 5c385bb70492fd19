/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kernel_layers_test.c - optional layers: what this kernel has is attached,
 * pinned, read back and taken over; what it has not is said, and harms nothing.
 */
#include "kernel_lab.h"

#include <dirent.h>

#include <bpf/bpf.h>

/* Links pinned below the gate's folder whose name begins so. */
static size_t pins(const struct lab *lab, const char *prefix)
{
	DIR *d = opendir(lab->pins);
	struct dirent *entry;
	size_t n = 0;

	assert_non_null(d);
	while ((entry = readdir(d)))
		n += strncmp(entry->d_name, prefix, strlen(prefix)) == 0;
	(void)closedir(d);
	return n;
}

static uint32_t link_program(const struct lab *lab, const char *name)
{
	char path[LAB_PATH + 300];
	zg_autofd int fd = -1;
	struct bpf_link_info info = {0};
	uint32_t bytes = sizeof(info);

	(void)snprintf(path, sizeof(path), "%s/%s", lab->pins, name);
	fd = bpf_obj_get(path);
	assert_true(fd >= 0);
	assert_int_equal(bpf_obj_get_info_by_fd(fd, &info, &bytes), 0);
	return info.prog_id;
}

static void each_layer_is_attached_or_says_why_not(void **state)
{
	struct lab *lab = lab_open();
	struct zg_err e = {0};

	(void)state;
	for (unsigned int i = 0; i < ZG_KL_MAX; i++) {
		const char *name = zg_kernel_layer_name((enum zg_kernel_layer)i), *reason;
		enum zg_layer_state s =
			zg_kernel_layer_state(lab->kernel, (enum zg_kernel_layer)i, &reason);

		print_message("%s: %s %s\n", name,
			      s == ZG_LAYER_ABSENT ? "absent:"
			      : s == ZG_LAYER_IDLE ? "idle"
						   : "attached",
			      reason);
		if (s == ZG_LAYER_ABSENT)
			assert_true(strlen(reason) > 0);
	}
	assert_int_equal(zg_kernel_verify(lab->kernel, &e), 0);
}

/* Whatever is attached has one pinned link a program, none on its way, and a
 * restart replaces each. */
static void a_restart_takes_the_layers_over(void **state)
{
	struct lab *lab = lab_open();
	size_t links = pins(lab, "link_zg_");
	struct zg_err e = {0};
	DIR *d;
	struct dirent *entry;
	struct {
		char name[256];
		uint32_t prog;
	} before[64];
	size_t n = 0;

	(void)state;
	d = opendir(lab->pins);
	assert_non_null(d);
	while ((entry = readdir(d))) {
		if (strncmp(entry->d_name, "link_", 5) != 0)
			continue;
		assert_true(n < sizeof(before) / sizeof(before[0]));
		(void)snprintf(before[n].name, sizeof(before[n].name), "%s", entry->d_name);
		before[n].prog = link_program(lab, entry->d_name);
		n++;
	}
	(void)closedir(d);
	zg_kernel_close(lab->kernel);
	lab->kernel = NULL;
	for (size_t i = 0; i < n; i++) /* nobody holds them, and they are there */
		assert_int_equal(link_program(lab, before[i].name), before[i].prog);
	lab_open_gate(lab);
	assert_int_equal(pins(lab, "link_zg_"), links);
	assert_int_equal(pins(lab, "next_"), 0);
	for (size_t i = 0; i < n; i++)
		assert_int_not_equal(link_program(lab, before[i].name), before[i].prog);
	assert_int_equal(zg_kernel_verify(lab->kernel, &e), 0);
}

/* A later version may have layers that this one has never heard of. */
static void detach_removes_unknown_layers_too(void **state)
{
	struct lab *lab = lab_open();
	struct zg_err e = {0};
	char from[LAB_PATH + 32], to[LAB_PATH + 32];

	(void)state;
	(void)snprintf(from, sizeof(from), "%s/link_zg_connect4", lab->pins);
	(void)snprintf(to, sizeof(to), "%s/link_zg_from_later", lab->pins);
	assert_int_equal(rename(from, to), 0);
	assert_int_equal(zg_kernel_verify(lab->kernel, &e), -ENOENT);
	assert_non_null(strstr(e.what, "zg_connect4"));
	zg_kernel_close(lab->kernel);
	lab->kernel = NULL;
	assert_int_equal(zg_kernel_detach(lab->pins, &e), 0);
	assert_int_equal(access(lab->pins, F_OK), -1);
	assert_int_equal(zg_kernel_detach(lab->pins, &e), 0); /* and again */
	lab_open_gate(lab);
}

static void wanting_what_is_absent_is_refused_with_the_reason(void **state)
{
	struct lab *lab = lab_open();
	struct zg_err e;

	(void)state;
	for (unsigned int i = 0; i < ZG_KL_MAX; i++) {
		enum zg_kernel_layer layer = (enum zg_kernel_layer)i;
		const char *reason;

		if (zg_kernel_layer_state(lab->kernel, layer, &reason) != ZG_LAYER_ABSENT)
			continue;
		e = (struct zg_err){0};
		assert_int_equal(zg_kernel_layer_want(lab->kernel, layer, true, &e), -ENOTSUP);
		assert_non_null(strstr(e.what, zg_kernel_layer_name(layer)));
		assert_int_equal(zg_kernel_layer_want(lab->kernel, layer, false, &e), 0);
	}
}

static const struct CMUnitTest tests[] = {
	LAB_TEST(each_layer_is_attached_or_says_why_not),
	LAB_TEST(a_restart_takes_the_layers_over),
	LAB_TEST(detach_removes_unknown_layers_too),
	LAB_TEST(wanting_what_is_absent_is_refused_with_the_reason),
};

LAB_MAIN(tests)
