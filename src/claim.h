/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * claim.h -- claiming entries to evict: between claim.c and those who remove
 * them
 */
#ifndef VMC_CLAIM_H
#define VMC_CLAIM_H

#include "base/prefetch.h"
#include "space.h"

/* Victims that are more than a claim has room for. */
struct vmc_claim_more {
	struct vmc_claim_more *prev, *next;
	unsigned begin, end;
	struct vmc_entry *some[61];
};

/* Victims claimed for one operation, the first claimed first. */
#define VMC_CLAIM_FIRST 8

struct vmc_claim {
	struct vmc_entry *some[VMC_CLAIM_FIRST];
	unsigned begin, end; /* of those */
	struct vmc_claim_more *first, *last;
	uint64_t wanted; /* blocks, and one victim at least; an empty value is
			  * as one block */
	uint64_t got;
	uint64_t wanted_bytes, got_bytes; /* of their metadata */
	const struct vmc_entry *spared;   /* left alone; NULL: none */
	struct vmc_policy_node *met; /* its, once the policy let go of it, */
	uint64_t before_met;         /* which was after so many victims */
	/* who wants the room: an era of a space, or NULL; only from it */
	const struct vmc_era *own;
	bool only_own;
};

static inline void
vmc_claim_begin(struct vmc_claim *claim, uint64_t wanted, uint64_t bytes,
	const struct vmc_entry *spared)
{
	claim->begin = claim->end = 0;
	claim->first = claim->last = NULL;
	claim->wanted = wanted;
	claim->got = 0;
	claim->wanted_bytes = bytes;
	claim->got_bytes = 0;
	claim->spared = spared;
	claim->met = NULL;
	claim->own = NULL;
	claim->only_own = false;
}

struct vmc_entry *vmc_claim_pop_more(
	struct vmemcache *cache, struct vmc_claim *claim);

/* The next one to remove; NULL: none is left. */
static inline struct vmc_entry *
vmc_claim_pop(struct vmemcache *cache, struct vmc_claim *claim)
{
	if (claim->begin < claim->end)
		return claim->some[claim->begin++];
	return __builtin_expect(claim->first == NULL, 1)
		       ? NULL
		       : vmc_claim_pop_more(cache, claim);
}

/* LIVE to EVICTING, whatever its pins. False: *state was found instead. */
bool vmc_claim_entry(
	struct vmemcache *cache, struct vmc_entry *e, uint16_t *state);

/*
 * Claim what the caller has taken from that place of its reserve. NULL: another
 * thread has claimed it.
 */
struct vmc_entry *vmc_claim_taken(
	struct vmemcache *cache, struct vmc_policy_node *node, uint32_t place);
/* As below, within an epoch, whatever is in the reserve. */
struct vmc_entry *vmc_claim_reserved_of_any(
	struct vmemcache *cache, struct vmc_stripe *stripe);

/*
 * The blocks of a space's entry that is claimed: so two threads do not evict
 * more than the space may lose (share.c).
 */
void vmc_claim_count(struct vmemcache *cache, const struct vmc_entry *e);

/* Is it LIVE and nothing else? */
static inline bool
vmc_claim_is_usual(const struct vmc_stripe *stripe, const struct vmc_entry *e)
{
	return e != stripe->spared &&
	       vmc_load_acquire(&e->state) == VMC_ENTRY_LIVE;
}

/*
 * Claim a victim from the thread's reserve, without a lock. NULL: there is
 * none, or the policy has to be asked. In an epoch, as another thread may be
 * about to retire the same entry. In line is what nearly each eviction meets:
 * the next one is LIVE, and nothing else. counts: the policy counts uses.
 */
static inline struct vmc_entry *
vmc_claim_reserved(
	struct vmemcache *cache, struct vmc_stripe *stripe, bool counts)
{
	struct vmc_thread *thread = vmc_thread_self();
	struct vmc_reserve *reserve = &stripe->reserve;
	struct vmc_policy_node *node = NULL;
	struct vmc_entry *claimed = NULL;
	uint16_t live = VMC_ENTRY_LIVE;
	unsigned i;

