/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * order_fixture.h -- leaves with keys that are hard on the order of keys
 */
#ifndef VMC_ORDER_FIXTURE_H
#define VMC_ORDER_FIXTURE_H

#include "testing.h"

#include "base/error.h"
#include "order/order.h"

#include <errno.h>
#include <stdalign.h>

struct leaf {
	alignas(16) uint64_t number;
	uint32_t size;
	_Atomic bool in;
	unsigned char key[];
};

/* How often the trie has asked for a key. */
static _Thread_local unsigned long keys_asked;

static inline struct vmc_order_key
key_of_leaf(const void *leaf)
{
	const struct leaf *l = leaf;

	keys_asked++;
	return (struct vmc_order_key){l->key, l->size};
}

static inline struct leaf *
make_leaf(const void *key, size_t size, uint64_t number)
{
	struct leaf *leaf =
		aligned_alloc(16, (sizeof(*leaf) + size + 15) & ~(size_t)15);

	assert_non_null(leaf);
	leaf->number = number;
	leaf->size = (uint32_t)size;
	atomic_init(&leaf->in, false);
	if (size)
		memcpy(leaf->key, key, size);
	return leaf;
}

/* memcmp(3), and of two of which one is the other's beginning the shorter. */
static inline int
compare_keys(struct vmc_order_key a, struct vmc_order_key b)
{
	size_t n = a.size < b.size ? a.size : b.size;
	int order = n ? memcmp(a.data, b.data, n) : 0;

	return order ? order : (a.size > b.size) - (a.size < b.size);
}

static inline int
compare_leaves(const void *a, const void *b)
{
	return compare_keys(key_of_leaf(*(struct leaf *const *)a),
		key_of_leaf(*(struct leaf *const *)b));
}

#define KEY_MOST 65536u

/* Ways to choose keys, up to KEY_MOST bytes of them; their size. */
typedef size_t key_fn(uint64_t *random, unsigned char *key);

static inline size_t
key_random(uint64_t *random, unsigned char *key)
{
	for (unsigned i = 0; i < 16; i++)
		key[i] = (unsigned char)testing_random(random);
	return 16;
}

static inline size_t
key_counting(uint64_t *random, unsigned char *key)
{
	return (size_t)snprintf((char *)key, KEY_MOST, "user:%06u:x",
		(unsigned)testing_below(random, 1000000));
}

/* Short, of few different bytes: prefixes of each other; the empty one, too. */
static inline size_t
key_short(uint64_t *random, unsigned char *key)
{
	static const unsigned char bytes[] = {0, 1, 0x10, 0xff};
	size_t size = testing_below(random, 8);

	for (size_t i = 0; i < size; i++)
		key[i] = bytes[testing_below(random, sizeof(bytes))];
	return size;
}

/* Zeros only, of any length: a node below the other. */
static inline size_t
key_zeros(uint64_t *random, unsigned char *key)
{
	size_t size = testing_below(random, 3000);

	memset(key, 0, size);
	return size;
}

/* One bit is different, in a byte that may be the last one. */
static inline size_t
key_one_bit(uint64_t *random, unsigned char *key)
{
	size_t size = 1 + testing_below(random, 40);

	memset(key, 0x55, size);
	key[testing_below(random, 2) ? size - 1
				     : testing_below(random, size)] ^=
		(unsigned char)(1 << testing_below(random, 8));
	return size;
}

/* As long as memory is cheap, different at the end, or shorter. */
static inline size_t
key_long(uint64_t *random, unsigned char *key)
{
	memset(key, 'k', KEY_MOST);
	key[KEY_MOST - 1 - testing_below(random, 3)] ^=
		(unsigned char)testing_below(random, 256);
	return KEY_MOST - testing_below(random, 3);
}

/* All bytes at each place: nodes with all children. */
static inline size_t
key_full(uint64_t *random, unsigned char *key)
{
	size_t size = testing_below(random, 4);

	for (size_t i = 0; i < size; i++)
		key[i] = (unsigned char)testing_random(random);
	return size;
}

static key_fn *const shapes[] = {key_random, key_counting, key_short, key_zeros,
	key_one_bit, key_long, key_full};
#define SHAPES (sizeof(shapes) / sizeof(shapes[0]))

/* A trie, and the leaves that may be in it, sorted; keys are different. */
struct fixture {
	struct testing_memory counts;
	struct vmc_memory memory;
	struct vmc_order *order;
	struct vmc_order_stock stock;
	struct vmc_thread *thread;
	struct leaf **leaves;
	size_t leaf_count;
	uint64_t random;
};

static inline void
fixture_start(struct fixture *f, size_t most, key_fn *shape)
{
	static unsigned char key[KEY_MOST + 1];

	*f = (struct fixture){.random = testing_seed()};
	f->thread = vmc_thread_self();
	assert_non_null(f->thread);
	f->memory = testing_memory_of(&f->counts);
	assert_int_equal(vmc_order_new(&f->order, key_of_leaf, &f->memory), 0);
	f->leaves = calloc(most, sizeof(struct leaf *));
	assert_non_null(f->leaves);
	for (size_t i = 0; i < most; i++) {
		size_t size = shape(&f->random, key);
		f->leaves[i] = make_leaf(key, size, i);
	}
	qsort(f->leaves, most, sizeof(struct leaf *), compare_leaves);
	for (size_t i = 0; i < most; i++)
		if (f->leaf_count > 0 &&
			compare_leaves(&f->leaves[f->leaf_count - 1],
				&f->leaves[i]) == 0)
			free(f->leaves[i]);
		else
			f->leaves[f->leaf_count++] = f->leaves[i];
}

static inline void
fixture_end(struct fixture *f)
{
	vmc_order_unstock(f->order, &f->stock);
	vmc_order_delete(f->order);
	assert_int_equal(f->counts.objects, 0);
	assert_int_equal(f->counts.bytes, 0);
	for (size_t i = 0; i < f->leaf_count; i++)
		free(f->leaves[i]);
	free(f->leaves);
}

static inline void
set(struct fixture *f, struct leaf *leaf)
{
	assert_int_equal(vmc_order_stock(f->order, &f->stock), 0);
	vmc_order_set(f->order, f->thread, &f->stock, leaf);
	atomic_store(&leaf->in, true);
}

static inline void
take_out(struct fixture *f, struct leaf *leaf)
{
	vmc_order_remove(f->order, f->thread, leaf);
	atomic_store(&leaf->in, false);
}

static inline void
check(struct fixture *f)
{
	uint64_t count, expected = 0;
	int err = vmc_order_check(f->order, &count);

	for (size_t i = 0; i < f->leaf_count; i++)
		expected += f->leaves[i]->in;
	if (err)
		print_error("%s\n", vmc_error_message());
	assert_int_equal(err, 0);
	assert_int_equal(count, expected);
}

#endif
