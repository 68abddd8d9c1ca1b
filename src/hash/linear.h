/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * linear.h -- an index by linear hashing; what is asked of it, and how: index.h
 */
#ifndef VMC_LINEAR_H
#define VMC_LINEAR_H

#include "bag/bag.h"

/* As vmc_index_new(). */
int vmc_linear_new(struct vmc_index **index, uint64_t most_leaves,
	vmc_index_hash_fn *hash_of, const void *arg,
	const struct vmc_memory *memory);

#endif
