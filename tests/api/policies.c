/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * policies.c -- one thread: SIEVE, S3-FIFO and ADAPTIVE evict what their plain
 * models evict, in the same order, with pins, replacements, expiry and costs
 */
#include "policy_model.h"

#include "fixture.h"
#include "visit.h"

#include <sys/mman.h>
#include <unistd.h>

enum { BLOCKS = 4096, SIZES = 12, KEYS = MODEL_ITEMS / 2, PINS = 4 };

/* The time, that passes when a test says so. */
static uint64_t now_ms = 1000000;

uint64_t __wrap_vmc_os_boot_ms(void);
uint64_t
__wrap_vmc_os_boot_ms(void)
{
	return now_ms;
}

struct run {
	VMEMcache *cache;
	struct model model;
	struct testing_memory counts;
	struct vmc_memory memory;
	/* of a key, or of that key plus KEYS: its item, as values of one key
	 * that replace each other take turns */
	unsigned item[KEYS];
	uint64_t over_at[MODEL_ITEMS]; /* UINT64_MAX: never */
	bool parked[MODEL_ITEMS];
	struct vmemcache_item pins[PINS];
	unsigned pinned[PINS]; /* their items */
	unsigned pin_count;
	unsigned evicted[MODEL_ITEMS]; /* as the callback was told */
	unsigned evicted_count;
	uint64_t used_blocks;
	uint64_t random;
};

static void
note_victim(VMEMcache *cache, const void *key, size_t key_size, void *arg)
{
	struct run *r = arg;
	uint64_t number;

	assert_ptr_equal(cache, r->cache);
	assert_int_equal(key_size, sizeof(number));
	memcpy(&number, key, sizeof(number));
	r->evicted[r->evicted_count++] = r->item[number];
}

static void
run_start(struct run *r, enum vmemcache_repl_p policy)
{
	memset(r, 0, sizeof(*r));
	r->random = testing_seed();
	r->cache = fixture_open(0, 0, policy);
	vmemcache_callback_on_evict(r->cache, note_victim, r);
	r->memory = testing_memory_of(&r->counts);
	model_start(&r->model,
		policy == VMEMCACHE_REPLACEMENT_SIEVE    ? MODEL_SIEVE
		: policy == VMEMCACHE_REPLACEMENT_S3FIFO ? MODEL_S3FIFO
							 : MODEL_ADAPTIVE,
		BLOCKS, &r->memory);
	for (uint64_t key = 0; key < KEYS; key++) {
		r->item[key] = (unsigned)key;
		r->model.hash[key] = r->model.hash[key + KEYS] =
			vmc_hash(&key, sizeof(key), r->cache->seed);
	}
}

static bool
is_pinned(const struct run *r, unsigned item)
{
	for (unsigned i = 0; i < r->pin_count; i++)
		if (r->pinned[i] == item)
			return true;
	return false;
}

/* The oldest pin; what was met as a victim meanwhile is as if it was new. */
static void
unpin(struct run *r)
{
	unsigned item = r->pinned[0];

	vmemcache_unpin(r->cache, &r->pins[0]);
	r->pin_count--;
	memmove(r->pins, r->pins + 1, r->pin_count * sizeof(*r->pins));
	memmove(r->pinned, r->pinned + 1, r->pin_count * sizeof(*r->pinned));
	if (r->parked[item])
		model_add(&r->model, item);
	r->parked[item] = false;
}

/*
 * The policy hears of what was done up to now: otherwise not of an entry that
 * goes before that. Nobody else is there to take its lock.
 */
static void
settle(struct run *r)
{
	vmc_visit_policy(
		r->cache, vmc_stripe_of(&r->cache->stripes, vmc_thread_self()));
}

/* It has gone, and not as a victim. */
static void
gone(struct run *r, unsigned item)
{
	assert_true(model_remove(&r->model, item));
	r->used_blocks -= r->model.blocks[item];
}

/* The next victim. What is pinned is passed over, and parked; *spared, too. */
static unsigned
next_victim(struct run *r, unsigned spared, bool *met)
{
	unsigned item = model_victim(&r->model);

	while (item == spared || is_pinned(r, item)) {
		if (item == spared)
			*met = true;
		else
			r->parked[item] = true;
		item = model_victim(&r->model);
	}
	return item;
}

/*
 * What must have been evicted for so many blocks: first what is over, in any
 * order, then the policy's victims.
 */
