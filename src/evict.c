/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * evict.c -- taking entries out, and freeing their metadata
 *
 * An evictor first claims an entry: the step LIVE -> EVICTING succeeds for one
 * thread only, and that thread alone goes on to remove it. Whatever finds the
 * entry later (a victim walk, another evict of the key, a touch in a ring)
 * sees that it is not LIVE and leaves it. From then on:
 *
 *   1. out of the policy            (under its lock)
 *   2. the on_evict callback runs   (no lock held; gets still answer)
 *   3. out of the index             (a get that starts now misses)
 *   4. state DEAD, blocks given up  (a get in its copy looks again, get.c)
 *   5. the entry goes to the limbo, and is freed when no reader is left that
 *      could know it and after all rings were drained once more
 *
 * Why 5 is enough for the rings, which hold plain pointers: only a thread
 * within an epoch that found the entry before 3, or the put that made it
 * before it was LIVE, pushes it. Once the limbo says that no such epoch is
 * left, no push can follow; the drain then takes the last pointers out. A
 * drained entry that is not LIVE is skipped, so it cannot get back into the
 * policy: the claim comes before step 1, and both the skip and step 1 are
 * under the policy's lock.
 *
 * Whether enough can be evicted is decided before the first callback: victims
 * are claimed until their blocks suffice, and all of them go back to where
 * they were if they do not. Entries that cannot be claimed are those being
 * inserted this moment, which stay, and those another thread is evicting.
 *
 * Victims are chained through node.next, so a put needs no memory to evict
 * and a deep recursion of callbacks little stack.
 */
#include "cache.h"

#include "base/error.h"

#include <errno.h>

/* A list of victims, the first claimed first. */
struct chain {
	struct vmc_policy_node *first;
	struct vmc_policy_node *last;
};

static void
chain_append(struct chain *chain, struct vmc_policy_node *node)
{
	node->next = NULL;
	if (chain->last)
		chain->last->next = node;
	else
		chain->first = node;
	chain->last = node;
}

static struct vmc_policy_node *
chain_pop(struct chain *chain)
{
	struct vmc_policy_node *node = chain->first;

	if (node) {
		chain->first = node->next;
		if (!chain->first)
			chain->last = NULL;
	}
	return node;
}

static uint64_t
blocks_of(const struct vmc_entry *entry)
{
	uint64_t blocks = 0;
	uint64_t count;
	const vmc_run *run = vmc_runs_view(&entry->runs, &count);

	for (uint64_t i = 0; i < count; i++)
		blocks += vmc_run_count(run[i]);
	return blocks;
}

/* What is worth knowing of victims to come, noted under the policy's lock. */
struct forecast {
	unsigned count;
	uint64_t hash[2];
	vmc_run run; /* the first one of the very next victim, or 0 */
};

static struct forecast
forecast(const struct vmemcache *cache)
{
	struct vmc_policy *policy = cache->policy;
	struct vmc_policy_node *next[2];
	struct forecast f = {.count = policy->ops->upcoming(policy, next, 2)};

	for (unsigned i = 0; i < f.count; i++)
		f.hash[i] = vmc_cache_hash(cache, vmc_entry_of(next[i]));
	if (f.count > 0) {
		uint64_t runs;
		const vmc_run *run =
			vmc_runs_view(&vmc_entry_of(next[0])->runs, &runs);
		f.run = runs ? *run : 0;
	}
	return f;
}

/*
 * Fetch what the next evictions will read and write, a stage further for each
 * victim at each call, so that no stage waits: the entry (by the policy), the
 * slot of the index, then the child below it and the first lines of the value.
 * Victims follow each other at random places of a large memory, and without
 * this each of these is a cache miss, one after the other: half of the time of
 * a 1 KiB put.
 */
static void
prefetch_victims(struct vmemcache *cache, const struct forecast *f)
{
	struct vmc_thread *thread = vmc_thread_self();

	if (f->count < 2)
		return;
	vmc_epoch_enter(thread);
	vmc_critnib_prefetch_bag(cache->index, f->hash[0]);
	vmc_critnib_prefetch_slot(cache->index, f->hash[1]);
	vmc_epoch_exit(thread);
	if (f->run == 0)
		return;
	const char *value =
		cache->pool.base + vmc_run_first(f->run) * cache->block_size;
	for (unsigned line = 0; line < 16; line++)
		__builtin_prefetch(value + line * 64, 1);
}

