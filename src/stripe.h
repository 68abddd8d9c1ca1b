/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * stripe.h -- the state of one thread in one cache
 *
 * Its counters, its ring of touches, the victims it has reserved, its retired
 * metadata, and the gets that it is performing. No two living threads have the
 * same stripe of a cache, so the owner writes without locked instructions. (A
 * stripe of the index is something else: a partition, hash/linear.c.)
 *
 * A stripe is in use from its thread's first call on, and outlives the thread.
 * After that it passes to the next thread that gets the same slot
 * (base/epoch.h); or a thread that holds the policy's lock empties its ring and
 * its limbo, and then it is spare, for any slot.
 */
#ifndef VMC_STRIPE_H
#define VMC_STRIPE_H

#include "libvmemcache.h"

#include "base/epoch.h"
#include "base/limbo.h"
#include "base/lock.h"
#include "order/order.h"
#include "policy/reserve.h"
#include "policy/ring.h"

enum vmc_counter {
	VMC_COUNT_HIT,
	VMC_COUNT_MISS,
	VMC_COUNT_TOUCHES_LOST,
	/* what comes and goes: one for either direction (vmc_stripes_left) */
	VMC_COUNT_EXTENTS,  /* runs of blocks of entries */
	VMC_COUNT_VALUES,   /* bytes of values */
	VMC_COUNT_METADATA, /* bytes of metadata */
	VMC_COUNT_PINNED,   /* items, from the first pin to the last unpin */
	VMC_COUNT_PINNED_BYTES, /* of their values */
	VMC_COUNT_RESERVED,     /* until they are committed or aborted */
	VMC_COUNT_RESERVED_BYTES,
	VMC_COUNT_LOADS, /* these only come */
	VMC_COUNT_LOADS_FAILED,
	VMC_COUNT_LOADS_SHARED,
	VMC_COUNT_STORES, /* by mode and outcome: vmc_count_of_store() */
	VMC_COUNT_GONE =
		VMC_COUNT_STORES + VMEMCACHE_MODES * VMEMCACHE_OUTCOMES,
	VMC_COUNT_EXTENTS_GONE = VMC_COUNT_GONE,
	VMC_COUNT_VALUES_GONE,
	VMC_COUNT_METADATA_GONE,
	VMC_COUNT_PINNED_GONE,
	VMC_COUNT_PINNED_BYTES_GONE,
	VMC_COUNT_RESERVED_GONE,
	VMC_COUNT_RESERVED_BYTES_GONE,
	VMC_COUNT_REMOVALS, /* by reason: vmc_count_of_removal() */

	VMC_COUNTERS = VMC_COUNT_REMOVALS + VMEMCACHE_REASONS
};

struct vmc_handover;
struct vmc_entry;

/* Replaced entries, which the policy lets go of together (store.c). */
#define VMC_STRIPE_REPLACED 16

