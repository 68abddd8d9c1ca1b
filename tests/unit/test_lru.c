/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_lru.c -- the policies against a plain oracle: an array of node numbers
 * in the order of their last use
 */
#include "testing.h"

#include "base/error.h"
#include "lru/policy.h"

#include <errno.h>
#include <sys/mman.h>

enum { NODES = 60, BATCH = 40 };

struct fixture {
	struct testing_memory counts;
	struct vmc_memory memory;
	const struct vmc_policy_ops *ops;
	struct vmc_policy *policy;
	struct vmc_policy_walk walk;
	struct vmc_policy_node nodes[NODES];
	/* the oracle: the next victim first */
	unsigned order[NODES];
	unsigned held;
	/* victims that may go back, the latest last */
	unsigned victims[NODES];
	unsigned victim_count;
	uint64_t random;
};

static void
fixture_start(struct fixture *f, const struct vmc_policy_ops *ops)
{
	memset(f, 0, sizeof(*f));
	f->random = testing_seed();
	f->memory = testing_memory_of(&f->counts);
	f->ops = ops;
	assert_int_equal(ops->create(&f->policy, &f->memory), 0);
	assert_ptr_equal(f->policy->ops, ops);
}

static void
fixture_end(struct fixture *f)
{
	f->ops->destroy(f->policy);
	assert_int_equal(f->counts.objects, 0);
	assert_int_equal(f->counts.bytes, 0);
}

static void
check(struct fixture *f)
{
	uint64_t held;
	bool in[NODES] = {false};

	f->ops->fetch(f->policy, &f->walk); /* changes nothing */
	f->ops->fetch_to_write(f->policy);  /* nor does this */
	if (f->ops->check(f->policy, &held) != 0)
		fail_msg("%s", vmc_error_message());
	assert_int_equal(held, f->held);
	for (unsigned i = 0; i < f->held; i++)
		in[f->order[i]] = true;
	for (unsigned i = 0; i < NODES; i++)
		assert_int_equal(f->nodes[i].prev != NULL, in[i]);
}

static unsigned
number_of(struct fixture *f, const struct vmc_policy_node *node)
{
	return (unsigned)(node - f->nodes);
}

/* Take a number out of a list of numbers, if it is there. */
static void
take_out(unsigned *list, unsigned *count, unsigned number)
{
	for (unsigned i = 0; i < *count; i++)
		if (list[i] == number) {
			memmove(&list[i], &list[i + 1],
				(*count - i - 1) * sizeof(*list));
			--*count;
			return;
		}
}

/* What is done to a victim from outside ends its right to go back. */
static void
forget_victims(struct fixture *f)
{
	f->victim_count = 0;
}

static void
do_touch(struct fixture *f, const unsigned *numbers, unsigned count)
{
	struct vmc_policy_node *nodes[BATCH];

	for (unsigned i = 0; i < count; i++) {
		nodes[i] = &f->nodes[numbers[i]];
		take_out(f->order, &f->held, numbers[i]);
		f->order[f->held++] = numbers[i];
	}
	f->ops->touch(f->policy, nodes, count);
	forget_victims(f);
}

/* The first nodes in the order of their numbers, in one batch. */
static void
touch_batch(struct fixture *f)
{
	unsigned all[BATCH];

	for (unsigned i = 0; i < BATCH; i++)
		all[i] = i;
	do_touch(f, all, BATCH);
}

static void
do_remove(struct fixture *f, unsigned number)
{
	f->ops->remove(f->policy, &f->nodes[number]);
	take_out(f->order, &f->held, number);
}

static void
do_victim(struct fixture *f)
{
	struct vmc_policy_node *node = f->ops->victim(f->policy);

	if (f->held == 0) {
		assert_null(node);
		return;
	}
	assert_non_null(node);
	assert_int_equal(number_of(f, node), f->order[0]);
	assert_null(node->prev);
	/* while it is out, next is its user's */
	node->next = (void *)f;
	f->victims[f->victim_count++] = f->order[0];
	take_out(f->order, &f->held, f->order[0]);
}

