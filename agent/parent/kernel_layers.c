/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kernel_layers.c - see kernel_layers.h. Trust: runs as root; the objects are
 * part of this program. What a layer cannot do is never an error of the agent:
 * it is kept as the layer's reason, in words for whoever administers the host.
 */
#include "kernel_layers.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/btf.h>

#include "kernel_pin.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wcast-qual"
#include "lsm.skel.h"
#include "member.skel.h"
#include "stdio.skel.h"
#include "unix.skel.h"
#pragma GCC diagnostic pop

#define LSM_LIST "/sys/kernel/security/lsm"

enum demand { DEMAND, ALWAYS };

struct layer {
	struct bpf_object *obj; /* NULL: this kernel refused it, or nobody wants it */
	bool fallback;		/* attached by what it falls back to */
	enum zg_layer_state state;
	char reason[ZG_REASON_LEN];
};

struct zg_layers {
	const struct zg_place *at;
	const struct bpf_object *gate;
	struct layer layer[ZG_KL_MAX];
};

static const struct kind {
	const char *name;
	enum demand demand;
	const char *enforces;
	const char *needs;
	const void *(*elf)(size_t *bytes);
} kinds[ZG_KL_MAX] = {
#define X(NAME, object, demand, enforces, needs)                                                   \
	[ZG_KL_##NAME] = {#object, demand, enforces, needs, zg_##object##__elf_bytes},
#include "tbl/kernel_layer.h"
#undef X
};

/* Sections that libbpf 1.1 does not know yet; the numbers are the kernel's. */
static const struct section {
	const char *name;
	enum bpf_prog_type type;
	int attach_type;
} sections[] = {
	{"cgroup/connect_unix", BPF_PROG_TYPE_CGROUP_SOCK_ADDR, 49},
	{"cgroup/sendmsg_unix", BPF_PROG_TYPE_CGROUP_SOCK_ADDR, 50},
	{"cgroup/recvmsg_unix", BPF_PROG_TYPE_CGROUP_SOCK_ADDR, 51},
	{"cgroup/getpeername_unix", BPF_PROG_TYPE_CGROUP_SOCK_ADDR, 52},
	{"cgroup/getsockname_unix", BPF_PROG_TYPE_CGROUP_SOCK_ADDR, 53},
};

const char *zg_kernel_layer_name(enum zg_kernel_layer layer)
{
	return kinds[layer].name;
}

const char *zg_kernel_layer_enforces(enum zg_kernel_layer layer)
{
	return kinds[layer].enforces;
}

const char *zg_kernel_layer_needs(enum zg_kernel_layer layer)
{
	return kinds[layer].needs;
}

/* what this kernel has --------------------------------------------------------- */

/* "bpf" as an item of the kernel's comma list. A program of a module that is
 * not in it can be attached all the same, and would never run. */
static bool lsm_listed(const char *list)
{
	for (const char *at = list; (at = strstr(at, "bpf")); at += 3)
		if ((at == list || at[-1] == ',') && (!at[3] || at[3] == ',' || at[3] == '\n'))
			return true;
	return false;
}

static int lsm_possible(struct zg_err *e)
{
	zg_autofd int fd = open(LSM_LIST, O_RDONLY | O_CLOEXEC);
	char list[ZG_PATH_LEN];
	ssize_t n = fd < 0 ? -1 : read(fd, list, sizeof(list) - 1);

	if (n < 0)
		return zg_err_set(e, errno, LSM_LIST " cannot be read: %s", strerror(errno));
	list[n] = '\0';
	if (!lsm_listed(list))
		return zg_err_set(e, ENOTSUP, "the kernel's lsm= list has no bpf");
	return 0;
}

static bool uses_lsm(const struct bpf_object *obj)
{
	const struct bpf_program *p = bpf_object__next_program(obj, NULL);

	return p && bpf_program__type(p) == BPF_PROG_TYPE_LSM;
}

/* What a program that is attached through the kernel's BTF is attached to;
 * false: it needs no BTF. */
static bool btf_target(const struct bpf_program *p, const char **prefix, uint32_t *kind)
{
	enum bpf_prog_type type = bpf_program__type(p);

	if (type != BPF_PROG_TYPE_LSM && type != BPF_PROG_TYPE_TRACING)
		return false;
	*prefix = type == BPF_PROG_TYPE_LSM ? "bpf_lsm_" : "";
	*kind = BTF_KIND_FUNC;
	if (bpf_program__expected_attach_type(p) == BPF_TRACE_ITER)
		*prefix = "bpf_iter_";
	if (bpf_program__expected_attach_type(p) == BPF_TRACE_RAW_TP) {
		*prefix = "btf_trace_";
		*kind = BTF_KIND_TYPEDEF;
	}
	return true;
}

/* A function of the kernel, through a trampoline. */
static bool is_function(const struct bpf_program *p)
{
	return bpf_program__expected_attach_type(p) == BPF_TRACE_FENTRY ||
	       bpf_program__expected_attach_type(p) == BPF_TRACE_FEXIT;
}

/* A hook that the running kernel has not is left out, and said. */
static int leave_out_missing(struct layer *l, struct zg_err *e)
{
	struct btf *btf = btf__load_vmlinux_btf();
	struct bpf_program *p;
	const char *prefix;
	uint32_t kind;

	if (!btf)
		return zg_err_set(e, errno, "the kernel has no type information (BTF)");
	bpf_object__for_each_program (p, l->obj) {
		const char *slash = strchr(bpf_program__section_name(p), '/');
		size_t used = strlen(l->reason);
		char name[128];

		if (!slash || !btf_target(p, &prefix, &kind))
			continue;
		(void)snprintf(name, sizeof(name), "%s%s", prefix, slash + 1);
		if (btf__find_by_name_kind(btf, name, kind) >= 0)
			continue;
		(void)bpf_program__set_autoload(p, false); /* not loaded yet: cannot fail */
		if (is_function(p))
			continue; /* functions come and go by version: one of a pair is here */
		(void)snprintf(l->reason + used, sizeof(l->reason) - used, "%s%s",
			       used ? ", " : "this kernel has no hook ", slash + 1);
	}
	btf__free(btf);
	return 0;
}

/* which of its programs ---------------------------------------------------------- */

/* The others are run when somebody asks. */
static bool is_hook(const struct bpf_program *p)
{
	return bpf_program__autoload(p) && bpf_program__type(p) != BPF_PROG_TYPE_SYSCALL &&
	       bpf_program__expected_attach_type(p) != BPF_TRACE_ITER;
}

/* Every system call: what a layer falls back to where functions of the kernel
 * cannot be attached to. */
static bool is_fallback(const struct bpf_program *p)
{
	return strcmp(bpf_program__section_name(p), "tp_btf/sys_enter") == 0 ||
	       strcmp(bpf_program__section_name(p), "tp_btf/sys_exit") == 0;
}

static bool is_used(const struct layer *l, const struct bpf_program *p)
{
	return is_hook(p) && !(l->fallback ? is_function(p) : is_fallback(p));
}

static bool has_fallback(const struct layer *l)
{
	struct bpf_program *p;

	bpf_object__for_each_program (p, l->obj) {
		if (is_fallback(p) && is_hook(p))
			return true;
	}
	return false;
}

/* Functions of the kernel cannot be attached to here. */
static void fall_back(struct layer *l)
{
	l->fallback = true;
	(void)snprintf(l->reason, sizeof(l->reason),
		       "without trampolines, io_uring and 32-bit programs are not seen");
}

/* loading ------------------------------------------------------------------------ */

static void name_sections(struct bpf_object *obj)
{
	struct bpf_program *p;

	bpf_object__for_each_program (p, obj) {
		for (size_t i = 0; i < sizeof(sections) / sizeof(sections[0]); i++) {
			if (strcmp(bpf_program__section_name(p), sections[i].name) != 0)
				continue;
			(void)bpf_program__set_type(p, sections[i].type);
			(void)bpf_program__set_expected_attach_type(
				p, (enum bpf_attach_type)sections[i].attach_type);
		}
	}
}

/* The gate's maps by name; a layer's own come from its pins, if there are any. */
static int share_maps(const struct zg_place *at, struct bpf_object *obj,
		      const struct bpf_object *gate, struct zg_err *e)
{
	struct bpf_map *m;

	bpf_object__for_each_map (m, obj) {
		const struct bpf_map *shared = bpf_object__find_map_by_name(gate, bpf_map__name(m));
		int r = 0;

		if (shared)
			r = bpf_map__reuse_fd(m, bpf_map__fd(shared));
		else if (!bpf_map__is_internal(m) && zg_pin_exists(zg_pin_of_map(at->pin_dir, m)))
			r = zg_pin_take_map(m, at->pin_dir, e);
		if (r < 0 && shared)
			return zg_err_set(e, -r, "sharing %s: %s", bpf_map__name(m), strerror(-r));
		if (r < 0)
			return r;
	}
	return 0;
}

static int pin_own_maps(const struct zg_place *at, struct bpf_object *obj,
			const struct bpf_object *gate, struct zg_err *e)
{
	struct bpf_map *m;

	bpf_object__for_each_map (m, obj) {
		int r;

		if (bpf_map__is_internal(m) ||
		    bpf_object__find_map_by_name(gate, bpf_map__name(m)) ||
		    zg_pin_exists(zg_pin_of_map(at->pin_dir, m)))
			continue;
		r = zg_pin_map(m, at->pin_dir, e);
		if (r < 0)
			return r;
	}
	return 0;
}

static void leave_out_unused(struct layer *l)
{
	struct bpf_program *p;

	bpf_object__for_each_program (p, l->obj) {
		if (is_hook(p) && !is_used(l, p))
			(void)bpf_program__set_autoload(p, false);
	}
}

static int load_once(const struct zg_place *at, const struct kind *kind, struct layer *l,
		     const struct bpf_object *gate, struct zg_err *e)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts, .object_name = kind->name);
	size_t bytes;
	const void *elf = kind->elf(&bytes);
	int r;

	l->obj = bpf_object__open_mem(elf, bytes, &opts);
	if (!l->obj)
		return zg_err_set(e, errno, "opening its programs: %s", strerror(errno));
	r = uses_lsm(l->obj) ? lsm_possible(e) : 0;
	if (r == 0)
		r = leave_out_missing(l, e);
	if (r < 0)
		return r;
	if (l->fallback)
		leave_out_unused(l);
	name_sections(l->obj);
	r = share_maps(at, l->obj, gate, e);
	if (r < 0)
		return r;
	r = bpf_object__load(l->obj);
	if (r < 0)
		return zg_err_set(e, -r, "this kernel refuses its programs (%s); it needs %s",
				  strerror(-r), kind->needs);
	return pin_own_maps(at, l->obj, gate, e);
}

