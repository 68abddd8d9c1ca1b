/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * threads.c -- a thread that cannot have a record or a stripe, whatever it
 * gives back, and a process that cannot have membarrier(2)
 */
#include "fault.h"
#include "fixture.h"

#include "base/epoch.h"

#include <pthread.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#define KEYS 100

/* All calls in a thread that is new to everything. */
static void *
all_refused(void *arg)
{
	VMEMcache *cache = arg;
	uint64_t key = 1;
	char value[100];
	struct vmemcache_request request = {.key = &key,
		.key_size = sizeof(key),
		.vbuf = value,
		.vbufsize = sizeof(value)};
	long long results[] = {
		vmemcache_put(cache, "new", 3, "value", 5),
		vmemcache_get(cache, &key, sizeof(key), value, 100, 0, NULL),
		vmemcache_get_many(cache, &request, 1),
		vmemcache_exists(cache, &key, sizeof(key), NULL),
		vmemcache_evict(cache, &key, sizeof(key)),
		vmemcache_evict(cache, NULL, 0),
	};

	testing_expect(errno == ENOMEM);
	for (size_t i = 0; i < sizeof(results) / sizeof(results[0]); i++)
		testing_expect(results[i] == -1);
	return NULL;
}

/* Each says so; to the others the cache is as before. */
static void
test_thread_without_record(void **state)
{
	VMEMcache *cache = fixture_open(0, 0, VMEMCACHE_REPLACEMENT_LRU);
	pthread_t thread;

	(void)state;
	for (uint64_t key = 0; key < KEYS; key++)
		assert_int_equal(fixture_put(cache, key, 1, 100), 0);
	fault_arm("pthread_setspecific", 0, 1000000, ENOMEM);
	assert_int_equal(pthread_create(&thread, NULL, all_refused, cache), 0);
	pthread_join(thread, NULL);
	assert_true(fault_disarm() >= 6);
	assert_int_equal(testing_failures, 0);

	fixture_check(cache);
	assert_int_equal(fixture_stat(cache, VMEMCACHE_STAT_ENTRIES), KEYS);
	while (vmemcache_evict(cache, NULL, 0) == 0)
		;
	fixture_check_empty(cache);
	vmemcache_delete(cache);
}

/* What another thread has taken, to be given back by one that has nothing. */
enum { TAKEN = 5, CROWD = 1100, TAKEN_SIZE = 100000 };

struct taken {
	VMEMcache *cache, *space;
	const char *failing;
	struct vmemcache_item reserved[TAKEN], pinned, crowd[CROWD];
	_Atomic bool waits;
};

static void
reserve(VMEMcache *cache, uint64_t key, struct vmemcache_item *item)
{
	struct vmemcache_store how = {
		.struct_size = sizeof(how), .flags = VMEMCACHE_EXCLUSIVE};

	assert_int_equal(vmemcache_reserve(cache, &key, sizeof(key), TAKEN_SIZE,
				 &how, item),
		0);
}

static void
take(struct taken *t)
{
	uint64_t key = KEYS;

	for (uint64_t i = 0; i < TAKEN; i++)
		reserve(i % 2 ? t->space : t->cache, i, &t->reserved[i]);
	assert_int_equal(fixture_put(t->cache, key, 1, 100), 0);
	assert_int_equal(fixture_put(t->cache, key + 1, 1, 100), 0);
	assert_int_equal(
		vmemcache_pin(t->cache, &key, sizeof(key), 0, &t->pinned), 0);
	key++;
	for (unsigned i = 0; i < CROWD; i++)
		assert_int_equal(vmemcache_pin(t->cache, &key, sizeof(key), 0,
					 &t->crowd[i]),
			0);
	/* so it goes with its last pin */
	assert_int_equal(fixture_evict(t->cache, key), 0);
}

/* One of them in each way that there is. */
static void *
give_back(void *arg)
{
	struct taken *t = arg;

	fault_arm(t->failing, 0, 1000000, ENOMEM);
	testing_expect(
		vmemcache_commit(t->cache, &t->reserved[0], 1, NULL) == -1 &&
		errno == ENOMEM);
	vmemcache_unpin(t->space, &t->reserved[1]);
	for (unsigned i = 2; i < TAKEN; i++)
		vmemcache_abort(t->cache, &t->reserved[i]);
	for (unsigned i = 0; i < TAKEN; i++)
		testing_expect(t->reserved[i].iov_count == -1);
	vmemcache_unpin(t->cache, &t->pinned);
	for (unsigned i = 0; i < CROWD; i++)
		vmemcache_unpin(t->cache, &t->crowd[i]);
	testing_expect(fault_disarm() > TAKEN);
	return NULL;
}

