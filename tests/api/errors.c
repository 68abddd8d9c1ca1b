/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * errors.c -- bad input for every argument of every call: a defined errno, a
 * message, nothing changed, nothing left
 *
 * Linked with --wrap for the metadata's allocations, which can fail.
 */
#include "fixture.h"
#include "process.h"

#include <limits.h>
#include <pthread.h>
#include <sys/stat.h>

/* The number of allocations until one fails; -1: none, -2: all. */
static long fail_at = -1;

void *__real_vmc_memkind_malloc(memkind_t kind, size_t size);
void *__wrap_vmc_memkind_malloc(memkind_t kind, size_t size);

void *
__wrap_vmc_memkind_malloc(memkind_t kind, size_t size)
{
	if (fail_at == -2 || (fail_at >= 0 && fail_at-- == 0))
		return NULL;
	return __real_vmc_memkind_malloc(kind, size);
}

static const int unknown[] = {-1, 100, INT_MAX, INT_MIN};
#define UNKNOWN (sizeof(unknown) / sizeof(unknown[0]))

static void
test_setters(void **state)
{
	VMEMcache *cache = vmemcache_new();
	const size_t top = (size_t)1 << 56;

	(void)state;
	assert_fails(vmemcache_set_size(NULL, 1 << 20), EINVAL);
	assert_fails(vmemcache_set_size(cache, 0), EINVAL);
	assert_fails(vmemcache_set_size(cache, (1 << 20) - 1), EINVAL);
	assert_fails(vmemcache_set_size(cache, top), EINVAL);
	assert_fails(vmemcache_set_size(cache, SIZE_MAX), EINVAL);
	assert_int_equal(vmemcache_set_size(cache, top - 1), 0);
	assert_int_equal(vmemcache_set_size(cache, 1 << 20), 0);

	assert_fails(vmemcache_set_extent_size(NULL, 256), EINVAL);
	assert_fails(vmemcache_set_extent_size(cache, 0), EINVAL);
	assert_fails(vmemcache_set_extent_size(cache, 255), EINVAL);
	assert_int_equal(vmemcache_set_extent_size(cache, SIZE_MAX), 0);
	assert_fails(vmemcache_add(cache, FIXTURE_DIR), EINVAL);
	assert_int_equal(vmemcache_set_extent_size(cache, 256), 0);

	assert_fails(
		vmemcache_set_eviction_policy(NULL, VMEMCACHE_REPLACEMENT_LRU),
		EINVAL);
	assert_fails(
		vmemcache_set_eviction_policy(cache, VMEMCACHE_REPLACEMENT_NUM),
		EINVAL);
	assert_fails(
		vmemcache_set_metadata(NULL, VMEMCACHE_METADATA_DRAM), EINVAL);
	for (size_t i = 0; i < UNKNOWN; i++) {
		assert_fails(vmemcache_set_eviction_policy(
				     cache, (enum vmemcache_repl_p)unknown[i]),
			EINVAL);
		assert_fails(vmemcache_set_metadata(cache,
				     (enum vmemcache_metadata)unknown[i]),
			EINVAL);
		assert_fails(vmemcache_set_index(
				     cache, (enum vmemcache_index)unknown[i]),
			EINVAL);
	}
	assert_fails(vmemcache_set_metadata(cache, VMEMCACHE_METADATA_KMEM + 1),
		EINVAL);
	assert_fails(
		vmemcache_set_index(cache, VMEMCACHE_INDEX_HASH + 1), EINVAL);
	assert_fails(vmemcache_set_index(NULL, VMEMCACHE_INDEX_HASH), EINVAL);
	assert_fails(vmemcache_set_prefault(NULL, 1, NULL, NULL), EINVAL);
	vmemcache_callback_on_evict(NULL, NULL, NULL);
	vmemcache_callback_on_miss(NULL, NULL, NULL);
	/* none of that was taken */
	assert_int_equal(vmemcache_add(cache, FIXTURE_DIR), 0);
	assert_int_equal(fixture_put(cache, 1, 1, 300), 0);
	assert_int_equal(
		fixture_stat(cache, VMEMCACHE_STAT_POOL_SIZE_USED), 512);
	fixture_check(cache);
	vmemcache_delete(cache);
}

