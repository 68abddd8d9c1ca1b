/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * stripe.c -- the table of a cache's stripes (per-thread state), by thread slot
 *
 * The first 64 pointers are in the cache itself; further ones come in groups
 * of 128, 256, ... as threads appear, so there is no limit to plan for and no
 * stripe that two threads share. A group and a stripe are published with a
 * release store (or exchange) and followed with acquire; neither moves nor
 * goes before the cache does. Two threads may find the same group missing: one
 * wins the compare and swap, the other frees its own. A stripe is only made by
 * the thread whose slot it is.
 *
 * Stripes in use are in a list, so that passing through all of them, under the
 * policy's lock, takes time proportional to the threads that use the cache, not
 * to all threads there ever were. A latch guards its links and the spare
 * stripes. The links are followed without it: only the holder of the policy's
 * lock removes a stripe, and new ones are added at the front. To take a stripe
 * over, its place in the table is emptied under the lock of the threads'
 * registry, while no thread has the slot. A thread that gets the slot later
 * finds the place empty, and makes its own stripe; all writes of the old owner
 * happened before, as it left under that lock. Another list holds all stripes
 * ever made, since their counters still count; it only grows, so any thread may
 * follow it.
 *
 * Stripes are mapped, not allocated: page-aligned, so that no two share a cache
 * line, and zeroed.
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
pages(size_t bytes)
{
	size_t page = vmc_os_page_size();

	return (bytes + page - 1) & ~(page - 1);
}

static size_t
group_bytes(unsigned k)
{
	return pages(group_length(k) * sizeof(struct vmc_stripe *));
}

