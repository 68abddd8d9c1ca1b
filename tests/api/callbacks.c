/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * callbacks.c -- what on_evict and on_miss may do, and what they see
 */
#include "fixture.h"

#include <pthread.h>

enum { DEPTH = 500 };

struct seen {
	VMEMcache *cache;
	uint64_t key;
	unsigned calls;
	unsigned depth;
};

static uint64_t
key_of(const void *key, size_t key_size)
{
	uint64_t number;

	assert_int_equal(key_size, sizeof(number));
	memcpy(&number, key, sizeof(number));
	return number;
}

static void
count_call(VMEMcache *cache, const void *key, size_t key_size, void *arg)
{
	struct seen *seen = arg;

	seen->cache = cache;
	seen->key = key_of(key, key_size);
	seen->calls++;
}

static void
test_on_evict_runs_for_either_kind(void **state)
{
	struct seen seen = {0};
	VMEMcache *cache = fixture_open(0, 0, VMEMCACHE_REPLACEMENT_LRU);

	(void)state;
	vmemcache_callback_on_evict(cache, count_call, &seen);
	assert_int_equal(fixture_put(cache, 1, 1, VMEMCACHE_MIN_POOL), 0);
	assert_int_equal(fixture_put(cache, 2, 1, VMEMCACHE_MIN_POOL), 0);
	assert_int_equal(seen.calls, 1);
	assert_int_equal(seen.key, 1);
	assert_ptr_equal(seen.cache, cache);
	assert_int_equal(fixture_evict(cache, 2), 0);
	assert_int_equal(seen.calls, 2);
	assert_int_equal(seen.key, 2);
	assert_int_equal(fixture_put(cache, 3, 1, 10), 0);
	assert_int_equal(vmemcache_evict(cache, NULL, 0), 0);
	assert_int_equal(seen.calls, 3);
	assert_int_equal(seen.key, 3);
	/* not for what is not there, nor where nothing must go */
	assert_fails(fixture_evict(cache, 3), ENOENT);
	assert_fails(vmemcache_evict(cache, NULL, 0), ESRCH);
	assert_int_equal(fixture_put(cache, 4, 1, 10), 0);
	assert_fails(fixture_put(cache, 4, 1, 10), EEXIST);
	assert_int_equal(seen.calls, 3);
	/* nor after it was taken back, nor at the cache's end */
	vmemcache_callback_on_evict(cache, NULL, NULL);
	assert_int_equal(fixture_evict(cache, 4), 0);
	vmemcache_callback_on_evict(cache, count_call, &seen);
	assert_int_equal(fixture_put(cache, 5, 1, 10), 0);
	vmemcache_delete(cache);
	assert_int_equal(seen.calls, 3);
}

/* From any thread: until the callback returns, the entry answers. */
static void *
look_at_entry(void *arg)
{
	struct seen *seen = arg;

	testing_expect(fixture_has(seen->cache, seen->key, 1, 1000));
	testing_expect(fixture_exists(seen->cache, seen->key) == 1);
	testing_expect(fixture_put(seen->cache, seen->key, 2, 1) == -1);
	testing_expect(errno == EEXIST);
	testing_expect(fixture_evict(seen->cache, seen->key) == -1);
	testing_expect(errno == EAGAIN);
	/* nothing is locked: every other operation goes through */
	testing_expect(fixture_put(seen->cache, 1000, 1, 1000) == 0);
	testing_expect(fixture_has(seen->cache, 1000, 1, 1000));
	seen->calls++;
	return NULL;
}

static void
look_from_threads(VMEMcache *cache, const void *key, size_t key_size, void *arg)
{
	struct seen *seen = arg;
	pthread_t thread;

	if (seen->depth)
		return;
	seen->depth++;
	seen->cache = cache;
	seen->key = key_of(key, key_size);
	look_at_entry(seen);
	assert_int_equal(fixture_evict(cache, 1000), 0);
	assert_int_equal(pthread_create(&thread, NULL, look_at_entry, seen), 0);
	pthread_join(thread, NULL);
	assert_int_equal(fixture_evict(cache, 1000), 0);
	seen->depth--;
}

static void
test_entry_answers_until_on_evict_returns(void **state)
{
	struct seen seen = {0};
	VMEMcache *cache = fixture_open(0, 0, VMEMCACHE_REPLACEMENT_LRU);

	(void)state;
	vmemcache_callback_on_evict(cache, look_from_threads, &seen);
	assert_int_equal(fixture_put(cache, 1, 1, 1000), 0);
	assert_int_equal(fixture_evict(cache, 1), 0);
	assert_int_equal(fixture_exists(cache, 1), 0);
	assert_int_equal(fixture_put(cache, 2, 1, 1000), 0);
	assert_int_equal(vmemcache_evict(cache, NULL, 0), 0);
	assert_int_equal(fixture_exists(cache, 2), 0);
	assert_int_equal(seen.calls, 4);
	assert_int_equal(testing_failures, 0);
	fixture_check_empty(cache);
	vmemcache_delete(cache);
}

