/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * resize.c -- a pool that is made larger and smaller: what stays, what goes,
 * what is in the way
 */
#include "items.h"

#include <pthread.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB ((size_t)1 << 20)
#define BLOCK VMEMCACHE_MIN_EXTENT

static const enum vmemcache_repl_p policies[] = {VMEMCACHE_REPLACEMENT_LRU,
	VMEMCACHE_REPLACEMENT_SIEVE, VMEMCACHE_REPLACEMENT_S3FIFO,
	VMEMCACHE_REPLACEMENT_ADAPTIVE, VMEMCACHE_REPLACEMENT_NONE};
#define POLICIES (sizeof(policies) / sizeof(*policies))

/* The sizes that statistics, the region and the system tell. */
static void
check_size(VMEMcache *cache, size_t size)
{
	struct vmemcache_statistics s = {.struct_size = sizeof(s)};
	struct stat st;
	size_t told;
	int fd;

	assert_int_equal(fixture_stat(cache, VMEMCACHE_STAT_POOL_SIZE), size);
	assert_int_equal(vmemcache_statistics(cache, &s), 0);
	assert_int_equal(s.pool_bytes, size);
	assert_int_equal(vmemcache_region(cache, NULL, &told, &fd), 0);
	assert_int_equal(told, size);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, size);
	/* its memory is there, and no more than its memory */
	assert_in_range(st.st_blocks * 512, size, size + 2 * MIB);
	close(fd);
	fixture_check(cache);
}

static size_t
size_of(uint64_t key)
{
	return 1 + key * 977 % 6000;
}

static uint64_t
fill(VMEMcache *cache, uint64_t from, uint64_t to)
{
	for (uint64_t key = from; key < to; key++)
		assert_int_equal(fixture_put(cache, key, 1, size_of(key)), 0);
	return to;
}

static uint64_t
count_there(VMEMcache *cache, uint64_t from, uint64_t to)
{
	uint64_t there = 0;

	for (uint64_t key = from; key < to; key++)
		if (fixture_exists(cache, key)) {
			assert_true(fixture_has(cache, key, 1, size_of(key)));
			there++;
		}
	return there;
}

static void
remove_all(VMEMcache *cache, uint64_t keys)
{
	for (uint64_t key = 0; key < keys; key++)
		fixture_evict(cache, key);
	fixture_check_empty(cache);
}

/* It gets larger: all is where it was, and what is new is full of room. */
static void
test_grow(void **state)
{
	(void)state;
	for (size_t i = 0; i < POLICIES; i++) {
		VMEMcache *cache = fixture_open(MIB, 0, policies[i]);
		uint64_t keys = fill(cache, 0, 250);

		assert_int_equal(vmemcache_resize(cache, MIB), 0);
		assert_int_equal(vmemcache_resize(cache, 8 * MIB - 1), 0);
		check_size(cache, 8 * MIB);
		keys = fill(cache, keys, 2000);
		assert_int_equal(count_there(cache, 0, keys), keys);
		assert_int_equal(vmemcache_resize(cache, 16 * MIB), 0);
		keys = fill(cache, keys, 4500);
		assert_int_equal(count_there(cache, 0, keys), keys);
		check_size(cache, 16 * MIB);
		assert_int_equal(fixture_stat(cache, VMEMCACHE_STAT_EVICT), 0);
		assert_fails(vmemcache_resize(cache, 16 * MIB + 1), ENOMEM);
		check_size(cache, 16 * MIB);
		remove_all(cache, keys);
		vmemcache_delete(cache);
	}
}

/* It gets smaller: what fits stays, though most of it has to be moved. */
static void
test_everything_fits(void **state)
{
	(void)state;
	for (size_t i = 0; i < POLICIES; i++) {
		VMEMcache *cache = fixture_open(8 * MIB, 0, policies[i]);
		uint64_t keys = fill(cache, 0, 2000), there = 0;

		/* every eighth value, all over the pool */
		for (uint64_t key = 0; key < keys; key++)
			if (key % 8)
				assert_int_equal(fixture_evict(cache, key), 0);
		uint64_t extents = fixture_stat(cache, VMEMCACHE_STAT_EXTENTS);
		uint64_t used =
			fixture_stat(cache, VMEMCACHE_STAT_POOL_SIZE_USED);
		assert_int_equal(vmemcache_resize(cache, MIB), 0);
		check_size(cache, MIB);
		assert_int_equal(
			fixture_stat(cache, VMEMCACHE_STAT_POOL_SIZE_USED),
			used);
		assert_true(
			fixture_stat(cache, VMEMCACHE_STAT_EXTENTS) >= extents);
		for (uint64_t key = 0; key < keys; key += 8, there++)
			assert_true(fixture_has(cache, key, 1, size_of(key)));
		assert_int_equal(
			fixture_stat(cache, VMEMCACHE_STAT_ENTRIES), there);
		assert_int_equal(vmemcache_resize(cache, 2 * MIB), 0);
		check_size(cache, 2 * MIB);
		assert_int_equal(count_there(cache, 0, keys), there);
		remove_all(cache, keys);
		vmemcache_delete(cache);
	}
}

