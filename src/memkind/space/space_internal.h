/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * space_internal.h -- the bits of a space, for space*.c alone
 *
 * What concerns pieces is called with the lock of the space.
 */
#ifndef VMC_MEMKIND_SPACE_INTERNAL_H
#define VMC_MEMKIND_SPACE_INTERNAL_H

#include "space.h"

static inline struct vmc_chunk *
vmc_space_chunk(struct vmc_piece *piece, size_t offset)
{
	return &piece->chunks[offset >> VMC_OS_CHUNK_SHIFT];
}

/* Where the part of [at, end) ends that lies in the same unit as at. */
static inline size_t
vmc_space_part_end(size_t at, size_t end, size_t unit)
{
	size_t next = (at | (unit - 1)) + 1;

	return next < end ? next : end;
}

/* The medium holds these pages from now on, or no longer. */
void vmc_space_note_held(struct vmc_space *space, struct vmc_piece *piece,
	size_t offset, size_t size, bool held);

/* Bytes of this range that are not held. */
size_t vmc_space_not_held(struct vmc_piece *piece, size_t offset, size_t size);

/* Is a page used in the granule that the offset is in? */
bool vmc_space_is_used(
	const struct vmc_space *space, struct vmc_piece *piece, size_t offset);

#endif