static size_t
stripe_bytes(void)
{
	return pages(sizeof(struct vmc_stripe));
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

/* The group of that slot; false: no memory. */
static bool
make_group(struct vmc_stripes *stripes, unsigned slot)
{
	unsigned k = group_of(slot);
	struct vmc_stripe *_Atomic *expected = NULL;
	struct vmc_stripe *_Atomic *group =
		vmc_os_map_anonymous(group_bytes(k));

	if (!group)
		return false;
	if (!vmc_cas_acq_rel(&stripes->group[k], &expected, group))
		vmc_os_unmap((void *)group, group_bytes(k));
	return true;
}

static struct vmc_stripe *
take_spare(struct vmc_stripes *stripes)
{
	vmc_latch_acquire(&stripes->latch, VMC_RANK_STRIPES);
	struct vmc_stripe *s = stripes->spare;
	if (s)
		stripes->spare = s->next;
	vmc_latch_release(&stripes->latch, VMC_RANK_STRIPES);
	return s;
}

/* Into the list of those in use; made: and of all. */
static void
link(struct vmc_stripes *stripes, struct vmc_stripe *s, bool made)
{
	vmc_latch_acquire(&stripes->latch, VMC_RANK_STRIPES);
	struct vmc_stripe *first = vmc_load_relaxed(&stripes->used);
	s->next = first;
	s->prev = NULL;
	if (first)
		first->prev = s;
	vmc_store_release(&stripes->used, s);
	vmc_owner_add(&stripes->count, 1);
	if (made) {
		s->older = vmc_load_relaxed(&stripes->newest);
		vmc_store_release(&stripes->newest, s);
	}
	vmc_latch_release(&stripes->latch, VMC_RANK_STRIPES);
}

struct vmc_stripe *
vmc_stripe_make(struct vmc_stripes *stripes, const struct vmc_thread *thread)
{
	unsigned slot = thread->slot;
	struct vmc_stripe *s = vmc_stripe_at(stripes, slot);
	bool made = false;

	if (s)
		return s;
	if (!place(stripes, slot) && !make_group(stripes, slot))
		return NULL;
	s = take_spare(stripes);
	if (!s) {
		s = vmc_os_map_anonymous(stripe_bytes());
		made = true;
	}
	if (!s)
		return NULL;
	vmc_store_relaxed(&s->slot, slot);
	s->limbo.most = stripes->limbo_most;
	link(stripes, s, made);
	vmc_store_release(place(stripes, slot), s);
	return s;
}

/* vmc_thread_if_gone() */
static void
empty_place(void *arg)
{
	struct vmc_stripe *_Atomic *p = arg;

	vmc_store_release(p, NULL);
}

bool
vmc_stripe_take_over(struct vmc_stripes *stripes, struct vmc_stripe *s)
{
	unsigned slot = vmc_load_relaxed(&s->slot);

	if (vmc_thread_has(slot) || !vmc_thread_if_gone(slot, empty_place,
					    (void *)place(stripes, slot)))
		return false;
	vmc_latch_acquire(&stripes->latch, VMC_RANK_STRIPES);
	if (s->prev)
		s->prev->next = s->next;
	else
		vmc_store_release(&stripes->used, s->next);
	if (s->next)
		s->next->prev = s->prev;
	vmc_owner_add(&stripes->count, -1u);
	vmc_latch_release(&stripes->latch, VMC_RANK_STRIPES);
	return true;
}

void
vmc_stripe_spare(struct vmc_stripes *stripes, struct vmc_stripe *s)
{
	vmc_latch_acquire(&stripes->latch, VMC_RANK_STRIPES);
	s->next = stripes->spare;
	stripes->spare = s;
	vmc_latch_release(&stripes->latch, VMC_RANK_STRIPES);
}

static uint64_t
counted_apart(const struct vmc_stripes *stripes, unsigned which)
{
	return which < VMC_COUNT_GONE
		       ? 0
		       : vmc_load_acquire(
				 &stripes->apart[which - VMC_COUNT_GONE]);
}

uint64_t
vmc_stripes_sum(struct vmc_stripes *stripes, enum vmc_counter which)
{
	uint64_t sum = counted_apart(stripes, which);

	for (struct vmc_stripe *s = NULL;
		(s = vmc_stripe_older(stripes, s)) != NULL;)
		sum += vmc_load_acquire(&s->counter[which]);
	return sum;
}

static void
sum_from_to(struct vmc_stripes *stripes, uint64_t sums[VMC_COUNTERS],
	unsigned from, unsigned to)
{
	for (unsigned i = from; i-- > to;)
		sums[i] = counted_apart(stripes, i);
	for (struct vmc_stripe *s = NULL;
		(s = vmc_stripe_older(stripes, s)) != NULL;)
		for (unsigned i = from; i-- > to;)
			sums[i] += vmc_load_acquire(&s->counter[i]);
}

void
vmc_stripes_sum_all(struct vmc_stripes *stripes, uint64_t sums[VMC_COUNTERS])
{
	/* what one thread brought another may have taken away */
	sum_from_to(stripes, sums, VMC_COUNTERS, VMC_COUNT_GONE);
	sum_from_to(stripes, sums, VMC_COUNT_GONE, 0);
}

uint64_t
vmc_entries_came(const uint64_t sums[VMC_COUNTERS])
{
	uint64_t came = 0;

	for (unsigned mode = 0; mode < VMEMCACHE_MODES; mode++)
		came += sums[vmc_count_of_store(
				mode, VMEMCACHE_OUTCOME_INSERTED)] +
			sums[vmc_count_of_store(
				mode, VMEMCACHE_OUTCOME_REPLACED)];
	return came;
}

uint64_t
vmc_entries_went(const uint64_t sums[VMC_COUNTERS])
{
	uint64_t went = 0;

	for (unsigned i = 0; i < VMEMCACHE_REASONS; i++)
		went += sums[VMC_COUNT_REMOVALS + i];
	return went;
}

struct vmc_tally *
vmc_tally_make(struct vmc_stripe *s, uint32_t number)
{
	struct vmc_tallies *all = vmc_load_relaxed(&s->tallies);

	if (!all) {
		all = vmc_os_map_anonymous(pages(sizeof(*all)));
		if (!all)
			return NULL;
		vmc_store_release(&s->tallies, all);
	}
	if (!vmc_load_relaxed(&all->group[number / VMC_TALLIES])) {
		struct vmc_tally *group = vmc_os_map_anonymous(
			pages(VMC_TALLIES * sizeof(struct vmc_tally)));
		if (!group)
			return NULL;
		vmc_store_release(&all->group[number / VMC_TALLIES], group);
	}
	return vmc_tally_of(s, number);
}

static void
free_tallies(struct vmc_tallies *all)
{
	for (unsigned i = 0; all && i < VMC_TALLIES; i++) {
		struct vmc_tally *group = vmc_load_relaxed(&all->group[i]);
		if (group)
			vmc_os_unmap(group,
				pages(VMC_TALLIES * sizeof(struct vmc_tally)));
	}
	if (all)
		vmc_os_unmap(all, pages(sizeof(*all)));
}

void
vmc_stripes_delete(struct vmc_stripes *stripes, const struct vmc_memory *memory)
{
	struct vmc_stripe *s = vmc_stripe_older(stripes, NULL);

	while (s) {
		struct vmc_stripe *older = s->older;
		vmc_limbo_free(s->ripe, memory);
		vmc_limbo_flush(&s->limbo, memory);
		free_tallies(vmc_load_relaxed(&s->tallies));
		vmc_os_unmap(s, stripe_bytes());
		s = older;
	}
	for (unsigned k = 1; k < VMC_STRIPE_GROUPS; k++) {
		struct vmc_stripe *_Atomic *group =
			vmc_load_acquire(&stripes->group[k]);
		if (group)
			vmc_os_unmap((void *)group, group_bytes(k));
	}
	memset(stripes, 0, sizeof(*stripes));
}
