/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * wrappers.cpp DIRECTORY -- vmemcache.hpp and memkind.hpp
 */
#include <memkind.hpp>
#include <vmemcache.hpp>

#include <array>
#include <cassert>
#include <cstring>
#include <map>
#include <memory_resource>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

using libvmemcache::cache;
using libvmemcache::cache_ref;

/* The code of the exception that what() throws; 0: none. */
template <typename Function>
static int
thrown(Function what)
{
	try {
		what();
	} catch (const std::system_error &e) {
		assert(std::string(e.what()).size() > 3);
		return e.code().value();
	}
	return 0;
}

static void
test_values(const char *directory)
{
	cache c(directory,
		{.size = 8 << 20, .extent_size = 512, .ordered = true});
	std::array<std::byte, 4> bytes;

	assert(!c.get("key") && !c.contains("key") && !c.evict("key"));
	assert(c.put("key", "value") && !c.put("key", "another"));
	assert(c.get("key") == "value" && c.size_of("key") == 5u);
	assert(c.get("key", bytes, 1) == 5u && bytes[3] == std::byte{'e'});
	assert(c.put("", "") && c.get("") == "" && c.evict(""));
	assert(c.put({}, "no bytes at all") && c.evict({}) && !c.contains({}));

	/* larger than the first buffer of get() */
	std::string large(100000, 'x');
	assert(c.put("large", large) && c.get("large") == large);
	assert(c.stat(VMEMCACHE_STAT_ENTRIES) == 2);
	assert(c.evict("key") && !c.get("key"));
	assert(c.put("l", "") && c.remove_prefix("la") == 1);
	assert(c.contains("l") && c.remove_prefix({}) == 1);
}

static void
test_replacing_and_pins(const char *directory)
{
	cache c(directory);

	c.set("key", "old");
	{
		libvmemcache::pinned value(c, "key"), none(c, "none");
		assert(value && !none);
		c.set("key", "a new one", 20);
		assert(value.info().value_size == 3);
		assert(value.pieces().size() == 1);
		assert(value.pieces()[0].iov_len == 3);
		assert(std::memcmp(value.pieces()[0].iov_base, "old", 3) == 0);
	}
	assert(c.get("key") == "a new one");
	assert(thrown([&] { libvmemcache::pinned(c, "key", 128); }) == EINVAL);
}

static void
test_failures(const char *directory)
{
	assert(thrown([] { cache("/nonexistent"); }) == ENOENT);
	assert(thrown([=] { cache(directory, {.size = 1}); }) == EINVAL);
	cache c(directory);
	assert(thrown([&] { c.put("k", std::string(2 << 20, 'x')); }) ==
		ENOSPC);
	assert(thrown([&] { c.stat(VMEMCACHE_STATS_NUM); }) == EINVAL);
}

static void
test_callbacks(const char *directory)
{
	std::map<std::string, int> evicted;
	cache first(directory);

	first.on_evict([&](cache_ref c, std::string_view key) {
		assert(c.contains(key));
		evicted[std::string(key)]++;
	});
	first.on_miss([](cache_ref c, std::string_view key) {
		if (key == "bad")
			throw std::runtime_error("no such page");
		c.put(key, std::string(1000, key[0]));
	});

	/* what is moved to keeps the callbacks */
	cache second(std::move(first));
	assert(second.get("page") == std::string(1000, 'p'));
	assert(second.evict("page") && evicted["page"] == 1);
	bool caught = false;
	try {
		second.get("bad");
	} catch (const std::runtime_error &) {
		caught = true;
	}
	assert(caught);
	second.on_miss(nullptr);
	assert(!second.get("page"));
	second = cache(directory);
	assert(second.stat(VMEMCACHE_STAT_ENTRIES) == 0);
}

static void
test_spaces(const char *directory)
{
	cache c(directory);
	libvmemcache::space a(c, {.name = "a", .quota = 102400});
	unsigned evicted = 0;

	assert(c.put("key", "of the cache") && a.put("key", "of a"));
	{
		libvmemcache::space b(c);
		assert(!b.get("key") && b.put("key", "of b"));
		assert(b.get("key") == "of b");
		b.on_miss([](cache_ref space, std::string_view key) {
			space.put(key, "loaded");
		});
		libvmemcache::space moved(std::move(b));
		assert(moved.get("another") == "loaded");
		assert(moved.get("key") == "of b" && !a.contains("another"));
		assert(c.stat(VMEMCACHE_STAT_ENTRIES) == 4);
	}
	assert(c.stat(VMEMCACHE_STAT_ENTRIES) == 2);
	a.on_evict([&](cache_ref, std::string_view key) {
		assert(key == "key");
		evicted++;
	});
	assert(a.put("large", std::string(102400, 'x')) && evicted == 1);
	assert(thrown([&] { a.put("k", std::string(102401, 'x')); }) == ENOSPC);
	a.clear();
	assert(!a.contains("large") && c.get("key") == "of the cache");
	assert(thrown([&] { libvmemcache::space{cache_ref(a)}; }) == EINVAL);
	assert(thrown([&] { libvmemcache::space(c, {.quota = 1}); }) == EINVAL);
}

static void
test_resources(const char *directory)
{
	libmemkind::pmem_resource pmem(directory, 32 << 20);
	libmemkind::kind_resource dram(MEMKIND_DEFAULT);
	std::pmr::vector<std::pmr::string> names(&pmem);

	names.emplace_back("longer than what a string keeps within itself");
	assert(memkind_detect_kind(names[0].data()) == pmem.native());
	assert(pmem.is_equal(libmemkind::kind_resource(pmem.native())));
	assert(!pmem.is_equal(dram));
	assert(!pmem.is_equal(*std::pmr::new_delete_resource()));

	void *aligned = pmem.allocate(0, 4096);
	assert(reinterpret_cast<std::size_t>(aligned) % 4096 == 0);
	pmem.deallocate(aligned, 0, 4096);
	bool full = false;
	try {
		dram.deallocate(dram.allocate(1), 1);
		dram.deallocate(pmem.allocate(64 << 20), 64 << 20);
	} catch (const std::bad_alloc &) {
		full = true;
	}
	assert(full);
	try {
		libmemkind::pmem_resource("/nonexistent");
		assert(false);
	} catch (const std::runtime_error &e) {
		assert(std::string(e.what()).find("/nonexistent") == 0);
	}
}

int
main(int argc, char *argv[])
{
	assert(argc == 2);
	test_values(argv[1]);
	test_replacing_and_pins(argv[1]);
	test_failures(argv[1]);
	test_callbacks(argv[1]);
	test_spaces(argv[1]);
	test_resources(argv[1]);
	return 0;
}
