/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vmemcache.hpp -- libvmemcache.h for C++20: a cache that is an object
 *
 *     libvmemcache::cache cache("/mnt/pmem", {.size = 1 << 30});
 *     cache.put("key", "value");
 *     std::optional<std::string> value = cache.get("key");
 *
 * Header only; programs link with libvmemcache. Keys are any bytes, given as a
 * std::string_view. Threads: as in libvmemcache.h. What that header calls a
 * failure is a std::system_error here, with errno as its code and the message
 * of the library. What a program expects is a return value: a miss, and a key
 * that is there already.
 */
#ifndef VMC_VMEMCACHE_HPP
#define VMC_VMEMCACHE_HPP

#include "libvmemcache.h"

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

namespace libvmemcache
{

struct options {
	std::size_t size = 0;        /* bytes; 0: VMEMCACHE_MIN_POOL */
	std::size_t extent_size = 0; /* bytes; 0: VMEMCACHE_MIN_EXTENT */
	vmemcache_repl_p policy = VMEMCACHE_REPLACEMENT_LRU;
	vmemcache_metadata metadata = VMEMCACHE_METADATA_DRAM;
	std::uint64_t metadata_limit = 0; /* bytes; 0: none */
	std::size_t most = 0;          /* to resize to; 0: 16 times its size */
	unsigned prefault_threads = 0; /* 0: pages are made on first use */
	bool ordered = false;          /* keys in order: remove_prefix() */
};

/* A handle of a cache, which it does not delete. */
class cache_ref
{
      public:
	explicit cache_ref(VMEMcache *cache) noexcept : _cache(cache)
	{
	}

	/* Stores a copy; false: the key is there already, with its value. */
	bool
	put(std::string_view key, std::span<const std::byte> value)
	{
		if (vmemcache_put(native(), key.data(), key.size(),
			    value.data(), value.size()) == 0)
			return true;
		if (errno != EEXIST)
			fail();
		return false;
	}

	bool
	put(std::string_view key, std::string_view value)
	{
		return put(key, std::as_bytes(std::span(value)));
	}

	/*
	 * Stores a copy, in the place of the value that is there, if one is.
	 * cost: of a miss, as in struct vmemcache_store.
	 */
	void
	set(std::string_view key, std::span<const std::byte> value,
		std::uint32_t cost = 0)
	{
		struct vmemcache_store how = {};

		how.struct_size = sizeof(how);
		how.cost = cost;
		check(vmemcache_store(native(), key.data(), key.size(),
			value.data(), value.size(), &how, nullptr));
	}

	void
	set(std::string_view key, std::string_view value,
		std::uint32_t cost = 0)
	{
		set(key, std::as_bytes(std::span(value)), cost);
	}

	/*
	 * Copies the value from offset on, as much as fits the buffer. Returns
	 * the size of the whole value, or nothing if the key is not there.
	 */
	std::optional<std::size_t>
	get(std::string_view key, std::span<std::byte> buffer,
		std::size_t offset = 0)
	{
		std::size_t size = 0;

		if (vmemcache_get(native(), key.data(), key.size(),
			    buffer.data(), buffer.size(), offset, &size) >= 0)
			return size;
		if (errno != ENOENT)
			fail();
		return std::nullopt;
	}

	/* The whole value, or nothing if the key is not there. */
	std::optional<std::string>
	get(std::string_view key)
	{
		std::string value(512, '\0');

		/* Another thread may replace the value between two rounds. */
		for (;;) {
			auto size = get(
				key, std::as_writable_bytes(std::span(value)));
			if (!size)
				return std::nullopt;
			bool whole = *size <= value.size();
			value.resize(*size);
			if (whole)
				return value;
		}
	}

	/* The size of the value. Neither the order of use nor a statistic
	 * changes, and on_miss is not called. */
	std::optional<std::size_t>
	size_of(std::string_view key)
	{
		std::size_t size = 0;
		int found = vmemcache_exists(
			native(), key.data(), key.size(), &size);

		check(found);
		return found ? std::optional(size) : std::nullopt;
	}

	bool
	contains(std::string_view key)
	{
		return size_of(key).has_value();
	}

	/* While it is in use; false: values that are pinned are in the way. */
	bool
	resize(std::size_t size)
	{
		if (vmemcache_resize(native(), size) == 0)
			return true;
		if (errno != EBUSY)
			fail();
		return false;
	}

	/* Removes the entry; false: the key is not there. */
	bool
	evict(std::string_view key)
	{
		/* NULL would mean the policy's victim. */
		const char *bytes = key.data() ? key.data() : "";

		if (vmemcache_evict(native(), bytes, key.size()) == 0)
			return true;
		if (errno != ENOENT)
			fail();
		return false;
	}

	/* Removes all entries whose keys begin so; how many there were. */
	std::size_t
	remove_prefix(std::string_view prefix)
	{
		ssize_t count = vmemcache_remove_prefix(
			native(), prefix.data(), prefix.size());

		if (count < 0)
			fail();
		return static_cast<std::size_t>(count);
	}

	/* Removes all entries; of a space in constant time. */
	void
	clear()
	{
		check(vmemcache_clear(native()));
	}

	unsigned long long
	stat(vmemcache_statistic which)
	{
		unsigned long long value = 0;

		check(vmemcache_get_stat(
			native(), which, &value, sizeof(value)));
		return value;
	}

	/* For the calls that are not here. */
	VMEMcache *
	native() const noexcept
	{
		return _cache;
	}

	/* Throws what errno and the message of the library say. */
	[[noreturn]] static void
	fail()
	{
		throw std::system_error(
			errno, std::generic_category(), vmemcache_errormsg());
	}

	static void
	check(int result)
	{
		if (result < 0)
			fail();
	}

