/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run.c - `zerogate run [--profile P] -- CMD...`: a command in a governed
 * cgroup of its own. The child asks the agent to move it, so that it is the
 * kernel that says which process is meant, then gives up what could reach
 * around the gate and executes. The parent waits, passes signals on, and says
 * what the kernel refused. Trust: runs as the calling user, no privilege.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "buf.h"
#include "cli.h"
#include "refusal.h"
#include "slice.h"

#define EXIT_NOT_EXECUTABLE 126
#define EXIT_NOT_FOUND	    127
#define TRUST_BYTES	    16777216 /* of one CA bundle that the user has set */

/* What the child tells its parent before it executes. */
struct started {
	uint64_t run;
	int error; /* exit status if it did not come so far, -1 = fine */
};

/* child ------------------------------------------------------------------------ */

static int ask(struct zg_cli *cli, const char *profile, const char *command,
	       struct zg_msg_ctl_run_started *out)
{
	struct zg_msg_ctl_run request = {0};
	const char *base = strrchr(command, '/');
	int sock = zg_ctl_connect(cli), status = ZG_EXIT_DAEMON, rc;
	bool moved = false;
	struct zg_msg m = {.fd = -1};

	if (sock < 0)
		return ZG_EXIT_DAEMON;
	if (!zg_str_cut(request.profile, sizeof(request.profile), zg_slice_str(profile))) {
		fputs("zerogate: the profile's name is too long\n", stderr);
		return ZG_EXIT_USAGE;
	}
	(void)zg_str_cut(request.comm, sizeof(request.comm),
			 zg_slice_str(base ? base + 1 : command));
	rc = zg_ctl_request(sock, ZG_MSG_CTL_RUN, &request);
	if (rc == 0)
		rc = 1;
	while (rc > 0) {
		rc = zg_ctl_next(sock, &m, &status);
		if (rc > 0 && m.type == ZG_MSG_CTL_RUN_STARTED) {
			memcpy(out, m.body, sizeof(*out));
			moved = true;
		}
	}
	(void)close(sock);
	if (rc < 0)
		return ZG_EXIT_DAEMON;
	return moved && status == 0 ? -1 : status ? status : ZG_EXIT_DAEMON;
}

/* Nothing that was open before may serve as a way around the gate. */
static int give_up(void)
{
	sigset_t none;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    syscall(SYS_close_range, 3, ~0U, CLOSE_RANGE_CLOEXEC) < 0)
		return -errno;
	for (int i = 1; i < NSIG; i++)
		(void)signal(i, SIG_DFL); /* fails for KILL and STOP, rightly */
	(void)sigemptyset(&none);
	return sigprocmask(SIG_SETMASK, &none, NULL) < 0 ? -errno : 0;
}

/* trust --------------------------------------------------------------------------- */

/* What programs read to learn whom TLS may believe. Those that add to the
 * system's CAs get ours alone, those that replace them get all. */
static const struct {
	const char *name;
	bool adds;
} trust_variables[] = {
	{"NODE_EXTRA_CA_CERTS", true}, {"DENO_CERT", true},
	{"SSL_CERT_FILE", false}, /* OpenSSL, Go, Ruby, uv, ... */
	{"REQUESTS_CA_BUNDLE", false}, {"CURL_CA_BUNDLE", false},
	{"GIT_SSL_CAINFO", false},     {"PIP_CERT", false},
	{"AWS_CA_BUNDLE", false},      {"CARGO_HTTP_CAINFO", false},
	{"NIX_SSL_CERT_FILE", false},  {"GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", false},
};

/* Is all of one file in the other? */
static bool holds(const char *bundle, const char *ca)
{
	zg_autobuf all = ZG_BUF(TRUST_BYTES), ours = ZG_BUF(TRUST_BYTES);
	zg_autofd int a = open(bundle, O_RDONLY | O_CLOEXEC);
	zg_autofd int b = open(ca, O_RDONLY | O_CLOEXEC);

	return a >= 0 && b >= 0 && zg_buf_read(&all, a) == 0 && zg_buf_read(&ours, b) == 0 &&
	       ours.len && all.len && memmem(all.ptr, all.len, ours.ptr, ours.len);
}

/* What the user has set stays, unless ours has all of it (it is the system's),
 * and is not left to fail without a word. */
static void set_trust(const struct zg_msg_ctl_run_started *to)
{
	for (size_t i = 0; i < sizeof(trust_variables) / sizeof(trust_variables[0]); i++) {
		const char *name = trust_variables[i].name, *has = getenv(name);
		const char *ours = trust_variables[i].adds ? to->ca_file : to->ca_bundle;

		if (has && has[0]) {
			if (strcmp(has, ours) == 0 || holds(has, to->ca_file))
				continue;
			ours = holds(to->ca_bundle, has) ? to->ca_bundle : NULL;
		}
		if (ours) {
			if (setenv(name, ours, 1) < 0)
				perror("zerogate: setenv");
			continue;
		}
		fprintf(stderr, "zerogate: %s is set and stays; ", name);
		zg_print_safe(stderr, has);
		fprintf(stderr,
			" lacks %s, without which programs that read it refuse registered https "
			"servers\n",
			to->ca_file);
	}
}

