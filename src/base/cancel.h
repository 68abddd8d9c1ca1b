/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cancel.h -- no call of ours is a cancellation point
 *
 * A thread that is cancelled (pthread_cancel) ends at the next call of the C
 * library that may block. If that were one of ours, it would end with a lock
 * held, or half of a change made. So what may block stands in a block that
 * begins with
 *
 *	VMC_NO_CANCEL;
 *
 * From there to the end of the block, by whichever way it is left, a request
 * waits for the next cancellation point of the program's own. It nests, does
 * not fail, leaves errno as it is, and costs some 5 ns: for ways that are slow
 * in any case.
 */
#ifndef VMC_BASE_CANCEL_H
#define VMC_BASE_CANCEL_H

#include <pthread.h>

static inline int
vmc_cancel_hold(void)
{
	int before;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
	return before;
}

static inline void
vmc_cancel_restore(const int *before)
{
	pthread_setcancelstate(*before, NULL);
}

#define VMC_NO_CANCEL                                                          \
	__attribute__((cleanup(vmc_cancel_restore), unused))                   \
	const int cancel_before = vmc_cancel_hold()

#endif
