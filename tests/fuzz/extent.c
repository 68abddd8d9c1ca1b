/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * extent.c -- fuzz target: runs of blocks against a byte per block
 */
#include "testing.h"

#include "extent/extent.h"
#include "fuzz.h"

#include <errno.h>

#define MOST_BLOCKS 5000u
#define VALUES 255u

static uint8_t owner[MOST_BLOCKS]; /* 0: free, else the value's number + 1 */
static vmc_runs values[VALUES];
static uint64_t lengths[VALUES]; /* blocks; 0: no such value */
static uint64_t blocks, free_blocks;

static uint64_t
free_runs(void)
{
	uint64_t runs = 0;

	for (uint64_t i = 0; i < blocks; i++)
		runs += !owner[i] && (i == 0 || owner[i - 1]);
	return runs;
}

/* The model takes what the extent allocator says it has given. */
static void
note_taken(unsigned value)
{
	uint64_t count, sum = 0;
	const vmc_run *run = vmc_runs_view(&values[value], &count);

	for (uint64_t i = 0; i < count; i++) {
		uint64_t first = vmc_run_first(run[i]);
		fuzz_expect(vmc_run_count(run[i]) > 0);
		for (uint64_t n = 0; n < vmc_run_count(run[i]); n++) {
			fuzz_expect(first + n < blocks);
			fuzz_expect(owner[first + n] == 0);
			owner[first + n] = (uint8_t)(value + 1);
			sum++;
		}
	}
	fuzz_expect(sum == lengths[value]);
	free_blocks -= sum;
}

static void
note_given(unsigned value)
{
	for (uint64_t i = 0; i < blocks; i++) {
		if (owner[i] == value + 1)
			owner[i] = 0;
	}
	free_blocks += lengths[value];
	lengths[value] = 0;
}

static void
exchange(struct vmc_extent *extent, unsigned give, unsigned take, uint64_t want,
	bool may_fail)
{
	vmc_runs none = VMC_RUNS_NONE, taken = VMC_RUNS_NONE;
	uint64_t missing = 0;
	vmc_runs *given = lengths[give] ? &values[give] : &none;
	int rc = vmc_extent_exchange(extent, given, want, &taken, &missing);

	note_given(give);
	fuzz_expect(given->word == 0);
	if (want > free_blocks) {
		fuzz_expect(rc == -ENOSPC);
		fuzz_expect(missing == want - free_blocks);
	} else {
		fuzz_expect(rc == 0 || (rc == -ENOMEM && may_fail));
	}
	if (rc)
		return;
	values[take] = taken;
	lengths[take] = want;
	note_taken(take);
}

static void
step(struct fuzz_input *in, struct vmc_extent *extent,
	struct testing_memory *counts)
{
	static const uint64_t wanted[] = {0, 1, 2, 3, 4, 7, 8, 16, 63, 64, 65,
		100, 128, 1000, 1024, 1025};
	unsigned op = fuzz_byte(in);
	unsigned value = (unsigned)fuzz_below(in, VALUES);
	unsigned other = (unsigned)fuzz_below(in, VALUES);
	uint64_t want =
		op & 1 ? fuzz_choose(in, wanted) : fuzz_below(in, blocks + 2);

	if (op < 160) {
		if (!lengths[other] || other == value)
			exchange(extent, value, other, want,
				counts->fail_at >= 0);
	} else if (op < 236) {
		vmc_runs none = VMC_RUNS_NONE;
		vmc_extent_free(
			extent, lengths[value] ? &values[value] : &none);
		note_given(value);
	} else if (op < 246) {
		counts->fail_at = (long)want % 4;
	} else {
		fuzz_expect(vmc_extent_check(extent) == 0);
	}
	fuzz_expect(vmc_extent_free_blocks(extent) == free_blocks);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = {data, data + size};
	struct testing_memory counts;
	struct vmc_memory memory = testing_memory_of(&counts);
	struct vmc_extent *extent;

	blocks = free_blocks = fuzz_below(&in, MOST_BLOCKS) + 1;
	memset(owner, 0, sizeof(owner));
	memset(lengths, 0, sizeof(lengths));
	fuzz_expect(vmc_extent_new(&extent, blocks, &memory) == 0);
	while (fuzz_more(&in))
		step(&in, extent, &counts);
	counts.fail_at = -1;
	fuzz_expect(vmc_extent_check(extent) == 0);
	fuzz_expect(vmc_extent_free_runs(extent) == free_runs());
	for (unsigned i = 0; i < VALUES; i++) {
		if (!lengths[i])
			continue;
		if (i % 2)
			vmc_extent_free(extent, &values[i]);
		else
			vmc_extent_drop(extent, &values[i]);
	}
	fuzz_expect(vmc_extent_check(extent) == 0);
	vmc_extent_delete(extent);
	fuzz_expect(counts.bytes == 0 && counts.objects == 0);
	return 0;
}
