/* SPDX-License-Identifier: Apache-2.0 */
/*
 * init.c - `zerogate init`: finds client configurations, shows which of their
 * servers are registered and what they would become; --apply rewrites them
 * beside a backup, --undo puts the latest backup back. Trust: runs as the user
 * whose files these are. As root, in somebody else's home, no symbolic link is
 * followed. What is not plain JSON is left alone.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/openat2.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>

#include "cli.h"
#include "init_entry.h"
#include "load.h"
#include "policy.h"

#define DEFAULT_CONFIG "/etc/zerogate/zerogate.yaml"
#define BACKUP	       ".zerogate-backup-"
#define FILES_MAX      64

static const char *const in_home[] = {
	".claude.json",
	".config/Claude/claude_desktop_config.json",
	".cursor/mcp.json",
	".vscode/mcp.json",
	".config/Code/User/mcp.json",
	".config/Code/User/settings.json",
	".mcp.json",
};
static const char *const here[] = {"mcp.json", ".mcp.json", ".cursor/mcp.json", ".vscode/mcp.json"};

struct options {
	bool apply, undo;
	const char *config;
	const char *file[FILES_MAX];
	size_t files;
};

struct target {
	int dir;	/* its folder */
	char base[256]; /* its name there */
	const char *shown;
};

/* files ---------------------------------------------------------------------------- */

/* The folder of a path and the name in it. Others than root may have links of their
 * own in the way: then the file behind them is meant. */
static int open_target(const char *path, struct target *t)
{
	const bool root = geteuid() == 0;
	struct open_how how = {.flags = O_DIRECTORY | O_RDONLY | O_CLOEXEC,
			       .resolve = root ? RESOLVE_NO_SYMLINKS : 0};
	zg_autofree char *full = root ? strdup(path) : realpath(path, NULL);
	char *slash = full ? strrchr(full, '/') : NULL;

	*t = (struct target){.dir = -1, .shown = path};
	if (!full)
		return -errno;
	if (!zg_str_cut(t->base, sizeof(t->base), zg_slice_str(slash ? slash + 1 : full)))
		return -ENAMETOOLONG;
	if (slash)
		*(slash == full ? slash + 1 : slash) = '\0';
	t->dir = (int)syscall(SYS_openat2, AT_FDCWD, slash ? full : ".", &how, sizeof(how));
	return t->dir < 0 ? -errno : 0;
}

static int read_file(const struct target *t, const char *name, struct zg_buf *out, struct stat *st)
{
	zg_autofd int fd =
		openat(t->dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd < 0 || fstat(fd, st) < 0)
		return -errno;
	return S_ISREG(st->st_mode) ? zg_buf_read(out, fd) : -EINVAL;
}

