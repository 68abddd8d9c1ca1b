/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * process.c -- the mark of this process
 *
 * The mark is a number. The fork handler increments it in the child; without a
 * handler, the first call in the child that finds the page empty does. Several
 * threads of such a child may find it empty at once; a latch lets one of them
 * go on. During a fork the latch is free, except in a child that has not yet
 * noticed its own fork.
 *
 * The page is a static array, not a mapping: every call compares the mark, and
 * this way that costs one load. Zero-initialised pages of a library (.bss) are
 * private anonymous memory, so the page can be wiped at a fork
 * (MADV_WIPEONFORK, Linux 4.14). It is 0 until the library starts.
 *
 * Rejected: getpid() at each call (60 ns); the thread's own identity in its
 * thread-local memory, which a child keeps.
 */
#include "process.h"

#include "epoch.h"
#include "lock.h"
#include "os.h"

#include <pthread.h>
#include <stdalign.h>

alignas(VMC_PROCESS_PAGE) _Atomic unsigned vmc_process_page[VMC_PROCESS_PAGE /
							    sizeof(unsigned)];

void (*_Atomic vmc_process_is_another)(void);
static struct vmc_latch noticing;
static unsigned latest = 1; /* mark */
static unsigned untold;     /* the latest mark of a child without handlers */

static void
become_another(bool by_survivor)
{
	void (*then)(void) = vmc_load_acquire(&vmc_process_is_another);

	latest++;
	vmc_epoch_after_fork(by_survivor);
	if (then)
		then();
	vmc_store_release(vmc_process_page, latest);
}

static void
after_fork_in_child(void)
{
	become_another(true);
}

void
vmc_process_notice_fork(void)
{
	vmc_latch_acquire(&noticing, VMC_RANK_THREADS);
	if (vmc_process_mark() == 0) {
		untold = latest + 1;
		become_another(vmc_thread_cached != NULL);
	}
	vmc_latch_release(&noticing, VMC_RANK_THREADS);
}

bool
vmc_process_was_told(unsigned since)
{
	return since >= untold;
}

__attribute__((constructor)) static void
start(void)
{
	/* before: a child's handlers begin where its parent has noticed */
	pthread_atfork(vmc_process_notice, NULL, after_fork_in_child);
	vmc_os_wipe_on_fork(vmc_process_page, VMC_PROCESS_PAGE);
	vmc_store_relaxed(vmc_process_page, latest);
}
