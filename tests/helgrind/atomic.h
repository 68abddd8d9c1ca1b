/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * atomic.h -- stands in for base/atomic.h and base/copy.h: the same accesses,
 * with what Helgrind has to know of them
 *
 * Helgrind knows locks and threads, not atomics. So each atomic object is left
 * out of its search for races, and what a release orders before the acquires of
 * the same object is told: of everything else, plain data that is reached
 * through atomics included, it says which accesses nothing orders. It is told
 * too much at most: an acquire counts as reading the last release. Relaxed
 * accesses and fences order nothing here.
 *
 * The source of a racing copy is left out as well, from then on: that such a
 * copy is not used is proved at the top of get.c, and in model_entry.
 *
 * In a program with relaxed.c releases are not told, and must be missed.
 */
#ifndef VMC_TESTS_HELGRIND_ATOMIC_H
#define VMC_TESTS_HELGRIND_ATOMIC_H

#include "base/attributes.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <valgrind/helgrind.h>

/* What a sanitizer cannot see is left out here, too. */
#define VMC_TSAN 1
#define VMC_HIDDEN __attribute__((visibility("hidden")))

extern const char helgrind_relaxed __attribute__((weak));
#define TELL_RELEASE(p)                                                        \
	(&helgrind_relaxed ? (void)0 : (void)({ ANNOTATE_HAPPENS_BEFORE(p); }))
#define TELL_ACQUIRE(p) ANNOTATE_HAPPENS_AFTER(p)
#define TELL_ATOMIC(p) VALGRIND_HG_DISABLE_CHECKING((p), sizeof(*(p)))

#define vmc_load_relaxed(p)                                                    \
	({                                                                     \
		__auto_type at_ = (p);                                         \
		TELL_ATOMIC(at_);                                              \
		atomic_load_explicit(at_, memory_order_relaxed);               \
	})
#define vmc_load_acquire(p)                                                    \
	({                                                                     \
		__auto_type at_ = (p);                                         \
		TELL_ATOMIC(at_);                                              \
		__auto_type is_ =                                              \
			atomic_load_explicit(at_, memory_order_acquire);       \
		TELL_ACQUIRE(at_);                                             \
		is_;                                                           \
	})
#define vmc_store_relaxed(p, v)                                                \
	({                                                                     \
		__auto_type at_ = (p);                                         \
		TELL_ATOMIC(at_);                                              \
		atomic_store_explicit(at_, (v), memory_order_relaxed);         \
	})
#define vmc_store_release(p, v)                                                \
	({                                                                     \
		__auto_type at_ = (p);                                         \
		TELL_ATOMIC(at_);                                              \
		TELL_RELEASE(at_);                                             \
		atomic_store_explicit(at_, (v), memory_order_release);         \
	})
#define vmc_fetch_add_relaxed(p, v)                                            \
	({                                                                     \
		__auto_type at_ = (p);                                         \
		TELL_ATOMIC(at_);                                              \
		atomic_fetch_add_explicit(at_, (v), memory_order_relaxed);     \
	})
#define TELL_BOTH(p, what)                                                     \
	({                                                                     \
		__auto_type at_ = (p);                                         \
		TELL_ATOMIC(at_);                                              \
		TELL_RELEASE(at_);                                             \
		__auto_type is_ = what;                                        \
		TELL_ACQUIRE(at_);                                             \
		is_;                                                           \
	})
#define vmc_fetch_add_acq_rel(p, v)                                            \
	TELL_BOTH(p, atomic_fetch_add_explicit(at_, (v), memory_order_acq_rel))
#define vmc_fetch_sub_acq_rel(p, v)                                            \
	TELL_BOTH(p, atomic_fetch_sub_explicit(at_, (v), memory_order_acq_rel))
#define vmc_exchange_acq_rel(p, v)                                             \
	TELL_BOTH(p, atomic_exchange_explicit(at_, (v), memory_order_acq_rel))
#define vmc_cas_acq_rel(p, expected, desired)                                  \
	TELL_BOTH(p, atomic_compare_exchange_strong_explicit(at_, (expected),  \
			     (desired), memory_order_acq_rel,                  \
			     memory_order_acquire))
#define vmc_owner_add(p, v) vmc_store_relaxed((p), vmc_load_relaxed(p) + (v))

static inline void
vmc_fence_compiler(void)
{
	atomic_signal_fence(memory_order_seq_cst);
}

static inline void
vmc_fence_acquire(void)
{
	atomic_thread_fence(memory_order_acquire);
}

static inline void
vmc_fence_release(void)
{
	atomic_thread_fence(memory_order_release);
}

static inline void
vmc_fence_seq_cst(void)
{
	atomic_thread_fence(memory_order_seq_cst);
}

static inline void
vmc_pause(void)
{
	__builtin_ia32_pause();
}

static inline void
vmc_copy_racing(void *to, const void *from, size_t size)
{
	VALGRIND_HG_DISABLE_CHECKING(from, size);
	memcpy(to, from, size);
}

static inline void
vmc_prefetch_write(const void *p)
{
	(void)p;
}

#endif