static void
evict_the_next(VMEMcache *cache, const void *key, size_t key_size, void *arg)
{
	struct seen *seen = arg;

	/* the oldest first, each within the callback of the one before */
	assert_int_equal(key_of(key, key_size), seen->calls);
	assert_true(fixture_has(cache, seen->calls, 1, 256));
	seen->calls++;
	if (++seen->depth < DEPTH)
		assert_int_equal(vmemcache_evict(cache, NULL, 0), 0);
	seen->depth--;
}

static void
test_on_evict_within_on_evict(void **state)
{
	struct seen seen = {0};
	VMEMcache *cache = fixture_open(0, 0, VMEMCACHE_REPLACEMENT_LRU);
	const uint64_t blocks = VMEMCACHE_MIN_POOL / 256;

	(void)state;
	vmemcache_callback_on_evict(cache, evict_the_next, &seen);
	for (uint64_t key = 0; key < blocks; key++)
		assert_int_equal(fixture_put(cache, key, 1, 256), 0);
	assert_int_equal(fixture_put(cache, blocks, 1, 256), 0);
	assert_int_equal(seen.calls, DEPTH);
	for (uint64_t key = 0; key <= blocks; key++)
		assert_int_equal(fixture_exists(cache, key), key >= DEPTH);
	fixture_check(cache);
	vmemcache_delete(cache);
}

/* A put in on_evict evicts, and so on: each value a little smaller. */
static void
put_smaller(VMEMcache *cache, const void *key, size_t key_size, void *arg)
{
	struct seen *seen = arg;

	(void)key, (void)key_size;
	seen->calls++;
	if (++seen->depth < DEPTH)
		assert_int_equal(fixture_put(cache, 100000 + seen->depth, 1,
					 256 * (DEPTH - seen->depth)),
			0);
	seen->depth--;
}

static void
test_put_within_on_evict(void **state)
{
	struct seen seen = {0};
	VMEMcache *cache = fixture_open(64 << 20, 0, VMEMCACHE_REPLACEMENT_LRU);
	/* the rest is large enough to fill the pool to the last block */
	const size_t values = (64 << 20) / (256 * DEPTH) - 1;

	(void)state;
	vmemcache_callback_on_evict(cache, put_smaller, &seen);
	for (uint64_t key = 0; key < values; key++)
		assert_int_equal(fixture_put(cache, key, 1, 256 * DEPTH), 0);
	assert_int_equal(seen.calls, 0);
	/* not a block is free */
	assert_int_equal(fixture_put(cache, values, 1,
				 (64 << 20) - values * 256 * DEPTH),
		0);
	assert_int_equal(fixture_put(cache, values + 1, 1, 256 * DEPTH), 0);
	assert_int_equal(seen.calls, DEPTH);
	assert_true(fixture_has(cache, values + 1, 1, 256 * DEPTH));
	vmemcache_callback_on_evict(cache, NULL, NULL);
	fixture_check(cache);
	while (vmemcache_evict(cache, NULL, 0) == 0)
		;
	fixture_check_empty(cache);
	vmemcache_delete(cache);
}

static void
get_the_next(VMEMcache *cache, const void *key, size_t key_size, void *arg)
{
	struct seen *seen = arg;
	uint64_t number = key_of(key, key_size);

	seen->calls++;
	if (number < DEPTH)
		assert_true(fixture_has(
			cache, number + 1, 1, (size_t)(10 + number + 1)));
	assert_int_equal(
		fixture_put(cache, number, 1, (size_t)(10 + number)), 0);
}

static void
test_on_miss_within_on_miss(void **state)
{
	struct seen seen = {0};
	VMEMcache *cache = fixture_open(0, 0, VMEMCACHE_REPLACEMENT_LRU);

	(void)state;
	vmemcache_callback_on_miss(cache, get_the_next, &seen);
	assert_true(fixture_has(cache, 1, 1, 11));
	assert_int_equal(seen.calls, DEPTH);
	assert_int_equal(fixture_stat(cache, VMEMCACHE_STAT_MISS), DEPTH);
	assert_int_equal(fixture_stat(cache, VMEMCACHE_STAT_HIT), 0);
	for (uint64_t key = 1; key <= DEPTH; key++)
		assert_true(fixture_has(cache, key, 1, 10 + key));
	assert_int_equal(seen.calls, DEPTH);
	fixture_check(cache);
	vmemcache_delete(cache);
}

