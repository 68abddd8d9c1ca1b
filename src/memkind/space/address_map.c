/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * address_map.c -- entering ranges into the map of address_map.h
 *
 * Two threads may enter ranges at once, and they may need the same leaf: each
 * maps one, one of them wins by compare and swap, the other gives its own
 * back. The ranges themselves are disjoint, since each is an address range
 * that its caller just got, so their entries need no order between them.
 *
 * Called from jemalloc's calls for memory (heap/engine.c, heap/arena.c), below
 * its locks and before anything is initialised: no lock, no allocation but
 * mmap.
 *
 * Rejected: a flat table (128 MiB of address space, which limits on it
 * count), a sorted array of ranges (readers would have to retry), asking
 * jemalloc (38 ns, and a foreign address crashes it).
 */
#include "address_map.h"

#include "base/os.h"

#include <errno.h>

_Atomic(vmc_map_leaf *) vmc_map_root[VMC_MAP_LEVEL_SIZE];
struct vmc_chunk vmc_map_default = {.owner = VMC_OWNER_DEFAULT};

static vmc_map_leaf *
leaf_of(uintptr_t chunk, bool make)
{
	_Atomic(vmc_map_leaf *) *slot =
		&vmc_map_root[chunk >> VMC_MAP_LEVEL_BITS];
	vmc_map_leaf *leaf = vmc_load_acquire(slot), *fresh;

	if (leaf || !make)
		return leaf;
	fresh = vmc_os_map_anonymous(sizeof(*fresh));
	if (!fresh)
		return NULL;
	if (vmc_cas_acq_rel(slot, &leaf, fresh))
		return fresh;
	vmc_os_unmap(fresh, sizeof(*fresh));
	return leaf;
}

int
vmc_map_set(
	const void *addr, size_t size, struct vmc_chunk *records, size_t step)
{
	uintptr_t first = (uintptr_t)addr >> VMC_OS_CHUNK_SHIFT;
	uintptr_t last = ((uintptr_t)addr + size - 1) >> VMC_OS_CHUNK_SHIFT;
	vmc_map_leaf *leaf;

	if (last >> (2 * VMC_MAP_LEVEL_BITS))
		return -ENOMEM;
	for (uintptr_t chunk = first; chunk <= last;
		chunk = (chunk | (VMC_MAP_LEVEL_SIZE - 1)) + 1) {
		if (!leaf_of(chunk, records != NULL) && records)
			return -ENOMEM;
	}
	for (uintptr_t chunk = first; chunk <= last; chunk++) {
		leaf = leaf_of(chunk, false);
		if (leaf)
			vmc_store_relaxed(
				&(*leaf)[chunk & (VMC_MAP_LEVEL_SIZE - 1)],
				records);
		if (records)
			records += step;
	}
	return 0;
}
