/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_critnib.c -- the trie: how it grows and shrinks, nodes and prefixes,
 * order, space
 */
#include "index_fixture.h"

#include "critnib/critnib_internal.h"

static struct node *
root(struct fixture *f, unsigned stripe)
{
	return &critnib(f->index)->stripes[stripe].root;
}

static void
put_in(struct fixture *f, struct leaf *leaf)
{
	assert_int_equal(insert(f, leaf), 0);
	leaf->in = true;
}

static void
get_out(struct fixture *f, struct leaf *leaf)
{
	assert_int_equal(take_out(f, leaf), 0);
	leaf->in = false;
}

/* A table grows with the leaves of its stripe, and goes back to one word. */
static void
test_growth(void **state)
{
	struct fixture f;

	(void)state;
	fixture_start(&f, 50000, hash_one_stripe);
	for (int round = 0; round < 2; round++) {
		for (size_t i = 0; i < f.leaf_count; i++) {
			put_in(&f, &f.leaves[i]);
			if ((i & (i - 1)) == 0 || (i & 8191) == 0)
				check(&f);
		}
		assert_in_range(k_of(root(&f, 0)), 10, 11);
		assert_int_equal(k_of(root(&f, 1)), 0);
		check_all(&f);
		for (int i = 0; i < 20000; i++)
			assert_true(step(&f, 50));
		check_all(&f);
		/*
		 * Few left: a small table, and hardly more bags than needed. A
		 * table stays as large where two halves are not joined. Since
		 * they had JOINED leaves together, no removal has left one of
		 * their bags with few leaves: ten or more must be left in them.
		 * Some 40 leaves hardly do so in one of 64 such pairs: once in
		 * a million runs.
		 */
		size_t left = 0;
		for (size_t i = 0; i < f.leaf_count; i++)
			if (f.leaves[i].in && i % 1000 != 0)
				get_out(&f, &f.leaves[i]);
			else
				left += f.leaves[i].in;
		check_all(&f);
		assert_in_range(k_of(root(&f, 0)), 0, 6);
		assert_in_range(f.counts.bytes - f.bytes_empty, 0,
			(long)(left * 96 + 4096));
		remove_all(&f);
		assert_int_equal(k_of(root(&f, 0)), 0);
		assert_int_equal(f.counts.bytes, f.bytes_empty);
	}
	fixture_end(&f);
}

/* How many nodes lead to the hash, and at which bits they branch. */
static unsigned
nodes_to(struct fixture *f, uint64_t hash, unsigned *skip)
{
	const struct node *node = root_of(critnib(f->index), hash);
	unsigned count = 0;

	while (node && leads_to(hash, node)) {
		const bag *b = vmc_critnib_bag_of(
			group_of(node, hash), rest_of(node, hash));
		skip[count++] = node->skip;
		node = b ? node_below(b) : NULL;
	}
	return count;
}

/*
 * Leaves that differ from some bit on only: one node, at the nibble of that
 * bit; one more leaf that differs before: another one above it, which goes
 * with that leaf.
 */
static void
test_nodes_branch_where_hashes_differ(void **state)
{
	(void)state;
	for (unsigned bit = 12; bit < 59; bit++) {
		struct fixture f;
		unsigned skip[DEPTH];

		fixture_start(&f, 40, hash_random);
		uint64_t prefix = f.leaves[0].hash;
		for (uint64_t i = 0; i < 32; i++) {
			f.leaves[i].hash = (prefix & ~(UINT64_MAX >> bit)) |
					   i << 59 >> bit;
			put_in(&f, &f.leaves[i]);
			check(&f);
		}
		assert_int_equal(nodes_to(&f, f.leaves[0].hash, skip), 2);
		assert_int_equal(skip[1], bit / 4 * 4);
		for (unsigned before = 8; before < bit; before++) {
			struct leaf *other = &f.leaves[32];
			other->hash =
				f.leaves[0].hash ^ UINT64_C(1) << (63 - before);
			put_in(&f, other);
			check_all(&f);
			unsigned count = nodes_to(&f, f.leaves[0].hash, skip);
			assert_in_range(count, 2, 3);
			assert_int_equal(skip[count - 1], bit / 4 * 4);
			get_out(&f, other);
			check_all(&f);
			assert_int_equal(
				nodes_to(&f, f.leaves[0].hash, skip), 2);
		}
		/* few leaves need no node */
		for (size_t i = 31; i >= 8; i--) {
			get_out(&f, &f.leaves[i]);
			check_all(&f);
		}
		assert_int_equal(nodes_to(&f, f.leaves[0].hash, skip), 1);
		remove_all(&f);
		assert_int_equal(f.counts.bytes, f.bytes_empty);
		fixture_end(&f);
	}
}

struct order {
	uint64_t last;
	size_t met;
};

static void
expect_order(void *leaf, void *arg)
{
	struct order *o = arg;

	assert_true(((const struct leaf *)leaf)->hash >= o->last);
	o->last = ((const struct leaf *)leaf)->hash;
	o->met++;
}

static void
test_walk_is_in_order(void **state)
{
	(void)state;
	for (size_t shape = 0; shape < SHAPES; shape++) {
		struct order o = {0, 0};
		struct fixture f;
		uint64_t at = 0;

		fixture_start(&f, 3000, shapes[shape]);
		for (size_t i = 0; i < f.leaf_count; i++)
			put_in(&f, &f.leaves[i]);
		do
			vmc_index_walk(f.index, &at, expect_order, &o);
		while (at);
		assert_int_equal(o.met, f.leaf_count);
		fixture_end(&f);
	}
}

