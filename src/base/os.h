/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * os.h -- the one seam to the operating system
 *
 * Everything platform-specific that the library needs stands here, with its
 * preconditions; nothing else has an #ifdef for a platform. Functions return
 * 0 or a negative errno unless they say otherwise; none prints or aborts.
 */
#ifndef VMC_BASE_OS_H
#define VMC_BASE_OS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The size of a base page in bytes. */
size_t vmc_os_page_size(void);

/* The number of processors this process may run on, at least 1. */
unsigned vmc_os_cpu_count(void);

/* Nanoseconds of a clock that never goes back. */
uint64_t vmc_os_clock_ns(void);

/* 64 bits that an attacker cannot guess (getrandom, clock as a last resort). */
uint64_t vmc_os_random64(void);

/* Private zeroed memory, size a multiple of the page size; NULL if none. */
void *vmc_os_map_anonymous(size_t size);
void vmc_os_unmap(void *addr, size_t size);

/*
 * An unnamed file of the caller's in the directory path: O_TMPFILE where the
 * file system has it, mkstemp and unlink otherwise. Mode 0600, close-on-exec.
 * The descriptor goes to *fd.
 */
int vmc_os_open_unnamed(const char *path, int *fd);

/*
 * Give the file its length and reserve the space behind it, so that touching
 * a page later cannot fail: -ENOSPC comes from here, never a SIGBUS later.
 */
int vmc_os_reserve(int fd, uint64_t size);

/*
 * membarrier(2), private expedited. register: false where the kernel has
 * none; readers then need a fence of their own, see epoch.h. membarrier: make
 * every other thread of the process execute a full memory barrier before this
 * returns true; false if the system refused, and nothing may be concluded.
 */
bool vmc_os_membarrier_register(void);
bool vmc_os_membarrier(void);

#endif
