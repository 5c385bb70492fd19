/* SPDX-License-Identifier: Apache-2.0 */
/* Registry files: what is read, and where a wrong one says it is wrong. */
#include "policy/world.h"
#include "registry.h"
#include "url.h"

#define HEAD   "{\"name\": \"a/b\", \"description\": \"\", \"version\": \"1\",\n"
#define REMOTE " \"remotes\": [{\"type\": \"streamable-http\", \"url\": \"http://h.example/\"}],\n"
#define META   " \"_meta\": {\"dev.zerogate/registry\": {\"id\": \"x\""

static const struct {
	const char *text;
	const char *error;
} wrong[] = {
	{"", "s0:1:1: not JSON: '[' or '{' expected near end of file"},
	{"{\n\"a\": 1,\n\"a\": 2}", "s0:3:3: not JSON: duplicate object key near '\"a\"'"},
	{"[]", "s0:1:1: a registry file holds one JSON object"},
	{"{}", "s0:1:1: a server has no 'name'"},
	{HEAD REMOTE META "}}, \"extra\": 1}", "s0:3:60: unknown member 'extra' in a server"},
	{HEAD REMOTE " \"_meta\": {}}", "s0:3:11: _meta has no object 'dev.zerogate/registry'"},
	{HEAD REMOTE META ", \"ownr\": \"x\"}}}",
	 "s0:3:57: unknown member 'ownr' in dev.zerogate/registry"},
	{HEAD REMOTE " \"_meta\": {\"dev.zerogate/registry\": {\"id\": \"a/b\"}}}",
	 "s0:3:44: 'a/b' is not a server id"},
	{HEAD REMOTE META ", \"tools\":\n {\"get\": {\"action\": \"rad\"}}}}}",
	 "s0:4:21: an action is \"read\" or \"write\""},
	{HEAD REMOTE META ", \"tools\": {\"get\": {}}}}}", "s0:3:66: a class has no 'action'"},
	{HEAD REMOTE META ", \"labels\": {\"mcp.action\": \"read\"}}}}",
	 "s0:3:74: 'mcp.action' is not a label that a registry may set"},
	{HEAD REMOTE META ", \"labels\": {\"a\": 1}}}}",
	 "s0:3:65: the value of a label must be a string"},
	{HEAD REMOTE META ", \"risk_tags\": [\"ok\", \"a b\"]}}}",
	 "s0:3:69: a risk tag is a string of letters, digits and . _ - / :"},
	{HEAD REMOTE META ", \"pinning\": \"never\"}}}", "s0:3:60: 'never' is no way of pinning"},
	{HEAD REMOTE META ", \"namespace\": \"g h\"}}}", "s0:3:62: 'g h' is no prefix of names"},
	{HEAD REMOTE META ", \"addresses\": [\"h.example\"]}}}",
	 "s0:3:63: an address is a string such as \"127.0.0.1\" or \"::1\""},
	{HEAD META "}}}", "s0:1:1: the server has neither remotes nor packages nor a command"},
	{HEAD " \"remotes\": [{\"type\": \"ws\", \"url\": \"http://h.example/\"}],\n" META "}}}",
	 "s0:2:14: a remote's type is \"streamable-http\" or \"sse\""},
	{HEAD " \"remotes\": [{\"type\": \"sse\", \"url\": \"ftp://h.example/\"}],\n" META "}}}",
	 "s0:2:37: url: the scheme must be http or https"},
	{HEAD REMOTE META ", \"command\": \"/bin/x\"}}}",
	 "s0:1:1: a server is remote or started by a command, not both"},
	{HEAD META ", \"command\": \"node\"}}}",
	 "s0:2:60: the command must be an absolute path of less than 512 bytes"},
	{HEAD META ", \"command\": \"/n\", \"args\": [1]}}}", "s0:2:75: an argument is a string"},
	{HEAD META ", \"command\": \"/n\", \"env_pass\": [\"LD_PRELOAD\"]}}}",
	 "s0:2:79: a client could choose by LD_PRELOAD which code the server runs"},
	{HEAD META ", \"command\": \"/n\", \"env\": {\"A=B\": \"\"}}}}",
	 "s0:2:81: 'A=B' is not a variable with a text"},
	{HEAD META ", \"command\": \"/n\", \"user\": \"root\"}}}",
	 "s0:2:74: 'root' is not a user that a server may run as"},
	{HEAD META ", \"command\": \"/n\", \"limits\": {\"memory\": \"1\"}}}}",
	 "s0:2:87: memory is a text such as \"512M\", of at least 16M"},
	{HEAD META ", \"command\": \"/n\", \"limits\": {\"pids\": 0}}}}",
	 "s0:2:85: not a number from 1 to 32768"},
	{HEAD META ", \"command\": \"/n\", \"network\": [{\"cidr\": \"10.0.0.0/8\"}]}}}",
	 "s0:2:78: an entry needs a port"},
	{HEAD META ", \"command\": \"/n\", \"restart\": \"always\"}}}",
	 "s0:2:77: restart is \"never\" or \"on-failure\""},
	{HEAD " \"packages\": [],\n" META "}}}",
	 "s0:1:1: the server has neither remotes nor packages nor a command"},
	{HEAD REMOTE META ", \"auth\": {\"token\": \"abc\"}}}}", "s0:3:57: auth names no file"},
	{HEAD REMOTE META ", \"auth\": [{\"bearer_file\": \"a\"}, {\"header\": \"Host\",\n "
			  "\"value_file\": \"b\"}]}}}",
	 "s0:3:91: 'Host' is not a header that an entry may set"},
	{HEAD REMOTE META ", \"auth\": {\"bearer_file\": \"credential:../x\"}}}}",
	 "s0:3:73: a file is an absolute path, one below the folder of servers, or "
	 "\"credential:NAME\""},
	{HEAD REMOTE META ", \"auth\": {\"client_cert_file\": \"/a\"}}}}",
	 "s0:3:57: auth has no 'client_key_file'"},
	{HEAD REMOTE META
	 ", \"auth\": {\"client_cert_file\": \"/a\", \"client_key_file\": \"/b\"}}}}",
	 "s0:1:1: pins, ca_file and client certificates need an https URL"},
	{HEAD REMOTE META ", \"pins\": [\"sha256//abc=\"]}}}",
	 "s0:3:58: a pin is \"sha256//\" and the base64 of 32 bytes"},
	{HEAD REMOTE META ", \"use\": \"oauth\"}}}", "s0:3:56: 'oauth' is no use of an entry"},
	{HEAD REMOTE META ", \"use\": \"keys\"}}}", "s0:1:1: keys are fetched by https"},
	{HEAD META ", \"use\": \"keys\", \"command\": \"/n\"}}}",
	 "s0:1:1: \"use\": \"keys\" needs a remote, from which they come"},
	{HEAD REMOTE META ", \"passthrough\": {\"authorization\": true}}}}",
	 "s0:3:64: passthrough has no 'reason'"},
	{HEAD REMOTE META ", \"passthrough\": {\"authorization\": true, \"reason\": \"r\"}, "
			  "\"auth\": {\"bearer_file\": \"a\"}}}}",
	 "s0:1:1: more than one Authorization: auth and passthrough exclude each other"},
	{HEAD
	 " \"remotes\": [{\"type\": \"streamable-http\", \"url\": \"https://h.example/\",\n "
	 "\"headers\": [{\"name\": \"X-Key\", \"isSecret\": true, \"value\": \"s3cr3t\"}]}],\n" META
	 "}}}",
	 "s0:3:59: a secret does not belong into the registry"},
	{HEAD " \"remotes\": [{\"type\": \"streamable-http\", \"url\": \"https://h.example/\",\n "
	      "\"headers\": [{\"name\": \"X-Key\", \"value\": \"a\\nb\"}]}],\n" META "}}}",
	 "s0:3:41: a header's value is printable text without {variables}"},
	{HEAD " \"remotes\": [{\"type\": \"streamable-http\", \"url\": \"https://h.example/\",\n "
	      "\"headers\": [{\"name\": \"Mcp-Session-Id\", \"value\": \"a\"}]}],\n" META "}}}",
	 "s0:3:23: 'Mcp-Session-Id' is not a header that an entry may set"},
	/* classes of resources, prompts and methods, in any shape but theirs */
	{HEAD REMOTE META ", \"resources\": []}}}", "s0:3:62: 'resources' must be an object"},
	{HEAD REMOTE META ", \"resources\": null}}}", "s0:3:62: 'resources' must be an object"},
	{HEAD REMOTE META ", \"resources\": {\"a\": \"read\"}}}}",
	 "s0:3:68: a class must be an object"},
	{HEAD REMOTE META ", \"resources\": {\"a\": {}}}}}", "s0:3:68: a class has no 'action'"},
	{HEAD REMOTE META ", \"resources\": {\"a\": {\"action\": \"both\"}}}}}",
	 "s0:3:79: an action is \"read\" or \"write\""},
	{HEAD REMOTE META ", \"resources\": {\"a\": {\"action\": 1}}}}}",
	 "s0:3:79: an action is \"read\" or \"write\""},
	{HEAD REMOTE META ", \"resources\": {\"\": {\"action\": \"read\"}}}}}",
	 "s0:3:67: a name here has 1 to 1023 bytes"},
	{HEAD REMOTE META
	 ", \"resources\": {\"a\": {\"action\": \"read\", \"risk_tags\": \"x\"}}}}}",
	 "s0:3:100: unknown or misshapen member 'risk_tags' in a class"},
	{HEAD REMOTE META ", \"resources\": {\"a\": {\"action\": \"read\", \"labels\": [1]}}}}}",
	 "s0:3:97: unknown or misshapen member 'labels' in a class"},
	{HEAD REMOTE META ", \"resources\": {\"a\": {\"action\": \"read\", \"uri\": \"x\"}}}}}",
	 "s0:3:94: unknown or misshapen member 'uri' in a class"},
	{HEAD REMOTE META
	 ", \"resources\": {\"a\": {\"action\": \"read\"}, \"a\": {\"action\": \"write\"}}}}}",
	 "s0:3:90: not JSON: duplicate object key near '\"a\"'"},
	{HEAD REMOTE META ", \"prompts\": []}}}", "s0:3:60: 'prompts' must be an object"},
	{HEAD REMOTE META ", \"prompts\": null}}}", "s0:3:60: 'prompts' must be an object"},
	{HEAD REMOTE META ", \"prompts\": {\"a\": \"read\"}}}}",
	 "s0:3:66: a class must be an object"},
	{HEAD REMOTE META ", \"prompts\": {\"a\": {}}}}}", "s0:3:66: a class has no 'action'"},
	{HEAD REMOTE META ", \"prompts\": {\"a\": {\"action\": \"both\"}}}}}",
	 "s0:3:77: an action is \"read\" or \"write\""},
	{HEAD REMOTE META ", \"prompts\": {\"a\": {\"action\": 1}}}}}",
	 "s0:3:77: an action is \"read\" or \"write\""},
	{HEAD REMOTE META ", \"prompts\": {\"\": {\"action\": \"read\"}}}}}",
	 "s0:3:65: a name here has 1 to 191 bytes"},
	{HEAD REMOTE META ", \"prompts\": {\"a\": {\"action\": \"read\", \"risk_tags\": \"x\"}}}}}",
	 "s0:3:98: unknown or misshapen member 'risk_tags' in a class"},
	{HEAD REMOTE META ", \"prompts\": {\"a\": {\"action\": \"read\", \"labels\": [1]}}}}}",
	 "s0:3:95: unknown or misshapen member 'labels' in a class"},
	{HEAD REMOTE META ", \"prompts\": {\"a\": {\"action\": \"read\", \"uri\": \"x\"}}}}}",
	 "s0:3:92: unknown or misshapen member 'uri' in a class"},
	{HEAD REMOTE META
	 ", \"prompts\": {\"a\": {\"action\": \"read\"}, \"a\": {\"action\": \"write\"}}}}}",
	 "s0:3:88: not JSON: duplicate object key near '\"a\"'"},
	{HEAD REMOTE META ", \"extensions\": []}}}", "s0:3:63: 'extensions' must be an object"},
	{HEAD REMOTE META ", \"extensions\": null}}}", "s0:3:63: 'extensions' must be an object"},
	{HEAD REMOTE META ", \"extensions\": {\"a\": \"read\"}}}}",
	 "s0:3:69: a class must be an object"},
	{HEAD REMOTE META ", \"extensions\": {\"a\": {}}}}}", "s0:3:69: a class has no 'action'"},
	{HEAD REMOTE META ", \"extensions\": {\"a\": {\"action\": \"both\"}}}}}",
	 "s0:3:80: an action is \"read\" or \"write\""},
	{HEAD REMOTE META ", \"extensions\": {\"a\": {\"action\": 1}}}}}",
	 "s0:3:80: an action is \"read\" or \"write\""},
	{HEAD REMOTE META ", \"extensions\": {\"\": {\"action\": \"read\"}}}}}",
	 "s0:3:68: a name here has 1 to 63 bytes"},
	{HEAD REMOTE META
	 ", \"extensions\": {\"a\": {\"action\": \"read\", \"risk_tags\": \"x\"}}}}}",
	 "s0:3:101: unknown or misshapen member 'risk_tags' in a class"},
	{HEAD REMOTE META ", \"extensions\": {\"a\": {\"action\": \"read\", \"labels\": [1]}}}}}",
	 "s0:3:98: unknown or misshapen member 'labels' in a class"},
	{HEAD REMOTE META ", \"extensions\": {\"a\": {\"action\": \"read\", \"uri\": \"x\"}}}}}",
	 "s0:3:95: unknown or misshapen member 'uri' in a class"},
	{HEAD REMOTE META
	 ", \"extensions\": {\"a\": {\"action\": \"read\"}, \"a\": {\"action\": \"write\"}}}}}",
	 "s0:3:91: not JSON: duplicate object key near '\"a\"'"},
};

