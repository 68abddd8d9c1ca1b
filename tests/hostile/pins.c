/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pins.c -- pins as nobody should use them: a million of one item, one that is
 * held while everything happens to its key, all items at once, and those that
 * are held until the cache is deleted
 *
 * Linked with --wrap for the clock by which items expire.
 */
#include "items.h"

#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB ((size_t)1 << 20)
#define BLOCK VMEMCACHE_MIN_EXTENT

static const enum vmemcache_repl_p policies[] = {VMEMCACHE_REPLACEMENT_LRU,
	VMEMCACHE_REPLACEMENT_SIEVE, VMEMCACHE_REPLACEMENT_S3FIFO,
	VMEMCACHE_REPLACEMENT_ADAPTIVE};
#define POLICIES (sizeof(policies) / sizeof(*policies))

static _Atomic uint64_t now_ms = 1000;

uint64_t __wrap_vmc_os_boot_ms(void);

uint64_t
__wrap_vmc_os_boot_ms(void)
{
	return vmc_load_relaxed(&now_ms);
}

static int
pin(VMEMcache *cache, uint64_t key, struct vmemcache_item *item)
{
	return vmemcache_pin(cache, &key, sizeof(key), 0, item);
}

/* All that is pinned, to be unpinned by a thread that has made no other call */
struct lot {
	VMEMcache *cache;
	struct vmemcache_item *items;
	size_t count;
};

static void *
unpin_lot(void *arg)
{
	struct lot *lot = arg;

	for (size_t i = 0; i < lot->count; i++)
		vmemcache_unpin(lot->cache, &lot->items[i]);
	return NULL;
}

static void
unpin_elsewhere(VMEMcache *cache, struct vmemcache_item *items, size_t count)
{
	struct lot lot = {cache, items, count};
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, unpin_lot, &lot), 0);
	pthread_join(thread, NULL);
}

static void
evict_all(VMEMcache *cache)
{
	while (vmemcache_evict(cache, NULL, 0) == 0)
		;
}

/* --- a million pins of one item --- */

#if defined(VMC_TESTING_SANITIZED) || defined(VMC_COVERAGE)
enum { MILLION = 100000 };
#else
enum { MILLION = 1000000 };
#endif
enum { THREADS = 4, PART = MILLION / THREADS, SIZE = 1000 };

struct crowd {
	VMEMcache *cache;
	struct vmemcache_item *items;
	_Atomic unsigned next;
	pthread_barrier_t pinned, go_on;
};

/* Pins its part, and unpins what another thread has pinned. */
static void *
be_in_crowd(void *arg)
{
	struct crowd *c = arg;
	unsigned number = vmc_fetch_add_relaxed(&c->next, 1);
	struct vmemcache_item *own = c->items + (size_t)number * PART;
	struct vmemcache_item *others =
		c->items + (size_t)((number + 1) % THREADS) * PART;

	for (size_t i = 0; i < PART; i++)
		testing_expect(pin(c->cache, 1, &own[i]) == 0);
	pthread_barrier_wait(&c->pinned);
	pthread_barrier_wait(&c->go_on);
	for (size_t i = 0; i < PART; i++) {
		testing_expect(i % 1000 || items_holds(&others[i], 1, 1));
		vmemcache_unpin(c->cache, &others[i]);
	}
	return NULL;
}