/* The order of LRU is the one that it was, uses and all. */
static void
test_least_useful_go(void **state)
{
	VMEMcache *cache = fixture_open(4 * MIB, 0, VMEMCACHE_REPLACEMENT_LRU);
	uint64_t keys = 3000, there = 0, blocks = 0;

	(void)state;
	for (uint64_t key = 0; key < keys; key++)
		assert_int_equal(fixture_put(cache, key, 1, 1000), 0);
	/* every third is used again */
	for (uint64_t key = 0; key < keys; key += 3)
		assert_true(fixture_has(cache, key, 1, 1000));
	assert_int_equal(vmemcache_resize(cache, MIB), 0);
	check_size(cache, MIB);
	for (uint64_t key = 0; key < keys; key += 3)
		there += (uint64_t)fixture_exists(cache, key);
	assert_int_equal(there, keys / 3);
	for (uint64_t key = keys; key-- > 0;) {
		if (key % 3 == 0)
			continue;
		blocks += 4;
		/* the newest of the others, as many as fit */
		assert_int_equal(fixture_exists(cache, key),
			blocks <= MIB / BLOCK - keys / 3 * 4);
	}
	/* and the next victims are the oldest */
	for (uint64_t key = keys; key < keys + 24; key++)
		assert_int_equal(fixture_put(cache, key, 1, 1000), 0);
	assert_int_equal(fixture_exists(cache, 0), 1);
	assert_int_equal(fixture_put(cache, keys + 24, 1, 1000), 0);
	assert_int_equal(fixture_exists(cache, 0), 0);
	remove_all(cache, 2 * keys);
	vmemcache_delete(cache);
}

/* What is known of a value goes with it. */
static void
test_what_is_known(void **state)
{
	VMEMcache *cache = fixture_open(8 * MIB, 0, VMEMCACHE_REPLACEMENT_LRU);
	struct vmemcache_store how = items_mode(VMEMCACHE_SET);
	uint64_t versions[700];

	(void)state;
	for (uint64_t key = 0; key < 700; key++) {
		how.tag = (uint32_t)key;
		how.ttl_ms = key % 2 ? 1000000 + key : 0;
		assert_int_equal(items_store(cache, key, 1, size_of(key), &how,
					 &versions[key]),
			0);
	}
	for (uint64_t key = 0; key < 690; key++)
		if (key % 4)
			fixture_evict(cache, key);
	assert_int_equal(vmemcache_resize(cache, MIB), 0);
	for (uint64_t key = 0; key < 700; key += key < 690 ? 4 : 1) {
		if (key >= 690 || key % 4 == 0) {
			struct vmemcache_info info = items_info(cache, key);
			assert_int_equal(info.version, versions[key]);
			assert_int_equal(info.tag, key);
			assert_int_equal(info.value_size, size_of(key));
			assert_int_equal(info.ttl_ms < VMEMCACHE_FOREVER,
				key % 2 ? 1 : 0);
		}
	}
	check_size(cache, MIB);
	remove_all(cache, 700);
	vmemcache_delete(cache);
}

