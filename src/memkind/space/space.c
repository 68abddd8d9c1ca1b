/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * space.c -- pieces of addresses, and which of their pages are committed
 *
 * A piece is mapped so that nobody can touch it: it is in no core dump, no
 * limit on memory counts it, and locking all memory (mlockall(2)) puts no page
 * behind it. A granule of it (2 MiB, or one huge page) is opened when the first
 * page in it is committed, and closed when the last one has been given back.
 * Each page of a piece has two bits in the record of its chunk:
 *
 *   used   jemalloc has committed it
 *   held   the medium has memory for it
 *
 * Invariants, with the lock of the space free, which vmc_space_check() walks:
 *
 *   1. a page that is used is held
 *   2. a chunk's used_pages is the number of its bits in used
 *   3. of a granule without used pages nothing is held
 *   4. space->held is the number of bits in held, in bytes
 *   5. space->held is at most space->limit, if there is one
 *
 * A medium that needs no reservation holds what is used. A file is reserved in
 * units, so it holds more; that slack is given back before a commit fails.
 *
 * Concurrency. jemalloc commits and gives back disjoint ranges at once, under
 * whatever locks it has. All of it happens under the lock of the space, which
 * calls nothing of jemalloc's. It is the last in the order of locks, and is
 * held over a fork (heap/start.c), so the child finds the bits whole. These
 * calls are far from the path of an allocation: what is free stays committed
 * for the decay time of the kind, and the system calls behind it wait for each
 * other in the kernel in any case.
 *
 * The address space that all pieces of the process take has a budget, so that
 * the program's own mappings always find room.
 *
 * Rejected: one large mapping for all that a kind might need. It is readable
 * and writable from the start or needs a call for each page; address space
 * limits count it, dumps contain it, mlockall(2) fills it. A state for each
 * unit in place of bits for pages: what is charged drifts from what the file
 * holds when units are given back in part. Bits without a lock: a page whose
 * bit is set before its reservation is there is a SIGBUS for whoever trusts
 * the bit.
 */
#include "space_internal.h"

#include "base/heritage.h"
#include "base/os.h"

#include <errno.h>

static _Atomic size_t budget_used;

/* The bits of [offset, offset + size), which lies in one chunk, in a word. */
static uint64_t
mask_of(size_t offset, size_t size, unsigned word)
{
	size_t first = (offset & (VMC_OS_CHUNK - 1)) >> VMC_PAGE_SHIFT;
	size_t end = first + (size >> VMC_PAGE_SHIFT), base = word * 64u;

	if (end <= base || first >= base + 64)
		return 0;
	first = first > base ? first - base : 0;
	end = end < base + 64 ? end - base : 64;
	return (end - first == 64 ? ~(uint64_t)0
				  : (((uint64_t)1 << (end - first)) - 1))
	       << first;
}

void
vmc_space_note_held(struct vmc_space *space, struct vmc_piece *piece,
	size_t offset, size_t size, bool held)
{
	size_t pages = 0, end = offset + size;

	for (size_t at = offset, next; at < end; at = next) {
		struct vmc_chunk *chunk = vmc_space_chunk(piece, at);
		next = vmc_space_part_end(at, end, VMC_OS_CHUNK);
		for (unsigned w = 0; w < VMC_CHUNK_WORDS; w++) {
			uint64_t mask = mask_of(at, next - at, w);
			mask &= held ? ~chunk->held[w] : chunk->held[w];
			pages += (unsigned)__builtin_popcountll(mask);
			chunk->held[w] ^= mask;
		}
	}
	size_t bytes = pages << VMC_PAGE_SHIFT;
	vmc_owner_add(&space->held, held ? bytes : -bytes);
}

size_t
vmc_space_not_held(struct vmc_piece *piece, size_t offset, size_t size)
{
	size_t pages = 0, end = offset + size;

	for (size_t at = offset, next; at < end; at = next) {
		const struct vmc_chunk *chunk = vmc_space_chunk(piece, at);
		next = vmc_space_part_end(at, end, VMC_OS_CHUNK);
		for (unsigned w = 0; w < VMC_CHUNK_WORDS; w++)
			pages += (unsigned)__builtin_popcountll(
				mask_of(at, next - at, w) & ~chunk->held[w]);
	}
	return pages << VMC_PAGE_SHIFT;
}

