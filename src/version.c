/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * version.c -- from when on a cache keeps versions
 *
 * An entry takes eight bytes for its version. So values that are put before
 * anybody has asked for a version have none, and report VMC_VERSION_NONE; but
 * of one key no two values may ever be told to have the same. The first who
 * asks sets `versions_wanted`, and goes on only when every put that has found
 * it unset is over; then `versions_kept` says that this was done.
 *
 * Why nobody is told NONE of two values of a key. Call A the moment at which
 * versions_kept is set: whoever tells a version has seen it set (acquire, and
 * release here). All that is published in the index without a version is so
 * before A, as below, and that is seen by who tells (the acquire of `work`
 * here, or the chain of both). At A a key has one value at most in the index.
 * What it had before that has been taken out of the index before A, and who
 * looks the key up after A finds what is there during his look, or finds later
 * that what he found is DEAD. So of the values without a version only the one
 * that is there at A is ever told of, and what follows it has a version, drawn
 * once and above NONE.
 *
 * Why no put publishes without a version after A. A put P makes its `work` odd,
 * fences by vmc_epoch_order(), looks at versions_wanted after the last callback
 * that it may run, and publishes before `work` is even again, which it is
 * during callbacks and waits. Who asks sets versions_wanted, fences all threads
 * (vmc_epoch_fence()), and then looks at the `work` of each. If the order of
 * P comes after that fence, P sees the flag; if it comes before, the look sees
 * P's work odd, or what followed (wait.c says the same of its looks). An odd
 * one is waited for until it changes: then P is over, or at a callback after
 * which it looks again. A thread whose stripe the look does not see yet has
 * made it after the fence. Work that is odd ends by itself, so the wait does,
 * too; who asks has no work of its own in hand, so nobody waits for it.
 *
 * The callback on_remove is told versions, and cannot ask. It is set while no
 * other call is under way, and sets versions_wanted itself: that moment is A
 * for what it tells.
 *
 * Versions are drawn from the stripe's own, of which it takes 64 at a time from
 * the cache: no line that threads share is written by each store.
 */
#include "version.h"

static void
let_end(struct vmc_stripe *s)
{
	unsigned work = vmc_load_acquire(&s->work);

	for (unsigned round = 0;
		work % 2 && vmc_thread_has(vmc_load_relaxed(&s->slot)) &&
		vmc_load_acquire(&s->work) == work;
		round++)
		vmc_cache_pause(round);
}

void
vmc_versions_ask_first(struct vmemcache *cache, struct vmc_stripe *own)
{
	vmc_store_release(&cache->versions_wanted, true);
	vmc_epoch_fence();
	for (struct vmc_stripe *s = NULL;
		(s = vmc_stripe_older(&cache->stripes, s)) != NULL;)
		if (s != own)
			let_end(s);
	vmc_store_release(&cache->versions_kept, true);
}
