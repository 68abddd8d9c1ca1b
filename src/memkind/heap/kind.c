/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * kind.c -- the table of kinds: finding them, and opening them for use
 *
 * vmc_kinds_lock guards the table, the list of heaps of every kind, and the
 * making of arenas. It is taken when a kind comes or goes and when a thread
 * uses a kind for the first time, never on the way of an allocation that
 * finds its thread's heap. It is held over a fork (start.c).
 *
 * Finding a kind by an address takes no lock. Most chunks of 2 MiB belong to
 * one kind. A fixed kind may begin and end anywhere; chunks that it shares are
 * marked, and for these the bounds of all kinds are searched.
 */
#include "kind.h"

#include "pools.h"

#include "memkind/topology/settings.h"

#include "base/cancel.h"
#include "base/os.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>

struct memkind vmc_kinds[MEMKIND_MAX_KIND];
struct vmc_lock vmc_kinds_lock = {
	.mutex = PTHREAD_MUTEX_INITIALIZER, .rank = VMC_RANK_KIND};

/*
 * Where the memory of each fixed kind is, 0 and 0 for none. Written under the
 * lock: version is odd meanwhile, and has changed after it.
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

int
vmc_kind_open(struct memkind *kind, const struct vmc_space *space)
{
	uintptr_t first = (uintptr_t)space->base;
	int err;

	kind->space = *space;
	err = vmc_space_open(&kind->space, kind->number + 1);
	if (err) {
		vmc_space_destroy(&kind->space);
		return err;
	}
	if (space->medium == &vmc_medium_user)
		set_bounds(kind->number, first, first + space->capacity);
	if (vmc_settings()->hoard)
		vmc_store_relaxed(&kind->space.hoard, true);
	kind->pools = vmc_settings()->tbb && vmc_pools_loaded() &&
		      (space->medium == &vmc_medium_anonymous ||
			      space->medium == &vmc_medium_huge);
	vmc_store_release(&kind->state, VMC_KIND_READY);
	vmc_log("Kind %u, memkind_%s: at most %u arenas", kind->number,
		kind->type->name, space->arenas);
	return 0;
}

void
vmc_kind_close(struct memkind *kind)
{
	set_bounds(kind->number, 0, 0);
}

bool
vmc_kind_overlaps(const struct vmc_space *space)
{
	const char *at = space->base, *end;
	unsigned owner;

	if (space->medium != &vmc_medium_user)
		return false;
	end = at + space->capacity;
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
vmc_kind_prepare(struct memkind *kind)
{
	struct vmc_space space;
	bool may_pass;

	if (vmc_load_relaxed(&kind->state) == VMC_KIND_FREE &&
		kind->number < MEMKIND_NUM_BASE_KIND) {
		kind->type = &vmc_static_types[kind->number];
		kind->decay = VMC_DECAY_MS;
		vmc_log("Initializing kind memkind_%s", kind->type->name);
		kind->error = vmc_type_space(kind->type, &space);
		if (!kind->error && vmc_kind_open(kind, &space) < 0)
			kind->error = MEMKIND_ERROR_MALLOC;
		if (kind->error) {
			vmc_log("Kind memkind_%s: error %d", kind->type->name,
				kind->error);
			may_pass = kind->error == MEMKIND_ERROR_MALLOC ||
				   kind->error == MEMKIND_ERROR_MMAP;
			if (may_pass) /* whoever uses it next, tries again */
				return kind->error;
			vmc_store_relaxed(&kind->state, VMC_KIND_FAILED);
		}
	}
	switch (vmc_load_relaxed(&kind->state)) {
	case VMC_KIND_FENCED:
		if (vmc_heritage_claim(&kind->heritage) < 0)
			return MEMKIND_ERROR_UNAVAILABLE;
		vmc_store_release(&kind->state, VMC_KIND_READY);
		vmc_log("kind %u: taken over", kind->number);
		return 0;
	case VMC_KIND_READY:
		return 0;
	case VMC_KIND_FAILED:
		return kind->error;
	default:
		return MEMKIND_ERROR_UNAVAILABLE;
	}
}

bool
vmc_kind_is_ours(struct memkind *kind)
{
	if (vmc_load_acquire(&kind->state) != VMC_KIND_FENCED)
		return true;
	VMC_NO_CANCEL;
	vmc_lock_acquire(&vmc_kinds_lock);
	bool ours = vmc_kind_prepare(kind) == 0;
	vmc_lock_release(&vmc_kinds_lock);
	return ours;
}

/*
 * The arena that the fewest threads have, of every step-th one from first on;
 * of several the one with the lowest number.
 */
static unsigned
least_used(const struct memkind *kind, unsigned first, unsigned step)
{
	unsigned best = first, fewest = UINT_MAX;

	for (unsigned i = first; i < kind->space.arenas; i += step) {
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
 * A kind whose nodes depend on the processor has arenas for each node with
 * processors, in turn, and a thread stays with the node it was on first.
 */
unsigned
vmc_kind_arena(const struct memkind *kind)
{
	const struct vmc_node_rules *rules = vmc_nodes_here();
	unsigned node = vmc_os_current_node(), first = 0;

	if (!vmc_type_is_local(kind->type) || !rules)
		return least_used(kind, 0, 1);
	for (unsigned i = 0; i < node && i < VMC_MAX_NODES; i++)
		first += vmc_node_has(&rules->topology.processors, i);
	return least_used(kind, first < kind->space.arenas ? first : 0,
		vmc_node_count(&rules->topology.processors));
}

unsigned
vmc_kind_arenas(const struct memkind *kind, struct vmc_arena **arenas)
{
	unsigned count = 0;

	for (unsigned i = 0; i < kind->space.arenas; i++) {
		arenas[count] = vmc_kind_arena_at(kind, i);
		count += arenas[count] != NULL;
	}
	return count;
}
