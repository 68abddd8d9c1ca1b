/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * order.c -- two locks in two orders, which Helgrind must see
 *
 * Without NDEBUG the ranks would end it first.
 */
#include "base/lock.h"

int
main(void)
{
	struct vmc_lock locks[2];

	vmc_lock_init(&locks[0], VMC_RANK_POLICY);
	vmc_lock_init(&locks[1], VMC_RANK_INDEX);
	for (int first = 0; first < 2; first++) {
		vmc_lock_acquire(&locks[first]);
		vmc_lock_acquire(&locks[!first]);
		vmc_lock_release(&locks[!first]);
		vmc_lock_release(&locks[first]);
	}
	return 0;
}
