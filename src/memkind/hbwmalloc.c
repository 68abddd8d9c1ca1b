/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * hbwmalloc.c -- malloc for high-bandwidth memory, by the kinds' names
 *
 * The process has one policy. The first call that sets it or allocates fixes
 * it: a compare and swap from "open" to the policy, so that two threads cannot
 * fix different ones. HBW kinds that the machine lacks fail as their heaps do.
 */
#include "hbwmalloc.h"

#include "heap/start.h"
#include "malloc.h"

#include "base/os.h"

#include <errno.h>

#define GIGABYTE ((size_t)1 << 30)

#define OPEN 0

/* OPEN until it is settled. */
static _Atomic int policy = OPEN;

static int
settle(int wanted)
{
	int settled = OPEN;

	return vmc_cas_acq_rel(&policy, &settled, wanted) ? wanted : settled;
}

static memkind_t
kind_for(int settled, bool huge)
{
	switch (settled) {
	case HBW_POLICY_BIND:
		return huge ? MEMKIND_HBW_HUGETLB : MEMKIND_HBW;
	case HBW_POLICY_BIND_ALL:
		return huge ? MEMKIND_HBW_ALL_HUGETLB : MEMKIND_HBW_ALL;
	case HBW_POLICY_INTERLEAVE:
		return huge ? NULL : MEMKIND_HBW_INTERLEAVE;
	default:
		return huge ? MEMKIND_HBW_PREFERRED_HUGETLB
			    : MEMKIND_HBW_PREFERRED;
	}
}

static bool
is_there(void)
{
	const struct vmc_node_rules *rules = vmc_nodes_here();

	return rules && rules->high_bandwidth_error == 0;
}

/*
 * Where there is no high-bandwidth memory to prefer, the default kind is what
 * the preference falls back to.
 */
static memkind_t
kind_now(bool huge)
{
	int settled = settle(HBW_POLICY_PREFERRED);

	if (settled == HBW_POLICY_PREFERRED && !is_there())
		return huge ? MEMKIND_HUGETLB : MEMKIND_DEFAULT;
	return kind_for(settled, huge);
}

hbw_policy_t
hbw_get_policy(void)
{
	int settled = vmc_load_acquire(&policy);

	return (hbw_policy_t)(settled == OPEN ? HBW_POLICY_PREFERRED : settled);
}

int
hbw_set_policy(hbw_policy_t mode)
{
	if ((int)mode < HBW_POLICY_BIND || mode > HBW_POLICY_BIND_ALL)
		return EINVAL;
	return settle((int)mode) == (int)mode ? 0 : EPERM;
}

/* Such memory, and a way to have it for sure. */
int
hbw_check_available(void)
{
	return is_there() && memkind_check_available(MEMKIND_HBW_ALL) == 0
		       ? 0
		       : ENODEV;
}

/* Read and write a byte a page, without a change to the contents. */
static void
touch_pages(char *addr, size_t size)
{
	size_t page = vmc_os_page_size();

	for (size_t at = 0; at < size; at += page)
		vmc_fetch_add_relaxed((_Atomic char *)(addr + at), 0);
	vmc_fetch_add_relaxed((_Atomic char *)(addr + size - 1), 0);
}

int
hbw_verify_memory_region(void *addr, size_t size, int flags)
{
	const struct vmc_node_rules *rules = vmc_nodes_here();
	int err;

	if (!addr || size == 0 || (flags & ~HBW_TOUCH_PAGES) ||
		(uintptr_t)addr + size < (uintptr_t)addr)
		return EINVAL;
	if (!rules)
		return EFAULT;
	if (flags & HBW_TOUCH_PAGES)
		touch_pages(addr, size);
	err = vmc_nodes_verify(addr, size, &rules->high_bandwidth);
	return err == 0 ? 0 : err == -EFAULT ? EFAULT : -1;
}

void *
hbw_malloc(size_t size)
{
	return memkind_malloc(kind_now(false), size);
}

void *
hbw_calloc(size_t num, size_t size)
{
	return memkind_calloc(kind_now(false), num, size);
}

int
hbw_posix_memalign(void **memptr, size_t alignment, size_t size)
{
	return memkind_posix_memalign(kind_now(false), memptr, alignment, size);
}

int
hbw_posix_memalign_psize(
	void **memptr, size_t alignment, size_t size, hbw_pagesize_t pagesize)
{
	memkind_t kind;
	int settled;

	switch (pagesize) {
	case HBW_PAGESIZE_4KB:
		kind = kind_now(false);
		break;
	case HBW_PAGESIZE_2MB:
		kind = kind_now(true);
		break;
	default:
		if (pagesize != HBW_PAGESIZE_1GB &&
			(pagesize != HBW_PAGESIZE_1GB_STRICT ||
				size % GIGABYTE != 0))
			return EINVAL;
		settled = settle(HBW_POLICY_PREFERRED);
		kind = settled == HBW_POLICY_INTERLEAVE ? NULL
		       : settled == HBW_POLICY_PREFERRED
			       ? MEMKIND_HBW_PREFERRED_GBTLB
			       : MEMKIND_HBW_GBTLB;
	}
	return kind ? memkind_posix_memalign(kind, memptr, alignment, size)
		    : EINVAL;
}

void *
hbw_realloc(void *ptr, size_t size)
{
	return ptr ? memkind_realloc(NULL, ptr, size) : hbw_malloc(size);
}

void
hbw_free(void *ptr)
{
	memkind_free(NULL, ptr);
}

size_t
hbw_malloc_usable_size(void *ptr)
{
	return vmc_memkind_usable_size(NULL, ptr);
}
