/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cache.c -- a cache while any call to the system or for memory fails
 *
 * Made, configured, filled several times over, read, emptied and deleted. What
 * fails says so with an errno that is documented and changes nothing; once
 * nothing fails any more the same cache works, and is empty when all is
 * evicted.
 */
#include "each.h"
#include "fixture.h"

#include <pthread.h>

#define PUTS 600u

struct manner {
	enum vmemcache_repl_p policy;
	enum vmemcache_metadata metadata;
};

static _Atomic unsigned long evicted;

/* Mostly small, so that many come and go; some have several runs. */
static size_t
size_of(uint64_t key)
{
	return key % 16 == 0 ? 60000 + key % 9000 : 1 + key * 997 % 3000;
}

static void
put(VMEMcache *cache, uint64_t key)
{
	char value[70000];
	size_t size = size_of(key);

	value_fill(value, size, 0, key, 1);
	vmc_fail_const(1, "");
	int rc = vmemcache_put(cache, &key, sizeof(key), value, size);
	if (rc == 0 || errno == EEXIST)
		return;
	each_expect(each_excuse(errno) && errno == ENOMEM);
	each_expect(*vmemcache_errormsg());
}

/* True: it is there, whole. */
static bool
get(VMEMcache *cache, uint64_t key)
{
	char value[70000];
	size_t size = 0;
	ssize_t n = vmemcache_get(
		cache, &key, sizeof(key), value, sizeof(value), 0, &size);

	if (n < 0) {
		each_expect(errno == ENOENT ||
			    (each_excuse(errno) && errno == ENOMEM));
		return false;
	}
	each_expect((size_t)n == size_of(key) && size == size_of(key));
	each_expect(value_is(value, size, 0, key, 1));
	return true;
}

static void
on_evict(VMEMcache *cache, const void *key, size_t key_size, void *arg)
{
	int rc = vmemcache_exists(cache, key, key_size, NULL);

	(void)arg;
	each_expect(rc == 1 || (each_excuse(errno) && errno == ENOMEM));
	evicted++;
}

static void
on_miss(VMEMcache *cache, const void *key, size_t key_size, void *arg)
{
	uint64_t number;

	(void)arg;
	each_expect(key_size == sizeof(number));
	memcpy(&number, key, sizeof(number));
	if (number % 2)
		put(cache, number);
}

/* Even a failure of add leaves the cache as it was: one more try. */
static bool
add(VMEMcache *cache)
{
	for (int tries = 0; tries < 2; tries++) {
		vmc_fail_const(1, "");
		if (vmemcache_add(cache, FIXTURE_DIR) == 0)
			return true;
		each_expect(each_excuse(errno));
		each_expect(*vmemcache_errormsg());
		each_expect(vmemcache_set_size(cache, 1 << 20) == 0);
	}
	return false;
}

/* What could not be removed, as that was made to fail. */
static void
remove_object(const char *path)
{
	fault_exempt();
	unlink(path);
	fault_exempt_end();
}

/* A failure changes nothing, so that the next try is the first one. */
static void
publish(VMEMcache *cache)
{
	for (int tries = 0; tries < 2; tries++) {
		vmc_fail_const(1, "");
		if (vmemcache_publish(cache, "published") == 0)
			return;
		each_expect(each_excuse(errno));
		each_expect(*vmemcache_errormsg());
		each_expect(!cache->publisher.object);
		remove_object(cache->publisher.path);
		each_expect(strcmp(cache->name, "vmemcache") == 0);
	}
}

static void *
in_a_thread(void *arg)
{
	for (uint64_t key = 10000; key < 10100; key++) {
		put(arg, key);
		get(arg, key - 2);
	}
	return NULL;
}

static void
use_threads(VMEMcache *cache)
{
	pthread_t threads[2];

	for (int i = 0; i < 2; i++) {
		fault_exempt();
		each_expect(pthread_create(&threads[i], NULL, in_a_thread,
				    cache) == 0);
		fault_exempt_end();
	}
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
}

static unsigned long long
statistic(VMEMcache *cache, enum vmemcache_statistic stat)
{
	unsigned long long value = 0;

	each_expect(
		vmemcache_get_stat(cache, stat, &value, sizeof(value)) == 0);
	return value;
}

/* Nothing fails any more: the cache does what it should. */
static void
check(VMEMcache *cache, enum vmemcache_repl_p policy)
{
	each_expect(vmc_cache_check(cache) == 0);
	each_expect(statistic(cache, VMEMCACHE_STAT_EVICT) == evicted);
	for (uint64_t key = 0; key < PUTS; key++) {
		int rc = vmemcache_evict(cache, &key, sizeof(key));
		each_expect(rc == 0 || errno == ENOENT ||
			    (each_excuse(errno) && errno == ENOMEM));
	}
	each_recover();
	put(cache, 7);
	each_expect(get(cache, 7));
	for (uint64_t key = 0; key < 10100; key++)
		vmemcache_evict(cache, &key, sizeof(key));
	each_recover();
	if (policy != VMEMCACHE_REPLACEMENT_NONE)
		each_expect(vmemcache_evict(cache, NULL, 0) != 0);
	if (each_may_fail)
		return;
	each_expect(vmc_cache_check(cache) == 0);
	each_expect(statistic(cache, VMEMCACHE_STAT_ENTRIES) == 0);
	each_expect(statistic(cache, VMEMCACHE_STAT_POOL_SIZE_USED) == 0);
	each_expect(statistic(cache, VMEMCACHE_STAT_DRAM_SIZE_USED) == 0);
	each_expect(statistic(cache, VMEMCACHE_STAT_EXTENTS) == 0);
	each_expect(statistic(cache, VMEMCACHE_STAT_HEAP_ENTRIES) == 1);
}

static void
use_cache(void)
{
	const struct manner *manner = each_now->arg;
	VMEMcache *cache = vmemcache_new();
	char path[VMC_PUBLICATION_PATH_MAX];

	if (!cache) {
		each_expect(each_excuse(errno) && errno == ENOMEM);
		return;
	}
	evicted = 0;
	vmemcache_callback_on_evict(cache, on_evict, NULL);
	vmemcache_callback_on_miss(cache, on_miss, NULL);
	each_expect(vmemcache_set_size(cache, 1 << 20) == 0);
	each_expect(vmemcache_set_eviction_policy(cache, manner->policy) == 0);
	each_expect(vmemcache_set_metadata(cache, manner->metadata) == 0);
	each_expect(vmemcache_set_prefault(cache, 2, NULL, NULL) == 0);
	vmemcache_bench_set(cache, VMEMCACHE_BENCH_PREFAULT, 1);
	if (add(cache)) {
		publish(cache);
		for (uint64_t key = 0; key < PUTS; key++) {
			put(cache, key);
			get(cache, key / 2);
		}
		vmemcache_evict(cache, NULL, 0);
		use_threads(cache);
		each_recover();
		check(cache, manner->policy);
	}
	strcpy(path, cache->publisher.path);
	vmemcache_delete(cache);
	remove_object(path);
}

static void
lru(void **state)
{
	(void)state;
	each_call(&(struct each){"LRU", use_cache,
		&(struct manner){
			VMEMCACHE_REPLACEMENT_LRU, VMEMCACHE_METADATA_DRAM}});
}

static void
metadata_in_a_file(void **state)
{
	(void)state;
	each_call(&(struct each){"metadata in a file", use_cache,
		&(struct manner){
			VMEMCACHE_REPLACEMENT_LRU, VMEMCACHE_METADATA_PMEM}});
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lru),
		cmocka_unit_test(metadata_in_a_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
