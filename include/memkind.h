/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * memkind.h -- memory of a kind: a heap per kind of memory
 *
 * A kind is a handle for memory with certain properties: which NUMA nodes it
 * comes from, which pages back it, or which file or region of the program's
 * it lies in. Every call of the heap takes one as its first argument, and
 * otherwise behaves like the C function it is named after. Source and binary
 * compatible with memkind 1.14.
 *
 * All calls may be made from any thread at any time, except that a kind must
 * not be in use by anybody while it is destroyed. Unless a call says
 * otherwise it returns MEMKIND_SUCCESS or one of the negative codes below;
 * the heap calls report in errno as the C library's do. Manual: memkind(3).
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
	/* this machine does not have the memory, or not in a unique place */
	MEMKIND_ERROR_UNAVAILABLE = -1,
	MEMKIND_ERROR_MBIND = -2,
	MEMKIND_ERROR_MMAP = -3,
	MEMKIND_ERROR_MALLOC = -6,
	/* a MEMKIND_* variable of the environment cannot be understood */
	MEMKIND_ERROR_ENVIRON = -12,
	MEMKIND_ERROR_INVALID = -13,
	MEMKIND_ERROR_TOOMANY = -15,
	MEMKIND_ERROR_BADOPS = -17,
	MEMKIND_ERROR_HUGETLB = -18,
	MEMKIND_ERROR_MEMTYPE_NOT_AVAILABLE = -20,
	MEMKIND_ERROR_OPERATION_FAILED = -21,
	MEMKIND_ERROR_ARENAS_CREATE = -22,
	MEMKIND_ERROR_RUNTIME = -255
};

/*
 * Put the text for a code of this library, or for EINVAL and ENOMEM, into
 * msg, cut to size - 1 bytes. For the code that the thread's latest call of
 * memkind_create_pmem() or memkind_create_pmem_with_config() failed with, the
 * text also says what is wrong with the directory or the size.
 */
void memkind_error_message(int err, char *msg, size_t size);

/* major * 1000000 + minor * 1000 + patch of the interface offered. */
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
 * High-bandwidth memory: of the closest node, of all such nodes, of the
 * closest but with a fallback, in pages of 2 MiB, interleaved.
 */
extern memkind_t MEMKIND_HBW;
extern memkind_t MEMKIND_HBW_ALL;
extern memkind_t MEMKIND_HBW_PREFERRED;
extern memkind_t MEMKIND_HBW_HUGETLB;
extern memkind_t MEMKIND_HBW_ALL_HUGETLB;
extern memkind_t MEMKIND_HBW_PREFERRED_HUGETLB;
extern memkind_t MEMKIND_HBW_INTERLEAVE;

/* The same for persistent memory that the system uses as volatile nodes. */
extern memkind_t MEMKIND_DAX_KMEM;
extern memkind_t MEMKIND_DAX_KMEM_ALL;
extern memkind_t MEMKIND_DAX_KMEM_PREFERRED;
extern memkind_t MEMKIND_DAX_KMEM_INTERLEAVE;

/*
 * The node or nodes of the largest capacity, of all or among the local ones;
 * PREFERRED needs a single one and falls back to others.
 */
extern memkind_t MEMKIND_HIGHEST_CAPACITY;
extern memkind_t MEMKIND_HIGHEST_CAPACITY_PREFERRED;
extern memkind_t MEMKIND_HIGHEST_CAPACITY_LOCAL;
extern memkind_t MEMKIND_HIGHEST_CAPACITY_LOCAL_PREFERRED;

/* The local node that the firmware describes as the fastest. */
extern memkind_t MEMKIND_LOWEST_LATENCY_LOCAL;
extern memkind_t MEMKIND_LOWEST_LATENCY_LOCAL_PREFERRED;
extern memkind_t MEMKIND_HIGHEST_BANDWIDTH_LOCAL;
extern memkind_t MEMKIND_HIGHEST_BANDWIDTH_LOCAL_PREFERRED;

/* Can this kind be allocated from here? */
int memkind_check_available(memkind_t kind);

/*
 * The bytes that the kind can give out at most: of its nodes, its file or
 * file system, its region. -1: unknown, or the kind has no such limit.
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

/* Bits 0 to 7 are the binary logarithm of the page size, 0 for the usual. */
typedef enum memkind_bits_t {
	MEMKIND_MASK_PAGE_SIZE_2MB = 21ull
} memkind_bits_t;

/*
 * The static kind with one of these properties: HIGH_BANDWIDTH with
 * BIND_LOCAL, BIND_ALL, PREFERRED_LOCAL (each with 2 MiB pages if asked) or
 * INTERLEAVE_ALL; DEFAULT with PREFERRED_LOCAL (2 MiB pages if asked); both
 * types with INTERLEAVE_ALL. Anything else is MEMKIND_ERROR_INVALID. Where
 * the machine lacks the memory: MEMKIND_ERROR_MEMTYPE_NOT_AVAILABLE, except
 * that PREFERRED_LOCAL then gives MEMKIND_DEFAULT.
 */