/* Whole or not at all, with the owner and mode of what it takes the place of. */
static int write_file(const struct target *t, const char *name, struct zg_slice text,
		      const struct stat *like)
{
	char temp[300];
	zg_autofd int fd = -1;
	int rc = 0;

	(void)snprintf(temp, sizeof(temp), ".%.200s.%d.tmp", t->base, (int)getpid());
	fd = openat(t->dir, temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	while (text.len && rc == 0) {
		ssize_t n = write(fd, text.ptr, text.len);

		rc = n < 0 ? -errno : 0;
		text.ptr += n > 0 ? n : 0;
		text.len -= n > 0 ? (size_t)n : 0;
	}
	if (rc == 0 && ((geteuid() == 0 && fchown(fd, like->st_uid, like->st_gid) < 0) ||
			fchmod(fd, like->st_mode & 0777) < 0 || fsync(fd) < 0 ||
			renameat(t->dir, temp, t->dir, name) < 0))
		rc = -errno;
	if (rc < 0)
		(void)unlinkat(t->dir, temp, 0);
	return rc;
}

static int complain(const char *what, const struct target *t, int rc)
{
	fprintf(stderr, "zerogate: cannot %s ", what);
	zg_print_safe(stderr, t->shown);
	fprintf(stderr, ": %s\n",
		rc == -ELOOP ? "a symbolic link stands in the way" : strerror(-rc));
	return ZG_EXIT_NO;
}

/* one file ---------------------------------------------------------------------------- */

static int apply(const struct target *t, struct zg_slice old, json_t *root, const struct stat *st)
{
	char name[300], stamp[32];
	zg_autofree char *text = json_dumps(root, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
	zg_autofree char *whole = NULL;
	time_t now = time(NULL);
	struct tm tm;
	int rc;

	if (!text || asprintf(&whole, "%s\n", text) < 0 || !gmtime_r(&now, &tm) ||
	    !strftime(stamp, sizeof(stamp), "%Y%m%dT%H%M%SZ", &tm))
		return complain("rewrite", t, -ENOMEM);
	(void)snprintf(name, sizeof(name), "%.250s" BACKUP "%s", t->base, stamp);
	rc = write_file(t, name, old, st);
	if (rc < 0)
		return complain("keep a backup of", t, rc);
	rc = write_file(t, t->base, zg_slice_str(whole), st);
	if (rc < 0)
		return complain("rewrite", t, rc);
	printf("  rewritten; the former text is %s\n", name);
	return ZG_EXIT_OK;
}

static int look(struct zg_init *in, const struct target *t, bool change)
{
	zg_autobuf text = ZG_BUF(ZG_CONFIG_FILE_BYTES);
	json_error_t error;
	struct stat st;
	json_t *root;
	int rc = read_file(t, t->base, &text, &st), status = ZG_EXIT_OK;

	if (rc < 0)
		return complain("read", t, rc);
	root = json_loadb(text.ptr, text.len, JSON_REJECT_DUPLICATES, &error);
	if (!root) {
		zg_print_safe(stderr, t->shown);
		fprintf(stderr, ":%d:%d: not plain JSON, left alone: ", error.line, error.column);
		zg_print_safe(stderr, error.text);
		fputs(" (comments and trailing commas would be lost: change it by hand)\n", stderr);
		return ZG_EXIT_NO;
	}
	zg_print_safe(stdout, t->shown);
	putchar('\n');
	in->changes = 0;
	zg_init_walk(in, root);
	if (in->error)
		status = ZG_EXIT_NO;
	else if (change && in->changes)
		status = apply(t, zg_buf_slice(&text), root, &st);
	else if (!in->changes)
		printf("  nothing to change\n");
	json_decref(root);
	return status;
}

/* The latest of its backups takes its place again. */
static int undo(const struct target *t)
{
	char latest[300] = "", prefix[300];
	int fd = openat(t->dir, ".", O_DIRECTORY | O_RDONLY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *de;

	if (!dir) {
		zg_close_(&fd);
		return complain("look for a backup of", t, -errno);
	}
	(void)snprintf(prefix, sizeof(prefix), "%.250s" BACKUP, t->base);
	while ((de = readdir(dir)))
		if (strncmp(de->d_name, prefix, strlen(prefix)) == 0 &&
		    strcmp(de->d_name, latest) > 0)
			(void)zg_str_cut(latest, sizeof(latest), zg_slice_str(de->d_name));
	(void)closedir(dir);
	zg_print_safe(stdout, t->shown);
	if (!latest[0]) {
		fputs(": no backup\n", stdout);
		return ZG_EXIT_OK;
	}
	if (renameat(t->dir, latest, t->dir, t->base) < 0)
		return complain("restore", t, -errno);
	printf(": restored from %s\n", latest);
	return ZG_EXIT_OK;
}

/* all files -------------------------------------------------------------------------------- */

static int one_path(struct zg_init *in, const struct options *o, const char *path)
{
	struct target t;
	int rc = open_target(path, &t), status;

	if (rc < 0)
		return complain("open", &t, rc);
	status = o->undo ? undo(&t) : look(in, &t, o->apply);
	(void)close(t.dir);
	return status;
}

static int each(struct zg_init *in, const struct options *o, const char *folder,
		const char *const *names, size_t count)
{
	int status = ZG_EXIT_OK;

	for (size_t i = 0; i < count; i++) {
		zg_autofree char *path = NULL;
		struct stat st;
		int one;

		if (asprintf(&path, "%s/%s", folder, names[i]) < 0)
			return ZG_EXIT_NO;
		if (lstat(path, &st) < 0)
			continue; /* most clients are not installed */
		one = one_path(in, o, path);
		status = one > status ? one : status;
	}
	return status;
}

static int run(struct zg_init *in, const struct options *o)
{
	const char *home = getenv("HOME");
	zg_autofree char *cwd = getcwd(NULL, 0);
	int status = ZG_EXIT_OK, one;

	for (size_t i = 0; i < o->files; i++) {
		one = one_path(in, o, o->file[i]);
		status = one > status ? one : status;
	}
	if (o->files)
		return status;
	if (home && home[0] == '/')
		status = each(in, o, home, in_home, sizeof(in_home) / sizeof(in_home[0]));
	if (cwd && (!home || strcmp(cwd, home) != 0)) {
		one = each(in, o, cwd, here, sizeof(here) / sizeof(here[0]));
		status = one > status ? one : status;
	}
	return status;
}

static void visit(const char *path, zg_init_file_fn *fn, void *arg)
{
	zg_autobuf text = ZG_BUF(ZG_CONFIG_FILE_BYTES);
	struct target t;
	struct stat st;
	json_t *root = NULL;
	int rc = open_target(path, &t);

	if (rc == 0)
		rc = read_file(&t, t.base, &text, &st);
	if (rc == 0)
		root = json_loadb(text.ptr, text.len, JSON_REJECT_DUPLICATES, NULL);
	if (root)
		fn(arg, path, root);
	else
		(void)complain("read", &t, rc < 0 ? rc : -EINVAL);
	json_decref(root);
	zg_close_(&t.dir);
}

static void visit_folder(const char *folder, const char *const *names, size_t count,
			 zg_init_file_fn *fn, void *arg)
{
	for (size_t i = 0; i < count; i++) {
		zg_autofree char *path = NULL;
		struct stat st;

		if (asprintf(&path, "%s/%s", folder, names[i]) >= 0 && lstat(path, &st) == 0)
			visit(path, fn, arg);
	}
}

void zg_init_files(const char *const *file, size_t count, zg_init_file_fn *fn, void *arg)
{
	const char *home = getenv("HOME");
	zg_autofree char *cwd = getcwd(NULL, 0);

	for (size_t i = 0; i < count; i++)
		visit(file[i], fn, arg);
	if (count)
		return;
	if (home && home[0] == '/')
		visit_folder(home, in_home, sizeof(in_home) / sizeof(in_home[0]), fn, arg);
	if (cwd && (!home || strcmp(cwd, home) != 0))
		visit_folder(cwd, here, sizeof(here) / sizeof(here[0]), fn, arg);
}

/* The registry, as the agent would have it. */
static int open_registry(const char *config, struct zg_snapshot *s)
{
	struct zg_diag diag = {0};
	struct zg_loaded l;
	zg_autofd int fd = -1;
	struct zg_err e = {0};
	int rc = zg_load(&l, config, &diag);

	if (rc < 0)
		zg_policy_print_diag(stderr, &diag);
	zg_diag_release(&diag);
	if (rc < 0)
		return rc;
	fd = memfd_create("registry", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0 || write(fd, l.snapshot.ptr, l.snapshot.len) != (ssize_t)l.snapshot.len ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) < 0)
		rc = -EIO;
	if (rc == 0)
		rc = zg_snapshot_open(s, fd, &e);
	zg_loaded_release(&l);
	if (rc < 0)
		fprintf(stderr, "zerogate: cannot read the registry: %s\n",
			e.what[0] ? e.what : strerror(-rc));
	return rc;
}

static int usage(void)
{
	fputs("usage: zerogate init [--config FILE] [--file FILE]... [--write-registry FOLDER]\n"
	      "                     [--apply | --undo]\n",
	      stderr);
	return ZG_EXIT_USAGE;
}

int zg_verb_init(struct zg_cli *cli, int argc, char **argv)
{
	static const struct option known[] = {{"config", required_argument, NULL, 'c'},
					      {"file", required_argument, NULL, 'f'},
					      {"write-registry", required_argument, NULL, 'w'},
					      {"apply", no_argument, NULL, 'a'},
					      {"undo", no_argument, NULL, 'u'},
					      {NULL, 0, NULL, 0}};
	struct options o = {.config = DEFAULT_CONFIG};
	struct zg_init in = {0};
	struct zg_snapshot s = {0};
	char self[ZG_PATH_LEN] = "";
	int c, status;

	(void)cli;
	while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
		if (c == 'c')
			o.config = optarg;
		else if (c == 'f' && o.files < FILES_MAX)
			o.file[o.files++] = optarg;
		else if (c == 'w')
			in.entries = optarg;
		else if (c == 'a')
			o.apply = true;
		else if (c == 'u')
			o.undo = true;
		else
			return usage();
	}
	if (optind != argc || (o.apply && o.undo))
		return usage();
	if (readlink("/proc/self/exe", self, sizeof(self) - 1) < 0)
		return ZG_EXIT_NO;
	if (!o.undo && open_registry(o.config, &s) < 0)
		return ZG_EXIT_USAGE;
	in.snap = &s;
	in.zerogate = self;
	status = run(&in, &o);
	if (!o.undo && !o.apply && status == ZG_EXIT_OK)
		puts("Nothing was changed; --apply does it, with backups.");
	zg_snapshot_close(&s);
	return status;
}
