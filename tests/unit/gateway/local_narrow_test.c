/* SPDX-License-Identifier: Apache-2.0 */
/*
 * local_narrow_test.c - a session over pipes and a parent that confirms, refuses
 * or says nothing: no call under a list is written to the server before its word,
 * and none beside calls under another.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "gateway/lab.h"
#include "../../../agent/gateway/local.h" /* not the parent's */

#define SESSION 5

struct pipes {
	struct lab lab;
	int client_in, client_out, server_in, server_out;
	char heard[8192], told[8192]; /* by the server, by the client */
};

static int give(struct pipes *p, uint32_t end)
{
	const struct zg_msg_stdio_fd m = {.session = SESSION, .end = end};
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair),
			 0);
	assert_int_equal(zg_local_fd(&p->lab.w, &m, pair[0]), 0);
	return pair[1];
}

static void begin(struct pipes *p)
{
	struct zg_msg_stdio_open open = {
		.session = SESSION,
		.server = "pipe",
		.principal = {.cgroup_id = LAB_CGROUP,
			      .pid = 4242,
			      .uid = 65533,
			      .profile_id = ZG_PROFILE_FIRST,
			      .profile = "agent",
			      .cgroup = "agents/test",
			      .comm = "client"},
	};

	memset(p, 0, sizeof(*p));
	lab_start(&p->lab);
	p->client_in = give(p, ZG_SE_CLIENT_IN);
	p->client_out = give(p, ZG_SE_CLIENT_OUT);
	p->server_in = give(p, ZG_SE_SERVER_IN);
	p->server_out = give(p, ZG_SE_SERVER_OUT);
	assert_int_equal(zg_local_open(&p->lab.w, &open), 0);
}

static void end(struct pipes *p)
{
	close(p->client_in);
	close(p->client_out);
	close(p->server_in);
	close(p->server_out);
	lab_stop(&p->lab);
}

static void listen_to(int fd, char *to, size_t size)
{
	size_t n = strlen(to);
	ssize_t got = recv(fd, to + n, size - 1 - n, MSG_DONTWAIT);

	if (got > 0)
		to[n + (size_t)got] = '\0';
}

/* Until nothing happens for a while. */
static void settle(struct pipes *p, int ms)
{
	do {
		listen_to(p->server_in, p->heard, sizeof(p->heard));
		listen_to(p->client_out, p->told, sizeof(p->told));
	} while (lab_turn(&p->lab, ms));
	listen_to(p->server_in, p->heard, sizeof(p->heard));
	listen_to(p->client_out, p->told, sizeof(p->told));
}

static void call(struct pipes *p, int id, const char *tool)
{
	char text[256];

	(void)snprintf(text, sizeof(text),
		       "{\"jsonrpc\":\"2.0\",\"id\":%d,\"method\":\"tools/call\",\"params\":{"
		       "\"name\":\"%s\",\"arguments\":{}}}\n",
		       id, tool);
	lab_send(p->client_in, text);
	settle(p, 50);
}

static void answer(struct pipes *p, int id)
{
	char text[128];

	(void)snprintf(text, sizeof(text), "{\"jsonrpc\":\"2.0\",\"id\":%d,\"result\":{}}\n", id);
	lab_send(p->server_out, text);
	settle(p, 50);
}

static bool has(const char *text, int id)
{
	char want[16];

	(void)snprintf(want, sizeof(want), "\"id\":%d,", id);
	return strstr(text, want) != NULL;
}

static void until_told(struct pipes *p, int id)
{
	for (int idle = 0; !has(p->told, id); idle++) {
		assert_true(idle < LAB_PATIENCE);
		settle(p, 50);
	}
}

/* What the parent is asked next; false: nothing. */
static bool asked(struct pipes *p, struct zg_msg_stdio_narrow *m)
{
	struct zg_msg got = {.fd = -1};

	while (zg_msg_recv(p->lab.parent, &got) == 0) {
		if (got.type != ZG_MSG_STDIO_NARROW)
			continue;
		memcpy(m, got.body, sizeof(*m));
		assert_int_equal(m->session, SESSION);
		return true;
	}
	return false;
}

static void say(struct pipes *p, uint64_t turn, uint32_t error)
{
	const struct zg_msg_stdio_narrowed m = {.session = SESSION, .turn = turn, .error = error};

	zg_local_narrowed(&p->lab.w, &m);
	settle(p, 50);
}

