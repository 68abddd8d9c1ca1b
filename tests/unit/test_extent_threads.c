/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_extent_threads.c -- several threads exchange blocks; a word per block
 * says whose it is
 */
#include "testing.h"

#include "extent/extent.h"

#include <errno.h>
#include <pthread.h>

enum {
	BLOCKS = 5000,
	THREADS = 4,
	VALUES = 60,
	STEPS = 400000,
};

static struct testing_memory counts;
static struct vmc_extent *extent;
static _Atomic uint32_t owner[BLOCKS];

struct worker {
	pthread_t thread;
	uint32_t name;
	uint64_t largest;
	uint64_t taken; /* blocks */
	vmc_runs value[VALUES];
};

/* Every block of the runs passes from one owner to another; their number. */
static uint64_t
pass(const vmc_runs *runs, uint32_t from, uint32_t to)
{
	uint64_t count, blocks = 0;
	const vmc_run *run = vmc_runs_view(runs, &count);

	for (uint64_t i = 0; i < count; i++)
		for (uint64_t k = 0; k < vmc_run_count(run[i]); k++) {
			uint64_t b = vmc_run_first(run[i]) + k;
			testing_expect(b < BLOCKS);
			testing_expect(
				vmc_exchange_acq_rel(&owner[b], to) == from);
			blocks++;
		}
	return blocks;
}

static void *
work(void *arg)
{
	struct worker *w = arg;
	uint64_t random = testing_seed() + w->name;
	uint64_t steps = testing_operations(STEPS);

	for (uint64_t i = 0; i < steps; i++) {
		vmc_runs *value = &w->value[testing_below(&random, VALUES)];
		uint64_t blocks = testing_below(&random, w->largest + 1);
		uint64_t missing = 0;
		vmc_runs give = *value;
		w->taken -= pass(&give, w->name, 0);
		if (testing_below(&random, 4) == 0) {
			vmc_extent_free(extent, &give);
			*value = VMC_RUNS_NONE;
			continue;
		}
		int result = vmc_extent_exchange(
			extent, &give, blocks, value, &missing);
		testing_expect(give.word == 0);
		if (result == 0) {
			testing_expect(pass(value, 0, w->name) == blocks);
			w->taken += blocks;
		} else {
			testing_expect(result == -ENOSPC);
			testing_expect(missing > 0 && missing <= blocks);
			testing_expect(value->word == 0);
		}
		testing_expect(vmc_extent_free_blocks(extent) <= BLOCKS);
		testing_expect(vmc_extent_free_runs(extent) <= BLOCKS);
		if (i % 1000 == 0)
			testing_expect(vmc_extent_check(extent) == 0);
	}
	return NULL;
}

static void
exchange_in_threads(uint64_t largest)
{
	struct vmc_memory memory = testing_memory_of(&counts);
	struct worker *worker = calloc(THREADS, sizeof(*worker));
	uint64_t taken = 0;

	assert_non_null(worker);
	assert_int_equal(vmc_extent_new(&extent, BLOCKS, &memory), 0);
	testing_seed();
	for (uint32_t i = 0; i < THREADS; i++) {
		worker[i].name = i + 1;
		worker[i].largest = largest;
		assert_int_equal(pthread_create(&worker[i].thread, NULL, work,
					 &worker[i]),
			0);
	}
	for (uint32_t i = 0; i < THREADS; i++) {
		pthread_join(worker[i].thread, NULL);
		taken += worker[i].taken;
	}
	assert_int_equal(testing_failures, 0);
	assert_int_equal(vmc_extent_check(extent), 0);
	assert_int_equal(vmc_extent_free_blocks(extent), BLOCKS - taken);
	for (uint32_t i = 0; i < THREADS; i++)
		for (int v = 0; v < VALUES; v++) {
			pass(&worker[i].value[v], worker[i].name, 0);
			vmc_extent_free(extent, &worker[i].value[v]);
		}
	assert_int_equal(testing_failures, 0);
	assert_int_equal(vmc_extent_check(extent), 0);
	assert_int_equal(vmc_extent_free_blocks(extent), BLOCKS);
	assert_int_equal(vmc_extent_free_runs(extent), 1);
	vmc_extent_delete(extent);
	assert_int_equal(counts.objects, 0);
	free(worker);
}

/* One size: most exchanges hand the run over without the lock. */
static void
test_equal_values(void **state)
{
	(void)state;
	exchange_in_threads(1);
}

static void
test_mixed_values(void **state)
{
	(void)state;
	exchange_in_threads(60);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_equal_values),
		cmocka_unit_test(test_mixed_values),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
