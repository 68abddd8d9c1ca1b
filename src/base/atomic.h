/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * atomic.h -- C11 atomics with the memory order in the name
 *
 * Code that shares memory without a lock says at each access which order it
 * relies on; a reader of the code should see it without knowing defaults.
 * There is deliberately no wrapper with an implicit (sequentially consistent)
 * order.
 *
 * Thread sanitizer models neither fences nor membarrier(2). The fences below
 * stay in such a build, as compiler fences only: every place that needs a
 * fence for correctness pairs it with atomic accesses that the sanitizer does
 * see, and the one deliberately racing copy (copy.h) is made invisible to it.
 */
#ifndef VMC_BASE_ATOMIC_H
#define VMC_BASE_ATOMIC_H

#include "attributes.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#if defined(__SANITIZE_THREAD__)
#define VMC_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define VMC_TSAN 1
#endif
#endif

#define vmc_load_relaxed(p) atomic_load_explicit((p), memory_order_relaxed)
#define vmc_load_acquire(p) atomic_load_explicit((p), memory_order_acquire)
#define vmc_store_relaxed(p, v)                                                \
	atomic_store_explicit((p), (v), memory_order_relaxed)
#define vmc_store_release(p, v)                                                \
	atomic_store_explicit((p), (v), memory_order_release)
#define vmc_fetch_add_relaxed(p, v)                                            \
	atomic_fetch_add_explicit((p), (v), memory_order_relaxed)
#define vmc_fetch_add_acq_rel(p, v)                                            \
	atomic_fetch_add_explicit((p), (v), memory_order_acq_rel)
#define vmc_fetch_sub_acq_rel(p, v)                                            \
	atomic_fetch_sub_explicit((p), (v), memory_order_acq_rel)
#define vmc_exchange_acq_rel(p, v)                                             \
	atomic_exchange_explicit((p), (v), memory_order_acq_rel)

/* Strong compare and swap; on failure *expected is loaded with acquire. */
#define vmc_cas_acq_rel(p, expected, desired)                                  \
	atomic_compare_exchange_strong_explicit((p), (expected), (desired),    \
		memory_order_acq_rel, memory_order_acquire)

/*
 * Add to a counter that only the calling thread writes: a plain add, visible
 * whole to readers in other threads.
 */
#define vmc_owner_add(p, v) vmc_store_relaxed((p), vmc_load_relaxed(p) + (v))

static inline void
vmc_fence_compiler(void)
{
	atomic_signal_fence(memory_order_seq_cst);
}

static inline void
vmc_fence_acquire(void)
{
#ifdef VMC_TSAN
	vmc_fence_compiler();
#else
	atomic_thread_fence(memory_order_acquire);
#endif
}

static inline void
vmc_fence_release(void)
{
#ifdef VMC_TSAN
	vmc_fence_compiler();
#else
	atomic_thread_fence(memory_order_release);
#endif
}

static inline void
vmc_fence_seq_cst(void)
{
#ifdef VMC_TSAN
	_Atomic int full_barrier = 0;
	atomic_fetch_add(&full_barrier, 1);
#else
	atomic_thread_fence(memory_order_seq_cst);
#endif
}

/* Tell the processor that this is a loop that waits. */
static inline void
vmc_pause(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#else
	vmc_fence_compiler();
#endif
}

/*
 * Ask for a line that will be written: no other processor has it then. gcc
 * makes this of its builtin only for processors that it knows to have it;
 * on others the instruction does nothing.
 */
static inline __attribute__((always_inline)) void
vmc_prefetch_write(const void *p)
{
#if defined(__x86_64__)
	__asm__ volatile("prefetchw %0" : : "m"(*(const char *)p));
#else
	__builtin_prefetch(p, 1);
#endif
}

#endif
