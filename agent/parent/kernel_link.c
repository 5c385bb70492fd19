/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kernel_link.c - see kernel_link.h. Trust: runs as root; what it reads is the
 * kernel's own.
 */
#include "kernel_link.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include <bpf/bpf.h>

#include "kernel_pin.h"
#include "slice.h"

#define PROGS_PER_HOOK 64 /* the kernel's own bound of programs on one cgroup */

static bool at_cgroup(const struct bpf_program *p)
{
	enum bpf_prog_type type = bpf_program__type(p);

	return type == BPF_PROG_TYPE_CGROUP_SKB || type == BPF_PROG_TYPE_CGROUP_SOCK ||
	       type == BPF_PROG_TYPE_CGROUP_SOCK_ADDR || type == BPF_PROG_TYPE_CGROUP_SOCKOPT ||
	       type == BPF_PROG_TYPE_SOCK_OPS;
}

static int link_info(int fd, struct bpf_link_info *info)
{
	uint32_t bytes = sizeof(*info);

	*info = (struct bpf_link_info){0};
	return bpf_obj_get_info_by_fd(fd, info, &bytes);
}

static bool cgroup_link_ours(const struct zg_place *at, const struct bpf_program *p,
			     const struct bpf_link_info *info)
{
	return info->type == BPF_LINK_TYPE_CGROUP && info->cgroup.cgroup_id == at->root_id &&
	       info->cgroup.attach_type == (uint32_t)bpf_program__expected_attach_type(p);
}

/* attaching -------------------------------------------------------------------- */

/* The last part of a section's name: "tracepoint/syscalls/sys_enter_write". */
static const char *hook_of(const struct bpf_program *p)
{
	const char *slash = strchr(bpf_program__section_name(p), '/');

	return slash ? slash + 1 : "";
}

static int tracepoint_id(const char *hook, uint64_t *id)
{
	static const char *const roots[] = {"/sys/kernel/tracing", "/sys/kernel/debug/tracing"};
	char path[ZG_PATH_LEN], text[24];

	for (size_t i = 0; i < sizeof(roots) / sizeof(roots[0]); i++) {
		zg_autofd int fd = -1;
		ssize_t n;

		(void)snprintf(path, sizeof(path), "%s/events/%s/id", roots[i], hook);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		n = fd < 0 ? -1 : read(fd, text, sizeof(text));
		if (n > 1 &&
		    zg_slice_u64((struct zg_slice){text, (size_t)n - 1}, UINT64_MAX, id) == 0)
			return 0;
	}
	return -ENOENT;
}

/* libbpf's own link would disable the event when it is let go, pinned or not. */
static int attach_tracepoint(const struct bpf_program *p)
{
	struct perf_event_attr attr = {.type = PERF_TYPE_TRACEPOINT, .size = sizeof(attr)};
	zg_autofd int event = -1;
	uint64_t id;
	int link, r = tracepoint_id(hook_of(p), &id);

	if (r < 0)
		return r;
	attr.config = id;
	attr.sample_period = 1;
	event = (int)syscall(SYS_perf_event_open, &attr, -1, 0, -1, PERF_FLAG_FD_CLOEXEC);
	if (event < 0)
		return -errno;
	link = bpf_link_create(bpf_program__fd(p), event, BPF_PERF_EVENT, NULL);
	if (link >= 0 && ioctl(event, PERF_EVENT_IOC_ENABLE, 0) < 0) {
		r = -errno;
		(void)close(link);
		return r;
	}
	return link;
}

/* A new link's descriptor, or -errno. */
static int attach_new(const struct zg_place *at, const struct bpf_program *p)
{
	int prog = bpf_program__fd(p);

	if (at_cgroup(p))
		return bpf_link_create(prog, at->cgroup_root, bpf_program__expected_attach_type(p),
				       NULL);
	if (bpf_program__type(p) == BPF_PROG_TYPE_RAW_TRACEPOINT)
		return bpf_raw_tracepoint_open(hook_of(p), prog);
	if (bpf_program__type(p) == BPF_PROG_TYPE_TRACEPOINT)
		return attach_tracepoint(p);
	return bpf_raw_tracepoint_open(NULL, prog); /* LSM and BTF tracing: it says itself where */
}

