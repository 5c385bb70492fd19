/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bypass.c - make every attempt, once free and once governed, and say what
 * became of it. A row ends in one of:
 *
 *   stopped       free it arrived, governed it did not, and the kernel's own
 *                 record names a layer that include/tbl/bypass.h names
 *   not enforced  it arrived: none of the layers that could stop it is there
 *   ARRIVED       it arrived although such a layer is there: a hole
 *   broken        it proves nothing, or the table is wrong
 *   not possible  this kernel cannot do it at all
 *
 *   bypass [ID...]             these only
 *   bypass --only LAYER,...    those that nothing but these layers stops
 *   bypass --table             the techniques as SECURITY.md has them
 */
#include "bypass.h"

#include <bpf/libbpf.h>
#include <sys/utsname.h>

#define ATTEMPT_SEC 60	 /* a child that hangs is ended */
#define PATIENCE_MS 300	 /* of an attempt, the first time */
#define PATIENCES   5	 /* times that it is made if it proves nothing, each with four times that */
#define CONTROL_MS  3	 /* of patience for what must arrive, for each of the attempt's own */
#define REMOVED_MS  1500 /* while what was refused is sent again */
#define GOVERNED_MS 25	 /* for what may not: loopback delivers at once */

static const struct attempt_list *const attempt_lists[] = {
	&dial_attempts,	  &datagram_attempts,  &uring_attempts,	  &fd_attempts,
	&unix_attempts,	  &namespace_attempts, &socket_attempts,  &option_attempts,
	&listen_attempts, &shadow_attempts,    &outside_attempts, &tamper_attempts,
	&grant_attempts,
};
#define LISTS (sizeof(attempt_lists) / sizeof(attempt_lists[0]))

static const struct {
	const char *name, *text;
	uint32_t layers;
} techniques[] = {
#define X(name, text, layers) [T_##name] = {#name, text, layers},
#include "tbl/bypass.h"
#undef X
};

static const char *const reasons[] = {
#define X(name, text) [ZG_GR_##name] = text,
#include "tbl/gate_reason.h"
#undef X
};

/* one attempt ------------------------------------------------------------------------ */

struct outcome {
	uint32_t layers; /* that can stop it */
	bool arrived;
	int error; /* errno of the attempt, or 128 + signal */
	bool told; /* the kernel recorded what it refused */
	uint8_t layer, reason, kind;
};

/* What stopped it is the first record of a layer that can, or else the first. */
static int note_event(const struct zg_event *ev, void *arg)
{
	struct outcome *o = arg;
	bool can = o->layers & (1U << ev->layer);

	if (o->told && (!can || o->layers & (1U << o->layer)))
		return 0;
	o->told = true;
	o->layer = ev->layer;
	o->reason = ev->reason;
	o->kind = ev->kind;
	return 0;
}

static void take_events(const struct stage *st, struct outcome *o)
{
	assert_true(zg_kernel_consume(st->lab->kernel, note_event, o) >= 0);
}

static void move_to(const struct lab *lab, pid_t pid, const char *below)
{
	char path[64], text[16];
	struct lab_path p;
	zg_autofd int fd = -1;

	(void)snprintf(path, sizeof(path), "%s/cgroup.procs", below);
	p = lab_path(lab, path);
	fd = open(p.text, O_WRONLY | O_CLOEXEC);
	(void)snprintf(text, sizeof(text), "%d", (int)pid);
	assert_true(fd >= 0 && write(fd, text, strlen(text)) > 0);
}

static pid_t start_outside(struct stage *st, const struct attempt *a)
{
	int ready[2];
	char byte;
	pid_t pid;

	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		(void)alarm(ATTEMPT_SEC);
		st->ready = ready[1];
		lab_join(st->lab, "outside");
		lab_drop();
		_exit(a->outside(st));
	}
	(void)close(ready[1]);
	/* it ends without being ready where it is not possible: seen by the control */
	(void)!read(ready[0], &byte, 1);
	(void)close(ready[0]);
	return pid;
}

/* The child waits on the pipe between before() and run(), while it is governed. */
static pid_t start_attempt(struct stage *st, const struct attempt *a, const char *cgroup,
			   const int go[2], const int done[2])
{
	pid_t pid = fork();
	char byte;
	int r;

	assert_true(pid >= 0);
	if (pid > 0)
		return pid;
	(void)alarm(ATTEMPT_SEC);
	(void)close(go[1]);
	(void)close(done[0]);
	lab_join(st->lab, cgroup);
	if (!a->root)
		lab_drop();
	r = a->before ? a->before(st) : 0;
	if (r)
		_exit(r);
	if (write(done[1], "b", 1) != 1 || read(go[0], &byte, 1) != 1)
		_exit(EPIPE);
	_exit(a->run(st));
}

static int status_of(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) != pid)
		return ECHILD;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

struct cgroup_name {
	char text[32];
};

/*
 * One for each attempt, so that no record is left out because the same was told
 * a moment ago. That of an older connection stays governed for ever: what was
 * refused may be sent again long after its process.
 */
