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
 * Returns a new depot, or NULL if there is no memory. sizes[class] is the size
 * in bytes of the objects of a class, for the classes 1 to classes - 1.
 */
struct vmc_depot *vmc_depot_create(const size_t *sizes, unsigned classes);

/* Frees the depot, not the objects in it. Requires that no thread uses it. */
void vmc_depot_destroy(struct vmc_depot *depot);

/*
 * Puts all count objects into the depot, or none. Returns false if there is no
 * room, if another thread is using the class, or if depot is NULL.
 */
bool vmc_depot_put(struct vmc_depot *depot, unsigned class,
	void *const *objects, unsigned count);

/* Takes at most `most` objects of the class; returns how many. */
unsigned vmc_depot_get(
	struct vmc_depot *depot, unsigned class, void **objects, unsigned most);

/* Returns whether no thread has put or got objects of the class since the last
 * call for it. */
bool vmc_depot_idle(struct vmc_depot *depot, unsigned class);

/* In the child of a fork: forget what others were about to change. */
void vmc_depot_after_fork(struct vmc_depot *depot);

#endif
