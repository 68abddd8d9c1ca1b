/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * metadata_limit.c -- vmemcache_set_metadata_limit(): what it keeps to, whom it
 * evicts, when it refuses
 */
#include "fixture.h"

#include "base/os.h"

#include <pthread.h>

static _Atomic uint64_t now_ms = 1000;

uint64_t __wrap_vmc_os_boot_ms(void);

uint64_t
__wrap_vmc_os_boot_ms(void)
{
	return vmc_load_relaxed(&now_ms);
}

#define LIMIT (UINT64_C(512) << 10)
#define POOL (UINT64_C(64) << 20)

static const enum vmemcache_repl_p policies[] = {VMEMCACHE_REPLACEMENT_LRU,
	VMEMCACHE_REPLACEMENT_SIEVE, VMEMCACHE_REPLACEMENT_S3FIFO,
	VMEMCACHE_REPLACEMENT_ADAPTIVE};
#define POLICIES (sizeof(policies) / sizeof(policies[0]))

static struct vmemcache_statistics
statistics_of(VMEMcache *cache)
{
	struct vmemcache_statistics s = {.struct_size = sizeof(s)};

	assert_int_equal(vmemcache_statistics(cache, &s), 0);
	return s;
}

static uint64_t
metadata_of(VMEMcache *cache)
{
	return fixture_stat(cache, VMEMCACHE_STAT_DRAM_SIZE_USED);
}

/* Of a pool with room for many more, the limit decides what stays. */
static void
test_kept_to(void **state)
{
	(void)state;
	for (size_t i = 0; i < POLICIES; i++) {
		VMEMcache *cache = fixture_new(POOL, 0, policies[i]);
		uint64_t most = 0;

		assert_int_equal(vmemcache_set_metadata_limit(cache, LIMIT), 0);
		assert_int_equal(vmemcache_add(cache, FIXTURE_DIR), 0);
		for (uint64_t key = 0; key < 30000; key++) {
			assert_int_equal(
				fixture_put(cache, key, 1, key % 2 ? 8 : 0), 0);
			uint64_t bytes = metadata_of(cache);
			if (bytes > most)
				most = bytes;
		}
		assert_in_range(most, LIMIT - LIMIT / 8, LIMIT);
		assert_in_range(metadata_of(cache), LIMIT - LIMIT / 4, LIMIT);
		assert_true(fixture_has(cache, 29999, 1, 8));
		assert_int_equal(statistics_of(cache)
					 .removals[VMEMCACHE_REASON_CAPACITY],
			30000 - fixture_stat(cache, VMEMCACHE_STAT_ENTRIES));
		fixture_check(cache);

		/* without it more are kept */
		uint64_t entries = fixture_stat(cache, VMEMCACHE_STAT_ENTRIES);
		assert_int_equal(vmemcache_set_metadata_limit(cache, 0), 0);
		for (uint64_t key = 40000; key < 70000; key++)
			assert_int_equal(fixture_put(cache, key, 1, 8), 0);
		assert_int_equal(fixture_stat(cache, VMEMCACHE_STAT_ENTRIES),
			entries + 30000);
		vmemcache_delete(cache);
	}
}

struct victims {
	uint64_t next;
	unsigned of_this_put;
};

static void
is_next(VMEMcache *cache, const void *key, size_t key_size, void *arg)
{
	struct victims *v = arg;
	uint64_t number;

	(void)cache;
	assert_int_equal(key_size, sizeof(number));
	memcpy(&number, key, sizeof(number));
	assert_int_equal(number, v->next++);
	v->of_this_put++;
}

/* Set below what there is: the oldest go, a few with each put. */
static void
test_lowered(void **state)
{
	VMEMcache *cache = fixture_open(POOL, 0, VMEMCACHE_REPLACEMENT_LRU);
	struct victims victims = {0};

	(void)state;
	vmemcache_callback_on_evict(cache, is_next, &victims);
	for (uint64_t key = 0; key < 30000; key++)
		assert_int_equal(fixture_put(cache, key, 1, 8), 0);
	assert_int_equal(victims.next, 0);
	assert_true(metadata_of(cache) > LIMIT);
	assert_int_equal(vmemcache_set_metadata_limit(cache, LIMIT), 0);
	for (uint64_t key = 30000; metadata_of(cache) > LIMIT; key++) {
		victims.of_this_put = 0;
		assert_int_equal(fixture_put(cache, key, 1, 8), 0);
		assert_in_range(victims.of_this_put, 1, 3);
		assert_true(key < 70000);
	}
	fixture_check(cache);
	vmemcache_delete(cache);
}

