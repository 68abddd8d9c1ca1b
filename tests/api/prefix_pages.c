/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * prefix_pages.c -- vmemcache_walk_prefix() in pages: one that is not full is
 * the last, whatever expires or goes; under a clock that the test moves
 */
#include "items.h"

#include "base/os.h"

static uint64_t now_ms = 1000;

uint64_t __wrap_vmc_os_boot_ms(void);

uint64_t
__wrap_vmc_os_boot_ms(void)
{
	return now_ms;
}

/* A digit, by which there are ten prefixes; no key is as long as 32 bytes. */
static size_t
number_key(char *key, unsigned number)
{
	return (size_t)sprintf(key, "%u/%u", number % 10, number);
}

static void
store_number(VMEMcache *cache, unsigned number, uint64_t ttl_ms)
{
	struct vmemcache_store how = {
		.struct_size = sizeof(how), .ttl_ms = ttl_ms};
	char key[32];

	assert_int_equal(vmemcache_store(cache, key, number_key(key, number),
				 key, 10, &how, NULL),
		0);
}

struct page {
	char last[32];
	size_t shown;
	unsigned removes_next; /* behind every so many shown; 0: none */
};

static enum vmemcache_step
remove_next(VMEMcache *cache, const void *key, size_t key_size,
	const struct vmemcache_item *item, void *arg)
{
	struct page *page = arg;
	unsigned number;
	char copy[32] = {0}, next[32];

	(void)item;
	assert_true(key_size < sizeof(copy));
	memcpy(copy, key, key_size);
	assert_true(strcmp(page->last, copy) < 0);
	memcpy(page->last, copy, sizeof(copy));
	page->shown++;
	if (page->removes_next && page->shown % page->removes_next == 0) {
		assert_int_equal(sscanf(copy, "%*u/%u", &number), 1);
		assert_int_equal(vmemcache_remove(cache, next,
					 number_key(next, number + 10), 0),
			0);
	}
	return VMEMCACHE_WALK_ON;
}

/* Pages of the keys with that prefix, until one is not full. */
static size_t
show_pages(VMEMcache *cache, const char *prefix, size_t at_most,
	unsigned removes_next)
{
	struct page page = {.removes_next = removes_next};
	ssize_t n;

	do {
		size_t shown = page.shown;
		n = vmemcache_walk_prefix(cache, prefix, strlen(prefix),
			page.last, strlen(page.last), at_most, remove_next,
			&page);
		assert_true(n >= 0);
		assert_int_equal(page.shown - shown, n);
	} while ((size_t)n == at_most);
	return page.shown;
}

static void
each_kind(void (*test)(VMEMcache *cache))
{
	for (int kind = 0; kind < 4; kind++) {
		VMEMcache *cache =
			fixture_new(4 << 20, 0, VMEMCACHE_REPLACEMENT_LRU);
		assert_int_equal(vmemcache_set_ordered(cache, kind % 2), 0);
		assert_int_equal(vmemcache_add(cache, FIXTURE_DIR), 0);
		VMEMcache *space =
			kind / 2 ? vmemcache_new_space(cache, NULL) : cache;
		assert_non_null(space);
		test(space);
		fixture_check(cache);
		vmemcache_delete(cache);
	}
}

static void
show_beside_expired(VMEMcache *cache)
{
	for (unsigned i = 1000; i < 2000; i++)
		store_number(cache, i, i / 10 % 2 ? 0 : 1);
	now_ms += 20;
	for (size_t at_most = 1; at_most < 600; at_most = 3 * at_most + 1) {
		assert_int_equal(show_pages(cache, "", at_most, 0), 500);
		assert_int_equal(show_pages(cache, "7/", at_most, 0), 50);
	}
}

static void
test_expired_fill_no_page(void **state)
{
	(void)state;
	each_kind(show_beside_expired);
}

/* What a callback removes is not shown, and what comes behind it is. */
static void
show_and_remove(VMEMcache *cache)
{
	for (size_t at_most = 2; at_most < 150; at_most = 3 * at_most + 1) {
		for (unsigned i = 1000; i < 2000; i++)
			store_number(cache, i, 0);
		assert_int_equal(show_pages(cache, "3/", at_most, 1), 50);
		assert_int_equal(show_pages(cache, "3/", at_most, 0), 50);
		assert_int_equal(show_pages(cache, "4/", at_most, 3), 75);
		assert_int_equal(show_pages(cache, "", at_most, 0), 925);
	}
}

static void
test_removed_fill_no_page(void **state)
{
	(void)state;
	each_kind(show_and_remove);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_expired_fill_no_page),
		cmocka_unit_test(test_removed_fill_no_page),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
