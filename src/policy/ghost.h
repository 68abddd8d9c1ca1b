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

/* kind: 0 or 1. */
void vmc_ghost_add(struct vmc_ghost *ghost, uint64_t hash, unsigned kind);
/* Its kind, and it is a ghost no more. -1: it was none. */
int vmc_ghost_take(struct vmc_ghost *ghost, uint64_t hash);

/* Of memory. */
static inline uint64_t
vmc_ghost_bytes(const struct vmc_ghost *ghost)
{
	return (uint64_t)ghost->buckets * ghost->slots * sizeof(*ghost->tags);
}

#endif
