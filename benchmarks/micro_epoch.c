/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * micro_epoch.c -- what reclamation costs: nanoseconds
 *
 *	enter    and leave an epoch: what each get pays
 *	fence    into every reader's program
 *	look     at what all readers have left behind
 *	retire   an object of 96 bytes into the limbo and, once no reader can
 *	         hold it, out of it and to malloc(): what each eviction pays
 *	longest  such call
 *
 * First alone, then with so many threads that read (enter and leave) all the
 * time, then with one of them asleep within an epoch, which holds back all that
 * is retired meanwhile: `held` is how many objects that were, of all, until it
 * was woken.
 *
 * Usage: micro_epoch
 */
#include "base/epoch.h"
#include "base/limbo.h"
#include "base/os.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { OBJECTS = 1000000, LOOKS = 10000, SIZE = 96 };

static uint64_t objects_out;

static void *
memory_alloc(void *ctx, size_t size)
{
	(void)ctx;
	objects_out += size == SIZE;
	return malloc(size);
}

static void
memory_free(void *ctx, void *ptr, size_t size)
{
	(void)ctx;
	objects_out -= size == SIZE;
	free(ptr);
}

static const struct vmc_memory memory = {
	.alloc = memory_alloc, .free = memory_free, .retire = memory_free};

enum { MAX_READERS = 8 };
static struct reader {
	pthread_t thread;
	_Atomic bool started;
} readers[MAX_READERS];
static _Atomic bool stop;
static _Atomic bool sleeping;

static void *
read_all_the_time(void *argument)
{
	struct reader *self = argument;
	struct vmc_thread *t = vmc_thread_self();

	if (t == NULL)
		exit(1);
	vmc_store_release(&self->started, true);
	while (!vmc_load_relaxed(&stop)) {
		vmc_epoch_enter(t);
		while (self == &readers[0] && vmc_load_relaxed(&sleeping))
			usleep(100);
		vmc_epoch_exit(t);
	}
	return NULL;
}

static double
time_enter(struct vmc_thread *t)
{
	uint64_t start = vmc_os_clock_ns();

	for (unsigned i = 0; i < OBJECTS; i++) {
		vmc_epoch_enter(t);
		vmc_epoch_exit(t);
	}
	return (double)(vmc_os_clock_ns() - start) / OBJECTS;
}

static double
time_fence(void)
{
	uint64_t start = vmc_os_clock_ns();

	for (unsigned i = 0; i < LOOKS; i++)
		vmc_epoch_fence();
	return (double)(vmc_os_clock_ns() - start) / LOOKS;
}

static double
time_look(void)
{
	uint64_t start = vmc_os_clock_ns();

	for (unsigned i = 0; i < LOOKS; i++)
		vmc_epoch_safe();
	return (double)(vmc_os_clock_ns() - start) / LOOKS;
}

static void
print_line(const char *what)
{
	struct vmc_thread *t = vmc_thread_self();
	struct vmc_limbo limbo = {0};
	struct vmc_limbo_chunk *ripe = NULL;
	uint64_t longest = 0, held = 0;

	if (t == NULL)
		exit(1);
	double enter = time_enter(t), fence = time_fence(), look = time_look();
	uint64_t start = vmc_os_clock_ns(), before = start;
	for (unsigned i = 0; i < OBJECTS; i++) {
		void *object = vmc_alloc(&memory, SIZE);

		if (!object)
			exit(1);
		if (!vmc_limbo_add(&limbo, &memory, object, SIZE))
			vmc_free(&memory, object, SIZE);
		if (ripe != NULL)
			ripe = vmc_limbo_free_some(ripe, &memory, 2);
		else if (vmc_limbo_is_due(&limbo))
			ripe = vmc_limbo_ripe(&limbo);
		uint64_t now = vmc_os_clock_ns();
		longest = now - before > longest ? now - before : longest;
		held = objects_out > held ? objects_out : held;
		before = now;
	}
	double retire = (double)(before - start) / OBJECTS;
	printf("%-22s enter %5.1f fence %8.1f look %6.1f retire %6.1f "
	       "longest %9" PRIu64 " held %7" PRIu64 "\n",
		what, enter, fence, look, retire, longest, held);
	vmc_limbo_free(ripe, &memory);
	vmc_store_relaxed(&sleeping, false);
	vmc_limbo_flush(&limbo, &memory);
}

static void
with_readers(const char *what, unsigned count, bool one_sleeps)
{
	vmc_store_relaxed(&stop, false);
	vmc_store_relaxed(&sleeping, one_sleeps);
	for (unsigned i = 0; i < count; i++) {
		vmc_store_relaxed(&readers[i].started, false);
		if (pthread_create(&readers[i].thread, NULL, read_all_the_time,
			    &readers[i]))
			exit(1);
		while (!vmc_load_acquire(&readers[i].started))
			usleep(100);
	}
	print_line(what);
	vmc_store_relaxed(&stop, true);
	for (unsigned i = 0; i < count; i++)
		pthread_join(readers[i].thread, NULL);
}

int
main(void)
{
	with_readers("alone", 0, false);
	with_readers("one reader", 1, false);
	with_readers("eight readers", 8, false);
	with_readers("one reader asleep", 1, true);
	return 0;
}
