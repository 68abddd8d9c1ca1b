/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * heritage.c -- one owner among processes that come from each other by fork
 *
 * The word holds a version and the process number of the owner:
 *
 *     63                                    22 21                  0
 *     |              version                 |   process number    |
 *
 * The owner writes it, to increment the version (note_change), and so does a
 * process that takes it over, by a compare and swap from the value that it
 * inherited. A fork writes nothing. Why there is never more than one owner, and
 * why the new owner's copy of the shared data is up to date:
 *
 * - Before a fork the owner P reads the word, w, and then increments its number
 *   of forks, to F; the child C gets a copy of w. Every operation of P that
 *   changes something first reads the number of forks. If it reads less than F,
 *   it began before the fork: to C it is an operation of a thread that C does
 *   not have and that never finished, which the caller of this module has to
 *   handle. Otherwise it either finds that F was answered, or answers it: it
 *   increments the version before it changes anything, and then stores F as the
 *   number answered. The thread that answers F has read F (acquire) after P
 *   incremented it (release), so after P read w: the version it makes is not w.
 *   An answer to a number that was read before another fork does not count for
 *   that fork.
 * - So while the word is w, P has begun no change since C's fork. C checks that
 *   P has ended, which is final, and then swaps w for the next version with its
 *   own number. If that succeeds, the word was w after P had ended: P has
 *   changed nothing, and cannot any more. If it fails, it will always fail,
 *   since versions only grow (they have 42 bits).
 * - If two processes inherited the same w (two children, or a child and a child
 *   of it), both swap from w, so one of them fails. A process that inherited
 *   another value than w fails.
 * - A process that is not the owner passes on what it inherited. The owner of
 *   w is P for its children's children, too.
 *
 * Has P ended? A process number means the same to C and P only in one
 * namespace. A child in another namespace than its parent is told 0 as its
 * parent's number, also after it was adopted; it never owns the word, nor do
 * its children. If P's number was given to another process, C does not become
 * the owner; nothing worse happens. A process that has called exec(3) counts as
 * alive.
 *
 * _Fork() and clone(2) call no handlers: the child then takes itself for the
 * owner, so the caller of this module has to detect this case by other means.
 *
 * Rejected: a lock on a file, which the kernel releases at the end of the
 * process, but also when the process closes all descriptors, as daemons do;
 * getppid(), which a child of a child cannot ask; counting the processes that
 * have the page mapped, which cannot tell a parent from a second child.
 */
#include "heritage.h"

#include "os.h"

#include <errno.h>
#include <unistd.h>

#define PID_BITS 22 /* the most that Linux gives out is 2^22 */
#define PID_MASK (((uint64_t)1 << PID_BITS) - 1)
#define VERSION ((uint64_t)1 << PID_BITS)

void
vmc_heritage_create(struct vmc_heritage *heritage)
{
	int saved = errno;

	*heritage = (struct vmc_heritage){
		.word = vmc_os_map_shared(sizeof(*heritage->word))};
	vmc_store_release(&heritage->owner, true);
	if (heritage->word)
		vmc_store_relaxed(
			heritage->word, (uint64_t)getpid() & PID_MASK);
	errno = saved;
}

void
vmc_heritage_destroy(struct vmc_heritage *heritage)
{
	if (!heritage->word)
		return;
	if (vmc_heritage_is_owner(heritage))
		vmc_fetch_add_acq_rel(heritage->word, VERSION);
	vmc_os_unmap((void *)heritage->word, sizeof(*heritage->word));
	*heritage = (struct vmc_heritage){.lost = true};
}

void
vmc_heritage_before_fork(struct vmc_heritage *heritage)
{
	if (!heritage->word || !vmc_heritage_is_owner(heritage))
		return;
	/* in this order: see above */
	heritage->inherited = vmc_load_acquire(heritage->word);
	vmc_fetch_add_acq_rel(&heritage->forks, 1);
}

void
vmc_heritage_after_fork_in_child(struct vmc_heritage *heritage)
{
	vmc_store_release(&heritage->owner, false);
	if (!heritage->word || getppid() == 0)
		heritage->lost = true;
}

void
vmc_heritage_note_change(struct vmc_heritage *heritage)
{
	uint64_t forks = vmc_load_acquire(&heritage->forks);

	vmc_fetch_add_acq_rel(heritage->word, VERSION);
	vmc_store_release(&heritage->answered, forks);
}

static bool
is_gone(uint64_t word)
{
	pid_t owner = (pid_t)(word & PID_MASK);

	/* not this process, so it had our number before */
	return owner == getpid() || vmc_os_process_is_gone(owner);
}

int
vmc_heritage_claim(struct vmc_heritage *heritage)
{
	uint64_t word = heritage->inherited, next;

	if (vmc_heritage_is_owner(heritage))
		return 0;
	if (heritage->lost || vmc_load_acquire(heritage->word) != word)
		goto lost;
	if (!is_gone(word))
		return -EBUSY;
	next = ((word & ~PID_MASK) + VERSION) | ((uint64_t)getpid() & PID_MASK);
	if (!vmc_cas_acq_rel(heritage->word, &word, next))
		goto lost;
	vmc_store_relaxed(&heritage->forks, 0);
	vmc_store_relaxed(&heritage->answered, 0);
	vmc_store_release(&heritage->owner, true);
	return 0;
lost:
	heritage->lost = true;
	return -EBADF;
}
