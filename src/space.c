/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * space.c -- spaces: making and deleting them, and clearing in constant time
 *
 * A space is a handle (the head of struct vmemcache) with keys of its own in
 * an index that all spaces of a cache share: keys are hashed with a seed of the
 * space, and an entry has the number of its era behind the key, which is
 * compared with the key. So an entry of another space with the same key is not
 * found, whatever the hashes. The index is not the one of the cache itself:
 * that is cleared as a whole (clear.c).
 *
 * An era is the contents of a space between two clears. It has an instance of
 * the cache's policy, which orders its nodes; the instances share their rows
 * (policy/rows.h), so a small space takes less than two kilobytes. To clear a
 * space is to give it a new era: one store. From then on no call finds an entry
 * of the old era, as each call compares the numbers. The old entries are still
 * in the index, and the old era's policy leads to them: they are removed before
 * anything is evicted (share.c). Rejected: walking a list of the space's
 * entries, which takes time proportional to them; an index for each space,
 * which takes 16 KiB or more.
 *
 * Which threads may use an era. The memory of eras and spaces is not freed
 * before the cache is closed; their numbers are used again:
 *
 *   reads      load it from the space within an epoch, and have done with it
 *              when they leave that
 *   changes    load it likewise, count themselves in refs before they leave the
 *              epoch, and go on with it to their end, be it the current one or
 *              not: what they store then is cleared from the start
 *   entries    count in refs, from when they are made until they are retired:
 *              a node in a ring whose entry is LIVE leads to an era, too
 *
 * No thread uses an era that has ended, after whose end an epoch has passed,
 * and that has no refs: no read can still load it, and no change begin with it.
 * Then its policy is destroyed and its number is free. All this is done under
 * the policy's lock. So no entry is ever taken for one of another era.
 *
 * Counting entries. Insertions and removals are counted in a word that also has
 * a bit for the end of the era. The thread that counts sees whether the era had
 * ended. If so, an insertion counts as cleared at once, and a removal is not
 * counted again. The end of the era counts the entries that were there. So each
 * entry counts as removed once.
 *
 * Callbacks. Another thread may evict an entry of the space, and call its
 * callbacks, while the space is deleted. That thread sets `calling`, then
 * checks that the era still has the space; the thread that deletes takes the
 * space away from the era, then waits until `calling` is clear. A fence on both
 * sides makes sure that one of them sees the other. spaces_call_back is set
 * before any entry for these callbacks is stored: a thread that has claimed
 * such an entry sees it.
 */
#include "space.h"

#include "base/error.h"
#include "base/os.h"
#include "claim.h"
#include "visit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* What a space has of struct vmemcache. */
#define HEAD_SIZE offsetof(struct vmemcache, blocks)

/* Ended eras that are looked at by a call, whether they are free. */
#define LOOKS 16
/* So many wait until a barrier is worth its price. */
#define FENCED_FROM 64

/* --- eras --- */

uint64_t
vmc_cache_hash_of_marked(
	const struct vmemcache *cache, const struct vmc_entry *e)
{
	return vmc_hash(
		e->key, vmc_entry_key_size(e), vmc_era_of(cache, e)->seed);
}

struct vmc_policy *
vmc_cache_policy_of_marked(
	const struct vmemcache *cache, const struct vmc_entry *e)
{
	return vmc_era_of(cache, e)->policy;
}

static size_t
group_bytes(unsigned k)
{
	return (size_t)(VMC_ERA_GROUP_FIRST << k) * sizeof(struct vmc_era);
}

/* One more number. NULL: no memory, or no numbers. */
static struct vmc_era *
add_era(struct vmemcache *cache, struct vmc_spaces *spaces)
{
	uint32_t id = spaces->eras;
	unsigned k =
		31u - (unsigned)__builtin_clz(id / VMC_ERA_GROUP_FIRST + 1);

	if (k >= VMC_ERA_GROUPS)
		return NULL;
	if (!vmc_load_relaxed(&spaces->group[k])) {
		struct vmc_era *group =
			vmc_alloc(&cache->memory, group_bytes(k));
		if (!group)
			return NULL;
		memset(group, 0, group_bytes(k));
		vmc_store_release(&spaces->group[k], group);
	}
	spaces->eras++;
	struct vmc_era *era = vmc_era_at(spaces, id);
	era->id = id;
	return era;
}