static void wrong_files_say_where(void **state)
{
	size_t failed = 0;

	(void)state;
	for (size_t i = 0; i < ZG_COUNT(wrong); i++) {
		const char *servers[] = {wrong[i].text, NULL};
		struct world w;

		world_make(&w, NULL, NULL, servers);
		assert_false(w.ok);
		if (strcmp(first_error(&w), wrong[i].error) != 0) {
			print_error("%s\nexpected %s\ngot      %s\n", wrong[i].text, wrong[i].error,
				    first_error(&w));
			failed++;
		}
		if (!first_hint(&w)[0]) {
			print_error("no next step: %s\n", first_error(&w));
			failed++;
		}
		world_end(&w);
	}
	assert_int_equal(failed, 0);
}

static const struct {
	const char *url;
	const char *host; /* NULL: refused */
	uint16_t port;
	bool tls;
	const char *path;
} urls[] = {
	{"http://127.0.0.1:7001/mcp", "127.0.0.1", 7001, false, "/mcp"},
	{"https://API.Example.com", "api.example.com", 443, true, "/"},
	{"https://api.example.com?x=1", "api.example.com", 443, true, "/?x=1"},
	{"http://[::1]:80/a?b=c&d", "::1", 80, false, "/a?b=c&d"},
	{"http://localhost/", "localhost", 80, false, "/"},
	{"HTTP://h.example/", NULL, 0, false, NULL},
	{"http://user@h.example/", NULL, 0, false, NULL},
	{"http://h.example\\@evil.example/", NULL, 0, false, NULL},
	{"http://h.example/#f", NULL, 0, false, NULL},
	{"http://h.example:0/", NULL, 0, false, NULL},
	{"http://h.example:65536/", NULL, 0, false, NULL},
	{"http://h.example:/", NULL, 0, false, NULL},
	{"http://h.example:+80/", NULL, 0, false, NULL},
	{"http:///x", NULL, 0, false, NULL},
	{"http://[::1/x", NULL, 0, false, NULL},
	{"http://[127.0.0.1]/", NULL, 0, false, NULL},
	{"http://[::1]x/", NULL, 0, false, NULL},
	{"http://::1/", NULL, 0, false, NULL},
	{"http://127.1/", NULL, 0, false, NULL},
	{"http://2130706433/", NULL, 0, false, NULL},
	{"http://0x7f.0.0.1/", NULL, 0, false, NULL},
	{"http://h..example/", NULL, 0, false, NULL},
	{"http://-h.example/", NULL, 0, false, NULL},
	{"http://h.example./", NULL, 0, false, NULL},
	{"http://h.example/a b", NULL, 0, false, NULL},
	{"http://h.ex\xc3\xa4mple/", NULL, 0, false, NULL},
	{"http://h%2eexample/", NULL, 0, false, NULL},
	{"", NULL, 0, false, NULL},
};

