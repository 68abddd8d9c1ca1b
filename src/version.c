/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * version.c -- when a cache begins to keep versions
 *
 * An entry takes eight bytes for its version. So values that are put before any
 * call has asked for a version have none, and VMC_VERSION_NONE is reported for
 * them; but no two values of one key may ever be reported with the same
 * version. The first call that asks sets `versions_wanted`, and goes on only
 * when every put that has found it unset has ended; then it sets
 * `versions_kept`.
 *
 * Why NONE is never reported for two values of a key. Let A be the moment at
 * which versions_kept is set: a call that reports a version has seen it set
 * (acquire, and release here). All values that are published in the index
 * without a version are published before A (see below), and the reporting call
 * sees them (the acquire of `work` here, or the chain of both). At A a key has
 * at most one value in the index. Earlier values were taken out of the index
 * before A, and a call that looks the key up after A finds a value that is
 * there during its lookup, or finds later that the one it found is DEAD. So of
 * the values without a version only the one that is there at A is ever
 * reported, and the following values have a version, drawn once and above NONE.
 *
 * Why no put publishes without a version after A. A put P makes its `work` odd,
 * calls vmc_epoch_order(), reads versions_wanted after the last callback that
 * it may run, and publishes before `work` is even again. (`work` is even during
 * callbacks and waits.) The asking thread Q sets versions_wanted, issues the
 * process-wide fence (vmc_epoch_fence()), and then reads the `work` of each
 * thread. If P's order comes after that fence, P sees the flag; if it comes
 * before, Q reads P's work as odd, or a later value (as in wait.c). Q waits
 * until an odd value changes: then P has ended, or is at a callback, after
 * which it reads the flag again. A thread whose stripe Q does not see yet has
 * made it after the fence. Odd work ends by itself, so the wait ends, too; Q
 * has no work in progress, so no thread waits for it.
 *
 * Versions are also passed to the callback on_remove, which cannot ask for
 * them. It is set while no other call is in progress, and setting it sets
 * versions_wanted: that moment is A for the versions it gets.
 *
 * A thread takes 64 versions at a time from the cache: so not every store
 * writes to a cache line that threads share.
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