/* Under the lock: an era for the space. NULL: no memory. */
static struct vmc_era *
begin_era(struct vmemcache *cache, struct vmemcache *space)
{
	struct vmc_spaces *spaces = vmc_load_relaxed(&cache->spaces);
	struct vmc_policy *policy;

	if (vmc_cache_create_policy(cache,
		    space->quota == UINT64_MAX ? 0 : space->quota,
		    cache->policy, &policy))
		return NULL;
	struct vmc_era *era = spaces->spare;
	if (era)
		spaces->spare = era->next;
	else
		era = add_era(cache, spaces);
	if (!era) {
		policy->ops->destroy(policy);
		return NULL;
	}
	era->seed = space->seed;
	era->policy = policy;
	era->quota = space->quota;
	era->reserved = space->reserved;
	era->owner = space;
	vmc_store_relaxed(&era->space, space);
	vmc_store_relaxed(&era->items, 0);
	space->eras++;
	return era;
}

/* Under the lock, when no call can begin with it any more. */
static void
end_era(struct vmemcache *cache, struct vmc_spaces *spaces, struct vmc_era *era)
{
	vmc_visit_recall_era(cache, era);
	vmc_share_unlink(spaces, era);
	/* acquire and release: see came() and went() */
	uint64_t items = vmc_fetch_add_acq_rel(&era->items, VMC_ERA_ENDED);
	vmc_fetch_add_relaxed(
		&era->owner->counted.removals[VMEMCACHE_REASON_CLEARED], items);
	era->stamp = vmc_epoch_stamp();
	struct vmc_era *oldest = spaces->ended;
	if (oldest) {
		era->next = oldest;
		era->prev = oldest->prev;
		era->prev->next = era;
		oldest->prev = era;
	} else {
		spaces->ended = era->next = era->prev = era;
	}
	spaces->ended_count++;
	vmc_store_relaxed(&spaces->reclaimable, true);
}

static void
set_active(struct vmc_spaces *spaces)
{
	vmc_store_relaxed(
		&spaces->active, spaces->count > 0 || spaces->ended_count > 0);
}

static void
free_era(struct vmc_spaces *spaces, struct vmc_era *era)
{
	struct vmemcache *owner = era->owner;

	era->policy->ops->destroy(era->policy);
	era->policy = NULL;
	era->next = spaces->spare;
	spaces->spare = era;
	if (--owner->eras > 0 || vmc_cache_is_open(owner))
		return;
	owner->next_space = spaces->spare_space;
	spaces->spare_space = owner;
}

void
vmc_spaces_free_some(struct vmemcache *cache)
{
	struct vmc_spaces *spaces = vmc_load_relaxed(&cache->spaces);
	unsigned looks =
		spaces->ended_count < LOOKS ? spaces->ended_count : LOOKS;

	if (looks == 0)
		return;
	if (!vmc_epoch_is_fenced(spaces->ended->stamp) &&
		spaces->ended_count >= FENCED_FROM)
		vmc_epoch_fence();
	uint64_t safe = vmc_epoch_safe();
	for (; looks > 0; looks--) {
		struct vmc_era *era = spaces->ended;
		/* the stamp first: refs are not taken any more after that */
		if (era->stamp >= safe || vmc_load_acquire(&era->refs) > 0) {
			spaces->ended = era->next;
			continue;
		}
		era->prev->next = era->next;
		era->next->prev = era->prev;
		spaces->ended = era->next == era ? NULL : era->next;
		spaces->ended_count--;
		free_era(spaces, era);
	}
	set_active(spaces);
}

void
vmc_key_hold_era(struct vmc_thread *thread, struct vmc_key *key)
{
	vmc_epoch_enter(thread);
	vmc_key_look(key);
	vmc_fetch_add_relaxed(&key->era->refs, 1);
	vmc_epoch_exit(thread);
}

void
vmc_space_forget(struct vmemcache *cache, const struct vmc_entry *e)
{
	/* release: what was done with it comes before its number is free */
	vmc_fetch_sub_acq_rel(&vmc_era_of(cache, e)->refs, 1);
}

void
vmc_space_renew_entry(
	struct vmemcache *cache, struct vmc_entry *e, struct vmc_era *era)
{
	struct vmc_era *old = vmc_era_of(cache, e);
	uint64_t blocks = vmc_entry_blocks(e);

	vmc_fetch_add_relaxed(&era->refs, 1);
	memcpy(e->key + vmc_entry_key_size(e), &era->id, sizeof(era->id));
	vmc_era_give_back(old, blocks);
	vmc_fetch_sub_acq_rel(&old->refs, 1);
}

/* --- what comes and goes --- */

