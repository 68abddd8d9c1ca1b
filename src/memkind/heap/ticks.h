/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ticks.h -- what is free goes back when it is due
 */
#ifndef VMC_MEMKIND_TICKS_H
#define VMC_MEMKIND_TICKS_H

#include "magazines.h"

/*
 * Give back what is due, if nobody has looked for a while: then true. False for
 * the empty one.
 */
bool vmc_heap_tick(struct vmc_thread_heap *heap);

/* Under vmc_kinds_lock: what the depots hold; was there anything? */
bool vmc_heap_empty_depots(struct vmc_arena *const *arenas, unsigned count);

#endif
