/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kernel_stdio_test.c - shadow MCP servers on stdio, on the real kernel: this
 * program executes itself as a server in a governed cgroup and talks to it as a
 * client would. What counts is whether the server ever serves a call.
 */
#include "kernel_lab.h"

#include <dirent.h>
#include <sys/uio.h>

#define HEAD   "{\"jsonrpc\":\"2.0\",\"id\":0,\"result\":"
#define LEGACY "{\"protocolVersion\":\"2025-06-18\",\"capabilities\":{\"tools\":{}},"
#define INFO   "\"serverInfo\":{\"name\":\"s\",\"version\":\"1\"}}}"

/* How a server says it. */
enum manner { AT_ONCE, BY_BYTES, IN_PARTS, IN_A_MESSAGE, BY_A_CHILD };

static const struct server {
	const char *name;
	enum manner manner;
	bool is_mcp;
	const char *says;
} servers[] = {
	{"at once", AT_ONCE, true, HEAD LEGACY INFO "\n"},
	{"byte by byte", BY_BYTES, true, HEAD LEGACY INFO "\n"},
	{"in parts", IN_PARTS, true, HEAD LEGACY INFO "\n"},
	{"in a message", IN_A_MESSAGE, true, HEAD LEGACY INFO "\n"},
	{"by a child", BY_A_CHILD, true, HEAD LEGACY INFO "\n"},
	{"the result first", AT_ONCE, true,
	 "{\"result\":" LEGACY "\"serverInfo\":{\"name\":\"s\"}},\"jsonrpc\":\"2.0\",\"id\":0}\n"},
	{"with spaces", AT_ONCE, true,
	 "{\"jsonrpc\": \"2.0\", \"id\": 0, \"result\": {\"protocolVersion\": \"2024-11-05\", "
	 "\"serverInfo\": {\"name\": \"s\"}}}\n"},
	{"after a banner", AT_ONCE, true, "starting\n\n" HEAD LEGACY INFO "\n"},
	{"the modern era", AT_ONCE, true,
	 HEAD "{\"resultType\":\"complete\",\"supportedVersions\":[\"2026-07-28\"],"
	      "\"_meta\":{\"io.modelcontextprotocol/serverInfo\":{\"name\":\"s\"}}}}\n"},
	{"the modern era, with spaces", BY_BYTES, true,
	 "{\"jsonrpc\": \"2.0\", \"id\": 1, \"result\": {\"resultType\": \"complete\"}}\n"},
	{"a language server", AT_ONCE, false,
	 "Content-Length: 99\r\n\r\n" HEAD "{\"capabilities\":{}," INFO "\n"},
	{"a language server, byte by byte", BY_BYTES, false,
	 HEAD "{\"capabilities\":{}," INFO "\n"},
	{"an answer that is quoted", AT_ONCE, false,
	 "{\"jsonrpc\":\"2.0\",\"result\":{\"text\":\"{\\\"protocolVersion\\\":\\\"1\\\","
	 "\\\"serverInfo\\\":{}}\"}}\n"},
	{"parts of two lines", AT_ONCE, false, HEAD LEGACY "}}\n{\"serverInfo\":1}\n"},
	{"a request", AT_ONCE, false,
	 "{\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"initialize\",\"params\":" LEGACY
	 "\"clientInfo\":{}}}\n"},
	{"Ethereum", AT_ONCE, false,
	 "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":\"0x41\",\"of\":\"eth_protocolVersion\"}\n"},
	{"Prometheus", AT_ONCE, false,
	 "{\"status\":\"success\",\"data\":{\"resultType\":\"vector\",\"result\":[]}}\n"},
	{"plain text", AT_ONCE, false, "protocolVersion serverInfo result jsonrpc\n"},
};
#define SERVERS (sizeof(servers) / sizeof(servers[0]))

/* the server ----------------------------------------------------------------- */

static bool put(const char *text, size_t n)
{
	return write(STDOUT_FILENO, text, n) == (ssize_t)n;
}

static bool put_bytes(const char *text, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!put(text + i, 1))
			return false;
	return true;
}

static struct iovec *parts_of(const char *text, size_t n, struct iovec parts[3])
{
	char *at = (char *)(uintptr_t)text;

	parts[0] = (struct iovec){at, 11};
	parts[1] = (struct iovec){at + 11, n / 2 - 11};
	parts[2] = (struct iovec){at + n / 2, n - n / 2};
	return parts;
}

