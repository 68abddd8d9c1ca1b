/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_order.c -- leaves in the order of their keys, against a sorted array
 */
#include "order_fixture.h"

struct met {
	const struct leaf **leaves;
	size_t count, most;
};

static bool
meet(const void *leaf, void *arg)
{
	struct met *met = arg;

	met->leaves[met->count++] = leaf;
	return met->count < met->most;
}

/* All from there on, in walks of so many at most, as the array has them. */
static void
compare(struct fixture *f, struct vmc_order_key from, bool behind, size_t most)
{
	const struct leaf **leaves = calloc(f->leaf_count + 1, sizeof(*leaves));
	struct met met = {.leaves = leaves};
	bool all = false;
	size_t k = 0;

	assert_non_null(leaves);
	struct vmc_order_key next = from;
	bool next_behind = behind;
	while (!all) {
		met.most = met.count + most;
		vmc_epoch_enter(f->thread);
		all = vmc_order_walk(f->order, next, next_behind, meet, &met);
		vmc_epoch_exit(f->thread);
		if (met.count == 0)
			break;
		next = key_of_leaf(leaves[met.count - 1]);
		next_behind = true;
	}
	assert_true(all);
	for (size_t i = 0; i < f->leaf_count; i++) {
		int order = compare_keys(key_of_leaf(f->leaves[i]), from);
		if (!f->leaves[i]->in || order < 0 || (behind && order == 0))
			continue;
		assert_true(k < met.count);
		assert_ptr_equal(leaves[k++], f->leaves[i]);
	}
	assert_int_equal(k, met.count);
	free(leaves);
}

static void
compare_somewhere(struct fixture *f, key_fn *shape)
{
	static unsigned char key[KEY_MOST + 1];
	struct vmc_order_key from = {key, shape(&f->random, key)};
	struct leaf *leaf = f->leaves[testing_below(&f->random, f->leaf_count)];
	bool behind = testing_below(&f->random, 2);

	compare(f, (struct vmc_order_key){NULL, 0}, false, SIZE_MAX / 2);
	compare(f, from, behind, 1 + testing_below(&f->random, 300));
	from.size = testing_below(&f->random, from.size + 1);
	compare(f, from, behind, SIZE_MAX / 2);
	compare(f, key_of_leaf(leaf), behind, 7);
}

static void
test_against_sorted_array(void **state)
{
	(void)state;
	for (size_t shape = 0; shape < SHAPES; shape++) {
		struct fixture f;
		uint64_t steps = testing_operations(30000);

		fixture_start(&f, shapes[shape] == key_long ? 300 : 2000,
			shapes[shape]);
		if (shapes[shape] == key_long || shapes[shape] == key_zeros)
			steps /= 10;
		for (uint64_t i = 0; i < steps; i++) {
			/* it grows and shrinks in turn */
			bool grows = i / (1 + f.leaf_count * 2) % 2 == 0;
			struct leaf *leaf = f.leaves[testing_below(
				&f.random, f.leaf_count)];
			if (testing_below(&f.random, 10) < (grows ? 7 : 3))
				set(&f, leaf);
			else
				take_out(&f, leaf);
			if (testing_below(&f.random, 1 + steps / 30) == 0) {
				check(&f);
				compare_somewhere(&f, shapes[shape]);
			}
		}
		check(&f);
		for (size_t i = 0; i < f.leaf_count; i++)
			take_out(&f, f.leaves[i]);
		check(&f);
		compare_somewhere(&f, shapes[shape]);
		fixture_end(&f);
	}
}

/* Another leaf of the same key takes its place, and only that one leaves it. */
static void
test_same_key(void **state)
{
	struct fixture f;

	(void)state;
	fixture_start(&f, 100, key_short);
	for (size_t i = 0; i < f.leaf_count; i++)
		set(&f, f.leaves[i]);
	for (size_t i = 0; i < f.leaf_count; i++) {
		struct leaf *old = f.leaves[i];
		struct leaf *new = make_leaf(old->key, old->size, 1000 + i);
		set(&f, new);
		f.leaves[i] = new;
		vmc_order_remove(f.order, f.thread, old);
		check(&f);
		compare(&f, key_of_leaf(new), false, SIZE_MAX / 2);
		free(old);
	}
	fixture_end(&f);
}

/* Each key a prefix of the next one, and so a node below the other. */
static void
test_as_deep_as_keys_are_long(void **state)
{
	static const unsigned char zeros[KEY_MOST];
	const size_t depth = testing_operations(20000);
	struct fixture f;
	struct met met = {.most = SIZE_MAX};

	(void)state;
	fixture_start(&f, 1, key_short);
	free(f.leaves[0]);
	free(f.leaves);
	f.leaves = calloc(depth, sizeof(struct leaf *));
	met.leaves = calloc(depth, sizeof(struct leaf *));
	assert_true(f.leaves && met.leaves);
	f.leaf_count = depth;
	for (size_t i = 0; i < depth; i++)
		f.leaves[i] = make_leaf(zeros, i, i);
	/* at the top each time: it is deep, but quickly made */
	for (size_t i = depth; i-- > 0;)
		set(&f, f.leaves[i]);
	struct vmc_order_key from = {zeros, depth - 500};
	vmc_epoch_enter(f.thread);
	while (!vmc_order_walk(f.order, from, met.count > 0, meet, &met))
		from = key_of_leaf(met.leaves[met.count - 1]);
	vmc_epoch_exit(f.thread);
	assert_int_equal(met.count, 500);
	for (size_t i = 0; i < met.count; i++)
		assert_ptr_equal(met.leaves[i], f.leaves[depth - 500 + i]);
	for (size_t i = 0; i < depth / 2; i++)
		take_out(&f, f.leaves[i]);
	free(met.leaves);
	fixture_end(&f);
}

/* It looks at what it shows and at little else, however much else there is. */
static void
test_walk_looks_at_few(void **state)
{
	const char first[] = "user:0777";
	struct fixture f;
	struct met met = {.most = 50};

	(void)state;
	fixture_start(&f, testing_operations(200000), key_counting);
	met.leaves = calloc(met.most, sizeof(struct leaf *));
	assert_non_null(met.leaves);
	for (size_t i = 0; i < f.leaf_count; i++)
		set(&f, f.leaves[i]);
	keys_asked = 0;
	vmc_epoch_enter(f.thread);
	assert_false(vmc_order_walk(f.order,
		(struct vmc_order_key){first, sizeof(first) - 1}, false, meet,
		&met));
	vmc_epoch_exit(f.thread);
	assert_int_equal(met.count, 50);
	assert_true(keys_asked <= 1);
	/* a key comes and goes by one or two comparisons */
	keys_asked = 0;
	take_out(&f, f.leaves[f.leaf_count / 2]);
	set(&f, f.leaves[f.leaf_count / 2]);
	assert_true(keys_asked <= 3);
	free(met.leaves);
	fixture_end(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_against_sorted_array),
		cmocka_unit_test(test_same_key),
		cmocka_unit_test(test_as_deep_as_keys_are_long),
		cmocka_unit_test(test_walk_looks_at_few),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
