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
 * memory. All calls come under the policy's lock.
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
	uint32_t room;  /* for so many groups, and their live */
	unsigned stock; /* rows that are kept */
	unsigned spares;
	struct vmc_policy_row *spare; /* by next, as are the blank ones */
	struct vmc_policy_row *blank;
};

/* No rows, which takes no memory. */
void vmc_rows_init(struct vmc_rows *rows, const struct vmc_memory *memory);
/* Frees all rows, in use or not. */
void vmc_rows_fini(struct vmc_rows *rows);

/* A row to use. NULL: no memory; needed: but one of the stock. */
struct vmc_policy_row *vmc_rows_take(struct vmc_rows *rows, bool needed);

/* A row is no longer in use. */
static inline void
vmc_rows_give_back(struct vmc_rows *rows, struct vmc_policy_row *row)
{
	row->next = rows->spare;
	rows->spare = row;
	rows->spares++;
}

/* Keep so many in stock, and free what is more than that. -ENOMEM: too few;
 * -ENOSPC: and there are no more numbers. */
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

#endif
