/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * micro_sharing.c -- what an operation takes from other processors
 *
 * Threads that take turns, one operation each, on one full cache; sharing.c
 * follows every access of the library. Per operation, in the steady state:
 *
 *	taken    cache lines written that another thread had touched since this
 *	         one did: what other processors lose
 *	fetched  lines read that another thread had written
 *	locked   atomic read-modify-writes, two for each lock included
 *	locks    acquired
 *
 * With one thread the first two are 0, whatever it does.
 *
 * Usage: micro_sharing [-p]; -p: print the places in the source, too
 */
#include "libvmemcache.h"
#include "random.h"
#include "sharing.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_THREADS = 8, VALUES = 60000, WARM = 2000, COUNTED = 4000 };

static const struct kind {
	const char *name;
	unsigned gets; /* of 100 */
	bool there;
} kinds[] = {{"get", 100, true}, {"miss", 100, false}, {"put", 0, true},
	{"mixed", 90, true}};

struct work {
	VMEMcache *cache;
	const struct kind *kind;
	unsigned threads;
	uint64_t warm; /* operations until the steady state */
	uint64_t next_key;
	uint64_t random;
	uint64_t done;
	struct sharing sum;
};

struct worker {
	struct work *work;
	unsigned self;
	sem_t turn;
	struct worker *next;
	pthread_t thread;
};

static void
put(struct work *w)
{
	static char value[256];
	uint64_t key = w->next_key++;

	if (vmemcache_put(w->cache, &key, sizeof(key), value, sizeof(value))) {
		fprintf(stderr, "put: %s\n", vmemcache_errormsg());
		exit(1);
	}
}

static void
operate(struct work *w)
{
	char value[256];

	if (bench_random_below(&w->random, 100) >= w->kind->gets) {
		put(w);
		return;
	}
	uint64_t age = w->done < w->warm
			       ? w->done % (VALUES / 2)
			       : bench_random_below(&w->random, VALUES / 2);
	uint64_t key = w->kind->there
			       ? w->next_key - 1 - age
			       : bench_random(&w->random) | UINT64_C(1) << 63;
	vmemcache_get(
		w->cache, &key, sizeof(key), value, sizeof(value), 0, NULL);
}

static void *
take_turns(void *argument)
{
	struct worker *me = argument;
	struct work *w = me->work;

	for (bool more = true; more;) {
		sem_wait(&me->turn);
		more = w->done < w->warm + COUNTED;
		if (more) {
			sharing_enter(me->self);
			sharing_count(w->done < w->warm ? NULL : &w->sum);
			operate(w);
			sharing_count(NULL);
			w->done++;
		}
		sem_post(&me->next->turn);
	}
	return NULL;
}

static void
measure(VMEMcache *cache, const struct kind *kind, unsigned threads,
	bool with_places)
{
	static uint64_t next_key = VALUES;
	struct work w = {.cache = cache,
		.kind = kind,
		.threads = threads,
		/* of gets alone: all keys twice, until the policy knows them */
		.warm = kind->gets == 100 && kind->there ? VALUES : WARM,
		.next_key = next_key,
		.random = 1};
	struct worker workers[MAX_THREADS];
	double n = COUNTED;

	sharing_forget();
	for (unsigned i = 0; i < threads; i++) {
		struct worker *me = &workers[i];

		*me = (struct worker){.work = &w, .self = i};
		me->next = &workers[(i + 1) % threads];
		sem_init(&me->turn, 0, 0);
	}
	for (unsigned i = 0; i < threads; i++) {
		if (pthread_create(
			    &workers[i].thread, NULL, take_turns, &workers[i]))
			exit(1);
	}
	sem_post(&workers[0].turn);
	for (unsigned i = 0; i < threads; i++)
		pthread_join(workers[i].thread, NULL);
	next_key = w.next_key;
	printf("%-8s %7u %8.2f %8.2f %8.2f %8.2f\n", kind->name, threads,
		(double)w.sum.taken / n, (double)w.sum.fetched / n,
		(double)w.sum.locked / n, (double)w.sum.locks / n);
	if (with_places)
		sharing_print_places(COUNTED);
}

int
main(int argc, char **argv)
{
	static const unsigned threads[] = {1, 2, 8};
	bool with_places = argc > 1 && strcmp(argv[1], "-p") == 0;
	VMEMcache *cache = vmemcache_new();

	if (cache == NULL || vmemcache_set_size(cache, VALUES * 256) ||
		vmemcache_add(cache, "/dev/shm")) {
		fprintf(stderr, "no cache: %s\n", vmemcache_errormsg());
		return 1;
	}
	struct work fill = {.cache = cache};
	while (fill.next_key < VALUES)
		put(&fill);
	printf("%-8s %7s %8s %8s %8s %8s\n", "op", "threads", "taken",
		"fetched", "locked", "locks");
	for (size_t k = 0; k < sizeof(kinds) / sizeof(*kinds); k++) {
		for (size_t t = 0; t < sizeof(threads) / sizeof(*threads); t++)
			measure(cache, &kinds[k], threads[t], with_places);
	}
	vmemcache_delete(cache);
	return 0;
}
