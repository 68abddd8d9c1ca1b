/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * load_shared.c -- one load for all who miss a key
 *
 * Linked with --wrap for the clock by which items expire.
 */
#include "loads.h"

enum { SIZE = 1000, THREADS = 8, MANY = 64 };

static _Atomic uint64_t now_ms = 1000;

uint64_t __wrap_vmc_os_boot_ms(void);

uint64_t
__wrap_vmc_os_boot_ms(void)
{
	return vmc_load_relaxed(&now_ms);
}

/* The value, or the failure, reaches all who ask while the loader runs. */
static void
test_shared(void **state)
{
	static const int answers[] = {0, ENODATA};
	VMEMcache *cache = items_open();
	struct asker askers[THREADS];

	(void)state;
	for (int way = 0; way < 2; way++) {
		struct job job = {.size = SIZE,
			.version = 3,
			.answer = answers[way],
			.await = THREADS - 1};
		vmc_store_relaxed(&sleeps, 0);
		for (int i = 0; i < THREADS; i++)
			start(&askers[i], cache, &job, NULL, 1);
		for (int i = 0; i < THREADS; i++) {
			pthread_join(askers[i].thread, NULL);
			assert_int_equal(
				askers[i].result, answers[way] ? -1 : 0);
			if (answers[way])
				assert_int_equal(askers[i].error, answers[way]);
			else
				assert_true(items_holds(&askers[i].item, 1, 3));
			vmemcache_unpin(cache, &askers[i].item);
		}
		assert_int_equal(job.runs, 1);
		struct vmemcache_statistics told = {
			.struct_size = sizeof(told)};
		assert_int_equal(vmemcache_statistics(cache, &told), 0);
		assert_int_equal(told.loads, way + 1);
		assert_int_equal(told.loads_failed, way);
		assert_int_equal(told.loads_shared, (way + 1) * (THREADS - 1));
		(void)fixture_evict(cache, 1);
		fixture_check_empty(cache);
	}
	assert_int_equal(testing_failures, 0);
	vmemcache_delete(cache);
}

/* Who waits for a reservation that is aborted loads itself. */
static void
test_beside_reservations(void **state)
{
	VMEMcache *cache = items_open();
	struct asker askers[THREADS];
	struct vmemcache_item item;
	uint64_t key = 1;

	(void)state;
	for (int committed = 0; committed < 2; committed++) {
		struct job job = {.size = SIZE, .version = 3};
		vmc_store_relaxed(&sleeps, 0);
		assert_int_equal(
			reserve(cache, 1, SIZE, VMEMCACHE_SET, &item), 0);
		for (int i = 0; i < THREADS; i++)
			start(&askers[i], cache, &job, NULL, 1);
		await_sleeps(THREADS);
		struct vmemcache_item none;
		assert_fails(vmemcache_load(cache, &key, sizeof(key), loader,
				     &job, NULL, 1, &none),
			ETIMEDOUT);
		/* another key is nothing that waits */
		struct job other = {.size = SIZE, .version = 4};
		assert_int_equal(load(cache, 2, &other, NULL, &none), 0);
		vmemcache_unpin(cache, &none);
		assert_int_equal(fixture_evict(cache, 2), 0);
		items_fill(&item, 1, 3);
		if (committed)
			assert_int_equal(
				vmemcache_commit(cache, &item, SIZE, NULL), 0);
		else
			vmemcache_abort(cache, &item);
		for (int i = 0; i < THREADS; i++) {
			pthread_join(askers[i].thread, NULL);
			assert_int_equal(askers[i].result, 0);
			assert_true(items_holds(&askers[i].item, 1, 3));
			vmemcache_unpin(cache, &askers[i].item);
		}
		assert_int_equal(job.runs, !committed);
		assert_int_equal(fixture_evict(cache, 1), 0);
		fixture_check_empty(cache);
	}
	vmemcache_delete(cache);
}

/* Each key is loaded once, by whichever of all the threads that miss it. */
enum { KEYS = 1000, SMALL = 100 };
static _Atomic unsigned char loaded[KEYS];

