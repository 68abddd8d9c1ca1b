/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pmem_allocator.h -- a C++ allocator over a PMEM kind of its own
 *
 *     libmemkind::pmem::allocator<int> a("/mnt/pmem", 64 << 20);
 *     std::vector<int, libmemkind::pmem::allocator<int>> v(a);
 *
 * The arguments are those of memkind_create_pmem(), the directory also as a
 * std::string, with a policy of use as a third if wanted. std::invalid_argument
 * where the call says MEMKIND_ERROR_INVALID, std::runtime_error on other
 * failures; std::bad_alloc where an allocation finds no memory.
 */
#ifndef VMC_PMEM_ALLOCATOR_H
#define VMC_PMEM_ALLOCATOR_H

#include "memkind_kind_allocator.h"

namespace libmemkind
{

enum class allocation_policy {
	DEFAULT = MEMKIND_MEM_USAGE_POLICY_DEFAULT,
	CONSERVATIVE = MEMKIND_MEM_USAGE_POLICY_CONSERVATIVE,
	MAX
};

namespace pmem
{
namespace internal
{

struct source {
	static std::shared_ptr<libmemkind::internal::kind_handle>
	open(const char *dir, std::size_t max_size,
		allocation_policy policy = allocation_policy::DEFAULT)
	{
		struct memkind_config *config = memkind_config_new();
		memkind_t kind;
		int code;

		if (!config)
			throw std::runtime_error("no memory for a PMEM kind");
		memkind_config_set_path(config, dir);
		memkind_config_set_size(config, max_size);
		memkind_config_set_memory_usage_policy(
			config, static_cast<memkind_mem_usage_policy>(policy));
		code = memkind_create_pmem_with_config(config, &kind);
		memkind_config_delete(config);
		if (code)
			libmemkind::internal::throw_error(
				code, "cannot create a PMEM kind");
		return libmemkind::internal::own(kind);
	}

	static std::shared_ptr<libmemkind::internal::kind_handle>
	open(const std::string &dir, std::size_t max_size,
		allocation_policy policy = allocation_policy::DEFAULT)
	{
		return open(dir.c_str(), max_size, policy);
	}
};

} // namespace internal

template <typename T>
using allocator = libmemkind::internal::kind_allocator<T, internal::source>;

} // namespace pmem
} // namespace libmemkind

#endif
