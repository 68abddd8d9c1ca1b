/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * reservations_keep_quota.c -- what the quota of a space counts and no victim
 * has, a reservation or a put under way, made puts evict too little: they
 * failed, though enough could be evicted. And a space could exceed its quota
 * for long: by a reservation that was made before a clear, once it was
 * committed, and by one over a value that was there.
 */
#include "fixture.h"

#include <pthread.h>

#define BLOCK ((size_t)VMEMCACHE_MIN_EXTENT)
#define POOL ((size_t)4 << 20)
#define QUOTA 100

static const enum vmemcache_repl_p policies[] = {VMEMCACHE_REPLACEMENT_LRU,
	VMEMCACHE_REPLACEMENT_SIEVE, VMEMCACHE_REPLACEMENT_S3FIFO,
	VMEMCACHE_REPLACEMENT_ADAPTIVE};

struct scene {
	VMEMcache *cache, *space;
	uint64_t next;
};

static void
open_scene(struct scene *s, enum vmemcache_repl_p policy)
{
	const struct vmemcache_space how = {
		sizeof(how), NULL, QUOTA * BLOCK, 0};

	s->cache = fixture_open(POOL, 0, policy);
	s->space = vmemcache_new_space(s->cache, &how);
	s->next = 1;
	assert_non_null(s->space);
}

static void
close_scene(struct scene *s)
{
	fixture_check(s->cache);
	vmemcache_delete(s->cache);
}

static int
put(VMEMcache *cache, uint64_t key, size_t blocks)
{
	static const char value[QUOTA * BLOCK];

	return vmemcache_put(cache, &key, sizeof(key), value, blocks * BLOCK);
}

static int
reserve(struct scene *s, uint64_t key, size_t blocks, enum vmemcache_mode mode,
	struct vmemcache_item *item)
{
	const struct vmemcache_store how = {
		.struct_size = sizeof(how), .mode = mode};

	return vmemcache_reserve(
		s->space, &key, sizeof(key), blocks * BLOCK, &how, item);
}

static int
commit(struct scene *s, struct vmemcache_item *item, size_t blocks)
{
	return vmemcache_commit(s->space, item, blocks * BLOCK, NULL);
}

static void
fill(struct scene *s)
{
	for (unsigned i = 0; i < 3 * QUOTA; i++)
		assert_int_equal(put(s->space, s->next++, 1), 0);
}

static uint64_t
held(const struct scene *s)
{
	return fixture_stat(s->space, VMEMCACHE_STAT_POOL_SIZE_USED) / BLOCK;
}

static uint64_t
entries(const struct scene *s)
{
	return fixture_stat(s->space, VMEMCACHE_STAT_ENTRIES);
}

static void
put_beside(enum vmemcache_repl_p policy, size_t blocks)
{
	enum { RESERVED = 10 };
	struct scene s;
	struct vmemcache_item item;

	open_scene(&s, policy);
	fill(&s);
	assert_int_equal(reserve(&s, 0, RESERVED, VMEMCACHE_SET, &item), 0);
	assert_int_equal(held(&s), QUOTA);
	assert_int_equal(entries(&s), QUOTA - RESERVED);
	if (blocks > QUOTA - RESERVED) {
		assert_fails(put(s.space, s.next, blocks), ENOSPC);
		assert_int_equal(entries(&s), QUOTA - RESERVED);
	} else {
		assert_int_equal(put(s.space, s.next, blocks), 0);
		assert_int_equal(entries(&s), QUOTA - RESERVED - blocks + 1);
	}
	assert_int_equal(held(&s), QUOTA);
	assert_int_equal(commit(&s, &item, RESERVED), 0);
	assert_int_equal(held(&s), QUOTA);
	close_scene(&s);
}

static void
test_puts_beside_a_reservation(void **state)
{
	static const size_t sizes[] = {1, 2, 15, 89, 90, 91, 100};

	(void)state;
	for (unsigned p = 0; p < 4; p++)
		for (unsigned i = 0; i < sizeof(sizes) / sizeof(*sizes); i++)
			put_beside(policies[p], sizes[i]);
}