static void a_call_waits_for_the_parents_word(void **state)
{
	struct zg_msg_stdio_narrow m;
	static struct pipes p;

	(void)state;
	begin(&p);
	call(&p, 1, "get_x");
	assert_true(has(p.heard, 1)); /* under no list: at once */
	assert_false(asked(&p, &m));
	answer(&p, 1);
	call(&p, 2, "np_x");
	assert_true(asked(&p, &m));
	assert_int_equal(strncmp(m.profile, "server:pipe/", 12), 0);
	assert_false(has(p.heard, 2));
	say(&p, m.turn + 1, 0); /* of something else */
	assert_false(has(p.heard, 2));
	say(&p, m.turn, 0);
	assert_true(has(p.heard, 2));
	answer(&p, 2);
	assert_true(has(p.told, 2));
	assert_true(asked(&p, &m)); /* and back */
	assert_string_equal(m.profile, "");
	call(&p, 3, "get_x");
	assert_false(has(p.heard, 3)); /* not under what call 2 had */
	say(&p, m.turn, 0);
	assert_true(has(p.heard, 3));
	end(&p);
}

static void without_it_the_call_is_refused(void **state)
{
	struct zg_msg_stdio_narrow m;
	static struct pipes p;

	(void)state;
	begin(&p);
	call(&p, 1, "np_x");
	assert_true(asked(&p, &m));
	say(&p, m.turn, EPERM);
	assert_true(strstr(p.told, "was not executed"));
	assert_false(has(p.heard, 1));
	/* what is in force is not known now: even a call under none asks */
	call(&p, 2, "get_x");
	assert_true(asked(&p, &m));
	assert_string_equal(m.profile, "");
	assert_false(has(p.heard, 2));
	say(&p, m.turn, 0);
	assert_true(has(p.heard, 2));
	answer(&p, 2);
	p.told[0] = '\0';
	call(&p, 3, "np_x"); /* the parent says nothing */
	until_told(&p, 3);
	assert_true(strstr(p.told, "was not executed"));
	assert_false(has(p.heard, 3));
	end(&p);
}

static void to_wait_for_it_is_a_part_of_its_time(void **state)
{
	static struct pipes p;

	(void)state;
	lab_limit_sec = 1; /* over before the parent's two */
	begin(&p);
	call(&p, 1, "np_x");
	until_told(&p, 1);
	assert_true(strstr(p.told, "was not executed"));
	assert_false(has(p.heard, 1));
	end(&p);
}

static void calls_under_other_lists_take_turns(void **state)
{
	struct zg_msg_stdio_narrow m;
	static struct pipes p;

	(void)state;
	begin(&p);
	call(&p, 1, "get_a");
	call(&p, 2, "get_b");
	assert_true(has(p.heard, 1) && has(p.heard, 2)); /* the same: together */
	call(&p, 3, "np_x");
	call(&p, 4, "get_c"); /* behind 3, although it could run beside 1 and 2 */
	lab_send(p.client_in, "{\"jsonrpc\":\"2.0\",\"id\":5,\"method\":\"ping\"}\n");
	settle(&p, 50);
	assert_false(asked(&p, &m));
	assert_false(has(p.heard, 3) || has(p.heard, 4));
	assert_true(strstr(p.heard, "ping"));
	answer(&p, 1);
	assert_false(asked(&p, &m));
	answer(&p, 2);
	assert_true(asked(&p, &m));
	assert_true(m.profile[0]);
	say(&p, m.turn, 0);
	assert_true(has(p.heard, 3));
	assert_false(has(p.heard, 4));
	/* cancelled while it waits: it is never made */
	lab_send(p.client_in, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\","
			      "\"params\":{\"requestId\":4}}\n");
	settle(&p, 50);
	answer(&p, 3);
	assert_true(asked(&p, &m));
	assert_string_equal(m.profile, "");
	say(&p, m.turn, 0);
	assert_false(has(p.heard, 4));
	end(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_call_waits_for_the_parents_word),
		cmocka_unit_test(without_it_the_call_is_refused),
		cmocka_unit_test(to_wait_for_it_is_a_part_of_its_time),
		cmocka_unit_test(calls_under_other_lists_take_turns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