/* A key of some size takes the place of as many bytes of small ones. */
static void
test_large_keys(void **state)
{
	VMEMcache *cache = fixture_open(POOL, 0, VMEMCACHE_REPLACEMENT_LRU);
	char *key = calloc(1, LIMIT + 1);

	(void)state;
	assert_int_equal(vmemcache_set_metadata_limit(cache, LIMIT), 0);
	assert_fails(vmemcache_put(cache, key, LIMIT, "", 0), ENOSPC);
	for (uint64_t i = 0; i < 20000; i++)
		assert_int_equal(fixture_put(cache, i, 1, 8), 0);
	for (uint64_t i = 0; i < 100; i++) {
		memcpy(key, &i, sizeof(i));
		assert_int_equal(
			vmemcache_put(cache, key, LIMIT / 16, "", 0), 0);
		assert_in_range(metadata_of(cache), 1, LIMIT + LIMIT / 16);
	}
	fixture_check(cache);
	free(key);
	vmemcache_delete(cache);
}

static void
never(VMEMcache *cache, const void *key, size_t key_size, void *arg)
{
	(void)cache, (void)key, (void)key_size, (void)arg;
	fail_msg("%s", "an eviction in vain");
}

static void
test_refused(void **state)
{
	VMEMcache *cache = fixture_open(POOL, 0, VMEMCACHE_REPLACEMENT_NONE);
	uint64_t key = 0;

	(void)state;
	assert_int_equal(vmemcache_set_metadata_limit(cache, LIMIT), 0);
	while (fixture_put(cache, key, 1, 8) == 0)
		key++;
	assert_fails(fixture_put(cache, key, 1, 8), ENOSPC);
	assert_in_range(
		metadata_of(cache), LIMIT - LIMIT / 8, LIMIT + LIMIT / 64);
	assert_int_equal(
		statistics_of(cache)
			.stores[VMEMCACHE_ADD][VMEMCACHE_OUTCOME_NO_SPACE],
		2);
	assert_true(fixture_has(cache, 0, 1, 8));
	for (uint64_t i = 0; i < 1000; i++)
		assert_int_equal(fixture_evict(cache, i), 0);
	assert_int_equal(fixture_put(cache, key, 1, 8), 0);
	fixture_check(cache);
	vmemcache_delete(cache);
}

static void
test_pinned(void **state)
{
	static struct vmemcache_item items[8192];
	VMEMcache *cache = fixture_open(POOL, 0, VMEMCACHE_REPLACEMENT_LRU);
	uint64_t count = 0;

	(void)state;
	vmemcache_callback_on_evict(cache, never, NULL);
	for (; count < 8192; count++) {
		assert_int_equal(fixture_put(cache, count, 1, 8), 0);
		assert_int_equal(vmemcache_pin(cache, &count, sizeof(count), 0,
					 &items[count]),
			0);
	}
	assert_int_equal(
		vmemcache_set_metadata_limit(cache, metadata_of(cache) / 2), 0);
	assert_fails(fixture_put(cache, count, 1, 8), ENOSPC);
	assert_fails(
		vmemcache_put(cache, &count, sizeof(count), "", 0), ENOSPC);
	vmemcache_callback_on_evict(cache, NULL, NULL);
	for (uint64_t i = 0; i < count; i++)
		vmemcache_unpin(cache, &items[i]);
	assert_int_equal(fixture_put(cache, count, 1, 8), 0);
	fixture_check(cache);
	vmemcache_delete(cache);
}

