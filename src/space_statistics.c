/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * space_statistics.c -- statistics of spaces, and their consistency check
 *
 * Gets are counted per thread and number of the space; stores, removals and
 * pins in the space; the entries that are there in its era (space.c). The
 * counting is atomic, as any thread may evict the space's entries. The number
 * of a deleted space is used again, so a new space keeps what was counted
 * before it.
 *
 * Eras are read under the policy's lock, under which they begin and end.
 */
#include "space.h"

#include "base/error.h"

#include <errno.h>

void
vmc_space_sum_gets(struct vmemcache *cache, uint32_t number, uint64_t *hits,
	uint64_t *misses)
{
	*hits = *misses = 0;
	if (number >= VMC_SPACES_MAX)
		return;
	for (struct vmc_stripe *s = NULL;
		(s = vmc_stripe_older(&cache->stripes, s)) != NULL;) {
		const struct vmc_tally *tally = vmc_tally_of(s, number);
		if (!tally)
			continue;
		*hits += vmc_load_relaxed(&tally->hits);
		*misses += vmc_load_relaxed(&tally->misses);
	}
}

void
vmc_space_statistics(struct vmemcache *space, struct vmemcache_statistics *s)
{
	struct vmemcache *cache = space->root;

	*s = (struct vmemcache_statistics){.struct_size = sizeof(*s)};
	vmc_space_sum_gets(cache, space->number, &s->hits, &s->misses);
	s->hits += vmc_load_relaxed(&space->counted.hits) -
		   space->counted.hits_before;
	s->misses += vmc_load_relaxed(&space->counted.misses) -
		     space->counted.misses_before;
	s->gets = s->hits + s->misses;
	for (unsigned mode = 0; mode < VMEMCACHE_MODES; mode++)
		for (unsigned i = 0; i < VMEMCACHE_OUTCOMES; i++)
			s->stores[mode][i] = vmc_load_relaxed(
				&space->counted.stores[mode][i]);
	for (unsigned i = 0; i < VMEMCACHE_REASONS; i++)
		s->removals[i] = vmc_load_relaxed(&space->counted.removals[i]);
	s->pinned_items = vmc_load_relaxed(&space->counted.pinned_items);
	s->pinned_bytes = vmc_load_relaxed(&space->counted.pinned_bytes);
	/* the era stays under the lock */
	vmc_lock_acquire(&cache->policy_lock);
	const struct vmc_era *era = vmc_load_relaxed(&space->era);
	s->items = vmc_era_items(era);
	s->value_bytes = vmc_load_relaxed(&era->value_bytes);
	s->pieces = vmc_load_relaxed(&era->pieces);
	s->block_bytes = vmc_load_relaxed(&era->held) * cache->block_size;
	vmc_lock_release(&cache->policy_lock);
	s->pool_bytes = vmc_load_relaxed(&cache->pool.size);
	if (space->quota < s->pool_bytes / cache->block_size)
		s->pool_bytes = space->quota * cache->block_size;
	s->page_bytes = cache->pool.page_size;
}

/* vmc_index_visit_fn */
static void
add_cleared(void *leaf, void *arg)
{
	const struct vmc_entry *e = leaf;
	vmc_runs runs = vmc_entry_runs(e);
	struct vmc_nobodys *sum = arg;
	uint64_t pieces;

	vmc_runs_view(&runs, &pieces);
	sum->items++;
	sum->value_bytes += vmc_entry_value_size(e);
	sum->pieces += pieces;
	sum->blocks += vmc_runs_blocks(&runs);
}

/*
 * Nothing counts what goes in one step when the cache itself is cleared: so
 * what is left of that is walked.
 */
struct vmc_nobodys
vmc_spaces_nobodys(struct vmemcache *cache)
{
	struct vmc_spaces *spaces = vmc_load_acquire(&cache->spaces);
	struct vmc_nobodys sum = {0};

	if (!spaces)
		return sum;
	vmc_lock_acquire(&cache->policy_lock);
	const struct vmc_era *era = spaces->ended;
	for (unsigned i = spaces->ended_count; i > 0; i--, era = era->next) {
		sum.items += vmc_era_items(era);
		sum.value_bytes += vmc_load_relaxed(&era->value_bytes);
		sum.pieces += vmc_load_relaxed(&era->pieces);
		sum.blocks += vmc_load_relaxed(&era->held);
	}
	vmc_lock_release(&cache->policy_lock);
	vmc_cleared_walk(cache, add_cleared, &sum);
	return sum;
}

/* Of all eras, or of the index. */
struct totals {
	struct vmemcache *cache;
	uint64_t items, value_bytes, blocks;
	uint64_t coming; /* blocks that are admitted, and not there yet */
	bool claimed;
};

/* vmc_index_visit_fn */
static void
add_leaf(void *leaf, void *arg)
{
	const struct vmc_entry *e = leaf;
	struct totals *t = arg;

	if (!vmc_entry_is_marked(e))
		return;
	t->items++;
	t->value_bytes += vmc_entry_value_size(e);
	t->blocks += vmc_entry_blocks(e);
}

static int
add_era_to(const struct vmc_era *era, struct totals *t, uint64_t *held)
{
	uint64_t nodes;
	int rc = era->policy->ops->check(era->policy, &nodes);

	*held += nodes;
	t->items += vmc_era_items(era);
	t->value_bytes += vmc_load_relaxed(&era->value_bytes);
	t->blocks += vmc_load_relaxed(&era->held);
	t->coming += vmc_load_relaxed(&era->admitted) -
		     vmc_load_relaxed(&era->settled);
	t->claimed |= vmc_load_relaxed(&era->claimed) != 0;
	return rc;
}

int
vmc_spaces_check(struct vmemcache *cache, uint64_t *held)
{
	struct vmc_spaces *spaces = vmc_load_acquire(&cache->spaces);
	struct totals eras = {.cache = cache}, leaves = {.cache = cache};
	uint64_t position = 0;
	int rc = 0;

	if (!spaces)
		return 0;
	for (struct vmemcache *s = spaces->first; s && rc == 0;
		s = s->next_space)
		rc = add_era_to(vmc_load_relaxed(&s->era), &eras, held);
	const struct vmc_era *era = spaces->ended;
	for (unsigned i = spaces->ended_count; i > 0 && rc == 0;
		i--, era = era->next)
		rc = add_era_to(era, &eras, held);
	if (rc)
		return rc;
	do
		if (spaces->index)
			vmc_index_walk(
				spaces->index, &position, add_leaf, &leaves);
	while (position != 0);
	if (spaces->index && vmc_index_check(spaces->index))
		return -EINVAL;
	if (eras.items != leaves.items || eras.claimed ||
		eras.value_bytes != leaves.value_bytes ||
		eras.blocks != leaves.blocks + eras.coming)
		return vmc_fail_const(EINVAL, "spaces: miscounted");
	return 0;
}