      private:
	VMEMcache *_cache;
};

/*
 * A value where it is in the pool: pinned, that is, neither changed nor moved,
 * until this object is destroyed, which must be before the cache is.
 *
 *     libvmemcache::pinned value(cache, "key");
 *     if (value)
 *             writev(fd, value.pieces().data(), value.pieces().size());
 */
class pinned
{
      public:
	pinned(cache_ref cache, std::string_view key, unsigned flags = 0)
	    : _cache(cache)
	{
		if (vmemcache_pin(cache.native(), key.data(), key.size(), flags,
			    &_item) != 0 &&
			errno != ENOENT)
			cache_ref::fail();
	}
	~pinned()
	{
		vmemcache_unpin(_cache.native(), &_item);
	}
	pinned(const pinned &) = delete;
	pinned &operator=(const pinned &) = delete;

	/* false: the key was not there */
	explicit operator bool() const noexcept
	{
		return _item.iov_count >= 0;
	}

	/* Only of a value that is there. */
	std::span<const iovec>
	pieces() const noexcept
	{
		return {_item.iov, static_cast<std::size_t>(_item.iov_count)};
	}

	const vmemcache_info &
	info() const noexcept
	{
		return _item.info;
	}

      private:
	cache_ref _cache;
	vmemcache_item _item;
};

/*
 * A handle that is deleted with this object, and functions that it calls. One
 * that was moved from can be destroyed or assigned to, nothing else.
 */
class owned_ref : public cache_ref
{
      public:
	/* Called with the key of an entry before it is evicted. */
	using evict_callback = std::function<void(cache_ref, std::string_view)>;
	/* Called with a key that was not found; may put it. */
	using miss_callback = std::function<void(cache_ref, std::string_view)>;

	owned_ref(owned_ref &&) = default;
	owned_ref &
	operator=(owned_ref &&other) noexcept
	{
		cache_ref::operator=(other);
		/* in this order: others may call until it is deleted */
		_owned = std::move(other._owned);
		_callbacks = std::move(other._callbacks);
		return *this;
	}

	/* Not while another thread uses the cache. */
	void
	on_evict(evict_callback callback)
	{
		_callbacks->evict = std::move(callback);
		vmemcache_callback_on_evict(native(),
			_callbacks->evict ? call_evict : nullptr,
			_callbacks.get());
	}

	/* Not while another thread uses the cache. */
	void
	on_miss(miss_callback callback)
	{
		_callbacks->miss = std::move(callback);
		vmemcache_callback_on_miss(native(),
			_callbacks->miss ? call_miss : nullptr,
			_callbacks.get());
	}

      protected:
	/* NULL: the library has failed to make it. */
	explicit owned_ref(VMEMcache *made)
	    : cache_ref(made), _callbacks(new callbacks), _owned(made)
	{
		if (!made)
			fail();
	}

      private:
	struct callbacks {
		evict_callback evict;
		miss_callback miss;
	};
	struct deleter {
		void
		operator()(VMEMcache *cache) const noexcept
		{
			vmemcache_delete(cache);
		}
	};

	/* An exception may pass through the library: libvmemcache.h. */
	static void
	call_evict(VMEMcache *handle, const void *key, std::size_t key_size,
		void *arg)
	{
		static_cast<callbacks *>(arg)->evict(cache_ref(handle),
			{static_cast<const char *>(key), key_size});
	}

	static void
	call_miss(VMEMcache *handle, const void *key, std::size_t key_size,
		void *arg)
	{
		static_cast<callbacks *>(arg)->miss(cache_ref(handle),
			{static_cast<const char *>(key), key_size});
	}

	/*
	 * The library has their address: they do not move with the object. They
	 * go after who may call them.
	 */
	std::unique_ptr<callbacks> _callbacks;
	std::unique_ptr<VMEMcache, deleter> _owned;
};

/* A cache, deleted with this object. */
class cache : public owned_ref
{
      public:
	/* path: a directory, or a /dev/dax device; see vmemcache_add(). */
	explicit cache(const std::string &path, const options &options = {})
	    : owned_ref(vmemcache_new())
	{
		if (options.size)
			check(vmemcache_set_size(native(), options.size));
		if (options.extent_size)
			check(vmemcache_set_extent_size(
				native(), options.extent_size));
		check(vmemcache_set_eviction_policy(native(), options.policy));
		check(vmemcache_set_metadata(native(), options.metadata));
		check(vmemcache_set_metadata_limit(
			native(), options.metadata_limit));
		check(vmemcache_set_most(native(), options.most));
		check(vmemcache_set_prefault(
			native(), options.prefault_threads, nullptr, nullptr));
		check(vmemcache_set_ordered(native(), options.ordered));
		check(vmemcache_add(native(), path.c_str()));
	}
};

struct space_options {
	std::string name = "space";
	std::size_t quota = 0;    /* bytes that it has at most; 0: any */
	std::size_t reserved = 0; /* bytes that others leave it */
};

/*
 * A space of a cache, with keys of its own, deleted with this object, which
 * must be before the cache is; see vmemcache_space(3).
 *
 *     libvmemcache::space ann(cache, {.name = "ann", .quota = 1 << 20});
 *     ann.put("key", "value");
 */
class space : public owned_ref
{
      public:
	explicit space(cache_ref cache, const space_options &options = {})
	    : owned_ref(make(cache, options))
	{
	}

      private:
	static VMEMcache *
	make(cache_ref cache, const space_options &options)
	{
		const vmemcache_space how = {sizeof(how), options.name.c_str(),
			options.quota, options.reserved};

		return vmemcache_new_space(cache.native(), &how);
	}
};

} // namespace libvmemcache

#endif
