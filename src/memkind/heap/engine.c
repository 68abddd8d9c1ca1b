/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * engine.c -- the private jemalloc: its configuration, what it asks of the
 * C library, and its controls as functions
 *
 * utils/build-jemalloc points seven of jemalloc's calls into the C library
 * here. Three would read a configuration that is the host program's business
 * (MALLOC_CONF, /etc/malloc.conf): they find nothing. Two are how its default
 * arenas, which serve MEMKIND_DEFAULT, get and return address space: they enter
 * it into the address map, so that a pointer of the default kind is told from
 * one of the program's malloc. Whole aligned chunks of 2 MiB are mapped for
 * that; the rest beyond the requested size stays unused. The sixth, madvise(2),
 * fails if memory is locked, which jemalloc tolerates, but errno must stay
 * unchanged. The seventh is the registration of jemalloc's fork handlers, which
 * hold all its locks: start.c calls them while it holds our lock, whichever
 * library was started first.
 *
 * Configuration. Huge allocations get no arena of their own, which would keep a
 * second set of free pages. No sbrk: that memory is the program's. retain stays
 * on, see arena.c. No junk, which a debug jemalloc would fill the whole address
 * space of a kind with. Free memory is reused even if the free piece is much
 * larger than the request (the default: at most 64 times as large); otherwise
 * allocations from a kind of limited size could fail although all of it is
 * free. As many as 64 background threads, where jemalloc would have 4 at most:
 * stats.c says how many. madvise(2) is not tried out at the start, which
 * crashed without memory. cache_oblivious was turned off when jemalloc was
 * built: it adds a page to each object of 16 KiB or more.
 *
 * Rejected: hooks on the default arenas. They must be in place before the
 * first allocation of each, so all arenas (4 per processor, 80 KiB each)
 * would have to be made at the start, and arena 0 starts before us anyway.
 */
#include "engine.h"

#include "memkind/space/address_map.h"

#include "base/atomic.h"
#include "base/os.h"

#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>

const char *je_malloc_conf = "oversize_threshold:0,dss:disabled,junk:false,"
			     "lg_extent_max_active_fit:40,trust_madvise:true,"
			     "max_background_threads:64";

char *vmc_engine_getenv(const char *name);
char *vmc_engine_secure_getenv(const char *name);
ssize_t vmc_engine_readlink(const char *path, char *buffer, size_t size);
void *vmc_engine_mmap(void *addr, size_t size, int protection, int flags,
	int fd, off_t offset);
int vmc_engine_munmap(void *addr, size_t size);
int vmc_engine_madvise(void *addr, size_t size, int advice);
int vmc_engine_pthread_atfork(
	void (*before)(void), void (*in_parent)(void), void (*in_child)(void));

char *
vmc_engine_getenv(const char *name)
{
	(void)name;
	return NULL;
}

char *
vmc_engine_secure_getenv(const char *name)
{
	(void)name;
	return NULL;
}

ssize_t
vmc_engine_readlink(const char *path, char *buffer, size_t size)
{
	(void)path;
	(void)buffer;
	(void)size;
	errno = ENOENT;
	return -1;
}

static struct {
	void (*before)(void), (*in_parent)(void), (*in_child)(void);
} at_fork;
static _Atomic bool at_fork_known;
static bool forking; /* from before to after, by the thread that forks */

int
vmc_engine_pthread_atfork(
	void (*before)(void), void (*in_parent)(void), void (*in_child)(void))
{
	at_fork.before = before;
	at_fork.in_parent = in_parent;
	at_fork.in_child = in_child;
	vmc_store_release(&at_fork_known, true);
	return 0;
}

void
vmc_engine_before_fork(void)
{
	forking = vmc_load_acquire(&at_fork_known);
	if (forking)
		at_fork.before();
}

void
vmc_engine_after_fork(bool child)
{
	if (forking && child)
		at_fork.in_child();
	else if (forking)
		at_fork.in_parent();
	forking = false;
}

static _Atomic bool huge_pages;

