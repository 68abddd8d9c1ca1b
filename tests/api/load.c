/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * load.c -- what loads do, and beside a fork
 *
 * Linked with --wrap for the metadata's allocations, which can fail.
 */
#include "loads.h"

#include <sys/wait.h>
#include <unistd.h>

enum { SIZE = 1000, THREADS = 8 };

static long fail_at = -1; /* allocations until one fails */

void *__real_vmc_memkind_malloc(memkind_t kind, size_t size);
void *__wrap_vmc_memkind_malloc(memkind_t kind, size_t size);

void *
__wrap_vmc_memkind_malloc(memkind_t kind, size_t size)
{
	if (fail_at >= 0 && fail_at-- == 0)
		return NULL;
	return __real_vmc_memkind_malloc(kind, size);
}

static void
test_load(void **state)
{
	static const size_t sizes[] = {0, 1, 256, SIZE, 128 * 1024};
	VMEMcache *cache = items_open();
	struct vmemcache_item item;

	(void)state;
	for (uint64_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct job job = {.size = sizes[i], .version = i + 1};
		unsigned long long misses =
			fixture_stat(cache, VMEMCACHE_STAT_MISS);
		for (int round = 0; round < 3; round++) {
			assert_int_equal(load(cache, i, &job, NULL, &item), 0);
			assert_int_equal(item.info.value_size, sizes[i]);
			assert_true(items_holds(&item, i, i + 1));
			vmemcache_unpin(cache, &item);
		}
		assert_int_equal(job.runs, 1);
		assert_int_equal(
			fixture_stat(cache, VMEMCACHE_STAT_MISS), misses + 1);
		assert_true(fixture_has(cache, i, i + 1, sizes[i]));
		fixture_check(cache);
		assert_int_equal(fixture_evict(cache, i), 0);
	}
	fixture_check_empty(cache);
	vmemcache_delete(cache);
}

static int
do_nothing(VMEMcache *cache, uint64_t key, struct vmemcache_loading *loading)
{
	(void)cache, (void)key, (void)loading;
	return 0;
}

static int
put_it(VMEMcache *cache, uint64_t key, struct vmemcache_loading *loading)
{
	(void)loading;
	return fixture_put(cache, key, 5, SIZE) == 0 ? 0 : errno;
}

/* What it gets is not its own to commit or abort, and the last one counts. */
static int
reserve_twice(VMEMcache *cache, uint64_t key, struct vmemcache_loading *loading)
{
	struct vmemcache_item first, item;

	assert_int_equal(
		vmemcache_loading_reserve(loading, 128 * 1024, NULL, &first),
		0);
	assert_fails(vmemcache_loading_reserve(
			     loading, VMEMCACHE_MIN_POOL + 1, NULL, &item),
		ENOSPC);
	assert_int_equal(item.iov_count, -1);
	assert_fails(
		vmemcache_loading_reserve(loading, SIZE, NULL, NULL), EINVAL);
	assert_int_equal(
		vmemcache_loading_reserve(loading, SIZE, NULL, &item), 0);
	assert_int_equal(
		fixture_stat(cache, VMEMCACHE_STAT_POOL_SIZE_USED), 1024);
	items_fill(&item, key, 6);
	assert_fails(vmemcache_commit(cache, &item, SIZE, NULL), EINVAL);
	vmemcache_abort(cache, &item);
	vmemcache_unpin(cache, &item);
	return 0;
}

static int
wait_for_itself(
	VMEMcache *cache, uint64_t key, struct vmemcache_loading *loading)
{
	struct job job = {.size = SIZE, .version = 8};
	struct vmemcache_item item;

	(void)loading;
	assert_fails(load(cache, key, &job, NULL, &item), EDEADLK);
	assert_fails(wait_for(cache, key, VMEMCACHE_FOREVER), EDEADLK);
	assert_fails(
		reserve(cache, key, SIZE, VMEMCACHE_SET, &item), EINPROGRESS);
	/* of another key it may */
	assert_int_equal(load(cache, key + 1, &job, NULL, &item), 0);
	assert_true(items_holds(&item, key + 1, 8));
	vmemcache_unpin(cache, &item);
	return ERANGE;
}

