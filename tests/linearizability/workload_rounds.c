/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * workload_rounds.c -- a workload in rounds, after each of which all is checked
 *
 * Between rounds all threads rest. Then the walkers of the cache must be
 * content, nothing may be pinned, no key may be busy, and one more get of each
 * key belongs to the history: it is also what the next round starts from.
 */
#include "workload_internal.h"

#include <sched.h>

/* All start at the same time: they are awake when the last one is. */
static void
meet(struct run *r)
{
	pthread_barrier_wait(&r->start);
	vmc_fetch_add_acq_rel(&r->arrived, 1);
	while (vmc_load_acquire(&r->arrived) < r->w->threads)
		sched_yield();
}

static void *
work(void *arg)
{
	struct worker *me = workload_self = arg;
	struct run *r = me->run;

	for (;;) {
		meet(r);
		if (r->over)
			return NULL;
		me->working = true;
		for (unsigned i = 0; me->number < r->active && i < OPERATIONS;
			i++)
			workload_operate(me);
		workload_let_go(me);
		me->working = false;
		pthread_barrier_wait(&r->end);
	}
}

static int
by_key_and_call(const void *a_arg, const void *b_arg)
{
	const struct checker_op *a = a_arg, *b = b_arg;

	if (a->key != b->key)
		return a->key < b->key ? -1 : 1;
	return (a->call > b->call) - (a->call < b->call);
}

/* Everything that was recorded, key by key. */
static void
check_history(struct run *r)
{
	const struct workload *w = r->w;
	static struct checker_op ops[(THREADS + 1) * RECORDS];
	unsigned count = 0;
	bool vanishing = !w->on_evict && !w->no_pressure &&
			 w->policy != VMEMCACHE_REPLACEMENT_NONE;

	for (unsigned i = 0; i <= w->threads; i++) {
		struct worker *worker = r->workers[i];
		memcpy(ops + count, worker->records,
			worker->count * sizeof(*ops));
		count += worker->count;
		worker->count = 0;
	}
	qsort(ops, count, sizeof(*ops), by_key_and_call);
	for (unsigned from = 0, to; from < count; from = to) {
		unsigned key = ops[from].key;
		for (to = from; to < count && ops[to].key == key;)
			to++;
		if (!checker_linearizable(ops + from, to - from, r->state[key],
			    vanishing, stderr))
			workload_violation("no order of the operations", key);
		/* the last one is of rest() */
		r->state[key] = ops[to - 1].event == SEE ? ops[to - 1].version
							 : CHECKER_ABSENT;
	}
}

static void
set_on_miss(struct run *r, vmemcache_on_miss *on_miss)
{
	for (unsigned i = 0; i <= r->w->spaces; i++)
		vmemcache_callback_on_miss(r->place[i], on_miss, NULL);
}

/* Nobody else uses the cache: what must be true then. */
static void
rest(struct run *r)
{
	struct worker *me = r->workers[r->w->threads];

	if (vmc_cache_check(r->cache) != 0)
		workload_violation(vmemcache_errormsg(), WORKLOAD_KEYS);
	workload_expect(vmc_cache_pinned_items(r->cache) == 0, "pins at rest",
		WORKLOAD_KEYS);
	set_on_miss(r, NULL);
	me->depth = DEPTH; /* on_evict does nothing but get */
	workload_renew_space(me);
	for (unsigned key = 0; key < workload_keys(r->w); key++) {
		workload_get(me, key, true);
		const struct checker_op *found = &me->records[me->count - 1];
		if (found->event == SEE && found->version == 0)
			workload_evict(
				me, key); /* too short to know its version */
	}
	check_history(r);
	if (r->w->on_miss)
		set_on_miss(r, workload_on_miss);
}

