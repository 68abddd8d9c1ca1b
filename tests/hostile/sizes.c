/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * sizes.c -- keys and values of the sizes at which something changes: nothing,
 * one byte, and one byte less and more than each power of two, which blocks,
 * pages and huge pages are; and parts of values at such offsets
 */
#include "fixture.h"

enum { GUARD = 64, EDGES_MAX = 128 };

#define HUGE_PAGE ((size_t)2 << 20)

/* 0, 1 and 2^k - 1, 2^k, 2^k + 1 up to about `largest`. */
static unsigned
edges(size_t largest, size_t edge[EDGES_MAX])
{
	unsigned count = 0;

	edge[count++] = 0;
	edge[count++] = 1;
	for (size_t power = 2; power <= largest; power *= 2) {
		if (power - 1 > edge[count - 1])
			edge[count++] = power - 1;
		edge[count++] = power;
		edge[count++] = power + 1;
	}
	return count;
}

/* A get of `room` bytes from `offset` on writes those, and no others. */
static void
check_part(VMEMcache *cache, uint64_t key, size_t size, size_t offset,
	size_t room, char *buffer)
{
	size_t left = offset < size ? size - offset : 0;
	size_t expected = left < room ? left : room, true_size = SIZE_MAX;

	memset(buffer, 0x5a, GUARD);
	memset(buffer + GUARD + expected, 0x5a, GUARD);
	ssize_t n = vmemcache_get(cache, &key, sizeof(key), buffer + GUARD,
		room, offset, &true_size);
	assert_int_equal(n, expected);
	assert_int_equal(true_size, size);
	assert_true(value_is(buffer + GUARD, expected, offset, key, 1));
	for (unsigned i = 0; i < GUARD; i++) {
		assert_int_equal(buffer[i], 0x5a);
		assert_int_equal(buffer[GUARD + expected + i], 0x5a);
	}
}

static void
check_parts(
	VMEMcache *cache, uint64_t key, size_t size, size_t block, char *buffer)
{
	const size_t offsets[] = {0, 1, block - 1, block, block + 1, 4095, 4096,
		4097, HUGE_PAGE - 1, HUGE_PAGE, HUGE_PAGE + 1, size / 2,
		size - 1, size, size + 1, SIZE_MAX};
	const size_t rooms[] = {0, 1, 7, 64, block - 1, block, block + 1, 4097};

	check_part(cache, key, size, 0, size + 1, buffer);
	for (size_t o = 0; o < sizeof(offsets) / sizeof(*offsets); o++) {
		for (size_t r = 0; r < sizeof(rooms) / sizeof(*rooms); r++)
			check_part(
				cache, key, size, offsets[o], rooms[r], buffer);
		if (offsets[o] <= size)
			check_part(cache, key, size, offsets[o],
				size - offsets[o], buffer);
	}
}

/* As many runs as possible: every other block of the pool is taken. */
static void
fragment(VMEMcache *cache, size_t block)
{
	uint64_t first = UINT64_C(1) << 32, count = 0;

	while (fixture_put(cache, first + count, 1, block) == 0)
		count++;
	assert_int_equal(errno, ENOSPC);
	for (uint64_t i = 0; i < count; i += 2)
		assert_int_equal(fixture_evict(cache, first + i), 0);
}

static void
values(size_t pool, size_t block, size_t largest, bool fragmented)
{
	/* no policy: whatever fails to fit is seen */
	VMEMcache *cache =
		fixture_open(pool, block, VMEMCACHE_REPLACEMENT_NONE);
	size_t edge[EDGES_MAX];
	unsigned count = edges(largest, edge);
	char *buffer = malloc(largest + 4097 + 3 * GUARD);

	assert_non_null(buffer);
	if (fragmented)
		fragment(cache, block);
	for (unsigned i = 0; i < count; i++) {
		size_t used =
			fixture_stat(cache, VMEMCACHE_STAT_POOL_SIZE_USED);
		if (fixture_put(cache, i, 1, edge[i]) != 0)
			fail_msg("%zu: %s", edge[i], vmemcache_errormsg());
		size_t takes = (edge[i] + block - 1) / block * block;
		assert_int_equal(
			fixture_stat(cache, VMEMCACHE_STAT_POOL_SIZE_USED),
			used + takes);
		check_parts(cache, i, edge[i], block, buffer);
	}
	fixture_check(cache);
	/* neighbours did not write into each other */
	for (unsigned i = 0; i < count; i++)
		assert_true(fixture_has(cache, i, 1, edge[i]));
	free(buffer);
	vmemcache_delete(cache);
}

