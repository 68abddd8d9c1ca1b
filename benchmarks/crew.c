/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * crew.c -- slices of work, timed the same way for every store
 *
 * The main thread fills the request arrays and starts a slice through a
 * barrier; the workers carry it out while the main thread sleeps in the next
 * barrier. Threads live as long as the crew, as a service's would, so that
 * what a library keeps per thread is warm.
 *
 * A slice has three parts:
 *
 *	|--- warm-up: 1/8 ---|-------- timed --------|-- the rest, if any --|
 *
 * The warm-up brings back into the CPU's caches what the other store's slice
 * threw out. The timed part ends for all threads when the first is through
 * its requests: the others must not be timed running alone. They then carry
 * out the rest untimed, so that a slice leaves the same state behind however
 * the threads were scheduled. The clock is read twice a slice.
 *
 * Rejected: slices of fixed time that draw requests as they go (costs the
 * generator, the Zipf one above all, inside the timed loop, and then the
 * floor would have to repeat it); starting the threads anew for each slice.
 */
#include "crew.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct worker {
	/* By the main thread between slices. */
	struct bench_request *requests;
	size_t capacity;
	char *value; /* what is put */
	size_t value_capacity;
	char *buffer; /* where gets copy to */
	size_t buffer_capacity;
	bool many; /* the slice is of GET_MANY */
	struct vmemcache_request batch[BENCH_BATCH];
	pthread_t thread;
	struct bench_crew *crew;

	/* By the worker during a slice. */
	char *key; /* for each of a batch */
	struct bench_slice slice;
	uint64_t timed_from;
	uint64_t timed_to;
	uint64_t timed_cpu_ns;
	uint64_t timed_ops;
	uint64_t timed_bytes;
	struct bench_histogram histograms[2];
	char failure[256];
};

struct bench_crew {
	/* Fixed. */
	unsigned n_workers;
	size_t key_size;
	pthread_barrier_t start; /* the workers and the main thread */
	pthread_barrier_t warm;  /* the workers */
	pthread_barrier_t end;   /* all */

	/* The current slice: by the main thread before start. */
	struct bench_store *store;
	unsigned threads; /* 0: leave */
	size_t n;
	bool each; /* time each request */

	_Atomic bool first_is_through;
	struct worker workers[];
};

