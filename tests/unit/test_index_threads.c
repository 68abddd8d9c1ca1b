/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_index_threads.c -- readers without a lock against writers that
 * insert, remove, grow roots and run out of memory
 *
 * What is retired is freed as soon as the epoch allows, filled with 0xdd: a
 * reader that held on to it finds a leaf that is not the one it asked for.
 */
#include "testing.h"

#include "base/epoch.h"
#include "base/limbo.h"
#include "index.h"

#include <errno.h>
#include <stdalign.h>
#include <pthread.h>

enum {
	ROUNDS = 10,
	WRITERS = 2,
	READERS = 2,
	STEPS = 40000,
	/* in the index all the time */
	STAYING = 2000,
	/* of each writer, to come and go */
	PASSING = 8000,
};

struct leaf {
	alignas(16) uint64_t hash;
	uint64_t key;
};

struct shared {
	struct testing_memory counts;
	/* the index's, which can be out; the limbo's, which never is */
	struct vmc_memory memory;
	struct vmc_memory limbo_memory;
	struct vmc_index *index;
	pthread_mutex_t limbo_lock;
	struct vmc_limbo limbo;
	struct leaf staying[STAYING];
	_Atomic bool stop;
	_Atomic long errors;
};

struct writer {
	struct shared *shared;
	uint64_t number;
	struct leaf *leaves[PASSING];
};

/* The calling writer gets no memory. */
static _Thread_local bool no_memory;

static uint64_t
leaf_hash(const void *leaf, const void *arg)
{
	(void)arg;
	return ((const struct leaf *)leaf)->hash;
}

static bool
leaf_match(const void *leaf, const void *key)
{
	return ((const struct leaf *)leaf)->key == *(const uint64_t *)key;
}

static uint64_t
mixed(uint64_t number)
{
	return testing_random(&number);
}

/* All hashes are in two stripes, so that those grow. */
static uint64_t
hash_staying(uint64_t number)
{
	return mixed(number) >> 8 | (number & 1 ? UINT64_C(0xff) << 56 : 0);
}

/* Random, or equal to one that stays, or all but equal. */
static uint64_t
hash_passing(uint64_t key)
{
	uint64_t stays = hash_staying(mixed(key) % STAYING);

	switch (key & 7) {
	case 0:
		return stays;
	case 1:
		return stays ^ 1;
	case 2:
		return stays ^ (key & 0xf8) << 28;
	default:
		return hash_staying(key);
	}
}

/* Keys of leaves that pass; those that stay have their number. */
static uint64_t
key_passing(uint64_t writer, uint64_t slot_number)
{
	return (writer + 1) << 32 | slot_number;
}

static void
retire(void *ctx, void *ptr, size_t size)
{
	struct shared *s = ctx;

	pthread_mutex_lock(&s->limbo_lock);
	bool kept = vmc_limbo_add(&s->limbo, &s->limbo_memory, ptr, size);
	struct vmc_limbo_chunk *ripe =
		vmc_limbo_is_due(&s->limbo) ? vmc_limbo_ripe(&s->limbo) : NULL;
	pthread_mutex_unlock(&s->limbo_lock);
	if (!kept)
		testing_free(&s->counts, ptr, size);
	vmc_limbo_free(ripe, &s->limbo_memory);
}

static void *
shared_alloc(void *ctx, size_t size)
{
	struct shared *s = ctx;

	return no_memory ? NULL : testing_alloc(&s->counts, size);
}

static void
shared_free(void *ctx, void *ptr, size_t size)
{
	testing_free(&((struct shared *)ctx)->counts, ptr, size);
}

static void
expect(struct shared *s, bool truth)
{
	if (!truth)
		vmc_fetch_add_relaxed(&s->errors, 1);
}

