/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * loader_is_left.c -- a loader that ends by pthread_exit(3), a cancellation or
 * an exception of C++ returns to nobody. Those that wait for its load must not
 * wait for ever, and what it has reserved must not stay; nor what a reserve or
 * a commit has begun that a callback leaves.
 */
#include "exceptions.h"
#include "fixture.h"

#include "base/os.h"

#include <pthread.h>
#include <sched.h>

enum way { CANCEL, EXIT, THROW };
enum { SIZE = 15000, THREADS = 4, LARGE = 160000, KEYS = 64 };

static _Atomic unsigned long sleeps;

bool __real_vmc_os_sleep_while(_Atomic uint32_t *, uint32_t, uint64_t);
bool __wrap_vmc_os_sleep_while(_Atomic uint32_t *, uint32_t, uint64_t);

bool
__wrap_vmc_os_sleep_while(
	_Atomic uint32_t *word, uint32_t value, uint64_t until_ns)
{
	vmc_fetch_add_relaxed(&sleeps, 1);
	return __real_vmc_os_sleep_while(word, value, until_ns);
}

struct leaving {
	VMEMcache *cache;
	enum way way;
	bool reserves; /* the loader, before it is left */
	void (*call)(struct leaving *l);
	_Atomic unsigned runs; /* of the loader */
	struct vmemcache_item item;
};

static const uint64_t the_key = 1000;

static void
leave(struct leaving *l)
{
	switch (l->way) {
	case CANCEL:
		pthread_cancel(pthread_self());
		pthread_testcancel();
		break;
	case EXIT:
		pthread_exit(NULL);
	default:
		exceptions_throw();
		break;
	}
	testing_failed(__FILE__, __LINE__, "it went on");
}

static void
call(void *arg)
{
	struct leaving *l = arg;

	l->call(l);
	testing_failed(__FILE__, __LINE__, "it returned");
}

static void *
run(void *arg)
{
	struct leaving *l = arg;

	if (l->way == THROW)
		testing_expect(exceptions_caught(call, l) == 1);
	else
		call(l);
	return NULL;
}

static void
run_in_thread(struct leaving *l)
{
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, run, l), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(testing_failures, 0);
}

/* The first run is left, once all others wait for it. */
static int
loader(VMEMcache *cache, const void *key, size_t key_size,
	struct vmemcache_loading *loading, void *arg)
{
	struct leaving *l = arg;
	struct vmemcache_item item;
	bool leaves = vmc_fetch_add_acq_rel(&l->runs, 1) == 0;

	(void)cache, (void)key, (void)key_size;
	if (l->reserves || !leaves) {
		if (vmemcache_loading_reserve(loading, SIZE, NULL, &item) != 0)
			return errno;
		value_fill(item.iov->iov_base, SIZE, 0, the_key, 1);
	}
	while (leaves && vmc_load_relaxed(&sleeps) < THREADS)
		sched_yield();
	if (leaves)
		leave(l);
	return 0;
}

static void
load(struct leaving *l)
{
	vmemcache_load(l->cache, &the_key, sizeof(the_key), loader, l, NULL,
		VMEMCACHE_FOREVER, &l->item);
}

static void *
load_too(void *arg)
{
	struct leaving *l = arg;
	struct vmemcache_item item;

	while (vmc_load_acquire(&l->runs) == 0)
		sched_yield();
	testing_expect(vmemcache_load(l->cache, &the_key, sizeof(the_key),
			       loader, l, NULL, VMEMCACHE_FOREVER, &item) == 0);
	testing_expect(value_is(item.iov->iov_base, SIZE, 0, the_key, 1));
	vmemcache_unpin(l->cache, &item);
	return NULL;
}

