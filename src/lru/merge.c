/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * merge.c -- merging neighbouring rows that have few nodes (lru.c says when,
 * and why)
 *
 * Rows are inspected in the order of their numbers, by their bits alone. The
 * data that merging a row reads is prefetched, one step per batch of touches:
 * its links, the places of both rows, their nodes. Each step checks again
 * whether the row is still to be merged, as rows come and go meanwhile.
 *
 * If several policies share their rows, the first one inspects all of them;
 * neighbours always belong to one list. The ends of a list have no places, and
 * the open row is the last one.
 */
#include "lru_internal.h"

typedef struct vmc_policy_row row;

enum {
	PLACES = VMC_POLICY_ROW,
	MERGED = 24 /* nodes, in a row merged of two */
};

/* Is it, or may it be, one that is being filled? */
static bool
may_be_open(const struct vmc_lru *lru, const row *r)
{
	return r == lru->open || (lru->rows->users > 1 && !r->next->places);
}

/* The older of two neighbours that can be merged, of which this is one. */
static row *
pair_of(const struct vmc_lru *lru, row *r)
{
	row *other[2] = {r->next, r->prev};
	uint32_t live = *vmc_rows_live(lru->rows, r);

	if (live == 0 || may_be_open(lru, r))
		return NULL;
	for (unsigned i = 0; i < 2; i++)
		if (other[i]->places && !may_be_open(lru, other[i]) &&
			vmc_rows_count(live) + vmc_rows_count(*vmc_rows_live(
						       lru->rows, other[i])) <=
				MERGED)
			return i == 0 ? r : other[i];
	return NULL;
}

/* The next rows, so many of all there are: may one of them be merged? */
static void
look_at(struct vmc_lru *lru, unsigned count)
{
	uint32_t number = lru->looked_at;

	for (; count > 0 && lru->tended_count < VMC_LRU_TENDED; count--) {
		if (number == lru->rows->groups * VMC_ROWS_GROUP) {
			number = 0;
			break;
		}
		uint32_t live = lru->rows->live[number++];
		if (live == 0 || vmc_rows_count(live) > MERGED / 2)
			continue;
		row *r = vmc_rows_at(lru->rows, (number - 1) * PLACES);
		__builtin_prefetch(r);
		lru->tended[lru->tended_count++] = (struct tended){r, FOUND};
	}
	lru->looked_at = number;
}

/* A step further with each row that may be merged. False: it may not. */
static bool
tend_to(struct vmc_lru *lru, struct tended *t)
{
	if (t->stage == FOUND) {
		__builtin_prefetch(t->row->next);
		__builtin_prefetch(t->row->prev);
	} else {
		row *older = pair_of(lru, t->row);
		if (!older)
			return false;
		if (t->stage == LINKS_FETCHED) {
			vmc_rows_prefetch_places(older);
			vmc_rows_prefetch_places(older->next);
		} else if (t->stage == FETCHED) {
			vmc_rows_prefetch_nodes(lru->rows, older);
			vmc_rows_prefetch_nodes(lru->rows, older->next);
		} else {
			row *newer = older->next;
			vmc_rows_merge(lru->rows, older, newer);
			vmc_lru_discard(lru, newer);
			return false;
		}
	}
	t->stage++;
	return true;
}

void
vmc_lru_tend(struct vmc_lru *lru, unsigned looks)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < lru->tended_count; i++) {
		struct tended t = lru->tended[i];
		if (tend_to(lru, &t))
			lru->tended[kept++] = t;
	}
	lru->tended_count = kept;
	look_at(lru, looks);
}
