/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_memkind_library.c -- libmemkind as a program sees it that was linked
 * with it: decorators, hbwmalloc, the less used calls
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "hbwmalloc.h"
#include "memkind.h"

/* The decorators of this program: they count, and one of them interferes. */
#pragma GCC visibility push(default)
void memkind_malloc_pre(memkind_t *kind, size_t *size);
void memkind_malloc_post(memkind_t kind, size_t size, void **result);
void memkind_free_pre(memkind_t *kind, void **ptr);
#pragma GCC visibility pop

static int before, after, frees;
static size_t instead;

void
memkind_malloc_pre(memkind_t *kind, size_t *size)
{
	(void)kind;
	before++;
	if (instead)
		*size = instead;
}

void
memkind_malloc_post(memkind_t kind, size_t size, void **result)
{
	(void)kind;
	assert_true(size > 0 ? *result != NULL : *result == NULL);
	after++;
}

void
memkind_free_pre(memkind_t *kind, void **ptr)
{
	(void)kind;
	(void)ptr;
	frees++;
}

static void
test_decorators(void **state)
{
	void *ptr;

	(void)state;
	before = after = frees = 0;
	memkind_free(NULL, memkind_malloc(MEMKIND_DEFAULT, 100));
	assert_int_equal(before, 1);
	assert_int_equal(after, 1);
	assert_int_equal(frees, 1);
	instead = 5000;
	ptr = memkind_malloc(MEMKIND_DEFAULT, 10);
	instead = 0;
	assert_true(memkind_malloc_usable_size(MEMKIND_DEFAULT, ptr) >= 5000);
	memkind_free(MEMKIND_DEFAULT, ptr);
	/* these have none here */
	ptr = memkind_calloc(MEMKIND_DEFAULT, 10, 10);
	ptr = memkind_realloc(MEMKIND_DEFAULT, ptr, 1000);
	assert_non_null(ptr);
	memkind_free(NULL, ptr);
	assert_int_equal(
		memkind_posix_memalign(MEMKIND_DEFAULT, &ptr, 64, 100), 0);
	memkind_free(NULL, ptr);
}

static void
test_high_bandwidth(void **state)
{
	char *ptr = NULL;
	void *aligned;

	(void)state;
	assert_int_equal(hbw_get_policy(), HBW_POLICY_PREFERRED);
	assert_int_equal(hbw_set_policy((hbw_policy_t)0), EINVAL);
	assert_int_equal(hbw_set_policy((hbw_policy_t)5), EINVAL);
	assert_null(hbw_malloc(0));
	ptr = hbw_calloc(10, 10);
	assert_non_null(ptr);
	ptr = hbw_realloc(ptr, 1000);
	assert_non_null(ptr);
	assert_true(hbw_malloc_usable_size(ptr) >= 1000);
	assert_int_equal(hbw_set_policy(HBW_POLICY_BIND), EPERM);
	assert_int_equal(hbw_set_policy(HBW_POLICY_PREFERRED), 0);
	assert_int_equal(hbw_verify_memory_region(NULL, 1, 0), EINVAL);
	assert_int_equal(hbw_verify_memory_region(ptr, 0, 0), EINVAL);
	assert_int_equal(hbw_verify_memory_region(ptr, 1, 2), EINVAL);
	memset(ptr, 0x5a, 1000);
	assert_int_equal(hbw_verify_memory_region(ptr, 1000, HBW_TOUCH_PAGES),
		hbw_check_available() == 0 ? 0 : -1);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(ptr[i], 0x5a);
	hbw_free(ptr);
	hbw_free(NULL);
	assert_int_equal(hbw_posix_memalign(&aligned, 3, 10), EINVAL);
	assert_int_equal(hbw_posix_memalign(&aligned, 256, 10), 0);
	assert_int_equal((uintptr_t)aligned % 256, 0);
	hbw_free(aligned);
	assert_int_equal(hbw_posix_memalign_psize(
				 &aligned, 64, 10, HBW_PAGESIZE_MAX_VALUE),
		EINVAL);
	/* not a whole gigabyte */
	assert_int_equal(hbw_posix_memalign_psize(
				 &aligned, 64, 10, HBW_PAGESIZE_1GB_STRICT),
		EINVAL);
	assert_int_equal(
		hbw_posix_memalign_psize(&aligned, 64, 10, HBW_PAGESIZE_4KB),
		0);
	hbw_free(aligned);
}

