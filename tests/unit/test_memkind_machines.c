/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_memkind_machines.c -- what each kind says of machines unlike this one
 *
 * Each machine is a child process with a file system of its own over /sys,
 * in which the machine is made of files. Nothing can be placed on nodes that
 * are not there: what is asked is the code of every kind, what it has, and that
 * what fails then fails cleanly.
 */
#include "testing.h"

#include "base/os.h"
#include "machine.h"
#include "memkind.h"
#include "memkind/kinds.h"
#include "memkind/malloc.h"
#include "process.h"

#include <errno.h>

#define NONE MEMKIND_ERROR_MEMTYPE_NOT_AVAILABLE
#define NO_KMEM MEMKIND_ERROR_UNAVAILABLE
#define NO_POOL MEMKIND_ERROR_HUGETLB
#define WRONG MEMKIND_ERROR_ENVIRON
#define SEVERAL MEMKIND_ERROR_RUNTIME
#define GIB ((ssize_t)1 << 30)

/* What a machine's kinds are: code and, where that is 0, GiB; -1: unknown. */
struct expected {
	int code;
	int gib;
};

enum {
	DEFAULT,
	REGULAR,
	HUGETLB,
	GBTLB,
	INTERLEAVE,
	HBW,
	HBW_ALL,
	HBW_PREFERRED,
	HBW_INTERLEAVE,
	HBW_HUGETLB,
	HBW_ALL_HUGETLB,
	HBW_PREFERRED_HUGETLB,
	HBW_GBTLB,
	HBW_PREFERRED_GBTLB,
	DAX_KMEM,
	DAX_KMEM_ALL,
	DAX_KMEM_PREFERRED,
	DAX_KMEM_INTERLEAVE,
	CAPACITY,
	CAPACITY_PREFERRED,
	CAPACITY_LOCAL,
	CAPACITY_LOCAL_PREFERRED,
	LATENCY,
	LATENCY_PREFERRED,
	BANDWIDTH,
	BANDWIDTH_PREFERRED,
	KINDS
};

static const struct {
	const char *name;
	memkind_t *kind;
} kinds[KINDS] = {
	[DEFAULT] = {"default", &MEMKIND_DEFAULT},
	[REGULAR] = {"regular", &MEMKIND_REGULAR},
	[HUGETLB] = {"hugetlb", &MEMKIND_HUGETLB},
	[GBTLB] = {"gbtlb", &MEMKIND_GBTLB},
	[INTERLEAVE] = {"interleave", &MEMKIND_INTERLEAVE},
	[HBW] = {"hbw", &MEMKIND_HBW},
	[HBW_ALL] = {"hbw_all", &MEMKIND_HBW_ALL},
	[HBW_PREFERRED] = {"hbw_preferred", &MEMKIND_HBW_PREFERRED},
	[HBW_INTERLEAVE] = {"hbw_interleave", &MEMKIND_HBW_INTERLEAVE},
	[HBW_HUGETLB] = {"hbw_hugetlb", &MEMKIND_HBW_HUGETLB},
	[HBW_ALL_HUGETLB] = {"hbw_all_hugetlb", &MEMKIND_HBW_ALL_HUGETLB},
	[HBW_PREFERRED_HUGETLB] = {"hbw_preferred_hugetlb",
		&MEMKIND_HBW_PREFERRED_HUGETLB},
	[HBW_GBTLB] = {"hbw_gbtlb", &MEMKIND_HBW_GBTLB},
	[HBW_PREFERRED_GBTLB] = {"hbw_preferred_gbtlb",
		&MEMKIND_HBW_PREFERRED_GBTLB},
	[DAX_KMEM] = {"dax_kmem", &MEMKIND_DAX_KMEM},
	[DAX_KMEM_ALL] = {"dax_kmem_all", &MEMKIND_DAX_KMEM_ALL},
	[DAX_KMEM_PREFERRED] = {"dax_kmem_preferred",
		&MEMKIND_DAX_KMEM_PREFERRED},
	[DAX_KMEM_INTERLEAVE] = {"dax_kmem_interleave",
		&MEMKIND_DAX_KMEM_INTERLEAVE},
	[CAPACITY] = {"highest_capacity", &MEMKIND_HIGHEST_CAPACITY},
	[CAPACITY_PREFERRED] = {"highest_capacity_preferred",
		&MEMKIND_HIGHEST_CAPACITY_PREFERRED},
	[CAPACITY_LOCAL] = {"highest_capacity_local",
		&MEMKIND_HIGHEST_CAPACITY_LOCAL},
	[CAPACITY_LOCAL_PREFERRED] = {"highest_capacity_local_preferred",
		&MEMKIND_HIGHEST_CAPACITY_LOCAL_PREFERRED},
	[LATENCY] = {"lowest_latency_local", &MEMKIND_LOWEST_LATENCY_LOCAL},
	[LATENCY_PREFERRED] = {"lowest_latency_local_preferred",
		&MEMKIND_LOWEST_LATENCY_LOCAL_PREFERRED},
	[BANDWIDTH] = {"highest_bandwidth_local",
		&MEMKIND_HIGHEST_BANDWIDTH_LOCAL},
	[BANDWIDTH_PREFERRED] = {"highest_bandwidth_local_preferred",
		&MEMKIND_HIGHEST_BANDWIDTH_LOCAL_PREFERRED},
};