static int load(const struct zg_place *at, const struct kind *kind, struct layer *l,
		const struct bpf_object *gate, struct zg_err *e)
{
	int r = load_once(at, kind, l, gate, e);

	if (r == 0 || !l->obj || !has_fallback(l))
		return r;
	bpf_object__close(l->obj);
	fall_back(l);
	return load_once(at, kind, l, gate, e);
}

/* attaching ------------------------------------------------------------------------ */

static int attach_used(const struct zg_place *at, const struct layer *l, struct zg_err *e)
{
	struct bpf_program *p;

	bpf_object__for_each_program (p, l->obj) {
		int r = is_used(l, p) ? zg_link_attach(at, p, e)
				      : zg_pin_remove_link(zg_pin_of_link(at->pin_dir, p));

		if (r < 0)
			return r;
	}
	return 0;
}

static int attach(const struct zg_place *at, const struct kind *kind, struct layer *l,
		  struct zg_err *e)
{
	int r = attach_used(at, l, e);

	if (r < 0 && !l->fallback && has_fallback(l)) {
		fall_back(l);
		r = attach_used(at, l, e);
	}
	if (r < 0) {
		zg_err_hint(e, "it needs %s", kind->needs);
		return r;
	}
	l->state = ZG_LAYER_ATTACHED;
	return 0;
}

