/* SPDX-License-Identifier: Apache-2.0 */
/*
 * approvals_watch.c - `zerogate approvals watch`: the queue as it is now, and one
 * key decides. Trust: as approvals.c. The agent tells what changes; nothing is
 * polled. The terminal is put back as it was on every way out.
 */
#include "approvals.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <termios.h>

#include "approval_row.h"

#define ROWS_FIRST   64	 /* doubled as the queue grows, to what the ledger lets wait */
#define MESSAGES_MAX 256 /* between two looks at the keyboard */
#define ROWS_DEFAULT 24

enum { LINES_AROUND = 5 }; /* head, empty, message, keys, prompt */

/* What a line shows of one that waits: a row as it comes is 30 times as long. */
struct waiting {
	char approval[ZG_NAME_LEN];
	uint64_t created_ms, expires_ms;
	uint32_t uid, approvers, agreed;
	char server[ZG_SERVER_LEN];
	char tool[ZG_TOOL_LEN]; /* or the method */
};

struct watch {
	struct zg_cli *cli;
	int sock;
	bool terminal; /* it can be drawn on; else what changes is told line by line */
	bool keys;     /* somebody may press some */
	bool ready;    /* all that stood there before has come */
	bool quit;
	int status;
	bool marked;	     /* keys are about row[at]; else about none until j or k */
	bool unseen;	     /* it came and was marked since the last drawing */
	struct waiting *row; /* oldest first */
	size_t count, room, at;
	char note[ZG_REASON_LEN]; /* what came of the last key */
};

/* --- the terminal ------------------------------------------------------------------ */

static struct termios saved;
static volatile sig_atomic_t raw, resized, hidden; /* hidden: the cursor */

static void restore(void)
{
	static const char show_cursor[] = "\033[?7h\033[?25h"; /* and long lines wrap again */

	if (!raw)
		return;
	raw = 0;
	(void)tcsetattr(STDIN_FILENO, TCSANOW, &saved);
	if (hidden && write(STDOUT_FILENO, show_cursor, sizeof(show_cursor) - 1) < 0)
		return; /* it is gone, and needs nothing any more */
}

/* Put the terminal back, then end as the signal would have. */
static void on_signal(int number)
{
	restore();
	(void)signal(number, SIG_DFL);
	(void)raise(number);
}

static void on_resize(int number)
{
	(void)number;
	resized = 1;
}

static bool enter_raw(void)
{
	static const int ends[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE, SIGABRT, SIGSEGV};
	struct sigaction end = {.sa_handler = on_signal}, resize = {.sa_handler = on_resize};
	struct termios t;

	if (tcgetattr(STDIN_FILENO, &saved) < 0)
		return false;
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
		if (sigaction(ends[i], &end, NULL) < 0)
			return false;
	if (sigaction(SIGWINCH, &resize, NULL) < 0 || atexit(restore) != 0)
		return false;
	t = saved;
	t.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	t.c_cc[VMIN] = 1;
	t.c_cc[VTIME] = 0;
	t.c_cc[VSUSP] = _POSIX_VDISABLE; /* a stopped watch would leave it raw */
	raw = 1;
	if (tcsetattr(STDIN_FILENO, TCSANOW, &t) == 0)
		return true;
	raw = 0;
	return false;
}

/* A line that is typed, with the terminal's own editing; false: none. */
static bool type_line(struct watch *w, const char *prompt, char *out, size_t size)
{
	struct termios t = saved, was;
	bool ok, changed = raw && tcgetattr(STDIN_FILENO, &was) == 0;
	size_t n = 0;
	char c = 0;

	fputs(prompt, stdout);
	(void)fflush(stdout);
	if (changed)
		(void)tcsetattr(STDIN_FILENO, TCSANOW, &t);
	/* by single bytes: what follows the line is keys */
	while ((ok = read(STDIN_FILENO, &c, 1) == 1) && c != '\n' && c != '\r')
		if (n + 1 < size)
			out[n++] = c;
	out[n] = '\0';
	if (changed)
		(void)tcsetattr(STDIN_FILENO, TCSANOW, &was);
	if (!ok)
		w->quit = true;
	return ok;
}

/* --- drawing ----------------------------------------------------------------------- */

