/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_cache.c -- a cache whose pool, and whose metadata, lie on real media
 *
 * VMC_TEST_POOL names the directory or device, VMC_TEST_PAGE the page size
 * that the cache should tell; VMC_TEST_METADATA is set where metadata can be
 * on the medium as well. Anything else about the cache is tested on the host:
 * here it is whether every byte survives this medium, and what the medium does
 * to sizes and failures. With VMC_TEST_NODE there is just the test of metadata
 * in that node, to which the pool's medium does not matter, with
 * VMC_TEST_FULL_NODE just that of the node being full.
 */
#include "fixture.h"

#include "memkind/kinds.h"
#include "process.h"

#include <numaif.h>
#include <sys/mman.h>

static const char *path;

static VMEMcache *
open_on_medium(size_t size)
{
	VMEMcache *cache = fixture_new(size, 0, VMEMCACHE_REPLACEMENT_LRU);

	if (vmemcache_add(cache, path) != 0)
		fail_msg("%s", vmemcache_errormsg());
	return cache;
}

/* Turn the pool over `times` times with values of all sizes; check each. */
static void
churn(VMEMcache *cache, size_t size, unsigned times)
{
	uint64_t random = testing_seed();
	uint64_t hits = 0, key = 0;
	size_t done = 0;

	while (done < size * times) {
		size_t n =
			testing_below(&random, 1 << testing_below(&random, 18));
		assert_int_equal(fixture_put(cache, key, 1, n), 0);
		assert_true(fixture_has(cache, key, 1, n));
		done += n;
		key++;
		/* an older one: it may have gone, but not changed */
		static char value[1 << 18];
		uint64_t other = testing_below(&random, key);
		uint64_t version;
		ssize_t got = vmemcache_get(cache, &other, sizeof(other), value,
			sizeof(value), 0, NULL);
		if (got >= 0) {
			assert_true(value_decode(
				value, (size_t)got, 0, other, &version));
			hits++;
		}
	}
	printf("%llu puts, %llu of as many other gets hit\n",
		(unsigned long long)key, (unsigned long long)hits);
	assert_true(fixture_stat(cache, VMEMCACHE_STAT_EVICT) > 0);
	assert_true(hits > 0);
	fixture_check(cache);
}

static void
test_part_of_the_medium(void **state)
{
	const char *page = getenv("VMC_TEST_PAGE");
	VMEMcache *cache = open_on_medium(16 << 20);

	(void)state;
	if (page)
		assert_int_equal(fixture_stat(cache, VMEMCACHE_STAT_PAGE_SIZE),
			strtoull(page, NULL, 10));
	vmemcache_bench_set(cache, VMEMCACHE_BENCH_PREFAULT, 1);
	churn(cache, 16 << 20, 2);
	while (vmemcache_evict(cache, NULL, 0) == 0)
		;
	fixture_check_empty(cache);
	vmemcache_delete(cache);
}

/* No size set: the whole of a device, to its last byte. */
static void
test_default_size(void **state)
{
	static char value[1 << 20];
	VMEMcache *cache = open_on_medium(0);
	size_t size = cache->pool.size;
	uint64_t count = size / sizeof(value);

	(void)state;
	printf("%s: %zu bytes\n", path, size);
	if (!cache->pool.is_devdax)
		assert_true(size >= VMEMCACHE_MIN_POOL &&
			    size - VMEMCACHE_MIN_POOL < cache->pool.page_size);
	else
		assert_true(count > 1);
	for (uint64_t key = 0; key < count; key++) {
		value_fill(value, sizeof(value), 0, key, 1);
		assert_int_equal(vmemcache_put(cache, &key, sizeof(key), value,
					 sizeof(value)),
			0);
	}
	assert_int_equal(fixture_stat(cache, VMEMCACHE_STAT_EVICT), 0);
	assert_int_equal(fixture_stat(cache, VMEMCACHE_STAT_POOL_SIZE_USED),
		count * sizeof(value));
	for (uint64_t key = 0; key < count; key++)
		assert_true(fixture_has(cache, key, 1, sizeof(value)));
	vmemcache_delete(cache);
}

/* More than there is; then the same cache with what there is. */
static void
test_too_large(void **state)
{
	VMEMcache *cache =
		fixture_new((size_t)1 << 40, 0, VMEMCACHE_REPLACEMENT_LRU);
	int before = process_descriptors();

	(void)state;
	assert_int_equal(vmemcache_add(cache, path), -1);
	printf("%s\n", vmemcache_errormsg());
	assert_true(errno == EINVAL || errno == ENOSPC || errno == ENOMEM);
	assert_int_equal(process_descriptors(), before);
	assert_int_equal(vmemcache_set_size(cache, 4 << 20), 0);
	assert_int_equal(vmemcache_add(cache, path), 0);
	churn(cache, 4 << 20, 2);
	vmemcache_delete(cache);
}

/*
 * Metadata in an unnamed file beside the pool: page by page, what the cache is
 * given lies in a mapping of a file of the same device. On media that have no
 * such files it is an error, and nothing is left.
 */
