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
	struct vmc_rows rows;
	struct vmc_policy_row ends;
	struct vmc_policy_row
		*open; /* the newest, until another is opened; NULL: none */
	uint32_t next; /* of its places, the first that was not used yet */
	uint32_t end;  /* the one behind its last; next: none is left */
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
	uint32_t opened;    /* rows; when it was, a row's live tells */
	unsigned score;     /* see HOT_SCORE */
	struct vmc_hot hot;
};

static inline struct vmc_policy_row *
vmc_lru_row(const struct vmc_lru *lru, uint32_t at)
{
	return vmc_rows_at(&lru->rows, at);
}

static inline uint32_t
vmc_lru_bit(uint32_t at)
{
	return UINT32_C(1) << at % VMC_POLICY_ROW;
}

static inline uint32_t *
vmc_lru_live(const struct vmc_lru *lru, const struct vmc_policy_row *r)
{
	return &lru->rows.live[r->number];
}

/* Bits in pairs, fours, bytes: gcc's own calls a function. */
static inline unsigned
vmc_lru_count(uint32_t live)
{
	live -= live >> 1 & 0x55555555;
	live = (live & 0x33333333) + (live >> 2 & 0x33333333);
	live = (live + (live >> 4)) & 0x0f0f0f0f;
	return live * 0x01010101 >> 24;
}

static inline unsigned
vmc_lru_lowest(uint32_t live)
{
	return (unsigned)__builtin_ctz(live);
}

static inline uint32_t
vmc_lru_first(const struct vmc_policy_row *r)
{
	return r->number * VMC_POLICY_ROW;
}

static inline void
vmc_lru_unlink(struct vmc_lru *lru, struct vmc_policy_row *r)
{
	r->prev->next = r->next;
	r->next->prev = r->prev;
	if (r == lru->open) {
		lru->open = NULL;
		lru->next = lru->end;
	} else {
		vmc_owner_add(&lru->base.bytes, -VMC_ROWS_SIZE);
	}
}

/* A row without nodes goes. */
static inline void
vmc_lru_discard(struct vmc_lru *lru, struct vmc_policy_row *r)
{
	vmc_lru_unlink(lru, r);
	vmc_rows_give_back(&lru->rows, r);
}

static inline void
vmc_lru_place(struct vmc_lru *lru, struct vmc_policy_row *r, uint32_t at,
	struct vmc_policy_node *node)
{
	unsigned i = at % VMC_POLICY_ROW;

	r->places->low[i] = (uint16_t)(uintptr_t)node;
	vmc_store_relaxed(
		&r->places->high[i], (uint32_t)((uintptr_t)node >> 16));
	vmc_store_relaxed(&node->at, at);
	*vmc_lru_live(lru, r) |= vmc_lru_bit(at);
}

/* Nodes of a row, `which` of them, to the places of another from i on. */
static inline void
vmc_lru_move(struct vmc_lru *lru, struct vmc_policy_row *from, uint32_t which,
	struct vmc_policy_row *to, unsigned i)
{
	uint32_t at = vmc_lru_first(to) + i;

	*vmc_lru_live(lru, from) &= ~which;
	for (uint32_t m = which; m; m &= m - 1)
		vmc_lru_place(lru, to, at++,
			vmc_policy_node_at(from, vmc_lru_lowest(m)));
}

/* Always inline: gcc takes calls that only prefetch for superfluous. */
static inline __attribute__((always_inline)) void
vmc_lru_prefetch_places(const struct vmc_policy_row *r)
{
	__builtin_prefetch(&r->places->high[0]);
	__builtin_prefetch(&r->places->high[VMC_POLICY_ROW / 2]);
	__builtin_prefetch(&r->places->low[0]);
}

/*
 * So many rows more are looked at, whether they may be merged, and of those
 * that were a step further is done; nodes may be moved.
 */
void vmc_lru_tend(struct vmc_lru *lru, unsigned looks);

#endif
