/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * failed_arena_loses_number.c -- an arena that could not be made lost the
 * number that it was to have from one destroyed before; there are 4095
 *
 * Found by letting each call fail in turn. utils/jemalloc.patch mends that.
 */
#include "testing.h"

#include "memkind/heap/engine.h"

static void *
no_memory(extent_hooks_t *hooks, void *at, size_t size, size_t alignment,
	bool *zero, bool *commit, unsigned arena)
{
	(void)hooks, (void)at, (void)size, (void)alignment;
	(void)zero, (void)commit, (void)arena;
	return NULL;
}

static unsigned
make_arena(void)
{
	unsigned arena;
	size_t size = sizeof(arena);

	assert_int_equal(
		je_mallctl("arenas.create", &arena, &size, NULL, 0), 0);
	return arena;
}

static void
test_number_stays(void **state)
{
	extent_hooks_t hooks = {.alloc = no_memory};
	unsigned number = make_arena(), failed;

	(void)state;
	vmc_engine_arena_destroy(number);
	for (int i = 0; i < 3; i++)
		assert_true(vmc_engine_arena_create(&hooks, &failed) < 0);
	assert_int_equal(make_arena(), number);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_number_stays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
