/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * address_map.h -- which kind an address belongs to, in constant time
 *
 * A number per chunk of 2 MiB of address space, in two levels: a root of
 * 2^13 pointers in the library's data, leaves of 2^13 numbers (16 GiB each)
 * that come when needed and stay. Reading takes two loads and no lock.
 *
 * A kind gives its chunks its number before it hands out the first byte of
 * them, and takes it away when it is destroyed. Whoever has a pointer to ask
 * about got it after the allocation, so relaxed accesses suffice but for the
 * leaf's own contents.
 */
#ifndef VMC_MEMKIND_ADDRESS_MAP_H
#define VMC_MEMKIND_ADDRESS_MAP_H

#include "base/atomic.h"
#include "base/os_space.h"

#include <stddef.h>

#define VMC_MAP_LEVEL_BITS 13
#define VMC_MAP_LEVEL_SIZE ((size_t)1 << VMC_MAP_LEVEL_BITS)

/*
 * What a chunk holds: 0 is nobody's, otherwise the number of a kind plus
 * one. SHARED: parts of it belong to a fixed kind, others may be anybody's;
 * the kinds' own bounds decide.
 */
enum {
	VMC_OWNER_NONE = 0,
	VMC_OWNER_DEFAULT = 1,
	VMC_OWNER_SHARED = 0xffff,
};

typedef _Atomic uint16_t vmc_map_leaf[VMC_MAP_LEVEL_SIZE];

extern _Atomic(vmc_map_leaf *) vmc_map_root[VMC_MAP_LEVEL_SIZE];

static inline unsigned
vmc_map_owner(const void *ptr)
{
	uintptr_t chunk = (uintptr_t)ptr >> VMC_OS_CHUNK_SHIFT;
	vmc_map_leaf *leaf;

	if (chunk >> (2 * VMC_MAP_LEVEL_BITS))
		return VMC_OWNER_NONE;
	/* pairs with the release that publishes a leaf */
	leaf = vmc_load_acquire(&vmc_map_root[chunk >> VMC_MAP_LEVEL_BITS]);
	if (!leaf)
		return VMC_OWNER_NONE;
	return vmc_load_relaxed(&(*leaf)[chunk & (VMC_MAP_LEVEL_SIZE - 1)]);
}

/*
 * Let every chunk that [addr, addr + size) touches have this owner. -ENOMEM:
 * nothing has changed. Cannot fail for VMC_OWNER_NONE.
 */
int vmc_map_set(const void *addr, size_t size, unsigned owner);

#endif
