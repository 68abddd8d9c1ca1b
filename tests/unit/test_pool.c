/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_pool.c -- the medium
 *
 * Pools on tmpfs, on the temporary directory's file system, on file systems
 * mounted for the purpose, and on a device DAX that is /dev/zero with a tree
 * of files in the place of sysfs. With VMC_TEST_POOL naming a directory or
 * device there is just the test of that: the guest of tests/dax has the real
 * ones. After each test no descriptor and no mapping may be left.
 */
#include "testing.h"

#include "base/error.h"
#include "base/os.h"
#include "fault.h"
#include "media.h"
#include "pool/pool.h"
#include "process.h"

#include <errno.h>
#include <libpmem.h>
#include <libvmemcache.h>
#include <limits.h>
#include <sys/resource.h>
#include <sys/stat.h>

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

/* Every byte written is the one read, from the first to the last. */
static void
check_contents(struct vmc_pool *pool)
{
	static const size_t sizes[] = {1, 64, 255, 256, 257, 4096, 65536};
	static char from[65536];
	uint64_t random = testing_seed();

	for (size_t i = 0; i < sizeof(from); i++)
		from[i] = (char)testing_random(&random);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		size_t size = sizes[i];
		size_t ends[] = {0, pool->size - size,
			testing_below(&random, pool->size - size)};
		for (size_t j = 0; j < 3; j++) {
			char *to = pool->base + ends[j];
			vmc_pool_write(pool, to, from, size);
			vmc_pool_drain(pool);
			assert_memory_equal(to, from, size);
		}
	}
}

static void
check_pool(const char *path, size_t size, size_t want)
{
	struct vmc_pool pool;
	size_t huge = vmc_os_huge_page_size();

	assert_int_equal(vmc_pool_open(&pool, path, size, 0, NULL), 0);
	/* one descriptor is kept: the file's */
	assert_int_equal(process_descriptors(), descriptors + 1);
	assert_int_equal(pool.size, want);
	assert_true(
		pool.page_size == vmc_os_page_size() || pool.page_size == huge);
	if (pool.size >= huge)
		assert_int_equal((uintptr_t)pool.base % huge, 0);
	else
		assert_int_equal(pool.page_size, vmc_os_page_size());
	for (size_t i = 0; i < pool.size; i += 997)
		assert_int_equal(pool.base[i], 0);
	check_contents(&pool);
	vmc_pool_close(&pool);
	assert_int_equal(process_unnamed_mappings(), mappings);
}

static void
test_sizes(void **state)
{
	static const char *const directories[] = {"/dev/shm", "/tmp"};
	size_t page = vmc_os_page_size();

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		const char *dir = directories[i];
		check_pool(dir, 0, VMEMCACHE_MIN_POOL);
		check_pool(dir, MIB, MIB);
		check_pool(dir, MIB + 1, MIB + page);
		check_pool(dir, 2 * MIB - 1, 2 * MIB);
		check_pool(dir, 2 * MIB, 2 * MIB);
		check_pool(dir, 2 * MIB + 1, 2 * MIB + page);
		check_pool(dir, 67 * MIB + page - 1, 67 * MIB + page);
	}
}

static void
test_kept_out_of_core_dumps(void **state)
{
	struct vmc_pool pool;
	char flags[200];

	(void)state;
	assert_int_equal(vmc_pool_open(&pool, "/dev/shm", 0, 0, NULL), 0);
	process_smaps(pool.base, "VmFlags", flags, sizeof(flags));
	assert_non_null(strstr(flags, " dd"));
	vmc_pool_close(&pool);
}

static void
check_refused(const char *path, size_t size, int err, const char *message)
{
	struct vmc_pool pool;

	char expected[256];

	/* a message that ends like this goes on with the path */
	bool with_path = strcmp(message + strlen(message) - 2, ": ") == 0;
	snprintf(expected, sizeof(expected), "%s%s", message,
		with_path ? path : "");
	assert_int_equal(vmc_pool_open(&pool, path, size, 0, NULL), -err);
	assert_string_equal(vmc_error_message(), expected);
	assert_int_equal(process_descriptors(), descriptors);
	assert_int_equal(process_unnamed_mappings(), mappings);
}

static void
test_bad_paths(void **state)
{
	char longest[PATH_MAX + 1];

	(void)state;
	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	check_refused(NULL, MIB, EINVAL, "invalid (NULL) path");
	check_refused("/etc/passwd", 0, ENOTDIR, "open: Not a directory: ");
	check_refused("/etc/passwd/x", 0, ENOTDIR, "open: Not a directory: ");
	check_refused("/dev/null", 0, ENOTDIR, "open: Not a directory: ");
	check_refused("/dev/zero", 0, ENOTDIR, "open: Not a directory: ");
	check_refused("", 0, ENOENT, "open: No such file or directory: ");
	check_refused(
		"/nowhere", 0, ENOENT, "open: No such file or directory: ");
	check_refused(longest, 0, ENAMETOOLONG, "open: File name too long: ");
}

