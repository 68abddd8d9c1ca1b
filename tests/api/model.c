/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * model.c -- random operations on a cache and on a model of it in plain C,
 * callbacks that operate on both included; they must agree at every step, of
 * which there are a million for each policy (VMC_TEST_OPERATIONS for each
 * shape of a cache)
 *
 * The model knows keys, versions, sizes, blocks, the exact LRU order and the
 * statistics. It cannot call callbacks, since the cache does. So each operation
 * that may evict or miss pushes a frame onto the model's stack; a callback
 * finds its frame on top, and there what must be called next. Nested operations
 * push theirs. What the cache does after a callback returned, the model does
 * when it is next asked: at the frame's next callback, or its end.
 */
#include "fixture.h"

enum { KEYS = 200, DEPTH = 4 };

enum state { ABSENT, LIVE, EVICTING };

struct item {
	enum state state;
	uint64_t version;
	size_t size;
	uint64_t blocks;
	uint64_t used; /* greater: later */
};

struct frame {
	struct frame *outer;
	/* eviction: claimed victims, and how many of them were called for */
	unsigned victims[KEYS];
	unsigned count, called;
	/* the blocks that a put needs; 0: an evict, satisfied by one victim */
	uint64_t need;
	bool failed; /* there was not enough to evict */
	/* a get in on_miss: the key, and what was handed over */
	bool is_get, handed;
	unsigned key;
	uint64_t version;
	size_t size;
};

struct model {
	VMEMcache *cache;
	size_t extent;
	bool lru;
	uint64_t blocks, used_blocks, empties;
	struct item items[KEYS];
	uint64_t clock, versions;
	uint64_t puts, hits, misses, evictions, entries;
	struct frame *top;
	unsigned depth;
	bool on_evict, on_miss;
	size_t largest;
	uint64_t random, callbacks;
};

static uint64_t
chance(struct model *m, uint64_t bound)
{
	return testing_below(&m->random, bound);
}

/* Keys of 0 to 40 bytes, some of them prefixes of others. */
static size_t
key_bytes(unsigned key, char bytes[48])
{
	size_t size = key % 41;

	memset(bytes, (int)(key % 3), 48);
	if (key == 0)
		return 0;
	if (size < 2)
		return 41 + key / 41;
	bytes[size - 1] = (char)(key / 41);
	return size;
}

static unsigned
key_number(const void *bytes, size_t size)
{
	char expected[48];

	for (unsigned key = 0; key < KEYS; key++)
		if (key_bytes(key, expected) == size &&
			memcmp(expected, bytes, size) == 0)
			return key;
	fail_msg("%s", "a key that nobody has put");
	return KEYS;
}

/* --- the model of eviction --- */

static void
touch(struct model *m, unsigned key)
{
	m->items[key].used = ++m->clock;
}

static unsigned
victim(const struct model *m)
{
	unsigned oldest = KEYS;

	for (unsigned key = 0; m->lru && key < KEYS; key++)
		if (m->items[key].state == LIVE &&
			(oldest == KEYS ||
				m->items[key].used < m->items[oldest].used))
			oldest = key;
	return oldest;
}

static void
claim(struct model *m, struct frame *f, unsigned key)
{
	m->items[key].state = EVICTING;
	f->victims[f->count++] = key;
}

/* Victims of at least `blocks` blocks, one at least; or none. */
static bool
claim_victims(struct model *m, struct frame *f, uint64_t blocks)
{
	uint64_t got = 0;

	f->count = f->called = 0;
	while (f->count == 0 || got < blocks) {
		unsigned key = victim(m);
		if (key == KEYS) {
			while (f->count > 0)
				m->items[f->victims[--f->count]].state = LIVE;
			return false;
		}
		claim(m, f, key);
		got += m->items[key].blocks;
	}
	return true;
}

static void
remove_item(struct model *m, unsigned key)
{
	m->items[key].state = ABSENT;
	m->used_blocks -= m->items[key].blocks;
	m->empties -= m->items[key].size == 0;
	m->evictions++;
	m->entries--;
}

/* The key that on_evict must be called for next; KEYS: none any more. */
static unsigned
next_victim(struct model *m, struct frame *f)
{
	if (f->called > 0)
		remove_item(m, f->victims[f->called - 1]);
	if (f->called == f->count) {
		uint64_t room = m->blocks - m->used_blocks;
		bool more = f->need > room && !f->failed;

		f->count = f->called = 0;
		if (more && !claim_victims(m, f, f->need - room))
			f->failed = true;
		if (f->count == 0)
			return KEYS;
	}
	return f->victims[f->called++];
}

static void
push(struct model *m, struct frame *f)
{
	f->outer = m->top;
	m->top = f;
}

