/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * interleaved.c -- the same of a library in which threads wait for each other
 * in the middle of everything (interleave.h), so that much more happens at the
 * same time, on few processors and under load as well
 */
#define ROUNDS 100
#include "histories.c"
