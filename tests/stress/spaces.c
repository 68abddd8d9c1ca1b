/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * spaces.c -- threads use eight spaces and their cache at random, and clear,
 * delete and make spaces meanwhile
 *
 * Each value says whose it is, which thread has stored it, and as which of its
 * operations. A clear notes which operations had returned in that place before
 * it: no get that begins after it returns what one of these has stored. No
 * space exceeds its quota by more than a value, and no callback runs for a
 * space that is deleted. In the end all that was counted adds up, the cache is
 * whole, and all of the pool can be used again.
 */
#include "items.h"

#include <pthread.h>
#include <sched.h>

enum { THREADS = 4, SPACES = 8, PLACES = SPACES + 1, KEYS = 500 };

#define BLOCK ((size_t)VMEMCACHE_MIN_EXTENT)
#define POOL ((size_t)2 << 20)
#define LARGEST (12 * BLOCK)
#define QUOTA (300 * BLOCK)
#define RESERVED (200 * BLOCK)

/* A space from when it is made until it is deleted. */
struct life {
	VMEMcache *handle;
	_Atomic bool over;
	struct life *before;
};

/* What one thread has done last there, and what of that is cleared. */
struct progress {
	_Atomic uint64_t returned, cleared;
};

/* Where a space is, or, the last of them, the cache itself. */
struct place {
	unsigned number;
	pthread_rwlock_t lock; /* shared: uses the space; alone: deletes it */
	VMEMcache *handle;
	struct life *life;
	struct progress of[THREADS];
	_Atomic uint64_t hits, misses; /* of the space that is there now */
};

struct scene {
	VMEMcache *cache;
	uint64_t seed, operations;
	_Atomic unsigned next;
	_Atomic uint64_t hits, misses, clears, deletions;
	struct place place[PLACES];
};

struct player {
	struct scene *scene;
	unsigned number;
	uint64_t random, operation;
	char buffer[LARGEST];
};

static size_t
quota_of(const struct place *place)
{
	return place->number % 2 ? QUOTA : 0;
}

static void
on_remove(VMEMcache *cache, const void *key, size_t key_size,
	const struct vmemcache_item *item, enum vmemcache_reason reason,
	void *arg)
{
	struct life *life = arg;

	(void)key, (void)key_size, (void)item, (void)reason;
	testing_expect(!vmc_load_acquire(&life->over));
	testing_expect(cache == life->handle);
}

static void
make_space(struct scene *s, struct place *place)
{
	const struct vmemcache_space how = {sizeof(how), NULL, quota_of(place),
		place->number % 4 < 2 ? RESERVED : 0};
	struct life *life = malloc(sizeof(*life));

	place->handle = vmemcache_new_space(s->cache, &how);
	if (!place->handle) {
		fprintf(stderr, "%s\n", vmemcache_errormsg());
		abort();
	}
	*life = (struct life){.handle = place->handle, .before = place->life};
	place->life = life;
	/* the others are cleared in constant time */
	if (place->number >= SPACES / 2)
		vmemcache_callback_on_remove(place->handle, on_remove, life);
	vmc_store_relaxed(&place->hits, 0);
	vmc_store_relaxed(&place->misses, 0);
}

/* What has returned there by now, of each thread. */
static void
note_returned(struct place *place, uint64_t returned[THREADS])
{
	for (unsigned i = 0; i < THREADS; i++)
		returned[i] = vmc_load_acquire(&place->of[i].returned);
}

static void
note_cleared(struct place *place, const uint64_t returned[THREADS])
{
	for (unsigned i = 0; i < THREADS; i++) {
		_Atomic uint64_t *at = &place->of[i].cleared;
		uint64_t cleared = vmc_load_relaxed(at);
		while (cleared < returned[i] &&
			!vmc_cas_acq_rel(at, &cleared, returned[i]))
			;
	}
}

static void
load_cleared(struct place *place, uint64_t cleared[THREADS])
{
	for (unsigned i = 0; i < THREADS; i++)
		cleared[i] = vmc_load_acquire(&place->of[i].cleared);
}

