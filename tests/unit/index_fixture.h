/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * index_fixture.h -- an index and leaves that know whether they should be in
 */
#ifndef VMC_INDEX_FIXTURE_H
#define VMC_INDEX_FIXTURE_H

#include "testing.h"

#include "base/error.h"
#include "index.h"

#include <errno.h>
#include <stdalign.h>

struct leaf {
	alignas(16) uint64_t hash;
	uint64_t key;
	unsigned dropped;
	unsigned met;
	bool in;
};

struct fixture {
	struct testing_memory counts;
	struct vmc_memory memory;
	struct vmc_index *index;
	long bytes_empty;
	struct leaf *leaves;
	size_t leaf_count;
	uint64_t random;
};

/* Of the indexes that the tests make. */
static enum vmc_index_kind kind;

static const char *const hash_argument = "handed to each leaf_hash()";

static inline uint64_t
leaf_hash(const void *leaf, const void *arg)
{
	assert_ptr_equal(arg, hash_argument);
	return ((const struct leaf *)leaf)->hash;
}

static inline bool
leaf_match(const void *leaf, const void *key)
{
	return ((const struct leaf *)leaf)->key == *(const uint64_t *)key;
}

/* Ways to choose hashes, each hard on another part of the index. */
static inline uint64_t
hash_random(uint64_t *random)
{
	return testing_random(random);
}

static inline uint64_t
hash_equal(uint64_t *random)
{
	return testing_below(random, 5) << 61;
}

static inline uint64_t
hash_long_prefix(uint64_t *random)
{
	return UINT64_C(0xabcdef0123456780) ^ testing_below(random, 1024);
}

static inline uint64_t
hash_one_bit(uint64_t *random)
{
	return UINT64_C(1) << testing_below(random, 64);
}

static inline uint64_t
hash_one_stripe(uint64_t *random)
{
	return testing_random(random) >> 8;
}

/* Sparse in the top nibbles, dense below, and now and then equal. */
static inline uint64_t
hash_clustered(uint64_t *random)
{
	return testing_below(random, 3) << 62 | testing_below(random, 9) << 40 |
	       testing_below(random, 200);
}

/* One stripe, where many have one of some prefixes of 12 to 31 bits. */
static inline uint64_t
hash_bunched(uint64_t *random)
{
	uint64_t hash = testing_random(random) >> 8;
	uint64_t bunch = testing_below(random, 80);
	uint64_t other = (bunch + 1) * UINT64_C(0x9e3779b97f4a7c15) >> 8;
	uint64_t rest = UINT64_MAX >> (12 + bunch % 20);

	return bunch < 40 ? (other & ~rest) | (hash & rest) : hash;
}

typedef uint64_t hash_fn(uint64_t *random);
static hash_fn *const shapes[] = {hash_random, hash_equal, hash_long_prefix,
	hash_one_bit, hash_one_stripe, hash_clustered, hash_bunched};
#define SHAPES (sizeof(shapes) / sizeof(shapes[0]))

/* Leaves, and memory, which the test may change. */
static inline void
fixture_prepare(struct fixture *f, size_t leaf_count, hash_fn *shape)
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
}

static inline void
fixture_make(struct fixture *f)
{
	/* chunks of any size */
	uint64_t most = UINT64_C(1) << testing_below(&f->random, 24);

	assert_int_equal(vmc_index_new(&f->index, kind, most, leaf_hash,
				 hash_argument, &f->memory),
		0);
	f->bytes_empty = f->counts.bytes;
}

static inline void
fixture_start(struct fixture *f, size_t leaf_count, hash_fn *shape)
{
	fixture_prepare(f, leaf_count, shape);
	fixture_make(f);
}

static inline void
fixture_end(struct fixture *f)
{
	vmc_index_delete(f->index, NULL, NULL);
	assert_int_equal(f->counts.objects, 0);
	assert_int_equal(f->counts.bytes, 0);
	free(f->leaves);
}

static inline struct leaf *
find(struct fixture *f, const struct leaf *leaf)
{
	return vmc_index_find(f->index, leaf->hash, leaf_match, &leaf->key);
}

/* All 35 bits of it depend on the hash. */
static inline uint64_t
note_of(const struct leaf *leaf)
{
	return leaf->hash * UINT64_C(0x9e3779b97f4a7c15) >> 29;
}

static inline int
insert(struct fixture *f, struct leaf *leaf)
{
	return vmc_index_insert(f->index, leaf->hash, leaf, note_of(leaf),
		leaf_match, &leaf->key);
}

static inline int
take_out(struct fixture *f, const struct leaf *leaf)
{
	return vmc_index_remove(f->index, leaf->hash, leaf);
}

static inline void
check(struct fixture *f)
{
	int err = vmc_index_check(f->index);

	if (err)
		print_error("%s\n", vmc_error_message());
	assert_int_equal(err, 0);
}

/* What the oracle says, for every leaf. */
static inline void
check_all(struct fixture *f)
{
	uint64_t count = 0;

	check(f);
	for (size_t i = 0; i < f->leaf_count; i++) {
		struct leaf *leaf = &f->leaves[i];
		assert_ptr_equal(find(f, leaf), leaf->in ? leaf : NULL);
		count += leaf->in;
	}
	assert_int_equal(vmc_index_count(f->index), count);
}

/* One random operation on one random leaf. False if memory was short. */
static inline bool
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

static inline void
remove_all(struct fixture *f)
{
	for (size_t i = 0; i < f->leaf_count; i++)
		if (f->leaves[i].in)
			assert_int_equal(take_out(f, &f->leaves[i]), 0);
	for (size_t i = 0; i < f->leaf_count; i++)
		f->leaves[i].in = false;
}

#endif
