/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_kinds.c -- the kinds of memory, on the laboratory's nodes
 *
 * The machine (tests/dax/lab): nodes 0 and 1 with a processor each, 2 and 3
 * the fast memory of 0 and of 1, and $LAB_KMEM_NODE. Node 1 is the largest.
 * From processor $VMC_TEST_CPU, each kind must be available, and each page that
 * it hands out must lie on a node of the set that its description implies, as
 * move_pages(2) tells. Under with-sysfs there are no such nodes to place
 * anything on: without the variables availability alone is asked.
 */
#include "testing.h"

#include <memkind.h>
#include <numaif.h>
#include <sched.h>
#include <unistd.h>

#define NODE(n) (1ul << (n))
#define KMEM 0 /* stands for that node's mask, known at run time */

static const struct {
	const char *name;
	memkind_t *kind;
	unsigned long nodes[2]; /* from processor 0, from processor 1 */
} kinds[] = {
	{"REGULAR", &MEMKIND_REGULAR, {3, 3}},
	{"HUGETLB", &MEMKIND_HUGETLB, {3, 3}},
	{"HBW", &MEMKIND_HBW, {NODE(2), NODE(3)}},
	{"HBW_PREFERRED", &MEMKIND_HBW_PREFERRED, {NODE(2), NODE(3)}},
	{"HBW_ALL", &MEMKIND_HBW_ALL, {NODE(2) | NODE(3), NODE(2) | NODE(3)}},
	{"HBW_INTERLEAVE", &MEMKIND_HBW_INTERLEAVE,
		{NODE(2) | NODE(3), NODE(2) | NODE(3)}},
	{"DAX_KMEM", &MEMKIND_DAX_KMEM, {KMEM, KMEM}},
	{"DAX_KMEM_ALL", &MEMKIND_DAX_KMEM_ALL, {KMEM, KMEM}},
	{"DAX_KMEM_PREFERRED", &MEMKIND_DAX_KMEM_PREFERRED, {KMEM, KMEM}},
	{"DAX_KMEM_INTERLEAVE", &MEMKIND_DAX_KMEM_INTERLEAVE, {KMEM, KMEM}},
	{"HIGHEST_CAPACITY", &MEMKIND_HIGHEST_CAPACITY, {NODE(1), NODE(1)}},
	{"HIGHEST_CAPACITY_PREFERRED", &MEMKIND_HIGHEST_CAPACITY_PREFERRED,
		{NODE(1), NODE(1)}},
	{"LOWEST_LATENCY_LOCAL", &MEMKIND_LOWEST_LATENCY_LOCAL,
		{NODE(0), NODE(1)}},
	{"HIGHEST_BANDWIDTH_LOCAL", &MEMKIND_HIGHEST_BANDWIDTH_LOCAL,
		{NODE(2), NODE(3)}},
	{"HIGHEST_BANDWIDTH_LOCAL_PREFERRED",
		&MEMKIND_HIGHEST_BANDWIDTH_LOCAL_PREFERRED, {NODE(2), NODE(3)}},
};

#define KINDS (sizeof(kinds) / sizeof(*kinds))
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
		assert_in_range(node, 0, 63);
		mask |= NODE(node);
	}
	return mask;
}

static void
test_available(void **state)
{
	int missing = 0;

	(void)state;
	for (size_t i = 0; i < KINDS; i++) {
		int code = memkind_check_available(*kinds[i].kind);
		if (code != 0) {
			printf("%s: %d\n", kinds[i].name, code);
			missing++;
		}
	}
	assert_int_equal(missing, 0);
}

/* One processor a process: what one has freed, the other could be given. */
static void
test_placement(void **state)
{
	const char *kmem = getenv("LAB_KMEM_NODE");
	const char *cpu = getenv("VMC_TEST_CPU");
	cpu_set_t set;
	int wrong = 0;

	(void)state;
	if (kmem == NULL || cpu == NULL)
		skip();
	CPU_ZERO(&set);
	CPU_SET(strtoul(cpu, NULL, 10), &set);
	assert_int_equal(sched_setaffinity(0, sizeof(set), &set), 0);
	for (size_t i = 0; i < KINDS; i++) {
		unsigned long want = kinds[i].nodes[cpu[0] == '1'];
		if (want == KMEM)
			want = NODE(strtoul(kmem, NULL, 10));
		char *p = memkind_malloc(*kinds[i].kind, SIZE);
		assert_non_null(p);
		memset(p, 1, SIZE);
		unsigned long got = nodes_of(p, SIZE);
		memkind_free(*kinds[i].kind, p);
		printf("%s: nodes %#lx of %#lx\n", kinds[i].name, got, want);
		wrong += (got & ~want) != 0;
	}
	assert_int_equal(wrong, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_available),
		cmocka_unit_test(test_placement),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
