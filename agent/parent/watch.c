/* SPDX-License-Identifier: Apache-2.0 */
/*
 * watch.c - see watch.h. Trust: names that inotify tells of folders that only
 * root and the configuration's owner can write to; they are compared, never
 * opened. Folders that everybody can write to are left out: whoever fills one
 * would keep the loop busy.
 */
#include "watch.h"

#include <errno.h>
#include <limits.h>
#include <sys/inotify.h>
#include <sys/stat.h>

#include "log.h"
#include "state.h"

#define COMES_AND_GOES (IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE)
#define OF_A_FILE      (COMES_AND_GOES | IN_MODIFY | IN_CLOSE_WRITE | IN_ATTRIB)

/* A name in a folder, or all names with a suffix. */
struct row {
	int wd;
	bool suffix;
	bool file; /* else a folder or link on the way to one */
	char name[NAME_MAX + 1];
};

/* A file that somebody has written to and not closed. */
struct writer {
	int wd; /* 0 = free */
	char name[NAME_MAX + 1];
};

struct zg_watch {
	int fd;
	struct row row[ZG_WATCH_ROWS];
	size_t rows;
	struct writer writer[ZG_WATCH_WRITERS];
	struct event *readable;
	struct event *settled; /* timer */
	uint64_t first_ms;     /* the oldest change that is not loaded; 0 = none */
	uint64_t last_ms;      /* the newest */
	uint64_t loaded_ms;    /* when the last load began */
};

/* what is looked at -------------------------------------------------------- */

static void add_row(struct zg_watch *w, const char *folder, const char *name, bool suffix,
		    bool file)
{
	struct row *r = &w->row[w->rows];
	struct stat st;

	if (w->rows == ZG_WATCH_ROWS || strlen(name) > NAME_MAX || stat(folder, &st) < 0 ||
	    (st.st_mode & S_IWOTH))
		return;
	/* without IN_MASK_ADD the second row of a folder would undo the first */
	r->wd = inotify_add_watch(w->fd, folder,
				  (file ? OF_A_FILE : COMES_AND_GOES) | IN_MASK_ADD | IN_ONLYDIR);
	if (r->wd < 0)
		return;
	r->suffix = suffix;
	r->file = file;
	(void)zg_str_cut(r->name, sizeof(r->name), zg_slice_str(name));
	w->rows++;
}

/* Every folder on the way, for the name that comes next: a link that is made to
 * lead elsewhere, a folder that is renamed into another's place. */
static void add_way(struct zg_watch *w, const char *path)
{
	char folder[ZG_PATH_LEN], name[NAME_MAX + 1];
	const char *at = path, *slash;

	while (at && (slash = strchr(at + 1, '/'))) {
		size_t n = (size_t)(slash - at - 1);

		(void)zg_str_cut(folder, sizeof(folder),
				 at == path ? ZG_SLICE("/")
					    : (struct zg_slice){path, (size_t)(at - path)});
		if (n && zg_str_cut(name, sizeof(name), (struct zg_slice){at + 1, n}))
			add_row(w, folder, name, false, false);
		at = slash;
	}
}

static void add_file(struct zg_watch *w, const char *path)
{
	const char *slash = strrchr(path, '/');
	char folder[ZG_PATH_LEN];

	if (!slash || !slash[1])
		return;
	(void)zg_str_cut(folder, sizeof(folder),
			 slash == path ? ZG_SLICE("/")
				       : (struct zg_slice){path, (size_t)(slash - path)});
	add_row(w, folder, slash + 1, false, true);
}

/* A folder as it was named, which may be a link, and where that leads. */
static void add_folder(struct zg_watch *w, const struct zg_parent *p, const char *named,
		       const char *leads_to, const char *suffix)
{
	const char *slash = strrchr(p->config_named, '/');
	char path[2 * ZG_PATH_LEN];
	int n;

	if (named[0] == '/')
		n = snprintf(path, sizeof(path), "%s%s/", p->options->prefix, named);
	else
		n = snprintf(path, sizeof(path), "%.*s/%s/", (int)(slash - p->config_named),
			     p->config_named, named);
	if (n > 0 && n < ZG_PATH_LEN)
		add_way(w, path);
	add_row(w, leads_to, suffix, true, true);
}

static void look(struct zg_watch *w, const struct zg_parent *p)
{
	w->rows = 0;
	memset(w->writer, 0, sizeof(w->writer));
	w->first_ms = 0;
	add_way(w, p->config_named);
	add_file(w, p->config_named);
	add_file(w, p->config);
	add_folder(w, p, p->settings.policies, p->policies, ".yaml");
	add_folder(w, p, p->settings.servers, p->servers, ".json");
	add_folder(w, p, p->settings.policies, p->policies, ZG_SIGNATURE_FILE);
	if (p->shadow_policies[0])
		add_folder(w, p, p->settings.shadow_policies, p->shadow_policies, ".yaml");
}

/* what is seen --------------------------------------------------------------- */

static bool matches(const struct row *r, const char *name)
{
	size_t n = strlen(name), m = strlen(r->name);

	if (!r->suffix)
		return strcmp(name, r->name) == 0;
	return name[0] != '.' && n > m && strcmp(name + n - m, r->name) == 0;
}

static const struct row *find(const struct zg_watch *w, const struct inotify_event *ev)
{
	for (size_t i = 0; i < w->rows && ev->len; i++)
		if (w->row[i].wd == ev->wd && matches(&w->row[i], ev->name))
			return &w->row[i];
	return NULL;
}