int memkind_create_kind(memkind_memtype_t memtype_flags,
	memkind_policy_t policy, memkind_bits_t flags, memkind_t *kind);

/*
 * A heap in an unnamed file of the directory dir. max_size, at least
 * MEMKIND_PMEM_MIN_SIZE and rounded up to 2 MiB, limits the file; 0: only
 * the file system does. The space behind memory that is handed out is
 * reserved, and given back when it is free again. After a fork the child can
 * read and write what there is, but allocate nothing, and frees nothing; until
 * the parent has ended without a call that allocates or frees there: then the
 * first child that calls one has the kind for its own.
 */
int memkind_create_pmem(const char *dir, size_t max_size, memkind_t *kind);

typedef enum memkind_mem_usage_policy {
	/* free memory stays for reuse for a while */
	MEMKIND_MEM_USAGE_POLICY_DEFAULT = 0,
	/* free memory goes back at once */
	MEMKIND_MEM_USAGE_POLICY_CONSERVATIVE = 1,
	MEMKIND_MEM_USAGE_POLICY_MAX_VALUE
} memkind_mem_usage_policy;

/*
 * The same with its arguments in a record. memkind_config_new() returns NULL
 * if there is no memory; the path is not copied and must outlive the
 * creation. The setters check nothing, the creation does.
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
 * A heap in size bytes at addr, which are the caller's: they must stay valid
 * until the kind is destroyed. MEMKIND_ERROR_INVALID: there is not a whole
 * page, some of it is not mapped, or is the memory of another kind. Where
 * several threads use it, up to a quarter is set apart for them in parts: no
 * object can be larger than the rest then. Memory that is shared with children
 * of a fork (MAP_SHARED) is the parent's, as with memkind_create_pmem().
 */
int memkind_create_fixed(void *addr, size_t size, memkind_t *kind);

/*
 * Give up a created kind with everything allocated from it, by whichever
 * thread. Nothing happens to a static kind.
 */
int memkind_destroy_kind(memkind_t kind);

/*
 * MEMKIND_SUCCESS if the directory is on persistent memory with DAX,
 * MEMKIND_ERROR_MMAP if not, MEMKIND_ERROR_RUNTIME if it cannot be used.
 */
int memkind_check_dax_path(const char *pmem_dir);

/* ---- The heap ------------------------------------------------------- */

/*
 * As malloc(3) and relatives, except that zero bytes are NULL with errno as
 * it was. No memory: NULL and ENOMEM.
 */
void *memkind_malloc(memkind_t kind, size_t size);
void *memkind_calloc(memkind_t kind, size_t num, size_t size);

/* Returns 0, EINVAL or ENOMEM, and leaves errno alone. */
int memkind_posix_memalign(
	memkind_t kind, void **memptr, size_t alignment, size_t size);

/*
 * From here on the kind may be NULL: it is then found by the address, in
 * constant time. ptr must have come from that kind.
 */

/*
 * Zero size frees and returns NULL. A NULL ptr is memkind_malloc(), and with
 * a NULL kind as well an error (EINVAL).
 */
void *memkind_realloc(memkind_t kind, void *ptr, size_t size);
void memkind_free(memkind_t kind, void *ptr);

/* 0 for a NULL ptr. */
size_t memkind_malloc_usable_size(
	memkind_t kind, MEMKIND_MALLOC_USABLE_SIZE_CONST void *ptr);

/*
 * Move the object to where it leaves less of the heap half empty, if there
 * is such a place: its new address, the old one is then free; or NULL.
 */
void *memkind_defrag_reallocate(memkind_t kind, void *ptr);

/* The kind that the byte at ptr belongs to; NULL if it is none's. */
memkind_t memkind_detect_kind(void *ptr);

/* From now on malloc and calloc of zero bytes give a unique pointer, or not. */
void memkind_set_allow_zero_allocs(memkind_t kind, bool allow_zero_allocs);

/* ---- Statistics ----------------------------------------------------- */

typedef enum memkind_stat_type {
	/* bytes of memory that hold something or are kept for reuse */
	MEMKIND_STAT_TYPE_RESIDENT = 0,
	/* bytes of pages with an allocation in them */
	MEMKIND_STAT_TYPE_ACTIVE = 1,
	/* bytes allocated */
	MEMKIND_STAT_TYPE_ALLOCATED = 2,
	MEMKIND_STAT_TYPE_MAX_VALUE
} memkind_stat_type;

/* What memkind_get_stat() reports is as of the last call of this. */
int memkind_update_cached_stats(void);

/* For a NULL kind the sum over the process. */
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

/* Hand the allocator's report to write_cb in pieces; NULL: standard error. */
int memkind_stats_print(void (*write_cb)(void *, const char *), void *cbopaque,
	memkind_stat_print_opt opts);

/* Let threads of the library's own give free memory back, or stop them. */
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
