/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_memtier_policy.c -- the ratio holds, whichever the policy, the sizes
 * and the number of threads
 */
#include "testing.h"

#include "memtier/policy.h"

#include <pthread.h>

#define DYNAMIC "policy.dynamic_threshold."
#define MOST_THREADS 16
#define MOST_TIERS 3

static struct memtier_memory *
construct(memtier_policy_t policy, const memkind_t *kinds,
	const unsigned *ratios, unsigned count)
{
	const size_t least = 1, most = (size_t)1 << 20;
	struct memtier_builder *builder = memtier_builder_new(policy);
	struct memtier_memory *memory;

	assert_non_null(builder);
	for (unsigned i = 0; i < count; i++)
		assert_int_equal(
			memtier_builder_add_tier(builder, kinds[i], ratios[i]),
			0);
	if (policy == MEMTIER_POLICY_DYNAMIC_THRESHOLD && count == 2) {
		assert_int_equal(memtier_ctl_set(builder,
					 DYNAMIC "thresholds[0].min", &least),
			0);
		assert_int_equal(memtier_ctl_set(builder,
					 DYNAMIC "thresholds[0].max", &most),
			0);
	}
	memory = memtier_builder_construct_memtier_memory(builder);
	memtier_builder_delete(builder);
	assert_non_null(memory);
	return memory;
}

/* The largest deviation of any tier from its share, as a part of that. */
static double
deviation(const memkind_t *kinds, const unsigned *ratios, unsigned count)
{
	double all = 0, parts = 0, worst = 0;

	for (unsigned i = 0; i < count; i++) {
		all += (double)memtier_kind_allocated_size(kinds[i]);
		parts += ratios[i];
	}
	for (unsigned i = 0; i < count; i++) {
		double share = all * ratios[i] / parts;
		double bytes = (double)memtier_kind_allocated_size(kinds[i]);
		double off = share > bytes ? share - bytes : bytes - share;
		if (ratios[i] == 0)
			assert_true(bytes == 0);
		else if (off / share > worst)
			worst = off / share;
	}
	return worst;
}

struct work {
	struct memtier_memory *memory;
	void **objects;
	uint64_t count;
	uint64_t random;
};

/* Sizes of 8 to 512 bytes; every fourth object goes again. */
static void *
allocate(void *arg)
{
	struct work *work = arg;

	for (uint64_t i = 0; i < work->count; i++) {
		size_t size = (size_t)8 << testing_below(&work->random, 7);
		work->objects[i] = memtier_malloc(work->memory, size);
		testing_expect(work->objects[i] != NULL);
		if (i % 4 == 3) {
			uint64_t victim = testing_below(&work->random, i);
			memtier_free(work->objects[victim]);
			work->objects[victim] = NULL;
		}
	}
	return NULL;
}

static void *
release(void *arg)
{
	struct work *work = arg;

	for (uint64_t i = 0; i < work->count; i++)
		memtier_free(work->objects[i]);
	return NULL;
}

