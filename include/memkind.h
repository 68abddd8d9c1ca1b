/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * memkind.h -- heaps for kinds of memory
 *
 * A kind is a heap whose memory has certain properties: the NUMA nodes that it
 * comes from, the size of its pages, or the file or region of the program that
 * it is in. Each heap call takes a kind as its first argument, and otherwise
 * behaves like the C function that it is named after. Compatible with memkind
 * 1.14 in source and binary form. Manual: memkind(3).
 *
 * All calls may be made from any thread at any time, with one exception: no
 * thread may use a kind while it is destroyed. A call returns MEMKIND_SUCCESS
 * or one of the negative codes below, unless it says otherwise; the heap calls
 * report in errno, as the C library's do.
 */
#ifndef VMC_MEMKIND_H
#define VMC_MEMKIND_H

#include <stdbool.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A program may define it to const where its C library's malloc.h has it. */
#ifndef MEMKIND_MALLOC_USABLE_SIZE_CONST
#define MEMKIND_MALLOC_USABLE_SIZE_CONST
#endif

#pragma GCC visibility push(default)

typedef struct memkind *memkind_t;
struct memkind_config;

enum memkind_const {
	MEMKIND_MAX_KIND = 512,
	/* room that any message of memkind_error_message() fits in */
	MEMKIND_ERROR_MESSAGE_SIZE = 128,
	/* the smallest limit that a PMEM kind can have */
	MEMKIND_PMEM_MIN_SIZE = 16 * 1024 * 1024
};

enum {
	MEMKIND_SUCCESS = 0,
	/* the machine has no such node, or several nodes are equally close and
	 * the kind needs a single one */
	MEMKIND_ERROR_UNAVAILABLE = -1,
	/* memory cannot be bound to nodes: mbind(2) is refused */
	MEMKIND_ERROR_MBIND = -2,
	/* memory cannot be mapped; of memkind_check_dax_path(): the directory
	 * has no DAX */
	MEMKIND_ERROR_MMAP = -3,
	/* there is no memory */
	MEMKIND_ERROR_MALLOC = -6,
	/* a MEMKIND_* variable of the environment cannot be understood */
	MEMKIND_ERROR_ENVIRON = -12,
	/* an argument is invalid, or the directory cannot be used */
	MEMKIND_ERROR_INVALID = -13,
	/* there are MEMKIND_MAX_KIND kinds, the static ones included */
	MEMKIND_ERROR_TOOMANY = -15,
	/* not returned; memkind 1.14 has it */
	MEMKIND_ERROR_BADOPS = -17,
	/* the system's pool of huge pages is empty */
	MEMKIND_ERROR_HUGETLB = -18,
	/* no node has memory of that type, or nothing tells which node has */
	MEMKIND_ERROR_MEMTYPE_NOT_AVAILABLE = -20,
	/* statistics or background threads: the allocator has none */
	MEMKIND_ERROR_OPERATION_FAILED = -21,
	/* not returned; memkind 1.14 has it */
	MEMKIND_ERROR_ARENAS_CREATE = -22,
	/* any other failure */
	MEMKIND_ERROR_RUNTIME = -255
};

/*
 * Stores the text for a code of this library, or for EINVAL and ENOMEM, in msg,
 * cut to size - 1 bytes. For the code that the thread's latest call of
 * memkind_create_pmem() or memkind_create_pmem_with_config() failed with, the
 * text also says what is wrong with the directory or the size.
 */
void memkind_error_message(int err, char *msg, size_t size);

/* Returns major * 1000000 + minor * 1000 + patch of the version of memkind
 * whose interface this is. */
int memkind_get_version(void);

/* ---- Kinds ---------------------------------------------------------- */

/* The memory of the process, without any policy. */
extern memkind_t MEMKIND_DEFAULT;

/* Nodes that have processors. */
extern memkind_t MEMKIND_REGULAR;

/* Pages of 2 MiB from the pool of huge pages; sizes are rounded up. */
extern memkind_t MEMKIND_HUGETLB;

/* Interleaved over all nodes, without transparent huge pages. */
extern memkind_t MEMKIND_INTERLEAVE;