static _Noreturn void child(struct zg_cli *cli, const char *profile, char **command, int report)
{
	struct zg_msg_ctl_run_started answer = {0};
	struct started said = {.error = ask(cli, profile, command[0], &answer)};
	int rc;

	if (said.error < 0) {
		said.run = answer.run;
		ZG_MSG_TEXT(answer.ca_file);
		ZG_MSG_TEXT(answer.ca_bundle);
		if (answer.ca_file[0] && answer.ca_bundle[0])
			set_trust(&answer);
		rc = give_up();
		if (rc < 0) {
			fprintf(stderr, "zerogate: cannot renounce privileges: %s\n",
				strerror(-rc));
			said.error = EXIT_NOT_EXECUTABLE;
		}
	}
	if (write(report, &said, sizeof(said)) != (ssize_t)sizeof(said))
		_exit(EXIT_NOT_EXECUTABLE); /* nobody waits for us any more */
	if (said.error >= 0)
		_exit(said.error);
	(void)execvp(command[0], command);
	rc = errno;
	fprintf(stderr, "zerogate: cannot run ");
	zg_print_safe(stderr, command[0]);
	fprintf(stderr, ": %s\n", strerror(rc));
	_exit(rc == ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE);
}

/* parent ------------------------------------------------------------------------- */

static volatile pid_t command_pid;

/* From a terminal the command got the signal itself, as it is in the same
 * group; what was sent to us alone is passed on. */
static void pass_on(int sig, siginfo_t *info, void *context)
{
	(void)context;
	if (info->si_code <= 0 && command_pid > 0)
		(void)kill(command_pid, sig);
}

static void catch_signals(void)
{
	static const int caught[] = {SIGINT,  SIGTERM, SIGHUP,	 SIGQUIT,
				     SIGUSR1, SIGUSR2, SIGWINCH, SIGCONT};
	struct sigaction sa = {.sa_sigaction = pass_on, .sa_flags = SA_SIGINFO | SA_RESTART};

	for (size_t i = 0; i < sizeof(caught) / sizeof(caught[0]); i++)
		(void)sigaction(caught[i], &sa, NULL);
}

static void print_denial(const struct zg_msg_ctl_run_denial *d)
{
	char comm[ZG_COMM_LEN], what[ZG_REFUSAL_LEN];

	memcpy(comm, d->comm, sizeof(comm));
	memcpy(what, d->what, sizeof(what));
	ZG_MSG_TEXT(comm);
	ZG_MSG_TEXT(what);
	fputs("zerogate: refused ", stderr);
	zg_print_safe(stderr, what);
	fprintf(stderr, ", %u time%s, by ", d->count, d->count == 1 ? "" : "s");
	zg_print_safe(stderr, comm);
	fprintf(stderr, ": %s\n", zg_refusal_why(d->reason));
}

/* What was refused; a report that fails does not change the command's status. */
static void report(struct zg_cli *cli, uint64_t run, int exit_status)
{
	struct zg_msg_ctl_run_report request = {.run = run, .exit_status = (uint32_t)exit_status};
	struct zg_msg m = {.fd = -1};
	int sock = zg_ctl_connect(cli), status, rc = 1;

	if (sock < 0)
		return;
	if (zg_ctl_request(sock, ZG_MSG_CTL_RUN_REPORT, &request) == 0)
		while (rc > 0) {
			rc = zg_ctl_next(sock, &m, &status);
			if (rc > 0 && m.type == ZG_MSG_CTL_RUN_DENIAL)
				print_denial((const void *)m.body);
		}
	(void)close(sock);
}

static int wait_for(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return EXIT_NOT_EXECUTABLE;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static int run(struct zg_cli *cli, const char *profile, char **command)
{
	struct started said = {.error = EXIT_NOT_EXECUTABLE};
	int pipe_fds[2], status;
	pid_t pid;

	if (pipe2(pipe_fds, O_CLOEXEC) < 0) {
		perror("zerogate: pipe");
		return EXIT_NOT_EXECUTABLE;
	}
	catch_signals();
	pid = fork();
	if (pid < 0) {
		perror("zerogate: fork");
		return EXIT_NOT_EXECUTABLE;
	}
	if (pid == 0)
		child(cli, profile, command, pipe_fds[1]);
	command_pid = pid;
	(void)close(pipe_fds[1]);
	/* ends by itself when the child dies first */
	if (read(pipe_fds[0], &said, sizeof(said)) != (ssize_t)sizeof(said))
		said.run = 0;
	(void)close(pipe_fds[0]);
	status = wait_for(pid);
	if (said.run)
		report(cli, said.run, status);
	return status;
}

static int usage(void)
{
	fputs("usage: zerogate run [--profile NAME] -- COMMAND [ARGUMENT...]\n", stderr);
	return ZG_EXIT_USAGE;
}

int zg_verb_run(struct zg_cli *cli, int argc, char **argv)
{
	static const struct option options[] = {{"profile", required_argument, NULL, 'p'},
						{NULL, 0, NULL, 0}};
	const char *profile = "";
	int c;

	while ((c = getopt_long(argc, argv, "+p:", options, NULL)) != -1) {
		if (c != 'p')
			return usage();
		profile = optarg;
	}
	if (optind == argc)
		return usage();
	return run(cli, profile, argv + optind);
}
