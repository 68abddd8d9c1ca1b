/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_order_memory.c -- what a key costs, and no memory
 */
#include "order_fixture.h"

/* As allocators round up: to multiples of 16, from 128 on of 32. */
static void *
alloc_rounded(void *ctx, size_t size)
{
	return testing_alloc(
		ctx, size <= 128 ? (size + 15) & ~15u : (size + 31) & ~31u);
}

static void
free_rounded(void *ctx, void *ptr, size_t size)
{
	testing_free(ctx, ptr,
		size <= 128 ? (size + 15) & ~15u : (size + 31) & ~31u);
}

static size_t
key_in_turn(uint64_t *random, unsigned char *key)
{
	static unsigned number;

	(void)random;
	return (size_t)snprintf(
		(char *)key, KEY_MOST, "user:%06u:x", number++ % 1000000);
}

/* The contract: at most 24 bytes a key at a million keys of 16 bytes. */
static void
bytes_of(key_fn *shape, const char *name, size_t count)
{
	struct fixture f;

	fixture_start(&f, 1, shape);
	vmc_order_delete(f.order);
	f.memory.alloc = alloc_rounded;
	f.memory.free = f.memory.retire = free_rounded;
	assert_int_equal(vmc_order_new(&f.order, key_of_leaf, &f.memory), 0);
	f.leaves = realloc(f.leaves, count * sizeof(struct leaf *));
	assert_non_null(f.leaves);
	free(f.leaves[0]);
	f.leaf_count = count;
	for (size_t i = 0; i < count; i++) {
		unsigned char key[32];
		size_t size = shape(&f.random, key);
		f.leaves[i] = make_leaf(key, size, i);
		set(&f, f.leaves[i]);
	}
	double bytes = (double)f.counts.bytes / (double)count;
	printf("%s keys, %zu: %.1f bytes a key\n", name, count, bytes);
	assert_true(bytes <= 24);
	/* half of them go, in no order: no more than what was there */
	for (size_t i = 0; i < count; i += 2)
		take_out(&f, f.leaves[i]);
	double left = (double)f.counts.bytes / (double)(count / 2);
	printf("half of them: %.1f bytes a key\n", left);
	assert_true(left <= 32);
	fixture_end(&f);
}

static void
test_bytes_of_random_keys(void **state)
{
	(void)state;
	bytes_of(key_random, "random", testing_operations(1000000));
}

static void
test_bytes_of_counting_keys(void **state)
{
	(void)state;
	bytes_of(key_in_turn, "counting", testing_operations(1000000));
}

/* A stock is completed, or nothing is lost; removing needs no memory. */
static void
test_no_memory(void **state)
{
	struct fixture f;

	(void)state;
	fixture_start(&f, 500, key_short);
	vmc_order_delete(f.order);
	for (long fail = 0; fail < 2; fail++) {
		f.counts.fail_at = fail;
		assert_int_equal(
			vmc_order_new(&f.order, key_of_leaf, &f.memory),
			-ENOMEM);
		assert_int_equal(f.counts.objects, 0);
	}
	f.counts.fail_at = -1;
	assert_int_equal(vmc_order_new(&f.order, key_of_leaf, &f.memory), 0);
	for (size_t i = 0; i < f.leaf_count; i++) {
		f.counts.fail_at = (long)testing_below(&f.random, 5);
		if (vmc_order_stock(f.order, &f.stock) == 0) {
			vmc_order_set(f.order, f.thread, &f.stock, f.leaves[i]);
			f.leaves[i]->in = true;
		}
		check(&f);
	}
	f.counts.fail_at = -2;
	for (size_t i = 0; i < f.leaf_count; i++) {
		if (f.leaves[i]->in)
			take_out(&f, f.leaves[i]);
		check(&f);
	}
	fixture_end(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bytes_of_random_keys),
		cmocka_unit_test(test_bytes_of_counting_keys),
		cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
