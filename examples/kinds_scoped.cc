/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * kinds_scoped.cc DIRECTORY -- a vector of strings, both in a PMEM kind
 *
 * The scoped allocator of the vector is given to each string as well. With the
 * plain one the vector would be in persistent memory, the characters in DRAM.
 */
#include <memkind.h>
#include <pmem_allocator.h>

#include <exception>
#include <iostream>
#include <scoped_allocator>
#include <string>
#include <vector>

template <typename T> using pmem = libmemkind::pmem::allocator<T>;
using string = std::basic_string<char, std::char_traits<char>, pmem<char>>;
using strings =
	std::vector<string, std::scoped_allocator_adaptor<pmem<string>>>;

int
main(int argc, char *argv[])
try {
	if (argc != 2) {
		std::cerr << "usage: kinds_scoped DIRECTORY\n";
		return 2;
	}
	strings vector{pmem<string>(argv[1], 0)};

	vector.emplace_back("too long to be kept within the string itself");
	bool together = memkind_detect_kind(&vector[0]) ==
			memkind_detect_kind(&vector[0][0]);
	std::cout << vector[0] << ": " << (together ? "one kind" : "two kinds")
		  << '\n';
	return 0;
} catch (const std::exception &e) {
	std::cerr << argv[1] << ": " << e.what() << '\n';
	return 1;
}
