/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * counts.c -- the records of threads, and where they meet
 *
 * In the common case an allocation or a free only adds to a counter that no
 * other thread writes: no cache line is shared. A thread whose counter of a
 * kind has moved by more than its step since the last time adds the difference
 * to the kind's total; the step grows with what is allocated, so that the
 * totals are right to a small part of a percent however many threads there are.
 *
 *     record of thread 1   | kind 0: bytes, published | kind 1: ... |
 *     record of thread 2   | kind 0: bytes, published | kind 1: ... |
 *                                  |
 *            sum of bytes = exact  |  sum of published = total
 *
 * Records are in a list that only grows: one that its thread has left is taken
 * over, with what it has counted, by the next thread that needs one. So there
 * are as many as there were threads at once, nothing is lost when a thread
 * ends, and reading takes no lock. A record is published by the release in the
 * list's head, which pairs with the acquire of the thread that walks it; it
 * changes hands by a release of taken, which pairs with the acquire of the
 * thread that gets it, and makes the fields that are the owner's alone plain
 * ones.
 *
 * A child of a fork has the other threads' records, which count memory that the
 * child has a copy of. It may take them over.
 *
 * Rejected: atomic counters of each kind for all threads (two threads take 60
 * ns for what takes 1 ns now); counting in the arenas, which know it, but give
 * numbers only after all caches were emptied.
 */
#include "counts.h"

#include "memkind/heap/engine.h"
#include "memkind/malloc.h"

#include "base/cancel.h"

#include <errno.h>
#include <pthread.h>

struct vmc_total vmc_totals[MEMKIND_MAX_KIND];

_Thread_local struct vmc_counts *vmc_counts_self;
static _Thread_local bool exiting;

static struct vmc_counts *_Atomic records;
/* of threads without a record: all of them add to it */
static struct vmc_counts others;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t exit_key;
static bool exit_key_made;

void
vmc_counts_publish(struct vmc_counts *self, unsigned kind)
{
	struct vmc_count *count = &self->kinds[kind];
	int64_t now = vmc_load_relaxed(&count->bytes);

	vmc_fetch_add_relaxed(&vmc_totals[kind].bytes, now - count->published);
	count->published = now;
}

void
vmc_counts_without(unsigned kind, int64_t bytes)
{
	vmc_fetch_add_relaxed(&others.kinds[kind].bytes, bytes);
	vmc_fetch_add_relaxed(&vmc_totals[kind].bytes, bytes);
}

int64_t
vmc_counts_sum(unsigned kind)
{
	int64_t sum = vmc_load_relaxed(&others.kinds[kind].bytes);

	for (struct vmc_counts *record = vmc_load_acquire(&records); record;
		record = record->next)
		sum += vmc_load_relaxed(&record->kinds[kind].bytes);
	return sum;
}

static void
give_up(struct vmc_counts *self)
{
	for (unsigned i = 0; i < MEMKIND_MAX_KIND; i++)
		if (vmc_load_relaxed(&self->kinds[i].bytes) !=
			self->kinds[i].published)
			vmc_counts_publish(self, i);
	vmc_store_release(&self->taken, false);
}

static void
thread_exit(void *record)
{
	exiting = true;
	vmc_counts_self = NULL;
	give_up(record);
}

/* Who destroys a kind is the only one to use it. */
static void
forget(unsigned kind)
{
	vmc_store_relaxed(&others.kinds[kind].bytes, 0);
	for (struct vmc_counts *record = vmc_load_acquire(&records); record;
		record = record->next) {
		vmc_store_relaxed(&record->kinds[kind].bytes, 0);
		record->kinds[kind].published = 0;
	}
	vmc_store_relaxed(&vmc_totals[kind].bytes, 0);
}

static void
init(void)
{
	exit_key_made = pthread_key_create(&exit_key, thread_exit) == 0;
	vmc_store_release(&vmc_kind_on_destroy, forget);
}

static struct vmc_counts *
take_over(void)
{
	for (struct vmc_counts *record = vmc_load_acquire(&records); record;
		record = record->next)
		if (!vmc_load_relaxed(&record->taken) &&
			!vmc_exchange_acq_rel(&record->taken, true))
			return record;
	return NULL;
}

static struct vmc_counts *
make(void)
{
	struct vmc_counts *record =
		vmc_memkind_calloc(MEMKIND_DEFAULT, 1, sizeof(*record));

	if (!record)
		return NULL;
	record->step = VMC_COUNTS_LEAST_STEP;
	vmc_store_relaxed(&record->taken, true);
	record->next = vmc_load_acquire(&records);
	while (!vmc_cas_acq_rel(&records, &record->next, record))
		;
	return record;
}

struct vmc_counts *
vmc_counts_find(void)
{
	struct vmc_counts *self = vmc_counts_self;
	int saved = errno;

	if (self || exiting)
		return self;
	VMC_NO_CANCEL;
	pthread_once(&once, init);
	if (!exit_key_made || (!(self = take_over()) && !(self = make()))) {
		errno = saved;
		return NULL;
	}
	self->plan.memory = 0;
	self->freed = vmc_engine_freed_by_thread();
	/* first: the next call may allocate, and so lead here once more */
	vmc_counts_self = self;
	if (pthread_setspecific(exit_key, self) != 0) {
		vmc_counts_self = NULL;
		give_up(self);
	}
	errno = saved;
	return vmc_counts_self;
}

/* The threads that had the other records are no more. */
static void
after_fork_in_child(void)
{
	for (struct vmc_counts *record = vmc_load_acquire(&records); record;
		record = record->next)
		if (record != vmc_counts_self)
			vmc_store_release(&record->taken, false);
}

__attribute__((constructor)) static void
start(void)
{
	pthread_atfork(NULL, NULL, after_fork_in_child);
}
