/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * space_file.c -- a space in an unnamed file
 *
 * The file grows with the pieces and is sparse. Space behind a page is
 * reserved before it is used, or a full file system would be a SIGBUS later,
 * and given back by punching a hole. So that reserving is rare and a DAX file
 * system can give huge pages, it is done for a unit of up to 2 MiB at a time,
 * while returning is done for just the pages that are free. What a reservation
 * brings beyond what was asked for is slack: it is noted as held, serves the
 * next commits, and goes back when a commit would fail otherwise.
 *
 * The pages that are held are counted, and that count is what the limit of the
 * kind is about, not the file's length.
 *
 * A file system without fallocate(2): what is committed is touched, and no
 * more than that, as the rest of the unit may be somebody's, who writes there.
 *
 * A file system that cannot punch holes is found out by an attempt at the
 * beginning; the kind then keeps what it has. Otherwise holes are few: jemalloc
 * returns what has not been used for the decay time, in batches of extents
 * merged as far as possible, at most about twenty times a second.
 */
#include "space_internal.h"

#include "base/os.h"
#include "base/os_space.h"

#include <errno.h>
#include <unistd.h>

#define SMALLEST_UNIT ((size_t)65536)

/* A unit is at most this part of the limit, since what is reserved of a unit
 * and not used is lost to the kind. */
#define UNITS_IN_LIMIT 64

/*
 * A kind has at most one arena per ARENA_LIMIT bytes of its limit: what is free
 * in the size classes of one arena is of no use to another.
 */
#define ARENA_LIMIT ((size_t)16 << 20)

/*
 * Returns the unit in which the file is reserved: 2 MiB with DAX, since a
 * process gets no page larger than one reservation; else the largest power of
 * two up to 2 MiB that is at most 1/UNITS_IN_LIMIT of the capacity, and at
 * least 64 KiB.
 */
static size_t
unit_for(int fd, size_t capacity)
{
	size_t unit = VMC_OS_CHUNK;

	if (vmc_os_file_check_dax(fd) == 0)
		return unit;
	while (unit > SMALLEST_UNIT && unit > capacity / UNITS_IN_LIMIT)
		unit /= 2;
	return unit;
}

static bool
within_limit(struct vmc_space *space, struct vmc_piece *piece, size_t offset,
	size_t size)
{
	return vmc_load_relaxed(&space->held) +
		       vmc_space_not_held(piece, offset, size) <=
	       space->limit;
}

/* Space behind what lies in one chunk, and of which some may be held. */
static int
reserve_step(struct vmc_space *space, struct vmc_piece *piece, size_t offset,
	size_t size)
{
	int err;

	if (vmc_space_not_held(piece, offset, size) == 0)
		return 0;
	if (!within_limit(space, piece, offset, size))
		return -ENOSPC;
	err = vmc_os_file_reserve(space->fd, piece->offset + offset, size);
	if (!err)
		vmc_space_note_held(space, piece, offset, size, true);
	return err;
}

/* In steps, as signals wait during each. What an error leaves is slack. */
static int
reserve(struct vmc_space *space, struct vmc_piece *piece, size_t offset,
	size_t size)
{
	int err = 0;

	for (size_t at = offset, end = offset + size, next; at < end && !err;
		at = next) {
		next = vmc_space_part_end(at, end, VMC_OS_CHUNK);
		err = reserve_step(space, piece, at, next - at);
	}
	return err;
}

static int
file_discard(struct vmc_space *space, struct vmc_piece *piece, size_t offset,
	size_t size)
{
	int err = vmc_os_file_punch(space->fd, piece->offset + offset, size);

	if (!err)
		vmc_space_note_held(space, piece, offset, size, false);
	else if (err == -EOPNOTSUPP)
		vmc_store_relaxed(&space->hoard, true);
	return err;
}

static bool
is_slack(const struct vmc_chunk *chunk, size_t page)
{
	return (chunk->held[page / 64] & ~chunk->used[page / 64]) >> page % 64 &
	       1;
}

static void
give_back_slack_of(
	struct vmc_space *space, struct vmc_piece *piece, size_t chunk_offset)
{
	const struct vmc_chunk *chunk = vmc_space_chunk(piece, chunk_offset);
	size_t first, page = 0;

	while (page < VMC_CHUNK_PAGES) {
		for (first = page;
			page < VMC_CHUNK_PAGES && is_slack(chunk, page);)
			page++;
		if (page > first)
			file_discard(space, piece,
				chunk_offset + (first << VMC_PAGE_SHIFT),
				(page - first) << VMC_PAGE_SHIFT);
		else
			page++;
	}
}

