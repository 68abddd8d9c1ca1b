/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_lock.c -- exclusion, and the rank check, which is compiled in here
 * whatever the configuration of the library is
 */
#undef NDEBUG
#include "base/lock.c"

#include "testing.h"

#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static struct vmc_lock policy, other_policy, extent;
static struct vmc_latch latch;

static int
setup(void **state)
{
	(void)state;
	vmc_lock_init(&policy, VMC_RANK_POLICY);
	vmc_lock_init(&other_policy, VMC_RANK_POLICY);
	vmc_lock_init(&extent, VMC_RANK_EXTENT);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	vmc_lock_destroy(&policy);
	vmc_lock_destroy(&other_policy);
	vmc_lock_destroy(&extent);
	return 0;
}

static void
rising(void)
{
	vmc_lock_assert_none_held();
	vmc_lock_acquire(&policy);
	vmc_latch_acquire(&latch, VMC_RANK_INDEX);
	vmc_lock_acquire(&extent);
	vmc_lock_release(&policy);
	vmc_latch_release(&latch, VMC_RANK_INDEX);
	vmc_lock_release(&extent);
	vmc_lock_assert_none_held();
}

static void
falling(void)
{
	vmc_lock_acquire(&extent);
	vmc_lock_acquire(&policy);
}

static void
same_rank(void)
{
	vmc_lock_acquire(&policy);
	vmc_lock_acquire(&other_policy);
}

static void
falling_try(void)
{
	vmc_lock_acquire(&extent);
	(void)vmc_lock_try(&policy);
}

static void
latch_falling(void)
{
	vmc_lock_acquire(&extent);
	vmc_latch_acquire(&latch, VMC_RANK_INDEX);
}

static void
latched_in_callback(void)
{
	vmc_latch_acquire(&latch, VMC_RANK_INDEX);
	vmc_lock_assert_none_held();
}

static void
held_in_callback(void)
{
	vmc_lock_acquire(&extent);
	vmc_lock_assert_none_held();
}

static void
released_twice(void)
{
	vmc_lock_acquire(&policy);
	vmc_lock_release(&policy);
	vmc_lock_release(&policy);
}

/* Does it end in an assertion? */
static bool
aborts(void (*function)(void))
{
	int status;

	fflush(NULL);
	pid_t child = fork();
	if (child == 0) {
		setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
		signal(SIGABRT, SIG_DFL); /* cmocka's handler otherwise */
		if (!freopen("/dev/null", "w", stderr))
			_exit(2);
		function();
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	if (WIFSIGNALED(status))
		return WTERMSIG(status) == SIGABRT;
	assert_int_equal(WEXITSTATUS(status), 0);
	return false;
}

static void
test_ranks(void **state)
{
	(void)state;
	rising();
	rising();
	assert_false(aborts(rising));
	assert_true(aborts(falling));
	assert_true(aborts(same_rank));
	assert_true(aborts(falling_try));
	assert_true(aborts(latch_falling));
	assert_true(aborts(latched_in_callback));
	assert_true(aborts(held_in_callback));
	assert_true(aborts(released_twice));
}

static void *
try_policy(void *arg)
{
	bool got = vmc_lock_try(&policy);

	if (got)
		vmc_lock_release(&policy);
	/* a try that failed holds nothing */
	vmc_lock_assert_none_held();
	*(bool *)arg = got;
	return NULL;
}

static bool
another_thread_gets_it(void)
{
	pthread_t thread;
	bool got;

	assert_int_equal(pthread_create(&thread, NULL, try_policy, &got), 0);
	pthread_join(thread, NULL);
	return got;
}

static void
test_try(void **state)
{
	(void)state;
	assert_true(another_thread_gets_it());
	vmc_lock_acquire(&policy);
	assert_false(another_thread_gets_it());
	vmc_lock_release(&policy);
	assert_true(another_thread_gets_it());
	assert_true(vmc_lock_try(&policy));
	assert_false(another_thread_gets_it());
	vmc_lock_release(&policy);
}

static uint64_t counter;

static void *
count(void *arg)
{
	uint64_t n = *(uint64_t *)arg;

	while (n > 0) {
		if (n % 3 == 0)
			vmc_lock_acquire(&extent);
		else if (!vmc_lock_try(&extent))
			continue;
		counter++;
		vmc_lock_release(&extent);
		n--;
	}
	return NULL;
}

static void
test_exclusion(void **state)
{
	enum { THREADS = 4 };
	pthread_t threads[THREADS];
	uint64_t each = testing_operations(100000);

	(void)state;
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(
			pthread_create(&threads[i], NULL, count, &each), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(counter, THREADS * each);
}

static void *
count_latched(void *arg)
{
	for (uint64_t n = *(uint64_t *)arg; n > 0; n--) {
		vmc_latch_acquire(&latch, VMC_RANK_INDEX);
		counter++;
		/* now and then so long that the others go to sleep */
		if (n % 10000 == 0)
			usleep(500);
		vmc_latch_release(&latch, VMC_RANK_INDEX);
	}
	return NULL;
}

static void
test_latch(void **state)
{
	enum { THREADS = 4 };
	pthread_t threads[THREADS];
	uint64_t each = testing_operations(100000);

	(void)state;
	counter = 0;
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(
			pthread_create(&threads[i], NULL, count_latched, &each),
			0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(counter, THREADS * each);
	assert_false(vmc_load_relaxed(&latch.held));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_ranks, setup, teardown),
		cmocka_unit_test_setup_teardown(test_try, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_exclusion, setup, teardown),
		cmocka_unit_test(test_latch),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
