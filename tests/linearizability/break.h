/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * break.h -- get.c, put.c and others with one rule broken, for broken.c
 *
 * Included by the compiler before these, of which nothing else is changed. If
 * it no longer breaks what it should, because they have become others, the
 * test fails, as nothing is found.
 */
#ifndef VMC_TESTS_BREAK_H
#define VMC_TESTS_BREAK_H

#include "interleave.h"

#include "cache.h"

#include <sched.h>

#if defined(BREAK_RECHECK)
/* A get does not notice that the entry died during the copy. */
#define VMC_ENTRY_DEAD 1000

#elif defined(BREAK_WRITE_FIRST) ||                                            \
	(defined(BREAK_RUNS_FIRST) && defined(BREAK_RESIZE))
/*
 * The entry is in the index before the value's bytes are in the pool, or, when
 * the value is moved, in its new blocks.
 */
static _Thread_local struct {
	char *to;
	const char *from;
	size_t size;
} put_off[64];
static _Thread_local unsigned put_off_count;
static _Thread_local bool put_off_all; /* of one put */

/* What is still put off once all was is of a put that has been refused. */
static inline void
break_write(void *to, const void *from, size_t size)
{
	if (put_off_all)
		put_off_count = 0;
	put_off_all = false;
	assert(put_off_count < sizeof(put_off) / sizeof(put_off[0]));
	put_off[put_off_count].to = to;
	put_off[put_off_count].from = from;
	put_off[put_off_count++].size = size;
}

static inline void
break_after_publish(void)
{
	workload_pause(1);
	for (; put_off_count > 0; put_off_count--)
		interleave_copy(put_off[put_off_count - 1].to,
			put_off[put_off_count - 1].from,
			put_off[put_off_count - 1].size);
}
#ifdef BREAK_WRITE_FIRST
/* The value of a put that is refused is its caller's, who may free it. */
#include "room.h"
#define vmc_room_dismiss(...)                                                  \
	(put_off_count = 0, (vmc_room_dismiss)(__VA_ARGS__))
#endif
#define vmc_index_publish(...)                                                 \
	((vmc_index_publish)(__VA_ARGS__), break_after_publish())
#define vmc_pool_write(pool, to, from, size)                                   \
	((void)(pool), break_write((to), (from), (size)))
#define vmc_pool_drain(pool) ((void)(pool), put_off_all = true)

#elif defined(BREAK_UNIQUE)
/* A put does not notice that another one of the key was faster. */
static inline bool
break_match(const void *leaf, const void *key)
{
	(void)leaf, (void)key;
	return false;
}
#define vmc_index_begin(...)                                                   \
	({                                                                     \
		vmc_index_match_fn *const vmc_entry_match = break_match;       \
		(vmc_index_begin)(__VA_ARGS__);                                \
	})

#elif defined(BREAK_OLD_ERA)
/* A get goes by the era that the thread found the last time, now and then. */
#include "space.h"
static inline void
break_look(struct vmc_key *key)
{
	static _Thread_local struct vmc_key last;
	static _Thread_local unsigned times;

	if (last.space != key->space || ++times % 4 == 0) {
		(vmc_key_look)(key);
		last = *key;
	}
	key->era = last.era;
	key->mark = last.mark;
	key->era_id = last.era_id;
}
#define vmc_key_look(key) break_look(key)

#elif defined(BREAK_NOT_AT_ONCE)
/* Removing by prefix leaves what somebody else is evicting to that. */
#include "item.h"
#ifdef BREAK_PREFIX
#define vmc_item_remove(cache, stripe, e, reason, at_once)                     \
	vmc_item_remove(cache, stripe, e, reason, false)
#endif

#elif defined(BREAK_GAP)
/* What is replaced is taken out before the new value is put in. */
static _Thread_local void *break_taken;
static _Thread_local struct vmc_index_place break_place;

static inline void *
break_exchange(struct vmc_index *index, uint64_t hash,
	vmc_index_match_fn *match, const void *key,
	struct vmc_index_place *where)
{
	void *leaf = vmc_index_begin_exchange(index, hash, match, key, where);

	if (!leaf)
		return NULL;
	vmc_index_cancel_exchange(index, hash);
	vmc_index_remove(index, hash, leaf);
	sched_yield();
	if (vmc_index_begin(index, hash, (struct vmc_index_spot){0}, match, key,
		    where) != 0)
		return NULL;
	break_taken = leaf;
	break_place = *where;
	return leaf;
}

/* Given up: it goes back in. */
static inline void
break_cancel(struct vmc_index *index, uint64_t hash)
{
	vmc_index_publish(index, hash, break_taken, 0, &break_place);
}
#define vmc_index_begin_exchange(...) break_exchange(__VA_ARGS__)
#define vmc_index_cancel_exchange(index, hash) break_cancel(index, hash)

#elif defined(BREAK_VERSION)
/* A store does not look which version it replaces. */
#define VMEMCACHE_IF_VERSION VMEMCACHE_SET

#elif defined(BREAK_REUSED)
/* Several values of a key have the same version. */
#include "version.h"
#define vmc_version_draw(cache, stripe)                                        \
	((vmc_version_draw)((cache), (stripe)) % 2 + 2)

#elif defined(BREAK_UNDER_PIN)
/* What is evicted gives its blocks up in spite of pins. */
#include "item.h"
#ifdef BREAK_EVICT
#define VMC_ENTRY_PIN 0x10000
#elif defined(BREAK_ITEM)
/* and the last unpin does not do so once more */
#define VMC_ENTRY_DEAD 1000
#endif

#elif defined(BREAK_LOST_UNPIN) || defined(BREAK_UNPIN_TWICE)
/*
 * Of two unpins at once one is lost, as if the word were read and then written.
 * Or one that is not the last counts for all that are left, as if it did not
 * know that it has succeeded.
 */
#include "item.h"
#ifdef BREAK_ITEM
static inline bool
break_change(_Atomic uint16_t *word, uint16_t *expected, uint16_t wanted)
{
	bool unpins = vmc_entry_pins(wanted) < vmc_entry_pins(*expected);

#ifdef BREAK_LOST_UNPIN
	uint16_t now = vmc_load_acquire(word);
	if (unpins && vmc_entry_pins(now) < vmc_entry_pins(*expected))
		return true;
#endif
	if (!vmc_cas_acq_rel(word, expected, wanted))
		return false;
#ifdef BREAK_UNPIN_TWICE
	if (unpins && vmc_entry_pins(wanted) > 0) {
		*expected = wanted;
		return false;
	}
#endif
	return true;
}
#undef vmc_cas_acq_rel
#define vmc_cas_acq_rel break_change
#endif
#endif

#endif