static void
load_within(VMEMcache *cache,
	int (*within)(VMEMcache *, uint64_t, struct vmemcache_loading *),
	int expected, uint64_t version)
{
	struct job job = {.within = within};
	struct vmemcache_item item;

	if (expected) {
		assert_fails(load(cache, 1, &job, NULL, &item), expected);
		assert_int_equal(item.iov_count, -1);
	} else {
		assert_int_equal(load(cache, 1, &job, NULL, &item), 0);
		assert_true(items_holds(&item, 1, version));
		vmemcache_unpin(cache, &item);
		assert_int_equal(fixture_evict(cache, 1), 0);
	}
	assert_int_equal(job.runs, 1);
	assert_fails(wait_for(cache, 1, 0), ENOENT);
}

static void
test_loaders(void **state)
{
	static const int answers[] = {ENODATA, EBADF, ENOMEM, -5};
	VMEMcache *cache = items_open();
	struct vmemcache_item item;

	(void)state;
	load_within(cache, do_nothing, ENOENT, 0);
	load_within(cache, put_it, 0, 5);
	load_within(cache, reserve_twice, 0, 6);
	load_within(cache, wait_for_itself, ERANGE, 0);
	assert_int_equal(fixture_evict(cache, 2), 0);
	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		struct job job = {.size = SIZE, .answer = answers[i]};
		assert_fails(load(cache, 1, &job, NULL, &item),
			answers[i] > 0 ? answers[i] : EINVAL);
		fixture_check_empty(cache);
	}
	vmemcache_delete(cache);
}

static int
put_before(VMEMcache *cache, uint64_t key, struct vmemcache_loading *loading)
{
	struct vmemcache_item item;

	if (fixture_put(cache, key, 5, SIZE) != 0 ||
		vmemcache_loading_reserve(loading, 10, NULL, &item) != 0)
		return errno;
	items_fill(&item, key, 6);
	return 0;
}

static void
test_modes(void **state)
{
	VMEMcache *cache = items_open();
	struct vmemcache_store how = items_mode(VMEMCACHE_ADD);
	struct vmemcache_store absent = items_mode(VMEMCACHE_REPLACE);
	struct vmemcache_item item;

	(void)state;
	struct job job = {.within = put_before};
	assert_int_equal(load(cache, 1, &job, &how, &item), 0);
	assert_true(items_holds(&item, 1, 5));
	vmemcache_unpin(cache, &item);
	assert_int_equal(fixture_evict(cache, 1), 0);
	assert_int_equal(load(cache, 1, &job, NULL, &item), 0);
	assert_true(items_holds(&item, 1, 6));
	vmemcache_unpin(cache, &item);
	assert_int_equal(fixture_evict(cache, 1), 0);
	job = (struct job){.size = SIZE};
	assert_fails(load(cache, 1, &job, &absent, &item), ENOENT);
	/* the loader's own word counts */
	job = (struct job){.size = SIZE, .version = 2, .how = &how};
	how.tag = 9;
	assert_int_equal(load(cache, 1, &job, &absent, &item), 0);
	assert_int_equal(item.info.tag, 9);
	vmemcache_unpin(cache, &item);
	job.how = &absent;
	assert_fails(load(cache, 2, &job, NULL, &item), ENOENT);
	absent.struct_size = 1;
	assert_fails(load(cache, 2, &job, NULL, &item), EINVAL);
	vmemcache_delete(cache);
}

static void
test_bad_input(void **state)
{
	VMEMcache *closed = vmemcache_new();
	VMEMcache *cache = items_open();
	struct vmemcache_store how = items_flagged(VMEMCACHE_SET, 1u << 30);
	struct vmemcache_item item = {.iov_count = 3};
	struct job job = {.size = SIZE};

	(void)state;
	assert_fails(load(NULL, 1, &job, NULL, &item), EINVAL);
	assert_int_equal(item.iov_count, -1);
	assert_fails(load(closed, 1, &job, NULL, &item), EINVAL);
	assert_fails(load(cache, 1, &job, NULL, NULL), EINVAL);
	assert_fails(load(cache, 1, &job, &how, &item), EINVAL);
	how = items_flagged(VMEMCACHE_SET, VMEMCACHE_STALE);
	assert_fails(vmemcache_reserve(cache, "k", 1, 1, &how, &item), EINVAL);
	assert_fails(
		vmemcache_store(cache, "k", 1, "v", 1, &how, NULL), EINVAL);
	how.flags = VMEMCACHE_EXCLUSIVE;
	assert_fails(
		vmemcache_store(cache, "k", 1, "v", 1, &how, NULL), EINVAL);
	assert_fails(vmemcache_load(cache, "k", 1, NULL, NULL, NULL, 0, &item),
		EINVAL);
	assert_fails(
		vmemcache_load(cache, NULL, 1, loader, &job, NULL, 0, &item),
		EINVAL);
	assert_fails(vmemcache_loading_reserve(NULL, 1, NULL, &item), EINVAL);
	assert_fails(wait_for(NULL, 1, 0), EINVAL);
	assert_fails(wait_for(closed, 1, 0), EINVAL);
	assert_fails(vmemcache_wait(cache, NULL, 1, 0), EINVAL);
	assert_int_equal(job.runs, 0);
	vmemcache_delete(closed);
	vmemcache_delete(cache);
}

