/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cancel.c -- no call is a cancellation point: a thread that has been cancelled
 * ends after it, not within. It ended within vmemcache_add(), which left the
 * descriptor, the space of the file and the mapping behind.
 */
#include "fixture.h"
#include "process.h"

#include <pthread.h>
#include <signal.h>

struct cancelled {
	void (*call)(void);
	bool returned;
};

static VMEMcache *cache;
static enum vmemcache_metadata metadata;

static void *
call_cancelled(void *arg)
{
	struct cancelled *c = arg;

	pthread_cancel(pthread_self());
	c->call();
	c->returned = true;
	pthread_testcancel();
	return NULL;
}

/* In a thread that ends at the next cancellation point, which is not in it. */
static void
cancel(void (*call)(void))
{
	struct cancelled c = {.call = call};
	pthread_t thread;
	void *result;

	assert_int_equal(pthread_create(&thread, NULL, call_cancelled, &c), 0);
	assert_int_equal(pthread_join(thread, &result), 0);
	assert_ptr_equal(result, PTHREAD_CANCELED);
	assert_true(c.returned);
}

static void
make(void)
{
	cache = fixture_new(2 << 20, 0, VMEMCACHE_REPLACEMENT_LRU);
	testing_expect(vmemcache_set_metadata(cache, metadata) == 0);
}

static bool
any_signal_is_blocked(void)
{
	sigset_t blocked;

	pthread_sigmask(SIG_SETMASK, NULL, &blocked);
	for (int signal = 1; signal < SIGRTMIN; signal++)
		if (sigismember(&blocked, signal) == 1)
			return true;
	return false;
}

static void
add(void)
{
	testing_expect(vmemcache_set_prefault(cache, 2, NULL, NULL) == 0);
	testing_expect(vmemcache_add(cache, FIXTURE_DIR) == 0);
	testing_expect(!any_signal_is_blocked());
}

static void
add_in_vain(void)
{
	testing_expect(vmemcache_add(cache, "/nonexistent") == -1);
	testing_expect(vmemcache_add(cache, "/dev/null") == -1);
}

static void
use(void)
{
	for (uint64_t key = 0; key < 3000; key++) {
		testing_expect(fixture_put(cache, key, 1, 1500) == 0);
		testing_expect(fixture_has(cache, key, 1, 1500));
	}
	testing_expect(fixture_evict(cache, 2999) == 0);
	testing_expect(vmemcache_evict(cache, NULL, 0) == 0);
	for (int stat = 0; stat < FIXTURE_STATS; stat++)
		fixture_stat_if_any(cache, stat);
	vmemcache_bench_set(cache, VMEMCACHE_BENCH_PREFAULT, 1);
}

static void
publish(void)
{
	testing_expect(vmemcache_publish(cache, "first") == 0);
	testing_expect(vmemcache_publish(cache, NULL) == 0);
	testing_expect(vmemcache_publish(cache, "second") == 0);
	testing_expect(!any_signal_is_blocked());
}

static void
delete_it(void)
{
	vmemcache_delete(cache);
}

static void
live(void)
{
	cancel(make);
	cancel(add_in_vain);
	cancel(add);
	cancel(use);
	cancel(publish);
	cancel(delete_it);
	assert_int_equal(testing_failures, 0);
}

static void
test_every_call(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		metadata =
			i ? VMEMCACHE_METADATA_PMEM : VMEMCACHE_METADATA_DRAM;
		live(); /* what the process keeps is there after the first */
		int descriptors = process_descriptors();
		int mappings = process_unnamed_mappings();
		live();
		assert_int_equal(process_descriptors(), descriptors);
		assert_int_equal(process_unnamed_mappings(), mappings);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_call),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
