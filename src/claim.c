/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * claim.c -- choosing victims, and claiming them
 *
 * To claim an entry is its step from LIVE to EVICTING (evict.c).
 *
 * Reserves (policy/reserve.h). A put does not ask the policy for each victim:
 * under the policy's lock its thread is given a whole row of nodes, the oldest
 * first, and it claims them one by one without the lock. So the lock is taken
 * once in up to 32 puts, and this thread can prefetch what its next evictions
 * will read. A reserved entry is LIVE; it is found and touched like any other:
 *
 *   the owner claims it  exchanges its place for none, then LIVE -> EVICTING,
 *                        both within one epoch. If another thread has claimed
 *                        it, at becomes 0; that thread finds the place empty,
 *                        or at 0
 *   evict of its key     LIVE -> EVICTING, then removes it from the reserve
 *                        under the lock. If the owner was faster, the owner
 *                        finds it EVICTING and drops it; within the owner's
 *                        epoch the entry is not freed
 *   a drain of touches   removes it from the reserve if it is LIVE, and the
 *                        policy holds it again, as the most recent. If the
 *                        owner was faster, the touch comes too late
 *   a recall             removes it from the reserve, and the policy holds it
 *                        as the oldest
 *
 * Everyone but the owner holds the policy's lock while doing this. The atomic
 * exchange (owner) or compare-and-swap (others) on the place succeeds for
 * exactly one thread. So an entry is never in the policy and claimed from a
 * reserve at the same time, and it is in no place when it goes to the limbo. A
 * row goes back to the policy only under the lock, when its owner has finished
 * with it. So node.at of an entry that is not claimed never names a row that
 * has been reused.
 *
 * Order: with one thread, reserved entries are older than all that the policy
 * holds, unless they were touched since. A get that finds a reserved entry sets
 * touched; then the ring is drained before the next claim. Other threads do not
 * evict reserved entries. They recall reserves that their owners do not use,
 * and recall all reserves before a call fails for lack of victims.
 *
 * Whether enough can be evicted is decided before the first callback: victims
 * are claimed until their blocks suffice, and all of them go back to where they
 * were if they do not. Entries that cannot be claimed are those another thread
 * is evicting, and those that are pinned. The entry that a store is about to
 * replace is skipped, and keeps its place.
 *
 * Pinned entries (pin.c) are not evicted. A thread that finds one while it
 * looks for a victim takes it out of the policy and marks it PARKED. So victim
 * search meets a pinned entry only once while it is pinned, and if all entries
 * are pinned, a put notices at once. A victim may still be pinned after it was
 * claimed, as long as gets find it; its blocks then stay until the last unpin,
 * and the put looks for more victims. evict of a key removes the entry even if
 * it is pinned.
 *
 * A claim of more than a few victims allocates memory for their list; if that
 * fails, nothing is evicted. Rejected: a list inside the victims, since other
 * threads may write to every word of the entry meanwhile.
 */
#include "claim.h"

#include "space.h"
#include "visit.h"

#include <errno.h>

/*
 * Room for one more victim. Without a lock only a few are claimed, so this does
 * not allocate in an epoch. -ENOMEM.
 */
static int
make_room(struct vmemcache *cache, struct vmc_claim *claim)
{
	struct vmc_claim_more *more = claim->last;

	if (claim->end < VMC_CLAIM_FIRST ||
		(more && more->end < sizeof(more->some) / sizeof(*more->some)))
		return 0;
	more = vmc_alloc(&cache->uncounted, sizeof(*more));
	if (!more)
		return -ENOMEM;
	more->begin = more->end = 0;
	more->prev = claim->last;
	more->next = NULL;
	if (claim->last)
		claim->last->next = more;
	else
		claim->first = more;
	claim->last = more;
	return 0;
}

/* It is claimed, and there is room for it. */
static void
append(struct vmc_claim *claim, struct vmc_entry *e)
{
	claim->got += vmc_entry_blocks(e);
	if (__builtin_expect(claim->wanted_bytes > 0, 0))
		claim->got_bytes += vmc_entry_size(e);
	if (claim->end < VMC_CLAIM_FIRST)
		claim->some[claim->end++] = e;
	else
		claim->last->some[claim->last->end++] = e;
}