static bool put_message(const char *text, size_t n)
{
	struct iovec parts[3];
	struct msghdr m = {.msg_iov = parts_of(text, n, parts), .msg_iovlen = 3};

	if (sendmsg(STDOUT_FILENO, &m, 0) == (ssize_t)n)
		return true;
	return errno == ENOTSOCK && writev(STDOUT_FILENO, parts, 3) == (ssize_t)n;
}

static bool say(const struct server *s)
{
	size_t n = strlen(s->says);
	struct iovec parts[3];
	int status;
	pid_t pid;

	switch (s->manner) {
	case AT_ONCE:
		return put(s->says, n);
	case BY_BYTES:
		return put_bytes(s->says, n);
	case IN_PARTS:
		return writev(STDOUT_FILENO, parts_of(s->says, n, parts), 3) == (ssize_t)n;
	case IN_A_MESSAGE:
		return put_message(s->says, n);
	case BY_A_CHILD:
		pid = fork();
		if (pid == 0)
			_exit(put(s->says, n) ? 0 : 1);
		/* a launcher ends as its server does */
		if (waitpid(pid, &status, 0) == pid && WIFSIGNALED(status))
			(void)raise(WTERMSIG(status));
		return true;
	}
	return false;
}

/* Speak first, then serve one call. */
static int serve(const char *index)
{
	char call;

	if (!say(&servers[index[0] - 'A']))
		return 1;
	return read(STDIN_FILENO, &call, 1) == 1 && put("SERVED", 6) ? 0 : 2;
}

/* the client ------------------------------------------------------------------- */

struct launch {
	size_t server;
	int in, out; /* the server's ends */
};

static int execute(void *arg)
{
	const struct launch *l = arg;
	char index[2] = {(char)('A' + l->server), '\0'};
	char self[] = "/proc/self/exe", verb[] = "serve";
	char *argv[] = {self, verb, index, NULL};

	if (dup2(l->in, STDIN_FILENO) < 0 || dup2(l->out, STDOUT_FILENO) < 0)
		return 116;
	(void)execv(self, argv);
	return 115;
}

struct outcome {
	bool served;
	bool killed;
};

enum channel { PIPES, SOCKETS, FILES };

/* The server's two ends, then ours. */
static void channel_open(enum channel how, int end[4])
{
	int a[2], b[2];

	if (how == SOCKETS) {
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, a), 0);
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, b), 0);
	} else {
		assert_int_equal(pipe2(a, O_CLOEXEC), 0);
		assert_int_equal(pipe2(b, O_CLOEXEC), 0);
	}
	if (how == FILES) { /* nobody can ask it anything */
		(void)close(a[0]);
		a[0] = open("/dev/zero", O_RDONLY | O_CLOEXEC);
		assert_true(a[0] >= 0);
	}
	end[0] = a[0];
	end[1] = b[1];
	end[2] = a[1];
	end[3] = b[0];
}

/* Launch it, call it, hear it to its end. */
static struct outcome try_server(const struct lab *lab, const char *cgroup, size_t server,
				 enum channel how)
{
	struct outcome o = {0};
	char heard[1024] = "";
	struct launch l = {.server = server};
	size_t used = 0;
	int end[4], status;
	pid_t pid;
	ssize_t n;

	channel_open(how, end);
	l.in = end[0];
	l.out = end[1];
	pid = lab_start(lab, cgroup, execute, &l);
	(void)close(end[0]);
	(void)close(end[1]);
	(void)!write(end[2], "c", 1); /* it may be gone by now */
	while ((n = read(end[3], heard + used, sizeof(heard) - 1 - used)) > 0)
		used += (size_t)n;
	(void)close(end[2]);
	(void)close(end[3]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_false(WIFEXITED(status) && WEXITSTATUS(status) > 2);
	o.served = strstr(heard, "SERVED") != NULL;
	o.killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
	return o;
}

/* the tests -------------------------------------------------------------------- */

static void want(struct lab *lab, bool wanted)
{
	struct zg_err e = {0};

	if (zg_kernel_layer_want(lab->kernel, ZG_KL_STDIO, wanted, &e) < 0)
		fail_msg("the stdio layer: %s (%s)", e.what, e.hint);
}

static void plan_stdio(struct lab *lab, enum zg_shadow shadow, enum zg_mode mode)
{
	struct plan p;

	plan_init(&p);
	plan_profile(&p, "a", mode);
	p.profiles[0].shadow_stdio = (uint8_t)shadow;
	lab_apply(lab, &p);
}

static struct lab *stage(enum zg_shadow shadow, enum zg_mode mode)
{
	struct lab *lab = lab_open();

