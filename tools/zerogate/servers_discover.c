/* SPDX-License-Identifier: Apache-2.0 */
/*
 * servers_discover.c - zerogate servers discover: MCP servers that nobody registered:
 * where governed processes tried to go, by the audit log, and what clients' own
 * configuration files name. For each, what registering it takes. Trust: records and
 * files hold texts of workloads; none reaches the terminal raw.
 */
#include <getopt.h>
#include <string.h>

#include <jansson.h>

#include "init_entry.h"
#include "servers.h"

#define FOUND_MAX 1024 /* places; further ones are counted */
#define RECORDS	  100000
#define FILES_MAX 64
#define SHOWN	  192

struct found {
	char where[SHOWN];  /* address:port, path or URL */
	char source[SHOWN]; /* kinds of records, or the file */
	char who[SHOWN];    /* the last: profile, command */
	char first[32], last[32];
	char state[32]; /* of what is registered there; "" = nothing */
	uint64_t count;
	json_t *entry; /* to review; NULL = there is nothing to propose */
};

struct search {
	struct zg_cli *cli;
	struct found found[FOUND_MAX];
	size_t count, more;
	const char *file; /* of clients, at hand */
};

static void put(char *out, size_t size, const char *text)
{
	(void)zg_str_cut(out, size, zg_slice_str(text ? text : ""));
}

static struct found *place(struct search *s, const char *where, const char *source)
{
	struct found *f;

	for (size_t i = 0; i < s->count; i++)
		if (strcmp(s->found[i].where, where) == 0 &&
		    strcmp(s->found[i].source, source) == 0)
			return &s->found[i];
	if (s->count == FOUND_MAX) {
		s->more++;
		return NULL;
	}
	f = &s->found[s->count++];
	put(f->where, sizeof(f->where), where);
	put(f->source, sizeof(f->source), source);
	return f;
}

/* the audit log ------------------------------------------------------------------------ */

static const char *text_of(const json_t *o, const char *name)
{
	const char *text = json_string_value(json_object_get(o, name));

	return text ? text : "";
}

static bool tells(const char *kind)
{
	static const char *const kinds[] = {"kernel.deny", "kernel.would_deny", "shadow.mcp",
					    "server.unknown", "server.refuse"};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (strcmp(kind, kinds[i]) == 0)
			return true;
	return false;
}

static void where_of(const json_t *r, char *out, size_t size)
{
	const char *address = text_of(r, "address");
	long long port = json_integer_value(json_object_get(r, "port"));

	if (text_of(r, "server")[0])
		(void)snprintf(out, size, "%s", text_of(r, "server"));
	else if (address[0])
		(void)snprintf(out, size, strchr(address, ':') ? "[%s]:%lld" : "%s:%lld", address,
			       port);
	else
		(void)snprintf(out, size, "%s", text_of(r, "path"));
}

/* An address says little: name, tools and owner are the reviewer's to fill in. */
static json_t *entry_for(const json_t *r, const char *where)
{
	char url[SHOWN + 16], id[32];

	if (!text_of(r, "address")[0] || !json_integer_value(json_object_get(r, "port")))
		return NULL;
	(void)snprintf(url, sizeof(url), "http://%s/mcp", where);
	(void)snprintf(id, sizeof(id), "server-%lld",
		       (long long)json_integer_value(json_object_get(r, "port")));
	return json_pack("{s:s, s:s, s:s, s:[{s:s, s:s}], s:{s:{s:s, s:s, s:{}}}}", "name",
			 "local.review/server", "description",
			 "a governed process tried to reach it: review it", "version", "0.0.0",
			 "remotes", "type", "streamable-http", "url", url, "_meta",
			 "dev.zerogate/registry", "id", id, "owner", "NAME", "tools");
}

