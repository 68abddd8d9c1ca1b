/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * inherit.c -- caches over forks: whose is the pool?
 *
 * A child shares the pool with its parent, and has a copy of the parent's
 * metadata. Once the parent has ended, that copy may be valid: if no process
 * has changed the pool since the fork (base/heritage.h), and if the copy is
 * whole. So daemon(3) may follow vmemcache_add().
 *
 * Whole means that no other thread of the parent was changing the cache when it
 * forked, as the child does not have that thread to finish the change. A copy
 * of the memory holds what each thread had written up to some point of its
 * execution. So a thread sets busy in its stripe before it changes anything,
 * and clears it after the last write:
 *
 *	put or evict T                       fork, by another thread
 *	T1  busy = busy + 1                  F1  count the fork
 *	T2  (order, see below)               F2  a fence in the program of T
 *	T3  has a fork been counted?         F3  the child gets its copy
 *	    then the word in the shared
 *	    page is changed
 *	T4  changes
 *	T5  busy = busy - 1 (release)
 *
 * - T's busy is 1 in the copy: the child never uses the cache.
 * - busy is 0 since T5 was done: all of T4 is in the copy, and in the pool.
 * - busy is 0 since T1 was not done: T1 comes after F3, so T3 after F1. T
 *   changes the word before it changes anything else, and the child fails to
 *   become the owner, however late it asks. T1 cannot be late only for the eyes
 *   of F: T2 and F2 are the two sides of the fence of epochs
 *   (vmc_epoch_order(), vmc_epoch_fence()). T3 before F2 in T's program means
 *   T1 before F2, so it is in the copy; T3 after F2 finds F1. If the system
 *   refuses that fence, the child inherits nothing; nor does it if another
 *   thread began to fork between F1 and F3, which T might count without that
 *   fence.
 *
 * Callbacks run while busy is above 0, so nothing can be inherited after a fork
 * within on_evict, nor after one while a put waits for others (wait.c). A
 * thread's own data (its limbo, its reserve, work and waits) also changes only
 * while busy is above 0. Exceptions are its ring and its counters, each change
 * of which is a single store. Gets change the policy, under its lock, and the
 * lists of stripes and of pins, under their latches: if the copy of one is
 *held, the cache is not whole. Walks and statistics change nothing, but hold
 *latches of indexes and of the block allocator, which the new owner may take
 *for free. (The sole user of a cache writes stamps and the clock without the
 * lock; touch.c accepts any values.) Other threads change a thread's limbo and
 * reserve, or take its stripe over, only under the policy's lock. So the new
 * owner may take over the stripes of threads that do not exist in it: they are
 * whole, as if these threads had ended. A stripe that was in the list, but not
 * yet in its place in the table, is taken over as well, since its slot has no
 * owner or will have none.
 *
 * The list of caches below is whole at any time. The heap of the metadata has
 * fork handlers of its own. Metadata in a file is also shared, and has its own
 * owner: the child does not inherit such a cache.
 *
 * For threads that the child does not have, touches in rings are drained,
 * reserves recalled and limbos freed, as if these threads had ended.
 */
#include "space.h"
#include "visit.h"

#include "base/cancel.h"
#include "base/error.h"

#include <pthread.h>

/*
 * The list is changed under both locks, and a cache inherited under the second.
 * Who only follows the list holds the first where it takes other locks
 * meanwhile; fork handlers, which run with the heap's locks held, the second.
 */
static struct vmc_lock caches = VMC_LOCK_INITIALIZER(VMC_RANK_CACHES);
static struct vmc_lock lock = VMC_LOCK_INITIALIZER(VMC_RANK_THREADS);
static struct vmemcache *_Atomic first;
static unsigned forks; /* that have begun, under the lock */
/* of the fork that this thread is in */
static _Thread_local unsigned this_fork;
static _Thread_local bool fenced;

void
vmc_cache_enroll(struct vmemcache *cache)
{
	vmc_heritage_create(&cache->heritage);
	vmc_lock_acquire(&caches);
	vmc_lock_acquire(&lock);
	vmc_store_relaxed(&cache->next, vmc_load_relaxed(&first));
	vmc_store_release(&first, cache);
	vmc_lock_release(&lock);
	vmc_lock_release(&caches);
	cache->enrolled = true;
}

