/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_freemap.c -- the map of free blocks against an array of them
 */
#include "testing.h"

#include "extent/freemap.h"

#include <errno.h>
#include <sys/mman.h>

struct model {
	struct testing_memory counts;
	struct vmc_freemap map;
	bool *used;
	uint64_t random;
};

static void
setup(struct model *m, uint64_t blocks)
{
	struct vmc_memory memory = testing_memory_of(&m->counts);

	m->random = testing_seed() + blocks;
	m->used = calloc(blocks, sizeof(*m->used));
	assert_non_null(m->used);
	assert_int_equal(vmc_freemap_init(&m->map, blocks, &memory), 0);
}

static void
teardown(struct model *m)
{
	vmc_freemap_fini(&m->map);
	assert_int_equal(m->counts.objects, 0);
	free(m->used);
}

static void
compare(struct model *m)
{
	uint64_t blocks = 0, runs = 0, run = 0, longest = 0;
	uint64_t free_blocks;

	for (uint64_t b = 0; b < m->map.blocks; b++) {
		assert_int_equal(vmc_freemap_is_free(&m->map, b), !m->used[b]);
		run = m->used[b] ? 0 : run + 1;
		blocks += run > 0;
		runs += run == 1;
		longest = run > longest ? run : longest;
	}
	assert_int_equal(vmc_freemap_check(&m->map, &free_blocks), 0);
	assert_int_equal(free_blocks, blocks);
	assert_int_equal(m->map.runs, runs);
	assert_int_equal(vmc_freemap_longest(&m->map), longest);
	assert_false(vmc_freemap_is_free(&m->map, m->map.blocks));
	assert_false(vmc_freemap_is_free(&m->map, UINT64_MAX));
}

/* The first run of so many free blocks; the end if there is none. */
static uint64_t
lowest(const struct model *m, uint64_t want)
{
	uint64_t run = 0;

	for (uint64_t b = 0; b < m->map.blocks; b++) {
		run = m->used[b] ? 0 : run + 1;
		if (run == want)
			return b + 1 - want;
	}
	return m->map.blocks;
}

static void
mark(struct model *m, uint64_t first, uint64_t count, bool used)
{
	for (uint64_t b = first; b < first + count; b++) {
		assert_int_equal(m->used[b], !used);
		m->used[b] = used;
	}
	if (used)
		vmc_freemap_claim(&m->map, first, count);
	else
		vmc_freemap_release(&m->map, first, count);
}

/* The run of equal blocks that begins at b, up to a random length. */
static uint64_t
equal_blocks(struct model *m, uint64_t b, uint64_t longest)
{
	uint64_t count = 1, limit = 1 + testing_below(&m->random, longest);

	while (count < limit && b + count < m->map.blocks &&
		m->used[b + count] == m->used[b])
		count++;
	return count;
}

static void
random_marks(uint64_t blocks, int steps)
{
	struct model m;

	setup(&m, blocks);
	compare(&m);
	for (int i = 0; i < steps; i++) {
		uint64_t longest = testing_below(&m.random, 2) ? 20 : blocks;
		uint64_t b = testing_below(&m.random, blocks);
		mark(&m, b, equal_blocks(&m, b, longest), !m.used[b]);
		if (i % 3 == 0)
			compare(&m);
		uint64_t want = 1 + testing_below(&m.random, longest), at;
		uint64_t first = lowest(&m, want);
		assert_int_equal(
			vmc_freemap_find(&m.map, want, &at), first < blocks);
		if (first < blocks)
			assert_int_equal(at, first);
	}
	compare(&m);
	for (uint64_t b = 0; b < blocks; b++)
		if (m.used[b])
			mark(&m, b, equal_blocks(&m, b, blocks), false);
	compare(&m);
	assert_int_equal(m.map.runs, 1);
	teardown(&m);
}

static void
test_random(void **state)
{
	/* around the sizes of a word, a chunk, and nodes of three levels */
	static const uint64_t blocks[] = {1, 2, 63, 64, 65, 1000, 1023, 1024,
		1025, 8191, 8192, 8193, 65535, 65536, 65537, 100000};

	(void)state;
	for (size_t i = 0; i < sizeof(blocks) / sizeof(*blocks); i++)
		random_marks(blocks[i], RUNNING_ON_VALGRIND ? 20 : 200);
}

/* A run over the edges of nodes at every level is found as one. */
static void
test_across_nodes(void **state)
{
	const uint64_t blocks = 70000;
	uint64_t at;
	struct model m;

	(void)state;
	setup(&m, blocks);
	mark(&m, 0, blocks, true);
	for (uint64_t edge = 1024; edge < blocks; edge *= 8) {
		mark(&m, edge - 3, 7, false);
		assert_true(vmc_freemap_find(&m.map, 7, &at));
		assert_int_equal(at, edge - 3);
		assert_false(vmc_freemap_find(&m.map, 8, &at));
		compare(&m);
		mark(&m, edge - 3, 7, true);
	}
	teardown(&m);
}

