/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * kinds_containers.cc DIRECTORY -- a vector, a list and a map in a PMEM kind
 *
 * Allocators made from one another share the kind. It is destroyed with the
 * last of them and of the containers that use it.
 */
#include <pmem_allocator.h>

#include <exception>
#include <functional>
#include <iostream>
#include <list>
#include <map>
#include <utility>
#include <vector>

template <typename T> using pmem = libmemkind::pmem::allocator<T>;

int
main(int argc, char *argv[])
try {
	if (argc != 2) {
		std::cerr << "usage: kinds_containers DIRECTORY\n";
		return 2;
	}
	pmem<int> allocator(argv[1], 0);
	std::vector<int, pmem<int>> vector(allocator);
	std::list<int, pmem<int>> list(allocator);
	using pair = std::pair<const int, int>;
	std::map<int, int, std::less<int>, pmem<pair>> map{
		std::less<int>(), pmem<pair>(allocator)};

	for (int i = 1; i <= 1000; i++) {
		vector.push_back(i);
		list.push_front(i);
		map[i] = i * i;
	}
	std::cout << vector.back() << ' ' << list.front() << ' ' << map[1000]
		  << '\n';
	return 0;
} catch (const std::exception &e) {
	std::cerr << argv[1] << ": " << e.what() << '\n';
	return 1;
}
