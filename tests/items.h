/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * items.h -- storing and asking, in few words
 */
#ifndef VMC_TESTS_ITEMS_H
#define VMC_TESTS_ITEMS_H

#include "fixture.h"

static inline VMEMcache *
items_open(void)
{
	return fixture_open(0, 0, VMEMCACHE_REPLACEMENT_LRU);
}

/* As fixture_put(). */
static inline int
items_store(VMEMcache *cache, uint64_t key, uint64_t number, size_t size,
	const struct vmemcache_store *how, uint64_t *version)
{
	char *value = malloc(size + 1);

	value_fill(value, size, 0, key, number);
	int rc = vmemcache_store(
		cache, &key, sizeof(key), value, size, how, version);
	int err = errno;
	free(value);
	errno = err;
	return rc;
}

static inline struct vmemcache_store
items_mode(enum vmemcache_mode mode)
{
	return (struct vmemcache_store){
		.struct_size = sizeof(struct vmemcache_store), .mode = mode};
}

static inline struct vmemcache_store
items_flagged(enum vmemcache_mode mode, unsigned flags)
{
	struct vmemcache_store how = items_mode(mode);

	how.flags = flags;
	return how;
}

static inline struct vmemcache_store
items_if_version(uint64_t version)
{
	struct vmemcache_store how = items_mode(VMEMCACHE_IF_VERSION);

	how.if_version = version;
	return how;
}

static inline struct vmemcache_info
items_info(VMEMcache *cache, uint64_t key)
{
	struct vmemcache_info info = {.struct_size = sizeof(info)};

	assert_int_equal(vmemcache_fetch(cache, &key, sizeof(key), NULL, 0, 0,
				 VMEMCACHE_PEEK, &info),
		0);
	assert_int_equal(info.struct_size, sizeof(info));
	return info;
}

static inline int
items_remove(VMEMcache *cache, uint64_t key, uint64_t version)
{
	return vmemcache_remove(cache, &key, sizeof(key), version);
}

/* Write a value to where an item has its pieces; is it there? */
static inline void
items_fill(const struct vmemcache_item *item, uint64_t key, uint64_t version)
{
	size_t at = 0;

	for (int i = 0; i < item->iov_count; i++) {
		value_fill(item->iov[i].iov_base, item->iov[i].iov_len, at, key,
			version);
		at += item->iov[i].iov_len;
	}
}

static inline bool
items_holds(const struct vmemcache_item *item, uint64_t key, uint64_t version)
{
	bool is = true;
	size_t at = 0;

	for (int i = 0; i < item->iov_count; i++) {
		is = is && value_is(item->iov[i].iov_base, item->iov[i].iov_len,
				   at, key, version);
		at += item->iov[i].iov_len;
	}
	return is && at == item->info.value_size;
}

static inline bool
items_are_same(const struct vmemcache_item *a, const struct vmemcache_item *b)
{
	return a->iov_count >= 0 && b->iov_count >= 0 && a->entry == b->entry;
}

/*
 * While nobody uses the cache: these are all pins that there are, also of what
 * is in the cache no more, and each entry counts as many as there are of it.
 */
static inline bool
items_are_all_pins(
	VMEMcache *cache, const struct vmemcache_item *items, size_t count)
{
	uint64_t distinct = 0;

	for (size_t i = 0; i < count; i++) {
		uint64_t held = 0;
		size_t first = 0;
		if (items[i].iov_count < 0)
			continue;
		while (!items_are_same(&items[first], &items[i]))
			first++;
		if (first < i)
			continue;
		for (size_t k = i; k < count; k++)
			held += items_are_same(&items[k], &items[i]);
		if (vmc_cache_pins_of(cache, items[i].entry) != held)
			return false;
		distinct++;
	}
	return vmc_cache_pinned_items(cache) == distinct;
}

#endif
