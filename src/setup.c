/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * setup.c -- making and unmaking a cache, its metadata's memory, statistics
 *
 * Opening builds the modules from the bottom up and closing, which is also the
 * way out of a failed opening, takes them down again; both belong to one
 * thread.
 *
 * Metadata comes from a memkind kind through two views of it. The modules and
 * the entries use the counted view: an allocation adds to the thread's counter
 * of metadata, retiring subtracts at once (the object is no longer part of the
 * cache) and leaves the freeing to the epoch. Limbos use the other view, to
 * free what was already subtracted, and for their own chunks. The memory of the
 * empty modules is the baseline, so an empty cache reports 0.
 */
#include "cache.h"

#include "base/error.h"
#include "base/os.h"
#include "expire.h"
#include "flight.h"
#include "space.h"

#include <errno.h>

static void *
uncounted_alloc(void *ctx, size_t size)
{
	struct vmemcache *cache = ctx;

	return vmc_memkind_malloc(cache->kind, size);
}

static void
uncounted_free(void *ctx, void *ptr, size_t size)
{
	struct vmemcache *cache = ctx;

	vmc_memkind_free_sized(cache->kind, ptr, size);
}

/* Every operation has made sure of its stripe before it allocates. */
static struct vmc_stripe *
own_stripe(struct vmemcache *cache)
{
	return vmc_stripe_of(&cache->stripes, vmc_thread_self());
}

static void *
metadata_alloc(void *ctx, size_t size)
{
	void *p = uncounted_alloc(ctx, size);

	if (p)
		vmc_count(own_stripe(ctx), VMC_COUNT_METADATA, size);
	return p;
}

static void
metadata_free(void *ctx, void *ptr, size_t size)
{
	struct vmemcache *cache = ctx;

	if (!cache->closing)
		vmc_count(own_stripe(cache), VMC_COUNT_METADATA_GONE, size);
	uncounted_free(cache, ptr, size);
}

static void
metadata_retire(void *ctx, void *ptr, size_t size)
{
	struct vmemcache *cache = ctx;

	if (cache->closing) {
		uncounted_free(cache, ptr, size);
		return;
	}
	struct vmc_stripe *stripe = own_stripe(cache);
	vmc_count(stripe, VMC_COUNT_METADATA_GONE, size);
	if (!vmc_limbo_add(&stripe->limbo, &cache->uncounted, ptr, size))
		uncounted_free(cache, ptr, size);
}

/* vmc_order_key_fn */
static struct vmc_order_key
key_of_leaf(const void *leaf)
{
	const struct vmc_entry *entry = leaf;

	return (struct vmc_order_key){entry->key, vmc_entry_key_size(entry)};
}

/* For the order of keys, which tells what of it is in use. */
static int
create_order(struct vmemcache *cache)
{
	const struct vmc_memory memory = {.alloc = uncounted_alloc,
		.free = uncounted_free,
		.retire = metadata_retire,
		.ctx = cache};

	return cache->ordered
		       ? vmc_order_new(&cache->order, key_of_leaf, &memory)
		       : 0;
}

/* vmc_index_hash_fn */
static uint64_t
hash_of_leaf(const void *leaf, const void *cache)
{
	return vmc_cache_hash(cache, leaf);
}

static void
delete_order(struct vmemcache *cache)
{
	for (struct vmc_stripe *s = NULL;
		(s = vmc_stripe_older(&cache->stripes, s)) != NULL;)
		vmc_order_unstock(cache->order, &s->order_stock);
	vmc_order_delete(cache->order);
}

/* What was replaced, and the policy does not have to let go of any more. */
static void
free_replaced(struct vmemcache *cache)
{
	for (struct vmc_stripe *s = NULL;
		(s = vmc_stripe_older(&cache->stripes, s)) != NULL;)
		while (s->replaced_count > 0) {
			struct vmc_entry *e = s->replaced[--s->replaced_count];
			uncounted_free(cache, e, vmc_entry_size(e));
		}
}

/* What the policy may ask of entries. */
static uint64_t
blocks_of_node(const struct vmc_policy_node *node, const void *cache)
{
	size_t size = vmc_entry_value_size(vmc_entry_of_const(node));

	return size ? vmc_cache_blocks_for(cache, size) : 1;
}

