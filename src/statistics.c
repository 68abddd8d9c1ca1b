/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * statistics.c -- the statistics of a cache
 *
 * Counters are per thread (stripe.h), and summed when a call asks for them. All
 * other figures come from their modules. No operation runs code of this file.
 *
 * Figures of the cache include all spaces. Entries that were cleared and are
 * not yet freed count as removed. Figures of a space are its own (space.c).
 */
#include "cache.h"

#include "memkind/malloc.h"
#include "space.h"

#include <string.h>

/* Of a cache that is open. */
static uint64_t
metadata_bytes(const struct vmemcache *cache, uint64_t came, uint64_t gone)
{
	return came - gone - vmc_load_relaxed(&cache->dram_baseline) +
	       vmc_load_relaxed(&cache->policy->bytes);
}

/* 0 bytes in all places but one. */
static uint64_t
metadata_in(struct vmemcache *cache, enum vmemcache_metadata where)
{
	uint64_t gone =
		vmc_stripes_sum(&cache->stripes, VMC_COUNT_METADATA_GONE);

	if (cache->metadata != where)
		return 0;
	return metadata_bytes(cache,
		vmc_stripes_sum(&cache->stripes, VMC_COUNT_METADATA), gone);
}

static uint64_t
less(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0; /* beside other calls */
}

static uint64_t
block_bytes(struct vmemcache *cache, const struct vmc_nobodys *nobodys)
{
	return less(vmc_extent_used_blocks(cache->extent), nobodys->blocks) *
	       cache->block_size;
}

static bool
is_statistic(enum vmemcache_statistic stat)
{
	return (unsigned)stat < VMEMCACHE_STATS_NUM ||
	       (stat >= VMEMCACHE_STAT_EXTENTS &&
		       stat <= VMEMCACHE_STAT_DRAM_SIZE_HUGE);
}

/* Of a cache that is open, a statistic that there is. */
static uint64_t
statistic(struct vmemcache *cache, enum vmemcache_statistic stat)
{
	struct vmc_stripes *all = &cache->stripes;
	uint64_t sums[VMC_COUNTERS];
	struct vmc_nobodys nobodys = vmc_spaces_nobodys(cache);

	switch (stat) {
	case VMEMCACHE_STAT_PUT:
		vmc_stripes_sum_all(all, sums);
		return vmc_entries_came(sums);
	case VMEMCACHE_STAT_GET:
		return vmc_stripes_sum(all, VMC_COUNT_HIT) +
		       vmc_stripes_sum(all, VMC_COUNT_MISS);
	case VMEMCACHE_STAT_HIT:
		return vmc_stripes_sum(all, VMC_COUNT_HIT);
	case VMEMCACHE_STAT_MISS:
		return vmc_stripes_sum(all, VMC_COUNT_MISS);
	case VMEMCACHE_STAT_EVICT: /* a replacement is a put, no eviction */
		vmc_stripes_sum_all(all, sums);
		return vmc_entries_went(sums) + nobodys.items -
		       sums[vmc_count_of_removal(VMEMCACHE_REASON_REPLACED)];
	case VMEMCACHE_STAT_ENTRIES:
		vmc_stripes_sum_all(all, sums);
		return less(vmc_entries_came(sums) - vmc_entries_went(sums),
			nobodys.items);
	case VMEMCACHE_STAT_DRAM_SIZE_USED:
		return metadata_in(cache, VMEMCACHE_METADATA_DRAM);
	case VMEMCACHE_STAT_PMEM_SIZE_USED:
		return metadata_in(cache, VMEMCACHE_METADATA_PMEM);
	case VMEMCACHE_STAT_KMEM_SIZE_USED:
		return metadata_in(cache, VMEMCACHE_METADATA_KMEM);
	case VMEMCACHE_STAT_POOL_SIZE_USED:
		return block_bytes(cache, &nobodys);
	case VMEMCACHE_STAT_HEAP_ENTRIES:
		return vmc_extent_free_runs(cache->extent);
	case VMEMCACHE_STAT_EXTENTS:
		return less(vmc_stripes_left(all, VMC_COUNT_EXTENTS,
				    VMC_COUNT_EXTENTS_GONE),
			nobodys.pieces);
	case VMEMCACHE_STAT_PAGE_SIZE:
		return cache->pool.page_size;
	case VMEMCACHE_STAT_POOL_SIZE:
		return vmc_load_relaxed(&cache->pool.size);
	case VMEMCACHE_STAT_POOL_SIZE_HUGE:
		return vmc_pool_huge_bytes(&cache->pool);
	case VMEMCACHE_STAT_DRAM_SIZE_HUGE:
		return vmc_memkind_huge_bytes();
	case VMEMCACHE_STATS_NUM:
		break;
	}
	return 0;
}

/* What a space has of its own; else that of the cache. */
static uint64_t
statistic_of_space(struct vmemcache *space, enum vmemcache_statistic stat)
{
	struct vmemcache_statistics s;
	uint64_t puts = 0, went = 0;

	vmc_space_statistics(space, &s);
	for (unsigned mode = 0; mode < VMEMCACHE_MODES; mode++)
		puts += s.stores[mode][VMEMCACHE_OUTCOME_INSERTED] +
			s.stores[mode][VMEMCACHE_OUTCOME_REPLACED];
	for (unsigned i = 0; i < VMEMCACHE_REASONS; i++)
		if (i != VMEMCACHE_REASON_REPLACED)
			went += s.removals[i];
	switch (stat) {
	case VMEMCACHE_STAT_PUT:
		return puts;
	case VMEMCACHE_STAT_GET:
		return s.gets;
	case VMEMCACHE_STAT_HIT:
		return s.hits;
	case VMEMCACHE_STAT_MISS:
		return s.misses;
	case VMEMCACHE_STAT_EVICT:
		return went;
	case VMEMCACHE_STAT_ENTRIES:
		return s.items;
	case VMEMCACHE_STAT_POOL_SIZE_USED:
		return s.block_bytes;
	case VMEMCACHE_STAT_EXTENTS:
		return s.pieces;
	default:
		return statistic(space->root, stat);
	}
}

