/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pins.c -- values where they are: pin, pin_many, unpin, region
 */
#include "items.h"

#include "item.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SIZE = 1000, LARGE = 128 * 1024, FULL = 8 /* of these in a pool */ };

static int
pin(VMEMcache *cache, uint64_t key, struct vmemcache_item *item)
{
	return vmemcache_pin(cache, &key, sizeof(key), 0, item);
}

/* Its pieces are that version of the value of the key. */
static bool
item_is(const struct vmemcache_item *item, uint64_t key, uint64_t version,
	size_t size)
{
	size_t at = 0;

	for (int i = 0; i < item->iov_count; i++) {
		const struct iovec *piece = &item->iov[i];
		if (!value_is(
			    piece->iov_base, piece->iov_len, at, key, version))
			return false;
		at += piece->iov_len;
	}
	return at == size && item->info.value_size == size &&
	       item->info.struct_size == sizeof(item->info);
}

static void
check_pinned(VMEMcache *cache, uint64_t items, uint64_t bytes)
{
	struct vmemcache_statistics s = {.struct_size = sizeof(s)};

	assert_int_equal(vmemcache_statistics(cache, &s), 0);
	assert_int_equal(s.pinned_items, items);
	assert_int_equal(s.pinned_bytes, bytes);
}

static void
test_a_value_stays_under_its_pin(void **state)
{
	VMEMcache *cache = fixture_open(0, 0, VMEMCACHE_REPLACEMENT_LRU);
	struct vmemcache_item item;

	(void)state;
	assert_int_equal(fixture_put(cache, 1, 1, SIZE), 0);
	assert_int_equal(pin(cache, 1, &item), 0);
	assert_int_equal(item.iov_count, 1);
	assert_true(item_is(&item, 1, 1, SIZE));
	check_pinned(cache, 1, SIZE);
	/* whatever happens to the key */
	assert_int_equal(fixture_evict(cache, 1), 0);
	assert_int_equal(fixture_exists(cache, 1), 0);
	fixture_check(cache);
	assert_int_equal(fixture_put(cache, 1, 2, SIZE), 0);
	for (uint64_t key = 2; key < 5000; key++)
		assert_int_equal(fixture_put(cache, key, 1, SIZE), 0);
	assert_true(item_is(&item, 1, 1, SIZE));
	check_pinned(cache, 1, SIZE);
	fixture_check(cache);
	vmemcache_unpin(cache, &item);
	assert_int_equal(item.iov_count, -1);
	check_pinned(cache, 0, 0);
	vmemcache_unpin(cache, &item); /* that is nothing */
	while (vmemcache_evict(cache, NULL, 0) == 0)
		;
	fixture_check_empty(cache);
	vmemcache_delete(cache);
}

static void
test_sizes(void **state)
{
	static const size_t sizes[] = {0, 1, 255, 256, 257, 65536, 1 << 20};
	VMEMcache *cache = fixture_open(0, 0, VMEMCACHE_REPLACEMENT_LRU);

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct vmemcache_item item;
		assert_int_equal(fixture_put(cache, i, 1, sizes[i]), 0);
		assert_int_equal(pin(cache, i, &item), 0);
		assert_int_equal(item.iov_count, sizes[i] > 0);
		assert_true(item_is(&item, i, 1, sizes[i]));
		vmemcache_unpin(cache, &item);
	}
	vmemcache_delete(cache);
}

