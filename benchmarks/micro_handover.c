/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * micro_handover.c -- objects that one thread allocates and another frees
 *
 *     micro_handover [DIRECTORY|default|libc [SIZE [BATCHES]]]
 *
 * Two threads, each pinned to a processor of its own, hand batches of 1000
 * objects over, a few of them ahead of each other. What counts is the time
 * by the clock from the first to the last call of a batch, so that waiting
 * for a lock within malloc or free counts, and waiting for the other's batch
 * does not. Batches count if the other thread finished one of its own in the
 * meantime, that is, if both were at work; the median leaves out those in which
 * the thread lost the processor. For another library, LD_PRELOAD it.
 */
#include "memkind.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BATCH 1000
#define AHEAD 16
#define MOST_BATCHES 100000

static memkind_t kind; /* NULL: the C library's malloc */
static size_t size = 64;
static long batches = 4000;

/* Each batch's number is its place; the numbers of those filled, and emptied */
static void *handed[AHEAD][BATCH];
static _Alignas(64) atomic_long filled;
static _Alignas(64) atomic_long emptied;

/* Nanoseconds an object, in the batches that count */
struct samples {
	long count;
	double values[MOST_BATCHES];
};

static struct samples allocating, freeing;

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* A batch that took from start until now, when the other was at old. */
static void
sample(struct samples *samples, double start, atomic_long *other, long old)
{
	double time = now() - start;

	if (atomic_load_explicit(other, memory_order_relaxed) != old)
		samples->values[samples->count++] = time / BATCH;
}

static void
pin(int processor)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((size_t)processor, &set);
	if (pthread_setaffinity_np(pthread_self(), sizeof(set), &set) != 0)
		fprintf(stderr, "not pinned to processor %d\n", processor);
}

static void
allocate_batch(void **objects)
{
	for (int i = 0; i < BATCH; i++) {
		objects[i] = kind ? memkind_malloc(kind, size) : malloc(size);
		if (!objects[i]) {
			fprintf(stderr, "no memory\n");
			exit(1);
		}
		*(volatile char *)objects[i] = 1;
	}
}

static void
free_batch(void **objects)
{
	for (int i = 0; i < BATCH; i++) {
		if (kind)
			memkind_free(kind, objects[i]);
		else
			free(objects[i]);
	}
}

static void *
consume(void *unused)
{
	double start;
	long other;

	(void)unused;
	pin(1);
	for (long i = 0; i < batches; i++) {
		do {
			other = atomic_load_explicit(
				&filled, memory_order_acquire);
		} while (other <= i && sched_yield() == 0);
		start = now();
		free_batch(handed[i % AHEAD]);
		sample(&freeing, start, &filled, other);
		atomic_store_explicit(&emptied, i + 1, memory_order_release);
	}
	return NULL;
}

static void
produce(void)
{
	double start;
	long other;

	pin(0);
	for (long i = 0; i < batches; i++) {
		do {
			other = atomic_load_explicit(
				&emptied, memory_order_acquire);
		} while (i - other >= AHEAD && sched_yield() == 0);
		start = now();
		allocate_batch(handed[i % AHEAD]);
		sample(&allocating, start, &emptied, other);
		atomic_store_explicit(&filled, i + 1, memory_order_release);
	}
}

static int
compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double
median(struct samples *samples)
{
	size_t n = (size_t)samples->count;

	qsort(samples->values, n, sizeof(*samples->values), compare);
	return samples->values[n / 2];
}

int
main(int argc, char **argv)
{
	const char *where = argc > 1 ? argv[1] : "/dev/shm";
	pthread_t consumer;
	double a, f;

	if (argc > 2)
		size = strtoul(argv[2], NULL, 0);
	if (argc > 3)
		batches = atol(argv[3]);
	if (size == 0 || batches < 2 || batches > MOST_BATCHES) {
		fprintf(stderr,
			"usage: %s [DIRECTORY|default|libc [SIZE [BATCHES]]]\n",
			argv[0]);
		return 2;
	}
	if (strcmp(where, "default") == 0) {
		kind = MEMKIND_DEFAULT;
	} else if (strcmp(where, "libc") != 0 &&
		   memkind_create_pmem(where, 0, &kind) != 0) {
		fprintf(stderr, "no kind in %s\n", where);
		return 1;
	}
	pthread_create(&consumer, NULL, consume, NULL);
	produce();
	pthread_join(consumer, NULL);
	a = median(&allocating);
	f = median(&freeing);
	printf("%s, %zu bytes: malloc %.1f ns, free %.1f ns, together %.1f "
	       "(of %ld batches, %ld and %ld)\n",
		where, size, a, f, a + f, batches, allocating.count,
		freeing.count);
	return 0;
}