void
vmc_cache_strike_off(struct vmemcache *cache)
{
	struct vmemcache *_Atomic *at = &first;

	if (!cache->enrolled)
		return;
	vmc_process_notice();
	cache->enrolled = false;
	vmc_lock_acquire(&caches);
	vmc_lock_acquire(&lock);
	while (vmc_load_relaxed(at) != cache)
		at = &vmc_load_relaxed(at)->next;
	vmc_store_release(at, vmc_load_relaxed(&cache->next));
	vmc_lock_release(&lock);
	vmc_lock_release(&caches);
	vmc_heritage_destroy(&cache->heritage);
}

/* vmc_thread_has_left: no cache of the list goes meanwhile. */
static void
leave_caches(unsigned slot)
{
	if (!vmc_load_acquire(&first))
		return;
	vmc_lock_acquire(&caches);
	for (struct vmemcache *c = vmc_load_acquire(&first); c;
		c = vmc_load_acquire(&c->next))
		if (!vmc_cache_is_foreign(c))
			vmc_visit_leave(c, slot);
	vmc_lock_release(&caches);
}

static void
before_fork(void)
{
	if (!vmc_load_acquire(&first))
		return;
	vmc_lock_acquire(&lock);
	this_fork = ++forks;
	for (struct vmemcache *c = vmc_load_acquire(&first); c;
		c = vmc_load_acquire(&c->next))
		vmc_heritage_before_fork(&c->heritage);
	vmc_lock_release(&lock);
	fenced = vmc_epoch_fence();
}

/* vmc_process_is_another: nobody holds what other threads held. */
static void
renew_locks(void)
{
	vmc_lock_init(&lock, VMC_RANK_THREADS);
	vmc_lock_init(&caches, VMC_RANK_CACHES);
}

static void
after_fork_in_child(void)
{
	for (struct vmemcache *c = vmc_load_acquire(&first); c;
		c = vmc_load_acquire(&c->next)) {
		vmc_heritage_after_fork_in_child(&c->heritage);
		if (!fenced || this_fork != forks)
			c->heritage.lost = true;
	}
}

/* Was no thread in the middle of a change? */
static bool
is_whole(struct vmemcache *cache)
{
	if (vmc_lock_is_held(&cache->policy_lock) ||
		vmc_latch_is_held(&cache->stripes.latch) ||
		vmc_latch_is_held(&cache->crowds_latch))
		return false;
	for (struct vmc_stripe *s = NULL;
		(s = vmc_stripe_older(&cache->stripes, s)) != NULL;)
		if (vmc_load_acquire(&s->busy) > 0)
			return false;
	return true;
}

/* It is whole: so who held them at the fork only looked. */
static void
renew_latches(struct vmemcache *cache)
{
	struct vmc_spaces *spaces = vmc_load_acquire(&cache->spaces);

	vmc_index_renew_latches(cache->index);
	vmc_extent_renew_latch(cache->extent);
	if (!spaces)
		return;
	if (spaces->index)
		vmc_index_renew_latches(spaces->index);
	for (unsigned i = 0; i < VMC_CLEARED_MAX; i++) {
		struct vmc_index *index = vmc_load_relaxed(&spaces->cleared[i]);
		if (index)
			vmc_index_renew_latches(index);
	}
}

static int
inherit(struct vmemcache *cache)
{
	if (!vmc_process_was_told(vmc_load_relaxed(&cache->usable_in)) ||
		cache->metadata == VMEMCACHE_METADATA_PMEM || !is_whole(cache))
		return -EBADF;
	int rc = vmc_heritage_claim(&cache->heritage);
	/* release: who finds it usable finds the owner as well */
	if (rc == 0) {
		renew_latches(cache);
		vmc_spaces_inherit(cache, vmc_process_mark());
		vmc_store_release(&cache->usable_in, vmc_process_mark());
	}
	return rc;
}

int
vmc_cache_inherit(struct vmemcache *space)
{
	struct vmemcache *cache = space->root;
	int rc = 0;

	VMC_NO_CANCEL;
	vmc_process_notice();
	vmc_lock_acquire(&lock);
	if (vmc_cache_is_foreign(cache))
		rc = inherit(cache);
	vmc_lock_release(&lock);
	if (rc == -EBUSY)
		return vmc_fail_const(EBADF,
			"the cache was made before a fork, by a process that "
			"is still there: use it when that has ended, or make "
			"another one after the fork");
	if (rc)
		return vmc_cache_fail_foreign();
	return 0;
}

__attribute__((constructor)) static void
start(void)
{
	pthread_atfork(before_fork, NULL, after_fork_in_child);
	vmc_store_release(&vmc_process_is_another, renew_locks);
	vmc_store_release(&vmc_thread_has_left, leave_caches);
}
