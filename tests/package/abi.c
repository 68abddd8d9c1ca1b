/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * abi.c -- what programs built against libvmemcache 0.8 have compiled in
 *
 * Values are repeated here as numbers on purpose: they are those of 0.8, and
 * a change of the header must fail here rather than in somebody's program.
 * New statistics and policies have numbers that leave room for 0.8's, and the
 * ends of its enumerations stand for none. Linking checks that every function
 * is there.
 */
#include <libvmemcache.h>

#define SAME(a, b) _Static_assert((a) == (b), #a " is not " #b)

SAME(VMEMCACHE_MAJOR_VERSION, 0);
SAME(VMEMCACHE_MINOR_VERSION, 8);

SAME(VMEMCACHE_MIN_POOL, 1048576);
SAME(VMEMCACHE_MIN_EXTENT, 256);
SAME(sizeof(VMEMCACHE_MIN_POOL), sizeof(size_t));
SAME(sizeof(VMEMCACHE_MIN_EXTENT), sizeof(size_t));

SAME(VMEMCACHE_REPLACEMENT_NONE, 0);
SAME(VMEMCACHE_REPLACEMENT_LRU, 1);
SAME(VMEMCACHE_REPLACEMENT_NUM, 2);
SAME(sizeof(enum vmemcache_repl_p), 4);

SAME(VMEMCACHE_STAT_PUT, 0);
SAME(VMEMCACHE_STAT_GET, 1);
SAME(VMEMCACHE_STAT_HIT, 2);
SAME(VMEMCACHE_STAT_MISS, 3);
SAME(VMEMCACHE_STAT_EVICT, 4);
SAME(VMEMCACHE_STAT_ENTRIES, 5);
SAME(VMEMCACHE_STAT_DRAM_SIZE_USED, 6);
SAME(VMEMCACHE_STAT_POOL_SIZE_USED, 7);
SAME(VMEMCACHE_STAT_HEAP_ENTRIES, 8);
SAME(VMEMCACHE_STATS_NUM, 9);
SAME(sizeof(enum vmemcache_statistic), 4);

SAME(VMEMCACHE_BENCH_INDEX_ONLY, 0);
SAME(VMEMCACHE_BENCH_NO_ALLOC, 1);
SAME(VMEMCACHE_BENCH_NO_MEMCPY, 2);
SAME(VMEMCACHE_BENCH_PREFAULT, 3);
SAME(sizeof(enum vmemcache_bench_cfg), 4);

/* since 1.0 */
SAME(VMEMCACHE_STAT_EXTENTS, 64);
SAME(VMEMCACHE_STAT_PAGE_SIZE, 65);
SAME(VMEMCACHE_STAT_PMEM_SIZE_USED, 66);
SAME(VMEMCACHE_STAT_KMEM_SIZE_USED, 67);
SAME(VMEMCACHE_STAT_POOL_SIZE, 68);
SAME(VMEMCACHE_STAT_POOL_SIZE_HUGE, 69);
SAME(VMEMCACHE_STAT_DRAM_SIZE_HUGE, 70);
SAME(VMEMCACHE_METADATA_DRAM, 0);
SAME(VMEMCACHE_METADATA_PMEM, 1);
SAME(VMEMCACHE_METADATA_KMEM, 2);

/* Callbacks of these very types are in programs. */
static void
callback(VMEMcache *cache, const void *key, size_t key_size, void *arg)
{
	(void)cache, (void)key, (void)key_size, (void)arg;
}

static vmemcache_on_evict *const on_evict = callback;
static vmemcache_on_miss *const on_miss = callback;

static struct {
	VMEMcache *(*new)(void);
	void (*delete)(VMEMcache *);
	int (*set_eviction_policy)(VMEMcache *, enum vmemcache_repl_p);
	int (*set_size)(VMEMcache *, size_t);
	int (*set_extent_size)(VMEMcache *, size_t);
	int (*add)(VMEMcache *, const char *);
	int (*put)(VMEMcache *, const void *, size_t, const void *, size_t);
	ssize_t (*get)(VMEMcache *, const void *, size_t, void *, size_t,
		size_t, size_t *);
	int (*exists)(VMEMcache *, const void *, size_t, size_t *);
	int (*evict)(VMEMcache *, const void *, size_t);
	void (*callback_on_evict)(VMEMcache *, vmemcache_on_evict *, void *);
	void (*callback_on_miss)(VMEMcache *, vmemcache_on_miss *, void *);
	int (*get_stat)(VMEMcache *, enum vmemcache_statistic, void *, size_t);
	void (*bench_set)(VMEMcache *, enum vmemcache_bench_cfg, size_t);
	const char *(*errormsg)(void);
	/* since 1.0 */
	int (*set_metadata)(VMEMcache *, enum vmemcache_metadata);
	ssize_t (*get_many)(VMEMcache *, struct vmemcache_request *, size_t);
	int (*set_prefault)(
		VMEMcache *, unsigned, vmemcache_on_progress *, void *);
	int (*set_index)(VMEMcache *, enum vmemcache_index);
} const volatile api = {
	vmemcache_new,
	vmemcache_delete,
	vmemcache_set_eviction_policy,
	vmemcache_set_size,
	vmemcache_set_extent_size,
	vmemcache_add,
	vmemcache_put,
	vmemcache_get,
	vmemcache_exists,
	vmemcache_evict,
	vmemcache_callback_on_evict,
	vmemcache_callback_on_miss,
	vmemcache_get_stat,
	vmemcache_bench_set,
	vmemcache_errormsg,
	vmemcache_set_metadata,
	vmemcache_get_many,
	vmemcache_set_prefault,
	vmemcache_set_index,
};

int
main(void)
{
	VMEMcache *cache = api.new();

	if (cache == NULL)
		return 1;
	api.callback_on_evict(cache, on_evict, NULL);
	api.callback_on_miss(cache, on_miss, NULL);
	api.delete(cache);
	return 0;
}
