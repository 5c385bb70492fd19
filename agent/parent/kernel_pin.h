/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kernel_pin.h - the pin folder: names, shapes, and whether what is pinned
 * there is ours to take over. 0 or -errno, with e filled.
 */
#ifndef ZG_KERNEL_PIN_H
#define ZG_KERNEL_PIN_H

#include <stdbool.h>

#include <bpf/libbpf.h>

#include "err.h"

#define ZG_CTL_PIN  "zg_ctl"
#define ZG_PIN_MAP  ""
#define ZG_PIN_LINK "link_"
#define ZG_PIN_NEXT "next_" /* a link on its way to replace one */

struct zg_pin {
	char path[ZG_PATH_LEN + 32];
};

/* dir is shorter than ZG_PATH_LEN. */
struct zg_pin zg_pin_of(const char *dir, const char *prefix, const char *name);
struct zg_pin zg_pin_of_map(const char *dir, const struct bpf_map *m);
struct zg_pin zg_pin_of_link(const char *dir, const struct bpf_program *p);
bool zg_pin_exists(struct zg_pin p);

/* Make it (0700) if it is missing; -EINVAL when it is not on a bpffs. */
int zg_pin_dir_prepare(const char *dir, struct zg_err *e) ZG_MUST_CHECK;

/* -EEXIST: name is pinned but cannot be taken over; the hint names the remedy. */
int zg_pin_foreign(struct zg_err *e, const char *what, const char *name);

/* Is the pinned zg_ctl of this version? */
int zg_pin_check_abi(const char *dir, struct zg_err *e) ZG_MUST_CHECK;

/* Make m, not yet loaded, use the pinned map of its name and very shape. */
int zg_pin_take_map(struct bpf_map *m, const char *dir, struct zg_err *e) ZG_MUST_CHECK;
int zg_pin_map(struct bpf_map *m, const char *dir, struct zg_err *e) ZG_MUST_CHECK;

/* Detach and unpin; 0 also when there is none. */
int zg_pin_remove_link(struct zg_pin pin) ZG_MUST_CHECK;

/* Is a link pinned there, of this version or any other? 0 or -errno. */
int zg_pin_any_link(const char *dir, bool *any) ZG_MUST_CHECK;

/* Remove links, then maps, then zg_ctl, those of other versions included. The
 * folder may be missing, and stays. */
int zg_pin_remove_links(const char *dir) ZG_MUST_CHECK;
int zg_pin_remove_maps(const char *dir) ZG_MUST_CHECK;

#endif
