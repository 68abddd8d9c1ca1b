/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_order_threads.c -- walks without a lock beside threads that set and
 * remove
 *
 * What is retired, nodes and leaves, is freed as soon as the epoch allows, and
 * filled with 0xdd. Some leaves stay: every walk meets each of them once. Of
 * some keys the leaf is replaced all the time: every walk meets one.
 */
#include "order_fixture.h"

#include "base/limbo.h"

#include <pthread.h>

enum {
	WRITERS = 2,
	READERS = 2,
	KEYS = 3000, /* number % 4: 0 stays, 1 is replaced, 2 and 3 pass */
	KEY_SIZE = 6,
};

struct shared {
	struct testing_memory counts;
	struct vmc_memory memory;
	struct vmc_order *order;
	unsigned char keys[KEYS][KEY_SIZE];
	unsigned char sizes[KEYS];
	size_t key_count;
	_Atomic bool stop;
	uint64_t steps;
};

struct writer {
	struct shared *shared;
	unsigned number;
	struct leaf *leaves[KEYS];
	struct vmc_order_stock stock;
	uint64_t random;
	struct vmc_limbo limbo;
};

/* The calling thread's, emptied when nobody reads any more. */
static _Thread_local struct vmc_limbo *limbo;

static void
retire(void *ctx, void *ptr, size_t size)
{
	const struct vmc_memory memory = {
		testing_alloc, testing_free, NULL, ctx};

	if (!vmc_limbo_add(limbo, &memory, ptr, size))
		testing_free(ctx, ptr, size);
	vmc_limbo_free(vmc_limbo_ripe(limbo), &memory);
}

static size_t
leaf_size(size_t key_size)
{
	return sizeof(struct leaf) + key_size;
}

static struct leaf *
new_leaf(struct shared *s, size_t k)
{
	struct leaf *leaf = testing_alloc(&s->counts, leaf_size(s->sizes[k]));

	leaf->number = k;
	leaf->size = s->sizes[k];
	memcpy(leaf->key, s->keys[k], s->sizes[k]);
	return leaf;
}

static void
write_one(struct writer *w)
{
	struct shared *s = w->shared;
	size_t k = testing_below(&w->random, s->key_count);
	struct leaf *old = w->leaves[k];

	/* each writer has its keys */
	if (k % 4 == 0 || k / 4 % WRITERS != w->number)
		return;
	if (old && k % 4 != 1) {
		vmc_order_remove(s->order, vmc_thread_self(), old);
		w->leaves[k] = NULL;
	} else {
		testing_expect(vmc_order_stock(s->order, &w->stock) == 0);
		w->leaves[k] = new_leaf(s, k);
		vmc_order_set(
			s->order, vmc_thread_self(), &w->stock, w->leaves[k]);
		if (old) /* nothing happens: another one is there */
			vmc_order_remove(s->order, vmc_thread_self(), old);
	}
	if (old)
		retire(&s->counts, old, leaf_size(old->size));
}

static void *
run_writer(void *arg)
{
	struct writer *w = arg;

	limbo = &w->limbo;
	for (uint64_t i = 0; i < w->shared->steps; i++)
		write_one(w);
	return NULL;
}

struct walk {
	struct shared *shared;
	unsigned seen[KEYS], left;
	size_t last;
	bool first;
	unsigned char key[KEY_SIZE]; /* of the last */
};

static bool
visit(const void *arg_leaf, void *arg)
{
	const struct leaf *leaf = arg_leaf;
	struct walk *walk = arg;
	size_t k = leaf->number;

	testing_expect(k < walk->shared->key_count);
	if (k >= walk->shared->key_count)
		return false;
	testing_expect(leaf->size == walk->shared->sizes[k]);
	testing_expect(
		memcmp(leaf->key, walk->shared->keys[k], leaf->size) == 0);
	testing_expect(walk->first || k > walk->last);
	walk->first = false;
	walk->last = k;
	walk->seen[k]++;
	return --walk->left > 0;
}