/* Short runs of random lengths, with every edge of a word among them. */
static void
test_find_short(void **state)
{
	int rounds = RUNNING_ON_VALGRIND ? 2 : 50;

	(void)state;
	for (int round = 0; round < rounds; round++) {
		uint64_t longest = 1 + (uint64_t)round % 40, at;
		struct model m;

		setup(&m, 3000);
		for (uint64_t b = 0, n; b < m.map.blocks; b += n) {
			b += testing_below(&m.random, longest);
			if (b >= m.map.blocks)
				break;
			n = equal_blocks(&m, b, longest);
			mark(&m, b, n, true);
		}
		compare(&m);
		for (uint64_t want = 1; want <= 2 * longest; want++) {
			uint64_t first = lowest(&m, want);
			assert_int_equal(vmc_freemap_find(&m.map, want, &at),
				first < m.map.blocks);
			if (first < m.map.blocks)
				assert_int_equal(at, first);
		}
		teardown(&m);
	}
}

static void *
reserve(void *ctx, size_t size)
{
	void *space = mmap(NULL, size, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	(void)ctx;
	return space == MAP_FAILED ? NULL : space;
}

static void
unreserve(void *ctx, void *ptr, size_t size)
{
	(void)ctx;
	munmap(ptr, size);
}

/* The largest map there can be: 147 GB of addresses, a few pages of memory. */
static void
test_largest(void **state)
{
	const struct vmc_memory memory = {.alloc = reserve, .free = unreserve};
	const uint64_t blocks = UINT64_C(1) << 40;
	uint64_t at, free_blocks;
	struct vmc_freemap map;

	(void)state;
	if (RUNNING_ON_VALGRIND || vmc_freemap_init(&map, blocks, &memory) != 0)
		skip();
	assert_int_equal(vmc_freemap_check(&map, &free_blocks), 0);
	assert_true(free_blocks == blocks);
	assert_int_equal(map.runs, 1);
	assert_true(vmc_freemap_longest(&map) == VMC_RUN_COUNT_MAX);
	assert_true(vmc_freemap_is_free(&map, blocks - 1));
	vmc_freemap_claim(&map, 0, 10);
	vmc_freemap_claim(&map, blocks - 10, 10);
	vmc_freemap_claim(&map, blocks / 2, 10);
	assert_true(vmc_freemap_find(&map, VMC_RUN_COUNT_MAX, &at));
	assert_int_equal(at, 10);
	vmc_freemap_claim(&map, at, VMC_RUN_COUNT_MAX);
	assert_true(vmc_freemap_find(&map, 1, &at));
	assert_int_equal(at, 10 + VMC_RUN_COUNT_MAX);
	assert_int_equal(vmc_freemap_check(&map, &free_blocks), 0);
	assert_true(free_blocks == blocks - 30 - VMC_RUN_COUNT_MAX);
	assert_int_equal(map.runs, 2);
	vmc_freemap_fini(&map);
}

static void
test_no_memory(void **state)
{
	struct testing_memory counts;
	struct vmc_memory memory = testing_memory_of(&counts);
	struct vmc_freemap map;

	(void)state;
	counts.fail_at = 0;
	assert_int_equal(vmc_freemap_init(&map, 1000, &memory), -ENOMEM);
	assert_int_equal(counts.objects, 0);
}

/* Memory that begins so many bytes behind a cache line. */
struct unaligned {
	uintptr_t offset, begin, end;
	char space[40000];
};

static void *
alloc_unaligned(void *ctx, size_t size)
{
	struct unaligned *u = ctx;
	u->begin = ((uintptr_t)u->space + 63) / 64 * 64 + u->offset;
	u->end = u->begin + size;
	assert_true(u->end <= (uintptr_t)(u + 1));
	return (void *)u->begin;
}

/* Siblings share a cache line, and the last ones end within the memory. */
static void
test_at_any_address(void **state)
{
	struct unaligned u;
	const struct vmc_memory memory = {.alloc = alloc_unaligned, .ctx = &u};
	struct vmc_freemap map;

	(void)state;
	for (u.offset = 0; u.offset < 64; u.offset += 16) {
		assert_int_equal(vmc_freemap_init(&map, 65536, &memory), 0);
		/* bits, and summaries of 64 chunks, of 8 times 8, of all */
		assert_int_equal(map.size, 65536 / 8 + 8 * (64 + 8 + 8) + 64);
		assert_int_equal((uintptr_t)map.word % 64, 0);
		assert_in_range((uintptr_t)map.word, u.begin, u.begin + 63);
		for (unsigned l = 0; l <= map.root; l++)
			assert_int_equal((uintptr_t)map.node[l] % 64, 0);
		assert_true((uintptr_t)(map.node[map.root] + 8) <= u.end);
	}
}

/* The check finds what does not fit: a bit, a summary, a block past the end. */
static void
test_check(void **state)
{
	uint64_t free_blocks;
	struct model m;

	(void)state;
	setup(&m, 20000);
	mark(&m, 500, 10, true);
	mark(&m, 19000, 10, true);
	uint64_t *wrong[] = {&m.map.word[500 / 64], &m.map.word[20000 / 64],
		&m.map.node[0][0], &m.map.node[0][2], &m.map.node[0][20],
		&m.map.node[1][1], &m.map.node[m.map.root][0]};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		compare(&m);
		*wrong[i] ^= UINT64_C(1) << 52;
		assert_int_equal(
			vmc_freemap_check(&m.map, &free_blocks), -EINVAL);
		*wrong[i] ^= UINT64_C(1) << 52;
	}
	teardown(&m);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_across_nodes),
		cmocka_unit_test(test_find_short),
		cmocka_unit_test(test_largest),
		cmocka_unit_test(test_no_memory),
		cmocka_unit_test(test_at_any_address),
		cmocka_unit_test(test_check),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
