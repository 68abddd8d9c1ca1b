/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * workload_internal.h -- between the files of a workload
 */
#ifndef VMC_TESTS_WORKLOAD_INTERNAL_H
#define VMC_TESTS_WORKLOAD_INTERNAL_H

#include "workload.h"

#include "fixture.h"

#include <pthread.h>

enum { RECORDS = 4096, OPERATIONS = 60, DEPTH = 3, THREADS = 8, PAUSE = 20 };
enum { SPACES = 2 };

/* A get that is in on_miss. */
struct asking {
	struct asking *outer;
	unsigned key;
	bool handed;
	bool existed;     /* the latest put of it was told EEXIST */
	uint64_t version; /* of that put */
	uint64_t put_call, put_ret;
	uint64_t start, end; /* of the callback */
};

/* What a thread has pinned. */
struct held {
	bool pinned;
	unsigned key;
	uint64_t version; /* 0: too short to know */
	struct vmemcache_item item;
};

struct worker {
	struct run *run;
	unsigned number;
	uint64_t random;
	unsigned depth; /* of callbacks */
	bool working;   /* in a round */
	struct asking *asking;
	unsigned count;
	struct checker_op records[RECORDS];
	char *buffers[DEPTH + 2]; /* by depth */
	struct held held;
};

struct run {
	const struct workload *w;
	VMEMcache *cache;
	VMEMcache *place[1 + SPACES]; /* the cache and its spaces */
	size_t largest;
	unsigned active; /* threads in this round */
	bool over;
	pthread_barrier_t start, end;
	_Atomic unsigned arrived;
	struct worker *workers[THREADS];
	uint64_t state[WORKLOAD_KEYS]; /* where the round started from */
};

extern _Thread_local struct worker *workload_self;

/* Keys of the history: those of the cache, then those of each space. */
static inline unsigned
workload_keys(const struct workload *w)
{
	return w->keys * (1 + w->spaces);
}

/* Where such a key is, and as what. */
static inline VMEMcache *
workload_place(const struct run *r, unsigned key)
{
	return r->place[key / r->w->keys];
}

static inline uint64_t
workload_number(const struct run *r, unsigned key)
{
	return key % r->w->keys;
}

uint64_t workload_stamp(void);
void workload_violation(const char *what, unsigned key);
/* There was none so far. */
bool workload_is_good(void);
void workload_expect(bool truth, const char *what, unsigned key);
/* Of a value of that class. */
uint64_t workload_new_version(int class);

struct checker_op *workload_record(struct worker *me, enum checker_event event,
	unsigned key, uint64_t call, uint64_t ret);

/*
 * The operation that began when there were `from` records has returned: so
 * have the evictions it caused. Their number, and the key of the last one.
 */
unsigned workload_close_evictions(
	struct worker *me, unsigned from, uint64_t ret, unsigned *key);
int workload_class_of_size(const struct workload *w, size_t size);

/* What a hit returned is whole; into the record. */
void workload_check_hit(struct worker *me, struct checker_op *op,
	const char *buffer, ssize_t n, size_t room, size_t offset, size_t size);

/* A random operation. */
void workload_operate(struct worker *me);
/* A get, of the whole value or of some of it. True: a hit. */
bool workload_get(struct worker *me, unsigned key, bool all);
void workload_evict(struct worker *me, unsigned key);
vmemcache_on_evict workload_on_evict;
vmemcache_on_miss workload_on_miss;

/* Clear, remove by prefix, resize or visit. False: none is among it. */
bool workload_wide(struct worker *me, unsigned key);
void workload_new_spaces(struct run *run);
/* Nobody uses it: perhaps a space is deleted, and another in its place. */
void workload_renew_space(struct worker *me);

/* SET, REPLACE, IF_VERSION; or remove, with a version or without. */
void workload_store(struct worker *me, unsigned key);

/* Pin or unpin, reserve and commit; or load. Unpin what is left. */
void workload_hold(struct worker *me, unsigned key, bool loads);
void workload_let_go(struct worker *me);

#endif
