/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * counts.h -- how many bytes tiers have allocated in each kind
 *
 * Each thread has a record with a counter per kind, which it alone writes
 * (counts.c). What all have together is their sum, which takes a walk
 * through the records; for those who choose a kind at every allocation there
 * are totals that lag behind by at most one step per thread.
 */
#ifndef VMC_MEMTIER_COUNTS_H
#define VMC_MEMTIER_COUNTS_H

#include "memkind/kinds.h"

#include "base/atomic.h"

#include <stdalign.h>

/* Bytes by which a thread's counter and what the totals have of it differ. */
#define VMC_COUNTS_LEAST_STEP ((int64_t)8192)
#define VMC_COUNTS_MOST_STEP ((int64_t)1 << 20)

struct vmc_count {
	/* written by the owner, read by any thread that adds up */
	_Atomic int64_t bytes;
	/* the owner's alone: what of it is in the total */
	int64_t published;
};

struct vmc_counts {
	struct vmc_count kinds[MEMKIND_MAX_KIND];
	/* the owner's alone */
	int64_t step;
	const uint64_t *freed; /* vmc_engine_freed_by_thread() */
	/* what the policy decided for the next allocations (policy.c) */
	struct {
		uint64_t memory;
		memkind_t kind;
		size_t budget;     /* bytes that still go there */
		unsigned to_check; /* allocations up to the next check */
	} plan;
	/* from here on shared */
	_Atomic bool taken;
	struct vmc_counts *next; /* immutable once it is in the list */
};

/* The calling thread's, NULL: it has none yet, or not any more. */
extern _Thread_local struct vmc_counts *vmc_counts_self;

/* On a line of its own: threads write to those of different kinds. */
struct vmc_total {
	alignas(64) _Atomic int64_t bytes;
};
extern struct vmc_total vmc_totals[MEMKIND_MAX_KIND];

/*
 * The calling thread's record, which is made, or found, if it has none. Without
 * memory, and when it is about to end, it has none, and counts in a way that
 * takes longer.
 */
struct vmc_counts *vmc_counts_find(void);
void vmc_counts_without(unsigned kind, int64_t bytes);
void vmc_counts_publish(struct vmc_counts *self, unsigned kind);

/*
 * So many bytes more, or fewer, in the kind of that number. self: the calling
 * thread's record as far as it is known.
 */
static inline void
vmc_counts_add(struct vmc_counts *self, unsigned kind, int64_t bytes)
{
	struct vmc_count *count;
	int64_t now;

	if (__builtin_expect(!self && !(self = vmc_counts_find()), 0)) {
		vmc_counts_without(kind, bytes);
		return;
	}
	count = &self->kinds[kind];
	now = vmc_load_relaxed(&count->bytes) + bytes;
	vmc_store_relaxed(&count->bytes, now);
	/* beyond the step on either side, in one comparison */
	if (__builtin_expect((uint64_t)(now - count->published + self->step) >
				     2 * (uint64_t)self->step,
		    0))
		vmc_counts_publish(self, kind);
}

/*
 * What the kind has as the calling thread, which has this record, sees it:
 * exact for its own part.
 */
static inline int64_t
vmc_counts_estimate(const struct vmc_counts *self, unsigned kind)
{
	int64_t bytes = vmc_load_relaxed(&vmc_totals[kind].bytes);

	if (self)
		bytes += vmc_load_relaxed(&self->kinds[kind].bytes) -
			 self->kinds[kind].published;
	return bytes;
}

/*
 * The sum; exact if no thread is counting. May be negative: what was allocated
 * past the counters was freed through them.
 */
int64_t vmc_counts_sum(unsigned kind);

#endif