static size_t height(void)
{
	struct winsize size;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_row <= LINES_AROUND)
		return ROWS_DEFAULT - LINES_AROUND;
	return (size_t)size.ws_row - LINES_AROUND;
}

static void print_row(const struct waiting *r)
{
	struct zg_msg_ctl_approval a = {.state = ZG_AS_PENDING,
					.created_ms = r->created_ms,
					.expires_ms = r->expires_ms,
					.approvers = r->approvers,
					.agreed = r->agreed,
					.principal.uid = r->uid};

	memcpy(a.approval, r->approval, sizeof(a.approval));
	memcpy(a.server, r->server, sizeof(a.server));
	memcpy(a.tool, r->tool, sizeof(a.tool));
	zg_approval_row(&a);
}

static void draw(struct watch *w)
{
	size_t rows = height(), first = w->at >= rows ? w->at - rows + 1 : 0;

	w->unseen = false;
	if (!w->terminal)
		return;
	hidden = 1;
	/* a line that is too long is cut: wrapped, it would push another one off the screen */
	fputs("\033[?25l\033[?7l\033[H\033[2J  ", stdout);
	zg_approvals_header();
	putchar('\n');
	for (size_t i = first; i < w->count && i < first + rows; i++) {
		fputs(w->marked && i == w->at ? "\033[7m> " : "  ", stdout);
		print_row(&w->row[i]);
		fputs("\033[0m\n", stdout);
	}
	fputs("\033[?7h", stdout);
	if (!w->count)
		puts("  nothing waits for approval");
	else if (w->count > rows)
		printf("  %zu to %zu of %zu that wait", first + 1,
		       first + rows < w->count ? first + rows : w->count, w->count);
	putchar('\n');
	zg_print_safe(stdout, w->note);
	fputs("\na approve  d deny  D deny with a reason  b break the glass  s show  j/k move  "
	      "q quit\n",
	      stdout);
	(void)fflush(stdout);
}

static int tell_json(const struct zg_msg_ctl_approval *a)
{
	zg_autobuf b = ZG_BUF(ZG_APPROVALS_JSON_MAX);

	zg_buf_char(&b, '{');
	zg_approval_json(&b, a, false);
	zg_buf_str(&b, "}\n");
	return zg_approvals_print(&b);
}

static int tell_now(const struct zg_msg_ctl_approvals_now *now)
{
	zg_autobuf b = ZG_BUF(256);

	zg_buf_fmt(&b, "{\"waiting\":%llu}\n", (unsigned long long)now->pending);
	return zg_approvals_print(&b);
}

/* --- what the agent tells ------------------------------------------------------------ */

static void mark(struct watch *w, size_t i)
{
	w->at = i;
	w->marked = true;
}

/* The mark stays with its approval. When that is gone none is marked: a key that was
 * meant for it must not decide on the one that took its place. */
static void drop_row(struct watch *w, size_t i)
{
	memmove(&w->row[i], &w->row[i + 1], (w->count - i - 1) * sizeof(*w->row));
	w->count--;
	if (i == w->at)
		w->marked = false;
	if (w->at && (i < w->at || w->at >= w->count))
		w->at--;
}

static bool make_room(struct watch *w)
{
	size_t room = w->room ? 2 * w->room : ROWS_FIRST;
	struct waiting *more;

	if (w->count < w->room)
		return true;
	if (room > ZG_APPROVALS_PENDING_MAX)
		room = ZG_APPROVALS_PENDING_MAX;
	more = w->count < room ? realloc(w->row, room * sizeof(*more)) : NULL;
	if (!more) {
		fputs("zerogate: more wait than can be watched: zerogate approvals list\n", stderr);
		w->status = ZG_EXIT_NO;
		w->quit = true;
		return false;
	}
	w->row = more;
	w->room = room;
	return true;
}

static void set_row(struct waiting *r, const struct zg_msg_ctl_approval *a)
{
	*r = (struct waiting){.created_ms = a->created_ms,
			      .expires_ms = a->expires_ms,
			      .uid = a->principal.uid,
			      .approvers = a->approvers,
			      .agreed = a->agreed};
	memcpy(r->approval, a->approval, sizeof(r->approval));
	memcpy(r->server, a->server, sizeof(r->server));
	(void)zg_str_cut(r->tool, sizeof(r->tool), zg_slice_str(a->tool[0] ? a->tool : a->method));
}

