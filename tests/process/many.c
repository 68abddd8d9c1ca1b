/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * many.c -- a thousand caches at once, as far as there is memory for pools
 */
#include "fixture.h"
#include "process.h"

#include <pthread.h>
#include <sys/resource.h>
#include <sys/statvfs.h>

enum { MOST = 1000, KEYS = 50, SIZE = 500, THREADS = 3 };

struct herd {
	VMEMcache *cache[MOST];
	unsigned count;
};

/* As many as an eighth of what is free has room for: others want some too. */
static unsigned
affordable(void)
{
	struct statvfs fs;
	struct rlimit files;
	unsigned most = RUNNING_ON_VALGRIND ? 20 : MOST;

#ifdef VMC_TESTING_SANITIZED
	most /= 5;
#endif
	assert_int_equal(statvfs(FIXTURE_DIR, &fs), 0);
	uint64_t room = fs.f_bavail * fs.f_frsize / 8 / VMEMCACHE_MIN_POOL;
	if (room < most)
		most = (unsigned)room;
	/* each keeps a descriptor */
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &files), 0);
	return files.rlim_cur / 2 < most ? (unsigned)(files.rlim_cur / 2)
					 : most;
}

/* Key and version tell the caches apart. */
static void
put_all(struct herd *h)
{
	for (unsigned i = 0; i < h->count; i++)
		for (uint64_t key = 0; key < KEYS; key++)
			assert_int_equal(
				fixture_put(h->cache[i], key, i + 1, SIZE), 0);
}

static void *
get_all(void *arg)
{
	struct herd *h = arg;

	for (unsigned i = 0; i < h->count; i++)
		for (uint64_t key = 0; key < KEYS; key++)
			testing_expect(
				fixture_has(h->cache[i], key, i + 1, SIZE));
	return NULL;
}

static void
test_thousand_caches(void **state)
{
	static struct herd h;
	pthread_t threads[THREADS];
	int mappings = process_unnamed_mappings();
	int descriptors = process_descriptors();

	(void)state;
	h.count = affordable();
	print_message("%u caches\n", h.count);
	for (unsigned i = 0; i < h.count; i++)
		h.cache[i] = fixture_open(0, 0, VMEMCACHE_REPLACEMENT_LRU);
	assert_int_equal(process_descriptors(), descriptors + (int)h.count);
	assert_int_equal(
		process_unnamed_mappings(), mappings + 2 * (int)h.count);
	put_all(&h);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(
			pthread_create(&threads[i], NULL, get_all, &h), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(testing_failures, 0);
	/* every other one goes, the rest does not notice */
	for (unsigned i = 0; i < h.count; i += 2) {
		vmemcache_delete(h.cache[i]);
		h.cache[i] = NULL;
	}
	for (unsigned i = 1; i < h.count; i += 2) {
		fixture_check(h.cache[i]);
		for (uint64_t key = 0; key < KEYS; key++)
			assert_true(fixture_has(h.cache[i], key, i + 1, SIZE));
		vmemcache_delete(h.cache[i]);
	}
	assert_int_equal(process_unnamed_mappings(), mappings);
	assert_int_equal(process_descriptors(), descriptors);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_thousand_caches),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