static uint64_t
hash_of_node(const struct vmc_policy_node *node, const void *cache)
{
	return vmc_cache_hash(cache, vmc_entry_of_const(node));
}

static uint32_t
cost_of_node(const struct vmc_policy_node *node, const void *cache)
{
	(void)cache;
	return vmc_entry_cost(vmc_entry_of_const(node));
}

int
vmc_cache_create_policy(struct vmemcache *cache, uint64_t blocks,
	struct vmc_policy *first, struct vmc_policy **policy)
{
	const struct vmc_policy_user user = {.blocks = blocks,
		.most_blocks = cache->pool.mapped / cache->block_size,
		.uses = offsetof(struct vmc_entry, used) -
			offsetof(struct vmc_entry, node),
		.blocks_of = blocks_of_node,
		.hash_of = hash_of_node,
		.cost_of = cost_of_node,
		.ctx = cache,
		.first = first};

	return cache->policy_ops->create(policy, &cache->uncounted, &user);
}

static void
drop_entry(void *leaf, void *arg)
{
	struct vmemcache *cache = arg;
	struct vmc_entry *entry = leaf;

	vmc_extent_drop(cache->extent, &entry->runs);
	vmc_free(&cache->memory, entry, vmc_entry_size(entry));
}

/*
 * Nothing is pinned or reserved any more; what the last unpins and aborts have
 * left goes.
 */
static void
drop_what_was_pinned(struct vmemcache *cache)
{
	struct vmc_entry *e = vmc_load_relaxed(&cache->orphans);

	assert(vmc_cache_pinned_items(cache) == 0);
	assert(vmc_stripes_left(&cache->stripes, VMC_COUNT_RESERVED,
		       VMC_COUNT_RESERVED_GONE) == 0);
	while (e) {
		struct vmc_entry *next = vmc_entry_unchain(e);
		drop_entry(e, cache);
		e = next;
	}
	vmc_cache_adopt_abandoned(cache, NULL);
}

/*
 * In a child: the parent's other threads are not there to finish what they
 * were in the middle of at the fork, an entry may be in two bags, a list may
 * begin with what was freed; and in a file the memory is the parent's, who
 * goes on. So nothing of it is looked at. A file is unmapped; what came from a
 * heap stays allocated, in pages that the child shares until it writes to
 * them.
 */
static void
forget_metadata(struct vmemcache *cache)
{
	cache->index = NULL;
	cache->order = NULL;
	cache->policy = NULL;
	cache->extent = NULL;
	vmc_store_relaxed(&cache->flights, NULL);
	cache->ripe_estate = NULL;
	memset(&cache->estate, 0, sizeof(cache->estate));
	/* memkind did not hear of the fork either, and would destroy it */
	if (!vmc_process_was_told(cache->usable_in) &&
		cache->metadata == VMEMCACHE_METADATA_PMEM)
		cache->kind = MEMKIND_DEFAULT;
	for (struct vmc_stripe *s = NULL;
		(s = vmc_stripe_older(&cache->stripes, s)) != NULL;) {
		s->ripe = NULL;
		memset(&s->limbo, 0, sizeof(s->limbo));
		s->replaced_count = 0;
	}
}

