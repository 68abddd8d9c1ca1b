/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * distance.c -- a word that goes to and fro between two processors
 *
 * What threads share costs this for each line that one takes from the other. On
 * a virtual machine it changes while a program runs, by a factor of five, as
 * the host moves the processors between groups that share a cache.
 */
#include "distance.h"

#include "crew.h"

#include <pthread.h>
#include <sched.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdint.h>

enum { TRIES = 5, TIMES = 2000 };

struct pair {
	alignas(128) _Atomic unsigned word;
	alignas(128) double ns[TRIES];
};

bool
bench_pin(unsigned place)
{
	cpu_set_t usable, one;

	CPU_ZERO(&usable);
	sched_getaffinity(0, sizeof(usable), &usable);
	for (unsigned i = 0; i < CPU_SETSIZE; i++) {
		if (!CPU_ISSET(i, &usable) || place-- > 0)
			continue;
		CPU_ZERO(&one);
		CPU_SET(i, &one);
		return pthread_setaffinity_np(
			       pthread_self(), sizeof(one), &one) == 0;
	}
	return false;
}

static void
await(struct pair *p, unsigned word)
{
	/* where both are on one processor, the other has to run */
	for (unsigned n = 1; atomic_load(&p->word) != word; n++)
		if (n % 4096 == 0)
			sched_yield();
}

static void *
answer(void *arg)
{
	struct pair *p = arg;

	for (unsigned i = 0; i < TRIES * TIMES; i++) {
		await(p, 2 * i + 1);
		atomic_store(&p->word, 2 * i + 2);
	}
	return NULL;
}

static void
ask(struct pair *p)
{
	unsigned i = 0;

	for (int try = 0; try < TRIES; try++) {
		uint64_t begin = bench_now();
		for (int n = 0; n < TIMES; n++, i++) {
			atomic_store(&p->word, 2 * i + 1);
			await(p, 2 * i + 2);
		}
		p->ns[try] = (double)(bench_now() - begin) / (2 * TIMES);
	}
}

/* A thread begins where the one that makes it may run. */
double
bench_distance(void)
{
	struct pair p = {.word = 0};
	pthread_t answering;
	cpu_set_t usable;
	bool found;

	sched_getaffinity(0, sizeof(usable), &usable);
	found = bench_pin(1) &&
		pthread_create(&answering, NULL, answer, &p) == 0;
	pthread_setaffinity_np(pthread_self(), sizeof(usable), &usable);
	if (!found)
		return 0;
	bench_pin(0);
	ask(&p);
	pthread_join(answering, NULL);
	pthread_setaffinity_np(pthread_self(), sizeof(usable), &usable);
	return bench_median(p.ns, TRIES);
}
