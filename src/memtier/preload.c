/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * preload.c -- libmemtier: the program's malloc() is a heap on tiers
 *
 * The environment defines the tiers (variables.c). It is read at the first call
 * at which there is an environment, which may be long before constructors run.
 * Until the tiers exist, the C library serves all calls: those before, those
 * made while the tiers are created, and those of other threads meanwhile. If
 * the tiers cannot be created, it serves for ever:
 *
 *     NOT_YET --one thread--> STARTING --+--> tiers
 *                                        +--> none: the C library's
 *
 * The address of an object tells where it is from: a kind, or the C library.
 *
 * If a tier is full, an allocation fails only if no other tier has memory. In a
 * child of a fork, a file that it shares with its parent neither gives nor
 * takes back memory; what is left then is the C library.
 *
 * Nothing here waits or takes a lock. Objects are the heap's from the moment at
 * which tiers is published, by the release that the acquire of each call pairs
 * with.
 *
 * Rejected: aborting if the environment is invalid, as memkind 1.14 does. One
 * of many processes that inherit it would then end a build, or a boot.
 */
#include "inside.h"
#include "memkind_memtier.h"
#include "variables.h"

#include "base/atomic.h"
#include "base/cancel.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#pragma GCC visibility push(default)
/* The C library's, under names that nobody takes the place of. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *ptr, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
void __libc_free(void *ptr);

void *malloc(size_t size);
void *calloc(size_t count, size_t size);
void *realloc(void *ptr, size_t size);
void free(void *ptr);
int posix_memalign(void **result, size_t alignment, size_t size);
void *aligned_alloc(size_t alignment, size_t size);
void *memalign(size_t alignment, size_t size);
void *valloc(size_t size);
void *pvalloc(size_t size);
size_t malloc_usable_size(void *ptr);
#pragma GCC visibility pop

#define likely(x) __builtin_expect(!!(x), 1)

extern char **environ; /* NULL until the C library has started */

enum { NOT_YET = 0, STARTING, DONE };
static _Atomic int state;
static struct memtier_memory *_Atomic tiers;
/* immutable once tiers are there: what they are made of */
static memkind_t kinds[VMC_TIERS_MOST];
static unsigned kind_count;
static _Atomic bool forked;

static void
complain(const char *message, bool strict)
{
	char line[512];
	int n = snprintf(line, sizeof(line), "libmemtier: %.380s: %s\n",
		message,
		strict ? "the program ends (MEMKIND_MEM_TIERS_STRICT=1)"
		       : "the program runs on plain malloc");

	/* what cannot be told is lost */
	if (n > 0 && write(STDERR_FILENO, line, (size_t)n) < 0)
		errno = 0;
	if (strict)
		_exit(1);
}

static void
make_tiers(void)
{
	static struct vmc_tiers wanted; /* large; one thread is here, once */
	const char *strict = secure_getenv("MEMKIND_MEM_TIERS_STRICT");
	struct memtier_memory *memory;
	char message[400];

	if (vmc_tiers_parse(&wanted, secure_getenv("MEMKIND_MEM_TIERS"),
		    secure_getenv("MEMKIND_MEM_THRESHOLDS"), message,
		    sizeof(message)) &&
		vmc_tiers_make(
			&wanted, kinds, &memory, message, sizeof(message))) {
		kind_count = wanted.count;
		vmc_store_release(&tiers, memory);
		return;
	}
	complain(message, strict && strcmp(strict, "1") == 0);
}

/* The tiers if they are there now. */
static __attribute__((noinline)) struct memtier_memory *
start(void)
{
	int saved = errno;

	if (!environ || vmc_load_relaxed(&state) != NOT_YET)
		return NULL;
	VMC_NO_CANCEL;
	if (vmc_cas_acq_rel(&state, &(int){NOT_YET}, STARTING)) {
		make_tiers();
		vmc_store_release(&state, DONE);
	}
	errno = saved;
	return vmc_load_acquire(&tiers);
}

static inline struct memtier_memory *
ready(void)
{
	/* acquire: pairs with the release that published them */
	struct memtier_memory *memory = vmc_load_acquire(&tiers);

	return likely(memory != NULL) ? memory : start();
}

/* The tier that was chosen has no memory: any that has. */
static __attribute__((noinline)) void *
take_anywhere(size_t alignment, size_t size)
{
	void *ptr = NULL;

	for (unsigned i = 0; i < kind_count && !ptr; i++)
		if (memtier_kind_posix_memalign(
			    kinds[i], &ptr, alignment, size) != 0)
			ptr = NULL;
	if (!ptr && vmc_load_relaxed(&forked))
		ptr = __libc_memalign(alignment, size);
	if (!ptr)
		errno = ENOMEM;
	return ptr;
}