static void *
run_reader(void *arg)
{
	static _Thread_local struct walk walk;
	struct shared *s = arg;
	struct vmc_thread *thread = vmc_thread_self();
	uint64_t random = testing_seed() + (uintptr_t)&walk;

	while (!vmc_load_acquire(&s->stop)) {
		struct vmc_order_key from = {NULL, 0};
		bool all = false;
		walk = (struct walk){.shared = s, .first = true};
		while (!all) {
			walk.left = 1 + (unsigned)testing_below(&random, 100);
			vmc_epoch_enter(thread);
			all = vmc_order_walk(
				s->order, from, !walk.first, visit, &walk);
			vmc_epoch_exit(thread);
			from = (struct vmc_order_key){
				s->keys[walk.last], s->sizes[walk.last]};
		}
		for (size_t k = 0; k < s->key_count; k++)
			testing_expect(walk.seen[k] <= 1 &&
				       (k % 4 > 1 || walk.seen[k] == 1));
	}
	return NULL;
}

/* Keys in order: so a key's number tells where it comes. */
static void
make_keys(struct shared *s, uint64_t *random)
{
	struct leaf *all[KEYS];

	for (size_t i = 0; i < KEYS; i++) {
		unsigned char key[KEY_SIZE];
		size_t size = testing_below(random, KEY_SIZE + 1);
		for (size_t k = 0; k < size; k++)
			key[k] = (unsigned char)(testing_below(random, 5) * 51);
		all[i] = make_leaf(key, size, i);
	}
	qsort(all, KEYS, sizeof(all[0]), compare_leaves);
	for (size_t i = 0; i < KEYS; i++) {
		if (i > 0 && compare_leaves(&all[i - 1], &all[i]) == 0)
			continue;
		memcpy(s->keys[s->key_count], all[i]->key, all[i]->size);
		s->sizes[s->key_count++] = (unsigned char)all[i]->size;
	}
	for (size_t i = 0; i < KEYS; i++)
		free(all[i]);
}

static void
run(struct shared *s, struct writer *writers)
{
	pthread_t threads[WRITERS + READERS];

	for (unsigned i = 0; i < READERS; i++)
		assert_int_equal(pthread_create(&threads[WRITERS + i], NULL,
					 run_reader, s),
			0);
	for (unsigned i = 0; i < WRITERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, run_writer,
					 &writers[i]),
			0);
	for (unsigned i = 0; i < WRITERS; i++)
		pthread_join(threads[i], NULL);
	vmc_store_release(&s->stop, true);
	for (unsigned i = 0; i < READERS; i++)
		pthread_join(threads[WRITERS + i], NULL);
}

static void
test_walks_beside_changes(void **state)
{
	static struct writer writers[WRITERS];
	static struct shared s;
	uint64_t random = testing_seed(), count, expected = 0;

	(void)state;
	s.memory = testing_memory_of(&s.counts);
	s.memory.retire = retire;
	s.steps = testing_operations(400000);
	make_keys(&s, &random);
	assert_int_equal(vmc_order_new(&s.order, key_of_leaf, &s.memory), 0);
	for (unsigned i = 0; i < WRITERS; i++)
		writers[i] = (struct writer){.shared = &s,
			.number = i,
			.random = testing_random(&random)};
	limbo = &writers[0].limbo;
	for (size_t k = 0; k < s.key_count; k++) {
		struct writer *w = &writers[k / 4 % WRITERS];
		if (k % 4 > 1)
			continue;
		assert_int_equal(vmc_order_stock(s.order, &w->stock), 0);
		w->leaves[k] = new_leaf(&s, k);
		vmc_order_set(
			s.order, vmc_thread_self(), &w->stock, w->leaves[k]);
	}
	run(&s, writers);
	assert_int_equal(vmc_load_relaxed(&testing_failures), 0);
	assert_int_equal(vmc_order_check(s.order, &count), 0);
	for (unsigned i = 0; i < WRITERS; i++) {
		for (size_t k = 0; k < s.key_count; k++) {
			struct leaf *leaf = writers[i].leaves[k];
			if (!leaf)
				continue;
			expected++;
			testing_free(&s.counts, leaf, leaf_size(leaf->size));
		}
		vmc_order_unstock(s.order, &writers[i].stock);
		vmc_limbo_flush(&writers[i].limbo, &s.memory);
	}
	assert_int_equal(count, expected);
	vmc_order_delete(s.order);
	assert_int_equal(s.counts.objects, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_walks_beside_changes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
