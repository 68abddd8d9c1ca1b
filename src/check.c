/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check.c -- the walker of a whole cache: what its parts have agrees
 *
 * For tests, while no thread uses the cache. It calls the consistency checks of
 * the parts, and compares what they found: index, policy and order have the
 * same entries, and as many as the counters say. Entries may be pinned
 * meanwhile. For these it checks:
 *
 *   an entry in the index that has a pin is counted as pinned; more may be,
 *   as those that were removed under a pin are in no structure any more
 *   an entry is PARKED only under a pin, and so many are as are counted
 *   a crowd counts pins of an entry whose word has all that it can count
 *
 * Only their holders know which pins there are: vmc_cache_pins_of() is for
 * comparing with that.
 */
#include "item.h"

#include "base/error.h"

#include <errno.h>

static uint64_t
count_reserved(struct vmemcache *cache)
{
	uint64_t count = 0;

	for (struct vmc_stripe *s = NULL;
		(s = vmc_stripe_next(&cache->stripes, s)) != NULL;)
		count += vmc_reserve_count(&s->reserve);
	return count;
}

/* vmc_index_visit_fn */
static void
add_if_parked(void *leaf, void *count)
{
	const struct vmc_entry *entry = leaf;

	*(uint64_t *)count += vmc_load_relaxed(&entry->node.at) == 0;
}

/* vmc_index_visit_fn */
static void
add_if_empty(void *leaf, void *count)
{
	*(uint64_t *)count += vmc_entry_is_empty(leaf);
}

/* vmc_index_visit_fn */
static void
add_one(void *leaf, void *count)
{
	(void)leaf;
	++*(uint64_t *)count;
}

static void
walk(struct vmc_index *index, vmc_index_visit_fn *add, uint64_t *count)
{
	uint64_t position = 0;

	do
		vmc_index_walk(index, &position, add, count);
	while (position != 0);
}

/* Of all entries: of the cache itself, of spaces, and cleared. */
static uint64_t
count_if(struct vmemcache *cache, vmc_index_visit_fn *add)
{
	const struct vmc_spaces *spaces = vmc_load_acquire(&cache->spaces);
	uint64_t count = 0;

	walk(cache->index, add, &count);
	if (spaces && spaces->index)
		walk(spaces->index, add, &count);
	vmc_cleared_walk(cache, add, &count);
	return count;
}

/* In no place of the policy's, as it is pinned. */
static uint64_t
count_parked(struct vmemcache *cache)
{
	uint64_t count = count_if(cache, add_if_parked);

	return count <= vmc_load_relaxed(&cache->parked) ? count : 0;
}

/* vmc_index_visit_fn */
static void
add_if_pinned(void *leaf, void *count)
{
	const struct vmc_entry *entry = leaf;

	*(uint64_t *)count +=
		vmc_entry_pins(vmc_load_relaxed(&entry->state)) > 0;
}

/* vmc_index_visit_fn */
static void
add_if_said_parked(void *leaf, void *count)
{
	const struct vmc_entry *entry = leaf;

	*(uint64_t *)count +=
		(vmc_load_relaxed(&entry->state) & VMC_ENTRY_PARKED) != 0;
}

/* vmc_index_visit_fn */
static void
add_if_parked_unpinned(void *leaf, void *count)
{
	const struct vmc_entry *entry = leaf;
	uint16_t state = vmc_load_relaxed(&entry->state);

	*(uint64_t *)count +=
		(state & VMC_ENTRY_PARKED) != 0 && vmc_entry_pins(state) == 0;
}

uint64_t
vmc_cache_pins_of(struct vmemcache *cache, const struct vmc_entry *e)
{
	uint64_t pins = vmc_entry_pins(vmc_load_relaxed(&e->state));

	for (const struct vmc_crowd *c = cache->crowds; c; c = c->next)
		if (c->entry == e)
			pins += c->pins - 1; /* itself has one of the word's */
	return pins;
}

static int
check_pins(struct vmemcache *cache)
{
	if (count_if(cache, add_if_pinned) > vmc_cache_pinned_items(cache))
		return vmc_fail_const(
			EINVAL, "cache: pins that are not counted");
	if (count_if(cache, add_if_parked_unpinned) > 0 ||
		count_if(cache, add_if_said_parked) !=
			vmc_load_relaxed(&cache->parked))
		return vmc_fail_const(EINVAL, "cache: parked without a pin");
	for (const struct vmc_crowd *c = cache->crowds; c; c = c->next) {
		bool twice = false;
		for (const struct vmc_crowd *d = c->next; d; d = d->next)
			twice = twice || d->entry == c->entry;
		if (twice || c->pins == 0 ||
			vmc_entry_pins(vmc_load_relaxed(&c->entry->state)) == 0)
			return vmc_fail_const(EINVAL, "cache: a crowd is off");
	}
	return 0;
}

/*
 * All that is in the index of the cache itself is in order, and nothing else
 * but what is cleared, unless its key is in the index again.
 */
static int
check_order(struct vmemcache *cache)
{
	uint64_t own = vmc_index_count(cache->index);
	uint64_t cleared = 0, count = 0;
	int rc = cache->order ? vmc_order_check(cache->order, &count) : 0;

	vmc_cleared_walk(cache, add_one, &cleared);
	if (rc == 0 && cache->order && (count < own || count > own + cleared))
		rc = vmc_fail_const(EINVAL, "cache: order and index differ");
	return rc;
}

int
vmc_cache_check(struct vmemcache *cache)
{
	struct vmc_stripe *own =
		vmc_stripe_of(&cache->stripes, vmc_thread_self());
	uint64_t held;
	uint64_t sums[VMC_COUNTERS];

	vmc_stripes_sum_all(&cache->stripes, sums);
	uint64_t entries = vmc_entries_came(sums) - vmc_entries_went(sums);

	vmc_lock_acquire(&cache->policy_lock);
	vmc_cache_drain_all(cache);
	for (struct vmc_stripe *s = NULL;
		(s = vmc_stripe_next(&cache->stripes, s)) != NULL;)
		vmc_cache_let_go_of_replaced(cache, own, s);
	int rc = cache->policy->ops->check(cache->policy, &held);
	if (rc == 0)
		rc = vmc_spaces_check(cache, &held);
	held += count_reserved(cache);
	held += count_parked(cache);
	vmc_cache_release_policy(cache);
	if (rc == 0)
		rc = vmc_index_check(cache->index);
	if (rc == 0)
		rc = vmc_cleared_check(cache);
	if (rc == 0)
		rc = check_order(cache);
	if (rc == 0)
		rc = vmc_extent_check(cache->extent);
	if (rc == 0)
		rc = vmc_expiry_check(cache);
	if (rc)
		return rc;
	if (count_if(cache, add_one) != entries)
		return vmc_fail_const(
			EINVAL, "cache: index and counters differ");
	/* more: reserved, or pinned and in the cache no more */
	if ((int64_t)count_if(cache, add_if_empty) >
		vmc_load_relaxed(&cache->empties))
		return vmc_fail_const(
			EINVAL, "cache: empty values that are not counted");
	if (cache->wants_touches && held != entries)
		return vmc_fail_const(EINVAL, "cache: policy and index differ");
	return check_pins(cache);
}
