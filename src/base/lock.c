/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lock.c -- waiting for locks and latches, and the rank check of debug builds
 *
 * Locks here are held for a fraction of a microsecond, latches for as long as
 * it takes to copy a value of up to 16 KiB, so a thread that finds one taken
 * tries again for a few microseconds before it sleeps: sleeping and being woken
 * costs more than that, and delays the thread that releases. Then it sleeps,
 * since the holder may have been preempted.
 *
 * Each thread keeps a bit per rank it holds. Acquiring a rank at or below one
 * already held is a programmer's error: two threads doing it in opposite orders
 * would deadlock. A failed try holds nothing, so the bit is set only after a
 * try has succeeded.
 */
#include "lock.h"

#include "cancel.h"

#include <assert.h>
#include <errno.h>
#include <time.h>

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

enum { ROUNDS = 100, PAUSES = 8, NAP_NS = 20000 };

static void
pause_shortly(void)
{
	for (unsigned i = 0; i < PAUSES; i++)
		vmc_pause();
}

void
vmc_lock_wait(struct vmc_lock *lock)
{
	for (unsigned round = 0; round < ROUNDS; round++) {
		pause_shortly();
		if (pthread_mutex_trylock(&lock->mutex) == 0)
			return;
	}
	pthread_mutex_lock(&lock->mutex);
}

void
vmc_latch_pause(unsigned round)
{
	const struct timespec nap = {.tv_nsec = NAP_NS};
	int saved = errno;

	VMC_NO_CANCEL; /* in its nap, it would leave its work half done */
	if (round < ROUNDS)
		pause_shortly();
	else
		nanosleep(&nap, NULL);
	errno = saved;
}

void
vmc_latch_wait(struct vmc_latch *latch)
{
	for (unsigned round = 0; vmc_load_relaxed(&latch->held) ||
				 vmc_exchange_acq_rel(&latch->held, true);
		round++)
		vmc_latch_pause(round);
}

#ifndef NDEBUG
static _Thread_local unsigned held_ranks;

void
vmc_lock_note_acquire(enum vmc_lock_rank rank)
{
	assert(held_ranks >> rank == 0);
	held_ranks |= 1u << rank;
}

void
vmc_lock_note_release(enum vmc_lock_rank rank)
{
	assert(held_ranks & 1u << rank);
	held_ranks &= ~(1u << rank);
}

void
vmc_lock_assert_none_held(void)
{
	assert(held_ranks == 0);
}
#endif
