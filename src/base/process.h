/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * process.h -- which process is this?
 *
 * A child that a fork makes has all that its parent knew, and must not take it
 * for its own. So what belongs to a process keeps the mark of the process that
 * made it. The mark is in a page that the system empties in children, however
 * they come to be: by fork(3), _Fork(3) or clone(2) without CLONE_VM. Only of
 * the first do handlers tell (pthread_atfork), and only then are locks and
 * heaps such that the child can use what it has a copy of.
 */
#ifndef VMC_BASE_PROCESS_H
#define VMC_BASE_PROCESS_H

#include "atomic.h"

/* Where pages are larger, the system refuses, and handlers alone tell. */
#define VMC_PROCESS_PAGE 4096

/* The mark has a page to itself. */
extern VMC_HIDDEN _Atomic unsigned
	vmc_process_page[VMC_PROCESS_PAGE / sizeof(unsigned)];

/*
 * Unique among the process and those that it comes from. 0: it was forked
 * without handlers, and vmc_process_notice() is still to be called. Never that
 * of anything that was made.
 */
static inline unsigned
vmc_process_mark(void)
{
	return vmc_load_relaxed(vmc_process_page);
}

/*
 * Before anything is made, and in a child before anything of its parent's is
 * used: does what a handler would have done. Costs a load.
 */
void vmc_process_notice_fork(void);

static inline void
vmc_process_notice(void)
{
	if (__builtin_expect(vmc_process_mark() == 0, 0))
		vmc_process_notice_fork();
}

/*
 * Called in every child, once, before anything else of it: for whoever has
 * locks that other threads of the parent may have held. One, set at start.
 */
extern void (*_Atomic vmc_process_is_another)(void);

/* Did all forks since that mark was given go by handlers? */
bool vmc_process_was_told(unsigned since);

#endif
