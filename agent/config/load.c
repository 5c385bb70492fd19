/* SPDX-License-Identifier: Apache-2.0 */
/*
 * load.c - see load.h. Trust: runs as the user who asks, on files that this
 * user names; what the agent would refuse is refused here, or said.
 */
#include "load.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "snapshot.h"

struct loader {
	struct zg_build *build;
	struct zg_diag *diag;
	size_t files;
};

static bool shape_ok(struct loader *l, const char *path, const struct stat *st)
{
	if (!S_ISREG(st->st_mode)) {
		zg_diag_error(l->diag, path, 0, 0, "not a regular file");
		return false;
	}
	if (st->st_mode & S_IWOTH) {
		zg_diag_error(l->diag, path, 0, 0, "everybody can write to it");
		zg_diag_hint(l->diag, "chmod go-w %s", path);
		return false;
	}
	if (st->st_mode & S_IWGRP) {
		/* usual in a working copy, but not on a host */
		zg_diag_notice(l->diag, path, 0, 0,
			       "its group can write to it: the agent refuses "
			       "such a file");
		zg_diag_hint(l->diag, "chmod go-w %s", path);
	}
	if (st->st_size > ZG_CONFIG_FILE_BYTES) {
		zg_diag_error(l->diag, path, 0, 0, "larger than %d bytes", ZG_CONFIG_FILE_BYTES);
		return false;
	}
	return true;
}

static void load_file(struct loader *l, enum zg_config_file kind, const char *path)
{
	zg_autofd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | O_NOFOLLOW);
	/* one byte more than is allowed: the reader of the text then refuses it */
	zg_autobuf text = ZG_BUF(ZG_CONFIG_FILE_BYTES + 1);
	struct stat st;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0) {
		zg_diag_error(l->diag, path, 0, 0, "cannot be opened: %s",
			      errno == ELOOP ? "it is a symbolic link" : strerror(errno));
		return;
	}
	if (!shape_ok(l, path, &st))
		return;
	r = zg_buf_read(&text, fd);
	if (r < 0 && r != -EFBIG)
		zg_diag_error(l->diag, path, 0, 0, "cannot be read: %s", strerror(-r));
	else
		zg_build_add(l->build, kind, path, zg_buf_slice(&text));
}

static bool ends_in(const char *name, const char *suffix)
{
	size_t n = strlen(name), m = strlen(suffix);

	return name[0] != '.' && n > m && strcmp(name + n - m, suffix) == 0;
}

/* In the order of their names, so that errors come in a stable order. */
static void load_folder(struct loader *l, enum zg_config_file kind, const char *folder,
			const char *suffix)
{
	struct dirent **list = NULL;
	char path[2 * ZG_PATH_LEN];
	int n = scandir(folder, &list, NULL, alphasort);

	if (n < 0) {
		zg_diag_error(l->diag, folder, 0, 0, "cannot be listed: %s", strerror(errno));
		return;
	}
	for (int i = 0; i < n; i++) {
		if (ends_in(list[i]->d_name, suffix)) {
			if (++l->files > ZG_CONFIG_FILES_MAX)
				zg_diag_error(l->diag, folder, 0, 0, "more than %d files",
					      ZG_CONFIG_FILES_MAX);
			else if (snprintf(path, sizeof(path), "%s/%s", folder, list[i]->d_name) >=
				 ZG_PATH_LEN)
				zg_diag_error(l->diag, folder, 0, 0, "the path of %s is too long",
					      list[i]->d_name);
			else
				load_file(l, kind, path);
		}
		free(list[i]);
	}
	free(list);
}

/* A path as the configuration means it: relative to the folder it stands in. */
static bool resolve(struct loader *l, const char *config, const char *path, char *out)
{
	const char *slash = strrchr(config, '/');
	int folder = slash && path[0] != '/' ? (int)(slash - config) + 1 : 0;
	int n = snprintf(out, ZG_PATH_LEN, "%.*s%s", folder, config, path);

	if (n < 0 || n >= ZG_PATH_LEN) {
		zg_diag_error(l->diag, config, 0, 0, "the path of '%s' is too long", path);
		return false;
	}
	return true;
}