	(void)lab_cgroup(lab, "free");
	lab_govern(lab, "agent", P_A);
	plan_stdio(lab, shadow, mode);
	want(lab, true);
	return lab;
}

static void a_server_is_killed_before_it_serves(void **state ZG_UNUSED)
{
	struct lab *lab = stage(ZG_SHADOW_KILL, ZG_MODE_ENFORCE);

	for (size_t i = 0; i < 2 * SERVERS; i++) {
		const struct server *s = &servers[i / 2];
		struct outcome o = try_server(lab, "agent", i / 2, i % 2 ? SOCKETS : PIPES);
		struct seen seen = lab_events(lab);

		if (o.killed != s->is_mcp || o.served == s->is_mcp)
			fail_msg("%s: killed %d, served %d, told %zu", s->name, o.killed, o.served,
				 seen.count[ZG_E_DENY]);
		assert_int_equal(seen.count[ZG_E_DENY], s->is_mcp);
		if (!s->is_mcp)
			continue;
		assert_int_equal(seen.last.layer, ZG_L_STDIO);
		assert_int_equal(seen.last.reason, ZG_GR_SHADOW);
		assert_int_equal(seen.last.profile, P_A);
		assert_int_equal(seen.last.cgroup_id, lab_cgroup(lab, "agent"));
		assert_true(seen.last.detail & 1u << ZG_SIG_RESULT);
		assert_string_equal(seen.last.path, "/proc/self/exe");
	}
}

static void expect_served(enum zg_shadow shadow, enum zg_mode mode, const char *cgroup,
			  enum channel how, size_t told)
{
	struct lab *lab = stage(shadow, mode);
	struct outcome o = try_server(lab, cgroup, 0, how);
	struct seen seen = lab_events(lab);

	assert_true(o.served);
	assert_false(o.killed);
	assert_int_equal(seen.count[ZG_E_WOULD_DENY], told);
	assert_int_equal(seen.count[ZG_E_DENY], 0);
	assert_int_equal(lab_teardown(NULL), 0);
}

static void others_serve(void **state ZG_UNUSED)
{
	expect_served(ZG_SHADOW_AUDIT, ZG_MODE_ENFORCE, "agent", PIPES, 1);
	expect_served(ZG_SHADOW_KILL, ZG_MODE_AUDIT, "agent", SOCKETS, 1);
	expect_served(ZG_SHADOW_OFF, ZG_MODE_ENFORCE, "agent", PIPES, 0);
	expect_served(ZG_SHADOW_KILL, ZG_MODE_ENFORCE, "free", PIPES, 0);
	expect_served(ZG_SHADOW_KILL, ZG_MODE_ENFORCE, "agent", FILES, 0);
}

static size_t stdio_pins(const struct lab *lab)
{
	DIR *d = opendir(lab->pins);
	struct dirent *entry;
	size_t n = 0;

	assert_non_null(d);
	while ((entry = readdir(d)))
		n += strncmp(entry->d_name, "link_zg_stdio", 13) == 0;
	(void)closedir(d);
	return n;
}

/* Nobody asks: nothing of it is attached, and nobody pays. */
static void it_is_attached_on_demand(void **state ZG_UNUSED)
{
	struct lab *lab = stage(ZG_SHADOW_KILL, ZG_MODE_ENFORCE);
	struct zg_err e = {0};
	size_t attached = stdio_pins(lab);

	assert_true(attached >= 3);
	assert_int_equal(zg_kernel_verify(lab->kernel, &e), 0);
	assert_true(try_server(lab, "agent", 0, PIPES).killed);
	want(lab, false);
	assert_int_equal(stdio_pins(lab), 0);
	assert_int_equal(zg_kernel_verify(lab->kernel, &e), 0);
	assert_true(try_server(lab, "agent", 0, PIPES).served);
	/* and an agent that takes over keeps what it finds */
	want(lab, true);
	zg_kernel_close(lab->kernel);
	lab->kernel = NULL;
	assert_true(try_server(lab, "agent", 0, PIPES).killed);
	lab_open_gate(lab);
	assert_int_equal(stdio_pins(lab), attached);
	assert_true(try_server(lab, "agent", 0, PIPES).killed);
}

static const struct CMUnitTest tests[] = {
	LAB_TEST(a_server_is_killed_before_it_serves),
	LAB_TEST(others_serve),
	LAB_TEST(it_is_attached_on_demand),
};

int main(int argc, char **argv)
{
	return argc == 3 ? serve(argv[2]) : LAB_TESTS(tests, argc == 2 ? argv[1] : NULL);
}
