/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_kinds.c -- the kinds of memory, on the laboratory's nodes and media
 *
 * The machine (tests/dax/lab): nodes 0 and 1 with a processor each, 2 and 3
 * the fast memory of 0 and of 1, and $LAB_KMEM_NODE. Node 1 is the largest.
 * From processor $VMC_TEST_CPU, each kind must be available, and each page that
 * it hands out must lie on a node of the set that its description implies, as
 * move_pages(2) tells. Under with-sysfs there are no such nodes to place
 * anything on: without the variables availability alone is asked.
 */
#include "testing.h"

#include "process.h"

#include <errno.h>
#include <memkind.h>
#include <numaif.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define NODE(n) (1ul << (n))
#define HBM (NODE(2) | NODE(3))
#define KMEM NODE(63) /* stands for that node, known at run time */

/* What lies on these nodes, from processor 0 and from processor 1. */
struct placed {
	const char *name;
	unsigned long nodes[2];
	bool spread; /* over all of them */
};

static const struct {
	struct placed place;
	memkind_t *kind;
} kinds[] = {
	{{"REGULAR", {3, 3}, false}, &MEMKIND_REGULAR},
	{{"HUGETLB", {15, 15}, false}, &MEMKIND_HUGETLB},
	{{"INTERLEAVE", {15 | KMEM, 15 | KMEM}, true}, &MEMKIND_INTERLEAVE},
	{{"HBW", {NODE(2), NODE(3)}, false}, &MEMKIND_HBW},
	{{"HBW_PREFERRED", {NODE(2), NODE(3)}, false}, &MEMKIND_HBW_PREFERRED},
	{{"HBW_ALL", {HBM, HBM}, false}, &MEMKIND_HBW_ALL},
	{{"HBW_INTERLEAVE", {HBM, HBM}, true}, &MEMKIND_HBW_INTERLEAVE},
	{{"HBW_HUGETLB", {NODE(2), NODE(3)}, false}, &MEMKIND_HBW_HUGETLB},
	{{"HBW_ALL_HUGETLB", {HBM, HBM}, false}, &MEMKIND_HBW_ALL_HUGETLB},
	{{"HBW_PREFERRED_HUGETLB", {NODE(2), NODE(3)}, false},
		&MEMKIND_HBW_PREFERRED_HUGETLB},
	{{"DAX_KMEM", {KMEM, KMEM}, false}, &MEMKIND_DAX_KMEM},
	{{"DAX_KMEM_ALL", {KMEM, KMEM}, false}, &MEMKIND_DAX_KMEM_ALL},
	{{"DAX_KMEM_PREFERRED", {KMEM, KMEM}, false},
		&MEMKIND_DAX_KMEM_PREFERRED},
	{{"DAX_KMEM_INTERLEAVE", {KMEM, KMEM}, true},
		&MEMKIND_DAX_KMEM_INTERLEAVE},
	{{"HIGHEST_CAPACITY", {NODE(1), NODE(1)}, false},
		&MEMKIND_HIGHEST_CAPACITY},
	{{"HIGHEST_CAPACITY_PREFERRED", {NODE(1), NODE(1)}, false},
		&MEMKIND_HIGHEST_CAPACITY_PREFERRED},
	{{"HIGHEST_CAPACITY_LOCAL", {NODE(0), NODE(1)}, false},
		&MEMKIND_HIGHEST_CAPACITY_LOCAL},
	{{"HIGHEST_CAPACITY_LOCAL_PREFERRED", {NODE(0), NODE(1)}, false},
		&MEMKIND_HIGHEST_CAPACITY_LOCAL_PREFERRED},
	{{"LOWEST_LATENCY_LOCAL", {NODE(0), NODE(1)}, false},
		&MEMKIND_LOWEST_LATENCY_LOCAL},
	{{"LOWEST_LATENCY_LOCAL_PREFERRED", {NODE(0), NODE(1)}, false},
		&MEMKIND_LOWEST_LATENCY_LOCAL_PREFERRED},
	{{"HIGHEST_BANDWIDTH_LOCAL", {NODE(2), NODE(3)}, false},
		&MEMKIND_HIGHEST_BANDWIDTH_LOCAL},
	{{"HIGHEST_BANDWIDTH_LOCAL_PREFERRED", {NODE(2), NODE(3)}, false},
		&MEMKIND_HIGHEST_BANDWIDTH_LOCAL_PREFERRED},
};