static void
test_add(void **state)
{
	VMEMcache *cache = vmemcache_new();
	char name[PATH_MAX + 100];
	char file[] = FIXTURE_DIR "/vmc-test-XXXXXX";
	int descriptors = process_descriptors();
	int mappings = process_unnamed_mappings();

	(void)state;
	int fd = mkstemp(file);
	assert_true(fd >= 0);
	close(fd);
	memset(name, 'n', sizeof(name));
	name[0] = '/';
	name[sizeof(name) - 1] = '\0';
	assert_fails(vmemcache_add(NULL, FIXTURE_DIR), EINVAL);
	assert_fails(vmemcache_add(NULL, NULL), EINVAL);
	assert_fails(vmemcache_add(cache, NULL), EINVAL);
	assert_string_equal(vmemcache_errormsg(), "invalid (NULL) path");
	assert_fails(vmemcache_add(cache, ""), ENOENT);
	assert_fails(vmemcache_add(cache, "/nonexistent"), ENOENT);
	assert_fails(vmemcache_add(cache, name), ENAMETOOLONG);
	assert_fails(vmemcache_add(cache, file), ENOTDIR);
	/* as 0.8 said it, and of what */
	assert_memory_equal(
		vmemcache_errormsg(), "open: Not a directory: ", 23);
	assert_string_equal(vmemcache_errormsg() + 23, file);
	assert_fails(vmemcache_add(cache, "/dev/null"), ENOTDIR);
	assert_string_equal(
		vmemcache_errormsg(), "open: Not a directory: /dev/null");
	snprintf(name, sizeof(name), "%s/below", file);
	assert_fails(vmemcache_add(cache, name), ENOTDIR);
	unlink(file);
	/* a directory that takes no files, whoever one is */
	assert_int_equal(vmemcache_add(cache, "/proc/self"), -1);
	assert_true(errno == EACCES || errno == EPERM || errno == ENOENT ||
		    errno == EOPNOTSUPP);
	assert_int_equal(process_descriptors(), descriptors);
	assert_int_equal(process_unnamed_mappings(), mappings);
	assert_int_equal(vmemcache_add(cache, FIXTURE_DIR), 0);
	assert_int_equal(fixture_put(cache, 1, 1, 300), 0);
	fixture_check(cache);
	vmemcache_delete(cache);
}

static void
test_unwritable_directory(void **state)
{
	char dir[] = FIXTURE_DIR "/vmc-test-XXXXXX";
	VMEMcache *cache = vmemcache_new();

	(void)state;
	assert_non_null(mkdtemp(dir));
	assert_int_equal(chmod(dir, 0500), 0);
	if (geteuid() != 0) /* to root nothing is forbidden */
		assert_fails(vmemcache_add(cache, dir), EACCES);
	rmdir(dir);
	assert_fails(vmemcache_add(cache, dir), ENOENT);
	vmemcache_delete(cache);
}

/* More than there is, of memory, of address space, of a file's length. */
static void
test_sizes_beyond_the_medium(void **state)
{
	int descriptors = process_descriptors();
	int mappings = process_unnamed_mappings();

	(void)state;
	for (int shift = 45; shift <= 56; shift++) {
		VMEMcache *cache = fixture_new(
			((size_t)1 << shift) - 1, 0, VMEMCACHE_REPLACEMENT_LRU);
		assert_int_equal(vmemcache_add(cache, FIXTURE_DIR), -1);
		assert_true(errno == ENOSPC || errno == EFBIG ||
			    errno == ENOMEM || errno == EINVAL);
		assert_string_not_equal(vmemcache_errormsg(), "");
		assert_int_equal(process_descriptors(), descriptors);
		assert_int_equal(process_unnamed_mappings(), mappings);
		assert_int_equal(vmemcache_set_size(cache, 1 << 20), 0);
		assert_int_equal(vmemcache_add(cache, FIXTURE_DIR), 0);
		vmemcache_delete(cache);
	}
}

static int
fill_file_system(const char *dir)
{
	VMEMcache *cache = vmemcache_new();

	if (vmemcache_set_size(cache, 4 << 20) != 0)
		return 1;
	if (vmemcache_add(cache, dir) != -1 || errno != ENOSPC)
		return 2;
	if (strstr(vmemcache_errormsg(), "No space") == NULL)
		return 3;
	if (vmemcache_set_size(cache, 1 << 20) != 0)
		return 4;
	if (vmemcache_add(cache, dir) != 0)
		return 5;
	/* every byte can be written: there is no SIGBUS */
	for (uint64_t key = 0; key < 8192; key++)
		if (fixture_put(cache, key, 1, 256) != 0)
			return 6;
	if (vmc_cache_check(cache) != 0)
		return 7;
	vmemcache_delete(cache);
	return 0;
}

