/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * workload.c -- what the cache promises to several threads, as a specification
 * that a history is checked against; operations and callbacks
 *
 * Every operation takes a stamp from one counter before it calls the cache and
 * one after it returned. What it found becomes an operation on one key of the
 * sequential specification in checker.h, whose moment lies between the two:
 *
 *   put: 0             ADD, once and whole. It stays until it is evicted
 *   put: EEXIST        SEE
 *   put: ENOSPC        LACK: whether the key is there is looked at first
 *   get: a hit         SEE that version; every byte must be of that version
 *                      and the true size its size
 *   get: ENOENT        LACK
 *   exists             SEE (by size) or LACK
 *   evict(key): 0      REMOVE; ENOENT: LACK; EAGAIN: SEE
 *   store              SET, or of REPLACE and IF_VERSION SWAP; ENOENT: LACK;
 *                      ESTALE: OTHER. ENOSPC says nothing
 *   remove             as evict; ESTALE: OTHER
 *   pin                SEE that version, which the bytes are of until the
 *                      unpin as well; ENOENT: LACK
 *   commit             of ADD, as put
 *   load               LACK until the loader begins, SET after it has returned
 *                      0, SEE what was pinned
 *   clear              WIPE of all keys of the cache's own, or of the space
 *   remove_prefix      WIPE of each key that begins with it
 *
 * The same number under the cache itself and under each space is a key of its
 * own here: so what one finds of another's is of no version of its history.
 * What resizing does to the keys is nothing, or an eviction.
 *
 * With on_evict recorded, all evictions are known, and nothing else may be
 * missing. What the callback adds: it reads the key, which must be a hit. The
 * entry ends (REMOVE of that version) between the return of the callback and
 * the return of the operation that evicts, whichever it is. evict(key) that
 * returned 0 must have caused the end of that key, evict(NULL) that of one,
 * those that failed none. Without on_evict, an LRU cache may lose an entry at
 * any time, but never find it again; one without policy never loses any, nor
 * does one that has room for all keys.
 *
 * With on_miss, a get that calls it was a LACK up to there. If the callback
 * puts that key, the get must return exactly what was put, stored or not; but
 * if that put was told EEXIST, it may also be what was there at some moment of
 * the put, a SEE. Else it looks again, a SEE or LACK after the callback.
 */
#include "workload_internal.h"

#include <sched.h>

void (*workload_violated)(void);

const struct workload workload_tight = {"room for four",
	VMEMCACHE_REPLACEMENT_LRU, 1 << 18, 6, 4, true, false, false,
	.sizes = {0, 7, 100, 1000, 3000, 20000, 200000, 300000}};

const struct workload workload_stores = {"stores", VMEMCACHE_REPLACEMENT_LRU,
	1 << 14, 2, 4, false, false, true,
	.sizes = {8, 16, 100, 200, 500, 1000, 2000, 3000}};

const struct workload workload_spaces = {"spaces", VMEMCACHE_REPLACEMENT_LRU,
	1 << 16, 2, 4, false, false, false,
	.sizes = {8, 16, 100, 200, 500, 1000, 2000, 3000}, .spaces = 2,
	.wipes = true};

const struct workload workload_resizes = {"resizes", VMEMCACHE_REPLACEMENT_LRU,
	1 << 17, 6, 4, false, false, false,
	.sizes = {8, 16, 100, 1000, 3000, 20000, 200000, 300000},
	.resizes = true};

static _Atomic uint64_t now_;
static _Atomic uint64_t versions;
static _Atomic unsigned violations;
_Thread_local struct worker *workload_self;

uint64_t
workload_stamp(void)
{
	return vmc_fetch_add_acq_rel(&now_, 1) + 1;
}

void
workload_violation(const char *what, unsigned key)
{
	if (vmc_fetch_add_acq_rel(&violations, 1) > 0)
		return;
	fprintf(stderr, "violation: %s (key %u)\n", what, key);
	if (workload_violated)
		workload_violated();
}

