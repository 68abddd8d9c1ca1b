/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * kinds.h -- making kinds, and giving them up
 */
#ifndef VMC_MEMKIND_KINDS_H
#define VMC_MEMKIND_KINDS_H

#include "heap/kind.h"
#include "heap/start.h"

/*
 * Make a kind of this type in a free place of the table, on this space, which
 * it takes over. On failure (-ENOMEM, -EUSERS: the table is full, -EEXIST:
 * some of this user memory is in a kind already) the space is destroyed.
 */
int vmc_kind_create(const struct vmc_kind_type *type, struct vmc_space *space,
	ssize_t decay, struct memkind **kind);

/* Called with the number of a kind that is about to be destroyed. */
extern void (*_Atomic vmc_kind_on_destroy)(unsigned number);

/* Give up everything in it. Nobody uses it any more. */
void vmc_kind_destroy(struct memkind *kind);

#endif
