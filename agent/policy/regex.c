/* SPDX-License-Identifier: Apache-2.0 */
/*
 * regex.c - see regex.h. Trust: expressions are the operator's, texts a
 * client's and already known to be valid UTF-8. A database comes from the
 * snapshot and is checked against its digest: that shows damage, not malice
 * of the process that wrote it.
 */
#include "regex.h"

#include <errno.h>
#include <hs/hs.h>

#include "digest.h"

struct zg_regexes {
	hs_scratch_t *scratch;
	uint32_t count;
	hs_database_t *db[];
};

#define FLAGS (HS_FLAG_SINGLEMATCH | HS_FLAG_UTF8 | HS_FLAG_ALLOWEMPTY)

static void free_db(hs_database_t **db)
{
	if (*db)
		(void)hs_free_database(*db);
}

static void free_bytes(char **bytes)
{
	free(*bytes); /* Hyperscan's allocator was never changed */
}

bool zg_regex_compile(struct zg_slice pattern, struct zg_arena *arena, struct zg_slice *database,
		      char *why, size_t why_size)
{
	ZG_CLEANUP(free_db) hs_database_t *db = NULL;
	ZG_CLEANUP(free_bytes) char *bytes = NULL;
	hs_compile_error_t *error = NULL;
	const char *text = zg_arena_copy(arena, pattern);
	size_t n = 0;

	(void)snprintf(why, why_size, "out of memory");
	if (!text)
		return false;
	if (hs_compile(text, FLAGS, HS_MODE_BLOCK, NULL, &db, &error) != HS_SUCCESS) {
		if (error && error->message)
			(void)zg_str_cut(why, why_size, zg_slice_str(error->message));
		(void)hs_free_compile_error(error);
		return false;
	}
	if (hs_serialize_database(db, &bytes, &n) != HS_SUCCESS)
		return false;
	if (n > ZG_REGEX_BYTES) {
		(void)snprintf(why, why_size, "its automaton is too large (%zu bytes, at most %d)",
			       n, ZG_REGEX_BYTES);
		return false;
	}
	*database = (struct zg_slice){zg_arena_copy(arena, (struct zg_slice){bytes, n}), n};
	return database->ptr != NULL;
}

static int take_up(struct zg_regexes *r, const struct zg_policy_view *v, uint32_t number)
{
	const struct zg_row_regex *row = &v->regexes[number];
	const char *bytes = v->blob + row->database.first;
	uint8_t sha256[32];

	zg_sha256(sha256, bytes, row->database.count);
	if (memcmp(sha256, row->sha256, sizeof(sha256)) != 0 ||
	    hs_deserialize_database(bytes, row->database.count, &r->db[number]) != HS_SUCCESS)
		return -EBADMSG;
	r->count++;
	return hs_alloc_scratch(r->db[number], &r->scratch) == HS_SUCCESS ? 0 : -ENOMEM;
}

int zg_regexes_new(struct zg_regexes **out, const struct zg_policy_view *v)
{
	const uint32_t n = v->header->table[ZG_PT_REGEXES].count;
	struct zg_regexes *r;
	int rc = 0;

	*out = NULL;
	if (!n)
		return 0;
	r = calloc(1, sizeof(*r) + n * sizeof(struct hs_database *));
	if (!r)
		return -ENOMEM;
	for (uint32_t i = 0; rc == 0 && i < n; i++)
		rc = take_up(r, v, i);
	if (rc < 0)
		zg_regexes_free(r);
	else
		*out = r;
	return rc;
}

void zg_regexes_free(struct zg_regexes *r)
{
	if (!r)
		return;
	for (uint32_t i = 0; i < r->count; i++)
		(void)hs_free_database(r->db[i]);
	if (r->scratch)
		(void)hs_free_scratch(r->scratch);
	free(r);
}

static int found(unsigned int id, unsigned long long from, unsigned long long to,
		 unsigned int flags, void *context)
{
	(void)id;
	(void)from;
	(void)to;
	(void)flags;
	*(bool *)context = true;
	return 1; /* one is enough */
}

enum zg_truth zg_regex_find(struct zg_regexes *r, uint32_t number, struct zg_slice text)
{
	bool hit = false;
	hs_error_t rc;

	if (!r || number >= r->count || text.len > ZG_MATCH_TEXT_BYTES)
		return ZG_UNKNOWN;
	rc = hs_scan(r->db[number], text.len ? text.ptr : "", (unsigned int)text.len, 0, r->scratch,
		     found, &hit);
	if (rc != HS_SUCCESS && rc != HS_SCAN_TERMINATED)
		return ZG_UNKNOWN;
	return hit ? ZG_TRUE : ZG_FALSE;
}
