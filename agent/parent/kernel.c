/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kernel.c - see kernel.h: loading, pinning, attaching and reading back the
 * gate. What the maps hold is kernel_tables.c's. Trust: runs as root; the pin
 * folder is root's alone. Never parses anything that a workload wrote.
 *
 * zg_ctl is pinned after all other maps and before any link, and unpinned
 * last: its pin says that the set of maps is complete.
 */
#include "kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "kernel_ask.h"
#include "kernel_pin.h"
#include "kernel_tables.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wcast-qual"
#include "gate.skel.h"
#pragma GCC diagnostic pop

#define HOOKS 13 /* programs of bpf/gate.bpf.c */

struct zg_kernel {
	struct zg_gate *gate;
	struct zg_ask *ask;
	struct bpf_link *link[HOOKS]; /* in the order of the object's programs */
	struct ring_buffer *ring;
	struct zg_tables tables;
	char pin_dir[ZG_PATH_LEN];
	int cgroup_root;
	uint64_t root_id;
	int (*event)(const struct zg_event *ev, void *arg);
	void *event_arg;
};

/* pins ----------------------------------------------------------------------- */

/* An incomplete set of maps without any link governs nothing: start over. */
static int clear_incomplete(struct zg_gate *gate, const char *dir, struct zg_err *e)
{
	struct bpf_program *p;
	struct bpf_map *m;

	bpf_object__for_each_program(p, gate->obj) if (
		zg_pin_exists(zg_pin_of_link(
			dir, p))) return zg_pin_foreign(e, "attached, but its maps are gone",
							bpf_program__name(p));
	bpf_object__for_each_map(
		m, gate->obj) if (unlink(zg_pin_of_map(dir, m).path) < 0 &&
				  errno != ENOENT) return zg_err_set(e, errno,
								     "removing an old pin: %s",
								     strerror(errno));
	return 0;
}

static int take_maps(struct zg_gate *gate, const char *dir, bool *taken, struct zg_err *e)
{
	struct bpf_map *m;
	int r;

	*taken = zg_pin_exists(zg_pin_of(dir, "", ZG_CTL_PIN));
	if (!*taken)
		return clear_incomplete(gate, dir, e);
	r = zg_pin_check_abi(dir, e);
	if (r < 0)
		return r;
	bpf_object__for_each_map(m, gate->obj)
	{
		r = zg_pin_take_map(m, dir, e);
		if (r < 0)
			return r;
	}
	return 0;
}

static int pin_maps(struct zg_kernel *k, struct zg_err *e)
{
	struct bpf_map *m;
	int r;

	k->tables.ctl->abi = ZG_ABI_VERSION;
	bpf_object__for_each_map(m, k->gate->obj)
	{
		if (m == k->gate->maps.zg_ctl)
			continue;
		r = zg_pin_map(m, k->pin_dir, e);
		if (r < 0)
			return r;
	}
	return zg_pin_map(k->gate->maps.zg_ctl, k->pin_dir, e);
}

/* links ------------------------------------------------------------------------ */

static int link_info(int fd, struct bpf_link_info *info)
{
	uint32_t bytes = sizeof(*info);

	*info = (struct bpf_link_info){0};
	return bpf_obj_get_info_by_fd(fd, info, &bytes);
}

static bool link_ours(const struct zg_kernel *k, const struct bpf_program *p,
		      const struct bpf_link_info *info)
{
	return info->type == BPF_LINK_TYPE_CGROUP && info->cgroup.cgroup_id == k->root_id &&
	       info->cgroup.attach_type == (uint32_t)bpf_program__expected_attach_type(p);
}

/* Replace the program of a pinned link. A link whose cgroup was removed is
 * dead: it is dropped, and *out stays NULL. */
static int take_link(struct zg_kernel *k, struct bpf_program *p, struct bpf_link **out,
		     struct zg_err *e)
{
	struct zg_pin pin = zg_pin_of_link(k->pin_dir, p);
	struct bpf_link_info info;
	struct bpf_link *link;
	int r;

