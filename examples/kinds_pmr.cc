/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * kinds_pmr.cc DIRECTORY -- containers of std::pmr in a PMEM kind: memkind.hpp
 *
 * The type of the container does not depend on the memory: the same function
 * fills one in DRAM and one on persistent memory.
 */
#include <memkind.hpp>

#include <exception>
#include <iostream>
#include <map>
#include <memory_resource>
#include <string>

using names = std::pmr::map<int, std::pmr::string>;

static void
fill(names &map)
{
	for (int i = 0; i < 1000; i++)
		map.emplace(i, "a name that is too long for the string itself");
}

int
main(int argc, char *argv[])
try {
	if (argc != 2) {
		std::cerr << "usage: kinds_pmr DIRECTORY\n";
		return 2;
	}
	libmemkind::pmem_resource pmem(argv[1]);
	names in_dram;
	names in_pmem(&pmem);

	fill(in_dram);
	fill(in_pmem);
	bool there = memkind_detect_kind(in_pmem[7].data()) == pmem.native();
	std::cout << "equal: " << (in_dram == in_pmem)
		  << ", the strings in the kind: " << there << '\n';
	return 0;
} catch (const std::exception &e) {
	std::cerr << e.what() << '\n';
	return 1;
}