struct vmc_entry *
vmc_claim_pop_more(struct vmemcache *cache, struct vmc_claim *claim)
{
	struct vmc_claim_more *more;

	while ((more = claim->first) != NULL) {
		if (more->begin < more->end)
			return more->some[more->begin++];
		claim->first = more->next;
		if (!more->next)
			claim->last = NULL;
		else
			more->next->prev = NULL;
		vmc_free(&cache->uncounted, more, sizeof(*more));
	}
	return NULL;
}

static bool
enough(const struct vmc_claim *claim)
{
	return claim->end > 0 && claim->got >= claim->wanted &&
	       claim->got_bytes >= claim->wanted_bytes;
}

void
vmc_claim_count(struct vmemcache *cache, const struct vmc_entry *e)
{
	vmc_fetch_add_acq_rel(
		&vmc_era_of(cache, e)->claimed, vmc_entry_blocks(e));
}

/* LIVE to EVICTING, whatever its pins; it is not parked any more then. */
static inline __attribute__((always_inline)) bool
claim_entry(struct vmemcache *cache, struct vmc_entry *e, uint16_t *state)
{
	*state = vmc_load_acquire(&e->state);
	while ((*state & VMC_ENTRY_STATES) == VMC_ENTRY_LIVE)
		if (vmc_entry_is_moving(*state)) {
			*state = vmc_entry_settled(e);
		} else if (vmc_cas_acq_rel(&e->state, state,
				   (uint16_t)((*state & ~VMC_ENTRY_PARKED) |
					      VMC_ENTRY_EVICTING))) {
			if (__builtin_expect(*state & VMC_ENTRY_PARKED, 0))
				vmc_fetch_sub_acq_rel(&cache->parked, 1);
			if (__builtin_expect(vmc_entry_is_marked(e), 0))
				vmc_claim_count(cache, e);
			return true;
		}
	return false;
}

bool
vmc_claim_entry(struct vmemcache *cache, struct vmc_entry *e, uint16_t *state)
{
	return claim_entry(cache, e, state);
}

/*
 * What was LIVE a moment ago, and not pinned: a pin that came since then is as
 * one that comes after the claim. The caller has taken the node from that place
 * of a row handed over. Where it is not claimed another thread has done that,
 * it is in the policy no more, and at becomes 0: before that row is given up,
 * which this thread does under the lock, and so before the place can be another
 * node's for whoever looks at `at` under it. But not if it is the policy's
 * again: the other thread may have been through with it, as its callback did
 * not return, since this one looked at the state.
 */
struct vmc_entry *
vmc_claim_taken(
	struct vmemcache *cache, struct vmc_policy_node *node, uint32_t place)
{
	struct vmc_entry *e = vmc_entry_of(node);
	uint16_t state;

	if (!claim_entry(cache, e, &state)) {
		vmc_cas_acq_rel(&node->at, &place, 0);
		return NULL;
	}
	/* release: who finds the place gone finds the claim as well */
	vmc_store_release(&node->at, 0);
	return e;
}

/*
 * EVICTING to LIVE, while it is in the index, or cleared. False: it is not, as
 * a store has put another entry there meanwhile, and left this one to who had
 * claimed it.
 */
static bool
unclaim(struct vmemcache *cache, struct vmc_entry *e)
{
	uint64_t hash = vmc_cache_hash(cache, e);
	struct vmc_index *index = vmc_cleared_or_not_latch(cache, hash, e);

	if (!index)
		return false;
	vmc_cache_restore_node(cache, e);
	if (__builtin_expect(vmc_entry_is_marked(e), 0))
		vmc_fetch_sub_acq_rel(
			&vmc_era_of(cache, e)->claimed, vmc_entry_blocks(e));
	vmc_fetch_sub_acq_rel(&e->state, VMC_ENTRY_EVICTING - VMC_ENTRY_LIVE);
	vmc_index_cancel_exchange(index, hash);
	if (__builtin_expect(index != vmc_index_of(cache, e), 0))
		vmc_store_relaxed(
			&vmc_load_acquire(&cache->spaces)->reclaimable, true);
	return true;
}

