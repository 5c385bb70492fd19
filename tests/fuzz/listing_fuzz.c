/* SPDX-License-Identifier: Apache-2.0 */
/*
 * listing_fuzz.c - a server's list with entries taken out. What must hold, for
 * any text that the strict reader accepts: what is left is such a text, holds
 * the entries that stay, as they are and in their order, and none that was
 * taken out; each can be hashed. The first byte of an input chooses who stays,
 * and whether names get a prefix.
 */
#include "definition.h"
#include "list_filter.h"
#include "scan.h"

#define CHECK(what)                                                                                \
	do {                                                                                       \
		if (!(what)) {                                                                     \
			fprintf(stderr, "does not hold: %s\n", #what);                             \
			abort();                                                                   \
		}                                                                                  \
	} while (0)
#define PREFIX "p_"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static struct zg_scanner *scanner;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	zg_autobuf db = ZG_BUF(1 << 24);
	struct zg_err e = {0};

	(void)argc;
	(void)argv;
	CHECK(zg_scandb_build(&db, &e) == 0 && zg_scanner_new(&scanner, db.ptr, db.len, &e) == 0);
	return 0;
}

struct choice {
	unsigned seed;
	const char *prefix;
	struct zg_buf kept;
};

static unsigned sum(struct zg_slice s)
{
	unsigned n = 0;

	for (size_t i = 0; i < s.len; i++)
		n = n * 31 + (unsigned char)s.ptr[i];
	return n;
}

/* The entry as it will be read again. */
static void note(struct zg_buf *to, const char *prefix, enum zg_list_section s,
		 struct zg_slice entry, struct zg_slice name)
{
	zg_buf_fmt(to, "%d:", s);
	if (*prefix && s <= ZG_LS_PROMPTS && name.len > 1 && name.ptr[0] == '"')
		zg_json_splice(entry, (struct zg_slice){name.ptr + 1, 0}, zg_slice_str(prefix), to);
	else
		zg_buf_add(to, entry.ptr, entry.len);
	zg_buf_char(to, '\n');
}

static void hash(struct zg_slice entry)
{
	const struct zg_names own = {.text = ZG_BUF(1024)};
	zg_autobuf canon = ZG_BUF(1 << 22);
	struct zg_msg_pin_seen q = {0};
	json_t *v = zg_definition_parse(entry);

	CHECK(v);
	if (zg_definition_read(v, &own, &canon, &q) == 0)
		CHECK(canon.len && memchr(q.mentions, '\0', sizeof(q.mentions)));
	json_decref(v);
}

static bool choose(void *arg, enum zg_list_section s, struct zg_slice entry, struct zg_slice name)
{
	struct choice *c = arg;
	bool stays = (sum(name.ptr ? name : entry) ^ c->seed) & 1;

	/* an instruction that is taken out is an empty one */
	if (stays && (s != ZG_LS_INSTRUCTIONS || entry.len > 2))
		note(&c->kept, c->prefix, s, entry, name);
	return stays;
}

static bool collect(void *arg, enum zg_list_section s, struct zg_slice entry, struct zg_slice name)
{
	hash(entry);
	if (s != ZG_LS_INSTRUCTIONS || entry.len > 2)
		note(arg, "", s, entry, name);
	return true;
}

static bool is_strict(struct zg_slice text)
{
	static struct zg_findings found;
	zg_autobuf out = ZG_BUF(1 << 22);
	bool changed;

	return zg_scan_json(scanner, text, &found, &out, &changed, NULL, NULL) == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct choice c = {.prefix = size && bytes[0] & 2 ? PREFIX : "", .kept = ZG_BUF(1 << 22)};
	zg_autobuf out = ZG_BUF(1 << 22), again = ZG_BUF(1 << 22);
	struct zg_slice text;
	bool changed;

	if (!size)
		return 0;
	c.seed = bytes[0];
	text = (struct zg_slice){(const char *)bytes + 1, size - 1};
	if (!is_strict(text))
		return 0;
	CHECK(zg_list_filter(text, choose, &c, c.prefix, &out, &changed) == 0);
	CHECK(changed == (out.len > 0));
	if (changed)
		CHECK(is_strict(zg_buf_slice(&out)));
	zg_list_each(changed ? zg_buf_slice(&out) : text, collect, &again);
	CHECK(zg_slice_eq(zg_buf_slice(&again), zg_buf_slice(&c.kept)));
	zg_buf_release(&c.kept);
	return 0;
}
