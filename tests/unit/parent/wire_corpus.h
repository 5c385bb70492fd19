/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wire_corpus.h - ordinary traffic, none of it MCP: tests/data/wire holds what
 * a client sends (NAME.out) and what it is answered (NAME.in), byte by byte.
 * Much of it talks about MCP, quotes it or looks like it.
 */
#ifndef ZG_WIRE_CORPUS_H
#define ZG_WIRE_CORPUS_H

#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define CORPUS_DIR   "tests/data/wire"
#define CORPUS_BYTES 65536

struct exchange {
	char name[64];
	char out[CORPUS_BYTES];
	size_t out_bytes;
	char in[CORPUS_BYTES];
	size_t in_bytes;
};

static inline size_t corpus_read(const char *name, const char *end, char bytes[CORPUS_BYTES])
{
	char path[320];
	ssize_t n;
	int fd;

	(void)snprintf(path, sizeof(path), CORPUS_DIR "/%s%s", name, end);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		fail_msg("%s cannot be opened", path);
	n = read(fd, bytes, CORPUS_BYTES);
	(void)close(fd);
	assert_true(n > 0 && n < CORPUS_BYTES);
	return (size_t)n;
}

/* Call fn for each; how many there are. */
static inline size_t corpus_each(void (*fn)(const struct exchange *x, void *arg), void *arg)
{
	static struct exchange x;
	DIR *dir = opendir(CORPUS_DIR);
	const struct dirent *entry;
	size_t count = 0;

	assert_non_null(dir);
	while ((entry = readdir(dir))) {
		size_t n = strlen(entry->d_name);

		if (n < 5 || n >= sizeof(x.name) || strcmp(entry->d_name + n - 4, ".out") != 0)
			continue;
		memcpy(x.name, entry->d_name, n - 4);
		x.name[n - 4] = '\0';
		x.out_bytes = corpus_read(x.name, ".out", x.out);
		x.in_bytes = corpus_read(x.name, ".in", x.in);
		fn(&x, arg);
		count++;
	}
	(void)closedir(dir);
	return count;
}

#endif