static void load_jwks(struct loader *l, const char *config, const struct zg_settings *s)
{
	char path[ZG_PATH_LEN];

	for (uint32_t i = 0; i < s->listen_count; i++)
		for (uint32_t j = 0; j < s->auth[i].issuer_count; j++)
			if (resolve(l, config, s->auth[i].issuer[j].jwks_file, path))
				load_file(l, ZG_CF_JWKS, path);
}

/* Whose signatures count, and what they signed. */
static void load_signatures(struct loader *l, const char *config, const struct zg_loaded *made,
			    const struct zg_settings *s)
{
	char path[2 * ZG_PATH_LEN];

	for (uint32_t i = 0; i < s->signer_count; i++)
		if (!zg_signer_is_key(s->signer[i]) && resolve(l, config, s->signer[i], path))
			load_file(l, ZG_CF_SIGNER, path);
	if (snprintf(path, sizeof(path), "%s/" ZG_SIGNATURE_FILE, made->policies) < ZG_PATH_LEN &&
	    access(path, F_OK) == 0)
		load_file(l, ZG_CF_SIGNATURE, path);
}

/* What the ledger of an agent with this configuration says of servers, if there is
 * one and the caller may see it. */
static void load_registry(struct loader *l, const char *config, const struct zg_settings *s)
{
	char state[ZG_PATH_LEN], folder[ZG_PATH_LEN + 16];

	if (!resolve(l, config, s->state_dir, state))
		return;
	(void)snprintf(folder, sizeof(folder), "%s/registry", state);
	if (access(folder, R_OK | X_OK) == 0)
		load_folder(l, ZG_CF_REGISTRY, folder, ".json");
	else if (errno != ENOENT)
		zg_diag_notice(l->diag, folder, 0, 0,
			       "cannot be read: servers that were approved, suspended or revoked "
			       "with zerogate servers do not count here");
}

int zg_load(struct zg_loaded *out, const char *config, struct zg_diag *diag)
{
	return zg_load_as(out, config, &(const struct zg_load_how){0}, diag);
}

int zg_load_as(struct zg_loaded *out, const char *config, const struct zg_load_how *how,
	       struct zg_diag *diag)
{
	struct loader l = {.build = zg_build_new(diag), .diag = diag};
	struct zg_loaded made = {.snapshot = ZG_BUF(ZG_SNAPSHOT_BYTES),
				 .canonical = ZG_BUF(ZG_SNAPSHOT_BYTES)};
	const struct zg_settings *s;
	char shadow[ZG_PATH_LEN];
	int r = -EINVAL;

	if (!l.build) {
		zg_diag_error(diag, "", 0, 0, "out of memory");
		return -EINVAL;
	}
	zg_build_canonical(l.build, &made.canonical);
	if (!how->is_signed)
		zg_build_unsigned(l.build);
	load_file(&l, ZG_CF_MAIN, config);
	s = zg_build_settings(l.build);
	if (!diag->errors && resolve(&l, config, s->policies, made.policies) &&
	    resolve(&l, config, s->servers, made.servers)) {
		load_folder(&l, ZG_CF_POLICY, made.policies, ".yaml");
		load_folder(&l, ZG_CF_SERVER, made.servers, ".json");
		load_registry(&l, config, s);
		load_jwks(&l, config, s);
		if (how->is_signed && s->require_signed)
			load_signatures(&l, config, &made, s);
		if (s->shadow_policies[0] && resolve(&l, config, s->shadow_policies, shadow))
			load_folder(&l, ZG_CF_SHADOW, shadow, ".yaml");
		r = zg_build_finish(l.build, ZG_BUILD_POLICY, &made.snapshot, made.id,
				    &made.counts);
	}
	if (r == 0 && how->lint &&
	    zg_build_lint(l.build, how->seen, how->seen_count, how->lint) < 0)
		zg_diag_notice(diag, config, 0, 0, "too large to be looked through for mistakes");
	zg_build_free(l.build);
	if (r < 0)
		zg_loaded_release(&made);
	else
		*out = made;
	return r;
}

void zg_loaded_release(struct zg_loaded *l)
{
	zg_buf_release(&l->snapshot);
	zg_buf_release(&l->canonical);
}

struct zg_slice zg_loaded_section(const struct zg_loaded *l, enum zg_section which)
{
	const struct zg_snapshot_header *h = (const void *)l->snapshot.ptr;

	return (struct zg_slice){l->snapshot.ptr + h->section[which].offset,
				 h->section[which].bytes};
}