/* Put claimed victims back where they were, the last claimed first. */
static void
give_back(struct vmc_policy *policy, struct chain *claimed)
{
	struct vmc_policy_node *reversed = NULL;
	struct vmc_policy_node *node;

	while ((node = chain_pop(claimed))) {
		node->next = reversed;
		reversed = node;
	}
	while ((node = reversed)) {
		reversed = node->next;
		policy->ops->restore(policy, node);
		vmc_store_release(&vmc_entry_of(node)->state, VMC_ENTRY_LIVE);
	}
}

/* How many of a thread's walks for victims it takes to look at all rings. */
#define ALL_RINGS_EVERY 16

/*
 * How many ripe objects an operation frees: about as many as a put retires, so
 * that what it allocates next is what was just freed and none pays for
 * hundreds of others; more when the next chunk is waiting already.
 */
#define FREE_AT_ONCE 4
#define FREE_IN_HASTE 32

/*
 * Before victims are chosen: feed the policy what could change the choice. The
 * thread's own touches always, so that it sees exact order if it is alone;
 * entries it inserted, only in batches, as they are no candidates while there
 * is an older one; the rings of others now and then, as each costs several
 * lines that these are writing to.
 */
static void
drain_for_victims(struct vmemcache *cache, struct vmc_stripe *stripe)
{
	if (stripe->evictions++ % ALL_RINGS_EVERY == 0)
		vmc_cache_drain_all(cache);
	else if (stripe->touched)
		vmc_cache_drain(cache, &stripe->ring);
	stripe->touched = false;
}

/*
 * Claim victims, at least one, that hold `blocks` blocks together. -ENOSPC:
 * the policy does not hold enough, and nothing changed.
 */
static int
claim_held(struct vmc_policy *policy, uint64_t blocks, struct chain *claimed)
{
	struct chain inserting = {0};
	struct vmc_policy_node *node;
	uint64_t got = 0;

	*claimed = (struct chain){0};
	while (!claimed->first || got < blocks) {
		node = policy->ops->victim(policy);
		if (!node)
			break;
		struct vmc_entry *e = vmc_entry_of(node);
		uint32_t state = VMC_ENTRY_LIVE;
		if (vmc_cas_acq_rel(&e->state, &state, VMC_ENTRY_EVICTING)) {
			chain_append(claimed, node);
			got += blocks_of(e);
		} else if (state == VMC_ENTRY_INSERTING) {
			chain_append(&inserting, node);
		}
	}
	bool enough = claimed->first && got >= blocks;
	if (!enough)
		give_back(policy, claimed);
	while ((node = chain_pop(&inserting)))
		policy->ops->touch(policy, &node, 1);
	return enough ? 0 : -ENOSPC;
}

/* The same of all entries, also of those still on their way to the policy. */
static int
claim_victims(struct vmemcache *cache, struct vmc_stripe *stripe,
	uint64_t blocks, struct chain *claimed)
{
	vmc_lock_acquire(&cache->policy_lock);
	drain_for_victims(cache, stripe);
	int rc = claim_held(cache->policy, blocks, claimed);
	if (rc) {
		vmc_cache_drain_all(cache);
		rc = claim_held(cache->policy, blocks, claimed);
	}
	struct forecast f = forecast(cache);
	vmc_lock_release(&cache->policy_lock);
	prefetch_victims(cache, &f);
	return rc;
}

static void
drain_locked(struct vmemcache *cache)
{
	vmc_lock_acquire(&cache->policy_lock);
	vmc_cache_drain_all(cache);
	vmc_lock_release(&cache->policy_lock);
}

/* Step 5. Without memory for a note the limbo waits, and the rest is ours. */
static void
retire_entry(
	struct vmemcache *cache, struct vmc_stripe *stripe, struct vmc_entry *e)
{
	size_t size = vmc_entry_size(e);

	vmc_count(stripe, VMC_COUNT_DRAM, -size);
	if (vmc_limbo_add(&stripe->limbo, &cache->uncounted, e, size))
		return;
	drain_locked(cache);
	vmc_free(&cache->uncounted, e, size);
}

/*
 * Steps 2 to 5 for an entry that the caller has claimed; its blocks. -EBADF:
 * the callback has returned in a child, where nothing may be touched.
 */
static int
remove_claimed(struct vmemcache *cache, struct vmc_stripe *stripe,
	struct vmc_entry *e, vmc_runs *freed)
{
	vmc_runs runs = e->runs;
	uint64_t count;