bool
workload_is_good(void)
{
	return vmc_load_acquire(&violations) == 0;
}

void
workload_expect(bool truth, const char *what, unsigned key)
{
	if (!truth)
		workload_violation(what, key);
}

void
workload_pause(unsigned one_in)
{
	struct worker *me = workload_self;

	if (!me || !me->working || testing_below(&me->random, one_in) > 0)
		return;
	uint64_t until = vmc_load_relaxed(&now_) + PAUSE;
	for (unsigned i = 0; i < 3 * PAUSE && vmc_load_relaxed(&now_) < until;
		i++)
		sched_yield();
}

/* --- recording --- */

struct checker_op *
workload_record(struct worker *me, enum checker_event event, unsigned key,
	uint64_t call, uint64_t ret)
{
	struct checker_op *op = &me->records[me->count++];

	*op = (struct checker_op){.call = call,
		.ret = ret,
		.event = event,
		.key = key,
		.thread = me->number,
		.class = CHECKER_ANY_CLASS};
	return op;
}

unsigned
workload_close_evictions(
	struct worker *me, unsigned from, uint64_t ret, unsigned *key)
{
	unsigned count = 0;

	for (unsigned i = from; i < me->count; i++) {
		if (me->records[i].ret != 0)
			continue;
		me->records[i].ret = ret;
		*key = me->records[i].key;
		count++;
	}
	return count;
}

int
workload_class_of_size(const struct workload *w, size_t size)
{
	for (int class = 0; class < CHECKER_CLASSES; class ++)
		if (w->sizes[class] == size)
			return class;
	return CHECKER_ANY_CLASS;
}

/* --- operations --- */

uint64_t
workload_new_version(int class)
{
	/* 28 bits: fixture.h; older ones are long forgotten */
	return (vmc_fetch_add_relaxed(&versions, 1) % (1 << 24) + 1) *
		       CHECKER_CLASSES +
	       (unsigned)class;
}

static void
put(struct worker *me, unsigned key)
{
	struct run *r = me->run;
	int class = (int)testing_below(&me->random, CHECKER_CLASSES);
	uint64_t version = workload_new_version(class);
	unsigned from = me->count, evicted;
	size_t size = r->w->sizes[class];
	uint64_t number = workload_number(r, key);
	char *value = malloc(size + 1);
	value_fill(value, size, 0, key, version);
	uint64_t call = workload_stamp();
	int rc = vmemcache_put(
		workload_place(r, key), &number, sizeof(number), value, size);
	int err = rc ? errno : 0;
	uint64_t ret = workload_stamp();

	free(value);
	workload_close_evictions(me, from, ret, &evicted);
	workload_expect(err == 0 || err == EEXIST || err == ENOSPC,
		"error of put", key);
	enum checker_event event = err == 0 ? ADD : err == EEXIST ? SEE : LACK;
	struct checker_op *op = workload_record(me, event, key, call, ret);
	if (err == 0)
		op->version = version;
	if (me->asking && me->asking->key == key) {
		me->asking->handed = true;
		me->asking->existed = err == EEXIST;
		me->asking->version = version;
		me->asking->put_call = call;
		me->asking->put_ret = ret;
	}
}

/* What a hit returned is whole; into the record. */
void
workload_check_hit(struct worker *me, struct checker_op *op, const char *buffer,
	ssize_t n, size_t room, size_t offset, size_t size)
{
	size_t left = offset < size ? size - offset : 0;
	int class = workload_class_of_size(me->run->w, size);

	workload_expect((size_t)n == (left < room ? left : room),
		"length of get", op->key);
	workload_expect(class != CHECKER_ANY_CLASS, "size of get", op->key);
	workload_expect(
		value_decode(buffer, (size_t)n, offset, op->key, &op->version),
		"bytes of get", op->key);
	workload_expect(op->version == 0 || op->version % CHECKER_CLASSES ==
						    (unsigned)class,
		"size of that version", op->key);
	op->class = class;
}