static void
test_metadata_on_the_medium(void **state)
{
	VMEMcache *cache = fixture_new(8 << 20, 0, VMEMCACHE_REPLACEMENT_LRU);
	int descriptors = process_descriptors();
	static void *objects[20000];
	char pool[32], object[32];
	uintptr_t page = 0;
	size_t pages = 0;

	(void)state;
	vmemcache_set_metadata(cache, VMEMCACHE_METADATA_PMEM);
	int rc = vmemcache_add(cache, path);
	if (getenv("VMC_TEST_METADATA") == NULL) {
		assert_int_equal(rc, -1);
		printf("%s\n", vmemcache_errormsg());
		assert_int_equal(process_descriptors(), descriptors);
		vmemcache_delete(cache);
		return;
	}
	if (rc != 0)
		fail_msg("%s", vmemcache_errormsg());
	churn(cache, 8 << 20, 2);
	process_mapped_device(cache->pool.base, pool);
	for (size_t i = 0; i < 20000; i++) {
		size_t size = 100 + i % 100;
		objects[i] = vmc_alloc(&cache->memory, size);
		assert_non_null(objects[i]);
		memset(objects[i], 1, size);
		if ((uintptr_t)objects[i] >> 12 == page)
			continue;
		page = (uintptr_t)objects[i] >> 12;
		process_mapped_device(objects[i], object);
		assert_string_equal(object, pool);
		pages++;
	}
	printf("%zu pages of metadata on %s\n", pages, pool);
	assert_true(pages > 100);
	for (size_t i = 0; i < 20000; i++)
		vmc_free(&cache->memory, objects[i], 100 + i % 100);
	vmemcache_delete(cache);
	assert_int_equal(process_descriptors(), descriptors);
}

/* How many pages each node has of the metadata of KMEM caches. The sum. */
static size_t
metadata_pages(size_t pages[PROCESS_NODES])
{
	const struct vmc_piece *piece;
	size_t sum = 0;

	memset(pages, 0, PROCESS_NODES * sizeof(*pages));
	for (piece = MEMKIND_DAX_KMEM_PREFERRED->space.pieces; piece;
		piece = piece->next)
		sum += process_pages_on_nodes(piece->base, piece->size, pages);
	return sum;
}

/* As many entries as make a few hundred pages of metadata. */
static void
fill_with_entries(VMEMcache *cache)
{
	const uint64_t first = (uint64_t)1 << 32, end = first + 20000;

	for (uint64_t key = first; key < end; key++)
		assert_int_equal(fixture_put(cache, key, 1, key % 100), 0);
	for (uint64_t key = first; key < end; key += 7)
		assert_true(fixture_has(cache, key, 1, key % 100));
	fixture_check(cache);
}

static VMEMcache *
open_with_metadata_in_a_node(void)
{
	VMEMcache *cache = fixture_new(8 << 20, 0, VMEMCACHE_REPLACEMENT_LRU);

	assert_int_equal(
		vmemcache_set_metadata(cache, VMEMCACHE_METADATA_KMEM), 0);
	if (vmemcache_add(cache, path) != 0)
		fail_msg("%s", vmemcache_errormsg());
	return cache;
}

static void
test_metadata_in_a_node(void **state)
{
	const char *node = getenv("VMC_TEST_NODE");
	size_t pages[PROCESS_NODES], sum;

	(void)state;
	VMEMcache *cache = open_with_metadata_in_a_node();
	churn(cache, 8 << 20, 2);
	fill_with_entries(cache);
	sum = metadata_pages(pages);
	printf("%zu of %zu pages of metadata on node %s\n",
		pages[strtoul(node, NULL, 10)], sum, node);
	assert_true(sum > 300);
	assert_int_equal(pages[strtoul(node, NULL, 10)], sum);
	assert_true(
		fixture_stat(cache, VMEMCACHE_STAT_KMEM_SIZE_USED) > 1000000);
	assert_int_equal(fixture_stat(cache, VMEMCACHE_STAT_DRAM_SIZE_USED), 0);
	vmemcache_delete(cache);
}

/* Take what the node has left, and a little from elsewhere. */
static void *
fill_node(unsigned long node, size_t size)
{
	unsigned long mask = 1ul << node;
	char *hog = mmap(NULL, size, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	size_t elsewhere = 0;

	assert_ptr_not_equal(hog, MAP_FAILED);
	assert_int_equal(mbind(hog, size, MPOL_PREFERRED, &mask, 64, 0), 0);
	for (size_t at = 0; at < size && elsewhere < 1000; at += 4096) {
		void *page = hog + at;
		int where = -1;
		hog[at] = 1;
		assert_int_equal(move_pages(0, 1, &page, NULL, &where, 0), 0);
		elsewhere += (unsigned long)where != node;
	}
	assert_int_equal(elsewhere, 1000);
	return hog;
}

/* The cache goes on with the memory of other nodes. */
static void
test_full_node(void **state)
{
	const size_t size = (size_t)600 << 20;
	const unsigned long node =
		strtoul(getenv("VMC_TEST_FULL_NODE"), NULL, 10);
	size_t pages[PROCESS_NODES], sum;

	(void)state;
	void *hog = fill_node(node, size);
	VMEMcache *cache = open_with_metadata_in_a_node();
	fill_with_entries(cache);
	sum = metadata_pages(pages);
	printf("%zu of %zu pages of metadata on node %lu\n", pages[node], sum,
		node);
	assert_true(sum - pages[node] > 100);
	vmemcache_delete(cache);
	munmap(hog, size);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_part_of_the_medium),
		cmocka_unit_test(test_default_size),
		cmocka_unit_test(test_too_large),
		cmocka_unit_test(test_metadata_on_the_medium),
	};
	const struct CMUnitTest node[] = {
		cmocka_unit_test(test_metadata_in_a_node),
	};
	const struct CMUnitTest full[] = {cmocka_unit_test(test_full_node)};

	path = getenv("VMC_TEST_POOL");
	if (path == NULL) {
		fputs("VMC_TEST_POOL must name a directory or device\n",
			stderr);
		return 2;
	}
	if (getenv("VMC_TEST_NODE") != NULL)
		return cmocka_run_group_tests(node, NULL, NULL);
	if (getenv("VMC_TEST_FULL_NODE") != NULL)
		return cmocka_run_group_tests(full, NULL, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
