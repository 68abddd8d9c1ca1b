/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * space.c -- address ranges on each medium
 *
 * anonymous  private pages that appear when touched; given back with
 *            MADV_DONTNEED. No swap is reserved, so committing is free.
 * huge       a mapping of huge pages that are taken from the system's pool
 *            when a part of one is committed. MADV_POPULATE_WRITE takes them
 *            and says so when there are none left, where touching would be a
 *            SIGBUS; it changes nothing where there are some, so threads
 *            that commit parts of one page need no order between them. Only
 *            whole pages are given back.
 * file       space_file.c
 * user       the program's memory: nothing to be done.
 *
 * Rejected for huge pages: mapping a page at a time over an empty range
 * reserves it as cleanly, but two threads on one page would need a lock.
 */
#include "space.h"

#include "base/os.h"
#include "base/os_space.h"

#include <errno.h>

static int
anonymous_decommit(struct vmc_space *space, size_t offset, size_t size)
{
	return vmc_os_discard(space->base + offset, size);
}

const struct vmc_medium vmc_medium_anonymous = {
	.decommit = anonymous_decommit,
};

static int
huge_commit(struct vmc_space *space, size_t offset, size_t size)
{
	size_t mask = ((size_t)1 << space->page_shift) - 1;
	size_t first = offset & ~mask;
	size_t end = (offset + size + mask) & ~mask;

	return vmc_os_populate(space->base + first, end - first);
}

static int
huge_decommit(struct vmc_space *space, size_t offset, size_t size)
{
	size_t mask = ((size_t)1 << space->page_shift) - 1;

	if ((offset | size) & mask)
		return -EINVAL;
	return vmc_os_discard(space->base + offset, size);
}

const struct vmc_medium vmc_medium_huge = {
	.commit = huge_commit,
	.decommit = huge_decommit,
};

const struct vmc_medium vmc_medium_user = {.dirty = true};

int
vmc_space_anonymous(struct vmc_space *space, size_t slice, unsigned slices,
	unsigned page_shift)
{
	void *addr;
	int err;

	*space = (struct vmc_space){
		.medium = page_shift ? &vmc_medium_huge : &vmc_medium_anonymous,
		.slice = slice,
		.slices = slices,
		.arenas = slices,
		.page_shift = page_shift,
		.fd = -1};
	if (slice > SIZE_MAX / 2 / slices)
		return -ENOMEM;
	err = page_shift ? vmc_os_space_huge(slice * slices, page_shift, &addr)
			 : vmc_os_space_anonymous(slice * slices, &addr);
	space->base = addr;
	return err;
}

/* What parts may take of the caller's memory, and the least that is one. */
#define SHARE_OF_PARTS 4
#define SMALLEST_PART ((size_t)2 << 20)

int
vmc_space_user(
	struct vmc_space *space, void *addr, size_t size, unsigned arenas)
{
	uintptr_t mask = vmc_os_page_size() - 1;
	uintptr_t first = ((uintptr_t)addr + mask) & ~mask;
	uintptr_t end = ((uintptr_t)addr + size) & ~mask;

	if (!addr || (uintptr_t)addr + size < (uintptr_t)addr || first >= end)
		return -EINVAL;
	*space = (struct vmc_space){.medium = &vmc_medium_user,
		.base = (char *)first,
		.slice = end - first,
		.slices = 1,
		.arenas = arenas,
		.fd = -1};
	size_t parts = space->slice / SHARE_OF_PARTS;
	if (space->arenas > parts / SMALLEST_PART)
		space->arenas = (unsigned)(parts / SMALLEST_PART) + 1;
	if (space->arenas > 1)
		space->part =
			vmc_engine_class_below(parts / (space->arenas - 1));
	return 0;
}

void
vmc_space_destroy(struct vmc_space *space)
{
	if (space->units)
		vmc_os_unmap((void *)space->units,
			vmc_space_size(space) / space->unit);
	if (space->medium != &vmc_medium_user)
		vmc_os_unmap(space->base, vmc_space_size(space));
	if (space->fd >= 0)
		vmc_os_close(space->fd);
}