/* Half of a policy can be a policy: one is not read while somebody writes it. */
static void note_writer(struct zg_watch *w, const struct inotify_event *ev)
{
	struct writer *room = NULL;

	for (size_t i = 0; i < ZG_WATCH_WRITERS; i++) {
		struct writer *at = &w->writer[i];

		if (!at->wd)
			room = room ? room : at;
		else if (at->wd == ev->wd && strcmp(at->name, ev->name) == 0) {
			if (!(ev->mask & IN_MODIFY))
				at->wd = 0;
			return;
		}
	}
	if ((ev->mask & IN_MODIFY) && room &&
	    zg_str_cut(room->name, sizeof(room->name), zg_slice_str(ev->name)))
		room->wd = ev->wd;
}

static bool being_written(const struct zg_watch *w)
{
	for (size_t i = 0; i < ZG_WATCH_WRITERS; i++)
		if (w->writer[i].wd)
			return true;
	return false;
}

static void take_event(struct zg_watch *w, const struct inotify_event *ev, uint64_t now)
{
	const struct row *r = find(w, ev);

	/* a lost event could have been any */
	if (!r && !(ev->mask & (IN_Q_OVERFLOW | IN_IGNORED)))
		return;
	if (r && r->file && (ev->mask & (IN_MODIFY | IN_CLOSE_WRITE | IN_DELETE | IN_MOVED_FROM)))
		note_writer(w, ev);
	w->last_ms = now;
	if (!w->first_ms)
		w->first_ms = now;
}

/* When what was seen is to be loaded. */
static uint64_t due_ms(const struct zg_watch *w)
{
	uint64_t latest =
		w->first_ms + (being_written(w) ? ZG_WATCH_WRITER_MS : ZG_WATCH_LATEST_MS);
	uint64_t quiet = being_written(w) ? latest : w->last_ms + ZG_WATCH_QUIET_MS;
	uint64_t due = quiet < latest ? quiet : latest;

	return due > w->loaded_ms + ZG_WATCH_PAUSE_MS ? due : w->loaded_ms + ZG_WATCH_PAUSE_MS;
}

static void arm(struct zg_watch *w)
{
	uint64_t now = zg_parent_now_ms(), due = due_ms(w);
	uint64_t left = due > now ? due - now : 0;
	const struct timeval in = {.tv_sec = (time_t)(left / 1000),
				   .tv_usec = (suseconds_t)(left % 1000 * 1000)};

	(void)event_add(w->settled, &in);
}

static void on_settled(evutil_socket_t fd, short what, void *arg)
{
	struct zg_parent *p = arg;
	struct zg_watch *w = p->watch;

	(void)fd;
	(void)what;
	if (!w->first_ms)
		return;
	if (due_ms(w) > zg_parent_now_ms()) {
		arm(w);
		return;
	}
	w->first_ms = 0;
	if (p->snapshot.settings->reload_on_change)
		zg_parent_reload_changed(p);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	_Alignas(struct inotify_event) char room[16384];
	struct zg_parent *p = arg;
	struct zg_watch *w = p->watch;
	uint64_t now = zg_parent_now_ms();
	ssize_t n = read(fd, room, sizeof(room));

	(void)what;
	for (ssize_t at = 0; at < n;) {
		const struct inotify_event *ev = (const void *)(room + at);

		take_event(w, ev, now);
		at += (ssize_t)(sizeof(*ev) + ev->len);
	}
	if (w->first_ms)
		arm(w);
}

/* life ------------------------------------------------------------------------- */

static int hear(struct zg_parent *p, struct zg_watch *w)
{
	w->readable = event_new(p->loop, w->fd, EV_READ | EV_PERSIST, on_readable, p);
	return w->readable && event_add(w->readable, NULL) == 0 ? 0 : -ENOMEM;
}

static void forget(struct zg_watch *w)
{
	if (w->readable)
		event_free(w->readable);
	w->readable = NULL;
	zg_close_(&w->fd);
	w->fd = -1;
}

void zg_watch_look(struct zg_parent *p)
{
	struct zg_watch *w = p->watch;
	bool heard;

	if (!w) {
		w = p->watch = calloc(1, sizeof(*w));
		if (!w)
			return; /* zg_watch_start says so */
		w->fd = -1;
	}
	heard = w->settled != NULL;
	/* watches of a folder that was replaced would stay with the old one */
	forget(w);
	w->loaded_ms = zg_parent_now_ms();
	w->fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (w->fd >= 0)
		look(w, p);
	if (w->fd < 0 || (heard && hear(p, w) < 0))
		zg_log(ZG_LOG_WARN, "files that change are not noticed: %m");
}

int zg_watch_start(struct zg_parent *p, struct zg_err *e)
{
	struct zg_watch *w = p->watch;

	if (w)
		w->settled = event_new(p->loop, -1, 0, on_settled, p);
	if (!w || !w->settled || (w->fd >= 0 && hear(p, w) < 0))
		return zg_err_set(e, ENOMEM, "no memory to watch the configuration");
	return 0;
}

void zg_watch_free(struct zg_parent *p)
{
	struct zg_watch *w = p->watch;

	if (!w)
		return;
	forget(w);
	if (w->settled)
		event_free(w->settled);
	free(w);
	p->watch = NULL;
}
