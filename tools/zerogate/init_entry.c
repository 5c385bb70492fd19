/* SPDX-License-Identifier: Apache-2.0 */
/*
 * init_entry.c - see init_entry.h. Trust: a client's configuration is its
 * user's, often copied from elsewhere: what it names is shown with control
 * characters made visible, and values that may be secrets are never shown.
 */
#include "init_entry.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>

#include "cli.h"

static const char *text_of(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

/* Where a shell would find it; NULL = nowhere. */
static char *find_program(const char *command)
{
	const char *path = getenv("PATH");
	char *copy, *save = NULL, *found = NULL;

	if (strchr(command, '/'))
		return realpath(command, NULL);
	copy = strdup(path ? path : "/usr/local/bin:/usr/bin:/bin");
	for (char *dir = copy ? strtok_r(copy, ":", &save) : NULL; dir && !found;
	     dir = strtok_r(NULL, ":", &save)) {
		char *full = NULL;

		if (asprintf(&full, "%s/%s", dir, command) >= 0 && access(full, X_OK) == 0)
			found = realpath(full, NULL);
		free(full);
	}
	free(copy);
	return found;
}

static bool same_args(const struct zg_snapshot *s, const struct zg_stdio_def *d, const json_t *args)
{
	const char *at = zg_snapshot_text(s, &d->args);

	if (json_array_size(args) != d->args.count)
		return false;
	for (size_t i = 0; i < d->args.count; i++, at = zg_snapshot_text_next(at)) {
		const char *theirs = json_string_value(json_array_get(args, i));

		if (!theirs || strcmp(theirs, at) != 0)
			return false;
	}
	return true;
}

static const struct zg_stdio_def *registered_command(const struct zg_snapshot *s,
						     const char *program, const json_t *args)
{
	for (size_t i = 0; program && i < s->stdio_count; i++) {
		zg_autofree char *theirs = realpath(s->stdios[i].command, NULL);

		if (strcmp(theirs ? theirs : s->stdios[i].command, program) == 0 &&
		    same_args(s, &s->stdios[i], args))
			return &s->stdios[i];
	}
	return NULL;
}

static const struct zg_server_def *registered_url(const struct zg_snapshot *s, const char *url)
{
	for (size_t i = 0; i < s->server_count; i++)
		if (s->servers[i].url[0] && strcmp(s->servers[i].url, url) == 0)
			return &s->servers[i];
	return NULL;
}

static void gateway_url(const struct zg_snapshot *s, const char *id, char *out, size_t size)
{
	const struct zg_listen *l = &s->settings->listen[0];
	char addr[64];

	zg_addr_text(addr, sizeof(addr), l->addr);
	(void)snprintf(out, size,
		       strchr(addr, ':') ? "http://[%s]:%u/%s/mcp" : "http://%s:%u/%s/mcp", addr,
		       l->port, id);
}

/* output ------------------------------------------------------------------------ */

static void show(const char *mark, const char *name, const char *what, const json_t *args)
{
	size_t i;
	json_t *arg;

	printf("  %s ", mark);
	zg_print_safe(stdout, name);
	fputs(": ", stdout);
	zg_print_safe(stdout, what);
	json_array_foreach((json_t *)(uintptr_t)args, i, arg)
	{
		putchar(' ');
		zg_print_safe(stdout, json_is_string(arg) ? json_string_value(arg) : "(no text)");
	}
	putchar('\n');
}

static bool names_secret(const char *name)
{
	static const char *const parts[] = {"KEY",  "TOKEN", "SECRET", "PASS",
					    "AUTH", "CRED",  "PAT"};

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		if (strcasestr(name, parts[i]))
			return true;
	return false;
}

/* By name only; what agents should not hold belongs to the agent. */
static void show_secrets(const json_t *server)
{
	static const char *const places[] = {"env", "headers"};
	const char *key;
	json_t *value;

	for (size_t i = 0; i < 2; i++) {
		json_object_foreach(json_object_get(server, places[i]), key, value)
		{
			if (i == 0 && !names_secret(key))
				continue;
			(void)value;
			printf("      a secret in %s: ", places[i]);
			zg_print_safe(stdout, key);
			fputs(" (not shown; move it to a file that the registry entry names, and "
			      "take it out of here)\n",
			      stdout);
		}
	}
}

/* entries to review ------------------------------------------------------------------- */

static void word(const char *name, char *out, size_t size)
{
	size_t n = 0;

	for (; *name && n + 1 < size; name++)
		out[n++] =
			(char)(isalnum((unsigned char)*name) ? tolower((unsigned char)*name) : '-');
	out[n] = '\0';
}

static json_t *proposal(const char *id, const json_t *server, const char *program)
{
	const char *url = text_of(server, "url");
	json_t *args = json_object_get(server, "args");
	json_t *ours, *root;
	char name[ZG_SERVER_LEN + 16];

	(void)snprintf(name, sizeof(name), "local.review/%s", id);
	ours = program ? json_pack("{s:s, s:s, s:O, s:o}", "id", id, "command", program, "args",
				   json_is_array(args) ? args : json_null(), "limits",
				   json_pack("{s:s, s:i}", "memory", "1G", "pids", 256))
		       : json_pack("{s:s}", "id", id);
	if (program && !json_is_array(args))
		(void)json_object_set_new(ours, "args", json_array());
	root = json_pack("{s:s, s:s, s:s, s:{s:o}}", "name", name, "description",
			 "found in a client's configuration: review it", "version", "0.0.0",
			 "_meta", "dev.zerogate/registry", ours);
	if (root && url && !program)
		(void)json_object_set_new(
			root, "remotes",
			json_pack("[{s:s, s:s}]", "type", "streamable-http", "url", url));
	return root;
}

static void propose(struct zg_init *in, const char *name, const json_t *server, const char *program)
{
	char id[ZG_STDIO_ID_LEN];
	zg_autofree char *path = NULL, *text = NULL;
	json_t *entry;
	int fd;

	word(name, id, sizeof(id));
	entry = proposal(id, server, program);
	text = entry ? json_dumps(entry, JSON_INDENT(2)) : NULL;
	json_decref(entry);
	in->unregistered++;
	if (!text) {
		in->error = -ENOMEM;
		return;
	}
	if (!in->entries) {
		printf("      not registered; an entry to review (or --write-registry FOLDER):\n");
		for (char *save = NULL, *line = strtok_r(text, "\n", &save); line;
		     line = strtok_r(NULL, "\n", &save)) {
			fputs("      ", stdout);
			zg_print_safe(stdout, line);
			putchar('\n');
		}
		return;
	}
	if (asprintf(&path, "%s/%s.json", in->entries, id) < 0) {
		in->error = -ENOMEM;
		return;
	}
	/* what somebody has reviewed is not written over */
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0 || dprintf(fd, "%s\n", text) < 0) {
		fprintf(stderr, "zerogate: cannot write %s: %s\n", path, strerror(errno));
		in->error = in->error ? in->error : -EIO;
	} else {
		printf("      not registered; written to %s, to be reviewed\n", path);
	}
	zg_close_(&fd);
}

