/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fixed_allocator.h -- a C++ allocator over memory of the program's own
 *
 *     libmemkind::fixed::allocator<int> a(region, size);
 *     std::vector<int, libmemkind::fixed::allocator<int>> v(a);
 *
 * The arguments are those of memkind_create_fixed(). std::invalid_argument
 * where the call says MEMKIND_ERROR_INVALID, std::runtime_error on other
 * failures; std::bad_alloc where an allocation finds no memory.
 */
#ifndef VMC_FIXED_ALLOCATOR_H
#define VMC_FIXED_ALLOCATOR_H

#include "memkind_kind_allocator.h"

namespace libmemkind
{
namespace fixed
{
namespace internal
{

struct source {
	static std::shared_ptr<libmemkind::internal::kind_handle>
	open(void *addr, std::size_t size)
	{
		memkind_t kind;
		int code = memkind_create_fixed(addr, size, &kind);

		if (code)
			libmemkind::internal::throw_error(
				code, "cannot create a fixed kind");
		return libmemkind::internal::own(kind);
	}
};

} // namespace internal

template <typename T>
using allocator = libmemkind::internal::kind_allocator<T, internal::source>;

} // namespace fixed
} // namespace libmemkind

#endif
