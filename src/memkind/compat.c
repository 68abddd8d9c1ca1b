/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * compat.c -- calls that memkind never documented, or has dropped, and that
 * some programs make nevertheless
 */
#include "heap/start.h"

#include <errno.h>

/* What they are declared as by the programs that call them. */
#pragma GCC visibility push(default)
int memkind_thread_get_arena(
	struct memkind *kind, unsigned *arena, size_t size);
int memkind_hbw_all_get_mbind_nodemask(
	struct memkind *kind, unsigned long *nodemask, unsigned long maxnode);
int memkind_regular_all_get_mbind_nodemask(
	struct memkind *kind, unsigned long *nodemask, unsigned long maxnode);
int memkind_dax_kmem_all_get_mbind_nodemask(
	struct memkind *kind, unsigned long *nodemask, unsigned long maxnode);

int
memkind_get_kind_by_partition(int partition, memkind_t *kind)
{
	if (!kind || partition < 0 || partition >= MEMKIND_MAX_KIND ||
		(partition >= MEMKIND_NUM_BASE_KIND &&
			vmc_load_acquire(&vmc_kinds[partition].state) ==
				VMC_KIND_FREE))
		return MEMKIND_ERROR_UNAVAILABLE;
	*kind = &vmc_kinds[partition];
	return MEMKIND_SUCCESS;
}

void
memkind_set_allow_zero_allocs(memkind_t kind, bool allow_zero_allocs)
{
	if (kind)
		vmc_store_relaxed(&kind->zero_allocs, allow_zero_allocs);
}

/* jemalloc's number of the arena that the calling thread allocates from. */
int
memkind_thread_get_arena(struct memkind *kind, unsigned *arena, size_t size)
{
	(void)size;
	return kind && arena && vmc_heap_arena(kind, arena) == 0
		       ? MEMKIND_SUCCESS
		       : MEMKIND_ERROR_RUNTIME;
}

/* A mask that is too short gets what fits. */
static int
nodemask(enum vmc_nodes nodes, unsigned long *mask, unsigned long maxnode)
{
	const struct vmc_node_rules *rules = vmc_nodes_here();
	const unsigned bits = 8 * sizeof(*mask);
	struct vmc_node_set set;
	int code;

	if (!rules || !mask)
		return MEMKIND_ERROR_INVALID;
	code = vmc_nodes_select(rules, nodes, false, 0, &set);
	if (code)
		return code;
	for (unsigned long i = 0; i < (maxnode + bits - 1) / bits; i++)
		mask[i] = i < VMC_NODE_WORDS ? set.words[i] : 0;
	return MEMKIND_SUCCESS;
}

int
memkind_hbw_all_get_mbind_nodemask(
	struct memkind *kind, unsigned long *mask, unsigned long maxnode)
{
	(void)kind;
	return nodemask(VMC_NODES_HIGH_BANDWIDTH, mask, maxnode);
}

int
memkind_regular_all_get_mbind_nodemask(
	struct memkind *kind, unsigned long *mask, unsigned long maxnode)
{
	(void)kind;
	return nodemask(VMC_NODES_PROCESSORS, mask, maxnode);
}

int
memkind_dax_kmem_all_get_mbind_nodemask(
	struct memkind *kind, unsigned long *mask, unsigned long maxnode)
{
	(void)kind;
	return nodemask(VMC_NODES_KMEM, mask, maxnode);
}
