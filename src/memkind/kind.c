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
 * After a fork, memory that processes share (a file, the caller's MAP_SHARED)
 * belongs to the parent's heap and to the child's copy of it. The child's kind
 * is fenced: allocations fail, what is freed is left alone, and nothing reaches
 * the medium, whatever jemalloc does with its arenas (arena.c). The default
 * kind and private ones go on.
 *
 * Once the parent is gone, one child may take the kind over, if what it has of
 * the heap is still right (base/heritage.h). What the parent may have done
 * since the fork, and what of it is a change:
 *
 *  - It freed an object, or made it smaller where it was. To the child that
 *    memory is an object still, and the parent may have had it written to by
 *    another owner. A change.
 *  - It committed or gave back memory of the medium. What the child's jemalloc
 *    takes for zeros may be none. A change; also when jemalloc's own threads
 * do.
 *  - It allocated what was free and committed. Free memory has no contents, and
 *    whoever has it in the parent is gone. No change; but those calls that find
 *    no heap say that there was one, which is simpler and safe.
 *
 * So that the fast paths need not ask, a fork takes every thread's heap out of
 * its sight: its next call goes the slow way, and says so (vmc_heap_find). A
 * thread that is in the middle of a call at the fork does not: what it frees is
 * an object that nobody in the child has a right to any more, and what it has
 * taken from jemalloc's lists is in none of them in the child either, as
 * jemalloc's locks are held over the fork. It is lost to the child.
 *
 * Rejected: a page that is shared to count changes in, at each call (2 ns); to
 * stop the other threads at a fork.
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

#include "base/cancel.h"
#include "base/os.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>

struct memkind vmc_kinds[MEMKIND_MAX_KIND];
void (*_Atomic vmc_kind_on_destroy)(unsigned number);
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

/*
 * Is some of this user memory in a kind already? jemalloc has one book for all
 * addresses, so no kind can lie in the memory of another.
 */
static bool
taken(const struct vmc_space *space)
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
vmc_kind_create(const struct vmc_kind_type *type, struct vmc_space *space,
	ssize_t decay, struct memkind **created)
{
	struct memkind *kind;
	int err = -EUSERS;
	bool shared = space->medium == &vmc_medium_file ||
		      (space->medium == &vmc_medium_user &&
			      vmc_os_is_shared(space->base, space->capacity));

	VMC_NO_CANCEL;
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
		kind->shared = !err && shared;
		kind->forked = false;
		if (kind->shared) {
			vmc_heritage_create(&kind->heritage);
			kind->space.heritage = &kind->heritage;
		}
		*created = kind;
		goto out;
	}
	vmc_space_destroy(space);
out:
	vmc_lock_release(&vmc_kinds_lock);
	return err;
}

/*
 * The space in a file is there as long as any process has it mapped: the owner
 * gives it back, and the others, whose objects are gone by that, read zeros.
 */
static void
give_up_medium(struct memkind *kind)
{
	bool owner = vmc_heritage_is_owner(&kind->heritage);

	vmc_heritage_destroy(&kind->heritage);
	if (owner && kind->forked && kind->space.fd >= 0)
		vmc_os_file_punch(kind->space.fd, 0, kind->space.file_end);
}

void
vmc_kind_destroy(struct memkind *kind)
{
	void (*told)(unsigned) = vmc_load_acquire(&vmc_kind_on_destroy);

	VMC_NO_CANCEL;
	if (told)
		told(kind->number);
	vmc_lock_acquire(&vmc_kinds_lock);
	vmc_heap_release(kind);
	/* the space goes as a whole: no use in giving back each piece */
	vmc_store_relaxed(&kind->space.inert, true);
	for (unsigned i = VMC_KIND_ARENAS; i-- > 0;) {
		struct vmc_arena *arena = vmc_load_relaxed(&kind->arenas[i]);
		if (!arena)
			continue;
		vmc_depot_destroy(arena->depot);
		if (!vmc_load_relaxed(&arena->vacant))
			vmc_arena_destroy(arena);
		je_free(arena);
		vmc_store_relaxed(&kind->arenas[i], NULL);
	}
	set_bounds(kind->number, 0, 0);
	if (kind->shared)
		give_up_medium(kind);
	vmc_space_destroy(&kind->space);
	vmc_log("Kind %u, memkind_%s: destroyed", kind->number,
		kind->type->name);
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

static void
before_fork(void)
{
	vmc_lock_acquire(&vmc_kinds_lock);
	for (unsigned i = MEMKIND_NUM_BASE_KIND; i < MEMKIND_MAX_KIND; i++) {
		struct memkind *kind = &vmc_kinds[i];
		if (vmc_load_relaxed(&kind->state) != VMC_KIND_READY ||
			!kind->shared)
			continue;
		kind->forked = true;
		vmc_heap_before_fork(kind);
		vmc_heritage_before_fork(&kind->heritage);
	}
	vmc_engine_before_fork();
	for (unsigned i = 0; i < MEMKIND_MAX_KIND; i++)
		if (vmc_load_relaxed(&vmc_kinds[i].state) == VMC_KIND_READY)
			vmc_space_before_fork(&vmc_kinds[i].space);
}

static void
release_spaces(void)
{
	for (unsigned i = 0; i < MEMKIND_MAX_KIND; i++)
		if (vmc_load_relaxed(&vmc_kinds[i].state) == VMC_KIND_READY)
			vmc_space_after_fork(&vmc_kinds[i].space);
}

static void
after_fork(void)
{
	release_spaces();
	vmc_engine_after_fork(false);
	vmc_lock_release(&vmc_kinds_lock);
}

static void
after_fork_in_child(void)
{
	release_spaces();
	vmc_engine_after_fork(true);
	for (unsigned i = 0; i < MEMKIND_MAX_KIND; i++) {
		struct memkind *kind = &vmc_kinds[i];
		int state = vmc_load_relaxed(&kind->state);
		if (state == VMC_KIND_READY)
			vmc_heap_after_fork(kind);
		if (!kind->shared ||
			(state != VMC_KIND_READY && state != VMC_KIND_FENCED))
			continue;
		vmc_heritage_after_fork_in_child(&kind->heritage);
		vmc_store_relaxed(&kind->state, VMC_KIND_FENCED);
	}
	vmc_lock_release(&vmc_kinds_lock);
}

/* What any call needs, without one of malloc(): it may be a kind's. */
static void
init(void)
{
	for (unsigned i = 0; i < MEMKIND_MAX_KIND; i++)
		vmc_kinds[i].number = i;
	vmc_heap_init();
}

/* What may call malloc(), when all calls work already. */
static void
init_more(void)
{
	if (vmc_settings()->tbb && !vmc_pools_load())
		vmc_settings_reject_manager();
	pthread_atfork(before_fork, after_fork, after_fork_in_child);
}

void
vmc_kinds_init(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	static _Atomic bool has_more;

	VMC_NO_CANCEL;
	pthread_once(&once, init);
	if (!vmc_load_relaxed(&has_more) &&
		!vmc_exchange_acq_rel(&has_more, true))
		init_more();
}

static __attribute__((constructor)) void
start(void)
{
	vmc_kinds_init();
}
