/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pools.c -- memory pools of libtbbmalloc, loaded when they are asked for
 *
 * A pool gets its memory from two functions of its maker, in pieces of a
 * megabyte and more. Here those are objects of the kind's jemalloc arena, so
 * that everything that arena.c and the media do (committing, reserving,
 * giving back, failing) holds for pools as well; TBB takes the place of the
 * magazines and of jemalloc's small objects.
 *
 * The library's pool interface is C++ (namespace rml of
 * <tbb/scalable_allocator.h>), but of functions and plain structures alone:
 * its symbols are looked up by their mangled names, and neither its header
 * nor a C++ compiler is needed.
 *
 * TBB is thread-safe, but knows nothing of forks: in a child, a pool whose
 * lock another thread held at the fork stays locked.
 */
#include "pools.h"

#include "arena.h"
#include "engine.h"

#include <dlfcn.h>
#include <stdint.h>
#include <string.h>

#define LIBRARY "libtbbmalloc.so.2"

/* Where MALLOCX_LG_ALIGN() puts its argument. */
#define LG_ALIGN_MASK 0x3f

/* rml::MemPoolPolicy, its version 1 */
struct policy {
	void *(*allocate)(intptr_t id, size_t *bytes);
	int (*release)(intptr_t id, void *memory, size_t bytes);
	size_t granularity; /* of requests; 0: as the library likes */
	int version;
	unsigned fixed : 1; /* one piece is all there is */
	unsigned keep : 1;  /* all pieces until the pool is destroyed */
	unsigned reserved : 30;
};

static struct {
	int (*create)(intptr_t id, const struct policy *policy, void **pool);
	void *(*malloc)(void *pool, size_t size);
	void *(*aligned_malloc)(void *pool, size_t size, size_t alignment);
	void *(*realloc)(void *pool, void *ptr, size_t size);
	bool (*free)(void *pool, void *ptr);
	void *(*identify)(void *ptr);
	size_t (*size)(void *pool, void *ptr);
} tbb;

static const struct {
	const char *symbol;
	void *function;
} symbols[] = {
	{"_ZN3rml14pool_create_v1ElPKNS_13MemPoolPolicyEPPNS_10MemoryPoolE",
		&tbb.create},
	{"_ZN3rml11pool_mallocEPNS_10MemoryPoolEm", &tbb.malloc},
	{"_ZN3rml19pool_aligned_mallocEPNS_10MemoryPoolEmm",
		&tbb.aligned_malloc},
	{"_ZN3rml12pool_reallocEPNS_10MemoryPoolEPvm", &tbb.realloc},
	{"_ZN3rml9pool_freeEPNS_10MemoryPoolEPv", &tbb.free},
	{"_ZN3rml13pool_identifyEPv", &tbb.identify},
	{"_ZN3rml10pool_msizeEPNS_10MemoryPoolEPv", &tbb.size},
};

static _Atomic bool loaded;

bool
vmc_pools_loaded(void)
{
	/* pairs with the release when all functions are known */
	return vmc_load_acquire(&loaded);
}

bool
vmc_pools_load(void)
{
	/* never unloaded: threads that used it tell it when they end */
	void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);

	if (!library)
		return false;
	for (size_t i = 0; i < sizeof(symbols) / sizeof(symbols[0]); i++) {
		void *found = dlsym(library, symbols[i].symbol);
		if (!found)
			return false;
		*(void **)symbols[i].function = found;
	}
	vmc_store_release(&loaded, true);
	return true;
}

static int
flags_of(intptr_t arena)
{
	return MALLOCX_ARENA(((struct vmc_arena *)arena)->index) |
	       MALLOCX_TCACHE_NONE;
}

static void *
allocate(intptr_t arena, size_t *bytes)
{
	return vmc_arena_malloc(*bytes, flags_of(arena) | MALLOCX_LG_ALIGN(12));
}

static int
release(intptr_t arena, void *memory, size_t bytes)
{
	(void)arena;
	(void)bytes;
	je_dallocx(memory, MALLOCX_TCACHE_NONE);
	return 0;
}

void *
vmc_pool_create(struct vmc_arena *arena)
{
	const struct policy policy = {
		.allocate = allocate, .release = release, .version = 1};
	void *pool = NULL;

	return tbb.create((intptr_t)arena, &policy, &pool) == 0 ? pool : NULL;
}

void *
vmc_pool_malloc(void *pool, size_t size, int flags)
{
	size_t alignment = (size_t)1 << (flags & LG_ALIGN_MASK);
	void *ptr = alignment > 1 ? tbb.aligned_malloc(pool, size, alignment)
				  : tbb.malloc(pool, size);

	return ptr && (flags & MALLOCX_ZERO) ? memset(ptr, 0, size) : ptr;
}

void *
vmc_pool_realloc(void *ptr, size_t size)
{
	return tbb.realloc(tbb.identify(ptr), ptr, size);
}

void
vmc_pool_free(void *ptr)
{
	tbb.free(tbb.identify(ptr), ptr);
}

size_t
vmc_pool_usable_size(const void *ptr)
{
	return tbb.size(tbb.identify((void *)ptr), (void *)ptr);
}
