/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * walk.c -- walking over all items, and being told what goes and why
 */
#include "items.h"

#include <pthread.h>

enum { ITEMS = 2000, SIZE = 100 };

struct seen {
	unsigned times[4 * ITEMS];
	unsigned shown;
	enum vmemcache_step step;
};

static uint64_t
number_of(const void *key, size_t key_size)
{
	uint64_t number;

	assert_int_equal(key_size, sizeof(number));
	memcpy(&number, key, sizeof(number));
	return number;
}

static enum vmemcache_step
see(VMEMcache *cache, const void *key, size_t key_size,
	const struct vmemcache_item *item, void *arg)
{
	struct seen *seen = arg;
	uint64_t number = number_of(key, key_size);

	(void)cache;
	assert_true(number < 4 * ITEMS);
	seen->times[number]++;
	seen->shown++;
	assert_int_equal(item->info.value_size, SIZE);
	assert_int_equal(item->iov_count, 1);
	assert_true(value_is(item->iov[0].iov_base, SIZE, 0, number, 1));
	return seen->step;
}

static void
fill(VMEMcache *cache, uint64_t from, uint64_t to)
{
	for (uint64_t key = from; key < to; key++)
		assert_int_equal(fixture_put(cache, key, 1, SIZE), 0);
}

/* In pieces of any size, while the index grows and shrinks. */
static void
test_each_once(void **state)
{
	static const size_t pieces[] = {1, 7, 100, SIZE_MAX};

	(void)state;
	for (size_t p = 0; p < sizeof(pieces) / sizeof(pieces[0]); p++) {
		VMEMcache *cache =
			fixture_open(4 << 20, 0, VMEMCACHE_REPLACEMENT_LRU);
		struct seen seen = {.step = VMEMCACHE_WALK_ON};
		uint64_t cursor = 0, come = ITEMS, visited = 0, gone = 0;
		fill(cache, 0, ITEMS);
		do {
			ssize_t n = vmemcache_walk(
				cache, &cursor, pieces[p], see, &seen);
			assert_true(n >= 0);
			assert_true((size_t)n <= pieces[p]);
			visited += (uint64_t)n;
			/* others come and go, and these go at last */
			for (int i = 0; i < 3 && come < 4 * ITEMS; i++)
				fill(cache, come, come + 1), come++;
			if (come == 4 * ITEMS && gone == 0)
				for (gone = ITEMS; gone < come; gone++)
					assert_int_equal(
						fixture_evict(cache, gone), 0);
		} while (cursor != 0);
		assert_int_equal(seen.shown, visited);
		for (unsigned i = 0; i < ITEMS; i++)
			assert_int_equal(seen.times[i], 1);
		for (unsigned i = ITEMS; i < 4 * ITEMS; i++)
			assert_true(seen.times[i] <= 1);
		fixture_check(cache);
		vmemcache_delete(cache);
	}
}

static void
test_steps(void **state)
{
	VMEMcache *cache = items_open();
	struct seen seen = {.step = VMEMCACHE_WALK_STOP};
	uint64_t cursor = 0;

	(void)state;
	assert_int_equal(vmemcache_walk(cache, &cursor, 5, see, &seen), 0);
	assert_int_equal(cursor, 0);
	fill(cache, 0, 100);
	for (int i = 0; i < 100; i++)
		assert_int_equal(
			vmemcache_walk(cache, &cursor, SIZE_MAX, see, &seen),
			1);
	/* the end may be found with the last one, or after it */
	if (cursor != 0)
		assert_int_equal(
			vmemcache_walk(cache, &cursor, 1, see, &seen), 0);
	assert_int_equal(cursor, 0);
	for (int i = 0; i < 100; i++)
		assert_int_equal(seen.times[i], 1);
	assert_int_equal(fixture_stat(cache, VMEMCACHE_STAT_GET), 0);
	seen.step = VMEMCACHE_WALK_REMOVE;
	assert_int_equal(
		vmemcache_walk(cache, &cursor, SIZE_MAX, see, &seen), 100);
	fixture_check_empty(cache);
	assert_fails(vmemcache_walk(NULL, &cursor, 1, see, &seen), EINVAL);
	assert_fails(vmemcache_walk(cache, NULL, 1, see, &seen), EINVAL);
	assert_fails(vmemcache_walk(cache, &cursor, 0, see, &seen), EINVAL);
	assert_fails(vmemcache_walk(cache, &cursor, 1, NULL, &seen), EINVAL);
	vmemcache_delete(cache);
}

static enum vmemcache_step
leave(VMEMcache *cache, const void *key, size_t key_size,
	const struct vmemcache_item *item, void *arg)
{
	(void)cache, (void)key, (void)key_size, (void)item;
	pthread_exit(arg);
}

static void *
walk_and_leave(void *cache)
{
	uint64_t cursor = 0;

	vmemcache_walk(cache, &cursor, 1, leave, NULL);
	return NULL;
}

