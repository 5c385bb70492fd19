/* SPDX-License-Identifier: Apache-2.0 */
/*
 * doctor.c - `zerogate doctor`: what this kernel and this setup enforce, one
 * line a check: the machine, then what the agent proved just now, then every
 * way around a gate and what closes it here. Exit 1 when something needed is
 * missing, 3 without an agent. Trust: as any user; only looks, changes nothing.
 */
#include <grp.h>
#include <linux/magic.h>
#include <pwd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/vfs.h>

#include "buf.h"
#include "cli.h"
#include "slice.h"

#define KERNEL_MAJOR 5 /* the floor: 5.15 */
#define KERNEL_MINOR 15

enum weight { NEEDED, OPTIONAL };

struct check {
	const char *name;
	enum weight weight;
	bool (*holds)(char *detail, size_t size);
	const char *remedy;
};

static bool kernel(char *detail, size_t size)
{
	struct utsname u;
	uint64_t major, minor;
	size_t n, m;

	if (uname(&u) < 0)
		return false;
	(void)snprintf(detail, size, "%s", u.release);
	n = strcspn(u.release, ".");
	m = u.release[n] ? strspn(u.release + n + 1, "0123456789") : 0;
	return zg_slice_u64((struct zg_slice){u.release, n}, UINT32_MAX, &major) == 0 &&
	       zg_slice_u64((struct zg_slice){u.release + n + 1, m}, UINT32_MAX, &minor) == 0 &&
	       (major > KERNEL_MAJOR || (major == KERNEL_MAJOR && minor >= KERNEL_MINOR));
}

static bool file_system(const char *const *paths, unsigned long magic, char *detail, size_t size)
{
	struct statfs fs;

	for (; *paths; paths++) {
		if (statfs(*paths, &fs) < 0 || (unsigned long)fs.f_type != magic)
			continue;
		(void)snprintf(detail, size, "%s", *paths);
		return true;
	}
	return false;
}

static bool cgroup2(char *detail, size_t size)
{
	static const char *const paths[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified", NULL};

	return file_system(paths, CGROUP2_SUPER_MAGIC, detail, size);
}

static bool bpffs(char *detail, size_t size)
{
	static const char *const paths[] = {"/sys/fs/bpf", NULL};

	return file_system(paths, BPF_FS_MAGIC, detail, size);
}

static bool exists(const char *path, char *detail, size_t size)
{
	(void)snprintf(detail, size, "%s", path);
	return access(path, F_OK) == 0;
}

static bool btf(char *detail, size_t size)
{
	return exists("/sys/kernel/btf/vmlinux", detail, size);
}

static bool journal(char *detail, size_t size)
{
	return exists("/run/systemd/journal/socket", detail, size);
}

static bool landlock(char *detail, size_t size)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, 1 /* ask for the version */);

	(void)snprintf(detail, size, "ABI %ld", abi < 0 ? 0 : abi);
	return abi > 0;
}

static bool users(char *detail, size_t size)
{
	(void)snprintf(detail, size, "zerogate, zerogate-ledger, group zerogate-approvers");
	return getpwnam("zerogate") && getpwnam("zerogate-ledger") &&
	       getgrnam("zerogate-approvers");
}

static const struct check checks[] = {
	{"kernel", NEEDED, kernel, "Linux 5.15 or later is needed"},
	{"cgroup2", NEEDED, cgroup2, "mount -t cgroup2 cgroup2 /sys/fs/cgroup"},
	{"bpf file system", NEEDED, bpffs, "mount -t bpf bpf /sys/fs/bpf"},
	{"kernel types (BTF)", NEEDED, btf, "a kernel with CONFIG_DEBUG_INFO_BTF"},
	{"landlock", OPTIONAL, landlock, "roles are locked in by seccomp alone"},
	{"journald", OPTIONAL, journal, "audit records go to the segments alone"},
	{"default users", OPTIONAL, users,
	 "systemd-sysusers, unless the configuration names others"},
};

