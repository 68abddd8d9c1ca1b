/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * memkind_memtier.h -- one heap on several kinds, each of which gets its share
 *
 * The interface of memkind 1.14. A builder lists the kinds (tiers) and the
 * ratio of the bytes to be allocated in them. It constructs a heap that chooses
 * the kind of each allocation so that the ratio holds.
 * libmemtier(3) is the manual, and libmemtier(7) that of the library that puts
 * a whole program on such a heap.
 *
 * Every call may be made by several threads at once, except calls on one
 * builder. Any thread may free memory.
 */
#ifndef VMC_MEMKIND_MEMTIER_H
#define VMC_MEMKIND_MEMTIER_H

#include "memkind.h"

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

#pragma GCC visibility push(default)

struct memtier_builder;
struct memtier_memory;

/* How the kind of an allocation is chosen. */
typedef enum memtier_policy_t {
	/* the one that is furthest behind its share */
	MEMTIER_POLICY_STATIC_RATIO = 0,
	/*
	 * by size: below a threshold the one kind, from there on the next,
	 * and the threshold moves so that the ratio holds; two kinds at least
	 */
	MEMTIER_POLICY_DYNAMIC_THRESHOLD = 1,
	MEMTIER_POLICY_MAX_VALUE
} memtier_policy_t;

/* NULL, errno: EINVAL (no such policy), ENOMEM. */
struct memtier_builder *memtier_builder_new(memtier_policy_t policy);
/* NULL is ignored. */
void memtier_builder_delete(struct memtier_builder *builder);
/*
 * Adds the next tier: a kind, and its part of the ratio. With 0 the tier gets
 * nothing. The kind must exist until the heap has been deleted.
 *
 * Returns 0, or -1: an argument is NULL, or the kind has been added before.
 */
int memtier_builder_add_tier(
	struct memtier_builder *builder, memkind_t kind, unsigned kind_ratio);
/*
 * Sets a property of the policy. val: a size_t for thresholds[ID].val, .min and
 * .max, an unsigned for check_cnt, a float for trigger and degree, each after
 * "policy.dynamic_threshold.".
 *
 * Returns 0, or -1: no such property, or not one of this policy, or of a
 * threshold that is not between two tiers added before; or an argument is NULL.
 */
int memtier_ctl_set(
	struct memtier_builder *builder, const char *name, const void *val);
/*
 * Returns a heap on the tiers of the builder, which is not changed and may be
 * deleted.
 *
 * NULL, errno: EINVAL (too few tiers for the policy, thresholds outside of
 * their bounds or not in order, a negative trigger or degree), ENOMEM.
 */
struct memtier_memory *memtier_builder_construct_memtier_memory(
	struct memtier_builder *builder);
/* Objects of the heap stay allocated. NULL is ignored. */
void memtier_delete_memtier_memory(struct memtier_memory *memory);

/*
 * As the calls of memkind.h: on the kind that the policy chooses, or on the
 * kind given. Zero bytes return NULL. An allocation with memory or kind NULL
 * fails with EINVAL.
 */
void *memtier_malloc(struct memtier_memory *memory, size_t size);
void *memtier_kind_malloc(memkind_t kind, size_t size);
void *memtier_calloc(struct memtier_memory *memory, size_t num, size_t size);
void *memtier_kind_calloc(memkind_t kind, size_t num, size_t size);
/* Reallocate within the object's kind; without memory nothing is changed. */
void *memtier_realloc(struct memtier_memory *memory, void *ptr, size_t size);
void *memtier_kind_realloc(memkind_t kind, void *ptr, size_t size);
int memtier_posix_memalign(struct memtier_memory *memory, void **memptr,
	size_t alignment, size_t size);
int memtier_kind_posix_memalign(
	memkind_t kind, void **memptr, size_t alignment, size_t size);
size_t memtier_usable_size(void *ptr);
/* kind NULL: it is found by the address; an object of no kind is free()d. */
void memtier_kind_free(memkind_t kind, void *ptr);

static inline void
memtier_free(void *ptr)
{
	memtier_kind_free(NULL, ptr);
}

/*
 * Bytes, as memtier_usable_size() counts them, that calls of this header have
 * allocated in the kind and not freed, by all threads: exact if none of them is
 * in the middle of such a call.
 */
size_t memtier_kind_allocated_size(memkind_t kind);

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif

#endif