static void
test_unwritable_directory(void **state)
{
	char dir[] = "/tmp/vmc-test-XXXXXX";

	(void)state;
	assert_non_null(mkdtemp(dir));
	assert_int_equal(chmod(dir, 0500), 0);
	/* root may write everywhere */
	bool root = geteuid() == 0;
	if (root)
		assert_int_equal(seteuid(65534), 0);
	check_refused(dir, 0, EACCES, "open: Permission denied: ");
	if (root)
		assert_int_equal(seteuid(0), 0);
	assert_int_equal(rmdir(dir), 0);
}

static void
test_too_large(void **state)
{
	struct rlimit old, limit;
	unsigned long pages;

	(void)state;
	check_refused("/dev/shm", SIZE_MAX, EFBIG,
		"a file of 18446744073709551615 bytes: File too large: ");
	check_refused("/dev/shm", SIZE_MAX / 2 + 2, EFBIG,
		"a file of 9223372036854775809 bytes: File too large: ");
	check_refused("/dev/shm", (size_t)1 << 55, ENOSPC,
		"a file of 36028797018963968 bytes: No space left on device: ");
	/* more than there is room for in the address space */
	FILE *f = fopen("/proc/self/statm", "re");
	assert_int_equal(fscanf(f, "%lu", &pages), 1);
	fclose(f);
	getrlimit(RLIMIT_AS, &old);
	limit = old;
	limit.rlim_cur = pages * vmc_os_page_size() + 16 * MIB;
	setrlimit(RLIMIT_AS, &limit);
	struct vmc_pool pool;
	int err = vmc_pool_open(&pool, "/tmp", 64 * MIB, 0, NULL);
	setrlimit(RLIMIT_AS, &old);
	assert_int_equal(err, -ENOMEM);
	assert_string_equal(
		vmc_error_message(), "mmap: Cannot allocate memory: /tmp");
}

static void
test_no_descriptors(void **state)
{
	struct rlimit old, limit;
	struct vmc_pool pool;

	(void)state;
	int lowest_free = dup(0);
	close(lowest_free);
	getrlimit(RLIMIT_NOFILE, &old);
	limit = old;
	limit.rlim_cur = (rlim_t)lowest_free;
	setrlimit(RLIMIT_NOFILE, &limit);
	int err = vmc_pool_open(&pool, "/tmp", 0, 0, NULL);
	setrlimit(RLIMIT_NOFILE, &old);
	assert_int_equal(err, -EMFILE);
}

/*
 * Each call to the system fails in turn, once or with all that follow. Some
 * are help only, and the pool opens without; else the error is the call's.
 */
static void
check_each_call_failing(const char *path, size_t size, long count)
{
	struct vmc_pool pool;
	long n, refused = 0;

	for (n = 0;; n++) {
		fault_arm(NULL, n, count, EIO);
		int err = vmc_pool_open(&pool, path, size, 0, NULL);
		long failed = fault_disarm();
		assert_int_equal(process_descriptors(), descriptors + !err);
		if (err) {
			assert_int_equal(err, -EIO);
			assert_non_null(strstr(
				vmc_error_message(), ": Input/output error"));
			refused++;
		} else {
			memset(pool.base, 1, pool.size);
			vmc_pool_close(&pool);
		}
		assert_int_equal(process_unnamed_mappings(), mappings);
		if (!failed)
			break;
	}
	printf("%s: %ld calls, %ld essential\n", path, n, refused);
	/* a mapping that fails once is tried again, with fewer addresses */
	assert_true(refused >= 2 && refused < n);
}

static void
test_each_call_failing(void **state)
{
	(void)state;
	for (size_t i = 0; i < 2; i++) {
		long count = i == 0 ? 1 : LONG_MAX;
		check_each_call_failing("/dev/shm", 0, count);
		check_each_call_failing("/dev/shm", 4 * MIB, count);
		check_each_call_failing("/tmp", 4 * MIB, count);
	}
}

static void
test_without_o_tmpfile(void **state)
{
	char dir[] = "/tmp/vmc-test-XXXXXX";

	(void)state;
	assert_non_null(mkdtemp(dir));
	fault_arm("open", 0, 1, EOPNOTSUPP);
	check_pool(dir, 3 * MIB, 3 * MIB);
	assert_int_equal(fault_disarm(), 1);
	/* nothing has a name there */
	assert_int_equal(rmdir(dir), 0);
}