static void
test_a_million_pins(void **state)
{
	struct crowd c = {.cache = items_open(),
		.items = calloc(MILLION, sizeof(*c.items))};
	pthread_t threads[THREADS];

	(void)state;
	assert_non_null(c.items);
	pthread_barrier_init(&c.pinned, NULL, THREADS + 1);
	pthread_barrier_init(&c.go_on, NULL, THREADS + 1);
	assert_int_equal(fixture_put(c.cache, 1, 1, SIZE), 0);
	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(
			pthread_create(&threads[i], NULL, be_in_crowd, &c), 0);
	pthread_barrier_wait(&c.pinned);
	fixture_check(c.cache);
	assert_true(items_are_all_pins(c.cache, c.items, MILLION));
	/* they are of what was there */
	assert_int_equal(fixture_evict(c.cache, 1), 0);
	assert_int_equal(fixture_put(c.cache, 1, 2, SIZE), 0);
	fixture_check(c.cache);
	assert_true(items_are_all_pins(c.cache, c.items, MILLION));
	pthread_barrier_wait(&c.go_on);
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(testing_failures, 0);
	assert_int_equal(vmc_cache_pinned_items(c.cache), 0);
	assert_true(fixture_has(c.cache, 1, 2, SIZE));
	assert_int_equal(fixture_evict(c.cache, 1), 0);
	fixture_check_empty(c.cache);
	vmemcache_delete(c.cache);
	pthread_barrier_destroy(&c.pinned);
	pthread_barrier_destroy(&c.go_on);
	free(c.items);
}

/* --- a pin while everything happens to its key --- */

/* What is held: of one piece, of many, a space's. */
enum { ONE, MANY, OF_SPACE, HELD, PIECES = 10 };

struct held {
	VMEMcache *cache, *space;
	struct vmemcache_item item[HELD];
	uint64_t next; /* key to press with */
};

/* All of them are as they were, also once others have been put and evicted. */
static void
check_held(struct held *h)
{
	for (uint64_t i = 0; i < HELD; i++)
		assert_true(items_holds(&h->item[i], i, 1));
	for (unsigned i = 0; i < 3000; i++)
		(void)fixture_put(h->cache, h->next++, 9, 1 + i % 1500);
	for (uint64_t i = 0; i < HELD; i++)
		assert_true(items_holds(&h->item[i], i, 1));
	fixture_check(h->cache);
	assert_true(items_are_all_pins(h->cache, h->item, HELD));
}

/* Every other block is free: a value of ten blocks has ten pieces. */
static void
hold(struct held *h, enum vmemcache_repl_p policy)
{
	struct vmemcache_store how = items_mode(VMEMCACHE_SET);
	uint64_t from = 1000, to = from + VMEMCACHE_MIN_POOL / BLOCK;

	h->cache = fixture_open(0, 0, policy);
	h->space = vmemcache_new_space(h->cache, NULL);
	assert_non_null(h->space);
	for (uint64_t key = from; key < to; key++)
		assert_int_equal(fixture_put(h->cache, key, 1, BLOCK), 0);
	for (uint64_t key = from; key < to; key += 2)
		assert_int_equal(fixture_evict(h->cache, key), 0);
	how.ttl_ms = 10;
	assert_int_equal(
		items_store(h->cache, ONE, 1, BLOCK - 1, &how, NULL), 0);
	assert_int_equal(fixture_put(h->cache, MANY, 1, PIECES * BLOCK), 0);
	assert_int_equal(fixture_put(h->space, OF_SPACE, 1, BLOCK), 0);
	for (uint64_t i = 0; i < HELD; i++)
		assert_int_equal(pin(i == OF_SPACE ? h->space : h->cache, i,
					 &h->item[i]),
			0);
	assert_int_equal(h->item[MANY].iov_count, PIECES);
	h->next = to;
}

static void
replace_and_remove(struct held *h)
{
	/* ONE's time is over; MANY is replaced while it is there */
	check_held(h);
	vmc_fetch_add_relaxed(&now_ms, 20);
	assert_int_equal(fixture_exists(h->cache, ONE), 0);
	check_held(h);
	for (uint64_t version = 2; version < 5; version++)
		for (uint64_t key = ONE; key <= MANY; key++) {
			assert_int_equal(items_store(h->cache, key, version,
						 200, NULL, NULL),
				0);
			check_held(h);
		}
	assert_int_equal(fixture_put(h->space, 77, 2, 200), 0);
	assert_int_equal(
		items_store(h->space, OF_SPACE, 2, 200, NULL, NULL), 0);
	check_held(h);
	for (uint64_t key = ONE; key <= MANY; key++) {
		(void)fixture_evict(h->cache, key);
		assert_int_equal(fixture_put(h->cache, key, 5, 300), 0);
		assert_int_equal(items_remove(h->cache, key, 0), 0);
		assert_int_equal(fixture_put(h->cache, key, 6, 300), 0);
		assert_int_equal(
			vmemcache_remove_prefix(h->cache, &key, sizeof(key)),
			1);
		check_held(h);
	}
}

