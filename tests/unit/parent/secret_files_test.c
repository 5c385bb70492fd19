/* SPDX-License-Identifier: Apache-2.0 */
/*
 * secret_files_test.c - which files may become secrets of the gateways: whose
 * they are, what is in them, and that nothing of them is told. As root.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sys/stat.h>

#include "secret_files.h"
#include "secrets.h"
#include "state.h"

struct place {
	char dir[64];
	struct zg_parent *parent;
	struct zg_settings settings;
	struct zg_server_def server;
	struct zg_credential_def credential;
	struct zg_snapshot snapshot;
	struct zg_secrets secrets;
};

static int set_up(void **state)
{
	struct place *p = calloc(1, sizeof(*p));

	p->parent = calloc(1, sizeof(*p->parent));
	(void)snprintf(p->dir, sizeof(p->dir), "/tmp/zg-secrets-XXXXXX");
	if (!mkdtemp(p->dir))
		return -1;
	(void)snprintf(p->parent->servers, sizeof(p->parent->servers), "%s", p->dir);
	(void)snprintf(p->parent->config, sizeof(p->parent->config), "%s/zerogate.yaml", p->dir);
	p->parent->keys_dir = open(p->dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	(void)snprintf(p->server.id, sizeof(p->server.id), "github");
	p->snapshot = (struct zg_snapshot){.settings = &p->settings,
					   .servers = &p->server,
					   .server_count = 1,
					   .credentials = &p->credential,
					   .credential_count = 1};
	(void)unsetenv("CREDENTIALS_DIRECTORY");
	*state = p;
	return p->parent->keys_dir < 0 ? -1 : 0;
}

static int tear_down(void **state)
{
	struct place *p = *state;
	char command[128];

	zg_secrets_close(&p->secrets);
	close(p->parent->keys_dir);
	(void)snprintf(command, sizeof(command), "rm -rf %s", p->dir);
	(void)!system(command);
	free(p->parent);
	free(p);
	return 0;
}

static void path_in(const struct place *p, const char *name, char out[256])
{
	(void)snprintf(out, 256, "%s/%s", p->dir, name);
}

static void put(const struct place *p, const char *name, const char *bytes, size_t len, mode_t mode)
{
	char path[256];
	int fd;

	path_in(p, name, path);
	(void)unlink(path);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, len), len);
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

static void put_text(const struct place *p, const char *name, const char *text, mode_t mode)
{
	put(p, name, text, strlen(text), mode);
}

static void wants(struct place *p, enum zg_secret_kind kind, const char *path)
{
	p->credential = (struct zg_credential_def){.kind = kind};
	(void)snprintf(p->credential.path, sizeof(p->credential.path), "%s", path);
	(void)snprintf(p->credential.header, sizeof(p->credential.header), "X-Api-Key");
}

/* 0, or the error; its text in said. */
static int read_all(struct place *p, char said[512])
{
	struct zg_err e = {0};
	int fd = zg_parent_secrets(p->parent, &p->snapshot, &e);

	zg_secrets_close(&p->secrets);
	said[0] = '\0';
	if (fd < 0) {
		(void)zg_err_text(&e, said, 512);
		return fd;
	}
	assert_int_equal(zg_secrets_open(&p->secrets, fd), 0);
	close(fd);
	return 0;
}

static void refused(struct place *p, const char *what)
{
	char said[512];

	assert_true(read_all(p, said) < 0);
	if (!strstr(said, what))
		print_error("'%s' does not say '%s'\n", said, what);
	assert_non_null(strstr(said, what));
	assert_null(strstr(said, "s3cret"));
}

static void held(struct place *p, enum zg_secret_kind kind, const char *name, const char *value)
{
	char said[512];
	int rc = read_all(p, said);
	struct zg_slice found;

	if (rc < 0)
		print_error("%s\n", said);
	assert_int_equal(rc, 0);
	found = zg_secrets_find(&p->secrets, kind, zg_slice_str(name), 0);
	assert_non_null(found.ptr);
	assert_true(zg_slice_eq(found, zg_slice_str(value)));
}