static void
expect_evictions(struct run *r, uint64_t blocks, unsigned spared)
{
	unsigned n = 0;
	bool met = false;

	while (n < r->evicted_count && r->over_at[r->evicted[n]] <= now_ms)
		gone(r, r->evicted[n++]);
	while (r->used_blocks + blocks > BLOCKS) {
		unsigned item = next_victim(r, spared, &met);
		assert_true(n < r->evicted_count);
		assert_int_equal(r->evicted[n++], item);
		assert_true(r->over_at[item] > now_ms);
		r->used_blocks -= r->model.blocks[item];
	}
	if (met)
		model_restore(&r->model, spared);
	assert_int_equal(n, r->evicted_count);
}

static bool
is_there(const struct run *r, unsigned key)
{
	bool in[MODEL_ITEMS] = {false};
	unsigned item = r->item[key];

	model_mark(&r->model, in);
	return (in[item] || r->parked[item]) && r->over_at[item] > now_ms;
}

/* Stores, also over what is there, which is a use of that. */
static void
put(struct run *r, unsigned key, uint64_t blocks)
{
	static unsigned char value[BLOCKS * 256];
	const uint64_t number = key;
	unsigned old = r->item[key], item = (old + KEYS) % MODEL_ITEMS;
	struct vmemcache_store how = {.struct_size = sizeof(how)};
	bool replaces = is_there(r, key);
	struct model *m = &r->model;

	if (testing_below(&r->random, 8) == 0)
		how.ttl_ms = 1 + testing_below(&r->random, 1000);
	if (testing_below(&r->random, 2) == 0)
		how.cost = (uint32_t)(testing_random(&r->random) >>
				      (32 + testing_below(&r->random, 32)));
	settle(r);
	r->evicted_count = 0;
	value_fill(value, blocks * 256, 0, key, 1);
	assert_int_equal(vmemcache_store(r->cache, &number, sizeof(number),
				 value, blocks * 256, &how, NULL),
		0);
	expect_evictions(r, blocks, replaces ? old : MODEL_NONE);
	m->blocks[item] = blocks;
	m->cost[item] = how.cost;
	m->uses[item] = replaces ? m->uses[old] : 0;
	r->over_at[item] = how.ttl_ms ? now_ms + how.ttl_ms : UINT64_MAX;
	r->item[key] = item;
	r->used_blocks += blocks;
	if (replaces)
		model_use(m, item);
	settle(r);
	model_add(m, item);
	if (replaces)
		gone(r, old);
}

/* As a program does: a get, and on a miss a put. */
static void
ask(struct run *r, unsigned key)
{
	bool there = is_there(r, key);
	unsigned item = r->item[key];

	assert_int_equal(fixture_exists(r->cache, key), there);
	if (!there) {
		put(r, key, 1 + testing_below(&r->random, SIZES));
		return;
	}
	assert_true(fixture_has(r->cache, key, 1, r->model.blocks[item] * 256));
	model_use(&r->model, item);
}

static void
pin(struct run *r, unsigned key)
{
	const uint64_t number = key;

	if (!is_there(r, key))
		return;
	if (r->pin_count == PINS || is_pinned(r, r->item[key])) {
		unpin(r);
		return;
	}
	assert_int_equal(vmemcache_pin(r->cache, &number, sizeof(number), 0,
				 &r->pins[r->pin_count]),
		0);
	r->pinned[r->pin_count++] = r->item[key];
	model_use(&r->model, r->item[key]);
}

static void
replace(struct run *r, unsigned key)
{
	if (is_there(r, key) && !is_pinned(r, r->item[key]))
		put(r, key, 1 + testing_below(&r->random, SIZES));
}

static void
evict(struct run *r, unsigned key)
{
	bool there = is_there(r, key);

	if (is_pinned(r, r->item[key]))
		return;
	settle(r);
	r->evicted_count = 0;
	assert_int_equal(fixture_evict(r->cache, key), there ? 0 : -1);
	for (unsigned i = 0; i < r->evicted_count; i++)
		gone(r, r->evicted[i]);
	assert_false(is_there(r, key));
}

/* Victims that are over go, and do not count. False: there are none. */
static bool
evict_victim(struct run *r)
{
	bool met;
	unsigned n = 0, item;

	settle(r);
	r->evicted_count = 0;
	int rc = vmemcache_evict(r->cache, NULL, 0);
	while (n < r->evicted_count) {
		item = next_victim(r, MODEL_NONE, &met);
		assert_int_equal(r->evicted[n++], item);
		assert_int_equal(r->over_at[item] > now_ms,
			rc == 0 && n == r->evicted_count);
		r->used_blocks -= r->model.blocks[item];
	}
	return rc == 0;
}