/* A store over what is there, and a value made in place, are limited as well */
static void
test_stores(void **state)
{
	VMEMcache *cache = fixture_open(POOL, 0, VMEMCACHE_REPLACEMENT_LRU);
	uint64_t random = testing_seed();
	struct vmemcache_item item;

	(void)state;
	assert_int_equal(vmemcache_set_metadata_limit(cache, LIMIT), 0);
	for (uint64_t i = testing_operations(100000); i > 0; i--) {
		uint64_t key = testing_below(&random, 20000);
		if (i % 2) {
			assert_int_equal(
				vmemcache_store(cache, &key, sizeof(key), "x",
					1, NULL, NULL),
				0);
		} else {
			assert_int_equal(vmemcache_reserve(cache, &key,
						 sizeof(key), 1, NULL, &item),
				0);
			assert_int_equal(
				vmemcache_commit(cache, &item, 1, NULL), 0);
		}
		assert_in_range(metadata_of(cache), 1, LIMIT);
	}
	fixture_check(cache);
	vmemcache_delete(cache);
}

/* --- what has expired goes before all others --- */

#define OF_EACH 1500

static void
expired_first(VMEMcache *cache, const void *key, size_t key_size,
	const struct vmemcache_item *item, enum vmemcache_reason reason,
	void *arg)
{
	unsigned *removed = arg;

	(void)cache, (void)key, (void)key_size, (void)item;
	removed[reason]++;
	if (reason == VMEMCACHE_REASON_CAPACITY)
		assert_int_equal(removed[VMEMCACHE_REASON_EXPIRED], OF_EACH);
}

/* Half of them expire; keys of that size come, until others have to go. */
static void
put_over_expired(enum vmemcache_repl_p policy, size_t key_size)
{
	static char key[LIMIT / 16];
	VMEMcache *cache = fixture_open(POOL, 0, policy);
	unsigned removed[VMEMCACHE_REASONS] = {0};
	struct vmemcache_store how = {.struct_size = sizeof(how), .ttl_ms = 10};
	uint64_t i;

	vmemcache_callback_on_remove(cache, expired_first, removed);
	for (i = 0; i < 2 * OF_EACH; i++)
		assert_int_equal(vmemcache_store(cache, &i, sizeof(i), "x", 1,
					 i < OF_EACH ? NULL : &how, NULL),
			0);
	assert_int_equal(
		vmemcache_set_metadata_limit(cache, metadata_of(cache)), 0);
	vmc_fetch_add_relaxed(&now_ms, 10);
	for (; removed[VMEMCACHE_REASON_CAPACITY] == 0; i++) {
		memcpy(key, &i, sizeof(i));
		if (vmemcache_put(cache, key, key_size, "", 0) != 0) {
			assert_int_equal(errno, ENOSPC);
			assert_int_equal(policy, VMEMCACHE_REPLACEMENT_NONE);
			break;
		}
		assert_true(i < 10 * OF_EACH);
	}
	assert_int_equal(removed[VMEMCACHE_REASON_EXPIRED], OF_EACH);
	fixture_check(cache);
	vmemcache_delete(cache);
}

static void
test_expired_go_first(void **state)
{
	(void)state;
	for (size_t i = 0; i < POLICIES; i++) {
		put_over_expired(policies[i], sizeof(uint64_t));
		put_over_expired(policies[i], 10000);
	}
	put_over_expired(VMEMCACHE_REPLACEMENT_NONE, sizeof(uint64_t));
	put_over_expired(VMEMCACHE_REPLACEMENT_NONE, 10000);
}

/* --- a touch that makes an entry larger --- */

struct touching {
	uint64_t key;
	unsigned gone;
};

static void
is_another(VMEMcache *cache, const void *key, size_t key_size, void *arg)
{
	struct touching *touching = arg;

	(void)cache;
	assert_int_equal(key_size, sizeof(touching->key));
	assert_memory_not_equal(key, &touching->key, key_size);
	touching->gone++;
}

/* Until one is refused. How many puts succeeded, of that many. */
static uint64_t
put_keys(VMEMcache *space, uint64_t count)
{
	uint64_t key = 0;

	while (key < count && fixture_put(space, key, 1, 8) == 0)
		key++;
	return key;
}