static const struct {
	struct placed place;
	int types;
	memkind_policy_t policy;
	int bits;
} made[] = {
	{{"HBW, BIND_LOCAL", {NODE(2), NODE(3)}, false},
		MEMKIND_MEMTYPE_HIGH_BANDWIDTH, MEMKIND_POLICY_BIND_LOCAL, 0},
	{{"HBW, BIND_LOCAL, 2 MiB", {NODE(2), NODE(3)}, false},
		MEMKIND_MEMTYPE_HIGH_BANDWIDTH, MEMKIND_POLICY_BIND_LOCAL, 21},
	{{"HBW, BIND_ALL", {HBM, HBM}, false}, MEMKIND_MEMTYPE_HIGH_BANDWIDTH,
		MEMKIND_POLICY_BIND_ALL, 0},
	{{"HBW, BIND_ALL, 2 MiB", {HBM, HBM}, false},
		MEMKIND_MEMTYPE_HIGH_BANDWIDTH, MEMKIND_POLICY_BIND_ALL, 21},
	{{"HBW, PREFERRED_LOCAL", {NODE(2), NODE(3)}, false},
		MEMKIND_MEMTYPE_HIGH_BANDWIDTH, MEMKIND_POLICY_PREFERRED_LOCAL,
		0},
	{{"HBW, PREFERRED_LOCAL, 2 MiB", {NODE(2), NODE(3)}, false},
		MEMKIND_MEMTYPE_HIGH_BANDWIDTH, MEMKIND_POLICY_PREFERRED_LOCAL,
		21},
	{{"HBW, INTERLEAVE_ALL", {HBM, HBM}, true},
		MEMKIND_MEMTYPE_HIGH_BANDWIDTH, MEMKIND_POLICY_INTERLEAVE_ALL,
		0},
	{{"DEFAULT, PREFERRED_LOCAL", {NODE(0), NODE(1)}, false},
		MEMKIND_MEMTYPE_DEFAULT, MEMKIND_POLICY_PREFERRED_LOCAL, 0},
	{{"DEFAULT, PREFERRED_LOCAL, 2 MiB", {15, 15}, false},
		MEMKIND_MEMTYPE_DEFAULT, MEMKIND_POLICY_PREFERRED_LOCAL, 21},
	{{"HBW|DEFAULT, INTERLEAVE_ALL", {15 | KMEM, 15 | KMEM}, true},
		MEMKIND_MEMTYPE_HIGH_BANDWIDTH | MEMKIND_MEMTYPE_DEFAULT,
		MEMKIND_POLICY_INTERLEAVE_ALL, 0},
};

#define COUNT(array) (sizeof(array) / sizeof(*(array)))
#define SIZE ((size_t)4 << 20)

/* The nodes that the pages between from and from + size lie on. */
static unsigned long
nodes_of(char *from, size_t size)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	unsigned long mask = 0;

	for (size_t at = 0; at < size; at += page) {
		void *address = from + at;
		int node = -1;
		assert_int_equal(move_pages(0, 1, &address, NULL, &node, 0), 0);
		assert_in_range(node, 0, 62);
		mask |= NODE(node);
	}
	return mask;
}

/* Does the kind place its memory like that? */
static bool
places(memkind_t kind, const struct placed *place)
{
	const char *kmem = getenv("LAB_KMEM_NODE");
	unsigned long want = place->nodes[getenv("VMC_TEST_CPU")[0] == '1'];
	char *p = memkind_malloc(kind, SIZE);

	if (want & KMEM)
		want = (want & ~KMEM) | NODE(strtoul(kmem, NULL, 10));
	if (p == NULL) {
		printf("%s: no memory\n", place->name);
		return false;
	}
	memset(p, 1, SIZE);
	unsigned long got = nodes_of(p, SIZE);
	memkind_free(kind, p);
	printf("%s: nodes %#lx of %#lx\n", place->name, got, want);
	return place->spread ? got == want : (got & ~want) == 0;
}

