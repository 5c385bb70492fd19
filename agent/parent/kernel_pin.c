/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kernel_pin.c - see kernel_pin.h. Trust: runs as root; the folder is root's
 * alone, but may have been filled by another version of the agent.
 */
#include "kernel_pin.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <bpf/bpf.h>

#include "zg_abi.h"

struct zg_pin zg_pin_of(const char *dir, const char *prefix, const char *name)
{
	struct zg_pin p;

	/* dir fits (checked at open), names are the object's own: 24 at most */
	(void)snprintf(p.path, sizeof(p.path), "%s/%s%s", dir, prefix, name);
	return p;
}

struct zg_pin zg_pin_of_map(const char *dir, const struct bpf_map *m)
{
	return zg_pin_of(dir, ZG_PIN_MAP, bpf_map__name(m));
}

struct zg_pin zg_pin_of_link(const char *dir, const struct bpf_program *p)
{
	return zg_pin_of(dir, ZG_PIN_LINK, bpf_program__name(p));
}

bool zg_pin_exists(struct zg_pin p)
{
	return access(p.path, F_OK) == 0;
}

int zg_pin_dir_prepare(const char *dir, struct zg_err *e)
{
	bool made = mkdir(dir, 0700) == 0;
	struct statfs fs;

	if (!made && errno != EEXIST)
		return zg_err_set(e, errno, "creating %s: %s", dir, strerror(errno));
	if (statfs(dir, &fs) < 0 || fs.f_type != BPF_FS_MAGIC) {
		if (made)
			(void)rmdir(dir);
		(void)zg_err_set(e, EINVAL, "%s is not on a bpf file system", dir);
		zg_err_hint(e, "mount -t bpf bpf /sys/fs/bpf");
		return -EINVAL;
	}
	if (chmod(dir, 0700) < 0)
		return zg_err_set(e, errno, "chmod 0700 %s: %s", dir, strerror(errno));
	return 0;
}

int zg_pin_foreign(struct zg_err *e, const char *what, const char *name)
{
	(void)zg_err_set(e, EEXIST, "%s: %s", name, what);
	zg_err_hint(e, "run 'zerogate detach', then start again");
	return -EEXIST;
}

static int check_shape(int fd, const struct bpf_map *m, struct zg_err *e)
{
	struct bpf_map_info info = {0};
	uint32_t bytes = sizeof(info);

	if (bpf_obj_get_info_by_fd(fd, &info, &bytes) < 0)
		return zg_err_set(e, errno, "reading a pinned map: %s", strerror(errno));
	if (info.type != bpf_map__type(m) || info.key_size != bpf_map__key_size(m) ||
	    info.value_size != bpf_map__value_size(m) ||
	    info.max_entries != bpf_map__max_entries(m) || info.map_flags != bpf_map__map_flags(m))
		return zg_pin_foreign(e, "pinned by another version", bpf_map__name(m));
	return 0;
}

int zg_pin_check_abi(const char *dir, struct zg_err *e)
{
	zg_autofd int fd = bpf_obj_get(zg_pin_of(dir, "", ZG_CTL_PIN).path);
	struct bpf_map_info info = {0};
	uint32_t bytes = sizeof(info), zero = 0;
	struct zg_ctl ctl;

	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &bytes) < 0)
		return zg_err_set(e, errno, "opening the pinned " ZG_CTL_PIN ": %s",
				  strerror(errno));
	if (info.value_size != sizeof(ctl) || bpf_map_lookup_elem(fd, &zero, &ctl) < 0 ||
	    ctl.abi != ZG_ABI_VERSION)
		return zg_pin_foreign(e, "pinned by another version", ZG_CTL_PIN);
	return 0;
}

int zg_pin_take_map(struct bpf_map *m, const char *dir, struct zg_err *e)
{
	zg_autofd int fd = bpf_obj_get(zg_pin_of_map(dir, m).path);
	int r;

	if (fd < 0)
		return zg_pin_foreign(e, "a pin is missing", bpf_map__name(m));
	r = check_shape(fd, m, e);
	if (r < 0)
		return r;
	r = bpf_map__reuse_fd(m, fd);
	return r < 0 ? zg_err_set(e, -r, "reusing a pinned map: %s", strerror(-r)) : 0;
}

int zg_pin_map(struct bpf_map *m, const char *dir, struct zg_err *e)
{
	int r = bpf_map__pin(m, zg_pin_of_map(dir, m).path);

	return r < 0 ? zg_err_set(e, -r, "pinning %s: %s", bpf_map__name(m), strerror(-r)) : 0;
}

/* Detached by hand, so that it ends even if somebody still holds the link; a
 * kind of link that cannot be ends with its last reference. */
int zg_pin_remove_link(struct zg_pin pin)
{
	zg_autofd int fd = bpf_obj_get(pin.path);

	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	if (bpf_link_detach(fd) < 0 && errno != ENOLINK && errno != EOPNOTSUPP)
		return -errno;
	return unlink(pin.path) < 0 ? -errno : 0;
}

/* Call fn for each pin of ours whose name begins with prefix, until it fails. */
static int each_pin(const char *dir, const char *prefix, int (*fn)(struct zg_pin pin, void *arg),
		    void *arg)
{
	DIR *d = opendir(dir);
	size_t skip = strlen(prefix);
	struct dirent *entry;
	int r = 0;

	if (!d)
		return errno == ENOENT ? 0 : -errno;
	while (r == 0 && (entry = readdir(d)))
		if (strncmp(entry->d_name, prefix, skip) == 0 &&
		    strncmp(entry->d_name + skip, "zg_", 3) == 0)
			r = fn(zg_pin_of(dir, "", entry->d_name), arg);
	(void)closedir(d);
	return r;
}

static int note_any(struct zg_pin pin, void *arg)
{
	bool *any = arg;

	(void)pin;
	*any = true;
	return 0;
}

static int remove_link(struct zg_pin pin, void *arg)
{
	(void)arg;
	return zg_pin_remove_link(pin);
}

static int remove_map(struct zg_pin pin, void *arg)
{
	const struct zg_pin *last = arg;

	if (strcmp(pin.path, last->path) == 0)
		return 0;
	return unlink(pin.path) < 0 ? -errno : 0;
}

int zg_pin_any_link(const char *dir, bool *any)
{
	bool found = false;
	int r = each_pin(dir, ZG_PIN_LINK, note_any, &found);

	if (r == 0)
		*any = found;
	return r;
}

int zg_pin_remove_links(const char *dir)
{
	int r = each_pin(dir, ZG_PIN_LINK, remove_link, NULL);

	return r < 0 ? r : each_pin(dir, ZG_PIN_NEXT, remove_link, NULL);
}

int zg_pin_remove_maps(const char *dir)
{
	struct zg_pin last = zg_pin_of(dir, ZG_PIN_MAP, ZG_CTL_PIN);
	int r = each_pin(dir, ZG_PIN_MAP, remove_map, &last);

	if (r < 0)
		return r;
	return unlink(last.path) < 0 && errno != ENOENT ? -errno : 0;
}
