/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ghost.h -- what was evicted lately: 15 bits of the hash of each, and one that
 * tells where from
 *
 *   buckets   a power of two; the low bits of the hash tell which
 *   slots     of each bucket, the newest first: the high 15 bits of the hash,
 *             and its kind; or 0 where there is nothing
 *
 * A bucket forgets its oldest when another one comes: so all that was added is
 * remembered for about as many additions as there are slots in all. What was
 * never added is taken for a ghost once in 32768 / slots times.
 */
#ifndef VMC_GHOST_H
#define VMC_GHOST_H

#include "base/memory.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct vmc_ghost {
	struct vmc_memory memory;
	uint16_t *tags; /* NULL: there are no slots */
	uint32_t buckets;
	uint32_t slots;
};

void vmc_ghost_init(struct vmc_ghost *ghost, const struct vmc_memory *memory);
void vmc_ghost_fini(struct vmc_ghost *ghost);

/* Part of the slots that may be too many, or too few. */
#define VMC_GHOST_SLACK 8

static inline bool
vmc_ghost_fits(const struct vmc_ghost *ghost, uint64_t count)
{
	uint64_t have = (uint64_t)ghost->buckets * ghost->slots;

	return count <= have + have / VMC_GHOST_SLACK &&
	       count >= have - have / VMC_GHOST_SLACK;
}

/*
 * Have about so many slots, an eighth more or less; without memory it stays as
 * it is. Some of the ghosts are forgotten where the number changes.
 */
void vmc_ghost_fit(struct vmc_ghost *ghost, uint64_t count);

/* In each of several buckets; as many are looked at. */
#define VMC_GHOST_SLOTS_MAX 32u

/* Slots that are looked at, or moved, together. */
#define VMC_GHOST_LANES 8u
typedef uint16_t vmc_ghost_lanes
	__attribute__((vector_size(VMC_GHOST_LANES * sizeof(uint16_t))));

static inline uint16_t *
vmc_ghost_bucket(const struct vmc_ghost *ghost, uint64_t hash)
{
	return &ghost->tags[(hash & (ghost->buckets - 1)) * ghost->slots];
}

/* Of kind 0. */
static inline uint16_t
vmc_ghost_tag(uint64_t hash)
{
	uint16_t tag = hash >> 48 & 0xfffe;

	return tag ? tag : 2;
}

/* It will be added or taken: the bucket, which may be in two lines. */
static inline __attribute__((always_inline)) void
vmc_ghost_prefetch(const struct vmc_ghost *ghost, uint64_t hash)
{
	if (!ghost->tags)
		return;
	const uint16_t *tags = vmc_ghost_bucket(ghost, hash);
	__builtin_prefetch(tags, 1);
	__builtin_prefetch(tags + ghost->slots - 1, 1);
}

/*
 * All but the last go one further. Slots are loaded before any is written: a
 * bucket that is one of several has room for four vectors, which overlap.
 */
static inline void
vmc_ghost_make_first_free(uint16_t *tags, uint32_t slots)
{
	enum { LANES = VMC_GHOST_LANES };
	uint32_t n = slots - 1;
	vmc_ghost_lanes a, b, c, d;

	if (__builtin_expect(n < 2 * LANES, 0)) {
		memmove(tags + 1, tags, n * sizeof(*tags));
		return;
	}
	uint16_t *last = tags + n - LANES;
	memcpy(&a, tags, sizeof(a));
	memcpy(&b, tags + LANES, sizeof(b));
	memcpy(&c, last - LANES, sizeof(c));
	memcpy(&d, last, sizeof(d));
	memcpy(tags + 1, &a, sizeof(a));
	memcpy(tags + LANES + 1, &b, sizeof(b));
	memcpy(last - LANES + 1, &c, sizeof(c));
	memcpy(last + 1, &d, sizeof(d));
}

/* kind: 0 or 1. */
static inline void
vmc_ghost_add(struct vmc_ghost *ghost, uint64_t hash, unsigned kind)
{
	if (__builtin_expect(!ghost->tags, 0))
		return;
	uint16_t *tags = vmc_ghost_bucket(ghost, hash);
	vmc_ghost_make_first_free(tags, ghost->slots);
	tags[0] = (uint16_t)(vmc_ghost_tag(hash) | kind);
}

/* Has one of SLOTS_MAX slots, some past the last one, that tag of any kind? */
static inline bool
vmc_ghost_match(const uint16_t *tags, uint16_t tag)
{
	vmc_ghost_lanes x, any = {0};
	uint64_t same[sizeof(x) / sizeof(uint64_t)];

	for (unsigned i = 0; i < VMC_GHOST_SLOTS_MAX; i += VMC_GHOST_LANES) {
		memcpy(&x, tags + i, sizeof(x));
		any |= (vmc_ghost_lanes)((x & 0xfffe) == tag);
	}
	memcpy(same, &any, sizeof(same));
	return (same[0] | same[1]) != 0;
}

/* Of such a bucket: as below. */
int vmc_ghost_take_found(struct vmc_ghost *ghost, uint16_t *tags, uint16_t tag);

/* Its kind, and it is a ghost no more. -1: it was none. */
static inline int
vmc_ghost_take(struct vmc_ghost *ghost, uint64_t hash)
{
	uint16_t tag = vmc_ghost_tag(hash);

	if (__builtin_expect(!ghost->tags, 0))
		return -1;
	uint16_t *tags = vmc_ghost_bucket(ghost, hash);
	return __builtin_expect(!vmc_ghost_match(tags, tag), 1)
		       ? -1
		       : vmc_ghost_take_found(ghost, tags, tag);
}

/* Of memory. */
static inline uint64_t
vmc_ghost_bytes(const struct vmc_ghost *ghost)
{
	return (uint64_t)ghost->buckets * ghost->slots * sizeof(*ghost->tags);
}

#endif
