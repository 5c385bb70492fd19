/* SPDX-License-Identifier: Apache-2.0 */
/*
 * executable.c - see executable.h. Trust: the process may be hostile and ends,
 * executes and mounts as it likes; what is opened once is all that is looked
 * at. Never executes, maps or interprets what it reads.
 */
#include "executable.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/queue.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "kernel_exec.h"
#include "slice.h"

#define PIECE	    1048576 /* hashed in one turn of the loop: about a millisecond */
#define STAT_FIELD  22	    /* of /proc/PID/stat: when it started, in clock ticks */
#define STAT_BYTES  1024    /* 52 numbers and a name of 64 bytes at most */
#define MAJOR_SHIFT 20	    /* of the kernel's own device numbers */
#define NS_PER_SEC  UINT64_C(1000000000)

/* A file as it was hashed; any change of it shows in one of these. */
struct version {
	dev_t dev;
	ino_t ino;
	struct timespec changed;
	off_t size;
};

struct known {
	struct version of;
	uint64_t used; /* 0 = free */
	uint8_t sha256[32];
};

struct job {
	TAILQ_ENTRY(job) link;
	uint32_t worker;
	int fd;
	struct version of;
	struct zg_msg_exe_answer answer;
};
TAILQ_HEAD(jobs, job);

struct zg_executables {
	zg_executable_fn *fn;
	void *arg;
	struct event *turn;
	struct jobs jobs; /* the first is being hashed */
	size_t count;
	EVP_MD_CTX *hash;
	off_t hashed; /* of the first; -1 = not begun */
	uint64_t uses;
	struct known known[ZG_EXECUTABLES_KNOWN];
};

/* the process ------------------------------------------------------------------- */

/* The name stands in brackets and may hold anything: the last one ends it. */
static int start_ticks(int proc, uint64_t *out)
{
	zg_autofd int fd = openat(proc, "stat", O_RDONLY | O_CLOEXEC);
	char text[STAT_BYTES];
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	const char *at;
	char *end;

	if (n <= 0)
		return -ESRCH;
	text[n] = '\0';
	at = strrchr(text, ')');
	for (int field = 2; at && field < STAT_FIELD; field++)
		at = strchr(at + 1, ' ');
	if (!at)
		return -EPROTO;
	end = strchrnul(at + 1, ' ');
	return zg_slice_u64((struct zg_slice){at + 1, (size_t)(end - at - 1)}, UINT64_MAX, out);
}

/* Its folder in /proc, which stays that process's. */
static int open_process(const struct zg_msg_exe_query *q)
{
	uint64_t hz = (uint64_t)sysconf(_SC_CLK_TCK), ticks;
	char path[32];
	int fd;

	(void)snprintf(path, sizeof(path), "/proc/%u", q->pid);
	fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -ESRCH;
	if (start_ticks(fd, &ticks) < 0 || ticks != q->start_ns / (NS_PER_SEC / hz)) {
		(void)close(fd);
		return -ESRCH;
	}
	return fd;
}

/* Is it what the kernel said of it? A file system may show people another device
 * than its own. */
static bool is_attested(const struct zg_msg_exe_query *q, int proc, int fd, const struct stat *st)
{
	uint32_t dev = major(st->st_dev) << MAJOR_SHIFT | minor(st->st_dev);
	struct statx stx;

	if (!q->exe_ino || q->exe_ino != st->st_ino)
		return false;
	return q->exe_dev == dev ||
	       (statx(fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &stx) == 0 &&
		zg_exec_device(proc, stx.stx_mnt_id, &dev) == 0 && q->exe_dev == dev);
}