static unsigned
touch_all(VMEMcache *cache, VMEMcache *space, uint64_t count)
{
	struct touching touching = {0};
	unsigned refused = 0;

	vmemcache_callback_on_evict(space, is_another, &touching);
	for (uint64_t key = 0; key < count; key++) {
		touching.key = key;
		int there = vmemcache_exists(space, &key, sizeof(key), NULL);
		int rc = vmemcache_touch(space, &key, sizeof(key), 1000);
		if (rc && there) {
			assert_int_equal(errno, ENOSPC);
			refused++;
		} else {
			assert_int_equal(rc ? errno : 0, there ? 0 : ENOENT);
		}
		assert_int_equal(
			vmemcache_exists(space, &key, sizeof(key), NULL),
			there);
		assert_in_range(metadata_of(cache), 1, LIMIT + LIMIT / 64);
	}
	assert_int_equal(touching.gone == 0, refused > 0);
	vmemcache_callback_on_evict(space, NULL, NULL);
	return refused;
}

static void
test_touches(void **state)
{
	(void)state;
	for (size_t i = 0; i < 2 * POLICIES; i++) {
		VMEMcache *cache = fixture_open(POOL, 0, policies[i / 2]);
		VMEMcache *space =
			i % 2 ? vmemcache_new_space(cache, NULL) : cache;

		assert_non_null(space);
		assert_int_equal(vmemcache_set_metadata_limit(cache, LIMIT), 0);
		assert_int_equal(put_keys(space, 10000), 10000);
		assert_int_equal(touch_all(cache, space, 10000), 0);
		fixture_check(cache);
		vmemcache_delete(cache);
	}
}

/* Where nothing can be evicted the touch is refused, and nothing changes. */
static void
test_touches_refused(void **state)
{
	VMEMcache *cache = fixture_open(POOL, 0, VMEMCACHE_REPLACEMENT_NONE);
	struct vmemcache_info info = {.struct_size = sizeof(info)};

	(void)state;
	assert_int_equal(vmemcache_set_metadata_limit(cache, LIMIT), 0);
	uint64_t count = put_keys(cache, UINT64_MAX);
	assert_true(touch_all(cache, cache, count) > count / 2);
	uint64_t key = count - 1;
	assert_fails(vmemcache_touch(cache, &key, sizeof(key), 1000), ENOSPC);
	assert_int_equal(vmemcache_exists(cache, &key, sizeof(key), NULL), 1);
	assert_int_equal(
		vmemcache_fetch(cache, &key, sizeof(key), NULL, 0, 0, 0, &info),
		0);
	assert_int_equal(info.ttl_ms, VMEMCACHE_FOREVER);
	assert_int_equal(vmemcache_touch(cache, &key, sizeof(key), 0), 0);
	assert_int_equal(fixture_stat(cache, VMEMCACHE_STAT_ENTRIES), count);
	fixture_check(cache);
	vmemcache_delete(cache);
}

static void *
touch_and_leave(void *arg)
{
	VMEMcache *cache = arg;

	for (uint64_t key = 0; key < 10000; key++)
		(void)vmemcache_touch(cache, &key, sizeof(key), 1000);
	return NULL;
}

static void
leave(VMEMcache *cache, const void *key, size_t key_size, void *arg)
{
	(void)cache, (void)key, (void)key_size;
	pthread_exit(arg);
}

/* A callback that a touch calls does not return: nothing is left behind. */
static void
test_touch_does_not_return(void **state)
{
	(void)state;
	for (size_t i = 0; i < 2; i++) {
		VMEMcache *cache =
			fixture_open(POOL, 0, VMEMCACHE_REPLACEMENT_LRU);
		VMEMcache *space = i ? vmemcache_new_space(cache, NULL) : cache;
		pthread_t thread;
		void *left = NULL;

		assert_non_null(space);
		assert_int_equal(vmemcache_set_metadata_limit(cache, LIMIT), 0);
		assert_int_equal(put_keys(space, 10000), 10000);
		vmemcache_callback_on_evict(space, leave, cache);
		assert_int_equal(
			pthread_create(&thread, NULL, touch_and_leave, space),
			0);
		assert_int_equal(pthread_join(thread, &left), 0);
		assert_ptr_equal(left, cache);
		fixture_check(cache);
		assert_int_equal(touch_all(cache, space, 10000), 0);
		fixture_check(cache);
		vmemcache_delete(cache);
	}
}

