/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * operations.c -- put, get, exists and evict: results and what they leave
 */
#include "fixture.h"

static VMEMcache *
open_default(void)
{
	return fixture_open(0, 0, VMEMCACHE_REPLACEMENT_LRU);
}

static void
test_put_get(void **state)
{
	VMEMcache *cache = open_default();
	char buffer[32];
	size_t size = 99;

	(void)state;
	assert_int_equal(vmemcache_put(cache, "key", 3, "value", 5), 0);
	memset(buffer, '#', sizeof(buffer));
	assert_int_equal(vmemcache_get(cache, "key", 3, buffer, sizeof(buffer),
				 0, &size),
		5);
	assert_int_equal(size, 5);
	assert_memory_equal(buffer, "value#", 6);
	assert_int_equal(vmemcache_exists(cache, "key", 3, NULL), 1);
	size = 99;
	assert_int_equal(vmemcache_exists(cache, "key", 3, &size), 1);
	assert_int_equal(size, 5);
	assert_int_equal(vmemcache_evict(cache, "key", 3), 0);
	assert_int_equal(vmemcache_exists(cache, "key", 3, NULL), 0);
	fixture_check_empty(cache);
	vmemcache_delete(cache);
}

static void
test_miss(void **state)
{
	VMEMcache *cache = open_default();
	char buffer[8] = "#######";
	size_t size = 99;

	(void)state;
	assert_fails(vmemcache_get(cache, "k", 1, buffer, 8, 0, &size), ENOENT);
	assert_fails(vmemcache_get(cache, "k", 1, NULL, 0, 0, NULL), ENOENT);
	assert_int_equal(vmemcache_exists(cache, "k", 1, &size), 0);
	assert_fails(vmemcache_evict(cache, "k", 1), ENOENT);
	assert_fails(vmemcache_evict(cache, NULL, 0), ESRCH);
	assert_int_equal(size, 99);
	assert_string_equal(buffer, "#######");
	fixture_check_empty(cache);
	vmemcache_delete(cache);
}

/* Every buffer size and offset around a value that lies in several blocks. */
static void
test_parts_of_a_value(void **state)
{
	enum { SIZE = 700, ROOM = 760 };
	VMEMcache *cache = open_default();
	char buffer[ROOM + 1];
	uint64_t key = 5;
	size_t size;

	(void)state;
	assert_int_equal(fixture_put(cache, key, 1, SIZE), 0);
	for (size_t offset = 0; offset <= ROOM; offset += 1 + offset % 7)
		for (size_t room = 0; room <= ROOM; room += 1 + room % 31) {
			size_t left = offset < SIZE ? SIZE - offset : 0;
			size_t expected = room < left ? room : left;
			memset(buffer, '#', sizeof(buffer));
			size = 0;
			assert_int_equal(vmemcache_get(cache, &key, 8, buffer,
						 room, offset, &size),
				expected);
			assert_int_equal(size, SIZE);
			assert_true(value_is(buffer, expected, offset, key, 1));
			assert_int_equal(buffer[expected], '#');
		}
	assert_int_equal(
		vmemcache_get(cache, &key, 8, buffer, 9, SIZE_MAX, &size), 0);
	assert_int_equal(vmemcache_get(cache, &key, 8, NULL, 9, 0, &size), 0);
	assert_int_equal(
		vmemcache_get(cache, &key, 8, buffer, SIZE_MAX, 690, NULL), 10);
	assert_true(value_is(buffer, 10, 690, key, 1));
	vmemcache_delete(cache);
}

static void
test_value_sizes(void **state)
{
	VMEMcache *cache = open_default();

	(void)state;
	for (size_t size = 0; size < 2000; size++) {
		assert_int_equal(fixture_put(cache, size, 1, size), 0);
		assert_true(fixture_has(cache, size, 1, size));
		assert_int_equal(
			fixture_stat(cache, VMEMCACHE_STAT_POOL_SIZE_USED),
			(size + 255) / 256 * 256);
		assert_int_equal(fixture_evict(cache, size), 0);
	}
	fixture_check_empty(cache);
	/* a value of no bytes takes no block, but as much room as one */
	assert_int_equal(fixture_put(cache, 1, 1, VMEMCACHE_MIN_POOL - 256), 0);
	assert_int_equal(vmemcache_put(cache, "empty", 5, NULL, 0), 0);
	assert_int_equal(fixture_stat(cache, VMEMCACHE_STAT_ENTRIES), 2);
	assert_int_equal(vmemcache_get(cache, "empty", 5, NULL, 0, 0, NULL), 0);
	assert_true(fixture_has(cache, 1, 1, VMEMCACHE_MIN_POOL - 256));
	assert_int_equal(vmemcache_put(cache, "more", 4, NULL, 0), 0);
	assert_int_equal(fixture_stat(cache, VMEMCACHE_STAT_ENTRIES), 2);
	fixture_check(cache);
	vmemcache_delete(cache);
}