static void line(const struct zg_cli *cli, enum zg_finding_state state, bool needed,
		 const char *name, const char *detail, const char *remedy)
{
	static const char *const words[] = {
		[ZG_FS_BROKEN] = "MISSING", [ZG_FS_ABSENT] = "absent", [ZG_FS_OK] = "ok"};
	zg_autobuf json = ZG_BUF(8192);

	if (cli->json) {
		zg_buf_str(&json, "{\"check\":");
		zg_buf_json(&json, zg_slice_str(name));
		zg_buf_fmt(&json, ",\"good\":%s,\"needed\":%s,\"detail\":",
			   state == ZG_FS_OK ? "true" : "false", needed ? "true" : "false");
		zg_buf_json(&json, zg_slice_str(detail));
		zg_buf_str(&json, ",\"remedy\":");
		zg_buf_json(&json, zg_slice_str(remedy));
		printf("%.*s}\n", (int)json.len, json.ptr);
		return;
	}
	printf("%-7s %-20s ", words[state], name);
	zg_print_safe(stdout, detail);
	if (remedy[0]) {
		fputs(detail[0] ? "; " : "", stdout);
		zg_print_safe(stdout, remedy);
	}
	putchar('\n');
}

static bool check_machine(const struct zg_cli *cli)
{
	bool good = true;

	for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]); i++) {
		const struct check *c = &checks[i];
		bool needed = c->weight == NEEDED;
		char detail[160] = "";
		bool holds = c->holds(detail, sizeof(detail));

		line(cli,
		     holds    ? ZG_FS_OK
		     : needed ? ZG_FS_BROKEN
			      : ZG_FS_ABSENT,
		     needed, c->name, detail, holds ? "" : c->remedy);
		good = good && (holds || !needed);
	}
	return good;
}

/* the agent's own proof ---------------------------------------------------------- */

static void finding(const struct zg_cli *cli, struct zg_msg_ctl_finding *f)
{
	ZG_MSG_TEXT(f->name);
	ZG_MSG_TEXT(f->detail);
	ZG_MSG_TEXT(f->remedy);
	if (f->state > ZG_FS_OK)
		f->state = ZG_FS_BROKEN;
	line(cli, (enum zg_finding_state)f->state, f->state == ZG_FS_BROKEN, f->name, f->detail,
	     f->remedy);
}

/* One round of self-proof. 0 when nothing is broken, else the exit status;
 * layers gets the bits of enum zg_layer that are in force. */
static int ask_proof(const struct zg_cli *cli, uint32_t *layers)
{
	const struct zg_msg_ctl_doctor request = {0};
	int sock = zg_ctl_connect(cli), status = ZG_EXIT_DAEMON, rc = 1;
	struct zg_msg m = {.fd = -1};
	bool broken = false;

	if (sock < 0)
		return ZG_EXIT_DAEMON;
	if (zg_ctl_request(sock, ZG_MSG_CTL_DOCTOR, &request) < 0)
		rc = -1;
	while (rc > 0) {
		rc = zg_ctl_next(sock, &m, &status);
		if (rc > 0 && m.type == ZG_MSG_CTL_FINDING) {
			struct zg_msg_ctl_finding f;

			memcpy(&f, m.body, sizeof(f));
			finding(cli, &f);
			*layers |= f.layers;
			broken = broken || f.state == ZG_FS_BROKEN;
		}
		zg_msg_release(&m);
	}
	(void)close(sock);
	if (rc < 0)
		return ZG_EXIT_DAEMON;
	return status == ZG_EXIT_OK && broken ? ZG_EXIT_NO : status;
}

