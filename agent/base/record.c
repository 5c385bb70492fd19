/* SPDX-License-Identifier: Apache-2.0 */
/* record.c - see record.h. Trust: texts come from peers; fields are fixed. */
#include "record.h"

#include <assert.h>
#include <stddef.h>

const struct zg_record_column zg_record_columns[ZG_RF_MAX] = {
#define ROW(f, j, type)                                                                            \
	{#f,                                                                                       \
	 j,                                                                                        \
	 {",\"" #f "\":", sizeof(#f) + 3},                                                         \
	 type,                                                                                     \
	 offsetof(struct zg_record, f),                                                            \
	 sizeof(((struct zg_record *)0)->f)},
#define STR(name, journal, size) ROW(name, journal, ZG_RT_STR)
#define NUM(name, journal)	 ROW(name, journal, ZG_RT_NUM)
#define HEX(name, journal, size) ROW(name, journal, ZG_RT_HEX)
#define ADR(name, journal)	 ROW(name, journal, ZG_RT_ADR)
#include "tbl/record_field.h"
#undef STR
#undef NUM
#undef HEX
#undef ADR
#undef ROW
};

static const struct {
	const char *text;
	const char *id;
	int priority;
} kinds[ZG_RK_MAX] = {
#define X(name, text, id, prio) [ZG_RK_##name] = {text, id, prio},
#include "tbl/record_kind.h"
#undef X
};

const char *zg_record_kind_text(uint32_t kind)
{
	return kind < ZG_RK_MAX ? kinds[kind].text : NULL;
}

const char *zg_record_kind_id(uint32_t kind)
{
	return kind < ZG_RK_MAX ? kinds[kind].id : NULL;
}

int zg_record_kind_priority(uint32_t kind)
{
	return kind < ZG_RK_MAX ? kinds[kind].priority : 3;
}

void zg_record_init(struct zg_record *r, enum zg_record_kind kind)
{
	struct timespec now;

	memset(r, 0, sizeof(*r));
	(void)clock_gettime(CLOCK_REALTIME, &now);
	r->kind = kind;
	r->time_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void zg_record_str(struct zg_record *r, enum zg_record_field field, struct zg_slice s)
{
	const struct zg_record_column *c = &zg_record_columns[field];

	assert(c->type == ZG_RT_STR);
	if (!s.len)
		return;
	(void)zg_str_cut((char *)r + c->offset, c->bytes, s);
	ZG_REC_MARK_N(r, field);
}

void zg_record_bytes(struct zg_record *r, enum zg_record_field field, const uint8_t *bytes)
{
	const struct zg_record_column *c = &zg_record_columns[field];

	assert(c->type == ZG_RT_HEX || c->type == ZG_RT_ADR);
	memcpy((char *)r + c->offset, bytes, c->bytes);
	ZG_REC_MARK_N(r, field);
}

static void copy_field(struct zg_record *to, const struct zg_record *from, size_t field)
{
	const struct zg_record_column *c = &zg_record_columns[field];
	const char *value = (const char *)from + c->offset;
	char *place = (char *)to + c->offset;
	size_t n = c->type == ZG_RT_STR ? strnlen(value, c->bytes) : c->bytes;

	memcpy(place, value, n);
	if (n < c->bytes)
		place[n] = '\0';
}

/* A record has room for all that any kind says, and a call sets a few hundred
 * bytes of it: the rest would be cache lines that travel for nothing. */
void zg_record_copy(struct zg_record *to, const struct zg_record *from)
{
	memcpy(to, from, offsetof(struct zg_record, pad) + sizeof(from->pad));
	for (size_t half = 0; half < 2; half++) {
		for (uint64_t left = to->present[half]; left; left &= left - 1) {
			size_t field = 64 * half + (size_t)__builtin_ctzll(left);

			if (field < ZG_RF_MAX) /* else the writer lies */
				copy_field(to, from, field);
		}
	}
}

void zg_record_principal(struct zg_record *r, const struct zg_principal *p)
{
	zg_record_str(r, ZG_RF_profile, zg_slice_str(p->profile));
	zg_record_str(r, ZG_RF_cgroup, zg_slice_str(p->cgroup));
	zg_record_str(r, ZG_RF_comm, zg_slice_str(p->comm));
	ZG_REC_NUM(r, cgroup_id, p->cgroup_id);
	ZG_REC_NUM(r, pid, p->pid);
	ZG_REC_NUM(r, pid_start_ns, p->start_ns);
	ZG_REC_NUM(r, uid, p->uid);
	ZG_REC_NUM(r, gid, p->gid);
}
