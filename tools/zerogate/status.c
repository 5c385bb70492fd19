/* SPDX-License-Identifier: Apache-2.0 */
/*
 * status.c - `zerogate status`: what the running agent enforces. Exit 1 when
 * that is not all it should. Trust: as any user; prints what the agent says.
 */
#include <inttypes.h>

#include "buf.h"
#include "cli.h"
#include "slice.h"
#include "status.h"

static void print_time(uint64_t ns)
{
	char text[32] = "never";
	time_t at = (time_t)(ns / 1000000000);
	struct tm tm;

	if (ns && localtime_r(&at, &tm))
		(void)strftime(text, sizeof(text), "%F %T %z", &tm);
	puts(text);
}

static void print_proofs(const struct zg_msg_ctl_status *s)
{
	printf("self-proof   %" PRIu64 " rounds, %" PRIu64 " found it broken; the last ", s->proofs,
	       s->proofs_failed);
	print_time(s->proved_ns);
	printf("unknown      %" PRIu64 " server connections\n", s->unknown_servers);
}

/* Names of gates that are tripped, by comma; one that cannot be told counts. */
static void tripped_gates(struct zg_cli *cli, const struct zg_msg_ctl_status *s, char *out,
			  size_t size)
{
	struct zg_msg_ctl_gate all[ZG_GATES] = {0};
	size_t used = 0;

	out[0] = '\0';
	if (!s->ledger_ready || zg_cli_gates(cli, all) != ZG_EXIT_OK) {
		(void)snprintf(out, size, "unknown");
		return;
	}
	for (uint32_t i = 0; i < ZG_GATES; i++)
		if (all[i].tripped && used < size)
			used += (size_t)snprintf(out + used, size - used, "%s%s", used ? "," : "",
						 zg_cli_gate_text(i));
}

static void print_text(const struct zg_msg_ctl_status *s, const char *gates,
		       const struct zg_status_people *people)
{
	char id[65];

	zg_hex(id, s->snapshot, sizeof(s->snapshot));
	fputs("enforcement  ", stdout);
	zg_print_safe(stdout, s->enforcement);
	fputs("\nsince        ", stdout);
	print_time(s->started_ns);
	printf("snapshot     %s (generation %" PRIu64 ")\n", id, s->generation);
	printf("gateways     %u of %u ready\n", s->workers_ready, s->workers);
	printf("ledger       %s\n", s->ledger_ready ? "ready" : "not ready: calls are refused");
	printf("restarts     %u\n", s->restarts);
	printf("governs      %u cgroups, %u profiles, %u servers, %" PRIu64 " prefixes, %" PRIu64
	       " rules\n",
	       s->governed_cgroups, s->profiles, s->servers, s->prefixes, s->rules);
	if (s->contained[0]) {
		fputs("contained    ", stdout);
		zg_print_safe(stdout, s->contained);
		putchar('\n');
	}
	zg_status_people_print(people);
	printf("gates        %s\n", gates[0] ? gates : "none is tripped");
	print_proofs(s);
	printf("denials      %" PRIu64 " (%" PRIu64 " not recorded)\n", s->denials, s->events_lost);
	if (s->shadow[0]) {
		fputs("shadow       ", stdout);
		zg_print_safe(stdout, s->shadow);
		printf("; of %" PRIu64 " calls %" PRIu64 " stricter, %" PRIu64 " looser, %" PRIu64
		       " with other constraints\n",
		       s->shadow_calls, s->shadow_stricter, s->shadow_looser, s->shadow_other);
	}
	if (s->last_reload_error[0]) {
		fputs("last reload  failed: ", stdout);
		zg_print_safe(stdout, s->last_reload_error);
		putchar('\n');
	}
}

