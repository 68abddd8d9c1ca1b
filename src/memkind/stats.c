/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * stats.c -- what the kinds use, and moving objects to use less
 *
 * jemalloc counts for each arena and publishes its counts as one snapshot when
 * it is told to; what is read here is that snapshot. Objects in a thread's
 * caches count as allocated there. The thread that asks for a snapshot
 * returns its own first, so that a program of one thread sees exactly what it
 * holds; the caches of other threads cannot be looked into.
 *
 * Of pools of libtbbmalloc nothing is known.
 *
 * Nothing here is called on the way of an allocation. Arenas are listed under
 * vmc_kinds_lock.
 */
#include "heap/engine.h"
#include "heap/heap.h"
#include "heap/recall.h"
#include "heap/start.h"
#include "topology/settings.h"

#include "base/cancel.h"
#include "base/os.h"

#include <string.h>

int
memkind_update_cached_stats(void)
{
	int saved = errno;

	if (vmc_settings()->tbb)
		return MEMKIND_ERROR_OPERATION_FAILED;
	vmc_heap_return_caches();
	/* no arena is made meanwhile: either both have a part, or neither */
	vmc_lock_acquire(&vmc_kinds_lock);
	int err = vmc_engine_refresh_stats();
	vmc_lock_release(&vmc_kinds_lock);
	return vmc_keep_errno(
		err == 0 ? MEMKIND_SUCCESS : MEMKIND_ERROR_OPERATION_FAILED,
		saved);
}

static size_t
arena_stat(unsigned arena, memkind_stat_type stat)
{
	size_t a = 0, b = 0;

	/* an arena younger than the snapshot has none: zero */
	switch (stat) {
	case MEMKIND_STAT_TYPE_RESIDENT:
		vmc_engine_arena_stat(arena, "resident", &a);
		return a;
	case MEMKIND_STAT_TYPE_ACTIVE:
		vmc_engine_arena_stat(arena, "pactive", &a);
		return a * vmc_os_page_size();
	default:
		vmc_engine_arena_stat(arena, "small.allocated", &a);
		vmc_engine_arena_stat(arena, "large.allocated", &b);
		return a + b;
	}
}

/* What the first arena counts for the part of another. */
static size_t
part_stat(const struct vmc_space *space, unsigned arena, memkind_stat_type stat)
{
	size_t mapped = 0;

	vmc_engine_arena_stat(arena, "mapped", &mapped);
	if (mapped == 0) /* in neither snapshot */
		return 0;
	return stat == MEMKIND_STAT_TYPE_ALLOCATED
		       ? space->part
		       : space->part + vmc_engine_large_pad();
}

/* Of all kinds: what is counted twice in the process's sum. */
static size_t
all_parts(memkind_stat_type stat)
{
	size_t sum = 0;

	for (unsigned n = MEMKIND_NUM_BASE_KIND; n < MEMKIND_MAX_KIND; n++) {
		const struct memkind *kind = &vmc_kinds[n];
		if (vmc_load_relaxed(&kind->state) == VMC_KIND_FREE)
			continue;
		for (unsigned i = 0; i < kind->space.arenas; i++) {
			const struct vmc_arena *arena =
				vmc_kind_arena_at(kind, i);
			if (arena && arena->is_part)
				sum += part_stat(
					&kind->space, arena->index, stat);
		}
	}
	return sum;
}

static size_t
default_stat(memkind_stat_type stat)
{
	size_t sum = 0;

	for (unsigned i = 0; i < vmc_engine_default_arenas(); i++)
		sum += arena_stat(i, stat);
	return sum;
}

