/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * clear.c -- the cache itself is cleared in one step, whatever it holds
 *
 * Of some thousand items nothing is found after a clear, most of them are still
 * in memory, and what they take is used before anything else goes.
 */
#include "fixture.h"

#include "space.h"

enum { BLOCK = 256, MANY = 4096, POOL = MANY * BLOCK };

static const enum vmemcache_repl_p policies[] = {VMEMCACHE_REPLACEMENT_NONE,
	VMEMCACHE_REPLACEMENT_LRU, VMEMCACHE_REPLACEMENT_SIEVE,
	VMEMCACHE_REPLACEMENT_S3FIFO, VMEMCACHE_REPLACEMENT_ADAPTIVE};
enum { POLICIES = sizeof(policies) / sizeof(*policies) };

static void
fill(VMEMcache *cache, uint64_t from, uint64_t to, uint64_t number)
{
	for (uint64_t key = from; key < to; key++)
		assert_int_equal(fixture_put(cache, key, number, BLOCK), 0);
}

static struct vmemcache_statistics
statistics(VMEMcache *cache)
{
	struct vmemcache_statistics s = {.struct_size = sizeof(s)};

	assert_int_equal(vmemcache_statistics(cache, &s), 0);
	return s;
}

/* What is in memory for nobody. */
static uint64_t
left_of(VMEMcache *cache)
{
	return vmc_spaces_nobodys(cache).items;
}

/* vmemcache_on_item */
static enum vmemcache_step
never(VMEMcache *cache, const void *key, size_t key_size,
	const struct vmemcache_item *item, void *arg)
{
	(void)cache, (void)key, (void)key_size, (void)item, (void)arg;
	fail_msg("nothing is to be shown");
	return VMEMCACHE_WALK_ON;
}

/* All that is told of an empty cache. */
static void
check_nothing(VMEMcache *cache, uint64_t cleared)
{
	struct vmemcache_statistics s = statistics(cache);
	uint64_t cursor = 0;

	fixture_check(cache);
	assert_int_equal(s.items, 0);
	assert_int_equal(s.value_bytes, 0);
	assert_int_equal(s.block_bytes, 0);
	assert_int_equal(s.pieces, 0);
	assert_int_equal(s.removals[VMEMCACHE_REASON_CLEARED], cleared);
	assert_int_equal(fixture_stat(cache, VMEMCACHE_STAT_ENTRIES), 0);
	assert_int_equal(fixture_stat(cache, VMEMCACHE_STAT_POOL_SIZE_USED), 0);
	assert_int_equal(fixture_stat(cache, VMEMCACHE_STAT_EVICT), cleared);
	for (uint64_t key = 0; key < MANY; key++)
		assert_int_equal(fixture_exists(cache, key), 0);
	assert_int_equal(
		vmemcache_walk(cache, &cursor, SIZE_MAX, never, NULL), 0);
	assert_int_equal(vmemcache_walk_prefix(
				 cache, "", 0, NULL, 0, SIZE_MAX, never, NULL),
		0);
	assert_int_equal(vmemcache_remove_prefix(cache, "", 0), 0);
}

/* What it took is there for others, before anything that is good goes. */
static void
clear_and_fill(enum vmemcache_repl_p policy, int ordered)
{
	VMEMcache *cache = fixture_new(POOL, 0, policy);

	assert_int_equal(vmemcache_set_ordered(cache, ordered), 0);
	assert_int_equal(vmemcache_add(cache, FIXTURE_DIR), 0);
	for (uint64_t round = 1; round < 4; round++) {
		fill(cache, 0, MANY, round);
		assert_int_equal(statistics(cache).items, MANY);
		assert_int_equal(vmemcache_clear(cache), 0);
		/* it has done a bounded part */
		assert_in_range(left_of(cache), MANY - 1000, MANY);
		check_nothing(cache, round * MANY);
	}
	/* the same keys again, and none of the old values */
	fill(cache, 0, MANY, 7);
	for (uint64_t key = 0; key < MANY; key++)
		assert_true(fixture_has(cache, key, 7, BLOCK));
	assert_int_equal(
		statistics(cache).removals[VMEMCACHE_REASON_CAPACITY], 0);
	assert_in_range(
		left_of(cache), 0, 16); /* as the pool is a bit larger */
	fixture_check(cache);
	fixture_clear(cache);
	vmemcache_delete(cache);
}

static void
test_clear_and_fill(void **state)
{
	(void)state;
	for (unsigned i = 0; i < POLICIES; i++)
		for (int ordered = 0; ordered < 2; ordered++)
			clear_and_fill(policies[i], ordered);
}