/* What on_miss does with the key that was missed. */
enum answer { NOTHING, PUT, PUT_TOO_LARGE, PUT_TWICE, PUT_OTHER, PUT_EVICT };

struct asked {
	enum answer answer;
	VMEMcache *cache;
	size_t size;
	unsigned calls;
};

static void
answer_miss(VMEMcache *cache, const void *key, size_t key_size, void *arg)
{
	struct asked *a = arg;
	uint64_t number = key_of(key, key_size);

	assert_ptr_equal(cache, a->cache);
	a->calls++;
	switch (a->answer) {
	case NOTHING:
		break;
	case PUT:
		assert_int_equal(fixture_put(cache, number, 5, a->size), 0);
		break;
	case PUT_TOO_LARGE:
		assert_fails(fixture_put(cache, number, 5, a->size), ENOSPC);
		break;
	case PUT_TWICE:
		assert_int_equal(fixture_put(cache, number, 5, a->size), 0);
		assert_fails(fixture_put(cache, number, 6, a->size), EEXIST);
		break;
	case PUT_OTHER:
		assert_int_equal(fixture_put(cache, number + 1, 5, a->size), 0);
		break;
	case PUT_EVICT:
		assert_int_equal(fixture_put(cache, number, 5, a->size), 0);
		assert_int_equal(fixture_evict(cache, number), 0);
		break;
	}
}

static void
test_on_miss_answers(void **state)
{
	struct asked a = {
		.cache = fixture_open(0, 0, VMEMCACHE_REPLACEMENT_LRU),
		.size = 1000};
	uint64_t key = 10;
	char buffer[500];
	size_t size = 77;

	(void)state;
	vmemcache_callback_on_miss(a.cache, answer_miss, &a);
	assert_fails(
		vmemcache_get(a.cache, &key, 8, buffer, 500, 0, &size), ENOENT);
	a.answer = PUT_OTHER;
	assert_fails(
		vmemcache_get(a.cache, &key, 8, buffer, 500, 0, &size), ENOENT);
	assert_int_equal(size, 77);
	assert_int_equal(a.calls, 2);
	assert_true(fixture_has(a.cache, key + 1, 5, a.size));
	assert_int_equal(a.calls, 2);

	for (a.answer = PUT; a.answer <= PUT_EVICT; a.answer++) {
		if (a.answer == PUT_OTHER)
			continue;
		a.size = a.answer == PUT_TOO_LARGE ? 2 << 20 : 1000;
		for (size_t offset = 0; offset < 1600; offset += 301) {
			size_t left = offset < a.size ? a.size - offset : 0;
			size_t expected = left < 500 ? left : 500;
			key += 10;
			assert_int_equal(vmemcache_get(a.cache, &key, 8, buffer,
						 500, offset, &size),
				expected);
			assert_int_equal(size, a.size);
			assert_true(value_is(buffer, expected, offset, key, 5));
			assert_int_equal(fixture_exists(a.cache, key),
				a.answer == PUT || a.answer == PUT_TWICE);
			key += 10;
			assert_int_equal(vmemcache_get(a.cache, &key, 8, NULL,
						 0, 0, NULL),
				0);
		}
	}
	assert_int_equal(fixture_stat(a.cache, VMEMCACHE_STAT_MISS), a.calls);
	fixture_check(a.cache);
	vmemcache_delete(a.cache);
}

/* Without a callback, or with the one taken back, a miss is a miss. */
static void
test_on_miss_taken_back(void **state)
{
	struct asked a = {
		.cache = fixture_open(0, 0, VMEMCACHE_REPLACEMENT_LRU),
		.answer = PUT,
		.size = 8};

	(void)state;
	vmemcache_callback_on_miss(a.cache, answer_miss, &a);
	vmemcache_callback_on_miss(a.cache, NULL, &a);
	assert_false(fixture_has(a.cache, 1, 5, 8));
	assert_int_equal(a.calls, 0);
	vmemcache_delete(a.cache);
}

/*
 * A small cache over a large one, the same keys: what the small one evicts
 * goes down, what it lacks comes up from there, what both lack is made.
 */
struct levels {
	VMEMcache *upper, *lower;
	uint64_t made;
	uint64_t demoted;
};

enum { ITEM = 3000, ITEMS = 2000 };

