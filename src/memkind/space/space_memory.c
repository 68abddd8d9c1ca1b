/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * space_memory.c -- spaces of private memory, and of the program's
 *
 * anonymous  private pages that appear when touched; given back with
 *            MADV_DONTNEED. No swap is reserved for them.
 * huge       pages that are taken from the system's pool when the first part
 *            of one is committed. MADV_POPULATE_WRITE takes them and says so
 *            when there are none left, where touching would be a SIGBUS. A
 *            page goes back when nothing in it is used any more; what goes
 *            earlier is zeroed here.
 * user       the program's memory: there is nothing to be done.
 *
 * Rejected for huge pages: giving back whole pages only when jemalloc gives
 * them back as a whole. It gives back what is free between two objects, which
 * rarely begins and ends with a huge page, so nothing went back.
 */
#include "size_class.h"
#include "space_internal.h"

#include "base/os.h"

#include <errno.h>
#include <string.h>

static int
anonymous_map(struct vmc_space *space, size_t size, size_t align,
	size_t *offset, void **addr)
{
	(void)space;
	*offset = 0;
	return vmc_os_space_map(size, align, addr);
}

static int
anonymous_open(struct vmc_space *space, struct vmc_piece *piece, size_t offset,
	size_t size)
{
	(void)space;
	return vmc_os_space_open(piece->base + offset, size, true);
}

/*
 * Of private pages what was used has been discarded. The system may have put
 * pages behind the rest as well: a huge one, or all where memory is locked.
 */
static void
discard_and_close(struct vmc_space *space, struct vmc_piece *piece,
	size_t offset, size_t size)
{
	(void)space;
	vmc_os_discard(piece->base + offset, size);
	vmc_os_space_close(piece->base + offset, size);
}

static int
anonymous_hold(struct vmc_space *space, struct vmc_piece *piece, size_t offset,
	size_t size)
{
	vmc_space_note_held(space, piece, offset, size, true);
	return 0;
}

static int
anonymous_discard(struct vmc_space *space, struct vmc_piece *piece,
	size_t offset, size_t size)
{
	int err = vmc_os_discard(piece->base + offset, size);

	if (!err)
		vmc_space_note_held(space, piece, offset, size, false);
	return err;
}

const struct vmc_medium vmc_medium_anonymous = {
	.map = anonymous_map,
	.open = anonymous_open,
	.close = discard_and_close,
	.hold = anonymous_hold,
	.discard = anonymous_discard,
};

static int
huge_map(struct vmc_space *space, size_t size, size_t align, size_t *offset,
	void **addr)
{
	*offset = 0;
	return vmc_os_space_map_huge(
		size, align, (unsigned)__builtin_ctzl(space->granule), addr);
}

static int
huge_open(struct vmc_space *space, struct vmc_piece *piece, size_t offset,
	size_t size)
{
	int err = vmc_os_space_open(piece->base + offset, size, true);

	if (!err)
		err = vmc_os_populate(piece->base + offset, size);
	if (err)
		discard_and_close(space, piece, offset, size);
	else
		vmc_space_note_held(space, piece, offset, size, true);
	return err;
}

static int
huge_hold(struct vmc_space *space, struct vmc_piece *piece, size_t offset,
	size_t size)
{
	(void)space, (void)piece, (void)offset, (void)size;
	return 0;
}

/* What is in a page that goes as a whole need not be zeroed. */
static int
huge_discard(struct vmc_space *space, struct vmc_piece *piece, size_t offset,
	size_t size)
{
	for (size_t at = offset, end = offset + size, next; at < end;
		at = next) {
		next = vmc_space_part_end(at, end, space->granule);
		if (vmc_space_is_used(space, piece, at))
			memset(piece->base + at, 0, next - at);
	}
	return 0;
}

const struct vmc_medium vmc_medium_huge = {
	.map = huge_map,
	.open = huge_open,
	.close = discard_and_close,
	.hold = huge_hold,
	.discard = huge_discard,
};