struct vmc_stripe {
	/* written by the owner; read by anyone; each only grows */
	_Atomic uint64_t counter[VMC_COUNTERS];
	_Atomic unsigned busy; /* changes that are not complete: inherit.c */
	/* the owner's alone */
	struct vmc_limbo limbo;
	struct vmc_limbo_chunk *ripe; /* what no ring and no reader holds */
	/* see vmc_stripe_in_callbacks() */
	unsigned callbacks_of;         /* thread->uses */
	unsigned nested;               /* calls of on_evict that run */
	struct vmc_handover *handover; /* the innermost get in on_miss */
	unsigned reclaimed;            /* limbo.added as of the last time */
	uint64_t gone;   /* bytes of metadata, less what came, as of then */
	bool touched;    /* a get met a reserved entry: drain the ring first */
	bool evicts;     /* since victims were last fetched ahead */
	uint64_t puts;   /* the hash of what it puts, or did last (late.c) */
	unsigned visits; /* to the policy, wrapping around */
	_Atomic uint64_t told; /* bytes of metadata; by anyone (limit.c) */
	/*
	 * Written by the owner, read by anyone; they count up, and are odd
	 * while it has blocks or victims in hand and waits for nothing; while
	 * it waits for others' (wait.c)
	 */
	_Atomic unsigned work;
	_Atomic unsigned waits;
	unsigned cut; /* how many of its values are, of late (put.c) */
	/* what it is about to replace, and so does not evict (store.c) */
	const struct vmc_entry *spared;
	uint64_t spared_blocks;
	uint64_t admitted; /* for its put under way, in a space (room.c) */
	uint64_t version;  /* the latest that it has drawn (version.h) */
	/* of the call under way, in milliseconds; 0: not read yet (expire.h) */
	uint64_t now;
	/* of the owner, or under the policy's lock if that has gone */
	unsigned replaced_count;
	struct vmc_entry *replaced[VMC_STRIPE_REPLACED];
	/* the owner's, for what it puts */
	struct vmc_order_stock order_stock;
	/* the list's (stripe.c) */
	struct vmc_stripe *older; /* immutable: the one made before this */
	struct vmc_stripe *next, *prev;
	_Atomic unsigned slot; /* while in use */
	/* under the policy's lock: it may have nodes of its in reserve */
	bool reserves;
	/* looking for other users (touch.c): when, by hits, and their calls */
	uint64_t looked;
	uint64_t others;
	unsigned unseen; /* so often in turn there were none */
	/* see there */
	struct vmc_reserve reserve;
	/* under the policy's lock: whose victims they are (visit.c); or NULL */
	struct vmc_era *reserve_of[VMC_RESERVE_ROWS];
	/* gets through spaces, by their numbers; release, acquire */
	struct vmc_tallies *_Atomic tallies;
	/* the owner's: that of the space that it got from last (space.h) */
	const struct vmemcache *tallied;
	struct vmc_tally *tally;
	struct vmc_ring ring;
};

/* Gets through one space. */
struct vmc_tally {
	_Atomic uint64_t hits, misses;
};

/* Of so many spaces, in groups of as many. */
#define VMC_TALLIES 256u

struct vmc_tallies {
	struct vmc_tally *_Atomic group[VMC_TALLIES];
};

/*
 * That of the owner; NULL: there is no memory. Of any stripe, as far as there
 * is one.
 */
struct vmc_tally *vmc_tally_make(struct vmc_stripe *stripe, uint32_t number);

static inline struct vmc_tally *
vmc_tally_of(const struct vmc_stripe *stripe, uint32_t number)
{
	struct vmc_tallies *all = vmc_load_acquire(&stripe->tallies);
	struct vmc_tally *group =
		all ? vmc_load_acquire(&all->group[number / VMC_TALLIES])
		    : NULL;

	return group ? &group[number % VMC_TALLIES] : NULL;
}

#define VMC_STRIPE_GROUPS 20
#define VMC_STRIPE_GROUP_FIRST 64u

/* All zero: no stripes yet. Group k points to 64 << k stripes. */
struct vmc_stripes {
	/* set once each: release when filled, acquire where followed */
	struct vmc_stripe *_Atomic first[VMC_STRIPE_GROUP_FIRST];
	struct vmc_stripe *_Atomic *_Atomic group[VMC_STRIPE_GROUPS];

	/* written under the latch; release when linked, acquire to follow */
	struct vmc_stripe *_Atomic newest; /* of all, in use or spare */
	struct vmc_stripe *_Atomic used;   /* those in use, by next */
	_Atomic unsigned count;            /* of these */
	unsigned limbo_most;               /* limbo.most of each; immutable */
	/* under the latch */
	struct vmc_latch latch;
	struct vmc_stripe *spare; /* by next */
	/* what goes, by threads that have no stripe: vmc_count_gone() */
	_Atomic uint64_t apart[VMC_COUNTERS - VMC_COUNT_GONE];
};

/* Make the stripe of that thread, the caller; NULL: out of memory. */
struct vmc_stripe *vmc_stripe_make(
	struct vmc_stripes *stripes, const struct vmc_thread *thread);

/* The stripe in that slot; NULL: none is in use. For tests. */
struct vmc_stripe *vmc_stripe_at(struct vmc_stripes *stripes, unsigned slot);

/*
 * The stripe in use after that one, NULL after the last; or of all: the one
 * made before, which anybody may ask for at any time. NULL: the first. Those in
 * use are for who holds the policy's lock, or deletes the cache.
 */