/* Pins and reservations stay where they are, and so does the end. */
static void
test_in_the_way(void **state)
{
	VMEMcache *cache = fixture_open(8 * MIB, 0, VMEMCACHE_REPLACEMENT_LRU);
	struct vmemcache_item pinned, reserved;
	uint64_t key = 5000;
	size_t room;

	(void)state;
	fill(cache, 0, 400); /* a bit more than 1 MiB */
	assert_int_equal(
		vmemcache_pin(cache, &(uint64_t){390}, 8, 0, &pinned), 0);
	char *at = pinned.iov[0].iov_base;
	assert_fails(vmemcache_resize(cache, MIB), EBUSY);
	void *base;
	assert_int_equal(vmemcache_region(cache, &base, &room, NULL), 0);
	size_t end = (size_t)(at - (char *)base) + size_of(390);
	end = (end + BLOCK - 1) / BLOCK * BLOCK;
	assert_int_equal(room, (end + 4095) / 4096 * 4096);
	check_size(cache, room);
	assert_ptr_equal(pinned.iov[0].iov_base, at);
	assert_true(items_holds(&pinned, 390, 1));
	/* what fits with it stays */
	assert_true(count_there(cache, 0, 400) > 320);
	/* it may be evicted meanwhile, and its blocks stay */
	assert_int_equal(fixture_evict(cache, 390), 0);
	assert_fails(vmemcache_resize(cache, MIB), EBUSY);
	assert_true(items_holds(&pinned, 390, 1));
	vmemcache_unpin(cache, &pinned);
	assert_int_equal(vmemcache_resize(cache, MIB), 0);
	check_size(cache, MIB);

	assert_int_equal(vmemcache_resize(cache, 4 * MIB), 0);
	fill(cache, 1000, 1350);
	assert_int_equal(vmemcache_reserve(cache, &key, sizeof(key), 100000,
				 NULL, &reserved),
		0);
	assert_fails(vmemcache_resize(cache, MIB), EBUSY);
	items_fill(&reserved, key, 7);
	assert_int_equal(vmemcache_commit(cache, &reserved, 100000, NULL), 0);
	assert_true(fixture_has(cache, key, 7, 100000));
	assert_int_equal(vmemcache_resize(cache, MIB), 0);
	assert_true(fixture_has(cache, key, 7, 100000));
	check_size(cache, MIB);
	remove_all(cache, 6000);
	vmemcache_delete(cache);
}

/* Where nothing may be evicted, it is as small as what is there. */
static void
test_nothing_may_go(void **state)
{
	VMEMcache *cache = fixture_open(4 * MIB, 0, VMEMCACHE_REPLACEMENT_NONE);
	uint64_t keys = fill(cache, 0, 800);

	(void)state;
	assert_fails(vmemcache_resize(cache, MIB), EBUSY);
	assert_int_equal(count_there(cache, 0, keys), keys);
	check_size(cache, fixture_stat(cache, VMEMCACHE_STAT_POOL_SIZE));
	assert_true(fixture_stat(cache, VMEMCACHE_STAT_POOL_SIZE) < 4 * MIB);
	remove_all(cache, keys);
	assert_int_equal(vmemcache_resize(cache, MIB), 0);
	check_size(cache, MIB);
	vmemcache_delete(cache);
}

/* Values in many runs, some of which stay where they are. */
static void
test_in_pieces(void **state)
{
	VMEMcache *cache = fixture_open(4 * MIB, 0, VMEMCACHE_REPLACEMENT_NONE);
	uint64_t large = 100000;

	(void)state;
	for (uint64_t key = 0; key < 4 * MIB / BLOCK; key++)
		assert_int_equal(fixture_put(cache, key, 1, BLOCK), 0);
	for (uint64_t key = 0; key < 4 * MIB / BLOCK; key += 4)
		assert_int_equal(fixture_evict(cache, key), 0);
	assert_int_equal(fixture_put(cache, large, 3, MIB - 1000), 0);
	for (uint64_t key = 0; key < 4 * MIB / BLOCK; key++)
		fixture_evict(cache, key);
	assert_true(fixture_stat(cache, VMEMCACHE_STAT_EXTENTS) > 1000);
	assert_int_equal(vmemcache_resize(cache, 3 * MIB), 0);
	assert_true(fixture_has(cache, large, 3, MIB - 1000));
	check_size(cache, 3 * MIB);
	assert_int_equal(vmemcache_resize(cache, MIB), 0);
	assert_true(fixture_has(cache, large, 3, MIB - 1000));
	check_size(cache, MIB);
	assert_int_equal(fixture_evict(cache, large), 0);
	fixture_check_empty(cache);
	vmemcache_delete(cache);
}

/* --- callbacks --- */

static int errno_of_inner;

static void
resize_again(VMEMcache *cache, const void *key, size_t key_size, void *arg)
{
	(void)key;
	(void)key_size;
	errno_of_inner = vmemcache_resize(cache, *(size_t *)arg) ? errno : 0;
}