static int
load_counted(VMEMcache *cache, uint64_t key, struct vmemcache_loading *loading)
{
	struct vmemcache_item item;

	(void)cache;
	testing_expect(vmc_fetch_add_relaxed(&loaded[key], 1) == 0);
	if (vmemcache_loading_reserve(loading, SMALL, NULL, &item) != 0)
		return errno;
	items_fill(&item, key, 1);
	return 0;
}

static void *
load_all(void *arg)
{
	struct asker *a = arg;

	for (uint64_t i = 0; i < KEYS; i++) {
		struct vmemcache_item item;
		uint64_t key = (i + a->key) % KEYS;
		testing_expect(load(a->cache, key, a->job, NULL, &item) == 0);
		testing_expect(items_holds(&item, key, 1));
		vmemcache_unpin(a->cache, &item);
	}
	return NULL;
}

static void
test_thousand_keys(void **state)
{
	VMEMcache *cache = items_open();
	struct job job = {.within = load_counted};
	struct asker askers[MANY];

	(void)state;
	for (uint64_t i = 0; i < MANY; i++) {
		askers[i] = (struct asker){
			.cache = cache, .job = &job, .key = i / 8};
		assert_int_equal(pthread_create(&askers[i].thread, NULL,
					 load_all, &askers[i]),
			0);
	}
	for (unsigned i = 0; i < MANY; i++)
		pthread_join(askers[i].thread, NULL);
	assert_int_equal(testing_failures, 0);
	assert_int_equal(job.runs, KEYS);
	for (uint64_t key = 0; key < KEYS; key++) {
		assert_int_equal(loaded[key], 1);
		assert_int_equal(fixture_evict(cache, key), 0);
	}
	fixture_check_empty(cache);
	vmemcache_delete(cache);
}

/* --- values that are over --- */

static void
test_stale(void **state)
{
	VMEMcache *cache = items_open();
	struct vmemcache_store how = items_mode(VMEMCACHE_SET);
	struct vmemcache_store stale =
		items_flagged(VMEMCACHE_SET, VMEMCACHE_STALE);
	struct job job = {.size = SIZE, .version = 2, .await = 2};
	struct vmemcache_item item;
	struct asker asker;
	uint64_t key = 1;

	(void)state;
	how.ttl_ms = 10;
	stale.stale_ms = 5;
	assert_int_equal(items_store(cache, 1, 1, SIZE, &how, NULL), 0);
	vmc_fetch_add_relaxed(&now_ms, 14);
	vmc_store_relaxed(&sleeps, 0);
	start(&asker, cache, &job, &stale, 1);
	while (vmc_load_relaxed(&job.runs) == 0)
		sched_yield();
	struct job none = {.size = SIZE, .version = 3};
	/* over for 4 of the 5 ms */
	assert_int_equal(load(cache, 1, &none, &stale, &item), 0);
	assert_true(items_holds(&item, 1, 1));
	assert_int_equal(item.info.ttl_ms, 0);
	vmemcache_unpin(cache, &item);
	assert_fails(vmemcache_pin(cache, &key, sizeof(key), 0, &item), ENOENT);
	/* a load that did not ask for it waits */
	assert_fails(vmemcache_load(cache, &key, sizeof(key), loader, &none,
			     NULL, 0, &item),
		ETIMEDOUT);
	vmc_fetch_add_relaxed(&now_ms, 1);
	assert_fails(vmemcache_load(cache, &key, sizeof(key), loader, &none,
			     &stale, 0, &item),
		ETIMEDOUT);
	pthread_join(asker.thread, NULL);
	assert_int_equal(asker.result, 0);
	assert_true(items_holds(&asker.item, 1, 2));
	vmemcache_unpin(cache, &asker.item);
	assert_int_equal(none.runs, 0);
	vmemcache_delete(cache);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_shared),
		cmocka_unit_test(test_beside_reservations),
		cmocka_unit_test(test_thousand_keys),
		cmocka_unit_test(test_stale),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
