/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Spaces: keys, callbacks, statistics of their own; quotas and reservations;
 * clearing and deleting, and what becomes of the room.
 */
#include "items.h"

#include "space.h"

#define BLOCK ((size_t)VMEMCACHE_MIN_EXTENT)
#define POOL ((size_t)4 << 20)

static VMEMcache *
new_space(VMEMcache *cache, const char *name, size_t quota, size_t reserved)
{
	const struct vmemcache_space how = {sizeof(how), name, quota, reserved};
	VMEMcache *space = vmemcache_new_space(cache, &how);

	if (!space)
		fail_msg("%s", vmemcache_errormsg());
	return space;
}

static struct vmemcache_statistics
statistics(VMEMcache *cache)
{
	struct vmemcache_statistics s = {.struct_size = sizeof(s)};

	assert_int_equal(vmemcache_statistics(cache, &s), 0);
	return s;
}

static unsigned long long
items(VMEMcache *cache)
{
	return fixture_stat(cache, VMEMCACHE_STAT_ENTRIES);
}

/* Of one block; the value says whose it is. */
static int
put(VMEMcache *cache, uint64_t key, uint64_t owner)
{
	uint64_t value[BLOCK / sizeof(uint64_t)] = {key, owner};

	return vmemcache_put(cache, &key, sizeof(key), value, sizeof(value));
}

static bool
has(VMEMcache *cache, uint64_t key, uint64_t owner)
{
	uint64_t value[2] = {0};
	ssize_t n = vmemcache_get(
		cache, &key, sizeof(key), value, sizeof(value), 0, NULL);

	if (n < 0)
		return false;
	assert_int_equal(n, sizeof(value));
	assert_int_equal(value[0], key);
	assert_int_equal(value[1], owner);
	return true;
}

static void
fails(VMEMcache *cache, const struct vmemcache_space *how, int expected)
{
	errno = 0;
	assert_null(vmemcache_new_space(cache, how));
	assert_int_equal(errno, expected);
}

static void
test_arguments(void **state)
{
	VMEMcache *none = vmemcache_new();
	VMEMcache *cache = fixture_open(POOL, 0, VMEMCACHE_REPLACEMENT_LRU);
	VMEMcache *space = vmemcache_new_space(cache, NULL);
	struct vmemcache_space how = {.struct_size = sizeof(how)};

	(void)state;
	assert_non_null(space);
	fails(NULL, NULL, EINVAL);
	fails(none, NULL, EINVAL);
	fails(space, NULL, EINVAL);
	how.struct_size = 1;
	fails(cache, &how, EINVAL);
	how.struct_size = sizeof(how);
	how.name = "";
	fails(cache, &how, EINVAL);
	how.name = NULL;
	how.quota = BLOCK - 1;
	fails(cache, &how, EINVAL);
	how.quota = BLOCK;
	how.reserved = BLOCK + 1;
	fails(cache, &how, EINVAL);
	how.quota = 0;
	how.reserved = POOL + 1;
	fails(cache, &how, ENOSPC);
	how.reserved = POOL;
	VMEMcache *all = vmemcache_new_space(cache, &how);
	assert_non_null(all);
	how.reserved = 1;
	fails(cache, &how, ENOSPC);
	vmemcache_delete(all);
	all = vmemcache_new_space(cache, &how);
	assert_non_null(all);
	assert_fails(vmemcache_add(space, FIXTURE_DIR), EBUSY);
	assert_fails(vmemcache_set_size(space, POOL), EALREADY);
	vmemcache_delete(space);
	vmemcache_delete(cache); /* and the space that is left */
	vmemcache_delete(none);
}

