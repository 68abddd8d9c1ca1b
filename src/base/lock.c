/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lock.c -- the rank check of debug builds
 *
 * Each thread keeps a bit per rank it holds. Acquiring a rank at or below one
 * already held is a programmer's error: two threads doing it in opposite
 * orders would deadlock. A try that failed holds nothing, so it is noted only
 * after it succeeded.
 */
#include "lock.h"

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