/* The value of a key that is n bytes of c. */
static void
put_run(VMEMcache *cache, const char *bytes, size_t n, char c)
{
	uint64_t value = (uint64_t)(unsigned char)c << 32 | n;

	assert_int_equal(
		vmemcache_put(cache, bytes, n, &value, sizeof(value)), 0);
}

static bool
has_run(VMEMcache *cache, const char *bytes, size_t n, char c)
{
	uint64_t value = 0;

	return vmemcache_get(cache, bytes, n, &value, sizeof(value), 0, NULL) ==
		       8 &&
	       value == ((uint64_t)(unsigned char)c << 32 | n);
}

/* Keys that are prefixes of each other, of zeros, ones and letters. */
static void
test_keys_of_any_bytes(void **state)
{
	enum { LONGEST = 300 };
	static const char chars[] = {'\0', '\xff', 'a'};
	VMEMcache *cache = open_default();
	char bytes[LONGEST];

	(void)state;
	put_run(cache, NULL, 0, 'e'); /* the empty key */
	for (size_t i = 0; i < sizeof(chars); i++) {
		memset(bytes, chars[i], sizeof(bytes));
		for (size_t n = 1; n <= LONGEST; n++)
			put_run(cache, bytes, n, chars[i]);
	}
	assert_int_equal(
		fixture_stat(cache, VMEMCACHE_STAT_ENTRIES), 1 + 3 * LONGEST);
	assert_true(has_run(cache, "", 0, 'e'));
	for (size_t i = 0; i < sizeof(chars); i++) {
		memset(bytes, chars[i], sizeof(bytes));
		for (size_t n = 1; n <= LONGEST; n++) {
			assert_true(has_run(cache, bytes, n, chars[i]));
			assert_int_equal(vmemcache_evict(cache, bytes, n), 0);
			assert_int_equal(
				vmemcache_exists(cache, bytes, n, NULL), 0);
		}
	}
	/* key NULL with a size of 0 is the victim, not the empty key */
	assert_int_equal(vmemcache_evict(cache, "", 0), 0);
	fixture_check_empty(cache);
	vmemcache_delete(cache);
}

static void
test_long_keys(void **state)
{
	VMEMcache *cache = open_default();
	size_t n = 1 << 20;
	char *key = calloc(1, n);

	(void)state;
	assert_non_null(key);
	put_run(cache, key, n, 'l');
	key[n - 1] = 1;
	put_run(cache, key, n, 'm');
	assert_true(fixture_stat(cache, VMEMCACHE_STAT_DRAM_SIZE_USED) > 2 * n);
	assert_true(has_run(cache, key, n, 'm'));
	assert_int_equal(vmemcache_evict(cache, key, n), 0);
	key[n - 1] = 0;
	assert_true(has_run(cache, key, n, 'l'));
	assert_int_equal(vmemcache_evict(cache, NULL, 0), 0);
	fixture_check_empty(cache);
	vmemcache_delete(cache);
	free(key);
}

/* The cache keeps copies: what the caller does with its bytes is no matter. */
static void
test_copies(void **state)
{
	VMEMcache *cache = open_default();
	char key[] = "key", value[] = "value", buffer[8];

	(void)state;
	assert_int_equal(vmemcache_put(cache, key, 3, value, 5), 0);
	memset(key, 'x', 3);
	memset(value, 'y', 5);
	assert_fails(vmemcache_get(cache, key, 3, buffer, 8, 0, NULL), ENOENT);
	assert_int_equal(vmemcache_get(cache, "key", 3, buffer, 8, 0, NULL), 5);
	assert_memory_equal(buffer, "value", 5);
	vmemcache_delete(cache);
}

struct stats {
	unsigned long long of[FIXTURE_STATS];
};

static struct stats
stats_of(VMEMcache *cache)
{
	struct stats s;

	for (int i = 0; i < FIXTURE_STATS; i++)
		s.of[i] = fixture_stat_if_any(cache, i);
	/* the system makes huge pages, and breaks them up, when it likes */
	s.of[VMEMCACHE_STAT_POOL_SIZE_HUGE] = 0;
	s.of[VMEMCACHE_STAT_DRAM_SIZE_HUGE] = 0;
	return s;
}

static void
assert_unchanged(VMEMcache *cache, struct stats before)
{
	struct stats now = stats_of(cache);

	assert_memory_equal(&now, &before, sizeof(now));
}

