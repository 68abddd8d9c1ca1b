/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * kind.c -- the table of kinds: making, finding, giving up, forking
 *
 * vmc_kinds_lock guards the table, the list of heaps of every kind, and the
 * making of arenas. It is taken when a kind comes or goes and when a thread
 * uses a kind for the first time, never on the way of an allocation that
 * finds its thread's heap. It is held over fork, so that the child finds the
 * table whole; jemalloc's own handlers were registered before ours and run
 * inside of that.
 *
 * After a fork, memory in a shared file belongs to the parent's heap and to
 * the child's copy of it. The child's kind is fenced: allocations fail, what
 * is freed is left alone. The default kind and anonymous ones go on.
 *
 * Finding a kind by an address takes no lock. Most chunks have one owner. A
 * fixed kind may begin and end anywhere; chunks that it has not for itself
 * are marked, and the bounds of all kinds are looked through for them.
 */
#include "kind.h"

#include "depot.h"
#include "engine.h"
#include "heap.h"
#include "pools.h"
#include "settings.h"

#include "base/os.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>

#define PAGE_SHIFT 12

struct memkind vmc_kinds[MEMKIND_MAX_KIND];
struct vmc_lock vmc_kinds_lock = {
	.mutex = PTHREAD_MUTEX_INITIALIZER, .rank = VMC_RANK_KIND};

/*
 * Where each kind's space is, 0 and 0 for none. Written under the lock: version
 * is odd meanwhile, and has changed after it.
 */
static struct {
	_Atomic uint32_t version;
	_Atomic uintptr_t first, end;
} bounds[MEMKIND_MAX_KIND];

/*
 * The stores of set_bounds() release and these loads acquire: who read a bound
 * after the version changed reads a changed version behind it. What changes is
 * not the kind of an address that somebody asks about, whose object is there
 * all the time: look further.
 */
static struct memkind *
find_in_bounds(const void *ptr)
{
	uintptr_t addr = (uintptr_t)ptr;

	for (unsigned i = MEMKIND_MAX_KIND; i-- > 0;) {
		uint32_t version = vmc_load_acquire(&bounds[i].version);
		if (addr < vmc_load_acquire(&bounds[i].end) &&
			addr >= vmc_load_acquire(&bounds[i].first) &&
			version % 2 == 0 &&
			version == vmc_load_relaxed(&bounds[i].version))
			return &vmc_kinds[i];
	}
	return NULL;
}

static void
set_bounds(unsigned i, uintptr_t first, uintptr_t end)
{
	uint32_t version = vmc_load_relaxed(&bounds[i].version);

	vmc_store_relaxed(&bounds[i].version, version + 1);
	vmc_store_release(&bounds[i].first, first);
	vmc_store_release(&bounds[i].end, end);
	vmc_store_release(&bounds[i].version, version + 2);
}

struct memkind *
vmc_kind_of(const void *ptr)
{
	unsigned owner = vmc_map_owner(ptr);

	if (owner == VMC_OWNER_NONE)
		return NULL;
	if (owner < VMC_OWNER_SHARED)
		return &vmc_kinds[owner - 1];
	return find_in_bounds(ptr);
}

/* Chunks that a fixed kind does not fill may be shared with anybody. */
static int
map_user_space(const struct memkind *kind, unsigned owner)
{
	const char *at = kind->space.base, *end = at + kind->space.slice, *next;
	bool whole;
	int err = 0;

	for (; at < end && !err; at = next) {
		next = (char *)(((uintptr_t)at | (VMC_OS_CHUNK - 1)) + 1);
		whole = next <= end && !((uintptr_t)at & (VMC_OS_CHUNK - 1));
		if (whole)
			err = vmc_map_set(at, 1, owner);
		else if (owner != VMC_OWNER_NONE)
			err = vmc_map_set(at, 1, VMC_OWNER_SHARED);
	}
	return err;
}

