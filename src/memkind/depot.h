/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * depot.h -- free objects on their way from the threads that free to those
 * that allocate
 */
#ifndef VMC_MEMKIND_DEPOT_H
#define VMC_MEMKIND_DEPOT_H

#include <stdbool.h>
#include <stddef.h>

struct vmc_depot;

/*
 * sizes[1] to sizes[classes - 1]: bytes of the objects of each class, which
 * is what the others call it by. NULL: no memory.
 */
struct vmc_depot *vmc_depot_create(const size_t *sizes, unsigned classes);

/* What is in it is forgotten. Nobody uses it any more. */
void vmc_depot_destroy(struct vmc_depot *depot);

/*
 * All count objects, or none: false if there is no room, if others are at it,
 * or if there is no depot (NULL).
 */
bool vmc_depot_put(struct vmc_depot *depot, unsigned class,
	void *const *objects, unsigned count);

/* At most that many; how many it was. */
unsigned vmc_depot_get(
	struct vmc_depot *depot, unsigned class, void **objects, unsigned most);

/* Has nobody put or got any of the class since this was last asked? */
bool vmc_depot_idle(struct vmc_depot *depot, unsigned class);

/* In the child of a fork: forget what others were about to change. */
void vmc_depot_after_fork(struct vmc_depot *depot);

#endif
