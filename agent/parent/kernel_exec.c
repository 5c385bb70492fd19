/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kernel_exec.c - see kernel_exec.h. Trust: runs as root; follows the paths
 * that the administrator wrote, and opens none.
 */
#include "kernel_exec.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "slice.h"

#define DEV_MINOR_BITS 20 /* of the kernel's own device numbers */

/* The next word of a line, and what is behind it. */
static struct zg_slice take_word(struct zg_slice *line)
{
	const char *end = memchr(line->ptr, ' ', line->len);
	size_t n = end ? (size_t)(end - line->ptr) : line->len;
	struct zg_slice word = {line->ptr, n};

	line->ptr += n + (end != NULL);
	line->len -= n + (end != NULL);
	return word;
}

/* "36 35 98:0 /..." is the mount 36 of the device 98:0. */
static bool device_in(struct zg_slice line, uint64_t mount, uint32_t *dev)
{
	struct zg_slice id = take_word(&line), device;
	uint64_t number, major, minor;
	const char *colon;

	if (zg_slice_u64(id, UINT64_MAX, &number) < 0 || number != mount)
		return false;
	(void)take_word(&line);
	device = take_word(&line);
	colon = memchr(device.ptr, ':', device.len);
	if (!colon)
		return false;
	id = (struct zg_slice){device.ptr, (size_t)(colon - device.ptr)};
	device = (struct zg_slice){colon + 1, device.len - id.len - 1};
	if (zg_slice_u64(id, UINT16_MAX, &major) < 0 ||
	    zg_slice_u64(device, (1U << DEV_MINOR_BITS) - 1, &minor) < 0)
		return false;
	*dev = (uint32_t)(major << DEV_MINOR_BITS | minor);
	return true;
}

int zg_exec_device(int proc, uint64_t mount, uint32_t *dev)
{
	zg_autofd int fd = openat(proc, "mountinfo", O_RDONLY | O_CLOEXEC);
	zg_autofile FILE *f = fd < 0 ? NULL : fdopen(fd, "r");
	zg_autofree char *line = NULL;
	size_t room = 0;
	ssize_t n;

	if (!f)
		return -errno;
	fd = -1; /* f has it. NOLINT(clang-analyzer-deadcode.DeadStores): cleanup reads it */
	while ((n = getline(&line, &room, f)) > 0)
		if (device_in((struct zg_slice){line, (size_t)n}, mount, dev))
			return 0;
	return -ENODEV;
}

static int key_of(const char *path, struct zg_exec_key *key)
{
	zg_autofd int self = open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct statx stx;

	if (self < 0 || statx(AT_FDCWD, path, 0, STATX_INO | STATX_MNT_ID, &stx) < 0)
		return -errno;
	key->ino = stx.stx_ino;
	return zg_exec_device(self, stx.stx_mnt_id, &key->dev);
}

static bool listed(const struct zg_exec_list *l, const struct zg_exec_key *key)
{
	for (size_t i = 0; i < l->count; i++)
		if (memcmp(&l->key[i], key, sizeof(*key)) == 0)
			return true;
	return false;
}

int zg_exec_put(const struct zg_map *m, const struct zg_snapshot *s, uint32_t slot,
		struct zg_exec_list *meant)
{
	uint32_t set = 1;

	free(meant->key);
	*meant = (struct zg_exec_list){.key = calloc(s->exec_count + 1, sizeof(*meant->key))};
	if (!meant->key)
		return -ENOMEM;
	for (size_t i = 0; i < s->exec_count; i++) {
		struct zg_exec_key key = {.profile = s->execs[i].profile, .slot = slot};
		int r = key_of(s->execs[i].path, &key);

		if (r == -ENOENT || r == -ENOTDIR) /* not installed here */
			continue;
		if (r == 0)
			r = zg_map_put(m, &key, &set, 1);
		if (r < 0)
			return r;
		if (!listed(meant, &key)) /* two names of one file */
			meant->key[meant->count++] = key;
	}
	return 0;
}