static void take_record(struct search *s, const char *line, size_t n)
{
	json_t *r = json_loadb(line, n, 0, NULL);
	const char *kind = text_of(r, "kind");
	char where[SHOWN], who[SHOWN];
	struct found *f;

	if (tells(kind)) {
		where_of(r, where, sizeof(where));
		f = where[0] ? place(s, where, kind) : NULL;
		if (f) {
			if (!f->count++)
				put(f->first, sizeof(f->first), text_of(r, "time"));
			put(f->last, sizeof(f->last), text_of(r, "time"));
			(void)snprintf(who, sizeof(who), "%s, %s", text_of(r, "profile"),
				       text_of(r, "comm"));
			put(f->who, sizeof(f->who), who);
			if (!f->entry)
				f->entry = entry_for(r, where);
		}
	}
	json_decref(r);
}

static int read_agent(struct search *s)
{
	const struct zg_msg_ctl_audit_tail want = {.records = RECORDS};
	zg_autobuf line = ZG_BUF(1048576);
	struct zg_msg_ctl_audit_line part;
	struct zg_msg m = {.fd = -1};
	int status = ZG_EXIT_DAEMON, rc = 1;
	zg_autofd int sock = zg_ctl_connect(s->cli);

	if (sock < 0 || zg_ctl_request(sock, ZG_MSG_CTL_AUDIT_TAIL, &want) < 0)
		return ZG_EXIT_DAEMON;
	while ((rc = zg_ctl_next(sock, &m, &status)) > 0) {
		if (m.type == ZG_MSG_CTL_AUDIT_LINE) {
			memcpy(&part, m.body, sizeof(part));
			zg_buf_add(&line, part.text,
				   part.bytes < sizeof(part.text) ? part.bytes : sizeof(part.text));
			if (part.last && zg_buf_ok(&line))
				take_record(s, line.ptr, line.len);
			if (part.last)
				zg_buf_reset(&line);
		}
		zg_msg_release(&m);
	}
	return rc < 0 ? ZG_EXIT_DAEMON : status;
}

static int read_log(struct search *s, const char *path)
{
	FILE *f = fopen(path, "re");
	char *line = NULL;
	size_t room = 0;
	ssize_t n;

	if (!f) {
		fprintf(stderr, "zerogate: cannot read %s: %m\n", path);
		return ZG_EXIT_USAGE;
	}
	while ((n = getline(&line, &room, f)) > 0)
		take_record(s, line, (size_t)n);
	free(line);
	(void)fclose(f);
	return ZG_EXIT_OK;
}

/* clients' files ------------------------------------------------------------------------ */

static void take_server(void *arg, const char *name, const json_t *server, const json_t *entry)
{
	struct search *s = arg;
	const char *url = text_of(server, "url");
	struct found *f;

	url = url[0] ? url : text_of(server, "serverUrl");
	f = place(s, url[0] ? url : text_of(server, "command"), s->file);
	if (!f)
		return;
	f->count++;
	put(f->who, sizeof(f->who), name);
	if (!f->entry)
		f->entry = json_deep_copy(entry);
}

static void take_file(void *arg, const char *path, const json_t *root)
{
	((struct search *)arg)->file = path;
	zg_init_each(root, take_server, arg);
}

/* what is registered ---------------------------------------------------------------------- */

/* "http://127.0.0.1:80/mcp" leads to "127.0.0.1:80" */
static bool leads_to(const char *endpoint, const char *where)
{
	const char *host = strstr(endpoint, "://");
	size_t n = strlen(where);

	if (strcmp(endpoint, where) == 0)
		return true;
	return host && strncmp(host + 3, where, n) == 0 && (!host[3 + n] || host[3 + n] == '/');
}

static void know(struct search *s)
{
	const struct zg_msg_ctl_servers_list want = {0};
	struct zg_msg m = {.fd = -1};
	struct zg_msg_ctl_server row;
	int status, rc = 1;
	zg_autofd int sock = zg_ctl_connect(s->cli);

	if (sock < 0 || zg_ctl_request(sock, ZG_MSG_CTL_SERVERS_LIST, &want) < 0)
		return;
	while (rc > 0 && (rc = zg_ctl_next(sock, &m, &status)) > 0) {
		memcpy(&row, m.body, sizeof(row));
		zg_server_terminate(&row);
		for (size_t i = 0; m.type == ZG_MSG_CTL_SERVER && i < s->count; i++)
			if ((row.in_force || !s->found[i].state[0]) &&
			    (leads_to(row.endpoint, s->found[i].where) ||
			     strcmp(row.id, s->found[i].where) == 0))
				put(s->found[i].state, sizeof(s->found[i].state),
				    zg_server_state_text(&row));
		zg_msg_release(&m);
	}
}