static void
do_restore(struct fixture *f)
{
	if (f->victim_count == 0)
		return;
	unsigned number = f->victims[--f->victim_count];
	f->ops->restore(f->policy, &f->nodes[number]);
	memmove(&f->order[1], f->order, f->held * sizeof(*f->order));
	f->order[0] = number;
	f->held++;
}

static void
step(struct fixture *f)
{
	unsigned batch[BATCH];
	unsigned count;

	switch (testing_below(&f->random, 8)) {
	case 0:
	case 1:
		count = (unsigned)testing_below(&f->random, BATCH + 1);
		/* a few nodes only, now and then: many repetitions */
		for (unsigned i = 0; i < count; i++)
			batch[i] = (unsigned)testing_below(
				&f->random, count % 2 ? NODES : 4);
		do_touch(f, batch, count);
		break;
	case 2:
		do_remove(f, (unsigned)testing_below(&f->random, NODES));
		forget_victims(f);
		break;
	case 3:
	case 4:
	case 5:
		do_victim(f);
		break;
	default:
		do_restore(f);
	}
	check(f);
}

static void
test_lru_against_oracle(void **state)
{
	struct fixture f;

	(void)state;
	fixture_start(&f, &vmc_policy_lru);
	check(&f);
	uint64_t steps = testing_operations(100000);
	for (uint64_t i = 0; i < steps; i++)
		step(&f);
	while (f.held > 0)
		do_victim(&f);
	assert_null(f.ops->victim(f.policy));
	check(&f);
	fixture_end(&f);
}

/* Held nodes are forgotten, not touched: they may be gone by then. */
static void
test_lru_destroyed_full(void **state)
{
	struct fixture f;

	(void)state;
	fixture_start(&f, &vmc_policy_lru);
	touch_batch(&f);
	check(&f);
	memset(f.nodes, 0xff, sizeof(f.nodes));
	fixture_end(&f);
}

static void
test_lru_without_memory(void **state)
{
	struct testing_memory counts;
	struct vmc_memory memory = testing_memory_of(&counts);
	struct vmc_policy *policy;

	(void)state;
	counts.fail_at = -2;
	assert_int_equal(vmc_policy_lru.create(&policy, &memory), -ENOMEM);
	assert_int_equal(counts.objects, 0);
}

/* check() must see what is wrong, or the tests above say nothing. */
static void
test_check_sees_damage(void **state)
{
	struct fixture f;
	unsigned all[4] = {0, 1, 2, 3};
	uint64_t held;

	(void)state;
	fixture_start(&f, &vmc_policy_lru);
	do_touch(&f, all, 4);
	struct vmc_policy_node good = f.nodes[1];
	f.nodes[1].prev = &f.nodes[3];
	assert_int_equal(f.ops->check(f.policy, &held), -EINVAL);
	f.nodes[1] = good;
	f.nodes[1].next = &f.nodes[3];
	assert_int_equal(f.ops->check(f.policy, &held), -EINVAL);
	f.nodes[1].next = NULL;
	assert_int_equal(f.ops->check(f.policy, &held), -EINVAL);
	f.nodes[1] = good;
	check(&f);
	fixture_end(&f);
}

/* It goes on from where it stopped only if that is held still. */
static void
test_walk_after_a_change(void **state)
{
	struct fixture f;

	(void)state;
	fixture_start(&f, &vmc_policy_lru);
	touch_batch(&f);
	for (unsigned n = 0; n < 5; n++)
		f.ops->fetch(f.policy, &f.walk);
	assert_ptr_equal(f.walk.at, &f.nodes[5]);
	f.ops->remove(f.policy, &f.nodes[5]);
	f.ops->fetch(f.policy, &f.walk);
	assert_ptr_equal(f.walk.at, &f.nodes[7]);
	assert_int_equal(f.walk.ahead, 6);
	do_touch(&f, &(unsigned){7}, 1);
	f.ops->fetch(f.policy, &f.walk);
	assert_ptr_equal(f.walk.at, &f.nodes[9]);
	fixture_end(&f);
}