/* What any object is aligned to. */
#define ALIGNMENT ((size_t)16)

void *
malloc(size_t size)
{
	struct memtier_memory *memory = ready();
	void *ptr;

	if (!memory)
		return __libc_malloc(size);
	size += size == 0;
	ptr = memtier_malloc(memory, size);
	return likely(ptr != NULL) ? ptr : take_anywhere(ALIGNMENT, size);
}

void *
calloc(size_t count, size_t size)
{
	struct memtier_memory *memory = ready();
	size_t bytes;
	void *ptr;

	if (!memory)
		return __libc_calloc(count, size);
	if (__builtin_mul_overflow(count, size, &bytes)) {
		errno = ENOMEM;
		return NULL;
	}
	bytes += bytes == 0;
	ptr = memtier_calloc(memory, 1, bytes);
	if (likely(ptr != NULL))
		return ptr;
	ptr = take_anywhere(ALIGNMENT, bytes);
	return ptr ? memset(ptr, 0, bytes) : NULL;
}

void
free(void *ptr)
{
	if (likely(ptr != NULL))
		memtier_free_or(ptr, __libc_free);
}

void *
realloc(void *ptr, size_t size)
{
	memkind_t kind;
	size_t before;
	void *moved;

	if (!ptr)
		return malloc(size);
	kind = memkind_detect_kind(ptr);
	if (!kind)
		return __libc_realloc(ptr, size);
	moved = memtier_kind_realloc(kind, ptr, size);
	if (likely(moved != NULL) || size == 0)
		return moved;
	/* its own kind has no memory */
	moved = malloc(size);
	if (!moved)
		return NULL;
	before = memkind_malloc_usable_size(kind, ptr);
	memcpy(moved, ptr, before < size ? before : size);
	memtier_kind_free(kind, ptr);
	return moved;
}

/* alignment: a power of two. */
static void *
aligned(size_t alignment, size_t size)
{
	struct memtier_memory *memory = ready();
	void *ptr;

	if (!memory)
		return __libc_memalign(alignment, size);
	if (alignment < ALIGNMENT)
		alignment = ALIGNMENT;
	size += size == 0;
	if (likely(memtier_posix_memalign(memory, &ptr, alignment, size) == 0))
		return ptr;
	return take_anywhere(alignment, size);
}

int
posix_memalign(void **result, size_t alignment, size_t size)
{
	int saved = errno;
	void *ptr;

	if (alignment % sizeof(void *) != 0 || alignment == 0 ||
		(alignment & (alignment - 1)))
		return EINVAL;
	ptr = aligned(alignment, size);
	errno = saved;
	if (!ptr)
		return ENOMEM;
	*result = ptr;
	return 0;
}

/* An alignment that is no power of two is taken for the next one that is. */
void *
memalign(size_t alignment, size_t size)
{
	size_t power = ALIGNMENT;

	if (alignment > SIZE_MAX / 2 + 1) {
		errno = EINVAL;
		return NULL;
	}
	while (power < alignment)
		power *= 2;
	return aligned(power, size);
}

void *
aligned_alloc(size_t alignment, size_t size)
{
	return memalign(alignment, size);
}

void *
valloc(size_t size)
{
	return aligned((size_t)sysconf(_SC_PAGESIZE), size);
}

void *
pvalloc(size_t size)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);

	if (size > SIZE_MAX - page) {
		errno = ENOMEM;
		return NULL;
	}
	return aligned(page, (size + page - 1) & ~(page - 1));
}

size_t
malloc_usable_size(void *ptr)
{
	static size_t (*_Atomic libc)(void *);
	size_t (*theirs)(void *);
	memkind_t kind;

	if (!ptr)
		return 0;
	kind = memkind_detect_kind(ptr);
	if (likely(kind != NULL))
		return memkind_malloc_usable_size(kind, ptr);
	theirs = vmc_load_relaxed(&libc);
	if (!theirs) {
		/* of this function the C library has no second name */
		*(void **)&theirs = dlsym(RTLD_NEXT, "malloc_usable_size");
		vmc_store_relaxed(&libc, theirs);
	}
	return theirs ? theirs(ptr) : 0;
}

/* The thread that was making the tiers may not be there. */
static void
after_fork_in_child(void)
{
	vmc_store_relaxed(&forked, true);
	if (vmc_load_relaxed(&state) == STARTING)
		vmc_store_relaxed(&state, NOT_YET);
}

__attribute__((constructor)) static void
know_of_forks(void)
{
	ready();
	pthread_atfork(NULL, NULL, after_fork_in_child);
}
