/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tenants.c -- ten thousand spaces in one pool that is too small for them:
 * quotas and reservations hold at every moment
 *
 * Threads store, replace and get in spaces that they choose by Zipf's law, so a
 * few hold much and are far above what is fair, and most are seldom used. One
 * in two spaces has a quota, one in two a reservation. All the while a thread
 * of its own looks at one space after the other: none has more than its quota
 * and one value, and none that has been filled has less than what is reserved
 * for it, less one value. Values of a space have one size, so a value that is
 * replaced leaves the space with as much as it had.
 *
 * In one in four, with a quota, each thread also has a reservation open now and
 * then, over which it clears the space or not.
 *
 * Other spaces' items stay their own: a get returns what was stored there.
 *
 * And a space of very many items is cleared beside one of ten.
 */
#include "items.h"
#include "space.h"

#include <pthread.h>
#include <sched.h>

#ifdef VMC_TESTING_SANITIZED
enum { SPACES = 1000, MANY = 20000 };
#else
enum { SPACES = 10000, MANY = 200000 };
#endif
enum { THREADS = 3, KEYS = 64, FEW = 10 };

#define BLOCK ((size_t)VMEMCACHE_MIN_EXTENT)
#define POOL ((size_t)SPACES * 10 * BLOCK)
#define LARGEST (4 * BLOCK)
#define QUOTA (12 * BLOCK)
#define RESERVED (8 * BLOCK)

struct scene {
	VMEMcache *cache;
	VMEMcache *space[SPACES];
	double share[SPACES]; /* of calls, of this and all before it */
	uint64_t seed, operations;
	_Atomic unsigned next;
	_Atomic uint64_t hits, looks, commits;
	_Atomic bool over;
};

static size_t
quota_of(unsigned number)
{
	return number % 2 ? QUOTA : 0;
}

static size_t
reserved_of(unsigned number)
{
	return number % 4 < 2 ? RESERVED : 0;
}

static size_t
size_of(unsigned number)
{
	return (number % 16 / 4 + 1) * BLOCK;
}

static uint64_t
value_key(unsigned number, uint64_t key)
{
	return number * (uint64_t)KEYS + key;
}

/* The k-th as likely as 1 / k; neighbours differ in what they have. */
static void
share_out(struct scene *s)
{
	double sum = 0;

	for (unsigned i = 0; i < SPACES; i++)
		s->share[i] = sum += 1. / (i + 1);
	for (unsigned i = 0; i < SPACES; i++)
		s->share[i] /= sum;
}