/* Look for what must be there, and for what may. */
static void *
reader(void *arg)
{
	struct shared *s = arg;
	struct vmc_thread *self = vmc_thread_self();
	uint64_t random = testing_seed() + (uintptr_t)&random;

	while (!vmc_load_acquire(&s->stop)) {
		uint64_t stays = testing_below(&random, STAYING);
		uint64_t passes = key_passing(testing_below(&random, WRITERS),
			testing_below(&random, PASSING));

		vmc_epoch_enter(self);
		struct leaf *leaf = vmc_index_find(
			s->index, hash_staying(stays), leaf_match, &stays);
		expect(s, leaf == &s->staying[stays]);
		leaf = vmc_index_find(
			s->index, hash_passing(passes), leaf_match, &passes);
		expect(s, leaf == NULL || leaf->key == passes);
		expect(s, leaf == NULL || leaf->hash == hash_passing(passes));
		vmc_epoch_exit(self);
	}
	return NULL;
}

static void
come(struct writer *w, uint64_t slot_number)
{
	struct shared *s = w->shared;
	struct leaf *leaf = vmc_alloc(&s->memory, sizeof(*leaf));

	if (leaf == NULL)
		return;
	leaf->key = key_passing(w->number, slot_number);
	leaf->hash = hash_passing(leaf->key);
	int err = vmc_index_insert(
		s->index, leaf->hash, leaf, leaf->key, leaf_match, &leaf->key);
	if (err) {
		expect(s, err == -ENOMEM);
		vmc_free(&s->memory, leaf, sizeof(*leaf));
		return;
	}
	w->leaves[slot_number] = leaf;
}

static void
go(struct writer *w, uint64_t slot_number)
{
	struct shared *s = w->shared;
	struct leaf *leaf = w->leaves[slot_number];

	expect(s, vmc_index_remove(s->index, leaf->hash, leaf) == 0);
	expect(s, vmc_index_remove(s->index, leaf->hash, leaf) == -ENOENT);
	vmc_retire(&s->memory, leaf, sizeof(*leaf));
	w->leaves[slot_number] = NULL;
}

static void *
writer(void *arg)
{
	struct writer *w = arg;
	uint64_t random = testing_seed() ^ mixed(w->number);

	for (int i = 0; i < STEPS; i++) {
		uint64_t slot_number = testing_below(&random, PASSING);
		bool wish =
			testing_below(&random, 100) < (i < STEPS / 2 ? 80 : 20);

		no_memory = i % 512 < 64;
		if (wish && !w->leaves[slot_number])
			come(w, slot_number);
		else if (!wish && w->leaves[slot_number])
			go(w, slot_number);
	}
	return NULL;
}

static void
run_round(struct shared *s)
{
	pthread_t readers[READERS], writers[WRITERS];
	struct writer *states = calloc(WRITERS, sizeof(*states));
	uint64_t count = STAYING;

	assert_non_null(states);
	for (unsigned i = 0; i < READERS; i++)
		assert_int_equal(
			pthread_create(&readers[i], NULL, reader, s), 0);
	for (unsigned i = 0; i < WRITERS; i++) {
		states[i].shared = s;
		states[i].number = i;
		assert_int_equal(
			pthread_create(&writers[i], NULL, writer, &states[i]),
			0);
	}
	for (unsigned i = 0; i < WRITERS; i++)
		pthread_join(writers[i], NULL);
	vmc_store_release(&s->stop, true);
	for (unsigned i = 0; i < READERS; i++)
		pthread_join(readers[i], NULL);

	assert_int_equal(s->errors, 0);
	assert_int_equal(vmc_index_check(s->index), 0);
	for (unsigned i = 0; i < WRITERS; i++)
		for (uint64_t n = 0; n < PASSING; n++)
			if (states[i].leaves[n]) {
				go(&states[i], n);
				count++;
			}
	assert_true(count > STAYING);
	assert_int_equal(vmc_index_count(s->index), STAYING);
	assert_int_equal(s->errors, 0);
	free(states);
}

