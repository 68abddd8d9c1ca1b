/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * critnib.h -- an index by a critnib trie; what is asked of it, and how:
 * index.h
 */
#ifndef VMC_CRITNIB_H
#define VMC_CRITNIB_H

#include "bag/bag.h"

/* As vmc_index_new(), for any number of leaves. */
int vmc_critnib_new(struct vmc_index **index, vmc_index_hash_fn *hash_of,
	const void *arg, const struct vmc_memory *memory);

#endif
