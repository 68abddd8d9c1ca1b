/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * evict.c -- choosing victims, taking entries out, and freeing their metadata
 *
 * An evictor first claims an entry: the step LIVE -> EVICTING succeeds for one
 * thread only, and that thread alone goes on to remove it. Whatever finds the
 * entry later (a walk for victims, another evict of the key, a touch in a ring)
 * sees that it is not LIVE and leaves it. The way of an entry:
 *
 *   1. out of the policy, and out of any reserve
 *   2. the on_evict callback runs   (no lock held; gets still answer)
 *   3. out of the index             (a get that starts now misses)
 *   4. state DEAD, blocks given up  (a get in its copy looks again, get.c)
 *   5. the entry goes to the limbo, and is freed when no reader is left that
 *      could know it and after all rings were drained once more
 *
 * Reserves (policy/reserve.h). A put does not ask the policy for its victim:
 * under the policy's lock each thread is handed a row of nodes at once, the
 * oldest first, from which it claims them one by one without the lock. So the
 * lock is taken once in up to 32 puts, and what the next evictions will read
 * can be fetched ahead, by this thread alone. A reserved entry is LIVE, found
 * and touched like any other:
 *
 *   the owner claims it  exchanges its place for none, then LIVE -> EVICTING,
 *                        both within one epoch. If another thread has claimed
 *                        it, at becomes 0; that thread finds the place empty,
 *                        or at 0
 *   evict of its key     LIVE -> EVICTING, then wins it back under the lock. If
 *                        the owner was faster, that finds it EVICTING and lets
 *                        go; within its epoch the entry is not freed
 *   a drain of touches   wins it back if it is LIVE, and the policy holds it
 *                        again, as the most recent. If the owner was faster,
 *                        the touch comes too late
 *   a recall             wins it back, and the policy holds it as the oldest
 *
 * All but the owner do so under the lock, and who empties the place is one. So
 * an entry is never in the policy and claimed from a reserve, and it is in no
 * place when it goes to the limbo. A row goes back to the policy only when its
 * owner is through with it, under the lock: so `at` of an entry that is not
 * claimed never leads to a row that has become another. Order: with one thread,
 * what is reserved is older than all that the policy holds, unless it was
 * touched since; a get that meets a reserved entry says so (touched), and then
 * the ring is drained before the next claim. Reserves that their threads leave
 * alone are recalled by others, and all of them before anything is said to be
 * impossible: what is reserved is not evicted by others otherwise.
 *
 * Why 5 is enough for the rings, which hold plain pointers: only a thread
 * within an epoch that found the entry before 3, or the put that made it
 * before it was LIVE, pushes it. Once the limbo says that no such epoch is
 * left, no push can follow; the drain then takes the last pointers out. A
 * drained entry gets into the policy only while it is LIVE, and either the
 * policy holds it, or it was won back, or it is in neither and new. Who claims
 * it after that look takes it out again under the lock; who claimed it from a
 * reserve emptied the place first, and at tells of another only after the claim
 * (vmc_entry_chain() releases, feed() in touch.c acquires).
 *
 * Whether enough can be evicted is decided before the first callback: victims
 * are claimed until their blocks suffice, and all of them go back to where
 * they were if they do not. Entries that cannot be claimed are those being
 * inserted this moment, which stay, and those another thread is evicting.
 *
 * Victims are chained through themselves (vmc_entry_chain), so a put needs no
 * memory to evict and a deep recursion of callbacks little stack.
 */
#include "cache.h"

#include "base/error.h"

#include <errno.h>

/* Victims claimed for one operation, the first claimed first. */
struct claim {
	struct vmc_entry *first;
	struct vmc_entry *last;
	uint64_t wanted; /* blocks, and one victim at least */
	uint64_t got;
	const struct vmc_entry *spared; /* left alone; NULL: none */
};

static void
chain_append(struct claim *chain, struct vmc_entry *e)
{
	vmc_entry_chain(e, NULL);
	if (chain->last)
		vmc_entry_chain(chain->last, e);
	else
		chain->first = e;
	chain->last = e;
}

