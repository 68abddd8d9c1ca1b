/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * limits.c -- no more address space, no more descriptors: calls fail with a
 * reason, what is there goes on, and works again when the limit is lifted
 */
#include "fixture.h"
#include "process.h"

#include <sys/resource.h>
#include <unistd.h>

enum { KEYS = 500, SIZE = 1000 };

static bool
lower(__rlimit_resource_t resource, rlim_t to, struct rlimit *old)
{
	struct rlimit limit;

	assert_int_equal(getrlimit(resource, old), 0);
	limit = *old;
	limit.rlim_cur = to;
	return setrlimit(resource, &limit) == 0;
}

static void
check_all(VMEMcache *cache)
{
	char value[SIZE];

	for (uint64_t key = 0; key < KEYS; key++) {
		assert_int_equal(vmemcache_get(cache, &key, sizeof(key), value,
					 SIZE, 0, NULL),
			SIZE);
		assert_true(value_is(value, SIZE, 0, key, 1));
	}
}

static VMEMcache *
filled(void)
{
	VMEMcache *cache = fixture_open(0, 0, VMEMCACHE_REPLACEMENT_LRU);

	for (uint64_t key = 0; key < KEYS; key++)
		assert_int_equal(fixture_put(cache, key, 1, SIZE), 0);
	return cache;
}

static void
test_descriptors(void **state)
{
	static const char *const places[] = {FIXTURE_DIR, "."};
	VMEMcache *cache = filled();
	VMEMcache *next = vmemcache_new();
	struct rlimit old;

	(void)state;
	int highest = dup(0); /* none is free below it */
	assert_true(highest >= 0);
	close(highest);
	if (!lower(RLIMIT_NOFILE, (rlim_t)highest, &old))
		skip();
	assert_fails(vmemcache_add(next, places[0]), EMFILE);
	assert_fails(vmemcache_add(next, places[1]), EMFILE);
	assert_int_equal(
		vmemcache_set_metadata(next, VMEMCACHE_METADATA_PMEM), 0);
	assert_fails(vmemcache_add(next, places[0]), EMFILE);
	check_all(cache);
	for (uint64_t key = KEYS; key < 3 * KEYS; key++)
		assert_int_equal(fixture_put(cache, key, 1, SIZE), 0);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	assert_int_equal(vmemcache_add(next, places[0]), 0);
	assert_int_equal(fixture_put(next, 1, 1, SIZE), 0);
	fixture_check(cache);
	vmemcache_delete(next);
	vmemcache_delete(cache);
}

/* One descriptor is enough for the pool, not for metadata in a file. */
static void
test_one_descriptor(void **state)
{
	VMEMcache *cache = vmemcache_new();
	struct rlimit old;

	(void)state;
	int highest = dup(0);
	close(highest);
	assert_int_equal(
		vmemcache_set_metadata(cache, VMEMCACHE_METADATA_PMEM), 0);
	if (!lower(RLIMIT_NOFILE, (rlim_t)highest + 1, &old))
		skip();
	/* the pool's is closed before the metadata's is opened, or it fails */
	int rc = vmemcache_add(cache, FIXTURE_DIR);
	assert_true(rc == 0 || errno == EMFILE || errno == ENOMEM);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	if (rc != 0)
		assert_int_equal(vmemcache_add(cache, FIXTURE_DIR), 0);
	vmemcache_delete(cache);
}

static rlim_t
address_space(void)
{
	unsigned long pages = 0;
	FILE *f = fopen("/proc/self/statm", "re");

	assert_non_null(f);
	assert_int_equal(fscanf(f, "%lu", &pages), 1);
	fclose(f);
	return pages * (rlim_t)sysconf(_SC_PAGESIZE);
}

static void
test_address_space(void **state)
{
	static char value[SIZE], key[4000];
	struct rlimit old;
	uint64_t count = 0;

	(void)state;
#ifdef VMC_TESTING_SANITIZED
	skip(); /* which map terabytes */
#endif
	if (RUNNING_ON_VALGRIND)
		skip();
	VMEMcache *cache = filled();
	VMEMcache *next = fixture_new(64 << 20, 0, VMEMCACHE_REPLACEMENT_LRU);
	assert_true(lower(RLIMIT_AS, address_space() + (1 << 20), &old));
	assert_fails(vmemcache_add(next, FIXTURE_DIR), ENOMEM);
	check_all(cache);
	/* keys that need more metadata than there is room for */
	for (; count < 1000000; count++) {
		memcpy(key, &count, sizeof(count));
		if (vmemcache_put(cache, key, sizeof(key), NULL, 0) != 0)
			break;
	}
	assert_int_equal(errno, ENOMEM);
	assert_true(count < 1000000);
	check_all(cache);
	fixture_check(cache);
	for (uint64_t i = 0; i < count; i++) {
		memcpy(key, &i, sizeof(i));
		assert_int_equal(
			vmemcache_exists(cache, key, sizeof(key), NULL), 1);
	}
	assert_int_equal(setrlimit(RLIMIT_AS, &old), 0);
	memcpy(key, &count, sizeof(count));
	assert_int_equal(
		vmemcache_put(cache, key, sizeof(key), value, SIZE), 0);
	assert_int_equal(vmemcache_add(next, FIXTURE_DIR), 0);
	assert_int_equal(fixture_put(next, 1, 1, 1 << 20), 0);
	vmemcache_delete(next);
	vmemcache_delete(cache);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_descriptors),
		cmocka_unit_test(test_one_descriptor),
		cmocka_unit_test(test_address_space),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