static void
resize(struct held *h)
{
	struct vmemcache_item above;
	uint64_t key = h->next++;
	void *base;
	size_t size;

	assert_int_equal(vmemcache_resize(h->cache, 4 * MIB), 0);
	check_held(h);
	/* one that is where the pool is to end */
	assert_int_equal(vmemcache_clear(h->cache), 0);
	assert_int_equal(fixture_put(h->cache, key, 1, 3 * MIB), 0);
	assert_int_equal(pin(h->cache, key, &above), 0);
	assert_fails(vmemcache_resize(h->cache, MIB), EBUSY);
	assert_int_equal(vmemcache_region(h->cache, &base, &size, NULL), 0);
	for (int i = 0; i < above.iov_count; i++)
		assert_true(
			(char *)above.iov[i].iov_base + above.iov[i].iov_len <=
			(char *)base + size);
	assert_true(items_holds(&above, key, 1));
	vmemcache_unpin(h->cache, &above);
	/* these are not */
	assert_int_equal(vmemcache_resize(h->cache, MIB), 0);
	check_held(h);
}

static void
test_held_throughout(void **state)
{
	(void)state;
	for (size_t i = 0; i < POLICIES; i++) {
		struct held h;
		hold(&h, policies[i]);
		replace_and_remove(&h);
		assert_int_equal(vmemcache_clear(h.space), 0);
		check_held(&h);
		vmemcache_delete(h.space);
		check_held(&h);
		assert_int_equal(vmemcache_clear(h.cache), 0);
		check_held(&h);
		resize(&h);
		/* what is left of them goes with their pins */
		assert_int_equal(vmemcache_clear(h.cache), 0);
		unpin_elsewhere(h.cache, h.item, HELD);
		assert_int_equal(fixture_put(h.cache, ONE, 1, MIB), 0);
		assert_true(fixture_has(h.cache, ONE, 1, MIB));
		evict_all(h.cache);
		fixture_check(h.cache);
		assert_int_equal(
			fixture_stat(h.cache, VMEMCACHE_STAT_POOL_SIZE_USED),
			0);
		vmemcache_delete(h.cache);
	}
}

/* --- everything is pinned --- */

enum { ALL = 512, EACH = VMEMCACHE_MIN_POOL / ALL };

static int
load_in_vain(VMEMcache *cache, const void *key, size_t key_size,
	struct vmemcache_loading *loading, void *arg)
{
	struct vmemcache_item item;

	(void)cache, (void)key, (void)key_size, (void)arg;
	return vmemcache_loading_reserve(loading, EACH, NULL, &item) ? errno
								     : 0;
}

/* Nothing waits: each says so at once. */
static void *
find_no_room(void *arg)
{
	VMEMcache *cache = arg;
	struct vmemcache_item item;
	uint64_t key = ALL;

	for (unsigned i = 0; i < 20; i++) {
		testing_expect(
			fixture_put(cache, key, 2, i) == -1 && errno == ENOSPC);
		testing_expect(
			items_store(cache, i, 2, EACH, NULL, NULL) == -1 &&
			errno == ENOSPC);
		testing_expect(vmemcache_reserve(cache, &key, sizeof(key), 1,
				       NULL, &item) == -1 &&
			       errno == ENOSPC && item.iov_count == -1);
		testing_expect(
			vmemcache_load(cache, &key, sizeof(key), load_in_vain,
				NULL, NULL, VMEMCACHE_FOREVER, &item) == -1 &&
			errno == ENOSPC && item.iov_count == -1);
		testing_expect(vmemcache_evict(cache, NULL, 0) == -1 &&
			       errno == ESRCH);
		testing_expect(fixture_has(cache, i, 1, EACH));
	}
	return NULL;
}

