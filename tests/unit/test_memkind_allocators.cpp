/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_memkind_allocators.cpp -- the C++ allocators with standard containers
 */
#include "fixed_allocator.h"
#include "hbw_allocator.h"
#include "memkind_allocator.h"
#include "pmem_allocator.h"

#include <cassert>
#include <cstdio>
#include <list>
#include <map>
#include <scoped_allocator>
#include <string>
#include <vector>

template <typename Allocator>
static void
use_containers(Allocator a)
{
	using traits = std::allocator_traits<Allocator>;
	using string = std::basic_string<char, std::char_traits<char>,
		typename traits::template rebind_alloc<char>>;
	using pair = std::pair<const int, int>;

	std::vector<int, Allocator> v(a);
	for (int i = 0; i < 10000; i++)
		v.push_back(i);
	std::vector<int, Allocator> copy(v), moved(std::move(v));
	assert(copy == moved && moved[9999] == 9999);
	moved = std::move(copy);
	std::swap(moved, copy);
	assert(copy.size() == 10000);

	std::map<int, int, std::less<int>,
		typename traits::template rebind_alloc<pair>>
		m((std::less<int>()),
			typename traits::template rebind_alloc<pair>(a));
	for (int i = 0; i < 1000; i++)
		m[i * 7 % 1000] = i;
	assert(m.size() == 1000);

	std::vector<string,
		std::scoped_allocator_adaptor<
			typename traits::template rebind_alloc<string>>>
		strings((typename traits::template rebind_alloc<string>(a)));
	for (int i = 0; i < 100; i++)
		strings.emplace_back("a string too long to be kept in place");
	assert(strings[50].size() == 37);

#ifdef VMC_HBW_ALLOCATOR_H /* not the predecessor's header, which throws */
	traits::deallocate(a, traits::allocate(a, 0), 0);
#endif
	typename traits::template rebind_alloc<char> other(a);
	assert(other == a && !(other != a));
	try {
		traits::allocate(a, static_cast<std::size_t>(-1) / 4);
		assert(false);
	} catch (const std::bad_alloc &) {
	}
}

template <typename Exception, typename Call>
static void
expect(Call call)
{
	try {
		call();
		assert(false);
	} catch (const Exception &) {
	}
}

/* A kind that this machine lacks can be named, but gives no memory. */
static void
use_kind(libmemkind::kinds number)
{
	libmemkind::static_kind::allocator<double> a(number), copy(a);
	libmemkind::static_kind::allocator<char> other(a);

	assert(a == copy && other == a);
	try {
		double *p = a.allocate(100);
		p[99] = 1;
		a.deallocate(p, 100);
		std::vector<double, libmemkind::static_kind::allocator<double>>
			v(1000, 2.5, a);
		assert(v[999] == 2.5);
	} catch (const std::bad_alloc &) {
	}
}

int
main()
{
	static char region[8 << 20];

	{
		libmemkind::pmem::allocator<int> a("/tmp", 32 << 20);
		libmemkind::pmem::allocator<int> b(std::string("/tmp"),
			32 << 20, libmemkind::allocation_policy::CONSERVATIVE);
		assert(a != b);
		use_containers(a);
		use_containers(b);
		b = a;
		assert(a == b);
		std::list<int, libmemkind::pmem::allocator<int>> l(b);
		l.assign(100, 1);
	}
	for (int i = 0; i < 2; i++) /* the first one's kind is gone */
		use_containers(
			libmemkind::fixed::allocator<int>(region, 8 << 20));
	use_containers(libmemkind::static_kind::allocator<int>(
		libmemkind::kinds::DEFAULT));
	use_containers(hbw::allocator<int>());

	expect<std::invalid_argument>([] {
		libmemkind::pmem::allocator<int> a("/nonexistent", 32 << 20);
	});
	expect<std::invalid_argument>(
		[] { libmemkind::pmem::allocator<int> a("/tmp", 1); });
	expect<std::invalid_argument>(
		[] { libmemkind::fixed::allocator<int> a(nullptr, 1 << 20); });
	expect<std::invalid_argument>([] {
		libmemkind::pmem::allocator<int> a(
			"/tmp", 32 << 20, libmemkind::allocation_policy::MAX);
	});
	for (int number : {-1, 23, 99})
		expect<std::runtime_error>([number] {
			libmemkind::static_kind::allocator<int> a(
				static_cast<libmemkind::kinds>(number));
		});
	for (int number = 0; number <= 22; number++)
		use_kind(static_cast<libmemkind::kinds>(number));
	std::puts("passed");
	return 0;
}
