/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * wait.c -- a put that waits for blocks which other puts and evictions hold
 *
 * Blocks are in use by a thread, and cannot be evicted, from when a put takes
 * them until its entry is LIVE, and from when a victim is claimed until its
 * blocks are free. All that takes a bounded time, except an on_evict callback
 * in it. So each thread increments its count `work` when it begins, and when it
 * ends or calls on_evict: odd means that the thread will end by itself. A put
 * that finds too few blocks waits until one of these counts changes, and tries
 * again; while it waits it holds no blocks and no lock, and its own count is
 * even. So no thread waits for a waiting thread, and each wait ends.
 *
 * When to give up (ENOSPC). The put W reads all counts, tries, and reads them
 * again. If neither read finds an odd count, and the sum is the same, no thread
 * held blocks while W tried, except in callbacks. Proof: let P have taken the
 * blocks that W lacked; its count was odd before that. Before each read W
 * issues a process-wide fence (base/epoch.h; if the system has none, P issues a
 * fence after its count). If P's store of the odd count comes before the first
 * fence, the first read sees it, or the count of P's end: then the blocks that
 * P took were free, or its entry LIVE and in its ring, before W tried (release
 * in work_ends(), acquire here). If it comes after the first fence, it comes
 * before the second one, as W lacked the blocks that P took after the store; so
 * the second read sees a count that is odd, or has changed.
 *
 * A waiting put would starve if others put all the time: a value as large as
 * the pool fits only when no other put is in progress. So before a put takes
 * any blocks, it lets the waiting ones go first (`waits` is odd). Their number
 * falls then, and each gets its turn. A put within on_evict goes ahead, since
 * its thread holds victims. A put is not marked as waiting while it may run a
 * callback: so if on_evict is set, others are not held up, and a large value
 * may have to try often.
 *
 * No put waits for threads that do not exist in a child of fork(2).
 */
#include "cache.h"

#include "base/cancel.h"

#include <errno.h>
#include <time.h>

enum { PATIENT_ROUNDS = 64, NAP_NS = 20000 };

static unsigned
count_of(struct vmc_stripe *s, bool waits)
{
	return vmc_load_acquire(waits ? &s->waits : &s->work);
}

/* The sum of a count of all others; is one of them odd? */
static unsigned
look(struct vmemcache *cache, const struct vmc_stripe *own, bool waits,
	bool *odd)
{
	unsigned sum = 0;

	*odd = false;
	for (struct vmc_stripe *s = NULL;
		(s = vmc_stripe_older(&cache->stripes, s)) != NULL;) {
		if (s == own)
			continue;
		unsigned n = count_of(s, waits);
		sum += n;
		if (n % 2 && vmc_thread_has(vmc_load_relaxed(&s->slot)))
			*odd = true;
	}
	return sum;
}

void
vmc_cache_pause(unsigned round)
{
	const struct timespec nap = {.tv_nsec = NAP_NS};
	int saved = errno;

	if (round < PATIENT_ROUNDS) {
		vmc_pause();
		return;
	}
	VMC_NO_CANCEL;
	nanosleep(&nap, NULL);
	errno = saved;
}

bool
vmc_cache_wait(struct vmemcache *cache, struct vmc_stripe *stripe,
	struct vmc_patience *patience)
{
	bool odd, give_up;

	vmc_cache_work_ends(stripe);
	if (!patience->waits) {
		patience->waits = true;
		vmc_owner_add(&stripe->waits, 1);
		vmc_store_release(&cache->waiting, true);
	}
	vmc_epoch_fence();
	unsigned sum = look(cache, stripe, false, &odd);
	give_up = !odd && patience->looked && sum == patience->sum;
	patience->looked = !odd;
	patience->sum = sum;
	for (unsigned round = 0; odd; round++) {
		vmc_cache_pause(round);
		if (look(cache, stripe, false, &odd) != sum)
			break;
	}
	vmc_cache_work_begins(stripe);
	return !give_up;
}

bool
vmc_cache_let_work_end(struct vmemcache *cache, struct vmc_stripe *own)
{
	if (!vmc_epoch_fence())
		return false;
	for (struct vmc_stripe *s = NULL;
		(s = vmc_stripe_older(&cache->stripes, s)) != NULL;) {
		unsigned n = count_of(s, false);
		if (s == own || n % 2 == 0)
			continue;
		for (unsigned round = 0; count_of(s, false) == n; round++) {
			if (!vmc_thread_has(vmc_load_relaxed(&s->slot)))
				break;
			vmc_cache_pause(round);
		}
	}
	return true;
}

/*
 * Nothing but fairness depends on this: who is overlooked tries once more. So
 * the flag may be cleared while somebody sets it.
 */
void
vmc_cache_let_others_first(struct vmemcache *cache, struct vmc_stripe *stripe)
{
	bool odd;

	for (unsigned round = 0; vmc_load_relaxed(&cache->waiting); round++) {
		look(cache, stripe, true, &odd);
		if (!odd)
			vmc_store_relaxed(&cache->waiting, false);
		else
			vmc_cache_pause(round);
	}
}