void
vmc_space_came(struct vmemcache *cache, struct vmemcache *space,
	const struct vmc_entry *e, enum vmc_counter counts_as)
{
	struct vmc_era *era = vmc_era_of(cache, e);
	unsigned store = counts_as - VMC_COUNT_STORES;
	uint64_t pieces;

	vmc_runs runs = vmc_entry_runs(e);
	vmc_runs_view(&runs, &pieces);
	vmc_fetch_add_acq_rel(&era->settled, vmc_entry_blocks(e));
	vmc_fetch_add_relaxed(&era->value_bytes, vmc_entry_value_size(e));
	vmc_fetch_add_relaxed(&era->pieces, pieces);
	vmc_fetch_add_relaxed(
		&space->counted.stores[store / VMEMCACHE_OUTCOMES]
				      [store % VMEMCACHE_OUTCOMES],
		1);
	if (vmc_fetch_add_acq_rel(&era->items, 1) & VMC_ERA_ENDED)
		vmc_fetch_add_relaxed(
			&space->counted.removals[VMEMCACHE_REASON_CLEARED], 1);
}

enum vmemcache_reason
vmc_space_went(struct vmemcache *cache, const struct vmc_entry *e,
	enum vmemcache_reason reason)
{
	struct vmc_era *era = vmc_era_of(cache, e);
	uint64_t blocks = vmc_entry_blocks(e);
	uint64_t pieces;

	vmc_runs runs = vmc_entry_runs(e);
	vmc_runs_view(&runs, &pieces);
	if (vmc_fetch_sub_acq_rel(&era->items, 1) & VMC_ERA_ENDED)
		reason = VMEMCACHE_REASON_CLEARED;
	else
		vmc_fetch_add_relaxed(&era->owner->counted.removals[reason], 1);
	vmc_fetch_sub_acq_rel(&era->value_bytes, vmc_entry_value_size(e));
	vmc_fetch_sub_acq_rel(&era->pieces, pieces);
	/* in this order: see vmc_era_stays() */
	vmc_fetch_sub_acq_rel(&era->held, blocks);
	vmc_fetch_sub_acq_rel(&era->claimed, blocks);
	return reason;
}

void
vmc_space_count_first(
	struct vmemcache *space, struct vmc_stripe *stripe, bool hit)
{
	struct vmc_tally *tally = NULL;

	if (__builtin_expect(space->number < VMC_SPACES_MAX, 1)) {
		tally = vmc_tally_of(stripe, space->number);
		if (__builtin_expect(!tally, 0))
			tally = vmc_tally_make(stripe, space->number);
	}
	if (__builtin_expect(!tally, 0)) {
		vmc_fetch_add_relaxed(
			hit ? &space->counted.hits : &space->counted.misses, 1);
		return;
	}
	stripe->tallied = space;
	stripe->tally = tally;
	vmc_space_count_get(space, stripe, hit);
}

struct vmemcache *
vmc_space_to_call(struct vmemcache *cache, const struct vmc_entry *e)
{
	struct vmemcache *space = cache;
	struct vmc_era *era = NULL;

	if (vmc_entry_is_marked(e)) {
		era = vmc_era_of(cache, e);
		space = vmc_load_acquire(&era->space);
	}
	if (!space || (!space->on_evict && !space->on_remove))
		return NULL;
	if (!era)
		return space;
	vmc_fetch_add_acq_rel(&space->calling, 1);
	vmc_fence_seq_cst();
	if (vmc_load_acquire(&era->space) == space)
		return space;
	vmc_space_called(space);
	return NULL;
}

/* --- spaces --- */

static int
out_of_memory(void)
{
	return vmc_fail_const(ENOMEM, "out of memory");
}

struct vmc_spaces *
vmc_spaces_prepare(struct vmemcache *cache)
{
	struct vmc_spaces *spaces = vmc_load_relaxed(&cache->spaces);

	if (spaces)
		return spaces;
	spaces = vmc_alloc(&cache->uncounted, sizeof(*spaces));
	if (!spaces)
		return NULL;
	memset(spaces, 0, sizeof(*spaces));
	spaces->own.policy = cache->policy;
	vmc_share_link(spaces, &spaces->own);
	vmc_store_release(&cache->spaces, spaces);
	return spaces;
}

/*
 * Under the lock: an index for what spaces have. It stays, and an empty cache
 * says that it takes nothing. False: no memory.
 */
static bool
prepare_index(struct vmemcache *cache, struct vmc_spaces *spaces,
	const struct vmc_stripe *stripe)
{
	const _Atomic uint64_t *bytes = &stripe->counter[VMC_COUNT_METADATA];
	uint64_t before = vmc_load_relaxed(bytes);

	if (spaces->index)
		return true;
	if (vmc_index_alike(cache->index, &spaces->index))
		return false;
	vmc_fetch_add_relaxed(
		&cache->dram_baseline, vmc_load_relaxed(bytes) - before);
	return true;
}