static void
test_keys_of_their_own(void **state)
{
	VMEMcache *cache = fixture_open(POOL, 0, VMEMCACHE_REPLACEMENT_LRU);
	VMEMcache *a = new_space(cache, "a", 0, 0);
	VMEMcache *b = new_space(cache, "b", 0, 0);
	struct vmemcache_item item;
	uint64_t key = 7;

	(void)state;
	for (uint64_t k = 0; k < 1000; k++) {
		assert_int_equal(put(cache, k, 1), 0);
		assert_false(has(a, k, 0));
		assert_int_equal(put(a, k, 2), 0);
		assert_false(has(b, k, 0));
		assert_int_equal(put(b, k, 3), 0);
		assert_fails(put(a, k, 2), EEXIST);
	}
	for (uint64_t k = 0; k < 1000; k++) {
		assert_true(has(cache, k, 1));
		assert_true(has(a, k, 2));
		assert_true(has(b, k, 3));
	}
	assert_int_equal(vmemcache_evict(a, &key, sizeof(key)), 0);
	assert_fails(vmemcache_evict(a, &key, sizeof(key)), ENOENT);
	assert_int_equal(fixture_exists(a, key), 0);
	assert_int_equal(fixture_exists(b, key), 1);
	assert_int_equal(vmemcache_pin(b, &key, sizeof(key), 0, &item), 0);
	assert_int_equal(statistics(b).pinned_items, 1);
	assert_int_equal(statistics(a).pinned_items, 0);
	assert_int_equal(((const uint64_t *)item.iov[0].iov_base)[1], 3);
	vmemcache_unpin(b, &item);
	assert_int_equal(statistics(b).pinned_items, 0);
	struct vmemcache_statistics s = statistics(a);
	assert_int_equal(s.items, 999);
	assert_int_equal(s.hits, 1000);
	assert_int_equal(s.misses, 1000);
	assert_int_equal(
		s.stores[VMEMCACHE_ADD][VMEMCACHE_OUTCOME_EXISTS], 1000);
	assert_int_equal(s.removals[VMEMCACHE_REASON_EVICTED], 1);
	assert_int_equal(s.block_bytes, 999 * BLOCK);
	assert_int_equal(statistics(cache).items, 2999);
	fixture_check(cache);
	vmemcache_delete(cache);
}

/* A value counts as pinned also once it was removed, or its space cleared. */
static void
test_pinned_and_gone(void **state)
{
	VMEMcache *cache = fixture_open(POOL, 0, VMEMCACHE_REPLACEMENT_LRU);
	VMEMcache *space = new_space(cache, "space", 0, 0);
	uint64_t key = 7;

	(void)state;
	for (int cleared = 0; cleared < 2; cleared++) {
		struct vmemcache_item item;
		assert_int_equal(put(space, key, 3), 0);
		assert_int_equal(
			vmemcache_pin(space, &key, sizeof(key), 0, &item), 0);
		assert_int_equal(
			cleared ? vmemcache_clear(space)
				: vmemcache_evict(space, &key, sizeof(key)),
			0);
		assert_int_equal(statistics(space).items, 0);
		assert_int_equal(statistics(space).pinned_items, 1);
		assert_int_equal(statistics(space).pinned_bytes, BLOCK);
		assert_int_equal(
			((const uint64_t *)item.iov[0].iov_base)[1], 3);
		vmemcache_unpin(space, &item);
		assert_int_equal(statistics(space).pinned_items, 0);
		assert_int_equal(statistics(space).pinned_bytes, 0);
	}
	fixture_check(cache);
	vmemcache_delete(cache);
}

struct told {
	VMEMcache *by;
	unsigned evicted, removed[VMEMCACHE_REASONS], missed;
};

static void
on_evict(VMEMcache *cache, const void *key, size_t key_size, void *arg)
{
	struct told *told = arg;

	(void)key, (void)key_size;
	assert_ptr_equal(cache, told->by);
	told->evicted++;
}

static void
on_remove(VMEMcache *cache, const void *key, size_t key_size,
	const struct vmemcache_item *item, enum vmemcache_reason reason,
	void *arg)
{
	struct told *told = arg;

	(void)key, (void)key_size, (void)item;
	assert_ptr_equal(cache, told->by);
	told->removed[reason]++;
}

static void
on_miss(VMEMcache *cache, const void *key, size_t key_size, void *arg)
{
	struct told *told = arg;

	assert_ptr_equal(cache, told->by);
	told->missed++;
	assert_int_equal(
		vmemcache_put(cache, key, key_size, "xxxxxxxxyyyyyyyy", 16), 0);
}

static void
listen(VMEMcache *space, struct told *told)
{
	told->by = space;
	vmemcache_callback_on_evict(space, on_evict, told);
	vmemcache_callback_on_remove(space, on_remove, told);
	vmemcache_callback_on_miss(space, on_miss, told);
}

