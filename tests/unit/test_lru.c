/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_lru.c -- the policies against a plain oracle: an array of node numbers
 * in the order of their last use
 */
#include "testing.h"

#include "base/error.h"
#include "policy/policy.h"

#include <errno.h>

enum { NODES = 300, BATCH = 80, MANY = 20000 };

struct fixture {
	struct testing_memory counts;
	struct vmc_memory memory;
	const struct vmc_policy_ops *ops;
	struct vmc_policy *policy;
	struct vmc_policy_node nodes[NODES];
	/* the oracle: the next victim first */
	unsigned order[NODES];
	unsigned held;
	/* victims that may go back, the latest last */
	unsigned victims[NODES];
	unsigned victim_count;
	/* a row that is handed over, and what is in it, the oldest first */
	struct vmc_policy_row *row;
	unsigned reserved[VMC_POLICY_ROW];
	unsigned reserved_count;
	uint64_t random;
};

static void
fixture_start(struct fixture *f, const struct vmc_policy_ops *ops)
{
	memset(f, 0, sizeof(*f));
	f->random = testing_seed();
	f->memory = testing_memory_of(&f->counts);
	f->ops = ops;
	assert_int_equal(ops->create(&f->policy, &f->memory, NULL), 0);
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

	if (f->ops->check(f->policy, &held) != 0)
		fail_msg("%s", vmc_error_message());
	assert_int_equal(held, f->held);
	for (unsigned i = 0; i < f->held; i++)
		in[f->order[i]] = true;
	for (unsigned i = 0; i < f->reserved_count; i++)
		in[f->reserved[i]] = true;
	for (unsigned i = 0; i < NODES; i++)
		assert_int_equal(f->nodes[i].at != 0, in[i]);
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

static void
put_first(struct fixture *f, unsigned number)
{
	memmove(&f->order[1], f->order, f->held * sizeof(*f->order));
	f->order[0] = number;
	f->held++;
}

/* What is done to a victim from outside ends its right to go back. */
static void
forget_victims(struct fixture *f)
{
	f->victim_count = 0;
}

static void
forget(struct fixture *f, unsigned number)
{
	take_out(f->order, &f->held, number);
	take_out(f->reserved, &f->reserved_count, number);
	forget_victims(f);
}

static void
touch(struct fixture *f, struct vmc_policy_node *node)
{
	uint32_t at = vmc_load_relaxed(&node->at);

	f->ops->touch(f->policy, &node, &at, NULL, 1);
}

static void
note_touch(struct fixture *f, unsigned number)
{
	forget(f, number);
	f->order[f->held++] = number;
}

/* The first nodes in the order of their numbers. */
static void
touch_all(struct fixture *f, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		touch(f, &f->nodes[i]);
		note_touch(f, i);
	}
}

static void
touch_batch(struct fixture *f)
{
	struct vmc_policy_node *nodes[BATCH];
	uint32_t ats[BATCH];
	unsigned count = (unsigned)testing_below(&f->random, BATCH + 1);

	for (unsigned i = 0; i < count; i++) {
		/* a few nodes only, now and then: many repetitions */
		nodes[i] = &f->nodes[testing_below(
			&f->random, count % 2 ? NODES : 4)];
	}
	for (unsigned i = 0; i < count; i++)
		ats[i] = vmc_load_relaxed(&nodes[i]->at);
	f->ops->touch(f->policy, nodes, ats, NULL, count);
	for (unsigned i = 0; i < count; i++)
		note_touch(f, number_of(f, nodes[i]));
}

static void
do_remove(struct fixture *f, unsigned number)
{
	f->ops->remove(f->policy, &f->nodes[number]);
	forget(f, number);
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
	assert_int_equal(node->at, 0);
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
	put_first(f, number);
}

/* --- a row handed over --- */