/* Have the kind's addresses lead to it, or to nobody. */
static int
map_space(struct memkind *kind, unsigned owner)
{
	const struct vmc_space *space = &kind->space;
	uintptr_t first = (uintptr_t)space->base;

	if (owner == VMC_OWNER_NONE)
		set_bounds(kind->number, 0, 0);
	else
		set_bounds(kind->number, first, first + vmc_space_size(space));
	if (space->medium == &vmc_medium_user)
		return map_user_space(kind, owner);
	return vmc_map_set(space->base, vmc_space_size(space), owner);
}

static size_t
page_count(const struct memkind *kind)
{
	return vmc_space_size(&kind->space) >> PAGE_SHIFT;
}

int
vmc_kind_open(struct memkind *kind, const struct vmc_space *space)
{
	int err = -ENOMEM;

	kind->space = *space;
	kind->page_classes = vmc_os_map_anonymous(page_count(kind));
	if (!kind->page_classes)
		goto fail;
	err = map_space(kind, kind->number + 1);
	if (err)
		goto fail;
	vmc_store_relaxed(&kind->space.hoard, vmc_settings()->hoard);
	kind->pools = vmc_settings()->tbb;
	vmc_store_release(&kind->state, VMC_KIND_READY);
	vmc_log("kind %u, %s: %zu bytes at %p for %u arenas", kind->number,
		kind->type->name, vmc_space_size(space), (void *)space->base,
		space->arenas);
	return 0;
fail:
	if (kind->page_classes)
		vmc_os_unmap(kind->page_classes, page_count(kind));
	map_space(kind, VMC_OWNER_NONE);
	vmc_space_destroy(&kind->space);
	return err;
}

/*
 * Is some of this user memory in a kind already? jemalloc has one book for all
 * addresses, so no kind can lie in the memory of another.
 */
static bool
taken(const struct vmc_space *space)
{
	const char *at = space->base, *end = at + space->slice;
	unsigned owner;

	if (space->medium != &vmc_medium_user)
		return false;
	while (at < end) {
		owner = vmc_map_owner(at);
		if (owner != VMC_OWNER_NONE && owner != VMC_OWNER_SHARED)
			return true;
		at = (char *)(((uintptr_t)at | (VMC_OS_CHUNK - 1)) + 1);
	}
	for (unsigned i = MEMKIND_NUM_BASE_KIND; i < MEMKIND_MAX_KIND; i++) {
		if ((uintptr_t)space->base < vmc_load_relaxed(&bounds[i].end) &&
			(uintptr_t)end > vmc_load_relaxed(&bounds[i].first))
			return true;
	}
	return false;
}

int
vmc_kind_create(const struct vmc_kind_type *type, struct vmc_space *space,
	ssize_t decay, struct memkind **created)
{
	struct memkind *kind;
	int err = -EUSERS;

	vmc_kinds_init();
	vmc_lock_acquire(&vmc_kinds_lock);
	if (taken(space)) {
		vmc_lock_release(&vmc_kinds_lock);
		return -EEXIST;
	}
	for (unsigned i = MEMKIND_NUM_BASE_KIND; i < MEMKIND_MAX_KIND; i++) {
		kind = &vmc_kinds[i];
		if (vmc_load_relaxed(&kind->state) != VMC_KIND_FREE)
			continue;
		kind->type = type;
		kind->decay = decay;
		vmc_store_relaxed(&kind->zero_allocs, false);
		err = vmc_kind_open(kind, space);
		*created = kind;
		goto out;
	}
	vmc_space_destroy(space);
out:
	vmc_lock_release(&vmc_kinds_lock);
	return err;
}

void
vmc_kind_destroy(struct memkind *kind)
{
	vmc_lock_acquire(&vmc_kinds_lock);
	vmc_heap_release(kind);
	for (unsigned i = VMC_KIND_ARENAS; i-- > 0;) {
		struct vmc_arena *arena = vmc_load_relaxed(&kind->arenas[i]);
		if (!arena)
			continue;
		vmc_depot_destroy(arena->depot);
		vmc_arena_destroy(arena);
		je_free(arena);
		vmc_store_relaxed(&kind->arenas[i], NULL);
	}
	map_space(kind, VMC_OWNER_NONE);
	vmc_os_unmap(kind->page_classes, page_count(kind));
	vmc_space_destroy(&kind->space);
	vmc_log("kind %u: destroyed", kind->number);
	vmc_store_release(&kind->state, VMC_KIND_FREE);
	vmc_lock_release(&vmc_kinds_lock);
}