static inline struct vmc_stripe *
vmc_stripe_next(struct vmc_stripes *stripes, const struct vmc_stripe *s)
{
	return s ? s->next : vmc_load_acquire(&stripes->used);
}

static inline struct vmc_stripe *
vmc_stripe_older(struct vmc_stripes *stripes, const struct vmc_stripe *s)
{
	return s ? s->older : vmc_load_acquire(&stripes->newest);
}

/*
 * Under the policy's lock: take a stripe over whose thread has gone. False: it
 * has not. What it keeps is the caller's then, until vmc_stripe_spare(), before
 * which ring, reserve and limbo must be empty.
 */
bool vmc_stripe_take_over(struct vmc_stripes *stripes, struct vmc_stripe *s);
void vmc_stripe_spare(struct vmc_stripes *stripes, struct vmc_stripe *s);

/* The sum of a counter; exact when no operation is under way. */
uint64_t vmc_stripes_sum(struct vmc_stripes *stripes, enum vmc_counter which);

/*
 * The sums of all counters; exact when no operation is under way, and what has
 * gone is never more than what had come.
 */
void vmc_stripes_sum_all(
	struct vmc_stripes *stripes, uint64_t sums[VMC_COUNTERS]);

/* Entries that came and that went, of such sums. */
uint64_t vmc_entries_came(const uint64_t sums[VMC_COUNTERS]);
uint64_t vmc_entries_went(const uint64_t sums[VMC_COUNTERS]);

/*
 * What has come and not gone, by two counters; exact when no operation is under
 * way, and never less than nothing: what goes is counted after what had come
 * was, in another thread perhaps, and here it is read before.
 */
static inline uint64_t
vmc_stripes_left(struct vmc_stripes *stripes, enum vmc_counter came,
	enum vmc_counter gone)
{
	uint64_t went = vmc_stripes_sum(stripes, gone);

	return vmc_stripes_sum(stripes, came) - went;
}

/* Free all stripes and what waits in them. Nobody may be using the cache. */
void vmc_stripes_delete(
	struct vmc_stripes *stripes, const struct vmc_memory *memory);

/* The calling thread's stripe; NULL: out of memory. */
static inline struct vmc_stripe *
vmc_stripe_of(struct vmc_stripes *stripes, const struct vmc_thread *thread)
{
	if (__builtin_expect(thread->slot < VMC_STRIPE_GROUP_FIRST, 1)) {
		struct vmc_stripe *s =
			vmc_load_acquire(&stripes->first[thread->slot]);
		if (__builtin_expect(s != NULL, 1))
			return s;
	}
	return vmc_stripe_make(stripes, thread);
}

/*
 * What callbacks of the thread have left in its stripe, which is nothing of a
 * thread that had the stripe before: that may have ended within a callback,
 * past all that cleans up after it.
 */
static inline void
vmc_stripe_in_callbacks(
	struct vmc_stripe *stripe, const struct vmc_thread *thread)
{
	if (stripe->callbacks_of == thread->uses)
		return;
	stripe->callbacks_of = thread->uses;
	stripe->nested = 0;
	stripe->handover = NULL;
}

static inline enum vmc_counter
vmc_count_of_store(unsigned mode, enum vmemcache_outcome outcome)
{
	return (enum vmc_counter)(
		VMC_COUNT_STORES + mode * VMEMCACHE_OUTCOMES + outcome);
}

static inline enum vmc_counter
vmc_count_of_removal(enum vmemcache_reason reason)
{
	return (enum vmc_counter)(VMC_COUNT_REMOVALS + reason);
}

static inline void
vmc_count(struct vmc_stripe *stripe, enum vmc_counter which, uint64_t n)
{
	/* release: who sees this sees what was counted before */
	vmc_store_release(&stripe->counter[which],
		vmc_load_relaxed(&stripe->counter[which]) + n);
}

/* What goes can also be counted by a thread that has no stripe (NULL). */
static inline void
vmc_count_gone(struct vmc_stripes *stripes, struct vmc_stripe *stripe,
	enum vmc_counter which, uint64_t n)
{
	if (stripe)
		vmc_count(stripe, which, n);
	else /* release: as above */
		vmc_fetch_add_acq_rel(
			&stripes->apart[which - VMC_COUNT_GONE], n);
}

#endif
