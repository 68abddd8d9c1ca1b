/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * on_critnib.c -- every cache of a test gets a critnib trie for its index
 */
#include "index.h"

int __real_vmc_index_new(struct vmc_index **index, enum vmc_index_kind kind,
	uint64_t most_leaves, vmc_index_hash_fn *hash_of, const void *arg,
	const struct vmc_memory *memory);
int __wrap_vmc_index_new(struct vmc_index **index, enum vmc_index_kind kind,
	uint64_t most_leaves, vmc_index_hash_fn *hash_of, const void *arg,
	const struct vmc_memory *memory);

int
__wrap_vmc_index_new(struct vmc_index **index, enum vmc_index_kind kind,
	uint64_t most_leaves, vmc_index_hash_fn *hash_of, const void *arg,
	const struct vmc_memory *memory)
{
	(void)kind;
	return __real_vmc_index_new(
		index, VMC_INDEX_CRITNIB, most_leaves, hash_of, arg, memory);
}