static void
test_full_file_system(void **state)
{
	char dir[] = FIXTURE_DIR "/vmc-test-XXXXXX";

	(void)state;
	assert_non_null(mkdtemp(dir));
	int result = process_on_file_system(
		dir, "tmpfs", "size=2m", fill_file_system);
	rmdir(dir);
	if (result == PROCESS_REFUSED)
		skip();
	assert_int_equal(result, 0);
}

/* Every operation, on no cache, and on one without a medium. */
static void
assert_unusable(VMEMcache *cache, int expected)
{
	char buffer[8] = "#######";
	size_t size = 99;

	assert_fails(vmemcache_put(cache, "k", 1, "v", 1), expected);
	assert_fails(vmemcache_put(cache, NULL, 1, NULL, 1), expected);
	assert_fails(
		vmemcache_get(cache, "k", 1, buffer, 8, 0, &size), expected);
	assert_fails(vmemcache_get(cache, NULL, 1, NULL, 8, 0, NULL), expected);
	assert_fails(vmemcache_exists(cache, "k", 1, &size), expected);
	assert_fails(vmemcache_evict(cache, "k", 1), expected);
	assert_fails(vmemcache_evict(cache, NULL, 0), expected);
	assert_string_equal(buffer, "#######");
	assert_int_equal(size, 99);
}

static void
test_operations_out_of_order(void **state)
{
	VMEMcache *cache = vmemcache_new();

	(void)state;
	assert_unusable(NULL, EINVAL);
	assert_unusable(cache, EINVAL);
	for (int cfg = 0; cfg < 4; cfg++)
		vmemcache_bench_set(cache, (enum vmemcache_bench_cfg)cfg, 0);
	assert_fails(vmemcache_add(cache, "/nonexistent"), ENOENT);
	assert_unusable(cache, EINVAL);
	assert_int_equal(vmemcache_add(cache, FIXTURE_DIR), 0);
	assert_int_equal(fixture_put(cache, 1, 1, 300), 0);
	vmemcache_delete(cache);
}

static void
test_operations(void **state)
{
	VMEMcache *cache = fixture_open(0, 0, VMEMCACHE_REPLACEMENT_LRU);
	char buffer[8] = "#######";
	size_t size = 99;

	(void)state;
	assert_int_equal(fixture_put(cache, 1, 1, 300), 0);
	assert_fails(vmemcache_put(cache, NULL, 1, "v", 1), EINVAL);
	assert_fails(vmemcache_put(cache, NULL, SIZE_MAX, "v", 1), EINVAL);
	assert_fails(vmemcache_put(cache, "k", 1, NULL, 1), EINVAL);
	assert_fails(vmemcache_put(cache, "k", 1, NULL, SIZE_MAX), EINVAL);
	assert_fails(vmemcache_put(cache, "k", SIZE_MAX, "v", 1), EINVAL);
	assert_fails(vmemcache_put(cache, "k", 1, "v", SIZE_MAX), ENOSPC);
	assert_fails(
		vmemcache_get(cache, NULL, 1, buffer, 8, 0, &size), EINVAL);
	assert_fails(vmemcache_get(cache, "k", SIZE_MAX, buffer, 8, 0, &size),
		EINVAL);
	assert_fails(vmemcache_exists(cache, NULL, 1, &size), EINVAL);
	assert_fails(vmemcache_exists(cache, "k", SIZE_MAX, &size), EINVAL);
	assert_fails(vmemcache_evict(cache, "k", SIZE_MAX), EINVAL);
	assert_string_equal(buffer, "#######");
	assert_int_equal(size, 99);
	assert_true(fixture_has(cache, 1, 1, 300));
	/* key NULL is the victim, whatever the size */
	assert_int_equal(vmemcache_evict(cache, NULL, 77), 0);
	fixture_check_empty(cache);
	vmemcache_delete(cache);
}