static void
give_back_one(
	struct vmemcache *cache, struct vmc_stripe *stripe, struct vmc_entry *e)
{
	if (unclaim(cache, e))
		return;
	vmc_store_relaxed(&e->node.at, 0);
	vmc_cache_finish_replaced(cache, stripe, e, true);
	vmc_cache_let_go_of_replaced(cache, stripe, stripe);
}

static uint64_t
count_claimed(const struct vmc_claim *claim)
{
	uint64_t count = claim->end;

	for (const struct vmc_claim_more *more = claim->first; more;
		more = more->next)
		count += more->end;
	return count;
}

/* The one claimed last; NULL: none is left. */
static struct vmc_entry *
pop_last(struct vmemcache *cache, struct vmc_claim *claim)
{
	struct vmc_claim_more *more;

	while ((more = claim->last) != NULL) {
		if (more->end > more->begin)
			return more->some[--more->end];
		claim->last = more->prev;
		vmc_free(&cache->uncounted, more, sizeof(*more));
	}
	return claim->end > claim->begin ? claim->some[--claim->end] : NULL;
}

/*
 * Put claimed victims back where they were, the last claimed first, and what
 * was spared between those that it came between. Under the policy's lock.
 */
static void
give_back(struct vmemcache *cache, struct vmc_stripe *stripe,
	struct vmc_claim *claim)
{
	uint64_t count = count_claimed(claim);
	struct vmc_entry *e;

	do {
		if (claim->met && count-- == claim->before_met)
			vmc_cache_restore_node(cache, vmc_entry_of(claim->met));
		e = pop_last(cache, claim);
		if (e)
			give_back_one(cache, stripe, e);
	} while (e);
	claim->first = claim->last = NULL;
	claim->begin = claim->end = 0;
	claim->got = claim->got_bytes = 0;
	claim->met = NULL;
}

void
vmc_claim_give_back(struct vmemcache *cache, struct vmc_stripe *stripe,
	struct vmc_claim *claim, struct vmc_entry *e)
{
	if (claim)
		give_back(cache, stripe, claim);
	give_back_one(cache, stripe, e);
}

/*
 * Under the policy's lock, of which the node is in no place any more. An entry
 * that is being inserted is among the most recent ones. One that is pinned is
 * parked: the policy would come across it again and again, so it is left out
 * until its last pin goes (pin.c). One that is spared is left out until the
 * claim is complete, or given back.
 */
static void
claim_under_lock(struct vmemcache *cache, struct vmc_claim *claim,
	struct vmc_policy_node *node)
{
	struct vmc_entry *e = vmc_entry_of(node);
	uint16_t state = vmc_load_acquire(&e->state);
	bool done = false;

	vmc_store_release(&node->at, 0);
	while ((state & VMC_ENTRY_STATES) == VMC_ENTRY_LIVE && !done) {
		if (e == claim->spared) {
			claim->met = node;
			claim->before_met = count_claimed(claim);
			return;
		}
		if (vmc_entry_is_moving(state)) {
			state = vmc_entry_settled(e);
			continue;
		}
		if (state >= VMC_ENTRY_PIN) {
			done = vmc_cas_acq_rel(
				&e->state, &state, state | VMC_ENTRY_PARKED);
			if (done && !(state & VMC_ENTRY_PARKED))
				vmc_fetch_add_relaxed(&cache->parked, 1);
			continue;
		}
		done = vmc_cas_acq_rel(&e->state, &state, VMC_ENTRY_EVICTING);
		if (done) {
			append(claim, e);
			if (__builtin_expect(vmc_entry_is_marked(e), 0))
				vmc_claim_count(cache, e);
		}
	}
}

/* Spared, or pinned: the policy keeps it, or parks it. */
static inline bool
must_stay(const struct vmc_entry *spared, const struct vmc_entry *e)
{
	uint16_t state = vmc_load_acquire(&e->state);

	return e == spared || ((state & VMC_ENTRY_STATES) == VMC_ENTRY_LIVE &&
				      state >= VMC_ENTRY_PIN);
}

