/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * memkind_allocator.h -- a C++ allocator over one of the static kinds
 *
 *     libmemkind::static_kind::allocator<int> a(libmemkind::kinds::HBW);
 *     std::vector<int, libmemkind::static_kind::allocator<int>> v(a);
 *
 * std::runtime_error: there is no such kind; std::bad_alloc where an
 * allocation finds no memory, as on a machine that lacks the kind.
 */
#ifndef VMC_MEMKIND_ALLOCATOR_H
#define VMC_MEMKIND_ALLOCATOR_H

#include "memkind_kind_allocator.h"

namespace libmemkind
{

enum class kinds {
	DEFAULT = 0,
	HUGETLB = 1,
	INTERLEAVE = 2,
	HBW = 3,
	HBW_ALL = 4,
	HBW_HUGETLB = 5,
	HBW_ALL_HUGETLB = 6,
	HBW_PREFERRED = 7,
	HBW_PREFERRED_HUGETLB = 8,
	HBW_INTERLEAVE = 9,
	REGULAR = 10,
	DAX_KMEM = 11,
	DAX_KMEM_ALL = 12,
	DAX_KMEM_PREFERRED = 13,
	DAX_KMEM_INTERLEAVE = 14,
	HIGHEST_CAPACITY = 15,
	HIGHEST_CAPACITY_PREFERRED = 16,
	HIGHEST_CAPACITY_LOCAL = 17,
	HIGHEST_CAPACITY_LOCAL_PREFERRED = 18,
	LOWEST_LATENCY_LOCAL = 19,
	LOWEST_LATENCY_LOCAL_PREFERRED = 20,
	HIGHEST_BANDWIDTH_LOCAL = 21,
	HIGHEST_BANDWIDTH_LOCAL_PREFERRED = 22
};

namespace static_kind
{
namespace internal
{

struct source {
	/* Destroying a static kind does nothing, so a handle may own it. */
	static std::shared_ptr<libmemkind::internal::kind_handle>
	open(kinds number)
	{
		/* in the order of the enumeration */
		const memkind_t table[] = {MEMKIND_DEFAULT, MEMKIND_HUGETLB,
			MEMKIND_INTERLEAVE, MEMKIND_HBW, MEMKIND_HBW_ALL,
			MEMKIND_HBW_HUGETLB, MEMKIND_HBW_ALL_HUGETLB,
			MEMKIND_HBW_PREFERRED, MEMKIND_HBW_PREFERRED_HUGETLB,
			MEMKIND_HBW_INTERLEAVE, MEMKIND_REGULAR,
			MEMKIND_DAX_KMEM, MEMKIND_DAX_KMEM_ALL,
			MEMKIND_DAX_KMEM_PREFERRED, MEMKIND_DAX_KMEM_INTERLEAVE,
			MEMKIND_HIGHEST_CAPACITY,
			MEMKIND_HIGHEST_CAPACITY_PREFERRED,
			MEMKIND_HIGHEST_CAPACITY_LOCAL,
			MEMKIND_HIGHEST_CAPACITY_LOCAL_PREFERRED,
			MEMKIND_LOWEST_LATENCY_LOCAL,
			MEMKIND_LOWEST_LATENCY_LOCAL_PREFERRED,
			MEMKIND_HIGHEST_BANDWIDTH_LOCAL,
			MEMKIND_HIGHEST_BANDWIDTH_LOCAL_PREFERRED};
		const int i = static_cast<int>(number);

		if (i < 0 ||
			i >= static_cast<int>(sizeof(table) / sizeof(*table)))
			throw std::runtime_error("no such kind");
		return std::make_shared<libmemkind::internal::kind_handle>(
			table[i]);
	}
};

} // namespace internal

template <typename T>
using allocator = libmemkind::internal::kind_allocator<T, internal::source>;

} // namespace static_kind
} // namespace libmemkind

#endif
