/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * start.h -- the first call of a process, and of a thread in a kind
 */
#ifndef VMC_MEMKIND_START_H
#define VMC_MEMKIND_START_H

#include "magazines.h"

/*
 * Make the table and everything else ready for use. May be called often; by
 * every call that may be the first one of the process, before constructors.
 */
void vmc_kinds_init(void);

/*
 * The calling thread's heap, which has an arena of its own, and that arena.
 * Without memory for a heap, and in a thread that is about to end, it is the
 * empty one, and the arena all there is. -ENOMEM: not even that.
 */
int vmc_heap_find(struct memkind *kind, struct vmc_thread_heap **heap,
	struct vmc_arena **arena);

/* For who frees: no arena is made for it. Maybe the empty one. */
struct vmc_thread_heap *vmc_heap_lodge(struct memkind *kind);

/* jemalloc's number of the arena that the calling thread has there. */
int vmc_heap_arena(struct memkind *kind, unsigned *index);

#endif