static void
in_threads(void *(*function)(void *), struct work *works, unsigned count)
{
	pthread_t threads[MOST_THREADS];

	for (unsigned i = 0; i < count; i++)
		assert_int_equal(
			pthread_create(&threads[i], NULL, function, &works[i]),
			0);
	for (unsigned i = 0; i < count; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_int_equal(vmc_load_relaxed(&testing_failures), 0);
}

static void
static_ratio(const unsigned *ratios, unsigned tiers, unsigned threads)
{
	const memkind_t kinds[] = {
		MEMKIND_DEFAULT, MEMKIND_REGULAR, MEMKIND_INTERLEAVE};
	struct memtier_memory *memory =
		construct(MEMTIER_POLICY_STATIC_RATIO, kinds, ratios, tiers);
	const uint64_t count = testing_operations(1000000) / threads;
	void **objects = test_calloc(count * threads, sizeof(*objects));
	struct work works[MOST_THREADS];
	uint64_t random = testing_seed();

	for (unsigned i = 0; i < threads; i++)
		works[i] = (struct work){.memory = memory,
			.objects = objects + i * count,
			.count = count,
			.random = testing_random(&random)};
	in_threads(allocate, works, threads);
	double off = deviation(kinds, ratios, tiers);
	printf("%u tiers, %u threads, %llu allocations: off by %.3f %%\n",
		tiers, threads, (unsigned long long)(count * threads),
		100 * off);
	/* fewer allocations: what a thread does not know is more of them */
	assert_true(off < (count * threads < 500000 ? 0.1 : 0.01));
	/* freed by whom it was not allocated, where there are several */
	for (unsigned i = 0; i + 1 < threads; i += 2) {
		void **swapped = works[i].objects;
		works[i].objects = works[i + 1].objects;
		works[i + 1].objects = swapped;
	}
	in_threads(release, works, threads);
	for (unsigned i = 0; i < tiers; i++)
		assert_int_equal(memtier_kind_allocated_size(kinds[i]), 0);
	memtier_delete_memtier_memory(memory);
	test_free(objects);
}

/* Fewer combinations where everything takes long. */
static bool
is_slow(void)
{
#ifdef VMC_TESTING_SANITIZED
	return true;
#else
	return RUNNING_ON_VALGRIND;
#endif
}

static void
test_static_ratio(void **state)
{
	static const unsigned ratios[][MOST_TIERS] = {
		{1, 1, 0}, {1, 8, 0}, {5, 2, 1}, {1, 0, 3}};

	(void)state;
	for (unsigned threads = 1; threads <= MOST_THREADS;
		threads *= is_slow() ? 16 : 2)
		for (unsigned i = 0; i < 4; i++)
			static_ratio(ratios[i], i < 2 ? 2 : 3, threads);
}

static size_t
log_uniform(uint64_t *random, uint64_t i)
{
	(void)i;
	return ((size_t)16 << testing_below(random, 8)) +
	       testing_below(random, 16);
}

static size_t
bimodal(uint64_t *random, uint64_t i)
{
	(void)i;
	return testing_below(random, 8) > 0 ? 64 : 2048;
}

/* First small ones, then large ones, and both again. */
static size_t
shifting(uint64_t *random, uint64_t i)
{
	return i / 20000 % 2 == 0 ? 16 + testing_below(random, 200)
				  : 300 + testing_below(random, 4000);
}

static size_t
uniform(uint64_t *random, uint64_t i)
{
	(void)i;
	return 1 + testing_below(random, 2048);
}

static void
dynamic_threshold(size_t (*size)(uint64_t *, uint64_t), const char *name,
	const unsigned *ratios, bool replace)
{
	const memkind_t kinds[] = {MEMKIND_DEFAULT, MEMKIND_REGULAR};
	struct memtier_memory *memory =
		construct(MEMTIER_POLICY_DYNAMIC_THRESHOLD, kinds, ratios, 2);
	const uint64_t count = 100000, live = replace ? 20000 : count;
	void **objects = test_calloc(live, sizeof(*objects));
	uint64_t random = testing_seed();

	for (uint64_t i = 0; i < count; i++) {
		uint64_t at = i < live ? i : testing_below(&random, live);
		memtier_free(objects[at]);
		objects[at] = memtier_malloc(memory, size(&random, i));
		assert_non_null(objects[at]);
	}
	double off = deviation(kinds, ratios, 2);
	printf("%s, %u:%u%s: off by %.3f %%\n", name, ratios[0], ratios[1],
		replace ? ", replaced" : "", 100 * off);
	/* what is replaced is of any tier, which is noise that is corrected */
	assert_true(off < (replace ? 0.06 : 0.02));
	for (uint64_t i = 0; i < live; i++)
		memtier_free(objects[i]);
	memtier_delete_memtier_memory(memory);
	test_free(objects);
}

static void
test_dynamic_threshold(void **state)
{
	static const unsigned ratios[][2] = {{1, 1}, {1, 4}, {1, 8}, {4, 1}};

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		if (is_slow() && i != 1)
			continue;
		for (int replace = 0; replace < 2; replace++) {
			dynamic_threshold(
				log_uniform, "log-uniform", ratios[i], replace);
			dynamic_threshold(
				bimodal, "bimodal", ratios[i], replace);
			dynamic_threshold(
				uniform, "uniform", ratios[i], replace);
			dynamic_threshold(
				shifting, "shifting", ratios[i], replace);
		}
	}
}

/* What is right as it is stays, and nothing goes beyond the bounds. */
static void
test_threshold_rests(void **state)
{
	const memkind_t kinds[] = {MEMKIND_DEFAULT, MEMKIND_REGULAR};
	struct memtier_memory *memory = construct(
		MEMTIER_POLICY_DYNAMIC_THRESHOLD, kinds, (unsigned[]){1, 4}, 2);
	struct vmc_threshold *threshold = &memory->thresholds[0];
	void *objects[2000];

	(void)state;
	for (int i = 0; i < 2000; i++) {
		objects[i] = memtier_malloc(memory, i % 2 ? 2048 : 512);
		assert_int_equal(vmc_load_relaxed(&threshold->val), 1024);
	}
	for (int i = 0; i < 2000; i++)
		memtier_free(objects[i]);
	threshold->min = 1000;
	threshold->max = 1100;
	for (int large = 0; large < 2; large++) {
		for (int i = 0; i < 2000; i++)
			objects[i] = memtier_malloc(memory, large ? 2048 : 512);
		assert_int_equal(
			vmc_load_relaxed(&threshold->val), large ? 1100 : 1000);
		for (int i = 0; i < 2000; i++)
			memtier_free(objects[i]);
	}
	memtier_delete_memtier_memory(memory);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_static_ratio),
		cmocka_unit_test(test_dynamic_threshold),
		cmocka_unit_test(test_threshold_rests),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
