/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * kinds.c -- kinds of memory while any call to the system or for memory fails
 *
 * Made, allocated from by two threads, given back, destroyed. What cannot be
 * had is NULL, or a code of memkind.h; what was had stays whole. A static kind
 * that failed to start for want of memory starts when there is some.
 */
#include "each.h"

#include "hbwmalloc.h"
#include "memkind.h"

#include <pthread.h>

static const size_t sizes[] = {
	8, 100, 1000, 4096, 20000, 100000, 300000, 24, 300, 5000};
#define OBJECTS (2 * sizeof(sizes) / sizeof(sizes[0]))

/* An object that is there, or the right to have none. */
static void *
checked(void *ptr)
{
	each_expect(ptr || each_excuse(errno));
	return ptr;
}

/* Where is_whole() looks, in an object of that size or cut to another. */
static void
mark(unsigned char *ptr, size_t size, int byte)
{
	for (size_t i = 0; i < OBJECTS / 2; i++) {
		if (sizes[i] > size)
			continue;
		ptr[0] = ptr[sizes[i] / 2] = ptr[sizes[i] - 1] =
			(unsigned char)byte;
	}
}

static bool
is_whole(const unsigned char *ptr, size_t size, int byte)
{
	return ptr[0] == byte && ptr[size / 2] == byte && ptr[size - 1] == byte;
}

static void
use_heap(memkind_t kind)
{
	void *objects[OBJECTS];

	for (size_t i = 0; i < OBJECTS; i++) {
		size_t size = sizes[i % 10];
		int err = 0;
		errno = 0;
		if (i % 3 == 0) {
			objects[i] = memkind_malloc(kind, size);
		} else if (i % 3 == 1) {
			objects[i] = memkind_calloc(kind, 1, size);
		} else {
			err = memkind_posix_memalign(
				kind, &objects[i], 64, size);
			errno = err;
		}
		if (checked(objects[i]))
			mark(objects[i], size, (int)i);
	}
	for (size_t i = 0; i < OBJECTS; i += 2) {
		size_t old = sizes[i % 10], size = sizes[(i + 1) % 10];
		if (!objects[i])
			continue;
		void *moved = checked(memkind_realloc(kind, objects[i], size));
		objects[i] = moved ? moved : objects[i];
		each_expect(is_whole(
			objects[i], moved && size < old ? size : old, (int)i));
	}
	for (size_t i = 0; i < OBJECTS; i++) {
		each_expect(!objects[i] || is_whole(objects[i], 8, (int)i));
		memkind_free(i % 4 ? kind : NULL, objects[i]);
	}
}

static void *
in_a_thread(void *kind)
{
	use_heap(kind);
	return NULL;
}

static void
use_heap_in_threads(memkind_t kind)
{
	pthread_t thread;

	fault_exempt();
	each_expect(pthread_create(&thread, NULL, in_a_thread, kind) == 0);
	fault_exempt_end();
	use_heap(kind);
	pthread_join(thread, NULL);
	each_recover();
	use_heap(kind);
}

static void
use_file(void)
{
	struct memkind_config *config = memkind_config_new();
	memkind_t kind;
	int code;

	each_expect(config || each_excuse(errno));
	for (int tries = 0; config && tries < 2; tries++) {
		memkind_config_set_path(config, "/dev/shm");
		memkind_config_set_size(config, 16 << 20);
		memkind_config_set_memory_usage_policy(
			config, tries ? MEMKIND_MEM_USAGE_POLICY_CONSERVATIVE
				      : MEMKIND_MEM_USAGE_POLICY_DEFAULT);
		code = memkind_create_pmem_with_config(config, &kind);
		if (code != MEMKIND_SUCCESS) {
			each_expect(each_excuse(errno));
			continue;
		}
		use_heap_in_threads(kind);
		each_expect(memkind_destroy_kind(kind) == 0);
	}
	memkind_config_delete(config);
	memkind_check_dax_path("/dev/shm");
}

static void
use_memory_of_ours(void)
{
	static char region[16 << 20];
	memkind_t kind;
	int code = memkind_create_fixed(region, sizeof(region), &kind);

	each_expect(code == MEMKIND_SUCCESS || each_excuse(errno));
	if (code != MEMKIND_SUCCESS)
		return;
	use_heap_in_threads(kind);
	each_expect(memkind_destroy_kind(kind) == 0);
}

static void
use_policy(void)
{
	memkind_t kind;
	int code = memkind_create_kind(MEMKIND_MEMTYPE_HIGH_BANDWIDTH,
		MEMKIND_POLICY_BIND_ALL, 0, &kind);

	each_expect(code == MEMKIND_SUCCESS || each_may_fail);
	if (code != MEMKIND_SUCCESS)
		return;
	use_heap_in_threads(kind);
	each_expect(memkind_destroy_kind(kind) == 0);
}

static void
use_nodes(void)
{
	memkind_t kinds[] = {MEMKIND_REGULAR, MEMKIND_INTERLEAVE,
		MEMKIND_HIGHEST_CAPACITY, MEMKIND_HBW, MEMKIND_DAX_KMEM_ALL};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		use_heap_in_threads(kinds[i]);
}

static void
use_high_bandwidth(void)
{
	void *ptr = checked(hbw_malloc(1000));

	each_expect(!ptr ||
		    hbw_verify_memory_region(ptr, 1000, HBW_TOUCH_PAGES) == 0 ||
		    each_may_fail);
	hbw_free(ptr);
	int err = hbw_posix_memalign(&ptr, 64, 5000);
	each_expect(err == 0 || each_excuse(err));
	hbw_free(ptr);
	each_recover();
	each_expect(hbw_check_available() == 0 || each_may_fail);
	use_heap_in_threads(MEMKIND_HBW_ALL);
}

/* The variables make this machine's node 0 all that a kind could need. */
static int
set_variables(void **state)
{
	(void)state;
	setenv("MEMKIND_HBW_NODES", "0", 1);
	setenv("MEMKIND_DAX_KMEM_NODES", "0", 1);
	return 0;
}

#define EACH_TEST(name)                                                        \
	static void test_##name(void **state)                                  \
	{                                                                      \
		(void)state;                                                   \
		each_call(&(struct each){#name, name, NULL});                  \
	}
EACH_TEST(use_file)
EACH_TEST(use_memory_of_ours)
EACH_TEST(use_policy)
EACH_TEST(use_nodes)
EACH_TEST(use_high_bandwidth)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_use_file),
		cmocka_unit_test(test_use_memory_of_ours),
		cmocka_unit_test(test_use_policy),
		cmocka_unit_test(test_use_nodes),
		cmocka_unit_test(test_use_high_bandwidth),
	};

	return cmocka_run_group_tests(tests, set_variables, NULL);
}
