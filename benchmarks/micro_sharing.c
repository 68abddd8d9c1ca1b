/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * micro_sharing.c -- what an operation takes from other processors
 *
 * Threads take turns, one operation each, on one full cache. Per operation, in
 * the steady state:
 *
 *	taken    cache lines written that another thread had touched since this
 *	         one did: what other processors lose
 *	fetched  lines read that another thread had written
 *	locked   atomic read-modify-writes, two for each lock included
 *	locks    acquired
 *
 * With one thread the first two are 0, whatever it does.
 *
 * The compiler calls __tsan_read8() and the like before every access of code
 * built with -fsanitize=thread. Here they do not look for races but keep, for
 * each line of 64 bytes, what processors with endless caches would: which
 * threads have it, and whether one has written it since. A write to a line that
 * another thread has takes it away; a read of a line that another thread has
 * written fetches it. That is what does not scale with processors, and it does
 * not depend on how many there are, nor on how busy.
 *
 * Not seen: copies by memcpy() (the values), the allocator beneath, the C
 * library. Locks are seen by the wrapped calls (LINKER:--wrap), as a
 * read-modify-write of their line. Threads take turns, so nothing waits here
 * and no lock is ever found taken.
 *
 * Usage: micro_sharing [-p]; -p: print the places in the source, too
 */
#include "libvmemcache.h"
#include "random.h"

#include <error.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_THREADS = 8, VALUES = 60000, WARM = 2000, COUNTED = 4000 };
enum { LINES = 1 << 22, PLACES = 1 << 12 };

static struct line {
	uintptr_t line;
	uint64_t threads; /* that have it */
	bool written;     /* since another one than the writer read it */
} lines[LINES];

static struct place {
	uintptr_t pc;
	uint64_t taken;
	uint64_t fetched;
} places[PLACES];

struct sharing {
	uint64_t taken;
	uint64_t fetched;
	uint64_t locked;
	uint64_t locks;
};

static unsigned current; /* thread, below 64 */
static bool following;
static struct sharing *counted; /* NULL: accesses are only followed */

static struct line *
line_at(uintptr_t line)
{
	size_t i = (size_t)(line * UINT64_C(0x9e3779b97f4a7c15) >> 42);

	for (size_t tries = 0; tries < LINES; tries++) {
		struct line *l = &lines[(i + tries) % LINES];

		if (l->line == line)
			return l;
		if (l->line == 0) {
			l->line = line;
			return l;
		}
	}
	error(1, 0, "too many lines");
	abort();
}

static struct place *
place_at(uintptr_t pc)
{
	size_t i = (size_t)(pc * UINT64_C(0x9e3779b97f4a7c15) >> 52);

	while (places[i].pc != pc && places[i].pc != 0)
		i = (i + 1) % PLACES;
	places[i].pc = pc;
	return &places[i];
}

static void
touch(const volatile void *address, size_t size, bool write, void *pc)
{
	uintptr_t first = (uintptr_t)address / 64;
	uintptr_t last = ((uintptr_t)address + size - 1) / 64;
	uint64_t self = UINT64_C(1) << current;

	if (!following)
		return;
	for (uintptr_t at = first; at <= last; at++) {
		struct line *l = line_at(at);
		bool taken = write && (l->threads & ~self) != 0;
		bool fetched = !write && l->written && !(l->threads & self);

		l->threads = write ? self : l->threads | self;
		l->written = write || (l->written && !fetched);
		if (counted == NULL || (!taken && !fetched))
			continue;
		struct place *p = place_at((uintptr_t)pc);
		counted->taken += taken;
		counted->fetched += fetched;
		p->taken += taken;
		p->fetched += fetched;
	}
}

static void
modify(const volatile void *address, size_t size, void *pc)
{
	if (counted != NULL)
		counted->locked++;
	touch(address, size, true, pc);
}

static int
by_weight(const void *a, const void *b)
{
	const struct place *x = a, *y = b;
	uint64_t u = x->taken + x->fetched, v = y->taken + y->fetched;

	return (u < v) - (u > v);
}

/* Where lines were taken and fetched. */
static void
print_places(void)
{
	enum { SHOWN = 12 };

	qsort(places, PLACES, sizeof(*places), by_weight);
	for (int i = 0; i < SHOWN && places[i].pc != 0; i++) {
		char command[128];
		char where[256] = "?";

		/* a call's return address: the byte before it is the call's */
		snprintf(command, sizeof(command),
			"addr2line -s -e /proc/%ld/exe %#lx 2>/dev/null",
			(long)getpid(), (unsigned long)places[i].pc - 1);
		FILE *out = popen(command, "r");
		if (out != NULL) {
			if (fgets(where, sizeof(where), out) != NULL)
				where[strcspn(where, "\n")] = '\0';
			pclose(out);
		}
		printf("    %5.2f taken %5.2f fetched  %s\n",
			(double)places[i].taken / COUNTED,
			(double)places[i].fetched / COUNTED, where);
	}
}