	if (!zg_pin_exists(pin))
		return 0;
	link = bpf_link__open(pin.path);
	if (!link)
		return zg_err_set(e, errno, "opening %s: %s", pin.path, strerror(errno));
	r = link_info(bpf_link__fd(link), &info);
	if (r == 0 && info.type == BPF_LINK_TYPE_CGROUP && !info.cgroup.cgroup_id) {
		r = bpf_link__unpin(link);
		(void)bpf_link__destroy(link);
		return r < 0 ? zg_err_set(e, -r, "removing %s: %s", pin.path, strerror(-r)) : 0;
	}
	if (r == 0 && !link_ours(k, p, &info)) {
		(void)bpf_link__destroy(link);
		return zg_pin_foreign(e, "attached to another cgroup root", bpf_program__name(p));
	}
	if (r == 0)
		r = bpf_link__update_program(link, p);
	if (r < 0) {
		(void)bpf_link__destroy(link);
		return zg_err_set(e, -r, "replacing %s: %s", bpf_program__name(p), strerror(-r));
	}
	*out = link;
	return 0;
}

static int attach(struct zg_kernel *k, struct bpf_program *p, struct bpf_link **out,
		  struct zg_err *e)
{
	int r = take_link(k, p, out, e);

	if (r < 0 || *out)
		return r;
	*out = bpf_program__attach_cgroup(p, k->cgroup_root);
	if (!*out)
		return zg_err_set(e, errno, "attaching %s: %s", bpf_program__name(p),
				  strerror(errno));
	r = bpf_link__pin(*out, zg_pin_of_link(k->pin_dir, p).path);
	return r < 0 ? zg_err_set(e, -r, "pinning the link of %s: %s", bpf_program__name(p),
				  strerror(-r))
		     : 0;
}

static int attach_all(struct zg_kernel *k, struct zg_err *e)
{
	struct bpf_program *p;
	size_t i = 0;

	bpf_object__for_each_program(p, k->gate->obj)
	{
		int r = attach(k, p, &k->link[i++], e);

		if (r < 0)
			return r;
	}
	return 0;
}

/* open, close, detach ------------------------------------------------------------ */

static int on_event(void *arg, void *data, size_t bytes)
{
	struct zg_kernel *k = arg;

	if (bytes >= sizeof(struct zg_event) && k->event)
		return k->event(data, k->event_arg);
	return 0;
}

static struct zg_map table_of(const struct bpf_map *m)
{
	return (struct zg_map){
		.fd = bpf_map__fd(m),
		.key_bytes = bpf_map__key_size(m),
		.value_bytes = bpf_map__value_size(m),
	};
}

static int map_tables(struct zg_kernel *k, struct zg_err *e)
{
	void *ctl = mmap(NULL, sizeof(struct zg_ctl), PROT_READ | PROT_WRITE, MAP_SHARED,
			 bpf_map__fd(k->gate->maps.zg_ctl), 0);

	if (ctl == MAP_FAILED) {
		(void)zg_err_set(e, errno, "mapping " ZG_CTL_PIN ": %s", strerror(errno));
		return -ENOMEM;
	}
	k->tables.ctl = ctl;
	k->tables.host = table_of(k->gate->maps.zg_host);
	k->tables.addr = table_of(k->gate->maps.zg_addr);
	k->tables.rule = table_of(k->gate->maps.zg_rule);
	k->tables.profile = table_of(k->gate->maps.zg_profile);
	k->tables.member = table_of(k->gate->maps.zg_member);
	return 0;
}

static int open_rings(struct zg_kernel *k, struct zg_err *e)
{
	k->ring = ring_buffer__new(bpf_map__fd(k->gate->maps.zg_deny), on_event, k, NULL);
	if (!k->ring ||
	    ring_buffer__add(k->ring, bpf_map__fd(k->gate->maps.zg_info), on_event, k) < 0)
		return zg_err_set(e, errno, "opening the event rings: %s", strerror(errno));
	return 0;
}

static int find_root(struct zg_kernel *k, int cgroup_root, struct zg_err *e)
{
	struct stat st;

	k->cgroup_root = fcntl(cgroup_root, F_DUPFD_CLOEXEC, 3);
	if (k->cgroup_root < 0 || fstat(k->cgroup_root, &st) < 0)
		return zg_err_set(e, errno, "the cgroup root: %s", strerror(errno));
	k->root_id = st.st_ino;
	return 0;
}