/* Every other block is free: a value of ten blocks has ten pieces. */
static void
test_many_pieces(void **state)
{
	VMEMcache *cache = fixture_open(0, 0, VMEMCACHE_REPLACEMENT_NONE);
	uint64_t blocks = VMEMCACHE_MIN_POOL / VMEMCACHE_MIN_EXTENT;
	struct vmemcache_item item;

	(void)state;
	for (uint64_t key = 0; key < blocks; key++)
		assert_int_equal(
			fixture_put(cache, key, 1, VMEMCACHE_MIN_EXTENT), 0);
	for (uint64_t key = 0; key < blocks; key += 2)
		assert_int_equal(fixture_evict(cache, key), 0);
	for (size_t pieces = 1; pieces <= 10; pieces++) {
		size_t size = pieces * VMEMCACHE_MIN_EXTENT - 7;
		assert_int_equal(fixture_put(cache, 2 * blocks, 3, size), 0);
		assert_int_equal(pin(cache, 2 * blocks, &item), 0);
		assert_int_equal(item.iov_count, pieces);
		assert_true(item_is(&item, 2 * blocks, 3, size));
		assert_int_equal(fixture_evict(cache, 2 * blocks), 0);
		assert_true(item_is(&item, 2 * blocks, 3, size));
		vmemcache_unpin(cache, &item);
	}
	while (blocks-- > 0)
		(void)fixture_evict(cache, blocks);
	fixture_check_empty(cache);
	vmemcache_delete(cache);
}

/* What is pinned is no victim, and when all is there is no room at once. */
static void
test_all_pinned(void **state)
{
	VMEMcache *cache = fixture_open(0, 0, VMEMCACHE_REPLACEMENT_LRU);
	struct vmemcache_item items[FULL];

	(void)state;
	for (uint64_t key = 0; key < FULL; key++)
		assert_int_equal(fixture_put(cache, key, 1, LARGE), 0);
	for (uint64_t key = 0; key < FULL; key++)
		assert_int_equal(pin(cache, key, &items[key]), 0);
	for (int i = 0; i < 3; i++)
		assert_fails(fixture_put(cache, 99, 1, 1), ENOSPC);
	assert_fails(vmemcache_evict(cache, NULL, 0), ESRCH);
	fixture_check(cache);
	check_pinned(cache, FULL, FULL * LARGE);
	/* one is let go of: that one is evicted */
	vmemcache_unpin(cache, &items[3]);
	fixture_check(cache);
	assert_int_equal(fixture_put(cache, 99, 1, 1), 0);
	assert_int_equal(fixture_exists(cache, 3), 0);
	for (uint64_t key = 0; key < FULL; key++)
		if (key != 3)
			assert_true(item_is(&items[key], key, 1, LARGE));
	for (uint64_t key = 0; key < FULL; key++)
		vmemcache_unpin(cache, &items[key]);
	fixture_check(cache);
	/* and they are all victims again */
	for (uint64_t key = 100; key < 100 + FULL; key++)
		assert_int_equal(fixture_put(cache, key, 1, LARGE), 0);
	for (uint64_t key = 0; key < FULL; key++)
		assert_int_equal(fixture_exists(cache, key), 0);
	fixture_check(cache);
	vmemcache_delete(cache);
}

struct in_callback {
	struct vmemcache_item item;
	unsigned calls;
};

static void
pin_victim(VMEMcache *cache, const void *key, size_t key_size, void *arg)
{
	struct in_callback *c = arg;

	if (c->calls++ == 0)
		assert_int_equal(
			vmemcache_pin(cache, key, key_size, 0, &c->item), 0);
}

/* An entry in on_evict can be pinned; the put finds another victim. */
static void
test_pinned_while_it_goes(void **state)
{
	VMEMcache *cache = fixture_open(0, 0, VMEMCACHE_REPLACEMENT_LRU);
	struct in_callback c = {.calls = 0};

	(void)state;
	for (uint64_t key = 0; key < FULL; key++)
		assert_int_equal(fixture_put(cache, key, 1, LARGE), 0);
	vmemcache_callback_on_evict(cache, pin_victim, &c);
	assert_int_equal(fixture_put(cache, 99, 1, LARGE), 0);
	assert_int_equal(c.calls, 2);
	assert_int_equal(fixture_exists(cache, 0), 0);
	assert_int_equal(fixture_exists(cache, 1), 0);
	assert_true(item_is(&c.item, 0, 1, LARGE));
	fixture_check(cache);
	vmemcache_unpin(cache, &c.item);
	/* its blocks are free */
	assert_int_equal(fixture_put(cache, 100, 1, LARGE), 0);
	assert_int_equal(c.calls, 2);
	fixture_check(cache);
	vmemcache_delete(cache);
}