/* Of the cache itself, while a put of the space evicts there. */
static void
put_within(VMEMcache *cache, const void *key, size_t key_size, void *arg)
{
	struct scene *s = arg;

	(void)cache, (void)key, (void)key_size;
	assert_int_equal(put(s->space, s->next++, 1), 0);
}

static void
test_put_within_a_put(void **state)
{
	struct scene s;

	(void)state;
	open_scene(&s, VMEMCACHE_REPLACEMENT_LRU);
	for (uint64_t key = 0; key < POOL / BLOCK; key++)
		assert_int_equal(put(s.cache, key, 1), 0);
	for (unsigned i = 0; i < QUOTA - 40; i++)
		assert_int_equal(put(s.space, s.next++, 1), 0);
	assert_int_equal(held(&s), QUOTA - 40);
	vmemcache_callback_on_evict(s.cache, put_within, &s);
	uint64_t before = s.next;
	assert_int_equal(put(s.space, 0, 50), 0);
	vmemcache_callback_on_evict(s.cache, NULL, NULL);
	assert_true(s.next > before);
	assert_int_equal(held(&s), QUOTA);
	close_scene(&s);
}

/* Reserved, cleared, and filled again: the commit makes room. */
static void
test_commit_after_clear(void **state)
{
	struct scene s;
	struct vmemcache_item item;

	(void)state;
	for (unsigned p = 0; p < 4; p++) {
		open_scene(&s, policies[p]);
		assert_int_equal(reserve(&s, 0, 80, VMEMCACHE_SET, &item), 0);
		assert_int_equal(vmemcache_clear(s.space), 0);
		fill(&s);
		assert_int_equal(commit(&s, &item, 80), 0);
		assert_int_equal(held(&s), QUOTA);
		assert_int_equal(entries(&s), QUOTA - 80 + 1);
		/* fewer blocks need less */
		assert_int_equal(reserve(&s, 1, 15, VMEMCACHE_SET, &item), 0);
		assert_int_equal(vmemcache_clear(s.space), 0);
		fill(&s);
		assert_int_equal(commit(&s, &item, 4), 0);
		assert_int_equal(entries(&s), QUOTA - 4 + 1);
		close_scene(&s);
	}
}

/* What is there is replaced, or it says why not: then nothing is evicted. */
static void
test_commit_after_clear_over_a_value(void **state)
{
	struct scene s;
	struct vmemcache_item add, set;

	(void)state;
	open_scene(&s, VMEMCACHE_REPLACEMENT_LRU);
	assert_int_equal(reserve(&s, 0, 50, VMEMCACHE_ADD, &add), 0);
	assert_int_equal(reserve(&s, 0, 50, VMEMCACHE_REPLACE, &set), 0);
	assert_int_equal(vmemcache_clear(s.space), 0);
	assert_int_equal(put(s.space, 0, 60), 0);
	for (unsigned i = 0; i < 40; i++)
		assert_int_equal(put(s.space, s.next++, 1), 0);
	assert_int_equal(entries(&s), 41);
	assert_fails(commit(&s, &add, 50), EEXIST);
	assert_int_equal(entries(&s), 41);
	assert_int_equal(commit(&s, &set, 50), 0);
	assert_int_equal(entries(&s), 41);
	assert_int_equal(held(&s), 90);
	close_scene(&s);
}

/* All that is there stays: the commit fails, and evicts nothing. */
static void
test_commit_after_clear_without_room(void **state)
{
	struct scene s;
	struct vmemcache_item item, pinned;
	uint64_t key = 1;

	(void)state;
	open_scene(&s, VMEMCACHE_REPLACEMENT_LRU);
	assert_int_equal(reserve(&s, 0, 80, VMEMCACHE_SET, &item), 0);
	assert_int_equal(vmemcache_clear(s.space), 0);
	assert_int_equal(put(s.space, key, 30), 0);
	assert_int_equal(
		vmemcache_pin(s.space, &key, sizeof(key), 0, &pinned), 0);
	for (s.next = 2; s.next < 72; s.next++)
		assert_int_equal(put(s.space, s.next, 1), 0);
	assert_fails(commit(&s, &item, 80), ENOSPC);
	assert_int_equal(item.iov_count, -1);
	assert_int_equal(entries(&s), 71);
	assert_int_equal(held(&s), QUOTA);
	vmemcache_unpin(s.space, &pinned);
	assert_int_equal(fixture_stat(s.cache, VMEMCACHE_STAT_POOL_SIZE_USED),
		QUOTA * BLOCK);
	close_scene(&s);
}