/* What must stay is left to who has the lock. */
struct vmc_entry *
vmc_claim_reserved_of_any(struct vmemcache *cache, struct vmc_stripe *stripe)
{
	struct vmc_reserve *reserve = &stripe->reserve;
	const struct vmc_policy_row *row;
	struct vmc_entry *e = NULL;
	unsigned i;

	while (!e && (row = vmc_reserve_peek(reserve, 0, &i))) {
		struct vmc_policy_node *node = vmc_policy_node_at(row, i);
		if (node && must_stay(stripe->spared, vmc_entry_of(node)))
			break;
		vmc_reserve_skip(reserve);
		if (node && !vmc_cache_was_used(cache, node) &&
			vmc_policy_take(row, i))
			e = vmc_claim_taken(
				cache, node, vmc_policy_place(row, i));
	}
	return e;
}

/*
 * The same under the policy's lock, which has back, or parks, what is not
 * claimed. -ENOMEM.
 */
static int
claim_reserved_under_lock(struct vmemcache *cache, struct vmc_stripe *stripe,
	struct vmc_claim *claim)
{
	const struct vmc_policy_row *row;
	unsigned i;

	if (claim->only_own)
		vmc_visit_recall_own(cache, stripe, claim->own);
	while (!enough(claim) && !claim->only_own &&
		(row = vmc_reserve_peek(&stripe->reserve, 0, &i))) {
		struct vmc_policy_node *node = vmc_policy_node_at(row, i);
		if (make_room(cache, claim))
			return -ENOMEM;
		vmc_reserve_skip(&stripe->reserve);
		if (node && !vmc_cache_was_used(cache, node) &&
			vmc_policy_take(row, i))
			claim_under_lock(cache, claim, node);
	}
	return 0;
}

static struct vmc_policy_node *
next_victim(struct vmemcache *cache, const struct vmc_claim *claim)
{
	struct vmc_policy *policy = cache->policy;

	if (claim->only_own)
		policy = claim->own->policy;
	else if (vmc_spaces_are_active(cache))
		return vmc_share_victim(cache, claim->own);
	return policy->ops->victim(policy);
}

/* From the policy. -ENOSPC: it does not hold enough. -ENOMEM. */
static int
claim_held(struct vmemcache *cache, struct vmc_claim *claim)
{
	struct vmc_policy_node *node;

	while (!enough(claim)) {
		if (make_room(cache, claim))
			return -ENOMEM;
		node = next_victim(cache, claim);
		if (!node)
			break;
		claim_under_lock(cache, claim, node);
	}
	return enough(claim) ? 0 : -ENOSPC;
}

/*
 * Enough is claimed, and what was spared is the oldest that is left: of the
 * stripe's reserve as well, so that comes behind it.
 */
static void
put_back_spared(struct vmemcache *cache, struct vmc_stripe *stripe,
	struct vmc_claim *claim)
{
	if (!claim->met)
		return;
	vmc_visit_recall(cache, stripe);
	vmc_cache_restore_node(cache, vmc_entry_of(claim->met));
	claim->met = NULL;
}

struct vmc_entry *
vmc_claim_late_of_any(struct vmemcache *cache, struct vmc_stripe *stripe,
	struct vmc_policy_node *node)
{
	struct vmc_claim claim;

	vmc_claim_begin(&claim, 1, 0, stripe->spared);
	claim_under_lock(cache, &claim, node);
	claim_held(cache, &claim);
	put_back_spared(cache, stripe, &claim);
	return claim.end > 0 ? claim.some[0] : NULL;
}

int
vmc_claim_victims(struct vmemcache *cache, struct vmc_stripe *stripe,
	struct vmc_claim *claim, struct vmc_entry *first)
{
	int rc;

	for (struct vmc_entry *e = first; e;) {
		append(claim, e);
		if (enough(claim))
			return 0;
		e = claim->end < VMC_CLAIM_FIRST
			    ? vmc_claim_reserved(
				      cache, stripe, cache->counts > 0)
			    : NULL;
	}
	vmc_lock_acquire(&cache->policy_lock);
	vmc_visit_policy(cache, stripe);
	rc = claim_reserved_under_lock(cache, stripe, claim);
	if (rc == 0)
		rc = claim_held(cache, claim);
	if (rc == -ENOSPC) {
		give_back(cache, stripe, claim);
		vmc_cache_drain_all(cache);
		vmc_visit_recall_all(cache);
		rc = claim_held(cache, claim);
	} else if (rc == 0) {
		put_back_spared(cache, stripe, claim);
		if (vmc_cache_chooses_late(cache, stripe))
			vmc_claim_fetch_late(cache);
		else
			vmc_visit_fill_reserve(cache, stripe);
	}
	if (rc) {
		vmc_visit_recall(cache, stripe);
		give_back(cache, stripe, claim);
	} else {
		put_back_spared(cache, stripe, claim);
	}
	vmc_cache_release_policy(cache);
	return rc;
}