static void
test_callbacks_that_resize(void **state)
{
	VMEMcache *cache = fixture_open(4 * MIB, 0, VMEMCACHE_REPLACEMENT_LRU);
	size_t size = 2 * MIB;
	char value[100];

	(void)state;
	fill(cache, 0, 2000);
	vmemcache_callback_on_evict(cache, resize_again, &size);
	errno_of_inner = 0;
	assert_int_equal(vmemcache_resize(cache, 2 * MIB), 0);
	assert_int_equal(errno_of_inner, EALREADY);
	/* of an eviction: the victim is in nobody's way, or is */
	size = MIB;
	assert_int_equal(fixture_evict(cache, 1999), 0);
	assert_true(errno_of_inner == 0 || errno_of_inner == EBUSY);
	vmemcache_callback_on_evict(cache, NULL, NULL);
	assert_int_equal(vmemcache_resize(cache, MIB), 0);
	check_size(cache, MIB);
	/* of a put, which then has more room than it knew */
	size = 3 * MIB;
	vmemcache_callback_on_evict(cache, resize_again, &size);
	fill(cache, 3000, 3400);
	assert_int_equal(errno_of_inner, 0);
	check_size(cache, 3 * MIB);
	vmemcache_callback_on_evict(cache, NULL, NULL);
	/* and of a miss */
	size = 2 * MIB;
	vmemcache_callback_on_miss(cache, resize_again, &size);
	assert_int_equal(
		vmemcache_get(cache, "none", 4, value, 100, 0, NULL), -1);
	assert_int_equal(errno_of_inner, 0);
	check_size(cache, 2 * MIB);
	vmemcache_callback_on_miss(cache, NULL, NULL);
	remove_all(cache, 5000);
	vmemcache_delete(cache);
}

static void
leave(VMEMcache *cache, const void *key, size_t key_size, void *arg)
{
	unsigned *left = arg;

	(void)cache;
	(void)key;
	(void)key_size;
	if ((*left)-- == 0)
		pthread_exit(NULL);
}

static void *
resize_in_thread(void *cache)
{
	(void)vmemcache_resize(cache, MIB);
	return cache;
}

/* One that does not return leaves the cache as large as it was. */
static void
test_callback_is_left(void **state)
{
	(void)state;
	for (unsigned after = 0; after < 300; after += 37) {
		VMEMcache *cache =
			fixture_open(4 * MIB, 0, VMEMCACHE_REPLACEMENT_LRU);
		unsigned left = after;
		pthread_t thread;
		void *result;

		fill(cache, 0, 2000);
		vmemcache_callback_on_evict(cache, leave, &left);
		assert_int_equal(
			pthread_create(&thread, NULL, resize_in_thread, cache),
			0);
		pthread_join(thread, &result);
		assert_null(result);
		vmemcache_callback_on_evict(cache, NULL, NULL);
		check_size(cache, 4 * MIB);
		assert_true(count_there(cache, 0, 2000) > 500);
		fill(cache, 2000, 4000);
		assert_int_equal(vmemcache_resize(cache, 2 * MIB), 0);
		check_size(cache, 2 * MIB);
		remove_all(cache, 4000);
		vmemcache_delete(cache);
	}
}

static pid_t child;

static void
fork_once(VMEMcache *cache, const void *key, size_t key_size, void *arg)
{
	(void)cache;
	(void)key;
	(void)key_size;
	(void)arg;
	if (child < 0)
		child = fork();
}

