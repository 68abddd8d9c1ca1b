/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * key_at_end_of_page.c -- the hash of libvmemcache 0.8.1 read up to 7 bytes
 * past the key; here nothing can be read there
 */
#include "fixture.h"

#include <sys/mman.h>
#include <unistd.h>

static void
use_key(VMEMcache *cache, const char *key, size_t size)
{
	char value[4] = "", kept[] = "v";
	size_t told;

	assert_int_equal(vmemcache_exists(cache, key, size, NULL), 0);
	assert_int_equal(vmemcache_put(cache, key, size, kept, 2), 0);
	assert_fails(vmemcache_put(cache, key, size, kept, 2), EEXIST);
	assert_int_equal(vmemcache_exists(cache, key, size, &told), 1);
	assert_int_equal(
		vmemcache_get(cache, key, size, value, 4, 0, &told), 2);
	assert_string_equal(value, kept);
	assert_int_equal(vmemcache_evict(cache, key, size), 0);
	assert_fails(
		vmemcache_get(cache, key, size, value, 4, 0, &told), ENOENT);
}

/* Values, too, are read and written to the byte. */
static void
use_value(VMEMcache *cache, char *end, size_t size)
{
	uint64_t key = 7;

	value_fill(end - size, size, 0, key, 1);
	assert_int_equal(vmemcache_put(cache, &key, 8, end - size, size), 0);
	memset(end - size, 0, size);
	assert_int_equal(
		vmemcache_get(cache, &key, 8, end - size, size, 0, NULL), size);
	assert_true(value_is(end - size, size, 0, key, 1));
	assert_int_equal(vmemcache_evict(cache, &key, 8), 0);
}

static void
test_at_end_of_page(void **state)
{
	VMEMcache *cache = fixture_open(0, 0, VMEMCACHE_REPLACEMENT_LRU);
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	char *map = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)state;
	assert_ptr_not_equal(map, MAP_FAILED);
	assert_int_equal(mprotect(map + page, page, PROT_NONE), 0);
	memset(map, 'k', page);
	for (size_t size = 0; size <= 600; size++) {
		use_key(cache, map + page - size, size);
		use_value(cache, map + page, size);
	}
	fixture_check_empty(cache);
	vmemcache_delete(cache);
	munmap(map, 2 * page);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_at_end_of_page),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
