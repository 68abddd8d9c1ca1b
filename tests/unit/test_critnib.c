/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_critnib.c -- the index against a plain oracle: each leaf knows whether
 * it should be in
 */
#include "testing.h"

#include "base/error.h"
#include "critnib/critnib_internal.h"

#include <errno.h>

struct leaf {
	uint64_t hash;
	uint64_t key;
	unsigned dropped;
	bool in;
};

struct fixture {
	struct testing_memory counts;
	struct vmc_memory memory;
	struct vmc_critnib *index;
	long bytes_empty;
	struct leaf *leaves;
	size_t leaf_count;
	uint64_t random;
};

static const char *const hash_argument = "handed to each leaf_hash()";

static uint64_t
leaf_hash(const void *leaf, const void *arg)
{
	assert_ptr_equal(arg, hash_argument);
	return ((const struct leaf *)leaf)->hash;
}

static bool
leaf_match(const void *leaf, const void *key)
{
	return ((const struct leaf *)leaf)->key == *(const uint64_t *)key;
}

/* Ways to choose hashes, each hard on another part of the index. */
static uint64_t
hash_random(uint64_t *random)
{
	return testing_random(random);
}

static uint64_t
hash_equal(uint64_t *random)
{
	return testing_below(random, 5) << 61;
}

static uint64_t
hash_long_prefix(uint64_t *random)
{
	return UINT64_C(0xabcdef0123456780) ^ testing_below(random, 1024);
}

static uint64_t
hash_one_bit(uint64_t *random)
{
	return UINT64_C(1) << testing_below(random, 64);
}

static uint64_t
hash_one_stripe(uint64_t *random)
{
	return testing_random(random) >> 8;
}

/* Sparse in the top nibbles, dense below, and now and then equal. */
static uint64_t
hash_clustered(uint64_t *random)
{
	return testing_below(random, 3) << 62 | testing_below(random, 9) << 40 |
	       testing_below(random, 200);
}

typedef uint64_t hash_fn(uint64_t *random);
static hash_fn *const shapes[] = {hash_random, hash_equal, hash_long_prefix,
	hash_one_bit, hash_one_stripe, hash_clustered};
#define SHAPES (sizeof(shapes) / sizeof(shapes[0]))

static void
fixture_start(struct fixture *f, size_t leaf_count, hash_fn *shape)
{
	f->random = testing_seed();
	f->memory = testing_memory_of(&f->counts);
	f->leaf_count = leaf_count;
	f->leaves = calloc(leaf_count, sizeof(*f->leaves));
	assert_non_null(f->leaves);
	for (size_t i = 0; i < leaf_count; i++) {
		f->leaves[i].hash = shape(&f->random);
		f->leaves[i].key = i;
	}
	assert_int_equal(vmc_critnib_new(&f->index, leaf_hash, hash_argument,
				 &f->memory),
		0);
	f->bytes_empty = f->counts.bytes;
}

static void
fixture_end(struct fixture *f)
{
	vmc_critnib_delete(f->index, NULL, NULL);
	assert_int_equal(f->counts.objects, 0);
	assert_int_equal(f->counts.bytes, 0);
	free(f->leaves);
}

static struct leaf *
find(struct fixture *f, const struct leaf *leaf)
{
	return vmc_critnib_find(f->index, leaf->hash, leaf_match, &leaf->key);
}

/* All 36 bits of it depend on the hash. */
static uint64_t
note_of(const struct leaf *leaf)
{
	return leaf->hash * UINT64_C(0x9e3779b97f4a7c15) >> 28;
}

static int
insert(struct fixture *f, struct leaf *leaf)
{
	return vmc_critnib_insert(f->index, leaf->hash, leaf, note_of(leaf),
		leaf_match, &leaf->key);
}

static int
take_out(struct fixture *f, const struct leaf *leaf)
{
	return vmc_critnib_remove(f->index, leaf->hash, leaf);
}

static void
check(struct fixture *f)
{
	int err = vmc_critnib_check(f->index);

	if (err)
		print_error("%s\n", vmc_error_message());
	assert_int_equal(err, 0);
}

/* What the oracle says, for every leaf. */
static void
check_all(struct fixture *f)
{
	uint64_t count = 0;

	check(f);
	for (size_t i = 0; i < f->leaf_count; i++) {
		struct leaf *leaf = &f->leaves[i];
		assert_ptr_equal(find(f, leaf), leaf->in ? leaf : NULL);
		count += leaf->in;
	}
	assert_int_equal(vmc_critnib_count(f->index), count);
}

