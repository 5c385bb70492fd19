/* SPDX-License-Identifier: Apache-2.0 */
/*
 * servers_import.c - zerogate servers import: server.json documents of the official
 * registry (one, a list, or an answer of its API) become submissions: what zerogate
 * needs to know is added under _meta, with the owner that the caller names. Trust:
 * the documents come from elsewhere; each goes through the agent's own reader.
 */
#include <ctype.h>
#include <dirent.h>
#include <getopt.h>
#include <string.h>
#include <sys/stat.h>

#include <jansson.h>

#include "servers.h"

#define META	    "dev.zerogate/registry"
#define ENTRIES_MAX 4096

struct import {
	struct zg_cli *cli;
	const char *owner, *id, *reason;
	bool print;
	size_t count;
	int status; /* the worst */
};

/* "io.github.owner/server-name" -> "server-name" */
static void id_of(const char *name, char out[ZG_SERVER_LEN])
{
	const char *slash = strrchr(name, '/');
	size_t n = 0;

	for (name = slash ? slash + 1 : name; *name && n + 1 < ZG_SERVER_LEN; name++)
		out[n++] = isalnum((unsigned char)*name) || strchr("_-", *name)
				   ? (char)tolower((unsigned char)*name)
				   : '-';
	out[n] = '\0';
}

/* What stands there already is the author's word for another agent, and not ours. */
static bool add_meta(const struct import *in, json_t *server)
{
	const char *name = json_string_value(json_object_get(server, "name"));
	json_t *meta;
	char id[ZG_SERVER_LEN];

	id_of(name ? name : "", id);
	meta = json_pack("{s:{s:s, s:s}}", META, "id", in->id ? in->id : id, "owner", in->owner);
	return meta && json_object_set_new(server, "_meta", meta) == 0;
}

static void one(struct import *in, const char *file, const json_t *given)
{
	json_t *server = json_deep_copy(given);
	char *text = NULL;
	int status = ZG_EXIT_NO;

	in->count++;
	if (server && add_meta(in, server))
		text = json_dumps(server, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
	if (text && in->print)
		status = puts(text) < 0 ? ZG_EXIT_NO : ZG_EXIT_OK;
	else if (text)
		status = zg_servers_submit_text(in->cli, file, zg_slice_str(text), in->reason);
	in->status = status > in->status ? status : in->status;
	free(text);
	json_decref(server);
}

/* One document, what the API wraps it in, or a list of either. */
static void walk(struct import *in, const char *file, const json_t *j)
{
	const json_t *list = json_is_array(j) ? j : json_object_get(j, "servers");
	const json_t *wrapped = json_object_get(j, "server");

	if (json_is_array(list)) {
		for (size_t i = 0; i < json_array_size(list) && in->count < ENTRIES_MAX; i++)
			if (!json_is_array(json_array_get(list, i)))
				walk(in, file, json_array_get(list, i));
	} else if (json_is_object(wrapped)) {
		one(in, file, wrapped);
	} else {
		one(in, file, j);
	}
}

static void import_file(struct import *in, const char *path)
{
	zg_autobuf text = ZG_BUF(ZG_CONFIG_FILE_BYTES);
	json_error_t error;
	int status = zg_servers_read(path, &text);
	json_t *root;

	if (status != ZG_EXIT_OK) {
		in->status = status;
		return;
	}
	root = json_loadb(text.ptr, text.len, JSON_REJECT_DUPLICATES, &error);
	if (!json_is_object(root) && !json_is_array(root)) {
		fprintf(stderr, "%s:%d:%d: not a server.json document: ", path, error.line,
			error.column);
		zg_print_safe(stderr, root ? "neither an object nor a list" : error.text);
		fputc('\n', stderr);
		in->status = ZG_EXIT_USAGE;
	} else {
		walk(in, path, root);
	}
	json_decref(root);
}

static void import_folder(struct import *in, const char *folder)
{
	struct dirent **list = NULL;
	int n = scandir(folder, &list, NULL, alphasort);

	for (int i = 0; i < n; i++) {
		zg_autofree char *path = NULL;
		size_t len = strlen(list[i]->d_name);

		if (list[i]->d_name[0] != '.' && len > 5 &&
		    strcmp(list[i]->d_name + len - 5, ".json") == 0 &&
		    asprintf(&path, "%s/%s", folder, list[i]->d_name) >= 0)
			import_file(in, path);
		free(list[i]);
	}
	free(list);
	if (n < 0) {
		fprintf(stderr, "zerogate: cannot list %s: %m\n", folder);
		in->status = ZG_EXIT_USAGE;
	}
}

int zg_servers_import(struct zg_cli *cli, int argc, char **argv)
{
	static const struct option options[] = {{"owner", required_argument, NULL, 'o'},
						{"id", required_argument, NULL, 'i'},
						{"reason", required_argument, NULL, 'r'},
						{"print", no_argument, NULL, 'p'},
						{NULL, 0, NULL, 0}};
	struct import in = {.cli = cli, .reason = ""};
	struct stat st;
	int c;

	optind = 0;
	while ((c = getopt_long(argc, argv, "o:i:r:p", options, NULL)) != -1) {
		if (c == 'o')
			in.owner = optarg;
		else if (c == 'i')
			in.id = optarg;
		else if (c == 'r')
			in.reason = optarg;
		else if (c == 'p')
			in.print = true;
		else
			return zg_servers_usage();
	}
	if (argc - optind != 1 || !in.owner || strlen(in.reason) >= ZG_REASON_LEN)
		return zg_servers_usage();
	if (!in.print && !zg_servers_reason("import", in.reason))
		return ZG_EXIT_USAGE;
	if (stat(argv[optind], &st) == 0 && S_ISDIR(st.st_mode))
		import_folder(&in, argv[optind]);
	else
		import_file(&in, argv[optind]);
	return in.status;
}