/* Nothing stays pinned. */
static void
test_callback_does_not_return(void **state)
{
	VMEMcache *cache = items_open();
	struct vmemcache_statistics s = {.struct_size = sizeof(s)};
	pthread_t thread;

	(void)state;
	fill(cache, 0, 100);
	assert_int_equal(
		pthread_create(&thread, NULL, walk_and_leave, cache), 0);
	pthread_join(thread, NULL);
	assert_int_equal(vmemcache_statistics(cache, &s), 0);
	assert_int_equal(s.pinned_items, 0);
	fixture_check(cache);
	vmemcache_delete(cache);
}

struct told {
	uint64_t key;
	unsigned calls[VMEMCACHE_REASONS], evicted;
	bool leave;
};

static void
on_remove(VMEMcache *cache, const void *key, size_t key_size,
	const struct vmemcache_item *item, enum vmemcache_reason reason,
	void *arg)
{
	struct told *told = arg;

	told->key = number_of(key, key_size);
	told->calls[reason]++;
	assert_int_equal(item->iov_count, 1);
	assert_true(value_is(
		item->iov[0].iov_base, item->iov[0].iov_len, 0, told->key, 1));
	/* it still answers, or what replaced it */
	assert_int_equal(fixture_exists(cache, told->key), 1);
	if (told->leave)
		pthread_exit(NULL);
}

static void
on_evict(VMEMcache *cache, const void *key, size_t key_size, void *arg)
{
	(void)cache, (void)key, (void)key_size;
	((struct told *)arg)->evicted++;
}

static void
test_what_goes_and_why(void **state)
{
	VMEMcache *cache = items_open();
	struct told told = {.key = 99};
	size_t size = VMEMCACHE_MIN_POOL / 4;

	(void)state;
	vmemcache_callback_on_remove(NULL, on_remove, &told);
	vmemcache_callback_on_remove(cache, on_remove, &told);
	vmemcache_callback_on_evict(cache, on_evict, &told);
	for (uint64_t key = 0; key < 5; key++)
		assert_int_equal(fixture_put(cache, key, 1, size), 0);
	assert_int_equal(told.key, 0);
	assert_int_equal(told.calls[VMEMCACHE_REASON_CAPACITY], 1);
	assert_int_equal(fixture_evict(cache, 1), 0);
	assert_int_equal(vmemcache_evict(cache, NULL, 0), 0);
	assert_int_equal(told.key, 2);
	assert_int_equal(told.calls[VMEMCACHE_REASON_EVICTED], 2);
	assert_int_equal(told.evicted, 3);
	assert_int_equal(items_store(cache, 3, 2, size, NULL, NULL), 0);
	assert_int_equal(told.key, 3);
	assert_int_equal(told.calls[VMEMCACHE_REASON_REPLACED], 1);
	assert_int_equal(told.evicted, 3);
	assert_true(fixture_has(cache, 3, 2, size));
	vmemcache_callback_on_remove(cache, NULL, NULL);
	assert_int_equal(fixture_evict(cache, 4), 0);
	assert_int_equal(told.calls[VMEMCACHE_REASON_EVICTED], 2);
	fixture_check(cache);
	vmemcache_delete(cache);
}

static void *
replace(void *cache)
{
	/* items_store() would not free the value */
	uint64_t key = 1;
	char value[SIZE];

	value_fill(value, SIZE, 0, key, 2);
	vmemcache_store(cache, &key, sizeof(key), value, SIZE, NULL, NULL);
	return NULL;
}

static void *
evict(void *cache)
{
	(void)fixture_evict(cache, 1);
	return NULL;
}

/* An item that goes stays; one that is replaced has gone. */
static void
test_on_remove_does_not_return(void **state)
{
	VMEMcache *cache = items_open();
	struct told told = {.leave = true};
	pthread_t thread;

	(void)state;
	vmemcache_callback_on_remove(cache, on_remove, &told);
	assert_int_equal(fixture_put(cache, 1, 1, SIZE), 0);
	assert_int_equal(pthread_create(&thread, NULL, evict, cache), 0);
	pthread_join(thread, NULL);
	assert_int_equal(told.calls[VMEMCACHE_REASON_EVICTED], 1);
	assert_true(fixture_has(cache, 1, 1, SIZE));
	fixture_check(cache);
	assert_int_equal(pthread_create(&thread, NULL, replace, cache), 0);
	pthread_join(thread, NULL);
	assert_int_equal(told.calls[VMEMCACHE_REASON_REPLACED], 1);
	assert_true(fixture_has(cache, 1, 2, SIZE));
	vmemcache_callback_on_remove(cache, NULL, NULL);
	assert_int_equal(fixture_evict(cache, 1), 0);
	fixture_check_empty(cache);
	vmemcache_delete(cache);
}

static void
count_cleared(VMEMcache *cache, const void *key, size_t key_size,
	const struct vmemcache_item *item, enum vmemcache_reason reason,
	void *arg)
{
	struct told *told = arg;

	(void)cache, (void)item;
	told->key = number_of(key, key_size);
	told->calls[reason]++;
}

