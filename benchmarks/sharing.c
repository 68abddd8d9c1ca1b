/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * sharing.c -- a thread sanitizer's entry points that follow cache lines
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
 */
#include "sharing.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

static unsigned current;
static bool following;
static struct sharing *counted;

void
sharing_enter(unsigned thread)
{
	current = thread;
	following = true;
}

void
sharing_forget(void)
{
	memset(lines, 0, sizeof(lines));
	memset(places, 0, sizeof(places));
}

void
sharing_count(struct sharing *sum)
{
	counted = sum;
}

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
	fputs("micro_sharing: too many lines\n", stderr);
	exit(1);
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

void
sharing_print_places(uint64_t operations)
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
			(double)places[i].taken / (double)operations,
			(double)places[i].fetched / (double)operations, where);
	}
}

/* --- what the compiler calls --- */

#define PC __builtin_return_address(0)

#define PLAIN(kind, write, bytes)                                              \
	void __tsan_##kind##bytes(void *address);                              \
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

void __tsan_read_range(void *address, size_t size);
void
__tsan_read_range(void *address, size_t size)
{
	touch(address, size, false, PC);
}

void __tsan_write_range(void *address, size_t size);
void
__tsan_write_range(void *address, size_t size)
{
	touch(address, size, true, PC);
}

#define MODIFY(bits, name)                                                     \
	uint##bits##_t __tsan_atomic##bits##_##name(                           \
		uint##bits##_t *p, uint##bits##_t v, int order);               \
	uint##bits##_t __tsan_atomic##bits##_##name(                           \
		uint##bits##_t *p, uint##bits##_t v, int order)                \
	{                                                                      \
		(void)order;                                                   \
		modify(p, sizeof(*p), PC);                                     \
		return __atomic_##name(p, v, __ATOMIC_SEQ_CST);                \
	}
#define SWAP(bits, strength, weak)                                             \
	int __tsan_atomic##bits##_compare_exchange_##strength(                 \
		uint##bits##_t *p, uint##bits##_t *expected, uint##bits##_t v, \
		int order, int failure);                                       \
	int __tsan_atomic##bits##_compare_exchange_##strength(                 \
		uint##bits##_t *p, uint##bits##_t *expected, uint##bits##_t v, \
		int order, int failure)                                        \
	{                                                                      \
		(void)order, (void)failure;                                    \
		modify(p, sizeof(*p), PC);                                     \
		return __atomic_compare_exchange_n(p, expected, v, weak,       \
			__ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);                   \
	}
#define ATOMICS(bits)                                                          \
	uint##bits##_t __tsan_atomic##bits##_load(                             \
		const uint##bits##_t *p, int order);                           \
	uint##bits##_t __tsan_atomic##bits##_load(                             \
		const uint##bits##_t *p, int order)                            \
	{                                                                      \
		(void)order;                                                   \
		touch(p, sizeof(*p), false, PC);                               \
		return __atomic_load_n(p, __ATOMIC_SEQ_CST);                   \
	}                                                                      \
	void __tsan_atomic##bits##_store(                                      \
		uint##bits##_t *p, uint##bits##_t v, int order);               \
	void __tsan_atomic##bits##_store(                                      \
		uint##bits##_t *p, uint##bits##_t v, int order)                \
	{                                                                      \
		(void)order;                                                   \
		touch(p, sizeof(*p), true, PC);                                \
		__atomic_store_n(p, v, __ATOMIC_SEQ_CST);                      \
	}                                                                      \
	uint##bits##_t __tsan_atomic##bits##_exchange(                         \
		uint##bits##_t *p, uint##bits##_t v, int order);               \
	uint##bits##_t __tsan_atomic##bits##_exchange(                         \
		uint##bits##_t *p, uint##bits##_t v, int order)                \
	{                                                                      \
		(void)order;                                                   \
		modify(p, sizeof(*p), PC);                                     \
		return __atomic_exchange_n(p, v, __ATOMIC_SEQ_CST);            \
	}                                                                      \
	MODIFY(bits, fetch_add)                                                \
	MODIFY(bits, fetch_sub)                                                \
	MODIFY(bits, fetch_and)                                                \
	MODIFY(bits, fetch_or)                                                 \
	MODIFY(bits, fetch_xor)                                                \
	SWAP(bits, strong, false)                                              \
	SWAP(bits, weak, true)

ATOMICS(8)
ATOMICS(16)
ATOMICS(32)
ATOMICS(64)

void __tsan_atomic_thread_fence(int order);
void
__tsan_atomic_thread_fence(int order)
{
	(void)order;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

void __tsan_atomic_signal_fence(int order);
void
__tsan_atomic_signal_fence(int order)
{
	(void)order;
}

void __tsan_init(void);
void
__tsan_init(void)
{
}

/* --- what the linker leads here --- */

int __real_pthread_mutex_trylock(pthread_mutex_t *mutex);
int __wrap_pthread_mutex_trylock(pthread_mutex_t *mutex);
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
int __wrap_pthread_mutex_lock(pthread_mutex_t *mutex);
int
__wrap_pthread_mutex_lock(pthread_mutex_t *mutex)
{
	modify(mutex, sizeof(int), PC);
	if (counted != NULL)
		counted->locks++;
	return __real_pthread_mutex_lock(mutex);
}

int __real_pthread_mutex_unlock(pthread_mutex_t *mutex);
int __wrap_pthread_mutex_unlock(pthread_mutex_t *mutex);
int
__wrap_pthread_mutex_unlock(pthread_mutex_t *mutex)
{
	modify(mutex, sizeof(int), PC);
	return __real_pthread_mutex_unlock(mutex);
}
