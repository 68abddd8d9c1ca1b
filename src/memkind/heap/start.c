/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * start.c -- the first call: of a process, of a thread in a kind; and forks
 *
 * Any call may be the first one of the process, before constructors. A thread's
 * first call in a kind opens the kind if need be, and makes the thread's heap
 * under vmc_kinds_lock.
 *
 * vmc_kinds_lock is held over a fork, so that the child finds the table whole.
 * jemalloc's own handlers run inside of that.
 *
 * After a fork, memory that processes share (a file, the caller's MAP_SHARED)
 * belongs to the parent's heap and to the child's copy of it. The child's kind
 * is marked as inherited (fenced): allocations fail, frees do nothing, and
 * nothing reaches the medium, whatever jemalloc does with its arenas (arena.c).
 * The default kind and kinds in private memory go on.
 *
 * Once the parent has ended, one child may take the kind over, if its copy of
 * the heap is still valid (base/heritage.h). What the parent may have done
 * since the fork, and which of it counts as a change:
 *
 *  - It freed an object, or shrank it in place. To the child that memory still
 *    belongs to the object, but the parent may have given it to another owner
 *    who wrote to it. A change.
 *  - It committed or returned memory of the medium. Memory that the child's
 *    jemalloc takes for zeroed may not be. A change; also when jemalloc's own
 *    threads do it.
 *  - It allocated memory that was free and committed. Free memory has no
 *    contents, and its owner in the parent has ended. No change; but calls that
 *    find no heap report one, which is simpler and safe.
 *
 * So that the fast paths need no check, a fork hides every thread's heap from
 * it: the thread's next call takes the slow path, and reports the change
 * (vmc_heap_find). A thread that is in the middle of a call during the fork
 * does not report: the object that it frees is one that no thread of the child
 * may use any more. The memory that it has taken from jemalloc's lists is in
 * none of them in the child either, as jemalloc's locks are held over the fork.
 * It is lost to the child.
 *
 * Rejected: counting changes in a shared page at each call (2 ns); stopping the
 * other threads at a fork.
 */
#include "start.h"

#include "pools.h"
#include "threads.h"

#include "memkind/topology/settings.h"

#include "base/cancel.h"

#include <errno.h>
#include <pthread.h>

static void
before_fork(void)
{
	vmc_lock_acquire(&vmc_kinds_lock);
	for (unsigned i = MEMKIND_NUM_BASE_KIND; i < MEMKIND_MAX_KIND; i++) {
		struct memkind *kind = &vmc_kinds[i];
		if (vmc_load_relaxed(&kind->state) != VMC_KIND_READY ||
			!kind->shared)
			continue;
		kind->forked = true;
		vmc_heap_before_fork(kind);
		vmc_heritage_before_fork(&kind->heritage);
	}
	vmc_engine_before_fork();
	for (unsigned i = 0; i < MEMKIND_MAX_KIND; i++)
		if (vmc_load_relaxed(&vmc_kinds[i].state) == VMC_KIND_READY)
			vmc_space_before_fork(&vmc_kinds[i].space);
}

static void
release_spaces(void)
{
	for (unsigned i = 0; i < MEMKIND_MAX_KIND; i++)
		if (vmc_load_relaxed(&vmc_kinds[i].state) == VMC_KIND_READY)
			vmc_space_after_fork(&vmc_kinds[i].space);
}

static void
after_fork(void)
{
	release_spaces();
	vmc_engine_after_fork(false);
	vmc_lock_release(&vmc_kinds_lock);
}

static void
after_fork_in_child(void)
{
	release_spaces();
	vmc_engine_after_fork(true);
	for (unsigned i = 0; i < MEMKIND_MAX_KIND; i++) {
		struct memkind *kind = &vmc_kinds[i];
		int state = vmc_load_relaxed(&kind->state);
		if (state == VMC_KIND_READY)
			vmc_heap_after_fork(kind);
		if (!kind->shared ||
			(state != VMC_KIND_READY && state != VMC_KIND_FENCED))
			continue;
		vmc_heritage_after_fork_in_child(&kind->heritage);
		vmc_store_relaxed(&kind->state, VMC_KIND_FENCED);
	}
	vmc_lock_release(&vmc_kinds_lock);
}

/* What any call needs, without one of malloc(): it may be a kind's. */
static void
init(void)
{
	for (unsigned i = 0; i < MEMKIND_MAX_KIND; i++)
		vmc_kinds[i].number = i;
	vmc_heap_init_classes();
	vmc_heap_init_threads();
	/*
	 * jemalloc starts here, where one thread is. Several that make it
	 * start at once find its thread-specific data before that is ready.
	 * So does its control: when it starts it reads every arena there is,
	 * which another thread could be making.
	 */
	je_free(je_malloc(1));
	vmc_engine_default_arenas();
}

/* What may call malloc(), when all calls work already. */
static void
init_more(void)
{
	if (vmc_settings()->tbb && !vmc_pools_load())
		vmc_settings_reject_manager();
	pthread_atfork(before_fork, after_fork, after_fork_in_child);
}

void
vmc_kinds_init(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	static _Atomic bool has_more;

	VMC_NO_CANCEL;
	pthread_once(&once, init);
	if (!vmc_load_relaxed(&has_more) &&
		!vmc_exchange_acq_rel(&has_more, true))
		init_more();
}

static __attribute__((constructor)) void
start(void)
{
	vmc_kinds_init();
}

/* To allocate: with an arena of its own. To free: any arena will do. */
static int
find(struct memkind *kind, bool to_free, struct vmc_thread_heap **heap,
	struct vmc_arena **arena)
{
	int saved = errno;

	*arena = NULL;
	VMC_NO_CANCEL;
	vmc_kinds_init();
	bool has_table = vmc_heap_own_table();
	vmc_lock_acquire(&vmc_kinds_lock);
	if (vmc_kind_prepare(kind) == 0) {
		vmc_kind_changes(kind);
		*arena = vmc_heap_choose_arena(kind, to_free);
	}
	if (*arena && has_table)
		vmc_heap_make(kind, *arena, to_free);
	*heap = vmc_heap_mine(kind);
	vmc_lock_release(&vmc_kinds_lock);
	errno = saved; /* for the caller it went well, whatever failed here */
	return *arena ? 0 : -ENOMEM;
}

int
vmc_heap_find(struct memkind *kind, struct vmc_thread_heap **heap,
	struct vmc_arena **arena)
{
	*heap = vmc_heap_mine(kind);
	*arena = vmc_load_relaxed(&(*heap)->arena);
	if (*heap != &vmc_heap_empty && !vmc_load_relaxed(&(*heap)->lodges))
		return 0;
	return find(kind, false, heap, arena);
}

struct vmc_thread_heap *
vmc_heap_lodge(struct memkind *kind)
{
	struct vmc_thread_heap *heap = vmc_heap_mine(kind);
	struct vmc_arena *arena;

	if (heap == &vmc_heap_empty)
		find(kind, true, &heap, &arena);
	return heap;
}

int
vmc_heap_arena(struct memkind *kind, unsigned *index)
{
	struct vmc_thread_heap *heap;
	struct vmc_arena *arena;
	int err = vmc_heap_find(kind, &heap, &arena);

	if (!err)
		*index = arena->index;
	return err;
}