static void a_token_is_one_line(void **state)
{
	static const struct {
		const char *text, *held, *refused;
	} cases[] = {
		{"s3cret", "Bearer s3cret", NULL},
		{"s3cret\n", "Bearer s3cret", NULL},
		{"s3cret\r\n", "Bearer s3cret", NULL},
		{"s3cret \n\n", "Bearer s3cret ", NULL},
		{"s3cret\r\nX-Other: 1", NULL, "not one line"},
		{"s3cret\nmore", NULL, "not one line"},
		{"s3cret\tmore", NULL, "not one line"},
		{"s3cret\x7f", NULL, "not one line"},
		{"\n", NULL, "it is empty"},
		{"", NULL, "it is empty"},
	};
	struct place *p = *state;
	static char big[ZG_SECRET_LINE_BYTES + 1];
	char said[512];

	wants(p, ZG_SK_AUTHORIZATION, "token");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		put_text(p, "token", cases[i].text, 0600);
		if (cases[i].held)
			held(p, ZG_SK_AUTHORIZATION, "github", cases[i].held);
		else
			refused(p, cases[i].refused);
	}
	put(p, "token", "s3cret\0more", 11, 0600);
	refused(p, "not one line");
	memset(big, 'a', sizeof(big));
	put(p, "token", big, ZG_SECRET_LINE_BYTES, 0600);
	assert_int_equal(read_all(p, said), 0);
	assert_int_equal(
		zg_secrets_find(&p->secrets, ZG_SK_AUTHORIZATION, ZG_SLICE("github"), 0).len,
		sizeof("Bearer ") - 1 + ZG_SECRET_LINE_BYTES);
	put(p, "token", big, ZG_SECRET_LINE_BYTES + 1, 0600);
	refused(p, "longer than");
}

static void a_header_has_its_name(void **state)
{
	struct place *p = *state;
	char path[256];

	wants(p, ZG_SK_HEADER, "key");
	put_text(p, "key", "s3cret\n", 0400);
	held(p, ZG_SK_HEADER, "github", "X-Api-Key: s3cret");
	/* the same file by its whole path */
	path_in(p, "key", path);
	wants(p, ZG_SK_HEADER, path);
	held(p, ZG_SK_HEADER, "github", "X-Api-Key: s3cret");
}

static void whose_file_it_is(void **state)
{
	static const struct {
		enum zg_secret_kind kind;
		mode_t mode;
		const char *refused;
	} cases[] = {
		{ZG_SK_AUTHORIZATION, 0600, NULL},
		{ZG_SK_AUTHORIZATION, 0640, "others than root can read it"},
		{ZG_SK_AUTHORIZATION, 0604, "others than root can read it"},
		{ZG_SK_CLIENT_KEY, 0400, NULL},
		{ZG_SK_CLIENT_KEY, 0644, "others than root can read it"},
		{ZG_SK_CLIENT_CERT, 0644, NULL},
		{ZG_SK_CLIENT_CERT, 0664, "others than root can write it"},
		{ZG_SK_CA_BUNDLE, 0444, NULL},
		{ZG_SK_CA_BUNDLE, 0646, "others than root can write it"},
	};
	struct place *p = *state;
	char path[256], said[512];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		wants(p, cases[i].kind, "file");
		put_text(p, "file", "s3cret", cases[i].mode);
		if (cases[i].refused)
			refused(p, cases[i].refused);
		else
			assert_int_equal(read_all(p, said), 0);
	}
	if (geteuid() != 0)
		return;
	path_in(p, "file", path);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		wants(p, cases[i].kind, "file");
		put_text(p, "file", "s3cret", 0600);
		assert_int_equal(chown(path, 65534, 65534), 0);
		refused(p, "or own it");
	}
}