/* True: a hit. */
bool
workload_get(struct worker *me, unsigned key, bool all)
{
	struct run *r = me->run;
	struct asking asking = {.outer = me->asking, .key = key};
	size_t room = all || testing_below(&me->random, 2)
			      ? r->largest
			      : testing_below(&me->random, 300);
	size_t offset = all || testing_below(&me->random, 2)
				? 0
				: testing_below(&me->random, r->largest);
	uint64_t number = workload_number(r, key);
	size_t size = SIZE_MAX;
	char *buffer = me->buffers[me->depth];

	me->asking = &asking;
	uint64_t call = workload_stamp();
	ssize_t n = vmemcache_get(workload_place(r, key), &number,
		sizeof(number), buffer, room, offset, &size);
	int err = n < 0 ? errno : 0;
	uint64_t ret = workload_stamp();
	me->asking = asking.outer;
	workload_expect(err == 0 || err == ENOENT, "error of get", key);
	workload_expect(
		err == 0 || size == SIZE_MAX, "size told by a miss", key);
	if (asking.end) {
		workload_record(me, LACK, key, call, asking.start);
		call = asking.end;
	}
	if (asking.handed) {
		struct checker_op found = {.key = key};
		workload_expect(err == 0, "miss of what on_miss has put", key);
		workload_check_hit(me, &found, buffer, n, room, offset, size);
		if (found.version == 0 || found.version == asking.version)
			return true;
		workload_expect(
			asking.existed, "other than what on_miss has put", key);
		struct checker_op *seen = workload_record(
			me, SEE, key, asking.put_call, asking.put_ret);
		seen->version = found.version;
		seen->class = found.class;
		return true;
	}
	struct checker_op *op =
		workload_record(me, err ? LACK : SEE, key, call, ret);
	if (!err)
		workload_check_hit(me, op, buffer, n, room, offset, size);
	return !err;
}

static void
exists(struct worker *me, unsigned key)
{
	uint64_t number = workload_number(me->run, key);
	size_t size = SIZE_MAX;
	uint64_t call = workload_stamp();
	int rc = vmemcache_exists(
		workload_place(me->run, key), &number, sizeof(number), &size);
	uint64_t ret = workload_stamp();
	struct checker_op *op =
		workload_record(me, rc ? SEE : LACK, key, call, ret);

	op->class = rc ? workload_class_of_size(me->run->w, size)
		       : CHECKER_ANY_CLASS;
	workload_expect(rc == 0 || rc == 1, "result of exists", key);
	workload_expect(rc == 0 || op->class != CHECKER_ANY_CLASS,
		"size of exists", key);
}

void
workload_evict(struct worker *me, unsigned key)
{
	unsigned from = me->count, evicted = WORKLOAD_KEYS;
	uint64_t call = workload_stamp();
	int err = fixture_evict(workload_place(me->run, key),
			  workload_number(me->run, key))
			  ? errno
			  : 0;
	uint64_t ret = workload_stamp();
	unsigned count = workload_close_evictions(me, from, ret, &evicted);

	workload_expect(err == 0 || err == ENOENT || err == EAGAIN,
		"error of evict", key);
	if (err != 0)
		workload_record(me, err == ENOENT ? LACK : SEE, key, call, ret);
	else if (!me->run->w->on_evict)
		workload_record(me, REMOVE, key, call, ret);
	if (me->run->w->on_evict) {
		workload_expect(count == (err == 0), "on_evict of evict", key);
		workload_expect(
			err != 0 || evicted == key, "key of on_evict", key);
	}
}

