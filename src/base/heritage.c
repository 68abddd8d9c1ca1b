/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * heritage.c -- one owner among processes that come from each other by fork
 *
 * The word holds a version and the process number of the owner:
 *
 *     63                                    22 21                  0
 *     |              version                 |   process number    |
 *
 * Who writes it: the owner, to count the version up (note_change), and a
 * process that takes it over, by a compare and swap from the value that it
 * inherited. A fork writes nothing. Why there is never more than one owner, and
 * why the one that takes over has the right idea of what is shared:
 *
 * - Before a fork the owner P reads the word, w, and then counts its forks up,
 *   to F; the child C gets a copy of w. Every operation of P's that changes
 *   something reads the number of forks first. If it reads less than F, it had
 *   begun before the fork: to C it is one that a thread that C does not have
 *   never finished, which the user has to bear. Else it finds the answer to F,
 *   or it counts the version up before it changes anything, and stores the
 *   answer after that. Who answers F has read it (acquire) after P had counted
 *   (release), hence after P had read w: the version it makes is not w.
 *   An answer to a number that was read before another fork is none to that.
 * - So as long as the word is w, P has begun no change since C's fork. C looks
 *   whether P is gone, which a process never takes back, and then swaps w for
 *   the next version with its own number. If that succeeds, the word was w
 *   after P had ended: P changed nothing, nor will it. If it fails, it always
 *   will, as versions only grow (42 bits of them).
 * - Two that inherited the same w, brothers or a child and its own, both swap
 *   from w, so one of them fails. One that inherited another w fails.
 * - A process that is not the owner passes on what it inherited. The owner of
 *   w is P for its children's children, too.
 *
 * Is P gone? Process numbers mean the same to C only in the same namespace. A
 * child in another one than its parent's is told number 0 for the parent, then
 * and later, also by whom it is adopted; it owns nothing, nor do its children.
 * A number that was given to another process keeps C from owning, nothing
 * worse. A process that has called exec(3) counts as alive.
 *
 * _Fork() and clone(2) call no handlers: the child takes itself for the owner,
 * so its user has to notice by other means.
 *
 * Rejected: a lock on a file, which the kernel gives back at the end of the
 * process, but also when it closes all descriptors, as daemons do; getppid(),
 * which a child of a child cannot ask; counting who has the page mapped, which
 * tells no parent from a brother.
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