/*
 * High-bandwidth memory. HBW: of the closest such node. _ALL: of any such node.
 * _PREFERRED: of the closest such node, then of other nodes. _INTERLEAVE: of
 * all such nodes, page by page. _HUGETLB: in pages of 2 MiB.
 */
extern memkind_t MEMKIND_HBW;
extern memkind_t MEMKIND_HBW_ALL;
extern memkind_t MEMKIND_HBW_PREFERRED;
extern memkind_t MEMKIND_HBW_HUGETLB;
extern memkind_t MEMKIND_HBW_ALL_HUGETLB;
extern memkind_t MEMKIND_HBW_PREFERRED_HUGETLB;
extern memkind_t MEMKIND_HBW_INTERLEAVE;

/* The same of persistent or CXL memory that the system uses as memory nodes. */
extern memkind_t MEMKIND_DAX_KMEM;
extern memkind_t MEMKIND_DAX_KMEM_ALL;
extern memkind_t MEMKIND_DAX_KMEM_PREFERRED;
extern memkind_t MEMKIND_DAX_KMEM_INTERLEAVE;

/*
 * The node or nodes of the largest capacity. _LOCAL: among those close to the
 * processor. _PREFERRED: a single such node, then other nodes; not available if
 * several are equally large.
 */
extern memkind_t MEMKIND_HIGHEST_CAPACITY;
extern memkind_t MEMKIND_HIGHEST_CAPACITY_PREFERRED;
extern memkind_t MEMKIND_HIGHEST_CAPACITY_LOCAL;
extern memkind_t MEMKIND_HIGHEST_CAPACITY_LOCAL_PREFERRED;

/* The node close to the processor that the firmware describes as the fastest.
 */
extern memkind_t MEMKIND_LOWEST_LATENCY_LOCAL;
extern memkind_t MEMKIND_LOWEST_LATENCY_LOCAL_PREFERRED;
extern memkind_t MEMKIND_HIGHEST_BANDWIDTH_LOCAL;
extern memkind_t MEMKIND_HIGHEST_BANDWIDTH_LOCAL_PREFERRED;

/* Returns MEMKIND_SUCCESS if memory of the kind can be allocated on this
 * machine, by this process. */
int memkind_check_available(memkind_t kind);

/*
 * Returns the capacity in bytes of the nodes, the file, the file system or the
 * region that the kind's memory is from. -1: unknown, or the kind falls back to
 * other memory.
 */
ssize_t memkind_get_capacity(memkind_t kind);

/* ---- Kinds of the program's own ------------------------------------- */

typedef enum memkind_memtype_t {
	MEMKIND_MEMTYPE_DEFAULT = 1ull << 0,
	MEMKIND_MEMTYPE_HIGH_BANDWIDTH = 1ull << 1
} memkind_memtype_t;

typedef enum memkind_policy_t {
	MEMKIND_POLICY_BIND_LOCAL = 0,
	MEMKIND_POLICY_BIND_ALL,
	MEMKIND_POLICY_PREFERRED_LOCAL,
	MEMKIND_POLICY_INTERLEAVE_LOCAL,
	MEMKIND_POLICY_INTERLEAVE_ALL,
	MEMKIND_POLICY_MAX_VALUE
} memkind_policy_t;

/* Bits 0 to 7 are the binary logarithm of the page size; 0: base pages, 4 KiB.
 */
typedef enum memkind_bits_t {
	MEMKIND_MASK_PAGE_SIZE_2MB = 21ull
} memkind_bits_t;

/*
 * Stores in *kind the static kind that has these properties; it need not be
 * destroyed. Combinations:
 *
 *   HIGH_BANDWIDTH             BIND_LOCAL, BIND_ALL or PREFERRED_LOCAL, each
 *                              also with 2 MiB pages; INTERLEAVE_ALL
 *   DEFAULT                    PREFERRED_LOCAL, also with 2 MiB pages
 *   HIGH_BANDWIDTH | DEFAULT   INTERLEAVE_ALL
 *
 * MEMKIND_ERROR_INVALID: another combination.
 * MEMKIND_ERROR_MEMTYPE_NOT_AVAILABLE: the machine has no such memory; except
 * with PREFERRED_LOCAL, for which *kind is MEMKIND_DEFAULT then.
 */
