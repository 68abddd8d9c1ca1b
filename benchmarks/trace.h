/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * trace.h -- recorded requests, read one by one
 */
#ifndef BENCH_TRACE_H
#define BENCH_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bench_trace;

struct bench_trace_request {
	uint64_t id;
	uint32_t size;
};

/* Known before the first request is handed out. */
struct bench_trace_summary {
	const char *format;
	uint64_t requests;
	uint64_t bytes; /* sum of the sizes of all requests */
	uint32_t largest;
};

/*
 * Open and check a trace, from its first byte to its last: NULL, with a
 * sentence in error (of that many bytes), if anything about it is wrong.
 */
struct bench_trace *bench_trace_open(
	const char *path, char *error, size_t error_size);
/* The one trace among the arguments of a command; or the end of the run. */
struct bench_trace *bench_trace_of(char **arguments);
void bench_trace_close(struct bench_trace *t);

const struct bench_trace_summary *bench_trace_summary(
	const struct bench_trace *t);

/* The next request; false after the last. */
bool bench_trace_next(struct bench_trace *t, struct bench_trace_request *r);

/* Before the first request again. */
void bench_trace_rewind(struct bench_trace *t);

#endif
