/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * micro_malloc.c -- malloc() and free() of whoever serves this process
 *
 *     micro_malloc [THREADS]
 *     LD_PRELOAD=libmemtier.so.0 MEMKIND_MEM_TIERS=... micro_malloc
 *
 * One line: nanoseconds of processor time for a pair of calls, of 64, 1024 and
 * 4096 bytes, and for both calls of each object when 500 of 1 KiB are allocated
 * before they are freed. Threads do the same side by side; the slowest counts.
 * Of several rounds the fastest.
 */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define ROUNDS 9
#define PAIRS 200000
#define BATCH 500
#define MOST_THREADS 64

static const size_t sizes[] = {64, 1024, 4096, 1024};
#define WORKS (sizeof(sizes) / sizeof(sizes[0]))

/* The compiler must not know what these do. */
static void *(*volatile allocate)(size_t) = malloc;
static void (*volatile release)(void *) = free;

static pthread_barrier_t barrier;

struct thread {
	pthread_t id;
	size_t size;
	unsigned batch;
	double seconds;
};

static void *
run(void *arg)
{
	struct thread *self = arg;
	void *(*const take)(size_t) = allocate;
	void (*const give)(void *) = release;
	struct timespec from, to;
	void *objects[BATCH];

	pthread_barrier_wait(&barrier);
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &from);
	for (unsigned i = 0; i < PAIRS; i += self->batch) {
		for (unsigned j = 0; j < self->batch; j++) {
			objects[j] = take(self->size);
			*(volatile char *)objects[j] = 1;
		}
		for (unsigned j = 0; j < self->batch; j++)
			give(objects[j]);
	}
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &to);
	self->seconds = (double)(to.tv_sec - from.tv_sec) +
			(double)(to.tv_nsec - from.tv_nsec) / 1e9;
	return NULL;
}

static double
round_of(unsigned threads, size_t size, unsigned batch)
{
	static struct thread all[MOST_THREADS];
	double slowest = 0;

	pthread_barrier_init(&barrier, NULL, threads);
	for (unsigned i = 0; i < threads; i++) {
		all[i] = (struct thread){.size = size, .batch = batch};
		if (pthread_create(&all[i].id, NULL, run, &all[i]) != 0)
			exit(1);
	}
	for (unsigned i = 0; i < threads; i++) {
		pthread_join(all[i].id, NULL);
		if (all[i].seconds > slowest)
			slowest = all[i].seconds;
	}
	pthread_barrier_destroy(&barrier);
	return slowest * 1e9 / PAIRS;
}

int
main(int argc, char **argv)
{
	unsigned threads = argc > 1 ? (unsigned)atoi(argv[1]) : 1;

	if (threads < 1 || threads > MOST_THREADS) {
		fprintf(stderr, "usage: micro_malloc [THREADS]\n");
		return 2;
	}
	for (unsigned i = 0; i < WORKS; i++) {
		double best = 0;
		for (int j = 0; j < ROUNDS; j++) {
			double ns = round_of(
				threads, sizes[i], i + 1 < WORKS ? 1 : BATCH);
			best = j == 0 || ns < best ? ns : best;
		}
		printf("%s%.1f", i ? " " : "", best);
	}
	printf("\n");
	return 0;
}