/* It can all be taken out again, and then all of the pool has room for one. */
static void
empty(struct run *r)
{
	for (unsigned key = 0; key < workload_keys(r->w); key++) {
		int err = fixture_evict(workload_place(r, key),
				  workload_number(r, key))
				  ? errno
				  : 0;
		workload_expect(err == 0 || err == ENOENT, "busy at rest", key);
	}
	r->workers[r->w->threads]->count = 0;
	vmemcache_callback_on_evict(r->cache, NULL, NULL);
	workload_expect(vmc_cache_check(r->cache) == 0 &&
				fixture_put(r->cache, 0, 1,
					fixture_stat(r->cache,
						VMEMCACHE_STAT_POOL_SIZE)) == 0,
		"not all is free", WORKLOAD_KEYS);
	for (unsigned i = 1; i <= r->w->spaces; i++)
		vmemcache_delete(r->place[i]);
	workload_expect(
		fixture_evict(r->cache, 0) == 0 &&
			vmc_cache_check(r->cache) == 0 &&
			fixture_stat(r->cache, VMEMCACHE_STAT_ENTRIES) == 0 &&
			fixture_stat(r->cache, VMEMCACHE_STAT_POOL_SIZE_USED) ==
				0,
		"not empty", WORKLOAD_KEYS);
}

static VMEMcache *
open_cache(const struct workload *w)
{
	VMEMcache *cache =
		fixture_new(VMEMCACHE_MIN_POOL, w->extent, w->policy);

	if (vmemcache_set_ordered(cache, w->ordered) != 0 ||
		vmemcache_add(cache, FIXTURE_DIR) != 0)
		fail_msg("%s", vmemcache_errormsg());
	return cache;
}

static void
make_workers(struct run *r, uint64_t seed)
{
	for (unsigned i = 0; i <= r->w->threads; i++) {
		struct worker *worker = calloc(1, sizeof(*worker));
		if (!worker)
			abort();
		worker->run = r;
		worker->number = i;
		worker->random = seed + i * VALUE_ODD;
		for (unsigned depth = 0; depth < DEPTH + 2; depth++)
			worker->buffers[depth] = malloc(r->largest + 1);
		r->workers[i] = worker;
	}
}

bool
workload_run(const struct workload *w, uint64_t seed, uint64_t rounds)
{
	struct run r = {.w = w, .over = false};
	pthread_t threads[THREADS];

	for (int class = 0; class < CHECKER_CLASSES; class ++)
		if (w->sizes[class] > r.largest)
			r.largest = w->sizes[class];
	r.cache = open_cache(w);
	workload_new_spaces(&r);
	if (w->on_evict)
		vmemcache_callback_on_evict(r.cache, workload_on_evict, NULL);
	if (w->on_miss)
		set_on_miss(&r, workload_on_miss);
	make_workers(&r, seed);
	workload_self = r.workers[w->threads];
	pthread_barrier_init(&r.start, NULL, w->threads + 1);
	pthread_barrier_init(&r.end, NULL, w->threads + 1);
	for (unsigned i = 0; i < w->threads; i++)
		if (pthread_create(&threads[i], NULL, work, r.workers[i]) != 0)
			abort();
	for (uint64_t i = 0; i < rounds && workload_is_good(); i++) {
		r.active = 2 + (unsigned)testing_below(
				       &workload_self->random, w->threads - 1);
		r.arrived = 0;
		pthread_barrier_wait(&r.start);
		pthread_barrier_wait(&r.end);
		rest(&r);
	}
	r.over = true;
	r.arrived = 0;
	pthread_barrier_wait(&r.start);
	for (unsigned i = 0; i < w->threads; i++)
		pthread_join(threads[i], NULL);
	if (workload_is_good())
		empty(&r);
	vmemcache_delete(r.cache);
	pthread_barrier_destroy(&r.start);
	pthread_barrier_destroy(&r.end);
	for (unsigned i = 0; i <= w->threads; i++) {
		for (unsigned depth = 0; depth < DEPTH + 2; depth++)
			free(r.workers[i]->buffers[depth]);
		free(r.workers[i]);
	}
	workload_self = NULL;
	return workload_is_good();
}
