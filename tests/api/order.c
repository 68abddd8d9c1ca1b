/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * order.c -- one thread: the victim is the entry whose last get or put is the
 * oldest, exactly
 */
#include "fixture.h"

enum { BLOCKS = 4096, KEYS = 3 * BLOCKS / 2 };

/* The oracle: when each key was used last; 0: it is not in the cache. */
struct oracle {
	VMEMcache *cache;
	uint64_t used[KEYS];
	uint64_t now;
	uint64_t victim; /* as the callback was told */
	unsigned evicted;
};

static uint64_t
oldest(const struct oracle *o)
{
	uint64_t key = KEYS;

	for (uint64_t k = 0; k < KEYS; k++)
		if (o->used[k] && (key == KEYS || o->used[k] < o->used[key]))
			key = k;
	return key;
}

static void
note_victim(VMEMcache *cache, const void *key, size_t key_size, void *arg)
{
	struct oracle *o = arg;

	assert_ptr_equal(cache, o->cache);
	assert_int_equal(key_size, sizeof(o->victim));
	memcpy(&o->victim, key, sizeof(o->victim));
	o->evicted++;
}

static void
oracle_start(struct oracle *o)
{
	memset(o, 0, sizeof(*o));
	o->cache = fixture_open(0, 0, VMEMCACHE_REPLACEMENT_LRU);
	vmemcache_callback_on_evict(o->cache, note_victim, o);
}

static void
put(struct oracle *o, uint64_t key, uint64_t entries)
{
	uint64_t expected = oldest(o);
	bool evicts = entries == BLOCKS;

	o->evicted = 0;
	assert_int_equal(fixture_put(o->cache, key, 1, 256), 0);
	assert_int_equal(o->evicted, evicts);
	if (evicts) {
		assert_int_equal(o->victim, expected);
		o->used[expected] = 0;
	}
	o->used[key] = ++o->now;
}

static void
get(struct oracle *o, uint64_t key)
{
	assert_true(fixture_has(o->cache, key, 1, 256));
	o->used[key] = ++o->now;
}

/* All that is no use of an entry. */
static void
look(struct oracle *o, uint64_t key)
{
	char byte;

	assert_int_equal(fixture_exists(o->cache, key), o->used[key] != 0);
	if (o->used[key])
		assert_int_equal(fixture_put(o->cache, key, 2, 1), -1);
	else
		assert_int_equal(vmemcache_get(o->cache, &key, sizeof(key),
					 &byte, 1, 0, NULL),
			-1);
}

static void
evict_victim(struct oracle *o)
{
	uint64_t expected = oldest(o);

	assert_int_equal(vmemcache_evict(o->cache, NULL, 0), 0);
	assert_int_equal(o->victim, expected);
	o->used[expected] = 0;
}

static void
test_runs_of_puts_and_gets(void **state)
{
	struct oracle o;
	uint64_t random = testing_seed();
	uint64_t entries = 0;

	(void)state;
	oracle_start(&o);
	uint64_t rounds = testing_operations(100);
	for (uint64_t round = 0; round < rounds; round++) {
		/* runs of many lengths: rings fill, and are drained, anyhow */
		uint64_t length = 1 + testing_below(&random, 600);
		uint64_t what = testing_below(&random, 4);
		for (uint64_t i = 0; i < length; i++) {
			uint64_t key = testing_below(&random, KEYS);
			if (what == 0 || testing_below(&random, 20) == 0)
				look(&o, key);
			else if (what == 1 && o.used[key] && i % 30 == 0)
				get(&o, key);
			if (what <= 1 && !o.used[key]) {
				put(&o, key, entries);
				entries += entries < BLOCKS;
			} else if (what > 1 && o.used[key]) {
				get(&o, key);
			}
		}
	}
	while (oldest(&o) != KEYS)
		evict_victim(&o);
	assert_fails(vmemcache_evict(o.cache, NULL, 0), ESRCH);
	fixture_check_empty(o.cache);
	vmemcache_delete(o.cache);
}

/* As many uses as fit into a ring, one less, one more, and a few times that. */
static void
test_as_many_uses_as_a_ring_holds(void **state)
{
	struct oracle o;

	(void)state;
	for (uint64_t puts = VMC_RING_SIZE - 33; puts < 4 * VMC_RING_SIZE;
		puts += puts % VMC_RING_SIZE < 3 ? 1 : 79) {
		oracle_start(&o);
		for (uint64_t key = 0; key < puts; key++)
			put(&o, key, key);
		get(&o, 0);
		for (uint64_t key = puts; key-- > puts / 2;)
			get(&o, key);
		while (oldest(&o) != KEYS)
			evict_victim(&o);
		vmemcache_delete(o.cache);
	}
}