static void what_is_no_file(void **state)
{
	struct place *p = *state;
	static char big[ZG_SECRET_FILE_BYTES + 1];
	char path[256], real[256];

	wants(p, ZG_SK_AUTHORIZATION, "thing");
	refused(p, "No such file");
	path_in(p, "thing", path);
	path_in(p, "real", real);
	assert_int_equal(mkdir(path, 0700), 0);
	refused(p, "not a regular file");
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(mkfifo(path, 0600), 0);
	refused(p, "not a regular file"); /* and does not wait for its other end */
	assert_int_equal(unlink(path), 0);
	put_text(p, "real", "s3cret", 0600);
	assert_int_equal(symlink(real, path), 0);
	refused(p, "symbolic link");
	put(p, "thing", big, sizeof(big), 0600);
	refused(p, "larger than");
}

static void credentials_of_the_service(void **state)
{
	struct place *p = *state;
	char dir[256];

	wants(p, ZG_SK_AUTHORIZATION, "credential:api");
	refused(p, "LoadCredential=api:/path");
	path_in(p, "given", dir);
	assert_int_equal(mkdir(dir, 0700), 0);
	assert_int_equal(setenv("CREDENTIALS_DIRECTORY", dir, 1), 0);
	refused(p, "No such file");
	put_text(p, "given/api", "s3cret", 0440); /* as systemd makes them */
	held(p, ZG_SK_AUTHORIZATION, "github", "Bearer s3cret");
	put_text(p, "given/api", "s3cret\r\nX: 1", 0440);
	refused(p, "not one line");
}

static void the_proxy_is_shown_user_and_password(void **state)
{
	struct place *p = *state;

	p->snapshot.credential_count = 0;
	(void)snprintf(p->settings.proxy.credentials_file,
		       sizeof(p->settings.proxy.credentials_file), "login");
	refused(p, "No such file");
	put_text(p, "login", "me:s3cret:more\n", 0600);
	held(p, ZG_SK_PROXY, "", "me:s3cret:more");
	put_text(p, "login", "me:s3cret", 0640);
	refused(p, "others than root can read it");
	put_text(p, "login", "s3cret", 0600);
	refused(p, "not \"user:password\"");
	put_text(p, "login", "me:s3cret\r\nX: 1", 0600);
	refused(p, "not one line");
}

static void the_seal_key_is_made_once(void **state)
{
	struct place *p = *state;
	char path[256], said[512], first[32];
	struct zg_slice key;

	p->snapshot.credential_count = 0;
	assert_int_equal(read_all(p, said), 0);
	key = zg_secrets_find(&p->secrets, ZG_SK_SEAL, ZG_SLICE(""), 0);
	assert_int_equal(key.len, sizeof(first));
	memcpy(first, key.ptr, sizeof(first));
	assert_int_equal(read_all(p, said), 0);
	key = zg_secrets_find(&p->secrets, ZG_SK_SEAL, ZG_SLICE(""), 0);
	assert_memory_equal(key.ptr, first, sizeof(first));
	path_in(p, "seal.key", path);
	assert_int_equal(chmod(path, 0640), 0);
	refused(p, "seal.key");
	assert_int_equal(chmod(path, 0600), 0);
	assert_int_equal(truncate(path, 31), 0);
	refused(p, "seal.key");
	/* lost, it is another: sessions end, nothing else does */
	assert_int_equal(unlink(path), 0);
	assert_int_equal(read_all(p, said), 0);
	key = zg_secrets_find(&p->secrets, ZG_SK_SEAL, ZG_SLICE(""), 0);
	assert_memory_not_equal(key.ptr, first, sizeof(first));
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(a_token_is_one_line),	  TEST(a_header_has_its_name),
		TEST(whose_file_it_is),		  TEST(what_is_no_file),
		TEST(credentials_of_the_service), TEST(the_proxy_is_shown_user_and_password),
		TEST(the_seal_key_is_made_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