/* Under the lock: a handle, all zero but for its number. NULL: no memory. */
static struct vmemcache *
take_handle(struct vmemcache *cache, struct vmc_spaces *spaces)
{
	struct vmemcache *space = spaces->spare_space;
	uint32_t number = spaces->numbers;

	if (space) {
		void *allocated = space->allocated;
		number = space->number;
		spaces->spare_space = space->next_space;
		memset(space, 0, HEAD_SIZE);
		space->allocated = allocated;
	} else {
		/* see vmemcache_new() */
		void *allocated = malloc(HEAD_SIZE + alignof(VMEMcache) - 1);
		if (!allocated)
			return NULL;
		space = (VMEMcache *)(((uintptr_t)allocated +
					      alignof(VMEMcache) - 1) &
				      -alignof(VMEMcache));
		memset(space, 0, HEAD_SIZE);
		space->allocated = allocated;
		spaces->numbers++;
	}
	space->number = number;
	space->root = cache;
	vmc_store_relaxed(&space->usable_in, VMC_OF_NO_PROCESS);
	return space;
}

/* Under the lock; quota and reserved in blocks. */
static int
make_space(struct vmemcache *cache, const struct vmc_stripe *stripe,
	const char *name, uint64_t quota, uint64_t reserved,
	struct vmemcache **made)
{
	struct vmc_spaces *spaces = vmc_spaces_prepare(cache);

	if (!spaces || !prepare_index(cache, spaces, stripe))
		return out_of_memory();
	vmc_spaces_free_some(cache);
	if (spaces->count == VMC_SPACES_MAX)
		return vmc_fail(
			ENOSPC, "a cache has up to %u spaces", VMC_SPACES_MAX);
	uint64_t blocks = vmc_load_relaxed(&cache->blocks);
	if (reserved > blocks || spaces->reserved > blocks - reserved)
		return vmc_fail_const(
			ENOSPC, "not so much of the pool can be reserved");
	struct vmemcache *space = take_handle(cache, spaces);
	if (!space)
		return out_of_memory();
	space->index = spaces->index;
	space->block_size = cache->block_size;
	space->seed = vmc_os_random64();
	space->quota = quota;
	space->reserved = reserved;
	strcpy(space->name, name ? name : "space");
	vmc_space_sum_gets(cache, space->number, &space->counted.hits_before,
		&space->counted.misses_before);
	struct vmc_era *era = begin_era(cache, space);
	if (!era) {
		space->next_space = spaces->spare_space;
		spaces->spare_space = space;
		return out_of_memory();
	}
	spaces->count++;
	spaces->reserved += space->reserved;
	set_active(spaces);
	vmc_store_release(&space->era, era);
	space->next_space = spaces->first;
	space->space_link = &spaces->first;
	if (spaces->first)
		spaces->first->space_link = &space->next_space;
	spaces->first = space;
	vmc_store_release(
		&space->usable_in, vmc_load_relaxed(&cache->usable_in));
	*made = space;
	return 0;
}

int
vmc_space_new(struct vmemcache *cache, const struct vmemcache_space *how,
	struct vmemcache **space)
{
	struct vmc_thread *thread = vmc_thread_self();
	struct vmc_stripe *stripe =
		thread ? vmc_stripe_of(&cache->stripes, thread) : NULL;
	uint64_t quota =
		how->quota ? how->quota / cache->block_size : UINT64_MAX;
	uint64_t reserved = how->reserved / cache->block_size +
			    (how->reserved % cache->block_size != 0);

	if (!stripe)
		return out_of_memory();
	if (quota == 0 || reserved > quota)
		return vmc_fail_const(EINVAL,
			"the quota is less than a block, or than what is "
			"reserved");
	vmc_cache_begin_change(cache, stripe);
	vmc_lock_acquire(&cache->policy_lock);
	int rc = make_space(cache, stripe, how->name, quota, reserved, space);
	vmc_cache_release_policy(cache);
	vmc_cache_end_change(stripe);
	return rc;
}

int
vmc_space_clear(struct vmemcache *space, struct vmc_era **ended)
{
	struct vmemcache *cache = space->root;
	struct vmc_spaces *spaces = vmc_load_acquire(&cache->spaces);
	int rc = -ENOMEM;

	vmc_lock_acquire(&cache->policy_lock);
	vmc_spaces_free_some(cache);
	struct vmc_era *era = begin_era(cache, space);
	if (era) {
		*ended = vmc_load_relaxed(&space->era);
		/* for who dismisses it */
		vmc_fetch_add_relaxed(&(*ended)->refs, 1);
		vmc_store_release(&space->era, era);
		end_era(cache, spaces, *ended);
		set_active(spaces);
		rc = 0;
	}
	vmc_cache_release_policy(cache);
	return rc;
}