static int load(struct zg_kernel *k, struct zg_err *e)
{
	bool taken;
	int r;

	k->gate = zg_gate__open();
	if (!k->gate)
		return zg_err_set(e, errno, "opening the gate's programs: %s", strerror(errno));
	r = take_maps(k->gate, k->pin_dir, &taken, e);
	if (r < 0)
		return r;
	r = zg_gate__load(k->gate);
	if (r < 0) {
		(void)zg_err_set(e, -r, "loading the gate's programs: %s", strerror(-r));
		zg_err_hint(e, "needs Linux 5.15 with BTF, CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON");
		return r;
	}
	r = map_tables(k, e);
	if (r == 0 && !taken)
		r = pin_maps(k, e);
	return r;
}

int zg_kernel_open(struct zg_kernel **out, const struct zg_kernel_options *o, struct zg_err *e)
{
	struct zg_kernel *k;
	int r;

	if (strlen(o->pin_dir) >= ZG_PATH_LEN)
		return zg_err_set(e, ENAMETOOLONG, "the pin folder's path is too long");
	k = calloc(1, sizeof(*k));
	if (!k)
		return zg_err_set(e, ENOMEM, "no memory for the kernel gate");
	k->cgroup_root = -1;
	memcpy(k->pin_dir, o->pin_dir, strlen(o->pin_dir) + 1);
	r = find_root(k, o->cgroup_root, e);
	if (r == 0)
		r = zg_pin_dir_prepare(k->pin_dir, e);
	if (r == 0)
		r = load(k, e);
	if (r == 0)
		r = zg_ask_open(&k->ask, k->gate->obj, e);
	if (r == 0)
		r = open_rings(k, e);
	if (r == 0)
		r = attach_all(k, e);
	if (r < 0) {
		zg_kernel_close(k);
		return r;
	}
	*out = k;
	return 0;
}

void zg_kernel_close(struct zg_kernel *k)
{
	if (!k)
		return;
	for (size_t i = 0; i < HOOKS; i++)
		(void)bpf_link__destroy(k->link[i]); /* the pin keeps it attached */
	ring_buffer__free(k->ring);
	zg_ask_close(k->ask);
	if (k->tables.ctl)
		(void)munmap(k->tables.ctl, sizeof(*k->tables.ctl));
	zg_tables_release(&k->tables);
	zg_gate__destroy(k->gate);
	zg_close_(&k->cgroup_root);
	free(k);
}

static int remove_pins(struct zg_gate *gate, const char *dir)
{
	struct bpf_program *p;
	struct bpf_map *m;
	int r;

	bpf_object__for_each_program(p, gate->obj)
	{
		r = zg_pin_remove_link(zg_pin_of_link(dir, p));
		if (r < 0)
			return r;
	}
	bpf_object__for_each_map(m, gate->obj) if (m != gate->maps.zg_ctl &&
						   unlink(zg_pin_of_map(dir, m).path) < 0 &&
						   errno != ENOENT) return -errno;
	if (unlink(zg_pin_of(dir, "", ZG_CTL_PIN).path) < 0 && errno != ENOENT)
		return -errno;
	return rmdir(dir) < 0 && errno != ENOENT ? -errno : 0;
}

int zg_kernel_detach(const char *pin_dir, struct zg_err *e)
{
	struct zg_gate *gate;
	int r;

	if (strlen(pin_dir) >= ZG_PATH_LEN)
		return zg_err_set(e, ENAMETOOLONG, "the pin folder's path is too long");
	gate = zg_gate__open(); /* for the names only: nothing is loaded */
	if (!gate)
		return zg_err_set(e, errno, "opening the gate's programs: %s", strerror(errno));
	r = remove_pins(gate, pin_dir);
	zg_gate__destroy(gate);
	return r < 0 ? zg_err_set(e, -r, "removing the pins in %s: %s", pin_dir, strerror(-r)) : 0;
}

/* contents --------------------------------------------------------------------- */

int zg_kernel_set_gateway(struct zg_kernel *k, const struct zg_listen *v4,
			  const struct zg_listen *v6, struct zg_err *e)
{
	zg_autofd int sock = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	uint64_t cookie;
	socklen_t bytes = sizeof(cookie);

	if (sock < 0 || getsockopt(sock, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &bytes) < 0)
		return zg_err_set(e, errno, "reading the network namespace's cookie: %s",
				  strerror(errno));
	zg_tables_set_gateway(&k->tables, cookie, v4, v6);
	return 0;
}