/* One random operation on one random leaf. False if memory was short. */
static bool
step(struct fixture *f, uint64_t insertions_in_100)
{
	struct leaf *leaf =
		&f->leaves[testing_below(&f->random, f->leaf_count)];

	if (testing_below(&f->random, 100) < insertions_in_100) {
		struct leaf twin = *leaf;
		int err = insert(f, leaf->in ? &twin : leaf);

		if (err == -ENOMEM) {
			assert_false(leaf->in);
			return false;
		}
		assert_int_equal(err, leaf->in ? -EEXIST : 0);
		leaf->in = true;
	} else {
		int err = take_out(f, leaf);
		assert_int_equal(err, leaf->in ? 0 : -ENOENT);
		leaf->in = false;
	}
	assert_ptr_equal(find(f, leaf), leaf->in ? leaf : NULL);
	return true;
}

static void
remove_all(struct fixture *f)
{
	for (size_t i = 0; i < f->leaf_count; i++)
		if (f->leaves[i].in)
			assert_int_equal(take_out(f, &f->leaves[i]), 0);
	for (size_t i = 0; i < f->leaf_count; i++)
		f->leaves[i].in = false;
}

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

/* The same with memory that runs out at some allocation of any step. */
static void
test_random_operations_without_memory(void **state)
{
	(void)state;
	for (size_t shape = 0; shape < SHAPES; shape++) {
		struct fixture f;
		unsigned short_of_memory = 0;

		fixture_start(&f, 600, shapes[shape]);
		for (int i = 0; i < 3000; i++) {
			long before = f.counts.bytes;
			/* none left; all there is; the first, the second */
			f.counts.fail_at =
				(long)testing_below(&f.random, 4) - 2;
			if (!step(&f, i < 1500 ? 80 : 40)) {
				short_of_memory++;
				/* at most the directory has grown */
				assert_true(f.counts.bytes >= before);
			}
			check(&f);
		}
		assert_true(short_of_memory > 0);
		f.counts.fail_at = -1;
		check_all(&f);
		/* without any memory at all, down to nothing but roots */
		f.counts.fail_at = -2;
		remove_all(&f);
		check_all(&f);
		assert_int_equal(f.counts.bytes, f.bytes_empty);
		fixture_end(&f);
	}
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
		err = vmc_critnib_new(&index, leaf_hash, NULL, &memory);
		assert_true(err == 0 || err == -ENOMEM);
		assert_true(err == 0 || counts.objects == 0);
	}
	assert_int_equal(counts.objects, 1);
	vmc_critnib_delete(index, NULL, NULL);
	assert_int_equal(counts.objects, 0);
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

static uint32_t
bags(struct fixture *f, unsigned stripe)
{
	return bags_of(&f->index->roots.of[stripe]);
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
	/* 15 leaves a chained bag, and bags by their number */
	assert_in_range(f.counts.bytes - f.bytes_empty, 0,
		(long)(many / 15 + 2) * (long)sizeof(bag) +
			(long)sizeof(bag) * (long)many / 7 + 2048);
	for (int i = 0; i < 4000; i++)
		assert_true(step(&f, 50));
	check_all(&f);
	remove_all(&f);
	assert_int_equal(f.counts.bytes, f.bytes_empty);
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
			assert_int_equal(c.note, note_of(leaf));
			met++;
		}
		assert_int_equal(met, leaf->in);
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
		long most = 29 * (long)half + STRIPES * (long)CHUNK_SIZE;
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
	bag *b = bag_at(root, 0);
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
		cmocka_unit_test(test_random_operations_without_memory),
		cmocka_unit_test(test_new_without_memory),
		cmocka_unit_test(test_insert_without_memory),
		cmocka_unit_test(test_growth),
		cmocka_unit_test(test_growth_without_memory),
		cmocka_unit_test(test_place_used_again),
		cmocka_unit_test(test_chains),
		cmocka_unit_test(test_joining),
		cmocka_unit_test(test_notes),
		cmocka_unit_test(test_space),
		cmocka_unit_test(test_delete_drops_each),
		cmocka_unit_test(test_check_sees_damage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