void
vmc_cache_close(struct vmemcache *cache)
{
	cache->closing = true;
	vmc_spaces_withdraw(cache);
	vmc_cache_strike_off(cache);
	bool is_lost = vmc_cache_is_open(cache) && vmc_cache_is_foreign(cache);
	if (is_lost)
		forget_metadata(cache);
	else if (vmc_cache_is_open(cache))
		drop_what_was_pinned(cache);
	if (cache->order)
		delete_order(cache);
	if (cache->index)
		vmc_index_delete(cache->index, drop_entry, cache);
	vmc_spaces_close(cache, is_lost, drop_entry);
	if (cache->policy)
		cache->policy->ops->destroy(cache->policy);
	if (cache->extent)
		vmc_extent_delete(cache->extent);
	if (cache->kind) {
		free_replaced(cache);
		vmc_expiry_close(cache);
		vmc_flights_close(cache);
		vmc_limbo_free(cache->ripe_estate, &cache->uncounted);
		vmc_limbo_flush(&cache->estate, &cache->uncounted);
		vmc_stripes_delete(&cache->stripes, &cache->uncounted);
		vmc_lock_destroy(&cache->policy_lock);
		memkind_destroy_kind(cache->kind);
		vmc_memkind_give_back(MEMKIND_DEFAULT);
	}
	if (cache->pool.base)
		vmc_pool_close(&cache->pool);
	cache->index = NULL;
	cache->order = NULL;
	cache->policy = NULL;
	cache->extent = NULL;
	cache->kind = NULL;
	cache->pool = (struct vmc_pool){0};
	vmc_store_relaxed(&cache->usable_in, VMC_OF_NO_PROCESS);
	cache->prefaulted = false;
	cache->looked_at = NULL;
	cache->ripe_estate = NULL;
	cache->estate = (struct vmc_limbo){0};
	cache->reserving = 0;
	vmc_store_relaxed(&cache->stocked_for, 0);
	vmc_store_relaxed(&cache->drained, 0);
	vmc_store_relaxed(&cache->waiting, false);
	vmc_store_relaxed(&cache->resizing, false);
	vmc_store_relaxed(&cache->versions_wanted, cache->on_remove != NULL);
	vmc_store_relaxed(&cache->versions_kept, false);
	vmc_store_relaxed(&cache->versions, 0);
	vmc_store_relaxed(&cache->shrunk, 0);
	vmc_store_relaxed(&cache->left, 0);
	vmc_store_relaxed(&cache->empties, 0);
	vmc_store_relaxed(&cache->told, 0);
	vmc_store_relaxed(&cache->over, false);
	vmc_store_relaxed(&cache->parked, 0);
	vmc_store_relaxed(&cache->orphans, NULL);
	vmc_store_relaxed(&cache->abandoned, NULL);
}

static int
out_of_memory(void)
{
	return vmc_fail_const(ENOMEM, "out of memory");
}

static int
open_pmem_kind(struct vmemcache *cache, const char *path)
{
	memkind_t kind;
	int code = memkind_create_pmem(path, 0, &kind);

	if (code == MEMKIND_ERROR_TOOMANY)
		errno = EMFILE;
	if (cache->pool.is_devdax)
		errno = EINVAL;
	if (code != 0)
		return vmc_fail(errno, "!metadata: no PMEM kind in %s", path);
	cache->kind = kind;
	return 0;
}

/*
 * Preferring the node, not binding to it: the process would be killed when it
 * is full, as the memory is taken page by page, long after mbind(2).
 */
static int
open_kmem_kind(struct vmemcache *cache)
{
	switch (memkind_check_available(MEMKIND_DAX_KMEM_PREFERRED)) {
	case MEMKIND_SUCCESS:
		cache->kind = MEMKIND_DAX_KMEM_PREFERRED;
		return 0;
	case MEMKIND_ERROR_ENVIRON:
		return vmc_fail_const(
			EINVAL, "metadata: a MEMKIND_ variable makes no sense");
	case MEMKIND_ERROR_MALLOC:
		return out_of_memory();
	default:
		return vmc_fail_const(ENODEV,
			"metadata: no KMEM node, or none that is closest");
	}
}

/*
 * What each thread retires waits for readers, in two chunks or more: they have
 * no more than a part of the entries that the cache may have.
 */
static unsigned
limbo_most(uint64_t blocks)
{
	uint64_t most = blocks / 32;

	return most < 128 ? 128 : most > 2046 ? 2046 : (unsigned)most;
}

