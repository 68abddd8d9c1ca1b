/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * persistent.h -- what the pool takes from libpmem
 *
 * Without libpmem (VMC_PMEM=OFF) values reach persistent memory through the
 * processor's caches. This is slower for large values there, and as correct:
 * the data are volatile, so nothing has to be flushed, and plain stores need
 * no drain before the release store that publishes the value.
 */
#ifndef VMC_POOL_PERSISTENT_H
#define VMC_POOL_PERSISTENT_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#ifdef VMC_PMEM
#include <libpmem.h>
#endif

static inline bool
is_persistent(const void *base, size_t size)
{
#ifdef VMC_PMEM
	return pmem_is_pmem(base, size);
#else
	(void)base, (void)size;
	return false;
#endif
}

/* Copy with non-temporal stores; drain_persistent() orders them. */
static inline void
copy_to_persistent(void *to, const void *from, size_t size)
{
#ifdef VMC_PMEM
	pmem_memcpy(
		to, from, size, PMEM_F_MEM_NODRAIN | PMEM_F_MEM_NONTEMPORAL);
#else
	memcpy(to, from, size);
#endif
}

static inline void
drain_persistent(void)
{
#ifdef VMC_PMEM
	pmem_drain();
#endif
}

#endif