uint64_t
bench_clock(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t
bench_now(void)
{
	return bench_clock(CLOCK_MONOTONIC);
}

static inline void
note_failure(struct worker *w, const struct bench_store *s)
{
	if (w->failure[0] == '\0')
		snprintf(w->failure, sizeof(w->failure), "%s: %s",
			s->type->name,
			s->type->message ? s->type->message()
					 : strerror(errno));
}

static inline void
put_one(struct worker *w, struct bench_store *s, const struct bench_key *key,
	struct bench_request *r)
{
	enum bench_result done = s->type->put(s, key, w->value, r->size);

	if (done == BENCH_DONE) {
		w->slice.bytes += r->size;
	} else {
		r->kind = BENCH_SKIP;
		w->slice.refused++;
		if (done == BENCH_FAILED)
			note_failure(w, s);
	}
}

static inline void
carry_out(struct worker *w, struct bench_store *s, struct bench_request *r)
{
	struct bench_key key = {r->id, w->key, w->crew->key_size};

	memcpy(w->key, &r->id, sizeof(r->id));
	if (r->kind == BENCH_GET || r->kind == BENCH_GET_OR_PUT) {
		enum bench_result done =
			s->type->get(s, &key, w->buffer, r->size);

		w->slice.gets++;
		if (done == BENCH_DONE) {
			w->slice.hits++;
			w->slice.bytes += r->size;
			r->kind = BENCH_GET;
		} else if (done == BENCH_FAILED) {
			note_failure(w, s);
		} else if (r->kind == BENCH_GET_OR_PUT) {
			r->kind = BENCH_PUT;
			put_one(w, s, &key, r);
		}
	} else if (r->kind == BENCH_PIN) {
		enum bench_result done = s->type->pin(s, &key);

		w->slice.gets++;
		w->slice.hits += done == BENCH_DONE;
		if (done == BENCH_FAILED)
			note_failure(w, s);
	} else if (r->kind == BENCH_PUT) {
		put_one(w, s, &key, r);
	}
}

static void
get_many(struct worker *w, struct bench_store *s, const struct bench_request *r,
	size_t n)
{
	char *buffer = w->buffer;

	for (size_t i = 0; i < n; i++) {
		memcpy((char *)w->batch[i].key, &r[i].id, sizeof(r[i].id));
		w->batch[i].vbuf = buffer;
		w->batch[i].vbufsize = r[i].size;
		buffer += r[i].size;
	}
	ssize_t hits = s->type->get_many(s, w->batch, n);
	if (hits < 0)
		note_failure(w, s);
	w->slice.gets += n;
	w->slice.hits += hits < 0 ? 0 : (uint64_t)hits;
	if (hits == (ssize_t)n)
		w->slice.bytes += (uint64_t)(buffer - w->buffer);
}

static inline size_t
batch_of(const struct bench_request *r, const struct bench_request *end)
{
	return end - r < BENCH_BATCH ? (size_t)(end - r) : BENCH_BATCH;
}

static void
carry_out_all(struct worker *w, struct bench_store *s, struct bench_request *r,
	const struct bench_request *end)
{
	if (w->many)
		for (; r < end; r += batch_of(r, end))
			get_many(w, s, r, batch_of(r, end));
	else
		for (; r < end; r++)
			carry_out(w, s, r);
}

static void
carry_out_each_timed(struct worker *w, struct bench_store *s,
	struct bench_request *r, const struct bench_request *end)
{
	uint64_t before = bench_now();

	while (r < end) {
		size_t n = w->many ? batch_of(r, end) : 1;

		carry_out_all(w, s, r, r + n);
		uint64_t after = bench_now();
		bench_histogram_record(&w->histograms[r->kind == BENCH_PUT ||
						      r->kind == BENCH_SKIP],
			after - before);
		before = after;
		r += n;
	}
}

static void
work_slice(struct worker *w)
{
	struct bench_crew *crew = w->crew;
	struct bench_store *s = crew->store;
	struct bench_request *r = w->requests;
	struct bench_request *end = r + crew->n;
	struct bench_request *timed = r + crew->n / 8;
	size_t batch = crew->n / 64 + 1 < 64 ? crew->n / 64 + 1 : 64;

	if (w->many) /* whole ones */
		batch = (batch + BENCH_BATCH - 1) / BENCH_BATCH * BENCH_BATCH;

	carry_out_all(w, s, r, timed);
	r = timed;
	pthread_barrier_wait(&crew->warm);

	uint64_t bytes_before = w->slice.bytes;
	uint64_t cpu_start = bench_clock(CLOCK_THREAD_CPUTIME_ID);
	w->timed_from = bench_now();
	while (r < end && !atomic_load_explicit(&crew->first_is_through,
				  memory_order_relaxed)) {
		size_t left = (size_t)(end - r);
		struct bench_request *stop = r + (left < batch ? left : batch);

		if (crew->each)
			carry_out_each_timed(w, s, r, stop);
		else
			carry_out_all(w, s, r, stop);
		r = stop;
	}
	w->timed_to = bench_now();
	atomic_store_explicit(
		&crew->first_is_through, true, memory_order_relaxed);
	w->timed_cpu_ns = bench_clock(CLOCK_THREAD_CPUTIME_ID) - cpu_start;
	w->timed_ops = (uint64_t)(r - timed);
	w->timed_bytes = w->slice.bytes - bytes_before;

	carry_out_all(w, s, r, end);
}

static void *
work(void *argument)
{
	struct worker *w = argument;
	struct bench_crew *crew = w->crew;
	unsigned self = (unsigned)(w - crew->workers);

	for (;;) {
		pthread_barrier_wait(&crew->start);
		if (crew->threads == 0)
			return NULL;
		if (self < crew->threads)
			work_slice(w);
		else
			pthread_barrier_wait(&crew->warm);
		pthread_barrier_wait(&crew->end);
	}
}

struct bench_crew *
bench_crew_new(unsigned max_threads, size_t key_size)
{
	size_t size =
		sizeof(struct bench_crew) + max_threads * sizeof(struct worker);
	struct bench_crew *crew = bench_zeroed(1, size);

	crew->n_workers = max_threads;
	crew->key_size = key_size;
	pthread_barrier_init(&crew->start, NULL, max_threads + 1);
	pthread_barrier_init(&crew->warm, NULL, max_threads);
	pthread_barrier_init(&crew->end, NULL, max_threads + 1);
	for (unsigned i = 0; i < max_threads; i++) {
		struct worker *w = &crew->workers[i];

		w->crew = crew;
		w->key = bench_realloc(NULL, BENCH_BATCH * key_size);
		memset(w->key, 'k', BENCH_BATCH * key_size);
		for (size_t k = 0; k < BENCH_BATCH; k++) {
			w->batch[k].key = w->key + k * key_size;
			w->batch[k].key_size = key_size;
		}
		int wrong = pthread_create(&w->thread, NULL, work, w);
		if (wrong)
			bench_fail(
				"%u threads: %s", max_threads, strerror(wrong));
	}
	return crew;
}

void
bench_crew_free(struct bench_crew *crew)
{
	crew->threads = 0;
	pthread_barrier_wait(&crew->start);
	for (unsigned i = 0; i < crew->n_workers; i++) {
		struct worker *w = &crew->workers[i];

		pthread_join(w->thread, NULL);
		free(w->requests);
		free(w->value);
		free(w->buffer);
		free(w->key);
	}
	pthread_barrier_destroy(&crew->start);
	pthread_barrier_destroy(&crew->warm);
	pthread_barrier_destroy(&crew->end);
	free(crew);
}

struct bench_request *
bench_crew_requests(struct bench_crew *crew, unsigned thread, size_t n)
{
	struct worker *w = &crew->workers[thread];

	if (n > w->capacity) {
		w->capacity = n;
		w->requests =
			bench_realloc(w->requests, n * sizeof(*w->requests));
	}
	return w->requests;
}

/* Buffers for the largest value of the slice, their pages touched. */
static void
prepare(struct worker *w, size_t n)
{
	size_t largest = 1;

	w->many = n > 0 && w->requests[0].kind == BENCH_GET_MANY;
	size_t buffers = w->many ? BENCH_BATCH : 1;

	for (size_t i = 0; i < n; i++) {
		if (w->requests[i].size > largest)
			largest = w->requests[i].size;
	}
	if (largest > w->value_capacity) {
		w->value_capacity = largest;
		w->value = bench_realloc(w->value, largest);
		memset(w->value, 0xa5, largest);
	}
	if (buffers * largest > w->buffer_capacity) {
		w->buffer_capacity = buffers * largest;
		w->buffer = bench_realloc(w->buffer, w->buffer_capacity);
		memset(w->buffer, 0, w->buffer_capacity);
	}
	w->slice = (struct bench_slice){0};
	memset(w->histograms, 0, sizeof(w->histograms));
}

/*
 * The timed part of all threads together lasts from when the first begins to
 * when the first is through. A thread that had to wait for a processor has
 * done less in that time, or nothing.
 */
static void
sum_timed_parts(const struct bench_crew *crew, unsigned threads,
	struct bench_slice *sum)
{
	uint64_t from = UINT64_MAX;
	uint64_t to = UINT64_MAX;
	uint64_t ops = 0;
	uint64_t bytes = 0;
	uint64_t cpu_ns = 0;

	for (unsigned i = 0; i < threads; i++) {
		const struct worker *w = &crew->workers[i];

		from = w->timed_from < from ? w->timed_from : from;
		to = w->timed_to < to ? w->timed_to : to;
		ops += w->timed_ops;
		bytes += w->timed_bytes;
		cpu_ns += w->timed_cpu_ns;
	}
	double ns = (double)(to - from);
	sum->ns_per_op = ns / (double)ops;
	sum->bytes_per_op = (double)bytes / (double)ops;
	sum->cpu_share = (double)cpu_ns / (ns * threads);
}

struct bench_slice
bench_crew_run(struct bench_crew *crew, struct bench_store *store,
	unsigned threads, size_t n, struct bench_histogram histograms[2])
{
	struct bench_slice sum = {0};

	crew->store = store;
	crew->threads = threads;
	crew->n = n;
	crew->each = histograms != NULL;
	atomic_store(&crew->first_is_through, false);
	for (unsigned i = 0; i < threads; i++)
		prepare(&crew->workers[i], n);
	pthread_barrier_wait(&crew->start);
	pthread_barrier_wait(&crew->end);

	for (unsigned i = 0; i < threads; i++) {
		const struct worker *w = &crew->workers[i];

		if (w->failure[0] != '\0')
			bench_fail("%s", w->failure);
		sum.gets += w->slice.gets;
		sum.hits += w->slice.hits;
		sum.refused += w->slice.refused;
		sum.bytes += w->slice.bytes;
		for (int kind = 0; crew->each && kind < 2; kind++)
			bench_histogram_merge(
				&histograms[kind], &w->histograms[kind]);
	}
	sum_timed_parts(crew, threads, &sum);
	return sum;
}

static int
compare(const void *a, const void *b)
{
	double x = *(const double *)a;
	double y = *(const double *)b;

	return (x > y) - (x < y);
}

double
bench_median(double *values, size_t n)
{
	if (n == 0)
		return NAN;
	qsort(values, n, sizeof(*values), compare);
	return (values[(n - 1) / 2] + values[n / 2]) / 2;
}
