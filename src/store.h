/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * store.h -- the parts of a store: between store.c and reserve.c
 */
#ifndef VMC_STORE_H
#define VMC_STORE_H

#include "put.h"

struct vmc_storing {
	struct vmemcache *cache;
	struct vmc_thread *thread;
	struct vmc_stripe *stripe;
	const struct vmc_key *key;
	const void *value; /* NULL: it is in the blocks already */
	size_t value_size;
	const struct vmemcache_store *how;
	struct vmc_entry *e; /* unseen */
};

/* NULL: no memory. */
struct vmc_entry *vmc_store_make_entry(struct vmc_storing *s);

/* As vmc_put_take_room(), but that entry, of so many blocks, is not evicted. */
int vmc_store_take_room(
	struct vmc_storing *s, const struct vmc_entry *old, uint64_t blocks);

/*
 * With its blocks: into the index, whatever is there, if the mode says so. In
 * any case the entry is not the caller's any more, and the work ends.
 */
int vmc_store_place(struct vmc_storing *s);

/* The message of what a store may say. */
int vmc_store_failed(int rc);

#endif
