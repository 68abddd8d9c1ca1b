/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * rows.c -- the rows of a policy: their numbers and their memory
 *
 * A group is allocated when all numbers are in use, and stays until the end: a
 * row is found by two loads, the first of an array so short that it stays in
 * the processor's cache. The places of a row are freed. A row is taken from the
 * stock only if there is no memory and the caller must not fail; the caller
 * refills the stock before it releases the lock, or makes sure that no more
 * rows are needed.
 *
 * Spare rows are used last in, first out: their places are in the processor's
 * cache.
 */
#include "rows.h"

#include <errno.h>
#include <string.h>

/* Row numbers that at has room for, in groups. */
#ifndef VMC_ROWS_GROUPS_MAX
#define VMC_ROWS_GROUPS_MAX (VMC_POLICY_HOT / VMC_POLICY_ROW / VMC_ROWS_GROUP)
#endif
#define GROUP_SIZE (VMC_ROWS_GROUP * sizeof(struct vmc_policy_row))
#define LIVE_SIZE (VMC_ROWS_GROUP * sizeof(uint32_t))

static void
free_arrays(const struct vmc_rows *rows)
{
	vmc_free(&rows->memory, rows->group, rows->room * sizeof(*rows->group));
	vmc_free(&rows->memory, rows->live, rows->room * LIVE_SIZE);
}

/* The arrays, twice as long as they are. */
static bool
make_room(struct vmc_rows *rows)
{
	struct vmc_memory *m = &rows->memory;
	uint32_t room = rows->room ? 2 * rows->room : 8;
	struct vmc_rows larger = *rows;

	larger.group = vmc_alloc(m, room * sizeof(*larger.group));
	if (!larger.group)
		return false;
	larger.live = vmc_alloc(m, room * LIVE_SIZE);
	if (!larger.live) {
		vmc_free(m, larger.group, room * sizeof(*larger.group));
		return false;
	}
	memset(larger.live, 0, room * LIVE_SIZE);
	if (rows->room) {
		memcpy(larger.group, rows->group,
			rows->room * sizeof(*larger.group));
		memcpy(larger.live, rows->live, rows->room * LIVE_SIZE);
		free_arrays(rows);
	}
	larger.room = room;
	*rows = larger;
	return true;
}

static bool
make_group(struct vmc_rows *rows)
{
	struct vmc_memory *m = &rows->memory;

	if (rows->groups == VMC_ROWS_GROUPS_MAX)
		return false;
	if (rows->groups == rows->room && !make_room(rows))
		return false;
	struct vmc_policy_row *group = vmc_alloc(m, GROUP_SIZE);
	if (!group)
		return false;
	memset(group, 0, GROUP_SIZE);
	/* the lowest number last, so that it comes first; none is 0 */
	for (uint32_t i = VMC_ROWS_GROUP; i-- > (rows->groups == 0);) {
		group[i].number = rows->groups * VMC_ROWS_GROUP + i;
		group[i].next = rows->blank;
		rows->blank = &group[i];
	}
	rows->group[rows->groups++] = group;
	return true;
}

static struct vmc_policy_row *
take_spare(struct vmc_rows *rows)
{
	struct vmc_policy_row *row = rows->spare;

	if (row) {
		rows->spare = row->next;
		rows->is.spares--;
	}
	return row;
}

static struct vmc_policy_row *
allocate_row(struct vmc_rows *rows)
{
	if (!rows->blank && !make_group(rows))
		return NULL;
	struct vmc_policy_row *row = rows->blank;
	row->places = vmc_alloc(&rows->memory, sizeof(*row->places));
	if (!row->places)
		return NULL;
	rows->blank = row->next;
	return row;
}

static void
free_places(struct vmc_rows *rows, struct vmc_policy_row *row)
{
	vmc_free(&rows->memory, row->places, sizeof(*row->places));
	row->places = NULL;
}

struct vmc_policy_row *
vmc_rows_take(struct vmc_rows *rows, bool needed)
{
	struct vmc_policy_row *row =
		rows->is.spares > rows->is.stock ? take_spare(rows) : NULL;

	if (!row)
		row = allocate_row(rows);
	if (!row && needed)
		row = take_spare(rows);
	return row;
}

int
vmc_rows_stock(struct vmc_rows *rows, unsigned count)
{
	rows->is.stock = count;
	while (rows->is.spares > count + VMC_POLICY_SLACK) {
		struct vmc_policy_row *row = take_spare(rows);
		free_places(rows, row);
		row->next = rows->blank;
		rows->blank = row;
	}
	while (rows->is.spares < count) {
		struct vmc_policy_row *row = allocate_row(rows);
		if (!row)
			return rows->blank || rows->groups < VMC_ROWS_GROUPS_MAX
				       ? -ENOMEM
				       : -ENOSPC;
		vmc_rows_give_back(rows, row);
	}
	return 0;
}

void
vmc_rows_init(struct vmc_rows *rows, const struct vmc_memory *memory)
{
	*rows = (struct vmc_rows){.memory = *memory};
}

void
vmc_rows_fini(struct vmc_rows *rows)
{
	struct vmc_memory *m = &rows->memory;

	for (uint32_t g = 0; g < rows->groups; g++) {
		for (uint32_t i = 0; i < VMC_ROWS_GROUP; i++)
			if (rows->group[g][i].places)
				free_places(rows, &rows->group[g][i]);
		vmc_free(m, rows->group[g], GROUP_SIZE);
	}
	if (rows->room)
		free_arrays(rows);
}

struct vmc_rows *
vmc_rows_new(const struct vmc_memory *memory)
{
	struct vmc_rows *rows = vmc_alloc(memory, sizeof(*rows));

	if (!rows)
		return NULL;
	vmc_rows_init(rows, memory);
	return vmc_rows_share(rows);
}

struct vmc_rows *
vmc_rows_share(struct vmc_rows *rows)
{
	rows->users++;
	return rows;
}

void
vmc_rows_delete(struct vmc_rows *rows)
{
	struct vmc_memory memory = rows->memory;

	if (--rows->users > 0)
		return;
	vmc_rows_fini(rows);
	vmc_free(&memory, rows, sizeof(*rows));
}
