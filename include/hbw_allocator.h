/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * hbw_allocator.h -- a C++ allocator over high-bandwidth memory
 *
 *     std::vector<int, hbw::allocator<int>> v;
 *
 * Stateless: all are equal, and allocate as hbwmalloc.h's policy says.
 * std::bad_alloc where there is no memory.
 */
#ifndef VMC_HBW_ALLOCATOR_H
#define VMC_HBW_ALLOCATOR_H

#include "hbwmalloc.h"

#include <cstddef>
#include <limits>
#include <new>
#include <utility>

namespace hbw
{

template <typename T> class allocator
{
      public:
	typedef std::size_t size_type;
	typedef std::ptrdiff_t difference_type;
	typedef T *pointer;
	typedef const T *const_pointer;
	typedef T &reference;
	typedef const T &const_reference;
	typedef T value_type;

	template <typename U> struct rebind {
		typedef hbw::allocator<U> other;
	};

	allocator() throw()
	{
	}
	template <typename U> allocator(const allocator<U> &) throw()
	{
	}

	pointer
	address(reference x) const
	{
		return &x;
	}
	const_pointer
	address(const_reference x) const
	{
		return &x;
	}

	size_type
	max_size() const throw()
	{
		return std::numeric_limits<size_type>::max() / sizeof(T);
	}

	/* NULL for no objects. */
	pointer
	allocate(size_type n, const void * = 0)
	{
		void *ptr = n > max_size() ? 0 : hbw_malloc(n * sizeof(T));

		if (!ptr && n > 0)
			throw std::bad_alloc();
		return static_cast<pointer>(ptr);
	}

	void
	deallocate(pointer ptr, size_type)
	{
		hbw_free(ptr);
	}

	template <typename U, typename... Args>
	void
	construct(U *ptr, Args &&...args)
	{
		::new (static_cast<void *>(ptr)) U(std::forward<Args>(args)...);
	}

	template <typename U>
	void
	destroy(U *ptr)
	{
		ptr->~U();
	}
};

template <typename T, typename U>
bool
operator==(const allocator<T> &, const allocator<U> &) throw()
{
	return true;
}

template <typename T, typename U>
bool
operator!=(const allocator<T> &, const allocator<U> &) throw()
{
	return false;
}

} // namespace hbw

#endif