static void
test_loader(void **state)
{
	(void)state;
	for (int i = 0; i < 6; i++) {
		struct leaving l = {
			.cache = fixture_open(0, 0, VMEMCACHE_REPLACEMENT_LRU),
			.way = (enum way)(i / 2),
			.reserves = i % 2,
			.call = load};
		pthread_t others[THREADS];

		vmc_store_relaxed(&sleeps, 0);
		for (int k = 0; k < THREADS; k++)
			assert_int_equal(
				pthread_create(&others[k], NULL, load_too, &l),
				0);
		run_in_thread(&l);
		for (int k = 0; k < THREADS; k++)
			pthread_join(others[k], NULL);
		assert_int_equal(testing_failures, 0);
		assert_int_equal(l.runs, 2);
		assert_int_equal(fixture_evict(l.cache, the_key), 0);
		fixture_check_empty(l.cache);
		vmemcache_delete(l.cache);
	}
}

static void
leave_on_evict(VMEMcache *cache, const void *key, size_t key_size, void *arg)
{
	(void)cache, (void)key, (void)key_size;
	leave(arg);
}

static void
leave_on_remove(VMEMcache *cache, const void *key, size_t key_size,
	const struct vmemcache_item *item, enum vmemcache_reason reason,
	void *arg)
{
	(void)cache, (void)key, (void)key_size, (void)item, (void)reason;
	leave(arg);
}

static void
reserve_large(struct leaving *l)
{
	static const struct vmemcache_store how = {
		.struct_size = sizeof(how), .flags = VMEMCACHE_EXCLUSIVE};

	vmemcache_reserve(
		l->cache, &the_key, sizeof(the_key), LARGE, &how, &l->item);
}

static void
commit(struct leaving *l)
{
	vmemcache_commit(l->cache, &l->item, SIZE, NULL);
}

static void
test_reserve(void **state)
{
	(void)state;
	for (enum way way = CANCEL; way <= THROW; way++) {
		struct leaving l = {
			.cache = fixture_open(0, 0, VMEMCACHE_REPLACEMENT_LRU),
			.way = way,
			.call = reserve_large};

		for (uint64_t key = 0; key < KEYS; key++)
			assert_int_equal(fixture_put(l.cache, key, 1, SIZE), 0);
		vmemcache_callback_on_evict(l.cache, leave_on_evict, &l);
		run_in_thread(&l);
		vmemcache_callback_on_evict(l.cache, NULL, NULL);
		assert_int_equal(l.item.iov_count, -1);
		fixture_check(l.cache);
		reserve_large(&l);
		assert_true(l.item.iov_count > 0);
		vmemcache_abort(l.cache, &l.item);
		fixture_clear(l.cache);
		vmemcache_delete(l.cache);
	}
}

/* The value is there, and the item no reservation any more. */
static void
test_commit(void **state)
{
	(void)state;
	for (enum way way = CANCEL; way <= THROW; way++) {
		struct leaving l = {
			.cache = fixture_open(0, 0, VMEMCACHE_REPLACEMENT_LRU),
			.way = way,
			.call = commit};

		assert_int_equal(fixture_put(l.cache, the_key, 2, SIZE), 0);
		reserve_large(&l);
		assert_true(l.item.iov_count > 0);
		value_fill(l.item.iov->iov_base, SIZE, 0, the_key, 1);
		vmemcache_callback_on_remove(l.cache, leave_on_remove, &l);
		run_in_thread(&l);
		vmemcache_callback_on_remove(l.cache, NULL, NULL);
		assert_int_equal(l.item.iov_count, -1);
		vmemcache_abort(l.cache, &l.item);
		assert_true(fixture_has(l.cache, the_key, 1, SIZE));
		reserve_large(&l);
		assert_true(l.item.iov_count > 0);
		vmemcache_abort(l.cache, &l.item);
		assert_int_equal(fixture_evict(l.cache, the_key), 0);
		fixture_check_empty(l.cache);
		vmemcache_delete(l.cache);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_loader),
		cmocka_unit_test(test_reserve),
		cmocka_unit_test(test_commit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
