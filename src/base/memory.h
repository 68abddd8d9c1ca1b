/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * memory.h -- where a module gets its metadata from
 *
 * The modules below the cache know neither jemalloc nor the epoch: they are
 * given one of these. The cache fills it with a memkind kind and its own
 * deferred free; tests fill it with one that counts, fails on demand, or both.
 */
#ifndef VMC_BASE_MEMORY_H
#define VMC_BASE_MEMORY_H

#include <stddef.h>

struct vmc_memory {
	/* size > 0; at least 16-byte aligned; NULL when there is none */
	void *(*alloc)(void *ctx, size_t size);
	/* at once: nobody else can hold a reference; ptr is not NULL */
	void (*free)(void *ctx, void *ptr, size_t size);
	/*
	 * once every lock-free reader that may have seen ptr has left its
	 * epoch; the object is already unreachable for new readers. Never
	 * fails. May be NULL for a module that has no lock-free readers.
	 */
	void (*retire)(void *ctx, void *ptr, size_t size);
	void *ctx;
};

static inline void *
vmc_alloc(const struct vmc_memory *m, size_t size)
{
	return m->alloc(m->ctx, size);
}

static inline void
vmc_free(const struct vmc_memory *m, void *ptr, size_t size)
{
	m->free(m->ctx, ptr, size);
}

static inline void
vmc_retire(const struct vmc_memory *m, void *ptr, size_t size)
{
	m->retire(m->ctx, ptr, size);
}

#endif