static struct cgroup_name new_cgroup(const struct stage *st, const char *prefix)
{
	static unsigned int count;
	struct cgroup_name name;

	(void)snprintf(name.text, sizeof(name.text), "%.16s%u", prefix, count++);
	(void)lab_cgroup(st->lab, name.text);
	return name;
}

static void govern(struct stage *st, const struct attempt *a, pid_t pid, const char *cgroup)
{
	if (a->later)
		lab_govern(st->lab, cgroup, P_A);
	else
		move_to(st->lab, st->told->governed ? st->told->governed : pid,
			new_cgroup(st, IN_AGENT "/").text);
}

static struct outcome make(struct stage *st, const struct attempt *a, bool governed)
{
	struct cgroup_name cgroup = new_cgroup(st, "free-"), loose;
	struct outcome o = {.layers = techniques[a->technique].layers}, before = {0};
	int go[2], done[2];
	char byte;
	pid_t pid;

	*st->told = (struct told){.run = (uint8_t)(st->told->run + 1)};
	loose = new_cgroup(st, "loose-");
	stage_delegate(st, loose.text);
	memcpy(st->told->loose, loose.text, sizeof(loose.text));
	receive_forget(st);
	(void)lab_cgroup(st->lab, "outside");
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, st->link), 0);
	assert_int_equal(pipe2(go, O_CLOEXEC), 0);
	assert_int_equal(pipe2(done, O_CLOEXEC), 0);
	if (a->outside)
		(void)start_outside(st, a);
	pid = start_attempt(st, a, cgroup.text, go, done);
	(void)close(done[1]);
	(void)close(go[0]);
	if (read(done[0], &byte, 1) == 1) {
		receive_settle(st);
		take_events(st, &before);
		if (governed)
			govern(st, a, pid, cgroup.text);
		assert_int_equal(write(go[1], "g", 1), 1);
	}
	o.error = status_of(pid);
	if (a->removed)
		assert_int_equal(rmdir(lab_path(st->lab, cgroup.text).text), 0);
	o.arrived = receive_arrived(st, a->inbound,
				    !governed	 ? CONTROL_MS * patience_ms
				    : a->removed ? REMOVED_MS
						 : GOVERNED_MS);
	take_events(st, &o);
	(void)close(go[1]);
	(void)close(done[0]);
	(void)close(st->link[0]);
	(void)close(st->link[1]);
	lab_kill(st->lab);
	return o;
}

/* what it means --------------------------------------------------------------------- */

enum result { STOPPED, NOT_ENFORCED, NOT_POSSIBLE, ARRIVED, BROKEN, RESULTS };

static const char *const result_text[] = {
	[STOPPED] = "stopped",
	[NOT_ENFORCED] = "not enforced",
	[NOT_POSSIBLE] = "not possible",
	[ARRIVED] = "ARRIVED",
	[BROKEN] = "BROKEN",
};

/* On which kernels; enforced by any one of its layers. */
static const char *kernels_of(uint32_t layers)
{
	const uint32_t newer = ZG_BY(UNIX) | ZG_BY(LSM);

	if (!layers)
		return "none: root is trusted";
	if (layers & ~newer)
		return "all";
	return layers & ZG_BY(UNIX) ? "6.7, or BPF LSM" : "BPF LSM";
}

static enum result judge(const struct attempt *a, uint32_t present, const struct outcome *free_,
			 const struct outcome *o, char *why, size_t bytes)
{
	uint32_t layers = o->layers;

	if (!free_->arrived) {
		(void)snprintf(why, bytes, "ungoverned, it ends with: %s",
			       free_->error ? strerror(free_->error) : "nothing arrived");
		return a->optional ? NOT_POSSIBLE : BROKEN;
	}
	if (o->arrived) {
		if (layers & present)
			(void)snprintf(why, bytes, "past the layers that are there");
		else if (layers & ~ZG_BY(NONE))
			(void)snprintf(why, bytes, "needs %s", kernels_of(layers));
		else
			(void)snprintf(why, bytes,
				       layers ? "left to the agent" : "root is trusted");
		return layers & present ? ARRIVED : NOT_ENFORCED;
	}
	if (!o->told) {
		(void)snprintf(why, bytes, "nothing was recorded; it ended with: %s",
			       o->error < 128 ? strerror(o->error) : "a signal");
		return BROKEN;
	}
	(void)snprintf(why, bytes, "%s: %s", layer_names[o->layer],
		       o->kind == ZG_E_REDIRECT ? "redirected to the gateway" : reasons[o->reason]);
	return layers & (1U << o->layer) ? STOPPED : BROKEN;
}

static enum result try_once(struct stage *st, const struct attempt *a, uint32_t present, char *why,
			    size_t bytes)
{
	struct outcome free_, governed = {0};

	free_ = make(st, a, false);
	if (a->tampers)
		stage_repair(st);
	if (free_.arrived)
		governed = make(st, a, true);
	if (a->tampers)
		stage_repair(st);
	return judge(a, present, &free_, &governed, why, bytes);
}

/* On a busy machine an attempt may run out of patience before anything could happen. */
static enum result try(struct stage *st, const struct attempt *a, uint32_t present)
{
	enum result r = BROKEN;
	char why[160];