/* How many kinds are not as expected. */
static int
check_kinds(const struct expected expected[KINDS])
{
	int wrong = 0;

	for (int i = 0; i < KINDS; i++) {
		int code = memkind_check_available(*kinds[i].kind);
		ssize_t capacity = memkind_get_capacity(*kinds[i].kind);
		ssize_t want = expected[i].gib < 0 ? -1 : expected[i].gib * GIB;
		if (code == expected[i].code &&
			(code != 0 || capacity == want || want == 0))
			continue;
		printf("%s: code %d, not %d; capacity %zd\n", kinds[i].name,
			code, expected[i].code, capacity);
		wrong++;
	}
	return wrong;
}

/* What cannot be had is ENOMEM, and leaves nothing behind. */
static int
check_refused(const struct expected expected[KINDS])
{
	int descriptors = process_descriptors(), wrong = 0;
	void *ptr = &ptr;

	for (int i = 0; i < KINDS; i++) {
		memkind_t kind = *kinds[i].kind;
		if (expected[i].code == 0)
			continue;
		errno = 0;
		wrong += vmc_memkind_malloc(kind, 100) || errno != ENOMEM;
		errno = 0;
		wrong += vmc_memkind_calloc(kind, 1, 100) || errno != ENOMEM;
		errno = 0;
		wrong += vmc_memkind_realloc(kind, NULL, 9) || errno != ENOMEM;
		wrong += vmc_memkind_posix_memalign(kind, &ptr, 64, 100) !=
				 ENOMEM ||
			 ptr;
	}
	return wrong + (process_descriptors() != descriptors);
}

static bool
make_two_sockets(void)
{
	return machine_two_sockets("") &&
	       machine_file("kernel/mm/hugepages/hugepages-2048kB/nr_hugepages",
		       "512");
}

static const struct expected of_two_sockets[KINDS] = {[REGULAR] = {0, 8},
	[HUGETLB] = {0, 1},
	[GBTLB] = {NO_POOL, 0},
	[INTERLEAVE] = {0, 26},
	[HBW] = {0, 2},
	[HBW_ALL] = {0, 2},
	[HBW_PREFERRED] = {0, -1},
	[HBW_INTERLEAVE] = {0, 2},
	[HBW_HUGETLB] = {0, -1},
	[HBW_ALL_HUGETLB] = {0, -1},
	[HBW_PREFERRED_HUGETLB] = {0, -1},
	[HBW_GBTLB] = {NO_POOL, 0},
	[HBW_PREFERRED_GBTLB] = {NO_POOL, 0},
	[DAX_KMEM] = {0, 16},
	[DAX_KMEM_ALL] = {0, 16},
	[DAX_KMEM_PREFERRED] = {0, -1},
	[DAX_KMEM_INTERLEAVE] = {0, 16},
	[CAPACITY] = {0, 16},
	[CAPACITY_PREFERRED] = {0, -1},
	[CAPACITY_LOCAL] = {0, 20},
	[CAPACITY_LOCAL_PREFERRED] = {0, -1},
	[LATENCY] = {0, 8},
	[LATENCY_PREFERRED] = {0, -1},
	[BANDWIDTH] = {0, 2},
	[BANDWIDTH_PREFERRED] = {0, -1}};

/* With what else is in a driver's directory, and a node without memory. */
static bool
make_kmem_devices(void)
{
	return machine_file("bus/dax/drivers/kmem/dax0.0/target_node", "5") &&
	       machine_file("bus/dax/drivers/kmem/dax1.0/target_node", "4") &&
	       machine_file("bus/dax/drivers/kmem/dax2.0/target_node", "-1") &&
	       machine_file("bus/dax/drivers/kmem/bind", "");
}

