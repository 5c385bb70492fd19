/* SPDX-License-Identifier: Apache-2.0 */
/*
 * peer_bench.c - the gate beside what else could hold a process to a list of
 * addresses, with the same million addresses, in one run: nftables with a rule
 * for the cgroup (`socket cgroupv2`), and a service of systemd with
 * IPAddressAllow=, on a host of its own (tests/systemd/boot). And programs that
 * do nothing (peer.bpf.c): what the kernel takes for any.
 *
 * The processor's time of the calling thread is taken (rounds.h). Loopback does
 * the receiver's part within the sender's call, so both ends' hooks are in it
 * where both ends are held. Needs root, nft and systemd.
 */
#include "../unit/parent/kernel_lab.h"
#include "rounds.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <limits.h>

#ifndef ROUNDS
#define ROUNDS 201
#endif
#ifndef PREFIXES
#define PREFIXES 1000000
#endif
#define IDENTITY 10

enum where { BARE, IDLE, FREE, GOVERNED, NESTED, NFT, SYSTEMD, WHERES };

static const char *const where_text[WHERES] = {
	[BARE] = "bare",
	[IDLE] = "programs that do nothing",
	[FREE] = "zerogate, not governed",
	[GOVERNED] = "zerogate, governed",
	[NESTED] = "zerogate, in a cgroup below",
	[NFT] = "nftables, socket cgroupv2",
	[SYSTEMD] = "systemd, IPAddressAllow=",
};

struct place {
	struct lab_path cgroup;
	int netns; /* -1: the laboratory's */
};

struct round {
	struct sockaddr_in to;
	uint64_t ns; /* of a call; 0 = it failed */
};

static uint32_t address(uint32_t i) /* the first is 127.0.0.1 */
{
	return htonl(0x7f000001 + 3 * i);
}

/* what is measured ---------------------------------------------------------------- */

static bool dial_often(int s, const struct sockaddr_in *to, int calls)
{
	for (int i = 0; i < calls; i++)
		if (connect(s, (const struct sockaddr *)to, sizeof(*to)) < 0)
			return false;
	return true;
}

static bool send_often(int s, const struct sockaddr_in *to ZG_UNUSED, int calls)
{
	for (int i = 0; i < calls; i++)
		if (send(s, "x", 1, 0) != 1)
			return false;
	return true;
}

/* s listens. Both ends are closed with a reset: no port waits for its time. */
static bool open_and_close(int s, const struct sockaddr_in *to, int calls)
{
	struct linger now = {.l_onoff = 1};

	for (int i = 0; i < calls; i++) {
		zg_autofd int c = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		zg_autofd int a = -1;

		if (connect(c, (const struct sockaddr *)to, sizeof(*to)) < 0 ||
		    setsockopt(c, SOL_SOCKET, SO_LINGER, &now, sizeof(now)) < 0)
			return false;
		a = accept4(s, NULL, NULL, SOCK_CLOEXEC);
		if (a < 0)
			return false;
	}
	return true;
}

static const struct work {
	const char *text;
	int type;
	int calls; /* of one round */
	bool (*call)(int s, const struct sockaddr_in *to, int calls);
} works[] = {
	{"connect() of a UDP socket", SOCK_DGRAM, 4000, dial_often},
	{"send() of 1 byte by UDP", SOCK_DGRAM, 2000, send_often},
	{"TCP connect, accept and close", SOCK_STREAM, 100, open_and_close},
};

/* In a process of its own, that has never been anywhere else: a governed one
 * would stay governed. */
static uint64_t one_round(const struct place *at, const struct work *w, struct round *r)
{
	socklen_t bytes = sizeof(r->to);
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = address(0)};
		uint64_t start;
		int peer, s;

		if (at->netns >= 0 && setns(at->netns, CLONE_NEWNET) < 0)
			_exit(1);
		peer = socket(AF_INET, w->type | SOCK_CLOEXEC, 0);
		if (bind(peer, (struct sockaddr *)&any, sizeof(any)) < 0 ||
		    (w->type == SOCK_STREAM && listen(peer, 8) < 0) ||
		    getsockname(peer, (struct sockaddr *)&r->to, &bytes) < 0 ||
		    !lab_enter(at->cgroup.text))
			_exit(1);
		s = w->type == SOCK_STREAM ? peer : socket(AF_INET, w->type | SOCK_CLOEXEC, 0);
		if (w->call == send_often && !dial_often(s, &r->to, 1))
			_exit(1);
		start = rounds_clock(CLOCK_THREAD_CPUTIME_ID);
		if (!w->call(s, &r->to, w->calls))
			_exit(1);
		r->ns = (rounds_clock(CLOCK_THREAD_CPUTIME_ID) - start) / (uint64_t)w->calls;
		_exit(0);
	}
	assert_int_equal(lab_wait(pid), 0);
	return r->ns;
}

struct measured {
	const struct place *place;
	const struct work *work;
	struct round *shared;
};