int
vmc_kind_prepare(struct memkind *kind)
{
	struct vmc_space space;
	bool may_pass;

	if (vmc_load_relaxed(&kind->state) == VMC_KIND_FREE &&
		kind->number < MEMKIND_NUM_BASE_KIND) {
		kind->type = &vmc_static_types[kind->number];
		kind->decay = VMC_DECAY_MS;
		kind->error = vmc_type_space(kind->type, &space);
		if (!kind->error && vmc_kind_open(kind, &space) < 0)
			kind->error = MEMKIND_ERROR_MALLOC;
		if (kind->error) {
			vmc_log("kind %s: error %d", kind->type->name,
				kind->error);
			may_pass = kind->error == MEMKIND_ERROR_MALLOC ||
				   kind->error == MEMKIND_ERROR_MMAP ||
				   kind->error == MEMKIND_ERROR_MBIND;
			if (may_pass) /* whoever uses it next, tries again */
				return kind->error;
			vmc_store_relaxed(&kind->state, VMC_KIND_FAILED);
		}
	}
	switch (vmc_load_relaxed(&kind->state)) {
	case VMC_KIND_READY:
		return 0;
	case VMC_KIND_FAILED:
		return kind->error;
	default:
		return MEMKIND_ERROR_UNAVAILABLE;
	}
}

/* The arena that the fewest threads have, of these the first. */
static unsigned
least_used(const struct memkind *kind)
{
	unsigned best = 0, fewest = UINT_MAX;

	for (unsigned i = 0; i < kind->space.arenas; i++) {
		const struct vmc_arena *arena =
			vmc_load_relaxed(&kind->arenas[i]);
		unsigned heaps = arena ? arena->heaps : 0;
		if (heaps < fewest) {
			fewest = heaps;
			best = i;
		}
	}
	return best;
}

/*
 * A kind whose nodes depend on the processor has a slice for each node with
 * processors, and a thread stays with the one it was on first.
 */
unsigned
vmc_kind_arena(const struct memkind *kind)
{
	const struct vmc_node_rules *rules = vmc_nodes_here();
	unsigned node = vmc_os_current_node(), slice = 0;

	if (!vmc_type_is_local(kind->type) || !rules)
		return least_used(kind);
	for (unsigned i = 0; i < node && i < VMC_MAX_NODES; i++)
		slice += vmc_node_has(&rules->topology.processors, i);
	return slice < kind->space.slices ? slice : 0;
}

static void
before_fork(void)
{
	vmc_lock_acquire(&vmc_kinds_lock);
	vmc_engine_before_fork();
}

static void
after_fork(void)
{
	vmc_engine_after_fork(false);
	vmc_lock_release(&vmc_kinds_lock);
}

static void
after_fork_in_child(void)
{
	vmc_engine_after_fork(true);
	for (unsigned i = 0; i < MEMKIND_MAX_KIND; i++) {
		struct memkind *kind = &vmc_kinds[i];
		bool shared = kind->space.medium == &vmc_medium_file;
		if (vmc_load_relaxed(&kind->state) != VMC_KIND_READY)
			continue;
		vmc_heap_after_fork(kind, shared);
		if (shared)
			vmc_store_relaxed(&kind->state, VMC_KIND_FENCED);
	}
	vmc_lock_release(&vmc_kinds_lock);
}

static void
init(void)
{
	for (unsigned i = 0; i < MEMKIND_MAX_KIND; i++)
		vmc_kinds[i].number = i;
	if (vmc_settings()->tbb && !vmc_pools_load())
		vmc_settings_reject_manager();
	if (vmc_settings()->wrong)
		vmc_log("%s makes no sense: no kind but the default one can "
			"be used",
			vmc_settings()->wrong);
	vmc_heap_init();
	pthread_atfork(before_fork, after_fork, after_fork_in_child);
}

void
vmc_kinds_init(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, init);
}

static __attribute__((constructor)) void
start(void)
{
	vmc_kinds_init();
}
