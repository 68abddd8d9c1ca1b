/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_ring.c -- the ring of touches, alone and between two threads
 */
#include "testing.h"

#include "policy/ring.h"

#include <pthread.h>
#include <sched.h>

/* How many nodes are in it. Exact for the owner and the lock's holder. */
static uint32_t
ring_pending(struct vmc_ring *ring)
{
	return vmc_load_relaxed(&ring->tail) - vmc_load_relaxed(&ring->head);
}

static struct vmc_policy_node nodes[4 * VMC_RING_SIZE];

/* A ring whose counters are about to wrap around, or not. */
static struct vmc_ring *
ring_from(uint32_t start)
{
	static struct vmc_ring ring;

	memset(&ring, 0, sizeof(ring));
	ring.head = ring.tail = start;
	return &ring;
}

static uint32_t
push(struct vmc_ring *ring, struct vmc_policy_node *node)
{
	return vmc_ring_push(ring, node, (uintptr_t)node);
}

/* And each comes with its word. */
static unsigned
take(struct vmc_ring *ring, struct vmc_policy_node **out, unsigned max)
{
	uint64_t words[VMC_RING_SIZE];
	unsigned n = vmc_ring_take(ring, out, words, max);

	for (unsigned i = 0; i < n; i++)
		testing_expect(words[i] == (uintptr_t)out[i]);
	return n;
}

static const uint32_t starts[] = {0, 1, UINT32_MAX, UINT32_MAX - 100};
#define STARTS (sizeof(starts) / sizeof(starts[0]))

static void
test_order(void **state)
{
	struct vmc_policy_node *out[VMC_RING_SIZE];

	(void)state;
	for (size_t s = 0; s < STARTS; s++) {
		struct vmc_ring *ring = ring_from(starts[s]);
		unsigned in = 0, taken = 0;

		assert_int_equal(take(ring, out, VMC_RING_SIZE), 0);
		while (taken < 4 * VMC_RING_SIZE) {
			for (int i = 0; i < 7 && in < 4 * VMC_RING_SIZE; i++) {
				uint32_t n = push(ring, &nodes[in++]);
				assert_int_equal(n, in - taken);
			}
			assert_int_equal(ring_pending(ring), in - taken);
			memset(out, 0, sizeof(out));
			unsigned n = take(ring, out, 6);
			assert_null(out[n]);
			assert_int_equal(n, in - taken < 6 ? in - taken : 6);
			for (unsigned i = 0; i < n; i++)
				assert_ptr_equal(out[i], &nodes[taken++]);
		}
		assert_int_equal(ring_pending(ring), 0);
		assert_int_equal(take(ring, out, 6), 0);
	}
}

static void
test_full(void **state)
{
	struct vmc_policy_node *out[VMC_RING_SIZE];

	(void)state;
	for (size_t s = 0; s < STARTS; s++) {
		struct vmc_ring *ring = ring_from(starts[s]);

		for (unsigned i = 0; i < VMC_RING_SIZE; i++)
			assert_true(push(ring, &nodes[i]));
		assert_int_equal(ring_pending(ring), VMC_RING_SIZE);
		assert_false(push(ring, &nodes[VMC_RING_SIZE]));
		/* what repeats the latest touch needs no place */
		assert_true(push(ring, &nodes[VMC_RING_SIZE - 1]));
		assert_int_equal(ring_pending(ring), VMC_RING_SIZE);
		assert_int_equal(take(ring, out, 1), 1);
		assert_ptr_equal(out[0], &nodes[0]);
		assert_true(push(ring, &nodes[VMC_RING_SIZE]));
		assert_int_equal(take(ring, out, VMC_RING_SIZE), VMC_RING_SIZE);
		for (unsigned i = 0; i < VMC_RING_SIZE; i++)
			assert_ptr_equal(out[i], &nodes[i + 1]);
	}
}

/* A A is A; A B A is not B A, since the order of A and B depends on it. */
static void
test_repetitions(void **state)
{
	struct vmc_policy_node *out[8];
	struct vmc_policy_node *a = &nodes[0], *b = &nodes[1];

	(void)state;
	for (size_t s = 0; s < STARTS; s++) {
		struct vmc_ring *ring = ring_from(starts[s]);

		for (int i = 0; i < 5; i++)
			assert_true(push(ring, a));
		assert_int_equal(ring_pending(ring), 1);
		assert_true(push(ring, b));
		assert_true(push(ring, a));
		assert_true(push(ring, a));
		assert_int_equal(take(ring, out, 8), 3);
		assert_ptr_equal(out[0], a);
		assert_ptr_equal(out[1], b);
		assert_ptr_equal(out[2], a);
		/* once it was taken, it is no repetition any more */
		assert_true(push(ring, a));
		assert_int_equal(take(ring, out, 8), 1);
		assert_ptr_equal(out[0], a);
	}
}

struct stream {
	struct vmc_ring *ring;
	struct vmc_policy_node *first;
	uint64_t count;
};

static void *
produce(void *arg)
{
	struct stream *s = arg;

	for (uint64_t i = 0; i < s->count; i++) {
		/* what the consumer must see behind the pointer */
		s->first[i].of_user = (uint32_t)i;
		while (!push(s->ring, &s->first[i]))
			sched_yield();
	}
	return NULL;
}

static void
test_two_threads(void **state)
{
	struct vmc_policy_node *out[VMC_RING_SIZE];
	struct stream s = {.ring = ring_from(UINT32_MAX - 1000),
		.count = testing_operations(1000000)};
	uint64_t random = testing_seed();
	uint64_t taken = 0;
	pthread_t producer;

	(void)state;
	s.first = calloc(s.count, sizeof(*s.first));
	assert_non_null(s.first);
	assert_int_equal(pthread_create(&producer, NULL, produce, &s), 0);
	while (taken < s.count) {
		unsigned max =
			1 + (unsigned)testing_below(&random, VMC_RING_SIZE);
		unsigned n = take(s.ring, out, max);
		assert_true(n <= max);
		for (unsigned i = 0; i < n; i++) {
			assert_ptr_equal(out[i], &s.first[taken]);
			assert_int_equal(out[i]->of_user, (uint32_t)taken);
			taken++;
		}
		if (n == 0)
			sched_yield();
	}
	pthread_join(producer, NULL);
	assert_int_equal(ring_pending(s.ring), 0);
	free(s.first);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_repetitions),
		cmocka_unit_test(test_two_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
