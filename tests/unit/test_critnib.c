/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_critnib.c -- the index against a plain oracle: each leaf knows whether
 * it should be in
 */
#include "critnib_fixture.h"

static void
test_empty(void **state)
{
	struct fixture f;

	(void)state;
	fixture_start(&f, 1, hash_random);
	assert_int_equal(vmc_critnib_count(f.index), 0);
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

/* How often the number of bags has changed. */
static uint32_t
version(struct fixture *f, unsigned stripe)
{
	uint64_t size = f->index->roots.of[stripe].size;

	return (uint32_t)(size >> (SIZE_BITS + CHUNK_BITS));
}

/* The most leaves that so many bags are for, and twice the fewest. */
static uint64_t
load(uint64_t bag_count)
{
	return bag_count * 15 / 2;
}

/* Where memory is not short there is no chunk without a bag in use. */
static void
expect_no_spare_chunk(struct fixture *f, unsigned stripe)
{
	chunk *table = f->index->roots.of[stripe].table;
	uint32_t used = chunk_of(f->index, bags(f, stripe) - 1) + 1;

	for (uint32_t i = used; i < f->index->stripes[stripe].capacity; i++)
		assert_int_equal(table[i], 0);
}

/* A bag more as soon as there are too many leaves, one less at half of that. */
static void
test_number_of_bags(void **state)
{
	struct fixture f;
	uint32_t before = 1, changes = 0;

	(void)state;
	fixture_start(&f, 1000, hash_one_stripe);
	for (uint64_t count = 1; count <= f.leaf_count; count++) {
		assert_int_equal(insert(&f, &f.leaves[count - 1]), 0);
		uint32_t now = before + (count > load(before));
		changes += now != before;
		before = now;
		assert_int_equal(bags(&f, 0), now);
		assert_int_equal(version(&f, 0), changes);
		expect_no_spare_chunk(&f, 0);
	}
	for (uint64_t count = f.leaf_count; count-- > 0;) {
		assert_int_equal(take_out(&f, &f.leaves[count]), 0);
		uint32_t now = before;
		if (count == 0)
			now = 1;
		else if (before > 1)
			now -= 2 * count < load(before);
		changes += now != before || count == 0;
		before = now;
		assert_int_equal(bags(&f, 0), now);
		assert_int_equal(version(&f, 0), changes);
		expect_no_spare_chunk(&f, 0);
	}
	fixture_end(&f);
}

static void
test_growth(void **state)
{
	struct fixture f;

	(void)state;
	fixture_start(&f, 70000, hash_one_stripe);
	/* empty it is as small as it was, and grows again */
	for (int round = 0; round < 2; round++) {
		for (size_t i = 0; i < f.leaf_count; i++) {
			assert_int_equal(insert(&f, &f.leaves[i]), 0);
			f.leaves[i].in = true;
			if ((i & (i - 1)) == 0 || (i & 8191) == 0)
				check(&f);
		}
		assert_in_range(bags(&f, 0), 9300, 9400);
		assert_int_equal(bags(&f, 1), 1);
		check_all(&f);
		for (int i = 0; i < 20000; i++)
			assert_true(step(&f, 50));
		check_all(&f);
		remove_all(&f);
		assert_int_equal(f.counts.bytes, f.bytes_empty);
		assert_int_equal(bags(&f, 0), 1);
		check_all(&f);
	}
	fixture_end(&f);
}

/* Leaves that no bit tells apart are chained, and the chain goes again. */
static void
test_chains(void **state)
{
	struct fixture f;
	const size_t many = 40 * WORDS;

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
		(long)(many / 15 + 2) * (long)sizeof(bag) +
			(long)sizeof(bag) * (long)many / 7 +
			(long)chunk_size(f.index) + 2048);
	for (int i = 0; i < 4000; i++)
		assert_true(step(&f, 50));
	check_all(&f);
	remove_all(&f);
	assert_int_equal(f.counts.bytes, f.bytes_empty);
	fixture_end(&f);
}