static void
give_back_slack(struct vmc_space *space)
{
	for (struct vmc_piece *piece = space->pieces; piece;
		piece = piece->next)
		for (size_t at = 0; at < piece->size; at += VMC_OS_CHUNK)
			if (vmc_space_chunk(piece, at)->used_pages > 0)
				give_back_slack_of(space, piece, at);
}

/* Whole units, as far as there is room for them, else what is asked for. */
static int
reserve_units(struct vmc_space *space, struct vmc_piece *piece, size_t offset,
	size_t size)
{
	size_t first = offset & ~(space->unit - 1);
	size_t end = (offset + size + space->unit - 1) & ~(space->unit - 1);

	if (reserve(space, piece, first, end - first) == 0)
		return 0;
	return reserve(space, piece, offset, size);
}

/* The file system cannot reserve: nothing but what is asked for is written. */
static int
touch(struct vmc_space *space, struct vmc_piece *piece, size_t offset,
	size_t size)
{
	int err = -ENOSPC;

	if (within_limit(space, piece, offset, size))
		err = vmc_os_file_touch(
			space->fd, piece->offset + offset, size);
	if (!err)
		vmc_space_note_held(space, piece, offset, size, true);
	return err;
}

static int
file_hold(struct vmc_space *space, struct vmc_piece *piece, size_t offset,
	size_t size)
{
	int err = reserve_units(space, piece, offset, size);

	if (err && err != -EOPNOTSUPP && !vmc_load_relaxed(&space->hoard)) {
		give_back_slack(space);
		err = reserve(space, piece, offset, size);
	}
	return err == -EOPNOTSUPP ? touch(space, piece, offset, size) : err;
}

static int
file_map(struct vmc_space *space, size_t size, size_t align, size_t *offset,
	void **addr)
{
	int err = vmc_os_file_stretch(space->fd, space->file_end + size);

	if (!err)
		err = vmc_os_space_map_file(
			space->fd, space->file_end, size, align, addr);
	if (err)
		return err;
	*offset = space->file_end;
	space->file_end += size;
	return 0;
}

static int
file_open(struct vmc_space *space, struct vmc_piece *piece, size_t offset,
	size_t size)
{
	(void)space;
	return vmc_os_space_open(piece->base + offset, size, false);
}

/* The slack goes, too. */
static void
file_close(struct vmc_space *space, struct vmc_piece *piece, size_t offset,
	size_t size)
{
	if (vmc_space_not_held(piece, offset, size) < size)
		file_discard(space, piece, offset, size);
	vmc_os_space_close(piece->base + offset, size);
}

const struct vmc_medium vmc_medium_file = {
	.map = file_map,
	.open = file_open,
	.close = file_close,
	.hold = file_hold,
	.discard = file_discard,
};

/* Where there is no limit: all that the file system or the machine has. */
static int
largest(int fd, size_t *size)
{
	int err = vmc_os_file_system_size(fd, size);

	if (!err && *size == 0)
		*size = (size_t)sysconf(_SC_PHYS_PAGES) * vmc_os_page_size();
	if (*size > SIZE_MAX / 4) /* nothing that rounding would carry over */
		*size = SIZE_MAX / 4;
	*size = (*size + VMC_OS_CHUNK - 1) & ~(VMC_OS_CHUNK - 1);
	return err;
}

int
vmc_space_file(struct vmc_space *space, const char *directory, size_t limit,
	unsigned arenas)
{
	int err;

	*space = (struct vmc_space){.medium = &vmc_medium_file,
		.arenas = arenas,
		.granule = VMC_OS_CHUNK,
		.capacity = limit,
		.limit = limit};
	err = vmc_os_open_unnamed(directory, &space->fd);
	if (err)
		return err;
	/* hugetlbfs: what a heap does with pages is not for those */
	if (vmc_os_granule(space->fd) != vmc_os_page_size())
		err = -EINVAL;
	if (!err && limit == 0) {
		err = largest(space->fd, &space->capacity);
		space->limit = SIZE_MAX / 2;
	}
	if (err) {
		vmc_os_close(space->fd);
		return err;
	}
	if (vmc_os_file_punch(space->fd, 0, vmc_os_page_size()) == -EOPNOTSUPP)
		vmc_store_relaxed(&space->hoard, true);
	space->unit = unit_for(space->fd, space->capacity);
	if (limit > 0 && space->arenas > limit / ARENA_LIMIT)
		space->arenas = limit < 2 * ARENA_LIMIT
					? 1
					: (unsigned)(limit / ARENA_LIMIT);
	return 0;
}
