/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * clear_beside_put.c -- while all leaves moved to another index, an insertion
 * took the new number of bags together with the old table, and so went into the
 * index of what was cleared, where no find looks
 *
 * The move is compiled once more, so that an insertion may look where its hash
 * leads after each store of it.
 */
#include "unit/index_fixture.h"

#include "regress/clear_beside_put.h"

static struct {
	struct fixture *f;
	const struct leaf *leaf; /* that is about to be inserted */
	struct vmc_index_spot spot;
	unsigned stores, look_after;
	bool *missed; /* which leaves a find has missed */
} moving;

void
clear_beside_put_stored(void)
{
	struct fixture *f = moving.f;

	if (!f) /* not in the move */
		return;
	if (moving.stores++ == moving.look_after)
		moving.spot = vmc_index_prefetch(f->index, moving.leaf->hash);
	for (size_t i = 0; i < f->leaf_count; i++) {
		bool is_found = find(f, &f->leaves[i]) != NULL;
		assert_false(is_found && moving.missed[i]);
		moving.missed[i] = !is_found;
	}
}

/* False: the move has no such store. */
static bool
move_and_insert(unsigned look_after, size_t count)
{
	struct fixture f, other;
	struct vmc_index_place where;

	fixture_start(&f, count, hash_one_stripe);
	struct leaf *last = &f.leaves[--f.leaf_count];
	for (size_t i = 0; i < f.leaf_count; i++) {
		assert_int_equal(insert(&f, &f.leaves[i]), 0);
		f.leaves[i].in = true;
	}
	other = f;
	assert_int_equal(vmc_index_alike(f.index, &other.index), 0);

	moving.f = &f;
	moving.leaf = last;
	moving.spot = (struct vmc_index_spot){0};
	moving.stores = 0;
	moving.look_after = look_after;
	moving.missed = calloc(count, sizeof(bool));
	assert_non_null(moving.missed);
	vmc_index_move(f.index, other.index);
	moving.f = NULL;
	free(moving.missed);

	assert_int_equal(vmc_index_begin(f.index, last->hash, moving.spot,
				 leaf_match, &last->key, &where),
		0);
	vmc_index_publish(f.index, last->hash, last, note_of(last), &where);
	assert_ptr_equal(find(&f, last), last);
	check(&f);
	check_all(&other);
	vmc_index_delete(other.index, NULL, NULL);
	fixture_end(&f);
	return moving.stores > look_after;
}

static void
test_insertion_looks_at_any_time(void **state)
{
	(void)state;
	kind = VMC_INDEX_LINEAR;
	/* from few leaves to many, which another table leads to */
	for (size_t count = 2; count < 10000; count *= 4) {
		unsigned stores = 0;
		while (move_and_insert(stores, count))
			stores++;
		assert_true(stores > 0);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_insertion_looks_at_any_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
