/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * kind_as_malloc.c -- processes whose malloc() is a kind's from the first call
 * on, which comes before any constructor: argv[1] is kind_as_malloc_shim.c
 *
 * They hung in the first use of the kind, which called malloc() itself, under
 * a lock; with a fallback they divided by zero.
 */
#include "testing.h"

#include "memkind.h"

#include <dlfcn.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *shim;

/* Threads and children, streams and libraries, keys beyond the first 32. */
static void *
work(void *unused)
{
	void *objects[200];

	(void)unused;
	for (int round = 0; round < 4; round++) {
		for (size_t i = 0; i < 200; i++) {
			objects[i] = malloc(i * i + 1);
			testing_expect(objects[i] != NULL);
			memset(objects[i], (int)i, i * i + 1);
		}
		for (size_t i = 0; i < 200; i++) {
			testing_expect(
				((unsigned char *)objects[i])[i * i] == i);
			objects[i] = realloc(objects[i], i * 7 + 1);
			free(objects[i]);
		}
	}
	return NULL;
}

static int
work_in_threads(void)
{
	enum { THREADS = 4, KEYS = 100 };
	pthread_t threads[THREADS];
	pthread_key_t key;
	int status;

	for (int i = 0; i < KEYS; i++) {
		if (pthread_key_create(&key, NULL) == 0)
			pthread_setspecific(key, "");
	}
	for (int i = 0; i < THREADS; i++)
		testing_expect(
			pthread_create(&threads[i], NULL, work, NULL) == 0);
	pid_t child = fork();
	if (child == 0) {
		work(NULL);
		_exit((int)testing_failures);
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	testing_expect(waitpid(child, &status, 0) == child && status == 0);
	FILE *f = fopen("/proc/self/maps", "re");
	char *line = NULL;
	size_t size = 0;
	while (f && getline(&line, &size, f) >= 0)
		;
	free(line);
	testing_expect(f && fclose(f) == 0);
	testing_expect(dlopen("libm.so.6", RTLD_NOW) != NULL);
	return testing_failures > 0;
}

/* The status of a program under the shim. */
static int
run(const char *program, const char *argument, int kind, bool fallback,
	const char *manager)
{
	char number[16];
	int status;

	snprintf(number, sizeof(number), "%d", kind);
	pid_t child = fork();
	if (child == 0) {
		alarm(60); /* for what hangs */
		setenv("LD_PRELOAD", shim, 1);
		setenv("SHIM_KIND", number, 1);
		setenv("MEMKIND_HBW_NODES", "0", 1);
		setenv("MEMKIND_DAX_KMEM_NODES", "0", 1);
		if (fallback)
			setenv("SHIM_FALLBACK", "1", 1);
		if (manager)
			setenv("MEMKIND_HEAP_MANAGER", manager, 1);
		execl(program, program, argument, (char *)NULL);
		_exit(99);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	return status;
}

static void
test_every_kind(void **state)
{
	static const int kinds[] = {MEMKIND_PARTITION_DEFAULT,
		MEMKIND_PARTITION_REGULAR, MEMKIND_PARTITION_INTERLEAVE,
		MEMKIND_PARTITION_HBW, MEMKIND_PARTITION_HBW_ALL,
		MEMKIND_PARTITION_HBW_PREFERRED, MEMKIND_PARTITION_DAX_KMEM,
		MEMKIND_PARTITION_DAX_KMEM_ALL,
		MEMKIND_PARTITION_HIGHEST_CAPACITY};

	(void)state;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		assert_int_equal(
			run("/bin/true", NULL, kinds[i], false, NULL), 0);
		assert_int_equal(run("/proc/self/exe", "--work", kinds[i],
					 i % 2 == 1, NULL),
			0);
	}
}

/* A kind that there is not: the C library's malloc() serves. */
static void
test_fallback(void **state)
{
	(void)state;
	assert_int_equal(run("/proc/self/exe", "--work",
				 MEMKIND_PARTITION_GBTLB, true, NULL),
		0);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_kind),
		cmocka_unit_test(test_fallback),
	};

	if (argc == 2 && strcmp(argv[1], "--work") == 0)
		return work_in_threads();
	shim = argv[argc - 1];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