static void
run_end(struct run *r)
{
	while (r->pin_count > 0)
		unpin(r);
	fixture_check(r->cache);
	assert_int_equal(fixture_stat(r->cache, VMEMCACHE_STAT_ENTRIES),
		model_count(&r->model));
	while (evict_victim(r))
		;
	assert_int_equal(model_count(&r->model), 0);
	fixture_check_empty(r->cache);
	vmemcache_delete(r->cache);
	model_end(&r->model);
}

/* A large value, which goes again. */
static void
evict_many(struct run *r, unsigned key)
{
	evict(r, key);
	if (is_there(r, key))
		return;
	put(r, key, 100 + testing_below(&r->random, BLOCKS / 2));
	evict(r, key);
}

/* Some time passes; a pin would keep what is over. */
static void
wait_some(struct run *r)
{
	while (r->pin_count > 0)
		unpin(r);
	now_ms += testing_below(&r->random, 300);
}

/*
 * Some keys more often than others; scans; loops; and meanwhile evictions,
 * pins, values that replace others, and some that expire.
 */
static void
random_uses(enum vmemcache_repl_p policy)
{
	static struct run r;

	run_start(&r, policy);
	uint64_t rounds = testing_operations(100);
	for (uint64_t round = 0; round < rounds; round++) {
		unsigned length = (unsigned)testing_below(&r.random, 1000);
		unsigned first = (unsigned)testing_below(&r.random, KEYS);
		uint64_t what = testing_below(&r.random, 6);
		for (unsigned i = 0; i < length; i++) {
			unsigned key = (first + i) % KEYS;
			if (what < 4) {
				uint64_t a = testing_below(&r.random, 54);
				key = (unsigned)(a * a * a / 40);
			}
			ask(&r, key);
			if (what == 5 && i % 16 == 0)
				evict(&r, key - key % 3);
			if (what == 3 && i % 32 == 0)
				evict_victim(&r);
			if (what % 2 == 0 && i % 8 == 0)
				replace(&r, key - key % 3);
			if (what > 1 && i % 10 == 0)
				pin(&r, key);
			if (i % 64 == 0)
				wait_some(&r);
		}
		if (what == 4)
			evict_many(&r, (unsigned)(round % KEYS));
	}
	run_end(&r);
}

static void
test_sieve(void **state)
{
	(void)state;
	random_uses(VMEMCACHE_REPLACEMENT_SIEVE);
}

static void
test_s3fifo(void **state)
{
	(void)state;
	random_uses(VMEMCACHE_REPLACEMENT_S3FIFO);
}

static void
test_adaptive(void **state)
{
	(void)state;
	random_uses(VMEMCACHE_REPLACEMENT_ADAPTIVE);
}

/* What is got all the time outlives a scan of many times the cache. */
static void
test_scans(void **state)
{
	static const enum vmemcache_repl_p policies[] = {
		VMEMCACHE_REPLACEMENT_SIEVE, VMEMCACHE_REPLACEMENT_S3FIFO,
		VMEMCACHE_REPLACEMENT_ADAPTIVE};
	enum { OFTEN = 500 };

	(void)state;
	for (unsigned p = 0; p < 3; p++) {
		VMEMcache *cache = fixture_open(0, 0, policies[p]);
		for (unsigned turn = 0; turn < 3; turn++)
			for (uint64_t key = 0; key < OFTEN; key++)
				if (!fixture_has(cache, key, 1, 256))
					assert_int_equal(
						fixture_put(cache, key, 1, 256),
						0);
		for (uint64_t n = 0; n < 20 * BLOCKS; n++) {
			assert_int_equal(
				fixture_put(cache, OFTEN + n, 1, 256), 0);
			if (n % (BLOCKS / 2) == 0)
				for (uint64_t key = 0; key < OFTEN; key++)
					assert_true(fixture_has(
						cache, key, 1, 256));
		}
		fixture_check(cache);
		vmemcache_delete(cache);
	}
}

/*
 * No order, no writing: once it was used often enough, the entry and what is
 * beside it can be read-only, and somebody else may have the policy's lock. Nor
 * does the thread's ring change.
 */