static int print_json(const struct zg_msg_ctl_status *s, const char *gates,
		      const struct zg_status_people *people)
{
	zg_autobuf out = ZG_BUF(16384);
	char id[65];
	const struct {
		const char *name;
		uint64_t value;
	} numbers[] = {
		{"generation", s->generation},
		{"started_ns", s->started_ns},
		{"workers", s->workers},
		{"workers_ready", s->workers_ready},
		{"restarts", s->restarts},
		{"governed_cgroups", s->governed_cgroups},
		{"profiles", s->profiles},
		{"servers", s->servers},
		{"prefixes", s->prefixes},
		{"rules", s->rules},
		{"denials", s->denials},
		{"events_lost", s->events_lost},
		{"proofs", s->proofs},
		{"proofs_failed", s->proofs_failed},
		{"proved_ns", s->proved_ns},
		{"unknown_servers", s->unknown_servers},
		{"shadow_calls", s->shadow_calls},
		{"shadow_stricter", s->shadow_stricter},
		{"shadow_looser", s->shadow_looser},
		{"shadow_other", s->shadow_other},
	};

	zg_hex(id, s->snapshot, sizeof(s->snapshot));
	zg_buf_str(&out, "{\"enforcement\":");
	zg_buf_json(&out, zg_slice_str(s->enforcement));
	zg_buf_fmt(&out, ",\"snapshot\":\"%s\",\"ledger_ready\":%s", id,
		   s->ledger_ready ? "true" : "false");
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		zg_buf_fmt(&out, ",\"%s\":%" PRIu64, numbers[i].name, numbers[i].value);
	zg_buf_str(&out, ",\"contained\":");
	zg_buf_json(&out, zg_slice_str(s->contained));
	zg_buf_str(&out, ",\"gates_tripped\":");
	zg_buf_json(&out, zg_slice_str(gates));
	zg_status_people_json(&out, people);
	zg_buf_str(&out, ",\"shadow\":");
	zg_buf_json(&out, zg_slice_str(s->shadow));
	zg_buf_str(&out, ",\"last_reload_error\":");
	zg_buf_json(&out, zg_slice_str(s->last_reload_error));
	zg_buf_str(&out, "}\n");
	if (!zg_buf_ok(&out))
		return -1;
	return fwrite(out.ptr, 1, out.len, stdout) == out.len ? 0 : -1;
}

int zg_cli_status(const struct zg_cli *cli, struct zg_msg_ctl_status *out)
{
	const struct zg_msg_ctl_status_get request = {0};
	int sock = zg_ctl_connect(cli), status = ZG_EXIT_DAEMON, rc = 1;
	struct zg_msg m = {.fd = -1};
	bool got = false;

	if (sock < 0)
		return ZG_EXIT_DAEMON;
	if (zg_ctl_request(sock, ZG_MSG_CTL_STATUS_GET, &request) < 0)
		rc = -1;
	while (rc > 0) {
		rc = zg_ctl_next(sock, &m, &status);
		if (rc > 0 && m.type == ZG_MSG_CTL_STATUS) {
			memcpy(out, m.body, sizeof(*out));
			ZG_MSG_TEXT(out->enforcement);
			ZG_MSG_TEXT(out->last_reload_error);
			ZG_MSG_TEXT(out->contained);
			ZG_MSG_TEXT(out->shadow);
			got = true;
		}
	}
	(void)close(sock);
	if (rc < 0)
		return ZG_EXIT_DAEMON;
	return status == 0 && !got ? ZG_EXIT_DAEMON : status;
}

bool zg_cli_enforces(const struct zg_msg_ctl_status *s)
{
	return strcmp(s->enforcement, "full") == 0 ||
	       strncmp(s->enforcement, "degraded: ", strlen("degraded: ")) == 0;
}

int zg_verb_status(struct zg_cli *cli, int argc, char **argv)
{
	struct zg_msg_ctl_status s;
	struct zg_status_people people = {0};
	char gates[ZG_REASON_LEN];
	int rc;

	(void)argv;
	if (argc != 1) {
		fputs("usage: zerogate [--json] status\n", stderr);
		return ZG_EXIT_USAGE;
	}
	rc = zg_cli_status(cli, &s);
	if (rc != 0)
		return rc;
	tripped_gates(cli, &s, gates, sizeof(gates));
	if (s.ledger_ready)
		zg_status_people(cli, &people);
	if (!cli->json)
		print_text(&s, gates, &people);
	else if (print_json(&s, gates, &people) < 0)
		return ZG_EXIT_NO;
	return zg_cli_enforces(&s) && s.ledger_ready && s.workers_ready == s.workers ? ZG_EXIT_OK
										     : ZG_EXIT_NO;
}
