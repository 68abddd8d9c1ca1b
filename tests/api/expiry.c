/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * expiry.c -- items whose time is over, under a clock that the test moves
 */
#include "items.h"

#include "base/os.h"

#include <pthread.h>

static _Atomic uint64_t now_ms = 1000;
static _Atomic unsigned long clock_reads;

uint64_t __wrap_vmc_os_boot_ms(void);

uint64_t
__wrap_vmc_os_boot_ms(void)
{
	vmc_fetch_add_relaxed(&clock_reads, 1);
	return vmc_load_relaxed(&now_ms);
}

static void
pass(uint64_t ms)
{
	vmc_fetch_add_relaxed(&now_ms, ms);
}

static struct vmemcache_store
living(uint64_t ttl_ms)
{
	struct vmemcache_store how = items_mode(VMEMCACHE_SET);

	how.ttl_ms = ttl_ms;
	return how;
}

static int
store_for(VMEMcache *cache, uint64_t key, size_t size, uint64_t ttl_ms)
{
	struct vmemcache_store how = living(ttl_ms);

	return items_store(cache, key, 1, size, &how, NULL);
}

static int
touch(VMEMcache *cache, uint64_t key, uint64_t ttl_ms)
{
	return vmemcache_touch(cache, &key, sizeof(key), ttl_ms);
}

static bool
is_there(VMEMcache *cache, uint64_t key)
{
	struct vmemcache_request request = {
		.key = &key, .key_size = sizeof(key)};
	bool there = fixture_exists(cache, key) == 1;
	struct vmemcache_item item;

	/* all ways of reading say the same */
	assert_int_equal(
		vmemcache_get(cache, &key, sizeof(key), NULL, 0, 0, NULL),
		there ? 0 : -1);
	assert_int_equal(vmemcache_get_many(cache, &request, 1), there);
	assert_int_equal(vmemcache_fetch(cache, &key, sizeof(key), NULL, 0, 0,
				 VMEMCACHE_PEEK, NULL),
		there ? 0 : -1);
	assert_int_equal(vmemcache_pin(cache, &key, sizeof(key), 0, &item),
		there ? 0 : -1);
	if (there)
		vmemcache_unpin(cache, &item);
	return there;
}

static void
test_to_the_millisecond(void **state)
{
	static const uint64_t lives[] = {1, 2, 63, 64, 65, 4095, 4096, 4097,
		1000000, UINT64_C(100000000000)};

	(void)state;
	for (size_t i = 0; i < sizeof(lives) / sizeof(lives[0]); i++) {
		VMEMcache *cache = items_open();
		assert_int_equal(store_for(cache, 1, 100, lives[i]), 0);
		assert_int_equal(items_info(cache, 1).ttl_ms, lives[i]);
		pass(lives[i] - 1);
		assert_true(is_there(cache, 1));
		assert_int_equal(items_info(cache, 1).ttl_ms, 1);
		pass(1);
		assert_false(is_there(cache, 1));
		assert_fails(fixture_evict(cache, 1), ENOENT);
		assert_fails(items_remove(cache, 1, 0), ENOENT);
		assert_fails(touch(cache, 1, 100), ENOENT);
		fixture_check(cache);
		vmemcache_delete(cache);
	}
}

