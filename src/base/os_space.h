/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * os_space.h -- the interface to the operating system: address space for heaps
 *
 * A heap takes a large range of addresses at once and has memory put behind
 * parts of it and taken away again. Functions return 0 or a negative errno.
 */
#ifndef VMC_BASE_OS_SPACE_H
#define VMC_BASE_OS_SPACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Every range begins at a multiple of this, and owns whole ones. */
#define VMC_OS_CHUNK_SHIFT 21
#define VMC_OS_CHUNK ((size_t)1 << VMC_OS_CHUNK_SHIFT)

/* Sizes below are multiples of VMC_OS_CHUNK. */

/*
 * Addresses at a multiple of align (a power of two, at least VMC_OS_CHUNK),
 * which nobody can touch, and which are in no core dump. _file: of the file,
 * from that offset on, shared. _huge: for huge pages of 1 << page_shift bytes,
 * which divides size, from the system's pool, none of which is reserved by
 * this. -EINVAL: there are no pages of that size.
 */
int vmc_os_space_map(size_t size, size_t align, void **addr);
int vmc_os_space_map_file(
	int fd, size_t offset, size_t size, size_t align, void **addr);
int vmc_os_space_map_huge(
	size_t size, size_t align, unsigned page_shift, void **addr);

/*
 * Let them be read and written, and no longer. dump: they are in core dumps
 * meanwhile. What cannot be closed stays as it is. -ENOMEM: a limit of the
 * process, or too many mappings.
 */
int vmc_os_space_open(void *addr, size_t size, bool dump);
void vmc_os_space_close(void *addr, size_t size);

/* Give the file that length without space behind it. -EFBIG: too long. */
int vmc_os_file_stretch(int fd, size_t size);

/*
 * Reserve the file's space in that range: -ENOSPC comes from here, never a
 * SIGBUS later. Existing contents stay. -EOPNOTSUPP: this file system cannot.
 * -ENOMEM: it is in memory, of which there is not enough.
 */
int vmc_os_file_reserve(int fd, size_t offset, size_t size);

/*
 * The same where it cannot: a byte a page, rewritten as it is, makes it
 * allocate. Nobody else may write to the range meanwhile.
 */
int vmc_os_file_touch(int fd, size_t offset, size_t size);

/*
 * Give the space back; the range reads as zeros then. -EOPNOTSUPP: this file
 * system cannot.
 */
int vmc_os_file_punch(int fd, size_t offset, size_t size);

/*
 * All the space of the file system that the file is on, 0: it says nothing,
 * SIZE_MAX: more than can be counted.
 */
int vmc_os_file_system_size(int fd, size_t *size);

/* Bytes that the file occupies. */
int vmc_os_file_occupied(int fd, size_t *size);

/* Give private pages back; they read as zeros then. */
int vmc_os_discard(void *addr, size_t size);

/* No transparent huge pages there. Best effort. */
void vmc_os_small_pages(void *addr, size_t size);

/* The NUMA node of the processor that the caller runs on. */
unsigned vmc_os_current_node(void);

/* 0: the file, or the directory, is on DAX memory; -EOPNOTSUPP: not. */
int vmc_os_file_check_dax(int fd);
int vmc_os_check_dax(const char *directory);

#endif
