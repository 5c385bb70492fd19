/* SPDX-License-Identifier: Apache-2.0 */
/*
 * doctor.c - `zerogate doctor`: what this kernel and this setup enforce, one
 * line a check. Exit 1 when enforcement is not full. Trust: as any user; only
 * looks, changes nothing.
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

static void line(const struct zg_cli *cli, bool good, enum weight weight, const char *name,
		 const char *detail, const char *remedy)
{
	zg_autobuf json = ZG_BUF(4096);

	if (cli->json) {
		zg_buf_str(&json, "{\"check\":");
		zg_buf_json(&json, zg_slice_str(name));
		zg_buf_fmt(&json, ",\"good\":%s,\"needed\":%s,\"detail\":", good ? "true" : "false",
			   weight == NEEDED ? "true" : "false");
		zg_buf_json(&json, zg_slice_str(good || !remedy ? detail : remedy));
		printf("%.*s}\n", (int)json.len, json.ptr);
		return;
	}
	printf("%-7s %-20s ", good ? "ok" : weight == NEEDED ? "MISSING" : "absent", name);
	zg_print_safe(stdout, good || !remedy ? detail : remedy);
	putchar('\n');
}

int zg_verb_doctor(struct zg_cli *cli, int argc, char **argv)
{
	struct zg_msg_ctl_status s;
	bool good = true, full;
	int rc;

	(void)argv;
	if (argc != 1) {
		fputs("usage: zerogate [--json] doctor\n", stderr);
		return ZG_EXIT_USAGE;
	}
	for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]); i++) {
		const struct check *c = &checks[i];
		char detail[160] = "";
		bool holds = c->holds(detail, sizeof(detail));

		line(cli, holds, c->weight, c->name, detail, c->remedy);
		good = good && (holds || c->weight == OPTIONAL);
	}
	(void)fflush(stdout);
	rc = zg_cli_status(cli, &s);
	full = rc == 0 && zg_cli_enforces(&s);
	line(cli, rc == 0, NEEDED, "agent", "answers", "see above");
	line(cli, full, NEEDED, "enforcement", rc == 0 ? s.enforcement : "none that can be asked",
	     NULL);
	if (rc == 0)
		line(cli, s.ledger_ready, NEEDED, "ledger", "ready",
		     "restarting: calls are refused");
	return good && full && s.ledger_ready ? ZG_EXIT_OK : ZG_EXIT_NO;
}