/* A large value takes the place of the oldest entries, no more than needed. */
static void
test_several_victims(void **state)
{
	struct oracle o;

	(void)state;
	oracle_start(&o);
	for (uint64_t key = 0; key < BLOCKS; key++)
		put(&o, key, key);
	for (uint64_t key = 0; key < 10; key += 2)
		get(&o, key);
	o.evicted = 0;
	assert_int_equal(fixture_put(o.cache, KEYS, 1, 10 * 256 - 7), 0);
	assert_int_equal(o.evicted, 10);
	/* 1 3 5 7 9, then 10 11 12 13 14 */
	for (uint64_t key = 0; key < 20; key++) {
		bool gone = key < 10 ? key % 2 == 1 : key < 15;
		assert_int_equal(fixture_exists(o.cache, key), !gone);
	}
	fixture_check(o.cache);
	vmemcache_delete(o.cache);
}

/* Uses of what would be evicted next, or soon, between evictions and puts. */
static void
test_the_oldest_is_used(void **state)
{
	struct oracle o;
	uint64_t random = testing_seed();
	uint64_t next = BLOCKS;

	(void)state;
	oracle_start(&o);
	for (uint64_t key = 0; key < BLOCKS; key++)
		put(&o, key, key);
	for (uint64_t i = 0; i < 3000; i++) {
		uint64_t key = oldest(&o) + testing_below(&random, 12);
		bool there = key < KEYS && o.used[key];
		uint64_t what = testing_below(&random, 4);

		if (what == 0 && there) {
			get(&o, key);
		} else if (what == 1 && there && i % 8 == 0) {
			assert_int_equal(fixture_evict(o.cache, key), 0);
			o.used[key] = 0;
			put(&o, key, 0);
		} else if (what == 2 && next < KEYS) {
			put(&o, next++, BLOCKS);
		} else if (what == 3) {
			uint64_t gone = oldest(&o);
			evict_victim(&o);
			put(&o, gone, 0);
		}
	}
	fixture_check(o.cache);
	vmemcache_delete(o.cache);
}

/*
 * What is got again and again is kept in another way, and comes and goes there
 * as long as it pays: between such times puts, evictions, gets of others.
 */
static void
again_and_again(uint32_t clock)
{
	struct oracle o;
	uint64_t random = testing_seed();
	uint64_t entries = 0;

	oracle_start(&o);
	vmc_store_relaxed(&o.cache->policy->clock, clock);
	uint64_t rounds = 20 + testing_operations(20);
	for (uint64_t round = 0; round < rounds; round++) {
		uint64_t range = round % 3 ? entries / 8 + 1 : KEYS;
		uint64_t first = testing_below(&random, KEYS);
		for (unsigned i = 0; i < 4000; i++) {
			uint64_t key =
				(first + testing_below(&random, range)) % KEYS;
			if (o.used[key])
				get(&o, key);
		}
		uint64_t others = testing_below(&random, 500);
		for (uint64_t i = 0; i < others; i++) {
			uint64_t key = testing_below(&random, KEYS);
			bool evict = testing_below(&random, 40) == 0;
			if (!o.used[key]) {
				put(&o, key, entries);
				entries += entries < BLOCKS;
			} else if (evict) {
				assert_int_equal(
					fixture_evict(o.cache, key), 0);
				o.used[key] = 0;
				entries--;
			} else if (i % 3 == 0) {
				get(&o, key);
			}
		}
		fixture_check(o.cache);
	}
	/* it was, or nothing is shown */
	assert_non_null(vmc_load_relaxed(&o.cache->policy->stamps));
	while (oldest(&o) != KEYS)
		evict_victim(&o);
	fixture_check_empty(o.cache);
	vmemcache_delete(o.cache);
}

static void
test_the_same_again_and_again(void **state)
{
	(void)state;
	again_and_again(0);
	/* the clock is set back some time */
	again_and_again(VMC_POLICY_TURN - 50000);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_runs_of_puts_and_gets),
		cmocka_unit_test(test_the_oldest_is_used),
		cmocka_unit_test(test_as_many_uses_as_a_ring_holds),
		cmocka_unit_test(test_several_victims),
		cmocka_unit_test(test_the_same_again_and_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