static double round_at(size_t at, void *arg)
{
	const struct measured *m = arg;

	return (double)one_round(&m->place[at], m->work, m->shared);
}

static void measure(const struct place place[WHERES], const struct work *w)
{
	struct measured m = {place, w, NULL};
	struct rounds_median median[WHERES];

	m.shared = mmap(NULL, sizeof(*m.shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
			-1, 0);
	assert_ptr_not_equal(m.shared, MAP_FAILED);
	rounds_compare(WHERES, ROUNDS, round_at, &m, median);
	(void)munmap(m.shared, sizeof(*m.shared));
	(void)printf(" %s\n", w->text);
	for (int at = 0; at < WHERES; at++)
		(void)printf("  %-32s %8.0f ns  %5.2fx bare  %5.2fx idle\n", where_text[at],
			     median[at].ns, median[at].ratio,
			     median[at].ratio / median[IDLE].ratio);
}

/* who is measured ----------------------------------------------------------------- */

static void load_gate(struct lab *lab)
{
	struct zg_prefix_def *prefix = calloc(PREFIXES, sizeof(*prefix));
	struct zg_snapshot s;
	struct zg_err e;
	struct plan p;

	assert_non_null(prefix);
	plan_init(&p);
	plan_profile(&p, "a", ZG_MODE_ENFORCE);
	(void)plan_rule(&p, P_A, IDENTITY, IPPROTO_TCP, 1, UINT16_MAX, ZG_V_ALLOW);
	(void)plan_rule(&p, P_A, IDENTITY, IPPROTO_UDP, 1, UINT16_MAX, ZG_V_ALLOW);
	s = p.s;
	for (uint32_t i = 0; i < PREFIXES; i++) {
		uint32_t v4 = address(i);

		prefix[i] = (struct zg_prefix_def){.prefixlen = 128, .identity = IDENTITY};
		memset(prefix[i].addr + 10, 0xff, 2);
		memcpy(prefix[i].addr + 12, &v4, sizeof(v4));
	}
	s.prefixes = prefix;
	s.prefix_count = PREFIXES;
	if (zg_kernel_apply(lab->kernel, &s, ++lab->generation, &e) < 0)
		fail_msg("%s", e.what);
	free(prefix);
}

/* A network namespace with the table; what it holds goes with the descriptor. */
static int load_nft(const char *cgroup)
{
	/* nft looks the path up from here */
	const char *path = cgroup + strlen("/sys/fs/cgroup/");
	zg_autofd int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	FILE *nft;
	int netns;

	assert_int_equal(unshare(CLONE_NEWNET), 0);
	lab_up_loopback();
	netns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	nft = popen("PATH=$PATH:/usr/sbin nft -f -", "we");
	assert_non_null(nft);
	(void)fprintf(nft, "table inet peer {\n set allowed { type ipv4_addr; elements = {\n");
	for (uint32_t i = 0; i < PREFIXES; i++) {
		struct in_addr a = {.s_addr = address(i)};

		(void)fprintf(nft, "%s,\n", inet_ntoa(a));
	}
	(void)fprintf(nft,
		      "} }\n chain out { type filter hook output priority filter;\n"
		      "  socket cgroupv2 level 1 \"%s\" ip daddr != @allowed drop\n }\n}\n",
		      path);
	assert_int_equal(pclose(nft), 0);
	assert_int_equal(setns(home, CLONE_NEWNET), 0);
	return netns;
}

static void attach(const struct bpf_object *o, const char *program, const char *cgroup,
		   enum bpf_attach_type type)
{
	const struct bpf_program *p = bpf_object__find_program_by_name(o, program);
	zg_autofd int fd = open(cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_non_null(p);
	assert_int_equal(bpf_prog_attach(bpf_program__fd(p), fd, type, BPF_F_ALLOW_MULTI), 0);
}

/* One of each kind that the gate attaches and these calls meet. */
static const struct {
	const char *name;
	enum bpf_attach_type type;
} idle_programs[] = {
	{"idle_create", BPF_CGROUP_INET_SOCK_CREATE}, {"idle_bind4", BPF_CGROUP_INET4_BIND},
	{"idle_connect4", BPF_CGROUP_INET4_CONNECT},  {"idle_setsockopt", BPF_CGROUP_SETSOCKOPT},
	{"idle_getsockopt", BPF_CGROUP_GETSOCKOPT},   {"idle_sockops", BPF_CGROUP_SOCK_OPS},
	{"idle_egress", BPF_CGROUP_INET_EGRESS},      {"idle_ingress", BPF_CGROUP_INET_INGRESS},
};

static struct bpf_object *load_programs(const char *idle)
{
	struct bpf_object *o = bpf_object__open_file(ZG_PEER_BPF, NULL);

	assert_non_null(o);
	assert_int_equal(bpf_object__load(o), 0);
	for (size_t i = 0; i < sizeof(idle_programs) / sizeof(idle_programs[0]); i++)
		attach(o, idle_programs[i].name, idle, idle_programs[i].type);
	return o;
}

static char host[32]; /* its name, while it is there */

static int run(const char *format, ...)
{
	char line[PATH_MAX];
	va_list args;
	FILE *p;

	va_start(args, format);
	(void)vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	p = popen(line, "we");
	return p ? pclose(p) : -1;
}

static void stop_host(void)
{
	(void)run("%s stop %s", ZG_PEER_BOOT, host);
}

static void write_unit(const char *folder)
{
	char path[PATH_MAX];
	FILE *f;

	assert_int_equal(run("mkdir -p %s/etc/systemd/system && chmod 755 %s", folder, folder), 0);
	(void)snprintf(path, sizeof(path), "%s/etc/systemd/system/zg-peer.service", folder);
	f = fopen(path, "we");
	assert_non_null(f);
	(void)fprintf(f, "[Service]\nExecStart=/bin/sleep infinity\nIPAddressDeny=any\n");
	for (uint32_t i = 0; i < PREFIXES; i++) {
		struct in_addr a = {.s_addr = address(i)};

		(void)fprintf(f, "IPAddressAllow=%s\n", inet_ntoa(a));
	}
	assert_int_equal(fclose(f), 0);
}

/* A host whose service has the list; its cgroup is one of the machine's tree. */
static void start_systemd(struct lab_path *cgroup)
{
	char folder[] = "/tmp/zg-peer.XXXXXX";

	assert_non_null(mkdtemp(folder));
	write_unit(folder);
	(void)snprintf(host, sizeof(host), "zg-peer-%d", (int)getpid());
	assert_int_equal(atexit(stop_host), 0);
	assert_int_equal(run("%s start %s %s", ZG_PEER_BOOT, host, folder), 0);
	assert_int_equal(run("%s exec %s systemctl start zg-peer.service", ZG_PEER_BOOT, host), 0);
	assert_int_equal(run("rm -r %s", folder), 0);
	(void)snprintf(cgroup->text, sizeof(cgroup->text),
		       "%s/zerogate-boot-%s/system.slice/zg-peer.service", lab_cgroup2_mount(),
		       host);
}

/* Whoever lets an address pass that is not in the list is not measured. */
static void check_refusal(const struct place *at)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(9)};
		int s;

		to.sin_addr.s_addr = htonl(ntohl(address(0)) + 1);
		if ((at->netns >= 0 && setns(at->netns, CLONE_NEWNET) < 0) ||
		    !lab_enter(at->cgroup.text))
			_exit(1);
		s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		_exit(sendto(s, "x", 1, 0, (struct sockaddr *)&to, sizeof(to)) != -1 ||
		      errno != EPERM);
	}
	assert_int_equal(lab_wait(pid), 0);
}

