/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * workload_hold.c -- operations of a workload that have a value where it is:
 * pins, which must not change, reservations and loads
 */
#include "workload_internal.h"

/* The version that the pieces tell; 0: too short. Into the record. */
static void
check_pieces(const struct held *held, struct checker_op *op)
{
	const struct vmemcache_item *item = &held->item;
	size_t at = 0;

	for (int i = 0; i < item->iov_count; i++) {
		uint64_t version;
		size_t n = item->iov[i].iov_len;
		bool whole = value_decode(
			item->iov[i].iov_base, n, at, held->key, &version);
		workload_expect(whole && (version == 0 || op->version == 0 ||
						 version == op->version),
			"bytes of a pin", held->key);
		if (version)
			op->version = version;
		at += n;
	}
	workload_expect(
		at == item->info.value_size, "length of a pin", held->key);
}

static void
unpin(struct worker *me)
{
	struct held *held = &me->held;
	struct checker_op again = {.version = held->version};

	check_pieces(held, &again);
	vmemcache_unpin(workload_place(me->run, held->key), &held->item);
	held->pinned = false;
}

/* What was pinned belongs to the history: it was there from then to ret. */
static void
pinned(struct worker *me, unsigned key, uint64_t call, uint64_t ret)
{
	struct held *held = &me->held;
	struct checker_op *op = workload_record(me, SEE, key, call, ret);

	held->pinned = true;
	held->key = key;
	check_pieces(held, op);
	held->version = op->version;
	op->class =
		workload_class_of_size(me->run->w, held->item.info.value_size);
	workload_expect(op->version == 0 || op->version % CHECKER_CLASSES ==
						    (unsigned)op->class,
		"size of a pin", key);
}

static void
pin(struct worker *me, unsigned key)
{
	uint64_t number = workload_number(me->run, key),
		 call = workload_stamp();
	int err = vmemcache_pin(workload_place(me->run, key), &number,
			  sizeof(number), VMEMCACHE_NO_CALLBACK, &me->held.item)
			  ? errno
			  : 0;
	uint64_t ret = workload_stamp();

	workload_expect(err == 0 || err == ENOENT, "error of pin", key);
	if (err == 0)
		pinned(me, key, call, ret);
	else
		workload_record(me, LACK, key, call, ret);
}

static void
fill(const struct vmemcache_item *item, unsigned key, uint64_t version)
{
	size_t at = 0;

	for (int i = 0; i < item->iov_count; i++) {
		value_fill(item->iov[i].iov_base, item->iov[i].iov_len, at, key,
			version);
		at += item->iov[i].iov_len;
	}
}

/* ADD, as a put; made in place. */
static void
reserve(struct worker *me, unsigned key)
{
	struct run *r = me->run;
	struct vmemcache_store how = {
		.struct_size = sizeof(how), .mode = VMEMCACHE_ADD};
	int class = (int)testing_below(&me->random, CHECKER_CLASSES);
	uint64_t number = workload_number(me->run, key),
		 version = workload_new_version(class);
	size_t size = r->w->sizes[class];
	unsigned from = me->count, evicted;
	struct vmemcache_item item;

	int err = vmemcache_reserve(workload_place(r, key), &number,
			  sizeof(number), size, &how, &item)
			  ? errno
			  : 0;
	workload_close_evictions(me, from, workload_stamp(), &evicted);
	workload_expect(err == 0 || err == ENOSPC, "error of reserve", key);
	if (err)
		return;
	fill(&item, key, version);
	uint64_t call = workload_stamp();
	from = me->count;
	err = vmemcache_commit(workload_place(r, key), &item, size, NULL)
		      ? errno
		      : 0;
	uint64_t ret = workload_stamp();
	workload_close_evictions(me, from, ret, &evicted);
	workload_expect(err == 0 || err == EEXIST, "error of commit", key);
	struct checker_op *op =
		workload_record(me, err ? SEE : ADD, key, call, ret);
	if (!err)
		op->version = version;
}

/* A load that may run its loader. */
struct load {
	struct worker *me;
	unsigned key;
	int class;
	uint64_t version;
	uint64_t start, end; /* of the loader */
	int answer;
};

static int
loader(VMEMcache *cache, const void *key, size_t key_size,
	struct vmemcache_loading *loading, void *arg)
{
	struct load *l = arg;
	struct vmemcache_item item;

	(void)cache, (void)key, (void)key_size;
	l->start = workload_stamp();
	l->answer = testing_below(&l->me->random, 4) ? 0 : ENODATA;
	if (l->answer == 0 &&
		vmemcache_loading_reserve(loading,
			l->me->run->w->sizes[l->class], NULL, &item) != 0)
		l->answer = errno;
	if (l->answer == 0)
		fill(&item, l->key, l->version);
	l->end = workload_stamp();
	return l->answer;
}

/*
 * The loader runs after a LACK, and what it made is SET after it. Others are
 * told of its failures, or see what it made.
 */
static void
load(struct worker *me, unsigned key)
{
	struct load l = {.me = me,
		.key = key,
		.class = (int)testing_below(&me->random, CHECKER_CLASSES)};
	uint64_t number = workload_number(me->run, key);

	l.version = workload_new_version(l.class);
	uint64_t call = workload_stamp();
	int err = vmemcache_load(workload_place(me->run, key), &number,
			  sizeof(number), loader, &l, NULL, VMEMCACHE_FOREVER,
			  &me->held.item)
			  ? errno
			  : 0;
	uint64_t ret = workload_stamp();

	workload_expect(err == 0 || err == ENODATA || err == ENOSPC ||
				(err == ENOENT && l.start),
		"error of load", key);
	workload_expect(!l.start || l.answer == 0 || err == l.answer,
		"the loader's error", key);
	if (l.start)
		workload_record(me, LACK, key, call, l.start);
	if (l.start && l.answer == 0) {
		struct checker_op *op =
			workload_record(me, SET, key, l.end, ret);
		op->stored = l.version;
		call = l.end;
	}
	if (err == 0)
		pinned(me, key, call, ret);
}

void
workload_let_go(struct worker *me)
{
	if (me->held.pinned)
		unpin(me);
}

void
workload_hold(struct worker *me, unsigned key, bool loads)
{
	if (me->held.pinned)
		unpin(me);
	else if (testing_below(&me->random, 3) == 0)
		reserve(me, key);
	else if (loads && testing_below(&me->random, 2) == 0)
		load(me, key);
	else
		pin(me, key);
}
