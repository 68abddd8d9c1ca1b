/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * micro_clear.c [ITEMS] -- how long it takes to clear a space of ten items, of
 * a hundred thousand, and of so many (a million); and whether gets elsewhere
 * wait
 *
 * In each round the spaces are filled and cleared one after the other, while a
 * thread gets in another space, each get timed. Those count that lie in the
 * clear or in the millisecond after it, and beside them those of a millisecond
 * without a clear; the clearing thread keeps its processor busy meanwhile, so
 * that what the reader waits for a processor is in both.
 */
#include <libvmemcache.h>

#include "crew.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

enum { FEW = 10, SOME = 100000, KINDS = 3, ROUNDS = 11, READ = 1000 };
enum { WITHOUT = KINDS, UNCOUNTED, STAGES };

static struct scene {
	VMEMcache *cache, *space[KINDS], *other;
	uint64_t items[KINDS];
	double ns[KINDS][ROUNDS];
	_Atomic int stage;
	_Atomic bool over;
	struct bench_histogram gets[STAGES];
} scene;

static void
check(bool truth)
{
	if (!truth)
		bench_fail("%s", vmemcache_errormsg());
}

static void
fill(VMEMcache *space, uint64_t items)
{
	for (uint64_t key = 0; key < items; key++)
		check(vmemcache_put(space, &key, sizeof(key), &key,
			      sizeof(key)) == 0);
}

/* What lies in two stages is of the one that is not uncounted. */
static void *
read_on(void *arg)
{
	struct scene *s = arg;
	int last = UNCOUNTED;
	uint64_t before = bench_now(), got;

	for (uint64_t i = 0; !atomic_load(&s->over); i++) {
		uint64_t key = i % READ;
		check(vmemcache_get(s->other, &key, sizeof(key), &got,
			      sizeof(got), 0, NULL) == sizeof(got) &&
			got == key);
		uint64_t after = bench_now();
		int now = atomic_load_explicit(&s->stage, memory_order_relaxed);
		bench_histogram_record(
			&s->gets[last < now ? last : now], after - before);
		last = now;
		before = after;
	}
	return NULL;
}

static VMEMcache *
open_cache(uint64_t items)
{
	VMEMcache *cache =
		bench_cache_configure((items + 10 * READ) * bench.extent);

	bench_cache_add(cache);
	return cache;
}

/* Bytes of metadata an item, of the cache or of a space of it. */
static double
metadata(uint64_t items, bool in_space)
{
	VMEMcache *cache = open_cache(items);
	VMEMcache *space = in_space ? vmemcache_new_space(cache, NULL) : cache;

	check(space != NULL);
	fill(space, items);
	double bytes =
		(double)bench_statistic(cache, VMEMCACHE_STAT_DRAM_SIZE_USED);
	vmemcache_delete(cache);
	return bytes / (double)items;
}

static void
be_busy(uint64_t ns)
{
	uint64_t end = bench_now() + ns;

	while (bench_now() < end)
		;
}

static void
clear(struct scene *s, int kind, int round)
{
	atomic_store(&s->stage, kind);
	uint64_t before = bench_now();
	check(vmemcache_clear(s->space[kind]) == 0);
	s->ns[kind][round] = (double)(bench_now() - before);
	be_busy(1000000);
	atomic_store(&s->stage, UNCOUNTED);
}

static void
run_round(struct scene *s, int round)
{
	for (int kind = 0; kind < KINDS; kind++)
		fill(s->space[kind], s->items[kind]);
	atomic_store(&s->stage, WITHOUT);
	be_busy(1000000);
	atomic_store(&s->stage, UNCOUNTED);
	for (int i = 0; i < KINDS; i++)
		clear(s, (i + round) % KINDS, round);
}

int
main(int argc, char **argv)
{
	uint64_t items = argc > 1 ? strtoull(argv[1], NULL, 10) : 1000000;
	struct scene *s = &scene;
	pthread_t reader;

	bench.extent = VMEMCACHE_MIN_EXTENT;
	double outside = metadata(items, false);
	printf("metadata: %.2f bytes an item, in a space %.2f more\n", outside,
		metadata(items, true) - outside);
	s->cache = open_cache((items + SOME) / 100 * 101);
	s->other = vmemcache_new_space(s->cache, NULL);
	check(s->other != NULL);
	fill(s->other, READ);
	memcpy(s->items, (uint64_t[]){FEW, SOME, items}, sizeof(s->items));
	for (int kind = 0; kind < KINDS; kind++) {
		s->space[kind] = vmemcache_new_space(s->cache, NULL);
		check(s->space[kind] != NULL);
	}
	atomic_store(&s->stage, UNCOUNTED);
	if (pthread_create(&reader, NULL, read_on, s) != 0)
		bench_fail("no thread");
	for (int round = 0; round < ROUNDS; round++)
		run_round(s, round);
	atomic_store(&s->over, true);
	pthread_join(reader, NULL);
	for (int kind = 0; kind < KINDS; kind++) {
		/* which sorts them */
		double median = bench_median(s->ns[kind], ROUNDS);
		printf("clear of %ju items: %.0f ns, at most %.0f; gets "
		       "elsewhere: p99.9 %ju ns, at most %ju\n",
			(uintmax_t)s->items[kind], median,
			s->ns[kind][ROUNDS - 1],
			(uintmax_t)bench_histogram_quantile(
				&s->gets[kind], 0.999),
			(uintmax_t)s->gets[kind].max);
	}
	printf("gets without a clear: p99.9 %ju ns, at most %ju\n",
		(uintmax_t)bench_histogram_quantile(&s->gets[WITHOUT], 0.999),
		(uintmax_t)s->gets[WITHOUT].max);
	vmemcache_delete(s->cache);
	return 0;
}