static void
test_zero_allocs(void **state)
{
	memkind_t kinds[] = {MEMKIND_DEFAULT, NULL};

	(void)state;
	assert_int_equal(memkind_create_pmem("/tmp", 0, &kinds[1]), 0);
	for (int i = 0; i < 2; i++) {
		assert_null(memkind_malloc(kinds[i], 0));
		memkind_set_allow_zero_allocs(kinds[i], true);
		void *a = memkind_calloc(kinds[i], 0, 5);
		void *b = memkind_calloc(kinds[i], 5, 0);
		assert_non_null(a);
		assert_non_null(b);
		assert_ptr_not_equal(a, b);
		memkind_free(kinds[i], a);
		memkind_free(kinds[i], b);
		memkind_set_allow_zero_allocs(kinds[i], false);
		assert_null(memkind_calloc(kinds[i], 0, 5));
	}
	memkind_destroy_kind(kinds[1]);
}

#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

static void
test_partitions(void **state)
{
	memkind_t kind;

	(void)state;
	assert_int_equal(
		memkind_get_kind_by_partition(MEMKIND_PARTITION_HBW_ALL, &kind),
		0);
	assert_ptr_equal(kind, MEMKIND_HBW_ALL);
	assert_int_equal(memkind_get_kind_by_partition(-1, &kind),
		MEMKIND_ERROR_UNAVAILABLE);
	assert_int_equal(memkind_get_kind_by_partition(MEMKIND_MAX_KIND, &kind),
		MEMKIND_ERROR_UNAVAILABLE);
	assert_int_equal(
		memkind_get_kind_by_partition(MEMKIND_NUM_BASE_KIND, &kind),
		MEMKIND_ERROR_UNAVAILABLE);
}

static void
test_background_threads(void **state)
{
	(void)state;
	assert_int_equal(memkind_set_bg_threads(true), 0);
	memkind_free(NULL, memkind_malloc(MEMKIND_DEFAULT, 1 << 20));
	assert_int_equal(memkind_set_bg_threads(false), 0);
}

/* What a program with that in its environment gets; the code's absolute. */
static int
code_with(const char *name, const char *value)
{
	int status;
	pid_t child = fork();

	if (child == 0) {
		setenv(name, value, 1);
		execl("/proc/self/exe", "self", "--create", (char *)NULL);
		_exit(99);
	}
	waitpid(child, &status, 0);
	return WEXITSTATUS(status);
}

static int
create_and_exit(void)
{
	static char region[1 << 20];
	memkind_t kinds[] = {MEMKIND_DEFAULT, MEMKIND_REGULAR, NULL, NULL};
	int code = memkind_create_fixed(region, sizeof(region), &kinds[2]);

	if (!code)
		code = memkind_create_pmem("/tmp", 0, &kinds[3]);
	if (!code)
		code = memkind_set_bg_threads(true);
	if (!code)
		code = memkind_set_bg_threads(false);
	if (code)
		return -code;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		void *ptr = memkind_malloc(kinds[i], 100);
		if (!ptr && memkind_check_available(kinds[i]) == 0)
			return 97;
		memkind_free(kinds[i], ptr);
	}
	memkind_destroy_kind(kinds[2]);
	memkind_destroy_kind(kinds[3]);
	return 0;
}