void
vmc_engine_prefer_huge_pages(void)
{
	vmc_store_relaxed(&huge_pages, true);
}

/* The default arenas fill their chunks, see below. */
static bool
is_of_default(uintptr_t start, uintptr_t end, const void *arg)
{
	(void)end;
	(void)arg;
	return vmc_map_owner((void *)start) == VMC_OWNER_DEFAULT;
}

size_t
vmc_engine_huge_bytes(void)
{
	return vmc_os_huge_bytes(is_of_default, NULL);
}

/* A hint is not worth keeping: an address that is not aligned is no use. */
void *
vmc_engine_mmap(void *addr, size_t size, int protection, int flags, int fd,
	off_t offset)
{
	size_t whole = (size + VMC_OS_CHUNK - 1) & ~(VMC_OS_CHUNK - 1);
	char *space, *start;
	int saved = errno;
	size_t before;

	if (flags & MAP_FIXED)
		return mmap(addr, size, protection, flags, fd, offset);
	if (size > SIZE_MAX / 2) {
		errno = ENOMEM;
		return MAP_FAILED;
	}
	space = mmap(NULL, whole + VMC_OS_CHUNK, protection, flags, fd, offset);
	if (space == MAP_FAILED)
		return MAP_FAILED;
	before = -(uintptr_t)space & (VMC_OS_CHUNK - 1);
	start = space + before;
	if (before)
		munmap(space, before);
	if (before < VMC_OS_CHUNK)
		munmap(start + whole, VMC_OS_CHUNK - before);
	/*
	 * Else as the system does it. Not for a single chunk, with which each
	 * arena begins, and for its metadata: there is an arena for every few
	 * threads, and most of what they begin with is never used. Nor for the
	 * last chunk, where jemalloc does not use all of it: the rest of a huge
	 * page would take memory as well.
	 */
	if (vmc_load_relaxed(&huge_pages) && size > VMC_OS_CHUNK)
		madvise(start, size & ~(VMC_OS_CHUNK - 1), MADV_HUGEPAGE);
	errno = saved;
	if (vmc_map_set(start, whole, &vmc_map_default, 0) < 0) {
		munmap(start, whole);
		errno = ENOMEM;
		return MAP_FAILED;
	}
	return start;
}

/*
 * With retain jemalloc unmaps only what an alignment above the chunk's size
 * left over. A chunk that goes in part keeps its owner, because the rest of it
 * is still ours.
 */
int
vmc_engine_munmap(void *addr, size_t size)
{
	uintptr_t mask = VMC_OS_CHUNK - 1;
	uintptr_t first = ((uintptr_t)addr + mask) & ~mask;
	uintptr_t end = ((uintptr_t)addr + size) & ~mask;

	if (first < end)
		vmc_map_set((void *)first, end - first, NULL, 0);
	return munmap(addr, size);
}

int
vmc_engine_madvise(void *addr, size_t size, int advice)
{
	int saved = errno;
	int result = madvise(addr, size, advice);

	errno = saved;
	return result;
}

int
vmc_engine_arena_create(extent_hooks_t *hooks, unsigned *arena)
{
	size_t size = sizeof(*arena);

	return -je_mallctl(
		"arenas.create", arena, &size, &hooks, sizeof(hooks));
}

static int
arena_control(unsigned arena, const char *name, void *value, size_t size)
{
	char path[64];

	snprintf(path, sizeof(path), "arena.%u.%s", arena, name);
	return -je_mallctl(path, NULL, NULL, value, size);
}

void
vmc_engine_arena_destroy(unsigned arena)
{
	arena_control(arena, "destroy", NULL, 0);
}

int
vmc_engine_arena_decay(unsigned arena, ssize_t milliseconds)
{
	int r = arena_control(
		arena, "dirty_decay_ms", &milliseconds, sizeof(milliseconds));

	return r ? r
		 : arena_control(arena, "muzzy_decay_ms", &(ssize_t){0},
			   sizeof(ssize_t));
}

