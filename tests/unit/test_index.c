/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_index.c -- the index against a plain oracle: each leaf knows whether
 * it should be in
 */
#include "index_fixture.h"

static void
test_empty(void **state)
{
	struct fixture f;

	(void)state;
	fixture_start(&f, 1, hash_random);
	assert_int_equal(vmc_index_count(f.index), 0);
	assert_null(find(&f, &f.leaves[0]));
	assert_int_equal(take_out(&f, &f.leaves[0]), -ENOENT);
	check(&f);
	fixture_end(&f);
}

static void
test_random_operations(void **state)
{
	static const uint64_t insertions[] = {80, 50, 20, 50};

	(void)state;
	for (size_t shape = 0; shape < SHAPES; shape++) {
		struct fixture f;

		fixture_start(&f, 300, shapes[shape]);
		for (int i = 0; i < 2000; i++) {
			assert_true(step(&f, insertions[i / 500]));
			check(&f);
		}
		check_all(&f);
		remove_all(&f);
		assert_int_equal(f.counts.bytes, f.bytes_empty);
		fixture_end(&f);
	}
}

/* Leaves that no bit tells apart are chained, and the chain goes again. */
static void
test_chains(void **state)
{
	struct fixture f;
	const size_t many = 40 * VMC_BAG_WORDS;

	(void)state;
	fixture_start(&f, many, hash_random);
	for (size_t i = 0; i < many; i++) {
		f.leaves[i].hash = UINT64_C(0x1234567887654321);
		assert_int_equal(insert(&f, &f.leaves[i]), 0);
		f.leaves[i].in = true;
	}
	check_all(&f);
	/* 15 leaves a chained bag, bags by their number, and a chunk */
	assert_in_range(f.counts.bytes - f.bytes_empty, 0,
		(long)(many / 15 + many / 7 + 128) *
				(long)sizeof(struct vmc_bag) +
			2048);
	for (int i = 0; i < 4000; i++)
		assert_true(step(&f, 50));
	check_all(&f);
	remove_all(&f);
	assert_int_equal(f.counts.bytes, f.bytes_empty);
	fixture_end(&f);
}

/* A find tells the note that came with the leaf, wherever it is now. */
static void
test_notes(void **state)
{
	struct fixture f;

	(void)state;
	fixture_start(&f, 20000, hash_one_stripe);
	for (size_t i = 0; i < f.leaf_count; i++) {
		assert_int_equal(insert(&f, &f.leaves[i]), 0);
		f.leaves[i].in = true;
	}
	for (int i = 0; i < 20000; i++)
		assert_true(step(&f, i < 10000 ? 10 : 60));
	for (size_t i = 0; i < f.leaf_count; i++) {
		const struct leaf *leaf = &f.leaves[i];
		unsigned met = 0;

		VMC_INDEX_FOR_EACH(c, f.index, leaf->hash, true)
		if (c.leaf == leaf) {
			assert_int_equal(
				c.note | c.note_top << VMC_BAG_NOTE_BITS,
				note_of(leaf));
			met++;
		}
		assert_int_equal(met, leaf->in);
	}
	fixture_end(&f);
}

/* All of one index are in the other, as they were, and nothing stays behind. */
static void
test_move(void **state)
{
	(void)state;
	for (size_t shape = 0; shape < SHAPES; shape++) {
		struct fixture f, other;

		/* from few leaves to many, which another table leads to */
		for (size_t count = 1; count < 1000; count *= 7) {
			fixture_start(&f, count, shapes[shape]);
			for (size_t i = 0; i < 2 * count; i++)
				assert_true(step(&f, 80));
			long bytes = f.counts.bytes;
			other = f;
			assert_int_equal(
				vmc_index_alike(f.index, &other.index), 0);
			assert_int_equal(f.counts.bytes, bytes + f.bytes_empty);
			for (unsigned i = 0; i < 3; i++) {
				vmc_index_move(f.index, other.index);
				assert_int_equal(vmc_index_count(f.index), 0);
				check(&f);
				check_all(&other);
				vmc_index_move(other.index, f.index);
				check(&other);
				check_all(&f);
			}
			vmc_index_move(f.index, other.index);
			/* both are in use as before */
			for (size_t i = 0; i < count; i++)
				assert_null(find(&f, &f.leaves[i]));
			for (size_t i = 0; i < count; i++)
				assert_true(step(&other, 50));
			check_all(&other);
			remove_all(&other);
			assert_int_equal(f.counts.bytes, 2 * f.bytes_empty);
			for (size_t i = 0; i < count; i++)
				assert_true(step(&f, 60));
			check_all(&f);
			vmc_index_delete(other.index, NULL, NULL);
			fixture_end(&f);
		}
	}
}