/* More than an entry has room for, and in any order. */
static void
test_many_pins_of_one_item(void **state)
{
	enum { PINS = 4000 };
	VMEMcache *cache = fixture_open(0, 0, VMEMCACHE_REPLACEMENT_LRU);
	struct vmemcache_item *items = calloc(PINS, sizeof(*items));

	(void)state;
	assert_non_null(items);
	assert_int_equal(fixture_put(cache, 1, 1, SIZE), 0);
	assert_int_equal(fixture_put(cache, 2, 1, SIZE), 0);
	for (unsigned round = 0; round < 4; round++) {
		for (unsigned i = 0; i < PINS; i++)
			assert_int_equal(pin(cache, 1 + i % 2, &items[i]), 0);
		check_pinned(cache, 2, 2 * SIZE);
		for (unsigned k = 0; k < PINS; k++) {
			unsigned i = round % 2 ? k : PINS - 1 - k;
			assert_true(item_is(&items[i], 1 + i % 2, 1, SIZE));
			vmemcache_unpin(cache, &items[i]);
			if (round == 2 && k == PINS / 2)
				assert_int_equal(fixture_evict(cache, 1), 0);
		}
		check_pinned(cache, 0, 0);
		fixture_check(cache);
		if (round == 2)
			assert_int_equal(fixture_put(cache, 1, 1, SIZE), 0);
	}
	assert_int_equal(fixture_evict(cache, 1), 0);
	assert_int_equal(fixture_evict(cache, 2), 0);
	fixture_check_empty(cache);
	free(items);
	vmemcache_delete(cache);
}

static void
test_pin_many(void **state)
{
	enum { KEYS = 40, LEADING = 10 };
	VMEMcache *cache = fixture_open(0, 0, VMEMCACHE_REPLACEMENT_LRU);
	struct vmemcache_item items[KEYS];
	struct vmemcache_key keys[KEYS];
	uint64_t numbers[KEYS];

	(void)state;
	for (uint64_t k = 0; k < KEYS; k++) {
		numbers[k] = k;
		keys[k] = (struct vmemcache_key){&numbers[k], sizeof(uint64_t)};
		if (k != LEADING)
			assert_int_equal(fixture_put(cache, k, 1, SIZE), 0);
	}
	assert_int_equal(
		vmemcache_pin_many(cache, keys, KEYS, 0, items), KEYS - 1);
	for (uint64_t k = 0; k < KEYS; k++) {
		if (k == LEADING)
			assert_int_equal(items[k].iov_count, -1);
		else
			assert_true(item_is(&items[k], k, 1, SIZE));
		vmemcache_unpin(cache, &items[k]);
	}
	assert_int_equal(
		vmemcache_pin_many(cache, keys, KEYS, VMEMCACHE_LEADING, items),
		LEADING);
	check_pinned(cache, LEADING, LEADING * SIZE);
	for (uint64_t k = 0; k < KEYS; k++) {
		assert_int_equal(items[k].iov_count, k < LEADING ? 1 : -1);
		vmemcache_unpin(cache, &items[k]);
	}
	check_pinned(cache, 0, 0);
	assert_int_equal(vmemcache_pin_many(cache, NULL, 0, 0, NULL), 0);
	vmemcache_delete(cache);
}

static void
put_it(VMEMcache *cache, const void *key, size_t key_size, void *arg)
{
	(void)arg;
	assert_int_equal(vmemcache_put(cache, key, key_size, "missed", 6), 0);
}