static void
test_callbacks(void **state)
{
	VMEMcache *cache = fixture_open(POOL, 0, VMEMCACHE_REPLACEMENT_LRU);
	VMEMcache *a = new_space(cache, "a", 64 * BLOCK, 0);
	VMEMcache *b = new_space(cache, "b", 0, 0);
	struct told of_a = {0}, of_b = {0};
	struct vmemcache_item item;
	char buffer[16];
	uint64_t key = 5;

	(void)state;
	listen(a, &of_a);
	listen(b, &of_b);
	for (uint64_t k = 100; k < 200; k++)
		assert_int_equal(put(a, k, 1), 0);
	assert_int_equal(of_a.evicted, 100 - 64);
	assert_int_equal(of_a.removed[VMEMCACHE_REASON_CAPACITY], 100 - 64);
	assert_int_equal(vmemcache_get(b, &key, sizeof(key), buffer,
				 sizeof(buffer), 0, NULL),
		16);
	assert_memory_equal(buffer, "xxxxxxxxyyyyyyyy", 16);
	assert_int_equal(of_b.missed, 1);
	key = 199;
	assert_int_equal(vmemcache_pin(a, &key, sizeof(key), 0, &item), 0);
	assert_int_equal(vmemcache_clear(a), 0);
	assert_int_equal(of_a.removed[VMEMCACHE_REASON_CLEARED], 64);
	assert_int_equal(of_a.evicted, 100 - 64);
	assert_int_equal(((const uint64_t *)item.iov[0].iov_base)[0], key);
	vmemcache_unpin(a, &item);
	fixture_check(cache);
	assert_int_equal(of_a.missed + of_b.removed[0] + of_b.evicted, 0);
	vmemcache_delete(a);
	vmemcache_delete(b);
	fixture_check(cache);
	vmemcache_delete(cache);
}

static const enum vmemcache_repl_p policies[] = {VMEMCACHE_REPLACEMENT_LRU,
	VMEMCACHE_REPLACEMENT_SIEVE, VMEMCACHE_REPLACEMENT_S3FIFO,
	VMEMCACHE_REPLACEMENT_ADAPTIVE, VMEMCACHE_REPLACEMENT_NONE};
#define POLICIES (sizeof(policies) / sizeof(policies[0]))

/* Cleared: at once for nobody; what it had is used before anything is evicted.
 */
static void
clear_and_fill(enum vmemcache_repl_p policy)
{
	VMEMcache *cache = fixture_open(POOL, 0, policy);
	VMEMcache *a = new_space(cache, "a", 0, 0);
	VMEMcache *b = new_space(cache, "b", 0, 0);
	struct vmemcache_item item;
	uint64_t key = 3, n = POOL / BLOCK / 2;

	for (uint64_t k = 0; k < n; k++) {
		assert_int_equal(put(a, k, 1), 0);
		if (k < n / 2)
			assert_int_equal(put(b, k, 2), 0);
	}
	assert_int_equal(vmemcache_pin(a, &key, sizeof(key), 0, &item), 0);
	assert_int_equal(vmemcache_clear(a), 0);
	struct vmemcache_statistics s = statistics(a);
	assert_int_equal(s.items, 0);
	assert_int_equal(s.value_bytes, 0);
	assert_int_equal(s.block_bytes, 0);
	assert_int_equal(s.removals[VMEMCACHE_REASON_CLEARED], n);
	assert_int_equal(statistics(cache).items, n / 2);
	assert_int_equal(
		statistics(cache).removals[VMEMCACHE_REASON_CLEARED], n);
	for (uint64_t k = 0; k < n; k++)
		assert_int_equal(fixture_exists(a, k), 0);
	fixture_check(cache);
	for (uint64_t k = 0; k < n - 64; k++)
		assert_int_equal(put(a, k, 3), 0);
	assert_int_equal(statistics(b).items, n / 2);
	for (uint64_t k = 0; k < n / 2; k++)
		assert_true(has(b, k, 2));
	assert_int_equal(((const uint64_t *)item.iov[0].iov_base)[1], 1);
	vmemcache_unpin(a, &item);
	vmemcache_delete(a);
	assert_int_equal(statistics(cache).items, n / 2);
	for (uint64_t k = 0; k < n - 64; k++)
		assert_int_equal(put(cache, k, 4), 0);
	assert_int_equal(statistics(b).items, n / 2);
	fixture_check(cache);
	vmemcache_delete(b);
	vmemcache_delete(cache);
}

static void
test_clear(void **state)
{
	(void)state;
	for (unsigned i = 0; i < POLICIES; i++)
		clear_and_fill(policies[i]);
}