/* Where a name begins for everybody: a unit may hide folders from us. */
static int open_root(void)
{
	int fd = open("/proc/1/root", O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct stat st;

	if (fd >= 0 && fstatat(fd, "proc", &st, 0) == 0)
		return fd;
	if (fd >= 0)
		(void)close(fd);
	return open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
}

/* "" unless the name leads everybody to this file. */
static void name_of(int proc, const struct stat *st, char path[ZG_PATH_LEN])
{
	zg_autofd int root = open_root();
	ssize_t n = readlinkat(proc, "exe", path, ZG_PATH_LEN - 1);
	struct stat there;

	path[n > 0 ? n : 0] = '\0';
	if (n <= 1 || n == ZG_PATH_LEN - 1 || path[0] != '/' || root < 0 ||
	    fstatat(root, path + 1, &there, AT_NO_AUTOMOUNT) < 0 || there.st_dev != st->st_dev ||
	    there.st_ino != st->st_ino)
		path[0] = '\0';
}

static int open_executable(const struct zg_msg_exe_query *q, struct stat *st,
			   char path[ZG_PATH_LEN])
{
	zg_autofd int proc = open_process(q);
	zg_autofd int fd = -1;

	path[0] = '\0';
	if (proc < 0)
		return proc;
	fd = openat(proc, "exe", O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0 || fstat(fd, st) < 0)
		return -errno;
	if (!S_ISREG(st->st_mode) || !is_attested(q, proc, fd, st))
		return -ESRCH;
	name_of(proc, st, path);
	return zg_take_fd(&fd);
}

int zg_executable_path(const struct zg_msg_exe_query *q, char path[ZG_PATH_LEN])
{
	struct stat st;
	zg_autofd int fd = open_executable(q, &st, path);

	return fd < 0 ? fd : 0;
}

/* the digest --------------------------------------------------------------------- */

static struct version version_of(const struct stat *st)
{
	return (struct version){st->st_dev, st->st_ino, st->st_ctim, st->st_size};
}

static bool same(const struct version *a, const struct version *b)
{
	return a->dev == b->dev && a->ino == b->ino && a->size == b->size &&
	       a->changed.tv_sec == b->changed.tv_sec && a->changed.tv_nsec == b->changed.tv_nsec;
}

static const struct known *find(struct zg_executables *x, const struct version *of)
{
	for (size_t i = 0; i < ZG_EXECUTABLES_KNOWN; i++) {
		if (!x->known[i].used || !same(&x->known[i].of, of))
			continue;
		x->known[i].used = ++x->uses;
		return &x->known[i];
	}
	return NULL;
}

static void keep(struct zg_executables *x, const struct version *of, const uint8_t sha256[32])
{
	struct known *oldest = &x->known[0];

	for (size_t i = 1; i < ZG_EXECUTABLES_KNOWN; i++)
		if (x->known[i].used < oldest->used)
			oldest = &x->known[i];
	*oldest = (struct known){.of = *of, .used = ++x->uses};
	memcpy(oldest->sha256, sha256, 32);
}

static void finish(struct zg_executables *x, struct job *j, const uint8_t *sha256)
{
	if (sha256) {
		memcpy(j->answer.sha256, sha256, 32);
		j->answer.hashed = 1;
	}
	x->fn(x->arg, j->worker, &j->answer);
	TAILQ_REMOVE(&x->jobs, j, link);
	x->count--;
	x->hashed = -1;
	(void)close(j->fd);
	free(j);
}

/* One more piece of the first; 1 when it is hashed, -errno. */
static int hash_piece(struct zg_executables *x, const struct job *j, uint8_t sha256[32])
{
	static char piece[PIECE]; /* of one loop */
	struct stat st;
	struct version now;
	ssize_t n;

	if (x->hashed < 0) {
		if (EVP_DigestInit_ex(x->hash, EVP_sha256(), NULL) != 1)
			return -ENOMEM;
		x->hashed = 0;
	}
	n = pread(j->fd, piece, sizeof(piece), x->hashed);
	if (n < 0)
		return -errno;
	if (n > 0) {
		x->hashed += n;
		if (x->hashed > j->of.size)
			return -ESTALE;
		return EVP_DigestUpdate(x->hash, piece, (size_t)n) == 1 ? 0 : -ENOMEM;
	}
	/* as it was opened, and not half of the one and half of the other */
	if (fstat(j->fd, &st) < 0)
		return -errno;
	now = version_of(&st);
	if (x->hashed != j->of.size || !same(&now, &j->of))
		return -ESTALE;
	return EVP_DigestFinal_ex(x->hash, sha256, NULL) == 1 ? 1 : -ENOMEM;
}

static void on_turn(evutil_socket_t fd, short what, void *arg)
{
	static const struct timeval at_once = {0};
	struct zg_executables *x = arg;
	struct job *j = TAILQ_FIRST(&x->jobs);
	const struct known *k = j ? find(x, &j->of) : NULL;
	uint8_t sha256[32];
	int rc = 0;

	(void)fd;
	(void)what;
	if (k) { /* who asked before has hashed it */
		finish(x, j, k->sha256);
	} else if (j) {
		rc = hash_piece(x, j, sha256);
		if (rc == 1)
			keep(x, &j->of, sha256);
		if (rc)
			finish(x, j, rc == 1 ? sha256 : NULL);
	}
	if (TAILQ_FIRST(&x->jobs) && event_add(x->turn, &at_once) < 0)
		while ((j = TAILQ_FIRST(&x->jobs)))
			finish(x, j, NULL);
}

/* ---------------------------------------------------------------------------------- */

static void later(struct zg_executables *x, uint32_t worker, int fd, const struct version *of,
		  const struct zg_msg_exe_answer *a)
{
	static const struct timeval at_once = {0};
	struct job *j = x->count < ZG_EXECUTABLES_ASKED ? calloc(1, sizeof(*j)) : NULL;

	if (!j || of->size > ZG_EXECUTABLE_BYTES || event_add(x->turn, &at_once) < 0) {
		free(j);
		(void)close(fd);
		x->fn(x->arg, worker, a); /* by its path alone */
		return;
	}
	*j = (struct job){.worker = worker, .fd = fd, .of = *of, .answer = *a};
	TAILQ_INSERT_TAIL(&x->jobs, j, link);
	x->count++;
}

void zg_executables_ask(struct zg_executables *x, uint32_t worker, const struct zg_msg_exe_query *q)
{
	struct zg_msg_exe_answer a = {.of = *q};
	const struct known *k;
	struct version of;
	struct stat st;
	int fd = open_executable(q, &st, a.path);

	if (fd < 0) {
		x->fn(x->arg, worker, &a);
		return;
	}
	of = version_of(&st);
	k = find(x, &of);
	if (!k) {
		later(x, worker, fd, &of, &a);
		return;
	}
	(void)close(fd);
	memcpy(a.sha256, k->sha256, sizeof(a.sha256));
	a.hashed = 1;
	x->fn(x->arg, worker, &a);
}

int zg_executables_new(struct zg_executables **out, struct event_base *loop, zg_executable_fn *fn,
		       void *arg)
{
	struct zg_executables *x = calloc(1, sizeof(*x));

	if (!x)
		return -ENOMEM;
	*x = (struct zg_executables){.fn = fn, .arg = arg, .hashed = -1};
	TAILQ_INIT(&x->jobs);
	x->turn = event_new(loop, -1, 0, on_turn, x);
	x->hash = EVP_MD_CTX_new();
	if (!x->turn || !x->hash) {
		zg_executables_free(x);
		return -ENOMEM;
	}
	*out = x;
	return 0;
}

void zg_executables_free(struct zg_executables *x)
{
	struct job *j;

	if (!x)
		return;
	while ((j = TAILQ_FIRST(&x->jobs))) {
		TAILQ_REMOVE(&x->jobs, j, link);
		(void)close(j->fd);
		free(j);
	}
	if (x->turn)
		event_free(x->turn);
	EVP_MD_CTX_free(x->hash);
	free(x);
}
