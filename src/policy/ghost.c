/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ghost.c -- ghosts: hashes of keys that were evicted recently
 *
 * The number of slots follows that of the entries, so ghosts take two bytes per
 * entry of the cache. A bucket has 16 to 31 slots, so the number is right to a
 * sixteenth, and a lookup reads one or two cache lines. When the number of
 * buckets doubles, both halves begin with a copy of all slots: half of these
 * belong to the other bucket, are never looked up, and leave in time.
 *
 * Rejected: one queue for all with an index into it, which takes three times
 * the memory to forget exactly the oldest. A time stamp with each tag: all
 * buckets fill equally fast, so the order within a bucket tells as much.
 */
#include "ghost.h"

#include <string.h>

#define SLOTS_MAX VMC_GHOST_SLOTS_MAX

void
vmc_ghost_init(struct vmc_ghost *ghost, const struct vmc_memory *memory)
{
	*ghost = (struct vmc_ghost){.memory = *memory};
}

/* As many as any bucket may have are looked at, of the last one as well. */
static size_t
allocated(const struct vmc_ghost *ghost)
{
	return vmc_ghost_bytes(ghost) + (SLOTS_MAX - 1) * sizeof(*ghost->tags);
}

void
vmc_ghost_fini(struct vmc_ghost *ghost)
{
	if (ghost->tags)
		vmc_free(&ghost->memory, ghost->tags, allocated(ghost));
	*ghost = (struct vmc_ghost){.memory = ghost->memory};
}

/* The newest of all buckets of `from` that make up that one, in turn. */
static void
fill(struct vmc_ghost *to, uint32_t bucket, const struct vmc_ghost *from)
{
	uint16_t *tags = &to->tags[bucket * (size_t)to->slots];
	uint32_t filled = 0;

	for (uint32_t i = 0; i < from->slots; i++)
		for (uint32_t b = bucket & (from->buckets - 1);
			b < from->buckets && filled < to->slots;
			b += to->buckets)
			tags[filled++] =
				from->tags[b * (size_t)from->slots + i];
}

void
vmc_ghost_fit(struct vmc_ghost *ghost, uint64_t count)
{
	struct vmc_ghost fit = {.memory = ghost->memory, .buckets = 1};

	if (vmc_ghost_fits(ghost, count))
		return;
	while (count / fit.buckets >= SLOTS_MAX)
		fit.buckets *= 2;
	fit.slots = (uint32_t)(count / fit.buckets);
	if (fit.slots > 0) {
		fit.tags = vmc_alloc(&fit.memory, allocated(&fit));
		if (!fit.tags)
			return;
		memset(fit.tags, 0, allocated(&fit));
		for (uint32_t b = 0; ghost->tags && b < fit.buckets; b++)
			fill(&fit, b, ghost);
	}
	vmc_ghost_fini(ghost);
	*ghost = fit;
}

int
vmc_ghost_take_found(struct vmc_ghost *ghost, uint16_t *tags, uint16_t tag)
{
	uint32_t at = 0;

	while (at < ghost->slots && (tags[at] & 0xfffe) != tag)
		at++;
	if (at >= ghost->slots)
		return -1;
	int kind = tags[at] ^ tag;
	memmove(tags + at, tags + at + 1,
		(ghost->slots - at - 1) * sizeof(*tags));
	tags[ghost->slots - 1] = 0;
	return kind;
}