/* The cache's call has returned: all that was to be called was called. */
static void
pop(struct model *m)
{
	struct frame *f = m->top;

	if (!f->is_get) {
		unsigned key = next_victim(m, f);
		while (!m->on_evict && key != KEYS)
			key = next_victim(m, f);
		assert_int_equal(key, KEYS);
	}
	m->top = f->outer;
}

/* --- operations on both --- */

static size_t
random_size(struct model *m)
{
	size_t pool = (size_t)m->blocks * m->extent;

	switch (chance(m, 12)) {
	case 0:
		return 0;
	case 1:
		return m->extent * (1 + chance(m, 4));
	case 2:
		return m->extent * (1 + chance(m, 4)) + 1;
	case 3:
		return chance(m, 40) ? chance(m, pool / 4)
				     : pool - chance(m, 3 * m->extent);
	case 4:
		return chance(m, 10) ? 1 : pool + chance(m, 3);
	default:
		return chance(m, m->largest);
	}
}

/*
 * A put of the key has ended, in that frame: a get that waits for the key has
 * its value now, or what the put found there, which it has read like any get.
 */
static void
hand_over(struct model *m, struct frame *f, unsigned key, struct item value)
{
	while (f && !f->is_get)
		f = f->outer;
	if (!f || f->key != key)
		return;
	f->handed = true;
	f->version = value.version;
	f->size = value.size;
	if (value.state == LIVE)
		touch(m, key);
}

static void
do_put(struct model *m, unsigned key, size_t size)
{
	struct item *item = &m->items[key];
	struct frame f = {/* an empty value counts as a block */
		.need = size ? (size + m->extent - 1) / m->extent : 1};
	uint64_t version = ++m->versions;
	uint64_t room = m->blocks - m->used_blocks;
	struct frame *get = m->top;
	char bytes[48];
	size_t key_size = key_bytes(key, bytes);
	char *value = malloc(size + 1);
	int expected = 0;

	value_fill(value, size, 0, key, version);
	if (item->state != ABSENT)
		expected = EEXIST;
	else if (f.need > m->blocks)
		expected = ENOSPC;
	if (expected)
		f.need = 0;
	push(m, &f);
	if (f.need > room && !claim_victims(m, &f, f.need - room))
		f.failed = true;
	int rc = vmemcache_put(m->cache, bytes, key_size, value, size);
	int err = rc ? errno : 0;
	pop(m);
	free(value);

	if (f.failed)
		expected = ENOSPC;
	else if (!expected && item->state != ABSENT)
		expected = EEXIST; /* a callback was faster */
	assert_int_equal(rc, expected ? -1 : 0);
	assert_int_equal(err, expected);
	if (!expected) {
		*item = (struct item){LIVE, version, size, f.need, 0};
		m->used_blocks += f.need;
		m->empties += size == 0;
		m->puts++;
		m->entries++;
		touch(m, key);
	}
	hand_over(m, get, key,
		expected == EEXIST
			? *item
			: (struct item){.version = version, .size = size});
}

static void
check_value(unsigned key, uint64_t version, size_t size, const char *buffer,
	size_t room, size_t offset, ssize_t n, size_t told)
{
	size_t left = offset < size ? size - offset : 0;

	assert_int_equal(n, left < room ? left : room);
	assert_int_equal(told, size);
	assert_true(value_is(buffer, (size_t)n, offset, key, version));
}

/* Within the value, at its end, behind it, as far as can be told. */
static size_t
random_offset(struct model *m, unsigned key)
{
	switch (chance(m, 32)) {
	case 0:
		return m->items[key].size;
	case 1:
		return m->items[key].size - 1; /* SIZE_MAX for none */
	case 2:
		return SIZE_MAX - chance(m, 2);
	default:
		return chance(m, 3) ? 0 : chance(m, m->largest);
	}
}

static void
do_get(struct model *m, unsigned key)
{
	struct item *item = &m->items[key];
	size_t room = chance(m, 4) ? m->largest * 2 : chance(m, 400);
	size_t offset = random_offset(m, key);
	struct frame f = {.is_get = true, .key = key};
	size_t told = SIZE_MAX;
	char bytes[48];
	size_t key_size = key_bytes(key, bytes);
	bool no_buffer = chance(m, 16) == 0;
	char *buffer = no_buffer ? NULL : malloc(room + 1);
	bool there = item->state != ABSENT;

	if (there) {
		m->hits++; /* without a frame: nothing must be called */
	} else {
		m->misses++;
		push(m, &f);
	}
	ssize_t n = vmemcache_get(
		m->cache, bytes, key_size, buffer, room, offset, &told);
	int err = errno;
	if (!there)
		pop(m);
	if (no_buffer)
		room = 0;
	if (f.handed) {
		check_value(
			key, f.version, f.size, buffer, room, offset, n, told);
	} else if (item->state != ABSENT) {
		/* there, or put by a callback that it was not handed over by */
		check_value(key, item->version, item->size, buffer, room,
			offset, n, told);
		if (item->state == LIVE)
			touch(m, key);
	} else {
		assert_int_equal(n, -1);
		assert_int_equal(err, ENOENT);
		assert_int_equal(told, SIZE_MAX);
	}
	free(buffer);
}

