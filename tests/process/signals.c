/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * signals.c -- a process whose signals never stop: every call goes on as if
 * there were none, whether the handler does nothing or something of its own,
 * system calls are restarted or not
 */
#include "fixture.h"

#include <signal.h>
#include <sys/time.h>
#include <unistd.h>

enum { KEYS = 2000 };

static _Atomic unsigned long signals;

static void
count_only(int number)
{
	(void)number;
	vmc_fetch_add_relaxed(&signals, 1);
}

/* What programs do in handlers: some work, some calls, errno restored. */
static void
do_something(int number)
{
	static char bytes[4096];
	int saved = errno;

	memset(bytes, number, sizeof(bytes));
	vmc_fetch_add_relaxed(&signals, (unsigned)getpid() != 0);
	errno = saved;
}

static void
storm(void (*handler)(int), int flags, suseconds_t every)
{
	struct sigaction action = {.sa_handler = handler, .sa_flags = flags};
	struct itimerval timer = {
		.it_interval.tv_usec = every, .it_value.tv_usec = every};

	assert_int_equal(sigaction(SIGALRM, &action, NULL), 0);
	assert_int_equal(setitimer(ITIMER_REAL, &timer, NULL), 0);
}

static void
calm(void)
{
	setitimer(ITIMER_REAL, &(struct itimerval){0}, NULL);
}

static void
use(enum vmemcache_metadata metadata)
{
	VMEMcache *cache = fixture_new(8 << 20, 0, VMEMCACHE_REPLACEMENT_LRU);
	uint64_t random = testing_seed();
	uint64_t count = testing_operations(6000);

	assert_int_equal(vmemcache_set_metadata(cache, metadata), 0);
	if (vmemcache_add(cache, FIXTURE_DIR) != 0)
		fail_msg("%s", vmemcache_errormsg());
	vmemcache_bench_set(cache, VMEMCACHE_BENCH_PREFAULT, 1);
	for (uint64_t i = 0; i < count; i++) {
		uint64_t key = testing_below(&random, KEYS);
		size_t size = (size_t)(key * key % 15000);
		if (fixture_exists(cache, key)) {
			assert_true(fixture_has(cache, key, 1, size));
		} else {
			assert_int_equal(fixture_put(cache, key, 1, size), 0);
		}
		if (i % 16 == 0) {
			assert_int_equal(fixture_evict(cache, key), 0);
			assert_int_equal(fixture_exists(cache, key), 0);
		}
	}
	fixture_check(cache);
	vmemcache_delete(cache);
}

static void
use_under(void (*handler)(int), int flags)
{
	storm(handler, flags, 200);
	use(VMEMCACHE_METADATA_DRAM);
	use(VMEMCACHE_METADATA_PMEM);
	calm();
	assert_true(vmc_load_relaxed(&signals) > 0);
	print_message("%lu signals\n", vmc_load_relaxed(&signals));
	vmc_store_relaxed(&signals, 0);
}

static void
test_nothing(void **state)
{
	(void)state;
	use_under(count_only, 0);
	use_under(count_only, SA_RESTART);
}

static void
test_something(void **state)
{
	(void)state;
	use_under(do_something, 0);
}

/* On an alternate stack, as languages with small stacks have it. */
static void
test_alternate_stack(void **state)
{
	static char stack[65536];
	stack_t alternate = {.ss_sp = stack, .ss_size = sizeof(stack)};

	(void)state;
	assert_int_equal(sigaltstack(&alternate, NULL), 0);
	use_under(do_something, SA_ONSTACK);
	alternate.ss_flags = SS_DISABLE;
	sigaltstack(&alternate, NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_something),
		cmocka_unit_test(test_alternate_stack),
	};

	testing_seed();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