static void
test_values(void **state)
{
	bool slow = RUNNING_ON_VALGRIND;

	(void)state;
	values(slow ? 2 << 20 : 16 << 20, 256, slow ? 65536 : HUGE_PAGE, false);
	values(4 << 20, 256, 65536, true);
	values(4 << 20, 300, 65536, false);
	values(4 << 20, 4096, 65536, true);
	values(4 << 20, 4097, 65536, true);
	values(8 << 20, 65536, 65536, false);
}

/* The whole pool, and a byte more. */
static void
test_as_large_as_the_pool(void **state)
{
	static const size_t blocks[] = {256, 257, 4096, 65536, 1 << 20};

	(void)state;
	for (size_t i = 0; i < sizeof(blocks) / sizeof(*blocks); i++) {
		size_t pool = 1 << 20, all = pool / blocks[i] * blocks[i];
		VMEMcache *cache = fixture_open(
			pool, blocks[i], VMEMCACHE_REPLACEMENT_LRU);
		assert_fails(fixture_put(cache, 1, 1, all + 1), ENOSPC);
		assert_int_equal(fixture_put(cache, 1, 1, all), 0);
		assert_true(fixture_has(cache, 1, 1, all));
		assert_fails(fixture_put(cache, 2, 1, all + 1), ENOSPC);
		assert_fails(
			vmemcache_put(cache, "key", 3, "", SIZE_MAX), ENOSPC);
		assert_fails(vmemcache_put(
				     cache, "key", 3, "", SIZE_MAX - blocks[i]),
			ENOSPC);
		assert_true(fixture_has(cache, 1, 1, all));
		assert_int_equal(fixture_put(cache, 2, 1, all - 1), 0);
		assert_int_equal(fixture_exists(cache, 1), 0);
		assert_true(fixture_has(cache, 2, 1, all - 1));
		vmemcache_delete(cache);
	}
}

static void
test_keys(void **state)
{
	VMEMcache *cache =
		fixture_open(2 << 20, 256, VMEMCACHE_REPLACEMENT_NONE);
	size_t edge[EDGES_MAX];
	size_t largest = RUNNING_ON_VALGRIND ? 65536 : 2 * HUGE_PAGE;
	unsigned count = edges(largest, edge), value;
	char *key = malloc(largest + 2);

	(void)state;
	assert_non_null(key);
	memset(key, 'k', largest + 2);
	for (unsigned i = 0; i < count; i++)
		assert_int_equal(
			vmemcache_put(cache, key, edge[i], &i, sizeof(i)), 0);
	for (unsigned i = 0; i < count; i++) {
		assert_int_equal(vmemcache_get(cache, key, edge[i], &value,
					 sizeof(value), 0, NULL),
			sizeof(value));
		assert_int_equal(value, i);
		/* a difference in the last byte, and in the first */
		if (edge[i] == 0)
			continue;
		key[edge[i] - 1] ^= 1;
		assert_int_equal(
			vmemcache_exists(cache, key, edge[i], NULL), 0);
		key[edge[i] - 1] ^= 1;
		key[0] ^= (char)0x80;
		assert_int_equal(
			vmemcache_exists(cache, key, edge[i], NULL), 0);
		key[0] ^= (char)0x80;
	}
	fixture_check(cache);
	for (unsigned i = 0; i < count; i++) {
		assert_int_equal(
			vmemcache_evict(cache, key, edge[i] ? edge[i] : 0), 0);
		assert_int_equal(
			vmemcache_exists(cache, key, edge[i], NULL), 0);
	}
	fixture_check_empty(cache);
	assert_fails(vmemcache_put(cache, key, (size_t)PTRDIFF_MAX + 1, "", 1),
		EINVAL);
	assert_fails(vmemcache_put(cache, key, SIZE_MAX, "", 1), EINVAL);
	free(key);
	vmemcache_delete(cache);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_as_large_as_the_pool),
		cmocka_unit_test(test_keys),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
