/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * epoch.h -- threads, and when metadata that readers may hold can be freed
 *
 * A reader brackets its lock-free walk with enter and exit, each one plain
 * store to the thread's own cache line. A writer that has unlinked objects
 * takes a stamp; once vmc_epoch_safe() has passed the stamp, no reader can
 * still hold them. The cache keeps the objects until then (stripe.h): this
 * module knows nothing of what is freed.
 *
 * Threads register themselves at first use and leave at their exit; each has
 * a small slot number that no other living thread has, which the cache uses
 * for its per-thread stripes.
 */
#ifndef VMC_BASE_EPOCH_H
#define VMC_BASE_EPOCH_H

#include "atomic.h"

#include <stdalign.h>
#include <stddef.h>

struct vmc_thread {
	/*
	 * 0 outside, else the epoch at enter. Written by the owner only; read
	 * by vmc_epoch_safe().
	 */
	alignas(64) _Atomic uint64_t active;
	/* immutable while the owner lives */
	unsigned slot;
	unsigned uses; /* how many threads have had it, with the owner */
	/* written under the registry lock */
	_Atomic bool taken;
	/* under it */
	bool late;  /* taken in one of the last steps of a thread's end */
	int thread; /* of the system, if so */
};

/* The current epoch, starts at 1; grows by one per stamp. */
extern VMC_HIDDEN _Atomic uint64_t vmc_epoch_now;
/*
 * True where readers must fence for themselves: no membarrier, from the start
 * or from when it was refused.
 */
extern VMC_HIDDEN _Atomic bool vmc_epoch_readers_fence;

/* What vmc_thread_self() returns if the thread is known, else NULL. */
extern VMC_HIDDEN _Thread_local struct vmc_thread *vmc_thread_cached;

/* Register the calling thread; NULL if there is no memory for it. */
struct vmc_thread *vmc_thread_register(void);

/* The calling thread's record, registering it if needed; NULL: no memory. */
static inline struct vmc_thread *
vmc_thread_self(void)
{
	struct vmc_thread *t = vmc_thread_cached;

	return t ? t : vmc_thread_register();
}

/* One more than the highest slot ever in use. */
unsigned vmc_thread_slots(void);

/* Has a thread that slot now? */
bool vmc_thread_has(unsigned slot);

/*
 * Call then(arg), unless a thread has that slot; none gets it meanwhile, and
 * who gets it later sees what was done. Did it?
 */
bool vmc_thread_if_gone(unsigned slot, void (*then)(void *arg), void *arg);

/*
 * Called in a thread that has left its slot, which another one may have by now,
 * without a lock; set before the first thread registers. NULL: nothing.
 */
extern void (*_Atomic vmc_thread_has_left)(unsigned slot);

/* How many threads are registered: a thread has left when it can be joined. */
extern VMC_HIDDEN _Atomic unsigned vmc_threads_alive;

/*
 * In a child, before it uses anything (process.c): only the thread that forked
 * lives on. If that is not known to be the caller, all slots stay taken.
 */
void vmc_epoch_after_fork(bool by_survivor);

/*
 * What the thread has stored comes before what it loads from here on, as seen
 * by who has called vmc_epoch_fence() in between (epoch.c, or a handler before
 * a fork).
 */
static inline void
vmc_epoch_order(void)
{
	/* in this order: see epoch.c on how readers come to fence */
	vmc_fence_compiler();
	if (__builtin_expect(vmc_load_relaxed(&vmc_epoch_readers_fence), 0))
		vmc_fence_seq_cst();
	else
		vmc_fence_compiler();
}

/*
 * From here to exit the thread may follow pointers to retired objects. Not
 * nested, and never held while a callback runs.
 *
 * Why a stale vmc_epoch_now does no harm, and what orders the store below
 * before the reads that follow: epoch.c.
 */
static inline void
vmc_epoch_enter(struct vmc_thread *t)
{
	/* release only so that a later load of it still pairs with our exit */
	vmc_store_release(&t->active, vmc_load_acquire(&vmc_epoch_now));
	vmc_epoch_order();
}

static inline void
vmc_epoch_exit(struct vmc_thread *t)
{
	/* pairs with the acquire in vmc_epoch_safe(): our reads come first */
	vmc_store_release(&t->active, 0);
}

/* A stamp for objects that are already unreachable for new readers. */
uint64_t vmc_epoch_stamp(void);

/*
 * Issues a membarrier(2): every running thread of the process executes a full
 * memory fence. It covers all stamps taken before the call, of any thread
 * (vmc_epoch_is_fenced). Returns false if the kernel refuses. It interrupts
 * each processor that runs a thread of the process, for 8 to 13 us at times, so
 * call it once for many objects.
 */
bool vmc_epoch_fence(void);

/* One more than the highest stamp that a membarrier(2) has covered. Only grows.
 */
extern VMC_HIDDEN _Atomic uint64_t vmc_epoch_fenced;

/* Has any thread issued a membarrier(2) since the stamp was taken? */
static inline bool
vmc_epoch_is_fenced(uint64_t stamp)
{
	return stamp < vmc_load_relaxed(&vmc_epoch_fenced);
}

/*
 * Objects with a stamp below the result are held by no reader; it is never
 * above the highest that is fenced. Looks at a line of every thread, and never
 * waits for a reader. The caller must not be inside an epoch of its own for its
 * own objects to be found safe.
 */
uint64_t vmc_epoch_safe(void);

#endif
