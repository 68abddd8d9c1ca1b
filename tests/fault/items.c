/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * items.c -- the calls on items while any call to the system or for memory
 * fails
 *
 * What fails says so with ENOMEM and changes nothing: what was there is there,
 * whole, and what was not is not. Once nothing fails any more the same cache
 * works, and all can be given back.
 */
#include "each.h"
#include "items.h"

enum { KEYS = 24, LARGE = 30, PINS = 6 };

/* Do the caches keep their keys in order? */
static bool ordered;

struct scene {
	VMEMcache *cache;
	bool roomy; /* nothing is evicted */
	bool there[KEYS + LARGE];
	struct vmemcache_item pins[PINS];
	uint64_t pinned[PINS];
	char value[70000];
};

static size_t
size_of(uint64_t key)
{
	return key < KEYS ? 100 + key * 300 : 50000 + key * 300;
}

/* Has it gone well? If not, because memory was made to fail. */
static bool
done(bool fine)
{
	if (!fine) {
		each_expect(each_excuse(errno) && errno == ENOMEM);
		each_expect(*vmemcache_errormsg());
	}
	vmc_fail_const(1, "");
	return fine;
}

static struct vmemcache_store
how_of(uint64_t key)
{
	return (struct vmemcache_store){
		.struct_size = sizeof(struct vmemcache_store),
		.flags = key % 3 ? 0 : VMEMCACHE_KEEP_TTL,
		.ttl_ms = key % 2 ? 3600000 : 0,
		.tag = (uint32_t)key % 4};
}

static void
store(struct scene *s, uint64_t key)
{
	struct vmemcache_store how = how_of(key);
	uint64_t version = 0;

	value_fill(s->value, size_of(key), 0, key, 1);
	s->there[key] |= done(
		vmemcache_store(s->cache, &key, sizeof(key), s->value,
			size_of(key), &how, key % 5 ? NULL : &version) == 0);
}

static void
store_many(struct scene *s, uint64_t first)
{
	struct vmemcache_store_request requests[2];
	struct vmemcache_store how = how_of(first);
	uint64_t keys[2] = {first, (first + 7) % KEYS};
	char *value = s->value;

	for (unsigned i = 0; i < 2; i++) {
		value_fill(value, size_of(keys[i]), 0, keys[i], 1);
		requests[i] = (struct vmemcache_store_request){.key = &keys[i],
			.key_size = sizeof(keys[i]),
			.value = value,
			.value_size = size_of(keys[i]),
			.how = &how};
		value += size_of(keys[i]);
	}
	if (!done(vmemcache_store_many(s->cache, requests, 2) >= 0))
		return;
	for (unsigned i = 0; i < 2; i++) {
		errno = -requests[i].result;
		if (errno == 0)
			s->there[keys[i]] = true;
		else
			each_expect(each_excuse(errno) && errno == ENOMEM);
	}
}

static void
make_in_place(struct scene *s, uint64_t key)
{
	struct vmemcache_store how = how_of(key);
	struct vmemcache_item item;
	size_t at = 0;

	if (!done(vmemcache_reserve(s->cache, &key, sizeof(key),
			  size_of(key) + 300, &how, &item) == 0))
		return;
	for (int i = 0; i < item.iov_count; i++) {
		value_fill(
			item.iov[i].iov_base, item.iov[i].iov_len, at, key, 1);
		at += item.iov[i].iov_len;
	}
	if (key % 4 == 0)
		vmemcache_abort(s->cache, &item);
	else
		s->there[key] |= done(vmemcache_commit(s->cache, &item,
					      size_of(key), NULL) == 0);
	each_expect(item.iov_count == -1);
}

static void
check_pieces(uint64_t key, const struct vmemcache_item *item)
{
	size_t at = 0;

	for (int i = 0; i < item->iov_count; i++) {
		each_expect(value_is(item->iov[i].iov_base,
			item->iov[i].iov_len, at, key, 1));
		at += item->iov[i].iov_len;
	}
	each_expect(item->iov_count < 0 || at == size_of(key));
}

static void
pin(struct scene *s, uint64_t key)
{
	unsigned i = (unsigned)key % PINS;

	check_pieces(s->pinned[i], &s->pins[i]);
	vmemcache_unpin(s->cache, &s->pins[i]);
	s->pinned[i] = key;
	int rc = vmemcache_pin(
		s->cache, &key, sizeof(key), VMEMCACHE_PEEK, &s->pins[i]);
	each_expect((rc == 0) == (s->pins[i].iov_count >= 0));
	if (rc && errno == ENOENT)
		each_expect(!s->roomy || !s->there[key]);
	else
		(void)done(rc == 0);
	check_pieces(key, &s->pins[i]);
}

/* It is known whether it is there, and it is whole. */
static void
check_key(struct scene *s, uint64_t key)
{
	ssize_t n = vmemcache_fetch(s->cache, &key, sizeof(key), s->value,
		sizeof(s->value), 0, 0, NULL);

	if (n < 0 && errno == ENOENT)
		each_expect(!s->roomy || !s->there[key]);
	else if (done(n >= 0))
		each_expect(s->there[key] && (size_t)n == size_of(key) &&
			    value_is(s->value, size_of(key), 0, key, 1));
}

