/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * threads.c -- many threads on one cache, values that validate themselves
 *
 * Keys are of two kinds. A shared key is put by anybody: its value must be a
 * whole one of that key. An owned key is put by one thread alone, in rising
 * versions, so more is known: whoever reads it never sees an older version
 * than he has seen before, its owner sees its last one or none, and after its
 * owner's evict, none. All that is evicted on the way must still answer in
 * on_evict, and what on_miss puts must come out of that get.
 *
 * VMC_TEST_OPERATIONS is the number of operations a thread.
 */
#include "fixture.h"

#include <pthread.h>

enum { THREADS = 4, VISITORS = 3, DEPTH = 3, MOST_KEYS = 20000 };

struct shape {
	const char *name;
	size_t pool, extent;
	enum vmemcache_repl_p policy;
	unsigned keys; /* every other one shared, the rest owned in turns */
	size_t largest;
	bool callbacks;
};

static const struct shape shapes[] = {
	{"few keys", 1 << 20, 256, VMEMCACHE_REPLACEMENT_LRU, 16, 3000, false},
	{"few keys, callbacks", 1 << 20, 256, VMEMCACHE_REPLACEMENT_LRU, 16,
		3000, true},
	{"large values", 1 << 20, 256, VMEMCACHE_REPLACEMENT_LRU, 64, 300000,
		true},
	{"odd blocks", 1 << 20, 300, VMEMCACHE_REPLACEMENT_LRU, 3000, 2500,
		true},
	{"many keys", 8 << 20, 256, VMEMCACHE_REPLACEMENT_LRU, MOST_KEYS, 2000,
		false},
	{"many keys, callbacks", 8 << 20, 4096, VMEMCACHE_REPLACEMENT_LRU,
		MOST_KEYS, 9000, true},
	{"SIEVE", 1 << 20, 256, VMEMCACHE_REPLACEMENT_SIEVE, 3000, 2500, false},
	{"SIEVE, callbacks", 1 << 20, 300, VMEMCACHE_REPLACEMENT_SIEVE, 64,
		60000, true},
	{"S3-FIFO", 1 << 20, 256, VMEMCACHE_REPLACEMENT_S3FIFO, 3000, 2500,
		false},
	{"S3-FIFO, callbacks", 1 << 20, 300, VMEMCACHE_REPLACEMENT_S3FIFO, 64,
		60000, true},
	{"ADAPTIVE", 1 << 20, 256, VMEMCACHE_REPLACEMENT_ADAPTIVE, 3000, 2500,
		false},
	{"ADAPTIVE, callbacks", 1 << 20, 300, VMEMCACHE_REPLACEMENT_ADAPTIVE,
		64, 60000, true},
	{"no policy", 1 << 20, 256, VMEMCACHE_REPLACEMENT_NONE, 2000, 2000,
		false},
	{"no policy, callbacks", 1 << 20, 256, VMEMCACHE_REPLACEMENT_NONE, 64,
		60000, true},
};

/* What a thread knows and has done. */
struct worker {
	struct scene *scene;
	unsigned number; /* THREADS and above: owns no key */
	uint64_t random;
	unsigned depth; /* of callbacks */
	uint64_t gets, hits, attempts, puts, no_space, on_evict, on_miss;
	/* of its own keys: the last it tried to put; of others': seen last */
	uint32_t version[MOST_KEYS];
	/* the last of its own that was there already: see check_version() */
	uint32_t offered[MOST_KEYS];
	/* its own key is not in the cache, for sure */
	bool gone[MOST_KEYS];
	/* a put of that key is under way, further out on the stack */
	bool putting[MOST_KEYS];
};

struct scene {
	const struct shape *shape;
	VMEMcache *cache;
	uint64_t operations;
	_Atomic uint64_t versions; /* of shared keys */
	_Atomic unsigned running;
};

static _Thread_local struct worker *self;

static bool
is_shared(unsigned key)
{
	return key % 2 == 0;
}

static bool
is_mine(const struct worker *w, unsigned key)
{
	return !is_shared(key) && key / 2 % THREADS == w->number;
}

/* Mostly the same size, so that blocks are reused as they are. */
static size_t
size_of(const struct shape *shape, unsigned key, uint64_t version)
{
	uint64_t mixed = (key + 1) * UINT64_C(1000003) + version * 7919;

	return version % 4 ? shape->largest / 3 : mixed % shape->largest;
}