static void
take_spots(struct fixture *f, struct vmc_index_spot *spots)
{
	for (size_t i = 0; i < f->leaf_count; i++)
		spots[i] = vmc_index_prefetch(f->index, f->leaves[i].hash);
}

static int
insert_from(struct fixture *f, struct vmc_index_spot spot, struct leaf *leaf)
{
	struct vmc_index_place where;
	int err = vmc_index_begin(
		f->index, leaf->hash, spot, leaf_match, &leaf->key, &where);

	if (!err)
		vmc_index_publish(
			f->index, leaf->hash, leaf, note_of(leaf), &where);
	return err;
}

/* Finding from there tells all leaves that are in: every so many. */
static void
find_from(struct fixture *f, const struct vmc_index_spot *spots, size_t every)
{
	for (size_t i = 0; i < f->leaf_count; i++) {
		struct leaf *leaf = &f->leaves[i];
		struct vmc_index_spot spot =
			vmc_index_refresh(f->index, leaf->hash, spots[i]);

		assert_ptr_equal(vmc_index_find_from(f->index, leaf->hash, spot,
					 leaf_match, &leaf->key),
			i % every == 0 ? leaf : NULL);
	}
}

/* Spots of before: of an empty index, of few bags, and of many. */
static void
test_spots_of_before(void **state)
{
	enum { COUNT = 5000, LEFT = 7 };
	struct vmc_index_spot *spots = calloc(COUNT, sizeof(*spots));
	struct fixture f;

	(void)state;
	assert_non_null(spots);
	fixture_start(&f, 1, hash_one_stripe);
	take_spots(&f, spots);
	assert_int_equal(insert_from(&f, spots[0], &f.leaves[0]), 0);
	/* the number of bags is still 1 */
	find_from(&f, spots, 1);
	fixture_end(&f);

	fixture_start(&f, COUNT, hash_one_stripe);
	for (int round = 0; round < 2; round++) {
		take_spots(&f, spots);
		for (size_t i = 0; i < COUNT; i++) {
			if (round == 1)
				take_out(&f, &f.leaves[i]);
			else
				insert(&f, &f.leaves[i]);
		}
		for (size_t i = 0; i < COUNT && round == 1; i++)
			assert_int_equal(
				insert_from(&f, spots[i], &f.leaves[i]), 0);
		find_from(&f, spots, 1);
		for (size_t i = 0; i < COUNT; i++)
			assert_int_equal(
				insert_from(&f, spots[i], &f.leaves[i]),
				-EEXIST);
		check(&f);
	}
	take_spots(&f, spots);
	for (size_t i = 0; i < COUNT; i++)
		if (i % LEFT != 0)
			assert_int_equal(take_out(&f, &f.leaves[i]), 0);
	find_from(&f, spots, LEFT);
	for (size_t i = 0; i < COUNT; i++)
		assert_int_equal(insert_from(&f, spots[i], &f.leaves[i]),
			i % LEFT != 0 ? 0 : -EEXIST);
	check(&f);
	fixture_end(&f);
	free(spots);
}

static void
drop(void *leaf, void *arg)
{
	((struct leaf *)leaf)->dropped++;
	++*(uint64_t *)arg;
}

static void
test_delete_drops_each(void **state)
{
	(void)state;
	for (size_t shape = 0; shape < SHAPES; shape++) {
		struct fixture f;
		uint64_t dropped = 0, count;

		fixture_start(&f, 1000, shapes[shape]);
		for (int i = 0; i < 2000; i++)
			assert_true(step(&f, 60));
		count = vmc_index_count(f.index);
		vmc_index_delete(f.index, drop, &dropped);
		assert_int_equal(f.counts.objects, 0);
		assert_int_equal(dropped, count);
		for (size_t i = 0; i < f.leaf_count; i++)
			assert_int_equal(f.leaves[i].dropped, f.leaves[i].in);
		free(f.leaves);
	}
}

/* What a step of a walk hands over lies between two positions. */
struct step_of_walk {
	struct fixture *f;
	uint64_t from;
	uint64_t last; /* that was met so far */
	size_t met;
};

static void
meet(void *arg_leaf, void *arg)
{
	struct leaf *leaf = arg_leaf;
	struct step_of_walk *s = arg;
	uint64_t position = vmc_index_position(s->f->index, leaf->hash);

	assert_true(leaf->in);
	assert_true(position >= s->from);
	if (position > s->last)
		s->last = position;
	leaf->met++;
	s->met++;
}