/* A pin is a use, is counted, and asks on_miss as a get does; or is not. */
static void
test_flags(void **state)
{
	VMEMcache *cache = fixture_open(0, 0, VMEMCACHE_REPLACEMENT_LRU);
	struct vmemcache_item item;
	uint64_t key = 7;

	(void)state;
	assert_fails(pin(cache, 7, &item), ENOENT);
	assert_int_equal(item.iov_count, -1);
	vmemcache_callback_on_miss(cache, put_it, NULL);
	assert_fails(vmemcache_pin(cache, &key, sizeof(key),
			     VMEMCACHE_NO_CALLBACK | VMEMCACHE_PEEK, &item),
		ENOENT);
	assert_int_equal(fixture_stat(cache, VMEMCACHE_STAT_MISS), 1);
	assert_int_equal(pin(cache, 7, &item), 0);
	assert_memory_equal(item.iov[0].iov_base, "missed", 6);
	vmemcache_unpin(cache, &item);
	assert_int_equal(fixture_stat(cache, VMEMCACHE_STAT_MISS), 2);
	assert_int_equal(fixture_stat(cache, VMEMCACHE_STAT_HIT), 0);
	assert_int_equal(pin(cache, 7, &item), 0);
	vmemcache_unpin(cache, &item);
	assert_int_equal(fixture_stat(cache, VMEMCACHE_STAT_HIT), 1);
	/* what was pinned is the most recent; not what was looked at so */
	assert_int_equal(fixture_put(cache, 8, 1, SIZE), 0);
	assert_int_equal(fixture_put(cache, 9, 1, SIZE), 0);
	assert_int_equal(pin(cache, 8, &item), 0);
	vmemcache_unpin(cache, &item);
	assert_int_equal(
		vmemcache_pin(cache, &key, sizeof(key), VMEMCACHE_PEEK, &item),
		0);
	vmemcache_unpin(cache, &item);
	assert_int_equal(fixture_stat(cache, VMEMCACHE_STAT_HIT), 2);
	assert_int_equal(vmemcache_evict(cache, NULL, 0), 0);
	assert_int_equal(vmemcache_evict(cache, NULL, 0), 0);
	assert_int_equal(fixture_exists(cache, 8), 1);
	vmemcache_delete(cache);
}

static void
test_bad_input(void **state)
{
	VMEMcache *closed = vmemcache_new();
	VMEMcache *cache = fixture_open(0, 0, VMEMCACHE_REPLACEMENT_LRU);
	struct vmemcache_item items[2];
	struct vmemcache_key keys[2] = {{"a", 1}, {NULL, 1}};

	(void)state;
	assert_fails(vmemcache_pin(NULL, "k", 1, 0, items), EINVAL);
	assert_int_equal(items[0].iov_count, -1);
	assert_fails(vmemcache_pin(closed, "k", 1, 0, items), EINVAL);
	assert_fails(vmemcache_pin(cache, NULL, 1, 0, items), EINVAL);
	assert_fails(vmemcache_pin(cache, "k", SIZE_MAX, 0, items), EINVAL);
	assert_fails(vmemcache_pin(cache, "k", 1, 0, NULL), EINVAL);
	assert_fails(vmemcache_pin(cache, "k", 1, 1u << 20, items), EINVAL);
	assert_fails(
		vmemcache_pin(cache, "k", 1, VMEMCACHE_LEADING, items), EINVAL);
	assert_fails(vmemcache_pin_many(NULL, keys, 1, 0, items), EINVAL);
	assert_fails(vmemcache_pin_many(closed, keys, 1, 0, items), EINVAL);
	assert_fails(vmemcache_pin_many(cache, NULL, 1, 0, items), EINVAL);
	assert_fails(vmemcache_pin_many(cache, keys, 1, 0, NULL), EINVAL);
	assert_fails(vmemcache_pin_many(cache, keys, 2, 0, items), EINVAL);
	assert_int_equal(items[0].iov_count, -1);
	assert_fails(
		vmemcache_pin_many(cache, keys, 1, 1u << 20, items), EINVAL);
	assert_fails(
		vmemcache_pin_many(cache, keys, SIZE_MAX, 0, items), EINVAL);
	vmemcache_unpin(NULL, items);
	vmemcache_unpin(cache, NULL);
	vmemcache_unpin(cache, items);
	vmemcache_unpin(closed, items);
	assert_fails(vmemcache_region(NULL, NULL, NULL, NULL), EINVAL);
	assert_fails(vmemcache_region(closed, NULL, NULL, NULL), EINVAL);
	vmemcache_delete(closed);
	vmemcache_delete(cache);
}