void
vmc_engine_arena_tick(unsigned arena)
{
	arena_control(arena, "decay", NULL, 0);
}

void
vmc_engine_arena_purge(unsigned arena)
{
	arena_control(arena, "purge", NULL, 0);
}

void
vmc_engine_give_back(void)
{
	unsigned count = vmc_engine_default_arenas();

	je_mallctl("thread.tcache.flush", NULL, NULL, NULL, 0);
	for (unsigned i = 0; i < count; i++)
		vmc_engine_arena_purge(i);
}

size_t
vmc_engine_large_pad(void)
{
	bool pads = false;
	size_t size = sizeof(pads);

	je_mallctl("config.cache_oblivious", &pads, &size, NULL, 0);
	return pads ? vmc_os_page_size() : 0;
}

int
vmc_engine_tcache_create(unsigned *tcache)
{
	size_t size = sizeof(*tcache);

	return -je_mallctl("tcache.create", tcache, &size, NULL, 0);
}

void
vmc_engine_tcache_flush(unsigned tcache)
{
	je_mallctl("tcache.flush", NULL, NULL, &tcache, sizeof(tcache));
}

void
vmc_engine_tcache_destroy(unsigned tcache)
{
	je_mallctl("tcache.destroy", NULL, NULL, &tcache, sizeof(tcache));
}

int
vmc_engine_stat(const char *name, size_t *value)
{
	size_t size = sizeof(*value);

	return -je_mallctl(name, value, &size, NULL, 0);
}

int
vmc_engine_arena_stat(unsigned arena, const char *name, size_t *value)
{
	char path[96];

	snprintf(path, sizeof(path), "stats.arenas.%u.%s", arena, name);
	return vmc_engine_stat(path, value);
}

const uint64_t *
vmc_engine_freed_by_thread(void)
{
	const uint64_t *freed = NULL;
	size_t size = sizeof(freed);

	je_mallctl("thread.deallocatedp", &freed, &size, NULL, 0);
	return freed;
}

int
vmc_engine_refresh_stats(void)
{
	uint64_t epoch = 1;

	return -je_mallctl("epoch", NULL, NULL, &epoch, sizeof(epoch));
}

bool
vmc_engine_arena_is_empty(unsigned arena)
{
	size_t small, large;

	return vmc_engine_refresh_stats() == 0 &&
	       vmc_engine_arena_stat(arena, "small.allocated", &small) == 0 &&
	       vmc_engine_arena_stat(arena, "large.allocated", &large) == 0 &&
	       small == 0 && large == 0;
}

unsigned
vmc_engine_default_arenas(void)
{
	unsigned count = 0;
	size_t size = sizeof(count);

	return je_mallctl("opt.narenas", &count, &size, NULL, 0) == 0 ? count
								      : 0;
}

int
vmc_engine_background(bool run)
{
	return -je_mallctl("background_thread", NULL, NULL, &run, sizeof(run));
}

int
vmc_engine_background_limit(size_t limit)
{
	size_t most, size = sizeof(most);
	int err =
		je_mallctl("opt.max_background_threads", &most, &size, NULL, 0);

	if (!err && limit > most)
		limit = most;
	return err ? -err
		   : -je_mallctl("max_background_threads", NULL, NULL, &limit,
			     sizeof(limit));
}

int
vmc_engine_slab_use(const void *ptr, struct vmc_slab_use *use)
{
	/* what jemalloc answers, in this order */
	struct {
		char *current;
		size_t free, objects, size, all_free, all_objects;
	} answer;
	size_t size = sizeof(answer);
	int err = je_mallctl("experimental.utilization.query", &answer, &size,
		&ptr, sizeof(ptr));

	if (err)
		return -err;
	*use = (struct vmc_slab_use){.free = answer.free,
		.objects = answer.objects,
		.all_free = answer.all_free,
		.all_objects = answer.all_objects,
		.current = answer.current &&
			   (const char *)ptr >= answer.current &&
			   (const char *)ptr < answer.current + answer.size};
	return 0;
}
