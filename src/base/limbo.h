/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * limbo.h -- retired objects waiting for the readers that may hold them
 *
 * Owned by one thread at a time: no function here may run concurrently with
 * another one on the same limbo.
 *
 * Objects gather in an open chunk. A chunk that is full, or the objects of
 * which have VMC_LIMBO_BYTES or more, is sealed with an epoch stamp (epoch.h)
 * and is ripe once the stamp is safe. The fence that this takes is not asked
 * for before a second chunk is sealed: until then another thread's may do, so
 * the more threads retire, the fewer each has to ask for. Looking whether
 * readers have gone is cheap, and repeated now and then: a reader that is stuck
 * costs memory, hardly time.
 */
#ifndef VMC_BASE_LIMBO_H
#define VMC_BASE_LIMBO_H

#include "memory.h"

#include <stdbool.h>
#include <stdint.h>

struct vmc_limbo_chunk;

#define VMC_LIMBO_BYTES 65536u

/* All zero: empty. */
struct vmc_limbo {
	/* objects in a chunk at most; 0: as many as are worth a fence */
	unsigned most;
	unsigned room; /* for so many was the last one: they grow */
	struct vmc_limbo_chunk *open;
	struct vmc_limbo_chunk *oldest; /* sealed, in the order of stamps */
	struct vmc_limbo_chunk *newest;
	unsigned added; /* objects in all, wrapping around */
	unsigned look;  /* how many there are when to call ripe() next */
};

/* Has more than one chunk been sealed and not taken out? */
static inline bool
vmc_limbo_is_behind(const struct vmc_limbo *limbo)
{
	return limbo->oldest != limbo->newest;
}

/* Is vmc_limbo_ripe() worth a call? */
static inline bool
vmc_limbo_is_due(const struct vmc_limbo *limbo)
{
	return limbo->oldest && (int)(limbo->added - limbo->look) >= 0;
}

/*
 * Keep the object, which new readers cannot reach any more. False where there
 * is no memory to note it in: then every reader that may have held the object
 * has been waited for, and it is still the caller's to free. Not within an
 * epoch.
 */
bool vmc_limbo_add(struct vmc_limbo *limbo, const struct vmc_memory *memory,
	void *ptr, size_t size);

/*
 * Take out the chunks whose objects no reader holds any more; NULL: none, or
 * it is worth while to wait. Not within an epoch.
 */
struct vmc_limbo_chunk *vmc_limbo_ripe(struct vmc_limbo *limbo);

/* The same of all objects that were added, without waiting. Costs a fence. */
struct vmc_limbo_chunk *vmc_limbo_ripe_at_once(struct vmc_limbo *limbo);

/* Of a list of ripe chunks, not empty: no stamp in it is above this. */
uint64_t vmc_limbo_last_stamp(const struct vmc_limbo_chunk *chunks);

/* Append a list of ripe chunks to another; either may be empty. */
void vmc_limbo_join(
	struct vmc_limbo_chunk **to, struct vmc_limbo_chunk *chunks);

/* Take over all that another limbo keeps, which is empty after that. */
void vmc_limbo_adopt(struct vmc_limbo *limbo, struct vmc_limbo *from,
	const struct vmc_memory *memory);

/*
 * Free `count` objects of a list of chunks from vmc_limbo_ripe(), and chunks
 * that are empty then; what is left of the list.
 */
struct vmc_limbo_chunk *vmc_limbo_free_some(struct vmc_limbo_chunk *chunks,
	const struct vmc_memory *memory, unsigned count);

/* Free a list of chunks and all objects in them. NULL is an empty list. */
void vmc_limbo_free(
	struct vmc_limbo_chunk *chunks, const struct vmc_memory *memory);

/* Free everything at once: there are no readers left. */
void vmc_limbo_flush(struct vmc_limbo *limbo, const struct vmc_memory *memory);

#endif
