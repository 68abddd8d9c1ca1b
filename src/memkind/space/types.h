/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * types.h -- the types of kinds: what their memory is, and where it comes from
 */
#ifndef VMC_MEMKIND_TYPES_H
#define VMC_MEMKIND_TYPES_H

#include "memkind.h"
#include "space.h"

#include "memkind/topology/nodes.h"

#include <sys/types.h>

/* What makes one kind differ from another; data alone. */
struct vmc_kind_type {
	const char *name;
	enum vmc_nodes nodes;
	enum vmc_placement placement;
	bool closest;       /* of the nodes, only those closest */
	bool small_pages;   /* no transparent huge pages */
	bool no_capacity;   /* memkind_get_capacity() says -1 */
	uint8_t page_shift; /* of pages from a pool, 0: the usual ones */
	int ambiguous;      /* the code for several nodes to prefer */
};

/*
 * A space of anonymous memory as the type says, for the kind that has this
 * type. Returns 0 or a code of memkind.h.
 */
int vmc_type_space(const struct vmc_kind_type *type, struct vmc_space *space);

/* Can that be had? 0 or a code of memkind.h. */
int vmc_type_available(const struct vmc_kind_type *type);

/* Does the choice of nodes depend on the processor that asks? */
static inline bool
vmc_type_is_local(const struct vmc_kind_type *type)
{
	return type->closest || type->nodes >= VMC_NODES_LOCAL_CAPACITY;
}

/* The types of the static kinds, by their numbers. */
extern const struct vmc_kind_type vmc_static_types[MEMKIND_NUM_BASE_KIND];

/* How many arenas a kind may come to have, from the environment or not. */
unsigned vmc_kind_arena_limit(void);

/*
 * What memory of this type there is in the system; -1: it cannot be told, or
 * there is none.
 */
ssize_t vmc_type_capacity(const struct vmc_kind_type *type);

#endif
