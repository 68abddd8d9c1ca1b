/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_stripe.c -- a stripe for every thread, past the first group as well
 */
#include "testing.h"

#include "base/os.h"
#include "stripe.h"

#include <pthread.h>

enum { CROWD = 200 };

static _Atomic bool refuse_memory;
static _Atomic long maps, unmaps;

void *__real_vmc_os_map_anonymous(size_t size);
void *__wrap_vmc_os_map_anonymous(size_t size);
void __real_vmc_os_unmap(void *addr, size_t size);
void __wrap_vmc_os_unmap(void *addr, size_t size);

void *
__wrap_vmc_os_map_anonymous(size_t size)
{
	if (refuse_memory)
		return NULL;
	vmc_fetch_add_relaxed(&maps, (long)size);
	return __real_vmc_os_map_anonymous(size);
}

void
__wrap_vmc_os_unmap(void *addr, size_t size)
{
	vmc_fetch_add_relaxed(&unmaps, (long)size);
	__real_vmc_os_unmap(addr, size);
}

/* A crowd of threads that are all alive at the same time. */
struct crowd {
	struct vmc_stripes *stripes;
	struct vmc_memory *memory;
	pthread_barrier_t barrier;
	struct vmc_stripe *of[CROWD];
	unsigned slot[CROWD];
	_Atomic unsigned next;
};

static void *
member(void *arg)
{
	struct crowd *c = arg;
	unsigned number = vmc_fetch_add_relaxed(&c->next, 1);
	struct vmc_thread *self = vmc_thread_self();

	pthread_barrier_wait(&c->barrier);
	struct vmc_stripe *s = vmc_stripe_of(c->stripes, self);
	testing_expect(s != NULL);
	if (s) {
		testing_expect(vmc_stripe_of(c->stripes, self) == s);
		testing_expect(vmc_stripe_at(c->stripes, self->slot) == s);
		testing_expect((uintptr_t)s % 64 == 0);
		vmc_count(s, VMC_COUNT_MISS, 1);
		vmc_count(s, VMC_COUNT_METADATA, number);
		vmc_count(s, VMC_COUNT_EXTENTS_GONE, number);
		void *p = vmc_alloc(c->memory, 100);
		testing_expect(vmc_limbo_add(&s->limbo, c->memory, p, 100));
	}
	c->of[number] = s;
	c->slot[number] = self->slot;
	pthread_barrier_wait(&c->barrier);
	return NULL;
}

static void
run_crowd(struct crowd *c)
{
	pthread_t threads[CROWD];
	pthread_attr_t small;

	c->next = 0;
	pthread_attr_init(&small);
	pthread_attr_setstacksize(&small, 256 * 1024);
	pthread_barrier_init(&c->barrier, NULL, CROWD);
	for (unsigned i = 0; i < CROWD; i++)
		assert_int_equal(
			pthread_create(&threads[i], &small, member, c), 0);
	for (unsigned i = 0; i < CROWD; i++)
		pthread_join(threads[i], NULL);
	pthread_attr_destroy(&small);
	pthread_barrier_destroy(&c->barrier);
	assert_int_equal(testing_failures, 0);
}

static void
crowd_three_times(void)
{
	static struct vmc_stripes stripes;
	static struct crowd c = {.stripes = &stripes};
	struct testing_memory counts;
	struct vmc_memory memory = testing_memory_of(&counts);
	const uint64_t numbers = CROWD * (CROWD - 1) / 2;
	struct vmc_stripe *first[2 * CROWD] = {NULL};

	c.memory = &memory;
	assert_int_equal(vmc_stripes_sum(&stripes, VMC_COUNT_MISS), 0);
	for (unsigned round = 1; round <= 3; round++) {
		run_crowd(&c);
		assert_int_equal(vmc_stripes_sum(&stripes, VMC_COUNT_MISS),
			round * CROWD);
		assert_int_equal(vmc_stripes_sum(&stripes, VMC_COUNT_METADATA),
			round * numbers);
		assert_int_equal(
			vmc_stripes_sum(&stripes, VMC_COUNT_EXTENTS_GONE),
			round * numbers);
		/* a slot's stripe is the same for every thread that has it */
		for (unsigned i = 0; i < CROWD; i++) {
			assert_true(c.slot[i] < 2 * CROWD);
			if (round == 1) {
				assert_null(first[c.slot[i]]);
				first[c.slot[i]] = c.of[i];
			}
			assert_ptr_equal(first[c.slot[i]], c.of[i]);
		}
	}
	assert_true(counts.objects >= 3 * CROWD);
	vmc_stripes_delete(&stripes, &memory);
	assert_int_equal(counts.objects, 0);
	assert_int_equal(vmc_stripes_sum(&stripes, VMC_COUNT_MISS), 0);
	assert_null(vmc_stripe_at(&stripes, 0));
	assert_null(vmc_stripe_at(&stripes, 200));
}