static int
two_sockets(const char *sys)
{
	(void)sys;
	if (!make_two_sockets() || !make_kmem_devices())
		return PROCESS_REFUSED;
	return check_kinds(of_two_sockets) + check_refused(of_two_sockets);
}

/* Nothing but nodes: the firmware says nothing, two are equally large. */
static int
without_attributes(const char *sys)
{
	static const struct expected expected[KINDS] = {[REGULAR] = {0, 8},
		[HUGETLB] = {NO_POOL, 0},
		[GBTLB] = {NO_POOL, 0},
		[INTERLEAVE] = {0, 8},
		[HBW] = {NONE, 0},
		[HBW_ALL] = {NONE, 0},
		[HBW_PREFERRED] = {NONE, 0},
		[HBW_INTERLEAVE] = {NONE, 0},
		[HBW_HUGETLB] = {NONE, 0},
		[HBW_ALL_HUGETLB] = {NONE, 0},
		[HBW_PREFERRED_HUGETLB] = {NONE, 0},
		[HBW_GBTLB] = {NONE, 0},
		[HBW_PREFERRED_GBTLB] = {NONE, 0},
		[DAX_KMEM] = {NO_KMEM, 0},
		[DAX_KMEM_ALL] = {NO_KMEM, 0},
		[DAX_KMEM_PREFERRED] = {NO_KMEM, 0},
		[DAX_KMEM_INTERLEAVE] = {NO_KMEM, 0},
		[CAPACITY] = {0, 8},
		[CAPACITY_PREFERRED] = {NONE, 0},
		[CAPACITY_LOCAL] = {0, 8},
		[CAPACITY_LOCAL_PREFERRED] = {0, -1},
		[LATENCY] = {NONE, 0},
		[LATENCY_PREFERRED] = {NONE, 0},
		[BANDWIDTH] = {NONE, 0},
		[BANDWIDTH_PREFERRED] = {NONE, 0}};
	memkind_t kind;
	int wrong;

	(void)sys;
	if (!machine_start("", "0-1", "0-1") ||
		!machine_node(0, "10 20", 4, 0, 0, 0) ||
		!machine_node(1, "20 10", 4, 0, 0, 0))
		return PROCESS_REFUSED;
	wrong = check_kinds(expected) + check_refused(expected);
	/* what prefers falls back, the rest is not available */
	for (int policy = 0; policy < MEMKIND_POLICY_MAX_VALUE; policy++) {
		int code = memkind_create_kind(MEMKIND_MEMTYPE_HIGH_BANDWIDTH,
			(memkind_policy_t)policy, (memkind_bits_t)0, &kind);
		if (policy == MEMKIND_POLICY_PREFERRED_LOCAL)
			wrong += code != 0 || kind != MEMKIND_DEFAULT;
		else if (policy == MEMKIND_POLICY_INTERLEAVE_LOCAL)
			wrong += code != MEMKIND_ERROR_INVALID;
		else
			wrong += code != NONE;
	}
	wrong += memkind_create_kind(MEMKIND_MEMTYPE_DEFAULT,
			 MEMKIND_POLICY_PREFERRED_LOCAL,
			 MEMKIND_MASK_PAGE_SIZE_2MB, &kind) != 0 ||
		 kind != MEMKIND_DEFAULT;
	return wrong;
}

