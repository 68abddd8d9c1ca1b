/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * entry.h -- one object per item, and its one lifecycle
 *
 *   offset 0      20         24     32           38      40
 *          | node | key_size | runs | value_size | state | key ... |
 *
 * key_size is in the node's padding, value_size has 48 bits.
 *
 * One allocation, of 48 bytes with a key of up to 8. The value's bytes are in
 * the pool, in the blocks that runs names.
 *
 * Life of the state word; whoever makes a transition owns what comes with it:
 *
 *   from       to         by                     what it means
 *   -          INSERTING  put, before the entry  built by one thread, unseen
 *                         is in the index
 *   INSERTING  LIVE       that put, as its last  may be evicted from here on
 *                         step
 *   LIVE       EVICTING   an evictor (compare    the evictor alone may remove
 *                         and swap)              it; gets still answer
 *   EVICTING   LIVE       that evictor, under    given up: not enough could be
 *                         the policy's lock      evicted; no callback has run;
 *                                                in the policy again
 *   EVICTING   DEAD       that evictor, once     blocks are reused from here
 *                         it is out of the index on; gets must look again
 *   DEAD       (freed)    whoever finds it ripe  no reader and no ring holds it
 *                         in a limbo
 *
 * Where the node is meanwhile, and so who may write it:
 *
 *   prev   next           where                    written
 *   NULL   NULL           not in the policy yet    by its put, then by whoever
 *                                                  drains it from a ring
 *   set    set            held by the policy       under its lock
 *   NULL   a slot, marked reserved for one thread  under the policy's lock
 *                         as a victim; LIVE all
 *                         the same
 *   NULL   any            claimed                  by the evictor alone
 *
 * From where to where, and who wins when several want it: evict.c.
 *
 * Guards: sizes, runs and key are immutable while the entry is in the
 * index.
 */
#ifndef VMC_ENTRY_H
#define VMC_ENTRY_H

#include "base/atomic.h"
#include "extent/extent.h"
#include "lru/policy.h"

#include <assert.h>
#include <string.h>

enum vmc_entry_state {
	VMC_ENTRY_INSERTING,
	VMC_ENTRY_LIVE,
	VMC_ENTRY_EVICTING,
	VMC_ENTRY_DEAD,
};

struct vmc_entry {
	struct vmc_policy_node node;
	vmc_runs runs;
	uint32_t value_size_low;
	uint16_t value_size_high;
	_Atomic uint16_t state;
	unsigned char key[];
};

static_assert(offsetof(struct vmc_entry, key) == 40, "no padding");

/* A key as the caller gives it, with its hash. */
struct vmc_key {
	const void *data;
	size_t size;
	uint64_t hash;
};

static inline size_t
vmc_entry_value_size(const struct vmc_entry *entry)
{
	return entry->value_size_low | (size_t)entry->value_size_high << 32;
}

static inline uint32_t
vmc_entry_key_size(const struct vmc_entry *entry)
{
	return entry->node.of_user;
}

static inline size_t
vmc_entry_size(const struct vmc_entry *entry)
{
	return sizeof(*entry) + vmc_entry_key_size(entry);
}

static inline struct vmc_entry *
vmc_entry_of(struct vmc_policy_node *node)
{
	return (struct vmc_entry *)((char *)node -
				    offsetof(struct vmc_entry, node));
}

/* Short keys, the usual ones, without a call. */
static inline bool
vmc_key_equal(const unsigned char *a, const unsigned char *b, size_t size)
{
	uint64_t a_first, a_last, b_first, b_last;

	if (size < 8 || size > 16)
		return size == 0 || memcmp(a, b, size) == 0;
	memcpy(&a_first, a, 8);
	memcpy(&b_first, b, 8);
	memcpy(&a_last, a + size - 8, 8);
	memcpy(&b_last, b + size - 8, 8);
	return ((a_first ^ b_first) | (a_last ^ b_last)) == 0;
}

static inline bool
vmc_entry_match(const void *leaf, const void *key_arg)
{
	const struct vmc_entry *entry = leaf;
	const struct vmc_key *key = key_arg;

	return vmc_entry_key_size(entry) == key->size &&
	       vmc_key_equal(entry->key, key->data, key->size);
}

#endif
