/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * resize_media.c -- a pool that is resized on each medium, up to the medium's
 * end; with its pages made present; and beside forks
 *
 * On tmpfs, on the file system of /tmp, and on small ones of its own. With
 * VMC_TEST_POOL naming a directory or a device DAX, which is below 1 GiB and
 * has room for 48 MiB, there are just the tests of that.
 */
#include "fixture.h"
#include "process.h"

#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define MIB ((size_t)1 << 20)
#define GIB ((size_t)1 << 30)

/* A value. */
enum { SIZE = 5000 };

static VMEMcache *
open_on(const char *path, size_t size, size_t most)
{
	VMEMcache *cache = fixture_new(size, 0, VMEMCACHE_REPLACEMENT_LRU);

	assert_int_equal(vmemcache_set_most(cache, most), 0);
	if (vmemcache_add(cache, path) != 0)
		fail_msg("%s: %s", path, vmemcache_errormsg());
	return cache;
}

/* Those tests that run in children cannot use cmocka's assertions. */
static void
put(VMEMcache *cache, uint64_t from, uint64_t to)
{
	for (uint64_t key = from; key < to; key++)
		testing_expect(fixture_put(cache, key, 1, SIZE) == 0);
}

static void
expect_there(VMEMcache *cache, uint64_t from, uint64_t to)
{
	for (uint64_t key = from; key < to; key++)
		testing_expect(fixture_has(cache, key, 1, SIZE));
	testing_expect(vmc_cache_check(cache) == 0);
}

/* What the file is long, and takes of its medium; a device stays as it is. */
static void
expect_size(VMEMcache *cache, size_t size)
{
	struct stat st;
	size_t told;
	int fd;

	testing_expect(vmemcache_region(cache, NULL, &told, &fd) == 0);
	testing_expect(told == size);
	if (!cache->pool.is_devdax) {
		testing_expect(fstat(fd, &st) == 0);
		testing_expect((size_t)st.st_size == size);
		/* hugetlbfs has no blocks */
		size_t blocks = (size_t)st.st_blocks * 512;
		testing_expect(blocks <= size + 2 * MIB);
		testing_expect(blocks >= size || cache->pool.granule > 4096);
	}
	close(fd);
}

/* Larger bit by bit, and smaller: nothing is lost that fits. */
static void
resize_on(const char *path)
{
	int descriptors = process_descriptors();
	int mappings = process_unnamed_mappings();
	VMEMcache *cache = open_on(path, 4 * MIB, 64 * MIB);
	uint64_t keys = 0;

	for (size_t size = 4 * MIB; size <= 24 * MIB; size += 4 * MIB) {
		testing_expect(vmemcache_resize(cache, size) == 0);
		expect_size(cache, size);
		put(cache, keys, keys + 700);
		keys += 700;
		expect_there(cache, 0, keys);
	}
	testing_expect(vmemcache_resize(cache, 10 * MIB) == 0);
	expect_size(cache, 10 * MIB);
	expect_there(cache, keys - 1900, keys);
	testing_expect(vmemcache_resize(cache, 4 * MIB) == 0);
	expect_size(cache, 4 * MIB);
	expect_there(cache, keys - 750, keys);
	testing_expect(vmemcache_resize(cache, 40 * MIB) == 0);
	expect_size(cache, 40 * MIB);
	put(cache, keys, keys + 6000);
	expect_there(cache, keys - 750, keys + 6000);
	vmemcache_delete(cache);
	assert_int_equal(testing_failures, 0);
	assert_int_equal(process_descriptors(), descriptors);
	assert_int_equal(process_unnamed_mappings(), mappings);
}

static void
expect_refused(VMEMcache *cache, size_t size, size_t before)
{
	vmc_fail_const(1, "");
	testing_expect(vmemcache_resize(cache, size) == -1);
	testing_expect(errno == ENOSPC || errno == ENOMEM || errno == EFBIG);
	testing_expect(*vmemcache_errormsg());
	expect_size(cache, before);
}