/* one server --------------------------------------------------------------------------- */

static bool is_ours(const struct zg_init *in, const char *command, const json_t *args)
{
	const char *first = json_string_value(json_array_get(args, 0));

	return strcmp(command, in->zerogate) == 0 && first && strcmp(first, "stdio") == 0;
}

static void local_server(struct zg_init *in, const char *name, json_t *server)
{
	const char *command = text_of(server, "command");
	const json_t *args = json_object_get(server, "args");
	const struct zg_stdio_def *d;
	zg_autofree char *program = find_program(command);
	json_t *now;

	if (is_ours(in, command, args))
		return;
	show("-", name, command, args);
	show_secrets(server);
	d = registered_command(in->snap, program, args);
	if (!d) {
		propose(in, name, server, program ? program : command);
		return;
	}
	now = json_pack("[s, s]", "stdio", d->server);
	show("+", name, in->zerogate, now);
	if (!now || json_object_set_new(server, "args", now) < 0 ||
	    json_object_set_new(server, "command", json_string(in->zerogate)) < 0)
		in->error = -ENOMEM;
	in->changes++;
}

static void remote_server(struct zg_init *in, const char *name, json_t *server, const char *key)
{
	const char *url = text_of(server, key);
	const struct zg_server_def *d = registered_url(in->snap, url);
	char now[ZG_PATH_LEN];

	for (size_t i = 0; i < in->snap->server_count; i++) {
		gateway_url(in->snap, in->snap->servers[i].id, now, sizeof(now));
		if (strcmp(url, now) == 0)
			return; /* it is the gateway's already */
	}
	show("-", name, url, NULL);
	show_secrets(server);
	if (!d) {
		propose(in, name, server, NULL);
		return;
	}
	gateway_url(in->snap, d->id, now, sizeof(now));
	show("+", name, now, NULL);
	if (json_object_set_new(server, key, json_string(now)) < 0)
		in->error = -ENOMEM;
	in->changes++;
}

static void walk_list(struct zg_init *in, json_t *list)
{
	const char *name;
	json_t *server;

	json_object_foreach(list, name, server)
	{
		if (text_of(server, "command"))
			local_server(in, name, server);
		else if (text_of(server, "url"))
			remote_server(in, name, server, "url");
		else if (text_of(server, "serverUrl"))
			remote_server(in, name, server, "serverUrl");
	}
}

void zg_init_walk(struct zg_init *in, json_t *root)
{
	const char *path;
	json_t *project;

	walk_list(in, json_object_get(root, "mcpServers"));
	walk_list(in, json_object_get(root, "servers"));
	walk_list(in, json_object_get(json_object_get(root, "mcp"), "servers"));
	json_object_foreach(json_object_get(root, "projects"), path, project)
	{
		(void)path;
		walk_list(in, json_object_get(project, "mcpServers"));
	}
}

/* without a change ----------------------------------------------------------------------- */

static void each_of(const json_t *list, zg_init_found_fn *fn, void *arg)
{
	const char *name;
	json_t *server;

	json_object_foreach((json_t *)(uintptr_t)list, name, server)
	{
		const char *command = text_of(server, "command");
		zg_autofree char *program = command ? find_program(command) : NULL;
		char id[ZG_STDIO_ID_LEN];
		json_t *entry;

		word(name, id, sizeof(id));
		entry = proposal(id, server, command ? program ? program : command : NULL);
		fn(arg, name, server, entry);
		json_decref(entry);
	}
}

void zg_init_each(const json_t *root, zg_init_found_fn *fn, void *arg)
{
	const char *path;
	json_t *project;

	each_of(json_object_get(root, "mcpServers"), fn, arg);
	each_of(json_object_get(root, "servers"), fn, arg);
	each_of(json_object_get(json_object_get(root, "mcp"), "servers"), fn, arg);
	json_object_foreach(json_object_get(root, "projects"), path, project)
	{
		(void)path;
		each_of(json_object_get(project, "mcpServers"), fn, arg);
	}
}
