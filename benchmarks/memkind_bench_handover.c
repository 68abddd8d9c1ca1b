/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * memkind_bench_handover.c -- objects that one thread allocates and another
 * frees
 *
 * Two threads, each pinned to a processor of its own, hand batches over, a few
 * of them ahead of each other. What counts is the time by the clock from the
 * first to the last call of a batch, so that waiting for a lock within malloc
 * or free counts, and waiting for the other's batch does not. Batches count if
 * the other thread finished one of its own in the meantime, that is, if both
 * were at work; the median leaves out those in which the thread lost the
 * processor.
 */
#include "memkind_bench.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#define BATCH 1000
#define BATCH_BYTES ((size_t)4 << 20)
#define AHEAD 16
#define BATCHES 600

static size_t size;
static int batch; /* objects in one */

/* Each batch's number is its place; the numbers of those filled, and emptied */
static void *handed[AHEAD][BATCH];
static _Alignas(64) atomic_long filled;
static _Alignas(64) atomic_long emptied;

/* Nanoseconds an object, in the batches that count */
struct samples {
	size_t count;
	double values[BATCHES];
};

static struct samples allocating, freeing;

/* A batch that took from start until now, when the other was at old. */
static void
sample(struct samples *samples, uint64_t start, atomic_long *other, long old)
{
	double time = (double)(bench_now() - start);

	if (atomic_load_explicit(other, memory_order_relaxed) != old)
		samples->values[samples->count++] = time / batch;
}

/* To the first or second processor that there is for us, if there are two. */
static void
pin(int place)
{
	cpu_set_t all, one;

	if (sched_getaffinity(0, sizeof(all), &all) != 0 || CPU_COUNT(&all) < 2)
		return;
	for (size_t i = 0; i < CPU_SETSIZE; i++) {
		if (!CPU_ISSET(i, &all) || place-- > 0)
			continue;
		CPU_ZERO(&one);
		CPU_SET(i, &one);
		pthread_setaffinity_np(pthread_self(), sizeof(one), &one);
		return;
	}
}

static void *
consume(void *unused)
{
	uint64_t start;
	long other;

	(void)unused;
	pin(1);
	for (long i = 0; i < BATCHES; i++) {
		do {
			other = atomic_load_explicit(
				&filled, memory_order_acquire);
		} while (other <= i && sched_yield() == 0);
		start = bench_now();
		for (int j = 0; j < batch; j++)
			memkind_bench_release(handed[i % AHEAD][j]);
		sample(&freeing, start, &filled, other);
		atomic_store_explicit(&emptied, i + 1, memory_order_release);
	}
	return NULL;
}

static void *
produce(void *unused)
{
	uint64_t start;
	long other;

	(void)unused;
	pin(0);
	for (long i = 0; i < BATCHES; i++) {
		do {
			other = atomic_load_explicit(
				&emptied, memory_order_acquire);
		} while (i - other >= AHEAD && sched_yield() == 0);
		start = bench_now();
		for (int j = 0; j < batch; j++)
			handed[i % AHEAD][j] = memkind_bench_allocate(size);
		sample(&allocating, start, &emptied, other);
		atomic_store_explicit(&filled, i + 1, memory_order_release);
	}
	return NULL;
}

double
memkind_bench_handover(size_t object)
{
	pthread_t producer, consumer;

	size = object;
	batch = BATCH_BYTES / size < BATCH ? (int)(BATCH_BYTES / size) : BATCH;
	filled = emptied = 0;
	allocating.count = freeing.count = 0;
	pthread_create(&producer, NULL, produce, NULL);
	pthread_create(&consumer, NULL, consume, NULL);
	pthread_join(producer, NULL);
	pthread_join(consumer, NULL);
	if (allocating.count == 0 || freeing.count == 0)
		return 0;
	return bench_median(allocating.values, allocating.count) +
	       bench_median(freeing.values, freeing.count);
}
