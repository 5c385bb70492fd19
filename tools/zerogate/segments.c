/* SPDX-License-Identifier: Apache-2.0 */
/* segments.c - see segments.h. Trust: the folder may hold anything. */
#include "segments.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>

#define FILES_MAX     1000000
#define SEGMENT_CHARS 18 /* 000000000001.jsonl */

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool is_segment(const char *name)
{
	return strlen(name) == SEGMENT_CHARS && strspn(name, "0123456789") == 12 &&
	       strcmp(name + 12, ".jsonl") == 0;
}

/* gcc 12 loses sight of names that are held through two pointers */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wanalyzer-malloc-leak"
int zg_segments_list(int dir, char ***out, size_t *count)
{
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;
	size_t cap = 0;
	char *name;

	if (!d) {
		zg_close_(&fd);
		return -errno;
	}
	while ((entry = readdir(d)) && *count < FILES_MAX) {
		if (!is_segment(entry->d_name))
			continue;
		if (*count == cap) {
			char **grown = realloc(*out, (cap * 2 + 16) * sizeof(**out));

			if (!grown)
				break;
			cap = cap * 2 + 16;
			*out = grown;
		}
		name = strdup(entry->d_name);
		if (!name)
			break;
		(*out)[(*count)++] = name;
	}
	(void)closedir(d);
	if (entry)
		return -ENOMEM;
	if (*count)
		qsort(*out, *count, sizeof(**out), by_name);
	return 0;
}
#pragma GCC diagnostic pop

void zg_segments_free(char **names, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(names[i]);
	free(names);
}

int zg_segments_each(const char *path, int (*read)(void *arg, int dir, const char *name), void *arg)
{
	zg_autofd int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char **names = NULL;
	size_t count = 0;
	int rc = dir < 0 ? -errno : zg_segments_list(dir, &names, &count);

	if (rc == 0 && !count)
		rc = -ENOENT;
	for (size_t i = 0; rc == 0 && i < count; i++)
		rc = read(arg, dir, names[i]);
	zg_segments_free(names, count);
	return rc;
}