static void
demote(VMEMcache *cache, const void *key, size_t key_size, void *arg)
{
	struct levels *l = arg;
	char value[ITEM];
	size_t size;

	assert_ptr_equal(cache, l->upper);
	assert_int_equal(vmemcache_get(cache, key, key_size, value,
				 sizeof(value), 0, &size),
		ITEM);
	if (vmemcache_put(l->lower, key, key_size, value, size) != 0)
		assert_int_equal(errno, EEXIST);
	l->demoted++;
}

static void
promote(VMEMcache *cache, const void *key, size_t key_size, void *arg)
{
	struct levels *l = arg;
	char value[ITEM];
	size_t size;

	assert_ptr_equal(cache, l->upper);
	assert_int_equal(vmemcache_get(l->lower, key, key_size, value,
				 sizeof(value), 0, &size),
		ITEM);
	assert_int_equal(vmemcache_put(cache, key, key_size, value, size), 0);
}

static void
make(VMEMcache *cache, const void *key, size_t key_size, void *arg)
{
	struct levels *l = arg;

	assert_ptr_equal(cache, l->lower);
	assert_int_equal(fixture_put(cache, key_of(key, key_size), 1, ITEM), 0);
	l->made++;
}

static void
test_two_levels(void **state)
{
	struct levels l = {
		.upper = fixture_open(1 << 20, 0, VMEMCACHE_REPLACEMENT_LRU),
		.lower = fixture_open(4 << 20, 0, VMEMCACHE_REPLACEMENT_LRU)};
	uint64_t random = testing_seed();

	(void)state;
	vmemcache_callback_on_evict(l.upper, demote, &l);
	vmemcache_callback_on_miss(l.upper, promote, &l);
	vmemcache_callback_on_miss(l.lower, make, &l);
	uint64_t count = testing_operations(20000);
	for (uint64_t i = 0; i < count; i++)
		assert_true(fixture_has(
			l.upper, testing_below(&random, ITEMS), 1, ITEM));
	assert_true(l.made > 0 && l.made < count);
	assert_true(l.demoted > 0);
	assert_int_equal(
		fixture_stat(l.upper, VMEMCACHE_STAT_EVICT), l.demoted);
	fixture_check(l.upper);
	fixture_check(l.lower);
	vmemcache_delete(l.upper);
	vmemcache_delete(l.lower);
}

/* Two caches whose on_miss get the same key from each other, in turns. */
struct turns {
	VMEMcache *of[2];
	unsigned depth;
};

static void
ask_the_other(VMEMcache *cache, const void *key, size_t key_size, void *arg)
{
	struct turns *t = arg;
	int self = cache == t->of[1];
	unsigned depth = ++t->depth;
	uint64_t number = key_of(key, key_size);
	uint64_t value = 0, mine = 1000 * (uint64_t)self + depth;

	if (depth < 100) {
		/* another key at each depth of either cache, but always two
		 * gets of the same one under way in the two */
		uint64_t other = number + (uint64_t)self;
		assert_int_equal(vmemcache_get(t->of[!self], &other, 8, &value,
					 8, 0, NULL),
			8);
		assert_int_equal(value, 1000 * (uint64_t)!self + depth + 1);
	}
	assert_int_equal(vmemcache_put(cache, key, key_size, &mine, 8), 0);
}

static void
test_nested_caches_do_not_mix(void **state)
{
	struct turns t = {
		.of = {fixture_open(0, 0, VMEMCACHE_REPLACEMENT_LRU),
			fixture_open(0, 0, VMEMCACHE_REPLACEMENT_LRU)}};
	uint64_t key = 1, value = 0;

	(void)state;
	for (int i = 0; i < 2; i++)
		vmemcache_callback_on_miss(t.of[i], ask_the_other, &t);
	assert_int_equal(
		vmemcache_get(t.of[0], &key, 8, &value, 8, 0, NULL), 8);
	assert_int_equal(value, 1);
	assert_int_equal(t.depth, 100);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(fixture_stat(t.of[i], VMEMCACHE_STAT_PUT), 50);
		fixture_check(t.of[i]);
		vmemcache_delete(t.of[i]);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_on_evict_runs_for_either_kind),
		cmocka_unit_test(test_entry_answers_until_on_evict_returns),
		cmocka_unit_test(test_on_evict_within_on_evict),
		cmocka_unit_test(test_put_within_on_evict),
		cmocka_unit_test(test_on_miss_within_on_miss),
		cmocka_unit_test(test_on_miss_answers),
		cmocka_unit_test(test_on_miss_taken_back),
		cmocka_unit_test(test_two_levels),
		cmocka_unit_test(test_nested_caches_do_not_mix),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
