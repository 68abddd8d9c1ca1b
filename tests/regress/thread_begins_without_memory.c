/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * thread_begins_without_memory.c -- a thread's first allocation crashed where
 * jemalloc had no memory for what it keeps of a thread
 *
 * Where pthread_setspecific() had none it printed a message and lost the
 * thread's cache; a destructor that ran after jemalloc's own got memory of the
 * default kind whatever it asked for; and the process could not begin.
 * utils/jemalloc.patch and engine.c mend that.
 */
#include "testing.h"

#include "fault.h"
#include "memkind/malloc.h"
#include "memkind/heap/engine.h"
#include "memkind/heap/magazines.h"
#include "process.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/wait.h>

static char region[16 << 20];
static memkind_t fixed;

static bool
in_region(const void *ptr)
{
	return (const char *)ptr >= region &&
	       (const char *)ptr < region + sizeof(region);
}

static void
allocate(void)
{
	const size_t sizes[] = {8, 1000, 20000, 100000, 3 << 20};

	for (size_t i = 0; i < 5; i++) {
		void *of_default = je_malloc(sizes[i]);
		void *of_fixed = vmc_memkind_malloc(fixed, sizes[i]);
		if (of_default)
			memset(of_default, 1, sizes[i]);
		if (of_fixed)
			memset(of_fixed, 1, sizes[i]);
		testing_expect(!of_fixed || in_region(of_fixed));
		je_free(of_default);
		vmc_memkind_free(fixed, of_fixed);
	}
}

struct beginning {
	const char *failing;
	long skip, count;
	void *to_free; /* by the thread's first call, or NULL */
};

static void *
begin(void *arg)
{
	struct beginning *b = arg;

	fault_arm(b->failing, b->skip, b->count, ENOMEM);
	je_free(b->to_free);
	allocate();
	return NULL;
}

/* How many calls have failed, of those at the thread's end, too. */
static long
begin_thread(struct beginning b)
{
	pthread_t thread;

	fault_exempt();
	testing_expect(pthread_create(&thread, NULL, begin, &b) == 0);
	pthread_join(thread, NULL);
	fault_exempt_end();
	return fault_disarm();
}

/* All that arena 0 has, in pieces from large to small. */
static void
exhaust(void)
{
	fault_arm("mmap", 0, LONG_MAX, ENOMEM);
	for (size_t size = 32 << 20; size >= 8; size /= 2)
		while (je_mallocx(size, MALLOCX_ARENA(0) | MALLOCX_TCACHE_NONE))
			;
	fault_disarm();
}

/* In a process of its own, which prints nothing and ends well. */
static void
in_a_child(void (*run)(void))
{
	int output = memfd_create("output", MFD_CLOEXEC);
	char text[200] = "";
	int status;

	fflush(NULL);
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		dup2(output, STDERR_FILENO);
		run();
		_exit(testing_failures != 0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(pread(output, text, sizeof(text) - 1, 0) >= 0);
	close(output);
	assert_string_equal(text, "");
	assert_int_equal(status, 0);
}

static void
each_mapping(void)
{
	for (int mode = 0; mode < 2; mode++) {
		long skip = 0, count = mode ? LONG_MAX : 1;
		while (begin_thread(
			(struct beginning){"mmap", skip, count, NULL}))
			skip++;
	}
	exhaust();
	begin_thread((struct beginning){"mmap", 0, LONG_MAX, NULL});
	begin_thread((struct beginning){"mmap", 0, LONG_MAX, je_malloc(8)});
}

static size_t
metadata(void)
{
	size_t size = 0;

	testing_expect(vmc_engine_refresh_stats() == 0);
	testing_expect(vmc_engine_stat("stats.metadata", &size) == 0);
	return size;
}

static void
no_destructor(void)
{
	size_t before = 0;

	for (int i = 0; i < 60; i++) {
		void *ptr = i % 2 ? je_malloc(8) : NULL;
		testing_expect(begin_thread((struct beginning){
			"pthread_setspecific", 0, LONG_MAX, ptr}));
		before = i == 19 ? metadata() : before;
	}
	testing_expect(metadata() == before);
}

static void
destroy(void *arg)
{
	(void)arg;
	allocate();
}

static void *
leave_data(void *key)
{
	allocate();
	pthread_setspecific(*(pthread_key_t *)key, key);
	return NULL;
}

static void
late_destructor(void)
{
	pthread_t thread;
	pthread_key_t key;

	testing_expect(pthread_key_create(&key, destroy) == 0);
	testing_expect(pthread_create(&thread, NULL, leave_data, &key) == 0);
	pthread_join(thread, NULL);
	pthread_key_delete(key);
}

/* --- the process's own beginning, in a new one --- */

#define FAILS_AT "VMC_TEST_FAILS_AT" /* -1 - n: from n on */
enum { REACHED = 0, NOT_REACHED = 3 };

__attribute__((constructor(101))) static void
before_jemalloc(void)
{
	const char *given = getenv(FAILS_AT);
	long at = given ? atol(given) : 0;

	if (given)
		fault_arm("mmap", at < 0 ? -1 - at : at, at < 0 ? LONG_MAX : 1,
			ENOMEM);
}

static int
after_jemalloc(bool failed)
{
	for (unsigned class = 1; class + 1 < VMC_CLASSES; class ++)
		testing_expect(je_nallocx(vmc_class_sizes[class] + 1, 0) ==
			       vmc_class_sizes[class + 1]);
	allocate();
	void *ptr = je_malloc(100);
	testing_expect(ptr);
	je_free(ptr);
	return testing_failures ? 1 : failed ? REACHED : NOT_REACHED;
}

static int
new_process(long fails_at)
{
	char number[24];
	int status = -1;
	pid_t child = fork();

	if (child == 0) {
		snprintf(number, sizeof(number), "%ld", fails_at);
		setenv(FAILS_AT, number, 1);
		execl("/proc/self/exe", "begin", NULL);
		_exit(1);
	}
	testing_expect(waitpid(child, &status, 0) == child);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void
process_begins(void)
{
	int one = REACHED, all = REACHED;

	for (long at = 0; one == REACHED || all == REACHED; at++) {
		one = new_process(at);
		all = new_process(-1 - at);
	}
	testing_expect(one == NOT_REACHED && all == NOT_REACHED);
}

#define IN_A_CHILD(name)                                                       \
	static void test_##name(void **state)                                  \
	{                                                                      \
		(void)state;                                                   \
		in_a_child(name);                                              \
	}
IN_A_CHILD(each_mapping)
IN_A_CHILD(no_destructor)
IN_A_CHILD(late_destructor)
IN_A_CHILD(process_begins)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_mapping),
		cmocka_unit_test(test_no_destructor),
		cmocka_unit_test(test_late_destructor),
		cmocka_unit_test(test_process_begins),
	};

	bool begins = getenv(FAILS_AT) != NULL;

	bool failed = begins && fault_disarm() > 0;

	if (memkind_create_fixed(region, sizeof(region), &fixed) != 0)
		return 1;
	if (begins)
		return after_jemalloc(failed);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