	patience_ms = PATIENCE_MS;
	for (unsigned int i = 0; i < PATIENCES && r == BROKEN; i++, patience_ms *= 4)
		r = try_once(st, a, present, why, sizeof(why));
	(void)printf("%-20s %-12s  %-62s  %s\n", a->id, result_text[r], why, a->what);
	(void)fflush(stdout);
	return r;
}

/* the whole ----------------------------------------------------------------------------- */

struct choice {
	uint32_t layers; /* nothing but these may stop it; 0: whatever does */
	char **ids;	 /* NULL at the end; none: all */
};

static bool wanted(const struct choice *c, const struct attempt *a)
{
	uint32_t by = techniques[a->technique].layers;

	if (c->layers)
		return by && !(by & ~c->layers);
	for (char **id = c->ids; *id; id++)
		if (strcmp(a->id, *id) == 0)
			return true;
	return !*c->ids;
}

/* "lsm,unix" as bits; 0: there is no such layer. */
static uint32_t layers_of(char *list)
{
	uint32_t layers = 0;

	for (char *rest, *name = strtok_r(list, ",", &rest); name;
	     name = strtok_r(NULL, ",", &rest)) {
		unsigned int i = 1;

		while (i < ZG_L_MAX && strcmp(layer_names[i], name) != 0)
			i++;
		if (i == ZG_L_MAX)
			return 0;
		layers |= 1U << i;
	}
	return layers;
}

static void print_head(uint32_t layers)
{
	struct utsname u;

	(void)uname(&u);
	(void)printf("kernel %s, layers:", u.release);
	for (unsigned int i = 1; i < ZG_L_MAX; i++)
		if (layers & (1U << i))
			(void)printf(" %s", layer_names[i]);
	(void)printf("\n%-20s %-12s  %-62s  %s\n", "attempt", "result", "layer: reason", "what");
}

/* Each technique that a layer of the kernel's closes is tried. */
static unsigned int untried(void)
{
	bool tried[TECHNIQUES] = {0};
	unsigned int missing = 0;

	for (size_t i = 0; i < LISTS; i++)
		for (size_t j = 0; j < attempt_lists[i]->count; j++)
			tried[attempt_lists[i]->attempt[j].technique] = true;
	for (size_t i = 0; i < TECHNIQUES; i++) {
		if (tried[i] || techniques[i].layers & ZG_BY(NONE))
			continue;
		(void)printf("no attempt at %s: %s\n", techniques[i].name, techniques[i].text);
		missing++;
	}
	return missing;
}

static int run_all(const struct choice *choice)
{
	unsigned int count[RESULTS] = {0}, unheld = 0, failed;
	struct stage st;
	uint32_t layers;

	stage_open(&st);
	layers = stage_layers(&st);
	print_head(layers);
	for (size_t i = 0; i < LISTS; i++)
		for (size_t j = 0; j < attempt_lists[i]->count; j++) {
			const struct attempt *a = &attempt_lists[i]->attempt[j];
			enum result r;

			if (!wanted(choice, a))
				continue;
			r = try(&st, a, layers);
			count[r]++;
			unheld +=
				r == NOT_ENFORCED && techniques[a->technique].layers & ~ZG_BY(NONE);
		}
	stage_close(&st);
	failed = count[ARRIVED] + count[BROKEN] + untried();
	if (getenv("ZG_REQUIRE_LSM")) /* then each row that a layer closes must hold */
		failed += unheld;
	(void)printf(
		"bypass: %u passed, %u failed, %u not enforced by this kernel, %u not possible "
		"on it\n",
		count[STOPPED], failed, count[NOT_ENFORCED], count[NOT_POSSIBLE]);
	return failed != 0;
}

/* As SECURITY.md has it; bypass.mk compares. */
static int print_table(void)
{
	(void)printf("| technique | stopped by | kernels |\n|---|---|---|\n");
	for (size_t i = 0; i < TECHNIQUES; i++) {
		const char *comma = "";

		(void)printf("| %s | ", techniques[i].text);
		for (unsigned int l = 0; l < ZG_L_MAX; l++)
			if (techniques[i].layers & (1U << l)) {
				(void)printf("%s%s", comma, l ? layer_names[l] : "the agent");
				comma = ", ";
			}
		(void)printf("%s | %s |\n", techniques[i].layers ? "" : "nothing",
			     kernels_of(techniques[i].layers));
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct choice choice = {.ids = argv + 1};
	int possible;

	if (argc == 2 && strcmp(argv[1], "--table") == 0)
		return print_table();
	if (argc == 3 && strcmp(argv[1], "--only") == 0) {
		choice.layers = layers_of(argv[2]);
		if (!choice.layers) {
			(void)fprintf(stderr, "bypass: --only LAYER,...\n");
			return 2;
		}
	}
	possible = lab_possible();
	if (possible <= 0)
		return possible < 0;
	(void)signal(SIGPIPE, SIG_IGN);
	(void)libbpf_set_print(NULL); /* what a kernel lacks is in the table's head */
	return run_all(&choice);
}