static void
do_exists(struct model *m, unsigned key)
{
	char bytes[48];
	size_t key_size = key_bytes(key, bytes);
	size_t told = SIZE_MAX;
	bool there = m->items[key].state != ABSENT;

	assert_int_equal(
		vmemcache_exists(m->cache, bytes, key_size, &told), there);
	assert_int_equal(told, there ? m->items[key].size : SIZE_MAX);
}

static void
do_evict(struct model *m, unsigned key)
{
	struct frame f = {0};
	char bytes[48];
	size_t key_size = key_bytes(key, bytes);
	enum state state = m->items[key].state;

	if (state == LIVE)
		claim(m, &f, key);
	push(m, &f);
	int rc = vmemcache_evict(m->cache, bytes, key_size);
	int err = errno;
	pop(m);
	assert_int_equal(rc, state == LIVE ? 0 : -1);
	if (rc != 0)
		assert_int_equal(err, state == ABSENT ? ENOENT : EAGAIN);
}

static void
do_evict_victim(struct model *m)
{
	struct frame f = {0};
	bool found = claim_victims(m, &f, 0);

	push(m, &f);
	int rc = vmemcache_evict(m->cache, NULL, chance(m, 2));
	int err = errno;
	pop(m);
	assert_int_equal(rc, found ? 0 : -1);
	if (!found)
		assert_int_equal(err, ESRCH);
}

/* Calls that are refused, or tell something: nothing changes. */
static void
do_misuse(struct model *m)
{
	VMEMcache *cache = m->cache;
	unsigned long long value;

	assert_fails(vmemcache_set_size(cache, VMEMCACHE_MIN_POOL), EALREADY);
	assert_fails(vmemcache_set_extent_size(cache, m->extent), EALREADY);
	assert_fails(vmemcache_set_eviction_policy(cache, m->lru), EALREADY);
	assert_fails(vmemcache_add(cache, FIXTURE_DIR), EBUSY);
	assert_fails(vmemcache_get_stat(cache, VMEMCACHE_STAT_PUT, &value,
			     sizeof(value) - 1),
		EINVAL);
	assert_fails(vmemcache_get_stat(
			     cache, VMEMCACHE_STATS_NUM, &value, sizeof(value)),
		EINVAL);
}

static void
do_anything(struct model *m)
{
	unsigned key = (unsigned)chance(m, KEYS);

	if (chance(m, 500) == 0)
		do_misuse(m);
	switch (chance(m, 10)) {
	case 0:
	case 1:
	case 2:
		do_put(m, key, random_size(m));
		break;
	case 3:
		do_exists(m, key);
		break;
	case 4:
		do_evict(m, key);
		break;
	case 5:
		if (chance(m, 4) == 0)
			do_evict_victim(m);
		break;
	default:
		do_get(m, key);
	}
}

/* --- callbacks --- */

static void
nested_operations(struct model *m)
{
	if (m->depth >= DEPTH)
		return;
	for (uint64_t n = chance(m, 3) ? 0 : 1 + chance(m, 2); n > 0; n--)
		do_anything(m);
}

static void
on_evict(VMEMcache *cache, const void *bytes, size_t key_size, void *arg)
{
	struct model *m = arg;
	unsigned key = key_number(bytes, key_size);

	m->callbacks++;
	assert_ptr_equal(cache, m->cache);
	assert_non_null(m->top);
	assert_false(m->top->is_get);
	assert_int_equal(key, next_victim(m, m->top));
	m->depth++;
	if (chance(m, 2)) {
		do_exists(m, key);
		do_get(m, key);
	}
	if (chance(m, 8) == 0)
		do_put(m, key, 1);
	if (chance(m, 8) == 0)
		do_evict(m, key);
	nested_operations(m);
	m->depth--;
}

static void
on_miss(VMEMcache *cache, const void *bytes, size_t key_size, void *arg)
{
	struct model *m = arg;
	unsigned key = key_number(bytes, key_size);

	m->callbacks++;
	assert_ptr_equal(cache, m->cache);
	assert_non_null(m->top);
	assert_true(m->top->is_get);
	assert_int_equal(m->top->key, key);
	m->depth++;
	if (m->depth < DEPTH && chance(m, 10) == 0)
		do_get(m, key);
	if (chance(m, 3))
		do_put(m, key, random_size(m));
	nested_operations(m);
	m->depth--;
}

/* --- runs --- */