/* A file system of 16 MiB. */
static int
fill(const char *dir)
{
	struct vmc_pool pool;
	int before = process_descriptors();

	if (vmc_pool_open(&pool, dir, 17 * MIB, 0, NULL) != -ENOSPC)
		return 1;
	if (process_descriptors() != before ||
		process_unnamed_mappings() != mappings)
		return 2;
	if (vmc_pool_open(&pool, dir, 12 * MIB, 0, NULL) != 0)
		return 3;
	memset(pool.base, 1, pool.size);
	struct vmc_pool second;
	if (vmc_pool_open(&second, dir, 5 * MIB, 0, NULL) != -ENOSPC)
		return 4;
	vmc_pool_close(&pool);
	/* what was refused left no space taken */
	if (vmc_pool_open(&pool, dir, 16 * MIB, 0, NULL) != 0)
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

static int
on_huge_tmpfs(const char *dir)
{
	struct vmc_pool pool;

	if (vmc_pool_open(&pool, dir, 16 * MIB, 0, NULL) != 0)
		return 1;
	printf("huge tmpfs: page size %zu\n", pool.page_size);
	bool ok = pool.page_size == vmc_os_huge_page_size();
	vmc_pool_close(&pool);
	return ok ? 0 : 2;
}

/* No fallocate, no limit. */
static int
on_ramfs(const char *dir)
{
	struct vmc_pool pool;

	if (vmc_pool_open(&pool, dir, 16 * MIB, 0, NULL) != 0)
		return 1;
	memset(pool.base, 1, pool.size);
	vmc_pool_close(&pool);
	return 0;
}

static int
on_read_only(const char *dir)
{
	struct vmc_pool pool;

	return vmc_pool_open(&pool, dir, 0, 0, NULL) == -EROFS ? 0 : 1;
}

static void
test_on_file_systems(void **state)
{
	static const struct {
		const char *type;
		const char *options;
		int (*test)(const char *dir);
	} cases[] = {
		{"tmpfs", "size=16m", fill},
		{"tmpfs", "size=16m", fill_unannounced},
		{"tmpfs", "size=16m,huge=always", fill},
		{"tmpfs", "size=16m,huge=always", on_huge_tmpfs},
		{"tmpfs", "ro", on_read_only},
		{"ramfs", "", on_ramfs},
	};
	char dir[] = "/tmp/vmc-test-XXXXXX";
	bool refused = false;

	(void)state;
	assert_non_null(mkdtemp(dir));
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		int result = process_on_file_system(
			dir, cases[i].type, cases[i].options, cases[i].test);
		printf("%s %s: %d\n", cases[i].type, cases[i].options, result);
		refused |= result == PROCESS_REFUSED;
		if (result != 0 && result != PROCESS_REFUSED)
			fail();
	}
	assert_int_equal(rmdir(dir), 0);
	if (refused)
		skip();
}

static void
test_devdax(void **state)
{
	static const struct {
		size_t size, want;
	} cases[] = {{0, 8 * MIB}, {1, 2 * MIB}, {2 * MIB, 2 * MIB},
		{2 * MIB + 1, 4 * MIB}, {8 * MIB, 8 * MIB}};
	struct vmc_pool pool;
	char root[MEDIA_ROOT];

	(void)state;
	make_devdax(root);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		assert_int_equal(vmc_pool_open(&pool, "/dev/zero",
					 cases[i].size, 0, NULL),
			0);
		assert_int_equal(pool.size, cases[i].want);
		assert_int_equal(pool.page_size, 2 * MIB);
		assert_true(pool.is_devdax && pool.is_pmem);
		check_contents(&pool);
		assert_int_equal(
			vmc_pool_prefault(&pool, &(struct vmc_prefault){0}), 0);
		vmc_pool_close(&pool);
	}
	check_refused("/dev/zero", 8 * MIB + 1, EINVAL,
		"a size of 8388609 bytes exceeds the device's 8388608: ");
	check_refused("/dev/zero", SIZE_MAX, EINVAL,
		"a size of 18446744073709551615 bytes exceeds the device's "
		"8388608: ");
	/* before it is known for a device, a failing call makes it no
	 * directory */
	fault_arm("stat", 0, 1, EIO);
	check_refused("/dev/zero", 0, ENOTDIR, "open: Not a directory: ");
	fault_arm("open", 0, 1, ENXIO);
	check_refused(
		"/dev/zero", 0, ENXIO, "open: No such device or address: ");
	fault_arm("fstat", 0, 1, EIO);
	check_refused("/dev/zero", 0, EIO, "open: Input/output error: ");
	fault_arm("read", 1, 1, EIO);
	check_refused("/dev/zero", 0, EIO, "open: Input/output error: ");
	fault_arm("mmap", 0, 2, EINVAL);
	check_refused("/dev/zero", 0, EINVAL, "mmap: Invalid argument: ");
	remove_devdax(root);
}

