/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * space.h -- the addresses of a kind, and the memory behind them
 *
 * space   all addresses of one kind, and their medium
 * piece   a range of whole chunks (2 MiB) within a space, of one arena
 * part    in the caller's memory: a range that is an object of the first arena,
 *         and serves another one
 *
 *   space in a file:      | piece of arena 1 | piece of 2 | piece of 1 | ...
 *   the caller's memory:  | first arena           | part | part | first arena |
 *
 * A space begins empty. When an arena needs addresses, a piece is mapped for
 * it, and stays that arena's as long as the space lives. The pages of a piece
 * have no memory, and cannot be touched, until they are committed. The caller's
 * memory has no pieces: it is there from the beginning, and belongs to the
 * first arena.
 */
#ifndef VMC_MEMKIND_SPACE_H
#define VMC_MEMKIND_SPACE_H

#include "address_map.h"

#include "base/atomic.h"
#include "base/lock.h"

#include <stdint.h>

struct vmc_heritage;
struct vmc_kind_type;
struct vmc_space;

/* The most arenas of one kind: more threads than these share some. */
#define VMC_KIND_ARENAS 64

/* A range of addresses, of one arena. */
struct vmc_piece {
	/* immutable */
	struct vmc_piece *next; /* of its space */
	char *base;
	size_t size;
	size_t offset; /* where it begins in the file */

	_Atomic size_t granted; /* bytes that jemalloc was given, from below */
	struct vmc_chunk chunks[];
};

/*
 * What is behind the addresses: one table of functions for each medium. They
 * return 0 or a negative errno.
 */
struct vmc_medium {
	/*
	 * What is there before any piece: into the address map, and out of it
	 * at the end. NULL: nothing.
	 */
	int (*enter)(struct vmc_space *space);
	void (*leave)(struct vmc_space *space);
	/*
	 * The rest is for media with pieces, and is called with the lock of the
	 * space, on whole pages of a piece.
	 */
	/* addresses that nobody can touch; *offset: of the file */
	int (*map)(struct vmc_space *space, size_t size, size_t align,
		size_t *offset, void **addr);
	/*
	 * Let these granules be touched, and no longer: then they read as
	 * zeros the next time. What cannot be closed stays open.
	 */
	int (*open)(struct vmc_space *space, struct vmc_piece *piece,
		size_t offset, size_t size);
	void (*close)(struct vmc_space *space, struct vmc_piece *piece,
		size_t offset, size_t size);
	/*
	 * Put memory behind pages of open granules, which read as zeros, and
	 * note what is held then.
	 */
	int (*hold)(struct vmc_space *space, struct vmc_piece *piece,
		size_t offset, size_t size);
	/*
	 * Give back what is behind pages that are no longer used, and note it;
	 * should they be held again, they read as zeros.
	 */
	int (*discard)(struct vmc_space *space, struct vmc_piece *piece,
		size_t offset, size_t size);
};

extern const struct vmc_medium vmc_medium_anonymous;
extern const struct vmc_medium vmc_medium_huge;
extern const struct vmc_medium vmc_medium_file;
extern const struct vmc_medium vmc_medium_user;

struct vmc_space {
	/* immutable after creation */
	const struct vmc_medium *medium;
	unsigned owner;  /* in the address map */
	unsigned arenas; /* at most */
	size_t granule;  /* bytes that are opened and closed at once */
	size_t capacity; /* bytes that it can ever hold, or about that */
	int fd;          /* vmc_medium_file, else -1 */
	size_t limit;    /* vmc_medium_file: bytes of the file to use */
	size_t unit;     /* vmc_medium_file: what is reserved at once */
	/* vmc_medium_user */
	char *base;
	size_t part;              /* bytes of one, or 0 */
	struct vmc_chunk *chunks; /* the records of whole chunks */
	/*
	 * Choose where the memory of a fresh piece for that arena comes from;
	 * NULL: anywhere. type: for that function.
	 */
	const struct vmc_kind_type *type;
	int (*place)(const struct vmc_space *space, unsigned arena, void *addr,
		size_t size);

	_Atomic bool hoard; /* do not give anything back, or cannot */
	/*
	 * Change nothing behind the addresses: they are about to go, or what
	 * is behind them belongs to the process that forked.
	 */
	_Atomic bool inert;

	/*
	 * Of a kind that processes share, else NULL. In a child of a fork
	 * nothing may reach a medium that is the parent's: its bits are of the
	 * time of the fork, and so is what jemalloc's own threads would give
	 * back.
	 */
	struct vmc_heritage *heritage;

	struct vmc_lock lock; /* of what follows, of all pieces and chunks */
	struct vmc_piece *pieces;
	size_t file_end; /* of what the pieces have of the file */
	/*
	 * Bytes that the medium holds: of all pages whose bit in held is set.
	 * Written under the lock; readers outside get a recent value.
	 */
	_Atomic size_t held;
};

/*
 * What all spaces of the process may take of its addresses: an eighth of what
 * 47 bits can address.
 */
#define VMC_SPACE_BUDGET ((size_t)1 << 44)

/*
 * The makers fill *space; on failure nothing is left behind. Counts are above
 * zero.
 */
void vmc_space_anonymous(
	struct vmc_space *space, unsigned arenas, unsigned page_shift);

/*
 * An unnamed file in the directory. limit 0: as much as the file system has;
 * else whole chunks. Fewer arenas than wanted where the limit is low.
 * -EINVAL: its pages are not the usual ones (hugetlbfs).
 */
int vmc_space_file(struct vmc_space *space, const char *directory, size_t limit,
	unsigned arenas);

/*
 * The caller's memory; -EINVAL: too little to hold anything. Fewer arenas than
 * wanted where it is too little for all.
 */
int vmc_space_user(
	struct vmc_space *space, void *addr, size_t size, unsigned arenas);

/*
 * Before anything else: its owner in the address map. Enters the caller's
 * memory there. -ENOMEM.
 */
int vmc_space_open(struct vmc_space *space, unsigned owner);

/* All arenas in it must be gone. It may not have been opened. */
void vmc_space_destroy(struct vmc_space *space);

/*
 * A fresh piece of at least so many bytes for that arena, which has this number
 * within the kind, at a multiple of align, a power of two. -ENOMEM: the process
 * has no more addresses, or the medium does not give any.
 */
int vmc_space_grow(struct vmc_space *space, struct vmc_arena *arena,
	unsigned number, size_t size, size_t align, struct vmc_piece **piece);

/*
 * Make pages of a piece usable, which read as zeros then, and give them back.
 * -ENOSPC, -ENOMEM: that much is not to be had; a range that cannot be given
 * back stays usable. Not for the caller's memory.
 */
int vmc_space_commit(struct vmc_space *space, void *addr, size_t size);
int vmc_space_decommit(struct vmc_space *space, void *addr, size_t size);

/*
 * Around fork(), inside of jemalloc's locks: its bits stay as they are. The
 * locks of several spaces are held at once only here, so they need no order.
 */
void vmc_space_before_fork(struct vmc_space *space);
void vmc_space_after_fork(struct vmc_space *space);

/* Whole chunks of the caller's memory are this arena's, NULL: the first's. */
void vmc_space_note_arena(void *addr, size_t size, struct vmc_arena *arena);

/*
 * The invariants, for tests. 0: they hold; else the number of the one that
 * does not (space.c).
 */
int vmc_space_check(struct vmc_space *space);

#endif