static void
evict_any(struct worker *me, unsigned key)
{
	unsigned from = me->count, evicted = WORKLOAD_KEYS;
	int err = vmemcache_evict(workload_place(me->run, key), NULL, 0) ? errno
									 : 0;
	unsigned count =
		workload_close_evictions(me, from, workload_stamp(), &evicted);

	workload_expect(
		err == 0 || err == ESRCH, "error of evict(NULL)", evicted);
	workload_expect(
		err != 0 || me->run->w->policy != VMEMCACHE_REPLACEMENT_NONE,
		"a victim without a policy", evicted);
	if (me->run->w->on_evict)
		workload_expect(count == (err == 0), "on_evict of evict(NULL)",
			evicted);
}

void
workload_operate(struct worker *me)
{
	const struct workload *w = me->run->w;
	unsigned key = (unsigned)testing_below(&me->random, workload_keys(w));

	/* what a round records is limited, callbacks included */
	if (me->count > RECORDS - 64)
		return;
	if (testing_below(&me->random, w->wipes ? 20 : 6) == 0 &&
		workload_wide(me, key))
		return;
	if (testing_below(&me->random, 6) == 0) {
		workload_hold(me, key, !w->on_evict && !me->asking);
		return;
	}
	/*
	 * What is stored over while on_evict runs for it has ended before that
	 * returns: such evictions could not be told from others
	 */
	if (!w->on_evict && !me->asking && testing_below(&me->random, 4) == 0) {
		workload_store(me, key);
		return;
	}
	switch (testing_below(&me->random, 20)) {
	case 0:
		if (!w->no_pressure)
			evict_any(me, key);
		break;
	case 1:
	case 2:
		exists(me, key);
		break;
	case 3:
	case 4:
	case 5:
		workload_evict(me, key);
		break;
	case 6:
	case 7:
	case 8:
	case 9:
	case 10:
	case 11:
	case 12:
		put(me, key);
		break;
	default:
		workload_get(me, key, false);
	}
}

/* --- callbacks --- */

static unsigned
key_of(const VMEMcache *place, const void *bytes, size_t size)
{
	const struct run *r = workload_self->run;
	uint64_t number = WORKLOAD_KEYS;
	unsigned at = 0;

	while (at < r->w->spaces && r->place[at] != place)
		at++;
	if (size == sizeof(number))
		memcpy(&number, bytes, sizeof(number));
	workload_expect(r->place[at] == place && number < r->w->keys,
		"key of a callback", (unsigned)number);
	return at * r->w->keys + (unsigned)number;
}

void
workload_on_evict(VMEMcache *cache, const void *bytes, size_t size, void *arg)
{
	struct worker *me = workload_self;
	unsigned key = key_of(cache, bytes, size);
	struct asking *asking = me->asking;

	(void)arg;
	me->depth++;
	unsigned seen = me->count;
	workload_expect(workload_get(me, key, true), "miss in on_evict", key);
	struct checker_op found = me->records[seen];
	if (me->depth <= DEPTH) {
		switch (testing_below(&me->random, 8)) {
		case 0:
			put(me, key);
			break;
		case 1:
			workload_evict(me, key);
			break;
		case 2:
			workload_operate(me);
			break;
		}
	}
	me->depth--;
	me->asking = asking;
	struct checker_op *op =
		workload_record(me, REMOVE, key, workload_stamp(), 0);
	op->version = found.version;
	op->class = found.class;
}

void
workload_on_miss(VMEMcache *cache, const void *bytes, size_t size, void *arg)
{
	struct worker *me = workload_self;
	unsigned key = key_of(cache, bytes, size);
	struct asking *asking = me->asking;

	(void)arg;
	asking->start = workload_stamp();
	workload_expect(asking->key == key, "key of on_miss", key);
	workload_expect(asking->end == 0, "on_miss called twice", key);
	if (++me->depth <= DEPTH) {
		if (testing_below(&me->random, 8) == 0)
			workload_operate(me);
		if (testing_below(&me->random, 2))
			put(me, key);
	}
	me->depth--;
	asking->end = workload_stamp();
}
