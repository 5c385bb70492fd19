/* SPDX-License-Identifier: Apache-2.0 */
/* secrets.c - see secrets.h. Trust: the parent writes it; its reader checks all the same. */
#include "secrets.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL)

void zg_secrets_draft_init(struct zg_secrets_draft *d)
{
	*d = (struct zg_secrets_draft){
		.entry = ZG_BUF(ZG_SECRETS_MAX * sizeof(struct zg_secret)),
		.bytes = ZG_BUF(ZG_SECRETS_BYTES),
	};
}

void zg_secrets_add(struct zg_secrets_draft *d, enum zg_secret_kind kind, struct zg_slice name,
		    struct zg_slice bytes)
{
	struct zg_secret e = {.kind = kind, .offset = d->bytes.len};

	if (d->error)
		return;
	if (!zg_str_cut(e.name, sizeof(e.name), name)) {
		d->error = -ENAMETOOLONG;
		return;
	}
	/* all of it at once: growing would leave copies in memory that is given back */
	if (!d->bytes.ptr && !zg_buf_room(&d->bytes, ZG_SECRETS_BYTES)) {
		d->error = -ENOMEM;
		return;
	}
	zg_buf_add(&d->bytes, bytes.ptr, bytes.len);
	e.bytes = (uint32_t)(d->bytes.len - e.offset);
	zg_buf_add(&d->entry, &e, sizeof(e));
	d->error = d->bytes.error ? d->bytes.error : d->entry.error;
}

static int put(int fd, const void *from, size_t n)
{
	const char *p = from;

	while (n) {
		ssize_t done = write(fd, p, n);

		if (done <= 0)
			return done < 0 ? -errno : -EIO;
		p += done;
		n -= (size_t)done;
	}
	return 0;
}

int zg_secrets_make(const struct zg_secrets_draft *d)
{
	const size_t front = sizeof(struct zg_secrets_header) + d->entry.len;
	const struct zg_secrets_header head = {
		.magic = ZG_SECRETS_MAGIC,
		.count = (uint32_t)(d->entry.len / sizeof(struct zg_secret)),
		.bytes = front + d->bytes.len,
	};
	zg_autofd int fd = -1;
	int rc;

	if (d->error)
		return d->error;
	fd = memfd_create("zerogate-secrets", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -errno;
	rc = put(fd, &head, sizeof(head));
	for (uint32_t i = 0; rc == 0 && i < head.count; i++) {
		struct zg_secret e;

		memcpy(&e, d->entry.ptr + i * sizeof(e), sizeof(e));
		e.offset += front;
		rc = put(fd, &e, sizeof(e));
	}
	if (rc == 0)
		rc = put(fd, d->bytes.ptr, d->bytes.len);
	if (rc == 0 && fcntl(fd, F_ADD_SEALS, SEALS) < 0)
		rc = -errno;
	return rc < 0 ? rc : zg_take_fd(&fd);
}

void zg_secrets_draft_release(struct zg_secrets_draft *d)
{
	if (d->bytes.ptr)
		explicit_bzero(d->bytes.ptr, d->bytes.len);
	zg_buf_release(&d->entry);
	zg_buf_release(&d->bytes);
	zg_secrets_draft_init(d);
}

static bool entries_ok(const struct zg_secrets_header *h)
{
	const struct zg_secret *e = (const struct zg_secret *)(h + 1);
	const uint64_t front = sizeof(*h) + (uint64_t)h->count * sizeof(*e);

	if (front > h->bytes)
		return false;
	for (uint32_t i = 0; i < h->count; i++)
		if (e[i].kind == ZG_SK_NONE || e[i].kind >= ZG_SK_MAX || e[i].offset < front ||
		    e[i].offset > h->bytes || e[i].bytes > h->bytes - e[i].offset ||
		    !memchr(e[i].name, '\0', sizeof(e[i].name)))
			return false;
	return true;
}

int zg_secrets_open(struct zg_secrets *s, int fd)
{
	const int seals = fcntl(fd, F_GET_SEALS);
	const struct zg_secrets_header *h;
	struct stat st;

	*s = (struct zg_secrets){0};
	if (seals < 0 || (seals & SEALS) != SEALS || fstat(fd, &st) < 0 ||
	    st.st_size < (off_t)sizeof(*h) || st.st_size > 2 * ZG_SECRETS_BYTES)
		return -EBADMSG;
	h = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (h == MAP_FAILED)
		return -errno;
	(void)madvise((void *)(uintptr_t)h, (size_t)st.st_size, MADV_DONTDUMP);
	*s = (struct zg_secrets){h, (const struct zg_secret *)(h + 1), (size_t)st.st_size};
	if (h->magic == ZG_SECRETS_MAGIC && h->count <= ZG_SECRETS_MAX && h->bytes == s->bytes &&
	    entries_ok(h))
		return 0;
	zg_secrets_close(s);
	return -EBADMSG;
}

void zg_secrets_close(struct zg_secrets *s)
{
	if (s->header)
		(void)munmap((void *)(uintptr_t)s->header, s->bytes);
	*s = (struct zg_secrets){0};
}

struct zg_slice zg_secrets_find(const struct zg_secrets *s, enum zg_secret_kind kind,
				struct zg_slice name, uint32_t nth)
{
	for (uint32_t i = 0; s->header && i < s->header->count; i++) {
		const struct zg_secret *e = &s->entry[i];

		if (e->kind == (uint32_t)kind && zg_slice_eq(zg_slice_str(e->name), name) &&
		    nth-- == 0)
			return (struct zg_slice){(const char *)s->header + e->offset, e->bytes};
	}
	return (struct zg_slice){0};
}
