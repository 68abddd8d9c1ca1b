/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tiers_as_malloc.c -- processes whose malloc() is libmemtier's: all calls,
 * threads, children, and what the environment may say
 *
 * argv[1] is the shared library; without it, the program is linked with the
 * static one.
 */
#include "testing.h"

#include "memkind_memtier.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *library;

#define COUNT 300

/* The compiler must not know what these do. */
static void *(*volatile allocate)(size_t) = malloc;
static void *(*volatile reallocate)(void *, size_t) = realloc;
static void *(*volatile allocate_zeroed)(size_t, size_t) = calloc;

static bool
all(const unsigned char *bytes, size_t size, unsigned value)
{
	for (size_t i = 0; i < size; i++)
		if (bytes[i] != (unsigned char)value)
			return false;
	return true;
}

static void *
work(void *unused)
{
	unsigned char *objects[COUNT];

	(void)unused;
	for (int round = 0; round < 4; round++) {
		for (unsigned i = 0; i < COUNT; i++) {
			size_t size = i * i + 1;
			objects[i] = i % 3 ? allocate(size)
					   : allocate_zeroed(size, 1);
			testing_expect(objects[i] != NULL);
			testing_expect(i % 3 || all(objects[i], size, 0));
			testing_expect(malloc_usable_size(objects[i]) >= size);
			memset(objects[i], (int)i, size);
		}
		for (unsigned i = 0; i < COUNT; i++) {
			objects[i] = reallocate(objects[i], i * i * 2 + 1);
			testing_expect(all(objects[i], i * i + 1, i));
			objects[i] = reallocate(objects[i], i / 2 + 1);
			testing_expect(all(objects[i], i / 2 + 1, i));
			free(objects[i]);
		}
	}
	return NULL;
}

static void
work_aligned(void)
{
	void *ptr;

	for (size_t alignment = 8; alignment <= 65536; alignment *= 2) {
		testing_expect(posix_memalign(&ptr, alignment, 100) == 0);
		testing_expect((uintptr_t)ptr % alignment == 0);
		free(ptr);
		ptr = aligned_alloc(alignment, alignment);
		testing_expect(ptr && (uintptr_t)ptr % alignment == 0);
		free(ptr);
		ptr = memalign(alignment - 1, 1);
		testing_expect(ptr && (uintptr_t)ptr % alignment == 0);
		free(ptr);
	}
	ptr = valloc(1);
	testing_expect(ptr && (uintptr_t)ptr % 4096 == 0);
	free(ptr);
	ptr = pvalloc(1);
	testing_expect(ptr && (uintptr_t)ptr % 4096 == 0);
	testing_expect(malloc_usable_size(ptr) >= 4096);
	free(ptr);
	testing_expect(posix_memalign(&ptr, 24, 100) == EINVAL);
	testing_expect(posix_memalign(&ptr, 4, 100) == EINVAL);
}

static void
work_at_edges(void)
{
	volatile size_t most = SIZE_MAX / 2;
	void *ptr = allocate(0), *other = allocate(0);

	testing_expect(ptr && other && ptr != other);
	testing_expect(reallocate(ptr, 0) == NULL);
	free(other);
	free(NULL);
	ptr = reallocate(NULL, 100);
	testing_expect(ptr != NULL);
	errno = 0;
	testing_expect(reallocate(ptr, most) == NULL && errno == ENOMEM);
	free(ptr);
	errno = 0;
	testing_expect(allocate(most) == NULL && errno == ENOMEM);
	errno = 0;
	testing_expect(allocate_zeroed(most, 4) == NULL && errno == ENOMEM);
	testing_expect(malloc_usable_size(NULL) == 0);
	errno = 0;
	testing_expect(memalign(most + 2, 1) == NULL && errno == EINVAL);
	errno = 0;
	testing_expect(pvalloc(2 * most) == NULL && errno == ENOMEM);
	testing_expect(posix_memalign(&ptr, 64, most) == ENOMEM);
}

static void
work_with_children(void)
{
	const char *argv[] = {"/bin/true", NULL};
	int status;

	for (int i = 0; i < 3; i++) {
		pid_t child = fork();
		if (child == 0) {
			if (i == 0)
				execv(argv[0], (char **)argv);
			work(NULL);
			_exit((int)testing_failures);
		}
		testing_expect(
			waitpid(child, &status, 0) == child && status == 0);
	}
	testing_expect(system("exit 0") == 0);
}

/* Bytes of both tiers, as the library that serves sees them. */
static void
check_shares(void)
{
	size_t (*allocated)(memkind_t) = (size_t(*)(memkind_t))dlsym(
		RTLD_DEFAULT, "memtier_kind_allocated_size");
	memkind_t *dram = dlsym(RTLD_DEFAULT, "MEMKIND_DEFAULT");
	memkind_t *kmem = dlsym(RTLD_DEFAULT, "MEMKIND_DAX_KMEM");

	testing_expect(allocated && dram && kmem);
	if (!allocated || !dram || !kmem)
		return;
	for (int i = 0; i < 100000; i++)
		testing_expect(allocate((size_t)(8 << i % 6)) != NULL);
	double ratio = (double)allocated(*kmem) / (double)allocated(*dram);
	testing_expect(ratio > 2.97 && ratio < 3.03);
}

/* --work [children] [shares] */
static int
work_in_threads(int argc, char **argv)
{
	enum { THREADS = 4, KEYS = 100 };
	pthread_t threads[THREADS];
	pthread_key_t key;
	bool children = false, shares = false;

	for (int i = 2; i < argc; i++) {
		children = children || strcmp(argv[i], "children") == 0;
		shares = shares || strcmp(argv[i], "shares") == 0;
	}
	for (int i = 0; i < KEYS; i++)
		if (pthread_key_create(&key, NULL) == 0)
			pthread_setspecific(key, "");
	for (int i = 0; i < THREADS; i++)
		testing_expect(
			pthread_create(&threads[i], NULL, work, NULL) == 0);
	work_aligned();
	work_at_edges();
	if (children)
		work_with_children();
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	testing_expect(dlopen("libm.so.6", RTLD_NOW) != NULL);
	if (shares)
		check_shares();
	return testing_failures > 0;
}