static void
test_hot_gets_write_nothing(void **state)
{
	static const enum vmemcache_repl_p policies[] = {
		VMEMCACHE_REPLACEMENT_SIEVE, VMEMCACHE_REPLACEMENT_S3FIFO,
		VMEMCACHE_REPLACEMENT_ADAPTIVE};
	const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	const uint64_t key = 7;
	char value[64];

	(void)state;
	for (unsigned p = 0; p < 3; p++) {
		VMEMcache *cache = fixture_open(0, 0, policies[p]);
		for (uint64_t k = 0; k <= key; k++)
			assert_int_equal(fixture_put(cache, k, 1, 64), 0);
		struct vmc_ring *ring =
			&vmc_stripe_at(&cache->stripes, vmc_thread_self()->slot)
				 ->ring;
		uint32_t tail = vmc_load_relaxed(&ring->tail);
		struct vmc_entry *e = vmc_entry_of(vmc_load_relaxed(
			&ring->slot[(tail - 1) % VMC_RING_SIZE]));
		assert_memory_equal(e->key, &key, sizeof(key));
		for (unsigned n = 0; n < cache->counts; n++)
			assert_true(fixture_has(cache, key, 1, 64));
		assert_int_equal(vmc_load_relaxed(&e->used), cache->counts);

		uintptr_t begin = (uintptr_t)e / page * page;
		size_t size = (uintptr_t)e + vmc_entry_size(e) - begin;
		pthread_mutex_lock(&cache->policy_lock.mutex);
		assert_int_equal(mprotect((void *)begin, size, PROT_READ), 0);
		for (unsigned n = 0; n < 2000; n++)
			if (vmemcache_get(cache, &key, sizeof(key), value,
				    sizeof(value), 0, NULL) != 64)
				break;
		assert_int_equal(
			mprotect((void *)begin, size, PROT_READ | PROT_WRITE),
			0);
		pthread_mutex_unlock(&cache->policy_lock.mutex);
		assert_int_equal(fixture_stat(cache, VMEMCACHE_STAT_HIT),
			2000 + cache->counts);
		assert_int_equal(vmc_load_relaxed(&ring->tail), tail);
		vmemcache_delete(cache);
	}
}

/* Storing over an entry is a use of it. */
static void
test_stored_over(void **state)
{
	static const enum vmemcache_repl_p policies[] = {
		VMEMCACHE_REPLACEMENT_SIEVE, VMEMCACHE_REPLACEMENT_S3FIFO,
		VMEMCACHE_REPLACEMENT_ADAPTIVE};
	const struct vmemcache_store over = {
		.struct_size = sizeof(over), .mode = VMEMCACHE_REPLACE};
	const uint64_t key = 0;

	(void)state;
	for (unsigned p = 0; p < 3; p++) {
		VMEMcache *cache = fixture_open(0, 0, policies[p]);
		for (unsigned turn = 0; turn < 2; turn++) {
			for (uint64_t k = turn * BLOCKS;
				k < (turn + 1) * BLOCKS; k++)
				assert_int_equal(
					fixture_put(cache, k, 1, 256), 0);
			for (unsigned n = 0; turn == 0 && n < 2; n++)
				assert_int_equal(vmemcache_store(cache, &key,
							 sizeof(key), "value",
							 5, &over, NULL),
					0);
		}
		/* of the same age and not used: gone */
		for (uint64_t k = 0; k < BLOCKS / 2; k++)
			assert_int_equal(fixture_exists(cache, k), k == 0);
		fixture_check(cache);
		vmemcache_delete(cache);
	}
}

/* Also of what had no expiry until then, and gets another entry for it. */
static void
test_touch_is_a_use(void **state)
{
	VMEMcache *cache = fixture_open(0, 0, VMEMCACHE_REPLACEMENT_SIEVE);
	uint64_t key = 0;

	(void)state;
	for (uint64_t other = 0; other < 4; other++)
		assert_int_equal(
			fixture_put(cache, other, 1, VMEMCACHE_MIN_POOL / 4),
			0);
	assert_int_equal(
		vmemcache_touch(cache, &key, sizeof(key), 86400000), 0);
	for (uint64_t other = 4; other < 8; other++)
		assert_int_equal(
			fixture_put(cache, other, 1, VMEMCACHE_MIN_POOL / 4),
			0);
	assert_int_equal(fixture_exists(cache, 0), 1);
	vmemcache_delete(cache);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sieve),
		cmocka_unit_test(test_s3fifo),
		cmocka_unit_test(test_adaptive),
		cmocka_unit_test(test_scans),
		cmocka_unit_test(test_hot_gets_write_nothing),
		cmocka_unit_test(test_stored_over),
		cmocka_unit_test(test_touch_is_a_use),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