static void
quota(enum vmemcache_repl_p policy)
{
	VMEMcache *cache = fixture_open(POOL, 0, policy);
	VMEMcache *a = new_space(cache, "a", 50 * BLOCK, 0);
	char value[51 * BLOCK] = {0};
	uint64_t key = 0;

	for (uint64_t k = 0; k < 500; k++) {
		assert_int_equal(put(cache, k, 1), 0);
		if (policy != VMEMCACHE_REPLACEMENT_NONE || k < 50)
			assert_int_equal(put(a, k, 2), 0);
		else
			assert_fails(put(a, k, 2), ENOSPC);
		assert_int_equal(items(a), k < 50 ? k + 1 : 50);
		assert_int_equal(fixture_stat(a, VMEMCACHE_STAT_POOL_SIZE_USED),
			items(a) * BLOCK);
	}
	assert_int_equal(statistics(a).pool_bytes, 50 * BLOCK);
	assert_int_equal(statistics(cache).items, 550);
	assert_fails(vmemcache_put(a, "k", 1, value, sizeof(value)), ENOSPC);
	assert_int_equal(statistics(a).items, 50);
	if (policy != VMEMCACHE_REPLACEMENT_NONE) {
		assert_int_equal(
			vmemcache_put(a, "k", 1, value, 50 * BLOCK), 0);
		assert_int_equal(statistics(a).items, 1);
		/* while it is replaced it is held twice */
		assert_int_equal(vmemcache_store(a, "k", 1, value, 50 * BLOCK,
					 NULL, NULL),
			0);
		assert_int_equal(statistics(a).items, 1);
		assert_int_equal(statistics(a).block_bytes, 50 * BLOCK);
		/* reserved before a clear */
		struct vmemcache_item item;
		assert_int_equal(
			vmemcache_reserve(a, "r", 1, BLOCK, NULL, &item), 0);
		assert_int_equal(vmemcache_clear(a), 0);
		memset(item.iov[0].iov_base, 'r', BLOCK);
		assert_fails(
			vmemcache_commit(cache, &item, BLOCK, NULL), EINVAL);
		assert_int_equal(vmemcache_commit(a, &item, BLOCK, NULL), 0);
		assert_int_equal(vmemcache_exists(a, "r", 1, NULL), 1);
		assert_int_equal(statistics(a).block_bytes, BLOCK);
		assert_int_equal(vmemcache_evict(a, NULL, 0), 0);
		assert_fails(vmemcache_evict(a, NULL, 0), ESRCH);
		assert_int_equal(put(a, key, 2), 0);
	}
	fixture_check(cache);
	vmemcache_delete(cache);
}

static void
test_quota(void **state)
{
	(void)state;
	for (unsigned i = 0; i < POLICIES; i++)
		quota(policies[i]);
}

static void
test_reserved(void **state)
{
	(void)state;
	for (unsigned i = 0; i + 1 < POLICIES; i++) {
		VMEMcache *cache = fixture_open(POOL, 0, policies[i]);
		VMEMcache *a = new_space(cache, "a", 0, 100 * BLOCK);
		VMEMcache *b = new_space(cache, "b", 0, 0);
		for (uint64_t k = 0; k < 300; k++)
			assert_int_equal(put(a, k, 1), 0);
		for (uint64_t k = 0; k < 3 * POOL / BLOCK; k++) {
			assert_int_equal(put(b, k, 2), 0);
			assert_true(items(a) >= 100);
		}
		assert_int_equal(statistics(a).items, 100);
		for (uint64_t k = 1000; k < 1500; k++)
			assert_int_equal(put(a, k, 1), 0);
		assert_true(statistics(a).items > 400);
		fixture_check(cache);
		vmemcache_delete(cache);
	}
}

/* The space that is used least loses most. */
static void
test_oldest_first(void **state)
{
	VMEMcache *cache = fixture_open(POOL, 0, VMEMCACHE_REPLACEMENT_LRU);
	VMEMcache *idle = new_space(cache, "idle", 0, 0);
	VMEMcache *space[100];
	uint64_t n = POOL / BLOCK;

	(void)state;
	for (unsigned i = 0; i < 100; i++)
		space[i] = new_space(cache, NULL, 0, 0);
	for (uint64_t k = 0; k < n / 2; k++)
		assert_int_equal(put(idle, k, 1), 0);
	for (uint64_t k = 0; k < n / 4; k++)
		assert_int_equal(put(space[k % 100], k, 2), 0);
	for (uint64_t k = n; k < n + n / 2; k++) {
		assert_int_equal(put(cache, k, 3), 0);
		has(space[k % 100], (k * 7919) % (n / 4), 2);
	}
	assert_true(statistics(idle).items < n / 4 + n / 16);
	fixture_check(cache);
	vmemcache_delete(cache);
}

static enum vmemcache_step
count(VMEMcache *cache, const void *key, size_t key_size,
	const struct vmemcache_item *item, void *arg)
{
	(void)cache, (void)key, (void)key_size, (void)item;
	++*(unsigned *)arg;
	return VMEMCACHE_WALK_REMOVE;
}

