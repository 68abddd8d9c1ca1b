/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lock.h -- mutexes with a rank
 *
 * A thread takes locks in rising rank only, so no cycle can form. Builds
 * without NDEBUG check this at every acquire. No lock is ever held while a
 * user's callback runs; vmc_lock_assert_none_held() states it there.
 *
 * The ranks, lowest first (a thread holding one may take those below it in
 * this list):
 *
 *   POLICY   the replacement policy of one cache
 *   INDEX    one stripe of the critnib root
 *   EXTENT   the block allocator
 *   KIND     memkind's own locks
 *   THREADS  the registry of threads
 */
#ifndef VMC_BASE_LOCK_H
#define VMC_BASE_LOCK_H

#include <pthread.h>
#include <stdbool.h>

enum vmc_lock_rank {
	VMC_RANK_POLICY = 1,
	VMC_RANK_INDEX,
	VMC_RANK_EXTENT,
	VMC_RANK_KIND,
	VMC_RANK_THREADS,
};

struct vmc_lock {
	pthread_mutex_t mutex;
	enum vmc_lock_rank rank;
};

/* Cannot fail: a default mutex needs no resources on Linux. */
void vmc_lock_init(struct vmc_lock *lock, enum vmc_lock_rank rank);
void vmc_lock_destroy(struct vmc_lock *lock);

#ifdef NDEBUG
#define vmc_lock_note_acquire(lock) ((void)(lock))
#define vmc_lock_note_release(lock) ((void)(lock))
#define vmc_lock_assert_none_held() ((void)0)
#else
void vmc_lock_note_acquire(const struct vmc_lock *lock);
void vmc_lock_note_release(const struct vmc_lock *lock);
void vmc_lock_assert_none_held(void);
#endif

/* The lock is held by somebody: try for a little while, then sleep. */
void vmc_lock_wait(struct vmc_lock *lock);

static inline void
vmc_lock_acquire(struct vmc_lock *lock)
{
	vmc_lock_note_acquire(lock);
	if (pthread_mutex_trylock(&lock->mutex) != 0)
		vmc_lock_wait(lock);
}

/* True if the lock was free and is now held. Never waits. */
static inline bool
vmc_lock_try(struct vmc_lock *lock)
{
	if (pthread_mutex_trylock(&lock->mutex) != 0)
		return false;
	vmc_lock_note_acquire(lock);
	return true;
}

static inline void
vmc_lock_release(struct vmc_lock *lock)
{
	vmc_lock_note_release(lock);
	pthread_mutex_unlock(&lock->mutex);
}

#endif
