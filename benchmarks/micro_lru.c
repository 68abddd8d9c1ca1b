/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * micro_lru.c -- what the order of use costs: nanoseconds a touch
 *
 * Per line, so many nodes, each in an entry of 64 bytes, used at random:
 *
 *	read    a node's links only: the cache miss that no list can save
 *	push    into the ring, of a node that the get before has read
 *	feed    out of the ring and to the front of the list, by batches
 *	turn    the last of the list out and in again: what an eviction takes
 *
 * The ring is filled to a half between two feeds, as by gets. Medians of five.
 *
 * Usage: micro_lru [nodes...]
 */
#include "base/os.h"
#include "crew.h"
#include "heap.h"
#include "policy/ring.h"
#include "random.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { ROUNDS = 5, TOUCHES = 1 << 20, BATCH = VMC_RING_SIZE / 2 };

struct entry {
	struct vmc_policy_node node;
	char rest[64 - sizeof(struct vmc_policy_node)];
};

static struct vmc_ring ring;
static volatile uintptr_t sink;

struct times {
	double read[ROUNDS];
	double push[ROUNDS];
	double feed[ROUNDS];
	double turn[ROUNDS];
};

static uint64_t
since(uint64_t *start)
{
	uint64_t now = vmc_os_clock_ns(), took = now - *start;

	*start = now;
	return took;
}

static void
touch(struct vmc_policy *policy, struct vmc_policy_node *node)
{
	uint32_t at = vmc_load_relaxed(&node->at);

	policy->ops->touch(policy, &node, &at, NULL, 1);
}

static void
measure(struct vmc_policy *policy, struct entry *entries, uint64_t count,
	uint64_t *random, struct times *t, int round)
{
	uint64_t read = 0, push = 0, feed = 0;
	struct vmc_policy_node *nodes[BATCH];
	uint32_t ats[BATCH], ticks[BATCH];

	for (unsigned n = 0; n < TOUCHES; n += BATCH) {
		for (unsigned i = 0; i < BATCH; i++)
			nodes[i] = &entries[bench_random_below(random, count)]
					    .node;
		uint64_t start = vmc_os_clock_ns();
		for (unsigned i = 0; i < BATCH; i++)
			sink = vmc_load_relaxed(&nodes[i]->at);
		read += since(&start);
		for (unsigned i = 0; i < BATCH; i++)
			vmc_ring_push(&ring, nodes[i], 0);
		push += since(&start);
		unsigned taken = vmc_ring_take(&ring, nodes, ticks, BATCH);
		for (unsigned i = 0; i < taken; i++)
			ats[i] = vmc_load_relaxed(&nodes[i]->at);
		policy->ops->touch(policy, nodes, ats, NULL, taken);
		feed += since(&start);
	}
	uint64_t start = vmc_os_clock_ns();
	for (unsigned n = 0; n < TOUCHES; n++) {
		struct vmc_policy_node *victim = policy->ops->victim(policy);

		touch(policy, victim);
	}
	t->turn[round] = (double)since(&start) / TOUCHES;
	t->read[round] = (double)read / TOUCHES;
	t->push[round] = (double)push / TOUCHES;
	t->feed[round] = (double)feed / TOUCHES;
}

static void
run(uint64_t count)
{
	struct entry *entries = calloc(count, sizeof(*entries));
	struct vmc_policy *policy;
	struct times t;
	uint64_t random = 1;

	if (!entries || vmc_policy_lru.create(&policy, &bench_heap, NULL))
		exit(1);
	for (uint64_t i = 0; i < count; i++) {
		struct vmc_policy_node *node = &entries[i].node;

		touch(policy, node);
	}
	/* the order of use is not that of the addresses */
	for (uint64_t i = 0; i < 2 * count; i++) {
		struct vmc_policy_node *node =
			&entries[bench_random_below(&random, count)].node;

		touch(policy, node);
	}
	for (int round = 0; round < ROUNDS; round++)
		measure(policy, entries, count, &random, &t, round);
	printf("%9" PRIu64 " nodes: read %5.1f push %5.1f feed %6.1f "
	       "turn %6.1f\n",
		count, bench_median(t.read, ROUNDS),
		bench_median(t.push, ROUNDS), bench_median(t.feed, ROUNDS),
		bench_median(t.turn, ROUNDS));
	policy->ops->destroy(policy);
	free(entries);
}

int
main(int argc, char **argv)
{
	static const uint64_t sizes[] = {10000, 100000, 1000000, 10000000};

	for (int i = 1; i < argc; i++)
		run(strtoull(argv[i], NULL, 0));
	for (size_t i = 0; argc < 2 && i < sizeof(sizes) / sizeof(*sizes); i++)
		run(sizes[i]);
	return 0;
}
