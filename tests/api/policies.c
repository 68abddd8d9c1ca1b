/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * policies.c -- one thread: SIEVE, S3-FIFO and ADAPTIVE evict what their plain
 * models evict, in the same order
 */
#include "policy_model.h"

#include "fixture.h"

enum { BLOCKS = 4096, SIZES = 12 };

struct run {
	VMEMcache *cache;
	struct model model;
	struct testing_memory counts;
	struct vmc_memory memory;
	unsigned evicted[BLOCKS]; /* as the callback was told */
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
	r->evicted[r->evicted_count++] = (unsigned)number;
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
	for (uint64_t key = 0; key < MODEL_ITEMS; key++)
		r->model.hash[key] =
			vmc_hash(&key, sizeof(key), r->cache->seed);
}

static void
run_end(struct run *r)
{
	fixture_check(r->cache);
	assert_int_equal(fixture_stat(r->cache, VMEMCACHE_STAT_ENTRIES),
		model_count(&r->model));
	while (vmemcache_evict(r->cache, NULL, 0) == 0)
		assert_int_equal(r->evicted[--r->evicted_count],
			model_victim(&r->model));
	assert_int_equal(model_count(&r->model), 0);
	fixture_check_empty(r->cache);
	vmemcache_delete(r->cache);
	model_end(&r->model);
}

static void
put(struct run *r, unsigned key, uint64_t blocks)
{
	unsigned expected[BLOCKS], count = 0;

	while (r->used_blocks + blocks > BLOCKS) {
		expected[count] = model_victim(&r->model);
		r->used_blocks -= r->model.blocks[expected[count++]];
	}
	r->evicted_count = 0;
	assert_int_equal(fixture_put(r->cache, key, 1, blocks * 256), 0);
	assert_int_equal(r->evicted_count, count);
	assert_memory_equal(r->evicted, expected, count * sizeof(*expected));
	r->evicted_count = 0;
	r->model.blocks[key] = blocks;
	r->model.uses[key] = 0;
	model_add(&r->model, key);
	r->used_blocks += blocks;
}

/* As a program does: a get, and on a miss a put. */
static void
ask(struct run *r, unsigned key)
{
	bool in[MODEL_ITEMS] = {false};

	model_mark(&r->model, in);
	bool there = in[key];

	assert_int_equal(fixture_exists(r->cache, key), there);
	if (there) {
		assert_true(fixture_has(
			r->cache, key, 1, r->model.blocks[key] * 256));
		model_use(&r->model, key);
	} else {
		put(r, key, 1 + testing_below(&r->random, SIZES));
	}
}

/*
 * Of an entry that is evicted before its put has been fed the policy does not
 * hear, and its ghost stays: so what there is is fed first.
 */
static void
evict(struct run *r, unsigned key)
{
	bool there = model_remove(&r->model, key);

	vmc_cache_feed(r->cache,
		&vmc_stripe_of(&r->cache->stripes, vmc_thread_self())->ring,
		true);
	assert_int_equal(fixture_evict(r->cache, key), there ? 0 : -1);
	if (there)
		r->used_blocks -= r->model.blocks[key];
	r->evicted_count = 0;
}

static void
evict_victim(struct run *r)
{
	assert_int_equal(vmemcache_evict(r->cache, NULL, 0), 0);
	unsigned key = model_victim(&r->model);
	assert_int_equal(r->evicted[0], key);
	r->used_blocks -= r->model.blocks[key];
	r->evicted_count = 0;
}

/* A large value, which goes again. */
static void
evict_many(struct run *r, unsigned key)
{
	evict(r, key);
	put(r, key, 100 + testing_below(&r->random, BLOCKS / 2));
	evict(r, key);
}

/* Some keys more often than others; scans; loops; single evictions. */
static void
random_uses(enum vmemcache_repl_p policy)
{
	static struct run r;

	run_start(&r, policy);
	uint64_t rounds = testing_operations(150);
	for (uint64_t round = 0; round < rounds; round++) {
		unsigned length = (unsigned)testing_below(&r.random, 1000);
		unsigned first =
			(unsigned)testing_below(&r.random, MODEL_ITEMS);
		uint64_t what = testing_below(&r.random, 6);
		for (unsigned i = 0; i < length; i++) {
			unsigned key = (first + i) % MODEL_ITEMS;
			if (what < 4) {
				uint64_t a = testing_below(&r.random, 64);
				key = (unsigned)(a * a * a / 40);
			}
			ask(&r, key);
			if (what == 5 && i % 16 == 0)
				evict(&r, key - key % 3);
			if (what == 3 && i % 32 == 0)
				evict_victim(&r);
		}
		if (what == 4)
			evict_many(&r, (unsigned)(round % MODEL_ITEMS));
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
		cmocka_unit_test(test_stored_over),
		cmocka_unit_test(test_touch_is_a_use),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