	stripe->evicts = true;
	if (__builtin_expect(stripe->touched, 0))
		return NULL;
	vmc_epoch_enter(thread);
	const struct vmc_policy_row *row = vmc_reserve_peek(reserve, 0, &i);
	if (__builtin_expect(row != NULL, 1))
		node = vmc_policy_node_at(row, i);
	if (!counts && __builtin_expect(node && vmc_claim_is_usual(stripe,
							vmc_entry_of(node)),
			       1)) {
		struct vmc_entry *e = vmc_entry_of(node);
		vmc_reserve_skip(reserve);
		bool taken = vmc_policy_take(row, i);
		if (__builtin_expect(taken && vmc_cas_acq_rel(&e->state, &live,
						      VMC_ENTRY_EVICTING),
			    1)) {
			/* release: as in vmc_claim_taken() */
			vmc_store_release(&node->at, 0);
			if (__builtin_expect(vmc_entry_is_marked(e), 0))
				vmc_claim_count(cache, e);
			claimed = e;
		} else if (taken) {
			claimed = vmc_claim_taken(
				cache, node, vmc_policy_place(row, i));
		}
	}
	if (__builtin_expect(!claimed, 0))
		claimed = vmc_claim_reserved_of_any(cache, stripe);
	vmc_epoch_exit(thread);
	return claimed;
}

/*
 * What a put into that victim's blocks will write, and its bag. In an epoch:
 * the blocks are told by what is freed after it is no victim any more. Its
 * hash; 0: it is no victim any more.
 */
static inline __attribute__((always_inline)) uint64_t
vmc_claim_fetch(struct vmemcache *cache, const struct vmc_entry *victim)
{
	uint64_t count;

	if (vmc_load_acquire(&victim->state) & VMC_ENTRY_STATES)
		return 0;
	const vmc_runs runs = vmc_entry_runs(victim);
	const vmc_run *run = vmc_runs_view(&runs, &count);

	if (count > 0)
		vmc_prefetch_value((uintptr_t)vmc_block_address(
					   cache, vmc_run_first(*run)),
			vmc_run_count(*run) * cache->block_size);
	uint64_t hash = vmc_cache_hash(cache, victim);
	struct vmc_index *index = vmc_index_of(cache, victim);
	vmc_index_prefetch(index, hash);
	vmc_index_prefetch_latch(index, hash);
	return hash;
}

/*
 * Claim the policy's next victim, for a thread that chooses late (late.c).
 * NULL: there is none, or claiming several is to look for it. *hash: the
 * victim's; 0: not known.
 */
struct vmc_entry *vmc_claim_late(
	struct vmemcache *cache, struct vmc_stripe *stripe, uint64_t *hash);
/*
 * Under the policy's lock: the same, beginning with that node, of which it has
 * let go.
 */
struct vmc_entry *vmc_claim_late_of_any(struct vmemcache *cache,
	struct vmc_stripe *stripe, struct vmc_policy_node *node);
/* Under the policy's lock: fetch what the next eviction may need. */
void vmc_claim_fetch_late(struct vmemcache *cache);

/*
 * Claim victims, at least one, that hold as many blocks and as much metadata as
 * are wanted. The first one is claimed already, unless NULL. -ENOSPC: there are
 * not enough, and nothing changed; -ENOMEM, likewise.
 */
int vmc_claim_victims(struct vmemcache *cache, struct vmc_stripe *stripe,
	struct vmc_claim *claim, struct vmc_entry *first);
/*
 * The same of the era, none perhaps: until no more blocks than that stay in it,
 * when puts under way have ended if it waits for them; or are in it without
 * these.
 */
int vmc_claim_for_quota(struct vmemcache *cache, struct vmc_stripe *stripe,
	struct vmc_claim *claim, struct vmc_era *era, bool waits,
	uint64_t most);

/*
 * Remove all that was claimed, callbacks included; *freed gets the blocks of
 * the last one, the others' are free by then. What is over is counted as
 * EXPIRED. 0, VMC_WAS_OVER; -EBADF: a callback forked, and this is the child.
 */
int vmc_claim_remove(struct vmemcache *cache, struct vmc_stripe *stripe,
	struct vmc_claim *claim, enum vmemcache_reason reason, vmc_runs *freed);

/*
 * Out of the index, and out of the order of keys: of an entry that the caller
 * has claimed, or pinned. -ENOENT: it was not in the index any more.
 */
int vmc_cache_take_out(struct vmemcache *cache, struct vmc_stripe *stripe,
	struct vmc_entry *e);

/*
 * Under the policy's lock: put e back where it was, and before it what is left
 * of the claim, unless NULL, the last claimed first.
 */
void vmc_claim_give_back(struct vmemcache *cache, struct vmc_stripe *stripe,
	struct vmc_claim *claim, struct vmc_entry *e);

#endif