static void
test_modes_over_what_is_over(void **state)
{
	VMEMcache *cache = items_open();
	struct vmemcache_store how;
	uint64_t version;

	(void)state;
	for (uint64_t key = 1; key <= 5; key++)
		assert_int_equal(store_for(cache, key, 100, 10), 0);
	version = items_info(cache, 3).version;
	pass(10);
	how = items_mode(VMEMCACHE_REPLACE);
	assert_fails(items_store(cache, 1, 2, 10, &how, NULL), ENOENT);
	how = items_if_version(version);
	assert_fails(items_store(cache, 3, 2, 10, &how, NULL), ENOENT);
	assert_fails(items_remove(cache, 3, version), ENOENT);
	how = items_mode(VMEMCACHE_ADD);
	assert_int_equal(items_store(cache, 1, 2, 10, &how, NULL), 0);
	assert_int_equal(fixture_put(cache, 2, 2, 10), 0);
	assert_int_equal(items_store(cache, 3, 2, 10, NULL, NULL), 0);
	assert_fails(fixture_put(cache, 2, 3, 10), EEXIST);
	for (uint64_t key = 1; key <= 3; key++)
		assert_true(fixture_has(cache, key, 2, 10));
	/* counted as expired, not as replaced */
	assert_int_equal(fixture_stat(cache, VMEMCACHE_STAT_ENTRIES), 5);
	assert_int_equal(fixture_stat(cache, VMEMCACHE_STAT_EVICT), 3);
	fixture_check(cache);
	vmemcache_delete(cache);
}

static void
test_keep_ttl(void **state)
{
	struct vmemcache_store how = living(1000);
	VMEMcache *cache = items_open();

	(void)state;
	how.flags = VMEMCACHE_KEEP_TTL;
	/* of what never expires, before and after the cache knows of expiry */
	assert_int_equal(fixture_put(cache, 1, 1, 10), 0);
	assert_int_equal(items_store(cache, 1, 2, 10, &how, NULL), 0);
	assert_int_equal(items_info(cache, 1).ttl_ms, VMEMCACHE_FOREVER);
	assert_int_equal(store_for(cache, 2, 10, 50), 0);
	assert_int_equal(items_store(cache, 1, 3, 10, &how, NULL), 0);
	assert_int_equal(items_info(cache, 1).ttl_ms, VMEMCACHE_FOREVER);
	pass(20);
	assert_int_equal(items_store(cache, 2, 2, 10, &how, NULL), 0);
	assert_int_equal(items_info(cache, 2).ttl_ms, 30);
	/* an insertion has its own */
	assert_int_equal(items_store(cache, 3, 2, 10, &how, NULL), 0);
	assert_int_equal(items_info(cache, 3).ttl_ms, 1000);
	pass(30);
	assert_false(is_there(cache, 2));
	assert_int_equal(items_store(cache, 2, 3, 10, &how, NULL), 0);
	assert_int_equal(items_info(cache, 2).ttl_ms, 1000);
	fixture_check(cache);
	vmemcache_delete(cache);
}

static void
test_default_ttl(void **state)
{
	VMEMcache *cache = vmemcache_new();

	(void)state;
	/* also before there is a medium */
	assert_int_equal(vmemcache_set_ttl(cache, 100), 0);
	assert_int_equal(vmemcache_add(cache, FIXTURE_DIR), 0);
	assert_int_equal(fixture_put(cache, 1, 1, 10), 0);
	assert_int_equal(store_for(cache, 2, 10, 0), 0);
	assert_int_equal(store_for(cache, 3, 10, 200), 0);
	assert_int_equal(store_for(cache, 4, 10, VMEMCACHE_FOREVER), 0);
	assert_int_equal(vmemcache_set_ttl(cache, 0), 0);
	assert_int_equal(fixture_put(cache, 5, 1, 10), 0);
	assert_int_equal(vmemcache_set_ttl(cache, VMEMCACHE_FOREVER), 0);
	assert_int_equal(fixture_put(cache, 6, 1, 10), 0);
	for (uint64_t key = 1; key <= 6; key++)
		assert_true(is_there(cache, key));
	pass(100);
	for (uint64_t key = 1; key <= 6; key++)
		assert_int_equal(is_there(cache, key), key > 2);
	pass(UINT64_C(1) << 40);
	for (uint64_t key = 1; key <= 6; key++)
		assert_int_equal(is_there(cache, key), key > 3);
	fixture_check(cache);
	vmemcache_delete(cache);
}

