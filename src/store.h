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

/* Of what was found under the key; it may go any moment. */
struct vmc_found {
	const struct vmc_entry *spared; /* NULL: its time is over */
	uint64_t blocks;                /* of that */
	int judged; /* 0: what the mode asks for; else a negative errno */
};

/* In the epoch in which that was found; *now as of vmc_now(). */
struct vmc_found vmc_store_look(const struct vmemcache_store *how,
	const struct vmc_entry *old, uint64_t *now);
/* With s->e in its place, if it may be: blocks are taken, and all the rest. */
int vmc_store_over(struct vmc_storing *s, const struct vmc_found *found);

/*
 * All of a store (put.c), by who has asked for versions, if there is to be one,
 * and holds the key's era. *version is not touched if it fails.
 */
int vmc_put_store(struct vmc_storing *s, uint64_t *version);

/* As vmc_put_take_room(), but that entry, of so many blocks, is not evicted. */
int vmc_store_take_room(
	struct vmc_storing *s, const struct vmc_entry *old, uint64_t blocks);

/*
 * Where the entry, with its blocks, was made for an era of its space that has
 * ended: that of the key admits it, evicting as vmc_store_over() does, and it
 * is of that. If not, negative errno, and it is as it was.
 */
int vmc_store_admit(struct vmc_storing *s);

/*
 * With its blocks: into the index, whatever is there, if the mode says so. In
 * any case the entry is not the caller's any more, and the work ends.
 */
int vmc_store_place(struct vmc_storing *s);

/* The message of what a store may say. */
int vmc_store_failed(int rc);

#endif