/* Until the medium is full. Then the pool is as it was, and is used as ever. */
static void
fill_medium(VMEMcache *cache, size_t step)
{
	size_t size = cache->pool.size;
	uint64_t keys = 700;

	put(cache, 0, keys);
	expect_refused(cache, GIB, size);
	while (vmemcache_resize(cache, size + step) == 0) {
		size += step;
		put(cache, keys, keys + step / SIZE / 2);
		keys += step / SIZE / 2;
	}
	testing_expect(errno == ENOSPC || errno == ENOMEM);
	printf("%zu MiB: %s\n", size / MIB, vmemcache_errormsg());
	testing_expect(size > 4 * MIB && size < GIB);
	expect_refused(cache, size + step, size);
	expect_there(cache, 0, keys);
	put(cache, keys, keys + size / SIZE);
	expect_there(cache, keys + size / SIZE / 4, keys + size / SIZE);
	/* what was refused has taken nothing */
	testing_expect(vmemcache_resize(cache, 4 * MIB) == 0);
	testing_expect(vmemcache_resize(cache, size) == 0);
	expect_size(cache, size);
	put(cache, 0, 700);
	expect_there(cache, 0, 700);
}

/* In a child, on a file system of its own. */
static int
fill_directory(const char *path)
{
	VMEMcache *cache = open_on(path, 4 * MIB, 2 * GIB);

	fill_medium(cache, 2 * MIB);
	vmemcache_delete(cache);
	return testing_failures ? 1 : 0;
}

static void
test_media(void **state)
{
	(void)state;
	resize_on(FIXTURE_DIR);
	resize_on("/tmp");
}

static void
test_full_media(void **state)
{
	static const char *const options[] = {
		"size=16m", "size=15m,huge=always"};
	char dir[] = "/tmp/vmc-test-XXXXXX";
	bool refused = false;

	(void)state;
	assert_non_null(mkdtemp(dir));
	for (size_t i = 0; i < 2; i++) {
		int result = process_on_file_system(
			dir, "tmpfs", options[i], fill_directory);
		refused |= result == PROCESS_REFUSED;
		assert_true(result == 0 || result == PROCESS_REFUSED);
	}
	assert_int_equal(rmdir(dir), 0);
	if (refused)
		skip();
}

static void
test_given_medium(void **state)
{
	const char *path = getenv("VMC_TEST_POOL");

	(void)state;
	if (path == NULL)
		skip();
	resize_on(path);
	VMEMcache *cache = open_on(path, 4 * MIB, 2 * GIB);
	fill_medium(cache, 4 * MIB);
	if (cache->pool.is_devdax) { /* to its last page */
		size_t end = cache->pool.mapped;
		assert_int_equal(vmemcache_resize(cache, end), 0);
		assert_fails(vmemcache_resize(cache, end + 1), ENOSPC);
		expect_size(cache, end);
		expect_there(cache, 0, 700);
	}
	vmemcache_delete(cache);
	assert_int_equal(testing_failures, 0);
}

/* A limit of the process is none of the medium. */
static void
test_limits(void **state)
{
	void (*old_action)(int) = signal(SIGXFSZ, SIG_DFL);
	VMEMcache *cache = open_on(FIXTURE_DIR, 4 * MIB, 0);
	struct rlimit old, limit;

	(void)state;
	put(cache, 0, 700);
	getrlimit(RLIMIT_FSIZE, &old);
	limit = old;
	limit.rlim_cur = 8 * MIB;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	assert_int_equal(vmemcache_resize(cache, 8 * MIB), 0);
	vmc_fail_const(1, "");
	int rc = vmemcache_resize(cache, 9 * MIB), err = errno;
	setrlimit(RLIMIT_FSIZE, &old);
	signal(SIGXFSZ, old_action);
	assert_int_equal(rc, -1);
	assert_int_equal(err, EFBIG);
	expect_size(cache, 8 * MIB);
	expect_there(cache, 0, 700);
	assert_int_equal(testing_failures, 0);
	vmemcache_delete(cache);
}

/* --- with all pages present --- */

#define GROWTH (40 * MIB)

struct progress {
	VMEMcache *cache;
	size_t last;
	unsigned calls;
	bool stops, forks, resizes;
	pid_t child;
};

static int
on_progress(VMEMcache *cache, size_t done, size_t total, void *arg)
{
	struct progress *p = arg;

	p->calls++;
	if (total != GROWTH) /* of vmemcache_add() */
		return 0;
	testing_expect(cache == p->cache);
	testing_expect(done > p->last && done <= total);
	p->last = done;
	if (p->resizes)
		testing_expect(vmemcache_resize(cache, 8 * MIB) == -1 &&
			       errno == EALREADY);
	/* the others may use it meanwhile */
	testing_expect(fixture_has(cache, 1, 1, SIZE));
	if (p->forks && p->child < 0) {
		fflush(NULL);
		p->child = fork();
	}
	return p->stops;
}

