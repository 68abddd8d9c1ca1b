/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * exclusive.c -- exclusive reservations, and waiting for them
 */
#include "loads.h"

enum { SIZE = 1000, THREADS = 8 };

static void
test_exclusive(void **state)
{
	VMEMcache *cache = items_open();
	struct vmemcache_item item, other;
	uint64_t key = 1;

	(void)state;
	for (int round = 0; round < 3; round++) {
		assert_int_equal(
			reserve(cache, 1, SIZE, VMEMCACHE_SET, &item), 0);
		assert_fails(reserve(cache, 1, SIZE, VMEMCACHE_ADD, &other),
			EINPROGRESS);
		assert_int_equal(other.iov_count, -1);
		/* neither other keys nor other ways are kept back */
		assert_int_equal(
			reserve(cache, 2, SIZE, VMEMCACHE_SET, &other), 0);
		vmemcache_abort(cache, &other);
		assert_int_equal(vmemcache_reserve(cache, &key, sizeof(key),
					 SIZE, NULL, &other),
			0);
		items_fill(&other, 1, 7);
		assert_int_equal(
			vmemcache_commit(cache, &other, SIZE, NULL), 0);
		assert_fails(reserve(cache, 1, SIZE, VMEMCACHE_SET, &other),
			EINPROGRESS);
		items_fill(&item, 1, 1);
		if (round == 1)
			vmemcache_abort(cache, &item);
		else
			assert_int_equal(
				vmemcache_commit(cache, &item, SIZE, NULL), 0);
		assert_true(fixture_has(cache, 1, round == 1 ? 7 : 1, SIZE));
	}
	/* a commit that fails ends it as well */
	assert_int_equal(reserve(cache, 1, SIZE, VMEMCACHE_ADD, &item), 0);
	assert_fails(vmemcache_commit(cache, &item, SIZE, NULL), EEXIST);
	assert_int_equal(item.iov_count, -1);
	/* and a reservation that fails is none */
	for (int i = 0; i < 2; i++)
		assert_fails(reserve(cache, 1, VMEMCACHE_MIN_POOL + 1,
				     VMEMCACHE_SET, &item),
			ENOSPC);
	assert_fails(wait_for(cache, 1, 0), ENOENT);
	assert_int_equal(fixture_evict(cache, 1), 0);
	fixture_check_empty(cache);
	vmemcache_delete(cache);
}

/* Keys of all sizes are told apart, however many are under way. */
static void
test_many_reservations(void **state)
{
	enum { COUNT = 2000 };
	VMEMcache *cache = items_open();
	struct vmemcache_store how =
		items_flagged(VMEMCACHE_SET, VMEMCACHE_EXCLUSIVE);
	struct vmemcache_item *items = calloc(COUNT, sizeof(*items)), none;
	char key[COUNT] = "";

	(void)state;
	assert_non_null(items);
	for (size_t i = 0; i < COUNT; i++)
		assert_int_equal(
			vmemcache_reserve(cache, key, i, 1, &how, &items[i]),
			0);
	for (size_t i = 0; i < COUNT; i++)
		assert_fails(vmemcache_reserve(cache, key, i, 1, &how, &none),
			EINPROGRESS);
	for (size_t i = 0; i < COUNT; i += 2)
		vmemcache_abort(cache, &items[i]);
	for (size_t i = 0; i < COUNT; i++)
		assert_fails(vmemcache_wait(cache, key, i, 0),
			i % 2 ? ETIMEDOUT : ENOENT);
	for (size_t i = 1; i < COUNT; i += 2)
		vmemcache_abort(cache, &items[i]);
	free(items);
	fixture_check_empty(cache);
	vmemcache_delete(cache);
}

/* --- waiting --- */

struct waiter {
	pthread_t thread;
	VMEMcache *cache;
	uint64_t key;
	int result, error;
};

static void *
run_waiter(void *arg)
{
	struct waiter *w = arg;

	w->result = wait_for(w->cache, w->key, VMEMCACHE_FOREVER);
	w->error = errno;
	return NULL;
}

static void
test_wait(void **state)
{
	static const int expected[] = {0, ECANCELED, ECANCELED};
	VMEMcache *cache = items_open();
	struct waiter waiters[THREADS];
	struct vmemcache_item item;

	(void)state;
	assert_fails(wait_for(cache, 1, VMEMCACHE_FOREVER), ENOENT);
	for (int way = 0; way < 3; way++) {
		assert_int_equal(
			reserve(cache, 1, SIZE,
				way == 2 ? VMEMCACHE_ADD : VMEMCACHE_SET,
				&item),
			0);
		assert_fails(wait_for(cache, 1, 0), ETIMEDOUT);
		assert_fails(wait_for(cache, 1, 1), ETIMEDOUT);
		vmc_store_relaxed(&sleeps, 0);
		for (int i = 0; i < THREADS; i++) {
			waiters[i] = (struct waiter){.cache = cache, .key = 1};
			assert_int_equal(pthread_create(&waiters[i].thread,
						 NULL, run_waiter, &waiters[i]),
				0);
		}
		await_sleeps(THREADS);
		items_fill(&item, 1, 1);
		if (way == 1)
			vmemcache_abort(cache, &item);
		else
			assert_int_equal(
				vmemcache_commit(cache, &item, SIZE, NULL),
				way == 0 ? 0 : -1);
		for (int i = 0; i < THREADS; i++) {
			pthread_join(waiters[i].thread, NULL);
			assert_int_equal(
				waiters[i].result, expected[way] ? -1 : 0);
			if (expected[way])
				assert_int_equal(
					waiters[i].error, expected[way]);
		}
		assert_fails(wait_for(cache, 1, 1), ENOENT);
	}
	fixture_check(cache);
	vmemcache_delete(cache);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_exclusive),
		cmocka_unit_test(test_many_reservations),
		cmocka_unit_test(test_wait),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