int memkind_create_kind(memkind_memtype_t memtype_flags,
	memkind_policy_t policy, memkind_bits_t flags, memkind_t *kind);

/*
 * Creates a heap in an unnamed file in the directory dir. max_size limits the
 * file, in bytes: at least MEMKIND_PMEM_MIN_SIZE, rounded up to 2 MiB; 0 means
 * that only the file system limits it. File space is reserved before an
 * allocation returns, and returned to the file system some time after memory is
 * freed; see the policies below.
 *
 * After a fork(2) the child can read and write the objects, but its allocations
 * fail and its frees do nothing. Exception: if the parent has ended without a
 * call that allocates or frees in the kind since the fork, the first child that
 * makes such a call owns the kind.
 *
 * MEMKIND_ERROR_INVALID: an argument is invalid, or the directory cannot be
 * used; memkind_error_message() says why. MEMKIND_ERROR_MALLOC,
 * MEMKIND_ERROR_TOOMANY.
 */
int memkind_create_pmem(const char *dir, size_t max_size, memkind_t *kind);

typedef enum memkind_mem_usage_policy {
	/* file space that stays free for 5 s is returned */
	MEMKIND_MEM_USAGE_POLICY_DEFAULT = 0,
	/* file space is returned when it is freed */
	MEMKIND_MEM_USAGE_POLICY_CONSERVATIVE = 1,
	MEMKIND_MEM_USAGE_POLICY_MAX_VALUE
} memkind_mem_usage_policy;

/*
 * memkind_create_pmem() with its arguments in a record. memkind_config_new()
 * returns NULL if there is no memory. The path is not copied: it must be valid
 * until the kind is created. The setters check nothing;
 * memkind_create_pmem_with_config() does.
 */
struct memkind_config *memkind_config_new(void);
void memkind_config_delete(struct memkind_config *cfg);
void memkind_config_set_path(struct memkind_config *cfg, const char *pmem_dir);
void memkind_config_set_size(struct memkind_config *cfg, size_t pmem_size);
void memkind_config_set_memory_usage_policy(
	struct memkind_config *cfg, memkind_mem_usage_policy policy);
int memkind_create_pmem_with_config(
	struct memkind_config *cfg, memkind_t *kind);

/*
 * Creates a heap in the size bytes at addr. They belong to the caller, and must
 * stay valid until the kind is destroyed. For each further thread that uses the
 * kind, the library splits off a part of the region: at most one per processor,
 * and a quarter of the region in all. Any thread can use every part, but an
 * object cannot be larger than what is not split off; empty parts are joined
 * to the rest again when that is needed. Memory that is shared with
 * children of a fork (MAP_SHARED) belongs to the parent, as with
 * memkind_create_pmem().
 *
 * MEMKIND_ERROR_INVALID: the region has no whole page, is not mapped, or
 * overlaps with the memory of another kind. MEMKIND_ERROR_MALLOC,
 * MEMKIND_ERROR_TOOMANY.
 */
int memkind_create_fixed(void *addr, size_t size, memkind_t *kind);

/*
 * Destroys a created kind, and frees everything that any thread has allocated
 * from it. Does nothing to a static kind.
 */
int memkind_destroy_kind(memkind_t kind);

/*
 * MEMKIND_SUCCESS if the directory is on persistent memory with DAX,
 * MEMKIND_ERROR_MMAP if not, MEMKIND_ERROR_RUNTIME if it cannot be used.
 */
int memkind_check_dax_path(const char *pmem_dir);

/* ---- The heap ------------------------------------------------------- */

/*
 * As malloc(3) and calloc(3). An allocation of zero bytes returns NULL and
 * leaves errno unchanged, unless memkind_set_allow_zero_allocs() was called for
 * the kind. Without memory they return NULL and set errno to ENOMEM.
 */
void *memkind_malloc(memkind_t kind, size_t size);
void *memkind_calloc(memkind_t kind, size_t num, size_t size);

/* Returns 0, EINVAL or ENOMEM, and leaves errno alone. */
int memkind_posix_memalign(
	memkind_t kind, void **memptr, size_t alignment, size_t size);

