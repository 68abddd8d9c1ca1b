/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_extent_resize.c -- more blocks and fewer, against a plain array that
 * says who owns each block
 *
 * Values come and go, some are moved out of what is closed, and now and then
 * what is closed is let go of, or given out again.
 */
#include "testing.h"

#include "extent/extent.h"

#include <errno.h>

#define VALUES 300u

struct model {
	struct testing_memory counts;
	struct vmc_memory memory;
	struct vmc_extent *extent;
	uint64_t most; /* blocks that there ever are */
	uint64_t blocks, limit;
	uint16_t *owner; /* 0: nobody; value i is i + 1 */
	vmc_runs value[VALUES];
	uint64_t random;
};

static void
setup(struct model *m, uint64_t blocks, uint64_t most)
{
	memset(m, 0, sizeof(*m));
	m->memory = testing_memory_of(&m->counts);
	m->random = testing_seed() + blocks;
	m->most = most;
	m->blocks = m->limit = blocks;
	m->owner = calloc(most, sizeof(*m->owner));
	assert_non_null(m->owner);
	assert_int_equal(vmc_extent_new(&m->extent, blocks, &m->memory), 0);
}

/* Each block of a value is the value's (or nobody's), and becomes `now`. */
static uint64_t
mark(struct model *m, const vmc_runs *runs, unsigned was, unsigned now)
{
	uint64_t count, total = 0;
	const vmc_run *run = vmc_runs_view(runs, &count);

	for (uint64_t i = 0; i < count; i++) {
		for (uint64_t k = 0; k < vmc_run_count(run[i]); k++) {
			uint64_t block = vmc_run_first(run[i]) + k;
			assert_true(block < m->most);
			assert_int_equal(m->owner[block], was);
			m->owner[block] = (uint16_t)now;
		}
		total += vmc_run_count(run[i]);
	}
	return total;
}

static void
compare(struct model *m)
{
	uint64_t run = 0, runs = 0, blocks = 0, used = 0, end = m->limit;

	for (uint64_t b = 0; b < m->limit; b++) {
		run = m->owner[b] ? 0 : run + 1;
		runs += run == 1;
		blocks += run > 0;
	}
	for (uint64_t b = m->limit; b < m->most; b++)
		if (m->owner[b]) {
			used++;
			end = b + 1;
		}
	assert_int_equal(vmc_extent_check(m->extent), 0);
	assert_int_equal(vmc_extent_blocks(m->extent), m->limit);
	assert_int_equal(vmc_extent_free_blocks(m->extent), blocks);
	assert_int_equal(vmc_extent_free_runs(m->extent), runs);
	assert_int_equal(vmc_extent_closed_used(m->extent), used);
	assert_int_equal(
		vmc_extent_used_blocks(m->extent), m->limit - blocks + used);
	if (m->limit < m->blocks)
		assert_int_equal(vmc_extent_closed_end(m->extent), end);
}

/* A value goes, another one comes, perhaps in its place. */
static void
exchange(struct model *m)
{
	unsigned from = (unsigned)testing_below(&m->random, VALUES);
	unsigned to = (unsigned)testing_below(&m->random, VALUES);
	uint64_t size = 1 + testing_below(&m->random,
				    testing_below(&m->random, 2)
					    ? 4
					    : m->blocks / VALUES * 3 + 4);
	uint64_t missing;
	vmc_runs give = m->value[from], take;

	if (m->value[to].word && to != from)
		return;
	mark(m, &give, from + 1, 0);
	m->value[from] = VMC_RUNS_NONE;
	int rc = vmc_extent_exchange(m->extent, &give, size, &take, &missing);
	uint64_t blocks = mark(m, &take, 0, to + 1);
	assert_int_equal(blocks, rc == 0 ? size : 0);
	m->value[to] = take;
	if (rc) {
		assert_int_equal(rc, -ENOSPC);
		assert_int_equal(
			missing, size - vmc_extent_free_blocks(m->extent));
	}
	uint64_t count;
	const vmc_run *run = vmc_runs_view(&take, &count);
	for (uint64_t i = 0; i < count; i++)
		assert_true(vmc_run_first(run[i]) + vmc_run_count(run[i]) <=
			    m->limit);
}

/* A value out of what is closed; false: it does not fit. */
static bool
move(struct model *m, unsigned i)
{
	uint64_t closed = vmc_extent_count_closed(m->extent, &m->value[i]);
	uint64_t missing, count, taken, at = 0;
	vmc_runs none = VMC_RUNS_NONE, by, to;
	vmc_run runs[4096];

	if (closed == 0)
		return true;
	if (vmc_extent_exchange(m->extent, &none, closed, &by, &missing))
		return false;
	vmc_runs_view(&m->value[i], &count);
	vmc_runs_view(&by, &taken);
	assert_true(count + taken + 1 <= 4096);
	uint64_t made = vmc_extent_relocate(m->extent, &m->value[i], &by, runs);
	assert_true(made <= count + taken + 1);
	assert_int_equal(vmc_extent_pack(m->extent, runs, made, &to), 0);
	assert_int_equal(vmc_extent_count_closed(m->extent, &to), 0);
	/* what was open is where it was, in the order of the value's bytes */
	const vmc_run *old = vmc_runs_view(&m->value[i], &count);
	for (uint64_t r = 0; r < count; r++)
		for (uint64_t k = 0; k < vmc_run_count(old[r]); k++) {
			uint64_t done = at++, n = 0;
			while (done >= vmc_run_count(runs[n]))
				done -= vmc_run_count(runs[n++]);
			uint64_t block = vmc_run_first(old[r]) + k;
			if (block < m->limit)
				assert_int_equal(
					vmc_run_first(runs[n]) + done, block);
		}
	mark(m, &m->value[i], i + 1, 0);
	assert_int_equal(mark(m, &to, 0, i + 1), at);
	vmc_extent_drop(m->extent, &by);
	vmc_extent_free_closed(m->extent, &m->value[i]);
	m->value[i] = to;
	return true;
}

