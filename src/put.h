/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * put.h -- what putting and storing have in common (put.c, store.c)
 */
#ifndef VMC_PUT_H
#define VMC_PUT_H

#include "cache.h"

/*
 * Values of up to this many bytes are copied while the key's partition of the
 * index is latched. Taking the latch after the copy would wait for all stores
 * of the copy: base/lock.h says what that costs. Other puts meet the latch in
 * one of 256 cases; gets need no latch.
 */
#define VMC_PUT_WRITE_LATCHED 16384

/*
 * An entry that nobody knows, without blocks; with these extras, unless NULL.
 * NULL: no memory.
 */
struct vmc_entry *vmc_put_make_entry(struct vmemcache *cache,
	struct vmc_stripe *stripe, const struct vmc_key *key, size_t value_size,
	const struct vmc_extras *extras);
void vmc_put_free_entry(struct vmemcache *cache, struct vmc_entry *e);

/*
 * Blocks for the value of *e, of that size, and what the policy needs:
 * evicting, and waiting for others. Then the thread works
 * (vmc_cache_work_begins()), and no callback may run until it ends. A cache
 * that keeps versions by now has another *e. On failure it does not work, and
 * *e is freed.
 */
int vmc_put_take_room(struct vmemcache *cache, const struct vmc_thread *thread,
	struct vmc_stripe *stripe, size_t value_size, struct vmc_entry **e);
/* The way back, before it is published: the work ends. */
void vmc_put_give_back(struct vmemcache *cache, struct vmc_stripe *stripe,
	struct vmc_entry *e);

/*
 * What the order of keys will need for an entry that is published next: after
 * the last callback before that. -ENOMEM.
 */
static inline int
vmc_put_stock_order(struct vmemcache *cache, struct vmc_stripe *stripe)
{
	if (__builtin_expect(cache->order == NULL, 1) ||
		stripe->order_stock.has == VMC_ORDER_STOCKED)
		return 0;
	return vmc_order_stock(cache->order, &stripe->order_stock);
}

/* What the index is told of where the value begins. */
uint64_t vmc_put_note(const struct vmemcache *cache, const vmc_runs *runs);

void vmc_put_write(
	struct vmemcache *cache, const struct vmc_entry *e, const char *value);

/*
 * Into that place of the index, which is latched for it, and into the ring.
 * From then on it is anybody's. counts_as: vmc_count_of_store(), or
 * VMC_COUNTERS of a value that is counted already.
 */
void vmc_put_publish(struct vmemcache *cache, struct vmc_thread *thread,
	struct vmc_stripe *stripe, const struct vmc_key *key,
	struct vmc_entry *e, const struct vmc_index_place *where,
	enum vmc_counter counts_as);

/* What was put, or not, for a get that waits for it. */
struct vmc_offer {
	const void *value;
	size_t value_size;
	bool stored; /* this value is there, or was just now */
	bool exists; /* another one is */
};

/* To the innermost get on this thread, if it waits for that key. */
void vmc_put_hand_over(struct vmemcache *cache, struct vmc_thread *thread,
	struct vmc_stripe *stripe, const struct vmc_key *key,
	const struct vmc_offer *offer);

#endif