/* What was retired, for the readers that there might be. */
static struct retired {
	void *ptr;
	size_t size;
} retired[10000];
static size_t retired_count;

static void
retire_later(void *ctx, void *ptr, size_t size)
{
	(void)ctx;
	assert_true(retired_count < sizeof(retired) / sizeof(retired[0]));
	retired[retired_count++] = (struct retired){ptr, size};
}

static void
free_retired(struct fixture *f)
{
	for (; retired_count > 0; retired_count--)
		testing_free(&f->counts, retired[retired_count - 1].ptr,
			retired[retired_count - 1].size);
}

static bool
is_found_from(
	struct fixture *f, const struct leaf *leaf, struct vmc_index_spot spot)
{
	VMC_INDEX_FOR_EACH_FROM(c, f->index, leaf->hash, spot, false)
	{
		if (c.leaf == leaf)
			return true;
	}
	return false;
}

/* All leaves come, or go, but for those that stay. */
static void
exchange_from_old_spots(struct fixture *f, size_t stays, bool come)
{
	struct vmc_index_spot *spots = calloc(f->leaf_count, sizeof(*spots));
	size_t done = 0;

	assert_non_null(spots);
	while (done < f->leaf_count) {
		size_t batch = 1 + testing_below(&f->random, 300);
		for (size_t i = 0; i < f->leaf_count; i += stays)
			spots[i] =
				vmc_index_spot_of(f->index, f->leaves[i].hash);
		for (; done < f->leaf_count && batch > 0; done++, batch--)
			if (done % stays == 0)
				continue;
			else if (come)
				put_in(f, &f->leaves[done]);
			else
				get_out(f, &f->leaves[done]);
		for (size_t i = 0; i < f->leaf_count; i += stays)
			assert_true(is_found_from(f, &f->leaves[i], spots[i]));
		free_retired(f);
	}
	free(spots);
	check_all(f);
}

/*
 * A reader who has found the first bag, and goes on much later: the leaves that
 * have been there all the while are where he looks.
 */
static void
test_reader_who_takes_long(void **state)
{
	(void)state;
	for (size_t shape = 0; shape < SHAPES; shape++) {
		const size_t stays = 50;
		struct fixture f;

		fixture_prepare(&f, 3000, shapes[shape]);
		f.memory.retire = retire_later;
		fixture_make(&f);
		for (size_t i = 0; i < f.leaf_count; i += stays)
			put_in(&f, &f.leaves[i]);
		for (int round = 0; round < 2; round++) {
			exchange_from_old_spots(&f, stays, true);
			exchange_from_old_spots(&f, stays, false);
		}
		fixture_end(&f);
	}
}

/* Bytes a leaf, as filled and after churn, whatever the number. */
static void
test_space(void **state)
{
	static const size_t sizes[] = {60000, 80000, 120000};

	(void)state;
	for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
		struct fixture f;
		size_t half = sizes[s];

		fixture_start(&f, 2 * half, hash_random);
		for (size_t i = 0; i < half; i++)
			put_in(&f, &f.leaves[i]);
		assert_in_range(
			f.counts.bytes - f.bytes_empty, 0, 18 * (long)half);
		for (size_t i = 0; i < half; i++) {
			get_out(&f, &f.leaves[i]);
			put_in(&f, &f.leaves[half + i]);
		}
		assert_in_range(
			f.counts.bytes - f.bytes_empty, 0, 20 * (long)half);
		check(&f);
		fixture_end(&f);
	}
}

static void
expect_damage(struct fixture *f)
{
	assert_int_equal(vmc_index_check(f->index), -EINVAL);
}

/* check() must see what is wrong, or the tests above say nothing. */
static void
test_check_sees_damage(void **state)
{
	static const unsigned bits[] = {0, 46, 54, 60};
	struct fixture f;

	(void)state;
	fixture_start(&f, 20000, hash_one_stripe);
	for (size_t i = 0; i < f.leaf_count; i++)
		put_in(&f, &f.leaves[i]);
	check(&f);
	/* of the mark, the nibble, the table and the stripe */
	for (size_t i = 0; i < sizeof(bits) / sizeof(bits[0]); i++) {
		f.leaves[1].hash ^= UINT64_C(1) << bits[i];
		expect_damage(&f);
		f.leaves[1].hash ^= UINT64_C(1) << bits[i];
	}
	struct node *node = root(&f, 0);
	node->count++;
	expect_damage(&f);
	node->count--;
	node->deepest++;
	expect_damage(&f);
	node->deepest--;
	group *at = group_at(node, f.leaves[0].hash);
	uint64_t g = *at;
	/* the leaves of another group */
	*at = group_of(node, f.leaves[0].hash ^ UINT64_C(1) << 55);
	expect_damage(&f);
	*at = g;
	bag *b = vmc_bag_address(g);
	uint64_t first = b->word[0];
	b->word[0] = (uintptr_t)b | LINK;
	expect_damage(&f);
	b->word[0] = first;
	check(&f);
	fixture_end(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_growth),
		cmocka_unit_test(test_nodes_branch_where_hashes_differ),
		cmocka_unit_test(test_walk_is_in_order),
		cmocka_unit_test(test_reader_who_takes_long),
		cmocka_unit_test(test_space),
		cmocka_unit_test(test_check_sees_damage),
	};

	kind = VMC_INDEX_CRITNIB;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
