/* SPDX-License-Identifier: Apache-2.0 */
/* Configurations on disk: what the CLI loads offline, and what it refuses. */
#include <fcntl.h>
#include <sys/stat.h>

#include "load.h"
#include "policy/world.h"

static char root[] = "/tmp/zg-load-XXXXXX";

static const char *path(const char *name)
{
	static char text[ZG_PATH_LEN];

	(void)snprintf(text, sizeof(text), "%s/%s", root, name);
	return text;
}

static void put(const char *name, const char *text, mode_t mode)
{
	zg_autofile FILE *f = fopen(path(name), "we");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fchmod(fileno(f), mode), 0);
}

static int make_root(void **state)
{
	(void)state;
	if (!mkdtemp(root) || mkdir(path("policies"), 0755) < 0 || mkdir(path("servers"), 0755) < 0)
		return -1;
	return 0;
}

static int remove_root(void **state)
{
	static const char *const names[] = {"policies/a.yaml",	   "policies/b.yaml",
					    "policies/.c.yaml",	   "policies/d.yml",
					    "servers/github.json", "zerogate.yaml"};

	(void)state;
	for (size_t i = 0; i < ZG_COUNT(names); i++)
		(void)unlink(path(names[i]));
	(void)rmdir(path("policies"));
	(void)rmdir(path("servers"));
	return rmdir(root);
}

/* Error text, or "" after a load that worked. */
static const char *load(size_t *rules, size_t *notices)
{
	static char what[ZG_REASON_LEN + ZG_PATH_LEN];
	struct zg_loaded l = {0};
	struct zg_diag diag = {0};

	what[0] = '\0';
	if (zg_load(&l, path("zerogate.yaml"), &diag) == 0) {
		*rules = l.counts.rules;
		*notices = diag.notices;
	} else {
		for (size_t i = 0; i < diag.kept; i++)
			if (!diag.notice[i])
				(void)snprintf(what, sizeof(what), "%s: %s",
					       diag.item[i].file + strlen(root) + 1,
					       diag.item[i].what);
	}
	zg_loaded_release(&l);
	zg_diag_release(&diag);
	return what;
}

static void folders_are_read_relative_to_the_file(void **state)
{
	size_t rules = 0, notices = 0;

	(void)state;
	put("zerogate.yaml", WORLD_MAIN, 0644);
	put("policies/a.yaml", "version: v1\nrules: [{id: a, match: {}, decision: ALLOW}]\n", 0644);
	put("policies/.c.yaml", "not even YAML: [", 0644);
	put("policies/d.yml", "not even YAML: [", 0644);
	put("servers/github.json", world_servers[0], 0644);
	assert_string_equal(load(&rules, &notices), "");
	assert_int_equal(rules, 1);
	assert_int_equal(notices, 0);
}

static void files_that_others_can_change_are_refused(void **state)
{
	size_t rules = 0, notices = 0;

	(void)state;
	put("policies/a.yaml", "version: v1\nrules: []\n", 0646);
	assert_string_equal(load(&rules, &notices), "policies/a.yaml: everybody can write to it");
	put("policies/a.yaml", "version: v1\nrules: []\n", 0664);
	assert_string_equal(load(&rules, &notices), "");
	assert_int_equal(notices, 1);
	assert_int_equal(symlink("a.yaml", path("policies/b.yaml")), 0);
	assert_string_equal(load(&rules, &notices),
			    "policies/b.yaml: cannot be opened: it is a symbolic link");
	assert_int_equal(unlink(path("policies/b.yaml")), 0);
	assert_int_equal(mkfifo(path("policies/b.yaml"), 0644), 0);
	assert_string_equal(load(&rules, &notices), "policies/b.yaml: not a regular file");
	assert_int_equal(unlink(path("policies/b.yaml")), 0);
}

static void what_is_missing_is_named(void **state)
{
	size_t rules = 0, notices = 0;

	(void)state;
	put("zerogate.yaml", "version: v1\npolicies: nowhere\nprofiles: {a: {}}\n", 0644);
	assert_string_equal(load(&rules, &notices),
			    "nowhere: cannot be listed: No such file or directory");
	assert_int_equal(unlink(path("zerogate.yaml")), 0);
	assert_string_equal(load(&rules, &notices),
			    "zerogate.yaml: cannot be opened: No such file or directory");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(folders_are_read_relative_to_the_file),
		cmocka_unit_test(files_that_others_can_change_are_refused),
		cmocka_unit_test(what_is_missing_is_named),
	};

	return cmocka_run_group_tests(tests, make_root, remove_root);
}