/* What makes no sense costs the line in the log. */
static void
test_environment(void **state)
{
	static const char *const all[][2] = {
		{"MEMKIND_ARENA_NUM_PER_KIND", "3"},
		{"MEMKIND_ARENA_NUM_PER_KIND", "100000"},
		{"MEMKIND_ARENA_NUM_PER_KIND", "0"},
		{"MEMKIND_ARENA_NUM_PER_KIND", "-1"},
		{"MEMKIND_ARENA_NUM_PER_KIND", "3x"},
		{"MEMKIND_ARENA_NUM_PER_KIND", ""},
		{"MEMKIND_BACKGROUND_THREAD_LIMIT", "2"},
		{"MEMKIND_BACKGROUND_THREAD_LIMIT", "0"},
		{"MEMKIND_BACKGROUND_THREAD_LIMIT", "10"},
		{"MEMKIND_BACKGROUND_THREAD_LIMIT", "100000"},
		{"MEMKIND_BACKGROUND_THREAD_LIMIT", ""},
		{"MEMKIND_BACKGROUND_THREAD_LIMIT", "many"},
		{"MEMKIND_BACKGROUND_THREAD_LIMIT", "-1"},
		{"MEMKIND_HEAP_MANAGER", "JEMALLOC"},
		{"MEMKIND_HEAP_MANAGER", "TCMALLOC"},
		{"MEMKIND_HEAP_MANAGER", ""}, {"MEMKIND_HOG_MEMORY", "1"},
		{"MEMKIND_HOG_MEMORY", "0"}, {"MEMKIND_HOG_MEMORY", "2"},
		{"MEMKIND_HOG_MEMORY", ""}, {"MEMKIND_DEBUG", "2"},
		{"MEMKIND_DEBUG", "-1"}, {"MEMKIND_DEBUG", ""},
		{"MALLOC_CONF", "abort_conf:true,nonsense:1"}};

	(void)state;
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		int code = code_with(all[i][0], all[i][1]);
		if (code)
			fail_msg("%s=%s: %d", all[i][0], all[i][1], code);
	}
}

/* What programs may have come to compare with. */
static void
test_messages(void **state)
{
	static const struct {
		int code;
		const char *text;
	} messages[] = {
		{-1, "Requested memory kind is not available"},
		{-2, "Call to mbind() failed"},
		{-3, "Call to mmap() failed"},
		{-6, "Call to malloc() failed"},
		{-12, "Error parsing environment variable (MEMKIND_*)"},
		{-13, "Invalid input arguments to memkind routine"},
		{-15, "Attempted to initialize more than maximum (512) number "
		      "of kinds"},
		{-17, "memkind_ops structure is poorly formed (missing or "
		      "incorrect functions)"},
		{-18, "unable to allocate huge pages"},
		{-20, "Requested memory type is not available"},
		{-21, "Operation failed"},
		{-22, "Call to jemalloc's arenas.create () failed"},
		{-255, "Unspecified run-time error"},
		{EINVAL, "Alignment must be a power of two and larger than "
			 "sizeof(void *)"},
		{ENOMEM, "Call to jemk_mallocx() failed"},
		{0, "Undefined error number: 0"},
		{-4, "Undefined error number: -4"},
		{12345, "Undefined error number: 12345"},
	};
	char text[MEMKIND_ERROR_MESSAGE_SIZE];

	(void)state;
	for (size_t i = 0; i < sizeof(messages) / sizeof(*messages); i++) {
		memkind_error_message(messages[i].code, text, sizeof(text));
		assert_memory_equal(text, "<memkind> ", 10);
		assert_string_equal(text + 10, messages[i].text);
	}
	memkind_error_message(MEMKIND_ERROR_INVALID, text, 5);
	assert_string_equal(text, "<mem");
	memkind_error_message(0, NULL, 0);

	/* what is wrong with a directory, until the next one is right */
	const struct {
		const char *directory;
		size_t size;
		const char *what;
	} wrong[] = {
		{"/nonexistent", 0, "/nonexistent: No such file or directory"},
		{"/dev/null", 0, "/dev/null: Not a directory"},
		{"/tmp", 1, "a size below 16 MiB, and not 0"},
	};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		memkind_t kind;
		int err = memkind_create_pmem(
			wrong[i].directory, wrong[i].size, &kind);
		memkind_error_message(err, text, sizeof(text));
		assert_non_null(strstr(text, wrong[i].what));
		memkind_error_message(MEMKIND_ERROR_MMAP, text, sizeof(text));
		assert_null(strstr(text, wrong[i].what));
		assert_int_equal(memkind_create_pmem("/tmp", 0, &kind), 0);
		memkind_destroy_kind(kind);
		memkind_error_message(err, text, sizeof(text));
		assert_null(strstr(text, wrong[i].what));
	}
	assert_true(memkind_get_version() >= 1014000);
}

