/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * prefault.c -- every page of the pool before the first put, told step by step,
 * or not at all
 */
#include "fixture.h"
#include "process.h"

#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#define SIZE ((size_t)50 << 20)

static const char *const media[] = {FIXTURE_DIR, "/tmp"};

struct progress {
	VMEMcache *cache;
	pthread_t thread;
	size_t last;
	unsigned calls;
	unsigned stop_at; /* that call; 0: never */
	bool forks;
	pid_t child;
	int status;
};

static int
on_progress(VMEMcache *cache, size_t done, size_t total, void *arg)
{
	struct progress *p = arg;

	assert_ptr_equal(cache, p->cache);
	assert_true(pthread_equal(pthread_self(), p->thread));
	assert_true(done > p->last && done <= total);
	assert_int_equal(total, SIZE);
	p->last = done;
	p->calls++;
	if (p->forks) {
		fflush(NULL);
		p->child = fork();
		if (p->child == 0)
			alarm(240);
		else
			waitpid(p->child, &p->status, 0);
		p->forks = false;
	}
	return p->calls == p->stop_at;
}

static VMEMcache *
new_cache(struct progress *p, unsigned threads)
{
	VMEMcache *cache = fixture_new(SIZE, 0, VMEMCACHE_REPLACEMENT_LRU);

	p->cache = cache;
	p->thread = pthread_self();
	p->last = p->calls = 0;
	assert_int_equal(
		vmemcache_set_prefault(cache, threads, on_progress, p), 0);
	return cache;
}

static void
test_all_pages(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 6; i++) {
		struct progress p = {0};
		VMEMcache *cache = new_cache(&p, 1 + i / 2 * 50);

		assert_int_equal(vmemcache_add(cache, media[i % 2]), 0);
		assert_int_equal(p.last, SIZE);
		/* less where memory is short, and some of it taken back */
		assert_in_range(process_smaps_size(cache->pool.base, "Rss"),
			SIZE - SIZE / 20, SIZE);
		assert_int_equal(fixture_put(cache, 1, 1, 5000), 0);
		assert_true(fixture_has(cache, 1, 1, 5000));
		fixture_check(cache);
		vmemcache_delete(cache);
	}
}

/* The setting can be taken back; and without it pages come when needed. */
static void
test_none(void **state)
{
	struct progress p = {0};
	VMEMcache *cache = new_cache(&p, 2);

	(void)state;
	assert_int_equal(vmemcache_set_prefault(cache, 0, on_progress, &p), 0);
	assert_int_equal(vmemcache_add(cache, "/tmp"), 0);
	assert_int_equal(p.calls, 0);
	assert_true(process_smaps_size(cache->pool.base, "Rss") < SIZE);
	vmemcache_delete(cache);
}

/* At each call in turn; then the cache can be added as if nothing had been. */
static void
test_canceled(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 12; i++) {
		struct progress p = {.stop_at = 1 + i / 4};
		VMEMcache *cache = new_cache(&p, 1 + i / 2 % 2);
		int mappings = process_unnamed_mappings();

		/* other threads may leave the caller but the last one */
		errno = 0;
		int rc = vmemcache_add(cache, media[i % 2]);
		if (rc != 0) {
			assert_int_equal(errno, ECANCELED);
			assert_string_equal(
				vmemcache_errormsg(), "prefault: canceled");
			assert_int_equal(process_unnamed_mappings(), mappings);
			assert_int_equal(p.calls, p.stop_at);
			assert_fails(fixture_put(cache, 1, 1, 100), EINVAL);
			p.last = 0;
			assert_int_equal(vmemcache_add(cache, media[i % 2]), 0);
		} else {
			assert_true(p.calls < p.stop_at);
		}
		assert_int_equal(p.last, SIZE);
		assert_int_equal(fixture_put(cache, 1, 1, 100), 0);
		vmemcache_delete(cache);
	}
}

/* In the child there are no threads to wait for, and no pool. */
static void
test_fork(void **state)
{
	(void)state;
#ifdef VMC_TSAN
	skip(); /* it counts 64 locks; at a fork jemalloc holds more */
#endif
	for (unsigned i = 0; i < 4; i++) {
		struct progress p = {.forks = true, .child = -1};
		VMEMcache *cache = new_cache(&p, 1 + i / 2);
		int rc = vmemcache_add(cache, media[i % 2]);

		if (p.child == 0) {
			int code = rc == -1 && errno == EBADF ? 0 : 1;
			vmemcache_delete(cache);
			_exit(code);
		}
		assert_int_equal(rc, 0);
		assert_true(WIFEXITED(p.status));
		assert_int_equal(WEXITSTATUS(p.status), 0);
		assert_int_equal(p.last, SIZE);
		vmemcache_delete(cache);
	}
}

/* What the statistics tell is what the kernel shows. */
static void
test_statistics(void **state)
{
	struct progress p = {0};

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		VMEMcache *cache = new_cache(&p, 2);
		assert_int_equal(vmemcache_add(cache, media[i]), 0);
		unsigned long long huge =
			fixture_stat(cache, VMEMCACHE_STAT_POOL_SIZE_HUGE);

		assert_int_equal(
			fixture_stat(cache, VMEMCACHE_STAT_POOL_SIZE), SIZE);
		assert_int_equal(huge,
			process_smaps_size(cache->pool.base, "ShmemPmdMapped") +
				process_smaps_size(
					cache->pool.base, "FilePmdMapped"));
		if (fixture_stat(cache, VMEMCACHE_STAT_PAGE_SIZE) > 4096)
			assert_true(huge > 0);
		for (uint64_t key = 0; key < 100000; key++)
			assert_int_equal(fixture_put(cache, key, 1, 100), 0);
		printf("%s: %llu bytes of the pool in huge pages, "
		       "%llu for metadata\n",
			media[i], huge,
			fixture_stat(cache, VMEMCACHE_STAT_DRAM_SIZE_HUGE));
		vmemcache_delete(cache);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_pages),
		cmocka_unit_test(test_none),
		cmocka_unit_test(test_canceled),
		cmocka_unit_test(test_fork),
		cmocka_unit_test(test_statistics),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