	vmc_lock_assert_none_held();
	if (cache->on_evict) {
		cache->on_evict(
			cache, e->key, e->key_size, cache->on_evict_arg);
		if (vmc_cache_is_foreign(cache))
			return vmc_cache_fail_foreign();
	}
	vmc_critnib_remove(cache->index, vmc_cache_hash(cache, e), e);
	vmc_exchange_acq_rel(&e->state, VMC_ENTRY_DEAD);
	vmc_fence_release();
	vmc_runs_view(&runs, &count);
	vmc_count(stripe, VMC_COUNT_EVICT, 1);
	vmc_count(stripe, VMC_COUNT_EXTENTS, -count);
	retire_entry(cache, stripe, e);
	*freed = runs;
	return 0;
}

int
vmc_cache_make_room(struct vmemcache *cache, struct vmc_stripe *stripe,
	uint64_t blocks, vmc_runs *freed)
{
	struct chain claimed;
	struct vmc_policy_node *node;
	int rc = claim_victims(cache, stripe, blocks, &claimed);

	*freed = VMC_RUNS_NONE;
	while (rc == 0 && (node = chain_pop(&claimed))) {
		vmc_extent_free(cache->extent, freed);
		rc = remove_claimed(cache, stripe, vmc_entry_of(node), freed);
	}
	return rc;
}

/* Claim the entry of that key and take it out of the policy. NULL: *rc. */
static struct vmc_entry *
claim_key(struct vmemcache *cache, struct vmc_thread *thread,
	const struct vmc_key *key, int *rc)
{
	uint32_t state = VMC_ENTRY_LIVE;

	*rc = 0;
	vmc_epoch_enter(thread);
	struct vmc_entry *e =
		vmc_critnib_find(cache->index, key->hash, vmc_entry_match, key);
	bool claimed =
		e && vmc_cas_acq_rel(&e->state, &state, VMC_ENTRY_EVICTING);
	vmc_epoch_exit(thread);
	if (!e || state == VMC_ENTRY_DEAD)
		*rc = vmc_fail_const(ENOENT, "no such key");
	else if (!claimed)
		*rc = vmc_fail_const(
			EAGAIN, "the entry is being inserted or evicted");
	if (*rc)
		return NULL;
	vmc_lock_acquire(&cache->policy_lock);
	cache->policy->ops->remove(cache->policy, &e->node);
	vmc_lock_release(&cache->policy_lock);
	return e;
}

int
vmc_cache_evict(struct vmemcache *cache, const void *data, size_t key_size)
{
	struct vmc_thread *thread = vmc_thread_self();
	struct vmc_stripe *stripe =
		thread ? vmc_stripe_of(&cache->stripes, thread) : NULL;
	vmc_runs freed;
	int rc;

	if (!stripe)
		return -ENOMEM;
	struct vmc_key key = vmc_cache_key(cache, data, key_size);
	struct vmc_entry *e = claim_key(cache, thread, &key, &rc);
	if (!e)
		return rc;
	rc = remove_claimed(cache, stripe, e, &freed);
	if (rc)
		return rc;
	vmc_extent_free(cache->extent, &freed);
	vmc_cache_reclaim(cache, stripe);
	return 0;
}

int
vmc_cache_evict_victim(struct vmemcache *cache)
{
	struct vmc_thread *thread = vmc_thread_self();
	struct vmc_stripe *stripe =
		thread ? vmc_stripe_of(&cache->stripes, thread) : NULL;
	vmc_runs freed;

	if (!stripe)
		return -ENOMEM;
	int rc = vmc_cache_make_room(cache, stripe, 0, &freed);
	if (rc == -ENOSPC)
		return vmc_fail_const(ESRCH, "there is nothing to evict");
	if (rc)
		return rc;
	vmc_extent_free(cache->extent, &freed);
	vmc_cache_reclaim(cache, stripe);
	return 0;
}

void
vmc_cache_reclaim(struct vmemcache *cache, struct vmc_stripe *stripe)
{
	if (stripe->limbo.due && !stripe->ripe) {
		stripe->ripe = vmc_limbo_ripe(&stripe->limbo);
		if (stripe->ripe)
			drain_locked(cache);
	}
	if (stripe->ripe)
		stripe->ripe = vmc_limbo_free_some(stripe->ripe,
			&cache->uncounted,
			stripe->limbo.due ? FREE_IN_HASTE : FREE_AT_ONCE);
}
