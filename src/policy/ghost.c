/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ghost.c -- what was evicted lately
 *
 * The number of slots follows that of the entries, so a ghost costs an entry of
 * the cache two bytes. A bucket has 16 to 31 slots, so any number is met to a
 * sixteenth, and a look reads one line or two of memory. Where the number of
 * buckets doubles, both halves begin with all that the whole had: half of that
 * is not theirs, is never asked for, and leaves in time.
 *
 * Rejected: one queue for all with an index into it, which takes three times
 * the memory to forget exactly the oldest. A time with each tag: where all
 * buckets get the same, their order tells as much.
 */
#include "ghost.h"

#include <string.h>

enum {
	SLOTS_MAX = 32, /* less than that in each of several buckets */
	SLACK = 8,      /* part of the slots that may be too many, or too few */
	LANES = 4       /* slots that are looked at together */
};

void
vmc_ghost_init(struct vmc_ghost *ghost, const struct vmc_memory *memory)
{
	*ghost = (struct vmc_ghost){.memory = *memory};
}

/* The last lanes may be past the last slot. */
static size_t
allocated(const struct vmc_ghost *ghost)
{
	return vmc_ghost_bytes(ghost) + (LANES - 1) * sizeof(*ghost->tags);
}

void
vmc_ghost_fini(struct vmc_ghost *ghost)
{
	if (ghost->tags)
		vmc_free(&ghost->memory, ghost->tags, allocated(ghost));
	*ghost = (struct vmc_ghost){.memory = ghost->memory};
}

static uint16_t *
bucket_of(const struct vmc_ghost *ghost, uint64_t hash)
{
	return &ghost->tags[(hash & (ghost->buckets - 1)) * ghost->slots];
}

/* Of kind 0. */
static uint16_t
tag_of(uint64_t hash)
{
	uint16_t tag = hash >> 48 & 0xfffe;

	return tag ? tag : 2;
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
	uint64_t have = (uint64_t)ghost->buckets * ghost->slots;
	struct vmc_ghost fit = {.memory = ghost->memory, .buckets = 1};

	if (count <= have + have / SLACK && count >= have - have / SLACK)
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

void
vmc_ghost_add(struct vmc_ghost *ghost, uint64_t hash, unsigned kind)
{
	if (!ghost->tags)
		return;
	uint16_t *tags = bucket_of(ghost, hash);
	memmove(tags + 1, tags, (ghost->slots - 1) * sizeof(*tags));
	tags[0] = (uint16_t)(tag_of(hash) | kind);
}

/*
 * The first slot from i on of the four there that has that tag, of either kind,
 * and may be at its end; LANES: none. A lane of x is 0 where it has, and of the
 * lowest of these the carries tell for sure.
 */
static inline unsigned
match(const uint16_t *tags, uint64_t tag)
{
	const uint64_t ones = UINT64_C(0x0001000100010001);
	uint64_t x;

	memcpy(&x, tags, sizeof(x));
	x = (x ^ tag * ones) & ~ones;
	x = (x - ones) & ~x & ones << 15;
	return x ? (unsigned)__builtin_ctzll(x) / 16 : LANES;
}

int
vmc_ghost_take(struct vmc_ghost *ghost, uint64_t hash)
{
	uint16_t tag = tag_of(hash);

	if (!ghost->tags)
		return -1;
	uint16_t *tags = bucket_of(ghost, hash);
	for (uint32_t i = 0; i < ghost->slots; i += LANES) {
		unsigned lane = match(tags + i, tag);
		uint32_t at = i + lane;
		if (lane == LANES)
			continue;
		if (at >= ghost->slots)
			break;
		int kind = tags[at] ^ tag;
		memmove(tags + at, tags + at + 1,
			(ghost->slots - at - 1) * sizeof(*tags));
		tags[ghost->slots - 1] = 0;
		return kind;
	}
	return -1;
}