/* One processor a process: what one has freed, the other could be given. */
static void
stay_on_one_processor(void)
{
	const char *cpu = getenv("VMC_TEST_CPU");
	cpu_set_t set;

	if (cpu == NULL)
		skip();
	CPU_ZERO(&set);
	CPU_SET(strtoul(cpu, NULL, 10), &set);
	assert_int_equal(sched_setaffinity(0, sizeof(set), &set), 0);
}

static void
test_available(void **state)
{
	memkind_t pages_of_1g[] = {
		MEMKIND_GBTLB, MEMKIND_HBW_GBTLB, MEMKIND_HBW_PREFERRED_GBTLB};
	int missing = 0;

	(void)state;
	for (size_t i = 0; i < COUNT(kinds); i++) {
		int code = memkind_check_available(*kinds[i].kind);
		if (code != 0) {
			printf("%s: %d\n", kinds[i].place.name, code);
			missing++;
		}
	}
	assert_int_equal(missing, 0);
	/* no pool of such pages */
	for (size_t i = 0; i < COUNT(pages_of_1g); i++) {
		assert_int_equal(memkind_check_available(pages_of_1g[i]),
			MEMKIND_ERROR_HUGETLB);
		errno = 0;
		assert_null(memkind_malloc(pages_of_1g[i], 1));
		assert_int_equal(errno, ENOMEM);
	}
}

static void
test_placement(void **state)
{
	int wrong = 0;

	(void)state;
	stay_on_one_processor();
	for (size_t i = 0; i < COUNT(kinds); i++)
		wrong += !places(*kinds[i].kind, &kinds[i].place);
	assert_int_equal(wrong, 0);
}

static void
test_placement_of_created_kinds(void **state)
{
	int wrong = 0;

	(void)state;
	stay_on_one_processor();
	for (size_t i = 0; i < COUNT(made); i++) {
		memkind_t kind;
		assert_int_equal(
			memkind_create_kind((memkind_memtype_t)made[i].types,
				made[i].policy, (memkind_bits_t)made[i].bits,
				&kind),
			0);
		wrong += !places(kind, &made[i].place);
		memkind_destroy_kind(kind);
	}
	assert_int_equal(wrong, 0);
}

static size_t
capacity(memkind_t kind)
{
	return (size_t)memkind_get_capacity(kind);
}

/* The sums of the nodes' memory; -1 where there is no telling. */
static void
test_capacity(void **state)
{
	size_t highest = capacity(MEMKIND_HIGHEST_CAPACITY);

	(void)state;
	assert_int_equal(capacity(MEMKIND_DAX_KMEM), (size_t)384 << 20);
	assert_int_equal(capacity(MEMKIND_DAX_KMEM_ALL), (size_t)384 << 20);
	assert_in_range(capacity(MEMKIND_HBW_ALL), (size_t)400 << 20,
		(size_t)512 << 20);
	assert_in_range(highest, (size_t)700 << 20, (size_t)768 << 20);
	assert_int_equal(capacity(MEMKIND_INTERLEAVE),
		capacity(MEMKIND_REGULAR) + capacity(MEMKIND_HBW_ALL) +
			capacity(MEMKIND_DAX_KMEM_ALL));
	assert_true(capacity(MEMKIND_HUGETLB) >= (size_t)64 << 20);
	assert_int_equal(memkind_get_capacity(MEMKIND_HBW_PREFERRED), -1);
	assert_int_equal(memkind_get_capacity(MEMKIND_DAX_KMEM_PREFERRED), -1);
	assert_int_equal(memkind_get_capacity(MEMKIND_HBW_HUGETLB), -1);
}

/*
 * On the DAX mount: every page is of a file of that device, and 2 MiB of it
 * are one fault, also where small objects are written to as they come and
 * the kind is small.
 */