/* Everything that it printed on standard error. */
static size_t
errors_with(const char *debug, char *text, size_t size)
{
	size_t length = 0;
	ssize_t n;
	int ends[2], status;

	assert_int_equal(pipe(ends), 0);
	pid_t child = fork();
	if (child == 0) {
		dup2(ends[1], STDERR_FILENO);
		unsetenv("MEMKIND_DEBUG");
		if (debug)
			setenv("MEMKIND_DEBUG", debug, 1);
		execl("/proc/self/exe", "self", "--create", (char *)NULL);
		_exit(99);
	}
	close(ends[1]);
	while ((n = read(ends[0], text + length, size - 1 - length)) > 0)
		length += (size_t)n;
	close(ends[0]);
	waitpid(child, &status, 0);
	assert_int_equal(status, 0);
	text[length] = '\0';
	return length;
}

/* A kind that comes and goes is two lines; without the variable, none is. */
static void
test_debug(void **state)
{
	char text[4096];

	(void)state;
	assert_int_equal(errors_with(NULL, text, sizeof(text)), 0);
	assert_int_equal(errors_with("0", text, sizeof(text)), 0);
	assert_true(errors_with("1", text, sizeof(text)) > 0);
	assert_non_null(strstr(text, "MEMKIND_INFO: Kind "));
	assert_non_null(strstr(text, "memkind_pmem: destroyed\n"));
	/* as the predecessor names those that are used for the first time */
	assert_non_null(strstr(
		text, "MEMKIND_INFO: Initializing kind memkind_regular"));
	assert_null(strstr(text, "MEMKIND_WARNING"));
	/* one that makes no sense is told, one line for each */
	assert_true(errors_with("yes", text, sizeof(text)) > 0);
	assert_non_null(strstr(text, "MEMKIND_WARNING: MEMKIND_DEBUG=yes"));
	assert_null(strstr(text, "MEMKIND_INFO"));
	setenv("MEMKIND_HOG_MEMORY", "2", 1);
	setenv("MEMKIND_ARENA_NUM_PER_KIND", "0", 1);
	setenv("MEMKIND_HEAP_MANAGER", "x", 1);
	assert_true(errors_with("1", text, sizeof(text)) > 0);
	assert_non_null(strstr(text, "MEMKIND_WARNING: MEMKIND_HOG_MEMORY=2"));
	assert_non_null(strstr(text, "MEMKIND_ARENA_NUM_PER_KIND=0"));
	assert_non_null(strstr(text, "MEMKIND_HEAP_MANAGER=x"));
	assert_int_equal(errors_with("0", text, sizeof(text)), 0);
	unsetenv("MEMKIND_HOG_MEMORY");
	unsetenv("MEMKIND_ARENA_NUM_PER_KIND");
	unsetenv("MEMKIND_HEAP_MANAGER");
}

