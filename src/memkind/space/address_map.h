/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * address_map.h -- what is known of an address, in constant time
 *
 * A record for each chunk of 2 MiB of address space that a kind has, found in
 * two levels: a root of 2^13 pointers in the library's data, and leaves of 2^13
 * pointers to records (16 GiB of addresses each), which are made when they are
 * needed and stay. Reading takes two loads and no lock.
 *
 *     address  | 13 bits: root | 13 bits: leaf | 9 bits: page | 12 bits |
 *
 * A kind enters the records of its chunks before it hands out the first byte
 * of them, and removes them when it is destroyed. Whoever has a pointer to ask
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

#define VMC_PAGE_SHIFT 12
#define VMC_CHUNK_PAGES ((size_t)1 << (VMC_OS_CHUNK_SHIFT - VMC_PAGE_SHIFT))
#define VMC_CHUNK_WORDS (VMC_CHUNK_PAGES / 64)

/*
 * Whose a chunk is: the number of a kind plus one. SHARED: parts of it belong
 * to fixed kinds, the rest may be anybody's; the kinds' own bounds decide.
 */
enum {
	VMC_OWNER_NONE = 0,
	VMC_OWNER_DEFAULT = 1,
	VMC_OWNER_SHARED = 0xffff,
};

struct vmc_arena;
struct vmc_piece;

struct vmc_chunk {
	/* immutable while it is in the map */
	unsigned owner;
	struct vmc_piece *piece; /* NULL: memory of the program's */

	/* of a fixed kind; changes only while nothing in the chunk is in use */
	struct vmc_arena *_Atomic arena;

	/* under the lock of its space: one bit for each page, see space.c */
	unsigned used_pages;
	uint64_t used[VMC_CHUNK_WORDS];
	uint64_t held[VMC_CHUNK_WORDS];

	/* for each page the class of the objects in it, see heap/heap.c */
	_Atomic uint8_t classes[VMC_CHUNK_PAGES];
};

typedef struct vmc_chunk *_Atomic vmc_map_leaf[VMC_MAP_LEVEL_SIZE];

extern _Atomic(vmc_map_leaf *) vmc_map_root[VMC_MAP_LEVEL_SIZE];

/* The record of every chunk of the default kind's. */
extern struct vmc_chunk vmc_map_default;

/* The record of an address that is certainly in the map. */
static inline struct vmc_chunk *
vmc_map_at(const void *ptr)
{
	uintptr_t chunk = (uintptr_t)ptr >> VMC_OS_CHUNK_SHIFT;
	/* pairs with the release that publishes a leaf */
	vmc_map_leaf *leaf =
		vmc_load_acquire(&vmc_map_root[chunk >> VMC_MAP_LEVEL_BITS]);

	return vmc_load_relaxed(&(*leaf)[chunk & (VMC_MAP_LEVEL_SIZE - 1)]);
}

/* The record of any address, NULL: there is none. */
static inline struct vmc_chunk *
vmc_map_find(const void *ptr)
{
	uintptr_t chunk = (uintptr_t)ptr >> VMC_OS_CHUNK_SHIFT;
	vmc_map_leaf *leaf;

	if (chunk >> (2 * VMC_MAP_LEVEL_BITS))
		return NULL;
	leaf = vmc_load_acquire(&vmc_map_root[chunk >> VMC_MAP_LEVEL_BITS]);
	return leaf ? vmc_load_relaxed(
			      &(*leaf)[chunk & (VMC_MAP_LEVEL_SIZE - 1)])
		    : NULL;
}

static inline unsigned
vmc_map_owner(const void *ptr)
{
	const struct vmc_chunk *chunk = vmc_map_find(ptr);

	return chunk ? chunk->owner : VMC_OWNER_NONE;
}

static inline size_t
vmc_map_page(const void *ptr)
{
	return (uintptr_t)ptr >> VMC_PAGE_SHIFT & (VMC_CHUNK_PAGES - 1);
}

/*
 * Enter a record for every chunk that [addr, addr + size) touches: records,
 * records + step, ... (step 0: the same for all; NULL: none). -ENOMEM: nothing
 * has changed. Removing cannot fail.
 */
int vmc_map_set(
	const void *addr, size_t size, struct vmc_chunk *records, size_t step);

#endif
