/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_index_memory.c -- the memory of the index: what it takes, where it
 * lies, and what happens when there is none
 */
#include "index_fixture.h"

/* Random operations with memory that runs out at some allocation of a step. */
static void
test_random_operations_without_memory(void **state)
{
	unsigned short_of_memory = 0;

	(void)state;
	for (size_t shape = 0; shape < SHAPES; shape++) {
		struct fixture f;

		fixture_start(&f, 600, shapes[shape]);
		for (int i = 0; i < 3000; i++) {
			long before = f.counts.bytes;
			/* none left; all there is; the first, the second */
			f.counts.fail_at =
				(long)testing_below(&f.random, 4) - 2;
			if (!step(&f, i < 1500 ? 80 : 40)) {
				short_of_memory++;
				/* a table or a bag was added; or others made */
				assert_true(f.counts.bytes >= before ||
					    kind == VMC_INDEX_CRITNIB);
			}
			check(&f);
		}
		f.counts.fail_at = -1;
		check_all(&f);
		/* without any memory at all, down to nothing but roots */
		f.counts.fail_at = -2;
		remove_all(&f);
		check_all(&f);
		assert_int_equal(f.counts.bytes, f.bytes_empty);
		fixture_end(&f);
	}
	assert_true(short_of_memory > 0);
}

static void
test_new_without_memory(void **state)
{
	struct testing_memory counts;
	struct vmc_memory memory = testing_memory_of(&counts);
	struct vmc_index *index;
	int err = -ENOMEM;

	(void)state;
	for (long n = 0; err; n++) {
		counts.fail_at = n;
		err = vmc_index_new(&index, kind, 1, leaf_hash, NULL, &memory);
		assert_true(err == 0 || err == -ENOMEM);
		assert_true(err == 0 || counts.objects == 0);
	}
	assert_int_equal(counts.objects, 1);
	vmc_index_delete(index, NULL, NULL);
	assert_int_equal(counts.objects, 0);
}

#define TOO_HIGH (UINT64_C(1) << VMC_BAG_ADDRESS_BITS)

static unsigned calls_of_high;

/* Every second allocation is above what a word can hold. */
static void *
alloc_high(void *ctx, size_t size)
{
	uintptr_t p = (uintptr_t)testing_alloc(ctx, size);

	return (void *)(calls_of_high++ % 2 ? p | TOO_HIGH : p);
}

static void
free_high(void *ctx, void *ptr, size_t size)
{
	testing_free(ctx, (void *)((uintptr_t)ptr & ~TOO_HIGH), size);
}

static void
test_memory_too_high(void **state)
{
	struct fixture f;
	unsigned failed = 0;

	(void)state;
	fixture_prepare(&f, 600, hash_clustered);
	f.memory.alloc = alloc_high;
	f.memory.free = free_high;
	f.memory.retire = free_high;
	calls_of_high = 0;
	fixture_make(&f);
	for (size_t i = 0; i < f.leaf_count; i++) {
		struct leaf *leaf = &f.leaves[i];
		long before = f.counts.objects;
		int err = insert(&f, leaf);

		if (err) {
			assert_int_equal(err, -ENOMEM);
			assert_int_equal(f.counts.objects, before);
			failed++;
		}
		leaf->in = err == 0;
		check(&f);
	}
	assert_true(failed > 0 && failed < f.leaf_count);
	check_all(&f);
	remove_all(&f);
	assert_int_equal(f.counts.bytes, f.bytes_empty);
	fixture_end(&f);
}

/* Every allocation that an insertion makes fails once. */
static void
test_insert_without_memory(void **state)
{
	struct fixture f;
	long most = 0;

	(void)state;
	fixture_start(&f, 200, hash_one_stripe);
	for (size_t i = 0; i < f.leaf_count; i++) {
		struct leaf *leaf = &f.leaves[i];
		int err = -ENOMEM;

		for (long n = 0; err; n++) {
			long before = f.counts.bytes;
			f.counts.fail_at = n;
			err = insert(&f, leaf);
			f.counts.fail_at = -1;
			leaf->in = err == 0;
			if (err) {
				assert_int_equal(err, -ENOMEM);
				if (kind == VMC_INDEX_LINEAR)
					assert_int_equal(
						f.counts.bytes, before);
			}
			check_all(&f);
			most = n > most ? n : most;
		}
	}
	assert_true(most >= 1);
	fixture_end(&f);
}

/* A leaf goes back into the place of a removed one without an allocation. */
static void
test_place_used_again(void **state)
{
	struct fixture f;

	(void)state;
	fixture_start(&f, VMC_BAG_WORDS, hash_random);
	for (uint64_t i = 0; i < VMC_BAG_WORDS; i++) {
		f.leaves[i].hash = i << 48;
		assert_int_equal(insert(&f, &f.leaves[i]), 0);
	}
	f.counts.fail_at = -2;
	for (uint64_t i = 0; i < VMC_BAG_WORDS; i++) {
		assert_int_equal(take_out(&f, &f.leaves[i]), 0);
		assert_null(find(&f, &f.leaves[i]));
		assert_int_equal(insert(&f, &f.leaves[i]), 0);
		assert_ptr_equal(find(&f, &f.leaves[i]), &f.leaves[i]);
		check(&f);
	}
	fixture_end(&f);
}

/* What a leaf takes of bags, tables and nodes, beside what is always there. */
static void
test_bytes_a_leaf(void **state)
{
	struct fixture f;
	const long most = kind == VMC_INDEX_CRITNIB ? 19 : 40;

	(void)state;
	fixture_start(&f, 200000, hash_random);
	for (size_t i = 0; i < f.leaf_count; i++) {
		assert_int_equal(insert(&f, &f.leaves[i]), 0);
		f.leaves[i].in = true;
	}
	long bytes = f.counts.bytes - f.bytes_empty;
	print_message(
		"%.1f bytes a leaf\n", (double)bytes / (double)f.leaf_count);
	assert_true(bytes <= most * (long)f.leaf_count);
	remove_all(&f);
	fixture_end(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_operations_without_memory),
		cmocka_unit_test(test_new_without_memory),
		cmocka_unit_test(test_memory_too_high),
		cmocka_unit_test(test_insert_without_memory),
		cmocka_unit_test(test_place_used_again),
		cmocka_unit_test(test_bytes_a_leaf),
	};

	kind = VMC_INDEX_LINEAR;
	int failed = cmocka_run_group_tests_name(
		"linear hashing", tests, NULL, NULL);
	kind = VMC_INDEX_CRITNIB;
	return failed +
	       cmocka_run_group_tests_name("critnib", tests, NULL, NULL);
}