static void
test_touch(void **state)
{
	VMEMcache *cache = items_open();
	struct vmemcache_item item;
	uint64_t key = 2, version;

	(void)state;
	assert_fails(touch(cache, 1, 10), ENOENT);
	assert_int_equal(store_for(cache, 1, 100, 10), 0);
	assert_int_equal(items_store(cache, 2, 1, 5000, NULL, &version), 0);
	/* longer, shorter, never, and again */
	pass(9);
	assert_int_equal(touch(cache, 1, 1000), 0);
	pass(999);
	assert_true(is_there(cache, 1));
	assert_int_equal(touch(cache, 1, 5), 0);
	assert_int_equal(items_info(cache, 1).ttl_ms, 5);
	assert_int_equal(touch(cache, 1, VMEMCACHE_FOREVER), 0);
	pass(1000000);
	assert_true(is_there(cache, 1));
	assert_int_equal(touch(cache, 1, 7), 0);
	pass(7);
	assert_false(is_there(cache, 1));
	/* what was stored without: the value and its version stay */
	assert_int_equal(touch(cache, 2, VMEMCACHE_FOREVER), 0);
	assert_int_equal(vmemcache_pin(cache, &key, sizeof(key), 0, &item), 0);
	assert_fails(touch(cache, 2, 7), EAGAIN);
	vmemcache_unpin(cache, &item);
	assert_int_equal(touch(cache, 2, 7), 0);
	assert_int_equal(items_info(cache, 2).version, version);
	assert_true(fixture_has(cache, 2, 1, 5000));
	fixture_check(cache);
	pass(7);
	assert_false(is_there(cache, 2));
	/* and what was put */
	for (uint64_t i = 10; i < 60; i++) {
		assert_int_equal(fixture_put(cache, i, 1, 300), 0);
		assert_int_equal(touch(cache, i, 7), 0);
		assert_true(fixture_has(cache, i, 1, 300));
	}
	assert_int_equal(fixture_stat(cache, VMEMCACHE_STAT_ENTRIES), 52);
	fixture_check(cache);
	pass(7);
	for (uint64_t i = 10; i < 60; i++)
		assert_false(is_there(cache, i));
	vmemcache_delete(cache);
}

/* A touch is a use. */
static void
test_touch_saves_from_eviction(void **state)
{
	(void)state;
	for (int way = 0; way < 2; way++) {
		VMEMcache *cache = items_open();
		size_t half = VMEMCACHE_MIN_POOL / 2;
		assert_int_equal(store_for(cache, 1, half, way ? 1000 : 0), 0);
		assert_int_equal(store_for(cache, 2, half, 0), 0);
		assert_int_equal(touch(cache, 1, 1000), 0);
		assert_int_equal(store_for(cache, 3, half, 0), 0);
		assert_int_equal(fixture_exists(cache, 1), 1);
		assert_int_equal(fixture_exists(cache, 2), 0);
		vmemcache_delete(cache);
	}
}

struct seen {
	unsigned calls;
	uint64_t keys;
	bool stored_over; /* its key has another value already */
};

static void
see(VMEMcache *cache, const void *key, size_t key_size, void *arg)
{
	struct seen *seen = arg;
	uint64_t number;

	assert_int_equal(key_size, sizeof(number));
	memcpy(&number, key, sizeof(number));
	seen->calls++;
	seen->keys |= UINT64_C(1) << number;
	/* it is there for nobody any more */
	assert_int_equal(fixture_exists(cache, number), seen->stored_over);
}

