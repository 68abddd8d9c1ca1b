/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * variables.h -- tiers as the environment describes them
 */
#ifndef VMC_MEMTIER_VARIABLES_H
#define VMC_MEMTIER_VARIABLES_H

#include "memkind_memtier.h"

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

#define VMC_TIERS_MOST 16u

struct vmc_tiers {
	memtier_policy_t policy;
	unsigned count;
	struct vmc_tier_wanted {
		enum { VMC_TIER_DRAM, VMC_TIER_KMEM, VMC_TIER_FILE } type;
		unsigned ratio;
		size_t limit; /* of a file; 0: none */
		char path[PATH_MAX];
	} tiers[VMC_TIERS_MOST];
	unsigned thresholds; /* how many are set */
	struct vmc_threshold_wanted {
		bool has_val, has_min, has_max;
		size_t val, min, max;
	} between[VMC_TIERS_MOST];
};

/*
 * What MEMKIND_MEM_TIERS and MEMKIND_MEM_THRESHOLDS say, NULL: not set. False:
 * the message, of at most size bytes, names the variable and the mistake.
 * Allocates nothing.
 */
bool vmc_tiers_parse(struct vmc_tiers *tiers, const char *text,
	const char *thresholds, char *message, size_t size);

/*
 * Make the kinds, into room for as many as there are tiers, and a heap on them.
 * False as above, and nothing was made.
 */
bool vmc_tiers_make(const struct vmc_tiers *tiers, memkind_t *kinds,
	struct memtier_memory **memory, char *message, size_t size);

#endif
