/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * heritage.h -- which process owns what a fork left to several
 *
 * After a fork, parent and child both map what is shared (a file, a device) and
 * each has its own idea of what is in it, in private memory. One of them may
 * go on with it:
 *
 *  - the parent does, as if there had been no fork;
 *  - once the parent has gone, one child may, if the parent has changed
 *    nothing since that fork: then the child's idea is still right. So a
 *    program may call daemon(3), or fork twice, after it has set up;
 *  - which child it is, the first that asks, a word in a page settles that all
 *    of them map. A child of a child may be the one as well.
 *
 * There is one of these for each thing that is shared. Its owner says when it
 * is about to change the thing (vmc_heritage_change), and others ask whether
 * it is theirs now (vmc_heritage_claim). What counts as a change is up to the
 * user: whatever makes the idea wrong that a child got at the fork.
 *
 * heritage.c has the proof.
 */
#ifndef VMC_BASE_HERITAGE_H
#define VMC_BASE_HERITAGE_H

#include "atomic.h"

struct vmc_heritage {
	/*
	 * In a page that the children map, too: a version, and the process
	 * number of the owner. NULL: no memory for it, nobody inherits.
	 */
	_Atomic uint64_t *word;
	/* The process's own; a child begins with a copy. */
	_Atomic bool owner;
	_Atomic uint64_t forks;    /* the owner has begun */
	_Atomic uint64_t answered; /* what forks was when it changed the word */
	/* the word at the fork that this process, or an ancestor, comes from */
	uint64_t inherited;
	bool lost; /* it can never be this process's */
};

/*
 * The calling process is the owner. Where there is no memory for the page, no
 * child will ever be.
 */
void vmc_heritage_create(struct vmc_heritage *heritage);

/*
 * This process has nothing more to do with it. If it is the owner, no other
 * process can become it. Also of one that is all zeros.
 */
void vmc_heritage_destroy(struct vmc_heritage *heritage);

/*
 * From handlers of pthread_atfork(3): before a fork, and in the child. One fork
 * at a time: under a lock of the user's that is held from one to the other.
 */
void vmc_heritage_before_fork(struct vmc_heritage *heritage);
void vmc_heritage_after_fork_in_child(struct vmc_heritage *heritage);

static inline bool
vmc_heritage_is_owner(const struct vmc_heritage *heritage)
{
	return vmc_load_acquire(&heritage->owner);
}

void vmc_heritage_note_change(struct vmc_heritage *heritage);

/* Has the owner changed nothing since the latest fork? */
static inline bool
vmc_heritage_is_quiet(const struct vmc_heritage *heritage)
{
	return vmc_load_relaxed(&heritage->answered) !=
	       vmc_load_relaxed(&heritage->forks);
}

/*
 * The owner is about to change what is shared: children of forks so far can
 * never own it. Two loads, but for the first time after each fork. From any
 * thread, with any lock held. A thread that calls it, or has found out that
 * there is no need, and then changes something, may do so while another one
 * forks: the child sees it as not finished, and must treat it so.
 */
static inline void
vmc_heritage_change(struct vmc_heritage *heritage)
{
	if (__builtin_expect(vmc_heritage_is_quiet(heritage), 0))
		vmc_heritage_note_change(heritage);
}

/*
 * Become the owner. One thread of the process at a time.
 *
 * 0: it is (or was before). -EBUSY: the owner is alive; it may be asked again
 * later. -EBADF: never: the owner has changed something since the fork, or
 * another process was faster. Leaves errno as it is.
 */
int vmc_heritage_claim(struct vmc_heritage *heritage);

#endif