/* What is over goes first, whatever the order of uses; on_evict is told. */
static void
test_expired_goes_before_good(void **state)
{
	enum { VALUE = 64 * 1024, VALUES = VMEMCACHE_MIN_POOL / VALUE };
	VMEMcache *cache = items_open();
	struct seen seen = {0};

	(void)state;
	for (uint64_t key = 0; key < VALUES; key++)
		assert_int_equal(
			store_for(cache, key, VALUE, key % 2 ? 100 : 0), 0);
	for (uint64_t key = 1; key < VALUES; key += 2)
		assert_true(is_there(cache, key));
	pass(100);
	vmemcache_callback_on_evict(cache, see, &seen);
	for (uint64_t key = 0; key < VALUES / 2; key++)
		assert_int_equal(store_for(cache, 100 + key, VALUE, 0), 0);
	for (uint64_t key = 0; key < VALUES; key++)
		assert_int_equal(fixture_exists(cache, key), key % 2 == 0);
	assert_int_equal(seen.calls, VALUES / 2);
	assert_int_equal(seen.keys, 0xaaaa & ((1u << VALUES) - 1));
	fixture_check(cache);
	vmemcache_callback_on_evict(cache, NULL, NULL);
	vmemcache_delete(cache);
}

/* on_evict is told of what is over and goes under a store of its key, too. */
static void
test_on_evict_of_what_is_stored_over(void **state)
{
	VMEMcache *cache = items_open();
	struct seen seen = {.stored_over = true};

	(void)state;
	vmemcache_callback_on_evict(cache, see, &seen);
	for (unsigned way = 0; way < 2; way++) {
		assert_int_equal(store_for(cache, 1, 100, 10), 0);
		pass(10);
		assert_int_equal(way ? fixture_put(cache, 1, 2, 10)
				     : items_store(cache, 1, 2, 10, NULL, NULL),
			0);
		assert_int_equal(seen.calls, way + 1);
		assert_true(fixture_has(cache, 1, 2, 10));
		assert_int_equal(
			fixture_stat(cache, VMEMCACHE_STAT_ENTRIES), 1);
		seen.stored_over = false;
		vmemcache_callback_on_evict(cache, NULL, NULL);
		assert_int_equal(fixture_evict(cache, 1), 0);
		vmemcache_callback_on_evict(cache, see, &seen);
		seen.stored_over = true;
	}
	/* what is over is no victim that a program can ask for */
	assert_int_equal(store_for(cache, 1, 100, 10), 0);
	pass(10);
	seen.stored_over = false;
	assert_fails(vmemcache_evict(cache, NULL, 0), ESRCH);
	assert_int_equal(seen.calls, 3);
	fixture_check_empty(cache);
	vmemcache_delete(cache);
}

/* Also where nothing is ever evicted. */
static void
test_without_a_policy(void **state)
{
	VMEMcache *cache = fixture_open(0, 0, VMEMCACHE_REPLACEMENT_NONE);
	size_t half = VMEMCACHE_MIN_POOL / 2;

	(void)state;
	assert_int_equal(store_for(cache, 1, half, 10), 0);
	assert_int_equal(store_for(cache, 2, half, 20), 0);
	assert_fails(store_for(cache, 3, half, 0), ENOSPC);
	pass(10);
	assert_int_equal(store_for(cache, 3, half, 0), 0);
	assert_fails(store_for(cache, 4, half, 0), ENOSPC);
	assert_true(is_there(cache, 2));
	pass(10);
	assert_int_equal(store_for(cache, 4, half, 0), 0);
	fixture_check(cache);
	vmemcache_delete(cache);
}

/* Pinned bytes stay, though the item is over, and its room was wanted. */
static void
test_pinned_and_over(void **state)
{
	VMEMcache *cache = items_open();
	size_t half = VMEMCACHE_MIN_POOL / 2;
	struct vmemcache_item item;
	uint64_t key = 1;

	(void)state;
	assert_int_equal(store_for(cache, 1, half, 10), 0);
	assert_int_equal(vmemcache_pin(cache, &key, sizeof(key), 0, &item), 0);
	assert_int_equal(item.info.ttl_ms, 10);
	pass(10);
	assert_false(is_there(cache, 1));
	assert_int_equal(store_for(cache, 2, half, 0), 0);
	assert_int_equal(store_for(cache, 3, half, 0), 0);
	assert_true(
		value_is(item.iov[0].iov_base, item.iov[0].iov_len, 0, 1, 1));
	vmemcache_unpin(cache, &item);
	assert_int_equal(store_for(cache, 4, half, 0), 0);
	assert_int_equal(fixture_exists(cache, 3), 1);
	fixture_check(cache);
	vmemcache_delete(cache);
}

