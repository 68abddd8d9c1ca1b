/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * micro_index.c -- what either index costs: nanoseconds a call, bytes a leaf
 *
 * Per line, an index of so many leaves (64 bytes each, random hashes):
 *
 *	find, miss   random leaves that are there, random hashes that are not
 *	floor        the same leaves read by their number instead: the one cache
 *	             miss that no index can save
 *	alone        each waits for the one before: what one takes by itself
 *	in a row     none waits: the processor overlaps what it can, as it does
 *	             with gets of small values
 *	insert       filling it; remove: emptying it in the order of insertion
 *	turn         one random leaf out, one in
 *	bytes        a leaf after filling (after turning as many), roots and all
 *
 * All are interleaved; medians of five. Whether one waits is not left to the
 * compiler: alone, which leaf is next is computed from what was found, a zero
 * of which it cannot know; in a row, from the number alone. Misses are in a
 * row: what comes of one is a branch, which the processor does not wait for.
 *
 * Usage: micro_index [leaves...]
 */
#include "crew.h"
#include "index.h"
#include "random.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define ROUNDS 5
#define LOOKUPS 1000000u

struct leaf {
	uint64_t hash;
	uint64_t rest[7];
};

struct run_of_benchmark {
	struct vmc_index *index;
	struct leaf *leaves;
	uint64_t count;
	uint64_t random;
};

static size_t bytes_out;
static volatile uint64_t sink;

static void *
memory_alloc(void *ctx, size_t size)
{
	(void)ctx;
	bytes_out += size;
	return aligned_alloc(16, (size + 15) & ~(size_t)15);
}

static void
memory_free(void *ctx, void *ptr, size_t size)
{
	(void)ctx;
	bytes_out -= size;
	free(ptr);
}

static const struct vmc_memory memory = {
	.alloc = memory_alloc, .free = memory_free, .retire = memory_free};

static uint64_t
hash_of(const void *leaf, const void *arg)
{
	(void)arg;
	return ((const struct leaf *)leaf)->hash;
}

static bool
match(const void *leaf, const void *key)
{
	return ((const struct leaf *)leaf)->hash == *(const uint64_t *)key;
}

/* Leaf i gets a hash of the generation: generations have none in common. */
static uint64_t
hash_for(uint64_t i, uint64_t generation)
{
	return bench_mix(generation << 32 | i);
}

static void
insert(struct run_of_benchmark *b, uint64_t i, uint64_t generation)
{
	struct leaf *leaf = &b->leaves[i];

	leaf->hash = hash_for(i, generation);
	if (vmc_index_insert(b->index, leaf->hash, leaf, 0, match, &leaf->hash))
		exit(1);
}

typedef uint64_t lookup_fn(struct run_of_benchmark *b, uint64_t i);

static uint64_t
look_up(struct run_of_benchmark *b, uint64_t hash)
{
	const struct leaf *leaf = vmc_index_find(b->index, hash, match, &hash);

	return leaf ? leaf->hash : 0;
}

static uint64_t
find(struct run_of_benchmark *b, uint64_t i)
{
	return look_up(b, hash_for(i, 1));
}

static uint64_t
miss(struct run_of_benchmark *b, uint64_t i)
{
	return look_up(b, hash_for(i, 3));
}

static uint64_t
read_leaf(struct run_of_benchmark *b, uint64_t i)
{
	return b->leaves[i].hash;
}

/* 0, which no compiler knows, once x is there. */
static inline uint64_t
zero_of(uint64_t x)
{
	__asm__("and $0, %0" : "+r"(x) : : "cc");
	return x;
}

static double
measure(struct run_of_benchmark *b, lookup_fn *lookup, bool alone)
{
	uint64_t start = bench_now(), sum = 0;

	for (unsigned n = 0; n < LOOKUPS; n++) {
		uint64_t x = bench_random(&b->random);

		if (alone)
			x += zero_of(sum);
		sum += lookup(b, bench_scale(x, b->count));
	}
	sink = sum;
	return (double)(bench_now() - start) / LOOKUPS;
}

static void
look_up_all(struct run_of_benchmark *b)
{
	double finds[2][ROUNDS], floors[2][ROUNDS], misses[ROUNDS];

	for (unsigned r = 0; r < ROUNDS; r++) {
		for (int alone = 0; alone < 2; alone++) {
			floors[alone][r] = measure(b, read_leaf, alone);
			finds[alone][r] = measure(b, find, alone);
		}
		misses[r] = measure(b, miss, false);
	}
	for (int alone = 1; alone >= 0; alone--) {
		double floor = bench_median(floors[alone], ROUNDS);
		double found = bench_median(finds[alone], ROUNDS);

		printf(" %s: find %4.0f (floor %4.0f, ratio %.2f)",
			alone ? "alone" : "in a row", found, floor,
			found / floor);
	}
	printf(" miss %4.0f", bench_median(misses, ROUNDS));
}

static void
run(enum vmc_index_kind kind, uint64_t count)
{
	struct run_of_benchmark b = {.count = count, .random = 1};
	uint64_t start = bench_now();

	b.leaves = aligned_alloc(64, count * sizeof(*b.leaves));
	if (!b.leaves ||
		vmc_index_new(&b.index, kind, count, hash_of, NULL, &memory))
		exit(1);
	for (uint64_t i = 0; i < count; i++)
		insert(&b, i, 1);
	printf("%s %9" PRIu64 " leaves: insert %4.0f",
		kind == VMC_INDEX_LINEAR ? "hash   " : "critnib", count,
		(double)(bench_now() - start) / (double)count);
	double filled = (double)bytes_out;
	look_up_all(&b);

	start = bench_now();
	for (uint64_t n = 0; n < count; n++) {
		uint64_t i = bench_random_below(&b.random, count);
		vmc_index_remove(b.index, b.leaves[i].hash, &b.leaves[i]);
		insert(&b, i, 4 + n);
	}
	printf(" turn %5.0f", (double)(bench_now() - start) / (double)count);
	double turned = (double)bytes_out;

	start = bench_now();
	for (uint64_t i = 0; i < count; i++)
		vmc_index_remove(b.index, b.leaves[i].hash, &b.leaves[i]);
	printf(" remove %4.0f | %.1f (%.1f) bytes\n",
		(double)(bench_now() - start) / (double)count,
		filled / (double)count, turned / (double)count);
	fflush(stdout);
	vmc_index_delete(b.index, NULL, NULL);
	free(b.leaves);
}

static void
run_both(uint64_t count)
{
	run(VMC_INDEX_LINEAR, count);
	run(VMC_INDEX_CRITNIB, count);
}

int
main(int argc, char **argv)
{
	static const uint64_t sizes[] = {
		10000, 100000, 1000000, 4000000, 10000000};

	for (int i = 1; i < argc; i++)
		run_both(strtoull(argv[i], NULL, 0));
	for (size_t i = 0; argc < 2 && i < sizeof(sizes) / sizeof(*sizes); i++)
		run_both(sizes[i]);
	return 0;
}