static void
note_used(struct vmc_piece *piece, size_t offset, size_t size, bool used)
{
	for (size_t at = offset, end = offset + size, next; at < end;
		at = next) {
		struct vmc_chunk *chunk = vmc_space_chunk(piece, at);
		next = vmc_space_part_end(at, end, VMC_OS_CHUNK);
		for (unsigned w = 0; w < VMC_CHUNK_WORDS; w++) {
			uint64_t mask = mask_of(at, next - at, w);
			if (used)
				chunk->used[w] |= mask;
			else
				chunk->used[w] &= ~mask;
		}
		unsigned pages = (unsigned)((next - at) >> VMC_PAGE_SHIFT);
		chunk->used_pages += used ? pages : -pages;
	}
}

bool
vmc_space_is_used(
	const struct vmc_space *space, struct vmc_piece *piece, size_t offset)
{
	offset &= ~(space->granule - 1);
	for (size_t at = offset; at < offset + space->granule;
		at += VMC_OS_CHUNK)
		if (vmc_space_chunk(piece, at)->used_pages > 0)
			return true;
	return false;
}

/*
 * Call the function for each longest run of granules without used pages that
 * touches [offset, offset + size). The first error ends it; *end: where.
 */
static int
each_unused_run(struct vmc_space *space, struct vmc_piece *piece, size_t offset,
	size_t size,
	int (*each)(struct vmc_space *space, struct vmc_piece *piece, size_t at,
		size_t run),
	size_t *end)
{
	const size_t granule = space->granule;
	size_t at = offset & ~(granule - 1), first;
	int err = 0;

	*end = (offset + size + granule - 1) & ~(granule - 1);
	while (at < *end) {
		if (vmc_space_is_used(space, piece, at)) {
			at += granule;
			continue;
		}
		for (first = at;
			at < *end && !vmc_space_is_used(space, piece, at);)
			at += granule;
		err = each(space, piece, first, at - first);
		if (err)
			*end = first;
	}
	return err;
}

static int
open_run(
	struct vmc_space *space, struct vmc_piece *piece, size_t at, size_t run)
{
	return space->medium->open(space, piece, at, run);
}

static int
close_run(
	struct vmc_space *space, struct vmc_piece *piece, size_t at, size_t run)
{
	space->medium->close(space, piece, at, run);
	vmc_space_note_held(space, piece, at, run, false);
	return 0;
}

static void
close_unused(struct vmc_space *space, struct vmc_piece *piece, size_t offset,
	size_t size)
{
	size_t end;

	each_unused_run(space, piece, offset, size, close_run, &end);
}

/* The piece of an address that is in one, and where in it. */
static struct vmc_piece *
piece_of(void *addr, size_t *offset)
{
	struct vmc_piece *piece = vmc_map_at(addr)->piece;

	*offset = (size_t)((char *)addr - piece->base);
	return piece;
}

/* May what is behind the addresses be changed? Then it is going to be. */
static bool
begin_change(struct vmc_space *space)
{
	if (vmc_load_relaxed(&space->inert))
		return false;
	if (space->heritage && !vmc_heritage_is_owner(space->heritage))
		return false;
	if (space->heritage)
		vmc_heritage_change(space->heritage);
	return true;
}

int
vmc_space_commit(struct vmc_space *space, void *addr, size_t size)
{
	size_t offset, opened;
	struct vmc_piece *piece = piece_of(addr, &offset);
	int err = -ENOMEM;

	if (!begin_change(space))
		return err;
	vmc_lock_acquire(&space->lock);
	err = each_unused_run(space, piece, offset, size, open_run, &opened);
	if (!err)
		err = space->medium->hold(space, piece, offset, size);
	if (!err)
		note_used(piece, offset, size, true);
	else if (opened > offset)
		close_unused(space, piece, offset,
			opened < offset + size ? opened - offset : size);
	vmc_lock_release(&space->lock);
	return err;
}

int
vmc_space_decommit(struct vmc_space *space, void *addr, size_t size)
{
	size_t offset;
	struct vmc_piece *piece = piece_of(addr, &offset);
	int err;

	if (vmc_load_relaxed(&space->hoard) || !begin_change(space))
		return -EOPNOTSUPP;
	vmc_lock_acquire(&space->lock);
	note_used(piece, offset, size, false);
	err = space->medium->discard(space, piece, offset, size);
	if (err)
		note_used(piece, offset, size, true);
	else
		close_unused(space, piece, offset, size);
	vmc_lock_release(&space->lock);
	return err;
}

/* The bytes of the piece's own record. */
static size_t
record_size(size_t size)
{
	size_t mask = vmc_os_page_size() - 1;

	return (sizeof(struct vmc_piece) +
		       (size >> VMC_OS_CHUNK_SHIFT) * sizeof(struct vmc_chunk) +
		       mask) &
	       ~mask;
}