static void
test_crowd(void **state)
{
	(void)state;
	crowd_three_times();
	/* by now the registry of threads has mapped what it needs */
	long mapped = maps - unmaps;
	crowd_three_times();
	assert_int_equal(maps - unmaps, mapped);
}

static void *
come(void *arg)
{
	testing_expect(vmc_stripe_of(arg, vmc_thread_self()) != NULL);
	return NULL;
}

/* What a thread that has gone has left is taken over, and used again. */
static void
test_taken_over(void **state)
{
	static struct vmc_stripes stripes;
	struct testing_memory counts;
	struct vmc_memory memory = testing_memory_of(&counts);
	struct vmc_stripe *mine = vmc_stripe_of(&stripes, vmc_thread_self());
	pthread_t thread;

	(void)state;
	assert_int_equal(stripes.count, 1);
	assert_false(vmc_stripe_take_over(&stripes, mine));
	for (int i = 0; i < 3; i++) {
		assert_int_equal(
			pthread_create(&thread, NULL, come, &stripes), 0);
		pthread_join(thread, NULL);
		assert_int_equal(testing_failures, 0);
		assert_int_equal(stripes.count, 2);
		struct vmc_stripe *s = vmc_stripe_next(&stripes, NULL);
		assert_ptr_not_equal(s, mine);
		assert_ptr_equal(vmc_stripe_next(&stripes, s), mine);
		assert_null(vmc_stripe_next(&stripes, mine));
		assert_true(vmc_stripe_take_over(&stripes, s));
		assert_null(vmc_stripe_at(&stripes, s->slot));
		assert_ptr_equal(vmc_stripe_next(&stripes, NULL), mine);
		vmc_stripe_spare(&stripes, s);
		/* of which there are two, whatever number there was */
		assert_ptr_equal(vmc_stripe_older(&stripes, NULL), s);
		assert_ptr_equal(vmc_stripe_older(&stripes, s), mine);
		assert_null(vmc_stripe_older(&stripes, mine));
	}
	vmc_stripes_delete(&stripes, &memory);
}

/* Any slot number has a place of its own. */
static void
test_places(void **state)
{
	static const unsigned slots[] = {0, 63, 64, 65, 191, 192, 447, 448, 959,
		960, 100000, 1000000, 67108799};
	enum { COUNT = sizeof(slots) / sizeof(slots[0]) };
	static struct vmc_stripes stripes;
	struct vmc_stripe *made[COUNT];
	struct testing_memory counts;
	struct vmc_memory memory = testing_memory_of(&counts);

	(void)state;
	for (unsigned i = 0; i < COUNT; i++) {
		struct vmc_thread thread = {.slot = slots[i]};

		assert_null(vmc_stripe_at(&stripes, slots[i]));
		made[i] = vmc_stripe_make(&stripes, &thread);
		assert_non_null(made[i]);
		assert_ptr_equal(vmc_stripe_of(&stripes, &thread), made[i]);
		vmc_count(made[i], VMC_COUNT_HIT, i + 1);
	}
	for (unsigned i = 0; i < COUNT; i++) {
		assert_ptr_equal(vmc_stripe_at(&stripes, slots[i]), made[i]);
		assert_int_equal(made[i]->counter[VMC_COUNT_HIT], i + 1);
	}
	vmc_stripes_delete(&stripes, &memory);
}

static void
test_without_memory(void **state)
{
	static struct vmc_stripes stripes;
	struct testing_memory counts;
	struct vmc_memory memory = testing_memory_of(&counts);
	struct vmc_thread far = {.slot = 70};

	(void)state;
	refuse_memory = true;
	assert_null(vmc_stripe_of(&stripes, vmc_thread_self()));
	assert_null(vmc_stripe_of(&stripes, &far));
	refuse_memory = false;
	assert_int_equal(vmc_stripes_sum(&stripes, VMC_COUNT_MISS), 0);
	struct vmc_stripe *s = vmc_stripe_of(&stripes, vmc_thread_self());
	assert_non_null(s);
	vmc_stripes_delete(&stripes, &memory);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_places),
		cmocka_unit_test(test_without_memory),
		cmocka_unit_test(test_crowd),
		cmocka_unit_test(test_taken_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