void
vmc_space_anonymous(
	struct vmc_space *space, unsigned arenas, unsigned page_shift)
{
	*space = (struct vmc_space){
		.medium = page_shift ? &vmc_medium_huge : &vmc_medium_anonymous,
		.arenas = arenas,
		.granule = page_shift ? (size_t)1 << page_shift : VMC_OS_CHUNK,
		.fd = -1};
}

/* What parts may take of the caller's memory, and the least that is one. */
#define SHARE_OF_PARTS 4
#define SMALLEST_PART VMC_OS_CHUNK

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
		.capacity = end - first,
		.arenas = arenas,
		.fd = -1};
	size_t parts = space->capacity / SHARE_OF_PARTS;
	if (space->arenas > parts / SMALLEST_PART)
		space->arenas = (unsigned)(parts / SMALLEST_PART) + 1;
	if (space->arenas > 1)
		space->part = vmc_class_below(parts / (space->arenas - 1)) &
			      ~(VMC_OS_CHUNK - 1);
	return 0;
}

/* The chunks that the caller's memory fills: from first, so many bytes. */
static size_t
whole_chunks(const struct vmc_space *space, uintptr_t *first)
{
	uintptr_t base = (uintptr_t)space->base, mask = VMC_OS_CHUNK - 1;
	uintptr_t end = (base + space->capacity) & ~mask;

	*first = (base + mask) & ~mask;
	return end > *first ? end - *first : 0;
}

static size_t
records_size(size_t chunks)
{
	size_t mask = vmc_os_page_size() - 1;

	return (chunks * sizeof(struct vmc_chunk) + mask) & ~mask;
}

/*
 * A chunk of which only a part is the caller's may have other kinds in it. Its
 * record stays for good: nobody can tell when the last of them has gone.
 */
static int
enter_shared(uintptr_t at)
{
	struct vmc_chunk *chunk = vmc_map_find((void *)at);

	if (chunk)
		return 0;
	chunk = vmc_os_map_anonymous(records_size(1));
	if (!chunk)
		return -ENOMEM;
	chunk->owner = VMC_OWNER_SHARED;
	if (vmc_map_set((void *)at, 1, chunk, 0) == 0)
		return 0;
	vmc_os_unmap(chunk, records_size(1));
	return -ENOMEM;
}

static int
enter_user(struct vmc_space *space)
{
	uintptr_t first, base = (uintptr_t)space->base;
	uintptr_t last = base + space->capacity - 1;
	size_t size = whole_chunks(space, &first);
	size_t chunks = size >> VMC_OS_CHUNK_SHIFT;
	int err = 0;

	if (base != first)
		err = enter_shared(base);
	if (!err && last >= first + size)
		err = enter_shared(last);
	if (err || size == 0)
		return err;
	space->chunks = vmc_os_map_anonymous(records_size(chunks));
	if (!space->chunks)
		return -ENOMEM;
	for (size_t i = 0; i < chunks; i++)
		space->chunks[i].owner = space->owner;
	return vmc_map_set((void *)first, size, space->chunks, 1);
}

static void
leave_user(struct vmc_space *space)
{
	uintptr_t first;
	size_t size = whole_chunks(space, &first);

	if (!space->chunks)
		return;
	vmc_map_set((void *)first, size, NULL, 0);
	vmc_os_unmap(space->chunks, records_size(size >> VMC_OS_CHUNK_SHIFT));
}

void
vmc_space_note_arena(void *addr, size_t size, struct vmc_arena *arena)
{
	for (size_t at = 0; at < size; at += VMC_OS_CHUNK)
		vmc_store_relaxed(&vmc_map_at((char *)addr + at)->arena, arena);
}

const struct vmc_medium vmc_medium_user = {
	.enter = enter_user,
	.leave = leave_user,
};
