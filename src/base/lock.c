/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lock.c -- waiting for a lock, and the rank check of debug builds
 *
 * Locks here are held for a fraction of a microsecond, so a thread that finds
 * one taken tries again for a few microseconds before it sleeps: falling
 * asleep and being woken costs more than that, and delays whoever releases.
 * It does go to sleep then, since the holder may have been preempted.
 *
 * Each thread keeps a bit per rank it holds. Acquiring a rank at or below one
 * already held is a programmer's error: two threads doing it in opposite
 * orders would deadlock. A try that failed holds nothing, so it is noted only
 * after it succeeded.
 */
#include "lock.h"

#include "atomic.h"

#include <assert.h>

void
vmc_lock_init(struct vmc_lock *lock, enum vmc_lock_rank rank)
{
	pthread_mutex_init(&lock->mutex, NULL);
	lock->rank = rank;
}

void
vmc_lock_destroy(struct vmc_lock *lock)
{
	pthread_mutex_destroy(&lock->mutex);
}

void
vmc_lock_wait(struct vmc_lock *lock)
{
	for (unsigned round = 0; round < 100; round++) {
		for (unsigned i = 0; i < 8; i++)
			vmc_pause();
		if (pthread_mutex_trylock(&lock->mutex) == 0)
			return;
	}
	pthread_mutex_lock(&lock->mutex);
}

#ifndef NDEBUG
static _Thread_local unsigned held_ranks;

void
vmc_lock_note_acquire(const struct vmc_lock *lock)
{
	assert(held_ranks >> lock->rank == 0);
	held_ranks |= 1u << lock->rank;
}

void
vmc_lock_note_release(const struct vmc_lock *lock)
{
	assert(held_ranks & 1u << lock->rank);
	held_ranks &= ~(1u << lock->rank);
}

void
vmc_lock_assert_none_held(void)
{
	assert(held_ranks == 0);
}
#endif
