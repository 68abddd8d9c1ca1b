/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pin.c -- values where they are: pinning and unpinning
 *
 * A pin is counted in the state word of its entry (entry.h). While there is
 * one, the entry and its blocks stay as they are, whatever happens to the key.
 *
 *   pin     within an epoch, by which the entry is not freed: finds it in the
 *           index; state + 1 pin, unless it is DEAD (compare and swap)
 *   unpin   state - 1 pin (compare and swap)
 *   DEAD    set by the evictor, once the entry is out of the index
 *
 * Which thread frees the blocks? All changes of the word are read-modify-write
 * operations, so they have one order. No pin is added to a DEAD entry. So once
 * it is DEAD, the number of pins only falls, and exactly one operation leaves
 * the word DEAD without pins: the evictor's if there were none, else an unpin.
 * The thread of that operation frees the blocks and retires the entry.
 *
 * No block is reused while it is pinned: all reads of a thread between its pin
 * and its unpin come before that unpin (release). The unpin comes before the
 * operation that ends the pins (acquire): that is the same operation, or it
 * reads from a release sequence that contains the unpin. The blocks are freed
 * after it. The proof in get.c also holds here, since DEAD is set before the
 * blocks are freed.
 *
 * A pinned value is not moved (resize.c): the thread that moves it changes the
 * word from LIVE without pins to MOVING and back, around the exchange of its
 * runs. A pin that reads MOVING tries again.
 *
 * A claim need not see every pin: victims are LIVE and not pinned when they are
 * chosen. A victim that is pinned afterwards, while gets still find it, is
 * evicted nevertheless, and its blocks are freed with the last pin.
 *
 * PARKED. An evictor that meets a pinned entry takes it out of the policy, and
 * sets PARKED in the state word (claim.c). The last unpin clears PARKED, pushes
 * the node into its thread's ring as a put does, and only then ends the pin.
 * The evictor holds the policy's lock when it sets PARKED, so the ring is
 * drained after that. The push comes before the end of the pin, so before the
 * entry is retired, and the rings are drained after that (evict.c, "Why 5 is
 * enough").
 *
 * Crowds. The word counts up to 1022 pins. Further pins are counted in a crowd:
 * a record for the entry in a list, which holds one more pin of the word, the
 * 1023rd, while its count is above 0. The list is under a latch, for which no
 * thread waits within an epoch.
 *
 * A thread that unpins may find no memory for its per-thread state. Then it
 * passes the node to the policy itself, under the lock, and leaves the freeing
 * to the next operation: the entry is DEAD and can be put into a list through
 * its own fields (entry.h).
 *
 * Rejected: a count per thread, since a pin must outlive its thread; a table of
 * pins outside the entries, which costs another CPU cache miss for every pin
 * and every victim.
 */
#include "item.h"

#include "base/error.h"
#include "expire.h"
#include "version.h"

#include <errno.h>

/* The slow way of find_and_pin(): there may be more pins than the word has. */
static __attribute__((noinline)) int
pin_in_crowd(struct vmemcache *cache, struct vmc_thread *thread,
	struct vmc_stripe *stripe, struct vmc_key *key,
	struct vmc_entry **entry, enum vmc_item_kind *kind)
{
	struct vmc_crowd *spare = vmc_alloc(&cache->uncounted, sizeof(*spare));
	int rc = -EAGAIN;

	if (!spare)
		return -ENOMEM;
	while (rc == -EAGAIN) {
		vmc_epoch_enter(thread);
		vmc_key_look(key);
		*entry = vmc_index_find(
			key->space->index, key->hash, vmc_entry_match, key);
		if (!*entry || vmc_entry_is_over(*entry, &stripe->now)) {
			rc = -ENOENT;
		} else if (vmc_latch_try(&cache->crowds_latch, VMC_RANK_PINS)) {
			rc = vmc_item_join(cache, stripe, *entry, &spare, kind);
			vmc_latch_release(&cache->crowds_latch, VMC_RANK_PINS);
		}
		vmc_epoch_exit(thread);
		if (rc == -EAGAIN)
			vmc_pause();
	}
	if (spare)
		vmc_free(&cache->uncounted, spare, sizeof(*spare));
	return rc;
}

/* --- pin --- */

/*
 * -ENOENT; -EAGAIN: look again, as it is DEAD or MOVING; -EMLINK: the word has
 * no room for one more. *pending: as of vmc_cache_touch(), 1 where nothing is
 * to be done.
 */
static inline __attribute__((always_inline)) int
find_and_pin(struct vmemcache *cache, struct vmc_thread *thread,
	struct vmc_stripe *stripe, const struct vmc_key *given, bool of_space,
	unsigned flags, struct vmc_entry **entry, uint32_t *pending)
{
	struct vmc_key key = *given;

	key.mark = 0;
	vmc_epoch_enter(thread);
	if (of_space)
		vmc_key_look(&key);
	struct vmc_entry *e =
		vmc_index_find(of_space ? key.space->index : cache->index,
			key.hash, vmc_entry_match, &key);
	if (__builtin_expect(!e || vmc_entry_is_over(e, &stripe->now), 0)) {
		vmc_epoch_exit(thread);
		return -ENOENT;
	}
	uint16_t state = vmc_load_acquire(&e->state);
	do {
		bool refuses = vmc_entry_takes_no_pin(state);
		if (__builtin_expect(
			    refuses || vmc_entry_pins(state) >= VMC_WORD_PINS,
			    0)) {
			vmc_epoch_exit(thread);
			return refuses ? -EAGAIN : -EMLINK;
		}
	} while (!vmc_cas_acq_rel(
		&e->state, &state, (uint16_t)(state + VMC_ENTRY_PIN)));
	if (__builtin_expect((state & VMC_ENTRY_STATES) == VMC_ENTRY_LIVE &&
				     cache->wants_touches &&
				     !(flags & VMEMCACHE_PEEK),
		    1))
		*pending = vmc_cache_touch(cache,
			of_space ? key.era->policy : cache->policy, stripe, e);
	vmc_epoch_exit(thread);
	*entry = e;
	if (vmc_entry_pins(state) == 0)
		vmc_item_count_first(cache, stripe, e);
	return 0;
}

/* The common case, without a call: -ENOENT, -EAGAIN, -EMLINK, -ENOMEM. */
static inline __attribute__((always_inline)) int
pin_once(struct vmemcache *cache, struct vmc_thread *thread,
	struct vmc_stripe *stripe, const struct vmc_key *key, bool of_space,
	unsigned flags, struct vmemcache_item *item)
{
	struct vmc_entry *e;
	uint32_t pending = 1;
	int rc = find_and_pin(
		cache, thread, stripe, key, of_space, flags, &e, &pending);

	if (__builtin_expect(rc != 0, 0))
		return rc;
	/* one comparison for "many" and "full", which is 0 */
	if (__builtin_expect(pending - 1 >= VMC_DRAIN_AT - 1, 0))
		vmc_cache_look_around(cache, stripe, pending);
	rc = vmc_item_tell(cache, e, VMC_ITEM_PINNED, item, &stripe->now);
	if (__builtin_expect(rc != 0, 0))
		vmc_cache_unpin(cache, item);
	return rc;
}

/* Until it is pinned, or not there: -ENOENT, -ENOMEM. */
static __attribute__((noinline)) int
pin_there(struct vmemcache *cache, struct vmc_thread *thread,
	struct vmc_stripe *stripe, const struct vmc_key *key, unsigned flags,
	struct vmemcache_item *item)
{
	struct vmc_key own = *key;
	struct vmc_entry *e;
	enum vmc_item_kind kind;
	int rc;

	do
		rc = pin_once(cache, thread, stripe, key,
			vmc_is_space(key->space), flags, item);
	while (rc == -EAGAIN);
	if (rc != -EMLINK)
		return rc;
	rc = pin_in_crowd(cache, thread, stripe, &own, &e, &kind);
	if (rc)
		return rc;
	rc = vmc_item_tell(cache, e, kind, item, &stripe->now);
	if (rc)
		vmc_cache_unpin(cache, item);
	return rc;
}

/* The rest of a pin that did not succeed at once: on a miss on_miss is asked,
 * and the key looked up again. */
static __attribute__((noinline)) int
pin_on(struct vmemcache *cache, struct vmc_thread *thread,
	struct vmc_stripe *stripe, const struct vmc_key *key, unsigned flags,
	struct vmemcache_item *item, int so_far)
{
	bool counts = !(flags & VMEMCACHE_PEEK);
	int rc = so_far;

	if (rc == -EAGAIN || rc == -EMLINK)
		rc = pin_there(cache, thread, stripe, key, flags, item);
	if (rc != -ENOENT) {
		if (rc == 0 && counts)
			vmc_count_get(key->space, stripe, true);
		return rc;
	}
	if (counts)
		vmc_count_get(key->space, stripe, false);
	if (key->space->on_miss && !(flags & VMEMCACHE_NO_CALLBACK)) {
		if (vmc_cache_ask_on_miss(cache, thread, stripe,
			    &(struct vmc_handover){.key = *key}) == -EBADF)
			return -EBADF;
		rc = pin_there(cache, thread, stripe, key, flags, item);
	}
	return rc == -ENOENT ? (int)vmc_fail_const(ENOENT, "no such key") : rc;
}

static inline __attribute__((always_inline)) int
pin_key(struct vmemcache *cache, struct vmc_thread *thread,
	struct vmc_stripe *stripe, const struct vmc_key *key, bool of_space,
	unsigned flags, struct vmemcache_item *item)
{
	int rc = pin_once(cache, thread, stripe, key, of_space, flags, item);

	if (__builtin_expect(rc != 0, 0))
		return pin_on(cache, thread, stripe, key, flags, item, rc);
	if (__builtin_expect(!(flags & VMEMCACHE_PEEK), 1)) {
		if (of_space)
			vmc_count_get(key->space, stripe, true);
		else
			vmc_count(stripe, VMC_COUNT_HIT, 1);
	}
	return 0;
}

static inline __attribute__((always_inline)) int
pin(struct vmemcache *cache, struct vmemcache *space, const void *data,
	size_t key_size, unsigned flags, struct vmemcache_item *item)
{
	struct vmc_thread *thread = vmc_thread_self();
	struct vmc_stripe *stripe =
		thread ? vmc_stripe_of(&cache->stripes, thread) : NULL;

	if (__builtin_expect(!stripe, 0))
		return -ENOMEM;
	stripe->now = 0;
	vmc_versions_ask(cache, stripe);
	struct vmc_key key = vmc_cache_key(space, data, key_size);
	return pin_key(
		cache, thread, stripe, &key, space != cache, flags, item);
}

/* Twice the same, once for keys of a word, as vmc_cache_get(). */
VMC_NO_CANARY int
vmc_cache_pin(struct vmemcache *space, const void *data, size_t key_size,
	unsigned flags, struct vmemcache_item *item)
{
	if (__builtin_expect(vmc_is_space(space), 0))
		return pin(space->root, space, data, key_size, flags, item);
	if (key_size == sizeof(uint64_t))
		return pin(space, space, data, sizeof(uint64_t), flags, item);
	return pin(space, space, data, key_size, flags, item);
}

/* Hash the first of these keys, and fetch what pinning them will need. */
static void
fetch_batch(struct vmemcache *space, struct vmc_thread *thread,
	const struct vmemcache_key *keys, size_t count, struct vmc_key *batch)
{
	if (count > VMC_MANY_AT_ONCE)
		count = VMC_MANY_AT_ONCE;
	for (size_t i = 0; i < count; i++)
		batch[i] = vmc_cache_key(space, keys[i].key, keys[i].key_size);
	vmc_cache_fetch_ahead(space->root, thread, batch, NULL, count);
}

ssize_t
vmc_cache_pin_many(struct vmemcache *space, const struct vmemcache_key *keys,
	size_t count, unsigned flags, struct vmemcache_item *items)
{
	struct vmemcache *cache = space->root;
	struct vmc_thread *thread = vmc_thread_self();
	struct vmc_stripe *stripe =
		thread ? vmc_stripe_of(&cache->stripes, thread) : NULL;
	struct vmc_key batch[VMC_MANY_AT_ONCE];
	ssize_t pinned = 0;
	int rc = stripe ? 0 : -ENOMEM;

	if (stripe) {
		stripe->now = 0;
		vmc_versions_ask(cache, stripe);
	}
	for (size_t i = 0; i < count && rc != -EBADF && rc != -ENOMEM; i++) {
		if (rc == -ENOENT && flags & VMEMCACHE_LEADING)
			break;
		if (i % VMC_MANY_AT_ONCE == 0)
			fetch_batch(space, thread, keys + i, count - i, batch);
		rc = pin_key(cache, thread, stripe,
			&batch[i % VMC_MANY_AT_ONCE], space != cache, flags,
			&items[i]);
		pinned += rc == 0;
	}
	if (rc != -EBADF && rc != -ENOMEM)
		return pinned;
	for (size_t i = 0; i < count; i++)
		if (rc == -EBADF) /* the pins are the parent's */
			vmc_item_clear(&items[i]);
		else if (items[i].entry)
			vmc_cache_unpin(cache, &items[i]);
	return rc;
}

int
vmc_cache_pin_unused(struct vmemcache *cache, struct vmc_stripe *stripe,
	const struct vmc_key *key, struct vmemcache_item *item)
{
	return pin_there(
		cache, vmc_thread_self(), stripe, key, VMEMCACHE_PEEK, item);
}

/* By a clock that is behind. */
int
vmc_cache_pin_stale(struct vmemcache *cache, struct vmc_stripe *stripe,
	const struct vmc_key *key, uint64_t stale_ms,
	struct vmemcache_item *item)
{
	uint64_t now = vmc_os_boot_ms();

	stripe->now = now > stale_ms ? now - stale_ms : 1;
	int rc = vmc_cache_pin_unused(cache, stripe, key, item);
	stripe->now = now;
	if (rc == 0)
		item->info.ttl_ms = vmc_entry_ttl(item->entry, &stripe->now);
	return rc;
}