static int detach(const struct zg_place *at, struct layer *l, struct zg_err *e)
{
	struct bpf_program *p;

	bpf_object__for_each_program (p, l->obj) {
		int r = zg_pin_remove_link(zg_pin_of_link(at->pin_dir, p));

		if (r < 0)
			return zg_err_set(e, -r, "detaching %s: %s", bpf_program__name(p),
					  strerror(-r));
	}
	l->state = ZG_LAYER_IDLE;
	return 0;
}

/* On demand, and an earlier run of the agent had attached it: it stays so
 * until somebody says that it is not wanted. */
static bool pinned(const struct zg_place *at, const struct kind *kind)
{
	size_t bytes;
	const void *elf = kind->elf(&bytes);
	struct bpf_object *names = bpf_object__open_mem(elf, bytes, NULL);
	struct bpf_program *p;
	bool found = false;

	if (!names)
		return false;
	bpf_object__for_each_program (p, names)
		found = found || zg_pin_exists(zg_pin_of_link(at->pin_dir, p));
	bpf_object__close(names);
	return found;
}

/* Load and attach; what cannot be is absent, with the reason. */
static int bring(struct zg_layers *all, enum zg_kernel_layer layer)
{
	const struct kind *kind = &kinds[layer];
	struct layer *l = &all->layer[layer];
	libbpf_print_fn_t loud = libbpf_set_print(NULL); /* the reason says it */
	struct zg_err e = {0};
	int r = load(all->at, kind, l, all->gate, &e);

	(void)libbpf_set_print(loud);
	if (r == 0)
		r = attach(all->at, kind, l, &e);
	if (r == 0)
		return 0;
	l->state = ZG_LAYER_ABSENT;
	bpf_object__close(l->obj);
	l->obj = NULL;
	(void)zg_err_text(&e, l->reason, sizeof(l->reason));
	return r;
}