/* One after the other, with little in between, more than are kept apart. */
static void
test_many_clears(void **state)
{
	VMEMcache *cache = fixture_open(POOL, 0, VMEMCACHE_REPLACEMENT_LRU);
	const unsigned rounds = 5 * VMC_CLEARED_MAX;

	(void)state;
	for (uint64_t round = 0; round < rounds; round++) {
		fill(cache, 0, 300, round);
		assert_int_equal(vmemcache_clear(cache), 0);
		assert_int_equal(statistics(cache).items, 0);
		assert_int_equal(fixture_exists(cache, round), 0);
		fixture_check(cache);
	}
	check_nothing(cache, rounds * UINT64_C(300));
	fixture_clear(cache);
	vmemcache_delete(cache);
}

/* The bytes of what is pinned stay, and go with the pin. */
static void
test_pins(void **state)
{
	struct vmemcache_item items[50];

	(void)state;
	for (unsigned i = 0; i < POLICIES; i++) {
		VMEMcache *cache = fixture_open(POOL, 0, policies[i]);
		fill(cache, 0, MANY, 1);
		for (uint64_t key = 0; key < 50; key++)
			assert_int_equal(vmemcache_pin(cache, &key, sizeof(key),
						 0, &items[key]),
				0);
		assert_int_equal(vmemcache_clear(cache), 0);
		fill(cache, 0, MANY - 50, 2);
		for (uint64_t key = 0; key < 50; key++) {
			assert_true(value_is(
				items[key].iov[0].iov_base, BLOCK, 0, key, 1));
			assert_true(fixture_has(cache, key, 2, BLOCK));
		}
		fixture_check(cache);
		assert_int_equal(statistics(cache).pinned_items, 50);
		for (uint64_t key = 0; key < 50; key++)
			vmemcache_unpin(cache, &items[key]);
		fill(cache, MANY, MANY + 50, 2);
		assert_int_equal(statistics(cache).items, MANY);
		fixture_clear(cache);
		vmemcache_delete(cache);
	}
}

static void
count_calls(VMEMcache *cache, const void *key, size_t key_size, void *arg)
{
	(void)cache, (void)key, (void)key_size;
	++*(unsigned *)arg;
}

static void
count_removals(VMEMcache *cache, const void *key, size_t key_size,
	const struct vmemcache_item *item, enum vmemcache_reason reason,
	void *arg)
{
	(void)cache, (void)key, (void)key_size, (void)item;
	((unsigned *)arg)[reason]++;
}

/* What is evicted by a call is what is there; nobody hears of the rest. */
static void
test_evicts_what_is_there(void **state)
{
	VMEMcache *cache = fixture_open(POOL, 0, VMEMCACHE_REPLACEMENT_LRU);
	unsigned evicted = 0, removed[VMEMCACHE_REASONS] = {0};

	(void)state;
	vmemcache_callback_on_evict(cache, count_calls, &evicted);
	fill(cache, 0, MANY, 1);
	assert_int_equal(vmemcache_clear(cache), 0);
	vmemcache_callback_on_remove(cache, count_removals, removed);
	fill(cache, MANY, MANY + 3, 2);
	for (unsigned i = 1; i < 4; i++) {
		assert_int_equal(vmemcache_evict(cache, NULL, 0), 0);
		assert_int_equal(evicted, i);
		assert_int_equal(statistics(cache).items, 3 - i);
	}
	assert_fails(vmemcache_evict(cache, NULL, 0), ESRCH);
	assert_fails(fixture_evict(cache, 1), ENOENT);
	fill(cache, 0, MANY, 3);
	assert_int_equal(evicted, 3);
	assert_int_equal(removed[VMEMCACHE_REASON_EVICTED], 3);
	assert_int_equal(removed[VMEMCACHE_REASON_CLEARED], 0);
	/* but of each, where it was set before */
	assert_int_equal(vmemcache_clear(cache), 0);
	assert_int_equal(removed[VMEMCACHE_REASON_CLEARED], MANY);
	assert_int_equal(evicted, 3);
	fixture_check_empty(cache);
	vmemcache_delete(cache);
}