/* From node 1, two nodes of each sort are equally close. */
static int
equally_close(const char *sys)
{
	static const struct expected expected[KINDS] = {[REGULAR] = {0, 2},
		[HUGETLB] = {0, 1},
		[GBTLB] = {NO_POOL, 0},
		[INTERLEAVE] = {0, 4},
		[HBW] = {0, 2},
		[HBW_ALL] = {0, 2},
		[HBW_PREFERRED] = {SEVERAL, 0},
		[HBW_INTERLEAVE] = {0, 2},
		[HBW_HUGETLB] = {0, -1},
		[HBW_ALL_HUGETLB] = {0, -1},
		[HBW_PREFERRED_HUGETLB] = {SEVERAL, 0},
		[HBW_GBTLB] = {NO_POOL, 0},
		[HBW_PREFERRED_GBTLB] = {SEVERAL, 0},
		[DAX_KMEM] = {0, 2},
		[DAX_KMEM_ALL] = {0, 2},
		[DAX_KMEM_PREFERRED] = {SEVERAL, 0},
		[DAX_KMEM_INTERLEAVE] = {0, 2},
		[CAPACITY] = {0, 4},
		[CAPACITY_PREFERRED] = {NONE, 0},
		[CAPACITY_LOCAL] = {0, 0},
		[CAPACITY_LOCAL_PREFERRED] = {0, -1},
		[LATENCY] = {NONE, 0},
		[LATENCY_PREFERRED] = {NONE, 0},
		[BANDWIDTH] = {NONE, 0},
		[BANDWIDTH_PREFERRED] = {NONE, 0}};

	(void)sys;
	setenv("MEMKIND_DAX_KMEM_NODES", "2-3", 1);
	setenv("MEMKIND_HBW_NODES", "2,3", 1);
	if (!machine_start("", "0-3", "0-1") ||
		!machine_file("kernel/mm/hugepages/hugepages-2048kB/"
			      "nr_hugepages",
			"512") ||
		!machine_node(0, "10 20 15 25", 1, 0, 0, 0) ||
		!machine_node(1, "20 10 17 17", 1, 0, 0, 0) ||
		!machine_node(2, "15 17 10 30", 1, 0, 0, 0) ||
		!machine_node(3, "25 17 30 10", 1, 0, 0, 0))
		return PROCESS_REFUSED;
	return check_kinds(expected) + check_refused(expected);
}

/* Lists that cannot be understood concern those who need them. */
static int
malformed_lists(const char *sys)
{
	struct expected expected[KINDS];

	(void)sys;
	for (int i = 0; i < KINDS; i++)
		expected[i] = of_two_sockets[i];
	for (int i = HBW; i <= DAX_KMEM_INTERLEAVE; i++)
		expected[i] = (struct expected){WRONG, 0};
	setenv("MEMKIND_DAX_KMEM_NODES", "4", 1);
	setenv("MEMKIND_HBW_NODES", "2-", 1);
	if (!make_two_sockets())
		return PROCESS_REFUSED;
	return check_kinds(expected) + check_refused(expected);
}

/* Available, as far as sysfs says; but the kernel knows better. */
static int
kernel_disagrees(const char *sys)
{
	memkind_t kind;
	int wrong = 0;

	(void)sys;
	setenv("MEMKIND_DAX_KMEM_NODES", "5", 1);
	if (!make_two_sockets())
		return PROCESS_REFUSED;
	memkind_t on_absent_nodes[] = {MEMKIND_HBW, MEMKIND_HBW_ALL,
		MEMKIND_DAX_KMEM, MEMKIND_DAX_KMEM_ALL,
		MEMKIND_HIGHEST_CAPACITY, MEMKIND_HIGHEST_BANDWIDTH_LOCAL};
	for (size_t i = 0;
		i < sizeof(on_absent_nodes) / sizeof(*on_absent_nodes); i++) {
		errno = 0;
		wrong += vmc_memkind_malloc(on_absent_nodes[i], 100) ||
			 errno != ENOMEM;
		wrong += on_absent_nodes[i]->error != MEMKIND_ERROR_MBIND;
	}
	/* what cannot be placed is not mapped anew each time */
	int mappings = process_mappings();
	for (int i = 0; i < 10; i++)
		wrong += vmc_memkind_malloc(MEMKIND_HBW, 100) != NULL;
	wrong += process_mappings() != mappings;
	/* the others go on */
	wrong += !vmc_memkind_malloc(MEMKIND_DEFAULT, 100);
	wrong += memkind_create_pmem("/tmp", 0, &kind) != 0 ||
		 !vmc_memkind_malloc(kind, 100);
	memkind_destroy_kind(kind);
	return wrong;
}

static void
on_machine(int (*check)(const char *sys))
{
	int result;

	/* its addresses are all of memory, searched for leaks word by word */
	if (RUNNING_ON_VALGRIND)
		skip();
	result = process_on_file_system("/sys", "tmpfs", "", check);
	if (result == PROCESS_REFUSED) {
		puts("no file system of one's own may be mounted here");
		skip();
	}
	assert_int_equal(result, 0);
}

#define MACHINE(name)                                                          \
	static void test_##name(void **state)                                  \
	{                                                                      \
		(void)state;                                                   \
		on_machine(name);                                              \
	}
MACHINE(two_sockets)
MACHINE(without_attributes)
MACHINE(equally_close)
MACHINE(malformed_lists)
MACHINE(kernel_disagrees)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_two_sockets),
		cmocka_unit_test(test_without_attributes),
		cmocka_unit_test(test_equally_close),
		cmocka_unit_test(test_malformed_lists),
		cmocka_unit_test(test_kernel_disagrees),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
