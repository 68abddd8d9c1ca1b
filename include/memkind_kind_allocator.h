/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * memkind_kind_allocator.h -- what the C++ allocators have in common
 *
 * Not to be included by programs: see pmem_allocator.h, fixed_allocator.h and
 * memkind_allocator.h. A Source says where the kind comes from:
 *
 *     static std::shared_ptr<kind_handle> open(arguments of the allocator);
 *
 * Copies of an allocator, and those rebound to other types, share the kind;
 * two compare equal if they do. A kind of the allocator's own is destroyed
 * with the last of them.
 */
#ifndef VMC_MEMKIND_KIND_ALLOCATOR_H
#define VMC_MEMKIND_KIND_ALLOCATOR_H

#include "memkind.h"

#include <cstddef>
#include <limits>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>

namespace libmemkind
{
namespace internal
{

/* The code of a call that failed, as an exception. */
inline void
throw_error(int code, const char *what)
{
	std::string message(what);

	message += "; error code: ";
	message += std::to_string(code);
	if (code == MEMKIND_ERROR_INVALID)
		throw std::invalid_argument(message);
	throw std::runtime_error(message);
}

class kind_handle
{
      public:
	explicit kind_handle(memkind_t owned) : kind(owned)
	{
	}
	kind_handle(const kind_handle &) = delete;
	kind_handle &operator=(const kind_handle &) = delete;
	~kind_handle()
	{
		memkind_destroy_kind(kind);
	}

	const memkind_t kind;
};

/* Takes the kind over, also where there is no memory for the handle. */
inline std::shared_ptr<kind_handle>
own(memkind_t kind)
{
	std::unique_ptr<struct memkind, int (*)(memkind_t)> guard(
		kind, memkind_destroy_kind);
	std::shared_ptr<kind_handle> handle =
		std::make_shared<kind_handle>(kind);

	guard.release();
	return handle;
}

template <typename T, typename Source> class kind_allocator
{
      public:
	using value_type = T;
	using pointer = T *;
	using const_pointer = const T *;
	using reference = T &;
	using const_reference = const T &;
	using size_type = std::size_t;
	using difference_type = std::ptrdiff_t;
	using propagate_on_container_move_assignment = std::true_type;
	using propagate_on_container_swap = std::true_type;
	using is_always_equal = std::false_type;

	template <typename U> struct rebind {
		using other = kind_allocator<U, Source>;
	};

	/* The arguments of Source::open(). */
	template <typename A, typename... Args,
		typename = decltype(Source::open(
			std::declval<A>(), std::declval<Args>()...))>
	explicit kind_allocator(A &&a, Args &&...args)
	    : handle(Source::open(
		      std::forward<A>(a), std::forward<Args>(args)...))
	{
	}

	/* There is no moved-from state: the other one stays usable. */
	kind_allocator(const kind_allocator &) noexcept = default;
	kind_allocator &operator=(const kind_allocator &) noexcept = default;

	template <typename U>
	kind_allocator(const kind_allocator<U, Source> &other) noexcept
	    : handle(other.handle)
	{
	}

	template <typename U>
	kind_allocator &
	operator=(const kind_allocator<U, Source> &other) noexcept
	{
		handle = other.handle;
		return *this;
	}

	/* NULL for no objects. */
	T *
	allocate(std::size_t n) const
	{
		void *ptr = NULL;

		if (n <= std::numeric_limits<std::size_t>::max() / sizeof(T))
			ptr = memkind_malloc(handle->kind, n * sizeof(T));
		if (!ptr && n > 0)
			throw std::bad_alloc();
		return static_cast<T *>(ptr);
	}

	void
	deallocate(T *ptr, std::size_t) const
	{
		memkind_free(handle->kind, ptr);
	}

	template <typename U, typename... Args>
	void
	construct(U *ptr, Args &&...args) const
	{
		::new (static_cast<void *>(ptr)) U(std::forward<Args>(args)...);
	}

	template <typename U>
	void
	destroy(U *ptr) const
	{
		ptr->~U();
	}

	template <typename U, typename V, typename S>
	friend bool operator==(const kind_allocator<U, S> &,
		const kind_allocator<V, S> &) noexcept;

      private:
	template <typename U, typename S> friend class kind_allocator;

	std::shared_ptr<kind_handle> handle;
};

template <typename U, typename V, typename S>
bool
operator==(
	const kind_allocator<U, S> &a, const kind_allocator<V, S> &b) noexcept
{
	return a.handle->kind == b.handle->kind;
}

template <typename U, typename V, typename S>
bool
operator!=(
	const kind_allocator<U, S> &a, const kind_allocator<V, S> &b) noexcept
{
	return !(a == b);
}

} // namespace internal
} // namespace libmemkind

#endif
