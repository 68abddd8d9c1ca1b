/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lru_internal.h -- the rows of least recently used, for lru.c and merge.c
 */
#ifndef VMC_LRU_INTERNAL_H
#define VMC_LRU_INTERNAL_H

#include "hot.h"
#include "policy/rows.h"

#define VMC_LRU_TENDED 16 /* rows on their way to be merged */

struct vmc_lru {
	struct vmc_policy base;
	struct vmc_memory memory;
	struct vmc_rows *rows; /* those of the first */
	struct vmc_policy_row ends;
	struct vmc_policy_row
		*open; /* the newest, until another is opened; NULL: none */
	uint32_t next; /* of its places, the first that was not used yet */
	uint32_t end;  /* the one behind its last; next: none is left */
	/* of all rows, and so of the first alone: */
	struct tended {
		struct vmc_policy_row *row;
		enum stage {
			FOUND,
			LINKS_FETCHED,
			FETCHED,
			NODES_FETCHED
		} stage;
	} tended[VMC_LRU_TENDED];
	unsigned tended_count;
	uint32_t looked_at; /* the row, by number */
	unsigned score;     /* see HOT_SCORE */
	struct vmc_hot hot;
};

static inline void
vmc_lru_unlink(struct vmc_lru *lru, struct vmc_policy_row *r)
{
	r->prev->next = r->next;
	r->next->prev = r->prev;
	if (r == lru->open) {
		lru->open = NULL;
		lru->next = lru->end;
	} else {
		vmc_policy_add_bytes(&lru->base, -VMC_ROWS_SIZE);
	}
}

/* A row without nodes goes. */
static inline void
vmc_lru_discard(struct vmc_lru *lru, struct vmc_policy_row *r)
{
	vmc_lru_unlink(lru, r);
	vmc_rows_give_back(lru->rows, r);
}

static inline struct vmc_lru *
vmc_lru_first(struct vmc_lru *lru)
{
	return (struct vmc_lru *)lru->base.first;
}

/*
 * By the first: so many rows more are looked at, whether they may be merged,
 * and of those that were a step further is done; nodes may be moved.
 */
void vmc_lru_tend(struct vmc_lru *lru, unsigned looks);

#endif
