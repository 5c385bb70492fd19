/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stage.c - the world of the attempts: a network namespace with targets in it,
 * a /run of its own, and the real gate with a policy compiled from a real
 * zerogate.yaml. Everything ends with the process.
 */
#include "bypass.h"

#include <bpf/bpf.h>
#include <linux/if_tun.h>
#include <linux/ipv6.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/sysmacros.h>

#include "build.h"

#define ADDRESS_MS 60000 /* until an address can be used */
#define GRANT_SEC  3600	 /* longer than all attempts take */

/* Whatever an attacker could hope for: a generous policy with holes that must
 * not be there. */
static const char policy[] =
	"version: v1\n"
	"listen: ['127.0.0.1:7411', '[::1]:7411']\n"
	"user: nobody\nledger_user: daemon\n"
	"profiles:\n"
	"  agent:\n"
	"    cgroups: [agent]\n"
	"    mode: enforce\n"
	"    servers: ['*']\n"
	"    allow:\n"
	"      - {cidr: '127.0.0.1/32', port: [5555, 5556], proto: [tcp, udp]}\n"
	"      - {cidr: '::1/128', port: [5555, 5556], proto: [tcp, udp]}\n"
	"      - {cidr: '169.254.0.0/16', port: '1-65535', proto: [tcp, udp]}\n"
	"      - {cidr: 'fd00:ec2::/32', port: '1-65535', proto: [tcp, udp]}\n"
	"      - {cidr: '64:ff9b::/96', port: '1-65535', proto: [tcp, udp]}\n"
	"      - {cidr: '2002::/16', port: '1-65535', proto: [tcp, udp]}\n"
	"      - {cidr: '224.0.0.0/3', port: '1-65535', proto: udp}\n"
	"      - {cidr: 'fe00::/7', port: '1-65535', proto: udp}\n"
	"      - {unix: '/run/ok/*'}\n"
	"    ask: true\n"
	"  other:\n"
	"    cgroups: [other]\n"
	"    ask: true\n";

static const char server[] =
	"{\"name\":\"dev.zerogate/here\",\"description\":\"d\",\"version\":\"1\",\"remotes\":[{"
	"\"type\":\"streamable-http\",\"url\":\"http://127.66.0.9:6666/mcp\"}],\"_meta\":{"
	"\"dev.zerogate/registry\":{\"id\":\"here\"}}}";

