/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * memkind.hpp -- a kind of memory as a std::pmr::memory_resource, for C++17
 *
 *     libmemkind::pmem_resource pmem("/mnt/pmem", 0);
 *     std::pmr::vector<std::pmr::string> names(&pmem);
 *
 * Header only; programs link with libmemkind. std::bad_alloc where a kind finds
 * no memory. May be used from any thread, as memkind.h says.
 */
#ifndef VMC_MEMKIND_HPP
#define VMC_MEMKIND_HPP

#include "memkind.h"

#include <algorithm>
#include <cstddef>
#include <memory_resource>
#include <new>
#include <stdexcept>
#include <string>

namespace libmemkind
{

/* Memory of a kind that is there already, and stays as long as it is used. */
class kind_resource : public std::pmr::memory_resource
{
      public:
	explicit kind_resource(memkind_t kind) noexcept : _kind(kind)
	{
	}

	memkind_t
	native() const noexcept
	{
		return _kind;
	}

      protected:
	void *
	do_allocate(std::size_t bytes, std::size_t alignment) override
	{
		void *memory;

		if (memkind_posix_memalign(_kind, &memory,
			    std::max(alignment, sizeof(void *)),
			    std::max<std::size_t>(bytes, 1)) != 0)
			throw std::bad_alloc();
		return memory;
	}

	void
	do_deallocate(void *memory, std::size_t, std::size_t) override
	{
		memkind_free(_kind, memory);
	}

	bool
	do_is_equal(const memory_resource &other) const noexcept override
	{
		auto same = dynamic_cast<const kind_resource *>(&other);
		return same && same->_kind == _kind;
	}

      private:
	memkind_t _kind;
};

/* A PMEM kind of its own: memkind_create_pmem(). std::runtime_error if it
 * cannot be created. Destroying it frees everything allocated from it. */
class pmem_resource : public kind_resource
{
      public:
	explicit pmem_resource(
		const std::string &directory, std::size_t max_size = 0)
	    : kind_resource(create(directory, max_size))
	{
	}
	~pmem_resource() override
	{
		memkind_destroy_kind(native());
	}
	pmem_resource(const pmem_resource &) = delete;
	pmem_resource &operator=(const pmem_resource &) = delete;

      private:
	static memkind_t
	create(const std::string &directory, std::size_t max_size)
	{
		char message[MEMKIND_ERROR_MESSAGE_SIZE];
		memkind_t kind;
		int error =
			memkind_create_pmem(directory.c_str(), max_size, &kind);

		if (error == MEMKIND_SUCCESS)
			return kind;
		memkind_error_message(error, message, sizeof(message));
		throw std::runtime_error(directory + ": " + message);
	}
};

} // namespace libmemkind

#endif