static void
pin_all(VMEMcache *cache, struct vmemcache_item items[ALL])
{
	static struct vmemcache_key keys[ALL];
	static uint64_t numbers[ALL];

	for (uint64_t key = 0; key < ALL; key++) {
		assert_int_equal(fixture_put(cache, key, 1, EACH), 0);
		numbers[key] = key;
		keys[key] = (struct vmemcache_key){
			&numbers[key], sizeof(numbers[key])};
	}
	assert_int_equal(
		vmemcache_pin_many(cache, keys, ALL, VMEMCACHE_LEADING, items),
		ALL);
}

static void
test_all_pinned(void **state)
{
	static struct vmemcache_item items[ALL];
	pthread_t threads[THREADS];

	(void)state;
	for (size_t p = 0; p < POLICIES; p++) {
		VMEMcache *cache = fixture_open(0, 0, policies[p]);
		pin_all(cache, items);
		for (unsigned i = 0; i < THREADS; i++)
			assert_int_equal(pthread_create(&threads[i], NULL,
						 find_no_room, cache),
				0);
		for (unsigned i = 0; i < THREADS; i++)
			pthread_join(threads[i], NULL);
		assert_int_equal(testing_failures, 0);
		fixture_check(cache);
		assert_true(items_are_all_pins(cache, items, ALL));
		for (uint64_t key = 0; key < ALL; key++)
			assert_true(items_holds(&items[key], key, 1));
		unpin_elsewhere(cache, items, ALL);
		fixture_check(cache);
		/* they are victims again, of puts and of all that evicts */
		for (uint64_t key = ALL; key < 3 * ALL; key++)
			assert_int_equal(fixture_put(cache, key, 1, EACH), 0);
		evict_all(cache);
		fixture_check_empty(cache);
		vmemcache_delete(cache);
	}
}

/* --- a cache that is deleted with a pin --- */

static _Noreturn void
delete_with(bool reserved)
{
	VMEMcache *cache = items_open();
	struct vmemcache_item item;
	uint64_t key = 1;

	signal(SIGABRT, SIG_DFL);
	setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
	if (!freopen("/dev/null", "w", stderr))
		_exit(1);
	if (fixture_put(cache, key, 1, SIZE) != 0 ||
		(reserved ? vmemcache_reserve(cache, "k", 1, SIZE, NULL, &item)
			  : pin(cache, key, &item)) != 0)
		_exit(1);
	vmemcache_delete(cache);
	/* without assertions that is all the same possible */
	cache = items_open();
	if (fixture_put(cache, key, 1, SIZE) != 0 ||
		!fixture_has(cache, key, 1, SIZE))
		_exit(1);
	vmemcache_delete(cache);
	_exit(0);
}

static void
test_delete_with_pins(void **state)
{
	(void)state;
#ifdef VMC_TSAN
	skip(); /* a fork takes more locks of the heap than it can follow */
#endif
	for (int reserved = 0; reserved < 2; reserved++) {
		int status;
		fflush(NULL);
		pid_t child = fork();
		assert_true(child >= 0);
		if (child == 0)
			delete_with(reserved);
		assert_int_equal(waitpid(child, &status, 0), child);
#ifdef WITHOUT_ASSERTIONS
		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), 0);
#else
		assert_true(WIFSIGNALED(status));
		assert_int_equal(WTERMSIG(status), SIGABRT);
#endif
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_million_pins),
		cmocka_unit_test(test_held_throughout),
		cmocka_unit_test(test_all_pinned),
		cmocka_unit_test(test_delete_with_pins),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