static void
free_piece(struct vmc_piece *piece)
{
	size_t size = piece->size;

	vmc_map_set(piece->base, size, NULL, 0);
	vmc_os_unmap(piece->base, size);
	vmc_os_unmap(piece, record_size(size));
	vmc_fetch_add_relaxed(&budget_used, -size);
}

static int
map_piece(struct vmc_space *space, struct vmc_arena *arena, unsigned number,
	size_t size, size_t align, struct vmc_piece **made)
{
	struct vmc_piece *piece = vmc_os_map_anonymous(record_size(size));
	void *addr;
	int err;

	if (!piece)
		return -ENOMEM;
	piece->size = size;
	err = space->medium->map(space, size, align, &piece->offset, &addr);
	if (err)
		goto no_addresses;
	piece->base = addr;
	for (size_t at = 0; at < size; at += VMC_OS_CHUNK) {
		struct vmc_chunk *chunk = vmc_space_chunk(piece, at);
		chunk->owner = space->owner;
		chunk->piece = piece;
		vmc_store_relaxed(&chunk->arena, arena);
	}
	if (space->place)
		err = space->place(space, number, addr, size);
	if (!err)
		err = vmc_map_set(addr, size, piece->chunks, 1);
	if (!err) {
		*made = piece;
		return 0;
	}
	vmc_os_unmap(addr, size);
no_addresses:
	vmc_os_unmap(piece, record_size(size));
	return err;
}

int
vmc_space_grow(struct vmc_space *space, struct vmc_arena *arena,
	unsigned number, size_t size, size_t align, struct vmc_piece **piece)
{
	int err = -ENOMEM;

	if (size > VMC_SPACE_BUDGET || !begin_change(space))
		return err;
	size = (size + space->granule - 1) & ~(space->granule - 1);
	if (align < space->granule)
		align = space->granule;
	if (vmc_fetch_add_relaxed(&budget_used, size) + size <=
		VMC_SPACE_BUDGET) {
		vmc_lock_acquire(&space->lock);
		err = map_piece(space, arena, number, size, align, piece);
		if (!err) {
			(*piece)->next = space->pieces;
			space->pieces = *piece;
		}
		vmc_lock_release(&space->lock);
	}
	if (err)
		vmc_fetch_add_relaxed(&budget_used, -size);
	return err;
}

int
vmc_space_open(struct vmc_space *space, unsigned owner)
{
	space->owner = owner;
	vmc_lock_init(&space->lock, VMC_RANK_SPACE);
	return space->medium->enter ? space->medium->enter(space) : 0;
}

void
vmc_space_destroy(struct vmc_space *space)
{
	struct vmc_piece *piece;

	while ((piece = space->pieces)) {
		space->pieces = piece->next;
		free_piece(piece);
	}
	if (space->medium->leave)
		space->medium->leave(space);
	if (space->fd >= 0)
		vmc_os_close(space->fd);
}

void
vmc_space_before_fork(struct vmc_space *space)
{
	pthread_mutex_lock(&space->lock.mutex);
}

void
vmc_space_after_fork(struct vmc_space *space)
{
	pthread_mutex_unlock(&space->lock.mutex);
}

static int
check_chunk(const struct vmc_chunk *chunk, size_t *held)
{
	unsigned used = 0;

	for (unsigned w = 0; w < VMC_CHUNK_WORDS; w++) {
		if (chunk->used[w] & ~chunk->held[w])
			return 1;
		used += (unsigned)__builtin_popcountll(chunk->used[w]);
		*held += (size_t)__builtin_popcountll(chunk->held[w])
			 << VMC_PAGE_SHIFT;
	}
	return used == chunk->used_pages ? 0 : 2;
}

int
vmc_space_check(struct vmc_space *space)
{
	size_t held = 0, before;
	struct vmc_piece *piece;
	int wrong = 0;

	vmc_lock_acquire(&space->lock);
	for (piece = space->pieces; piece && !wrong; piece = piece->next) {
		for (size_t at = 0; at < piece->size && !wrong;
			at += VMC_OS_CHUNK) {
			before = held;
			wrong = check_chunk(vmc_space_chunk(piece, at), &held);
			if (!wrong && held > before &&
				!vmc_space_is_used(space, piece, at))
				wrong = 3;
		}
	}
	if (!wrong && held != vmc_load_relaxed(&space->held))
		wrong = 4;
	if (!wrong && space->limit > 0 && held > space->limit)
		wrong = 5;
	vmc_lock_release(&space->lock);
	return wrong;
}