struct leaving {
	struct scene s;
	struct vmemcache_item item;
};

static void
leave(VMEMcache *cache, const void *key, size_t key_size, void *arg)
{
	(void)cache, (void)key, (void)key_size, (void)arg;
	pthread_exit(NULL);
}

static void *
commit_and_leave(void *arg)
{
	struct leaving *l = arg;

	commit(&l->s, &l->item, 80);
	return l;
}

/* on_evict does not return to the commit, whose reservation has gone then. */
static void
test_commit_after_clear_is_left(void **state)
{
	const struct vmemcache_store how = {.struct_size = sizeof(how),
		.mode = VMEMCACHE_SET,
		.flags = VMEMCACHE_EXCLUSIVE};
	struct leaving l;
	pthread_t thread;
	void *result;

	(void)state;
	open_scene(&l.s, VMEMCACHE_REPLACEMENT_LRU);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(vmemcache_reserve(l.s.space, "r", 1,
					 80 * BLOCK, &how, &l.item),
			0);
		assert_int_equal(vmemcache_clear(l.s.space), 0);
		fill(&l.s);
		vmemcache_callback_on_evict(l.s.space, leave, NULL);
		assert_int_equal(
			pthread_create(&thread, NULL, commit_and_leave, &l), 0);
		assert_int_equal(pthread_join(thread, &result), 0);
		assert_null(result);
		vmemcache_callback_on_evict(l.s.space, NULL, NULL);
		assert_int_equal(vmemcache_exists(l.s.space, "r", 1, NULL), 0);
		assert_fails(
			vmemcache_wait(l.s.space, "r", 1, VMEMCACHE_FOREVER),
			ENOENT);
		fill(&l.s);
		assert_int_equal(held(&l.s), QUOTA);
		fixture_check(l.s.cache);
	}
	assert_int_equal(vmemcache_clear(l.s.space), 0);
	for (uint64_t key = 0; key < 2 * POOL / BLOCK; key++)
		assert_int_equal(put(l.s.cache, key, 1), 0);
	assert_true(fixture_stat(l.s.cache, VMEMCACHE_STAT_POOL_SIZE_USED) >=
		    POOL - POOL / 100);
	close_scene(&l.s);
}

/* The value that may be replaced goes for the reservation, if it has to. */
static void
test_reservation_over_a_value(void **state)
{
	struct scene s;
	struct vmemcache_item item;

	(void)state;
	for (unsigned p = 0; p < 4; p++) {
		open_scene(&s, policies[p]);
		assert_int_equal(put(s.space, 0, 90), 0);
		assert_int_equal(reserve(&s, 0, 10, VMEMCACHE_SET, &item), 0);
		assert_int_equal(entries(&s), 1);
		assert_int_equal(held(&s), QUOTA);
		vmemcache_abort(s.space, &item);
		assert_int_equal(
			reserve(&s, 0, QUOTA, VMEMCACHE_SET, &item), 0);
		assert_int_equal(entries(&s), 0);
		assert_int_equal(held(&s), QUOTA);
		assert_int_equal(commit(&s, &item, QUOTA), 0);
		assert_int_equal(held(&s), QUOTA);
		close_scene(&s);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_puts_beside_a_reservation),
		cmocka_unit_test(test_put_within_a_put),
		cmocka_unit_test(test_commit_after_clear),
		cmocka_unit_test(test_commit_after_clear_over_a_value),
		cmocka_unit_test(test_commit_after_clear_without_room),
		cmocka_unit_test(test_commit_after_clear_is_left),
		cmocka_unit_test(test_reservation_over_a_value),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