static void
touch(struct scene *s, uint64_t key)
{
	int rc = vmemcache_touch(s->cache, &key, sizeof(key), 1800000);

	if (rc && errno != EAGAIN && (s->there[key] || errno != ENOENT))
		(void)done(rc == 0);
}

static void
drop(struct scene *s, uint64_t key)
{
	ssize_t rc;

	if (key % 2)
		rc = vmemcache_remove_prefix(s->cache, &key, sizeof(key));
	else
		rc = vmemcache_remove(s->cache, &key, sizeof(key), 0);
	if ((rc && errno == ENOENT) || done(rc >= 0))
		s->there[key] = false;
}

static enum vmemcache_step
on_item(VMEMcache *cache, const void *key, size_t key_size,
	const struct vmemcache_item *item, void *arg)
{
	uint64_t number;

	(void)cache, (void)arg;
	each_expect(key_size == sizeof(number));
	memcpy(&number, key, sizeof(number));
	check_pieces(number, item);
	return VMEMCACHE_WALK_ON;
}

static void
on_remove(VMEMcache *cache, const void *key, size_t key_size,
	const struct vmemcache_item *item, enum vmemcache_reason reason,
	void *arg)
{
	(void)reason;
	(void)on_item(cache, key, key_size, item, arg);
}

static void
use_small_ones(struct scene *s)
{
	uint64_t cursor = 0;

	s->roomy = true;
	for (uint64_t round = 0; round < 2; round++)
		for (uint64_t key = 0; key < KEYS; key++) {
			if (key % 3 == 0)
				store(s, key);
			else if (key % 3 == 1)
				make_in_place(s, key);
			else
				store_many(s, key);
			touch(s, (key + 5) % KEYS);
			pin(s, (key + 2) % KEYS);
			if (key % 5 == 4)
				drop(s, key - 2);
			check_key(s, key);
		}
	(void)done(vmemcache_walk(s->cache, &cursor, SIZE_MAX, on_item, NULL) >=
		   0);
	(void)done(vmemcache_walk_prefix(s->cache, NULL, 0, NULL, 0, SIZE_MAX,
			   on_item, NULL) >= 0);
	s->roomy = false;
	(void)done(vmemcache_clear(s->cache) == 0);
}

/* At the latest when that has failed nothing fails any more. */
static void
clear(struct scene *s)
{
	if (done(vmemcache_clear(s->cache) == 0))
		return;
	each_recover();
	each_expect(vmemcache_clear(s->cache) == 0);
}

static void
check(struct scene *s)
{
	each_expect(vmc_cache_check(s->cache) == 0);
	for (unsigned i = 0; i < PINS; i++) {
		check_pieces(s->pinned[i], &s->pins[i]);
		vmemcache_unpin(s->cache, &s->pins[i]);
	}
	clear(s);
	s->roomy = true;
	memset(s->there, 0, sizeof(s->there));
	for (uint64_t key = 0; key < KEYS; key++) {
		store(s, key);
		check_key(s, key);
	}
	clear(s);
	each_expect(vmc_cache_check(s->cache) == 0);
	each_expect(fixture_stat(s->cache, VMEMCACHE_STAT_ENTRIES) == 0);
	each_expect(fixture_stat(s->cache, VMEMCACHE_STAT_POOL_SIZE_USED) == 0);
	each_expect(fixture_stat(s->cache, VMEMCACHE_STAT_DRAM_SIZE_USED) == 0);
	each_expect(fixture_stat(s->cache, VMEMCACHE_STAT_EXTENTS) == 0);
	each_expect(vmc_cache_pinned_items(s->cache) == 0);
}

static void
use_items(void)
{
	static struct scene s;

	s = (struct scene){.cache = vmemcache_new()};
	for (unsigned i = 0; i < PINS; i++)
		s.pins[i].iov_count = -1;
	if (!done(s.cache != NULL))
		return;
	vmemcache_callback_on_remove(s.cache, on_remove, NULL);
	each_expect(vmemcache_set_ordered(s.cache, ordered) == 0);
	if (vmemcache_add(s.cache, FIXTURE_DIR) != 0) {
		each_expect(each_excuse(errno));
	} else {
		use_small_ones(&s);
		/* these evict each other, and have several pieces */
		for (uint64_t key = KEYS; key < KEYS + LARGE; key++) {
			if (key % 2)
				store(&s, key);
			else
				make_in_place(&s, key);
			pin(&s, key);
			check_key(&s, key - 1);
		}
		each_recover();
		check(&s);
	}
	vmemcache_delete(s.cache);
}

static void
items(void **state)
{
	(void)state;
	each_call(&(struct each){"items", use_items, NULL});
}

static void
items_in_order(void **state)
{
	(void)state;
	ordered = true;
	each_call(&(struct each){"items in order", use_items, NULL});
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(items),
		cmocka_unit_test(items_in_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
