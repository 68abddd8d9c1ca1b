/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * wait.c -- a put that does not get its blocks as others have them in hand
 *
 * Blocks are in hand, and cannot be evicted, from when a put takes them until
 * its entry is LIVE, and from when a victim is claimed until what it had is
 * free. All that takes a bounded time, but for on_evict in it. So each thread
 * counts its `work` up when it begins, and when it ends or calls on_evict: odd
 * is a thread that will end by itself. A put that finds too little waits until
 * one of these counts changes, and tries again; while it waits it has nothing
 * in hand, its own count is even, and it holds no lock. So nobody waits for who
 * waits, and each wait ends.
 *
 * When to give up (ENOSPC). The put W looks at all counts, tries, and looks
 * again. If neither look finds an odd one, and the sum is the same, nobody had
 * anything in hand while W tried, but in callbacks. For let P have taken what W
 * missed: its count was odd before that. Before each look W puts a fence into
 * the program of every thread (base/epoch.h; where the system has none, P has
 * fenced after its count). If P's store comes before the fence of the first
 * look, that sees the odd count, or the one of P's end: then what P took was
 * free, or LIVE and in its ring, before W tried (release in work_ends(),
 * acquire here). If it comes after that fence, it comes before the second one,
 * as W has missed what P took after the store; so the second look sees a count
 * that is odd, or has changed.
 *
 * Who waits would starve where others put all the time: a value as large as the
 * pool fits only when no other put is under way. So a put lets those who wait
 * have theirs first (`waits` is odd), before it takes anything. They become
 * fewer and fewer then, and each gets its turn. A put within on_evict goes
 * ahead: its thread has victims in hand. Nobody is said to wait while it may
 * run a callback, so where on_evict is set others are not kept back, and a
 * large value may have to try often.
 *
 * Threads that are not there, as after a fork, are not waited for.
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
