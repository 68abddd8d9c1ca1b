/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * interleave.h -- the library as it is, only that threads now and then wait
 * for each other in the middle of everything
 *
 * Included by the compiler before each source file of a copy of the library.
 * All memory that threads share is accessed through base/atomic.h, and values
 * are copied by base/copy.h; so these are the places where it matters who
 * comes first, whatever the library looks like.
 */
#ifndef VMC_TESTS_INTERLEAVE_H
#define VMC_TESTS_INTERLEAVE_H

#include "base/atomic.h"
#include "base/copy.h"

/* workload.h */
void workload_pause(unsigned one_in);

#define INTERLEAVE_ATOMIC 50
#define INTERLEAVE_COPY 6

#undef vmc_load_acquire
#define vmc_load_acquire(p)                                                    \
	(workload_pause(INTERLEAVE_ATOMIC),                                    \
		atomic_load_explicit((p), memory_order_acquire))
#undef vmc_store_release
#define vmc_store_release(p, v)                                                \
	(workload_pause(INTERLEAVE_ATOMIC),                                    \
		atomic_store_explicit((p), (v), memory_order_release))
#undef vmc_exchange_acq_rel
#define vmc_exchange_acq_rel(p, v)                                             \
	(workload_pause(INTERLEAVE_ATOMIC),                                    \
		atomic_exchange_explicit((p), (v), memory_order_acq_rel))
#undef vmc_cas_acq_rel
#define vmc_cas_acq_rel(p, expected, desired)                                  \
	(workload_pause(INTERLEAVE_ATOMIC),                                    \
		atomic_compare_exchange_strong_explicit((p), (expected),       \
			(desired), memory_order_acq_rel,                       \
			memory_order_acquire))

/* A value's bytes come in two halves. */
static inline void
interleave_copy(void *to, const void *from, size_t size)
{
	workload_pause(INTERLEAVE_COPY);
	vmc_copy_racing(to, from, size / 2);
	workload_pause(INTERLEAVE_COPY);
	vmc_copy_racing((char *)to + size / 2, (const char *)from + size / 2,
		size - size / 2);
}
#define vmc_copy_racing interleave_copy

#endif
