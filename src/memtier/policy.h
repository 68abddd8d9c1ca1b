/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * policy.h -- which tier the next allocation goes to
 */
#ifndef VMC_MEMTIER_POLICY_H
#define VMC_MEMTIER_POLICY_H

#include "counts.h"
#include "memkind_memtier.h"

struct vmc_tier {
	memkind_t kind;
	unsigned ratio;
	double weight; /* 1 / ratio; of a ratio of 0 more than any other */
};

/* Between a tier and the next: sizes from val on go to the next. */
struct vmc_threshold {
	_Atomic size_t val; /* moves from min to max */
	size_t min, max;
	/* under checking: how far it was from the ratio at the last check */
	double error;
};

struct vmc_threshold_settings {
	unsigned check_count;
	float trigger, degree;
};

struct memtier_memory {
	/* immutable */
	uint64_t number; /* unlike an address, never used again */
	memtier_policy_t policy;
	unsigned count;
	struct vmc_tier *tiers;
	struct vmc_threshold_settings settings;
	/* count - 1 of them, on lines that are written when one moves */
	struct vmc_threshold *thresholds;
	alignas(64) struct vmc_latch checking;
};

/* The slow ways of the one below. */
memkind_t vmc_policy_by_ratio(const struct memtier_memory *memory, size_t size);
memkind_t vmc_policy_by_size(struct memtier_memory *memory, size_t size);

/*
 * Does the allocation go where the last one went? False for no bytes, and if
 * the size decides: then the budget is 0.
 */
static inline bool
vmc_policy_planned(const struct memtier_memory *memory, struct vmc_counts *self,
	size_t size)
{
	if (__builtin_expect(self->plan.memory != memory->number ||
				     size - 1 >= self->plan.budget,
		    0))
		return false;
	self->plan.budget -= size;
	return true;
}

/* self: the calling thread's record, or NULL. */
static inline memkind_t
vmc_policy_kind(
	struct memtier_memory *memory, struct vmc_counts *self, size_t size)
{
	if (memory->policy == MEMTIER_POLICY_DYNAMIC_THRESHOLD)
		return vmc_policy_by_size(memory, size);
	if (self && vmc_policy_planned(memory, self, size))
		return self->plan.kind;
	return vmc_policy_by_ratio(memory, size);
}

#endif
