/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * recall.h -- what caches hold goes back
 */
#ifndef VMC_MEMKIND_RECALL_H
#define VMC_MEMKIND_RECALL_H

#include "magazines.h"

/* Give what the calling thread has cached back to the kinds. */
void vmc_heap_return_caches(void);

/* The same of one kind, and from there to the medium. */
void vmc_heap_give_back(const struct memkind *kind);

/*
 * Return what depots, the caller's heap, and the tcaches of all other threads
 * hold, and from there to the medium. heap: the caller's, or the empty one.
 * False: there was nothing that a second attempt at an allocation could have.
 */
bool vmc_heap_recall(struct memkind *kind, struct vmc_thread_heap *heap);

#endif
