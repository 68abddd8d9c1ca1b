/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * micro_extent.c -- what placement costs over a long life: runs per value,
 * nanoseconds per put, and what a second thread costs
 *
 * No value is copied: only the blocks change hands, as in a cache that evicts
 * for each put. First part: per line one pool is filled and turned over, then
 *
 *	sizes    of the values, in blocks of 256 bytes
 *	victims  fifo: the order of insertion (a cache without hits)
 *	         lru: every put is followed by two hits, at random
 *	         random: any value
 *	free     blocks kept free beyond what a put needs, in thousandths
 *	runs     per value, after so many turnovers
 *	put      nanoseconds in the extent calls of a put, less the clock's own
 *
 * Second part: one thread and then two turn over a pool, with about 500 ns of
 * other work per put; `second` is what a put takes longer with two, medians
 * of five.
 *
 * Usage: micro_extent [mebibytes [turnovers]]
 * At least 2 mebibytes; 0 turnovers: second part only
 */
#include "crew.h"
#include "distribution.h"
#include "extent/extent.h"
#include "options.h"
#include "random.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/queue.h>

#define BLOCKS_PER_MIB 4096
#define ROUNDS 5
#define PUTS 20000u

/* malloc() as the module's memory; what is retired is free at once. */
static void *
bench_heap_alloc(void *ctx, size_t size)
{
	(void)ctx;
	return malloc(size);
}

static void
bench_heap_free(void *ctx, void *ptr, size_t size)
{
	(void)ctx;
	(void)size;
	free(ptr);
}

static const struct vmc_memory bench_heap = {.alloc = bench_heap_alloc,
	.free = bench_heap_free,
	.retire = bench_heap_free};

enum victims { FIFO, LRU, RANDOM };

static const char *const victims_name[] = {"fifo", "lru", "random"};

struct value {
	vmc_runs runs;
	TAILQ_ENTRY(value) order; /* of use, the oldest first */
	uint32_t slot;            /* where it stands in place[] */
};

/* A pool, or one thread's half of it, and the values in it. */
struct churn {
	struct vmc_extent *extent;
	struct bench_distribution sizes;
	enum victims victims;
	uint64_t slack;
	TAILQ_HEAD(order, value) order;
	struct value *value;
	struct value **place; /* the values in the pool, then the spare ones */
	uint32_t count;
	uint64_t random;
	uint64_t ns;
	uint64_t intervals;
};

static void
churn_new(struct churn *c, struct vmc_extent *extent, const char *sizes,
	enum victims victims, uint64_t blocks)
{
	uint32_t room = (uint32_t)blocks + 1;

	*c = (struct churn){
		.extent = extent, .victims = victims, .random = blocks};
	TAILQ_INIT(&c->order);
	c->value = bench_zeroed(room, sizeof(*c->value));
	c->place = bench_zeroed(room, sizeof(*c->place));
	bench_distribution_parse(&c->sizes, sizes, 1024);
	for (uint32_t i = 0; i < room; i++)
		c->place[i] = &c->value[i];
}

static void
churn_delete(struct churn *c)
{
	for (uint32_t i = 0; i < c->count; i++)
		vmc_extent_free(c->extent, &c->place[i]->runs);
	bench_distribution_free(&c->sizes);
	free(c->value);
	free(c->place);
}

static struct value *
any_value(struct churn *c)
{
	return c->place[bench_random_below(&c->random, c->count)];
}

/* Take a victim out of the books; its blocks are the caller's. */
static vmc_runs
evict(struct churn *c)
{
	struct value *v =
		c->victims == RANDOM ? any_value(c) : TAILQ_FIRST(&c->order);
	struct value *moved = c->place[--c->count];

	TAILQ_REMOVE(&c->order, v, order);
	c->place[v->slot] = moved;
	moved->slot = v->slot;
	c->place[c->count] = v;
	return v->runs;
}

static uint64_t
blocks_of(const vmc_runs *runs)
{
	uint64_t count, blocks = 0;
	const vmc_run *run = vmc_runs_view(runs, &count);

	for (uint64_t i = 0; i < count; i++)
		blocks += vmc_run_count(run[i]);
	return blocks;
}

static void
put(struct churn *c, uint64_t blocks)
{
	vmc_runs give = VMC_RUNS_NONE, take;
	uint64_t missing, start = bench_now();

	while (vmc_extent_free_blocks(c->extent) + blocks_of(&give) <
			blocks + c->slack ||
		vmc_extent_exchange(
			c->extent, &give, blocks, &take, &missing)) {
		vmc_extent_free(c->extent, &give);
		c->ns += bench_now() - start;
		c->intervals++;
		if (c->count > 0) /* else: all of them are another thread's */
			give = evict(c);
		start = bench_now();
	}
	c->ns += bench_now() - start;
	c->intervals++;

	struct value *v = c->place[c->count];
	v->runs = take;
	v->slot = c->count++;
	TAILQ_INSERT_TAIL(&c->order, v, order);
	for (int hits = c->victims == LRU ? 2 : 0; hits > 0; hits--) {
		v = any_value(c);
		TAILQ_REMOVE(&c->order, v, order);
		TAILQ_INSERT_TAIL(&c->order, v, order);
	}
}

static uint64_t
turn_over(struct churn *c, uint64_t blocks)
{
	uint64_t puts = 0;

	for (uint64_t done = 0; done < blocks; puts++) {
		uint64_t size = bench_draw(&c->sizes, &c->random);
		put(c, size);
		done += size;
	}
	return puts;
}

