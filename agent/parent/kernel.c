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

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "kernel_ask.h"
#include "kernel_gateway.h"
#include "kernel_layers.h"
#include "kernel_link.h"
#include "kernel_members.h"
#include "kernel_names.h"
#include "kernel_pin.h"
#include "kernel_readback.h"
#include "kernel_tables.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wcast-qual"
#include "gate.skel.h"
#pragma GCC diagnostic pop

struct zg_kernel {
	struct zg_gate *gate;
	struct zg_ask *ask;
	struct ring_buffer *ring;
	struct zg_tables tables;
	struct zg_layers *layers;
	struct zg_place at;
	int (*event)(const struct zg_event *ev, void *arg);
	void *event_arg;
};

/* pins ----------------------------------------------------------------------- */

/* An incomplete set of maps without any link governs nothing: start over. */
static int clear_incomplete(const char *dir, struct zg_err *e)
{
	bool any = false;
	int r = zg_pin_any_link(dir, &any);

	if (r == 0 && any)
		return zg_pin_foreign(e, "programs are attached, but it is gone", ZG_CTL_PIN);
	if (r == 0)
		r = zg_pin_remove_maps(dir);
	return r < 0 ? zg_err_set(e, -r, "clearing %s: %s", dir, strerror(-r)) : 0;
}