/* --- what the compiler calls --- */

#define PC __builtin_return_address(0)

#define PLAIN(kind, write, bytes)                                              \
	void __tsan_##kind##bytes(void *address)                               \
	{                                                                      \
		touch(address, bytes, write, PC);                              \
	}
#define PLAIN_SIZES(kind, write)                                               \
	PLAIN(kind, write, 1)                                                  \
	PLAIN(kind, write, 2)                                                  \
	PLAIN(kind, write, 4)                                                  \
	PLAIN(kind, write, 8)                                                  \
	PLAIN(kind, write, 16)

PLAIN_SIZES(read, false)
PLAIN_SIZES(write, true)
PLAIN_SIZES(unaligned_read, false)
PLAIN_SIZES(unaligned_write, true)
PLAIN_SIZES(volatile_read, false)
PLAIN_SIZES(volatile_write, true)

void
__tsan_read_range(void *address, size_t size)
{
	touch(address, size, false, PC);
}

void
__tsan_write_range(void *address, size_t size)
{
	touch(address, size, true, PC);
}

#define ATOMIC(bits, result, name) result __tsan_atomic##bits##_##name
#define MODIFY(bits, name, builtin)                                            \
	ATOMIC(bits, uint##bits##_t, name)                                     \
	(uint##bits##_t * p, uint##bits##_t v, int order)                      \
	{                                                                      \
		(void)order;                                                   \
		modify(p, bits / 8, PC);                                       \
		return __atomic_##builtin(p, v, __ATOMIC_SEQ_CST);             \
	}
#define SWAP(bits, strength, weak)                                             \
	ATOMIC(bits, int, compare_exchange_##strength)                         \
	(uint##bits##_t * p, uint##bits##_t * expected, uint##bits##_t v,      \
		int order, int failure)                                        \
	{                                                                      \
		(void)order, (void)failure;                                    \
		modify(p, bits / 8, PC);                                       \
		return __atomic_compare_exchange_n(p, expected, v, weak,       \
			__ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);                   \
	}
#define ATOMICS(bits)                                                          \
	ATOMIC(bits, uint##bits##_t, load)(const uint##bits##_t *p, int order) \
	{                                                                      \
		(void)order;                                                   \
		touch(p, bits / 8, false, PC);                                 \
		return __atomic_load_n(p, __ATOMIC_SEQ_CST);                   \
	}                                                                      \
	ATOMIC(bits, void, store)                                              \
	(uint##bits##_t * p, uint##bits##_t v, int order)                      \
	{                                                                      \
		(void)order;                                                   \
		touch(p, bits / 8, true, PC);                                  \
		__atomic_store_n(p, v, __ATOMIC_SEQ_CST);                      \
	}                                                                      \
	MODIFY(bits, exchange, exchange_n)                                     \
	MODIFY(bits, fetch_add, fetch_add)                                     \
	MODIFY(bits, fetch_sub, fetch_sub)                                     \
	MODIFY(bits, fetch_and, fetch_and)                                     \
	MODIFY(bits, fetch_or, fetch_or)                                       \
	MODIFY(bits, fetch_xor, fetch_xor)                                     \
	SWAP(bits, strong, false)                                              \
	SWAP(bits, weak, true)

ATOMICS(8)
ATOMICS(16)
ATOMICS(32)
ATOMICS(64)

void
__tsan_atomic_thread_fence(int order)
{
	(void)order;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

void
__tsan_atomic_signal_fence(int order)
{
	(void)order;
}

void
__tsan_init(void)
{
}

/* --- what the linker leads here --- */

int __real_pthread_mutex_trylock(pthread_mutex_t *mutex);
int
__wrap_pthread_mutex_trylock(pthread_mutex_t *mutex)
{
	int wrong = __real_pthread_mutex_trylock(mutex);

	modify(mutex, sizeof(int), PC);
	if (counted != NULL && wrong == 0)
		counted->locks++;
	return wrong;
}

int __real_pthread_mutex_lock(pthread_mutex_t *mutex);
int
__wrap_pthread_mutex_lock(pthread_mutex_t *mutex)
{
	modify(mutex, sizeof(int), PC);
	if (counted != NULL)
		counted->locks++;
	return __real_pthread_mutex_lock(mutex);
}

int __real_pthread_mutex_unlock(pthread_mutex_t *mutex);
int
__wrap_pthread_mutex_unlock(pthread_mutex_t *mutex)
{
	modify(mutex, sizeof(int), PC);
	return __real_pthread_mutex_unlock(mutex);
}

/* --- what is measured --- */

static const struct kind {
	const char *name;
	unsigned gets; /* of 100 */
	bool there;
	bool pins; /* in place of gets */
} kinds[] = {{"get", 100, true, false}, {"miss", 100, false, false},
	{"put", 0, true, false}, {"mixed", 90, true, false},
	{"pin", 100, true, true}};

struct work {
	VMEMcache *cache;
	const struct kind *kind;
	unsigned threads;
	uint64_t warm; /* operations until the steady state */
	uint64_t next_key;
	uint64_t random;
	uint64_t done;
	struct sharing sum;
};

struct worker {
	struct work *work;
	unsigned self;
	sem_t turn;
	struct worker *next;
	pthread_t thread;
};

static void
put(struct work *w)
{
	static char value[256];
	uint64_t key = w->next_key++;

	if (vmemcache_put(w->cache, &key, sizeof(key), value, sizeof(value)))
		error(1, 0, "put: %s", vmemcache_errormsg());
}

static void
operate(struct work *w)
{
	char value[256];

	if (bench_random_below(&w->random, 100) >= w->kind->gets) {
		put(w);
		return;
	}
	uint64_t age = w->done < w->warm
			       ? w->done % (VALUES / 2)
			       : bench_random_below(&w->random, VALUES / 2);
	uint64_t key = w->kind->there
			       ? w->next_key - 1 - age
			       : bench_random(&w->random) | UINT64_C(1) << 63;
	if (w->kind->pins) {
		struct vmemcache_item item;
		vmemcache_pin(w->cache, &key, sizeof(key), 0, &item);
		vmemcache_unpin(w->cache, &item);
		return;
	}
	vmemcache_get(
		w->cache, &key, sizeof(key), value, sizeof(value), 0, NULL);
}

static void *
take_turns(void *argument)
{
	struct worker *me = argument;
	struct work *w = me->work;

	for (bool more = true; more;) {
		sem_wait(&me->turn);
		more = w->done < w->warm + COUNTED;
		if (more) {
			current = me->self;
			following = true;
			counted = w->done < w->warm ? NULL : &w->sum;
			operate(w);
			counted = NULL;
			w->done++;
		}
		sem_post(&me->next->turn);
	}
	return NULL;
}

static void
measure(VMEMcache *cache, const struct kind *kind, unsigned threads,
	bool with_places)
{
	static uint64_t next_key = VALUES;
	struct work w = {.cache = cache,
		.kind = kind,
		.threads = threads,
		/* of gets alone: all keys twice, until the policy knows them */
		.warm = kind->gets == 100 && kind->there ? VALUES : WARM,
		.next_key = next_key,
		.random = 1};
	struct worker workers[MAX_THREADS];
	double n = COUNTED;

	memset(lines, 0, sizeof(lines));
	memset(places, 0, sizeof(places));
	for (unsigned i = 0; i < threads; i++) {
		struct worker *me = &workers[i];

		*me = (struct worker){.work = &w, .self = i};
		me->next = &workers[(i + 1) % threads];
		sem_init(&me->turn, 0, 0);
	}
	for (unsigned i = 0; i < threads; i++) {
		if (pthread_create(
			    &workers[i].thread, NULL, take_turns, &workers[i]))
			exit(1);
	}
	sem_post(&workers[0].turn);
	for (unsigned i = 0; i < threads; i++)
		pthread_join(workers[i].thread, NULL);
	next_key = w.next_key;
	printf("%-8s %7u %8.2f %8.2f %8.2f %8.2f\n", kind->name, threads,
		(double)w.sum.taken / n, (double)w.sum.fetched / n,
		(double)w.sum.locked / n, (double)w.sum.locks / n);
	if (with_places)
		print_places();
}

int
main(int argc, char **argv)
{
	static const unsigned threads[] = {1, 2, 8};
	bool with_places = argc > 1 && strcmp(argv[1], "-p") == 0;
	VMEMcache *cache = vmemcache_new();

	if (cache == NULL || vmemcache_set_size(cache, VALUES * 256) ||
		vmemcache_add(cache, "/dev/shm"))
		error(1, 0, "no cache: %s", vmemcache_errormsg());
	struct work fill = {.cache = cache};
	while (fill.next_key < VALUES)
		put(&fill);
	printf("%-8s %7s %8s %8s %8s %8s\n", "op", "threads", "taken",
		"fetched", "locked", "locks");
	for (size_t k = 0; k < sizeof(kinds) / sizeof(*kinds); k++) {
		for (size_t t = 0; t < sizeof(threads) / sizeof(*threads); t++)
			measure(cache, &kinds[k], threads[t], with_places);
	}
	vmemcache_delete(cache);
	return 0;
}
