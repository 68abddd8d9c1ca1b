/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * testing.h -- what every test uses: cmocka, a seeded generator, memory that
 * counts and fails on demand
 */
#ifndef VMC_TESTING_H
#define VMC_TESTING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#if defined(__has_include) && __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#else
#define RUNNING_ON_VALGRIND 0
#endif

#include "base/atomic.h"
#include "base/memory.h"

#if defined(VMC_TSAN) || defined(__SANITIZE_ADDRESS__)
#define VMC_TESTING_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define VMC_TESTING_SANITIZED 1
#endif
#endif

/*
 * The seed of this run: $VMC_TEST_SEED, else the clock. Printed once, so that
 * a failure can be had again.
 */
static inline uint64_t
testing_seed(void)
{
	static uint64_t seed;

	if (seed == 0) {
		const char *given = getenv("VMC_TEST_SEED");
		struct timespec now;
		clock_gettime(CLOCK_REALTIME, &now);
		seed = given ? strtoull(given, NULL, 0)
			     : (uint64_t)now.tv_sec * 1000000007u +
				       (uint64_t)now.tv_nsec;
		seed += seed == 0;
		printf("VMC_TEST_SEED=%llu\n", (unsigned long long)seed);
		fflush(stdout);
	}
	return seed;
}

/* splitmix64 (Steele, Lea, Flood 2014): state in, next number out. */
static inline uint64_t
testing_random(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

/* A number below bound (bound > 0). */
static inline uint64_t
testing_below(uint64_t *state, uint64_t bound)
{
	return (uint64_t)((unsigned __int128)testing_random(state) * bound >>
			  64);
}

/* Of gcc's library of counts: there if anything in the program is counted. */
void __gcov_init(void *) __attribute__((weak));

/*
 * How many operations a long test makes: $VMC_TEST_OPERATIONS, else n, or
 * fewer under a tool that slows everything down.
 */
static inline uint64_t
testing_operations(uint64_t n)
{
	const char *given = getenv("VMC_TEST_OPERATIONS");

	if (given)
		return strtoull(given, NULL, 0);
#ifdef VMC_TSAN
	n /= 8;
#else
	if (__gcov_init)
		n /= 8;
#endif
	return RUNNING_ON_VALGRIND ? n / 32 : n;
}

/*
 * For threads, in which cmocka's assertions do not work: note a failure, the
 * main thread then asserts that there was none.
 */
static _Atomic unsigned long testing_failures;

#define testing_expect(truth)                                                  \
	((truth) ? (void)0 : testing_failed(__FILE__, __LINE__, #truth))

static inline void
testing_failed(const char *file, int line, const char *what)
{
	if (vmc_fetch_add_relaxed(&testing_failures, 1) < 20)
		fprintf(stderr, "%s:%d: failed: %s\n", file, line, what);
}

/*
 * Memory for a module under test: counts what is out, checks the sizes given
 * back, frees retired objects at once, or keeps them until asked. fail_at:
 * the number of allocations until one fails, -1: none ever does, -2: all do.
 */
struct testing_memory {
	_Atomic long bytes;
	_Atomic long objects;
	_Atomic long fail_at;
};

static inline void *
testing_alloc(void *ctx, size_t size)
{
	struct testing_memory *m = ctx;

	if (vmc_load_relaxed(&m->fail_at) == -2)
		return NULL;
	if (vmc_load_relaxed(&m->fail_at) >= 0 &&
		vmc_fetch_add_relaxed(&m->fail_at, -1) == 0)
		return NULL;
	size_t *p = aligned_alloc(64, (size + 64 + 63) & ~(size_t)63);
	assert_non_null(p);
	p[0] = size;
	vmc_fetch_add_relaxed(&m->bytes, (long)size);
	vmc_fetch_add_relaxed(&m->objects, 1);
	return (char *)p + 64;
}

static inline void
testing_free(void *ctx, void *ptr, size_t size)
{
	struct testing_memory *m = ctx;
	size_t *p = (size_t *)((char *)ptr - 64);

	assert_int_equal(p[0], size);
	memset(ptr, 0xdd, size);
	vmc_fetch_add_relaxed(&m->bytes, -(long)size);
	vmc_fetch_add_relaxed(&m->objects, -1);
	free(p);
}

/* For tests of one thread: nobody else reads, so retiring is freeing. */
static inline struct vmc_memory
testing_memory_of(struct testing_memory *m)
{
	*m = (struct testing_memory){.fail_at = -1};
	return (struct vmc_memory){.alloc = testing_alloc,
		.free = testing_free,
		.retire = testing_free,
		.ctx = m};
}

#endif