static void take_row(struct watch *w, const struct zg_msg_ctl_approval *a)
{
	/* what stood there before comes once each: no need to look */
	size_t i = w->ready ? 0 : w->count;

	if (w->cli->json) {
		w->status = tell_json(a);
		w->quit = w->status != ZG_EXIT_OK;
		return;
	}
	while (i < w->count && strcmp(w->row[i].approval, a->approval) != 0)
		i++;
	if (!w->terminal) {
		zg_approval_row(a);
		putchar('\n');
		(void)fflush(stdout);
	}
	if (a->state != ZG_AS_PENDING) {
		if (i < w->count)
			drop_row(w, i);
		return;
	}
	if (i == w->count) {
		if (!make_room(w))
			return;
		w->count++;
		if (w->count == 1) {
			mark(w, 0);
			w->unseen = true;
		}
	}
	set_row(&w->row[i], a);
}

static void take_rows(struct watch *w, const struct zg_msg *m)
{
	struct zg_msg_ctl_approval_rows rows;
	struct zg_msg_ctl_approval a;
	size_t at = 0;
	int rc = 0;

	memcpy(&rows, m->body, sizeof(rows));
	while (!w->quit && (rc = zg_approval_rows_next(&rows, &at, &a)) > 0)
		take_row(w, &a);
	if (rc < 0) {
		w->quit = true;
		w->status = ZG_EXIT_DAEMON;
	}
}

/* Whatever there is, without waiting. */
static void read_agent(struct watch *w)
{
	struct pollfd p = {.fd = w->sock, .events = POLLIN};
	struct zg_msg m = {.fd = -1};

	for (int i = 0; i < MESSAGES_MAX && !w->quit && poll(&p, 1, 0) > 0; i++) {
		int rc = zg_ctl_next(w->sock, &m, &w->status);

		if (rc <= 0) {
			w->quit = true;
			w->status = rc < 0 ? ZG_EXIT_DAEMON : w->status;
			return;
		}
		if (m.type == ZG_MSG_CTL_APPROVAL_ROWS) {
			take_rows(w, &m);
		} else if (m.type == ZG_MSG_CTL_APPROVALS_NOW) {
			struct zg_msg_ctl_approvals_now now;

			memcpy(&now, m.body, sizeof(now));
			w->ready = true;
			if (w->cli->json)
				w->status = tell_now(&now);
			else if (!w->terminal && !now.pending)
				puts("nothing waits for approval");
			(void)fflush(stdout);
		}
		zg_msg_release(&m);
	}
}

/* --- keys -------------------------------------------------------------------------- */

static void decide(struct watch *w, bool approve, bool break_glass, const char *reason)
{
	struct zg_msg_ctl_approval_decide m = {.approve = approve, .break_glass = break_glass};
	struct zg_msg_ctl_approval now = {0};
	const struct waiting *a = &w->row[w->at];

	memcpy(m.approval, a->approval, sizeof(m.approval));
	(void)zg_str_cut(m.reason, sizeof(m.reason), zg_slice_str(reason));
	if (zg_approval_decide(w->cli, &m, &now) == ZG_EXIT_OK)
		(void)snprintf(w->note, sizeof(w->note), "%s: %s%s", now.approval,
			       now.state == ZG_AS_DENIED    ? "denied"
			       : now.state == ZG_AS_PENDING ? "agreed; others have to as well"
							    : "approved",
			       now.break_glass ? " (break-glass)" : "");
	else
		(void)snprintf(w->note, sizeof(w->note), "%s: not decided", m.approval);
	if (!w->terminal) {
		puts(w->note);
		(void)fflush(stdout);
	}
}

/* Why it was not decided stands on stderr; so that it can be read before the next drawing. */
static void wait_for_key(struct watch *w)
{
	char line[8];

	if (w->terminal)
		(void)type_line(w, "\n(return)", line, sizeof(line));
}

