/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lock.h -- mutexes and latches, with a rank
 *
 * A thread takes them in rising rank only, so no cycle can form. Builds
 * without NDEBUG check this at every acquire. No lock is ever held while a
 * user's callback runs; vmc_lock_assert_none_held() states it there.
 *
 * The ranks, in the order in which a thread may take the locks: with one of
 * them held it may take only locks further down this list.
 *
 *   PUBLICATIONS  which caches are published
 *   POLICY   the replacement policy of one cache
 *   STRIPES  which stripes of a cache are in use
 *   INDEX    one stripe of an index
 *   MOVED    the same of an index that leaves are moved to
 *   ORDER    nodes of the trie over the bytes of keys
 *   EXPIRY   one wheel of timers of a cache
 *   PINS     the pins of a cache that entries have no room for
 *   FLIGHTS  keys of which one thread is making the value
 *   EXTENT   the block allocator
 *   KIND     memkind's own locks
 *   THREADS  the registry of threads
 *   HEAP     what a thread has of a kind behind its magazines
 *   SPACE    the addresses of one kind; called from within jemalloc
 */
#ifndef VMC_BASE_LOCK_H
#define VMC_BASE_LOCK_H

#include "atomic.h"

#include <pthread.h>

enum vmc_lock_rank {
	VMC_RANK_PUBLICATIONS = 1,
	VMC_RANK_CACHES,
	VMC_RANK_POLICY,
	VMC_RANK_STRIPES,
	VMC_RANK_INDEX,
	VMC_RANK_MOVED,
	VMC_RANK_ORDER,
	VMC_RANK_EXPIRY,
	VMC_RANK_PINS,
	VMC_RANK_FLIGHTS,
	VMC_RANK_EXTENT,
	VMC_RANK_KIND,
	VMC_RANK_THREADS,
	VMC_RANK_HEAP,
	VMC_RANK_SPACE,
};

struct vmc_lock {
	pthread_mutex_t mutex;
	enum vmc_lock_rank rank;
};

/* Of a lock that may be needed before any constructor has run. */
#define VMC_LOCK_INITIALIZER(rank)                                             \
	{                                                                      \
		PTHREAD_MUTEX_INITIALIZER, (rank)                              \
	}

/* Cannot fail: a default mutex needs no resources on Linux. */
void vmc_lock_init(struct vmc_lock *lock, enum vmc_lock_rank rank);
void vmc_lock_destroy(struct vmc_lock *lock);

#ifdef NDEBUG
#define vmc_lock_note_acquire(rank) ((void)(rank))
#define vmc_lock_note_release(rank) ((void)(rank))
#define vmc_lock_assert_none_held() ((void)0)
#else
void vmc_lock_note_acquire(enum vmc_lock_rank rank);
void vmc_lock_note_release(enum vmc_lock_rank rank);
void vmc_lock_assert_none_held(void);
#endif

/* The lock is held: try for a few microseconds, then sleep. */
void vmc_lock_wait(struct vmc_lock *lock);

static inline void
vmc_lock_acquire(struct vmc_lock *lock)
{
	vmc_lock_note_acquire(lock->rank);
	if (pthread_mutex_trylock(&lock->mutex) != 0)
		vmc_lock_wait(lock);
}

/* True if the lock was free and is now held. Never waits. */
static inline bool
vmc_lock_try(struct vmc_lock *lock)
{
	if (pthread_mutex_trylock(&lock->mutex) != 0)
		return false;
	vmc_lock_note_acquire(lock->rank);
	return true;
}

static inline void
vmc_lock_release(struct vmc_lock *lock)
{
	vmc_lock_note_release(lock->rank);
	pthread_mutex_unlock(&lock->mutex);
}

/*
 * A latch is a spin lock that a plain store releases. A thread that has written
 * much while it held the latch goes on while its stores are still outstanding.
 * Unlocking a mutex, or locking one after writing, would wait for all of them:
 * with value bytes copied under the latch a put of 1 KiB takes 355 ns, not 390,
 * and one of 4 KiB 390, not 510 (doc/LABORATORY.md). Two consequences: the
 * release is no full fence, and nobody is woken. A thread that waits long,
 * because the holder was preempted, sleeps for some microseconds and looks
 * again. All zero: not held.
 */
struct vmc_latch {
	_Atomic bool held;
};

/* Takes the latch, which another thread holds, when that releases it. */
void vmc_latch_wait(struct vmc_latch *latch);

/*
 * Who has not got it waits like that before it tries again: for a moment, in
 * later rounds for longer.
 */
void vmc_latch_pause(unsigned round);

static inline void
vmc_latch_acquire(struct vmc_latch *latch, enum vmc_lock_rank rank)
{
	vmc_lock_note_acquire(rank);
	/* acquire: pairs with the store in release */
	if (vmc_exchange_acq_rel(&latch->held, true))
		vmc_latch_wait(latch);
}

/* True if the latch was free and is now held. Never waits. */
static inline bool
vmc_latch_try(struct vmc_latch *latch, enum vmc_lock_rank rank)
{
	if (vmc_exchange_acq_rel(&latch->held, true))
		return false;
	vmc_lock_note_acquire(rank);
	return true;
}

static inline void
vmc_latch_release(struct vmc_latch *latch, enum vmc_lock_rank rank)
{
	vmc_lock_note_release(rank);
	vmc_store_release(&latch->held, false);
}

/*
 * For who knows that nobody is there to take or release it, whatever the caller
 * holds.
 */
static inline bool
vmc_lock_is_held(struct vmc_lock *lock)
{
	if (pthread_mutex_trylock(&lock->mutex) != 0)
		return true;
	pthread_mutex_unlock(&lock->mutex);
	return false;
}

static inline void
vmc_latch_renew(struct vmc_latch *latch)
{
	vmc_store_relaxed(&latch->held, false);
}

static inline bool
vmc_latch_is_held(const struct vmc_latch *latch)
{
	return vmc_load_acquire(&latch->held);
}

#endif