static uint64_t
value_key(const struct place *place, uint64_t key)
{
	return place->number * (uint64_t)KEYS + key;
}

/* Of that place and key, and of no operation that is cleared? */
static bool
may_be(const struct place *place, uint64_t key, const void *bytes, size_t n,
	const uint64_t cleared[THREADS])
{
	uint64_t version;

	return value_decode(bytes, n, 0, value_key(place, key), &version) &&
	       version / THREADS > cleared[version % THREADS];
}

static void
get(struct player *p, struct place *place, uint64_t key)
{
	uint64_t cleared[THREADS];

	load_cleared(place, cleared);
	ssize_t n = vmemcache_get(place->handle, &key, sizeof(key), p->buffer,
		sizeof(p->buffer), 0, NULL);
	testing_expect(n >= 8 || (n < 0 && errno == ENOENT));
	testing_expect(
		n < 0 || may_be(place, key, p->buffer, (size_t)n, cleared));
	vmc_fetch_add_relaxed(n < 0 ? &place->misses : &place->hits, 1);
	vmc_fetch_add_relaxed(n < 0 ? &p->scene->misses : &p->scene->hits, 1);
}

static void
pin(struct player *p, struct place *place, uint64_t key)
{
	uint64_t cleared[THREADS], version;
	struct vmemcache_item item;

	load_cleared(place, cleared);
	if (vmemcache_pin(place->handle, &key, sizeof(key), VMEMCACHE_PEEK,
		    &item) != 0) {
		testing_expect(errno == ENOENT);
		return;
	}
	const struct iovec *first = &item.iov[0];
	testing_expect(
		may_be(place, key, first->iov_base, first->iov_len, cleared));
	testing_expect(value_decode(first->iov_base, first->iov_len, 0,
		value_key(place, key), &version));
	if (testing_below(&p->random, 4) == 0)
		sched_yield();
	testing_expect(items_holds(&item, value_key(place, key), version));
	vmemcache_unpin(place->handle, &item);
}

/* By a put, a store, or a reservation that is filled and committed. */
static void
store(struct player *p, struct place *place, uint64_t key, uint64_t how)
{
	uint64_t version = ++p->operation * THREADS + p->number;
	size_t size = 8 + testing_below(&p->random, LARGEST - 8);
	struct vmemcache_item item;
	int rc;

	value_fill(p->buffer, size, 0, value_key(place, key), version);
	if (how == 0) {
		rc = vmemcache_put(
			place->handle, &key, sizeof(key), p->buffer, size);
		testing_expect(rc == 0 || errno == EEXIST || errno == ENOSPC);
	} else if (how == 1 || quota_of(place)) {
		rc = vmemcache_store(place->handle, &key, sizeof(key),
			p->buffer, size, NULL, NULL);
		testing_expect(rc == 0 || errno == ENOSPC);
	} else {
		rc = vmemcache_reserve(
			place->handle, &key, sizeof(key), size, NULL, &item);
		testing_expect(rc == 0 || errno == ENOSPC);
		if (rc == 0) {
			items_fill(&item, value_key(place, key), version);
			testing_expect(vmemcache_commit(place->handle, &item,
					       size, NULL) == 0);
		}
	}
	vmc_store_release(&place->of[p->number].returned, p->operation);
}

static void
remove_key(struct place *place, uint64_t key)
{
	int rc = vmemcache_remove(place->handle, &key, sizeof(key), 0);

	testing_expect(rc == 0 || errno == ENOENT || errno == EAGAIN);
}

static void
clear(struct scene *s, struct place *place)
{
	uint64_t returned[THREADS];

	note_returned(place, returned);
	testing_expect(vmemcache_clear(place->handle) == 0);
	note_cleared(place, returned);
	vmc_fetch_add_relaxed(&s->clears, 1);
}