/* Neither has what the other has. */
static void
test_spaces(void **state)
{
	VMEMcache *cache = fixture_open(2 * POOL, 0, VMEMCACHE_REPLACEMENT_LRU);
	VMEMcache *space = vmemcache_new_space(cache, NULL);

	(void)state;
	assert_non_null(space);
	for (uint64_t round = 1; round < 4; round++) {
		fill(cache, 0, MANY, 1);
		fill(space, 0, MANY, 2);
		assert_int_equal(vmemcache_clear(cache), 0);
		assert_int_equal(statistics(cache).items, MANY);
		for (uint64_t key = 0; key < MANY; key++) {
			assert_int_equal(fixture_exists(cache, key), 0);
			assert_true(fixture_has(space, key, 2, BLOCK));
		}
		fill(cache, 0, MANY, 3);
		assert_int_equal(vmemcache_clear(space), 0);
		fixture_check(cache);
		assert_int_equal(statistics(cache).items, MANY);
		for (uint64_t key = 0; key < MANY; key++) {
			assert_int_equal(fixture_exists(space, key), 0);
			assert_true(fixture_has(cache, key, 3, BLOCK));
		}
		assert_int_equal(vmemcache_clear(cache), 0);
	}
	assert_int_equal(
		statistics(cache).removals[VMEMCACHE_REASON_CAPACITY], 0);
	vmemcache_delete(cache);
}

/* A smaller pool has no room for what was cleared, and does not keep it. */
static void
test_resize(void **state)
{
	(void)state;
	for (unsigned i = 0; i < POLICIES; i++) {
		VMEMcache *cache = fixture_open(4 << 20, 0, policies[i]);
		for (uint64_t key = 0; key < 3 * MANY; key++)
			assert_int_equal(fixture_put(cache, key, 1, BLOCK), 0);
		assert_int_equal(vmemcache_clear(cache), 0);
		fill(cache, 0, 100, 2);
		assert_int_equal(vmemcache_resize(cache, 1 << 20), 0);
		fixture_check(cache);
		for (uint64_t key = 0; key < 100; key++)
			assert_true(fixture_has(cache, key, 2, BLOCK));
		assert_int_equal(statistics(cache).items, 100);
		fixture_clear(cache);
		vmemcache_delete(cache);
	}
}

/* A limit on metadata is kept by what was cleared first. */
static void
test_metadata_limit(void **state)
{
	VMEMcache *cache =
		fixture_open(4 * POOL, 0, VMEMCACHE_REPLACEMENT_SIEVE);

	(void)state;
	fill(cache, 0, 2 * MANY, 1);
	uint64_t bytes = statistics(cache).metadata_bytes;
	assert_int_equal(vmemcache_clear(cache), 0);
	assert_int_equal(
		vmemcache_set_metadata_limit(cache, bytes + bytes / 10), 0);
	fill(cache, 0, MANY, 2);
	assert_int_equal(statistics(cache).items, MANY);
	assert_in_range(
		statistics(cache).metadata_bytes, 1, bytes + bytes / 10);
	fixture_clear(cache);
	vmemcache_delete(cache);
}

/* Random calls beside an array that says which value each key has. */
static void
run_random(enum vmemcache_repl_p policy, int ordered, uint64_t *random)
{
	enum { KEYS = 400 };
	VMEMcache *cache = fixture_new(1 << 20, 0, policy);
	uint64_t number[KEYS] = {0}, next = 0;

	assert_int_equal(vmemcache_set_ordered(cache, ordered), 0);
	assert_int_equal(vmemcache_add(cache, FIXTURE_DIR), 0);
	for (uint64_t i = testing_operations(20000); i > 0; i--) {
		uint64_t key = testing_below(random, KEYS);
		uint64_t what = testing_below(random, 1000);
		if (what < 3) {
			assert_int_equal(vmemcache_clear(cache), 0);
			memset(number, 0, sizeof(number));
		} else if (what < 20) {
			int rc = fixture_evict(cache, key);
			assert_int_equal(rc, number[key] ? 0 : -1);
			number[key] = 0;
		} else if (what < 500) {
			assert_int_equal(
				fixture_exists(cache, key), number[key] != 0);
			assert_true(!number[key] ||
				    fixture_has(cache, key, number[key], 1000));
		} else if (number[key] == 0) {
			number[key] = ++next;
			assert_int_equal(
				fixture_put(cache, key, next, 1000), 0);
		}
		if (what == 999)
			fixture_check(cache);
	}
	fixture_check(cache);
	fixture_clear(cache);
	vmemcache_delete(cache);
}

static void
test_random(void **state)
{
	uint64_t random = testing_seed();

	(void)state;
	for (unsigned i = 0; i < POLICIES; i++)
		run_random(policies[i], i % 2, &random);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_clear_and_fill),
		cmocka_unit_test(test_many_clears),
		cmocka_unit_test(test_pins),
		cmocka_unit_test(test_evicts_what_is_there),
		cmocka_unit_test(test_spaces),
		cmocka_unit_test(test_resize),
		cmocka_unit_test(test_metadata_limit),
		cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