int zg_kernel_apply(struct zg_kernel *k, const struct zg_snapshot *s, uint64_t generation,
		    struct zg_err *e)
{
	return zg_tables_apply(&k->tables, s, generation, e);
}

int zg_kernel_contain(struct zg_kernel *k, uint32_t profile, bool contained)
{
	return zg_tables_contain(&k->tables, profile, contained);
}

int zg_kernel_ask(const struct zg_kernel *k, struct zg_question *q)
{
	return zg_ask(k->ask, q);
}

int zg_kernel_govern(struct zg_kernel *k, uint64_t cgroup_id, uint32_t profile)
{
	return zg_tables_govern(&k->tables, cgroup_id, profile);
}

int zg_kernel_release(struct zg_kernel *k, uint64_t cgroup_id)
{
	return zg_tables_release_member(&k->tables, cgroup_id);
}

int zg_kernel_members(struct zg_kernel *k, int (*fn)(uint64_t id, uint32_t profile, void *arg),
		      void *arg)
{
	return zg_tables_members(&k->tables, fn, arg);
}

/* events and self-check ----------------------------------------------------------- */

int zg_kernel_event_fd(const struct zg_kernel *k)
{
	return ring_buffer__epoll_fd(k->ring);
}

int zg_kernel_consume(struct zg_kernel *k, int (*fn)(const struct zg_event *ev, void *arg),
		      void *arg)
{
	k->event = fn;
	k->event_arg = arg;
	return ring_buffer__consume(k->ring);
}

int zg_kernel_lost(struct zg_kernel *k, uint64_t lost[ZG_E_MAX])
{
	int cpus = libbpf_num_possible_cpus();
	zg_autofree uint64_t *per_cpu = NULL;
	uint64_t sum[ZG_E_MAX] = {0};

	if (cpus < 0)
		return cpus;
	per_cpu = calloc((size_t)cpus, sizeof(*per_cpu));
	if (!per_cpu)
		return -ENOMEM;
	for (uint32_t kind = 0; kind < ZG_E_MAX; kind++) {
		int r = bpf_map_lookup_elem(bpf_map__fd(k->gate->maps.zg_lost), &kind, per_cpu);

		if (r < 0)
			return r;
		for (int i = 0; i < cpus; i++)
			sum[kind] += per_cpu[i];
	}
	memcpy(lost, sum, sizeof(sum));
	return 0;
}

#define PROGS_PER_HOOK 64 /* the kernel's own bound of programs on one cgroup */

static bool runs_at_root(const struct zg_kernel *k, const struct bpf_program *p, uint32_t prog_id)
{
	uint32_t ids[PROGS_PER_HOOK], count = PROGS_PER_HOOK;

	if (bpf_prog_query(k->cgroup_root, bpf_program__expected_attach_type(p), 0, NULL, ids,
			   &count) < 0)
		return false;
	for (uint32_t i = 0; i < count; i++)
		if (ids[i] == prog_id)
			return true;
	return false;
}

static int verify_hook(const struct zg_kernel *k, const struct bpf_program *p, struct zg_err *e)
{
	zg_autofd int fd = bpf_obj_get(zg_pin_of_link(k->pin_dir, p).path);
	struct bpf_prog_info prog = {0};
	uint32_t bytes = sizeof(prog);
	struct bpf_link_info info;

	if (fd < 0)
		return zg_err_set(e, ENOENT, "%s: its pinned link is gone", bpf_program__name(p));
	if (link_info(fd, &info) < 0 ||
	    bpf_obj_get_info_by_fd(bpf_program__fd(p), &prog, &bytes) < 0)
		return zg_err_set(e, errno, "%s: reading it back: %s", bpf_program__name(p),
				  strerror(errno));
	if (!link_ours(k, p, &info) || info.prog_id != prog.id || !runs_at_root(k, p, prog.id))
		return zg_err_set(e, ENOLINK, "%s: not attached at the cgroup root",
				  bpf_program__name(p));
	return 0;
}

int zg_kernel_verify(struct zg_kernel *k, struct zg_err *e)
{
	struct bpf_program *p;
	int r = zg_pin_check_abi(k->pin_dir, e);

	if (r < 0)
		return r;
	bpf_object__for_each_program(p, k->gate->obj)
	{
		r = verify_hook(k, p, e);
		if (r < 0)
			return r;
	}
	return 0;
}