/* The clock is not asked where nothing expires; else once a call. */
static void
test_clock_is_read_once(void **state)
{
	VMEMcache *cache = items_open();
	struct vmemcache_request requests[40];
	uint64_t keys[40];

	(void)state;
	unsigned long before = vmc_load_relaxed(&clock_reads);
	assert_int_equal(fixture_put(cache, 1, 1, 10), 0);
	assert_int_equal(items_store(cache, 1, 2, 10, NULL, NULL), 0);
	assert_true(is_there(cache, 1));
	assert_int_equal(vmc_load_relaxed(&clock_reads), before);
	for (uint64_t i = 0; i < 40; i++) {
		keys[i] = i;
		requests[i] = (struct vmemcache_request){
			.key = &keys[i], .key_size = sizeof(keys[i])};
		assert_int_equal(store_for(cache, i, 10, 1000), 0);
	}
	before = vmc_load_relaxed(&clock_reads);
	assert_int_equal(vmemcache_get_many(cache, requests, 40), 40);
	assert_int_equal(vmc_load_relaxed(&clock_reads), before + 1);
	assert_int_equal(store_for(cache, 3, 10, 1000), 0);
	assert_int_equal(vmc_load_relaxed(&clock_reads), before + 2);
	vmemcache_delete(cache);
}

/*
 * Random times to live, a clock that moves by leaps and steps: nothing is
 * served late, or lost early; no good item is evicted while one that is over
 * has blocks.
 */
static void
test_random(void **state)
{
	enum { KEYS = 2000, ROUNDS = 40000, SIZE = 600, POOL = 1 << 20 };
	VMEMcache *cache = items_open();
	uint64_t random = testing_seed();
	uint64_t *ends = calloc(KEYS, sizeof(*ends)); /* 0: evicted, or none */
	unsigned rounds = RUNNING_ON_VALGRIND ? ROUNDS / 20 : ROUNDS;

	(void)state;
	for (unsigned round = 0; round < rounds; round++) {
		uint64_t key = testing_below(&random, KEYS);
		uint64_t now = vmc_load_relaxed(&now_ms);
		uint64_t life =
			1 + testing_below(&random,
				    UINT64_C(1) << testing_below(&random, 16));
		bool good = ends[key] > now;
		switch (testing_below(&random, 5)) {
		case 0:
			if (fixture_exists(cache, key))
				assert_true(good);
			break;
		case 1:
			if (touch(cache, key, life) == 0) {
				assert_true(good);
				ends[key] = now + life;
			}
			break;
		case 2:
			pass(testing_below(&random, 20));
			break;
		default: {
			unsigned over = 0;
			unsigned long long evicted =
				fixture_stat(cache, VMEMCACHE_STAT_EVICT);
			for (unsigned i = 0; i < KEYS; i++)
				over += ends[i] != 0 && ends[i] <= now;
			assert_int_equal(store_for(cache, key, SIZE, life), 0);
			ends[key] = now + life;
			if (fixture_stat(cache, VMEMCACHE_STAT_EVICT) ==
				evicted)
				break;
			/* whatever went: none that is good, if any is over */
			for (unsigned i = 0; i < KEYS; i++) {
				if (ends[i] == 0 || ends[i] <= now ||
					fixture_exists(cache, i))
					continue;
				assert_int_equal(over, 0);
				ends[i] = 0;
			}
			/* what is over may have gone: it is not told which */
			if (over > 0)
				for (unsigned i = 0; i < KEYS; i++)
					if (ends[i] <= now)
						ends[i] = 0;
		}
		}
	}
	fixture_check(cache);
	free(ends);
	vmemcache_delete(cache);
}

