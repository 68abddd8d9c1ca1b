/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pool.h -- the medium: a mapped unnamed file, or a /dev/dax device
 *
 * Gives the cache an address and a length, and knows how to copy into them
 * (through libpmem where it is persistent memory). Every function but open and
 * close may be called from any thread, growing and shrinking from one at a
 * time.
 */
#ifndef VMC_POOL_H
#define VMC_POOL_H

#include "base/atomic.h"

#include <stddef.h>
#include <string.h>

struct vmc_pool {
	/* what was asked for, rounded up to a page, or to the alignment of a
	   device or of hugetlbfs; written by who grows or shrinks it */
	_Atomic size_t size;
	/* immutable after vmc_pool_open() */
	char *base;
	size_t mapped;    /* bytes of addresses: as large as it can become */
	size_t granule;   /* of which size is a multiple */
	size_t page_size; /* of the mapping, as really obtained at opening */
	bool is_pmem;     /* persistent memory: stores go through libpmem */
	bool is_devdax;
	int fd;           /* of the file or device */
	uint64_t file[2]; /* which one that is: vmc_os_file_id() */
};

/*
 * Called now and then while prefaulting, from the calling thread only; at the
 * end with done as large as total. Other than 0, -ECANCELED or -EBADF, ends it
 * with that; -EBADF: this is a child of fork, which has no other threads.
 */
typedef int vmc_pool_progress_fn(size_t done, size_t total, void *arg);

struct vmc_prefault {
	unsigned threads; /* counting the caller; 0: one a processor; fewer
			     where they cannot be started */
	vmc_pool_progress_fn *progress; /* may be NULL */
	void *arg;
};

/* Where `most` is 0, how many times its size a pool may grow to. */
#define VMC_POOL_MOST 16

/*
 * Map `size` bytes (0: the default, VMEMCACHE_MIN_POOL or the whole device)
 * of an unnamed file in the directory `path`, or of the device DAX `path`.
 * Space is reserved now, so that a full medium is -ENOSPC here. Unless prefault
 * is NULL, every page is present afterwards. Addresses are reserved for `most`
 * bytes, as far as there are any.
 *
 * Leaves a message. -EINVAL: path is NULL, or the size exceeds the device;
 * -ENOTDIR: neither directory nor device DAX ("open: Not a directory: path");
 * -EFBIG: larger than the file system or RLIMIT_FSIZE allows; -ENOENT,
 * -EACCES, -EROFS, -ENOSPC, -ENOMEM, … as the system says.
 * Nothing is left behind on failure.
 */
int vmc_pool_open(struct vmc_pool *pool, const char *path, size_t size,
	size_t most, const struct vmc_prefault *prefault);
void vmc_pool_close(struct vmc_pool *pool);

/* That many bytes as the size of this pool; 0: that overflows. */
size_t vmc_pool_round(const struct vmc_pool *pool, size_t size);
/* Can it grow to that size? 0; or -ENOMEM, or of a device -ENOSPC; a message.
 */
int vmc_pool_has_addresses(const struct vmc_pool *pool, size_t size);
/*
 * To that size, rounded, above the one that it has. Leaves a message. -ENOMEM:
 * not so much has been mapped, or there is no memory; -ENOSPC: the medium is
 * full, or the device ends; -EFBIG and the like; what progress says. Then it is
 * as it was.
 */
int vmc_pool_grow(struct vmc_pool *pool, size_t size,
	const struct vmc_prefault *prefault);
/*
 * To that size, rounded, below the one that it has: nobody may read or write
 * what is beyond it from now on. As the system says, with a message; then it is
 * as it was.
 */
int vmc_pool_shrink(struct vmc_pool *pool, size_t size);

/*
 * A new descriptor of the file or device, close-on-exec. -EMFILE, …; -EBADF:
 * the program has closed the pool's own.
 */
int vmc_pool_descriptor(const struct vmc_pool *pool, int *fd);

/*
 * Make every page present. Contents are not changed; the pool may be in use.
 * Leaves a message; -ENOMEM, … as madvise(2) says; what progress says.
 */
int vmc_pool_prefault(
	struct vmc_pool *pool, const struct vmc_prefault *prefault);

/* Bytes that are in huge pages now, as far as the system tells. */
size_t vmc_pool_huge_bytes(const struct vmc_pool *pool);

void vmc_pool_pmem_write(void *to, const void *from, size_t size);
void vmc_pool_pmem_drain(void);

/*
 * Copy into the pool. On persistent memory with non-temporal stores, which
 * are visible to other threads in order only after vmc_pool_drain(): call
 * that once before publishing what was written.
 */
static inline void
vmc_pool_write(
	const struct vmc_pool *pool, void *to, const void *from, size_t size)
{
	if (pool->is_pmem)
		vmc_pool_pmem_write(to, from, size);
	else
		memcpy(to, from, size);
}

static inline void
vmc_pool_drain(const struct vmc_pool *pool)
{
	if (pool->is_pmem)
		vmc_pool_pmem_drain();
}

#endif
