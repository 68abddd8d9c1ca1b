/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * stripe.h -- what a thread has to itself in a cache
 *
 * Its counters, its ring of touches, the victims it has reserved, its retired
 * metadata, and the gets it is in the middle of. No two living threads have the
 * same stripe of a cache, so the owner writes without locked instructions. A
 * stripe outlives its thread and passes to the next one that gets the same slot
 * (base/epoch.h).
 */
#ifndef VMC_STRIPE_H
#define VMC_STRIPE_H

#include "base/epoch.h"
#include "base/limbo.h"
#include "lru/reserve.h"
#include "lru/ring.h"

enum vmc_counter {
	VMC_COUNT_PUT,
	VMC_COUNT_HIT,
	VMC_COUNT_MISS,
	VMC_COUNT_EVICT,
	VMC_COUNT_EXTENTS, /* runs of blocks held by entries: + and - */
	VMC_COUNT_DRAM,    /* bytes of metadata: + and - */

	VMC_COUNTERS
};

struct vmc_handover;

struct vmc_stripe {
	/* written by the owner; read by anyone; sums wrap around to be right */
	_Atomic uint64_t counter[VMC_COUNTERS];
	/* the owner's alone */
	struct vmc_limbo limbo;
	struct vmc_limbo_chunk *ripe; /* what no ring and no reader holds */
	/* see vmc_stripe_in_callbacks() */
	unsigned callbacks_of;         /* thread->uses */
	unsigned nested;               /* calls of on_evict that run */
	struct vmc_handover *handover; /* the innermost get in on_miss */
	unsigned reclaimed;            /* limbo.added as of the last time */
	bool touched;    /* a get met a reserved entry: drain the ring first */
	bool evicts;     /* since victims were last fetched ahead */
	unsigned visits; /* to the policy, wrapping around */
	unsigned cut;    /* how many of its values are, of late (put.c) */
	/* see there */
	struct vmc_reserve reserve;
	struct vmc_ring ring;
};

#define VMC_STRIPE_GROUPS 20
#define VMC_STRIPE_GROUP_FIRST 64u

/* All zero: no stripes yet. Group k points to 64 << k stripes. */
struct vmc_stripes {
	/* set once each: release when filled, acquire where followed */
	struct vmc_stripe *_Atomic first[VMC_STRIPE_GROUP_FIRST];
	struct vmc_stripe *_Atomic *_Atomic group[VMC_STRIPE_GROUPS];
};

/* Make the stripe of that thread, the caller; NULL: out of memory. */
struct vmc_stripe *vmc_stripe_make(
	struct vmc_stripes *stripes, const struct vmc_thread *thread);

/* The stripe in that slot; NULL: none was made. From any thread. */
struct vmc_stripe *vmc_stripe_at(struct vmc_stripes *stripes, unsigned slot);

/* The sum of a counter; exact when no operation is under way. */
uint64_t vmc_stripes_sum(struct vmc_stripes *stripes, enum vmc_counter which);

/* Free all stripes and what waits in them. Nobody may be using the cache. */
void vmc_stripes_delete(
	struct vmc_stripes *stripes, const struct vmc_memory *memory);

/* The calling thread's stripe; NULL: out of memory. */
static inline struct vmc_stripe *
vmc_stripe_of(struct vmc_stripes *stripes, const struct vmc_thread *thread)
{
	if (thread->slot < VMC_STRIPE_GROUP_FIRST) {
		struct vmc_stripe *s =
			vmc_load_acquire(&stripes->first[thread->slot]);
		if (s)
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

static inline void
vmc_count(struct vmc_stripe *stripe, enum vmc_counter which, uint64_t n)
{
	vmc_owner_add(&stripe->counter[which], n);
}

#endif
