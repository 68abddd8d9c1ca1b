/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * limbo.h -- retired objects waiting for the readers that may hold them
 *
 * Owned by one thread at a time: no function here may run concurrently with
 * another one on the same limbo.
 *
 * Objects gather in the open chunk. When it is full, or its objects have
 * VMC_LIMBO_BYTES or more, it is sealed with an epoch stamp (epoch.h). A sealed
 * chunk is ripe, that is, its objects can be freed, when no reader is in an
 * epoch up to its stamp.
 *
 * To find that out, a membarrier(2) issued after the stamp is needed. A thread
 * issues one only when two of its chunks are sealed; until then, one issued by
 * another thread may serve. So the more threads retire objects, the fewer each
 * has to issue. Looking whether readers have left is cheap, and is repeated: a
 * reader that is stopped costs memory, hardly time.
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
	unsigned room; /* objects that the last chunk was made for: they grow */
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
 * Retires the object, which must be unreachable for new readers. Returns false
 * if there is no memory for a chunk: it has then waited for every reader that
 * may have held the object, and the caller frees it. Not within an epoch.
 */
bool vmc_limbo_add(struct vmc_limbo *limbo, const struct vmc_memory *memory,
	void *ptr, size_t size);

/*
 * Takes out the chunks that are ripe. NULL: none is, or finding out is put off.
 * Not within an epoch.
 */
struct vmc_limbo_chunk *vmc_limbo_ripe(struct vmc_limbo *limbo);

/* The same, of the open chunk as well, and never put off: issues a
 * membarrier(2). */
struct vmc_limbo_chunk *vmc_limbo_ripe_at_once(struct vmc_limbo *limbo);

/* The highest stamp in a list of ripe chunks, which is not empty. */
uint64_t vmc_limbo_last_stamp(const struct vmc_limbo_chunk *chunks);

/* Append a list of ripe chunks to another; either may be empty. */
void vmc_limbo_join(
	struct vmc_limbo_chunk **to, struct vmc_limbo_chunk *chunks);

/* Moves all objects of the limbo from, which is empty after that, to limbo. */
void vmc_limbo_adopt(struct vmc_limbo *limbo, struct vmc_limbo *from,
	const struct vmc_memory *memory);

/*
 * Frees `count` objects of a list of ripe chunks, and the chunks that are empty
 * then. Returns what is left of the list.
 */
struct vmc_limbo_chunk *vmc_limbo_free_some(struct vmc_limbo_chunk *chunks,
	const struct vmc_memory *memory, unsigned count);

/* Free a list of chunks and all objects in them. NULL is an empty list. */
void vmc_limbo_free(
	struct vmc_limbo_chunk *chunks, const struct vmc_memory *memory);

/* Free everything at once: there are no readers left. */
void vmc_limbo_flush(struct vmc_limbo *limbo, const struct vmc_memory *memory);

#endif