static void
test_told(void **state)
{
	VMEMcache *cache = fixture_new(0, 0, VMEMCACHE_REPLACEMENT_LRU);
	char text[16384];

	(void)state;
	assert_fails(vmemcache_set_metadata_limit(NULL, LIMIT), EINVAL);
	assert_int_equal(vmemcache_set_metadata_limit(cache, LIMIT), 0);
	assert_int_equal(vmemcache_add(cache, FIXTURE_DIR), 0);
	assert_int_equal(statistics_of(cache).metadata_limit_bytes, LIMIT);
	assert_true(vmemcache_format_statistics(cache, VMEMCACHE_FORMAT_JSON,
			    text, sizeof(text)) > 0);
	assert_non_null(strstr(text, "\"metadata_limit_bytes\":524288"));
	assert_true(
		vmemcache_format_statistics(cache, VMEMCACHE_FORMAT_PROMETHEUS,
			text, sizeof(text)) > 0);
	assert_non_null(strstr(text, "metadata_limit_bytes"));
	vmemcache_delete(cache);
}

#define THREADS 8

struct crew {
	VMEMcache *cache;
	_Atomic unsigned next;
	_Atomic bool ends;
	uint64_t operations;
};

static void *
put_and_get(void *arg)
{
	struct crew *crew = arg;
	unsigned number = vmc_fetch_add_relaxed(&crew->next, 1);
	uint64_t random = testing_seed() + number;
	char value[64] = {0};

	for (uint64_t i = 0; i < crew->operations; i++) {
		uint64_t key = testing_below(&random, 40000);
		size_t size = testing_below(&random, sizeof(value));
		int rc = i % 4 == 0
				 ? vmemcache_store(crew->cache, &key,
					   sizeof(key), value, size, NULL, NULL)
				 : vmemcache_put(crew->cache, &key, sizeof(key),
					   value, size);
		testing_expect(rc == 0 || errno == EEXIST);
		if (i % 8 == 0) {
			rc = vmemcache_touch(
				crew->cache, &key, sizeof(key), 1000000);
			testing_expect(
				rc == 0 || errno == ENOENT || errno == EAGAIN);
		}
		if (i % 16 == 0)
			(void)vmemcache_evict(crew->cache, &key, sizeof(key));
		(void)vmemcache_get(crew->cache, &key, sizeof(key), value,
			sizeof(value), 0, NULL);
	}
	return NULL;
}

/* The limit comes, goes and changes; then it is kept to, with nobody idle. */
static void *
change_limit(void *arg)
{
	struct crew *crew = arg;
	uint64_t random = testing_seed() ^ 1;

	while (!vmc_load_acquire(&crew->ends)) {
		uint64_t limit = testing_below(&random, 4) * LIMIT;
		testing_expect(
			vmemcache_set_metadata_limit(crew->cache, limit) == 0);
	}
	return NULL;
}

static void
run_crew(struct crew *crew)
{
	pthread_t threads[THREADS];

	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(
			pthread_create(&threads[i], NULL, put_and_get, crew),
			0);
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
}

static void
test_threads(void **state)
{
	(void)state;
	for (size_t i = 0; i < POLICIES; i++) {
		VMEMcache *cache = fixture_open(POOL, 0, policies[i]);
		struct crew crew = {.cache = cache,
			.operations = testing_operations(20000)};
		pthread_t changer;

		assert_int_equal(
			pthread_create(&changer, NULL, change_limit, &crew), 0);
		run_crew(&crew);
		vmc_store_release(&crew.ends, true);
		pthread_join(changer, NULL);
		assert_int_equal(vmemcache_set_metadata_limit(cache, LIMIT), 0);
		run_crew(&crew);
		assert_int_equal(vmc_load_relaxed(&testing_failures), 0);
		assert_in_range(metadata_of(cache), 1, LIMIT);
		fixture_check(cache);
		while (vmemcache_evict(cache, NULL, 0) == 0)
			;
		fixture_check_empty(cache);
		vmemcache_delete(cache);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kept_to),
		cmocka_unit_test(test_lowered),
		cmocka_unit_test(test_large_keys),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_pinned),
		cmocka_unit_test(test_stores),
		cmocka_unit_test(test_expired_go_first),
		cmocka_unit_test(test_touches),
		cmocka_unit_test(test_touches_refused),
		cmocka_unit_test(test_touch_does_not_return),
		cmocka_unit_test(test_told),
		cmocka_unit_test(test_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