/* A callback that forks returns twice: the child has no cache. */
static void
test_callback_forks(void **state)
{
	VMEMcache *cache = fixture_open(4 * MIB, 0, VMEMCACHE_REPLACEMENT_LRU);
	int status;

	(void)state;
	fill(cache, 0, 2000);
	child = -1;
	vmemcache_callback_on_evict(cache, fork_once, NULL);
	int rc = vmemcache_resize(cache, MIB);
	if (child == 0) {
		bool right = rc == -1 && errno == EBADF &&
			     vmemcache_resize(cache, 2 * MIB) == -1 &&
			     errno == EBADF;
		vmemcache_delete(cache);
		_exit(right ? 0 : 1);
	}
	assert_int_equal(rc, 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	check_size(cache, MIB);
	vmemcache_delete(cache);
}

/* --- errors --- */

static void
test_errors(void **state)
{
	VMEMcache *cache = vmemcache_new();
	struct vmemcache_statistics s = {.struct_size = sizeof(s)};

	(void)state;
	assert_fails(vmemcache_resize(NULL, 2 * MIB), EINVAL);
	assert_fails(vmemcache_set_most(NULL, 2 * MIB), EINVAL);
	assert_fails(vmemcache_resize(cache, 2 * MIB), EINVAL);
	assert_fails(vmemcache_set_most(cache, (size_t)1 << 56), EINVAL);
	assert_int_equal(vmemcache_set_most(cache, 0), 0);
	assert_int_equal(vmemcache_set_most(cache, 6 * MIB), 0);
	assert_int_equal(vmemcache_set_size(cache, 4 * MIB), 0);
	assert_int_equal(vmemcache_set_extent_size(cache, 2 * MIB), 0);
	assert_int_equal(vmemcache_add(cache, FIXTURE_DIR), 0);
	assert_fails(vmemcache_set_most(cache, 8 * MIB), EALREADY);
	assert_int_equal(vmemcache_statistics(cache, &s), 0);
	assert_int_equal(s.most_bytes, 6 * MIB);
	assert_fails(vmemcache_resize(cache, 0), EINVAL);
	assert_fails(vmemcache_resize(cache, MIB - 1), EINVAL);
	assert_fails(vmemcache_resize(cache, MIB), EINVAL);
	assert_fails(vmemcache_resize(cache, (size_t)1 << 56), EINVAL);
	assert_fails(vmemcache_resize(cache, 6 * MIB + 1), ENOMEM);
	assert_non_null(strstr(vmemcache_errormsg(), "vmemcache_set_most()"));
	check_size(cache, 4 * MIB);
	assert_int_equal(vmemcache_resize(cache, 6 * MIB), 0);
	assert_int_equal(vmemcache_resize(cache, 2 * MIB), 0);
	check_size(cache, 2 * MIB);
	/* too large for what it is now */
	assert_int_equal(fixture_put(cache, 1, 1, 2 * MIB), 0);
	assert_fails(fixture_put(cache, 2, 1, 2 * MIB + 1), ENOSPC);
	vmemcache_delete(cache);
}

/* --- at random, against what callbacks tell --- */

#define KEYS 6000u

static struct {
	bool there;
	size_t size;
	unsigned version;
} model[KEYS];

static void
note_removal(VMEMcache *cache, const void *key, size_t key_size,
	const struct vmemcache_item *item, enum vmemcache_reason reason,
	void *arg)
{
	uint64_t number;

	(void)cache;
	(void)arg;
	assert_int_equal(key_size, sizeof(number));
	memcpy(&number, key, sizeof(number));
	assert_true(model[number].there);
	assert_true(items_holds(item, number, (unsigned)item->info.tag));
	if (reason != VMEMCACHE_REASON_REPLACED)
		model[number].there = false;
}

static void
do_anything(VMEMcache *cache, uint64_t *random)
{
	uint64_t key = testing_below(random, KEYS);
	struct vmemcache_store how = items_mode(VMEMCACHE_SET);
	struct vmemcache_item item;
	size_t size =
		testing_below(random, testing_below(random, 20) ? 3000 : 60000);
	bool was_there;

	switch (testing_below(random, 6)) {
	case 0:
	case 1:
		how.tag = ++model[key].version;
		if (items_store(cache, key, how.tag, size, &how, NULL) != 0) {
			assert_int_equal(errno, ENOSPC);
			model[key].version--;
			break;
		}
		model[key].there = true;
		model[key].size = size;
		break;
	case 2:
		was_there = model[key].there; /* before it is told */
		assert_int_equal(fixture_evict(cache, key) == 0, was_there);
		assert_false(model[key].there);
		break;
	case 3:
		if (vmemcache_pin(cache, &key, sizeof(key), 0, &item) == 0) {
			assert_true(
				items_holds(&item, key, model[key].version));
			vmemcache_unpin(cache, &item);
		}
		break;
	default:
		assert_int_equal(fixture_has(cache, key, model[key].version,
					 model[key].size),
			model[key].there);
	}
}

static void
test_random(void **state)
{
	uint64_t random = testing_seed();

	(void)state;
	for (size_t i = 0; i < POLICIES; i++) {
		VMEMcache *cache = fixture_open(2 * MIB, 0, policies[i]);
		uint64_t n = testing_operations(40);

		memset(model, 0, sizeof(model));
		vmemcache_callback_on_remove(cache, note_removal, NULL);
		while (n-- > 0) {
			size_t size = MIB + testing_below(&random, 7 * MIB);
			for (unsigned k = 0; k < 2000; k++)
				do_anything(cache, &random);
			int rc = vmemcache_resize(cache, size);
			if (rc)
				assert_int_equal(errno, EBUSY);
			check_size(cache, rc ? fixture_stat(cache,
						       VMEMCACHE_STAT_POOL_SIZE)
					     : (size + 4095) / 4096 * 4096);
			for (uint64_t key = 0; key < KEYS; key++)
				assert_int_equal(fixture_exists(cache, key),
					model[key].there);
		}
		fixture_clear(cache);
		vmemcache_delete(cache);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_grow),
		cmocka_unit_test(test_everything_fits),
		cmocka_unit_test(test_least_useful_go),
		cmocka_unit_test(test_what_is_known),
		cmocka_unit_test(test_in_the_way),
		cmocka_unit_test(test_nothing_may_go),
		cmocka_unit_test(test_in_pieces),
		cmocka_unit_test(test_callbacks_that_resize),
		cmocka_unit_test(test_callback_is_left),
		cmocka_unit_test(test_callback_forks),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