/* The next version of a key that is shared or the worker's. */
static void
put(struct worker *w, unsigned key)
{
	struct scene *s = w->scene;
	uint64_t version;

	if (w->putting[key])
		return;
	if (is_shared(key))
		version = vmc_fetch_add_relaxed(&s->versions, 1) % (1 << 27);
	else
		version = w->version[key];
	version++;
	w->attempts++;
	w->putting[key] = true;
	int rc = fixture_put(
		s->cache, key, version, size_of(s->shape, key, version));
	int err = rc ? errno : 0;
	w->putting[key] = false;
	testing_expect(rc == 0 || rc == -1);
	testing_expect(err == 0 || err == EEXIST || err == ENOSPC);
	w->puts += err == 0;
	w->no_space += err == ENOSPC;
	if (is_shared(key))
		return;
	testing_expect(err != EEXIST || !w->gone[key]);
	if (err != EEXIST)
		w->version[key] = (uint32_t)version;
	else
		w->offered[key] = (uint32_t)version;
	w->gone[key] = err == ENOSPC;
}

/*
 * What a get of a key of somebody's returned: is it as new as it must be? A put
 * within on_miss may have failed, as the key was there, and have given the get
 * its own value even so, as what was there had gone before it was read.
 */
static void
check_version(
	struct worker *w, unsigned key, uint64_t version, bool put_meanwhile)
{
	if (is_mine(w, key)) {
		testing_expect(version <= w->version[key] ||
			       (put_meanwhile && version == w->offered[key]));
		testing_expect(put_meanwhile || version == w->version[key]);
	} else {
		testing_expect(version >= w->version[key]);
		w->version[key] = (uint32_t)version;
	}
}

/* Some part of the value, or all of it. False: a miss. */
static bool
get(struct worker *w, unsigned key)
{
	const struct shape *shape = w->scene->shape;
	size_t room = testing_below(&w->random,
		testing_below(&w->random, 4) ? 300 : shape->largest);
	size_t offset = testing_below(&w->random, 2)
				? testing_below(&w->random, shape->largest)
				: 0;
	uint64_t number = key, version = 0, attempts = w->attempts;
	size_t size = SIZE_MAX;
	bool gone = w->gone[key];
	char *buffer = malloc(room + 1);

	w->gets++;
	ssize_t n = vmemcache_get(w->scene->cache, &number, sizeof(number),
		buffer, room, offset, &size);
	if (n < 0) {
		testing_expect(errno == ENOENT);
		testing_expect(size == SIZE_MAX);
	} else {
		size_t left = offset < size ? size - offset : 0;
		testing_expect((size_t)n == (left < room ? left : room));
		testing_expect(value_decode(
			buffer, (size_t)n, offset, number, &version));
		testing_expect(
			version == 0 || size == size_of(shape, key, version));
		testing_expect(!gone || w->attempts != attempts);
		if (version && !is_shared(key))
			check_version(w, key, version, w->attempts != attempts);
	}
	free(buffer);
	w->hits += n >= 0;
	return n >= 0;
}

static void
evict(struct worker *w, unsigned key)
{
	int err = fixture_evict(w->scene->cache, key) ? errno : 0;

	testing_expect(err == 0 || err == ENOENT || err == EAGAIN);
	if (is_mine(w, key)) {
		testing_expect(err != EAGAIN || !w->gone[key]);
		w->gone[key] |= err != EAGAIN;
	}
}

static void
evict_victim(struct worker *w)
{
	if (vmemcache_evict(w->scene->cache, NULL, 0) != 0)
		testing_expect(errno == ESRCH);
}

static void
operate(struct worker *w)
{
	unsigned key =
		(unsigned)testing_below(&w->random, w->scene->shape->keys);

	switch (testing_below(&w->random, 16)) {
	case 0:
		evict(w, key);
		break;
	case 1:
		if (testing_below(&w->random, 8) == 0)
			evict_victim(w);
		break;
	case 2:
		testing_expect(fixture_exists(w->scene->cache, key) >= 0);
		break;
	case 3:
	case 4:
	case 5:
	case 6:
	case 7:
		if (is_shared(key) || is_mine(w, key))
			put(w, key);
		break;
	default:
		get(w, key);
	}
}

static unsigned
key_of(const void *key, size_t key_size)
{
	uint64_t number;

	testing_expect(key_size == sizeof(number));
	memcpy(&number, key, sizeof(number));
	return (unsigned)number;
}

static void
on_evict(VMEMcache *cache, const void *bytes, size_t key_size, void *arg)
{
	struct worker *w = self;
	unsigned key = key_of(bytes, key_size);

	(void)arg;
	w->on_evict++;
	if (w->depth++ < DEPTH) {
		testing_expect(get(w, key));
		testing_expect(fixture_exists(cache, key) == 1);
		testing_expect(fixture_put(cache, key, 1, 1) == -1);
		testing_expect(errno == EEXIST);
		testing_expect(fixture_evict(cache, key) == -1);
		testing_expect(errno == EAGAIN);
		if (testing_below(&w->random, 4) == 0)
			operate(w);
	}
	w->depth--;
}

