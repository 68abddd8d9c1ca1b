/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * make.h -- making entries, which nobody else knows yet (put.h for others)
 */
#ifndef VMC_MAKE_H
#define VMC_MAKE_H

#include "put.h"
#include "space.h"

/* Of so many bytes in all, the extras not filled. NULL: no memory. */
static inline __attribute__((always_inline)) struct vmc_entry *
vmc_make_entry(struct vmemcache *cache, struct vmc_stripe *stripe,
	const struct vmc_key *key, bool of_space, size_t value_size,
	size_t size)
{
	struct vmc_entry *e = NULL;

	/* counted here, where the stripe is known */
	if (key->size <= VMC_ENTRY_KEY_MAX)
		e = vmc_alloc(&cache->uncounted, size);
	if (!e)
		return NULL;
	vmc_count(stripe, VMC_COUNT_METADATA, size);
	vmc_store_relaxed(&e->state, VMC_ENTRY_LIVE);
	vmc_store_relaxed(&e->node.at, 0);
	e->node.of_user = (uint32_t)key->size | (of_space ? VMC_ENTRY_MARK : 0);
	e->value_size_low = (uint32_t)value_size;
	e->value_size_high = (uint8_t)(value_size >> 32 & ~VMC_ENTRY_EXTRA);
	vmc_store_relaxed(&e->used, 0);
	e->runs = VMC_RUNS_NONE;
	if (key->size)
		memcpy(e->key, key->data, key->size);
	if (of_space) {
		memcpy(e->key + key->size, &key->era_id, sizeof(key->era_id));
		vmc_fetch_add_relaxed(&key->era->refs, 1);
	}
	return e;
}

/* An entry with its blocks again, with a version. -ENOMEM: it is as it was. */
int vmc_make_version(struct vmemcache *cache, struct vmc_stripe *stripe,
	struct vmc_entry **e);

#endif