int
memkind_get_stat(memkind_t kind, memkind_stat_type stat, size_t *value)
{
	static const char *const whole[] = {
		[MEMKIND_STAT_TYPE_RESIDENT] = "stats.resident",
		[MEMKIND_STAT_TYPE_ACTIVE] = "stats.active",
		[MEMKIND_STAT_TYPE_ALLOCATED] = "stats.allocated",
	};

	if (!value || (int)stat < 0 || stat >= MEMKIND_STAT_TYPE_MAX_VALUE)
		return MEMKIND_ERROR_INVALID;
	if (vmc_settings()->tbb && kind != MEMKIND_DEFAULT)
		return MEMKIND_ERROR_OPERATION_FAILED;
	*value = 0;
	VMC_NO_CANCEL;
	if (!kind) {
		if (vmc_engine_stat(whole[stat], value) != 0)
			return MEMKIND_ERROR_OPERATION_FAILED;
		vmc_lock_acquire(&vmc_kinds_lock);
		*value -= all_parts(stat);
		vmc_lock_release(&vmc_kinds_lock);
		return MEMKIND_SUCCESS;
	}
	if (kind == MEMKIND_DEFAULT) {
		*value = default_stat(stat);
		return MEMKIND_SUCCESS;
	}
	vmc_lock_acquire(&vmc_kinds_lock);
	for (unsigned i = 0; i < VMC_KIND_ARENAS; i++) {
		const struct vmc_arena *arena = vmc_kind_arena_at(kind, i);
		if (!arena)
			continue;
		*value += arena_stat(arena->index, stat);
		if (arena->is_part)
			*value -= part_stat(&kind->space, arena->index, stat);
	}
	/* whole pages, of which jemalloc counts only what it uses */
	if (stat == MEMKIND_STAT_TYPE_RESIDENT &&
		kind->space.medium == &vmc_medium_huge)
		*value = vmc_load_relaxed(&kind->space.held);
	vmc_lock_release(&vmc_kinds_lock);
	return MEMKIND_SUCCESS;
}

int
memkind_stats_print(void (*write_cb)(void *, const char *), void *cbopaque,
	memkind_stat_print_opt opts)
{
	/* jemalloc's letters, by the number of the bit */
	static const char letters[] = "Jgmdablxe";
	char text[sizeof(letters)];
	size_t n = 0;

	if ((unsigned)opts >> (sizeof(letters) - 1))
		return MEMKIND_ERROR_INVALID;
	if (vmc_settings()->tbb)
		return MEMKIND_ERROR_OPERATION_FAILED;
	for (unsigned i = 0; letters[i]; i++) {
		if ((unsigned)opts & 1u << i)
			text[n++] = letters[i];
	}
	text[n] = '\0';
	je_malloc_stats_print(write_cb, cbopaque, text);
	return MEMKIND_SUCCESS;
}

int
memkind_set_bg_threads(bool state)
{
	size_t limit = vmc_settings()->background_threads;
	int saved = errno;

	if (limit == 0)
		limit = vmc_os_processor_count();
	if (vmc_settings()->tbb)
		return MEMKIND_ERROR_OPERATION_FAILED;
	VMC_NO_CANCEL; /* stopping waits for them to end */
	if (state && vmc_engine_background_limit(limit) != 0)
		return MEMKIND_ERROR_OPERATION_FAILED;
	return vmc_keep_errno(vmc_engine_background(state) == 0
				      ? MEMKIND_SUCCESS
				      : MEMKIND_ERROR_OPERATION_FAILED,
		saved);
}

/*
 * Worth moving: an object whose slab is emptier than the slabs of its size
 * are on average, unless it is the slab that new objects come from.
 */
static bool
worth_moving(const void *ptr)
{
	struct vmc_slab_use use;

	return vmc_engine_slab_use(ptr, &use) == 0 && use.objects > 1 &&
	       use.free > 0 && use.all_objects > 0 && !use.current &&
	       (use.objects - use.free) * use.all_objects <
		       (use.all_objects - use.all_free) * use.objects;
}

/*
 * Past the threads' caches, which may hold the very objects that keep the
 * slabs from becoming empty.
 */
void *
memkind_defrag_reallocate(memkind_t kind, void *ptr)
{
	size_t size;
	void *moved;

	if (!ptr)
		return NULL;
	if (!kind)
		kind = vmc_kind_of(ptr);
	/* not for a default kind that is the C library's malloc */
	if (!kind || kind->pools || kind != vmc_kind_of(ptr) ||
		!worth_moving(ptr))
		return NULL;
	size = je_sallocx(ptr, 0);
	moved = kind == MEMKIND_DEFAULT ? je_mallocx(size, MALLOCX_TCACHE_NONE)
					: vmc_heap_malloc_uncached(kind, size);
	if (!moved)
		return NULL;
	memcpy(moved, ptr, size);
	if (kind == MEMKIND_DEFAULT)
		je_dallocx(ptr, MALLOCX_TCACHE_NONE);
	else
		vmc_heap_free_uncached(kind, ptr);
	return moved;
}
