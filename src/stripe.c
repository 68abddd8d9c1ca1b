/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * stripe.c -- the table of a cache's stripes, by thread slot
 *
 * The first 64 pointers are in the cache itself; further ones come in groups
 * of 128, 256, ... as threads appear, so there is no limit to plan for and no
 * stripe that two threads share. A group and a stripe are published with a
 * release store (or exchange) and followed with acquire; neither moves nor
 * goes before the cache does. Two threads may find the same group missing: one
 * wins the compare and swap, the other frees its own. A stripe is only made by
 * the thread whose slot it is.
 *
 * Stripes are mapped, not allocated: page-aligned, so no two share a line, and
 * zeroed.
 */
#include "stripe.h"

#include "base/os.h"

#include <string.h>

static unsigned
group_of(unsigned slot)
{
	return (unsigned)(31 -
			  __builtin_clz(slot / VMC_STRIPE_GROUP_FIRST + 1));
}

static unsigned
group_length(unsigned k)
{
	return VMC_STRIPE_GROUP_FIRST << k;
}

static size_t
group_bytes(unsigned k)
{
	size_t page = vmc_os_page_size();

	return (group_length(k) * sizeof(struct vmc_stripe *) + page - 1) &
	       ~(page - 1);
}

static size_t
stripe_bytes(void)
{
	size_t page = vmc_os_page_size();

	return (sizeof(struct vmc_stripe) + page - 1) & ~(page - 1);
}

/* Where the pointer to the slot's stripe is; NULL if its group is missing. */
static struct vmc_stripe *_Atomic *
place(struct vmc_stripes *stripes, unsigned slot)
{
	if (slot < VMC_STRIPE_GROUP_FIRST)
		return &stripes->first[slot];
	unsigned k = group_of(slot);
	struct vmc_stripe *_Atomic *group =
		vmc_load_acquire(&stripes->group[k]);
	unsigned start = group_length(k) - VMC_STRIPE_GROUP_FIRST;
	return group ? &group[slot - start] : NULL;
}

struct vmc_stripe *
vmc_stripe_at(struct vmc_stripes *stripes, unsigned slot)
{
	struct vmc_stripe *_Atomic *p = place(stripes, slot);

	return p ? vmc_load_acquire(p) : NULL;
}

struct vmc_stripe *
vmc_stripe_make(struct vmc_stripes *stripes, const struct vmc_thread *thread)
{
	unsigned slot = thread->slot;
	struct vmc_stripe *s = vmc_stripe_at(stripes, slot);

	if (s)
		return s;
	if (!place(stripes, slot)) {
		unsigned k = group_of(slot);
		struct vmc_stripe *_Atomic *expected = NULL;
		struct vmc_stripe *_Atomic *group =
			vmc_os_map_anonymous(group_bytes(k));
		if (!group)
			return NULL;
		if (!vmc_cas_acq_rel(&stripes->group[k], &expected, group))
			vmc_os_unmap((void *)group, group_bytes(k));
	}
	s = vmc_os_map_anonymous(stripe_bytes());
	if (s)
		vmc_store_release(place(stripes, slot), s);
	return s;
}

uint64_t
vmc_stripes_sum(struct vmc_stripes *stripes, enum vmc_counter which)
{
	uint64_t sum = 0;
	unsigned slots = vmc_thread_slots();

	for (unsigned slot = 0; slot < slots; slot++) {
		struct vmc_stripe *s = vmc_stripe_at(stripes, slot);
		if (s)
			sum += vmc_load_relaxed(&s->counter[which]);
	}
	return sum;
}

void
vmc_stripes_delete(struct vmc_stripes *stripes, const struct vmc_memory *memory)
{
	unsigned slots = vmc_thread_slots();

	for (unsigned slot = 0; slot < slots; slot++) {
		struct vmc_stripe *s = vmc_stripe_at(stripes, slot);
		if (!s)
			continue;
		vmc_limbo_free(s->ripe, memory);
		vmc_limbo_flush(&s->limbo, memory);
		vmc_os_unmap(s, stripe_bytes());
	}
	for (unsigned k = 1; k < VMC_STRIPE_GROUPS; k++) {
		struct vmc_stripe *_Atomic *group =
			vmc_load_acquire(&stripes->group[k]);
		if (group)
			vmc_os_unmap((void *)group, group_bytes(k));
	}
	memset(stripes, 0, sizeof(*stripes));
}
