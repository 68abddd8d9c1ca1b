/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_pool_resize.c -- the medium grows and shrinks
 *
 * On tmpfs, on the temporary directory's file system, on file systems mounted
 * for the purpose, and on a device DAX that is /dev/zero. After each test no
 * descriptor and no mapping may be left.
 */
#include "testing.h"

#include "base/error.h"
#include "base/os.h"
#include "fault.h"
#include "media.h"
#include "pool/pool.h"
#include "process.h"

#include <errno.h>
#include <limits.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define MIB ((size_t)1 << 20)

/* before the test; sanitizers have unnamed mappings of their own */
static int descriptors;
static int mappings;

static int
before_test(void **state)
{
	(void)state;
	descriptors = process_descriptors();
	mappings = process_unnamed_mappings();
	return 0;
}

static int
after_test(void **state)
{
	(void)state;
	fault_disarm();
	fault_redirect(NULL, NULL);
	return process_unnamed_mappings() != mappings ||
	       process_descriptors() != descriptors;
}

#define assert_fails_with(call, err)                                           \
	do {                                                                   \
		vmc_fail_const(1, "");                                         \
		assert_int_equal(call, -(err));                                \
		assert_string_not_equal(vmc_error_message(), "");              \
	} while (0)

/* It grows and shrinks: what is there stays, and what has gone is zeros. */
static void
check_resizing(const char *path)
{
	struct vmc_pool pool;
	struct stat st;

	assert_int_equal(vmc_pool_open(&pool, path, 3 * MIB, 0, NULL), 0);
	char *base = pool.base;
	assert_int_equal(pool.mapped, 48 * MIB);
	memset(base, 1, 3 * MIB);
	for (size_t size = 4 * MIB + 4096; size < 40 * MIB; size += 7 * MIB) {
		size_t old = pool.size;
		size_t rounded = vmc_pool_round(&pool, size + 1);
		assert_int_equal(vmc_pool_grow(&pool, rounded, NULL), 0);
		assert_ptr_equal(pool.base, base);
		assert_int_equal(pool.size, rounded);
		assert_int_equal(fstat(pool.fd, &st), 0);
		assert_int_equal(st.st_size, rounded);
		/* with space behind it */
		assert_true((size_t)st.st_blocks * 512 >= rounded);
		for (size_t at = 0; at < rounded; at += 4095)
			assert_int_equal(base[at], at < old);
		memset(base + old, 1, rounded - old);
	}
	assert_fails_with(vmc_pool_grow(&pool, 48 * MIB + 4096, NULL), ENOMEM);
	assert_int_equal(vmc_pool_shrink(&pool, MIB), 0);
	assert_int_equal(fstat(pool.fd, &st), 0);
	assert_int_equal(st.st_size, MIB);
	assert_true((size_t)st.st_blocks * 512 < 2 * MIB + 65536);
	assert_int_equal(vmc_pool_grow(&pool, 2 * MIB,
				 &(struct vmc_prefault){.threads = 2}),
		0);
	for (size_t at = 0; at < 2 * MIB; at += 511)
		assert_int_equal(base[at], at < MIB);
	vmc_pool_close(&pool);
}

static void
test_resizing(void **state)
{
	(void)state;
	check_resizing("/dev/shm");
	check_resizing("/tmp");
}

/* `most` says how many addresses there are; few are enough to open it. */
static void
test_most(void **state)
{
	struct rlimit old, limit;
	struct vmc_pool pool;
	unsigned long pages;

	(void)state;
	assert_int_equal(
		vmc_pool_open(&pool, "/dev/shm", 2 * MIB, MIB, NULL), 0);
	assert_int_equal(pool.mapped, 2 * MIB);
	assert_fails_with(vmc_pool_grow(&pool, 3 * MIB, NULL), ENOMEM);
	vmc_pool_close(&pool);
	assert_int_equal(
		vmc_pool_open(&pool, "/dev/shm", 2 * MIB, 5 * MIB + 1, NULL),
		0);
	assert_int_equal(pool.mapped, 5 * MIB + vmc_os_page_size());
	assert_int_equal(vmc_pool_grow(&pool, 5 * MIB, NULL), 0);
	vmc_pool_close(&pool);

	FILE *f = fopen("/proc/self/statm", "re");
	assert_int_equal(fscanf(f, "%lu", &pages), 1);
	fclose(f);
	getrlimit(RLIMIT_AS, &old);
	limit = old;
	limit.rlim_cur = pages * vmc_os_page_size() + 20 * MIB;
	setrlimit(RLIMIT_AS, &limit);
	int err = vmc_pool_open(
		&pool, "/dev/shm", 4 * MIB, (size_t)1 << 60, NULL);
	setrlimit(RLIMIT_AS, &old);
	assert_int_equal(err, 0);
	assert_true(pool.mapped >= 4 * MIB && pool.mapped < 20 * MIB);
	vmc_pool_close(&pool);
}