/*
 * The kind of the following calls may be NULL: they then find it by the
 * address, in constant time. ptr must have come from that kind.
 */

/*
 * As realloc(3). A size of zero frees and returns NULL. If ptr is NULL, as
 * memkind_malloc(); if kind is NULL as well, fails with EINVAL.
 */
void *memkind_realloc(memkind_t kind, void *ptr, size_t size);
void memkind_free(memkind_t kind, void *ptr);

/* Returns how many bytes at ptr may be used; 0 if ptr is NULL. */
size_t memkind_malloc_usable_size(
	memkind_t kind, MEMKIND_MALLOC_USABLE_SIZE_CONST void *ptr);

/*
 * Moves a small object out of a group of objects that is emptier than such
 * groups are on average. Returns the new address, and the old one is free; or
 * NULL if the object stays where it is.
 */
void *memkind_defrag_reallocate(memkind_t kind, void *ptr);

/* Returns the kind whose memory the byte at ptr is; NULL if it is of none. */
memkind_t memkind_detect_kind(void *ptr);

/* Sets whether memkind_malloc() and memkind_calloc() of zero bytes return a
 * unique pointer; at first they return NULL. */
void memkind_set_allow_zero_allocs(memkind_t kind, bool allow_zero_allocs);

/* ---- Statistics ----------------------------------------------------- */

typedef enum memkind_stat_type {
	/* bytes of memory in use or kept for reuse; huge pages count whole */
	MEMKIND_STAT_TYPE_RESIDENT = 0,
	/* bytes of pages with an allocation in them */
	MEMKIND_STAT_TYPE_ACTIVE = 1,
	/* bytes allocated */
	MEMKIND_STAT_TYPE_ALLOCATED = 2,
	MEMKIND_STAT_TYPE_MAX_VALUE
} memkind_stat_type;

/* Updates the figures that memkind_get_stat() returns. */
int memkind_update_cached_stats(void);

/* Stores the figure in *value; if kind is NULL, that of the whole process. */
int memkind_get_stat(memkind_t kind, memkind_stat_type stat, size_t *value);

typedef enum memkind_stat_print_opt {
	MEMKIND_STAT_PRINT_ALL = 0,
	MEMKIND_STAT_PRINT_JSON_FORMAT = 1U << 0,
	MEMKIND_STAT_PRINT_OMIT_GENERAL = 1U << 1,
	MEMKIND_STAT_PRINT_OMIT_MERGED_ARENA = 1U << 2,
	MEMKIND_STAT_PRINT_OMIT_DESTROYED_MERGED_ARENA = 1U << 3,
	MEMKIND_STAT_PRINT_OMIT_PER_ARENA = 1U << 4,
	MEMKIND_STAT_PRINT_OMIT_PER_SIZE_CLASS_BINS = 1U << 5,
	MEMKIND_STAT_PRINT_OMIT_PER_SIZE_CLASS_LARGE = 1U << 6,
	MEMKIND_STAT_PRINT_OMIT_MUTEX = 1U << 7,
	MEMKIND_STAT_PRINT_OMIT_EXTENT = 1U << 8,
} memkind_stat_print_opt;

/* Passes the allocator's report to write_cb in pieces, with cbopaque; if
 * write_cb is NULL, prints it to standard error. */
int memkind_stats_print(void (*write_cb)(void *, const char *), void *cbopaque,
	memkind_stat_print_opt opts);

/*
 * Updates the cached statistics, and passes them to write_cb as text that
 * Prometheus reads: memkind_resident_bytes, memkind_active_bytes and
 * memkind_allocated_bytes of each kind that has been used, with its name and
 * its number as labels. If write_cb is NULL, prints it to standard error. Not
 * in memkind 1.14.
 */
int memkind_stats_print_prometheus(
	void (*write_cb)(void *, const char *), void *cbopaque);

/* Starts threads of the library that return free memory to the system, or with
 * false stops them. */
int memkind_set_bg_threads(bool state);

/*
 * A program may define functions named after a heap call with _pre or _post
 * appended; they are then called before and after it, see memkind(3).
 */

#include "memkind_deprecated.h"

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif

#endif
