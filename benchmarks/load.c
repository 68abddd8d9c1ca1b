/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * load.c -- one kind of operation at a time, on a store that is full
 *
 * The requests of all threads are drawn from one sequence, in turns, so that
 * with any number of threads keys are put in the order of their numbers, and
 * what is evicted is never new.
 */
#include "load.h"

#include <math.h>
#include <string.h>
#include <unistd.h>

#include "random.h"

enum { SLICE_NS = 80000000, MAX_SLICE = 1 << 20, BATCH = 16384 };

const char *const bench_operation_name[BENCH_OPERATIONS] = {
	[BENCH_OP_GET] = "get",
	[BENCH_OP_HOT] = "hot",
	[BENCH_OP_ZIPF] = "zipf",
	[BENCH_OP_MANY] = "many",
	[BENCH_OP_PIN] = "pin",
	[BENCH_OP_MISS] = "miss",
	[BENCH_OP_PUT] = "put",
	[BENCH_OP_MIXED] = "mixed",
};

const char *
bench_parse_operations(const char *text, void *into)
{
	bool *wanted = into;

	memset(wanted, 0, BENCH_OPERATIONS * sizeof(*wanted));
	char *copy = strdup(text), *rest = copy;
	size_t op = 0;
	while (rest != NULL && op < BENCH_OPERATIONS) {
		const char *name = strsep(&rest, ",");

		for (op = 0; op < BENCH_OPERATIONS; op++)
			if (strcmp(bench_operation_name[op], name) == 0)
				break;
		if (op < BENCH_OPERATIONS)
			wanted[op] = true;
	}
	free(copy);
	return op < BENCH_OPERATIONS ? NULL
				     : "operations are get, hot, zipf, many, "
				       "pin, miss, put and mixed";
}

/* Which of n keys the next get is of: where some are drawn more, the first. */
static uint64_t
draw_key(struct bench_load *l, enum bench_operation op, uint64_t n)
{
	static struct bench_distribution zipf;

	if (op == BENCH_OP_HOT && n > BENCH_HOT_KEYS)
		n = BENCH_HOT_KEYS;
	if (op != BENCH_OP_ZIPF)
		return bench_random_below(&l->random, n);
	if (zipf.draw == NULL)
		bench_distribution_parse(&zipf, "zipf:0.99:0:999999", 1000);
	return bench_draw(&zipf, &l->random) % n;
}

static uint64_t
known_id(struct bench_load *l, enum bench_operation op)
{
	if (l->known != NULL)
		return l->known[draw_key(l, op, l->n_known)];
	return l->next_id - 1 - draw_key(l, op, l->recent);
}

static void
prepare_one(
	struct bench_load *l, enum bench_operation op, struct bench_request *r)
{
	bool get = op != BENCH_OP_PUT &&
		   (op != BENCH_OP_MIXED ||
			   bench_random_below(&l->random, 100) < l->gets);

	r->kind = !get                                ? BENCH_PUT
		  : op == BENCH_OP_MANY && !l->single ? BENCH_GET_MANY
		  : op == BENCH_OP_PIN && !l->single  ? BENCH_PIN
						      : BENCH_GET;
	r->id = op == BENCH_OP_MISS ? bench_random(&l->random) | 1ull << 63
		: get               ? known_id(l, op)
				    : l->next_id++;
	uint64_t seed = r->id;
	r->size = (uint32_t)bench_draw(&l->sizes, &seed);
}

void
bench_load_prepare(struct bench_load *l, enum bench_operation op,
	unsigned threads, size_t n)
{
	struct bench_request *requests[64];

	for (unsigned t = 0; t < threads; t++)
		requests[t] = bench_crew_requests(l->crew, t, n);
	for (size_t i = 0; i < n; i++) {
		for (unsigned t = 0; t < threads; t++)
			prepare_one(l, op, &requests[t][i]);
	}
}

void
bench_load_run(struct bench_load *l, enum bench_operation op, unsigned threads,
	uint64_t n)
{
	while (n > 0) {
		size_t some = n < BATCH ? (size_t)n : BATCH;

		bench_load_prepare(l, op, threads, some);
		bench_crew_run(l->crew, l->store, threads, some, NULL);
		n -= some;
	}
}

size_t
bench_load_calibrate(
	struct bench_load *l, enum bench_operation op, unsigned threads)
{
	double processors = (double)sysconf(_SC_NPROCESSORS_ONLN);
	double slice = SLICE_NS * fmax(1, threads / processors);
	size_t n = 256;

	for (;;) {
		bench_load_prepare(l, op, threads, n);
		uint64_t start = bench_now();
		bench_crew_run(l->crew, l->store, threads, n, NULL);
		double took = (double)(bench_now() - start);
		if (took >= slice / 2 || n >= MAX_SLICE) {
			double fitting = (double)n * slice / took;

			return fitting < MAX_SLICE ? (size_t)fitting
						   : MAX_SLICE;
		}
		n *= 2;
	}
}