static int
open_metadata(struct vmemcache *cache, const char *path)
{
	int rc = 0;

	cache->kind = NULL;
	cache->closing = false;
	switch (cache->metadata) {
	case VMEMCACHE_METADATA_PMEM:
		rc = open_pmem_kind(cache, path);
		break;
	case VMEMCACHE_METADATA_KMEM:
		rc = open_kmem_kind(cache);
		break;
	default:
		/* random reads all over it: a get takes 14 % less time */
		vmc_memkind_prefer_huge_pages();
		cache->kind = MEMKIND_DEFAULT;
	}
	if (rc)
		return rc;
	cache->memory = (struct vmc_memory){.alloc = metadata_alloc,
		.free = metadata_free,
		.retire = metadata_retire,
		.ctx = cache};
	cache->uncounted = (struct vmc_memory){
		.alloc = uncounted_alloc, .free = uncounted_free, .ctx = cache};
	vmc_lock_init(&cache->policy_lock, VMC_RANK_POLICY);
	cache->stripes.limbo_most =
		limbo_most(vmc_load_relaxed(&cache->blocks));
	cache->estate.most = cache->stripes.limbo_most;
	return vmc_thread_self() && own_stripe(cache) ? 0 : out_of_memory();
}

/* vmc_pool_progress_fn */
static int
on_progress(size_t done, size_t total, void *arg)
{
	struct vmemcache *cache = arg;
	unsigned mark = vmc_process_mark();
	int stop =
		cache->on_progress(cache, done, total, cache->on_progress_arg);

	if (mark != vmc_process_mark())
		return vmc_cache_fail_foreign();
	return stop ? vmc_fail_const(ECANCELED, "prefault: canceled") : 0;
}

struct vmc_prefault
vmc_cache_prefault_wanted(struct vmemcache *cache)
{
	return (struct vmc_prefault){.threads = cache->prefault_threads,
		.progress = cache->on_progress ? on_progress : NULL,
		.arg = cache};
}

static int
open_pool(struct vmemcache *cache, const char *path)
{
	struct vmc_prefault prefault = vmc_cache_prefault_wanted(cache);

	cache->prefaulted = cache->prefault_threads > 0;
	return vmc_pool_open(&cache->pool, path, cache->size, cache->most,
		cache->prefaulted ? &prefault : NULL);
}

int
vmc_cache_open(struct vmemcache *cache, const char *path)
{
	int rc;

	vmc_process_notice();
	if (cache->size != 0 && cache->block_size > cache->size)
		return vmc_fail_const(
			EINVAL, "extent size larger than the cache");
	rc = open_pool(cache, path);
	if (rc)
		return rc;
	uint64_t blocks =
		vmc_load_relaxed(&cache->pool.size) / cache->block_size;
	vmc_store_relaxed(&cache->blocks, blocks);
	if (blocks == 0) {
		rc = vmc_fail_const(
			EINVAL, "extent size larger than the cache");
		goto close;
	}
	rc = open_metadata(cache, path);
	if (rc)
		goto close;
	rc = vmc_extent_new(&cache->extent, blocks, &cache->memory);
	if (rc)
		goto close;
	cache->wants_touches = cache->policy_ops->wants_touches;
	cache->counts = cache->policy_ops->counts;
	if (vmc_index_new(&cache->index, cache->index_kind, blocks,
		    hash_of_leaf, cache, &cache->memory) ||
		create_order(cache) ||
		vmc_cache_create_policy(cache, blocks, NULL, &cache->policy)) {
		rc = out_of_memory();
		goto close;
	}
	vmc_store_relaxed(&cache->dram_baseline,
		vmc_stripes_left(&cache->stripes, VMC_COUNT_METADATA,
			VMC_COUNT_METADATA_GONE));
	cache->seed = vmc_os_random64();
	vmc_store_relaxed(&cache->generation, 1);
	vmc_store_relaxed(&cache->sole, NULL);
	vmc_store_relaxed(&cache->usable_in, vmc_process_mark());
	vmc_cache_enroll(cache);
	if (cache->bench[VMEMCACHE_BENCH_PREFAULT])
		vmc_cache_prefault(cache);
	return 0;
close:
	vmc_cache_close(cache);
	return rc;
}

void
vmc_cache_prefault(struct vmemcache *cache)
{
	bool resizing = false;

	/* what goes meanwhile must not be touched */
	if (cache->prefaulted ||
		!vmc_cas_acq_rel(&cache->resizing, &resizing, true))
		return;
	cache->prefaulted = true;
	/* a benchmark's convenience: what could not be touched stays cold */
	(void)vmc_pool_prefault(&cache->pool, &(struct vmc_prefault){0});
	vmc_store_release(&cache->resizing, false);
}