/* Each allocation fails once: a failed load leaves nothing behind. */
static void
test_no_memory(void **state)
{
	VMEMcache *cache = items_open();
	struct vmemcache_item item = {.iov_count = -1};
	bool failed = true;

	(void)state;
	for (long n = 0; failed; n++) {
		struct job job = {.size = SIZE, .version = 1};
		fail_at = n;
		int rc = load(cache, 1, &job, NULL, &item);
		failed = fail_at == -1;
		fail_at = -1;
		assert_int_equal(rc == 0, item.iov_count > 0);
		if (rc)
			assert_int_equal(errno, ENOMEM);
		else
			assert_true(items_holds(&item, 1, 1));
		vmemcache_unpin(cache, &item);
		assert_fails(wait_for(cache, 1, 0), ENOENT);
		(void)fixture_evict(cache, 1);
		fixture_check_empty(cache);
		assert_true(n < 1000);
	}
	vmemcache_delete(cache);
}

/* --- forks --- */

static int
fork_within(VMEMcache *cache, uint64_t key, struct vmemcache_loading *loading)
{
	struct vmemcache_item item;
	int status;

	fflush(NULL);
	pid_t child = fork();
	if (child == 0) {
		alarm(240);
		if (vmemcache_loading_reserve(loading, 1, NULL, &item) != -1 ||
			errno != EBADF)
			_exit(1);
		return 0; /* to test_fork() */
	}
	testing_expect(waitpid(child, &status, 0) == child);
	testing_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	if (vmemcache_loading_reserve(loading, SIZE, NULL, &item) != 0)
		return errno;
	items_fill(&item, key, 1);
	(void)cache;
	return 0;
}

static void *
load_with_fork(void *arg)
{
	struct asker *a = arg;
	pid_t parent = getpid();

	a->result = load(a->cache, a->key, a->job, NULL, &a->item);
	if (getpid() != parent)
		_exit(a->result == -1 && errno == EBADF ? 0 : 2);
	return NULL;
}

static void
test_fork(void **state)
{
	VMEMcache *cache = items_open();
	struct job job = {.within = fork_within, .await = THREADS};
	struct asker asker = {.cache = cache, .job = &job, .key = 1};
	struct asker askers[THREADS];

	(void)state;
	vmc_store_relaxed(&sleeps, 0);
	assert_int_equal(
		pthread_create(&asker.thread, NULL, load_with_fork, &asker), 0);
	while (vmc_load_relaxed(&job.runs) == 0)
		sched_yield();
	for (int i = 0; i < THREADS; i++)
		start(&askers[i], cache, &job, NULL, 1);
	for (int i = 0; i < THREADS; i++) {
		pthread_join(askers[i].thread, NULL);
		assert_int_equal(askers[i].result, 0);
		assert_true(items_holds(&askers[i].item, 1, 1));
		vmemcache_unpin(cache, &askers[i].item);
	}
	pthread_join(asker.thread, NULL);
	assert_int_equal(asker.result, 0);
	vmemcache_unpin(cache, &asker.item);
	assert_int_equal(job.runs, 1);
	assert_int_equal(testing_failures, 0);
	fixture_check(cache);
	vmemcache_delete(cache);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_load),
		cmocka_unit_test(test_loaders),
		cmocka_unit_test(test_modes),
		cmocka_unit_test(test_bad_input),
		cmocka_unit_test(test_no_memory),
		cmocka_unit_test(test_fork),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