/* Fewer leaves, fewer bags, in every order of going. */
static void
test_joining(void **state)
{
	(void)state;
	for (int order = 0; order < 3; order++) {
		struct fixture f;

		fixture_start(&f, 1024, hash_one_stripe);
		for (size_t i = 0; i < f.leaf_count; i++) {
			assert_int_equal(insert(&f, &f.leaves[i]), 0);
			f.leaves[i].in = true;
		}
		for (size_t left = f.leaf_count; left-- > 0;) {
			size_t i = order == 0 ? left : f.leaf_count - 1 - left;
			if (order == 2)
				i = left * 421 % f.leaf_count;
			assert_int_equal(take_out(&f, &f.leaves[i]), 0);
			f.leaves[i].in = false;
			if (left % 16 == 0)
				check_all(&f);
			/* 3.75 leaves a bag; one removal joins once */
			assert_in_range(bags(&f, 0), 1, left / 3 + 3);
		}
		assert_int_equal(f.counts.bytes, f.bytes_empty);
		fixture_end(&f);
	}
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

		VMC_CRITNIB_FOR_EACH(c, f.index, leaf->hash, true)
		if (c.leaf == leaf) {
			assert_int_equal(
				c.note | c.note_top << VMC_CRITNIB_NOTE_BITS,
				note_of(leaf));
			met++;
		}
		assert_int_equal(met, leaf->in);
	}
	fixture_end(&f);
}

static void
take_spots(struct fixture *f, struct vmc_critnib_spot *spots)
{
	for (size_t i = 0; i < f->leaf_count; i++)
		spots[i] = vmc_critnib_prefetch(f->index, f->leaves[i].hash);
}

static int
insert_from(struct fixture *f, struct vmc_critnib_spot spot, struct leaf *leaf)
{
	struct vmc_critnib_place where;
	int err = vmc_critnib_begin(
		f->index, leaf->hash, spot, leaf_match, &leaf->key, &where);

	if (!err)
		vmc_critnib_publish(
			f->index, leaf->hash, leaf, note_of(leaf), &where);
	return err;
}

/* Finding from there tells all leaves that are in: every so many. */
static void
find_from(struct fixture *f, const struct vmc_critnib_spot *spots, size_t every)
{
	for (size_t i = 0; i < f->leaf_count; i++) {
		struct leaf *leaf = &f->leaves[i];
		struct vmc_critnib_spot spot =
			vmc_critnib_refresh(f->index, leaf->hash, spots[i]);

		assert_ptr_equal(vmc_critnib_find_from(f->index, leaf->hash,
					 spot, leaf_match, &leaf->key),
			i % every == 0 ? leaf : NULL);
	}
}

/* Spots of before: of an empty index, of few bags, and of many. */
static void
test_spots_of_before(void **state)
{
	enum { COUNT = 5000, LEFT = 7 };
	struct vmc_critnib_spot *spots = calloc(COUNT, sizeof(*spots));
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
		count = vmc_critnib_count(f.index);
		vmc_critnib_delete(f.index, drop, &dropped);
		assert_int_equal(f.counts.objects, 0);
		assert_int_equal(dropped, count);
		for (size_t i = 0; i < f.leaf_count; i++)
			assert_int_equal(f.leaves[i].dropped, f.leaves[i].in);
		free(f.leaves);
	}
}

static void
expect_damage(struct fixture *f)
{
	assert_int_equal(vmc_critnib_check(f->index), -EINVAL);
}

/* check() must see what is wrong, or the tests above say nothing. */
static void
test_check_sees_damage(void **state)
{
	struct fixture f;

	(void)state;
	fixture_start(&f, 3 * WORDS, hash_one_stripe);
	for (size_t i = 0; i < f.leaf_count; i++)
		assert_int_equal(insert(&f, &f.leaves[i]), 0);
	check(&f);
	for (unsigned bit = 0; bit < 64; bit += 59) { /* mark, stripe */
		f.leaves[1].hash ^= UINT64_C(1) << bit;
		expect_damage(&f);
		f.leaves[1].hash ^= UINT64_C(1) << bit;
	}
	f.index->stripes[0].count++;
	expect_damage(&f);
	f.index->stripes[0].count--;
	struct vmc_critnib_root *root = &f.index->roots.of[0];
	assert_true(bags_of(root) > 2);
	for (int more = -1; more <= 1; more += 2) {
		root->size += (uint64_t)more;
		expect_damage(&f);
		root->size -= (uint64_t)more;
	}
	bag *b = bag_at(f.index, 0, 0);
	bag empty = {0};
	uint64_t last = b->word[WORDS - 1];
	b->word[WORDS - 1] = (uintptr_t)&empty | LINK;
	expect_damage(&f);
	b->word[WORDS - 1] = last;
	uint64_t first = b->word[0];
	b->word[0] = (uintptr_t)&empty | LINK;
	expect_damage(&f);
	b->word[0] = first;
	check(&f);
	fixture_end(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_random_operations),
		cmocka_unit_test(test_number_of_bags),
		cmocka_unit_test(test_growth),
		cmocka_unit_test(test_chains),
		cmocka_unit_test(test_joining),
		cmocka_unit_test(test_notes),
		cmocka_unit_test(test_spots_of_before),
		cmocka_unit_test(test_delete_drops_each),
		cmocka_unit_test(test_check_sees_damage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
