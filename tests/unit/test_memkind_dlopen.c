/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_memkind_dlopen.c -- libmemkind in a process that was not linked with
 * it, whose threads were there before: argv[1] is the library
 *
 * Also what a plug-in may not do to its host: replace malloc, read its
 * MALLOC_CONF, vanish under running threads.
 */
#include "testing.h"

#include "memkind.h"

#include <dlfcn.h>
#include <pthread.h>

static const char *path;
static int (*create)(const char *dir, size_t size, memkind_t *kind);
static int (*destroy)(memkind_t kind);
static void *(*allocate)(memkind_t kind, size_t size);
static void (*release)(memkind_t kind, void *ptr);

static memkind_t kind;
static pthread_barrier_t loaded;

static void *
work(void *unused)
{
	void *objects[100];

	(void)unused;
	pthread_barrier_wait(&loaded); /* older than the library */
	for (int round = 0; round < 200; round++) {
		for (int i = 0; i < 100; i++) {
			objects[i] = allocate(kind, (size_t)(i * 10 + 8));
			testing_expect(objects[i] != NULL);
			memset(objects[i], i, (size_t)(i * 10 + 8));
		}
		for (int i = 0; i < 100; i++) {
			testing_expect(*(char *)objects[i] == (char)i);
			release(round & 1 ? kind : NULL, objects[i]);
		}
	}
	return NULL;
}

static void
test_dlopen(void **state)
{
	pthread_t threads[4];
	void *library;

	(void)state;
	pthread_barrier_init(&loaded, NULL, 5);
	for (int i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, work, NULL);
	/* of the host: jemalloc would stop at this one */
	setenv("MALLOC_CONF", "abort_conf:true,nonsense:1", 1);
	library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (!library)
		fprintf(stderr, "%s\n", dlerror());
	assert_non_null(library);
	assert_null(dlsym(library, "vmc_je_malloc"));
	assert_ptr_equal(
		dlsym(library, "malloc"), dlsym(RTLD_DEFAULT, "malloc"));
	*(void **)&create = dlsym(library, "memkind_create_pmem");
	*(void **)&destroy = dlsym(library, "memkind_destroy_kind");
	*(void **)&allocate = dlsym(library, "memkind_malloc");
	*(void **)&release = dlsym(library, "memkind_free");
	assert_int_equal(create("/tmp", 0, &kind), 0);
	pthread_barrier_wait(&loaded);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(testing_failures, 0);
	destroy(kind);
	dlclose(library);
	pthread_barrier_destroy(&loaded);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_dlopen)};

	if (argc != 2)
		return 2;
	path = argv[1];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
