/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * memkind_deprecated.h -- names that old programs still use
 *
 * Included by memkind.h. New programs should not use anything in here.
 */
#ifndef VMC_MEMKIND_DEPRECATED_H
#define VMC_MEMKIND_DEPRECATED_H

#include "memkind.h"

#ifdef __cplusplus
extern "C" {
#endif

#pragma GCC visibility push(default)

#ifndef MEMKIND_DEPRECATED
#define MEMKIND_DEPRECATED(declaration) declaration __attribute__((deprecated))
#endif

/*
 * Kinds of gigabyte pages. They are served like the HUGETLB kinds, with
 * pages of 1 GiB.
 */
extern memkind_t MEMKIND_HBW_GBTLB;
extern memkind_t MEMKIND_HBW_PREFERRED_GBTLB;
extern memkind_t MEMKIND_GBTLB;

/*
 * The static kind with this number, or the created one that had it as its
 * number when it was made. 0, or MEMKIND_ERROR_UNAVAILABLE.
 */
int MEMKIND_DEPRECATED(
	memkind_get_kind_by_partition(int partition, memkind_t *kind));

enum memkind_base_partition {
	MEMKIND_PARTITION_DEFAULT = 0,
	MEMKIND_PARTITION_HBW = 1,
	MEMKIND_PARTITION_HBW_HUGETLB = 2,
	MEMKIND_PARTITION_HBW_PREFERRED = 3,
	MEMKIND_PARTITION_HBW_PREFERRED_HUGETLB = 4,
	MEMKIND_PARTITION_HUGETLB = 5,
	MEMKIND_PARTITION_HBW_GBTLB = 6,
	MEMKIND_PARTITION_HBW_PREFERRED_GBTLB = 7,
	MEMKIND_PARTITION_GBTLB = 8,
	MEMKIND_PARTITION_HBW_INTERLEAVE = 9,
	MEMKIND_PARTITION_INTERLEAVE = 10,
	MEMKIND_PARTITION_REGULAR = 11,
	MEMKIND_PARTITION_HBW_ALL = 12,
	MEMKIND_PARTITION_HBW_ALL_HUGETLB = 13,
	MEMKIND_PARTITION_DAX_KMEM = 14,
	MEMKIND_PARTITION_DAX_KMEM_ALL = 15,
	MEMKIND_PARTITION_DAX_KMEM_PREFERRED = 16,
	MEMKIND_PARTITION_DAX_KMEM_INTERLEAVE = 17,
	MEMKIND_PARTITION_HIGHEST_CAPACITY = 18,
	MEMKIND_PARTITION_HIGHEST_CAPACITY_PREFERRED = 19,
	MEMKIND_PARTITION_HIGHEST_CAPACITY_LOCAL = 20,
	MEMKIND_PARTITION_HIGHEST_CAPACITY_LOCAL_PREFERRED = 21,
	MEMKIND_PARTITION_LOWEST_LATENCY_LOCAL = 22,
	MEMKIND_PARTITION_LOWEST_LATENCY_LOCAL_PREFERRED = 23,
	MEMKIND_PARTITION_HIGHEST_BANDWIDTH_LOCAL = 24,
	MEMKIND_PARTITION_HIGHEST_BANDWIDTH_LOCAL_PREFERRED = 25,
	MEMKIND_NUM_BASE_KIND
};

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif

#endif