static struct vmemcache_statistics
statistics(VMEMcache *cache)
{
	struct vmemcache_statistics stat = {.struct_size = sizeof(stat)};

	testing_expect(vmemcache_statistics(cache, &stat) == 0);
	return stat;
}

static void
look(const struct place *place)
{
	/* of a cache it is read from the system, slowly */
	if (place->number == SPACES)
		return;
	struct vmemcache_statistics stat = statistics(place->handle);
	if (quota_of(place))
		testing_expect(stat.block_bytes <= QUOTA + LARGEST);
	/* else a subtraction has come before its addition */
	testing_expect(stat.items < POOL && stat.value_bytes < 2 * POOL);
}

/* Nobody uses it: gone, and there is another one in its place. */
static void
replace_space(struct scene *s, struct place *place)
{
	struct vmemcache_statistics stat = statistics(place->handle);
	uint64_t returned[THREADS];

	testing_expect(stat.hits == vmc_load_relaxed(&place->hits));
	testing_expect(stat.misses == vmc_load_relaxed(&place->misses));
	note_returned(place, returned);
	vmemcache_delete(place->handle);
	vmc_store_release(&place->life->over, true);
	note_cleared(place, returned);
	vmc_fetch_add_relaxed(&s->deletions, 1);
	make_space(s, place);
}

static void
play_once(struct player *p, struct place *place)
{
	uint64_t key = testing_below(&p->random, KEYS);
	uint64_t what = testing_below(&p->random, 1000);

	if (what < 450)
		get(p, place, key);
	else if (what < 850)
		store(p, place, key, testing_below(&p->random, 3));
	else if (what < 910)
		remove_key(place, key);
	else if (what < 970)
		pin(p, place, key);
	else if (what < 990)
		look(place);
	else if (what < 991)
		clear(p->scene, place);
}

static void *
play(void *arg)
{
	struct scene *s = arg;
	struct player *p = malloc(sizeof(*p));

	p->scene = s;
	p->number = vmc_fetch_add_relaxed(&s->next, 1);
	p->random = s->seed + p->number;
	p->operation = 0;
	for (uint64_t i = 0; i < s->operations; i++) {
		struct place *place =
			&s->place[testing_below(&p->random, PLACES)];
		if (place->number < SPACES &&
			testing_below(&p->random, 2000) == 0 &&
			pthread_rwlock_trywrlock(&place->lock) == 0) {
			replace_space(s, place);
		} else {
			pthread_rwlock_rdlock(&place->lock);
			play_once(p, place);
		}
		pthread_rwlock_unlock(&place->lock);
	}
	free(p);
	return NULL;
}

static enum vmemcache_step
add_up(VMEMcache *cache, const void *key, size_t key_size,
	const struct vmemcache_item *item, void *arg)
{
	struct vmemcache_statistics *sum = arg;

	(void)cache, (void)key, (void)key_size;
	sum->items++;
	sum->value_bytes += item->info.value_size;
	sum->block_bytes += (item->info.value_size + BLOCK - 1) / BLOCK * BLOCK;
	return VMEMCACHE_WALK_ON;
}

static uint64_t
sum_of(const uint64_t *counts, unsigned n)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < n; i++)
		sum += counts[i];
	return sum;
}

/* Of a space: what it counts is what is there. */
static void
check_space(const struct place *place, const struct vmemcache_statistics *there)
{
	struct vmemcache_statistics stat = statistics(place->handle);
	uint64_t stored = 0;

	assert_int_equal(stat.items, there->items);
	assert_int_equal(stat.value_bytes, there->value_bytes);
	assert_int_equal(stat.block_bytes, there->block_bytes);
	assert_int_equal(stat.pinned_items, 0);
	assert_int_equal(stat.pinned_bytes, 0);
	assert_int_equal(stat.hits, vmc_load_relaxed(&place->hits));
	assert_int_equal(stat.misses, vmc_load_relaxed(&place->misses));
	for (unsigned mode = 0; mode < VMEMCACHE_MODES; mode++)
		stored += stat.stores[mode][VMEMCACHE_OUTCOME_INSERTED] +
			  stat.stores[mode][VMEMCACHE_OUTCOME_REPLACED];
	assert_int_equal(
		stored - sum_of(stat.removals, VMEMCACHE_REASONS), stat.items);
}