static void urls_are_read_strictly(void **state)
{
	(void)state;
	for (size_t i = 0; i < ZG_COUNT(urls); i++) {
		struct zg_server_def d = {0}, untouched = {0};
		const char *no = zg_url_parse(zg_slice_str(urls[i].url), &d);

		if (!urls[i].host) {
			if (!no)
				fail_msg("accepted: %s", urls[i].url);
			assert_memory_equal(&d, &untouched, sizeof(d));
			continue;
		}
		if (no)
			fail_msg("%s: %s", urls[i].url, no);
		assert_string_equal(d.host, urls[i].host);
		assert_string_equal(d.path, urls[i].path);
		assert_int_equal(d.port, urls[i].port);
		assert_int_equal(d.tls, urls[i].tls);
	}
}

static void servers_must_not_be_confused(void **state)
{
	const char *same_id[] = {HEAD REMOTE META "}}}",
				 HEAD REMOTE " \"_meta\": {\"dev.zerogate/registry\": "
					     "{\"id\": \"X\"}}}",
				 NULL};
	const char *same_place[] = {HEAD REMOTE META ", \"addresses\": [\"10.0.0.1\"]}}}",
				    HEAD REMOTE
				    " \"_meta\": {\"dev.zerogate/registry\": {\"id\": \"y\", "
				    "\"addresses\": [\"10.0.0.2\", \"10.0.0.1\"]}}}",
				    NULL};
	const char *same_name[] = {HEAD REMOTE META "}}}",
				   HEAD REMOTE " \"_meta\": {\"dev.zerogate/registry\": "
					       "{\"id\": \"y\"}}}",
				   NULL};
	struct world w;

	(void)state;
	world_make(&w, NULL, NULL, same_name);
	assert_non_null(strstr(first_error(&w), "share a host and port"));
	world_end(&w);
	world_make(&w, NULL, NULL, same_id);
	assert_non_null(strstr(first_error(&w), "is registered twice"));
	world_end(&w);
	world_make(&w, NULL, NULL, same_place);
	assert_non_null(strstr(first_error(&w), "share an address and port"));
	world_end(&w);
}

