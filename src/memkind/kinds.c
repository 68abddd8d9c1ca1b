/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * kinds.c -- creating and destroying kinds
 *
 * Both run under vmc_kinds_lock, so any two threads may do it at once. No
 * thread may use a kind while it is destroyed. See heap/kind.c for the table.
 */
#include "kinds.h"

#include "heap/depot.h"
#include "heap/threads.h"
#include "topology/settings.h"

#include "base/cancel.h"
#include "base/os.h"

#include <errno.h>

void (*_Atomic vmc_kind_on_destroy)(unsigned number);

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
	if (vmc_kind_overlaps(space)) {
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
	vmc_kind_close(kind);
	if (kind->shared)
		give_up_medium(kind);
	vmc_space_destroy(&kind->space);
	vmc_log("Kind %u, memkind_%s: destroyed", kind->number,
		kind->type->name);
	vmc_store_release(&kind->state, VMC_KIND_FREE);
	vmc_lock_release(&vmc_kinds_lock);
}
