/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_critnib_memory.c -- the memory of the index: what it takes, where it
 * lies, and what happens when there is none
 */
#include "critnib_fixture.h"

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
				/* at most a table or a bag was added */
				assert_true(f.counts.bytes >= before);
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
	struct vmc_critnib *index;
	int err = -ENOMEM;

	(void)state;
	for (long n = 0; err; n++) {
		counts.fail_at = n;
		err = vmc_critnib_new(&index, 1, leaf_hash, NULL, &memory);
		assert_true(err == 0 || err == -ENOMEM);
		assert_true(err == 0 || counts.objects == 0);
	}
	assert_int_equal(counts.objects, 1);
	vmc_critnib_delete(index, NULL, NULL);
	assert_int_equal(counts.objects, 0);
}

/* Memory that begins so many bytes behind a line, and ends at its end. */
struct unaligned {
	size_t offset;
	char *begin;
	size_t size;
	char space[2 * sizeof(struct vmc_critnib)];
};

static void *
alloc_unaligned(void *ctx, size_t size)
{
	struct unaligned *u = ctx;
	uintptr_t line = ((uintptr_t)u->space + LINE - 1) / LINE * LINE;

	u->begin = (char *)line + u->offset;
	u->size = size;
	return u->begin;
}

static void
free_unaligned(void *ctx, void *ptr, size_t size)
{
	struct unaligned *u = ctx;

	assert_ptr_equal(ptr, u->begin);
	assert_int_equal(size, u->size);
	u->begin = NULL;
}

/* An allocation is aligned to 16 bytes, the index to a line within it. */
static void
test_new_at_any_address(void **state)
{
	struct unaligned *u = calloc(1, sizeof(*u));
	const struct vmc_memory memory = {
		.alloc = alloc_unaligned, .free = free_unaligned, .ctx = u};
	struct vmc_critnib *index;

	(void)state;
	assert_non_null(u);
	for (u->offset = 0; u->offset < LINE; u->offset += 16) {
		assert_int_equal(
			vmc_critnib_new(&index, 1, leaf_hash, NULL, &memory),
			0);
		assert_int_equal((uintptr_t)index % LINE, 0);
		assert_true((char *)index >= u->begin);
		assert_true((char *)(index + 1) <= u->begin + u->size);
		if (u->offset == 16) /* where the most is left out */
			assert_ptr_equal(index + 1, u->begin + u->size);
		vmc_critnib_delete(index, NULL, NULL);
		assert_null(u->begin);
	}
	free(u);
}

#define TOO_HIGH (UINT64_C(1) << ADDRESS_BITS)

/* Every second allocation is above what a word can hold. */
static void *
alloc_high(void *ctx, size_t size)
{
	static unsigned calls;
	uintptr_t p = (uintptr_t)testing_alloc(ctx, size);

	return (void *)(calls++ % 2 ? p | TOO_HIGH : p);
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
	fixture_start(&f, 600, hash_clustered);
	f.index->memory.alloc = alloc_high;
	f.index->memory.free = free_high;
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
				assert_int_equal(f.counts.bytes, before);
			}
			check_all(&f);
			most = n > most ? n : most;
		}
	}
	assert_true(most >= 1);
	fixture_end(&f);
}

/*
 * Where there is no memory for one bag more, leaves are chained to those
 * there are; once there is, the bags are split.
 */
static void
test_growth_without_memory(void **state)
{
	struct fixture f;

	(void)state;
	fixture_start(&f, 40 * WORDS, hash_one_stripe);
	for (size_t i = 0; i < f.leaf_count; i++) {
		/* the first allocation, or all but the first */
		f.counts.fail_at = i % 2 ? 0 : 1;
		int err = insert(&f, &f.leaves[i]);
		f.counts.fail_at = -1;
		if (err)
			err = insert(&f, &f.leaves[i]);
		assert_int_equal(err, 0);
		f.leaves[i].in = true;
		check_all(&f);
	}
	assert_true(bags(&f, 0) > 1);
	fixture_end(&f);
}

/* A leaf goes back into the place of a removed one without an allocation. */
static void
test_place_used_again(void **state)
{
	struct fixture f;

	(void)state;
	fixture_start(&f, WORDS, hash_random);
	for (uint64_t i = 0; i < WORDS; i++) {
		f.leaves[i].hash = i << 48;
		assert_int_equal(insert(&f, &f.leaves[i]), 0);
	}
	f.counts.fail_at = -2;
	for (uint64_t i = 0; i < WORDS; i++) {
		assert_int_equal(take_out(&f, &f.leaves[i]), 0);
		assert_null(find(&f, &f.leaves[i]));
		assert_int_equal(insert(&f, &f.leaves[i]), 0);
		assert_ptr_equal(find(&f, &f.leaves[i]), &f.leaves[i]);
		check(&f);
	}
	fixture_end(&f);
}

/*
 * Bytes a leaf, whatever the number, as filled and after churn: 29, and
 * a chunk a stripe at most.
 */
static void
test_space(void **state)
{
	static const size_t sizes[] = {20000, 30000, 60000, 70000, 120000};

	(void)state;
	for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
		struct fixture f;
		size_t half = sizes[s];

		fixture_start(&f, 2 * half, hash_random);
		long fixed = (long)sizeof(struct vmc_critnib);
		long most =
			29 * (long)half + STRIPES * (long)chunk_size(f.index);
		for (size_t i = 0; i < half; i++)
			assert_int_equal(insert(&f, &f.leaves[i]), 0);
		assert_in_range(f.counts.bytes - fixed, 0, most);
		for (size_t i = 0; i < half; i++) {
			take_out(&f, &f.leaves[i]);
			assert_int_equal(insert(&f, &f.leaves[half + i]), 0);
		}
		assert_in_range(f.counts.bytes - fixed, 0, most);
		check(&f);
		fixture_end(&f);
	}
}

/* The more leaves are expected, the larger the chunks, within limits. */
static void
test_size_of_chunks(void **state)
{
	/* of leaves that 64 chunks in each stripe are for */
	const uint64_t four = UINT64_C(64) * 4 * STRIPES * 7;
	const struct {
		uint64_t most;
		size_t bags;
	} expected[] = {
		{0, 4},
		{1, 4},
		{four, 4},
		{four / 64 * 65, 8},
		{2 * four, 8},
		{9 * four / 4, 16},
		{16 * four, 64},
		{32 * four, 128},
		{64 * four, 128},
		{UINT64_MAX, 128},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
		struct testing_memory counts;
		struct vmc_memory memory = testing_memory_of(&counts);
		struct vmc_critnib *index;

		assert_int_equal(vmc_critnib_new(&index, expected[i].most,
					 leaf_hash, NULL, &memory),
			0);
		assert_int_equal(
			chunk_size(index), expected[i].bags * sizeof(bag));
		vmc_critnib_delete(index, NULL, NULL);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_operations_without_memory),
		cmocka_unit_test(test_new_without_memory),
		cmocka_unit_test(test_new_at_any_address),
		cmocka_unit_test(test_memory_too_high),
		cmocka_unit_test(test_insert_without_memory),
		cmocka_unit_test(test_growth_without_memory),
		cmocka_unit_test(test_place_used_again),
		cmocka_unit_test(test_space),
		cmocka_unit_test(test_size_of_chunks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