static void what_is_not_served_is_said(void **state)
{
	static const struct {
		const char *text, *notice;
	} said[] = {
		{HEAD REMOTE META ", \"auth\": {\"bearer_file\": \"token\"}}}}",
		 "server 'x' is given credentials over http, unencrypted"},
		{HEAD REMOTE META
		 ", \"passthrough\": {\"authorization\": true, \"reason\": \"it knows "
		 "its users\"}}}}",
		 "server 'x' is given the Authorization of its clients: it knows its users"},
		{HEAD " \"packages\": [{}],\n" META "}}}",
		 "server 'x' is local (stdio) and has no command: it cannot be used"},
		{HEAD META ", \"command\": \"/bin/x\", \"args\": [\"a b\", \"$(c)\"]}}}",
		 "server 'x' runs \"/bin/x\" \"a b\" \"$(c)\""},
	};

	(void)state;
	for (size_t i = 0; i < ZG_COUNT(said); i++) {
		const char *servers[] = {said[i].text, NULL};
		struct world w;

		world_make(&w, NULL, NULL, servers);
		assert_true(w.ok);
		assert_int_equal(w.diag.notices, 1);
		assert_string_equal(w.diag.item[0].what, said[i].notice);
		world_end(&w);
	}
}

static void classes_go_from_exact_to_general(void **state)
{
	static const struct {
		const char *tool;
		enum zg_action action;
		const char *tag;
		const char *env;
	} classes[] = {
		{"get_me", ZG_ACTION_READ, "prod", "prod"},
		{"get_secret_key", ZG_ACTION_WRITE, "secret", "prod"}, /* the longer pattern */
		{"get_secret_name", ZG_ACTION_READ, "prod", "none"},   /* the exact name */
		{"create_issue", ZG_ACTION_WRITE, "non_prod", "prod"},
		{"plain", ZG_ACTION_WRITE, NULL, "prod"},
		{"anything", ZG_ACTION_WRITE, "prod", "prod"},
		{"", ZG_ACTION_WRITE, "prod", "prod"},
	};
	struct world w;

	(void)state;
	world_make(&w, NULL, NULL, world_servers);
	assert_true(w.ok);
	for (size_t i = 0; i < ZG_COUNT(classes); i++) {
		struct zg_envelope env = {.server = ZG_SLICE("github"),
					  .method = ZG_SLICE("tools/call"),
					  .tool = zg_slice_str(classes[i].tool)};

		assert_int_equal(zg_envelope_classify(&w.policy, &env), 0);
		assert_int_equal(env.action, classes[i].action);
		assert_int_equal(env.risk_tag_count, classes[i].tag ? 1 : 0);
		if (classes[i].tag)
			assert_true(zg_slice_eq(env.risk_tags[0], zg_slice_str(classes[i].tag)));
		for (size_t l = 0; l < env.label_count; l++)
			if (zg_slice_eq(env.labels[l].key, ZG_SLICE("env")))
				assert_true(zg_slice_eq(env.labels[l].value,
							zg_slice_str(classes[i].env)));
	}
	world_end(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wrong_files_say_where),
		cmocka_unit_test(urls_are_read_strictly),
		cmocka_unit_test(servers_must_not_be_confused),
		cmocka_unit_test(what_is_not_served_is_said),
		cmocka_unit_test(classes_go_from_exact_to_general),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