static void *
wait_for_last(void *arg)
{
	struct taken *t = arg;
	uint64_t key = TAKEN - 1;

	/* so that it has its memory before there is none */
	testing_expect(fixture_exists(t->cache, key) == 0);
	vmc_store_release(&t->waits, true);
	testing_expect(vmemcache_wait(t->cache, &key, sizeof(key),
			       VMEMCACHE_FOREVER) == -1 &&
		       (errno == ECANCELED || errno == ENOENT));
	return NULL;
}

static void
check_nothing_taken(VMEMcache *cache)
{
	struct vmemcache_statistics s = {.struct_size = sizeof(s)};

	assert_int_equal(vmemcache_statistics(cache, &s), 0);
	assert_int_equal(s.reservations, 0);
	assert_int_equal(s.reserved_bytes, 0);
	assert_int_equal(s.pinned_items, 0);
	assert_int_equal(s.pinned_bytes, 0);
}

/* The call that fails; is anything done with the cache before it is deleted? */
static void
give_back_without(const char *failing, bool goes_on)
{
	struct taken *t = calloc(1, sizeof(*t));
	pthread_t thread, waiter;

	assert_non_null(t);
	t->failing = failing;
	t->cache = fixture_open(0, 0, VMEMCACHE_REPLACEMENT_LRU);
	t->space = vmemcache_new_space(t->cache, NULL);
	assert_non_null(t->space);
	take(t);
	assert_int_equal(pthread_create(&waiter, NULL, wait_for_last, t), 0);
	while (!vmc_load_acquire(&t->waits))
		sched_yield();
	assert_int_equal(pthread_create(&thread, NULL, give_back, t), 0);
	pthread_join(thread, NULL);
	pthread_join(waiter, NULL);
	assert_int_equal(testing_failures, 0);
	check_nothing_taken(t->cache);
	if (goes_on) {
		/* each can be reserved again, and all that room is there */
		for (uint64_t i = 0; i < TAKEN; i++)
			reserve(i % 2 ? t->space : t->cache, i,
				&t->reserved[i]);
		for (uint64_t i = 0; i < TAKEN; i++)
			vmemcache_abort(t->cache, &t->reserved[i]);
		vmemcache_delete(t->space);
		assert_int_equal(
			fixture_put(t->cache, 1, 1, VMEMCACHE_MIN_POOL), 0);
		assert_int_equal(fixture_evict(t->cache, 1), 0);
		fixture_check(t->cache);
		assert_int_equal(
			fixture_stat(t->cache, VMEMCACHE_STAT_POOL_SIZE_USED),
			0);
	}
	vmemcache_delete(t->cache);
	free(t);
}

/* Unpins, aborts and commits that fail leave nothing, and nobody waiting. */
static void
test_thread_without_memory_gives_back(void **state)
{
	static const char *const failing[] = {"pthread_setspecific", "mmap"};
	struct fault_ledger before, after;

	(void)state;
	give_back_without(failing[0], false); /* what stays for good */
	for (int i = 0; i < 4; i++) {
		before = fault_ledger();
		give_back_without(failing[i % 2], i / 2);
		after = fault_ledger();
		assert_true(after.mapped <= before.mapped);
		assert_true(after.allocated <= before.allocated);
	}
}

static void *
use(void *arg)
{
	VMEMcache *cache = arg;

	for (uint64_t key = 0; key < 5000; key++) {
		fixture_put(cache, key, 1, 500);
		char value[500];
		ssize_t n = vmemcache_get(cache, &key, sizeof(key), value,
			sizeof(value), 0, NULL);
		testing_expect(n < 0 || value_is(value, 500, 0, key, 1));
	}
	return NULL;
}

/* Readers then fence each time they enter; memory is freed all the same. */
static void
test_no_membarrier(void **state)
{
	int status;

	(void)state;
	fault_arm("membarrier", 0, 1000000, EPERM);
	pid_t child = fork();
	if (child == 0) {
		VMEMcache *cache =
			fixture_open(0, 0, VMEMCACHE_REPLACEMENT_LRU);
		pthread_t threads[2];
		testing_expect(vmc_epoch_readers_fence);
		for (int i = 0; i < 2; i++)
			pthread_create(&threads[i], NULL, use, cache);
		for (int i = 0; i < 2; i++)
			pthread_join(threads[i], NULL);
		testing_expect(vmc_cache_check(cache) == 0);
		while (vmemcache_evict(cache, NULL, 0) == 0)
			;
		fixture_check_empty(cache);
		vmemcache_delete(cache);
		_exit(testing_failures != 0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	fault_disarm();
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_thread_without_record),
		cmocka_unit_test(test_thread_without_memory_gives_back),
		cmocka_unit_test(test_no_membarrier),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
