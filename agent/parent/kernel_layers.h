/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kernel_layers.h - the optional layers (tbl/kernel_layer.h): BPF objects of
 * their own that share the gate's maps by name. A layer that this kernel
 * refuses is reported with a reason and takes nothing from the others.
 */
#ifndef ZG_KERNEL_LAYERS_H
#define ZG_KERNEL_LAYERS_H

#include "kernel.h"
#include "kernel_link.h"

struct bpf_object;
struct zg_layers;

/* Load each layer and attach it, or take over what is pinned; those on demand
 * when they are wanted. at and gate must outlive it; gate is loaded. Fails for want of memory only.
 */
int zg_layers_new(struct zg_layers **out, const struct zg_place *at, const struct bpf_object *gate,
		  struct zg_err *e) ZG_MUST_CHECK;
void zg_layers_free(struct zg_layers *l); /* pins stay */

/* As zg_kernel_layer_state, zg_kernel_layer_want and zg_kernel_verify. */
enum zg_layer_state zg_layers_state(const struct zg_layers *l, enum zg_kernel_layer layer,
				    const char **reason);
int zg_layers_want(struct zg_layers *l, enum zg_kernel_layer layer, bool wanted,
		   struct zg_err *e) ZG_MUST_CHECK;
int zg_layers_census(const struct zg_layers *l) ZG_MUST_CHECK; /* zg_kernel_census */
int zg_layers_verify(const struct zg_layers *l, struct zg_err *e) ZG_MUST_CHECK;
/* Attach anew what zg_layers_verify misses. */
int zg_layers_repair(struct zg_layers *l, struct zg_err *e) ZG_MUST_CHECK;

#endif
