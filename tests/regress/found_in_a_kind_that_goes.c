/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * found_in_a_kind_that_goes.c -- whoever asked for the kind of an object in a
 * chunk that a fixed kind does not fill, while another kind was destroyed,
 * could get that one, and crashed when it freed the object there
 */
#include "testing.h"

#include "memkind/kinds.h"
#include "memkind/malloc.h"

#include <pthread.h>
#include <sys/mman.h>

enum { SIZE = 2 << 20 };

static _Atomic bool stop;

static void *
come_and_go(void *room)
{
	memkind_t kind;

	while (!stop) {
		testing_expect(memkind_create_fixed(room, SIZE, &kind) == 0);
		testing_expect(memkind_destroy_kind(kind) == 0);
	}
	return NULL;
}

static void
test_found_where_it_is(void **state)
{
	/* not at a chunk's border: none is all its own; below the other */
	const size_t all = (size_t)16 << 20;
	uint64_t times = testing_operations(3000000);
	memkind_t kind;
	pthread_t thread;

	(void)state;
	char *room = mmap(NULL, all, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	assert_true(room != MAP_FAILED);
	assert_int_equal(memkind_create_fixed(room + 4096, SIZE, &kind), 0);
	void *object = vmc_memkind_malloc(kind, 100);
	assert_non_null(object);
	assert_int_equal(pthread_create(&thread, NULL, come_and_go,
				 room + all - SIZE - 4096),
		0);
	for (uint64_t i = 0; i < times && testing_failures == 0; i++)
		testing_expect(memkind_detect_kind(object) == kind);
	stop = true;
	pthread_join(thread, NULL);
	assert_int_equal(testing_failures, 0);
	vmc_memkind_free(kind, object);
	assert_int_equal(memkind_destroy_kind(kind), 0);
	munmap(room, all);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_found_where_it_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