static void show(struct watch *w)
{
	if (w->terminal)
		fputs("\033[H\033[2J", stdout);
	(void)fflush(stdout);
	(void)zg_approval_show(w->cli, w->row[w->at].approval);
	(void)fflush(stdout);
	wait_for_key(w);
}

/* Several people must agree: one of them says it twice. */
static void approve(struct watch *w)
{
	char said[8] = "";

	if (w->row[w->at].approvers > 1 &&
	    (!type_line(w, "several people must agree; do you? [y/N] ", said, sizeof(said)) ||
	     (said[0] != 'y' && said[0] != 'Y')))
		return;
	decide(w, true, false, "");
}

static void with_reason(struct watch *w, bool approve_it)
{
	char reason[ZG_REASON_LEN] = "";

	if (!type_line(w, approve_it ? "break the glass; the reason: " : "deny; the reason: ",
		       reason, sizeof(reason)))
		return;
	if (approve_it && !reason[0])
		(void)snprintf(w->note, sizeof(w->note), "breaking the glass takes a reason");
	else
		decide(w, approve_it, approve_it, reason);
}

static void move(struct watch *w, bool down)
{
	size_t to = w->at;

	if (w->marked && down)
		to += to + 1 < w->count;
	else if (w->marked)
		to -= to > 0;
	mark(w, to);
	if (!w->terminal) {
		fputs("> ", stdout);
		print_row(&w->row[to]);
		putchar('\n');
	}
}

static void on_key(struct watch *w, char key)
{
	w->note[0] = '\0';
	if (key == 'q') {
		w->quit = true;
		return;
	}
	if (!w->count)
		return;
	if (key == 'j' || key == 'k') {
		move(w, key == 'j');
		return;
	}
	if (!w->marked) {
		(void)snprintf(w->note, sizeof(w->note), "none is marked: j or k marks one");
		if (!w->terminal)
			puts(w->note);
		return;
	}
	switch (key) {
	case 's':
		show(w);
		break;
	case 'a':
		approve(w);
		break;
	case 'd':
		decide(w, false, false, "");
		break;
	case 'D':
		with_reason(w, false);
		break;
	case 'b':
		with_reason(w, true);
		break;
	default:
		break;
	}
}

static void read_key(struct watch *w)
{
	char key;
	ssize_t n = read(STDIN_FILENO, &key, 1);

	if (n == 1)
		on_key(w, key);
	else if (n == 0 || (n < 0 && errno != EINTR))
		w->keys = false;
	if (!w->keys && raw)
		w->quit = true; /* the terminal is gone */
}

/* A key that is held down moves faster than a terminal draws. */
static bool key_waits(void)
{
	struct pollfd p = {.fd = STDIN_FILENO, .events = POLLIN};

	return poll(&p, 1, 0) > 0;
}

int zg_approvals_watch(struct zg_cli *cli)
{
	const struct zg_msg_ctl_approvals_list m = {.follow = 1};
	const char *term = getenv("TERM");
	struct watch w = {.cli = cli, .sock = zg_ctl_connect(cli), .keys = !cli->json};

	if (w.sock < 0 || zg_ctl_request(w.sock, ZG_MSG_CTL_APPROVALS_LIST, &m) < 0) {
		zg_close_(&w.sock);
		return ZG_EXIT_DAEMON;
	}
	if (!cli->json && isatty(STDIN_FILENO) && isatty(STDOUT_FILENO) && enter_raw())
		w.terminal = term && strcmp(term, "dumb") != 0 && term[0];
	while (!w.quit) {
		struct pollfd p[] = {
			{.fd = w.sock, .events = POLLIN},
			{.fd = w.keys && w.ready ? STDIN_FILENO : -1, .events = POLLIN}};

		if (poll(p, 2, -1) < 0 && errno != EINTR)
			break;
		if (p[0].revents)
			read_agent(&w);
		if (!w.ready || w.quit)
			continue;
		if (w.unseen && raw) /* no key typed before it can be seen is about it */
			(void)tcflush(STDIN_FILENO, TCIFLUSH);
		else if (p[1].revents)
			read_key(&w);
		if (resized || p[0].revents || (p[1].revents && !key_waits()))
			draw(&w);
		resized = 0;
	}
	restore();
	free(w.row);
	zg_close_(&w.sock);
	return w.status;
}
