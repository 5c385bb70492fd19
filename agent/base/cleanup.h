/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cleanup.h - scope-bound release. A variable declared with one of these is
 * released when its scope ends, unless ZG_TAKE moved it out.
 */
#ifndef ZG_CLEANUP_H
#define ZG_CLEANUP_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define ZG_MUST_CHECK	__attribute__((warn_unused_result))
#define ZG_PRINTF(a, b) __attribute__((format(printf, a, b)))
#define ZG_UNUSED	__attribute__((unused))

#define ZG_CLEANUP(f) __attribute__((cleanup(f)))

static inline void zg_close_(const int *fd)
{
	if (*fd >= 0)
		(void)close(*fd);
}

static inline void zg_free_(void *p)
{
	free(*(void **)p);
}

static inline void zg_fclose_(FILE *const *f)
{
	if (*f)
		(void)fclose(*f);
}

#define zg_autofd   ZG_CLEANUP(zg_close_)
#define zg_autofree ZG_CLEANUP(zg_free_)
#define zg_autofile ZG_CLEANUP(zg_fclose_)

/* Move a descriptor or pointer out of its variable; the caller owns it now. */
static inline int zg_take_fd(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

#define ZG_TAKE(p)                                                                                 \
	({                                                                                         \
		__typeof__(p) t_ = (p);                                                            \
		(p) = NULL;                                                                        \
		t_;                                                                                \
	})

#endif