/* shown ------------------------------------------------------------------------------------- */

static int print_json(size_t nr, const struct found *f)
{
	zg_autofree char *line = NULL;
	json_t *o = json_pack("{s:i, s:s, s:s, s:s, s:I, s:s, s:s, s:s, s:O?}", "n", (int)nr,
			      "where", f->where, "source", f->source, "who", f->who, "count",
			      (json_int_t)f->count, "first", f->first, "last", f->last,
			      "registered", f->state, "entry", f->entry);

	line = o ? json_dumps(o, JSON_COMPACT) : NULL;
	json_decref(o);
	return line && puts(line) >= 0 ? ZG_EXIT_OK : ZG_EXIT_NO;
}

static void print_text(size_t nr, const struct found *f)
{
	printf("%3zu  ", nr);
	zg_print_safe(stdout, f->where);
	printf("  x%llu  ", (unsigned long long)f->count);
	zg_print_safe(stdout, f->source);
	fputs("  by ", stdout);
	zg_print_safe(stdout, f->who);
	if (f->first[0]) {
		fputs("  ", stdout);
		zg_print_safe(stdout, f->first);
		fputs(" .. ", stdout);
		zg_print_safe(stdout, f->last);
	}
	if (f->state[0])
		printf("\n     registered: %s", f->state);
	else if (f->entry)
		printf("\n     to register it: zerogate servers discover --emit %zu > FILE, edit, "
		       "zerogate servers add FILE; it stays refused until then",
		       nr);
	putchar('\n');
}

static int show(struct search *s, unsigned long emit)
{
	int status = ZG_EXIT_OK;

	if (emit) {
		zg_autofree char *text = emit <= s->count && s->found[emit - 1].entry
						 ? json_dumps(s->found[emit - 1].entry,
							      JSON_INDENT(2) | JSON_PRESERVE_ORDER)
						 : NULL;

		if (text)
			return puts(text) < 0 ? ZG_EXIT_NO : ZG_EXIT_OK;
		fputs("zerogate: there is no such line, or nothing to propose for it\n", stderr);
		return ZG_EXIT_NO;
	}
	for (size_t i = 0; i < s->count && status == ZG_EXIT_OK; i++) {
		if (s->cli->json)
			status = print_json(i + 1, &s->found[i]);
		else
			print_text(i + 1, &s->found[i]);
	}
	if (s->more)
		fprintf(stderr, "zerogate: and %zu more places\n", s->more);
	if (!s->count && !s->cli->json)
		puts("nothing was found that is not registered");
	return status;
}

int zg_servers_discover(struct zg_cli *cli, int argc, char **argv)
{
	static const struct option options[] = {{"emit", required_argument, NULL, 'e'},
						{"file", required_argument, NULL, 'f'},
						{"log", required_argument, NULL, 'l'},
						{NULL, 0, NULL, 0}};
	struct search *s = calloc(1, sizeof(*s));
	const char *file[FILES_MAX], *log = NULL;
	size_t files = 0;
	uint64_t emit = 0;
	int c, status;

	if (!s)
		return ZG_EXIT_NO;
	s->cli = cli;
	optind = 0;
	while ((c = getopt_long(argc, argv, "e:f:l:", options, NULL)) != -1) {
		if (c == 'f' && files < FILES_MAX)
			file[files++] = optarg;
		else if (c == 'l')
			log = optarg;
		else if (c != 'e' || zg_slice_u64(zg_slice_str(optarg), FOUND_MAX, &emit) < 0)
			emit = UINT64_MAX;
	}
	if (optind != argc || emit == UINT64_MAX) {
		free(s);
		return zg_servers_usage();
	}
	status = log ? read_log(s, log) : read_agent(s);
	if (status == ZG_EXIT_OK) {
		zg_init_files(file, files, take_file, s);
		if (!log)
			know(s);
		status = show(s, emit);
	}
	for (size_t i = 0; i < s->count; i++)
		json_decref(s->found[i].entry);
	free(s);
	return status;
}