/* False: that was the end. */
static bool
walk_on(struct fixture *f, uint64_t *position)
{
	struct step_of_walk s = {f, *position, 0, 0};
	size_t met = vmc_index_walk(f->index, position, meet, &s);

	assert_int_equal(met, s.met);
	if (*position == 0)
		return false;
	assert_true(met > 0);
	assert_true(*position > s.last);
	return true;
}

/* From any position on: each leaf from there on once, in order of the steps. */
static void
test_walk(void **state)
{
	(void)state;
	for (size_t shape = 0; shape < SHAPES; shape++) {
		struct fixture f;

		fixture_start(&f, 1000, shapes[shape]);
		for (int round = 0; round < 6; round++) {
			uint64_t from = round == 0
						? 0
						: vmc_index_position(f.index,
							  f.leaves[round].hash);
			uint64_t position = from;

			for (size_t i = 0; i < f.leaf_count; i++)
				f.leaves[i].met = 0;
			while (walk_on(&f, &position))
				;
			for (size_t i = 0; i < f.leaf_count; i++) {
				struct leaf *leaf = &f.leaves[i];
				uint64_t at =
					vmc_index_position(f.index, leaf->hash);
				assert_int_equal(
					leaf->met, leaf->in && at >= from);
			}
			for (int i = 0; i < 500; i++)
				assert_true(step(&f, round < 3 ? 90 : 30));
		}
		fixture_end(&f);
	}
}

/*
 * While half of the leaves come and go, so that the index grows and shrinks,
 * each of the other half is met once.
 */
static void
test_walk_while_it_changes(void **state)
{
	(void)state;
	for (size_t n = 0; n < 2 * SHAPES; n++) {
		struct fixture f;
		uint64_t position = 0;
		size_t staying;

		fixture_start(&f, 3000, shapes[n / 2]);
		staying = n % 2 ? 1000 : 100;
		for (size_t i = 0; i < staying; i++) {
			assert_int_equal(insert(&f, &f.leaves[i]), 0);
			f.leaves[i].in = true;
		}
		for (bool on = true; on;) {
			/* of the first half of the positions they come */
			bool wish = position >> 63 == 0;
			for (int i = 0; i < 60; i++) {
				struct leaf *leaf =
					&f.leaves[staying +
						  testing_below(&f.random,
							  f.leaf_count -
								  staying)];
				if (leaf->in == wish)
					continue;
				assert_int_equal(wish ? insert(&f, leaf)
						      : take_out(&f, leaf),
					0);
				leaf->in = wish;
			}
			on = walk_on(&f, &position);
		}
		for (size_t i = 0; i < f.leaf_count; i++)
			if (i < staying)
				assert_int_equal(f.leaves[i].met, 1);
			else
				assert_in_range(f.leaves[i].met, 0, 1);
		check_all(&f);
		fixture_end(&f);
	}
}

/* A leaf in the place of another one: nothing else changes, no memory. */
static void
test_exchange(void **state)
{
	(void)state;
	for (size_t shape = 0; shape < SHAPES; shape++) {
		struct fixture f;

		fixture_start(&f, 600, shapes[shape]);
		/* a twin of each second leaf */
		for (size_t i = 0; i < f.leaf_count; i += 2) {
			f.leaves[i + 1].hash = f.leaves[i].hash;
			assert_int_equal(insert(&f, &f.leaves[i]), 0);
			f.leaves[i].in = true;
		}
		f.counts.fail_at = -2;
		for (size_t i = 0; i < f.leaf_count; i += 2) {
			struct leaf *old = &f.leaves[i], *new = old + 1;
			assert_int_equal(vmc_index_exchange(f.index, old->hash,
						 old, new, note_of(new)),
				0);
			assert_int_equal(vmc_index_exchange(f.index, old->hash,
						 old, new, note_of(new)),
				-ENOENT);
			old->in = false;
			new->in = true;
		}
		check_all(&f);
		f.counts.fail_at = -1;
		fixture_end(&f);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_walk),
		cmocka_unit_test(test_walk_while_it_changes),
		cmocka_unit_test(test_exchange),
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_random_operations),
		cmocka_unit_test(test_chains),
		cmocka_unit_test(test_notes),
		cmocka_unit_test(test_move),
		cmocka_unit_test(test_spots_of_before),
		cmocka_unit_test(test_delete_drops_each),
	};

	kind = VMC_INDEX_LINEAR;
	int failed = cmocka_run_group_tests_name(
		"linear hashing", tests, NULL, NULL);
	kind = VMC_INDEX_CRITNIB;
	return failed +
	       cmocka_run_group_tests_name("critnib", tests, NULL, NULL);
}