void
vmc_space_dismiss(struct vmc_era *ended)
{
	vmc_store_release(&ended->space, NULL);
}

static void
unlink_space(struct vmc_spaces *spaces, struct vmemcache *space)
{
	*space->space_link = space->next_space;
	if (space->next_space)
		space->next_space->space_link = space->space_link;
	spaces->count--;
	spaces->reserved -= space->reserved;
}

void
vmc_space_delete(struct vmemcache *space)
{
	struct vmemcache *cache = space->root;

	if (vmc_cache_is_foreign(space) && !vmc_cache_inherits(space))
		return; /* it goes with the cache */
	struct vmc_spaces *spaces = vmc_load_acquire(&cache->spaces);
	struct vmc_stripe *stripe = NULL;
	if (vmc_thread_self())
		stripe = vmc_stripe_of(&cache->stripes, vmc_thread_self());
	if (stripe)
		vmc_cache_begin_change(cache, stripe);
	vmc_lock_acquire(&cache->policy_lock);
	struct vmc_era *era = vmc_load_relaxed(&space->era);
	vmc_store_release(&era->space, NULL);
	vmc_fence_seq_cst();
	unlink_space(spaces, space);
	vmc_store_release(&space->usable_in, VMC_OF_NO_PROCESS);
	/* as long as somebody calls, its number is not free */
	vmc_fetch_add_relaxed(&era->refs, 1);
	end_era(cache, spaces, era);
	set_active(spaces);
	vmc_cache_release_policy(cache);
	for (unsigned round = 0; vmc_load_acquire(&space->calling) > 0; round++)
		vmc_cache_pause(round);
	vmc_fetch_sub_acq_rel(&era->refs, 1);
	if (stripe)
		vmc_cache_end_change(stripe);
}

/* --- all of them --- */

void
vmc_spaces_inherit(struct vmemcache *cache, unsigned mark)
{
	struct vmc_spaces *spaces = vmc_load_acquire(&cache->spaces);

	for (struct vmemcache *s = spaces ? spaces->first : NULL; s;
		s = s->next_space)
		vmc_store_release(&s->usable_in, mark);
}

void
vmc_spaces_withdraw(struct vmemcache *cache)
{
	struct vmc_spaces *spaces = vmc_load_acquire(&cache->spaces);

	for (struct vmemcache *s = spaces ? spaces->first : NULL; s;
		s = s->next_space)
		if (s->publisher.object)
			vmc_withdraw(s);
}

static void
free_handles(struct vmemcache *first)
{
	while (first) {
		struct vmemcache *next = first->next_space;
		free(first->allocated);
		first = next;
	}
}

static void
free_ended(struct vmc_spaces *spaces)
{
	while (spaces->ended_count > 0) {
		struct vmc_era *era = spaces->ended;
		spaces->ended = era->next;
		spaces->ended_count--;
		free_era(spaces, era);
	}
}

void
vmc_spaces_close(
	struct vmemcache *cache, bool is_lost, vmc_index_visit_fn *drop)
{
	struct vmc_spaces *spaces = vmc_load_relaxed(&cache->spaces);

	vmc_store_relaxed(&cache->spaces, NULL);
	vmc_store_relaxed(&cache->spaces_call_back, false);
	if (!spaces)
		return;
	if (!is_lost) {
		for (struct vmemcache *s = spaces->first; s; s = s->next_space)
			free_era(spaces, vmc_load_relaxed(&s->era));
		free_ended(spaces);
	}
	free_handles(spaces->first);
	free_handles(spaces->spare_space);
	if (is_lost)
		return;
	if (spaces->index)
		vmc_index_delete(spaces->index, drop, cache);
	for (unsigned i = 0; i < VMC_CLEARED_MAX; i++) {
		struct vmc_index *index = vmc_load_relaxed(&spaces->cleared[i]);
		if (index)
			vmc_index_delete(index, drop, cache);
	}
	for (unsigned k = 0; k < VMC_ERA_GROUPS; k++) {
		struct vmc_era *group = vmc_load_relaxed(&spaces->group[k]);
		if (group)
			vmc_free(&cache->memory, group, group_bytes(k));
	}
	vmc_free(&cache->uncounted, spaces, sizeof(*spaces));
}