/* What libpmem makes of the medium when it maps it itself. */
static void
check_against_libpmem(const char *path, const struct vmc_pool *pool)
{
	size_t size = pool->is_devdax ? 0 : MIB;
	int flags = pool->is_devdax ? 0
				    : PMEM_FILE_CREATE | PMEM_FILE_EXCL |
					      PMEM_FILE_TMPFILE;
	size_t mapped;
	int is_pmem;
	void *addr = pmem_map_file(path, size, flags, 0600, &mapped, &is_pmem);

	if (addr == NULL) { /* it wants O_TMPFILE, and small pages */
		printf("libpmem: %s\n", pmem_errormsg());
		assert_false(pool->is_pmem);
		return;
	}
	assert_int_equal(is_pmem, pool->is_pmem);
	assert_int_equal(pmem_unmap(addr, mapped), 0);
}

/* The real ones, as the environment names and describes them. */
static void
test_given_medium(void **state)
{
	const char *path = getenv("VMC_TEST_POOL");
	const char *want = getenv("VMC_TEST_POOL_IS");
	struct rusage before, after;
	struct vmc_pool pool;
	char got[100], flags[200];

	(void)state;
	if (path == NULL)
		skip();
	assert_int_equal(vmc_pool_open(&pool, path, 64 * MIB, 0, NULL), 0);
	snprintf(got, sizeof(got), "pmem=%d devdax=%d page=%zu", pool.is_pmem,
		pool.is_devdax, pool.page_size);
	printf("%s: %s\n", path, got);
	if (want)
		assert_string_equal(got, want);
	assert_int_equal((uintptr_t)pool.base % pool.page_size, 0);
	process_smaps(pool.base, "VmFlags", flags, sizeof(flags));
	/* mapped with MAP_SYNC */
	assert_int_equal(strstr(flags, " sf") != NULL, pool.is_pmem);
	check_against_libpmem(path, &pool);
	/* a page of the size told is one fault, not many */
	getrusage(RUSAGE_SELF, &before);
	memset(pool.base, 1, pool.size);
	getrusage(RUSAGE_SELF, &after);
	long faults = after.ru_minflt - before.ru_minflt;
	printf("%ld faults\n", faults);
	assert_true((size_t)faults <= pool.size / pool.page_size + 8);
	check_contents(&pool);
	assert_int_equal(
		vmc_pool_prefault(&pool, &(struct vmc_prefault){0}), 0);
	vmc_pool_close(&pool);
	int err = vmc_pool_open(&pool, path, (size_t)1 << 50, 0, NULL);
	/* hugetlbfs counts its pages when they are mapped */
	assert_true(err == -EINVAL || err == -ENOSPC || err == -ENOMEM);
}

/* More than a control group allows is refused, not taken until it kills. */
static void
test_memory_limit(void **state)
{
	struct vmc_pool pool;
	char root[MEDIA_ROOT];

	(void)state;
	make_memory_limit(root, "20971520\n");
	int err = vmc_pool_open(&pool, "/dev/shm", 24 * MIB, 0, NULL);
	if (err == 0) { /* no tmpfs, or no control groups */
		vmc_pool_close(&pool);
	} else {
		assert_int_equal(err, -ENOMEM);
		assert_non_null(
			strstr(vmc_error_message(), "memory control group"));
		assert_int_equal(
			vmc_pool_open(&pool, "/dev/shm", 19 * MIB, 0, NULL), 0);
		vmc_pool_close(&pool);
	}
	remove_memory_limit(root);
	if (err == 0)
		skip();
}

#define POOL_TEST(f) cmocka_unit_test_setup_teardown(f, before_test, after_test)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		POOL_TEST(test_sizes),
		POOL_TEST(test_kept_out_of_core_dumps),
		POOL_TEST(test_bad_paths),
		POOL_TEST(test_memory_limit),
		POOL_TEST(test_unwritable_directory),
		POOL_TEST(test_too_large),
		POOL_TEST(test_no_descriptors),
		POOL_TEST(test_each_call_failing),
		POOL_TEST(test_without_o_tmpfile),
		POOL_TEST(test_on_file_systems),
		POOL_TEST(test_devdax),
		POOL_TEST(test_given_medium),
	};

	if (getenv("VMC_TEST_POOL") != NULL)
		cmocka_set_test_filter("test_given_medium");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
