/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * reserve.h -- the victim queue of a thread
 *
 * One reserve per thread and cache, of two rows. When a row is used up, the
 * policy gives the owner, under its lock, a row of the nodes to evict next. The
 * owner takes the nodes one by one without the lock, the oldest first. An entry
 * whose node is still in a reserve is as alive as any other, and a thread that
 * holds the policy's lock may take the node back.
 *
 * The thread that empties the place has the node: the owner by an exchange, all
 * others under the lock by a compare-and-swap, which fails if the owner came
 * first. The owner leaves node.at unchanged until it has tried to claim the
 * entry. So if node.at names a place and that place is empty, the owner has the
 * node.
 */
#ifndef VMC_RESERVE_H
#define VMC_RESERVE_H

#include "policy/policy.h"

#define VMC_RESERVE_ROWS 2u

struct vmc_reserve {
	/* written by the owner under the policy's lock; NULL: none */
	struct vmc_policy_row *row[VMC_RESERVE_ROWS];
	/* that each is from; or, once it was recalled, any that has its rows */
	struct vmc_policy *policy[VMC_RESERVE_ROWS];
	uint32_t number[VMC_RESERVE_ROWS]; /* of the row, or 0 */
	unsigned newest;                   /* of the rows */
	uint32_t filled;                   /* how often */
	uint32_t seen; /* filled when somebody else last looked */
	/* the owner's alone */
	uint32_t left[VMC_RESERVE_ROWS]; /* a bit for each place to come */
	unsigned current;
};

/*
 * May `at` say that the node is in this reserve? 0 where it is in none, too:
 * once more than needed does no harm. By the owner.
 */
static inline bool
vmc_reserve_has(const struct vmc_reserve *r, uint32_t at)
{
	uint32_t number = vmc_policy_row_number(at);

	return (number == r->number[0]) | (number == r->number[1]);
}

/* By the owner: is it time to fill it? */
static inline bool
vmc_reserve_is_low(const struct vmc_reserve *r)
{
	return r->left[0] == 0 || r->left[1] == 0;
}

/* By the owner: has it claimed, or passed over, all of it? */
static inline bool
vmc_reserve_is_empty(const struct vmc_reserve *r)
{
	return (r->left[0] | r->left[1]) == 0;
}

/* By the owner: the row that is filled next; what is left of the other is first
 */
static inline unsigned
vmc_reserve_next(const struct vmc_reserve *r)
{
	return r->left[0] == 0 ? 0 : 1;
}

/* By the owner, under the lock, if it is low: the next victims. */
static inline void
vmc_reserve_fill(
	struct vmc_reserve *r, struct vmc_policy *policy, unsigned most)
{
	unsigned i = vmc_reserve_next(r);

	if (r->left[i] != 0)
		return;
	if (r->row[i])
		r->policy[i]->ops->give_up(r->policy[i], r->row[i]);
	r->policy[i] = policy;
	r->row[i] = policy->ops->hand_over(policy, most);
	r->number[i] = r->row[i] ? r->row[i]->number : 0;
	r->left[i] = r->row[i] ? r->row[i]->live : 0;
	r->newest = i;
	r->filled++;
	if (r->left[r->current] == 0)
		r->current = i;
}

/*
 * By the owner: the row and the place of the node that is `ahead` after the
 * next one, or where it was until it was won back; NULL: not so many are left.
 */
static inline const struct vmc_policy_row *
vmc_reserve_peek(const struct vmc_reserve *r, unsigned ahead, unsigned *place)
{
	unsigned i = r->current;
	uint32_t left = r->left[i];

	for (unsigned n = 0; n < ahead; n++)
		left &= left - 1;
	if (__builtin_expect(left == 0, 0)) {
		for (left = r->left[i]; left; left &= left - 1)
			ahead--;
		i = (i + 1) % VMC_RESERVE_ROWS;
		for (left = r->left[i]; left && ahead > 0; ahead--)
			left &= left - 1;
		if (left == 0)
			return NULL;
	}
	*place = (unsigned)__builtin_ctz(left);
	return r->row[i];
}

/* By the owner: past the next place. */
static inline void
vmc_reserve_skip(struct vmc_reserve *r)
{
	uint32_t *left = &r->left[r->current];

	*left &= *left - 1;
	if (*left == 0)
		r->current = (r->current + 1) % VMC_RESERVE_ROWS;
}

/* Under the lock: what is in that place of a row; NULL: nothing. */
static inline struct vmc_policy_node *
vmc_reserve_at(const struct vmc_policy_row *row, unsigned i)
{
	return row && row->live >> i & 1 ? vmc_policy_node_at(row, i) : NULL;
}

/*
 * Under the lock: give the nodes of a row back to the policy they are from,
 * which need not be there any more after that.
 */
static inline void
vmc_reserve_recall_row(struct vmc_reserve *r, unsigned k)
{
	struct vmc_policy_row *row = r->row[k];
	struct vmc_policy *policy = r->policy[k];

	if (!row)
		return;
	for (unsigned i = VMC_POLICY_ROW; i-- > 0;) {
		struct vmc_policy_node *node = vmc_reserve_at(row, i);
		if (node && vmc_policy_win_back(row, i, node))
			policy->ops->restore(policy, node);
	}
	r->policy[k] = policy->first;
}

/* The same for all. */
static inline void
vmc_reserve_recall(struct vmc_reserve *r)
{
	for (unsigned k = 0; k < VMC_RESERVE_ROWS; k++)
		vmc_reserve_recall_row(r, (r->newest + k) % VMC_RESERVE_ROWS);
}

/* Under the lock, after recall, for an owner that has gone: it has no rows. */
static inline void
vmc_reserve_end(struct vmc_reserve *r)
{
	for (unsigned k = 0; k < VMC_RESERVE_ROWS; k++)
		if (r->row[k])
			r->policy[k]->ops->give_up(r->policy[k], r->row[k]);
	*r = (struct vmc_reserve){0};
}

/* Under the lock: how many nodes are in it. */
static inline unsigned
vmc_reserve_count(const struct vmc_reserve *r)
{
	unsigned count = 0;

	for (unsigned k = 0; k < VMC_RESERVE_ROWS; k++)
		for (unsigned i = 0; i < VMC_POLICY_ROW; i++)
			count += vmc_reserve_at(r->row[k], i) != NULL;
	return count;
}

#endif