static int check_agent(const struct zg_cli *cli, uint32_t *layers)
{
	struct zg_msg_ctl_status s;
	int rc = ask_proof(cli, layers), status;

	status = rc == ZG_EXIT_DAEMON ? rc : zg_cli_status(cli, &s);
	if (status != 0) { /* it is not there, or it does not speak to us */
		line(cli, ZG_FS_BROKEN, true, "agent", "does not answer",
		     "what is pinned goes on being enforced; nothing can be said of it");
		return status;
	}
	line(cli, zg_cli_enforces(&s) ? ZG_FS_OK : ZG_FS_BROKEN, true, "enforcement", s.enforcement,
	     "");
	line(cli, s.ledger_ready ? ZG_FS_OK : ZG_FS_BROKEN, true, "ledger",
	     s.ledger_ready ? "ready" : "restarting", s.ledger_ready ? "" : "calls are refused");
	return rc == 0 && !(zg_cli_enforces(&s) && s.ledger_ready) ? ZG_EXIT_NO : rc;
}

/* row by row ------------------------------------------------------------------------ */

static const struct {
	const char *name;
	const char *text;
	uint32_t layers;
} ways[] = {
#define X(NAME, text, layers) {#NAME, (text), (layers)},
#include "tbl/bypass.h"
#undef X
};

static const char *const layer_names[ZG_L_MAX] = {
#define X(NAME, text) [ZG_L_##NAME] = (text),
#include "tbl/gate_layer.h"
#undef X
};

static const char *const layer_needs[ZG_L_MAX] = {
#define X(NAME, object, demand, enforces, needs) [ZG_L_##NAME] = (needs),
#include "tbl/kernel_layer.h"
#undef X
};

static void name_layers(struct zg_buf *out, uint32_t layers, const char *between, const char *mark)
{
	size_t start = out->len;

	for (size_t i = 0; i < ZG_L_MAX; i++) {
		if (!(layers >> i & 1))
			continue;
		zg_buf_str(out, out->len > start ? between : "");
		zg_buf_fmt(out, "%s%s%s", mark, i == ZG_L_NONE ? "agent" : layer_names[i], mark);
	}
}

/* What would close a way that is open here. */
static void name_needs(struct zg_buf *out, uint32_t layers)
{
	if (!layers)
		zg_buf_str(out, "nothing: it takes root, who is trusted");
	for (size_t i = 0; i < ZG_L_MAX; i++)
		if (layers >> i & 1)
			zg_buf_fmt(out, "%s%s", out->len ? ", or " : "",
				   layer_needs[i] ? layer_needs[i] : layer_names[i]);
}

static void way(const struct zg_cli *cli, size_t i, uint32_t in_force)
{
	uint32_t by = ways[i].layers & in_force;
	zg_autobuf names = ZG_BUF(1024), needs = ZG_BUF(2048), json = ZG_BUF(8192);

	name_layers(&names, by, cli->json ? "," : ", ", cli->json ? "\"" : "");
	if (!by)
		name_needs(&needs, ways[i].layers);
	if (!cli->json) {
		printf("%-7s %s\n        ", by ? "closed" : "OPEN", ways[i].text);
		printf(by ? "by %.*s\n" : "needs %.*s\n", (int)(by ? names.len : needs.len),
		       by ? names.ptr : needs.ptr);
		return;
	}
	zg_buf_fmt(&json, "{\"way\":\"%s\",\"text\":", ways[i].name);
	zg_buf_json(&json, zg_slice_str(ways[i].text));
	zg_buf_fmt(&json, ",\"closed\":%s,\"by\":[%.*s],\"needs\":", by ? "true" : "false",
		   (int)names.len, names.len ? names.ptr : "");
	zg_buf_json(&json, zg_buf_slice(&needs));
	printf("%.*s}\n", (int)json.len, json.ptr);
}

int zg_verb_doctor(struct zg_cli *cli, int argc, char **argv)
{
	uint32_t layers = 1u << ZG_L_NONE;
	bool machine;
	int rc;

	(void)argv;
	if (argc != 1) {
		fputs("usage: zerogate [--json] doctor\n", stderr);
		return ZG_EXIT_USAGE;
	}
	machine = check_machine(cli);
	(void)fflush(stdout);
	rc = check_agent(cli, &layers);
	if (layers == 1u << ZG_L_NONE)
		return rc;
	if (!cli->json)
		puts("\nWays around a gate, and what closes them here:");
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
		way(cli, i, layers);
	return machine ? rc : ZG_EXIT_NO;
}
