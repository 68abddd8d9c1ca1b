/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * static_kinds.c -- the kinds that are always there, and how to choose one
 *
 * Their types are in space/types.c. memkind_create_kind() makes no kind: it
 * returns the static kind that fits. Any thread may call this at any time.
 */
#include "heap/kind.h"
#include "heap/start.h"

#define STATIC_KIND(name)                                                      \
	memkind_t MEMKIND_##name = &vmc_kinds[MEMKIND_PARTITION_##name]

STATIC_KIND(REGULAR);
STATIC_KIND(HUGETLB);
STATIC_KIND(GBTLB);
STATIC_KIND(INTERLEAVE);
STATIC_KIND(HBW);
STATIC_KIND(HBW_ALL);
STATIC_KIND(HBW_PREFERRED);
STATIC_KIND(HBW_HUGETLB);
STATIC_KIND(HBW_ALL_HUGETLB);
STATIC_KIND(HBW_PREFERRED_HUGETLB);
STATIC_KIND(HBW_GBTLB);
STATIC_KIND(HBW_PREFERRED_GBTLB);
STATIC_KIND(HBW_INTERLEAVE);
STATIC_KIND(DAX_KMEM);
STATIC_KIND(DAX_KMEM_ALL);
STATIC_KIND(DAX_KMEM_PREFERRED);
STATIC_KIND(DAX_KMEM_INTERLEAVE);
STATIC_KIND(HIGHEST_CAPACITY);
STATIC_KIND(HIGHEST_CAPACITY_PREFERRED);
STATIC_KIND(HIGHEST_CAPACITY_LOCAL);
STATIC_KIND(HIGHEST_CAPACITY_LOCAL_PREFERRED);
STATIC_KIND(LOWEST_LATENCY_LOCAL);
STATIC_KIND(LOWEST_LATENCY_LOCAL_PREFERRED);
STATIC_KIND(HIGHEST_BANDWIDTH_LOCAL);
STATIC_KIND(HIGHEST_BANDWIDTH_LOCAL_PREFERRED);

int
memkind_check_available(memkind_t kind)
{
	if (!kind)
		return MEMKIND_ERROR_INVALID;
	vmc_kinds_init();
	return kind->number < MEMKIND_NUM_BASE_KIND
		       ? vmc_type_available(&vmc_static_types[kind->number])
		       : MEMKIND_SUCCESS;
}

ssize_t
memkind_get_capacity(memkind_t kind)
{
	if (!kind)
		return -1;
	vmc_kinds_init();
	return kind->number >= MEMKIND_NUM_BASE_KIND
		       ? (ssize_t)kind->space.capacity
		       : vmc_type_capacity(&vmc_static_types[kind->number]);
}

/* What memkind_create_kind() can give; the first row that fits. */
static const struct {
	int types;
	memkind_policy_t policy;
	int partition, partition_huge; /* -1: not with huge pages */
	bool fallback;                 /* the default kind, if there is none */
} offered[] = {
	{MEMKIND_MEMTYPE_HIGH_BANDWIDTH, MEMKIND_POLICY_BIND_LOCAL,
		MEMKIND_PARTITION_HBW, MEMKIND_PARTITION_HBW_HUGETLB, false},
	{MEMKIND_MEMTYPE_HIGH_BANDWIDTH, MEMKIND_POLICY_BIND_ALL,
		MEMKIND_PARTITION_HBW_ALL, MEMKIND_PARTITION_HBW_ALL_HUGETLB,
		false},
	{MEMKIND_MEMTYPE_HIGH_BANDWIDTH, MEMKIND_POLICY_PREFERRED_LOCAL,
		MEMKIND_PARTITION_HBW_PREFERRED,
		MEMKIND_PARTITION_HBW_PREFERRED_HUGETLB, true},
	{MEMKIND_MEMTYPE_HIGH_BANDWIDTH, MEMKIND_POLICY_INTERLEAVE_ALL,
		MEMKIND_PARTITION_HBW_INTERLEAVE, -1, false},
	{MEMKIND_MEMTYPE_DEFAULT, MEMKIND_POLICY_PREFERRED_LOCAL,
		MEMKIND_PARTITION_DEFAULT, MEMKIND_PARTITION_HUGETLB, true},
	{MEMKIND_MEMTYPE_DEFAULT | MEMKIND_MEMTYPE_HIGH_BANDWIDTH,
		MEMKIND_POLICY_INTERLEAVE_ALL, MEMKIND_PARTITION_INTERLEAVE, -1,
		false},
};

static int
find(int partition, bool fallback, memkind_t *kind)
{
	*kind = MEMKIND_DEFAULT;
	if (partition == MEMKIND_PARTITION_DEFAULT)
		return MEMKIND_SUCCESS;
	if (vmc_type_available(&vmc_static_types[partition]) == 0)
		*kind = &vmc_kinds[partition];
	else if (!fallback)
		return MEMKIND_ERROR_MEMTYPE_NOT_AVAILABLE;
	return MEMKIND_SUCCESS;
}

int
memkind_create_kind(memkind_memtype_t memtype_flags, memkind_policy_t policy,
	memkind_bits_t flags, memkind_t *kind)
{
	bool huge = flags == MEMKIND_MASK_PAGE_SIZE_2MB;

	if (!kind || (flags != 0 && !huge))
		return MEMKIND_ERROR_INVALID;
	for (size_t i = 0; i < sizeof(offered) / sizeof(offered[0]); i++) {
		int partition =
			huge ? offered[i].partition_huge : offered[i].partition;
		if (offered[i].types == (int)memtype_flags &&
			offered[i].policy == policy && partition >= 0)
			return find(partition, offered[i].fallback, kind);
	}
	return MEMKIND_ERROR_INVALID;
}