static void
on_miss(VMEMcache *cache, const void *bytes, size_t key_size, void *arg)
{
	struct worker *w = self;
	unsigned key = key_of(bytes, key_size);

	(void)cache, (void)arg;
	w->on_miss++;
	if (w->depth++ < DEPTH) {
		if (testing_below(&w->random, 4) == 0)
			operate(w);
		if (is_shared(key) || is_mine(w, key))
			put(w, key);
	}
	w->depth--;
}

static void *
work(void *arg)
{
	struct worker *w = self = arg;

	for (uint64_t i = 0; i < w->scene->operations; i++)
		operate(w);
	vmc_fetch_add_relaxed(&w->scene->running, (unsigned)-1);
	return w;
}

/* Come, use the cache a little, and go with touches still in the ring. */
static void *
visit(void *arg)
{
	struct worker *w = self = arg;

	for (uint64_t i = testing_below(&w->random, 50); i > 0; i--)
		operate(w);
	return w;
}

static struct worker *
worker_new(struct scene *s, unsigned number, uint64_t salt)
{
	struct worker *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	w->scene = s;
	w->number = number;
	w->random = testing_seed() + salt * UINT64_C(0x9e3779b97f4a7c15);
	return w;
}

/* Add up what a thread did, when it has ended. */
static void
join(pthread_t thread, struct worker *sum)
{
	struct worker *w;

	pthread_join(thread, (void **)&w);
	sum->gets += w->gets;
	sum->hits += w->hits;
	sum->puts += w->puts;
	sum->no_space += w->no_space;
	sum->on_evict += w->on_evict;
	sum->on_miss += w->on_miss;
	free(w);
}

static void
run_threads(struct scene *s, struct worker *sum)
{
	pthread_t threads[THREADS], visitors[VISITORS];
	uint64_t salt = THREADS;

	s->running = THREADS;
	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, work,
					 worker_new(s, i, i)),
			0);
	while (vmc_load_relaxed(&s->running) > 0) {
		for (unsigned i = 0; i < VISITORS; i++)
			assert_int_equal(
				pthread_create(&visitors[i], NULL, visit,
					worker_new(s, THREADS, salt++)),
				0);
		for (unsigned i = 0; i < VISITORS; i++)
			join(visitors[i], sum);
	}
	for (unsigned i = 0; i < THREADS; i++)
		join(threads[i], sum);
}

static void
check_figures(struct scene *s, const struct worker *sum)
{
	const struct shape *shape = s->shape;
	VMEMcache *cache = s->cache;
	uint64_t entries = 0, bytes = 0;

	fixture_check(cache);
	assert_int_equal(fixture_stat(cache, VMEMCACHE_STAT_PUT), sum->puts);
	assert_int_equal(fixture_stat(cache, VMEMCACHE_STAT_GET), sum->gets);
	if (shape->callbacks) {
		assert_int_equal(
			fixture_stat(cache, VMEMCACHE_STAT_MISS), sum->on_miss);
		assert_int_equal(fixture_stat(cache, VMEMCACHE_STAT_EVICT),
			sum->on_evict);
	} else {
		assert_int_equal(
			fixture_stat(cache, VMEMCACHE_STAT_HIT), sum->hits);
	}
	for (uint64_t key = 0; key < shape->keys; key++) {
		size_t size, blocks;
		if (!vmemcache_exists(cache, &key, sizeof(key), &size))
			continue;
		entries++;
		blocks = (size + shape->extent - 1) / shape->extent;
		bytes += blocks * shape->extent;
	}
	assert_int_equal(fixture_stat(cache, VMEMCACHE_STAT_ENTRIES), entries);
	assert_int_equal(
		fixture_stat(cache, VMEMCACHE_STAT_POOL_SIZE_USED), bytes);
	assert_true(sum->puts > 0);
	assert_true(sum->hits > 0 || s->operations < shape->keys);
	/* where all keys together fit in, there is always space */
	if (2 * shape->keys * (shape->largest + shape->extent) < shape->pool)
		assert_int_equal(sum->no_space, 0);
}

static void
run(const struct shape *shape)
{
	struct scene s = {.shape = shape,
		.cache =
			fixture_open(shape->pool, shape->extent, shape->policy),
		.operations = testing_operations(10000)};
	struct worker sum = {0};

	if (shape->callbacks) {
		vmemcache_callback_on_evict(s.cache, on_evict, NULL);
		vmemcache_callback_on_miss(s.cache, on_miss, NULL);
	}
	run_threads(&s, &sum);
	assert_int_equal(testing_failures, 0);
	check_figures(&s, &sum);
	vmemcache_callback_on_evict(s.cache, NULL, NULL);
	for (uint64_t key = 0; key < shape->keys; key++)
		fixture_evict(s.cache, key);
	fixture_check_empty(s.cache);
	vmemcache_delete(s.cache);
}

static void
test_shapes(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
		print_message("%s\n", shapes[i].name);
		run(&shapes[i]);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_shapes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