/* Whoever does not want it pays for neither programs nor maps. */
static int drop(struct zg_layers *all, enum zg_kernel_layer layer, struct zg_err *e)
{
	struct layer *l = &all->layer[layer];
	int r = detach(all->at, l, e);

	if (r < 0)
		return r;
	bpf_object__close(l->obj);
	*l = (struct layer){.state = ZG_LAYER_IDLE};
	return 0;
}

int zg_layers_new(struct zg_layers **out, const struct zg_place *at, const struct bpf_object *gate,
		  struct zg_err *e)
{
	struct zg_layers *l = calloc(1, sizeof(*l));

	if (!l)
		return zg_err_set(e, ENOMEM, "no memory for the optional layers");
	l->at = at;
	l->gate = gate;
	for (size_t i = 0; i < ZG_KL_MAX; i++) {
		l->layer[i].state = ZG_LAYER_IDLE;
		if (kinds[i].demand == ALWAYS || pinned(at, &kinds[i]))
			(void)bring(l, (enum zg_kernel_layer)i); /* the layer says why not */
	}
	*out = l;
	return 0;
}

void zg_layers_free(struct zg_layers *l)
{
	if (!l)
		return;
	for (size_t i = 0; i < ZG_KL_MAX; i++)
		bpf_object__close(l->layer[i].obj);
	free(l);
}

enum zg_layer_state zg_layers_state(const struct zg_layers *l, enum zg_kernel_layer layer,
				    const char **reason)
{
	if (reason)
		*reason = l->layer[layer].reason;
	return l->layer[layer].state;
}

int zg_layers_want(struct zg_layers *l, enum zg_kernel_layer layer, bool wanted, struct zg_err *e)
{
	struct layer *at = &l->layer[layer];

	if (at->state == ZG_LAYER_ABSENT)
		return wanted ? zg_err_set(e, ENOTSUP, "%s: %s", kinds[layer].name, at->reason) : 0;
	if (wanted == (at->state == ZG_LAYER_ATTACHED) || kinds[layer].demand == ALWAYS)
		return 0;
	if (!wanted)
		return drop(l, layer, e);
	return bring(l, layer) < 0 ? zg_err_set(e, ENOTSUP, "%s: %s", kinds[layer].name, at->reason)
				   : 0;
}

int zg_layers_verify(const struct zg_layers *l, struct zg_err *e)
{
	for (size_t i = 0; i < ZG_KL_MAX; i++) {
		struct bpf_program *p;

		if (l->layer[i].state != ZG_LAYER_ATTACHED)
			continue;
		bpf_object__for_each_program (p, l->layer[i].obj) {
			int r = is_used(&l->layer[i], p) ? zg_link_verify(l->at, p, e) : 0;

			if (r < 0)
				return r;
		}
	}
	return 0;
}

/* Reading it to its end is what runs it; it writes nothing to read. */
static int run_iterator(const struct bpf_program *p)
{
	zg_autofd int link = bpf_link_create(bpf_program__fd(p), 0, BPF_TRACE_ITER, NULL);
	zg_autofd int fd = link < 0 ? link : bpf_iter_create(link);
	char nothing[8];
	ssize_t n;

	if (fd < 0)
		return fd;
	while ((n = read(fd, nothing, sizeof(nothing))) > 0)
		continue;
	return n < 0 ? -errno : 0;
}

int zg_layers_census(const struct zg_layers *l)
{
	struct bpf_program *p;

	if (l->layer[ZG_KL_MEMBER].state != ZG_LAYER_ATTACHED)
		return 0;
	bpf_object__for_each_program (p, l->layer[ZG_KL_MEMBER].obj) {
		int r = is_hook(p) ? 0 : run_iterator(p);

		if (r < 0)
			return r;
	}
	return 0;
}

int zg_layers_repair(struct zg_layers *l, struct zg_err *e)
{
	for (size_t i = 0; i < ZG_KL_MAX; i++) {
		struct bpf_program *p;
		struct zg_err ignored;

		if (l->layer[i].state != ZG_LAYER_ATTACHED)
			continue;
		bpf_object__for_each_program (p, l->layer[i].obj) {
			int r = is_hook(p) ? zg_link_verify(l->at, p, &ignored) : 0;

			if (r < 0)
				r = zg_link_attach(l->at, p, e);
			if (r < 0)
				return r;
		}
	}
	return 0;
}
