/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_linear.c -- linear hashing: the number of bags, where they lie, what
 * they take
 */
#include "index_fixture.h"

#include "hash/linear_internal.h"

static inline uint32_t
bags(struct fixture *f, unsigned stripe)
{
	return bags_of(&linear(f->index)->roots.of[stripe]);
}

/* How often the number of bags has changed. */
static uint32_t
version(struct fixture *f, unsigned stripe)
{
	uint64_t size = linear(f->index)->roots.of[stripe].size;

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
	chunk *table = linear(f->index)->roots.of[stripe].table;
	uint32_t used = chunk_of(linear(f->index), bags(f, stripe) - 1) + 1;

	for (uint32_t i = used; i < linear(f->index)->stripes[stripe].capacity;
		i++)
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

static void
expect_damage(struct fixture *f)
{
	assert_int_equal(vmc_index_check(f->index), -EINVAL);
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
	linear(f.index)->stripes[0].count++;
	expect_damage(&f);
	linear(f.index)->stripes[0].count--;
	struct vmc_linear_root *root = &linear(f.index)->roots.of[0];
	assert_true(bags_of(root) > 2);
	for (int more = -1; more <= 1; more += 2) {
		root->size += (uint64_t)more;
		expect_damage(&f);
		root->size -= (uint64_t)more;
	}
	bag *b = bag_at(linear(f.index), 0, 0);
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

/* Memory that begins so many bytes behind a line, and ends at its end. */
struct unaligned {
	size_t offset;
	char *begin;
	size_t size;
	char space[2 * sizeof(struct vmc_linear)];
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
	struct vmc_index *index;

	(void)state;
	assert_non_null(u);
	for (u->offset = 0; u->offset < LINE; u->offset += 16) {
		assert_int_equal(
			vmc_linear_new(&index, 1, leaf_hash, NULL, &memory), 0);
		assert_int_equal((uintptr_t)index % LINE, 0);
		assert_true((char *)index >= u->begin);
		assert_true((char *)(linear(index) + 1) <= u->begin + u->size);
		if (u->offset == 16) /* where the most is left out */
			assert_ptr_equal(linear(index) + 1, u->begin + u->size);
		vmc_index_delete(index, NULL, NULL);
		assert_null(u->begin);
	}
	free(u);
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
		long fixed = (long)sizeof(struct vmc_linear);
		long most = 29 * (long)half +
			    STRIPES * (long)chunk_size(linear(f.index));
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
		struct vmc_index *index;

		assert_int_equal(vmc_linear_new(&index, expected[i].most,
					 leaf_hash, NULL, &memory),
			0);
		assert_int_equal(chunk_size(linear(index)),
			expected[i].bags * sizeof(bag));
		vmc_index_delete(index, NULL, NULL);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_number_of_bags),
		cmocka_unit_test(test_growth),
		cmocka_unit_test(test_joining),
		cmocka_unit_test(test_check_sees_damage),
		cmocka_unit_test(test_new_at_any_address),
		cmocka_unit_test(test_growth_without_memory),
		cmocka_unit_test(test_space),
		cmocka_unit_test(test_size_of_chunks),
	};

	kind = VMC_INDEX_LINEAR;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