static void
test_get_stat(void **state)
{
	VMEMcache *cache = fixture_open(0, 0, VMEMCACHE_REPLACEMENT_LRU);
	static const size_t sizes[] = {0, 1, 4, 7, 9, 16, SIZE_MAX};
	unsigned long long value = 99;

	(void)state;
	assert_fails(vmemcache_get_stat(
			     NULL, VMEMCACHE_STAT_PUT, &value, sizeof(value)),
		EINVAL);
	assert_fails(vmemcache_get_stat(
			     cache, VMEMCACHE_STAT_PUT, NULL, sizeof(value)),
		EINVAL);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		assert_fails(vmemcache_get_stat(cache, VMEMCACHE_STAT_PUT,
				     &value, sizes[i]),
			EINVAL);
	assert_fails(vmemcache_get_stat(
			     cache, VMEMCACHE_STATS_NUM, &value, sizeof(value)),
		EINVAL);
	for (size_t i = 0; i < UNKNOWN; i++)
		assert_fails(vmemcache_get_stat(cache,
				     (enum vmemcache_statistic)unknown[i],
				     &value, sizeof(value)),
			EINVAL);
	assert_int_equal(value, 99);
	vmemcache_delete(cache);
}

/* A message belongs to the thread whose call failed, and is never NULL. */
static void *
fail_in_a_thread(void *arg)
{
	testing_expect(strcmp(vmemcache_errormsg(), "") == 0);
	testing_expect(vmemcache_add(arg, "/nonexistent/thread") == -1);
	testing_expect(strstr(vmemcache_errormsg(), "No such file") != NULL);
	return NULL;
}

static void
test_errormsg(void **state)
{
	VMEMcache *cache = vmemcache_new();
	pthread_t thread;
	char before[256];

	(void)state;
	assert_fails(vmemcache_set_size(cache, 5), EINVAL);
	snprintf(before, sizeof(before), "%s", vmemcache_errormsg());
	assert_non_null(strstr(before, "5"));
	assert_int_equal(
		pthread_create(&thread, NULL, fail_in_a_thread, cache), 0);
	pthread_join(thread, NULL);
	assert_string_equal(vmemcache_errormsg(), before);
	/* what succeeds leaves the message */
	assert_int_equal(vmemcache_set_size(cache, 1 << 20), 0);
	assert_int_equal(vmemcache_add(cache, FIXTURE_DIR), 0);
	assert_string_equal(vmemcache_errormsg(), before);
	assert_int_equal(testing_failures, 0);
	vmemcache_delete(cache);
}

#define KEEPS_ERRNO(call)                                                      \
	do {                                                                   \
		errno = 1234;                                                  \
		bool went_well = (call);                                       \
		int err = errno;                                               \
		assert_true(went_well);                                        \
		assert_int_equal(err, 1234);                                   \
	} while (0)

/* Success leaves errno as it was, whatever was tried on the way. */
static void
test_success_keeps_errno(void **state)
{
	static const char *const directories[] = {FIXTURE_DIR, "/tmp"};
	static char value[100000];
	unsigned long long stat;
	VMEMcache *cache;

	(void)state;
	for (int i = 0; i < 4; i++) {
		KEEPS_ERRNO((cache = vmemcache_new()) != NULL);
		KEEPS_ERRNO(vmemcache_set_size(cache, 4 << 20) == 0);
		KEEPS_ERRNO(vmemcache_set_metadata(cache,
				    i % 2 ? VMEMCACHE_METADATA_PMEM
					  : VMEMCACHE_METADATA_DRAM) == 0);
		KEEPS_ERRNO(vmemcache_set_prefault(cache, 2, NULL, NULL) == 0);
		KEEPS_ERRNO(vmemcache_add(cache, directories[i / 2]) == 0);
		for (int key = 0; key < 200; key++) {
			KEEPS_ERRNO(vmemcache_put(cache, &key, sizeof(key),
					    value, sizeof(value)) == 0);
			KEEPS_ERRNO(vmemcache_get(cache, &key, sizeof(key),
					    value, sizeof(value), 0,
					    NULL) == sizeof(value));
			KEEPS_ERRNO(vmemcache_exists(cache, &key, sizeof(key),
					    NULL) == 1);
		}
		for (int s = 0; s < VMEMCACHE_STATS_NUM; s++)
			KEEPS_ERRNO(vmemcache_get_stat(cache,
					    (enum vmemcache_statistic)s, &stat,
					    sizeof(stat)) == 0);
		KEEPS_ERRNO(vmemcache_evict(cache, NULL, 0) == 0);
		KEEPS_ERRNO((vmemcache_delete(cache), true));
	}
}