/* Growing while each call fails in turn: it has grown, or is as it was. */
static void
check_growing_failing(const char *path, bool prefault)
{
	const struct vmc_prefault how = {.threads = 1};
	struct vmc_pool pool;
	struct stat st;
	long n, refused = 0;

	assert_int_equal(vmc_pool_open(&pool, path, 3 * MIB, 0, NULL), 0);
	memset(pool.base, 1, pool.size);
	for (n = 0;; n++) {
		fault_arm(NULL, n, 1, EIO);
		int err = vmc_pool_grow(&pool, 9 * MIB, prefault ? &how : NULL);
		long failed = fault_disarm();
		assert_int_equal(fstat(pool.fd, &st), 0);
		assert_int_equal(st.st_size, pool.size);
		assert_int_equal(pool.size, err ? 3 * MIB : 9 * MIB);
		if (err) {
			assert_int_equal(err, -EIO);
			refused++;
		} else {
			memset(pool.base, 1, pool.size);
		}
		for (size_t at = 0; at < pool.size; at += 4095)
			assert_int_equal(pool.base[at], 1);
		if (!failed)
			break;
		if (err)
			continue;
		fault_arm("ftruncate", 0, 1, EIO);
		assert_fails_with(vmc_pool_shrink(&pool, 3 * MIB), EIO);
		fault_disarm();
		assert_int_equal(pool.size, 9 * MIB);
		assert_int_equal(vmc_pool_shrink(&pool, 3 * MIB), 0);
	}
	assert_true(refused >= 2 && refused < n);
	vmc_pool_close(&pool);
}

static void
test_growing_failing(void **state)
{
	struct vmc_pool pool;

	(void)state;
	check_growing_failing("/dev/shm", false);
	check_growing_failing("/dev/shm", true);
	check_growing_failing("/tmp", false);
	/* one whose file the program has closed */
	assert_int_equal(vmc_pool_open(&pool, "/tmp", 0, 0, NULL), 0);
	close(pool.fd);
	assert_fails_with(vmc_pool_grow(&pool, 2 * MIB, NULL), EBADF);
	assert_fails_with(vmc_pool_shrink(&pool, 4096), EBADF);
	vmc_pool_close(&pool);
}

static void
check_refused(struct vmc_pool *pool, size_t size, int err)
{
	size_t before = pool->size;
	struct stat st;

	memset(pool->base, 1, before);
	assert_fails_with(vmc_pool_grow(pool, size, NULL), err);
	assert_int_equal(pool->size, before);
	if (!pool->is_devdax) {
		assert_int_equal(fstat(pool->fd, &st), 0);
		assert_int_equal(st.st_size, before);
	}
	for (size_t at = 0; at < before; at += 4095)
		assert_int_equal(pool->base[at], 1);
}

/* /dev/zero as a device of 8 MiB, in units of 2. */
static void
test_end_of_device(void **state)
{
	struct vmc_pool pool;
	char root[MEDIA_ROOT];

	(void)state;
	make_devdax(root);
	assert_int_equal(
		vmc_pool_open(&pool, "/dev/zero", MIB, 64 * MIB, NULL), 0);
	assert_int_equal(pool.mapped, 8 * MIB);
	check_refused(&pool, vmc_pool_round(&pool, 8 * MIB + 1), ENOSPC);
	assert_int_equal(vmc_pool_grow(&pool, 8 * MIB, NULL), 0);
	check_refused(&pool, 10 * MIB, ENOSPC);
	/* it stays what it is */
	assert_int_equal(vmc_pool_shrink(&pool, 4 * MIB), 0);
	assert_int_equal(vmc_pool_grow(&pool, 8 * MIB,
				 &(struct vmc_prefault){.threads = 2}),
		0);
	for (size_t at = 0; at < 8 * MIB; at += 4095)
		assert_int_equal(pool.base[at], 1);
	vmc_pool_close(&pool);
	remove_devdax(root);
}

