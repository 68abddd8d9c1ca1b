/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * service.cc DIRECTORY -- the cache in a C++ service: vmemcache.hpp
 *
 * Several threads answer requests. What the cache misses is rendered, which is
 * slow, and put. What fails is an exception.
 */
#include <vmemcache.hpp>

#include <atomic>
#include <exception>
#include <iostream>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

static std::string
render(std::string_view path)
{
	std::string page("<p>");

	page.append(path).append("</p>");
	return page;
}

int
main(int argc, char *argv[])
try {
	if (argc != 2) {
		std::cerr << "usage: service DIRECTORY\n";
		return 2;
	}
	libvmemcache::cache pages(argv[1], {.size = 16 << 20});
	std::atomic<unsigned> wrong{0};

	pages.on_miss([](libvmemcache::cache_ref cache, std::string_view path) {
		cache.put(path, render(path));
	});

	std::vector<std::jthread> threads;
	for (int t = 0; t < 4; t++)
		threads.emplace_back([&] {
			for (int request = 0; request < 1000; request++) {
				std::string path("/page/");
				path += std::to_string(request % 100);
				if (pages.get(path) != render(path))
					wrong++;
			}
		});
	threads.clear(); // waits for them

	std::cout << pages.stat(VMEMCACHE_STAT_GET) << " requests, "
		  << pages.stat(VMEMCACHE_STAT_ENTRIES) << " pages, " << wrong
		  << " wrong\n";
	return 0;
} catch (const std::exception &e) {
	std::cerr << e.what() << '\n';
	return 1;
}