static int take_maps(struct zg_gate *gate, const char *dir, bool *taken, struct zg_err *e)
{
	struct bpf_map *m;
	int r;

	*taken = zg_pin_exists(zg_pin_of(dir, "", ZG_CTL_PIN));
	if (!*taken)
		return clear_incomplete(dir, e);
	r = zg_pin_check_abi(dir, e);
	if (r < 0)
		return r;
	bpf_object__for_each_map (m, gate->obj) {
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
	bpf_object__for_each_map (m, k->gate->obj) {
		if (m == k->gate->maps.zg_ctl)
			continue;
		r = zg_pin_map(m, k->at.pin_dir, e);
		if (r < 0)
			return r;
	}
	return zg_pin_map(k->gate->maps.zg_ctl, k->at.pin_dir, e);
}

/* links ------------------------------------------------------------------------ */

static int attach_all(struct zg_kernel *k, struct zg_err *e)
{
	struct bpf_program *p;

	bpf_object__for_each_program (p, k->gate->obj) {
		int r = zg_link_attach(&k->at, p, e);

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
	k->tables.sticky = table_of(k->gate->maps.zg_sticky);
	k->tables.nursery = table_of(k->gate->maps.zg_nursery);
	k->tables.exec = table_of(k->gate->maps.zg_exec);
	k->tables.unix_ = table_of(k->gate->maps.zg_unix);
	k->tables.automaton = table_of(k->gate->maps.zg_automaton);
	k->tables.name = table_of(k->gate->maps.zg_name);
	k->tables.learned = table_of(k->gate->maps.zg_learned);
	k->tables.grant = table_of(k->gate->maps.zg_grant);
	k->tables.answers = table_of(k->gate->maps.zg_answers);
	return 0;
}

static int open_rings(struct zg_kernel *k, struct zg_err *e)
{
	/* notices first: they are few, and a flood of denials does not end */
	k->ring = ring_buffer__new(bpf_map__fd(k->gate->maps.zg_info), on_event, k, NULL);
	if (!k->ring ||
	    ring_buffer__add(k->ring, bpf_map__fd(k->gate->maps.zg_deny), on_event, k) < 0)
		return zg_err_set(e, errno, "opening the event rings: %s", strerror(errno));
	return 0;
}

static int find_root(struct zg_kernel *k, int cgroup_root, struct zg_err *e)
{
	struct stat st;

	k->at.cgroup_root = fcntl(cgroup_root, F_DUPFD_CLOEXEC, 3);
	if (k->at.cgroup_root < 0 || fstat(k->at.cgroup_root, &st) < 0)
		return zg_err_set(e, errno, "the cgroup root: %s", strerror(errno));
	k->at.root_id = st.st_ino;
	return 0;
}

static int load(struct zg_kernel *k, struct zg_err *e)
{
	bool taken;
	int r;

	k->gate = zg_gate__open();
	if (!k->gate)
		return zg_err_set(e, errno, "opening the gate's programs: %s", strerror(errno));
	r = take_maps(k->gate, k->at.pin_dir, &taken, e);
	if (r < 0)
		return r;
	r = zg_gate__load(k->gate);
	if (r < 0) {
		(void)zg_err_set(e, -r, "loading the gate's programs: %s", strerror(-r));
		zg_err_hint(e, "needs Linux 5.15 with BTF, CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON");
		return r;
	}
	r = map_tables(k, e);
	if (r == 0) {
		r = zg_tables_set_signatures(&k->tables);
		if (r < 0)
			(void)zg_err_set(e, -r, "writing what MCP looks like: %s", strerror(-r));
	}
	if (r == 0) {
		r = zg_tables_adopt_contained(&k->tables);
		if (r < 0)
			(void)zg_err_set(e, -r, "reading who is contained: %s", strerror(-r));
	}
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
	if (o->control &&
	    !zg_str_cut(k->tables.control, sizeof(k->tables.control), zg_slice_str(o->control))) {
		free(k);
		return zg_err_set(e, ENAMETOOLONG, "the control socket's path is too long");
	}
	k->at.cgroup_root = -1;
	memcpy(k->at.pin_dir, o->pin_dir, strlen(o->pin_dir) + 1);
	r = find_root(k, o->cgroup_root, e);
	if (r == 0)
		r = zg_pin_dir_prepare(k->at.pin_dir, e);
	if (r == 0)
		r = load(k, e);
	if (r == 0)
		r = zg_ask_open(&k->ask, k->gate->obj, e);
	if (r == 0)
		r = open_rings(k, e);
	if (r == 0)
		r = attach_all(k, e);
	if (r == 0)
		r = zg_layers_new(&k->layers, &k->at, k->gate->obj, e);
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
	zg_layers_free(k->layers);
	ring_buffer__free(k->ring);
	zg_ask_close(k->ask);
	if (k->tables.ctl)
		(void)munmap(k->tables.ctl, sizeof(*k->tables.ctl));
	zg_tables_release(&k->tables);
	zg_gate__destroy(k->gate);
	zg_close_(&k->at.cgroup_root);
	free(k);
}

int zg_kernel_detach(const char *pin_dir, struct zg_err *e)
{
	int r;

	if (strlen(pin_dir) >= ZG_PATH_LEN)
		return zg_err_set(e, ENAMETOOLONG, "the pin folder's path is too long");
	r = zg_pin_remove_links(pin_dir);
	if (r == 0)
		r = zg_pin_remove_maps(pin_dir);
	if (r == 0 && rmdir(pin_dir) < 0 && errno != ENOENT)
		r = -errno;
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

int zg_kernel_own_listener(struct zg_kernel *k, int listener, struct zg_err *e)
{
	uint64_t cookie;
	socklen_t bytes = sizeof(cookie), domain_bytes = sizeof(int);
	int domain;

	if (getsockopt(listener, SOL_SOCKET, SO_COOKIE, &cookie, &bytes) < 0 ||
	    getsockopt(listener, SOL_SOCKET, SO_DOMAIN, &domain, &domain_bytes) < 0)
		return zg_err_set(e, errno, "reading a listener's cookie: %s", strerror(errno));
	zg_tables_own_listener(&k->tables, domain == AF_INET, cookie);
	return 0;
}

int zg_kernel_apply(struct zg_kernel *k, const struct zg_snapshot *s, uint64_t generation,
		    struct zg_err *e)
{
	int r = zg_tables_apply(&k->tables, s, generation, e);

	k->tables.names = NULL;
	return r;
}

void zg_kernel_set_names(struct zg_kernel *k, const struct zg_gate_names *names)
{
	k->tables.names = names;
}

int zg_kernel_learn(struct zg_kernel *k, const struct zg_name_key *key,
		    const struct zg_name_val *val)
{
	return zg_tables_learn(&k->tables, *key, val);
}

int zg_kernel_unlearn(struct zg_kernel *k, const struct zg_name_key *key)
{
	return zg_tables_unlearn(&k->tables, *key);
}

uint64_t zg_kernel_name_used(struct zg_kernel *k, const struct zg_name_key *key)
{
	return zg_tables_name_used(&k->tables, *key);
}

int zg_kernel_remembered(struct zg_kernel *k,
			 int (*fn)(const struct zg_learned_key *key, uint64_t expires_ns,
				   void *arg),
			 void *arg)
{
	return zg_tables_remembered(&k->tables, fn, arg);
}

int zg_kernel_remember(struct zg_kernel *k, const struct zg_learned_key *key, uint64_t expires_ns)
{
	const struct zg_learned_val val = {.expires_ns = expires_ns};

	return zg_map_put(&k->tables.learned, key, &val, 1);
}

int zg_kernel_forget(struct zg_kernel *k, const struct zg_learned_key *key)
{
	return zg_map_delete(&k->tables.learned, key, 1);
}

int zg_kernel_grant(struct zg_kernel *k, const struct zg_grant_key *key, uint64_t expires_ns)
{
	return zg_tables_grant(&k->tables, *key, expires_ns);
}

int zg_kernel_mark_answers(struct zg_kernel *k, int sock)
{
	const uint32_t yes = 1;

	return bpf_map_update_elem(k->tables.answers.fd, &sock, &yes, BPF_ANY);
}

int zg_kernel_contain(struct zg_kernel *k, const char *profile, bool contained)
{
	return zg_tables_contain(&k->tables, profile, contained);
}

bool zg_kernel_contained(const struct zg_kernel *k, const char *profile)
{
	return zg_tables_contained(&k->tables, profile);
}

int zg_kernel_ask(const struct zg_kernel *k, struct zg_question *q)
{
	return zg_ask(k->ask, q);
}

int zg_kernel_origin(const struct zg_kernel *k, const uint8_t src[16], uint16_t src_port,
		     const uint8_t dst[16], uint16_t dst_port, struct zg_origin *out)
{
	struct zg_flow_key key = {
		.netns_cookie = k->tables.ctl->netns_cookie,
		.src_port_be = htons(src_port),
		.dst_port_be = htons(dst_port),
	};

	memcpy(key.src, src, sizeof(key.src));
	memcpy(key.dst, dst, sizeof(key.dst));
	return bpf_map_lookup_elem(bpf_map__fd(k->gate->maps.zg_flow), &key, out);
}

int zg_kernel_govern(struct zg_kernel *k, uint64_t cgroup_id, uint32_t profile)
{
	return zg_tables_govern(&k->tables, cgroup_id, profile);
}

int zg_kernel_release(struct zg_kernel *k, uint64_t cgroup_id)
{
	return zg_tables_release_member(&k->tables, cgroup_id);
}

int zg_kernel_nursery(struct zg_kernel *k, const struct zg_nursery_key *keys,
		      const struct zg_nursery *values, size_t count)
{
	return zg_tables_nursery(&k->tables, keys, values, count);
}

int zg_kernel_census(struct zg_kernel *k)
{
	return zg_layers_census(k->layers);
}

int zg_kernel_members(struct zg_kernel *k, int (*fn)(uint64_t id, uint32_t profile, void *arg),
		      void *arg)
{
	return zg_tables_members(&k->tables, fn, arg);
}

/* optional layers ------------------------------------------------------------------ */

enum zg_layer_state zg_kernel_layer_state(const struct zg_kernel *k, enum zg_kernel_layer layer,
					  const char **reason)
{
	return zg_layers_state(k->layers, layer, reason);
}

int zg_kernel_layer_want(struct zg_kernel *k, enum zg_kernel_layer layer, bool wanted,
			 struct zg_err *e)
{
	return zg_layers_want(k->layers, layer, wanted, e);
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

int zg_kernel_verify(struct zg_kernel *k, struct zg_err *e)
{
	struct bpf_program *p;
	int r = zg_pin_check_abi(k->at.pin_dir, e);

	if (r < 0)
		return r;
	bpf_object__for_each_program (p, k->gate->obj) {
		r = zg_link_verify(&k->at, p, e);
		if (r < 0)
			return r;
	}
	return zg_layers_verify(k->layers, e);
}

int zg_kernel_readback(const struct zg_kernel *k, const struct zg_intent *intent,
		       struct zg_readback *at, struct zg_err *e)
{
	return zg_tables_readback(&k->tables, intent, at, e);
}

int zg_kernel_repair(struct zg_kernel *k, struct zg_err *e)
{
	struct bpf_program *p;
	int signatures = zg_tables_set_signatures(&k->tables);

	k->tables.known = false;
	zg_tables_restore_gateway(&k->tables);
	if (signatures < 0)
		return zg_err_set(e, -signatures, "writing what MCP looks like: %s",
				  strerror(-signatures));
	bpf_object__for_each_program (p, k->gate->obj) {
		struct zg_err ignored;
		int r = zg_link_verify(&k->at, p, &ignored);

		if (r < 0)
			r = zg_link_attach(&k->at, p, e);
		if (r < 0)
			return r;
	}
	return zg_layers_repair(k->layers, e);
}
