/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * put_races_evict.c -- libvmemcache 0.8.1 crashed where a put raced an evict
 * of the same key: the entry could be found before its policy node was linked
 *
 * The windows are a few instructions long, so beside the race itself there are
 * tests that stop a put in them (with --wrap), where another thread then does
 * what it can.
 */
#include "fixture.h"

#include <pthread.h>

enum { PUTTERS = 2, EVICTORS = 2 };

struct race {
	VMEMcache *cache;
	uint64_t rounds;
	_Atomic uint64_t puts, evictions;
	_Atomic unsigned putting;
};

/* One key: each put makes an entry that evictors are waiting for. */
static const uint64_t key = 1;

static void *
put_it(void *arg)
{
	struct race *r = arg;

	for (uint64_t i = 0; i < r->rounds; i++) {
		if (fixture_put(r->cache, key, 1, 600) == 0)
			vmc_fetch_add_relaxed(&r->puts, 1);
		else
			testing_expect(errno == EEXIST);
	}
	vmc_fetch_add_relaxed(&r->putting, (unsigned)-1);
	return NULL;
}

static void *
evict_it(void *arg)
{
	struct race *r = arg;
	bool by_key = true;

	while (vmc_load_relaxed(&r->putting) > 0) {
		by_key = !by_key;
		int rc = by_key ? fixture_evict(r->cache, key)
				: vmemcache_evict(r->cache, NULL, 0);
		if (rc == 0)
			vmc_fetch_add_relaxed(&r->evictions, 1);
		else
			testing_expect(errno == ENOENT || errno == EAGAIN ||
				       errno == ESRCH);
	}
	return NULL;
}

static void
test_put_races_evict(void **state)
{
	struct race r = {
		.rounds = testing_operations(100000), .putting = PUTTERS};
	pthread_t threads[PUTTERS + EVICTORS];

	(void)state;
	r.cache = fixture_open(0, 0, VMEMCACHE_REPLACEMENT_LRU);
	for (int i = 0; i < PUTTERS + EVICTORS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL,
					 i < PUTTERS ? put_it : evict_it, &r),
			0);
	for (int i = 0; i < PUTTERS + EVICTORS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(testing_failures, 0);
	/* what was put and not evicted is there, and can be evicted */
	fixture_check(r.cache);
	uint64_t left = r.puts - r.evictions;
	assert_true(left <= 1);
	assert_int_equal(fixture_exists(r.cache, key), left);
	assert_int_equal(vmemcache_evict(r.cache, NULL, 0), left ? 0 : -1);
	fixture_check_empty(r.cache);
	vmemcache_delete(r.cache);
}

/* Called in the midst of the next put; then no more. */
static void (*in_the_midst)(void);
static bool stop_in_index;
static VMEMcache *midst_cache;
static uint64_t midst_entries, midst_key;

void __real_vmc_index_publish(struct vmc_index *index, uint64_t hash,
	void *leaf, uint64_t note, const struct vmc_index_place *where);
void __wrap_vmc_index_publish(struct vmc_index *index, uint64_t hash,
	void *leaf, uint64_t note, const struct vmc_index_place *where);
int __real_pthread_mutex_trylock(pthread_mutex_t *mutex);
int __wrap_pthread_mutex_trylock(pthread_mutex_t *mutex);

static void
stop_here(void)
{
	void (*function)(void) = in_the_midst;

	in_the_midst = NULL;
	if (function)
		function();
}

/* In a put: the entry is in the index, and nowhere else. */
void
__wrap_vmc_index_publish(struct vmc_index *index, uint64_t hash, void *leaf,
	uint64_t note, const struct vmc_index_place *where)
{
	__real_vmc_index_publish(index, hash, leaf, note, where);
	if (stop_in_index)
		stop_here();
}

/* In a put: the entry is in the thread's ring, on its way to the policy. */
int
__wrap_pthread_mutex_trylock(pthread_mutex_t *mutex)
{
	if (!stop_in_index && midst_cache &&
		mutex == &midst_cache->policy_lock.mutex)
		stop_here();
	return __real_pthread_mutex_trylock(mutex);
}

/*
 * The entry answers gets, and is anybody's to evict: by its key, or once it is
 * in the ring as the policy's last victim. (A put that needs its blocks would
 * wait: put_waits_for_others.c.)
 */
static void *
do_all(void *arg)
{
	VMEMcache *cache = midst_cache;

	testing_expect(fixture_has(cache, midst_key, 1, 600));
	testing_expect(fixture_put(cache, midst_key, 2, 1) == -1);
	testing_expect(errno == EEXIST);
	for (uint64_t i = 0; i < midst_entries; i++)
		testing_expect(vmemcache_evict(cache, NULL, 0) == 0);
	testing_expect(fixture_has(cache, midst_key, 1, 600));
	if (stop_in_index)
		testing_expect(fixture_evict(cache, midst_key) == 0);
	else
		testing_expect(vmemcache_evict(cache, NULL, 0) == 0);
	testing_expect(fixture_exists(cache, midst_key) == 0);
	testing_expect(vmemcache_evict(cache, NULL, 0) == -1);
	testing_expect(errno == ESRCH);
	return arg;
}

static void
do_all_in_a_thread(void)
{
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, do_all, NULL), 0);
	pthread_join(thread, NULL);
}

static void
check_after(void)
{
	assert_int_equal(testing_failures, 0);
	assert_int_equal(fixture_exists(midst_cache, midst_key), 0);
	fixture_check_empty(midst_cache);
	vmemcache_delete(midst_cache);
}

static void
test_between_index_and_policy(void **state)
{
	(void)state;
	midst_cache = fixture_open(0, 0, VMEMCACHE_REPLACEMENT_LRU);
	midst_key = 1;
	midst_entries = 0;
	stop_in_index = true;
	in_the_midst = do_all_in_a_thread;
	assert_int_equal(fixture_put(midst_cache, midst_key, 1, 600), 0);
	assert_null(in_the_midst);
	check_after();
}

static void
test_between_ring_and_policy(void **state)
{
	(void)state;
	midst_cache = fixture_open(0, 0, VMEMCACHE_REPLACEMENT_LRU);
	stop_in_index = false;
	/* the first one of a thread makes room in the policy first */
	assert_int_equal(fixture_put(midst_cache, 0, 1, 600), 0);
	in_the_midst = do_all_in_a_thread;
	/* now and then a put feeds the policy from its ring */
	for (midst_key = 1; in_the_midst; midst_key++) {
		midst_entries = midst_key;
		assert_int_equal(
			fixture_put(midst_cache, midst_key, 1, 600), 0);
		assert_true(midst_key < 1000);
	}
	midst_key--;
	check_after();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_put_races_evict),
		cmocka_unit_test(test_between_index_and_policy),
		cmocka_unit_test(test_between_ring_and_policy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
