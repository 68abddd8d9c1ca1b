/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * hbwmalloc.h -- malloc for high-bandwidth memory
 *
 * The C library's heap calls under the prefix hbw_, over the HBW kinds of
 * memkind.h. One policy holds for the whole process; it is fixed by the first
 * call that sets it or allocates. All calls may be made from any thread.
 * Manual: hbwmalloc(3).
 */
#ifndef VMC_HBWMALLOC_H
#define VMC_HBWMALLOC_H

#include <stdlib.h>

#ifdef __cplusplus
extern "C" {
#endif

#pragma GCC visibility push(default)

typedef enum {
	/* the closest high-bandwidth nodes, or failure */
	HBW_POLICY_BIND = 1,
	/* the closest, then anything else; the default */
	HBW_POLICY_PREFERRED = 2,
	/* interleaved over all high-bandwidth nodes */
	HBW_POLICY_INTERLEAVE = 3,
	/* any high-bandwidth node, or failure */
	HBW_POLICY_BIND_ALL = 4
} hbw_policy_t;

typedef enum {
	HBW_PAGESIZE_4KB = 1,
	HBW_PAGESIZE_2MB = 2,
	/* deprecated */
	HBW_PAGESIZE_1GB_STRICT = 3,
	HBW_PAGESIZE_1GB = 4,
	HBW_PAGESIZE_MAX_VALUE
} hbw_pagesize_t;

/* For hbw_verify_memory_region(). */
enum {
	/* read and write each page first, so that it is there */
	HBW_TOUCH_PAGES = 1 << 0
};

hbw_policy_t hbw_get_policy(void);

/*
 * Returns 0; EINVAL: unknown policy; EPERM: another policy is fixed already.
 */
int hbw_set_policy(hbw_policy_t mode);

/* 0, or ENODEV: this machine has no high-bandwidth memory. */
int hbw_check_available(void);

/*
 * 0 if every page of the range is high-bandwidth memory, -1 if one is not;
 * EINVAL: addr is NULL, size is 0 or flags are unknown; EFAULT: the range
 * cannot be checked.
 */
int hbw_verify_memory_region(void *addr, size_t size, int flags);

/* Return NULL for zero bytes, and with errno ENOMEM if there is no memory. */
void *hbw_malloc(size_t size);
void *hbw_calloc(size_t num, size_t size);

/*
 * 0, ENOMEM, or EINVAL: the alignment is no power of two, or below
 * sizeof(void *), or there are no such pages under the policy.
 */
int hbw_posix_memalign(void **memptr, size_t alignment, size_t size);
int hbw_posix_memalign_psize(
	void **memptr, size_t alignment, size_t size, hbw_pagesize_t pagesize);

/* ptr was returned by one of the calls above, or is NULL. */
void *hbw_realloc(void *ptr, size_t size);
void hbw_free(void *ptr);
size_t hbw_malloc_usable_size(void *ptr);

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif

#endif