static double
runs_per_value(const struct churn *c)
{
	uint64_t runs = 0, count;

	for (uint32_t i = 0; i < c->count; i++) {
		vmc_runs_view(&c->place[i]->runs, &count);
		runs += count;
	}
	return (double)runs / c->count;
}

/* The least of several, so that it is not subtracted too often. */
static uint64_t
clock_cost(void)
{
	uint64_t least = UINT64_MAX;

	for (int round = 0; round < 100; round++) {
		uint64_t start = bench_now(), last = start;
		for (int i = 0; i < 1000; i++)
			last = bench_now();
		if ((last - start) / 1000 < least)
			least = (last - start) / 1000;
	}
	return least;
}

static void
measure_runs(const char *sizes, enum victims victims, unsigned thousandths,
	uint64_t blocks, unsigned turnovers)
{
	struct vmc_extent *extent;
	struct churn c;
	uint64_t puts = 0;

	if (vmc_extent_new(&extent, blocks, &bench_heap))
		bench_fail("out of memory");
	churn_new(&c, extent, sizes, victims, blocks);
	c.slack = blocks * thousandths / 1000;
	printf("%-18s %-7s %4u  ", sizes, victims_name[victims], thousandths);
	for (unsigned t = 0; t <= turnovers; t++) {
		c.ns = c.intervals = 0;
		puts = turn_over(&c, blocks);
		if ((t & (t - 1)) == 0 || t == turnovers)
			printf(" %u: %.3f", t, runs_per_value(&c));
		fflush(stdout);
	}
	uint64_t clocks = c.intervals * clock_cost();
	printf("  put %.0f\n", ((double)c.ns - (double)clocks) / (double)puts);
	churn_delete(&c);
	vmc_extent_delete(extent);
}

static volatile uint64_t sink;

/* Some 500 ns that share nothing. */
static void
other_work(uint64_t *random)
{
	uint64_t x = 0;

	for (int i = 0; i < 300; i++)
		x ^= bench_random(random);
	sink = x;
}

static void *
put_many(void *arg)
{
	struct churn *c = arg;
	uint64_t random = c->random, start = bench_now();

	for (unsigned i = 0; i < PUTS; i++) {
		put(c, bench_draw(&c->sizes, &c->random));
		other_work(&random);
	}
	c->ns = bench_now() - start;
	return NULL;
}

/* Nanoseconds per put and thread. */
static double
contend(struct churn *half, int threads)
{
	pthread_t thread[2];
	uint64_t ns = 0;

	for (int i = 0; i < threads; i++)
		pthread_create(&thread[i], NULL, put_many, &half[i]);
	for (int i = 0; i < threads; i++) {
		pthread_join(thread[i], NULL);
		ns += half[i].ns;
	}
	return (double)ns / threads / PUTS;
}

static void
measure_threads(const char *sizes, uint64_t blocks)
{
	double one[ROUNDS], two[ROUNDS];
	struct vmc_extent *extent;
	struct churn half[2];

	if (vmc_extent_new(&extent, blocks, &bench_heap))
		bench_fail("out of memory");
	for (int i = 0; i < 2; i++) {
		churn_new(&half[i], extent, sizes, RANDOM, blocks);
		turn_over(&half[i], blocks / 2);
	}
	for (int i = 0; i < ROUNDS; i++) {
		one[i] = contend(half, 1);
		two[i] = contend(half, 2);
	}
	double alone = bench_median(one, ROUNDS);
	double both = bench_median(two, ROUNDS);
	printf("%-18s one %.0f, two %.0f: second %+.0f\n", sizes, alone, both,
		both - alone);
	for (int i = 0; i < 2; i++)
		churn_delete(&half[i]);
	vmc_extent_delete(extent);
}

static void
measure_all_runs(uint64_t blocks, unsigned turnovers)
{
	static const char *const sizes[] = {
		"fixed:1", "fixed:64", "uniform:1:256", "log-uniform:1:256"};

	static const unsigned kept_free[] = {1, 4, 8};

	printf("%-18s victims free   runs per value after so many turnovers\n",
		"sizes");
	for (enum victims v = FIFO; v <= RANDOM; v++)
		for (int i = 0; i < 4; i++)
			measure_runs(sizes[i], v, 0, blocks, turnovers);
	for (enum victims v = FIFO; v <= RANDOM; v += RANDOM)
		for (int free = 0; free < 3; free++)
			for (int i = 2; i < 4; i++)
				measure_runs(sizes[i], v, kept_free[free],
					blocks, turnovers);
}

int
main(int argc, char **argv)
{
	static const char *const shared[] = {"fixed:1", "fixed:64",
		"uniform:1:2", "uniform:32:96", "log-uniform:1:256"};
	uint64_t mebibytes = argc > 1 ? strtoull(argv[1], NULL, 0) : 256;
	uint64_t blocks = mebibytes * BLOCKS_PER_MIB;
	unsigned turnovers =
		argc > 2 ? (unsigned)strtoul(argv[2], NULL, 0) : 20;

	if (mebibytes < 2) /* a half of it is less than a few values */
		bench_refuse("at least 2 MiB");
	if (turnovers > 0)
		measure_all_runs(blocks, turnovers);
	for (int i = 0; i < 5; i++)
		measure_threads(shared[i], blocks);
	return 0;
}