static void
test_add_without_memory(void **state)
{
	VMEMcache *cache = vmemcache_new();
	int mappings = process_unnamed_mappings();
	long n = 0;

	(void)state;
	for (;; n++) {
		fail_at = n;
		int rc = vmemcache_add(cache, FIXTURE_DIR);
		int err = errno;
		bool reached = fail_at == -1;
		fail_at = -1;
		if (rc == 0) {
			assert_false(reached);
			break;
		}
		assert_int_equal(err, ENOMEM);
		assert_int_equal(process_unnamed_mappings(), mappings);
	}
	assert_true(n > 2);
	assert_int_equal(fixture_put(cache, 1, 1, 300), 0);
	assert_true(fixture_has(cache, 1, 1, 300));
	fixture_check(cache);
	vmemcache_delete(cache);
}

/* Whatever allocation of a put fails: ENOMEM, and the key is not there. */
static void
test_put_without_memory(void **state)
{
	VMEMcache *cache = fixture_open(0, 0, VMEMCACHE_REPLACEMENT_LRU);
	uint64_t random = testing_seed();
	unsigned failed = 0, succeeded = 0;

	(void)state;
	for (uint64_t i = 0; i < 4000; i++) {
		uint64_t key = testing_below(&random, 500);
		size_t size = testing_below(&random, 20000);
		bool there = fixture_exists(cache, key) == 1;

		fail_at = (long)testing_below(&random, 5);
		int rc = fixture_put(cache, key, 1, size);
		int err = errno;
		fail_at = -1;
		if (there) {
			assert_int_equal(rc, -1);
			assert_int_equal(err, EEXIST);
		} else if (rc != 0) {
			failed++;
			assert_int_equal(err, ENOMEM);
			assert_int_equal(fixture_exists(cache, key), 0);
		} else {
			succeeded++;
			assert_true(fixture_has(cache, key, 1, size));
		}
		if (i % 3 == 0) {
			fail_at = -2;
			vmemcache_evict(cache, NULL, 0);
			fail_at = -1;
		}
		fixture_check(cache);
	}
	assert_true(failed > 100 && succeeded > 100);
	/* evicting needs none */
	fail_at = -2;
	while (vmemcache_evict(cache, NULL, 0) == 0)
		;
	fail_at = -1;
	fixture_check_empty(cache);
	vmemcache_delete(cache);
}

/* A full, large pool, in which puts evict early. */
static void
test_put_without_memory_in_a_full_pool(void **state)
{
	VMEMcache *cache =
		fixture_open((size_t)16 << 20, 256, VMEMCACHE_REPLACEMENT_LRU);
	uint64_t key = 0;

	(void)state;
	while (fixture_stat(cache, VMEMCACHE_STAT_EVICT) < 3)
		assert_int_equal(fixture_put(cache, key++, 1, 4096), 0);
	for (int i = 0; i < 20; i++) {
		fail_at = -2;
		assert_int_equal(fixture_put(cache, key, 1, 4096), -1);
		assert_int_equal(errno, ENOMEM);
		fail_at = -1;
		fixture_check(cache);
		assert_int_equal(fixture_exists(cache, key), 0);
	}
	assert_int_equal(fixture_put(cache, key, 1, 4096), 0);
	while (vmemcache_evict(cache, NULL, 0) == 0)
		;
	fixture_check_empty(cache);
	vmemcache_delete(cache);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_setters),
		cmocka_unit_test(test_add),
		cmocka_unit_test(test_unwritable_directory),
		cmocka_unit_test(test_sizes_beyond_the_medium),
		cmocka_unit_test(test_full_file_system),
		cmocka_unit_test(test_operations_out_of_order),
		cmocka_unit_test(test_operations),
		cmocka_unit_test(test_get_stat),
		cmocka_unit_test(test_errormsg),
		cmocka_unit_test(test_success_keeps_errno),
		cmocka_unit_test(test_add_without_memory),
		cmocka_unit_test(test_put_without_memory),
		cmocka_unit_test(test_put_without_memory_in_a_full_pool),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