static void
do_hand_over(struct fixture *f, unsigned most)
{
	if (f->row)
		return;
	f->row = f->ops->hand_over(f->policy, most);
	assert_int_equal(f->row != NULL, f->held > 0);
	if (!f->row)
		return;
	for (unsigned i = 0; i < VMC_POLICY_ROW; i++) {
		if (!(f->row->live >> i & 1))
			continue;
		unsigned number = number_of(f, vmc_policy_node_at(f->row, i));
		assert_int_equal(number, f->order[0]);
		assert_int_equal(vmc_policy_row_number(f->nodes[number].at),
			f->row->number);
		f->reserved[f->reserved_count++] = number;
		take_out(f->order, &f->held, number);
	}
	assert_in_range(f->reserved_count, 1, most);
	forget_victims(f);
}

/* Its owner takes one of them, as reserve.h would, and lets go of it. */
static void
do_take(struct fixture *f)
{
	if (f->reserved_count == 0)
		return;
	unsigned number =
		f->reserved[testing_below(&f->random, f->reserved_count)];
	struct vmc_policy_node *node = &f->nodes[number];

	assert_ptr_equal(
		vmc_policy_take(f->row, node->at % VMC_POLICY_ROW), node);
	/* touched, or removed, too late */
	touch(f, node);
	f->ops->remove(f->policy, node);
	node->at = 0;
	forget(f, number);
}

/* All back to where they were; the row itself as well. */
static void
do_recall(struct fixture *f)
{
	while (f->reserved_count > 0) {
		unsigned number = f->reserved[f->reserved_count - 1];
		struct vmc_policy_node *node = &f->nodes[number];
		assert_true(vmc_policy_win_back(
			f->row, node->at % VMC_POLICY_ROW, node));
		f->ops->restore(f->policy, node);
		forget(f, number);
		put_first(f, number);
	}
	if (f->row)
		f->ops->give_up(f->policy, f->row);
	f->row = NULL;
}