int
vmc_cache_stat(
	struct vmemcache *space, enum vmemcache_statistic stat, uint64_t *value)
{
	if (!is_statistic(stat))
		return -EINVAL;
	if (!vmc_cache_is_open(space))
		*value = 0;
	else if (vmc_is_space(space))
		*value = statistic_of_space(space, stat);
	else
		*value = statistic(space, stat);
	return 0;
}

void
vmc_cache_count_failure(struct vmemcache *space, struct vmc_stripe *stripe,
	unsigned mode, int rc)
{
	static const struct {
		int rc;
		enum vmemcache_outcome outcome;
	} outcomes[] = {
		{-EEXIST, VMEMCACHE_OUTCOME_EXISTS},
		{-ENOENT, VMEMCACHE_OUTCOME_ABSENT},
		{-ESTALE, VMEMCACHE_OUTCOME_STALE},
		{-ENOSPC, VMEMCACHE_OUTCOME_NO_SPACE},
		{-ENOMEM, VMEMCACHE_OUTCOME_NO_MEMORY},
	};

	for (size_t i = 0; i < sizeof(outcomes) / sizeof(outcomes[0]); i++)
		if (outcomes[i].rc == rc) {
			enum vmemcache_outcome outcome = outcomes[i].outcome;
			vmc_count(stripe, vmc_count_of_store(mode, outcome), 1);
			if (vmc_is_space(space))
				vmc_fetch_add_relaxed(
					&space->counted.stores[mode][outcome],
					1);
		}
}

uint64_t
vmc_cache_pinned_items(struct vmemcache *cache)
{
	return vmc_stripes_left(
		&cache->stripes, VMC_COUNT_PINNED, VMC_COUNT_PINNED_GONE);
}

void
vmc_cache_own_statistics(
	struct vmemcache *space, struct vmemcache_statistics *s)
{
	struct vmemcache *cache = space->root;
	uint64_t sums[VMC_COUNTERS];

	*s = (struct vmemcache_statistics){.struct_size = sizeof(*s)};
	if (!vmc_cache_is_open(cache))
		return;
	if (vmc_is_space(space)) {
		vmc_space_statistics(space, s);
		return;
	}
	struct vmc_nobodys nobodys = vmc_spaces_nobodys(cache);
	vmc_stripes_sum_all(&cache->stripes, sums);
	s->hits = sums[VMC_COUNT_HIT];
	s->misses = sums[VMC_COUNT_MISS];
	s->gets = s->hits + s->misses;
	memcpy(s->stores, sums + VMC_COUNT_STORES, sizeof(s->stores));
	memcpy(s->removals, sums + VMC_COUNT_REMOVALS, sizeof(s->removals));
	s->loads = sums[VMC_COUNT_LOADS];
	s->loads_failed = sums[VMC_COUNT_LOADS_FAILED];
	s->loads_shared = sums[VMC_COUNT_LOADS_SHARED];
	s->touches_lost = sums[VMC_COUNT_TOUCHES_LOST];
	s->removals[VMEMCACHE_REASON_CLEARED] += nobodys.items;
	s->items = less(
		vmc_entries_came(sums) - vmc_entries_went(sums), nobodys.items);
	s->value_bytes =
		less(sums[VMC_COUNT_VALUES] - sums[VMC_COUNT_VALUES_GONE],
			nobodys.value_bytes);
	s->pieces = less(sums[VMC_COUNT_EXTENTS] - sums[VMC_COUNT_EXTENTS_GONE],
		nobodys.pieces);
	s->metadata_bytes = metadata_bytes(
		cache, sums[VMC_COUNT_METADATA], sums[VMC_COUNT_METADATA_GONE]);
	s->pinned_items = sums[VMC_COUNT_PINNED] - sums[VMC_COUNT_PINNED_GONE];
	s->pinned_bytes = sums[VMC_COUNT_PINNED_BYTES] -
			  sums[VMC_COUNT_PINNED_BYTES_GONE];
	s->reservations =
		sums[VMC_COUNT_RESERVED] - sums[VMC_COUNT_RESERVED_GONE];
	s->reserved_bytes = sums[VMC_COUNT_RESERVED_BYTES] -
			    sums[VMC_COUNT_RESERVED_BYTES_GONE];
	s->metadata_limit_bytes = vmc_load_relaxed(&cache->metadata_limit);
	s->block_bytes = block_bytes(cache, &nobodys);
	s->pool_bytes = vmc_load_relaxed(&cache->pool.size);
	s->most_bytes = cache->pool.mapped;
	s->free_runs = vmc_extent_free_runs(cache->extent);
	s->page_bytes = cache->pool.page_size;
}

void
vmc_cache_statistics(struct vmemcache *space, struct vmemcache_statistics *s)
{
	struct vmemcache *cache = space->root;

	vmc_cache_own_statistics(space, s);
	if (!vmc_cache_is_open(cache) || vmc_is_space(space))
		return;
	s->pool_huge_bytes = vmc_pool_huge_bytes(&cache->pool);
	s->metadata_huge_bytes = vmc_memkind_huge_bytes();
}
