/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * threads.h -- which thread has a heap in which kind
 */
#ifndef VMC_MEMKIND_THREADS_H
#define VMC_MEMKIND_THREADS_H

#include "magazines.h"

/* Create what threads need to come and go; once, before anything else. */
void vmc_heap_init_threads(void);

/*
 * The calling thread's own table in the place of the common one. False: there
 * is no memory for it, or the thread is about to end.
 */
bool vmc_heap_own_table(void);

/*
 * Under vmc_kinds_lock: the arena that the calling thread's heap has, or gets
 * if it is not there yet, or only lodges. to_free: no arena is made for it if
 * there is any. NULL: there is none.
 */
struct vmc_arena *vmc_heap_choose_arena(struct memkind *kind, bool to_free);

/*
 * Under vmc_kinds_lock: a heap in the thread's own table, if there is none yet,
 * or none in sight. Without memory, it stays the empty one.
 */
void vmc_heap_make(struct memkind *kind, struct vmc_arena *arena, bool lodges);

/*
 * Under vmc_kinds_lock: from now on the heap has this arena, for itself or as
 * one that lodges there.
 */
void vmc_heap_move_to(
	struct vmc_thread_heap *heap, struct vmc_arena *arena, bool lodges);

/* Under vmc_kinds_lock: forget every thread's cache of this kind. */
void vmc_heap_release(struct memkind *kind);

/*
 * Under vmc_kinds_lock, before a fork, of a kind that parent and child share:
 * the calling thread's caches are given back, and the next call of every
 * thread that has a heap is one that turns to vmc_heap_find().
 */
void vmc_heap_before_fork(struct memkind *kind);

/*
 * Under vmc_kinds_lock, in the child: only the calling thread still has a heap,
 * and none in a kind that is shared with the parent.
 */
void vmc_heap_after_fork(struct memkind *kind);

#endif