static void
use_dax(const char *dir, size_t limit, size_t object, size_t count)
{
	const size_t size = object * count;
	struct rusage before, after;
	char want[32], got[32];
	struct stat st;
	memkind_t kind;

	assert_int_equal(stat(dir, &st), 0);
	/* What was removed just now is free after ext4's next commit only;
	   until then its files get pieces, which huge pages do not fit. */
	sync();
	snprintf(want, sizeof(want), "%02x:%02x", major(st.st_dev),
		minor(st.st_dev));
	assert_int_equal(memkind_create_pmem(dir, limit, &kind), 0);
	memkind_free(kind, memkind_malloc(kind, object));
	getrusage(RUSAGE_SELF, &before);
	for (size_t i = 0; i < count; i++) {
		char *p = memkind_malloc(kind, object);
		assert_non_null(p);
		memset(p, 1, object);
		if (i % (1 + ((size_t)1 << 20) / object) == 0) {
			process_mapped_device(p, got);
			assert_string_equal(got, want);
		}
	}
	getrusage(RUSAGE_SELF, &after);
	long faults = after.ru_minflt - before.ru_minflt;
	printf("%ld faults for %zu MiB of %zu on %s\n", faults, size >> 20,
		limit >> 20, got);
	assert_in_range(faults, 1, (size >> 21) + 512);
	memkind_destroy_kind(kind);
}

static void
test_pmem_on_dax(void **state)
{
	const char *dir = getenv("LAB_FSDAX");

	(void)state;
	if (dir == NULL)
		skip();
	assert_int_equal(memkind_check_dax_path(dir), 0);
	assert_int_equal(
		memkind_check_dax_path("/dev/shm"), MEMKIND_ERROR_MMAP);
	assert_int_equal(memkind_check_dax_path(getenv("LAB_DEVDAX")),
		MEMKIND_ERROR_RUNTIME);
	use_dax(dir, 0, (size_t)32 << 20, 1);
	use_dax(dir, 0, 4000, 4000);
	use_dax(dir, (size_t)64 << 20, 4000, 8000);
	use_dax(dir, MEMKIND_PMEM_MIN_SIZE, 4000, 2000);
}

/* A device of one's own mapping, as user memory. */
static void
test_fixed_on_devdax(void **state)
{
	const char *device = getenv("LAB_DEVDAX");
	const size_t size = (size_t)16 << 20;
	memkind_t kind;
	char *p;

	(void)state;
	if (device == NULL)
		skip();
	int fd = open(device, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	char *region =
		mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	assert_ptr_not_equal(region, MAP_FAILED);
	memset(region, 0xee, size);
	assert_int_equal(memkind_create_fixed(region, size, &kind), 0);
	size_t count = 0;
	while ((p = memkind_calloc(kind, 1, 5000)) != NULL) {
		assert_in_range((uintptr_t)p, (uintptr_t)region,
			(uintptr_t)region + size - 5000);
		assert_int_equal(p[0] | p[4999], 0);
		memset(p, 1, 5000);
		count++;
	}
	printf("%zu objects\n", count);
	assert_true(count * 5000 > size / 2);
	memkind_destroy_kind(kind);
	munmap(region, size);
}

static size_t
resident(memkind_t kind)
{
	size_t bytes;

	assert_int_equal(memkind_update_cached_stats(), 0);
	assert_int_equal(
		memkind_get_stat(kind, MEMKIND_STAT_TYPE_RESIDENT, &bytes), 0);
	return bytes;
}

/*
 * One small object kept all pages that there ever were, and of the page that it
 * is in only the part that was used was counted.
 */
static void
test_huge_pages_go_back(void **state)
{
	const size_t page = (size_t)2 << 20;
	memkind_t kind = MEMKIND_HUGETLB;
	void *object, *large;

	(void)state;
	stay_on_one_processor();
	object = memkind_malloc(kind, 100);
	assert_non_null(object);
	large = memkind_malloc(kind, 8 * page);
	assert_non_null(large);
	memset(large, 1, 8 * page);
	assert_in_range(resident(kind), 9 * page, 12 * page);
	memkind_free(kind, large);
	/* if they do not go, this never ends */
	while (resident(kind) > page)
		for (int i = 0; i < 1000; i++)
			memkind_free(kind, memkind_malloc(kind, 100));
	assert_int_equal(resident(kind), page);
	memkind_free(kind, object);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_available),
		cmocka_unit_test(test_placement),
		cmocka_unit_test(test_placement_of_created_kinds),
		cmocka_unit_test(test_capacity),
		cmocka_unit_test(test_pmem_on_dax),
		cmocka_unit_test(test_fixed_on_devdax),
		cmocka_unit_test(test_huge_pages_go_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