/* All values are there, and a second mapping of the file shows them as well. */
static void
test_region(void **state)
{
	VMEMcache *cache = fixture_open(0, 0, VMEMCACHE_REPLACEMENT_LRU);
	struct vmemcache_item item;
	void *base = NULL;
	size_t size = 0;
	int fd = -1;

	(void)state;
	assert_int_equal(vmemcache_region(cache, &base, &size, &fd), 0);
	assert_int_equal(vmemcache_region(cache, NULL, NULL, NULL), 0);
	assert_int_equal(size, VMEMCACHE_MIN_POOL);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(fixture_put(cache, 1, 1, SIZE), 0);
	assert_int_equal(pin(cache, 1, &item), 0);
	size_t at = (size_t)((char *)item.iov->iov_base - (char *)base);
	assert_true(at <= size - SIZE);
	char *other = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(other, MAP_FAILED);
	assert_true(value_is(other + at, SIZE, 0, 1, 1));
	munmap(other, size);
	close(fd);
	vmemcache_unpin(cache, &item);
	vmemcache_delete(cache);
}

/*
 * A program that closes all descriptors, as daemons do, has closed the pool's;
 * whatever has its number since then is not the cache's to give away or close.
 */
static void
test_descriptor_is_closed_by_others(void **state)
{
	VMEMcache *cache = fixture_open(0, 0, VMEMCACHE_REPLACEMENT_LRU);
	struct stat pool, st;
	int fd, own = -1;

	(void)state;
	assert_int_equal(vmemcache_region(cache, NULL, NULL, &fd), 0);
	assert_int_equal(fstat(fd, &pool), 0);
	close(fd);
	for (int i = 3; i < 256 && own < 0; i++)
		if (fstat(i, &st) == 0 && st.st_ino == pool.st_ino &&
			st.st_dev == pool.st_dev)
			own = i;
	assert_true(own >= 0);
	close(own);
	assert_fails(vmemcache_region(cache, NULL, NULL, &fd), EBADF);
	int pipes[2];
	assert_int_equal(pipe(pipes), 0);
	assert_int_equal(dup2(pipes[0], own), own);
	assert_fails(vmemcache_region(cache, NULL, NULL, &fd), EBADF);
	vmemcache_delete(cache);
	assert_true(fcntl(own, F_GETFD) >= 0);
	close(pipes[1]);
	if (pipes[0] != own)
		close(pipes[0]);
	close(own);
}

struct other {
	VMEMcache *cache;
	struct vmemcache_item *item;
};

static void *
unpin_it(void *arg)
{
	struct other *other = arg;

	vmemcache_unpin(other->cache, other->item);
	return NULL;
}

/* Also by a thread that has made no other call; and the last pin of all. */
static void
test_unpinned_by_another_thread(void **state)
{
	VMEMcache *cache = fixture_open(0, 0, VMEMCACHE_REPLACEMENT_LRU);
	struct vmemcache_item item;
	struct other other = {cache, &item};
	pthread_t thread;

	(void)state;
	for (int evicted = 0; evicted < 2; evicted++) {
		assert_int_equal(fixture_put(cache, 1, 1, SIZE), 0);
		assert_int_equal(pin(cache, 1, &item), 0);
		if (evicted)
			assert_int_equal(fixture_evict(cache, 1), 0);
		assert_int_equal(
			pthread_create(&thread, NULL, unpin_it, &other), 0);
		assert_int_equal(pthread_join(thread, NULL), 0);
		assert_int_equal(item.iov_count, -1);
		if (!evicted)
			assert_int_equal(fixture_evict(cache, 1), 0);
		fixture_check_empty(cache);
	}
	vmemcache_delete(cache);
}