static void
check_statistics(struct model *m)
{
	uint64_t blocks = m->used_blocks - m->empties;

	assert_int_equal(fixture_stat(m->cache, VMEMCACHE_STAT_PUT), m->puts);
	assert_int_equal(fixture_stat(m->cache, VMEMCACHE_STAT_GET),
		m->hits + m->misses);
	assert_int_equal(fixture_stat(m->cache, VMEMCACHE_STAT_HIT), m->hits);
	assert_int_equal(
		fixture_stat(m->cache, VMEMCACHE_STAT_MISS), m->misses);
	assert_int_equal(
		fixture_stat(m->cache, VMEMCACHE_STAT_EVICT), m->evictions);
	assert_int_equal(
		fixture_stat(m->cache, VMEMCACHE_STAT_ENTRIES), m->entries);
	assert_int_equal(fixture_stat(m->cache, VMEMCACHE_STAT_POOL_SIZE_USED),
		blocks * m->extent);
	if (blocks == m->blocks)
		assert_int_equal(
			fixture_stat(m->cache, VMEMCACHE_STAT_HEAP_ENTRIES), 0);
	assert_in_range(fixture_stat(m->cache, VMEMCACHE_STAT_EXTENTS),
		blocks > 0, blocks);
	if (m->entries == 0)
		fixture_check_empty(m->cache);
}

static void
check_everything(struct model *m)
{
	fixture_check(m->cache);
	check_statistics(m);
	for (unsigned key = 0; key < KEYS; key++)
		do_exists(m, key);
}

static void
set_callbacks(struct model *m)
{
	m->on_evict = chance(m, 4) != 0;
	m->on_miss = chance(m, 2) != 0;
	vmemcache_callback_on_evict(m->cache, m->on_evict ? on_evict : NULL, m);
	vmemcache_callback_on_miss(m->cache, m->on_miss ? on_miss : NULL, m);
}

static void
empty(struct model *m)
{
	for (unsigned key = 0; key < KEYS; key++)
		do_evict(m, key);
	while (m->on_evict && m->entries > 0)
		for (unsigned key = 0; key < KEYS; key++)
			do_evict(m, key);
	assert_int_equal(m->entries, 0);
	check_everything(m);
}

static void
run(size_t extent, enum vmemcache_repl_p policy, size_t largest, uint64_t steps,
	uint64_t check_each)
{
	struct model m = {.extent = extent,
		.lru = policy == VMEMCACHE_REPLACEMENT_LRU,
		.blocks = VMEMCACHE_MIN_POOL / extent,
		.largest = largest,
		.random = testing_seed() ^ extent << 32 ^ largest};

	m.cache = fixture_open(VMEMCACHE_MIN_POOL, extent, policy);
	for (uint64_t i = 0; i < steps; i++) {
		if (i % 1000 == 0)
			set_callbacks(&m);
		do_anything(&m);
		assert_null(m.top);
		assert_int_equal(m.depth, 0);
		check_statistics(&m);
		if (i % check_each == 0)
			check_everything(&m);
		if (i % 5000 == 4999)
			empty(&m);
	}
	check_everything(&m);
	if (chance(&m, 2))
		empty(&m);
	assert_true(m.callbacks > 0 || steps < 2000);
	uint64_t callbacks = m.callbacks;
	vmemcache_delete(m.cache);
	assert_int_equal(m.callbacks, callbacks);
}

static const size_t extents[] = {256, 300, 1024, 4097, 65536};
#define EXTENTS (sizeof(extents) / sizeof(extents[0]))

static void
run_all(enum vmemcache_repl_p policy, uint64_t steps, uint64_t check_each)
{
	for (size_t i = 0; i < EXTENTS; i++) {
		run(extents[i], policy, 2000, steps, check_each);
		run(extents[i], policy, 40000, steps, check_each);
	}
}

static void
test_lru_checked_at_every_step(void **state)
{
	(void)state;
	run_all(VMEMCACHE_REPLACEMENT_LRU, testing_operations(1000), 1);
}

static void
test_none_checked_at_every_step(void **state)
{
	(void)state;
	run_all(VMEMCACHE_REPLACEMENT_NONE, testing_operations(1000), 1);
}

#ifdef VMC_TESTING_SANITIZED
#define LONG 10000
#else
#define LONG 100000 /* of ten shapes */
#endif

static void
test_lru_long(void **state)
{
	(void)state;
	run_all(VMEMCACHE_REPLACEMENT_LRU, testing_operations(LONG), 1000);
}

static void
test_none_long(void **state)
{
	(void)state;
	run_all(VMEMCACHE_REPLACEMENT_NONE, testing_operations(LONG), 1000);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lru_checked_at_every_step),
		cmocka_unit_test(test_none_checked_at_every_step),
		cmocka_unit_test(test_lru_long),
		cmocka_unit_test(test_none_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