static void
step(struct fixture *f)
{
	switch (testing_below(&f->random, 12)) {
	case 0:
	case 1:
		touch_batch(f);
		break;
	case 2:
	case 3:
		for (unsigned n = 0; n < 10; n++)
			do_remove(
				f, (unsigned)testing_below(&f->random, NODES));
		break;
	case 4:
	case 5:
	case 6:
		do_victim(f);
		break;
	case 7:
		do_hand_over(f, 1 + (unsigned)testing_below(
					    &f->random, VMC_POLICY_ROW));
		break;
	case 8:
		do_take(f);
		break;
	case 9:
		do_recall(f);
		break;
	case 10:
		assert_int_equal(
			f->ops->stock(f->policy,
				(unsigned)testing_below(&f->random, 20)),
			0);
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
	do_recall(&f);
	while (f.held > 0)
		do_victim(&f);
	assert_null(f.ops->victim(f.policy));
	check(&f);
	fixture_end(&f);
}

/* Nodes and rows are forgotten, not touched: they may be gone by then. */
static void
test_lru_destroyed_full(void **state)
{
	struct fixture f;

	(void)state;
	fixture_start(&f, &vmc_policy_lru);
	touch_all(&f, NODES);
	do_hand_over(&f, VMC_POLICY_ROW);
	check(&f);
	memset(f.nodes, 0xff, sizeof(f.nodes));
	fixture_end(&f);
}

/* More nodes than the first groups of rows have room for. */
static void
test_lru_many(void **state)
{
	enum { LOTS = 300000 };
	struct vmc_policy_node *lots = calloc(LOTS, sizeof(*lots));
	struct fixture f;
	uint64_t held;

	(void)state;
	assert_non_null(lots);
	fixture_start(&f, &vmc_policy_lru);
	for (unsigned i = 0; i < LOTS; i++)
		touch(&f, &lots[i]);
	assert_int_equal(f.ops->check(f.policy, &held), 0);
	assert_int_equal(held, LOTS);
	for (unsigned i = 0; i < LOTS; i++)
		assert_ptr_equal(f.ops->victim(f.policy), &lots[i]);
	assert_int_equal(vmc_load_relaxed(&f.policy->bytes), 0);
	fixture_end(&f);
	free(lots);
}

/* `turns` batches of nodes, of which `pick` says which. */
static void
use_many(struct fixture *f, struct vmc_policy_node *many, unsigned turns,
	unsigned (*pick)(struct fixture *f, unsigned n))
{
	struct vmc_policy_node *nodes[BATCH];
	uint32_t ats[BATCH];
	uint64_t held;

	for (unsigned n = 0; n < turns * BATCH; n++) {
		unsigned i = n % BATCH;
		nodes[i] = &many[pick(f, n)];
		ats[i] = vmc_load_relaxed(&nodes[i]->at);
		if (i == BATCH - 1)
			f->ops->touch(f->policy, nodes, ats, NULL, BATCH);
	}
	assert_int_equal(f->ops->check(f->policy, &held), 0);
	assert_int_equal(held, MANY);
}

static unsigned
any(struct fixture *f, unsigned n)
{
	(void)n;
	return (unsigned)testing_below(&f->random, MANY);
}

/* All in order, but one of each row. */
static unsigned
all_but_some(struct fixture *f, unsigned n)
{
	(void)f;
	n = n % (MANY / 32 * 31);
	return n / 31 * 32 + n % 31 + 1;
}

/* A row's worth at a time, of which one is left in each. */
static unsigned
far_apart(struct fixture *f, unsigned n)
{
	(void)f;
	return n % 32 * (MANY / 32) + n / 32 % (MANY / 32);
}

/*
 * However it is used, a node costs 16 bytes at most, and 8 in order: of what is
 * used, and of what is allocated.
 */
static void
test_lru_stays_dense(void **state)
{
	unsigned (*picks[])(struct fixture *, unsigned) = {
		any, all_but_some, far_apart, any};
	struct vmc_policy_node *many = calloc(MANY, sizeof(*many));
	struct fixture f;

	(void)state;
	assert_non_null(many);
	fixture_start(&f, &vmc_policy_lru);
	for (unsigned i = 0; i < MANY; i++)
		touch(&f, &many[i]);
	assert_true(vmc_load_relaxed(&f.policy->bytes) <= MANY * 8);
	for (unsigned i = 0; i < 4; i++) {
		use_many(&f, many, 3000, picks[i]);
		uint64_t bytes = vmc_load_relaxed(&f.policy->bytes);
		assert_true(bytes <= MANY * 16);
		assert_true(f.counts.bytes <= MANY * 16 + 200000);
	}
	for (unsigned i = 0; i < MANY; i++)
		if (i % 16 != 0)
			f.ops->remove(f.policy, &many[i]);
	assert_true(vmc_load_relaxed(&f.policy->bytes) <= MANY / 16 * 26);
	assert_int_equal(f.ops->stock(f.policy, 0), 0);
	/* places go back, row numbers do not */
	assert_true(f.counts.bytes <= MANY / 16 * 26 + 200000);
	fixture_end(&f);
	free(many);
}

/* Rows that were handed over, or are empty, are used again. */
static void
test_lru_rows_come_back(void **state)
{
	struct fixture f;

	(void)state;
	fixture_start(&f, &vmc_policy_lru);
	touch_all(&f, NODES);
	long bytes = f.counts.bytes;
	for (unsigned n = 0; n < 1000; n++) {
		do_hand_over(&f, 1 + n % VMC_POLICY_ROW);
		do_recall(&f);
		for (unsigned i = 0; i < 40; i++) { /* it is full, and empty */
			do_remove(&f, 0);
			touch(&f, &f.nodes[0]);
		}
		note_touch(&f, 0);
	}
	check(&f);
	assert_true(f.counts.bytes <= bytes + 10000);
	fixture_end(&f);
}

/*
 * Between reading where a node is and touching it, it went: to another place,
 * to nobody, or to an evictor, who has written there what it likes.
 */
static void
test_lru_touched_too_late(void **state)
{
	struct fixture f;

	(void)state;
	fixture_start(&f, &vmc_policy_lru);
	touch_all(&f, 100);
	struct vmc_policy_node *node = &f.nodes[50];
	uint32_t at = node->at;
	const uint32_t elsewhere[] = {0, UINT32_MAX, f.nodes[60].at,
		/* it is spare, or not even there */
		100 * VMC_POLICY_ROW, 100000 * VMC_POLICY_ROW};

	do_remove(&f, 50);
	for (unsigned i = 0; i < sizeof(elsewhere) / sizeof(*elsewhere); i++) {
		node->at = elsewhere[i];
		f.ops->touch(f.policy, &node, &at, NULL, 1);
		assert_int_equal(node->at, elsewhere[i]);
		node->at = 0;
		check(&f);
	}
	/* where it was itself, of which no bit tells any more */
	uint32_t other = at + 1;
	node->at = at;
	f.ops->touch(f.policy, &node, &other, NULL, 1);
	assert_int_equal(node->at, at);
	node->at = 0;
	check(&f);
	/* moved, and held: that counts */
	touch(&f, &f.nodes[10]);
	note_touch(&f, 10);
	node = &f.nodes[10];
	f.ops->touch(f.policy, &node, &other, NULL, 1);
	note_touch(&f, 10);
	do_victim(&f);
	check(&f);
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
	assert_int_equal(
		vmc_policy_lru.create(&policy, &memory, NULL), -ENOMEM);
	assert_int_equal(counts.objects, 0);
}

/*
 * With rows in stock, first touches and what is given back need no memory; what
 * is held stays where it is.
 */
static void
test_lru_lives_on_its_stock(void **state)
{
	enum { ROWS = 5, FIRST = (ROWS - 1) * (int)VMC_POLICY_ROW };
	struct fixture f;
	uint64_t held;

	(void)state;
	fixture_start(&f, &vmc_policy_lru);
	assert_int_equal(f.ops->stock(f.policy, ROWS), 0);
	f.counts.fail_at = -2;
	touch_all(&f, FIRST);
	check(&f);
	assert_int_equal(f.held, FIRST);
	/* the open row is full, and the rest of the stock is not for this */
	touch(&f, &f.nodes[0]);
	check(&f);
	assert_int_equal(f.ops->stock(f.policy, ROWS), -ENOMEM);
	for (unsigned n = 0; n < 2 * VMC_POLICY_ROW; n++)
		do_victim(&f);
	while (f.victim_count > 0)
		do_restore(&f);
	check(&f);
	/* no memory to part a row */
	assert_null(f.ops->hand_over(f.policy, 1));
	do_hand_over(&f, VMC_POLICY_ROW);
	do_recall(&f);
	check(&f);
	f.counts.fail_at = -1;
	assert_int_equal(f.ops->stock(f.policy, ROWS), 0);
	assert_int_equal(f.ops->check(f.policy, &held), 0);
	fixture_end(&f);
}

/* check() must see what is wrong, or the tests above say nothing. */
static void
test_check_sees_damage(void **state)
{
	struct fixture f;
	uint64_t held;

	(void)state;
	fixture_start(&f, &vmc_policy_lru);
	touch_all(&f, 100);
	uint32_t good = f.nodes[50].at;
	f.nodes[50].at++;
	assert_int_equal(f.ops->check(f.policy, &held), -EINVAL);
	f.nodes[50].at = 0;
	assert_int_equal(f.ops->check(f.policy, &held), -EINVAL);
	f.nodes[50].at = good;
	check(&f);
	vmc_owner_add(&f.policy->nodes, 1);
	assert_int_equal(f.ops->check(f.policy, &held), -EINVAL);
	vmc_owner_add(&f.policy->nodes, UINT64_MAX);
	vmc_owner_add(&f.policy->bytes, 1);
	assert_int_equal(f.ops->check(f.policy, &held), -EINVAL);
	vmc_owner_add(&f.policy->bytes, UINT64_MAX);
	check(&f);
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
	assert_int_equal(f.ops->stock(f.policy, 100), 0);
	touch(&f, nodes[0]);
	check(&f);
	assert_null(f.ops->victim(f.policy));
	assert_null(f.ops->hand_over(f.policy, 1));
	f.ops->remove(f.policy, nodes[0]);
	f.ops->restore(f.policy, nodes[1]);
	f.ops->give_up(f.policy, NULL);
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
		cmocka_unit_test(test_lru_many),
		cmocka_unit_test(test_lru_stays_dense),
		cmocka_unit_test(test_lru_rows_come_back),
		cmocka_unit_test(test_lru_touched_too_late),
		cmocka_unit_test(test_lru_without_memory),
		cmocka_unit_test(test_lru_lives_on_its_stock),
		cmocka_unit_test(test_check_sees_damage),
		cmocka_unit_test(test_none_holds_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