/* Change a count behind the cache's back: a walker must tell, and only then. */
static void
check_found(VMEMcache *cache, const struct vmemcache_item *items, size_t count,
	bool by_walker)
{
	assert_int_equal(vmc_cache_check(cache) != 0, by_walker);
	assert_false(items_are_all_pins(cache, items, count) && !by_walker);
}

static void
check_fine(VMEMcache *cache, const struct vmemcache_item *items, size_t count)
{
	fixture_check(cache);
	assert_true(items_are_all_pins(cache, items, count));
}

/* What is pinned is what is held; where it is not the walkers say so. */
static void
test_walkers(void **state)
{
	enum { PINS = 1100 };
	VMEMcache *cache = items_open();
	struct vmemcache_item *items = calloc(PINS + 1, sizeof(*items));

	(void)state;
	assert_non_null(items);
	assert_int_equal(fixture_put(cache, 1, 1, SIZE), 0);
	assert_int_equal(fixture_put(cache, 2, 1, SIZE), 0);
	items[PINS].iov_count = -1;
	for (unsigned i = 0; i < PINS; i++)
		assert_int_equal(pin(cache, 1, &items[i]), 0);
	check_fine(cache, items, PINS + 1);
	/* a pin of another one, which nobody holds */
	assert_int_equal(pin(cache, 2, &items[PINS]), 0);
	struct vmc_entry *e = items[PINS].entry;
	vmemcache_unpin(cache, &items[PINS]);
	vmc_fetch_add_acq_rel(&e->state, VMC_ENTRY_PIN);
	check_found(cache, items, PINS + 1, true);
	vmc_fetch_sub_acq_rel(&e->state, VMC_ENTRY_PIN);
	/* said to be parked, without a pin */
	vmc_fetch_add_acq_rel(&e->state, VMC_ENTRY_PARKED);
	check_found(cache, items, PINS + 1, true);
	vmc_fetch_sub_acq_rel(&e->state, VMC_ENTRY_PARKED);
	/* parked items that there are not */
	vmc_fetch_add_relaxed(&cache->parked, 1);
	check_found(cache, items, PINS + 1, true);
	vmc_fetch_sub_acq_rel(&cache->parked, 1);
	/* one pin too many of those that are held, and one too few */
	cache->crowds->pins++;
	check_found(cache, items, PINS + 1, false);
	cache->crowds->pins -= 2;
	check_found(cache, items, PINS + 1, false);
	/* a crowd of none, of another one, and of one that has a crowd */
	uint64_t pins = cache->crowds->pins + 1;
	cache->crowds->pins = 0;
	check_found(cache, items, PINS + 1, true);
	cache->crowds->pins = pins;
	struct vmc_crowd other = {cache->crowds, e, 1};
	cache->crowds = &other;
	check_found(cache, items, PINS + 1, true);
	other.entry = items[0].entry;
	check_found(cache, items, PINS + 1, true);
	cache->crowds = other.next;
	/* and so while the key is not in the cache any more */
	assert_int_equal(fixture_evict(cache, 1), 0);
	check_fine(cache, items, PINS + 1);
	for (unsigned i = 0; i < PINS; i++) {
		if (i == PINS / 2)
			check_fine(cache, items, PINS + 1);
		vmemcache_unpin(cache, &items[i]);
	}
	check_fine(cache, items, PINS + 1);
	vmemcache_delete(cache);
	free(items);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_value_stays_under_its_pin),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_many_pieces),
		cmocka_unit_test(test_all_pinned),
		cmocka_unit_test(test_pinned_while_it_goes),
		cmocka_unit_test(test_many_pins_of_one_item),
		cmocka_unit_test(test_pin_many),
		cmocka_unit_test(test_flags),
		cmocka_unit_test(test_bad_input),
		cmocka_unit_test(test_region),
		cmocka_unit_test(test_descriptor_is_closed_by_others),
		cmocka_unit_test(test_unpinned_by_another_thread),
		cmocka_unit_test(test_walkers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
