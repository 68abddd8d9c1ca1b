/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * callback_is_left.c -- a callback that ends by pthread_exit(3), a cancellation
 * or an exception of C++ returns to nobody. A get that on_miss left so stayed
 * in its thread's stripe, and a later put of the key wrote to where its stack
 * had been; of a put or evict that on_evict left, all victims stayed claimed:
 * they could not be evicted, nor their space be had, until the cache was
 * deleted.
 */
#include "exceptions.h"
#include "fixture.h"
#include "process.h"

#include "base/os.h"

#include <pthread.h>
#include <setjmp.h>

enum way { CANCEL, EXIT, THROW, JUMP };
enum { KEYS = 64, SIZE = 15000, ROOM = 16000, STACK = 1 << 20 };

struct leaving {
	VMEMcache *cache;
	enum way way;
	unsigned returns; /* of callbacks, before the one that does not */
	void (*call)(struct leaving *l);
	char *buffer; /* of a get */
	uint64_t key;
	jmp_buf before;
};

static void
leave(VMEMcache *cache, const void *key, size_t key_size, void *arg)
{
	struct leaving *l = arg;

	(void)cache, (void)key, (void)key_size;
	if (l->returns-- > 0)
		return;
	switch (l->way) {
	case CANCEL:
		pthread_cancel(pthread_self());
		pthread_testcancel();
		break;
	case EXIT:
		pthread_exit(NULL);
	case THROW:
		exceptions_throw();
		break;
	default:
		longjmp(l->before, 1);
	}
	fail_msg("it went on");
}

static void
call(void *arg)
{
	struct leaving *l = arg;

	l->call(l);
	fail_msg("it returned");
}

static void *
run(void *arg)
{
	struct leaving *l = arg;

	if (l->way == THROW)
		assert_int_equal(exceptions_caught(call, l), 1);
	else if (l->way != JUMP || setjmp(l->before) == 0)
		call(l);
	return NULL;
}

