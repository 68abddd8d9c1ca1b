/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * spaces_in_each_others_way.c -- threads that look for aligned room for a kind
 * at the same time could fail all their tries, each finding the room that the
 * other was just trying
 */
#include "testing.h"

#include "base/os.h"
#include "base/os_space.h"

#include <pthread.h>

enum { SIZE = 16 << 20 };

static void *
come_and_go(void *arg)
{
	void *at;

	for (uint64_t i = *(uint64_t *)arg; i > 0; i--) {
		int err = vmc_os_space_map(SIZE, VMC_OS_CHUNK, &at);
		testing_expect(err == 0);
		if (err == 0)
			vmc_os_unmap(at, SIZE);
	}
	return NULL;
}

static void
test_room_is_found(void **state)
{
	uint64_t times = testing_operations(50000);
	pthread_t threads[4];

	(void)state;
	for (int i = 0; i < 4; i++)
		assert_int_equal(
			pthread_create(&threads[i], NULL, come_and_go, &times),
			0);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(testing_failures, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_room_is_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