static int attach_err(struct zg_err *e, const char *what, const struct bpf_program *p, int r)
{
	return zg_err_set(e, -r, "%s %s: %s", what, bpf_program__name(p), strerror(-r));
}

/* A pin replaced by renaming keeps the old link until the new one is there. */
static int attach_pinned(const struct zg_place *at, const struct bpf_program *p, struct zg_err *e)
{
	struct zg_pin next = zg_pin_of(at->pin_dir, ZG_PIN_NEXT, bpf_program__name(p));
	zg_autofd int fd = attach_new(at, p);

	if (fd < 0)
		return attach_err(e, "attaching", p, fd);
	if (unlink(next.path) < 0 && errno != ENOENT)
		return attach_err(e, "removing an old pin of", p, -errno);
	if (bpf_obj_pin(fd, next.path) < 0 ||
	    rename(next.path, zg_pin_of_link(at->pin_dir, p).path) < 0)
		return attach_err(e, "pinning the link of", p, -errno);
	return 0;
}

/* Give a pinned cgroup link the new program. A link whose cgroup was removed
 * is dead: it is replaced as if it were none. */
static int take_cgroup_link(const struct zg_place *at, const struct bpf_program *p, bool *taken,
			    struct zg_err *e)
{
	zg_autofd int fd = bpf_obj_get(zg_pin_of_link(at->pin_dir, p).path);
	struct bpf_link_info info;
	int r;

	if (fd < 0)
		return errno == ENOENT ? 0 : attach_err(e, "opening the pin of", p, -errno);
	if (link_info(fd, &info) < 0)
		return attach_err(e, "reading back", p, -errno);
	if (info.type == BPF_LINK_TYPE_CGROUP && !info.cgroup.cgroup_id)
		return 0;
	if (!cgroup_link_ours(at, p, &info))
		return zg_pin_foreign(e, "attached to another cgroup root", bpf_program__name(p));
	r = bpf_link_update(fd, bpf_program__fd(p), NULL);
	*taken = r == 0;
	return r < 0 ? attach_err(e, "replacing", p, r) : 0;
}

int zg_link_attach(const struct zg_place *at, const struct bpf_program *p, struct zg_err *e)
{
	bool taken = false;
	int r = at_cgroup(p) ? take_cgroup_link(at, p, &taken, e) : 0;

	return r < 0 || taken ? r : attach_pinned(at, p, e);
}

/* reading back ------------------------------------------------------------------- */

static bool runs_at_root(const struct zg_place *at, const struct bpf_program *p, uint32_t prog_id)
{
	uint32_t ids[PROGS_PER_HOOK], count = PROGS_PER_HOOK;

	if (bpf_prog_query(at->cgroup_root, bpf_program__expected_attach_type(p), 0, NULL, ids,
			   &count) < 0)
		return false;
	for (uint32_t i = 0; i < count; i++)
		if (ids[i] == prog_id)
			return true;
	return false;
}

int zg_link_verify(const struct zg_place *at, const struct bpf_program *p, struct zg_err *e)
{
	zg_autofd int fd = bpf_obj_get(zg_pin_of_link(at->pin_dir, p).path);
	struct bpf_prog_info prog = {0};
	uint32_t bytes = sizeof(prog);
	struct bpf_link_info info;

	if (fd < 0)
		return zg_err_set(e, ENOENT, "%s: its pinned link is gone", bpf_program__name(p));
	if (link_info(fd, &info) < 0 ||
	    bpf_obj_get_info_by_fd(bpf_program__fd(p), &prog, &bytes) < 0)
		return attach_err(e, "reading back", p, -errno);
	if (info.prog_id != prog.id)
		return zg_err_set(e, ENOLINK, "%s: its link runs another program",
				  bpf_program__name(p));
	if (at_cgroup(p) && (!cgroup_link_ours(at, p, &info) || !runs_at_root(at, p, prog.id)))
		return zg_err_set(e, ENOLINK, "%s: not attached at the cgroup root",
				  bpf_program__name(p));
	return 0;
}
