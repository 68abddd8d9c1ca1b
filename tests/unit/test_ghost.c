/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_ghost.c -- what was evicted lately: how long it is remembered, and what
 * it costs
 */
#include "testing.h"

#include "base/hash.h"
#include "policy/ghost.h"

struct fixture {
	struct testing_memory counts;
	struct vmc_memory memory;
	struct vmc_ghost ghost;
};

static void
fixture_start(struct fixture *f)
{
	memset(f, 0, sizeof(*f));
	f->memory = testing_memory_of(&f->counts);
	vmc_ghost_init(&f->ghost, &f->memory);
}

static void
fixture_end(struct fixture *f)
{
	vmc_ghost_fini(&f->ghost);
	assert_int_equal(f->counts.objects, 0);
	assert_int_equal(f->counts.bytes, 0);
}

static uint64_t
hash(uint64_t n)
{
	return vmc_hash(&n, sizeof(n), 7);
}

/* No slots: none is ever there. */
static void
test_none(void **state)
{
	struct fixture f;

	(void)state;
	fixture_start(&f);
	vmc_ghost_add(&f.ghost, hash(1), 1);
	assert_int_equal(vmc_ghost_take(&f.ghost, hash(1)), -1);
	assert_int_equal(vmc_ghost_bytes(&f.ghost), 0);
	vmc_ghost_fit(&f.ghost, 0);
	assert_int_equal(f.counts.objects, 0);
	fixture_end(&f);
}

/* One bucket: exactly the latest, and each once. */
static void
test_few(void **state)
{
	struct fixture f;

	(void)state;
	for (unsigned count = 1; count < 32; count++) {
		fixture_start(&f);
		vmc_ghost_fit(&f.ghost, count);
		assert_int_equal(vmc_ghost_bytes(&f.ghost), 2 * count);
		for (uint64_t n = 0; n < 100; n++)
			vmc_ghost_add(&f.ghost, hash(n), n % 2);
		for (uint64_t n = 0; n < 100; n++)
			assert_int_equal(vmc_ghost_take(&f.ghost, hash(n)),
				n >= 100 - count ? (int)(n % 2) : -1);
		for (uint64_t n = 0; n < 100; n++)
			assert_int_equal(vmc_ghost_take(&f.ghost, hash(n)), -1);
		/* there is room for all again */
		for (uint64_t n = 0; n < count; n++)
			vmc_ghost_add(&f.ghost, hash(n), n % 2);
		for (uint64_t n = 0; n < count; n++)
			assert_int_equal(
				vmc_ghost_take(&f.ghost, hash(n)), n % 2);
		fixture_end(&f);
	}
}

/* A hash whose high bits are 0 is one, too. */
static void
test_tag_of_none(void **state)
{
	struct fixture f;

	(void)state;
	fixture_start(&f);
	vmc_ghost_fit(&f.ghost, 20);
	assert_int_equal(vmc_ghost_take(&f.ghost, 5), -1);
	vmc_ghost_add(&f.ghost, 5, 0);
	assert_int_equal(vmc_ghost_take(&f.ghost, 5), 0);
	assert_int_equal(vmc_ghost_take(&f.ghost, 5), -1);
	fixture_end(&f);
}

/*
 * Of many: nearly all for half as many additions as there are slots, next to
 * nothing after twice as many, and half of them in between; what never was
 * there hardly ever.
 */
static void
test_many(void **state)
{
	enum { MANY = 50000 };
	struct fixture f;
	unsigned recent = 0, middle = 0, old = 0, strange = 0;

	(void)state;
	fixture_start(&f);
	vmc_ghost_fit(&f.ghost, MANY);
	uint64_t bytes = vmc_ghost_bytes(&f.ghost);
	assert_in_range(bytes, 2 * MANY * 15 / 16, 2 * MANY);
	for (uint64_t n = 0; n < 4 * MANY; n++)
		vmc_ghost_add(&f.ghost, hash(n), n % 2);
	for (uint64_t n = 0; n < 1000; n++) {
		uint64_t newest = 4 * MANY - 1 - n;
		strange += vmc_ghost_take(&f.ghost, hash(10 * MANY + n)) >= 0;
		recent +=
			vmc_ghost_take(&f.ghost, hash(newest - MANY / 2)) >= 0;
		middle += vmc_ghost_take(&f.ghost, hash(newest - MANY)) >= 0;
		old += vmc_ghost_take(&f.ghost, hash(newest - 2 * MANY)) >= 0;
	}
	assert_true(recent >= 980);
	assert_in_range(middle, 300, 700);
	assert_true(old <= 30);
	assert_true(strange <= 10);
	fixture_end(&f);
}

/* Another size: the newest are still known, and memory is as much as needed. */
static void
test_fit(void **state)
{
	static const unsigned sizes[] = {
		10, 31, 32, 33, 100, 1000, 1100, 9000, 4000, 200, 20, 1, 0};
	struct fixture f;
	uint64_t n = 0;

	(void)state;
	fixture_start(&f);
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		vmc_ghost_fit(&f.ghost, sizes[i]);
		uint64_t slots = vmc_ghost_bytes(&f.ghost) / 2;
		assert_in_range(f.counts.bytes, 2 * slots, 2 * slots + 62);
		assert_true(slots <= sizes[i] + sizes[i] / 7);
		assert_true(slots + sizes[i] / 7 + 1 >= sizes[i]);
		/* most of a third of those that were there, and fit */
		unsigned known = 0, asked = 0;
		for (uint64_t ago = 1; i > 0 && ago <= 5 * slots / 16 &&
				       ago <= sizes[i - 1] / 3;
			ago++, asked++)
			known += vmc_ghost_take(&f.ghost, hash(n - ago)) >= 0;
		assert_true(known + 1 >= asked - asked / 4);
		for (unsigned k = 0; k < 2 * sizes[i]; k++)
			vmc_ghost_add(&f.ghost, hash(n), n % 2), n++;
	}
	fixture_end(&f);
}

static void
test_without_memory(void **state)
{
	struct fixture f;

	(void)state;
	fixture_start(&f);
	f.counts.fail_at = -2;
	vmc_ghost_fit(&f.ghost, 100);
	assert_int_equal(vmc_ghost_bytes(&f.ghost), 0);
	f.counts.fail_at = -1;
	vmc_ghost_fit(&f.ghost, 100);
	uint64_t bytes = vmc_ghost_bytes(&f.ghost);
	f.counts.fail_at = -2;
	vmc_ghost_add(&f.ghost, hash(1), 1);
	vmc_ghost_fit(&f.ghost, 1000);
	assert_int_equal(vmc_ghost_bytes(&f.ghost), bytes);
	assert_int_equal(vmc_ghost_take(&f.ghost, hash(1)), 1);
	fixture_end(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_none),
		cmocka_unit_test(test_few),
		cmocka_unit_test(test_tag_of_none),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_fit),
		cmocka_unit_test(test_without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