/* One call of each sort, errno before it 1234: what is it after success? */
#define KEEPS_ERRNO(call)                                                      \
	do {                                                                   \
		errno = 1234;                                                  \
		bool went_well = (call);                                       \
		if (went_well && errno != 1234)                                \
			fail_msg("%s: errno %d", #call, errno);                \
	} while (0)

static void
use_and_look_at_errno(memkind_t kind)
{
	void *p, *q;

	for (size_t size = 1; size < 3 << 20; size = size * 3 + 1) {
		KEEPS_ERRNO((p = memkind_malloc(kind, size)) != NULL);
		KEEPS_ERRNO(memkind_malloc_usable_size(kind, p) > 0);
		KEEPS_ERRNO(memkind_detect_kind(p) == kind);
		KEEPS_ERRNO((q = memkind_realloc(kind, p, 2 * size)) != NULL);
		p = q ? q : p;
		KEEPS_ERRNO((q = memkind_defrag_reallocate(kind, p)) != NULL);
		p = q ? q : p;
		KEEPS_ERRNO((memkind_free(kind, p), true));
		KEEPS_ERRNO((p = memkind_calloc(kind, 3, size)) != NULL);
		KEEPS_ERRNO((memkind_free(NULL, p), true));
		errno = 1234; /* kept in any case */
		memkind_posix_memalign(kind, &p, 64, size);
		assert_int_equal(errno, 1234);
		KEEPS_ERRNO((memkind_free(NULL, p), true));
	}
	errno = 1234;
	assert_int_equal(
		memkind_posix_memalign(kind, &p, 64, SIZE_MAX / 4), ENOMEM);
	assert_int_equal(memkind_posix_memalign(kind, &p, 3, 100), EINVAL);
	assert_int_equal(errno, 1234);
	KEEPS_ERRNO(memkind_malloc(kind, 0) == NULL);
}

static void
test_errno(void **state)
{
	static char region[4 << 20];
	const char *const directories[] = {"/tmp", "/dev/shm"};
	struct memkind_config *config = memkind_config_new();
	size_t value;
	memkind_t kind;
	void *p;

	(void)state;
	KEEPS_ERRNO(memkind_check_available(MEMKIND_REGULAR) == 0);
	KEEPS_ERRNO(memkind_check_available(MEMKIND_HBW) == 0);
	KEEPS_ERRNO(memkind_get_capacity(MEMKIND_REGULAR) >= 0);
	KEEPS_ERRNO(memkind_create_kind(MEMKIND_MEMTYPE_DEFAULT,
			    MEMKIND_POLICY_PREFERRED_LOCAL, (memkind_bits_t)0,
			    &kind) == 0);
	use_and_look_at_errno(MEMKIND_DEFAULT);
	for (int i = 1; i < MEMKIND_NUM_BASE_KIND; i++) {
		assert_int_equal(memkind_get_kind_by_partition(i, &kind), 0);
		if (memkind_check_available(kind) == 0)
			use_and_look_at_errno(kind);
	}
	for (int i = 0; i < 2; i++) {
		KEEPS_ERRNO(memkind_check_dax_path(directories[i]) == 0);
		KEEPS_ERRNO(memkind_create_pmem(
				    directories[i], 32 << 20, &kind) == 0);
		use_and_look_at_errno(kind);
		KEEPS_ERRNO(memkind_get_capacity(kind) > 0);
		KEEPS_ERRNO(memkind_update_cached_stats() == 0);
		KEEPS_ERRNO(memkind_get_stat(kind, MEMKIND_STAT_TYPE_ACTIVE,
				    &value) == 0);
		KEEPS_ERRNO(memkind_destroy_kind(kind) == 0);
		memkind_config_set_path(config, directories[i]);
		KEEPS_ERRNO(
			memkind_create_pmem_with_config(config, &kind) == 0);
		KEEPS_ERRNO(memkind_destroy_kind(kind) == 0);
	}
	memkind_config_delete(config);
	KEEPS_ERRNO(memkind_create_fixed(region, sizeof(region), &kind) == 0);
	use_and_look_at_errno(kind);
	KEEPS_ERRNO(memkind_destroy_kind(kind) == 0);
	KEEPS_ERRNO(memkind_set_bg_threads(true) == 0);
	KEEPS_ERRNO(memkind_set_bg_threads(false) == 0);
	KEEPS_ERRNO(hbw_check_available() == 0);
	KEEPS_ERRNO((p = hbw_malloc(100)) != NULL);
	KEEPS_ERRNO((p = hbw_realloc(p, 200)) != NULL);
	KEEPS_ERRNO(hbw_malloc_usable_size(p) > 0);
	KEEPS_ERRNO(hbw_verify_memory_region(p, 100, HBW_TOUCH_PAGES) == 0);
	KEEPS_ERRNO((hbw_free(p), true));
	KEEPS_ERRNO((p = hbw_calloc(1, 100)) != NULL);
	KEEPS_ERRNO((hbw_free(p), true));
	KEEPS_ERRNO(hbw_posix_memalign(&p, 64, 100) == 0);
	KEEPS_ERRNO((hbw_free(p), true));
}

/* No size that there can be: jemalloc by itself says nothing of it. */
static void
test_realloc_of_too_much(void **state)
{
	static const size_t sizes[] = {
		(size_t)PTRDIFF_MAX + 1, SIZE_MAX / 2 + 4096, SIZE_MAX};
	memkind_t kinds[] = {MEMKIND_DEFAULT, NULL, NULL};

	(void)state;
	assert_int_equal(memkind_create_pmem("/tmp", 16 << 20, &kinds[2]), 0);
	for (size_t i = 0; i < 9; i++) {
		memkind_t kind = kinds[i % 3];
		void *p = memkind_malloc(kind ? kind : MEMKIND_DEFAULT, 100);
		errno = 0;
		assert_null(memkind_realloc(kind, p, sizes[i / 3]));
		assert_int_equal(errno, ENOMEM);
		memkind_free(kind, p);
	}
	memkind_destroy_kind(kinds[2]);
}

/* Never documented, but called by some. */
int memkind_thread_get_arena(memkind_t kind, unsigned *arena, size_t size);
int memkind_regular_all_get_mbind_nodemask(
	memkind_t kind, unsigned long *mask, unsigned long maxnode);
int memkind_hbw_all_get_mbind_nodemask(
	memkind_t kind, unsigned long *mask, unsigned long maxnode);
int memkind_dax_kmem_all_get_mbind_nodemask(
	memkind_t kind, unsigned long *mask, unsigned long maxnode);

static void
test_undocumented(void **state)
{
	unsigned long mask[2] = {0, 77};
	unsigned arena;
	memkind_t kind;

	(void)state;
	assert_int_equal(memkind_create_pmem("/tmp", 0, &kind), 0);
	assert_int_equal(memkind_thread_get_arena(kind, &arena, 100), 0);
	assert_int_equal(memkind_thread_get_arena(NULL, &arena, 100),
		MEMKIND_ERROR_RUNTIME);
	assert_int_equal(memkind_thread_get_arena(kind, NULL, 100),
		MEMKIND_ERROR_RUNTIME);
	memkind_destroy_kind(kind);
	assert_int_equal(
		memkind_regular_all_get_mbind_nodemask(NULL, mask, 64), 0);
	assert_true(mask[0] != 0);
	assert_int_equal(mask[1], 77);
	assert_int_equal(memkind_regular_all_get_mbind_nodemask(NULL, NULL, 64),
		MEMKIND_ERROR_INVALID);
	assert_int_equal(memkind_hbw_all_get_mbind_nodemask(NULL, mask, 64),
		memkind_check_available(MEMKIND_HBW_ALL));
	assert_int_equal(
		memkind_dax_kmem_all_get_mbind_nodemask(NULL, mask, 64),
		memkind_check_available(MEMKIND_DAX_KMEM_ALL));
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_decorators),
		cmocka_unit_test(test_high_bandwidth),
		cmocka_unit_test(test_zero_allocs),
		cmocka_unit_test(test_partitions),
		cmocka_unit_test(test_background_threads),
		cmocka_unit_test(test_environment),
		cmocka_unit_test(test_messages),
		cmocka_unit_test(test_debug),
		cmocka_unit_test(test_errno),
		cmocka_unit_test(test_realloc_of_too_much),
		cmocka_unit_test(test_undocumented),
	};

	if (argc == 2 && strcmp(argv[1], "--create") == 0)
		return create_and_exit();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