static void
test_clear(void **state)
{
	VMEMcache *cache = fixture_open(4 << 20, 0, VMEMCACHE_REPLACEMENT_LRU);
	struct vmemcache_item item;
	struct told told = {.key = 0};
	uint64_t key = 7;

	(void)state;
	assert_fails(vmemcache_clear(NULL), EINVAL);
	assert_int_equal(vmemcache_clear(cache), 0);
	vmemcache_callback_on_remove(cache, count_cleared, &told);
	vmemcache_callback_on_evict(cache, on_evict, &told);
	for (unsigned round = 1; round < 4; round++) {
		fill(cache, 0, ITEMS);
		assert_int_equal(
			vmemcache_pin(cache, &key, sizeof(key), 0, &item), 0);
		assert_int_equal(vmemcache_clear(cache), 0);
		assert_int_equal(
			told.calls[VMEMCACHE_REASON_CLEARED], round * ITEMS);
		for (uint64_t i = 0; i < ITEMS; i++)
			assert_int_equal(fixture_exists(cache, i), 0);
		assert_true(value_is(item.iov[0].iov_base, SIZE, 0, key, 1));
		vmemcache_unpin(cache, &item);
		fixture_check_empty(cache);
	}
	assert_int_equal(told.evicted, 0);
	vmemcache_delete(cache);
}

static void
clear_it(VMEMcache *cache, const void *key, size_t key_size, void *arg)
{
	uint64_t number = number_of(key, key_size);

	(*(unsigned *)arg)++;
	assert_int_equal(vmemcache_clear(cache), 0);
	assert_int_equal(fixture_exists(cache, number), 0);
}

/* Also what another call is evicting: that goes on, and nothing else is left.
 */
static void
test_clear_within_on_evict(void **state)
{
	VMEMcache *cache = items_open();
	unsigned calls = 0;

	(void)state;
	fill(cache, 0, 100);
	vmemcache_callback_on_evict(cache, clear_it, &calls);
	assert_int_equal(vmemcache_evict(cache, NULL, 0), 0);
	assert_int_equal(calls, 1);
	assert_int_equal(fixture_stat(cache, VMEMCACHE_STAT_ENTRIES), 0);
	fixture_clear(cache);
	fill(cache, 0, 100);
	assert_int_equal(fixture_evict(cache, 5), 0);
	assert_int_equal(calls, 2);
	assert_int_equal(fixture_stat(cache, VMEMCACHE_STAT_ENTRIES), 0);
	fixture_clear(cache);
	vmemcache_delete(cache);
}

/* The versions that a walk or on_remove has told of. */
struct versions {
	uint64_t last;
	unsigned count;
};

static enum vmemcache_step
note_of_walk(VMEMcache *cache, const void *key, size_t key_size,
	const struct vmemcache_item *item, void *arg)
{
	struct versions *told = arg;

	(void)cache, (void)key, (void)key_size;
	assert_true(item->info.version > told->last);
	told->last = item->info.version;
	told->count++;
	return VMEMCACHE_WALK_REMOVE;
}

static void
note_of_removal(VMEMcache *cache, const void *key, size_t key_size,
	const struct vmemcache_item *item, enum vmemcache_reason reason,
	void *arg)
{
	(void)reason;
	(void)note_of_walk(cache, key, key_size, item, arg);
}

/* No version is told of two values of a key, whoever tells it. */
static void
test_versions(void **state)
{
	VMEMcache *cache = items_open();
	struct versions told = {0};
	uint64_t cursor = 0;

	(void)state;
	for (unsigned i = 1; i < 4; i++) {
		fill(cache, 0, 1);
		assert_int_equal(vmemcache_walk(cache, &cursor, SIZE_MAX,
					 note_of_walk, &told),
			1);
	}
	vmemcache_delete(cache);
	cache = fixture_new(0, 0, VMEMCACHE_REPLACEMENT_LRU);
	told.last = 0;
	vmemcache_callback_on_remove(cache, note_of_removal, &told);
	assert_fails(vmemcache_add(cache, "/nowhere"), ENOENT);
	assert_int_equal(vmemcache_add(cache, FIXTURE_DIR), 0);
	fill(cache, 0, 1);
	assert_int_equal(items_store(cache, 0, 1, SIZE, NULL, NULL), 0);
	assert_int_equal(fixture_evict(cache, 0), 0);
	assert_int_equal(told.count, 5);
	vmemcache_delete(cache);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_once),
		cmocka_unit_test(test_steps),
		cmocka_unit_test(test_callback_does_not_return),
		cmocka_unit_test(test_what_goes_and_why),
		cmocka_unit_test(test_on_remove_does_not_return),
		cmocka_unit_test(test_versions),
		cmocka_unit_test(test_clear),
		cmocka_unit_test(test_clear_within_on_evict),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
