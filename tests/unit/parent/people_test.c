/* SPDX-License-Identifier: Apache-2.0 */
/* people_test.c - roles as the kernel attests them: real users with real groups
 * connect, each from a process of its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <grp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "people.h"

#define SOME_UID 65531

static struct zg_settings settings(void)
{
	struct zg_settings s = {.approver_group = "adm",
				.security_group = "sys",
				.owner = {{"Platform", "games"}, {"Data", "mail"}},
				.owner_count = 2};

	return s;
}

static gid_t gid_of(const char *name)
{
	const struct group *gr = getgrnam(name);

	assert_non_null(gr);
	return gr->gr_gid;
}

struct answer {
	uint32_t roles;
	uint64_t owners;
};

/* What somebody with these groups may do. */
static struct answer roles_of(const struct zg_people *p, uid_t uid, gid_t primary,
			      const gid_t *groups, size_t n)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX, .sun_path = "@zg-people"};
	socklen_t bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 20);
	struct ucred who;
	socklen_t len = sizeof(who);
	struct answer a;
	int listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), sock, status;
	pid_t pid;

	at.sun_path[0] = '\0';
	(void)snprintf(at.sun_path + 1, sizeof(at.sun_path) - 1, "zg-people-%d", (int)getpid());
	assert_int_equal(bind(listener, (struct sockaddr *)&at, bytes), 0);
	assert_int_equal(listen(listener, 1), 0);
	pid = fork();
	if (pid == 0) {
		char byte;
		int mine = socket(AF_UNIX, SOCK_SEQPACKET, 0);

		if (setgroups(n, groups) < 0 || setresgid(primary, primary, primary) < 0 ||
		    setresuid(uid, uid, uid) < 0 ||
		    connect(mine, (struct sockaddr *)&at, bytes) < 0)
			_exit(1);
		_exit(read(mine, &byte, 1) != 0);
	}
	assert_true(pid > 0);
	sock = accept(listener, NULL, NULL);
	assert_true(sock >= 0);
	assert_int_equal(getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &who, &len), 0);
	assert_int_equal(who.uid, uid);
	zg_people_roles(p, sock, &who, &a.roles, &a.owners);
	(void)close(sock);
	(void)close(listener);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	return a;
}

static void groups_give_roles(void **state)
{
	const struct zg_settings s = settings();
	const gid_t both[] = {gid_of("mail"), gid_of("adm")}, security[] = {gid_of("sys")};
	struct zg_people p;
	struct zg_err e;
	struct answer a;

	(void)state;
	if (geteuid() != 0) {
		assert_null(getenv("ZG_REQUIRE"));
		print_message("only root can become others\n");
		skip();
	}
	assert_int_equal(zg_people_find(&p, &s, &e), 0);
	a = roles_of(&p, SOME_UID, SOME_UID, NULL, 0);
	assert_int_equal(a.roles, 0);
	assert_int_equal(a.owners, 0);
	a = roles_of(&p, SOME_UID, SOME_UID, both, 2);
	assert_int_equal(a.roles, ZG_ROLE_APPROVER);
	assert_int_equal(a.owners, 2);
	a = roles_of(&p, SOME_UID, SOME_UID, security, 1);
	assert_int_equal(a.roles, ZG_ROLE_SECURITY);
	/* the primary group counts as well */
	a = roles_of(&p, SOME_UID, gid_of("games"), NULL, 0);
	assert_int_equal(a.roles, 0);
	assert_int_equal(a.owners, 1);
	/* root is everybody, also of what no group was named for */
	a = roles_of(&p, 0, 0, NULL, 0);
	assert_int_equal(a.roles, ZG_ROLE_APPROVER | ZG_ROLE_SECURITY | ZG_ROLE_BREAK_GLASS);
	assert_int_equal(a.owners, 3);
}

static void a_group_that_is_missing_is_told(void **state)
{
	struct zg_settings s = settings();
	struct zg_people p = {.owners = 7};
	struct zg_err e;

	(void)state;
	(void)snprintf(s.owner[1].group, sizeof(s.owner[1].group), "no-such-group");
	assert_int_equal(zg_people_find(&p, &s, &e), -ENOENT);
	assert_string_equal(e.what, "the group 'no-such-group' (owners) does not exist");
	assert_int_equal(p.owners, 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(groups_give_roles),
		cmocka_unit_test(a_group_that_is_missing_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
