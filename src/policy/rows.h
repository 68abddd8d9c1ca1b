/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * rows.h -- the rows of a policy: their numbers and their memory
 *
 *   row      32 bytes, in a group by its number; groups stay where they are
 *   places   192 bytes, allocated when the row is first used
 *   live     4 bytes, of all rows side by side
 *
 * A row that is not in use is spare, with its places, or blank, without. A
 * number of spare rows can be kept in stock: for what must not fail for lack of
 * memory. All calls come under the policy's lock. Several policies under one
 * lock may have their rows in common.
 */
#ifndef VMC_ROWS_H
#define VMC_ROWS_H

#include "policy/policy.h"

/* Of memory, for one that is in use. */
#define VMC_ROWS_SIZE                                                          \
	(sizeof(struct vmc_policy_row) + sizeof(struct vmc_policy_places) +    \
		sizeof(uint32_t))

/* Rows in a group. */
#define VMC_ROWS_GROUP 512u

struct vmc_rows {
	struct vmc_memory memory;
	struct vmc_policy_row **group;
	uint32_t *live; /* by number: places with nodes that are held */
	uint32_t groups;
	uint32_t room;                /* for so many groups, and their live */
	struct vmc_policy_stock is;   /* rows that are kept, and spare */
	struct vmc_policy_row *spare; /* by next, as are the blank ones */
	struct vmc_policy_row *blank;
	/* their users' */
	unsigned users;
	uint32_t opened; /* rows, by all of them: a clock */
};

/* No rows, which takes no memory. */
void vmc_rows_init(struct vmc_rows *rows, const struct vmc_memory *memory);
/* Frees all rows, in use or not. */
void vmc_rows_fini(struct vmc_rows *rows);

/* Rows for one user, NULL: no memory; for one more; when one has gone. */
struct vmc_rows *vmc_rows_new(const struct vmc_memory *memory);
struct vmc_rows *vmc_rows_share(struct vmc_rows *rows);
void vmc_rows_delete(struct vmc_rows *rows);

/* Returns an unused row. If none can be allocated: NULL, or if needed is set a
 * row of the stock. */
struct vmc_policy_row *vmc_rows_take(struct vmc_rows *rows, bool needed);

/* A row is no longer in use. */
static inline void
vmc_rows_give_back(struct vmc_rows *rows, struct vmc_policy_row *row)
{
	row->next = rows->spare;
	rows->spare = row;
	rows->is.spares++;
}

/* Keeps count rows in stock, and frees those beyond. -ENOMEM: there are fewer,
 * and no memory; -ENOSPC: there are fewer, and no more row numbers. */
int vmc_rows_stock(struct vmc_rows *rows, unsigned count);

/* Is there such a place? at may be anything. */
static inline bool
vmc_rows_have(const struct vmc_rows *rows, uint32_t at)
{
	return at / VMC_POLICY_ROW / VMC_ROWS_GROUP < rows->groups;
}

/* The row of a place, in use or not. */
static inline struct vmc_policy_row *
vmc_rows_at(const struct vmc_rows *rows, uint32_t at)
{
	size_t number = vmc_policy_row_number(at); /* the size saves shifting */

	return &rows->group[number / VMC_ROWS_GROUP][number % VMC_ROWS_GROUP];
}

static inline uint32_t
vmc_rows_bit(uint32_t at)
{
	return UINT32_C(1) << at % VMC_POLICY_ROW;
}

static inline uint32_t *
vmc_rows_live(const struct vmc_rows *rows, const struct vmc_policy_row *r)
{
	return &rows->live[r->number];
}

/* Bits in pairs, fours, bytes: gcc's own calls a function. */
static inline unsigned
vmc_rows_count(uint32_t live)
{
	live -= live >> 1 & 0x55555555;
	live = (live & 0x33333333) + (live >> 2 & 0x33333333);
	live = (live + (live >> 4)) & 0x0f0f0f0f;
	return live * 0x01010101 >> 24;
}

static inline unsigned
vmc_rows_lowest(uint32_t live)
{
	return (unsigned)__builtin_ctz(live);
}

/* Where its first node is. */
static inline uint32_t
vmc_rows_first(const struct vmc_policy_row *r)
{
	return vmc_policy_place(r, 0);
}

static inline void
vmc_rows_place(struct vmc_rows *rows, struct vmc_policy_row *r, uint32_t at,
	struct vmc_policy_node *node)
{
	unsigned i = at % VMC_POLICY_ROW;

	r->places->low[i] = (uint16_t)(uintptr_t)node;
	vmc_store_relaxed(
		&r->places->high[i], (uint32_t)((uintptr_t)node >> 16));
	vmc_store_relaxed(&node->at, at);
	*vmc_rows_live(rows, r) |= vmc_rows_bit(at);
}

/* Nodes of a row, `which` of them, to the places of another from i on. */
static inline void
vmc_rows_move(struct vmc_rows *rows, struct vmc_policy_row *from,
	uint32_t which, struct vmc_policy_row *to, unsigned i)
{
	uint32_t at = vmc_policy_place(to, i);

	*vmc_rows_live(rows, from) &= ~which;
	for (uint32_t m = which; m; m &= m - 1)
		vmc_rows_place(rows, to, at++,
			vmc_policy_node_at(from, vmc_rows_lowest(m)));
}

/* All nodes of the newer of two neighbours behind those of the older. */
static inline void
vmc_rows_merge(struct vmc_rows *rows, struct vmc_policy_row *older,
	struct vmc_policy_row *newer)
{
	uint32_t live = *vmc_rows_live(rows, older);

	vmc_rows_move(rows, older, live, older, 0);
	vmc_rows_move(rows, newer, *vmc_rows_live(rows, newer), older,
		vmc_rows_count(live));
}

/* Always inline: gcc takes calls that only prefetch for superfluous. */
static inline __attribute__((always_inline)) void
vmc_rows_prefetch_places(const struct vmc_policy_row *r)
{
	__builtin_prefetch(&r->places->high[0]);
	__builtin_prefetch(&r->places->high[VMC_POLICY_ROW / 2]);
	__builtin_prefetch(&r->places->low[0]);
}

/* Write to those nodes, soon. */
static inline __attribute__((always_inline)) void
vmc_rows_prefetch_nodes(
	const struct vmc_rows *rows, const struct vmc_policy_row *r)
{
	for (uint32_t m = *vmc_rows_live(rows, r); m; m &= m - 1)
		vmc_prefetch_write(vmc_policy_node_at(r, vmc_rows_lowest(m)));
}

#endif