static void
test_walk(void **state)
{
	VMEMcache *cache = fixture_open(POOL, 0, VMEMCACHE_REPLACEMENT_LRU);
	VMEMcache *a = new_space(cache, "a", 0, 0);
	uint64_t cursor = 0;
	unsigned shown = 0;

	(void)state;
	for (uint64_t k = 0; k < 500; k++) {
		assert_int_equal(put(cache, k, 1), 0);
		assert_int_equal(put(a, k, 2), 0);
	}
	assert_int_equal(
		vmemcache_walk(a, &cursor, SIZE_MAX, count, &shown), 500);
	assert_int_equal(statistics(a).items, 0);
	assert_int_equal(statistics(cache).items, 500);
	assert_int_equal(vmemcache_clear(cache), 0);
	assert_int_equal(statistics(cache).items, 0);
	fixture_check(cache);
	vmemcache_delete(cache);
}

#define MANY 3000u

static void
test_many(void **state)
{
	VMEMcache *cache = fixture_open(POOL, 0, VMEMCACHE_REPLACEMENT_LRU);
	VMEMcache *space[MANY];

	(void)state;
	for (unsigned i = 0; i < MANY; i++) {
		space[i] = new_space(cache, NULL, 0, 0);
		assert_int_equal(put(space[i], 1, i), 0);
	}
	for (unsigned i = 0; i < MANY; i++)
		assert_true(has(space[i], 1, i));
	for (unsigned i = 0; i < MANY; i += 2)
		vmemcache_delete(space[i]);
	for (unsigned i = 0; i < MANY; i += 2) {
		space[i] = new_space(cache, NULL, 0, 0);
		assert_false(has(space[i], 1, i));
		assert_int_equal(fixture_stat(space[i], VMEMCACHE_STAT_GET), 1);
	}
	for (unsigned i = 1; i < MANY; i += 2)
		assert_true(has(space[i], 1, i));
	fixture_check(cache);
	vmemcache_delete(cache);
}

/*
 * As many as there may be, of which all but a few are only said to be there.
 * Some are deleted while what they had is pinned, which keeps their numbers:
 * others take their place, and count.
 */
static void
test_as_many_as_may_be(void **state)
{
	enum { FEW = 300, PINNED = 20 };
	VMEMcache *cache = fixture_open(POOL, 0, VMEMCACHE_REPLACEMENT_LRU);
	VMEMcache *space[FEW];
	struct vmemcache_item item[PINNED];
	const uint64_t key = 1;

	(void)state;
	vmemcache_delete(new_space(cache, NULL, 0, 0));
	struct vmc_spaces *spaces = vmc_load_acquire(&cache->spaces);
	spaces->count = spaces->numbers = VMC_SPACES_MAX - FEW;
	for (unsigned i = 0; i < FEW; i++) {
		space[i] = new_space(cache, NULL, 0, 0);
		assert_int_equal(put(space[i], key, i), 0);
	}
	fails(cache, NULL, ENOSPC);
	for (unsigned i = 0; i < PINNED; i++) {
		assert_int_equal(
			vmemcache_pin(space[i], &key, sizeof(key), 0, &item[i]),
			0);
		vmemcache_delete(space[i]);
	}
	for (unsigned i = 0; i < PINNED; i++) {
		space[i] = new_space(cache, NULL, 0, 0);
		assert_false(has(space[i], key, i));
		assert_int_equal(put(space[i], key, FEW + i), 0);
		assert_true(has(space[i], key, FEW + i));
		struct vmemcache_statistics s = statistics(space[i]);
		assert_int_equal(s.hits, 1);
		assert_int_equal(s.misses, 1);
	}
	fails(cache, NULL, ENOSPC);
	assert_true(spaces->numbers > VMC_SPACES_MAX);
	for (unsigned i = 0; i < PINNED; i++)
		vmemcache_unpin(cache, &item[i]);
	assert_int_equal(statistics(cache).pinned_items, 0);
	assert_int_equal(statistics(cache).hits, (size_t)2 * PINNED);
	fixture_check(cache);
	vmemcache_delete(cache);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_arguments),
		cmocka_unit_test(test_keys_of_their_own),
		cmocka_unit_test(test_pinned_and_gone),
		cmocka_unit_test(test_callbacks),
		cmocka_unit_test(test_clear),
		cmocka_unit_test(test_quota),
		cmocka_unit_test(test_reserved),
		cmocka_unit_test(test_oldest_first),
		cmocka_unit_test(test_walk),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_as_many_as_may_be),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
