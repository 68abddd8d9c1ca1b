/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * space_file.c -- a space in an unnamed file
 *
 * The file is as long as all slices and sparse. Space behind a range is
 * reserved before it is used, or a full file system would be a SIGBUS later,
 * and given back by punching a hole. So that reserving is rare and a DAX
 * file system can give huge pages, it is done for a unit of up to 2 MiB at a
 * time, while returning is done for just the pages that are free. A unit is
 *
 *   VIRGIN   no space behind any of it
 *   WHOLE    space behind all of it: committing costs nothing
 *   PARTLY   holes were punched: what is committed is reserved by itself
 *
 * Concurrency. Ranges that are committed and given back at once are disjoint
 * but may meet in a unit. VIRGIN to WHOLE is a compare and swap after the
 * space is there; reserving twice changes nothing. Who punches, owns pages of
 * the unit, so it is not VIRGIN; PARTLY is a plain store, and the swap of
 * somebody who came late then fails. The late reservation may have filled
 * the hole again: a few pages occupied for nothing, until they are given back
 * once more.
 *
 * A file system without fallocate(2): what is committed is touched, and no
 * more than that, as the rest of the unit may be somebody's, who writes there.
 *
 * With one slice the limit is its size. With several, each is as long as the
 * limit, and the bytes reserved are counted.
 *
 * A file system that cannot punch: the first attempt finds out, and from then
 * on the kind keeps what it has. Else nothing storms: jemalloc gives back what
 * has not been used for the decay time, in batches of extents merged as far
 * as possible, at most some twenty times a second.
 */
#include "space.h"

#include "base/os.h"
#include "base/os_space.h"

#include <errno.h>
#include <unistd.h>

enum unit_state { VIRGIN, WHOLE, PARTLY };

#define SMALLEST_UNIT ((size_t)65536)

/* A unit is at most this part of the limit: the rest of one is waste. */
#define UNITS_IN_LIMIT 64

/*
 * Except with DAX, where the pages that a process gets are no larger than what
 * was reserved at once, however the file is mapped.
 */
static size_t
unit_for(int fd, size_t slice)
{
	size_t unit = VMC_OS_CHUNK;

	if (vmc_os_file_check_dax(fd) == 0)
		return unit;
	while (unit > SMALLEST_UNIT && unit > slice / UNITS_IN_LIMIT)
		unit /= 2;
	return unit;
}

static bool
charge(struct vmc_space *space, size_t size)
{
	if (space->slices == 1)
		return true;
	if (vmc_fetch_add_relaxed(&space->reserved, size) + size <=
		space->limit)
		return true;
	vmc_fetch_add_relaxed(&space->reserved, -size);
	return false;
}

static void
discharge(struct vmc_space *space, size_t size)
{
	if (space->slices > 1)
		vmc_fetch_add_relaxed(&space->reserved, -size);
}

/* Space behind [at, at + size), which lies in one unit. */
static int
commit_in_unit(struct vmc_space *space, size_t at, size_t size)
{
	_Atomic uint8_t *unit = &space->units[at / space->unit];
	size_t first = at & ~(space->unit - 1);
	uint8_t state = vmc_load_acquire(unit);
	int err;

	if (state == WHOLE)
		return 0;
	if (state == VIRGIN && charge(space, space->unit)) {
		if (vmc_os_file_reserve(space->fd, first, space->unit) == 0) {
			if (!vmc_cas_acq_rel(unit, &state, WHOLE))
				discharge(space, space->unit);
			return 0;
		}
		discharge(space, space->unit);
	}
	/* what is left may be enough for the range alone */
	if (!charge(space, size))
		return -ENOSPC;
	err = vmc_os_file_reserve(space->fd, at, size);
	if (err == -EOPNOTSUPP)
		err = vmc_os_file_touch(space->fd, at, size);
	if (err)
		discharge(space, size);
	else if (state == VIRGIN && !vmc_cas_acq_rel(unit, &state, PARTLY) &&
		 state == WHOLE)
		discharge(space, size); /* it has been counted with the unit */
	return err;
}

static int
file_decommit(struct vmc_space *space, size_t offset, size_t size)
{
	int err = vmc_os_file_punch(space->fd, offset, size);
	size_t end = offset + size, at, next;

	if (err == -EOPNOTSUPP)
		vmc_store_relaxed(&space->hoard, true);
	if (err)
		return err;
	discharge(space, size);
	for (at = offset; at < end; at = next) {
		next = (at | (space->unit - 1)) + 1;
		bool all = !(at & (space->unit - 1)) && next <= end;
		vmc_store_release(
			&space->units[at / space->unit], all ? VIRGIN : PARTLY);
	}
	return 0;
}

static int
file_commit(struct vmc_space *space, size_t offset, size_t size)
{
	size_t end = offset + size, at, next;
	int err;

	for (at = offset; at < end; at = next) {
		next = (at | (space->unit - 1)) + 1;
		if (next > end)
			next = end;
		err = commit_in_unit(space, at, next - at);
		if (err) {
			if (at > offset)
				file_decommit(space, offset, at - offset);
			return err;
		}
	}
	return 0;
}

const struct vmc_medium vmc_medium_file = {
	.commit = file_commit,
	.decommit = file_decommit,
};

/* Where there is no limit: all that the file system or the machine has. */
static int
largest(int fd, size_t *size)
{
	int err = vmc_os_file_system_size(fd, size);

	if (!err && *size == 0)
		*size = (size_t)sysconf(_SC_PHYS_PAGES) * vmc_os_page_size();
	*size = (*size + VMC_OS_CHUNK - 1) & ~(VMC_OS_CHUNK - 1);
	return err;
}

/* As long a file as all slices, and all that is mapped for it. */
static int
map_slices(struct vmc_space *space)
{
	size_t size = vmc_space_size(space), units = size / space->unit;
	int err = vmc_os_file_stretch(space->fd, size);
	void *addr;

	if (err)
		return err;
	space->units = vmc_os_map_anonymous(units);
	if (!space->units)
		return -ENOMEM;
	err = vmc_os_space_file(space->fd, size, &addr);
	if (err)
		vmc_os_unmap((void *)space->units, units);
	else
		space->base = addr;
	return err;
}

int
vmc_space_file(struct vmc_space *space, const char *directory, size_t limit,
	unsigned slices)
{
	int err;

	*space = (struct vmc_space){
		.medium = &vmc_medium_file, .slice = limit, .limit = limit};
	err = vmc_os_open_unnamed(directory, &space->fd);
	if (err)
		return err;
	/* hugetlbfs: what a heap does with pages is not for those */
	if (vmc_os_granule(space->fd) != vmc_os_page_size())
		err = -EINVAL;
	if (!err && limit == 0) {
		err = largest(space->fd, &space->slice);
		space->limit = SIZE_MAX / 2;
	}
	if (!err) {
		space->unit = unit_for(space->fd, space->slice);
		space->slices = vmc_space_slices(space->slice, slices);
		do
			err = map_slices(space);
		while ((err == -EFBIG || err == -ENOMEM) &&
			(space->slices /= 2) > 0);
		space->arenas = space->slices;
	}
	if (err)
		vmc_os_close(space->fd);
	return err;
}
