/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * distance.h -- how far apart two processors are
 */
#ifndef BENCH_DISTANCE_H
#define BENCH_DISTANCE_H

#include <stdbool.h>

/*
 * The calling thread to the processor of that number, from 0, among those that
 * it may use; false: there are not so many.
 */
bool bench_pin(unsigned place);

/*
 * Nanoseconds until a word that one processor has written reaches another: the
 * median of several tries, each of many times to and fro, between the first two
 * processors that the process may use. 0: there is only one, or no thread.
 */
double bench_distance(void);

#endif