/* --- threads --- */

enum { THREADS = 4, SHARED_KEYS = 50 };
static VMEMcache *shared;
static uint64_t shared_seed;

static void *
use_shared(void *arg)
{
	uint64_t random = shared_seed + (uintptr_t)arg;
	unsigned rounds = RUNNING_ON_VALGRIND ? 300 : 10000;

	for (unsigned i = 0; i < rounds; i++) {
		uint64_t key = testing_below(&random, SHARED_KEYS);
		struct vmemcache_info info = {.struct_size = sizeof(info)};
		size_t size = 1 + testing_below(&random, 40000);
		switch (testing_below(&random, 8)) {
		case 0:
			pass(1);
			break;
		case 1:
			touch(shared, key, 1 + testing_below(&random, 10));
			break;
		case 2:
			fixture_evict(shared, key);
			break;
		case 3:
		case 4:
			if (vmemcache_fetch(shared, &key, sizeof(key), NULL, 0,
				    0, 0, &info) == 0)
				testing_expect(info.ttl_ms > 0);
			break;
		default:
			testing_expect(
				store_for(shared, key, size,
					testing_below(&random, 10)) == 0);
		}
	}
	return NULL;
}

static void
test_threads(void **state)
{
	pthread_t threads[THREADS];

	(void)state;
	shared = items_open();
	shared_seed = testing_seed();
	for (uintptr_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, use_shared,
					 (void *)i),
			0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(testing_failures, 0);
	fixture_check(shared);
	pass(100);
	while (vmemcache_evict(shared, NULL, 0) == 0)
		;
	fixture_check_empty(shared);
	vmemcache_delete(shared);
}

static void
test_arguments(void **state)
{
	VMEMcache *cache = items_open();
	VMEMcache *closed = vmemcache_new();
	struct vmemcache_store how = living(1);
	uint64_t key = 1;

	(void)state;
	assert_fails(vmemcache_touch(NULL, &key, 8, 1), EINVAL);
	assert_fails(vmemcache_touch(closed, &key, 8, 1), EINVAL);
	assert_fails(vmemcache_touch(cache, NULL, 8, 1), EINVAL);
	assert_fails(vmemcache_touch(cache, &key, (size_t)PTRDIFF_MAX + 1, 1),
		EINVAL);
	assert_fails(vmemcache_set_ttl(NULL, 1), EINVAL);
	how.flags = VMEMCACHE_KEEP_TTL << 1;
	assert_fails(
		vmemcache_store(cache, &key, 8, "v", 1, &how, NULL), EINVAL);
	/* the longest that there are */
	how.flags = 0;
	how.ttl_ms = VMEMCACHE_FOREVER - 1;
	assert_int_equal(
		vmemcache_store(cache, &key, 8, "v", 1, &how, NULL), 0);
	assert_int_equal(items_info(cache, 1).ttl_ms, VMEMCACHE_FOREVER);
	assert_int_equal(vmemcache_touch(cache, &key, 8, UINT64_C(1) << 47), 0);
	assert_int_equal(items_info(cache, 1).ttl_ms, UINT64_C(1) << 47);
	fixture_check(cache);
	vmemcache_delete(closed);
	vmemcache_delete(cache);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_to_the_millisecond),
		cmocka_unit_test(test_modes_over_what_is_over),
		cmocka_unit_test(test_keep_ttl),
		cmocka_unit_test(test_default_ttl),
		cmocka_unit_test(test_touch),
		cmocka_unit_test(test_touch_saves_from_eviction),
		cmocka_unit_test(test_expired_goes_before_good),
		cmocka_unit_test(test_on_evict_of_what_is_stored_over),
		cmocka_unit_test(test_without_a_policy),
		cmocka_unit_test(test_pinned_and_over),
		cmocka_unit_test(test_clock_is_read_once),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_arguments),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
