/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * clients.h -- connections that ask a server, in one thread
 *
 * Closed loop: each connection asks again once it has its answer. Open loop:
 * requests are due at a rate, whether those before are answered or not, and
 * wait at their connection for their turn; the latency of each counts from when
 * it was due, so a server that falls behind cannot hide it.
 */
#ifndef BENCH_CLIENTS_H
#define BENCH_CLIENTS_H

#include "distribution.h"
#include "histogram.h"

enum bench_request_kind {
	BENCH_ASK_GET,  /* get of `batch` keys, in memcached's text protocol */
	BENCH_ASK_META, /* as many mg, and an mn */
	BENCH_ASK_SET,  /* as many set */
	BENCH_ASK_MGET, /* MGET of Redis */
	BENCH_ASK_MSET  /* as many SET */
};

/* Keys of a request at most. */
enum { BENCH_ASK_MOST = 1000 };

struct bench_ask {
	enum bench_request_kind kind;
	unsigned batch; /* keys of a request */
	size_t value;   /* bytes of each value */
	struct bench_distribution keys;
};

struct bench_answers {
	uint64_t requests, hits, errors;
	uint64_t ns; /* from the first request to the last answer */
	struct bench_histogram latency;
};

struct bench_clients;

/* So many connections, which are then the clients' to close. */
struct bench_clients *bench_clients_new(const int *connections, unsigned n);
void bench_clients_free(struct bench_clients *clients);

/* Set the keys from `from` to below `to`, one after the other. */
void bench_clients_fill(struct bench_clients *clients,
	const struct bench_ask *ask, uint64_t from, uint64_t to);

/*
 * Ask for so long. rate: requests a second, or 0 for the closed loop. Ends the
 * run if the server goes away.
 */
void bench_clients_run(struct bench_clients *clients,
	const struct bench_ask *ask, double rate, uint64_t ns, uint64_t *random,
	struct bench_answers *answers);

#endif
