/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pins.c -- pinned values stay as they are while other threads evict, remove,
 * replace and put their keys in a pool that is far too small; any thread unpins
 *
 * Each thread does all of that at random, with some items pinned, which lie in
 * one table for all threads. In the end nothing is pinned, and the cache is
 * whole and can be emptied.
 */
#include "items.h"

#include <pthread.h>

enum { THREADS = 4, KEYS = 300, SLOTS = 64, LARGEST = 40000, CROWD = 1500 };

struct slot {
	_Atomic bool taken; /* by the thread that is busy with it */
	uint64_t key, version;
	struct vmemcache_item item;
};

struct scene {
	VMEMcache *cache;
	uint64_t seed, operations;
	_Atomic uint64_t versions;
	_Atomic unsigned next;
	struct slot slot[SLOTS];
};

/* Is it one version of the key's value, in all of its pieces? */
static bool
is_whole(const struct slot *slot)
{
	const struct vmemcache_item *item = &slot->item;
	size_t at = 0;

	for (int i = 0; i < item->iov_count; i++) {
		if (!value_is(item->iov[i].iov_base, item->iov[i].iov_len, at,
			    slot->key, slot->version))
			return false;
		at += item->iov[i].iov_len;
	}
	return at == item->info.value_size;
}

/* Unpin what is pinned there, or pin that key. */
static void
use_slot(struct scene *s, struct slot *slot, uint64_t key)
{
	if (vmc_exchange_acq_rel(&slot->taken, true))
		return;
	if (slot->item.iov_count >= 0) {
		testing_expect(is_whole(slot));
		vmemcache_unpin(s->cache, &slot->item);
		testing_expect(slot->item.iov_count == -1);
	} else if (vmemcache_pin(s->cache, &key, sizeof(key), 0, &slot->item) ==
		   0) {
		slot->key = key;
		testing_expect(value_decode(slot->item.iov[0].iov_base,
			slot->item.iov[0].iov_len, 0, key, &slot->version));
		testing_expect(is_whole(slot));
	} else {
		testing_expect(errno == ENOENT);
	}
	vmc_store_release(&slot->taken, false);
}

static void *
play(void *arg)
{
	struct scene *s = arg;
	uint64_t random = s->seed + vmc_fetch_add_relaxed(&s->next, 1);

	for (uint64_t i = 0; i < s->operations; i++) {
		uint64_t key = testing_below(&random, KEYS);
		uint64_t version = 1 + vmc_fetch_add_relaxed(&s->versions, 1);
		size_t size = 16 + testing_below(&random, LARGEST);
		uint64_t what = testing_below(&random, 100);
		int rc = 0;
		if (what < 40)
			use_slot(s, &s->slot[testing_below(&random, SLOTS)],
				key);
		else if (what < 65)
			rc = fixture_put(s->cache, key, version, size);
		else if (what < 85)
			rc = items_store(
				s->cache, key, version, size, NULL, NULL);
		else if (what < 95)
			rc = fixture_evict(s->cache, key);
		else
			rc = vmemcache_evict(s->cache, NULL, 0);
		testing_expect(rc == 0 || errno == ENOENT || errno == EEXIST ||
			       errno == EAGAIN || errno == ENOSPC ||
			       errno == ESRCH);
	}
	return NULL;
}

static void
test_values_stay_under_pins(void **state)
{
	struct scene *s = calloc(1, sizeof(*s));
	pthread_t threads[THREADS];

	(void)state;
	assert_non_null(s);
	s->cache = items_open();
	s->seed = testing_seed();
	s->operations = testing_operations(20000);
	for (unsigned i = 0; i < SLOTS; i++)
		s->slot[i].item.iov_count = -1;
	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, play, s), 0);
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(testing_failures, 0);
	fixture_check(s->cache);
	for (unsigned i = 0; i < SLOTS; i++) {
		assert_true(
			s->slot[i].item.iov_count < 0 || is_whole(&s->slot[i]));
		vmemcache_unpin(s->cache, &s->slot[i].item);
	}
	fixture_check(s->cache);
	while (vmemcache_evict(s->cache, NULL, 0) == 0)
		;
	fixture_check_empty(s->cache);
	vmemcache_delete(s->cache);
	free(s);
}

/* More pins of one item than its entry counts, by several threads at once. */
static void *
crowd(void *arg)
{
	struct scene *s = arg;
	struct vmemcache_item *items = calloc(CROWD, sizeof(*items));
	uint64_t key = 1;

	for (uint64_t round = 0; items && round < s->operations; round++) {
		for (unsigned i = 0; i < CROWD; i++)
			testing_expect(vmemcache_pin(s->cache, &key,
					       sizeof(key), 0, &items[i]) == 0);
		for (unsigned i = 0; i < CROWD; i++)
			vmemcache_unpin(s->cache, &items[i]);
		/* whoever does: what is there goes with the last pin */
		testing_expect(
			items_store(s->cache, key, 1, 100, NULL, NULL) == 0);
	}
	free(items);
	return NULL;
}

static void
test_a_crowd(void **state)
{
	struct scene s = {.operations = testing_operations(100)};
	pthread_t threads[THREADS];

	(void)state;
	s.cache = items_open();
	assert_int_equal(fixture_put(s.cache, 1, 1, 100), 0);
	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(
			pthread_create(&threads[i], NULL, crowd, &s), 0);
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(testing_failures, 0);
	assert_int_equal(fixture_evict(s.cache, 1), 0);
	fixture_check_empty(s.cache);
	vmemcache_delete(s.cache);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values_stay_under_pins),
		cmocka_unit_test(test_a_crowd),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