/* A put that fails changes nothing: full cache, and one with room. */
static void
test_put_that_fails(void **state)
{
	const size_t half = VMEMCACHE_MIN_POOL / 2;
	VMEMcache *cache = open_default();

	(void)state;
	for (int full = 0; full < 2; full++) {
		assert_int_equal(
			fixture_put(cache, (uint64_t)full, 1, half), 0);
		struct stats before = stats_of(cache);
		assert_fails(fixture_put(cache, 0, 2, 1), EEXIST);
		assert_fails(fixture_put(cache, 0, 2, half), EEXIST);
		assert_fails(fixture_put(cache, 0, 2, 2 * half), EEXIST);
		assert_fails(fixture_put(cache, 0, 2, 2 * half + 1), EEXIST);
		assert_fails(fixture_put(cache, 9, 2, 2 * half + 1), ENOSPC);
		assert_fails(
			vmemcache_put(cache, "k", 1, "v", SIZE_MAX), ENOSPC);
		assert_fails(vmemcache_put(cache, "k", 1, "v", SIZE_MAX - 255),
			ENOSPC);
		assert_unchanged(cache, before);
	}
	assert_true(fixture_has(cache, 0, 1, half));
	assert_true(fixture_has(cache, 1, 1, half));
	fixture_check(cache);
	vmemcache_delete(cache);
}

static void
test_policy_none(void **state)
{
	VMEMcache *cache = fixture_open(0, 0, VMEMCACHE_REPLACEMENT_NONE);
	const size_t half = VMEMCACHE_MIN_POOL / 2;

	(void)state;
	assert_int_equal(fixture_put(cache, 1, 1, half), 0);
	assert_int_equal(fixture_put(cache, 2, 1, half - 256), 0);
	struct stats before = stats_of(cache);
	assert_fails(fixture_put(cache, 3, 1, 257), ENOSPC);
	assert_fails(vmemcache_evict(cache, NULL, 0), ESRCH);
	assert_unchanged(cache, before);
	assert_int_equal(fixture_put(cache, 3, 1, 256), 0);
	assert_int_equal(fixture_evict(cache, 1), 0);
	assert_int_equal(fixture_put(cache, 1, 2, half), 0);
	assert_true(fixture_has(cache, 1, 2, half));
	for (uint64_t key = 1; key <= 3; key++)
		assert_int_equal(fixture_evict(cache, key), 0);
	fixture_check_empty(cache);
	vmemcache_delete(cache);
}

/* Space is found wherever it is: a value in as many pieces as there are. */
static void
test_value_in_pieces(void **state)
{
	VMEMcache *cache = fixture_open(0, 0, VMEMCACHE_REPLACEMENT_NONE);
	const uint64_t blocks = VMEMCACHE_MIN_POOL / 256;
	const size_t half = VMEMCACHE_MIN_POOL / 2;
	char buffer[1000];
	uint64_t key = blocks;

	(void)state;
	for (uint64_t i = 0; i < blocks; i++)
		assert_int_equal(fixture_put(cache, i, 1, 256), 0);
	for (uint64_t i = 0; i < blocks; i += 2)
		assert_int_equal(fixture_evict(cache, i), 0);
	assert_int_equal(
		fixture_stat(cache, VMEMCACHE_STAT_HEAP_ENTRIES), blocks / 2);
	assert_int_equal(fixture_put(cache, key, 1, half - 100), 0);
	assert_int_equal(fixture_stat(cache, VMEMCACHE_STAT_EXTENTS), blocks);
	assert_int_equal(fixture_stat(cache, VMEMCACHE_STAT_HEAP_ENTRIES), 0);
	assert_true(fixture_has(cache, key, 1, half - 100));
	uint64_t random = testing_seed();
	for (int i = 0; i < 1000; i++) {
		size_t offset = testing_below(&random, half);
		size_t room = testing_below(&random, sizeof(buffer));
		ssize_t n = vmemcache_get(
			cache, &key, 8, buffer, room, offset, NULL);
		assert_true(n >= 0);
		assert_true(value_is(buffer, (size_t)n, offset, key, 1));
	}
	for (uint64_t i = 1; i < blocks; i += 2)
		assert_true(fixture_has(cache, i, 1, 256));
	fixture_check(cache);
	for (uint64_t i = 1; i < blocks; i += 2)
		assert_int_equal(fixture_evict(cache, i), 0);
	assert_int_equal(fixture_evict(cache, key), 0);
	fixture_check_empty(cache);
	vmemcache_delete(cache);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_put_get),
		cmocka_unit_test(test_miss),
		cmocka_unit_test(test_parts_of_a_value),
		cmocka_unit_test(test_value_sizes),
		cmocka_unit_test(test_keys_of_any_bytes),
		cmocka_unit_test(test_long_keys),
		cmocka_unit_test(test_copies),
		cmocka_unit_test(test_put_that_fails),
		cmocka_unit_test(test_policy_none),
		cmocka_unit_test(test_value_in_pieces),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