static unsigned
choose(const struct scene *s, uint64_t *random)
{
	double x = (double)(testing_random(random) >> 11) * 0x1p-53;
	unsigned low = 0, high = SPACES - 1;

	while (low < high) {
		unsigned middle = (low + high) / 2;
		if (s->share[middle] < x)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void
store(struct scene *s, unsigned number, uint64_t key, uint64_t version)
{
	char value[LARGEST];

	value_fill(value, size_of(number), 0, value_key(number, key), version);
	int rc = vmemcache_store(s->space[number], &key, sizeof(key), value,
		size_of(number), NULL, NULL);
	testing_expect(rc == 0 || errno == ENOSPC);
}

static bool
get(struct scene *s, unsigned number, uint64_t key)
{
	uint64_t version;
	char value[LARGEST];
	ssize_t n = vmemcache_get(s->space[number], &key, sizeof(key), value,
		sizeof(value), 0, NULL);

	testing_expect(
		n == (ssize_t)size_of(number) || (n < 0 && errno == ENOENT));
	testing_expect(n < 0 || value_decode(value, (size_t)n, 0,
					value_key(number, key), &version));
	return n >= 0;
}

/* Not where something is reserved: an abort leaves less there. */
static bool
may_reserve(unsigned number)
{
	return quota_of(number) > 0 && reserved_of(number) == 0;
}

struct held {
	struct vmemcache_item item;
	unsigned number;
	bool is_open;
};

/* Begin one, or end the one that is held. */
static void
reserve(struct scene *s, struct held *h, unsigned number, uint64_t key,
	uint64_t version)
{
	int rc;

	if (h->is_open && version % 8 == 0)
		testing_expect(vmemcache_clear(s->space[h->number]) == 0);
	if (h->is_open && version % 4 == 1) {
		vmemcache_abort(s->space[h->number], &h->item);
	} else if (h->is_open) {
		rc = vmemcache_commit(s->space[h->number], &h->item,
			size_of(h->number), NULL);
		testing_expect(rc == 0 || errno == ENOSPC);
		vmc_fetch_add_relaxed(&s->commits, rc == 0);
	} else if (may_reserve(number)) {
		rc = vmemcache_reserve(s->space[number], &key, sizeof(key),
			size_of(number), NULL, &h->item);
		testing_expect(rc == 0 || errno == ENOSPC);
		if (rc)
			return;
		items_fill(&h->item, value_key(number, key), version);
		h->number = number;
		h->is_open = true;
		return;
	}
	h->is_open = false;
}

static void *
play(void *arg)
{
	struct scene *s = arg;
	uint64_t random = s->seed + vmc_fetch_add_relaxed(&s->next, 1);
	struct held held = {.is_open = false};

	for (uint64_t i = 1; i <= s->operations; i++) {
		unsigned number = choose(s, &random);
		uint64_t key = testing_below(&random, KEYS);
		if (testing_below(&random, 8) == 0)
			reserve(s, &held, number, key, testing_random(&random));
		else if (testing_below(&random, 2) == 0)
			store(s, number, key, i);
		else if (get(s, number, key))
			vmc_fetch_add_relaxed(&s->hits, 1);
	}
	if (held.is_open)
		vmemcache_abort(s->space[held.number], &held.item);
	return NULL;
}

/* One space at one moment. */
static void
look(struct scene *s, unsigned number)
{
	struct vmemcache_statistics stat = {.struct_size = sizeof(stat)};

	testing_expect(vmemcache_statistics(s->space[number], &stat) == 0);
	if (quota_of(number))
		testing_expect(stat.block_bytes <= QUOTA + size_of(number));
	if (reserved_of(number))
		testing_expect(stat.block_bytes + size_of(number) >= RESERVED);
	vmc_fetch_add_relaxed(&s->looks, 1);
}

/* Those that are used often are looked at often, and all of them. */
static void *
watch(void *arg)
{
	struct scene *s = arg;
	uint64_t random = s->seed - 1;

	for (unsigned i = 0; !vmc_load_acquire(&s->over); i++) {
		look(s, choose(s, &random));
		look(s, i % SPACES);
	}
	return NULL;
}

/* What is reserved is there from the start. */
static void
make_space(struct scene *s, unsigned number)
{
	const struct vmemcache_space how = {
		sizeof(how), NULL, quota_of(number), reserved_of(number)};

	s->space[number] = vmemcache_new_space(s->cache, &how);
	if (!s->space[number])
		fail_msg("%s", vmemcache_errormsg());
	for (uint64_t key = 0; key * size_of(number) < reserved_of(number);
		key++)
		store(s, number, key, 1);
}

static void
run(enum vmemcache_repl_p policy)
{
	static struct scene s;
	pthread_t threads[THREADS], watcher;

	s = (struct scene){.cache = fixture_open(POOL, 0, policy),
		.seed = testing_seed() << 8,
		.operations = testing_operations(100000)};
	share_out(&s);
	for (unsigned i = 0; i < SPACES; i++)
		make_space(&s, i);
	assert_int_equal(pthread_create(&watcher, NULL, watch, &s), 0);
	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(
			pthread_create(&threads[i], NULL, play, &s), 0);
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	vmc_store_release(&s.over, true);
	pthread_join(watcher, NULL);
	for (unsigned i = 0; i < SPACES; i++)
		look(&s, i);
	assert_int_equal(testing_failures, 0);
	struct vmemcache_statistics stat = {.struct_size = sizeof(stat)};
	assert_int_equal(vmemcache_statistics(s.cache, &stat), 0);
	printf("%ju looks, %ju hits, %ju commits, %ju evictions\n",
		(uintmax_t)s.looks, (uintmax_t)s.hits, (uintmax_t)s.commits,
		(uintmax_t)stat.removals[VMEMCACHE_REASON_CAPACITY]);
	assert_true(stat.removals[VMEMCACHE_REASON_CAPACITY] > 0 ||
		    s.operations < 10000);
	fixture_check(s.cache);
	vmemcache_delete(s.cache);
}

/* --- clearing --- */

struct reader {
	VMEMcache *space;
	_Atomic bool over;
	_Atomic uint64_t gets;
};

/* All that the space has, over and over. */
static void *
read_few(void *arg)
{
	struct reader *r = arg;

	for (uint64_t i = 0; !vmc_load_acquire(&r->over); i++) {
		uint64_t key = i % FEW, got;
		ssize_t n = vmemcache_get(r->space, &key, sizeof(key), &got,
			sizeof(got), 0, NULL);
		testing_expect(n == sizeof(got) && got == key);
		vmc_store_release(&r->gets, i);
	}
	return NULL;
}

static void
wait_for_gets(struct reader *r, uint64_t n)
{
	uint64_t end = vmc_load_acquire(&r->gets) + n;

	while (vmc_load_acquire(&r->gets) < end)
		sched_yield();
}

static VMEMcache *
fill(VMEMcache *cache, uint64_t n)
{
	VMEMcache *space = vmemcache_new_space(cache, NULL);

	assert_non_null(space);
	for (uint64_t key = 0; key < n; key++)
		assert_int_equal(vmemcache_put(space, &key, sizeof(key), &key,
					 sizeof(key)),
			0);
	return space;
}

/* Of what is cleared, the items that the clear has taken out itself. */
static uint64_t
taken_by_clear(VMEMcache *cache, VMEMcache *space, uint64_t items)
{
	uint64_t before = vmc_spaces_nobodys(cache).items;

	assert_int_equal(vmemcache_clear(space), 0);
	return before + items - vmc_spaces_nobodys(cache).items;
}

/*
 * A clear does as much for many items as for few. Gets in another space go on
 * while it runs, and while the one lock is held that it takes.
 */
static void
test_clear(void **state)
{
	VMEMcache *cache = fixture_open(
		(2 * MANY + 1000) * BLOCK, 0, VMEMCACHE_REPLACEMENT_LRU);
	struct reader r = {.space = fill(cache, FEW)};
	VMEMcache *many = fill(cache, MANY), *few = fill(cache, FEW);
	pthread_t thread;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, read_few, &r), 0);
	wait_for_gets(&r, 1);
	uint64_t of_few = taken_by_clear(cache, few, FEW);
	uint64_t of_many = taken_by_clear(cache, many, MANY);
	printf("of %d items it takes %ju, of %d %ju\n", FEW, (uintmax_t)of_few,
		MANY, (uintmax_t)of_many);
	assert_in_range(of_many, 0, 100);
	assert_in_range(of_few, 0, 100);
	pthread_mutex_lock(&cache->policy_lock.mutex);
	wait_for_gets(&r, 100000);
	pthread_mutex_unlock(&cache->policy_lock.mutex);
	vmc_store_release(&r.over, true);
	pthread_join(thread, NULL);
	assert_int_equal(testing_failures, 0);
	fixture_check(cache);
	vmemcache_delete(cache);
}

static void
test_lru(void **state)
{
	(void)state;
	run(VMEMCACHE_REPLACEMENT_LRU);
}

static void
test_s3fifo(void **state)
{
	(void)state;
	run(VMEMCACHE_REPLACEMENT_S3FIFO);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lru),
		cmocka_unit_test(test_s3fifo),
		cmocka_unit_test(test_clear),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
