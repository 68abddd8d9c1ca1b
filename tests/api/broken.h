/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * broken.h -- a source of the library with one rule broken, which a test must
 * find (CMakeLists.txt)
 *
 * The compiler includes this before the source, of which nothing else changes.
 */
#ifndef VMC_TESTS_API_BROKEN_H
#define VMC_TESTS_API_BROKEN_H

#if defined(BREAK_EXPIRED)
/* get.c, pin.c, walk.c: items are returned after their time. */
#include "expire.h"
#define vmc_entry_is_over(e, now) ((void)(e), (void)(now), false)

#elif defined(BREAK_MOVED)
/*
 * hash/linear_walk.c: a walk goes by the number of bags that there was when it
 * began, so it misses items that a split has moved to another bag since then.
 */
#include "hash/linear_internal.h"

static inline uint32_t
broken_bags(const struct vmc_linear *index, uint64_t position, unsigned stripe)
{
	static _Thread_local uint32_t bags[STRIPES];

	for (unsigned i = 0; position == 0 && i < STRIPES; i++)
		bags[i] = bags_of(&index->roots.of[i]);
	return bags[stripe];
}
#define bags_of(root) broken_bags(index, *position, stripe)
#endif

#endif