/* The status of a program under the library; what it says goes to message. */
static int
run(const char *const *argv, const char *tiers, const char *thresholds,
	bool strict, char *message, size_t size)
{
	int status, ends[2];
	ssize_t n;

	assert_int_equal(pipe(ends), 0);
	pid_t child = fork();
	if (child == 0) {
		alarm(100); /* for what hangs */
		dup2(ends[1], STDERR_FILENO);
		close(ends[0]);
		close(ends[1]);
		if (library)
			setenv("LD_PRELOAD", library, 1);
		setenv("MEMKIND_DAX_KMEM_NODES", "0", 1);
		if (tiers)
			setenv("MEMKIND_MEM_TIERS", tiers, 1);
		if (thresholds)
			setenv("MEMKIND_MEM_THRESHOLDS", thresholds, 1);
		if (strict)
			setenv("MEMKIND_MEM_TIERS_STRICT", "1", 1);
		execv(argv[0], (char **)argv);
		_exit(99);
	}
	close(ends[1]);
	message[0] = '\0';
	for (size_t at = 0; at + 1 < size && (n = read(ends[0], message + at,
						      size - at - 1)) > 0;
		message[at] = '\0')
		at += (size_t)n;
	close(ends[0]);
	assert_int_equal(waitpid(child, &status, 0), child);
	if (message[0])
		print_message("%s", message);
	return status;
}

static const char self[] = "/proc/self/exe";
static const char *const work_alone[] = {self, "--work", NULL};
static const char *const work_and_fork[] = {self, "--work", "children", NULL};
static const char *const work_all[] = {
	self, "--work", "children", "shares", NULL};

static void
expect_silence(
	const char *const *argv, const char *tiers, const char *thresholds)
{
	char message[500];

	assert_int_equal(
		run(argv, tiers, thresholds, false, message, sizeof(message)),
		0);
	assert_string_equal(message, "");
}

static void
test_tiers(void **state)
{
	(void)state;
	expect_silence(
		work_and_fork, "KIND:DRAM,RATIO:1;POLICY:STATIC_RATIO", NULL);
	expect_silence(work_all,
		"KIND:DRAM,RATIO:1;KIND:KMEM_DAX,RATIO:3;POLICY:STATIC_RATIO",
		NULL);
	expect_silence(work_and_fork,
		"KIND:DRAM,RATIO:1;KIND:KMEM_DAX,RATIO:3;"
		"POLICY:DYNAMIC_THRESHOLD",
		"MIN_VAL:1,MAX_VAL:64K");
}

static void
test_files(void **state)
{
	(void)state;
	/* children have none of the file, and the C library's where it is all
	 */
	expect_silence(work_and_fork,
		"KIND:FS_DAX,PATH:/tmp,RATIO:1;POLICY:STATIC_RATIO", NULL);
	expect_silence(work_and_fork,
		"KIND:DRAM,RATIO:1;KIND:FS_DAX,PATH:/tmp,RATIO:4;"
		"KIND:FS_DAX,PATH:/tmp,PMEM_SIZE_LIMIT:1G,RATIO:4;"
		"POLICY:STATIC_RATIO",
		NULL);
	/* too small for all: the others serve */
	expect_silence(work_alone,
		"KIND:DRAM,RATIO:1;KIND:FS_DAX,PATH:/tmp,PMEM_SIZE_LIMIT:16M,"
		"RATIO:1000;POLICY:STATIC_RATIO",
		NULL);
}

static void
test_mistakes(void **state)
{
	static const struct {
		const char *tiers, *thresholds, *message;
	} mistakes[] = {
		{NULL, NULL, "libmemtier: MEMKIND_MEM_TIERS: it is not set"},
		{"KIND:DRAM;POLICY:STATIC_RATIO", NULL,
			"libmemtier: MEMKIND_MEM_TIERS: no RATIO"},
		{"KIND:FS_DAX,PATH:/nonexistent,RATIO:1;POLICY:STATIC_RATIO",
			NULL, "libmemtier: MEMKIND_MEM_TIERS: KIND:FS_DAX"},
		{"KIND:DRAM,RATIO:1;POLICY:STATIC_RATIO", "INIT_VAL:1",
			"libmemtier: MEMKIND_MEM_THRESHOLDS: "},
	};
	char message[500];
	int status;

	(void)state;
	for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++) {
		for (int strict = 0; strict < 2; strict++) {
			status = run(work_alone, mistakes[i].tiers,
				mistakes[i].thresholds, strict, message,
				sizeof(message));
			assert_true(WIFEXITED(status));
			assert_int_equal(WEXITSTATUS(status), strict);
			assert_int_equal(strncmp(message, mistakes[i].message,
						 strlen(mistakes[i].message)),
				0);
			assert_non_null(
				strstr(message, strict ? "ends" : "plain"));
			assert_ptr_equal(strchr(message, '\n'),
				message + strlen(message) - 1);
		}
	}
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tiers),
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_mistakes),
	};
	const struct CMUnitTest linked[] = {cmocka_unit_test(test_tiers)};

	if (argc > 1 && strcmp(argv[1], "--work") == 0)
		return work_in_threads(argc, argv);
	library = argv[1];
	if (!library) /* the same code, which need not do all of it again */
		return cmocka_run_group_tests(linked, NULL, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
