/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_memkind_defrag.c -- objects between gaps move together
 */
#include "testing.h"

#include "memkind/kinds.h"
#include "memkind/malloc.h"

/* Returns how many of many objects with gaps between them were moved. */
static size_t
defragment(memkind_t kind)
{
	enum { COUNT = 20000, SIZE = 64 };
	size_t before, after, moved = 0;
	char **objects = malloc(COUNT * sizeof(*objects));

	for (int i = 0; i < COUNT; i++) {
		objects[i] = vmc_memkind_malloc(kind, SIZE);
		memset(objects[i], i, SIZE);
	}
	for (int i = 0; i < COUNT; i++) {
		if (i % 16 && i > COUNT / 2) {
			vmc_memkind_free(kind, objects[i]);
			objects[i] = NULL;
		}
	}
	memkind_update_cached_stats();
	memkind_get_stat(kind, MEMKIND_STAT_TYPE_ACTIVE, &before);
	for (int i = 0; i < COUNT; i++) {
		void *ptr = memkind_defrag_reallocate(
			i % 32 ? kind : NULL, objects[i]);
		if (ptr) {
			moved++;
			objects[i] = ptr;
		}
		if (objects[i])
			assert_int_equal(objects[i][SIZE - 1], (char)i);
	}
	memkind_update_cached_stats();
	memkind_get_stat(kind, MEMKIND_STAT_TYPE_ACTIVE, &after);
	assert_true(moved == 0 || after < before);
	for (int i = 0; i < COUNT; i++)
		vmc_memkind_free(kind, objects[i]);
	free(objects);
	return moved;
}

static void
test_defragmentation(void **state)
{
	memkind_t kind;

	(void)state;
	assert_int_equal(memkind_create_pmem("/tmp", 16 << 20, &kind), 0);
	assert_true(defragment(kind) > 0);
	memkind_destroy_kind(kind);
#ifdef VMC_MEMKIND_LIBC
	assert_int_equal(defragment(MEMKIND_DEFAULT), 0);
#else
	assert_true(defragment(MEMKIND_DEFAULT) > 0);
#endif
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defragmentation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
