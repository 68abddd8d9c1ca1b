/* SPDX-License-Identifier: BSD-3-Clause */
/* relaxed.c -- its being there is all (atomic.h) */
const char helgrind_relaxed = 1;