static void
grow_with_pages(const char *path, unsigned threads, struct progress *p)
{
	VMEMcache *cache = fixture_new(4 * MIB, 0, VMEMCACHE_REPLACEMENT_LRU);
	int status;

	p->cache = cache;
	p->child = -1;
	assert_int_equal(
		vmemcache_set_prefault(cache, threads, on_progress, p), 0);
	assert_int_equal(vmemcache_add(cache, path), 0);
	put(cache, 0, 700);
	p->calls = 0;
	int rc = vmemcache_resize(cache, 4 * MIB + GROWTH), err = errno;
	if (p->child == 0) {
		bool right = rc == -1 && err == EBADF;
		vmemcache_delete(cache);
		_exit(right ? 0 : 1);
	}
	/* other threads may leave the caller but the last call */
	if (p->stops && rc != 0) {
		assert_int_equal(err, ECANCELED);
		expect_size(cache, 4 * MIB);
	} else {
		assert_int_equal(rc, 0);
		assert_int_equal(p->last, GROWTH);
		expect_size(cache, 4 * MIB + GROWTH);
		/* less where memory is short, and some of it taken back */
		assert_true(process_smaps_size(cache->pool.base, "Rss") >
			    4 * MIB + GROWTH - GROWTH / 20);
	}
	assert_true(p->calls > 0);
	if (p->forks) {
		assert_int_equal(waitpid(p->child, &status, 0), p->child);
		assert_int_equal(status, 0);
	}
	expect_there(cache, 0, 700);
	put(cache, 700, 1400);
	expect_there(cache, 700, 1400);
	assert_int_equal(testing_failures, 0);
	vmemcache_delete(cache);
}

static void
test_prefault(void **state)
{
	static const struct progress cases[] = {
		{.stops = false}, {.stops = true}, {.resizes = true},
#ifndef VMC_TSAN /* it counts 64 locks; at a fork jemalloc holds more */
		{.forks = true}
#endif
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		for (unsigned threads = 1; threads <= 3; threads++) {
			struct progress p = cases[i];
			grow_with_pages(FIXTURE_DIR, threads, &p);
			p = cases[i];
			grow_with_pages("/tmp", threads, &p);
		}
	}
}

/* --- beside forks --- */

static _Atomic bool over;

static void *
resize_on_and_on(void *cache)
{
	for (unsigned i = 0; !vmc_load_acquire(&over); i++)
		testing_expect(
			vmemcache_resize(cache, (i % 2 ? 4 : 12) * MIB) == 0);
	return NULL;
}

/*
 * Whatever the other thread is doing at that moment: the child has no cache,
 * and the parent's is as it was.
 */
static void
test_forks_beside(void **state)
{
	VMEMcache *cache = open_on(FIXTURE_DIR, 4 * MIB, 0);
	pthread_t thread;
	int status;

	(void)state;
#ifdef VMC_TSAN
	skip(); /* it counts 64 locks; at a fork jemalloc holds more */
#endif
	put(cache, 0, 700);
	assert_int_equal(
		pthread_create(&thread, NULL, resize_on_and_on, cache), 0);
	for (uint64_t i = 0; i < testing_operations(64); i++) {
		pid_t child = fork();
		if (child == 0) {
			alarm(120);
			bool right = fixture_exists(cache, 1) == -1 &&
				     errno == EBADF &&
				     vmemcache_resize(cache, 8 * MIB) == -1 &&
				     errno == EBADF;
			vmemcache_delete(cache);
			_exit(right ? 0 : 1);
		}
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_int_equal(status, 0);
		expect_there(cache, i % 700, i % 700 + 1);
	}
	vmc_store_release(&over, true);
	pthread_join(thread, NULL);
	expect_there(cache, 0, 700);
	assert_int_equal(testing_failures, 0);
	vmemcache_delete(cache);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_media),
		cmocka_unit_test(test_full_media),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_prefault),
		cmocka_unit_test(test_forks_beside),
		cmocka_unit_test(test_given_medium),
	};

	if (getenv("VMC_TEST_POOL") != NULL)
		cmocka_set_test_filter("test_given_medium");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
