/* SPDX-License-Identifier: Apache-2.0 */
/*
 * contain.c - see contain.h. Trust: who may ask was decided by control.c; the
 * name and the reason are the asker's words. The gate is closed first and the
 * marker written then; it is removed first and the gate opened then. So whatever
 * fails in between leaves the profile contained.
 */
#include "contain.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>

#include "log.h"
#include "local.h"
#include "withdraw.h"

static bool fits_a_marker(const char *name)
{
	return name[0] && name[0] != '.' && !strchr(name, '/');
}

/* 0, or -errno: then it is not known what a crash would leave. */
static int set_marker(int dir, const char *name, bool present)
{
	if (present) {
		zg_autofd int fd =
			openat(dir, name, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

		if (fd < 0)
			return -errno;
	} else if (unlinkat(dir, name, 0) < 0 && errno != ENOENT) {
		return -errno;
	}
	return fsync(dir) < 0 ? -errno : 0;
}

int zg_contain_restore(struct zg_parent *p, struct zg_err *e)
{
	int fd = openat(p->contained_dir, ".", O_DIRECTORY | O_RDONLY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *de;
	int rc = 0;

	if (!dir) {
		rc = zg_err_set(e, errno, "cannot read which profiles are contained: %m");
		zg_close_(&fd);
		return rc;
	}
	while (rc == 0 && (de = readdir(dir))) {
		if (!fits_a_marker(de->d_name) || strlen(de->d_name) >= ZG_NAME_LEN)
			continue;
		rc = zg_kernel_contain(p->kernel, de->d_name, true);
		zg_log(ZG_LOG_NOTICE, "profile %s is contained", de->d_name);
	}
	(void)closedir(dir);
	return rc < 0 ? zg_err_set(e, -rc, "cannot contain a profile again: %s", strerror(-rc)) : 0;
}

static void add_name(char *out, size_t size, const char *name)
{
	size_t n = strlen(out);

	(void)snprintf(out + n, size - n, "%s%s", n ? ", " : "", name); /* cut at the end */
}

void zg_contain_list(const struct zg_parent *p, char *out, size_t size)
{
	out[0] = '\0';
	for (size_t i = 0; i < p->snapshot.profile_count; i++)
		if (zg_kernel_contained(p->kernel, p->snapshot.profiles[i].name))
			add_name(out, size, p->snapshot.profiles[i].name);
}

static int unknown(const struct zg_parent *p, const char *name, struct zg_err *e)
{
	char names[ZG_REASON_LEN] = "";
	int rc = zg_err_set(e, ENOENT, "there is no profile '%s'", name);

	for (size_t i = 0; i < p->snapshot.profile_count; i++)
		if (p->snapshot.profiles[i].narrows == ZG_PROFILE_NONE)
			add_name(names, sizeof(names), p->snapshot.profiles[i].name);
	zg_err_hint(e, "profiles in force: %.200s", names);
	return rc;
}

static void record(struct zg_parent *p, const struct zg_msg_ctl_contain *ask, pid_t pid, uid_t uid,
		   uint32_t ended)
{
	char text[ZG_REASON_LEN];
	struct zg_record r;

	(void)snprintf(text, sizeof(text),
		       ask->resume ? "profile %s is no longer contained"
				   : "profile %s is contained: everything is denied to it",
		       ask->profile);
	zg_log(ask->resume ? ZG_LOG_NOTICE : ZG_LOG_WARN, "%s (uid %u)", text, (unsigned)uid);
	zg_record_init(&r, ask->resume ? ZG_RK_PROFILE_RESUME : ZG_RK_PROFILE_CONTAIN);
	zg_record_str(&r, ZG_RF_message, zg_slice_str(text));
	zg_record_str(&r, ZG_RF_profile, zg_slice_str(ask->profile));
	if (ask->reason[0])
		zg_record_str(&r, ZG_RF_reason, zg_slice_str(ask->reason));
	ZG_REC_NUM(&r, approver_uid, uid);
	ZG_REC_NUM(&r, approver_pid, (uint64_t)pid);
	if (!ask->resume)
		ZG_REC_NUM(&r, count, ended);
	zg_record_bytes(&r, ZG_RF_snapshot, p->snapshot.header->id);
	(void)zg_events_record(p, &r);
}

static int contain(struct zg_parent *p, const char *name, struct zg_err *e)
{
	int rc = zg_kernel_contain(p->kernel, name, true);

	if (rc < 0)
		return zg_err_set(e, -rc, "profile %s cannot be contained: %s", name,
				  strerror(-rc));
	rc = set_marker(p->contained_dir, name, true);
	return rc < 0 ? zg_err_set(e, -rc,
				   "profile %s is contained, but a reboot would lift that: %s",
				   name, strerror(-rc))
		      : 0;
}

static int resume(struct zg_parent *p, const char *name, struct zg_err *e)
{
	int rc = set_marker(p->contained_dir, name, false);

	if (rc == 0)
		rc = zg_kernel_contain(p->kernel, name, false);
	return rc < 0 ? zg_err_set(e, -rc, "profile %s stays contained: %s", name, strerror(-rc))
		      : 0;
}

int zg_contain(struct zg_parent *p, const struct zg_msg_ctl_contain *ask, pid_t pid, uid_t uid,
	       struct zg_msg_ctl_contained *out, struct zg_err *e)
{
	bool was = zg_kernel_contained(p->kernel, ask->profile);
	struct zg_withdrawn w = {0};
	int rc;

	if (!fits_a_marker(ask->profile) ||
	    (!was && !zg_snapshot_profile_id(&p->snapshot, zg_slice_str(ask->profile))))
		return unknown(p, ask->profile, e);
	rc = ask->resume ? resume(p, ask->profile, e) : contain(p, ask->profile, e);
	if (zg_kernel_contained(p->kernel, ask->profile) == !ask->resume) {
		if (!ask->resume) {
			zg_stdio_reconsider(p); /* first: narrowed servers are widened to it */
			w = zg_withdraw(p);
		}
		record(p, ask, pid, uid, w.ended);
	}
	*out = (struct zg_msg_ctl_contained){.was = was, .ended = w.ended, .left = w.left};
	return rc;
}
