/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * random.h -- seeded random numbers, the same on every machine
 *
 * splitmix64 (Steele, Lea, Flood 2014): one word of state, any seed is good,
 * and its finisher doubles as a mixer of consecutive numbers.
 */
#ifndef BENCH_RANDOM_H
#define BENCH_RANDOM_H

#include <stdint.h>

static inline uint64_t
bench_mix(uint64_t z)
{
	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

static inline uint64_t
bench_random(uint64_t *state)
{
	return bench_mix(*state += UINT64_C(0x9e3779b97f4a7c15));
}

/* The 64-bit fraction x of bound: below bound for every x (bound > 0). */
static inline uint64_t
bench_scale(uint64_t x, uint64_t bound)
{
	return (uint64_t)((unsigned __int128)x * bound >> 64);
}

static inline uint64_t
bench_random_below(uint64_t *state, uint64_t bound)
{
	return bench_scale(bench_random(state), bound);
}

/* In [0, 1), 53 bits. */
static inline double
bench_random_unit(uint64_t *state)
{
	return (double)(bench_random(state) >> 11) * 0x1p-53;
}

#endif