static void put(const char *path, const char *value)
{
	zg_autofd int fd = open(path, O_WRONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_true(write(fd, value, strlen(value)) == (ssize_t)strlen(value));
}

/* addresses ---------------------------------------------------------------------- */

/* The kernel looks for duplicates in its own time, on loopback too. */
static void await_address(const struct endpoint *at)
{
	zg_autofd int s = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	for (int ms = 0; bind(s, (const struct sockaddr *)&at->ss, at->bytes) < 0; ms++) {
		assert_true(errno == EADDRNOTAVAIL && ms < ADDRESS_MS);
		(void)poll(NULL, 0, 1);
	}
}

static void add_address6(const char *text)
{
	struct endpoint at = endpoint_of(text, 0);
	struct in6_ifreq r = {.ifr6_prefixlen = 128, .ifr6_ifindex = (int)if_nametoindex("lo")};
	zg_autofd int s = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	r.ifr6_addr = ((struct sockaddr_in6 *)&at.ss)->sin6_addr;
	assert_int_equal(ioctl(s, SIOCSIFADDR, &r), 0);
	await_address(&at);
}

static int set_address4(const char *device, const char *addr, const char *mask)
{
	struct endpoint at = endpoint_of(addr, 0), m = endpoint_of(mask, 0);
	zg_autofd int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq r = {0};

	(void)snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", device);
	memcpy(&r.ifr_addr, &at.ss, sizeof(r.ifr_addr));
	if (ioctl(s, SIOCSIFADDR, &r) < 0)
		return -errno;
	memcpy(&r.ifr_netmask, &m.ss, sizeof(r.ifr_netmask));
	if (ioctl(s, SIOCSIFNETMASK, &r) < 0 || ioctl(s, SIOCGIFFLAGS, &r) < 0)
		return -errno;
	r.ifr_flags |= IFF_UP;
	return ioctl(s, SIOCSIFFLAGS, &r) < 0 ? -errno : 0;
}

/* A device that has multicast, and leads nowhere: nobody reads its other end. A
 * kernel may lack it. */
static void add_device(void)
{
	struct ifreq r = {.ifr_name = NET_DEV, .ifr_flags = IFF_TUN | IFF_NO_PI};
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	if (fd >= 0 && ioctl(fd, TUNSETIFF, &r) == 0)
		assert_int_equal(set_address4(NET_DEV, NET_ADDR4, "255.255.255.0"), 0);
}

static void add_targets(void)
{
	static const char *const addrs6[] = {OUT6, META6, NAT64, SIXTO4};

	for (size_t i = 0; i < sizeof(addrs6) / sizeof(addrs6[0]); i++)
		add_address6(addrs6[i]);
	assert_int_equal(set_address4("lo:1", META4, "255.255.255.255"), 0);
	add_device();
	put("/proc/sys/net/ipv4/ping_group_range", "0 65535");
	put("/proc/sys/net/ipv4/conf/all/rp_filter", "0");
	put("/proc/sys/net/ipv4/conf/default/rp_filter", "0");
	assert_int_equal(mount("tmpfs", "/run", "tmpfs", 0, "mode=755"), 0);
}

/* the gate --------------------------------------------------------------------------- */

static void compile(struct zg_buf *out)
{
	struct zg_diag diag = {0};
	struct zg_build *b = zg_build_new(&diag);
	struct zg_build_counts counts;
	uint8_t id[32];

	assert_non_null(b);
	zg_build_add(b, ZG_CF_MAIN, "bypass.yaml", zg_slice_str(policy));
	zg_build_add(b, ZG_CF_SERVER, "server.json", zg_slice_str(server));
	if (zg_build_finish(b, ZG_BUILD_POLICY, out, id, &counts) < 0)
		fail_msg("%s:%u: %s", diag.item[0].file, diag.item[0].line, diag.item[0].what);
	zg_build_free(b);
	zg_diag_release(&diag);
}

static void grant(struct stage *st, int file, uint32_t profile, uint8_t proto)
{
	struct zg_grant_key key = {.profile = profile, .port_be = htons(PORT), .proto = proto};
	struct timespec now;
	struct stat f;

	assert_int_equal(fstat(file, &f), 0);
	assert_int_equal(clock_gettime(CLOCK_BOOTTIME, &now), 0);
	assert_int_equal(zg_addr_parse(ZG_SLICE(GRANTED4), key.addr), 0);
	key.exe_ino = f.st_ino;
	key.exe_dev = major(f.st_dev) << 20 | minor(f.st_dev);
	for (int any = 0; any < 2; any++) {
		assert_int_equal(zg_kernel_grant(st->lab->kernel, &key,
						 ((uint64_t)now.tv_sec + GRANT_SEC) * 1000000000),
				 0);
		key.exe_ino = 0; /* the row that live sockets are asked by */
		key.exe_dev = 0;
	}
}

/* As if people had granted it: to another executable of the workload's profile, and
 * to this one in another profile. */
static void grant_others(struct stage *st)
{
	static const uint8_t protos[] = {IPPROTO_TCP, IPPROTO_UDP};
	zg_autofd int other = memfd_create("another executable", MFD_CLOEXEC);
	zg_autofd int own = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

	assert_true(other >= 0 && own >= 0);
	for (size_t i = 0; i < sizeof(protos); i++) {
		grant(st, other, P_A, protos[i]);
		grant(st, own, P_B, protos[i]);
	}
}

static void apply(struct stage *st)
{
	struct zg_buf text = ZG_BUF(ZG_SNAPSHOT_BYTES);
	zg_autofd int fd = memfd_create("snapshot", MFD_ALLOW_SEALING | MFD_CLOEXEC);
	struct zg_snapshot s;
	struct zg_err e = {0};

	compile(&text);
	assert_true(write(fd, text.ptr, text.len) == (ssize_t)text.len);
	assert_int_equal(
		fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL),
		0);
	zg_buf_release(&text);
	if (zg_snapshot_open(&s, fd, &e) < 0 ||
	    zg_kernel_apply(st->lab->kernel, &s, ++st->lab->generation, &e) < 0)
		fail_msg("the policy: %s", e.what);
	zg_snapshot_close(&s);
	grant_others(st);
}