/* How far it gets, and that it notices who else takes victims. */
static void
test_walk(void **state)
{
	struct fixture f;

	(void)state;
	fixture_start(&f, &vmc_policy_lru);
	f.ops->fetch(f.policy, &f.walk); /* in an empty list */
	assert_ptr_not_equal(f.walk.from, NULL);
	touch_batch(&f);
	f.walk.from = NULL;
	for (unsigned n = 1; n < BATCH; n++) {
		f.ops->fetch(f.policy, &f.walk);
		assert_ptr_equal(f.walk.from, &f.nodes[0]);
		assert_int_equal(f.walk.ahead,
			n < VMC_POLICY_AHEAD ? n : VMC_POLICY_AHEAD);
		assert_ptr_equal(f.walk.at, &f.nodes[f.walk.ahead]);
		assert_false(f.walk.raced);
	}
	assert_ptr_equal(f.ops->victim(f.policy), &f.nodes[0]);
	f.ops->fetch(f.policy, &f.walk);
	assert_ptr_equal(f.walk.from, &f.nodes[1]);
	assert_int_equal(f.walk.ahead, 1);
	assert_true(f.walk.raced);
	assert_ptr_equal(f.ops->victim(f.policy), &f.nodes[1]);
	f.walk.from = NULL;
	f.ops->fetch(f.policy, &f.walk);
	assert_false(f.walk.raced);
	fixture_end(&f);
}

/* A hint leads to the fourth node after it in its batch, if it reaches. */
static void
test_hints(void **state)
{
	struct fixture f;
	unsigned some[7] = {9, 3, 50, 0, 20, 8, 59};

	(void)state;
	fixture_start(&f, &vmc_policy_lru);
	do_touch(&f, some, 7);
	for (unsigned i = 0; i < 7; i++) {
		char *node = (char *)&f.nodes[some[i]];
		ptrdiff_t to =
			i + 4 < 7 ? (char *)&f.nodes[some[i + 4]] - node : 0;
		assert_int_equal(f.nodes[some[i]].hint, to / 16);
	}

	/* 64 GiB apart: an address that is never followed */
	size_t far = (size_t)1 << 36;
	char *room = mmap(NULL, far + 4096, PROT_NONE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (room == MAP_FAILED) { /* a limit of address space */
		fixture_end(&f);
		return;
	}
	char *end = room + far + 64;
	assert_int_equal(mprotect(room, 4096, PROT_READ | PROT_WRITE), 0);
	assert_int_equal(mprotect(room + far, 4096, PROT_READ | PROT_WRITE), 0);
	struct vmc_policy_node *nodes[5] = {(void *)room, &f.nodes[1],
		&f.nodes[2], &f.nodes[3], (void *)end};
	f.ops->touch(f.policy, nodes, 5);
	assert_int_equal(nodes[0]->hint, 0);
	f.ops->remove(f.policy, nodes[0]);
	f.ops->remove(f.policy, nodes[4]);
	munmap(room, far + 4096);
	fixture_end(&f);
}

static void
test_none_holds_nothing(void **state)
{
	struct fixture f;
	struct vmc_policy_node *nodes[2] = {&f.nodes[0], &f.nodes[1]};

	(void)state;
	fixture_start(&f, &vmc_policy_none);
	assert_false(f.ops->wants_touches);
	assert_null(f.ops->victim(f.policy));
	f.ops->touch(f.policy, nodes, 2);
	check(&f);
	assert_null(f.ops->victim(f.policy));
	f.ops->remove(f.policy, nodes[0]);
	f.ops->restore(f.policy, nodes[1]);
	check(&f);
	assert_null(f.ops->victim(f.policy));
	fixture_end(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lru_against_oracle),
		cmocka_unit_test(test_lru_destroyed_full),
		cmocka_unit_test(test_lru_without_memory),
		cmocka_unit_test(test_check_sees_damage),
		cmocka_unit_test(test_walk),
		cmocka_unit_test(test_walk_after_a_change),
		cmocka_unit_test(test_hints),
		cmocka_unit_test(test_none_holds_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