static void
grow(struct model *m, uint64_t blocks)
{
	assert_int_equal(vmc_extent_prepare(m->extent, blocks), 0);
	compare(m);
	vmc_extent_grow(m->extent, blocks);
	m->blocks = m->limit = blocks;
	compare(m);
}

static void
shrink(struct model *m, uint64_t blocks, bool give_up)
{
	assert_int_equal(vmc_extent_close(m->extent, blocks), 0);
	m->limit = blocks;
	compare(m);
	for (unsigned i = 0; i < 100; i++)
		exchange(m);
	compare(m);
	for (unsigned i = 0; i < VALUES; i++)
		if (!give_up || i % 2)
			move(m, i);
	compare(m);
	uint64_t end = vmc_extent_closed_end(m->extent);
	if (give_up)
		end = m->blocks;
	vmc_extent_open(m->extent, end);
	m->blocks = m->limit = end;
	compare(m);
}

static void
at_random(uint64_t blocks, uint64_t most)
{
	struct model m;

	setup(&m, blocks, most);
	for (unsigned round = 0; round < 30; round++) {
		for (unsigned i = 0; i < 400; i++)
			exchange(&m);
		compare(&m);
		if (testing_below(&m.random, 2) && m.blocks < most)
			grow(&m, m.blocks + 1 +
					 testing_below(
						 &m.random, most - m.blocks));
		else if (m.blocks > 1)
			shrink(&m, 1 + testing_below(&m.random, m.blocks - 1),
				testing_below(&m.random, 4) == 0);
	}
	for (unsigned i = 0; i < VALUES; i++) {
		mark(&m, &m.value[i], i + 1, 0);
		vmc_extent_free(m.extent, &m.value[i]);
	}
	compare(&m);
	assert_int_equal(vmc_extent_free_runs(m.extent), 1);
	vmc_extent_delete(m.extent);
	assert_int_equal(m.counts.objects, 0);
	free(m.owner);
}

static void
test_random(void **state)
{
	/* around the sizes of a word, a chunk, and nodes of three levels */
	static const uint64_t blocks[] = {1, 63, 64, 1000, 1023, 1024, 1025,
		8191, 8192, 8193, 65535, 65536, 65537};

	(void)state;
	for (size_t i = 0; i < sizeof(blocks) / sizeof(*blocks); i++)
		if (!RUNNING_ON_VALGRIND || blocks[i] < 8000)
			at_random(blocks[i], 16 * blocks[i] > 200000
						     ? 200000
						     : 16 * blocks[i]);
}

/* What cannot be had changes nothing. */
static void
test_no_memory(void **state)
{
	struct model m;

	(void)state;
	setup(&m, 100000, 3000000);
	for (unsigned i = 0; i < 400; i++)
		exchange(&m);
	for (long skip = 0;; skip++) {
		m.counts.fail_at = skip;
		int rc = vmc_extent_prepare(m.extent, m.most);
		m.counts.fail_at = -1;
		compare(&m);
		if (rc == 0)
			break;
		assert_int_equal(rc, -ENOMEM);
	}
	vmc_extent_grow(m.extent, m.most);
	m.blocks = m.limit = m.most;
	compare(&m);
	for (long skip = 0;; skip++) {
		m.counts.fail_at = skip;
		int rc = vmc_extent_close(m.extent, 5000);
		m.counts.fail_at = -1;
		if (rc == 0)
			break;
		assert_int_equal(rc, -ENOMEM);
		compare(&m);
	}
	m.limit = 5000;
	compare(&m);
	vmc_extent_open(m.extent, m.most);
	m.limit = m.most;
	compare(&m);
	for (unsigned i = 0; i < VALUES; i++)
		vmc_extent_free(m.extent, &m.value[i]);
	vmc_extent_delete(m.extent);
	assert_int_equal(m.counts.objects, 0);
	free(m.owner);
}

/* Runs of more blocks than a run can have, when they come and when they go. */
static void
test_long_runs(void **state)
{
	const uint64_t blocks = 5 * VMC_RUN_COUNT_MAX + 7;
	struct testing_memory counts = {0};
	struct vmc_memory memory = testing_memory_of(&counts);
	struct vmc_extent *e;

	(void)state;
	assert_int_equal(vmc_extent_new(&e, 3000, &memory), 0);
	assert_int_equal(vmc_extent_prepare(e, blocks), 0);
	vmc_extent_grow(e, blocks);
	assert_int_equal(vmc_extent_check(e), 0);
	assert_int_equal(vmc_extent_free_runs(e), 1);
	assert_int_equal(vmc_extent_free_blocks(e), blocks);
	assert_int_equal(vmc_extent_close(e, 1), 0);
	assert_int_equal(vmc_extent_check(e), 0);
	assert_int_equal(vmc_extent_free_blocks(e), 1);
	assert_int_equal(vmc_extent_closed_end(e), 1);
	vmc_extent_open(e, blocks - 3);
	assert_int_equal(vmc_extent_check(e), 0);
	assert_int_equal(vmc_extent_free_runs(e), 1);
	assert_int_equal(vmc_extent_free_blocks(e), blocks - 3);
	assert_int_equal(
		vmc_extent_prepare(e, VMC_EXTENT_BLOCKS_MAX + 1), -EINVAL);
	vmc_extent_delete(e);
	assert_int_equal(counts.objects, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_no_memory),
		cmocka_unit_test(test_long_runs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