static void
start(struct shared *s, enum vmc_index_kind kind, uint64_t most_leaves)
{
	s->limbo_memory = testing_memory_of(&s->counts);
	s->memory = (struct vmc_memory){shared_alloc, shared_free, retire, s};
	s->stop = false;
	pthread_mutex_init(&s->limbo_lock, NULL);
	assert_int_equal(vmc_index_new(&s->index, kind, most_leaves, leaf_hash,
				 NULL, &s->memory),
		0);
}

static void
end(struct shared *s)
{
	vmc_index_delete(s->index, NULL, NULL);
	vmc_limbo_flush(&s->limbo, &s->limbo_memory);
	assert_int_equal(s->counts.objects, 0);
	pthread_mutex_destroy(&s->limbo_lock);
}

static void
test_readers_and_writers(void **state)
{
	struct shared *s = calloc(1, sizeof(*s));

	(void)state;
	assert_non_null(s);
	testing_seed();
	for (uint64_t i = 0; i < STAYING; i++)
		s->staying[i] = (struct leaf){hash_staying(i), i};
	for (int round = 0; round < ROUNDS; round++) {
		start(s, round % 2 ? VMC_INDEX_CRITNIB : VMC_INDEX_LINEAR,
			UINT64_C(1) << 3 * round);
		for (uint64_t i = 0; i < STAYING; i++)
			assert_int_equal(
				vmc_index_insert(s->index, hash_staying(i),
					&s->staying[i], 0, leaf_match, &i),
				0);
		run_round(s);
		end(s);
	}
	free(s);
}

/* A leaf comes to where its hash led some time ago, and goes. */
static void *
come_and_go(void *arg)
{
	struct writer *w = arg;
	struct shared *s = w->shared;
	struct vmc_thread *self = vmc_thread_self();
	struct leaf leaf = {mixed(w->number) >> 8, w->number};
	struct vmc_index_place where;
	uint64_t random = testing_seed() ^ mixed(w->number);

	for (int i = 0; i < STEPS; i++) {
		for (uint64_t n = testing_below(&random, 32); n > 0; n--)
			vmc_pause();
		vmc_epoch_enter(self);
		struct vmc_index_spot spot =
			vmc_index_prefetch(s->index, leaf.hash);
		vmc_epoch_exit(self);
		int err = vmc_index_begin(s->index, leaf.hash, spot, leaf_match,
			&leaf.key, &where);
		expect(s, err == 0);
		if (err)
			continue;
		vmc_index_publish(s->index, leaf.hash, &leaf, 0, &where);
		vmc_epoch_enter(self);
		expect(s, vmc_index_find(s->index, leaf.hash, leaf_match,
				  &leaf.key) == &leaf);
		vmc_epoch_exit(self);
		expect(s, vmc_index_remove(s->index, leaf.hash, &leaf) == 0);
	}
	return NULL;
}

/* The only leaves of a stripe: bags come and go with them. */
static void
empty_again_and_again(enum vmc_index_kind kind)
{
	struct shared *s = calloc(1, sizeof(*s));
	struct writer *writers = calloc(WRITERS, sizeof(*writers));
	pthread_t threads[WRITERS];

	assert_non_null(s);
	assert_non_null(writers);
	start(s, kind, 1);
	for (unsigned i = 0; i < WRITERS; i++) {
		writers[i].shared = s;
		writers[i].number = i;
		assert_int_equal(pthread_create(&threads[i], NULL, come_and_go,
					 &writers[i]),
			0);
	}
	for (unsigned i = 0; i < WRITERS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(s->errors, 0);
	assert_int_equal(vmc_index_check(s->index), 0);
	assert_int_equal(vmc_index_count(s->index), 0);
	end(s);
	free(writers);
	free(s);
}

static void
test_empty_again_and_again(void **state)
{
	(void)state;
	empty_again_and_again(VMC_INDEX_LINEAR);
	empty_again_and_again(VMC_INDEX_CRITNIB);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_readers_and_writers),
		cmocka_unit_test(test_empty_again_and_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