/* What it grows by is taken from what the control group has left. */
static void
test_memory_limit(void **state)
{
	struct vmc_pool pool;
	char root[MEDIA_ROOT];

	(void)state;
	assert_int_equal(vmc_pool_open(&pool, "/dev/shm", 8 * MIB, 0, NULL), 0);
	if (!vmc_os_in_memory(pool.fd)) {
		vmc_pool_close(&pool);
		skip();
	}
	make_memory_limit(root, "20971520\n");
	check_refused(&pool, 32 * MIB, ENOMEM);
	assert_non_null(strstr(vmc_error_message(), "memory control group"));
	assert_int_equal(vmc_pool_grow(&pool, 27 * MIB, NULL), 0);
	remove_memory_limit(root);
	vmc_pool_close(&pool);
}

/* In a child, on a file system of 16 MiB: what is wrong, or 0. */
static int
fill(const char *dir)
{
	struct vmc_pool pool;
	struct stat st;

	if (vmc_pool_open(&pool, dir, 4 * MIB, 0, NULL) != 0)
		return 1;
	memset(pool.base, 1, pool.size);
	if (vmc_pool_grow(&pool, 17 * MIB, NULL) != -ENOSPC)
		return 2;
	/* what was refused has left no space taken */
	if (pool.size != 4 * MIB || fstat(pool.fd, &st) != 0 ||
		st.st_size != 4 * MIB || st.st_blocks != 4 * MIB / 512)
		return 3;
	if (vmc_pool_grow(&pool, 16 * MIB, NULL) != 0)
		return 4;
	for (size_t at = 0; at < pool.size; at += 4095)
		if (pool.base[at] != (at < 4 * MIB))
			return 5;
	memset(pool.base, 1, pool.size);
	vmc_pool_close(&pool);
	return 0;
}

/* The same where it shows only in the middle: statfs tells of no limit. */
static int
fill_unannounced(const char *dir)
{
	fault_arm("fstatfs", 0, LONG_MAX, ENOSYS);
	return fill(dir);
}

static void
test_full_file_system(void **state)
{
	int (*const tests[])(const char *) = {fill, fill_unannounced};
	char dir[] = "/tmp/vmc-test-XXXXXX";
	bool refused = false;

	(void)state;
	assert_non_null(mkdtemp(dir));
	for (size_t i = 0; i < 4; i++) {
		int result = process_on_file_system(dir, "tmpfs",
			i % 2 ? "size=16m,huge=always" : "size=16m",
			tests[i / 2]);
		refused |= result == PROCESS_REFUSED;
		if (result != 0 && result != PROCESS_REFUSED)
			fail_msg("%zu: %d", i, result);
	}
	assert_int_equal(rmdir(dir), 0);
	if (refused)
		skip();
}

/* What stops prefaulting stops the growth. */
static int
stop_it(size_t done, size_t total, void *arg)
{
	(void)arg;
	assert_int_equal(total, 6 * MIB);
	return done > 0 ? -ECANCELED : 0;
}

static void
test_growing_stopped(void **state)
{
	const struct vmc_prefault how = {.threads = 1, .progress = stop_it};
	struct vmc_pool pool;

	(void)state;
	assert_int_equal(vmc_pool_open(&pool, "/tmp", 3 * MIB, 0, NULL), 0);
	assert_int_equal(vmc_pool_grow(&pool, 9 * MIB, &how), -ECANCELED);
	assert_int_equal(pool.size, 3 * MIB);
	vmc_pool_close(&pool);
}

#define RESIZE_TEST(name)                                                      \
	cmocka_unit_test_setup_teardown(name, before_test, after_test)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		RESIZE_TEST(test_resizing),
		RESIZE_TEST(test_most),
		RESIZE_TEST(test_end_of_device),
		RESIZE_TEST(test_memory_limit),
		RESIZE_TEST(test_full_file_system),
		RESIZE_TEST(test_growing_failing),
		RESIZE_TEST(test_growing_stopped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