/* On that stack, unless it is NULL. */
static void
run_on(char *stack, void *(*start)(void *), void *arg)
{
	pthread_attr_t attributes;
	pthread_t thread;

	pthread_attr_init(&attributes);
	if (stack)
		assert_int_equal(
			pthread_attr_setstack(&attributes, stack, STACK), 0);
	assert_int_equal(pthread_create(&thread, &attributes, start, arg), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	pthread_attr_destroy(&attributes);
}

static void
run_in_thread(void *(*start)(void *), void *arg)
{
	run_on(NULL, start, arg);
}

static void
get(struct leaving *l)
{
	vmemcache_get(l->cache, &l->key, 8, l->buffer, SIZE, 0, NULL);
}

static void *
put(void *arg)
{
	struct leaving *l = arg;

	assert_int_equal(fixture_put(l->cache, l->key, 1, SIZE), 0);
	return NULL;
}

/*
 * The next thread has the stripe of the one that left, whose stack is still
 * there.
 */
static void
test_on_miss(void **state)
{
	char *stack = vmc_os_map_anonymous(STACK);

	(void)state;
	assert_non_null(stack);
	for (enum way way = CANCEL; way <= JUMP; way++) {
		struct leaving l = {
			.cache = fixture_open(0, 0, VMEMCACHE_REPLACEMENT_LRU),
			.way = way,
			.call = get,
			.key = 7,
			.buffer = calloc(1, SIZE)};

		assert_non_null(l.buffer);
		vmemcache_callback_on_miss(l.cache, leave, &l);
		run_on(stack, run, &l);
		run_in_thread(put, &l);
		for (int i = 0; i < SIZE; i++)
			assert_int_equal(l.buffer[i], 0);
		vmemcache_callback_on_miss(l.cache, NULL, NULL);
		assert_true(fixture_has(l.cache, 7, 1, SIZE));
		free(l.buffer);
		vmemcache_delete(l.cache);
	}
	vmc_os_unmap(stack, STACK);
}

/* It does not return, so nothing that is allocated here would be freed. */
static void
put_large(struct leaving *l)
{
	static const char value[10 * ROOM];
	const uint64_t key = KEYS;

	vmemcache_put(l->cache, &key, sizeof(key), value, sizeof(value));
}

static void
evict_one(struct leaving *l)
{
	fixture_evict(l->cache, l->key);
}

static void
evict_any(struct leaving *l)
{
	(void)l;
	vmemcache_evict(l->cache, NULL, 0);
}

/* Nothing is stuck, and nothing has gone but those that were told to go. */
static void
check_after(struct leaving *l, unsigned gone, bool in_order)
{
	VMEMcache *cache = l->cache;

	vmemcache_callback_on_evict(cache, NULL, NULL);
	fixture_check(cache);
	assert_int_equal(
		fixture_stat(cache, VMEMCACHE_STAT_ENTRIES), KEYS - gone);
	for (uint64_t key = 0; key < KEYS; key++)
		assert_int_equal(fixture_exists(cache, key), key >= gone);
	assert_false(fixture_exists(cache, KEYS));
	/* the order is what it was */
	for (uint64_t key = gone; in_order && key < KEYS; key++) {
		assert_int_equal(vmemcache_evict(cache, NULL, 0), 0);
		assert_false(fixture_exists(cache, key));
	}
	for (uint64_t key = gone; !in_order && key < KEYS; key++)
		assert_int_equal(fixture_evict(cache, key), 0);
	fixture_check_empty(cache);
	vmemcache_delete(cache);
}

static void
leave_on_evict(enum way way, unsigned returns, void (*what)(struct leaving *),
	unsigned gone, bool in_order)
{
	struct leaving l = {
		.cache = fixture_open(0, 0, VMEMCACHE_REPLACEMENT_LRU),
		.way = way,
		.returns = returns,
		.call = what,
		.key = KEYS / 2};

	for (uint64_t key = 0; key < KEYS; key++)
		assert_int_equal(fixture_put(l.cache, key, 1, SIZE), 0);
	vmemcache_callback_on_evict(l.cache, leave, &l);
	run_in_thread(run, &l);
	check_after(&l, gone, in_order);
}

static void
test_on_evict(void **state)
{
	(void)state;
	for (enum way way = CANCEL; way < JUMP; way++) {
		for (unsigned returns = 0; returns < 4; returns++) {
			leave_on_evict(way, returns, put_large, returns, true);
			leave_on_evict(way, returns, put_large, returns, false);
		}
		leave_on_evict(way, 0, evict_one, 0, false);
		leave_on_evict(way, 0, evict_any, 0, true);
	}
}

/* on_evict of a put in on_miss of a get: each level cleans up. */
static void
put_within_miss(VMEMcache *cache, const void *key, size_t size, void *arg)
{
	(void)cache, (void)key, (void)size;
	put_large(arg);
}

static void
test_nested(void **state)
{
	(void)state;
	for (enum way way = CANCEL; way < JUMP; way++) {
		struct leaving l = {
			.cache = fixture_open(0, 0, VMEMCACHE_REPLACEMENT_LRU),
			.way = way,
			.returns = 2,
			.call = get,
			.key = KEYS,
			.buffer = calloc(1, SIZE)};

		assert_non_null(l.buffer);
		for (uint64_t key = 0; key < KEYS; key++)
			assert_int_equal(fixture_put(l.cache, key, 1, SIZE), 0);
		vmemcache_callback_on_evict(l.cache, leave, &l);
		vmemcache_callback_on_miss(l.cache, put_within_miss, &l);
		run_in_thread(run, &l);
		vmemcache_callback_on_evict(l.cache, NULL, NULL);
		run_in_thread(put, &l);
		assert_int_equal(fixture_evict(l.cache, KEYS), 0);
		for (int i = 0; i < SIZE; i++)
			assert_int_equal(l.buffer[i], 0);
		free(l.buffer);
		check_after(&l, 2, false);
	}
}

/* of vmemcache_add(), which has threads at work and a file open */
static int
leave_on_progress(VMEMcache *cache, size_t done, size_t total, void *arg)
{
	(void)done, (void)total;
	leave(cache, NULL, 0, arg);
	return 0;
}

static void
add(struct leaving *l)
{
	vmemcache_add(l->cache, FIXTURE_DIR);
}

static void
test_on_progress(void **state)
{
	(void)state;
	for (enum way way = EXIT; way <= THROW; way++) {
		struct leaving l = {.cache = fixture_new(48 << 20, 0,
					    VMEMCACHE_REPLACEMENT_LRU),
			.way = way,
			.call = add};
		int descriptors = process_descriptors();
		int mappings = process_unnamed_mappings();

		for (unsigned threads = 1; threads <= 3; threads++) {
			assert_int_equal(
				vmemcache_set_prefault(l.cache, threads,
					leave_on_progress, &l),
				0);
			l.returns = 0;
			run_in_thread(run, &l);
			assert_int_equal(process_descriptors(), descriptors);
			assert_int_equal(process_unnamed_mappings(), mappings);
		}
		assert_int_equal(
			vmemcache_set_prefault(l.cache, 2, NULL, NULL), 0);
		add(&l);
		assert_int_equal(fixture_put(l.cache, 1, 1, SIZE), 0);
		vmemcache_delete(l.cache);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_on_miss),
		cmocka_unit_test(test_on_evict),
		cmocka_unit_test(test_nested),
		cmocka_unit_test(test_on_progress),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