void stage_delegate(const struct stage *st, const char *below)
{
	char procs[64];

	(void)snprintf(procs, sizeof(procs), "%.40s/cgroup.procs", below);
	assert_int_equal(chown(lab_path(st->lab, below).text, LAB_UID, LAB_UID), 0);
	assert_int_equal(chown(lab_path(st->lab, procs).text, LAB_UID, LAB_UID), 0);
}

static void open_gate(struct stage *st)
{
	struct zg_listen v4 = {.port = GATEWAY_PORT}, v6 = {.port = GATEWAY_PORT};
	struct zg_err e = {0};

	st->lab = lab_open();
	stage_delegate(st, ".");
	lab_govern(st->lab, IN_AGENT, P_A);
	assert_int_equal(zg_addr_parse(ZG_SLICE(LOCAL4), v4.addr), 0);
	assert_int_equal(zg_addr_parse(ZG_SLICE(LOCAL6), v6.addr), 0);
	assert_int_equal(zg_kernel_set_gateway(st->lab->kernel, &v4, &v6, &e), 0);
	apply(st);
}

/* What the agent does when its self-proof fails. Loading the programs again
 * would take a minute where the processor is emulated. */
void stage_repair(struct stage *st)
{
	struct zg_err e = {0};

	if (zg_kernel_repair(st->lab->kernel, &e) < 0)
		fail_msg("repairing the gate: %s", e.what);
	apply(st);
	lab_govern(st->lab, IN_AGENT, P_A);
	if (zg_kernel_verify(st->lab->kernel, &e) < 0)
		fail_msg("the repaired gate: %s", e.what);
}

void stage_open(struct stage *st)
{
	*st = (struct stage){.link = {-1, -1}, .ready = -1, .fd = -1};
	st->told = mmap(NULL, sizeof(*st->told), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
			-1, 0);
	assert_true(st->told != MAP_FAILED);
	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
	open_gate(st);
	add_targets();
	receive_open();
}

void stage_close(struct stage *st)
{
	assert_int_equal(lab_teardown(NULL), 0);
	(void)munmap(st->told, sizeof(*st->told));
}

/* layers ------------------------------------------------------------------------------ */

const char *const layer_names[ZG_L_MAX] = {
#define X(NAME, text) [ZG_L_##NAME] = text,
#include "tbl/gate_layer.h"
#undef X
};

/* The optional ones, as the gate itself reports them: their names are the same. */
static uint32_t optional_layers(const struct stage *st)
{
	uint32_t layers = 0;

	for (unsigned int kind = 0; kind < ZG_KL_MAX; kind++) {
		const char *name = zg_kernel_layer_name(kind);

		if (zg_kernel_layer_state(st->lab->kernel, kind, NULL) != ZG_LAYER_ATTACHED)
			continue;
		for (unsigned int i = 0; i < ZG_L_MAX; i++)
			if (strcmp(layer_names[i], name) == 0)
				layers |= 1U << i;
	}
	return layers;
}

/* The others, by what is attached and not by what was hoped for. */
uint32_t stage_layers(const struct stage *st)
{
	static const struct {
		enum bpf_attach_type type;
		enum zg_layer layer;
	} hooks[] = {
		{BPF_CGROUP_INET4_CONNECT, ZG_L_CONNECT},
		{BPF_CGROUP_UDP4_SENDMSG, ZG_L_SENDMSG},
		{BPF_CGROUP_SOCK_OPS, ZG_L_SOCKOPS},
		{BPF_CGROUP_INET_SOCK_CREATE, ZG_L_CREATE},
		{BPF_CGROUP_INET4_BIND, ZG_L_BIND},
		{BPF_CGROUP_INET_EGRESS, ZG_L_EGRESS},
		{BPF_CGROUP_INET_INGRESS, ZG_L_INGRESS},
		{BPF_CGROUP_SETSOCKOPT, ZG_L_SETSOCKOPT},
		{(enum bpf_attach_type)49, ZG_L_UNIX}, /* cgroup/connect_unix */
	};
	uint32_t layers = optional_layers(st);

	for (size_t i = 0; i < sizeof(hooks) / sizeof(hooks[0]); i++) {
		uint32_t count = 0;

		if (bpf_prog_query(st->lab->root_fd, hooks[i].type, 0, NULL, NULL, &count) == 0 &&
		    count)
			layers |= 1U << hooks[i].layer;
	}
	return layers;
}