/*
 * What of the quota is to be had by victims: reservations are not, and may stay
 * for long. Puts under way, and victims of others, are not waited for where
 * nobody is at work. The order of the loads: a reservation that ends meanwhile
 * is not counted twice.
 */
static bool
is_over_quota(const struct vmc_era *era, const struct vmc_claim *claim,
	bool waits, uint64_t most)
{
	if (!waits)
		return vmc_load_acquire(&era->held) > most + claim->got;
	uint64_t stays = vmc_era_stays(era);
	return stays + vmc_load_acquire(&era->open) > most;
}

/* Under the policy's lock. */
static int
claim_over_quota(struct vmemcache *cache, struct vmc_claim *claim,
	struct vmc_era *era, bool waits, uint64_t most)
{
	struct vmc_policy *policy = era->policy;

	while (is_over_quota(era, claim, waits, most)) {
		struct vmc_policy_node *node;
		if (make_room(cache, claim))
			return -ENOMEM;
		node = policy->ops->victim(policy);
		if (!node)
			return -ENOSPC;
		claim_under_lock(cache, claim, node);
	}
	return 0;
}

int
vmc_claim_for_quota(struct vmemcache *cache, struct vmc_stripe *stripe,
	struct vmc_claim *claim, struct vmc_era *era, bool waits, uint64_t most)
{
	vmc_lock_acquire(&cache->policy_lock);
	vmc_visit_policy(cache, stripe);
	vmc_visit_recall_own(cache, stripe, era);
	int rc = claim_over_quota(cache, claim, era, waits, most);
	if (rc == -ENOSPC) {
		vmc_cache_drain_all(cache);
		vmc_visit_recall_era(cache, era);
		rc = claim_over_quota(cache, claim, era, waits, most);
	}
	if (rc)
		give_back(cache, stripe, claim);
	else
		put_back_spared(cache, stripe, claim);
	vmc_cache_release_policy(cache);
	return rc;
}

/* In that place of that row, if it has not been taken away. */
static inline struct vmc_entry *
entry_at(const struct vmc_policy_row *row, unsigned i)
{
	struct vmc_policy_node *node = row ? vmc_policy_node_at(row, i) : NULL;

	return node ? vmc_entry_of(node) : NULL;
}

/* The next victim but one, and the second after that; NULL: none. */
static inline void
find_coming(const struct vmc_reserve *r, struct vmc_entry **next_but_one,
	struct vmc_entry **fourth)
{
	const struct vmc_policy_row *row = r->row[r->current];
	uint32_t left = r->left[r->current];
	unsigned i = 0;

	left &= left - 1;
	uint32_t but_one = left;
	left &= left - 1;
	left &= left - 1;
	if (__builtin_expect(left != 0, 1)) {
		*next_but_one = entry_at(row, (unsigned)__builtin_ctz(but_one));
		*fourth = entry_at(row, (unsigned)__builtin_ctz(left));
		return;
	}
	row = vmc_reserve_peek(r, 1, &i);
	*next_but_one = entry_at(row, i);
	row = vmc_reserve_peek(r, 3, &i);
	*fourth = entry_at(row, i);
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
	struct vmc_entry *e, *fourth;
	bool low = vmc_reserve_is_low(&stripe->reserve) &&
		   !vmc_cache_chooses_late(cache, stripe);

	stripe->evicts = false;
	find_coming(&stripe->reserve, &e, &fourth);
	if (e)
		vmc_claim_fetch(cache, e);
	if (low)
		vmc_prefetch_write(&cache->policy_lock);
	if (fourth) {
		vmc_prefetch_write(&fourth->node);
		vmc_prefetch_write(fourth->key + sizeof(uint64_t) - 1);
	}
	/* nobody waits for the lock */
	if (low && vmc_lock_try(&cache->policy_lock)) {
		vmc_visit_policy(cache, stripe);
		vmc_visit_fill_reserve(cache, stripe);
		vmc_cache_release_policy(cache);
	}
}