static void
check_all(struct scene *s)
{
	struct vmemcache_statistics all = {0};

	for (unsigned i = 0; i < PLACES; i++) {
		struct vmemcache_statistics there = {0};
		uint64_t cursor = 0;
		ssize_t shown = vmemcache_walk(
			s->place[i].handle, &cursor, SIZE_MAX, add_up, &there);
		assert_int_equal(shown, there.items);
		if (i < SPACES)
			check_space(&s->place[i], &there);
		all.items += there.items;
		all.value_bytes += there.value_bytes;
	}
	struct vmemcache_statistics stat = statistics(s->cache);
	assert_int_equal(stat.items, all.items);
	assert_int_equal(stat.value_bytes, all.value_bytes);
	assert_int_equal(stat.hits, s->hits);
	assert_int_equal(stat.misses, s->misses);
	assert_int_equal(stat.pinned_items, 0);
	fixture_check(s->cache);
}

/* Without evicting anything. */
static void
check_pool(struct scene *s)
{
	uint64_t capacity =
		statistics(s->cache).removals[VMEMCACHE_REASON_CAPACITY];

	for (unsigned i = 0; i < SPACES; i++) {
		vmemcache_delete(s->place[i].handle);
		vmc_store_release(&s->place[i].life->over, true);
	}
	assert_int_equal(vmemcache_clear(s->cache), 0);
	for (uint64_t key = 0; key < POOL / BLOCK; key++)
		assert_int_equal(fixture_put(s->cache, key, 1, BLOCK), 0);
	assert_int_equal(
		fixture_stat(s->cache, VMEMCACHE_STAT_ENTRIES), POOL / BLOCK);
	assert_int_equal(
		statistics(s->cache).removals[VMEMCACHE_REASON_CAPACITY],
		capacity);
	fixture_check(s->cache);
}

static void
run(enum vmemcache_repl_p policy)
{
	static struct scene s;
	pthread_t threads[THREADS];

	s = (struct scene){.cache = fixture_open(POOL, 0, policy),
		.seed = testing_seed() << 8,
		.operations = testing_operations(80000)};
	for (unsigned i = 0; i < PLACES; i++) {
		s.place[i].number = i;
		pthread_rwlock_init(&s.place[i].lock, NULL);
		s.place[i].handle = s.cache;
		if (i < SPACES)
			make_space(&s, &s.place[i]);
	}
	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(
			pthread_create(&threads[i], NULL, play, &s), 0);
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(testing_failures, 0);
	printf("%ju hits, %ju misses, %ju clears, %ju deletions\n",
		(uintmax_t)s.hits, (uintmax_t)s.misses, (uintmax_t)s.clears,
		(uintmax_t)s.deletions);
	check_all(&s);
	check_pool(&s);
	vmemcache_delete(s.cache);
	for (unsigned i = 0; i < PLACES; i++) {
		pthread_rwlock_destroy(&s.place[i].lock);
		for (struct life *life = s.place[i].life; life;) {
			struct life *before = life->before;
			free(life);
			life = before;
		}
	}
}

static void
test_lru(void **state)
{
	(void)state;
	run(VMEMCACHE_REPLACEMENT_LRU);
}

static void
test_s3fifo(void **state)
{
	(void)state;
	run(VMEMCACHE_REPLACEMENT_S3FIFO);
}

static void
test_adaptive(void **state)
{
	(void)state;
	run(VMEMCACHE_REPLACEMENT_ADAPTIVE);
}

static void
test_none(void **state)
{
	(void)state;
	run(VMEMCACHE_REPLACEMENT_NONE);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lru),
		cmocka_unit_test(test_s3fifo),
		cmocka_unit_test(test_adaptive),
		cmocka_unit_test(test_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