/* Those that start with "/" are outside the gate's root. */
static const char *const cgroup_of[SYSTEMD] = {
	[BARE] = "/zg-peer-bare", [IDLE] = "/zg-peer-idle", [FREE] = "free",
	[GOVERNED] = "agent",	  [NESTED] = "agent/inner", [NFT] = "/zg-peer-nft",
};

static struct place place_of(const struct lab *lab, const char *cgroup)
{
	struct place at = {lab_path(lab, cgroup), -1};

	if (*cgroup == '/')
		(void)snprintf(at.cgroup.text, sizeof(at.cgroup.text), "%s%s", lab_cgroup2_mount(),
			       cgroup);
	if (mkdir(at.cgroup.text, 0755) < 0)
		assert_int_equal(errno, EEXIST);
	return at;
}

static void bench(void **state ZG_UNUSED)
{
	struct lab *lab = lab_open();
	struct place place[WHERES];
	struct bpf_object *programs;

	lab_govern(lab, "agent", P_A);
	for (int at = 0; at < SYSTEMD; at++)
		place[at] = place_of(lab, cgroup_of[at]);
	place[SYSTEMD].netns = -1;
	start_systemd(&place[SYSTEMD].cgroup);
	load_gate(lab);
	programs = load_programs(place[IDLE].cgroup.text);
	place[NFT].netns = load_nft(place[NFT].cgroup.text);
	for (int at = GOVERNED; at < WHERES; at++)
		check_refusal(&place[at]);
	(void)printf("beside others, %d addresses allowed, medians of %d rounds\n", PREFIXES,
		     ROUNDS);
	for (size_t i = 0; i < sizeof(works) / sizeof(works[0]); i++)
		measure(place, &works[i]);
	for (int at = 0; at < SYSTEMD; at++)
		if (*cgroup_of[at] == '/')
			(void)rmdir(place[at].cgroup.text);
	(void)close(place[NFT].netns);
	bpf_object__close(programs);
}

static const struct CMUnitTest tests[] = {LAB_TEST(bench)};

LAB_MAIN(tests)
