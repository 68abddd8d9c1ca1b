/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * nested_on_miss.c -- libvmemcache 0.8.1 handed over what on_miss put through
 * one slot a thread, so that two nested caches answered each other's gets
 */
#include "fixture.h"

/* The same key in an upper and a lower cache, with another value in each. */
struct nested {
	VMEMcache *upper, *lower;
	bool upper_puts, lower_puts;
	bool lower_has; /* the result of the inner get */
	unsigned inner_gets;
};

static const uint64_t key = 42;
enum { UPPER = 1, LOWER = 2, UPPER_SIZE = 300, LOWER_SIZE = 700 };

static void
miss_below(VMEMcache *cache, const void *bytes, size_t size, void *arg)
{
	struct nested *n = arg;

	(void)bytes, (void)size;
	assert_ptr_equal(cache, n->lower);
	if (n->lower_puts)
		assert_int_equal(fixture_put(cache, key, LOWER, LOWER_SIZE), 0);
}

static void
miss_above(VMEMcache *cache, const void *bytes, size_t size, void *arg)
{
	struct nested *n = arg;

	(void)bytes, (void)size;
	assert_ptr_equal(cache, n->upper);
	n->inner_gets++;
	n->lower_has = fixture_has(n->lower, key, LOWER, LOWER_SIZE);
	if (n->upper_puts)
		assert_int_equal(fixture_put(cache, key, UPPER, UPPER_SIZE), 0);
}

static void
run(bool upper_puts, bool lower_puts)
{
	struct nested n = {.upper_puts = upper_puts,
		.lower_puts = lower_puts,
		.upper = fixture_open(0, 0, VMEMCACHE_REPLACEMENT_LRU),
		.lower = fixture_open(0, 0, VMEMCACHE_REPLACEMENT_LRU)};

	vmemcache_callback_on_miss(n.upper, miss_above, &n);
	vmemcache_callback_on_miss(n.lower, miss_below, &n);
	/* a put into the lower one is no answer to a get from the upper one */
	assert_int_equal(
		fixture_has(n.upper, key, UPPER, UPPER_SIZE), upper_puts);
	if (!upper_puts)
		assert_int_equal(errno, ENOENT);
	assert_int_equal(n.inner_gets, 1);
	assert_int_equal(n.lower_has, lower_puts);
	assert_int_equal(fixture_exists(n.upper, key), upper_puts);
	assert_int_equal(fixture_exists(n.lower, key), lower_puts);
	vmemcache_delete(n.upper);
	vmemcache_delete(n.lower);
}

static void
test_nested_caches(void **state)
{
	(void)state;
	run(false, false);
	run(false, true);
	run(true, false);
	run(true, true);
}

/* The same cache at two depths: a slot each. */
struct depths {
	unsigned depth;
};

static void
miss_at_depths(VMEMcache *cache, const void *bytes, size_t size, void *arg)
{
	struct depths *d = arg;
	uint64_t number;

	(void)size;
	memcpy(&number, bytes, sizeof(number));
	if (++d->depth < 10)
		assert_true(fixture_has(
			cache, number + 1, number + 1, 10 * (number + 1)));
	assert_int_equal(fixture_put(cache, number, number, 10 * number), 0);
}

static void
test_nested_gets(void **state)
{
	VMEMcache *cache = fixture_open(0, 0, VMEMCACHE_REPLACEMENT_LRU);
	struct depths d = {0};

	(void)state;
	vmemcache_callback_on_miss(cache, miss_at_depths, &d);
	assert_true(fixture_has(cache, 1, 1, 10));
	assert_int_equal(d.depth, 10);
	vmemcache_delete(cache);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nested_caches),
		cmocka_unit_test(test_nested_gets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