static struct vmc_entry *
chain_pop(struct claim *chain)
{
	struct vmc_entry *e = chain->first;

	if (e) {
		chain->first = vmc_entry_chained(e);
		if (!chain->first)
			chain->last = NULL;
	}
	return e;
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

static bool
enough(const struct claim *claim)
{
	return claim->first && claim->got >= claim->wanted;
}

/*
 * LIVE to EVICTING, if it is LIVE; the state it was found in. The caller has
 * taken the node from that place of a row handed over, or has it from the
 * policy (0). What another thread has claimed is in the policy no more, so at
 * becomes 0: before that row is given up, which this thread does under the
 * lock, and so before the place can be another node's for whoever looks at `at`
 * under it. But not if it is the policy's again: the other thread may have been
 * through with it, as its callback did not return, since this one looked at the
 * state.
 */
static uint32_t
claim_node(struct claim *claim, struct vmc_policy_node *node, uint32_t place)
{
	struct vmc_entry *e = vmc_entry_of(node);
	uint16_t state = VMC_ENTRY_LIVE;

	/* as what is being inserted: the policy gets it back */
	if (__builtin_expect(e == claim->spared, 0))
		state = VMC_ENTRY_INSERTING;
	if (state == VMC_ENTRY_LIVE &&
		vmc_cas_acq_rel(&e->state, &state, VMC_ENTRY_EVICTING)) {
		chain_append(claim, e);
		claim->got += blocks_of(e);
	} else {
		vmc_cas_acq_rel(&node->at, &place, 0);
	}
	return state;
}

/* vmc_index_match_fn */
static bool
is_this(const void *leaf, const void *key)
{
	return leaf == key;
}

/*
 * EVICTING to LIVE, while it is in the index. False: it is not, as a store has
 * put another entry there meanwhile, and left this one to who had claimed it.
 */
static bool
unclaim(struct vmemcache *cache, struct vmc_entry *e)
{
	uint64_t hash = vmc_cache_hash(cache, e);
	struct vmc_index_place where;

	if (!vmc_index_begin_exchange(cache->index, hash, is_this, e, &where))
		return false;
	cache->policy->ops->restore(cache->policy, &e->node);
	vmc_store_release(&e->state, VMC_ENTRY_LIVE);
	vmc_index_cancel_exchange(cache->index, hash);
	return true;
}

/*
 * Put claimed victims back where they were, the last claimed first. Under the
 * policy's lock.
 */
static void
give_back(
	struct vmemcache *cache, struct vmc_stripe *stripe, struct claim *claim)
{
	struct vmc_entry *reversed = NULL;
	struct vmc_entry *e;

	while ((e = chain_pop(claim))) {
		vmc_entry_chain(e, reversed);
		reversed = e;
	}
	while ((e = reversed)) {
		reversed = vmc_entry_chained(e);
		if (unclaim(cache, e))
			continue;
		vmc_store_relaxed(&e->node.at, 0);
		vmc_cache_finish_replaced(cache, stripe, e);
		vmc_cache_let_go_of_replaced(cache, stripe, stripe);
	}
	claim->got = 0;
}

/* An entry that is being inserted is among the most recent ones. */
static void
claim_under_lock(struct vmc_policy *policy, struct claim *claim,
	struct vmc_policy_node *node, uint32_t place)
{
	if (claim_node(claim, node, place) == VMC_ENTRY_INSERTING)
		policy->ops->touch(policy, &node, &(uint32_t){0}, NULL, 1);
}

/*
 * From the thread's own reserve, within an epoch: another thread may be about
 * to retire the same entry. What is being inserted is left alone, as the policy
 * must have it back.
 */
static void
claim_reserved(const struct vmemcache *cache, struct vmc_stripe *stripe,
	struct claim *claim)
{
	struct vmc_reserve *reserve = &stripe->reserve;
	const struct vmc_policy_row *row;
	unsigned i;

	while (!enough(claim) && (row = vmc_reserve_peek(reserve, 0, &i))) {
		struct vmc_policy_node *node = vmc_policy_node_at(row, i);
		if (node && (vmc_load_acquire(&vmc_entry_of(node)->state) ==
					    VMC_ENTRY_INSERTING ||
				    vmc_entry_of(node) == claim->spared))
			return;
		vmc_reserve_skip(reserve);
		if (node && !vmc_cache_was_used(cache, node) &&
			vmc_policy_take(row, i))
			claim_node(claim, node, vmc_policy_place(row, i));
	}
}

/* The same under the policy's lock, of which entries that stay are kept. */
static void
claim_reserved_under_lock(const struct vmemcache *cache,
	struct vmc_stripe *stripe, struct claim *claim)
{
	const struct vmc_policy_row *row;
	unsigned i;

	while (!enough(claim) &&
		(row = vmc_reserve_peek(&stripe->reserve, 0, &i))) {
		struct vmc_policy_node *node = vmc_policy_node_at(row, i);
		vmc_reserve_skip(&stripe->reserve);
		if (node && !vmc_cache_was_used(cache, node) &&
			vmc_policy_take(row, i))
			claim_under_lock(cache->policy, claim, node,
				vmc_policy_place(row, i));
	}
}

/*
 * From the policy. -ENOSPC: it does not hold enough; all is given back. Each is
 * looked at once, or those being inserted would come round again and again.
 */
static int
claim_held(
	struct vmemcache *cache, struct vmc_stripe *stripe, struct claim *claim)
{
	struct vmc_policy *policy = cache->policy;
	uint64_t held = vmc_load_relaxed(&policy->nodes);
	struct vmc_policy_node *node;

	while (!enough(claim) && held-- > 0 &&
		(node = policy->ops->victim(policy)))
		claim_under_lock(policy, claim, node, 0);
	if (enough(claim))
		return 0;
	give_back(cache, stripe, claim);
	return -ENOSPC;
}

/* What part of the nodes all threads may reserve with one row each. */
#define RESERVE_SHARE 64

/* Where there are fewer nodes than that for each, nothing is reserved. */
#define RESERVE_FROM 4

static void
fill_reserve(struct vmemcache *cache, struct vmc_stripe *stripe)
{
	uint64_t nodes = vmc_load_relaxed(&cache->policy->nodes);
	unsigned reserving = cache->reserving + !stripe->reserves;
	uint64_t most = nodes / RESERVE_SHARE / reserving;

	if (most > VMC_POLICY_ROW)
		most = VMC_POLICY_ROW;
	if (most == 0 && (reserving == 1 || nodes / reserving >= RESERVE_FROM))
		most = 1;
	if (most == 0)
		return;
	cache->reserving = reserving;
	stripe->reserves = true;
	vmc_reserve_fill(&stripe->reserve, cache->policy, (unsigned)most);
}

static void
recall(struct vmemcache *cache, struct vmc_stripe *s)
{
	if (!s->reserves)
		return;
	vmc_reserve_recall(&s->reserve, cache->policy);
	s->reserves = false;
	cache->reserving--;
}

static void
recall_all(struct vmemcache *cache)
{
	for (struct vmc_stripe *s = NULL;
		(s = vmc_stripe_next(&cache->stripes, s)) != NULL;)
		recall(cache, s);
}

/*
 * What a thread that has gone has left: touches and victims for the policy,
 * what it retired for this thread.
 */
static void
take_over(struct vmemcache *cache, struct vmc_stripe *own, struct vmc_stripe *s)
{
	if (!vmc_stripe_take_over(&cache->stripes, s))
		return;
	vmc_cache_drain(cache, &s->ring);
	recall(cache, s);
	vmc_reserve_end(&s->reserve, cache->policy);
	vmc_cache_let_go_of_replaced(cache, own, s);
	vmc_limbo_adopt(&own->limbo, &s->limbo, &cache->uncounted);
	vmc_limbo_join(&own->ripe, s->ripe);
	s->ripe = NULL;
	s->handover = NULL;
	s->spared = NULL;
	s->touched = s->evicts = false;
	s->nested = s->cut = 0;
	vmc_store_relaxed(&s->work, 0);
	vmc_store_relaxed(&s->waits, 0);
	s->reclaimed = s->limbo.added;
	vmc_stripe_spare(&cache->stripes, s);
}

/*
 * How many of a thread's visits to the policy it takes to look at others; at
 * how many then; and at how many where there are more.
 */
#define LOOK_EVERY 4
#define LOOK_AT_ALL 16
#define LOOK_AT_SOME 4

/*
 * The next ones in turn: each costs several lines that its thread is writing
 * to. What has not changed since the last look is idle: it is recalled.
 */
void
vmc_cache_look_at_others(struct vmemcache *cache, struct vmc_stripe *own)
{
	unsigned count = vmc_load_relaxed(&cache->stripes.count);
	/* once round the list, its end counts as well */
	unsigned looks = count <= LOOK_AT_ALL ? count + 1 : LOOK_AT_SOME;
	struct vmc_stripe *s = cache->looked_at;

	for (; looks > 0; looks--) {
		struct vmc_stripe *last = s;
		s = vmc_stripe_next(&cache->stripes, s);
		if (s == own || !s)
			continue;
		vmc_cache_drain(cache, &s->ring);
		if (s->reserve.seen == s->reserve.filled)
			recall(cache, s);
		s->reserve.seen = s->reserve.filled;
		if (vmc_thread_has(vmc_load_relaxed(&s->slot)))
			continue;
		take_over(cache, own, s);
		s = last;
	}
	cache->looked_at = s;
}

/*
 * Feed the policy what could change its choice: the thread's own ring always,
 * so that it sees exact order if it is alone; those of others now and then.
 */
static void
visit_policy(struct vmemcache *cache, struct vmc_stripe *stripe)
{
	stripe->touched = false;
	vmc_cache_drain(cache, &stripe->ring);
	vmc_cache_let_go_of_replaced(cache, stripe, stripe);
	if (stripe->visits++ % LOOK_EVERY == 0)
		vmc_cache_look_at_others(cache, stripe);
	cache->policy->ops->settle(cache->policy);
}

/*
 * What a put into that victim's blocks will write, and its bag. In an epoch:
 * the blocks are told by what is freed after it is no victim any more.
 */
static void
fetch_victim(struct vmemcache *cache, const struct vmc_entry *victim)
{
	uint64_t count;

	if (vmc_load_acquire(&victim->state) > VMC_ENTRY_LIVE)
		return;
	const vmc_run *run = vmc_runs_view(&victim->runs, &count);

	if (count > 0)
		vmc_prefetch_value((uintptr_t)vmc_block_address(
					   cache, vmc_run_first(*run)),
			vmc_run_count(*run) * cache->block_size);
	uint64_t hash = vmc_cache_hash(cache, victim);
	vmc_index_prefetch(cache->index, hash);
	vmc_index_prefetch_latch(cache->index, hash);
}

/* Fetch what the next evictions may need, as below. Under the policy's lock. */
static void
fetch_coming(struct vmemcache *cache)
{
	struct vmc_policy *policy = cache->policy;
	struct vmc_policy_node *node = policy->ops->coming(policy, 1);

	if (node) {
		vmc_epoch_enter(vmc_thread_self());
		fetch_victim(cache, vmc_entry_of(node));
		vmc_epoch_exit(vmc_thread_self());
	}
	node = policy->ops->coming(policy, 3);
	if (node)
		vmc_prefetch_write(node);
}

/*
 * Claim victims, at least one, that hold as many blocks as are wanted. -ENOSPC:
 * there are not enough, and nothing changed.
 */
static int
claim_victims(
	struct vmemcache *cache, struct vmc_stripe *stripe, struct claim *claim)
{
	struct vmc_thread *thread = vmc_thread_self();
	int rc = 0;

	if (!stripe->touched) {
		vmc_epoch_enter(thread);
		claim_reserved(cache, stripe, claim);
		vmc_epoch_exit(thread);
	}
	stripe->evicts = true;
	if (enough(claim))
		return 0;
	vmc_lock_acquire(&cache->policy_lock);
	visit_policy(cache, stripe);
	claim_reserved_under_lock(cache, stripe, claim);
	rc = claim_held(cache, stripe, claim);
	if (rc) {
		vmc_cache_drain_all(cache);
		recall_all(cache);
		rc = claim_held(cache, stripe, claim);
	} else if (vmc_cache_chooses_late(cache, stripe)) {
		fetch_coming(cache);
	} else {
		fill_reserve(cache, stripe);
	}
	vmc_cache_release_policy(cache);
	return rc;
}

/* The entry after so many more victims, which may have been taken away. */
static struct vmc_entry *
coming_victim(struct vmc_stripe *stripe, unsigned ahead)
{
	unsigned i;
	const struct vmc_policy_row *row =
		vmc_reserve_peek(&stripe->reserve, ahead, &i);
	struct vmc_policy_node *node = row ? vmc_policy_node_at(row, i) : NULL;

	return node ? vmc_entry_of(node) : NULL;
}

/*
 * Victims follow each other at random places of a large memory, and each step
 * of an eviction would be a cache miss, one after the other. So each call goes
 * a stage further: the entry of the fourth victim from here; the blocks of the
 * next but one, and its bag in the index. All that at once, as a processor that
 * waits for the translation of one address that is fetched can look for those
 * of others meanwhile, but not go on.
 *
 * In an epoch entries are not freed that were in a place of the reserve since
 * it began: all that is looked at here was.
 */
void
vmc_cache_prepare_evictions(struct vmemcache *cache, struct vmc_stripe *stripe)
{
	struct vmc_entry *e = coming_victim(stripe, 1);
	bool low = vmc_reserve_is_low(&stripe->reserve) &&
		   !vmc_cache_chooses_late(cache, stripe);

	stripe->evicts = false;
	if (e)
		fetch_victim(cache, e);
	if (low)
		vmc_prefetch_write(&cache->policy_lock);
	e = coming_victim(stripe, 3);
	if (e) {
		vmc_prefetch_write(&e->node);
		vmc_prefetch_write(e->key + sizeof(uint64_t) - 1);
	}
	/* nobody waits for the lock */
	if (low && vmc_lock_try(&cache->policy_lock)) {
		visit_policy(cache, stripe);
		fill_reserve(cache, stripe);
		vmc_cache_release_policy(cache);
	}
}

/* An entry that on_evict is called for; the rest of the victims comes after. */
struct leaving {
	struct vmemcache *cache;
	struct vmc_stripe *stripe;
	struct vmc_entry *entry;
	struct claim *rest;
	bool returned;
};

/*
 * If on_evict does not return, the entry and the rest stay, as if they had not
 * been claimed: no callback has told of the rest, and the entry answers still.
 * What was reserved since then comes behind them.
 */
static void
end_of_on_evict(struct leaving *leaving)
{
	struct vmemcache *cache = leaving->cache;
	struct claim all = {.first = leaving->entry, .last = leaving->entry};

	leaving->stripe->nested--;
	if (leaving->returned || vmc_cache_is_foreign(cache))
		return;
	vmc_entry_chain(leaving->entry, leaving->rest->first);
	if (leaving->rest->last)
		all.last = leaving->rest->last;
	vmc_lock_acquire(&cache->policy_lock);
	vmc_reserve_recall(&leaving->stripe->reserve, cache->policy);
	give_back(cache, leaving->stripe, &all);
	vmc_cache_release_policy(cache);
	vmc_cache_end_change(leaving->stripe);
}

/* -EBADF: it has returned in a child. */
static int
call_on_evict(struct vmemcache *cache, struct vmc_stripe *stripe,
	struct vmc_entry *e, struct claim *rest)
{
	vmc_stripe_in_callbacks(stripe, vmc_thread_self());
	vmc_cleanup(end_of_on_evict) struct leaving leaving = {
		cache, stripe, e, rest, false};

	stripe->nested++;
	vmc_cache_work_ends(stripe); /* a callback takes as long as it likes */
	cache->on_evict(
		cache, e->key, vmc_entry_key_size(e), cache->on_evict_arg);
	leaving.returned = true;
	vmc_cache_work_begins(stripe);
	return vmc_cache_is_foreign(cache) ? vmc_cache_fail_foreign() : 0;
}

/*
 * Steps 2 to 5 for an entry that the caller has claimed, as it has the rest;
 * its blocks. VMC_REPLACED: another value of the key is in the index since.
 * -EBADF: the callback has returned in a child, where nothing may be touched.
 */
static int
remove_claimed(struct vmemcache *cache, struct vmc_stripe *stripe,
	struct vmc_entry *e, struct claim *rest, enum vmemcache_reason reason,
	vmc_runs *freed)
{
	vmc_runs runs = e->runs;
	uint64_t count;

	vmc_lock_assert_none_held();
	if (cache->on_evict) {
		int rc = call_on_evict(cache, stripe, e, rest);
		if (rc)
			return rc;
	}
	int gone = vmc_index_remove(cache->index, vmc_cache_hash(cache, e), e);
	vmc_exchange_acq_rel(&e->state, VMC_ENTRY_DEAD);
	vmc_fence_release();
	vmc_runs_view(&runs, &count);
	vmc_count(stripe, vmc_count_of_removal(reason), 1);
	vmc_count(stripe, VMC_COUNT_EXTENTS_GONE, count);
	vmc_count(stripe, VMC_COUNT_VALUES_GONE, vmc_entry_value_size(e));
	vmc_cache_retire(cache, stripe, e);
	*freed = runs;
	return gone ? VMC_REPLACED : 0;
}

int
vmc_cache_remove(struct vmemcache *cache, struct vmc_stripe *stripe,
	struct vmc_entry *e, enum vmemcache_reason reason, vmc_runs *freed)
{
	return remove_claimed(
		cache, stripe, e, &(struct claim){0}, reason, freed);
}

int
vmc_cache_make_room(struct vmemcache *cache, struct vmc_stripe *stripe,
	uint64_t blocks, enum vmemcache_reason reason, vmc_runs *freed)
{
	struct claim claim = {.wanted = blocks, .spared = stripe->spared};
	struct vmc_entry *e;
	int rc = claim_victims(cache, stripe, &claim);

	*freed = VMC_RUNS_NONE;
	while (rc >= 0 && (e = chain_pop(&claim))) {
		vmc_extent_free(cache->extent, freed);
		rc = remove_claimed(cache, stripe, e, &claim, reason, freed);
	}
	return rc < 0 ? rc : 0;
}
