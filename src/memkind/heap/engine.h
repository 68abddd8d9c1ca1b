/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * engine.h -- the private jemalloc, under its own name je_*
 *
 * The only file that includes jemalloc's header. Its functions carry the
 * prefix vmc_je_ in the object files (utils/build-jemalloc) and je_ in the
 * sources.
 */
#ifndef VMC_MEMKIND_ENGINE_H
#define VMC_MEMKIND_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JEMALLOC_NO_DEMANGLE
#include <vmc_jemalloc.h>

/*
 * Around fork(), in the thread that forks, inside all locks under which
 * jemalloc is called.
 */
void vmc_engine_before_fork(void);
void vmc_engine_after_fork(bool child);

/*
 * Create an arena on these hooks, which its metadata comes from as well.
 * -EAGAIN: there are too many already.
 */
int vmc_engine_arena_create(extent_hooks_t *hooks, unsigned *arena);

/*
 * Free everything in the arena and the arena itself. Nobody else may use it,
 * and explicit thread caches that hold memory of it must be gone.
 */
void vmc_engine_arena_destroy(unsigned arena);

/* Free memory of the arena becomes unused after this long; 0: at once. */
int vmc_engine_arena_decay(unsigned arena, ssize_t milliseconds);

/* Give back what of the arena's free memory is due. */
void vmc_engine_arena_tick(unsigned arena);

/* Give the arena's free memory back now. */
void vmc_engine_arena_purge(unsigned arena);

/* The same of the default arenas, and what the calling thread has cached. */
void vmc_engine_give_back(void);

/* See vmc_memkind_prefer_huge_pages() and vmc_memkind_huge_bytes(). */
void vmc_engine_prefer_huge_pages(void);
size_t vmc_engine_huge_bytes(void);

/* What a large object's extent has beyond its size: a page, or nothing. */
size_t vmc_engine_large_pad(void);

/* An explicit thread cache; -EAGAIN: there are too many already. */
int vmc_engine_tcache_create(unsigned *tcache);
/* Return what it holds to the arenas. */
void vmc_engine_tcache_flush(unsigned tcache);
void vmc_engine_tcache_destroy(unsigned tcache);

/* Is nothing allocated in it, not even for a thread cache? */
bool vmc_engine_arena_is_empty(unsigned arena);

/*
 * Where jemalloc counts the bytes that the calling thread frees, in whichever
 * arena: it knows the size of each object when it frees it. NULL: nowhere.
 */
const uint64_t *vmc_engine_freed_by_thread(void);

/* mallctl of one size_t, "stats.arenas.<arena>." before the name. */
int vmc_engine_arena_stat(unsigned arena, const char *name, size_t *value);
int vmc_engine_stat(const char *name, size_t *value);
int vmc_engine_refresh_stats(void);

/* The arenas of MEMKIND_DEFAULT are those with numbers below this. */
unsigned vmc_engine_default_arenas(void);

/*
 * jemalloc's threads that give memory back: run, or stop. At most limit, above
 * zero, or as many as it can have.
 */
int vmc_engine_background(bool run);
int vmc_engine_background_limit(size_t limit);

/* How full the slab of an object is, and all slabs of that size together. */
struct vmc_slab_use {
	size_t free, objects;
	size_t all_free, all_objects;
	bool current; /* new objects come from this very slab */
};

int vmc_engine_slab_use(const void *ptr, struct vmc_slab_use *use);

#endif
